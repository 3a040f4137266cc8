//! The soundness harness: whether what the verifier knows holds when programs run.
//!
//! A program is verified twice, with and without pruning, and both explorations are recorded ([`graph`]). Then it
//! runs in the interpreter on many inputs ([`inputs`]). At every step the run must be inside the abstract state
//! ([`inside`]) of the paths that it walks ([`walk`]), and do what the recorded facts say ([`claims`]). An accepted program
//! must not fault.
//!
//! What it cannot see: what only a kernel has, since the interpreter has none; values after a prune that no proof
//! relied on; paths beyond the budget of the verification without pruning.

pub mod claims;
mod fresh;
pub mod graph;
pub mod inputs;
pub mod inside;
pub mod walk;

use std::fmt;

use brolga_abi::HelperId;
use brolga_compiler::isa::{CallTarget, Insn, InsnIdx, NoNames, listing};
use brolga_compiler::program::SubprogId;
use brolga_compiler::verify::{Options, Privilege, Pruning, verify_observed};

use crate::case::Element;
use crate::engines::{Input, Module};
use crate::generate::Generated;
use crate::generate::mutate::mutated_with;
use crate::generate::{Profile, generate_with};
use crate::minimise::minimise;
use crate::oracle::{Hooks, Machine, Stepper};
use claims::Claims;
use graph::{Graph, Recorder};
use inputs::Inputs;
use walk::{Checked, Walk};

/// Instructions that the verification without pruning may process.
const BUDGET: u32 = 6_000;
/// Instructions that one run may execute.
const FUEL: u32 = 3_000;
/// Runs after which a machine begins anew with the first contents of its maps.
const FRESH: u32 = 64;

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of the first program; each further program has the next one.
    pub seed: u64,
    /// Runs of each program that is accepted.
    pub inputs: u32,
    /// What to verify against.
    pub options: Options,
}

impl Plan {
    /// Programs from a seed on, with the verifier's own options.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, inputs: 128, options: Options { instruction_budget: 30_000, ..Options::default() } }
    }
}

impl Plan {
    /// One program in eight comes from a loader that may not learn what memory held.
    fn options_of(&self, seed: u64) -> Options {
        let privilege = if seed % 8 == 4 { Privilege::Bpf } else { self.options.privilege };
        Options { privilege, ..self.options.clone() }
    }
}

/// What was run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Programs that were made.
    pub programs: u64,
    /// Programs that were accepted.
    pub accepted: u64,
    /// Accepted programs in which a guess about a loop was taken back.
    pub taken_back: u64,
    /// Runs of accepted programs.
    pub runs: u64,
    /// Different paths that they took.
    pub paths: u64,
    /// Instructions that they executed.
    pub executed: u64,
    /// What was compared, on both explorations.
    pub checked: Checked,
    /// The first failure.
    pub failure: Option<Failure>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.checked;
        write!(
            f,
            "{} programs, {} accepted ({} after a guess was taken back), {} program-runs on {} paths, {} instructions executed; {} steps, {} values, {} \
             facts and {} prune points checked; {} walks left a partial exploration",
            self.programs,
            self.accepted,
            self.taken_back,
            self.runs,
            self.paths,
            self.executed,
            c.steps,
            c.values,
            c.facts,
            c.prunes,
            c.left
        )
    }
}

/// Something that does not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Seed of the program.
    pub seed: u64,
    /// The instruction.
    pub at: InsnIdx,
    /// What is wrong.
    pub what: String,
    /// What it ran on.
    pub input: Input,
    /// The program.
    pub module: Module,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {} at {}: {}", self.seed, self.at, self.what)?;
        writeln!(f, "input: {:02x?}", self.input.data)?;
        write!(f, "{}", listing(&self.module.programs[0].insns, &NoNames))
    }
}

/// The program of a seed: most make the verifier think, one in four is broken a little.
#[must_use]
pub fn program_of(seed: u64) -> Generated {
    match seed % 8 {
        1 | 7 => generate_with(seed, Profile::Rounds),
        3 => mutated_with(seed, Profile::Proofs),
        5 => mutated_with(seed, Profile::Rounds),
        6 => generate_with(seed, Profile::Results),
        _ => generate_with(seed, Profile::Proofs),
    }
}

/// Runs programs until `runs` runs were made, or something fails.
pub fn run(plan: &Plan, runs: u64, report: &mut Report, tell: &mut dyn FnMut(&Report)) {
    let mut seed = plan.seed;
    let until = report.runs + runs;
    while report.runs < until && report.failure.is_none() {
        let inputs = u32::try_from((until - report.runs).min(plan.inputs.into())).unwrap_or(plan.inputs);
        let generated = program_of(seed);
        report.failure = check(&generated, seed, inputs, &plan.options_of(seed), report);
        seed += 1;
        tell(report);
    }
}

/// A failure with the smallest program that this finds to fail.
#[must_use]
pub fn minimised(failure: &Failure, plan: &Plan) -> Failure {
    // What it failed on comes first.
    let generated = Generated { input: failure.input.clone(), ..program_of(failure.seed) };
    let options = plan.options_of(failure.seed);
    let mut best = failure.clone();
    let mut wrong = |module: &Module| {
        let candidate = Generated { module: module.clone(), ..generated.clone() };
        let found = check(&candidate, failure.seed, plan.inputs, &options, &mut Report::default());
        let fails = found.is_some();
        best = found.unwrap_or_else(|| best.clone());
        fails
    };
    let _ = minimise(&generated.module, &mut wrong);
    best
}

/// Checks one program on many inputs.
pub fn check(
    generated: &Generated,
    seed: u64,
    inputs: u32,
    options: &Options,
    report: &mut Report,
) -> Option<Failure> {
    let Generated { module, elements, input } = generated;
    let subject = Given { module, elements, inputs: std::slice::from_ref(input), seed };
    check_given(&subject, inputs, options, report)
}

/// A program and what it runs on first.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its first program is run, until it calls another.
    pub module: &'a Module,
    /// Elements to set before the first run.
    pub elements: &'a [Element],
    /// What it runs on first; not empty.
    pub inputs: &'a [Input],
    /// Seed of further inputs.
    pub seed: u64,
}

/// Checks a program that came from elsewhere on its inputs, and on others like them.
pub fn check_given(
    given: &Given<'_>,
    inputs: u32,
    options: &Options,
    report: &mut Report,
) -> Option<Failure> {
    let program = &given.module.programs[0];
    report.programs += 1;
    let mut pruned = Recorder::new(program);
    let accepted = verify_observed(program, options, &mut pruned).ok()?;
    report.accepted += 1;
    report.taken_back += u64::from(pruned.graph.begun_again > 0);
    let mut whole = Recorder::new(program);
    let all = Options { pruning: Pruning::Off, instruction_budget: BUDGET, ..options.clone() };
    let _ = verify_observed(program, &all, &mut whole);
    let subprogs: Vec<SubprogId> = (0..program.insns.len())
        .map(|at| program.subprog_of(InsnIdx(u32::try_from(at).expect("programs are small"))))
        .collect();
    // Of a loop that ends by itself one gets to know nothing but the first rounds so.
    let endless = whole.graph.partial && program.insns.iter().any(ends_by_itself);
    let mut graphs = vec![("with pruning", &pruned.graph)];
    if !endless {
        graphs.insert(0, ("without pruning", &whole.graph));
    }
    let subject = Subject {
        claims: Claims { program, facts: &accepted.facts, subprogs: &subprogs },
        graphs,
        reads_unwritten: options.privilege.may_learn_addresses(),
    };
    subject.run_all(given, inputs, report)
}

/// Whether a loop through an instruction goes on until something outside of the program ends it.
fn ends_by_itself(insn: &Insn) -> bool {
    let number = HelperId::Loop.info().number;
    match *insn {
        Insn::MayGoto { .. } => true,
        Insn::Call(CallTarget::Helper(called)) => called == number,
        _ => false,
    }
}

/// A verified program.
struct Subject<'a> {
    claims: Claims<'a>,
    graphs: Vec<(&'static str, &'a Graph)>,
    /// Whether the program may read stack that it has not written.
    reads_unwritten: bool,
}

impl Subject<'_> {
    fn run_all(&self, given: &Given<'_>, count: u32, report: &mut Report) -> Option<Failure> {
        let mut inputs = Inputs::new(self.claims.program, given.seed);
        let mut machine = None;
        let mut input = Input::default();
        for round in 0..count {
            if round % FRESH == 0 {
                machine = Some(fresh(given));
            }
            let machine = machine.as_mut().expect("just made");
            match given.inputs.get(round as usize) {
                Some(first) => input.clone_from(first),
                None => inputs.next(&mut input),
            }
            change_maps(machine, &mut inputs);
            report.runs += 1;
            let mut run = machine.start(0, &input).expect("programs of generated kinds run");
            match self.run(&mut run, report) {
                Ok(path) => inputs.took(path, &input),
                Err(what) => {
                    let (at, module) = (run.at(), given.module.clone());
                    return Some(Failure { seed: given.seed, at, what, input: input.clone(), module });
                }
            }
        }
        report.paths += inputs.paths() as u64;
        None
    }

    /// One run. A hash of its path, or what is wrong.
    fn run(&self, run: &mut Stepper<'_>, report: &mut Report) -> Result<u64, String> {
        let checked = &mut report.checked;
        let program = self.claims.program;
        let mut walks: Vec<_> =
            self.graphs.iter().map(|(name, graph)| (*name, Walk::new(graph, program, run))).collect();
        let mut path = 0u64;
        for _ in 0..FUEL {
            let (at, depth) = (run.at(), run.depth());
            if let Some(wrong) = self.claims.before(run, &mut checked.facts) {
                return Err(wrong);
            }
            for (name, walk) in &mut walks {
                walk.look(run, checked).map_err(|wrong| format!("{name}: {wrong}"))?;
            }
            report.executed += 1;
            match run.step() {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(path),
                Err(fault) if fault.is_unsafe() => return Err(fault.to_string()),
                Err(_) => return Ok(path),
            }
            if !self.reads_unwritten && run.uninitialised_reads() > 0 {
                return Err("read stack that nothing had written".to_owned());
            }
            // What a tail call leads to was verified apart.
            if run.program() != 0 {
                return Ok(path);
            }
            if let Insn::Branch { .. } = program.insns[at.index()] {
                path = (path ^ u64::from(run.at().0)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
            }
            if let Some(wrong) = self.claims.after(at, run.at(), &mut checked.facts) {
                return Err(wrong);
            }
            for (name, walk) in &mut walks {
                walk.follow(at, depth, run, checked).map_err(|wrong| format!("{name}: {wrong}"))?;
            }
        }
        Ok(path)
    }
}

fn fresh(given: &Given<'_>) -> Machine {
    let mut machine = Machine::new(given.module, Hooks::default());
    for (map, key, values) in given.elements {
        set(&mut machine, map.index(), key, values);
    }
    machine
}

fn set(machine: &mut Machine, map: usize, key: &[u8], values: &[Vec<u8>]) {
    let (map, memory) = machine.map(map);
    // A full map stays as it is.
    map.host_update(key, values, memory);
}

/// Now and then a value of a map is another.
fn change_maps(machine: &mut Machine, inputs: &mut Inputs) {
    let maps = machine.maps();
    if maps == 0 || inputs.below(3) != 0 {
        return;
    }
    let map = inputs.below(u32::try_from(maps).expect("few maps")) as usize;
    let (def, _) = machine.map(map);
    let (keys, size, readonly) = (
        def.def.max_entries.min(8),
        def.def.value_size as usize,
        def.def.global.as_ref().is_some_and(|global| global.readonly),
    );
    if def.def.key_size != 4 || readonly {
        return;
    }
    let key = inputs.below(keys.max(1)).to_le_bytes();
    let mut value = Vec::with_capacity(size + 8);
    while value.len() < size {
        let word = inputs.word();
        value.extend_from_slice(&word.to_le_bytes());
    }
    value.truncate(size);
    set(machine, map, &key, &[value.clone(), value]);
}
