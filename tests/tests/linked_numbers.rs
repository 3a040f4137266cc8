//! What is learned of numbers that were copied from a compared one, and moved: Brolga's verdicts, and the running
//! kernel's.
//!
//! A number is used as an offset into the stack, at the edges of the bounds that it must have and one beyond each; where it
//! must have none, at what it would be. An older kernel than the one that Brolga follows is not asked.

use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_compiler::isa::asm::AsmContext;
use brolga_compiler::isa::{Reg, assemble};
use brolga_compiler::program::{KernelVersion, Program};
use brolga_compiler::verify::{Options, Privilege, verify};
use brolga_tests::ask::{Answer, ask, load_as};
use brolga_tests::engines::kernel::Kernel;
use brolga_tests::running;

/// `r2` is any number of 32 bits; then a text, which leaves for `out` or goes on; the register that is used; its bounds.
type Row = (&'static str, Reg, Option<(i32, i32)>);

const TABLE: &[Row] = &[
    // Sums of 32 bits, however they are written.
    ("w0 = w2\nw0 += 2\nif w2 > 5 goto out", Reg::R0, Some((2, 7))),
    ("r0 = r2\nw0 += 2\nif r2 > 5 goto out", Reg::R0, Some((2, 7))),
    ("r0 = r2\nw0 -= -2\nif w2 > 5 goto out", Reg::R0, Some((2, 7))),
    ("r0 = r2\nr4 = 2\nw0 += w4\nif w2 > 5 goto out", Reg::R0, Some((2, 7))),
    ("r0 = r2\nr4 = 0x700000002 ll\nw0 += w4\nif w2 > 5 goto out", Reg::R0, Some((2, 7))),
    ("r0 = r2\nw0 -= 2\nif w2 < 4 goto out\nif w2 > 9 goto out", Reg::R0, Some((2, 7))),
    // The sum is compared.
    ("r0 = r2\nw0 += 2\nif w0 < 4 goto out\nif w0 > 7 goto out", Reg::R2, Some((2, 5))),
    ("r0 = r2\nw0 += 2\nif w0 s< 4 goto out\nif w0 s> 7 goto out", Reg::R2, Some((2, 5))),
    ("r0 = r2\nw0 -= 2\nif r0 > 7 goto out", Reg::R2, Some((2, 9))),
    // Two sums.
    ("r0 = r2\nr5 = r2\nw0 += 2\nw5 += 3\nif w0 > 7 goto out", Reg::R5, Some((1, 8))),
    ("r0 = r2\nr5 = r2\nw0 += 2\nw5 += 2\nif w0 > 7 goto out", Reg::R5, Some((0, 7))),
    // Sums of 64 bits.
    ("r0 = r2\nr0 += -2\nif r0 > 7 goto out", Reg::R2, Some((2, 9))),
    ("r0 = r2\nr0 -= 2\nif r2 > 7 goto out", Reg::R0, Some((-2, 5))),
    ("r0 = r2\nr4 = -2\nr0 += r4\nif r0 > 7 goto out", Reg::R2, Some((2, 9))),
    ("r2 <<= 1\nr0 = r2\nr0 -= 2\nif r2 > 7 goto out", Reg::R0, Some((-2, 4))),
    // A sum of 32 bits that may wrap around is not bounded.
    ("r0 = r2\nw0 += -2\nif w2 > 5 goto out", Reg::R0, None),
    ("r0 = r2\nw0 += 2\nif w0 > 7 goto out", Reg::R2, None),
    // What was copied does not fit 32 bits.
    ("r2 <<= 1\nr0 = r2\nw0 += 2\nif r2 > 5 goto out", Reg::R0, None),
    ("r2 <<= 1\nr0 = r2\nw0 += 2\nif w0 < 4 goto out\nif w0 > 7 goto out", Reg::R2, None),
    // One sum of 32 bits, one of 64.
    ("r0 = r2\nr5 = r2\nw0 += 2\nr5 += 2\nif r5 > 7 goto out", Reg::R0, None),
    ("r0 = r2\nr5 = r2\nw0 += 2\nr5 += 2\nif w0 < 4 goto out\nif w0 > 7 goto out", Reg::R5, None),
    ("r0 = r2\nr5 = r2\nw0 += 2\nr5 += 0\nif r5 > 5 goto out", Reg::R0, None),
    // What was moved by nothing goes on as a copy once it was compared, or a copy of it.
    ("r0 = r2\nr5 = r2\nw0 += 2\nr5 += 0\nif r2 > 99 goto out\nif r5 > 5 goto out", Reg::R0, Some((2, 7))),
    // What was moved once is not followed further.
    ("r0 = r2\nw0 += 2\nw0 += 1\nif w2 > 5 goto out", Reg::R0, None),
    ("r0 = r2\nw0 += w0\nif w2 > 5 goto out", Reg::R0, None),
    // Constants whose negation, or which themselves, are too far away.
    ("r0 = r2\nw0 -= -2147483648\nif w2 > 5 goto out\nw0 ^= -2147483648", Reg::R0, None),
    ("r0 = r2\nr4 = 0xffffffff ll\nr0 += r4\nif r2 > 5 goto out\nr0 -= r4", Reg::R0, None),
    // Far sums must not move pointers, though they are small again.
    ("r0 = r2\nr5 = r2\nw0 += 2147483647\nw5 += -2147483648\nif w0 > 7 goto out", Reg::R5, None),
];

/// What it would be, if more was known.
const NEAR: (i32, i32) = (0, 100);

fn program(text: &str, used: Reg, base: i32) -> Program {
    let text = format!(
        "r2 = *(u32 *)(r1 + 0)\n{text}\nr3 = r10\nr3 += {base}\nr3 += {used}\n*(u8 *)(r3 + 0) = 0\nout:\nr0 = 0\nexit"
    );
    let insns = assemble(&text, &AsmContext::default()).expect("the text is assembly").insns;
    Program::from_insns("linked", ProgramKind::SocketFilter, insns, Arc::new([]))
}

/// All programs, and whether they are accepted.
fn questions() -> impl Iterator<Item = (String, Program, bool)> {
    TABLE.iter().flat_map(|&(text, used, bounds)| {
        // The stack is 512 bytes.
        let (lo, hi) = bounds.unwrap_or(NEAR);
        let bases = [(-1 - hi, true), (-hi, false), (-512 - lo, true), (-513 - lo, false)];
        bases.into_iter().map(move |(base, fits)| {
            (format!("{text}\n{used} at {base}"), program(text, used, base), fits && bounds.is_some())
        })
    })
}

#[test]
fn exactly_what_holds_is_known() {
    for (what, program, accepted) in questions() {
        let found = verify(&program, &Options::default()).map(|_| ());
        assert_eq!(found.is_ok(), accepted, "{what}\n{found:?}");
    }
}

#[test]
fn linux_knows_as_much() {
    if Kernel::or_skip().is_none() {
        return;
    }
    match running::target() {
        Ok(target) if target.version >= KernelVersion::default() => {}
        Ok(target) => return eprintln!("skipped: the kernel is {}", target.version),
        Err(why) => return eprintln!("skipped: the kernel's version is not known: {why}"),
    }
    for (what, program, accepted) in questions() {
        let load = load_as(&program).expect("Linux has such programs");
        let answer = ask(&program, load, Privilege::Full);
        assert!(!matches!(answer, Answer::Unasked(_)), "{what}: {answer:?}");
        assert_eq!(answer == Answer::Accepted, accepted, "{what}\n{answer:?}");
    }
}
