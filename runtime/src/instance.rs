//! An instance: a module with maps of its own, and the handles by which the host reaches into it.
//!
//! Handles keep their instance. Two instances of one module share code and nothing else.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_abi::env::{MapRef, ProgEntry};

use crate::contexts::{Event, Packet, SocketPacket, XdpVerdict};
use crate::error::{InstanceError, RunError};
use crate::maps::{self, Map, MapError, MapHandle};
use crate::module::{MapSpec, Module, ModuleInner, ModuleProgram};
use crate::runtime::{Runtime, Shared};
use crate::value::Value;
use crate::worker::{Session, Worker};

/// A module with maps of its own. Clones are the same instance.
#[derive(Clone, Debug)]
pub struct Instance {
    inner: Arc<InstanceInner>,
}

pub(crate) struct InstanceInner {
    shared: Arc<Shared>,
    module: Arc<ModuleInner>,
    /// In the order of the module. `None` for kinds that cannot be made, which no program uses.
    maps: Box<[Option<Map>]>,
    refs: MapRefs,
}

/// How compiled code reaches the maps.
struct MapRefs(Box<[MapRef]>);

#[expect(unsafe_code, reason = "addresses of maps, which are shared between threads themselves")]
// SAFETY: the pointers lead to `InstanceInner::maps`, which are `Sync` and live as long.
unsafe impl Send for MapRefs {}
#[expect(unsafe_code, reason = "addresses of maps, which are shared between threads themselves")]
// SAFETY: as above.
unsafe impl Sync for MapRefs {}

impl fmt::Debug for InstanceInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("module", &self.module.name).finish_non_exhaustive()
    }
}

impl InstanceInner {
    pub(crate) fn map(&self, index: usize) -> Option<&Map> {
        self.maps.get(index)?.as_ref()
    }

    pub(crate) fn spec(&self, index: usize) -> &MapSpec {
        &self.module.maps[index]
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn cpus(&self) -> u32 {
        self.shared.cpus
    }

    fn entry(&self, program: usize) -> ProgEntry {
        ProgEntry { body: self.module.programs[program].body.0, maps: self.refs.0.as_ptr() }
    }

    fn map_names(&self) -> Vec<String> {
        let made = self.module.maps.iter().zip(&self.maps).filter(|(_, map)| map.is_some());
        made.map(|(spec, _)| spec.name.clone()).collect()
    }
}

impl Instance {
    /// Makes the module's maps and fills its global data.
    ///
    /// # Errors
    ///
    /// A map whose definition Linux would refuse too, or for which there is no memory.
    pub fn new(runtime: &Runtime, module: &Module) -> Result<Self, InstanceError> {
        let shared = &runtime.shared;
        let specs = &module.inner.maps;
        let make = |spec: &MapSpec| {
            let map = spec.kind.map(|kind| maps::create(spec, kind, shared)).transpose();
            map.map_err(|error| InstanceError::Map { name: spec.name.clone(), error })
        };
        let maps: Box<[Option<Map>]> = specs.iter().map(make).collect::<Result<_, _>>()?;
        let to_ref = |map: &Option<Map>| match map {
            Some(map) => MapRef { handle: ptr::from_ref(map).cast(), data: map.data() },
            None => MapRef { handle: ptr::null(), data: ptr::null_mut() },
        };
        let refs = MapRefs(maps.iter().map(to_ref).collect());
        let inner = Arc::new(InstanceInner {
            shared: Arc::clone(shared),
            module: Arc::clone(&module.inner),
            maps,
            refs,
        });
        for (spec, map) in specs.iter().zip(&inner.maps) {
            let Some(Map::ProgArray(map)) = map else { continue };
            for &(index, program) in &spec.initial_programs {
                let kind = inner.module.programs[program].info.kind;
                map.set(index, inner.entry(program), kind, None).map_err(|_| {
                    InstanceError::InitialProgram {
                        name: spec.name.clone(),
                        index,
                        program: inner.module.programs[program].info.name.clone(),
                    }
                })?;
            }
        }
        Ok(Self { inner })
    }

    /// A program by its function's name.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn program(&self, name: &str) -> Result<ProgramHandle, InstanceError> {
        let programs = &self.inner.module.programs;
        let index = programs.iter().position(|program| program.info.name == name);
        let index = index.ok_or_else(|| InstanceError::NoProgram {
            name: name.to_owned(),
            known: programs.iter().map(|program| program.info.name.clone()).collect(),
        })?;
        Ok(ProgramHandle { instance: Arc::clone(&self.inner), index })
    }

    /// All programs, in the order of the module.
    pub fn programs(&self) -> impl ExactSizeIterator<Item = ProgramHandle> {
        (0..self.inner.module.programs.len())
            .map(|index| ProgramHandle { instance: Arc::clone(&self.inner), index })
    }

    /// A map by its name; global data is found by its section's name (`.data`).
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn map(&self, name: &str) -> Result<MapHandle, InstanceError> {
        let index = self.inner.module.maps.iter().position(|spec| spec.name == name);
        let index = index.filter(|index| self.inner.map(*index).is_some());
        let index = index
            .ok_or_else(|| InstanceError::NoMap { name: name.to_owned(), known: self.inner.map_names() })?;
        Ok(MapHandle::new(Arc::clone(&self.inner), index))
    }

    /// All maps, in the order of the module.
    pub fn maps(&self) -> impl Iterator<Item = MapHandle> {
        (0..self.inner.maps.len())
            .filter(|index| self.inner.map(*index).is_some())
            .map(|index| MapHandle::new(Arc::clone(&self.inner), index))
    }

    /// A variable of the module's global data.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn global(&self, name: &str) -> Result<GlobalHandle, InstanceError> {
        for (map, spec) in self.inner.module.maps.iter().enumerate() {
            let Some(Map::Array(_)) = self.inner.map(map) else { continue };
            if let Some(variable) = spec.variables.iter().find(|variable| variable.name == name) {
                let (offset, size) = (variable.offset as usize, variable.size as usize);
                return Ok(GlobalHandle { instance: Arc::clone(&self.inner), map, offset, size });
            }
        }
        Err(InstanceError::NoGlobal { name: name.to_owned() })
    }
}

/// A program of an instance. Clones are the same program.
#[derive(Clone, Debug)]
pub struct ProgramHandle {
    instance: Arc<InstanceInner>,
    index: usize,
}

impl ProgramHandle {
    pub(crate) fn program(&self) -> &ModuleProgram {
        &self.instance.module.programs[self.index]
    }

    pub(crate) fn map_refs(&self) -> *const MapRef {
        self.instance.refs.0.as_ptr()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.instance.shared
    }

    pub(crate) fn entry(&self) -> ProgEntry {
        self.instance.entry(self.index)
    }

    /// The program's instance, unless it is `owner`.
    pub(crate) fn instance_unless(&self, owner: &Arc<InstanceInner>) -> Option<Arc<InstanceInner>> {
        (!Arc::ptr_eq(&self.instance, owner)).then(|| Arc::clone(&self.instance))
    }

    /// Name of the function.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.program().info.name
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ProgramKind {
        self.program().info.kind
    }

    /// What the module says of it.
    #[must_use]
    pub fn info(&self) -> &crate::module::ProgramInfo {
        &self.program().info
    }

    /// Begins a series of runs.
    ///
    /// # Errors
    ///
    /// The worker belongs to another runtime.
    pub fn session<'a>(&'a self, worker: &'a mut Worker) -> Result<Session<'a>, RunError> {
        Session::new(self, worker)
    }

    /// Runs the program once on an event of its kind and returns `r0`.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub fn run<E: Event>(&self, worker: &mut Worker, event: &mut E) -> Result<u64, RunError> {
        self.session(worker)?.run(event)
    }

    /// Runs an XDP program once.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub fn run_xdp(&self, worker: &mut Worker, packet: &mut Packet) -> Result<XdpVerdict, RunError> {
        self.session(worker)?.run_xdp(packet)
    }

    /// Runs a socket filter once and returns how many bytes the socket receives.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub fn run_socket_filter(
        &self,
        worker: &mut Worker,
        packet: &mut SocketPacket<'_>,
    ) -> Result<u32, RunError> {
        self.session(worker)?.run_socket_filter(packet)
    }

    /// Runs a `raw_memory` program once on a buffer and returns `r0`.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub fn run_raw(&self, worker: &mut Worker, memory: &mut [u8]) -> Result<u64, RunError> {
        self.session(worker)?.run_raw(memory)
    }
}

/// A variable of an instance's global data.
#[derive(Clone, Debug)]
pub struct GlobalHandle {
    instance: Arc<InstanceInner>,
    map: usize,
    offset: usize,
    size: usize,
}

impl GlobalHandle {
    fn array(&self) -> &maps::Array {
        match self.instance.map(self.map) {
            Some(Map::Array(map)) => map,
            _ => unreachable!("global data is an array map"),
        }
    }

    /// Bytes of the variable.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Copies the variable's bytes.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        self.array().read_part(self.offset, &mut bytes);
        bytes
    }

    /// Overwrites the variable.
    ///
    /// # Errors
    ///
    /// Bytes of another length than the variable, or a constant: compiled code relies on those.
    pub fn write(&self, bytes: &[u8]) -> Result<(), MapError> {
        if self.instance.spec(self.map).folded {
            return Err(MapError::ReadOnly);
        }
        if bytes.len() != self.size {
            return Err(self.size_error(bytes.len()));
        }
        self.array().write_part(self.offset, bytes);
        Ok(())
    }

    /// The variable's value.
    ///
    /// # Errors
    ///
    /// A type of another size than the variable.
    pub fn get<T: Value>(&self) -> Result<T, MapError> {
        if T::SIZE != self.size {
            return Err(self.size_error(T::SIZE));
        }
        Ok(T::read(&self.read()))
    }

    /// Sets the variable.
    ///
    /// # Errors
    ///
    /// As [`GlobalHandle::write`].
    pub fn set<T: Value>(&self, value: T) -> Result<(), MapError> {
        self.write(&value.to_vec())
    }

    /// The variable as a Rust type.
    ///
    /// # Errors
    ///
    /// A type of another size than the variable.
    pub fn typed<T: Value>(self) -> Result<TypedGlobal<T>, MapError> {
        if T::SIZE != self.size {
            return Err(self.size_error(T::SIZE));
        }
        Ok(TypedGlobal { global: self, value: PhantomData })
    }

    fn size_error(&self, found: usize) -> MapError {
        MapError::ValueSize { expected: u32::try_from(self.size).expect("a variable lies in a value"), found }
    }
}

/// A variable of an instance's global data, as a Rust type.
#[derive(Clone, Debug)]
pub struct TypedGlobal<T> {
    global: GlobalHandle,
    value: PhantomData<fn() -> T>,
}

impl<T: Value> TypedGlobal<T> {
    /// The variable's value.
    #[must_use]
    pub fn get(&self) -> T {
        T::read(&self.global.read())
    }

    /// Sets the variable.
    ///
    /// # Errors
    ///
    /// A constant: compiled code relies on it.
    pub fn set(&self, value: T) -> Result<(), MapError> {
        self.global.set(value)
    }
}
