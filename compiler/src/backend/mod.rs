//! Turns Cranelift IR into code: in memory ([`jit`]) or in an object file ([`object`]).
//!
//! [`code`] compiles one function to bytes and relocations; both backends then only place those and
//! say what the names in them stand for. [`link`] does what they have in common.

pub mod code;
pub mod descriptor;
pub mod isa_flags;
pub mod jit;
pub mod link;
pub mod object;
