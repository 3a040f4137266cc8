//! Functions: values, instructions, blocks and how they are changed.

use std::sync::Arc;

use brolga_abi::NativeKind;

use super::ops::{Edge, Op, Terminator};
use crate::isa::InsnIdx;
use crate::program::{HostFunction, MapDef, SubprogId};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index into a slice.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// From an index into a slice.
            pub(super) fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("fewer than 2^32 entities: a program has at most 2^31 bytes"))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
    };
}

index! {
    /// A value: an instruction's result or a block's parameter.
    Value, "v"
}
index! {
    /// An instruction.
    Inst, "i"
}
index! {
    /// A basic block.
    Block, "b"
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// A truth value.
    I1,
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
}

impl Type {
    /// The bits that a value of the type has.
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            Self::I1 => 1,
            Self::I32 => u32::MAX as u64,
            Self::I64 => u64::MAX,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueDef {
    /// An instruction's result.
    Result(Inst),
    /// A parameter of a block, wherever it stands in the block's list.
    Param(Block),
}

#[derive(Clone, Copy, Debug)]
struct ValueData {
    ty: Type,
    def: ValueDef,
}

/// An instruction.
#[derive(Clone, Copy, Debug)]
pub struct InstData {
    /// What it does.
    pub op: Op,
    /// What it yields, if anything.
    pub result: Option<Value>,
    /// The bytecode instruction from which it came.
    pub origin: InsnIdx,
}

/// A block.
#[derive(Clone, Debug)]
pub struct BlockData {
    /// Its parameters.
    pub params: Vec<Value>,
    /// Its instructions in order.
    pub insts: Vec<Inst>,
    /// How it ends.
    pub end: Terminator,
    /// The bytecode instruction of the terminator.
    pub end_origin: InsnIdx,
}

/// A function in SSA form.
///
/// The entry block is [`Function::entry`]; its parameters are r1 to r5 and no edge leads to it. The
/// function returns an I64.
#[derive(Clone, Debug)]
pub struct Function {
    /// Name, for texts.
    pub name: String,
    /// The subprogram from which it came.
    pub subprog: SubprogId,
    /// Bytes of its stack frame; a multiple of 8.
    pub stack_bytes: u32,
    /// The blocks that count, in the order of their code; the entry first. Blocks that are not
    /// listed do not exist.
    pub layout: Vec<Block>,
    blocks: Vec<BlockData>,
    insts: Vec<InstData>,
    values: Vec<ValueData>,
    replacements: Vec<Option<Value>>,
    replaced: bool,
}

/// A program in SSA form.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The program's name.
    pub name: String,
    /// Its kind.
    pub kind: NativeKind,
    /// Its maps.
    pub maps: Arc<[MapDef]>,
    /// Functions of the host that it may call.
    pub hosts: Arc<[HostFunction]>,
    /// Its functions by [`SubprogId`]; `None` for those that are never called.
    pub functions: Vec<Option<Function>>,
}

impl Function {
    /// A function without blocks.
    #[must_use]
    pub fn new(name: String, subprog: SubprogId, stack_bytes: u32) -> Self {
        Self {
            name,
            subprog,
            stack_bytes: stack_bytes.next_multiple_of(8),
            layout: Vec::new(),
            blocks: Vec::new(),
            insts: Vec::new(),
            values: Vec::new(),
            replacements: Vec::new(),
            replaced: false,
        }
    }

    /// The entry block.
    ///
    /// # Panics
    ///
    /// Where there is no block yet.
    #[must_use]
    pub fn entry(&self) -> Block {
        self.layout[0]
    }

    /// The blocks in the order of their code. A copy, so that a pass may change the function.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        self.layout.clone()
    }

    /// How many blocks were ever made: an upper bound of their indices.
    #[must_use]
    pub fn block_capacity(&self) -> usize {
        self.blocks.len()
    }

    /// How many values were ever made: an upper bound of their indices.
    #[must_use]
    pub fn value_capacity(&self) -> usize {
        self.values.len()
    }

    /// How many instructions were ever made: an upper bound of their indices.
    #[must_use]
    pub fn inst_capacity(&self) -> usize {
        self.insts.len()
    }

    /// A block.
    #[must_use]
    pub fn block(&self, block: Block) -> &BlockData {
        &self.blocks[block.index()]
    }

    /// A block, to be changed.
    #[must_use]
    pub fn block_mut(&mut self, block: Block) -> &mut BlockData {
        &mut self.blocks[block.index()]
    }

    /// The instructions of a block. A copy, so that a pass may change the function.
    #[must_use]
    pub fn insts(&self, block: Block) -> Vec<Inst> {
        self.blocks[block.index()].insts.clone()
    }

    /// An instruction.
    #[must_use]
    pub fn inst(&self, inst: Inst) -> &InstData {
        &self.insts[inst.index()]
    }

    /// An instruction, to be changed. The type of its result stays.
    #[must_use]
    pub fn inst_mut(&mut self, inst: Inst) -> &mut InstData {
        &mut self.insts[inst.index()]
    }

    /// The type of a value.
    #[must_use]
    pub fn ty(&self, value: Value) -> Type {
        self.values[value.index()].ty
    }

    /// Changes the type of a value, which the caller keeps consistent with its definition and uses.
    pub fn set_ty(&mut self, value: Value, ty: Type) {
        self.values[value.index()].ty = ty;
    }

    /// Where a value comes from.
    #[must_use]
    pub fn def(&self, value: Value) -> ValueDef {
        self.values[value.index()].def
    }

    /// The operation that yields a value, unless it is a parameter.
    #[must_use]
    pub fn op(&self, value: Value) -> Option<&Op> {
        match self.def(value) {
            ValueDef::Result(inst) => Some(&self.inst(inst).op),
            ValueDef::Param(_) => None,
        }
    }

    /// The value's constant, where it is one.
    #[must_use]
    pub fn as_const(&self, value: Value) -> Option<u64> {
        match self.op(value) {
            Some(Op::Const(bits)) => Some(*bits),
            _ => None,
        }
    }

    /// Makes a block at the end of the layout. It must be given a terminator.
    pub fn add_block(&mut self) -> Block {
        let block = Block::from_index(self.blocks.len());
        self.blocks.push(BlockData {
            params: Vec::new(),
            insts: Vec::new(),
            end: Terminator::Jump(Edge::new(block)),
            end_origin: InsnIdx(0),
        });
        self.layout.push(block);
        block
    }

    /// Adds a parameter to a block. Every edge to it needs an argument more.
    pub fn add_param(&mut self, block: Block, ty: Type) -> Value {
        let value = self.add_value(ty, ValueDef::Param(block));
        self.blocks[block.index()].params.push(value);
        value
    }

    /// Makes an instruction that yields a value. It stands nowhere until it is put into a block.
    pub fn make(&mut self, op: Op, ty: Type, origin: InsnIdx) -> (Inst, Value) {
        let inst = Inst::from_index(self.insts.len());
        let value = self.add_value(ty, ValueDef::Result(inst));
        self.insts.push(InstData { op, result: Some(value), origin });
        (inst, value)
    }

    /// Makes an instruction that yields nothing. It stands nowhere until it is put into a block.
    pub fn make_effect(&mut self, op: Op, origin: InsnIdx) -> Inst {
        let inst = Inst::from_index(self.insts.len());
        self.insts.push(InstData { op, result: None, origin });
        inst
    }

    /// Makes an instruction at the end of a block and returns what it yields.
    pub fn push(&mut self, block: Block, op: Op, ty: Type, origin: InsnIdx) -> Value {
        let (inst, value) = self.make(op, ty, origin);
        self.blocks[block.index()].insts.push(inst);
        value
    }

    /// Makes an instruction that yields nothing at the end of a block.
    pub fn push_effect(&mut self, block: Block, op: Op, origin: InsnIdx) {
        let inst = self.make_effect(op, origin);
        self.blocks[block.index()].insts.push(inst);
    }

    /// Lets every use of `value` mean `with`, once [`Function::apply_replacements`] is called. Until
    /// then, look through with [`Function::resolve`]. The definition of `value` stays; where it has
    /// no effect it is dead.
    pub fn replace(&mut self, value: Value, with: Value) {
        let with = self.resolve(with);
        if with != value {
            self.replacements[value.index()] = Some(with);
            self.replaced = true;
        }
    }

    /// What a value stands for after all replacements so far.
    #[must_use]
    pub fn resolve(&self, value: Value) -> Value {
        let mut value = value;
        while let Some(with) = self.replacements[value.index()] {
            value = with;
        }
        value
    }

    /// Rewrites all operands by the replacements so far and forgets them.
    pub fn apply_replacements(&mut self) {
        if !std::mem::take(&mut self.replaced) {
            return;
        }
        // Chains are shortened first, so that each operand is one step.
        for index in 0..self.replacements.len() {
            if let Some(with) = self.replacements[index] {
                self.replacements[index] = Some(self.resolve(with));
            }
        }
        let replacements = std::mem::take(&mut self.replacements);
        let rewrite = |value: &mut Value| {
            if let Some(with) = replacements[value.index()] {
                *value = with;
            }
        };
        for &block in &self.layout {
            let data = &mut self.blocks[block.index()];
            for &inst in &data.insts {
                self.insts[inst.index()].op.for_each_operand_mut(rewrite);
            }
            data.end.for_each_operand_mut(rewrite);
        }
        self.replacements = vec![None; self.values.len()];
    }

    /// The edges that lead to each block, as the blocks from which they come, by block index. A
    /// block with two edges to another is listed twice.
    #[must_use]
    pub fn predecessors(&self) -> Vec<Vec<Block>> {
        let mut predecessors = vec![Vec::new(); self.blocks.len()];
        for &block in &self.layout {
            self.block(block).end.for_each_edge(|edge| predecessors[edge.block.index()].push(block));
        }
        predecessors
    }

    /// Drops blocks that cannot be reached and puts the others into reverse postorder.
    pub fn reorder(&mut self) {
        self.layout = self.reverse_postorder();
    }

    /// The blocks that can be reached, in reverse postorder.
    #[must_use]
    pub fn reverse_postorder(&self) -> Vec<Block> {
        let mut seen = vec![false; self.blocks.len()];
        let mut postorder = Vec::with_capacity(self.layout.len());
        let mut stack = vec![(self.entry(), 0usize)];
        seen[self.entry().index()] = true;
        while let Some((block, next)) = stack.last_mut() {
            match self.nth_successor(*block, *next) {
                Some(successor) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[successor.index()], true) {
                        stack.push((successor, 0));
                    }
                }
                None => {
                    postorder.push(*block);
                    stack.pop();
                }
            }
        }
        postorder.reverse();
        postorder
    }

    /// Successors from the last to the first, so that the first comes next in reverse postorder.
    fn nth_successor(&self, block: Block, n: usize) -> Option<Block> {
        match &self.block(block).end {
            Terminator::Jump(edge) | Terminator::TailCall { next: edge, .. } => {
                (n == 0).then_some(edge.block)
            }
            Terminator::Branch { then, otherwise, .. } => match n {
                0 => Some(then.block),
                1 => Some(otherwise.block),
                _ => None,
            },
            Terminator::Switch { cases, default, .. } => match n {
                0 => Some(default.block),
                _ => cases.iter().rev().nth(n - 1).map(|(_, edge)| edge.block),
            },
            Terminator::Return(_) => None,
        }
    }

    fn add_value(&mut self, ty: Type, def: ValueDef) -> Value {
        let value = Value::from_index(self.values.len());
        self.values.push(ValueData { ty, def });
        self.replacements.push(None);
        value
    }
}
