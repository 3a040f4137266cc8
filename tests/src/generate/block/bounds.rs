//! Ways to bound a number, and arithmetic that leaves it bounded.
//!
//! Bounds are tracked while writing: what is said of a number here holds for every input.

use brolga_compiler::isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};

use super::Block;
use crate::generate::text::Label;

/// What is known of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Least.
    pub lo: i64,
    /// Greatest.
    pub hi: i64,
}

impl Block<'_> {
    /// Leaves `reg` in 0..=max, or goes to `skip`. What it is exactly is the result.
    pub(super) fn bound(&mut self, reg: Reg, max: i64, skip: Label) -> Bounds {
        let hi = match self.rng.below(3) {
            0 => self.bound_by_arithmetic(reg, max, skip),
            1 => self.bound_unsigned(reg, max, skip),
            _ => self.bound_signed(reg, max, skip),
        };
        Bounds { lo: 0, hi }
    }

    fn bound_by_arithmetic(&mut self, reg: Reg, max: i64, skip: Label) -> i64 {
        let mask = mask_within(max);
        match self.rng.below(6) {
            0 => {
                self.text.alu(AluOp::And, reg, small(mask));
                mask
            }
            1 => {
                self.branch_imm(Cond::Set, Width::W64, reg, !mask, skip);
                mask
            }
            2 => {
                let bits = i64::from(mask.count_ones()).max(1);
                self.text.alu(AluOp::Rsh, reg, small(64 - bits));
                mask.max(1)
            }
            3 => {
                let bits = i64::from(mask.count_ones()).max(1);
                self.alu32(AluOp::Rsh, reg, small(32 - bits));
                mask.max(1)
            }
            4 if mask > 0 => {
                self.text.alu(AluOp::And, reg, small(mask));
                self.branch_imm(Cond::Eq, Width::W64, reg, mask, skip);
                mask - 1
            }
            _ => {
                // Bounded by another number, which is bounded.
                let other = self.another(reg, reg);
                self.text.alu(AluOp::And, other, small(mask));
                let cond = self.rng.pick(&[Cond::Gt, Cond::Ge]);
                self.text.branch(cond, Width::W64, reg, Operand::Reg(other), skip);
                mask
            }
        }
    }

    fn bound_unsigned(&mut self, reg: Reg, max: i64, skip: Label) -> i64 {
        match self.rng.below(5) {
            0 => self.branch_imm(Cond::Gt, Width::W64, reg, max, skip),
            1 => {
                self.branch_imm(Cond::Gt, Width::W32, reg, max, skip);
                self.alu32(AluOp::Mov, reg, Operand::Reg(reg));
            }
            2 => self.branch_imm(Cond::Ge, Width::W64, reg, max + 1, skip),
            3 => {
                let fine = self.text.label();
                self.branch_imm(Cond::Lt, Width::W64, reg, max + 1, fine);
                self.text.jump(Insn::Ja { off: 0 }, skip);
                self.text.place(fine);
            }
            _ => {
                let other = self.another(reg, reg);
                self.text.alu(AluOp::Mov, other, small(max));
                self.text.branch(Cond::Lt, Width::W64, other, Operand::Reg(reg), skip);
            }
        }
        max
    }

    fn bound_signed(&mut self, reg: Reg, max: i64, skip: Label) -> i64 {
        let (w32, w64) = (Width::W32, Width::W64);
        match self.rng.below(6) {
            0 => {
                self.branch_imm(Cond::Sgt, w64, reg, max, skip);
                self.branch_imm(Cond::Slt, w64, reg, 0, skip);
            }
            1 => {
                self.alu32(AluOp::Mov, reg, Operand::Reg(reg));
                self.branch_imm(Cond::Slt, w32, reg, 0, skip);
                self.branch_imm(Cond::Sge, w32, reg, max + 1, skip);
            }
            2 => {
                self.branch_imm(Cond::Sgt, w32, reg, max, skip);
                self.branch_imm(Cond::Slt, w32, reg, 0, skip);
                self.text.alu(AluOp::Lsh, reg, small(32));
                let op = self.rng.pick(&[AluOp::Arsh, AluOp::Rsh]);
                self.text.alu(op, reg, small(32));
            }
            3 => {
                let from = self.rng.pick(&[Size::B, Size::H, Size::W]);
                self.text.push(Insn::MovSx { width: w64, from, dst: reg, src: reg });
                self.branch_imm(Cond::Slt, w64, reg, 0, skip);
                self.branch_imm(Cond::Sgt, w64, reg, max, skip);
            }
            4 => {
                // 32 bits, from below zero: then moved up.
                let half = max / 2;
                self.branch_imm(Cond::Slt, w32, reg, -half, skip);
                self.branch_imm(Cond::Sgt, w32, reg, half, skip);
                self.text.push(Insn::MovSx { width: w64, from: Size::W, dst: reg, src: reg });
                self.text.alu(AluOp::Add, reg, small(half));
                return 2 * half;
            }
            _ => {
                let fine = self.text.label();
                self.text.alu(AluOp::And, reg, small(0xff));
                self.branch_imm(Cond::Sle, w32, reg, max, fine);
                self.text.jump(Insn::Ja { off: 0 }, skip);
                self.text.place(fine);
            }
        }
        max
    }

    /// Arithmetic on a bounded number; the result is in 0..=limit where the input was.
    pub(super) fn adorn(&mut self, reg: Reg, known: Bounds, limit: i64) -> Bounds {
        let Bounds { lo, hi } = known;
        let room = limit - hi;
        let width = self.rng.pick(&[Width::W32, Width::W64]);
        let mut alu = |op, src| self.text.push(Insn::Alu { op, width, dst: reg, src });
        match self.rng.below(9) {
            0 if room > 0 => {
                let by = i64::from(self.rng.below(u32::try_from(room).unwrap_or(1)) + 1);
                alu(AluOp::Add, small(by));
                Bounds { lo: lo + by, hi: hi + by }
            }
            1 if 2 * hi <= limit => {
                alu(AluOp::Mul, small(2));
                Bounds { lo: 2 * lo, hi: 2 * hi }
            }
            2 if 4 * hi <= limit => {
                alu(AluOp::Lsh, small(2));
                Bounds { lo: 4 * lo, hi: 4 * hi }
            }
            3 => {
                alu(AluOp::Rsh, small(1));
                Bounds { lo: lo >> 1, hi: hi >> 1 }
            }
            4 => {
                // Upside down: hi - reg.
                self.text.push(Insn::Neg { width, dst: reg });
                self.text.push(Insn::Alu { op: AluOp::Add, width, dst: reg, src: small(hi) });
                Bounds { lo: 0, hi: hi - lo }
            }
            5 if hi >= 0 => {
                let ones = (1i64 << (64 - hi.leading_zeros())) - 1;
                if ones > limit {
                    return known;
                }
                let op = self.rng.pick(&[AluOp::Xor, AluOp::Or]);
                let by = i64::from(self.rng.below(u32::try_from(ones + 1).expect("bounds are small")));
                self.text.push(Insn::Alu { op, width, dst: reg, src: small(by) });
                Bounds { lo: 0, hi: ones }
            }
            6 => {
                alu(AluOp::Arsh, small(1));
                Bounds { lo: lo >> 1, hi: hi >> 1 }
            }
            7 if lo > 0 => {
                alu(AluOp::Sub, small(lo));
                Bounds { lo: 0, hi: hi - lo }
            }
            _ => known,
        }
    }
}

/// An immediate.
pub(super) fn small(x: i64) -> Operand {
    Operand::Imm(i32::try_from(x).expect("bounds are small"))
}

/// The most low ones that are no more than `max`.
fn mask_within(max: i64) -> i64 {
    (1 << (63 - (max + 1).leading_zeros())) - 1
}
