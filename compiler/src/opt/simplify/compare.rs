//! Laws of comparisons.
//!
//! A constant stands on the right. Signed becomes unsigned where no sign bit can be set, and 64 bits
//! become 32 where both sides are widened words.

use super::{Folded, Simplifier};
use crate::ir::{Binary, Compare, ExtendKind, Op, Type, Unary, Value};
use crate::isa::Size;
use crate::opt::constant;
use crate::opt::table::key;

impl Simplifier<'_> {
    pub(super) fn fold_compare(&mut self, cond: Compare, a: Value, b: Value) -> Folded {
        let ty = self.function.ty(a);
        if a == b {
            return Self::constant_op(u64::from(constant::compare(cond, ty, 0, 0)));
        }
        match (self.constant(a), self.constant(b)) {
            (Some(x), Some(y)) => Self::constant_op(u64::from(constant::compare(cond, ty, x, y))),
            (Some(_), None) => Folded::Op(Op::Compare { cond: cond.swap(), a: b, b: a }),
            (None, Some(y)) => self.compare_constant(cond, ty, a, b, y),
            (None, None) if b < a => Folded::Op(Op::Compare { cond: cond.swap(), a: b, b: a }),
            (None, None) => self.compare_values(cond, ty, a, b),
        }
    }

    fn compare_values(&mut self, cond: Compare, ty: Type, a: Value, b: Value) -> Folded {
        let width = constant::width(ty);
        if let Some(unsigned) = unsigned(cond)
            && self.bits(a) < width
            && self.bits(b) < width
        {
            return Folded::Op(Op::Compare { cond: unsigned, a, b });
        }
        if let (Some((kind, x)), Some((other, y))) = (self.widened(a), self.widened(b))
            && kind == other
            && keeps_order(cond, kind)
        {
            return Folded::Op(Op::Compare { cond, a: x, b: y });
        }
        self.decided_otherwise(cond, a, b)
    }

    fn compare_constant(&mut self, cond: Compare, ty: Type, a: Value, b: Value, y: u64) -> Folded {
        if let Some(answer) = self.by_size(cond, ty, a, y) {
            return Self::constant_op(u64::from(answer));
        }
        match (cond, y) {
            (Compare::Ult, 1) => return self.compare_with(Compare::Eq, ty, a, 0),
            (Compare::Uge, 1) => return self.compare_with(Compare::Ne, ty, a, 0),
            (Compare::Ule, 0) => return self.compare_with(Compare::Eq, ty, a, 0),
            (Compare::Ugt, 0) => return self.compare_with(Compare::Ne, ty, a, 0),
            _ => {}
        }
        if let Some(unsigned) = unsigned(cond)
            && self.bits(a) < constant::width(ty)
            && constant::signed(ty, y) >= 0
        {
            return Folded::Op(Op::Compare { cond: unsigned, a, b });
        }
        if let Some((kind, x)) = self.widened(a)
            && keeps_order(cond, kind)
            && constant::extend(kind, Size::W, Type::I64, y) == y
        {
            return self.compare_with(cond, Type::I32, x, y & Type::I32.mask());
        }
        let folded = match cond {
            Compare::Eq | Compare::Ne => self.equal_constant(cond, ty, a, y),
            Compare::Ult
            | Compare::Ule
            | Compare::Ugt
            | Compare::Uge
            | Compare::Slt
            | Compare::Sle
            | Compare::Sgt
            | Compare::Sge => Folded::Same,
        };
        match folded {
            Folded::Same => self.decided_otherwise(cond, a, b),
            Folded::Value(_) | Folded::Op(_) => folded,
        }
    }

    fn compare_with(&mut self, cond: Compare, ty: Type, a: Value, y: u64) -> Folded {
        let b = self.emit(Op::Const(y), ty);
        Folded::Op(Op::Compare { cond, a, b })
    }

    /// What the number of bits that a value has already says.
    fn by_size(&self, cond: Compare, ty: Type, a: Value, y: u64) -> Option<bool> {
        let max = u64::MAX.checked_shr(64 - self.bits(a)).unwrap_or(0);
        let all = ty.mask();
        match cond {
            Compare::Ult if max < y => Some(true),
            Compare::Ult if y == 0 => Some(false),
            Compare::Ule if max <= y => Some(true),
            Compare::Ugt if max <= y => Some(false),
            Compare::Uge if max < y => Some(false),
            Compare::Uge if y == 0 => Some(true),
            Compare::Eq if max < y => Some(false),
            Compare::Ne if max < y => Some(true),
            Compare::Ule if y == all => Some(true),
            // Against the signed bounds, where the sign may be set but the constant is extreme.
            Compare::Slt if y == (all >> 1) + 1 => Some(false),
            Compare::Sge if y == (all >> 1) + 1 => Some(true),
            Compare::Sgt if y == all >> 1 => Some(false),
            Compare::Sle if y == all >> 1 => Some(true),
            // The sign is clear, the constant negative.
            Compare::Slt | Compare::Sle if max <= all >> 1 && y > all >> 1 => Some(false),
            Compare::Sgt | Compare::Sge if max <= all >> 1 && y > all >> 1 => Some(true),
            _ => None,
        }
    }

    /// `a == y` and `a != y`
    fn equal_constant(&mut self, cond: Compare, ty: Type, a: Value, y: u64) -> Folded {
        if let Some(equal) = self.certainly(a, y) {
            return Self::constant_op(u64::from(equal == (cond == Compare::Eq)));
        }
        match self.op(a) {
            Some(Op::Binary { op, a: x, b }) => self.equal_binary(cond, ty, op, x, b, y),
            Some(Op::Unary { op, a: x }) => {
                let (whole, fits) = match op {
                    Unary::Neg => (true, true),
                    Unary::Swap16 => (self.bits(x) <= 16, y <= 0xffff),
                    Unary::Swap32 => (self.bits(x) <= 32, y <= 0xffff_ffff),
                    Unary::Swap64 => (true, true),
                };
                match (whole, fits) {
                    (_, false) => Self::constant_op(u64::from(cond == Compare::Ne)),
                    (true, true) => self.compare_with(cond, ty, x, constant::unary(op, ty, y)),
                    (false, true) => Folded::Same,
                }
            }
            Some(Op::Select { .. } | Op::FromBool(_)) => self.fold_choice(cond, a, y),
            _ => Folded::Same,
        }
    }

    fn equal_binary(&mut self, cond: Compare, ty: Type, op: Binary, x: Value, b: Value, y: u64) -> Folded {
        match (op, self.function.as_const(b)) {
            (Binary::Add, Some(c)) => self.compare_with(cond, ty, x, y.wrapping_sub(c) & ty.mask()),
            (Binary::Xor, Some(c)) => self.compare_with(cond, ty, x, y ^ c),
            (Binary::Sub | Binary::Xor, None) if y == 0 => Folded::Op(Op::Compare { cond, a: x, b }),
            // One bit: equal to it, or not equal to 0.
            (Binary::And, Some(c)) if y == c && c.is_power_of_two() => {
                let masked = self.emit(Op::Binary { op: Binary::And, a: x, b }, ty);
                self.compare_with(cond.negate(), ty, masked, 0)
            }
            (Binary::And, Some(c)) if y & !c != 0 => Self::constant_op(u64::from(cond == Compare::Ne)),
            (Binary::Or, Some(c)) if c & !y != 0 => Self::constant_op(u64::from(cond == Compare::Ne)),
            _ => Folded::Same,
        }
    }

    /// The I32 of which an I64 is made, and how.
    fn widened(&self, value: Value) -> Option<(ExtendKind, Value)> {
        match self.op(value) {
            Some(Op::Extend { kind, from: Size::W, a }) if self.function.ty(a) == Type::I32 => {
                Some((kind, a))
            }
            _ => None,
        }
    }

    /// Whether a branch decided the opposite.
    fn decided_otherwise(&self, cond: Compare, a: Value, b: Value) -> Folded {
        let opposite = Op::Compare { cond: cond.negate(), a, b };
        let known = key(&opposite, Type::I1).and_then(|key| self.find(key));
        match known.and_then(|value| self.constant(value)) {
            Some(is) => Self::constant_op(is ^ 1),
            None => Folded::Same,
        }
    }
}

/// The unsigned comparison that is the same where no sign bit is set.
fn unsigned(cond: Compare) -> Option<Compare> {
    match cond {
        Compare::Slt => Some(Compare::Ult),
        Compare::Sle => Some(Compare::Ule),
        Compare::Sgt => Some(Compare::Ugt),
        Compare::Sge => Some(Compare::Uge),
        Compare::Eq | Compare::Ne | Compare::Ult | Compare::Ule | Compare::Ugt | Compare::Uge => None,
    }
}

/// Whether widened words compare as the words do. Zero-extended ones are never negative, so signed
/// comparisons have become unsigned before.
fn keeps_order(cond: Compare, kind: ExtendKind) -> bool {
    match (cond, kind) {
        (Compare::Eq | Compare::Ne, _) => true,
        (Compare::Ult | Compare::Ule | Compare::Ugt | Compare::Uge, ExtendKind::Zero) => true,
        (Compare::Slt | Compare::Sle | Compare::Sgt | Compare::Sge, ExtendKind::Sign) => true,
        // Sign-extension keeps the unsigned order, too: negative words stay above the others.
        (Compare::Ult | Compare::Ule | Compare::Ugt | Compare::Uge, ExtendKind::Sign) => true,
        (Compare::Slt | Compare::Sle | Compare::Sgt | Compare::Sge, ExtendKind::Zero) => false,
    }
}
