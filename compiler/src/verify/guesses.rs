//! Guesses about loops: that numbers on which nothing relies so far do not matter.
//!
//! While a loop is not fully explored, it is not known what its states rely on. A path that differs from one of them in
//! numbers alone which are not marked stops all the same, and its state is kept. When everything that the loop leads to was
//! explored and marks do not change any more, each such state must still be covered. Where one is not, or where
//! something is found before that is known, the function is explored again without guesses: whatever is decided in the
//! end was decided by what is known, and what was seen before is forgotten.

use super::equal::{Exactness, IdMap, Match};
use super::explore::Explorer;
use super::facts::Collector;
use super::loops::Edge;
use super::planted::{Planted, is_planted};

/// What was guessed in the function that is explored.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    /// None are made.
    off: bool,
    /// What was known before the first: facts, and how many functions were to be called later.
    before: Option<Box<(Collector, usize)>>,
    /// Instructions processed before the function.
    began: u32,
    /// Instructions processed in vain, of all functions.
    pub wasted: u32,
    /// Instructions of which facts were copied, of all functions.
    copied: usize,
}

/// How much is copied before no more functions are explored with guesses: eight times the largest program.
const MAX_COPIED: usize = 8 << 20;

impl Guesses {
    /// Whether guesses were made, so that what is found may be wrong.
    pub fn were_made(&self) -> bool {
        self.before.is_some()
    }

    /// The next function, when so many instructions were processed.
    pub fn clear(&mut self, processed: u32) {
        (self.off, self.before, self.began) = (false, None, processed);
    }
}

impl Explorer<'_> {
    /// Whether a path may stop on a guess.
    pub(super) fn may_guess(&self) -> bool {
        let guesses = &self.guesses;
        // What is done in vain is bounded like what is done at all.
        let affordable = guesses.wasted < self.options.instruction_budget && guesses.copied < MAX_COPIED;
        !guesses.off && self.parent.is_some() && (affordable || guesses.were_made())
    }

    /// A path stops on a guess.
    pub(super) fn guess(&mut self) {
        if !self.guesses.were_made() {
            self.guesses.copied += self.program.insns.len();
            self.guesses.before = Some(Box::new((self.facts.clone(), self.later.len())));
        }
    }

    /// Whether a path that ended in a loop is covered by what is known of it now.
    pub(super) fn is_right(&self, edge: &Edge) -> bool {
        let Some(state) = &edge.guess else { return true };
        if is_planted(self.options, Planted::Guesses) {
            return true;
        }
        let node = self.nodes.get(edge.to);
        Match::new((state, node.at), &self.live, self.rules(), IdMap::default(), None)
            .covers(node, Exactness::Precise)
    }

    /// Forgets what was seen of the function and begins it again, without guesses.
    pub(super) fn begin_again(&mut self) {
        if let Some(before) = self.guesses.before.take() {
            self.later.truncate(before.1);
            self.facts = before.0;
        }
        self.guesses.off = true;
        self.guesses.wasted = self.guesses.wasted.saturating_add(self.processed - self.guesses.began);
        self.forget_ways();
        if let Some(observer) = &mut self.observer {
            observer.begin_again();
        }
        self.start();
    }
}

#[cfg(test)]
mod tests {
    //! Guesses that turn out wrong only when the loop was explored.

    use brolga_abi::ProgramKind;

    use crate::diag::Code;
    use crate::program::Program;
    use crate::verify::tests::{code, judge, program};
    use crate::verify::{Options, verify};

    /// `r6` is set to something else before `join`, where it does not seem to matter: only the round after one in which
    /// `r7` was set uses it as an offset, and that way through the loop is explored last.
    const LATE_USE: &str = "*(u64 *)(r10 - 8) = 0
        call bpf_get_prandom_u32
        r9 = r0
        r6 = -8
        r7 = 0
        round:
        may_goto out
        if r7 != 1 goto idle
        r1 = r10
        r1 += r6
        r0 = *(u8 *)(r1 + 0)
        idle:
        if r9 & 1 goto step
        back:
        if r7 == 1 goto join
        call bpf_get_prandom_u32
        if r0 == 1 goto other
        join:
        call bpf_get_prandom_u32
        goto round
        other:
        r6 = OTHER
        goto join
        step:
        r7 = 1
        goto back
        out:
        r0 = 0
        exit";

    #[test]
    fn a_wrong_guess_is_taken_back() {
        let with = |other| program(ProgramKind::Xdp, &LATE_USE.replace("OTHER", other));
        // As in Linux, numbers that change from round to round are forgotten.
        assert_eq!(code(&with("-600")), Code::PointerOffset);
        assert!(judge(&with("-8")).is_ok());
    }

    /// So many global functions in each of which a guess is wrong, though nothing is unsafe.
    fn guessing_wrong(functions: usize) -> Program {
        let checked = "if r6 s< -8 goto idle
            if r6 s> -1 goto idle
            r1 = r10";
        let body = LATE_USE.replace("r1 = r10", checked).replace("OTHER", "-4");
        let mut text = String::new();
        (0..functions).for_each(|index| text += &format!("call f{index}\n"));
        text += "r0 = 0\nexit\n";
        for index in 0..functions {
            let mut body = body.clone();
            for label in ["round", "idle", "back", "join", "other", "step", "out"] {
                body = body.replace(&format!("{label}:"), &format!("{label}{index}:"));
                body = body.replace(&format!("goto {label}\n"), &format!("goto {label}{index}\n"));
                body = body.replace(&format!("may_goto {label}\n"), &format!("may_goto {label}{index}\n"));
            }
            text += &format!("f{index}:\n{body}\n");
        }
        let mut program = program(ProgramKind::Xdp, &text);
        program.subprogs.iter_mut().skip(1).for_each(|subprog| subprog.global = true);
        program
    }

    #[test]
    fn what_is_explored_in_vain_is_bounded() {
        let within = |functions, instruction_budget| {
            verify(&guessing_wrong(functions), &Options { instruction_budget, ..Options::default() })
        };
        let processed = |functions| within(functions, 1_000_000).expect("accepted").stats.processed;
        let one = processed(2) - processed(1);
        // More than half of it counts: what was begun again is explored longer than before.
        assert!(within(20, 20 * one).is_ok());
        let refused = within(20, 10 * one).expect_err("the budget is for all functions");
        assert_eq!(refused.diagnostics[0].code, Code::TooComplex);
    }

    #[test]
    fn a_guess_that_is_right_saves_a_round() {
        let processed = |other| {
            let text = LATE_USE.replace("r1 += r6", "r1 += -8").replace("OTHER", other);
            judge(&program(ProgramKind::Xdp, &text)).expect("the program is accepted").stats.processed
        };
        assert_eq!(processed("-4"), processed("-8"));
    }
}
