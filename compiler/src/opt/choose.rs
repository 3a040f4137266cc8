//! Makes choices of short branches.
//!
//! A branch around nothing, or around a copy, costs a misprediction where its condition follows no
//! pattern; choosing costs one instruction, but waits for both values. So only those become choices
//! that cannot make a long wait: between constants, and between the two values that the branch
//! compared (minimum, maximum, exchange).

use crate::ir::{Block, Edge, ExtendKind, Function, Op, Terminator, Unit, Value};
use crate::isa::Size;

/// Chooses in all functions.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        choose(function);
    }
}

/// Parameters that may be chosen at one branch.
const MAX_CHOICES: usize = 2;

fn choose(function: &mut Function) {
    let predecessors = function.predecessors();
    for block in function.blocks() {
        let Terminator::Branch { cond, then, otherwise } = &function.block(block).end else { continue };
        let cond = *cond;
        let then = onward(function, &predecessors, then);
        let otherwise = onward(function, &predecessors, otherwise);
        if then.block != otherwise.block || then.block == block || !worth(function, cond, &then, &otherwise) {
            continue;
        }
        let origin = function.block(block).end_origin;
        let mut args = Vec::with_capacity(then.args.len());
        for (a, b) in then.args.iter().zip(&otherwise.args) {
            args.push(if a == b {
                *a
            } else {
                let ty = function.ty(*a);
                function.push(block, Op::Select { cond, then: *a, otherwise: *b }, ty, origin)
            });
        }
        function.block_mut(block).end = Terminator::Jump(Edge { block: then.block, args });
    }
    function.reorder();
}

/// An edge, followed through a block that only passes on; such a block has no parameters.
fn onward(function: &Function, predecessors: &[Vec<Block>], edge: &Edge) -> Edge {
    let data = function.block(edge.block);
    match &data.end {
        Terminator::Jump(next)
            if data.insts.is_empty()
                && data.params.is_empty()
                && predecessors[edge.block.index()].len() == 1 =>
        {
            next.clone()
        }
        _ => edge.clone(),
    }
}

/// Whether all that differs is cheap to choose.
fn worth(function: &Function, cond: Value, then: &Edge, otherwise: &Edge) -> bool {
    let Some(&Op::Compare { a, b, .. }) = function.op(cond) else { return false };
    let compared = |value: Value| {
        let value = word(function, value);
        value == word(function, a) || value == word(function, b)
    };
    let constant = |value: Value| function.as_const(value).is_some();
    let mut choices = 0;
    then.args.iter().zip(&otherwise.args).filter(|(x, y)| x != y).all(|(x, y)| {
        choices += 1;
        choices <= MAX_CHOICES && ((constant(*x) && constant(*y)) || (compared(*x) && compared(*y)))
    })
}

/// A value without a widening from 32 bits.
fn word(function: &Function, value: Value) -> Value {
    match function.op(value) {
        Some(Op::Extend { kind: ExtendKind::Zero, from: Size::W, a }) | Some(Op::Trunc(a)) => *a,
        _ => value,
    }
}
