//! Symbols of an object: name, section, value, binding.

use object::Endianness;
use object::elf::{
    FileHeader64, SHN_ABS, SHN_COMMON, SHN_UNDEF, SHT_SYMTAB, STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_FILE,
    STT_FUNC, STT_NOTYPE, STT_OBJECT, STT_SECTION, STV_HIDDEN, STV_INTERNAL,
};
use object::read::elf::{SectionHeader as _, SectionTable, Sym as _};

use super::{ElfError, SectionIdx, name};

/// A symbol.
#[derive(Clone, Debug)]
pub struct Symbol<'a> {
    /// Name; empty for those of sections.
    pub name: &'a str,
    /// Offset in its section.
    pub value: u64,
    /// Bytes.
    pub size: u64,
    /// Where it is.
    pub place: SymbolPlace,
    /// What it stands for.
    pub kind: SymbolKind,
    /// Its scope.
    pub binding: Binding,
    /// Whether its visibility is `hidden` or `internal`.
    pub hidden: bool,
}

/// Where a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolPlace {
    /// Not in this object.
    Undefined,
    /// In a section.
    Section(SectionIdx),
    /// Absolute, common, or another special place.
    Special(u16),
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// Not said: local labels and undefined symbols.
    NoType,
    /// A variable.
    Object,
    /// A function.
    Func,
    /// A section.
    Section,
    /// A source file.
    File,
    /// Something else.
    Other(u8),
}

/// Scope of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Static.
    Local,
    /// Global.
    Global,
    /// Global, and gives way to another.
    Weak,
    /// Something else.
    Other(u8),
}

impl Symbol<'_> {
    /// The section in which it is.
    #[must_use]
    pub fn section(&self) -> Option<SectionIdx> {
        match self.place {
            SymbolPlace::Section(index) => Some(index),
            SymbolPlace::Undefined | SymbolPlace::Special(_) => None,
        }
    }
}

/// Reads the symbol table. An object without one has no symbols.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    endian: Endianness,
    table: &SectionTable<'a, FileHeader64<Endianness>>,
) -> Result<Vec<Symbol<'a>>, ElfError> {
    let malformed = |e| ElfError::malformed("symbol table", &e);
    let symbols = table.symbols(endian, bytes, SHT_SYMTAB).map_err(malformed)?;
    let strings = match symbols.is_empty() {
        true => &[],
        false => {
            let section = table.section(symbols.string_section()).map_err(malformed)?;
            section.data(endian, bytes).map_err(malformed)?
        }
    };
    let mut out = Vec::with_capacity(symbols.len());
    for (index, symbol) in symbols.enumerate() {
        let place = match symbol.st_shndx(endian) {
            SHN_UNDEF => SymbolPlace::Undefined,
            special @ (SHN_ABS | SHN_COMMON) => SymbolPlace::Special(special),
            other => match symbols.symbol_section(endian, symbol, index).map_err(malformed)? {
                Some(section) => {
                    SymbolPlace::Section(SectionIdx(u32::try_from(section.0).map_err(|_| ElfError::NotElf)?))
                }
                None => SymbolPlace::Special(other),
            },
        };
        out.push(Symbol {
            name: name("symbol name", strings, symbol.st_name(endian))?,
            value: symbol.st_value(endian),
            size: symbol.st_size(endian),
            place,
            kind: kind(symbol.st_type()),
            binding: binding(symbol.st_bind()),
            hidden: matches!(symbol.st_visibility(), STV_HIDDEN | STV_INTERNAL),
        });
    }
    Ok(out)
}

fn kind(number: u8) -> SymbolKind {
    match number {
        STT_NOTYPE => SymbolKind::NoType,
        STT_OBJECT => SymbolKind::Object,
        STT_FUNC => SymbolKind::Func,
        STT_SECTION => SymbolKind::Section,
        STT_FILE => SymbolKind::File,
        other => SymbolKind::Other(other),
    }
}

fn binding(number: u8) -> Binding {
    match number {
        STB_LOCAL => Binding::Local,
        STB_GLOBAL => Binding::Global,
        STB_WEAK => Binding::Weak,
        other => Binding::Other(other),
    }
}
