//! Lowers divisions and remainders.
//!
//! Division never traps: the ISA defines `x / 0 == 0`, `x % 0 == x`, `MIN / -1 == MIN` and
//! `MIN % -1 == 0`. Cranelift's divisions do trap, so every divisor is made safe first and the
//! result chosen with `select`; no block is added. Constant divisors need none of that, and an
//! unsigned division by one is a multiplication by its reciprocal.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self as clif, InstBuilder, types};

use super::FunctionLowering;

/// What is known of a divisor.
enum Divisor {
    Zero,
    MinusOne,
    /// Neither.
    Other,
    Unknown,
}

/// What to multiply by instead of dividing (Granlund and Montgomery, 1994).
#[derive(Debug, PartialEq, Eq)]
enum Reciprocal {
    /// The quotient is the upper half of the product, shifted.
    Short { multiplier: u64, shift: u32 },
    /// As above, but the multiplier has a leading bit beyond the width.
    Long { multiplier: u64, shift: u32 },
}

impl Reciprocal {
    /// Of a divisor that is no power of two, for dividends of 32 or 64 bits.
    fn of(divisor: u64, bits: u32) -> Self {
        let d = u128::from(divisor);
        let most = 64 - divisor.leading_zeros(); // 2^most > divisor
        for shift in 0..most {
            let power = 1u128 << (bits + shift);
            let multiplier = power / d + 1;
            let fits = u64::try_from(multiplier).ok().filter(|m| bits == 64 || *m <= u64::from(u32::MAX));
            if let Some(multiplier) = fits.filter(|_| multiplier * d - power <= 1 << shift) {
                return Self::Short { multiplier, shift };
            }
        }
        // 2^bits * (2^most - divisor) / divisor + 1, which fits the width.
        let multiplier = ((1u128 << most) - d).checked_shl(bits).map_or(0, |n| n / d + 1);
        let multiplier = u64::try_from(multiplier).expect("2^most is less than twice the divisor");
        Self::Long { multiplier, shift: most }
    }
}

impl FunctionLowering<'_> {
    fn divisor(&self, b: clif::Value, constant: Option<u64>) -> Divisor {
        let bits = self.builder.func.dfg.value_type(b).bits();
        match constant {
            None => Divisor::Unknown,
            Some(0) => Divisor::Zero,
            Some(value) if value == u64::MAX >> (64 - bits) => Divisor::MinusOne,
            Some(_) => Divisor::Other,
        }
    }

    fn number(&mut self, like: clif::Value, number: i64) -> clif::Value {
        let ty = self.builder.func.dfg.value_type(like);
        let bits = if ty.bits() == 32 { number & 0xffff_ffff } else { number };
        self.builder.ins().iconst(ty, bits)
    }

    /// Whether the divisor is 0, and the divisor or 1 in its place.
    fn nonzero(&mut self, b: clif::Value) -> (clif::Value, clif::Value) {
        let (zero, one) = (self.number(b, 0), self.number(b, 1));
        let is_zero = self.builder.ins().icmp(IntCC::Equal, b, zero);
        (is_zero, self.builder.ins().select(is_zero, one, b))
    }

    /// Whether the divisor is 0 or -1, and the divisor or 1 in its place.
    fn ordinary(&mut self, b: clif::Value) -> (clif::Value, clif::Value) {
        let one = self.number(b, 1);
        let next = self.builder.ins().iadd(b, one);
        let is_special = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, next, one);
        (is_special, self.builder.ins().select(is_special, one, b))
    }

    pub(super) fn udiv(&mut self, a: clif::Value, b: clif::Value, constant: Option<u64>) -> clif::Value {
        match self.divisor(b, constant) {
            Divisor::Zero => self.number(a, 0),
            Divisor::MinusOne | Divisor::Other => match constant {
                Some(divisor) => self.udiv_constant(a, divisor),
                None => self.builder.ins().udiv(a, b),
            },
            Divisor::Unknown => {
                let (is_zero, safe) = self.nonzero(b);
                let quotient = self.builder.ins().udiv(a, safe);
                let zero = self.number(a, 0);
                self.builder.ins().select(is_zero, zero, quotient)
            }
        }
    }

    /// The quotient by a constant that is not 0.
    fn udiv_constant(&mut self, a: clif::Value, divisor: u64) -> clif::Value {
        let bits = self.builder.func.dfg.value_type(a).bits();
        if divisor.is_power_of_two() {
            return self.shift_right(a, divisor.trailing_zeros());
        }
        match Reciprocal::of(divisor, bits) {
            Reciprocal::Short { multiplier, shift } => {
                let high = self.multiply_high(a, multiplier, bits);
                self.shift_right(high, shift)
            }
            Reciprocal::Long { multiplier, shift } => {
                // The multiplier has one bit more; (a - high) / 2 + high cannot overflow.
                let high = self.multiply_high(a, multiplier, bits);
                let rest = self.builder.ins().isub(a, high);
                let half = self.shift_right(rest, 1);
                let sum = self.builder.ins().iadd(half, high);
                self.shift_right(sum, shift - 1)
            }
        }
    }

    fn shift_right(&mut self, a: clif::Value, bits: u32) -> clif::Value {
        if bits == 0 {
            return a;
        }
        let bits = self.number(a, i64::from(bits));
        self.builder.ins().ushr(a, bits)
    }

    /// The upper half of a product.
    fn multiply_high(&mut self, a: clif::Value, multiplier: u64, bits: u32) -> clif::Value {
        if bits == 64 {
            let multiplier = self.const64(multiplier);
            return self.builder.ins().umulhi(a, multiplier);
        }
        let wide = self.builder.ins().uextend(types::I64, a);
        let multiplier = self.const64(multiplier);
        let product = self.builder.ins().imul(wide, multiplier);
        let high = self.shift_right(product, 32);
        self.builder.ins().ireduce(types::I32, high)
    }

    pub(super) fn urem(&mut self, a: clif::Value, b: clif::Value, constant: Option<u64>) -> clif::Value {
        match self.divisor(b, constant) {
            Divisor::Zero => a,
            Divisor::MinusOne | Divisor::Other => match constant {
                Some(divisor) if divisor.is_power_of_two() => {
                    let mask = self.number(a, (divisor - 1).cast_signed());
                    self.builder.ins().band(a, mask)
                }
                Some(divisor) => {
                    let quotient = self.udiv_constant(a, divisor);
                    let whole = self.builder.ins().imul(quotient, b);
                    self.builder.ins().isub(a, whole)
                }
                None => self.builder.ins().urem(a, b),
            },
            Divisor::Unknown => {
                let (is_zero, safe) = self.nonzero(b);
                let remainder = self.builder.ins().urem(a, safe);
                self.builder.ins().select(is_zero, a, remainder)
            }
        }
    }

    pub(super) fn sdiv(&mut self, a: clif::Value, b: clif::Value, constant: Option<u64>) -> clif::Value {
        match self.divisor(b, constant) {
            Divisor::Zero => self.number(a, 0),
            Divisor::MinusOne => self.builder.ins().ineg(a),
            Divisor::Other => self.builder.ins().sdiv(a, b),
            Divisor::Unknown => {
                let (is_special, safe) = self.ordinary(b);
                let quotient = self.builder.ins().sdiv(a, safe);
                // 0 * a where b is 0, -1 * a where it is -1.
                let special = self.builder.ins().imul(a, b);
                self.builder.ins().select(is_special, special, quotient)
            }
        }
    }

    pub(super) fn srem(&mut self, a: clif::Value, b: clif::Value, constant: Option<u64>) -> clif::Value {
        match self.divisor(b, constant) {
            Divisor::Zero => a,
            Divisor::MinusOne => self.number(a, 0),
            Divisor::Other => self.builder.ins().srem(a, b),
            Divisor::Unknown => {
                // With 1 in place of -1 the remainder is 0, as it shall be.
                let (_, safe) = self.ordinary(b);
                let remainder = self.builder.ins().srem(a, safe);
                let zero = self.number(b, 0);
                let is_zero = self.builder.ins().icmp(IntCC::Equal, b, zero);
                self.builder.ins().select(is_zero, a, remainder)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reciprocal;

    /// The division as it is lowered, with plain integers.
    fn divide(a: u64, divisor: u64, bits: u32) -> u64 {
        let mask = u64::MAX >> (64 - bits);
        let high = |multiplier: u64| {
            let product = u128::from(a) * u128::from(multiplier);
            u64::try_from(product >> bits).expect("the operands have at most 64 bits") & mask
        };
        match Reciprocal::of(divisor, bits) {
            Reciprocal::Short { multiplier, shift } => high(multiplier) >> shift,
            Reciprocal::Long { multiplier, shift } => {
                let high = high(multiplier);
                ((((a - high) & mask) >> 1) + high) >> (shift - 1)
            }
        }
    }

    #[test]
    fn reciprocals_divide_exactly() {
        for bits in [32u32, 64] {
            let mask = u64::MAX >> (64 - bits);
            let near = |x: u64| [x.wrapping_sub(1) & mask, x & mask, x.wrapping_add(1) & mask];
            let mut numbers: Vec<u64> = (0..200).chain([1000, 1_000_000, 1_000_000_007, 6_700_417]).collect();
            numbers.extend((0..bits).flat_map(|bit| near(1 << bit)));
            numbers.extend((1..40).flat_map(|n| near(mask / n)));
            for divisor in numbers.iter().copied().filter(|d| *d != 0 && !d.is_power_of_two()) {
                let edges = numbers.iter().copied().chain(near(mask / divisor * divisor));
                for a in edges {
                    assert_eq!(divide(a, divisor, bits), a / divisor, "{a} / {divisor} in {bits} bits");
                }
            }
        }
    }
}
