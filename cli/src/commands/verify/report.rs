//! Verdicts as JSON: a line a program, and a kernel where there are several.

use std::path::Path;

use brolga_compiler::diag::Diagnostic;
use brolga_compiler::isa::InsnIdx;
use brolga_compiler::program::Program;
use serde::Serialize;

use crate::objects::{Judgement, Verdict};

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
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
    notes: Vec<Note<'a>>,
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct Note<'a> {
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
}

#[derive(Serialize)]
struct Place<'a> {
    insn: Option<u32>,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
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
    fn new(program: &'a Program, diagnostic: &'a Diagnostic) -> Self {
        let notes = diagnostic
            .notes
            .iter()
            .map(|note| Note { message: &note.message, place: Place::of(program, note.insn) })
            .collect();
        Self {
            code: diagnostic.code.info().name,
            message: &diagnostic.message,
            place: Place::of(program, diagnostic.insn),
            notes,
            help: diagnostic.help.as_deref(),
        }
    }
}

impl<'a> Place<'a> {
    fn of(program: &'a Program, at: Option<InsnIdx>) -> Self {
        let line = at.and_then(|at| program.line_of(at));
        Self {
            insn: at.map(|at| at.0),
            file: line.map(|line| line.file),
            line: line.map(|line| line.line),
            column: line.map(|line| line.column).filter(|column| *column > 0),
        }
    }
}
