//! The hash table under `hash` and `percpu_hash`: keys to elements at fixed addresses.
//!
//! Layout: buckets are chains of elements. A link is one word: the next element's index plus one in
//! the low half, and the high half of the *next* element's hash in the high half, so that a lookup
//! visits only elements that very likely match. 0 ends a chain.
//!
//! Concurrency: writers lock a stripe of buckets; readers lock nothing. An element that was removed
//! keeps its link and content until it is used again, which may be at once, so a reader that stands
//! on it may be led into another chain, or past what it looks for. What it finds is right all the
//! same, since it compares the key; what it does not find in a chain with elements, it looks for
//! again while it watches the stripe's count of changes. So no lookup misses a key that is there all
//! the time, even while it is being replaced. What a reader can get wrong, as on Linux: a value
//! whose element is used for another key while the value is read.
//!
//! Memory of elements that were never used is never touched, so maps without preallocation
//! (`BPF_F_NO_PREALLOC`) need no other layout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::Errno;
use super::array::allocate;
use super::create::CreateError;
use crate::module::MapSpec;
use crate::random::mix;
use crate::runtime::{MapMemory, Shared};
use crate::sync::{Lent, Region, SeqGuard, SeqLock};

/// Offset of an element's link to the next one.
const LINK: usize = 0;
/// Offset of the index of the next free element.
const NEXT_FREE: usize = 8;
/// Offset of an element's key.
const KEY: usize = 16;
/// Lookups that were disturbed this often take the lock.
const TRIES: u32 = 32;

/// Index of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element(pub(super) u32);

/// A key, read from its lender once where it is short.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    One(u64),
    Two(u64, u64),
    Many(Lent<'a>),
}

pub(super) struct Table {
    heads: MapMemory,
    elements: MapMemory,
    stride: usize,
    key_size: usize,
    /// Offset of the bytes after the key.
    value: usize,
    mask: u64,
    seed: [u64; 2],
    locks: Box<[SeqLock]>,
    lock_mask: u64,
    pool: Pool,
    max_entries: u32,
}

/// Elements that are in no chain. One cache line of its own.
#[repr(align(128))]
struct Pool {
    /// The first free element's index plus one, below a counter that changes with every change.
    free: AtomicU64,
    /// Elements from here on were never used.
    fresh: AtomicU32,
    /// Elements in chains, or about to be.
    count: AtomicU32,
}

/// Where a key is, or would be, in a locked bucket.
pub(super) struct Place<'t> {
    _lock: SeqGuard<'t>,
    hash: u64,
    /// The link that leads to the element, where there is one.
    link: &'t AtomicU64,
    pub(super) element: Option<Element>,
}

impl Table {
    /// A table for a definition that was checked. `tail` bytes follow each key; `spare` elements
    /// beyond `max_entries` are never given out by [`Table::insert`].
    pub(super) fn new(
        spec: &MapSpec,
        tail: usize,
        spare: u32,
        shared: &Arc<Shared>,
    ) -> Result<Self, CreateError> {
        // At most half full: most keys that are not there then meet an empty bucket.
        let buckets = (u64::from(spec.max_entries) * 2).next_power_of_two();
        let key_size = spec.key_size as usize;
        let value = KEY + key_size.next_multiple_of(8);
        let stride = value + tail;
        let elements = u64::from(spec.max_entries) + u64::from(spare);
        let heads = allocate(buckets * 8, shared)?;
        let elements = allocate(elements.saturating_mul(stride as u64), shared)?;
        let locks = buckets.min(u64::from(shared.cpus).next_power_of_two().saturating_mul(8).min(1024));
        Ok(Self {
            heads,
            elements,
            stride,
            key_size,
            value,
            mask: buckets - 1,
            seed: [shared.seed(), shared.seed() | 1],
            locks: (0..locks).map(|_| SeqLock::default()).collect(),
            lock_mask: locks - 1,
            pool: Pool { free: AtomicU64::new(0), fresh: AtomicU32::new(0), count: AtomicU32::new(0) },
            max_entries: spec.max_entries,
        })
    }

    pub(super) fn key_size(&self) -> usize {
        self.key_size
    }

    pub(super) fn len(&self) -> u32 {
        self.pool.count.load(Ordering::Relaxed)
    }

    pub(super) fn buckets(&self) -> u64 {
        self.mask + 1
    }

    fn at(&self, element: Element) -> usize {
        element.0 as usize * self.stride
    }

    /// Offset in [`Table::memory`] of the bytes that follow an element's key.
    #[inline]
    pub(super) fn tail(&self, element: Element) -> usize {
        self.at(element) + self.value
    }

    pub(super) fn memory(&self) -> &Region {
        &self.elements
    }

    #[inline]
    pub(super) fn key<'a>(&self, key: Lent<'a>) -> Key<'a> {
        assert!(key.len() == self.key_size, "a key of the map's size");
        match self.key_size {
            1..=8 => Key::One(key.word(0)),
            9..=16 => Key::Two(key.word(0), key.word(1)),
            _ => Key::Many(key),
        }
    }

    #[inline]
    fn hash(&self, key: Key<'_>) -> u64 {
        let [a, b] = self.seed;
        match key {
            Key::One(word) => mix(word ^ a, b),
            Key::Two(first, second) => mix(mix(first ^ a, b) ^ second, b),
            Key::Many(key) => self.hash_words(|i| key.word(i)),
        }
    }

    fn hash_words(&self, word: impl Fn(usize) -> u64) -> u64 {
        let [a, b] = self.seed;
        (0..self.key_size.div_ceil(8)).fold(a, |hash, i| mix(hash ^ word(i), b))
    }

    #[inline]
    fn key_word(&self, element: Element, i: usize) -> &AtomicU64 {
        self.elements.word(self.at(element) + KEY + i * 8)
    }

    #[inline]
    fn holds(&self, element: Element, key: Key<'_>) -> bool {
        let word = |i| self.key_word(element, i).load(Ordering::Relaxed);
        match key {
            Key::One(first) => word(0) == first,
            Key::Two(first, second) => word(0) == first && word(1) == second,
            Key::Many(key) => (0..self.key_size.div_ceil(8)).all(|i| word(i) == key.word(i)),
        }
    }

    fn head(&self, bucket: u64) -> &AtomicU64 {
        self.heads.word(usize::try_from(bucket * 8).expect("an index of memory that was allocated"))
    }

    fn link(&self, element: Element) -> &AtomicU64 {
        self.elements.word(self.at(element) + LINK)
    }

    /// Finds a key without locking.
    #[inline]
    pub(super) fn find(&self, key: Key<'_>) -> Option<Element> {
        let hash = self.hash(key);
        let first = self.head(hash & self.mask).load(Ordering::Acquire);
        if first == 0 {
            return None;
        }
        self.walk(first, hash, key).or_else(|| self.find_again(hash, key))
    }

    /// Looks for a key from a link on.
    #[inline]
    fn walk(&self, mut link: u64, hash: u64, key: Key<'_>) -> Option<Element> {
        while let Some(element) = Link(link).next() {
            if Link(link).tag() == tag(hash) && self.holds(element, key) {
                return Some(element);
            }
            link = self.link(element).load(Ordering::Acquire);
        }
        None
    }

    /// Finds a key, or makes sure that it is not there.
    #[inline(never)]
    fn find_again(&self, hash: u64, key: Key<'_>) -> Option<Element> {
        let bucket = hash & self.mask;
        let lock = self.stripe(bucket);
        for _ in 0..TRIES {
            let Some(count) = lock.begin() else { continue };
            let found = self.walk(self.head(bucket).load(Ordering::Acquire), hash, key);
            if found.is_some() || lock.unchanged(count) {
                return found;
            }
        }
        self.place_hashed(hash, key).element
    }

    /// Locks a key's bucket and finds the key in it.
    pub(super) fn place(&self, key: Key<'_>) -> Place<'_> {
        self.place_hashed(self.hash(key), key)
    }

    fn place_hashed(&self, hash: u64, key: Key<'_>) -> Place<'_> {
        let bucket = hash & self.mask;
        let lock = self.stripe(bucket).lock();
        let mut link = self.head(bucket);
        loop {
            let value = link.load(Ordering::Relaxed);
            let Some(element) = Link(value).next() else {
                return Place { _lock: lock, hash, link, element: None };
            };
            if Link(value).tag() == tag(hash) && self.holds(element, key) {
                return Place { _lock: lock, hash, link, element: Some(element) };
            }
            link = self.link(element);
        }
    }

    fn stripe(&self, bucket: u64) -> &SeqLock {
        let stripe = usize::try_from(bucket & self.lock_mask).expect("fewer than 1025 locks");
        &self.locks[stripe]
    }

    /// Takes an element for a new key, or says that the table is full. It is in no chain yet.
    pub(super) fn take(&self) -> Result<Element, Errno> {
        let limit = self.max_entries;
        let count = |count| (count < limit).then_some(count + 1);
        self.pool
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, count)
            .map_err(|_| Errno::TooBig)?;
        // Who is counted finds an element: as many are free as `count` is below the limit, though
        // one may just be on its way back.
        loop {
            if let Some(element) = self.pop().or_else(|| self.take_fresh()) {
                return Ok(element);
            }
            std::hint::spin_loop();
        }
    }

    /// Gives an element back that is in no chain.
    pub(super) fn give(&self, element: Element) {
        self.push(element);
        self.pool.count.fetch_sub(1, Ordering::AcqRel);
    }

    fn take_fresh(&self) -> Option<Element> {
        let next = |fresh| (fresh < self.max_entries).then_some(fresh + 1);
        self.pool.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(Element)
    }

    fn pop(&self) -> Option<Element> {
        let mut head = self.pool.free.load(Ordering::Acquire);
        loop {
            let element = Link(head).next()?;
            let next = self.elements.word(self.at(element) + NEXT_FREE).load(Ordering::Relaxed);
            let new = next | changed(head);
            match self.pool.free.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(element),
                Err(now) => head = now,
            }
        }
    }

    fn push(&self, element: Element) {
        let next_free = self.elements.word(self.at(element) + NEXT_FREE);
        let mut head = self.pool.free.load(Ordering::Relaxed);
        loop {
            next_free.store(head & LOW, Ordering::Relaxed);
            let new = (u64::from(element.0) + 1) | changed(head);
            match self.pool.free.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Writes a key into an element that is in no chain. Fails where the key's lender changed it
    /// since it was hashed: the element would be in the wrong bucket.
    pub(super) fn write_key(&self, element: Element, key: Key<'_>, place: &Place<'_>) -> Result<(), Errno> {
        // Whoever sees the new key also sees that the element was taken out of its old chain.
        fence(Ordering::Release);
        match key {
            Key::One(first) => self.key_word(element, 0).store(first, Ordering::Relaxed),
            Key::Two(first, second) => {
                self.key_word(element, 0).store(first, Ordering::Relaxed);
                self.key_word(element, 1).store(second, Ordering::Relaxed);
            }
            Key::Many(key) => {
                for i in 0..self.key_size.div_ceil(8) {
                    self.key_word(element, i).store(key.word(i), Ordering::Relaxed);
                }
                let hash = self.hash_words(|i| self.key_word(element, i).load(Ordering::Relaxed));
                if hash != place.hash {
                    return Err(Errno::Fault);
                }
            }
        }
        Ok(())
    }

    /// Makes an element, written in full, the first of the place's bucket.
    pub(super) fn insert(&self, place: Place<'_>, element: Element) {
        let head = self.head(place.hash & self.mask);
        self.link(element).store(head.load(Ordering::Relaxed), Ordering::Release);
        head.store(Link::to(element, place.hash).0, Ordering::Release);
    }

    /// Puts an element, written in full, where the place's element is.
    pub(super) fn replace(&self, place: Place<'_>, old: Element, new: Element) {
        let next = self.link(old).load(Ordering::Relaxed);
        self.link(new).store(next, Ordering::Release);
        place.link.store(Link::to(new, place.hash).0, Ordering::Release);
    }

    /// Removes a key. Its element may be used again at once.
    pub(super) fn remove(&self, key: Key<'_>) -> Result<(), Errno> {
        let place = self.place(key);
        let element = place.element.ok_or(Errno::NoEntry)?;
        place.link.store(self.link(element).load(Ordering::Relaxed), Ordering::Release);
        drop(place);
        self.give(element);
        Ok(())
    }

    /// Reads all elements of a bucket while it is locked.
    pub(super) fn read_bucket<T>(&self, bucket: u64, mut read: impl FnMut(Vec<u8>, Element) -> T) -> Vec<T> {
        let _lock = self.stripe(bucket).lock();
        let mut found = Vec::new();
        let mut link = self.head(bucket).load(Ordering::Acquire);
        while let Some(element) = Link(link).next() {
            let mut key = vec![0; self.key_size];
            self.elements.read(self.at(element) + KEY, &mut key);
            found.push(read(key, element));
            link = self.link(element).load(Ordering::Acquire);
        }
        found
    }
}

const LOW: u64 = 0xffff_ffff;

/// The high half of a hash, which links carry.
#[inline]
fn tag(hash: u64) -> u64 {
    hash >> 32
}

/// The counter in the high half of a free list's head, one further.
fn changed(head: u64) -> u64 {
    (head & !LOW).wrapping_add(1 << 32)
}

/// A word of a chain.
#[derive(Clone, Copy)]
struct Link(u64);

impl Link {
    fn to(element: Element, hash: u64) -> Self {
        Self((hash & !LOW) | (u64::from(element.0) + 1))
    }

    #[inline]
    fn next(self) -> Option<Element> {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is the index")]
        (self.0 as u32).checked_sub(1).map(Element)
    }

    #[inline]
    fn tag(self) -> u64 {
        self.0 >> 32
    }
}
