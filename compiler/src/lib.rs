//! Verifies eBPF programs as strictly as Linux and compiles them to native code with Cranelift.
//!
//! ```text
//! object bytes -> elf, btf -> program -> verify -> ir -> opt -> lower -> clif -> backend
//!                                          |                                       |
//!                                    Facts or diagnostics              JIT code or object file
//! ```
//!
//! Bytes in, native code out: no files, no clock, no environment and no global state.

pub mod backend;
pub mod btf;
pub mod cfg;
pub mod diag;
pub mod elf;
pub mod ir;
pub mod isa;
pub mod linker;
pub mod lower;
pub mod opt;
pub mod options;
pub mod pipeline;
pub mod program;
pub mod verify;
