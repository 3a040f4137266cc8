//! BTF of objects and of the kernel: every name is found, and types merge with copies of themselves.

use std::collections::BTreeSet;

use brolga_compiler::btf::build::{Builder, Copied};
use brolga_compiler::btf::{Btf, Kind, TypeId, essential_name};
use brolga_compiler::elf::Elf;
use brolga_tests::repo;

/// Types of the repository's objects, and of the kernel where it shows them.
fn all() -> Vec<(String, Btf)> {
    let mut found = Vec::new();
    for path in ["tests/cases", "examples"].iter().flat_map(|dir| repo::files(dir, &["o"])) {
        let bytes = std::fs::read(&path).expect("checked in");
        let elf = Elf::parse(&bytes).expect("an object");
        if let Some((_, section)) = elf.section_by_name(".BTF") {
            let btf = Btf::parse(section.data().expect("in the file")).expect("valid");
            found.push((repo::name(&path), btf));
        }
    }
    assert!(found.len() > 10, "only {} objects have types", found.len());
    match std::fs::read("/sys/kernel/btf/vmlinux") {
        Ok(bytes) => found.push(("the kernel".to_owned(), Btf::parse_owned(bytes).expect("valid"))),
        Err(_) => eprintln!("skipped: this kernel shows no types"),
    }
    found
}

#[test]
fn every_name_is_found() {
    for (what, btf) in all() {
        for ty in btf.ids().map(|id| btf.get(id).expect("valid")) {
            let name = ty.name().expect("valid");
            if name.is_empty() {
                continue;
            }
            assert!(btf.by_name(name).any(|id| id == ty.id()), "{what}: {name}");
            let essential = essential_name(name);
            assert!(btf.by_essential_name(essential).any(|id| id == ty.id()), "{what}: {name}");
        }
        assert_eq!(btf.by_name("no such name").next(), None);
    }
}

/// So many copies of a BTF, merged.
fn merged(btf: &Btf, copies: u32) -> Btf {
    let mut builder = Builder::new(btf.endianness(), 2 * btf.strings_len() + 1);
    for copy in 0..copies {
        let (first, mut copied) = (copy * (btf.next_id() - 1), Copied::default());
        for id in btf.ids() {
            let added = builder
                .add(&btf.get(id).expect("valid"), &mut copied, |old| Some(TypeId(first + old.0)))
                .expect("it is as it was");
            assert_eq!(added, TypeId(first + id.0));
        }
    }
    builder.dedup();
    Btf::parse(&builder.finish()).expect("valid")
}

#[test]
fn copies_merge_and_nothing_else_does() {
    for (what, btf) in all() {
        let (once, twice) = (merged(&btf, 1), merged(&btf, 2));
        // Places are never merged, and neither are tags on them.
        let is_place = |id: &TypeId| {
            let ty = btf.get(*id).expect("valid");
            let tagged = (ty.kind() == Kind::DeclTag).then(|| btf.get(ty.referenced()).expect("valid"));
            matches!(tagged.unwrap_or(ty).kind(), Kind::Var | Kind::Datasec)
        };
        let places = btf.ids().filter(is_place).count();
        assert_eq!(twice.ids().count(), once.ids().count() + places, "{what}");
        let names = |btf: &Btf| -> BTreeSet<(String, u8, u32)> {
            let types = btf.ids().map(|id| btf.get(id).expect("valid"));
            let kinds = types.filter(|ty| matches!(ty.kind(), Kind::Struct | Kind::Union | Kind::Int));
            kinds.map(|ty| (ty.name().expect("valid").to_owned(), ty.kind() as u8, ty.size())).collect()
        };
        assert_eq!(names(&twice), names(&btf), "{what}");
    }
}
