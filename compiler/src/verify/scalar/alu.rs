//! What arithmetic does to sets of words.
//!
//! As much is known of a result as Linux knows, so that what is accepted here is accepted there: nothing of a
//! quotient, a remainder, or what was shifted by an amount that is not a constant below the width. A
//! 32-bit operation otherwise clears the upper half. Whether Linux refuses an operation is decided elsewhere.

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
            AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod => Self::UNKNOWN,
            AluOp::Or => self.or(src),
            AluOp::And => self.and(src),
            AluOp::Xor => self.xor(src),
            AluOp::Lsh => src.amount(Width::W64).map_or(Self::UNKNOWN, |by| self.lsh(by)),
            AluOp::Rsh => src.amount(Width::W64).map_or(Self::UNKNOWN, |by| self.rsh(by)),
            AluOp::Arsh => src.amount(Width::W64).map_or(Self::UNKNOWN, |by| self.arsh(by)),
            AluOp::Mov => src,
        }
    }

    /// The 32-bit operations.
    #[must_use]
    pub fn alu32(self, op: AluOp, src: Self) -> Self {
        let (a, b) = (self.low_half(), src.low_half());
        let (x, y) = (a.r32, b.r32);
        let half = match op {
            AluOp::Add => Half { bits: a.bits.add(b.bits), r32: x.add(y) },
            AluOp::Sub => Half { bits: a.bits.sub(b.bits), r32: x.sub(y) },
            AluOp::Mul => Half { bits: a.bits.mul(b.bits), r32: x.mul(y) },
            AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod => return Self::UNKNOWN,
            AluOp::Or => Half { bits: a.bits.or(b.bits), r32: x.or(y) },
            AluOp::And => Half { bits: a.bits.and(b.bits), r32: x.and(y) },
            AluOp::Xor => Half { bits: a.bits.xor(b.bits), r32: x.xor(y) },
            AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => {
                let Some(by) = src.amount(Width::W32) else { return Self::UNKNOWN };
                match op {
                    AluOp::Lsh => Half { bits: a.bits.lsh(by), r32: x.lsh(by) },
                    AluOp::Rsh => Half { bits: a.bits.rsh(by), r32: x.rsh(by) },
                    _ => Half { bits: a.bits.sext(32).arsh(by), r32: x.arsh(by) },
                }
            }
            AluOp::Mov => b,
        };
        half.extend()
    }

    /// `dst = (s8/s16/s32) src`. For [`Width::W32`] the upper half of the result is 0.
    #[must_use]
    pub fn movsx(self, width: Width, from: Size) -> Self {
        let half = self.low_half();
        match (width, half.r32.single()) {
            (Width::W64, _) => self.sext(from),
            (Width::W32, Some(_)) => self.sext(from).low_half().extend(),
            (Width::W32, None) => {
                let (lo, hi) = extended(half.r32.smin.into(), half.r32.smax.into(), from);
                // They have no more bits than the half.
                let bound = |x: i64| i32::try_from(x).unwrap_or(if x < 0 { i32::MIN } else { i32::MAX });
                Half { bits: Tnum::UNKNOWN.subreg(), r32: Range32::signed(bound(lo), bound(hi)) }.extend()
            }
        }
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

    /// `dst = -dst`.
    #[must_use]
    pub fn neg(self, width: Width) -> Self {
        Self::alu(AluOp::Sub, width, Self::constant(0), self)
    }

    /// The low bytes, zero-extended: what a store and a load of that size give back.
    #[must_use]
    pub fn zext(self, size: Size) -> Self {
        let n = size.bytes() * 8;
        match size {
            Size::DW => self,
            Size::B | Size::H | Size::W if self.is_unknown() => Self::unknown_of(size),
            Size::W => self.low_half().extend(),
            Size::B | Size::H => Self::told(self.bits.zext(n), || (self.r64.zext(n), self.r32.zext(n))),
        }
    }

    /// The low bytes, sign-extended. Linux looks at the bounds of the whole, and where their upper parts differ
    /// knows no more than the size says.
    #[must_use]
    pub fn sext(self, size: Size) -> Self {
        let spare = 64 - size.bytes() * 8;
        if let Some(x) = self.as_constant() {
            return Self::constant(((x << spare).cast_signed() >> spare).cast_unsigned());
        }
        match size {
            Size::DW => self,
            Size::B | Size::H | Size::W => {
                let (lo, hi) = extended(self.r64.smin, self.r64.smax, size);
                Self::signed(lo, hi)
            }
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
        Self::told(bits, || (self.r64.add(src.r64), self.r32.add(src.r32)))
    }

    /// `self - src`, wrapping.
    #[must_use]
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an abstract operation, not one of numbers")]
    pub fn sub(self, src: Self) -> Self {
        let bits = self.bits.sub(src.bits);
        Self::told(bits, || (self.r64.sub(src.r64), self.r32.sub(src.r32)))
    }

    fn mul(self, src: Self) -> Self {
        let bits = self.bits.mul(src.bits);
        Self::told(bits, || (self.r64.mul(src.r64), self.r32.mul(src.r32)))
    }

    fn or(self, src: Self) -> Self {
        let bits = self.bits.or(src.bits);
        Self::told(bits, || (self.r64.or(src.r64), self.r32.or(src.r32)))
    }

    fn and(self, src: Self) -> Self {
        let bits = self.bits.and(src.bits);
        Self::told(bits, || (self.r64.and(src.r64), self.r32.and(src.r32)))
    }

    fn xor(self, src: Self) -> Self {
        let bits = self.bits.xor(src.bits);
        Self::told(bits, || (self.r64.xor(src.r64), self.r32.xor(src.r32)))
    }

    fn lsh(self, by: u32) -> Self {
        Self::told(self.bits.lsh(by), || {
            let r64 = self.r64.lsh(by);
            if by < 32 {
                return (r64, self.r32.lsh(by));
            }
            // Only the low half is left, which may be known better by itself.
            let half = Range64::signed(self.r32.smin.into(), self.r32.smax.into()).lsh(by);
            let zero = Range64::unsigned(self.r32.umin.into(), self.r32.umax.into()).lsh(by);
            (r64.meet(half).meet(zero), Range32::FULL)
        })
    }

    fn rsh(self, by: u32) -> Self {
        Self::told(self.bits.rsh(by), || (self.r64.rsh(by), Range32::FULL))
    }

    fn arsh(self, by: u32) -> Self {
        Self::told(self.bits.arsh(by), || (self.r64.arsh(by), Range32::FULL))
    }

    /// By how much this shifts, where that is a constant below the width.
    #[inline]
    fn amount(&self, width: Width) -> Option<u32> {
        match width {
            Width::W64 => self.as_constant().filter(|by| *by < 64).map(low),
            Width::W32 => self.r32.single().filter(|by| *by < 32),
        }
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
        let whole = || Range64::unsigned(self.r32.umin.into(), self.r32.umax.into());
        Scalar::told(self.bits.subreg(), || (whole(), self.r32))
    }
}

/// Bounds of the low bytes, sign-extended, of what lies between two numbers.
fn extended(smin: i64, smax: i64, size: Size) -> (i64, i64) {
    let n = size.bytes() * 8;
    let sign = |x: i64| x << (64 - n) >> (64 - n);
    let (a, b) = (sign(smin), sign(smax));
    if smin >> (n - 1) >> 1 == smax >> (n - 1) >> 1 && (a < 0) == (b < 0) {
        return (a.min(b), a.max(b));
    }
    (i64::MIN >> (64 - n), i64::MAX >> (64 - n))
}
