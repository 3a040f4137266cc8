//! Maps: one module a kind, and what all kinds share.
//!
//! A map is created from its definition or refused with the reason; afterwards its size never
//! changes. Elements stay at their addresses as long as the map lives, so a program that holds a
//! pointer to a value never reads memory that is not the map's.

mod array;
mod create;
mod handle;
mod hash;
mod percpu_array;
mod percpu_hash;
mod prog_array;
mod table;
#[cfg(test)]
mod tests;
mod typed;

use std::fmt;

use brolga_abi::MapKind;

pub use create::CreateError;
pub use handle::{Entry, Keys, MapError, MapHandle, MapInfo, Update};
pub use typed::TypedMap;

pub(crate) use array::Array;
pub(crate) use create::create;
pub(crate) use hash::Hash;
pub(crate) use percpu_array::PerCpuArray;
pub(crate) use percpu_hash::PerCpuHash;
pub(crate) use prog_array::ProgArray;

use crate::sync::Lent;

/// Who calls: a program on a CPU slot, or the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A program that runs on this slot.
    Slot(usize),
    /// The host.
    Host,
}

/// Why an operation on an element failed, as the kernel's error number says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errno {
    /// `ENOENT`: no such element.
    NoEntry,
    /// `E2BIG`: the map is full, or the index is too large.
    TooBig,
    /// `EFAULT`: bytes outside of the packet.
    Fault,
    /// `EACCES`: refused by a rule.
    Access,
    /// `EEXIST`: there is such an element.
    Exists,
    /// `EINVAL`: a flag or an argument that makes no sense here.
    Invalid,
}

impl Errno {
    /// The number, positive.
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::NoEntry => 2,
            Self::TooBig => 7,
            Self::Access => 13,
            Self::Fault => 14,
            Self::Exists => 17,
            Self::Invalid => 22,
        }
    }

    /// What a helper returns: the number, negative.
    pub(crate) const fn result(self) -> u64 {
        (self.number() as i64).wrapping_neg().cast_unsigned()
    }
}

/// A map of an instance. Its address is what programs hold as the map.
pub(crate) enum Map {
    Array(Array),
    PerCpuArray(PerCpuArray),
    Hash(Hash),
    PerCpuHash(PerCpuHash),
    ProgArray(ProgArray),
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Map").field(&self.kind()).finish()
    }
}

impl Map {
    pub(crate) fn kind(&self) -> MapKind {
        match self {
            Self::Array(_) => MapKind::Array,
            Self::PerCpuArray(_) => MapKind::PerCpuArray,
            Self::Hash(_) => MapKind::Hash,
            Self::PerCpuHash(_) => MapKind::PerCpuHash,
            Self::ProgArray(_) => MapKind::ProgArray,
        }
    }

    /// Bytes of a key.
    #[inline]
    pub(crate) fn key_size(&self) -> usize {
        match self {
            Self::Array(_) | Self::PerCpuArray(_) | Self::ProgArray(_) => 4,
            Self::Hash(map) => map.key_size(),
            Self::PerCpuHash(map) => map.key_size(),
        }
    }

    /// Bytes of a value.
    #[inline]
    pub(crate) fn value_size(&self) -> usize {
        match self {
            Self::Array(map) => map.value_size(),
            Self::PerCpuArray(map) => map.value_size(),
            Self::ProgArray(_) => 4,
            Self::Hash(map) => map.value_size(),
            Self::PerCpuHash(map) => map.value_size(),
        }
    }

    /// The address that compiled code computes element addresses from, or null.
    pub(crate) fn data(&self) -> *mut u8 {
        match self {
            Self::Array(map) => map.data(),
            Self::PerCpuArray(map) => map.data(),
            Self::ProgArray(map) => map.data(),
            Self::Hash(_) | Self::PerCpuHash(_) => std::ptr::null_mut(),
        }
    }

    /// A program's lookup: the address of the value, for its own slot in per-CPU kinds.
    #[inline]
    pub(crate) fn lookup(&self, key: Lent<'_>, slot: usize) -> Option<*mut u8> {
        match self {
            Self::Array(map) => map.lookup(key.index()),
            Self::PerCpuArray(map) => map.lookup(key.index(), slot),
            Self::Hash(map) => map.lookup(key),
            Self::PerCpuHash(map) => map.lookup(key, slot),
            Self::ProgArray(_) => None,
        }
    }

    /// A program's update. Per-CPU kinds write the value of the program's own slot.
    pub(crate) fn update(
        &self,
        key: Lent<'_>,
        value: Lent<'_>,
        flags: u64,
        slot: usize,
    ) -> Result<(), Errno> {
        match self {
            Self::Array(map) => map.update(key.index(), value, flags),
            Self::PerCpuArray(map) => map.update(key.index(), value, flags, slot),
            Self::Hash(map) => map.update(key, value, flags, Caller::Slot(slot)),
            Self::PerCpuHash(map) => map.update(key, value, flags, slot),
            Self::ProgArray(_) => Err(Errno::Invalid),
        }
    }

    /// A program's or the host's removal of an element.
    pub(crate) fn delete(&self, key: Lent<'_>) -> Result<(), Errno> {
        match self {
            Self::Array(_) | Self::PerCpuArray(_) => Err(Errno::Invalid),
            Self::Hash(map) => map.delete(key),
            Self::PerCpuHash(map) => map.delete(key),
            Self::ProgArray(_) => Err(Errno::Invalid),
        }
    }
}

/// Checks `bpf_map_update_elem`'s flags, of which there are three so far.
#[inline]
fn check_flags(flags: u64) -> Result<(), Errno> {
    if flags > brolga_abi::maps::BPF_EXIST { Err(Errno::Invalid) } else { Ok(()) }
}

/// Bytes from one value to the next: whole words, so that atomics on values are aligned.
fn stride(value_size: u32) -> usize {
    usize::try_from(brolga_abi::maps::array_stride(value_size)).expect("sizes were checked at creation")
}
