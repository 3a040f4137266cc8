//! Global data: the sections `.data`, `.rodata` and `.bss`, each an array map of one value.

use std::collections::BTreeMap;
use std::sync::Arc;

use brolga_abi::MapKind;
use brolga_abi::maps::{F_MMAPABLE, F_RDONLY_PROG};

use super::{Maps, variables_in};
use crate::btf::{Btf, Kind, Linkage, Type, TypeId};
use crate::elf::{Section, SectionIdx, reloc_kind};
use crate::program::source::{Source, btf_error, data};
use crate::program::{GlobalData, LoadError, MapDef, Problem, Variable};

/// Most bytes of one section of global data.
const MAX_GLOBAL_DATA: u64 = 64 << 20;

impl Maps {
    pub(super) fn add_global_data(
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
pub(in crate::program) fn is_global_data(section: &Section<'_>) -> bool {
    let named = |stem: &str| {
        section.name.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    (section.is_progbits() && !section.is_executable() && (named(".data") || named(".rodata")))
        || (section.is_nobits() && named(".bss"))
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
