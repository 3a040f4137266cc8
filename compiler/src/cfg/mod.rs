//! The control flow of one function: basic blocks, their edges, and orders over them.
//!
//! A block starts at the function's entry, at every jump target and after every instruction that
//! may jump or that ends the function. Calls do not end blocks. The builder is total: an edge that
//! leaves the function is dropped, since `verify` refuses such programs before anyone asks for a
//! graph. What it cannot see is a jump that is never taken: edges are those of the code, not of runs.

mod order;

pub use order::{Components, reverse_postorder};

use crate::isa::{Insn, InsnIdx};
use crate::program::{Program, SubprogId};

/// Index of a block within its function's [`Cfg`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

impl BlockId {
    /// The block that holds the function's first instruction.
    pub const ENTRY: Self = Self(0);

    /// As an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A maximal run of instructions that is entered at its first and left at its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First instruction.
    pub start: InsnIdx,
    /// One past the last slot.
    pub end: InsnIdx,
    /// Where control goes when it does not jump.
    pub fallthrough: Option<BlockId>,
    /// Where the last instruction jumps, if it does.
    pub taken: Option<BlockId>,
}

impl Block {
    /// The blocks that control may enter next: fallthrough first.
    pub fn successors(&self) -> impl DoubleEndedIterator<Item = BlockId> + use<> {
        [self.fallthrough, self.taken].into_iter().flatten()
    }

    /// The slots of the block, the second slots of `lddw` among them.
    pub fn insns(&self) -> impl DoubleEndedIterator<Item = InsnIdx> + use<> {
        (self.start.0..self.end.0).map(InsnIdx)
    }
}

/// The blocks of one function, in the order of their addresses.
#[derive(Clone, Debug)]
pub struct Cfg {
    /// All blocks. The entry is the first.
    pub blocks: Vec<Block>,
    start: InsnIdx,
    block_of: Vec<BlockId>,
}

/// Where an instruction sends control within its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The distance of its jump, from the next slot.
    pub jump: Option<i32>,
    /// Whether control can go on to the next instruction.
    pub falls: bool,
}

/// Where an instruction sends control: a call comes back, so it falls through.
#[must_use]
pub fn flow(insn: &Insn) -> Flow {
    match *insn {
        Insn::Ja { off } => Flow { jump: Some(off.into()), falls: false },
        Insn::Gotol { off } => Flow { jump: Some(off), falls: false },
        Insn::MayGoto { off } | Insn::Branch { off, .. } => Flow { jump: Some(off.into()), falls: true },
        Insn::Exit => Flow { jump: None, falls: false },
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
        | Insn::Call(_) => Flow { jump: None, falls: true },
    }
}

impl Cfg {
    /// The graph of one function. Linear in its length.
    #[must_use]
    pub fn new(program: &Program, subprog: SubprogId) -> Self {
        let range = program.subprog_range(subprog);
        Self::of_range(&program.insns, range)
    }

    fn of_range(insns: &[Insn], range: std::ops::Range<usize>) -> Self {
        let start = slot(range.start);
        let end = slot(range.end);
        let inside = |at: InsnIdx| start <= at && at < end;
        let mut leader = vec![false; range.len()];
        if let Some(first) = leader.first_mut() {
            *first = true;
        }
        for at in (start.0..end.0).map(InsnIdx) {
            let flow = flow(&insns[at.index()]);
            if let Some(target) = flow.jump.and_then(|off| at.jump(off)).filter(|t| inside(*t)) {
                leader[target.index() - range.start] = true;
            }
            let next = InsnIdx(at.0 + 1);
            if (flow.jump.is_some() || !flow.falls) && inside(next) {
                leader[next.index() - range.start] = true;
            }
        }
        let mut block_of = Vec::with_capacity(range.len());
        let mut blocks: Vec<Block> = Vec::new();
        for (at, leads) in (start.0..).map(InsnIdx).zip(&leader) {
            if *leads {
                blocks.push(Block { start: at, end: at, fallthrough: None, taken: None });
            }
            let last = blocks.len() - 1;
            blocks[last].end = InsnIdx(at.0 + 1);
            block_of.push(block_id(last));
        }
        let mut cfg = Self { blocks, start, block_of };
        cfg.connect(insns, inside);
        cfg
    }

    fn connect(&mut self, insns: &[Insn], inside: impl Fn(InsnIdx) -> bool) {
        for id in 0..self.blocks.len() {
            let last = InsnIdx(self.blocks[id].end.0 - 1);
            let flow = flow(&insns[last.index()]);
            let edge = |at: Option<InsnIdx>| at.filter(|t| inside(*t)).map(|t| self.block_at(t));
            let fallthrough = if flow.falls { edge(Some(InsnIdx(last.0 + 1))) } else { None };
            let taken = edge(flow.jump.and_then(|off| last.jump(off)));
            self.blocks[id].fallthrough = fallthrough;
            self.blocks[id].taken = taken;
        }
    }

    /// The block that holds an instruction of the function.
    ///
    /// # Panics
    ///
    /// Where the instruction is not one of the function's.
    #[must_use]
    pub fn block_at(&self, at: InsnIdx) -> BlockId {
        self.block_of[at.index() - self.start.index()]
    }

    /// A block.
    #[must_use]
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.index()]
    }

    /// All block ids in the order of addresses.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = BlockId> + use<> {
        (0..block_id(self.blocks.len()).0).map(BlockId)
    }

    /// For every block, the blocks that lead to it.
    #[must_use]
    pub fn predecessors(&self) -> Vec<Vec<BlockId>> {
        let mut preds = vec![Vec::new(); self.blocks.len()];
        for id in self.ids() {
            for successor in self.block(id).successors() {
                preds[successor.index()].push(id);
            }
        }
        preds
    }
}

fn slot(index: usize) -> InsnIdx {
    InsnIdx(u32::try_from(index).expect("a program has fewer than 2^32 slots"))
}

fn block_id(index: usize) -> BlockId {
    BlockId(u32::try_from(index).expect("a function has fewer blocks than slots"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{AluOp, Cond, Operand, Reg, Width};

    fn mov(imm: i32) -> Insn {
        Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R0, src: Operand::Imm(imm) }
    }

    fn branch(off: i16) -> Insn {
        Insn::Branch { cond: Cond::Eq, width: Width::W64, dst: Reg::R0, src: Operand::Imm(0), off }
    }

    fn cfg(insns: &[Insn]) -> Cfg {
        Cfg::of_range(insns, 0..insns.len())
    }

    #[test]
    fn a_diamond_has_four_blocks() {
        let cfg = cfg(&[mov(0), branch(2), mov(1), Insn::Ja { off: 1 }, mov(2), Insn::Exit]);
        let starts: Vec<u32> = cfg.blocks.iter().map(|b| b.start.0).collect();
        assert_eq!(starts, [0, 2, 4, 5]);
        assert_eq!(cfg.block(BlockId(0)).successors().collect::<Vec<_>>(), [BlockId(1), BlockId(2)]);
        assert_eq!(cfg.block(BlockId(1)).successors().collect::<Vec<_>>(), [BlockId(3)]);
        assert_eq!(cfg.block_at(InsnIdx(3)), BlockId(1));
        assert_eq!(cfg.predecessors()[3], [BlockId(1), BlockId(2)]);
        let order = reverse_postorder(&cfg);
        assert_eq!((order[0], order[3]), (BlockId(0), BlockId(3)));
    }

    #[test]
    fn edges_out_of_the_function_are_dropped() {
        let cfg = cfg(&[branch(100), branch(-7), mov(0)]);
        assert_eq!(cfg.blocks.len(), 3);
        assert_eq!(cfg.block(BlockId(0)).taken, None);
        assert_eq!(cfg.block(BlockId(1)).taken, None);
        assert_eq!(cfg.block(BlockId(2)).fallthrough, None);
    }

    #[test]
    fn a_loop_is_one_component() {
        let cfg = cfg(&[mov(0), mov(1), branch(-2), Insn::Exit]);
        let components = Components::new(&cfg);
        assert!(components.in_cycle(cfg.block_at(InsnIdx(1))));
        assert!(!components.in_cycle(BlockId::ENTRY));
        assert!(!components.in_cycle(cfg.block_at(InsnIdx(3))));
    }
}
