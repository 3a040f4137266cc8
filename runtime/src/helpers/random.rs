//! Random numbers and the CPU number.
//!
//! The numbers are fit for sampling and spreading, not for secrets: as Linux's, they are pseudo-random.

#![expect(unsafe_code, reason = "called by compiled code")]

use brolga_abi::env::Env;

use crate::worker::State;

/// `bpf_get_prandom_u32`
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_get_prandom_u32(env: *mut Env) -> u64 {
    // SAFETY: the environment of a run has its worker's state, of which only this run uses the
    // generator.
    let random = unsafe { &mut (*(*env).worker.cast::<State>()).random };
    random.next() >> 32
}

/// `bpf_get_smp_processor_id`: the worker's CPU slot.
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_get_smp_processor_id(env: *mut Env) -> u64 {
    // SAFETY: the environment of a run.
    unsafe { (*env).cpu.into() }
}
