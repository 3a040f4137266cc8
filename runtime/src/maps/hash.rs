//! `hash`: keys to values, at most `max_entries` at a time.
//!
//! Layout and concurrency: see [`super::table`]; the value follows the key. An update of a key that
//! exists writes a fresh element and puts it in the old one's place, as Linux does: a program that still holds
//! the old value keeps reading the old value until its element is used again. For that, each CPU slot and
//! the host own one element more.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use brolga_abi::maps::{BPF_EXIST, BPF_NOEXIST};

use super::create::CreateError;
use super::table::{Element, Key, Place, Table};
use super::{Caller, Errno, check_flags, stride};
use crate::module::MapSpec;
use crate::runtime::Shared;
use crate::sync::Lent;

/// A hash map.
pub(crate) struct Hash {
    table: Table,
    value_size: usize,
    /// The spare element of each CPU slot, which only its worker touches.
    spares: Box<[AtomicU32]>,
    /// The host's spare element.
    host_spare: Mutex<Element>,
}

impl Hash {
    pub(crate) fn new(spec: &MapSpec, shared: &Arc<Shared>) -> Result<Self, CreateError> {
        let spare = shared.cpus.saturating_add(1);
        let table = Table::new(spec, stride(spec.value_size), spare, shared)?;
        let first = spec.max_entries;
        Ok(Self {
            table,
            value_size: spec.value_size as usize,
            spares: (first..).take(shared.cpus as usize).map(AtomicU32::new).collect(),
            host_spare: Mutex::new(Element(first + shared.cpus)),
        })
    }

    pub(crate) fn key_size(&self) -> usize {
        self.table.key_size()
    }

    pub(crate) fn value_size(&self) -> usize {
        self.value_size
    }

    pub(crate) fn len(&self) -> u32 {
        self.table.len()
    }

    pub(crate) fn buckets(&self) -> u64 {
        self.table.buckets()
    }

    #[inline]
    pub(crate) fn lookup(&self, key: Lent<'_>) -> Option<*mut u8> {
        let element = self.table.find(self.table.key(key))?;
        Some(self.table.memory().at(self.table.tail(element)))
    }

    pub(crate) fn update(
        &self,
        key: Lent<'_>,
        value: Lent<'_>,
        flags: u64,
        caller: Caller,
    ) -> Result<(), Errno> {
        check_flags(flags)?;
        let key = self.table.key(key);
        let place = self.table.place(key);
        match place.element {
            Some(_) if flags == BPF_NOEXIST => Err(Errno::Exists),
            Some(old) => self.replace(place, old, key, value, caller),
            None if flags == BPF_EXIST => Err(Errno::NoEntry),
            None => {
                let element = self.table.take()?;
                self.fill(element, key, value, &place).inspect_err(|_| self.table.give(element))?;
                self.table.insert(place, element);
                Ok(())
            }
        }
    }

    fn replace(
        &self,
        place: Place<'_>,
        old: Element,
        key: Key<'_>,
        value: Lent<'_>,
        caller: Caller,
    ) -> Result<(), Errno> {
        match caller {
            Caller::Slot(slot) => {
                let spare = &self.spares[slot];
                let new = Element(spare.load(Ordering::Relaxed));
                self.fill(new, key, value, &place)?;
                self.table.replace(place, old, new);
                spare.store(old.0, Ordering::Relaxed);
            }
            Caller::Host => {
                let mut spare = self.host_spare.lock().unwrap_or_else(PoisonError::into_inner);
                self.fill(*spare, key, value, &place)?;
                self.table.replace(place, old, *spare);
                *spare = old;
            }
        }
        Ok(())
    }

    fn fill(&self, element: Element, key: Key<'_>, value: Lent<'_>, place: &Place<'_>) -> Result<(), Errno> {
        self.table.write_key(element, key, place)?;
        self.table.memory().write(self.table.tail(element), value);
        Ok(())
    }

    pub(crate) fn delete(&self, key: Lent<'_>) -> Result<(), Errno> {
        self.table.remove(self.table.key(key))
    }

    /// Copies a value out, while its bucket is locked: whole, unless a program writes into it.
    pub(crate) fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        let place = self.table.place(self.table.key(Lent::host(key)));
        place.element.map(|element| self.copy(element))
    }

    /// All elements of a bucket.
    pub(crate) fn read_bucket(&self, bucket: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.table.read_bucket(bucket, |key, element| (key, self.copy(element)))
    }

    fn copy(&self, element: Element) -> Vec<u8> {
        let mut value = vec![0; self.value_size];
        self.table.memory().read(self.table.tail(element), &mut value);
        value
    }
}
