//! Maps as the host sees them: elements by key, copied in and out.
//!
//! No reference into a map is ever given out. A value that programs write meanwhile may be read as
//! a mix of old and new words; what one update wrote is read whole where the kind replaces elements (`hash`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use brolga_abi::maps::{BPF_ANY, BPF_EXIST, BPF_NOEXIST, F_RDONLY, F_WRONLY};
use brolga_abi::{MapKind, ProgramKind};

use super::{Caller, Errno, Map};
use crate::instance::{InstanceInner, ProgramHandle};
use crate::module::MapSpec;
use crate::sync::Lent;

/// A map's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Name: the variable's, or the section's for global data.
    pub name: String,
    /// Kind.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements at a time.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What an update does about a key that exists, or does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// `BPF_ANY`: create or replace.
    #[default]
    Any,
    /// `BPF_NOEXIST`: create only.
    NoExist,
    /// `BPF_EXIST`: replace only.
    Exist,
}

impl Update {
    fn flags(self) -> u64 {
        match self {
            Self::Any => BPF_ANY,
            Self::NoExist => BPF_NOEXIST,
            Self::Exist => BPF_EXIST,
        }
    }
}

/// Why an operation on a map failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapError {
    /// `ENOENT`: the map has no such key.
    NotFound,
    /// `EEXIST`: the map has the key already, and it was to be created.
    Exists,
    /// `E2BIG`: the map is full, or the index is past an array's end.
    Full {
        /// Elements that the map may have.
        max_entries: u32,
    },
    /// `EINVAL`: this kind of map does not have the operation.
    NotPossible {
        /// What was tried.
        operation: &'static str,
        /// The map's kind.
        kind: MapKind,
    },
    /// `EINVAL`: a key of the wrong size.
    KeySize {
        /// The map's.
        expected: u32,
        /// The key's.
        found: usize,
    },
    /// `EINVAL`: a value of the wrong size.
    ValueSize {
        /// The map's.
        expected: u32,
        /// The value's.
        found: usize,
    },
    /// `EINVAL`: a per-CPU map wants one value for each CPU slot.
    ValueCount {
        /// CPU slots of the runtime.
        expected: usize,
        /// Values that were given.
        found: usize,
    },
    /// `EPERM`: the map may not be written (`BPF_F_RDONLY`), or compiled code relies on what it holds.
    ReadOnly,
    /// `EPERM`: the map may not be read (`BPF_F_WRONLY`).
    WriteOnly,
    /// `EINVAL`: programs of another kind jump through the `prog_array`.
    ProgramKind {
        /// The kind of the program that was to be an entry.
        found: ProgramKind,
    },
    /// `EINVAL`: the program belongs to another runtime.
    ForeignProgram,
}

impl MapError {
    /// Linux's number for the error, positive.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::NotFound => 2,
            Self::ReadOnly | Self::WriteOnly => 1,
            Self::Full { .. } => 7,
            Self::Exists => 17,
            Self::NotPossible { .. }
            | Self::KeySize { .. }
            | Self::ValueSize { .. }
            | Self::ValueCount { .. }
            | Self::ProgramKind { .. }
            | Self::ForeignProgram => 22,
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("the map has no such key"),
            Self::Exists => f.write_str("the map has the key already"),
            Self::Full { max_entries } => {
                write!(f, "the map has room for {max_entries} elements, not for this one")
            }
            Self::NotPossible { operation, kind } => {
                write!(f, "{operation} is not possible in a map of kind `{}`", kind.info().name)
            }
            Self::KeySize { expected, found } => {
                write!(f, "keys of the map have {expected} bytes, this one has {found}")
            }
            Self::ValueSize { expected, found } => {
                write!(f, "values of the map have {expected} bytes, this one has {found}")
            }
            Self::ValueCount { expected, found } => {
                write!(f, "a per-CPU map wants {expected} values, one for each CPU slot, not {found}")
            }
            Self::ReadOnly => f.write_str("the map may not be written"),
            Self::WriteOnly => f.write_str("the map may not be read"),
            Self::ProgramKind { found } => {
                write!(f, "a program of kind `{}` cannot be an entry of this prog_array", found.info().name)
            }
            Self::ForeignProgram => f.write_str("the program belongs to another runtime than the map"),
        }
    }
}

impl std::error::Error for MapError {}

/// A map of an instance. Clones are the same map.
#[derive(Clone, Debug)]
pub struct MapHandle {
    instance: Arc<InstanceInner>,
    index: usize,
}

impl MapHandle {
    /// `index` is that of a map that the instance has.
    pub(crate) fn new(instance: Arc<InstanceInner>, index: usize) -> Self {
        Self { instance, index }
    }

    pub(super) fn map(&self) -> &Map {
        self.instance.map(self.index).expect("handles are made of maps that exist")
    }

    fn spec(&self) -> &MapSpec {
        self.instance.spec(self.index)
    }

    /// The map's definition.
    #[must_use]
    pub fn info(&self) -> MapInfo {
        let spec = self.spec();
        MapInfo {
            name: spec.name.clone(),
            kind: self.map().kind(),
            key_size: spec.key_size,
            value_size: spec.value_size,
            max_entries: spec.max_entries,
            flags: spec.flags,
        }
    }

    /// The map's kind.
    #[must_use]
    pub fn kind(&self) -> MapKind {
        self.map().kind()
    }

    /// Bytes of a key.
    #[must_use]
    pub fn key_size(&self) -> usize {
        self.map().key_size()
    }

    /// Bytes of a value.
    #[must_use]
    pub fn value_size(&self) -> usize {
        self.map().value_size()
    }

    /// CPU slots of the runtime: how many values an element of a per-CPU map has.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.instance.cpus()
    }

    /// How many elements the map has; arrays have all from the start.
    #[must_use]
    pub fn len(&self) -> u32 {
        match self.map() {
            Map::Array(map) => map.max_entries(),
            Map::PerCpuArray(map) => map.max_entries(),
            Map::Hash(map) => map.len(),
            Map::PerCpuHash(map) => map.len(),
            Map::ProgArray(map) => {
                let set = (0..map.max_entries()).filter(|i| map.is_set(*i) == Some(true)).count();
                u32::try_from(set).expect("no more than max_entries")
            }
        }
    }

    /// Whether the map has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key, or `None` where the map does not have it.
    ///
    /// # Errors
    ///
    /// A key of the wrong size, a per-CPU map (see [`MapHandle::lookup_percpu`]) or `prog_array`, or a write-only map.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        self.check_read(key)?;
        match self.map() {
            Map::Array(map) => Ok(map.read(index_of(key))),
            Map::Hash(map) => Ok(map.read(key)),
            Map::PerCpuArray(_) | Map::PerCpuHash(_) => Err(self.not_possible("lookup of a single value")),
            Map::ProgArray(_) => Err(self.not_possible("lookup")),
        }
    }

    /// The values of a key, one for each CPU slot, or `None` where the map does not have it.
    ///
    /// # Errors
    ///
    /// A key of the wrong size, a map that is not per-CPU, or a write-only map.
    pub fn lookup_percpu(&self, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, MapError> {
        self.check_read(key)?;
        match self.map() {
            Map::PerCpuArray(map) => Ok(map.read(index_of(key))),
            Map::PerCpuHash(map) => Ok(map.read(key)),
            Map::Array(_) | Map::Hash(_) | Map::ProgArray(_) => Err(self.not_possible("lookup per CPU")),
        }
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// What `bpf_map_update_elem` refuses: a full map, an index past the end, a key that exists or
    /// does not against the flag; sizes that are not the map's; a per-CPU map (see
    /// [`MapHandle::update_percpu`]) or `prog_array`; a read-only map.
    pub fn update(&self, key: &[u8], value: &[u8], update: Update) -> Result<(), MapError> {
        self.check_write(key)?;
        self.check_value(value)?;
        let (value, flags) = (Lent::host(value), update.flags());
        let result = match self.map() {
            Map::Array(map) => map.update(index_of(key), value, flags),
            Map::Hash(map) => map.update(Lent::host(key), value, flags, Caller::Host),
            Map::PerCpuArray(_) | Map::PerCpuHash(_) => {
                return Err(self.not_possible("update of a single value"));
            }
            Map::ProgArray(_) => return Err(self.not_possible("update by value")),
        };
        result.map_err(|errno| self.error("update", errno))
    }

    /// Sets the values of a key, one for each CPU slot.
    ///
    /// # Errors
    ///
    /// As [`MapHandle::update`], and another number of values than the runtime has CPU slots.
    pub fn update_percpu<V: AsRef<[u8]>>(
        &self,
        key: &[u8],
        values: &[V],
        update: Update,
    ) -> Result<(), MapError> {
        self.check_write(key)?;
        let expected = self.instance.cpus() as usize;
        if values.len() != expected {
            return Err(MapError::ValueCount { expected, found: values.len() });
        }
        values.iter().try_for_each(|value| self.check_value(value.as_ref()))?;
        let flags = update.flags();
        let result = match self.map() {
            Map::PerCpuArray(map) => map.update_all(index_of(key), values, flags),
            Map::PerCpuHash(map) => map.update_all(key, values, flags),
            Map::Array(_) | Map::Hash(_) | Map::ProgArray(_) => {
                return Err(self.not_possible("update per CPU"));
            }
        };
        result.map_err(|errno| self.error("update", errno))
    }

    /// Removes a key, or empties a slot of a `prog_array`.
    ///
    /// # Errors
    ///
    /// A key that the map does not have, an array (whose elements are always there), or a read-only map.
    pub fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_write(key)?;
        let result = match self.map() {
            Map::ProgArray(map) => map.clear(index_of(key)),
            map @ (Map::Array(_) | Map::PerCpuArray(_) | Map::Hash(_) | Map::PerCpuHash(_)) => {
                map.delete(Lent::host(key))
            }
        };
        result.map_err(|errno| self.error("delete", errno))
    }

    /// Puts a program into a slot of a `prog_array`. Runs that begin afterwards jump to it.
    ///
    /// A program of another instance is kept alive by the slot; instances whose arrays hold each other's
    /// programs are freed only after a slot of the circle was emptied.
    ///
    /// # Errors
    ///
    /// A map of another kind, an index past the end, a program of another kind than those that jump through the map, or of another runtime.
    pub fn set_program(&self, index: u32, program: &ProgramHandle) -> Result<(), MapError> {
        let Map::ProgArray(map) = self.map() else {
            return Err(self.not_possible("a program as a value"));
        };
        if !Arc::ptr_eq(program.shared(), self.instance.shared()) {
            return Err(MapError::ForeignProgram);
        }
        let kind = program.kind();
        let keep = program.instance_unless(&self.instance);
        map.set(index, program.entry(), kind, keep).map_err(|errno| {
            if errno == Errno::Invalid {
                MapError::ProgramKind { found: kind }
            } else {
                self.error("a program as a value", errno)
            }
        })
    }

    /// Empties a slot of a `prog_array`.
    ///
    /// # Errors
    ///
    /// A map of another kind, an index past the end, or an empty slot.
    pub fn clear_program(&self, index: u32) -> Result<(), MapError> {
        let Map::ProgArray(map) = self.map() else {
            return Err(self.not_possible("a program as a value"));
        };
        map.clear(index).map_err(|errno| self.error("delete", errno))
    }

    /// The keys. Those that are there all the time while they are listed are listed exactly once.
    #[must_use]
    pub fn keys(&self) -> Keys {
        let end = match self.map() {
            Map::Array(map) => map.max_entries().into(),
            Map::PerCpuArray(map) => map.max_entries().into(),
            Map::ProgArray(map) => map.max_entries().into(),
            Map::Hash(map) => map.buckets(),
            Map::PerCpuHash(map) => map.buckets(),
        };
        Keys { map: self.clone(), next: 0, end, ready: VecDeque::new() }
    }

    /// Keys and values of a map that is not per-CPU.
    ///
    /// # Errors
    ///
    /// As [`MapHandle::lookup`].
    pub fn entries(&self) -> Result<Vec<Entry>, MapError> {
        self.check_access(F_WRONLY, MapError::WriteOnly)?;
        match self.map() {
            Map::Hash(map) => Ok((0..map.buckets()).flat_map(|bucket| map.read_bucket(bucket)).collect()),
            Map::Array(map) => {
                let entry = |i: u32| Some((i.to_ne_bytes().to_vec(), map.read(i)?));
                Ok((0..map.max_entries()).filter_map(entry).collect())
            }
            Map::PerCpuArray(_) | Map::PerCpuHash(_) | Map::ProgArray(_) => {
                Err(self.not_possible("listing of single values"))
            }
        }
    }

    fn check_read(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_key(key)?;
        self.check_access(F_WRONLY, MapError::WriteOnly)
    }

    fn check_write(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_key(key)?;
        if self.spec().folded {
            return Err(MapError::ReadOnly);
        }
        self.check_access(F_RDONLY, MapError::ReadOnly)
    }

    fn check_access(&self, flag: u32, error: MapError) -> Result<(), MapError> {
        if self.spec().flags & flag == 0 { Ok(()) } else { Err(error) }
    }

    fn check_key(&self, key: &[u8]) -> Result<(), MapError> {
        let expected = self.spec().key_size;
        if key.len() == expected as usize {
            Ok(())
        } else {
            Err(MapError::KeySize { expected, found: key.len() })
        }
    }

    fn check_value(&self, value: &[u8]) -> Result<(), MapError> {
        let expected = self.spec().value_size;
        if value.len() == expected as usize {
            Ok(())
        } else {
            Err(MapError::ValueSize { expected, found: value.len() })
        }
    }

    fn not_possible(&self, operation: &'static str) -> MapError {
        MapError::NotPossible { operation, kind: self.map().kind() }
    }

    fn error(&self, operation: &'static str, errno: Errno) -> MapError {
        match errno {
            Errno::NoEntry => MapError::NotFound,
            Errno::Exists => MapError::Exists,
            Errno::TooBig => MapError::Full { max_entries: self.spec().max_entries },
            Errno::Invalid | Errno::Access | Errno::Fault => self.not_possible(operation),
        }
    }
}

/// An array's key as a number.
fn index_of(key: &[u8]) -> u32 {
    Lent::host(key).index()
}

/// The keys of a map: see [`MapHandle::keys`].
#[derive(Clone, Debug)]
pub struct Keys {
    map: MapHandle,
    /// The next index, or the next bucket.
    next: u64,
    end: u64,
    ready: VecDeque<Vec<u8>>,
}

impl Iterator for Keys {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(key) = self.ready.pop_front() {
                return Some(key);
            }
            if self.next == self.end {
                return None;
            }
            let at = self.next;
            self.next += 1;
            let index = u32::try_from(at);
            let index_key = index.ok().map(|i| i.to_ne_bytes().to_vec());
            match self.map.map() {
                Map::Array(_) | Map::PerCpuArray(_) => self.ready.extend(index_key),
                Map::ProgArray(map) => {
                    self.ready
                        .extend(index_key.filter(|_| index.ok().and_then(|i| map.is_set(i)) == Some(true)));
                }
                Map::Hash(map) => self.ready.extend(map.read_bucket(at).into_iter().map(|(key, _)| key)),
                Map::PerCpuHash(map) => {
                    self.ready.extend(map.read_bucket(at).into_iter().map(|(key, _)| key))
                }
            }
        }
    }
}
