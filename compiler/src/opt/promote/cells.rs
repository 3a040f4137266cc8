//! Cuts the bytes that may become values into cells.
//!
//! Accesses that overlap form a cluster of at most 8 bytes. Where every store covers the whole
//! cluster, it is one cell, of which loads may take a part. Otherwise it is cut wherever an access
//! begins or ends; then an access may span at most two cells, or any number where it stores a
//! constant, so that little is spent on taking words apart.

use super::Set;
use crate::ir::Inst;
use crate::isa::Size;
use crate::opt::table::WordMap;

/// A load or store at a constant place of the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub inst: Inst,
    pub off: i32,
    pub size: Size,
    /// For stores: whether the value is a constant.
    pub kind: Kind,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Load,
    Store,
    StoreConstant,
}

/// What a function does with its frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Accesses {
    pub slots: Vec<Slot>,
    /// Bytes that must stay in memory, from and up to an offset.
    pub pinned: Vec<(i32, i32)>,
}

/// A part of a cell as an access sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub index: usize,
    /// Bytes of the cell.
    pub bytes: u32,
    /// Bytes of the cell before those that the access takes (loads of a part).
    pub skip: u32,
}

/// The cells of a function; as many as a [`Set`] holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    /// First and last-but-one byte of each.
    ranges: Vec<(i32, i32)>,
    /// The first cell and the number of cells of each access, and its offset.
    accesses: WordMap<u32, (usize, usize, i32)>,
}

const MAX_CELLS: usize = Set::BITS as usize;

impl Cells {
    pub(super) fn new(accesses: &Accesses) -> Self {
        let mut slots = accesses.slots.clone();
        slots.sort_by_key(|slot| slot.off);
        let mut cells = Self::default();
        let mut from = 0;
        while from < slots.len() {
            let (lo, mut hi, mut to) = (slots[from].off, end(&slots[from]), from + 1);
            while to < slots.len() && slots[to].off < hi {
                hi = hi.max(end(&slots[to]));
                to += 1;
            }
            let pinned = accesses.pinned.iter().any(|(first, last)| *first < hi && lo < *last);
            if !pinned && hi - lo <= 8 {
                cells.cluster(&slots[from..to], lo, hi);
            }
            from = to;
        }
        cells
    }

    fn cluster(&mut self, slots: &[Slot], lo: i32, hi: i32) {
        let whole = |slot: &Slot| slot.kind == Kind::Load || (slot.off == lo && end(slot) == hi);
        let mut cuts = vec![lo, hi];
        if !slots.iter().all(whole) {
            cuts.extend(slots.iter().flat_map(|slot| [slot.off, end(slot)]));
            cuts.sort_unstable();
            cuts.dedup();
        }
        let spans = |slot: &Slot| cuts.iter().filter(|cut| slot.off <= **cut && **cut < end(slot)).count();
        let cheap = |slot: &Slot| slot.kind == Kind::StoreConstant || spans(slot) <= 2;
        let first = self.ranges.len();
        if !slots.iter().all(cheap) || first + cuts.len() > MAX_CELLS {
            return;
        }
        self.ranges.extend(cuts.windows(2).map(|cut| (cut[0], cut[1])));
        for slot in slots {
            let of = |range: &&(i32, i32)| range.0 < end(slot) && slot.off < range.1;
            let mine = &self.ranges[first..];
            let start = mine.iter().take_while(|range| !of(range)).count();
            let count = mine[start..].iter().take_while(of).count();
            self.accesses.insert(slot.inst.0, (first + start, count, slot.off));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The cells that an instruction accesses, if it accesses any.
    pub(super) fn of(&self, inst: Inst) -> Option<Set> {
        let (first, count, _) = self.accesses.get(&inst.0)?;
        Some((Set::MAX >> (MAX_CELLS - count)) << first)
    }

    /// The cells of an access, and where in the access each begins.
    pub(super) fn parts(&self, inst: Inst) -> Vec<(Cell, u32)> {
        let (first, count, off) = self.accesses[&inst.0];
        (first..first + count)
            .map(|index| {
                let (lo, hi) = self.ranges[index];
                let skip = (off - lo).max(0).unsigned_abs();
                let part = (lo - off).max(0).unsigned_abs();
                (Cell { index, bytes: (hi - lo).unsigned_abs(), skip }, part)
            })
            .collect()
    }
}

/// The byte after an access.
fn end(slot: &Slot) -> i32 {
    slot.off + slot.size.bytes().cast_signed()
}
