//! Statements in which what matters travels: through frames, callbacks, and slots that hold one thing or another.
//!
//! A verifier must remember which of it a proof relied on, wherever it was on the way. All of it is safe for every input.

use brolga_abi::HelperId;
use brolga_compiler::isa::{AluOp, Cond, Imm64, Insn, Operand, Reg, Size, Width};

use super::{Block, CONDS, SIZES, WIDTHS};
use crate::generate::{GLOBAL, SCALARS, SubprogKind};

/// The greatest offset that travels.
pub(super) const FARTHEST: i32 = 12;
/// A function's own slot, below those of other statements.
const SLOT: i16 = -SCALARS - 32;

impl Block<'_> {
    /// One statement.
    pub fn journey(&mut self) {
        match self.rng.below(7) {
            6 => self.linked_or_not(),
            0 => self.handed_index(),
            1 => self.written_index(),
            2 => self.counted_rounds(),
            3 => self.pointer_or_number(),
            4 => self.packet_or_less(),
            _ => self.either_memory(),
        }
    }

    /// Puts one of two offsets into a register, by a number that the input decides. `deciding` is lost.
    fn one_of_two(&mut self, index: Reg, deciding: Reg) {
        let joined = self.text.label();
        let offsets = [0, 1, 4, FARTHEST - 1, FARTHEST];
        let (first, second) = (self.rng.pick(&offsets), self.rng.pick(&offsets));
        self.unknown(deciding);
        self.text.mov_imm(index, first);
        let (cond, width) = (self.rng.pick(CONDS), self.rng.pick(WIDTHS));
        self.text.branch(cond, width, deciding, Operand::Imm(self.rng.imm()), joined);
        let too_far = i32::try_from(self.dare()).expect("small");
        self.text.mov_imm(index, second + 2 * too_far);
        self.text.place(joined);
        self.idle(deciding);
    }

    /// A number is a copy of another on one path; on the other path neither is used, or one dares to.
    fn linked_or_not(&mut self) {
        let (index, copy) = self.scratch();
        let pointer = self.another(index, copy);
        let (apart, joined, skip) = (self.text.label(), self.text.label(), self.text.label());
        self.unknown(index);
        self.unknown(copy);
        self.unknown(pointer);
        self.text.branch(self.rng.pick(CONDS), Width::W64, pointer, Operand::Imm(self.rng.imm()), apart);
        self.text.mov(copy, index);
        self.text.jump(Insn::Ja { off: 0 }, joined);
        self.text.place(apart);
        if self.dare() == 0 {
            self.text.mov_imm(copy, 1);
        } else {
            self.text.add_imm(copy, 0);
        }
        self.text.place(joined);
        self.idle(pointer);
        self.text.branch(Cond::Gt, Width::W64, index, Operand::Imm(FARTHEST), skip);
        self.use_byte(copy, pointer);
        self.text.place(skip);
        self.init(pointer);
    }

    /// So many instructions that a checkpoint may be made, and a branch at which states are compared.
    fn idle(&mut self, reg: Reg) {
        self.text.mov_imm(reg, 0);
        for _ in 0..self.rng.below(9) {
            self.text.add_imm(reg, 1);
        }
        let on = self.text.label();
        self.text.branch(Cond::Eq, Width::W32, reg, Operand::Imm(self.rng.imm()), on);
        self.text.place(on);
    }

    /// Reads or writes a byte of the own stack, `index` below where `r10 - 1` is, or of global data.
    pub(super) fn use_byte(&mut self, index: Reg, pointer: Reg) {
        if self.rng.one_in(2) {
            self.text.mov(pointer, Reg::R10);
            self.text.add_imm(pointer, -1 - FARTHEST);
        } else {
            let off = 31 - FARTHEST.cast_unsigned();
            self.text.load_imm64(pointer, Imm64::MapIdxValue { index: GLOBAL, off });
        }
        self.text.alu(AluOp::Add, pointer, Operand::Reg(index));
        self.access_at(pointer, Size::B, 0, &[pointer, index]);
        self.init(pointer);
    }

    /// A caller puts an offset into its stack; the function that is handed a pointer to it uses it.
    fn handed_index(&mut self) {
        let Some(start) = self.new_subprog(SubprogKind::Reader) else { return self.pointer_or_number() };
        let (index, deciding) = self.scratch();
        self.one_of_two(index, deciding);
        self.text.store(Size::DW, Reg::R10, -SCALARS, Operand::Reg(index));
        self.text.mov(Reg::R1, Reg::R10);
        self.text.add_imm(Reg::R1, -i32::from(SCALARS));
        self.text.call(start);
        self.after_call();
    }

    /// The body of such a function: `r6` points to the offset.
    pub fn reader_body(&mut self) {
        if self.rng.one_in(2) {
            self.idle(Reg::R2);
        }
        self.text.load(Size::DW, Reg::R3, Reg::R6, 0);
        self.use_byte(Reg::R3, Reg::R2);
    }

    /// A function writes an offset into its caller's stack, which uses it.
    fn written_index(&mut self) {
        let Some(start) = self.new_subprog(SubprogKind::Writer) else { return self.packet_or_less() };
        self.text.mov(Reg::R1, Reg::R10);
        self.text.add_imm(Reg::R1, -i32::from(SCALARS));
        self.text.call(start);
        self.after_call();
        let (index, pointer) = self.scratch();
        if self.rng.one_in(2) {
            self.idle(index);
        }
        self.text.load(Size::DW, index, Reg::R10, -SCALARS + 8);
        self.use_byte(index, pointer);
    }

    /// The body of such a function: `r6` points into the caller's stack.
    pub fn writer_body(&mut self) {
        self.one_of_two(Reg::R3, Reg::R2);
        self.text.store(Size::DW, Reg::R6, 8, Operand::Reg(Reg::R3));
    }

    /// A callback counts in its caller's stack; the count is an offset.
    fn counted_rounds(&mut self) {
        if self.depth > 0 || self.loops >= 2 {
            return self.either_memory();
        }
        let Some(start) = self.new_subprog(SubprogKind::Counter) else { return self.either_memory() };
        self.loops += 1;
        self.text.store(Size::DW, Reg::R10, -SCALARS, Operand::Imm(self.rng.below(3).cast_signed()));
        self.unknown(Reg::R1);
        self.text.alu(AluOp::And, Reg::R1, Operand::Imm(7));
        self.text.function(Reg::R2, start);
        self.text.mov(Reg::R3, Reg::R10);
        self.text.add_imm(Reg::R3, -i32::from(SCALARS));
        self.text.mov_imm(Reg::R4, 0);
        self.call(HelperId::Loop);
        self.after_call();
        let (index, pointer) = self.scratch();
        let skip = self.text.label();
        self.text.load(Size::DW, index, Reg::R10, -SCALARS);
        self.text.branch(Cond::Gt, Width::W64, index, Operand::Imm(FARTHEST), skip);
        self.use_byte(index, pointer);
        self.text.place(skip);
        self.init(pointer);
    }

    /// The body of such a function: `r6` points to the count.
    pub fn counter_body(&mut self) {
        let stop = self.text.label();
        self.text.mov_imm(Reg::R0, 1);
        self.text.load(Size::DW, Reg::R3, Reg::R6, 0);
        self.text.branch(Cond::Gt, Width::W64, Reg::R3, Operand::Imm(FARTHEST - 1), stop);
        self.text.add_imm(Reg::R3, 1);
        self.text.store(Size::DW, Reg::R6, 0, Operand::Reg(Reg::R3));
        if self.rng.one_in(2) {
            self.use_byte(Reg::R3, Reg::R2);
        }
        self.text.mov_imm(Reg::R0, 0);
        self.text.place(stop);
    }

    /// A slot holds a pointer on one path and a number on the other; a flag says which.
    fn pointer_or_number(&mut self) {
        let (flag, pointer) = self.scratch();
        let (number, joined, skip) = (self.text.label(), self.text.label(), self.text.label());
        let deciding = self.another(flag, pointer);
        self.unknown(deciding);
        self.text.mov(pointer, Reg::R10);
        self.text.add_imm(pointer, -16);
        let other = if self.dare() == 0 { self.rng.pick(&[0, 1]) } else { 7 };
        self.text.mov_imm(flag, other);
        self.text.branch(self.rng.pick(CONDS), Width::W64, deciding, Operand::Imm(self.rng.imm()), number);
        self.text.store(Size::DW, Reg::R10, SLOT, Operand::Reg(pointer));
        if self.dare() == 0 {
            self.text.mov_imm(flag, 7);
        }
        self.text.jump(Insn::Ja { off: 0 }, joined);
        self.text.place(number);
        self.text.store(Size::DW, Reg::R10, SLOT, Operand::Imm(self.rng.pick(&[0, 5])));
        self.text.place(joined);
        self.init(pointer);
        self.idle(deciding);
        self.text.branch(Cond::Ne, Width::W64, flag, Operand::Imm(7), skip);
        self.text.load(Size::DW, pointer, Reg::R10, SLOT);
        let size = self.rng.pick(SIZES);
        self.access_at(pointer, size, 8, &[pointer, flag]);
        self.text.place(skip);
        self.text.store(Size::DW, Reg::R10, SLOT, Operand::Imm(0));
        self.init(pointer);
    }

    /// More of the packet is known to exist on one path than on the other; a flag says which.
    fn packet_or_less(&mut self) {
        let Some((region, end)) = self.region.and_then(|region| Some((region, region.end?))) else {
            return self.either_memory();
        };
        let (flag, pointer) = self.scratch();
        let (less, skip) = (self.text.label(), self.text.label());
        let more = region.len.cast_signed() + 8;
        self.text.mov(pointer, region.base);
        self.text.add_imm(pointer, more);
        let other = i32::from(self.dare() != 0);
        self.text.mov_imm(flag, other);
        self.text.branch(Cond::Gt, Width::W64, pointer, Operand::Reg(end), less);
        self.text.mov_imm(flag, 1);
        self.text.place(less);
        self.init(pointer);
        let deciding = self.another(flag, pointer);
        self.idle(deciding);
        let (cond, width) = self.rng.pick(&[(Cond::Ne, Width::W32), (Cond::Slt, Width::W64)]);
        self.text.branch(cond, width, flag, Operand::Imm(1), skip);
        self.access_at(region.base, Size::DW, region.len as i16, &[]);
        self.text.place(skip);
        self.init(flag);
    }

    /// One access through pointers to different memory, at one of two offsets.
    fn either_memory(&mut self) {
        let (index, pointer) = self.scratch();
        let other = self.text.label();
        let deciding = self.another(index, pointer);
        self.one_of_two(index, deciding);
        self.unknown(deciding);
        self.text.mov(pointer, Reg::R10);
        self.text.add_imm(pointer, -1 - FARTHEST);
        self.text.branch(self.rng.pick(CONDS), Width::W64, deciding, Operand::Imm(self.rng.imm()), other);
        let off = 31 - FARTHEST.cast_unsigned();
        self.text.load_imm64(pointer, Imm64::MapIdxValue { index: GLOBAL, off });
        self.text.place(other);
        self.idle(deciding);
        self.text.alu(AluOp::Add, pointer, Operand::Reg(index));
        self.access_at(pointer, Size::B, 0, &[pointer, index]);
        self.init(pointer);
    }
}
