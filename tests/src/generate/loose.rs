//! Loose programs: instructions picked with a rough idea of what registers hold, for comparing verdicts.
//!
//! Nobody promises that such a program is safe: about half are not. Most instructions fit what came before along the
//! straight path; joins are not looked at, and now and then any register is taken. Jumps lead forward. What the
//! programs would compute does not matter, since they are not run.

use brolga_abi::{HelperId, ProgramKind};
use brolga_compiler::isa::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, Operand, Reg, Size, Width,
};
use brolga_compiler::program::Program;

use super::rng::Rng;
use super::text::Text;
use super::{ARRAY, HASH, maps};

/// What a register holds, as far as the generator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    Number,
    /// A number below 32, and a multiple of it.
    Small(i32),
    Context,
    Stack,
    Value,
    MaybeValue,
    Map,
    Packet,
    PacketEnd,
}

const KINDS: &[ProgramKind] = &[
    ProgramKind::SocketFilter,
    ProgramKind::SocketFilter,
    ProgramKind::SocketFilter,
    ProgramKind::CgroupSkb,
    ProgramKind::Xdp,
    ProgramKind::SchedCls,
];

struct Loose {
    rng: Rng,
    text: Text,
    kind: ProgramKind,
    regs: [Holds; 11],
    /// Jumps that are not placed yet, and before how many further statements they land.
    open: Vec<(super::text::Label, u32)>,
}

/// The loose program of a seed.
#[must_use]
pub fn loose(seed: u64) -> Program {
    let mut rng = Rng::new(seed ^ 0x6c6f_6f73_6500);
    let kind = rng.pick(KINDS);
    let mut regs = [Holds::Nothing; 11];
    regs[1] = Holds::Context;
    regs[10] = Holds::Stack;
    let mut writer = Loose { rng, text: Text::default(), kind, regs, open: Vec::new() };
    writer.write();
    Program::from_insns(&format!("loose_{seed}"), kind, writer.text.finish(), maps())
}

impl Loose {
    fn write(&mut self) {
        self.text.mov(Reg::R6, Reg::R1);
        self.regs[6] = Holds::Context;
        if self.rng.one_in(2) {
            self.context_load(Reg::R7);
        }
        if self.kind != ProgramKind::SocketFilter && self.rng.one_in(2) {
            self.packet();
        }
        for _ in 0..2 + self.rng.below(14) {
            self.statement();
            let landing: Vec<_> = self.open.iter().filter(|(_, left)| *left == 0).map(|(l, _)| *l).collect();
            landing.into_iter().for_each(|label| self.text.place(label));
            self.open.retain(|(_, left)| *left > 0);
            self.open.iter_mut().for_each(|(_, left)| *left -= 1);
        }
        for (label, _) in std::mem::take(&mut self.open) {
            self.text.place(label);
        }
        if !self.rng.one_in(6) {
            let result = i32::from(self.rng.one_in(2));
            self.text.mov_imm(Reg::R0, result);
        }
        self.text.push(Insn::Exit);
    }

    fn any(&mut self) -> Reg {
        Reg::new(self.rng.below(11) as u8).expect("below 11")
    }

    /// A register to write: `r10` hardly ever.
    fn target(&mut self) -> Reg {
        if self.rng.one_in(200) { Reg::R10 } else { Reg::new(self.rng.below(10) as u8).expect("below 10") }
    }

    /// A register that holds something of a sort, now and then another, if there is one.
    fn holding(&mut self, fits: impl Fn(Holds) -> bool) -> Option<Reg> {
        if self.rng.one_in(24) {
            return Some(self.any());
        }
        let known: Vec<Reg> = Reg::all().filter(|reg| fits(self.regs[reg.index()])).collect();
        (!known.is_empty()).then(|| self.rng.pick(&known))
    }

    fn number(&mut self) -> Option<Reg> {
        self.holding(|holds| matches!(holds, Holds::Number | Holds::Small(_)))
    }

    fn pointer(&mut self) -> Option<Reg> {
        self.holding(|holds| matches!(holds, Holds::Stack | Holds::Value | Holds::Packet))
    }

    fn readable(&mut self) -> Option<Reg> {
        self.holding(|holds| holds != Holds::Nothing)
    }

    fn set(&mut self, reg: Reg, holds: Holds) {
        self.regs[reg.index()] = holds;
    }

    fn statement(&mut self) {
        let done = match self.rng.below(28) {
            0 | 1 => self.copy(),
            2 | 3 => self.arithmetic(),
            4 | 5 => self.mask(),
            6 | 7 => self.move_pointer(),
            8 | 9 => self.stack_store(),
            10 | 11 => self.stack_load(),
            12 => {
                let dst = self.target();
                self.context_load(dst);
                Some(())
            }
            13 => self.context_store(),
            14..=16 => self.lookup(),
            17..=19 => self.access(),
            20 => self.atomic(),
            21..=23 => self.branch(),
            24 => self.conversion(),
            25 => self.helper(),
            26 => self.variable_stack(),
            _ => self.legacy(),
        };
        if done.is_none() {
            let dst = self.target();
            let imm = self.rng.pick(&[0, 1, 4, 8, -1, -8, 16]);
            self.text.mov_imm(dst, imm);
            self.set(dst, Holds::Number);
        }
    }

    fn copy(&mut self) -> Option<()> {
        let (dst, src) = (self.target(), self.readable()?);
        let width = if self.rng.one_in(5) { Width::W32 } else { Width::W64 };
        self.text.push(Insn::Alu { op: AluOp::Mov, width, dst, src: Operand::Reg(src) });
        let holds = self.regs[src.index()];
        let number = matches!(holds, Holds::Number | Holds::Small(_));
        self.set(dst, if width == Width::W64 || number { holds } else { Holds::Number });
        Some(())
    }

    fn operand(&mut self) -> Operand {
        match self.number() {
            Some(reg) if self.rng.one_in(2) => Operand::Reg(reg),
            _ => Operand::Imm(if self.rng.one_in(2) {
                self.rng.below(20).cast_signed() - 4
            } else {
                self.rng.imm()
            }),
        }
    }

    fn arithmetic(&mut self) -> Option<()> {
        let dst = self.number()?;
        let op = self.rng.pick(&[
            AluOp::Add,
            AluOp::Add,
            AluOp::Sub,
            AluOp::Mul,
            AluOp::And,
            AluOp::Or,
            AluOp::Xor,
            AluOp::Lsh,
            AluOp::Rsh,
            AluOp::Arsh,
        ]);
        let width = self.rng.pick(&[Width::W32, Width::W64]);
        let mut src = self.operand();
        if let (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Operand::Imm(imm)) = (op, &mut src) {
            *imm &= if width == Width::W32 { 31 } else { 63 };
        }
        self.text.push(Insn::Alu { op, width, dst, src });
        self.set(dst, Holds::Number);
        Some(())
    }

    fn mask(&mut self) -> Option<()> {
        let dst = self.number()?;
        let align = self.rng.pick(&[1, 2, 4, 8]);
        let mask = self.rng.pick(&[7, 15, 3, 31]) & !(align - 1);
        self.text.alu(AluOp::And, dst, Operand::Imm(mask));
        self.set(dst, Holds::Small(align));
        if self.rng.one_in(4) {
            self.text.alu(AluOp::Sub, dst, Operand::Imm(align));
        }
        Some(())
    }

    fn move_pointer(&mut self) -> Option<()> {
        let dst = self.pointer()?;
        if dst == Reg::R10 {
            let copy = self.target();
            self.text.mov(copy, dst);
            self.text.add_imm(copy, -8 * (1 + self.rng.below(8)).cast_signed());
            self.set(copy, Holds::Stack);
            return Some(());
        }
        let small = self.holding(|holds| matches!(holds, Holds::Small(_)));
        match (self.rng.below(5), small) {
            (0, Some(by)) => self.text.alu(AluOp::Add, dst, Operand::Reg(by)),
            (1, Some(by)) => self.text.alu(AluOp::Sub, dst, Operand::Reg(by)),
            (2, Some(by)) => {
                let holds = self.regs[dst.index()];
                self.text.alu(AluOp::Add, by, Operand::Reg(dst));
                self.set(by, holds);
            }
            (3, _) => {
                let by = self.rng.imm();
                self.text.add_imm(dst, by);
            }
            _ => {
                let by = self.rng.pick(&[-8, -4, 4, 8, 1, 2, -16]);
                self.text.add_imm(dst, by);
            }
        }
        Some(())
    }

    fn size(&mut self) -> Size {
        self.rng.pick(&[Size::B, Size::H, Size::W, Size::DW, Size::DW])
    }

    fn slot(&mut self, size: Size) -> i16 {
        let bytes = size.bytes().cast_signed() as i16;
        let off = -bytes * (1 + self.rng.below(32 / size.bytes()) as i16);
        if self.rng.one_in(30) { off + 1 } else { off }
    }

    fn stack_store(&mut self) -> Option<()> {
        let size = self.size();
        let off = self.slot(size);
        let src = match self.readable() {
            Some(reg) if !self.rng.one_in(3) => Operand::Reg(reg),
            _ => Operand::Imm(self.rng.pick(&[0, 0, 1, -1, 7])),
        };
        self.text.store(size, Reg::R10, off, src);
        Some(())
    }

    fn stack_load(&mut self) -> Option<()> {
        let (size, dst) = (self.size(), self.target());
        let off = self.slot(size);
        let signed = size != Size::DW && self.rng.one_in(4);
        self.text.push(Insn::Load { size, signed, dst, base: Reg::R10, off });
        let spilled = [Holds::Number, Holds::Context, Holds::Stack, Holds::Value, Holds::MaybeValue];
        let holds = if size == Size::DW { self.rng.pick(&spilled) } else { Holds::Number };
        self.set(dst, holds);
        Some(())
    }

    fn context_load(&mut self, dst: Reg) {
        let base = self.holding(|holds| holds == Holds::Context).unwrap_or(Reg::R6);
        let xdp = self.kind == ProgramKind::Xdp;
        let off = 4 * if xdp { self.rng.below(7) } else { self.rng.below(20) } as i16;
        let size = if self.rng.one_in(8) { self.size() } else { Size::W };
        self.text.load(size, dst, base, off);
        self.set(dst, Holds::Number);
    }

    fn context_store(&mut self) -> Option<()> {
        let base = self.holding(|holds| holds == Holds::Context)?;
        let off = 48 + 4 * self.rng.below(6) as i16;
        let src = self.readable()?;
        self.text.store(Size::W, base, off, Operand::Reg(src));
        Some(())
    }

    /// The packet's start and end, and a comparison of them.
    fn packet(&mut self) {
        let (data, end) = if self.kind == ProgramKind::Xdp { (0, 4) } else { (76, 80) };
        self.text.load(Size::W, Reg::R8, Reg::R6, data);
        self.text.load(Size::W, Reg::R9, Reg::R6, end);
        self.set(Reg::R8, Holds::Packet);
        self.set(Reg::R9, Holds::PacketEnd);
        self.text.mov(Reg::R2, Reg::R8);
        self.text.add_imm(Reg::R2, 4 + 4 * self.rng.below(5).cast_signed());
        let label = self.text.label();
        let cond = self.rng.pick(&[Cond::Gt, Cond::Gt, Cond::Ge, Cond::Lt]);
        self.text.branch(cond, Width::W64, Reg::R2, Operand::Reg(Reg::R9), label);
        self.open.push((label, 20));
        self.set(Reg::R2, Holds::Packet);
    }

    fn call(&mut self, helper: HelperId) {
        self.text.push(Insn::Call(CallTarget::Helper(helper.info().number)));
        for index in 1..6 {
            self.regs[index] = Holds::Nothing;
        }
        self.set(Reg::R0, Holds::Number);
    }

    fn key(&mut self, map: u32) {
        let off = if self.rng.one_in(2) { -4 } else { -8 };
        if !self.rng.one_in(8) {
            let key = match self.number() {
                Some(reg) if self.rng.one_in(2) => Operand::Reg(reg),
                _ => Operand::Imm(self.rng.below(6).cast_signed()),
            };
            self.text.store(Size::W, Reg::R10, off, key);
        }
        self.text.load_imm64(Reg::R1, Imm64::MapIdx(map));
        self.text.mov(Reg::R2, Reg::R10);
        self.text.add_imm(Reg::R2, off.into());
        self.set(Reg::R1, Holds::Map);
        self.set(Reg::R2, Holds::Stack);
    }

    fn lookup(&mut self) -> Option<()> {
        let map = self.rng.pick(&[ARRAY, HASH]);
        self.key(map);
        self.call(HelperId::MapLookupElem);
        self.set(Reg::R0, Holds::MaybeValue);
        if self.rng.one_in(3) {
            let copy = self.target();
            self.text.mov(copy, Reg::R0);
            self.set(copy, Holds::MaybeValue);
        }
        if !self.rng.one_in(8) {
            let label = self.text.label();
            self.text.branch(Cond::Eq, Width::W64, Reg::R0, Operand::Imm(0), label);
            let far = self.rng.below(12);
            self.open.push((label, 2 + far));
            self.regs.iter_mut().filter(|r| **r == Holds::MaybeValue).for_each(|r| *r = Holds::Value);
        }
        Some(())
    }

    fn access(&mut self) -> Option<()> {
        let base = self.holding(|holds| matches!(holds, Holds::Value | Holds::Packet | Holds::MaybeValue))?;
        let size = self.size();
        let off = self.rng.below(20) as i16 - if self.rng.one_in(6) { 4 } else { 0 };
        let off = off - off % size.bytes() as i16;
        if self.rng.one_in(2) {
            let dst = self.target();
            self.text.load(size, dst, base, off);
            self.set(dst, Holds::Number);
        } else {
            let src = self.readable()?;
            self.text.store(size, base, off, Operand::Reg(src));
        }
        Some(())
    }

    fn atomic(&mut self) -> Option<()> {
        let base = self.holding(|holds| matches!(holds, Holds::Value | Holds::Stack))?;
        let src = self.readable()?;
        let fetch = self.rng.one_in(2);
        let op = self.rng.pick(&[
            AtomicOp::Add { fetch },
            AtomicOp::Xchg,
            AtomicOp::Cmpxchg,
            AtomicOp::Or { fetch },
        ]);
        let size = self.rng.pick(&[Size::W, Size::DW]);
        let off = if base == Reg::R10 { -8 } else { 0 };
        self.text.push(Insn::Atomic { op, size, base, off, src });
        Some(())
    }

    fn branch(&mut self) -> Option<()> {
        let dst = if self.rng.one_in(6) { self.readable()? } else { self.number()? };
        let src = if self.rng.one_in(12) { Operand::Reg(self.readable()?) } else { self.operand() };
        let cond = self.rng.pick(&[
            Cond::Eq,
            Cond::Ne,
            Cond::Gt,
            Cond::Lt,
            Cond::Ge,
            Cond::Le,
            Cond::Sgt,
            Cond::Slt,
            Cond::Sge,
            Cond::Set,
        ]);
        let width = self.rng.pick(&[Width::W32, Width::W64, Width::W64]);
        let label = self.text.label();
        self.text.branch(cond, width, dst, src, label);
        let far = self.rng.below(5);
        self.open.push((label, far));
        Some(())
    }

    fn conversion(&mut self) -> Option<()> {
        let dst = if self.rng.one_in(8) { self.readable()? } else { self.number()? };
        let insn = match self.rng.below(3) {
            0 => Insn::Neg { width: self.rng.pick(&[Width::W32, Width::W64]), dst },
            1 => Insn::Endian { kind: Endian::ToBe, size: self.rng.pick(&[Size::H, Size::W]), dst },
            _ => {
                let src = if self.rng.one_in(8) { self.readable()? } else { self.number()? };
                Insn::MovSx { width: Width::W64, from: self.rng.pick(&[Size::B, Size::H, Size::W]), dst, src }
            }
        };
        self.text.push(insn);
        if let Insn::MovSx { dst, .. } = insn {
            self.set(dst, Holds::Number);
        }
        Some(())
    }

    fn helper(&mut self) -> Option<()> {
        match self.rng.below(5) {
            0 => self.call(HelperId::GetPrandomU32),
            1 => self.call(HelperId::KtimeGetNs),
            2 => {
                let map = self.rng.pick(&[ARRAY, HASH]);
                self.key(map);
                self.text.mov(Reg::R3, Reg::R10);
                self.text.add_imm(Reg::R3, -16 - 8 * self.rng.below(2).cast_signed());
                match self.readable() {
                    Some(reg) if self.rng.one_in(3) => self.text.mov(Reg::R4, reg),
                    _ => self.text.mov_imm(Reg::R4, 0),
                }
                self.call(HelperId::MapUpdateElem);
            }
            3 => {
                let map = self.rng.pick(&[ARRAY, HASH]);
                self.key(map);
                self.call(HelperId::MapDeleteElem);
            }
            _ => {
                let length = self.holding(|holds| matches!(holds, Holds::Small(_)));
                self.text.mov(Reg::R1, Reg::R6);
                self.text.mov(Reg::R3, Reg::R10);
                self.text.add_imm(Reg::R3, -8 * (1 + self.rng.below(4)).cast_signed());
                match length {
                    Some(reg) if reg.number() > 3 || reg == Reg::R0 => self.text.mov(Reg::R4, reg),
                    _ => self.text.mov_imm(Reg::R4, self.rng.below(10).cast_signed()),
                }
                self.text.mov_imm(Reg::R2, 0);
                self.call(HelperId::SkbLoadBytes);
            }
        }
        Some(())
    }

    fn variable_stack(&mut self) -> Option<()> {
        let by = self.holding(|holds| matches!(holds, Holds::Small(_)))?;
        let base = self.target();
        if base == by {
            return None;
        }
        self.text.mov(base, Reg::R10);
        self.text.add_imm(base, self.rng.pick(&[-40, -32, -16, -8]));
        self.text.alu(AluOp::Add, base, Operand::Reg(by));
        self.set(base, Holds::Stack);
        let size = self.size();
        if self.rng.one_in(2) {
            let dst = self.target();
            self.text.load(size, dst, base, 0);
            self.set(dst, Holds::Number);
        } else {
            let src = self.readable()?;
            self.text.store(size, base, 0, Operand::Reg(src));
        }
        Some(())
    }

    fn legacy(&mut self) -> Option<()> {
        let offset = match self.number() {
            Some(reg) if self.rng.one_in(2) => brolga_compiler::isa::LegacyOffset::Ind(reg),
            _ => brolga_compiler::isa::LegacyOffset::Abs,
        };
        let imm = self.rng.below(64).cast_signed();
        let size = self.rng.pick(&[Size::B, Size::H, Size::W]);
        self.text.push(Insn::LegacyLoad { size, offset, imm });
        for index in 1..6 {
            self.regs[index] = Holds::Nothing;
        }
        self.set(Reg::R0, Holds::Number);
        Some(())
    }
}
