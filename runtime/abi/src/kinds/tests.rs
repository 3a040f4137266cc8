//! Section names, numbers and names of the program kind table.

use super::*;

fn parsed(name: &str) -> Option<(ProgramKind, Option<AttachType>, Option<&str>)> {
    Section::parse(name).map(|section| (section.kind, section.attach, section.target))
}

#[test]
fn sections_mean_what_libbpf_takes_them_for() {
    use AttachType as At;
    use ProgramKind as Kind;
    let tp = |target| Some((Kind::Tracepoint, None, target));
    assert_eq!(parsed("tp"), tp(None));
    assert_eq!(parsed("tp/"), tp(Some("")));
    assert_eq!(parsed("tracepoint/sched/sched_switch"), tp(Some("sched/sched_switch")));
    assert_eq!(parsed("tp_foo"), None);
    assert_eq!(parsed("xdp"), Some((Kind::Xdp, Some(At::Xdp), None)));
    assert_eq!(parsed("xdp/devmap"), Some((Kind::Xdp, Some(At::XdpDevmap), None)));
    for name in ["", "?xdp", "xdp/other", "xdp_devmap/x", "socket1", "cgroup/skb/", "kprobe.s/f"] {
        assert_eq!(parsed(name), None, "{name}");
    }
    assert_eq!(parsed("cgroup_skb/ingress"), Some((Kind::CgroupSkb, Some(At::CgroupInetIngress), None)));
    assert_eq!(parsed("cgroup/skb"), Some((Kind::CgroupSkb, None, None)));
    assert_eq!(parsed("tc/egress"), Some((Kind::SchedCls, Some(At::TcxEgress), None)));
    let session = Some((Kind::Kprobe, Some(At::TraceKprobeSession), Some("f*")));
    assert_eq!(parsed("kprobe.session/f*"), session);
}

#[test]
fn traits_are_those_of_the_section() {
    let traits = |name| Section::parse(name).map(|section| section.traits).unwrap_or_default();
    assert!(traits("fentry.s/f").sleepable && traits("fentry.s/f").btf_target);
    assert!(!traits("fentry/f").sleepable && traits("freplace").btf_target);
    assert!(traits("syscall").sleepable && traits("usdt.s/a:b:c").usdt);
    assert!(traits("xdp.frags/cpumap").frags && !traits("xdp/cpumap").frags);
    assert!(traits("xdp").attach_optional && !traits("xdp/cpumap").attach_optional);
}

/// A row that stands behind one which matches all its names can never count.
#[test]
fn every_row_is_found_by_its_own_name() {
    for row in SECTIONS {
        let name = row.pattern.trim_end_matches('+');
        let found = Section::parse(name).expect(name);
        assert_eq!((found.kind, found.attach, found.traits), (row.kind, row.attach, row.traits), "{name}");
    }
}

#[test]
fn numbers_go_there_and_back() {
    for row in PROGRAM_KINDS {
        assert_eq!(
            row.kind.number().map(ProgramKind::from_number),
            row.kind.number().map(|_| Some(row.kind))
        );
        assert_eq!(ProgramKind::from_name(row.name), Some(row.kind));
        assert!(row.kind.native().is_none_or(|native| native.program_kind() == row.kind));
    }
    assert_eq!((ProgramKind::from_number(0), ProgramKind::from_number(33)), (None, None));
    for (attach, name) in ATTACH_TYPES {
        assert_eq!((AttachType::from_number(attach.number()), attach.name()), (Some(*attach), *name));
    }
}
