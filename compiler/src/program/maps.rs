//! Map definitions: BTF-defined ones of `.maps`, legacy ones of `maps`, and global data.
//!
//! The order of ids is libbpf's: definitions first, as the sections list them, then global data in
//! the order of sections. A map's kind is recorded even where Brolga cannot make it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brolga_abi::MapKind;
use brolga_abi::maps::{F_MMAPABLE, F_RDONLY_PROG};

use super::source::{Source, btf_error, data};
use super::{GlobalData, LoadError, MapDef, MapId, MapType, Problem, Variable};
use crate::btf::{Btf, BtfError, Kind, Linkage, Member, Type, TypeId};
use crate::elf::{Section, SectionIdx, Symbol, SymbolKind, reloc_kind};

/// Most bytes of one section of global data.
const MAX_GLOBAL_DATA: u64 = 64 << 20;

/// Bytes of a legacy definition: kind, key size, value size, number of entries, flags.
const LEGACY_DEF: usize = 20;

/// Most members of the structure that defines a map. libbpf knows a dozen, and takes each once.
const MAX_MEMBERS: usize = 64;

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

    fn add_legacy(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
    ) -> Result<(), LoadError> {
        let bytes = data(section)?;
        let mut symbols: Vec<&Symbol<'_>> = variables_in(source, index).collect();
        symbols.sort_by_key(|symbol| symbol.value);
        for (i, symbol) in symbols.iter().enumerate() {
            let error = |problem: Problem| problem.in_section(section.name).at(symbol.value).of(symbol.name);
            let end = symbols.get(i + 1).map_or(bytes.len() as u64, |next| next.value);
            let range = usize::try_from(symbol.value).unwrap_or(usize::MAX)
                ..usize::try_from(end).unwrap_or(usize::MAX);
            let def = bytes.get(range).filter(|def| def.len() >= LEGACY_DEF).ok_or_else(|| {
                error(Problem::OutOfBounds {
                    what: "the end of a map definition",
                    found: symbol.value.saturating_add(LEGACY_DEF as u64),
                    end: end.saturating_add(1),
                })
            })?;
            let (fields, rest) = def.split_at(LEGACY_DEF);
            if rest.iter().any(|&byte| byte != 0) {
                return Err(error(Problem::Unsupported {
                    what: "a legacy map definition with fields beyond `map_flags`".to_owned(),
                }));
            }
            let field = |i: usize| crate::btf::u32_at(source.elf.endianness, fields, 4 * i);
            let kind = MapType::from_number(field(0));
            let mut map = MapDef::new(symbol.name, kind, field(1), field(2), field(3));
            map.flags = field(4);
            let id = self.push(map)?;
            self.places.insert((index, symbol.value), id);
        }
        Ok(())
    }

    fn add_btf_defined(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
    ) -> Result<(), LoadError> {
        let missing = |what| Problem::Missing { what }.in_section(section.name);
        let btf = source.btf.as_deref().ok_or_else(|| missing("the BTF that defines its maps"))?;
        let size = data(section)?.len() as u64;
        let symbols: BTreeMap<&str, &Symbol<'_>> = variables_in(source, index).map(|s| (s.name, s)).collect();
        let datasec = source.datasec(section.name).ok_or_else(|| missing("the BTF that defines its maps"))?;
        let mut last_values = BTreeMap::new();
        for in_section in datasec.vars() {
            let var = btf.get(in_section.var).map_err(|e| btf_error(&e, section.name))?;
            let name = var.name().map_err(|e| btf_error(&e, section.name))?;
            let symbol = symbols.get(name).ok_or_else(|| missing("the symbol of a map").of(name))?;
            let at = |error: LoadError| error.in_section(section.name).at(symbol.value).of(name);
            if var.linkage() != Some(Linkage::Global) {
                return Err(at(Problem::Unsupported { what: "a map that is static".to_owned() }.somewhere()));
            }
            if symbol.value.checked_add(in_section.size.into()).is_none_or(|end| end > size) {
                let found = symbol.value.saturating_add(in_section.size.into());
                let what = "the end of a map definition";
                return Err(at(Problem::OutOfBounds { what, found, end: size + 1 }.somewhere()));
            }
            let (def, values) = definition(btf, name, &var).map_err(at)?;
            let id = self.push(def)?;
            if self.places.insert((index, symbol.value), id).is_some() {
                return Err(at(Problem::Duplicate { what: "map definition at one place" }.somewhere()));
            }
            if let Some(offset) = values {
                last_values.insert(symbol.value.saturating_add(offset.into()), id);
            }
        }
        self.add_initial_programs(source, index, &last_values)
    }

    /// `values` of program arrays: relocations against functions, one word for each index.
    fn add_initial_programs(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        values: &BTreeMap<u64, MapId>,
    ) -> Result<(), LoadError> {
        for reloc in source.relocs_of(index) {
            let place = |problem: Problem| problem.in_section(source.section_name(index)).at(reloc.offset);
            if reloc.kind != reloc_kind::ABS64 {
                let expected = "R_BPF_64_ABS64 (2)";
                return Err(place(Problem::Invalid {
                    what: "relocation type",
                    found: reloc.kind.into(),
                    expected,
                }));
            }
            let what = "the initialised value of a program array";
            let (&start, &id) = values
                .range(..=reloc.offset)
                .next_back()
                .ok_or_else(|| place(Problem::Missing { what: "the array that a relocation initialises" }))?;
            let def = &mut self.defs[id.index()];
            if def.kind != MapType::Known(MapKind::ProgArray) {
                // Maps of maps: their kind is a finding of the programs that use them.
                continue;
            }
            let offset = reloc.offset - start;
            let slot = u32::try_from(offset / 8).ok().filter(|_| offset.is_multiple_of(8));
            let slot = slot.ok_or_else(|| {
                place(Problem::Invalid { what, found: offset, expected: "a multiple of 8 from its start" })
            })?;
            if slot >= def.max_entries {
                let end = def.max_entries.into();
                return Err(place(Problem::OutOfBounds { what, found: slot.into(), end }).of(&def.name));
            }
            let symbol = source.elf.symbol(reloc.symbol);
            let function = symbol
                .filter(|symbol| symbol.kind == SymbolKind::Func)
                .ok_or_else(|| place(Problem::Missing { what: "the program of an initialised value" }))?;
            def.initial_programs.push((slot, function.name.to_owned()));
        }
        Ok(())
    }

    fn add_global_data(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
    ) -> Result<(), LoadError> {
        let size = u32::try_from(section.size).ok().filter(|_| section.size <= MAX_GLOBAL_DATA);
        let size = size.ok_or_else(|| {
            Problem::Limit { what: "bytes of global data", found: section.size, limit: MAX_GLOBAL_DATA }
                .in_section(section.name)
        })?;
        let initial: Arc<[u8]> =
            if section.is_nobits() { vec![0; size as usize].into() } else { data(section)?.into() };
        let datasec = source.datasec(section.name);
        let readonly = section.name.starts_with(".rodata");
        let mut map = MapDef::new(section.name, MapKind::Array, 4, size, 1);
        map.flags = if readonly { F_RDONLY_PROG } else { 0 };
        map.value_type = datasec.map(|ty| ty.id());
        if datasec.is_some_and(|ty| has_visible_variable(source.btf.as_deref(), &ty)) {
            map.flags |= F_MMAPABLE;
        }
        let variables = variables(source, index, section, datasec.as_ref())?;
        map.global = Some(GlobalData { initial, readonly, variables });
        let id = self.push(map)?;
        self.data.insert(index, id);
        if let Some(reloc) = source.relocs_of(index).iter().find(|reloc| reloc.kind != reloc_kind::NONE) {
            let target = source.elf.symbol(reloc.symbol).map_or("", |symbol| match symbol.section() {
                Some(section) if symbol.name.is_empty() => source.section_name(section),
                _ => symbol.name,
            });
            self.unsupported.insert(
                id,
                format!("offset {:#x} of `{}` holds the address of `{target}`", reloc.offset, section.name),
            );
        }
        Ok(())
    }
}

/// Whether libbpf makes global data of a section.
pub(super) fn is_global_data(section: &Section<'_>) -> bool {
    let named = |stem: &str| {
        section.name.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    (section.is_progbits() && !section.is_executable() && (named(".data") || named(".rodata")))
        || (section.is_nobits() && named(".bss"))
}

/// Named symbols of variables in a section.
fn variables_in<'s, 'a>(source: &'s Source<'a>, index: SectionIdx) -> impl Iterator<Item = &'s Symbol<'a>> {
    source
        .symbols_in(index)
        .filter(|symbol| matches!(symbol.kind, SymbolKind::Object | SymbolKind::NoType))
        .filter(|symbol| !symbol.name.is_empty())
}

/// Whether host code sees a variable of the section: libbpf makes such data mappable.
fn has_visible_variable(btf: Option<&Btf>, datasec: &Type<'_>) -> bool {
    let is_static = |var: TypeId| {
        btf.and_then(|btf| btf.get(var).ok())
            .is_none_or(|ty| ty.kind() != Kind::Var || ty.linkage() == Some(Linkage::Static))
    };
    datasec.vars().any(|var| !is_static(var.var))
}

/// Variables of global data: symbols with a size, and what BTF knows of their types.
fn variables(
    source: &Source<'_>,
    index: SectionIdx,
    section: &Section<'_>,
    datasec: Option<&Type<'_>>,
) -> Result<Vec<Variable>, LoadError> {
    let mut types: BTreeMap<&str, TypeId> = BTreeMap::new();
    if let (Some(btf), Some(datasec)) = (source.btf.as_deref(), datasec) {
        for var in datasec.vars() {
            let name = btf.get(var.var).and_then(|ty| ty.name()).map_err(|e| btf_error(&e, section.name))?;
            types.insert(name, var.var);
        }
    }
    let mut variables = Vec::new();
    for symbol in variables_in(source, index).filter(|symbol| symbol.size > 0) {
        let end = symbol.value.checked_add(symbol.size).filter(|&end| end <= section.size);
        let (Some(_), Ok(offset), Ok(size)) = (end, u32::try_from(symbol.value), u32::try_from(symbol.size))
        else {
            let found = symbol.value.saturating_add(symbol.size);
            let what = "the end of a variable";
            return Err(Problem::OutOfBounds { what, found, end: section.size + 1 }
                .in_section(section.name)
                .at(symbol.value)
                .of(symbol.name));
        };
        let ty = types.get(symbol.name).copied();
        variables.push(Variable { name: symbol.name.to_owned(), offset, size, ty });
    }
    variables.sort_by_key(|variable| variable.offset);
    Ok(variables)
}

/// Reads the structure by which a variable of `.maps` defines a map. Also gives the byte offset
/// of its member `values`.
fn definition(btf: &Btf, name: &str, var: &Type<'_>) -> Result<(MapDef, Option<u32>), LoadError> {
    let btf_error = |error: BtfError| btf_error(&error, ".maps");
    let ty = btf.unqualified(var.referenced()).map_err(btf_error)?;
    if ty.kind() != Kind::Struct {
        return Err(malformed("its type is not a structure"));
    }
    if ty.len() > MAX_MEMBERS {
        return Err(malformed("its structure has too many members"));
    }
    let mut def = MapDef::new(name, MapType::Unsupported(0), 0, 0, 0);
    let mut values = None;
    for member in ty.members() {
        let number = || number(btf, &member);
        match btf.str(member.name).map_err(btf_error)? {
            "type" => def.kind = MapType::from_number(number()?),
            "max_entries" => def.max_entries = number()?,
            "map_flags" => def.flags = number()?,
            "key_size" => set_size(&mut def.key_size, number()?, "key_size")?,
            "value_size" => set_size(&mut def.value_size, number()?, "value_size")?,
            "key" => {
                let (ty, size) = pointee(btf, &member)?;
                set_size(&mut def.key_size, size, "key")?;
                def.key_type = Some(ty);
            }
            "value" => {
                let (ty, size) = pointee(btf, &member)?;
                set_size(&mut def.value_size, size, "value")?;
                def.value_type = Some(ty);
            }
            "values" => {
                set_size(&mut def.value_size, 4, "values")?;
                values = Some(member.bit_offset / 8);
            }
            "pinning" => match number()? {
                0 => def.pinned = false,
                1 => def.pinned = true,
                found => {
                    return Err(Problem::Invalid {
                        what: "`pinning`",
                        found: found.into(),
                        expected: "LIBBPF_PIN_NONE (0) or LIBBPF_PIN_BY_NAME (1)",
                    }
                    .somewhere());
                }
            },
            // Where the kernel places the map; and what only kinds take that are unsupported.
            "numa_node" | "map_extra" => {}
            other => {
                return Err(
                    Problem::Unsupported { what: format!("field `{other}` of a map definition") }.somewhere()
                );
            }
        }
    }
    if def.kind == MapType::Unsupported(0) {
        return Err(malformed("it has no `type`"));
    }
    Ok((def, values))
}

fn malformed(reason: &str) -> LoadError {
    Problem::Malformed { what: "map definition", reason: reason.to_owned() }.somewhere()
}

/// Sets a size that two members may give, where they agree.
fn set_size(size: &mut u32, found: u32, what: &str) -> Result<(), LoadError> {
    if *size != 0 && *size != found {
        return Err(malformed(&format!("`{what}` says {found} bytes, another member {size}")));
    }
    *size = found;
    Ok(())
}

/// A number, encoded as `int (*name)[number]`.
fn number(btf: &Btf, member: &Member) -> Result<u32, LoadError> {
    let read = || -> Result<Option<u32>, BtfError> {
        let pointer = btf.unqualified(member.ty)?;
        if pointer.kind() != Kind::Ptr {
            return Ok(None);
        }
        Ok(btf.unqualified(pointer.referenced())?.array().map(|array| array.len))
    };
    read().map_err(|e| btf_error(&e, ".maps"))?.ok_or_else(|| {
        let name = btf.str(member.name).unwrap_or_default();
        malformed(&format!("`{name}` is not a pointer to an array"))
    })
}

/// What a member points to, and its size.
fn pointee(btf: &Btf, member: &Member) -> Result<(TypeId, u32), LoadError> {
    let btf_error = |e: BtfError| btf_error(&e, ".maps");
    let pointer = btf.unqualified(member.ty).map_err(btf_error)?;
    if pointer.kind() != Kind::Ptr {
        let name = btf.str(member.name).unwrap_or_default();
        return Err(malformed(&format!("`{name}` is not a pointer")));
    }
    let ty = pointer.referenced();
    Ok((ty, btf.size_of(ty).map_err(btf_error)?))
}
