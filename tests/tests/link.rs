//! Objects are linked as `bpftool gen object` links them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use brolga_compiler::btf::{Btf, Kind};
use brolga_compiler::elf::{Binding, Elf, SymbolPlace};
use brolga_compiler::isa::{Endianness, Imm64, Insn};
use brolga_compiler::linker::{Input, LinkError, Problem, link};
use brolga_compiler::program::{LoadOptions, Object, Program, load};
use brolga_compiler::verify;
use brolga_tests::linked::assert_same;
use brolga_tests::rebuild::rebuilt;
use brolga_tests::repo;

fn dir() -> PathBuf {
    repo::root().join("tests/cases/link")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(dir().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Links cases.
fn linked(names: &[&str]) -> Result<Vec<u8>, LinkError> {
    let files: Vec<_> = names.iter().map(|name| bytes(name)).collect();
    let inputs: Vec<Input<'_>> =
        names.iter().zip(&files).map(|(name, bytes)| Input { name, bytes }).collect();
    link(&inputs)
}

fn loaded(bytes: &[u8]) -> Object {
    load(bytes, &LoadOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn types(bytes: &[u8]) -> Btf {
    let elf = Elf::parse(bytes).expect("an object");
    let (_, section) = elf.section_by_name(".BTF").expect("there is BTF");
    Btf::parse(section.data().expect("in the file")).expect("valid")
}

fn program<'o>(object: &'o Object, name: &str) -> &'o Program {
    object.programs.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no program `{name}`"))
}

/// Says that a test was skipped, which CI does not allow.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing, and CI must have it");
    eprintln!("skipped: {what} is not installed");
}

#[test]
fn two_halves_become_programs_that_are_accepted() {
    for names in [["first.bpf.o", "second.bpf.o"], ["second.bpf.o", "first.bpf.o"]] {
        let object = loaded(&linked(&names).unwrap_or_else(|e| panic!("{e}")));
        for name in ["first", "second", "alone"] {
            let program = program(&object, name);
            let outcome = verify::verify(program, &verify::Options::default());
            assert!(outcome.is_ok(), "{name}: {:?}", outcome.err().map(|e| e.diagnostics));
        }
        // Each half calls its own `adjust`, and the other half's `policy`, which is not weak.
        let first = program(&object, "first");
        let mut functions: Vec<&str> = first.subprogs.iter().map(|s| s.name.as_str()).collect();
        functions.sort_unstable();
        assert_eq!(functions, ["adjust", "adjust", "fallback", "first", "policy", "scale"]);
        let data = object.maps.iter().find(|map| map.name == ".data").expect("there are variables");
        let data = data.global.as_ref().expect("of a data section");
        let value = |name: &str| {
            let variable = data.variables.iter().find(|v| v.name == name).expect("it is there");
            let start = variable.offset as usize;
            data.initial[start..start + variable.size as usize].to_vec()
        };
        assert_eq!(value("start"), 7_u32.to_le_bytes());
        assert_eq!(value("limit"), 1000_u32.to_le_bytes());
        assert_eq!(value("wide"), 0x0102_0304_0506_0708_u64.to_le_bytes());
    }
}

#[test]
fn types_become_one_without_duplicates() {
    let result = linked(&["first.bpf.o", "second.bpf.o"]).unwrap_or_else(|e| panic!("{e}"));
    let btf = types(&result);
    for (kind, name) in [(Kind::Int, "int"), (Kind::Struct, "state"), (Kind::Typedef, "__u32")] {
        let found = btf.by_name(name).filter(|&id| btf.get(id).is_ok_and(|ty| ty.kind() == kind));
        assert_eq!(found.count(), 1, "{name}");
    }
    // The first half only declares it.
    assert_eq!(btf.find(Kind::Fwd, "detail"), None);
    assert!(btf.find(Kind::Struct, "detail").is_some());
    let data = btf.get(btf.find(Kind::Datasec, ".data").expect("there are variables")).expect("valid");
    let offsets: Vec<u32> = data.vars().map(|var| var.offset).collect();
    assert_eq!((offsets, data.size()), (vec![0, 4, 8, 16], 20), "as they are put behind each other");
}

#[test]
fn symbols_keep_their_scope() {
    let result = linked(&["first.bpf.o", "second.bpf.o"]).unwrap_or_else(|e| panic!("{e}"));
    let elf = Elf::parse(&result).expect("an object");
    let named = |name: &str| elf.symbols.iter().filter(|s| s.name == name).collect::<Vec<_>>();
    assert_eq!(named("adjust").iter().map(|s| s.binding).collect::<Vec<_>>(), [Binding::Local; 2]);
    let [policy] = named("policy")[..] else { panic!("one symbol") };
    assert_eq!((policy.binding, policy.hidden), (Binding::Global, false));
    let [fallback] = named("fallback")[..] else { panic!("one symbol") };
    assert_eq!((fallback.binding, fallback.hidden), (Binding::Weak, true));
    assert!(elf.symbols.iter().skip(1).all(|s| s.place != SymbolPlace::Undefined), "all is resolved");
    let locals = elf.symbols.iter().take_while(|s| s.binding == Binding::Local).count();
    assert!(elf.symbols[locals..].iter().all(|s| s.binding != Binding::Local), "locals come first");
}

#[test]
fn what_nobody_defines_stays_external() {
    let result = linked(&["first.bpf.o"]).unwrap_or_else(|e| panic!("{e}"));
    let elf = Elf::parse(&result).expect("an object");
    let scale = elf.symbols.iter().find(|s| s.name == "scale").expect("it is called");
    assert_eq!(scale.place, SymbolPlace::Undefined);
    // And can be found by linking again.
    let second = bytes("second.bpf.o");
    let inputs = [Input { name: "library", bytes: &result }, Input { name: "second", bytes: &second }];
    let again = loaded(&link(&inputs).unwrap_or_else(|e| panic!("{e}")));
    let once = loaded(&linked(&["first.bpf.o", "second.bpf.o"]).expect("linked before"));
    assert_same("linked in two steps", &again, &once);
}

#[test]
fn big_endian_objects_are_linked() {
    let result = linked(&["first.bpfeb.o", "second.bpfeb.o"]).unwrap_or_else(|e| panic!("{e}"));
    let little = loaded(&linked(&["first.bpf.o", "second.bpf.o"]).expect("linked before"));
    let object = loaded(&result);
    assert_eq!(object.endianness, Endianness::Big);
    for theirs in &little.programs {
        let ours = program(&object, &theirs.name);
        assert_eq!(ours.insns.len(), theirs.insns.len(), "{}", theirs.name);
        assert_eq!(ours.subprogs, theirs.subprogs);
    }
}

#[test]
fn refusals_name_both_files() {
    let refuse = |names: &[&str]| {
        let error = linked(names).expect_err("they do not fit together");
        let expected = format!("`{}` and `{}`: ", names[1], names[0]);
        assert!(error.to_string().starts_with(&expected), "{error}");
        error.problem
    };
    let symbol = "scale".to_owned();
    assert_eq!(refuse(&["second.bpf.o", "twice.bpf.o"]), Problem::Duplicate { symbol });
    let (symbol, what) = ("limit".to_owned(), "4 and 8 bytes".to_owned());
    assert_eq!(refuse(&["second.bpf.o", "retyped.bpf.o"]), Problem::Incompatible { symbol, what });
    let (symbol, what) = ("states".to_owned(), "`max_entries` is 4 and 8".to_owned());
    assert_eq!(refuse(&["second.bpf.o", "remapped.bpf.o"]), Problem::Incompatible { symbol, what });
    let section = "license".to_owned();
    assert_eq!(refuse(&["second.bpf.o", "relicensed.bpf.o"]), Problem::ContentsDiffer { section });
    assert_eq!(refuse(&["second.bpf.o", "first.bpfeb.o"]), Problem::ByteOrder);
}

/// `bpftool` 7.5 leaves such maps at offset 0, where libbpf then finds several.
#[test]
fn maps_of_other_files_are_found_wherever_they_are() {
    let orders = [["third", "second", "first"], ["second", "third", "first"], ["first", "third", "second"]];
    for names in orders {
        let names = names.map(|name| format!("{name}.bpf.o"));
        let object = loaded(&linked(&names.each_ref().map(String::as_str)).unwrap_or_else(|e| panic!("{e}")));
        let third = program(&object, "third");
        let used: Vec<&str> = third
            .insns
            .iter()
            .filter_map(|insn| match insn {
                Insn::LoadImm64 { imm: Imm64::MapIdx(index), .. } => Some(&*third.maps[*index as usize].name),
                _ => None,
            })
            .collect();
        assert_eq!(used, ["own", "seen", "states"]);
        let outcome = verify::verify(third, &verify::Options::default());
        assert!(outcome.is_ok(), "{names:?}: {:?}", outcome.err().map(|e| e.diagnostics));
    }
}

/// Links files as `bpftool` does; none where it refuses.
fn bpftool(files: &[PathBuf]) -> Option<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let out = directory.path().join("out.o");
    let output = Command::new("bpftool").args(["gen", "object"]).arg(&out).args(files).output();
    let linked = output.expect("bpftool starts").status.success();
    linked.then(|| std::fs::read(&out).expect("bpftool wrote it"))
}

#[test]
fn results_are_those_of_bpftool() {
    if Command::new("bpftool").arg("version").output().is_err() {
        return skip("bpftool");
    }
    // What has maps comes before what uses them: see above.
    let pairs = [
        &["second.bpf.o"][..],
        &["second.bpf.o", "first.bpf.o"],
        &["second.bpf.o", "third.bpf.o", "first.bpf.o"],
        &["second.bpf.o", "twice.bpf.o"],
        &["second.bpf.o", "retyped.bpf.o"],
        &["second.bpf.o", "remapped.bpf.o"],
        &["second.bpf.o", "relicensed.bpf.o"],
    ];
    let mut compared = 0;
    for names in pairs {
        let paths: Vec<PathBuf> = names.iter().map(|name| dir().join(name)).collect();
        match (linked(names), bpftool(&paths)) {
            (Ok(ours), Some(theirs)) => {
                assert_same(&format!("{names:?}"), &loaded(&ours), &loaded(&theirs));
                compared += 1;
            }
            (Err(_), None) => {}
            (ours, theirs) => panic!("{names:?}: {:?}, and bpftool {}", ours.err(), theirs.is_some()),
        }
    }
    assert_eq!(compared, 3);
}

#[test]
fn an_object_alone_says_the_same_when_linked() {
    let mut count = 0;
    for path in ["tests/cases/programs", "examples"].iter().flat_map(|dir| repo::files(dir, &["o"])) {
        let bytes = std::fs::read(&path).expect("checked in");
        let name = repo::name(&path);
        let Ok(before) = load(&bytes, &LoadOptions::default()) else { continue };
        let result = link(&[Input { name: &name, bytes: &bytes }]).unwrap_or_else(|e| panic!("{e}"));
        assert_same(&name, &loaded(&result), &before);
        count += 1;
    }
    assert!(count > 8, "only {count} objects");
}

#[test]
fn merged_types_are_those_that_were_there() {
    // Every named structure of the parts is in the whole, with its size.
    let whole = Arc::new(types(&linked(&["first.bpf.o", "second.bpf.o"]).expect("linked before")));
    for part in ["first.bpf.o", "second.bpf.o"] {
        let part = types(&bytes(part));
        for ty in part.ids().map(|id| part.get(id).expect("valid")) {
            let name = ty.name().expect("valid");
            if matches!(ty.kind(), Kind::Struct | Kind::Typedef) && !name.is_empty() {
                let found = whole.find(ty.kind(), name).unwrap_or_else(|| panic!("no `{name}`"));
                assert_eq!(whole.size_of(found), part.size_of(ty.id()), "{name}");
            }
        }
    }
}

#[test]
fn objects_are_what_clang_makes_of_the_sources() {
    let Some(rebuilt) = rebuilt(&dir()) else { return };
    let mut count = 0;
    for found in repo::files("tests/cases/link", &["o"]) {
        let name = found.file_name().expect("a file");
        let same = contents(&found) == contents(&rebuilt.path().join(name));
        assert!(same, "{} is out of date: run build.sh", name.display());
        count += 1;
    }
    assert_eq!(count, 9);
}

/// What the linker reads of an object.
fn contents(path: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(path).expect("the object can be read");
    let elf = Elf::parse(&bytes).expect("clang writes ELF");
    let kept = elf.sections.iter().filter(|s| !s.name.contains(".debug_") && !s.name.contains("tab"));
    kept.map(|s| (s.name.to_owned(), s.data().expect("in the file").to_vec())).collect()
}
