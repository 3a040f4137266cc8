//! `bpf_tail_call` as a call: it always fails.
//!
//! A tail call is a jump, and only compiled code can make it; the lowering does so and never calls
//! this. The symbol is there so that the helper table has no hole.

#![expect(unsafe_code, reason = "an unmangled symbol")]

use std::ffi::c_void;

use brolga_abi::env::Env;

use crate::maps::Errno;

/// `bpf_tail_call`: falls through, as where the slot is empty.
#[unsafe(no_mangle)]
pub extern "C" fn brolga_v1_tail_call(
    _env: *mut Env,
    _context: *mut c_void,
    _map: *const c_void,
    _index: u64,
) -> u64 {
    Errno::NoEntry.result()
}
