//! Encodes instructions into bytes: the inverse of [`super::decode()`].
//!
//! Whatever the decoder or the assembler made can be encoded. A hand-made value that no instruction has
//! ([`Row::of`] is `None`) is a mistake in the program that calls this, and panics.

use super::insn::Insn;
use super::raw::{Endianness, RawInsn};
use super::spelling::Field;
use super::table::Row;

/// Encodes one instruction: its slot, and for a `lddw` its second slot.
///
/// # Panics
///
/// If the value has no row ([`Row::of`]); [`Insn::SecondSlot`] has none, since its content is known to
/// the instruction before it.
#[must_use]
pub fn encode(insn: &Insn) -> (RawInsn, Option<RawInsn>) {
    let Some((row, operands)) = Row::split(insn) else {
        panic!("no instruction has the form of {insn:?}");
    };
    let raw = RawInsn {
        opcode: row.opcode,
        dst: operands.dst.number(),
        src: if row.has(Field::Src) { operands.src.number() } else { row.src },
        off: if row.has(Field::Off) { operands.off } else { row.off },
        imm: if row.has(Field::Imm) { operands.imm } else { row.imm },
    };
    let two_slots = matches!(insn, Insn::LoadImm64 { .. });
    (raw, two_slots.then(|| RawInsn { imm: operands.next_imm, ..RawInsn::default() }))
}

/// Encodes a whole text, 8 bytes for each slot. A [`Insn::SecondSlot`] is what the slot before it says;
/// one without a `lddw` before it becomes zeros, which do not decode.
///
/// # Panics
///
/// As [`encode`].
#[must_use]
pub fn encode_all(insns: &[Insn], endianness: Endianness) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(insns.len() * 8);
    let mut second = None;
    for insn in insns {
        let raw = if *insn == Insn::SecondSlot {
            second.take().unwrap_or_default()
        } else {
            let (first, next) = encode(insn);
            second = next;
            first
        };
        bytes.extend_from_slice(&raw.to_bytes(endianness));
    }
    bytes
}
