//! Why a CO-RE relocation could not be resolved.

use std::fmt;

use super::CoreKind;
use crate::btf::BtfError;

/// Why a CO-RE relocation could not be resolved. What the kernel merely lacks is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreError {
    /// A type or a name cannot be read.
    Btf(BtfError),
    /// The record's kind is none of `enum bpf_core_relo_kind`.
    UnknownKind {
        /// Its number.
        found: u32,
    },
    /// The access string is none of its type.
    Access {
        /// The string.
        access: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The relocated type has no name by which the kernel's could be found.
    Anonymous {
        /// What the relocation asks for.
        kind: CoreKind,
    },
    /// An element of an array was asked for what only a field has.
    Element {
        /// What the relocation asks for.
        kind: CoreKind,
    },
    /// A bit field that no load of 8 bytes or less covers.
    BitField,
    /// A field lies farther than 2^32 bits from the start.
    Offset,
    /// Types of the kernel that match equally well disagree.
    Ambiguous {
        /// What the first resolves to.
        first: String,
        /// What another resolves to.
        other: String,
    },
    /// Resolving takes more than Brolga spends on it.
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u32,
    },
}

impl From<BtfError> for CoreError {
    fn from(error: BtfError) -> Self {
        Self::Btf(error)
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Btf(error) => error.fmt(f),
            Self::UnknownKind { found } => write!(f, "there is no relocation kind {found}"),
            Self::Access { access, reason } => write!(f, "the access `{access}` {reason}"),
            Self::Anonymous { kind } => {
                write!(f, "{} needs a named type: the kernel's are found by name", kind.name())
            }
            Self::Element { kind } => write!(f, "{} cannot be asked of an array's element", kind.name()),
            Self::BitField => f.write_str("no load of at most 8 bytes covers the bit field"),
            Self::Offset => f.write_str("the field lies farther than 2^32 bits from the start"),
            Self::Ambiguous { first, other } => {
                write!(f, "ambiguous: several types of the kernel match, with {first} and with {other}")
            }
            Self::Limit { what, limit } => write!(f, "{what}: more than the limit of {limit}"),
        }
    }
}

impl std::error::Error for CoreError {}
