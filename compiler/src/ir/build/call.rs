//! Calls of helpers and subprograms, tail calls and legacy packet loads.
//!
//! Where the facts name the map, lookups in arrays become address computations and those in hash
//! maps call the routine for that kind. Each map kind is spelled out: a new one gets the helper
//! until someone knows better.

use brolga_abi::symbols::Routine;
use brolga_abi::{HelperId, MapKind, NativeHelper};

use super::Builder;
use crate::diag::CompileError;
use crate::ir::function::{Type, Value};
use crate::ir::ops::{Args, Binary, Compare, Edge, ExtendKind, Mem, Op, TailCalls, Terminator};
use crate::isa::{CallTarget, LegacyOffset, Operand, Reg, Size, Width};
use crate::program::MapId;
use crate::verify::Access;

const ARGUMENTS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

impl Builder<'_> {
    pub(super) fn call(&mut self, target: CallTarget) -> Result<(), CompileError> {
        match target {
            CallTarget::Helper(number) => {
                let helper = HelperId::from_number(number)
                    .and_then(HelperId::native)
                    .ok_or_else(|| self.unsupported(format!("helper {number}")))?;
                self.call_helper(helper)
            }
            CallTarget::Subprog(_) => self.call_subprog(),
            CallTarget::Kfunc { id, module: CallTarget::HOST } => self.call_host(id),
            CallTarget::Kfunc { id, .. } => Err(self.unsupported(format!("kernel function {id}"))),
        }
    }

    fn call_subprog(&mut self) -> Result<(), CompileError> {
        let subprog =
            self.facts.at(self.at).call.subprog.ok_or_else(|| self.internal("the callee is not known"))?;
        let Some(reads) = self.arguments.get(subprog.index()).copied() else {
            return Err(self.internal("no such subprogram"));
        };
        let fact = self.facts.subprog(subprog);
        if !fact.called {
            return Err(self.internal("the callee is never called"));
        }
        let tail_calls = if fact.tail_calls { TailCalls::Possible } else { TailCalls::Never };
        let values =
            ARGUMENTS.map(|reg| if reads.contains(reg.index()) { self.reg(reg) } else { self.const64(0) });
        let args = Args::new(&values);
        let result = self.push(Op::CallSubprog { subprog, args, tail_calls }, Type::I64);
        self.set(Reg::R0, result);
        Ok(())
    }

    fn call_host(&mut self, index: i32) -> Result<(), CompileError> {
        let index = u32::try_from(index).map_err(|_| self.internal("no such host function"))?;
        let function = self.program.host_functions.get(index as usize);
        let count = function.map(|function| function.params.len());
        let args = self.args(count.ok_or_else(|| self.internal("no such host function"))?);
        let result = self.push(Op::CallHost { function: index, args }, Type::I64);
        self.set(Reg::R0, result);
        Ok(())
    }

    fn call_helper(&mut self, helper: NativeHelper) -> Result<(), CompileError> {
        let map = self.facts.at(self.at).call.map;
        let kind = map.and_then(|map| self.program.maps.get(map.index())).and_then(|def| def.kind.known());
        let result = match (helper, map, kind) {
            (NativeHelper::TailCall, ..) => return self.tail_call(map, kind),
            (NativeHelper::GetSmpProcessorId, ..) => self.push(Op::CpuId, Type::I64),
            (NativeHelper::MapLookupElem, Some(map), Some(MapKind::Array | MapKind::PerCpuArray)) => {
                self.array_lookup(map)
            }
            (NativeHelper::MapLookupElem, _, Some(MapKind::Hash)) => self.routine(Routine::HashLookup),
            (NativeHelper::MapLookupElem, _, Some(MapKind::PerCpuHash)) => {
                self.routine(Routine::PerCpuHashLookup)
            }
            (NativeHelper::MapUpdateElem, _, Some(MapKind::Hash)) => self.routine(Routine::HashUpdate),
            (
                NativeHelper::MapLookupElem
                | NativeHelper::MapUpdateElem
                | NativeHelper::MapDeleteElem
                | NativeHelper::KtimeGetNs
                | NativeHelper::TracePrintk
                | NativeHelper::GetPrandomU32
                | NativeHelper::Redirect
                | NativeHelper::CsumDiff
                | NativeHelper::XdpAdjustHead
                | NativeHelper::XdpAdjustMeta
                | NativeHelper::XdpAdjustTail
                | NativeHelper::XdpLoadBytes
                | NativeHelper::XdpStoreBytes
                | NativeHelper::SkbLoadBytes,
                ..,
            ) => {
                let args = self.args(helper.info().args.len());
                self.push(Op::CallHelper { helper, args }, Type::I64)
            }
        };
        self.set(Reg::R0, result);
        Ok(())
    }

    fn args(&mut self, count: usize) -> Args {
        let values: Vec<Value> = ARGUMENTS[..count].iter().map(|reg| self.reg(*reg)).collect();
        Args::new(&values)
    }

    fn routine(&mut self, routine: Routine) -> Value {
        let args = self.args(routine.info().args);
        self.push(Op::CallRoutine { routine, args }, Type::I64)
    }

    /// The element's address, or null where the index is too high.
    fn array_lookup(&mut self, map: MapId) -> Value {
        let key = self.reg(Reg::R2);
        let access = match self.function.op(key) {
            Some(&Op::StackAddr(off)) => Access::OwnStack { off: Some(off) },
            _ => Access::Mixed,
        };
        let mem = Mem { base: key, off: 0, access };
        let index = self.load_ordered(mem, Size::W, ExtendKind::Zero);
        let entries = self.const64(u64::from(self.program.maps[map.index()].max_entries));
        let inside = self.compare(Compare::Ult, index, entries);
        let element = self.push(Op::MapElemAddr { map, index }, Type::I64);
        let null = self.const64(0);
        self.push(Op::Select { cond: inside, then: element, otherwise: null }, Type::I64)
    }

    /// Goes on in a new block where there is nothing to call. `r0` is not readable there.
    fn tail_call(&mut self, map: Option<MapId>, kind: Option<MapKind>) -> Result<(), CompileError> {
        let Some(map) = map else {
            return Err(self.unsupported("a tail call through one of several maps"));
        };
        if kind != Some(MapKind::ProgArray) {
            return Err(self.internal("a tail call through a map that is no prog_array"));
        }
        let (context, index) = (self.reg(Reg::R1), self.reg(Reg::R3));
        let next = self.function.add_block();
        self.end(Terminator::TailCall { context, map, index, next: Edge::new(next) });
        self.block = next;
        Ok(())
    }

    /// Ends the function with 0 where the load is out of the packet's bounds.
    pub(super) fn legacy_load(&mut self, size: Size, offset: LegacyOffset, imm: i32) {
        let context = self.reg(Reg::R6);
        let offset = match offset {
            LegacyOffset::Abs => self.const64(i64::from(imm).cast_unsigned()),
            LegacyOffset::Ind(reg) => {
                let index = self.operand(Operand::Reg(reg), Width::W32);
                let imm = self.const32(imm.cast_unsigned());
                let sum = self.binary(Binary::Add, index, imm, Type::I32);
                self.push(Op::Extend { kind: ExtendKind::Sign, from: Size::W, a: sum }, Type::I64)
            }
        };
        let bytes = self.const64(u64::from(size.bytes()));
        let args = Args::new(&[context, offset, bytes]);
        let value = self.push(Op::CallRoutine { routine: Routine::LegacyPacketLoad, args }, Type::I64);
        let zero = self.const64(0);
        let outside = self.compare(Compare::Slt, value, zero);
        let (leave, next) = (self.function.add_block(), self.function.add_block());
        let (then, otherwise) = (Edge::new(leave), Edge::new(next));
        self.end(Terminator::Branch { cond: outside, then, otherwise });
        self.block = leave;
        let zero = self.const64(0);
        self.end(Terminator::Return(zero));
        self.block = next;
        self.set(Reg::R0, value);
    }
}
