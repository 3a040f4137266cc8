//! A plugin of bpf_conformance: runs one program and prints `r0`.
//!
//! ```text
//! conformance-plugin [MEMORY] [--jit | --object | --interpret] [--lenient] < PROGRAM
//! ```
//!
//! Program and memory are bytes in hex. The program has the kind `raw_memory`: `r1` is the memory's
//! address and `r2` its length. It is verified whatever runs it, with the memory's length known;
//! `--lenient` masks constant shifts at or above the width, which Linux refuses.
//!
//! The protocol's helper 5 returns its first argument. Linux's helper 5 is another one
//! (`bpf_ktime_get_ns`), so the table of helpers is left alone: each `call 5` becomes `r0 = r1` before
//! anything else sees the program. It could be wrong where a program relies on `r1` to `r5` being
//! refused after the call: they keep their values here.

use std::io::Read;
use std::process::ExitCode;

use brolga_abi::ProgramKind;
use brolga_compiler::isa::{AluOp, CallTarget, Endianness, Insn, Operand, Reg, Width, decode};
use brolga_compiler::program::Program;
use brolga_compiler::verify::{Options, ShiftRule};
use brolga_runtime::jit;
use brolga_tests::case::hex;
use brolga_tests::engines::jit::{Jit, refusal};
use brolga_tests::engines::object::ObjectEngine;
use brolga_tests::engines::oracle::Oracle;
use brolga_tests::engines::{Engine, Input, Module};

/// What runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Jit,
    Object,
    Interpret,
}

struct Args {
    mode: Mode,
    shifts: ShiftRule,
    memory: Vec<u8>,
    program: Option<String>,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(run) {
        Ok(result) => {
            println!("{result:x}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut parsed = Args { mode: Mode::Jit, shifts: ShiftRule::Refuse, memory: Vec::new(), program: None };
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--jit" => parsed.mode = Mode::Jit,
            "--object" => parsed.mode = Mode::Object,
            "--interpret" => parsed.mode = Mode::Interpret,
            "--lenient" => parsed.shifts = ShiftRule::Mask,
            "--program" => parsed.program = Some(args.next().ok_or("--program needs bytes in hex")?),
            option if option.starts_with("--") => return Err(format!("unknown option `{option}`")),
            memory => parsed.memory = hex(memory).ok_or("the memory is not bytes in hex")?,
        }
    }
    Ok(parsed)
}

fn run(args: Args) -> Result<u64, String> {
    let text = match args.program {
        Some(text) => text,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
            text
        }
    };
    let bytes = hex(&text).ok_or("the program is not bytes in hex")?;
    let insns = decode(&bytes, Endianness::Little).map_err(|error| error.to_string())?;
    let insns = insns.into_iter().map(without_helper_5).collect();
    let mut program = Program::from_insns("conformance", ProgramKind::RawMemory, insns, [].into());
    program.raw_memory_len = u32::try_from(args.memory.len()).map_err(|_| "the memory is too large")?;
    let module = Module::single(program);
    let verify = Options { shifts: args.shifts, ..Options::default() };
    if let Some(why) = refusal(&module, &verify) {
        return Err(why);
    }
    let compiled = jit::Options { verify, ..jit::Options::default() };
    let engine: Box<dyn Engine> = match args.mode {
        Mode::Jit => Box::new(Jit { options: compiled, cpus: 1 }),
        Mode::Object => {
            let mut engine = ObjectEngine::new()?;
            engine.verify = compiled.verify;
            Box::new(engine)
        }
        Mode::Interpret => Box::new(Oracle::default()),
    };
    let mut instance = engine.load(&module).map_err(|error| error.to_string())?;
    let output = instance.run(0, &Input { data: args.memory }).map_err(|error| error.to_string())?;
    Ok(output.ret)
}

fn without_helper_5(insn: Insn) -> Insn {
    if insn != Insn::Call(CallTarget::Helper(5)) {
        return insn;
    }
    Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R0, src: Operand::Reg(Reg::R1) }
}
