//! Map definitions: BTF-defined ones of `.maps`, legacy ones of `maps`, global data, and the
//! structures of `struct_ops`.
//!
//! The order of ids is libbpf's: definitions first, as they lie in their sections, then global data
//! in the order of sections, then `struct_ops`. A map's kind is recorded even where Brolga cannot
//! make it. Names need not be unique: static linking may leave two sections of one name, and whoever
//! looks for a name finds the first.

mod arena;
mod btf_defined;
mod data;
mod definition;
mod legacy;
mod struct_ops;

use std::collections::BTreeMap;

use super::budget::Budget;
use super::source::Source;
use super::{KernelVersion, LoadError, MapDef, MapId, MapType};
use crate::btf::{Kind, Linkage, Type, VarInSection};
use crate::elf::{Binding, SectionIdx, Symbol, SymbolKind};

pub(super) use arena::SECTION as ARENA_SECTION;
pub(super) use data::is_global_data;
pub(super) use struct_ops::{assign_programs, is_struct_ops};

// Numbers of `enum bpf_map_type`, for kinds that definitions treat in a way of their own.
pub(super) const ARRAY_OF_MAPS: u32 = 12;
const HASH_OF_MAPS: u32 = 13;
const STRUCT_OPS: u32 = 26;
const RINGBUF: u32 = 27;
const USER_RINGBUF: u32 = 31;
const ARENA: u32 = 33;

/// Bytes of a page, of which ring buffers and arenas are multiples: Linux's on most machines.
const PAGE: u32 = 4096;

/// All maps, and where instructions find them.
pub(super) struct Maps {
    pub(super) defs: Vec<MapDef>,
    /// Definitions by section and offset.
    places: BTreeMap<(SectionIdx, u64), MapId>,
    /// Global data and the arena's variables by section.
    data: BTreeMap<SectionIdx, MapRef>,
    /// The configuration values.
    pub(super) kconfig: Option<MapId>,
    /// Bytes of zeroes in global data so far, which take none in the file.
    zeroes: u64,
    /// Bytes of `struct_ops` values so far as the kernel has them.
    kernel_values: u64,
    /// Bytes of names, of which each gets a copy.
    names: Budget,
}

/// What a symbol in a map section or in global data means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapRef {
    /// A map.
    Map(MapId),
    /// The value of a map: global data, or an arena. `base` is the section's offset in the value.
    Data { map: MapId, base: u32 },
}

impl Maps {
    /// Reads all maps but those of `struct_ops`, which libbpf numbers after the `.kconfig` map, as for a
    /// version of Linux.
    pub(super) fn read(
        source: &Source<'_>,
        version: KernelVersion,
        kconfig: Option<MapDef>,
    ) -> Result<Self, LoadError> {
        let mut maps = Self {
            defs: Vec::new(),
            places: BTreeMap::new(),
            data: BTreeMap::new(),
            kconfig: None,
            zeroes: 0,
            kernel_values: 0,
            names: Budget::of_names("bytes of names of maps and variables"),
        };
        for (index, section) in source.elf.sections_with_index() {
            match section.name {
                "maps" if section.is_progbits() => maps.add_legacy(source, index, section)?,
                ".maps" if section.is_progbits() => maps.add_btf_defined(source, index, section)?,
                _ => {}
            }
        }
        maps.add_arena_data(source, version)?;
        for (index, section) in source.elf.sections_with_index() {
            if is_global_data(section) && section.size > 0 {
                maps.add_global_data(source, index, section)?;
            }
        }
        maps.kconfig = kconfig.map(|def| maps.push(def)).transpose()?;
        Ok(maps)
    }

    /// What is at an offset of a section.
    pub(super) fn at(&self, section: SectionIdx, offset: u64) -> Option<MapRef> {
        if let Some(&map) = self.places.get(&(section, offset)) {
            return Some(MapRef::Map(map));
        }
        self.data.get(&section).copied()
    }

    /// Adds a map, which gets the next id.
    pub(super) fn push(&mut self, def: MapDef) -> Result<MapId, LoadError> {
        self.names.spend(def.name.len(), &def.name)?;
        let id = MapId(u32::try_from(self.defs.len()).expect("each map takes bytes of the object"));
        self.defs.push(def);
        Ok(id)
    }
}

/// The number of bytes that a ring buffer of so many has: a page times a power of two.
///
/// Other maps, 0, and what is too large for that stay as they are.
pub(super) fn ringbuf_size(kind: MapType, bytes: u32) -> u32 {
    if !matches!(kind.number(), RINGBUF | USER_RINGBUF) || bytes == 0 {
        return bytes;
    }
    bytes
        .div_ceil(PAGE)
        .checked_next_power_of_two()
        .and_then(|pages| pages.checked_mul(PAGE))
        .unwrap_or(bytes)
}

/// Where the variables of a section are, as libbpf finds out.
struct Places<'s> {
    /// Global symbols by name; none where the BTF knows the offsets: a linker wrote them.
    symbols: Option<BTreeMap<&'s str, u64>>,
}

impl<'s> Places<'s> {
    fn of(source: &'s Source<'_>, section: SectionIdx, datasec: &Type<'_>) -> Self {
        let globals = || {
            let symbols = variables_in(source, section).filter(|symbol| symbol.binding != Binding::Local);
            symbols.map(|symbol| (symbol.name, symbol.value)).collect()
        };
        // Compilers leave the section's size 0.
        Self { symbols: (datasec.size() == 0).then(globals) }
    }

    /// A variable's offset; `None` where it should have a symbol, but has none.
    fn offset(&self, var: &Type<'_>, in_section: &VarInSection) -> Option<u64> {
        match &self.symbols {
            Some(symbols) if var.kind() == Kind::Var && var.linkage() != Some(Linkage::Static) => {
                symbols.get(var.name().ok()?).copied()
            }
            _ => Some(in_section.offset.into()),
        }
    }
}

/// Named symbols of variables in a section.
fn variables_in<'s, 'a>(source: &'s Source<'a>, index: SectionIdx) -> impl Iterator<Item = &'s Symbol<'a>> {
    source
        .symbols_in(index)
        .filter(|symbol| matches!(symbol.kind, SymbolKind::Object | SymbolKind::NoType))
        .filter(|symbol| !symbol.name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_buffers_are_whole_pages() {
        let ringbuf = |bytes| ringbuf_size(MapType::from_number(RINGBUF), bytes);
        assert_eq!([1, 4096, 4097, 3 * 4096, 1 << 20].map(ringbuf), [4096, 4096, 8192, 4 * 4096, 1 << 20]);
        assert_eq!([0, (1 << 31) + 1, u32::MAX].map(ringbuf), [0, (1 << 31) + 1, u32::MAX]);
        assert_eq!(ringbuf_size(MapType::from_number(1), 100), 100);
    }
}
