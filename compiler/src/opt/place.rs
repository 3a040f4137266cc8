//! Puts cheap operations where they are used. The last pass.
//!
//! Merging equal operations has left one constant for a whole function, which would occupy a register
//! all the way or be spilled. A constant or an address of the frame costs one instruction at most, and
//! often none as an immediate; so each block gets its own. A branch gets its comparison next to it, so
//! that the two become one.

use super::dead;
use super::table::WordMap;
use crate::ir::{Function, Inst, Op, Terminator, Unit, Value, ValueDef};
use crate::isa::InsnIdx;

/// Places cheap operations in all functions, and drops frames that nobody uses.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        place(function);
        dead::remove(function);
        let insts = function.layout.iter().flat_map(|block| &function.block(*block).insts);
        let framed = insts.map(|inst| &function.inst(*inst).op).any(|op| matches!(op, Op::StackAddr(_)));
        if !framed {
            function.stack_bytes = 0;
        }
    }
}

fn place(function: &mut Function) {
    for block in function.blocks() {
        let insts = std::mem::take(&mut function.block_mut(block).insts);
        let mut here = Here { function, own: WordMap::default(), out: Vec::with_capacity(insts.len()) };
        for inst in insts {
            let mut data = *here.function.inst(inst);
            if is_cheap(&data.op) {
                // Made anew in front of the first use.
                continue;
            }
            data.op.for_each_operand_mut(|value| *value = here.near(*value, data.origin));
            here.function.inst_mut(inst).op = data.op;
            here.out.push(inst);
        }
        let data = here.function.block_mut(block);
        let origin = data.end_origin;
        let mut end = std::mem::replace(&mut data.end, Terminator::Return(Value(0)));
        if let Terminator::Branch { cond, .. } = &mut end {
            *cond = here.compare_again(*cond, origin);
        }
        end.for_each_operand_mut(|value| *value = here.near(*value, origin));
        let out = here.out;
        let data = function.block_mut(block);
        data.end = end;
        data.insts = out;
    }
}

fn is_cheap(op: &Op) -> bool {
    matches!(op, Op::Const(_) | Op::StackAddr(_))
}

/// A block whose instructions are put together anew.
struct Here<'a> {
    function: &'a mut Function,
    /// The block's own copies of cheap operations.
    own: WordMap<u32, Value>,
    out: Vec<Inst>,
}

impl Here<'_> {
    /// A value, or the block's own copy of it.
    fn near(&mut self, value: Value, origin: InsnIdx) -> Value {
        let Some(op) = self.function.op(value).copied().filter(is_cheap) else { return value };
        if let Some(own) = self.own.get(&value.0) {
            return *own;
        }
        let (inst, own) = self.function.make(op, self.function.ty(value), origin);
        self.out.push(inst);
        self.own.insert(value.0, own);
        own
    }

    /// The comparison by which a branch decides, as the block's last instruction.
    fn compare_again(&mut self, cond: Value, origin: InsnIdx) -> Value {
        let ValueDef::Result(made) = self.function.def(cond) else { return cond };
        let mut op = self.function.inst(made).op;
        if !matches!(op, Op::Compare { .. }) || self.out.last() == Some(&made) {
            return cond;
        }
        op.for_each_operand_mut(|value| *value = self.near(*value, origin));
        let (inst, again) = self.function.make(op, self.function.ty(cond), origin);
        self.out.push(inst);
        again
    }
}
