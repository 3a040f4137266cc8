//! Definitions: records with their members, enumerations with their values, typedefs.

use super::super::{Kind, Type, TypeId};
use super::decl::VA_LIST;
use super::layout::{Item, Plan};
use super::{Dump, DumpError, names};

impl<'a> Dump<'a> {
    /// Prints the definition of a type of which all that it needs was printed.
    pub(super) fn define(&mut self, id: TypeId) -> Result<(), DumpError> {
        let ty = self.btf.get(id)?;
        let name = ty.name()?;
        let text = match ty.kind() {
            Kind::Struct | Kind::Union => self.record(&ty, 0, 0)?,
            Kind::Enum | Kind::Enum64 if ty.is_empty() => self.tag(id)?,
            Kind::Enum | Kind::Enum64 => self.enumeration(&ty, 0)?,
            Kind::Typedef if name == VA_LIST => return Ok(()),
            Kind::Typedef => {
                let name = self.names.typedef(id, name);
                format!("typedef {}", self.declaration(ty.referenced(), &name, 0, 0)?)
            }
            // An integer of a name that C does not have.
            Kind::Int => {
                let name = self.names.typedef(id, name);
                format!("typedef {} {name}", integer(&ty))
            }
            Kind::Void
            | Kind::Ptr
            | Kind::Array
            | Kind::Fwd
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag => return Ok(()),
        };
        self.count(&text)?;
        self.out.push_str(&text);
        self.out.push_str(";\n\n");
        Ok(())
    }

    /// `struct name { … }`, indented but for its first line.
    pub(super) fn record(&mut self, ty: &Type<'a>, indent: usize, depth: usize) -> Result<String, DumpError> {
        let mut text = self.tag(ty.id())?;
        self.steps = self.steps.checked_sub(ty.len()).ok_or(DumpError::TooLong { id: self.at })?;
        let plan = self.layouts.plan(self.btf, ty, depth)?;
        let tabs = "\t".repeat(indent + 1);
        text.push_str(" {");
        let (packed, items) = match plan {
            Plan::Members { packed, items } => (packed, items),
            Plan::Bytes => {
                text.push_str(&format!("\n{tabs}/* members overlap */"));
                (false, if ty.size() == 0 { Vec::new() } else { vec![Item::Bytes(ty.size())] })
            }
        };
        for (number, item) in items.iter().enumerate() {
            let line = match item {
                Item::Member(member, width) => {
                    let name = names::identifier(self.btf.str(member.name)?);
                    let member = self.declaration(member.ty, &name, indent + 1, depth + 1)?;
                    match width {
                        Some(width) => format!("{member}: {width}"),
                        None => member,
                    }
                }
                Item::Gap { unit, bits } => {
                    let unit = match unit {
                        8 => "char",
                        16 => "short",
                        32 => "int",
                        _ => "long",
                    };
                    format!("{unit}: {bits}")
                }
                Item::Bytes(bytes) => format!("char __pad{number}[{bytes}]"),
            };
            self.count(&line)?;
            text.push_str(&format!("\n{tabs}{line};"));
        }
        if text.ends_with('{') {
            text.push('}');
        } else {
            text.push_str(&format!("\n{}}}", "\t".repeat(indent)));
        }
        if packed {
            text.push_str(" __attribute__((packed))");
        }
        Ok(text)
    }

    /// `enum name { … }`, indented but for its first line.
    pub(super) fn enumeration(&mut self, ty: &Type<'a>, indent: usize) -> Result<String, DumpError> {
        let mut text = self.tag(ty.id())?;
        let tabs = "\t".repeat(indent + 1);
        text.push_str(" {");
        let mut wide = false;
        for enumerator in ty.enumerators() {
            let name = self.names.enumerator(self.btf.str(enumerator.name)?);
            let signed = enumerator.value.cast_signed();
            let value = match (ty.kind(), ty.flag()) {
                (Kind::Enum64, true) if signed == i64::MIN => "(-9223372036854775807LL - 1)".to_owned(),
                (Kind::Enum64, true) => format!("{signed}LL"),
                (Kind::Enum64, false) => format!("{}ULL", enumerator.value),
                (_, true) => signed.to_string(),
                (_, false) => enumerator.value.to_string(),
            };
            wide |= match ty.flag() {
                true => i32::try_from(signed).is_err(),
                false => u32::try_from(enumerator.value).is_err(),
            };
            self.count(&name)?;
            text.push_str(&format!("\n{tabs}{name} = {value},"));
        }
        text.push_str(&format!("\n{}}}", "\t".repeat(indent)));
        match ty.size() {
            1 => text.push_str(" __attribute__((mode(QI)))"),
            2 => text.push_str(" __attribute__((mode(HI)))"),
            8 if !wide => text.push_str(" __attribute__((mode(DI)))"),
            _ => {}
        }
        Ok(text)
    }
}

/// C's own integer of a size.
fn integer(ty: &Type<'_>) -> &'static str {
    let signed = ty.int().is_some_and(|int| int.signed);
    match (ty.size(), signed) {
        (0 | 1, true) => "signed char",
        (0 | 1, false) => "unsigned char",
        (2, true) => "short",
        (2, false) => "unsigned short",
        (3 | 4, true) => "int",
        (3 | 4, false) => "unsigned int",
        (5..=8, true) => "long long",
        (5..=8, false) => "unsigned long long",
        (_, true) => "__int128",
        (_, false) => "unsigned __int128",
    }
}
