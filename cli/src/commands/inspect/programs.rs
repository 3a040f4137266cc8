//! Programs, their functions, and what their instructions refer to.

use std::collections::BTreeSet;
use std::io::Write;

use brolga_abi::HelperId;
use brolga_compiler::isa::{CallTarget, Imm64, Insn, InsnIdx};
use brolga_compiler::program::{POISON, Program, Subprog};
use serde::Serialize;

use super::core::CoreReport;
use crate::io::Out;
use crate::style::{DIM, WARNING};

#[derive(Serialize)]
pub(super) struct ProgramReport<'a> {
    name: &'a str,
    section: &'a str,
    kind: Option<&'static str>,
    autoload: bool,
    insns: usize,
    functions: Vec<FunctionReport<'a>>,
    /// What its instructions refer to: relocations, as they were resolved, and calls.
    references: Vec<Reference>,
    core: Vec<CoreReport>,
    findings: Vec<String>,
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
        Self {
            name: &program.name,
            section: &program.section,
            kind: program.kind.map(|kind| kind.info().name),
            autoload: program.autoload,
            insns: program.insns.len(),
            functions: program.subprogs.iter().enumerate().map(function).collect(),
            references: insns.filter_map(|(at, insn)| Reference::of(program, at, insn)).collect(),
            core: CoreReport::all(program),
            findings: program.findings.iter().map(|finding| finding.message.clone()).collect(),
        }
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let kind = self.kind.unwrap_or("unknown kind");
        writeln!(
            out,
            "  {:24} {kind:20} {DIM}section {}, {} instructions{DIM:#}",
            self.name, self.section, self.insns
        )?;
        for finding in &self.findings {
            writeln!(out, "    {WARNING}not supported{WARNING:#}: {finding}")?;
        }
        if self.functions.len() > 1 {
            let names: Vec<&str> = self.functions[1..].iter().map(|function| function.name).collect();
            writeln!(out, "    functions: {}", names.join(", "))?;
        }
        for (referent, label) in [
            (Referent::Map, "maps"),
            (Referent::Data, "data"),
            (Referent::Helper, "helpers"),
            (Referent::Kfunc, "kernel functions"),
        ] {
            let found = self.references.iter().filter(|reference| reference.to == referent);
            let names: BTreeSet<&str> = found.map(|reference| reference.name.as_str()).collect();
            if !names.is_empty() {
                writeln!(out, "    {label}: {}", names.into_iter().collect::<Vec<_>>().join(", "))?;
            }
        }
        CoreReport::text(&self.core, out)
    }
}

impl Reference {
    fn of(program: &Program, at: InsnIdx, insn: &Insn) -> Option<Self> {
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
            Insn::Call(CallTarget::Helper(number)) => {
                let helper = HelperId::from_number(*number);
                let name = helper.map_or_else(|| format!("helper {number}"), |id| id.info().name.to_owned());
                (Referent::Helper, name, None)
            }
            Insn::Call(CallTarget::Kfunc { id, .. }) => (Referent::Kfunc, format!("BTF id {id}"), None),
            _ => return None,
        };
        Some(Self { insn: at.0, to, name, offset })
    }
}
