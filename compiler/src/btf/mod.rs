//! BTF: the types that objects and kernels carry.
//!
//! [`Btf::parse`] walks the records once, to know where each begins; names and contents of a type
//! are read when asked for. A kernel's ten megabytes so cost one pass, and the first look-up by name
//! a second one over the names.
//!
//! Nothing in the bytes is trusted. Parsing proves that every record lies within the section;
//! references to other types and to names are checked where they are followed, and a chain of
//! references is followed [`MAX_DEPTH`] steps at most, so that a cycle ends in an error.

pub mod build;
pub mod dump;
mod error;
mod ext;
mod index;
mod parse;
pub mod relo;
#[cfg(test)]
mod tests;
mod types;

use std::ffi::CStr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::isa::Endianness;
use index::Index;

pub use error::BtfError;
pub use ext::{CoreRelo, Ext, FuncInfo, LineInfo, SectionRecords};
pub use index::essential_name;
pub use types::{ArrayInfo, Enumerator, IntEncoding, Kind, Linkage, Member, Param, Type, VarInSection};

/// Most references that are followed from one type to the next: Linux's `MAX_RESOLVE_DEPTH`.
pub const MAX_DEPTH: usize = 32;

/// Longest name or line of text that is read. Longer ones are an error, so that reading many
/// names costs no more than this each.
pub const MAX_NAME: usize = 4096;

/// Reads a `u32` at a byte offset; 0 where the bytes end before it.
///
/// Callers have checked the bounds; the 0 only keeps a mistake of theirs from being a panic.
pub(crate) fn u32_at(endianness: Endianness, bytes: &[u8], at: usize) -> u32 {
    let word = at.checked_add(4).and_then(|end| bytes.get(at..end)).and_then(|b| b.try_into().ok());
    match endianness {
        Endianness::Little => u32::from_le_bytes(word.unwrap_or_default()),
        Endianness::Big => u32::from_be_bytes(word.unwrap_or_default()),
    }
}

/// Id of a type. 0 is `void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`.
    pub const VOID: Self = Self(0);
}

/// Offset of a string, counted over the base and the split part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrOff(pub u32);

/// The string at an offset, without its zero.
fn string_at(strings: &[u8], at: u32) -> Option<&[u8]> {
    let tail = strings.get(at as usize..)?;
    let bytes = CStr::from_bytes_until_nul(&tail[..tail.len().min(MAX_NAME + 1)]).ok()?;
    Some(bytes.to_bytes())
}

/// All types of an object, of a kernel, or of a kernel module over its kernel (split BTF).
#[derive(Clone, Debug)]
pub struct Btf {
    endianness: Endianness,
    base: Option<Arc<Self>>,
    /// Id of the first type in `types`.
    first_id: u32,
    /// Offset of the first string in `strings`.
    first_str: u32,
    /// The whole section.
    data: Arc<Vec<u8>>,
    /// Where the records are in `data`.
    types: Range<usize>,
    /// Where the strings are in `data`.
    strings: Range<usize>,
    /// Where each record begins in the types, by id from `first_id`.
    offsets: Box<[u32]>,
    /// Types by name, made at the first look-up.
    index: OnceLock<Index>,
}

impl PartialEq for Btf {
    fn eq(&self, other: &Self) -> bool {
        self.endianness == other.endianness
            && self.types() == other.types()
            && self.strings() == other.strings()
            && self.base == other.base
    }
}

impl Eq for Btf {}

impl Btf {
    /// Byte order of the data.
    #[must_use]
    pub fn endianness(&self) -> Endianness {
        self.endianness
    }

    /// The first id that is not in use: one more than the number of types, `void` not counted.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        self.first_id + u32::try_from(self.offsets.len()).expect("parsing bounds the number of types")
    }

    /// All ids of this part: of a split BTF without those of its base.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TypeId> + use<> {
        (self.first_id..self.next_id()).map(TypeId)
    }

    /// A type.
    ///
    /// # Errors
    ///
    /// Where there is no such type.
    pub fn get(&self, id: TypeId) -> Result<Type<'_>, BtfError> {
        if id == TypeId::VOID {
            return Ok(Type::void(self));
        }
        let Some(index) = id.0.checked_sub(self.first_id) else {
            return self.base.as_ref().ok_or(BtfError::NoSuchType { id }).and_then(|b| b.get(id));
        };
        let at = *self.offsets.get(index as usize).ok_or(BtfError::NoSuchType { id })?;
        parse::record(self, id, self.types(), at as usize)
    }

    fn types(&self) -> &[u8] {
        &self.data[self.types.clone()]
    }

    /// The strings of this part, each with a zero at its end.
    fn strings(&self) -> &[u8] {
        &self.data[self.strings.clone()]
    }

    /// A string; empty at offset 0.
    ///
    /// # Errors
    ///
    /// Where the offset is out of bounds, or the string is longer than [`MAX_NAME`] or no UTF-8.
    pub fn str(&self, off: StrOff) -> Result<&str, BtfError> {
        let Some(at) = off.0.checked_sub(self.first_str) else {
            return self.base.as_ref().ok_or(BtfError::NoSuchString { off }).and_then(|b| b.str(off));
        };
        let bytes = string_at(self.strings(), at).ok_or(BtfError::NoSuchString { off })?;
        std::str::from_utf8(bytes).map_err(|_| BtfError::NoSuchString { off })
    }

    /// The name of the record at an offset; empty where it has none, or no valid one.
    fn name_bytes_at(&self, offset: u32) -> &[u8] {
        let name = u32_at(self.endianness, self.types(), offset as usize);
        match name.checked_sub(self.first_str) {
            Some(at) => string_at(self.strings(), at).unwrap_or_default(),
            None => self.base.as_ref().and_then(|b| b.str(StrOff(name)).ok()).unwrap_or_default().as_bytes(),
        }
    }

    /// Bytes of strings, without those of the base.
    #[must_use]
    pub fn strings_len(&self) -> usize {
        self.strings().len()
    }

    /// Bytes of types and strings, with those of the base.
    fn len_with_base(&self) -> usize {
        self.types.len() + self.strings.len() + self.base.as_ref().map_or(0, |base| base.len_with_base())
    }

    /// The types with a name, in the order of their ids: first of the base, then of this part. Names
    /// that Linux takes for too long, of 512 bytes or more, are not found.
    pub fn by_name<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = TypeId> + 'a> {
        let own = self.candidates(name).filter(move |id| self.name_of(*id) == name);
        self.after_base(own, move |base| base.by_name(name))
    }

    /// The types whose [`essential_name`] is that of `name`, in the order of their ids: first of the
    /// base, then of this part. These are the candidates of a CO-RE relocation.
    pub fn by_essential_name<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = TypeId> + 'a> {
        let name = essential_name(name);
        let own = self.candidates(name).filter(move |id| essential_name(self.name_of(*id)) == name);
        self.after_base(own, move |base| base.by_essential_name(name))
    }

    /// The first type of a kind with a name.
    #[must_use]
    pub fn find(&self, kind: Kind, name: &str) -> Option<TypeId> {
        self.by_name(name).find(|&id| self.get(id).is_ok_and(|t| t.kind() == kind))
    }

    /// Types of this part that may have a name.
    fn candidates(&self, name: &str) -> impl Iterator<Item = TypeId> + use<'_> {
        let index = self.index.get_or_init(|| Index::new(self));
        index.candidates(name).map(|at| TypeId(self.first_id + at))
    }

    fn name_of(&self, id: TypeId) -> &str {
        self.get(id).and_then(|ty| ty.name()).unwrap_or_default()
    }

    fn after_base<'a>(
        &'a self,
        own: impl Iterator<Item = TypeId> + 'a,
        of_base: impl FnOnce(&'a Self) -> Box<dyn Iterator<Item = TypeId> + 'a>,
    ) -> Box<dyn Iterator<Item = TypeId> + 'a> {
        match &self.base {
            Some(base) => Box::new(of_base(base).chain(own)),
            None => Box::new(own),
        }
    }

    /// The type behind typedefs, `const`, `volatile`, `restrict` and type tags.
    ///
    /// # Errors
    ///
    /// Where a reference leads nowhere or in a circle.
    pub fn unqualified(&self, mut id: TypeId) -> Result<Type<'_>, BtfError> {
        for _ in 0..MAX_DEPTH {
            let ty = self.get(id)?;
            match ty.kind() {
                Kind::Typedef | Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag => {
                    id = ty.referenced();
                }
                Kind::Void
                | Kind::Int
                | Kind::Ptr
                | Kind::Array
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Fwd
                | Kind::Func
                | Kind::FuncProto
                | Kind::Var
                | Kind::Datasec
                | Kind::Float
                | Kind::DeclTag
                | Kind::Enum64 => return Ok(ty),
            }
        }
        Err(BtfError::TooDeep { id })
    }

    /// Bytes that a value of the type takes.
    ///
    /// # Errors
    ///
    /// Where the type has no size, is larger than 4 GiB, or leads nowhere or in a circle.
    pub fn size_of(&self, id: TypeId) -> Result<u32, BtfError> {
        let mut count = 1_u32;
        let mut at = id;
        let too_large = BtfError::NoSize { id };
        for _ in 0..MAX_DEPTH {
            let ty = self.unqualified(at)?;
            let size = match ty.kind() {
                Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Float
                | Kind::Datasec => ty.size(),
                Kind::Ptr => 8,
                Kind::Array => {
                    let array = ty.array().ok_or(too_large)?;
                    count = count.checked_mul(array.len).ok_or(too_large)?;
                    at = array.element;
                    continue;
                }
                Kind::Var => {
                    at = ty.referenced();
                    continue;
                }
                Kind::Void
                | Kind::Fwd
                | Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Func
                | Kind::FuncProto
                | Kind::DeclTag
                | Kind::TypeTag => return Err(too_large),
            };
            return count.checked_mul(size).ok_or(too_large);
        }
        Err(BtfError::TooDeep { id })
    }
}
