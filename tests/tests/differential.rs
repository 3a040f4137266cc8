//! Random programs: all engines agree, and what Brolga accepts never faults.
//!
//! The binary `differential` runs as many as one likes.

use brolga_tests::differential::{Engines, Report, run};
use brolga_tests::engines::Engine;
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::kernel::Kernel;
use brolga_tests::engines::object::ObjectEngine;

fn programs(first: u64) {
    let mut compiled: Vec<Box<dyn Engine>> = vec![Box::new(Jit::default())];
    compiled.extend(ObjectEngine::or_skip().map(|engine| Box::new(engine) as Box<dyn Engine>));
    let engines = Engines { kernel: Kernel::or_skip(), compiled };
    let mut report = Report::default();
    run(first..first + 500, 500, &engines, &mut report);
    assert!(report.failures.is_empty(), "{report}\n{:#?}", report.failures);
    assert!(report.only_brolga.is_empty(), "Linux refuses what Brolga accepts: {:#?}", report.only_brolga);
    // Generated programs are meant to be accepted; a verifier that refuses many of them is too strict.
    assert!(report.only_kernel.len() < 5, "{:#?}", report.only_kernel);
    assert!(report.accepted > 490, "{report}");
}

#[test]
fn first_quarter() {
    programs(0);
}

#[test]
fn second_quarter() {
    programs(500);
}

#[test]
fn third_quarter() {
    programs(1000);
}

#[test]
fn fourth_quarter() {
    programs(1500);
}
