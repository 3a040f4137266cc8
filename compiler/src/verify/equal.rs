//! Whether a kept state covers another: all that can happen from the second was proven from the first.
//!
//! Only what is live counts. Pointers must be of the same kind and their offsets must lie within the
//! kept ones; numbers matter where the kept state's proof relied on them. Ids are names: they need not
//! be equal but must correspond one to one. Forgetting to compare something here is how a verifier
//! becomes unsound, so every kind answers for itself.

use super::liveness::{Live, Liveness};
use super::objects::{Object, What};
use super::prune::{Marks, Node};
use super::stack::{Byte, SLOT, Slot};
use super::state::{Frame, MAX_FRAMES, Place, State};
use super::value::{Kind, Value};
use crate::isa::{InsnIdx, Reg};

/// How much must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exactness {
    /// Numbers count where the kept state marked them precise.
    Precise,
    /// All numbers count, and must lie within the kept ones.
    Within,
    /// Everything must be the same.
    Same,
}

/// Which ids of the kept state stand for which of the other.
#[derive(Debug, Default)]
pub(super) struct IdMap {
    pairs: Vec<(u32, u32)>,
    fresh: u32,
    /// Any id stands for any other: a mistake that tests plant.
    pub careless: bool,
}

impl IdMap {
    /// Forgets all pairs.
    fn clear(&mut self) {
        self.pairs.clear();
        self.fresh = 0;
    }

    /// Whether one id stands for another, from now on at least.
    pub fn pair(&mut self, old: u32, new: u32) -> bool {
        if self.careless {
            return true;
        }
        if (old == 0) != (new == 0) {
            return false;
        }
        if old == 0 {
            return true;
        }
        for &(a, b) in &self.pairs {
            if a == old || b == new {
                return a == old && b == new;
            }
        }
        self.pairs.push((old, new));
        true
    }

    /// Whether a number is no longer exactly what it was.
    pub fn changed(&mut self, old: &Value, new: &Value) -> bool {
        old.is_scalar() && new.is_scalar() && !(old.same_but_ids(new) && self.pair(old.id, new.id))
    }

    /// Numbers: the other state may know more equalities than the kept one, not fewer.
    fn pair_scalars(&mut self, old: u32, new: u32) -> bool {
        if old == 0 {
            return true;
        }
        let new = if new == 0 {
            // A value of its own: ids are handed out from below, so these never meet one.
            self.fresh += 1;
            u32::MAX - self.fresh
        } else {
            new
        };
        self.pair(old, new)
    }
}

/// What a program may do, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether it may read stack that it has not written, and lose pointers there.
    pub reads_unwritten: bool,
    /// Whether numbers must be the same wherever they are compared.
    pub exact_numbers: bool,
}

/// Compares a state with kept ones.
pub(super) struct Match<'a> {
    /// The state.
    new: &'a State,
    /// Where it stands.
    at: InsnIdx,
    /// What is live where.
    live: &'a Liveness,
    /// What is live in the executing function's frame.
    top: Live,
    /// What is live in all frames, where that was needed.
    all: Option<[Live; MAX_FRAMES]>,
    rules: Rules,
    exactness: Exactness,
    /// The ids that were found to correspond.
    ids: IdMap,
    /// Where in the executing function's frame a kept state differed last. The next one most often differs there, too.
    differs: Option<Place>,
}

/// What is live in each frame of a state that stands at an instruction, the outermost first.
pub(super) fn live_in(live: &Liveness, state: &State, at: InsnIdx) -> [Live; MAX_FRAMES] {
    let mut lives = [Live::default(); MAX_FRAMES];
    let depth = state.depth();
    lives[depth] = live.before(at);
    if depth > 0 {
        let mut through = live.through(at);
        for index in (0..depth).rev() {
            let callee = state.frame(index + 1);
            (lives[index], through) = match callee.callsite {
                Some(call) => {
                    let calls_back = callee.callback.is_some();
                    let known = live.during_call(call, calls_back, &through);
                    (known, live.through_during_call(call, calls_back, &through))
                }
                None => (lives[index + 1], through),
            };
        }
    }
    lives
}

impl<'a> Match<'a> {
    /// A state at an instruction is to be compared. `ids` is memory to work with; `differs`: where it may differ.
    pub fn new(
        (new, at): (&'a State, InsnIdx),
        live: &'a Liveness,
        rules: Rules,
        ids: IdMap,
        differs: Option<Place>,
    ) -> Self {
        let top = live.before(at);
        Self { new, at, live, top, all: None, rules, exactness: Exactness::Precise, ids, differs }
    }

    /// What the comparisons leave for later ones: memory to work with, and where states differ.
    pub fn end(self) -> (IdMap, Option<Place>) {
        (self.ids, self.differs)
    }

    /// Whether a state that is kept at the same instruction covers this one.
    pub fn covers(&mut self, node: &Node, exactness: Exactness) -> bool {
        self.exactness = exactness;
        let (old, new) = (&node.state, self.new);
        let depth = new.depth();
        if old.depth() != depth {
            return false;
        }
        self.ids.clear();
        if let Some(place) = self.differs {
            if !self.agrees_at(place, old.top(), node.precise[depth]) {
                return false;
            }
            self.ids.clear();
        }
        // The executing function first: there states differ most.
        if !self.frames((old.top(), new.top()), self.top, node.precise[depth], true) {
            return false;
        }
        let differ = |a: &Frame, b: &Frame| {
            a.callsite != b.callsite
                || a.subprog != b.subprog
                || a.callback != b.callback
                || a.rounds > b.rounds
        };
        if old.frames().zip(new.frames()).any(|(a, b)| differ(a, b)) {
            return false;
        }
        if !old.held.covers(&new.held, &mut self.ids) {
            return false;
        }
        if depth == 0 {
            return true;
        }
        let lives = *self.all.get_or_insert_with(|| live_in(self.live, new, self.at));
        (0..depth).rev().all(|index| {
            self.frames((old.frame(index), new.frame(index)), lives[index], node.precise[index], false)
        })
    }

    /// Whether the executing function's frames agree at a place, where that is live.
    fn agrees_at(&mut self, place: Place, old: &Frame, marks: Marks) -> bool {
        let (new, live) = (self.new.top(), self.top);
        match place {
            Place::Reg(reg) => {
                !live.regs.contains(reg) || self.values(old.reg(reg), new.reg(reg), marks.has(place))
            }
            Place::Slot(slot) => {
                let compared = live.slots >> slot & 1 != 0 && slot < old.stack.depth();
                !compared || self.slots(old.stack.slot(slot), new.stack.slot(slot), marks.has(place))
            }
        }
    }

    fn frames(&mut self, (old, new): (&Frame, &Frame), live: Live, marks: Marks, is_top: bool) -> bool {
        let self_exact = self.exactness == Exactness::Same;
        for reg in live.regs.iter().filter(|r| *r != Reg::R10) {
            let place = Place::Reg(reg);
            if !self.values(old.reg(reg), new.reg(reg), marks.has(place)) {
                if is_top {
                    self.differs = Some(place);
                }
                return false;
            }
        }
        // A dynptr that is overwritten takes its slices along, and memory that holds one may not be handed over.
        let counts = |object: &&Object| {
            object.ref_id != 0
                || matches!(object.what, What::Dynptr(_))
                || live.slots >> object.slot & 1 != 0
                || self_exact
        };
        let mut objects = (old.objects.iter().filter(counts), new.objects.iter().filter(counts));
        loop {
            match (objects.0.next(), objects.1.next()) {
                (None, None) => break,
                (Some(a), Some(b)) if a.covers(b, &mut self.ids) && (!self_exact || a.depth == b.depth) => {}
                _ => return false,
            }
        }
        let mut slots = live.slots;
        let depth = match self.exactness {
            Exactness::Precise | Exactness::Within => old.stack.depth(),
            Exactness::Same => old.stack.depth().max(new.stack.depth()),
        };
        while slots != 0 {
            let index = slots.trailing_zeros() as usize;
            slots &= slots - 1;
            if index >= depth {
                break;
            }
            let slot = old.stack.slot(index);
            // What is the same on both sides may still hold names that the rest of the states must agree on.
            if old.stack.shares(&new.stack, index) && !(slot.is_spill() && slot.spill.has_ids()) {
                continue;
            }
            let place = Place::Slot(index);
            if !self.slots(slot, new.stack.slot(index), marks.has(place)) {
                if is_top {
                    self.differs = Some(place);
                }
                return false;
            }
        }
        true
    }

    fn slots(&mut self, old: &Slot, new: &Slot, precise: bool) -> bool {
        if self.exactness == Exactness::Same && old.bytes != new.bytes {
            return false;
        }
        if !self.rules.reads_unwritten {
            return self.written_slots(old, new, precise);
        }
        // Bytes of which nothing is known cover anything.
        if old.bytes.iter().all(|b| matches!(b, Byte::Invalid | Byte::Misc)) {
            return true;
        }
        if let (Some(a), Some(b)) = (old.as_scalar(), new.as_scalar()) {
            return self.values(&a, &b, precise);
        }
        let bytes_agree = (0..SLOT).all(|i| match old.bytes[i] {
            Byte::Invalid | Byte::Misc => true,
            Byte::Zero | Byte::Spill => old.bytes[i] == new.bytes[i],
        });
        bytes_agree && (!old.is_spill() || self.values(&old.spill, &new.spill, precise))
    }

    /// The same where unwritten bytes must not be read, nor pointers as numbers: unknown bytes cover numbers only.
    fn written_slots(&mut self, old: &Slot, new: &Slot, precise: bool) -> bool {
        let written = |slot: &Slot| !slot.bytes.contains(&Byte::Invalid);
        if let (Some(a), Some(b)) = (old.as_scalar(), new.as_scalar())
            && written(old)
            && written(new)
        {
            return self.values(&a, &b, precise);
        }
        let is_number = |slot: &Slot, i: usize| match slot.bytes[i] {
            Byte::Misc | Byte::Zero => true,
            Byte::Spill => slot.spill.is_scalar(),
            Byte::Invalid => false,
        };
        let bytes_agree = (0..SLOT).all(|i| match old.bytes[i] {
            Byte::Invalid => true,
            Byte::Misc => is_number(new, i),
            Byte::Zero | Byte::Spill => old.bytes[i] == new.bytes[i],
        });
        bytes_agree && (!old.is_spill() || self.values(&old.spill, &new.spill, precise))
    }

    fn values(&mut self, old: &Value, new: &Value, precise: bool) -> bool {
        match self.exactness {
            Exactness::Same => {
                return old.same_but_ids(new)
                    && self.ids.pair(old.id, new.id)
                    && self.ids.pair(old.ref_id, new.ref_id);
            }
            Exactness::Precise if old.kind == Kind::Uninit => return true,
            Exactness::Precise | Exactness::Within => {}
        }
        if old.kind != new.kind || old.nullable != new.nullable || old.flags != new.flags {
            return false;
        }
        match old.kind {
            Kind::Uninit => true,
            Kind::Scalar if self.rules.exact_numbers => {
                old.num == new.num && same_shift(old, new) && self.ids.pair_scalars(old.id, new.id)
            }
            Kind::Scalar => {
                let counts = precise || self.exactness != Exactness::Precise;
                !counts || self.numbers(old, new)
            }
            Kind::Context
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::Stack { .. }
            | Kind::Socket(_)
            | Kind::Btf(_)
            | Kind::FlowKeys
            | Kind::Func(_)
            | Kind::Dynptr(_) => {
                old.same_but_ids(new)
                    && self.ids.pair(old.id, new.id)
                    && self.ids.pair(old.ref_id, new.ref_id)
            }
            Kind::MapValue(_) | Kind::MapKey(_) | Kind::Memory { .. } | Kind::Buffer(_) => {
                old.off == new.off
                    && new.num.is_within(&old.num)
                    && self.ids.pair(old.id, new.id)
                    && self.ids.pair(old.ref_id, new.ref_id)
                    && self.ids.pair(old.dynptr_id, new.dynptr_id)
            }
            Kind::Arena => true,
            Kind::Packet | Kind::PacketMeta => {
                // Negative ranges are facts about the packet's end, of which neither implies the other.
                let range = if old.range < 0 || new.range < 0 {
                    old.range == new.range
                } else {
                    old.range <= new.range
                };
                range && old.off == new.off && self.ids.pair(old.id, new.id) && new.num.is_within(&old.num)
            }
        }
    }

    fn numbers(&mut self, old: &Value, new: &Value) -> bool {
        (old.id == 0 || same_shift(old, new))
            && new.num.is_within(&old.num)
            && self.ids.pair_scalars(old.id, new.id)
    }
}

/// Whether two numbers relate alike to what their ids stand for.
fn same_shift(old: &Value, new: &Value) -> bool {
    old.shift == new.shift && old.off == new.off
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Program, SubprogId};
    use crate::verify::kfuncs::Kfuncs;
    use crate::verify::scalar::Scalar;

    fn compare<T>(rules: Rules, what: impl FnOnce(&mut Match<'_>) -> T) -> T {
        let state = State::new(Frame::new(0, SubprogId::MAIN, None));
        let program =
            Program::from_insns("test", brolga_abi::ProgramKind::Xdp, Vec::new(), Vec::new().into());
        let live = Liveness::new(&program, &Kfuncs::default(), &[], &[]);
        let (exactness, ids) = (Exactness::Precise, IdMap::default());
        let top = Live::default();
        let at = InsnIdx(0);
        what(&mut Match {
            new: &state,
            at,
            live: &live,
            top,
            all: None,
            rules,
            exactness,
            ids,
            differs: None,
        })
    }

    fn covers(old: &Value, new: &Value, precise: bool) -> bool {
        let rules = Rules { reads_unwritten: true, exact_numbers: false };
        compare(rules, |comparison| comparison.values(old, new, precise))
    }

    #[test]
    fn numbers_count_where_they_are_precise() {
        let (old, new) = (Value::scalar(Scalar::unsigned(0, 9)), Value::constant(10));
        assert!(covers(&old, &new, false));
        assert!(!covers(&old, &new, true));
        assert!(covers(&old, &Value::constant(9), true));
    }

    #[test]
    fn a_larger_packet_range_is_covered_by_a_smaller_one() {
        let with = |range| Value { range, ..Value::pointer(Kind::Packet) };
        assert!(covers(&with(8), &with(14), false));
        assert!(!covers(&with(14), &with(8), false));
    }

    #[test]
    fn a_pointer_that_may_be_null_is_not_covered_by_one_that_is_not() {
        let value = Value::pointer(Kind::MapValue(crate::program::MapId(0)));
        let nullable = Value { nullable: true, id: 1, ..value };
        assert!(!covers(&value, &nullable, false));
        assert!(!covers(&value, &Value::constant(0), false));
    }

    #[test]
    fn unknown_bytes_cover_numbers_only_where_addresses_are_secret() {
        let slot = |byte| Slot { bytes: [byte; SLOT], spill: Value::UNINIT };
        let spilled = |value| Slot { bytes: [Byte::Spill; SLOT], spill: value };
        let news = [
            (slot(Byte::Zero), true),
            (slot(Byte::Misc), true),
            (spilled(Value::constant(7)), true),
            (slot(Byte::Invalid), false),
            (spilled(Value::pointer(Kind::Context)), false),
        ];
        for (new, number) in news {
            for reads_unwritten in [true, false] {
                let rules = Rules { reads_unwritten, exact_numbers: false };
                let covers = compare(rules, |comparison| comparison.slots(&slot(Byte::Misc), &new, false));
                assert_eq!(covers, reads_unwritten || number, "{new:?}");
            }
        }
    }

    #[test]
    fn unknown_bytes_cover_known_ones_in_loops_too() {
        let slot = |byte| Slot { bytes: [byte; SLOT], spill: Value::UNINIT };
        let five = Slot { bytes: [Byte::Spill; SLOT], spill: Value::constant(5) };
        let rules = Rules { reads_unwritten: true, exact_numbers: false };
        let covers = |exactness, old: &Slot, new: &Slot| {
            compare(rules, |comparison| {
                comparison.exactness = exactness;
                comparison.slots(old, new, false)
            })
        };
        assert!(covers(Exactness::Within, &slot(Byte::Misc), &five));
        assert!(!covers(Exactness::Within, &five, &slot(Byte::Misc)));
        assert!(!covers(Exactness::Same, &slot(Byte::Misc), &five));
        // What no proof relied on so far counts for guesses only.
        assert!(covers(Exactness::Precise, &five, &slot(Byte::Misc)));
    }

    #[test]
    fn ids_correspond_one_to_one() {
        let mut ids = IdMap::default();
        assert!(ids.pair_scalars(1, 7) && ids.pair_scalars(1, 7));
        assert!(!ids.pair_scalars(2, 7));
        assert!(!ids.pair_scalars(1, 0));
        assert!(ids.pair_scalars(0, 9));
    }
}
