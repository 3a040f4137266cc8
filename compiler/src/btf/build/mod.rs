//! Makes BTF: records and strings, added one by one, merged where they are the same, and written.
//!
//! What a record refers to is the caller's to get right; nothing is checked but that strings do not
//! outgrow what they came from (short references can name long strings that overlap).

mod dedup;
mod ext;
mod partition;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use super::{Btf, BtfError, Kind, StrOff, Type, TypeId, VarInSection};
use crate::isa::Endianness;

/// Why BTF could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// What was to be added is invalid.
    Btf(BtfError),
    /// A record refers to a type that is not there any more.
    Missing {
        /// The type, by its old id.
        id: TypeId,
    },
    /// Strings or types outgrow their limit.
    TooLarge {
        /// Which of them.
        what: &'static str,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Btf(error) => error.fmt(f),
            Self::Missing { id } => write!(f, "a type refers to type {}, which was left out", id.0),
            Self::TooLarge { what } => write!(f, "too many {what}"),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<BtfError> for BuildError {
    fn from(error: BtfError) -> Self {
        Self::Btf(error)
    }
}

/// What a word of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// A number.
    Value,
    /// Offset of a string.
    Name,
    /// Id of a type.
    Type,
}

/// What a word of a record is, by its index from the record's start.
fn word(kind: Kind, index: usize) -> Word {
    // Index of the record behind the fixed part, and of the word in it.
    let at = |words: usize| index.checked_sub(3).map(|i| i % words);
    let names_type = [Word::Name, Word::Type, Word::Value];
    match (kind, index) {
        (_, 0) => Word::Name,
        (_, 1) => Word::Value,
        (
            Kind::Ptr
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::DeclTag
            | Kind::TypeTag,
            2,
        ) => Word::Type,
        (Kind::Array, 3 | 4) => Word::Type,
        (Kind::Struct | Kind::Union, 3..) => names_type[at(3).unwrap_or(2)],
        (Kind::FuncProto, 3..) => names_type[at(2).unwrap_or(2)],
        (Kind::Enum, 3..) if at(2) == Some(0) => Word::Name,
        (Kind::Enum64, 3..) if at(3) == Some(0) => Word::Name,
        (Kind::Datasec, 3..) if at(3) == Some(0) => Word::Type,
        (
            Kind::Void
            | Kind::Int
            | Kind::Ptr
            | Kind::Array
            | Kind::Struct
            | Kind::Union
            | Kind::Enum
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag
            | Kind::Enum64,
            _,
        ) => Word::Value,
    }
}

/// Where the strings of one BTF went that types are copied from.
#[derive(Clone, Debug, Default)]
pub struct Copied(HashMap<StrOff, StrOff>);

/// BTF in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    endianness: Endianness,
    /// All records, one behind the other.
    words: Vec<u32>,
    /// Where each record begins, by id from 1 on.
    starts: Vec<u32>,
    strings: Vec<u8>,
    known: HashMap<Box<str>, StrOff>,
    /// Most bytes of strings.
    max_strings: usize,
}

impl Builder {
    /// BTF without types, whose strings may have so many bytes.
    #[must_use]
    pub fn new(endianness: Endianness, max_strings: usize) -> Self {
        let known = HashMap::from([("".into(), StrOff(0))]);
        Self { endianness, words: Vec::new(), starts: Vec::new(), strings: vec![0], known, max_strings }
    }

    /// The id that the next type gets.
    #[must_use]
    pub fn next_id(&self) -> TypeId {
        TypeId(u32::try_from(self.starts.len() + 1).unwrap_or(u32::MAX))
    }

    /// Offset of a string; the same string has one offset.
    ///
    /// # Errors
    ///
    /// Where strings outgrow their limit.
    pub fn string(&mut self, text: &str) -> Result<StrOff, BuildError> {
        if let Some(&known) = self.known.get(text) {
            return Ok(known);
        }
        let too_large = BuildError::TooLarge { what: "strings" };
        if text.len() >= self.max_strings.saturating_sub(self.strings.len()) {
            return Err(too_large);
        }
        let off = StrOff(u32::try_from(self.strings.len()).map_err(|_| too_large)?);
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        self.known.insert(text.into(), off);
        Ok(off)
    }

    /// Offset of another BTF's string; `copied` is that BTF's.
    ///
    /// # Errors
    ///
    /// Where there is no such string, or strings outgrow their limit.
    pub fn copy_string(&mut self, btf: &Btf, off: StrOff, copied: &mut Copied) -> Result<StrOff, BuildError> {
        if let Some(&known) = copied.0.get(&off) {
            return Ok(known);
        }
        let new = self.string(btf.str(off)?)?;
        copied.0.insert(off, new);
        Ok(new)
    }

    /// Adds a copy of another BTF's type; what it refers to becomes what `map` says. `copied` is that
    /// BTF's.
    ///
    /// # Errors
    ///
    /// Where the type is invalid, or `map` knows no new id for what it refers to.
    pub fn add(
        &mut self,
        ty: &Type<'_>,
        copied: &mut Copied,
        mut map: impl FnMut(TypeId) -> Option<TypeId>,
    ) -> Result<TypeId, BuildError> {
        let start = self.words.len();
        let id = self.begin()?;
        for index in 0..ty.word_count() {
            let value = ty.record_word(index);
            let value = match word(ty.kind(), index) {
                Word::Value => value,
                Word::Name => self.copy_string(ty.btf(), StrOff(value), copied)?.0,
                Word::Type if value == 0 => 0,
                Word::Type => map(TypeId(value)).ok_or(BuildError::Missing { id: TypeId(value) })?.0,
            };
            self.words.push(value);
        }
        debug_assert!(self.words.len() >= start + 3, "a record has a fixed part");
        Ok(id)
    }

    /// Adds a data section.
    ///
    /// # Errors
    ///
    /// Where it has more variables than a record may have, or strings outgrow their limit.
    pub fn add_datasec(
        &mut self,
        name: &str,
        size: u32,
        vars: &[VarInSection],
    ) -> Result<TypeId, BuildError> {
        let name = self.string(name)?;
        let too_many = BuildError::TooLarge { what: "variables of one section" };
        let vlen = u16::try_from(vars.len()).map_err(|_| too_many)?;
        let id = self.begin()?;
        self.words.extend([name.0, (Kind::Datasec as u32) << 24 | u32::from(vlen), size]);
        self.words.extend(vars.iter().flat_map(|var| [var.var.0, var.offset, var.size]));
        Ok(id)
    }

    fn begin(&mut self) -> Result<TypeId, BuildError> {
        let too_many = BuildError::TooLarge { what: "types" };
        if self.next_id().0 > super::parse::MAX_TYPE {
            return Err(too_many);
        }
        let id = self.next_id();
        self.starts.push(u32::try_from(self.words.len()).map_err(|_| too_many)?);
        Ok(id)
    }

    /// The words of a type's record.
    fn record(&self, id: u32) -> &[u32] {
        let at = id as usize - 1;
        let end = self.starts.get(at + 1).map_or(self.words.len(), |&end| end as usize);
        &self.words[self.starts[at] as usize..end]
    }

    fn kind(record: &[u32]) -> Kind {
        Kind::from_info(record[1]).expect("records are made from valid ones")
    }

    /// Ids of all types.
    fn ids(&self) -> std::ops::Range<u32> {
        1..self.next_id().0
    }

    /// The bytes of a `.BTF` section.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let types_len = u32::try_from(4 * self.words.len()).expect("as large as what it came from");
        let strings_len = u32::try_from(self.strings.len()).expect("offsets of strings have 32 bits");
        let mut out = header(self.endianness);
        words(self.endianness, &mut out, &[24, 0, types_len, types_len, strings_len]);
        words(self.endianness, &mut out, &self.words);
        out.extend(&self.strings);
        out
    }
}

/// Magic number, version and flags.
fn header(endianness: Endianness) -> Vec<u8> {
    match endianness {
        Endianness::Little => vec![0x9f, 0xeb, 1, 0],
        Endianness::Big => vec![0xeb, 0x9f, 1, 0],
    }
}

/// Appends words in a byte order.
fn words(endianness: Endianness, out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| match endianness {
        Endianness::Little => word.to_le_bytes(),
        Endianness::Big => word.to_be_bytes(),
    }));
}
