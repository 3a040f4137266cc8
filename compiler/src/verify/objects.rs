//! Objects on the stack that only functions may touch: dynptrs and iterators.
//!
//! A frame lists its objects by slot. Loads from their slots are refused; a store ends them, and is refused where
//! something would be lost that must be given back. The list could be wrong by missing a write: every write to a stack
//! asks [`Explorer::before_stack_write`] first.

use super::equal::IdMap;
use super::explore::{Check, Explorer};
use super::refusal::name;
use super::stack::slot_of;
use super::state::State;
use super::value::{Dynptr, Kind, Value};
use crate::btf::TypeId;
use crate::diag::Code;
use crate::isa::Reg;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A dynptr.
    Dynptr(Dynptr),
    /// An iterator of this type of the kernel's BTF.
    Iterator {
        /// Its structure.
        ty: TypeId,
        /// Whether it has said that nothing is left.
        drained: bool,
        /// Whether what it shows is valid in the RCU section only in which it was made.
        rcu: bool,
        /// Whether that section was left.
        lost: bool,
    },
    /// The saved state of interrupts.
    IrqFlag {
        /// Whether it was saved with a lock.
        locked: bool,
    },
}

/// An object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    /// What it is.
    pub what: What,
    /// The slot nearest to `r10`.
    pub slot: usize,
    /// How many slots it has.
    pub slots: usize,
    /// Its own id.
    pub id: u32,
    /// The reference that ends with it; 0 for none.
    pub ref_id: u32,
    /// How often an iterator was asked.
    pub depth: u32,
}

impl Object {
    fn overlaps(&self, from: i32, to: i32) -> bool {
        let high = -8 * i32::try_from(self.slot).unwrap_or(i32::MAX / 8);
        let low = high - 8 * i32::try_from(self.slots).unwrap_or(0);
        from < high && low < to
    }

    /// Whether it can stand for another.
    pub fn covers(&self, other: &Self, ids: &mut IdMap) -> bool {
        self.what == other.what
            && (self.slot, self.slots) == (other.slot, other.slots)
            && ids.pair(self.id, other.id)
            && ids.pair(self.ref_id, other.ref_id)
    }
}

/// Bytes of a `struct bpf_dynptr`.
pub(super) const DYNPTR_SLOTS: usize = 2;

impl Explorer<'_> {
    /// Where on the stack a register points, for an object of so many slots: frame and slot nearest to `r10`.
    pub(super) fn object_place(&self, reg: Reg, slots: usize, what: &str) -> Check<(usize, usize)> {
        let value = self.state.reg(reg);
        let refuse = |message: String| Err(self.refuse_reg(object_code(what), reg, message));
        let Kind::Stack { frame } = value.kind else {
            return refuse(format!("arg#{} expected pointer to an {what} on stack", reg.number() - 1));
        };
        let Some(off) = value.constant_offset() else {
            return refuse(format!("{what} has to be at a constant offset"));
        };
        let size = 8 * i64::try_from(slots).unwrap_or(i64::MAX);
        if off % 8 != 0 || off < -512 || off + size > 0 {
            return refuse(format!("cannot pass in {what} at an offset={off}"));
        }
        let low = slot_of(i32::try_from(off).expect("between -512 and 0"));
        Ok((frame.into(), low + 1 - slots))
    }

    /// The object that begins exactly there.
    pub(super) fn object_at(&self, frame: usize, slot: usize, slots: usize) -> Option<Object> {
        let objects = &self.state.frame(frame).objects;
        objects.iter().find(|o| (o.slot, o.slots) == (slot, slots)).copied()
    }

    /// Makes an object. What was there before must be no object.
    pub(super) fn make_object(&mut self, frame: usize, object: Object) -> Check {
        let high = -8 * i32::try_from(object.slot).expect("a stack has 64 slots");
        let low = high - 8 * i32::try_from(object.slots).expect("a stack has 64 slots");
        let extent = super::check::Extent { frame, min: low, max: low };
        let subprog = self.state.frame(frame).subprog;
        self.facts.stack_depth(subprog, low.unsigned_abs());
        self.before_stack_write(frame, low, high)?;
        self.clobber_stack(&extent, high.abs_diff(low));
        let objects = &mut self.state.frame_mut(frame).objects;
        objects.push(object);
        objects.sort_by_key(|o| o.slot);
        Ok(())
    }

    /// Whether an object lies there.
    pub(super) fn overlaps_object(&self, frame: usize, from: i32, to: i32) -> bool {
        self.state.frame(frame).objects.iter().any(|o| o.overlaps(from, to))
    }

    /// Ends an object: its slots hold nothing any more.
    pub(super) fn end_object(&mut self, frame: usize, slot: usize) {
        self.state.frame_mut(frame).objects.retain(|o| o.slot != slot);
    }

    /// A load, or a function that takes memory, may not touch objects.
    pub(super) fn before_stack_read(&self, reg: Reg, frame: usize, from: i32, to: i32) -> Check {
        let touched = self.state.frame(frame).objects.iter().find(|o| o.overlaps(from, to));
        let Some(object) = touched else { return Ok(()) };
        let message = format!("invalid read from stack {} off {from}+0 size {}", name(reg), to - from);
        Err(self.refuse_reg(code_of(object.what), reg, message))
    }

    /// A write ends the objects that it touches, unless something would be lost.
    pub(super) fn before_stack_write(&mut self, frame: usize, from: i32, to: i32) -> Check {
        let objects = &self.state.frame(frame).objects;
        if objects.is_empty() {
            return Ok(());
        }
        let touched: Vec<Object> = objects.iter().filter(|o| o.overlaps(from, to)).copied().collect();
        for object in touched {
            match object.what {
                What::Dynptr(_) => {
                    // Not even where a copy is left.
                    if object.ref_id != 0 {
                        return Err(self.refuse(Code::Dynptr, "cannot overwrite referenced dynptr"));
                    }
                    invalidate_slices(&mut self.state, object.id);
                }
                What::Iterator { .. } | What::IrqFlag { .. } => {}
            }
            self.end_object(frame, object.slot);
        }
        Ok(())
    }
}

/// Parts of a dynptr that is gone are not read any more.
pub(super) fn invalidate_slices(state: &mut State, dynptr: u32) {
    state.update(
        |value| value.is_pointer() && value.dynptr_id == dynptr && dynptr != 0,
        |value| *value = Value::UNKNOWN,
    );
}

const fn code_of(what: What) -> Code {
    match what {
        What::Dynptr(_) => Code::Dynptr,
        What::Iterator { .. } => Code::Iterator,
        What::IrqFlag { .. } => Code::Section,
    }
}

fn object_code(what: &str) -> Code {
    match what {
        "dynptr" => Code::Dynptr,
        "iterator" => Code::Iterator,
        _ => Code::Section,
    }
}
