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
