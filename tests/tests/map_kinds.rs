//! Asks the running kernel which sizes of keys and values it takes for each kind of map, and which
//! numbers of entries.

use brolga_abi::maps::{Entries, F_NO_PREALLOC, LINUX_MAP_KINDS, LinuxMapKind, MAP_KINDS, Sizes};
use brolga_tests::bpf_syscall::KernelMap;
use brolga_tests::engines::kernel::Kernel;

/// `BPF_F_MMAPABLE`, which arenas want.
const F_MMAPABLE: u32 = 1 << 10;
const ENOMEM: i32 = 12;

/// Some sizes, and those around the bounds of a rule; none so large that memory would decide.
fn sizes(rule: Sizes) -> Vec<u32> {
    let mut sizes = vec![0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 24, 64, 1000];
    match rule {
        Sizes::OneOf(exact) => sizes.extend(exact),
        Sizes::Between(min, max, step) => {
            sizes.extend([min - 1, min, max.min(1 << 16), max.min(1 << 16) - step])
        }
    }
    if let Sizes::Between(_, max @ ..0x10000, _) = rule {
        sizes.push(max + 1);
    }
    sizes
}

fn flags(kind: &LinuxMapKind) -> u32 {
    match kind.name {
        "lpm_trie" => F_NO_PREALLOC,
        "arena" => F_MMAPABLE,
        _ => 0,
    }
}

/// Whether the kernel makes it; memory is no reason.
fn makes(kind: &LinuxMapKind, key: u32, value: u32, entries: u32) -> bool {
    match KernelMap::create(kind.number, key, value, entries, flags(kind), None) {
        Ok(_) => true,
        Err(error) => error.raw_os_error() == Some(ENOMEM),
    }
}

/// A size that a rule allows.
fn allowed(rule: Sizes) -> u32 {
    match rule {
        Sizes::OneOf(sizes) => sizes[0],
        Sizes::Between(min, ..) => min.next_multiple_of(8),
    }
}

#[test]
fn the_kernel_wants_the_same_sizes() {
    if Kernel::or_skip().is_none() {
        return;
    }
    let mut wrong = Vec::new();
    let mut asked = 0;
    for kind in LINUX_MAP_KINDS {
        let entries = match kind.entries {
            Entries::Some => 1,
            Entries::Zero => 0,
            Entries::Adjusted => 4096,
        };
        let (key, value) = (allowed(kind.key), allowed(kind.value));
        // Some want BTF or another map beside them, others are not built in.
        if !makes(kind, key, value, entries) {
            eprintln!("skipped: the kernel makes no {} of numbers alone", kind.name);
            continue;
        }
        asked += 1;
        for size in sizes(kind.key) {
            if makes(kind, size, value, entries) != kind.key.allow(size) {
                wrong.push(format!("{}: keys of {size} bytes", kind.name));
            }
        }
        for size in sizes(kind.value) {
            if makes(kind, key, size, entries) != kind.value.allow(size) {
                wrong.push(format!("{}: values of {size} bytes", kind.name));
            }
        }
        match kind.entries {
            Entries::Some if makes(kind, key, value, 0) => wrong.push(format!("{}: no entries", kind.name)),
            Entries::Zero if makes(kind, key, value, 1) => wrong.push(format!("{}: an entry", kind.name)),
            Entries::Some | Entries::Zero | Entries::Adjusted => {}
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 20, "only {asked} kinds were asked for");
}

#[test]
fn the_runtimes_kinds_are_linuxs() {
    for row in MAP_KINDS {
        let linux = LINUX_MAP_KINDS.iter().find(|kind| kind.number == row.number);
        assert_eq!(linux.map(|kind| kind.name), Some(row.name));
    }
}
