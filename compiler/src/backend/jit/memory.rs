//! Executable memory: the compiler's only unsafe code.
//!
//! Memory is writable or executable, never both. It is given back when the last [`JitCode`] of a
//! module is dropped; whoever keeps an address from it must keep the `JitCode` too.

#![expect(unsafe_code, reason = "function pointers into memory that was written by the code generator")]

use std::ffi::c_void;
use std::sync::Arc;

use brolga_abi::env::Entry;

/// Compiled programs of one module. Clones share the code.
#[derive(Clone, Debug)]
pub struct JitCode {
    functions: Arc<[(*const u8, *const u8)]>,
}

// SAFETY: code is immutable once it is executable.
unsafe impl Send for JitCode {}
// SAFETY: as above.
unsafe impl Sync for JitCode {}

impl JitCode {
    /// How many programs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The entry of a program, by its index among the units that were compiled.
    ///
    /// # Panics
    ///
    /// Where there is no such program.
    #[must_use]
    pub fn entry(&self, program: usize) -> Entry {
        // SAFETY: the address is a function's that was compiled with exactly this signature.
        unsafe { std::mem::transmute::<*const u8, Entry>(self.functions[program].0) }
    }

    /// The body of a program as tail calls reach it ([`brolga_abi::env::ProgEntry::body`]).
    ///
    /// # Panics
    ///
    /// Where there is no such program.
    #[must_use]
    pub fn body(&self, program: usize) -> *const c_void {
        self.functions[program].1.cast()
    }
}
