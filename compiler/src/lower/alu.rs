//! Lowers arithmetic, comparisons and changes of width.
//!
//! Shifts take their amount modulo the width, as Cranelift's do. Byte swaps leave zeros above what
//! they swap.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self as clif, InstBuilder, types};

use super::FunctionLowering;
use crate::ir::{Binary, Compare, ExtendKind, Unary, Value};
use crate::isa::Size;

impl FunctionLowering<'_> {
    pub(super) fn binary(&mut self, op: Binary, a: Value, b: Value) -> clif::Value {
        let constant = self.function.as_const(b);
        let (a, b) = (self.value(a), self.value(b));
        let ins = self.builder.ins();
        match op {
            Binary::Add => ins.iadd(a, b),
            Binary::Sub => ins.isub(a, b),
            Binary::Mul => ins.imul(a, b),
            Binary::And => ins.band(a, b),
            Binary::Or => ins.bor(a, b),
            Binary::Xor => ins.bxor(a, b),
            Binary::Shl => ins.ishl(a, b),
            Binary::Ushr => ins.ushr(a, b),
            Binary::Sshr => ins.sshr(a, b),
            Binary::Rotl => ins.rotl(a, b),
            Binary::Umulhi => ins.umulhi(a, b),
            Binary::Udiv => self.udiv(a, b, constant),
            Binary::Sdiv => self.sdiv(a, b, constant),
            Binary::Urem => self.urem(a, b, constant),
            Binary::Srem => self.srem(a, b, constant),
        }
    }

    pub(super) fn unary(&mut self, op: Unary, a: Value) -> clif::Value {
        let a = self.value(a);
        let ty = self.builder.func.dfg.value_type(a);
        match op {
            Unary::Neg => self.builder.ins().ineg(a),
            Unary::Swap16 => self.swap(a, types::I16, ty),
            Unary::Swap32 => self.swap(a, types::I32, ty),
            Unary::Swap64 => self.swap(a, types::I64, ty),
        }
    }

    fn swap(&mut self, a: clif::Value, part: clif::Type, ty: clif::Type) -> clif::Value {
        let part = if part == ty { a } else { self.builder.ins().ireduce(part, a) };
        let swapped = self.builder.ins().bswap(part);
        self.widen(ExtendKind::Zero, swapped, ty)
    }

    pub(super) fn compare(&mut self, cond: Compare, a: Value, b: Value) -> clif::Value {
        let (a, b) = (self.value(a), self.value(b));
        self.builder.ins().icmp(int_cc(cond), a, b)
    }

    pub(super) fn extend(&mut self, kind: ExtendKind, from: Size, a: Value, ty: clif::Type) -> clif::Value {
        let a = self.value(a);
        let part = part_type(from);
        let whole = self.builder.func.dfg.value_type(a);
        let part = if part == whole { a } else { self.builder.ins().ireduce(part, a) };
        self.widen(kind, part, ty)
    }

    fn widen(&mut self, kind: ExtendKind, a: clif::Value, ty: clif::Type) -> clif::Value {
        if self.builder.func.dfg.value_type(a) == ty {
            return a;
        }
        match kind {
            ExtendKind::Zero => self.builder.ins().uextend(ty, a),
            ExtendKind::Sign => self.builder.ins().sextend(ty, a),
        }
    }
}

/// The integer type of a size.
pub(super) fn part_type(size: Size) -> clif::Type {
    match size {
        Size::B => types::I8,
        Size::H => types::I16,
        Size::W => types::I32,
        Size::DW => types::I64,
    }
}

fn int_cc(cond: Compare) -> IntCC {
    match cond {
        Compare::Eq => IntCC::Equal,
        Compare::Ne => IntCC::NotEqual,
        Compare::Ult => IntCC::UnsignedLessThan,
        Compare::Ule => IntCC::UnsignedLessThanOrEqual,
        Compare::Ugt => IntCC::UnsignedGreaterThan,
        Compare::Uge => IntCC::UnsignedGreaterThanOrEqual,
        Compare::Slt => IntCC::SignedLessThan,
        Compare::Sle => IntCC::SignedLessThanOrEqual,
        Compare::Sgt => IntCC::SignedGreaterThan,
        Compare::Sge => IntCC::SignedGreaterThanOrEqual,
    }
}
