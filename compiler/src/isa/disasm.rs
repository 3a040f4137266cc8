//! Writes instructions as text, in the spelling of LLVM and the kernel.
//!
//! The spelling is the table's; here stands only how each kind of operand is written. The assembler
//! reads all of it back to the same instruction. [`Insn::SecondSlot`] has no text of its own: listings
//! leave it out.

use std::fmt::{self, Display, Formatter};

use brolga_abi::HelperId;

use super::form::Operands;
use super::insn::Insn;
use super::spelling::{Hole, Piece, pieces};
use super::table::Row;

/// What the program around an instruction can call things.
///
/// A name that the assembler cannot read back (a blank or a bracket in a map's name) is the caller's
/// choice.
pub trait Names {
    /// The name of a map by index.
    fn map(&self, index: u32) -> Option<&str>;
}

/// No names: maps are written by index.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn map(&self, _index: u32) -> Option<&str> {
        None
    }
}

impl<S: AsRef<str>> Names for [S] {
    fn map(&self, index: u32) -> Option<&str> {
        self.get(usize::try_from(index).ok()?).map(AsRef::as_ref)
    }
}

/// Writes an instruction with the names of its program.
pub fn disasm<'a, N: Names + ?Sized>(insn: &'a Insn, names: &'a N) -> impl Display + 'a {
    fmt::from_fn(move |f| write_insn(f, insn, names))
}

/// Writes instructions, one a line, each with its index. Second slots of `lddw` are left out.
pub fn listing<'a, N: Names + ?Sized>(insns: &'a [Insn], names: &'a N) -> impl Display + 'a {
    fmt::from_fn(move |f| {
        let digits = insns.len().saturating_sub(1).max(1).ilog10() as usize + 1;
        for (at, insn) in insns.iter().enumerate().filter(|(_, insn)| **insn != Insn::SecondSlot) {
            writeln!(f, "{at:digits$}: {}", disasm(insn, names))?;
        }
        Ok(())
    })
}

impl Display for Insn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_insn(f, self, &NoNames)
    }
}

fn write_insn<N: Names + ?Sized>(f: &mut Formatter<'_>, insn: &Insn, names: &N) -> fmt::Result {
    let Some((row, operands)) = Row::split(insn) else {
        return if *insn == Insn::SecondSlot {
            f.write_str("<second slot>")
        } else {
            write!(f, "<no instruction: {insn:?}>")
        };
    };
    for piece in pieces(row.spelling) {
        match piece {
            Piece::Text(text) => f.write_str(text)?,
            Piece::Hole(hole) => write_operand(f, hole, &operands, names)?,
        }
    }
    Ok(())
}

fn write_operand<N: Names + ?Sized>(
    f: &mut Formatter<'_>,
    hole: Hole,
    operands: &Operands,
    names: &N,
) -> fmt::Result {
    let Operands { dst, src, off, imm, next_imm } = *operands;
    let unsigned = imm.cast_unsigned();
    match hole {
        Hole::Dst | Hole::DstEither => write!(f, "{dst}"),
        Hole::WDst => write!(f, "w{}", dst.number()),
        Hole::Src | Hole::SrcEither => write!(f, "{src}"),
        Hole::WSrc | Hole::WSrcEither => write!(f, "w{}", src.number()),
        Hole::Off => write_displacement(f, i32::from(off)),
        Hole::ImmOff => write_displacement(f, imm),
        Hole::Imm | Hole::Imm32 => write!(f, "{imm}"),
        Hole::Imm64 => {
            let value = u64::from(next_imm.cast_unsigned()) << 32 | u64::from(unsigned);
            match i32::try_from(value.cast_signed()) {
                Ok(small) => write!(f, "{small}"),
                Err(_) => write!(f, "{value:#x}"),
            }
        }
        Hole::Jump => write!(f, "{off:+}"),
        Hole::LongJump | Hole::Func => write!(f, "{imm:+}"),
        Hole::To => write!(f, "{}", unsigned >> 16),
        Hole::From => write!(f, "{}", unsigned & 0xffff),
        Hole::Map => match names.map(unsigned) {
            Some(name) => f.write_str(name),
            None => write!(f, "{unsigned}"),
        },
        Hole::ValueOff => write!(f, "{}", next_imm.cast_unsigned()),
        Hole::BtfFd => write!(f, "{next_imm}"),
        Hole::Helper => match HelperId::from_number(unsigned) {
            Some(helper) => f.write_str(helper.info().name),
            None => write!(f, "{unsigned}"),
        },
        Hole::Subprog => write!(f, "pc{imm:+}"),
        Hole::Kfunc if off == 0 => write!(f, "kfunc#{imm}"),
        Hole::Kfunc => write!(f, "kfunc#{imm}@{off}"),
    }
}

fn write_displacement(f: &mut Formatter<'_>, value: i32) -> fmt::Result {
    write!(f, "{} {}", if value < 0 { '-' } else { '+' }, value.unsigned_abs())
}
