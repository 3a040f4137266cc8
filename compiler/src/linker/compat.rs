//! Whether two files give a symbol the same type, as libbpf asks for it.
//!
//! Qualifiers, typedefs, parameter names, signedness and lengths of arrays do not matter. What a
//! pointer points to is compared by kind and name only, and may be a forward declaration.

use crate::btf::{Btf, BtfError, Kind, Linkage, Type, TypeId};

/// Deepest nesting that is compared.
const MAX_DEPTH: usize = 64;

/// A type of a file.
pub(super) type Side<'a> = (&'a Btf, TypeId);

/// Compares the types of variables or functions; says how they differ. Counts down `steps`.
pub(super) fn compare(a: Side<'_>, b: Side<'_>, steps: &mut usize) -> Result<(), String> {
    Comparison { a: a.0, b: b.0, steps }.compare(a.1, b.1, true, 0)
}

struct Comparison<'a> {
    a: &'a Btf,
    b: &'a Btf,
    steps: &'a mut usize,
}

fn invalid(error: BtfError) -> String {
    error.to_string()
}

impl Comparison<'_> {
    /// Compares two types; behind a pointer they are not compared exactly.
    fn compare(&mut self, mut a: TypeId, mut b: TypeId, mut exact: bool, depth: usize) -> Result<(), String> {
        for hop in 0..MAX_DEPTH {
            *self.steps = self.steps.checked_sub(1).ok_or("the types are too large to be compared")?;
            if depth + hop > MAX_DEPTH {
                break;
            }
            let (x, y) = (self.a.unqualified(a).map_err(invalid)?, self.b.unqualified(b).map_err(invalid)?);
            if !exact && (x.kind() == Kind::Fwd) != (y.kind() == Kind::Fwd) {
                return declared(&x, &y);
            }
            if x.kind() != y.kind() {
                return Err(format!("{:?} and {:?}", x.kind(), y.kind()));
            }
            match x.kind() {
                Kind::Void => return Ok(()),
                Kind::Fwd => return same_names(&x, &y),
                Kind::Int | Kind::Float => return same_sizes(&x, &y),
                Kind::Enum | Kind::Enum64 => return same_names(&x, &y).and_then(|()| same_sizes(&x, &y)),
                Kind::Ptr => {
                    exact = false;
                    (a, b) = (x.referenced(), y.referenced());
                }
                Kind::Array => match (x.array(), y.array()) {
                    (Some(x), Some(y)) => (a, b) = (x.element, y.element),
                    _ => return Err("an array is invalid".to_owned()),
                },
                Kind::Func | Kind::Var => {
                    same_names(&x, &y)?;
                    if (x.linkage() == Some(Linkage::Static)) != (y.linkage() == Some(Linkage::Static)) {
                        return Err("static in one only".to_owned());
                    }
                    (a, b) = (x.referenced(), y.referenced());
                }
                Kind::Struct | Kind::Union => {
                    same_names(&x, &y)?;
                    return if exact { self.members(&x, &y, depth + hop) } else { Ok(()) };
                }
                Kind::FuncProto => {
                    if x.len() != y.len() {
                        return Err(format!("{} and {} parameters", x.len(), y.len()));
                    }
                    for (index, (p, q)) in x.params().zip(y.params()).enumerate() {
                        self.compare(p.ty, q.ty, exact, depth + hop + 1)
                            .map_err(|why| format!("parameter {}: {why}", index + 1))?;
                    }
                    (a, b) = (x.referenced(), y.referenced());
                }
                Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Datasec
                | Kind::DeclTag
                | Kind::TypeTag => return Err(format!("it is a {:?}", x.kind())),
            }
        }
        Err("the types are nested too deeply to be compared".to_owned())
    }

    fn members(&mut self, x: &Type<'_>, y: &Type<'_>, depth: usize) -> Result<(), String> {
        if x.len() != y.len() {
            return Err(format!("{} and {} members", x.len(), y.len()));
        }
        for (p, q) in x.members().zip(y.members()) {
            let name = self.a.str(p.name).map_err(invalid)?;
            let other = self.b.str(q.name).map_err(invalid)?;
            if name != other {
                return Err(format!("members `{name}` and `{other}`"));
            }
            if (p.bit_offset, p.bit_size) != (q.bit_offset, q.bit_size) {
                return Err(format!("member `{name}` is elsewhere"));
            }
            self.compare(p.ty, q.ty, true, depth + 1).map_err(|why| format!("member `{name}`: {why}"))?;
        }
        Ok(())
    }
}

fn same_names(x: &Type<'_>, y: &Type<'_>) -> Result<(), String> {
    let (name, other) = (x.name().map_err(invalid)?, y.name().map_err(invalid)?);
    if name == other { Ok(()) } else { Err(format!("`{name}` and `{other}`")) }
}

fn same_sizes(x: &Type<'_>, y: &Type<'_>) -> Result<(), String> {
    if x.size() == y.size() { Ok(()) } else { Err(format!("{} and {} bytes", x.size(), y.size())) }
}

/// One of two types is a forward declaration; the other must be what it declares.
fn declared(x: &Type<'_>, y: &Type<'_>) -> Result<(), String> {
    same_names(x, y)?;
    let (forward, other) = if x.kind() == Kind::Fwd { (x, y) } else { (y, x) };
    let expected = if forward.flag() { Kind::Union } else { Kind::Struct };
    if other.kind() == expected {
        Ok(())
    } else {
        Err(format!("a declared {expected:?} and {:?}", other.kind()))
    }
}
