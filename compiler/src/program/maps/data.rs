//! Global data: the sections `.data`, `.rodata` and `.bss`, each an array map of one value.
//!
//! Relocations of these sections mean nothing to libbpf, nor here: a pointer in global data is the
//! number that the file has in its place, and no pointer to the verifier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brolga_abi::MapKind;
use brolga_abi::maps::{F_MMAPABLE, F_RDONLY_PROG};

use super::{MapRef, Maps, Places, variables_in};
use crate::btf::{Kind, Linkage, Type};
use crate::elf::{Section, SectionIdx};
use crate::program::source::{Source, btf_error, data};
use crate::program::{GlobalData, LoadError, MapDef, Problem, Variable};

/// Most bytes of global data that take none in the file.
const MAX_ZEROES: u64 = 32 << 20;

impl Maps {
    pub(super) fn add_global_data(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
    ) -> Result<(), LoadError> {
        let initial = self.initial(section)?;
        let limit = u64::from(u32::MAX >> 1);
        let size = u32::try_from(initial.len()).ok().filter(|&size| u64::from(size) <= limit);
        let size = size.ok_or_else(|| {
            let found = initial.len() as u64;
            Problem::Limit { what: "bytes of global data", found, limit }.in_section(section.name)
        })?;
        let datasec = source.datasec(section.name);
        let readonly = section.name.starts_with(".rodata");
        let mut map = MapDef::new(section.name, MapKind::Array, 4, size, 1);
        map.flags = if readonly { F_RDONLY_PROG } else { 0 };
        map.value_type = datasec.map(|ty| ty.id());
        if datasec.is_some_and(|ty| has_visible_variable(source, index, &ty)) {
            map.flags |= F_MMAPABLE;
        }
        let variables = self.variables(source, index, section, datasec.as_ref())?;
        map.global = Some(GlobalData { initial, readonly, variables });
        let id = self.push(map)?;
        self.data.insert(index, MapRef::Data { map: id, base: 0 });
        Ok(())
    }

    /// A section's bytes, or as many zeroes as it asks for.
    fn initial(&mut self, section: &Section<'_>) -> Result<Arc<[u8]>, LoadError> {
        if !section.is_nobits() {
            return Ok(data(section)?.into());
        }
        let found = self.zeroes.saturating_add(section.size);
        if found > MAX_ZEROES {
            let what = "bytes of global data that starts as zeroes";
            return Err(Problem::Limit { what, found, limit: MAX_ZEROES }.in_section(section.name));
        }
        self.zeroes = found;
        let len = usize::try_from(section.size).expect("limited above");
        // Not by way of a `Vec`, which would be copied.
        Ok(std::iter::repeat_n(0, len).collect())
    }

    /// Variables of a section: symbols with a size, and what BTF knows of their types.
    pub(super) fn variables(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
        datasec: Option<&Type<'_>>,
    ) -> Result<Vec<Variable>, LoadError> {
        let mut types = BTreeMap::new();
        if let (Some(btf), Some(datasec)) = (source.btf.as_deref(), datasec) {
            let places = Places::of(source, index, datasec);
            for in_section in datasec.vars() {
                let var = btf.get(in_section.var).map_err(|e| btf_error(&e, section.name))?;
                let name = var.name().map_err(|e| btf_error(&e, section.name))?;
                // Static variables of one name are told apart by where they are.
                types.insert((name, places.offset(&var, &in_section).unwrap_or(0)), in_section.var);
            }
        }
        let mut variables = Vec::new();
        for symbol in variables_in(source, index).filter(|symbol| symbol.size > 0) {
            let end = symbol.value.checked_add(symbol.size).filter(|&end| end <= section.size);
            let (Some(_), Ok(offset), Ok(size)) =
                (end, u32::try_from(symbol.value), u32::try_from(symbol.size))
            else {
                let found = symbol.value.saturating_add(symbol.size);
                let what = "the end of a variable";
                return Err(Problem::OutOfBounds { what, found, end: section.size + 1 }
                    .in_section(section.name)
                    .at(symbol.value)
                    .of(symbol.name));
            };
            self.names.spend(symbol.name.len(), symbol.name)?;
            let ty = types.get(&(symbol.name, symbol.value)).copied();
            variables.push(Variable { name: symbol.name.to_owned(), offset, size, ty });
        }
        variables.sort_by_key(|variable| variable.offset);
        Ok(variables)
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
fn has_visible_variable(source: &Source<'_>, index: SectionIdx, datasec: &Type<'_>) -> bool {
    let hidden: BTreeSet<&str> = variables_in(source, index).filter(|s| s.hidden).map(|s| s.name).collect();
    let is_visible = |var: Type<'_>| {
        var.kind() == Kind::Var
            && var.linkage() != Some(Linkage::Static)
            && var.name().is_ok_and(|name| !hidden.contains(name))
    };
    let btf = source.btf.as_deref();
    datasec.vars().any(|var| btf.and_then(|btf| btf.get(var.var).ok()).is_some_and(is_visible))
}
