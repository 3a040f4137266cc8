//! Loops that end by themselves, in whose rounds a number is changed on one way and relied on along another, later.
//!
//! When such a loop is met again while it is not fully explored, nothing may seem to rely on the number yet. Bits of an
//! input decide which ways a run takes, other ones in each round. What is relied on is safe unless the program dares.

use brolga_abi::{HelperId, NativeKind};
use brolga_compiler::isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};

use super::Block;
use super::journeys::FARTHEST;
use crate::generate::text::Label;
use crate::generate::{Profile, SCALARS, SubprogKind};

/// What a loop works on: slots that lie next to each other, below those of other statements.
const SLOTS: i16 = -SCALARS - 72;
/// Where in them the numbers are that are relied on.
const NUMBERS: [i16; 2] = [0, 8];
/// Where the flags are that say when.
const FLAGS: [i16; 2] = [16, 24];
/// The bits that are still to decide.
const BITS: i16 = 32;

/// A loop that is being written.
#[derive(Clone, Copy)]
struct Round {
    /// Where its slots are.
    base: (Reg, i16),
    /// The next round.
    again: Label,
    /// After the last round.
    out: Label,
    /// Loops around it.
    nesting: u32,
}

impl Block<'_> {
    /// One loop or two in a row, and perhaps something that relies on what they left.
    pub fn rounds(&mut self) {
        if self.depth > 0 || self.loops >= 2 {
            return self.joined_access();
        }
        let base = (Reg::R10, SLOTS);
        for at in NUMBERS.into_iter().chain(FLAGS) {
            let first = if FLAGS.contains(&at) { 0 } else { self.number() };
            self.text.store(Size::DW, Reg::R10, SLOTS + at, Operand::Imm(first));
        }
        self.unknown(Reg::R1);
        self.text.store(Size::DW, Reg::R10, SLOTS + BITS, Operand::Reg(Reg::R1));
        for _ in 0..1 + self.rng.below(2) {
            self.loops += 1;
            if self.rng.one_in(3) && self.profile == Profile::Rounds {
                self.rounds_of_callback();
            } else {
                self.rounds_of_may_goto(base, 0);
            }
            if self.rng.one_in(2) {
                self.guarded(base, |block| block.rely(base));
            }
        }
    }

    /// A number that is safe to rely on, unless the program dares.
    fn number(&mut self) -> i32 {
        let safe = self.rng.pick(&[1, 1, 4, FARTHEST]);
        if self.dare() > 0 { safe + 4 * FARTHEST } else { safe }
    }

    fn load_slot(&mut self, reg: Reg, base: (Reg, i16), at: i16) {
        self.text.load(Size::DW, reg, base.0, base.1 + at);
    }

    fn store_slot(&mut self, base: (Reg, i16), at: i16, src: Operand) {
        self.text.store(Size::DW, base.0, base.1 + at, src);
    }

    fn rounds_of_may_goto(&mut self, base: (Reg, i16), nesting: u32) {
        let (again, out) = (self.text.label(), self.text.label());
        self.text.place(again);
        self.text.jump(Insn::MayGoto { off: 0 }, out);
        // Runs are to be short.
        self.load_slot(Reg::R1, base, BITS);
        self.text.branch(Cond::Eq, Width::W64, Reg::R1, Operand::Imm(0), out);
        self.text.alu(AluOp::Rsh, Reg::R1, Operand::Imm(1));
        self.store_slot(base, BITS, Operand::Reg(Reg::R1));
        self.text.mov_imm(Reg::R1, 0);
        let round = Round { base, again, out, nesting };
        for _ in 0..2 + self.rng.below(4) {
            self.part_of_round(round);
        }
        self.text.jump(Insn::Ja { off: 0 }, again);
        self.text.place(out);
    }

    fn rounds_of_callback(&mut self) {
        let Some(start) = self.new_subprog(SubprogKind::Rounds) else { return };
        self.unknown(Reg::R1);
        self.text.alu(AluOp::And, Reg::R1, Operand::Imm(15));
        self.text.function(Reg::R2, start);
        self.text.mov(Reg::R3, Reg::R10);
        self.text.add_imm(Reg::R3, SLOTS.into());
        self.text.mov_imm(Reg::R4, 0);
        self.call(HelperId::Loop);
        self.after_call();
    }

    /// The body of such a function: `r6` points to the slots.
    pub fn rounds_body(&mut self) {
        let (again, out, end) = (self.text.label(), self.text.label(), self.text.label());
        let round = Round { base: (Reg::R6, 0), again, out, nesting: 1 };
        self.decide(round.base, out);
        for _ in 0..2 + self.rng.below(4) {
            self.part_of_round(round);
        }
        self.text.place(again);
        self.text.mov_imm(Reg::R0, 0);
        self.text.jump(Insn::Ja { off: 0 }, end);
        self.text.place(out);
        self.text.mov_imm(Reg::R0, 1);
        self.text.place(end);
    }

    fn part_of_round(&mut self, round: Round) {
        let base = round.base;
        match self.rng.below(12) {
            0..=2 => self.guarded(base, |block| block.rely(base)),
            3..=5 => self.guarded(base, |block| block.change(base)),
            6 | 7 => self.guarded(base, |block| block.flag(base)),
            8 => {
                let to = if self.rng.one_in(3) { round.again } else { round.out };
                self.decide(base, to);
            }
            9 if round.nesting < 2 && self.loops < 3 => {
                self.loops += 1;
                self.guarded(base, |block| block.rounds_of_may_goto(base, round.nesting + 1));
            }
            _ => self.one_of_ways(base),
        }
    }

    /// Does something always, or where a bit or a flag says so.
    fn guarded(&mut self, base: (Reg, i16), what: impl FnOnce(&mut Self)) {
        let skip = self.text.label();
        match self.rng.below(5) {
            0 => {}
            1 | 2 => self.decide(base, skip),
            _ => {
                let flag = self.rng.pick(&FLAGS);
                self.load_slot(Reg::R2, base, flag);
                let cond = self.rng.pick(&[Cond::Ne, Cond::Ne, Cond::Eq]);
                let wanted = self.rng.below(2).cast_signed();
                self.text.branch(cond, Width::W64, Reg::R2, Operand::Imm(wanted), skip);
            }
        }
        what(self);
        self.text.place(skip);
    }

    /// Goes on or elsewhere, as the next bit says.
    fn decide(&mut self, base: (Reg, i16), elsewhere: Label) {
        self.load_slot(Reg::R1, base, BITS);
        self.text.mov(Reg::R2, Reg::R1);
        self.text.alu(AluOp::Rsh, Reg::R2, Operand::Imm(1));
        self.store_slot(base, BITS, Operand::Reg(Reg::R2));
        self.text.mov_imm(Reg::R2, 0);
        self.text.branch(Cond::Set, Width::W64, Reg::R1, Operand::Imm(1), elsewhere);
    }

    /// One of two ways, with a change on one of them, and a place where paths are compared behind it.
    fn one_of_ways(&mut self, base: (Reg, i16)) {
        let (other, joined) = (self.text.label(), self.text.label());
        self.decide(base, other);
        self.change(base);
        self.text.jump(Insn::Ja { off: 0 }, joined);
        self.text.place(other);
        if self.rng.one_in(2) {
            self.change(base);
        }
        self.text.place(joined);
        for reg in [Reg::R1, Reg::R2] {
            self.text.mov_imm(reg, 0);
        }
    }

    /// One number is changed.
    fn change(&mut self, base: (Reg, i16)) {
        let (one, other) = if self.rng.one_in(2) { (0, 8) } else { (8, 0) };
        if self.rng.one_in(3) {
            self.load_slot(Reg::R3, base, other);
            self.store_slot(base, one, Operand::Reg(Reg::R3));
        } else {
            let number = self.number();
            self.store_slot(base, one, Operand::Imm(number));
        }
    }

    fn flag(&mut self, base: (Reg, i16)) {
        let flag = self.rng.pick(&FLAGS);
        let value = self.rng.pick(&[0, 1, 1]);
        self.store_slot(base, flag, Operand::Imm(value));
    }

    /// Relies on a number: as an offset, as the length of what a helper may touch, or as a way that is never taken.
    fn rely(&mut self, base: (Reg, i16)) {
        let (index, pointer) = (Reg::R3, Reg::R4);
        let skip = self.text.label();
        let number = self.rng.pick(&NUMBERS);
        self.load_slot(index, base, number);
        // Numbers that change from round to round are forgotten; then only this makes it safe.
        if !self.rng.one_in(3) {
            self.text.branch(Cond::Gt, Width::W64, index, Operand::Imm(FARTHEST), skip);
            if self.rng.one_in(2) {
                self.text.branch(Cond::Eq, Width::W64, index, Operand::Imm(0), skip);
            }
        }
        match self.rng.below(4) {
            0 => {
                self.text.mov_imm(pointer, 60);
                self.text.alu(AluOp::Div, pointer, Operand::Reg(index));
            }
            1 => {
                let fine = self.text.label();
                self.text.branch(Cond::Le, Width::W64, index, Operand::Imm(FARTHEST), fine);
                self.text.load(Size::DW, pointer, index, 0);
                self.text.place(fine);
            }
            2 if self.kind == NativeKind::Xdp => self.use_length(index),
            _ => self.use_byte(index, pointer),
        }
        self.text.place(skip);
        for reg in [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5] {
            self.text.mov_imm(reg, 0);
        }
    }

    /// A helper reads so many bytes of the own stack.
    fn use_length(&mut self, length: Reg) {
        self.text.alu(AluOp::And, length, Operand::Imm(0x3c));
        self.text.mov(Reg::R4, length);
        self.text.mov(Reg::R3, Reg::R10);
        self.text.add_imm(Reg::R3, -FARTHEST);
        self.text.mov_imm(Reg::R1, 0);
        self.text.mov_imm(Reg::R2, 0);
        self.text.mov_imm(Reg::R5, 0);
        self.call(HelperId::CsumDiff);
        self.text.mov_imm(Reg::R0, 0);
    }
}
