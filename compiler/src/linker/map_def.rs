//! Whether two files define a map alike.
//!
//! A definition in `.maps` is a structure whose members' types hold the numbers: `__uint(max_entries,
//! 4)` is a pointer to an array of four. An external map must be declared with all of them.

use super::compat::{self, Side};
use crate::btf::{Btf, BtfError, Kind, Type, TypeId};

/// Members that hold a number, and 0 where they are left out.
const NUMBERS: &[&str] =
    &["type", "key_size", "value_size", "max_entries", "map_flags", "numa_node", "pinning", "map_extra"];

/// What a definition says.
#[derive(Default)]
struct Definition {
    numbers: [u32; NUMBERS.len()],
    key: Option<TypeId>,
    value: Option<TypeId>,
    /// The element of `values`: an inner map or a function.
    inner: Option<TypeId>,
}

/// Compares the definitions of a map; says how they differ.
pub(super) fn compare(a: Side<'_>, b: Side<'_>, steps: &mut usize) -> Result<(), String> {
    let definition = |(btf, var): Side<'_>| {
        let var = btf.get(var).map_err(invalid)?;
        match var.kind() {
            Kind::Var => Ok(var.referenced()),
            _ => Err("it is no variable".to_owned()),
        }
    };
    compare_structures((a.0, definition(a)?), (b.0, definition(b)?), true, steps)
}

fn compare_structures(a: Side<'_>, b: Side<'_>, outer: bool, steps: &mut usize) -> Result<(), String> {
    let (x, y) = (read(a.0, a.1)?, read(b.0, b.1)?);
    for (name, (p, q)) in NUMBERS.iter().zip(x.numbers.iter().zip(y.numbers)) {
        if *p != q {
            return Err(format!("`{name}` is {p} and {q}"));
        }
    }
    for (what, p, q) in [("key", x.key, y.key), ("value", x.value, y.value)] {
        match (p, q) {
            (Some(p), Some(q)) => {
                compat::compare((a.0, p), (b.0, q), steps).map_err(|why| format!("`{what}`: {why}"))?;
            }
            (None, None) => {}
            _ => return Err(format!("`{what}` has a type in one only")),
        }
    }
    match (x.inner, y.inner) {
        (None, None) => Ok(()),
        (Some(p), Some(q)) => {
            let (p, q) = (pointee(a.0, p)?, pointee(b.0, q)?);
            match (p.kind(), q.kind()) {
                (Kind::Struct, Kind::Struct) if outer => {
                    compare_structures((a.0, p.id()), (b.0, q.id()), false, steps)
                        .map_err(|why| format!("inner map: {why}"))
                }
                (Kind::FuncProto, Kind::FuncProto) => Ok(()),
                _ => Err("`values` differ".to_owned()),
            }
        }
        _ => Err("`values` are in one only".to_owned()),
    }
}

fn invalid(error: BtfError) -> String {
    error.to_string()
}

fn read(btf: &Btf, id: TypeId) -> Result<Definition, String> {
    let ty = btf.unqualified(id).map_err(invalid)?;
    if ty.kind() != Kind::Struct {
        return Err("it is not defined by a structure".to_owned());
    }
    let mut found = Definition::default();
    for member in ty.members() {
        let name = btf.str(member.name).map_err(invalid)?;
        if let Some(at) = NUMBERS.iter().position(|known| *known == name) {
            found.numbers[at] = number(btf, member.ty)?;
            continue;
        }
        match name {
            "key" => found.key = Some(pointee(btf, member.ty)?.id()),
            "value" => found.value = Some(pointee(btf, member.ty)?.id()),
            "values" => {
                let array = btf.unqualified(member.ty).map_err(invalid)?.array();
                found.inner = Some(array.ok_or("`values` is no array")?.element);
            }
            _ => return Err(format!("its definition has the unknown member `{name}`")),
        }
    }
    Ok(found)
}

fn pointee(btf: &Btf, id: TypeId) -> Result<Type<'_>, String> {
    let ty = btf.unqualified(id).map_err(invalid)?;
    match ty.kind() {
        Kind::Ptr => btf.unqualified(ty.referenced()).map_err(invalid),
        _ => Err("a member of its definition is no pointer".to_owned()),
    }
}

fn number(btf: &Btf, id: TypeId) -> Result<u32, String> {
    let array = pointee(btf, id)?.array().ok_or("a number in its definition is no array")?;
    Ok(array.len)
}
