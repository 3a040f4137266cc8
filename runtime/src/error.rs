//! Errors at this crate's boundary: what was asked for, what was found, and who is at fault.

use std::fmt;

use brolga_abi::ProgramKind;
use brolga_abi::trap::Trap;

use crate::maps::{CreateError, MapError};

/// Why a runtime would not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeError {
    /// All CPU slots have workers.
    NoFreeSlot {
        /// How many slots the runtime has.
        cpus: u32,
    },
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFreeSlot { cpus } => {
                write!(f, "all {cpus} CPU slots of the runtime have workers")
            }
        }
    }
}

impl std::error::Error for RuntimeError {}

/// Why compiled code was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is no descriptor: wrong symbol or wrong file.
    NotADescriptor,
    /// The code was compiled against other tables or structures than this runtime's.
    AbiMismatch {
        /// Hash of this runtime's tables.
        expected: u64,
        /// Hash of the tables that the code was compiled with.
        found: u64,
    },
    /// A count, a name or a number of the descriptor makes no sense.
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// The system's loader refused the shared object.
    Open {
        /// The file.
        path: String,
        /// What the loader said.
        message: String,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADescriptor => f.write_str("no descriptor of a module compiled by Brolga is there"),
            Self::AbiMismatch { expected, found } => write!(
                f,
                "the module was compiled for another version of the runtime: its tables have hash {found:#018x}, \
                 the runtime's {expected:#018x}; compile it again"
            ),
            Self::Malformed { what } => write!(f, "the module's descriptor is malformed: {what}"),
            Self::Open { path, message } => write!(f, "cannot open `{path}`: {message}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Why an instance was not made, or does not have what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceError {
    /// A map cannot be made.
    Map {
        /// The map.
        name: String,
        /// Why.
        error: CreateError,
    },
    /// The source puts a program into a `prog_array` that cannot be there.
    InitialProgram {
        /// The map.
        name: String,
        /// The index.
        index: u32,
        /// The program.
        program: String,
    },
    /// The module could not be loaded.
    Load(LoadError),
    /// A map or a variable does not fit the Rust types by which it is to be reached.
    Type(MapError),
    /// No program has this name.
    NoProgram {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No map has this name.
    NoMap {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No variable of global data has this name.
    NoGlobal {
        /// The name that was asked for.
        name: String,
    },
}

impl fmt::Display for InstanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map { name, error } => write!(f, "map `{name}` cannot be made: {error}"),
            Self::InitialProgram { name, index, program } => write!(
                f,
                "program `{program}` cannot be entry {index} of `{name}`: the index is past the end, or programs of \
                 another kind jump through the map"
            ),
            Self::Load(error) => error.fmt(f),
            Self::Type(error) => error.fmt(f),
            Self::NoProgram { name, known } => {
                write!(f, "no program `{name}` in the module, which has {}", list(known))
            }
            Self::NoMap { name, known } => {
                write!(f, "no map `{name}` in the module, which has {}", list(known))
            }
            Self::NoGlobal { name } => write!(f, "no variable `{name}` in the module's global data"),
        }
    }
}

impl std::error::Error for InstanceError {}

impl From<LoadError> for InstanceError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<MapError> for InstanceError {
    fn from(error: MapError) -> Self {
        Self::Type(error)
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Why a program was not run, or did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// The program is of another kind than what it was to run on.
    WrongKind {
        /// The program's kind.
        program: ProgramKind,
        /// The kind of programs that run on what was given.
        event: ProgramKind,
    },
    /// The worker belongs to another runtime than the instance.
    ForeignWorker,
    /// The buffer of a `raw_memory` program has another length than it was verified for.
    BufferLength {
        /// The length for which the program was verified.
        expected: u64,
        /// The buffer's.
        found: u64,
    },
    /// The program used up its fuel.
    OutOfFuel,
}

impl RunError {
    pub(crate) fn from_trap(trap: u32) -> Self {
        // One trap exists so far; a module of another ABI is refused when it is loaded.
        debug_assert_eq!(trap, Trap::OutOfFuel as u32, "known trap");
        Self::OutOfFuel
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKind { program, event } => write!(
                f,
                "a program of kind `{}` was to run where programs of kind `{}` run",
                program.info().name,
                event.info().name
            ),
            Self::ForeignWorker => {
                f.write_str("the worker belongs to another runtime than the program's instance")
            }
            Self::BufferLength { expected, found } => {
                write!(f, "the program was verified for a buffer of {expected} bytes, not of {found}")
            }
            Self::OutOfFuel => f.write_str("the program used up its fuel"),
        }
    }
}

impl std::error::Error for RunError {}
