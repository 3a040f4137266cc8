//! `brolga inspect`: what an object holds.
//!
//! The JSON is one object whose fields are those of [`Report`] and of the reports in it, by the same
//! names; `--help` lists them (`args.rs`). What does not apply is `null` or an empty list, so that all
//! objects have all fields.

mod core;
mod externs;
mod globals;
mod maps;
mod names;
mod programs;
mod types;

use std::io::Write;
use std::process::ExitCode;

use brolga_compiler::isa::Endianness;
use brolga_compiler::program::{KernelTypes, Object, Program};
use serde::Serialize;

use self::externs::ExternReport;
use self::globals::GlobalReport;
use self::maps::MapReport;
use self::programs::ProgramReport;
use self::types::TypeReport;
use crate::args::{Format, InspectArgs};
use crate::failure::Failure;
use crate::io::Out;
use crate::io::outln;
use crate::kernels::KernelSource;
use crate::objects;
use crate::style::{DIM, HEADING};

/// Runs the command.
pub fn run(args: &InspectArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    if let Some(code) = types::alone(args, out)? {
        return Ok(code);
    }
    let object = objects::load(&args.object, &args.selection, 0, &KernelSource::to_judge(&args.kernel)?)?;
    let programs = objects::select(&args.object, &object, &args.selection)?;
    let report = Report::new(&args.object.display().to_string(), &object, &programs, args.types.is_some());
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
    byte_order: &'static str,
    gpl_compatible: bool,
    programs: Vec<ProgramReport<'a>>,
    maps: Vec<MapReport<'a>>,
    globals: Vec<GlobalReport<'a>>,
    externs: Vec<ExternReport<'a>>,
    /// Number of types in the object's BTF; none where it has no BTF.
    types: Option<usize>,
    btf: Vec<TypeReport>,
}

impl<'a> Report<'a> {
    fn new(path: &str, object: &'a Object, programs: &[&'a Program], types: bool) -> Self {
        let btf = object.btf.as_deref();
        let (globals, maps): (Vec<_>, Vec<_>) = object.maps.iter().partition(|map| map.global.is_some());
        let kernel = object.programs.first().map_or(&KernelTypes::Own, |program| &program.kernel);
        let externs = object.externs.iter().map(|external| ExternReport::new(external, object, kernel));
        Self {
            object: path.to_owned(),
            license: &object.license,
            byte_order: match object.endianness {
                Endianness::Little => "little",
                Endianness::Big => "big",
            },
            gpl_compatible: programs.iter().any(|program| program.gpl_compatible),
            programs: programs.iter().map(|program| ProgramReport::new(program)).collect(),
            maps: maps.into_iter().map(|map| MapReport::new(map, object)).collect(),
            globals: globals
                .into_iter()
                .filter_map(|map| Some(GlobalReport::new(map, map.global.as_ref()?, object.endianness, btf)))
                .collect(),
            externs: externs.collect(),
            types: btf.map(|btf| btf.ids().count()),
            btf: btf
                .filter(|_| types)
                .map_or_else(Vec::new, |btf| btf.ids().filter_map(|id| TypeReport::new(btf, id)).collect()),
        }
    }

    fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let license = if self.license.is_empty() { "none" } else { self.license };
        let order = if self.byte_order == "big" { ", big-endian" } else { "" };
        outln!(out, "{HEADING}{}{HEADING:#} {DIM}(licence: {license}{order}){DIM:#}", self.object)?;
        outln!(out, "\n{HEADING}programs{HEADING:#}")?;
        for program in &self.programs {
            program.text(out)?;
        }
        if !self.maps.is_empty() {
            outln!(out, "\n{HEADING}maps{HEADING:#}")?;
        }
        for map in &self.maps {
            map.text(out)?;
        }
        for global in &self.globals {
            global.text(out)?;
        }
        if !self.externs.is_empty() {
            outln!(out, "\n{HEADING}externs{HEADING:#}")?;
        }
        for external in &self.externs {
            external.text(out)?;
        }
        match self.types {
            Some(types) => outln!(out, "\n{HEADING}types{HEADING:#} {DIM}({types} in BTF){DIM:#}")?,
            None => outln!(out, "\n{HEADING}types{HEADING:#} {DIM}(no BTF){DIM:#}")?,
        }
        for ty in &self.btf {
            ty.text(out)?;
        }
        Ok(())
    }
}
