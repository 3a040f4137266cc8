//! Where pointers into a function's own stack frame can be, and so what each instruction does to its
//! slots.
//!
//! A forward analysis over blocks. A register holds no such pointer, one at a known offset, or perhaps
//! one at any offset. What was stored to the frame itself is kept per slot for the whole function,
//! regardless of order. Besides the own frame no memory can hold such a pointer and give it back: the
//! verifier refuses to store one in a caller's frame, and loads from elsewhere yield numbers.
//!
//! Arguments are followed in the same way, since they may point into a caller's frame: the [`Summary`] of a
//! function says which bytes behind each argument it may read, and functions are analysed after those that they
//! call. What is loaded through an argument may itself point into frames of callers, and such a pointer reads anything
//! that can be reached through the argument.

use super::abs::{Abs, Offsets, Regs};
use super::calls::{Callees, call_reads, call_regs};
use super::reads::{Reads, slot_range, slots_at, slots_of};
use crate::cfg::{BlockId, Cfg};
use crate::isa::{AluOp, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width};
use crate::program::{MapId, Program};
use crate::verify::obligations::{Mode, RegSet, touches};
use crate::verify::stack::SLOTS;
use crate::verify::structure::subprog_at;

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

/// The result: what registers hold at the start of each block, and what slots may hold anywhere.
pub(super) struct FramePointers {
    entry: Vec<Option<Regs>>,
    slots: [Abs; SLOTS],
    /// Whether the arguments may be pointers into callers' frames.
    called: bool,
}

/// How often what slots hold may change before nothing is assumed of them.
const ROUNDS: usize = 4;

impl FramePointers {
    /// Analyses a function. `called`: its arguments may be pointers into callers' frames.
    pub fn new(program: &Program, cfg: &Cfg, called: bool) -> Self {
        let mut all = Self { entry: Vec::new(), slots: [Abs::Other; SLOTS], called };
        for round in 0.. {
            let before = all.slots;
            all.propagate(program, cfg);
            if all.slots == before {
                break;
            }
            if round == ROUNDS {
                all.slots = [Abs::ANYTHING; SLOTS];
            }
        }
        all
    }

    fn propagate(&mut self, program: &Program, cfg: &Cfg) {
        let mut start = [Abs::Other; Reg::COUNT];
        start[Reg::R10.index()] = Abs::Frame(Offsets::START);
        if self.called {
            for (index, reg) in (0..).zip(RegSet::ARGS.iter()) {
                start[reg.index()] = Abs::Arg { index, off: 0, perhaps: false };
            }
        }
        self.entry = vec![None; cfg.blocks.len()];
        self.entry[BlockId::ENTRY.index()] = Some(start);
        let mut work = vec![BlockId::ENTRY];
        while let Some(id) = work.pop() {
            let Some(mut regs) = self.entry[id.index()] else { continue };
            let block = cfg.block(id);
            for at in block.insns() {
                self.note_store(&program.insns[at.index()], &regs);
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
    fn step(&self, program: &Program, at: InsnIdx, regs: &mut Regs) {
        let value = |operand: Operand| match operand {
            Operand::Reg(reg) => regs[reg.index()],
            Operand::Imm(imm) => Abs::Const(imm),
        };
        let insn = &program.insns[at.index()];
        let result = match *insn {
            Insn::Alu { op: AluOp::Mov, width: Width::W64, src, .. } => value(src),
            Insn::Alu { op: AluOp::Mov, width: Width::W32, src: Operand::Imm(imm), .. } if imm >= 0 => {
                Abs::Const(imm)
            }
            Insn::Alu { op: AluOp::Add, width: Width::W64, dst, src } => regs[dst.index()].add(value(src)),
            Insn::Alu { op, width: Width::W64, dst, src } if op != AluOp::Mov => {
                regs[dst.index()].join(value(src)).somewhere()
            }
            Insn::LoadImm64 { imm: Imm64::MapIdx(index), .. } => Abs::Map(MapId(index)),
            Insn::LoadImm64 { imm: Imm64::Func(off), .. } => {
                at.jump(off).and_then(|at| subprog_at(program, at)).map_or(Abs::Other, Abs::Func)
            }
            // Slots may have held something else before, or hold it later.
            Insn::Load { size: Size::DW, base, off, .. }
            | Insn::LoadAcquire { size: Size::DW, base, off, .. }
            | Insn::Atomic { size: Size::DW, base, off, .. } => {
                self.loaded(regs[base.index()], off).perhaps()
            }
            _ => Abs::Other,
        };
        for written in touches(insn).writes.without(RegSet::of(Reg::R10)).iter() {
            regs[written.index()] = result;
        }
    }

    /// Notes what an instruction stores in the own frame.
    fn note_store(&mut self, insn: &Insn, regs: &Regs) {
        if let Insn::Store { base, off, src: Operand::Reg(src), .. }
        | Insn::StoreRelease { base, off, src, .. } = *insn
        {
            self.stored(regs[base.index()], off, regs[src.index()]);
        }
    }

    fn loaded(&self, base: Abs, off: i16) -> Abs {
        let all = || self.slots.iter().copied().reduce(Abs::join).unwrap_or(Abs::Other);
        match base {
            Abs::Frame(offs) => {
                let at = |at: i32| slot_range(at.saturating_add(off.into()), 8);
                let slots = |range: std::ops::Range<usize>| {
                    range.map(|slot| self.slots[slot]).reduce(Abs::join).unwrap_or(Abs::Other)
                };
                offs.iter()
                    .map(|off| at(off).map_or(Abs::ANYTHING, slots))
                    .reduce(Abs::join)
                    .unwrap_or(Abs::ANYTHING)
            }
            Abs::Any { own: true, args } => all().join(Abs::any(false, args)),
            Abs::Arg { .. } | Abs::Any { own: false, .. } => Abs::any(false, base.args()),
            Abs::Other | Abs::Const(_) | Abs::Map(_) | Abs::Func(_) => Abs::Other,
        }
    }

    fn stored(&mut self, base: Abs, off: i16, value: Abs) {
        // Numbers and maps that come back from the stack are not worth knowing here.
        if !value.may_point() && value.args() == 0 {
            return;
        }
        let slots = match base {
            Abs::Frame(offs) => slots_at(&offs, off.into(), 8),
            Abs::Any { own: true, .. } => u64::MAX,
            Abs::Other
            | Abs::Const(_)
            | Abs::Map(_)
            | Abs::Func(_)
            | Abs::Arg { .. }
            | Abs::Any { own: false, .. } => return,
        };
        for (index, slot) in self.slots.iter_mut().enumerate().filter(|(index, _)| slots >> index & 1 != 0) {
            debug_assert!(index < SLOTS, "a stack has 64 slots");
            *slot = if *slot == Abs::Other { value } else { slot.join(value) };
        }
    }

    /// Hands on what registers hold before each instruction of a block, in order.
    pub fn each(&self, program: &Program, cfg: &Cfg, id: BlockId, mut with: impl FnMut(InsnIdx, &Regs)) {
        let mut regs = self.entry[id.index()].unwrap_or([Abs::ANYTHING; Reg::COUNT]);
        for at in cfg.block(id).insns() {
            with(at, &regs);
            self.step(program, at, &mut regs);
        }
    }

    /// Arguments that the own frame may hold.
    pub fn in_slots(&self) -> u8 {
        self.slots.iter().fold(0, |args, slot| args | slot.args())
    }
}

/// What an instruction may read through which pointers into frames.
pub(super) fn through(callees: Callees<'_>, at: InsnIdx, regs: &Regs) -> Vec<(Abs, Reads)> {
    let insn = &callees.program.insns[at.index()];
    if let Some(memory) = touches(insn).memory {
        let mut reads = Reads::default();
        if memory.mode != Mode::Write {
            reads.add(memory.off.into(), memory.size.bytes().into());
        }
        return vec![(regs[memory.base.index()], reads)];
    }
    match *insn {
        Insn::Call(target) => call_reads(callees, at, target, regs),
        _ => Vec::new(),
    }
}

/// What one instruction does, given what registers hold before it.
pub(super) fn effects_of(callees: Callees<'_>, at: InsnIdx, regs: &Regs) -> Effects {
    let insn = &callees.program.insns[at.index()];
    let touched = touches(insn);
    let frame = RegSet::of(Reg::R10);
    let (reads, writes) = (touched.reads.without(frame), touched.writes.without(frame));
    let mut effects = Effects { reads, writes, ..Effects::default() };
    if let Some(memory) = touched.memory {
        let base = regs[memory.base.index()];
        let size = memory.size.bytes();
        let (slots, single) = match base {
            Abs::Frame(offs) => (slots_at(&offs, memory.off.into(), size), offs.is_certain()),
            Abs::Any { own: true, .. } => (u64::MAX, false),
            Abs::Any { own: false, .. }
            | Abs::Arg { .. }
            | Abs::Other
            | Abs::Const(_)
            | Abs::Map(_)
            | Abs::Func(_) => {
                return effects;
            }
        };
        match memory.mode {
            Mode::Read | Mode::Update => effects.uses = slots,
            // A full slot: misaligned stores to the stack are refused.
            Mode::Write if size == 8 && single && slots.count_ones() == 1 => effects.kills = slots,
            Mode::Write => {}
        }
        return effects;
    }
    if let Insn::Call(target) = *insn {
        effects.reads = call_regs(callees, at, target, reads);
        let all = call_reads(callees, at, target, regs);
        effects.uses = all.iter().fold(0, |uses, (pointer, reads)| uses | slots_of(*pointer, reads));
    }
    effects
}
