//! Decodes bytes into instructions.
//!
//! Total: every byte string yields instructions or a typed error that says where and what. As in Linux,
//! unknown opcodes, registers above 10, non-zero reserved fields and a `lddw` without its second slot
//! are refused. What a value means (a jump's target, a helper's number, a shift's width) is not judged
//! here, so that an object before relocation, with its `call -1`, decodes.

use std::fmt;

use super::form::{self, Form, Operands};
use super::insn::{Insn, InsnIdx};
use super::raw::{Endianness, RawInsn};
use super::reg::Reg;
use super::spelling::Field;
use super::table::{self, Row};

/// Why bytes are not instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The length is not a multiple of 8.
    Length {
        /// Bytes given.
        len: usize,
    },
    /// More slots than an [`InsnIdx`] counts.
    TooLong {
        /// Slots given.
        slots: usize,
    },
    /// A slot is not an instruction.
    Slot {
        /// Its index.
        at: InsnIdx,
        /// Its bytes as given.
        bytes: [u8; 8],
        /// What is wrong.
        problem: SlotProblem,
    },
}

/// What is wrong with a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotProblem {
    /// No instruction has the opcode.
    UnknownOpcode {
        /// The opcode byte.
        opcode: u8,
    },
    /// A register above `r10`.
    UnknownRegister {
        /// Which field.
        field: Field,
        /// The number found.
        found: u8,
    },
    /// A field has a value that no instruction with this opcode has. Where only 0 is expected, the
    /// field is reserved.
    Field {
        /// Which field.
        field: Field,
        /// The value found.
        found: i32,
        /// The values that would be right with the other fields as they are, ascending.
        expected: Vec<i32>,
    },
    /// A `lddw` is the last slot.
    NoSecondSlot,
    /// The slot after a `lddw` has a non-zero opcode, register or offset.
    BadSecondSlot,
}

/// Decodes a whole text.
///
/// # Errors
///
/// The first slot that is not an instruction.
pub fn decode(bytes: &[u8], endianness: Endianness) -> Result<Vec<Insn>, DecodeError> {
    let (slots, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(DecodeError::Length { len: bytes.len() });
    }
    if u32::try_from(slots.len()).is_err() {
        return Err(DecodeError::TooLong { slots: slots.len() });
    }
    let mut insns = Vec::with_capacity(slots.len());
    let mut recent = Recent::new(slots.len());
    let mut rest = slots.iter();
    while let Some(slot) = rest.next() {
        let word = match endianness {
            Endianness::Little => u64::from_le_bytes(*slot),
            Endianness::Big => RawInsn::from_bytes(*slot, endianness).word(),
        };
        if let Some(insn) = recent.get(word) {
            insns.push(insn);
            continue;
        }
        if let Some((form, operands)) = table::fitting(word)
            && !matches!(form, Form::LoadImm64 { .. })
        {
            form::build_with(form, operands, |insn| insns.push(insn));
            recent.set(word, insns.last());
            continue;
        }
        let next = rest.as_slice().first().map(|slot| RawInsn::from_bytes(*slot, endianness));
        let insn = decode_slot(RawInsn::from_bytes(*slot, endianness), next).map_err(|problem| {
            let at = insns.len() + usize::from(problem == SlotProblem::BadSecondSlot);
            let bytes = slots[at];
            DecodeError::Slot { at: InsnIdx(u32::try_from(at).unwrap_or(u32::MAX)), bytes, problem }
        })?;
        insns.push(insn);
        if matches!(insn, Insn::LoadImm64 { .. }) {
            // Judged together with its first slot.
            insns.push(Insn::SecondSlot);
            rest.next();
        }
    }
    Ok(insns)
}

/// Instructions of one slot that were decoded last, by their words. Long functions are unrolled loops, in which
/// the same words come again.
struct Recent {
    /// Empty for short functions, which do not earn back what it costs to make.
    entries: Vec<(u64, Insn)>,
}

impl Recent {
    /// Slots of a function from which on it is used.
    const FROM: usize = 2048;
    /// Bits of an index.
    const BITS: u32 = 9;

    fn new(slots: usize) -> Self {
        let len = if slots < Self::FROM { 0 } else { 1 << Self::BITS };
        // No instruction has the word 0, and `get` does not look for it.
        Self { entries: vec![(0, Insn::SecondSlot); len] }
    }

    #[inline]
    fn index(word: u64) -> usize {
        // Fibonacci hashing: the upper bits of the product depend on all of the word.
        usize::try_from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS)).unwrap_or(0)
    }

    #[inline]
    fn get(&self, word: u64) -> Option<Insn> {
        let (held, insn) = self.entries.get(Self::index(word))?;
        (*held == word && word != 0).then_some(*insn)
    }

    #[inline]
    fn set(&mut self, word: u64, insn: Option<&Insn>) {
        if let (Some(entry), Some(insn)) = (self.entries.get_mut(Self::index(word)), insn) {
            *entry = (word, *insn);
        }
    }
}

/// Decodes one slot; `next` is the slot after it, if any, which only `lddw` looks at.
///
/// # Errors
///
/// What is wrong with the slot (or with `next`: [`SlotProblem::BadSecondSlot`]).
pub fn decode_slot(raw: RawInsn, next: Option<RawInsn>) -> Result<Insn, SlotProblem> {
    let mut rows = Row::with_opcode(raw.opcode).peekable();
    let Some(first) = rows.peek() else {
        return Err(SlotProblem::UnknownOpcode { opcode: raw.opcode });
    };
    let mut next_imm = 0;
    if matches!(first.form, Form::LoadImm64 { .. }) {
        let next = next.ok_or(SlotProblem::NoSecondSlot)?;
        if (RawInsn { imm: 0, ..next }) != RawInsn::default() {
            return Err(SlotProblem::BadSecondSlot);
        }
        next_imm = next.imm;
    }
    let row = rows
        .clone()
        .find(|row| mismatches(row, raw, next_imm).next().is_none())
        .ok_or_else(|| explain(rows, raw, next_imm))?;
    let reg = |field, found| {
        if row.has(field) {
            Reg::new(found).ok_or(SlotProblem::UnknownRegister { field, found })
        } else {
            Ok(Reg::R0)
        }
    };
    // A field that is no operand keeps its fixed value in the row, not in the instruction.
    let value = |field, found| if row.has(field) { found } else { 0 };
    let operands = Operands {
        dst: reg(Field::Dst, raw.dst)?,
        src: reg(Field::Src, raw.src)?,
        off: if row.has(Field::Off) { raw.off } else { 0 },
        imm: value(Field::Imm, raw.imm),
        next_imm: value(Field::NextImm, next_imm),
    };
    Ok(form::build(row.form, operands))
}

/// Fields whose value is not the row's, with the value found and the row's.
fn mismatches(row: &Row, raw: RawInsn, next_imm: i32) -> impl Iterator<Item = (Field, i32, i32)> {
    [
        (Field::Src, i32::from(raw.src)),
        (Field::Dst, i32::from(raw.dst)),
        (Field::Off, i32::from(raw.off)),
        (Field::Imm, raw.imm),
        (Field::NextImm, next_imm),
    ]
    .into_iter()
    .filter_map(|(field, found)| {
        row.fixed(field).filter(|fixed| *fixed != found).map(|fixed| (field, found, fixed))
    })
}

/// The field to blame. A field that tells the rows apart (`src` of calls, `imm` of atomics) goes first:
/// it names the row that was meant, if it can.
fn explain(rows: impl Iterator<Item = &'static Row> + Clone, raw: RawInsn, next_imm: i32) -> SlotProblem {
    let tells_apart = |field: Field| {
        let mut values = rows.clone().filter_map(|row| row.fixed(field));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let wrong = |row: &'static Row| mismatches(row, raw, next_imm);
    let telling = |row: &'static Row| wrong(row).filter(|(field, ..)| tells_apart(*field)).count();
    let cost =
        |row: &'static Row| if telling(row) == 0 { (0, wrong(row).count()) } else { (telling(row), 0) };
    let least = rows.clone().map(cost).min();
    let nearest = rows.clone().filter(|row| Some(cost(row)) == least);
    let blamed = nearest.clone().find_map(|row| {
        let telling = wrong(row).find(|(field, ..)| tells_apart(*field));
        telling.or_else(|| wrong(row).next())
    });
    let Some((field, found, _)) = blamed else {
        return SlotProblem::UnknownOpcode { opcode: raw.opcode };
    };
    let values = nearest.filter_map(|row| wrong(row).find(|m| m.0 == field).map(|m| m.2));
    let expected: std::collections::BTreeSet<i32> = values.collect();
    SlotProblem::Field { field, found, expected: expected.into_iter().collect() }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { len } => {
                write!(f, "{len} bytes are not whole instructions: expected a multiple of 8")
            }
            Self::TooLong { slots } => {
                write!(f, "{slots} instructions: no more than {} can be counted", u32::MAX)
            }
            Self::Slot { at, bytes, problem } => {
                write!(f, "instruction {at} (")?;
                for (i, byte) in bytes.iter().enumerate() {
                    write!(f, "{}{byte:02x}", if i == 0 { "" } else { " " })?;
                }
                write!(f, "): {problem}")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for SlotProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOpcode { opcode } => write!(f, "unknown opcode {opcode:02x}"),
            Self::UnknownRegister { field, found } => {
                write!(f, "`{field}` is R{found}, which is invalid: registers are R0 to R10")
            }
            Self::Field { field, found, expected } => {
                if expected.as_slice() == [0] {
                    return write!(f, "uses reserved fields: `{field}` is {found}, expected 0");
                }
                write!(f, "`{field}` is {found:#x}, expected ")?;
                if expected.len() > 1 {
                    f.write_str("one of ")?;
                }
                for (i, value) in expected.iter().enumerate() {
                    write!(f, "{}{value:#x}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::NoSecondSlot => {
                f.write_str("invalid bpf_ld_imm64 insn: it takes two slots, and the text ends after one")
            }
            Self::BadSecondSlot => f.write_str(
                "invalid bpf_ld_imm64 insn: the second slot must be zero except for its immediate",
            ),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dst => "dst",
            Self::Src => "src",
            Self::Off => "off",
            Self::Imm => "imm",
            Self::NextImm => "imm of the second slot",
        })
    }
}
