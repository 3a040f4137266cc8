//! The way to a field: the type at the root, members and elements, the offset.

use std::fmt;

use super::{About, Budget, CoreError, CoreKind, MAX_ACCESS, Side};
use crate::btf::{Kind, StrOff, Type, TypeId};

/// What a relocation is about, to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The type at the root.
    pub root: TypeId,
    /// As C writes it: `struct task_struct.pid`, `enum color::RED`, `pid_t`.
    pub path: Box<str>,
    /// Indices of members and elements: `0:1`; empty where a type itself is meant.
    pub access: Box<str>,
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.access.is_empty() { Ok(()) } else { write!(f, " ({})", self.access) }
    }
}

/// A step: to a named member of a structure, to an element of an array, or to an enumerator.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    /// The structure or enumeration; the element's type where there is no name.
    pub(super) ty: TypeId,
    /// Index of the member, element or enumerator.
    pub(super) index: u32,
    /// Name of the member or enumerator.
    pub(super) name: Option<&'a str>,
}

/// The way to a field or an enumerator, on either side.
///
/// The first step is to an element: `0` where a pointer is not indexed. Anonymous members are no
/// steps; the raw access has them.
pub(super) struct LocalSpec<'a> {
    pub(super) kind: CoreKind,
    pub(super) root: TypeId,
    pub(super) steps: Vec<Step<'a>>,
    pub(super) raw: Vec<u32>,
    pub(super) bit_offset: u64,
}

impl<'a> LocalSpec<'a> {
    /// A way without steps, from a type.
    pub(super) fn from_root(kind: CoreKind, root: TypeId) -> Self {
        Self { kind, root, steps: Vec::new(), raw: Vec::new(), bit_offset: 0 }
    }

    /// Reads an access string.
    pub(super) fn parse(
        side: Side<'a>,
        kind: CoreKind,
        root: Type<'a>,
        access: &str,
        budget: &mut Budget,
    ) -> Result<Self, CoreError> {
        let wrong = |reason| CoreError::Access { access: access.chars().take(80).collect(), reason };
        let mut spec = Self::from_root(kind, root.id());
        if kind.about() == About::Type {
            return if access == "0" { Ok(spec) } else { Err(wrong("is not `0`, as that of a type is")) };
        }
        budget.spend_name(access)?;
        for index in access.split(':') {
            let index = index.parse().ok().filter(|&index: &u32| index <= i32::MAX.cast_unsigned());
            if spec.raw.len() == MAX_ACCESS {
                return Err(wrong("has more than 64 elements"));
            }
            spec.raw.push(index.ok_or_else(|| wrong("is no list of numbers such as `0:1`"))?);
        }
        let ty = side.unqualified(root.id())?;
        let first = spec.raw[0];
        if kind.about() == About::Enumerator {
            let enumerator = ty.enumerator(first).filter(|_| spec.raw.len() == 1);
            let enumerator = enumerator.ok_or_else(|| wrong("is that of no enumerator"))?;
            let name = side.btf.str(enumerator.name)?;
            budget.spend_name(name)?;
            spec.steps.push(Step { ty: ty.id(), index: first, name: Some(name) });
            return Ok(spec);
        }
        spec.steps.push(Step { ty: ty.id(), index: first, name: None });
        spec.advance(u64::from(first), side.size_of(ty.id())?)?;
        let mut at = ty.id();
        for place in 1..spec.raw.len() {
            let index = spec.raw[place];
            let ty = side.unqualified(at)?;
            at = match (ty.member(index), ty.array()) {
                (Some(member), _) => {
                    spec.bit_offset += u64::from(member.bit_offset);
                    let name = side.btf.str(member.name)?;
                    budget.spend_name(name)?;
                    if !name.is_empty() {
                        spec.steps.push(Step { ty: ty.id(), index, name: Some(name) });
                    }
                    member.ty
                }
                (None, Some(array)) => {
                    if index >= array.len && !spec.ends_flexible(side, array.len)? {
                        return Err(wrong("leads beyond an array's end"));
                    }
                    let element = side.unqualified(array.element)?.id();
                    spec.steps.push(Step { ty: element, index, name: None });
                    spec.advance(u64::from(index), side.size_of(element)?)?;
                    element
                }
                (None, None) => return Err(wrong("leads into a type that has no such part")),
            };
        }
        if spec.bit_offset > u64::from(u32::MAX) {
            return Err(CoreError::Offset);
        }
        Ok(spec)
    }

    /// Adds the offset of an element.
    pub(super) fn advance(&mut self, index: u64, size: u32) -> Result<(), CoreError> {
        let bits = index.checked_mul(u64::from(size)).and_then(|bytes| bytes.checked_mul(8));
        let end = bits.and_then(|bits| self.bit_offset.checked_add(bits));
        self.bit_offset = end.filter(|&end| end <= u64::from(u32::MAX)).ok_or(CoreError::Offset)?;
        Ok(())
    }

    /// Whether the last step led to a flexible array: one of length 0 that ends its structure.
    pub(super) fn ends_flexible(&self, side: Side<'a>, len: u32) -> Result<bool, CoreError> {
        let Some(Step { ty, index, name: Some(_) }) = self.steps.last() else { return Ok(false) };
        Ok(len == 0 && *index as usize + 1 == side.btf.get(*ty)?.len())
    }

    /// In words.
    pub(super) fn describe(&self, side: Side<'a>, budget: &mut Budget) -> Spec {
        if budget.text == 0 {
            return Spec { root: self.root, path: format!("type {}", self.root.0).into(), access: "".into() };
        }
        let mut access = String::new();
        if self.kind.about() != About::Type {
            for (place, index) in self.raw.iter().enumerate() {
                access.push_str(if place == 0 { "" } else { ":" });
                access.push_str(&index.to_string());
            }
        }
        let path = self.path(side);
        budget.text = budget.text.saturating_sub(path.len() + access.len());
        Spec { root: self.root, path: path.into(), access: access.into() }
    }

    fn path(&self, side: Side<'a>) -> String {
        let mut path = match side.btf.get(self.root) {
            Ok(ty) => spelled(ty),
            Err(_) => return format!("type {}", self.root.0),
        };
        for (place, step) in self.steps.iter().enumerate() {
            match (self.kind.about(), step.name) {
                (About::Enumerator, Some(name)) => path.extend(["::", name]),
                (_, Some(name)) => path.extend([".", name]),
                (_, None) if place == 0 && step.index == 0 => {}
                (_, None) => path.push_str(&format!("[{}]", step.index)),
            }
        }
        path
    }
}

/// A type as C writes it.
fn spelled(ty: Type<'_>) -> String {
    let keyword = match ty.kind() {
        Kind::Struct => "struct ",
        Kind::Union => "union ",
        Kind::Enum | Kind::Enum64 => "enum ",
        Kind::Fwd if ty.flag() => "union ",
        Kind::Fwd => "struct ",
        Kind::Void
        | Kind::Int
        | Kind::Ptr
        | Kind::Array
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
        | Kind::TypeTag => "",
    };
    let name = if ty.name_off() == StrOff(0) { "<anonymous>" } else { ty.name().unwrap_or("<unnamed>") };
    format!("{keyword}{name}")
}
