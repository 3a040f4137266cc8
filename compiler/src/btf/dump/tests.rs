//! Tests of the C that BTF becomes, on hand-made types. `tests/tests/btf_dump.rs` compiles more.

use super::super::tests::{info, section};
use super::super::{Btf, BtfError, Kind, TypeId};
use super::*;
use crate::isa::Endianness;

/// `int`, type 1, whose name begins at 1.
const INT: [u32; 4] = [1, info(Kind::Int, false, 0), 4, 0x0100_0020];

/// What is printed between the lines that all headers have.
fn printed(types: &[&[u32]], strings: &[u8]) -> Result<String, DumpError> {
    let btf = Btf::parse(&section(&types.concat(), strings, Endianness::Little)).expect("valid");
    let text = c(&btf)?;
    let body = text.strip_prefix(HEAD).and_then(|text| text.split_once(FOOT)).expect("a head and a foot");
    Ok(body.0.trim_end().to_owned())
}

#[test]
fn members_come_before_what_holds_them() {
    // struct a { struct b b; struct a *next; }; struct b { int x; };
    let types: [&[u32]; 4] = [
        &INT,
        &[5, info(Kind::Struct, false, 2), 16, 7, 3, 0, 9, 4, 64],
        &[7, info(Kind::Struct, false, 1), 4, 14, 1, 0],
        &[0, info(Kind::Ptr, false, 0), 2],
    ];
    let text = printed(&types, b"\0int\0a\0b\0next\0x\0").expect("valid C");
    let expected = "struct b {\n\tint x;\n};\n\nstruct a {\n\tstruct b b;\n\tstruct a *next;\n};";
    assert_eq!(text, expected);
}

#[test]
fn declarations_read_from_the_inside_out() {
    // typedef int (*t[3])(const int *, ...);
    let types: [&[u32]; 6] = [
        &INT,
        &[5, info(Kind::Typedef, false, 0), 3],
        &[0, info(Kind::Array, false, 0), 0, 4, 1, 3],
        &[0, info(Kind::Ptr, false, 0), 5],
        &[0, info(Kind::FuncProto, false, 2), 1, 0, 6, 0, 0],
        &[0, info(Kind::Ptr, false, 0), 7],
    ];
    let constant: &[u32] = &[0, info(Kind::Const, false, 0), 1];
    let types = [&types[..], &[constant]].concat();
    let text = printed(&types, b"\0int\0t\0").expect("valid C");
    assert_eq!(text, "typedef int (*t[3])(const int *, ...);");
}

#[test]
fn gaps_are_filled_and_overlaps_become_bytes() {
    // struct p { int a; (96 bits) int b; }; struct q { int a; int b at 2; };
    let types: [&[u32]; 3] = [
        &INT,
        &[5, info(Kind::Struct, false, 2), 20, 7, 1, 0, 9, 1, 128],
        &[11, info(Kind::Struct, false, 2), 8, 7, 1, 0, 9, 1, 16],
    ];
    let text = printed(&types, b"\0int\0p\0a\0b\0q\0").expect("valid C");
    let expected = "struct p {\n\tint a;\n\tint: 32;\n\tlong: 64;\n\tint b;\n};\n\n\
                    struct q {\n\t/* members overlap */\n\tchar __pad0[8];\n};";
    assert_eq!(text, expected);
}

#[test]
fn bit_fields_that_cross_a_unit_are_packed() {
    // struct p { int a : 20; int b : 20; } of 5 bytes; of 8 bytes, where the second begins at 32.
    let field = |offset: u32| 20 << 24 | offset;
    let record = |name, size, second: u32| {
        [name, info(Kind::Struct, true, 2), size, 9, 1, field(0), 11, 1, field(second)]
    };
    let (packed, plain) = (record(5, 5, 20), record(7, 8, 32));
    let text = printed(&[&INT, &packed, &plain], b"\0int\0p\0q\0a\0b\0").expect("valid C");
    let body = "{\n\tint a: 20;\n\tint b: 20;\n}";
    assert_eq!(text, format!("struct p {body} __attribute__((packed));\n\nstruct q {body};"));
}

#[test]
fn names_that_clash_get_a_flavour() {
    // Two structures `a`; a forward declaration of `a`, to which a typedef points.
    let record = |size| [5, info(Kind::Struct, false, 0), size];
    let types: [&[u32]; 4] =
        [&record(0), &record(8), &[5, info(Kind::Fwd, false, 0), 0], &[5, info(Kind::Typedef, false, 0), 3]];
    let text = printed(&types, b"\0int\0a\0").expect("valid C");
    assert_eq!(text, "struct a {};\n\nstruct a___2 {\n\tlong: 64;\n};\n\ntypedef struct a a;");
}

#[test]
fn names_that_are_no_c_are_mended() {
    let types: [&[u32]; 1] = [&[1, info(Kind::Struct, false, 0), 0]];
    let text = printed(&types, b"\0Vec<u8>;\n#\0").expect("valid C");
    assert_eq!(text, "struct Vec_u8____ {};");
}

#[test]
fn what_c_cannot_say_is_an_error() {
    // struct a { struct a a; }
    let own: &[u32] = &[5, info(Kind::Struct, false, 1), 4, 5, 1, 0];
    assert_eq!(printed(&[own], b"\0int\0a\0"), Err(DumpError::Cycle { id: TypeId(1) }));
    // A structure without name that holds itself.
    let own: &[u32] = &[0, info(Kind::Struct, false, 1), 4, 5, 1, 0];
    let named: &[u32] = &[5, info(Kind::Struct, false, 1), 4, 5, 1, 0];
    let error = printed(&[own, named], b"\0int\0a\0");
    assert!(matches!(error, Err(DumpError::Btf(BtfError::TooDeep { .. }))), "{error:?}");
    let dangling: &[u32] = &[5, info(Kind::Typedef, false, 0), 9];
    let error = printed(&[dangling], b"\0int\0a\0");
    assert_eq!(error, Err(DumpError::Btf(BtfError::NoSuchType { id: TypeId(9) })));
}

#[test]
fn text_does_not_grow_out_of_proportion() {
    // Each structure without name has the one before it four times: 4^30 members in place.
    let mut types = INT.to_vec();
    types.extend([0, info(Kind::Struct, false, 0), 0]);
    for id in 2..32 {
        types.extend([0, info(Kind::Struct, false, 4), 0]);
        (0..4).for_each(|_| types.extend([0, id, 0]));
    }
    types.extend([5, info(Kind::Struct, false, 1), 0, 0, 32, 0]);
    let error = printed(&[&types], b"\0int\0a\0");
    assert!(matches!(error, Err(DumpError::TooLong { .. })), "{error:?}");
}

#[test]
fn split_types_come_with_what_they_need_of_their_base() {
    // A base of `int` and two structures; a structure over it that holds the first one.
    const NAMES: &[u8] = b"\0int\0a\0b\0";
    let member = |name, ty| [name, info(Kind::Struct, false, 1), 4, 5, ty, 0];
    let base = [&INT[..], &member(5, 1), &member(7, 1)].concat();
    let base = Btf::parse(&section(&base, NAMES, Endianness::Little)).expect("valid");
    let len = u32::try_from(NAMES.len()).expect("small");
    let split = section(&member(len, 2), b"own\0", Endianness::Little);
    let split = Btf::parse_split(&split, std::sync::Arc::new(base)).expect("valid");
    let text = c(&split).expect("valid C");
    assert!(text.contains("struct a {\n\tint a;\n};\n\nstruct own {\n\tstruct a a;\n};\n"), "{text}");
    assert!(!text.contains("struct b"), "{text}");
}
