//! The kernel's selftests, linked: pairs that belong together as libbpf loads them, and each object
//! alone as `bpftool gen object` leaves it.

use std::path::Path;
use std::process::Command;

use brolga_compiler::linker::{Input, link};
use brolga_compiler::program::{LoadOptions, load};
use brolga_tests::libbpf::compare_all;
use brolga_tests::linked::assert_same;
use brolga_tests::objects::{ObjectFile, or_skip, selftests};
use brolga_tests::running;
use brolga_tests::selftests::Cpu;

/// Objects that the selftests' own build links, in its order.
const SETS: &[&[&str]] = &[
    &["test_static_linked1", "test_static_linked2"],
    &["linked_funcs1", "linked_funcs2"],
    &["linked_vars1", "linked_vars2"],
    &["linked_maps1", "linked_maps2"],
    &["test_subskeleton_lib2", "test_subskeleton_lib", "test_subskeleton"],
    &["test_usdt", "test_usdt_multispec"],
];

/// Sets whose types `bpftool` 7.5 links wrongly: what was external or weak before it was defined keeps the
/// offset that it had. Neither libbpf nor Brolga then loads maps; and variables are not where BTF says.
/// libbpf's view of our result is compared all the same.
const LOST_OFFSETS: &[&str] = &["linked_maps1", "test_subskeleton_lib2"];

fn find<'o>(objects: &'o [ObjectFile], name: &str) -> &'o ObjectFile {
    let found = objects.iter().find(|object| object.name.ends_with(&format!("/{name}")));
    found.unwrap_or_else(|| panic!("the selftests have no {name}"))
}

/// Links objects as `bpftool` does; none where it refuses.
fn bpftool(objects: &[&ObjectFile]) -> Option<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |(number, object): (usize, &&ObjectFile)| {
        let path = directory.path().join(format!("{number}.o"));
        std::fs::write(&path, &object.bytes).expect("a temporary file");
        path
    };
    let paths: Vec<_> = objects.iter().enumerate().map(write).collect();
    let out = directory.path().join("out.o");
    let output = Command::new("bpftool").args(["gen", "object"]).arg(&out).args(&paths).output();
    let success = output.expect("bpftool starts").status.success();
    success.then(|| read(&out))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("bpftool wrote it")
}

fn linked(objects: &[&ObjectFile]) -> Result<Vec<u8>, String> {
    let input = |object: &&'_ ObjectFile| (object.name.clone(), object.bytes.clone());
    let parts: Vec<_> = objects.iter().map(input).collect();
    let inputs: Vec<Input<'_>> = parts.iter().map(|(name, bytes)| Input { name, bytes }).collect();
    link(&inputs).map_err(|error| error.to_string())
}

fn has_bpftool() -> Result<(), String> {
    Command::new("bpftool").arg("version").output().map(drop).map_err(|error| format!("bpftool: {error}"))
}

#[test]
fn sets_load_as_libbpf_loads_them() {
    let Some(objects) = or_skip("the selftests", selftests(Cpu::V3)) else { return };
    let Some(target) = or_skip("the running kernel's types", running::target()) else { return };
    let options = LoadOptions { target: target.clone(), ..LoadOptions::default() };
    let Some(()) = or_skip("bpftool", has_bpftool()) else { return };
    let mut files = Vec::new();
    for names in SETS {
        let parts: Vec<_> = names.iter().map(|name| find(&objects, name)).collect();
        let bytes = linked(&parts).unwrap_or_else(|error| panic!("{error}"));
        let theirs = bpftool(&parts).unwrap_or_else(|| panic!("bpftool does not link {names:?}"));
        let load = |bytes: &[u8]| load(bytes, &options).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        if !LOST_OFFSETS.contains(&names[0]) {
            assert_same(&format!("{names:?}"), &load(&bytes), &load(&theirs));
        }
        files.push(ObjectFile { name: format!("linked/{}", names[0]), bytes });
    }
    let report = compare_all(&files, &target);
    println!("{report}");
    assert_eq!(report.failures(), []);
    assert_eq!(report.opened(), SETS.len(), "libbpf opens all of them");
    let (equal, different) = report.programs();
    assert!(different.is_empty() && equal > 10, "{equal} are equal; different: {different:?}");
}

#[test]
fn objects_alone_are_as_bpftool_leaves_them() {
    let Some(objects) = or_skip("the selftests", selftests(Cpu::V3)) else { return };
    let Some(()) = or_skip("bpftool", has_bpftool()) else { return };
    let (mut both, mut neither) = (0, 0);
    for object in &objects {
        match (linked(&[object]), bpftool(&[object])) {
            (Ok(ours), Some(theirs)) => {
                let load = |bytes: &[u8]| load(bytes, &LoadOptions::default());
                match (load(&ours), load(&theirs)) {
                    (Ok(ours), Ok(theirs)) => assert_same(&object.name, &ours, &theirs),
                    // External maps: neither can be loaded.
                    (Err(_), Err(_)) => {}
                    (ours, theirs) => panic!("{}: {:?}, {:?}", object.name, ours.err(), theirs.err()),
                }
                both += 1;
            }
            (Err(_), None) => neither += 1,
            (ours, theirs) => panic!("{}: {:?}, and bpftool {}", object.name, ours.err(), theirs.is_some()),
        }
    }
    assert!(both > 500 && neither < 10, "{both} are linked, {neither} are not");
}
