//! Time helpers.
//!
//! Time is the runtime's, which the host may fix; programs that only measure get what they expect.

#![expect(unsafe_code, reason = "called by compiled code; asks the system for the time")]

use brolga_abi::env::Env;

use crate::options::Clock;
use crate::worker::State;

/// `bpf_ktime_get_ns`
///
/// # Safety
///
/// Called by verified code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_ktime_get_ns(env: *mut Env) -> u64 {
    // SAFETY: the environment of a run has its worker's state.
    let state = unsafe { &*(*env).worker.cast::<State>() };
    match &state.shared.clock {
        Clock::Monotonic => monotonic(),
        Clock::Fixed(ns) => *ns,
        Clock::Custom(clock) => clock(),
    }
}

fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the structure that it is given.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    debug_assert_eq!(failed, 0, "every system has a monotonic clock");
    let (seconds, nanoseconds): (i64, i64) = (time.tv_sec, time.tv_nsec);
    seconds.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(nanoseconds.cast_unsigned())
}
