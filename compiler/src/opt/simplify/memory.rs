//! Addresses of accesses, what a store needs of its value, and loads from frozen global data.
//!
//! An access by `x + c` becomes one by `x` with a larger displacement; one to the stack or to global
//! data is put relative to the frame's end or the value's start, so that all share that one base.
//! Global data that is frozen (`.rodata`) has the bytes of the object: setting others when the object
//! is loaded is refused by whoever loads it.

use super::{Folded, Simplifier};
use crate::ir::{Binary, ExtendKind, Mem, Op, Type, Value};
use crate::isa::Size;
use crate::opt::constant;
use crate::program::MapId;
use crate::verify::Access;

impl Simplifier<'_> {
    /// The address in its canonical form.
    fn address(&mut self, mut mem: Mem) -> Mem {
        loop {
            let (base, add) = match self.op(mem.base) {
                Some(Op::Binary { op: Binary::Add, a, b }) => match self.function.as_const(b) {
                    Some(c) => (Ok(a), c.cast_signed()),
                    None => return mem,
                },
                Some(Op::StackAddr(off)) if off != 0 => (Err(Op::StackAddr(0)), i64::from(off)),
                Some(Op::MapValueAddr { map, off }) if off != 0 => {
                    (Err(Op::MapValueAddr { map, off: 0 }), i64::from(off))
                }
                Some(Op::StackAddr(_)) => {
                    return Mem { access: Access::OwnStack { off: Some(mem.off) }, ..mem };
                }
                _ => return mem,
            };
            let Some(off) = i64::from(mem.off).checked_add(add).and_then(|off| i32::try_from(off).ok())
            else {
                return mem;
            };
            let base = match base {
                Ok(value) => self.function.resolve(value),
                Err(op) => self.emit(op, Type::I64),
            };
            mem = Mem { base, off, ..mem };
        }
    }

    /// An operation that touches memory, with what it needs in the simplest form.
    pub(super) fn fold_effect(&mut self, op: Op) -> Op {
        match op {
            Op::Store { mem, size, value } => {
                Op::Store { mem: self.address(mem), size, value: self.stored(value, size) }
            }
            Op::StoreRelease { mem, size, value } => Op::StoreRelease { mem: self.address(mem), size, value },
            Op::LoadAcquire { mem, size } => Op::LoadAcquire { mem: self.address(mem), size },
            Op::AtomicRmw { op, mem, size, value } => {
                Op::AtomicRmw { op, mem: self.address(mem), size, value }
            }
            Op::AtomicCas { mem, size, expected, value } => {
                Op::AtomicCas { mem: self.address(mem), size, expected, value }
            }
            Op::Const(_)
            | Op::Binary { .. }
            | Op::Unary { .. }
            | Op::Compare { .. }
            | Op::Select { .. }
            | Op::Extend { .. }
            | Op::Trunc(_)
            | Op::FromBool(_)
            | Op::Load { .. }
            | Op::StackAddr(_)
            | Op::MapHandle(_)
            | Op::MapValueAddr { .. }
            | Op::MapElemAddr { .. }
            | Op::CpuId
            | Op::CallHelper { .. }
            | Op::CallRoutine { .. }
            | Op::CallHost { .. }
            | Op::CallSubprog { .. } => op,
        }
    }

    /// A value with the low bits that a store of a size takes.
    fn stored(&self, value: Value, size: Size) -> Value {
        let bits = 8 * size.bytes();
        let mut value = value;
        loop {
            value = self.low_bits(value, bits.min(constant::width(self.function.ty(value))));
            value = match self.op(value) {
                Some(Op::Extend { from, a, .. })
                    if from >= size && constant::width(self.function.ty(a)) >= bits =>
                {
                    a
                }
                Some(Op::Trunc(a)) => a,
                _ => return value,
            };
        }
    }

    pub(super) fn fold_load(&mut self, mem: Mem, size: Size, extend: ExtendKind, ty: Type) -> Folded {
        let moved = self.address(mem);
        if moved != mem {
            return Folded::Op(Op::Load { mem: moved, size, extend });
        }
        if let Some(Op::MapValueAddr { map, off }) = self.op(mem.base)
            && let Some(bits) = self.frozen(map, i64::from(off) + i64::from(mem.off), size)
        {
            return Self::constant_op(constant::extend(extend, size, ty, bits));
        }
        Folded::Same
    }

    /// The bytes of frozen global data, as a little-endian word.
    fn frozen(&self, map: MapId, at: i64, size: Size) -> Option<u64> {
        let data = self.maps.get(map.index())?.global.as_ref().filter(|data| data.readonly)?;
        let at = usize::try_from(at).ok()?;
        let bytes = data.initial.get(at..)?.get(..size.bytes() as usize)?;
        Some(bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }
}
