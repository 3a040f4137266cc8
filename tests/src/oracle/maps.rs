//! Maps of the interpreter: ordered trees whose values are regions of [`Memory`].
//!
//! Results and error numbers follow Linux's `kernel/bpf/arraymap.c` and `hashtab.c`. A replaced or
//! deleted hash element stays readable until the run ends, as under RCU.

use std::collections::BTreeMap;

use brolga_abi::MapKind;
use brolga_compiler::program::MapDef;

use super::memory::{Memory, RegionId, What};
use crate::engines::Contents;

/// `-ENOENT`
pub const ENOENT: i64 = -2;
/// `-E2BIG`
pub const E2BIG: i64 = -7;
/// `-EEXIST`
pub const EEXIST: i64 = -17;
/// `-EINVAL`
pub const EINVAL: i64 = -22;

const NOEXIST: u64 = 1;
const EXIST: u64 = 2;
const F_RDONLY_PROG: u32 = 1 << 7;

/// One map.
#[derive(Clone, Debug)]
pub struct Map {
    /// As the object defines it.
    pub def: MapDef,
    /// Its kind; `None` where Brolga has no such maps, and nothing can be done with it.
    kind: Option<MapKind>,
    index: usize,
    /// The region that stands for the map itself.
    pub handle: RegionId,
    cpus: usize,
    /// One region a CPU, or one for all. Array elements appear when they are first touched.
    values: BTreeMap<Vec<u8>, Vec<RegionId>>,
    /// `prog_array`: indices into the machine's programs.
    pub programs: BTreeMap<u32, usize>,
}

impl Map {
    /// An empty map, or global data with its initial value.
    pub fn new(def: &MapDef, index: usize, cpus: usize, memory: &mut Memory) -> Self {
        let handle = memory.add(What::MapHandle(index), Vec::new(), false);
        let kind = def.kind.known();
        let per_cpu = match kind {
            Some(MapKind::PerCpuHash | MapKind::PerCpuArray) => cpus,
            Some(MapKind::Hash | MapKind::Array | MapKind::ProgArray) | None => 1,
        };
        let mut map = Self {
            def: def.clone(),
            kind,
            index,
            handle,
            cpus: per_cpu,
            values: BTreeMap::new(),
            programs: BTreeMap::new(),
        };
        if let Some(global) = &def.global {
            let first = map.element(&0u32.to_le_bytes(), memory)[0];
            memory.bytes_mut(first).copy_from_slice(&global.initial);
        }
        map
    }

    /// Whether keys are indices.
    pub fn is_array(&self) -> bool {
        match self.kind {
            Some(MapKind::Array | MapKind::PerCpuArray | MapKind::ProgArray) => true,
            Some(MapKind::Hash | MapKind::PerCpuHash) | None => false,
        }
    }

    fn array_index(&self, key: &[u8]) -> Option<u32> {
        let index = u32::from_le_bytes(key.try_into().ok()?);
        (index < self.def.max_entries).then_some(index)
    }

    fn slot(&self, cpu: usize) -> usize {
        if self.cpus == 1 { 0 } else { cpu }
    }

    fn read_only(&self) -> bool {
        self.def.flags & F_RDONLY_PROG != 0 || self.def.global.as_ref().is_some_and(|g| g.readonly)
    }

    /// The element of a key, made where it is missing.
    fn element(&mut self, key: &[u8], memory: &mut Memory) -> &[RegionId] {
        let (index, cpus, size) = (self.index, self.cpus, self.def.value_size as usize);
        let writable = !self.read_only();
        self.values.entry(key.to_vec()).or_insert_with(|| {
            (0..cpus).map(|_| memory.add(What::MapValue(index), vec![0; size], writable)).collect()
        })
    }

    /// Whether programs can work with the map at all.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.kind.is_some()
    }

    /// The region of a key's value, as a program on `cpu` finds it.
    pub fn lookup(&mut self, key: &[u8], cpu: usize, memory: &mut Memory) -> Option<RegionId> {
        let slot = self.slot(cpu);
        if self.is_array() {
            self.array_index(key)?;
            return Some(self.element(key, memory)[slot]);
        }
        self.values.get(key).map(|regions| regions[slot])
    }

    /// `bpf_map_update_elem` by a program on `cpu`.
    pub fn update(&mut self, key: &[u8], value: &[u8], flags: u64, cpu: usize, memory: &mut Memory) -> i64 {
        match self.kind {
            Some(MapKind::Array | MapKind::PerCpuArray) => self.update_array(key, value, flags, cpu, memory),
            Some(MapKind::Hash | MapKind::PerCpuHash) => self.update_hash(key, value, flags, cpu, memory),
            Some(MapKind::ProgArray) | None => EINVAL,
        }
    }

    fn update_array(&mut self, key: &[u8], value: &[u8], flags: u64, cpu: usize, memory: &mut Memory) -> i64 {
        // Of plain arrays Linux looks at the lock flag (4) last: these maps have no lock.
        let lock = if self.kind == Some(MapKind::Array) { flags & 4 } else { 0 };
        if flags - lock > EXIST {
            return EINVAL;
        }
        if self.array_index(key).is_none() {
            return E2BIG;
        }
        if flags & NOEXIST != 0 {
            return EEXIST;
        }
        if lock != 0 {
            return EINVAL;
        }
        let slot = self.slot(cpu);
        let region = self.element(key, memory)[slot];
        memory.bytes_mut(region).copy_from_slice(value);
        0
    }

    fn update_hash(&mut self, key: &[u8], value: &[u8], flags: u64, cpu: usize, memory: &mut Memory) -> i64 {
        if flags > EXIST {
            return EINVAL;
        }
        let exists = self.values.contains_key(key);
        if exists && flags == NOEXIST {
            return EEXIST;
        }
        if !exists && flags == EXIST {
            return ENOENT;
        }
        if !exists && self.values.len() >= self.def.max_entries as usize {
            return E2BIG;
        }
        if exists && self.cpus == 1 {
            // A new element takes the old one's place; who holds the old one keeps reading that.
            for region in self.values.remove(key).unwrap_or_default() {
                memory.release(region);
            }
        }
        let slot = self.slot(cpu);
        let region = self.element(key, memory)[slot];
        memory.bytes_mut(region).copy_from_slice(value);
        0
    }

    /// `bpf_map_delete_elem`.
    pub fn delete(&mut self, key: &[u8], memory: &mut Memory) -> i64 {
        match self.kind {
            Some(MapKind::Array | MapKind::PerCpuArray | MapKind::ProgArray) | None => EINVAL,
            Some(MapKind::Hash | MapKind::PerCpuHash) => match self.values.remove(key) {
                None => ENOENT,
                Some(regions) => {
                    regions.into_iter().for_each(|r| memory.release(r));
                    0
                }
            },
        }
    }

    /// Sets a value from outside: one value a CPU for per-CPU kinds, else one.
    pub fn host_update(&mut self, key: &[u8], values: &[Vec<u8>], memory: &mut Memory) -> i64 {
        if self.is_array() && self.array_index(key).is_none() {
            return E2BIG;
        }
        let full = self.values.len() >= self.def.max_entries as usize;
        if !self.is_array() && full && !self.values.contains_key(key) {
            return E2BIG;
        }
        for (region, value) in self.element(key, memory).to_vec().into_iter().zip(values) {
            memory.bytes_mut(region).copy_from_slice(value);
        }
        0
    }

    /// What the map holds; array elements that are all zero are left out.
    #[must_use]
    pub fn contents(&self, memory: &Memory) -> Contents {
        self.values
            .iter()
            .map(|(key, regions)| {
                (key.clone(), regions.iter().map(|r| memory.bytes(*r).to_vec()).collect::<Vec<_>>())
            })
            .filter(|(_, values)| !self.is_array() || values.iter().flatten().any(|b| *b != 0))
            .collect()
    }
}
