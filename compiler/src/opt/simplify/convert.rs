//! Laws of changes of width, of truth values and of choices; and how many bits a value has.

use super::{Folded, Simplifier};
use crate::ir::{Binary, Compare, ExtendKind, Op, Type, Value};
use crate::isa::Size;
use crate::opt::constant;

impl Simplifier<'_> {
    pub(super) fn fold_extend(&mut self, kind: ExtendKind, from: Size, ty: Type, a: Value) -> Folded {
        if let Some(x) = self.constant(a) {
            return Self::constant_op(constant::extend(kind, from, ty, x));
        }
        let n = 8 * from.bytes();
        let needed = self.low_bits(a, n);
        if needed != a {
            return Folded::Op(Op::Extend { kind, from, a: needed });
        }
        let bits = self.bits(a);
        let of = self.function.ty(a);
        match kind {
            ExtendKind::Zero if bits <= n => match (of, ty) {
                (Type::I32, Type::I64) if from == Size::W => {}
                (Type::I32, Type::I64) => {
                    return Folded::Op(Op::Extend { kind: ExtendKind::Zero, from: Size::W, a });
                }
                (Type::I64, Type::I32) => return Folded::Op(Op::Trunc(a)),
                _ => return Folded::Value(a),
            },
            ExtendKind::Sign if bits < n => {
                return Folded::Op(Op::Extend { kind: ExtendKind::Zero, from, a });
            }
            ExtendKind::Zero | ExtendKind::Sign => {}
        }
        match self.op(a) {
            Some(Op::Extend { from: inner, a: x, .. }) if inner >= from => {
                Folded::Op(Op::Extend { kind, from, a: x })
            }
            Some(Op::Extend { kind: ExtendKind::Sign, from: inner, a: x }) if kind == ExtendKind::Sign => {
                Folded::Op(Op::Extend { kind, from: inner, a: x })
            }
            Some(Op::Trunc(x)) => Folded::Op(Op::Extend { kind, from, a: x }),
            _ => Folded::Same,
        }
    }

    pub(super) fn fold_trunc(&mut self, a: Value) -> Folded {
        if let Some(x) = self.constant(a) {
            return Self::constant_op(x & Type::I32.mask());
        }
        let needed = self.low_bits(a, 32);
        if needed != a {
            return Folded::Op(Op::Trunc(needed));
        }
        match self.op(a) {
            Some(Op::Extend { from: Size::W, a: x, .. }) if self.function.ty(x) == Type::I32 => {
                Folded::Value(x)
            }
            Some(Op::Extend { kind, from: from @ (Size::B | Size::H), a: x }) => {
                Folded::Op(Op::Extend { kind, from, a: x })
            }
            Some(Op::FromBool(x)) => Folded::Op(Op::FromBool(x)),
            Some(Op::Binary { op, a: x, b: y }) => self.narrow_binary(op, x, y),
            _ => Folded::Same,
        }
    }

    /// The low half of a sum is the sum of low halves, and so on; worth it where those cost nothing.
    fn narrow_binary(&mut self, op: Binary, x: Value, y: Value) -> Folded {
        let works = match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::And | Binary::Or | Binary::Xor => true,
            Binary::Shl => self.constant(y).is_some_and(|y| y < 32),
            Binary::Udiv
            | Binary::Sdiv
            | Binary::Urem
            | Binary::Srem
            | Binary::Ushr
            | Binary::Sshr
            | Binary::Rotl
            | Binary::Umulhi => false,
        };
        match (works, self.narrow(x), self.narrow(y)) {
            (true, true, true) => {
                let a = self.emit(Op::Trunc(x), Type::I32);
                let b = self.emit(Op::Trunc(y), Type::I32);
                Folded::Op(Op::Binary { op, a, b })
            }
            _ => Folded::Same,
        }
    }

    /// Whether the low half of an I64 is there already.
    fn narrow(&self, value: Value) -> bool {
        match self.op(value) {
            Some(Op::Const(_)) => true,
            Some(Op::Extend { from: Size::W, a, .. }) => self.function.ty(a) == Type::I32,
            _ => false,
        }
    }

    /// A value of the same type that has the same `n` low bits, and is made of less.
    pub(super) fn low_bits(&self, value: Value, n: u32) -> Value {
        let ty = self.function.ty(value);
        let mask = u64::MAX >> (64 - n);
        let mut value = value;
        loop {
            let next = match self.op(value) {
                Some(Op::Binary { op: Binary::And, a, b })
                    if self.function.as_const(b).is_some_and(|b| b & mask == mask) =>
                {
                    a
                }
                Some(Op::Binary { op: Binary::Or | Binary::Xor | Binary::Add, a, b })
                    if self.function.as_const(b).is_some_and(|b| b & mask == 0) =>
                {
                    a
                }
                Some(Op::Extend { from, a, .. }) if 8 * from.bytes() >= n && self.function.ty(a) == ty => a,
                _ => return value,
            };
            value = next;
        }
    }

    pub(super) fn fold_from_bool(&mut self, _: Type, a: Value) -> Folded {
        match self.constant(a) {
            Some(x) => Self::constant_op(x),
            None => Folded::Same,
        }
    }

    pub(super) fn fold_select(&mut self, cond: Value, then: Value, otherwise: Value) -> Folded {
        let ty = self.function.ty(then);
        match self.constant(cond) {
            Some(1) => return Folded::Value(then),
            Some(_) => return Folded::Value(otherwise),
            None if then == otherwise => return Folded::Value(then),
            None => {}
        }
        match (self.constant(then), self.constant(otherwise)) {
            (Some(1), Some(0)) if ty == Type::I1 => Folded::Value(cond),
            (Some(1), Some(0)) => Folded::Op(Op::FromBool(cond)),
            (Some(0), Some(1)) => match self.negated(cond) {
                Some(not) if ty == Type::I1 => Folded::Op(not),
                Some(not) => {
                    let not = self.emit(not, Type::I1);
                    Folded::Op(Op::FromBool(not))
                }
                None => Folded::Same,
            },
            _ => Folded::Same,
        }
    }

    /// The comparison that holds where a truth value does not, if it is a comparison.
    pub(super) fn negated(&self, cond: Value) -> Option<Op> {
        match self.op(cond) {
            Some(Op::Compare { cond, a, b }) => Some(Op::Compare { cond: cond.negate(), a, b }),
            _ => None,
        }
    }

    /// Whether a value equals a constant, if that is certain without knowing where control came from.
    pub(super) fn certainly(&self, value: Value, constant: u64) -> Option<bool> {
        match self.op(value)? {
            Op::Const(x) => Some(x == constant),
            // What has an address is not at 0.
            Op::StackAddr(_) | Op::MapHandle(_) | Op::MapValueAddr { .. } | Op::MapElemAddr { .. } => {
                (constant == 0).then_some(false)
            }
            Op::Select { then, otherwise, .. } => {
                let (x, y) = (self.shallow(then, constant)?, self.shallow(otherwise, constant)?);
                (x == y).then_some(x)
            }
            _ => None,
        }
    }

    /// [`Simplifier::certainly`] without looking into choices.
    pub(super) fn shallow(&self, value: Value, constant: u64) -> Option<bool> {
        match self.op(value)? {
            Op::Select { .. } => None,
            _ => self.certainly(value, constant),
        }
    }

    pub(super) fn fold_choice(&mut self, cond: Compare, a: Value, y: u64) -> Folded {
        let (choice, then, otherwise) = match self.op(a) {
            Some(Op::Select { cond, then, otherwise }) => {
                match (self.shallow(then, y), self.shallow(otherwise, y)) {
                    (Some(then), Some(otherwise)) => (cond, then, otherwise),
                    _ => return Folded::Same,
                }
            }
            Some(Op::FromBool(cond)) => (cond, y == 1, y == 0),
            _ => return Folded::Same,
        };
        let (then, otherwise) = if cond == Compare::Eq { (then, otherwise) } else { (!then, !otherwise) };
        match (then, otherwise) {
            (true, true) => Self::constant_op(1),
            (false, false) => Self::constant_op(0),
            (true, false) => Folded::Value(choice),
            (false, true) => self.negated(choice).map_or(Folded::Same, Folded::Op),
        }
    }
}
