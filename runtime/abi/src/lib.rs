//! What compiled code and the runtime agree on: tables and C layouts, and nothing else.
//!
//! Neither the compiler nor the runtime imports the other; both import this crate. A **table**
//! ([`helpers`], [`maps`], [`kinds`], [`context`]) owns names, numbers and contracts. What a helper
//! does, how a map stores its elements or how the verifier judges an argument is not said here:
//! every reader spells that out in an exhaustive `match`, so that a new row breaks the build until
//! each of them handles it.

#![no_std]

pub mod arg;
pub mod context;
pub mod descriptor;
pub mod env;
pub mod helpers;
pub mod kinds;
pub mod maps;
pub mod symbols;
pub mod trap;

pub use arg::{Arg, ArgLength, Ret};
pub use helpers::{HelperId, NativeHelper};
pub use kinds::{AttachType, NativeKind, ProgramKind};
pub use maps::MapKind;
