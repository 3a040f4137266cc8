//! Intervals of machine words: unsigned and signed bounds held together.
//!
//! A range stands for the words that lie within both pairs of bounds. It never joins two widths;
//! that is [`Scalar`](super::Scalar)'s. Every operation here over-approximates: what it could get
//! wrong is a wrap-around, so all wrapping arithmetic goes through one function, `arc`, which takes
//! a start and a width on the circle of words, and gives bounds only where the arc does not cross
//! the place where the order breaks.

/// Builds the range of one width. A macro, since the widths differ only in their integer types, and
/// the tests run the same text over 8 bits exhaustively.
macro_rules! range {
    ($(#[$doc:meta])* $Range:ident, $u:ty, $s:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Range {
            /// Least value, unsigned.
            pub umin: $u,
            /// Greatest value, unsigned.
            pub umax: $u,
            /// Least value, signed.
            pub smin: $s,
            /// Greatest value, signed.
            pub smax: $s,
        }

        #[allow(dead_code, reason = "not every width uses every operation")]
        impl $Range {
            const BITS: u32 = <$u>::BITS;
            const SIGN: $u = 1 << (<$u>::BITS - 1);

            /// Every word.
            pub const FULL: Self = Self { umin: 0, umax: <$u>::MAX, smin: <$s>::MIN, smax: <$s>::MAX };

            /// One word.
            #[must_use]
            #[inline]
            pub const fn constant(x: $u) -> Self {
                Self { umin: x, umax: x, smin: x.cast_signed(), smax: x.cast_signed() }
            }

            /// The words between two, unsigned.
            #[must_use]
            #[inline]
            pub const fn unsigned(umin: $u, umax: $u) -> Self {
                Self { umin, umax, ..Self::FULL }
            }

            /// The words between two, signed.
            #[must_use]
            #[inline]
            pub const fn signed(smin: $s, smax: $s) -> Self {
                Self { smin, smax, ..Self::FULL }
            }

            /// The words from `lo` on, `width` more of them, wrapping around.
            #[must_use]
            #[inline]
            pub(super) const fn arc(lo: $u, width: $u) -> Self {
                let hi = lo.wrapping_add(width);
                let mut r = Self::FULL;
                if lo <= hi {
                    (r.umin, r.umax) = (lo, hi);
                }
                let (slo, shi) = (lo.cast_signed(), hi.cast_signed());
                // Signed order is unsigned order with the sign bit flipped.
                if lo ^ Self::SIGN <= hi ^ Self::SIGN {
                    (r.smin, r.smax) = (slo, shi);
                }
                r
            }

            /// The two arcs that the bounds are: start and width of each.
            #[inline]
            const fn arcs(&self) -> [($u, $u); 2] {
                let s = self.smin.cast_unsigned();
                [
                    (self.umin, self.umax.wrapping_sub(self.umin)),
                    (s, self.smax.cast_unsigned().wrapping_sub(s)),
                ]
            }

            /// Whether a word is in the range.
            #[must_use]
            #[inline]
            pub const fn contains(&self, x: $u) -> bool {
                let s = x.cast_signed();
                self.umin <= x && x <= self.umax && self.smin <= s && s <= self.smax
            }

            /// Whether every bound lies within the other's.
            #[must_use]
            #[inline]
            pub const fn is_within(&self, other: &Self) -> bool {
                (other.umin <= self.umin)
                    & (self.umax <= other.umax)
                    & (other.smin <= self.smin)
                    & (self.smax <= other.smax)
            }

            /// The bounds that both satisfy; they may contradict each other until [`Self::reduce`].
            #[must_use]
            #[inline]
            pub(super) fn meet(self, other: Self) -> Self {
                Self {
                    umin: self.umin.max(other.umin),
                    umax: self.umax.min(other.umax),
                    smin: self.smin.max(other.smin),
                    smax: self.smax.min(other.smax),
                }
            }

            /// The least bounds that hold for both.
            #[must_use]
            #[inline]
            pub(super) fn union(self, other: Self) -> Self {
                Self {
                    umin: self.umin.min(other.umin),
                    umax: self.umax.max(other.umax),
                    smin: self.smin.min(other.smin),
                    smax: self.smax.max(other.smax),
                }
            }

            /// Makes each pair of bounds as tight as the other allows. `None`: no word is left.
            ///
            /// The words with a clear and those with a set sign bit are ordered alike both ways, so
            /// within each half the bounds simply meet; what remains of the halves gives the result.
            #[must_use]
            #[inline]
            pub(super) fn reduce(self) -> Option<Self> {
                let (smin, smax) = (self.smin.cast_unsigned(), self.smax.cast_unsigned());
                // Half of the clear sign bits.
                let lo0 = if self.smin < 0 { self.umin } else { self.umin.max(smin) };
                let hi0 = self.umax.min(smax);
                let has0 = self.smax >= 0 && lo0 <= hi0;
                // Half of the set sign bits.
                let lo1 = self.umin.max(smin);
                let hi1 = if self.smax >= 0 { self.umax } else { self.umax.min(smax) };
                let has1 = self.smin < 0 && lo1 <= hi1;
                let (umin, umax, smin, smax) = match (has0, has1) {
                    (true, true) => (lo0, hi1, lo1, hi0),
                    (true, false) => (lo0, hi0, lo0, hi0),
                    (false, true) => (lo1, hi1, lo1, hi1),
                    (false, false) => return None,
                };
                Some(Self { umin, umax, smin: smin.cast_signed(), smax: smax.cast_signed() })
            }

            /// Moves every bound to the nearest word of which the bits outside `mask` are `value`'s.
            /// `None`: there is none.
            #[must_use]
            #[inline]
            pub(super) fn fit(self, value: $u, mask: $u) -> Option<Self> {
                if mask == <$u>::MAX {
                    return Some(self);
                }
                let flip = Self::SIGN;
                let flipped = value ^ (flip & !mask);
                let smin = Self::next(flipped, mask, self.smin.cast_unsigned() ^ flip)? ^ flip;
                let smax = Self::prev(flipped, mask, self.smax.cast_unsigned() ^ flip)? ^ flip;
                Some(Self {
                    umin: Self::next(value, mask, self.umin)?,
                    umax: Self::prev(value, mask, self.umax)?,
                    smin: smin.cast_signed(),
                    smax: smax.cast_signed(),
                })
            }

            /// The least word from `x` up that has the known bits.
            #[inline]
            fn next(value: $u, mask: $u, x: $u) -> Option<$u> {
                let differ = (x ^ value) & !mask;
                if differ == 0 {
                    return Some(x);
                }
                // The highest known bit that `x` has wrong, and everything below it.
                let below = <$u>::MAX >> differ.leading_zeros();
                let top = below ^ (below >> 1);
                if value & top != 0 {
                    // The bit goes from 0 to 1: the rest may be the least that there is.
                    return Some((x & !below) | (value & below));
                }
                // The bit goes from 1 to 0, so the lowest free 0 above it must become 1.
                let free = mask & !x & !below;
                if free == 0 {
                    return None;
                }
                let up = free & free.wrapping_neg();
                Some((x & !(up - 1)) | up | (value & (up - 1)))
            }

            /// The greatest word from `x` down that has the known bits.
            #[inline]
            fn prev(value: $u, mask: $u, x: $u) -> Option<$u> {
                Self::next(!value & !mask, mask, !x).map(|x| !x)
            }

            /// The least word of a reduced range from `x` up, unsigned.
            #[inline]
            pub(super) fn from(&self, x: $u) -> Option<$u> {
                if x > self.umax {
                    return None;
                }
                let x = x.max(self.umin);
                let (smin, smax) = (self.smin.cast_unsigned(), self.smax.cast_unsigned());
                Some(if self.smin < 0 && self.smax >= 0 && x > smax { x.max(smin) } else { x })
            }

            /// The greatest word of a reduced range from `x` down, unsigned.
            #[inline]
            pub(super) fn until(&self, x: $u) -> Option<$u> {
                if x < self.umin {
                    return None;
                }
                let x = x.min(self.umax);
                let (smin, smax) = (self.smin.cast_unsigned(), self.smax.cast_unsigned());
                Some(if self.smin < 0 && self.smax >= 0 && x < smin { x.min(smax) } else { x })
            }

            /// Whether a word is the only one.
            #[inline]
            pub(super) const fn single(&self) -> Option<$u> {
                if self.umin == self.umax { Some(self.umin) } else { None }
            }

            /// Wrapping sum.
            #[must_use]
            #[inline]
            pub(super) fn add(self, other: Self) -> Self {
                let mut r = Self::FULL;
                for ((lo, w), (other_lo, other_w)) in self.arcs().into_iter().zip(other.arcs()) {
                    if let Some(w) = w.checked_add(other_w) {
                        r = r.meet(Self::arc(lo.wrapping_add(other_lo), w));
                    }
                }
                r
            }

            /// Wrapping difference.
            #[must_use]
            #[inline]
            pub(super) fn sub(self, other: Self) -> Self {
                let mut r = Self::FULL;
                for ((lo, w), (other_lo, other_w)) in self.arcs().into_iter().zip(other.arcs()) {
                    if let Some(sum) = w.checked_add(other_w) {
                        let lo = lo.wrapping_sub(other_lo).wrapping_sub(other_w);
                        r = r.meet(Self::arc(lo, sum));
                    }
                }
                r
            }

            /// Wrapping product.
            #[must_use]
            #[inline]
            pub(super) fn mul(self, other: Self) -> Self {
                let mut r = Self::FULL;
                if let Some(umax) = self.umax.checked_mul(other.umax) {
                    (r.umin, r.umax) = (self.umin * other.umin, umax);
                }
                let corners = [
                    self.smin.checked_mul(other.smin),
                    self.smin.checked_mul(other.smax),
                    self.smax.checked_mul(other.smin),
                    self.smax.checked_mul(other.smax),
                ];
                if let [Some(a), Some(b), Some(c), Some(d)] = corners {
                    (r.smin, r.smax) = (a.min(b).min(c.min(d)), a.max(b).max(c.max(d)));
                }
                r
            }

            /// Bounds that hold for `and`, `or` and `xor` alike: words of at most n significant bits,
            /// counting the sign, are closed under them.
            #[inline]
            fn bitwise(self, other: Self) -> Self {
                let signs = |x: $s| (x ^ (x >> (Self::BITS - 1))).leading_zeros();
                let n = signs(self.smin).min(signs(self.smax)).min(signs(other.smin)).min(signs(other.smax));
                // `n` is at least 1.
                let most = <$s>::MAX >> (n - 1);
                Self::signed(!most, most)
            }

            /// Bitwise and.
            #[must_use]
            #[inline]
            pub(super) fn and(self, other: Self) -> Self {
                Self { umax: self.umax.min(other.umax), ..self.bitwise(other) }
            }

            /// Bitwise or.
            #[must_use]
            #[inline]
            pub(super) fn or(self, other: Self) -> Self {
                Self { umin: self.umin.max(other.umin), ..self.bitwise(other) }
            }

            /// Bitwise exclusive or.
            #[must_use]
            #[inline]
            pub(super) fn xor(self, other: Self) -> Self {
                self.bitwise(other)
            }

            /// Left shift by a constant below the width.
            #[must_use]
            #[inline]
            pub(super) fn lsh(self, k: u32) -> Self {
                if k == 0 {
                    return self;
                }
                let mut r = Self::FULL;
                for (lo, w) in self.arcs() {
                    // The bits shifted out do not matter, so only arcs shorter than a turn of what
                    // stays say anything.
                    if w >> (Self::BITS - k) == 0 {
                        r = r.meet(Self::arc(lo << k, w << k));
                    }
                }
                r
            }

            /// Logical right shift by a constant below the width.
            #[must_use]
            #[inline]
            pub(super) fn rsh(self, k: u32) -> Self {
                Self::unsigned(self.umin >> k, self.umax >> k)
            }

            /// Arithmetic right shift by a constant below the width.
            #[must_use]
            #[inline]
            pub(super) fn arsh(self, k: u32) -> Self {
                Self::signed(self.smin >> k, self.smax >> k)
            }

            /// The low `n` bits (1 to the width), zero-extended.
            #[must_use]
            #[inline]
            pub(super) fn zext(self, n: u32) -> Self {
                let k = Self::BITS - n;
                match self.lsh(k).reduce() {
                    Some(r) => r.rsh(k),
                    None => Self::FULL,
                }
            }

            /// The low `n` bits (1 to the width), sign-extended.
            #[must_use]
            #[inline]
            pub(super) fn sext(self, n: u32) -> Self {
                let k = Self::BITS - n;
                match self.lsh(k).reduce() {
                    Some(r) => r.arsh(k),
                    None => Self::FULL,
                }
            }
        }
    };
}

range! {
    /// A range of 64-bit words.
    Range64, u64, i64
}
range! {
    /// A range of 32-bit words.
    Range32, u32, i32
}
#[cfg(test)]
range! {
    /// A range of bytes, for exhaustive tests.
    Range8, u8, i8
}
