//! Registers become values: one pass in reverse postorder, parameters where ways join.
//!
//! Where all ways into a block are known and agree on a variable, it needs no parameter. Headers of
//! loops get one for each live variable first; those that turn out to carry a single value are taken
//! out again at the end.

use super::flow::{Flow, VARIABLES};
use crate::ir::function::{Block, Function, Type, Value};
use crate::ir::ops::{Edge, Op, Terminator};

/// What each variable holds; `None` where nothing was written on some way.
pub(super) type State = [Option<Value>; VARIABLES];

/// Removing parameters of nested loops takes a round a level; more rounds gain nothing in practice.
const MAX_ROUNDS: usize = 12;

/// The blocks of a function while they are made.
pub(super) struct Assembler<'a> {
    flow: &'a Flow,
    /// The block made for each block of the flow.
    blocks: Vec<Block>,
    /// Which block of the flow a block was made for, by block index.
    flow_of: Vec<Option<usize>>,
    /// The variables of each flow block's parameters.
    params: Vec<Vec<usize>>,
    /// What variables hold at the end of each flow block's code, once it was made.
    outs: Vec<Option<State>>,
    /// Blocks with edges to blocks of the flow, and what variables hold there.
    exits: Vec<(Block, State)>,
    undefined: Option<Value>,
}

impl<'a> Assembler<'a> {
    /// Makes the entry and a block for every block of the flow.
    pub(super) fn new(function: &mut Function, flow: &'a Flow) -> Self {
        let entry = function.add_block();
        for _ in 0..5 {
            function.add_param(entry, Type::I64);
        }
        let looped = !flow.blocks[0].predecessors.is_empty();
        let blocks: Vec<Block> = (0..flow.blocks.len())
            .map(|i| if i == 0 && !looped { entry } else { function.add_block() })
            .collect();
        let mut flow_of = vec![None; function.block_capacity()];
        for (index, block) in blocks.iter().enumerate() {
            flow_of[block.index()] = Some(index);
        }
        Self {
            flow,
            blocks,
            flow_of,
            params: vec![Vec::new(); flow.blocks.len()],
            outs: vec![None; flow.blocks.len()],
            exits: Vec::new(),
            undefined: None,
        }
    }

    /// The block made for a block of the flow.
    pub(super) fn block(&self, index: usize) -> Block {
        self.blocks[index]
    }

    /// Whether the flow's first block is apart from the entry.
    pub(super) fn entry_is_apart(&self, function: &Function) -> bool {
        self.blocks[0] != function.entry()
    }

    /// What variables hold at the start of a block whose turn it is in reverse postorder. `initial`
    /// is what they hold where the function is entered.
    pub(super) fn enter(&mut self, function: &mut Function, index: usize, initial: &State) -> State {
        let flow = self.flow;
        let block = &flow.blocks[index];
        let mut ways: Vec<Option<State>> = block.predecessors.iter().map(|p| self.outs[*p]).collect();
        if index == 0 {
            ways.push(Some(*initial));
        }
        let known = ways.iter().all(Option::is_some);
        let mut state = [None; VARIABLES];
        for (variable, slot) in state.iter_mut().enumerate() {
            let mut values = ways.iter().flatten().map(|way| way[variable]);
            let first = values.next().flatten();
            if known && values.all(|value| value == first) {
                *slot = first;
            } else if block.live_in.contains(variable) {
                *slot = Some(function.add_param(self.blocks[index], Type::I64));
                self.params[index].push(variable);
            }
        }
        state
    }

    /// Notes what variables hold at the end of a flow block.
    pub(super) fn leave(&mut self, index: usize, state: &State) {
        self.outs[index] = Some(*state);
    }

    /// Notes that a block has edges to blocks of the flow.
    pub(super) fn exit(&mut self, block: Block, state: &State) {
        self.exits.push((block, *state));
    }

    /// A value for what was never written: the verifier knows that it is not read.
    pub(super) fn undefined(&mut self, function: &mut Function) -> Value {
        if let Some(value) = self.undefined {
            return value;
        }
        let entry = function.entry();
        let (inst, value) = function.make(Op::Const(0), Type::I64, crate::isa::InsnIdx(0));
        function.block_mut(entry).insts.insert(0, inst);
        self.undefined = Some(value);
        value
    }

    /// Gives all edges their arguments and takes out parameters that carry a single value.
    pub(super) fn finish(mut self, function: &mut Function) {
        let exits = std::mem::take(&mut self.exits);
        for (block, state) in &exits {
            let mut end =
                std::mem::replace(&mut function.block_mut(*block).end, Terminator::Jump(Edge::new(*block)));
            end.for_each_edge_mut(|edge| {
                let index = self.flow_of.get(edge.block.index()).copied().flatten();
                let variables = index.map_or_else(Vec::new, |index| self.params[index].clone());
                edge.args = variables
                    .iter()
                    .map(|variable| match state[*variable] {
                        Some(value) => value,
                        None => self.undefined(function),
                    })
                    .collect();
            });
            function.block_mut(*block).end = end;
        }
        self.drop_single_valued(function, &exits);
        function.apply_replacements();
        function.reorder();
    }

    fn drop_single_valued(&self, function: &mut Function, exits: &[(Block, State)]) {
        let mut incoming: Vec<Vec<Vec<Value>>> = vec![Vec::new(); self.blocks.len()];
        for (block, _) in exits {
            function.block(*block).end.for_each_edge(|edge| {
                let index = self.flow_of.get(edge.block.index()).copied().flatten();
                if let Some(index) = index.filter(|_| !edge.args.is_empty()) {
                    incoming[index].push(edge.args.clone());
                }
            });
        }
        for _ in 0..MAX_ROUNDS {
            let mut changed = false;
            for &index in &self.flow.order {
                for at in 0..self.params[index].len() {
                    let param = function.block(self.blocks[index]).params[at];
                    if function.resolve(param) != param {
                        continue;
                    }
                    let mut single = None;
                    let one = incoming[index].iter().all(|args| {
                        let value = function.resolve(args[at]);
                        value == param || *single.get_or_insert(value) == value
                    });
                    if let (true, Some(value)) = (one, single) {
                        function.replace(param, value);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let keep: Vec<Vec<bool>> = self
            .blocks
            .iter()
            .map(|b| function.block(*b).params.iter().map(|p| function.resolve(*p) == *p).collect())
            .collect();
        for (block, _) in exits {
            function.block_mut(*block).end.for_each_edge_mut(|edge| {
                if let Some(index) = self.flow_of.get(edge.block.index()).copied().flatten() {
                    retain(&mut edge.args, &keep[index]);
                }
            });
        }
        for (index, block) in self.blocks.iter().enumerate() {
            if !self.params[index].is_empty() {
                retain(&mut function.block_mut(*block).params, &keep[index]);
            }
        }
    }
}

fn retain(values: &mut Vec<Value>, keep: &[bool]) {
    let mut keep = keep.iter();
    values.retain(|_| keep.next().copied().unwrap_or(true));
}

/// What variables hold where the function is entered: r1 to r5 are its parameters.
pub(super) fn initial(function: &Function) -> State {
    let mut state = [None; VARIABLES];
    let params = &function.block(function.entry()).params;
    for (variable, param) in (1..).zip(params) {
        state[variable] = Some(*param);
    }
    state
}
