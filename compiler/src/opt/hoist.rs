//! Takes the addresses of maps out of loops.
//!
//! Bytecode names a map by an immediate, so clang leaves it in the loop; here it costs two loads. It
//! is put at the end of the last block before the outermost loop, where it can be computed as well as
//! anywhere. Other operations stay: what was worth taking out, clang took out.

use super::table::WordMap;
use crate::ir::{Block, Dominators, Function, Inst, Op, Unit};

/// Hoists in all functions.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        hoist(function);
    }
}

/// Steps of walks through loops, as a multiple of the number of blocks; deeper nests are left alone.
const EFFORT: usize = 16;

fn is_address(op: &Op) -> bool {
    matches!(op, Op::MapHandle(_) | Op::MapValueAddr { .. })
}

fn hoist(function: &mut Function) {
    let has = function
        .layout
        .iter()
        .any(|block| function.block(*block).insts.iter().any(|inst| is_address(&function.inst(*inst).op)));
    if !has {
        return;
    }
    let before = before_loops(function);
    let mut moved: WordMap<u32, Vec<Inst>> = WordMap::default();
    for block in function.blocks() {
        let Some(target) = before[block.index()] else { continue };
        let mut insts = std::mem::take(&mut function.block_mut(block).insts);
        insts.retain(|inst| {
            let stays = !is_address(&function.inst(*inst).op);
            if !stays {
                moved.entry(target.0).or_default().push(*inst);
            }
            stays
        });
        function.block_mut(block).insts = insts;
    }
    for (target, mut insts) in moved {
        function.block_mut(Block(target)).insts.append(&mut insts);
    }
}

/// For each block in a loop: the block that dominates its outermost loop and stands before it.
fn before_loops(function: &Function) -> Vec<Option<Block>> {
    let dominators = Dominators::new(function);
    let predecessors = function.predecessors();
    let mut before = vec![None; function.block_capacity()];
    let mut steps = EFFORT * function.layout.len();
    // Headers in reverse postorder: outer loops first.
    for &header in dominators.order() {
        if before[header.index()].is_some() {
            continue;
        }
        let mut work: Vec<Block> = predecessors[header.index()]
            .iter()
            .copied()
            .filter(|from| dominators.dominates(header, *from))
            .collect();
        let Some(target) = dominators.idom(header).filter(|_| !work.is_empty()) else { continue };
        before[header.index()] = Some(target);
        while let Some(block) = work.pop() {
            if before[block.index()].replace(target) == Some(target) || !dominators.reachable(block) {
                continue;
            }
            match steps.checked_sub(predecessors[block.index()].len()) {
                Some(left) => steps = left,
                None => return vec![None; function.block_capacity()],
            }
            work.extend(predecessors[block.index()].iter().filter(|from| **from != header));
        }
    }
    before
}
