//! Lowers divisions and remainders.
//!
//! Division never traps: the ISA defines `x / 0 == 0`, `x % 0 == x`, `MIN / -1 == MIN` and
//! `MIN % -1 == 0`. Cranelift's divisions do trap, so every divisor is made safe first and the
//! result chosen with `select`; no block is added. Constant divisors need none of that.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self as clif, InstBuilder};

use super::FunctionLowering;

/// What is known of a divisor.
enum Divisor {
    Zero,
    MinusOne,
    /// Neither.
    Other,
    Unknown,
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
            Divisor::MinusOne | Divisor::Other => self.builder.ins().udiv(a, b),
            Divisor::Unknown => {
                let (is_zero, safe) = self.nonzero(b);
                let quotient = self.builder.ins().udiv(a, safe);
                let zero = self.number(a, 0);
                self.builder.ins().select(is_zero, zero, quotient)
            }
        }
    }

    pub(super) fn urem(&mut self, a: clif::Value, b: clif::Value, constant: Option<u64>) -> clif::Value {
        match self.divisor(b, constant) {
            Divisor::Zero => a,
            Divisor::MinusOne | Divisor::Other => self.builder.ins().urem(a, b),
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
