//! What GNU's assembler for BPF did otherwise before binutils 2.42 (gcc-bpf 12 and 13 come with it).
//!
//! At a relocation against a named symbol it left the symbol's value in place, in bytes and even for
//! calls, where everybody else leaves what is to be added to the value. libbpf adds both, and so
//! refuses such an object or reads the wrong variable. An object counts as one of these if it says that
//! it is GCC's and all its relocations look that way. It could be wrong about an object in which
//! every variable that is not first in its section is only used at an offset of at least its own.

use super::source::Source;
use crate::btf::u32_at;
use crate::elf::{SymbolKind, reloc_kind};

/// Whether relocations against named symbols have the symbol's value in place too.
pub(super) fn has_values_in_place(source: &Source<'_>) -> bool {
    let comment = source.elf.section_by_name(".comment").and_then(|(_, section)| section.data().ok());
    let is_gcc = |text: &[u8]| text.split(|byte| *byte == 0).any(|line| line.starts_with(b"GCC: "));
    if !comment.is_some_and(is_gcc) {
        return false;
    }
    let mut found = false;
    for (&section, relocs) in &source.relocs {
        let Some(section) = source.elf.section(section).filter(|section| section.is_executable()) else {
            continue;
        };
        let Ok(data) = section.data() else { return false };
        for reloc in relocs {
            let Some(symbol) = source.elf.symbol(reloc.symbol) else { return false };
            if symbol.kind == SymbolKind::Section || symbol.section().is_none() || symbol.value == 0 {
                continue;
            }
            let Some(insn) = usize::try_from(reloc.offset).ok().and_then(|at| data.get(at..)?.get(..8))
            else {
                return false;
            };
            let imm = u64::from(u32_at(source.elf.endianness, insn, 4));
            let is_in_place = match reloc.kind {
                reloc_kind::CALL => imm == symbol.value - 1,
                reloc_kind::LDDW => imm >= symbol.value,
                _ => continue,
            };
            if reloc.addend.is_some() || !is_in_place {
                return false;
            }
            found = true;
        }
    }
    found
}
