//! Writes `.BTF.ext`.

use super::super::{Ext, SectionRecords};
use super::{header, words};
use crate::isa::Endianness;

impl Ext {
    /// The bytes of a `.BTF.ext` section.
    #[must_use]
    pub fn to_bytes(&self, endianness: Endianness) -> Vec<u8> {
        let funcs = table(&self.funcs, |func| [func.insn_off, func.ty.0]);
        let lines = table(&self.lines, |line| {
            let place = line.line << 10 | line.column & 0x3ff;
            [line.insn_off, line.file.0, line.text.0, place]
        });
        let core = table(&self.core_relos, |relo| [relo.insn_off, relo.ty.0, relo.access.0, relo.kind]);
        let mut out = header(endianness);
        let mut parts = vec![32];
        let mut at = 0;
        for part in [&funcs, &lines, &core] {
            let len = u32::try_from(4 * part.len()).unwrap_or(u32::MAX);
            parts.extend([at, len]);
            at = at.saturating_add(len);
        }
        for part in [&parts, &funcs, &lines, &core] {
            words(endianness, &mut out, part);
        }
        out
    }
}

/// A table: the size of a record, then for each section its name, a count, and the records.
fn table<const N: usize, T>(sections: &[SectionRecords<T>], make: impl Fn(&T) -> [u32; N]) -> Vec<u32> {
    let mut out = Vec::new();
    for section in sections.iter().filter(|section| !section.records.is_empty()) {
        if out.is_empty() {
            out.push(u32::try_from(4 * N).unwrap_or(u32::MAX));
        }
        out.extend([section.section.0, u32::try_from(section.records.len()).unwrap_or(u32::MAX)]);
        out.extend(section.records.iter().flat_map(&make));
    }
    out
}
