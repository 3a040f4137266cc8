//! Statements that make a verifier think: a number becomes bounded somehow, travels, and is used as an offset.
//!
//! What is written here is safe for every input, and most of it is what Linux's verifier can follow. Bounds are tracked while
//! writing, so that accesses fit exactly; a verifier that takes a bound for tighter than it is goes wrong at the edge.

use brolga_abi::HelperId;
use brolga_compiler::isa::{AluOp, Cond, Imm64, Insn, Operand, Reg, Size, Width};

use super::{Block, SIZES};
use crate::generate::text::Label;
use crate::generate::{ARRAY, GLOBAL, HASH, PERCPU_ARRAY, SCALARS, Subprog, SubprogKind};

/// Registers that may hold anything for a while.
const SCRATCH: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
/// Slots of a function's own: below the scalars and the spilled pointers.
pub(super) const SLOT: i16 = -SCALARS - 16;

impl Block<'_> {
    /// One statement.
    pub fn proof(&mut self, nesting: u32) {
        match self.rng.below(22) {
            0..=3 => self.bounded_access(),
            4 | 5 => self.joined_access(),
            6 | 7 => self.probe(),
            8 => self.linked_access(),
            9 => self.spilled_access(),
            10 => self.index_loop(nesting),
            11 => self.nullable_copies(),
            12 => self.guarded_later(),
            13 => self.call_back(nesting),
            14 => self.call_global(),
            15 => self.returned_index(),
            16 => self.moved_copies(),
            _ => self.journey(),
        }
    }

    /// Gives a register a number that depends on the input, as a rule.
    pub(super) fn unknown(&mut self, reg: Reg) {
        match self.region {
            Some(region) if !self.rng.one_in(8) => {
                let size = self.rng.pick(SIZES);
                let off = self.region_offset(region, size);
                let signed = size != Size::DW && self.rng.one_in(4);
                self.text.push(Insn::Load { size, signed, dst: reg, base: region.base, off });
            }
            _ => self.init(reg),
        }
    }

    /// Now and then, in programs that dare, how far beyond what is safe to go: a verifier must refuse them.
    pub(super) fn dare(&mut self) -> i64 {
        if self.daring && self.rng.one_in(4) { 1 + i64::from(self.rng.below(8)) } else { 0 }
    }

    /// Two scratch registers, one for a number and one for a pointer.
    pub(super) fn scratch(&mut self) -> (Reg, Reg) {
        let first = self.rng.below(5) as usize;
        let second = (first + 1 + self.rng.below(4) as usize) % 5;
        (SCRATCH[first], SCRATCH[second])
    }

    /// The third of three registers.
    pub(super) fn another(&self, a: Reg, b: Reg) -> Reg {
        SCRATCH.into_iter().find(|r| *r != a && *r != b).expect("there are five")
    }

    pub(super) fn alu32(&mut self, op: AluOp, dst: Reg, src: Operand) {
        self.text.push(Insn::Alu { op, width: Width::W32, dst, src });
    }

    pub(super) fn branch_imm(&mut self, cond: Cond, width: Width, dst: Reg, imm: i64, to: Label) {
        let imm = i32::try_from(imm).expect("bounds are small");
        self.text.branch(cond, width, dst, Operand::Imm(imm), to);
    }

    /// Uses a number in 0..=hi as an offset, exactly at the edge of what is there.
    pub(super) fn use_index(&mut self, index: Reg, pointer: Reg, hi: i64, skip: Label) {
        let size = self.rng.pick(SIZES);
        let hi = (hi - self.dare()).max(0);
        let hi = i32::try_from(hi).expect("bounds are small");
        let end = hi + size.bytes().cast_signed();
        let fits = |len: u32| end <= len.cast_signed();
        match self.rng.below(4) {
            0 if fits(16) => {
                let map = self.rng.pick(&[ARRAY, HASH, PERCPU_ARRAY]);
                self.text.store(Size::W, Reg::R10, SLOT, Operand::Imm(self.rng.below(5).cast_signed()));
                // The call destroys it.
                self.text.store(Size::DW, Reg::R10, SLOT - 8, Operand::Reg(index));
                self.text.load_imm64(Reg::R1, Imm64::MapIdx(map));
                self.text.mov(Reg::R2, Reg::R10);
                self.text.add_imm(Reg::R2, SLOT.into());
                self.call(HelperId::MapLookupElem);
                self.after_call();
                self.text.load(Size::DW, index, Reg::R10, SLOT - 8);
                self.text.mov(pointer, Reg::R0);
                let null = self.text.label();
                self.text.branch(Cond::Eq, Width::W64, Reg::R0, Operand::Imm(0), null);
                self.moved_access(index, pointer, size, 16 - end);
                self.text.place(null);
                self.text.mov_imm(Reg::R0, 3);
            }
            1 if fits(32) => {
                self.text.load_imm64(pointer, Imm64::MapIdxValue { index: GLOBAL, off: 0 });
                self.moved_access(index, pointer, size, 32 - end);
            }
            2 if hi < i32::from(SCALARS) => {
                self.text.mov(pointer, Reg::R10);
                self.text.add_imm(pointer, -1 - hi);
                self.moved_access(index, pointer, Size::B, 0);
            }
            _ => self.region_index(index, pointer, hi, skip),
        }
    }

    fn region_index(&mut self, index: Reg, pointer: Reg, hi: i32, skip: Label) {
        let Some(region) = self.region else { return };
        let size = if region.aligned { Size::B } else { self.rng.pick(SIZES) };
        let end = hi + size.bytes().cast_signed();
        self.text.mov(pointer, region.base);
        let Some(packet_end) = region.end else {
            if end <= region.len.cast_signed() {
                self.moved_access(index, pointer, size, region.len.cast_signed() - end);
            }
            return;
        };
        self.text.alu(AluOp::Add, pointer, Operand::Reg(index));
        let other = self.another(index, pointer);
        self.text.mov(other, pointer);
        let bytes = size.bytes().cast_signed();
        self.text.add_imm(other, bytes);
        let (past, ends) = (Operand::Reg(packet_end), Operand::Reg(other));
        match self.rng.below(4) {
            0 => self.text.branch(Cond::Gt, Width::W64, other, past, skip),
            1 => self.text.branch(Cond::Lt, Width::W64, packet_end, ends, skip),
            2 => {
                let fine = self.text.label();
                self.text.branch(Cond::Le, Width::W64, other, past, fine);
                self.text.jump(Insn::Ja { off: 0 }, skip);
                self.text.place(fine);
            }
            _ => {
                let fine = self.text.label();
                self.text.branch(Cond::Ge, Width::W64, packet_end, ends, fine);
                self.text.jump(Insn::Ja { off: 0 }, skip);
                self.text.place(fine);
            }
        }
        self.text.mov_imm(other, 9);
        self.access_at(pointer, size, 0, &[pointer, index]);
    }

    /// `pointer += index`, and an access that may go `room` bytes further.
    fn moved_access(&mut self, index: Reg, pointer: Reg, size: Size, room: i32) {
        self.text.alu(AluOp::Add, pointer, Operand::Reg(index));
        let off = i16::try_from(room).unwrap_or(0);
        self.access_at(pointer, size, off, &[pointer, index, Reg::R0]);
    }

    /// An access that neither loads into nor stores from some registers.
    pub(super) fn access_at(&mut self, base: Reg, size: Size, off: i16, but: &[Reg]) {
        let scalars = self.scalars.clone();
        self.scalars.retain(|r| !but.contains(r));
        self.access(base, size, off);
        self.scalars = scalars;
    }

    /// Where an access was skipped or made: all registers that it used are numbers again.
    pub(super) fn leave_access(&mut self, index: Reg, pointer: Reg, skip: Label) {
        self.text.place(skip);
        let other = self.another(index, pointer);
        self.init(pointer);
        self.init(other);
    }

    /// A limit of offsets.
    pub(super) fn limit(&mut self) -> i64 {
        i64::from(self.rng.pick(&[1, 3, 7, 8, 12, 15, 24, 31, 40]))
    }

    fn bounded_access(&mut self) {
        let (index, pointer) = self.scratch();
        let skip = self.text.label();
        let limit = self.limit();
        self.unknown(index);
        let mut known = self.bound(index, limit, skip);
        for _ in 0..self.rng.below(3) {
            known = self.adorn(index, known, limit);
        }
        self.use_index(index, pointer, known.hi, skip);
        self.leave_access(index, pointer, skip);
    }

    /// Paths come together with different numbers, which count later.
    pub(super) fn joined_access(&mut self) {
        let (index, pointer) = self.scratch();
        let (skip, other, joined) = (self.text.label(), self.text.label(), self.text.label());
        let limit = self.limit();
        let numbers = [0, 1, limit / 2, limit, limit];
        let (a, b) = (self.rng.pick(&numbers), self.rng.pick(&numbers));
        let deciding = self.another(index, pointer);
        self.unknown(deciding);
        let imm = |x: i64| i32::try_from(x).expect("bounds are small");
        let (cond, width) = (self.rng.pick(super::CONDS), self.rng.pick(super::WIDTHS));
        let (first, second) = if self.rng.one_in(2) { (a, b) } else { (b, a) };
        self.text.mov_imm(index, imm(first));
        self.text.branch(cond, width, deciding, Operand::Imm(self.rng.imm()), other);
        self.text.mov_imm(index, imm(second));
        if self.rng.one_in(3) {
            self.text.jump(Insn::Ja { off: 0 }, joined);
            self.text.place(other);
            self.text.add_imm(index, 0);
        } else {
            self.text.place(other);
        }
        self.text.place(joined);
        self.init(deciding);
        // Long enough for a checkpoint.
        for _ in 0..self.rng.below(8) {
            self.text.add_imm(deciding, 1);
        }
        let again = self.text.label();
        self.text.branch(Cond::Eq, Width::W64, deciding, Operand::Imm(self.rng.imm()), again);
        self.text.place(again);
        match self.rng.below(4) {
            0 => {
                self.text.store(Size::DW, Reg::R10, SLOT, Operand::Reg(index));
                self.unknown(index);
                self.text.load(Size::DW, index, Reg::R10, SLOT);
            }
            1 => {
                self.text.mov(pointer, index);
                self.unknown(index);
                self.text.mov(index, pointer);
            }
            2 => self.alu32(AluOp::Mov, index, Operand::Reg(index)),
            _ => {}
        }
        self.use_index(index, pointer, first.max(second), skip);
        self.leave_access(index, pointer, skip);
    }

    /// Comparisons near the bounds of a number: some ways are impossible.
    fn probe(&mut self) {
        let (reg, copy) = self.scratch();
        let skip = self.text.label();
        let limit = self.limit();
        self.unknown(reg);
        let mut known = self.bound(reg, limit, skip);
        for _ in 0..self.rng.below(3) {
            known = self.adorn(reg, known, 4 * limit);
        }
        self.text.mov(copy, reg);
        if self.rng.one_in(2) {
            self.text.add_imm(copy, self.rng.below(9).cast_signed() - 4);
        }
        for _ in 0..1 + self.rng.below(3) {
            let near = self.rng.pick(&[known.lo, known.hi, (known.lo + known.hi) / 2]);
            let imm = near + i64::from(self.rng.below(5)) - 2;
            let (cond, width) = (self.rng.pick(super::CONDS), self.rng.pick(super::WIDTHS));
            let on = self.rng.pick(&[reg, reg, copy]);
            let over = self.text.label();
            self.branch_imm(cond, width, on, imm, over);
            let seen = self.another(reg, copy);
            self.text.add_imm(seen, 1);
            self.text.place(over);
        }
        self.text.place(skip);
        self.init(copy);
    }

    /// A number is spilled, bounded or not, and filled again.
    fn spilled_access(&mut self) {
        let (index, pointer) = self.scratch();
        let skip = self.text.label();
        let limit = self.limit();
        self.unknown(index);
        let size = self.rng.pick(SIZES);
        let wide = size == Size::DW;
        let before = self.rng.one_in(2);
        if !wide && !before {
            self.text.alu(AluOp::And, index, Operand::Imm(0x7f));
        }
        let mut hi = limit;
        if before {
            hi = self.bound(index, limit, skip).hi;
        }
        self.text.store(size, Reg::R10, SLOT, Operand::Reg(index));
        if !before {
            // Both are narrowed together.
            self.branch_imm(Cond::Gt, Width::W64, index, limit, skip);
        }
        self.unknown(index);
        self.text.load(size, index, Reg::R10, SLOT);
        self.use_index(index, pointer, hi, skip);
        self.leave_access(index, pointer, skip);
    }

    /// A loop whose counter is an offset.
    fn index_loop(&mut self, nesting: u32) {
        if nesting > 0 || self.loops >= 2 {
            return self.probe();
        }
        self.loops += 1;
        let (again, out) = (self.text.label(), self.text.label());
        let limit = 1 + i64::from(self.rng.below(5));
        let (bound, pointer) = self.scratch();
        let variable = self.rng.one_in(2);
        self.text.store(Size::DW, Reg::R10, SLOT, Operand::Imm(i32::try_from(limit).expect("small")));
        if variable {
            self.unknown(bound);
            self.text.alu(AluOp::And, bound, Operand::Imm(3));
            self.text.store(Size::DW, Reg::R10, SLOT, Operand::Reg(bound));
        }
        self.text.mov_imm(Reg::R9, 0);
        self.text.place(again);
        if self.rng.one_in(4) {
            self.text.jump(Insn::MayGoto { off: 0 }, out);
        }
        self.text.load(Size::DW, bound, Reg::R10, SLOT);
        self.text.branch(Cond::Ge, Width::W64, Reg::R9, Operand::Reg(bound), out);
        self.text.mov(pointer, Reg::R10);
        self.text.add_imm(pointer, -40);
        self.text.alu(AluOp::Add, pointer, Operand::Reg(Reg::R9));
        self.access_at(pointer, Size::B, 0, &[pointer, bound]);
        self.text.add_imm(Reg::R9, 1);
        self.text.jump(Insn::Ja { off: 0 }, again);
        self.text.place(out);
        self.init(bound);
        self.init(pointer);
    }

    /// Several copies of a pointer that may be null: one is looked at, another is used.
    fn nullable_copies(&mut self) {
        let map = self.rng.pick(&[ARRAY, HASH, PERCPU_ARRAY]);
        self.map_and_key(map, 7);
        self.call(HelperId::MapLookupElem);
        self.after_call();
        let (copy, other) = self.scratch();
        self.text.mov(copy, Reg::R0);
        self.text.store(Size::DW, Reg::R10, SLOT, Operand::Reg(Reg::R0));
        let (null, end) = (self.text.label(), self.text.label());
        let asked = self.rng.pick(&[Reg::R0, copy]);
        self.text.branch(Cond::Eq, Width::W64, asked, Operand::Imm(0), null);
        let used = match self.rng.below(3) {
            0 => Reg::R0,
            1 => copy,
            _ => {
                self.text.load(Size::DW, other, Reg::R10, SLOT);
                other
            }
        };
        let size = self.rng.pick(SIZES);
        let off = 16 - size.bytes() as i16;
        self.access_at(used, size, off, &[copy, other, Reg::R0]);
        self.text.jump(Insn::Ja { off: 0 }, end);
        self.text.place(null);
        // It is the number zero now.
        self.text.alu(AluOp::Add, copy, Operand::Imm(5));
        self.text.place(end);
        self.text.store(Size::DW, Reg::R10, SLOT, Operand::Imm(0));
        self.text.mov_imm(Reg::R0, 11);
        self.init(copy);
        self.init(other);
    }

    /// One path bounds a number, the other does not; a flag tells them apart later.
    fn guarded_later(&mut self) {
        let (index, flag) = self.scratch();
        let pointer = self.another(index, flag);
        let (skip, free, joined) = (self.text.label(), self.text.label(), self.text.label());
        let limit = self.limit();
        self.unknown(index);
        self.text.mov_imm(flag, 0);
        self.branch_imm(Cond::Gt, Width::W64, index, limit, free);
        self.text.mov_imm(flag, 1);
        self.text.jump(Insn::Ja { off: 0 }, joined);
        self.text.place(free);
        if self.dare() != 0 {
            self.text.mov_imm(flag, 1);
        }
        if self.rng.one_in(2) {
            self.text.mov_imm(index, self.rng.imm());
        }
        self.text.place(joined);
        for _ in 0..self.rng.below(8) {
            self.text.add_imm(pointer, 1);
        }
        let over = self.text.label();
        self.text.branch(Cond::Sgt, Width::W64, pointer, Operand::Imm(self.rng.imm()), over);
        self.text.place(over);
        let width = self.rng.pick(super::WIDTHS);
        self.text.branch(Cond::Ne, width, flag, Operand::Imm(1), skip);
        self.use_index(index, pointer, limit, skip);
        self.leave_access(index, pointer, skip);
    }

    /// A static function returns what becomes an offset.
    fn returned_index(&mut self) {
        let start = match self.new_subprog(SubprogKind::Index) {
            Some(start) => start,
            None => return self.joined_access(),
        };
        self.unknown(Reg::R1);
        self.text.call(start);
        self.after_call();
        let (index, pointer) = self.scratch();
        let skip = self.text.label();
        self.text.mov(index, Reg::R0);
        self.use_index(index, pointer, INDEX_MAX, skip);
        self.leave_access(index, pointer, skip);
        self.text.mov_imm(Reg::R0, 2);
    }

    /// The body of such a function.
    pub fn index_body(&mut self) {
        let done = self.text.label();
        self.text.mov(Reg::R7, Reg::R1);
        let small = self.rng.below(8).cast_signed();
        self.text.mov_imm(Reg::R0, small);
        let (cond, width) = (self.rng.pick(super::CONDS), self.rng.pick(super::WIDTHS));
        self.text.branch(cond, width, Reg::R7, Operand::Imm(self.rng.imm()), done);
        if self.rng.one_in(2) {
            self.text.mov_imm(Reg::R0, i32::try_from(INDEX_MAX).expect("small"));
        } else {
            self.text.mov(Reg::R0, Reg::R7);
            let zero = self.text.label();
            self.text.branch(Cond::Eq, Width::W64, Reg::R7, Operand::Imm(77), zero);
            self.bound(Reg::R0, INDEX_MAX, zero);
            self.text.jump(Insn::Ja { off: 0 }, done);
            self.text.place(zero);
            self.text.mov_imm(Reg::R0, 0);
        }
        self.text.place(done);
    }

    pub(super) fn new_subprog(&mut self, kind: SubprogKind) -> Option<Label> {
        if self.depth + 1 >= super::MAX_DEPTH || self.subprogs.len() >= super::MAX_SUBPROGS {
            return None;
        }
        let start = self.text.label();
        let pointer = kind != SubprogKind::Index;
        self.subprogs.push(Subprog { start, pointer, depth: self.depth + 1, kind });
        Some(start)
    }

    /// `bpf_loop` over a few rounds.
    fn call_back(&mut self, nesting: u32) {
        if nesting > 0 || self.depth > 0 || self.loops >= 2 {
            return self.spilled_access();
        }
        let Some(start) = self.new_subprog(SubprogKind::Callback) else { return self.spilled_access() };
        self.loops += 1;
        let rounds = 1 + self.rng.below(4).cast_signed();
        if self.rng.one_in(2) {
            self.unknown(Reg::R1);
            self.text.alu(AluOp::And, Reg::R1, Operand::Imm(3));
        } else {
            self.text.mov_imm(Reg::R1, rounds);
        }
        self.text.function(Reg::R2, start);
        self.text.mov(Reg::R3, Reg::R10);
        self.text.add_imm(Reg::R3, -i32::from(SCALARS));
        self.text.mov_imm(Reg::R4, 0);
        self.call(HelperId::Loop);
        self.after_call();
    }

    /// A global function, verified apart.
    fn call_global(&mut self) {
        let Some(start) = self.new_subprog(SubprogKind::Global) else { return self.linked_access() };
        self.text.mov(Reg::R1, Reg::R10);
        self.text.add_imm(Reg::R1, -i32::from(SCALARS));
        self.unknown(Reg::R2);
        self.text.call(start);
        self.after_call();
    }
}

/// The greatest offset that [`Block::index_body`] returns.
const INDEX_MAX: i64 = 12;
