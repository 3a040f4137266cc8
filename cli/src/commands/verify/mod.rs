//! `brolga verify`: a verdict per program, and per kernel where several are named.

mod matrix;
mod report;
mod sarif;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use brolga_compiler::diag::Diagnostic;
use brolga_compiler::diag::render::{self, Renderer, Role};
use brolga_compiler::isa::{Insn, InsnIdx, disasm};
use brolga_compiler::program::{Fault, Program};
use brolga_compiler::verify;

pub use self::report::HELP;
use self::report::Report;
use crate::args::{VerdictFormat, VerifyArgs};
use crate::failure::{FAILED, Failure};
use crate::io::{self, Out};
use crate::kernels::{Environment, KernelSource};
use crate::objects::{self, Judgement, Verdict};
use crate::style::{DIM, ERROR, GOOD, HEADING, WARNING};

/// Runs the command. An object that cannot be read does not keep the others from being judged.
pub fn run(args: &VerifyArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let kernels = KernelSource::all(&args.btf, &args.config)?;
    if args.log.is_some() && (args.format != VerdictFormat::Text || kernels.len() > 1) {
        return Err(Failure::Usage("--log is text, for one kernel".to_owned()));
    }
    let mut log = sarif::Log::default();
    let [kernel] = &kernels[..] else {
        let code = matrix::run(args, &kernels, out, &mut log)?;
        return finish(args, log, out).map(|()| code);
    };
    let mut environment = kernel.read()?;
    environment.host_functions = args.host.host_function.clone().into();
    let mut tally = Tally::default();
    for path in &args.objects {
        match verify(path, args, (&kernel.label, &environment), (out, &mut log)) {
            Ok(verdicts) => tally.verdicts.extend(verdicts),
            Err(failure) => {
                out.flush()?;
                tally.fail(&failure)?;
                log.fail(&failure);
                failure.report();
            }
        }
    }
    finish(args, log, out)?;
    Ok(tally.exit_code())
}

/// Writes what can be written at the end only.
fn finish(args: &VerifyArgs, log: sarif::Log, out: &mut Out) -> Result<(), Failure> {
    if args.format == VerdictFormat::Sarif {
        serde_json::to_writer_pretty(&mut *out, &log.finish())?;
        writeln!(out)?;
    }
    Ok(())
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

/// What `verify` was asked to judge by.
fn options(args: &VerifyArgs) -> verify::Options {
    let privilege = args.loader.privilege();
    let (max_findings, instruction_budget) = (args.max_errors, args.budget);
    verify::Options { max_findings, instruction_budget, privilege, ..verify::Options::default() }
}

/// Judges programs of an object, several at a time; one by one where a log is printed. They stay in their order.
fn judge_all<'a>(
    programs: &[&'a Program],
    args: &VerifyArgs,
    out: &mut Out,
) -> std::io::Result<Vec<Judgement<'a>>> {
    if args.log.is_some() {
        return programs.iter().map(|program| judge(program, args, out)).collect();
    }
    let cpus = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = args.jobs.map_or_else(cpus, usize::from);
    Ok(Judgement::all(programs, &options(args), threads))
}

/// Judges a program; prints the log on the way, if there is to be one.
fn judge<'a>(program: &'a Program, args: &VerifyArgs, out: &mut Out) -> std::io::Result<Judgement<'a>> {
    let level = match args.log {
        None => return Ok(Judgement::with(program, &options(args))),
        Some(1) => verify::log::Level::Last,
        Some(_) => verify::log::Level::All,
    };
    let mut result = writeln!(out, "-- BEGIN PROG LOAD LOG: {} --", render::one_line(&program.name));
    let mut line = |line: &str| {
        if result.is_ok() {
            result = writeln!(out, "{line}");
        }
    };
    let judgement = Judgement::logged(program, &options(args), level, &mut line);
    result.and_then(|()| writeln!(out, "-- END PROG LOAD LOG --"))?;
    Ok(judgement)
}

fn verify(
    path: &Path,
    args: &VerifyArgs,
    (kernel, environment): (&str, &Environment),
    (out, log): (&mut Out, &mut sarif::Log),
) -> Result<Vec<Verdict>, Failure> {
    let object = objects::load_bytes(path, &io::read(path)?, &args.selection, args.memory, environment)?;
    let mut verdicts = Vec::new();
    let programs = objects::select(path, &object, &args.selection)?;
    // A log stands before its program's verdict.
    let together = if args.log.is_some() { 1 } else { programs.len().max(1) };
    for programs in programs.chunks(together) {
        for judgement in judge_all(programs, args, out)? {
            match args.format {
                VerdictFormat::Text => text(path, &judgement, out)?,
                VerdictFormat::Json => {
                    serde_json::to_writer(&mut *out, &Report::new(path, kernel, &judgement))?;
                    writeln!(out)?;
                }
                VerdictFormat::Sarif => log.add(path, kernel, &judgement),
            }
            verdicts.push(judgement.verdict());
        }
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
        render::one_line(&path.display().to_string()),
        render::one_line(&program.name),
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
    let insn = |at: InsnIdx| match program.insns.get(at.index()) {
        Some(Insn::Call(target)) if program.function_name(*target).is_some() => {
            format!("call {}", program.function_name(*target).unwrap_or_default())
        }
        Some(insn) => disasm(insn, &maps[..]).to_string(),
        None => String::new(),
    };
    let renderer = Renderer { program, disasm: &insn, width: io::width() };
    for (index, finding) in findings.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        for (role, piece) in renderer.render(finding).pieces() {
            match style(role) {
                Some(style) => write!(out, "{style}{piece}{style:#}")?,
                None => write!(out, "{piece}")?,
            }
        }
    }
    let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code.info().name).collect();
    codes.dedup();
    if !codes.is_empty() {
        writeln!(out, "{DIM}more: `brolga explain {}`{DIM:#}", codes.join("`, `brolga explain "))?;
    }
    Ok(())
}
