//! Branches: which ways are possible, and what is known on each.
//!
//! A way that is impossible is not explored, and what decided that is marked precise. Where both are
//! possible, the jump is left for later and the path goes on.

use super::links::spread;
use crate::isa::{Cond, Operand, Reg, Width};
use crate::verify::equal::IdMap;
use crate::verify::explore::{Check, Explorer, Next};
use crate::verify::obligations::RegSet;
use crate::verify::planted::{Planted, is_planted};
use crate::verify::precision::Links;
use crate::verify::scalar::{Branches, Scalar, refine};
use crate::verify::state::{Place, State};
use crate::verify::transfer::MAX_OFFSET;
use crate::verify::value::{AT_PACKET_END, BEYOND_PACKET_END, Flags, Kind, Socket, Value};

/// Packet offsets stay below this (`MAX_PACKET_OFF`).
const MAX_PACKET_OFFSET: u64 = 0xffff;

impl Explorer<'_> {
    /// `if dst cond src goto +off`
    pub(in crate::verify) fn branch(
        &mut self,
        cond: Cond,
        width: Width,
        dst: Reg,
        src: Operand,
        off: i16,
    ) -> Check<Next> {
        self.pace.jumps += 1;
        let left = *self.state.reg(dst);
        let right = match src {
            Operand::Reg(reg) => *self.state.reg(reg),
            Operand::Imm(imm) => Value::constant(i64::from(imm).cast_unsigned()),
        };
        if let Operand::Reg(reg) = src
            && !(left.is_any_packet() && right.is_any_packet())
        {
            self.check_leak(reg, "pointer comparison prohibited")?;
        }
        self.note_pointers(dst, src);
        let (only, mut narrowed) = ways(cond, width, &left, &right);
        if (cond, width) == (Cond::Sle, Width::W32) && is_planted(self.options, Planted::Refinement) {
            narrowed.taken = ways(Cond::Slt, width, &left, &right).1.taken.or(narrowed.taken);
        }
        let Some(taken) = only else {
            let tells = match src {
                Operand::Imm(0) => {
                    width == Width::W64 && left.nullable && matches!(cond, Cond::Eq | Cond::Ne)
                }
                Operand::Imm(_) => false,
                Operand::Reg(_) => width == Width::W64 && is_packet_check(cond, &left, &right),
            };
            if !tells {
                self.check_leak(dst, "pointer comparison prohibited")?;
            }
            self.fork(cond, width, dst, src, off, &narrowed)?;
            return Ok(Next::Fall);
        };
        if left.is_scalar() {
            self.mark_precise(dst);
        }
        if let Operand::Reg(reg) = src
            && right.is_scalar()
        {
            self.mark_precise(reg);
        }
        if taken {
            self.facts.taken(self.at);
            Ok(Next::Goto(self.target(off.into())))
        } else {
            self.facts.fallthrough(self.at);
            Ok(Next::Fall)
        }
    }

    /// The walk back must not look for numbers where there are stack pointers.
    fn note_pointers(&mut self, dst: Reg, src: Operand) {
        let mut pointers = RegSet::NONE;
        for reg in RegSet::of(dst).with_operand(src).iter() {
            if matches!(self.state.reg(reg).kind, Kind::Stack { .. }) {
                pointers = pointers.with(reg);
            }
        }
        if let Some(step) = self.trail.last_mut() {
            step.pointers = pointers;
        }
    }

    fn fork(
        &mut self,
        cond: Cond,
        width: Width,
        dst: Reg,
        src: Operand,
        off: i16,
        narrowed: &Branches,
    ) -> Check {
        let mut links = Links::default();
        for reg in [src, Operand::Reg(dst)] {
            if let Operand::Reg(reg) = reg {
                let value = *self.state.reg(reg);
                if value.is_scalar() && value.id != 0 {
                    self.collect_links(value.id, &mut links);
                }
            }
        }
        if links.len() > 1 {
            self.links.push(links);
            let index = u32::try_from(self.links.len()).expect("fewer links than instructions");
            if let Some(step) = self.trail.last_mut() {
                step.narrows(index);
            }
        }
        let (left, right) = (*self.state.reg(dst), self.operand(src));
        let mut other = self.copy();
        narrow(&mut other, dst, src, narrowed.taken, &links);
        narrow(&mut self.state, dst, src, narrowed.fallthrough, &links);
        if width == Width::W64 {
            if let (Operand::Reg(reg), true) = (src, left.nullable && right.is_null()) {
                self.mark_precise(reg);
            }
            let keep_id = self.keeps_id(&left);
            let compared = Compared { cond, dst, src, left: &left, right: &right };
            learn_pointers(&mut other, &mut self.state, &compared, keep_id);
        }
        self.facts.taken(self.at);
        self.facts.fallthrough(self.at);
        let target = self.target(off.into());
        self.leave(other, target)
    }

    fn operand(&self, src: Operand) -> Value {
        match src {
            Operand::Reg(reg) => *self.state.reg(reg),
            Operand::Imm(imm) => Value::constant(i64::from(imm).cast_unsigned()),
        }
    }

    /// `may_goto`: jumps when the run's loop budget is used up, which may be at any time. Going on is left
    /// for later, with numbers that nothing relied on forgotten, so that loops converge.
    pub(in crate::verify) fn may_goto(&mut self, off: i16) -> Check<Next> {
        self.facts.taken(self.at);
        self.facts.fallthrough(self.at);
        let mut on = self.copy();
        on.may_goto_depth += 1;
        self.widen_since_last_round(&mut on, true);
        let next = self.target(0);
        self.leave(on, next)?;
        Ok(self.jump(off.into()))
    }

    /// Forgets numbers that changed since the path was last here and that nothing relied on. `own`: the current
    /// state's own checkpoint, made just now, is not a round ago.
    pub(in crate::verify) fn widen_since_last_round(&self, state: &mut State, mut own: bool) {
        let mut node = self.parent.map(|id| self.nodes.get(id));
        // A long path would be looked through in vain in each loop that it enters.
        let is_own = own && node.is_some_and(|node| node.at == self.at);
        if self.nodes.made_at(self.at, state) <= u32::from(is_own) {
            return;
        }
        let same_calls = |known: &State| {
            known.depth() == state.depth()
                && known.frames().zip(state.frames()).all(|(a, b)| a.callsite == b.callsite)
        };
        let old = loop {
            let Some(known) = node else { return };
            if known.at == self.at && same_calls(&known.state) && !std::mem::replace(&mut own, false) {
                break known;
            }
            own = false;
            node = known.parent.map(|id| self.nodes.get(id));
        };
        let mut ids = IdMap::default();
        for index in 0..=old.state.depth() {
            let (frame, marks) = (old.state.frame(index), old.precise[index]);
            for reg in Reg::all() {
                let precise = marks.has(Place::Reg(reg));
                let now = *state.frame(index).reg(reg);
                if ids.changed(frame.reg(reg), &now) && !precise {
                    state.frame_mut(index).regs[reg.index()] = Value { origin: now.origin, ..Value::UNKNOWN };
                }
            }
            for slot in 0..frame.stack.depth().min(state.frame(index).stack.depth()) {
                let precise = marks.has(Place::Slot(slot));
                let (was, now) = (*frame.stack.slot(slot), *state.frame(index).stack.slot(slot));
                let spills = was.is_spill() && now.is_spill();
                if spills && ids.changed(&was.spill, &now.spill) && !precise {
                    state.frame_mut(index).stack_mut().slot_mut(slot).spill = Value::UNKNOWN;
                }
            }
        }
    }
}

/// The only way that a branch can go, if there is one, and what numbers are narrowed to on each way.
fn ways(cond: Cond, width: Width, left: &Value, right: &Value) -> (Option<bool>, Branches) {
    if left.is_scalar() && right.is_scalar() {
        let narrowed = refine(cond, width, left.num, right.num);
        let only = match (narrowed.taken, narrowed.fallthrough) {
            (Some(_), None) => Some(true),
            (None, Some(_)) => Some(false),
            // Neither is possible only where the state itself is not.
            (Some(_), Some(_)) | (None, None) => None,
        };
        return (only, narrowed);
    }
    let only = if width == Width::W64 { pointer_way(cond, left, right) } else { None };
    (only, Branches { taken: None, fallthrough: None })
}

/// The only way of a 64-bit comparison in which a pointer takes part, if there is one.
fn pointer_way(cond: Cond, left: &Value, right: &Value) -> Option<bool> {
    if left.is_any_packet() && right.is_any_packet() {
        return packet_way(cond, left, right);
    }
    let (pointer, number) = if left.is_scalar() { (right, left) } else { (left, right) };
    if !number.is_null() || !certainly_not_null(pointer) {
        return None;
    }
    match cond {
        Cond::Eq => Some(false),
        Cond::Ne => Some(true),
        Cond::Set
        | Cond::Gt
        | Cond::Ge
        | Cond::Lt
        | Cond::Le
        | Cond::Sgt
        | Cond::Sge
        | Cond::Slt
        | Cond::Sle => None,
    }
}

/// Whether a pointer is known not to be null: it never was, and its offset cannot bring it there.
fn certainly_not_null(value: &Value) -> bool {
    if value.nullable || value.num.smin() <= -MAX_OFFSET || value.num.smax() >= MAX_OFFSET {
        return false;
    }
    match value.kind {
        Kind::MapValue(_) | Kind::Map(_) | Kind::MapKey(_) => true,
        Kind::Socket(Socket::Full | Socket::Common | Socket::Tcp) => true,
        // A trusted one may still be null where the kernel says so.
        Kind::Btf(_) => {
            let trusted = Flags::TRUSTED.with(Flags::ALLOC).with(Flags::NON_OWNING);
            value.ref_id != 0
                || value.flags.has(Flags::TRUSTED)
                || (value.flags.has_any(trusted) && value.flags.without(trusted) == Flags::NONE)
        }
        // A buffer without bytes may be anywhere.
        Kind::Memory { size, .. } => size > 0,
        Kind::Uninit
        | Kind::Scalar
        | Kind::Context
        | Kind::Stack { .. }
        | Kind::Packet
        | Kind::PacketMeta
        | Kind::PacketEnd
        | Kind::Socket(Socket::Xdp)
        | Kind::FlowKeys
        | Kind::Buffer(_)
        | Kind::Func(_)
        | Kind::Dynptr(_)
        | Kind::Arena => false,
    }
}

/// Whether what equals a pointer is not null either. A kernel structure's address Linux does not trust so far.
fn stands_for_itself(value: &Value) -> bool {
    match value.kind {
        Kind::Btf(_) => false,
        Kind::Socket(Socket::Xdp) => !value.nullable,
        _ => certainly_not_null(value),
    }
}

/// The condition with its operands exchanged.
fn flip(cond: Cond) -> Cond {
    match cond {
        Cond::Gt => Cond::Lt,
        Cond::Ge => Cond::Le,
        Cond::Lt => Cond::Gt,
        Cond::Le => Cond::Ge,
        Cond::Sgt => Cond::Slt,
        Cond::Sge => Cond::Sle,
        Cond::Slt => Cond::Sgt,
        Cond::Sle => Cond::Sge,
        Cond::Eq | Cond::Ne | Cond::Set => cond,
    }
}

/// A comparison with the packet's end whose answer an earlier one gave.
fn packet_way(cond: Cond, left: &Value, right: &Value) -> Option<bool> {
    let (packet, cond) = match (left.kind, right.kind) {
        (_, Kind::PacketEnd) => (left, cond),
        (Kind::PacketEnd, _) => (right, flip(cond)),
        _ => return None,
    };
    match (cond, packet.range) {
        (Cond::Gt | Cond::Le, BEYOND_PACKET_END) => Some(cond == Cond::Gt),
        (Cond::Ge | Cond::Lt, BEYOND_PACKET_END | AT_PACKET_END) => Some(cond == Cond::Ge),
        _ => None,
    }
}

/// Sets the numbers that a way narrowed, and those linked to them.
fn narrow(state: &mut State, dst: Reg, src: Operand, to: Option<(Scalar, Scalar)>, links: &Links) {
    let Some((left, right)) = to else { return };
    match src {
        Operand::Reg(reg) if reg == dst => {
            let both = left.intersect(right).unwrap_or(left);
            state.reg_mut(dst).num = both;
            spread(state, dst, links);
        }
        Operand::Reg(reg) => {
            state.reg_mut(dst).num = left;
            state.reg_mut(reg).num = right;
            spread(state, reg, links);
            spread(state, dst, links);
        }
        Operand::Imm(_) => {
            state.reg_mut(dst).num = left;
            spread(state, dst, links);
        }
    }
}

/// A comparison of two values.
struct Compared<'v> {
    cond: Cond,
    dst: Reg,
    src: Operand,
    left: &'v Value,
    right: &'v Value,
}

/// What a 64-bit comparison tells of pointers.
fn learn_pointers(taken: &mut State, fallthrough: &mut State, compared: &Compared<'_>, keep_id: bool) {
    let &Compared { cond, dst, src, left, right } = compared;
    if let Operand::Reg(src) = src
        && left.is_pointer()
        && right.is_pointer()
    {
        // Where two pointers are equal and one is not null, neither is.
        let equal = match cond {
            Cond::Eq => Some(&mut *taken),
            Cond::Ne => Some(&mut *fallthrough),
            Cond::Set
            | Cond::Gt
            | Cond::Ge
            | Cond::Lt
            | Cond::Le
            | Cond::Sgt
            | Cond::Sge
            | Cond::Slt
            | Cond::Sle => None,
        };
        if let Some(equal) = equal {
            if stands_for_itself(left) && right.nullable && !matches!(right.kind, Kind::Btf(_)) {
                equal.reg_mut(src).nullable = false;
            }
            if stands_for_itself(right) && left.nullable && !matches!(left.kind, Kind::Btf(_)) {
                equal.reg_mut(dst).nullable = false;
            }
        }
        learn_packet_range(taken, fallthrough, cond, left, right, dst, src);
    }
    if left.nullable && right.is_null() && matches!(cond, Cond::Eq | Cond::Ne) {
        settle_null(taken, left, cond == Cond::Eq, keep_id);
        settle_null(fallthrough, left, cond == Cond::Ne, keep_id);
    }
}

/// All copies of a pointer turn out null, or not. What is null need not be given back.
fn settle_null(state: &mut State, pointer: &Value, null: bool, keep_id: bool) {
    let id = pointer.id;
    if null && pointer.ref_id != 0 && pointer.ref_id == id {
        state.held.refs.retain(|reference| reference.id != id);
    }
    state.update(
        |value| value.nullable && value.id == id,
        |value| {
            if null {
                *value = Value { origin: value.origin, ..Value::constant(0) };
            } else {
                value.nullable = false;
                if !keep_id {
                    value.id = 0;
                }
            }
        },
    );
}

/// Whether a comparison of one value with another tells which bytes of the packet, or of its metadata, exist.
fn bounded(pointer: &Value, end: &Value) -> bool {
    // Bytes may be known to exist behind the start already.
    let starts =
        |v: &Value| v.kind == Kind::Packet && v.id == 0 && v.off == 0 && v.num.as_constant() == Some(0);
    match pointer.kind {
        Kind::Packet => end.kind == Kind::PacketEnd,
        Kind::PacketMeta => starts(end),
        _ => false,
    }
}

/// Whether a 64-bit comparison of pointers tells of the packet, as it is there for.
fn is_packet_check(cond: Cond, left: &Value, right: &Value) -> bool {
    match cond {
        Cond::Gt | Cond::Ge | Cond::Lt | Cond::Le => bounded(left, right) || bounded(right, left),
        Cond::Eq | Cond::Ne | Cond::Set | Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle => false,
    }
}

/// A comparison with the packet's end (or of metadata with the packet's start) says how many bytes exist.
fn learn_packet_range(
    taken: &mut State,
    fallthrough: &mut State,
    cond: Cond,
    left: &Value,
    right: &Value,
    dst: Reg,
    src: Reg,
) {
    let (pointer, reg, cond) = if bounded(left, right) {
        (left, dst, cond)
    } else if bounded(right, left) {
        (right, src, flip(cond))
    } else {
        return;
    };
    // On the way where the pointer is not beyond the end, what lies before it exists; where it is
    // strictly before the end, one byte more.
    let (within, beyond, strict) = match cond {
        Cond::Gt => (fallthrough, taken, false),
        Cond::Ge => (fallthrough, taken, true),
        Cond::Lt => (taken, fallthrough, true),
        Cond::Le => (taken, fallthrough, false),
        Cond::Eq | Cond::Ne | Cond::Set | Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle => return,
    };
    extend_range(within, pointer, strict);
    if pointer.kind == Kind::Packet {
        beyond.reg_mut(reg).range = if strict { AT_PACKET_END } else { BEYOND_PACKET_END };
    }
}

fn extend_range(state: &mut State, pointer: &Value, strict: bool) {
    let Ok(off) = u64::try_from(pointer.off) else { return };
    if off == 0 && strict {
        // Nothing lies before the start; that one byte exists there, Linux does not take from this.
        return;
    }
    let umax = pointer.num.umax();
    if umax > MAX_PACKET_OFFSET || umax + off > MAX_PACKET_OFFSET {
        return;
    }
    let range = pointer.off + i32::from(strict);
    state.update(
        |value| value.kind == pointer.kind && value.id == pointer.id && !value.nullable,
        |value| value.range = value.range.max(range),
    );
}
