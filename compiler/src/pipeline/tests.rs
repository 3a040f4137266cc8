//! Small programs, compiled and run.

#![expect(unsafe_code, reason = "compiled code is called")]

use std::ffi::c_void;
use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_abi::context::RawMemoryContext;
use brolga_abi::env::Env;

use super::*;
use crate::isa::asm::{AsmContext, assemble};

mod environment;

const ENV: Env = Env {
    maps: std::ptr::null(),
    cpu: 0,
    tail_calls: 0,
    trap: 0,
    reserved: 0,
    worker: std::ptr::null_mut(),
    context: std::ptr::null_mut(),
};

fn program(text: &str) -> Program {
    let assembled =
        assemble(text, &AsmContext::default()).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    Program::from_insns("test", ProgramKind::RawMemory, assembled.insns, Arc::from([]))
}

fn options(optimize: Optimize) -> CodeOptions {
    CodeOptions { optimize, self_check: crate::options::SelfCheck::On, ..CodeOptions::default() }
}

fn run_with(text: &str, memory: &mut [u8], optimize: Optimize) -> u64 {
    let program = program(text);
    let facts = Facts::assumed(&program, |_, _| {});
    let unit = Unit { program: &program, facts: &facts };
    let code = compile_jit(&[unit], &options(optimize), &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let mut context = RawMemoryContext { data: memory.as_mut_ptr(), len: memory.len() as u64 };
    let mut env = ENV;
    // SAFETY: the tests' programs touch only their stack and the memory that they are given.
    unsafe { code.entry(0)((&raw mut context).cast::<c_void>(), &raw mut env) }
}

/// Runs a program with and without passes.
fn run(text: &str, memory: &mut [u8]) -> u64 {
    let mut copy = memory.to_vec();
    let plain = run_with(text, &mut copy, Optimize::None);
    let fast = run_with(text, memory, Optimize::Speed);
    assert_eq!(plain, fast, "passes changed the result of\n{text}");
    assert_eq!(copy, memory, "passes changed the memory after\n{text}");
    fast
}

fn eval(text: &str) -> u64 {
    run(text, &mut [])
}

/// Runs a program that is cut into regions of a few operations each.
fn run_cut(text: &str, region: usize, memory: &mut [u8]) -> u64 {
    let program = program(text);
    let facts = Facts::assumed(&program, |_, _| {});
    let options = options(Optimize::None);
    let target = target_isa(&options, Placement::Memory).expect("the host");
    let mut ir = intermediate(&Unit { program: &program, facts: &facts }, &options).expect("builds");
    cut_large(&mut ir, region, &options).unwrap_or_else(|error| panic!("{error}"));
    let mut work = (Lowering::new(&*target), Compiler::new(&*target));
    let code = compile_unit(ir, &mut work.0, &mut work.1).unwrap_or_else(|error| panic!("{error}"));
    let code = jit::load(target, &[code], &|_| None).expect("loads");
    let mut context = RawMemoryContext { data: memory.as_mut_ptr(), len: memory.len() as u64 };
    let mut env = ENV;
    // SAFETY: as above.
    unsafe { code.entry(0)((&raw mut context).cast::<c_void>(), &raw mut env) }
}

/// Branches forwards and backwards over arithmetic on all registers, from a seed.
fn branchy(seed: u64, len: u64) -> String {
    let mut state = seed * 2 + 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut text = String::new();
    for reg in (0..9).filter(|reg| *reg != 1 && *reg != 2) {
        text += &format!("r{reg} = {}\n", random(1000));
    }
    text += "r9 = 300\n"; // how often it may still go back
    for at in 0..len {
        let (a, b) = (random(9), random(10));
        text += &match random(9) {
            0 => format!("r{a} += r{b}\n"),
            1 => format!("w{a} ^= w{b}\n"),
            2 => format!("r{a} *= {}\n", random(1000)),
            3 => format!("w{a} >>= {}\n", random(30)),
            4 => format!("*(u64 *)(r10 - {}) = r{a}\n", 8 * (b + 1)),
            5 => format!("r{a} -= {}\n", random(99)),
            6 if at + 20 < len => format!("if r{a} > {} goto +{}\n", random(9999), random(12)),
            7 if at + 20 < len => format!("if w{a} s< {} goto +{}\n", random(9999), random(12)),
            8 if at > 20 => format!("r9 += -1\nif r9 s> 0 goto -{}\n", random(12) + 3),
            _ => format!("r{a} |= r{b}\n"),
        };
    }
    text + "r0 += r1\nr0 ^= r6\nr0 += r7\nr0 ^= r8\nr0 += r9\nexit\n"
}

#[test]
fn cutting_changes_nothing() {
    for seed in 0..8 {
        let text = branchy(seed, 30 + 10 * seed);
        let whole = run_with(&text, &mut [], Optimize::None);
        for region in [1, 7, 40] {
            assert_eq!(run_cut(&text, region, &mut []), whole, "regions of {region} of\n{text}");
        }
    }
}

#[test]
fn constants_and_moves() {
    assert_eq!(eval("r0 = 7\nexit"), 7);
    assert_eq!(eval("r0 = -1\nexit"), u64::MAX);
    assert_eq!(eval("w0 = -1\nexit"), 0xffff_ffff);
    assert_eq!(eval("r0 = 0x123456789abcdef0 ll\nexit"), 0x1234_5678_9abc_def0);
    assert_eq!(eval("r1 = 0x80 ll\nr0 = (s8)r1\nexit"), (-128i64).cast_unsigned());
    assert_eq!(eval("r1 = 0x8000 ll\nw0 = (s16)w1\nexit"), 0xffff_8000);
}

#[test]
fn division_is_total() {
    let min = "r1 = 0x8000000000000000 ll\n";
    let cases = [
        ("r2 = 0\nr0 = 9\nr0 /= r2\nexit", 0),
        ("r2 = 0\nr0 = 9\nr0 %= r2\nexit", 9),
        ("r2 = 0\nr0 = -9\nr0 s/= r2\nexit", 0),
        ("r2 = 0\nr0 = -9\nr0 s%= r2\nexit", (-9i64).cast_unsigned()),
        ("r2 = -1\nr0 = r1\nr0 s/= r2\nexit", 1 << 63),
        ("r2 = -1\nr0 = r1\nr0 s%= r2\nexit", 0),
        ("r0 = r1\nr0 s/= -1\nexit", 1 << 63),
        ("r2 = -7\nr0 = 22\nr0 s/= r2\nexit", (-3i64).cast_unsigned()),
        ("r2 = -7\nr0 = -22\nr0 s%= r2\nexit", (-1i64).cast_unsigned()),
        ("r0 = -22\nr0 s%= 7\nexit", (-1i64).cast_unsigned()),
        ("w2 = -1\nw0 = 0x80000000\nw0 s/= w2\nexit", 0x8000_0000),
        ("w2 = 0\nr0 = -1\nw0 %= w2\nexit", 0xffff_ffff),
        ("r0 = -1\nw0 /= 10\nexit", 0xffff_ffff / 10),
        ("r0 = -1\nr0 /= 10\nexit", u64::MAX / 10),
    ];
    for (text, expected) in cases {
        assert_eq!(eval(&format!("{min}{text}")), expected, "{text}");
    }
}

#[test]
fn constant_divisors_divide_exactly() {
    for divisor in [1u32, 3, 7, 10, 16, 641, 1000, 0x7fff_ffff] {
        for a in [0u64, 1, 9, 10, 6999, 0xffff_ffff, 1 << 32, (1 << 63) + 5, u64::MAX] {
            let low = a as u32;
            for (op, expected) in [
                (format!("r0 /= {divisor}"), a / u64::from(divisor)),
                (format!("r0 %= {divisor}"), a % u64::from(divisor)),
                (format!("w0 /= {divisor}"), u64::from(low / divisor)),
                (format!("w0 %= {divisor}"), u64::from(low % divisor)),
            ] {
                assert_eq!(
                    run_with(&format!("r0 = {a:#x} ll\n{op}\nexit"), &mut [], Optimize::None),
                    expected,
                    "{a}: {op}"
                );
            }
        }
    }
}

#[test]
fn shifts_take_their_amount_modulo_the_width() {
    assert_eq!(eval("r0 = 1\nr1 = 65\nr0 <<= r1\nexit"), 2);
    assert_eq!(eval("r0 = -8\nr1 = 33\nw0 s>>= w1\nexit"), 0xffff_fffc);
    assert_eq!(eval("r0 = -8\nr0 >>= 1\nexit"), 0x7fff_ffff_ffff_fffc);
}

#[test]
fn swaps() {
    let value = "r0 = 0x0102030405060708 ll\n";
    assert_eq!(eval(&format!("{value}r0 = be16 r0\nexit")), 0x0807);
    assert_eq!(eval(&format!("{value}r0 = be32 r0\nexit")), 0x0807_0605);
    assert_eq!(eval(&format!("{value}r0 = be64 r0\nexit")), 0x0807_0605_0403_0201);
    assert_eq!(eval(&format!("{value}r0 = le16 r0\nexit")), 0x0708);
    assert_eq!(eval(&format!("{value}r0 = bswap32 r0\nexit")), 0x0807_0605);
}

#[test]
fn memory_and_stack() {
    let mut memory = [1, 2, 3, 4, 0xf5, 6, 7, 8];
    assert_eq!(run("r0 = *(u16 *)(r1 + 1)\nexit", &mut memory), 0x0302);
    assert_eq!(run("r0 = *(s8 *)(r1 + 4)\nexit", &mut memory), (-11i64).cast_unsigned());
    assert_eq!(run("r0 = r2\nexit", &mut memory), 8);
    assert_eq!(
        run("*(u32 *)(r1 + 2) = 0x11223344\nr0 = *(u64 *)(r1 + 0)\nexit", &mut memory),
        0x0807_1122_3344_0201
    );
    assert_eq!(memory[2..6], [0x44, 0x33, 0x22, 0x11]);
    assert_eq!(
        eval("r1 = 77\n*(u64 *)(r10 - 512) = r1\nr2 = r10\nr2 += -512\nr0 = *(u8 *)(r2 + 0)\nexit"),
        77
    );
}

#[test]
fn loops_and_branches() {
    assert_eq!(eval("r0 = 0\nr1 = 10\nloop: r0 += r1\nr1 += -1\nif r1 != 0 goto loop\nexit"), 55);
    assert_eq!(eval("r0 = 0\nr1 = -1\nif w1 s< 0 goto +1\nexit\nr0 = 1\nexit"), 1);
    assert_eq!(eval("r0 = 0\nr1 = 6\nif r1 & 4 goto +1\nexit\nr0 = 1\nexit"), 1);
    // The budget of `may_goto` ends the loop.
    assert_eq!(eval("r0 = 0\na: may_goto out\nr0 += 1\ngoto a\nout: exit"), 8 << 20);
}

#[test]
fn atomics() {
    let mut memory = [5, 0, 0, 0, 0, 0, 0, 0];
    let old = run("r2 = 3\nr0 = r2\nlock r0 = atomic_fetch_add((u64 *)(r1 + 0), r0)\nexit", &mut memory);
    assert_eq!((old, memory[0]), (5, 8));
    let old = run("r0 = 8\nr2 = 9\nr0 = cmpxchg_64(r1 + 0, r0, r2)\nexit", &mut memory);
    assert_eq!((old, memory[0]), (8, 9));
    let old = run("w2 = 1\nw2 = xchg32_32(r1 + 0, w2)\nr0 = r2\nexit", &mut memory);
    assert_eq!((old, memory[0]), (9, 1));
    assert_eq!(run("r0 = load_acquire((u32 *)(r1 + 0))\nexit", &mut memory), 1);
    run("r0 = 4\nstore_release((u16 *)(r1 + 2), r0)\nexit", &mut memory);
    assert_eq!(memory, [1, 0, 4, 0, 0, 0, 0, 0]);
}

#[test]
fn calls_of_subprograms() {
    assert_eq!(eval("r1 = 20\nr2 = 1\ncall sub\nr0 += 1\nexit\nsub: r0 = r1\nr0 += r2\nexit"), 22);
    let fib = "r1 = 12\ncall fib\nexit\n\
        fib: r0 = r1\nif r1 < 2 goto out\nr6 = r1\nr1 += -1\ncall fib\nr7 = r0\nr1 = r6\nr1 += -2\ncall fib\nr0 += r7\nout: exit";
    assert_eq!(eval(fib), 144);
}

#[test]
fn an_unknown_symbol_is_an_error() {
    let program = program("call bpf_ktime_get_ns\nexit");
    let facts = Facts::assumed(&program, |_, _| {});
    let error =
        compile_jit(&[Unit { program: &program, facts: &facts }], &options(Optimize::None), &|_| None);
    let symbol = "brolga_v1_ktime_get_ns".to_owned();
    assert_eq!(error.map(|_| ()), Err(CompileError::UnresolvedSymbol { symbol }));
}

#[test]
fn objects_for_all_targets() {
    use ::object::{Object, ObjectSymbol};

    let mut program = program(
        "r6 = r1\ncall bpf_ktime_get_ns\nr7 = r0\nr1 = 20\ncall sub\nr0 += r7\nlock *(u64 *)(r6 + 0) += r0\nexit\n\
         sub: r0 = r1\nr0 %= 7\nr0 = be32 r0\nexit",
    );
    let facts = Facts::assumed(&program, |_, _| {});
    let maps = Arc::clone(&program.maps);
    let module = ModuleInfo { name: "a-module", license: "GPL", maps: &maps };
    for triple in ["x86_64", "aarch64", "riscv64gc", "s390x"] {
        let target = format!("{triple}-unknown-linux-gnu").parse().expect("a triple");
        let options = CodeOptions { target, ..options(Optimize::Speed) };
        program.endianness = match triple {
            "s390x" => isa::Endianness::Little,
            _ => isa::Endianness::Big,
        };
        let unit = Unit { program: &program, facts: &facts };
        let error = compile_object(&module, &[unit], &options).expect_err("the byte orders differ");
        assert!(matches!(error, CompileError::Unsupported { insn: Some(isa::InsnIdx(1)), .. }), "{error}");
        program.endianness = match triple {
            "s390x" => isa::Endianness::Big,
            _ => isa::Endianness::Little,
        };
        let unit = Unit { program: &program, facts: &facts };
        let bytes = compile_object(&module, &[unit], &options).unwrap_or_else(|e| panic!("{triple}: {e}"));
        let file = ::object::File::parse(&*bytes).expect("an object file");
        let defined = |name: &str| file.symbols().any(|s| s.name() == Ok(name) && s.is_definition());
        assert!(defined("brolga_v1_descriptor_a_module"), "{triple}");
        assert!(defined("brolga_v1_program_a_module_test"), "{triple}");
        let needed: Vec<&str> =
            file.symbols().filter(|s| s.is_undefined()).filter_map(|s| s.name().ok()).collect();
        assert!(needed.contains(&"brolga_v1_ktime_get_ns"), "{triple}: {needed:?}");
    }
}

#[test]
fn programs_with_one_symbol_are_refused() {
    let (mut a, mut b) = (program("r0 = 0\nexit"), program("r0 = 1\nexit"));
    (a.name, b.name) = ("p.1".to_owned(), "p_1".to_owned());
    let facts = Facts::assumed(&a, |_, _| {});
    let units = [Unit { program: &a, facts: &facts }, Unit { program: &b, facts: &facts }];
    let module = ModuleInfo { name: "m", license: "", maps: &a.maps };
    let error = compile_object(&module, &units, &options(Optimize::Speed)).map(|_| ());
    assert!(matches!(error, Err(CompileError::Module { .. })), "{error:?}");
}

#[test]
fn texts_of_all_stages() {
    let program = program("r0 = r2\nr0 *= r2\nexit");
    let facts = Facts::assumed(&program, |_, _| {});
    let unit = Unit { program: &program, facts: &facts };
    for (emit, expected) in [(Emit::Ir, "mul"), (Emit::Clif, "imul"), (Emit::Asm, "ret")] {
        let text = emit_text(&[unit], emit, &options(Optimize::Speed)).expect("emits");
        assert!(text.contains(expected), "{emit:?}:\n{text}");
    }
}

/// A function that chooses by r2 among cases, each with a constant of its own.
fn switch(cases: &[u64]) -> ir::Unit {
    use ir::{Edge, Op, Terminator, Type};

    let at = isa::InsnIdx(0);
    let mut function = ir::Function::new("switch".to_owned(), crate::program::SubprogId::MAIN, 0);
    let entry = function.add_block();
    let params: Vec<ir::Value> = (0..5).map(|_| function.add_param(entry, Type::I64)).collect();
    let end = function.add_block();
    let result = function.add_param(end, Type::I64);
    function.block_mut(end).end = Terminator::Return(result);
    let mut edge = |value: u64| {
        let arg = function.push(entry, Op::Const(value), Type::I64, at);
        Edge { block: end, args: vec![arg] }
    };
    let default = edge(7);
    let cases = cases.iter().map(|case| (*case, edge(case.wrapping_mul(3)))).collect();
    function.block_mut(entry).end = Terminator::Switch { value: params[1], cases, default };
    let kind = brolga_abi::NativeKind::RawMemory;
    ir::Unit {
        name: "switch".to_owned(),
        kind,
        maps: Arc::from([]),
        hosts: Arc::from([]),
        functions: vec![Some(function)],
    }
}

#[test]
fn switches_find_their_case() {
    for cases in [&[][..], &[5], &[0, 1, 2, 9], &[100, 101, 103], &[1, 1 << 20, 1 << 40, u64::MAX]] {
        let target = target_isa(&options(Optimize::None), Placement::Memory).expect("the host");
        let (mut lowering, mut compiler) = (Lowering::new(&*target), Compiler::new(&*target));
        let unit = switch(cases);
        opt::checked(&unit, "test", crate::options::SelfCheck::On).unwrap_or_else(|error| panic!("{error}"));
        let code = compile_unit(unit, &mut lowering, &mut compiler).unwrap_or_else(|error| panic!("{error}"));
        let code = jit::load(target, &[code], &|_| None).expect("loads");
        let near = cases.iter().flat_map(|case| [case.wrapping_sub(1), *case, case.wrapping_add(1)]);
        for value in near.chain([0, 1 << 32, u64::MAX - 1]) {
            let mut context = RawMemoryContext { data: std::ptr::null_mut(), len: value };
            let mut env = ENV;
            // SAFETY: the function touches no memory.
            let result = unsafe { code.entry(0)((&raw mut context).cast::<c_void>(), &raw mut env) };
            let expected = if cases.contains(&value) { value.wrapping_mul(3) } else { 7 };
            assert_eq!(result, expected, "{value} among {cases:?}");
        }
    }
}
