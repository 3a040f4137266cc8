//! The map kind tables: kinds that the runtime makes, with their traits, and all kinds that Linux has.
//!
//! Numbers are those of Linux's `enum bpf_map_type`, since clang writes them into the object.

mod linux;

pub use linux::{Entries, LINUX_MAP_KINDS, LinuxMapKind, Sizes, linux_map_kind};

/// A kind of map that the runtime makes. The order is that of [`MAP_KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`
    Hash,
    /// `BPF_MAP_TYPE_ARRAY`
    Array,
    /// `BPF_MAP_TYPE_PROG_ARRAY`
    ProgArray,
    /// `BPF_MAP_TYPE_PERCPU_HASH`
    PerCpuHash,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`
    PerCpuArray,
}

/// One row of the map kind table.
#[derive(Clone, Copy, Debug)]
pub struct MapKindInfo {
    /// The kind that the row describes.
    pub kind: MapKind,
    /// The number in Linux's `enum bpf_map_type`.
    pub number: u32,
    /// The name used in text: case files, `brolga inspect`, diagnostics.
    pub name: &'static str,
    /// Whether each CPU slot has values of its own.
    pub per_cpu: bool,
    /// Whether keys are the indices `0..max_entries` as `u32`.
    pub array_keys: bool,
    /// Whether a program may look up, update and delete elements through the generic helpers.
    pub element_access: bool,
}

/// The map kind table, in the order of [`MapKind`].
pub const MAP_KINDS: &[MapKindInfo] = &[
    row(MapKind::Hash, 1, "hash", false, false, true),
    row(MapKind::Array, 2, "array", false, true, true),
    row(MapKind::ProgArray, 3, "prog_array", false, true, false),
    row(MapKind::PerCpuHash, 5, "percpu_hash", true, false, true),
    row(MapKind::PerCpuArray, 6, "percpu_array", true, true, true),
];

const fn row(
    kind: MapKind,
    number: u32,
    name: &'static str,
    per_cpu: bool,
    array_keys: bool,
    element_access: bool,
) -> MapKindInfo {
    MapKindInfo { kind, number, name, per_cpu, array_keys, element_access }
}

const _: () = {
    let mut i = 0;
    while i < MAP_KINDS.len() {
        assert!(MAP_KINDS[i].kind as usize == i, "rows must follow the order of `MapKind`");
        i += 1;
    }
};

impl MapKind {
    /// The kind with a number of `enum bpf_map_type`, if Brolga knows it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        MAP_KINDS.iter().find(|row| row.number == number).map(|row| row.kind)
    }

    /// The kind with a name of the table.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        MAP_KINDS.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// This kind's row.
    #[must_use]
    pub const fn info(self) -> &'static MapKindInfo {
        &MAP_KINDS[self as usize]
    }
}

/// `BPF_F_NO_PREALLOC`: elements of a hash map are allocated when inserted.
pub const F_NO_PREALLOC: u32 = 1 << 0;
/// `BPF_F_NUMA_NODE`: a placement hint, which Brolga accepts and ignores.
pub const F_NUMA_NODE: u32 = 1 << 2;
/// `BPF_F_RDONLY`: host code may only read.
pub const F_RDONLY: u32 = 1 << 3;
/// `BPF_F_WRONLY`: host code may only write.
pub const F_WRONLY: u32 = 1 << 4;
/// `BPF_F_RDONLY_PROG`: programs may only read.
pub const F_RDONLY_PROG: u32 = 1 << 7;
/// `BPF_F_WRONLY_PROG`: programs may only write.
pub const F_WRONLY_PROG: u32 = 1 << 8;
/// `BPF_F_MMAPABLE`: libbpf sets it on global data; Brolga accepts and ignores it.
pub const F_MMAPABLE: u32 = 1 << 10;

/// Bytes between two elements of an array map (also: of one CPU's part of a per-CPU array): the
/// value size rounded up to 8, as in Linux, so that atomics on values are aligned.
#[must_use]
pub const fn array_stride(value_size: u32) -> u64 {
    (value_size as u64).next_multiple_of(8)
}

/// Bytes between the parts of two CPU slots of a per-CPU array: whole cache lines, so that slots
/// never share one.
#[must_use]
pub const fn percpu_stride(value_size: u32, max_entries: u32) -> u64 {
    (array_stride(value_size) * max_entries as u64).next_multiple_of(128)
}

/// `bpf_map_update_elem` flag: create or replace.
pub const BPF_ANY: u64 = 0;
/// `bpf_map_update_elem` flag: create, fail with `EEXIST` where the key exists.
pub const BPF_NOEXIST: u64 = 1;
/// `bpf_map_update_elem` flag: replace, fail with `ENOENT` where the key is missing.
pub const BPF_EXIST: u64 = 2;
