//! Bytes that are read behind pointers, and the slots of a frame that hold them.

use super::abs::{Abs, Offsets};

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

    /// The distances of the bytes.
    pub fn bytes(&self) -> impl Iterator<Item = i32> {
        let bits = |mut word: u64| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros().cast_signed())?;
                word &= word - 1;
                Some(bit)
            })
        };
        (0..).zip(self.bytes).flat_map(move |(at, word)| bits(word).map(move |bit| 64 * at + bit - 512))
    }
}

/// Slots that hold the bytes `off .. off + size`; `None` where some lie outside the frame.
pub(super) fn slot_range(off: i32, size: u32) -> Option<std::ops::Range<usize>> {
    let end = i64::from(off) + i64::from(size);
    if off < -512 || end > 0 || size == 0 {
        return None;
    }
    // `r10 - 8` is in slot 0; the lower the address, the higher the slot.
    let low = usize::try_from(-end / 8).ok()?;
    let high = usize::try_from((-i64::from(off) - 1) / 8).ok()?;
    Some(low..high + 1)
}

fn mask(range: Option<std::ops::Range<usize>>) -> u64 {
    range.map_or(u64::MAX, |range| range.fold(0, |mask, slot| mask | 1 << slot))
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
        Abs::Frame(offs) => {
            let at = |byte: i32| offs.iter().filter_map(move |off| slot_range(off.saturating_add(byte), 1));
            reads.bytes().flat_map(at).flatten().fold(0, |slots, slot| slots | 1 << slot)
        }
        Abs::Any { own: true, .. } => u64::MAX,
        Abs::Any { own: false, .. }
        | Abs::Arg { .. }
        | Abs::Other
        | Abs::Const(_)
        | Abs::Map(_)
        | Abs::Func(_) => 0,
    }
}
