//! Joins blocks that follow one another, and leads edges past blocks that do nothing.
//!
//! A block with one edge into it, from a jump, becomes the jumping block's end. A block that only
//! jumps on disappears, unless its parameters are used elsewhere: then there would be no value to
//! take their place. Neither changes what is executed.

use crate::ir::{Block, Edge, Function, Terminator, Unit, User, Uses, Value};

/// Tidies the blocks of all functions.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        skip(function);
        join(function);
    }
}

/// Leads edges past blocks that only jump.
fn skip(function: &mut Function) {
    let uses = Uses::new(function);
    // Where an edge to a block may lead instead, from the last block to the first, so that a chain of
    // such blocks is one step.
    let mut onward: Vec<Option<Edge>> = vec![None; function.block_capacity()];
    for block in function.blocks().into_iter().rev() {
        let Some(edge) = only_jumps(function, &uses, block) else { continue };
        let edge = onward[edge.block.index()].as_ref().map_or_else(
            || edge.clone(),
            |further| compose(&function.block(edge.block).params, further, &edge.args),
        );
        if edge.block != block {
            onward[block.index()] = Some(edge);
        }
    }
    for block in function.blocks() {
        let mut end = std::mem::replace(&mut function.block_mut(block).end, Terminator::Return(Value(0)));
        end.for_each_edge_mut(|edge| {
            if let Some(further) = &onward[edge.block.index()] {
                *edge = compose(&function.block(edge.block).params, further, &edge.args);
            }
        });
        function.block_mut(block).end = end;
    }
    function.reorder();
}

/// The edge by which a block does nothing but jump on.
fn only_jumps<'a>(function: &'a Function, uses: &Uses, block: Block) -> Option<&'a Edge> {
    let data = function.block(block);
    let Terminator::Jump(edge) = &data.end else { return None };
    let own = |param: &Value| uses.of(*param).iter().all(|user| *user == User::End(block));
    let skipped = block != function.entry()
        && edge.block != block
        && data.insts.is_empty()
        && data.params.iter().all(own);
    skipped.then_some(edge)
}

/// An edge into a block with `params`, given `args`, and then along `further`.
fn compose(params: &[Value], further: &Edge, args: &[Value]) -> Edge {
    let through = |arg: &Value| params.iter().position(|param| param == arg).map_or(*arg, |at| args[at]);
    Edge { block: further.block, args: further.args.iter().map(through).collect() }
}

/// Joins blocks along jumps that are the only way into their target.
fn join(function: &mut Function) {
    let predecessors = function.predecessors();
    let mut joined = vec![false; function.block_capacity()];
    for block in function.blocks() {
        if joined[block.index()] {
            continue;
        }
        while let Terminator::Jump(edge) = &function.block(block).end
            && edge.block != block
            && edge.block != function.entry()
            && predecessors[edge.block.index()].len() == 1
        {
            let edge = edge.clone();
            joined[edge.block.index()] = true;
            let next = function.block_mut(edge.block);
            let params = std::mem::take(&mut next.params);
            let mut insts = std::mem::take(&mut next.insts);
            let end = std::mem::replace(&mut next.end, Terminator::Return(Value(0)));
            let end_origin = next.end_origin;
            for (param, arg) in params.into_iter().zip(edge.args) {
                function.replace(param, arg);
            }
            let data = function.block_mut(block);
            data.insts.append(&mut insts);
            data.end = end;
            data.end_origin = end_origin;
        }
    }
    function.layout.retain(|block| !joined[block.index()]);
    function.apply_replacements();
}
