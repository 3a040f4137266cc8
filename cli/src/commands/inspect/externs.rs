//! Externs: what the object leaves to the kernel to define, and what it resolves to.

use brolga_compiler::btf::Btf;
use brolga_compiler::program::{Extern, ExternKind, KernelTypes, Object, Resolution};
use serde::Serialize;

use super::names::type_name;
use crate::io::Out;
use crate::io::outln;
use crate::style::{DIM, WARNING};
use crate::value::{Value, decode};

#[derive(Serialize)]
pub(super) struct ExternReport<'a> {
    name: &'a str,
    /// `config`, `variable`, `symbol`, `function`, or `unknown`.
    kind: &'static str,
    #[serde(rename = "type")]
    ty: Option<String>,
    weak: bool,
    /// `value`, `address`, `kernel`, `host`, `absent` or `missing`.
    resolution: &'static str,
    /// `config`: its value.
    value: Option<serde_json::Value>,
    /// `address`: the symbol's.
    address: Option<u64>,
    /// `kernel`: its id in the kernel's BTF.
    id: Option<u32>,
    /// `kernel`: the module whose BTF has it.
    module: Option<&'a str>,
    /// `missing`: why.
    reason: Option<&'a str>,
    #[serde(skip)]
    text: String,
}

impl<'a> ExternReport<'a> {
    pub(super) fn new(external: &'a Extern, object: &'a Object, kernel: &'a KernelTypes) -> Self {
        let btf = object.btf.as_deref();
        let mut report = Self {
            name: &external.name,
            kind: match external.kind {
                ExternKind::Unknown => "unknown",
                ExternKind::Config { .. } => "config",
                ExternKind::Variable => "variable",
                ExternKind::Symbol => "symbol",
                ExternKind::Function => "function",
            },
            ty: btf.zip(external.ty).map(|(btf, ty)| declared(btf, ty)),
            weak: external.weak,
            resolution: "",
            value: None,
            address: None,
            id: None,
            module: None,
            reason: None,
            text: String::new(),
        };
        report.resolve(external, object, kernel);
        report
    }

    fn resolve(&mut self, external: &'a Extern, object: &'a Object, kernel: &'a KernelTypes) {
        match &external.resolution {
            Resolution::Value => {
                let value = config_value(external, object);
                self.resolution = "value";
                self.text = format!("= {value}");
                self.value = Some(value.json());
            }
            Resolution::Address(address) => {
                self.resolution = "address";
                self.address = Some(*address);
                self.text = format!("= {address:#x}");
            }
            Resolution::Kernel { id, module } => {
                self.resolution = "kernel";
                self.id = Some(id.0);
                self.module = module_name(*module, object, kernel);
                let of = self.module.map_or_else(String::new, |module| format!(" of {module}"));
                self.text = format!("= type {}{of}", id.0);
            }
            Resolution::Host(_) => {
                self.resolution = "host";
                self.text = "= a function of the host".to_owned();
            }
            Resolution::Absent => {
                self.resolution = "absent";
                self.text = "absent".to_owned();
            }
            Resolution::Missing(missing) => {
                self.resolution = "missing";
                self.reason = Some(&missing.reason);
                self.text = format!("{WARNING}missing{WARNING:#}: {}", missing.reason);
            }
        }
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let ty = self.ty.as_deref().unwrap_or("?");
        let weak = if self.weak { " weak" } else { "" };
        outln!(out, "  {:24} {ty:20} {DIM}{}{weak}{DIM:#} {}", self.name, self.kind, self.text)
    }
}

/// The type of a variable, or a function's own.
fn declared(btf: &Btf, ty: brolga_compiler::btf::TypeId) -> String {
    match btf.get(ty) {
        Ok(ty) => type_name(btf, ty.referenced()),
        Err(_) => type_name(btf, ty),
    }
}

fn config_value(external: &Extern, object: &Object) -> Value {
    let ExternKind::Config { offset, size, .. } = external.kind else { return Value::Bytes(Vec::new()) };
    let map = object.maps.iter().find(|map| map.name == ".kconfig");
    let data = map.and_then(|map| map.global.as_ref()).map_or(&[][..], |data| &data.initial);
    let bytes = offset.checked_add(size).and_then(|end| data.get(offset as usize..end as usize));
    let ty = object.btf.as_deref().zip(external.ty);
    let ty = ty.and_then(|(btf, ty)| btf.get(ty).ok()).map(|ty| ty.referenced());
    decode(object.endianness, object.btf.as_deref(), ty, bytes.unwrap_or_default())
}

/// The name of a module, which externs count from 1 in the object's list.
fn module_name<'a>(number: i16, object: &Object, kernel: &'a KernelTypes) -> Option<&'a str> {
    let KernelTypes::Kernel(kernel) = kernel else { return None };
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    let module = kernel.modules.get(usize::try_from(*object.modules.get(index)?).ok()?)?;
    Some(&module.0)
}
