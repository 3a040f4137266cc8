//! Members and enumerators by name, indexed at the first look.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::rc::Rc;

use super::{Budget, CoreError, MAX_ACCESS, Side, SideIdx};
use crate::btf::{Kind, Type, TypeId, essential_name};

/// A member of a structure or of anonymous ones within it.
#[derive(Clone)]
pub(super) struct Found {
    /// The structure that has it.
    pub(super) owner: TypeId,
    /// Its index there.
    pub(super) index: u32,
    /// Its type.
    pub(super) ty: TypeId,
    /// Its offset from the start of the outermost structure.
    pub(super) bit_offset: u64,
    /// Indices of the anonymous members that lead to it.
    pub(super) through: Rc<[u32]>,
}

type Key = (SideIdx, TypeId);

/// Members of target structures by name.
#[derive(Default)]
pub(super) struct Composites<'a> {
    members: HashMap<Key, HashMap<&'a str, Found>>,
    groups: HashMap<Key, Groups<'a>>,
}

/// Indices of members or enumerators by essential name; anonymous ones under the empty name.
pub(super) type Groups<'a> = Rc<HashMap<&'a str, Vec<u32>>>;

/// Enumerators of targets by name.
#[derive(Default)]
pub(super) struct Enumerators<'a> {
    groups: HashMap<Key, Groups<'a>>,
}

/// A structure whose members are being listed.
struct Open {
    ty: TypeId,
    bit_offset: u64,
    through: Rc<[u32]>,
    next: u32,
}

impl<'a> Composites<'a> {
    /// The first member with a name, anonymous structures and unions searched where they stand.
    pub(super) fn member(
        &mut self,
        (index, side): (SideIdx, Side<'a>),
        ty: Type<'a>,
        name: &str,
        budget: &mut Budget,
    ) -> Result<Option<Found>, CoreError> {
        let members = match self.members.entry((index, ty.id())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(list(side, ty, budget)?),
        };
        Ok(members.get(name).cloned())
    }

    /// The structure's own members by essential name.
    pub(super) fn groups(
        &mut self,
        (index, side): (SideIdx, Side<'a>),
        ty: Type<'a>,
        budget: &mut Budget,
    ) -> Result<Groups<'a>, CoreError> {
        group(&mut self.groups, (index, ty.id()), side, ty.members().map(|m| m.name), budget)
    }
}

impl<'a> Enumerators<'a> {
    /// The enumerators by essential name.
    pub(super) fn groups(
        &mut self,
        (index, side): (SideIdx, Side<'a>),
        ty: Type<'a>,
        budget: &mut Budget,
    ) -> Result<Groups<'a>, CoreError> {
        group(&mut self.groups, (index, ty.id()), side, ty.enumerators().map(|e| e.name), budget)
    }
}

fn group<'a>(
    groups: &mut HashMap<Key, Groups<'a>>,
    key: Key,
    side: Side<'a>,
    names: impl Iterator<Item = crate::btf::StrOff>,
    budget: &mut Budget,
) -> Result<Groups<'a>, CoreError> {
    if let Some(known) = groups.get(&key) {
        return Ok(Rc::clone(known));
    }
    let mut made: HashMap<&str, Vec<u32>> = HashMap::new();
    for (index, name) in (0..).zip(names) {
        let name = side.btf.str(name)?;
        budget.spend_name(name)?;
        made.entry(essential_name(name)).or_default().push(index);
    }
    let made = Rc::new(made);
    groups.insert(key, Rc::clone(&made));
    Ok(made)
}

/// All members, the first of each name.
fn list<'a>(side: Side<'a>, ty: Type<'a>, budget: &mut Budget) -> Result<HashMap<&'a str, Found>, CoreError> {
    let mut members = HashMap::with_capacity(ty.len());
    let none: Rc<[u32]> = Rc::from([]);
    // A structure met again adds no name that is not there already.
    let mut seen = HashSet::from([ty.id()]);
    let mut open = vec![Open { ty: ty.id(), bit_offset: 0, through: none, next: 0 }];
    while let Some(top) = open.last_mut() {
        let Some(member) = side.btf.get(top.ty)?.member(top.next) else {
            open.pop();
            continue;
        };
        let index = top.next;
        top.next += 1;
        let bit_offset = top.bit_offset + u64::from(member.bit_offset);
        let name = side.btf.str(member.name)?;
        budget.spend_name(name)?;
        if !name.is_empty() {
            let (owner, through) = (top.ty, Rc::clone(&top.through));
            members.entry(name).or_insert(Found { owner, index, ty: member.ty, bit_offset, through });
            continue;
        }
        let inner = side.unqualified(member.ty)?;
        if !matches!(inner.kind(), Kind::Struct | Kind::Union) || !seen.insert(inner.id()) {
            continue;
        }
        if top.through.len() + 2 >= MAX_ACCESS {
            let limit = MAX_ACCESS.try_into().unwrap_or(u32::MAX);
            return Err(CoreError::Limit { what: "anonymous structures within each other", limit });
        }
        let through = top.through.iter().copied().chain([index]).collect();
        open.push(Open { ty: inner.id(), bit_offset, through, next: 0 });
    }
    Ok(members)
}
