//! Every case file, on every engine that can run it.

use brolga_compiler::verify::Privilege;
use brolga_tests::ask::{Answer, ask, load_as};
use brolga_tests::case::Case;
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::kernel::Kernel;
use brolga_tests::engines::object::ObjectEngine;
use brolga_tests::engines::oracle::Oracle;
use brolga_tests::engines::{Engine, Error};
use brolga_tests::loader::Open;
use brolga_tests::runner::{bless, blessing, case_files, load_and_run, mismatch, read_case};

/// Folders of cases that run.
const RUNNABLE: &[&str] = &["isa", "contexts", "maps", "helpers", "regressions", "verify/accept", "facts"];

fn runnable() -> Vec<Case> {
    let files = RUNNABLE.iter().flat_map(|folder| case_files(folder));
    files.map(|path| read_case(&path)).filter(|case| case.refused_with.is_none()).collect()
}

/// Runs all cases; what an engine cannot do is counted, everything else must be as the case says.
fn all_agree(engine: &dyn Engine) {
    let cases = runnable();
    let modules: Vec<_> = cases.iter().map(|case| case.module.clone()).collect();
    let mut failures = Vec::new();
    for (case, loaded) in cases.iter().zip(engine.load_all(&modules)) {
        let outcome = loaded.and_then(|mut instance| brolga_tests::runner::run(case, &mut *instance));
        let failure = match outcome {
            Ok(outcome) => mismatch(case, &outcome),
            Err(Error::Unsupported(what)) => {
                eprintln!("{} skips {}: {what}", engine.name(), case.path.display());
                None
            }
            Err(error) => Some(error.to_string()),
        };
        failures.extend(failure.map(|why| format!("{}: {why}", case.path.display())));
    }
    assert!(failures.is_empty(), "{} on {}:\n{}", failures.len(), engine.name(), failures.join("\n"));
    assert!(!cases.is_empty(), "there are cases");
}

#[test]
fn oracle_agrees() {
    if blessing() {
        for mut case in runnable() {
            match load_and_run(&case, &Oracle::default()) {
                Ok(outcome) => bless(&mut case, &outcome),
                Err(error) => panic!("{}: {error}", case.path.display()),
            }
            std::fs::write(&case.path, case.sections.text()).expect("the case can be written");
        }
    }
    all_agree(&Oracle::default());
}

#[test]
fn jit_agrees() {
    all_agree(&Jit::default());
}

#[test]
fn object_agrees() {
    if let Some(engine) = ObjectEngine::or_skip() {
        all_agree(&engine);
    }
}

#[test]
fn kernel_agrees() {
    if let Some(kernel) = Kernel::or_skip() {
        all_agree(&kernel);
    }
}

/// What the kernel accepts and refuses is what the folders say.
#[test]
fn kernel_refuses_what_is_to_be_refused() {
    let Some(kernel) = Kernel::or_skip().map(Kernel::without_log) else { return };
    let accepted: Vec<_> = case_files("verify/reject")
        .iter()
        .map(|path| read_case(path))
        .filter(|case| case.privilege == Privilege::Full)
        .filter(|case| !matches!(kernel.load(&case.module), Err(Error::Rejected(_))))
        .map(|case| case.path.display().to_string())
        .collect();
    assert!(accepted.is_empty(), "the kernel accepts:\n{}", accepted.join("\n"));
}

#[test]
fn kernel_says_the_same_to_loaders_of_less_privilege() {
    let Some(_open) = Open::or_skip() else { return };
    let mut wrong = Vec::new();
    for (folder, accepted) in [("verify/reject", false), ("verify/accept", true)] {
        for case in case_files(folder).iter().map(|path| read_case(path)) {
            if case.privilege == Privilege::Full {
                continue;
            }
            let program = &case.module.programs[0];
            let load = load_as(program).expect("these cases are for Linux's kinds");
            let answer = ask(program, load, case.privilege);
            if (answer == Answer::Accepted) != accepted || matches!(answer, Answer::Unasked(_)) {
                wrong.push(format!("{}: {answer:?}", case.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the kernel says otherwise:\n{}", wrong.join("\n"));
}
