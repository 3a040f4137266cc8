//! Packets and runs.

use std::slice;

use brolga_runtime::{Packet, ProgramHandle, RunError, SocketPacket, Worker};

use crate::error::{EINVAL, fail};
use crate::map::bytes;
use crate::{free, object};

/// See the header.
///
/// # Safety
///
/// `len` bytes at `data` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_packet_new(data: *const u8, len: usize) -> *mut Packet {
    // SAFETY: the caller's promise.
    Box::into_raw(Box::new(Packet::new(unsafe { bytes(data, len) })))
}

/// See the header.
///
/// # Safety
///
/// The packet is null or valid and not run on; `len` bytes at `data` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_packet_set(packet: *mut Packet, data: *const u8, len: usize) {
    // SAFETY: the caller's promise.
    if let Some(packet) = unsafe { packet.as_mut() } {
        // SAFETY: as above.
        packet.set(unsafe { bytes(data, len) });
    }
}

/// See the header.
///
/// # Safety
///
/// The packet is null or valid and not run on; `len` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_packet_data(packet: *const Packet, len: *mut usize) -> *const u8 {
    // SAFETY: the caller's promise.
    let data = unsafe { object(packet) }.map_or(&[][..], Packet::data);
    // SAFETY: as above.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = data.len();
    }
    data.as_ptr()
}

/// See the header.
///
/// # Safety
///
/// Null, or a packet that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_packet_free(packet: *mut Packet) {
    // SAFETY: the caller's promise.
    unsafe { free(packet) }
}

/// See the header.
///
/// # Safety
///
/// Objects are null or valid, and neither worker nor packet is used by another thread; `verdict` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_run_xdp(
    program: *const ProgramHandle,
    worker: *mut Worker,
    packet: *mut Packet,
    verdict: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise.
    let (program, worker, packet) = unsafe { (object(program), worker.as_mut(), packet.as_mut()) };
    let (Some(program), Some(worker), Some(packet)) = (program, worker, packet) else { return null() };
    // SAFETY: as above.
    unsafe { give(program.run_xdp(worker, packet).map(|verdict| verdict.number()), verdict) }
}

/// See the header.
///
/// # Safety
///
/// Objects are null or valid, and the worker is not used by another thread; `len` bytes at `frame` are readable;
/// `received` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_run_socket_filter(
    program: *const ProgramHandle,
    worker: *mut Worker,
    frame: *const u8,
    len: usize,
    received: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise.
    let (program, worker) = unsafe { (object(program), worker.as_mut()) };
    let (Some(program), Some(worker)) = (program, worker) else { return null() };
    // SAFETY: as above.
    let mut packet = SocketPacket::new(unsafe { bytes(frame, len) });
    // SAFETY: as above.
    unsafe { give(program.run_socket_filter(worker, &mut packet), received) }
}

/// See the header.
///
/// # Safety
///
/// Objects are null or valid, and the worker is not used by another thread; `len` bytes at `memory` are readable and
/// writable; `result` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_run_raw(
    program: *const ProgramHandle,
    worker: *mut Worker,
    memory: *mut u8,
    len: usize,
    result: *mut u64,
) -> i32 {
    // SAFETY: the caller's promise.
    let (program, worker) = unsafe { (object(program), worker.as_mut()) };
    let (Some(program), Some(worker)) = (program, worker) else { return null() };
    let memory = if memory.is_null() {
        &mut []
    } else {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(memory, len) }
    };
    // SAFETY: as above.
    unsafe { give(program.run_raw(worker, memory), result) }
}

fn null() -> i32 {
    fail(EINVAL, "a null pointer was given for an object")
}

/// Hands a result to C.
///
/// # Safety
///
/// `to` is null or valid.
unsafe fn give<T>(result: Result<T, RunError>, to: *mut T) -> i32 {
    match result {
        Ok(value) => {
            // SAFETY: the caller's promise.
            if let Some(to) = unsafe { to.as_mut() } {
                *to = value;
            }
            0
        }
        Err(error) => fail(EINVAL, &error),
    }
}
