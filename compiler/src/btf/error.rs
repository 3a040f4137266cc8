//! Why BTF could not be read.

use std::fmt;

use super::{MAX_DEPTH, StrOff, TypeId};

/// Why BTF could not be read, or a reference in it could not be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BtfError {
    /// The bytes do not begin with BTF's magic number, or its version is not 1.
    NotBtf,
    /// The bytes end before a part does.
    Truncated {
        /// The part.
        what: &'static str,
        /// Where it begins.
        offset: u64,
    },
    /// A value is none of those that are allowed there.
    Invalid {
        /// What it is.
        what: &'static str,
        /// Byte offset of the value or of the record that holds it.
        offset: u64,
        /// Its value.
        found: u32,
    },
    /// A type refers to one that does not exist.
    NoSuchType {
        /// The id that does not exist.
        id: TypeId,
    },
    /// An offset is that of no string.
    NoSuchString {
        /// The offset.
        off: StrOff,
    },
    /// References go in a circle, or too deep.
    TooDeep {
        /// A type on the way.
        id: TypeId,
    },
    /// A type has no size, or one above 4 GiB.
    NoSize {
        /// The type.
        id: TypeId,
    },
}

impl fmt::Display for BtfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBtf => f.write_str("no BTF of version 1"),
            Self::Truncated { what, offset } => {
                write!(f, "{what} at offset {offset:#x} reaches beyond the end")
            }
            Self::Invalid { what, offset, found } => {
                write!(f, "{what} at offset {offset:#x} has the invalid value {found:#x}")
            }
            Self::NoSuchType { id } => write!(f, "there is no type {}", id.0),
            Self::NoSuchString { off } => write!(f, "there is no valid string at offset {:#x}", off.0),
            Self::TooDeep { id } => {
                write!(f, "references at type {} go in a circle, or deeper than {MAX_DEPTH}", id.0)
            }
            Self::NoSize { id } => write!(f, "type {} has no size, or one above 4 GiB", id.0),
        }
    }
}

impl std::error::Error for BtfError {}
