//! Loads, stores and atomics, and the context's rewriting from the UAPI's layout to the native one.
//!
//! The context is read in the machine's own byte order, a whole field at a time; part of a field is
//! cut out of it afterwards, as bytecode of the program's byte order sees it. All other operations are
//! little-endian, so that passes need to know of one order only: what a big-endian program loads and
//! stores is swapped here.

use brolga_abi::context::Field;

use super::Builder;
use crate::diag::CompileError;
use crate::ir::function::{Type, Value};
use crate::ir::ops::{Binary, ExtendKind, Mem, Op, Rmw, Unary};
use crate::isa::{AtomicOp, Endianness, Operand, Reg, Size, Width};
use crate::verify::Access;

/// A context access: the native field and the byte within it.
struct ContextPlace {
    mem: Mem,
    native: Size,
    within: u32,
    field: &'static Field,
    /// Whether it is a run of bytes, laid out natively as in the UAPI's layout: `mem` is at the accessed ones.
    bytes: bool,
}

impl Builder<'_> {
    fn access(&self) -> Result<Access, CompileError> {
        self.facts.at(self.at).access.ok_or_else(|| self.internal("nothing is proven of this access"))
    }

    fn mem(&mut self, base: Reg, off: i16) -> Result<Mem, CompileError> {
        let access = self.access()?;
        let base = self.reg(base);
        Ok(Mem { base, off: i32::from(off), access })
    }

    pub(super) fn load(
        &mut self,
        size: Size,
        signed: bool,
        dst: Reg,
        base: Reg,
        off: i16,
    ) -> Result<(), CompileError> {
        let kind = if signed { ExtendKind::Sign } else { ExtendKind::Zero };
        let value = if let Access::Context { off: field } = self.access()? {
            self.load_context(size, kind, base, off, field)?
        } else {
            let mem = self.mem(base, off)?;
            self.load_ordered(mem, size, kind)
        };
        self.set(dst, value);
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        size: Size,
        base: Reg,
        off: i16,
        src: Operand,
    ) -> Result<(), CompileError> {
        if let Access::Context { off: field } = self.access()? {
            let place = self.context_place(base, off, field)?;
            let whole = place.within == 0 && size.bytes() == place.field.width && size == place.native;
            if !whole && !place.bytes {
                return Err(self.unsupported(format!("a write to part of `{}`", place.field.name)));
            }
            let value = self.operand(src, Width::W64);
            self.push_effect(Op::Store { mem: place.mem, size, value });
            return Ok(());
        }
        let mem = self.mem(base, off)?;
        let value = match (src, size) {
            (Operand::Imm(imm), Size::B | Size::H | Size::W) if !self.is_big_endian() => {
                self.const32(imm.cast_unsigned())
            }
            (_, Size::B | Size::H | Size::W | Size::DW) => self.operand(src, Width::W64),
        };
        let value = self.ordered(size, value);
        self.push_effect(Op::Store { mem, size, value });
        Ok(())
    }

    fn is_big_endian(&self) -> bool {
        self.program.endianness == Endianness::Big
    }

    /// The low bytes of an I64 in the order in which the program's machine has them in memory; or what
    /// they mean, if they were loaded.
    fn ordered(&mut self, size: Size, value: Value) -> Value {
        if !self.is_big_endian() {
            return value;
        }
        let op = match size {
            Size::B => return value,
            Size::H => Unary::Swap16,
            Size::W => Unary::Swap32,
            Size::DW => Unary::Swap64,
        };
        self.push(Op::Unary { op, a: value }, Type::I64)
    }

    /// A load of memory that is not the context.
    pub(super) fn load_ordered(&mut self, mem: Mem, size: Size, kind: ExtendKind) -> Value {
        if !self.is_big_endian() {
            return self.push(Op::Load { mem, size, extend: kind }, Type::I64);
        }
        let loaded = self.push(Op::Load { mem, size, extend: ExtendKind::Zero }, Type::I64);
        let value = self.ordered(size, loaded);
        match (kind, size) {
            (ExtendKind::Sign, Size::B | Size::H | Size::W) => {
                self.push(Op::Extend { kind, from: size, a: value }, Type::I64)
            }
            (ExtendKind::Zero, _) | (ExtendKind::Sign, Size::DW) => value,
        }
    }

    /// What [`Self::ordered`] does, for a value of the type of `size`.
    fn ordered_part(&mut self, size: Size, value: Value) -> Value {
        if !self.is_big_endian() || size == Size::DW {
            return self.ordered(size, value);
        }
        let wide = self.widen(value);
        let swapped = self.ordered(size, wide);
        self.push(Op::Trunc(swapped), Type::I32)
    }

    fn load_context(
        &mut self,
        size: Size,
        kind: ExtendKind,
        base: Reg,
        off: i16,
        field: u32,
    ) -> Result<Value, CompileError> {
        let place = self.context_place(base, off, field)?;
        if place.bytes {
            return Ok(self.push(Op::Load { mem: place.mem, size, extend: kind }, Type::I64));
        }
        if place.native == Size::DW {
            // A pointer, of which the UAPI shows 32 bits.
            return Ok(
                self.push(Op::Load { mem: place.mem, size: Size::DW, extend: ExtendKind::Zero }, Type::I64)
            );
        }
        if place.within + size.bytes() > place.field.width {
            return Err(self.unsupported(format!("an access that goes beyond `{}`", place.field.name)));
        }
        let whole = size.bytes() == place.field.width;
        let extend = if whole { kind } else { ExtendKind::Zero };
        let mut value = self.push(Op::Load { mem: place.mem, size: place.native, extend }, Type::I64);
        let below = match self.program.endianness {
            Endianness::Little => place.within,
            Endianness::Big => place.field.width - size.bytes() - place.within,
        };
        if below > 0 {
            let bits = self.const64(u64::from(below) * 8);
            value = self.binary(Binary::Ushr, value, bits, Type::I64);
        }
        if !whole {
            value = self.push(Op::Extend { kind, from: size, a: value }, Type::I64);
        }
        Ok(value)
    }

    /// Where a context access goes. The bytecode's address is `base + off` in the UAPI's layout, and
    /// equals the context's address plus `uapi`, whatever was added to `base` before.
    fn context_place(&mut self, base: Reg, off: i16, uapi: u32) -> Result<ContextPlace, CompileError> {
        let info = self.kind.info().context;
        let field = info.field_at(uapi).ok_or_else(|| self.internal("no such context field"))?;
        let Some(place) = field.native else {
            return Err(self.unsupported(format!("the field `{}` of {}", field.name, info.name)));
        };
        let within = uapi - field.offset;
        let bytes = place.width > 8;
        let native = match place.width {
            1 => Size::B,
            2 => Size::H,
            4 => Size::W,
            _ => Size::DW,
        };
        let at = place.offset + if bytes { within } else { 0 };
        let moved = i64::from(off) - i64::from(uapi) + i64::from(at);
        let off = i32::try_from(moved).map_err(|_| self.internal("a context access out of range"))?;
        let base = self.reg(base);
        let mem = Mem { base, off, access: Access::Context { off: field.offset } };
        Ok(ContextPlace { mem, native, within, field, bytes })
    }

    pub(super) fn atomic(
        &mut self,
        op: AtomicOp,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    ) -> Result<(), CompileError> {
        let mem = self.mem(base, off)?;
        let (width, ty) = match size {
            Size::DW => (Width::W64, Type::I64),
            Size::W => (Width::W32, Type::I32),
            Size::B | Size::H => return Err(self.internal("an atomic of less than 32 bits")),
        };
        let value = self.operand(Operand::Reg(src), width);
        let (op, old_to) = match op {
            AtomicOp::Add { fetch } if self.is_big_endian() => (Rmw::AddBigEndian, fetch.then_some(src)),
            AtomicOp::Add { fetch } => (Rmw::Add, fetch.then_some(src)),
            AtomicOp::Or { fetch } => (Rmw::Or, fetch.then_some(src)),
            AtomicOp::And { fetch } => (Rmw::And, fetch.then_some(src)),
            AtomicOp::Xor { fetch } => (Rmw::Xor, fetch.then_some(src)),
            AtomicOp::Xchg => (Rmw::Exchange, Some(src)),
            AtomicOp::Cmpxchg => {
                let expected = self.operand(Operand::Reg(Reg::R0), width);
                let (expected, value) = (self.ordered_part(size, expected), self.ordered_part(size, value));
                let old = self.push(Op::AtomicCas { mem, size, expected, value }, ty);
                let old = self.ordered_part(size, old);
                self.set_old(width, Reg::R0, old);
                return Ok(());
            }
        };
        let in_order = op == Rmw::AddBigEndian;
        let value = if in_order { value } else { self.ordered_part(size, value) };
        let mut old = self.push(Op::AtomicRmw { op, mem, size, value }, ty);
        if old_to.is_some() && !in_order {
            old = self.ordered_part(size, old);
        }
        if let Some(reg) = old_to {
            self.set_old(width, reg, old);
        }
        Ok(())
    }

    fn set_old(&mut self, width: Width, reg: Reg, old: Value) {
        let old = match width {
            Width::W64 => old,
            Width::W32 => self.widen(old),
        };
        self.set(reg, old);
    }

    pub(super) fn load_acquire(
        &mut self,
        size: Size,
        dst: Reg,
        base: Reg,
        off: i16,
    ) -> Result<(), CompileError> {
        let mem = self.mem(base, off)?;
        let value = self.push(Op::LoadAcquire { mem, size }, Type::I64);
        let value = self.ordered(size, value);
        self.set(dst, value);
        Ok(())
    }

    pub(super) fn store_release(
        &mut self,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    ) -> Result<(), CompileError> {
        let mem = self.mem(base, off)?;
        let value = self.reg(src);
        let value = self.ordered(size, value);
        self.push_effect(Op::StoreRelease { mem, size, value });
        Ok(())
    }
}
