//! Runs random programs and checks at every step that what the verifier knows holds: `soundness [RUNS [SEED]]`.
//!
//! Prints what was checked; exits with 1 and a minimised program where something does not hold.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use brolga_tests::soundness::{Plan, Report, minimised, run};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let (Ok(runs), Ok(seed)) = (args.next().unwrap_or(Ok(100_000)), args.next().unwrap_or(Ok(0))) else {
        eprintln!("usage: soundness [RUNS [SEED]]");
        return ExitCode::from(2);
    };
    let plan = Plan::from_seed(seed);
    let mut report = Report::default();
    let mut told = Instant::now();
    run(&plan, runs, &mut report, &mut |report| {
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{report}");
        }
    });
    println!("seed {seed}: {report}");
    match &report.failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("{failure}");
            println!("minimised:\n{}", minimised(failure, &plan));
            ExitCode::FAILURE
        }
    }
}
