//! What a branch tells of its operands, on either side.
//!
//! Each condition narrows copies of both operands; an operand that becomes empty means that control
//! cannot go that way. So "is the branch taken?" and "what do we know then?" are one question, and
//! cannot contradict each other. What could go wrong is to narrow too much: every rule below states
//! what holds for *each* pair of words that satisfies the condition.

use super::{Range32, Range64, Scalar, Tnum};
use crate::isa::{Cond, Width};

/// What is known of both operands on either side of a branch. `None`: control cannot go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branches {
    /// Where the condition holds.
    pub taken: Option<(Scalar, Scalar)>,
    /// Where it does not.
    pub fallthrough: Option<(Scalar, Scalar)>,
}

/// What `if lhs cond rhs` tells.
#[must_use]
pub fn refine(cond: Cond, width: Width, lhs: Scalar, rhs: Scalar) -> Branches {
    if let (Some(a), Some(b)) = (lhs.as_constant(), rhs.as_constant()) {
        // Most branches of a loop that counts.
        let both = (lhs, rhs);
        return match holds(cond, width, a, b) {
            true => Branches { taken: Some(both), fallthrough: None },
            false => Branches { taken: None, fallthrough: Some(both) },
        };
    }
    Branches { taken: assume(cond, width, lhs, rhs), fallthrough: deny(cond, width, lhs, rhs) }
}

/// Whether a condition holds of two words.
fn holds(cond: Cond, width: Width, lhs: u64, rhs: u64) -> bool {
    let (a, b) = match width {
        Width::W64 => (lhs, rhs),
        // The low halves, where they keep their order with and without a sign.
        Width::W32 => (lhs << 32, rhs << 32),
    };
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Set => a & b != 0,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Sgt => a.cast_signed() > b.cast_signed(),
        Cond::Sge => a.cast_signed() >= b.cast_signed(),
        Cond::Slt => a.cast_signed() < b.cast_signed(),
        Cond::Sle => a.cast_signed() <= b.cast_signed(),
    }
}

/// The operands where the condition holds.
fn assume(cond: Cond, width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match cond {
        Cond::Eq => equal(width, lhs, rhs),
        Cond::Ne => different(width, lhs, rhs),
        Cond::Set => common_bit(width, lhs, rhs),
        Cond::Gt => swap(below(width, rhs, lhs)),
        Cond::Ge => swap(at_most(width, rhs, lhs)),
        Cond::Lt => below(width, lhs, rhs),
        Cond::Le => at_most(width, lhs, rhs),
        Cond::Sgt => swap(signed_below(width, rhs, lhs)),
        Cond::Sge => swap(signed_at_most(width, rhs, lhs)),
        Cond::Slt => signed_below(width, lhs, rhs),
        Cond::Sle => signed_at_most(width, lhs, rhs),
    }
}

/// The operands where the condition does not hold.
fn deny(cond: Cond, width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match cond {
        Cond::Eq => different(width, lhs, rhs),
        Cond::Ne => equal(width, lhs, rhs),
        Cond::Set => no_common_bit(width, lhs, rhs),
        Cond::Gt => at_most(width, lhs, rhs),
        Cond::Ge => below(width, lhs, rhs),
        Cond::Lt => swap(at_most(width, rhs, lhs)),
        Cond::Le => swap(below(width, rhs, lhs)),
        Cond::Sgt => signed_at_most(width, lhs, rhs),
        Cond::Sge => signed_below(width, lhs, rhs),
        Cond::Slt => swap(signed_at_most(width, rhs, lhs)),
        Cond::Sle => swap(signed_below(width, rhs, lhs)),
    }
}

fn swap(pair: Option<(Scalar, Scalar)>) -> Option<(Scalar, Scalar)> {
    pair.map(|(a, b)| (b, a))
}

/// The part of a scalar within bounds.
#[inline]
fn within64(s: Scalar, r: Range64) -> Option<Scalar> {
    if s.r64.is_within(&r) {
        return Some(s);
    }
    Scalar { r64: s.r64.meet(r), ..s }.sync()
}

/// The part of a scalar with a low half within bounds.
#[inline]
fn within32(s: Scalar, r: Range32) -> Option<Scalar> {
    if s.r32.is_within(&r) {
        return Some(s);
    }
    Scalar { r32: s.r32.meet(r), ..s }.sync()
}

/// The part of a scalar with known bits.
#[inline]
fn with_bits(s: Scalar, bits: Tnum) -> Option<Scalar> {
    if s.bits.is_within(bits) {
        return Some(s);
    }
    Scalar { bits: s.bits.intersect(bits)?, ..s }.sync()
}

fn equal(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match width {
        Width::W64 => lhs.intersect(rhs).map(|both| (both, both)),
        Width::W32 => {
            let low = lhs.bits.subreg().intersect(rhs.bits.subreg())?;
            let r32 = lhs.r32.meet(rhs.r32);
            let narrow = |s: Scalar| Scalar { bits: s.bits.with_subreg(low), r32, ..s }.sync();
            Some((narrow(lhs)?, narrow(rhs)?))
        }
    }
}

fn different(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match width {
        Width::W64 => {
            let l = rhs.as_constant().map_or(Some(lhs), |x| without64(lhs, x))?;
            let r = lhs.as_constant().map_or(Some(rhs), |x| without64(rhs, x))?;
            Some((l, r))
        }
        Width::W32 => {
            let l = rhs.as_constant32().map_or(Some(lhs), |x| without32(lhs, x))?;
            let r = lhs.as_constant32().map_or(Some(rhs), |x| without32(rhs, x))?;
            Some((l, r))
        }
    }
}

/// The words other than `x`: only a bound can move.
fn without64(s: Scalar, x: u64) -> Option<Scalar> {
    let mut r = s.r64;
    if r.single() == Some(x) {
        return None;
    }
    // No bound moves past the other: more than one word is between them.
    r.umin += u64::from(r.umin == x);
    r.umax -= u64::from(r.umax == x);
    r.smin += i64::from(r.smin == x.cast_signed());
    r.smax -= i64::from(r.smax == x.cast_signed());
    within64(s, r)
}

/// The words with a low half other than `x`.
fn without32(s: Scalar, x: u32) -> Option<Scalar> {
    let mut r = s.r32;
    if r.single() == Some(x) {
        return None;
    }
    r.umin += u32::from(r.umin == x);
    r.umax -= u32::from(r.umax == x);
    r.smin += i32::from(r.smin == x.cast_signed());
    r.smax -= i32::from(r.smax == x.cast_signed());
    within32(s, r)
}

/// `lhs & rhs != 0`
/// As Linux: nothing is learned unless one is a constant.
fn common_bit(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    if !one_is_constant(width, &lhs, &rhs) {
        return Some((lhs, rhs));
    }
    let common = lhs.bits.max() & rhs.bits.max() & mask(width);
    if common == 0 {
        return None;
    }
    // As Linux: where the constant has one bit only, it is this one.
    let one_bit = |mask: &Scalar| mask.as_constant().is_some_and(|c| c & self::mask(width) == common);
    if common.is_power_of_two() && (one_bit(&lhs) || one_bit(&rhs)) {
        let bit = Tnum::new(common, !common);
        return Some((told(lhs, bit), told(rhs, bit)));
    }
    Some((lhs, rhs))
}

/// `lhs & rhs == 0`
/// As Linux: nothing is learned unless one is a constant.
fn no_common_bit(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    if !one_is_constant(width, &lhs, &rhs) {
        return Some((lhs, rhs));
    }
    let (l, r) = (lhs.bits.value() & mask(width), rhs.bits.value() & mask(width));
    if l & r != 0 {
        return None;
    }
    // Where one certainly has a 1, the other has a 0.
    Some((told(lhs, Tnum::new(0, !r)), told(rhs, Tnum::new(0, !l))))
}

/// Whether one of two operands has one value only, as far as it is compared.
fn one_is_constant(width: Width, lhs: &Scalar, rhs: &Scalar) -> bool {
    let constant = |s: &Scalar| match width {
        Width::W64 => s.as_constant().is_some(),
        Width::W32 => s.as_constant32().is_some(),
    };
    constant(lhs) || constant(rhs)
}

/// With what was learned of bits. Where the range excludes them, bits alone are known: Linux decides this comparison by
/// bits, otherwise goes both ways, and forgets ranges that contradict them.
fn told(word: Scalar, bits: Tnum) -> Scalar {
    with_bits(word, bits).unwrap_or_else(|| Scalar::from_bits(word.bits.intersect(bits).unwrap_or(word.bits)))
}

const fn mask(width: Width) -> u64 {
    match width {
        Width::W32 => 0xffff_ffff,
        Width::W64 => u64::MAX,
    }
}

/// `lhs < rhs`
fn below(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match width {
        Width::W64 => {
            let (max, min) = (rhs.r64.umax.checked_sub(1)?, lhs.r64.umin.checked_add(1)?);
            Some((
                within64(lhs, Range64::unsigned(0, max))?,
                within64(rhs, Range64::unsigned(min, u64::MAX))?,
            ))
        }
        Width::W32 => {
            let (max, min) = (rhs.r32.umax.checked_sub(1)?, lhs.r32.umin.checked_add(1)?);
            Some((
                within32(lhs, Range32::unsigned(0, max))?,
                within32(rhs, Range32::unsigned(min, u32::MAX))?,
            ))
        }
    }
}

/// `lhs <= rhs`
fn at_most(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match width {
        Width::W64 => Some((
            within64(lhs, Range64::unsigned(0, rhs.r64.umax))?,
            within64(rhs, Range64::unsigned(lhs.r64.umin, u64::MAX))?,
        )),
        Width::W32 => Some((
            within32(lhs, Range32::unsigned(0, rhs.r32.umax))?,
            within32(rhs, Range32::unsigned(lhs.r32.umin, u32::MAX))?,
        )),
    }
}

/// `lhs s< rhs`
fn signed_below(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match width {
        Width::W64 => {
            let (max, min) = (rhs.r64.smax.checked_sub(1)?, lhs.r64.smin.checked_add(1)?);
            Some((
                within64(lhs, Range64::signed(i64::MIN, max))?,
                within64(rhs, Range64::signed(min, i64::MAX))?,
            ))
        }
        Width::W32 => {
            let (max, min) = (rhs.r32.smax.checked_sub(1)?, lhs.r32.smin.checked_add(1)?);
            Some((
                within32(lhs, Range32::signed(i32::MIN, max))?,
                within32(rhs, Range32::signed(min, i32::MAX))?,
            ))
        }
    }
}

/// `lhs s<= rhs`
fn signed_at_most(width: Width, lhs: Scalar, rhs: Scalar) -> Option<(Scalar, Scalar)> {
    match width {
        Width::W64 => Some((
            within64(lhs, Range64::signed(i64::MIN, rhs.r64.smax))?,
            within64(rhs, Range64::signed(lhs.r64.smin, i64::MAX))?,
        )),
        Width::W32 => Some((
            within32(lhs, Range32::signed(i32::MIN, rhs.r32.smax))?,
            within32(rhs, Range32::signed(lhs.r32.smin, i32::MAX))?,
        )),
    }
}
