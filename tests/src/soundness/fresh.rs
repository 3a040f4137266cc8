//! What can differ between two states that follow each other, so that the rest need not be compared again.
//!
//! A value that is the same before and after an instruction, in the abstract state and in a run, lies inside where it did so
//! before. The module could be wrong by missing a write; where it is not sure, everything counts as written.

use brolga_compiler::isa::{AtomicOp, Insn, Reg};
use brolga_compiler::verify::observe::{FrameView, KeptState, ValueKind};

use super::claims::touched;
use super::graph::Set;

/// What may differ after an instruction, by frame; nothing where everything may.
pub fn between(insn: &Insn, before: &KeptState, after: &KeptState) -> Vec<Set> {
    let Some(written) = written(insn) else { return Vec::new() };
    if before.depth() != after.depth() {
        return Vec::new();
    }
    let top = after.depth() - 1;
    let mut sets = vec![Set::default(); after.depth()];
    sets[top].regs |= written;
    if let Some((base, off, size)) = touched(insn) {
        let base = before.frame(top).reg(base);
        if let ValueKind::Stack { frame } = base.kind() {
            let exact = base.num().as_constant();
            let start = exact.map(|num| num.cast_signed() + i64::from(base.off()) + i64::from(off));
            sets[frame].slots |= start.map_or(u64::MAX, |start| slots(start, i64::from(size.bytes())));
        }
    }
    for (index, set) in sets.iter_mut().enumerate() {
        differing(before.frame(index), after.frame(index), set);
    }
    link(after, &mut sets);
    sets
}

fn slots(start: i64, size: i64) -> u64 {
    let slot = |at: i64| usize::try_from((-at - 1) / 8).ok().filter(|slot| *slot < 64);
    match (slot(start), slot(start + size - 1)) {
        (Some(last), Some(first)) => (first..=last).fold(0, |set, slot| set | 1 << slot),
        _ => u64::MAX,
    }
}

fn differing(before: FrameView<'_>, after: FrameView<'_>, set: &mut Set) {
    for reg in Reg::all() {
        if !before.reg(reg).is_same(&after.reg(reg)) {
            set.regs |= 1 << reg.number();
        }
    }
    for (index, slot) in after.slots().enumerate() {
        let same = before.slot(index).is_some_and(|old| {
            let spills = match (old.spill(), slot.spill()) {
                (None, None) => true,
                (Some((a, _)), Some((b, _))) => a.is_same(&b),
                _ => false,
            };
            spills && old.bytes() == slot.bytes()
        });
        if !same {
            set.slots |= 1 << index;
        }
    }
}

/// Values that are linked to fresh ones are compared with them.
fn link(state: &KeptState, sets: &mut [Set]) {
    let mut ids = Vec::new();
    each(state, |index, bit, is_slot, id| {
        let set = if is_slot { sets[index].slots } else { sets[index].regs.into() };
        if set >> bit & 1 != 0 {
            ids.push(id);
        }
    });
    if ids.is_empty() {
        return;
    }
    each(state, |index, bit, is_slot, id| {
        if ids.contains(&id) {
            if is_slot {
                sets[index].slots |= 1 << bit;
            } else {
                sets[index].regs |= 1 << bit;
            }
        }
    });
}

/// Visits every value with an id: frame, number of the register or slot, whether it is a slot, id.
fn each(state: &KeptState, mut visit: impl FnMut(usize, u32, bool, u32)) {
    for (index, frame) in state.frames().enumerate() {
        for reg in Reg::all() {
            let id = frame.reg(reg).id();
            if id != 0 {
                visit(index, reg.number().into(), false, id);
            }
        }
        for (bit, slot) in (0..).zip(frame.slots()) {
            if let Some((value, _)) = slot.spill()
                && value.id() != 0
            {
                visit(index, bit, true, value.id());
            }
        }
    }
}

/// The registers that an instruction writes; `None` where it may write anything.
fn written(insn: &Insn) -> Option<u16> {
    let one = |reg: Reg| Some(1u16 << reg.number());
    match *insn {
        Insn::Alu { dst, .. }
        | Insn::MovSx { dst, .. }
        | Insn::Neg { dst, .. }
        | Insn::Endian { dst, .. }
        | Insn::AddrSpaceCast { dst, .. }
        | Insn::LoadImm64 { dst, .. }
        | Insn::Load { dst, .. }
        | Insn::LoadAcquire { dst, .. } => one(dst),
        Insn::Atomic { op: AtomicOp::Cmpxchg, .. } => one(Reg::R0),
        Insn::Atomic { src, .. } => one(src),
        Insn::Store { .. }
        | Insn::StoreRelease { .. }
        | Insn::SecondSlot
        | Insn::Ja { .. }
        | Insn::Gotol { .. }
        | Insn::Branch { .. } => Some(0),
        Insn::MayGoto { .. } | Insn::LegacyLoad { .. } | Insn::Call(_) | Insn::Exit => None,
    }
}
