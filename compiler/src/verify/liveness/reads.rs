//! Bytes that are read behind pointers, and the slots of a frame that hold them.

use std::ops::Range;

use super::abs::{Abs, Offsets};
use crate::verify::stack::SLOTS;

/// Bytes that are read behind a pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Bit n is the byte at the distance n - 512.
    bytes: [u64; 16],
    /// Also any other byte, and whatever can be reached through what is loaded there.
    pub anything: bool,
}

impl Reads {
    /// Whatever can be reached.
    pub const ANYTHING: Self = Self { bytes: [0; 16], anything: true };

    /// Whether a word at a distance is one of the bytes that are told apart.
    pub const fn reaches(off: i16) -> bool {
        -512 <= off && off <= 504
    }

    /// So many bytes from the pointer on.
    pub fn of(size: u32) -> Self {
        let mut reads = Self::default();
        reads.add(0, size.into());
        reads
    }

    /// Adds bytes at a distance.
    pub fn add(&mut self, off: i64, size: i64) {
        let (from, to) = (off + 512, off + 512 + size);
        if from < 0 || to > 1024 || size < 0 {
            self.anything = true;
            return;
        }
        for bit in from.unsigned_abs()..to.unsigned_abs() {
            self.bytes[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    /// The bytes as ranges of distances, the least first.
    pub fn ranges(&self) -> impl Iterator<Item = Range<i32>> + use<'_> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.find(at, true)?;
            at = self.find(start, false).unwrap_or(1024);
            Some(start.cast_signed() - 512..at.cast_signed() - 512)
        })
    }

    /// The first bit from one on that is set, or clear.
    fn find(&self, from: u32, set: bool) -> Option<u32> {
        let mut skipped = u64::MAX << (from % 64);
        for (at, word) in (0..).zip(self.bytes).skip((from / 64) as usize) {
            let found = if set { word } else { !word } & skipped;
            if found != 0 {
                return Some(64 * at + found.trailing_zeros());
            }
            skipped = u64::MAX;
        }
        None
    }
}

/// Slots that hold the bytes `off .. off + size`; `None` where some lie outside the frame.
pub(super) fn slot_range(off: i32, size: u32) -> Option<Range<usize>> {
    let end = i64::from(off) + i64::from(size);
    if off < -512 || end > 0 || size == 0 {
        return None;
    }
    // `r10 - 8` is in slot 0; the lower the address, the higher the slot.
    let low = usize::try_from(-end / 8).ok()?;
    let high = usize::try_from((-i64::from(off) - 1) / 8).ok()?;
    Some(low..high + 1)
}

fn mask(range: Option<Range<usize>>) -> u64 {
    // No range is empty.
    range.map_or(u64::MAX, |range| u64::MAX >> (SLOTS - range.len()) << range.start)
}

/// Slots that hold the bytes of an access at one of some offsets; all where some lie outside the frame.
pub(super) fn slots_at(offs: &Offsets, off: i32, size: u32) -> u64 {
    offs.iter().fold(0, |slots, at| slots | mask(slot_range(at.saturating_add(off), size)))
}

/// Arguments through which may be read where this is read through a pointer. `in_slots`: those that the own frame
/// may hold.
pub(super) fn read_through(pointer: Abs, reads: &Reads, in_slots: u8) -> u8 {
    if *reads == Reads::default() {
        return 0;
    }
    // Whoever reads the own frame may read through what is stored there.
    pointer.args() | if pointer.may_point() && reads.anything { in_slots } else { 0 }
}

/// Slots that are read through a pointer.
pub(super) fn slots_of(pointer: Abs, reads: &Reads) -> u64 {
    match pointer {
        Abs::Frame(_) | Abs::Any { own: true, .. } if reads.anything => u64::MAX,
        // Nothing outside the frame can be read.
        Abs::Frame(offs) => offs.iter().fold(0, |slots, off| {
            reads.ranges().fold(slots, |slots, range| {
                let (start, end) = (off.saturating_add(range.start), off.saturating_add(range.end));
                let (start, end) = (start.max(-512), end.min(0));
                let size = end.saturating_sub(start);
                if size > 0 { slots | mask(slot_range(start, size.unsigned_abs())) } else { slots }
            })
        }),
        Abs::Any { own: true, .. } => u64::MAX,
        Abs::Any { own: false, .. }
        | Abs::Arg { .. }
        | Abs::Other
        | Abs::Const(_)
        | Abs::Map(_)
        | Abs::Func(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_was_added() {
        let mut reads = Reads::default();
        assert_eq!(reads.ranges().next(), None);
        for (off, size) in [(-512, 1), (-8, 16), (100, 64), (164, 1), (511, 1)] {
            reads.add(off, size);
        }
        let expected = [-512..-511, -8..8, 100..165, 511..512];
        assert_eq!(reads.ranges().collect::<Vec<_>>(), expected);
        let mut all = Reads::default();
        all.add(-512, 1024);
        let mut ranges = all.ranges();
        assert_eq!((ranges.next(), ranges.next()), (Some(-512..512), None));
    }

    #[test]
    fn slots_are_those_of_the_bytes() {
        assert_eq!(mask(slot_range(-512, 512)), u64::MAX);
        assert_eq!(mask(slot_range(-8, 8)), 1);
        assert_eq!(mask(slot_range(-12, 8)), 0b11);
        assert_eq!(mask(slot_range(-512, 1)), 1 << 63);
        let mut reads = Reads::default();
        reads.add(-4, 8);
        let frame = Abs::Frame(Offsets::START);
        // What lies above the frame cannot be read.
        assert_eq!(slots_of(frame, &reads), 1);
        reads.add(-20, 1);
        assert_eq!(slots_of(frame, &reads), 0b101);
        assert_eq!(slots_of(Abs::Other, &reads), 0);
    }
}
