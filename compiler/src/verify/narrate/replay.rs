//! Walks the path of a finding once more, and keeps what was known on it.
//!
//! The explorer keeps no states of a path, since that would cost every program; who explains a finding needs
//! them. Here the steps of the path are executed again, from the function's entry. Nothing is decided:
//! where the second walk differs from the first (numbers that a loop forgot are still known), it stops,
//! and less is explained.

use std::collections::VecDeque;

use crate::isa::{Insn, InsnIdx};
use crate::verify::explore::{Explorer, Next};
use crate::verify::precision::Step;
use crate::verify::state::State;
use crate::verify::targets::Target;

/// Longest path that is walked again.
const MAX_STEPS: usize = 200_000;
/// How much of its end is kept.
const KEPT: usize = 4096;

/// An instruction of the path, and what was known before it.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// The instruction.
    pub at: InsnIdx,
    /// What was known.
    pub state: State,
}

/// The end of the current path, the instruction at fault last; empty where the path could not be walked again.
pub(super) fn moments(explorer: &Explorer<'_>) -> Vec<Moment> {
    let trail = &explorer.trail;
    if trail.len() > MAX_STEPS {
        return Vec::new();
    }
    let Explorer { program, options, kind, layout, .. } = explorer;
    let mut again = Explorer::new(program, options, *kind, layout.clone());
    let Ok(target) = Target::find(program) else { return Vec::new() };
    again.target = target;
    let (frame, last_id) = &explorer.entry;
    again.begin(frame.clone(), *last_id);
    let mut kept = VecDeque::new();
    for (index, step) in trail.iter().enumerate() {
        if again.at != step.at {
            return Vec::new();
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Moment { at: again.at, state: State::clone(&again.state) });
        let Some(next) = trail.get(index + 1) else { break };
        if !again.advance(next.at) {
            return Vec::new();
        }
    }
    kept.into()
}

impl Explorer<'_> {
    /// Executes the current instruction and goes on with the way that leads to another one.
    fn advance(&mut self, next: InsnIdx) -> bool {
        let at = self.at;
        self.trail.clear();
        self.links.clear();
        self.trail.push(Step::new(at, self.points[at.index()].affects));
        let insn = self.program.insns[at.index()];
        let wide = matches!(insn, Insn::LoadImm64 { .. });
        match self.execute(&insn) {
            Ok(Next::Fall) => self.at = InsnIdx(at.0 + 1 + u32::from(wide)),
            Ok(Next::Goto(target)) => self.at = target,
            Ok(Next::End) | Err(_) => return false,
        }
        let found = self.at == next || self.take_way(next);
        self.forget_ways();
        found
    }
}
