//! Tristate numbers: words of which some bits are known.
//!
//! A tnum stands for the words that agree with `value` wherever `mask` has a 0. A bit is never set
//! in both, so each set of words of this shape is written in one way only. The algorithms are those
//! of "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers" (CGO 2022), which
//! proves addition and subtraction optimal; the product is sound only.

/// Known bits of a 64-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tnum {
    value: u64,
    mask: u64,
}

impl Tnum {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { value: 0, mask: u64::MAX };

    /// The words that agree with `value` outside `mask`.
    #[must_use]
    #[inline]
    pub const fn new(value: u64, mask: u64) -> Self {
        Self { value: value & !mask, mask }
    }

    /// One word.
    #[must_use]
    #[inline]
    pub const fn constant(value: u64) -> Self {
        Self { value, mask: 0 }
    }

    /// The least tnum that holds every word from `min` to `max`.
    #[must_use]
    #[inline]
    pub const fn range(min: u64, max: u64) -> Self {
        let differ = min ^ max;
        if differ == 0 {
            return Self::constant(min);
        }
        Self::new(min, u64::MAX >> differ.leading_zeros())
    }

    /// The known bits that are 1; also the least word.
    #[must_use]
    #[inline]
    pub const fn value(self) -> u64 {
        self.value
    }

    /// The bits that are not known.
    #[must_use]
    #[inline]
    pub const fn mask(self) -> u64 {
        self.mask
    }

    /// The greatest word: every unknown bit is 1.
    #[must_use]
    #[inline]
    pub const fn max(self) -> u64 {
        self.value | self.mask
    }

    /// The word, if all bits are known.
    #[must_use]
    #[inline]
    pub const fn as_constant(self) -> Option<u64> {
        if self.mask == 0 { Some(self.value) } else { None }
    }

    /// Whether a word has the known bits.
    #[must_use]
    #[inline]
    pub const fn contains(self, x: u64) -> bool {
        x & !self.mask == self.value
    }

    /// Whether every word of this one is one of the other.
    #[must_use]
    #[inline]
    pub const fn is_within(self, other: Self) -> bool {
        (self.mask & !other.mask == 0) & (self.value & !other.mask == other.value)
    }

    /// Whether every word is a multiple of `size`, a power of two (0 and 1: always).
    #[must_use]
    #[inline]
    pub const fn is_aligned(self, size: u64) -> bool {
        self.max() & size.saturating_sub(1) == 0
    }

    /// The words of both. `None`: there is none.
    #[must_use]
    #[inline]
    pub const fn intersect(self, other: Self) -> Option<Self> {
        if (self.value ^ other.value) & !self.mask & !other.mask != 0 {
            return None;
        }
        Some(Self::new(self.value | other.value, self.mask & other.mask))
    }

    /// The least tnum that holds the words of both.
    #[must_use]
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self::new(self.value, self.mask | other.mask | (self.value ^ other.value))
    }

    /// Wrapping sum.
    #[must_use]
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an abstract operation, not one of numbers")]
    pub const fn add(self, other: Self) -> Self {
        let least = self.value.wrapping_add(other.value);
        let greatest = least.wrapping_add(self.mask).wrapping_add(other.mask);
        // Where the extremes differ, a carry from an unknown bit may have gone.
        Self::new(least, (least ^ greatest) | self.mask | other.mask)
    }

    /// Wrapping difference.
    #[must_use]
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an abstract operation, not one of numbers")]
    pub const fn sub(self, other: Self) -> Self {
        let diff = self.value.wrapping_sub(other.value);
        let greatest = diff.wrapping_add(self.mask);
        let least = diff.wrapping_sub(other.mask);
        Self::new(diff, (greatest ^ least) | self.mask | other.mask)
    }

    /// Wrapping negation.
    #[must_use]
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an abstract operation, not one of numbers")]
    pub const fn neg(self) -> Self {
        Self::constant(0).sub(self)
    }

    /// Bitwise and.
    #[must_use]
    #[inline]
    pub const fn and(self, other: Self) -> Self {
        let value = self.value & other.value;
        Self::new(value, self.max() & other.max() & !value)
    }

    /// Bitwise or.
    #[must_use]
    #[inline]
    pub const fn or(self, other: Self) -> Self {
        Self::new(self.value | other.value, (self.mask | other.mask) & !(self.value | other.value))
    }

    /// Bitwise exclusive or.
    #[must_use]
    #[inline]
    pub const fn xor(self, other: Self) -> Self {
        Self::new(self.value ^ other.value, self.mask | other.mask)
    }

    /// Bitwise complement.
    #[must_use]
    #[inline]
    pub const fn complement(self) -> Self {
        Self::new(!self.value, self.mask)
    }

    /// Left shift by a constant below 64.
    #[must_use]
    #[inline]
    pub const fn lsh(self, k: u32) -> Self {
        Self { value: self.value << k, mask: self.mask << k }
    }

    /// Logical right shift by a constant below 64.
    #[must_use]
    #[inline]
    pub const fn rsh(self, k: u32) -> Self {
        Self { value: self.value >> k, mask: self.mask >> k }
    }

    /// Arithmetic right shift by a constant below 64.
    #[must_use]
    #[inline]
    pub const fn arsh(self, k: u32) -> Self {
        Self {
            value: (self.value.cast_signed() >> k).cast_unsigned(),
            mask: (self.mask.cast_signed() >> k).cast_unsigned(),
        }
    }

    /// Wrapping product.
    ///
    /// Long multiplication by the bits of the multiplier. A bit that is not known adds the
    /// multiplicand in one case and nothing in the other, so the sum becomes the union of both.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "an abstract operation, not one of numbers")]
    pub fn mul(self, other: Self) -> Self {
        // The multiplier is the one with fewer bits that are not known, then with fewer bits.
        let swap = (self.mask.count_ones(), self.max().count_ones())
            > (other.mask.count_ones(), other.max().count_ones());
        let (by, mut of) = if swap { (other, self) } else { (self, other) };
        if by.mask == 0 && by.value.is_power_of_two() {
            return of.lsh(by.value.trailing_zeros());
        }
        if of.mask == u64::MAX {
            let zeros = if by.max() == 0 { 0 } else { u64::MAX << by.max().trailing_zeros() };
            return Self { value: 0, mask: zeros };
        }
        let (mut value, mut mask) = (by.value, by.mask);
        let mut sum = Self::constant(0);
        while value | mask != 0 {
            let skip = (value | mask).trailing_zeros();
            of = of.lsh(skip);
            (value, mask) = (value >> skip, mask >> skip);
            let with = sum.add(of);
            sum = if value & 1 != 0 { with } else { sum.union(with) };
            (value, mask) = (value & !1, mask & !1);
        }
        sum
    }

    /// The low `n` bits (1 to 64), zero-extended.
    #[must_use]
    #[inline]
    pub const fn zext(self, n: u32) -> Self {
        self.lsh(64 - n).rsh(64 - n)
    }

    /// The low `n` bits (1 to 64), sign-extended.
    #[must_use]
    #[inline]
    pub const fn sext(self, n: u32) -> Self {
        self.lsh(64 - n).arsh(64 - n)
    }

    /// The low half, zero-extended: what a 32-bit operation sees.
    #[must_use]
    #[inline]
    pub const fn subreg(self) -> Self {
        self.zext(32)
    }

    /// This one with the low half of another.
    #[must_use]
    #[inline]
    pub const fn with_subreg(self, low: Self) -> Self {
        const HIGH: u64 = !0 << 32;
        Self {
            value: (self.value & HIGH) | (low.value & !HIGH),
            mask: (self.mask & HIGH) | (low.mask & !HIGH),
        }
    }

    /// The low `n` bits (16, 32 or 64) with their bytes in reverse order, zero-extended.
    #[must_use]
    #[inline]
    pub const fn bswap(self, n: u32) -> Self {
        Self { value: self.value.swap_bytes() >> (64 - n), mask: self.mask.swap_bytes() >> (64 - n) }
    }
}
