//! A worker: the owner of one CPU slot, and the only thing that runs programs.
//!
//! Running takes `&mut Worker`, so one slot never runs two programs at a time. A run takes no lock
//! and allocates nothing.

#![expect(unsafe_code, reason = "calls compiled code")]

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_abi::env::Env;
use brolga_abi::trap::Trap;

use crate::contexts::{Event, Packet, RawMemory, SocketPacket, XdpVerdict};
use crate::error::RunError;
use crate::instance::ProgramHandle;
use crate::random::Random;
use crate::runtime::Shared;

/// Owns one CPU slot of a [`crate::Runtime`] until it is dropped.
#[derive(Debug)]
pub struct Worker {
    state: NonNull<State>,
}

/// What helpers find at [`Env::worker`].
#[derive(Debug)]
pub(crate) struct State {
    env: Env,
    pub(crate) shared: Arc<Shared>,
    slot: usize,
    pub(crate) random: Random,
    /// An address in the stack frame that began the run: the program's own frames lie below it.
    pub(crate) stack_top: usize,
    /// The kind of the program that began the run, and so of the context.
    pub(crate) kind: ProgramKind,
}

// SAFETY: the state is owned by the worker alone; nothing in it belongs to a thread.
unsafe impl Send for Worker {}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, slot: usize) -> Self {
        let random = Random::new(shared.seed());
        let cpu = u32::try_from(slot).expect("slots are counted by u32");
        let env = Env {
            maps: ptr::null(),
            cpu,
            tail_calls: 0,
            trap: Trap::None as u32,
            reserved: 0,
            worker: ptr::null_mut(),
            context: ptr::null_mut(),
        };
        let state = Box::new(State { env, shared, slot, random, stack_top: 0, kind: ProgramKind::RawMemory });
        let state = NonNull::from(Box::leak(state));
        // SAFETY: just allocated, and nobody else has it.
        unsafe { (*state.as_ptr()).env.worker = state.as_ptr().cast() };
        Self { state }
    }

    fn state(&self) -> &State {
        // SAFETY: the state lives as long as the worker. No program runs now: that takes `&mut`.
        unsafe { self.state.as_ref() }
    }

    /// The CPU slot: what `bpf_get_smp_processor_id` returns.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.state().env.cpu
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.state().shared
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: leaked from a box in `new`, and taken back once.
        let state = unsafe { Box::from_raw(self.state.as_ptr()) };
        state.shared.release(state.slot);
        state.shared.epochs.collect();
    }
}

/// A series of runs of one program by one worker: the cheapest way to run it often.
///
/// Between two runs nothing is held; but the programs that other threads remove from a `prog_array` meanwhile are
/// freed only after the next run begins or the series ends, so do not keep a session while waiting for input.
#[derive(Debug)]
pub struct Session<'a> {
    worker: &'a mut Worker,
    program: &'a ProgramHandle,
}

impl<'a> Session<'a> {
    pub(crate) fn new(program: &'a ProgramHandle, worker: &'a mut Worker) -> Result<Self, RunError> {
        if !Arc::ptr_eq(worker.shared(), program.shared()) {
            return Err(RunError::ForeignWorker);
        }
        let state = worker.state();
        state.shared.epochs.enter(state.slot);
        Ok(Self { worker, program })
    }

    /// Runs the program once on an event of its kind and returns `r0`.
    ///
    /// # Errors
    ///
    /// An event of another kind, a buffer of another length than the program was verified for, or a trap.
    #[inline]
    pub fn run<E: Event>(&mut self, event: &mut E) -> Result<u64, RunError> {
        let program = self.program.program();
        if program.info.kind != E::KIND {
            return Err(RunError::WrongKind { program: program.info.kind, event: E::KIND });
        }
        event.check(&program.info)?;
        let context: *mut c_void = event.context().cast();
        let state = self.worker.state.as_ptr();
        // SAFETY: the worker is borrowed exclusively, so no other run uses the state; helpers reach
        // it through the pointer in `env` only while the entry below runs. The context is of the
        // kind that the program was verified for, and lives in `event`. The maps are those of the
        // program's instance, which the handle keeps alive.
        unsafe {
            let shared: &Shared = &(*state).shared;
            shared.epochs.renew((*state).slot);
            (*state).kind = E::KIND;
            (*state).stack_top = (&raw const context).addr();
            let env = &raw mut (*state).env;
            (*env).maps = self.program.map_refs();
            (*env).tail_calls = 0;
            (*env).trap = Trap::None as u32;
            (*env).context = context;
            let result = (program.entry)(context, env);
            if (*env).trap == Trap::None as u32 { Ok(result) } else { Err(RunError::from_trap((*env).trap)) }
        }
    }

    /// Runs an XDP program on a packet.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    #[inline]
    pub fn run_xdp(&mut self, packet: &mut Packet) -> Result<XdpVerdict, RunError> {
        packet.clear_redirect();
        self.run(packet).map(XdpVerdict::from_result)
    }

    /// Runs a socket filter on a packet and returns how many bytes the socket receives.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    #[inline]
    pub fn run_socket_filter(&mut self, packet: &mut SocketPacket<'_>) -> Result<u32, RunError> {
        #[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half of r0")]
        self.run(packet).map(|result| result as u32)
    }

    /// Runs a `raw_memory` program on a buffer and returns `r0`.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    #[inline]
    pub fn run_raw(&mut self, memory: &mut [u8]) -> Result<u64, RunError> {
        self.run(&mut RawMemory::new(memory))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let state = self.worker.state();
        state.shared.epochs.exit(state.slot);
    }
}
