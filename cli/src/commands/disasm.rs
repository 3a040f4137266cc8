//! `brolga disasm`: the instructions of programs, with their source lines.

use std::io::Write;
use std::process::ExitCode;

use brolga_compiler::cfg::flow;
use brolga_compiler::isa::table::Row as IsaRow;
use brolga_compiler::isa::{CallTarget, Endianness, Imm64, Insn, InsnIdx, disasm, encode_all};
use brolga_compiler::program::{CoreRelocation, Program, SourceLine};
use serde::Serialize;

use crate::args::{DisasmArgs, Format};
use crate::failure::Failure;
use crate::io::Out;
use crate::io::{outln, outp};
use crate::kernels::KernelSource;
use crate::objects;
use crate::style::{DIM, HEADING, WARNING};
use crate::value::hex;

/// Runs the command.
pub fn run(args: &DisasmArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let object = objects::load(&args.object, &args.selection, 0, &KernelSource::to_run(&args.kernel)?)?;
    let names: Vec<&str> = object.maps.iter().map(|map| map.name.as_str()).collect();
    let programs = objects::select(&args.object, &object, &args.selection)?;
    for (i, program) in programs.into_iter().enumerate() {
        match args.format {
            Format::Text => {
                if i > 0 {
                    writeln!(out)?;
                }
                text(program, &names, out)?;
            }
            Format::Json => {
                serde_json::to_writer(&mut *out, &Listing::new(program, &names, object.endianness))?;
                writeln!(out)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where an instruction may go besides to the next one: what the distance in its text leads to.
fn target(program: &Program, at: InsnIdx, insn: &Insn) -> Option<(InsnIdx, bool)> {
    let (off, call) = match *insn {
        Insn::Call(CallTarget::Subprog(off)) | Insn::LoadImm64 { imm: Imm64::Func(off), .. } => (off, true),
        other => (flow(&other).jump?, false),
    };
    let target = at.jump(off).filter(|target| target.index() < program.insns.len())?;
    Some((target, call))
}

/// The name of the function that starts at an instruction.
fn function_at(program: &Program, at: InsnIdx) -> Option<&str> {
    let index = program.subprogs.binary_search_by_key(&at, |subprog| subprog.start).ok()?;
    Some(&program.subprogs[index].name)
}

/// The source line that begins at an instruction.
fn line_at(program: &Program, at: InsnIdx) -> Option<SourceLine<'_>> {
    program.line_of(at).filter(|line| line.insn == at)
}

fn text(program: &Program, names: &[&str], out: &mut Out) -> std::io::Result<()> {
    let kind = program.kind.map_or("unknown kind", |kind| kind.info().name);
    outln!(
        out,
        "{HEADING}{}{HEADING:#} {DIM}({kind}, section {}, {} instructions){DIM:#}",
        program.name,
        program.section,
        program.insns.len()
    )?;
    for finding in &program.findings {
        outln!(out, "{WARNING}{}{WARNING:#}: {}", finding.code.info().name, finding.message)?;
    }
    let digits = program.insns.len().saturating_sub(1).max(1).ilog10() as usize + 1;
    let mut last_text = "";
    for (at, insn) in (0..).map(InsnIdx).zip(&program.insns) {
        if let Some(name) = function_at(program, at) {
            outln!(out, "\n{HEADING}{name}:{HEADING:#}")?;
            last_text = "";
        }
        if let Some(line) = line_at(program, at) {
            let place = format!("{}:{}", line.file, line.line);
            let code = line.text.trim();
            if code != last_text || code.is_empty() {
                outln!(out, "{DIM}; {place}  {code}{DIM:#}")?;
            }
            last_text = code;
        }
        if *insn == Insn::SecondSlot {
            continue;
        }
        outp!(out, "{at:>digits$}: {}", disasm(insn, names))?;
        match target(program, at, insn) {
            Some((target, true)) => {
                outln!(out, "  {DIM}; {}{DIM:#}", function_at(program, target).unwrap_or("?"))?;
            }
            Some((target, false)) => outln!(out, "  {DIM}; to {target}{DIM:#}")?,
            None => match program.core.at(at) {
                Some(relocation) => outln!(out, "  {DIM}; {}{DIM:#}", core(relocation))?,
                None => writeln!(out)?,
            },
        }
    }
    Ok(())
}

/// What CO-RE made of an instruction.
fn core(relocation: &CoreRelocation) -> String {
    let what = format!("{} of {}", relocation.resolution.kind.name(), relocation.path());
    if relocation.poisoned { format!("{what}: missing") } else { what }
}

/// A line of JSON.
#[derive(Serialize)]
struct Listing<'a> {
    program: &'a str,
    section: &'a str,
    kind: Option<&'static str>,
    insns: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    insn: u32,
    /// The slots as they are encoded: 8 or 16 bytes, maps and functions filled in.
    bytes: String,
    text: String,
    target: Option<u32>,
    /// The CO-RE relocation that was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<String>,
    function: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
}

impl<'a> Listing<'a> {
    fn new(program: &'a Program, names: &[&str], endianness: Endianness) -> Self {
        let insns = (0..).map(InsnIdx).zip(&program.insns).filter(|(_, insn)| **insn != Insn::SecondSlot);
        let row = |(at, insn): (InsnIdx, &Insn)| {
            let line = program.line_of(at);
            let slots = if matches!(insn, Insn::LoadImm64 { .. }) { 2 } else { 1 };
            let slots =
                program.insns.get(at.index()..at.index() + slots).filter(|_| IsaRow::of(insn).is_some());
            Row {
                insn: at.0,
                bytes: slots.map_or_else(String::new, |slots| hex(&encode_all(slots, endianness))),
                text: disasm(insn, names).to_string(),
                target: target(program, at, insn).map(|(target, _)| target.0),
                core: program.core.at(at).map(core),
                function: program.subprogs.get(program.subprog_of(at).index()).map_or("", |s| &s.name),
                file: line.map(|line| line.file),
                line: line.map(|line| line.line),
                column: line.map(|line| line.column).filter(|column| *column > 0),
            }
        };
        Self {
            program: &program.name,
            section: &program.section,
            kind: program.kind.map(|kind| kind.info().name),
            insns: insns.map(row).collect(),
        }
    }
}
