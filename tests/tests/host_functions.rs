//! Programs call functions of the host: proven like calls of helpers, and called as C calls them.

use std::ffi::c_void;
use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_compiler::diag::Code;
use brolga_compiler::isa::asm::AsmContext;
use brolga_compiler::isa::{CallTarget, Insn, assemble};
use brolga_compiler::program::{LoadOptions, Object, Program, Resolution, load};
use brolga_compiler::verify;
use brolga_runtime::jit::{self, HostFunction};
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::{Engine, Input, Module};
use brolga_tests::oracle::host::{HostCode, HostValue};
use brolga_tests::oracle::{Hooks, Machine};
use brolga_tests::repo;

/// The host's functions: prototype, native code, and the same for the interpreter.
const FUNCTIONS: &[(&str, &str, HostCode)] = &[
    ("host_sum", "u64 host_sum(const void *data, u32 data__sz)", |args| match args {
        [HostValue::Memory(bytes), _] => bytes.iter().map(|byte| u64::from(*byte)).sum(),
        _ => unreachable!("as the prototype says"),
    }),
    ("host_fill", "void host_fill(void *data, u64 data__sz, u8 value)", |args| match args {
        [HostValue::Memory(bytes), _, HostValue::Word(value)] => {
            bytes.fill(u8::try_from(*value).expect("cut"));
            0
        }
        _ => unreachable!("as the prototype says"),
    }),
    ("host_narrow", "s8 host_narrow(s8 a, u16 b, int c)", |args| match args {
        [HostValue::Word(a), HostValue::Word(b), HostValue::Word(c)] => a.wrapping_add(*b).wrapping_add(*c),
        _ => unreachable!("as the prototype says"),
    }),
    ("host_short", "u16 host_short(u64 x)", |args| match args {
        [HostValue::Word(x)] => *x,
        _ => unreachable!("as the prototype says"),
    }),
    ("host_swap", "void host_swap(u8 pair[8])", |args| match args {
        [HostValue::Memory(bytes)] => {
            bytes.rotate_left(4);
            0
        }
        _ => unreachable!("as the prototype says"),
    }),
    ("host_context", "u64 host_context(ctx)", |_| 40),
    ("host_nothing", "u64 host_nothing()", |_| 2),
    ("host_unlike", "u64 host_unlike(u64 x)", |_| 0),
];

extern "C" fn sum(data: *const u8, len: u32) -> u64 {
    bytes(data, len as usize).iter().map(|byte| u64::from(*byte)).sum()
}

extern "C" fn fill(data: *mut u8, len: u64, value: u8) {
    bytes_mut(data, usize::try_from(len).expect("short")).fill(value);
}

extern "C" fn narrow(a: i8, b: u16, c: i32) -> i8 {
    let sum = i32::from(a).wrapping_add(i32::from(b)).wrapping_add(c);
    i8::from_le_bytes([sum.to_le_bytes()[0]])
}

extern "C" fn short(x: u64) -> u16 {
    let [a, b, ..] = x.to_le_bytes();
    u16::from_le_bytes([a, b])
}

extern "C" fn swap(pair: *mut u8) {
    bytes_mut(pair, 8).rotate_left(4);
}

extern "C" fn context(context: *const c_void) -> u64 {
    if context.is_null() { 0 } else { 40 }
}

extern "C" fn nothing() -> u64 {
    2
}

extern "C" fn unlike(_: u64) -> u64 {
    0
}

#[expect(unsafe_code, reason = "what programs hand over is memory")]
fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the verifier proved it, and nobody else writes the memory in these tests.
    if len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, len) } }
}

#[expect(unsafe_code, reason = "what programs hand over is memory")]
fn bytes_mut<'a>(data: *mut u8, len: usize) -> &'a mut [u8] {
    // SAFETY: as above.
    if len == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(data, len) } }
}

#[expect(unsafe_code, reason = "addresses are taken for functions of prototypes")]
fn native() -> Vec<HostFunction> {
    let addresses: [*const c_void; 8] = [
        sum as *const _,
        fill as *const _,
        narrow as *const _,
        short as *const _,
        swap as *const _,
        context as *const _,
        nothing as *const _,
        unlike as *const _,
    ];
    let made = FUNCTIONS.iter().zip(addresses).map(|((_, prototype, _), address)| {
        // SAFETY: the functions above have these prototypes.
        unsafe { HostFunction::new(prototype, address) }.expect("a prototype")
    });
    made.collect()
}

fn file() -> Vec<u8> {
    let path = repo::root().join("tests/cases/programs/host/host.bpf.o");
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", repo::name(&path)))
}

fn object() -> Object {
    let host_functions = native().iter().map(|function| function.prototype().clone()).collect();
    load(&file(), &LoadOptions { host_functions, ..LoadOptions::default() }).expect("loads")
}

fn program<'o>(object: &'o Object, name: &str) -> &'o Program {
    object.programs.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no program `{name}`"))
}

const PACKET: [u8; 20] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

#[test]
fn programs_get_what_the_host_returns_and_writes() {
    let object = object();
    let x = 0x1234_5678_90ab_cdef_u64;
    let narrowed = i64::from(narrow(-17, 0xcdef, 0x90ab_cdef_u32.cast_signed())) * 100_000;
    let narrowed = (narrowed + i64::from(short(x))).cast_unsigned() % 1_000_003;
    let filled: u32 = (8..24).map(|i| 3 * i).sum::<u32>() + 9 * 31 + 0x0101_0101 + 1;
    for (name, expected) in [
        ("sum_of_packet", 136 + 2 + 3 + 4),
        ("fill_stack", filled),
        ("narrow", u32::try_from(narrowed).expect("a remainder")),
        ("swap", 21),
        ("context", 42),
        ("absent", 7),
    ] {
        let program = program(&object, name);
        assert_eq!(program.findings, [], "{name}");
        let module = Module::single(program.clone());
        let input = Input { data: PACKET.to_vec() };
        let mut machine = Machine::new(&module, Hooks::default());
        machine.hosts = FUNCTIONS.iter().map(|(name, _, code)| (*name, *code)).collect();
        let interpreted = machine.run(0, &input).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert_eq!(interpreted.ret as u32, expected, "{name}: interpreter");
        for optimize in [brolga_compiler::options::Optimize::None, brolga_compiler::options::Optimize::Speed]
        {
            let mut options = jit::Options { host_functions: native(), ..jit::Options::default() };
            options.code.optimize = optimize;
            let mut instance =
                Jit { options, cpus: 0 }.load(&module).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            let ran = instance.run(0, &input).expect("runs");
            assert_eq!(ran, interpreted, "{name}: {optimize:?}");
        }
    }
}

#[test]
fn calls_are_held_to_the_prototype() {
    let object = object();
    for (name, code, message) in [
        ("wrong_bounds", Code::StackBounds, "size=9"),
        ("wrong_length", Code::UnboundedAccess, "unbounded memory access"),
        ("wrong_packet", Code::PacketBounds, "invalid access to packet"),
        ("wrong_pointer", Code::ArgumentType, "expected=fp"),
        ("wrong_null", Code::NullMapValue, "map_value_or_null"),
        ("wrong_scalar", Code::ArgumentType, "expected=scalar"),
        ("wrong_context", Code::ModifiedContext, "ctx"),
        ("wrong_constant", Code::ReadOnlyMap, "write into map forbidden"),
        ("wrong_prototype", Code::UnresolvedExtern, "parameter 1 of the host's is u64"),
    ] {
        let rejection = verify::verify(program(&object, name), &verify::Options::default());
        let found = &rejection.expect_err(name).diagnostics[0];
        assert_eq!(found.code, code, "{name}: {}", found.message);
        assert!(found.message.contains(message), "{name}: {}", found.message);
    }
}

#[test]
fn flavours_are_the_same_function() {
    let object = object();
    let calls: Vec<CallTarget> = program(&object, "sum_of_packet")
        .insns
        .iter()
        .filter_map(|insn| match insn {
            Insn::Call(target) => Some(*target),
            _ => None,
        })
        .collect();
    assert_eq!(calls, [CallTarget::Kfunc { id: 0, module: CallTarget::HOST }; 2]);
    let external = |name| object.externs.iter().find(|e| e.name == name).expect("an extern");
    assert_eq!(external("host_sum___other").resolution, Resolution::Host(0));
    assert_eq!(external("host_absent").resolution, Resolution::Absent);
}

#[test]
fn native_code_must_have_the_prototype_that_programs_were_verified_with() {
    let verified = object();
    let programs = jit::Programs::Named(vec!["sum_of_packet".to_owned()]);
    let options = jit::Options { programs, ..jit::Options::default() };
    let error = jit::compile(&verified, &options).expect_err("no native code");
    assert!(error.to_string().contains("brolga_host_host_sum"), "{error}");

    #[expect(unsafe_code, reason = "it is never called")]
    // SAFETY: it is never called: that it is refused is what is tested.
    let other = unsafe { HostFunction::new("u64 host_sum(u64 x, u32 y)", unlike as *const _) };
    let options = jit::Options { host_functions: vec![other.expect("a prototype")], ..options };
    let error = jit::compile(&verified, &options).expect_err("another prototype");
    assert!(matches!(error, jit::Error::HostFunction { .. }), "{error}");
    assert!(error.to_string().contains("u64 host_sum(u64, u32)"), "{error}");
}

#[test]
fn a_call_of_a_function_that_the_host_does_not_have_is_refused() {
    let mut object = load(&file(), &LoadOptions::default()).expect("loads");
    let findings = &program(&object, "swap").findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, Code::UnsupportedRelocation);
    // An object may hold such a call without any relocation.
    let mut absent = object.programs.remove(5);
    assert_eq!((absent.name.as_str(), absent.findings.len()), ("absent", 0));
    let call = Insn::Call(CallTarget::Kfunc { id: 0, module: CallTarget::HOST });
    absent.insns.insert(0, call);
    absent.lines = Default::default();
    absent.host_functions = Arc::new([]);
    let rejection = verify::verify(&absent, &verify::Options::default()).expect_err("no such function");
    assert_eq!(rejection.diagnostics[0].code, Code::UnsupportedKfunc);
}

#[test]
fn a_length_must_fit_the_hosts_integer() {
    for (prototype, len, fits) in [
        ("void f(const void *p, s8 n)", 127, true),
        ("void f(const void *p, s8 n)", 200, false),
        ("void f(const void *p, u8 n)", 200, true),
        ("void f(const void *p, u8 n)", 256, false),
    ] {
        let text = format!("r1 = r10\nr1 += -256\nr2 = {len}\nr0 = 0\nexit");
        let mut insns = assemble(&text, &AsmContext::default()).expect("assembles").insns;
        insns.insert(3, Insn::Call(CallTarget::Kfunc { id: 0, module: CallTarget::HOST }));
        let mut program = Program::from_insns("p", ProgramKind::Xdp, insns, Arc::new([]));
        program.host_functions = Arc::new([prototype.parse().expect("a prototype")]);
        let verdict = verify::verify(&program, &verify::Options::default());
        let code = verdict.err().map(|rejection| rejection.diagnostics[0].code);
        assert_eq!(code, (!fits).then_some(Code::ArgumentSize), "{prototype} with {len}");
    }
}
