//! Programs that are broken a little: what is accepted never takes an unsafe step, and Linux agrees on
//! what is accepted.
//!
//! `differential mutated` runs as many as one likes.

use brolga_tests::differential::{Report, run_mutated};
use brolga_tests::engines::kernel::Kernel;

fn programs(seeds: std::ops::Range<u64>) {
    let mut report = Report::default();
    run_mutated(seeds, Kernel::or_skip().as_ref(), &mut report);
    assert!(report.failures.is_empty(), "accepted, and unsafe: {:#?}", report.failures);
    assert!(report.only_brolga.is_empty(), "Linux refuses what Brolga accepts: {:#?}", report.only_brolga);
    assert!(report.only_kernel.is_empty(), "Brolga refuses what Linux accepts: {:#?}", report.only_kernel);
    // A mutation that always or never matters would test nothing.
    assert!(report.accepted * 4 > report.programs && report.accepted * 4 < report.programs * 3, "{report}");
}

#[test]
fn first_half() {
    programs(0..250);
}

#[test]
fn second_half() {
    programs(250..500);
}
