//! The environment of one run, and the instance tables that it leads to.
//!
//! Compiled code holds no address of maps or globals. It reads them through [`Env::maps`], so
//! that one code serves many instances and threads.

use core::ffi::c_void;
use core::mem::offset_of;

/// What one run works with. Owned by the worker that runs it.
#[derive(Debug)]
#[repr(C)]
pub struct Env {
    /// The maps of the instance whose program runs now: one [`MapRef`] a map, in the order of the
    /// object's maps.
    pub maps: *const MapRef,
    /// The CPU slot of the worker.
    pub cpu: u32,
    /// Tail calls made so far in this run. Linux allows 33.
    pub tail_calls: u32,
    /// [`crate::trap::Trap`] as a number.
    pub trap: u32,
    /// Keeps `worker` aligned; always 0.
    pub reserved: u32,
    /// The runtime's own state of the worker. Compiled code only hands it on.
    pub worker: *mut c_void,
    /// The native context of the run, for helpers that need it while `r1` is something else.
    pub context: *mut c_void,
}

/// How compiled code reaches one map of an instance.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MapRef {
    /// The map itself, as helpers take it: what `r1` holds after `r1 = map[m]`.
    pub handle: *const c_void,
    /// Array kinds: the first element (per-CPU kinds: slot 0's first element; `prog_array`: the
    /// first [`ProgSlot`]). Null for other kinds.
    pub data: *mut u8,
}

/// One entry of a `prog_array`, read by compiled tail calls.
///
/// A slot is a pointer to a [`ProgEntry`], or null; it is read with one acquire load.
pub type ProgSlot = *const ProgEntry;

/// A program as a tail call reaches it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ProgEntry {
    /// The program's body: `CallConv::Tail`, `(r1..r5, env) -> u64`.
    pub body: *const c_void,
    /// The maps of the instance to which the program belongs.
    pub maps: *const MapRef,
}

/// Tail calls allowed in one run: Linux's `MAX_TAIL_CALL_CNT`.
pub const MAX_TAIL_CALLS: u32 = 33;

/// The entry that each compiled program exports.
pub type Entry = unsafe extern "C" fn(context: *mut c_void, env: *mut Env) -> u64;

/// Offset of [`Env::maps`].
pub const ENV_MAPS: i32 = offset_of!(Env, maps) as i32;
/// Offset of [`Env::cpu`].
pub const ENV_CPU: i32 = offset_of!(Env, cpu) as i32;
/// Offset of [`Env::tail_calls`].
pub const ENV_TAIL_CALLS: i32 = offset_of!(Env, tail_calls) as i32;
/// Offset of [`Env::trap`].
pub const ENV_TRAP: i32 = offset_of!(Env, trap) as i32;
/// Bytes of one [`MapRef`].
pub const MAP_REF_SIZE: i32 = size_of::<MapRef>() as i32;
/// Offset of [`MapRef::handle`].
pub const MAP_REF_HANDLE: i32 = offset_of!(MapRef, handle) as i32;
/// Offset of [`MapRef::data`].
pub const MAP_REF_DATA: i32 = offset_of!(MapRef, data) as i32;
/// Offset of [`ProgEntry::body`].
pub const PROG_ENTRY_BODY: i32 = offset_of!(ProgEntry, body) as i32;
/// Offset of [`ProgEntry::maps`].
pub const PROG_ENTRY_MAPS: i32 = offset_of!(ProgEntry, maps) as i32;
