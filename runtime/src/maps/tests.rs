//! Tests of maps through the host's handles and through programs' operations.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use brolga_abi::MapKind;
use brolga_abi::maps::{F_NO_PREALLOC, F_RDONLY, F_RDONLY_PROG, F_WRONLY, F_WRONLY_PROG};
use proptest::prelude::*;

use super::{CreateError, Map, MapError, MapHandle, Update};
use crate::module::MapSpec;
use crate::sync::Lent;
use crate::testing::{instance, module, spec};
use crate::{Instance, InstanceError, Runtime, RuntimeOptions, Seed};

fn runtime(cpus: u32) -> Runtime {
    Runtime::new(RuntimeOptions { seed: Seed::Fixed(1), ..RuntimeOptions::with_cpus(cpus) })
}

fn map(cpus: u32, spec: MapSpec) -> MapHandle {
    instance(&runtime(cpus), vec![spec]).maps().next().expect("one map")
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

fn refused(spec: MapSpec) -> CreateError {
    match Instance::new(&runtime(1), &module(vec![spec], Vec::new())) {
        Err(InstanceError::Map { error, .. }) => error,
        other => panic!("the map was to be refused: {other:?}"),
    }
}

#[test]
fn arrays_have_all_elements_from_the_start() {
    let map = map(1, spec("a", MapKind::Array, 4, 6, 3));
    let key = |i: u32| i.to_ne_bytes();
    assert_eq!(map.lookup(&key(2)), Ok(Some(vec![0; 6])));
    assert_eq!(map.lookup(&key(3)), Ok(None));
    assert_eq!(map.update(&key(1), b"abcdef", Update::Any), Ok(()));
    assert_eq!(map.update(&key(1), b"ghijkl", Update::Exist), Ok(()));
    assert_eq!(map.lookup(&key(1)), Ok(Some(b"ghijkl".to_vec())));
    assert_eq!(map.update(&key(1), b"ghijkl", Update::NoExist), Err(MapError::Exists));
    assert_eq!(map.update(&key(3), b"ghijkl", Update::Any), Err(MapError::Full { max_entries: 3 }));
    assert_eq!(map.delete(&key(1)), Err(MapError::NotPossible { operation: "delete", kind: MapKind::Array }));
    assert_eq!(map.update(&key(1), b"abc", Update::Any), Err(MapError::ValueSize { expected: 6, found: 3 }));
    assert_eq!(map.lookup(&[0; 5]), Err(MapError::KeySize { expected: 4, found: 5 }));
    assert_eq!(map.keys().collect::<Vec<_>>(), [key(0), key(1), key(2)]);
    assert_eq!(map.len(), 3);
}

#[test]
fn percpu_arrays_have_a_value_a_slot() {
    let map = map(3, spec("a", MapKind::PerCpuArray, 4, 4, 2));
    let key = 1_u32.to_ne_bytes();
    assert_eq!(map.lookup_percpu(&key), Ok(Some(vec![vec![0; 4]; 3])));
    let values = [[1; 4], [2; 4], [3; 4]];
    assert_eq!(map.update_percpu(&key, &values, Update::Any), Ok(()));
    assert_eq!(map.lookup_percpu(&key), Ok(Some(values.map(|v| v.to_vec()).to_vec())));
    assert_eq!(
        map.update_percpu(&key, &values[..2], Update::Any),
        Err(MapError::ValueCount { expected: 3, found: 2 })
    );
    assert!(matches!(map.lookup(&key), Err(MapError::NotPossible { .. })));
    assert!(matches!(map.update(&key, &[0; 4], Update::Any), Err(MapError::NotPossible { .. })));
}

#[test]
fn a_program_writes_its_own_slot_only() {
    for kind in [MapKind::PerCpuArray, MapKind::PerCpuHash] {
        let runtime = runtime(3);
        let handle = instance(&runtime, vec![spec("a", kind, 4, 8, 4)]).maps().next().expect("one map");
        let key = 2_u32.to_ne_bytes();
        let map = handle.map();
        let value = 7_u64.to_ne_bytes();
        assert_eq!(map.update(Lent::host(&key), Lent::host(&value), 0, 1), Ok(()));
        let expected = vec![vec![0; 8], value.to_vec(), vec![0; 8]];
        assert_eq!(handle.lookup_percpu(&key), Ok(Some(expected)));
        let addresses: Vec<_> =
            (0..3).map(|slot| map.lookup(Lent::host(&key), slot).expect("there")).collect();
        let apart = addresses[1].addr() - addresses[0].addr();
        assert_eq!((apart % 128, addresses[2].addr() - addresses[1].addr()), (0, apart), "whole cache lines");
    }
}

#[test]
fn compiled_code_finds_elements_where_lookups_find_them() {
    let runtime = runtime(2);
    let instance = instance(
        &runtime,
        vec![spec("a", MapKind::Array, 4, 12, 5), spec("p", MapKind::PerCpuArray, 4, 12, 5)],
    );
    for handle in instance.maps() {
        let map = handle.map();
        for (slot, index) in [(0, 0), (0, 4), (1, 0), (1, 3)] {
            let stride = size(brolga_abi::maps::array_stride(12));
            let slots = match handle.kind() {
                MapKind::PerCpuArray => slot * size(brolga_abi::maps::percpu_stride(12, 5)),
                MapKind::Array | MapKind::Hash | MapKind::PerCpuHash | MapKind::ProgArray => 0,
            };
            let computed = map.data().addr() + slots + index as usize * stride;
            let key = u32::to_ne_bytes(index);
            assert_eq!(map.lookup(Lent::host(&key), slot).expect("there").addr(), computed);
        }
    }
}

#[test]
fn hash_flags_and_errors_are_the_kernels() {
    for flags in [0, F_NO_PREALLOC] {
        let map = map(1, MapSpec { flags, ..spec("h", MapKind::Hash, 5, 3, 2) });
        let update = |key: &[u8; 5], value: &[u8; 3], update| map.update(key, value, update);
        assert_eq!(update(b"first", b"one", Update::Exist), Err(MapError::NotFound));
        assert_eq!(update(b"first", b"one", Update::NoExist), Ok(()));
        assert_eq!(update(b"first", b"two", Update::NoExist), Err(MapError::Exists));
        assert_eq!(update(b"first", b"two", Update::Exist), Ok(()));
        assert_eq!(update(b"again", b"six", Update::Any), Ok(()));
        assert_eq!(update(b"third", b"six", Update::Any), Err(MapError::Full { max_entries: 2 }));
        assert_eq!(update(b"again", b"ten", Update::Any), Ok(()), "a full map's elements can be replaced");
        assert_eq!(map.lookup(b"first"), Ok(Some(b"two".to_vec())));
        assert_eq!(map.lookup(b"third"), Ok(None));
        assert_eq!(map.delete(b"third"), Err(MapError::NotFound));
        assert_eq!(map.delete(b"first"), Ok(()));
        assert_eq!(map.lookup(b"first"), Ok(None));
        assert_eq!(update(b"third", b"six", Update::Any), Ok(()));
        assert_eq!(map.len(), 2);
        let raw = map.map();
        let invalid = raw.update(Lent::host(b"third"), Lent::host(b"six"), 3, 0).expect_err("no such flag");
        assert_eq!(invalid.number(), 22);
    }
}

#[test]
fn a_replaced_value_stays_as_it_was_for_who_holds_it() {
    let runtime = runtime(1);
    let handle = instance(&runtime, vec![spec("h", MapKind::Hash, 4, 8, 4)]).maps().next().expect("one map");
    let map = handle.map();
    let key = [1; 4];
    let update = |value: u64| {
        map.update(Lent::host(&key), Lent::host(&value.to_ne_bytes()), 0, 0).expect("there is room");
    };
    update(1);
    let old = map.lookup(Lent::host(&key), 0).expect("there");
    update(2);
    let new = map.lookup(Lent::host(&key), 0).expect("there");
    assert_ne!(old, new, "an update writes a fresh element");
    update(3);
    assert_eq!(map.lookup(Lent::host(&key), 0), Some(old), "and uses the old one next");
}

#[test]
fn definitions_that_linux_refuses_are_refused() {
    use MapKind::{Array, Hash, PerCpuArray, PerCpuHash, ProgArray};
    let invalid = |spec: MapSpec| matches!(refused(spec), CreateError::Invalid { .. });
    let large = |spec: MapSpec| matches!(refused(spec), CreateError::TooLarge { .. });
    for kind in [Array, PerCpuArray, Hash, PerCpuHash] {
        assert!(invalid(spec("m", kind, 4, 4, 0)));
        assert!(invalid(spec("m", kind, 4, 0, 1)));
        assert!(invalid(spec("m", kind, 0, 4, 1)));
        assert!(invalid(MapSpec { flags: F_RDONLY | F_WRONLY, ..spec("m", kind, 4, 4, 1) }));
        assert!(invalid(MapSpec { flags: F_RDONLY_PROG | F_WRONLY_PROG, ..spec("m", kind, 4, 4, 1) }));
        assert!(invalid(MapSpec { flags: 1 << 30, ..spec("m", kind, 4, 4, 1) }));
    }
    assert!(invalid(spec("m", Array, 8, 4, 1)));
    assert!(invalid(MapSpec { flags: F_NO_PREALLOC, ..spec("m", Array, 4, 4, 1) }));
    assert!(invalid(spec("m", ProgArray, 4, 8, 1)));
    assert!(large(spec("m", Array, 4, u32::MAX, 1)));
    assert!(large(spec("m", PerCpuArray, 4, (32 << 10) + 1, 1)));
    assert!(large(spec("m", PerCpuHash, 4, (32 << 10) + 1, 1)));
    assert!(large(spec("m", Hash, 4, 4 << 20, 1)));
    assert!(large(spec("m", Hash, 4, 4, u32::MAX)));
}

#[test]
fn memory_is_limited_and_given_back() {
    let runtime = Runtime::new(RuntimeOptions { map_memory: 1 << 20, ..RuntimeOptions::default() });
    let make = |entries| {
        Instance::new(&runtime, &module(vec![spec("m", MapKind::Array, 4, 1024, entries)], Vec::new()))
    };
    let first = make(600).expect("fits");
    assert_eq!(runtime.map_memory(), 600 << 10);
    let error = make(600).expect_err("too much together");
    assert_eq!(
        error,
        InstanceError::Map { name: "m".to_owned(), error: CreateError::NoMemory { bytes: 600 << 10 } }
    );
    assert!(matches!(make(u32::MAX), Err(InstanceError::Map { error: CreateError::NoMemory { .. }, .. })));
    drop(first);
    assert_eq!(runtime.map_memory(), 0);
    make(600).expect("fits again");
}

#[test]
fn a_huge_hash_costs_no_memory_until_it_is_filled() {
    let map = map(1, spec("h", MapKind::Hash, 4, 64, 16 << 20));
    assert_eq!(map.update(&[1; 4], &[2; 64], Update::Any), Ok(()));
    assert_eq!(map.lookup(&[1; 4]), Ok(Some(vec![2; 64])));
}

#[test]
fn access_flags_hold_for_the_host() {
    let read_only = map(1, MapSpec { flags: F_RDONLY, ..spec("m", MapKind::Array, 4, 4, 1) });
    assert_eq!(read_only.update(&[0; 4], &[1; 4], Update::Any), Err(MapError::ReadOnly));
    assert_eq!(read_only.lookup(&[0; 4]), Ok(Some(vec![0; 4])));
    let write_only = map(1, MapSpec { flags: F_WRONLY, ..spec("m", MapKind::Array, 4, 4, 1) });
    assert_eq!(write_only.update(&[0; 4], &[1; 4], Update::Any), Ok(()));
    assert_eq!(write_only.lookup(&[0; 4]), Err(MapError::WriteOnly));
    assert_eq!(MapError::WriteOnly.errno(), 1);
}

/// One operation on a hash map.
#[derive(Clone, Debug)]
enum Op {
    Update(u8, u8, Update),
    Delete(u8),
    Lookup(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let update = prop_oneof![Just(Update::Any), Just(Update::NoExist), Just(Update::Exist)];
    prop_oneof![
        (0..24_u8, any::<u8>(), update).prop_map(|(key, value, update)| Op::Update(key, value, update)),
        (0..24_u8).prop_map(Op::Delete),
        (0..24_u8).prop_map(Op::Lookup),
    ]
}

/// What the map ought to do.
fn model(model: &mut HashMap<u8, u8>, op: &Op, max: usize) -> Result<Option<u8>, MapError> {
    match *op {
        Op::Update(key, _, Update::NoExist) if model.contains_key(&key) => Err(MapError::Exists),
        Op::Update(key, _, Update::Exist) if !model.contains_key(&key) => Err(MapError::NotFound),
        Op::Update(key, ..) if model.len() == max && !model.contains_key(&key) => {
            Err(MapError::Full { max_entries: u32::try_from(max).expect("small") })
        }
        Op::Update(key, value, _) => {
            model.insert(key, value);
            Ok(None)
        }
        Op::Delete(key) => model.remove(&key).map(|_| None).ok_or(MapError::NotFound),
        Op::Lookup(key) => Ok(model.get(&key).copied()),
    }
}

proptest! {
    #[test]
    fn hashes_behave_as_the_standard_library(
        ops in prop::collection::vec(op(), 0..200),
        key_size in 1..40_u32,
        value_size in 1..20_u32,
        percpu in any::<bool>(),
    ) {
        let kind = if percpu { MapKind::PerCpuHash } else { MapKind::Hash };
        let map = map(2, spec("h", kind, key_size, value_size, 10));
        let key = |key: u8| vec![key; key_size as usize];
        let value = |value: u8| vec![value; value_size as usize];
        let mut expected = HashMap::new();
        for op in &ops {
            let found = match *op {
                Op::Update(k, v, update) if percpu => {
                    map.update_percpu(&key(k), &[value(v), value(!v)], update).map(|()| None)
                }
                Op::Update(k, v, update) => map.update(&key(k), &value(v), update).map(|()| None),
                Op::Delete(k) => map.delete(&key(k)).map(|()| None),
                Op::Lookup(k) if percpu => {
                    let values = map.lookup_percpu(&key(k)).expect("a per-CPU map");
                    if let Some([own, other]) = values.as_deref() {
                        prop_assert_eq!(own[0], !other[0]);
                    }
                    Ok(values.map(|values| values[0][0]))
                }
                Op::Lookup(k) => map.lookup(&key(k)).map(|found| found.map(|value| value[0])),
            };
            prop_assert_eq!(found, model(&mut expected, op, 10));
        }
        let mut keys: Vec<_> = map.keys().map(|key| key[0]).collect();
        keys.sort_unstable();
        let mut wanted: Vec<_> = expected.keys().copied().collect();
        wanted.sort_unstable();
        prop_assert_eq!(keys, wanted);
        prop_assert_eq!(map.len() as usize, expected.len());
    }
}

/// Threads replace, remove and insert keys, while readers see to it that every value belongs to its key.
#[test]
fn readers_never_find_another_keys_value_for_long() {
    let runtime = runtime(4);
    let handle =
        instance(&runtime, vec![spec("h", MapKind::Hash, 8, 16, 64)]).maps().next().expect("one map");
    let stop = AtomicBool::new(false);
    // Keys below 8 are always there: they are only ever replaced.
    let value = |key: u64, round: u64| [key.to_ne_bytes(), round.to_ne_bytes()].concat();
    for key in 0..8_u64 {
        handle.update(&key.to_ne_bytes(), &value(key, 0), Update::Any).expect("there is room");
    }
    std::thread::scope(|scope| {
        let (handle, stop) = (&handle, &stop);
        for slot in 0..2 {
            scope.spawn(move || {
                let map = handle.map();
                for round in 1..20_000_u64 {
                    let key = (round * 7 + slot) % 8;
                    map.update(Lent::host(&key.to_ne_bytes()), Lent::host(&value(key, round)), 0, size(slot))
                        .expect("a key that exists is replaced");
                    let key = 8 + (round * 13 + slot * 31) % 100;
                    let key_bytes = key.to_ne_bytes();
                    let _full =
                        map.update(Lent::host(&key_bytes), Lent::host(&value(key, round)), 0, size(slot));
                    let gone = 8 + (round * 29 + slot * 3) % 100;
                    let _missing = map.delete(Lent::host(&gone.to_ne_bytes()));
                }
                stop.store(true, Ordering::Relaxed);
            });
        }
        for slot in 2..4 {
            scope.spawn(move || {
                let map = handle.map();
                while !stop.load(Ordering::Relaxed) {
                    for key in 0..8_u64 {
                        let found = map.lookup(Lent::host(&key.to_ne_bytes()), slot);
                        assert!(found.is_some(), "key {key} is being replaced, never absent");
                        let copied =
                            handle.lookup(&key.to_ne_bytes()).expect("sizes fit").expect("never absent");
                        assert_eq!(copied[..8], key.to_ne_bytes(), "the host reads whole elements");
                    }
                }
            });
        }
    });
    let entries = handle.entries().expect("a hash");
    assert_eq!(entries.len(), handle.len() as usize);
    assert!(entries.iter().all(|(key, value)| key[..] == value[..8]));
}

/// Every thread counts in its own slot; no count is lost.
#[test]
fn slots_of_percpu_maps_do_not_disturb_each_other() {
    for kind in [MapKind::PerCpuArray, MapKind::PerCpuHash] {
        let runtime = runtime(4);
        let handle = instance(&runtime, vec![spec("c", kind, 4, 8, 16)]).maps().next().expect("one map");
        std::thread::scope(|scope| {
            for slot in 0..4 {
                let map = handle.map();
                scope.spawn(move || {
                    for round in 0..4000_u64 {
                        let key = (round % 16).to_ne_bytes();
                        let key =
                            Lent::host(if cfg!(target_endian = "little") { &key[..4] } else { &key[4..] });
                        let value = (round / 16 + 1).to_ne_bytes();
                        map.update(key, Lent::host(&value), 0, slot).expect("there is room");
                    }
                });
            }
        });
        for key in handle.keys() {
            let values = handle.lookup_percpu(&key).expect("sizes fit").expect("there");
            // An insertion zeroes the other slots; it happens once, at the first round.
            assert!(
                values.iter().all(|value| u64::from_ne_bytes(value[..].try_into().expect("8 bytes")) == 250)
            );
        }
        assert_eq!(handle.len(), 16);
    }
}

#[test]
fn map_debug_names_its_kind() {
    let handle = map(1, spec("a", MapKind::Array, 4, 4, 1));
    assert_eq!(format!("{:?}", handle.map() as &Map), "Map(Array)");
}
