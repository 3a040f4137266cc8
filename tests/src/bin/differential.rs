//! Runs many random programs on all engines: `differential [COUNT [FIRST SEED]]`.
//!
//! Prints one line at the end, and every disagreement as it is found; exits with 1 where there is one.

use std::process::ExitCode;

use brolga_tests::differential::{Engines, Report, run};
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::kernel::Kernel;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let (Ok(count), Ok(first)) = (args.next().unwrap_or(Ok(2000)), args.next().unwrap_or(Ok(0))) else {
        eprintln!("usage: differential [COUNT [FIRST_SEED]]");
        return ExitCode::from(2);
    };
    let engines = Engines { kernel: Kernel::or_skip(), compiled: vec![Box::new(Jit::default())] };
    let mut report = Report::default();
    let mut shown = (0, 0, 0);
    for start in (first..first + count).step_by(1000) {
        run(start..(start + 1000).min(first + count), 200, &engines, &mut report);
        for (seed, engine, what) in &report.failures[shown.0..] {
            println!("seed {seed} on {engine}: {what}");
        }
        for (seed, why) in report.only_brolga[shown.1..].iter().take(5) {
            println!("seed {seed} only Brolga accepts: {why}");
        }
        for (seed, why) in report.only_kernel[shown.2..].iter().take(5) {
            println!("seed {seed} only Linux accepts: {why}");
        }
        shown = (report.failures.len(), report.only_brolga.len(), report.only_kernel.len());
        eprintln!("{report}");
    }
    println!("{report}");
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
