//! Removes what nobody uses: pure operations, plain loads, and parameters with their arguments.
//!
//! A value is alive if an effect, a branch or a living value needs it. So a parameter that only feeds
//! itself around a loop dies, too. Wrong would be to take an effect for none: what may go is what
//! [`Op::is_removable`](crate::ir::Op::is_removable) says.

use crate::ir::{Block, Function, Terminator, Unit, Value, ValueDef};

/// Removes dead code from all functions.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        remove(function);
    }
}

/// Removes dead code from a function.
pub fn remove(function: &mut Function) {
    let mut live = Live::new(function);
    live.roots();
    live.spread();
    let alive = live.alive;
    sweep(function, &alive);
}

struct Live<'a> {
    function: &'a Function,
    alive: Vec<bool>,
    work: Vec<Value>,
    /// The edges to each block: the block from which one comes, and its number there.
    edges: Vec<Vec<(Block, usize)>>,
    /// The position of each parameter in its block's list.
    position: Vec<u32>,
}

impl<'a> Live<'a> {
    fn new(function: &'a Function) -> Self {
        let mut edges = vec![Vec::new(); function.block_capacity()];
        let mut position = vec![0; function.value_capacity()];
        for &block in &function.layout {
            let data = function.block(block);
            let mut n = 0;
            data.end.for_each_edge(|edge| {
                edges[edge.block.index()].push((block, n));
                n += 1;
            });
            for (at, param) in (0..).zip(&data.params) {
                position[param.index()] = at;
            }
        }
        Self { function, alive: vec![false; function.value_capacity()], work: Vec::new(), edges, position }
    }

    fn mark(&mut self, value: Value) {
        if !std::mem::replace(&mut self.alive[value.index()], true) {
            self.work.push(value);
        }
    }

    /// What effects and branches need. The entry's parameters are the function's own.
    fn roots(&mut self) {
        let function = self.function;
        for &param in &function.block(function.entry()).params {
            self.mark(param);
        }
        for &block in &function.layout {
            let data = function.block(block);
            for &inst in &data.insts {
                let op = &function.inst(inst).op;
                if !op.is_removable() {
                    op.for_each_operand(|value| self.mark(value));
                }
            }
            match &data.end {
                Terminator::Branch { cond: value, .. }
                | Terminator::Switch { value, .. }
                | Terminator::Return(value) => self.mark(*value),
                Terminator::TailCall { context, index, .. } => {
                    self.mark(*context);
                    self.mark(*index);
                }
                Terminator::Jump(_) => {}
            }
        }
    }

    fn spread(&mut self) {
        let function = self.function;
        while let Some(value) = self.work.pop() {
            match function.def(value) {
                ValueDef::Result(inst) => function.inst(inst).op.for_each_operand(|v| self.mark(v)),
                ValueDef::Param(block) => {
                    let at = self.position[value.index()] as usize;
                    for i in 0..self.edges[block.index()].len() {
                        let (from, n) = self.edges[block.index()][i];
                        let arg = function.block(from).end.edge(n).and_then(|edge| edge.args.get(at));
                        self.mark(*arg.expect("edges give each parameter an argument"));
                    }
                }
            }
        }
    }
}

fn sweep(function: &mut Function, alive: &[bool]) {
    let blocks = function.blocks();
    let mut keep = vec![None; function.block_capacity()];
    for &block in &blocks {
        let mut insts = std::mem::take(&mut function.block_mut(block).insts);
        insts.retain(|inst| {
            let data = function.inst(*inst);
            !data.op.is_removable() || data.result.is_some_and(|result| alive[result.index()])
        });
        function.block_mut(block).insts = insts;
        let params = &mut function.block_mut(block).params;
        if params.iter().any(|param| !alive[param.index()]) {
            keep[block.index()] = Some(params.iter().map(|param| alive[param.index()]).collect::<Vec<_>>());
            params.retain(|param| alive[param.index()]);
        }
    }
    for block in blocks {
        function.block_mut(block).end.for_each_edge_mut(|edge| {
            if let Some(keep) = &keep[edge.block.index()] {
                let mut keep = keep.iter();
                edge.args.retain(|_| keep.next().copied().unwrap_or(true));
            }
        });
    }
}
