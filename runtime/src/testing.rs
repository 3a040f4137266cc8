//! Modules for tests: maps from a line, programs that are Rust functions.

#![expect(unsafe_code, reason = "stands in for compiled code")]

use std::ffi::c_void;
use std::sync::Arc;

use brolga_abi::env::{Entry, Env};
use brolga_abi::{MapKind, ProgramKind};

use crate::module::{Code, MapSpec, Module, ModuleInner, ModuleProgram, ProgramInfo};
use crate::{Instance, Runtime};

pub(crate) fn spec(name: &str, kind: MapKind, key_size: u32, value_size: u32, max_entries: u32) -> MapSpec {
    MapSpec {
        name: name.to_owned(),
        kind: Some(kind),
        key_size,
        value_size,
        max_entries,
        flags: 0,
        initial: Arc::from([]),
        folded: false,
        owner: None,
        initial_programs: Vec::new(),
        variables: Vec::new(),
    }
}

pub(crate) fn program(name: &str, kind: ProgramKind, entry: Entry) -> ModuleProgram {
    let info = ProgramInfo { name: name.to_owned(), section: String::new(), kind, raw_memory_len: 8 };
    ModuleProgram { info, entry, body: Code(entry as *const c_void) }
}

pub(crate) fn module(maps: Vec<MapSpec>, programs: Vec<ModuleProgram>) -> Module {
    Module::from_inner(ModuleInner {
        name: "test".to_owned(),
        license: "GPL".to_owned(),
        maps,
        programs,
        code: None,
    })
}

pub(crate) fn instance(runtime: &Runtime, maps: Vec<MapSpec>) -> Instance {
    Instance::new(runtime, &module(maps, Vec::new())).expect("the maps can be made")
}

/// A program that returns a constant.
pub(crate) unsafe extern "C" fn pass(_context: *mut c_void, _env: *mut Env) -> u64 {
    2
}
