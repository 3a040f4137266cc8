//! A runtime: CPU slots, a clock, random numbers, a trace, and memory for maps.
//!
//! It runs nothing by itself and has no threads.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::RuntimeError;
use crate::options::{Clock, RuntimeOptions, Seed, Trace};
use crate::random::Random;
use crate::sync::{Epochs, Region};
use crate::worker::Worker;

/// Where programs run: a fixed number of CPU slots and what all instances share. Clones are the
/// same runtime.
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
}

/// What workers and instances of one runtime have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cpus: u32,
    pub(crate) clock: Clock,
    pub(crate) trace: Trace,
    pub(crate) epochs: Epochs,
    random: Mutex<Random>,
    taken: Box<[AtomicBool]>,
    memory_limit: u64,
    memory_used: AtomicU64,
    /// Addresses and lengths of all memory of maps.
    ranges: Mutex<BTreeMap<usize, usize>>,
    /// Makes numbers that stand for pointers.
    pub(crate) disguise: u64,
}

impl Runtime {
    /// A runtime with the given options.
    #[must_use]
    pub fn new(options: RuntimeOptions) -> Self {
        let cpus = options.cpus.get();
        let mut random = match options.seed {
            Seed::Random => Random::from_process(),
            Seed::Fixed(seed) => Random::new(seed),
        };
        let disguise = random.next();
        Self {
            shared: Arc::new(Shared {
                cpus,
                clock: options.clock,
                trace: options.trace,
                epochs: Epochs::new(cpus),
                random: Mutex::new(random),
                taken: (0..cpus).map(|_| AtomicBool::new(false)).collect(),
                memory_limit: options.map_memory,
                memory_used: AtomicU64::new(0),
                ranges: Mutex::new(BTreeMap::new()),
                disguise,
            }),
        }
    }

    /// A worker that owns a free CPU slot, the lowest one, until it is dropped.
    ///
    /// # Errors
    ///
    /// All slots have workers.
    pub fn worker(&self) -> Result<Worker, RuntimeError> {
        let free = self.shared.taken.iter().position(|taken| !taken.swap(true, Ordering::Acquire));
        let slot = free.ok_or(RuntimeError::NoFreeSlot { cpus: self.shared.cpus })?;
        Ok(Worker::new(Arc::clone(&self.shared), slot))
    }

    /// How many CPU slots there are.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.shared.cpus
    }

    /// Bytes that maps take at present.
    #[must_use]
    pub fn map_memory(&self) -> u64 {
        self.shared.memory_used.load(Ordering::Relaxed)
    }
}

impl Default for Runtime {
    /// A runtime with one CPU slot.
    fn default() -> Self {
        Self::new(RuntimeOptions::default())
    }
}

impl Shared {
    /// Gives a slot back. The worker that had it runs no more.
    pub(crate) fn release(&self, slot: usize) {
        self.taken[slot].store(false, Ordering::Release);
    }

    /// A number to start a generator or a hash with.
    pub(crate) fn seed(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Zeroed memory for a map, or `None` where the limit or the system does not allow it.
    pub(crate) fn map_memory(self: &Arc<Self>, bytes: u64) -> Option<MapMemory> {
        let len = usize::try_from(bytes).ok()?;
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.memory_limit);
        self.memory_used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let mut listing = Listing { shared: Arc::clone(self), bytes, at: None };
        let region = Region::zeroed(len)?;
        listing.at = Some(region.at(0).addr());
        self.ranges().insert(region.at(0).addr(), region.len());
        Some(MapMemory { _listing: listing, region })
    }

    #[expect(unsafe_code, reason = "reads memory by an address that it looked up")]
    /// Copies bytes of maps, up to `len`, or none where no map has the address.
    pub(crate) fn read_map_memory(&self, address: usize, len: usize) -> Vec<u8> {
        let ranges = self.ranges();
        let Some((at, size)) = ranges.range(..=address).next_back() else { return Vec::new() };
        let len = (at + size).saturating_sub(address).min(len);
        // SAFETY: the bytes lie in a region of the list, which is locked here; a region is taken
        // off the list before it is freed.
        unsafe { crate::sync::copy_shared(address, len) }
    }

    fn ranges(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, usize>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory of a map: counted and listed until it is dropped.
#[derive(Debug)]
pub(crate) struct MapMemory {
    // Dropped first: no one finds the region once it is freed.
    _listing: Listing,
    region: Region,
}

impl Deref for MapMemory {
    type Target = Region;

    #[inline]
    fn deref(&self) -> &Region {
        &self.region
    }
}

#[derive(Debug)]
struct Listing {
    shared: Arc<Shared>,
    bytes: u64,
    at: Option<usize>,
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(at) = self.at {
            self.shared.ranges().remove(&at);
        }
        self.shared.memory_used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_owns_its_slot_until_it_is_dropped() {
        let runtime = Runtime::new(RuntimeOptions::with_cpus(2));
        let first = runtime.worker().expect("slot 0 is free");
        let second = runtime.worker().expect("slot 1 is free");
        assert_eq!((first.slot(), second.slot()), (0, 1));
        assert_eq!(runtime.worker().err(), Some(RuntimeError::NoFreeSlot { cpus: 2 }));
        drop(first);
        assert_eq!(runtime.worker().expect("slot 0 is free again").slot(), 0);
    }

    #[test]
    fn fixed_seeds_repeat() {
        let options = || RuntimeOptions { seed: Seed::Fixed(7), ..RuntimeOptions::default() };
        let (a, b) = (Runtime::new(options()), Runtime::new(options()));
        assert_eq!(a.shared.seed(), b.shared.seed());
    }
}
