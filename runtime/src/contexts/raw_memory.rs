//! A buffer of known length: what `raw_memory` programs run on.
//!
//! The program was verified for one length; a buffer of any other is refused before the run.

use std::ffi::c_void;
use std::marker::PhantomData;

use brolga_abi::ProgramKind;
use brolga_abi::context::RawMemoryContext;

use super::{Event, sealed};
use crate::error::RunError;
use crate::module::ProgramInfo;

/// A buffer that a program may read and write.
#[derive(Debug)]
pub struct RawMemory<'a> {
    context: RawMemoryContext,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> RawMemory<'a> {
    /// Lends a buffer to programs.
    #[must_use]
    pub fn new(memory: &'a mut [u8]) -> Self {
        let context = RawMemoryContext { data: memory.as_mut_ptr(), len: memory.len() as u64 };
        Self { context, memory: PhantomData }
    }
}

impl sealed::Context for RawMemory<'_> {
    fn context(&mut self) -> *mut c_void {
        (&raw mut self.context).cast()
    }
}

impl Event for RawMemory<'_> {
    const KIND: ProgramKind = ProgramKind::RawMemory;

    fn check(&self, program: &ProgramInfo) -> Result<(), RunError> {
        let expected = u64::from(program.raw_memory_len);
        if self.context.len == expected {
            Ok(())
        } else {
            Err(RunError::BufferLength { expected, found: self.context.len })
        }
    }
}
