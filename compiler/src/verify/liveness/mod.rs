//! Which registers and stack slots may still be read: computed once, before any path is explored.
//!
//! Pruning compares only what is live, so a value wrongly called dead would be a hole in the verifier.
//! Registers are easy. Stack slots are read through pointers, so [`frame_pointers`] first bounds where
//! pointers into the own frame can be; a pointer that it lost track of reads every slot. A call that is
//! handed such a pointer reads every slot for as long as it runs. Pointers into callers' frames are the
//! callers' matter.

mod frame_pointers;

use frame_pointers::{Effects, FramePointers};

use super::obligations::{RegSet, touches};
use crate::cfg::{BlockId, Cfg, reverse_postorder};
use crate::isa::InsnIdx;
use crate::program::Program;

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

    fn join(self, other: Self) -> Self {
        Self { regs: self.regs.union(other.regs), slots: self.slots | other.slots }
    }
}

/// What is live before each instruction of a program.
#[derive(Debug)]
pub(super) struct Liveness {
    regs: Vec<RegSet>,
    slots: Vec<u64>,
}

impl Liveness {
    /// Computes it. Nearly linear in the size of the program.
    pub fn new(program: &Program, cfgs: &[Cfg]) -> Self {
        let count = program.insns.len();
        let mut all = Self { regs: vec![RegSet::NONE; count], slots: vec![0; count] };
        for cfg in cfgs {
            all.add(program, cfg);
        }
        all
    }

    /// What is live before an instruction.
    pub fn before(&self, at: InsnIdx) -> Live {
        Live { regs: self.regs[at.index()], slots: self.slots[at.index()] }
    }

    /// What is live in a caller while the call at an instruction runs: what it keeps until afterwards,
    /// and every slot where the callee was handed a pointer to one.
    pub fn during_call(&self, at: InsnIdx) -> Live {
        // A call is never the last instruction of a function.
        let after = self.before(InsnIdx(at.0 + 1));
        Live { regs: after.regs.intersect(RegSet::CALLEE_SAVED), slots: self.before(at).slots }
    }

    fn add(&mut self, program: &Program, cfg: &Cfg) {
        let pointers = FramePointers::new(program, cfg);
        let mut effects = Vec::new();
        // What a block as a whole does: the later instruction's reads first lose what the earlier kills.
        let summaries: Vec<Effects> = cfg
            .ids()
            .map(|id| {
                pointers.effects_of(program, cfg, id, &mut effects);
                effects.iter().rev().fold(Effects::default(), |sum, e| e.then(&sum))
            })
            .collect();
        let entry = solve(cfg, &summaries);
        for id in cfg.ids() {
            pointers.effects_of(program, cfg, id, &mut effects);
            let block = cfg.block(id);
            let mut live = live_out(cfg, id, &entry);
            for (at, effect) in block.insns().rev().zip(effects.iter().rev()) {
                live = live.before(effect);
                self.regs[at.index()] = live.regs;
                self.slots[at.index()] = live.slots;
            }
        }
    }
}

fn live_out(cfg: &Cfg, id: BlockId, entry: &[Live]) -> Live {
    cfg.block(id).successors().fold(Live::default(), |live, next| live.join(entry[next.index()]))
}

/// What is live at the start of each block.
fn solve(cfg: &Cfg, summaries: &[Effects]) -> Vec<Live> {
    let mut entry = vec![Live::default(); cfg.blocks.len()];
    let predecessors = cfg.predecessors();
    // Postorder: successors first.
    let mut work: Vec<BlockId> = reverse_postorder(cfg);
    let mut queued = vec![true; cfg.blocks.len()];
    while let Some(id) = work.pop() {
        queued[id.index()] = false;
        let live = live_out(cfg, id, &entry).before(&summaries[id.index()]);
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

/// Registers that an instruction reads and writes, `r10` left out.
fn registers(insn: &crate::isa::Insn) -> (RegSet, RegSet) {
    let touched = touches(insn);
    let frame = RegSet::of(crate::isa::Reg::R10);
    (touched.reads.without(frame), touched.writes.without(frame))
}

#[cfg(test)]
mod tests {
    use brolga_abi::ProgramKind;

    use super::*;
    use crate::isa::{AluOp, CallTarget, Insn, Operand, Reg, Size, Width};

    fn liveness(insns: Vec<Insn>) -> Liveness {
        let program = Program::from_insns("test", ProgramKind::Xdp, insns, Vec::new().into());
        let cfgs: Vec<Cfg> =
            super::super::structure::subprog_ids(&program).map(|id| Cfg::new(&program, id)).collect();
        Liveness::new(&program, &cfgs)
    }

    fn mov(dst: Reg, src: Operand) -> Insn {
        Insn::Alu { op: AluOp::Mov, width: Width::W64, dst, src }
    }

    fn store(off: i16) -> Insn {
        Insn::Store { size: Size::DW, base: Reg::R10, off, src: Operand::Imm(0) }
    }

    fn load(base: Reg, off: i16) -> Insn {
        Insn::Load { size: Size::DW, signed: false, dst: Reg::R0, base, off }
    }

    #[test]
    fn a_slot_lives_from_store_to_load() {
        let live = liveness(vec![store(-8), store(-16), load(Reg::R10, -8), Insn::Exit]);
        assert_eq!(live.before(InsnIdx(0)).slots, 0);
        assert_eq!(live.before(InsnIdx(1)).slots, 1);
        assert_eq!(live.before(InsnIdx(2)).slots, 1);
        assert_eq!(live.before(InsnIdx(3)), Live { regs: RegSet::of(Reg::R0), slots: 0 });
    }

    #[test]
    fn an_unknown_pointer_reads_every_slot() {
        let add = Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R2, src: Operand::Reg(Reg::R1) };
        let live = liveness(vec![mov(Reg::R2, Operand::Reg(Reg::R10)), add, load(Reg::R2, 0), Insn::Exit]);
        assert_eq!(live.before(InsnIdx(0)).slots, u64::MAX);
        assert_eq!(live.before(InsnIdx(2)).regs, RegSet::of(Reg::R2));
    }

    #[test]
    fn a_callee_may_read_what_it_is_handed() {
        let call = Insn::Call(CallTarget::Subprog(2));
        let live = liveness(vec![
            mov(Reg::R1, Operand::Reg(Reg::R10)),
            call,
            mov(Reg::R0, Operand::Imm(0)),
            Insn::Exit,
            load(Reg::R1, -8),
            Insn::Exit,
        ]);
        assert_eq!(live.during_call(InsnIdx(1)).slots, u64::MAX);
        assert_eq!(live.before(InsnIdx(2)).slots, 0);
    }

    #[test]
    fn a_pointer_that_was_spilled_reads_where_it_points() {
        let spill = Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R2) };
        let add = Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R2, src: Operand::Imm(-24) };
        let fill = Insn::Load { size: Size::DW, signed: false, dst: Reg::R3, base: Reg::R10, off: -8 };
        let live = liveness(vec![
            mov(Reg::R2, Operand::Reg(Reg::R10)),
            add,
            spill,
            fill,
            load(Reg::R3, 0),
            Insn::Exit,
        ]);
        assert_eq!(live.before(InsnIdx(3)).slots, 0b101);
    }
}
