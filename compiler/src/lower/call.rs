//! Lowers calls and tail calls.
//!
//! Helpers and routines are called directly, as `extern "C"` functions of words whose first is the
//! environment. A tail call replaces the body's frame; whoever called a body or subprogram gets the
//! last program's result.

use brolga_abi::NativeHelper;
use brolga_abi::env::{ENV_MAPS, ENV_TAIL_CALLS, MAX_TAIL_CALLS, PROG_ENTRY_BODY, PROG_ENTRY_MAPS};
use brolga_abi::symbols::Routine;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self as clif, InstBuilder, types};

use super::callee::Callee;
use super::entry::{body_signature, signature};
use super::{FunctionLowering, native};
use crate::ir::{Args, Edge, TailCalls, Value};
use crate::isa::Size;
use crate::program::{HostParam, HostScalar, MapId, SubprogId};

impl FunctionLowering<'_> {
    pub(super) fn call_helper(&mut self, helper: NativeHelper, args: &Args) -> clif::Value {
        self.call_runtime(Callee::Helper(helper), args)
    }

    pub(super) fn call_routine(&mut self, routine: Routine, args: &Args) -> clif::Value {
        self.call_runtime(Callee::Routine(routine), args)
    }

    fn call_runtime(&mut self, callee: Callee, args: &Args) -> clif::Value {
        let mut words = vec![self.env];
        words.extend(args.as_slice().iter().map(|arg| self.value(*arg)));
        let conv = self.isa.default_call_conv();
        let callee = self.callees.get(self.builder.func, callee, || signature(conv, words.len()));
        let call = self.builder.ins().call(callee, &words);
        self.builder.inst_results(call)[0]
    }

    /// The host's functions are C's: their words are extended as their types say, and theirs for them.
    pub(super) fn call_host(&mut self, function: u32, args: &Args) -> clif::Value {
        let host = &self.unit.hosts[function as usize];
        let mut words = Vec::with_capacity(args.as_slice().len());
        for (param, arg) in host.params.iter().zip(args.as_slice()) {
            let word = self.value(*arg);
            words.push(match *param {
                HostParam::Scalar(scalar) => {
                    // RISC-V hands over every 32-bit integer with its sign.
                    let riscv = self.isa.name() == "riscv64";
                    self.extended(
                        word,
                        HostScalar { signed: scalar.signed || riscv && scalar.size == Size::W, ..scalar },
                    )
                }
                HostParam::Memory { .. } | HostParam::Buffer { .. } | HostParam::Context => word,
            });
        }
        let conv = self.isa.default_call_conv();
        let callee =
            self.callees.get(self.builder.func, Callee::Host(function), || signature(conv, words.len()));
        let call = self.builder.ins().call(callee, &words);
        let result = self.builder.inst_results(call)[0];
        host.returns.map_or(result, |scalar| self.extended(result, scalar))
    }

    /// The low bits of a word, as an integer of 64 bits.
    fn extended(&mut self, word: clif::Value, scalar: HostScalar) -> clif::Value {
        let narrow = match scalar.size {
            Size::B => types::I8,
            Size::H => types::I16,
            Size::W => types::I32,
            Size::DW => return word,
        };
        let low = self.builder.ins().ireduce(narrow, word);
        match scalar.signed {
            true => self.builder.ins().sextend(types::I64, low),
            false => self.builder.ins().uextend(types::I64, low),
        }
    }

    pub(super) fn call_subprog(
        &mut self,
        subprog: SubprogId,
        args: &Args,
        tail_calls: TailCalls,
    ) -> clif::Value {
        let mut words: Vec<clif::Value> = args.as_slice().iter().map(|arg| self.value(*arg)).collect();
        words.push(self.env);
        let callee = self.callees.get(self.builder.func, Callee::Function(subprog.0), body_signature);
        let maps = match tail_calls {
            TailCalls::Never => None,
            TailCalls::Possible => Some(self.builder.ins().load(types::I64, native(), self.env, ENV_MAPS)),
        };
        let call = self.builder.ins().call(callee, &words);
        if let Some(maps) = maps {
            // The callee may have ended in a program of another instance.
            self.builder.ins().store(native(), maps, self.env, ENV_MAPS);
            self.maps.forget_table();
        }
        self.builder.inst_results(call)[0]
    }

    /// As Linux's JIT: the index, then the count, then the slot; the count goes up only where there is
    /// a program.
    pub(super) fn tail_call(&mut self, context: Value, map: MapId, index: Value, next: &Edge) {
        let max_entries = self.unit.maps[map.index()].max_entries;
        let (context, index) = (self.value(context), self.value(index));
        let index = self.builder.ins().ireduce(types::I32, index);
        let limit = self.builder.ins().iconst(types::I32, i64::from(max_entries));
        let inside = self.builder.ins().icmp(IntCC::UnsignedLessThan, index, limit);
        self.unless(inside, next);

        let count = self.builder.ins().load(types::I32, native(), self.env, ENV_TAIL_CALLS);
        let limit = self.builder.ins().iconst(types::I32, i64::from(MAX_TAIL_CALLS));
        let allowed = self.builder.ins().icmp(IntCC::UnsignedLessThan, count, limit);
        self.unless(allowed, next);

        let slots = self.map_data(map);
        let index = self.builder.ins().uextend(types::I64, index);
        let eight = self.const64(3);
        let off = self.builder.ins().ishl(index, eight);
        let slot = self.builder.ins().iadd(slots, off);
        let entry = self.builder.ins().atomic_load(types::I64, native(), slot);
        let null = self.const64(0);
        let filled = self.builder.ins().icmp(IntCC::NotEqual, entry, null);
        self.unless(filled, next);

        let one = self.builder.ins().iconst(types::I32, 1);
        let count = self.builder.ins().iadd(count, one);
        self.builder.ins().store(native(), count, self.env, ENV_TAIL_CALLS);
        let maps = self.builder.ins().load(types::I64, native(), entry, PROG_ENTRY_MAPS);
        self.builder.ins().store(native(), maps, self.env, ENV_MAPS);
        let body = self.builder.ins().load(types::I64, native(), entry, PROG_ENTRY_BODY);
        let zero = self.const64(0);
        let signature = self.builder.import_signature(body_signature());
        let args = [context, zero, zero, zero, zero, self.env];
        self.builder.ins().return_call_indirect(signature, body, &args);
    }

    /// Goes on in a new block where the condition holds, else along the edge.
    fn unless(&mut self, cond: clif::Value, next: &Edge) {
        let go_on = self.builder.create_block();
        let (next, args) = (self.block(next.block), self.edge_args(next));
        self.builder.ins().brif(cond, go_on, &[], next, &args);
        let here = self.builder.current_block().expect("in the middle of a block");
        self.builder.insert_block_after(go_on, here);
        self.builder.switch_to_block(go_on);
    }
}
