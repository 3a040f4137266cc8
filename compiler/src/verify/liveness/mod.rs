//! Which registers and stack slots may still be read: computed once, before any path is explored.
//!
//! Pruning compares only what is live, so a value wrongly called dead would be a hole in the verifier.
//! Registers are easy. Stack slots are read through pointers, so [`frame_pointers`] first bounds where
//! pointers into the own frame can be; a pointer that it lost track of reads every slot. A call that is
//! handed such a pointer reads what the callee may read through it; while the callee runs, only what it is handed in
//! arguments through which it may still read. Pointers into callers' frames are the callers' matter.

mod abs;
mod arguments;
mod calls;
mod frame_pointers;
mod reads;

pub(super) use arguments::Through;
use arguments::{Arguments, Function, Summary};
use calls::Callees;
use frame_pointers::{Effects, FramePointers, effects_of};

use super::kfuncs::Kfuncs;
use super::obligations::RegSet;
use super::structure::subprog_ids;
use crate::cfg::{BlockId, Cfg, reverse_postorder};
use crate::isa::InsnIdx;
use crate::program::{Program, SubprogId};

/// What is live before an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    /// Registers, `r10` left out.
    pub regs: RegSet,
    /// Stack slots: bit n is the slot at `r10 - 8 * (n + 1)`.
    pub slots: u64,
}

impl Live {
    /// What is live before something that reads and kills, when this is live after it.
    fn before(self, effects: &Effects) -> Self {
        Self {
            regs: self.regs.without(effects.writes).union(effects.reads),
            slots: self.slots & !effects.kills | effects.uses,
        }
    }

    fn join(self, other: &Self) -> Self {
        Self { regs: self.regs.union(other.regs), slots: self.slots | other.slots }
    }
}

/// What is live before each instruction of a program.
#[derive(Debug)]
pub(super) struct Liveness {
    regs: Vec<RegSet>,
    slots: Vec<u64>,
    arguments: Arguments,
}

impl Liveness {
    /// Computes it. Nearly linear in the size of the program. `order`: all functions, callees after their callers.
    pub fn new(program: &Program, kfuncs: &Kfuncs, cfgs: &[Cfg], order: &[SubprogId]) -> Self {
        let count = program.insns.len();
        let mut all = Self {
            regs: vec![RegSet::NONE; count],
            slots: vec![0; count],
            arguments: Arguments::new(program),
        };
        let mut summaries = vec![None; cfgs.len()];
        // Functions that only the loader names are in no order, and nothing is assumed of what they call.
        let others = subprog_ids(program).filter(|id| !order.contains(id));
        for id in order.iter().rev().copied().chain(others) {
            if let Some(cfg) = cfgs.get(id.index()) {
                let callees = Callees { program, kfuncs, summaries: &summaries };
                let summary = all.add(callees, cfg, id);
                summaries[id.index()] = Some(summary);
            }
        }
        all.arguments.finish();
        all
    }

    /// Takes all stack slots for dead: a mistake that tests plant.
    pub fn forget_slots(&mut self) {
        self.slots.fill(0);
        self.arguments.forget_handed();
    }

    /// Takes what calls hand to functions for dead while these run: a mistake that tests plant.
    pub fn forget_handed(&mut self) {
        self.arguments.forget_handed();
    }

    /// What is live before an instruction.
    pub fn before(&self, at: InsnIdx) -> Live {
        Live { regs: self.regs[at.index()], slots: self.slots[at.index()] }
    }

    /// What may be read through a function's arguments from an instruction on.
    pub fn through(&self, at: InsnIdx) -> Through {
        self.arguments.before(at)
    }

    /// What is live in a caller while the call at an instruction runs: what it keeps until afterwards, and what the
    /// callee may still read through its arguments. A call that `calls_back` is executed again when the function
    /// returns: all of its own arguments count.
    pub fn during_call(&self, at: InsnIdx, calls_back: bool, through: &Through) -> Live {
        let after = self.before(Self::after_call(at, calls_back));
        let kept = if calls_back { after.regs } else { after.regs.intersect(RegSet::CALLEE_SAVED) };
        Live { regs: kept, slots: after.slots | self.arguments.slots_in_caller(at, through) }
    }

    /// The same of what may be read through the caller's own arguments.
    pub fn through_during_call(&self, at: InsnIdx, calls_back: bool, through: &Through) -> Through {
        self.arguments.through_in_caller(at, Self::after_call(at, calls_back), through)
    }

    fn after_call(at: InsnIdx, calls_back: bool) -> InsnIdx {
        // A call is never the last instruction of a function.
        if calls_back { at } else { InsnIdx(at.0 + 1) }
    }

    fn add(&mut self, callees: Callees<'_>, cfg: &Cfg, id: SubprogId) -> Summary {
        let start = callees.program.subprogs[id.index()].start;
        let pointers = FramePointers::new(callees.program, cfg, id != SubprogId::MAIN);
        let mut effects: Vec<Effects> = Vec::new();
        // What a block as a whole does: the later instruction's reads first lose what the earlier kills.
        let mut blocks = Vec::with_capacity(cfg.blocks.len());
        let mut function = Function::new(id, &pointers);
        let look = self.arguments.matter();
        for id in cfg.ids() {
            let first = effects.len();
            pointers.each(callees.program, cfg, id, |at, regs| {
                effects.push(effects_of(callees, at, regs));
                if look {
                    self.arguments.look(callees, at, regs, &mut function);
                }
            });
            function.end_block();
            let of_block = first..effects.len();
            let sum = effects[of_block.clone()].iter().rev().fold(Effects::default(), |sum, e| e.then(&sum));
            blocks.push((of_block, sum));
        }
        let entry = solve(cfg, |id, after: &Live| after.before(&blocks[id.index()].1), Live::join);
        for (id, (of_block, _)) in cfg.ids().zip(&blocks) {
            let block = cfg.block(id);
            let after = block.successors().map(|next| entry[next.index()]);
            let mut live = after.fold(Live::default(), |live, next| live.join(&next));
            for (at, effect) in block.insns().rev().zip(effects[of_block.clone()].iter().rev()) {
                live = live.before(effect);
                self.regs[at.index()] = live.regs;
                self.slots[at.index()] = live.slots;
            }
        }
        let args = self.arguments.add(callees, cfg, id, (&pointers, &function));
        Summary { args, regs: self.regs[start.index()].intersect(RegSet::ARGS) }
    }
}

/// What is live at the start of each block: `before` says it of a block from what is live behind it.
fn solve<L: Copy + Default + PartialEq>(
    cfg: &Cfg,
    before: impl Fn(BlockId, &L) -> L,
    join: impl Fn(L, &L) -> L,
) -> Vec<L> {
    let mut entry = vec![L::default(); cfg.blocks.len()];
    let predecessors = cfg.predecessors();
    // Postorder: successors first.
    let mut work: Vec<BlockId> = reverse_postorder(cfg);
    let mut queued = vec![true; cfg.blocks.len()];
    while let Some(id) = work.pop() {
        queued[id.index()] = false;
        let after =
            cfg.block(id).successors().fold(L::default(), |live, next| join(live, &entry[next.index()]));
        let live = before(id, &after);
        if live == entry[id.index()] {
            continue;
        }
        entry[id.index()] = live;
        for pred in &predecessors[id.index()] {
            if !std::mem::replace(&mut queued[pred.index()], true) {
                work.push(*pred);
            }
        }
    }
    entry
}

#[cfg(test)]
mod tests;
