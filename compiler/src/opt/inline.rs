//! Puts small functions in place of calls to them, and any function that is called once.
//!
//! Callees come before their callers, so what was put into a callee comes along. The callee's frame is
//! appended to the caller's: its `r10` is an address further down, and what it did to "the caller's
//! stack" is from now on of unknown region. A function that makes a tail call stays a function, since
//! the tail call ends that function only.

use crate::ir::{Args, Block, Edge, Function, Inst, Mem, Op, Terminator, Type, Unit, Value};
use crate::program::SubprogId;
use crate::verify::Access;

/// Operations of a function that is put in place of any call.
const SMALL: usize = 60;
/// Operations of a function that is put in place of its only call.
const ONCE: usize = 2_000;
/// Operations of a function beyond which nothing more is put into it.
const LARGE: usize = 20_000;
/// Bytes of a frame beyond which nothing more is appended.
const MAX_FRAME: u32 = 4_096;

/// Inlines calls in all functions.
pub fn run(unit: &mut Unit) {
    if unit.functions.iter().flatten().count() < 2 {
        return;
    }
    let mut calls = vec![0u32; unit.functions.len()];
    for function in unit.functions.iter().flatten() {
        each_call(function, |callee| calls[callee.index()] += 1);
    }
    let mut costs = vec![None; unit.functions.len()];
    for id in callees_first(unit) {
        let Some(mut function) = unit.functions[id.index()].take() else { continue };
        inline_into(&mut function, &unit.functions, &costs);
        let operations = size(&function);
        let limit = if calls[id.index()] == 1 { ONCE } else { SMALL };
        costs[id.index()] = (operations <= limit && !makes_tail_calls(&function)).then_some(operations);
        unit.functions[id.index()] = Some(function);
    }
    drop_uncalled(unit);
}

fn each_call(function: &Function, mut f: impl FnMut(SubprogId)) {
    for block in &function.layout {
        for inst in &function.block(*block).insts {
            if let Op::CallSubprog { subprog, .. } = function.inst(*inst).op {
                f(subprog);
            }
        }
    }
}

/// Functions in an order in which callees come before callers. The verifier allows no recursion.
fn callees_first(unit: &Unit) -> Vec<SubprogId> {
    let mut order = Vec::new();
    let mut seen = vec![false; unit.functions.len()];
    let callees = |id: SubprogId| {
        let mut callees = Vec::new();
        if let Some(function) = &unit.functions[id.index()] {
            each_call(function, |callee| callees.push(callee));
        }
        callees
    };
    let mut stack = vec![(SubprogId::MAIN, callees(SubprogId::MAIN))];
    seen[SubprogId::MAIN.index()] = true;
    while let Some((id, pending)) = stack.last_mut() {
        match pending.pop() {
            Some(callee) if !std::mem::replace(&mut seen[callee.index()], true) => {
                stack.push((callee, callees(callee)));
            }
            Some(_) => {}
            None => {
                order.push(*id);
                stack.pop();
            }
        }
    }
    order
}

/// Functions that nothing calls any more are not compiled.
fn drop_uncalled(unit: &mut Unit) {
    let mut called = vec![false; unit.functions.len()];
    for id in callees_first(unit) {
        called[id.index()] = true;
    }
    for (function, called) in unit.functions.iter_mut().zip(called) {
        if !called {
            *function = None;
        }
    }
}

fn size(function: &Function) -> usize {
    function.layout.iter().map(|block| function.block(*block).insts.len() + 1).sum()
}

/// Inlines into a function; `costs` has the operations of each callee that may be put into others.
fn inline_into(function: &mut Function, functions: &[Option<Function>], costs: &[Option<usize>]) {
    let mut total = size(function);
    let mut work = function.blocks();
    while let Some(block) = work.pop() {
        let position = function.block(block).insts.iter().position(|inst| {
            let Op::CallSubprog { subprog, .. } = function.inst(*inst).op else { return false };
            match (costs[subprog.index()], &functions[subprog.index()]) {
                (Some(cost), Some(callee)) => {
                    total + cost <= LARGE && function.stack_bytes + callee.stack_bytes <= MAX_FRAME
                }
                _ => false,
            }
        });
        let Some(position) = position else { continue };
        let inst = function.block(block).insts[position];
        let Op::CallSubprog { subprog, args, .. } = function.inst(inst).op else { continue };
        let callee = functions[subprog.index()].as_ref().expect("it was looked at above");
        total += costs[subprog.index()].unwrap_or(0);
        let after = Inliner::new(function, callee).run(block, position, inst, &args);
        work.push(after);
    }
    function.apply_replacements();
    function.reorder();
}

fn makes_tail_calls(function: &Function) -> bool {
    function.layout.iter().any(|block| matches!(function.block(*block).end, Terminator::TailCall { .. }))
}

struct Inliner<'a> {
    function: &'a mut Function,
    callee: &'a Function,
    blocks: Vec<Option<Block>>,
    values: Vec<Option<Value>>,
    /// Where the caller's frame ends and the callee's begins.
    frame: i32,
}

impl<'a> Inliner<'a> {
    fn new(function: &'a mut Function, callee: &'a Function) -> Self {
        let frame = i32::try_from(function.stack_bytes).expect("frames are small");
        function.stack_bytes += callee.stack_bytes;
        Self {
            function,
            callee,
            blocks: vec![None; callee.block_capacity()],
            values: vec![None; callee.value_capacity()],
            frame,
        }
    }

    /// Replaces a call by the callee's body; the block that holds what followed it.
    fn run(mut self, block: Block, position: usize, call: Inst, args: &Args) -> Block {
        let callee = self.callee;
        // What follows the call.
        let after = self.function.add_block();
        let result = self.function.inst(call).result.expect("calls yield r0");
        let data = self.function.block_mut(block);
        let rest = data.insts.split_off(position + 1);
        data.insts.pop();
        let (end, end_origin) =
            (std::mem::replace(&mut data.end, Terminator::Return(Value(0))), data.end_origin);
        let returned = self.function.add_param(after, Type::I64);
        self.function.replace(result, returned);
        let data = self.function.block_mut(after);
        data.insts = rest;
        data.end = end;
        data.end_origin = end_origin;
        // The callee's entry has no edge to it, so it needs no parameters.
        for &from in &callee.layout {
            let to = self.function.add_block();
            self.blocks[from.index()] = Some(to);
            for &param in &callee.block(from).params {
                let value = match from == callee.entry() {
                    true => None,
                    false => Some(self.function.add_param(to, callee.ty(param))),
                };
                self.values[param.index()] = value;
            }
        }
        let params = &callee.block(callee.entry()).params;
        for (param, arg) in params.iter().zip(args.as_slice()) {
            self.values[param.index()] = Some(*arg);
        }
        for from in callee.reverse_postorder() {
            self.copy(from, after);
        }
        let origin = self.function.inst(call).origin;
        let entry = self.blocks[callee.entry().index()].expect("made above");
        let data = self.function.block_mut(block);
        data.end = Terminator::Jump(Edge::new(entry));
        data.end_origin = origin;
        after
    }

    fn copy(&mut self, from: Block, after: Block) {
        let callee = self.callee;
        let to = self.blocks[from.index()].expect("every block of the layout was made");
        for &inst in &callee.block(from).insts {
            let data = callee.inst(inst);
            let op = self.op(data.op);
            match data.result {
                Some(result) => {
                    let value = self.function.push(to, op, callee.ty(result), data.origin);
                    self.values[result.index()] = Some(value);
                }
                None => self.function.push_effect(to, op, data.origin),
            }
        }
        let mut end = callee.block(from).end.clone();
        end.for_each_operand_mut(|value| *value = self.value(*value));
        end.for_each_edge_mut(|edge| edge.block = self.blocks[edge.block.index()].expect("made before"));
        if let Terminator::Return(value) = end {
            end = Terminator::Jump(Edge { block: after, args: vec![value] });
        }
        let data = self.function.block_mut(to);
        data.end = end;
        data.end_origin = callee.block(from).end_origin;
    }

    fn value(&self, value: Value) -> Value {
        self.values[value.index()].expect("definitions dominate uses, and dominators are copied first")
    }

    fn op(&self, mut op: Op) -> Op {
        op.for_each_operand_mut(|value| *value = self.value(*value));
        match &mut op {
            Op::StackAddr(off) => *off -= self.frame,
            Op::Load { mem, .. }
            | Op::Store { mem, .. }
            | Op::AtomicRmw { mem, .. }
            | Op::AtomicCas { mem, .. }
            | Op::LoadAcquire { mem, .. }
            | Op::StoreRelease { mem, .. } => self.access(mem),
            Op::Const(_)
            | Op::Binary { .. }
            | Op::Unary { .. }
            | Op::Compare { .. }
            | Op::Select { .. }
            | Op::Extend { .. }
            | Op::Trunc(_)
            | Op::FromBool(_)
            | Op::MapHandle(_)
            | Op::MapValueAddr { .. }
            | Op::MapElemAddr { .. }
            | Op::CpuId
            | Op::CallHelper { .. }
            | Op::CallRoutine { .. }
            | Op::CallHost { .. }
            | Op::CallSubprog { .. } => {}
        }
        op
    }

    /// What an access is in the caller's terms.
    fn access(&self, mem: &mut Mem) {
        mem.access = match mem.access {
            Access::OwnStack { off: Some(off) } => Access::OwnStack { off: Some(off - self.frame) },
            // The caller's own, or one further up.
            Access::CallerStack => Access::Mixed,
            Access::OwnStack { off: None }
            | Access::Context { .. }
            | Access::Packet
            | Access::MapValue { .. }
            | Access::RawMemory
            | Access::Mixed => mem.access,
        };
    }
}
