//! Programs run in the interpreter, and at each step what the verifier knows of them must hold.
//!
//! `cargo run --release -p brolga-tests --bin soundness -- RUNS [SEED]` runs as many as one likes;
//! `soundness_planted.rs` shows that mistakes are found.

use std::path::{Path, PathBuf};

use brolga_abi::ProgramKind;
use brolga_compiler::program::{LoadOptions, load};
use brolga_compiler::verify::Options;
use brolga_tests::capture;
use brolga_tests::engines::{Input, Module};
use brolga_tests::repo;
use brolga_tests::runner::{case_files, read_case};
use brolga_tests::soundness::{Given, Plan, Report, check_given, run};

#[test]
fn what_the_verifier_knows_holds() {
    let plan = Plan { inputs: 48, ..Plan::from_seed(1) };
    let mut report = Report::default();
    run(&plan, 4_000, &mut report, &mut |_| {});
    println!("{report}");
    assert!(report.failure.is_none(), "{}", report.failure.unwrap());
    // A run in which nothing is at stake would test nothing.
    assert!(report.accepted * 2 > report.programs, "most programs are refused: {report}");
    assert!(report.paths > 2 * report.accepted, "runs take the same paths: {report}");
    assert!(report.checked.prunes > report.runs / 4, "few runs cross a prune point: {report}");
    assert!(report.checked.left < report.runs / 10, "many runs leave what was explored: {report}");
    assert!(report.checked.steps > report.executed, "{report}");
    assert!(report.taken_back > 0, "guesses are never wrong: {report}");
}

#[test]
fn it_holds_in_the_case_files() {
    let mut report = Report::default();
    for folder in ["isa", "contexts", "maps", "helpers", "regressions", "verify/accept", "facts"] {
        for path in case_files(folder) {
            let case = read_case(&path);
            let inputs = std::slice::from_ref(&case.input);
            let given = Given { module: &case.module, elements: &case.elements, inputs, seed: 1 };
            let failure = check_given(&given, 24, &Options::default(), &mut report);
            assert!(failure.is_none(), "{}: {}", path.display(), failure.unwrap());
        }
    }
    println!("{report}");
    assert!(report.accepted > 40, "{report}");
}

/// XDP programs of an object, each on frames of the capture and on others like them.
fn object(path: &Path, frames: &[Input], report: &mut Report) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let object = load(&bytes, &LoadOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for program in object.programs.iter().filter(|p| p.kind == Some(ProgramKind::Xdp)) {
        let module = Module::single(program.clone());
        let given = Given { module: &module, elements: &[], inputs: frames, seed: 7 };
        let failure = check_given(&given, 40, &Options::default(), report);
        assert!(failure.is_none(), "{}, {}: {}", path.display(), program.name, failure.unwrap());
    }
}

#[test]
fn it_holds_in_real_programs() {
    let frames: Vec<Input> = capture::frames().into_iter().map(|f| Input { data: f.bytes }).collect();
    let mut report = Report::default();
    for path in repo::files("examples", &["o"]) {
        object(&path, &frames, &mut report);
    }
    println!("{report}");
    assert!(report.accepted >= 4 && report.checked.prunes > 0, "{report}");
    // Debian's, where they are installed; whether they must be is `xdp_objects.rs`'s to say.
    let installed = std::fs::read_dir("/usr/lib/x86_64-linux-gnu/bpf").into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = installed.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "o")) {
        object(path, &frames, &mut report);
    }
    println!("{report}");
}
