//! CO-RE: what a relocation of an object resolves to in the types of a kernel.
//!
//! Pure: types and records in, values out; `program` patches instructions with them. The rules are
//! those of libbpf 1.7: candidates are the kernel's types of the same name without flavour
//! (`foo___old` is `foo`) and of the same kind, all that match must agree, and a candidate that did
//! not match where others did is not asked again for that type. Records are therefore resolved in
//! the order of the file.
//!
//! Both sides may be hostile. Every walk spends from one budget of [`MAX_STEPS`] per object, look-ups
//! of members and enumerators are indexed, and equal records are resolved once. What could be wrong
//! here is a rule: an offset that is not the kernel's reads another field.

mod compat;
mod error;
mod find;
mod names;
mod similar;
mod spec;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use super::{Btf, BtfError, CoreRelo, Kind, StrOff, Type, TypeId, essential_name};
use names::{Composites, Enumerators};
use spec::LocalSpec;

pub use compat::Compatibility;
pub use error::CoreError;
pub use spec::Spec;

/// Most steps that resolving all relocations of an object may take: types, members and candidates
/// looked at. Real objects take some thousands.
pub const MAX_STEPS: u32 = 1 << 20;

/// What each different record costs, for what is kept of it.
const STEPS_OF_RECORD: usize = 8;

/// Most elements of an access string: libbpf's `BPF_CORE_SPEC_MAX_LEN`.
pub const MAX_ACCESS: usize = 64;

/// Most bytes of text that specs of one object take; later ones are told by their numbers only.
const MAX_TEXT: usize = 4 << 20;

/// What a relocation asks for. The number of a kind, in `enum bpf_core_relo_kind`, is its place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CoreKind {
    /// Byte offset of a field.
    FieldByteOffset,
    /// Bytes of a field.
    FieldByteSize,
    /// Whether a field exists.
    FieldExists,
    /// Whether a field is signed.
    FieldSigned,
    /// By how many bits a bit field's word is shifted left.
    FieldLshiftU64,
    /// By how many bits it is shifted right then.
    FieldRshiftU64,
    /// Id of a type in the object's BTF.
    TypeIdLocal,
    /// Id of a type in the kernel's BTF.
    TypeIdTarget,
    /// Whether a type exists.
    TypeExists,
    /// Bytes of a type.
    TypeSize,
    /// Whether an enumeration has a value.
    EnumvalExists,
    /// A value of an enumeration.
    EnumvalValue,
    /// Whether a type is laid out alike.
    TypeMatches,
}

/// Kinds by number, with libbpf's names.
const KINDS: [(CoreKind, &str); 13] = [
    (CoreKind::FieldByteOffset, "byte_off"),
    (CoreKind::FieldByteSize, "byte_sz"),
    (CoreKind::FieldExists, "field_exists"),
    (CoreKind::FieldSigned, "signed"),
    (CoreKind::FieldLshiftU64, "lshift_u64"),
    (CoreKind::FieldRshiftU64, "rshift_u64"),
    (CoreKind::TypeIdLocal, "local_type_id"),
    (CoreKind::TypeIdTarget, "target_type_id"),
    (CoreKind::TypeExists, "type_exists"),
    (CoreKind::TypeSize, "type_size"),
    (CoreKind::EnumvalExists, "enumval_exists"),
    (CoreKind::EnumvalValue, "enumval_value"),
    (CoreKind::TypeMatches, "type_matches"),
];

const _: () = {
    let mut i = 0;
    while i < KINDS.len() {
        assert!(KINDS[i].0 as usize == i, "kinds must stand at their numbers");
        i += 1;
    }
};

/// What a kind of relocation is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Field,
    Type,
    Enumerator,
}

impl CoreKind {
    /// The kind with a number of `enum bpf_core_relo_kind`.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        KINDS.get(usize::try_from(number).ok()?).map(|&(kind, _)| kind)
    }

    /// libbpf's name, such as `byte_off`.
    #[must_use]
    pub fn name(self) -> &'static str {
        KINDS[self as usize].1
    }

    fn about(self) -> About {
        match self {
            Self::FieldByteOffset
            | Self::FieldByteSize
            | Self::FieldExists
            | Self::FieldSigned
            | Self::FieldLshiftU64
            | Self::FieldRshiftU64 => About::Field,
            Self::TypeIdLocal
            | Self::TypeIdTarget
            | Self::TypeExists
            | Self::TypeSize
            | Self::TypeMatches => About::Type,
            Self::EnumvalExists | Self::EnumvalValue => About::Enumerator,
        }
    }
}

/// Where relocations are resolved.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// In the object's own types, taken for the kernel's; one with a flavour stands for the type
    /// without, and is missing where there is none.
    Own,
    /// In a kernel's types, and in those of its modules for what the kernel has no type of.
    Kernel {
        /// The kernel's types.
        vmlinux: &'a Btf,
        /// Types of modules, split over the kernel's.
        modules: &'a [&'a Btf],
    },
}

/// What a relocation resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// What it asks for.
    pub kind: CoreKind,
    /// What it is about, in the object's types.
    pub local: Spec,
    /// The value by the object's own types, which the compiler wrote into the instruction.
    pub original: u64,
    /// Whether the instruction must hold that value; compilers choose offsets of bit fields freely.
    pub validate: bool,
    /// The value by the kernel's types.
    pub outcome: Outcome,
    /// How the size of an access changes.
    pub resize: Option<Resize>,
    /// What it is about in the kernel's types, where they have it.
    pub target: Option<TargetSpec>,
}

/// A resolved relocation, shared by equal records.
pub type Resolved = Result<Arc<Resolution>, Arc<CoreError>>;

/// The value that a relocation resolves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is this.
    Value(u64),
    /// There is none: the instruction must not be executed.
    Missing(Missing),
}

/// What the kernel's types lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The type.
    Type,
    /// The field, or the enumeration's value, with a type that fits.
    Part,
}

/// A change of the size of a loaded or stored field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Bytes in the object's types; 0 for bit fields.
    pub from: u32,
    /// Bytes in the kernel's types; 0 for bit fields.
    pub to: u32,
    /// Whether the value stays the same: only pointers and unsigned integers are extended with zeros.
    pub safe: bool,
}

/// What a relocation is about, in the kernel's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// The module that has it, by index; `None` for the kernel itself or the object's own types.
    pub module: Option<usize>,
    /// What it is.
    pub spec: Spec,
}

/// The types of one object, kernel or module.
#[derive(Clone, Copy)]
struct Side<'a> {
    btf: &'a Btf,
    /// Bytes of a pointer.
    pointer: u32,
}

/// Index of a target in [`Relocator::sides`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SideIdx(usize);

/// A type that may be what a local one stands for.
#[derive(Clone, Copy)]
struct Candidate {
    side: SideIdx,
    id: TypeId,
}

/// Resolves the relocations of one object.
pub struct Relocator<'a> {
    local: Side<'a>,
    own: bool,
    /// The kernel, then its modules; the object itself where its own types are the target.
    sides: Vec<Side<'a>>,
    candidates: HashMap<TypeId, Vec<Candidate>>,
    resolved: HashMap<(TypeId, StrOff, u32), Resolved>,
    composites: Composites<'a>,
    enumerators: Enumerators<'a>,
    budget: Budget,
}

/// What walks may still spend.
#[derive(Debug)]
struct Budget {
    steps: u32,
    text: usize,
}

impl Budget {
    fn spend(&mut self, steps: usize) -> Result<(), CoreError> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let limit = CoreError::Limit { what: "types and members looked at for CO-RE", limit: MAX_STEPS };
        self.steps = self.steps.checked_sub(steps).ok_or(limit)?;
        Ok(())
    }

    /// Charges for a look at a type and at its name, which may be long.
    fn spend_name(&mut self, name: &str) -> Result<(), CoreError> {
        self.spend(1 + name.len() / 64)
    }
}

impl<'a> Relocator<'a> {
    /// A resolver of the relocations of an object.
    #[must_use]
    pub fn new(local: &'a Btf, targets: Targets<'a>) -> Self {
        // Objects are 64-bit whatever their types say; kernels are asked.
        let local = Side { btf: local, pointer: 8 };
        let (own, sides) = match targets {
            Targets::Own => (true, vec![local]),
            Targets::Kernel { vmlinux, modules } => {
                let pointer = pointer_size(vmlinux);
                let all = std::iter::once(vmlinux).chain(modules.iter().copied());
                (false, all.map(|btf| Side { btf, pointer }).collect())
            }
        };
        Self {
            local,
            own,
            sides,
            candidates: HashMap::new(),
            resolved: HashMap::new(),
            composites: Composites::default(),
            enumerators: Enumerators::default(),
            budget: Budget { steps: MAX_STEPS, text: MAX_TEXT },
        }
    }

    /// Resolves a relocation. The order of the calls must be that of the object's records.
    ///
    /// # Errors
    ///
    /// Where the record is malformed, candidates disagree, or a limit is reached; libbpf refuses such
    /// objects.
    pub fn resolve(&mut self, relo: &CoreRelo) -> Resolved {
        let key = (relo.ty, relo.access, relo.kind);
        if let Some(known) = self.resolved.get(&key) {
            return known.clone();
        }
        let resolution = self.resolve_first(relo).map(Arc::new).map_err(Arc::new);
        self.resolved.insert(key, resolution.clone());
        resolution
    }

    fn resolve_first(&mut self, relo: &CoreRelo) -> Result<Resolution, CoreError> {
        self.budget.spend(STEPS_OF_RECORD)?;
        let kind = CoreKind::from_number(relo.kind).ok_or(CoreError::UnknownKind { found: relo.kind })?;
        let root = self.local.btf.get(relo.ty)?;
        let local = {
            let access = self.local.btf.str(relo.access)?;
            LocalSpec::parse(self.local, kind, root, access, &mut self.budget)?
        };
        let text = local.describe(self.local, &mut self.budget);
        if kind == CoreKind::TypeIdLocal {
            let value = u64::from(relo.ty.0);
            return Ok(Resolution {
                kind,
                local: text,
                original: value,
                validate: false,
                outcome: Outcome::Value(value),
                resize: None,
                target: None,
            });
        }
        if root.name()?.is_empty() {
            return Err(CoreError::Anonymous { kind });
        }
        let original = value::of(self.local, kind, &local)?;
        let candidates = self.candidates(root)?;
        let found = self.agree(&local, &candidates)?;
        let missing = if candidates.is_empty() { Missing::Type } else { Missing::Part };
        let (outcome, resize, target) = match found {
            Some((value, spec, side)) => {
                let resize = original.resize(self.local, &value, self.sides[side.0])?;
                let module = (!self.own).then(|| side.0.checked_sub(1)).flatten();
                let spec = spec.describe(self.sides[side.0], &mut self.budget);
                (Outcome::Value(value.value), resize, Some(TargetSpec { module, spec }))
            }
            None => (value::of_nothing(kind).map_or(Outcome::Missing(missing), Outcome::Value), None, None),
        };
        Ok(Resolution {
            kind,
            local: text,
            original: original.value,
            validate: original.validate,
            outcome,
            resize,
            target,
        })
    }

    /// The types that a local one may stand for, in the order of their ids.
    fn candidates(&mut self, root: Type<'a>) -> Result<Vec<Candidate>, CoreError> {
        if let Some(known) = self.candidates.get(&root.id()) {
            self.budget.spend(known.len())?;
            return Ok(known.clone());
        }
        let name = root.name()?;
        let essential = essential_name(name);
        let mut found = Vec::new();
        if self.own && essential == name {
            found.push(Candidate { side: SideIdx(0), id: root.id() });
        } else {
            for (index, side) in self.sides.iter().enumerate() {
                for id in side.btf.by_essential_name(name) {
                    self.budget.spend(1)?;
                    let ty = side.btf.get(id)?;
                    // The object's own flavours describe other kernels.
                    let meant = !self.own || ty.name()? == essential;
                    if meant && compat::kinds(root.kind(), ty.kind()) {
                        found.push(Candidate { side: SideIdx(index), id });
                    }
                }
                // Modules are asked only where the kernel has no such type.
                if index == 0 && !found.is_empty() {
                    break;
                }
            }
        }
        self.candidates.insert(root.id(), found.clone());
        Ok(found)
    }
}

/// Bytes of a pointer, by the size of `long` as libbpf finds it.
fn pointer_size(btf: &Btf) -> u32 {
    const LONG: [&str; 11] = [
        "long",
        "long int",
        "int long",
        "unsigned long",
        "long unsigned",
        "unsigned long int",
        "unsigned int long",
        "long unsigned int",
        "long int unsigned",
        "int unsigned long",
        "int long unsigned",
    ];
    let longs = LONG.iter().flat_map(|name| btf.by_name(name)).filter_map(|id| btf.get(id).ok());
    let longs = longs.filter(|ty| ty.kind() == Kind::Int && matches!(ty.size(), 4 | 8));
    longs.min_by_key(Type::id).map_or(8, |ty| ty.size())
}

impl<'a> Side<'a> {
    /// The type behind qualifiers and typedefs.
    fn unqualified(self, id: TypeId) -> Result<Type<'a>, CoreError> {
        Ok(self.btf.unqualified(id)?)
    }

    /// Bytes of a type, pointers as wide as this side has them.
    fn size_of(self, id: TypeId) -> Result<u32, CoreError> {
        let no_size = CoreError::Btf(BtfError::NoSize { id });
        let mut count = 1_u32;
        let mut at = id;
        for _ in 0..super::MAX_DEPTH {
            let ty = self.btf.get(at)?;
            let size = match ty.kind() {
                Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Float
                | Kind::Datasec => ty.size(),
                Kind::Ptr => self.pointer,
                Kind::Array => {
                    let array = ty.array().ok_or_else(|| no_size.clone())?;
                    count = count.checked_mul(array.len).ok_or_else(|| no_size.clone())?;
                    at = array.element;
                    continue;
                }
                Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Var
                | Kind::DeclTag
                | Kind::TypeTag => {
                    at = ty.referenced();
                    continue;
                }
                Kind::Void | Kind::Fwd | Kind::Func | Kind::FuncProto => return Err(no_size),
            };
            return count.checked_mul(size).ok_or(no_size);
        }
        Err(CoreError::Btf(BtfError::TooDeep { id }))
    }
}
