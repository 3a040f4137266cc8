//! Tests of made and merged BTF.

use super::super::tests::{info, section};
use super::super::{Btf, Ext, FuncInfo, Kind, SectionRecords, StrOff, TypeId, VarInSection};
use super::*;

/// A builder with the types of hand-made sections, one after the other.
fn merged(parts: &[(&[u32], &[u8])]) -> Builder {
    let mut builder = Builder::new(Endianness::Little, 1 << 16);
    for (types, strings) in parts {
        let btf = Btf::parse(&section(types, strings, Endianness::Little)).expect("valid");
        let (first, mut copied) = (builder.next_id().0, Copied::default());
        for id in btf.ids() {
            let ty = btf.get(id).expect("valid");
            builder.add(&ty, &mut copied, |old| Some(TypeId(first + old.0 - 1))).expect("valid");
        }
    }
    builder
}

fn parse(builder: &Builder) -> Btf {
    Btf::parse(&builder.finish()).expect("valid")
}

const INT: [u32; 4] = [1, info(Kind::Int, false, 0), 4, 0x0100_0020];

#[test]
fn what_was_added_is_read_back_in_either_byte_order() {
    let fields = [5, info(Kind::Struct, false, 1), 4, 10, 1, 0];
    for endianness in [Endianness::Little, Endianness::Big] {
        let types = [&INT[..], &fields].concat();
        let btf = Btf::parse(&section(&types, b"\0int\0pair\0a\0", endianness)).expect("valid");
        let mut builder = Builder::new(endianness, 1 << 10);
        let mut copied = Copied::default();
        for id in btf.ids() {
            builder.add(&btf.get(id).expect("valid"), &mut copied, Some).expect("valid");
        }
        let var = VarInSection { var: TypeId(2), offset: 8, size: 4 };
        builder.add_datasec(".data", 12, &[var]).expect("small");
        let made = Btf::parse(&builder.finish()).expect("valid");
        assert_eq!(made.endianness(), endianness);
        assert_eq!(made.find(Kind::Struct, "pair"), Some(TypeId(2)));
        let member = made.get(TypeId(2)).expect("valid").member(0).expect("there");
        assert_eq!((made.str(member.name), member.ty), (Ok("a"), TypeId(1)));
        let data = made.get(TypeId(3)).expect("valid");
        assert_eq!((data.name(), data.size(), data.vars().next()), (Ok(".data"), 12, Some(var)));
    }
}

#[test]
fn records_of_instructions_are_read_back() {
    let records = vec![FuncInfo { insn_off: 8, ty: TypeId(3) }];
    let ext = Ext { funcs: vec![SectionRecords { section: StrOff(5), records }], ..Ext::default() };
    for endianness in [Endianness::Little, Endianness::Big] {
        assert_eq!(Ext::parse(&ext.to_bytes(endianness)), Ok(ext.clone()));
    }
}

#[test]
fn circles_merge() {
    // struct node { struct node *next; }, twice, with other offsets of names.
    let node = |node: u32, next: u32| {
        [node, info(Kind::Struct, false, 1), 8, next, 2, 0, 0, info(Kind::Ptr, false, 0), 1]
    };
    let mut builder = merged(&[(&node(1, 6), b"\0node\0next\0"), (&node(6, 1), b"\0next\0node\0")]);
    let ids = builder.dedup();
    assert_eq!(ids, [0, 1, 2, 1, 2].map(TypeId));
    assert_eq!(parse(&builder).next_id(), 3);
}

#[test]
fn what_differs_far_away_is_kept_apart() {
    // Pointers to pointers to … to an integer of 4 or of 8 bytes.
    let chain = |size: u32| {
        let mut types = vec![1, info(Kind::Int, false, 0), size, 0x0100_0000 | (8 * size)];
        (1..50).for_each(|to| types.extend([0, info(Kind::Ptr, false, 0), to]));
        types
    };
    let mut builder = merged(&[(&chain(4), b"\0int\0"), (&chain(8), b"\0int\0")]);
    builder.dedup();
    assert_eq!(parse(&builder).next_id(), 101);
    let mut builder = merged(&[(&chain(4), b"\0int\0"), (&chain(4), b"\0int\0")]);
    builder.dedup();
    assert_eq!(parse(&builder).next_id(), 51);
}

#[test]
fn forward_declarations_become_what_they_declare() {
    // struct s { struct t *t; }; with `struct t;` here, and `struct t { int a; };` there.
    let outer = [1, info(Kind::Struct, false, 1), 8, 3, 2, 0, 0, info(Kind::Ptr, false, 0), 3];
    let declared = [3, info(Kind::Fwd, false, 0), 0];
    let defined = [3, info(Kind::Struct, false, 1), 4, 5, 4, 0, 7, info(Kind::Int, false, 0), 4, 32];
    let strings = b"\0s\0t\0a\0int\0";
    let (a, b) = ([&outer[..], &declared].concat(), [&outer[..], &defined].concat());
    for parts in [[(&a[..], &strings[..]), (&b, strings)], [(&b, strings), (&a, strings)]] {
        let mut builder = merged(&parts);
        builder.dedup();
        let btf = parse(&builder);
        assert_eq!(btf.next_id(), 5, "two structures, a pointer, an integer");
        assert_eq!(btf.by_name("t").count(), 1);
        assert_eq!(btf.find(Kind::Fwd, "t"), None);
    }
    // Two different definitions: nobody knows which one is meant.
    let other = [3, info(Kind::Struct, false, 0), 16];
    let mut builder = merged(&[(&a, strings), (&b, strings), (&other, strings)]);
    builder.dedup();
    assert_eq!(parse(&builder).by_name("t").count(), 3);
}

#[test]
fn variables_stay_apart() {
    let variable = [&INT[..], &[5, info(Kind::Var, false, 0), 1, 0]].concat();
    let mut builder = merged(&[(&variable, b"\0int\0x\0"), (&variable, b"\0int\0x\0")]);
    assert_eq!(builder.dedup(), [0, 1, 2, 1, 3].map(TypeId));
}

#[test]
fn strings_are_bounded() {
    let mut builder = Builder::new(Endianness::Little, 10);
    assert_eq!(builder.string("four"), Ok(StrOff(1)));
    assert_eq!(builder.string("four"), Ok(StrOff(1)));
    assert_eq!(builder.string("fours"), Err(BuildError::TooLarge { what: "strings" }));
    assert_eq!(builder.string("fou"), Ok(StrOff(6)));
}
