//! Passes against an evaluator, on random programs and on written ones.

mod eval;
mod random;

use std::sync::Arc;

use brolga_abi::{MapKind, ProgramKind};

use super::{PASSES, Pass, checked, optimize, switch};
use crate::ir::{self, Unit};
use crate::isa::asm::{AsmContext, assemble};
use crate::isa::{CallTarget, Insn};
use crate::options::SelfCheck;
use crate::program::{GlobalData, MapDef, MapId, Program};
use crate::verify::Facts;
use random::Random;

/// The intermediate form of a program over a buffer.
fn build(text: &str) -> Unit {
    let assembled =
        assemble(text, &AsmContext::default()).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    let program = Program::from_insns("test", ProgramKind::RawMemory, assembled.insns, Arc::from([]));
    let facts = Facts::assumed(&program, |_, _| {});
    ir::build(&program, &facts).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn optimized(text: &str) -> Unit {
    let mut unit = build(text);
    optimize(&mut unit, SelfCheck::On).unwrap_or_else(|error| panic!("{error}"));
    unit
}

/// Runs all passes one by one, and the program before and after each.
fn assert_passes_keep(text: &str, random: &mut Random) {
    let mut unit = build(text);
    let buffers: Vec<Vec<u8>> = (0..3)
        .map(|i| (0..random::BUFFER).map(|_| if i == 0 { 0 } else { random.next() as u8 }).collect())
        .collect();
    let expected: Vec<_> = buffers.iter().map(|buffer| eval::run(&unit, buffer)).collect();
    let eager = Pass { name: "small switches", run: switch::run_eagerly };
    let (last, others) = PASSES.split_last().expect("there are passes");
    for pass in others.iter().chain([&eager, last]) {
        let before = unit.to_string();
        (pass.run)(&mut unit);
        checked(&unit, pass.name, SelfCheck::On).unwrap_or_else(|e| panic!("{e}\nbefore:\n{before}\n{text}"));
        for (buffer, expected) in buffers.iter().zip(&expected) {
            let got = eval::run(&unit, buffer);
            assert_eq!(&got, expected, "`{}` changed\n{text}\nbefore:\n{before}\nafter:\n{unit}", pass.name);
        }
    }
}

#[test]
fn passes_keep_what_random_programs_do() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let text = random::program(&mut random);
        assert_passes_keep(&text, &mut random);
    }
}

/// The optimised form of the main function as text: one line an instruction or block, without the
/// numbers of instructions, values named in the order in which they appear.
fn text(program: &str) -> Vec<String> {
    let unit = optimized(program);
    let text = unit.functions[0].as_ref().expect("main is called").to_string();
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines().skip(1).take_while(|line| *line != "}") {
        let line = match line.split_once(": ") {
            Some((number, rest)) if number.trim().parse::<u32>().is_ok() => rest,
            _ => line,
        };
        let mut out = String::new();
        for word in line.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let name = word.trim_end_matches(|c: char| !c.is_alphanumeric());
            if name.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok()) {
                let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
                    names.push(name.to_owned());
                    names.len() - 1
                });
                out += &format!("v{at}{}", &word[name.len()..]);
            } else {
                out += word;
            }
        }
        lines.push(out);
    }
    lines
}

/// What is left of a program of one block.
#[track_caller]
fn assert_body(program: &str, expected: &[&str]) {
    let text = text(program);
    assert_eq!(text[1..], *expected, "{program}\n{text:#?}");
}

#[test]
fn arithmetic_folds() {
    assert_body("r0 = 6\nr0 *= 7\nexit", &["v5: i64 = const 42", "return v5"]);
    assert_body("r0 = r1\nr0 += 4\nr0 -= 4\nexit", &["return v0"]);
    assert_body("r0 = r1\nr0 ^= r0\nexit", &["v5: i64 = const 0", "return v5"]);
    assert_body(
        "r0 = *(u8 *)(r1 + 0)\nr0 &= 255\nw0 = w0\nr0 <<= 32\nr0 s>>= 32\nexit",
        &["v5: i64 = load.u8 [v0+0] mixed", "return v5"],
    );
    assert_body(
        "r2 = *(u8 *)(r1 + 0)\nr0 = 1\nif r2 > 255 goto +1\nr0 = 2\nexit",
        &["v5: i64 = const 2", "return v5"],
    );
}

#[test]
fn a_decided_branch_decides_again() {
    let text =
        text("r0 = 1\nif r1 != 7 goto out\nr0 = r1\nif r1 == 7 goto out\nr0 = 3\nout: exit").join("\n");
    assert!(text.contains("const 7") && !text.contains("const 3"), "{text}");
}

#[test]
fn bytes_become_a_load() {
    let little = "r0 = *(u8 *)(r1 + 3)\nr0 <<= 8\nr2 = *(u8 *)(r1 + 2)\nr0 |= r2\nexit";
    assert_body(little, &["v5: i64 = load.u16 [v0+2] mixed", "return v5"]);
    let big = "r0 = *(u8 *)(r1 + 2)\nr0 <<= 8\nr2 = *(u8 *)(r1 + 3)\nr0 |= r2\nexit";
    assert_body(big, &["v5: i64 = load.u16 [v0+2] mixed", "v6: i64 = swap16 v5", "return v6"]);
    let four = "r0 = *(u8 *)(r1 + 0)\nr2 = *(u8 *)(r1 + 1)\nr2 <<= 8\nr2 |= r0\nr3 = *(u8 *)(r1 + 2)\nr3 <<= 16\n\
                r4 = *(u8 *)(r1 + 3)\nr4 <<= 24\nr4 |= r3\nr4 |= r2\nr0 = r4\nexit";
    assert_body(four, &["v5: i64 = load.u32 [v0+0] mixed", "return v5"]);
}

#[test]
fn a_store_between_keeps_bytes_apart() {
    let other = "r0 = *(u8 *)(r1 + 3)\n*(u8 *)(r2 + 0) = 1\nr0 <<= 8\nr2 = *(u8 *)(r1 + 2)\nr0 |= r2\nexit";
    assert_eq!(text(other).join("\n").matches("load.u8").count(), 2);
    let apart = "r0 = *(u8 *)(r1 + 3)\n*(u8 *)(r1 + 4) = 1\nr0 <<= 8\nr2 = *(u8 *)(r1 + 2)\nr0 |= r2\nexit";
    assert_eq!(text(apart).join("\n").matches("load.u16").count(), 1);
}

#[test]
fn bytes_become_a_store() {
    let big = "*(u8 *)(r1 + 1) = r2\nr2 >>= 8\n*(u8 *)(r1 + 0) = r2\nr0 = 0\nexit";
    assert_body(big, &["v5: i64 = swap16 v1", "store.16 [v0+0] mixed, v5", "v6: i64 = const 0", "return v6"]);
    let constant = "*(u8 *)(r1 + 1) = 1\n*(u8 *)(r1 + 0) = 2\nr0 = 0\nexit";
    assert_eq!(text(constant).join("\n").matches("const 258").count(), 1);
    let copied = "r3 = *(u8 *)(r1 + 0)\nr4 = *(u8 *)(r1 + 1)\n*(u8 *)(r10 - 2) = r3\n*(u8 *)(r10 - 1) = r4\n\
                  r0 = *(u16 *)(r10 - 2)\nexit";
    let copied = text(copied).join("\n");
    assert!(copied.contains("load.u16") && !copied.contains("load.u8"), "{copied}");
    let read_between = "*(u8 *)(r1 + 1) = r2\nr2 >>= 8\nr0 = *(u8 *)(r3 + 0)\n*(u8 *)(r1 + 0) = r2\nexit";
    assert_eq!(text(read_between).join("\n").matches("store.8").count(), 2);
}

#[test]
fn spilled_values_leave_the_stack() {
    let spilled = "*(u64 *)(r10 - 8) = r2\nr0 = *(u64 *)(r10 - 8)\nexit";
    assert_body(spilled, &["return v1"]);
    let halves = "*(u64 *)(r10 - 8) = 0\n*(u32 *)(r10 - 4) = r2\nr0 = *(u32 *)(r10 - 4)\nr3 = *(u32 *)(r10 - 8)\n\
                  r0 += r3\nexit";
    assert_body(halves, &["v5: i64 = uext32 v1", "return v5"]);
    let around = "r0 = 0\n*(u64 *)(r10 - 8) = 9\nloop: r0 += r2\nr3 = *(u64 *)(r10 - 8)\nr3 -= 1\n\
                  *(u64 *)(r10 - 8) = r3\nif r3 != 0 goto loop\nexit";
    let around = text(around).join("\n");
    assert!(!around.contains("load") && !around.contains("store"), "{around}");
}

#[test]
fn an_index_keeps_what_it_may_reach_in_memory() {
    let indexed = "*(u64 *)(r10 - 16) = r2\n*(u64 *)(r10 - 8) = r3\nr4 &= 7\nr5 = r10\nr5 += r4\n\
                   r0 = *(u8 *)(r5 - 8)\nr1 = *(u64 *)(r10 - 16)\nr0 += r1\nexit";
    let indexed = text(indexed).join("\n");
    assert_eq!(indexed.matches("store").count(), 1, "{indexed}");
    assert!(indexed.contains("stack-8"), "{indexed}");
}

#[test]
fn a_tree_of_comparisons_becomes_a_switch() {
    let mut tree = "w1 &= 63\nr0 = 1\nif w1 > 31 goto upper\n".to_owned();
    for case in 0..40 {
        if case == 32 {
            tree += "goto out\nupper: r0 = r0\n";
        }
        tree += &format!("if w1 == {case} goto {}\n", if case % 2 == 0 { "a" } else { "b" });
    }
    tree += "goto out\na: r0 = *(u8 *)(r6 + 0)\ngoto out\nb: r0 = *(u8 *)(r6 + 1)\nout: exit";
    let tree = text(&tree).join("\n");
    assert!(tree.contains("switch") && !tree.contains("branch"), "{tree}");
    assert!(tree.contains("[0: ") && tree.contains(", 2: ") && tree.contains(", 39: "));
    let few = "w1 &= 15\nr0 = 1\nif w1 == 0 goto a\nif w1 == 2 goto b\nif w1 == 5 goto a\nif w1 == 6 goto b\ngoto out\n\
               a: r0 = *(u8 *)(r6 + 0)\ngoto out\nb: r0 = *(u8 *)(r6 + 1)\nout: exit";
    assert!(!text(few).join("\n").contains("switch"));
    let sparse = "r0 = 1\nif r1 == 1000 goto a\nif r1 == 20 goto b\nif r1 == 500 goto a\nif r1 == 7 goto b\ngoto out\n\
                  a: r0 = 2\ngoto out\nb: r0 = 3\nout: exit";
    assert!(!text(sparse).join("\n").contains("switch"));
}

#[test]
fn small_functions_are_put_in_place_of_calls() {
    let calls =
        "r2 = r1\nr1 = 4\ncall sub\nr0 += 1\nexit\nsub: *(u64 *)(r10 - 8) = r1\nr0 = *(u64 *)(r10 - 8)\nexit";
    assert_body(calls, &["v5: i64 = const 5", "return v5"]);
    let through =
        "*(u64 *)(r10 - 8) = 7\nr1 = r10\nr1 += -8\ncall sub\nexit\nsub: r0 = *(u64 *)(r1 + 0)\nexit";
    assert_body(through, &["v5: i64 = const 7", "return v5"]);
}

#[test]
fn words_stay_words_around_a_loop() {
    let text = text("w0 = 1\nr3 = 5\nloop: w0 *= w2\nr3 -= 1\nif r3 != 0 goto loop\nexit").join("\n");
    assert!(text.contains("i32, "), "{text}");
    assert_eq!(text.matches("uext32").count(), 1, "{text}");
}

#[test]
fn memory_is_read_once() {
    let twice = "r0 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 4)\nr0 += r2\nexit";
    assert_eq!(text(twice).join("\n").matches("load").count(), 1);
    let written = "r0 = *(u32 *)(r1 + 4)\n*(u8 *)(r2 + 0) = 1\nr2 = *(u32 *)(r1 + 4)\nr0 += r2\nexit";
    assert_eq!(text(written).join("\n").matches("load").count(), 2);
    let stored = "*(u32 *)(r1 + 4) = r2\nr0 = *(u32 *)(r1 + 4)\nexit";
    let stored = text(stored).join("\n");
    assert!(stored.contains("uext32 v1") && !stored.contains("load"), "{stored}");
    let loops = "loop: r0 = *(u32 *)(r1 + 4)\nif r0 == 0 goto loop\nexit";
    assert!(text(loops).join("\n").contains("load"));
}

#[test]
fn rotations_and_reciprocals() {
    let rotation = "r0 = r1\nr0 <<= 13\nr1 >>= 51\nr0 |= r1\nexit";
    assert_body(rotation, &["v5: i64 = const 13", "v6: i64 = rotl v0, v5", "return v6"]);
    let quotient = text("r0 = r1\nr0 /= 10\nexit").join("\n");
    assert!(quotient.contains("umulhi") && !quotient.contains("udiv"), "{quotient}");
    let small = text("r0 = *(u8 *)(r1 + 0)\nr0 %= 10\nexit").join("\n");
    assert!(!small.contains("umulhi") && !small.contains("urem"), "{small}");
}

#[test]
fn a_minimum_is_chosen() {
    let least = text("if r1 < r2 goto out\nr1 = r2\nout: r0 = r1\nexit").join("\n");
    assert!(least.contains("select") && !least.contains("branch"), "{least}");
    let searched = text("if r1 < r2 goto out\nr1 = r3\nout: r0 = r1\nexit").join("\n");
    assert!(searched.contains("branch"), "{searched}");
}

/// The optimised form of a program with a frozen `.rodata` and an array of two values, `counts`.
fn with_maps(program: &str) -> String {
    let mut rodata = MapDef::new(".rodata", MapKind::Array, 4, 8, 1);
    let initial = Arc::from([1, 2, 3, 4, 0xf5, 6, 7, 8].as_slice());
    rodata.global = Some(GlobalData { initial, readonly: true, variables: Vec::new() });
    let counts = MapDef::new("counts", MapKind::Array, 4, 8, 2);
    let context = AsmContext { maps: &[".rodata", "counts"] };
    let insns = assemble(program, &context).unwrap_or_else(|error| panic!("{error:?}\n{program}")).insns;
    let program = Program::from_insns("test", ProgramKind::RawMemory, insns, Arc::from([rodata, counts]));
    let facts = Facts::assumed(&program, |at, fact| {
        if program.insns[at.index()] == Insn::Call(CallTarget::Helper(1)) {
            fact.call.map = Some(MapId(1));
        }
    });
    let mut unit = ir::build(&program, &facts).unwrap_or_else(|error| panic!("{error}"));
    optimize(&mut unit, SelfCheck::On).unwrap_or_else(|error| panic!("{error}"));
    unit.to_string()
}

#[test]
fn frozen_data_is_constant() {
    let text =
        with_maps("r1 = map[.rodata][0] + 4\nr0 = *(s8 *)(r1 + 0)\nr2 = *(u16 *)(r1 - 2)\nr0 += r2\nexit");
    let sum = (-11i64 + 0x0403).cast_unsigned();
    assert!(text.contains(&format!("const {sum}")) && !text.contains("load"), "{text}");
    let written = with_maps("r1 = map[counts][0]\nr0 = *(u64 *)(r1 + 0)\nexit");
    assert!(written.contains("load"), "{written}");
}

#[test]
fn a_lookup_of_a_constant_index_is_an_address() {
    let text = with_maps(
        "*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4\nr1 = map[counts]\ncall bpf_map_lookup_elem\n\
         if r0 == 0 goto out\nr0 = *(u64 *)(r0 + 0)\nout: exit",
    );
    assert!(text.contains("map_elem_addr") && !text.contains("branch") && !text.contains("select"), "{text}");
}

#[test]
fn addresses_of_maps_leave_loops() {
    let text = with_maps(
        "r0 = 0\nr6 = 9\nloop: r1 = map[counts][0]\nr2 = *(u64 *)(r1 + 0)\nr0 += r2\nr6 -= 1\n\
         if r6 != 0 goto loop\nexit",
    );
    let (before, _) = text.split_once("jump").expect("the loop is entered by a jump");
    assert!(before.contains("map_value_addr") && text.matches("map_value_addr").count() == 1, "{text}");
}
