//! Tests of the C interface, called as C calls it.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use brolga_abi::ProgramKind;
use brolga_abi::descriptor::{Descriptor, MAGIC, MapDescriptor, NO_OWNER, ProgramDescriptor, abi_hash};
use brolga_abi::env::Env;

use crate::error::brolga_last_error;
use crate::map::*;
use crate::run::*;
use crate::*;

/// Counts in element 1 of the first map, and prints.
unsafe extern "C" fn count(_context: *mut c_void, env: *mut Env) -> u64 {
    type Print = unsafe extern "C" fn(*mut Env, *const u8, u64, u64, u64, u64) -> u64;
    // SAFETY: the first map is an array of 8-byte values; the helper has this signature.
    unsafe {
        *(*(*env).maps).data.add(8).cast::<u64>() += 1;
        let print = brolga_runtime::implementation(brolga_abi::NativeHelper::TracePrintk);
        let print: Print = std::mem::transmute(print);
        print(env, c"run %d".as_ptr().cast(), 7, 1, 0, 0);
    }
    2
}

/// Never freed, as in an object.
fn descriptor() -> *const Descriptor {
    let map = |name: &'static CStr, kind, value_size| MapDescriptor {
        name: name.as_ptr(),
        kind,
        key_size: 4,
        value_size,
        max_entries: 4,
        flags: 0,
        initial_len: 0,
        initial: ptr::null(),
        folded: 0,
        owner_kind: NO_OWNER,
        initial_programs: ptr::null(),
        initial_programs_len: 0,
        variables: ptr::null(),
        variables_len: 0,
    };
    let maps = [map(c"counts", 2, 8), map(c"hash", 1, 4), map(c"percpu", 6, 4), map(c"jumps", 3, 4)];
    let program = |name: &'static CStr, kind| ProgramDescriptor {
        name: name.as_ptr(),
        section: c"".as_ptr(),
        kind,
        raw_memory_len: 0,
        entry: count,
        body: count as *const c_void,
        bytecode_hash: 0,
    };
    let kinds = [ProgramKind::Xdp, ProgramKind::SocketFilter, ProgramKind::RawMemory];
    let [xdp, socket, raw] = kinds.map(|kind| kind as u32);
    let programs = [program(c"xdp", xdp), program(c"socket", socket), program(c"raw", raw)];
    Box::leak(Box::new(Descriptor {
        magic: MAGIC,
        abi_hash: abi_hash(),
        size: u32::try_from(size_of::<Descriptor>()).expect("small"),
        map_count: 4,
        program_count: 3,
        reserved: 0,
        maps: Box::leak(Box::new(maps)).as_ptr(),
        programs: Box::leak(Box::new(programs)).as_ptr(),
        name: c"test".as_ptr(),
        verifier: c"1".as_ptr(),
        license: c"GPL".as_ptr(),
    }))
}

unsafe extern "C" fn trace(user: *mut c_void, text: *const c_char, len: usize) {
    // SAFETY: `user` is the test's list.
    unsafe {
        let text = std::slice::from_raw_parts(text.cast(), len);
        (*user.cast::<Vec<String>>()).push(String::from_utf8_lossy(text).into_owned());
    }
}

fn last_error() -> String {
    // SAFETY: NUL-terminated.
    unsafe { CStr::from_ptr(brolga_last_error()) }.to_string_lossy().into_owned()
}

#[test]
fn programs_run_and_maps_are_reached() {
    let mut lines: Vec<String> = Vec::new();
    let options = Options { cpus: 2, trace: Some(trace), user: (&raw mut lines).cast() };
    // SAFETY: every object is valid until it is freed below.
    unsafe {
        let runtime = brolga_runtime_new(&options);
        let instance = brolga_instance_new(runtime, descriptor());
        let worker = brolga_worker_new(runtime);
        let packet = brolga_packet_new([9; 20].as_ptr(), 20);
        let [xdp, socket, raw] =
            [c"xdp", c"socket", c"raw"].map(|name| brolga_program_find(instance, name.as_ptr()));
        let (mut verdict, mut received, mut result) = (0, 0, 0);
        assert_eq!(brolga_run_xdp(xdp, worker, packet, &mut verdict), 0);
        assert_eq!(brolga_run_socket_filter(socket, worker, [1; 14].as_ptr(), 14, &mut received), 0);
        assert_eq!(brolga_run_raw(raw, worker, ptr::null_mut(), 0, &mut result), 0);
        assert_eq!((verdict, received, result), (2, 2, 2));
        assert_eq!(brolga_run_xdp(raw, worker, packet, &mut verdict), -22);
        assert!(last_error().contains("raw_memory"), "{}", last_error());
        let mut len = 0;
        assert_eq!((*brolga_packet_data(packet, &mut len), len), (9, 20));

        let counts = brolga_map_find(instance, c"counts".as_ptr());
        let mut value = [0_u8; 8];
        assert_eq!(brolga_map_lookup(counts, 1_u32.to_ne_bytes().as_ptr(), value.as_mut_ptr()), 0);
        assert_eq!(u64::from_ne_bytes(value), 3);
        assert_eq!(brolga_map_lookup(counts, 9_u32.to_ne_bytes().as_ptr(), value.as_mut_ptr()), -2);
        assert_eq!((brolga_map_key_size(counts), brolga_map_value_size(counts)), (4, 8));

        brolga_map_free(counts);
        for program in [xdp, socket, raw] {
            brolga_program_free(program);
        }
        brolga_packet_free(packet);
        brolga_instance_free(instance);
        brolga_worker_free(worker);
        brolga_runtime_free(runtime);
    }
    assert_eq!(lines, ["run 1"; 3]);
}

#[test]
fn maps_of_each_kind() {
    // SAFETY: every object is valid until it is freed below.
    unsafe {
        let runtime = brolga_runtime_new(&Options { cpus: 2, trace: None, user: ptr::null_mut() });
        let instance = brolga_instance_new(runtime, descriptor());
        let [hash, percpu, jumps] =
            [c"hash", c"percpu", c"jumps"].map(|name| brolga_map_find(instance, name.as_ptr()));
        let key = [5_u8; 4];
        assert_eq!(brolga_map_update(hash, key.as_ptr(), key.as_ptr(), 2), -2);
        assert_eq!(brolga_map_update(hash, key.as_ptr(), key.as_ptr(), 1), 0);
        assert_eq!(brolga_map_update(hash, key.as_ptr(), key.as_ptr(), 1), -17);
        assert_eq!(brolga_map_update(hash, key.as_ptr(), key.as_ptr(), 8), -22);
        let keys = brolga_map_keys(hash);
        let mut found = [0_u8; 4];
        assert!(brolga_keys_next(keys, found.as_mut_ptr()));
        assert_eq!(found, key);
        assert!(!brolga_keys_next(keys, found.as_mut_ptr()));
        brolga_keys_free(keys);
        assert_eq!(brolga_map_delete(hash, key.as_ptr()), 0);
        assert_eq!(brolga_map_delete(hash, key.as_ptr()), -2);

        let zero = [0_u8; 4];
        let values = [1_u8, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(brolga_map_update_percpu(percpu, zero.as_ptr(), values.as_ptr(), 0), 0);
        let mut found = [0_u8; 8];
        assert_eq!(brolga_map_lookup_percpu(percpu, zero.as_ptr(), found.as_mut_ptr()), 0);
        assert_eq!(found, values);

        let xdp = brolga_program_find(instance, c"xdp".as_ptr());
        assert_eq!(brolga_map_set_program(jumps, 3, xdp), 0);
        assert_eq!(brolga_map_set_program(jumps, 4, xdp), -7);
        assert_eq!(brolga_map_set_program(jumps, 3, ptr::null()), 0);
        brolga_program_free(xdp);
        for map in [hash, percpu, jumps] {
            brolga_map_free(map);
        }
        brolga_instance_free(instance);
        brolga_runtime_free(runtime);
    }
}

#[test]
fn mistakes_are_numbers_and_words() {
    // SAFETY: null pointers are refused; the runtime is valid.
    unsafe {
        assert!(brolga_worker_new(ptr::null()).is_null());
        assert!(brolga_runtime_new(&Options { cpus: 0, trace: None, user: ptr::null_mut() }).is_null());
        assert_eq!(last_error(), "a runtime has at least one CPU slot");
        let runtime = brolga_runtime_new(ptr::null());
        assert!(brolga_instance_new(runtime, ptr::null()).is_null());
        let worker = brolga_worker_new(runtime);
        assert!(brolga_worker_new(runtime).is_null());
        assert_eq!(last_error(), "all 1 CPU slots of the runtime have workers");
        let instance = brolga_instance_new(runtime, descriptor());
        assert!(brolga_program_find(instance, c"other".as_ptr()).is_null());
        assert_eq!(last_error(), "no program `other` in the module, which has `xdp`, `socket`, `raw`");
        assert_eq!(brolga_global_read(instance, c"none".as_ptr(), ptr::null_mut(), 0), -2);
        brolga_instance_free(instance);
        brolga_worker_free(worker);
        brolga_runtime_free(runtime);
    }
}
