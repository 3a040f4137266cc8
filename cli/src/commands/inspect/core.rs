//! CO-RE relocations, and what they resolved to.

use std::collections::BTreeMap;

use brolga_compiler::btf::relo::Outcome;
use brolga_compiler::isa::InsnIdx;
use brolga_compiler::program::{CoreRelocation, KernelTypes, Program};
use serde::Serialize;

use crate::io::Out;
use crate::io::{outln, outp};
use crate::style::{DIM, WARNING};

#[derive(Serialize)]
pub(super) struct CoreReport {
    insn: u32,
    /// libbpf's name of the kind.
    kind: &'static str,
    /// The field, type or enumerator in the object's types.
    local: String,
    /// Its value there.
    original: u64,
    /// The value by the kernel's types; none where they have no such field or enumerator.
    value: Option<u64>,
    /// What it is in the kernel's types.
    target: Option<CoreTarget>,
    /// Whether the instruction must not be executed.
    poisoned: bool,
}

#[derive(Clone, Serialize)]
struct CoreTarget {
    /// The module whose types have it; none for the kernel's own.
    module: Option<String>,
    /// Id of the type at the root.
    id: u32,
    spec: String,
}

impl CoreReport {
    fn new(program: &Program, at: InsnIdx, relocation: &CoreRelocation) -> Self {
        let resolution = &relocation.resolution;
        let module = |index: usize| match &program.kernel {
            KernelTypes::Own => None,
            KernelTypes::Kernel(kernel) => kernel.modules.get(index).map(|(name, _)| name.clone()),
        };
        Self {
            insn: at.0,
            kind: resolution.kind.name(),
            local: resolution.local.to_string(),
            original: resolution.original,
            value: match resolution.outcome {
                Outcome::Value(value) => Some(value),
                Outcome::Missing(_) => None,
            },
            target: resolution.target.as_ref().map(|target| CoreTarget {
                module: target.module.and_then(module),
                id: target.spec.root.0,
                spec: target.spec.to_string(),
            }),
            poisoned: relocation.poisoned,
        }
    }

    pub(super) fn all(program: &Program) -> Vec<Self> {
        program.core.iter().map(|(at, relocation)| Self::new(program, at, relocation)).collect()
    }

    /// Prints each different one once.
    pub(super) fn text(all: &[Self], out: &mut Out) -> std::io::Result<()> {
        let mut groups: BTreeMap<(&str, &str), Vec<&Self>> = BTreeMap::new();
        for one in all {
            groups.entry((&one.local, one.kind)).or_default().push(one);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| group[0].insn);
        if !groups.is_empty() {
            outln!(out, "    CO-RE relocations:")?;
        }
        for group in groups {
            let first = group[0];
            outp!(out, "      {:14} {} ", first.kind, first.local)?;
            match first.value {
                Some(value) if first.poisoned => outp!(out, "{WARNING}{value}, of another size{WARNING:#}")?,
                Some(value) => outp!(out, "= {value}")?,
                None => outp!(out, "{WARNING}missing{WARNING:#}")?,
            }
            if let Some(target) = &first.target {
                let module = target.module.as_deref().map_or_else(String::new, |name| format!(" of {name}"));
                outp!(out, " {DIM}as {}, type {}{module}{DIM:#}", target.spec, target.id)?;
            }
            let at: Vec<String> = group.iter().map(|one| one.insn.to_string()).collect();
            outln!(out, " {DIM}at {}{DIM:#}", at.join(", "))?;
        }
        Ok(())
    }
}
