//! Loads from and stores to stacks: spills, fills and plain bytes.
//!
//! A register that is stored to an aligned slot is spilled: it comes back as it was. Anything else
//! leaves bytes that are unknown, or known to be zero. A zero that was stored as bytes is relied on later
//! without a trace of where it came from, so it is marked precise when it is stored.

use super::mem::{Stored, Transfer, sized};
use crate::diag::Code;
use crate::isa::{Endianness, Reg, Size};
use crate::verify::check::{By, Extent};
use crate::verify::explore::{Check, Explorer};
use crate::verify::planted::{Planted, is_planted};
use crate::verify::scalar::Scalar;
use crate::verify::stack::{Byte, slot_of};
use crate::verify::value::{Kind, Value};

impl Explorer<'_> {
    /// A load from a stack, in bounds and aligned.
    pub(super) fn load_stack(
        &mut self,
        extent: &Extent,
        how: &Transfer,
        signed: bool,
        dst: Option<Reg>,
    ) -> Check {
        let Some(off) = extent.exact() else {
            let Some(dst) = dst else {
                let message = "variable offset stack pointer cannot be used by an atomic operation";
                return Err(self.refuse_reg(Code::AtomicTarget, how.base, message));
            };
            let size = how.size.bytes();
            let end = extent.max + signed_size(size);
            self.check_stack_written(how.base, extent.frame, extent.min, end, By::Insn)?;
            let value = self.bytes_of(extent.frame, extent.min, extent.max + signed_size(size));
            self.set(dst, sized(value, how.size, signed));
            return Ok(());
        };
        let slot = self.state.frame(extent.frame).stack.slot(slot_of(off));
        let end = off + signed_size(how.size.bytes());
        if !slot.is_spill() {
            self.check_stack_written(how.base, extent.frame, off, end, By::Insn)?;
            if let Some(dst) = dst {
                let value = self.bytes_of(extent.frame, off, off + signed_size(how.size.bytes()));
                self.set(dst, sized(value, how.size, signed));
            }
            return Ok(());
        }
        let (size, spilled) = (how.size.bytes() as usize, slot.spill_size());
        let whole = size == 8 && spilled == 8;
        if !whole && !slot.spill.is_scalar() {
            return Err(self.refuse_reg(Code::PartialSpill, how.base, "invalid size of register fill"));
        }
        let Some(dst) = dst else {
            if whole && self.options.privilege.may_learn_addresses() {
                return Ok(());
            }
            return self.check_stack_written(how.base, extent.frame, off, end, By::Insn);
        };
        if whole {
            let value = slot.spill;
            self.note_slot(extent.frame, slot_of(off));
            self.set(dst, value);
            return Ok(());
        }
        if size <= spilled && self.is_low_part(off, size, spilled) {
            let mut value = slot.spill;
            self.note_slot(extent.frame, slot_of(off));
            let fits = value.num.umax() <= Scalar::unknown_of(how.size).umax();
            if !fits || signed {
                value.unlink();
            }
            value.num = sized(value.num, how.size, signed).num;
            self.set(dst, value);
            return Ok(());
        }
        self.check_stack_written(how.base, extent.frame, off, end, By::Insn)?;
        let zero = slot.spill.num.as_constant() == Some(0);
        let all_spill = (off..off + signed_size(how.size.bytes()))
            .all(|at| self.state.frame(extent.frame).stack.byte(at) == Byte::Spill);
        if zero && all_spill {
            self.note_slot(extent.frame, slot_of(off));
            self.set(dst, Value::constant(0));
        } else {
            let value = self.bytes_of(extent.frame, off, off + signed_size(how.size.bytes()));
            self.set(dst, sized(value, how.size, signed));
        }
        Ok(())
    }

    /// Whether a load yields the low bytes of a register of which `spilled` bytes were stored at the
    /// start of the slot.
    fn is_low_part(&self, off: i32, size: usize, spilled: usize) -> bool {
        let low = match self.program.endianness {
            Endianness::Little => 0,
            Endianness::Big => spilled - size,
        };
        usize::try_from(off.rem_euclid(8)) == Ok(low)
    }

    /// What bytes that are no spill yield together: zero where all are.
    fn bytes_of(&self, frame: usize, from: i32, to: i32) -> Scalar {
        let stack = &self.state.frame(frame).stack;
        if (from..to).all(|at| stack.byte(at) == Byte::Zero) { Scalar::constant(0) } else { Scalar::UNKNOWN }
    }

    /// A store to a stack, in bounds and aligned.
    pub(super) fn store_stack(&mut self, base: Reg, extent: &Extent, size: u32, stored: Stored) -> Check {
        self.check_stack_store(base, extent, size)?;
        let Some(off) = extent.exact() else { return self.store_somewhere(extent, size, stored) };
        let keeps_numbers = self.options.privilege.may_use_bpf();
        let slot = slot_of(off);
        let bytes = size as usize;
        match stored {
            Stored::Reg(reg) if self.state.reg(reg).is_pointer() => {
                let value = *self.state.reg(reg);
                if size != 8 || off % 8 != 0 {
                    return Err(self.refuse_reg(Code::PartialSpill, reg, "invalid size of register spill"));
                }
                if extent.frame != self.state.depth() && matches!(value.kind, Kind::Stack { .. }) {
                    let message = "cannot spill pointers to stack into stack frame of the caller";
                    return Err(self.refuse_reg(Code::StackPointerEscape, reg, message));
                }
                self.spill(extent.frame, slot, value, bytes);
            }
            Stored::Reg(reg) if off % 8 == 0 && keeps_numbers => {
                let fits = self.state.reg(reg).num.umax() <= size_mask(size);
                if fits {
                    self.link_before_copy(reg);
                }
                let mut value = *self.state.reg(reg);
                if !fits {
                    value.unlink();
                }
                self.spill(extent.frame, slot, value, bytes);
            }
            Stored::Imm(imm) if off % 8 == 0 && keeps_numbers => {
                let value = Value::constant(i64::from(imm).cast_unsigned());
                self.spill(extent.frame, slot, value, bytes);
            }
            Stored::Reg(_) | Stored::Imm(_) | Stored::Anything => {
                let zero = self.is_zero(stored);
                if let (true, Stored::Reg(reg)) = (zero, stored) {
                    self.mark_precise(reg);
                }
                let byte = if zero { Byte::Zero } else { Byte::Misc };
                let stack = self.state.frame_mut(extent.frame).stack_mut();
                stack.set_bytes(off, off + signed_size(size), byte);
            }
        }
        Ok(())
    }

    fn spill(&mut self, frame: usize, slot: usize, value: Value, bytes: usize) {
        let value = Value { origin: Some(self.at), ..value };
        self.state.frame_mut(frame).stack_mut().slot_mut(slot).put(value, bytes);
        self.note_slot(frame, slot);
    }

    /// The current instruction moved a register to or from a slot.
    fn note_slot(&mut self, frame: usize, slot: usize) {
        let small = |x: usize| u8::try_from(x).expect("8 frames of 64 slots");
        if let Some(step) = self.trail.last_mut()
            && !is_planted(self.options, Planted::Spills)
        {
            step.moves(small(frame), small(slot));
        }
        self.events += 1;
    }

    fn is_zero(&self, stored: Stored) -> bool {
        match stored {
            Stored::Reg(reg) => self.state.reg(reg).is_null(),
            Stored::Imm(imm) => imm == 0,
            Stored::Anything => false,
        }
    }

    /// A store at a variable offset: any byte of the extent may have changed, or not.
    fn store_somewhere(&mut self, extent: &Extent, size: u32, stored: Stored) -> Check {
        let zero = self.is_zero(stored);
        let mut relied = false;
        let end = extent.max + signed_size(size);
        // A spilled zero into which zero may be stored stays what it is.
        let is_zero_spill = |explorer: &Self, at: i32| {
            let slot = explorer.state.frame(extent.frame).stack.slot(slot_of(at));
            let byte = explorer.state.frame(extent.frame).stack.byte(at);
            byte == Byte::Spill && slot.is_scalar_spill() && slot.spill.num.as_constant() == Some(0)
        };
        for at in extent.min..end {
            if zero && is_zero_spill(self, at) {
                relied = true;
                continue;
            }
            let stays = zero && self.state.frame(extent.frame).stack.byte(at) == Byte::Zero;
            relied |= stays;
            let byte = if stays { Byte::Zero } else { Byte::Misc };
            self.state.frame_mut(extent.frame).stack_mut().set_bytes(at, at + 1, byte);
        }
        if let (true, Stored::Reg(reg)) = (relied, stored) {
            self.mark_precise(reg);
        }
        Ok(())
    }

    /// A helper may write any bytes of an extent.
    pub(in crate::verify) fn clobber_stack(&mut self, extent: &Extent, size: u32) {
        let stack = self.state.frame_mut(extent.frame).stack_mut();
        stack.set_bytes(extent.min, extent.max + signed_size(size), Byte::Misc);
    }
}

fn signed_size(size: u32) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

fn size_mask(size: u32) -> u64 {
    match size {
        1 => Scalar::unknown_of(Size::B).umax(),
        2 => Scalar::unknown_of(Size::H).umax(),
        4 => Scalar::unknown_of(Size::W).umax(),
        _ => u64::MAX,
    }
}
