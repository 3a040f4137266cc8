//! The airlock between Rust and memory that compiled programs share with it.
//!
//! Programs read and write map values at any moment, on other threads, through plain loads and
//! stores. So no reference into such memory is ever made here: a [`Region`] is read and written by
//! word atomics, and a [`Lent`] (bytes that a program or the host lends for one call) is read by
//! unaligned volatile loads. A value that is read while a program writes it may mix old and new words;
//! nothing else can come of it.
//!
//! Lifetimes across runs are kept by [`Epochs`]: a run is a read section, and what a run may have
//! seen is freed only after all runs that began before have ended.

#![expect(unsafe_code, reason = "memory that is shared with compiled programs")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

/// Alignment of a [`Region`]: two cache lines, which some machines fetch together.
const REGION_ALIGN: usize = 128;

/// Zeroed memory at a fixed address, shared with programs.
#[derive(Debug)]
pub(crate) struct Region {
    allocation: NonNull<u8>,
    layout: Layout,
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is only accessed by atomics and through raw pointers.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Zeroed memory of at least `len` bytes, rounded up to words. `None` where there is none.
    ///
    /// Pages are provided by the system when they are first touched.
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        let len = len.checked_next_multiple_of(8)?;
        // A request of plain alignment is answered by `calloc`, which leaves fresh pages
        // untouched; a greater alignment would write all of them.
        let layout = Layout::from_size_align(len.checked_add(REGION_ALIGN)?, 16).ok()?;
        // SAFETY: the layout's size is not zero.
        let allocation = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        let pad = allocation.as_ptr().align_offset(REGION_ALIGN);
        assert!(pad < REGION_ALIGN, "a byte pointer can be aligned");
        // SAFETY: `pad` is less than the bytes that were added to `len`.
        let base = unsafe { allocation.add(pad) };
        Some(Self { allocation, layout, base, len })
    }

    /// Bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of a byte, as programs take it.
    #[inline]
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.len, "offset lies in the region");
        // SAFETY: the offset lies in the allocation, just checked.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// A word.
    #[inline]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset < self.len, "an aligned word of the region");
        // SAFETY: aligned and inside, just checked; the length is whole words. The memory lives as
        // long as `self` and is accessed by atomics only, as far as Rust goes.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// Copies bytes out, by the widest aligned atomic loads that fit.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) {
        let end = offset.checked_add(out.len()).expect("offset of the region");
        assert!(end <= self.len, "bytes lie in the region");
        let mut at = 0;
        while at < out.len() {
            let here = offset + at;
            let width = chunk(here, out.len() - at);
            // SAFETY: `width` bytes at `here` are inside and aligned to `width`.
            let bytes = unsafe {
                let from = self.base.as_ptr().add(here);
                match width {
                    8 => AtomicU64::from_ptr(from.cast()).load(Ordering::Relaxed).to_ne_bytes(),
                    4 => widen(AtomicU32::from_ptr(from.cast()).load(Ordering::Relaxed).to_ne_bytes()),
                    2 => widen(AtomicU16::from_ptr(from.cast()).load(Ordering::Relaxed).to_ne_bytes()),
                    _ => widen([AtomicU8::from_ptr(from).load(Ordering::Relaxed)]),
                }
            };
            out[at..at + width].copy_from_slice(&bytes[..width]);
            at += width;
        }
    }

    /// Copies bytes in, by the widest aligned atomic stores that fit.
    pub(crate) fn write(&self, offset: usize, bytes: Lent<'_>) {
        let end = offset.checked_add(bytes.len).expect("offset of the region");
        assert!(end <= self.len, "bytes lie in the region");
        let mut at = 0;
        while at < bytes.len {
            let here = offset + at;
            let width = chunk(here, bytes.len - at);
            // SAFETY: `width` bytes at `here` are inside and aligned to `width`; as many are lent.
            unsafe {
                let to = self.base.as_ptr().add(here);
                let from = bytes.ptr.add(at);
                match width {
                    8 => AtomicU64::from_ptr(to.cast())
                        .store(from.cast::<u64>().read_unaligned(), Ordering::Relaxed),
                    4 => AtomicU32::from_ptr(to.cast())
                        .store(from.cast::<u32>().read_unaligned(), Ordering::Relaxed),
                    2 => AtomicU16::from_ptr(to.cast())
                        .store(from.cast::<u16>().read_unaligned(), Ordering::Relaxed),
                    _ => AtomicU8::from_ptr(to).store(from.read(), Ordering::Relaxed),
                }
            }
            at += width;
        }
    }

    /// Zeroes bytes.
    pub(crate) fn zero(&self, offset: usize, len: usize) {
        assert!(offset.is_multiple_of(8) && len.is_multiple_of(8), "whole words");
        for at in (offset..offset + len).step_by(8) {
            self.word(at).store(0, Ordering::Relaxed);
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout and freed once.
        unsafe { dealloc(self.allocation.as_ptr(), self.layout) }
    }
}

/// The widest aligned access at an offset that reads no more than `left` bytes.
#[inline]
fn chunk(offset: usize, left: usize) -> usize {
    [8, 4, 2].into_iter().find(|w| offset.is_multiple_of(*w) && left >= *w).unwrap_or(1)
}

fn widen<const N: usize>(bytes: [u8; N]) -> [u8; 8] {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(&bytes);
    wide
}

/// Bytes that a program or the host lends for one call.
///
/// A program's bytes may be changed by another thread meanwhile; each read sees what is there then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent<'a> {
    ptr: *const u8,
    len: usize,
    lender: PhantomData<&'a [u8]>,
}

impl<'a> Lent<'a> {
    /// Bytes of the host.
    #[inline]
    pub(crate) fn host(bytes: &'a [u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len(), lender: PhantomData }
    }

    /// Bytes of a program.
    ///
    /// # Safety
    ///
    /// `len` bytes at `ptr` are readable as long as `'a` lasts.
    #[inline]
    pub(crate) unsafe fn program(ptr: *const u8, len: usize) -> Self {
        Self { ptr, len, lender: PhantomData }
    }

    /// Bytes.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// The `i`th word; bytes past the end are zero.
    #[inline]
    pub(crate) fn word(self, i: usize) -> u64 {
        let at = i * 8;
        assert!(at < self.len, "a word of the lent bytes");
        let left = self.len - at;
        // SAFETY: at least `left` bytes are readable there.
        unsafe {
            let from = self.ptr.add(at);
            match left {
                8.. => from.cast::<u64>().read_unaligned(),
                4 => u64::from_ne_bytes(widen(from.cast::<u32>().read_unaligned().to_ne_bytes())),
                _ => {
                    let mut bytes = [0; 8];
                    for (k, byte) in bytes.iter_mut().enumerate().take(left) {
                        *byte = from.add(k).read();
                    }
                    u64::from_ne_bytes(bytes)
                }
            }
        }
    }

    /// The first four bytes as a number: an array's key.
    #[inline]
    pub(crate) fn index(self) -> u32 {
        assert!(self.len >= 4, "an array's key has 4 bytes");
        // SAFETY: four bytes are readable, just checked.
        unsafe { self.ptr.cast::<u32>().read_unaligned() }
    }

    /// Copies all bytes.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        // SAFETY: as many bytes are readable as were just allocated, and the two do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.ptr, bytes.as_mut_ptr(), self.len) };
        bytes
    }
}

/// Copies bytes of map memory by address.
///
/// # Safety
///
/// As many bytes of a live [`Region`] are at the address.
pub(crate) unsafe fn copy_shared(address: usize, len: usize) -> Vec<u8> {
    // SAFETY: the caller's promise.
    unsafe { Lent::program(std::ptr::with_exposed_provenance(address), len) }.to_vec()
}

/// A lock for sections of a few dozen instructions, whose word counts them: a reader that sees
/// the same even count before and after knows that nothing changed in between.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct SeqLock(AtomicU64);

impl SeqLock {
    /// Takes the lock; it is given back when the guard is dropped.
    #[inline]
    pub(crate) fn lock(&self) -> SeqGuard<'_> {
        let mut tries = 0_u32;
        loop {
            let count = self.0.load(Ordering::Relaxed);
            let free = count.is_multiple_of(2);
            if free
                && self
                    .0
                    .compare_exchange_weak(count, count + 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return SeqGuard(self);
            }
            tries += 1;
            if tries < 100 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }

    /// Begins to read without the lock. `None` while somebody has it.
    #[inline]
    pub(crate) fn begin(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Acquire)).filter(|count| count.is_multiple_of(2))
    }

    /// Whether nobody took the lock since [`SeqLock::begin`].
    #[inline]
    pub(crate) fn unchanged(&self, since: u64) -> bool {
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == since
    }
}

/// A held [`SeqLock`].
#[derive(Debug)]
pub(crate) struct SeqGuard<'a>(&'a SeqLock);

impl Drop for SeqGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Release);
    }
}

/// The epoch that a CPU slot is in; 0 outside of read sections.
#[derive(Debug, Default)]
#[repr(align(128))]
struct SlotEpoch(AtomicU64);

/// Read sections of all CPU slots, and what waits for them to end.
///
/// A section is entered with one full fence. Within a series of runs the section is only renewed
/// ([`Epochs::renew`]), which costs two loads: between two runs of a series nothing of the earlier one is held.
pub(crate) struct Epochs {
    global: AtomicU64,
    slots: Box<[SlotEpoch]>,
    waiting: AtomicUsize,
    limbo: Mutex<Vec<(u64, Box<dyn Send>)>>,
}

impl std::fmt::Debug for Epochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epochs").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Epochs {
    /// Epochs of a number of slots, all outside of sections.
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            global: AtomicU64::new(1),
            slots: (0..slots).map(|_| SlotEpoch::default()).collect(),
            waiting: AtomicUsize::new(0),
            limbo: Mutex::new(Vec::new()),
        }
    }

    /// Begins a read section of a slot. Only the slot's owner may call it.
    #[inline]
    pub(crate) fn enter(&self, slot: usize) {
        let now = self.global.load(Ordering::Acquire);
        self.slots[slot].0.store(now, Ordering::Relaxed);
        // The announcement must be seen before anything that the section reads.
        fence(Ordering::SeqCst);
    }

    /// Ends one run of a section and begins the next.
    #[inline]
    pub(crate) fn renew(&self, slot: usize) {
        let now = self.global.load(Ordering::Acquire);
        let mine = &self.slots[slot].0;
        if mine.load(Ordering::Relaxed) != now {
            mine.store(now, Ordering::Release);
        }
    }

    /// Ends a read section.
    #[inline]
    pub(crate) fn exit(&self, slot: usize) {
        self.slots[slot].0.store(0, Ordering::Release);
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.collect();
        }
    }

    /// The epoch after which something that was just made unreachable may be reused.
    pub(crate) fn mark(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.global.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether all sections that began before [`Epochs::mark`] gave `mark` have ended.
    pub(crate) fn passed(&self, mark: u64) -> bool {
        fence(Ordering::SeqCst);
        self.slots.iter().all(|slot| {
            let at = slot.0.load(Ordering::Acquire);
            at == 0 || at >= mark
        })
    }

    /// Drops something that was made unreachable, once no run can hold it any more.
    pub(crate) fn retire(&self, garbage: Box<dyn Send>) {
        let mark = self.mark();
        self.limbo.lock().unwrap_or_else(PoisonError::into_inner).push((mark, garbage));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.collect();
    }

    /// Drops what no run can hold any more.
    pub(crate) fn collect(&self) {
        let Ok(mut limbo) = self.limbo.try_lock() else { return };
        let mut free = Vec::new();
        let mut i = 0;
        while i < limbo.len() {
            if self.passed(limbo[i].0) {
                free.push(limbo.swap_remove(i));
            } else {
                i += 1;
            }
        }
        drop(limbo);
        self.waiting.fetch_sub(free.len(), Ordering::Relaxed);
        // What is dropped here may retire more; the lock is free again.
        drop(free);
    }
}
