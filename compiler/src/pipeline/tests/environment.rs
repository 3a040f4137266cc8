//! Programs that use their environment: helpers, maps, contexts and tail calls.

use brolga_abi::MapKind;
use brolga_abi::context::{SkbContext, XdpContext};
use brolga_abi::env::{MapRef, ProgEntry, ProgSlot};

use super::*;
use crate::isa::{CallTarget, Insn, InsnIdx, Reg};
use crate::verify::{Access, InsnFact};

fn maps() -> Arc<[MapDef]> {
    Arc::from([
        MapDef::new("array", MapKind::Array, 4, 12, 4),
        MapDef::new("percpu", MapKind::PerCpuArray, 4, 8, 4),
        MapDef::new("progs", MapKind::ProgArray, 4, 4, 3),
        MapDef::new("hash", MapKind::Hash, 4, 8, 4),
    ])
}

fn with_maps(kind: ProgramKind, text: &str) -> Program {
    let context = AsmContext { maps: &["array", "percpu", "progs", "hash"] };
    let assembled = assemble(text, &context).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    Program::from_insns("test", kind, assembled.insns, maps())
}

/// Helper calls that follow `r1 = map[m]` know their map; `r1` is the context at first.
fn facts(program: &Program) -> Facts {
    let mut map = None;
    let mut adjust = |at: InsnIdx, fact: &mut InsnFact| match program.insns[at.index()] {
        Insn::LoadImm64 { imm: crate::isa::Imm64::MapIdx(index), .. } => map = Some(MapId(index)),
        Insn::Call(CallTarget::Helper(_)) => fact.call.map = map,
        Insn::Load { base: Reg::R6, off, .. } | Insn::Store { base: Reg::R6, off, .. } => {
            fact.access = Some(Access::Context { off: off.unsigned_abs().into() });
        }
        _ => {}
    };
    Facts::assumed(program, &mut adjust)
}

fn compile(programs: &[&Program], resolve: &dyn Fn(&str) -> Option<*const u8>) -> JitCode {
    let facts: Vec<Facts> = programs.iter().map(|program| facts(program)).collect();
    let units: Vec<Unit<'_>> =
        programs.iter().zip(&facts).map(|(program, facts)| Unit { program, facts }).collect();
    compile_jit(&units, &options(Optimize::Speed), resolve).unwrap_or_else(|error| panic!("{error}"))
}

fn call(code: &JitCode, program: usize, context: *mut c_void, env: &mut Env) -> u64 {
    // SAFETY: the tests' programs touch only what their context and environment lead to.
    unsafe { code.entry(program)(context, &raw mut *env) }
}

unsafe extern "C" fn sum(_: *mut Env, a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
    a + 10 * b + 100 * c + 1000 * d + 10_000 * e
}

unsafe extern "C" fn lookup(_: *mut Env, map: u64, key: *const u32) -> u64 {
    // SAFETY: the test's program passes the address of a key on its stack.
    map + u64::from(unsafe { *key })
}

#[test]
fn helpers_and_routines_get_their_arguments() {
    let program = with_maps(
        ProgramKind::RawMemory,
        "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\ncall bpf_trace_printk\nr6 = r0\nr1 = map[hash]\n\
         *(u32 *)(r10 - 4) = 7\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr0 += r6\nexit",
    );
    let resolve = |symbol: &str| match symbol {
        "brolga_v1_trace_printk" => Some(sum as *const u8),
        "brolga_v1_hash_lookup" => Some(lookup as *const u8),
        _ => None,
    };
    let code = compile(&[&program], &resolve);
    let refs = [MapRef { handle: std::ptr::without_provenance(1 << 20), data: std::ptr::null_mut() }; 4];
    let mut context = RawMemoryContext { data: std::ptr::null_mut(), len: 0 };
    let mut env = Env { maps: refs.as_ptr(), ..ENV };
    assert_eq!(call(&code, 0, (&raw mut context).cast(), &mut env), 54_321 + (1 << 20) + 7);
}

#[test]
fn arrays_are_looked_up_in_place() {
    let text = |map: &str, key: &str| {
        format!(
            "{key}r1 = map[{map}]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0 goto +2\n\
             r0 = *(u64 *)(r0 + 0)\nexit\nr0 = -1\nexit"
        )
    };
    let mut array = [0u64; 8];
    let mut percpu = [0u64; 2 * 16];
    (array[4], percpu[16 + 3]) = (40, 33);
    let refs = [array.as_mut_ptr(), percpu.as_mut_ptr()]
        .map(|data| MapRef { handle: std::ptr::null(), data: data.cast() });
    for (map, key, expected) in [
        ("array", "*(u32 *)(r10 - 4) = 2\n", 40),
        ("array", "*(u32 *)(r10 - 4) = 4\n", u64::MAX),
        ("array", "*(u32 *)(r10 - 4) = r2\n", 40),
        ("percpu", "*(u32 *)(r10 - 4) = 3\n", 33),
        ("percpu", "*(u32 *)(r10 - 4) = -1\n", u64::MAX),
    ] {
        let program = with_maps(ProgramKind::RawMemory, &text(map, key));
        let code = compile(&[&program], &|_| None);
        let mut context = RawMemoryContext { data: std::ptr::null_mut(), len: 2 };
        let mut env = Env { maps: refs.as_ptr(), cpu: 1, ..ENV };
        assert_eq!(call(&code, 0, (&raw mut context).cast(), &mut env), expected, "{map} {key}");
    }
}

#[test]
fn global_data_is_addressed_by_offset() {
    let program = with_maps(
        ProgramKind::RawMemory,
        "r1 = map[array][0] + 8\nr2 = *(u32 *)(r1 + 0)\nr2 += 1\n*(u32 *)(r1 + 0) = r2\nr0 = r2\nexit",
    );
    let code = compile(&[&program], &|_| None);
    let mut array = [0u32; 16];
    array[2] = 41;
    let refs = [MapRef { handle: std::ptr::null(), data: array.as_mut_ptr().cast() }];
    let mut context = RawMemoryContext { data: std::ptr::null_mut(), len: 0 };
    let mut env = Env { maps: refs.as_ptr(), ..ENV };
    assert_eq!(call(&code, 0, (&raw mut context).cast(), &mut env), 42);
    assert_eq!(array[2], 42);
}

#[test]
fn context_fields_are_rewritten() {
    let mut packet = [7u8; 4];
    let start = packet.as_mut_ptr();
    let mut xdp = XdpContext {
        data: start,
        data_end: start.wrapping_add(4),
        data_meta: start,
        data_hard_start: start,
        data_hard_end: start.wrapping_add(4),
        ingress_ifindex: 3,
        rx_queue_index: 5,
        egress_ifindex: 0,
        redirect_ifindex: 0,
        redirect_flags: 0,
    };
    let program = with_maps(
        ProgramKind::Xdp,
        "r6 = r1\nr1 = *(u32 *)(r6 + 0)\nr0 = *(u32 *)(r6 + 4)\nr0 -= r1\nr1 = *(u32 *)(r6 + 16)\nr0 += r1\nexit",
    );
    let code = compile(&[&program], &|_| None);
    assert_eq!(call(&code, 0, (&raw mut xdp).cast(), &mut { ENV }), 4 + 5);

    // SAFETY: all fields are integers and pointers, for which zeros are valid.
    let mut skb: SkbContext = unsafe { std::mem::zeroed() };
    skb.mark = 0x1122_3344;
    for (load, expected) in [("(u8 *)(r6 + 9)", 0x33), ("(u16 *)(r6 + 10)", 0x1122), ("(s8 *)(r6 + 8)", 0x44)]
    {
        let program = with_maps(ProgramKind::SocketFilter, &format!("r6 = r1\nr0 = *{load}\nexit"));
        let code = compile(&[&program], &|_| None);
        assert_eq!(call(&code, 0, (&raw mut skb).cast(), &mut { ENV }), expected, "{load}");
    }
    let program =
        with_maps(ProgramKind::SocketFilter, "r6 = r1\n*(u32 *)(r6 + 52) = 9\nr0 = *(u32 *)(r6 + 52)\nexit");
    let code = compile(&[&program], &|_| None);
    assert_eq!(call(&code, 0, (&raw mut skb).cast(), &mut { ENV }), 9);
    assert_eq!(skb.cb, [0, 9, 0, 0, 0]);
}

const TAIL_CALL: &str = "r3 = r2\nr2 = map[progs]\ncall bpf_tail_call\nr0 = 1000\nexit";

/// A program that calls itself again through slot 0 until no more is allowed; its memory counts.
const AGAIN: &str = "r8 = *(u64 *)(r1 + 0)\nr7 = *(u64 *)(r8 + 0)\nr7 += 1\n*(u64 *)(r8 + 0) = r7\n\
     r3 = 0\nr2 = map[progs]\ncall bpf_tail_call\nr0 = r7\nexit";

#[test]
fn tail_calls_end_after_33() {
    let program = with_maps(ProgramKind::RawMemory, AGAIN);
    // `r1` stays the context here: it points to a pointer to the counter.
    let code = compile(&[&program], &|_| None);
    let mut counter = 0u64;
    let mut pointer = &raw mut counter;
    let mut refs = [MapRef { handle: std::ptr::null(), data: std::ptr::null_mut() }; 4];
    let entry = ProgEntry { body: code.body(0), maps: refs.as_ptr() };
    let mut slots: [ProgSlot; 3] = [&raw const entry, std::ptr::null(), std::ptr::null()];
    refs[2].data = (&raw mut slots).cast();
    let mut context = RawMemoryContext { data: (&raw mut pointer).cast(), len: 8 };
    let mut env = Env { maps: refs.as_ptr(), ..ENV };
    assert_eq!(call(&code, 0, (&raw mut context).cast(), &mut env), 34);
    assert_eq!((counter, env.tail_calls), (34, 33));
}

#[test]
fn tail_calls_fall_through_where_there_is_no_program() {
    let target = with_maps(ProgramKind::RawMemory, "r0 = 5\nexit");
    let from_main = with_maps(ProgramKind::RawMemory, TAIL_CALL);
    let from_subprog = with_maps(
        ProgramKind::RawMemory,
        &format!("call sub\nr6 = r0\nr1 = map[array]\nr0 = r1\nr0 += r6\nexit\nsub: {TAIL_CALL}"),
    );
    let code = compile(&[&target, &from_main, &from_subprog], &|_| None);
    let other = [MapRef { handle: std::ptr::without_provenance(9999), data: std::ptr::null_mut() }; 4];
    let entry = ProgEntry { body: code.body(0), maps: other.as_ptr() };
    let mut slots: [ProgSlot; 3] = [std::ptr::null(), std::ptr::null(), &raw const entry];
    let mut refs = [MapRef { handle: std::ptr::without_provenance(1 << 20), data: std::ptr::null_mut() }; 4];
    refs[2].data = (&raw mut slots).cast();
    for (index, expected, count) in [(2, 5, 1), (1, 1000, 0), (3, 1000, 0)] {
        let mut context = RawMemoryContext { data: std::ptr::null_mut(), len: index };
        let mut env = Env { maps: refs.as_ptr(), ..ENV };
        assert_eq!(call(&code, 1, (&raw mut context).cast(), &mut env), expected, "index {index}");
        assert_eq!(env.tail_calls, count, "index {index}");
        // After a subprogram's tail call the caller's maps are there again.
        let mut env = Env { maps: refs.as_ptr(), ..ENV };
        assert_eq!(call(&code, 2, (&raw mut context).cast(), &mut env), (1 << 20) + expected);
        assert_eq!(env.maps, refs.as_ptr());
    }
}
