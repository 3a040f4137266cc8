//! Control flow of one function's bytecode, as far as facts let it be executed, and which registers
//! live where.

use brolga_abi::HelperId;

use super::internal;
use crate::diag::CompileError;
use crate::isa::{AluOp, AtomicOp, CallTarget, Insn, InsnIdx, LegacyOffset, Operand, Reg};
use crate::program::{Program, SubprogId};
use crate::verify::Facts;

/// A set of variables: bits 0 to 9 are registers, bit 10 the loop budget of `may_goto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RegSet(u16);

/// How many variables there are.
pub(super) const VARIABLES: usize = 11;
/// The variable that holds the loop budget of `may_goto`.
pub(super) const BUDGET: usize = 10;

impl RegSet {
    /// r1 to r5.
    pub(super) const ARGUMENTS: Self = Self(0b11_1110);
    const NONE: Self = Self(0);
    const BUDGET: Self = Self(1 << BUDGET);
    /// What a call overwrites: r0 to r5.
    const CALL: Self = Self(0b11_1111);

    /// One register; the frame pointer is no variable.
    fn of(reg: Reg) -> Self {
        if reg == Reg::R10 { Self::NONE } else { Self(1 << reg.number()) }
    }

    fn operand(operand: Operand) -> Self {
        match operand {
            Operand::Reg(reg) => Self::of(reg),
            Operand::Imm(_) => Self::NONE,
        }
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether a variable is in the set.
    pub(super) const fn contains(self, variable: usize) -> bool {
        self.0 >> variable & 1 == 1
    }
}

/// A basic block of bytecode.
#[derive(Clone, Debug)]
pub(super) struct FlowBlock {
    /// First instruction.
    pub(super) start: InsnIdx,
    /// Past the last instruction.
    pub(super) end: InsnIdx,
    /// Blocks that may follow, by index.
    pub(super) successors: Vec<usize>,
    /// Blocks that may lead here.
    pub(super) predecessors: Vec<usize>,
    /// Variables that are read before they are written, from the block's start on.
    pub(super) live_in: RegSet,
}

/// The flow of one function.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Blocks by start.
    pub(super) blocks: Vec<FlowBlock>,
    /// Indices of blocks in reverse postorder.
    pub(super) order: Vec<usize>,
    first: usize,
    /// Block by instruction, for those that start one.
    block_at: Vec<Option<u32>>,
}

/// Where control goes after an instruction that ends a block.
struct Exits {
    taken: Option<InsnIdx>,
    next: bool,
}

impl Flow {
    /// Finds the blocks of a function.
    pub(super) fn new(program: &Program, facts: &Facts, id: SubprogId) -> Result<Self, CompileError> {
        let range = program.subprog_range(id);
        let first = range.start;
        let mut leader = vec![false; range.len() + 1];
        let mut exits = Vec::new();
        leader[0] = true;
        for at in range.clone() {
            let idx = insn_idx(at);
            if !facts.at(idx).reach.executed {
                continue;
            }
            if let Some(exit) = exits_of(program, facts, idx)? {
                if let Some(target) = exit.taken {
                    if !range.contains(&target.index()) || !facts.at(target).reach.executed {
                        return Err(internal(program, idx, "a jump leads to where nothing is executed"));
                    }
                    leader[target.index() - first] = true;
                }
                leader[at + 1 - first] = true;
                exits.push((at, exit));
            }
        }
        let mut flow =
            Self { blocks: Vec::new(), order: Vec::new(), first, block_at: vec![None; range.len()] };
        flow.cut(program, facts, range, &leader)?;
        flow.connect(program, &exits)?;
        flow.order = flow.reverse_postorder();
        Ok(flow)
    }

    /// The block that starts at an instruction.
    pub(super) fn block_at(&self, at: InsnIdx) -> Option<usize> {
        let index = at.index().checked_sub(self.first)?;
        self.block_at.get(index).copied().flatten().map(|b| b as usize)
    }

    fn cut(
        &mut self,
        program: &Program,
        facts: &Facts,
        range: std::ops::Range<usize>,
        leader: &[bool],
    ) -> Result<(), CompileError> {
        let mut at = range.start;
        while at < range.end {
            if !facts.at(insn_idx(at)).reach.executed {
                at += 1;
                continue;
            }
            let start = at;
            at += 1;
            while at < range.end
                && !leader[at - range.start]
                && (facts.at(insn_idx(at)).reach.executed || program.insns[at] == Insn::SecondSlot)
            {
                at += 1;
            }
            self.block_at[start - range.start] = u32::try_from(self.blocks.len()).ok();
            self.blocks.push(FlowBlock {
                start: insn_idx(start),
                end: insn_idx(at),
                successors: Vec::new(),
                predecessors: Vec::new(),
                live_in: RegSet::NONE,
            });
        }
        if self.block_at.first().copied().flatten().is_none() {
            return Err(internal(
                program,
                insn_idx(range.start),
                "a function that is called is never entered",
            ));
        }
        Ok(())
    }

    fn connect(&mut self, program: &Program, exits: &[(usize, Exits)]) -> Result<(), CompileError> {
        let mut exits = exits.iter().peekable();
        for index in 0..self.blocks.len() {
            let (start, end) = (self.blocks[index].start, self.blocks[index].end);
            while exits.peek().is_some_and(|(at, _)| *at < start.index()) {
                exits.next();
            }
            let exit = exits.next_if(|(at, _)| *at < end.index());
            let (taken, next) = exit.map_or((None, true), |(_, exit)| (exit.taken, exit.next));
            let mut successors = Vec::with_capacity(2);
            if next {
                successors.push(end);
            }
            successors.extend(taken);
            for target in successors {
                let Some(successor) = self.block_at(target) else {
                    let last = insn_idx(end.index() - 1);
                    return Err(internal(program, last, "control leaves what is executed"));
                };
                self.blocks[index].successors.push(successor);
                self.blocks[successor].predecessors.push(index);
            }
        }
        Ok(())
    }

    fn reverse_postorder(&self) -> Vec<usize> {
        let mut seen = vec![false; self.blocks.len()];
        let mut order = Vec::with_capacity(self.blocks.len());
        let mut stack = vec![(0usize, 0usize)];
        seen[0] = true;
        while let Some((block, next)) = stack.last_mut() {
            // From the last successor to the first: the way straight on then follows at once.
            let successors = &self.blocks[*block].successors;
            if *next < successors.len() {
                let successor = successors[successors.len() - 1 - *next];
                *next += 1;
                if !std::mem::replace(&mut seen[successor], true) {
                    stack.push((successor, 0));
                }
            } else {
                order.push(*block);
                stack.pop();
            }
        }
        order.reverse();
        order
    }

    /// Computes `live_in` of all blocks. `arguments` says by function which of r1 to r5 it reads.
    pub(super) fn find_live(&mut self, program: &Program, facts: &Facts, arguments: &[RegSet]) {
        let mut effects = Vec::with_capacity(self.blocks.len());
        for block in &mut self.blocks {
            let (mut reads, mut writes) = (RegSet::NONE, RegSet::NONE);
            for at in (block.start.index()..block.end.index()).rev() {
                let (r, w) = effect(program, facts, insn_idx(at), arguments);
                reads = reads.without(w).or(r);
                writes = writes.or(w);
            }
            effects.push((reads, writes));
            block.live_in = RegSet::NONE;
        }
        let mut work: Vec<usize> = self.order.clone();
        let mut queued = vec![true; self.blocks.len()];
        while let Some(index) = work.pop() {
            queued[index] = false;
            let block = &self.blocks[index];
            let out = block.successors.iter().fold(RegSet::NONE, |set, s| set.or(self.blocks[*s].live_in));
            let live = effects[index].0.or(out.without(effects[index].1));
            if live != block.live_in {
                self.blocks[index].live_in = live;
                for at in 0..self.blocks[index].predecessors.len() {
                    let predecessor = self.blocks[index].predecessors[at];
                    if !std::mem::replace(&mut queued[predecessor], true) {
                        work.push(predecessor);
                    }
                }
            }
        }
    }

    /// Which of r1 to r5 the function reads.
    pub(super) fn arguments(&self) -> RegSet {
        self.blocks[0].live_in.and(RegSet::ARGUMENTS)
    }
}

/// Indices come from a program's length, which fits.
fn insn_idx(at: usize) -> InsnIdx {
    InsnIdx(u32::try_from(at).expect("a program has fewer than 2^32 instructions"))
}

/// Where control goes after an instruction; `None` where it just goes on.
fn exits_of(program: &Program, facts: &Facts, at: InsnIdx) -> Result<Option<Exits>, CompileError> {
    let reach = facts.at(at).reach;
    let target = |off: i32| {
        at.jump(off)
            .filter(|t| t.index() < program.insns.len())
            .ok_or_else(|| internal(program, at, "a jump leaves the program"))
    };
    let exits = match program.insns[at.index()] {
        Insn::Ja { off } => Exits { taken: Some(target(i32::from(off))?), next: false },
        Insn::Gotol { off } => Exits { taken: Some(target(off)?), next: false },
        Insn::MayGoto { off } | Insn::Branch { off, .. } => {
            if !reach.taken && !reach.fallthrough {
                return Err(internal(program, at, "a branch that is executed goes nowhere"));
            }
            let taken = if reach.taken { Some(target(i32::from(off))?) } else { None };
            Exits { taken, next: reach.fallthrough }
        }
        Insn::Exit => Exits { taken: None, next: false },
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::SecondSlot
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::LegacyLoad { .. }
        | Insn::Call(_) => return Ok(None),
    };
    Ok(Some(exits))
}

/// What an instruction reads and writes.
fn effect(program: &Program, facts: &Facts, at: InsnIdx, arguments: &[RegSet]) -> (RegSet, RegSet) {
    let of = RegSet::of;
    match program.insns[at.index()] {
        Insn::Alu { op: AluOp::Mov, dst, src, .. } => (RegSet::operand(src), of(dst)),
        Insn::Alu { dst, src, .. } => (RegSet::operand(src).or(of(dst)), of(dst)),
        Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => (of(src), of(dst)),
        Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => (of(dst), of(dst)),
        Insn::LoadImm64 { dst, .. } => (RegSet::NONE, of(dst)),
        Insn::Load { dst, base, .. } | Insn::LoadAcquire { dst, base, .. } => (of(base), of(dst)),
        Insn::Store { base, src, .. } => (of(base).or(RegSet::operand(src)), RegSet::NONE),
        Insn::StoreRelease { base, src, .. } => (of(base).or(of(src)), RegSet::NONE),
        Insn::Atomic { op, base, src, .. } => {
            let reads = of(base).or(of(src));
            match op {
                AtomicOp::Cmpxchg => (reads.or(of(Reg::R0)), of(Reg::R0)),
                AtomicOp::Xchg => (reads, of(src)),
                AtomicOp::Add { fetch }
                | AtomicOp::Or { fetch }
                | AtomicOp::And { fetch }
                | AtomicOp::Xor { fetch } => (reads, if fetch { of(src) } else { RegSet::NONE }),
            }
        }
        Insn::LegacyLoad { offset, .. } => {
            let index = match offset {
                LegacyOffset::Abs => RegSet::NONE,
                LegacyOffset::Ind(reg) => of(reg),
            };
            (index.or(of(Reg::R6)), RegSet::CALL)
        }
        Insn::MayGoto { .. } => (RegSet::BUDGET, RegSet::BUDGET),
        Insn::Branch { dst, src, .. } => (of(dst).or(RegSet::operand(src)), RegSet::NONE),
        Insn::Exit => (of(Reg::R0), RegSet::NONE),
        Insn::Call(CallTarget::Helper(number)) => {
            let count = HelperId::from_number(number).map_or(5, |id| id.info().args.len());
            let reads = Reg::all().skip(1).take(count).fold(RegSet::NONE, |set, reg| set.or(of(reg)));
            (reads, RegSet::CALL)
        }
        Insn::Call(CallTarget::Subprog(_)) => {
            let callee = facts.at(at).call.subprog;
            let reads = callee.and_then(|id| arguments.get(id.index())).copied();
            (reads.unwrap_or(RegSet::ARGUMENTS), RegSet::CALL)
        }
        Insn::Call(CallTarget::Kfunc { id, module }) => {
            let host = usize::try_from(id).ok().filter(|_| module == CallTarget::HOST);
            let host = host.and_then(|index| program.host_functions.get(index));
            let count = host.map_or(5, |function| function.params.len());
            let reads = Reg::all().skip(1).take(count).fold(RegSet::NONE, |set, reg| set.or(of(reg)));
            (reads, RegSet::CALL)
        }
        Insn::Ja { .. } | Insn::Gotol { .. } | Insn::SecondSlot => (RegSet::NONE, RegSet::NONE),
    }
}
