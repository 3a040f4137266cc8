//! Runs many random programs on all engines: `differential [COUNT [FIRST_SEED]]`; or breaks them a little
//! and compares what the two verifiers say, and whether what they accept is safe:
//! `differential mutated [COUNT [FIRST_SEED]]`.
//!
//! Prints one line at the end, and every disagreement as it is found, which it also writes as a small
//! case below `tests/cases/regressions`; exits with 1 where there is one.

use std::process::ExitCode;

use brolga_tests::differential::{Engines, Report, minimised, run, run_mutated};
use brolga_tests::engines::Engine;
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::kernel::Kernel;
use brolga_tests::engines::object::ObjectEngine;
use brolga_tests::runner::cases_dir;

/// Programs of one executable of the object engine.
const BATCH: usize = 500;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let mutate = words.next_if(|word| word == "mutated").is_some();
    let mut args = words.map(|arg| arg.parse::<u64>());
    let (Ok(count), Ok(first)) = (args.next().unwrap_or(Ok(2000)), args.next().unwrap_or(Ok(0))) else {
        eprintln!("usage: differential [mutated] [COUNT [FIRST_SEED]]");
        return ExitCode::from(2);
    };
    let mut compiled: Vec<Box<dyn Engine>> = vec![Box::new(Jit::default())];
    if !mutate {
        compiled.extend(ObjectEngine::or_skip().map(|engine| Box::new(engine) as Box<dyn Engine>));
    }
    let engines = Engines { kernel: Kernel::or_skip(), compiled };
    let mut report = Report::default();
    for start in (first..first + count).step_by(2000) {
        let shown = report.clone();
        let seeds = start..(start + 2000).min(first + count);
        if mutate {
            run_mutated(seeds, engines.kernel.as_ref(), &mut report);
        } else {
            run(seeds, BATCH, &engines, &mut report);
        }
        tell(&report, &shown, &engines);
    }
    println!("{report}");
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what is new, and writes new disagreements as small cases.
fn tell(report: &Report, shown: &Report, engines: &Engines) {
    for (seed, why) in report.only_brolga[shown.only_brolga.len()..].iter().take(5) {
        println!("seed {seed} only Brolga accepts: {why}");
    }
    for (seed, why) in report.only_kernel[shown.only_kernel.len()..].iter().take(5) {
        println!("seed {seed} only Linux accepts: {why}");
    }
    for (seed, name, what) in &report.failures[shown.failures.len()..] {
        println!("seed {seed} on {name}: {what}");
        let kernel = engines.kernel.iter().map(|engine| engine as &dyn Engine);
        let mut all = engines.compiled.iter().map(|engine| &**engine).chain(kernel);
        let Some(engine) = all.find(|engine| engine.name() == name) else { continue };
        let path = cases_dir().join(format!("regressions/random_{seed}_{name}.data"));
        if let Err(error) = std::fs::write(&path, minimised(*seed, engine).sections.text()) {
            eprintln!("{}: {error}", path.display());
        }
    }
    eprintln!("{report}");
}
