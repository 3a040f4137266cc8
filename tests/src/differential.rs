//! Runs random programs on all engines and compares.
//!
//! The oracle says what is right. A program that Brolga's verifier accepts must run on it without a
//! fault, and with the same result everywhere. What one verifier accepts and the other refuses is
//! counted by direction; it is no disagreement of results.

use std::fmt;

use brolga_compiler::verify::{self, Rejection};

use crate::case::Case;
use crate::engines::kernel::Kernel;
use crate::engines::oracle::Oracle;
use crate::engines::{Engine, Error, Instance, Module};
use crate::generate::{Generated, generate};
use crate::runner::{self, Outcome};

/// What takes part besides the oracle.
#[derive(Default)]
pub struct Engines {
    /// Linux.
    pub kernel: Option<Kernel>,
    /// Engines that run what Brolga's verifier accepts.
    pub compiled: Vec<Box<dyn Engine>>,
}

/// What came of many programs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Programs generated.
    pub programs: u64,
    /// Programs that Brolga's verifier accepts.
    pub accepted: u64,
    /// Programs that Linux accepts.
    pub accepted_by_kernel: u64,
    /// Results compared with the oracle's, over all engines.
    pub compared: u64,
    /// Seeds that Brolga accepts and Linux refuses, with Linux's reason.
    pub only_brolga: Vec<(u64, String)>,
    /// Seeds that Linux accepts and Brolga refuses, with Brolga's reason.
    pub only_kernel: Vec<(u64, String)>,
    /// Disagreements: seed, engine, what differs.
    pub failures: Vec<(u64, String, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} programs, {} accepted, {} by Linux; {} results compared, {} disagree; verdicts differ: {} only \
             Brolga accepts, {} only Linux",
            self.programs,
            self.accepted,
            self.accepted_by_kernel,
            self.compared,
            self.failures.len(),
            self.only_brolga.len(),
            self.only_kernel.len()
        )
    }
}

/// Brolga's verdict on the programs of a module.
pub fn verdict(module: &Module) -> Result<(), Rejection> {
    for program in &module.programs {
        verify::verify(program, &verify::Options::default())?;
    }
    Ok(())
}

/// The case of a generated program.
#[must_use]
pub fn case_of(seed: u64, generated: &Generated) -> Case {
    Case::from_module(
        &format!("Random program of seed {seed}."),
        &generated.module,
        &generated.elements,
        &generated.input,
    )
}

/// Generates and runs the programs of some seeds, `batch` at a time.
pub fn run(seeds: std::ops::Range<u64>, batch: usize, engines: &Engines, report: &mut Report) {
    let mut seeds = seeds.peekable();
    while seeds.peek().is_some() {
        let cases: Vec<_> =
            seeds.by_ref().take(batch).map(|seed| (seed, case_of(seed, &generate(seed)))).collect();
        run_batch(&cases, engines, report);
    }
}

fn run_batch(cases: &[(u64, Case)], engines: &Engines, report: &mut Report) {
    let mut accepted = Vec::new();
    for (seed, case) in cases {
        report.programs += 1;
        let verdict = verdict(&case.module);
        let kernel = engines.kernel.as_ref().map(|kernel| kernel.load(&case.module));
        if verdict.is_err() && !matches!(kernel, Some(Ok(_))) {
            // Nobody takes the program; it has no result.
            continue;
        }
        let expected = match runner::load_and_run(case, &Oracle::default()) {
            Ok(outcome) => outcome,
            Err(error) => {
                report.failures.push((*seed, "oracle".to_owned(), error.to_string()));
                continue;
            }
        };
        match (&verdict, kernel) {
            (_, None) => {}
            (verdict, Some(Ok(instance))) => {
                report.accepted_by_kernel += 1;
                if let Err(rejection) = verdict {
                    let why = rejection.diagnostics.first().map(|d| d.message.clone()).unwrap_or_default();
                    report.only_kernel.push((*seed, why));
                }
                compare(*seed, "kernel", case, &expected, Ok(instance), report);
            }
            (Ok(()), Some(Err(error))) => report.only_brolga.push((*seed, last_lines(&error))),
            (Err(_), Some(Err(_))) => {}
        }
        if verdict.is_ok() {
            report.accepted += 1;
            accepted.push((*seed, case, expected));
        }
    }
    let modules: Vec<_> = accepted.iter().map(|(_, case, _)| case.module.clone()).collect();
    for engine in &engines.compiled {
        for ((seed, case, expected), loaded) in accepted.iter().zip(engine.load_all(&modules)) {
            compare(*seed, engine.name(), case, expected, loaded, report);
        }
    }
}

fn compare(
    seed: u64,
    engine: &str,
    case: &Case,
    expected: &Outcome,
    loaded: Result<Box<dyn Instance>, Error>,
    report: &mut Report,
) {
    let difference = match loaded.and_then(|mut instance| runner::run(case, &mut *instance)) {
        Ok(outcome) => expected.difference(&outcome),
        Err(error) => Some(error.to_string()),
    };
    report.compared += 1;
    if let Some(difference) = difference {
        report.failures.push((seed, engine.to_owned(), difference));
    }
}

fn last_lines(error: &Error) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}
