//! The section name table: what the name of a program's ELF section says of it.
//!
//! This is what libbpf 1.7 finds in a name: the first row that matches counts, whatever comes after
//! it. A name that no row matches says nothing; the kind must then be given. The `?` by which a
//! section keeps its programs from being loaded by default is not part of the name here.

use super::{AttachType, ProgramKind};

/// What else a section's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Traits {
    /// The program may sleep (`BPF_F_SLEEPABLE`).
    pub sleepable: bool,
    /// The program is attached to a function or type, which is found by its BTF id when it loads.
    pub btf_target: bool,
    /// The program takes packets of several buffers (`BPF_F_XDP_HAS_FRAGS`).
    pub frags: bool,
    /// A user-space static tracing probe: libbpf loads it as `BPF_TRACE_UPROBE_MULTI` where the
    /// kernel has such links, as Linux 6.6 and later do.
    pub usdt: bool,
    /// libbpf leaves the attach type away where the kernel does not ask for it (before Linux 4.17).
    pub attach_optional: bool,
}

/// One row of the section name table.
#[derive(Clone, Copy, Debug)]
pub struct SectionRow {
    /// An exact name, or one that ends in `+`: `tp+` stands for `tp` and for `tp/…`.
    pub pattern: &'static str,
    /// The kind of program.
    pub kind: ProgramKind,
    /// Where it is attached, if the name says so.
    pub attach: Option<AttachType>,
    /// What else the name says.
    pub traits: Traits,
}

/// What a section's name says of the programs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The kind of program.
    pub kind: ProgramKind,
    /// Where it is attached, if the name says so.
    pub attach: Option<AttachType>,
    /// What else the name says.
    pub traits: Traits,
    /// What follows the first slash, where the pattern leaves that open: `sys_enter_open` of
    /// `ksyscall/sys_enter_open`. May be empty.
    pub target: Option<&'a str>,
}

impl<'a> Section<'a> {
    /// What libbpf takes from a section's name, of which a leading `?` was taken off.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        SECTIONS.iter().find_map(|row| {
            let target = row.matches(name)?;
            Some(Self { kind: row.kind, attach: row.attach, traits: row.traits, target })
        })
    }

    /// The name that was meant where one says nothing: `xdp` for `xpd` and, as old objects have it, for `xdp_prog`.
    #[must_use]
    pub fn near(name: &str) -> Option<&'static str> {
        let patterns = || SECTIONS.iter().map(|row| row.pattern.trim_end_matches('+'));
        let whole = |pattern: &&str| {
            name.strip_prefix(*pattern).is_some_and(|rest| rest.starts_with(['_', '-', '.']))
        };
        patterns()
            .find(|pattern| mistyped(name, pattern))
            .or_else(|| patterns().filter(whole).max_by_key(|p| p.len()))
    }
}

impl SectionRow {
    /// Whether a name matches, and the target that it names.
    fn matches<'a>(&self, name: &'a str) -> Option<Option<&'a str>> {
        let Some(stem) = self.pattern.strip_suffix('+') else {
            return (name == self.pattern).then_some(None);
        };
        let rest = name.strip_prefix(stem)?;
        if rest.is_empty() { Some(None) } else { rest.strip_prefix('/').map(Some) }
    }

    const fn sleepable(self) -> Self {
        Self { traits: Traits { sleepable: true, ..self.traits }, ..self }
    }

    const fn btf_target(self) -> Self {
        Self { traits: Traits { btf_target: true, ..self.traits }, ..self }
    }

    const fn frags(self) -> Self {
        Self { traits: Traits { frags: true, ..self.traits }, ..self }
    }

    const fn usdt(self) -> Self {
        Self { traits: Traits { usdt: true, ..self.traits }, ..self }
    }

    const fn attach_optional(self) -> Self {
        Self { traits: Traits { attach_optional: true, ..self.traits }, ..self }
    }
}

/// A name that says no attach type.
const fn plain(pattern: &'static str, kind: ProgramKind) -> SectionRow {
    let traits =
        Traits { sleepable: false, btf_target: false, frags: false, usdt: false, attach_optional: false };
    SectionRow { pattern, kind, attach: None, traits }
}

/// A name that says an attach type.
const fn attached(pattern: &'static str, kind: ProgramKind, attach: AttachType) -> SectionRow {
    SectionRow { attach: Some(attach), ..plain(pattern, kind) }
}

use AttachType as At;
use ProgramKind as Kind;

/// Whether a name differs from another in one place: by a character more, less or other, or by two swapped.
fn mistyped(name: &str, other: &str) -> bool {
    let (a, b) = (name.as_bytes(), other.as_bytes());
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&a[..a.len() - end], &b[..b.len() - end]) {
        ([], [_]) | ([_], [] | [_]) => other.len() > 2,
        ([w, x], [y, z]) => w == z && x == y,
        _ => false,
    }
}

/// The section name table; the first row that matches counts.
pub const SECTIONS: &[SectionRow] = &[
    plain("socket", Kind::SocketFilter),
    attached("sk_reuseport/migrate", Kind::SkReuseport, At::SkReuseportSelectOrMigrate),
    attached("sk_reuseport", Kind::SkReuseport, At::SkReuseportSelect),
    plain("kprobe+", Kind::Kprobe),
    plain("uprobe+", Kind::Kprobe),
    plain("uprobe.s+", Kind::Kprobe).sleepable(),
    plain("kretprobe+", Kind::Kprobe),
    plain("uretprobe+", Kind::Kprobe),
    plain("uretprobe.s+", Kind::Kprobe).sleepable(),
    attached("kprobe.multi+", Kind::Kprobe, At::TraceKprobeMulti),
    attached("kretprobe.multi+", Kind::Kprobe, At::TraceKprobeMulti),
    attached("kprobe.session+", Kind::Kprobe, At::TraceKprobeSession),
    attached("uprobe.multi+", Kind::Kprobe, At::TraceUprobeMulti),
    attached("uretprobe.multi+", Kind::Kprobe, At::TraceUprobeMulti),
    attached("uprobe.session+", Kind::Kprobe, At::TraceUprobeSession),
    attached("uprobe.multi.s+", Kind::Kprobe, At::TraceUprobeMulti).sleepable(),
    attached("uretprobe.multi.s+", Kind::Kprobe, At::TraceUprobeMulti).sleepable(),
    attached("uprobe.session.s+", Kind::Kprobe, At::TraceUprobeSession).sleepable(),
    plain("ksyscall+", Kind::Kprobe),
    plain("kretsyscall+", Kind::Kprobe),
    plain("usdt+", Kind::Kprobe).usdt(),
    plain("usdt.s+", Kind::Kprobe).usdt().sleepable(),
    attached("tc/ingress", Kind::SchedCls, At::TcxIngress),
    attached("tc/egress", Kind::SchedCls, At::TcxEgress),
    attached("tcx/ingress", Kind::SchedCls, At::TcxIngress),
    attached("tcx/egress", Kind::SchedCls, At::TcxEgress),
    plain("tc", Kind::SchedCls),
    plain("classifier", Kind::SchedCls),
    plain("action", Kind::SchedAct),
    attached("netkit/primary", Kind::SchedCls, At::NetkitPrimary),
    attached("netkit/peer", Kind::SchedCls, At::NetkitPeer),
    plain("tracepoint+", Kind::Tracepoint),
    plain("tp+", Kind::Tracepoint),
    plain("raw_tracepoint+", Kind::RawTracepoint),
    plain("raw_tp+", Kind::RawTracepoint),
    plain("raw_tracepoint.w+", Kind::RawTracepointWritable),
    plain("raw_tp.w+", Kind::RawTracepointWritable),
    attached("tp_btf+", Kind::Tracing, At::TraceRawTp).btf_target(),
    attached("fentry+", Kind::Tracing, At::TraceFentry).btf_target(),
    attached("fmod_ret+", Kind::Tracing, At::ModifyReturn).btf_target(),
    attached("fexit+", Kind::Tracing, At::TraceFexit).btf_target(),
    attached("fentry.s+", Kind::Tracing, At::TraceFentry).btf_target().sleepable(),
    attached("fmod_ret.s+", Kind::Tracing, At::ModifyReturn).btf_target().sleepable(),
    attached("fexit.s+", Kind::Tracing, At::TraceFexit).btf_target().sleepable(),
    attached("fsession+", Kind::Tracing, At::TraceFsession).btf_target(),
    attached("fsession.s+", Kind::Tracing, At::TraceFsession).btf_target().sleepable(),
    plain("freplace+", Kind::Ext).btf_target(),
    attached("lsm+", Kind::Lsm, At::LsmMac).btf_target(),
    attached("lsm.s+", Kind::Lsm, At::LsmMac).btf_target().sleepable(),
    attached("lsm_cgroup+", Kind::Lsm, At::LsmCgroup).btf_target(),
    attached("iter+", Kind::Tracing, At::TraceIter).btf_target(),
    attached("iter.s+", Kind::Tracing, At::TraceIter).btf_target().sleepable(),
    plain("syscall", Kind::Syscall).sleepable(),
    attached("xdp.frags/devmap", Kind::Xdp, At::XdpDevmap).frags(),
    attached("xdp/devmap", Kind::Xdp, At::XdpDevmap),
    attached("xdp.frags/cpumap", Kind::Xdp, At::XdpCpumap).frags(),
    attached("xdp/cpumap", Kind::Xdp, At::XdpCpumap),
    attached("xdp.frags", Kind::Xdp, At::Xdp).frags(),
    attached("xdp", Kind::Xdp, At::Xdp).attach_optional(),
    plain("perf_event", Kind::PerfEvent),
    plain("lwt_in", Kind::LwtIn),
    plain("lwt_out", Kind::LwtOut),
    plain("lwt_xmit", Kind::LwtXmit),
    plain("lwt_seg6local", Kind::LwtSeg6local),
    attached("sockops", Kind::SockOps, At::CgroupSockOps).attach_optional(),
    attached("sk_skb/stream_parser", Kind::SkSkb, At::SkSkbStreamParser).attach_optional(),
    attached("sk_skb/stream_verdict", Kind::SkSkb, At::SkSkbStreamVerdict).attach_optional(),
    attached("sk_skb/verdict", Kind::SkSkb, At::SkSkbVerdict).attach_optional(),
    plain("sk_skb", Kind::SkSkb),
    attached("sk_msg", Kind::SkMsg, At::SkMsgVerdict).attach_optional(),
    attached("lirc_mode2", Kind::LircMode2, At::LircMode2).attach_optional(),
    attached("flow_dissector", Kind::FlowDissector, At::FlowDissector).attach_optional(),
    attached("cgroup_skb/ingress", Kind::CgroupSkb, At::CgroupInetIngress).attach_optional(),
    attached("cgroup_skb/egress", Kind::CgroupSkb, At::CgroupInetEgress).attach_optional(),
    plain("cgroup/skb", Kind::CgroupSkb),
    attached("cgroup/sock_create", Kind::CgroupSock, At::CgroupInetSockCreate),
    attached("cgroup/sock_release", Kind::CgroupSock, At::CgroupInetSockRelease),
    attached("cgroup/sock", Kind::CgroupSock, At::CgroupInetSockCreate).attach_optional(),
    attached("cgroup/post_bind4", Kind::CgroupSock, At::CgroupInet4PostBind),
    attached("cgroup/post_bind6", Kind::CgroupSock, At::CgroupInet6PostBind),
    attached("cgroup/bind4", Kind::CgroupSockAddr, At::CgroupInet4Bind),
    attached("cgroup/bind6", Kind::CgroupSockAddr, At::CgroupInet6Bind),
    attached("cgroup/connect4", Kind::CgroupSockAddr, At::CgroupInet4Connect),
    attached("cgroup/connect6", Kind::CgroupSockAddr, At::CgroupInet6Connect),
    attached("cgroup/connect_unix", Kind::CgroupSockAddr, At::CgroupUnixConnect),
    attached("cgroup/sendmsg4", Kind::CgroupSockAddr, At::CgroupUdp4Sendmsg),
    attached("cgroup/sendmsg6", Kind::CgroupSockAddr, At::CgroupUdp6Sendmsg),
    attached("cgroup/sendmsg_unix", Kind::CgroupSockAddr, At::CgroupUnixSendmsg),
    attached("cgroup/recvmsg4", Kind::CgroupSockAddr, At::CgroupUdp4Recvmsg),
    attached("cgroup/recvmsg6", Kind::CgroupSockAddr, At::CgroupUdp6Recvmsg),
    attached("cgroup/recvmsg_unix", Kind::CgroupSockAddr, At::CgroupUnixRecvmsg),
    attached("cgroup/getpeername4", Kind::CgroupSockAddr, At::CgroupInet4Getpeername),
    attached("cgroup/getpeername6", Kind::CgroupSockAddr, At::CgroupInet6Getpeername),
    attached("cgroup/getpeername_unix", Kind::CgroupSockAddr, At::CgroupUnixGetpeername),
    attached("cgroup/getsockname4", Kind::CgroupSockAddr, At::CgroupInet4Getsockname),
    attached("cgroup/getsockname6", Kind::CgroupSockAddr, At::CgroupInet6Getsockname),
    attached("cgroup/getsockname_unix", Kind::CgroupSockAddr, At::CgroupUnixGetsockname),
    attached("cgroup/sysctl", Kind::CgroupSysctl, At::CgroupSysctl),
    attached("cgroup/getsockopt", Kind::CgroupSockopt, At::CgroupGetsockopt),
    attached("cgroup/setsockopt", Kind::CgroupSockopt, At::CgroupSetsockopt),
    attached("cgroup/dev", Kind::CgroupDevice, At::CgroupDevice).attach_optional(),
    plain("struct_ops+", Kind::StructOps),
    plain("struct_ops.s+", Kind::StructOps).sleepable(),
    attached("sk_lookup", Kind::SkLookup, At::SkLookup),
    attached("netfilter", Kind::Netfilter, At::Netfilter),
];

#[cfg(test)]
mod tests {
    use super::Section;

    #[test]
    fn mistyped_names_are_recognized() {
        for (name, meant) in [
            ("xpd", Some("xdp")),
            ("xdp_prog", Some("xdp")),
            ("tracepont", Some("tracepoint")),
            ("cgroup/conect4", Some("cgroup/connect4")),
            ("1/3", None),
            ("mine", None),
            ("", None),
        ] {
            assert_eq!(Section::near(name), meant, "{name}");
        }
    }
}
