//! Tells how a finding came about: what made the value at fault, which branch failed to rule it out, and how
//! the path got there.
//!
//! The rules say what is wrong where they are broken, in the kernel's words; what is added here is for who
//! has to mend the program, in plain ones. It decides nothing, and could be wrong only by blaming the wrong
//! line: so it says what it saw on this path (`replay`), follows one value (`source`), and takes names from
//! the author's own text (`names`) where they are plainly there.

mod advice;
mod bounds;
mod names;
mod replay;
mod source;
mod words;

use std::collections::HashMap;

use self::replay::Moment;
use self::source::{History, Origin, history};
use super::explore::Explorer;
use super::log::Printed;
use super::value::{Kind, Value};
use crate::diag::{Code, Diagnostic, Turn, TurnKind};
use crate::isa::{CallTarget, Insn, InsnIdx, Reg};

/// Most turns of a path that a finding keeps: the last.
const MAX_TURNS: usize = 64;

/// What is known about a finding, for those who word it.
struct Story<'e, 'p> {
    explorer: &'e Explorer<'p>,
    moments: Vec<Moment>,
    reg: Reg,
    value: Value,
    history: History,
}

impl Story<'_, '_> {
    fn insn(&self, at: InsnIdx) -> &Insn {
        &self.explorer.program.insns[at.index()]
    }

    /// The instruction that made the value at fault.
    fn root(&self) -> Option<InsnIdx> {
        self.made(&self.history)
    }

    /// The instruction that made a value.
    fn made(&self, history: &History) -> Option<InsnIdx> {
        match history.origin {
            Origin::Made(moment) => Some(self.moments[moment].at),
            Origin::Given(_) | Origin::Lost => None,
        }
    }

    /// The variable in which what an instruction made was kept, if a line says so.
    fn variable(&self, made: InsnIdx) -> Option<&str> {
        let line = self.explorer.program.line_of(made)?;
        names::assigned(&line)
    }

    /// What the author calls the value at fault: as it is used, or as it was made.
    fn name(&self) -> Option<&str> {
        let here = self.explorer.program.line_of(self.explorer.at);
        let made = self.root().and_then(|root| self.variable(root));
        match (made, here) {
            (Some(name), Some(line)) if names::mentions(line.text, name) => Some(name),
            (_, Some(line)) => names::dereferenced(&line),
            (_, None) => None,
        }
    }

    /// The same, for a sentence: in backquotes, or the register.
    fn called(&self) -> String {
        self.name().map_or_else(|| format!("`{}`", self.reg), |name| format!("`{name}`"))
    }
}

impl Explorer<'_> {
    /// Adds to a finding what led there. Gives the instruction that made the value at fault, too.
    pub(super) fn narrate(&self, mut found: Diagnostic) -> (Diagnostic, Option<InsnIdx>) {
        let searched = matches!(found.code, Code::TooComplex | Code::InfiniteLoop);
        found.path = self.turns();
        found.registers = self.registers(self.state.depth());
        let moments = if searched { Vec::new() } else { replay::moments(self) };
        let story = found.register.map(|reg| {
            let history = match moments.len().checked_sub(1) {
                Some(last) => history(&moments, &self.program.insns, last, reg),
                None => History { origin: Origin::Lost, changes: Vec::new(), moved: None },
            };
            Story { explorer: self, moments, reg, value: *self.state.reg(reg), history }
        });
        match story {
            Some(story) => {
                let root = story.root();
                (words::of_value(&story, found), root)
            }
            None => (words::of_place(self, found), None),
        }
    }

    fn registers(&self, depth: usize) -> Vec<(Reg, String)> {
        let known = Reg::all().filter(|reg| self.state.reg(*reg).kind != Kind::Uninit);
        let print =
            |reg: Reg| Printed { program: self.program, value: self.state.reg(reg), depth }.to_string();
        known.map(|reg| (reg, print(reg))).collect()
    }

    /// Where the path might have gone elsewhere. Each place stands once, where it was passed last.
    fn turns(&self) -> Vec<Turn> {
        let mut seen: HashMap<(InsnIdx, InsnIdx), (u32, usize)> = HashMap::new();
        for (index, pair) in self.trail.windows(2).enumerate() {
            let (insn, to) = (pair[0].at, pair[1].at);
            if self.turn(insn, to).is_some() {
                let entry = seen.entry((insn, to)).or_default();
                *entry = (entry.0.saturating_add(1), index);
            }
        }
        let mut order: Vec<_> = seen.into_iter().collect();
        order.sort_unstable_by_key(|(_, (_, last))| *last);
        let first = order.len().saturating_sub(MAX_TURNS);
        let turn = |((insn, to), (times, _))| Some(Turn { insn, to, kind: self.turn(insn, to)?, times });
        order.drain(first..).filter_map(turn).collect()
    }

    fn turn(&self, at: InsnIdx, to: InsnIdx) -> Option<TurnKind> {
        let way = |off: i32| if at.jump(off) == Some(to) { TurnKind::Taken } else { TurnKind::Fallthrough };
        match *self.program.insns.get(at.index())? {
            Insn::Branch { off, .. } | Insn::MayGoto { off } => Some(way(off.into())),
            Insn::Call(CallTarget::Subprog(_) | CallTarget::Helper(_)) if to.0 != at.0 + 1 => {
                Some(TurnKind::Call)
            }
            Insn::Exit => Some(TurnKind::Return),
            _ => None,
        }
    }
}
