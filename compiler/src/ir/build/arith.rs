//! Arithmetic, moves, byte swaps and conditions.
//!
//! Registers are I64. A 32-bit operation takes the low halves as I32 and widens its result with
//! zeros; the low half of a value that was widened so is the narrow value itself, so that chains of
//! 32-bit operations stay narrow. Bytecode sees a machine of the program's byte order whatever the target is.

use super::Builder;
use crate::diag::CompileError;
use crate::ir::function::{Type, Value};
use crate::ir::ops::{Binary, Compare, ExtendKind, Op, Unary};
use crate::isa::{AluOp, Cond, Endian, Endianness, Imm64, Operand, Reg, Size, Width};
use crate::program::MapId;

impl Builder<'_> {
    /// An operand in a width.
    pub(super) fn operand(&mut self, operand: Operand, width: Width) -> Value {
        match (operand, width) {
            (Operand::Reg(reg), Width::W64) => self.reg(reg),
            (Operand::Reg(reg), Width::W32) => {
                let value = self.reg(reg);
                self.low32(value)
            }
            (Operand::Imm(imm), Width::W64) => self.const64(i64::from(imm).cast_unsigned()),
            (Operand::Imm(imm), Width::W32) => self.const32(imm.cast_unsigned()),
        }
    }

    /// The low half of an I64.
    pub(super) fn low32(&mut self, value: Value) -> Value {
        match self.function.op(value) {
            Some(&Op::Extend { kind: ExtendKind::Zero, from: Size::W, a })
                if self.function.ty(a) == Type::I32 =>
            {
                a
            }
            Some(&Op::Const(bits)) => self.push(Op::Const(bits & Type::I32.mask()), Type::I32),
            _ => self.push(Op::Trunc(value), Type::I32),
        }
    }

    /// An I32 as I64, widened with zeros.
    pub(super) fn widen(&mut self, value: Value) -> Value {
        match self.function.as_const(value) {
            Some(bits) => self.const64(bits),
            None => self.push(Op::Extend { kind: ExtendKind::Zero, from: Size::W, a: value }, Type::I64),
        }
    }

    pub(super) fn binary(&mut self, op: Binary, a: Value, b: Value, ty: Type) -> Value {
        self.push(Op::Binary { op, a, b }, ty)
    }

    pub(super) fn compare(&mut self, cond: Compare, a: Value, b: Value) -> Value {
        self.push(Op::Compare { cond, a, b }, Type::I1)
    }

    pub(super) fn alu(&mut self, op: AluOp, width: Width, dst: Reg, src: Operand) {
        let op = match op {
            AluOp::Mov => {
                let value = self.operand(src, width);
                return self.set_in_width(width, dst, value);
            }
            AluOp::Add => Binary::Add,
            AluOp::Sub => Binary::Sub,
            AluOp::Mul => Binary::Mul,
            AluOp::Div => Binary::Udiv,
            AluOp::Sdiv => Binary::Sdiv,
            AluOp::Mod => Binary::Urem,
            AluOp::Smod => Binary::Srem,
            AluOp::Or => Binary::Or,
            AluOp::And => Binary::And,
            AluOp::Xor => Binary::Xor,
            AluOp::Lsh => Binary::Shl,
            AluOp::Rsh => Binary::Ushr,
            AluOp::Arsh => Binary::Sshr,
        };
        if let Some(address) = self.stack_address(op, width, dst, src) {
            return self.set(dst, address);
        }
        let a = self.operand(Operand::Reg(dst), width);
        let b = self.operand(src, width);
        let value = self.binary(op, a, b, self.function.ty(a));
        self.set_in_width(width, dst, value);
    }

    /// `r10 + constant` is an address of its own: what follows then sees the slot.
    fn stack_address(&mut self, op: Binary, width: Width, dst: Reg, src: Operand) -> Option<Value> {
        let (Width::W64, Operand::Imm(imm)) = (width, src) else { return None };
        let Some(Op::StackAddr(off)) = self.state[dst.index().min(9)].and_then(|v| self.function.op(v))
        else {
            return None;
        };
        let off = match op {
            Binary::Add => off.checked_add(imm)?,
            Binary::Sub => off.checked_sub(imm)?,
            Binary::Mul
            | Binary::Udiv
            | Binary::Sdiv
            | Binary::Urem
            | Binary::Srem
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Ushr
            | Binary::Sshr
            | Binary::Rotl
            | Binary::Umulhi => return None,
        };
        Some(self.push(Op::StackAddr(off), Type::I64))
    }

    fn set_in_width(&mut self, width: Width, dst: Reg, value: Value) {
        let value = match width {
            Width::W64 => value,
            Width::W32 => self.widen(value),
        };
        self.set(dst, value);
    }

    pub(super) fn move_signed(&mut self, width: Width, from: Size, dst: Reg, src: Reg) {
        let a = self.reg(src);
        let value = match (width, from) {
            // Sign-extension from the full width would be a plain move; the decoder has none.
            (Width::W32, Size::W | Size::DW) => self.low32(a),
            (Width::W32, Size::B | Size::H) => {
                self.push(Op::Extend { kind: ExtendKind::Sign, from, a }, Type::I32)
            }
            (Width::W64, Size::DW) => a,
            (Width::W64, Size::B | Size::H | Size::W) => {
                self.push(Op::Extend { kind: ExtendKind::Sign, from, a }, Type::I64)
            }
        };
        self.set_in_width(width, dst, value);
    }

    pub(super) fn negate(&mut self, width: Width, dst: Reg) {
        let a = self.operand(Operand::Reg(dst), width);
        let value = self.push(Op::Unary { op: Unary::Neg, a }, self.function.ty(a));
        self.set_in_width(width, dst, value);
    }

    pub(super) fn endian(&mut self, kind: Endian, size: Size, dst: Reg) {
        let a = self.reg(dst);
        let swaps = match (kind, self.program.endianness) {
            (Endian::Swap, _) | (Endian::ToBe, Endianness::Little) | (Endian::ToLe, Endianness::Big) => true,
            (Endian::ToLe, Endianness::Little) | (Endian::ToBe, Endianness::Big) => false,
        };
        let value = match (swaps, size) {
            (_, Size::B) | (false, Size::DW) => a,
            (false, Size::H | Size::W) => self.truncate(a, size),
            (true, Size::H) => self.swap(Unary::Swap16, a),
            (true, Size::W) => self.swap(Unary::Swap32, a),
            (true, Size::DW) => self.swap(Unary::Swap64, a),
        };
        self.set(dst, value);
    }

    fn swap(&mut self, op: Unary, a: Value) -> Value {
        self.push(Op::Unary { op, a }, Type::I64)
    }

    /// The low bits of an I64, the others zero.
    pub(super) fn truncate(&mut self, a: Value, size: Size) -> Value {
        self.push(Op::Extend { kind: ExtendKind::Zero, from: size, a }, Type::I64)
    }

    pub(super) fn load_imm64(&mut self, dst: Reg, imm: Imm64) -> Result<(), CompileError> {
        let value = match imm {
            Imm64::Value(bits) => self.const64(bits),
            Imm64::MapIdx(index) => {
                let map = self.map(index)?;
                self.push(Op::MapHandle(map), Type::I64)
            }
            Imm64::MapIdxValue { index, off } => {
                let map = self.map(index)?;
                self.push(Op::MapValueAddr { map, off }, Type::I64)
            }
            Imm64::MapFd(_) | Imm64::MapFdValue { .. } => {
                return Err(self.unsupported("a map by file descriptor"));
            }
            Imm64::BtfId { .. } => return Err(self.unsupported("the address of a kernel variable")),
            Imm64::Func(_) => return Err(self.unsupported("the address of a function")),
        };
        self.set(dst, value);
        Ok(())
    }

    fn map(&self, index: u32) -> Result<MapId, CompileError> {
        let map = MapId(index);
        if map.index() < self.program.maps.len() { Ok(map) } else { Err(self.internal("no such map")) }
    }

    pub(super) fn condition(&mut self, cond: Cond, width: Width, dst: Reg, src: Operand) -> Value {
        let a = self.operand(Operand::Reg(dst), width);
        let b = self.operand(src, width);
        let cond = match cond {
            Cond::Eq => Compare::Eq,
            Cond::Ne => Compare::Ne,
            Cond::Gt => Compare::Ugt,
            Cond::Ge => Compare::Uge,
            Cond::Lt => Compare::Ult,
            Cond::Le => Compare::Ule,
            Cond::Sgt => Compare::Sgt,
            Cond::Sge => Compare::Sge,
            Cond::Slt => Compare::Slt,
            Cond::Sle => Compare::Sle,
            Cond::Set => {
                let ty = self.function.ty(a);
                let both = self.binary(Binary::And, a, b, ty);
                let zero = self.push(Op::Const(0), ty);
                return self.compare(Compare::Ne, both, zero);
            }
        };
        self.compare(cond, a, b)
    }
}
