//! Cost of verifying and compiling, by program length.
//!
//! The programs are made here: arithmetic on seven registers and the stack, with a branch over a
//! few instructions every eighth one. Each is verified and compiled to code in memory several times;
//! the table shows the fastest.

use std::time::Instant;

use brolga_abi::ProgramKind;
use brolga_compiler::isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};
use brolga_compiler::options::CodeOptions;
use brolga_compiler::pipeline::{Unit, compile_jit};
use brolga_compiler::program::Program;
use brolga_compiler::verify::{self, verify};

use crate::stats::min;

/// Options of `compile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Lengths in instructions.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000])]
    lengths: Vec<usize>,
    /// How often each is compiled.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Prints the table.
pub fn run(args: &Args) -> Result<(), String> {
    println!("{:>9} {:>12} {:>12} {:>12} {:>10}", "insns", "verify us", "code us", "us / insn", "vs 10,000");
    let mut reference = None;
    for &length in &args.lengths {
        let program = branchy(length);
        let (mut verifying, mut coding) = (Vec::new(), Vec::new());
        let rounds = if length > 50_000 { 1.max(args.rounds / 3) } else { args.rounds };
        for _ in 0..rounds {
            match measure(&program) {
                Ok((verify, code)) => {
                    verifying.push(verify);
                    coding.push(code);
                }
                Err(refusal) => {
                    println!("{length:>9} refused: {refusal}");
                    break;
                }
            }
        }
        if verifying.is_empty() {
            continue;
        }
        let each = (min(&verifying) + min(&coding)) / length as f64;
        if length == 10_000 {
            reference = Some(each);
        }
        let relative = reference.map_or_else(String::new, |reference| format!("{:.2}", each / reference));
        println!("{length:>9} {:>12.0} {:>12.0} {each:>12.2} {relative:>10}", min(&verifying), min(&coding));
    }
    Ok(())
}

/// Microseconds to verify and to make code.
fn measure(program: &Program) -> Result<(f64, f64), String> {
    let start = Instant::now();
    let accepted = verify(program, &verify::Options::default())
        .map_err(|rejection| rejection.diagnostics.first().map_or_else(String::new, |d| d.message.clone()))?;
    let verifying = start.elapsed();
    let start = Instant::now();
    let code = compile_jit(
        &[Unit { program, facts: &accepted.facts }],
        &CodeOptions::default(),
        &brolga_runtime::resolve,
    )
    .map_err(|error| error.to_string())?;
    let coding = start.elapsed();
    drop(code);
    Ok((verifying.as_secs_f64() * 1e6, coding.as_secs_f64() * 1e6))
}

/// A program of `length` instructions with a branch every eighth one.
///
/// Each branch tests a word that was just loaded from the buffer, so that both ways are possible
/// whatever came before, and the ways that meet again differ in nothing that matters.
fn branchy(length: usize) -> Program {
    let load = |dst, base, off| Insn::Load { size: Size::DW, signed: false, dst, base, off };
    let registers = [Reg::R0, Reg::R3, Reg::R4, Reg::R5, Reg::R6, Reg::R7];
    let mut insns: Vec<Insn> = (0..).zip(registers).map(|(i, dst)| load(dst, Reg::R1, 8 * i)).collect();
    insns.push(Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R7) });
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    while insns.len() + 1 < length {
        let dst = registers[next(6) as usize];
        let src = registers[next(6) as usize];
        let room = length - 1 - insns.len();
        let insn = match insns.len() % 8 {
            7 => load(Reg::R2, Reg::R1, 8 * next(8) as i16),
            0 if room > 4 => {
                let cond = [Cond::Eq, Cond::Gt, Cond::Slt, Cond::Ne][next(4) as usize];
                let imm = Operand::Imm(next(1000) as i32);
                Insn::Branch { cond, width: Width::W64, dst: Reg::R2, src: imm, off: 1 + next(3) as i16 }
            }
            3 => load(dst, Reg::R10, -8),
            6 => Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(src) },
            _ => {
                // Operations that lose no bits: values must not become constants after a while.
                let width = if next(3) == 0 { Width::W32 } else { Width::W64 };
                let op = [AluOp::Add, AluOp::Xor, AluOp::Sub][next(3) as usize];
                let (op, src) = match next(4) {
                    0 | 1 if src != dst => (op, Operand::Reg(src)),
                    2 => (AluOp::Mul, Operand::Imm(next(100_000) as i32 | 1)),
                    _ => (op, Operand::Imm(next(100_000) as i32)),
                };
                Insn::Alu { op, width, dst, src }
            }
        };
        insns.push(insn);
    }
    insns.push(Insn::Exit);
    let mut program = Program::from_insns("branchy", ProgramKind::RawMemory, insns, [].into());
    program.raw_memory_len = 64;
    program
}
