//! Statements of random programs.
//!
//! A statement leaves every scalar register initialised and every pointer register as it was.

mod bounds;
mod journeys;
mod links;
mod proofs;
mod rounds;

use brolga_abi::{HelperId, NativeKind};
use brolga_compiler::isa::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, Operand, Reg, Size, Width,
};

use super::rng::Rng;
use super::text::{Label, Text};
use super::{
    ARRAY, GLOBAL, HASH, PERCPU_ARRAY, PERCPU_HASH, Profile, SCALARS, Subprog, SubprogKind, reload_packet,
};

const SIZES: &[Size] = &[Size::B, Size::H, Size::W, Size::DW];
const WIDTHS: &[Width] = &[Width::W32, Width::W64];
const OPS: &[AluOp] = &[
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::Sdiv,
    AluOp::Mod,
    AluOp::Smod,
    AluOp::Or,
    AluOp::And,
    AluOp::Xor,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Arsh,
    AluOp::Mov,
];
const CONDS: &[Cond] = &[
    Cond::Eq,
    Cond::Ne,
    Cond::Set,
    Cond::Gt,
    Cond::Ge,
    Cond::Lt,
    Cond::Le,
    Cond::Sgt,
    Cond::Sge,
    Cond::Slt,
    Cond::Sle,
];
/// Deepest nesting of branches.
const MAX_NESTING: u32 = 3;
/// Deepest chain of calls.
const MAX_DEPTH: u32 = 4;
/// Most subprograms.
const MAX_SUBPROGS: usize = 4;

/// Memory besides the stack: the packet, the buffer, or a part of the caller's stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    /// The register that points to it.
    pub base: Reg,
    /// Bytes that may be touched.
    pub len: u32,
    /// Whether accesses must be aligned.
    pub aligned: bool,
    /// Packets: the register that holds the end.
    pub end: Option<Reg>,
    /// Where to go when the packet is too short after it moved.
    pub out: Label,
}

/// The function being written.
pub(super) struct Block<'a> {
    pub rng: &'a mut Rng,
    pub text: &'a mut Text,
    /// Registers that hold scalars, `r0` to `r5` first.
    pub scalars: Vec<Reg>,
    pub region: Option<Region>,
    pub kind: NativeKind,
    pub subprogs: &'a mut Vec<Subprog>,
    pub depth: u32,
    /// Loops written so far: their bodies are run several times by a verifier.
    pub loops: u32,
    /// What the program is made of.
    pub profile: Profile,
    /// Whether it may do what is not safe on some path.
    pub daring: bool,
}

impl Block<'_> {
    fn scalar(&mut self) -> Reg {
        self.rng.pick(&self.scalars)
    }

    fn operand(&mut self) -> Operand {
        if self.rng.one_in(2) { Operand::Imm(self.rng.imm()) } else { Operand::Reg(self.scalar()) }
    }

    pub fn init_scalars(&mut self) {
        for reg in self.scalars.clone() {
            self.init(reg);
        }
    }

    /// Gives a register a value: from memory, or a constant.
    fn init(&mut self, reg: Reg) {
        match (self.rng.below(4), self.region) {
            (0, _) => self.text.mov_imm(reg, self.rng.imm()),
            (1, _) => self.text.load_imm64(reg, Imm64::Value(self.rng.value())),
            (_, Some(region)) => {
                let size = self.rng.pick(SIZES);
                let off = self.region_offset(region, size);
                self.text.load(size, reg, region.base, off);
            }
            (_, None) => {
                let (size, off) = self.stack_slot();
                self.text.load(size, reg, Reg::R10, off);
            }
        }
    }

    fn offset(&mut self, len: u32, size: Size) -> i16 {
        self.rng.below(len - size.bytes() + 1) as i16
    }

    /// An offset in the region; Linux wants accesses to the stack aligned, even a caller's.
    fn region_offset(&mut self, region: Region, size: Size) -> i16 {
        let off = self.offset(region.len, size);
        if region.aligned { off - off % size.bytes() as i16 } else { off }
    }

    /// A place among the scalars of the stack.
    fn stack_slot(&mut self) -> (Size, i16) {
        let size = self.rng.pick(SIZES);
        let off = self.offset(SCALARS as u32, size);
        (size, off - off % size.bytes() as i16 - SCALARS)
    }

    /// After a call `r1` to `r5` hold nothing.
    pub fn after_call(&mut self) {
        for reg in [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5] {
            self.init(reg);
        }
    }

    /// One statement; `nesting` is how many branches and loops it is in.
    pub fn statement(&mut self, nesting: u32) {
        if self.profile == Profile::Proofs && !self.rng.one_in(3) {
            return self.proof(nesting);
        }
        if self.profile == Profile::Rounds && self.rng.one_in(2) {
            return self.rounds();
        }
        match self.rng.below(24) {
            0..=6 => self.arithmetic(),
            7 | 8 => self.conversion(),
            9 => self.stack_access(),
            10 => self.region_access(),
            11 => self.variable_access(),
            12..=14 if nesting < MAX_NESTING => self.branch(nesting),
            15 if nesting == 0 && self.loops < 2 => self.counted_loop(),
            16 | 17 => self.map_value(),
            18 => self.map_change(),
            19 => self.atomic_on_stack(),
            20 => self.call_subprog(),
            21 => self.helper(),
            22 => self.global(),
            23 => self.spill_pointer(),
            _ => self.arithmetic(),
        }
    }

    fn arithmetic(&mut self) {
        let (op, width, dst) = (self.rng.pick(OPS), self.rng.pick(WIDTHS), self.scalar());
        let bits = match width {
            Width::W32 => 32,
            Width::W64 => 64,
        };
        let mut src = self.operand();
        if let Operand::Imm(imm) = &mut src {
            match op {
                AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => *imm = imm.rem_euclid(bits),
                AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod if *imm == 0 => *imm = -1,
                _ => {}
            }
        }
        self.text.push(Insn::Alu { op, width, dst, src });
    }

    fn conversion(&mut self) {
        let dst = self.scalar();
        let insn = match self.rng.below(3) {
            0 => Insn::Neg { width: self.rng.pick(WIDTHS), dst },
            1 => Insn::Endian {
                kind: self.rng.pick(&[Endian::ToLe, Endian::ToBe, Endian::Swap]),
                size: self.rng.pick(&[Size::H, Size::W, Size::DW]),
                dst,
            },
            _ => {
                let width = self.rng.pick(WIDTHS);
                let from = match width {
                    Width::W32 => self.rng.pick(&[Size::B, Size::H]),
                    Width::W64 => self.rng.pick(&[Size::B, Size::H, Size::W]),
                };
                Insn::MovSx { width, from, dst, src: self.scalar() }
            }
        };
        self.text.push(insn);
    }

    /// A load, perhaps sign-extending, or a store.
    fn access(&mut self, base: Reg, size: Size, off: i16) {
        if self.rng.one_in(2) {
            let signed = size != Size::DW && self.rng.one_in(2);
            let dst = self.scalar();
            self.text.push(Insn::Load { size, signed, dst, base, off });
        } else {
            let src = self.operand();
            self.text.store(size, base, off, src);
        }
    }

    fn stack_access(&mut self) {
        let (size, off) = self.stack_slot();
        if size == Size::DW && self.rng.one_in(4) && off % 8 == 0 {
            let reg = self.scalar();
            self.text.push(if self.rng.one_in(2) {
                Insn::LoadAcquire { size, dst: reg, base: Reg::R10, off }
            } else {
                Insn::StoreRelease { size, base: Reg::R10, off, src: reg }
            });
        } else {
            self.access(Reg::R10, size, off);
        }
    }

    fn region_access(&mut self) {
        let Some(region) = self.region else { return self.stack_access() };
        let size = self.rng.pick(SIZES);
        let off = self.region_offset(region, size);
        self.access(region.base, size, off);
    }

    /// An access at an offset that is known only as a range.
    fn variable_access(&mut self) {
        let Some(region) = self.region else { return self.stack_access() };
        let size = self.rng.pick(SIZES);
        // Two scalars that are `r1` to `r5`: one becomes the pointer.
        let (pointer, index) = self.rng.pick(&[(Reg::R1, Reg::R2), (Reg::R3, Reg::R4), (Reg::R5, Reg::R0)]);
        let mut mask = if region.len >= 32 { 15 } else { 7 };
        if region.aligned {
            mask &= !(size.bytes().cast_signed() - 1);
        }
        self.text.alu(AluOp::And, index, Operand::Imm(mask));
        self.text.mov(pointer, region.base);
        self.text.alu(AluOp::Add, pointer, Operand::Reg(index));
        if let Some(end) = region.end {
            let skip = self.text.label();
            let other = if index == Reg::R2 { Reg::R3 } else { Reg::R2 };
            self.text.mov(other, pointer);
            self.text.add_imm(other, 8);
            self.text.branch(Cond::Gt, Width::W64, other, Operand::Reg(end), skip);
            self.text.mov_imm(other, 5);
            self.access_not(pointer, size);
            self.text.place(skip);
            self.init(other);
        } else {
            self.access_not(pointer, size);
        }
        self.init(pointer);
    }

    /// An access through a scalar register that holds a pointer for now: it is neither loaded nor
    /// stored.
    fn access_not(&mut self, pointer: Reg, size: Size) {
        let scalars = self.scalars.clone();
        self.scalars.retain(|r| *r != pointer && *r != Reg::R2);
        self.access(pointer, size, 0);
        self.scalars = scalars;
    }

    fn branch(&mut self, nesting: u32) {
        let (cond, width) = (self.rng.pick(CONDS), self.rng.pick(WIDTHS));
        let (dst, src) = (self.scalar(), self.operand());
        let (otherwise, end) = (self.text.label(), self.text.label());
        self.text.branch(cond, width, dst, src, otherwise);
        for _ in 0..1 + self.rng.below(3) {
            self.statement(nesting + 1);
        }
        if self.rng.one_in(2) {
            let jump = if self.rng.one_in(3) { Insn::Gotol { off: 0 } } else { Insn::Ja { off: 0 } };
            self.text.jump(jump, end);
            self.text.place(otherwise);
            self.statement(nesting + 1);
        } else {
            self.text.place(otherwise);
        }
        self.text.place(end);
    }

    /// A loop that counts `r9` down; its body has no branches of its own.
    fn counted_loop(&mut self) {
        self.loops += 1;
        let (again, out) = (self.text.label(), self.text.label());
        self.text.mov_imm(Reg::R9, 1 + self.rng.below(8).cast_signed());
        self.text.place(again);
        for _ in 0..1 + self.rng.below(4) {
            match self.rng.below(5) {
                0 => self.stack_access(),
                1 => self.region_access(),
                _ => self.arithmetic(),
            }
        }
        if self.rng.one_in(4) {
            self.text.jump(Insn::MayGoto { off: 0 }, out);
        }
        self.text.add_imm(Reg::R9, -1);
        self.text.branch(Cond::Ne, Width::W64, Reg::R9, Operand::Imm(0), again);
        self.text.place(out);
    }

    /// `r1` = the map, `r2` = a key on the stack: a small number out of a scalar.
    fn map_and_key(&mut self, map: u32, mask: i32) {
        let key = self.scalar();
        self.text.alu(AluOp::And, key, Operand::Imm(mask));
        self.text.store(Size::W, Reg::R10, -4, Operand::Reg(key));
        self.text.load_imm64(Reg::R1, Imm64::MapIdx(map));
        self.text.mov(Reg::R2, Reg::R10);
        self.text.add_imm(Reg::R2, -4);
    }

    fn call(&mut self, helper: HelperId) {
        self.text.push(Insn::Call(CallTarget::Helper(helper.info().number)));
    }

    /// Looks a value up and works on it where it is there.
    fn map_value(&mut self) {
        let map = self.rng.pick(&[ARRAY, HASH, HASH, PERCPU_ARRAY, PERCPU_HASH]);
        let mask = self.rng.pick(&[1, 3, 7, 15]);
        self.map_and_key(map, mask);
        self.call(HelperId::MapLookupElem);
        self.after_call();
        let (missing, end) = (self.text.label(), self.text.label());
        self.text.branch(Cond::Eq, Width::W64, Reg::R0, Operand::Imm(0), missing);
        let scalars = self.scalars.clone();
        self.scalars.retain(|r| *r != Reg::R0);
        for _ in 0..1 + self.rng.below(3) {
            if self.rng.one_in(3) {
                self.atomic(Reg::R0, 0);
            } else {
                let size = self.rng.pick(SIZES);
                let off = self.offset(16, size);
                self.access(Reg::R0, size, off);
            }
        }
        self.scalars = scalars;
        self.init(Reg::R0);
        self.text.jump(Insn::Ja { off: 0 }, end);
        self.text.place(missing);
        self.text.mov_imm(Reg::R0, self.rng.imm());
        self.text.place(end);
    }

    /// Updates or deletes an element; `r0` says how it went.
    fn map_change(&mut self) {
        let map = self.rng.pick(&[ARRAY, HASH, HASH, PERCPU_ARRAY, PERCPU_HASH]);
        self.map_and_key(map, 15);
        if self.rng.one_in(3) {
            self.call(HelperId::MapDeleteElem);
        } else {
            self.text.mov(Reg::R3, Reg::R10);
            let value = -16 - 8 * self.rng.below(5).cast_signed();
            self.text.add_imm(Reg::R3, value);
            self.text.mov_imm(Reg::R4, self.rng.pick(&[0, 0, 0, 1, 2, 3]));
            self.call(HelperId::MapUpdateElem);
        }
        self.after_call();
    }

    /// An atomic operation on 16 bytes at `base + off`, which is aligned.
    fn atomic(&mut self, base: Reg, off: i16) {
        let op = match self.rng.below(6) {
            0 => AtomicOp::Add { fetch: self.rng.one_in(2) },
            1 => AtomicOp::Or { fetch: self.rng.one_in(2) },
            2 => AtomicOp::And { fetch: self.rng.one_in(2) },
            3 => AtomicOp::Xor { fetch: self.rng.one_in(2) },
            4 => AtomicOp::Xchg,
            // `r0` holds the base where that is no scalar.
            _ if base == Reg::R0 => AtomicOp::Xchg,
            _ => AtomicOp::Cmpxchg,
        };
        let size = self.rng.pick(&[Size::W, Size::DW]);
        let off = off + self.rng.below(16 / size.bytes()) as i16 * size.bytes() as i16;
        let src = self.scalar();
        self.text.push(Insn::Atomic { op, size, base, off, src });
    }

    fn atomic_on_stack(&mut self) {
        let off = -16 - 8 * self.rng.below(6) as i16;
        self.atomic(Reg::R10, off);
    }

    fn call_subprog(&mut self) {
        if self.depth + 1 >= MAX_DEPTH || self.subprogs.len() >= MAX_SUBPROGS {
            return self.arithmetic();
        }
        let pointer = self.rng.one_in(2);
        let start = self.text.label();
        self.subprogs.push(Subprog { start, pointer, depth: self.depth + 1, kind: SubprogKind::Static });
        if pointer {
            self.text.mov(Reg::R1, Reg::R10);
            self.text.add_imm(Reg::R1, -i32::from(SCALARS));
        }
        self.text.call(start);
        self.after_call();
    }

    fn helper(&mut self) {
        if self.kind != NativeKind::Xdp {
            self.call(HelperId::GetSmpProcessorId);
            return self.after_call();
        }
        match self.rng.below(4) {
            0 => self.call(HelperId::GetSmpProcessorId),
            1 => {
                self.text.mov(Reg::R1, Reg::R10);
                self.text.add_imm(Reg::R1, -32);
                self.text.mov_imm(Reg::R2, 4 * self.rng.below(5).cast_signed());
                self.text.mov(Reg::R3, Reg::R10);
                self.text.add_imm(Reg::R3, -48);
                self.text.mov_imm(Reg::R4, 4 * self.rng.below(5).cast_signed());
                self.text.mov_imm(Reg::R5, self.rng.imm());
                self.call(HelperId::CsumDiff);
            }
            2 => {
                let store = self.rng.one_in(2);
                self.text.mov(Reg::R1, Reg::R6);
                self.text.mov_imm(Reg::R2, self.rng.below(72).cast_signed());
                self.text.mov(Reg::R3, Reg::R10);
                self.text.add_imm(Reg::R3, -48);
                self.text.mov_imm(Reg::R4, 1 + self.rng.below(16).cast_signed());
                self.call(if store { HelperId::XdpStoreBytes } else { HelperId::XdpLoadBytes });
            }
            _ => return self.move_packet(),
        }
        self.after_call();
    }

    fn move_packet(&mut self) {
        let helper =
            self.rng.pick(&[HelperId::XdpAdjustHead, HelperId::XdpAdjustTail, HelperId::XdpAdjustMeta]);
        let delta = self.rng.pick(&[-300, -16, -8, -4, -1, 0, 1, 4, 8, 300]);
        self.text.mov(Reg::R1, Reg::R6);
        self.text.mov_imm(Reg::R2, delta);
        self.call(helper);
        let region = self.region.expect("programs that move packets have one");
        reload_packet(self.text, region.out);
        self.after_call();
    }

    fn global(&mut self) {
        let base = self.rng.pick(&[Reg::R1, Reg::R4]);
        let off = 8 * self.rng.below(3);
        self.text.load_imm64(base, Imm64::MapIdxValue { index: GLOBAL, off });
        let scalars = self.scalars.clone();
        self.scalars.retain(|r| *r != base);
        if self.rng.one_in(3) {
            self.atomic(base, 0);
        } else {
            let size = self.rng.pick(SIZES);
            let at = self.offset(32 - off, size);
            self.access(base, size, at);
        }
        self.scalars = scalars;
        self.init(base);
    }

    /// Spills a pointer, forgets it, and fills it again.
    fn spill_pointer(&mut self) {
        let Some(region) = self.region else { return self.stack_access() };
        let slot = -SCALARS - 8;
        self.text.store(Size::DW, Reg::R10, slot, Operand::Reg(region.base));
        for _ in 0..self.rng.below(3) {
            self.arithmetic();
        }
        self.text.mov_imm(region.base, 0);
        self.text.load(Size::DW, region.base, Reg::R10, slot);
    }

    /// Mixes all scalars and the stack into `r0`.
    pub fn mix(&mut self) {
        for reg in self.scalars.clone().into_iter().skip(1) {
            self.text.alu(AluOp::Mul, Reg::R0, Operand::Imm(31));
            self.text.alu(AluOp::Add, Reg::R0, Operand::Reg(reg));
        }
        for slot in 1..=SCALARS / 8 {
            self.text.load(Size::DW, Reg::R1, Reg::R10, -8 * slot);
            self.text.alu(AluOp::Mul, Reg::R0, Operand::Imm(31));
            self.text.alu(AluOp::Add, Reg::R0, Operand::Reg(Reg::R1));
        }
    }
}
