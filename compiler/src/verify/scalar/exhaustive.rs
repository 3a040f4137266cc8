//! The scalar domain over small windows of words, exhaustively.
//!
//! A window is 8 words (16 in optimised builds) at a place where arithmetic breaks: around 0, where signs change, where 32 bits
//! end, at the top bits, and with upper halves that differ. Every set of them that the domain can tell apart is built,
//! every operation is applied to every pair, and no result of any pair of members may get lost. What a window does not
//! show, random words in `tests` do.

use std::collections::HashSet;

use super::tests::{CONDS, OPS, SIZES, WIDTHS, assert_holds, concrete, holds};
use super::*;
use crate::isa::{AluOp, Cond, Size, Width};

/// Bits of a window.
const BITS: u32 = if cfg!(debug_assertions) { 3 } else { 4 };
const WORDS: u64 = 1 << BITS;

/// Places of windows: the word of a number below [`WORDS`].
const PLACES: [fn(u64) -> u64; 11] = [
    |i| i,
    // Around 0, and where each sign and width changes.
    |i| i.wrapping_sub(WORDS / 2),
    |i| (1 << 31) - WORDS / 2 + i,
    |i| (1 << 32) - WORDS / 2 + i,
    |i| (1 << 63) - WORDS / 2 + i,
    |i| 0xffff_ffff_8000_0000 - WORDS / 2 + i,
    // The top bits of either width, and of a byte.
    |i| i << (64 - BITS),
    |i| i << (32 - BITS),
    |i| i << (8 - BITS),
    // A low half around its sign, below upper halves that differ.
    |i| (i % 3) << 62 | ((1 << 31) - WORDS / 2 + i),
    // All ones but a few.
    |i| !(i << 20),
];

/// Where shift amounts and divisors are.
const AMOUNTS: [fn(u64) -> u64; 3] = [|i| i, |i| 32 - WORDS / 2 + i, |i| 64 - WORDS / 2 + i];

/// A set, and the words of its window that are in it.
type Known = (Scalar, Vec<u64>);

/// Every set of words of a window that the domain can tell from the others.
fn sets(place: fn(u64) -> u64) -> Vec<Known> {
    let words: Vec<u64> = (0..WORDS).map(place).collect();
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    let mut add = |scalar: Scalar| {
        if seen.insert(format!("{scalar:?}")) {
            let members: Vec<u64> = words.iter().copied().filter(|x| scalar.contains(*x)).collect();
            all.push((scalar, members));
        }
    };
    // The numbers from one to another, less those without known bits.
    for from in 0..WORDS {
        for to in from..WORDS {
            for mask in 0..WORDS {
                for value in (0..WORDS).filter(|value| value & mask == 0) {
                    let within = (from..=to).filter(|i| i & !mask == value);
                    let hull = within.map(|i| Scalar::constant(words[usize::try_from(i).expect("small")]));
                    if let Some(scalar) = hull.reduce(Scalar::union) {
                        add(scalar);
                    }
                }
            }
        }
    }
    add(Scalar::UNKNOWN);
    all
}

#[test]
fn windows_have_many_sets() {
    for place in PLACES {
        let sets = sets(place);
        assert!(sets.len() > 30, "only {} sets", sets.len());
        for (scalar, members) in &sets {
            assert!(!members.is_empty());
            assert_eq!(scalar.sync(), Some(*scalar), "not settled");
        }
    }
}

fn is_shift(op: AluOp) -> bool {
    matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh)
}

/// Applies operations to all pairs of two windows.
fn arithmetic(ops: &[AluOp], left: &[Known], right: &[Known]) {
    for (a, xs) in left {
        for (b, ys) in right {
            for op in ops {
                for width in WIDTHS {
                    let result = Scalar::alu(*op, width, *a, *b);
                    for x in xs {
                        for y in ys {
                            let z = concrete(*op, width, *x, *y);
                            if !result.contains(z) {
                                assert_holds(result, z, (op, width, x, y, a, b));
                            }
                        }
                    }
                }
            }
        }
    }
}

fn arithmetic_with(chosen: impl Fn(AluOp) -> bool) {
    let ops: Vec<AluOp> = OPS.into_iter().filter(|op| !is_shift(*op) && chosen(*op)).collect();
    let low = sets(PLACES[0]);
    for place in PLACES {
        let left = sets(place);
        arithmetic(&ops, &left, &left);
        arithmetic(&ops, &left, &low);
    }
}

#[test]
fn sums_lose_no_word() {
    arithmetic_with(|op| matches!(op, AluOp::Add | AluOp::Sub | AluOp::Mov));
}

#[test]
fn products_lose_no_word() {
    arithmetic_with(|op| op == AluOp::Mul);
}

#[test]
fn bits_lose_no_word() {
    arithmetic_with(|op| matches!(op, AluOp::And | AluOp::Or | AluOp::Xor));
}

#[test]
fn quotients_lose_no_word() {
    arithmetic_with(|op| matches!(op, AluOp::Div | AluOp::Mod));
}

#[test]
fn signed_quotients_lose_no_word() {
    arithmetic_with(|op| matches!(op, AluOp::Sdiv | AluOp::Smod));
}

#[test]
fn shifts_lose_no_word() {
    let ops: Vec<AluOp> = OPS.into_iter().filter(|op| is_shift(*op)).collect();
    let amounts = AMOUNTS.map(sets);
    for place in PLACES {
        let left = sets(place);
        for amounts in &amounts {
            arithmetic(&ops, &left, amounts);
        }
    }
}

/// Whether a branch only narrowed a word. Tests of bits forget ranges that contradict them.
pub(super) fn narrows(cond: Cond, after: &Scalar, before: &Scalar) -> bool {
    after.is_within(before) || cond == Cond::Set && before.intersect(*after).is_none()
}

#[test]
fn branches_lose_no_word_either_way() {
    let branches = |left: &[Known], right: &[Known]| {
        for (a, xs) in left {
            for (b, ys) in right {
                for cond in CONDS {
                    for width in WIDTHS {
                        let result = refine(cond, width, *a, *b);
                        for (l, r) in [result.taken, result.fallthrough].into_iter().flatten() {
                            let narrows = narrows(cond, &l, a) && narrows(cond, &r, b);
                            assert!(narrows, "{cond:?} {width:?} {a:x?} {b:x?}");
                        }
                        for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y))) {
                            let taken = holds(cond, width, x, y);
                            let side = if taken { result.taken } else { result.fallthrough };
                            if side.is_none_or(|(l, r)| !l.contains(x) || !r.contains(y)) {
                                panic!("lost: {:x?}", (cond, width, taken, x, y, a, b, side));
                            }
                        }
                    }
                }
            }
        }
    };
    let low = sets(PLACES[0]);
    for (index, place) in PLACES.into_iter().enumerate() {
        let left = sets(place);
        branches(&left, &left);
        // Windows that touch or overlap in some width.
        if matches!(index, 1 | 3 | 9) {
            branches(&left, &low);
        }
    }
}

#[test]
fn casts_lose_no_word() {
    let cut = |x: u64, size: Size| x & (u64::MAX >> (64 - 8 * size.bytes()));
    let signed = |x: u64, size: Size| {
        let unused = 64 - 8 * size.bytes();
        ((x << unused).cast_signed() >> unused).cast_unsigned()
    };
    for (a, xs) in PLACES.into_iter().flat_map(sets) {
        for x in xs {
            assert_holds(a.neg(Width::W64), x.wrapping_neg(), (x, a));
            assert_holds(a.neg(Width::W32), cut(x.wrapping_neg(), Size::W), (x, a));
            for size in SIZES {
                assert_holds(a.zext(size), cut(x, size), (size, x, a));
                assert_holds(a.sext(size), signed(x, size), (size, x, a));
                assert_holds(a.movsx(Width::W64, size), signed(x, size), (size, x, a));
                assert_holds(a.movsx(Width::W32, size), cut(signed(x, size), Size::W), (size, x, a));
            }
        }
    }
}

#[test]
fn what_lies_within_is_contained_and_joins_hold_both() {
    for place in PLACES {
        let all = sets(place);
        for (a, xs) in &all {
            for (b, ys) in &all {
                // What pruning asks: then every word of one is one of the other.
                if a.is_within(b) {
                    assert!(xs.iter().all(|x| b.contains(*x)), "{a:x?} {b:x?}");
                    assert!(a.bits().is_within(b.bits()));
                }
                let union = a.union(*b);
                assert!(a.is_within(&union) && b.is_within(&union), "{a:x?} {b:x?}");
                let both = a.intersect(*b);
                for x in xs.iter().chain(ys) {
                    assert_holds(union, *x, (a, b));
                    let common = a.contains(*x) && b.contains(*x);
                    assert!(!common || both.is_some_and(|s| s.contains(*x)), "{x:#x} {a:x?} {b:x?}");
                }
            }
        }
    }
}
