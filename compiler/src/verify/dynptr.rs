//! Dynptrs: made on the stack, used through functions, and parts of them as memory.

use super::explore::{Check, Explorer};
use super::objects::{DYNPTR_SLOTS, Object, What};
use super::value::{Dynptr, Kind, MemoryOwner};
use crate::diag::Code;
use crate::isa::Reg;

/// Whose memory a part of a dynptr is.
pub(super) const fn slice_owner(what: Dynptr) -> MemoryOwner {
    match what {
        Dynptr::Local | Dynptr::Ringbuf => MemoryOwner::Dynptr,
        Dynptr::Skb | Dynptr::Xdp => MemoryOwner::PacketSlice,
    }
}

impl Explorer<'_> {
    /// Makes a dynptr where a register points.
    pub(super) fn make_dynptr(&mut self, reg: Reg, what: Dynptr, ref_id: u32) -> Check {
        let (frame, slot) = self.object_place(reg, DYNPTR_SLOTS, "dynptr")?;
        let high = -8 * i32::try_from(slot).expect("a stack has 64 slots");
        let low = high - 16;
        // A dynptr that nobody must give back may be made anew.
        self.before_stack_write(frame, low, high)
            .map_err(|_| self.refuse_reg(Code::Dynptr, reg, "Dynptr has to be an uninitialized dynptr"))?;
        let id = self.new_id();
        let what = What::Dynptr(what);
        self.make_object(frame, Object { what, slot, slots: DYNPTR_SLOTS, id, ref_id, depth: 0 })
    }

    /// The dynptr to which a register points: what it refers to, its id, and the reference that ends with it.
    pub(super) fn dynptr_argument(&self, reg: Reg) -> Check<(Dynptr, u32, u32)> {
        let value = self.state.reg(reg);
        if let Kind::Dynptr(what) = value.kind {
            self.check_unmodified(reg, value)?;
            return Ok((what, value.id, value.ref_id));
        }
        let (frame, slot) = self.object_place(reg, DYNPTR_SLOTS, "dynptr")?;
        match self.object_at(frame, slot, DYNPTR_SLOTS) {
            Some(Object { what: What::Dynptr(what), id, ref_id, .. }) => Ok((what, id, ref_id)),
            Some(_) | None => {
                let message = format!("Expected an initialized dynptr as arg #{}", reg.number() - 1);
                Err(self.refuse_reg(Code::Dynptr, reg, message))
            }
        }
    }

    /// Gives back what a dynptr refers to: it and all its copies are gone.
    pub(super) fn release_dynptr(&mut self, reg: Reg) -> Check {
        let (what, _, ref_id) = self.dynptr_argument(reg)?;
        if ref_id == 0 {
            let message = format!("arg {} is an unacquired reference", reg.number());
            return Err(self.refuse_reg(Code::Dynptr, reg, message));
        }
        if what != Dynptr::Ringbuf {
            let message = format!("Expected a dynptr of type ringbuf as arg #{}", reg.number() - 1);
            return Err(self.refuse_reg(Code::Dynptr, reg, message));
        }
        for index in 0..self.state.depth() + 1 {
            let gone: Vec<Object> =
                self.state.frame(index).objects.iter().filter(|o| o.ref_id == ref_id).copied().collect();
            for object in gone {
                super::objects::invalidate_slices(&mut self.state, object.id);
                self.end_object(index, object.slot);
            }
        }
        self.release(ref_id)
    }
}
