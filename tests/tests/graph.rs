//! Lists, trees and objects that programs allocate: each program of the objects in `cases/verify/graph` is judged as a tag
//! of its function says.
//!
//! Where the running kernel can be asked, the verdicts are Linux 6.18's, but for those that a comment in the source tells.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use brolga_compiler::program::{LoadOptions, Object, Target, load};
use brolga_compiler::verify::{Options, verify};
use brolga_tests::rebuild::rebuilt;
use brolga_tests::repo;
use brolga_tests::tagged::{DIRECTORY, KERNEL, expectations, objects};
use object::{Object as _, ObjectSection as _};

fn open(path: &Path, options: &LoadOptions) -> Object {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", repo::name(path)));
    load(&bytes, options).unwrap_or_else(|e| panic!("{}: {e}", repo::name(path)))
}

/// The small kernel for which programs are judged.
fn options() -> LoadOptions {
    let kernel = open(&repo::root().join(DIRECTORY).join(KERNEL), &LoadOptions::default());
    let types = kernel.btf.expect("compiled with -g");
    let target = Target { types: Arc::clone(&types).into(), ..Target::default() };
    LoadOptions { target, ..LoadOptions::default() }
}

#[test]
fn programs_are_judged_as_their_tags_say() {
    let options = options();
    let (mut faults, mut judged) = (Vec::new(), 0);
    for path in objects() {
        let object = open(&path, &options);
        let expectations = expectations(object.btf.as_ref().expect("compiled with -g"));
        for program in &object.programs {
            let name = format!("{} {}", path.file_name().unwrap_or_default().display(), program.name);
            let expected = expectations.get(&program.name).unwrap_or_else(|| panic!("{name} has no tag"));
            judged += 1;
            let found = verify(program, &Options::default()).err().map(|mut r| r.diagnostics.remove(0));
            match (expected, found) {
                (None, None) => {}
                (None, Some(found)) => {
                    faults.push(format!("{name}: {}: {}", found.code.info().name, found.message));
                }
                (Some(_), None) => faults.push(format!("{name}: is accepted")),
                (Some((code, message)), Some(found)) => {
                    if *code != found.code.info().name || !found.message.contains(message) {
                        let (code, message) = (found.code.info().name, &found.message);
                        faults.push(format!("{name}: for something else: {code}: {message}"));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
    assert!(judged >= 80, "only {judged} programs were found");
}

#[test]
fn what_became_of_an_object_is_said() {
    let help = |object: &str, program: &str| {
        let path = repo::root().join(DIRECTORY).join(object);
        let object = open(&path, &options());
        let program = object.programs.iter().find(|p| p.name == program).expect("it is there");
        let rejection = verify(program, &Options::default()).expect_err("it is refused");
        rejection.diagnostics[0].help.clone().unwrap_or_default()
    };
    assert!(help("lists.bpf.o", "use_after_unlock").contains("when the lock is given back"));
    assert!(help("objects.bpf.o", "use_after_drop").contains("dropped by this call"));
    assert!(help("objects.bpf.o", "use_after_it_was_stored").contains("owns it since this exchange"));
}

#[test]
fn objects_are_what_clang_makes_of_the_sources() {
    let directory = repo::root().join(DIRECTORY);
    let Some(rebuilt) = rebuilt(&directory) else { return };
    for found in repo::files(DIRECTORY, &["o"]) {
        let name = found.file_name().expect("a file");
        let (found, made) = (contents(&found), contents(&rebuilt.path().join(name)));
        assert!(found == made, "{} is out of date: run build.sh", name.display());
    }
}

/// What the loader reads of an object. Debug information names the compiler's exact build.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", repo::name(path)));
    let file = object::File::parse(&*bytes).expect("clang writes ELF");
    let read = |section: object::Section<'_, '_>| {
        let name = section.name().expect("sections have names").to_owned();
        (name, section.data().expect("sections lie in the file").to_vec())
    };
    file.sections().map(read).filter(|(name, _)| !name.contains(".debug_") && !name.contains("tab")).collect()
}
