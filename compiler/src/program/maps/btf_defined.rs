//! Maps of the section `.maps`: variables whose types define them, and their initial elements.

use std::collections::BTreeMap;

use super::definition::{self, Definition};
use super::{ARRAY_OF_MAPS, HASH_OF_MAPS, Maps, Places};
use crate::btf::{Kind, Linkage};
use crate::elf::{Reloc, Section, SectionIdx, Symbol, SymbolKind, reloc_kind};
use crate::program::source::{Source, btf_error, data};
use crate::program::{LoadError, MapId, MapType, Problem};

use brolga_abi::MapKind;

/// A map as it stands in its section.
struct Defined {
    id: MapId,
    /// First byte of the variable.
    start: u64,
    /// First byte after it.
    end: u64,
    /// First byte of its member `values`.
    values: Option<u64>,
}

impl Maps {
    pub(super) fn add_btf_defined(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
    ) -> Result<(), LoadError> {
        let missing = |what| Problem::Missing { what }.in_section(section.name);
        let btf = source.btf.as_deref().ok_or_else(|| missing("the BTF that defines its maps"))?;
        let size = data(section)?.len() as u64;
        let datasec = source.datasec(section.name).ok_or_else(|| missing("the BTF that defines its maps"))?;
        let places = Places::of(source, index, &datasec);
        let mut vars = Vec::with_capacity(datasec.len());
        for in_section in datasec.vars() {
            let var = btf.get(in_section.var).map_err(|e| btf_error(&e, section.name))?;
            let name = var.name().map_err(|e| btf_error(&e, section.name))?;
            if var.kind() != Kind::Var {
                let reason = format!("`{name}` is no variable");
                return Err(Problem::Malformed { what: "BTF", reason }.in_section(section.name));
            }
            let offset = places.offset(&var, &in_section);
            vars.push((
                offset.ok_or_else(|| missing("the symbol of a map").of(name))?,
                in_section,
                var,
                name,
            ));
        }
        // As in libbpf, which sorts them.
        vars.sort_by_key(|(offset, ..)| *offset);
        let mut defined = Vec::with_capacity(vars.len());
        for (offset, in_section, var, name) in vars {
            let at = |error: LoadError| error.in_section(section.name).at(offset).of(name);
            if var.linkage() != Some(Linkage::Global) {
                return Err(at(Problem::Unsupported { what: "a map that is static".to_owned() }.somewhere()));
            }
            let end = offset.saturating_add(in_section.size.into());
            if end > size {
                let what = "the end of a map definition";
                return Err(at(Problem::OutOfBounds { what, found: end, end: size + 1 }.somewhere()));
            }
            let Definition { map, values, size } = definition::read(btf, name, &var).map_err(at)?;
            if size > in_section.size {
                let reason = "its structure is larger than the variable".to_owned();
                return Err(at(Problem::Malformed { what: "map definition", reason }.somewhere()));
            }
            let id = self.push(map)?;
            if self.places.insert((index, offset), id).is_some() {
                return Err(at(Problem::Duplicate { what: "map definition at one place" }.somewhere()));
            }
            let values = values.map(|values| offset.saturating_add(values.into()));
            defined.push(Defined { id, start: offset, end, values });
        }
        self.add_initial_elements(source, index, &defined)
    }

    /// `values`: relocations against programs or other maps, one word for each index.
    fn add_initial_elements(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        defined: &[Defined],
    ) -> Result<(), LoadError> {
        let mut elements = BTreeMap::new();
        for reloc in source.relocs_of(index).iter().filter(|reloc| reloc.kind != reloc_kind::NONE) {
            let (map, slot, symbol) = self.initial_element(source, index, defined, reloc)?;
            elements.insert((map, slot), symbol);
        }
        for ((map, slot), symbol) in elements {
            let def = &mut self.defs[map.index()];
            if def.kind == MapType::Known(MapKind::ProgArray) {
                def.initial_programs.push((slot, symbol.name.to_owned()));
            } else if let Some(&inner) = self.places.get(&(index, symbol.value)) {
                def.initial_maps.push((slot, inner));
            }
        }
        Ok(())
    }

    /// What a relocation of `.maps` says: the map, the index in it, and what goes there.
    fn initial_element<'s, 'a>(
        &self,
        source: &'s Source<'a>,
        index: SectionIdx,
        defined: &[Defined],
        reloc: &Reloc,
    ) -> Result<(MapId, u32, &'s Symbol<'a>), LoadError> {
        let place = |problem: Problem| problem.in_section(source.section_name(index)).at(reloc.offset);
        if reloc.kind != reloc_kind::ABS64 {
            let (found, expected) = (reloc.kind.into(), "R_BPF_64_ABS64 (2)");
            return Err(place(Problem::Invalid { what: "relocation type", found, expected }));
        }
        let after = defined.partition_point(|map| map.start <= reloc.offset);
        let map = after.checked_sub(1).map(|at| &defined[at]);
        let map = map.filter(|map| reloc.offset.saturating_add(8) <= map.end);
        let map =
            map.ok_or_else(|| place(Problem::Missing { what: "the map that a relocation initialises" }))?;
        let def = &self.defs[map.id.index()];
        let place = |problem: Problem| place(problem).of(&def.name);
        let what = "an initialised element of a map";
        let offset = map.values.and_then(|values| reloc.offset.checked_sub(values));
        let slot = offset.filter(|offset| offset.is_multiple_of(8)).and_then(|o| u32::try_from(o / 8).ok());
        let slot = slot.ok_or_else(|| {
            let (found, expected) = (reloc.offset - map.start, "a multiple of 8 in the member `values`");
            place(Problem::Invalid { what, found, expected })
        })?;
        if slot >= def.max_entries && def.kind.number() != HASH_OF_MAPS {
            let end = def.max_entries.into();
            return Err(place(Problem::OutOfBounds { what, found: slot.into(), end }));
        }
        let symbol = source.elf.symbol(reloc.symbol);
        let symbol = match def.kind.number() {
            HASH_OF_MAPS if def.key_size != 4 => {
                let (found, expected) = (def.key_size.into(), "4 where elements are initialised");
                return Err(place(Problem::Invalid { what: "the key's size", found, expected }));
            }
            ARRAY_OF_MAPS | HASH_OF_MAPS => {
                symbol.filter(|s| s.section() == Some(index) && self.places.contains_key(&(index, s.value)))
            }
            _ => symbol.filter(|symbol| symbol.kind == SymbolKind::Func),
        };
        let missing = Problem::Missing { what: "the program or map of an initialised element" };
        symbol.map(|symbol| (map.id, slot, symbol)).ok_or_else(|| place(missing))
    }
}
