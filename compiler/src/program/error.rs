//! Why an object could not be loaded, and where in it.

use std::fmt;

/// Loading failed: what is wrong, and where.
///
/// Only what makes the object as a whole unusable is an error. What Brolga does not support in one
/// program is a finding of that program instead ([`super::Program::findings`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Where in the object.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// A place in an object; what is not known stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The section's name.
    pub section: Option<String>,
    /// Byte offset in the section, or in the file where no section is named.
    pub offset: Option<u64>,
    /// The symbol's or the type's name.
    pub symbol: Option<String>,
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The bytes do not begin like a 64-bit ELF file.
    NotElf,
    /// An ELF file of another machine or type.
    WrongTarget {
        /// Which header field says so.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The value of a BPF object.
        expected: u64,
    },
    /// A structure of the file contradicts itself.
    Malformed {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An offset, index or size points outside of what it refers to.
    OutOfBounds {
        /// What it is.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The first value that is too large.
        end: u64,
    },
    /// A value is none of those that are allowed there.
    Invalid {
        /// What it is.
        what: &'static str,
        /// Its value.
        found: u64,
        /// Which values are allowed.
        expected: &'static str,
    },
    /// Something that must be there is not.
    Missing {
        /// What it is.
        what: &'static str,
    },
    /// Two things have the same name or place.
    Duplicate {
        /// What they are.
        what: &'static str,
    },
    /// Something is larger than Brolga accepts.
    Limit {
        /// What it is.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// The largest that is accepted.
        limit: u64,
    },
    /// Valid for Linux, but Brolga cannot do it yet.
    Unsupported {
        /// What it is.
        what: String,
    },
}

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The file is not what it should be.
    Input,
    /// The file is larger than a limit.
    Limit,
    /// Brolga does not support it yet.
    Unsupported,
}

impl Problem {
    /// Who has to change something.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotElf
            | Self::WrongTarget { .. }
            | Self::Malformed { .. }
            | Self::OutOfBounds { .. }
            | Self::Invalid { .. }
            | Self::Missing { .. }
            | Self::Duplicate { .. } => Fault::Input,
            Self::Limit { .. } => Fault::Limit,
            Self::Unsupported { .. } => Fault::Unsupported,
        }
    }

    /// As an error without a place.
    #[must_use]
    pub fn somewhere(self) -> LoadError {
        LoadError { place: Place::default(), problem: self }
    }

    /// As an error in a section.
    #[must_use]
    pub fn in_section(self, section: &str) -> LoadError {
        self.somewhere().in_section(section)
    }
}

impl LoadError {
    /// Adds the section.
    #[must_use]
    pub fn in_section(mut self, section: &str) -> Self {
        self.place.section = Some(section.to_owned());
        self
    }

    /// Adds the offset.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.place.offset = Some(offset);
        self
    }

    /// Adds the symbol.
    #[must_use]
    pub fn of(mut self, symbol: &str) -> Self {
        self.place.symbol = Some(symbol.to_owned());
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        self.problem.fmt(f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(section) = &self.section {
            write!(f, "section `{section}`")?;
            separator = ", ";
        }
        if let Some(offset) = self.offset {
            write!(f, "{separator}offset {offset:#x}")?;
            separator = ", ";
        }
        if let Some(symbol) = &self.symbol {
            write!(f, "{separator}`{symbol}`")?;
            separator = ", ";
        }
        if separator.is_empty() { Ok(()) } else { f.write_str(": ") }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str(
                "not a 64-bit ELF file: `clang -O2 -g --target=bpf -c` makes an object of C source",
            ),
            Self::WrongTarget { what, found, expected } => {
                write!(f, "{what} is {found}, a BPF object has {expected} (clang's `--target=bpf`)")
            }
            Self::Malformed { what, reason } => write!(f, "malformed {what}: {reason}"),
            Self::OutOfBounds { what, found, end } => {
                write!(f, "{what} is {found}, out of bounds: must be below {end}")
            }
            Self::Invalid { what, found, expected } => write!(f, "{what} is {found}, expected {expected}"),
            Self::Missing { what } => write!(f, "{what} is missing"),
            Self::Duplicate { what } => write!(f, "more than one {what}"),
            Self::Limit { what, found, limit } => write!(f, "{what}: {found} is above the limit of {limit}"),
            Self::Unsupported { what } => write!(f, "not supported: {what}"),
        }
    }
}

impl std::error::Error for LoadError {}
