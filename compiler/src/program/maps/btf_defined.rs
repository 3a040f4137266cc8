//! Map definitions of `.maps`: structures whose members BTF describes.

use std::collections::BTreeMap;

use brolga_abi::MapKind;

use super::{Maps, variables_in};
use crate::btf::{Btf, BtfError, Kind, Linkage, Member, Type, TypeId};
use crate::elf::{Section, SectionIdx, Symbol, SymbolKind, reloc_kind};
use crate::program::source::{Source, btf_error, data};
use crate::program::{LoadError, MapDef, MapId, MapType, Problem};

/// Most members of the structure that defines a map. libbpf knows a dozen, and takes each once.
const MAX_MEMBERS: usize = 64;

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
