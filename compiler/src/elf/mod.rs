//! ELF: sections, symbols and relocations of an object, as they stand in the file.
//!
//! Reads what `clang -target bpf` writes: 64-bit relocatable files for `EM_BPF` of either byte
//! order. Nothing is linked or judged here; what a section means is said in [`crate::program`].
//!
//! No offset, index or length of the file is trusted: whatever is handed out lies within it.

mod error;
mod relocs;
mod sections;
mod symbols;

pub use error::ElfError;
pub use relocs::{Reloc, kind as reloc_kind};
pub use sections::Section;
pub use symbols::{Binding, Symbol, SymbolKind, SymbolPlace};

use object::elf::{EM_BPF, ET_REL, FileHeader64};
use object::read::elf::FileHeader as _;

use crate::isa::Endianness;

/// Longest name of a section or symbol. Longer ones are an error, so that reading many names that
/// overlap costs no more than this each.
pub const MAX_NAME: usize = 1024;

/// Index of a section. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionIdx(pub u32);

impl SectionIdx {
    /// As an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a symbol. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolIdx(pub u32);

impl SymbolIdx {
    /// As an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An object file.
#[derive(Clone, Debug)]
pub struct Elf<'a> {
    /// Byte order of instructions and data.
    pub endianness: Endianness,
    /// All sections by index; the first is the empty one.
    pub sections: Vec<Section<'a>>,
    /// All symbols by index; the first is the empty one.
    pub symbols: Vec<Symbol<'a>>,
}

impl<'a> Elf<'a> {
    /// Reads an object file.
    ///
    /// # Errors
    ///
    /// Where it is no BPF object, or a table or a name in it is invalid or out of bounds.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let header = FileHeader64::<object::Endianness>::parse(bytes).map_err(|_| ElfError::NotElf)?;
        let endian = header.endian().map_err(|_| ElfError::NotElf)?;
        let expect = |what, found: u16, expected: u16| {
            if found == expected { Ok(()) } else { Err(ElfError::WrongTarget { what, found, expected }) }
        };
        expect("the ELF machine", header.e_machine(endian), EM_BPF)?;
        expect("the ELF file type", header.e_type(endian), ET_REL)?;
        let table = header.sections(endian, bytes).map_err(|e| ElfError::malformed("section table", &e))?;
        let sections = sections::read(bytes, header, endian, &table)?;
        let symbols = symbols::read(bytes, endian, &table)?;
        let endianness = match endian {
            object::Endianness::Little => Endianness::Little,
            object::Endianness::Big => Endianness::Big,
        };
        Ok(Self { endianness, sections, symbols })
    }

    /// A section.
    #[must_use]
    pub fn section(&self, index: SectionIdx) -> Option<&Section<'a>> {
        self.sections.get(index.index())
    }

    /// The first section with a name.
    #[must_use]
    pub fn section_by_name(&self, name: &str) -> Option<(SectionIdx, &Section<'a>)> {
        self.sections_with_index().find(|(_, section)| section.name == name)
    }

    /// All sections but the empty one.
    pub fn sections_with_index(&self) -> impl Iterator<Item = (SectionIdx, &Section<'a>)> {
        (0..).map(SectionIdx).zip(&self.sections).skip(1)
    }

    /// All symbols but the empty one.
    pub fn symbols_with_index(&self) -> impl Iterator<Item = (SymbolIdx, &Symbol<'a>)> {
        (0..).map(SymbolIdx).zip(&self.symbols).skip(1)
    }

    /// A symbol.
    #[must_use]
    pub fn symbol(&self, index: SymbolIdx) -> Option<&Symbol<'a>> {
        self.symbols.get(index.index())
    }
}

/// A name in a string table.
fn name<'a>(what: &'static str, strings: &'a [u8], offset: u32) -> Result<&'a str, ElfError> {
    let malformed = |reason: String| ElfError::Malformed { what, reason };
    if offset == 0 {
        return Ok("");
    }
    let tail = strings
        .get(offset as usize..)
        .ok_or_else(|| malformed(format!("offset {offset:#x} is outside of the string table")))?;
    let len =
        tail.iter().take(MAX_NAME + 1).position(|&b| b == 0).ok_or_else(|| {
            malformed(format!("the string at {offset:#x} has no end within {MAX_NAME} bytes"))
        })?;
    std::str::from_utf8(&tail[..len])
        .map_err(|_| malformed(format!("the string at {offset:#x} is not UTF-8")))
}
