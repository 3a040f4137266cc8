//! Maps: definitions, types of keys and values, what they hold at first.

use std::io::Write;

use brolga_abi::maps as abi;
use brolga_compiler::btf::{Btf, TypeId};
use brolga_compiler::isa::Endianness;
use brolga_compiler::program::{ArenaData, MapDef, Object, StructOps, StructOpsKernel};
use serde::Serialize;

use super::globals::VariableReport;
use super::names::type_name;
use crate::io::Out;
use crate::io::{outln, outp};
use crate::style::{DIM, WARNING};
use crate::value::{Value, decode};

/// Names of `BPF_F_*`, by bit.
const FLAGS: &[(u32, &str)] = &[
    (abi::F_NO_PREALLOC, "no_prealloc"),
    (1 << 1, "no_common_lru"),
    (abi::F_NUMA_NODE, "numa_node"),
    (abi::F_RDONLY, "rdonly"),
    (abi::F_WRONLY, "wronly"),
    (1 << 5, "stack_build_id"),
    (1 << 6, "zero_seed"),
    (abi::F_RDONLY_PROG, "rdonly_prog"),
    (abi::F_WRONLY_PROG, "wronly_prog"),
    (1 << 9, "clone"),
    (abi::F_MMAPABLE, "mmapable"),
    (1 << 11, "preserve_elems"),
    (1 << 12, "inner_map"),
    (1 << 13, "link"),
    (1 << 17, "segv_on_fault"),
    (1 << 18, "no_user_conv"),
];

#[derive(Serialize)]
pub(super) struct MapReport<'a> {
    name: &'a str,
    kind: String,
    supported: bool,
    autocreate: bool,
    pinned: bool,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    flag_names: Vec<String>,
    extra: u64,
    numa_node: u32,
    /// Type of a key.
    key: Option<String>,
    /// Type of a value.
    value: Option<String>,
    /// Maps of maps: what is in them.
    inner: Option<Box<MapReport<'a>>>,
    /// Entries of a `prog_array` that the source fills in.
    programs: Vec<(u32, &'a str)>,
    /// Entries of a map of maps that the source fills in.
    maps: Vec<(u32, &'a str)>,
    struct_ops: Option<OpsReport<'a>>,
    arena: Option<ArenaReport<'a>>,
}

/// The structure of a `struct_ops` map.
#[derive(Serialize)]
struct OpsReport<'a> {
    /// Its name without flavour.
    name: &'a str,
    members: Vec<OpsMember>,
    kernel: Option<OpsKernel<'a>>,
}

/// A member: a program's name, or a value.
#[derive(Serialize)]
struct OpsMember {
    name: String,
    program: Option<String>,
    value: Option<serde_json::Value>,
    #[serde(skip)]
    text: String,
}

/// The structure in the kernel that the object was loaded for.
#[derive(Serialize)]
struct OpsKernel<'a> {
    module: Option<&'a str>,
    /// Ids in the kernel's BTF.
    #[serde(rename = "type")]
    ty: Option<u32>,
    value_type: Option<u32>,
    /// Why it cannot be used there.
    refused: Option<&'a str>,
}

#[derive(Serialize)]
struct ArenaReport<'a> {
    /// Where the variables are in the arena.
    offset: u64,
    variables: Vec<VariableReport<'a>>,
}

impl<'a> MapReport<'a> {
    pub(super) fn new(map: &'a MapDef, object: &'a Object) -> Self {
        let btf = object.btf.as_deref();
        let name = |ty: Option<TypeId>| Some(type_name(btf?, ty?));
        let map_name = |id: usize| object.maps.get(id).map_or("", |map| map.name.as_str());
        Self {
            name: &map.name,
            kind: map.kind.to_string(),
            supported: map.kind.known().is_some(),
            autocreate: map.autocreate,
            pinned: map.pinned,
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: map.max_entries,
            flags: map.flags,
            flag_names: flag_names(map.flags),
            extra: map.extra,
            numa_node: map.numa_node,
            key: name(map.key_type),
            value: name(map.value_type),
            inner: map.inner.as_deref().map(|inner| Box::new(Self::new(inner, object))),
            programs: map.initial_programs.iter().map(|(index, name)| (*index, name.as_str())).collect(),
            maps: map.initial_maps.iter().map(|(key, id)| (*key, map_name(id.index()))).collect(),
            struct_ops: map.struct_ops.as_ref().map(|ops| OpsReport::new(ops, object.endianness, btf)),
            arena: map.arena.as_ref().map(|data| ArenaReport::new(data, object.endianness, btf)),
        }
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        outp!(out, "  {:24} {:20} ", self.name, self.kind)?;
        self.shape(out)?;
        if !self.autocreate {
            outp!(out, " {DIM}not made by default{DIM:#}")?;
        }
        if !self.supported {
            outp!(out, " {WARNING}not supported{WARNING:#}")?;
        }
        writeln!(out)?;
        if let Some(inner) = &self.inner {
            outp!(out, "    maps in it: {} ", inner.kind)?;
            inner.shape(out)?;
            writeln!(out)?;
        }
        for (key, name) in self.programs.iter().chain(&self.maps) {
            outln!(out, "    [{key}] = {name}")?;
        }
        if let Some(ops) = &self.struct_ops {
            ops.text(out)?;
        }
        if let Some(arena) = &self.arena {
            outln!(out, "    variables at {}:", arena.offset)?;
            for variable in &arena.variables {
                variable.text("    ", out)?;
            }
        }
        Ok(())
    }

    /// Sizes, types and flags, in one line.
    fn shape(&self, out: &mut Out) -> std::io::Result<()> {
        let part = |size: u32, ty: &Option<String>| match ty {
            Some(ty) => format!("{ty} ({size})"),
            None => size.to_string(),
        };
        let (key, value) = (part(self.key_size, &self.key), part(self.value_size, &self.value));
        outp!(out, "key {key}, value {value}, max {}", self.max_entries)?;
        if self.flags != 0 {
            outp!(out, ", flags {}", self.flag_names.join(" "))?;
        }
        if self.numa_node != 0 {
            outp!(out, ", node {}", self.numa_node)?;
        }
        if self.extra != 0 {
            outp!(out, ", extra {:#x}", self.extra)?;
        }
        if self.pinned { outp!(out, ", pinned") } else { Ok(()) }
    }
}

/// Names of flags; numbers of those without one.
fn flag_names(flags: u32) -> Vec<String> {
    let bits = (0..32).map(|bit| 1 << bit).filter(|bit| flags & bit != 0);
    let name = |bit: u32| {
        let row = FLAGS.iter().find(|(flag, _)| *flag == bit);
        row.map_or_else(|| format!("{bit:#x}"), |(_, name)| (*name).to_owned())
    };
    bits.map(name).collect()
}

impl<'a> OpsReport<'a> {
    fn new(ops: &'a StructOps, order: Endianness, btf: Option<&Btf>) -> Self {
        let mut members: Vec<OpsMember> = match decode(order, btf, Some(ops.ty), &ops.initial) {
            Value::Struct(members) => members
                .into_iter()
                .map(|(name, value)| {
                    let (text, value) = (value.to_string(), Some(value.json()));
                    OpsMember { name, program: None, value, text }
                })
                .collect(),
            _ => Vec::new(),
        };
        let mut programs = ops.programs.iter();
        let mut next = programs.next();
        for member in &mut members {
            if let Some(program) = next.filter(|program| program.member == member.name) {
                member.program = Some(program.program.clone());
                member.value = None;
                member.text.clone_from(&program.program);
                next = programs.next();
            }
        }
        let kernel = match &ops.kernel {
            StructOpsKernel::None => None,
            StructOpsKernel::Known { module, ty, value_type, .. } => Some(OpsKernel {
                module: module.as_deref(),
                ty: Some(ty.0),
                value_type: Some(value_type.0),
                refused: None,
            }),
            StructOpsKernel::Refused(reason) => {
                Some(OpsKernel { module: None, ty: None, value_type: None, refused: Some(reason) })
            }
        };
        Self { name: &ops.name, members, kernel }
    }

    fn text(&self, out: &mut Out) -> std::io::Result<()> {
        for member in &self.members {
            if member.program.is_some() || !matches!(&*member.text, "0" | "\"\"") {
                outln!(out, "    .{} = {}", member.name, member.text)?;
            }
        }
        match self.kernel.as_ref().and_then(|kernel| kernel.refused) {
            Some(reason) => outln!(out, "    {WARNING}refused{WARNING:#}: {reason}"),
            None => Ok(()),
        }
    }
}

impl<'a> ArenaReport<'a> {
    fn new(data: &'a ArenaData, order: Endianness, btf: Option<&Btf>) -> Self {
        let variable = |variable| VariableReport::new(variable, &data.initial, order, btf);
        Self { offset: data.offset, variables: data.variables.iter().map(variable).collect() }
    }
}
