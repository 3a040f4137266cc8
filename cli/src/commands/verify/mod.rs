//! `brolga verify`: a verdict per program, and per kernel where several are named.

mod matrix;
mod report;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use brolga_compiler::diag::Diagnostic;
use brolga_compiler::diag::render::{Renderer, Role};
use brolga_compiler::isa::{InsnIdx, disasm};
use brolga_compiler::program::{Fault, Program};

use self::report::Report;
use crate::args::{Format, VerifyArgs};
use crate::failure::{FAILED, Failure};
use crate::io::{self, Out};
use crate::kernels::{Environment, KernelSource};
use crate::objects::{self, Judgement, Verdict};
use crate::style::{DIM, ERROR, GOOD, HEADING, WARNING};

/// Runs the command. An object that cannot be read does not keep the others from being judged.
pub fn run(args: &VerifyArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let kernels = KernelSource::all(&args.btf, &args.config)?;
    let [kernel] = &kernels[..] else { return matrix::run(args, &kernels, out) };
    let mut environment = kernel.read()?;
    environment.host_functions = args.host.host_function.clone().into();
    let mut tally = Tally::default();
    for path in &args.objects {
        match verify(path, args, (&kernel.label, &environment), out) {
            Ok(verdicts) => tally.verdicts.extend(verdicts),
            Err(failure) => {
                out.flush()?;
                tally.fail(&failure)?;
                failure.report();
            }
        }
    }
    Ok(tally.exit_code())
}

/// What all objects came to.
#[derive(Default)]
struct Tally {
    verdicts: Vec<Verdict>,
    failed: bool,
}

impl Tally {
    /// Counts an object that could not be loaded; output that cannot be written ends the command.
    fn fail(&mut self, failure: &Failure) -> Result<(), Failure> {
        match failure {
            Failure::Output(error) => return Err(std::io::Error::from(error.kind()).into()),
            Failure::Load { error, .. } if error.problem.fault() == Fault::Unsupported => {
                self.verdicts.push(Verdict::Unsupported);
            }
            Failure::Read { .. }
            | Failure::Write { .. }
            | Failure::Load { .. }
            | Failure::Kernel { .. }
            | Failure::Capture { .. }
            | Failure::Tool { .. }
            | Failure::Compile(_)
            | Failure::Link(_)
            | Failure::Usage(_) => self.failed = true,
        }
        Ok(())
    }

    fn exit_code(self) -> ExitCode {
        ExitCode::from(if self.failed { FAILED } else { objects::exit_code(self.verdicts) })
    }
}

fn verify(
    path: &Path,
    args: &VerifyArgs,
    (kernel, environment): (&str, &Environment),
    out: &mut Out,
) -> Result<Vec<Verdict>, Failure> {
    let object = objects::load_bytes(path, &io::read(path)?, &args.selection, args.memory, environment)?;
    let mut verdicts = Vec::new();
    for program in objects::select(path, &object, &args.selection)? {
        let judgement = Judgement::of(program);
        match args.format {
            Format::Text => text(path, &judgement, out)?,
            Format::Json => {
                serde_json::to_writer(&mut *out, &Report::new(path, kernel, &judgement))?;
                writeln!(out)?;
            }
        }
        verdicts.push(judgement.verdict());
    }
    Ok(verdicts)
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

/// The colour of a piece of a rendered diagnostic.
const fn style(role: Role) -> Option<anstyle::Style> {
    match role {
        Role::Error | Role::Mark => Some(ERROR),
        Role::Unsupported => Some(WARNING),
        Role::Message | Role::Heading => Some(HEADING),
        Role::Frame => Some(DIM),
        Role::Repair => Some(GOOD),
        Role::OtherMark | Role::Plain => None,
    }
}

/// Prints what the verifier found.
pub fn findings(program: &Program, findings: &[Diagnostic], out: &mut impl Write) -> std::io::Result<()> {
    let maps: Vec<&str> = program.maps.iter().map(|map| map.name.as_str()).collect();
    let insn = |at: InsnIdx| {
        program.insns.get(at.index()).map_or_else(String::new, |insn| disasm(insn, &maps[..]).to_string())
    };
    let renderer = Renderer { program, disasm: &insn, width: io::width() };
    for finding in findings {
        for (role, piece) in renderer.render(finding).pieces() {
            match style(role) {
                Some(style) => write!(out, "{style}{piece}{style:#}")?,
                None => write!(out, "{piece}")?,
            }
        }
    }
    // The first is what the others often follow from.
    match findings.first() {
        Some(finding) => writeln!(out, "{DIM}  more: `brolga explain {}`{DIM:#}", finding.code.info().name),
        None => Ok(()),
    }
}
