//! Legacy map definitions: structures of numbers in the section `maps`.
//!
//! All begin with kind, key size, value size, number of entries and flags; what follows is told by
//! the size. `struct bpf_elf_map` of iproute2 has ids by which maps are put into others, and programs
//! in sections such as `2/0` into the `prog_array` with the id 2. libbpf has refused such sections
//! since 1.0. Sizes that nobody is known to have used must have zeroes at their end.

use std::collections::BTreeMap;

use super::{ARRAY_OF_MAPS, HASH_OF_MAPS, Maps, ringbuf_size, variables_in};
use crate::elf::{Binding, Section, SectionIdx, Symbol, SymbolKind};
use crate::program::source::{Source, data};
use crate::program::{LoadError, MapDef, MapId, MapType, Problem};

use brolga_abi::MapKind;
use brolga_abi::maps::F_NUMA_NODE;

/// Bytes of the part that all definitions have: kind, key size, value size, entries, flags.
const PLAIN: usize = 20;

/// Bytes of the definitions in Linux's `samples/bpf` (inner map's index, NUMA node), and of those in
/// aya (id, pinning).
const EXTENDED: usize = 28;

/// Bytes of iproute2's: id, pinning, inner map's id, index in an outer map.
const IPROUTE2: usize = 36;

/// `inner_idx` of a map that serves as an example only.
const NOT_IN_OUTER: u32 = u32::MAX;

/// What iproute2's definition says beyond the map itself.
struct Ids {
    map: MapId,
    id: u32,
    inner_id: u32,
    inner_idx: u32,
}

impl Maps {
    pub(super) fn add_legacy(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
    ) -> Result<(), LoadError> {
        let bytes = data(section)?;
        let mut symbols: Vec<&Symbol<'_>> = variables_in(source, index).collect();
        symbols.sort_by_key(|symbol| symbol.value);
        let first = self.defs.len();
        let mut inner_indices = Vec::new();
        let mut ids = Vec::new();
        for (i, symbol) in symbols.iter().enumerate() {
            let error = |problem: Problem| problem.in_section(section.name).at(symbol.value).of(symbol.name);
            let end = symbols.get(i + 1).map_or(bytes.len() as u64, |next| next.value);
            let range = usize::try_from(symbol.value).unwrap_or(usize::MAX)
                ..usize::try_from(end).unwrap_or(usize::MAX);
            let def = bytes.get(range).filter(|def| def.len() >= PLAIN).ok_or_else(|| {
                error(Problem::OutOfBounds {
                    what: "the end of a map definition",
                    found: symbol.value.saturating_add(PLAIN as u64),
                    end: end.saturating_add(1),
                })
            })?;
            let field = |i: usize| crate::btf::u32_at(source.elf.endianness, def, 4 * i);
            let kind = MapType::from_number(field(0));
            let mut map = MapDef::new(symbol.name, kind, field(1), field(2), ringbuf_size(kind, field(3)));
            map.flags = field(4);
            let id = MapId(u32::try_from(self.defs.len()).expect("each map takes bytes of the object"));
            match def.len() {
                EXTENDED if is_map_of_maps(kind) => {
                    inner_indices.push((id, field(5)));
                    map.numa_node = field(6);
                }
                EXTENDED if map.flags & F_NUMA_NODE != 0 => map.numa_node = field(6),
                EXTENDED => map.pinned = field(6) != 0,
                IPROUTE2 => {
                    map.pinned = field(6) != 0;
                    ids.push(Ids { map: id, id: field(5), inner_id: field(7), inner_idx: field(8) });
                }
                _ if def[PLAIN..].iter().any(|&byte| byte != 0) => {
                    let what = format!("a legacy map definition of {} bytes", def.len());
                    return Err(error(Problem::Unsupported { what }));
                }
                _ => {}
            }
            self.push(map)?;
            self.places.insert((index, symbol.value), id);
        }
        self.add_inner_by_index(first, &inner_indices)?;
        self.add_inner_by_id(&ids)?;
        self.add_programs_by_id(source, &ids);
        Ok(())
    }

    /// `samples/bpf`: an outer map names the map that is the example of those in it by its index.
    fn add_inner_by_index(&mut self, first: usize, outers: &[(MapId, u32)]) -> Result<(), LoadError> {
        for &(outer, index) in outers {
            if let Some(inner) = first.checked_add(index as usize).filter(|&inner| inner < self.defs.len()) {
                self.set_example(outer, MapId(u32::try_from(inner).expect("an index of a map")))?;
            }
        }
        Ok(())
    }

    /// iproute2: an outer map names the id of the maps that go into it.
    fn add_inner_by_id(&mut self, ids: &[Ids]) -> Result<(), LoadError> {
        let mut by_id: BTreeMap<u32, Vec<&Ids>> = BTreeMap::new();
        for map in ids.iter().filter(|map| map.id != 0) {
            by_id.entry(map.id).or_default().push(map);
        }
        for outer in ids {
            if !is_map_of_maps(self.defs[outer.map.index()].kind) {
                continue;
            }
            // Each group goes into one outer map, so that the work stays linear.
            let Some(inner) = by_id.remove(&outer.inner_id) else { continue };
            if let Some(first) = inner.first() {
                self.set_example(outer.map, first.map)?;
            }
            let elements = inner.iter().filter(|map| map.inner_idx != NOT_IN_OUTER);
            let mut elements: Vec<(u32, MapId)> = elements.map(|map| (map.inner_idx, map.map)).collect();
            elements.sort_by_key(|(index, _)| *index);
            self.defs[outer.map.index()].initial_maps = elements;
        }
        Ok(())
    }

    /// Makes a map the example of those in another. Linux has no maps of maps of maps.
    fn set_example(&mut self, outer: MapId, inner: MapId) -> Result<(), LoadError> {
        let inner = &self.defs[inner.index()];
        if !is_map_of_maps(inner.kind) {
            let inner = Box::new(inner.clone());
            self.names.spend(inner.name.len(), &inner.name)?;
            self.defs[outer.index()].inner = Some(inner);
        }
        Ok(())
    }

    /// iproute2: the section `2/0` holds the program that goes to index 0 of the map with the id 2.
    fn add_programs_by_id(&mut self, source: &Source<'_>, ids: &[Ids]) {
        let is_prog_array = |map: MapId| self.defs[map.index()].kind == MapType::Known(MapKind::ProgArray);
        let arrays = ids.iter().filter(|map| is_prog_array(map.map)).map(|map| (map.id, map.map));
        let arrays: BTreeMap<u32, MapId> = arrays.collect();
        if arrays.is_empty() {
            return;
        }
        for (index, section) in source.elf.sections_with_index().filter(|(_, s)| s.is_executable()) {
            let numbers = section.name.split_once('/').map(|(id, key)| (number(id), number(key)));
            let Some((Some(id), Some(key))) = numbers else { continue };
            let Some(map) = arrays.get(&id).map(|map| &mut self.defs[map.index()]) else { continue };
            let mut functions = source.symbols_in(index).filter(|symbol| symbol.kind == SymbolKind::Func);
            let function = functions.find(|symbol| symbol.binding != Binding::Local && symbol.value == 0);
            if let Some(function) = function.filter(|_| key < map.max_entries) {
                map.initial_programs.push((key, function.name.to_owned()));
            }
        }
    }
}

fn is_map_of_maps(kind: MapType) -> bool {
    matches!(kind.number(), ARRAY_OF_MAPS | HASH_OF_MAPS)
}

/// A number as C writes it.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
