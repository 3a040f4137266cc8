//! Maps: keys and values are as long as the map says.

use std::ffi::c_char;
use std::slice;

use brolga_runtime::{Instance, Keys, MapHandle, ProgramHandle, Update};

use crate::error::{EINVAL, ENOENT, fail, map_result, or_null};
use crate::{free, name, object};

/// # Safety
///
/// `len` bytes at `at` are readable; null stands for none.
pub(crate) unsafe fn bytes<'a>(at: *const u8, len: usize) -> &'a [u8] {
    if at.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(at, len) }
}

/// # Safety
///
/// A key of the map is readable at `at`.
unsafe fn key<'a>(map: &MapHandle, at: *const u8) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { bytes(at, map.key_size()) }
}

fn size(size: usize) -> u32 {
    u32::try_from(size).expect("sizes of maps have 32 bits")
}

/// See the header.
///
/// # Safety
///
/// The instance is null or valid, the name null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_find(instance: *const Instance, map: *const c_char) -> *mut MapHandle {
    // SAFETY: the caller's promise.
    let (instance, map) = unsafe { (object(instance), name(map)) };
    or_null(instance.zip(map).map(|(instance, map)| instance.map(map)))
}

/// See the header.
///
/// # Safety
///
/// Null, or a map that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_free(map: *mut MapHandle) {
    // SAFETY: the caller's promise.
    unsafe { free(map) }
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_key_size(map: *const MapHandle) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { object(map) }.map_or(0, |map| size(map.key_size()))
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_value_size(map: *const MapHandle) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { object(map) }.map_or(0, |map| size(map.value_size()))
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid, a key is readable and a value writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_lookup(map: *const MapHandle, at: *const u8, value: *mut u8) -> i32 {
    // SAFETY: the caller's promise.
    let Some(map) = (unsafe { object(map) }) else { return -EINVAL };
    // SAFETY: as above.
    match map.lookup(unsafe { key(map, at) }) {
        Ok(Some(found)) => {
            // SAFETY: as above.
            unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), value, found.len()) };
            0
        }
        Ok(None) => fail(ENOENT, "the map has no such key"),
        Err(error) => fail(error.errno(), &error),
    }
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid, a key is readable and a value for each CPU slot writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_lookup_percpu(
    map: *const MapHandle,
    at: *const u8,
    values: *mut u8,
) -> i32 {
    // SAFETY: the caller's promise.
    let Some(map) = (unsafe { object(map) }) else { return -EINVAL };
    // SAFETY: as above.
    match map.lookup_percpu(unsafe { key(map, at) }) {
        Ok(Some(found)) => {
            let found = found.concat();
            // SAFETY: as above.
            unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), values, found.len()) };
            0
        }
        Ok(None) => fail(ENOENT, "the map has no such key"),
        Err(error) => fail(error.errno(), &error),
    }
}

fn update(flags: u64) -> Option<Update> {
    [Update::Any, Update::NoExist, Update::Exist].get(usize::try_from(flags).ok()?).copied()
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid, a key and a value are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_update(
    map: *const MapHandle,
    at: *const u8,
    value: *const u8,
    flags: u64,
) -> i32 {
    // SAFETY: the caller's promise.
    let Some(map) = (unsafe { object(map) }) else { return -EINVAL };
    let Some(update) = update(flags) else { return fail(EINVAL, "no such flags") };
    // SAFETY: as above.
    let (key, value) = unsafe { (key(map, at), bytes(value, map.value_size())) };
    map_result(map.update(key, value, update))
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid, a key and a value for each CPU slot are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_update_percpu(
    map: *const MapHandle,
    at: *const u8,
    values: *const u8,
    flags: u64,
) -> i32 {
    // SAFETY: the caller's promise.
    let Some(map) = (unsafe { object(map) }) else { return -EINVAL };
    let Some(update) = update(flags) else { return fail(EINVAL, "no such flags") };
    let size = map.value_size();
    // SAFETY: as above.
    let (key, values) = unsafe { (key(map, at), bytes(values, size * map.cpus() as usize)) };
    map_result(map.update_percpu(key, &values.chunks(size).collect::<Vec<_>>(), update))
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid, a key is readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_delete(map: *const MapHandle, at: *const u8) -> i32 {
    // SAFETY: the caller's promise.
    let Some(map) = (unsafe { object(map) }) else { return -EINVAL };
    // SAFETY: as above.
    map_result(map.delete(unsafe { key(map, at) }))
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid, the program too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_set_program(
    map: *const MapHandle,
    index: u32,
    program: *const ProgramHandle,
) -> i32 {
    // SAFETY: the caller's promise.
    let Some(map) = (unsafe { object(map) }) else { return -EINVAL };
    // SAFETY: as above.
    map_result(match unsafe { program.as_ref() } {
        Some(program) => map.set_program(index, program),
        None => map.clear_program(index),
    })
}

/// See the header.
///
/// # Safety
///
/// The map is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_map_keys(map: *const MapHandle) -> *mut Keys {
    // SAFETY: the caller's promise.
    let map = unsafe { object(map) };
    map.map_or(std::ptr::null_mut(), |map| Box::into_raw(Box::new(map.keys())))
}

/// See the header.
///
/// # Safety
///
/// The keys are null or valid and not used by another thread; a key is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_keys_next(keys: *mut Keys, at: *mut u8) -> bool {
    // SAFETY: the caller's promise.
    let Some(key) = unsafe { keys.as_mut() }.and_then(Iterator::next) else { return false };
    // SAFETY: as above.
    unsafe { std::ptr::copy_nonoverlapping(key.as_ptr(), at, key.len()) };
    true
}

/// See the header.
///
/// # Safety
///
/// Null, or keys that were not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_keys_free(keys: *mut Keys) {
    // SAFETY: the caller's promise.
    unsafe { free(keys) }
}
