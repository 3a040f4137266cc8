//! Map definitions: BTF-defined ones of `.maps`, legacy ones of `maps`, and global data.
//!
//! The order of ids is libbpf's: definitions first, as the sections list them, then global data in
//! the order of sections. A map's kind is recorded even where Brolga cannot make it.

mod btf_defined;
mod data;
mod legacy;

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::{LoadError, MapDef, MapId, Problem};
use crate::elf::{SectionIdx, Symbol, SymbolKind};

pub(super) use data::is_global_data;

/// All maps, and where instructions find them.
#[derive(Default)]
pub(super) struct Maps {
    pub(super) defs: Vec<MapDef>,
    names: BTreeSet<String>,
    /// Definitions by section and offset.
    places: BTreeMap<(SectionIdx, u64), MapId>,
    /// Global data by section.
    data: BTreeMap<SectionIdx, MapId>,
    /// Why programs that refer to some global data cannot run.
    pub(super) unsupported: BTreeMap<MapId, String>,
}

/// What a symbol in a map section or in global data means.
pub(super) enum MapRef {
    /// A map.
    Map(MapId),
    /// Global data.
    Data(MapId),
}

impl Maps {
    pub(super) fn read(source: &Source<'_>) -> Result<Self, LoadError> {
        let mut maps = Self::default();
        for (index, section) in source.elf.sections_with_index() {
            match section.name {
                "maps" if section.is_progbits() => maps.add_legacy(source, index, section)?,
                ".maps" if section.is_progbits() => maps.add_btf_defined(source, index, section)?,
                _ => {}
            }
        }
        for (index, section) in source.elf.sections_with_index() {
            if is_global_data(section) && section.size > 0 {
                maps.add_global_data(source, index, section)?;
            }
        }
        Ok(maps)
    }

    /// What is at an offset of a section.
    pub(super) fn at(&self, section: SectionIdx, offset: u64) -> Option<MapRef> {
        let map = self.places.get(&(section, offset)).map(|&id| MapRef::Map(id));
        map.or_else(|| self.data.get(&section).map(|&id| MapRef::Data(id)))
    }

    fn push(&mut self, def: MapDef) -> Result<MapId, LoadError> {
        if !self.names.insert(def.name.clone()) {
            return Err(Problem::Duplicate { what: "map of one name" }.somewhere().of(&def.name));
        }
        let id = MapId(u32::try_from(self.defs.len()).expect("each map takes bytes of the object"));
        self.defs.push(def);
        Ok(id)
    }
}

/// Named symbols of variables in a section.
fn variables_in<'s, 'a>(source: &'s Source<'a>, index: SectionIdx) -> impl Iterator<Item = &'s Symbol<'a>> {
    source
        .symbols_in(index)
        .filter(|symbol| matches!(symbol.kind, SymbolKind::Object | SymbolKind::NoType))
        .filter(|symbol| !symbol.name.is_empty())
}
