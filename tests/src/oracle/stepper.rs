//! The interpreter one instruction at a time, for harnesses that look at each state.
//!
//! It adds nothing to what [`Machine::run`] does, and shows registers, stacks and what addresses mean between the
//! steps.

use brolga_abi::{NativeKind, ProgramKind};
use brolga_compiler::isa::{InsnIdx, Reg};

use super::exec::Thread;
use super::memory::{Packet, RegionId, What};
use super::{Fault, Machine};
use crate::engines::Input;

/// A run that is under way. Dropping it ends the run.
#[derive(Debug)]
pub struct Stepper<'m> {
    machine: &'m mut Machine,
    thread: Thread,
    data: RegionId,
}

/// What an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// So far from `r10` of a frame, 0 being the outermost.
    Stack(usize, i64),
    /// An offset in the context.
    Context(i64),
    /// An offset in a value of a map.
    MapValue(usize, i64),
    /// A map itself.
    Map(usize),
    /// An offset in the buffer of a `raw_memory` program.
    Raw(i64),
    /// An offset from the packet's start, negative in the metadata.
    Packet(i64),
    /// Nothing.
    Nowhere,
}

impl Place {
    /// The offset in the region; `None` where there is none.
    #[must_use]
    pub fn offset(self) -> Option<i64> {
        match self {
            Self::Stack(_, off)
            | Self::Context(off)
            | Self::MapValue(_, off)
            | Self::Raw(off)
            | Self::Packet(off) => Some(off),
            Self::Map(_) | Self::Nowhere => None,
        }
    }
}

impl Machine {
    /// Begins to run a program; `None` where the interpreter has no programs of that kind.
    pub fn start(&mut self, program: usize, input: &Input) -> Option<Stepper<'_>> {
        let kind: NativeKind = self.programs[program].kind.and_then(ProgramKind::native)?;
        self.set_order(program);
        let (data, r1, r2) = self.enter(kind, &input.data);
        let thread = Thread::new(self, program, r1, r2);
        Some(Stepper { machine: self, thread, data })
    }
}

impl Drop for Stepper<'_> {
    fn drop(&mut self) {
        self.thread.end(&mut self.machine.memory);
        self.machine.memory.release(self.data);
        self.machine.end_run();
    }
}

impl Stepper<'_> {
    /// The instruction that comes next.
    #[must_use]
    pub fn at(&self) -> InsnIdx {
        InsnIdx(u32::try_from(self.thread.pc).unwrap_or(u32::MAX))
    }

    /// The program that executes: another one after a tail call.
    #[must_use]
    pub fn program(&self) -> usize {
        self.thread.program
    }

    /// How many functions are active: at least 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.thread.depth()
    }

    /// What a register of an active function holds, 0 being the outermost; of callers only what their call keeps.
    #[must_use]
    pub fn reg(&self, frame: usize, reg: Reg) -> Option<u64> {
        self.thread.reg(frame, reg)
    }

    /// What a register of the executing function holds.
    #[must_use]
    pub fn top(&self, reg: Reg) -> Option<u64> {
        self.thread.reg(self.thread.depth() - 1, reg)
    }

    /// The 512 bytes below `r10` of an active function.
    #[must_use]
    pub fn stack(&self, frame: usize) -> &[u8] {
        self.machine.memory.bytes(self.thread.stack(frame))
    }

    /// The packet, with its position.
    #[must_use]
    pub fn packet(&self) -> &Packet {
        &self.machine.memory.packet
    }

    /// The address of the context.
    #[must_use]
    pub fn context(&self) -> Option<u64> {
        self.machine.context.map(|region| self.machine.memory.address(region, 0))
    }

    /// What an address means, valid or not.
    #[must_use]
    pub fn place(&self, address: u64) -> Place {
        if address >> 32 == 0 {
            let packet = self.packet();
            return if packet.bytes.is_empty() {
                Place::Nowhere
            } else {
                Place::Packet(address.wrapping_sub(packet.address(packet.data)).cast_signed())
            };
        }
        match self.machine.memory.describe(address) {
            Some((What::Stack, _)) => {
                let frames = (0..self.depth()).rev();
                let base = |frame| self.reg(frame, Reg::R10).unwrap_or(0);
                frames
                    .filter(|frame| base(*frame) >> 32 == address >> 32)
                    .map(|frame| Place::Stack(frame, address.wrapping_sub(base(frame)).cast_signed()))
                    .next()
                    .unwrap_or(Place::Nowhere)
            }
            Some((What::Context, off)) => Place::Context(off),
            Some((What::Raw, off)) => Place::Raw(off),
            Some((What::MapValue(map), off)) => Place::MapValue(*map, off),
            Some((What::MapHandle(map), 0)) => Place::Map(*map),
            Some((What::MapHandle(_), _)) | None => Place::Nowhere,
        }
    }

    /// Stack bytes that this run read before they were written.
    #[must_use]
    pub fn uninitialised_reads(&self) -> u64 {
        self.machine.memory.uninitialised_reads
    }

    /// One instruction. The result, at the end.
    ///
    /// # Errors
    ///
    /// What the program must not do, or the interpreter does not have.
    pub fn step(&mut self) -> Result<Option<u64>, Fault> {
        self.thread.step(self.machine)
    }
}
