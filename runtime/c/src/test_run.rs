//! One run of any program on given bytes, as `BPF_PROG_TEST_RUN` does it: for tests.

use std::ffi::c_void;
use std::slice;

use brolga_runtime::{NativeKind, Packet, ProgramHandle, SocketPacket, Worker};

use crate::error::{EINVAL, ENOSPC, fail};
use crate::map::bytes;
use crate::object;

/// `struct brolga_test`
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TestRun {
    /// What the program runs on.
    pub data: *const c_void,
    /// Bytes at `data`.
    pub len: usize,
    /// Where the packet or the buffer is copied afterwards.
    pub out: *mut c_void,
    /// Bytes that fit at `out`.
    pub out_size: usize,
    /// Bytes that were copied.
    pub out_len: usize,
    /// How many of them are the packet's metadata, which comes first.
    pub meta_len: usize,
    /// All of `r0`.
    pub result: u64,
}

/// See the header.
///
/// # Safety
///
/// Objects are null or valid, and the worker is not used by another thread; `run` is null or valid, with `len`
/// readable bytes at `data` and `out_size` writable ones at `out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_test_run(
    program: *const ProgramHandle,
    worker: *mut Worker,
    run: *mut TestRun,
) -> i32 {
    // SAFETY: the caller's promise.
    let (program, worker, run) = unsafe { (object(program), worker.as_mut(), run.as_mut()) };
    let (Some(program), Some(worker), Some(run)) = (program, worker, run) else {
        return fail(EINVAL, "a null pointer was given for an object");
    };
    // SAFETY: as above.
    let data = unsafe { bytes(run.data.cast(), run.len) };
    let (result, meta, out) = match program.kind().native() {
        Some(NativeKind::Xdp) => {
            let mut packet = Packet::new(data);
            let result = program.run(worker, &mut packet);
            (result, packet.meta().to_vec(), packet.data().to_vec())
        }
        Some(NativeKind::SocketFilter) => {
            let mut packet = SocketPacket::new(data).without_link_header();
            (program.run(worker, &mut packet), Vec::new(), data.to_vec())
        }
        Some(NativeKind::RawMemory) => {
            let mut memory = data.to_vec();
            (program.run_raw(worker, &mut memory), Vec::new(), memory)
        }
        None => return fail(EINVAL, "programs of this kind cannot be run"),
    };
    match result {
        Ok(result) => run.result = result,
        Err(error) => return fail(EINVAL, &error),
    }
    let all = [meta.as_slice(), &out].concat();
    if all.len() > run.out_size || run.out.is_null() {
        return fail(ENOSPC, format_args!("{} bytes do not fit into {}", all.len(), run.out_size));
    }
    // SAFETY: as above.
    unsafe { slice::from_raw_parts_mut(run.out.cast(), all.len()) }.copy_from_slice(&all);
    (run.out_len, run.meta_len) = (all.len(), meta.len());
    0
}
