//! Tests of runs, lifetimes and handles, with Rust functions as programs.

#![expect(unsafe_code, reason = "stands in for compiled code")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use brolga_abi::context::XdpContext;
use brolga_abi::env::{Env, ProgEntry};
use brolga_abi::trap::Trap;
use brolga_abi::{MapKind, NativeHelper, ProgramKind};

use crate::module::{MapSpec, VariableSpec};
use crate::testing::{module, pass, program, spec};
use crate::{
    Clock, Instance, InstanceError, MapError, Packet, Packets, RunError, Runtime, RuntimeOptions, Seed,
    SocketPacket, Trace, Update, XdpVerdict, implementation,
};

/// Returns the first byte of the packet.
unsafe extern "C" fn first_byte(context: *mut c_void, _env: *mut Env) -> u64 {
    // SAFETY: run on packets that are not empty.
    unsafe { (*(*context.cast::<XdpContext>()).data).into() }
}

/// Runs out of fuel.
unsafe extern "C" fn spin(_context: *mut c_void, env: *mut Env) -> u64 {
    // SAFETY: the environment of this run.
    unsafe { (*env).trap = Trap::OutOfFuel as u32 };
    0
}

/// Counts in element 0 of map 0, and returns the CPU slot.
unsafe extern "C" fn count(_context: *mut c_void, env: *mut Env) -> u64 {
    // SAFETY: the instance's first map is an array of 8-byte values.
    unsafe {
        let value = (*(*env).maps).data.cast::<u64>();
        *value += 1;
        (*env).cpu.into()
    }
}

/// Calls `body` of entry 0 of map 0, a `prog_array`, as a tail call would.
unsafe extern "C" fn jump(context: *mut c_void, env: *mut Env) -> u64 {
    // SAFETY: slots hold null or an entry whose body is one of the functions here.
    unsafe {
        let slot = (*(*env).maps).data.cast::<*mut ProgEntry>();
        let entry = AtomicPtr::from_ptr(slot).load(Ordering::Acquire);
        if entry.is_null() {
            return 0;
        }
        (*env).maps = (*entry).maps;
        let body: unsafe extern "C" fn(*mut c_void, *mut Env) -> u64 = std::mem::transmute((*entry).body);
        body(context, env)
    }
}

#[test]
fn verdicts_come_from_the_packet() {
    let runtime = Runtime::default();
    let module = module(Vec::new(), vec![program("first", ProgramKind::Xdp, first_byte)]);
    let instance = Instance::new(&runtime, &module).expect("no maps");
    let program = instance.program("first").expect("there");
    let mut worker = runtime.worker().expect("free");
    let mut packet = Packet::new(&[3; 20]);
    assert_eq!(program.run_xdp(&mut worker, &mut packet), Ok(XdpVerdict::Tx));
    packet.set(&[1; 20]);
    let mut session = program.session(&mut worker).expect("same runtime");
    for _ in 0..3 {
        assert_eq!(session.run_xdp(&mut packet), Ok(XdpVerdict::Drop));
    }
}

#[test]
fn what_does_not_fit_is_refused_before_the_run() {
    let runtime = Runtime::default();
    let programs = vec![
        program("xdp", ProgramKind::Xdp, pass),
        program("raw", ProgramKind::RawMemory, pass),
        program("socket", ProgramKind::SocketFilter, pass),
        program("spin", ProgramKind::Xdp, spin),
    ];
    let instance = Instance::new(&runtime, &module(Vec::new(), programs)).expect("no maps");
    let mut worker = runtime.worker().expect("free");
    let [xdp, raw, socket, spin] =
        ["xdp", "raw", "socket", "spin"].map(|name| instance.program(name).expect("there"));
    let wrong = xdp.run_raw(&mut worker, &mut [0; 8]);
    assert_eq!(wrong, Err(RunError::WrongKind { program: ProgramKind::Xdp, event: ProgramKind::RawMemory }));
    assert_eq!(raw.run_raw(&mut worker, &mut [0; 8]), Ok(2));
    assert_eq!(raw.run_raw(&mut worker, &mut [0; 9]), Err(RunError::BufferLength { expected: 8, found: 9 }));
    assert_eq!(socket.run_socket_filter(&mut worker, &mut SocketPacket::new(&[0; 20])), Ok(2));
    assert_eq!(spin.run_xdp(&mut worker, &mut Packet::default()), Err(RunError::OutOfFuel));
    assert_eq!(
        xdp.run_xdp(&mut worker, &mut Packet::default()),
        Ok(XdpVerdict::Pass),
        "the trap is forgotten"
    );
    let mut foreign = Runtime::default().worker().expect("free");
    assert_eq!(xdp.run_xdp(&mut foreign, &mut Packet::default()), Err(RunError::ForeignWorker));
    let unknown = instance.program("nothing").expect_err("no such program").to_string();
    assert_eq!(unknown, "no program `nothing` in the module, which has `xdp`, `raw`, `socket`, `spin`");
}

#[test]
fn instances_share_code_and_no_data() {
    let runtime = Runtime::new(RuntimeOptions::with_cpus(2));
    let module =
        module(vec![spec("n", MapKind::Array, 4, 8, 1)], vec![program("count", ProgramKind::Xdp, count)]);
    let [first, second] = [(); 2].map(|()| Instance::new(&runtime, &module).expect("fits"));
    let mut workers = [(); 2].map(|()| runtime.worker().expect("free"));
    let run = |instance: &Instance, worker: &mut crate::Worker| {
        instance.program("count").expect("there").run(worker, &mut Packet::default())
    };
    assert_eq!(run(&first, &mut workers[0]), Ok(0));
    assert_eq!(run(&first, &mut workers[1]), Ok(1));
    assert_eq!(run(&second, &mut workers[1]), Ok(1));
    let read = |instance: &Instance| instance.map("n").expect("there").lookup(&[0; 4]).expect("an array");
    assert_eq!(read(&first), Some(2_u64.to_ne_bytes().to_vec()));
    assert_eq!(read(&second), Some(1_u64.to_ne_bytes().to_vec()));
}

#[test]
fn globals_are_read_and_written_by_name() {
    let variable = |name: &str, offset, size| VariableSpec { name: name.to_owned(), offset, size };
    let data = MapSpec {
        initial: Arc::from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        variables: vec![variable("wide", 0, 8), variable("odd", 9, 1)],
        ..spec(".data", MapKind::Array, 4, 10, 1)
    };
    let constants = MapSpec {
        folded: true,
        variables: vec![variable("limit", 0, 4)],
        ..spec(".rodata", MapKind::Array, 4, 4, 1)
    };
    let instance =
        Instance::new(&Runtime::default(), &module(vec![data, constants], Vec::new())).expect("fits");
    let global = |name: &str| instance.global(name).expect("there");
    assert_eq!(global("wide").get::<u64>(), Ok(u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8])));
    assert_eq!(global("odd").get::<u8>(), Ok(10));
    global("odd").set(200_u8).expect("data may be written");
    let value = instance.map(".data").expect("there").lookup(&[0; 4]).expect("an array").expect("one value");
    assert_eq!(value, [1, 2, 3, 4, 5, 6, 7, 8, 9, 200]);
    assert_eq!(global("wide").set(1_u32), Err(MapError::ValueSize { expected: 8, found: 4 }));
    assert_eq!(global("wide").get::<u16>(), Err(MapError::ValueSize { expected: 8, found: 2 }));
    assert_eq!(global("limit").set(1_u32), Err(MapError::ReadOnly));
    let constants = instance.map(".rodata").expect("there");
    assert_eq!(constants.update(&[0; 4], &[0; 4], Update::Any), Err(MapError::ReadOnly));
    assert_eq!(instance.global("none").err(), Some(InstanceError::NoGlobal { name: "none".to_owned() }));
}

#[test]
fn prog_arrays_take_programs_of_their_kind() {
    let runtime = Runtime::default();
    let owned = MapSpec { owner: Some(ProgramKind::Xdp), ..spec("jumps", MapKind::ProgArray, 4, 4, 2) };
    let programs = vec![
        program("jump", ProgramKind::Xdp, jump),
        program("pass", ProgramKind::Xdp, pass),
        program("socket", ProgramKind::SocketFilter, pass),
        program("raw", ProgramKind::RawMemory, pass),
    ];
    let maps = vec![owned, spec("free", MapKind::ProgArray, 4, 4, 1)];
    let instance = Instance::new(&runtime, &module(maps, programs)).expect("fits");
    let [jump, pass, socket, raw] =
        ["jump", "pass", "socket", "raw"].map(|name| instance.program(name).expect("there"));
    let (jumps, free) = (instance.map("jumps").expect("there"), instance.map("free").expect("there"));
    let mut worker = runtime.worker().expect("free");
    let mut run = || jump.run_xdp(&mut worker, &mut Packet::default());
    assert_eq!(run(), Ok(XdpVerdict::Aborted), "an empty slot");
    assert_eq!(jumps.set_program(0, &pass), Ok(()));
    assert_eq!(run(), Ok(XdpVerdict::Pass));
    assert_eq!(jumps.keys().collect::<Vec<_>>(), [[0; 4]]);
    assert_eq!(
        jumps.set_program(1, &socket),
        Err(MapError::ProgramKind { found: ProgramKind::SocketFilter })
    );
    assert_eq!(jumps.set_program(2, &pass), Err(MapError::Full { max_entries: 2 }));
    assert_eq!(jumps.clear_program(0), Ok(()));
    assert_eq!(jumps.clear_program(0), Err(MapError::NotFound));
    assert_eq!(run(), Ok(XdpVerdict::Aborted));
    assert_eq!(free.set_program(0, &raw), Err(MapError::ProgramKind { found: ProgramKind::RawMemory }));
    assert_eq!(free.set_program(0, &socket), Ok(()), "the first program decides where none jumps");
    assert_eq!(free.set_program(0, &pass), Err(MapError::ProgramKind { found: ProgramKind::Xdp }));
    assert!(matches!(free.lookup(&[0; 4]), Err(MapError::NotPossible { .. })));
}

#[test]
fn a_program_lives_until_runs_that_may_jump_to_it_have_ended() {
    let runtime = Runtime::new(RuntimeOptions::with_cpus(2));
    let owner = module(
        vec![spec("jumps", MapKind::ProgArray, 4, 4, 1)],
        vec![program("jump", ProgramKind::Xdp, jump)],
    );
    let owner = Instance::new(&runtime, &owner).expect("fits");
    let target =
        module(vec![spec("n", MapKind::Array, 4, 8, 1)], vec![program("count", ProgramKind::Xdp, count)]);
    let target = Instance::new(&runtime, &target).expect("fits");
    let jumps = owner.map("jumps").expect("there");
    jumps.set_program(0, &target.program("count").expect("there")).expect("the same kind");
    drop(target);
    let alive = || runtime.map_memory() > 8;
    let jump = owner.program("jump").expect("there");
    let (mut worker, mut other) = (runtime.worker().expect("free"), runtime.worker().expect("free"));
    let mut session = jump.session(&mut worker).expect("same runtime");
    assert_eq!(session.run(&mut Packet::default()), Ok(0));
    assert!(alive(), "the slot keeps the program's instance");
    jumps.clear_program(0).expect("it was set");
    assert!(alive(), "a run that began before may still jump there");
    assert_eq!(jump.run(&mut other, &mut Packet::default()), Ok(0));
    assert!(alive(), "another slot's run makes no difference");
    assert_eq!(session.run(&mut Packet::default()), Ok(0));
    drop(session);
    assert!(!alive(), "the last run has ended");
}

/// Entries are replaced while programs jump through them.
#[test]
fn programs_are_replaced_under_running_ones() {
    let runtime = Runtime::new(RuntimeOptions::with_cpus(3));
    let owner = module(
        vec![spec("jumps", MapKind::ProgArray, 4, 4, 1)],
        vec![program("jump", ProgramKind::Xdp, jump)],
    );
    let owner = Instance::new(&runtime, &owner).expect("fits");
    let target = module(Vec::new(), vec![program("pass", ProgramKind::Xdp, pass)]);
    let jumps = owner.map("jumps").expect("there");
    let program = owner.program("jump").expect("there");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (runtime, program) = (&runtime, &program);
            scope.spawn(move || {
                let mut worker = runtime.worker().expect("free");
                let mut session = program.session(&mut worker).expect("same runtime");
                for _ in 0..20_000 {
                    let verdict = session.run_xdp(&mut Packet::default()).expect("runs");
                    assert!(matches!(verdict, XdpVerdict::Pass | XdpVerdict::Aborted));
                }
            });
        }
        for _ in 0..2000 {
            let target = Instance::new(&runtime, &target).expect("no maps");
            jumps.set_program(0, &target.program("pass").expect("there")).expect("the same kind");
        }
    });
}

#[test]
fn hooks_feed_packets_and_take_verdicts() {
    let runtime = Runtime::default();
    let module = module(Vec::new(), vec![program("first", ProgramKind::Xdp, first_byte)]);
    let instance = Instance::new(&runtime, &module).expect("no maps");
    let mut worker = runtime.worker().expect("free");
    let mut seen = Vec::new();
    let packets = [vec![2; 60], vec![1; 14], vec![4; 5000]];
    let mut hook = Packets::new(&packets, |replayed| seen.push((replayed.verdict, replayed.packet.len())));
    let runs = instance.program("first").expect("there").attach(&mut worker, &mut hook);
    assert_eq!(runs, Ok(3));
    assert_eq!(seen, [(XdpVerdict::Pass, 60), (XdpVerdict::Drop, 14), (XdpVerdict::Redirect, 5000)]);
}

/// Calls helpers as compiled code does.
unsafe extern "C" fn helpers(context: *mut c_void, env: *mut Env) -> u64 {
    type Print = unsafe extern "C" fn(*mut Env, *const u8, u64, u64, u64, u64) -> u64;
    type Plain = unsafe extern "C" fn(*mut Env) -> u64;
    type Redirect = unsafe extern "C" fn(*mut Env, u64, u64) -> u64;
    let text = *b"%s %s %d\0";
    let word = *b"stack\0";
    // SAFETY: implementations have these signatures; the first map is an array with a text.
    unsafe {
        let print: Print = std::mem::transmute(implementation(NativeHelper::TracePrintk));
        let time: Plain = std::mem::transmute(implementation(NativeHelper::KtimeGetNs));
        let redirect: Redirect = std::mem::transmute(implementation(NativeHelper::Redirect));
        let stack = word.as_ptr().expose_provenance() as u64;
        let map = (*(*env).maps).data.expose_provenance() as u64;
        let printed = print(env, text.as_ptr(), text.len() as u64, stack, map, time(env));
        assert_eq!(printed, "stack map 77".len() as u64);
        // Neither null nor any other number is read.
        let printed = print(env, text.as_ptr(), text.len() as u64, 0, stack ^ (1 << 45), 1);
        assert_eq!(printed, "  1".len() as u64);
        assert_eq!(print(env, text.as_ptr(), 3, 0, 0, 0).cast_signed(), -22, "a format without an end");
        assert_eq!(redirect(env, 5, 1), 0, "unknown flags");
        let _ = context;
        redirect(env, 5, 0)
    }
}

#[test]
fn helpers_reach_the_runtime() {
    let (trace, lines) = Trace::capture();
    let options =
        RuntimeOptions { trace, clock: Clock::Fixed(77), seed: Seed::Fixed(1), ..RuntimeOptions::default() };
    let runtime = Runtime::new(options);
    let text = MapSpec { initial: Arc::from(*b"map\0"), ..spec("text", MapKind::Array, 4, 8, 1) };
    let module = module(vec![text], vec![program("helpers", ProgramKind::Xdp, helpers)]);
    let instance = Instance::new(&runtime, &module).expect("fits");
    let mut packet = Packet::new(&[0; 20]);
    let verdict = instance
        .program("helpers")
        .expect("there")
        .run_xdp(&mut runtime.worker().expect("free"), &mut packet);
    assert_eq!(verdict, Ok(XdpVerdict::Redirect));
    assert_eq!(packet.redirect().map(|redirect| redirect.ifindex), Some(5));
    assert_eq!(*lines.lock().expect("not poisoned"), ["stack map 77", "  1"]);
}
