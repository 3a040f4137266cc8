//! Numbers that are known to be equal, up to a constant: what is learned of one is learned of all.

use crate::isa::Reg;
use crate::verify::explore::Explorer;
use crate::verify::precision::Links;
use crate::verify::scalar::Scalar;
use crate::verify::state::{Place, State};
use crate::verify::value::Value;

impl Explorer<'_> {
    /// Adds to `links` where the numbers with an id are. Those for which there is no room lose the id:
    /// nothing would be learned of them.
    pub(super) fn collect_links(&mut self, id: u32, links: &mut Links) {
        let mut unlink = Vec::new();
        for index in (0..self.state.depth() + 1).rev() {
            let frame = self.state.frame(index);
            let linked = |value: &Value| value.is_scalar() && value.id == id;
            let regs = Reg::all().filter(|r| *r != Reg::R10 && linked(frame.reg(*r))).map(Place::Reg);
            let slots = frame.stack.slots().enumerate();
            let slots = slots.filter(|(_, s)| s.spilled().is_some_and(linked)).map(|(i, _)| Place::Slot(i));
            for place in regs.chain(slots) {
                if !links.push(index, place) {
                    unlink.push((index, place));
                }
            }
        }
        for (frame, place) in unlink {
            self.state.value_mut(frame, place).unlink();
        }
    }
}

/// Copies what is known of a number to those linked to it.
pub(super) fn spread(state: &mut State, known: Reg, links: &Links) {
    let top = state.depth();
    let source = *state.reg(known);
    if !source.is_scalar() || source.id == 0 {
        return;
    }
    for (frame, place) in links.iter() {
        if frame == top && place == Place::Reg(known) {
            continue;
        }
        let value = *state.value(frame, place);
        if !value.is_scalar() || value.id != source.id {
            continue;
        }
        let distance = i64::from(value.off) - i64::from(source.off);
        let num = if distance == 0 {
            source.num
        } else {
            source.num.add(Scalar::constant(distance.cast_unsigned()))
        };
        state.value_mut(frame, place).num = num;
    }
}
