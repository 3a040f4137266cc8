//! Lowers loads, stores and atomics.
//!
//! An access is little-endian, except the context's: where the program is big-endian, its values were
//! swapped before. Atomics are sequentially consistent, which is
//! at least what the ISA asks for, and so are load-acquire and store-release.
//!
//! A stack frame is not cleared. Where the verifier lets a program read stack that it never wrote, as
//! Linux does for privileged ones, it reads whatever was there, and two runs may differ.

use cranelift_codegen::ir::{self as clif, AtomicRmwOp, Endianness, InstBuilder, MemFlagsData, types};

use target_lexicon::Architecture;

use super::FunctionLowering;
use super::alu::part_type;
use crate::ir::{ExtendKind, Mem, Rmw, Value};
use crate::isa::Size;
use crate::verify::Access;

impl FunctionLowering<'_> {
    pub(super) fn load(&mut self, mem: Mem, size: Size, extend: ExtendKind, ty: clif::Type) -> clif::Value {
        let (flags, base, off) = (flags(&mem), self.value(mem.base), mem.off);
        let ins = self.builder.ins();
        match (size, extend) {
            (Size::B, ExtendKind::Zero) => ins.uload8(ty, flags, base, off),
            (Size::B, ExtendKind::Sign) => ins.sload8(ty, flags, base, off),
            (Size::H, ExtendKind::Zero) => ins.uload16(ty, flags, base, off),
            (Size::H, ExtendKind::Sign) => ins.sload16(ty, flags, base, off),
            (Size::W, _) if ty == types::I32 => ins.load(ty, flags, base, off),
            (Size::W, ExtendKind::Zero) => ins.uload32(flags, base, off),
            (Size::W, ExtendKind::Sign) => ins.sload32(flags, base, off),
            (Size::DW, _) => ins.load(types::I64, flags, base, off),
        }
    }

    pub(super) fn store(&mut self, mem: Mem, size: Size, value: Value) {
        let (flags, base, off) = (flags(&mem), self.value(mem.base), mem.off);
        let value = self.value(value);
        let whole = self.builder.func.dfg.value_type(value) == part_type(size);
        let ins = self.builder.ins();
        match size {
            Size::B => ins.istore8(flags, value, base, off),
            Size::H => ins.istore16(flags, value, base, off),
            Size::W if !whole => ins.istore32(flags, value, base, off),
            Size::W | Size::DW => ins.store(flags, value, base, off),
        };
    }

    fn address(&mut self, mem: &Mem) -> clif::Value {
        let base = self.value(mem.base);
        if mem.off == 0 {
            return base;
        }
        let off = self.builder.ins().iconst(types::I64, i64::from(mem.off));
        self.builder.ins().iadd(base, off)
    }

    pub(super) fn atomic_rmw(&mut self, op: Rmw, mem: Mem, size: Size, value: Value) -> clif::Value {
        let (address, value) = (self.address(&mem), self.value(value));
        let flags = match op {
            Rmw::AddBigEndian => flags_in(&mem, Endianness::Big),
            Rmw::Add | Rmw::And | Rmw::Or | Rmw::Xor | Rmw::Exchange => flags(&mem),
        };
        let op = match op {
            Rmw::Add | Rmw::AddBigEndian => AtomicRmwOp::Add,
            Rmw::And => AtomicRmwOp::And,
            Rmw::Or => AtomicRmwOp::Or,
            Rmw::Xor => AtomicRmwOp::Xor,
            Rmw::Exchange => AtomicRmwOp::Xchg,
        };
        self.builder.ins().atomic_rmw(part_type(size), flags, op, address, value)
    }

    pub(super) fn atomic_cas(&mut self, mem: Mem, _: Size, expected: Value, value: Value) -> clif::Value {
        let address = self.address(&mem);
        let (mut expected, value) = (self.value(expected), self.value(value));
        if let Architecture::Aarch64(_) = self.isa.triple().architecture
            && self.builder.func.dfg.value_type(expected) == types::I32
        {
            // Cranelift 0.135 compares 64 bits there, and leaves what is above the 32 to chance.
            let wide = self.builder.ins().uextend(types::I64, expected);
            expected = self.builder.ins().ireduce(types::I32, wide);
        }
        self.builder.ins().atomic_cas(flags(&mem), address, expected, value)
    }

    pub(super) fn load_acquire(&mut self, mem: Mem, size: Size) -> clif::Value {
        let address = self.address(&mem);
        let loaded = self.builder.ins().atomic_load(part_type(size), flags(&mem), address);
        match size {
            Size::B | Size::H | Size::W => self.builder.ins().uextend(types::I64, loaded),
            Size::DW => loaded,
        }
    }

    pub(super) fn store_release(&mut self, mem: Mem, size: Size, value: Value) {
        let (address, value) = (self.address(&mem), self.value(value));
        let part = match size {
            Size::B | Size::H | Size::W => self.builder.ins().ireduce(part_type(size), value),
            Size::DW => value,
        };
        self.builder.ins().atomic_store(flags(&mem), part, address);
    }

    /// The frame's end is what `r10` holds; offsets are negative.
    pub(super) fn stack_addr(&mut self, off: i32) -> clif::Value {
        let from_start = i64::from(self.function.stack_bytes) + i64::from(off);
        match (self.frame, i32::try_from(from_start)) {
            (Some(frame), Ok(from_start)) => self.builder.ins().stack_addr(types::I64, frame, from_start),
            // A frame of no bytes: the address is never used for an access.
            (None, _) | (_, Err(_)) => self.const64(0),
        }
    }
}

/// How an access is marked.
fn flags(mem: &Mem) -> MemFlagsData {
    flags_in(mem, Endianness::Little)
}

/// How an access in a byte order is marked.
fn flags_in(mem: &Mem, order: Endianness) -> MemFlagsData {
    let flags = MemFlagsData::new().with_notrap();
    match mem.access {
        Access::Context { .. } => flags,
        Access::OwnStack { .. }
        | Access::CallerStack
        | Access::Packet
        | Access::MapValue { .. }
        | Access::RawMemory
        | Access::Mixed => flags.with_endianness(order),
    }
}
