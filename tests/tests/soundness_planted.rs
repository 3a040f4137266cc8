//! Mistakes planted in the verifier: the soundness harness finds each of them, and soon.

use brolga_compiler::verify::Options;
use brolga_compiler::verify::planted::Planted;
use brolga_tests::soundness::{Failure, Plan, Report, minimised, run};

/// Runs until the mistake is found, in a small program.
fn found(bug: Planted, runs: u64) -> Failure {
    found_in(bug, runs, 30)
}

/// The same in a program of at most so many instructions.
fn found_in(bug: Planted, runs: u64, insns: usize) -> Failure {
    let plain = Plan::from_seed(0);
    let plan = Plan { options: Options { planted: Some(bug), ..plain.options.clone() }, ..plain };
    let mut report = Report::default();
    run(&plan, runs, &mut report, &mut |_| {});
    let failure = report.failure.clone().unwrap_or_else(|| panic!("{bug:?} was not found: {report}"));
    let small = minimised(&failure, &plan);
    println!("{bug:?} after {} runs: {small}", report.runs);
    assert!(small.module.programs[0].insns.len() <= insns, "{small}");
    small
}

#[test]
fn unsound_arithmetic_is_found() {
    found(Planted::Arithmetic, 20_000);
}

#[test]
fn unsound_refinement_is_found() {
    found(Planted::Refinement, 20_000);
}

#[test]
fn unsound_links_are_found() {
    found(Planted::Links, 20_000);
}

#[test]
fn unsound_pruning_is_found() {
    let failure = found(Planted::Pruning, 20_000);
    assert!(!failure.what.contains("without pruning"), "{failure}");
}

#[test]
fn lost_precision_of_spills_is_found() {
    let failure = found(Planted::Spills, 50_000);
    assert!(!failure.what.contains("without pruning"), "{failure}");
}

#[test]
fn lost_liveness_is_found() {
    let failure = found(Planted::Liveness, 50_000);
    assert!(!failure.what.contains("without pruning"), "{failure}");
}

#[test]
fn lost_liveness_of_what_functions_are_handed_is_found() {
    // It takes two functions.
    let failure = found_in(Planted::Handed, 50_000, 60);
    assert!(!failure.what.contains("without pruning"), "{failure}");
}

#[test]
fn careless_ids_are_found() {
    let failure = found(Planted::Ids, 100_000);
    assert!(!failure.what.contains("without pruning"), "{failure}");
}

#[test]
fn wrong_guesses_are_found() {
    let failure = found_in(Planted::Guesses, 100_000, 60);
    assert!(!failure.what.contains("without pruning"), "{failure}");
}
