//! What a path holds: references that must be given back, locks, and sections that must be left.
//!
//! The module keeps the books. Who acquires and releases is said by the helper table and by `transfer`. It could be
//! wrong by losing an entry: then a leak is accepted.

use super::equal::IdMap;
use super::explore::{Check, Explorer};
use super::value::{Flags, Value};
use crate::diag::Code;
use crate::isa::InsnIdx;
use crate::program::MapId;

/// A reference that must be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The id that pointers to it have.
    pub id: u32,
    /// The call that acquired it.
    pub at: InsnIdx,
}

/// What a lock lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockPlace {
    /// A value of a map.
    MapValue(MapId),
    /// An allocated object.
    Object,
}

/// A lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// What it lies in.
    pub place: LockPlace,
    /// The id of the pointer to that.
    pub id: u32,
    /// Where it was taken.
    pub at: InsnIdx,
}

/// A resilient lock that is held. Several may be, and are given back in the opposite order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResLock {
    /// The lock.
    pub lock: Lock,
    /// Whether interrupts were saved with it.
    pub irq: bool,
}

/// Everything that a path holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// References, in the order in which they were acquired.
    pub refs: Vec<Reference>,
    /// The spin lock.
    pub lock: Option<Lock>,
    /// Resilient locks, in the order in which they were taken.
    pub res_locks: Vec<ResLock>,
    /// How many RCU sections are entered.
    pub rcu: u32,
    /// How many sections without preemption are entered.
    pub preempt: u32,
    /// Sections without interrupts: their ids, innermost last.
    pub irqs: Vec<Reference>,
}

impl Held {
    /// Whether a lock of any kind is held.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some() || !self.res_locks.is_empty()
    }

    /// Whether a kept state's holdings stand for those of another.
    pub fn covers(&self, other: &Self, ids: &mut IdMap) -> bool {
        let mut pairs = |old: &[Reference], new: &[Reference]| {
            old.len() == new.len() && old.iter().zip(new).all(|(a, b)| ids.pair(a.id, b.id))
        };
        if !pairs(&self.refs, &other.refs) || !pairs(&self.irqs, &other.irqs) {
            return false;
        }
        let mut same = |a: &Lock, b: &Lock| a.place == b.place && ids.pair(a.id, b.id);
        let locks = match (&self.lock, &other.lock) {
            (None, None) => true,
            (Some(a), Some(b)) => same(a, b),
            (Some(_), None) | (None, Some(_)) => false,
        };
        let res_locks = self.res_locks.len() == other.res_locks.len()
            && self
                .res_locks
                .iter()
                .zip(&other.res_locks)
                .all(|(a, b)| a.irq == b.irq && same(&a.lock, &b.lock));
        locks && res_locks && self.rcu == other.rcu && self.preempt == other.preempt
    }
}

impl Explorer<'_> {
    /// Acquires a reference. Gives its id.
    pub(super) fn acquire(&mut self) -> u32 {
        let id = self.new_id();
        let at = self.at;
        self.state.held.refs.push(Reference { id, at });
        id
    }

    /// Gives a reference back: nothing may be read through pointers to it any more.
    pub(super) fn release(&mut self, id: u32) -> Check {
        let Some(index) = self.state.held.refs.iter().position(|r| r.id == id) else {
            return Err(self.refuse(Code::Reference, "release of a reference that the program does not own"));
        };
        self.state.held.refs.remove(index);
        let origin = Some(self.at);
        let gone = |value: &Value| value.is_pointer() && value.ref_id == id;
        let left = Value { origin, ..Value::invalidated(self.options.privilege) };
        self.state.update(gone, |value| *value = left);
        Ok(())
    }

    /// A per-CPU object that is stored away may be used on within the RCU section.
    pub(super) fn keep_in_section(&mut self, id: u32) {
        if !self.in_rcu() {
            return;
        }
        let percpu = Flags::ALLOC.with(Flags::PERCPU);
        self.state.update(
            |value| value.is_pointer() && value.ref_id == id && value.flags.has(percpu),
            |value| {
                value.ref_id = 0;
                value.flags = value.flags.without(Flags::ALLOC).with(Flags::RCU);
            },
        );
    }

    /// Nothing is held any more that would be lost by what the current instruction does.
    pub(super) fn check_nothing_held(&self, what: &str) -> Check {
        let held = &self.state.held;
        if held.is_locked() {
            let message = format!("{what} cannot be used inside bpf_spin_lock-ed region");
            let lock = held.lock.or_else(|| held.res_locks.last().map(|res| res.lock));
            let release = if held.lock.is_some() { "bpf_spin_unlock" } else { "bpf_res_spin_unlock" };
            let found =
                self.refuse(Code::Lock, message).note(lock.map(|lock| lock.at), "the lock was taken here");
            let help = format!("call `{release}` on every path, also on those that return early");
            return Err(Box::new(found.help(help)));
        }
        if held.rcu > 0 {
            let message = format!("{what} cannot be used inside bpf_rcu_read_lock-ed region");
            return Err(self.refuse(Code::Section, message));
        }
        if held.preempt > 0 {
            let message = format!("{what} cannot be used inside bpf_preempt_disable-ed region");
            return Err(self.refuse(Code::Section, message));
        }
        if !held.irqs.is_empty() {
            let message = format!("{what} cannot be used inside bpf_local_irq_save-ed region");
            return Err(self.refuse(Code::Section, message));
        }
        self.check_no_references(what)
    }

    /// No reference is left.
    pub(super) fn check_no_references(&self, what: &str) -> Check {
        let Some(reference) = self.state.held.refs.first() else { return Ok(()) };
        let message = format!(
            "Unreleased reference id={} alloc_insn={}\n{what} would lead to reference leak",
            reference.id, reference.at
        );
        let diagnostic = self.refuse(Code::Reference, message);
        Err(Box::new(
            diagnostic
                .note(Some(reference.at), "acquired here")
                .help("give the reference back on every path, also where something fails in between"),
        ))
    }
}
