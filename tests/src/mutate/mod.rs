//! Mutated objects through load, decode, link and verify: no panic, no hang, no boundless memory.
//!
//! Each is loaded for no kernel, for the types of an object of the corpus, and its own types stand for
//! a kernel's, for which another object is loaded.
//!
//! Every case is made from a seed and its number alone, so that a failure is repeated by giving
//! both. A case that takes too long is a failure too; it cannot be stopped, so that the whole run
//! ends there.

mod linking;
mod mutator;
mod rng;
mod structure;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brolga_compiler::btf::Btf;
use brolga_compiler::isa::{Endianness, decode, encode_all};
use brolga_compiler::program::{Fault, KernelConfig, KernelSymbols, LoadOptions, Program, Target, load};
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
    /// Tells how much memory was allocated, where the process counts it.
    pub meter: Option<Meter>,
}

/// Counts what a thread allocates.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// Begins anew.
    pub begin: fn(),
    /// The most bytes at a time since then.
    pub peak: fn() -> u64,
}

/// Loading may allocate so many times the input, which includes the kernel's types,
const TIMES_INPUT: u64 = 16;

/// and so many bytes beyond that.
const BEYOND_INPUT: u64 = 64 << 20;

/// Most instructions that the verifier processes of one program.
const BUDGET: u32 = 5_000;

/// Most programs of one object that are verified: others of it are alike.
const PROGRAMS: usize = 4;

impl Meter {
    /// Does something whose memory is bounded by what it reads.
    fn bound<T>(meter: Option<Self>, input: usize, work: impl FnOnce() -> T) -> T {
        let Some(Self { begin, peak }) = meter else { return work() };
        begin();
        let result = work();
        let (peak, input) = (peak(), input as u64);
        assert!(peak <= TIMES_INPUT * input + BEYOND_INPUT, "{peak} bytes allocated of {input}");
        result
    }
}

/// What all cases of a run have.
struct Corpus<'a> {
    objects: &'a [Vec<u8>],
    /// Kernels, with the bytes of their types.
    kernels: Vec<(Target, usize)>,
    meter: Option<Meter>,
}

impl<'a> Corpus<'a> {
    fn new(objects: &'a [Vec<u8>], meter: Option<Meter>) -> Self {
        let config =
            KernelConfig::parse("CONFIG_HZ=250\nCONFIG_MODULE=m\nCONFIG_NAME=\"name\"\nCONFIG_YES=y\n");
        let symbols =
            KernelSymbols::parse("ffff800000001000 T start_of_kernel\nffff800000002000 t bpf_fentry\n");
        let types = objects.iter().filter_map(|bytes| Some((linking::types(bytes)?, bytes.len())));
        let kernel = |(types, len): (Btf, usize)| {
            let target = Target {
                types: Arc::new(types).into(),
                config: Some(Arc::new(config.clone())),
                symbols: Some(Arc::new(symbols.clone())),
                ..Target::default()
            };
            (target, len)
        };
        Self { objects, kernels: types.map(kernel).collect(), meter }
    }
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
    let corpus = &Corpus::new(objects, plan.meter);
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
                        one(corpus, plan.seed, number, &mut summary);
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

fn one(corpus: &Corpus<'_>, seed: u64, number: u64, summary: &mut Summary) {
    let bytes = case(corpus.objects, seed, number);
    let began = Instant::now();
    let caught = catch_unwind(AssertUnwindSafe(|| judge(corpus, &bytes, number)));
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

/// One of some things, another for each case.
fn nth<T>(all: &[T], number: u64) -> Option<&T> {
    all.get(usize::try_from(number % (all.len() as u64).max(1)).ok()?)
}

/// Decodes, links, loads and verifies bytes; says what came of it. What takes long is done in every
/// fourth case.
fn judge(corpus: &Corpus<'_>, bytes: &[u8], number: u64) -> Vec<&'static str> {
    let mut outcomes = Vec::new();
    let user = nth(corpus.objects, number / 4).map_or(&[][..], |user| user);
    match number % 4 {
        0 => outcomes.extend(linking::judge(bytes, user)),
        1 => {
            let decodes = decode(bytes, Endianness::Little).is_ok();
            outcomes.push(if decodes { "bytes decode" } else { "bytes do not decode" });
        }
        2 => {
            if let Some((target, len)) = nth(&corpus.kernels, number / 4) {
                let options = LoadOptions { target: target.clone(), ..LoadOptions::default() };
                let loaded = Meter::bound(corpus.meter, bytes.len() + len, || load(bytes, &options));
                outcomes.push(if loaded.is_ok() {
                    "for a kernel: loads"
                } else {
                    "for a kernel: does not load"
                });
            }
        }
        _ => {
            if let Some(types) = linking::types(bytes) {
                let target = Target { types: Arc::new(types).into(), ..Target::default() };
                let options = LoadOptions { target, ..LoadOptions::default() };
                let loaded = Meter::bound(corpus.meter, bytes.len() + user.len(), || load(user, &options));
                outcomes.push(if loaded.is_ok() {
                    "as a kernel: loads"
                } else {
                    "as a kernel: does not load"
                });
            }
        }
    }
    let object = match Meter::bound(corpus.meter, bytes.len(), || load(bytes, &LoadOptions::default())) {
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
    for program in object.programs.iter().take(PROGRAMS) {
        outcomes.push(judge_program(program));
    }
    outcomes
}

fn judge_program(program: &Program) -> &'static str {
    if program.findings.is_empty() {
        let bytes = encode_all(&program.insns, Endianness::Little);
        assert_eq!(decode(&bytes, Endianness::Little).as_ref(), Ok(&program.insns), "programs encode");
    }
    let options = verify::Options { instruction_budget: BUDGET, ..verify::Options::default() };
    match verify(program, &options) {
        Ok(_) => {
            assert!(program.findings.is_empty(), "a program with findings is accepted");
            "program accepted"
        }
        Err(rejection) => {
            assert!(!rejection.diagnostics.is_empty(), "every rejection says why");
            if program.findings.is_empty() { "program refused" } else { "program with findings" }
        }
    }
}
