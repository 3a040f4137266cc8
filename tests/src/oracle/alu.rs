//! Arithmetic, conditions and byte swaps, written from RFC 9669's tables.
//!
//! Every operation works on plain `u64` values and knows nothing of registers or memory. It would
//! be wrong if it were derived from the lowering: the two must be able to disagree.

use brolga_compiler::isa::{AluOp, AtomicOp, Cond, Endian, Size, Width};

use super::memory::ByteOrder;

/// The result of `dst op= src` in 64 or 32 bits; 32-bit results are zero-extended.
#[must_use]
pub fn binary(op: AluOp, width: Width, dst: u64, src: u64) -> u64 {
    match width {
        Width::W64 => binary64(op, dst, src),
        Width::W32 => u64::from(binary32(op, low32(dst), low32(src))),
    }
}

fn binary64(op: AluOp, dst: u64, src: u64) -> u64 {
    let shift = src % 64;
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => dst.checked_div(src).unwrap_or(0),
        AluOp::Sdiv if src == 0 => 0,
        AluOp::Sdiv => dst.cast_signed().wrapping_div(src.cast_signed()).cast_unsigned(),
        AluOp::Mod => dst.checked_rem(src).unwrap_or(dst),
        AluOp::Smod if src == 0 => dst,
        AluOp::Smod => dst.cast_signed().wrapping_rem(src.cast_signed()).cast_unsigned(),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Xor => dst ^ src,
        AluOp::Lsh => dst << shift,
        AluOp::Rsh => dst >> shift,
        AluOp::Arsh => (dst.cast_signed() >> shift).cast_unsigned(),
        AluOp::Mov => src,
    }
}

fn binary32(op: AluOp, dst: u32, src: u32) -> u32 {
    let shift = src % 32;
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => dst.checked_div(src).unwrap_or(0),
        AluOp::Sdiv if src == 0 => 0,
        AluOp::Sdiv => dst.cast_signed().wrapping_div(src.cast_signed()).cast_unsigned(),
        AluOp::Mod => dst.checked_rem(src).unwrap_or(dst),
        AluOp::Smod if src == 0 => dst,
        AluOp::Smod => dst.cast_signed().wrapping_rem(src.cast_signed()).cast_unsigned(),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Xor => dst ^ src,
        AluOp::Lsh => dst << shift,
        AluOp::Rsh => dst >> shift,
        AluOp::Arsh => (dst.cast_signed() >> shift).cast_unsigned(),
        AluOp::Mov => src,
    }
}

/// `-value`.
#[must_use]
pub fn negate(width: Width, value: u64) -> u64 {
    match width {
        Width::W64 => value.wrapping_neg(),
        Width::W32 => u64::from(low32(value).wrapping_neg()),
    }
}

/// The low bits of `value` as `from` says, sign-extended to `width`, then zero-extended.
#[must_use]
pub fn sign_extend(width: Width, from: Size, value: u64) -> u64 {
    let unused = 64 - 8 * from.bytes();
    let wide = ((value << unused).cast_signed() >> unused).cast_unsigned();
    match width {
        Width::W64 => wide,
        Width::W32 => u64::from(low32(wide)),
    }
}

/// A byte swap on a machine of a byte order.
#[must_use]
pub fn endian(order: ByteOrder, kind: Endian, size: Size, value: u64) -> u64 {
    let kept = truncate(size, value);
    let swapped = kept.swap_bytes() >> (64 - 8 * size.bytes());
    match (kind, order) {
        (Endian::Swap, _) => swapped,
        (Endian::ToLe, ByteOrder::Little) | (Endian::ToBe, ByteOrder::Big) => kept,
        (Endian::ToLe, ByteOrder::Big) | (Endian::ToBe, ByteOrder::Little) => swapped,
    }
}

/// Whether `dst cond src` holds.
#[must_use]
pub fn holds(cond: Cond, width: Width, dst: u64, src: u64) -> bool {
    // Comparisons of 32 bits are comparisons of 64 after the extension that fits the sign.
    let (unsigned, signed) = match width {
        Width::W64 => ((dst, src), (dst.cast_signed(), src.cast_signed())),
        Width::W32 => {
            let (d, s) = (low32(dst), low32(src));
            ((u64::from(d), u64::from(s)), (i64::from(d.cast_signed()), i64::from(s.cast_signed())))
        }
    };
    match cond {
        Cond::Eq => unsigned.0 == unsigned.1,
        Cond::Ne => unsigned.0 != unsigned.1,
        Cond::Set => unsigned.0 & unsigned.1 != 0,
        Cond::Gt => unsigned.0 > unsigned.1,
        Cond::Ge => unsigned.0 >= unsigned.1,
        Cond::Lt => unsigned.0 < unsigned.1,
        Cond::Le => unsigned.0 <= unsigned.1,
        Cond::Sgt => signed.0 > signed.1,
        Cond::Sge => signed.0 >= signed.1,
        Cond::Slt => signed.0 < signed.1,
        Cond::Sle => signed.0 <= signed.1,
    }
}

/// What an atomic operation leaves in memory; `expected` is `r0`, which only `cmpxchg` reads.
#[must_use]
pub fn atomic(op: AtomicOp, size: Size, old: u64, src: u64, expected: u64) -> u64 {
    let new = match op {
        AtomicOp::Add { .. } => old.wrapping_add(src),
        AtomicOp::Or { .. } => old | src,
        AtomicOp::And { .. } => old & src,
        AtomicOp::Xor { .. } => old ^ src,
        AtomicOp::Xchg => src,
        AtomicOp::Cmpxchg if truncate(size, expected) == old => src,
        AtomicOp::Cmpxchg => old,
    };
    truncate(size, new)
}

/// The low bytes of `value`, zero-extended.
#[must_use]
pub fn truncate(size: Size, value: u64) -> u64 {
    value & (u64::MAX >> (64 - 8 * size.bytes()))
}

fn low32(value: u64) -> u32 {
    truncate(Size::W, value) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_never_traps() {
        let min = i64::MIN.cast_unsigned();
        assert_eq!(binary(AluOp::Div, Width::W64, 7, 0), 0);
        assert_eq!(binary(AluOp::Mod, Width::W64, 7, 0), 7);
        assert_eq!(binary(AluOp::Sdiv, Width::W64, min, u64::MAX), min);
        assert_eq!(binary(AluOp::Smod, Width::W64, min, u64::MAX), 0);
        assert_eq!(binary(AluOp::Mod, Width::W32, u64::MAX, 1 << 32), 0xffff_ffff);
    }

    #[test]
    fn swaps_and_extensions() {
        assert_eq!(endian(ByteOrder::Little, Endian::ToBe, Size::H, 0xaabb_1122), 0x2211);
        assert_eq!(endian(ByteOrder::Big, Endian::ToBe, Size::H, 0xaabb_1122), 0x1122);
        assert_eq!(endian(ByteOrder::Little, Endian::ToLe, Size::W, 0xaabb_ccdd_1122_3344), 0x1122_3344);
        assert_eq!(sign_extend(Width::W32, Size::B, 0x80), 0xffff_ff80);
        assert_eq!(sign_extend(Width::W64, Size::W, 0x8000_0000), 0xffff_ffff_8000_0000);
    }

    #[test]
    fn conditions_see_only_their_width() {
        assert!(holds(Cond::Slt, Width::W32, 0xffff_ffff, 0));
        assert!(!holds(Cond::Slt, Width::W64, 0xffff_ffff, 0));
        assert!(!holds(Cond::Set, Width::W32, 1 << 32, 1 << 32));
    }
}
