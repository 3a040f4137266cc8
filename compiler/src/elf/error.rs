//! Why an ELF file could not be read.

use std::fmt;

/// Why an ELF file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// The bytes do not begin like a 64-bit ELF file.
    NotElf,
    /// An ELF file of another machine or type.
    WrongTarget {
        /// Which header field says so.
        what: &'static str,
        /// Its value.
        found: u16,
        /// The value of a BPF object.
        expected: u16,
    },
    /// A part of the file contradicts itself or is out of bounds.
    Malformed {
        /// The part.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ElfError {
    pub(super) fn malformed(what: &'static str, error: &object::read::Error) -> Self {
        Self::Malformed { what, reason: error.to_string() }
    }
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not a 64-bit ELF file"),
            Self::WrongTarget { what, found, expected } => {
                write!(f, "{what} is {found}, a BPF object has {expected}")
            }
            Self::Malformed { what, reason } => write!(f, "malformed {what}: {reason}"),
        }
    }
}

impl std::error::Error for ElfError {}
