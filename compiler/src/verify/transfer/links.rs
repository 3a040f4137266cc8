//! Numbers that are known to be equal, up to a constant: what is learned of one is learned of all.

use crate::isa::{AluOp, Reg, Width};
use crate::verify::explore::Explorer;
use crate::verify::precision::Links;
use crate::verify::scalar::Scalar;
use crate::verify::state::{Place, State};
use crate::verify::value::{Shift, Value};

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
        let Some(num) = implied(&source, &value) else { continue };
        let value = state.value_mut(frame, place);
        value.num = num;
        if value.off == source.off {
            // They are equal. As Linux, which goes on from there as if one were a copy of the other.
            value.shift = source.shift;
        }
    }
}

/// What a number with the same id must be, given what is known of `source`. As Linux: `None`, nothing new, where one
/// is a sum of 32 bits and the other one of 64.
fn implied(source: &Value, linked: &Value) -> Option<Scalar> {
    let distance = i64::from(linked.off) - i64::from(source.off);
    let moved =
        |width| Scalar::alu(AluOp::Add, width, source.num, Scalar::constant(distance.cast_unsigned()));
    match (source.shift, linked.shift) {
        (Shift::Sum64, Shift::Sum32) | (Shift::Sum32, Shift::Sum64) => None,
        _ if distance == 0 => Some(source.num),
        (Shift::None | Shift::Sum64, Shift::None | Shift::Sum64) => Some(moved(Width::W64)),
        // What the id stands for fits 32 bits, so each is the other moved and cut.
        (Shift::Sum32, Shift::None | Shift::Sum32) | (Shift::None, Shift::Sum32) => Some(moved(Width::W32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a number is, if its id stands for `base`; `None` where it cannot be.
    fn word(base: u64, shift: Shift, off: i32) -> Option<u64> {
        let sum = base.wrapping_add(i64::from(off).cast_unsigned());
        match shift {
            Shift::None => (off == 0).then_some(base),
            Shift::Sum64 => Some(sum),
            Shift::Sum32 => (base >> 32 == 0).then_some(sum & 0xffff_ffff),
        }
    }

    #[test]
    fn what_is_implied_of_linked_numbers_holds() {
        let near = |x: u64| [x.wrapping_sub(3), x.wrapping_sub(1), x, x.wrapping_add(2)];
        let bases: Vec<u64> = [0, 1 << 31, 1 << 32, 1 << 63].into_iter().flat_map(near).collect();
        let offs = [0, 1, -1, 3, i32::MAX, i32::MIN];
        let shifts = [Shift::None, Shift::Sum64, Shift::Sum32];
        let mut learned = 0;
        for (a, x) in shifts.iter().flat_map(|a| offs.map(|x| (*a, x))) {
            for (b, y) in shifts.iter().flat_map(|b| offs.map(|y| (*b, y))) {
                for (first, second) in bases.iter().flat_map(|first| bases.iter().map(move |s| (*first, *s)))
                {
                    let both = (word(first, a, x), word(second, a, x));
                    let (Some(one), Some(other)) = both else { continue };
                    let num = Scalar::constant(one).union(Scalar::constant(other));
                    let value = |shift, off, num| Value { shift, off, id: 1, ..Value::scalar(num) };
                    let source = value(a, x, num);
                    let Some(num) = implied(&source, &value(b, y, Scalar::UNKNOWN)) else { continue };
                    for base in [first, second] {
                        let Some(word) = word(base, b, y) else { continue };
                        assert!(num.contains(word), "{base:#x}: {a:?} {x} to {b:?} {y}: {num:?}");
                        learned += 1;
                    }
                }
            }
        }
        assert!(learned > 30_000, "{learned}");
    }

    #[test]
    fn a_sum_of_32_bits_tells_nothing_of_one_of_64() {
        let value = |shift| Value { shift, off: 2, id: 1, ..Value::constant(9) };
        let (narrow, wide) = (value(Shift::Sum32), value(Shift::Sum64));
        assert_eq!((implied(&narrow, &wide), implied(&wide, &narrow)), (None, None));
    }
}
