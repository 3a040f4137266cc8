//! All map kinds of Linux, and what their definitions must be.
//!
//! [`super::MapKind`] are those that the runtime makes. Programs that use others can be verified; what
//! such a map needs to exist at all is said here, as the running kernel says it (`tests/tests/map_kinds.rs`), and which helpers
//! work on it.

use crate::helpers::HelperId::{self, *};

/// How many bytes keys or values may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// One of these.
    OneOf(&'static [u32]),
    /// From the first to the second, and a multiple of the third.
    Between(u32, u32, u32),
}

/// How many entries may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entries {
    /// At least one.
    Some,
    /// None: the kernel makes elements when they are asked for.
    Zero,
    /// What a definition says is rounded by libbpf, or replaced where it says nothing.
    Adjusted,
}

/// One row of the table of Linux's map kinds.
#[derive(Clone, Copy, Debug)]
pub struct LinuxMapKind {
    /// The number in Linux's `enum bpf_map_type`.
    pub number: u32,
    /// The name in lower case.
    pub name: &'static str,
    /// Bytes of a key.
    pub key: Sizes,
    /// Bytes of a value.
    pub value: Sizes,
    /// Most elements.
    pub entries: Entries,
    /// Whether programs may only read values, whatever its flags say.
    pub read_only: bool,
    /// Whether the kernel wants to know the types of keys and values.
    pub typed: bool,
    /// Whether programs that may sleep can use it.
    pub sleepable: bool,
    /// The helpers that it is for. `None`: all that are not for other kinds.
    helpers: Option<&'static [HelperId]>,
}

impl LinuxMapKind {
    const fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    const fn typed(self) -> Self {
        Self { typed: true, ..self }
    }

    const fn sleepable(self) -> Self {
        Self { sleepable: true, ..self }
    }

    const fn only(self, helpers: &'static [HelperId]) -> Self {
        Self { helpers: Some(helpers), ..self }
    }

    /// The helpers that are for maps of this kind, if it has its own.
    #[must_use]
    pub const fn own_helpers(&self) -> Option<&'static [HelperId]> {
        self.helpers
    }

    /// Whether a helper that is given a map works on one of this kind.
    #[must_use]
    pub fn takes(&self, helper: HelperId) -> bool {
        match (self.helpers, helper) {
            (Some(helpers), _) => helpers.contains(&helper),
            (None, MapLookupElem | MapUpdateElem | MapDeleteElem | KptrXchg) => true,
            (None, MapLookupPercpuElem) => self.name.contains("percpu"),
            // Hash tables and arrays.
            (None, ForEachMapElem) => matches!(self.number, 1 | 2 | 5 | 6 | 9 | 10),
            (None, _) => {
                !LINUX_MAP_KINDS.iter().any(|kind| kind.helpers.is_some_and(|own| own.contains(&helper)))
            }
        }
    }
}

impl Sizes {
    /// Whether so many bytes are allowed.
    #[must_use]
    pub fn allow(self, size: u32) -> bool {
        match self {
            Self::OneOf(sizes) => sizes.contains(&size),
            Self::Between(min, max, multiple) => (min..=max).contains(&size) && size.is_multiple_of(multiple),
        }
    }
}

/// The kernel's `KMALLOC_MAX_SIZE`.
const LARGEST: u32 = 4 << 20;
const NONE: Sizes = Sizes::OneOf(&[0]);
const WORD: Sizes = Sizes::OneOf(&[4]);
const ANY: Sizes = Sizes::Between(1, i32::MAX as u32, 1);
/// Keys and values that are allocated together with an element's head.
const HASHED: Sizes = Sizes::Between(1, LARGEST - 48, 1);
/// The kernel's `PCPU_MIN_UNIT_SIZE`.
const PER_CPU: Sizes = Sizes::Between(1, 32 << 10, 1);
/// Values at kernel objects: 16 bits count them and an element's head.
const STORED: Sizes = Sizes::Between(1, 65535 - 128, 1);
/// A descriptor, and a program's where it follows.
const TARGET: Sizes = Sizes::OneOf(&[4, 8]);

const fn row(number: u32, name: &'static str, key: Sizes, value: Sizes, entries: Entries) -> LinuxMapKind {
    LinuxMapKind {
        number,
        name,
        key,
        value,
        entries,
        read_only: false,
        typed: false,
        sleepable: false,
        helpers: None,
    }
}

/// Storage at kernel objects.
const fn storage(number: u32, name: &'static str) -> LinuxMapKind {
    row(number, name, WORD, STORED, Entries::Zero).typed().sleepable()
}

/// The kinds of maps that Linux has, from number 1 on.
pub const LINUX_MAP_KINDS: &[LinuxMapKind] = &[
    row(1, "hash", HASHED, HASHED, Entries::Some).sleepable(),
    row(2, "array", WORD, ANY, Entries::Some).sleepable(),
    row(3, "prog_array", WORD, WORD, Entries::Some).only(&[TailCall]),
    row(4, "perf_event_array", WORD, WORD, Entries::Adjusted).only(&[
        PerfEventRead,
        PerfEventOutput,
        PerfEventReadValue,
        SkbOutput,
        XdpOutput,
    ]),
    row(5, "percpu_hash", HASHED, PER_CPU, Entries::Some).sleepable(),
    row(6, "percpu_array", WORD, PER_CPU, Entries::Some).sleepable(),
    row(7, "stack_trace", WORD, Sizes::Between(8, 1016, 8), Entries::Some).only(&[GetStackid]),
    row(8, "cgroup_array", WORD, WORD, Entries::Some).only(&[SkbUnderCgroup, CurrentTaskUnderCgroup]),
    row(9, "lru_hash", HASHED, HASHED, Entries::Some).sleepable(),
    row(10, "lru_percpu_hash", HASHED, PER_CPU, Entries::Some).sleepable(),
    row(11, "lpm_trie", Sizes::Between(5, 260, 1), HASHED, Entries::Some).sleepable(),
    row(12, "array_of_maps", WORD, WORD, Entries::Some).sleepable().only(&[MapLookupElem]),
    row(13, "hash_of_maps", HASHED, WORD, Entries::Some).sleepable().only(&[MapLookupElem]),
    row(14, "devmap", WORD, TARGET, Entries::Some).read_only().only(&[MapLookupElem, RedirectMap]),
    row(15, "sockmap", WORD, TARGET, Entries::Some).only(&[
        MapLookupElem,
        MapUpdateElem,
        MapDeleteElem,
        SkRedirectMap,
        SockMapUpdate,
        MsgRedirectMap,
        SkSelectReuseport,
    ]),
    row(16, "cpumap", WORD, TARGET, Entries::Some).only(&[RedirectMap]),
    row(17, "xskmap", WORD, WORD, Entries::Some).only(&[MapLookupElem, RedirectMap]),
    row(18, "sockhash", Sizes::Between(1, 512, 1), TARGET, Entries::Some).only(&[
        MapLookupElem,
        MapUpdateElem,
        MapDeleteElem,
        SockHashUpdate,
        MsgRedirectHash,
        SkRedirectHash,
        SkSelectReuseport,
    ]),
    row(19, "cgroup_storage", Sizes::OneOf(&[8, 16]), STORED, Entries::Zero).only(&[GetLocalStorage]),
    row(20, "reuseport_sockarray", WORD, TARGET, Entries::Some).only(&[SkSelectReuseport]),
    row(21, "percpu_cgroup_storage", Sizes::OneOf(&[8, 16]), PER_CPU, Entries::Zero).only(&[GetLocalStorage]),
    row(22, "queue", NONE, ANY, Entries::Some).sleepable().only(&[MapPushElem, MapPopElem, MapPeekElem]),
    row(23, "stack", NONE, ANY, Entries::Some).sleepable().only(&[MapPushElem, MapPopElem, MapPeekElem]),
    storage(24, "sk_storage").only(&[SkStorageGet, SkStorageDelete, KptrXchg]),
    row(25, "devmap_hash", WORD, TARGET, Entries::Some).read_only().only(&[MapLookupElem, RedirectMap]),
    row(26, "struct_ops", WORD, ANY, Entries::Some).typed(),
    row(27, "ringbuf", NONE, NONE, Entries::Adjusted).sleepable().only(&[
        RingbufOutput,
        RingbufReserve,
        RingbufQuery,
        RingbufReserveDynptr,
    ]),
    storage(28, "inode_storage").only(&[InodeStorageGet, InodeStorageDelete, KptrXchg]),
    storage(29, "task_storage").only(&[TaskStorageGet, TaskStorageDelete, KptrXchg]),
    row(30, "bloom_filter", NONE, ANY, Entries::Some).only(&[MapPushElem, MapPeekElem]),
    row(31, "user_ringbuf", NONE, NONE, Entries::Adjusted).sleepable().only(&[UserRingbufDrain]),
    storage(32, "cgrp_storage").only(&[CgrpStorageGet, CgrpStorageDelete, KptrXchg]),
    row(33, "arena", NONE, NONE, Entries::Some).sleepable(),
    row(34, "insn_array", WORD, Sizes::OneOf(&[16]), Entries::Some).sleepable(),
];

const _: () = {
    let mut i = 0;
    while i < LINUX_MAP_KINDS.len() {
        assert!(LINUX_MAP_KINDS[i].number as usize == i + 1, "rows must follow Linux's numbers");
        i += 1;
    }
};

/// Linux's kind with a number of `enum bpf_map_type`.
#[must_use]
pub fn linux_map_kind(number: u32) -> Option<&'static LinuxMapKind> {
    LINUX_MAP_KINDS.get(usize::try_from(number).ok()?.checked_sub(1)?)
}
