//! Maps: definitions, types of keys and values, initial elements.

use std::io::Write;

use brolga_compiler::btf::{Btf, TypeId};
use brolga_compiler::program::MapDef;
use serde::Serialize;

use super::names::type_name;
use crate::io::Out;
use crate::style::WARNING;

#[derive(Serialize)]
pub(super) struct MapReport<'a> {
    name: &'a str,
    kind: String,
    supported: bool,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    key: Option<String>,
    value: Option<String>,
    /// Entries of a `prog_array` that the source fills in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<(u32, &'a str)>,
}

impl<'a> MapReport<'a> {
    pub(super) fn new(map: &'a MapDef, btf: Option<&Btf>) -> Self {
        let name = |ty: Option<TypeId>| Some(type_name(btf?, ty?));
        Self {
            name: &map.name,
            kind: map.kind.to_string(),
            supported: map.kind.known().is_some(),
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: map.max_entries,
            flags: map.flags,
            key: name(map.key_type),
            value: name(map.value_type),
            programs: map.initial_programs.iter().map(|(index, name)| (*index, name.as_str())).collect(),
        }
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        write!(out, "  {:24} {:20} ", self.name, self.kind)?;
        let part = |size: u32, ty: &Option<String>| match ty {
            Some(ty) => format!("{ty} ({size})"),
            None => size.to_string(),
        };
        write!(
            out,
            "key {}, value {}, ",
            part(self.key_size, &self.key),
            part(self.value_size, &self.value)
        )?;
        write!(out, "max {}", self.max_entries)?;
        if self.flags != 0 {
            write!(out, ", flags {:#x}", self.flags)?;
        }
        if !self.supported {
            write!(out, " {WARNING}not supported{WARNING:#}")?;
        }
        writeln!(out)?;
        for (index, program) in &self.programs {
            writeln!(out, "    [{index}] = {program}")?;
        }
        Ok(())
    }
}
