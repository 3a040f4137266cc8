//! Attach types: where a program of a kind is attached, which some kinds must say when they load.
//!
//! Numbers and names are those of Linux's `enum bpf_attach_type`. Number 0 is both
//! `BPF_CGROUP_INET_INGRESS` and what Linux finds where nothing was given, so "none" is not a row:
//! users of this table say `Option<AttachType>`.

/// An attach type. Its discriminant is Linux's number; the order is that of [`ATTACH_TYPES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is Linux's attach type of the same name; the table has it")]
pub enum AttachType {
    CgroupInetIngress = 0,
    CgroupInetEgress = 1,
    CgroupInetSockCreate = 2,
    CgroupSockOps = 3,
    SkSkbStreamParser = 4,
    SkSkbStreamVerdict = 5,
    CgroupDevice = 6,
    SkMsgVerdict = 7,
    CgroupInet4Bind = 8,
    CgroupInet6Bind = 9,
    CgroupInet4Connect = 10,
    CgroupInet6Connect = 11,
    CgroupInet4PostBind = 12,
    CgroupInet6PostBind = 13,
    CgroupUdp4Sendmsg = 14,
    CgroupUdp6Sendmsg = 15,
    LircMode2 = 16,
    FlowDissector = 17,
    CgroupSysctl = 18,
    CgroupUdp4Recvmsg = 19,
    CgroupUdp6Recvmsg = 20,
    CgroupGetsockopt = 21,
    CgroupSetsockopt = 22,
    TraceRawTp = 23,
    TraceFentry = 24,
    TraceFexit = 25,
    ModifyReturn = 26,
    LsmMac = 27,
    TraceIter = 28,
    CgroupInet4Getpeername = 29,
    CgroupInet6Getpeername = 30,
    CgroupInet4Getsockname = 31,
    CgroupInet6Getsockname = 32,
    XdpDevmap = 33,
    CgroupInetSockRelease = 34,
    XdpCpumap = 35,
    SkLookup = 36,
    Xdp = 37,
    SkSkbVerdict = 38,
    SkReuseportSelect = 39,
    SkReuseportSelectOrMigrate = 40,
    PerfEvent = 41,
    TraceKprobeMulti = 42,
    LsmCgroup = 43,
    StructOps = 44,
    Netfilter = 45,
    TcxIngress = 46,
    TcxEgress = 47,
    TraceUprobeMulti = 48,
    CgroupUnixConnect = 49,
    CgroupUnixSendmsg = 50,
    CgroupUnixRecvmsg = 51,
    CgroupUnixGetpeername = 52,
    CgroupUnixGetsockname = 53,
    NetkitPrimary = 54,
    NetkitPeer = 55,
    TraceKprobeSession = 56,
    TraceUprobeSession = 57,
    TraceFsession = 58,
}

/// The attach types with the names of their C constants, in the order of [`AttachType`].
pub const ATTACH_TYPES: &[(AttachType, &str)] = &[
    (AttachType::CgroupInetIngress, "BPF_CGROUP_INET_INGRESS"),
    (AttachType::CgroupInetEgress, "BPF_CGROUP_INET_EGRESS"),
    (AttachType::CgroupInetSockCreate, "BPF_CGROUP_INET_SOCK_CREATE"),
    (AttachType::CgroupSockOps, "BPF_CGROUP_SOCK_OPS"),
    (AttachType::SkSkbStreamParser, "BPF_SK_SKB_STREAM_PARSER"),
    (AttachType::SkSkbStreamVerdict, "BPF_SK_SKB_STREAM_VERDICT"),
    (AttachType::CgroupDevice, "BPF_CGROUP_DEVICE"),
    (AttachType::SkMsgVerdict, "BPF_SK_MSG_VERDICT"),
    (AttachType::CgroupInet4Bind, "BPF_CGROUP_INET4_BIND"),
    (AttachType::CgroupInet6Bind, "BPF_CGROUP_INET6_BIND"),
    (AttachType::CgroupInet4Connect, "BPF_CGROUP_INET4_CONNECT"),
    (AttachType::CgroupInet6Connect, "BPF_CGROUP_INET6_CONNECT"),
    (AttachType::CgroupInet4PostBind, "BPF_CGROUP_INET4_POST_BIND"),
    (AttachType::CgroupInet6PostBind, "BPF_CGROUP_INET6_POST_BIND"),
    (AttachType::CgroupUdp4Sendmsg, "BPF_CGROUP_UDP4_SENDMSG"),
    (AttachType::CgroupUdp6Sendmsg, "BPF_CGROUP_UDP6_SENDMSG"),
    (AttachType::LircMode2, "BPF_LIRC_MODE2"),
    (AttachType::FlowDissector, "BPF_FLOW_DISSECTOR"),
    (AttachType::CgroupSysctl, "BPF_CGROUP_SYSCTL"),
    (AttachType::CgroupUdp4Recvmsg, "BPF_CGROUP_UDP4_RECVMSG"),
    (AttachType::CgroupUdp6Recvmsg, "BPF_CGROUP_UDP6_RECVMSG"),
    (AttachType::CgroupGetsockopt, "BPF_CGROUP_GETSOCKOPT"),
    (AttachType::CgroupSetsockopt, "BPF_CGROUP_SETSOCKOPT"),
    (AttachType::TraceRawTp, "BPF_TRACE_RAW_TP"),
    (AttachType::TraceFentry, "BPF_TRACE_FENTRY"),
    (AttachType::TraceFexit, "BPF_TRACE_FEXIT"),
    (AttachType::ModifyReturn, "BPF_MODIFY_RETURN"),
    (AttachType::LsmMac, "BPF_LSM_MAC"),
    (AttachType::TraceIter, "BPF_TRACE_ITER"),
    (AttachType::CgroupInet4Getpeername, "BPF_CGROUP_INET4_GETPEERNAME"),
    (AttachType::CgroupInet6Getpeername, "BPF_CGROUP_INET6_GETPEERNAME"),
    (AttachType::CgroupInet4Getsockname, "BPF_CGROUP_INET4_GETSOCKNAME"),
    (AttachType::CgroupInet6Getsockname, "BPF_CGROUP_INET6_GETSOCKNAME"),
    (AttachType::XdpDevmap, "BPF_XDP_DEVMAP"),
    (AttachType::CgroupInetSockRelease, "BPF_CGROUP_INET_SOCK_RELEASE"),
    (AttachType::XdpCpumap, "BPF_XDP_CPUMAP"),
    (AttachType::SkLookup, "BPF_SK_LOOKUP"),
    (AttachType::Xdp, "BPF_XDP"),
    (AttachType::SkSkbVerdict, "BPF_SK_SKB_VERDICT"),
    (AttachType::SkReuseportSelect, "BPF_SK_REUSEPORT_SELECT"),
    (AttachType::SkReuseportSelectOrMigrate, "BPF_SK_REUSEPORT_SELECT_OR_MIGRATE"),
    (AttachType::PerfEvent, "BPF_PERF_EVENT"),
    (AttachType::TraceKprobeMulti, "BPF_TRACE_KPROBE_MULTI"),
    (AttachType::LsmCgroup, "BPF_LSM_CGROUP"),
    (AttachType::StructOps, "BPF_STRUCT_OPS"),
    (AttachType::Netfilter, "BPF_NETFILTER"),
    (AttachType::TcxIngress, "BPF_TCX_INGRESS"),
    (AttachType::TcxEgress, "BPF_TCX_EGRESS"),
    (AttachType::TraceUprobeMulti, "BPF_TRACE_UPROBE_MULTI"),
    (AttachType::CgroupUnixConnect, "BPF_CGROUP_UNIX_CONNECT"),
    (AttachType::CgroupUnixSendmsg, "BPF_CGROUP_UNIX_SENDMSG"),
    (AttachType::CgroupUnixRecvmsg, "BPF_CGROUP_UNIX_RECVMSG"),
    (AttachType::CgroupUnixGetpeername, "BPF_CGROUP_UNIX_GETPEERNAME"),
    (AttachType::CgroupUnixGetsockname, "BPF_CGROUP_UNIX_GETSOCKNAME"),
    (AttachType::NetkitPrimary, "BPF_NETKIT_PRIMARY"),
    (AttachType::NetkitPeer, "BPF_NETKIT_PEER"),
    (AttachType::TraceKprobeSession, "BPF_TRACE_KPROBE_SESSION"),
    (AttachType::TraceUprobeSession, "BPF_TRACE_UPROBE_SESSION"),
    (AttachType::TraceFsession, "BPF_TRACE_FSESSION"),
];

const _: () = {
    let mut i = 0;
    while i < ATTACH_TYPES.len() {
        assert!(ATTACH_TYPES[i].0 as usize == i, "rows must follow the order of `AttachType`");
        i += 1;
    }
};

impl AttachType {
    /// The attach type with a number of `enum bpf_attach_type`.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        ATTACH_TYPES.get(usize::try_from(number).ok()?).map(|row| row.0)
    }

    /// The number in `enum bpf_attach_type`.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The name of the C constant: `BPF_XDP_DEVMAP`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        ATTACH_TYPES[self as usize].1
    }
}
