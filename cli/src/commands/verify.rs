//! `brolga verify`: a verdict per program.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use brolga_compiler::diag::{Diagnostic, Severity, render};
use brolga_compiler::isa::{InsnIdx, disasm};
use brolga_compiler::program::{Fault, Program};
use serde::Serialize;

use crate::args::{Format, VerifyArgs};
use crate::failure::{FAILED, Failure};
use crate::io::Out;
use crate::objects::{self, Judgement, Verdict};
use crate::style::{DIM, ERROR, GOOD, HEADING, WARNING};

/// Runs the command. An object that cannot be read does not keep the others from being judged.
pub fn run(args: &VerifyArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let mut verdicts = Vec::new();
    let mut failed = false;
    for path in &args.objects {
        match verify(path, args, out) {
            Ok(more) => verdicts.extend(more),
            Err(failure @ Failure::Output(_)) => return Err(failure),
            Err(failure) => {
                out.flush()?;
                match &failure {
                    Failure::Load { error, .. } if error.problem.fault() == Fault::Unsupported => {
                        verdicts.push(Verdict::Unsupported);
                    }
                    _ => failed = true,
                }
                failure.report();
            }
        }
    }
    Ok(ExitCode::from(if failed { FAILED } else { objects::exit_code(verdicts) }))
}

fn verify(path: &Path, args: &VerifyArgs, out: &mut Out) -> Result<Vec<Verdict>, Failure> {
    let object = objects::load(path, &args.selection, args.memory)?;
    let mut verdicts = Vec::new();
    for program in objects::select(path, &object, &args.selection)? {
        let judgement = Judgement::of(program);
        match args.format {
            Format::Text => text(path, &judgement, out)?,
            Format::Json => {
                serde_json::to_writer(&mut *out, &Report::new(path, &judgement))?;
                writeln!(out)?;
            }
        }
        verdicts.push(judgement.verdict());
    }
    Ok(verdicts)
}

/// A line of JSON.
#[derive(Serialize)]
struct Report<'a> {
    object: String,
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
    fn new(path: &Path, judgement: &'a Judgement<'a>) -> Self {
        let program = judgement.program;
        Self {
            object: path.display().to_string(),
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
            file: line.map(|line| &*line.file),
            line: line.map(|line| line.line),
            column: line.map(|line| line.column).filter(|column| *column > 0),
        }
    }
}

fn text(path: &Path, judgement: &Judgement<'_>, out: &mut Out) -> std::io::Result<()> {
    let program = judgement.program;
    let kind = program.kind.map_or("unknown kind", |kind| kind.info().name);
    let (style, verdict) = match judgement.verdict() {
        Verdict::Accept => (GOOD, "accepted"),
        Verdict::Reject => (ERROR, "rejected"),
        Verdict::Unsupported => (WARNING, "not supported"),
    };
    writeln!(
        out,
        "{}: {HEADING}{}{HEADING:#} ({kind}): {style}{verdict}{style:#} {DIM}{} instructions, {} processed, {:.1} ms{DIM:#}",
        path.display(),
        program.name,
        program.insns.len(),
        judgement.processed(),
        judgement.time.as_secs_f64() * 1000.0,
    )?;
    findings(program, judgement.diagnostics(), out)
}

/// Prints what the verifier found.
pub fn findings(program: &Program, findings: &[Diagnostic], out: &mut impl Write) -> std::io::Result<()> {
    let maps: Vec<&str> = program.maps.iter().map(|map| map.name.as_str()).collect();
    let insn = |at: InsnIdx| {
        program.insns.get(at.index()).map_or_else(String::new, |insn| disasm(insn, &maps[..]).to_string())
    };
    for finding in findings {
        let text = render::text(program, finding, &insn);
        let style = match finding.severity() {
            Severity::Reject => ERROR,
            Severity::Unsupported => WARNING,
        };
        match text.split_once(':') {
            Some((head, rest)) => write!(out, "{style}{head}{style:#}:{rest}")?,
            None => write!(out, "{text}")?,
        }
    }
    // The first is what the others often follow from.
    match findings.first() {
        Some(finding) => writeln!(out, "{DIM}  more: `brolga explain {}`{DIM:#}", finding.code.info().name),
        None => Ok(()),
    }
}
