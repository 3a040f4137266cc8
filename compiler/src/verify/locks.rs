//! Spin locks in maps' values and allocated objects, and timers.
//!
//! One lock is held at a time; while it is, nothing is called but what gives it back. Which lock is which is known by
//! the id of the pointer to what it lies in.

use brolga_abi::ProgramKind;

use super::check::Request;
use super::explore::{Check, Explorer};
use super::fields::{Field, Special};
use super::records::{Broken, MapRecord};
use super::refs::{Lock, LockPlace, ResLock};
use super::refusal::name;
use super::value::{Flags, Kind, TypesOf, Value};
use crate::diag::{Code, Diagnostic};
use crate::isa::Reg;
use crate::program::MapId;

/// What a helper does to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locking {
    /// Takes it.
    Take,
    /// Gives it back.
    GiveBack,
}

impl Explorer<'_> {
    /// Whether values of a map have a field.
    pub(super) fn has_field(&self, map: MapId, pick: impl Fn(Special) -> bool) -> bool {
        self.fields_of(map).iter().any(|field| pick(field.special))
    }

    /// Whether pointers to a map's values keep their id: it tells locks apart.
    pub(super) fn has_lock(&self, map: MapId) -> bool {
        self.has_field(map, Special::is_lock)
    }

    /// An access to bytes of a map's value, among which special fields may be.
    pub(super) fn check_fields(&self, request: &Request, map: MapId) -> Check<Option<Field>> {
        let fields = self.fields_of(map);
        if fields.is_empty() {
            return Ok(None);
        }
        let value = self.state.reg(request.reg);
        let off = i64::from(value.off) + i64::from(request.off);
        let low = value.num.smin().saturating_add(off);
        let high = i64::try_from(value.num.umax())
            .unwrap_or(i64::MAX)
            .saturating_add(off)
            .saturating_add(request.size.into());
        let touched = |field: &&Field| low < i64::from(field.off + field.size) && i64::from(field.off) < high;
        let Some(field) = fields.iter().find(touched) else { return Ok(None) };
        let refuse = |message: String| Err(self.refuse_reg(Code::SpecialField, request.reg, message));
        let what = field.special.name();
        match field.special {
            Special::KernelPointer { .. } => {
                if request.by == super::check::By::Helper {
                    return refuse(format!("{what} cannot be accessed indirectly by helper"));
                }
                let Some(at) = value.num.as_constant() else {
                    return refuse(format!("{what} access cannot have variable offset"));
                };
                let at = off.saturating_add(at.cast_signed());
                if at != i64::from(field.off) {
                    return refuse(format!("{what} access misaligned expected={} off={at}", field.off));
                }
                if request.size != 8 {
                    return refuse(format!("{what} access size must be BPF_DW"));
                }
                Ok(Some(*field))
            }
            Special::SpinLock
            | Special::ResSpinLock
            | Special::Timer
            | Special::Workqueue
            | Special::TaskWork
            | Special::ListHead(_)
            | Special::ListNode
            | Special::TreeRoot(_)
            | Special::TreeNode
            | Special::Refcount => refuse(format!("{what} cannot be accessed directly by load/store")),
        }
    }

    /// Maps with such fields are not for every kind of program.
    pub(super) fn check_map_for_kind(&self, map: MapId) -> Check {
        let tracing = matches!(
            self.kind,
            ProgramKind::Kprobe
                | ProgramKind::Tracepoint
                | ProgramKind::PerfEvent
                | ProgramKind::RawTracepoint
                | ProgramKind::RawTracepointWritable
        );
        let has = |special: Special| self.has_field(map, |known| known == special);
        let refuse = |message: &str| Err(self.refuse(Code::Lock, message));
        if tracing && self.has_field(map, |special| special.contained().is_some()) {
            return refuse("tracing progs cannot use bpf_{list_head,rb_root} yet");
        }
        if self.has_lock(map) {
            if self.kind == ProgramKind::SocketFilter {
                return refuse("socket filter progs cannot use bpf_spin_lock yet");
            }
            if tracing {
                return refuse("tracing progs cannot use bpf_spin_lock yet");
            }
        }
        if tracing && has(Special::Timer) {
            return refuse("tracing progs cannot use bpf_timer yet");
        }
        if tracing && has(Special::Workqueue) {
            return refuse("tracing progs cannot use bpf_wq yet");
        }
        Ok(())
    }

    /// The place of a special field, to which a register points exactly.
    pub(super) fn check_field(&self, reg: Reg, value: &Value, special: Special) -> Check<LockPlace> {
        let what = special.name();
        let refuse = |message: String| Err(self.refuse_reg(Code::SpecialField, reg, message));
        let Some(off) = value.constant_offset() else {
            return refuse(format!(
                "{} doesn't have constant offset. {what} has to be at the constant offset",
                name(reg)
            ));
        };
        let (place, whose) = match value.kind {
            Kind::MapValue(map) => {
                let def = self.map(map);
                if let MapRecord::Untyped(broken) = self.map_record(map) {
                    let message = format!("map '{}' has to have BTF in order to use {what}", def.name);
                    let found = self.refuse_reg(Code::SpecialField, reg, message);
                    return Err(explain(found, broken.as_ref()));
                }
                (LockPlace::MapValue(map), format!("map '{}'", def.name))
            }
            Kind::Btf(ptr) if value.flags.has(Flags::ALLOC) && ptr.types == TypesOf::Program => {
                (LockPlace::Object, "local 'kptr'".to_owned())
            }
            _ => return self.expect(reg, false, "map_value").map(|()| LockPlace::Object),
        };
        let record = self.special_fields(value);
        let Some(field) = record.and_then(|r| r.fields.iter().find(|field| field.special == special)) else {
            let found = self.refuse_reg(Code::SpecialField, reg, format!("{whose} has no valid {what}"));
            let broken = match value.kind {
                Kind::MapValue(map) => self.map_record(map).broken(),
                _ => None,
            };
            return Err(explain(found, broken));
        };
        if i64::from(field.off) != off {
            return refuse(format!("off {off} doesn't point to 'struct {what}' that is at {}", field.off));
        }
        Ok(place)
    }

    /// What was found under a lock may be gone when it is given back.
    fn forget_non_owning(&mut self) {
        let origin = Some(self.at);
        let left = Value { origin, ..Value::invalidated(self.options.privilege) };
        self.state.update(|value| value.flags.has(Flags::NON_OWNING), |value| *value = left);
    }

    /// While a lock is held, few functions are called.
    pub(super) fn check_unlocked(&self, allowed: bool) -> Check {
        let held = &self.state.held;
        let lock = held.lock.or_else(|| held.res_locks.last().map(|res| res.lock));
        match lock {
            Some(lock) if !allowed => {
                let message = "function calls are not allowed while holding a lock";
                let found = self.refuse(Code::Lock, message).note(Some(lock.at), "the lock was taken here");
                Err(Box::new(found.help("call it before the lock is taken, or after it was given back")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `bpf_spin_lock` and `bpf_spin_unlock`.
    pub(super) fn spin_lock(&mut self, reg: Reg, locking: Locking) -> Check {
        let value = *self.state.reg(reg);
        if self.in_tree_callback() {
            return Err(self.refuse(Code::Lock, "can't spin_{lock,unlock} in rbtree cb"));
        }
        let place = self.check_field(reg, &value, Special::SpinLock)?;
        match (locking, self.state.held.lock) {
            (Locking::Take, _) => {
                self.state.held.lock = Some(Lock { place, id: value.id, at: self.at });
                Ok(())
            }
            (Locking::GiveBack, None) => {
                Err(self.refuse_reg(Code::Lock, reg, "bpf_spin_unlock without taking a lock"))
            }
            (Locking::GiveBack, Some(_)) if !self.state.held.res_locks.is_empty() => {
                Err(self.refuse_reg(Code::Lock, reg, "bpf_spin_unlock cannot be out of order"))
            }
            (Locking::GiveBack, Some(lock)) if (lock.place, lock.id) != (place, value.id) => {
                let found = self.refuse_reg(Code::Lock, reg, "bpf_spin_unlock of different lock");
                let found = found.note(Some(lock.at), "this lock is held");
                Err(Box::new(found.help("give back the lock by the very pointer by which it was taken")))
            }
            (Locking::GiveBack, Some(_)) => {
                self.state.held.lock = None;
                self.forget_non_owning();
                Ok(())
            }
        }
    }
}

impl Explorer<'_> {
    /// The lock of `bpf_res_spin_lock` and its like, which was taken: where it was not, the path left before.
    pub(super) fn res_lock(&mut self, reg: Reg, locking: Locking, irq: bool) -> Check {
        let value = *self.state.reg(reg);
        if self.in_tree_callback() {
            return Err(self.refuse(Code::Lock, "can't res_spin_{lock,unlock} in rbtree cb"));
        }
        let place = self.check_field(reg, &value, Special::ResSpinLock)?;
        let this = |known: &ResLock| (known.lock.place, known.lock.id) == (place, value.id);
        let what = if irq { "bpf_res_spin_unlock_irqrestore" } else { "bpf_res_spin_unlock" };
        match locking {
            Locking::Take => {
                if let Some(known) = self.state.held.res_locks.iter().find(|known| this(known)) {
                    let message = "Acquiring the same lock again, AA deadlock detected";
                    let found = self.refuse_reg(Code::Lock, reg, message);
                    return Err(Box::new(found.note(Some(known.lock.at), "it was taken here")));
                }
                let lock = Lock { place, id: value.id, at: self.at };
                self.state.held.res_locks.push(ResLock { lock, irq });
                Ok(())
            }
            Locking::GiveBack => {
                if !self.state.held.is_locked() {
                    let message = format!("{what} without taking a lock");
                    return Err(self.refuse_reg(Code::Lock, reg, message));
                }
                if !self.state.held.res_locks.iter().any(|known| this(known) && known.irq == irq) {
                    return Err(self.refuse_reg(Code::Lock, reg, format!("{what} of different lock")));
                }
                if !self.state.held.res_locks.last().is_some_and(this) {
                    return Err(self.refuse_reg(Code::Lock, reg, format!("{what} cannot be out of order")));
                }
                self.state.held.res_locks.pop();
                self.forget_non_owning();
                Ok(())
            }
        }
    }
}

/// Says why the kernel does not know of a field.
pub(super) fn explain(found: Box<Diagnostic>, broken: Option<&Broken>) -> Box<Diagnostic> {
    match broken {
        Some(broken) => {
            let note = format!("the kernel refuses what the types say ({}): {}", broken.error, broken.why);
            Box::new(found.note(None, note))
        }
        None => found,
    }
}
