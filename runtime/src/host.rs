//! Native functions that a host lets programs call.
//!
//! What stands here is a promise of the host: that the address is code of the prototype. The verifier
//! holds programs to the prototype; nothing can hold the code to it.

#![expect(unsafe_code, reason = "an address is taken for a function of a prototype")]

use std::ffi::c_void;

use brolga_compiler::program::{HostFunction as Prototype, HostFunctionError};

use crate::module::Code;

/// A native function that programs call as `extern … __ksym`.
///
/// ```
/// use brolga_runtime::{Instance, Packet, Runtime, XdpVerdict, jit};
///
/// /// `u32 host_rate(const void *bytes, u32 bytes__sz)`
/// extern "C" fn host_rate(bytes: *const u8, len: u32) -> u32 {
///     // SAFETY: the verifier proved that programs may read `len` bytes there.
///     let bytes = unsafe { std::slice::from_raw_parts(bytes, len as usize) };
///     bytes.iter().map(|byte| u32::from(*byte)).sum()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // SAFETY: `host_rate` has that prototype.
/// let function = unsafe {
///     jit::HostFunction::new("u32 host_rate(const void *bytes, u32 bytes__sz)", host_rate as *const _)
/// }?;
/// let options = jit::Options { host_functions: vec![function], ..jit::Options::default() };
/// let module = jit::load(include_bytes!("../../examples/host.bpf.o"), &options)?.module;
///
/// let runtime = Runtime::default();
/// let instance = Instance::new(&runtime, &module)?;
/// let mut worker = runtime.worker()?;
/// let mut packet = Packet::new(&[1; 60]);
/// // The program drops what its host rates at 100 or more over the first 60 bytes.
/// assert_eq!(instance.program("rated")?.run_xdp(&mut worker, &mut packet)?, XdpVerdict::Pass);
/// let mut packet = Packet::new(&[2; 60]);
/// assert_eq!(instance.program("rated")?.run_xdp(&mut worker, &mut packet)?, XdpVerdict::Drop);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HostFunction {
    prototype: Prototype,
    address: Code,
}

impl HostFunction {
    /// A function by its C prototype, as [`Prototype`] reads it.
    ///
    /// # Safety
    ///
    /// The address is that of an `extern "C"` function with this prototype, which lives as long as every
    /// module that may call it. Given arguments that the prototype allows, it is sound to call from any
    /// thread: it touches no memory of the program but what it is handed, does not keep pointers to
    /// it, and does not unwind. Memory that it is handed may begin at any address, aligned or not, and may overlap
    /// with other memory that it is handed; memory of maps may be written by other threads meanwhile. A
    /// `ctx` is that of whichever kind of program calls.
    ///
    /// # Errors
    ///
    /// The text is no such prototype.
    pub unsafe fn new(prototype: &str, address: *const c_void) -> Result<Self, HostFunctionError> {
        Ok(Self { prototype: prototype.parse()?, address: Code(address) })
    }

    /// Its prototype.
    #[must_use]
    pub fn prototype(&self) -> &Prototype {
        &self.prototype
    }

    pub(crate) fn address(&self) -> *const u8 {
        self.address.0.cast()
    }
}
