//! What arithmetic does to sets of words.
//!
//! The ISA leaves nothing undefined, and neither does this: a division by 0 gives 0, a remainder by 0
//! the dividend, `MIN / -1` is `MIN`, shift amounts are taken modulo the width, and a 32-bit operation
//! clears the upper half. Whether Linux refuses such an operation is decided elsewhere.

use super::{Range32, Range64, Scalar, Tnum, low};
use crate::isa::{AluOp, Endian, Endianness, Size, Width};

impl Scalar {
    /// `dst op= src`.
    #[must_use]
    pub fn alu(op: AluOp, width: Width, dst: Self, src: Self) -> Self {
        match width {
            Width::W64 => dst.alu64(op, src),
            Width::W32 => dst.alu32(op, src),
        }
    }

    /// The 64-bit operations.
    #[must_use]
    pub fn alu64(self, op: AluOp, src: Self) -> Self {
        match op {
            AluOp::Add => self.add(src),
            AluOp::Sub => self.sub(src),
            AluOp::Mul => self.mul(src),
            AluOp::Div => Self { r64: self.r64.div(src.r64), ..Self::UNKNOWN }.settle(),
            AluOp::Sdiv => Self { r64: self.r64.sdiv(src.r64), ..Self::UNKNOWN }.settle(),
            AluOp::Mod => self.rem(src),
            AluOp::Smod => self.srem(src),
            AluOp::Or => self.or(src),
            AluOp::And => self.and(src),
            AluOp::Xor => self.xor(src),
            AluOp::Lsh => self.lsh(src),
            AluOp::Rsh => self.rsh(src),
            AluOp::Arsh => self.arsh(src),
            AluOp::Mov => src,
        }
    }

    /// The 32-bit operations.
    #[must_use]
    pub fn alu32(self, op: AluOp, src: Self) -> Self {
        let (a, b) = (self.low_half(), src.low_half());
        let (x, y) = (a.r32, b.r32);
        let from_range = |r: Range32| Half { bits: Tnum::UNKNOWN.subreg(), r32: r };
        let half = match op {
            AluOp::Add => Half { bits: a.bits.add(b.bits), r32: x.add(y) },
            AluOp::Sub => Half { bits: a.bits.sub(b.bits), r32: x.sub(y) },
            AluOp::Mul => Half { bits: a.bits.mul(b.bits), r32: x.mul(y) },
            AluOp::Div => from_range(x.div(y)),
            AluOp::Sdiv => from_range(x.sdiv(y)),
            AluOp::Mod => Half { bits: rem_bits(a.bits, b.bits), r32: x.rem(y) },
            AluOp::Smod => from_range(x.srem(y)),
            AluOp::Or => Half { bits: a.bits.or(b.bits), r32: x.or(y) },
            AluOp::And => Half { bits: a.bits.and(b.bits), r32: x.and(y) },
            AluOp::Xor => Half { bits: a.bits.xor(b.bits), r32: x.xor(y) },
            AluOp::Lsh => {
                let (lo, hi) = amounts32(&src);
                Half { bits: lsh_bits(a.bits, lo, hi), r32: x.lsh_between(lo, hi) }
            }
            AluOp::Rsh => {
                let (lo, hi) = amounts32(&src);
                Half { bits: rsh_bits(a.bits, lo, hi), r32: x.rsh_between(lo, hi) }
            }
            AluOp::Arsh => {
                let (lo, hi) = amounts32(&src);
                let bits = if lo == hi { a.bits.sext(32).arsh(lo) } else { Tnum::UNKNOWN };
                Half { bits, r32: x.arsh_between(lo, hi) }
            }
            AluOp::Mov => b,
        };
        half.extend()
    }

    /// `dst = (s8/s16/s32) src`. For [`Width::W32`] the upper half of the result is 0.
    #[must_use]
    pub fn movsx(self, width: Width, from: Size) -> Self {
        match width {
            Width::W64 => self.sext(from),
            Width::W32 => self.sext(from).low_half().extend(),
        }
    }

    /// `dst = -dst`.
    #[must_use]
    pub fn neg(self, width: Width) -> Self {
        Self::alu(AluOp::Sub, width, Self::constant(0), self)
    }

    /// Byte swaps and truncations, on a machine of the given order.
    #[must_use]
    pub fn endian(self, kind: Endian, size: Size, order: Endianness) -> Self {
        match (kind, order) {
            (Endian::Swap, _) | (Endian::ToBe, Endianness::Little) | (Endian::ToLe, Endianness::Big) => {
                Self::from_bits(self.bits.bswap(size.bytes() * 8))
            }
            (Endian::ToLe, Endianness::Little) | (Endian::ToBe, Endianness::Big) => self.zext(size),
        }
    }

    /// The low bytes, zero-extended: what a store and a load of that size give back.
    #[must_use]
    pub fn zext(self, size: Size) -> Self {
        let n = size.bytes() * 8;
        match size {
            Size::DW => self,
            Size::W => self.low_half().extend(),
            Size::B | Size::H => {
                let (bits, r64) = (self.bits.zext(n), self.r64.zext(n));
                Self { bits, r64, r32: self.r32.zext(n) }.settle()
            }
        }
    }

    /// The low bytes, sign-extended.
    #[must_use]
    pub fn sext(self, size: Size) -> Self {
        let n = size.bytes() * 8;
        let bits = self.bits.sext(n);
        match size {
            Size::DW => self,
            Size::W => {
                let low = Range64::signed(self.r32.smin.into(), self.r32.smax.into());
                Self { bits, r64: low, r32: self.r32 }.settle()
            }
            Size::B | Size::H => Self { bits, r64: self.r64.sext(n), r32: self.r32.sext(n) }.settle(),
        }
    }

    /// Every word of a size, zero-extended: what an unknown load yields.
    #[must_use]
    pub const fn unknown_of(size: Size) -> Self {
        let max = u64::MAX >> (64 - size.bytes() * 8);
        let Size::DW = size else {
            // The sign bit is 0, so both orders agree; in the low half only below 32 bits.
            let bits = Tnum::new(0, max);
            let r64 = Range64 { umin: 0, umax: max, smin: 0, smax: max.cast_signed() };
            let half = low(max);
            let r32 = if max < 1 << 31 {
                Range32 { umin: 0, umax: half, smin: 0, smax: half.cast_signed() }
            } else {
                Range32::FULL
            };
            return Self { bits, r64, r32 };
        };
        Self::UNKNOWN
    }

    /// `self + src`, wrapping.
    #[must_use]
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an abstract operation, not one of numbers")]
    pub fn add(self, src: Self) -> Self {
        let bits = self.bits.add(src.bits);
        Self { bits, r64: self.r64.add(src.r64), r32: self.r32.add(src.r32) }.settle()
    }

    /// `self - src`, wrapping.
    #[must_use]
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an abstract operation, not one of numbers")]
    pub fn sub(self, src: Self) -> Self {
        let bits = self.bits.sub(src.bits);
        Self { bits, r64: self.r64.sub(src.r64), r32: self.r32.sub(src.r32) }.settle()
    }

    fn mul(self, src: Self) -> Self {
        let bits = self.bits.mul(src.bits);
        Self { bits, r64: self.r64.mul(src.r64), r32: self.r32.mul(src.r32) }.settle()
    }

    fn rem(self, src: Self) -> Self {
        Self { bits: rem_bits(self.bits, src.bits), r64: self.r64.rem(src.r64), ..Self::UNKNOWN }.settle()
    }

    fn srem(self, src: Self) -> Self {
        Self { r64: self.r64.srem(src.r64), ..Self::UNKNOWN }.settle()
    }

    fn or(self, src: Self) -> Self {
        let bits = self.bits.or(src.bits);
        Self { bits, r64: self.r64.or(src.r64), r32: self.r32.or(src.r32) }.settle()
    }

    fn and(self, src: Self) -> Self {
        let bits = self.bits.and(src.bits);
        Self { bits, r64: self.r64.and(src.r64), r32: self.r32.and(src.r32) }.settle()
    }

    fn xor(self, src: Self) -> Self {
        let bits = self.bits.xor(src.bits);
        Self { bits, r64: self.r64.xor(src.r64), r32: self.r32.xor(src.r32) }.settle()
    }

    fn lsh(self, src: Self) -> Self {
        let (lo, hi) = amounts64(&src);
        let mut r64 = self.r64.lsh_between(lo, hi);
        let mut r32 = Range32::FULL;
        if hi < 32 {
            r32 = self.r32.lsh_between(lo, hi);
        } else if lo == hi {
            // Only the low half is left, which may be known better by itself.
            let half = Range64::signed(self.r32.smin.into(), self.r32.smax.into()).lsh(lo);
            let zero = Range64::unsigned(self.r32.umin.into(), self.r32.umax.into()).lsh(lo);
            r64 = r64.meet(half).meet(zero);
        }
        Self { bits: lsh_bits(self.bits, lo, hi), r64, r32 }.settle()
    }

    fn rsh(self, src: Self) -> Self {
        let (lo, hi) = amounts64(&src);
        let bits = rsh_bits(self.bits, lo, hi);
        Self { bits, r64: self.r64.rsh_between(lo, hi), ..Self::UNKNOWN }.settle()
    }

    fn arsh(self, src: Self) -> Self {
        let (lo, hi) = amounts64(&src);
        let bits = if lo == hi { self.bits.arsh(lo) } else { Tnum::UNKNOWN };
        Self { bits, r64: self.r64.arsh_between(lo, hi), ..Self::UNKNOWN }.settle()
    }

    /// What a 32-bit operation sees.
    #[inline]
    fn low_half(&self) -> Half {
        Half { bits: self.bits.subreg(), r32: self.r32 }
    }
}

/// The low half of a word by itself.
struct Half {
    /// Of which only the low 32 bits mean anything.
    bits: Tnum,
    r32: Range32,
}

impl Half {
    /// Zero-extended, as every 32-bit operation leaves it.
    #[inline]
    fn extend(self) -> Scalar {
        let r64 = Range64::unsigned(self.r32.umin.into(), self.r32.umax.into());
        Scalar { bits: self.bits.subreg(), r64, r32: self.r32 }.settle()
    }
}

/// Least and greatest amount of a 64-bit shift.
#[inline]
fn amounts64(src: &Scalar) -> (u32, u32) {
    amounts(src.bits, src.r64.umin, src.r64.umax, 63)
}

/// Least and greatest amount of a 32-bit shift.
#[inline]
fn amounts32(src: &Scalar) -> (u32, u32) {
    amounts(src.bits, src.r32.umin.into(), src.r32.umax.into(), 31)
}

#[inline]
fn amounts(bits: Tnum, umin: u64, umax: u64, most: u64) -> (u32, u32) {
    if umax <= most {
        return (low(umin), low(umax));
    }
    let masked = bits.and(Tnum::constant(most));
    (low(masked.value()), low(masked.max()))
}

/// Known bits after a left shift between two amounts.
#[inline]
fn lsh_bits(bits: Tnum, lo: u32, hi: u32) -> Tnum {
    if lo == hi {
        return bits.lsh(lo);
    }
    // At least so many zeros come in from the right.
    let zeros = bits.max().trailing_zeros().min(63);
    if zeros + lo > 63 { Tnum::constant(0) } else { Tnum::new(0, u64::MAX << (zeros + lo)) }
}

/// Known bits after a logical right shift between two amounts.
#[inline]
fn rsh_bits(bits: Tnum, lo: u32, hi: u32) -> Tnum {
    if lo == hi {
        return bits.rsh(lo);
    }
    // No bit is set above the highest that the least shift leaves.
    match bits.max() >> lo {
        0 => Tnum::constant(0),
        max => Tnum::new(0, u64::MAX >> max.leading_zeros()),
    }
}

/// Known bits of an unsigned remainder: by a power of two, the low ones stay.
#[inline]
fn rem_bits(bits: Tnum, by: Tnum) -> Tnum {
    match by.as_constant() {
        Some(m) if m.is_power_of_two() => bits.and(Tnum::constant(m - 1)),
        Some(0) => bits,
        Some(_) | None => Tnum::UNKNOWN,
    }
}
