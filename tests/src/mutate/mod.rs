//! Mutated objects through load, decode and verify: no panic, no hang.
//!
//! Every case is made from a seed and its number alone, so that a failure is repeated by giving
//! both. A case that takes too long is a failure too; it cannot be stopped, so that the whole run
//! ends there.

mod linking;
mod mutator;
mod rng;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brolga_compiler::isa::{Endianness, decode, encode_all};
use brolga_compiler::program::{Fault, LoadOptions, Target, load};
use brolga_compiler::verify::{self, verify};

pub use mutator::case;
pub use rng::Rng;

/// How a run is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// First case.
    pub first: u64,
    /// Number of cases.
    pub cases: u64,
    /// From which all cases are made.
    pub seed: u64,
    /// Threads.
    pub threads: u64,
    /// Longest that one case may take.
    pub patience: Duration,
}

/// What came of the cases.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Cases run.
    pub cases: u64,
    /// Outcomes by name.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Cases that panicked, with the message.
    pub panics: Vec<(u64, String)>,
    /// The case that took longest, and how long.
    pub slowest: (u64, Duration),
}

impl Summary {
    fn count(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.panics.extend(other.panics);
        if other.slowest.1 > self.slowest.1 {
            self.slowest = other.slowest;
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} cases, {} panics", self.cases, self.panics.len())?;
        writeln!(f, "slowest: case {} with {:?}", self.slowest.0, self.slowest.1)?;
        for (outcome, count) in &self.outcomes {
            writeln!(f, "{count:>12} {outcome}")?;
        }
        for (case, message) in &self.panics {
            writeln!(f, "case {case} panicked: {message}")?;
        }
        Ok(())
    }
}

/// Runs the cases of a plan over mutations of `objects`.
///
/// Ends the process where a case takes longer than [`Plan::patience`].
#[must_use]
pub fn run(objects: &[Vec<u8>], plan: Plan) -> Summary {
    let next = AtomicU64::new(plan.first);
    let end = plan.first + plan.cases;
    let total = Mutex::new(Summary::default());
    let started = Instant::now();
    // For each thread its case and when it began, in milliseconds; the watchdog looks at them.
    let running: Vec<(AtomicU64, AtomicU64)> =
        (0..plan.threads).map(|_| (AtomicU64::new(u64::MAX), AtomicU64::new(0))).collect();
    std::thread::scope(|scope| {
        let workers: Vec<_> = running
            .iter()
            .map(|(case, began)| {
                let (next, total) = (&next, &total);
                scope.spawn(move || {
                    let mut summary = Summary::default();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= end {
                            break;
                        }
                        began.store(millis(started.elapsed()), Ordering::Relaxed);
                        case.store(number, Ordering::Release);
                        one(objects, plan.seed, number, &mut summary);
                    }
                    case.store(u64::MAX, Ordering::Release);
                    total.lock().expect("no panic escapes").add(summary);
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            for (case, began) in &running {
                let number = case.load(Ordering::Acquire);
                let since = millis(started.elapsed()).saturating_sub(began.load(Ordering::Relaxed));
                if number != u64::MAX && since > millis(plan.patience) {
                    eprintln!("case {number} of seed {} hangs", plan.seed);
                    std::process::exit(2);
                }
            }
        }
    });
    total.into_inner().expect("no panic escapes")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn one(objects: &[Vec<u8>], seed: u64, number: u64, summary: &mut Summary) {
    let bytes = case(objects, seed, number);
    let began = Instant::now();
    let user = &objects[usize::try_from(number % objects.len() as u64).unwrap_or(0)];
    let caught = catch_unwind(AssertUnwindSafe(|| judge(&bytes, user)));
    let took = began.elapsed();
    summary.cases += 1;
    if took > summary.slowest.1 {
        summary.slowest = (number, took);
    }
    match caught {
        Ok(outcomes) => outcomes.into_iter().for_each(|outcome| summary.count(outcome)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            summary.panics.push((number, text.unwrap_or_default()));
        }
    }
}

/// Loads, decodes and verifies bytes; says what came of it. Their types stand for those of a kernel, too,
/// for which `user` is loaded; and they are linked with it.
fn judge(bytes: &[u8], user: &[u8]) -> Vec<&'static str> {
    let mut outcomes =
        vec![if decode(bytes, Endianness::Little).is_ok() { "bytes decode" } else { "bytes do not decode" }];
    outcomes.extend(linking::judge(bytes, user));
    let object = match load(bytes, &LoadOptions::default()) {
        Ok(object) => object,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "every error says something");
            outcomes.push(match error.problem.fault() {
                Fault::Input => "object malformed",
                Fault::Limit => "object beyond a limit",
                Fault::Unsupported => "object unsupported",
            });
            return outcomes;
        }
    };
    outcomes.push("object loads");
    if let Some(types) = &object.btf {
        let target = Target { types: Arc::clone(types).into(), ..Target::default() };
        let loaded = load(user, &LoadOptions { target, ..LoadOptions::default() });
        outcomes.push(if loaded.is_ok() { "as a kernel: loads" } else { "as a kernel: does not load" });
    }
    let options = verify::Options { instruction_budget: 20_000, ..verify::Options::default() };
    for program in &object.programs {
        if program.findings.is_empty() {
            let bytes = encode_all(&program.insns, Endianness::Little);
            assert_eq!(decode(&bytes, Endianness::Little).as_ref(), Ok(&program.insns), "programs encode");
        }
        outcomes.push(match verify(program, &options) {
            Ok(_) => {
                assert!(program.findings.is_empty(), "a program with findings is accepted");
                "program accepted"
            }
            Err(rejection) => {
                assert!(!rejection.diagnostics.is_empty(), "every rejection says why");
                if program.findings.is_empty() { "program refused" } else { "program with findings" }
            }
        });
    }
    outcomes
}
