//! Operations on constants.
//!
//! Results are cut to their type. Wrong here is wrong in every program that folds; the tests hold it
//! against an evaluator of their own.

use crate::ir::{Binary, Compare, ExtendKind, Type, Unary};
use crate::isa::Size;

/// A word of a type as a signed number.
#[must_use]
pub fn signed(ty: Type, bits: u64) -> i64 {
    match ty {
        Type::I1 => i64::from(bits & 1 != 0),
        Type::I32 => ((bits << 32).cast_signed()) >> 32,
        Type::I64 => bits.cast_signed(),
    }
}

/// The bits of a type.
#[must_use]
pub const fn width(ty: Type) -> u32 {
    match ty {
        Type::I1 => 1,
        Type::I32 => 32,
        Type::I64 => 64,
    }
}

/// `a op b`
#[must_use]
pub fn binary(op: Binary, ty: Type, a: u64, b: u64) -> u64 {
    let (sa, sb) = (signed(ty, a), signed(ty, b));
    let amount = b & u64::from(width(ty) - 1);
    let result = match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Udiv => a.checked_div(b).unwrap_or(0),
        Binary::Urem => a.checked_rem(b).unwrap_or(a),
        Binary::Sdiv => match sb {
            0 => 0,
            _ => sa.wrapping_div(sb).cast_unsigned(),
        },
        Binary::Srem => match sb {
            0 => a,
            _ => sa.wrapping_rem(sb).cast_unsigned(),
        },
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::Shl => a << amount,
        Binary::Ushr => a >> amount,
        Binary::Sshr => (sa >> amount).cast_unsigned(),
        Binary::Rotl => match amount {
            0 => a,
            _ => a << amount | a >> (u64::from(width(ty)) - amount),
        },
        Binary::Umulhi => high(u128::from(a) * u128::from(b)),
    };
    result & ty.mask()
}

#[allow(clippy::cast_possible_truncation, reason = "shifted down by half")]
const fn high(product: u128) -> u64 {
    (product >> 64) as u64
}

/// `op a`
#[must_use]
pub fn unary(op: Unary, ty: Type, a: u64) -> u64 {
    let result = match op {
        Unary::Neg => a.wrapping_neg(),
        Unary::Swap16 => a.swap_bytes() >> 48,
        Unary::Swap32 => a.swap_bytes() >> 32,
        Unary::Swap64 => a.swap_bytes(),
    };
    result & ty.mask()
}

/// Whether `a cond b` holds for words of a type.
#[must_use]
pub fn compare(cond: Compare, ty: Type, a: u64, b: u64) -> bool {
    let (sa, sb) = (signed(ty, a), signed(ty, b));
    match cond {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Ult => a < b,
        Compare::Ule => a <= b,
        Compare::Ugt => a > b,
        Compare::Uge => a >= b,
        Compare::Slt => sa < sb,
        Compare::Sle => sa <= sb,
        Compare::Sgt => sa > sb,
        Compare::Sge => sa >= sb,
    }
}

/// The low bits of a word, widened to a type.
#[must_use]
pub fn extend(kind: ExtendKind, from: Size, ty: Type, a: u64) -> u64 {
    let unused = 64 - 8 * from.bytes();
    let result = match kind {
        ExtendKind::Zero => a << unused >> unused,
        ExtendKind::Sign => ((a << unused).cast_signed() >> unused).cast_unsigned(),
    };
    result & ty.mask()
}
