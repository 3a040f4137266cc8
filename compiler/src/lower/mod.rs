//! Lowers the intermediate form to Cranelift IR, one function at a time.
//!
//! No checks are added: what the verifier proved is relied on. Every memory access is marked as one
//! that cannot trap, which is wrong exactly where a proof is. Memory that bytecode sees is
//! little-endian on every target; the environment and the context are in the machine's own order.
//!
//! Every operation is lowered by the file of its family; this one only finds the family.

#![warn(clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

mod alu;
mod branch;
mod call;
mod callee;
mod cut;
mod divide;
mod entry;
mod map;
mod mem;

use cranelift_codegen::ir::{self as clif, InstBuilder, MemFlagsData, types};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

pub use callee::Callee;
pub use cut::{REGION, cut};
pub use entry::{body_signature, entry_signature, lower_entry};

use crate::ir::{Block, Function, Inst, Op, Type, Unit, Value};

/// What lowering works in: the target and buffers that are used again for each function.
#[expect(missing_debug_implementations, reason = "Cranelift's buffers have no useful text")]
pub struct Lowering<'a> {
    isa: &'a dyn TargetIsa,
    buffers: FunctionBuilderContext,
}

impl<'a> Lowering<'a> {
    /// For a target.
    #[must_use]
    pub fn new(isa: &'a dyn TargetIsa) -> Self {
        Self { isa, buffers: FunctionBuilderContext::new() }
    }

    /// Lowers a function of a program into an empty Cranelift function.
    pub fn function(&mut self, unit: &Unit, function: &Function, into: &mut clif::Function) {
        into.signature = body_signature();
        let builder = FunctionBuilder::new(into, &mut self.buffers);
        FunctionLowering::new(self.isa, unit, function, builder).run();
    }
}

/// A function that is being lowered.
struct FunctionLowering<'a> {
    isa: &'a dyn TargetIsa,
    unit: &'a Unit,
    function: &'a Function,
    builder: FunctionBuilder<'a>,
    /// Cranelift's value of each value that was lowered, and for constants the block in which it is:
    /// each block makes its own, since a register that holds a constant for long is a register lost.
    values: Vec<Option<(Block, clif::Value)>>,
    /// The block that is being lowered.
    current: Block,
    /// Cranelift's block of each block of the layout.
    blocks: Vec<Option<clif::Block>>,
    /// The environment: the last parameter.
    env: clif::Value,
    /// The stack frame, where there is one.
    frame: Option<clif::StackSlot>,
    callees: callee::Callees,
    maps: map::MapBases,
}

impl<'a> FunctionLowering<'a> {
    fn new(
        isa: &'a dyn TargetIsa,
        unit: &'a Unit,
        function: &'a Function,
        mut builder: FunctionBuilder<'a>,
    ) -> Self {
        let mut blocks = vec![None; function.block_capacity()];
        for block in &function.layout {
            let made = builder.create_block();
            builder.func.layout.append_block(made);
            blocks[block.index()] = Some(made);
        }
        let mut values = vec![None; function.value_capacity()];
        for block in &function.layout {
            let made = blocks[block.index()].expect("made above");
            for param in &function.block(*block).params {
                let value = builder.append_block_param(made, clif_type(function.ty(*param)));
                values[param.index()] = Some((*block, value));
            }
        }
        let entry = blocks[function.entry().index()].expect("made above");
        let env = builder.append_block_param(entry, types::I64);
        let frame = (function.stack_bytes > 0).then(|| {
            let kind = clif::StackSlotKind::ExplicitSlot;
            builder.create_sized_stack_slot(clif::StackSlotData::new(kind, function.stack_bytes, 3))
        });
        let (callees, maps) = (callee::Callees::default(), map::MapBases::default());
        let current = function.entry();
        Self { isa, unit, function, builder, values, current, blocks, env, frame, callees, maps }
    }

    fn run(mut self) {
        // Dominators come first in reverse postorder, whatever the order of the code is.
        for block in self.function.reverse_postorder() {
            self.builder.switch_to_block(self.block(block));
            self.current = block;
            self.maps.forget();
            let data = self.function.block(block);
            for inst in &data.insts {
                self.inst(*inst);
            }
            self.set_origin(data.end_origin);
            self.terminator(&data.end);
        }
        self.builder.seal_all_blocks();
        self.builder.finalize(self.isa.frontend_config());
    }

    fn inst(&mut self, inst: Inst) {
        let data = self.function.inst(inst);
        self.set_origin(data.origin);
        let ty = data.result.map_or(types::I64, |result| clif_type(self.function.ty(result)));
        let value = match data.op {
            // Made where they are used.
            Op::Const(_) | Op::StackAddr(_) => return,
            Op::Binary { op, a, b } => self.binary(op, a, b),
            Op::Unary { op, a } => self.unary(op, a),
            Op::Compare { cond, a, b } => self.compare(cond, a, b),
            Op::Select { cond, then, otherwise } => {
                let (cond, then, otherwise) = (self.value(cond), self.value(then), self.value(otherwise));
                self.builder.ins().select(cond, then, otherwise)
            }
            Op::Extend { kind, from, a } => self.extend(kind, from, a, ty),
            Op::Trunc(a) => {
                let a = self.value(a);
                self.builder.ins().ireduce(types::I32, a)
            }
            Op::FromBool(a) => {
                let a = self.value(a);
                self.builder.ins().uextend(ty, a)
            }
            Op::Load { mem, size, extend } => self.load(mem, size, extend, ty),
            Op::Store { mem, size, value } => return self.store(mem, size, value),
            Op::AtomicRmw { op, mem, size, value } => self.atomic_rmw(op, mem, size, value),
            Op::AtomicCas { mem, size, expected, value } => self.atomic_cas(mem, size, expected, value),
            Op::LoadAcquire { mem, size } => self.load_acquire(mem, size),
            Op::StoreRelease { mem, size, value } => return self.store_release(mem, size, value),
            Op::MapHandle(map) => self.map_handle(map),
            Op::MapValueAddr { map, off } => self.map_value_addr(map, off),
            Op::MapElemAddr { map, index } => self.map_elem_addr(map, index),
            Op::CpuId => self.cpu_id(),
            Op::CallHelper { helper, args } => self.call_helper(helper, &args),
            Op::CallRoutine { routine, args } => self.call_routine(routine, &args),
            Op::CallHost { function, args } => self.call_host(function, &args),
            Op::CallSubprog { subprog, args, tail_calls } => self.call_subprog(subprog, &args, tail_calls),
        };
        if let Some(result) = data.result {
            self.values[result.index()] = Some((self.current, value));
        }
    }

    fn set_origin(&mut self, origin: crate::isa::InsnIdx) {
        self.builder.set_srcloc(clif::SourceLoc::new(origin.0));
    }

    /// Cranelift's value for one of ours, in the block that is being lowered.
    fn value(&mut self, value: Value) -> clif::Value {
        let known = self.values[value.index()];
        let made = match self.function.op(value) {
            Some(Op::Const(_) | Op::StackAddr(_))
                if known.is_some_and(|(block, _)| block == self.current) =>
            {
                None
            }
            Some(Op::Const(bits)) => {
                let ty = clif_type(self.function.ty(value));
                Some(self.builder.ins().iconst(ty, bits.cast_signed()))
            }
            Some(Op::StackAddr(off)) => Some(self.stack_addr(*off)),
            Some(_) | None => None,
        };
        if let Some(made) = made {
            self.values[value.index()] = Some((self.current, made));
            return made;
        }
        known.expect("a definition dominates its uses, and dominators are lowered first").1
    }

    fn block(&self, block: Block) -> clif::Block {
        self.blocks[block.index()].expect("edges lead to blocks of the layout")
    }

    fn const64(&mut self, bits: u64) -> clif::Value {
        self.builder.ins().iconst(types::I64, bits.cast_signed())
    }
}

fn clif_type(ty: Type) -> clif::Type {
    match ty {
        Type::I1 => types::I8,
        Type::I32 => types::I32,
        Type::I64 => types::I64,
    }
}

/// Flags of accesses to the environment and to tables that the runtime made.
fn native() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// The convention of bodies and subprograms: any of them may be left by a tail call.
const BODY: CallConv = CallConv::Tail;
