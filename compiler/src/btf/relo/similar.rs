//! Whether a kernel's type is laid out like a local one: `TYPE_MATCHES`.
//!
//! Members of the local structure must be in the kernel's under the same name with a type that
//! matches again; behind a pointer, names and kinds are enough.

use super::compat::{is_enum, too_deep};
use super::names::{Composites, Enumerators};
use super::{Budget, CoreError, Side, SideIdx};
use crate::btf::{Kind, MAX_DEPTH, Type, TypeId, essential_name};

/// What a comparison needs beside the types.
pub(super) struct Matcher<'m, 'a> {
    pub(super) local: Side<'a>,
    pub(super) target: (SideIdx, Side<'a>),
    pub(super) composites: &'m mut Composites<'a>,
    pub(super) enumerators: &'m mut Enumerators<'a>,
    pub(super) budget: &'m mut Budget,
}

impl<'a> Matcher<'_, 'a> {
    /// Whether two types match. Names of roots were compared before.
    pub(super) fn types(&mut self, local: TypeId, target: TypeId) -> Result<bool, CoreError> {
        self.within(local, target, false, MAX_DEPTH)
    }

    fn within(
        &mut self,
        mut local: TypeId,
        mut target: TypeId,
        mut behind_pointer: bool,
        level: usize,
    ) -> Result<bool, CoreError> {
        let level = level.checked_sub(1).ok_or_else(too_deep)?;
        for _ in 0..MAX_DEPTH {
            let (a, b) = (self.local.unqualified(local)?, self.target.1.unqualified(target)?);
            let (a_name, b_name) = (a.name()?, b.name()?);
            self.budget.spend_name(a_name)?;
            if essential_name(a_name) != essential_name(b_name) {
                return Ok(false);
            }
            let same = a.kind() == b.kind();
            match a.kind() {
                Kind::Void => return Ok(same),
                Kind::Fwd => return Ok(forward(a, b, behind_pointer)),
                Kind::Enum | Kind::Enum64 => return self.enums(a, b),
                Kind::Struct | Kind::Union if behind_pointer => {
                    let declares = b.kind() == Kind::Fwd && (a.kind() == Kind::Union) == b.flag();
                    return Ok(same || declares);
                }
                Kind::Struct | Kind::Union => return Ok(same && self.composites(a, b, level)?),
                Kind::Int => {
                    let signed = |ty: Type<'_>| ty.int().is_some_and(|int| int.signed);
                    return Ok(same && a.size() == b.size() && signed(a) == signed(b));
                }
                Kind::Ptr if same => {
                    behind_pointer = true;
                    (local, target) = (a.referenced(), b.referenced());
                }
                Kind::Array if same => match (a.array(), b.array()) {
                    (Some(a), Some(b)) if a.len == b.len => (local, target) = (a.element, b.element),
                    _ => return Ok(false),
                },
                Kind::FuncProto if same => {
                    if a.len() != b.len() {
                        return Ok(false);
                    }
                    for (a_param, b_param) in a.params().zip(b.params()) {
                        if !self.within(a_param.ty, b_param.ty, behind_pointer, level)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = (a.referenced(), b.referenced());
                }
                Kind::Ptr
                | Kind::Array
                | Kind::FuncProto
                | Kind::Typedef
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

    /// Enumerations of one size, where the kernel's has every name.
    fn enums(&mut self, a: Type<'a>, b: Type<'a>) -> Result<bool, CoreError> {
        if !is_enum(b.kind()) || a.size() != b.size() || a.len() > b.len() {
            return Ok(false);
        }
        let names = self.enumerators.groups(self.target, b, self.budget)?;
        for enumerator in a.enumerators() {
            let name = self.local.btf.str(enumerator.name)?;
            self.budget.spend_name(name)?;
            if !names.contains_key(essential_name(name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Structures or unions, where the kernel's has every member.
    fn composites(&mut self, a: Type<'a>, b: Type<'a>, level: usize) -> Result<bool, CoreError> {
        if a.len() > b.len() {
            return Ok(false);
        }
        let names = self.composites.groups(self.target, b, self.budget)?;
        for member in a.members() {
            let name = self.local.btf.str(member.name)?;
            self.budget.spend_name(name)?;
            let mut matched = false;
            for &index in names.get(essential_name(name)).map_or(&[][..], Vec::as_slice) {
                let Some(other) = b.member(index) else { continue };
                if self.within(member.ty, other.ty, false, level)? {
                    matched = true;
                    break;
                }
            }
            if !matched {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A forward declaration, and what it declares where a pointer leads there.
fn forward(a: Type<'_>, b: Type<'_>, behind_pointer: bool) -> bool {
    let of_union = a.flag();
    match b.kind() {
        Kind::Fwd => of_union == b.flag(),
        Kind::Struct => behind_pointer && !of_union,
        Kind::Union => behind_pointer && of_union,
        Kind::Void
        | Kind::Int
        | Kind::Ptr
        | Kind::Array
        | Kind::Enum
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::FuncProto
        | Kind::Var
        | Kind::Datasec
        | Kind::Float
        | Kind::DeclTag
        | Kind::TypeTag
        | Kind::Enum64 => false,
    }
}
