//! Finds switches in trees of comparisons.
//!
//! BPF has no indirect jump, so clang makes a balanced tree of comparisons of a `switch`. Blocks that
//! only compare one value with constants form such a tree; each way out of it holds for some ranges of
//! the value. Where all ways but one hold for few values, the tree becomes one [`Terminator::Switch`].
//! Trees of which the values lie far apart stay: a jump table would be mostly holes.

use crate::ir::{Block, Compare, Edge, Function, Op, Terminator, Type, Unit, User, Uses, Value};

/// Finds switches in all functions.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        find(function, MIN_COMPARISONS);
    }
}

/// Finds small ones, too, so that tests need no large programs.
#[cfg(test)]
pub(super) fn run_eagerly(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        find(function, 3);
    }
}

/// Fewer comparisons are better made one by one: processors learn a path through a few branches far
/// better than an indirect jump. Measured on a server's CPU (AMD EPYC, in a virtual machine), a tree of
/// sixteen cases took 1.5 to 5.5 ns where a jump table took 4.5 to 18.
const MIN_COMPARISONS: usize = 24;
/// Values a comparison at most.
const VALUES: usize = 8;
/// More cases than this are not put into one table.
const MAX_CASES: usize = 1_024;
/// A table may have this many entries a case, as `lower` will make it.
const HOLES: u64 = 4;
/// Blocks of a tree.
const MAX_BLOCKS: usize = 512;
/// Operations of a block of a tree besides its root.
const MAX_INSTS: usize = 8;
/// Where a tree of more blocks than this is none, its subtrees are not looked at: that would take time
/// quadratic in its size.
const RETRY: usize = 32;

fn find(function: &mut Function, min_comparisons: usize) {
    let uses = Uses::new(function);
    let predecessors = function.predecessors();
    let mut taken = vec![false; function.block_capacity()];
    let mut changed = false;
    for block in function.reverse_postorder() {
        if taken[block.index()] {
            continue;
        }
        let Some((value, ..)) = test(function, block) else { continue };
        let mut tree = Tree {
            function,
            uses: &uses,
            predecessors: &predecessors,
            value,
            ways: Vec::new(),
            blocks: Vec::new(),
        };
        let is_tree = tree.walk(block);
        let (ways, blocks) = (tree.ways, tree.blocks);
        let Some((cases, default)) = (if is_tree { cases(ways) } else { None }) else {
            if blocks.len() > RETRY {
                blocks.iter().for_each(|block| taken[block.index()] = true);
            }
            continue;
        };
        // A range is one comparison, but as many entries of a table as it has values.
        let comparisons = blocks.len() + 1;
        if comparisons >= min_comparisons && cases.len() <= comparisons * VALUES {
            for inner in blocks {
                taken[inner.index()] = true;
                // What edges pass on.
                let insts = std::mem::take(&mut function.block_mut(inner).insts);
                function.block_mut(block).insts.extend(insts);
            }
            function.block_mut(block).end = Terminator::Switch { value, cases, default };
            changed = true;
        }
    }
    if changed {
        function.reorder();
    }
}

/// A comparison of a value with a constant that decides a block's branch.
fn test(function: &Function, block: Block) -> Option<(Value, Compare, u64, &Edge, &Edge)> {
    let Terminator::Branch { cond, then, otherwise } = &function.block(block).end else { return None };
    let Some(&Op::Compare { cond, a, b }) = function.op(*cond) else { return None };
    Some((a, cond, function.as_const(b)?, then, otherwise))
}

/// Values from the first to the second.
type Interval = (u64, u64);

struct Tree<'a> {
    function: &'a Function,
    uses: &'a Uses,
    predecessors: &'a [Vec<Block>],
    value: Value,
    /// Ways out of the tree, and for which values.
    ways: Vec<(Interval, Edge)>,
    /// The blocks besides the first.
    blocks: Vec<Block>,
}

impl Tree<'_> {
    /// Walks the tree from its root; whether it is one.
    fn walk(&mut self, root: Block) -> bool {
        let whole = (0, self.function.ty(self.value).mask());
        if self.function.ty(self.value) == Type::I1 {
            return false;
        }
        let mut work = vec![(root, vec![whole])];
        while let Some((block, intervals)) = work.pop() {
            let Some((value, cond, constant, then, otherwise)) = test(self.function, block) else {
                return false;
            };
            let Some((lo, hi)) = (if value == self.value { holds(cond, constant, whole.1) } else { None })
            else {
                return false;
            };
            let (then, otherwise) = (then.clone(), otherwise.clone());
            let (mut inside, mut outside) = (Vec::new(), Vec::new());
            for (first, last) in intervals {
                cut(&mut inside, first.max(lo), last.min(hi));
                if lo > 0 {
                    cut(&mut outside, first, last.min(lo - 1));
                }
                if hi < whole.1 {
                    cut(&mut outside, first.max(hi + 1), last);
                }
            }
            // `!=` holds outside.
            let negated = cond == Compare::Ne;
            let (inside, outside) = if negated { (outside, inside) } else { (inside, outside) };
            for (edge, intervals) in [(then, inside), (otherwise, outside)] {
                if intervals.is_empty() {
                    continue;
                }
                if self.belongs(edge.block) && edge.block != root {
                    self.blocks.push(edge.block);
                    if self.blocks.len() > MAX_BLOCKS {
                        return false;
                    }
                    work.push((edge.block, intervals));
                } else {
                    self.ways.extend(intervals.into_iter().map(|interval| (interval, edge.clone())));
                    if self.ways.len() > 2 * MAX_CASES {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Whether a block does nothing but compare the value, and only the tree leads to it.
    fn belongs(&self, block: Block) -> bool {
        let Some((value, cond, constant, ..)) = test(self.function, block) else { return false };
        let data = self.function.block(block);
        let own = |user: &User| match user {
            User::Inst(inst) => data.insts.contains(inst),
            User::End(at) => *at == block,
        };
        // Constants move to the root, from where they reach all that they reached.
        let idle = || {
            data.insts.len() <= MAX_INSTS
                && data.insts.iter().all(|inst| {
                    let inst = self.function.inst(*inst);
                    let own = || inst.result.is_some_and(|result| self.uses.of(result).iter().all(own));
                    matches!(inst.op, Op::Const(_)) || (matches!(inst.op, Op::Compare { .. }) && own())
                })
        };
        value == self.value
            && holds(cond, constant, self.function.ty(value).mask()).is_some()
            && data.params.is_empty()
            && self.predecessors[block.index()].len() == 1
            && idle()
    }
}

fn cut(into: &mut Vec<Interval>, first: u64, last: u64) {
    if first <= last {
        into.push((first, last));
    }
}

/// The values for which a comparison with a constant holds; for `!=` those for which it does not.
fn holds(cond: Compare, constant: u64, max: u64) -> Option<Interval> {
    match cond {
        Compare::Eq | Compare::Ne => Some((constant, constant)),
        Compare::Ult => Some((0, constant.checked_sub(1)?)),
        Compare::Ule => Some((0, constant)),
        Compare::Ugt if constant < max => Some((constant + 1, max)),
        Compare::Ugt => None,
        Compare::Uge => Some((constant, max)),
        Compare::Slt | Compare::Sle | Compare::Sgt | Compare::Sge => None,
    }
}

/// The cases and the default that ways make, if a table is worth it.
fn cases(ways: Vec<(Interval, Edge)>) -> Option<(Vec<(u64, Edge)>, Edge)> {
    let (_, default) = ways.iter().max_by_key(|((first, last), _)| last - first)?.clone();
    let mut cases = Vec::new();
    for ((first, last), edge) in ways {
        if edge == default {
            continue;
        }
        if last - first >= MAX_CASES as u64 {
            return None;
        }
        cases.extend((first..=last).map(|value| (value, edge.clone())));
        if cases.len() > MAX_CASES {
            return None;
        }
    }
    let least = cases.iter().map(|(value, _)| *value).min()?;
    let greatest = cases.iter().map(|(value, _)| *value).max()?;
    let dense = greatest - least <= cases.len() as u64 * HOLES;
    dense.then_some((cases, default))
}
