//! What the verifier knows of a number: known bits and bounds in both widths and signs.
//!
//! A [`Scalar`] stands for the set of 64-bit words that satisfy all of its parts. It knows nothing
//! of pointers, registers or paths. Every operation yields a set that holds at least the words that
//! the machine can produce; one word lost is a hole in the verifier, so the tests run each operation
//! against a concrete evaluation of its own. Precision is at least that of Linux 6.18.
//!
//! Invariant: a value that this module hands out is synchronised: its parts have told each other
//! what they know (see [`Scalar::sync`]), so that two ways to learn the same thing compare equal.

mod alu;
#[cfg(test)]
mod exhaustive;
mod range;
mod refine;
#[cfg(test)]
mod tests;
mod tnum;

pub use range::{Range32, Range64};
pub use refine::{Branches, refine};
pub use tnum::Tnum;

/// A set of 64-bit words.
#[derive(Clone, Copy, Debug, Eq)]
pub struct Scalar {
    bits: Tnum,
    r64: Range64,
    /// Bounds of the low half.
    r32: Range32,
}

/// How often [`Scalar::sync`] lets the parts tell each other what they know. Two rounds settle almost
/// everything; stopping early is sound.
const ROUNDS: u32 = 8;

impl Scalar {
    /// Every word.
    pub const UNKNOWN: Self = Self { bits: Tnum::UNKNOWN, r64: Range64::FULL, r32: Range32::FULL };

    /// One word.
    #[must_use]
    #[inline]
    pub const fn constant(x: u64) -> Self {
        Self { bits: Tnum::constant(x), r64: Range64::constant(x), r32: Range32::constant(low(x)) }
    }

    /// The words from `umin` to `umax`. Empty bounds give [`Scalar::UNKNOWN`].
    #[must_use]
    pub fn unsigned(umin: u64, umax: u64) -> Self {
        Self { r64: Range64::unsigned(umin, umax), ..Self::UNKNOWN }.settle()
    }

    /// The words from `smin` to `smax`. Empty bounds give [`Scalar::UNKNOWN`].
    #[must_use]
    pub fn signed(smin: i64, smax: i64) -> Self {
        Self { r64: Range64::signed(smin, smax), ..Self::UNKNOWN }.settle()
    }

    /// The words with these known bits.
    #[must_use]
    pub fn from_bits(bits: Tnum) -> Self {
        Self { bits, ..Self::UNKNOWN }.settle()
    }

    /// The word, if there is only one.
    #[must_use]
    #[inline]
    pub const fn as_constant(&self) -> Option<u64> {
        self.bits.as_constant()
    }

    /// The low half, if there is only one.
    #[must_use]
    #[inline]
    pub const fn as_constant32(&self) -> Option<u32> {
        self.r32.single()
    }

    /// Whether nothing is known.
    #[must_use]
    #[inline]
    pub fn is_unknown(&self) -> bool {
        *self == Self::UNKNOWN
    }

    /// The known bits.
    #[must_use]
    #[inline]
    pub const fn bits(&self) -> Tnum {
        self.bits
    }

    /// The bounds.
    #[must_use]
    #[inline]
    pub const fn r64(&self) -> Range64 {
        self.r64
    }

    /// The bounds of the low half.
    #[must_use]
    #[inline]
    pub const fn r32(&self) -> Range32 {
        self.r32
    }

    /// Least value, unsigned.
    #[must_use]
    #[inline]
    pub const fn umin(&self) -> u64 {
        self.r64.umin
    }

    /// Greatest value, unsigned.
    #[must_use]
    #[inline]
    pub const fn umax(&self) -> u64 {
        self.r64.umax
    }

    /// Least value, signed.
    #[must_use]
    #[inline]
    pub const fn smin(&self) -> i64 {
        self.r64.smin
    }

    /// Greatest value, signed.
    #[must_use]
    #[inline]
    pub const fn smax(&self) -> i64 {
        self.r64.smax
    }

    /// Least value of the low half, unsigned.
    #[must_use]
    #[inline]
    pub const fn u32_min(&self) -> u32 {
        self.r32.umin
    }

    /// Greatest value of the low half, unsigned.
    #[must_use]
    #[inline]
    pub const fn u32_max(&self) -> u32 {
        self.r32.umax
    }

    /// Least value of the low half, signed.
    #[must_use]
    #[inline]
    pub const fn s32_min(&self) -> i32 {
        self.r32.smin
    }

    /// Greatest value of the low half, signed.
    #[must_use]
    #[inline]
    pub const fn s32_max(&self) -> i32 {
        self.r32.smax
    }

    /// Whether a word is in the set.
    #[must_use]
    #[inline]
    pub const fn contains(&self, x: u64) -> bool {
        self.bits.contains(x) && self.r64.contains(x) && self.r32.contains(low(x))
    }

    /// Whether this set lies within the other, part by part: what pruning asks.
    #[must_use]
    #[inline]
    pub const fn is_within(&self, other: &Self) -> bool {
        self.r64.is_within(&other.r64) & self.r32.is_within(&other.r32) & self.bits.is_within(other.bits)
    }

    /// What is known after an operation: where its bits say all, the bounds need not be looked at.
    #[inline]
    fn told(bits: Tnum, bounds: impl FnOnce() -> (Range64, Range32)) -> Self {
        if let Some(x) = bits.as_constant() {
            return Self::constant(x);
        }
        let (r64, r32) = bounds();
        Self { bits, r64, r32 }.settle()
    }

    /// The least set that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            bits: self.bits.union(other.bits),
            r64: self.r64.union(other.r64),
            r32: self.r32.union(other.r32),
        }
        .settle()
    }

    /// The words of both. `None`: there is none.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self {
            bits: self.bits.intersect(other.bits)?,
            r64: self.r64.meet(other.r64),
            r32: self.r32.meet(other.r32),
        }
        .sync()
    }

    /// Lets every part learn from every other, until nothing is new. `None`: the parts contradict
    /// each other, so there is no such word.
    #[must_use]
    pub fn sync(self) -> Option<Self> {
        let mut now = self;
        for _ in 0..ROUNDS {
            if let Some(x) = now.bits.as_constant() {
                return now.contains(x).then(|| Self::constant(x));
            }
            let (next, settled) = now.exchange()?;
            now = next;
            if settled {
                break;
            }
        }
        Some(now)
    }

    /// One round of [`Scalar::sync`]; true: another one would change nothing.
    #[inline]
    fn exchange(self) -> Option<(Self, bool)> {
        let Self { bits, r64, r32 } = self;
        // Known bits bound.
        let whole = r64.fit(bits.value(), bits.mask())?.reduce()?;
        let fitted = r32.fit(low(bits.value()), low(bits.mask()))?;
        // The whole bounds its low half where it turns less than once.
        let mut r32 = fitted;
        if let Ok(width) = u32::try_from(whole.umax - whole.umin) {
            r32 = r32.meet(Range32::arc(low(whole.umin), width));
        }
        if let Ok(width) = u32::try_from(whole.smax.wrapping_sub(whole.smin).cast_unsigned()) {
            r32 = r32.meet(Range32::arc(low(whole.smin.cast_unsigned()), width));
        }
        // Bounds that have the known bits keep them when they tell each other what they know.
        let has_bits = r32 == fitted || low(bits.mask()) == u32::MAX;
        r32 = r32.reduce()?;
        // The low half moves the bounds of the whole to words that have such a half.
        let r64 =
            if r32 == Range32::FULL { whole } else { whole.meet(with_low_half(whole, r32)?).reduce()? };
        // Bounds with a common head make it known.
        let all = bits.intersect(Tnum::range(r64.umin, r64.umax))?;
        let half = all.subreg().intersect(Tnum::range(r32.umin.into(), r32.umax.into()))?;
        let known = all.with_subreg(half);
        Some((Self { bits: known, r64, r32 }, has_bits && r64 == whole && known == bits))
    }

    /// [`Scalar::sync`] after an operation, where a contradiction can only mean that an operand was
    /// impossible, though nobody noticed; then any answer is right.
    #[inline]
    fn settle(self) -> Self {
        self.sync().unwrap_or(Self::UNKNOWN)
    }
}

impl PartialEq for Scalar {
    /// Without a branch for each part: pruning asks this all the time.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let (Self { bits, r64, r32 }, with) = (self, other);
        let whole = (bits.value() ^ with.bits.value())
            | (bits.mask() ^ with.bits.mask())
            | (r64.umin ^ with.r64.umin)
            | (r64.umax ^ with.r64.umax)
            | (r64.smin ^ with.r64.smin).cast_unsigned()
            | (r64.smax ^ with.r64.smax).cast_unsigned();
        let half = (r32.umin ^ with.r32.umin)
            | (r32.umax ^ with.r32.umax)
            | (r32.smin ^ with.r32.smin).cast_unsigned()
            | (r32.smax ^ with.r32.smax).cast_unsigned();
        whole | u64::from(half) == 0
    }
}

impl Default for Scalar {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl From<u64> for Scalar {
    fn from(x: u64) -> Self {
        Self::constant(x)
    }
}

/// The low half of a word.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the purpose")]
pub(in crate::verify) const fn low(x: u64) -> u32 {
    x as u32
}

/// Moves every bound of `r64` to the nearest word with a low half in the reduced `r32`.
#[inline]
fn with_low_half(r64: Range64, r32: Range32) -> Option<Range64> {
    const SIGN: u64 = 1 << 63;
    // As Linux: of a half on both sides of 0 only its bounds without a sign count.
    let r32 =
        if r32.smin < 0 && r32.smax >= 0 { Range32 { smin: i32::MIN, smax: i32::MAX, ..r32 } } else { r32 };
    let smin = up(r64.smin.cast_unsigned() ^ SIGN, &r32)? ^ SIGN;
    let smax = down(r64.smax.cast_unsigned() ^ SIGN, &r32)? ^ SIGN;
    Some(Range64 {
        umin: up(r64.umin, &r32)?,
        umax: down(r64.umax, &r32)?,
        smin: smin.cast_signed(),
        smax: smax.cast_signed(),
    })
}

/// The least word from `x` up with a low half in a reduced range.
#[inline]
fn up(x: u64, half: &Range32) -> Option<u64> {
    match half.from(low(x)) {
        Some(y) => Some(join(x >> 32, y)),
        None => (x >> 32 != u64::from(u32::MAX)).then(|| join((x >> 32) + 1, half.umin)),
    }
}

/// The greatest word from `x` down with a low half in a reduced range.
#[inline]
fn down(x: u64, half: &Range32) -> Option<u64> {
    match half.until(low(x)) {
        Some(y) => Some(join(x >> 32, y)),
        None => (x >> 32 != 0).then(|| join((x >> 32) - 1, half.umax)),
    }
}

/// A word of two halves.
#[inline]
fn join(high: u64, low: u32) -> u64 {
    high << 32 | u64::from(low)
}
