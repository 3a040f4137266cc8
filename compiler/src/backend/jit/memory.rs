//! Executable memory: the compiler's only unsafe code.
//!
//! Memory is writable or executable, never both. It is given back when the last [`JitCode`] of a
//! module is dropped; whoever keeps an address from it must keep the `JitCode` too.

#![expect(unsafe_code, reason = "function pointers into memory that was written by the code generator")]

use std::ffi::c_void;
use std::sync::Arc;

use brolga_abi::env::Entry;
use cranelift_jit::JITModule;

/// Compiled programs of one module. Clones share the code.
#[derive(Clone, Debug)]
pub struct JitCode {
    loaded: Arc<Loaded>,
}

struct Loaded {
    /// Taken when dropped.
    module: Option<JITModule>,
    /// Entry and body of each program.
    functions: Vec<(*const u8, *const u8)>,
}

// SAFETY: code is immutable once it is executable, and the module is only touched when dropped.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("functions", &self.functions).finish_non_exhaustive()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: every address came from `JitCode`, whose users keep a clone of it while they call
            // or could be called through one; this is the last.
            unsafe { module.free_memory() };
        }
    }
}

impl JitCode {
    /// From a finalized module and the addresses of its programs' entries and bodies.
    pub(super) fn new(module: JITModule, functions: Vec<(*const u8, *const u8)>) -> Self {
        Self { loaded: Arc::new(Loaded { module: Some(module), functions }) }
    }

    /// How many programs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.loaded.functions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loaded.functions.is_empty()
    }

    /// The entry of a program, by its index among the units that were compiled.
    ///
    /// # Panics
    ///
    /// Where there is no such program.
    #[must_use]
    pub fn entry(&self, program: usize) -> Entry {
        // SAFETY: the address is a function's that was compiled with exactly this signature.
        unsafe { std::mem::transmute::<*const u8, Entry>(self.loaded.functions[program].0) }
    }

    /// The body of a program as tail calls reach it ([`brolga_abi::env::ProgEntry::body`]).
    ///
    /// # Panics
    ///
    /// Where there is no such program.
    #[must_use]
    pub fn body(&self, program: usize) -> *const c_void {
        self.loaded.functions[program].1.cast()
    }
}
