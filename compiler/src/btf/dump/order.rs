//! The order in which types are printed: what a type needs comes before it.
//!
//! C wants a type *complete* before it is a member or an element, and *declared* before anything
//! points to it; typedefs and enumerations cannot be declared without being defined. The walk keeps
//! its own stack, so that no chain of types is too long for it.

use super::super::{Btf, BtfError, Kind, Type, TypeId};
use super::{Dump, DumpError, MAX_NESTING, decl};

/// How far each type is.
pub(super) struct Order {
    states: Vec<State>,
    /// Types that others refer to, but for variables and functions.
    referenced: Vec<bool>,
    /// For each type the last definition that noted to need it, complete and declared.
    noted: Vec<[u32; 2]>,
    /// Number of the definition whose needs are collected.
    collecting: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unseen,
    /// Its tag was declared.
    Declared,
    /// What it needs is being printed.
    Begun,
    /// As [`State::Begun`], and its tag was declared.
    BegunDeclared,
    /// It was printed.
    Defined,
}

/// What a definition needs.
#[derive(Clone, Copy)]
enum Need {
    Complete(TypeId),
    Declared(TypeId),
}

/// A definition that waits for what it needs.
struct Waiting {
    id: TypeId,
    needs: Vec<Need>,
    next: usize,
}

impl Order {
    pub(super) fn new(btf: &Btf) -> Self {
        let types = btf.next_id() as usize;
        let mut referenced = vec![false; types];
        let mut mark = |id: TypeId| {
            if let Some(known) = referenced.get_mut(id.0 as usize) {
                *known = true;
            }
        };
        for ty in btf.ids().filter_map(|id| btf.get(id).ok()) {
            match ty.kind() {
                Kind::Struct | Kind::Union => ty.members().for_each(|member| mark(member.ty)),
                Kind::Ptr | Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag => {
                    mark(ty.referenced())
                }
                Kind::FuncProto => {
                    mark(ty.referenced());
                    ty.params().for_each(|param| mark(param.ty));
                }
                Kind::Array => ty.array().iter().for_each(|array| mark(array.element)),
                Kind::Void
                | Kind::Int
                | Kind::Enum
                | Kind::Fwd
                | Kind::Func
                | Kind::Var
                | Kind::Datasec
                | Kind::Float
                | Kind::DeclTag
                | Kind::Enum64 => {}
            }
        }
        Self { states: vec![State::Unseen; types], referenced, noted: vec![[0; 2]; types], collecting: 0 }
    }

    pub(super) fn is_referenced(&self, id: TypeId) -> bool {
        self.referenced.get(id.0 as usize).copied().unwrap_or_default()
    }

    fn state(&mut self, id: TypeId) -> Result<&mut State, DumpError> {
        self.states.get_mut(id.0 as usize).ok_or(DumpError::Btf(BtfError::NoSuchType { id }))
    }
}

impl Dump<'_> {
    /// Prints a type that has a definition of its own, after all that it needs.
    pub(super) fn require(&mut self, id: TypeId) -> Result<(), DumpError> {
        let mut waiting = Vec::new();
        self.begin(id, &mut waiting)?;
        self.work_off(&mut waiting)
    }

    /// Prints what a type without a definition of its own needs.
    pub(super) fn require_parts(&mut self, id: TypeId) -> Result<(), DumpError> {
        self.order.collecting += 1;
        let mut needs = Vec::new();
        self.needs_of_use(id, false, 0, &mut needs)?;
        for need in needs {
            match need {
                Need::Complete(id) => self.require(id)?,
                Need::Declared(id) => self.declare(id)?,
            }
        }
        Ok(())
    }

    fn work_off(&mut self, waiting: &mut Vec<Waiting>) -> Result<(), DumpError> {
        while let Some(top) = waiting.last_mut() {
            if let Some(need) = top.needs.get(top.next).copied() {
                top.next += 1;
                if let Need::Complete(id) = need {
                    self.begin(id, waiting)?;
                }
                continue;
            }
            // Everything is there but the declarations.
            let Some(Waiting { id, needs, .. }) = waiting.pop() else { break };
            for need in needs {
                if let Need::Declared(other) = need
                    && self.names.tagged(self.btf, other) != id
                {
                    self.declare(other)?;
                }
            }
            self.at = id;
            self.define(id)?;
            *self.order.state(id)? = State::Defined;
        }
        Ok(())
    }

    fn begin(&mut self, id: TypeId, waiting: &mut Vec<Waiting>) -> Result<(), DumpError> {
        let state = self.order.state(id)?;
        *state = match *state {
            State::Defined => return Ok(()),
            State::Begun | State::BegunDeclared => return Err(DumpError::Cycle { id }),
            State::Unseen => State::Begun,
            State::Declared => State::BegunDeclared,
        };
        self.at = id;
        self.order.collecting += 1;
        let mut needs = Vec::new();
        self.needs_of_definition(id, 0, &mut needs)?;
        waiting.push(Waiting { id, needs, next: 0 });
        Ok(())
    }

    /// Declares the tag of a structure, union, enumeration or forward declaration.
    pub(super) fn declare(&mut self, id: TypeId) -> Result<(), DumpError> {
        let id = self.names.tagged(self.btf, id);
        let state = self.order.state(id)?;
        *state = match *state {
            State::Unseen => State::Declared,
            State::Begun => State::BegunDeclared,
            State::Declared | State::BegunDeclared | State::Defined => return Ok(()),
        };
        let text = self.tag(id)?;
        self.count(&text)?;
        self.out.push_str(&text);
        self.out.push_str(";\n\n");
        Ok(())
    }

    fn needs_of_definition(
        &mut self,
        id: TypeId,
        depth: usize,
        needs: &mut Vec<Need>,
    ) -> Result<(), DumpError> {
        let ty = self.btf.get(id)?;
        match ty.kind() {
            Kind::Typedef => self.needs_of_use(ty.referenced(), false, depth, needs),
            Kind::Struct | Kind::Union => {
                if depth > MAX_NESTING {
                    return Err(BtfError::TooDeep { id }.into());
                }
                for member in ty.members() {
                    self.needs_of_use(member.ty, true, depth + 1, needs)?;
                }
                Ok(())
            }
            Kind::Void
            | Kind::Int
            | Kind::Ptr
            | Kind::Array
            | Kind::Enum
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
            | Kind::TypeTag
            | Kind::Enum64 => Ok(()),
        }
    }

    /// What a use of a type needs; `complete` where its size matters.
    fn needs_of_use(
        &mut self,
        mut id: TypeId,
        mut complete: bool,
        depth: usize,
        needs: &mut Vec<Need>,
    ) -> Result<(), DumpError> {
        for hop in 0..=MAX_NESTING {
            self.step()?;
            if depth + hop > MAX_NESTING {
                break;
            }
            let ty = self.btf.get(id)?;
            match ty.kind() {
                Kind::Ptr => {
                    complete = false;
                    id = ty.referenced();
                }
                Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag => id = ty.referenced(),
                Kind::Array => {
                    // Its elements must be complete even where it is only pointed to.
                    complete = true;
                    id = ty.array().ok_or(BtfError::NoSuchType { id })?.element;
                }
                Kind::FuncProto => {
                    self.needs_of_use(ty.referenced(), false, depth + hop + 1, needs)?;
                    for param in ty.params().filter(|param| param.ty != TypeId::VOID) {
                        self.needs_of_use(param.ty, false, depth + hop + 1, needs)?;
                    }
                    return Ok(());
                }
                Kind::Typedef if ty.name()? == decl::VA_LIST => id = ty.referenced(),
                Kind::Typedef => {
                    self.need(Need::Complete(id), needs)?;
                    return if complete { self.needs_behind_typedef(ty, needs) } else { Ok(()) };
                }
                Kind::Struct | Kind::Union if ty.name()?.is_empty() => {
                    return self.needs_of_definition(id, depth + hop + 1, needs);
                }
                Kind::Struct | Kind::Union => {
                    let need = if complete { Need::Complete(id) } else { Need::Declared(id) };
                    return self.need(need, needs);
                }
                Kind::Enum | Kind::Enum64 if ty.name()?.is_empty() => return Ok(()),
                Kind::Enum | Kind::Enum64 => return self.need(Need::Complete(id), needs),
                Kind::Fwd => return self.need(Need::Declared(id), needs),
                Kind::Int if decl::builtin(ty.name()?) => return Ok(()),
                Kind::Int => return self.need(Need::Complete(id), needs),
                Kind::Void | Kind::Float | Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag => {
                    return Ok(());
                }
            }
        }
        Err(BtfError::TooDeep { id }.into())
    }

    /// A typedef's size is known once that of what it stands for is.
    fn needs_behind_typedef(&mut self, ty: Type<'_>, needs: &mut Vec<Need>) -> Result<(), DumpError> {
        let mut id = ty.referenced();
        for _ in 0..=MAX_NESTING {
            self.step()?;
            let ty = self.btf.get(id)?;
            match ty.kind() {
                Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag | Kind::Typedef => {
                    id = ty.referenced();
                }
                Kind::Array => id = ty.array().ok_or(BtfError::NoSuchType { id })?.element,
                Kind::Struct | Kind::Union if !ty.name()?.is_empty() => {
                    return self.need(Need::Complete(id), needs);
                }
                Kind::Struct
                | Kind::Union
                | Kind::Void
                | Kind::Int
                | Kind::Ptr
                | Kind::Enum
                | Kind::Fwd
                | Kind::Func
                | Kind::FuncProto
                | Kind::Var
                | Kind::Datasec
                | Kind::Float
                | Kind::DeclTag
                | Kind::Enum64 => return Ok(()),
            }
        }
        Err(BtfError::TooDeep { id }.into())
    }

    /// Notes a need that is neither met nor noted yet.
    fn need(&mut self, need: Need, needs: &mut Vec<Need>) -> Result<(), DumpError> {
        let (id, how) = match need {
            Need::Complete(id) => (id, 0),
            Need::Declared(id) => (self.names.tagged(self.btf, id), 1),
        };
        let state = *self.order.state(id)?;
        let met = match need {
            Need::Complete(_) => state == State::Defined,
            Need::Declared(_) => !matches!(state, State::Unseen | State::Begun),
        };
        let noted = &mut self.order.noted[id.0 as usize][how];
        if !met && std::mem::replace(noted, self.order.collecting) != self.order.collecting {
            needs.push(need);
        }
        Ok(())
    }
}
