//! The checked-in examples are what their sources make of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brolga_tests::capture;
use brolga_tests::rebuild::rebuilt;
use object::{Object, ObjectSection};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn captures_are_what_the_generator_makes() {
    let frames = capture::frames();
    for (name, made) in
        [("capture.pcap", capture::pcap(&frames)), ("capture.pcapng", capture::pcapng(&frames))]
    {
        let found = std::fs::read(examples().join(name)).expect("the capture is checked in");
        assert!(found == made, "{name} is out of date: run `cargo run -p brolga-tests --bin make-capture`");
    }
}

/// What the loader reads of an object. Debug information names the compiler's exact build.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).expect("the object can be read");
    let file = object::File::parse(&*bytes).expect("clang writes ELF");
    let read = |section: object::Section<'_, '_>| {
        let name = section.name().expect("sections have names").to_owned();
        (name, section.data().expect("sections lie in the file").to_vec())
    };
    file.sections().map(read).filter(|(name, _)| !name.contains(".debug_") && !name.contains("tab")).collect()
}

#[test]
fn objects_are_what_clang_makes_of_the_sources() {
    for (directory, least) in
        [("examples", 5), ("tests/cases/programs/host", 1), ("cli/tests/data", 2), ("benches/programs", 16)]
    {
        let directory = examples().join("..").join(directory);
        let Some(rebuilt) = rebuilt(&directory) else { return };

        let names = std::fs::read_dir(&directory).expect("the directory is there");
        let names =
            names.map(|entry| entry.expect("readable").file_name().into_string().expect("plain names"));
        let objects: Vec<_> = names.filter(|name| name.ends_with(".bpf.o")).collect();
        assert!(objects.len() >= least, "objects are missing: {objects:?}");
        for name in objects {
            let (found, made) = (contents(&directory.join(&name)), contents(&rebuilt.path().join(&name)));
            let same = found.len() == made.len()
                && made.iter().all(|(section, data)| found.get(section) == Some(data));
            assert!(same, "{name} is out of date: run build.sh in {}", directory.display());
        }
    }
}
