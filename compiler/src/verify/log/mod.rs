//! The trace of a verification, written as the kernel's log is: instructions with what they changed, and source lines.
//!
//! [`Log`] is an [`Observer`] that hands over a line at a time and keeps none, so a million instructions need no
//! memory. As in Linux, level 2 shows all paths and level 1 the last one only; which steps belong to that must be
//! known beforehand, so level 1 verifies twice ([`write()`]). It is a likeness: checkpoints, ids and `from` lines are Brolga's
//! own, and precision is not shown. A log never decides anything.

mod value;

use std::collections::HashMap;
use std::fmt::Write;

use super::obligations::touches;
use super::observe::{Covering, Observer, StateView};
use super::stack::slot_of;
use super::state::State;
use super::value::Kind;
use super::{Accepted, Options, Rejection, Stats, verify, verify_observed};
use crate::diag::Diagnostic;
use crate::diag::render::one_line;
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
/// As [`verify`].
pub fn write(
    program: &Program,
    options: &Options,
    level: Level,
    line: &mut dyn FnMut(&str),
) -> Result<Accepted, Rejection> {
    // Linux ends at the first finding.
    let first = Options { max_findings: 1, ..options.clone() };
    let mut shown = None;
    if level == Level::Last {
        let mut spans = Spans::default();
        // The verdict is the second run's, which is the same.
        _ = verify_observed(program, &first, &mut spans);
        shown = Some(spans.finish());
    }
    let mut log = Log { shown, ..Log::new(program, line) };
    let result = verify_observed(program, &first, &mut log);
    log.flush(None);
    let stats = match &result {
        Ok(accepted) => accepted.stats,
        Err(rejection) => rejection.stats,
    };
    log.finish(options, stats);
    if result.is_err() && options.max_findings > 1 { verify(program, options) } else { result }
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
        self.path.push(self.begin..self.step);
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
        // Of lines that follow each other, those that differ in the column alone are one.
        let same = |before: InsnIdx| {
            self.program
                .line_of(before)
                .is_some_and(|before| (before.file, before.line) == (line.file, line.line))
        };
        if !self.line_shown.replace(at).is_some_and(same) {
            let file = one_line(line.file.rsplit('/').next().unwrap_or(line.file));
            (self.line)(&format!("; {} @ {file}:{}", one_line(line.text.trim()), line.line));
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
        Insn::Call(target @ (CallTarget::Helper(_) | CallTarget::Kfunc { .. })) => {
            let number = match target {
                CallTarget::Helper(number) => i64::from(number),
                CallTarget::Kfunc { id, .. } => id.into(),
                CallTarget::Subprog(off) => off.into(),
            };
            match program.function_name(target) {
                Some(name) => text = format!("call {name}#{number}"),
                None => _ = write!(text, "#{number}"),
            }
        }
        Insn::Call(CallTarget::Subprog(off)) => text = format!("call pc{off:+}"),
        _ => {}
    }
    let opcode = encode(insn).0.opcode;
    one_line(&format!("{at}: ({opcode:02x}) {text}"))
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
        why.message.lines().for_each(|line| (self.line)(&one_line(line)));
    }
}

#[cfg(test)]
mod tests {
    use brolga_abi::ProgramKind;

    use super::*;
    use crate::isa::asm::AsmContext;
    use crate::isa::assemble;
    use crate::program::{Lines, SourceLine};

    fn log(text: &str, level: Level) -> String {
        let insns = assemble(text, &AsmContext::default()).expect("the text is assembly").insns;
        let mut program = Program::from_insns("test", ProgramKind::Xdp, insns, Vec::new().into());
        let line = |insn, column| SourceLine {
            insn: InsnIdx(insn),
            file: "dir/a.c",
            line: 7,
            column,
            text: "\tx = 1;",
        };
        program.lines = Lines::from_list(&[line(0, 2), line(1, 4)]);
        let mut lines = String::new();
        let options = Options { max_findings: 5, ..Options::default() };
        _ = write(&program, &options, level, &mut |line| lines = std::mem::take(&mut lines) + line + "\n");
        lines
    }

    const BRANCHES: &str = "r0 = *(u32 *)(r1 + 12)
        if r0 > 5 goto +2
        r0 = 0
        exit
        if r0 > 9 goto +2
        *(u32 *)(r10 - 4) = r0
        goto +1
        r0 = *(u64 *)(r0 + 0)
        r0 = r9
        exit";

    #[test]
    fn all_paths_are_shown_with_what_they_change() {
        assert_eq!(
            log(BRANCHES, Level::All),
            "0: R1=ctx() R10=fp0
; x = 1; @ a.c:7
0: (61) r0 = *(u32 *)(r1 +12)           ; R0=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R1=ctx()
1: (25) if r0 > 5 goto pc+2             ; R0=scalar(smin=smin32=0,smax=umax=smax32=umax32=5,var_off=(0x0; 0x7))
2: (b7) r0 = 0                          ; R0=0
3: (95) exit

from 1 to 4: R0=scalar(smin=umin=umin32=6,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R1=ctx() R10=fp0
; x = 1; @ a.c:7
4: (25) if r0 > 9 goto pc+2             ; R0=scalar(smin=umin=smin32=umin32=6,smax=umax=smax32=umax32=9,var_off=(0x0; 0xf))
5: (63) *(u32 *)(r10 -4) = r0           ; R0=scalar(smin=umin=smin32=umin32=6,smax=umax=smax32=umax32=9,var_off=(0x0; 0xf)) R10=fp0 fp-8=mmmm????
6: (05) goto pc+1
8: (bf) r0 = r9
R9 !read_ok
processed 8 insns (limit 1000000) max_states_per_insn 1 total_states 1 peak_states 1
"
        );
    }

    #[test]
    fn the_last_path_alone_is_shown_where_it_is_refused() {
        let text = log(BRANCHES, Level::Last);
        assert!(!text.contains("2: (b7)") && text.contains("\n1: (25)"), "{text}");
        assert!(text.contains("\n\nfrom 1 to 4: R0="), "{text}");
        assert!(text.contains("R9 !read_ok\nprocessed 8 insns"), "{text}");
        let accepted = log("r0 = 0\nexit", Level::Last);
        assert!(accepted.starts_with("processed 2 insns"), "{accepted}");
    }
}
