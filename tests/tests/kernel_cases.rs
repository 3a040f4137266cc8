//! Programs that use what only a kernel has, against the running kernel's types: verdict and words.
//!
//! Each program of `tests/cases/verify/kernel` says in a declaration tag whether Linux accepts it, and with what words it is refused.
//! Where the kernel is older than the one whose verifier Brolga follows, it lacks some of the functions: skipped.

use std::collections::BTreeMap;
use std::fs;

use brolga_compiler::btf::{Btf, Kind};
use brolga_compiler::program::{KernelVersion, LoadOptions, load};
use brolga_compiler::verify::{Options, verify};
use brolga_tests::rebuild::rebuilt;
use brolga_tests::repo;
use brolga_tests::running;

const CASES: &str = "tests/cases/verify/kernel";

/// What the tags say, by function: `accepted`, or `refused: ` and words.
fn expectations(btf: &Btf) -> BTreeMap<String, String> {
    let tags = btf.ids().filter_map(|id| btf.get(id).ok()).filter(|ty| ty.kind() == Kind::DeclTag);
    let pairs = tags.filter_map(|tag| {
        let function = btf.get(tag.referenced()).ok()?.name().ok()?;
        Some((function.to_owned(), tag.name().ok()?.to_owned()))
    });
    pairs.collect()
}

fn objects() -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(repo::root().join(CASES)).expect("the cases are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    paths.sort();
    paths
}

#[test]
fn verdicts_are_those_of_linux() {
    let target = match running::target() {
        Ok(target) if target.version >= KernelVersion::default() => target,
        Ok(target) => return eprintln!("skipped: the kernel is {}", target.version),
        Err(why) => return eprintln!("skipped: the kernel's types are not there: {why}"),
    };
    let options = LoadOptions { target, ..LoadOptions::default() };
    let (mut faults, mut judged) = (Vec::new(), 0);
    for path in objects() {
        let object = load(&fs::read(&path).expect("an object"), &options).expect("it loads");
        let expected = expectations(object.btf.as_deref().expect("it has types"));
        for program in &object.programs {
            let Some(expected) = expected.get(&program.name) else {
                faults.push(format!("{}: `{}` says nothing", path.display(), program.name));
                continue;
            };
            judged += 1;
            let found = match verify(program, &Options::default()) {
                Ok(_) => "accepted".to_owned(),
                Err(rejection) => format!("refused: {}", rejection.diagnostics[0].message),
            };
            let words = expected.strip_prefix("refused: ");
            let same = match words {
                Some(words) => found.starts_with("refused: ") && found.contains(words),
                None => found == *expected,
            };
            if !same {
                faults.push(format!("{}: {}\n  {expected}\n  {found}", path.display(), program.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(judged > 30, "only {judged} programs were judged");
}

#[test]
fn objects_are_what_their_sources_make() {
    let Some(made) = rebuilt(&repo::root().join(CASES)) else { return };
    for path in objects() {
        let name = path.file_name().expect("a file");
        let (old, new) = (fs::read(&path), fs::read(made.path().join(name)));
        assert!(old.expect("checked in") == new.expect("rebuilt"), "{} is out of date", path.display());
    }
}
