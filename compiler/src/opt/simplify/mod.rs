//! Folds constants, applies laws of arithmetic, merges equal operations and follows decided branches.
//!
//! One walk in reverse postorder: when an operation's turn comes, its operands have been simplified.
//! An operation becomes a value that exists already, or another operation, or stays; then it is
//! looked up among equal ones that dominate it. Where a branch leads into a block of a single
//! predecessor, what the branch decided is known there and below.
//!
//! It could be wrong in a law (the tests run every law on random words), or in using a value where
//! its definition does not reach (`ir::check` looks).

mod arith;
mod bits;
mod compare;
mod convert;
mod divide;
mod memory;

use super::dead;
use super::table::{Key, WordMap, key};
use crate::ir::{Block, Compare, Dominators, Edge, Function, Inst, Op, Terminator, Type, Unit, Value};
use crate::isa::InsnIdx;
use crate::program::MapDef;

/// Simplifies all functions.
pub fn run(unit: &mut Unit) {
    simplify(unit, Stage::Early);
}

/// Simplifies all functions once more, now also into forms that other laws would not recognise.
pub fn run_late(unit: &mut Unit) {
    simplify(unit, Stage::Late);
}

/// Which laws hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Early,
    /// Divisions by constants become multiplications, too.
    Late,
}

fn simplify(unit: &mut Unit, stage: Stage) {
    let maps = std::sync::Arc::clone(&unit.maps);
    for function in unit.functions.iter_mut().flatten() {
        Simplifier::new(function, &maps, stage).run();
        dead::remove(function);
    }
}

/// What became of an operation.
enum Folded {
    /// It stays.
    Same,
    /// It yields what that value is.
    Value(Value),
    /// It yields what another operation does.
    Op(Op),
}

/// Places where a value is known to be decided: the latest, so that a long chain of comparisons of one
/// value takes linear time.
const MAX_PLACES: usize = 8;
/// Parameters before one that are looked at for a twin.
const MAX_TWINS: usize = 12;
/// Laws that follow one another at one operation.
const MAX_STEPS: usize = 16;

struct Simplifier<'a> {
    function: &'a mut Function,
    maps: &'a [MapDef],
    stage: Stage,
    dominators: Dominators,
    predecessors: Vec<Vec<Block>>,
    /// Operations that stand somewhere already.
    table: WordMap<Key, Value>,
    /// The block in which a value is defined.
    home: Vec<Block>,
    /// How many low bits of a value may be set.
    significant: Vec<u8>,
    /// What branches decided: blocks in which (and below which) a value is a constant.
    decided: WordMap<u32, Vec<(Block, u64)>>,
    /// Blocks to which an edge leads that was not found impossible.
    reached: Vec<bool>,
    /// Blocks whose turn was.
    done: Vec<bool>,
    block: Block,
    origin: InsnIdx,
    /// The instructions of the block so far.
    out: Vec<Inst>,
}

impl<'a> Simplifier<'a> {
    fn new(function: &'a mut Function, maps: &'a [MapDef], stage: Stage) -> Self {
        let dominators = Dominators::new(function);
        let (values, blocks) = (function.value_capacity(), function.block_capacity());
        Self {
            maps,
            stage,
            dominators,
            predecessors: function.predecessors(),
            table: WordMap::default(),
            home: vec![Block::default(); values],
            significant: bits::analyse(function),
            decided: WordMap::default(),
            reached: vec![false; blocks],
            done: vec![false; blocks],
            block: function.entry(),
            origin: InsnIdx(0),
            out: Vec::new(),
            function,
        }
    }

    fn run(mut self) {
        self.reached[self.function.entry().index()] = true;
        for block in self.dominators.order().to_vec() {
            self.done[block.index()] = true;
            if self.reached[block.index()] {
                self.visit(block);
            }
        }
        self.function.reorder();
        self.function.apply_replacements();
    }

    fn visit(&mut self, block: Block) {
        self.block = block;
        self.learn(block);
        let insts = std::mem::take(&mut self.function.block_mut(block).insts);
        self.out = Vec::with_capacity(insts.len());
        self.origin = self.function.block(block).end_origin;
        self.params(block);
        for inst in insts {
            self.inst(inst);
        }
        self.origin = self.function.block(block).end_origin;
        let end = std::mem::replace(&mut self.function.block_mut(block).end, Terminator::Return(Value(0)));
        let end = self.end(end);
        end.for_each_edge(|edge| self.reached[edge.block.index()] = true);
        let data = self.function.block_mut(block);
        data.end = end;
        data.insts = std::mem::take(&mut self.out);
    }

    /// Notes what the branch into a block of a single predecessor decided.
    fn learn(&mut self, block: Block) {
        let [from] = self.predecessors[block.index()][..] else { return };
        let (value, is) = match &self.function.block(from).end {
            Terminator::Branch { cond, then, .. } => (*cond, u64::from(then.block == block)),
            Terminator::Switch { value, cases, .. } => {
                match cases.iter().find(|(_, edge)| edge.block == block) {
                    Some((case, _)) => (*value, *case),
                    None => return,
                }
            }
            Terminator::Jump(_) | Terminator::Return(_) | Terminator::TailCall { .. } => return,
        };
        self.decide(block, value, is);
        match self.function.op(value) {
            Some(&Op::Compare { cond: Compare::Eq, a, b }) if is == 1 => self.decide_equal(block, a, b),
            Some(&Op::Compare { cond: Compare::Ne, a, b }) if is == 0 => self.decide_equal(block, a, b),
            _ => {}
        }
    }

    fn decide_equal(&mut self, block: Block, a: Value, b: Value) {
        if let Some(bits) = self.function.as_const(b) {
            self.decide(block, a, bits);
        }
    }

    fn decide(&mut self, block: Block, value: Value, is: u64) {
        if self.function.as_const(value).is_none() {
            let places = self.decided.entry(value.0).or_default();
            if places.len() >= MAX_PLACES {
                places.remove(0);
            }
            places.push((block, is));
        }
    }

    /// The constant that a value is here, by its definition or by a branch.
    fn constant(&self, value: Value) -> Option<u64> {
        self.function.as_const(value).or_else(|| {
            let places = self.decided.get(&value.0)?;
            places.iter().find(|(at, _)| self.dominators.dominates(*at, self.block)).map(|(_, is)| *is)
        })
    }

    /// What an operand means here.
    fn operand(&mut self, value: Value) -> Value {
        let mut value = self.function.resolve(value);
        while let Some(&Op::Select { cond, then, otherwise }) = self.function.op(value) {
            value = match self.constant(self.function.resolve(cond)) {
                Some(1) => self.function.resolve(then),
                Some(_) => self.function.resolve(otherwise),
                None => break,
            };
        }
        if self.function.as_const(value).is_none()
            && let Some(bits) = self.constant(value)
        {
            return self.emit(Op::Const(bits), self.function.ty(value));
        }
        value
    }

    fn inst(&mut self, inst: Inst) {
        let data = self.function.inst(inst);
        let (mut op, result) = (data.op, data.result);
        self.origin = data.origin;
        op.for_each_operand_mut(|value| *value = self.operand(*value));
        let Some(result) = result else {
            self.function.inst_mut(inst).op = self.fold_effect(op);
            self.out.push(inst);
            return;
        };
        let ty = self.function.ty(result);
        match self.settle(op, ty) {
            Ok(value) => self.function.replace(result, value),
            Err(op) => {
                self.function.inst_mut(inst).op = op;
                self.enter(inst, result, &op, ty);
            }
        }
    }

    /// Makes an operation, or finds the value that it yields.
    fn emit(&mut self, op: Op, ty: Type) -> Value {
        match self.settle(op, ty) {
            Ok(value) => value,
            Err(op) => {
                let (inst, value) = self.function.make(op, ty, self.origin);
                self.home.push(self.block);
                self.significant.push(64);
                self.enter(inst, value, &op, ty);
                value
            }
        }
    }

    /// Folds an operation until it is a value that exists, or an operation that is to stand here.
    fn settle(&mut self, mut op: Op, ty: Type) -> Result<Value, Op> {
        for _ in 0..MAX_STEPS {
            match self.fold(&op, ty) {
                Folded::Same => break,
                Folded::Value(value) => return Ok(value),
                Folded::Op(next) => op = next,
            }
        }
        match key(&op, ty).and_then(|key| self.find(key)) {
            Some(value) => Ok(value),
            None => Err(op),
        }
    }

    /// The value of an equal operation that reaches here.
    fn find(&self, key: Key) -> Option<Value> {
        let value = *self.table.get(&key)?;
        self.dominators.dominates(self.home[value.index()], self.block).then_some(value)
    }

    /// Puts an instruction here.
    fn enter(&mut self, inst: Inst, value: Value, op: &Op, ty: Type) {
        self.out.push(inst);
        self.home[value.index()] = self.block;
        let known = self.significant[value.index()];
        self.significant[value.index()] = known.min(self.significant_bits(op, ty));
        if let Some(key) = key(op, ty) {
            self.table.insert(key, value);
        }
    }

    fn fold(&mut self, op: &Op, ty: Type) -> Folded {
        match *op {
            Op::Binary { op, a, b } => self.fold_binary(op, ty, a, b),
            Op::Unary { op, a } => self.fold_unary(op, ty, a),
            Op::Compare { cond, a, b } => self.fold_compare(cond, a, b),
            Op::Select { cond, then, otherwise } => self.fold_select(cond, then, otherwise),
            Op::Extend { kind, from, a } => self.fold_extend(kind, from, ty, a),
            Op::Trunc(a) => self.fold_trunc(a),
            Op::FromBool(a) => self.fold_from_bool(ty, a),
            Op::Load { mem, size, extend } => self.fold_load(mem, size, extend, ty),
            Op::LoadAcquire { .. } | Op::AtomicRmw { .. } | Op::AtomicCas { .. } => {
                let folded = self.fold_effect(*op);
                if folded == *op { Folded::Same } else { Folded::Op(folded) }
            }
            Op::Const(_)
            | Op::Store { .. }
            | Op::StoreRelease { .. }
            | Op::StackAddr(_)
            | Op::MapHandle(_)
            | Op::MapValueAddr { .. }
            | Op::MapElemAddr { .. }
            | Op::CpuId
            | Op::CallHelper { .. }
            | Op::CallRoutine { .. }
            | Op::CallHost { .. }
            | Op::CallSubprog { .. } => Folded::Same,
        }
    }

    /// A parameter that is given the same by every edge is that.
    fn params(&mut self, block: Block) {
        let params = self.function.block(block).params.clone();
        if params.is_empty() || block == self.function.entry() {
            params.iter().for_each(|param| self.home[param.index()] = block);
            return;
        }
        let (edges, complete) = self.incoming(block);
        for (at, param) in params.iter().enumerate() {
            self.home[param.index()] = block;
            let ty = self.function.ty(*param);
            let args = || edges.iter().map(|edge| self.function.resolve(edge[at]));
            let significant = if complete { args().map(|arg| self.bits(arg)).max() } else { None };
            let mut others = args().filter(|arg| arg != param);
            let Some(first) = others.next() else { continue };
            let constant = self.function.as_const(first);
            let same = |arg| arg == first || (constant.is_some() && self.function.as_const(arg) == constant);
            if others.all(same) {
                let value = match constant {
                    Some(bits) => self.emit(Op::Const(bits), ty),
                    None => first,
                };
                self.function.replace(*param, value);
                continue;
            }
            let significant = u8::try_from(significant.unwrap_or(64)).expect("at most 64");
            let known = &mut self.significant[param.index()];
            *known = significant.min(*known);
            let twin = (at.saturating_sub(MAX_TWINS)..at).find(|twin| {
                self.function.ty(params[*twin]) == ty
                    && edges
                        .iter()
                        .all(|edge| self.function.resolve(edge[*twin]) == self.function.resolve(edge[at]))
            });
            if let Some(twin) = twin {
                self.function.replace(*param, params[twin]);
            }
        }
    }

    /// The arguments of each edge into a block that was not found impossible, and whether all of them
    /// come from blocks whose turn was.
    fn incoming(&self, block: Block) -> (Vec<Vec<Value>>, bool) {
        let (mut edges, mut complete) = (Vec::new(), true);
        let mut froms = self.predecessors[block.index()].clone();
        froms.sort_unstable();
        froms.dedup();
        for from in froms {
            if self.done[from.index()] && !self.reached[from.index()] {
                continue;
            }
            complete &= self.done[from.index()] && from != block;
            self.function.block(from).end.for_each_edge(|edge| {
                if edge.block == block {
                    edges.push(edge.args.clone());
                }
            });
        }
        (edges, complete)
    }

    fn end(&mut self, mut end: Terminator) -> Terminator {
        end.for_each_operand_mut(|value| *value = self.operand(*value));
        match end {
            Terminator::Branch { cond, then, otherwise } => match self.constant(cond) {
                Some(1) => Terminator::Jump(then),
                Some(_) => Terminator::Jump(otherwise),
                None if then == otherwise => Terminator::Jump(then),
                None => self.branch(cond, then, otherwise),
            },
            Terminator::Switch { value, mut cases, default } => {
                if let Some(bits) = self.constant(value) {
                    let chosen = cases.into_iter().find(|(case, _)| *case == bits);
                    return Terminator::Jump(chosen.map_or(default, |(_, edge)| edge));
                }
                cases.retain(|(_, edge)| *edge != default);
                if cases.is_empty() {
                    return Terminator::Jump(default);
                }
                Terminator::Switch { value, cases, default }
            }
            Terminator::Jump(_) | Terminator::Return(_) | Terminator::TailCall { .. } => end,
        }
    }

    /// A branch by a comparison with "not equal" is one by "equal" the other way around.
    fn branch(&mut self, cond: Value, then: Edge, otherwise: Edge) -> Terminator {
        if let Some(&Op::Compare { cond: Compare::Ne, a, b }) = self.function.op(cond)
            && let Some(key) = key(&Op::Compare { cond: Compare::Eq, a, b }, Type::I1)
            && let Some(equal) = self.find(key)
        {
            return Terminator::Branch { cond: equal, then: otherwise, otherwise: then };
        }
        Terminator::Branch { cond, then, otherwise }
    }

    /// How many low bits of a value may be set.
    fn bits(&self, value: Value) -> u32 {
        bits::of(self.function, &self.significant, value)
    }

    fn significant_bits(&self, op: &Op, ty: Type) -> u8 {
        bits::of_op(self.function, &self.significant, op, ty)
    }

    /// The operation of a value, looking through nothing.
    fn op(&self, value: Value) -> Option<Op> {
        self.function.op(value).copied()
    }

    fn constant_op(bits: u64) -> Folded {
        Folded::Op(Op::Const(bits))
    }
}
