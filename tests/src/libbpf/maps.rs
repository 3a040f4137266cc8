//! Compares map definitions: what libbpf would hand to the kernel beside what Brolga reads.
//!
//! Names of global data are not compared, since libbpf puts the object's before them. Where pointers
//! to programs go in a `struct_ops` value, libbpf has addresses of its own. `.kconfig` is left out: its
//! value is the kernel's.

use brolga_compiler::program::{MapDef, Object};

use super::sys::{self, Map};

/// The map of configuration values.
const KCONFIG: &str = ".kconfig";

/// How the maps of an object differ from those of libbpf; empty where they do not.
///
/// # Errors
///
/// What libbpf printed, where it does not open the object.
pub fn differing_maps(bytes: &[u8], object: &Object) -> Result<Vec<String>, String> {
    let mut theirs = sys::Object::open(bytes, None, sys::Messages::Kept)?.map_definitions();
    theirs.retain(|map| !map.name.ends_with(KCONFIG));
    let ours: Vec<_> = object.maps.iter().filter(|map| map.name != KCONFIG).collect();
    let names = |names: Vec<&str>| names.join(", ");
    if theirs.len() != ours.len() {
        return Ok(vec![format!(
            "maps {}; libbpf: {}",
            names(ours.iter().map(|map| map.name.as_str()).collect()),
            names(theirs.iter().map(|map| map.name.as_str()).collect())
        )]);
    }
    let pairs = ours.into_iter().map(expected).zip(theirs);
    let pairs = pairs.map(|(ours, theirs)| (ours.0, mask(theirs, &ours.1)));
    Ok(pairs
        .filter(|(ours, theirs)| ours != theirs)
        .map(|(ours, theirs)| format!("{}; libbpf: {}", brief(&ours), brief(&theirs)))
        .collect())
}

/// What is to be masked of libbpf's map.
struct Masked {
    name: bool,
    /// Offsets of words in the value.
    words: Vec<usize>,
}

fn expected(map: &MapDef) -> (Map, Masked) {
    let global = map.global.as_ref().map(|data| data.initial.to_vec());
    let arena = map.arena.as_ref().map(|data| data.initial.to_vec());
    let ops = map.struct_ops.as_ref();
    let mut initial = global.or(arena).or_else(|| ops.map(|ops| ops.initial.to_vec()));
    let words: Vec<_> =
        ops.iter().flat_map(|ops| &ops.programs).map(|program| program.offset as usize).collect();
    if let Some(initial) = &mut initial {
        clear(initial, &words);
    }
    let expected = Map {
        name: if map.global.is_some() { String::new() } else { map.name.clone() },
        kind: map.kind.number(),
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        flags: map.flags,
        extra: map.extra,
        numa_node: map.numa_node,
        autocreate: map.autocreate,
        initial,
        inner: map.inner.as_deref().map(|inner| Box::new(Map { autocreate: false, ..expected(inner).0 })),
    };
    (expected, Masked { name: map.global.is_some(), words })
}

fn mask(mut map: Map, masked: &Masked) -> Map {
    if masked.name {
        map.name.clear();
    }
    if let Some(initial) = &mut map.initial {
        clear(initial, &masked.words);
    }
    map
}

fn clear(value: &mut [u8], words: &[usize]) {
    for &word in words {
        value[word..word + 8].fill(0);
    }
}

/// A map without its bytes, of which there may be many.
fn brief(map: &Map) -> String {
    let initial = map.initial.as_ref();
    let sum = |bytes: &Vec<u8>| bytes.iter().fold(0_u64, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
    let initial = initial.map(|bytes| format!("{} bytes, sum {:x}", bytes.len(), sum(bytes)));
    format!("{:?} {}", Map { initial: None, ..map.clone() }, initial.unwrap_or_default())
}
