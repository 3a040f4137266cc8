//! The trace of a verification, written as the kernel's log is: instructions with what they changed, and source lines.
//!
//! [`Log`] is an [`Observer`] that hands over a line at a time and keeps none, so a million instructions need no
//! memory. As in Linux, level 2 shows all paths and level 1 the last one only; which steps belong to that must be
//! known beforehand, so level 1 verifies twice ([`write`]). It is a likeness: checkpoints, ids and `from` lines are Brolga's
//! own, and precision is not shown. A log never decides anything.

mod value;

use std::collections::HashMap;
use std::fmt::Write;

use super::obligations::touches;
use super::observe::{Covering, Observer, StateView};
use super::stack::slot_of;
use super::state::State;
use super::value::Kind;
use super::{Accepted, Options, Rejection, Stats, verify_observed};
use crate::diag::Diagnostic;
use crate::isa::{CallTarget, Insn, InsnIdx, disasm, encode};
use crate::program::{Program, SubprogId};

pub(super) use value::{Chosen, Printed, frame};

/// Which paths are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The one that was explored last: the one that is refused, where one is.
    Last,
    /// All.
    All,
}

/// Verifies a program and hands over the log, line by line.
///
/// # Errors
///
/// As [`verify`](super::verify).
pub fn write(
    program: &Program,
    options: &Options,
    level: Level,
    line: &mut dyn FnMut(&str),
) -> Result<Accepted, Rejection> {
    let mut shown = None;
    if level == Level::Last {
        let mut spans = Spans::default();
        // The verdict is the second run's, which is the same.
        _ = verify_observed(program, options, &mut spans);
        shown = Some(spans.finish());
    }
    let mut log = Log { shown, ..Log::new(program, line) };
    let result = verify_observed(program, options, &mut log);
    log.flush(None);
    let stats = match &result {
        Ok(accepted) => accepted.stats,
        Err(rejection) => rejection.stats,
    };
    log.finish(options, stats);
    result
}

/// Steps from the first to behind the last.
type Span = std::ops::Range<u64>;

/// Finds out which steps the last path is made of.
#[derive(Default)]
struct Spans {
    step: u64,
    path: Vec<Span>,
    /// For each way left for later: how many spans its path has, and where the last ends.
    left: Vec<(usize, u64)>,
    begin: u64,
    refused: bool,
}

impl Spans {
    /// As in Linux, nothing is left of the paths of a program that is accepted.
    fn finish(mut self) -> Vec<Span> {
        if !self.refused {
            return Vec::new();
        }
        self.path.push(self.begin..self.step + 1);
        self.path
    }
}

impl Observer for Spans {
    fn enter(&mut self, _subprog: SubprogId, _state: StateView<'_>) {
        if !self.refused {
            self.path.clear();
            self.left.clear();
            self.begin = self.step;
        }
    }

    fn step(&mut self, _at: InsnIdx, _state: StateView<'_>) {
        self.step += u64::from(!self.refused);
    }

    fn fork(&mut self, _target: InsnIdx, _state: StateView<'_>) {
        self.left.push((self.path.len(), self.step));
    }

    fn resume(&mut self, _at: InsnIdx, _state: StateView<'_>) {
        let Some((spans, end)) = self.left.pop().filter(|_| !self.refused) else { return };
        // The way's path may have begun in a span that was cut since.
        let begin = if spans < self.path.len() { self.path[spans].start } else { self.begin };
        self.path.truncate(spans);
        if begin < end {
            self.path.push(begin..end);
        }
        self.begin = self.step;
    }

    fn refuse(&mut self, _why: &Diagnostic) {
        self.refused = true;
    }
}

/// Writes a log.
pub struct Log<'a> {
    program: &'a Program,
    line: &'a mut dyn FnMut(&str),
    /// The steps that are shown; all where there is none.
    shown: Option<Vec<Span>>,
    step: u64,
    span: usize,
    /// The instruction whose changes are not known yet.
    open: Option<(InsnIdx, usize, String)>,
    /// Ways left for later: where from.
    left: Vec<InsnIdx>,
    /// Where the path comes from that was just gone on with.
    from: Option<InsnIdx>,
    entered: bool,
    last: InsnIdx,
    line_shown: Option<InsnIdx>,
    /// Checkpoints by number, and how many there are at each instruction.
    nodes: HashMap<u32, InsnIdx>,
    states: HashMap<InsnIdx, u32>,
    most_states: u32,
}

impl<'a> Log<'a> {
    /// A log of all paths.
    pub fn new(program: &'a Program, line: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            program,
            line,
            shown: None,
            step: 0,
            span: 0,
            open: None,
            left: Vec::new(),
            from: None,
            entered: false,
            last: InsnIdx(0),
            line_shown: None,
            nodes: HashMap::new(),
            states: HashMap::new(),
            most_states: 0,
        }
    }

    /// Whether the next step is shown.
    fn shows(&mut self) -> bool {
        let Some(shown) = &self.shown else { return true };
        while shown.get(self.span).is_some_and(|span| span.end <= self.step) {
            self.span += 1;
        }
        shown.get(self.span).is_some_and(|span| span.contains(&self.step))
    }

    /// Writes the instruction that is open, with what it changed, if that is known.
    fn flush(&mut self, after: Option<&State>) {
        let Some((at, depth, text)) = self.open.take() else { return };
        let insn = &self.program.insns[at.index()];
        let Some(after) = after else { return (self.line)(&text) };
        let now = after.depth();
        if now == depth {
            let changes = frame(self.program, after, depth, changed(insn, after));
            let changes = changes.trim_start();
            return match changes {
                "" => (self.line)(&text),
                _ => (self.line)(&format!("{text:<40}; {}{changes}", frame_name(depth))),
            };
        }
        (self.line)(&text);
        let whole = |index: usize| {
            format!("{}{}", frame_name(index), frame(self.program, after, index, Chosen::ALL).trim_start())
        };
        if now > depth {
            (self.line)("caller:");
            (self.line)(&format!(" {}", whole(depth)));
            (self.line)("callee:");
            (self.line)(&format!(" {}", whole(now)));
        } else {
            (self.line)("returning from callee:");
            (self.line)("to caller:");
            (self.line)(&format!(" {}", whole(now)));
        }
    }

    fn source_line(&mut self, at: InsnIdx) {
        let Some(line) = self.program.line_of(at).filter(|line| !line.text.is_empty()) else { return };
        if self.line_shown.replace(line.insn) != Some(line.insn) {
            let file = line.file.rsplit('/').next().unwrap_or(line.file);
            (self.line)(&format!("; {} @ {file}:{}", line.text.trim(), line.line));
        }
    }

    fn finish(&mut self, options: &Options, stats: Stats) {
        let Stats { processed, peak_states, total_states, .. } = stats;
        (self.line)(&format!(
            "processed {processed} insns (limit {}) max_states_per_insn {} total_states {total_states} peak_states \
             {peak_states}",
            options.instruction_budget, self.most_states
        ));
    }
}

/// How a frame that is not the outermost is announced.
fn frame_name(index: usize) -> String {
    if index == 0 { String::new() } else { format!("frame{index}: ") }
}

/// What an instruction names or changes.
fn changed(insn: &Insn, after: &State) -> Chosen {
    let touched = touches(insn);
    let mut slots = 0;
    if let Insn::Store { base, off, .. }
    | Insn::StoreRelease { base, off, .. }
    | Insn::Atomic { base, off, .. } = *insn
        && let value = after.reg(base)
        && let (Kind::Stack { frame }, Some(start)) = (value.kind, value.constant_offset())
        && usize::from(frame) == after.depth()
        && let Ok(start) = i32::try_from(start + i64::from(off))
        && (-512..0).contains(&start)
    {
        slots = 1 << slot_of(start);
    }
    let call = matches!(insn, Insn::Call(_));
    let regs = if call { 1 } else { touched.reads.union(touched.writes).0 };
    Chosen { regs, slots }
}

/// An instruction as the kernel spells it.
fn spelled(program: &Program, at: InsnIdx, insn: &Insn) -> String {
    let maps: Vec<&str> = program.maps.iter().map(|map| map.name.as_str()).collect();
    let mut text = disasm(insn, &maps[..]).to_string();
    match *insn {
        Insn::Ja { .. } | Insn::Gotol { .. } | Insn::Branch { .. } | Insn::MayGoto { .. } => {
            text = text.replace("goto ", "goto pc");
        }
        Insn::Load { .. } | Insn::Store { .. } => text = text.replace(" + ", " +").replace(" - ", " -"),
        Insn::Call(CallTarget::Helper(number)) => _ = write!(text, "#{number}"),
        Insn::Call(CallTarget::Subprog(off)) => text = format!("call pc{off:+}"),
        _ => {}
    }
    let opcode = encode(insn).0.opcode;
    format!("{at}: ({opcode:02x}) {text}")
}

impl Observer for Log<'_> {
    fn enter(&mut self, subprog: SubprogId, _state: StateView<'_>) {
        self.left.clear();
        (self.entered, self.from, self.line_shown) = (true, None, None);
        if subprog != SubprogId::MAIN && self.shown.is_none() {
            let name = self.program.subprogs[subprog.index()].name.escape_default();
            (self.line)(&format!("Validating {name}() func#{}...", subprog.0));
        }
    }

    fn step(&mut self, at: InsnIdx, state: StateView<'_>) {
        self.last = at;
        let shows = self.shows();
        self.step += 1;
        self.flush(Some(state.state));
        if !shows {
            return;
        }
        let depth = state.state.depth();
        let whole = |program| frame(program, state.state, depth, Chosen::ALL);
        let name = frame_name(depth);
        if let Some(from) = self.from.take() {
            (self.line)("");
            (self.line)(&format!("from {from} to {at}: {name}{}", whole(self.program).trim_start()));
            self.line_shown = None;
        } else if std::mem::take(&mut self.entered) {
            (self.line)(&format!("{at}: {name}{}", whole(self.program).trim_start()));
        }
        self.source_line(at);
        self.open = Some((at, depth, spelled(self.program, at, &self.program.insns[at.index()])));
    }

    fn fork(&mut self, _target: InsnIdx, _state: StateView<'_>) {
        self.left.push(self.last);
    }

    fn resume(&mut self, _at: InsnIdx, _state: StateView<'_>) {
        self.from = self.left.pop();
    }

    fn checkpoint(&mut self, id: u32, at: InsnIdx, _state: StateView<'_>) {
        if let Some(dropped) = self.nodes.insert(id, at)
            && let Some(states) = self.states.get_mut(&dropped)
        {
            *states -= 1;
        }
        let states = self.states.entry(at).or_default();
        *states += 1;
        self.most_states = self.most_states.max(*states);
    }

    fn prune(&mut self, at: InsnIdx, state: StateView<'_>, _by: Covering<'_>) {
        let shows = self.shows();
        self.flush(Some(state.state));
        if !shows {
            return;
        }
        match self.from.take() {
            Some(from) => (self.line)(&format!("from {from} to {at}: safe")),
            None => (self.line)(&format!("{at}: safe")),
        }
    }

    fn end(&mut self, _at: InsnIdx) {
        self.flush(None);
    }

    fn refuse(&mut self, why: &Diagnostic) {
        self.flush(None);
        why.message.lines().for_each(|line| (self.line)(line));
    }
}
