//! Maps, helpers and contexts for eBPF programs compiled by Brolga.
//!
//! A [`Runtime`] has a fixed number of CPU slots; a [`Worker`] owns one of them and runs programs.
//! A [`Module`] is compiled code (linked, loaded as a shared object, or made in process with the
//! feature `jit`); an [`Instance`] is a module with maps of its own. Programs are run on a
//! [`Packet`], a [`SocketPacket`] or raw memory; maps and globals are read and written by name.
//!
//! What the bytecode was is no concern of this crate: whether a program is safe was decided by the
//! verifier before its code was made. The runtime keeps what the verifier relied on: sizes of maps,
//! lifetimes of what a run can reach, and contexts that hold true pointers.

#![warn(clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

mod contexts;
mod error;
mod helpers;
mod hook;
#[cfg(feature = "jit")]
mod host;
mod instance;
#[cfg(feature = "jit")]
pub mod jit;
mod load;
mod maps;
mod module;
mod options;
mod random;
mod runtime;
mod sync;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;
mod worker;

pub use brolga_abi as abi;
pub use brolga_abi::{MapKind, NativeKind, ProgramKind};

pub use contexts::{Event, Packet, RawMemory, Redirect, SocketPacket, XdpVerdict};
pub use error::{InstanceError, LoadError, RunError, RuntimeError};
pub use helpers::{implementation, resolve};
pub use hook::{Hook, Packets, Replayed};
pub use instance::{GlobalHandle, Instance, ProgramHandle, TypedGlobal};
pub use maps::{CreateError, Entry, Keys, MapError, MapHandle, MapInfo, TypedMap, Update};
pub use module::{Module, ProgramInfo};
pub use options::{Clock, RuntimeOptions, Seed, Trace};
pub use runtime::Runtime;
pub use value::Value;
pub use worker::{Session, Worker};

/// Includes the module that `brolga-build` made of an object in the build script: put it into a
/// module of its own, `mod firewall { brolga_runtime::include_module!("firewall"); }`.
#[macro_export]
macro_rules! include_module {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
    };
}

/// The README's example, so that it is tested.
#[cfg(all(doctest, feature = "jit"))]
#[doc = include_str!("../../README.md")]
struct Readme;
