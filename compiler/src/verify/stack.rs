//! One function's stack: what each of its bytes holds.
//!
//! The stack is a list of 8-byte slots below `r10`, made as deep as it is used. Each byte of a slot is
//! unwritten, unknown, zero, or part of a spilled register. The spill is kept whole; which of its low
//! bytes are still there is what the bytes say. The module keeps the books; what may be stored or
//! loaded is `transfer::mem`'s to decide.

use std::rc::Rc;

use super::value::{Kind, Value};

/// What a byte of the stack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Byte {
    /// Nothing was written.
    Invalid,
    /// Anything.
    Misc,
    /// Zero.
    Zero,
    /// A byte of the slot's spilled register.
    Spill,
}

/// Bytes of a slot.
pub(super) const SLOT: usize = 8;
/// Slots of a full stack: 512 bytes.
pub(super) const SLOTS: usize = 64;

/// Eight bytes of a stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// What each byte holds, from the lowest address.
    pub bytes: [Byte; SLOT],
    /// The register that was spilled here, where a byte says so.
    pub spill: Value,
}

impl Slot {
    const EMPTY: Self = Self { bytes: [Byte::Invalid; SLOT], spill: Value::UNINIT };

    /// Whether a register was spilled here, at least in part.
    pub fn is_spill(&self) -> bool {
        self.bytes[0] == Byte::Spill
    }

    /// Whether a number was spilled here, at least in part.
    pub fn is_scalar_spill(&self) -> bool {
        self.is_spill() && self.spill.is_scalar()
    }

    /// How many low bytes belong to the spilled register.
    pub fn spill_size(&self) -> usize {
        self.bytes.iter().take_while(|b| **b == Byte::Spill).count()
    }

    /// What a load of the whole slot as a number yields, where that is one value: the spilled number,
    /// or anything where all bytes are unknown.
    pub fn as_scalar(&self) -> Option<Value> {
        if self.bytes[SLOT - 1] == Byte::Spill && self.spill.is_scalar() {
            return Some(self.spill);
        }
        self.bytes.iter().all(|b| matches!(b, Byte::Misc | Byte::Invalid)).then_some(Value::UNKNOWN)
    }

    /// Puts a register into the low `size` bytes. Bytes of an earlier spill become unknown.
    pub fn put(&mut self, value: Value, size: usize) {
        self.spill = value;
        for (i, byte) in self.bytes.iter_mut().enumerate() {
            if i < size {
                *byte = Byte::Spill;
            } else if *byte == Byte::Spill {
                *byte = Byte::Misc;
            }
        }
    }

    /// Forgets the spilled register: its bytes become unknown, as do those beside it, as in Linux.
    pub fn scrub(&mut self) {
        for byte in self.bytes.iter_mut().filter(|byte| **byte != Byte::Invalid) {
            *byte = Byte::Misc;
        }
        self.spill = Value::UNINIT;
    }

    /// Whether the spilled value is of a kind, for scans over all values.
    pub fn spilled(&self) -> Option<&Value> {
        (self.is_spill() && self.spill.kind != Kind::Uninit).then_some(&self.spill)
    }
}

/// Slots that are shared and copied together.
const CHUNK: usize = 8;

type Chunk = [Slot; CHUNK];

/// A stack: slots from `r10` downwards. Copies share their slots, eight by eight, until one of them writes.
#[derive(Debug, Default)]
pub(super) struct Stack {
    chunks: [Option<Rc<Chunk>>; SLOTS / CHUNK],
    /// How many slots there are: one more than the deepest that was written.
    count: u8,
}

impl Clone for Stack {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), count: self.count }
    }

    fn clone_from(&mut self, source: &Self) {
        for (chunk, from) in self.chunks.iter_mut().zip(&source.chunks) {
            // Most stacks have only a few.
            if chunk.is_some() || from.is_some() {
                chunk.clone_from(from);
            }
        }
        self.count = source.count;
    }
}

/// The slot that holds the byte at an offset from `r10`, which is negative and at least -512.
pub(super) fn slot_of(off: i32) -> usize {
    debug_assert!((-512..0).contains(&off), "stack offsets were checked");
    ((-off - 1) / 8).unsigned_abs() as usize
}

/// The place of the byte at an offset within its slot.
fn place_of(off: i32) -> usize {
    off.rem_euclid(8).unsigned_abs() as usize
}

impl Stack {
    /// How many slots were made, nearest to `r10` first.
    pub fn depth(&self) -> usize {
        self.count.into()
    }

    /// The slots that were made, nearest to `r10` first.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = &Slot> {
        (0..self.depth()).map(|index| self.slot(index))
    }

    /// Changes what was spilled in slots that a predicate picks. Others stay shared.
    pub fn update(&mut self, picks: impl Fn(&Value) -> bool, mut change: impl FnMut(&mut Value)) {
        for chunk in self.chunks.iter_mut().flatten() {
            if chunk.iter().any(|slot| slot.spilled().is_some_and(&picks)) {
                for slot in Rc::make_mut(chunk) {
                    if slot.spilled().is_some_and(&picks) {
                        change(&mut slot.spill);
                    }
                }
            }
        }
    }

    /// A slot, made where it is not there yet.
    pub fn slot_mut(&mut self, index: usize) -> &mut Slot {
        debug_assert!(index < SLOTS, "stack offsets were checked");
        self.count = self.count.max(u8::try_from(index + 1).expect("a stack has 64 slots"));
        let chunk = self.chunks[index / CHUNK].get_or_insert_with(|| Rc::new([Slot::EMPTY; CHUNK]));
        &mut Rc::make_mut(chunk)[index % CHUNK]
    }

    /// A slot; an unwritten one where it is not there.
    pub fn slot(&self, index: usize) -> &Slot {
        match self.chunks.get(index / CHUNK) {
            Some(Some(chunk)) => &chunk[index % CHUNK],
            Some(None) | None => &Slot::EMPTY,
        }
    }

    /// Whether a slot is the very same as another stack's: neither was written since one was copied from the other.
    pub fn shares(&self, other: &Self, index: usize) -> bool {
        match (&self.chunks[index / CHUNK], &other.chunks[index / CHUNK]) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Forgets all slots.
    pub fn clear(&mut self) {
        self.chunks = Default::default();
        self.count = 0;
    }

    /// How many bytes it takes, about, counting in full what it shares.
    pub fn size(&self) -> usize {
        self.chunks.iter().flatten().count() * size_of::<Chunk>()
    }

    /// What the byte at an offset from `r10` holds.
    pub fn byte(&self, off: i32) -> Byte {
        self.slot(slot_of(off)).bytes[place_of(off)]
    }

    /// Sets what the bytes from an offset from `r10` to another hold. Spills that this breaks are forgotten.
    pub fn set_bytes(&mut self, from: i32, to: i32, byte: Byte) {
        let mut at = from;
        while at < to {
            let end = to.min((at & !7) + 8);
            let slot = self.slot_mut(slot_of(at));
            if slot.bytes.contains(&Byte::Spill) {
                slot.scrub();
            }
            for byte_at in &mut slot.bytes[place_of(at)..][..(end - at).unsigned_abs() as usize] {
                *byte_at = byte;
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spill_lives_in_its_low_bytes() {
        let mut stack = Stack::default();
        stack.slot_mut(slot_of(-8)).put(Value::constant(5), 4);
        let slot = stack.slot(0);
        assert!(slot.is_scalar_spill());
        assert_eq!(slot.spill_size(), 4);
        assert_eq!(stack.byte(-8), Byte::Spill);
        assert_eq!(stack.byte(-4), Byte::Invalid);
    }

    #[test]
    fn overwriting_one_byte_forgets_the_spill() {
        let mut stack = Stack::default();
        stack.slot_mut(slot_of(-16)).put(Value::constant(5), 8);
        stack.set_bytes(-10, -9, Byte::Zero);
        assert_eq!(stack.byte(-16), Byte::Misc);
        assert_eq!(stack.byte(-10), Byte::Zero);
        assert!(!stack.slot(1).is_spill());
    }

    #[test]
    fn zeros_beside_a_spill_are_forgotten_with_it() {
        let mut stack = Stack::default();
        stack.set_bytes(-4, -2, Byte::Zero);
        assert_eq!(stack.byte(-3), Byte::Zero);
        stack.slot_mut(slot_of(-8)).put(Value::constant(5), 1);
        assert_eq!(stack.byte(-3), Byte::Zero);
        stack.set_bytes(-8, -7, Byte::Misc);
        assert_eq!([-8, -3, -2].map(|off| stack.byte(off)), [Byte::Misc, Byte::Misc, Byte::Invalid]);
    }
}
