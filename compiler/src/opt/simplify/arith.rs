//! Laws of binary and unary arithmetic.

use super::{Folded, Simplifier, Stage};
use crate::ir::{Binary, ExtendKind, Op, Type, Unary, Value};
use crate::isa::Size;
use crate::opt::constant;

impl Simplifier<'_> {
    pub(super) fn fold_binary(&mut self, op: Binary, ty: Type, a: Value, b: Value) -> Folded {
        match (self.constant(a), self.constant(b)) {
            (Some(x), Some(y)) => Self::constant_op(constant::binary(op, ty, x, y)),
            (Some(_), None) if op.commutes() => Folded::Op(Op::Binary { op, a: b, b: a }),
            (Some(x), None) => self.left_constant(op, x, b),
            (None, Some(y)) => self.right_constant(op, ty, a, y),
            (None, None) if op.commutes() && b < a => Folded::Op(Op::Binary { op, a: b, b: a }),
            (None, None) => self.no_constant(op, ty, a, b),
        }
    }

    fn left_constant(&self, op: Binary, x: u64, b: Value) -> Folded {
        match (op, x) {
            (
                Binary::Shl
                | Binary::Ushr
                | Binary::Sshr
                | Binary::Rotl
                | Binary::Udiv
                | Binary::Sdiv
                | Binary::Urem
                | Binary::Srem,
                0,
            ) => Self::constant_op(0),
            (Binary::Sub, 0) => Folded::Op(Op::Unary { op: Unary::Neg, a: b }),
            _ => Folded::Same,
        }
    }

    fn no_constant(&mut self, op: Binary, ty: Type, a: Value, b: Value) -> Folded {
        if a == b {
            match op {
                Binary::Sub | Binary::Xor => return Self::constant_op(0),
                Binary::And | Binary::Or => return Folded::Value(a),
                // 0 / 0 is 0, but x / x is not always 1; x % x is 0 also where x is 0.
                Binary::Urem | Binary::Srem => return Self::constant_op(0),
                Binary::Add
                | Binary::Mul
                | Binary::Udiv
                | Binary::Sdiv
                | Binary::Shl
                | Binary::Ushr
                | Binary::Sshr
                | Binary::Rotl
                | Binary::Umulhi => {}
            }
        }
        match op {
            Binary::Sub => match (self.op(a), self.op(b)) {
                (Some(Op::Binary { op: Binary::Add, a: x, b: y }), _) if y == b => Folded::Value(x),
                (Some(Op::Binary { op: Binary::Add, a: x, b: y }), _) if x == b => Folded::Value(y),
                _ => Folded::Same,
            },
            Binary::Shl | Binary::Ushr | Binary::Sshr | Binary::Rotl => self.masked_amount(op, ty, a, b),
            Binary::Or | Binary::Xor | Binary::Add => self.rotation(ty, a, b),
            Binary::And
            | Binary::Mul
            | Binary::Udiv
            | Binary::Sdiv
            | Binary::Urem
            | Binary::Srem
            | Binary::Umulhi => Folded::Same,
        }
    }

    /// A shift takes its amount modulo the width: a mask that keeps those bits does nothing.
    fn masked_amount(&mut self, op: Binary, ty: Type, a: Value, b: Value) -> Folded {
        let needed = u64::from(constant::width(ty) - 1);
        match self.op(b) {
            Some(Op::Binary { op: Binary::And, a: amount, b: mask })
                if self.constant(mask).is_some_and(|mask| mask & needed == needed) =>
            {
                Folded::Op(Op::Binary { op, a, b: amount })
            }
            _ => Folded::Same,
        }
    }

    /// `x << c | x >> (width - c)`
    fn rotation(&mut self, ty: Type, a: Value, b: Value) -> Folded {
        let width = u64::from(constant::width(ty));
        for (a, b) in [(a, b), (b, a)] {
            if let (Some((x, left)), Some((y, right))) =
                (self.inner(Binary::Shl, a), self.inner(Binary::Ushr, b))
                && x == y
                && left + right == width
            {
                return self.with_constant(Binary::Rotl, ty, x, left);
            }
        }
        Folded::Same
    }

    fn right_constant(&mut self, op: Binary, ty: Type, a: Value, y: u64) -> Folded {
        let all = ty.mask();
        match (op, y) {
            (
                Binary::Add
                | Binary::Sub
                | Binary::Or
                | Binary::Xor
                | Binary::Shl
                | Binary::Ushr
                | Binary::Sshr
                | Binary::Rotl
                | Binary::Urem
                | Binary::Srem,
                0,
            )
            | (Binary::Mul | Binary::Udiv | Binary::Sdiv, 1) => return Folded::Value(a),
            (Binary::And | Binary::Mul | Binary::Udiv | Binary::Sdiv | Binary::Umulhi, 0)
            | (Binary::Urem | Binary::Srem, 1) => return Self::constant_op(0),
            (Binary::And, _) if y == all => return Folded::Value(a),
            (Binary::Or, _) if y == all => return Self::constant_op(all),
            (Binary::Mul | Binary::Sdiv, _) if y == all => {
                return Folded::Op(Op::Unary { op: Unary::Neg, a });
            }
            (Binary::Srem, _) if y == all => return Self::constant_op(0),
            _ => {}
        }
        match op {
            Binary::Add => self.add_constant(ty, a, y),
            Binary::Sub => self.with_constant(Binary::Add, ty, a, y.wrapping_neg() & all),
            Binary::Mul if y.is_power_of_two() => {
                self.with_constant(Binary::Shl, ty, a, u64::from(y.trailing_zeros()))
            }
            Binary::Udiv if y.is_power_of_two() => {
                self.with_constant(Binary::Ushr, ty, a, u64::from(y.trailing_zeros()))
            }
            Binary::Urem if y.is_power_of_two() => self.with_constant(Binary::And, ty, a, y - 1),
            Binary::And => self.and_constant(ty, a, y),
            Binary::Shl | Binary::Ushr | Binary::Sshr => self.shift_constant(op, ty, a, y),
            Binary::Or | Binary::Xor | Binary::Mul => self.again(op, ty, a, y),
            Binary::Sdiv | Binary::Srem
                if self.bits(a) < constant::width(ty) && constant::signed(ty, y) > 0 =>
            {
                let op = if op == Binary::Sdiv { Binary::Udiv } else { Binary::Urem };
                self.with_constant(op, ty, a, y)
            }
            Binary::Udiv if self.stage == Stage::Late => self.divide_constant(ty, a, y),
            Binary::Urem if self.stage == Stage::Late => self.remainder_constant(ty, a, y),
            Binary::Udiv | Binary::Sdiv | Binary::Urem | Binary::Srem | Binary::Rotl | Binary::Umulhi => {
                Folded::Same
            }
        }
    }

    fn with_constant(&mut self, op: Binary, ty: Type, a: Value, y: u64) -> Folded {
        let b = self.emit(Op::Const(y), ty);
        Folded::Op(Op::Binary { op, a, b })
    }

    /// The inner operation's operand and constant, if `a` is `x op constant`.
    fn inner(&self, op: Binary, a: Value) -> Option<(Value, u64)> {
        match self.op(a) {
            Some(Op::Binary { op: inner, a: x, b }) if inner == op => Some((x, self.function.as_const(b)?)),
            _ => None,
        }
    }

    /// `(x op c) op y` is `x op (c op y)` for an associative operation.
    fn again(&mut self, op: Binary, ty: Type, a: Value, y: u64) -> Folded {
        match self.inner(op, a) {
            Some((x, c)) => self.with_constant(op, ty, x, constant::binary(op, ty, c, y)),
            None => Folded::Same,
        }
    }

    fn add_constant(&mut self, ty: Type, a: Value, y: u64) -> Folded {
        match self.op(a) {
            Some(Op::StackAddr(off)) => {
                let sum = i64::from(off).wrapping_add(y.cast_signed());
                match i32::try_from(sum) {
                    Ok(off) => Folded::Op(Op::StackAddr(off)),
                    Err(_) => Folded::Same,
                }
            }
            Some(Op::MapValueAddr { map, off }) => {
                let sum = u32::try_from(u64::from(off).wrapping_add(y)).ok();
                match sum.filter(|sum| *sum <= self.maps[map.index()].value_size) {
                    Some(off) => Folded::Op(Op::MapValueAddr { map, off }),
                    None => Folded::Same,
                }
            }
            // c - x + y
            Some(Op::Binary { op: Binary::Sub, a: c, b: x }) => match self.function.as_const(c) {
                Some(c) => {
                    let a = self.emit(Op::Const(constant::binary(Binary::Add, ty, c, y)), ty);
                    Folded::Op(Op::Binary { op: Binary::Sub, a, b: x })
                }
                None => Folded::Same,
            },
            _ => self.again(Binary::Add, ty, a, y),
        }
    }

    fn and_constant(&mut self, ty: Type, a: Value, y: u64) -> Folded {
        let low = u64::MAX.checked_shr(64 - self.bits(a)).unwrap_or(0);
        if low & !y == 0 {
            return Folded::Value(a);
        }
        if low & y == 0 {
            return Self::constant_op(0);
        }
        let from = match (ty, y & low) {
            _ if y == 0xff => Some(Size::B),
            _ if y == 0xffff => Some(Size::H),
            (Type::I64, _) if y == 0xffff_ffff => Some(Size::W),
            _ => None,
        };
        if let Some(from) = from {
            return Folded::Op(Op::Extend { kind: ExtendKind::Zero, from, a });
        }
        // A mask within what an extension keeps makes the extension needless, if it keeps the type.
        if let Some(Op::Extend { kind: _, from, a: x }) = self.op(a)
            && self.function.ty(x) == ty
            && y >> (8 * from.bytes()) == 0
        {
            return self.with_constant(Binary::And, ty, x, y);
        }
        self.again(Binary::And, ty, a, y)
    }

    fn shift_constant(&mut self, op: Binary, ty: Type, a: Value, y: u64) -> Folded {
        let width = u64::from(constant::width(ty));
        if y >= width {
            return self.with_constant(op, ty, a, y % width);
        }
        let bits = u64::from(self.bits(a));
        if op == Binary::Sshr && bits < width {
            // The sign is clear.
            return self.with_constant(Binary::Ushr, ty, a, y);
        }
        if op == Binary::Ushr && bits <= y {
            return Self::constant_op(0);
        }
        if let Some((x, c)) = self.inner(op, a) {
            let sum = c + y;
            return match op {
                Binary::Sshr => self.with_constant(op, ty, x, sum.min(width - 1)),
                _ if sum >= width => Self::constant_op(0),
                _ => self.with_constant(op, ty, x, sum),
            };
        }
        match (op, self.inner(Binary::Shl, a), self.inner(Binary::Ushr, a)) {
            (Binary::Ushr, Some((x, c)), _) => self.left_then_right(ty, x, c, y),
            (Binary::Sshr, Some((x, c)), _) if c == y => match whole_size(width - c) {
                Some(from) => Folded::Op(Op::Extend { kind: ExtendKind::Sign, from, a: x }),
                None => Folded::Same,
            },
            // The low bits were shifted out: what comes back is 0.
            (Binary::Shl, _, Some((x, c))) if c == y => {
                self.with_constant(Binary::And, ty, x, (u64::MAX << y) & ty.mask())
            }
            _ => Folded::Same,
        }
    }

    /// `(x << c) >> y`
    fn left_then_right(&mut self, ty: Type, x: Value, c: u64, y: u64) -> Folded {
        let width = u64::from(constant::width(ty));
        if u64::from(self.bits(x)) + c <= width {
            // Nothing is shifted out on the left.
            return match c.cmp(&y) {
                std::cmp::Ordering::Equal => Folded::Value(x),
                std::cmp::Ordering::Less => self.with_constant(Binary::Ushr, ty, x, y - c),
                std::cmp::Ordering::Greater => self.with_constant(Binary::Shl, ty, x, c - y),
            };
        }
        if c == y {
            return self.with_constant(Binary::And, ty, x, ty.mask() >> c);
        }
        Folded::Same
    }

    pub(super) fn fold_unary(&mut self, op: Unary, ty: Type, a: Value) -> Folded {
        if let Some(x) = self.constant(a) {
            return Self::constant_op(constant::unary(op, ty, x));
        }
        let bits = match op {
            Unary::Neg | Unary::Swap64 => constant::width(ty),
            Unary::Swap16 => 16,
            Unary::Swap32 => 32,
        };
        let needed = self.low_bits(a, bits);
        if needed != a {
            return Folded::Op(Op::Unary { op, a: needed });
        }
        match self.op(a) {
            Some(Op::Unary { op: Unary::Neg, a: x }) if op == Unary::Neg => Folded::Value(x),
            Some(Op::Binary { op: Binary::Sub, a: x, b: y }) if op == Unary::Neg => {
                Folded::Op(Op::Binary { op: Binary::Sub, a: y, b: x })
            }
            Some(Op::Unary { op: inner, a: x }) if inner == op => match op {
                Unary::Swap64 => Folded::Value(x),
                Unary::Swap32 if ty == Type::I32 => Folded::Value(x),
                Unary::Swap32 => Folded::Op(Op::Extend { kind: ExtendKind::Zero, from: Size::W, a: x }),
                Unary::Swap16 => Folded::Op(Op::Extend { kind: ExtendKind::Zero, from: Size::H, a: x }),
                Unary::Neg => Folded::Same,
            },
            _ => Folded::Same,
        }
    }
}

/// The size of so many bits, if it is less than a word.
fn whole_size(bits: u64) -> Option<Size> {
    match bits {
        8 => Some(Size::B),
        16 => Some(Size::H),
        32 => Some(Size::W),
        _ => None,
    }
}
