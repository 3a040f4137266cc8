//! Whether a kernel's type can stand for a local one: loosely, as fields and roots are compared.
//!
//! Names of roots were compared before. `similar` compares layouts strictly.

use super::{Budget, CoreError, MAX_STEPS, Side};
use crate::btf::{Btf, Kind, MAX_DEPTH, Type, TypeId, essential_name};

/// Whether two kinds are the same, enumerations of both widths taken for one.
pub(super) fn kinds(a: Kind, b: Kind) -> bool {
    a == b || (is_enum(a) && is_enum(b))
}

pub(super) fn is_enum(kind: Kind) -> bool {
    matches!(kind, Kind::Enum | Kind::Enum64)
}

pub(super) fn is_composite(kind: Kind) -> bool {
    matches!(kind, Kind::Struct | Kind::Union)
}

/// Whether both integers begin at their first bit; others are a compiler's bit fields of old.
fn whole(a: Type<'_>, b: Type<'_>) -> bool {
    let offset = |ty: Type<'_>| ty.int().map_or(0, |int| int.offset);
    offset(a) == 0 && offset(b) == 0
}

/// Whether the types of two fields are compatible.
pub(super) fn fields(
    (a, mut a_id): (Side<'_>, TypeId),
    (b, mut b_id): (Side<'_>, TypeId),
    budget: &mut Budget,
) -> Result<bool, CoreError> {
    for _ in 0..MAX_DEPTH {
        budget.spend(1)?;
        let (at, bt) = (a.unqualified(a_id)?, b.unqualified(b_id)?);
        if is_composite(at.kind()) && is_composite(bt.kind()) {
            return Ok(true);
        }
        if !kinds(at.kind(), bt.kind()) {
            return Ok(false);
        }
        match at.kind() {
            Kind::Ptr | Kind::Float => return Ok(true),
            Kind::Fwd | Kind::Enum | Kind::Enum64 => {
                let (a_name, b_name) = (at.name()?, bt.name()?);
                budget.spend_name(a_name)?;
                let (a_name, b_name) = (essential_name(a_name), essential_name(b_name));
                return Ok(a_name.is_empty() || b_name.is_empty() || a_name == b_name);
            }
            Kind::Int => return Ok(whole(at, bt)),
            Kind::Array => match (at.array(), bt.array()) {
                (Some(a_array), Some(b_array)) => (a_id, b_id) = (a_array.element, b_array.element),
                _ => return Ok(false),
            },
            Kind::Void
            | Kind::Struct
            | Kind::Union
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::Datasec
            | Kind::DeclTag
            | Kind::TypeTag => return Ok(false),
        }
    }
    Err(too_deep())
}

/// Compares types of an object with those of a kernel, as relocations by type do.
///
/// All comparisons of one object spend from one budget.
#[derive(Debug)]
pub struct Compatibility {
    budget: Budget,
}

impl Default for Compatibility {
    fn default() -> Self {
        Self::new()
    }
}

impl Compatibility {
    /// Nothing is compared yet.
    #[must_use]
    pub fn new() -> Self {
        Self { budget: Budget { steps: MAX_STEPS, text: 0 } }
    }

    /// Whether two types are compatible, whatever their names are.
    ///
    /// # Errors
    ///
    /// Where a type cannot be read, or comparing takes more than Brolga spends on it.
    pub fn check(
        &mut self,
        (local, local_id): (&Btf, TypeId),
        (target, target_id): (&Btf, TypeId),
    ) -> Result<bool, CoreError> {
        let side = |btf| Side { btf, pointer: 8 };
        types((side(local), local_id), (side(target), target_id), &mut self.budget)
    }
}

/// Arrays, pointers and functions within each other, deeper than libbpf follows them.
pub(super) fn too_deep() -> CoreError {
    let limit = u32::try_from(MAX_DEPTH).unwrap_or(u32::MAX);
    CoreError::Limit { what: "types within each other that are compared", limit }
}

/// Whether two types are compatible.
pub(super) fn types(
    (a, a_id): (Side<'_>, TypeId),
    (b, b_id): (Side<'_>, TypeId),
    budget: &mut Budget,
) -> Result<bool, CoreError> {
    if !kinds(a.btf.get(a_id)?.kind(), b.btf.get(b_id)?.kind()) {
        return Ok(false);
    }
    types_within((a, a_id), (b, b_id), MAX_DEPTH, budget)
}

fn types_within(
    (a, mut a_id): (Side<'_>, TypeId),
    (b, mut b_id): (Side<'_>, TypeId),
    level: usize,
    budget: &mut Budget,
) -> Result<bool, CoreError> {
    for _ in 0..MAX_DEPTH {
        budget.spend(1)?;
        let (at, bt) = (a.unqualified(a_id)?, b.unqualified(b_id)?);
        if !kinds(at.kind(), bt.kind()) {
            return Ok(false);
        }
        match at.kind() {
            Kind::Void | Kind::Struct | Kind::Union | Kind::Enum | Kind::Fwd | Kind::Enum64 => {
                return Ok(true);
            }
            Kind::Int => return Ok(whole(at, bt)),
            Kind::Ptr => (a_id, b_id) = (at.referenced(), bt.referenced()),
            Kind::Array => match (at.array(), bt.array()) {
                (Some(a_array), Some(b_array)) => (a_id, b_id) = (a_array.element, b_array.element),
                _ => return Ok(false),
            },
            Kind::FuncProto => {
                if at.len() != bt.len() {
                    return Ok(false);
                }
                for (a_param, b_param) in at.params().zip(bt.params()) {
                    let level = level.checked_sub(1).ok_or_else(too_deep)?;
                    if !types_within((a, a_param.ty), (b, b_param.ty), level, budget)? {
                        return Ok(false);
                    }
                }
                (a_id, b_id) = (at.referenced(), bt.referenced());
            }
            Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag => return Ok(false),
        }
    }
    Err(too_deep())
}
