//! Names of types and enumerators in C, where each may mean one thing only.
//!
//! Tags of structures, unions and enumerations share one space; typedefs and enumerators another.
//! The first that is printed keeps its name, others get `___2`, `___3`. Characters that C does not
//! allow become underscores.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::{Btf, Kind, TypeId};
use super::DumpError;

/// The names that were given.
pub(super) struct Names<'a> {
    tags: Space<'a>,
    idents: Space<'a>,
    /// Numbers of types whose name was taken; others have none.
    suffixes: HashMap<TypeId, u32>,
    /// The first structure or union of a name, whose tag forward declarations mean.
    first: HashMap<(&'a str, bool), TypeId>,
}

/// One space of names.
#[derive(Default)]
struct Space<'a> {
    /// How often a name was given; 0 where it is only known to exist.
    given: HashMap<&'a str, u32>,
}

impl<'a> Space<'a> {
    /// Gives a name: 1 where it is free, else a number with which it is.
    fn give(&mut self, name: &'a str) -> u32 {
        let mut number = *self.given.get(name).unwrap_or(&0) + 1;
        if number > 1 {
            while self.given.contains_key(suffixed(name, number).as_str()) {
                number += 1;
            }
        }
        self.given.insert(name, number);
        number
    }
}

fn suffixed(name: &str, number: u32) -> String {
    format!("{name}___{number}")
}

/// A name that C takes.
pub(super) fn identifier(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = !name.starts_with(|c: char| c.is_ascii_digit());
    if begins && name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let start = if begins { "" } else { "_" };
    let rest = name.chars().map(|c| if is_plain(c) { c } else { '_' });
    Cow::Owned(start.chars().chain(rest).collect())
}

impl<'a> Names<'a> {
    /// Notes all names, where they fit into so much text.
    pub(super) fn new(btf: &'a Btf, mut room: usize) -> Result<Self, DumpError> {
        let mut names = Self {
            tags: Space::default(),
            idents: Space::default(),
            suffixes: HashMap::new(),
            first: HashMap::new(),
        };
        // Of types without a valid name nothing is printed: an error comes first.
        for ty in (1..btf.next_id()).filter_map(|id| btf.get(TypeId(id)).ok()) {
            let Ok(name) = ty.name() else { continue };
            let mut count = |name: &str| {
                room = room.checked_sub(name.len()).ok_or(DumpError::TooLong { id: ty.id() })?;
                Ok::<(), DumpError>(())
            };
            count(name)?;
            match ty.kind() {
                Kind::Struct | Kind::Union => {
                    names.tags.given.insert(name, 0);
                    names.first.entry((name, ty.kind() == Kind::Union)).or_insert(ty.id());
                }
                Kind::Enum | Kind::Enum64 => {
                    names.tags.given.insert(name, 0);
                    for enumerator in ty.enumerators().filter_map(|e| btf.str(e.name).ok()) {
                        count(enumerator)?;
                        names.idents.given.insert(enumerator, 0);
                    }
                }
                Kind::Typedef => {
                    names.idents.given.insert(name, 0);
                }
                Kind::Fwd
                | Kind::Void
                | Kind::Int
                | Kind::Ptr
                | Kind::Array
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Func
                | Kind::FuncProto
                | Kind::Var
                | Kind::Datasec
                | Kind::Float
                | Kind::DeclTag
                | Kind::TypeTag => {}
            }
        }
        Ok(names)
    }

    /// The type whose tag a structure, union, enumeration or forward declaration uses.
    pub(super) fn tagged(&self, btf: &Btf, id: TypeId) -> TypeId {
        let known = btf.get(id).ok().filter(|ty| ty.kind() == Kind::Fwd);
        let first = known.and_then(|ty| self.first.get(&(ty.name().ok()?, ty.flag())));
        first.copied().unwrap_or(id)
    }

    /// The tag of a structure, union or enumeration.
    pub(super) fn tag(&mut self, id: TypeId, name: &'a str) -> String {
        Self::of(&mut self.tags, &mut self.suffixes, id, name)
    }

    /// The name of a typedef.
    pub(super) fn typedef(&mut self, id: TypeId, name: &'a str) -> String {
        Self::of(&mut self.idents, &mut self.suffixes, id, name)
    }

    fn of(space: &mut Space<'a>, suffixes: &mut HashMap<TypeId, u32>, id: TypeId, name: &'a str) -> String {
        let number = *suffixes.entry(id).or_insert_with(|| space.give(name));
        let text = if number > 1 { suffixed(name, number) } else { name.to_owned() };
        identifier(&text).into_owned()
    }

    /// The name of an enumerator: a new one each time, since enumerations without name are printed
    /// wherever they are used.
    pub(super) fn enumerator(&mut self, name: &'a str) -> String {
        let number = self.idents.give(name);
        let text = if number > 1 { suffixed(name, number) } else { name.to_owned() };
        identifier(&text).into_owned()
    }
}
