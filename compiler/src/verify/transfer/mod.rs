//! What each instruction does to a state: one file a class of instructions.
//!
//! Each function first judges (may this be done with these values?) and then changes the state. None of
//! them knows of other paths.

pub(super) use alu::MAX_OFFSET;
pub(super) use argument::Handed;

mod alu;
mod argument;
mod atomic;
mod branch;
mod call;
mod callback;
mod compat;
mod helper;
mod host;
mod links;
mod mem;
mod stack_access;
