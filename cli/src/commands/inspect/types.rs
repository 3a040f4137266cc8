//! The object's own types.

use std::io::Write;

use brolga_compiler::btf::{Btf, TypeId};
use serde::Serialize;

use super::names::type_name;
use crate::io::Out;
use crate::style::DIM;

#[derive(Serialize)]
pub(super) struct TypeReport {
    id: u32,
    kind: String,
    name: String,
    size: Option<u32>,
}

impl TypeReport {
    pub(super) fn new(btf: &Btf, id: TypeId) -> Option<Self> {
        let ty = btf.get(id).ok()?;
        let kind = format!("{:?}", ty.kind()).to_ascii_lowercase();
        Some(Self { id: id.0, kind, name: type_name(btf, id), size: btf.size_of(id).ok() })
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let size = self.size.map_or_else(String::new, |size| format!(" {DIM}{size} bytes{DIM:#}"));
        writeln!(out, "  [{}] {} {}{size}", self.id, self.kind, self.name)
    }
}
