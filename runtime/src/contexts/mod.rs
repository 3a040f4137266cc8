//! What programs run on: one module a kind, each the owner of its native context.
//!
//! The pointers of a context are true whenever a program may run, since compiled code uses them
//! unchecked. Programs cannot write them, helpers move them within the buffer, and the host
//! changes them only through the types here.

mod raw_memory;
mod socket_filter;
mod xdp;

use brolga_abi::ProgramKind;

use crate::error::RunError;
use crate::module::ProgramInfo;

pub use raw_memory::RawMemory;
pub use socket_filter::SocketPacket;
pub use xdp::{Packet, Redirect, XdpVerdict};

pub(crate) use xdp::{XDP_FRAME_SIZE, XDP_MIN_LEN};

/// Something that a program can run on.
pub trait Event: sealed::Context {
    /// The kind of programs that run on it.
    const KIND: ProgramKind;

    /// Checks what the program was verified for besides its kind.
    ///
    /// # Errors
    ///
    /// The event does not have what the program relies on.
    fn check(&self, program: &ProgramInfo) -> Result<(), RunError> {
        let _ = program;
        Ok(())
    }
}

pub(crate) mod sealed {
    use std::ffi::c_void;

    /// Owners of native contexts. Only this crate may implement it: compiled code trusts what is there.
    pub trait Context {
        /// The native context of the kind, valid until the owner is used otherwise.
        fn context(&mut self) -> *mut c_void;
    }
}
