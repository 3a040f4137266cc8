//! Numbers that were copied from each other, and moved by constants: one is compared, another used.
//!
//! Sums of 32 bits wrap around, and belong together only where what was copied fits them; so some are made of numbers
//! that do not.

use brolga_compiler::isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};

use super::Block;
use super::proofs::SLOT;
use crate::generate::text::Label;

impl Block<'_> {
    /// One number is bounded, another that was copied from it, and perhaps moved, is used.
    pub(super) fn linked_access(&mut self) {
        if self.daring && self.rng.one_in(2) {
            return self.dared_link();
        }
        let (index, pointer) = self.scratch();
        let copy = self.another(index, pointer);
        let skip = self.text.label();
        let shift = i64::from(self.rng.below(7)) - 3;
        let limit = self.limit().max(-shift);
        self.unknown(index);
        let fits = self.cut(index);
        if fits && self.rng.one_in(2) {
            self.alu32(AluOp::Mov, copy, Operand::Reg(index));
        } else {
            self.text.mov(copy, index);
        }
        let sum = if fits && self.rng.one_in(2) { Width::W32 } else { Width::W64 };
        if shift != 0 {
            self.add_somehow(sum, copy, pointer, i32::try_from(shift).expect("small"));
        }
        if self.rng.one_in(3) {
            if shift > 0 {
                self.branch_imm(Cond::Lt, sum, copy, shift, skip);
            }
            self.bound_one(sum, copy, limit + shift, skip);
            self.use_index(index, pointer, limit, skip);
        } else {
            if shift < 0 {
                self.branch_imm(Cond::Lt, Width::W64, index, -shift, skip);
            }
            let width = if fits { sum } else { Width::W64 };
            self.bound_one(width, index, limit, skip);
            self.use_index(copy, pointer, limit + shift, skip);
        }
        self.leave_access(index, pointer, skip);
    }

    /// Perhaps makes a number one of 32 bits; whether it did.
    fn cut(&mut self, reg: Reg) -> bool {
        match self.rng.below(6) {
            0 | 1 => self.text.alu(AluOp::And, reg, Operand::Imm(0xffff)),
            2 | 3 => self.alu32(AluOp::Mov, reg, Operand::Reg(reg)),
            _ => return false,
        }
        true
    }

    /// Adds a constant in one of the ways in which that is said. `spare` may be overwritten.
    fn add_somehow(&mut self, width: Width, reg: Reg, spare: Reg, by: i32) {
        let mut constant = |by: i32| {
            self.text.mov_imm(spare, by);
            Operand::Reg(spare)
        };
        let (op, src) = match self.rng.below(5) {
            0 | 1 => (AluOp::Add, Operand::Imm(by)),
            2 => (AluOp::Sub, Operand::Imm(by.wrapping_neg())),
            3 => (AluOp::Add, constant(by)),
            _ => (AluOp::Sub, constant(by.wrapping_neg())),
        };
        match width {
            Width::W32 => self.alu32(op, reg, src),
            Width::W64 => self.text.alu(op, reg, src),
        }
    }

    /// Leaves where a number is more than a limit.
    fn bound_one(&mut self, width: Width, reg: Reg, limit: i64, skip: Label) {
        match self.rng.below(3) {
            0 => self.branch_imm(Cond::Gt, width, reg, limit, skip),
            1 => self.branch_imm(Cond::Ge, width, reg, limit + 1, skip),
            _ => {
                let fine = self.text.label();
                self.branch_imm(Cond::Le, width, reg, limit, fine);
                self.text.jump(Insn::Ja { off: 0 }, skip);
                self.text.place(fine);
            }
        }
    }

    /// Some of a number's moved copies are compared, and any is used, whether or not that is safe.
    fn dared_link(&mut self) {
        let [reg, copy, other, pointer] = [Reg::R2, Reg::R3, Reg::R4, Reg::R5];
        let all = [reg, copy, other];
        let skip = self.text.label();
        self.unknown(reg);
        self.cut(reg);
        for moved in [copy, other] {
            self.text.mov(moved, reg);
        }
        for moved in all {
            if !self.rng.one_in(3) {
                let (width, by) = (self.rng.pick(super::WIDTHS), self.rng.below(11).cast_signed() - 5);
                let by = if self.rng.one_in(8) { by.wrapping_add(i32::MIN) } else { by };
                self.add_somehow(width, moved, pointer, by);
            }
        }
        for _ in 0..1 + self.rng.below(3) {
            let often = [Cond::Gt, Cond::Gt, Cond::Ge, Cond::Lt, Cond::Sgt, Cond::Slt];
            let cond = if self.rng.one_in(5) { self.rng.pick(super::CONDS) } else { self.rng.pick(&often) };
            let (width, imm) = (self.rng.pick(super::WIDTHS), i64::from(self.rng.below(14)) - 2);
            let on = self.rng.pick(&all);
            self.branch_imm(cond, width, on, imm, skip);
        }
        let used = self.rng.pick(&all);
        self.use_byte(used, pointer);
        self.text.place(skip);
        for reg in [copy, other, pointer] {
            self.init(reg);
        }
    }

    /// Copies of a number are moved, near and far, and any of them compared and spilled; none is used.
    pub(super) fn moved_copies(&mut self) {
        let (reg, copy) = self.scratch();
        let other = self.another(reg, copy);
        let spare = Reg::R0;
        self.unknown(reg);
        self.cut(reg);
        self.text.mov(copy, reg);
        self.text.mov(other, reg);
        let mut near = vec![0, 0xff, 0xffff, i32::MIN, i32::MAX];
        for moved in [copy, other] {
            let small = self.rng.below(9).cast_signed() - 4;
            let any = self.rng.imm();
            let by = self.rng.pick(&[small, small, small, i32::MIN, i32::MAX, any]);
            let width = self.rng.pick(super::WIDTHS);
            near.extend([by, by.wrapping_neg()]);
            self.add_somehow(width, moved, spare, by);
        }
        let all = [reg, copy, other];
        for _ in 0..2 + self.rng.below(3) {
            let over = self.text.label();
            let (cond, width) = (self.rng.pick(super::CONDS), self.rng.pick(super::WIDTHS));
            let imm = self.rng.pick(&near).wrapping_add(self.rng.below(7).cast_signed() - 3);
            let on = self.rng.pick(&all);
            let src = if self.rng.one_in(5) { Operand::Reg(self.rng.pick(&all)) } else { Operand::Imm(imm) };
            self.text.branch(cond, width, on, src, over);
            let stored = self.rng.pick(&all);
            if self.rng.one_in(2) {
                self.text.store(Size::DW, Reg::R10, SLOT, Operand::Reg(stored));
            } else {
                self.text.mov(spare, stored);
            }
            self.text.place(over);
        }
        self.text.mov_imm(Reg::R0, 1);
        self.init(copy);
        self.init(other);
    }
}
