//! `prog_array`: programs to which others jump by tail calls.
//!
//! Layout: one word a slot, null or the address of a [`ProgEntry`]; compiled code reads it with one
//! acquire load. Concurrency: an entry that was replaced is freed after all runs that began before
//! have ended. Only programs of the kind of those that jump through the map may be entries: a jump
//! keeps the context.

#![expect(unsafe_code, reason = "entries are handed to compiled code by address")]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use brolga_abi::ProgramKind;
use brolga_abi::env::ProgEntry;

use super::Errno;
use super::array::allocate;
use super::create::CreateError;
use crate::instance::InstanceInner;
use crate::module::MapSpec;
use crate::runtime::{MapMemory, Shared};

/// A program array.
pub(crate) struct ProgArray {
    slots: MapMemory,
    max_entries: u32,
    /// The kind of its programs: that of the first one, where no program of the module jumps
    /// through the map. Held while slots are written.
    owner: Mutex<Option<ProgramKind>>,
    shared: Arc<Shared>,
}

/// An entry as the map owns it. The entry comes first: its address is the slot's.
#[repr(C)]
struct Owned {
    entry: ProgEntry,
    /// Keeps the program and its maps; `None` for programs of the instance that owns the map,
    /// which lives longer than the map anyway.
    _instance: Option<Arc<InstanceInner>>,
}

// SAFETY: the entry's addresses are of code and maps that `_instance`, or the owner, keeps.
unsafe impl Send for Owned {}

impl ProgArray {
    pub(crate) fn new(spec: &MapSpec, shared: &Arc<Shared>) -> Result<Self, CreateError> {
        let slots = allocate(8 * u64::from(spec.max_entries), shared)?;
        Ok(Self {
            slots,
            max_entries: spec.max_entries,
            owner: Mutex::new(spec.owner),
            shared: Arc::clone(shared),
        })
    }

    pub(crate) fn max_entries(&self) -> u32 {
        self.max_entries
    }

    pub(crate) fn data(&self) -> *mut u8 {
        self.slots.at(0)
    }

    /// Whether a slot holds a program. `None` past the end.
    pub(crate) fn is_set(&self, index: u32) -> Option<bool> {
        (index < self.max_entries).then(|| self.slots.word(index as usize * 8).load(Ordering::Relaxed) != 0)
    }

    /// Puts a program into a slot. `instance` is the program's, unless it owns this map.
    pub(crate) fn set(
        &self,
        index: u32,
        entry: ProgEntry,
        kind: ProgramKind,
        instance: Option<Arc<InstanceInner>>,
    ) -> Result<(), Errno> {
        if index >= self.max_entries {
            return Err(Errno::TooBig);
        }
        // A program for a buffer of one length must not run on a buffer of another.
        if kind == ProgramKind::RawMemory {
            return Err(Errno::Invalid);
        }
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if *owner.get_or_insert(kind) != kind {
            return Err(Errno::Invalid);
        }
        let owned = Box::into_raw(Box::new(Owned { entry, _instance: instance }));
        // SAFETY: just allocated.
        let address = unsafe { (&raw const (*owned).entry).expose_provenance() };
        debug_assert_eq!(address, owned.addr(), "the entry comes first");
        self.replace(index, address as u64);
        Ok(())
    }

    /// Empties a slot.
    pub(crate) fn clear(&self, index: u32) -> Result<(), Errno> {
        if index >= self.max_entries {
            return Err(Errno::TooBig);
        }
        let _owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.replace(index, 0) { Ok(()) } else { Err(Errno::NoEntry) }
    }

    /// Writes a slot and retires what was there. Says whether anything was.
    fn replace(&self, index: u32, address: u64) -> bool {
        let old = self.slots.word(index as usize * 8).swap(address, Ordering::AcqRel);
        let old = take(old);
        let any = old.is_some();
        if let Some(old) = old {
            self.shared.epochs.retire(old);
        }
        any
    }
}

/// The owned entry whose address a slot held.
fn take(address: u64) -> Option<Box<Owned>> {
    let address = usize::try_from(address).expect("an address of this process");
    // SAFETY: a slot holds null or what `set` allocated; it was just taken out of the slot, so
    // nobody takes it twice. `Owned` begins with the entry.
    (address != 0).then(|| unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut::<Owned>(address)) })
}

impl Drop for ProgArray {
    fn drop(&mut self) {
        for index in 0..self.max_entries as usize {
            // No program runs with this map any more: its instance is being dropped.
            drop(take(self.slots.word(index * 8).swap(0, Ordering::AcqRel)));
        }
    }
}
