//! Renders diagnostics as text, in the manner of rustc.
//!
//! ```text
//! error[null-map-value]: R0 invalid mem access 'map_value_or_null'
//!   --> examples/count.bpf.c:21:5
//!    |
//! 21 |     *value += 1;
//!    |     ^ `value` may be null here
//!    = insn 14: r1 = *(u64 *)(r0 + 0)    ; R0=map_value_or_null(id=1,map=counts,ks=4,vs=8)
//! note: `bpf_map_lookup_elem` returns null for the map `counts` where it has no such key
//!   --> examples/count.bpf.c:18:19
//!    |
//! 18 |     __u64 *value = bpf_map_lookup_elem(&counts, &key);
//!    |                    ^^^^^^^^^^^^^^^^^^^
//! help: ask whether `value` is null before it is used
//!    |
//!    +     if (!value)
//!    +         return XDP_PASS;
//! ```
//!
//! It renders what the diagnostic says and knows nothing of how it was found. How an instruction is
//! spelled is the caller's business: a disassembler is handed in. Colours are too: pieces of text come
//! with the part that they play.

mod source;

use std::fmt;

pub use source::one_line;

use super::{Code, Diagnostic, Note, Severity, Turn, TurnKind};
use crate::isa::InsnIdx;
use crate::program::{Program, SourceLine};

/// The part that a piece of text plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// How a finding begins that refuses the program.
    Error,
    /// How one begins that says what is not supported.
    Unsupported,
    /// The message.
    Message,
    /// Line numbers and rules.
    Frame,
    /// The mark under the place at fault, and its label.
    Mark,
    /// The mark under another place.
    OtherMark,
    /// "note", "help" and "path".
    Heading,
    /// Lines to add.
    Repair,
    /// Everything else.
    Plain,
}

/// A rendered diagnostic. Displays without colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<(Role, String)>);

impl Text {
    /// The pieces, in order; line ends are among them.
    pub fn pieces(&self) -> impl Iterator<Item = (Role, &str)> {
        self.0.iter().map(|(role, text)| (*role, text.as_str()))
    }

    fn put(&mut self, role: Role, text: impl Into<String>) -> &mut Self {
        self.0.push((role, text.into()));
        self
    }

    fn end(&mut self) {
        self.put(Role::Plain, "\n");
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(_, text)| f.write_str(text))
    }
}

/// How diagnostics of a program are rendered.
#[derive(Clone, Copy)]
pub struct Renderer<'a> {
    /// The program.
    pub program: &'a Program,
    /// Spells an instruction.
    pub disasm: &'a dyn Fn(InsnIdx) -> String,
    /// Cells of a line. Lines of source are cut to it, sentences are not.
    pub width: usize,
}

/// A line's file, as people name it.
#[must_use]
pub fn file<'a>(line: &SourceLine<'a>) -> &'a str {
    line.file.strip_prefix("./").unwrap_or(line.file)
}

/// Turns of a path that are shown: the last.
const TURNS: usize = 8;

/// One diagnostic as text, for 140 columns, with a line end at its end.
#[must_use]
pub fn text(program: &Program, diagnostic: &Diagnostic, disasm: &dyn Fn(InsnIdx) -> String) -> String {
    Renderer { program, disasm, width: 140 }.render(diagnostic).to_string()
}

impl Renderer<'_> {
    /// One diagnostic, with a line end at its end.
    #[must_use]
    pub fn render(&self, diagnostic: &Diagnostic) -> Text {
        let mut out = Text::default();
        let gutter = self.gutter(diagnostic);
        let (role, kind) = match diagnostic.severity() {
            Severity::Reject => (Role::Error, "error"),
            Severity::Unsupported => (Role::Unsupported, "unsupported"),
        };
        let mut lines = diagnostic.message.lines();
        out.put(role, format!("{kind}[{}]", diagnostic.code.info().name));
        out.put(Role::Message, format!(": {}", one_line(lines.next().unwrap_or_default()))).end();
        for rest in lines {
            out.put(Role::Plain, format!("{:gutter$} | {}", "", one_line(rest))).end();
        }
        let label = diagnostic.label.as_deref();
        match diagnostic.insn {
            Some(at) => {
                self.place(&mut out, gutter, at, Role::Mark, label);
                let state = diagnostic.register.and_then(|reg| {
                    let (_, value) = diagnostic.registers.iter().find(|(known, _)| *known == reg)?;
                    Some(format!("    ; R{}={}", reg.number(), one_line(value)))
                });
                self.insn(&mut out, gutter, at, &state.unwrap_or_default());
            }
            None => {
                out.put(Role::Frame, format!("{:gutter$}--> ", ""));
                out.put(Role::Plain, format!("program `{}`", one_line(&self.program.name))).end();
                self.remark(&mut out, gutter, label);
            }
        }
        for note in &diagnostic.notes {
            self.note(&mut out, gutter, note, diagnostic.insn);
        }
        self.path(&mut out, gutter, diagnostic);
        self.help(&mut out, gutter, diagnostic);
        out
    }

    /// Columns of the widest line number.
    fn gutter(&self, diagnostic: &Diagnostic) -> usize {
        let notes = diagnostic.notes.iter().filter_map(|note| note.insn);
        let turns = self.turns(&diagnostic.path).1.into_iter().map(|(turn, _)| turn.insn);
        let places = diagnostic.insn.into_iter().chain(notes).chain(turns);
        let widest =
            places.filter_map(|at| self.program.line_of(at)).map(|line| line.line).max().unwrap_or(0);
        widest.max(10).to_string().len()
    }

    fn line(&self, at: InsnIdx) -> Option<SourceLine<'_>> {
        self.program.line_of(at)
    }

    /// Where an instruction came from.
    fn place(&self, out: &mut Text, gutter: usize, at: InsnIdx, role: Role, label: Option<&str>) {
        let Some(line) = self.line(at) else {
            out.put(Role::Frame, format!("{:gutter$}--> ", ""));
            out.put(Role::Plain, format!("program `{}`", one_line(&self.program.name))).end();
            return self.remark(out, gutter, label);
        };
        let column = if line.column > 0 { format!(":{}", line.column) } else { String::new() };
        out.put(Role::Frame, format!("{:gutter$}--> ", ""));
        out.put(Role::Plain, format!("{}:{}{column}", one_line(file(&line)), line.line)).end();
        if line.text.trim().is_empty() {
            return self.remark(out, gutter, label);
        }
        let shown = source::show(line.text, line.column, self.width.saturating_sub(gutter + 3));
        out.put(Role::Frame, format!("{:gutter$} |", "")).end();
        out.put(Role::Frame, format!("{:>gutter$} | ", line.line)).put(Role::Plain, shown.text).end();
        match shown.mark {
            Some((before, under)) => {
                out.put(Role::Frame, format!("{:gutter$} | ", ""));
                let label = label.map_or_else(String::new, |label| format!(" {}", one_line(label)));
                out.put(role, format!("{:before$}{}{label}", "", "^".repeat(under))).end();
            }
            None => self.remark(out, gutter, label),
        }
    }

    /// A sentence that has no mark to stand at.
    fn remark(&self, out: &mut Text, gutter: usize, text: Option<&str>) {
        if let Some(text) = text {
            out.put(Role::Frame, format!("{:gutter$} = ", "")).put(Role::Plain, one_line(text)).end();
        }
    }

    fn insn(&self, out: &mut Text, gutter: usize, at: InsnIdx, state: &str) {
        let known = at.index() < self.program.insns.len();
        let insn = if known { one_line(&(self.disasm)(at)) } else { "(end of program)".to_owned() };
        out.put(Role::Frame, format!("{:gutter$} = ", ""));
        out.put(Role::Plain, format!("insn {at}: {insn}{state}")).end();
    }

    fn note(&self, out: &mut Text, gutter: usize, note: &Note, main: Option<InsnIdx>) {
        out.put(Role::Heading, "note").put(Role::Plain, format!(": {}", one_line(&note.message))).end();
        // What the finding's own place says is not said again.
        if let Some(at) = note.insn.filter(|at| Some(*at) != main) {
            let same = main.is_some_and(|main| self.line(main).is_some() && self.line(main) == self.line(at));
            if !same {
                self.place(out, gutter, at, Role::OtherMark, None);
            }
            self.insn(out, gutter, at, "");
        }
    }

    /// Turns to show, each with where it leads, and how many are left out. Of several on a line, as the parts of a
    /// condition are, the last counts.
    fn turns<'d>(&self, path: &'d [Turn]) -> (usize, Vec<(&'d Turn, Option<u32>)>) {
        let row = |at: InsnIdx| self.line(at).map(|line| (line.file, line.line));
        let mut shown: Vec<(&Turn, Option<u32>)> = Vec::new();
        for turn in path {
            let (from, to) = (row(turn.insn), row(turn.to));
            let leads = to.map(|(_, line)| line);
            match shown.last_mut() {
                Some(last) if from.is_some() && row(last.0.insn) == from => *last = (turn, leads),
                _ => shown.push((turn, leads)),
            }
        }
        let hidden = shown.len().saturating_sub(TURNS);
        (hidden, shown.split_off(hidden))
    }

    fn path(&self, out: &mut Text, gutter: usize, diagnostic: &Diagnostic) {
        let (hidden, turns) = self.turns(&diagnostic.path);
        if turns.is_empty() {
            return;
        }
        out.put(Role::Heading, "path").put(Role::Plain, ": how the program gets there").end();
        if hidden > 0 {
            out.put(Role::Frame, format!("{:gutter$} | ", ""))
                .put(Role::Plain, format!("... {hidden} turns before"))
                .end();
        }
        let texts: Vec<String> = turns.iter().map(|(turn, _)| self.turn_text(turn)).collect();
        let widest = texts.iter().map(|text| source::cells(text)).max().unwrap_or(0);
        for ((turn, leads), text) in turns.into_iter().zip(texts) {
            let times = if turn.times > 1 { format!(", {} times", turn.times) } else { String::new() };
            let number = self.line(turn.insn).map_or_else(String::new, |line| line.line.to_string());
            let pad = widest - source::cells(&text);
            out.put(Role::Frame, format!("{number:>gutter$} | "));
            out.put(Role::Plain, format!("{text}{:pad$}  ", ""));
            out.put(Role::OtherMark, format!("{}{times}", way(turn, leads))).end();
        }
    }

    fn turn_text(&self, turn: &Turn) -> String {
        let line = self.line(turn.insn).filter(|line| !line.text.trim().is_empty());
        let text = match line {
            Some(line) => line.text.trim().to_owned(),
            None => format!("{}: {}", turn.insn, (self.disasm)(turn.insn)),
        };
        source::show(&text, 0, (self.width / 2).clamp(20, 64)).text
    }

    fn help(&self, out: &mut Text, gutter: usize, diagnostic: &Diagnostic) {
        let help = match (&diagnostic.help, &diagnostic.repair) {
            (Some(help), _) => help.as_str(),
            (None, Some(_)) => "add",
            (None, None) => return,
        };
        out.put(Role::Heading, "help").put(Role::Plain, format!(": {}", one_line(help))).end();
        let Some(repair) = &diagnostic.repair else { return };
        // As deep as the line at fault.
        let line = diagnostic.insn.and_then(|at| self.line(at)).map_or("", |line| line.text);
        let mut indent: String = line.chars().take_while(|c| matches!(c, ' ' | '\t')).take(16).collect();
        if line.starts_with('}') {
            indent.push('\t');
        }
        if matches!(diagnostic.code, Code::GplOnlyHelper | Code::StackTooDeep) {
            // A declaration, outside of functions.
            indent.clear();
        }
        out.put(Role::Frame, format!("{:gutter$} |", "")).end();
        for line in repair.lines() {
            let text = source::show(&format!("{indent}{line}"), 0, usize::MAX).text;
            out.put(Role::Repair, format!("{:gutter$} + {text}", "").trim_end()).end();
        }
    }
}

/// How a path went on.
fn way(turn: &Turn, leads: Option<u32>) -> String {
    match (turn.kind, leads) {
        (TurnKind::Call, Some(line)) => format!("enters the function at line {line}"),
        (TurnKind::Call, None) => format!("enters the function at {}", turn.to),
        (TurnKind::Return, Some(line)) => format!("returns to line {line}"),
        (TurnKind::Return, None) => format!("returns to {}", turn.to),
        (TurnKind::Taken | TurnKind::Fallthrough, Some(line)) => format!("goes on at line {line}"),
        (TurnKind::Taken, None) => format!("jumps to {}", turn.to),
        (TurnKind::Fallthrough, None) => "does not jump".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brolga_abi::ProgramKind;

    use super::*;
    use crate::isa::{Insn, Reg};
    use crate::program::Lines;

    fn program(lines: &[SourceLine<'_>]) -> Program {
        let mut program =
            Program::from_insns("count", ProgramKind::Xdp, vec![Insn::Exit; 4], Arc::from(Vec::new()));
        program.lines = Lines::from_list(lines);
        program
    }

    fn rendered(program: &Program, diagnostic: &Diagnostic) -> String {
        text(program, diagnostic, &|at| format!("insn {at}"))
    }

    fn diagnostic() -> Diagnostic {
        let mut found = Diagnostic::at(Code::NullMapValue, InsnIdx(2), "R0 invalid mem access\nsecond line")
            .label("`value` may be null here")
            .note(Some(InsnIdx(0)), "the lookup returns null")
            .help("ask first")
            .repair("if (!value)\n\treturn 0;");
        found.register = Some(Reg::R0);
        found.registers = vec![(Reg::R0, "map_value_or_null(id=1)".to_owned())];
        found.path = vec![Turn { insn: InsnIdx(1), to: InsnIdx(2), kind: TurnKind::Fallthrough, times: 3 }];
        found
    }

    #[test]
    fn places_come_with_their_source_lines() {
        let line = |insn, line, column, text| SourceLine {
            insn: InsnIdx(insn),
            file: "count.c",
            line,
            column,
            text,
        };
        let program = program(&[
            line(0, 9, 17, "\t__u64 *value = lookup(&m, &key);"),
            line(1, 10, 2, "\tfor (;;)"),
            line(2, 121, 3, "\t*value += 1;"),
        ]);
        assert_eq!(
            rendered(&program, &diagnostic()),
            "error[null-map-value]: R0 invalid mem access
    | second line
   --> count.c:121:3
    |
121 |     *value += 1;
    |      ^^^^^ `value` may be null here
    = insn 2: insn 2    ; R0=map_value_or_null(id=1)
note: the lookup returns null
   --> count.c:9:17
    |
  9 |     __u64 *value = lookup(&m, &key);
    |                    ^^^^^^
    = insn 0: insn 0
path: how the program gets there
 10 | for (;;)  goes on at line 121, 3 times
help: ask first
    |
    +     if (!value)
    +         return 0;
"
        );
    }

    #[test]
    fn without_source_lines_instructions_say_it() {
        assert_eq!(
            rendered(&program(&[]), &diagnostic()),
            "error[null-map-value]: R0 invalid mem access
   | second line
  --> program `count`
   = `value` may be null here
   = insn 2: insn 2    ; R0=map_value_or_null(id=1)
note: the lookup returns null
  --> program `count`
   = insn 0: insn 0
path: how the program gets there
   | 1: insn 1  does not jump, 3 times
help: ask first
   |
   + if (!value)
   +     return 0;
"
        );
    }

    #[test]
    fn hostile_names_stay_on_their_lines() {
        let mut program = program(&[SourceLine {
            insn: InsnIdx(0),
            file: "a\nerror: b",
            line: 1,
            column: 1,
            text: "x\r\u{1b}[2J\nerror[c]: d",
        }]);
        program.name = "e\nerror[f]: g".to_owned();
        let diagnostic = Diagnostic::at(Code::NullMapValue, InsnIdx(0), "h\nerror[i]: j")
            .note(None, "k\nerror[l]: m")
            .help("n\nerror[o]: p");
        for diagnostic in [diagnostic.clone(), Diagnostic { insn: None, ..diagnostic }] {
            let text = rendered(&program, &diagnostic);
            let errors = text.lines().filter(|line| line.starts_with("error")).count();
            assert_eq!(errors, 1, "{text}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
    }
}
