//! Runs random programs on all engines and compares.
//!
//! The oracle says what is right. A program that Brolga's verifier accepts must run on it without a
//! fault, and with the same result everywhere. What one verifier accepts and the other refuses is
//! counted by direction; it is no disagreement of results.

use std::fmt;

use brolga_abi::HelperId;
use brolga_compiler::isa::{AluOp, CallTarget, Insn};
use brolga_compiler::verify::{self, Rejection};

use crate::case::Case;
use crate::engines::kernel::Kernel;
use crate::engines::oracle::Oracle;
use crate::engines::{Engine, Error, Instance, Module};
use crate::generate::mutate::mutated;
use crate::generate::{Generated, generate};
use crate::minimise::minimise;
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

/// Generates programs that are broken a little and compares verdicts. Whatever Brolga or Linux accepts
/// must run on the oracle without an unsafe step; results are not compared.
///
/// Verdicts of programs that divide, or ask for their CPU, are not compared: Linux 6.18 knows nothing of
/// a quotient's range where Brolga does, and knows how many CPUs it has.
pub fn run_mutated(seeds: std::ops::Range<u64>, kernel: Option<&Kernel>, report: &mut Report) {
    let quiet = kernel.cloned().map(Kernel::without_log);
    for seed in seeds {
        let case = case_of(seed, &mutated(seed));
        report.programs += 1;
        let verdict = verdict(&case.module);
        let linux = quiet.as_ref().map(|kernel| kernel.load(&case.module).map(drop));
        report.accepted += u64::from(verdict.is_ok());
        report.accepted_by_kernel += u64::from(matches!(linux, Some(Ok(()))));
        match (&verdict, &linux) {
            _ if judged_differently(&case.module) => {}
            (Ok(()), Some(Err(_))) => {
                let why = kernel.and_then(|kernel| kernel.load(&case.module).err());
                report.only_brolga.push((seed, why.map(|error| last_lines(&error)).unwrap_or_default()));
            }
            (Err(rejection), Some(Ok(()))) => {
                let why = rejection.diagnostics.first().map(|d| d.message.clone()).unwrap_or_default();
                report.only_kernel.push((seed, why));
            }
            (Ok(()), Some(Ok(())) | None) | (Err(_), Some(Err(_)) | None) => {}
        }
        if verdict.is_ok() || matches!(linux, Some(Ok(()))) {
            report.compared += 1;
            if let Err(Error::Fault(fault)) = runner::load_and_run(&case, &Oracle::default())
                && fault.is_unsafe()
            {
                let who = if verdict.is_ok() { "brolga" } else { "kernel" };
                report.failures.push((seed, who.to_owned(), fault.to_string()));
            }
        }
    }
}

/// Whether a module does something of which the two verifiers are known to think differently.
fn judged_differently(module: &Module) -> bool {
    let cpu = HelperId::GetSmpProcessorId.info().number;
    module.programs.iter().flat_map(|p| &p.insns).any(|insn| match insn {
        Insn::Alu { op, .. } => matches!(op, AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod),
        Insn::Call(CallTarget::Helper(number)) => *number == cpu,
        _ => false,
    })
}

/// The smallest program that still fails as a seed's does, as a case whose results are the oracle's.
/// It reads nothing of the stack that it has not written: that is everyone's own.
#[must_use]
pub fn minimised(seed: u64, engine: &dyn Engine) -> Case {
    let generated = generate(seed);
    let original = case_of(seed, &generated);
    let accepts_all = engine.name() == "kernel";
    let mut wrong = |module: &Module| {
        let case = Case { module: module.clone(), ..original.clone() };
        if !accepts_all && verdict(module).is_err() {
            return false;
        }
        let Ok(expected) = runner::load_and_run(&case, &Oracle::strict()) else { return false };
        match runner::load_and_run(&case, engine) {
            Ok(outcome) => expected.difference(&outcome).is_some(),
            Err(error) => !matches!(error, Error::Rejected(_) | Error::Unsupported(_)),
        }
    };
    let small = minimise(&generated.module, &mut wrong);
    let about = format!("Found by random program {seed} on {}.", engine.name());
    let mut case = Case::from_module(&about, &small, &generated.elements, &generated.input);
    if let Ok(outcome) = runner::load_and_run(&case, &Oracle::default()) {
        runner::bless(&mut case, &outcome);
    }
    case
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

#[cfg(test)]
mod tests {
    use brolga_compiler::program::MapId;

    use super::*;
    use crate::engines::{Contents, Input, Output};

    #[test]
    fn cases_of_random_programs_can_be_read_again() {
        for seed in 0..20 {
            let case = case_of(seed, &generate(seed));
            let again = Case::parse(&case.sections.text()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert_eq!(again.module.programs[0].insns, case.module.programs[0].insns, "seed {seed}");
            assert_eq!(again.module.maps, case.module.maps, "seed {seed}");
            assert_eq!((again.elements, again.input), (case.elements, case.input), "seed {seed}");
        }
    }

    #[test]
    fn a_wrong_engine_is_found_and_its_case_is_small() {
        /// The oracle, but `r0` is one more where the program multiplies.
        struct Wrong;
        struct WrongInstance(Box<dyn Instance>, bool);
        impl Engine for Wrong {
            fn name(&self) -> &'static str {
                "wrong"
            }
            fn load(&self, module: &Module) -> Result<Box<dyn Instance>, Error> {
                let multiplies = |i: &Insn| matches!(i, Insn::Alu { op: AluOp::Mul, .. });
                let wrong = module.programs[0].insns.iter().any(multiplies);
                Ok(Box::new(WrongInstance(Oracle::default().load(module)?, wrong)))
            }
        }
        impl Instance for WrongInstance {
            fn run(&mut self, program: usize, input: &Input) -> Result<Output, Error> {
                let mut output = self.0.run(program, input)?;
                output.ret += u64::from(self.1);
                Ok(output)
            }
            fn update(&mut self, map: MapId, key: &[u8], values: &[Vec<u8>]) -> Result<(), Error> {
                self.0.update(map, key, values)
            }
            fn contents(&mut self, map: MapId) -> Result<Contents, Error> {
                self.0.contents(map)
            }
        }
        let mut report = Report::default();
        let engines = Engines { kernel: None, compiled: vec![Box::new(Wrong)] };
        run(0..3, 3, &engines, &mut report);
        assert_eq!(report.failures.len(), 3, "every random program multiplies in the end");
        let case = minimised(report.failures[0].0, &Wrong);
        assert!(case.module.programs[0].insns.len() <= 6, "{}", case.sections.text());
    }
}
