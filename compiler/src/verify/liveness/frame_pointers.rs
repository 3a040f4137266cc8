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

use brolga_abi::{Arg, ArgLength, HelperId};

use super::abs::{Abs, Offsets, Regs};
use super::registers;
use crate::cfg::{BlockId, Cfg};
use crate::isa::{AluOp, CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width};
use crate::program::{MapId, Program, SubprogId};
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
    /// Arguments through which memory may be read: bit 0 is what was in `r1`.
    pub through: u8,
}

impl Effects {
    /// The effects of this and what comes after it as one.
    pub fn then(&self, after: &Self) -> Self {
        Self {
            reads: after.reads.without(self.writes).union(self.reads),
            writes: self.writes.union(after.writes),
            uses: after.uses & !self.kills | self.uses,
            kills: self.kills | after.kills,
            through: self.through | after.through,
        }
    }
}

/// What a call hands to a function of the program in one argument.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handed {
    /// Slots of the caller's frame that the function may read through it.
    pub slots: u64,
    /// The caller's own arguments through which it then reads.
    pub through: u8,
}

/// What a function may read through its arguments.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    args: [Reads; 5],
    /// Arguments that it looks at.
    pub regs: RegSet,
}

/// Bytes that are read behind a pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reads {
    /// Bit n is the byte at the distance n - 512.
    bytes: [u64; 16],
    /// Also any other byte, and whatever can be reached through what is loaded there.
    anything: bool,
}

impl Reads {
    const ANYTHING: Self = Self { bytes: [0; 16], anything: true };

    fn add(&mut self, off: i64, size: i64) {
        let (from, to) = (off + 512, off + 512 + size);
        if from < 0 || to > 1024 || size < 0 {
            self.anything = true;
            return;
        }
        for bit in from.unsigned_abs()..to.unsigned_abs() {
            self.bytes[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    /// The distances of the bytes.
    fn bytes(&self) -> impl Iterator<Item = i32> {
        let bits = |mut word: u64| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros().cast_signed())?;
                word &= word - 1;
                Some(bit)
            })
        };
        (0..).zip(self.bytes).flat_map(move |(at, word)| bits(word).map(move |bit| 64 * at + bit - 512))
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
                start[reg.index()] = Abs::Arg(index, 0);
            }
        }
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
                regs[dst.index()].join(value(src)).somewhere()
            }
            Insn::LoadImm64 { imm: Imm64::MapIdx(index), .. } => Abs::Map(MapId(index)),
            Insn::LoadImm64 { imm: Imm64::Func(off), .. } => {
                at.jump(off).and_then(|at| subprog_at(program, at)).map_or(Abs::Other, Abs::Func)
            }
            Insn::Load { size: Size::DW, base, off, .. }
            | Insn::LoadAcquire { size: Size::DW, base, off, .. }
            | Insn::Atomic { size: Size::DW, base, off, .. } => match self.loaded(regs[base.index()], off) {
                // Slots may have held something else before, or hold it later.
                Abs::Frame(offs) => Abs::Frame(offs.perhaps()),
                loaded => loaded,
            },
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
            Abs::Arg(..) | Abs::Any { own: false, .. } => Abs::any(false, base.args()),
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
            | Abs::Arg(..)
            | Abs::Any { own: false, .. } => return,
        };
        for (index, slot) in self.slots.iter_mut().enumerate().filter(|(index, _)| slots >> index & 1 != 0) {
            debug_assert!(index < SLOTS, "a stack has 64 slots");
            *slot = if *slot == Abs::Other { value } else { slot.join(value) };
        }
    }

    /// What the function may read through its arguments. Which of them it looks at is left to the caller.
    pub fn summary(&self, program: &Program, cfg: &Cfg, summaries: &[Option<Summary>]) -> Summary {
        let mut summary = Summary::default();
        let mut scratch = Self { entry: Vec::new(), slots: self.slots, called: self.called };
        let in_slots = self.in_slots();
        for id in cfg.ids() {
            let mut regs = self.entry[id.index()].unwrap_or([Abs::ANYTHING; Reg::COUNT]);
            for at in cfg.block(id).insns() {
                for (pointer, reads) in through(program, at, &regs, summaries) {
                    summary.add(pointer, &reads, in_slots);
                }
                scratch.step(program, at, &mut regs);
            }
        }
        summary
    }

    /// The effects of each slot of a block, in order.
    pub fn effects_of(
        &self,
        program: &Program,
        cfg: &Cfg,
        summaries: &[Option<Summary>],
        id: BlockId,
        out: &mut Vec<Effects>,
    ) {
        out.clear();
        // What slots may hold is settled, so the scratch copy does not change.
        let mut scratch = Self { entry: Vec::new(), slots: self.slots, called: self.called };
        let mut regs = self.entry[id.index()].unwrap_or([Abs::ANYTHING; Reg::COUNT]);
        let in_slots = self.in_slots();
        for at in cfg.block(id).insns() {
            out.push(effects(program, at, &regs, summaries, in_slots));
            scratch.step(program, at, &mut regs);
        }
    }

    /// What the calls of a block hand to functions of the program, in order.
    pub fn handed_in(
        &self,
        program: &Program,
        cfg: &Cfg,
        summaries: &[Option<Summary>],
        id: BlockId,
        out: &mut Vec<(InsnIdx, [Handed; 5])>,
    ) {
        let mut scratch = Self { entry: Vec::new(), slots: self.slots, called: self.called };
        let mut regs = self.entry[id.index()].unwrap_or([Abs::ANYTHING; Reg::COUNT]);
        let in_slots = self.in_slots();
        for at in cfg.block(id).insns() {
            if let Insn::Call(target @ CallTarget::Subprog(_)) = program.insns[at.index()] {
                let known = callee(program, at, target).and_then(|id| summaries[id.index()].as_ref());
                let handed = RegSet::ARGS.iter().zip(0..).map(|(reg, index): (Reg, usize)| {
                    let pointer = regs[reg.index()];
                    let reads = known.map_or(Reads::ANYTHING, |summary| summary.args[index]);
                    Handed {
                        slots: slots_of(pointer, &reads),
                        through: read_through(pointer, &reads, in_slots),
                    }
                });
                let mut all = [Handed::default(); 5];
                all.iter_mut().zip(handed).for_each(|(to, from)| *to = from);
                out.push((at, all));
            }
            scratch.step(program, at, &mut regs);
        }
    }

    /// Arguments that the own frame may hold.
    fn in_slots(&self) -> u8 {
        self.slots.iter().fold(0, |args, slot| args | slot.args())
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

/// Slots that hold the bytes of an access at one of some offsets; all where some lie outside the frame.
fn slots_at(offs: &Offsets, off: i32, size: u32) -> u64 {
    offs.iter().fold(0, |slots, at| slots | mask(slot_range(at.saturating_add(off), size)))
}

impl Summary {
    /// Adds reads through a pointer. `in_slots`: arguments that the own frame may hold.
    fn add(&mut self, pointer: Abs, reads: &Reads, in_slots: u8) {
        if let Abs::Arg(index, off) = pointer {
            let known = &mut self.args[usize::from(index)];
            known.anything |= reads.anything;
            reads.bytes().for_each(|byte| known.add(i64::from(off) + i64::from(byte), 1));
            return;
        }
        let args = read_through(pointer, reads, in_slots);
        for (index, known) in (0..).zip(&mut self.args) {
            known.anything |= args >> index & 1 != 0;
        }
    }
}

/// Arguments through which may be read where this is read through a pointer. `in_slots`: those that the own frame
/// may hold.
fn read_through(pointer: Abs, reads: &Reads, in_slots: u8) -> u8 {
    if *reads == Reads::default() {
        return 0;
    }
    // Whoever reads the own frame may read through what is stored there.
    pointer.args() | if pointer.may_point() && reads.anything { in_slots } else { 0 }
}

/// Slots that are read through a pointer.
fn slots_of(pointer: Abs, reads: &Reads) -> u64 {
    match pointer {
        Abs::Frame(_) | Abs::Any { own: true, .. } if reads.anything => u64::MAX,
        Abs::Frame(offs) => reads.bytes().fold(0, |slots, byte| slots | slots_at(&offs, byte, 1)),
        Abs::Any { own: true, .. } => u64::MAX,
        Abs::Any { own: false, .. }
        | Abs::Arg(..)
        | Abs::Other
        | Abs::Const(_)
        | Abs::Map(_)
        | Abs::Func(_) => 0,
    }
}

/// What an instruction may read through which pointers into frames.
fn through(program: &Program, at: InsnIdx, regs: &Regs, summaries: &[Option<Summary>]) -> Vec<(Abs, Reads)> {
    let insn = &program.insns[at.index()];
    if let Some(memory) = touches(insn).memory {
        let mut reads = Reads::default();
        if memory.mode != Mode::Write {
            reads.add(memory.off.into(), memory.size.bytes().into());
        }
        return vec![(regs[memory.base.index()], reads)];
    }
    match *insn {
        Insn::Call(target) => call_reads(program, at, target, regs, summaries),
        _ => Vec::new(),
    }
}

/// What one instruction does, given what registers hold before it.
fn effects(
    program: &Program,
    at: InsnIdx,
    regs: &Regs,
    summaries: &[Option<Summary>],
    in_slots: u8,
) -> Effects {
    let insn = &program.insns[at.index()];
    let (reads, writes) = registers(insn);
    let mut effects = Effects { reads, writes, ..Effects::default() };
    if let Some(memory) = touches(insn).memory {
        let base = regs[memory.base.index()];
        let size = memory.size.bytes();
        if memory.mode != Mode::Write {
            effects.through = base.args();
        }
        let (slots, single) = match base {
            Abs::Frame(offs) => (slots_at(&offs, memory.off.into(), size), offs.is_certain()),
            Abs::Any { own: true, .. } => (u64::MAX, false),
            Abs::Any { own: false, .. }
            | Abs::Arg(..)
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
        if let Some(summary) = callee(program, at, target).and_then(|id| summaries[id.index()].as_ref()) {
            effects.reads = summary.regs;
        }
        let all = call_reads(program, at, target, regs, summaries);
        for (pointer, reads) in all {
            effects.uses |= slots_of(pointer, &reads);
            effects.through |= read_through(pointer, &reads, in_slots);
        }
    }
    effects
}

/// The function of the program that a call enters with its caller's frame in place.
fn callee(program: &Program, at: InsnIdx, target: CallTarget) -> Option<SubprogId> {
    let CallTarget::Subprog(off) = target else { return None };
    let id = subprog_at(program, at.jump(off)?)?;
    (!program.subprogs[id.index()].global).then_some(id)
}

/// What a call may read through the pointers into frames that it is handed.
fn call_reads(
    program: &Program,
    at: InsnIdx,
    target: CallTarget,
    regs: &Regs,
    summaries: &[Option<Summary>],
) -> Vec<(Abs, Reads)> {
    let pointers = RegSet::ARGS.iter().map(|reg| (reg, regs[reg.index()]));
    let pointers = pointers.filter(|(_, pointer)| pointer.may_point() || pointer.args() != 0);
    let whole = |pointers: &mut dyn Iterator<Item = (Reg, Abs)>| {
        pointers.map(|(_, p)| (p, Reads::ANYTHING)).collect()
    };
    let mut pointers = pointers;
    match target {
        CallTarget::Subprog(_) => {
            let known = callee(program, at, target).and_then(|id| summaries[id.index()].as_ref());
            let Some(summary) = known else { return whole(&mut pointers) };
            pointers.map(|(reg, pointer)| (pointer, summary.args[reg.index() - 1])).collect()
        }
        CallTarget::Kfunc { .. } => whole(&mut pointers),
        CallTarget::Helper(number) => {
            let Some(id) = HelperId::from_number(number) else { return whole(&mut pointers) };
            helper_reads(program, id, regs, summaries, &mut pointers)
        }
    }
}

fn helper_reads(
    program: &Program,
    id: HelperId,
    regs: &Regs,
    summaries: &[Option<Summary>],
    pointers: &mut dyn Iterator<Item = (Reg, Abs)>,
) -> Vec<(Abs, Reads)> {
    let args = id.info().args;
    let mut all = Vec::new();
    for (reg, pointer) in pointers {
        let Some(arg) = args.get(reg.index() - 1) else { continue };
        if only_writes(*arg) {
            continue;
        }
        if *arg == Arg::StackOrNull {
            all.push((pointer, callback_reads(id, regs, summaries)));
            continue;
        }
        let size = match arg.length() {
            None if !arg.writes() => continue,
            Some(_) => length(program, args, reg, regs),
            None => None,
        };
        let mut reads = Reads::default();
        match (size, pointer) {
            (Some(size), _) => reads.add(0, size.into()),
            // No helper reads beyond the frame's start, or below the pointer.
            (None, Abs::Frame(offs)) => {
                let most = offs.iter().map(|off| -off.min(0)).max().unwrap_or(0);
                reads.add(0, most.into());
            }
            (None, _) => reads.anything = true,
        }
        all.push((pointer, reads));
    }
    all
}

/// What the function that a helper calls back may read through the pointer that it is handed.
fn callback_reads(id: HelperId, regs: &Regs, summaries: &[Option<Summary>]) -> Reads {
    let anything = Reads::ANYTHING;
    let info = id.info();
    // The argument of the function, counted from 0.
    let argument = match info.name {
        "bpf_loop" | "bpf_user_ringbuf_drain" => 1,
        "bpf_find_vma" => 2,
        "bpf_for_each_map_elem" => 3,
        _ => return anything,
    };
    let mut funcs = info.args.iter().zip(RegSet::ARGS.iter()).filter(|(arg, _)| **arg == Arg::Func);
    match funcs.next().map(|(_, reg)| regs[reg.index()]) {
        Some(Abs::Func(func)) => summaries[func.index()].as_ref().map_or(anything, |s| s.args[argument]),
        Some(_) | None => anything,
    }
}

/// How many bytes a helper accesses behind an argument, where that is known.
fn length(program: &Program, args: &[Arg], reg: Reg, regs: &Regs) -> Option<u32> {
    let map = || {
        args.iter().zip(RegSet::ARGS.iter()).find_map(|(arg, reg)| match (arg, regs[reg.index()]) {
            (Arg::Map, Abs::Map(id)) => program.maps.get(id.index()),
            _ => None,
        })
    };
    match args.get(reg.index() - 1)?.length()? {
        ArgLength::Key => map().map(|m| m.key_size),
        ArgLength::Value => map().map(|m| m.value_size),
        ArgLength::Fixed(size) => Some(size),
        ArgLength::Next => match Reg::new(reg.number() + 1).map(|next| regs[next.index()]) {
            Some(Abs::Const(size)) if reg.index() < args.len() => u32::try_from(size).ok(),
            _ => None,
        },
        // A callback may read the whole frame.
        ArgLength::Unknown => None,
    }
}

/// Whether a helper only writes behind an argument, so that the verifier does not look at what was there (but for
/// dynptrs and the like, which states always compare).
fn only_writes(arg: Arg) -> bool {
    matches!(arg, Arg::WriteMem | Arg::WriteMemOrNull | Arg::WriteFixedMem(_) | Arg::WriteMapValue)
}
