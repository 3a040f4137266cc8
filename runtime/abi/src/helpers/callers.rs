//! Who may call a helper: sets of program kinds, and attach types where Linux looks at them.

use crate::kinds::{AttachType as At, ProgramKind as K};

/// A set of program kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KindSet(u64);

impl KindSet {
    /// These kinds.
    #[must_use]
    pub const fn of(kinds: &[K]) -> Self {
        let (mut set, mut i) = (0, 0);
        while i < kinds.len() {
            set |= 1 << kinds[i] as u64;
            i += 1;
        }
        Self(set)
    }

    /// Whether a kind is one of them.
    #[must_use]
    pub const fn contains(self, kind: K) -> bool {
        self.0 >> kind as u64 & 1 != 0
    }
}

/// Which attach types are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attached {
    /// Any, and none.
    Any,
    /// These.
    Only(&'static [At]),
    /// All but these.
    Except(&'static [At]),
}

/// Programs of some kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Callers {
    /// The kinds.
    pub kinds: KindSet,
    /// Their attach types.
    pub attach: Attached,
}

impl Callers {
    /// Whether a program is among them. Linux takes no attach type for number 0.
    #[must_use]
    pub fn include(&self, kind: K, attach: Option<At>) -> bool {
        let attach = attach.unwrap_or(At::CgroupInetIngress);
        self.kinds.contains(kind)
            && match self.attach {
                Attached::Any => true,
                Attached::Only(types) => types.contains(&attach),
                Attached::Except(types) => !types.contains(&attach),
            }
    }
}

const fn any(kinds: &[K]) -> Callers {
    Callers { kinds: KindSet::of(kinds), attach: Attached::Any }
}

const fn only(kind: K, types: &'static [At]) -> Callers {
    Callers { kinds: KindSet::of(&[kind]), attach: Attached::Only(types) }
}

type Set = &'static [Callers];

const EVERYWHERE: &[K] = &[
    K::RawMemory,
    K::SocketFilter,
    K::Kprobe,
    K::SchedCls,
    K::SchedAct,
    K::Tracepoint,
    K::Xdp,
    K::PerfEvent,
    K::CgroupSkb,
    K::CgroupSock,
    K::LwtIn,
    K::LwtOut,
    K::LwtXmit,
    K::SockOps,
    K::SkSkb,
    K::CgroupDevice,
    K::SkMsg,
    K::RawTracepoint,
    K::CgroupSockAddr,
    K::LwtSeg6local,
    K::SkReuseport,
    K::FlowDissector,
    K::CgroupSysctl,
    K::RawTracepointWritable,
    K::CgroupSockopt,
    K::Tracing,
    K::StructOps,
    K::SkLookup,
    K::Syscall,
    K::Netfilter,
    K::Lsm,
];

/// All kinds that have the common helpers.
pub(super) const BASE: Set = &[any(EVERYWHERE)];
/// The same, and infrared decoders, which have a few of them.
pub(super) const ALL: Set = &[any(EVERYWHERE), any(&[K::LircMode2])];
pub(super) const TRACE: Set = &[any(&[
    K::Kprobe,
    K::Tracepoint,
    K::PerfEvent,
    K::RawTracepoint,
    K::RawTracepointWritable,
    K::Tracing,
    K::Syscall,
    K::Lsm,
])];
pub(super) const SKB_WRITE: Set = &[any(&[K::SchedCls, K::SchedAct, K::LwtXmit, K::SkSkb])];
pub(super) const TC_XMIT: Set = &[any(&[K::SchedCls, K::SchedAct, K::LwtXmit])];
pub(super) const TC: Set = &[any(&[K::SchedCls, K::SchedAct])];
pub(super) const REDIRECT: Set = &[any(&[K::SchedCls, K::SchedAct, K::Xdp, K::LwtXmit])];
pub(super) const TC_LWT: Set =
    &[any(&[K::SchedCls, K::SchedAct, K::LwtIn, K::LwtOut, K::LwtXmit, K::LwtSeg6local])];
pub(super) const OUTPUT: Set = &[any(&[
    K::SocketFilter,
    K::Kprobe,
    K::SchedCls,
    K::SchedAct,
    K::Tracepoint,
    K::Xdp,
    K::PerfEvent,
    K::CgroupSkb,
    K::CgroupSock,
    K::LwtIn,
    K::LwtOut,
    K::LwtXmit,
    K::SockOps,
    K::SkSkb,
    K::CgroupDevice,
    K::SkMsg,
    K::RawTracepoint,
    K::CgroupSockAddr,
    K::LwtSeg6local,
    K::CgroupSysctl,
    K::RawTracepointWritable,
    K::CgroupSockopt,
    K::Tracing,
    K::SkLookup,
    K::Syscall,
    K::Lsm,
])];
pub(super) const SKB_LOAD: Set = &[any(&[
    K::SocketFilter,
    K::SchedCls,
    K::SchedAct,
    K::CgroupSkb,
    K::LwtIn,
    K::LwtOut,
    K::LwtXmit,
    K::SkSkb,
    K::LwtSeg6local,
    K::SkReuseport,
    K::FlowDissector,
])];
pub(super) const CSUM_DIFF: Set =
    &[any(&[K::SchedCls, K::SchedAct, K::Xdp, K::LwtIn, K::LwtOut, K::LwtXmit, K::LwtSeg6local])];
pub(super) const SKB_PULL: Set =
    &[any(&[K::SchedCls, K::SchedAct, K::LwtIn, K::LwtOut, K::LwtXmit, K::SkSkb, K::LwtSeg6local])];
pub(super) const XDP: Set = &[any(&[K::Xdp])];
pub(super) const SOCKET_COOKIE: Set = &[any(&[
    K::SocketFilter,
    K::SchedCls,
    K::SchedAct,
    K::CgroupSkb,
    K::CgroupSock,
    K::SockOps,
    K::SkSkb,
    K::CgroupSockAddr,
    K::SkReuseport,
    K::Tracing,
    K::Syscall,
    K::Lsm,
])];
pub(super) const SOCKET_UID: Set =
    &[any(&[K::SocketFilter, K::SchedCls, K::SchedAct, K::CgroupSkb, K::SkSkb])];
pub(super) const ADJUST_ROOM: Set = &[any(&[K::SchedCls, K::SchedAct, K::SkSkb])];
pub(super) const SK_SKB: Set = &[any(&[K::SkSkb])];
pub(super) const SOCK_OPS: Set = &[any(&[K::SockOps])];
pub(super) const PERF_EVENT: Set = &[any(&[K::PerfEvent])];
pub(super) const SK_MSG: Set = &[any(&[K::SkMsg])];
pub(super) const LOAD_RELATIVE: Set =
    &[any(&[K::SocketFilter, K::SchedCls, K::SchedAct, K::CgroupSkb, K::SkReuseport])];
pub(super) const TC_XDP: Set = &[any(&[K::SchedCls, K::SchedAct, K::Xdp])];
pub(super) const LWT_ENCAP: Set = &[any(&[K::LwtIn, K::LwtXmit])];
pub(super) const SEG6: Set = &[any(&[K::LwtSeg6local])];
pub(super) const TC_CGROUP: Set = &[any(&[K::SchedCls, K::SchedAct, K::CgroupSkb])];
pub(super) const REUSEPORT: Set = &[any(&[K::SkReuseport])];
pub(super) const FIND_SOCKET: Set =
    &[any(&[K::SchedCls, K::SchedAct, K::Xdp, K::CgroupSkb, K::SkSkb, K::CgroupSockAddr])];
pub(super) const SK_RELEASE: Set =
    &[any(&[K::SchedCls, K::SchedAct, K::Xdp, K::CgroupSkb, K::SkSkb, K::CgroupSockAddr, K::SkLookup])];
pub(super) const TCP_SOCK: Set =
    &[any(&[K::SchedCls, K::SchedAct, K::CgroupSkb, K::SockOps, K::CgroupSockopt])];
pub(super) const SYSCTL: Set = &[any(&[K::CgroupSysctl])];
pub(super) const STORAGE_GET: Set = &[any(&[
    K::SchedCls,
    K::SchedAct,
    K::CgroupSkb,
    K::CgroupSock,
    K::SockOps,
    K::SkMsg,
    K::CgroupSockAddr,
    K::CgroupSockopt,
    K::Tracing,
    K::StructOps,
    K::Syscall,
    K::Lsm,
])];
pub(super) const STORAGE_DELETE: Set = &[any(&[
    K::SchedCls,
    K::SchedAct,
    K::CgroupSkb,
    K::SockOps,
    K::SkMsg,
    K::CgroupSockAddr,
    K::CgroupSockopt,
    K::Tracing,
    K::StructOps,
    K::Syscall,
    K::Lsm,
])];
pub(super) const TYPED: Set = &[any(&[K::Tracing, K::Syscall, K::Lsm])];
pub(super) const TCP_CA: Set = &[any(&[K::StructOps])];
pub(super) const NETNS_COOKIE: Set = &[any(&[
    K::SocketFilter,
    K::SchedCls,
    K::SchedAct,
    K::CgroupSkb,
    K::CgroupSock,
    K::SockOps,
    K::SkMsg,
    K::CgroupSockAddr,
    K::CgroupSockopt,
])];
pub(super) const SK_ASSIGN: Set = &[any(&[K::SchedCls, K::SchedAct, K::SkLookup])];
pub(super) const CGROUP_SKB: Set = &[any(&[K::CgroupSkb])];
pub(super) const SOCKET_CAST: Set = &[any(&[
    K::SocketFilter,
    K::SchedCls,
    K::SchedAct,
    K::Xdp,
    K::CgroupSkb,
    K::LwtIn,
    K::LwtOut,
    K::LwtXmit,
    K::SockOps,
    K::SkSkb,
    K::SkMsg,
    K::CgroupSockAddr,
    K::LwtSeg6local,
    K::FlowDissector,
    K::Tracing,
    K::SkLookup,
    K::Syscall,
    K::Lsm,
])];
pub(super) const COARSE_TIME: Set = &[any(&[
    K::SocketFilter,
    K::SchedCls,
    K::SchedAct,
    K::Xdp,
    K::CgroupSkb,
    K::CgroupSock,
    K::LwtIn,
    K::LwtOut,
    K::LwtXmit,
    K::SockOps,
    K::SkSkb,
    K::SkMsg,
    K::CgroupSockAddr,
    K::LwtSeg6local,
    K::SkReuseport,
    K::FlowDissector,
    K::CgroupSysctl,
    K::StructOps,
    K::SkLookup,
])];
pub(super) const SYSCALL: Set = &[any(&[K::Syscall])];
pub(super) const BUFF_LEN: Set = &[any(&[K::Xdp, K::Tracing, K::Syscall, K::Lsm])];
pub(super) const KPROBE: Set = &[any(&[K::Kprobe])];
pub(super) const LIRC: Set = &[any(&[K::LircMode2])];
pub(super) const LSM: Set = &[any(&[K::Lsm])];
pub(super) const TRACING: Set = &[any(&[K::Tracing, K::Syscall])];
pub(super) const CGROUP_SOCK: Set = &[any(&[K::CgroupSock])];
pub(super) const SK_LOOKUP: Set = &[any(&[K::SkLookup])];
/// Those that get a socket's cookie by a pointer to it.
pub(super) const SOCKET_POINTER: Set = &[any(&[K::SkReuseport, K::Tracing, K::Lsm, K::Syscall])];
pub(super) const MULTI: Set = &[only(
    K::Kprobe,
    &[At::TraceKprobeMulti, At::TraceKprobeSession, At::TraceUprobeMulti, At::TraceUprobeSession],
)];
pub(super) const ITER: Set = &[only(K::Tracing, &[At::TraceIter])];
pub(super) const BIND: Set = &[only(K::CgroupSockAddr, &[At::CgroupInet4Connect, At::CgroupInet6Connect])];

/// Attach types whose programs run before, after or in place of a function.
const CALLS: &[At] = &[At::TraceFentry, At::TraceFexit, At::ModifyReturn, At::TraceFsession];
pub(super) const TRAMPOLINE: Set = &[only(K::Tracing, CALLS), only(K::Lsm, &[At::LsmMac])];
pub(super) const FUNC_IP: Set = &[any(&[K::Kprobe]), only(K::Tracing, CALLS)];
pub(super) const COOKIE: Set = &[
    any(&[K::Kprobe, K::Tracepoint, K::PerfEvent, K::RawTracepoint, K::RawTracepointWritable]),
    only(K::Tracing, CALLS),
    only(K::Tracing, &[At::TraceRawTp]),
    only(K::Lsm, &[At::LsmMac]),
];

/// Attach types whose programs have nothing to say of the system call's result.
const NO_RETVAL: &[At] = &[
    At::CgroupInetIngress,
    At::CgroupInetEgress,
    At::CgroupSockOps,
    At::CgroupUdp4Recvmsg,
    At::CgroupUdp6Recvmsg,
    At::CgroupUnixRecvmsg,
    At::CgroupInet4Getpeername,
    At::CgroupInet6Getpeername,
    At::CgroupUnixGetpeername,
    At::CgroupInet4Getsockname,
    At::CgroupInet6Getsockname,
    At::CgroupUnixGetsockname,
];
pub(super) const RETVAL: Set = &[
    any(&[K::CgroupSock, K::CgroupSockopt]),
    Callers {
        kinds: KindSet::of(&[K::SockOps, K::CgroupDevice, K::CgroupSysctl, K::CgroupSockAddr]),
        attach: Attached::Except(NO_RETVAL),
    },
    only(K::Lsm, &[At::LsmCgroup]),
];
pub(super) const LOCAL_STORAGE: Set = &[
    any(&[
        K::CgroupSkb,
        K::CgroupSock,
        K::SockOps,
        K::CgroupDevice,
        K::CgroupSockAddr,
        K::CgroupSysctl,
        K::CgroupSockopt,
    ]),
    only(K::Lsm, &[At::LsmCgroup]),
];
/// Those that set options by a pointer to the socket.
pub(super) const SOCKOPT_OF_SOCKET: Set =
    &[any(&[K::StructOps]), only(K::CgroupSockopt, &[At::CgroupSetsockopt]), only(K::Lsm, &[At::LsmCgroup])];
pub(super) const SOCKOPT: Set = &[
    any(&[K::SockOps, K::CgroupSockAddr, K::StructOps]),
    only(K::CgroupSockopt, &[At::CgroupSetsockopt]),
    only(K::Lsm, &[At::LsmCgroup]),
];
