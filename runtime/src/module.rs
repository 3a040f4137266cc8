//! A module: compiled programs and the definitions of their maps, wherever they came from.
//!
//! Immutable and shared by instances; the code lives as long as the module. What is here is
//! trusted: it was checked when it was loaded, or comes from the verifier in this process.

use std::any::Any;
use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use brolga_abi::env::Entry;
use brolga_abi::{MapKind, ProgramKind};

/// Compiled code and the definitions of its maps. Clones share the code.
#[derive(Clone, Debug)]
pub struct Module {
    pub(crate) inner: Arc<ModuleInner>,
}

/// What a module says of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Name of the function.
    pub name: String,
    /// ELF section; may be empty.
    pub section: String,
    /// Kind.
    pub kind: ProgramKind,
    /// `raw_memory` programs: bytes of the buffer that they were verified for.
    pub raw_memory_len: u32,
}

pub(crate) struct ModuleInner {
    pub(crate) name: String,
    pub(crate) license: String,
    pub(crate) maps: Vec<MapSpec>,
    pub(crate) programs: Vec<ModuleProgram>,
    /// Keeps the code in memory: JIT code, or an open shared object.
    pub(crate) code: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for ModuleInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name)
            .field("programs", &self.programs)
            .field("maps", &self.maps)
            .field("owns_code", &self.code.is_some())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct ModuleProgram {
    pub(crate) info: ProgramInfo,
    pub(crate) entry: Entry,
    pub(crate) body: Code,
}

/// An address of code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub(crate) *const c_void);

#[expect(unsafe_code, reason = "an address of immutable code")]
// SAFETY: code is never written and the address is only called or compared.
unsafe impl Send for Code {}
#[expect(unsafe_code, reason = "an address of immutable code")]
// SAFETY: as above.
unsafe impl Sync for Code {}

/// A map as a module defines it.
#[derive(Clone, Debug)]
pub(crate) struct MapSpec {
    pub(crate) name: String,
    /// `None` for a kind that this runtime cannot make: no program of the module uses the map.
    pub(crate) kind: Option<MapKind>,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
    /// Bytes of the first value of global data; empty where the map starts zeroed.
    pub(crate) initial: Arc<[u8]>,
    /// Whether the host may not change it: the code relies on what it holds.
    pub(crate) folded: bool,
    /// `prog_array`: the kind of programs that tail-call through it.
    pub(crate) owner: Option<ProgramKind>,
    /// `prog_array`: entries to set at first, as (index, index of a program of the module).
    pub(crate) initial_programs: Vec<(u32, usize)>,
    pub(crate) variables: Vec<VariableSpec>,
}

/// A variable in global data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VariableSpec {
    pub(crate) name: String,
    pub(crate) offset: u32,
    pub(crate) size: u32,
}

impl Module {
    pub(crate) fn from_inner(inner: ModuleInner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The module's name; empty for modules without one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The licence that the object declares.
    #[must_use]
    pub fn license(&self) -> &str {
        &self.inner.license
    }

    /// The programs, in the order of the object.
    pub fn programs(&self) -> impl ExactSizeIterator<Item = &ProgramInfo> {
        self.inner.programs.iter().map(|program| &program.info)
    }
}
