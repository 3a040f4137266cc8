//! What refuses a program: one finding, or several that do not follow from each other.
//!
//! A path ends at its first finding. What other paths are refused for is real by itself: they split off
//! before, and are explored with the states that they had then. Where rounds of a loop forget numbers that
//! no proof relied on, that is not so: the path that ended might have relied on them. There one finding is
//! all. Of findings that have one cause only the
//! first is kept: those at one instruction, and those of one code whose value one instruction made. More
//! findings never make a program accepted, nor fewer.

use super::Stats;
use super::explore::Explorer;
use super::precision::calls_back;
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Insn, InsnIdx};

/// Instructions that are processed after the first finding, to look for others.
const BUDGET_AFTER: u32 = 100_000;

/// No more is to be found: there are findings enough, or no budget.
#[derive(Debug)]
pub(super) struct Stop;

/// All findings.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
    /// What made the values at fault.
    roots: Vec<(Code, InsnIdx)>,
    /// What it cost to find the first.
    first: Option<Stats>,
}

impl Findings {
    /// How many instructions may be processed.
    pub fn budget(&self, whole: u32) -> u32 {
        self.first.map_or(whole, |stats| whole.min(stats.processed.saturating_add(BUDGET_AFTER)))
    }

    /// The findings, the first first and the others in the order of the program; and what it cost to find the first.
    pub fn take(&mut self) -> Option<(Vec<Diagnostic>, Stats)> {
        let stats = self.first.take()?;
        self.list.get_mut(1..).unwrap_or_default().sort_by_key(|found| found.insn);
        Some((std::mem::take(&mut self.list), stats))
    }

    fn add(&mut self, found: Diagnostic, root: Option<InsnIdx>, stats: Stats) {
        self.roots.extend(root.map(|root| (found.code, root)));
        self.first.get_or_insert(stats);
        self.list.push(found);
    }
}

impl Explorer<'_> {
    /// The current path ends in a finding.
    pub(super) fn end_path(&mut self, found: Diagnostic) -> Result<(), Stop> {
        let exhausted = found.code == Code::TooComplex;
        if exhausted && self.findings.first.is_some() {
            return Err(Stop);
        }
        if found.insn.is_none() || self.findings.list.iter().all(|known| known.insn != found.insn) {
            let (found, root) = self.narrate(found);
            if root.is_none_or(|root| !self.findings.roots.contains(&(found.code, root))) {
                self.keep_finding(found, root);
            }
        }
        let enough = self.findings.list.len() >= self.options.max_findings.max(1) as usize;
        if exhausted || enough || self.forgets_numbers() { Err(Stop) } else { Ok(()) }
    }

    /// Whether the program has loops that converge by forgetting.
    fn forgets_numbers(&self) -> bool {
        self.program.insns.iter().any(|insn| match *insn {
            Insn::MayGoto { .. } => true,
            Insn::Call(CallTarget::Helper(number)) => calls_back(number),
            _ => self.kfuncs.asks_iterator(insn),
        })
    }

    /// A finding that no path leads to.
    pub(super) fn found_of_program(&mut self, found: Diagnostic) {
        self.keep_finding(found, None);
    }

    fn keep_finding(&mut self, found: Diagnostic, root: Option<InsnIdx>) {
        if let Some(observer) = &mut self.observer {
            observer.refuse(&found);
        }
        let stats = self.stats();
        self.findings.add(found, root, stats);
    }
}
