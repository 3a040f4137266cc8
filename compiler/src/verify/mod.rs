//! The verifier: decides whether a program is safe, and proves [`Facts`] about it.
//!
//! It follows Linux 6.18, for a privileged loader or one with less privilege. All paths are explored with an abstract state; what is
//! not proven safe is refused, what cannot be judged yet is refused as unsupported. What it could get
//! wrong is to accept an unsafe program: by forgetting a path (`explore`), by knowing too much of a number
//! (`scalar`), by comparing too little where paths meet (`equal`, `precision`, `liveness`), or by missing
//! one of these rules:
//!
//! - **Structure** (`structure`): 1 to 1,000,000 slots; at most 256 functions; jumps stay in their function
//!   and lead to no second slot; each function ends in `exit` or a jump; calls lead to functions; every
//!   instruction is reachable; no recursion, at most 8 frames; map references name maps.
//! - **Values** (`explore`): registers are initialised before they are read; `r10` is never written; calls
//!   destroy `r0` to `r5`.
//! - **Arithmetic** (`transfer::alu`): constant shifts below the width, constant divisors not 0; pointers are
//!   moved by numbers of bounded value and otherwise left alone; no two pointers are combined but by `-`.
//! - **Memory** (`check`, `transfer::{mem, stack_access, atomic}`): through pointers that are not null, in bounds
//!   for every value of a variable offset; stack accesses aligned; pointers spilled and filled whole, those
//!   to a stack never into a caller's frame; the context unmodified and by its field table; read-only maps
//!   and packets not written; atomics on memory that is not rewritten, and aligned.
//! - **Packets** (`transfer::branch`): bytes exist as far as a comparison with `data_end` showed for the same
//!   variable part; whatever moves the packet invalidates all pointers to it.
//! - **Helpers** (`transfer::helper`): known, allowed for the kind and the licence; each argument as the table
//!   says; the map fits the helper.
//! - **Calls** (`transfer::call`): static functions as if inlined; global ones apart, by their types; no stack
//!   pointer is returned.
//! - **Objects** (`records`, `kfuncs::graph`, `kptrs`): special fields are touched by what is for them only; a list or a tree
//!   under the lock beside it; what is put in is owned no more, and gone when the lock is given back.
//! - **Ends** (`transfer::call`, `depth`): `r0` is initialised and within the kind's range; all frames of a chain
//!   of calls fit in 512 bytes, 256 before tail calls.
//! - **Privilege** (`privilege`): without `CAP_PERFMON` no pointer gets where the loader could read it, nor is
//!   stack read that was not written; without `CAP_BPF` there are no loops, no functions, and few kinds.
//! - **Progress** (`prune`, `explore`): no loop comes back unchanged; at most a million instructions over all
//!   paths, 32,768 ways left for later at a time (Linux: 8192).

mod check;
mod depth;
mod dynptr;
mod equal;
mod explore;
mod facts;
mod fields;
mod findings;
mod guesses;
mod kfuncs;
mod kptrs;
mod liveness;
mod locks;
pub mod log;
mod loops;
mod narrate;
mod objects;
mod obligations;
pub mod observe;
#[cfg(not(feature = "planted-bugs"))]
mod planted;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod precision;
mod privilege;
mod prune;
mod records;
mod refs;
mod refusal;
mod sanitation;
pub mod scalar;
mod sockets;
mod stack;
mod state;
mod struct_ops;
mod structure;
mod structures;
mod targets;
#[cfg(test)]
mod tests;
mod tracepoints;
mod transfer;
mod value;

pub use facts::{Access, CallFact, Facts, Foreign, InsnFact, Reach, Span, SubprogFact};
pub use privilege::Privilege;

use explore::Explorer;
use structure::Layout;

use crate::diag::{Code, Diagnostic, Severity};
use crate::program::Program;

/// What to verify against. Defaults are those of a privileged load on Linux.
#[derive(Clone, Debug)]
pub struct Options {
    /// Instructions that may be processed over all paths: Linux's one million.
    pub instruction_budget: u32,
    /// Whether constant shifts at or above the width are masked instead of refused
    /// (the conformance plugin's `--lenient`).
    pub shifts: ShiftRule,
    /// Whether misaligned access is refused everywhere (`BPF_F_STRICT_ALIGNMENT`).
    pub alignment: Alignment,
    /// Whether a path stops where an earlier state covers it.
    pub pruning: Pruning,
    /// At how many findings a program is given up; 0 counts as 1. With more than one, other paths, and functions that
    /// are verified apart, are explored after a finding too, within a budget of their own.
    pub max_findings: u32,
    /// A mistake to make.
    #[cfg(feature = "planted-bugs")]
    #[doc(hidden)]
    pub planted: Option<planted::Planted>,
    /// Who loads the program.
    pub privilege: Privilege,
}

/// Whether paths stop where earlier states cover them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// They do: what was proven once is not proven again.
    On,
    /// Every path is followed to its end, which takes time without bound for most programs. Only for harnesses that check
    /// what the verifier knows on a path: with an [observer](observe::Observer), and a small budget.
    Off,
}

/// Which accesses must be aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// Those to the stack, and atomics: the machines that Brolga compiles for do the others.
    Natural,
    /// All.
    Strict,
}

/// What to do with a constant shift at or above the operand's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShiftRule {
    /// Refuse, as Linux does.
    Refuse,
    /// Mask, as RFC 9669 defines it.
    Mask,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            instruction_budget: 1_000_000,
            shifts: ShiftRule::Refuse,
            alignment: Alignment::Natural,
            pruning: Pruning::On,
            max_findings: 1,
            #[cfg(feature = "planted-bugs")]
            planted: None,
            privilege: Privilege::Full,
        }
    }
}

/// What verification cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions processed over all paths.
    pub processed: u32,
    /// Most states kept at a time.
    pub peak_states: u32,
    /// All states made.
    pub total_states: u32,
    /// Bytes of stack of the deepest call chain.
    pub stack_depth: u32,
}

/// An accepted program's facts and what it cost to prove them.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What was proven.
    pub facts: Facts,
    /// What it cost.
    pub stats: Stats,
}

/// Why a program was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The findings; never empty. The first is what Linux would report; others follow in the order of the
    /// program, and are there only where [`Options::max_findings`] asks for them.
    pub diagnostics: Vec<Diagnostic>,
    /// What it cost to find them.
    pub stats: Stats,
}

impl Rejection {
    /// The first finding that says only that Brolga cannot judge the program.
    #[must_use]
    pub fn unsupported(&self) -> Option<&Diagnostic> {
        self.diagnostics.iter().find(|found| found.severity() == Severity::Unsupported)
    }
}

/// Decides whether a program is safe, and proves facts about it.
///
/// # Errors
///
/// The findings that refuse the program, or that say what Brolga cannot judge yet.
pub fn verify(program: &Program, options: &Options) -> Result<Accepted, Rejection> {
    explore(program, options, None)
}

/// Decides the same, and tells an observer what it does on the way.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_observed(
    program: &Program,
    options: &Options,
    observer: &mut dyn observe::Observer,
) -> Result<Accepted, Rejection> {
    explore(program, options, Some(observer))
}

fn explore<'p>(
    program: &'p Program,
    options: &'p Options,
    observer: Option<&'p mut (dyn observe::Observer + 'p)>,
) -> Result<Accepted, Rejection> {
    let mut observer = observer;
    let mut refuse = |diagnostics: Vec<Diagnostic>, stats| {
        if let Some(observer) = &mut observer {
            diagnostics.iter().for_each(|diagnostic| observer.refuse(diagnostic));
        }
        Err(Rejection { diagnostics, stats })
    };
    if !program.findings.is_empty() {
        return refuse(program.findings.clone(), Stats::default());
    }
    let Some(kind) = program.kind else {
        let message = "the program's kind is not known";
        let diagnostic = Diagnostic::program(Code::UnsupportedProgramKind, message);
        return refuse(vec![diagnostic], Stats::default());
    };
    let layout = privilege::check_program(program, kind, options.privilege)
        .map_err(|found| vec![*found])
        .and_then(|()| Layout::new(program))
        .and_then(|layout| match privilege::check_loops(program, &layout.cfgs, options.privilege) {
            Ok(()) => Ok(layout),
            Err(found) => Err(vec![*found]),
        });
    let layout = match layout {
        Ok(layout) => layout,
        Err(mut diagnostics) => {
            diagnostics.truncate(options.max_findings.max(1) as usize);
            return refuse(diagnostics, Stats::default());
        }
    };
    let mut explorer = Explorer::new(program, options, kind, layout);
    explorer.observer = observer;
    let stopped = explorer.run().is_err();
    let mut stats = explorer.stats();
    if !stopped {
        match depth::check(program, &explorer.layout, &mut explorer.facts) {
            Ok(deepest) => stats.stack_depth = deepest,
            Err(found) => explorer.found_of_program(*found),
        }
    }
    if let Some((diagnostics, stats)) = explorer.findings.take() {
        return Err(Rejection { diagnostics, stats });
    }
    Ok(Accepted { facts: explorer.facts.finish(), stats })
}
