//! How long libbpf takes to open and prepare an object, apart from what the kernel does meanwhile.
//!
//! Maps are not made: one small map stands in for all. What else libbpf asks of the kernel is measured on its own, to
//! be taken off. It could be wrong by what libbpf spends on system calls outside of these.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::prepare::Prepared;
use super::sys::{Messages, Object, any_map, ask_kernel, read_kernel_types};

/// Times of one preparation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Opening and preparing, all in all.
    pub whole: Duration,
    /// The kernel's part: it loads the object's types, and a trivial program.
    pub kernel: Duration,
    /// Reading and parsing the running kernel's types; `None` where that was not needed.
    pub types: Option<Duration>,
}

/// Opens and prepares once more what was prepared.
///
/// # Errors
///
/// What libbpf or the kernel says.
pub fn time(prepared: &Prepared) -> Result<Times, String> {
    let stand_in = any_map().map_err(|error| error.to_string())?;
    let start = Instant::now();
    let object = Object::open(&prepared.bytes, None, Messages::Off)?;
    let opened = start.elapsed();
    for (at, name) in object.program_names().iter().enumerate() {
        object.set_autoload(at, !prepared.left_out.iter().any(|left_out| left_out.program == *name));
    }
    for map in 0..object.map_names().len() {
        object.reuse_map(map, stand_in.as_raw_fd())?;
    }
    let start = Instant::now();
    object.prepare()?;
    let whole = opened + start.elapsed();

    let start = Instant::now();
    ask_kernel(&object).map_err(|error| error.to_string())?;
    let kernel = start.elapsed();
    if !prepared.read_types {
        return Ok(Times { whole, kernel, types: None });
    }
    let start = Instant::now();
    read_kernel_types().map_err(|error| error.to_string())?;
    Ok(Times { whole, kernel, types: Some(start.elapsed()) })
}
