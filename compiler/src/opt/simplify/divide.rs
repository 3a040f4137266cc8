//! Divisions by constants as multiplications by their reciprocals.
//!
//! For a dividend of `n` bits and a divisor `d`, take `l` with `2^(l-1) < d < 2^l` and
//! `m = 2^(w+l-1) / d + 1`, rounded down before the addition. Then `x / d` is `x * m >> (w+l-1)` for
//! all such `x` if `d - 2^(w+l-1) % d <= 2^(w+l-1-n)`: the error of `m` is too small to be seen. That
//! holds always for `n < w`. (Granlund and Montgomery, 1994.) Where it does not, the multiplier needs
//! one bit more, which is added by hand.

use super::{Folded, Simplifier};
use crate::ir::{Binary, ExtendKind, Op, Type, Value};
use crate::isa::Size;

/// A multiplier of `w` bits and the shift that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Magic {
    multiplier: u64,
    shift: u32,
    /// Whether `2^w` is to be added to the multiplier.
    extra: bool,
}

/// The reciprocal of a divisor that is no power of two, for dividends of `n` bits.
fn magic(w: u32, n: u32, d: u64) -> Magic {
    let l = 64 - (d - 1).leading_zeros();
    let power = 1u128 << (w + l - 1);
    let d = u128::from(d);
    let (quotient, rest) = (power / d, power % d);
    let exact = n < w || d - rest <= 1 << (l - 1);
    // One bit more of the quotient.
    let doubled = 2 * quotient + u128::from(2 * rest >= d);
    let multiplier = (if exact { quotient } else { doubled } + 1) & (u128::MAX >> (128 - w));
    Magic { multiplier: u64::try_from(multiplier).expect("cut to w bits"), shift: l - 1, extra: !exact }
}

impl Simplifier<'_> {
    /// `a / d` for a divisor that is no power of two.
    pub(super) fn divide_constant(&mut self, ty: Type, a: Value, d: u64) -> Folded {
        if d < 3 {
            return Folded::Same;
        }
        let n = self.bits(a);
        if n < 64 && d >> n != 0 {
            return Self::constant_op(0);
        }
        let wide = match ty {
            Type::I64 => a,
            Type::I32 | Type::I1 => {
                self.emit(Op::Extend { kind: ExtendKind::Zero, from: Size::W, a }, Type::I64)
            }
        };
        let quotient = match n {
            // The product fits into 64 bits.
            ..32 => self.by_product(wide, magic(32, n, d)),
            // Divisors beyond 32 bits included: 64 bits are exact for all smaller dividends.
            _ if n < 64 => self.by_high(wide, magic(64, n, d)),
            _ => self.full(wide, d),
        };
        match ty {
            Type::I64 => Folded::Value(quotient),
            Type::I32 | Type::I1 => Folded::Op(Op::Trunc(quotient)),
        }
    }

    /// `a % d` as `a - a / d * d`.
    pub(super) fn remainder_constant(&mut self, ty: Type, a: Value, d: u64) -> Folded {
        if d < 3 {
            return Folded::Same;
        }
        let by = self.emit(Op::Const(d), ty);
        let quotient = self.emit(Op::Binary { op: Binary::Udiv, a, b: by }, ty);
        let product = self.emit(Op::Binary { op: Binary::Mul, a: quotient, b: by }, ty);
        Folded::Op(Op::Binary { op: Binary::Sub, a, b: product })
    }

    fn by_product(&mut self, a: Value, magic: Magic) -> Value {
        let product = self.with(Binary::Mul, a, magic.multiplier);
        self.with(Binary::Ushr, product, u64::from(32 + magic.shift))
    }

    fn by_high(&mut self, a: Value, magic: Magic) -> Value {
        let high = self.with(Binary::Umulhi, a, magic.multiplier);
        self.with(Binary::Ushr, high, u64::from(magic.shift))
    }

    /// A dividend of all 64 bits.
    fn full(&mut self, a: Value, d: u64) -> Value {
        let magic = magic(64, 64, d);
        if !magic.extra {
            return self.by_high(a, magic);
        }
        let zeros = d.trailing_zeros();
        if zeros > 0 {
            // Without its factors of two the divisor leaves a dividend of fewer bits.
            let less = self.with(Binary::Ushr, a, u64::from(zeros));
            return self.by_high(less, self::magic(64, 64 - zeros, d >> zeros));
        }
        // (high + a) >> (shift + 1), of which the sum has 65 bits.
        let high = self.with(Binary::Umulhi, a, magic.multiplier);
        let rest = self.emit(Op::Binary { op: Binary::Sub, a, b: high }, Type::I64);
        let half = self.with(Binary::Ushr, rest, 1);
        let sum = self.emit(Op::Binary { op: Binary::Add, a: half, b: high }, Type::I64);
        self.with(Binary::Ushr, sum, u64::from(magic.shift))
    }

    fn with(&mut self, op: Binary, a: Value, constant: u64) -> Value {
        let b = self.emit(Op::Const(constant), Type::I64);
        self.emit(Op::Binary { op, a, b }, Type::I64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(x: u64, n: u32, d: u64) -> u64 {
        let high = |x: u64, m: u64| ((u128::from(x) * u128::from(m)) >> 64) as u64;
        if n < 32 {
            let magic = magic(32, n, d);
            return (x * magic.multiplier) >> (32 + magic.shift);
        }
        let magic = magic(64, n, d);
        match magic.extra {
            false => high(x, magic.multiplier) >> magic.shift,
            true => {
                let high = high(x, magic.multiplier);
                (((x - high) >> 1) + high) >> magic.shift
            }
        }
    }

    #[test]
    fn reciprocals_are_exact_at_the_edges() {
        let mut divisors: Vec<u64> = (3..2_000).collect();
        for k in 2..64 {
            for near in 0..5u64 {
                divisors.extend([(1u64 << k).wrapping_add(near).wrapping_sub(2), u64::MAX / (k + 1) - near]);
            }
        }
        for d in divisors.into_iter().filter(|d| *d >= 3 && !d.is_power_of_two()) {
            for n in [7, 16, 31, 32, 33, 63, 64] {
                let max = u64::MAX >> (64 - n);
                if n < 32 && d >> 32 != 0 {
                    continue;
                }
                let multiple = max / d * d;
                let edges =
                    [0, 1, d - 1, d, d + 1, multiple, multiple.wrapping_sub(1), max, max - 1, max / 2];
                for x in edges.into_iter().filter(|x| *x <= max) {
                    assert_eq!(divide(x, n, d), x / d, "{x} / {d}, {n} bits");
                }
            }
        }
    }
}
