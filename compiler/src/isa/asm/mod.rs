//! The assembler: text in the spelling of LLVM and the kernel into instructions.
//!
//! One instruction a line; labels (`out:`) stand before one or alone. `goto out`, `call subprog`,
//! `r1 = subprog[callback]` take labels, `call bpf_map_lookup_elem` a helper's name and `r1 = map[counts]` a
//! map's. Nothing is judged beyond what can be encoded: a jump out of the text assembles, and the
//! verifier refuses it.

mod lexer;
mod parser;

use std::collections::HashMap;
use std::fmt;

use super::form;
use super::insn::{Insn, InsnIdx};
use super::spelling::Field;

use parser::{Fixup, Parsed};

/// What names in the text stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsmContext<'a> {
    /// Names of maps by index.
    pub maps: &'a [&'a str],
}

/// An assembled text.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Assembled {
    /// The instructions; a `lddw` is followed by its [`Insn::SecondSlot`].
    pub insns: Vec<Insn>,
    /// For each slot the line, from 1, that it came from.
    pub lines: Vec<u32>,
    /// Labels in the order of the text, each with the slot after it.
    pub labels: Vec<(String, InsnIdx)>,
}

impl Assembled {
    /// The line, from 1, of a slot.
    #[must_use]
    pub fn line_of(&self, at: InsnIdx) -> Option<u32> {
        self.lines.get(at.index()).copied()
    }

    /// The (first) slot of the instruction on a line, if one is there.
    #[must_use]
    pub fn slot_of_line(&self, line: u32) -> Option<InsnIdx> {
        // Lines ascend.
        let slot = self.lines.partition_point(|l| *l < line);
        (self.lines.get(slot) == Some(&line)).then(|| InsnIdx(u32::try_from(slot).unwrap_or(u32::MAX)))
    }
}

/// Why a text does not assemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsmError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in bytes.
    pub column: u32,
    /// What is wrong there.
    pub problem: AsmProblem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsmProblem {
    /// No token starts with this character.
    BadCharacter {
        /// The character.
        found: char,
    },
    /// Starts like a number, but is none of 64 bits.
    BadNumber {
        /// The text.
        text: String,
    },
    /// No instruction goes on like this.
    Unexpected {
        /// The token found; `None` at the end of the line.
        found: Option<String>,
        /// What could stand there.
        expected: Vec<String>,
    },
    /// A number that the field does not hold.
    OutOfRange {
        /// The number.
        value: i128,
        /// The least that fits.
        least: i128,
        /// The greatest that fits.
        greatest: i128,
    },
    /// A register above 10.
    UnknownRegister {
        /// The text.
        name: String,
    },
    /// The instruction has one register in both places.
    NotSame {
        /// The register found.
        found: String,
        /// The register that it must be.
        expected: String,
    },
    /// No map has the name.
    UnknownMap {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No label has the name (and for a call, no helper).
    UnknownLabel {
        /// The name.
        name: String,
    },
    /// A label stands twice.
    DuplicateLabel {
        /// The name.
        name: String,
        /// Line of the first.
        first: u32,
    },
    /// A label is farther away than the field holds.
    TooFar {
        /// The label.
        name: String,
        /// Distance in slots.
        distance: i64,
    },
    /// More than `u32::MAX` lines or slots.
    TooLong,
}

/// Assembles a text.
///
/// ```
/// use brolga_compiler::isa::asm::{AsmContext, assemble};
///
/// let text = "
///     r1 = map[counts]
///     r2 = r10
///     r2 += -4
///     *(u32 *)(r2 + 0) = 1
///     call bpf_map_lookup_elem
///     if r0 == 0 goto out          ; no such key
///     r1 = 1
///     lock *(u64 *)(r0 + 0) += r1
/// out:
///     exit
/// ";
/// let assembled = assemble(text, &AsmContext { maps: &["counts"] })?;
/// assert_eq!(assembled.insns.len(), 10); // the first takes two slots
/// # Ok::<(), brolga_compiler::isa::asm::AsmError>(())
/// ```
///
/// # Errors
///
/// The first line that is wrong; undefined labels come after all else.
pub fn assemble(text: &str, context: &AsmContext<'_>) -> Result<Assembled, AsmError> {
    let mut out = Assembled::default();
    let mut labels: HashMap<&str, (InsnIdx, u32)> = HashMap::new();
    let mut fixups = Vec::new();
    for (i, text) in text.lines().enumerate() {
        let line = u32::try_from(i + 1).unwrap_or(u32::MAX);
        let fail = |(start, problem)| AsmError { line, column: column(start), problem };
        let at = u32::try_from(out.insns.len()).map(InsnIdx).map_err(|_| fail((0, AsmProblem::TooLong)))?;
        let tokens = lexer::tokens(text).map_err(fail)?;
        let (names, tokens) = parser::split_labels(&tokens);
        for name in names {
            if let Some((_, first)) = labels.insert(name.text, (at, line)) {
                let problem = AsmProblem::DuplicateLabel { name: name.text.to_owned(), first };
                return Err(fail((name.start, problem)));
            }
            out.labels.push((name.text.to_owned(), at));
        }
        if tokens.is_empty() {
            continue;
        }
        let parsed = parser::parse(tokens, context).map_err(fail)?;
        let insn = form::build(parsed.row.form, parsed.operands);
        if parsed.fixup.is_some() {
            fixups.push((at, line, parsed));
        }
        out.insns.push(insn);
        out.lines.push(line);
        if matches!(insn, Insn::LoadImm64 { .. }) {
            out.insns.push(Insn::SecondSlot);
            out.lines.push(line);
        }
    }
    for (at, line, parsed) in fixups {
        let Parsed { row, operands, fixup: Some(fixup) } = parsed else { continue };
        let fail = |problem| AsmError { line, column: column(fixup.start), problem };
        let Some((target, _)) = labels.get(fixup.label) else {
            return Err(fail(AsmProblem::UnknownLabel { name: fixup.label.to_owned() }));
        };
        let operands = resolve(operands, &fixup, at, *target).map_err(fail)?;
        out.insns[at.index()] = form::build(row.form, operands);
    }
    Ok(out)
}

fn resolve(
    mut operands: form::Operands,
    fixup: &Fixup<'_>,
    at: InsnIdx,
    target: InsnIdx,
) -> Result<form::Operands, AsmProblem> {
    let distance = i64::from(target.0) - i64::from(at.0) - 1;
    let far = || AsmProblem::TooFar { name: fixup.label.to_owned(), distance };
    if fixup.field == Field::Off {
        operands.off = i16::try_from(distance).map_err(|_| far())?;
    } else {
        operands.imm = i32::try_from(distance).map_err(|_| far())?;
    }
    Ok(operands)
}

fn column(start: usize) -> u32 {
    u32::try_from(start + 1).unwrap_or(u32::MAX)
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)
    }
}

impl std::error::Error for AsmError {}

/// How many of the things that could stand somewhere a message lists.
const SHOWN: usize = 8;

impl fmt::Display for AsmProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCharacter { found } => write!(f, "no instruction holds the character {found:?}"),
            Self::BadNumber { text } => write!(f, "`{text}` is not a number of 64 bits"),
            Self::Unexpected { found, expected } => {
                f.write_str("expected ")?;
                for (i, what) in expected.iter().take(SHOWN).enumerate() {
                    write!(f, "{}{what}", if i == 0 { "" } else { " or " })?;
                }
                if expected.len() > SHOWN {
                    write!(f, " or one of {} others", expected.len() - SHOWN)?;
                }
                match found {
                    Some(found) => write!(f, ", found `{found}`"),
                    None => f.write_str(", found the end of the line"),
                }
            }
            Self::OutOfRange { value, least, greatest } => {
                write!(f, "{value} does not fit: expected {least} to {greatest}")
            }
            Self::UnknownRegister { name } => write!(f, "no register `{name}`: they are 0 to 10"),
            Self::NotSame { found, expected } => {
                write!(f, "`{found}` must be the same register as before, `{expected}`")
            }
            Self::UnknownMap { name, known } if known.is_empty() => {
                write!(f, "no map `{name}`: there are none")
            }
            Self::UnknownMap { name, known } => {
                write!(f, "no map `{name}`: there are `{}`", known.join("`, `"))
            }
            Self::UnknownLabel { name } => write!(f, "no label (or helper) is called `{name}`"),
            Self::DuplicateLabel { name, first } => {
                write!(f, "label `{name}` stands on line {first} already")
            }
            Self::TooFar { name, distance } => {
                write!(
                    f,
                    "`{name}` is {distance} slots away: this jump reaches -32768 to 32767 (`gotol` farther)"
                )
            }
            Self::TooLong => f.write_str("the text is too long"),
        }
    }
}
