//! `brolga inspect`: what an object holds.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use brolga_abi::HelperId;
use brolga_compiler::btf::{Btf, Kind, MAX_DEPTH, Type, TypeId};
use brolga_compiler::isa::{CallTarget, Imm64, Insn, InsnIdx};
use brolga_compiler::program::{GlobalData, MapDef, Object, Program, Variable};
use serde::Serialize;

use crate::args::{Format, InspectArgs};
use crate::failure::Failure;
use crate::io::Out;
use crate::objects;
use crate::style::{DIM, HEADING, WARNING};
use crate::value::{Value, decode, type_of};

/// Runs the command.
pub fn run(args: &InspectArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let object = objects::load(&args.object, &args.selection, 0)?;
    let programs = objects::select(&args.object, &object, &args.selection)?;
    let report = Report::new(&args.object.display().to_string(), &object, &programs, args.types);
    match args.format {
        Format::Text => report.text(out)?,
        Format::Json => {
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What an object holds.
#[derive(Serialize)]
struct Report<'a> {
    object: String,
    license: &'a str,
    gpl_compatible: bool,
    programs: Vec<ProgramReport<'a>>,
    maps: Vec<MapReport<'a>>,
    globals: Vec<GlobalReport<'a>>,
    /// Number of types in the object's BTF; none where it has no BTF.
    types: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    btf: Vec<TypeReport>,
}

#[derive(Serialize)]
struct ProgramReport<'a> {
    name: &'a str,
    section: &'a str,
    kind: Option<&'static str>,
    autoload: bool,
    insns: usize,
    functions: Vec<FunctionReport<'a>>,
    /// What its instructions refer to: relocations, as they were resolved, and calls.
    references: Vec<Reference>,
    findings: Vec<String>,
}

#[derive(Serialize)]
struct FunctionReport<'a> {
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

#[derive(Serialize)]
struct MapReport<'a> {
    name: &'a str,
    kind: String,
    supported: bool,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    key: Option<String>,
    value: Option<String>,
    /// Entries of a `prog_array` that the source fills in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<(u32, &'a str)>,
}

#[derive(Serialize)]
struct GlobalReport<'a> {
    section: &'a str,
    size: u32,
    readonly: bool,
    variables: Vec<VariableReport<'a>>,
}

#[derive(Serialize)]
struct VariableReport<'a> {
    name: &'a str,
    offset: u32,
    size: u32,
    #[serde(rename = "type")]
    ty: Option<String>,
    initial: serde_json::Value,
    #[serde(skip)]
    text: String,
}

#[derive(Serialize)]
struct TypeReport {
    id: u32,
    kind: String,
    name: String,
    size: Option<u32>,
}

impl<'a> Report<'a> {
    fn new(path: &str, object: &'a Object, programs: &[&'a Program], types: bool) -> Self {
        let btf = object.btf.as_deref();
        let (globals, maps): (Vec<_>, Vec<_>) = object.maps.iter().partition(|map| map.global.is_some());
        Self {
            object: path.to_owned(),
            license: &object.license,
            gpl_compatible: programs.iter().any(|program| program.gpl_compatible),
            programs: programs.iter().map(|program| ProgramReport::new(program)).collect(),
            maps: maps.into_iter().map(|map| MapReport::new(map, btf)).collect(),
            globals: globals
                .into_iter()
                .filter_map(|map| Some(GlobalReport::new(map, map.global.as_ref()?, btf)))
                .collect(),
            types: btf.map(|btf| btf.ids().count()),
            btf: btf
                .filter(|_| types)
                .map_or_else(Vec::new, |btf| btf.ids().filter_map(|id| TypeReport::new(btf, id)).collect()),
        }
    }

    fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let license = if self.license.is_empty() { "none" } else { self.license };
        writeln!(out, "{HEADING}{}{HEADING:#} {DIM}(licence: {license}){DIM:#}", self.object)?;
        writeln!(out, "\n{HEADING}programs{HEADING:#}")?;
        for program in &self.programs {
            program.text(out)?;
        }
        if !self.maps.is_empty() {
            writeln!(out, "\n{HEADING}maps{HEADING:#}")?;
        }
        for map in &self.maps {
            map.text(out)?;
        }
        for global in &self.globals {
            let access = if global.readonly { "read-only" } else { "writable" };
            writeln!(
                out,
                "\n{HEADING}{}{HEADING:#} {DIM}({} bytes, {access}){DIM:#}",
                global.section, global.size
            )?;
            for variable in &global.variables {
                let ty = variable.ty.as_deref().unwrap_or("?");
                writeln!(
                    out,
                    "  {:24} {ty:20} at {:<6} = {}",
                    variable.name, variable.offset, variable.text
                )?;
            }
        }
        match self.types {
            Some(types) => writeln!(out, "\n{HEADING}types{HEADING:#} {DIM}({types} in BTF){DIM:#}")?,
            None => writeln!(out, "\n{HEADING}types{HEADING:#} {DIM}(no BTF){DIM:#}")?,
        }
        for ty in &self.btf {
            let size = ty.size.map_or_else(String::new, |size| format!(" {DIM}{size} bytes{DIM:#}"));
            writeln!(out, "  [{}] {} {}{size}", ty.id, ty.kind, ty.name)?;
        }
        Ok(())
    }
}

impl<'a> ProgramReport<'a> {
    fn new(program: &'a Program) -> Self {
        let function = |(i, subprog): (usize, &'a brolga_compiler::program::Subprog)| {
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
            findings: program.findings.iter().map(|finding| finding.message.clone()).collect(),
        }
    }

    fn text(&self, out: &mut Out) -> std::io::Result<()> {
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
        Ok(())
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

impl<'a> MapReport<'a> {
    fn new(map: &'a MapDef, btf: Option<&Btf>) -> Self {
        let name = |ty: Option<TypeId>| Some(type_name(btf?, ty?));
        Self {
            name: &map.name,
            kind: map.kind.to_string(),
            supported: map.kind.known().is_some(),
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: map.max_entries,
            flags: map.flags,
            key: name(map.key_type),
            value: name(map.value_type),
            programs: map.initial_programs.iter().map(|(index, name)| (*index, name.as_str())).collect(),
        }
    }

    fn text(&self, out: &mut Out) -> std::io::Result<()> {
        write!(out, "  {:24} {:20} ", self.name, self.kind)?;
        let part = |size: u32, ty: &Option<String>| match ty {
            Some(ty) => format!("{ty} ({size})"),
            None => size.to_string(),
        };
        write!(
            out,
            "key {}, value {}, ",
            part(self.key_size, &self.key),
            part(self.value_size, &self.value)
        )?;
        write!(out, "max {}", self.max_entries)?;
        if self.flags != 0 {
            write!(out, ", flags {:#x}", self.flags)?;
        }
        if !self.supported {
            write!(out, " {WARNING}not supported{WARNING:#}")?;
        }
        writeln!(out)?;
        for (index, program) in &self.programs {
            writeln!(out, "    [{index}] = {program}")?;
        }
        Ok(())
    }
}

impl<'a> GlobalReport<'a> {
    fn new(map: &'a MapDef, data: &'a GlobalData, btf: Option<&Btf>) -> Self {
        let variable = |variable: &'a Variable| {
            let (start, len) = (variable.offset as usize, variable.size as usize);
            let bytes =
                start.checked_add(len).and_then(|end| data.initial.get(start..end)).unwrap_or_default();
            let initial: Value = decode(btf, variable.ty, bytes);
            VariableReport {
                name: &variable.name,
                offset: variable.offset,
                size: variable.size,
                ty: btf.zip(variable.ty).map(|(btf, ty)| type_name(btf, type_of(btf, ty))),
                initial: initial.json(),
                text: initial.to_string(),
            }
        };
        Self {
            section: &map.name,
            size: map.value_size,
            readonly: data.readonly,
            variables: data.variables.iter().map(variable).collect(),
        }
    }
}

impl TypeReport {
    fn new(btf: &Btf, id: TypeId) -> Option<Self> {
        let ty = btf.get(id).ok()?;
        let kind = format!("{:?}", ty.kind()).to_ascii_lowercase();
        Some(Self { id: id.0, kind, name: type_name(btf, id), size: btf.size_of(id).ok() })
    }
}

/// A type as C writes it, without a variable's name: `struct flow`, `__u64[4]`, `const char *`.
fn type_name(btf: &Btf, id: TypeId) -> String {
    let mut suffix = String::new();
    let mut prefix = String::new();
    let mut at = id;
    for _ in 0..MAX_DEPTH {
        let Ok(ty) = btf.get(at) else { return format!("type {}", id.0) };
        let name = ty.name().unwrap_or_default();
        match ty.kind() {
            Kind::Const | Kind::Volatile | Kind::Restrict => {
                prefix.push_str(qualifier(&ty));
                at = ty.referenced();
            }
            Kind::TypeTag => at = ty.referenced(),
            Kind::Ptr => {
                suffix.insert_str(0, " *");
                at = ty.referenced();
            }
            Kind::Array => {
                let Some(array) = ty.array() else { break };
                suffix.push_str(&format!("[{}]", array.len));
                at = array.element;
            }
            Kind::Struct => return format!("{prefix}struct {}{suffix}", or_anonymous(name)),
            Kind::Union => return format!("{prefix}union {}{suffix}", or_anonymous(name)),
            Kind::Enum | Kind::Enum64 => return format!("{prefix}enum {}{suffix}", or_anonymous(name)),
            Kind::Fwd => return format!("{prefix}struct {}{suffix}", or_anonymous(name)),
            Kind::Void => return format!("{prefix}void{suffix}"),
            Kind::FuncProto => return format!("{prefix}function{suffix}"),
            Kind::Int
            | Kind::Typedef
            | Kind::Float
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::DeclTag => return format!("{prefix}{name}{suffix}"),
        }
    }
    format!("type {}", id.0)
}

fn qualifier(ty: &Type<'_>) -> &'static str {
    match ty.kind() {
        Kind::Const => "const ",
        Kind::Volatile => "volatile ",
        _ => "",
    }
}

fn or_anonymous(name: &str) -> &str {
    if name.is_empty() { "(anonymous)" } else { name }
}
