//! Soundness of the scalar domain, against a concrete evaluation of its own.
//!
//! A case draws a few words, builds a set that holds them (as paths do: by union, and by forgetting
//! this or that), applies an operation to the set and to each word, and looks whether any word got
//! lost. Words are drawn from where arithmetic breaks: around 0, the sign changes, and powers of two.

use super::exhaustive::narrows;
use super::range::Range8;
use super::*;
use crate::isa::{AluOp, Cond, Size, Width};

const CASES: u32 = 20_000;
pub(super) const OPS: [AluOp; 14] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::Sdiv,
    AluOp::Mod,
    AluOp::Smod,
    AluOp::Or,
    AluOp::And,
    AluOp::Xor,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Arsh,
    AluOp::Mov,
];
pub(super) const CONDS: [Cond; 11] = [
    Cond::Eq,
    Cond::Ne,
    Cond::Set,
    Cond::Gt,
    Cond::Ge,
    Cond::Lt,
    Cond::Le,
    Cond::Sgt,
    Cond::Sge,
    Cond::Slt,
    Cond::Sle,
];
pub(super) const WIDTHS: [Width; 2] = [Width::W32, Width::W64];
pub(super) const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A word near a place where something breaks.
    fn word(&mut self) -> u64 {
        let near: [u64; 9] =
            [0, 1 << 31, 1 << 32, 1 << 63, 0xffff_ffff_8000_0000, 1 << 16, 1 << 8, 1 << 7, 1 << 15];
        match self.below(8) {
            0 => self.next(),
            1 => self.next() >> self.below(64),
            2 => 1 << self.below(64),
            3 => (self.next() as i64 >> self.below(64)) as u64,
            4 => self.below(70),
            _ => near[self.below(9) as usize].wrapping_add(self.below(9)).wrapping_sub(4),
        }
    }

    /// A word like another.
    fn like(&mut self, x: u64) -> u64 {
        match self.below(6) {
            0 => self.word(),
            1 => x ^ (1 << self.below(64)),
            2 => x ^ (self.word() & self.word()),
            3 => x.wrapping_add(self.word()),
            4 => x ^ self.below(16),
            _ => x.wrapping_add(self.below(16)),
        }
    }

    fn words(&mut self) -> Vec<u64> {
        let first = self.word();
        let mut words = vec![first];
        for _ in 0..self.below(4) {
            words.push(self.like(first));
        }
        words
    }

    /// Parts that each hold the words, not yet synchronised.
    fn parts(&mut self, words: &[u64]) -> Scalar {
        let mut s = Scalar::constant(words[0]);
        for x in words {
            let other = Scalar::constant(*x);
            s = Scalar {
                bits: s.bits.union(other.bits),
                r64: s.r64.union(other.r64),
                r32: s.r32.union(other.r32),
            };
        }
        self.loosen(s)
    }

    /// Forgets some of what is known.
    fn loosen(&mut self, mut s: Scalar) -> Scalar {
        let what = self.next() & self.next();
        if what & 1 != 0 {
            s.bits = Tnum::new(s.bits.value(), s.bits.mask() | self.word());
        }
        if what & 2 != 0 {
            s.bits = Tnum::UNKNOWN;
        }
        if what & 4 != 0 {
            s.r64.umin = s.r64.umin.min(self.word());
        }
        if what & 8 != 0 {
            s.r64.umax = s.r64.umax.max(self.word());
        }
        if what & 16 != 0 {
            s.r64.smin = s.r64.smin.min(self.word() as i64);
        }
        if what & 32 != 0 {
            s.r64.smax = s.r64.smax.max(self.word() as i64);
        }
        if what & 64 != 0 {
            s.r64 = Range64::FULL;
        }
        if what & 128 != 0 {
            s.r32 = Range32::FULL;
        }
        if what & 256 != 0 {
            s.r32.umin = s.r32.umin.min(self.word() as u32);
            s.r32.smax = s.r32.smax.max(self.word() as i32);
        }
        s
    }

    fn scalar(&mut self) -> (Vec<u64>, Scalar) {
        let words = self.words();
        let scalar = self.parts(&words).sync().expect("holds its words");
        (words, scalar)
    }
}

#[track_caller]
pub(super) fn assert_holds(result: Scalar, x: u64, what: impl std::fmt::Debug) {
    assert!(result.contains(x), "{x:#x} got lost from {result:x?} in {what:x?}");
}

/// Arithmetic in 128 bits, then cut: shares nothing with the domain.
pub(super) fn concrete(op: AluOp, width: Width, a: u64, b: u64) -> u64 {
    let bits = if width == Width::W32 { 32 } else { 64 };
    let mask = (1u128 << bits) - 1;
    let signed = |x: u64| {
        let x = i128::from(x) & mask as i128;
        if x >> (bits - 1) & 1 == 1 { x - (1i128 << bits) } else { x }
    };
    let (ua, ub) = (u128::from(a) & mask, u128::from(b) & mask);
    let (sa, sb) = (signed(a), signed(b));
    let k = ub % bits as u128;
    let result = match op {
        AluOp::Add => (sa + sb) as u128,
        AluOp::Sub => (sa - sb) as u128,
        AluOp::Mul => ua.wrapping_mul(ub),
        AluOp::Div => ua.checked_div(ub).unwrap_or(0),
        AluOp::Mod => ua.checked_rem(ub).unwrap_or(ua),
        AluOp::Sdiv => (if sb == 0 { 0 } else { sa / sb }) as u128,
        AluOp::Smod => (if sb == 0 { sa } else { sa % sb }) as u128,
        AluOp::Or => ua | ub,
        AluOp::And => ua & ub,
        AluOp::Xor => ua ^ ub,
        AluOp::Lsh => ua << k,
        AluOp::Rsh => ua >> k,
        AluOp::Arsh => (sa >> k) as u128,
        AluOp::Mov => ub,
    };
    (result & mask) as u64
}

pub(super) fn holds(cond: Cond, width: Width, a: u64, b: u64) -> bool {
    let (a, b) = if width == Width::W32 { (a << 32, b << 32) } else { (a, b) };
    let (sa, sb) = (a as i64, b as i64);
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Set => a & b != 0,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Sgt => sa > sb,
        Cond::Sge => sa >= sb,
        Cond::Slt => sa < sb,
        Cond::Sle => sa <= sb,
    }
}

#[test]
fn sync_loses_no_word_and_settles() {
    let mut random = Random(1);
    for _ in 0..100_000 {
        let words = random.words();
        let parts = random.parts(&words);
        let synced = parts.sync().unwrap_or_else(|| panic!("{words:x?} all got lost from {parts:x?}"));
        for x in &words {
            assert_holds(synced, *x, parts);
        }
        assert!(synced.is_within(&parts));
        assert_eq!(synced.sync(), Some(synced), "not settled: {parts:x?}");
    }
}

#[test]
fn sync_is_monotone() {
    let mut random = Random(2);
    for _ in 0..100_000 {
        let words = random.words();
        let less = random.parts(&words);
        let more = random.loosen(less);
        let (less_synced, more_synced) = (less.sync().unwrap(), more.sync().unwrap());
        assert!(
            less_synced.is_within(&more_synced),
            "{less:x?} within {more:x?}, but {less_synced:x?}, {more_synced:x?}"
        );
    }
}

#[test]
fn arithmetic_loses_no_word() {
    let mut random = Random(3);
    for op in OPS {
        for width in WIDTHS {
            for _ in 0..CASES {
                let ((xs, a), (ys, b)) = (random.scalar(), random.scalar());
                let result = Scalar::alu(op, width, a, b);
                for x in &xs {
                    for y in &ys {
                        let z = concrete(op, width, *x, *y);
                        assert_holds(result, z, (op, width, x, y, a, b));
                    }
                }
            }
        }
    }
}

fn cut_to(width: Width, x: u64) -> u64 {
    if width == Width::W64 { x } else { x & 0xffff_ffff }
}

/// But for what Linux knows nothing of.
#[test]
fn arithmetic_on_constants_is_exact() {
    let mut random = Random(4);
    for op in OPS {
        for width in WIDTHS {
            for _ in 0..CASES {
                let (x, y) = (random.word(), random.word());
                let bits = if width == Width::W64 { 64 } else { 32 };
                let (divides, shifts) = (
                    matches!(op, AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod),
                    matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh),
                );
                for y in [y, y % bits] {
                    let known = !divides && (!shifts || cut_to(width, y) < bits);
                    let result = Scalar::alu(op, width, x.into(), y.into());
                    let exact = known.then(|| concrete(op, width, x, y));
                    assert_eq!(result.as_constant(), exact, "{op:?} {width:?} {x:#x} {y:#x}");
                }
            }
        }
    }
}

#[test]
fn moves_and_swaps_lose_no_word() {
    let mut random = Random(5);
    let cut = |x: u64, size: Size| x & (u64::MAX >> (64 - 8 * size.bytes()));
    let signed = |x: u64, size: Size| {
        let k = 64 - 8 * size.bytes();
        ((x << k) as i64 >> k) as u64
    };
    for _ in 0..CASES {
        let (xs, a) = random.scalar();
        for x in xs {
            assert_holds(a.neg(Width::W64), x.wrapping_neg(), (x, a));
            assert_holds(a.neg(Width::W32), cut(x.wrapping_neg(), Size::W), (x, a));
            for size in SIZES {
                assert_holds(a.zext(size), cut(x, size), (size, x, a));
                assert_holds(a.sext(size), signed(x, size), (size, x, a));
                assert_holds(Scalar::unknown_of(size), cut(x, size), size);
                assert_eq!(Scalar::unknown_of(size).sync(), Some(Scalar::unknown_of(size)));
                assert_holds(a.movsx(Width::W64, size), signed(x, size), (size, x, a));
                assert_holds(a.movsx(Width::W32, size), cut(signed(x, size), Size::W), (size, x, a));
            }
        }
    }
}

#[test]
fn branches_lose_no_word_and_only_narrow() {
    let mut random = Random(6);
    for cond in CONDS {
        for width in WIDTHS {
            for _ in 0..CASES {
                let (xs, a) = random.scalar();
                let (mut ys, mut b) = random.scalar();
                if random.below(4) == 0 {
                    // Operands that have much in common.
                    ys = xs.iter().map(|x| if random.below(2) == 0 { *x } else { random.like(*x) }).collect();
                    b = random.parts(&ys).sync().unwrap();
                }
                let result = refine(cond, width, a, b);
                for (l, r) in [result.taken, result.fallthrough].into_iter().flatten() {
                    let narrows = narrows(cond, &l, &a) && narrows(cond, &r, &b);
                    assert!(narrows, "{cond:?} {width:?} widens {a:x?} {b:x?}");
                }
                for x in &xs {
                    for y in &ys {
                        let taken = holds(cond, width, *x, *y);
                        let side = if taken { result.taken } else { result.fallthrough };
                        let what = (cond, width, taken, x, y, a, b);
                        let (l, r) = side.unwrap_or_else(|| panic!("impossible: {what:x?}"));
                        assert_holds(l, *x, what);
                        assert_holds(r, *y, what);
                    }
                }
            }
        }
    }
}

#[test]
fn branches_on_constants_go_one_way() {
    let mut random = Random(7);
    for cond in CONDS {
        for width in WIDTHS {
            for _ in 0..CASES {
                let x = random.word();
                let y = random.like(x);
                let result = refine(cond, width, x.into(), y.into());
                let taken = holds(cond, width, x, y);
                assert_eq!(result.taken.is_some(), taken, "{cond:?} {width:?} {x:#x} {y:#x}");
                assert_eq!(result.fallthrough.is_some(), !taken, "{cond:?} {width:?} {x:#x} {y:#x}");
            }
        }
    }
}

#[test]
fn union_and_intersection_hold_what_they_must() {
    let mut random = Random(8);
    for _ in 0..100_000 {
        let ((xs, a), (ys, b)) = (random.scalar(), random.scalar());
        let union = a.union(b);
        assert!(a.is_within(&union) && b.is_within(&union));
        let both = a.intersect(b);
        for x in xs.into_iter().chain(ys) {
            assert_holds(union, x, (a, b));
            let common = a.contains(x) && b.contains(x);
            assert!(!common || both.is_some_and(|s| s.contains(x)), "{x:#x} {a:x?} {b:x?}");
        }
    }
}

/// All tnums of 5 bits, at a place in the word, with the words that they stand for.
fn small_tnums(at: u32) -> Vec<(Tnum, Vec<u64>)> {
    let mut all = Vec::new();
    for mask in 0..32u64 {
        for value in (0..32u64).filter(|v| v & mask == 0) {
            let words = (0..32u64).filter(|x| x & !mask == value).map(|x| x << at).collect();
            all.push((Tnum::new(value << at, mask << at), words));
        }
    }
    all
}

/// The least tnum that holds the words.
fn best(words: impl Iterator<Item = u64>) -> Tnum {
    words.map(Tnum::constant).reduce(Tnum::union).expect("some word")
}

type TnumOp = (fn(Tnum, Tnum) -> Tnum, fn(u64, u64) -> u64, bool);

#[test]
fn small_tnums_are_sound_and_optimal_where_claimed() {
    let ops: [TnumOp; 6] = [
        (Tnum::add, u64::wrapping_add, true),
        (Tnum::sub, u64::wrapping_sub, true),
        (Tnum::and, |a, b| a & b, true),
        (Tnum::or, |a, b| a | b, true),
        (Tnum::xor, |a, b| a ^ b, true),
        (Tnum::mul, u64::wrapping_mul, false),
    ];
    // At the bottom nothing wraps; at the top everything does.
    for at in [0, 59] {
        let all = small_tnums(at);
        for (a, xs) in &all {
            assert!(xs.iter().all(|x| a.contains(*x)));
            for (b, ys) in &all {
                let pairs = || xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y)));
                for (op, f, optimal) in ops {
                    let (result, least) = (op(*a, *b), best(pairs().map(|(x, y)| f(x, y))));
                    assert!(least.is_within(result), "{a:x?} {b:x?}: {result:x?}, {least:x?}");
                    assert!(!optimal || result == least, "{a:x?} {b:x?}: {result:x?}, {least:x?}");
                }
                assert_eq!(a.union(*b), best(xs.iter().chain(ys).copied()));
                let common: Vec<u64> = xs.iter().copied().filter(|x| b.contains(*x)).collect();
                assert_eq!(a.intersect(*b).is_some(), !common.is_empty());
                if let Some(both) = a.intersect(*b) {
                    assert_eq!(both, best(common.into_iter()));
                }
                assert_eq!(a.is_within(*b), xs.iter().all(|x| b.contains(*x)));
            }
        }
    }
}

#[test]
fn small_tnums_shift_and_extend_exactly() {
    for at in [0, 6, 14, 30, 46, 59] {
        for (a, xs) in small_tnums(at) {
            let map = |f: &dyn Fn(u64) -> u64| best(xs.iter().map(|x| f(*x)));
            assert_eq!(a.neg(), map(&|x| x.wrapping_neg()));
            assert_eq!(a.complement(), map(&|x| !x));
            for k in 0..64 {
                assert_eq!(a.lsh(k), map(&|x| x << k));
                assert_eq!(a.rsh(k), map(&|x| x >> k));
                assert_eq!(a.arsh(k), map(&|x| (x as i64 >> k) as u64));
            }
            for n in [8, 16, 32, 64] {
                assert_eq!(a.zext(n), map(&|x| x << (64 - n) >> (64 - n)));
                assert_eq!(a.sext(n), map(&|x| ((x << (64 - n)) as i64 >> (64 - n)) as u64));
                assert_eq!(a.is_aligned(1 << (n % 64)), xs.iter().all(|x| x % (1 << (n % 64)) == 0));
            }
        }
    }
    for min in 0..64 {
        for max in min..64 {
            assert_eq!(Tnum::range(min, max), best(min..=max));
            assert_eq!(Tnum::range(!max, !min), best(!max..=!min));
        }
    }
}

const ENDS: [u8; 12] = [0, 1, 2, 3, 0x40, 0x7e, 0x7f, 0x80, 0x81, 0xc0, 0xfe, 0xff];

/// Ranges of bytes with all pairs of interesting bounds, contradictory ones too.
fn small_ranges() -> Vec<Range8> {
    let mut all = Vec::new();
    for umin in ENDS {
        for umax in ENDS.into_iter().filter(|x| *x >= umin) {
            for smin in ENDS.map(u8::cast_signed) {
                for smax in ENDS.map(u8::cast_signed).into_iter().filter(|x| *x >= smin) {
                    all.push(Range8 { umin, umax, smin, smax });
                }
            }
        }
    }
    all
}

/// The least range that holds the bytes.
fn hull(bytes: impl Iterator<Item = u8>) -> Option<Range8> {
    bytes.map(Range8::constant).reduce(Range8::union)
}

fn members(r: Range8) -> impl Iterator<Item = u8> + Clone {
    (0..=255u8).filter(move |x| r.contains(*x))
}

#[test]
fn small_ranges_reduce_exactly() {
    for r in small_ranges() {
        assert_eq!(r.reduce(), hull(members(r)), "{r:x?}");
    }
}

#[test]
fn small_ranges_fit_known_bits_exactly() {
    let mut random = Random(9);
    for r in small_ranges().into_iter().filter_map(Range8::reduce) {
        for _ in 0..4 {
            let mask = random.next() as u8 | random.next() as u8;
            let value = random.next() as u8 & !mask;
            let left = members(r).filter(|x| x & !mask == value);
            let fit = r.fit(value, mask).and_then(Range8::reduce);
            for x in left.clone() {
                assert!(fit.is_some_and(|f| f.contains(x)), "{x:#x} got lost: {r:x?} {value:#x} {mask:#x}");
            }
            // Where unsigned bounds say everything, they are moved as far as they go.
            let only = Range8::unsigned(r.umin, r.umax);
            let best = hull(members(only).filter(|x| x & !mask == value)).map(|h| (h.umin, h.umax));
            let fit = only.fit(value, mask).filter(|f| f.umin <= f.umax).map(|f| (f.umin, f.umax));
            assert_eq!(fit, best, "{only:x?} {value:#x} {mask:#x}");
            let only = Range8::signed(r.smin, r.smax);
            let best = hull(members(only).filter(|x| x & !mask == value)).map(|h| (h.smin, h.smax));
            let fit = only.fit(value, mask).filter(|f| f.smin <= f.smax).map(|f| (f.smin, f.smax));
            assert_eq!(fit, best, "{only:x?} {value:#x} {mask:#x}");
        }
    }
}

#[test]
fn small_ranges_find_their_members() {
    for r in small_ranges().into_iter().filter_map(Range8::reduce) {
        for x in ENDS {
            assert_eq!(r.from(x), members(r).find(|y| *y >= x), "{r:x?} from {x:#x}");
            assert_eq!(r.until(x), members(r).filter(|y| *y <= x).last(), "{r:x?} until {x:#x}");
        }
    }
}

type RangeOp = (&'static str, fn(Range8, Range8) -> Range8, fn(u8, u8) -> u8);

#[test]
fn small_ranges_are_sound_under_arithmetic() {
    let ops: [RangeOp; 6] = [
        ("add", Range8::add, u8::wrapping_add),
        ("sub", Range8::sub, u8::wrapping_sub),
        ("mul", Range8::mul, u8::wrapping_mul),
        ("and", Range8::and, |a, b| a & b),
        ("or", Range8::or, |a, b| a | b),
        ("xor", Range8::xor, |a, b| a ^ b),
    ];
    let all: Vec<Range8> = small_ranges().into_iter().filter_map(Range8::reduce).collect();
    let mut random = Random(10);
    let mut pick = || {
        let r = all[random.below(all.len() as u64) as usize];
        let step = 1 + members(r).count() / 16;
        let ends = [r.umin, r.umax, r.smin.cast_unsigned(), r.smax.cast_unsigned(), 0, 1, 0xff];
        let bytes = members(r).step_by(step).chain(ends.into_iter().filter(move |x| r.contains(*x)));
        (r, bytes.collect::<Vec<u8>>())
    };
    for _ in 0..3_000 {
        let ((a, xs), (b, ys)) = (pick(), pick());
        for (name, op, f) in ops {
            let result = op(a, b);
            for x in &xs {
                for y in &ys {
                    let z = f(*x, *y);
                    assert!(
                        result.contains(z),
                        "{name}: {x:#x} {y:#x} gives {z:#x}: {a:x?} {b:x?} {result:x?}"
                    );
                }
            }
        }
    }
}

#[test]
fn small_ranges_are_sound_under_shifts_and_extensions() {
    for r in small_ranges().into_iter().filter_map(Range8::reduce) {
        for lo in 0..8 {
            let [lsh, zext, sext] = [r.lsh(lo), r.zext(8 - lo), r.sext(8 - lo)];
            for x in
                members(r).step_by(3).chain([r.umin, r.umax, r.smin.cast_unsigned(), r.smax.cast_unsigned()])
            {
                assert!(lsh.contains(x << lo), "{r:x?} << {lo}");
                assert!(zext.contains(x << lo >> lo), "{r:x?} zext");
                assert!(sext.contains(((x << lo).cast_signed() >> lo).cast_unsigned()), "{r:x?} sext");
            }
            let [rsh, arsh] = [r.rsh(lo), r.arsh(lo)];
            for x in
                members(r).step_by(5).chain([r.umin, r.umax, r.smin.cast_unsigned(), r.smax.cast_unsigned()])
            {
                assert!(rsh.contains(x >> lo), "{r:x?} >> {lo}");
                assert!(arsh.contains((x.cast_signed() >> lo).cast_unsigned()), "{r:x?} s>> {lo}");
            }
        }
    }
}

/// Deductions that programs accepted by Linux rely on: nothing here may become less precise.
#[test]
fn knows_what_linux_knows() {
    let byte = Scalar::unknown_of(Size::B);
    let word = Scalar::unknown_of(Size::W);
    let taken = |cond, width, a, b: u64| refine(cond, width, a, Scalar::constant(b)).taken.unwrap().0;
    let not_taken =
        |cond, width, a, b: u64| refine(cond, width, a, Scalar::constant(b)).fallthrough.unwrap().0;
    use AluOp::{Add, And, Arsh, Lsh, Mod, Mul, Or, Rsh, Sub};
    use Cond::{Eq, Gt, Ne, Set, Sgt, Slt};
    use Width::{W32, W64};
    let alu = |op, a: Scalar, b: u64| a.alu64(op, b.into());

    // A masked index is bounded, scaled, aligned.
    let index = alu(Lsh, alu(And, Scalar::UNKNOWN, 15), 3);
    assert_eq!((index.umin(), index.umax(), index.bits()), (0, 120, Tnum::new(0, 0x78)));
    assert!(index.bits().is_aligned(8) && !index.bits().is_aligned(16));
    // The length of an IP header: (byte & 15) * 4.
    let ihl = alu(Mul, alu(And, byte, 15), 4);
    assert_eq!((ihl.umax(), ihl.bits()), (60, Tnum::new(0, 60)));
    // A 32-bit check bounds a zero-extended value as a whole, `w1 = w1` one that is not.
    assert_eq!(not_taken(Gt, W32, word, 10).umax(), 10);
    assert_eq!(
        not_taken(Gt, W32, Scalar::UNKNOWN, 10).alu32(AluOp::Mov, Scalar::UNKNOWN).umax(),
        0xffff_ffff
    );
    let checked = not_taken(Gt, W32, Scalar::UNKNOWN, 10);
    assert_eq!((checked.umax(), checked.zext(Size::W).umax()), (0xffff_ffff_0000_000a, 10));
    // Signed checks on both sides bound unsigned too.
    let signed = not_taken(Sgt, W64, not_taken(Slt, W64, Scalar::UNKNOWN, 0), 63);
    assert_eq!((signed.umin(), signed.umax(), signed.bits()), (0, 63, Tnum::new(0, 63)));
    let signed = not_taken(Sgt, W32, not_taken(Slt, W32, Scalar::UNKNOWN, 0), 63).zext(Size::W);
    assert_eq!((signed.umin(), signed.umax()), (0, 63));
    // r1 <<= 32; r1 s>>= 32 keeps 32-bit bounds; so does >>=.
    let small = not_taken(Sgt, W32, taken(Sgt, W32, Scalar::UNKNOWN, -5i32 as u32 as u64), 7);
    let sext = alu(Arsh, alu(Lsh, small, 32), 32);
    assert_eq!((sext.smin(), sext.smax()), (-4, 7));
    // A sign extension looks at the whole, of which the check said nothing.
    assert_eq!((small.sext(Size::W).smin(), small.sext(Size::W).smax()), (i32::MIN.into(), i32::MAX.into()));
    let whole = Scalar::signed(-4, 7);
    assert_eq!((whole.sext(Size::B).smin(), whole.sext(Size::B).smax()), (-128, 127));
    assert_eq!((byte.sext(Size::H).smin(), byte.sext(Size::H).smax()), (0, 255));
    assert_eq!(alu(Rsh, alu(Lsh, not_taken(Gt, W32, Scalar::UNKNOWN, 99), 32), 32).umax(), 99);
    // Sums that overflow on both ends keep their bounds (6.17).
    let high = Scalar::unsigned(u64::MAX - 9, u64::MAX);
    let sum = high.add(Scalar::unsigned(10, 20));
    assert_eq!((sum.umin(), sum.umax()), (0, 19));
    let less = Scalar::unsigned(3, 5).sub(Scalar::unsigned(6, 8));
    assert_eq!((less.smin(), less.smax(), less.umin()), (-5, -1, -5i64 as u64));
    assert_eq!(alu(Sub, Scalar::constant(0), 3).smin(), -3);
    let neg = Scalar::signed(-8, 3).neg(W64);
    assert_eq!((neg.smin(), neg.smax()), (-3, 8));
    // Products keep signed bounds.
    let product = Scalar::signed(-3, 4).alu64(Mul, Scalar::signed(-5, 2));
    assert_eq!((product.smin(), product.smax()), (-20, 15));
    // Sign-crossing ranges: the unsigned range leaves only one half of the signed one.
    let s = Scalar::unsigned(5, u64::MAX - 1).intersect(Scalar::signed(-3, 2)).unwrap();
    assert_eq!((s.umin(), s.smin(), s.smax()), (-3i64 as u64, -3, -2));
    // `!=` moves a bound, in either width.
    assert_eq!(taken(Ne, W64, byte, 0).umin(), 1);
    assert_eq!(taken(Ne, W64, byte, 255).umax(), 254);
    assert_eq!(not_taken(Eq, W32, word, 0).umin(), 1);
    assert!(refine(Ne, W64, taken(Ne, W64, alu(And, byte, 1), 0), 1.into()).taken.is_none());
    // Not `&`: those bits are 0. `&` with one bit: it is 1.
    assert_eq!(not_taken(Set, W64, byte, 0xf0).umax(), 15);
    assert_eq!(taken(Set, W64, byte, 0x80).umin(), 0x80);
    assert!(refine(Set, W64, byte, 0x100.into()).taken.is_none());
    assert!(refine(Set, W64, alu(Or, byte, 4), 4.into()).fallthrough.is_none());
    // Both operands learn.
    let (a, b) = refine(Gt, W64, byte, Scalar::unsigned(7, 300)).taken.unwrap();
    assert_eq!((a.umin(), b.umax()), (8, 254));
    // Disjoint sets cannot be equal, be it by a single bit.
    assert!(refine(Eq, W64, alu(Or, word, 1), alu(And, word, !1)).taken.is_none());
    assert!(refine(Eq, W32, alu(Or, Scalar::UNKNOWN, 1), alu(Lsh, Scalar::UNKNOWN, 1)).taken.is_none());
    // Nothing of what Linux knows nothing of.
    for unknown in [
        alu(Mod, byte, 10),
        alu(AluOp::Div, byte, 10),
        byte.alu32(Mod, 10.into()),
        Scalar::constant(1).alu64(Lsh, alu(And, Scalar::UNKNOWN, 7)),
        alu(Add, byte, 1).alu64(Rsh, Scalar::unsigned(1, 3)),
    ] {
        assert_eq!(unknown, Scalar::UNKNOWN);
    }
}

#[test]
fn is_small() {
    assert!(size_of::<Scalar>() <= 72, "the explorer copies it a lot");
}

#[test]
fn common_bits_tell_something_where_one_side_is_a_constant() {
    let bits = |value, mask| Scalar::from_bits(Tnum::new(value, mask));
    let jset = |width, lhs, rhs| refine(Cond::Set, width, lhs, rhs);
    // As Linux, which decides none of these.
    for (lhs, rhs) in [(bits(0, 0xf0), bits(0, 0xf)), (bits(1, 0xf0), bits(1, 0xe))] {
        let both = Branches { taken: Some((lhs, rhs)), fallthrough: Some((lhs, rhs)) };
        assert_eq!((jset(Width::W64, lhs, rhs), jset(Width::W32, lhs, rhs)), (both, both));
    }
    assert_eq!(jset(Width::W64, bits(0, 0xf0), Scalar::constant(0xf)).taken, None);
    assert_eq!(jset(Width::W64, Scalar::constant(1), bits(1, 0xf0)).fallthrough, None);
    // A constant as far as it is compared.
    let half = bits(1, 0xf_0000_0000);
    assert_eq!(jset(Width::W32, bits(1, 0xf0), half).fallthrough, None);
    assert!(jset(Width::W64, bits(1, 0xf0), half).fallthrough.is_some());
}
