//! Code in this process's memory.

mod memory;

pub use memory::JitCode;
