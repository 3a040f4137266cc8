//! Relocations.

use super::{Elf, ElfError, Section, SymbolIdx};
use crate::btf::u32_at;
use crate::isa::Endianness;
use object::elf::SHT_RELA;

/// A relocation: the place where a symbol's value belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// Byte offset in the section to which it applies.
    pub offset: u64,
    /// The symbol.
    pub symbol: SymbolIdx,
    /// `R_BPF_*`
    pub kind: u32,
    /// What is added to the symbol's value, where the entry says so; clang leaves it in place.
    pub addend: Option<i64>,
}

/// The relocation types of BPF (`Documentation/bpf/llvm_reloc.rst`).
pub mod kind {
    /// Nothing.
    pub const NONE: u32 = 0;
    /// The 64-bit immediate of `lddw`.
    pub const LDDW: u32 = 1;
    /// 64 bits of data.
    pub const ABS64: u32 = 2;
    /// 32 bits of data.
    pub const ABS32: u32 = 3;
    /// 32 bits of data that no dynamic linker fills in: `.BTF` and `.BTF.ext`.
    pub const NODYLD32: u32 = 4;
    /// The immediate of a call, in units of instructions.
    pub const CALL: u32 = 10;
}

impl Elf<'_> {
    /// The entries of a relocation section, sorted by offset.
    ///
    /// # Errors
    ///
    /// Where its bytes are out of bounds, or no whole number of entries.
    pub fn relocs(&self, section: &Section<'_>) -> Result<Vec<Reloc>, ElfError> {
        let with_addend = section.kind == SHT_RELA;
        let entry = if with_addend { 24 } else { 16 };
        let data = section.data()?;
        if data.len() % entry != 0 {
            return Err(ElfError::Malformed {
                what: "relocation section",
                reason: format!("{} bytes are no multiple of {entry}", data.len()),
            });
        }
        let mut relocs: Vec<Reloc> =
            data.chunks_exact(entry).map(|e| decode(self.endianness, e, with_addend)).collect();
        relocs.sort_by_key(|r| r.offset);
        Ok(relocs)
    }
}

fn decode(endianness: Endianness, entry: &[u8], with_addend: bool) -> Reloc {
    let word = |at: usize| {
        let (first, second) = (u32_at(endianness, entry, at), u32_at(endianness, entry, at + 4));
        let (low, high) = match endianness {
            Endianness::Little => (first, second),
            Endianness::Big => (second, first),
        };
        u64::from(high) << 32 | u64::from(low)
    };
    let [k0, k1, k2, k3, s0, s1, s2, s3] = word(8).to_le_bytes();
    Reloc {
        offset: word(0),
        symbol: SymbolIdx(u32::from_le_bytes([s0, s1, s2, s3])),
        kind: u32::from_le_bytes([k0, k1, k2, k3]),
        addend: with_addend.then(|| word(16).cast_signed()),
    }
}
