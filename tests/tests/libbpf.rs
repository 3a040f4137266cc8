//! Objects load as libbpf 1.7 loads them: distributions' objects and the kernel's selftests, compared to the
//! last instruction. What differs stands in `tests/libbpf/known.txt`, with its reason.

use std::collections::BTreeSet;

use brolga_compiler::isa::{Imm64, Insn};
use brolga_compiler::program::{LoadOptions, Object, load};
use brolga_tests::libbpf::{
    Comparison, Outcome, Prepared, compare_all, compare_core, compare_programs, differing_maps, prepare,
};
use brolga_tests::objects::{self, or_skip};
use brolga_tests::selftests::Cpu;
use brolga_tests::{repo, running};

/// Of a thousand objects that libbpf opens, how many may not be loaded.
const NOT_LOADED_PER_MILLE: usize = 10;

/// Of a thousand programs, how many may differ.
const DIFFERENT_PER_MILLE: usize = 5;

/// Lines of the list that begin with a word, without their reasons.
fn known(word: &str) -> BTreeSet<String> {
    let text = repo::read(&repo::root().join("tests/libbpf/known.txt"));
    let lines = text.lines().filter_map(|line| line.strip_prefix(word));
    lines
        .map(|line| {
            let (what, reason) = line.split_once('#').unwrap_or((line, ""));
            assert!(!reason.trim().is_empty(), "no reason: {line}");
            what.trim().to_owned()
        })
        .collect()
}

/// Those of a set that are of the collections that were compared.
fn of_collections(set: BTreeSet<String>, collections: &BTreeSet<String>) -> BTreeSet<String> {
    set.into_iter().filter(|line| collections.contains(collection(line))).collect()
}

fn collection(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

#[test]
fn programs_are_those_of_libbpf() {
    let found = [
        or_skip("xdp-tools", objects::xdp_tools()),
        or_skip("libbpf-tools", objects::libbpf_tools()),
        or_skip("the selftests", objects::selftests(Cpu::V3)),
    ];
    let files: Vec<_> = found.into_iter().flatten().flatten().collect();
    let Some(target) = or_skip("the running kernel's types", running::target()) else { return };
    let mut report = compare_all(&files, &target);
    report.extend(compare_core(&files, &target).expect("a temporary file"));
    println!("{report}");

    let collections = files.iter().map(|file| collection(&file.name).to_owned()).collect();
    let failures: BTreeSet<String> = report.failures().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(failures, of_collections(known("not loaded"), &collections), "objects that are not loaded");
    assert!(failures.len() * 1000 <= report.opened() * NOT_LOADED_PER_MILLE, "{} not loaded", failures.len());
    let (equal, different) = report.programs();
    let names: BTreeSet<String> = different.iter().map(|difference| difference.program.clone()).collect();
    assert_eq!(names, of_collections(known("different"), &collections), "programs that differ");
    let compared = equal + different.len();
    assert!(
        different.len() * 1000 <= compared * DIFFERENT_PER_MILLE,
        "{} of {compared} differ",
        different.len()
    );
}

/// Maps of all objects are those of libbpf, in its order, with all their numbers and initial bytes.
#[test]
fn maps_are_those_of_libbpf() {
    let found = [
        or_skip("xdp-tools", objects::xdp_tools()),
        or_skip("libbpf-tools", objects::libbpf_tools()),
        or_skip("the selftests", objects::selftests(Cpu::V3)),
    ];
    let (mut compared, mut different) = (0, Vec::new());
    for file in found.into_iter().flatten().flatten() {
        let Ok(object) = load(&file.bytes, &LoadOptions::default()) else { continue };
        let Ok(differences) = differing_maps(&file.bytes, &object) else { continue };
        compared += object.maps.len();
        different.extend(differences.into_iter().map(|difference| format!("{}: {difference}", file.name)));
    }
    println!("{compared} maps compared");
    assert!(different.is_empty(), "{} of {compared} maps differ:\n{}", different.len(), different.join("\n"));
}

/// The comparison sees a changed instruction, a missing program and one too many.
#[test]
fn differences_are_seen() {
    let bytes = std::fs::read(repo::root().join("examples/firewall.bpf.o")).expect("an example");
    let Outcome::Prepared(prepared) = prepare(&bytes, None) else {
        let _: Option<()> = or_skip("bpf(2)", Err("an example cannot be prepared".to_owned()));
        return;
    };
    let object = load(&bytes, &LoadOptions::default()).expect("an example loads");
    let differences = |object: &Object, prepared: &Prepared| {
        let comparison = compare_programs("firewall", object, prepared);
        let Comparison::Compared { equal, different, .. } = comparison else { panic!("{comparison:?}") };
        (equal, different.into_iter().map(|difference| difference.what).collect::<Vec<_>>())
    };
    let programs = prepared.programs.len();
    assert_eq!(differences(&object, &prepared), (programs, Vec::new()));

    for at in 0..object.programs[0].insns.len() {
        let mut changed = object.clone();
        let Insn::LoadImm64 { imm: Imm64::MapIdx(map), .. } = &mut changed.programs[0].insns[at] else {
            continue;
        };
        *map += 1;
        let (equal, different) = differences(&changed, &prepared);
        assert_eq!((equal, different.len()), (programs - 1, 1), "another map at {at}");
    }
    let mut changed = object.clone();
    changed.programs[0].insns.push(Insn::Exit);
    assert_eq!(differences(&changed, &prepared).1.len(), 1);
    changed.programs.remove(0);
    assert_eq!(differences(&changed, &prepared).1, ["not a program here"]);
    let mut fewer = prepared.clone();
    fewer.programs.remove(0);
    assert_eq!(differences(&object, &fewer).1, ["not a program for libbpf"]);
    let mut changed = prepared;
    changed.programs[0].1[0].imm += 1;
    assert_eq!(differences(&object, &changed).1.len(), 1);
}
