//! `.BTF.ext`: what belongs to instructions: functions, source lines, CO-RE relocations.
//!
//! Records are grouped by ELF section; offsets are in bytes from the section's start.

use super::parse::Header;
use super::{BtfError, StrOff, TypeId, u32_at};
use crate::isa::Endianness;

/// Bytes of a header up to the CO-RE part, which old compilers leave out.
const HEADER: usize = 24;

/// The records of one ELF section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionRecords<T> {
    /// The section's name, in the strings of the object's BTF.
    pub section: StrOff,
    /// Its records, in the order of the file.
    pub records: Vec<T>,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncInfo {
    /// Byte offset of its first instruction.
    pub insn_off: u32,
    /// Its type, a [`super::Kind::Func`].
    pub ty: TypeId,
}

/// A source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// Byte offset of the first instruction.
    pub insn_off: u32,
    /// File name.
    pub file: StrOff,
    /// The line's text.
    pub text: StrOff,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 where unknown.
    pub column: u32,
}

/// A CO-RE relocation: an immediate that depends on the types of the running kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRelo {
    /// Byte offset of the instruction.
    pub insn_off: u32,
    /// The root type.
    pub ty: TypeId,
    /// The way to the field, as `0:1:2`.
    pub access: StrOff,
    /// `enum bpf_core_relo_kind`.
    pub kind: u32,
}

/// All of `.BTF.ext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ext {
    /// Functions by section.
    pub funcs: Vec<SectionRecords<FuncInfo>>,
    /// Lines by section.
    pub lines: Vec<SectionRecords<LineInfo>>,
    /// CO-RE relocations by section.
    pub core_relos: Vec<SectionRecords<CoreRelo>>,
}

impl Ext {
    /// Parses the bytes of a `.BTF.ext` section.
    ///
    /// # Errors
    ///
    /// Where the header or a table is invalid or out of bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        let head = Header::parse(bytes, HEADER)?;
        let core = if head.header.len() >= 32 { head.part("CO-RE relocations", 24)? } else { &[] };
        Ok(Self {
            funcs: table(head.endianness, head.part("function info", 8)?, |[insn_off, ty]| FuncInfo {
                insn_off,
                ty: TypeId(ty),
            })?,
            lines: table(head.endianness, head.part("line info", 16)?, |[insn_off, file, text, place]| {
                LineInfo {
                    insn_off,
                    file: StrOff(file),
                    text: StrOff(text),
                    line: place >> 10,
                    column: place & 0x3ff,
                }
            })?,
            core_relos: table(head.endianness, core, |[insn_off, ty, access, kind]| CoreRelo {
                insn_off,
                ty: TypeId(ty),
                access: StrOff(access),
                kind,
            })?,
        })
    }
}

/// A table: the size of a record, then for each section its name, a count, and the records.
fn table<const N: usize, T>(
    endianness: Endianness,
    bytes: &[u8],
    make: impl Fn([u32; N]) -> T,
) -> Result<Vec<SectionRecords<T>>, BtfError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let record = u32_at(endianness, bytes, 0);
    let size = record as usize;
    if bytes.len() < 4 || size < 4 * N || !size.is_multiple_of(4) {
        return Err(BtfError::Invalid { what: "record size", offset: 0, found: record });
    }
    let mut sections = Vec::new();
    let mut at = 4;
    while at < bytes.len() {
        let truncated = BtfError::Truncated { what: "records of a section", offset: at as u64 };
        if bytes.len() - at < 8 {
            return Err(truncated);
        }
        let section = StrOff(u32_at(endianness, bytes, at));
        let count = u32_at(endianness, bytes, at + 4) as usize;
        let start = at + 8;
        let end = count.checked_mul(size).and_then(|len| start.checked_add(len)).ok_or(truncated)?;
        let body = bytes.get(start..end).ok_or(truncated)?;
        let records = body
            .chunks_exact(size)
            .map(|chunk| make(std::array::from_fn(|i| u32_at(endianness, chunk, 4 * i))))
            .collect();
        sections.push(SectionRecords { section, records });
        at = end;
    }
    Ok(sections)
}
