//! Loads an object: bytes in, linked programs and their maps out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brolga_abi::ProgramKind;

use super::externs::Externs;
use super::maps::{Maps, assign_programs};
use super::source::{Source, data};
use super::{HostFunction, LoadError, MapDef, Object, Problem, Program, Target, link};

/// What an object does not say itself.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Kind of the programs whose section's name does not say it. A lone function in `.text`, which
    /// has no section of its own, is a program if a kind is given.
    pub kind: Option<ProgramKind>,
    /// Kinds of programs by name, whatever their section says. A function in `.text` that is named
    /// here is a program.
    pub kinds: BTreeMap<String, ProgramKind>,
    /// Bytes of the buffer that `raw_memory` programs are verified for.
    pub raw_memory_len: u32,
    /// The kernel, or what stands for one.
    pub target: Target,
    /// What the host lets programs call. One of a kernel function's name takes its place.
    pub host_functions: Arc<[HostFunction]>,
}

/// Licences that Linux takes as compatible with the GPL.
const GPL_COMPATIBLE: &[&str] =
    &["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// Loads an object file as `clang -target bpf` writes it.
///
/// # Errors
///
/// Where the object as a whole is malformed or beyond a limit. What is wrong with or unsupported
/// in one program is a finding of that program.
pub fn load(bytes: &[u8], options: &LoadOptions) -> Result<Object, LoadError> {
    let source = Source::read(bytes)?;
    let license = license(&source)?;
    let mut externs = Externs::read(&source, options)?;
    let mut maps = Maps::read(&source, options.target.version, externs.take_kconfig())?;
    maps.add_struct_ops(&source, &options.target.types)?;
    let defs: Arc<[MapDef]> = std::mem::take(&mut maps.defs).into();
    let gpl_compatible = GPL_COMPATIBLE.contains(&license.as_str());
    let mut programs = link::link(&source, &maps, &defs, &externs, options, gpl_compatible)?;
    check_initial_programs(&defs, &programs)?;
    assign_programs(&defs, &mut programs);
    Ok(Object {
        license,
        maps: defs,
        externs: externs.list,
        modules: externs.modules,
        programs,
        endianness: source.elf.endianness,
        btf: source.btf,
    })
}

/// The licence: a C string in its own section.
fn license(source: &Source<'_>) -> Result<String, LoadError> {
    let Some((_, section)) = source.elf.section_by_name("license") else { return Ok(String::new()) };
    let bytes = data(section)?;
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let invalid = |_| {
        let reason = "not UTF-8".to_owned();
        Problem::Malformed { what: "licence", reason }.in_section(section.name)
    };
    std::str::from_utf8(text).map(str::to_owned).map_err(invalid)
}

/// Every program by which the source initialises an array must be one of the object's.
fn check_initial_programs(maps: &[MapDef], programs: &[Program]) -> Result<(), LoadError> {
    let names: BTreeSet<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    for map in maps {
        if let Some((_, name)) = map.initial_programs.iter().find(|(_, name)| !names.contains(name.as_str()))
        {
            return Err(Problem::Missing { what: "the program of an initialised value" }
                .in_section(".maps")
                .of(name));
        }
    }
    Ok(())
}
