//! One file a command. Each takes its arguments and returns the exit code.

pub mod compile;
pub mod disasm;
pub mod explain;
pub mod inspect;
pub mod link;
pub mod run;
pub mod verify;
