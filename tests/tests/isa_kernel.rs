//! Which slots exist: the decoder beside the running kernel.
//!
//! Every opcode byte and every row's slot, with each field changed in turn, stands in a small program that
//! is loaded. What the kernel accepts must decode, and what it refuses as malformed must not. Where
//! a program is refused for another reason (a scalar as an address, an unknown map), nothing is compared.

use std::collections::HashSet;

use brolga_compiler::isa::asm::AsmContext;
use brolga_compiler::isa::table::{Row, rows};
use brolga_compiler::isa::{Endianness, Field, Form, RawInsn, assemble, decode, encode_all};
use brolga_tests::bpf_syscall::KernelProgram;
use brolga_tests::engines::kernel::Kernel;

/// `enum bpf_prog_type`: may use every instruction, legacy packet loads too.
const SOCKET_FILTER: u32 = 1;

/// How the kernel's log says that a slot is malformed.
const MALFORMED: &[&str] = &[
    "reserved fields",
    "unknown opcode",
    "unknown insn class",
    "invalid BPF_LD_IMM",
    "invalid bpf_ld_imm64",
    "unrecognized bpf_ld_imm64",
    "invalid atomic opcode",
    "is invalid",
    "invalid BPF_ALU opcode",
    "invalid BPF_JMP",
    "invalid BPF_LD mode",
    "invalid may_goto",
];

/// Sounds like malformed, but speaks of what was loaded beside the program.
const NOT_OF_THE_SLOT: &str = "without fd_array is invalid";

fn kernel_bytes(text: &str) -> Vec<u8> {
    let insns = assemble(text, &AsmContext::default()).expect("assembles").insns;
    encode_all(&insns, Endianness::NATIVE)
}

/// A program around a slot in which as much as possible is acceptable: registers are set, the stack is
/// written, `r6` is the context, and a function stands behind for calls.
fn around(slot: &[u8]) -> Vec<u8> {
    // The call, so that the function behind is reachable: 13 slots to the slot under test.
    let calls = 13 + i32::try_from(slot.len() / 8).expect("few");
    let before = format!(
        "r6 = r1\ncall pc+{calls}\n{}",
        (0..=9).filter(|r| *r != 6).map(|r| format!("r{r} = 1\n")).collect::<String>()
    );
    let before = format!("{before}*(u64 *)(r10 - 8) = 0\nr0 = 1");
    let after = "r0 = 0\nexit\nr0 = 0\nexit";
    [kernel_bytes(&before), slot.to_vec(), kernel_bytes(after)].concat()
}

/// A slot of a row with operands that are likely to be accepted.
fn plain(row: &Row) -> RawInsn {
    let (dst, src, off) = match row.form {
        Form::Load { .. } | Form::LoadAcquire { .. } => (1, 10, -8),
        Form::Store { .. } | Form::Atomic { .. } | Form::StoreRelease { .. } => (10, 1, -8),
        _ => (1, 2, 0),
    };
    let imm = match row.form {
        Form::Call { .. } => 2,
        Form::AddrSpaceCast => 1,
        Form::Gotol => 0,
        _ => 7,
    };
    let pick = |field, operand: i32| row.fixed(field).unwrap_or(operand);
    RawInsn {
        opcode: row.opcode,
        dst: u8::try_from(pick(Field::Dst, dst)).expect("a nibble"),
        src: u8::try_from(pick(Field::Src, src)).expect("a nibble"),
        off: i16::try_from(pick(Field::Off, off)).expect("16 bits"),
        imm: pick(Field::Imm, imm),
    }
}

/// The slot, and the slot with each field changed.
fn variants(raw: RawInsn) -> Vec<RawInsn> {
    let mut all = vec![raw];
    all.extend([0, 10, 11].map(|dst| RawInsn { dst, ..raw }));
    all.extend([0, 1, 2, 7, 15].map(|src| RawInsn { src, ..raw }));
    all.extend([0, 1, 8, 16, 32, -1].map(|off| RawInsn { off, ..raw }));
    all.extend([0, 1, 16, 64, 0x41, 0xf1, 0x110, 0x120].map(|imm| RawInsn { imm, ..raw }));
    all
}

#[test]
fn the_kernel_and_the_decoder_know_the_same_slots() {
    if Kernel::or_skip().is_none() {
        return;
    }
    let zero = |opcode| RawInsn { opcode, ..RawInsn::default() };
    let mut slots: Vec<(RawInsn, Option<RawInsn>)> = (0..=255).map(|opcode| (zero(opcode), None)).collect();
    for row in rows() {
        let raw = plain(row);
        let wide = matches!(row.form, Form::LoadImm64 { .. });
        slots.extend(variants(raw).into_iter().map(|raw| (raw, wide.then(RawInsn::default))));
        if wide {
            slots.extend(variants(RawInsn::default()).into_iter().map(|next| (raw, Some(next))));
        }
    }
    let mut seen = HashSet::new();
    slots.retain(|slot| seen.insert(*slot));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found: Vec<Compared> = std::thread::scope(|scope| {
        let parts = slots.chunks(slots.len().div_ceil(threads));
        let running: Vec<_> = parts.map(|part| scope.spawn(|| part.iter().map(compare).collect())).collect();
        running.into_iter().flat_map(|part| part.join().unwrap_or_else(|_| vec![])).collect()
    });
    assert_eq!(found.len(), slots.len());
    let count = |what: &Compared| found.iter().filter(|f| *f == what).count();
    let (accepted, malformed) = (count(&Compared::BothAccept), count(&Compared::BothRefuse));
    assert!(accepted > 500 && malformed > 1000, "compared {accepted} and {malformed}");
    let wrong: Vec<&str> = found
        .iter()
        .filter_map(|f| if let Compared::Differ(why) = f { Some(why.as_str()) } else { None })
        .collect();
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// What came of one slot.
#[derive(PartialEq, Eq)]
enum Compared {
    BothAccept,
    BothRefuse,
    /// Refused by the kernel for another reason.
    NotComparable,
    Differ(String),
}

fn compare((raw, next): &(RawInsn, Option<RawInsn>)) -> Compared {
    let slots = std::iter::once(raw).chain(next);
    let bytes: Vec<u8> = slots.flat_map(|raw| raw.to_bytes(Endianness::NATIVE)).collect();
    let ours = decode(&bytes, Endianness::NATIVE);
    let log = match KernelProgram::load(SOCKET_FILTER, &around(&bytes), true) {
        Ok(_) => {
            return match ours {
                Ok(_) => Compared::BothAccept,
                Err(error) => Compared::Differ(format!("the kernel accepts {bytes:02x?}: {error}")),
            };
        }
        Err(failure) => failure.log,
    };
    let says = |line: &&str| MALFORMED.iter().any(|m| line.contains(m)) && !line.contains(NOT_OF_THE_SLOT);
    match (log.lines().find(says), ours) {
        (Some(_), Err(_)) => Compared::BothRefuse,
        (Some(line), Ok(insns)) => Compared::Differ(format!("{bytes:02x?} decodes to {}: {line}", insns[0])),
        (None, _) => Compared::NotComparable,
    }
}
