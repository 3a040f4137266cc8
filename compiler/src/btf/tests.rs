//! Tests of BTF on hand-made sections.

use std::sync::Arc;

use super::*;

/// A section of the given records and strings.
pub(super) fn section(types: &[u32], strings: &[u8], endianness: Endianness) -> Vec<u8> {
    let word = |value: u32| match endianness {
        Endianness::Little => value.to_le_bytes(),
        Endianness::Big => value.to_be_bytes(),
    };
    let mut out = match endianness {
        Endianness::Little => vec![0x9f, 0xeb, 1, 0],
        Endianness::Big => vec![0xeb, 0x9f, 1, 0],
    };
    let types_len = u32::try_from(4 * types.len()).expect("small");
    let strings_len = u32::try_from(strings.len()).expect("small");
    for value in [24, 0, types_len, types_len, strings_len] {
        out.extend(word(value));
    }
    out.extend(types.iter().flat_map(|&value| word(value)));
    out.extend(strings);
    out
}

pub(super) const fn info(kind: Kind, flag: bool, vlen: u32) -> u32 {
    (flag as u32) << 31 | (kind as u32) << 24 | vlen
}

const STRINGS: &[u8] = b"\0int\0pair\0a\0b\0";

/// `int`; `int[3]`; `struct pair { int a; int b : 5; }`; `const struct pair`.
const TYPES: &[u32] = &[
    1,
    info(Kind::Int, false, 0),
    4,
    0x0100_0020,
    0,
    info(Kind::Array, false, 0),
    0,
    1,
    1,
    3,
    5,
    info(Kind::Struct, true, 2),
    8,
    10,
    1,
    0,
    12,
    1,
    5 << 24 | 32,
    0,
    info(Kind::Const, false, 0),
    3,
];

#[test]
fn records_are_read_in_either_byte_order() {
    for endianness in [Endianness::Little, Endianness::Big] {
        let btf = Btf::parse(&section(TYPES, STRINGS, endianness)).expect("valid");
        assert_eq!((btf.endianness(), btf.next_id()), (endianness, 5));
        let int = btf.get(TypeId(1)).expect("there");
        let encoding = int.int().expect("an integer");
        assert_eq!((int.name(), encoding.bits, encoding.signed), (Ok("int"), 32, true));
        assert_eq!(btf.size_of(TypeId(2)), Ok(12));
        let members: Vec<Member> = btf.get(TypeId(3)).expect("there").members().collect();
        assert_eq!((members[0].bit_offset, members[0].bit_size), (0, 0));
        assert_eq!((members[1].bit_offset, members[1].bit_size), (32, 5));
        assert_eq!(btf.str(members[1].name), Ok("b"));
        assert_eq!(btf.unqualified(TypeId(4)).map(|ty| ty.id()), Ok(TypeId(3)));
        assert_eq!(btf.find(Kind::Struct, "pair"), Some(TypeId(3)));
        assert_eq!(btf.find(Kind::Union, "pair"), None);
        assert_eq!(btf.get(TypeId(5)).err(), Some(BtfError::NoSuchType { id: TypeId(5) }));
    }
}

#[test]
fn split_btf_goes_on_where_its_base_ends() {
    let base = Arc::new(Btf::parse(&section(TYPES, STRINGS, Endianness::Little)).expect("valid"));
    // A typedef `more` of the base's structure.
    let strings_len = u32::try_from(STRINGS.len()).expect("small");
    let types = [strings_len, info(Kind::Typedef, false, 0), 3];
    let bytes = section(&types, b"more\0", Endianness::Little);
    let split = Btf::parse_split(&bytes, Arc::clone(&base)).expect("valid");
    assert_eq!(split.ids().collect::<Vec<_>>(), [TypeId(5)]);
    assert_eq!(split.get(TypeId(5)).and_then(|ty| ty.name()), Ok("more"));
    assert_eq!(split.unqualified(TypeId(5)).and_then(|ty| ty.name()), Ok("pair"));
    assert_eq!(split.by_name("int").collect::<Vec<_>>(), [TypeId(1)]);
    let big = section(&types, b"more\0", Endianness::Big);
    assert_eq!(Btf::parse_split(&big, base), Err(BtfError::NotBtf));
}

#[test]
fn circles_end_in_an_error() {
    // typedef -> const -> typedef; an array of itself; a variable of itself.
    let types = [
        1,
        info(Kind::Typedef, false, 0),
        2,
        0,
        info(Kind::Const, false, 0),
        1,
        0,
        info(Kind::Array, false, 0),
        0,
        3,
        1,
        1,
        1,
        info(Kind::Var, false, 0),
        4,
        0,
    ];
    let btf = Btf::parse(&section(&types, STRINGS, Endianness::Little)).expect("each record is valid");
    assert!(matches!(btf.unqualified(TypeId(1)), Err(BtfError::TooDeep { .. })));
    for id in 1..5 {
        assert!(matches!(btf.size_of(TypeId(id)), Err(BtfError::TooDeep { .. })), "type {id}");
    }
}

#[test]
fn sizes_do_not_overflow() {
    // int[0xffffffff], and an array of 0x10000 of those.
    let array = |of, len| [0, info(Kind::Array, false, 0), 0, of, 1, len];
    let mut types = TYPES[..4].to_vec();
    types.extend(array(1, u32::MAX));
    types.extend(array(2, 0x1_0000));
    let btf = Btf::parse(&section(&types, STRINGS, Endianness::Little)).expect("valid");
    for id in [TypeId(2), TypeId(3)] {
        assert_eq!(btf.size_of(id), Err(BtfError::NoSize { id }));
    }
    assert_eq!(btf.size_of(TypeId::VOID), Err(BtfError::NoSize { id: TypeId::VOID }));
}

#[test]
fn every_cut_and_every_wrong_length_is_an_error() {
    let whole = section(TYPES, STRINGS, Endianness::Little);
    for len in 0..whole.len() {
        assert!(Btf::parse(&whole[..len]).is_err(), "cut to {len} bytes");
    }
    for at in (4..24).step_by(4) {
        let mut wrong = whole.clone();
        wrong[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Btf::parse(&wrong).is_err(), "header word at {at}");
    }
    let unknown = [0, 31 << 24, 0];
    let error = Btf::parse(&section(&unknown, STRINGS, Endianness::Little)).expect_err("no such kind");
    assert_eq!(error, BtfError::Invalid { what: "kind", offset: 0, found: 31 << 24 });
}

#[test]
fn names_are_bounded() {
    let mut strings = vec![b'x'; MAX_NAME + 2];
    strings[0] = 0;
    *strings.last_mut().expect("not empty") = 0;
    let btf = Btf::parse(&section(&[], &strings, Endianness::Little)).expect("valid");
    assert_eq!(btf.str(StrOff(1)).map(str::len), Ok(MAX_NAME));
    strings.insert(1, b'x');
    let btf = Btf::parse(&section(&[], &strings, Endianness::Little)).expect("valid");
    assert_eq!(btf.str(StrOff(1)), Err(BtfError::NoSuchString { off: StrOff(1) }));
    assert_eq!(btf.str(StrOff(u32::MAX)), Err(BtfError::NoSuchString { off: StrOff(u32::MAX) }));
}

#[test]
fn tables_of_instructions_are_bounded() {
    // A table of 8-byte records: one section with two of them.
    let table = [8, 1, 2, 0, 7, 16, 9];
    let len = u32::try_from(4 * table.len()).expect("small");
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    let header = [24, 0, len, len, 0];
    bytes.extend(header.iter().chain(&table).flat_map(|value: &u32| value.to_le_bytes()));
    let ext = Ext::parse(&bytes).expect("valid");
    assert_eq!(ext.funcs[0].section, StrOff(1));
    assert_eq!(ext.funcs[0].records[1], FuncInfo { insn_off: 16, ty: TypeId(9) });
    for (word, value) in [(0, 0), (0, 4), (0, 6), (2, 3), (2, u32::MAX)] {
        let mut wrong = bytes.clone();
        let at = 24 + 4 * word;
        wrong[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        assert!(Ext::parse(&wrong).is_err(), "word {word} = {value}");
    }
}

#[test]
fn flavours_are_cut_off() {
    let cases = [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___a", "___a"),
        ("a___", "a___"),
        ("a____b", "a____b"),
        ("a__b", "a__b"),
        ("", ""),
        ("é___é", "é"),
    ];
    for (name, expected) in cases {
        assert_eq!(essential_name(name), expected, "{name}");
    }
}

#[test]
fn types_are_found_with_and_without_flavour() {
    // Structures `a`, `a___x`, `b`, `a`, and a typedef `a___x`.
    const NAMES: &[u8] = b"\0a\0a___x\0b\0";
    let structure = |name| [name, info(Kind::Struct, false, 0), 0];
    let mut types = [structure(1), structure(3), structure(9), structure(1)].concat();
    types.extend([3, info(Kind::Typedef, false, 0), 1]);
    let btf = Arc::new(Btf::parse(&section(&types, NAMES, Endianness::Little)).expect("valid"));
    let ids = |found: Box<dyn Iterator<Item = TypeId> + '_>| found.map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(ids(btf.by_name("a")), [1, 4]);
    assert_eq!(ids(btf.by_name("a___x")), [2, 5]);
    assert_eq!(ids(btf.by_essential_name("a")), [1, 2, 4, 5]);
    assert_eq!(ids(btf.by_essential_name("a___y")), [1, 2, 4, 5]);
    assert_eq!(ids(btf.by_essential_name("b")), [3]);
    for nothing in ["", "c", "a___y"] {
        assert_eq!(ids(btf.by_name(nothing)), [0; 0], "{nothing}");
    }
    // A split BTF with `b___z`, and with another type whose name stands in the base.
    let len = u32::try_from(NAMES.len()).expect("small");
    let split = section(&[structure(len), structure(1)].concat(), b"b___z\0", Endianness::Little);
    let split = Btf::parse_split(&split, btf).expect("valid");
    assert_eq!(ids(split.by_essential_name("b")), [3, 6]);
    assert_eq!(ids(split.by_name("a")), [1, 4, 7]);
}
