//! Map helpers: elements by key.
//!
//! A map argument is the address of a [`Map`] of the running instance; key and value are as long as
//! the map says. Values that are returned by address stay mapped as long as the instance lives.

#![expect(unsafe_code, reason = "called by compiled code with pointers that the verifier checked")]

use std::ffi::c_void;
use std::ptr;

use brolga_abi::env::Env;

use crate::maps::{Caller, Errno, Map};
use crate::sync::Lent;

/// The map behind a handle.
///
/// # Safety
///
/// `handle` is [`brolga_abi::env::MapRef::handle`] of the running instance.
#[inline]
unsafe fn map<'a>(handle: *const c_void) -> &'a Map {
    // SAFETY: the caller's promise; the run keeps the instance.
    unsafe { &*handle.cast::<Map>() }
}

/// # Safety
///
/// `key` points to readable bytes of the map's key size.
#[inline]
unsafe fn key<'a>(map: &Map, key: *const u8) -> Lent<'a> {
    // SAFETY: the caller's promise.
    unsafe { Lent::program(key, map.key_size()) }
}

/// # Safety
///
/// `env` is the running environment.
#[inline]
unsafe fn slot(env: *const Env) -> usize {
    // SAFETY: the caller's promise.
    unsafe { (*env).cpu as usize }
}

fn result(result: Result<(), Errno>) -> u64 {
    result.map_or_else(Errno::result, |()| 0)
}

/// `bpf_map_lookup_elem`
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_map_lookup_elem(
    env: *mut Env,
    handle: *const c_void,
    at: *const u8,
) -> *mut u8 {
    // SAFETY: verified arguments.
    let (map, slot) = unsafe { (map(handle), slot(env)) };
    // SAFETY: as above.
    map.lookup(unsafe { key(map, at) }, slot).unwrap_or(ptr::null_mut())
}

/// `bpf_map_update_elem`
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_map_update_elem(
    env: *mut Env,
    handle: *const c_void,
    at: *const u8,
    value: *const u8,
    flags: u64,
) -> u64 {
    // SAFETY: verified arguments.
    let (map, slot) = unsafe { (map(handle), slot(env)) };
    // SAFETY: as above.
    let (key, value) = unsafe { (key(map, at), Lent::program(value, map.value_size())) };
    result(map.update(key, value, flags, slot))
}

/// `bpf_map_delete_elem`
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_map_delete_elem(
    _env: *mut Env,
    handle: *const c_void,
    at: *const u8,
) -> u64 {
    // SAFETY: verified arguments.
    let map = unsafe { map(handle) };
    // SAFETY: as above.
    result(map.delete(unsafe { key(map, at) }))
}

/// `bpf_map_lookup_elem` in a map known to be a hash.
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_hash_lookup(
    _env: *mut Env,
    handle: *const c_void,
    at: *const u8,
) -> *mut u8 {
    // SAFETY: verified arguments.
    match unsafe { map(handle) } {
        // SAFETY: as above.
        Map::Hash(map) => map.lookup(unsafe { Lent::program(at, map.key_size()) }).unwrap_or(ptr::null_mut()),
        Map::Array(_) | Map::PerCpuArray(_) | Map::PerCpuHash(_) | Map::ProgArray(_) => ptr::null_mut(),
    }
}

/// `bpf_map_lookup_elem` in a map known to be a per-CPU hash.
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_percpu_hash_lookup(
    env: *mut Env,
    handle: *const c_void,
    at: *const u8,
) -> *mut u8 {
    // SAFETY: verified arguments.
    match unsafe { map(handle) } {
        Map::PerCpuHash(map) => {
            // SAFETY: as above.
            let (key, slot) = unsafe { (Lent::program(at, map.key_size()), slot(env)) };
            map.lookup(key, slot).unwrap_or(ptr::null_mut())
        }
        Map::Array(_) | Map::PerCpuArray(_) | Map::Hash(_) | Map::ProgArray(_) => ptr::null_mut(),
    }
}

/// `bpf_map_update_elem` in a map known to be a hash.
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_hash_update(
    env: *mut Env,
    handle: *const c_void,
    at: *const u8,
    value: *const u8,
    flags: u64,
) -> u64 {
    // SAFETY: verified arguments.
    match unsafe { map(handle) } {
        Map::Hash(map) => {
            // SAFETY: as above.
            let (key, value, slot) = unsafe {
                (Lent::program(at, map.key_size()), Lent::program(value, map.value_size()), slot(env))
            };
            result(map.update(key, value, flags, Caller::Slot(slot)))
        }
        Map::Array(_) | Map::PerCpuArray(_) | Map::PerCpuHash(_) | Map::ProgArray(_) => {
            Errno::Invalid.result()
        }
    }
}
