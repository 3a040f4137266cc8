//! Rust types for keys, values and variables, as far as BTF tells them.
//!
//! Integers, enumerations, arrays and structures of them become what they are. Anything else (a union, a
//! bit field, a structure without a name, or no BTF at all) becomes an array of bytes of the right size, which is always right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use brolga_compiler::btf::{Btf, BtfError, Kind, Type, TypeId};

use crate::rust::identifier;

/// Structures in structures deeper than this become bytes.
const DEPTH: u32 = 16;
/// Arrays longer than this become bytes where their elements are not.
const LENGTH: u32 = 1 << 16;

/// The types of one module.
pub(crate) struct Types<'b> {
    btf: Option<&'b Btf>,
    /// Names of structures that were written.
    structures: BTreeMap<TypeId, String>,
    names: BTreeSet<String>,
    text: String,
}

impl<'b> Types<'b> {
    /// `taken` are names that no structure may have.
    pub(crate) fn new(btf: Option<&'b Btf>, taken: &[&str]) -> Self {
        let names = taken.iter().map(|&name| name.to_owned()).collect();
        Self { btf, structures: BTreeMap::new(), names, text: String::new() }
    }

    /// The Rust type of `size` bytes that a type of BTF stands for.
    pub(crate) fn name(&mut self, ty: Option<TypeId>, size: u32) -> String {
        let known = ty.and_then(|ty| self.known(ty, 0));
        known.filter(|(_, found)| *found == size).map_or_else(|| bytes(size), |(name, _)| name)
    }

    /// Definitions of all structures that were named.
    pub(crate) fn definitions(&self) -> &str {
        &self.text
    }

    /// A type's Rust name and its size.
    fn known(&mut self, id: TypeId, depth: u32) -> Option<(String, u32)> {
        let btf = self.btf?;
        let ty = btf.unqualified(id).ok()?;
        match ty.kind() {
            Kind::Int => integer(ty.int().is_some_and(|int| int.signed), ty.size()),
            Kind::Enum | Kind::Enum64 => integer(ty.flag(), ty.size()),
            Kind::Ptr => integer(false, 8),
            Kind::Var if depth < DEPTH => self.known(ty.referenced(), depth + 1),
            Kind::Array => {
                let array = ty.array().filter(|array| array.len <= LENGTH)?;
                let (element, size) = self.known(array.element, depth + 1).filter(|_| depth < DEPTH)?;
                Some((format!("[{element}; {}]", array.len), size.checked_mul(array.len)?))
            }
            Kind::Struct => {
                if let Some(name) = self.structures.get(&ty.id()) {
                    return Some((name.clone(), ty.size()));
                }
                let name = self.structure(ty, depth).ok()??;
                Some((name, ty.size()))
            }
            Kind::Void
            | Kind::Var
            | Kind::Union
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::TypeTag
            | Kind::Func
            | Kind::FuncProto
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag => None,
        }
    }

    /// Writes a structure's definition and gives its name.
    fn structure(&mut self, ty: Type<'b>, depth: u32) -> Result<Option<String>, BtfError> {
        let Some(btf) = self.btf else { return Ok(None) };
        let c_name = ty.name()?;
        if c_name.is_empty() || depth >= DEPTH {
            return Ok(None);
        }
        let mut fields = Vec::new();
        for member in ty.members() {
            let name = btf.str(member.name)?;
            let whole = member.bit_size == 0 && member.bit_offset.is_multiple_of(8) && !name.is_empty();
            let Some((field, size)) = self.known(member.ty, depth + 1).filter(|_| whole) else {
                return Ok(None);
            };
            let start = member.bit_offset / 8;
            match start.checked_add(size) {
                Some(end) if end <= ty.size() => fields.push((identifier(name), field, start, end)),
                _ => return Ok(None),
            }
        }
        let mut name = camel(c_name);
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        self.structures.insert(ty.id(), name.clone());
        self.define(&name, c_name, ty.size(), &fields);
        Ok(Some(name))
    }

    fn define(&mut self, name: &str, c_name: &str, size: u32, fields: &[(String, String, u32, u32)]) {
        let mut text = format!(
            "/// `struct {c_name}`\n#[allow(dead_code, missing_docs)]\n\
             #[derive(Clone, Copy, Debug, PartialEq, Eq)]\npub struct {name} {{\n"
        );
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = text.write_fmt(line);
        };
        for (field, ty, ..) in fields {
            line(format_args!("    pub {field}: {ty},\n"));
        }
        line(format_args!(
            "}}\n\nimpl ::brolga_runtime::Value for {name} {{\n    const SIZE: usize = {size};\n\n"
        ));
        line(format_args!("    fn write(&self, bytes: &mut [u8]) {{\n        bytes.fill(0);\n"));
        for (field, _, start, end) in fields {
            let call = "::brolga_runtime::Value::write";
            line(format_args!("        {call}(&self.{field}, &mut bytes[{start}..{end}]);\n"));
        }
        line(format_args!("    }}\n\n    fn read(bytes: &[u8]) -> Self {{\n        Self {{\n"));
        for (field, _, start, end) in fields {
            line(format_args!(
                "            {field}: ::brolga_runtime::Value::read(&bytes[{start}..{end}]),\n"
            ));
        }
        line(format_args!("        }}\n    }}\n}}\n\n"));
        self.text += &text;
    }
}

fn integer(signed: bool, size: u32) -> Option<(String, u32)> {
    let sign = if signed { 'i' } else { 'u' };
    matches!(size, 1 | 2 | 4 | 8).then(|| (format!("{sign}{}", size * 8), size))
}

fn bytes(size: u32) -> String {
    format!("[u8; {size}]")
}

/// `flow_key` becomes `FlowKey`.
fn camel(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    let camel: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    if camel.starts_with(|c: char| c.is_ascii_alphabetic()) { camel } else { format!("Struct{camel}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_rusts() {
        assert_eq!(camel("flow_key"), "FlowKey");
        assert_eq!(camel("_4tuple"), "Struct4tuple");
        assert_eq!(camel("ipv6hdr"), "Ipv6hdr");
    }

    #[test]
    fn without_btf_all_types_are_bytes() {
        let mut types = Types::new(None, &[]);
        assert_eq!(types.name(Some(TypeId(1)), 12), "[u8; 12]");
        assert_eq!(types.definitions(), "");
    }
}
