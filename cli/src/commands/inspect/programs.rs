//! Programs, their functions, and what their instructions refer to.

use std::collections::{BTreeMap, BTreeSet};

use brolga_abi::{AttachType, HelperId};
use brolga_compiler::isa::{CallTarget, Imm64, Insn, InsnIdx};
use brolga_compiler::program::{POISON, POISON_CALL, Program, Resolution, Subprog};
use serde::Serialize;

use super::core::CoreReport;
use crate::io::Out;
use crate::io::outln;
use crate::style::{DIM, WARNING};

#[derive(Serialize)]
pub(super) struct ProgramReport<'a> {
    name: &'a str,
    section: &'a str,
    kind: Option<&'static str>,
    /// Name of the constant of `enum bpf_attach_type`.
    attach: Option<&'static str>,
    /// What the section's name says after the slash: `vfs_read` of `fentry/vfs_read`.
    target: Option<&'a str>,
    sleepable: bool,
    frags: bool,
    autoload: bool,
    /// The member of a structure that it is.
    struct_ops: Option<SlotReport<'a>>,
    insns: usize,
    functions: Vec<FunctionReport<'a>>,
    /// What its instructions refer to: relocations, as they were resolved, and calls.
    references: Vec<Reference>,
    core: Vec<CoreReport>,
    findings: Vec<String>,
}

#[derive(Serialize)]
struct SlotReport<'a> {
    ops: &'a str,
    member: &'a str,
    /// Id of the structure in the kernel's BTF.
    id: Option<u32>,
    /// The member's index there.
    index: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct FunctionReport<'a> {
    name: &'a str,
    start: u32,
    insns: usize,
    global: bool,
}

#[derive(Serialize)]
struct Reference {
    insn: u32,
    to: Referent,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u32>,
}

/// What an instruction refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Referent {
    Map,
    Data,
    Helper,
    Function,
    Kfunc,
    Variable,
}

impl<'a> ProgramReport<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        let function = |(i, subprog): (usize, &'a Subprog)| {
            let end = program.subprogs.get(i + 1).map_or(program.insns.len(), |next| next.start.index());
            FunctionReport {
                name: &subprog.name,
                start: subprog.start.0,
                insns: end.saturating_sub(subprog.start.index()),
                global: subprog.global,
            }
        };
        let insns = (0..).map(InsnIdx).zip(&program.insns);
        let externs = by_id(program);
        Self {
            name: &program.name,
            section: &program.section,
            kind: program.kind.map(|kind| kind.info().name),
            attach: program.attach.map(AttachType::name),
            target: program.target.as_deref(),
            sleepable: program.traits.sleepable,
            frags: program.traits.frags,
            autoload: program.autoload,
            struct_ops: program.struct_ops.as_ref().map(|slot| SlotReport {
                ops: &slot.ops,
                member: &slot.member,
                id: slot.kernel.map(|(id, _)| id.0),
                index: slot.kernel.map(|(_, index)| index),
            }),
            insns: program.insns.len(),
            functions: program.subprogs.iter().enumerate().map(function).collect(),
            references: insns.filter_map(|(at, insn)| Reference::of(program, &externs, at, insn)).collect(),
            core: CoreReport::all(program),
            findings: program.findings.iter().map(|finding| finding.message.clone()).collect(),
        }
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let kind = self.kind.unwrap_or("unknown kind");
        outln!(
            out,
            "  {:24} {kind:20} {DIM}section {}, {} instructions{}{}{}{DIM:#}",
            self.name,
            self.section,
            self.insns,
            if self.sleepable { ", may sleep" } else { "" },
            if self.frags { ", takes fragments" } else { "" },
            if self.autoload { "" } else { ", not loaded by default" }
        )?;
        if let Some(attach) = self.attach {
            let target = self.target.map_or_else(String::new, |target| format!(" to {target}"));
            outln!(out, "    attached{target} as {attach}")?;
        }
        if let Some(slot) = &self.struct_ops {
            outln!(out, "    is {} of struct {}", slot.member, slot.ops)?;
        }
        for finding in &self.findings {
            outln!(out, "    {WARNING}not supported{WARNING:#}: {finding}")?;
        }
        if self.functions.len() > 1 {
            let names: Vec<&str> = self.functions[1..].iter().map(|function| function.name).collect();
            outln!(out, "    functions: {}", names.join(", "))?;
        }
        for (referent, label) in [
            (Referent::Map, "maps"),
            (Referent::Data, "data"),
            (Referent::Helper, "helpers"),
            (Referent::Kfunc, "kernel functions"),
            (Referent::Variable, "kernel variables"),
        ] {
            let found = self.references.iter().filter(|reference| reference.to == referent);
            let names: BTreeSet<&str> = found.map(|reference| reference.name.as_str()).collect();
            if !names.is_empty() {
                outln!(out, "    {label}: {}", names.into_iter().collect::<Vec<_>>().join(", "))?;
            }
        }
        CoreReport::text(&self.core, out)
    }
}

impl Reference {
    fn of(program: &Program, externs: &BTreeMap<u32, &str>, at: InsnIdx, insn: &Insn) -> Option<Self> {
        let external = |id: u32| {
            let name = externs.get(&id).map(|name| (*name).to_owned());
            name.unwrap_or_else(|| format!("BTF id {id}"))
        };
        let map = |index: u32| {
            let map = program.maps.get(index as usize);
            map.map_or_else(|| index.to_string(), |map| map.name.clone())
        };
        let function = |off: i32| {
            let start = at.jump(off)?;
            let index = program.subprogs.binary_search_by_key(&start, |subprog| subprog.start).ok()?;
            Some(program.subprogs[index].name.clone())
        };
        let (to, name, offset) = match insn {
            Insn::LoadImm64 { imm: Imm64::MapIdx(index), .. } => (Referent::Map, map(*index), None),
            Insn::LoadImm64 { imm: Imm64::MapIdxValue { index, off }, .. } => {
                (Referent::Data, map(*index), Some(*off))
            }
            Insn::LoadImm64 { imm: Imm64::Func(off), .. } | Insn::Call(CallTarget::Subprog(off)) => {
                (Referent::Function, function(*off)?, None)
            }
            // What CO-RE made of an instruction is told with its relocations.
            Insn::Call(CallTarget::Helper(POISON)) => return None,
            Insn::Call(CallTarget::Helper(number)) if *number >= POISON_CALL => {
                let index = usize::try_from(number - POISON_CALL).ok()?;
                (Referent::Kfunc, program.externs.get(index)?.name.clone(), None)
            }
            Insn::Call(CallTarget::Helper(number)) => {
                let helper = HelperId::from_number(*number);
                let name = helper.map_or_else(|| format!("helper {number}"), |id| id.info().name.to_owned());
                (Referent::Helper, name, None)
            }
            Insn::Call(CallTarget::Kfunc { id, .. }) => (Referent::Kfunc, external(id.cast_unsigned()), None),
            Insn::LoadImm64 { imm: Imm64::BtfId { id, .. }, .. } => {
                (Referent::Variable, external(id.cast_unsigned()), None)
            }
            _ => return None,
        };
        Some(Self { insn: at.0, to, name, offset })
    }
}

/// Names of the kernel's functions and variables that the object uses, by id.
fn by_id(program: &Program) -> BTreeMap<u32, &str> {
    let externs = program.externs.iter().filter_map(|external| match external.resolution {
        Resolution::Kernel { id, .. } => Some((id.0, external.name.as_str())),
        _ => None,
    });
    externs.collect()
}
