//! `bpf_trace_printk`: a message to the runtime's trace.
//!
//! Strings are printed by address, and an address is any number that a program cares to pass. So
//! only memory is read that the run may hold: its stack, its packet, and maps of the runtime. From
//! elsewhere a string is empty, as on Linux where reading faults.

#![expect(unsafe_code, reason = "called by compiled code; reads strings by address")]

use brolga_abi::NativeKind;
use brolga_abi::context::{SkbContext, XdpContext};
use brolga_abi::env::Env;

use super::format::{Source, format};
use crate::maps::Errno;
use crate::options::Trace;
use crate::random::mix;
use crate::sync::Lent;
use crate::worker::State;

/// `bpf_trace_printk`
///
/// # Safety
///
/// Called by verified code: `size` bytes at `text` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_trace_printk(
    env: *mut Env,
    text: *const u8,
    size: u64,
    first: u64,
    second: u64,
    third: u64,
) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel's parameter has 32 bits")]
    let size = size as u32 as usize;
    // SAFETY: verified arguments.
    let text = unsafe { Lent::program(text, size) }.to_vec();
    // SAFETY: the environment of a run has its worker's state.
    let state = unsafe { &*(*env).worker.cast::<State>() };
    let run = Run { env, state, stack: (&raw const text).addr() };
    match format(&text, [first, second, third], &run) {
        Ok((message, len)) => {
            match &state.shared.trace {
                Trace::Discard => {}
                Trace::Callback(callback) => callback(&message),
            }
            len as u64
        }
        Err(errno) => Errno::result(errno),
    }
}

/// What a message may be made of.
struct Run<'a> {
    env: *const Env,
    state: &'a State,
    /// An address in the helper's own frame: the program's frames lie above it.
    stack: usize,
}

impl Run<'_> {
    /// How many bytes at an address belong to the run's stack or packet.
    fn own(&self, address: usize) -> usize {
        // SAFETY: the environment of a run; its context is of the kind that the session recorded.
        let packet = unsafe {
            let context = (*self.env).context;
            match self.state.kind.native() {
                Some(NativeKind::Xdp) => {
                    let context = &*context.cast::<XdpContext>();
                    context.data_meta.addr()..context.data_end.addr()
                }
                Some(NativeKind::SocketFilter) => {
                    let context = &*context.cast::<SkbContext>();
                    context.data.addr()..context.data.addr() + context.len as usize
                }
                Some(NativeKind::RawMemory) | None => 0..0,
            }
        };
        let ranges = [self.stack..self.state.stack_top, packet];
        ranges.into_iter().find(|range| range.contains(&address)).map_or(0, |range| range.end - address)
    }
}

impl Source for Run<'_> {
    fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let Ok(address) = usize::try_from(address) else { return Vec::new() };
        let own = self.own(address).min(len);
        if own == 0 {
            return self.state.shared.read_map_memory(address, len);
        }
        // SAFETY: these bytes lie in the run's own stack or packet, just checked.
        unsafe { Lent::program(std::ptr::with_exposed_provenance(address), own) }.to_vec()
    }

    fn disguise(&self, pointer: u64) -> u64 {
        mix(pointer ^ self.state.shared.disguise, 0x9e37_79b9_7f4a_7c15) >> 32
    }
}
