//! Relocations move with the sections that they are in and refer to.

use super::input::{Object, Role};
use super::sections::{MergedIdx, Part, Sections};
use super::symbols::{OutIdx, Symbols};
use super::{LinkError, Problem};
use crate::elf::{Reloc, SymbolKind, reloc_kind};
use crate::isa::Endianness;

/// A relocation of the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) offset: u64,
    pub(super) symbol: OutIdx,
    pub(super) kind: u32,
}

/// For each section of the result its relocations.
pub(super) type Relocs = Vec<Vec<Moved>>;

/// Opcode of a call.
const CALL: u8 = 0x85;

/// Moves all relocations; those that count from a section's start count from where it now is.
pub(super) fn merge(
    objects: &[Object<'_>],
    sections: &mut Sections<'_>,
    symbols: &Symbols<'_>,
) -> Result<Relocs, LinkError> {
    let mut moved: Relocs = sections.merged.iter().map(|_| Vec::new()).collect();
    for (file, object) in objects.iter().enumerate() {
        for (index, section) in object.elf.sections_with_index() {
            if object.role(index) != Role::Relocs {
                continue;
            }
            let Some(part) = sections.part(file, section.info) else { continue };
            let entries = object.elf.relocs(section).map_err(|e| Problem::Elf(e).of(object.name))?;
            let within = object.elf.section(section.info).map_or(0, |target| target.size);
            for reloc in entries {
                let entry = one(object, file, sections, symbols, part, within, &reloc)
                    .map_err(|what| in_section(&what, section.name).of(object.name))?;
                moved[part.section.0].push(entry);
            }
        }
    }
    Ok(moved)
}

fn in_section(what: &str, section: &str) -> Problem {
    Problem::Malformed { what: format!("`{section}`: {what}") }
}

fn one(
    object: &Object<'_>,
    file: usize,
    sections: &mut Sections<'_>,
    symbols: &Symbols<'_>,
    part: Part,
    within: u64,
    reloc: &Reloc,
) -> Result<Moved, String> {
    let width = match reloc.kind {
        reloc_kind::LDDW => 16,
        reloc_kind::CALL | reloc_kind::ABS64 => 8,
        reloc_kind::ABS32 => 4,
        kind => return Err(format!("relocation of type {kind} at {:#x}", reloc.offset)),
    };
    let is_inside = reloc.offset.checked_add(width).is_some_and(|end| end <= within);
    let symbol = object.elf.symbol(reloc.symbol).filter(|_| reloc.symbol.0 != 0);
    let (true, Some(symbol)) = (is_inside, symbol) else {
        return Err(format!("relocation at {:#x} is out of bounds", reloc.offset));
    };
    let out = symbols.mapped(file, reloc.symbol);
    let out = out.ok_or_else(|| format!("relocation at {:#x} refers to a dropped section", reloc.offset))?;
    let offset = part.offset + reloc.offset;
    if symbol.kind == SymbolKind::Section {
        let by = symbol.section().and_then(|index| sections.part(file, index)).map_or(0, |part| part.offset);
        let added = add(object.elf.endianness, sections, part.section, offset, reloc.kind, by);
        added.ok_or_else(|| format!("what the relocation at {:#x} adds is out of range", reloc.offset))?;
    }
    Ok(Moved { offset, symbol: out, kind: reloc.kind })
}

/// Adds to the number in place at a relocation; `None` where it does not fit.
fn add(
    endianness: Endianness,
    sections: &mut Sections<'_>,
    section: MergedIdx,
    offset: u64,
    kind: u32,
    by: u64,
) -> Option<()> {
    let data = &mut sections.merged[section.0].data;
    let start = usize::try_from(offset).ok()?;
    let is_call = kind == reloc_kind::CALL && data.get(start) == Some(&CALL);
    let (at, width, by) = match kind {
        reloc_kind::ABS64 => (start, 8, by),
        reloc_kind::ABS32 => (start, 4, by),
        _ if is_call => (start + 4, 4, by / 8),
        _ => (start + 4, 4, by),
    };
    let bytes = data.get_mut(at..at + width)?;
    let order = |bytes: &mut [u8]| match endianness {
        Endianness::Little => {}
        Endianness::Big => bytes.reverse(),
    };
    order(bytes);
    if width == 8 {
        let old = u64::from_le_bytes((&*bytes).try_into().ok()?);
        bytes.copy_from_slice(&old.checked_add(by)?.to_le_bytes());
    } else {
        let old = i32::from_le_bytes((&*bytes).try_into().ok()?);
        bytes.copy_from_slice(&old.checked_add(i32::try_from(by).ok()?)?.to_le_bytes());
    }
    order(bytes);
    Some(())
}
