//! Verdicts as JSON: a line a program, and a kernel where there are several.
//!
//! [`HELP`] documents every field; fields are added, not changed.

use std::collections::BTreeMap;
use std::path::Path;

use brolga_compiler::diag::{Diagnostic, Severity, Turn, TurnKind, render};
use brolga_compiler::isa::InsnIdx;
use brolga_compiler::program::Program;
use serde::Serialize;

use crate::objects::{Judgement, Verdict};

/// The layout, for the command's help.
pub const HELP: &str = "\
With --format json, one object a line for each program and kernel. What does not apply is null or empty.
  object program section kind kernel
  verdict                       accept reject unsupported
  insns processed time_us
  diagnostics[]                 the first is what Linux would report
    code severity               `brolga explain CODE`; reject unsupported
    message label               in the kernel's words; in plain ones
    insn file line column text  where: an instruction, and the line of source that it came from
    register registers{R0..R10} the register at fault; what all held there, as the kernel's log writes it
    notes[]                     message insn file line column text
    path[]                      branches, calls and returns that led there, each where it was passed last:
      insn to way times           way: taken fallthrough call return; to: the instruction after it
      file line column text
    help repair                 what would mend it; as lines of C
With --format sarif, one SARIF 2.1.0 document, as code scanning takes it: a result a finding, with the path as its
code flow. Files are named as the compiler was called: compile in the root of the sources.";

/// A line of JSON.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    object: String,
    /// The kernel whose types it was loaded for; `own` where the object's own stood for them.
    kernel: &'a str,
    program: &'a str,
    section: &'a str,
    kind: Option<&'static str>,
    insns: usize,
    verdict: Verdict,
    processed: u32,
    time_us: u64,
    diagnostics: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    label: Option<&'a str>,
    #[serde(flatten)]
    place: Place<'a>,
    register: Option<String>,
    registers: BTreeMap<String, &'a str>,
    notes: Vec<Note<'a>>,
    path: Vec<Step<'a>>,
    help: Option<&'a str>,
    repair: Option<&'a str>,
}

#[derive(Serialize)]
struct Note<'a> {
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
}

#[derive(Serialize)]
struct Step<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    to: u32,
    way: &'static str,
    times: u32,
}

#[derive(Serialize)]
struct Place<'a> {
    insn: Option<u32>,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    text: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(path: &Path, kernel: &'a str, judgement: &'a Judgement<'a>) -> Self {
        let program = judgement.program;
        Self {
            object: path.display().to_string(),
            kernel,
            program: &program.name,
            section: &program.section,
            kind: program.kind.map(|kind| kind.info().name),
            insns: program.insns.len(),
            verdict: judgement.verdict(),
            processed: judgement.processed(),
            time_us: u64::try_from(judgement.time.as_micros()).unwrap_or(u64::MAX),
            diagnostics: judgement.diagnostics().iter().map(|d| Finding::new(program, d)).collect(),
        }
    }
}

impl<'a> Finding<'a> {
    fn new(program: &'a Program, found: &'a Diagnostic) -> Self {
        let notes = found
            .notes
            .iter()
            .map(|note| Note { message: &note.message, place: Place::of(program, note.insn) })
            .collect();
        let name = |reg: brolga_compiler::isa::Reg| format!("R{}", reg.number());
        Self {
            code: found.code.info().name,
            severity: match found.severity() {
                Severity::Reject => "reject",
                Severity::Unsupported => "unsupported",
            },
            message: &found.message,
            label: found.label.as_deref(),
            place: Place::of(program, found.insn),
            register: found.register.map(name),
            registers: found.registers.iter().map(|(reg, value)| (name(*reg), value.as_str())).collect(),
            notes,
            path: found.path.iter().map(|turn| Step::new(program, turn)).collect(),
            help: found.help.as_deref(),
            repair: found.repair.as_deref(),
        }
    }
}

impl<'a> Step<'a> {
    fn new(program: &'a Program, turn: &Turn) -> Self {
        let way = match turn.kind {
            TurnKind::Taken => "taken",
            TurnKind::Fallthrough => "fallthrough",
            TurnKind::Call => "call",
            TurnKind::Return => "return",
        };
        Self { place: Place::of(program, Some(turn.insn)), to: turn.to.0, way, times: turn.times }
    }
}

impl<'a> Place<'a> {
    fn of(program: &'a Program, at: Option<InsnIdx>) -> Self {
        let line = at.and_then(|at| program.line_of(at));
        Self {
            insn: at.map(|at| at.0),
            file: line.as_ref().map(render::file),
            line: line.map(|line| line.line),
            column: line.map(|line| line.column).filter(|column| *column > 0),
            text: line.map(|line| line.text).filter(|text| !text.is_empty()),
        }
    }
}
