//! Programs run in the interpreter, and at each step what the verifier knows of them must hold.
//!
//! `cargo run --release -p brolga-tests --bin soundness -- RUNS [SEED]` runs as many as one likes;
//! `soundness_planted.rs` shows that mistakes are found.

use brolga_tests::soundness::{Plan, Report, run};

#[test]
fn what_the_verifier_knows_holds() {
    let plan = Plan { inputs: 48, ..Plan::from_seed(1) };
    let mut report = Report::default();
    run(&plan, 6_000, &mut report, &mut |_| {});
    println!("{report}");
    assert!(report.failure.is_none(), "{}", report.failure.unwrap());
    // A run in which nothing is at stake would test nothing.
    assert!(report.accepted * 2 > report.programs, "most programs are refused: {report}");
    assert!(report.paths > 2 * report.accepted, "runs take the same paths: {report}");
    assert!(report.checked.prunes > report.runs / 4, "few runs cross a prune point: {report}");
    assert!(report.checked.left < report.runs / 10, "many runs leave what was explored: {report}");
    assert!(report.checked.steps > report.executed, "{report}");
}
