//! The program kind table: what a program is attached to decides its context, helpers and results.
//!
//! The kinds are those of Linux's `enum bpf_prog_type`, and one of Brolga's own. Which of them the
//! runtime can run is said by [`ProgramKind::native`] alone: code that runs programs matches on
//! [`NativeKind`] and so cannot meet a kind that has nothing to run on.

mod attach;
mod sections;
#[cfg(test)]
mod tests;

pub use attach::{ATTACH_TYPES, AttachType};
pub use sections::{SECTIONS, Section, SectionRow, Traits};

use crate::context::{self, ContextInfo};

/// A kind of program. The order is that of [`PROGRAM_KINDS`]; a discriminant above 0 is Linux's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ProgramKind {
    /// Not Linux's: `r1` is the address of a buffer and `r2` its length, as in the
    /// bpf_conformance plugin protocol.
    RawMemory = 0,
    /// `BPF_PROG_TYPE_SOCKET_FILTER`: says how many bytes of a packet a socket receives.
    SocketFilter = 1,
    /// `BPF_PROG_TYPE_KPROBE`: runs at a kernel or user function's entry or return.
    Kprobe = 2,
    /// `BPF_PROG_TYPE_SCHED_CLS`: traffic control's classifier.
    SchedCls = 3,
    /// `BPF_PROG_TYPE_SCHED_ACT`: traffic control's action.
    SchedAct = 4,
    /// `BPF_PROG_TYPE_TRACEPOINT`: runs at a static tracepoint, on its record.
    Tracepoint = 5,
    /// `BPF_PROG_TYPE_XDP`: runs on a packet at the driver.
    Xdp = 6,
    /// `BPF_PROG_TYPE_PERF_EVENT`: runs when a performance counter overflows.
    PerfEvent = 7,
    /// `BPF_PROG_TYPE_CGROUP_SKB`: judges packets of a cgroup's sockets.
    CgroupSkb = 8,
    /// `BPF_PROG_TYPE_CGROUP_SOCK`: judges the making, binding and release of a cgroup's sockets.
    CgroupSock = 9,
    /// `BPF_PROG_TYPE_LWT_IN`: a light-weight tunnel's input.
    LwtIn = 10,
    /// `BPF_PROG_TYPE_LWT_OUT`: a light-weight tunnel's output.
    LwtOut = 11,
    /// `BPF_PROG_TYPE_LWT_XMIT`: a light-weight tunnel's transmission.
    LwtXmit = 12,
    /// `BPF_PROG_TYPE_SOCK_OPS`: sets parameters of TCP connections as they change.
    SockOps = 13,
    /// `BPF_PROG_TYPE_SK_SKB`: parses and redirects the stream of a socket in a map.
    SkSkb = 14,
    /// `BPF_PROG_TYPE_CGROUP_DEVICE`: judges a cgroup's access to devices.
    CgroupDevice = 15,
    /// `BPF_PROG_TYPE_SK_MSG`: judges and redirects what a socket in a map sends.
    SkMsg = 16,
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT`: runs at a static tracepoint, on its arguments.
    RawTracepoint = 17,
    /// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`: judges and rewrites addresses that a cgroup's sockets use.
    CgroupSockAddr = 18,
    /// `BPF_PROG_TYPE_LWT_SEG6LOCAL`: a segment routing endpoint.
    LwtSeg6local = 19,
    /// `BPF_PROG_TYPE_LIRC_MODE2`: decodes infrared signals.
    LircMode2 = 20,
    /// `BPF_PROG_TYPE_SK_REUSEPORT`: chooses a socket of a group.
    SkReuseport = 21,
    /// `BPF_PROG_TYPE_FLOW_DISSECTOR`: parses packets' headers into flow keys.
    FlowDissector = 22,
    /// `BPF_PROG_TYPE_CGROUP_SYSCTL`: judges a cgroup's access to sysctls.
    CgroupSysctl = 23,
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE`: as [`ProgramKind::RawTracepoint`], and may write to an argument.
    RawTracepointWritable = 24,
    /// `BPF_PROG_TYPE_CGROUP_SOCKOPT`: judges and rewrites a cgroup's socket options.
    CgroupSockopt = 25,
    /// `BPF_PROG_TYPE_TRACING`: runs at a kernel function or tracepoint with typed arguments, or iterates
    /// over kernel objects.
    Tracing = 26,
    /// `BPF_PROG_TYPE_STRUCT_OPS`: a function of a kernel structure of functions.
    StructOps = 27,
    /// `BPF_PROG_TYPE_EXT`: replaces a function of another program.
    Ext = 28,
    /// `BPF_PROG_TYPE_LSM`: a security hook.
    Lsm = 29,
    /// `BPF_PROG_TYPE_SK_LOOKUP`: chooses the socket that receives a packet.
    SkLookup = 30,
    /// `BPF_PROG_TYPE_SYSCALL`: runs when user space asks, and may call bpf(2).
    Syscall = 31,
    /// `BPF_PROG_TYPE_NETFILTER`: a netfilter hook.
    Netfilter = 32,
}

/// A kind that the runtime has a native context for, and so can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NativeKind {
    /// [`ProgramKind::RawMemory`] on [`crate::context::RawMemoryContext`].
    RawMemory,
    /// [`ProgramKind::SocketFilter`] on [`crate::context::SkbContext`].
    SocketFilter,
    /// [`ProgramKind::Xdp`] on [`crate::context::XdpContext`].
    Xdp,
}

impl NativeKind {
    /// The kind of program.
    #[must_use]
    pub const fn program_kind(self) -> ProgramKind {
        match self {
            Self::RawMemory => ProgramKind::RawMemory,
            Self::SocketFilter => ProgramKind::SocketFilter,
            Self::Xdp => ProgramKind::Xdp,
        }
    }
}

/// How a program of a kind may use packet pointers (`may_access_direct_pkt_data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PacketAccess {
    /// Not at all, or its context has none.
    None,
    /// Loads only.
    Read,
    /// Loads and stores.
    ReadWrite,
}

/// One row of the program kind table.
#[derive(Clone, Copy, Debug)]
pub struct ProgramKindInfo {
    /// The kind that the row describes.
    pub kind: ProgramKind,
    /// The name used on the command line and in text: Linux's in lower case.
    pub name: &'static str,
    /// The layout that the program sees in `r1`.
    pub context: &'static ContextInfo,
    /// Names of return values, by value, for reports.
    pub verdicts: &'static [&'static str],
    /// Whether legacy packet loads (`ld_abs`, `ld_ind`) are allowed.
    pub legacy_packet_loads: bool,
    /// How packet pointers may be used.
    pub packet: PacketAccess,
}

/// The program kind table, in the order of [`ProgramKind`].
pub const PROGRAM_KINDS: &[ProgramKindInfo] = &[
    row(ProgramKind::RawMemory, "raw_memory", &context::RAW_MEMORY),
    ProgramKindInfo {
        legacy_packet_loads: true,
        ..row(ProgramKind::SocketFilter, "socket_filter", &context::SOCKET_FILTER)
    },
    row(ProgramKind::Kprobe, "kprobe", &context::PT_REGS),
    ProgramKindInfo {
        legacy_packet_loads: true,
        packet: PacketAccess::ReadWrite,
        ..row(ProgramKind::SchedCls, "sched_cls", &context::SCHED)
    },
    ProgramKindInfo {
        legacy_packet_loads: true,
        packet: PacketAccess::ReadWrite,
        ..row(ProgramKind::SchedAct, "sched_act", &context::SCHED)
    },
    row(ProgramKind::Tracepoint, "tracepoint", &context::TRACEPOINT),
    ProgramKindInfo {
        verdicts: &["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"],
        packet: PacketAccess::ReadWrite,
        ..row(ProgramKind::Xdp, "xdp", &context::XDP_MD)
    },
    row(ProgramKind::PerfEvent, "perf_event", &context::BPF_PERF_EVENT_DATA),
    ProgramKindInfo {
        packet: PacketAccess::Read,
        ..row(ProgramKind::CgroupSkb, "cgroup_skb", &context::CGROUP_SKB)
    },
    row(ProgramKind::CgroupSock, "cgroup_sock", &context::BPF_SOCK),
    ProgramKindInfo { packet: PacketAccess::Read, ..row(ProgramKind::LwtIn, "lwt_in", &context::LWT) },
    ProgramKindInfo { packet: PacketAccess::Read, ..row(ProgramKind::LwtOut, "lwt_out", &context::LWT) },
    ProgramKindInfo {
        packet: PacketAccess::ReadWrite,
        ..row(ProgramKind::LwtXmit, "lwt_xmit", &context::LWT)
    },
    row(ProgramKind::SockOps, "sock_ops", &context::BPF_SOCK_OPS),
    ProgramKindInfo {
        packet: PacketAccess::ReadWrite,
        ..row(ProgramKind::SkSkb, "sk_skb", &context::SK_SKB)
    },
    row(ProgramKind::CgroupDevice, "cgroup_device", &context::BPF_CGROUP_DEV_CTX),
    ProgramKindInfo {
        packet: PacketAccess::ReadWrite,
        ..row(ProgramKind::SkMsg, "sk_msg", &context::SK_MSG_MD)
    },
    row(ProgramKind::RawTracepoint, "raw_tracepoint", &context::RAW_TRACEPOINT),
    row(ProgramKind::CgroupSockAddr, "cgroup_sock_addr", &context::BPF_SOCK_ADDR),
    ProgramKindInfo {
        packet: PacketAccess::Read,
        ..row(ProgramKind::LwtSeg6local, "lwt_seg6local", &context::LWT)
    },
    row(ProgramKind::LircMode2, "lirc_mode2", &context::LIRC_MODE2),
    ProgramKindInfo {
        packet: PacketAccess::Read,
        ..row(ProgramKind::SkReuseport, "sk_reuseport", &context::SK_REUSEPORT_MD)
    },
    ProgramKindInfo {
        packet: PacketAccess::Read,
        ..row(ProgramKind::FlowDissector, "flow_dissector", &context::FLOW_DISSECTOR)
    },
    row(ProgramKind::CgroupSysctl, "cgroup_sysctl", &context::BPF_SYSCTL),
    row(ProgramKind::RawTracepointWritable, "raw_tracepoint_writable", &context::RAW_TRACEPOINT_WRITABLE),
    ProgramKindInfo {
        packet: PacketAccess::ReadWrite,
        ..row(ProgramKind::CgroupSockopt, "cgroup_sockopt", &context::BPF_SOCKOPT)
    },
    row(ProgramKind::Tracing, "tracing", &context::BTF_ARGS),
    row(ProgramKind::StructOps, "struct_ops", &context::BTF_ARGS),
    row(ProgramKind::Ext, "ext", &context::BTF_ARGS),
    row(ProgramKind::Lsm, "lsm", &context::BTF_ARGS),
    row(ProgramKind::SkLookup, "sk_lookup", &context::BPF_SK_LOOKUP),
    row(ProgramKind::Syscall, "syscall", &context::SYSCALL),
    row(ProgramKind::Netfilter, "netfilter", &context::BPF_NF_CTX),
];

const fn row(kind: ProgramKind, name: &'static str, context: &'static ContextInfo) -> ProgramKindInfo {
    ProgramKindInfo {
        kind,
        name,
        context,
        verdicts: &[],
        legacy_packet_loads: false,
        packet: PacketAccess::None,
    }
}

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

    /// The number in Linux's `enum bpf_prog_type`, where Linux has the kind.
    #[must_use]
    pub const fn number(self) -> Option<u32> {
        match self as u32 {
            0 => None,
            number => Some(number),
        }
    }

    /// The kind with a number of `enum bpf_prog_type`.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let row = PROGRAM_KINDS.get(usize::try_from(number).ok()?)?;
        row.kind.number().map(|_| row.kind)
    }

    /// The kind with a name of the table.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        PROGRAM_KINDS.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// What programs of this kind run on here; `None` where they can be verified at most.
    #[must_use]
    pub const fn native(self) -> Option<NativeKind> {
        match self {
            Self::RawMemory => Some(NativeKind::RawMemory),
            Self::SocketFilter => Some(NativeKind::SocketFilter),
            Self::Xdp => Some(NativeKind::Xdp),
            Self::Kprobe
            | Self::SchedCls
            | Self::SchedAct
            | Self::Tracepoint
            | Self::PerfEvent
            | Self::CgroupSkb
            | Self::CgroupSock
            | Self::LwtIn
            | Self::LwtOut
            | Self::LwtXmit
            | Self::SockOps
            | Self::SkSkb
            | Self::CgroupDevice
            | Self::SkMsg
            | Self::RawTracepoint
            | Self::CgroupSockAddr
            | Self::LwtSeg6local
            | Self::LircMode2
            | Self::SkReuseport
            | Self::FlowDissector
            | Self::CgroupSysctl
            | Self::RawTracepointWritable
            | Self::CgroupSockopt
            | Self::Tracing
            | Self::StructOps
            | Self::Ext
            | Self::Lsm
            | Self::SkLookup
            | Self::Syscall
            | Self::Netfilter => None,
        }
    }

    /// The attach type that Linux works with: some kinds have one where none was given.
    #[must_use]
    pub const fn effective_attach(self, attach: Option<AttachType>) -> Option<AttachType> {
        match (self, attach) {
            (Self::CgroupSock, None | Some(AttachType::CgroupInetIngress)) => {
                Some(AttachType::CgroupInetSockCreate)
            }
            (Self::SkReuseport, None | Some(AttachType::CgroupInetIngress)) => {
                Some(AttachType::SkReuseportSelect)
            }
            (Self::CgroupSkb, None) => Some(AttachType::CgroupInetIngress),
            (_, attach) => attach,
        }
    }

    /// The attach types that Linux takes for this kind when a program is loaded
    /// (`bpf_prog_load_check_attach`); `None` where it does not look.
    #[must_use]
    pub const fn attach_types(self) -> Option<&'static [AttachType]> {
        use AttachType as At;
        match self {
            Self::CgroupSock => Some(&[
                At::CgroupInetSockCreate,
                At::CgroupInetSockRelease,
                At::CgroupInet4PostBind,
                At::CgroupInet6PostBind,
            ]),
            Self::CgroupSockAddr => Some(&[
                At::CgroupInet4Bind,
                At::CgroupInet6Bind,
                At::CgroupInet4Connect,
                At::CgroupInet6Connect,
                At::CgroupUnixConnect,
                At::CgroupInet4Getpeername,
                At::CgroupInet6Getpeername,
                At::CgroupUnixGetpeername,
                At::CgroupInet4Getsockname,
                At::CgroupInet6Getsockname,
                At::CgroupUnixGetsockname,
                At::CgroupUdp4Sendmsg,
                At::CgroupUdp6Sendmsg,
                At::CgroupUnixSendmsg,
                At::CgroupUdp4Recvmsg,
                At::CgroupUdp6Recvmsg,
                At::CgroupUnixRecvmsg,
            ]),
            Self::CgroupSkb => Some(&[At::CgroupInetIngress, At::CgroupInetEgress]),
            Self::CgroupSockopt => Some(&[At::CgroupSetsockopt, At::CgroupGetsockopt]),
            Self::SkLookup => Some(&[At::SkLookup]),
            Self::SkReuseport => Some(&[At::SkReuseportSelect, At::SkReuseportSelectOrMigrate]),
            Self::Netfilter => Some(&[At::Netfilter]),
            Self::Syscall | Self::Ext => Some(&[]),
            Self::RawMemory
            | Self::SocketFilter
            | Self::Kprobe
            | Self::SchedCls
            | Self::SchedAct
            | Self::Tracepoint
            | Self::Xdp
            | Self::PerfEvent
            | Self::LwtIn
            | Self::LwtOut
            | Self::LwtXmit
            | Self::SockOps
            | Self::SkSkb
            | Self::CgroupDevice
            | Self::SkMsg
            | Self::RawTracepoint
            | Self::LwtSeg6local
            | Self::LircMode2
            | Self::FlowDissector
            | Self::CgroupSysctl
            | Self::RawTracepointWritable
            | Self::Tracing
            | Self::StructOps
            | Self::Lsm => None,
        }
    }

    /// Whether Linux loads programs of this kind with an attach type. Number 0 is that of none.
    #[must_use]
    pub fn takes_attach(self, attach: Option<AttachType>) -> bool {
        let Some(types) = self.attach_types() else { return true };
        match self.effective_attach(attach).filter(|attach| !types.is_empty() || attach.number() > 0) {
            Some(attach) => types.contains(&attach),
            None => types.is_empty(),
        }
    }

    /// The values that `r0` may hold at exit, where Linux looks at them (`check_return_code`).
    ///
    /// What an LSM hook or a function of a structure may return, the kernel's types say.
    #[must_use]
    pub const fn return_range(self, attach: Option<AttachType>) -> Option<(i64, i64)> {
        match self {
            Self::CgroupSockAddr => match attach {
                Some(
                    AttachType::CgroupUdp4Recvmsg
                    | AttachType::CgroupUdp6Recvmsg
                    | AttachType::CgroupUnixRecvmsg
                    | AttachType::CgroupInet4Getpeername
                    | AttachType::CgroupInet6Getpeername
                    | AttachType::CgroupUnixGetpeername
                    | AttachType::CgroupInet4Getsockname
                    | AttachType::CgroupInet6Getsockname
                    | AttachType::CgroupUnixGetsockname,
                ) => Some((1, 1)),
                Some(AttachType::CgroupInet4Bind | AttachType::CgroupInet6Bind) => Some((0, 3)),
                _ => Some((0, 1)),
            },
            Self::CgroupSkb => match attach {
                Some(AttachType::CgroupInetEgress) => Some((0, 3)),
                _ => Some((0, 1)),
            },
            Self::CgroupSock
            | Self::SockOps
            | Self::CgroupDevice
            | Self::CgroupSysctl
            | Self::CgroupSockopt
            | Self::SkLookup
            | Self::Netfilter => Some((0, 1)),
            Self::Tracing => match attach {
                Some(AttachType::TraceFentry | AttachType::TraceFexit) => Some((0, 0)),
                Some(AttachType::TraceIter | AttachType::TraceFsession) => Some((0, 1)),
                _ => None,
            },
            Self::Kprobe => match attach {
                Some(AttachType::TraceKprobeSession | AttachType::TraceUprobeSession) => Some((0, 1)),
                _ => None,
            },
            Self::RawMemory
            | Self::SocketFilter
            | Self::SchedCls
            | Self::SchedAct
            | Self::Tracepoint
            | Self::Xdp
            | Self::PerfEvent
            | Self::LwtIn
            | Self::LwtOut
            | Self::LwtXmit
            | Self::SkSkb
            | Self::SkMsg
            | Self::RawTracepoint
            | Self::LwtSeg6local
            | Self::LircMode2
            | Self::SkReuseport
            | Self::FlowDissector
            | Self::RawTracepointWritable
            | Self::StructOps
            | Self::Ext
            | Self::Lsm
            | Self::Syscall => None,
        }
    }

    /// Whether programs of this kind can be run here.
    #[must_use]
    pub const fn runs(self) -> bool {
        self.native().is_some()
    }
}
