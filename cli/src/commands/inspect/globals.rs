//! Global data: variables with their types and initial values.

use brolga_compiler::btf::Btf;
use brolga_compiler::isa::Endianness;
use brolga_compiler::program::{GlobalData, MapDef, Variable};
use serde::Serialize;

use super::names::type_name;
use crate::io::Out;
use crate::io::outln;
use crate::style::{DIM, HEADING};
use crate::value::{Value, decode, type_of};

#[derive(Serialize)]
pub(super) struct GlobalReport<'a> {
    section: &'a str,
    size: u32,
    readonly: bool,
    variables: Vec<VariableReport<'a>>,
}

#[derive(Serialize)]
pub(super) struct VariableReport<'a> {
    name: &'a str,
    offset: u32,
    size: u32,
    #[serde(rename = "type")]
    ty: Option<String>,
    initial: serde_json::Value,
    #[serde(skip)]
    text: String,
}

impl<'a> GlobalReport<'a> {
    pub(super) fn new(map: &'a MapDef, data: &'a GlobalData, order: Endianness, btf: Option<&Btf>) -> Self {
        let variable = |variable| VariableReport::new(variable, &data.initial, order, btf);
        Self {
            section: &map.name,
            size: map.value_size,
            readonly: data.readonly,
            variables: data.variables.iter().map(variable).collect(),
        }
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let access = if self.readonly { "read-only" } else { "writable" };
        outln!(out, "\n{HEADING}{}{HEADING:#} {DIM}({} bytes, {access}){DIM:#}", self.section, self.size)?;
        for variable in &self.variables {
            variable.text("", out)?;
        }
        Ok(())
    }
}

impl<'a> VariableReport<'a> {
    pub(super) fn new(variable: &'a Variable, data: &[u8], order: Endianness, btf: Option<&Btf>) -> Self {
        let (start, len) = (variable.offset as usize, variable.size as usize);
        let bytes = start.checked_add(len).and_then(|end| data.get(start..end)).unwrap_or_default();
        let initial: Value = decode(order, btf, variable.ty, bytes);
        Self {
            name: &variable.name,
            offset: variable.offset,
            size: variable.size,
            ty: btf.zip(variable.ty).map(|(btf, ty)| type_name(btf, type_of(btf, ty))),
            initial: initial.json(),
            text: initial.to_string(),
        }
    }

    pub(super) fn text(&self, indent: &str, out: &mut Out) -> std::io::Result<()> {
        let ty = self.ty.as_deref().unwrap_or("?");
        outln!(out, "{indent}  {:24} {ty:20} at {:<6} = {}", self.name, self.offset, self.text)
    }
}
