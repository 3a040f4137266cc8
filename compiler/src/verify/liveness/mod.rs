//! Which registers and stack slots may still be read: computed once, before any path is explored.
//!
//! Pruning compares only what is live, so a value wrongly called dead would be a hole in the verifier.
//! Registers are easy. Stack slots are read through pointers, so [`frame_pointers`] first bounds where
//! pointers into the own frame can be; a pointer that it lost track of reads every slot. A call that is
//! handed such a pointer reads what the callee may read through it; while the callee runs, only what it is handed in
//! arguments through which it may still read. Pointers into callers' frames are the callers' matter.

mod abs;
mod frame_pointers;

use frame_pointers::{Effects, FramePointers, Handed, Summary};

use super::obligations::{RegSet, touches};
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
    /// Arguments of the function through which memory may still be read: bit 0 is what was in `r1`.
    pub through: u8,
}

impl Live {
    /// Nothing.
    pub const NONE: Self = Self { regs: RegSet::NONE, slots: 0, through: 0 };

    /// What is live before something that reads and kills, when this is live after it.
    fn before(self, effects: &Effects) -> Self {
        Self {
            regs: self.regs.without(effects.writes).union(effects.reads),
            slots: self.slots & !effects.kills | effects.uses,
            through: self.through | effects.through,
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            regs: self.regs.union(other.regs),
            slots: self.slots | other.slots,
            through: self.through | other.through,
        }
    }
}

/// What is live before each instruction of a program.
#[derive(Debug)]
pub(super) struct Liveness {
    regs: Vec<RegSet>,
    slots: Vec<u64>,
    through: Vec<u8>,
    /// What calls hand to functions of the program, by instruction.
    handed: Vec<(InsnIdx, [Handed; 5])>,
}

impl Liveness {
    /// Computes it. Nearly linear in the size of the program. `order`: all functions, callees after their callers.
    pub fn new(program: &Program, cfgs: &[Cfg], order: &[SubprogId]) -> Self {
        let count = program.insns.len();
        let mut all = Self {
            regs: vec![RegSet::NONE; count],
            slots: vec![0; count],
            through: vec![0; count],
            handed: Vec::new(),
        };
        let mut summaries = vec![None; cfgs.len()];
        // Functions that only the loader names are in no order, and nothing is assumed of what they call.
        let others = subprog_ids(program).filter(|id| !order.contains(id));
        for id in order.iter().rev().copied().chain(others) {
            if let Some(cfg) = cfgs.get(id.index()) {
                let summary = all.add(program, cfg, id, &summaries);
                summaries[id.index()] = Some(summary);
            }
        }
        all.handed.sort_unstable_by_key(|(at, _)| *at);
        all
    }

    /// Takes all stack slots for dead: a mistake that tests plant.
    pub fn forget_slots(&mut self) {
        self.slots.fill(0);
        self.handed.clear();
    }

    /// Takes what calls hand to functions for dead while these run: a mistake that tests plant.
    pub fn forget_handed(&mut self) {
        self.handed.clear();
    }

    /// What is live before an instruction.
    pub fn before(&self, at: InsnIdx) -> Live {
        let at = at.index();
        Live { regs: self.regs[at], slots: self.slots[at], through: self.through[at] }
    }

    /// What is live in a caller while the call at an instruction runs: what it keeps until afterwards,
    /// and what the callee was handed in arguments through which it may still read.
    pub fn during_call(&self, at: InsnIdx, through: u8) -> Live {
        // A call is never the last instruction of a function.
        let after = self.before(InsnIdx(at.0 + 1));
        let mut live = Live { regs: after.regs.intersect(RegSet::CALLEE_SAVED), ..after };
        if through != 0
            && let Ok(found) = self.handed.binary_search_by_key(&at, |(at, _)| *at)
        {
            let handed = self.handed[found].1.iter().enumerate();
            for (_, handed) in handed.filter(|(index, _)| through >> index & 1 != 0) {
                live.slots |= handed.slots;
                live.through |= handed.through;
            }
        }
        live
    }

    fn add(&mut self, program: &Program, cfg: &Cfg, id: SubprogId, summaries: &[Option<Summary>]) -> Summary {
        let start = program.subprogs[id.index()].start;
        let pointers = FramePointers::new(program, cfg, id != SubprogId::MAIN);
        let mut effects = Vec::new();
        // What a block as a whole does: the later instruction's reads first lose what the earlier kills.
        let blocks: Vec<Effects> = cfg
            .ids()
            .map(|id| {
                pointers.effects_of(program, cfg, summaries, id, &mut effects);
                effects.iter().rev().fold(Effects::default(), |sum, e| e.then(&sum))
            })
            .collect();
        let entry = solve(cfg, &blocks);
        for id in cfg.ids() {
            pointers.effects_of(program, cfg, summaries, id, &mut effects);
            let block = cfg.block(id);
            let mut live = live_out(cfg, id, &entry);
            for (at, effect) in block.insns().rev().zip(effects.iter().rev()) {
                live = live.before(effect);
                self.regs[at.index()] = live.regs;
                self.slots[at.index()] = live.slots;
                self.through[at.index()] = live.through;
            }
            pointers.handed_in(program, cfg, summaries, id, &mut self.handed);
        }
        if id == SubprogId::MAIN {
            return Summary::default();
        }
        let mut summary = pointers.summary(program, cfg, summaries);
        summary.regs = self.regs[start.index()].intersect(RegSet::ARGS);
        summary
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
        // In these programs, functions stand behind their callers.
        let order: Vec<SubprogId> = super::super::structure::subprog_ids(&program).collect();
        Liveness::new(&program, &cfgs, &order)
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
        assert_eq!(live.before(InsnIdx(3)), Live { regs: RegSet::of(Reg::R0), ..Live::default() });
    }

    #[test]
    fn an_unknown_pointer_reads_every_slot() {
        let add = Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R2, src: Operand::Reg(Reg::R1) };
        let live = liveness(vec![mov(Reg::R2, Operand::Reg(Reg::R10)), add, load(Reg::R2, 0), Insn::Exit]);
        assert_eq!(live.before(InsnIdx(0)).slots, u64::MAX);
        assert_eq!(live.before(InsnIdx(2)).regs, RegSet::of(Reg::R2));
    }

    /// `main` hands `r10 - 16` to a function with this body, whose first instruction is the fifth.
    fn handing_over(body: Vec<Insn>) -> Liveness {
        let add = Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R1, src: Operand::Imm(-16) };
        let call = Insn::Call(CallTarget::Subprog(2));
        let mut insns =
            vec![mov(Reg::R1, Operand::Reg(Reg::R10)), add, call, mov(Reg::R0, Operand::Imm(0)), Insn::Exit];
        insns.extend(body);
        liveness(insns)
    }

    /// Slots of the caller that are live where the function is entered.
    fn entering(live: &Liveness) -> u64 {
        live.during_call(InsnIdx(2), live.before(InsnIdx(5)).through).slots
    }

    #[test]
    fn what_a_callee_has_read_through_an_argument_is_dead() {
        let nothing = mov(Reg::R0, Operand::Imm(0));
        let live = handing_over(vec![load(Reg::R1, 8), nothing, Insn::Exit]);
        let at = |at| live.during_call(InsnIdx(2), live.before(InsnIdx(at)).through).slots;
        assert_eq!([at(5), at(6), at(7)], [0b1, 0, 0]);
        // Nothing is said of arguments one by one where the pointer may come from several.
        let pick = Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R2, src: Operand::Reg(Reg::R1) };
        let live = handing_over(vec![load(Reg::R1, 8), pick, load(Reg::R2, 0), Insn::Exit]);
        let at = |at| live.during_call(InsnIdx(2), live.before(InsnIdx(at)).through).slots;
        assert_eq!([at(6), at(7), at(8)], [u64::MAX, u64::MAX, 0]);
    }

    /// A function that runs for another one that was handed a pointer.
    #[test]
    fn what_a_callee_hands_on_lives_as_long_as_it_is_read_there() {
        let call = Insn::Call(CallTarget::Subprog(2));
        let body =
            |last| vec![call, last, Insn::Exit, load(Reg::R1, 0), mov(Reg::R1, Operand::Imm(0)), Insn::Exit];
        let at = |live: &Liveness, at| {
            let inner = live.during_call(InsnIdx(5), live.before(InsnIdx(at)).through);
            live.during_call(InsnIdx(2), inner.through).slots
        };
        let live = handing_over(body(mov(Reg::R0, Operand::Imm(0))));
        assert_eq!([at(&live, 8), at(&live, 9)], [0b10, 0]);
        // What it reads itself afterwards lives as well.
        let keep = mov(Reg::R6, Operand::Reg(Reg::R1));
        let live = handing_over(vec![
            keep,
            call,
            load(Reg::R6, 8),
            Insn::Exit,
            load(Reg::R1, 0),
            mov(Reg::R1, Operand::Imm(0)),
            Insn::Exit,
        ]);
        let at = |at| {
            let inner = live.during_call(InsnIdx(6), live.before(InsnIdx(at)).through);
            live.during_call(InsnIdx(2), inner.through).slots
        };
        assert_eq!([at(9), at(10)], [0b11, 0b11]);
    }

    #[test]
    fn a_callee_reads_what_it_loads_through_an_argument() {
        let live = handing_over(vec![load(Reg::R1, 8), Insn::Exit]);
        assert_eq!(entering(&live), 0b1);
        assert_eq!(live.before(InsnIdx(3)).slots, 0);
        let add = Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R1, src: Operand::Imm(-8) };
        let live = handing_over(vec![add, load(Reg::R1, 0), Insn::Exit]);
        assert_eq!(entering(&live), 0b100);
    }

    #[test]
    fn a_pointer_to_one_of_two_slots_reads_both_and_overwrites_neither() {
        let add = |imm| Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R2, src: Operand::Imm(imm) };
        let skip = Insn::Branch {
            cond: crate::isa::Cond::Eq,
            width: Width::W64,
            dst: Reg::R1,
            src: Operand::Imm(0),
            off: 1,
        };
        let moved = |last| {
            liveness(vec![
                mov(Reg::R2, Operand::Reg(Reg::R10)),
                add(-8),
                skip,
                add(-16),
                last,
                load(Reg::R10, -24),
                Insn::Exit,
            ])
        };
        assert_eq!(moved(load(Reg::R2, 0)).before(InsnIdx(4)).slots, 0b101);
        let write = Insn::Store { size: Size::DW, base: Reg::R2, off: 0, src: Operand::Imm(0) };
        assert_eq!(moved(write).before(InsnIdx(4)).slots, 0b100);
        let many = |n: i32| add(-8 * n);
        let live = liveness(vec![
            mov(Reg::R2, Operand::Reg(Reg::R10)),
            add(-8),
            skip,
            many(1),
            skip,
            many(2),
            skip,
            many(4),
            skip,
            many(8),
            load(Reg::R2, 0),
            Insn::Exit,
        ]);
        assert_eq!(live.before(InsnIdx(10)).slots, u64::MAX);
    }

    #[test]
    fn a_callee_may_read_anything_through_an_argument_that_it_moves_about() {
        let add = Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R1, src: Operand::Reg(Reg::R2) };
        let live = handing_over(vec![add, load(Reg::R1, 8), Insn::Exit]);
        assert_eq!(entering(&live), u64::MAX);
    }

    #[test]
    fn pointers_that_are_moved_far_away_are_lost() {
        let add = |imm| Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R1, src: Operand::Imm(imm) };
        let live = handing_over(vec![add(i32::MIN), load(Reg::R1, 8), Insn::Exit]);
        assert_eq!(entering(&live), u64::MAX);
        let live =
            liveness(vec![mov(Reg::R1, Operand::Reg(Reg::R10)), add(i32::MIN), load(Reg::R1, 0), Insn::Exit]);
        assert_eq!(live.before(InsnIdx(2)).slots, u64::MAX);
    }

    #[test]
    fn a_callee_may_read_anything_through_what_it_loads() {
        let fill = Insn::Load { size: Size::DW, signed: false, dst: Reg::R2, base: Reg::R1, off: 0 };
        let live = handing_over(vec![fill, load(Reg::R2, 0), Insn::Exit]);
        assert_eq!(entering(&live), u64::MAX);
    }

    #[test]
    fn an_argument_that_a_callee_spills_is_still_an_argument() {
        let spill = Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R1) };
        let fill = Insn::Load { size: Size::DW, signed: false, dst: Reg::R3, base: Reg::R10, off: -8 };
        let live = handing_over(vec![spill, fill, load(Reg::R3, 0), Insn::Exit]);
        assert_eq!(entering(&live), 0b10);
    }

    #[test]
    fn a_callee_hands_on_what_it_was_handed() {
        let call = Insn::Call(CallTarget::Subprog(1));
        let live = handing_over(vec![call, Insn::Exit, load(Reg::R1, 0), Insn::Exit]);
        assert_eq!(entering(&live), 0b10);
        // A kernel function may read anything.
        let call = Insn::Call(CallTarget::Kfunc { module: 0, id: 1 });
        let live = handing_over(vec![call, Insn::Exit]);
        assert_eq!(entering(&live), u64::MAX);
    }

    /// What a function spilled can be read by whoever may read all of its frame.
    #[test]
    fn a_callee_hands_on_what_its_frame_holds() {
        let spill = Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R1) };
        let call = Insn::Call(CallTarget::Kfunc { module: 0, id: 1 });
        let live = handing_over(vec![spill, mov(Reg::R1, Operand::Reg(Reg::R10)), call, Insn::Exit]);
        assert_eq!(entering(&live), u64::MAX);
    }

    #[test]
    fn arguments_live_where_the_callee_looks_at_them() {
        let live = handing_over(vec![load(Reg::R3, 0), Insn::Exit]);
        assert_eq!(live.before(InsnIdx(2)).regs, RegSet::of(Reg::R3));
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
