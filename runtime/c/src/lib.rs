//! Brolga's runtime as a static library with a C header (`include/brolga.h`, which documents it).
//!
//! Thin: each function turns pointers into the types of `brolga-runtime`, calls one method and turns
//! the result into a number. A null pointer for an object is refused with `-EINVAL`; a pointer to
//! anything else than the header says is the caller's mistake and cannot be told. A panic ends the process: none
//! may cross into C.

#![expect(unsafe_code, reason = "a C interface")]

mod error;
mod map;
mod run;
mod test_run;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_void};
use std::num::NonZeroU32;
use std::sync::Arc;

use brolga_abi::descriptor::Descriptor;
use brolga_runtime::{Instance, Module, ProgramHandle, Runtime, RuntimeOptions, Trace, Worker};

use error::{EINVAL, fail, or_null};

/// `struct brolga_options`
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// CPU slots.
    pub cpus: u32,
    /// Takes what `bpf_trace_printk` prints.
    pub trace: Option<unsafe extern "C" fn(user: *mut c_void, text: *const c_char, len: usize)>,
    /// Handed to `trace`.
    pub user: *mut c_void,
}

/// A trace function and what it is called with.
struct Callback {
    function: unsafe extern "C" fn(*mut c_void, *const c_char, usize),
    user: *mut c_void,
}

// SAFETY: the header says that the function is called by any worker's thread.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

impl Callback {
    fn call(&self, text: &str) {
        // SAFETY: the caller of `brolga_runtime_new` gave the two together.
        unsafe { (self.function)(self.user, text.as_ptr().cast(), text.len()) }
    }
}

/// # Safety
///
/// Null, or an object of this type that was not freed.
unsafe fn object<'a, T>(object: *const T) -> Option<&'a T> {
    // SAFETY: the caller's promise.
    let object = unsafe { object.as_ref() };
    if object.is_none() {
        fail(EINVAL, "a null pointer was given for an object");
    }
    object
}

/// # Safety
///
/// Null, or NUL-terminated.
unsafe fn name<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        fail(EINVAL, "a null pointer was given for a name");
        return None;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(name) }.to_str();
    text.map_err(|_| fail(EINVAL, "a name is not UTF-8")).ok()
}

/// # Safety
///
/// Null, or made by a function of this library and not freed yet.
unsafe fn free<T>(object: *mut T) {
    if !object.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(object) });
    }
}

/// See the header.
///
/// # Safety
///
/// `options` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_runtime_new(options: *const Options) -> *mut Runtime {
    // SAFETY: the caller's promise.
    let options = unsafe { options.as_ref() };
    let mut chosen = RuntimeOptions::default();
    if let Some(options) = options {
        let Some(cpus) = NonZeroU32::new(options.cpus) else {
            fail(EINVAL, "a runtime has at least one CPU slot");
            return std::ptr::null_mut();
        };
        chosen.cpus = cpus;
        if let Some(function) = options.trace {
            let callback = Callback { function, user: options.user };
            chosen.trace = Trace::Callback(Arc::new(move |text| callback.call(text)));
        }
    }
    Box::into_raw(Box::new(Runtime::new(chosen)))
}

/// See the header.
///
/// # Safety
///
/// Null, or a runtime that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_runtime_free(runtime: *mut Runtime) {
    // SAFETY: the caller's promise.
    unsafe { free(runtime) }
}

/// See the header.
///
/// # Safety
///
/// Null, or a runtime that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_worker_new(runtime: *const Runtime) -> *mut Worker {
    // SAFETY: the caller's promise.
    let runtime = unsafe { object(runtime) };
    or_null(runtime.map(Runtime::worker))
}

/// See the header.
///
/// # Safety
///
/// Null, or a worker that was not freed and does not run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_worker_free(worker: *mut Worker) {
    // SAFETY: the caller's promise.
    unsafe { free(worker) }
}

/// See the header.
///
/// # Safety
///
/// Objects are null or valid; the descriptor is null, or was emitted by Brolga's compiler and stays where it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_instance_new(
    runtime: *const Runtime,
    descriptor: *const Descriptor,
) -> *mut Instance {
    // SAFETY: the caller's promise.
    let (runtime, descriptor) = unsafe { (object(runtime), object::<Descriptor>(descriptor)) };
    let (Some(runtime), Some(descriptor)) = (runtime, descriptor) else { return std::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let module = match unsafe { Module::from_descriptor(descriptor) } {
        Ok(module) => module,
        Err(error) => {
            fail(EINVAL, &error);
            return std::ptr::null_mut();
        }
    };
    or_null(Some(Instance::new(runtime, &module)))
}

/// See the header.
///
/// # Safety
///
/// Null, or an instance that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_instance_free(instance: *mut Instance) {
    // SAFETY: the caller's promise.
    unsafe { free(instance) }
}

/// See the header.
///
/// # Safety
///
/// The instance is null or valid, the name null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_program_find(
    instance: *const Instance,
    program: *const c_char,
) -> *mut ProgramHandle {
    // SAFETY: the caller's promise.
    let (instance, program) = unsafe { (object(instance), name(program)) };
    or_null(instance.zip(program).map(|(instance, program)| instance.program(program)))
}

/// See the header.
///
/// # Safety
///
/// Null, or a program that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_program_free(program: *mut ProgramHandle) {
    // SAFETY: the caller's promise.
    unsafe { free(program) }
}

/// Reads a variable of global data: see the header.
///
/// # Safety
///
/// Objects and the name are null or valid; `len` bytes at `value` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_global_read(
    instance: *const Instance,
    global: *const c_char,
    value: *mut u8,
    len: usize,
) -> i32 {
    // SAFETY: the caller's promise.
    let (instance, global) = unsafe { (object(instance), name(global)) };
    let Some((instance, global)) = instance.zip(global) else { return -EINVAL };
    let global = match instance.global(global) {
        Ok(global) => global,
        Err(error) => return fail(error::ENOENT, &error),
    };
    if global.size() != len {
        return fail(EINVAL, format_args!("the variable has {} bytes, not {len}", global.size()));
    }
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(global.read().as_ptr(), value, len) };
    0
}

/// Writes a variable of global data: see the header.
///
/// # Safety
///
/// Objects and the name are null or valid; `len` bytes at `value` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_global_write(
    instance: *const Instance,
    global: *const c_char,
    value: *const u8,
    len: usize,
) -> i32 {
    // SAFETY: the caller's promise.
    let (instance, global) = unsafe { (object(instance), name(global)) };
    let Some((instance, global)) = instance.zip(global) else { return -EINVAL };
    match instance.global(global) {
        // SAFETY: the caller's promise.
        Ok(global) => error::map_result(global.write(unsafe { map::bytes(value, len) })),
        Err(error) => fail(error::ENOENT, &error),
    }
}
