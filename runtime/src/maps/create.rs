//! Creation of maps: which definitions the kernel accepts, and how much memory they take.
//!
//! A definition that Linux would refuse is refused here, with the reason in place of `EINVAL`. Limits that Linux
//! sets by its allocators (values of per-CPU maps, elements of hash maps) are kept, so that what runs
//! here loads there.

use std::fmt;
use std::sync::Arc;

use brolga_abi::MapKind;
use brolga_abi::maps::{
    F_MMAPABLE, F_NO_PREALLOC, F_NUMA_NODE, F_RDONLY, F_RDONLY_PROG, F_WRONLY, F_WRONLY_PROG,
};

use super::{Array, Hash, Map, PerCpuArray, PerCpuHash, ProgArray};
use crate::module::MapSpec;
use crate::runtime::Shared;

/// The kernel's `PCPU_MIN_UNIT_SIZE`: the most that one CPU's value may take.
const PERCPU_VALUE_LIMIT: u32 = 32 << 10;
/// The kernel's `KMALLOC_MAX_SIZE`, less the head of an element: the most that key and value of a hash map take.
const HASH_ELEMENT_LIMIT: u64 = (4 << 20) - 48;
/// `BPF_F_ZERO_SEED`.
const F_ZERO_SEED: u32 = 1 << 6;
/// The most buckets that a hash map may have.
const HASH_ENTRIES_LIMIT: u32 = 1 << 30;

/// Why a map was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// Linux refuses such a definition (`EINVAL`).
    Invalid {
        /// What is wrong with it.
        what: &'static str,
        /// The number that was found.
        found: u64,
    },
    /// Linux refuses a size as too large (`E2BIG`).
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The largest that is allowed.
        limit: u64,
        /// What was found.
        found: u64,
    },
    /// The runtime's limit of memory for maps ([`crate::RuntimeOptions::map_memory`]), or the
    /// system's memory, does not suffice.
    NoMemory {
        /// Bytes that the map takes.
        bytes: u64,
    },
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { what, found } => write!(f, "{what} (found {found})"),
            Self::TooLarge { what, limit, found } => {
                write!(f, "{what} is at most {limit} (found {found})")
            }
            Self::NoMemory { bytes } => {
                write!(f, "its {bytes} bytes exceed the memory that the runtime has left for maps")
            }
        }
    }
}

impl std::error::Error for CreateError {}

/// Makes a map, or says why not. `kind` is the definition's.
pub(crate) fn create(spec: &MapSpec, kind: MapKind, shared: &Arc<Shared>) -> Result<Map, CreateError> {
    check(spec, kind)?;
    Ok(match kind {
        MapKind::Array => Map::Array(Array::new(spec, shared)?),
        MapKind::PerCpuArray => Map::PerCpuArray(PerCpuArray::new(spec, shared)?),
        MapKind::Hash => Map::Hash(Hash::new(spec, shared)?),
        MapKind::PerCpuHash => Map::PerCpuHash(PerCpuHash::new(spec, shared)?),
        MapKind::ProgArray => Map::ProgArray(ProgArray::new(spec, shared)?),
    })
}

fn check(spec: &MapSpec, kind: MapKind) -> Result<(), CreateError> {
    let &MapSpec { key_size, value_size, max_entries, flags, .. } = spec;
    let access = F_RDONLY | F_WRONLY | F_RDONLY_PROG | F_WRONLY_PROG;
    let allowed = match kind {
        MapKind::Array => access | F_NUMA_NODE | F_MMAPABLE,
        MapKind::PerCpuArray | MapKind::ProgArray => access,
        MapKind::Hash => access | F_NUMA_NODE | F_NO_PREALLOC | F_ZERO_SEED,
        MapKind::PerCpuHash => access | F_NO_PREALLOC | F_ZERO_SEED,
    };
    require(flags & !allowed == 0, "flags are not allowed for this kind of map", flags & !allowed)?;
    for (read, write) in [(F_RDONLY, F_WRONLY), (F_RDONLY_PROG, F_WRONLY_PROG)] {
        require(
            flags & read == 0 || flags & write == 0,
            "a map is not both read-only and write-only",
            flags,
        )?;
    }
    require(max_entries != 0, "max_entries must not be zero", max_entries)?;
    require(value_size != 0, "the value size must not be zero", value_size)?;
    match kind {
        MapKind::Array | MapKind::PerCpuArray | MapKind::ProgArray => {
            require(key_size == 4, "keys of array maps have 4 bytes", key_size)?;
            limit("the value size", i32::MAX as u64, value_size.into())?;
        }
        MapKind::Hash | MapKind::PerCpuHash => {
            require(key_size != 0, "the key size must not be zero", key_size)?;
            limit("key and value size", HASH_ELEMENT_LIMIT, u64::from(key_size) + u64::from(value_size))?;
            limit("max_entries", HASH_ENTRIES_LIMIT.into(), max_entries.into())?;
        }
    }
    match kind {
        MapKind::PerCpuArray | MapKind::PerCpuHash => {
            limit("the value size of a per-CPU map", PERCPU_VALUE_LIMIT.into(), value_size.into())
        }
        MapKind::ProgArray => require(value_size == 4, "values of a prog_array have 4 bytes", value_size),
        MapKind::Array | MapKind::Hash => Ok(()),
    }
}

fn require(holds: bool, what: &'static str, found: u32) -> Result<(), CreateError> {
    if holds { Ok(()) } else { Err(CreateError::Invalid { what, found: found.into() }) }
}

fn limit(what: &'static str, limit: u64, found: u64) -> Result<(), CreateError> {
    if found <= limit { Ok(()) } else { Err(CreateError::TooLarge { what, limit, found }) }
}
