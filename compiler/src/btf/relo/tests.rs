//! Tests of CO-RE on hand-made types: one a rule.

use super::*;
use crate::isa::Endianness;

/// Writes BTF, a record at a time; ids count from 1.
struct Builder {
    endianness: Endianness,
    types: Vec<u32>,
    strings: Vec<u8>,
    next: u32,
}

impl Builder {
    fn new() -> Self {
        Self { endianness: Endianness::Little, types: Vec::new(), strings: vec![0], next: 1 }
    }

    fn str(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).expect("small");
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    fn record(&mut self, name: &str, kind: Kind, flag: bool, vlen: usize, size: u32, extra: &[u32]) -> u32 {
        let info = u32::from(flag) << 31 | (kind as u32) << 24 | u32::try_from(vlen).expect("small");
        let name = self.str(name);
        self.types.extend([name, info, size]);
        self.types.extend(extra);
        self.next += 1;
        self.next - 1
    }

    fn int(&mut self, name: &str, size: u32, signed: bool) -> u32 {
        self.record(name, Kind::Int, false, 0, size, &[(u32::from(signed) << 24) | (size * 8)])
    }

    fn refer(&mut self, name: &str, kind: Kind, to: u32) -> u32 {
        self.record(name, kind, false, 0, to, &[])
    }

    fn array(&mut self, element: u32, len: u32) -> u32 {
        self.record("", Kind::Array, false, 0, 0, &[element, element, len])
    }

    /// Members as (name, type, bit offset).
    fn composite(&mut self, kind: Kind, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let words: Vec<u32> =
            members.iter().flat_map(|&(name, ty, offset)| [self.str(name), ty, offset]).collect();
        self.record(name, kind, members.iter().any(|m| m.2 >> 24 != 0), members.len(), size, &words)
    }

    fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.composite(Kind::Struct, name, size, members)
    }

    fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, i32)]) -> u32 {
        let words: Vec<u32> =
            values.iter().flat_map(|&(name, value)| [self.str(name), value.cast_unsigned()]).collect();
        self.record(name, Kind::Enum, signed, values.len(), 4, &words)
    }

    fn enumeration64(&mut self, name: &str, size: u32, values: &[(&str, u32, u32)]) -> u32 {
        let words: Vec<u32> =
            values.iter().flat_map(|&(name, low, high)| [self.str(name), low, high]).collect();
        self.record(name, Kind::Enum64, false, values.len(), size, &words)
    }

    fn prototype(&mut self, returns: u32, params: &[u32]) -> u32 {
        let words: Vec<u32> = params.iter().flat_map(|&ty| [0, ty]).collect();
        self.record("", Kind::FuncProto, false, params.len(), returns, &words)
    }

    fn build(&self) -> Btf {
        let word = |value: u32| match self.endianness {
            Endianness::Little => value.to_le_bytes(),
            Endianness::Big => value.to_be_bytes(),
        };
        let mut out = match self.endianness {
            Endianness::Little => vec![0x9f, 0xeb, 1, 0],
            Endianness::Big => vec![0xeb, 0x9f, 1, 0],
        };
        let types = u32::try_from(4 * self.types.len()).expect("small");
        let strings = u32::try_from(self.strings.len()).expect("small");
        out.extend([24, 0, types, types, strings].into_iter().flat_map(word));
        out.extend(self.types.iter().flat_map(|&value| word(value)));
        out.extend(&self.strings);
        Btf::parse(&out).expect("valid")
    }
}

/// A bit field's offset, as structures with bit fields write it.
const fn bits(offset: u32, bits: u32) -> u32 {
    bits << 24 | offset
}

/// An object with one relocation, and the kernel.
struct Case {
    local: Builder,
    target: Builder,
}

type Outcomes = Result<Arc<Resolution>, CoreError>;

/// The error itself.
fn unshared(resolved: Resolved) -> Outcomes {
    resolved.map_err(Arc::unwrap_or_clone)
}

impl Case {
    fn new() -> Self {
        Self { local: Builder::new(), target: Builder::new() }
    }

    fn relo(&mut self, ty: u32, access: &str, kind: CoreKind) -> CoreRelo {
        CoreRelo { insn_off: 0, ty: TypeId(ty), access: StrOff(self.local.str(access)), kind: kind as u32 }
    }

    fn resolve(&mut self, ty: u32, access: &str, kind: CoreKind) -> Outcomes {
        let relo = self.relo(ty, access, kind);
        let (local, target) = (self.local.build(), self.target.build());
        unshared(Relocator::new(&local, Targets::Kernel { vmlinux: &target, modules: &[] }).resolve(&relo))
    }

    fn own(&mut self, ty: u32, access: &str, kind: CoreKind) -> Outcomes {
        let relo = self.relo(ty, access, kind);
        unshared(Relocator::new(&self.local.build(), Targets::Own).resolve(&relo))
    }

    /// The value, `None` where it is missing.
    fn value(&mut self, ty: u32, access: &str, kind: CoreKind) -> Option<u64> {
        value(&self.resolve(ty, access, kind).expect("resolves"))
    }
}

fn value(resolution: &Resolution) -> Option<u64> {
    match resolution.outcome {
        Outcome::Value(value) => Some(value),
        Outcome::Missing(_) => None,
    }
}

#[test]
fn fields_are_found_by_name_through_anonymous_structures() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let array = case.local.array(int, 4);
    let root = case.local.structure("task", 24, &[("pid", int, 0), ("ids", array, 32)]);
    let t_int = case.target.int("int", 4, true);
    let t_array = case.target.array(t_int, 8);
    let inner = case.target.structure("", 40, &[("other", t_int, 0), ("ids", t_array, 64)]);
    let either = case.target.composite(Kind::Union, "", 40, &[("x", t_int, 0), ("", inner, 0)]);
    let t_root = case.target.structure("task___new", 60, &[("", either, 64), ("pid", t_int, 480)]);

    let pid = case.resolve(root, "0:0", CoreKind::FieldByteOffset).expect("found");
    assert_eq!((pid.original, pid.validate, pid.outcome), (0, true, Outcome::Value(60)));
    assert_eq!(pid.local.to_string(), "struct task.pid (0:0)");
    let target = pid.target.as_ref().expect("found");
    assert_eq!(
        (target.spec.root, target.spec.to_string()),
        (TypeId(t_root), "struct task___new.pid (0:1)".to_owned())
    );
    let element = case.resolve(root, "0:1:3", CoreKind::FieldByteOffset).expect("found");
    assert_eq!((element.original, element.outcome), (16, Outcome::Value(8 + 8 + 12)));
    assert_eq!(element.local.to_string(), "struct task.ids[3] (0:1:3)");
    assert_eq!(
        element.target.as_ref().map(|t| t.spec.to_string()).as_deref(),
        Some("struct task___new.ids[3] (0:0:1:1:3)")
    );
    assert_eq!(case.value(root, "2:0", CoreKind::FieldByteOffset), Some(2 * 60 + 60));
    assert_eq!(case.value(root, "0:1", CoreKind::FieldByteSize), Some(32));
    assert_eq!(case.value(root, "0:1", CoreKind::FieldExists), Some(1));
    assert_eq!(case.value(root, "0:0", CoreKind::FieldSigned), Some(1));
    assert_eq!(case.value(root, "0", CoreKind::TypeSize), Some(60));
    assert_eq!(case.value(root, "0", CoreKind::TypeExists), Some(1));
    assert_eq!(case.value(root, "0", CoreKind::TypeIdTarget), Some(t_root.into()));
    assert_eq!(case.value(root, "0", CoreKind::TypeIdLocal), Some(root.into()));
}

#[test]
fn what_the_kernel_lacks_is_zero_or_missing() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let root = case.local.structure("task", 8, &[("pid", int, 0), ("gone", int, 32)]);
    let lost = case.local.structure("lost", 4, &[("a", int, 0)]);
    let color = case.local.enumeration("color", false, &[("RED", 0), ("BLUE", 1)]);
    let t_int = case.target.int("int", 4, true);
    let t_ptr = case.target.refer("", Kind::Ptr, t_int);
    // `pid` is a pointer here, which no integer stands for.
    case.target.structure("task", 8, &[("pid", t_ptr, 0)]);
    case.target.enumeration("color", false, &[("RED", 4)]);

    let missing = |resolved: Outcomes| resolved.expect("resolves").outcome;
    use CoreKind::*;
    for kind in [FieldByteOffset, FieldByteSize, FieldSigned, FieldLshiftU64, FieldRshiftU64] {
        assert_eq!(missing(case.resolve(root, "0:1", kind)), Outcome::Missing(Missing::Part), "{kind:?}");
        assert_eq!(missing(case.resolve(root, "0:0", kind)), Outcome::Missing(Missing::Part), "{kind:?}");
        assert_eq!(missing(case.resolve(lost, "0:0", kind)), Outcome::Missing(Missing::Type), "{kind:?}");
    }
    for kind in [TypeExists, TypeSize, TypeIdTarget, TypeMatches] {
        assert_eq!(case.value(lost, "0", kind), Some(0), "{kind:?}");
    }
    assert_eq!(case.value(root, "0:1", FieldExists), Some(0));
    assert_eq!(case.value(color, "0", EnumvalValue), Some(4));
    assert_eq!(case.value(color, "1", EnumvalExists), Some(0));
    assert_eq!(case.value(color, "1", EnumvalValue), None);
    let red = case.resolve(color, "0", EnumvalValue).expect("found");
    assert_eq!(red.local.to_string(), "enum color::RED (0)");
}

#[test]
fn enumerators_have_the_values_of_either_width() {
    let mut case = Case::new();
    let small = case.local.enumeration("e", false, &[("A___x", -1), ("B", 3)]);
    case.target.enumeration64("e", 8, &[("B___other", 5, 6), ("A", 1, 2)]);
    let a = case.resolve(small, "0", CoreKind::EnumvalValue).expect("found");
    // As libbpf: 32 bits are signed, whatever the type says.
    assert_eq!((a.original, a.outcome), (u64::MAX, Outcome::Value(2 << 32 | 1)));
    assert_eq!(case.value(small, "1", CoreKind::EnumvalValue), Some(6 << 32 | 5));
    assert_eq!(case.value(small, "1", CoreKind::EnumvalExists), Some(1));
    assert!(matches!(case.resolve(small, "2", CoreKind::EnumvalValue), Err(CoreError::Access { .. })));
    assert!(matches!(case.resolve(small, "0:0", CoreKind::EnumvalValue), Err(CoreError::Access { .. })));
}

#[test]
fn bit_fields_move_within_the_word_that_holds_them() {
    for (endianness, shift) in [(Endianness::Little, 64 - (4 + 7)), (Endianness::Big, 32 + 4)] {
        let mut case = Case::new();
        (case.local.endianness, case.target.endianness) = (endianness, endianness);
        let int = case.local.int("int", 4, true);
        let root = case.local.structure("s", 4, &[("f", int, bits(0, 5))]);
        let t_int = case.target.int("int", 4, true);
        case.target.structure("s", 16, &[("f", t_int, bits(68, 7))]);
        let offset = case.resolve(root, "0:0", CoreKind::FieldByteOffset).expect("found");
        assert_eq!((offset.validate, offset.resize, offset.outcome), (false, None, Outcome::Value(8)));
        assert_eq!(case.value(root, "0:0", CoreKind::FieldByteSize), Some(4));
        assert_eq!(case.value(root, "0:0", CoreKind::FieldLshiftU64), Some(shift));
        let right = case.resolve(root, "0:0", CoreKind::FieldRshiftU64).expect("found");
        assert_eq!((right.validate, right.outcome), (true, Outcome::Value(64 - 7)));
    }
    // One that straddles 32 bits is read with 64; one that straddles 64 not at all.
    for (offset, size) in [(30, Some(8)), (62, None)] {
        let mut case = Case::new();
        let int = case.local.int("int", 4, true);
        let root = case.local.structure("s", 4, &[("f", int, bits(0, 5))]);
        let t_int = case.target.int("int", 4, true);
        case.target.structure("s", 16, &[("f", t_int, bits(offset, 7))]);
        match size {
            Some(size) => assert_eq!(case.value(root, "0:0", CoreKind::FieldByteSize), Some(size)),
            None => {
                assert_eq!(case.resolve(root, "0:0", CoreKind::FieldByteSize), Err(CoreError::BitField));
            }
        }
    }
}

#[test]
fn sizes_of_accesses_change_only_for_pointers_and_unsigned_integers() {
    let resize = |signed: bool, target: fn(&mut Builder) -> u32| {
        let mut case = Case::new();
        let ty = case.local.int("long", 8, signed);
        let root = case.local.structure("s", 8, &[("f", ty, 0)]);
        let field = target(&mut case.target);
        case.target.structure("s", 8, &[("f", field, 0)]);
        case.resolve(root, "0:0", CoreKind::FieldByteOffset).expect("found").resize
    };
    assert_eq!(resize(true, |b| b.int("long", 8, true)), None);
    assert_eq!(resize(false, |b| b.int("u32", 4, false)), Some(Resize { from: 8, to: 4, safe: true }));
    assert_eq!(resize(true, |b| b.int("u32", 4, false)), Some(Resize { from: 8, to: 4, safe: false }));
    assert_eq!(resize(false, |b| b.int("s32", 4, true)), Some(Resize { from: 8, to: 4, safe: false }));

    // A pointer of a 32-bit kernel, whose `long` says so.
    let mut case = Case::new();
    let void = case.local.refer("", Kind::Ptr, 0);
    let root = case.local.structure("s", 8, &[("f", void, 0)]);
    case.target.int("long unsigned int", 4, false);
    let void = case.target.refer("", Kind::Ptr, 0);
    case.target.structure("s", 8, &[("f", void, 32)]);
    let found = case.resolve(root, "0:0", CoreKind::FieldByteOffset).expect("found");
    assert_eq!(found.resize, Some(Resize { from: 8, to: 4, safe: true }));
    assert_eq!(case.value(root, "0:0", CoreKind::FieldByteSize), Some(4));

    // Of arrays, the element counts.
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let array = case.local.array(int, 2);
    let root = case.local.structure("s", 8, &[("f", array, 0)]);
    let t_int = case.target.int("int", 4, true);
    let t_array = case.target.array(t_int, 4);
    case.target.structure("s", 16, &[("f", t_array, 0)]);
    assert_eq!(case.resolve(root, "0:0", CoreKind::FieldByteOffset).expect("found").resize, None);
}

#[test]
fn candidates_must_agree() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let root = case.local.structure("s", 8, &[("a", int, 0), ("b", int, 32)]);
    let t_int = case.target.int("int", 4, true);
    case.target.structure("s", 8, &[("a", t_int, 0), ("b", t_int, 32)]);
    case.target.structure("s___2", 12, &[("a", t_int, 0), ("b", t_int, 64)]);
    case.target.structure("s___3", 4, &[("c", t_int, 0)]);
    // Neither another kind nor another name is a candidate.
    case.target.composite(Kind::Union, "s", 8, &[("a", t_int, 8)]);
    case.target.structure("s2", 8, &[("a", t_int, 8)]);
    assert_eq!(case.value(root, "0:0", CoreKind::FieldByteOffset), Some(0));
    let ambiguous = case.resolve(root, "0:1", CoreKind::FieldByteOffset);
    assert!(matches!(ambiguous, Err(CoreError::Ambiguous { .. })), "{ambiguous:?}");
    assert!(matches!(case.resolve(root, "0", CoreKind::TypeSize), Err(CoreError::Ambiguous { .. })));
    assert_eq!(case.value(root, "0", CoreKind::TypeExists), Some(1));
}

#[test]
fn candidates_that_did_not_match_are_not_asked_again() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let root = case.local.structure("s", 8, &[("a", int, 0), ("b", int, 32)]);
    let t_int = case.target.int("int", 4, true);
    case.target.structure("s", 8, &[("b", t_int, 32)]);
    case.target.structure("s___2", 12, &[("a", t_int, 0), ("b", t_int, 64)]);
    let (a, b) =
        (case.relo(root, "0:0", CoreKind::FieldExists), case.relo(root, "0:1", CoreKind::FieldByteOffset));
    let (local, target) = (case.local.build(), case.target.build());
    let kernel = Targets::Kernel { vmlinux: &target, modules: &[] };
    assert!(Relocator::new(&local, kernel).resolve(&b).is_err());
    let mut relocator = Relocator::new(&local, kernel);
    relocator.resolve(&a).expect("found");
    assert_eq!(value(&relocator.resolve(&b).expect("found")), Some(8));
}

#[test]
fn modules_are_asked_for_what_the_kernel_has_not() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let both = case.local.structure("both", 4, &[("a", int, 0)]);
    let only = case.local.structure("only", 4, &[("a", int, 0)]);
    let t_int = case.target.int("int", 4, true);
    case.target.structure("both", 8, &[("a", t_int, 32)]);
    let mut module = Builder::new();
    let m_int = module.int("int", 4, true);
    module.structure("both", 12, &[("a", m_int, 64)]);
    let m_only = module.structure("only", 16, &[("a", m_int, 96)]);
    let relos = [both, only].map(|ty| case.relo(ty, "0:0", CoreKind::FieldByteOffset));
    let (local, target, module) = (case.local.build(), case.target.build(), module.build());
    let modules = [&module];
    let mut relocator = Relocator::new(&local, Targets::Kernel { vmlinux: &target, modules: &modules });
    let [both, only] = relos.map(|relo| relocator.resolve(&relo).expect("found"));
    assert_eq!((value(&both), value(&only)), (Some(4), Some(12)));
    let place = |found: &Resolution| found.target.as_ref().map(|t| (t.module, t.spec.root));
    assert_eq!(place(&only), Some((Some(0), TypeId(m_only))));
    assert_eq!(place(&both).map(|(module, _)| module), Some(None));
}

#[test]
fn own_types_stand_for_the_kernels() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let plain = case.local.structure("s", 8, &[("a", int, 32)]);
    let flavour = case.local.structure("s___old", 8, &[("a", int, 0), ("gone", int, 32)]);
    let lost = case.local.structure("t___old", 8, &[("a", int, 0)]);
    let offset = CoreKind::FieldByteOffset;
    assert_eq!(value(&case.own(plain, "0:0", offset).expect("found")), Some(4));
    assert_eq!(value(&case.own(flavour, "0:0", offset).expect("found")), Some(4));
    assert_eq!(value(&case.own(flavour, "0:1", CoreKind::FieldExists).expect("found")), Some(0));
    assert_eq!(case.own(lost, "0:0", offset).expect("resolves").outcome, Outcome::Missing(Missing::Type));
    assert_eq!(case.own(plain, "0:0", offset).expect("found").target.as_ref().map(|t| t.module), Some(None));
}

#[test]
fn flexible_arrays_have_no_end() {
    for (last, found) in [(true, Some(4 + 4 * 9)), (false, None)] {
        let mut case = Case::new();
        let int = case.local.int("int", 4, true);
        let array = case.local.array(int, 0);
        let root = case.local.structure("s", 4, &[("n", int, 0), ("v", array, 32)]);
        let t_int = case.target.int("int", 4, true);
        let t_array = case.target.array(t_int, 0);
        let mut members = vec![("n", t_int, 0), ("v", t_array, 32)];
        if !last {
            members.reverse();
        }
        case.target.structure("s", 4, &members);
        assert_eq!(case.value(root, "0:1:9", CoreKind::FieldByteOffset), found, "last: {last}");
    }
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let array = case.local.array(int, 2);
    let root = case.local.structure("s", 8, &[("v", array, 0)]);
    assert!(matches!(case.resolve(root, "0:0:2", CoreKind::FieldExists), Err(CoreError::Access { .. })));
}

#[test]
fn roots_of_any_kind_are_compared_by_kind() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let fun = case.local.prototype(int, &[int]);
    let ptr = case.local.refer("", Kind::Ptr, fun);
    let typedef = case.local.refer("fn_t", Kind::Typedef, ptr);
    let other = case.local.refer("id_t", Kind::Typedef, int);
    let t_int = case.target.int("int", 8, false);
    let t_fun = case.target.prototype(0, &[t_int]);
    let t_ptr = case.target.refer("", Kind::Ptr, t_fun);
    case.target.refer("fn_t", Kind::Typedef, t_ptr);
    case.target.refer("id_t", Kind::Typedef, t_int);
    // Its result is an integer here and nothing there.
    assert_eq!(case.value(typedef, "0", CoreKind::TypeExists), Some(0));
    assert_eq!(case.value(other, "0", CoreKind::TypeExists), Some(1));
    assert_eq!(case.value(other, "0", CoreKind::TypeMatches), Some(0));
    assert_eq!(case.value(int, "0", CoreKind::TypeSize), Some(8));
    assert_eq!(case.value(int, "3", CoreKind::FieldByteOffset), Some(24));
    assert!(matches!(case.resolve(int, "0", CoreKind::FieldSigned), Err(CoreError::Element { .. })));
    assert!(matches!(case.resolve(ptr, "0", CoreKind::TypeExists), Err(CoreError::Anonymous { .. })));
}

/// Whether a local structure matches the kernel's, each with one member.
fn matches(local: impl Fn(&mut Builder) -> u32, target: impl Fn(&mut Builder) -> u32) -> Option<u64> {
    let mut case = Case::new();
    let field = local(&mut case.local);
    let root = case.local.structure("s", 8, &[("f", field, 0)]);
    let t_field = target(&mut case.target);
    let t_int = case.target.int("extra", 4, true);
    case.target.structure("s___k", 16, &[("g", t_int, 0), ("f___x", t_field, 32)]);
    case.value(root, "0", CoreKind::TypeMatches)
}

#[test]
fn layouts_match_member_by_member() {
    let int = |b: &mut Builder| b.int("int", 4, true);
    let uint = |b: &mut Builder| b.int("int", 4, false);
    assert_eq!(matches(int, int), Some(1));
    assert_eq!(matches(int, uint), Some(0));
    assert_eq!(matches(int, |b| b.int("int", 8, true)), Some(0));
    assert_eq!(matches(int, |b| b.int("long", 4, true)), Some(0));
    let array = |len| {
        move |b: &mut Builder| {
            let int = b.int("int", 4, true);
            b.array(int, len)
        }
    };
    assert_eq!(matches(array(2), array(2)), Some(1));
    assert_eq!(matches(array(2), array(3)), Some(0));
    // Behind a pointer, members are not compared, and a declaration is enough.
    let pointer = |kind, flag| {
        move |b: &mut Builder| {
            let to = b.record("t", kind, flag, 0, 0, &[]);
            b.refer("", Kind::Ptr, to)
        }
    };
    let (to_struct, to_union) = (pointer(Kind::Struct, false), pointer(Kind::Union, false));
    let (to_fwd, to_fwd_union) = (pointer(Kind::Fwd, false), pointer(Kind::Fwd, true));
    assert_eq!(matches(to_struct, to_struct), Some(1));
    assert_eq!(matches(to_struct, to_union), Some(0));
    assert_eq!(matches(to_struct, to_fwd), Some(1));
    assert_eq!(matches(to_struct, to_fwd_union), Some(0));
    assert_eq!(matches(to_fwd_union, to_union), Some(1));
    assert_eq!(matches(to_fwd, to_union), Some(0));
    let by_value = |kind| move |b: &mut Builder| b.record("t", kind, false, 0, 0, &[]);
    assert_eq!(matches(by_value(Kind::Fwd), by_value(Kind::Struct)), Some(0));
    let names =
        |names: &'static [(&'static str, i32)]| move |b: &mut Builder| b.enumeration("e", false, names);
    assert_eq!(matches(names(&[("A", 1)]), names(&[("B", 1), ("A", 7)])), Some(1));
    assert_eq!(matches(names(&[("A", 1), ("B", 2)]), names(&[("A", 7)])), Some(0));
    assert_eq!(matches(names(&[("A", 1)]), |b| b.enumeration64("e", 4, &[("A", 1, 0)])), Some(1));
    assert_eq!(matches(names(&[("A", 1)]), |b| b.enumeration64("e", 8, &[("A", 1, 0)])), Some(0));
}

#[test]
fn hostile_types_end_in_a_limit() {
    // Structures of two members each, of the one before: 2^40 pairs.
    let nest = |b: &mut Builder| {
        let mut inner = b.int("int", 4, true);
        for level in 0..30 {
            inner = b.structure(&format!("n{level}"), 4, &[("a", inner, 0), ("b", inner, 0)]);
        }
        inner
    };
    let mut case = Case::new();
    let (root, _) = (nest(&mut case.local), nest(&mut case.target));
    let outcome = case.resolve(root, "0", CoreKind::TypeMatches);
    assert!(matches!(outcome, Err(CoreError::Limit { limit: MAX_STEPS, .. })), "{outcome:?}");
    // A structure that holds itself without a name.
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let root = case.local.structure("s", 4, &[("f", int, 0)]);
    case.target.structure("s", 4, &[("", 1, 0), ("", 1, 8)]);
    assert_eq!(case.value(root, "0:0", CoreKind::FieldExists), Some(0));
    // A typedef of itself, and a function that takes itself.
    let mut case = Case::new();
    let round = case.local.refer("round", Kind::Typedef, 1);
    case.target.refer("round", Kind::Typedef, 1);
    assert!(matches!(case.resolve(round, "0", CoreKind::TypeExists), Err(CoreError::Btf(_))));
    let mut case = Case::new();
    for b in [&mut case.local, &mut case.target] {
        b.refer("f", Kind::Typedef, 2);
        b.prototype(2, &[2, 2]);
    }
    assert!(matches!(case.resolve(1, "0", CoreKind::TypeExists), Err(CoreError::Limit { .. })));
    assert!(matches!(case.resolve(1, "0", CoreKind::TypeMatches), Err(CoreError::Limit { .. })));
}

#[test]
fn many_different_records_end_in_a_limit() {
    // A structure of many members with long names, each asked for in many ways.
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let names: Vec<String> = (0..3000).map(|i| format!("{i:04}{}", "x".repeat(4000))).collect();
    let members: Vec<_> = (0..).zip(&names).map(|(i, name)| (name.as_str(), int, 32 * i)).collect();
    let root = case.local.structure("s", 12_000, &members);
    let relos: Vec<CoreRelo> = (0..3000)
        .flat_map(|member| (0..6).map(move |kind| (member, kind)))
        .map(|(member, kind)| case.relo(root, &format!("0:{member}"), KINDS[kind].0))
        .collect();
    let local = case.local.build();
    let mut relocator = Relocator::new(&local, Targets::Own);
    let resolved: Vec<_> = relos.iter().map(|relo| relocator.resolve(relo)).collect();
    assert!(resolved[0].is_ok());
    let limit = |resolved: &Resolved| {
        matches!(unshared(resolved.clone()), Err(CoreError::Limit { limit: MAX_STEPS, .. }))
    };
    assert!(resolved.last().is_some_and(limit));
    let text = |resolved: &Resolved| resolved.as_ref().map_or(0, |r| r.local.path.len());
    assert!(resolved.iter().map(text).sum::<usize>() < 2 * MAX_TEXT);
}

#[test]
fn records_that_mean_nothing_are_refused() {
    let mut case = Case::new();
    let int = case.local.int("int", 4, true);
    let root = case.local.structure("s", 4, &[("f", int, 0)]);
    for access in ["", ":", ":0", "0:", "0::0", "x", "-1", "0:1", "0:0:0", "4294967295", "99999999999"] {
        let refused = case.resolve(root, access, CoreKind::FieldExists);
        assert!(matches!(refused, Err(CoreError::Access { .. })), "{access}: {refused:?}");
    }
    assert!(matches!(case.resolve(root, "0:0", CoreKind::TypeSize), Err(CoreError::Access { .. })));
    assert!(matches!(case.resolve(root, "2147483647:0", CoreKind::FieldExists), Err(CoreError::Offset)));
    assert!(matches!(case.resolve(77, "0", CoreKind::TypeSize), Err(CoreError::Btf(_))));
    let mut relo = case.relo(root, "0", CoreKind::TypeSize);
    relo.kind = 13;
    let local = case.local.build();
    let refused = unshared(Relocator::new(&local, Targets::Own).resolve(&relo));
    assert_eq!(refused, Err(CoreError::UnknownKind { found: 13 }));
}
