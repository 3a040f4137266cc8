//! The instruction set against bytes and text that nobody chose, and against LLVM's assembler.
//!
//! The rows themselves are tested beside the table; here stand the properties over all inputs. LLVM 19
//! knows neither load-acquire nor store-release, nor a register and a displacement in a legacy load.

use std::io::Write as _;
use std::process::{Command, Stdio};

use brolga_abi::HelperId;
use brolga_compiler::isa::asm::AsmContext;
use brolga_compiler::isa::table::{Row, rows};
use brolga_compiler::isa::{
    CallTarget, Endianness, Field, Form, Imm64, Insn, LegacyKind, assemble, decode, encode_all, listing,
};
use proptest::prelude::*;

/// An instruction whose opcode exists and whose reserved fields are mostly right, so that much decodes.
fn likely_insn() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<&'static Row> = rows().collect();
    let small = || prop_oneof![Just(0i32), Just(1), Just(-1), Just(16), any::<i32>()];
    (proptest::sample::select(all), 0u8..12, 0u8..12, small(), small(), small(), any::<u8>()).prop_map(
        |(row, dst, src, off, imm, next, keep)| {
            // One instruction in sixteen has whatever it likes in its fixed fields.
            let pick = |field, other: i32| row.fixed(field).filter(|_| keep >= 16).unwrap_or(other);
            let src = pick(Field::Src, src.into()) as u8;
            let dst = pick(Field::Dst, dst.into()) as u8;
            let off = (pick(Field::Off, off) as i16).to_le_bytes();
            let imm = pick(Field::Imm, imm).to_le_bytes();
            let mut bytes = vec![row.opcode, src << 4 | dst & 15, off[0], off[1]];
            bytes.extend(imm);
            if matches!(row.form, Form::LoadImm64 { .. }) {
                bytes.extend([0; 4]);
                bytes.extend(pick(Field::NextImm, next).to_le_bytes());
            }
            bytes
        },
    )
}

fn text_of(insns: &[Insn]) -> String {
    insns.iter().filter(|i| **i != Insn::SecondSlot).map(|i| format!("{i}\n")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        slots in proptest::collection::vec(likely_insn(), 0..6),
        big in any::<bool>(),
    ) {
        let endianness = if big { Endianness::Big } else { Endianness::Little };
        let bytes = slots.concat();
        if let Ok(insns) = decode(&bytes, endianness) {
            prop_assert_eq!(encode_all(&insns, endianness), bytes);
            let again = assemble(&text_of(&insns), &AsmContext::default());
            prop_assert_eq!(again.map(|a| a.insns), Ok(insns));
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for endianness in [Endianness::Little, Endianness::Big] {
            match decode(&bytes, endianness) {
                Ok(insns) => {
                    prop_assert_eq!(insns.len() * 8, bytes.len());
                    prop_assert_eq!(encode_all(&insns, endianness), bytes.clone());
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn any_text_assembles_or_fails(text in "\\PC{0,60}") {
        let _ = assemble(&text, &AsmContext::default());
    }

    #[test]
    fn any_tokens_assemble_or_fail(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "r0", "w1", "r10", "r11", "=", "+=", "s", ">>=", "(", ")", "*", "u32", "s8", "[", "]", "map", "ll", "goto",
                "if", "call", "+", "-", "4", "0xffffffffffffffff", "99999999999999999999", ":", "a", "lock", "#", ";", ",",
                "kfunc", "@", "pc", "subprog", "skb", "\n", "atomic_fetch_add", "bpf_map_lookup_elem",
            ]),
            0..14,
        )
    ) {
        let _ = assemble(&words.join(" "), &AsmContext { maps: &["a"] });
        let _ = assemble(&words.concat(), &AsmContext { maps: &["a"] });
    }
}

/// Every single opcode byte with zero fields: the table's opcodes and no others decode.
#[test]
fn exactly_the_opcodes_of_the_table_exist() {
    for opcode in 0..=u8::MAX {
        let known = Row::with_opcode(opcode).next().is_some();
        let error = decode(&[opcode, 0, 0, 0, 0, 0, 0, 0], Endianness::Little).err();
        let unknown = error.is_some_and(|e| e.to_string().contains("unknown opcode"));
        assert_eq!(known, !unknown, "{opcode:#x}");
    }
}

/// Runs a program of LLVM 19 on standard input. `None`, said aloud, where it is not installed.
fn llvm(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let spawned = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs {program}");
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("runs");
    writer.join().expect("no panic").expect("reads its input");
    assert!(output.status.success(), "{program} failed");
    Some(output.stdout)
}

/// Whether LLVM 19 spells an instruction, and encodes it from text alone.
fn llvm_knows(row: &Row, insn: &Insn) -> bool {
    match row.form {
        Form::LoadAcquire { .. } | Form::StoreRelease { .. } => false,
        Form::LegacyLoad { kind, .. } => kind == LegacyKind::Abs,
        Form::LoadImm64 { .. } => matches!(insn, Insn::LoadImm64 { imm: Imm64::Value(_), .. }),
        // It reads no helper's name, and makes calls of subprograms by relocation only.
        Form::Call { .. } => {
            matches!(insn, Insn::Call(CallTarget::Helper(n)) if HelperId::from_number(*n).is_none())
        }
        // Its assembler takes no more than 16 bits as a number.
        Form::Gotol => matches!(insn, Insn::Gotol { off } if i16::try_from(*off).is_ok()),
        _ => true,
    }
}

fn llvm_samples() -> Vec<Insn> {
    let known = rows().flat_map(|row| row.samples().into_iter().filter(|insn| llvm_knows(row, insn)));
    known
        .flat_map(|insn| {
            let second = matches!(insn, Insn::LoadImm64 { .. }).then_some(Insn::SecondSlot);
            std::iter::once(insn).chain(second)
        })
        .collect()
}

/// The bytes that `llvm-mc -show-encoding` prints.
fn encodings(output: &str) -> Vec<u8> {
    let bytes = output.lines().filter_map(|line| line.split_once("encoding: [")?.1.split_once(']'));
    bytes
        .flat_map(|(list, _)| list.split(','))
        .map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).expect("a hex byte"))
        .collect()
}

#[test]
fn llvm_assembles_our_text_to_our_bytes() {
    let insns = llvm_samples();
    for (triple, endianness) in [("bpfel", Endianness::Little), ("bpfeb", Endianness::Big)] {
        let args = ["-triple", triple, "-mcpu=v4", "-show-encoding"];
        let Some(output) = llvm("llvm-mc-19", &args, text_of(&insns).as_bytes()) else { return };
        let theirs = encodings(&String::from_utf8(output).expect("text"));
        let ours = encode_all(&insns, endianness);
        let slots = ours.chunks(8).zip(theirs.chunks(8)).zip(&insns);
        for (at, ((ours, theirs), insn)) in slots.enumerate() {
            assert_eq!(ours, theirs, "slot {at}, {insn}, {triple}");
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn our_assembler_reads_what_llvm_writes() {
    let insns = llvm_samples();
    let bytes = encode_all(&insns, Endianness::Little);
    let hex: String = bytes.iter().map(|b| format!("{b:#04x} ")).collect();
    let args = ["-triple", "bpfel", "-mcpu=v4", "-disassemble"];
    let Some(output) = llvm("llvm-mc-19", &args, hex.as_bytes()) else { return };
    let text = String::from_utf8(output).expect("text");
    let text: String =
        text.lines().filter(|l| !l.trim_start().starts_with('.')).map(|l| format!("{l}\n")).collect();
    let again = assemble(&text, &AsmContext::default())
        .unwrap_or_else(|e| panic!("{e}: {}", text.lines().nth(e.line as usize - 1).unwrap_or_default()));
    assert_eq!(listing(&again.insns, &[""; 0][..]).to_string(), listing(&insns, &[""; 0][..]).to_string());
    assert_eq!(again.insns, insns);
}
