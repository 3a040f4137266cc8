//! The verifier: decides whether a program is safe, and proves [`Facts`] about it.

mod facts;
pub mod scalar;

pub use facts::{Access, CallFact, Facts, InsnFact, Reach, SubprogFact};

use crate::diag::Diagnostic;

/// What to verify against. Defaults are those of a privileged load on Linux.
#[derive(Clone, Debug)]
pub struct Options {
    /// Instructions that may be processed over all paths: Linux's one million.
    pub instruction_budget: u32,
    /// Whether constant shifts at or above the width are masked instead of refused
    /// (the conformance plugin's `--lenient`).
    pub shifts: ShiftRule,
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
        Self { instruction_budget: 1_000_000, shifts: ShiftRule::Refuse }
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
    /// The findings; never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// What it cost to find them.
    pub stats: Stats,
}

/// Decides whether a program is safe, and proves facts about it.
///
/// # Errors
///
/// The findings that refuse the program, or that say what Brolga cannot judge yet.
pub fn verify(program: &crate::program::Program, options: &Options) -> Result<Accepted, Rejection> {
    let _ = (program, options);
    let facts = Facts::new(Box::new([]), Box::new([]));
    drop(facts);
    let diagnostic =
        Diagnostic::program(crate::diag::Code::UnsupportedFeature, "the verifier is not there yet");
    Err(Rejection { diagnostics: vec![diagnostic], stats: Stats::default() })
}
