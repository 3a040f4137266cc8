//! Why objects could not be linked: what is wrong, and in which files.

use std::fmt;

use crate::btf::BtfError;
use crate::btf::build::BuildError;
use crate::elf::ElfError;

/// Why objects could not be linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkError {
    /// The file at which it was found.
    pub file: String,
    /// The file with which it is at odds.
    pub other: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with objects that are linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There are no objects.
    Nothing,
    /// A file is no object of BPF.
    Elf(ElfError),
    /// BTF is invalid.
    Btf(BtfError),
    /// BTF of all objects together could not be made.
    Build(BuildError),
    /// One object is little-endian, the other big-endian.
    ByteOrder,
    /// Sections of one name differ in what they are.
    SectionsDiffer {
        /// The sections' name.
        section: String,
        /// What differs.
        what: &'static str,
    },
    /// Sections of which there can only be one, such as the licence, differ.
    ContentsDiffer {
        /// The sections' name.
        section: String,
    },
    /// Two objects define one symbol, neither of them weakly.
    Duplicate {
        /// The symbol.
        symbol: String,
    },
    /// A symbol has no type, and without one nobody can say whether objects mean the same by it.
    NoType {
        /// The symbol.
        symbol: String,
    },
    /// Two objects do not mean the same by a symbol.
    Incompatible {
        /// The symbol.
        symbol: String,
        /// How their types differ.
        what: String,
    },
    /// A symbol is in one section here and in another one there.
    WrongSection {
        /// The symbol.
        symbol: String,
        /// Its section in this file.
        found: String,
        /// Its section in the other file.
        expected: String,
    },
    /// A variable of the BTF has no symbol.
    NoSymbol {
        /// The variable.
        variable: String,
    },
    /// A part of a file contradicts another.
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// Something that is not linked.
    Unsupported {
        /// What it is.
        what: String,
    },
    /// The result would be many times larger than what it is made of.
    TooLarge {
        /// What grows.
        what: &'static str,
    },
}

impl Problem {
    /// A problem of a file.
    pub(super) fn of(self, file: &str) -> LinkError {
        LinkError { file: file.to_owned(), other: None, problem: self }
    }

    /// A problem of a file with another one.
    pub(super) fn between(self, file: &str, other: &str) -> LinkError {
        LinkError { file: file.to_owned(), other: Some(other.to_owned()), problem: self }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.other {
            _ if self.file.is_empty() => {}
            Some(other) => write!(f, "`{}` and `{other}`: ", self.file)?,
            None => write!(f, "`{}`: ", self.file)?,
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is nothing to link"),
            Self::Elf(error) => error.fmt(f),
            Self::Btf(error) => write!(f, "BTF: {error}"),
            Self::Build(error) => write!(f, "BTF: {error}"),
            Self::ByteOrder => f.write_str("one is little-endian, the other big-endian"),
            Self::SectionsDiffer { section, what } => {
                write!(f, "the sections `{section}` differ in their {what}")
            }
            Self::ContentsDiffer { section } => write!(f, "the contents of `{section}` must be the same"),
            Self::Duplicate { symbol } => write!(f, "both define `{symbol}`, and neither of them weakly"),
            Self::NoType { symbol } => {
                write!(f, "`{symbol}` has no type in BTF, which is needed to resolve it")
            }
            Self::Incompatible { symbol, what } => write!(f, "`{symbol}` is not the same in both: {what}"),
            Self::WrongSection { symbol, found, expected } => {
                write!(f, "`{symbol}` is in section `{found}` in the first, in `{expected}` in the second")
            }
            Self::NoSymbol { variable } => write!(f, "variable `{variable}` of the BTF has no symbol"),
            Self::Malformed { what } => f.write_str(what),
            Self::Unsupported { what } => write!(f, "{what} is not supported"),
            Self::TooLarge { what } => write!(f, "the {what} of the result would be out of proportion"),
        }
    }
}

impl std::error::Error for LinkError {}
