//! Where pointers into a function's own stack frame can be, and so what each instruction does to its
//! slots.
//!
//! A forward analysis over blocks. A register holds no such pointer, one at a known offset, or perhaps
//! one at any offset. What was stored to the frame itself is kept per slot for the whole function,
//! regardless of order. Besides the own frame no memory can hold such a pointer and give it back: the
//! verifier refuses to store one in a caller's frame, and loads from elsewhere yield numbers.

use brolga_abi::{Arg, ArgLength, HelperId};

use super::registers;
use crate::cfg::{BlockId, Cfg};
use crate::isa::{AluOp, CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width};
use crate::program::{MapId, Program};
use crate::verify::obligations::{Mode, RegSet, touches};
use crate::verify::stack::SLOTS;

/// What an instruction, or a run of them, does to registers and slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effects {
    /// Registers read before they are written.
    pub reads: RegSet,
    /// Registers written.
    pub writes: RegSet,
    /// Slots that may be read before they are overwritten.
    pub uses: u64,
    /// Slots certainly overwritten.
    pub kills: u64,
}

impl Effects {
    /// The effects of this and what comes after it as one.
    pub fn then(&self, after: &Self) -> Self {
        Self {
            reads: after.reads.without(self.writes).union(self.reads),
            writes: self.writes.union(after.writes),
            uses: after.uses & !self.kills | self.uses,
            kills: self.kills | after.kills,
        }
    }
}

/// What a register may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abs {
    /// No pointer into the own frame.
    Other,
    /// A number, as it was written.
    Const(i32),
    /// A map.
    Map(MapId),
    /// A pointer at an offset from `r10`.
    Frame(i32),
    /// Perhaps a pointer at any offset.
    Any,
}

impl Abs {
    fn join(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        if self.may_point() || other.may_point() { Self::Any } else { Self::Other }
    }

    fn may_point(self) -> bool {
        matches!(self, Self::Frame(_) | Self::Any)
    }

    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Frame(off), Self::Const(by)) | (Self::Const(by), Self::Frame(off)) => {
                off.checked_add(by).map_or(Self::Any, Self::Frame)
            }
            (a, b) if a.may_point() || b.may_point() => Self::Any,
            _ => Self::Other,
        }
    }
}

type Regs = [Abs; Reg::COUNT];

/// The result: what registers hold at the start of each block, and what slots may hold anywhere.
pub(super) struct FramePointers {
    entry: Vec<Option<Regs>>,
    slots: [Abs; SLOTS],
}

/// How often what slots hold may change before nothing is assumed of them.
const ROUNDS: usize = 4;

impl FramePointers {
    /// Analyses a function.
    pub fn new(program: &Program, cfg: &Cfg) -> Self {
        let mut all = Self { entry: Vec::new(), slots: [Abs::Other; SLOTS] };
        for round in 0.. {
            let before = all.slots;
            all.propagate(program, cfg);
            if all.slots == before {
                break;
            }
            if round == ROUNDS {
                all.slots = [Abs::Any; SLOTS];
            }
        }
        all
    }

    fn propagate(&mut self, program: &Program, cfg: &Cfg) {
        let mut start = [Abs::Other; Reg::COUNT];
        start[Reg::R10.index()] = Abs::Frame(0);
        self.entry = vec![None; cfg.blocks.len()];
        self.entry[BlockId::ENTRY.index()] = Some(start);
        let mut work = vec![BlockId::ENTRY];
        while let Some(id) = work.pop() {
            let Some(mut regs) = self.entry[id.index()] else { continue };
            let block = cfg.block(id);
            for at in block.insns() {
                self.step(program, at, &mut regs);
            }
            for next in block.successors() {
                let known = &mut self.entry[next.index()];
                let joined = match known {
                    None => regs,
                    Some(old) => std::array::from_fn(|i| old[i].join(regs[i])),
                };
                if *known != Some(joined) {
                    *known = Some(joined);
                    work.push(next);
                }
            }
        }
    }

    /// What registers hold after an instruction.
    fn step(&mut self, program: &Program, at: InsnIdx, regs: &mut Regs) {
        let insn = &program.insns[at.index()];
        let value = |operand: Operand| match operand {
            Operand::Reg(reg) => regs[reg.index()],
            Operand::Imm(imm) => Abs::Const(imm),
        };
        let result = match *insn {
            Insn::Alu { op: AluOp::Mov, width: Width::W64, src, .. } => value(src),
            Insn::Alu { op: AluOp::Mov, width: Width::W32, src: Operand::Imm(imm), .. } if imm >= 0 => {
                Abs::Const(imm)
            }
            Insn::Alu { op: AluOp::Add, width: Width::W64, dst, src } => regs[dst.index()].add(value(src)),
            Insn::Alu { op, width: Width::W64, dst, src } if op != AluOp::Mov => {
                let points = regs[dst.index()].may_point() || value(src).may_point();
                if points { Abs::Any } else { Abs::Other }
            }
            Insn::LoadImm64 { imm: Imm64::MapIdx(index), .. } => Abs::Map(MapId(index)),
            Insn::Load { size: Size::DW, base, off, .. }
            | Insn::LoadAcquire { size: Size::DW, base, off, .. } => self.loaded(regs[base.index()], off),
            Insn::Atomic { size: Size::DW, base, off, .. } => self.loaded(regs[base.index()], off),
            _ => Abs::Other,
        };
        if let Insn::Store { base, off, src: Operand::Reg(src), .. }
        | Insn::StoreRelease { base, off, src, .. } = *insn
        {
            self.stored(regs[base.index()], off, regs[src.index()]);
        }
        for written in touches(insn).writes.iter().filter(|r| *r != Reg::R10) {
            regs[written.index()] = result;
        }
    }

    fn loaded(&self, base: Abs, off: i16) -> Abs {
        match base {
            Abs::Frame(at) => slot_range(at.saturating_add(off.into()), 8).map_or(Abs::Any, |range| {
                range.map(|slot| self.slots[slot]).reduce(Abs::join).unwrap_or(Abs::Other)
            }),
            Abs::Any => self.slots.iter().copied().reduce(Abs::join).unwrap_or(Abs::Other),
            Abs::Other | Abs::Const(_) | Abs::Map(_) => Abs::Other,
        }
    }

    fn stored(&mut self, base: Abs, off: i16, value: Abs) {
        // Numbers and maps that come back from the stack are not worth knowing here.
        if !value.may_point() {
            return;
        }
        let range = match base {
            Abs::Frame(at) => slot_range(at.saturating_add(off.into()), 8).unwrap_or(0..SLOTS),
            Abs::Any => 0..SLOTS,
            Abs::Other | Abs::Const(_) | Abs::Map(_) => return,
        };
        for slot in &mut self.slots[range] {
            *slot = if *slot == Abs::Other { value } else { slot.join(value) };
        }
    }

    /// The effects of each slot of a block, in order.
    pub fn effects_of(&self, program: &Program, cfg: &Cfg, id: BlockId, out: &mut Vec<Effects>) {
        out.clear();
        // What slots may hold is settled, so the scratch copy does not change.
        let mut scratch = Self { entry: Vec::new(), slots: self.slots };
        let mut regs = self.entry[id.index()].unwrap_or([Abs::Any; Reg::COUNT]);
        for at in cfg.block(id).insns() {
            out.push(effects(program, at, &regs));
            scratch.step(program, at, &mut regs);
        }
    }
}

/// Slots that hold the bytes `off .. off + size`; `None` where some lie outside the frame.
fn slot_range(off: i32, size: u32) -> Option<std::ops::Range<usize>> {
    let end = i64::from(off) + i64::from(size);
    if off < -512 || end > 0 || size == 0 {
        return None;
    }
    // `r10 - 8` is in slot 0; the lower the address, the higher the slot.
    let low = usize::try_from(-end / 8).ok()?;
    let high = usize::try_from((-i64::from(off) - 1) / 8).ok()?;
    Some(low..high + 1)
}

fn mask(range: Option<std::ops::Range<usize>>) -> u64 {
    range.map_or(u64::MAX, |range| range.fold(0, |mask, slot| mask | 1 << slot))
}

/// What one instruction does, given what registers hold before it.
fn effects(program: &Program, at: InsnIdx, regs: &Regs) -> Effects {
    let insn = &program.insns[at.index()];
    let (reads, writes) = registers(insn);
    let mut effects = Effects { reads, writes, uses: 0, kills: 0 };
    if let Some(memory) = touches(insn).memory {
        let base = regs[memory.base.index()];
        let size = memory.size.bytes();
        let range = match base {
            Abs::Frame(off) => slot_range(off.saturating_add(memory.off.into()), size),
            Abs::Any => None,
            Abs::Other | Abs::Const(_) | Abs::Map(_) => return effects,
        };
        match memory.mode {
            Mode::Read | Mode::Update => effects.uses = mask(range),
            // A full slot: misaligned stores to the stack are refused.
            Mode::Write if size == 8 && range.as_ref().is_some_and(|r| r.len() == 1) => {
                effects.kills = mask(range);
            }
            Mode::Write => {}
        }
        return effects;
    }
    if let Insn::Call(target) = *insn {
        effects.uses = call_uses(program, target, regs);
    }
    effects
}

fn call_uses(program: &Program, target: CallTarget, regs: &Regs) -> u64 {
    let any = RegSet::ARGS.iter().any(|reg| regs[reg.index()].may_point());
    if !any {
        return 0;
    }
    let CallTarget::Helper(number) = target else { return u64::MAX };
    let Some(id) = HelperId::from_number(number) else { return u64::MAX };
    let args = id.info().args;
    let map = args.iter().zip(RegSet::ARGS.iter()).find_map(|(arg, reg)| match (arg, regs[reg.index()]) {
        (Arg::Map, Abs::Map(id)) => program.maps.get(id.index()),
        _ => None,
    });
    let mut uses = 0;
    for (i, (arg, reg)) in args.iter().zip(RegSet::ARGS.iter()).enumerate() {
        let off = match regs[reg.index()] {
            Abs::Frame(off) => off,
            Abs::Any => return u64::MAX,
            Abs::Other | Abs::Const(_) | Abs::Map(_) => continue,
        };
        let size = match arg.length() {
            None if !arg.writes() => continue,
            Some(ArgLength::Key) => map.map(|m| m.key_size),
            Some(ArgLength::Value) => map.map(|m| m.value_size),
            Some(ArgLength::Fixed(size)) => Some(size),
            Some(ArgLength::Next) => match Reg::new(reg.number() + 1).map(|next| regs[next.index()]) {
                Some(Abs::Const(size)) if i + 1 < args.len() => u32::try_from(size).ok(),
                _ => None,
            },
            // A callback may read the whole frame.
            Some(ArgLength::Unknown) if *arg == Arg::StackOrNull => return u64::MAX,
            None | Some(ArgLength::Unknown) => None,
        };
        uses |= mask(slot_range(off, size.unwrap_or(off.min(0).unsigned_abs())));
    }
    uses
}
