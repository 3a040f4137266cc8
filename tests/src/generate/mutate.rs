//! Breaks random programs a little: most are refused afterwards, and those that are not must still be safe.
//!
//! A mutation keeps the number of slots, so jumps stay what they were. It may make a program's result
//! depend on addresses, so results of mutated programs are not compared, only verdicts and safety.

use brolga_compiler::isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};
use brolga_compiler::program::Program;

use super::rng::Rng;
use super::{Generated, Profile, generate_with};

/// The program of a seed, with one to three instructions changed.
#[must_use]
pub fn mutated(seed: u64) -> Generated {
    mutated_with(seed, Profile::Results)
}

/// The program of a seed and a profile, with one to three instructions changed.
#[must_use]
pub fn mutated_with(seed: u64, profile: Profile) -> Generated {
    let mut generated = generate_with(seed, profile);
    let mut rng = Rng::new(!seed);
    let old = &generated.module.programs[0];
    let mut insns = old.insns.clone();
    for _ in 0..1 + rng.below(3) {
        let at = rng.below(u32::try_from(insns.len()).expect("programs are small")) as usize;
        insns[at] = mutate(&mut rng, insns[at]);
    }
    let kind = old.kind.expect("generated programs have a kind");
    let mut program = Program::from_insns(&old.name, kind, insns, old.maps.clone());
    program.raw_memory_len = old.raw_memory_len;
    for subprog in &mut program.subprogs {
        if let Some(known) = old.subprogs.iter().find(|known| known.start == subprog.start) {
            subprog.clone_from(known);
        }
    }
    generated.module.programs[0] = program;
    generated
}

/// An instruction with one thing about it changed.
pub fn mutate(rng: &mut Rng, insn: Insn) -> Insn {
    let register = |rng: &mut Rng| Reg::new(rng.below(11) as u8).expect("below 11");
    let near = |rng: &mut Rng, off: i16| off.wrapping_add(rng.pick(&[-64, -8, -4, -2, -1, 1, 2, 4, 8, 64]));
    let operand = |rng: &mut Rng, src: Operand| match src {
        Operand::Imm(imm) if rng.one_in(2) => {
            Operand::Imm(imm.wrapping_add(rng.pick(&[-16, -8, -2, -1, 1, 2, 8, 16])))
        }
        Operand::Imm(_) => Operand::Imm(rng.imm()),
        Operand::Reg(_) => Operand::Reg(register(rng)),
    };
    let size = |rng: &mut Rng| rng.pick(&[Size::B, Size::H, Size::W, Size::DW]);
    let choice = rng.below(3);
    match insn {
        Insn::Alu { op, width, dst, src } => match choice {
            0 => Insn::Alu { op, width, dst, src: operand(rng, src) },
            1 => Insn::Alu { op, width, dst: register(rng), src },
            _ if op == AluOp::Mov || op == AluOp::And => {
                Insn::Alu { op: rng.pick(&[AluOp::Or, AluOp::Add, AluOp::Mov]), width, dst, src }
            }
            _ => Insn::Alu { op, width: other(width), dst, src },
        },
        Insn::Load { size: old, signed, dst, base, off } => match choice {
            0 => Insn::Load { size: old, signed, dst, base, off: near(rng, off) },
            1 => Insn::Load { size: size(rng), signed: false, dst, base, off },
            _ => Insn::Load { size: old, signed, dst, base: register(rng), off },
        },
        Insn::Store { size: old, base, off, src } => match choice {
            0 => Insn::Store { size: old, base, off: near(rng, off), src },
            1 => Insn::Store { size: size(rng), base, off, src },
            _ => Insn::Store { size: old, base: register(rng), off, src },
        },
        Insn::Atomic { op, size, base, off, src } => match choice {
            0 => Insn::Atomic { op, size, base, off: near(rng, off), src },
            1 => Insn::Atomic { op, size, base: register(rng), off, src },
            _ => Insn::Atomic { op, size, base, off, src: register(rng) },
        },
        Insn::Branch { cond, width, dst, src, off } => match choice {
            0 => Insn::Branch { cond, width: other(width), dst, src, off },
            1 => Insn::Branch { cond, width, dst, src: operand(rng, src), off },
            _ => {
                let cond =
                    rng.pick(&[Cond::Eq, Cond::Ne, Cond::Gt, Cond::Ge, Cond::Lt, Cond::Slt, Cond::Sge]);
                Insn::Branch { cond, width, dst, src, off }
            }
        },
        Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::Call(_)
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. } => Insn::Ja { off: 0 },
        // Both slots of a `lddw`, jumps and exits stay: without them nearly nothing is a program.
        Insn::LoadImm64 { .. }
        | Insn::SecondSlot
        | Insn::Ja { .. }
        | Insn::Gotol { .. }
        | Insn::MayGoto { .. }
        | Insn::Exit
        | Insn::LegacyLoad { .. }
        | Insn::AddrSpaceCast { .. } => insn,
    }
}

const fn other(width: Width) -> Width {
    match width {
        Width::W32 => Width::W64,
        Width::W64 => Width::W32,
    }
}
