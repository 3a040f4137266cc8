//! The helper table against itself.

use super::*;
use crate::kinds::PROGRAM_KINDS;

#[test]
fn numbers_and_names_go_there_and_back() {
    for row in HELPERS {
        assert_eq!(HelperId::from_number(row.number), Some(row.id));
        assert_eq!(HelperId::from_name(row.name), Some(row.id));
        assert!(row.native_matches(), "{}", row.name);
    }
    assert_eq!((HelperId::from_number(0), HelperId::from_number(212)), (None, None));
    assert_eq!(HelperId::from_name("bpf_unheard_of"), None);
}

impl HelperInfo {
    fn native_matches(&self) -> bool {
        let symbol = self.id.native().map(|native| native.symbol().trim_start_matches("brolga_v1_"));
        symbol.is_none_or(|symbol| symbol == &self.name["bpf_".len()..])
    }
}

#[test]
fn prototypes_depend_on_the_kind() {
    let args = |id: HelperId, kind, attach| id.for_kind(kind, attach).map(|row| row.args);
    let cookie = |kind| args(HelperId::GetSocketCookie, kind, None);
    assert_eq!(cookie(ProgramKind::SchedCls), Some(&[Arg::Context][..]));
    assert_eq!(cookie(ProgramKind::SkReuseport), Some(&[Arg::BtfSockCommonOrNull][..]));
    assert_eq!(cookie(ProgramKind::Xdp), None);
    let bind = |attach| args(HelperId::Bind, ProgramKind::CgroupSockAddr, Some(attach)).is_some();
    assert!(bind(AttachType::CgroupInet4Connect) && !bind(AttachType::CgroupInet4Bind));
}

/// Who may call it is said once; a variant for kinds that may not would never be found.
#[test]
fn variants_are_for_callers_of_the_helper() {
    for variant in table::VARIANTS {
        for kind in PROGRAM_KINDS.iter().map(|row| row.kind).filter(|kind| variant.is_for(*kind, None)) {
            assert!(variant.id.allowed_in(kind), "{} for {kind:?}", variant.name);
        }
    }
}
