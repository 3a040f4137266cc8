//! The types of an object, or of a file that is nothing but types.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use brolga_compiler::btf::{Btf, BtfError, TypeId, dump};
use brolga_compiler::elf::Elf;
use serde::Serialize;

use super::names::type_name;
use crate::args::{Format, InspectArgs, TypesAs};
use crate::failure::Failure;
use crate::io::outln;
use crate::io::{self, Out};
use crate::style::DIM;

/// What raw BTF begins with, in either byte order.
const MAGIC: [[u8; 2]; 2] = [[0x9f, 0xeb], [0xeb, 0x9f]];

/// Prints types where nothing else is to be printed: as C, or of a file that holds nothing else.
pub(super) fn alone(args: &InspectArgs, out: &mut Out) -> Result<Option<ExitCode>, Failure> {
    let as_c = args.types == Some(TypesAs::C);
    // Standard input can be read once only; there the object is assumed.
    if !as_c && (io::is_standard(&args.object) || !begins_as_btf(&args.object)) {
        return Ok(None);
    }
    let btf = read(&args.object)?;
    match (as_c, args.format) {
        (true, Format::Json) => return Err(Failure::Usage("C is text, not JSON".to_owned())),
        (true, Format::Text) => {
            let text = dump::c(&btf).map_err(|e| unusable(&args.object, &e))?;
            out.write_all(text.as_bytes())?;
        }
        (false, Format::Text) => {
            for ty in list(&btf) {
                ty.text(out)?;
            }
        }
        (false, Format::Json) => {
            let report = RawReport { object: args.object.display().to_string(), btf: list(&btf).collect() };
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    Ok(Some(ExitCode::SUCCESS))
}

/// A file that is nothing but types.
#[derive(Serialize)]
struct RawReport {
    object: String,
    btf: Vec<TypeReport>,
}

fn list(btf: &Btf) -> impl Iterator<Item = TypeReport> {
    btf.ids().filter_map(|id| TypeReport::new(btf, id))
}

fn begins_as_btf(path: &Path) -> bool {
    io::first_bytes(path).is_some_and(|bytes| MAGIC.contains(&bytes))
}

/// The types of raw BTF or of an object. The types of a kernel's module need those of the kernel,
/// which are looked for beside them.
fn read(path: &Path) -> Result<Btf, Failure> {
    let bytes = io::read(path)?;
    let invalid = |error: BtfError| unusable(path, &error);
    if !MAGIC.iter().any(|magic| bytes.starts_with(magic)) {
        let elf = Elf::parse(&bytes).map_err(|e| unusable(path, &e))?;
        let section = elf.section_by_name(".BTF").map(|(_, section)| section.data());
        return match section {
            Some(data) => Btf::parse(data.map_err(|e| unusable(path, &e))?).map_err(invalid),
            None => Err(unusable(path, &"it has no BTF")),
        };
    }
    let error = match Btf::parse(&bytes) {
        Ok(btf) => return Ok(btf),
        Err(error) => error,
    };
    let kernel = path.with_file_name("vmlinux");
    match io::read(&kernel).ok().and_then(|bytes| Btf::parse_owned(bytes).ok()) {
        Some(base) => Btf::parse_split(&bytes, Arc::new(base)).map_err(invalid),
        None => Err(invalid(error)),
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("types of `{}`: {why}", path.display()))
}

#[derive(Serialize)]
pub(super) struct TypeReport {
    id: u32,
    kind: String,
    name: String,
    size: Option<u32>,
}

impl TypeReport {
    pub(super) fn new(btf: &Btf, id: TypeId) -> Option<Self> {
        let ty = btf.get(id).ok()?;
        let kind = format!("{:?}", ty.kind()).to_ascii_lowercase();
        Some(Self { id: id.0, kind, name: type_name(btf, id), size: btf.size_of(id).ok() })
    }

    pub(super) fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let size = self.size.map_or_else(String::new, |size| format!(" {DIM}{size} bytes{DIM:#}"));
        outln!(out, "  [{}] {} {}{size}", self.id, self.kind, self.name)
    }
}
