//! The diagnostics table: one row a code.
//!
//! A code is stable: scripts and readers search for it. `brolga explain CODE` prints its row.

use super::Severity;

/// A diagnostic code. The order is that of [`CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs, reason = "the table explains each")]
pub enum Code {
    NullMapValue,
    UnsupportedFeature,
    UnsupportedProgramKind,
    UnsupportedMapKind,
    UnsupportedRelocation,
    InvalidInstruction,
    UnresolvedCall,
}

/// One row of the diagnostics table.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The code that the row describes.
    pub code: Code,
    /// The stable name, in kebab case.
    pub name: &'static str,
    /// How it counts.
    pub severity: Severity,
    /// What it means and what to do, in a paragraph.
    pub explain: &'static str,
    /// A minimal example that triggers it and its repair, in C or in assembly.
    pub example: &'static str,
}

/// The diagnostics table, in the order of [`Code`].
pub const CODES: &[CodeInfo] = &[
    CodeInfo {
        code: Code::NullMapValue,
        name: "null-map-value",
        severity: Severity::Reject,
        explain: "A lookup returns null where the map has no such key. The result must be compared with \
                  null before anything is read or written through it.",
        example: "long *v = bpf_map_lookup_elem(&counts, &key);\nif (!v)\n\treturn XDP_PASS;   // without this: refused\n*v += 1;",
    },
    CodeInfo {
        code: Code::UnsupportedFeature,
        name: "unsupported-feature",
        severity: Severity::Unsupported,
        explain: "Linux may accept this program; Brolga cannot judge or run what it uses yet, and says which.",
        example: "",
    },
    CodeInfo {
        code: Code::UnsupportedProgramKind,
        name: "unsupported-program-kind",
        severity: Severity::Unsupported,
        explain: "The program's section name stands for a kind of program that Brolga does not support yet, or for \
                  none. Where the name says nothing, `--kind` gives the kind.",
        example: "SEC(\"my_section\")          // none of libbpf's names: give `--kind xdp`\n\
                  int prog(struct xdp_md *ctx)",
    },
    CodeInfo {
        code: Code::UnsupportedMapKind,
        name: "unsupported-map-kind",
        severity: Severity::Unsupported,
        explain: "The program refers to a map of a kind that Brolga cannot make yet. Other programs of the object \
                  are not concerned.",
        example: "",
    },
    CodeInfo {
        code: Code::UnsupportedRelocation,
        name: "unsupported-relocation",
        severity: Severity::Unsupported,
        explain: "The program needs a value that Brolga cannot fill in yet: a CO-RE relocation, an external kernel \
                  symbol or function, a configuration value, or an address inside global data.",
        example: "",
    },
    CodeInfo {
        code: Code::InvalidInstruction,
        name: "invalid-instruction",
        severity: Severity::Reject,
        explain: "Eight bytes of the program are no instruction: an unknown opcode, a reserved field that is not \
                  zero, a register above r10, or half of a 16-byte instruction.",
        example: "",
    },
    CodeInfo {
        code: Code::UnresolvedCall,
        name: "unresolved-call",
        severity: Severity::Reject,
        explain: "The program calls, or takes the address of, a function that the object does not define where it \
                  may be called: subprograms are in `.text` or in the program's own section.",
        example: "int other(void);                 // declared, defined nowhere\n\
                  SEC(\"xdp\") int prog(struct xdp_md *ctx) { return other(); }",
    },
];

const _: () = {
    let mut i = 0;
    while i < CODES.len() {
        assert!(CODES[i].code as usize == i, "rows must follow the order of `Code`");
        i += 1;
    }
};

impl Code {
    /// This code's row.
    #[must_use]
    pub const fn info(self) -> &'static CodeInfo {
        &CODES[self as usize]
    }

    /// The code with a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        CODES.iter().find(|row| row.name == name).map(|row| row.code)
    }
}
