//! The program kind table: what a program is attached to decides its context, helpers and results.

use crate::context::{ContextInfo, RAW_MEMORY, SK_BUFF, XDP_MD};

/// A kind of program. The order is that of [`PROGRAM_KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ProgramKind {
    /// `BPF_PROG_TYPE_XDP`: runs on a packet at the driver.
    Xdp,
    /// `BPF_PROG_TYPE_SOCKET_FILTER`: says how many bytes of a packet a socket receives.
    SocketFilter,
    /// Not Linux's: `r1` is the address of a buffer and `r2` its length, as in the
    /// bpf_conformance plugin protocol.
    RawMemory,
}

/// One row of the program kind table.
#[derive(Clone, Copy, Debug)]
pub struct ProgramKindInfo {
    /// The kind that the row describes.
    pub kind: ProgramKind,
    /// The number in Linux's `enum bpf_prog_type`, where Linux has the kind.
    pub number: Option<u32>,
    /// The name used on the command line and in text.
    pub name: &'static str,
    /// libbpf's section names: an exact name, or a prefix where it ends in `/` or `+`.
    ///
    /// `xdp+` stands for `xdp` and `xdp/…`, `xdp.frags/` for `xdp.frags/…` alone.
    pub sections: &'static [&'static str],
    /// The layout that the program sees in `r1`.
    pub context: &'static ContextInfo,
    /// The values that `r0` may hold at exit, where the kernel checks them.
    pub return_range: Option<(i64, i64)>,
    /// Names of return values, by value, for reports.
    pub verdicts: &'static [&'static str],
    /// Whether legacy packet loads (`ld_abs`, `ld_ind`) are allowed.
    pub legacy_packet_loads: bool,
}

/// The program kind table, in the order of [`ProgramKind`].
pub const PROGRAM_KINDS: &[ProgramKindInfo] = &[
    ProgramKindInfo {
        kind: ProgramKind::Xdp,
        number: Some(6),
        name: "xdp",
        sections: &[
            "xdp+",
            "xdp.frags+",
            "xdp_devmap/",
            "xdp.frags/devmap",
            "xdp/devmap",
            "xdp_cpumap/",
            "xdp.frags/cpumap",
            "xdp/cpumap",
        ],
        context: &XDP_MD,
        return_range: None,
        verdicts: &["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"],
        legacy_packet_loads: false,
    },
    ProgramKindInfo {
        kind: ProgramKind::SocketFilter,
        number: Some(1),
        name: "socket_filter",
        sections: &["socket+"],
        context: &SK_BUFF,
        return_range: None,
        verdicts: &[],
        legacy_packet_loads: true,
    },
    ProgramKindInfo {
        kind: ProgramKind::RawMemory,
        number: None,
        name: "raw_memory",
        sections: &[],
        context: &RAW_MEMORY,
        return_range: None,
        verdicts: &[],
        legacy_packet_loads: false,
    },
];

const _: () = {
    let mut i = 0;
    while i < PROGRAM_KINDS.len() {
        assert!(PROGRAM_KINDS[i].kind as usize == i, "rows must follow the order of `ProgramKind`");
        i += 1;
    }
};

impl ProgramKind {
    /// This kind's row.
    #[must_use]
    pub const fn info(self) -> &'static ProgramKindInfo {
        &PROGRAM_KINDS[self as usize]
    }

    /// The kind with a name of the table.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        PROGRAM_KINDS.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// The kind that libbpf would give a program in this section.
    #[must_use]
    pub fn from_section(section: &str) -> Option<Self> {
        let matches = |pattern: &str| {
            if let Some(stem) = pattern.strip_suffix('+') {
                section.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            } else if pattern.ends_with('/') {
                section.starts_with(pattern)
            } else {
                section == pattern
            }
        };
        PROGRAM_KINDS
            .iter()
            .find(|row| row.sections.iter().any(|pattern| matches(pattern)))
            .map(|row| row.kind)
    }
}
