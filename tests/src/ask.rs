//! Asks the running kernel for its verdict on a program, as a loader of some privilege.
//!
//! Maps are made from their definitions, without types, by the loader itself. What cannot be handed over like this
//! (types, functions that are verified apart, targets by name) is not asked.

use brolga_abi::ProgramKind;
use brolga_abi::maps::F_RDONLY_PROG;
use brolga_compiler::isa::{Endianness, Imm64, Insn, encode_all};
use brolga_compiler::program::{MapDef, Program};
use brolga_compiler::verify::Privilege;

use crate::bpf_syscall::{F_SLEEPABLE, KernelMap, KernelProgram, LoadAs, LoadFailure};
use crate::loader::with_privilege;

/// What Linux says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The program may be loaded.
    Accepted,
    /// It may not: the error and the last lines of the log.
    Refused(String),
    /// The question cannot be put like this.
    Unasked(String),
}

/// Maps of the kernel, by their place among a program's.
#[derive(Debug, Default)]
pub struct Maps(Vec<Option<KernelMap>>);

impl Maps {
    /// Makes the maps that a program's instructions name.
    ///
    /// # Errors
    ///
    /// Which of them the kernel does not make, and why.
    pub fn make(program: &Program) -> Result<Self, String> {
        let mut maps: Vec<_> = program.maps.iter().map(|_| None).collect();
        for insn in &program.insns {
            let index = match *insn {
                Insn::LoadImm64 { imm: Imm64::MapIdx(index) | Imm64::MapIdxValue { index, .. }, .. } => {
                    index as usize
                }
                _ => continue,
            };
            let Some(def) = program.maps.get(index).filter(|_| maps[index].is_none()) else { continue };
            maps[index] = Some(make(def).map_err(|e| format!("map {}: {e}", def.name))?);
        }
        Ok(Self(maps))
    }

    fn fd(&self, index: u32) -> Option<i32> {
        self.0.get(index as usize)?.as_ref().map(KernelMap::fd)
    }

    /// A program's instructions as the kernel gets them.
    #[must_use]
    pub fn encode(&self, program: &Program) -> Option<Vec<u8>> {
        let mut insns = program.insns.clone();
        for insn in &mut insns {
            let Insn::LoadImm64 { imm, .. } = insn else { continue };
            *imm = match *imm {
                Imm64::MapIdx(index) => Imm64::MapFd(self.fd(index)?),
                Imm64::MapIdxValue { index, off } => Imm64::MapFdValue { fd: self.fd(index)?, off },
                other => other,
            };
        }
        Some(encode_all(&insns, Endianness::Little))
    }
}

fn make(def: &MapDef) -> std::io::Result<KernelMap> {
    let global = def.global.as_ref();
    let frozen = global.is_some_and(|g| g.readonly);
    let flags = def.flags | if frozen { F_RDONLY_PROG } else { 0 };
    let map =
        KernelMap::create(def.kind.number(), def.key_size, def.value_size, def.max_entries, flags, None)?;
    if let Some(global) = global {
        map.update(&[0; 4], &global.initial)?;
        if frozen {
            map.freeze()?;
        }
    }
    Ok(map)
}

/// What the kernel is told of a program, where that can be said without types.
///
/// # Errors
///
/// Why it cannot.
pub fn load_as(program: &Program) -> Result<LoadAs, String> {
    let kind = program.kind.and_then(|kind| kind.number()).ok_or("Linux has no such kind")?;
    if !program.findings.is_empty() {
        return Err("the loader refuses it".to_owned());
    }
    if program.subprogs.iter().any(|subprog| subprog.global) && program.subprogs.len() > 1 {
        return Err("functions that are verified apart need types".to_owned());
    }
    if (26..=29).contains(&kind) {
        return Err("what it is attached to needs types".to_owned());
    }
    let attach = program.attach.map_or(0, |attach| attach.number());
    let flags = if program.kind == Some(ProgramKind::Syscall) { F_SLEEPABLE } else { 0 };
    Ok(LoadAs { attach, flags, gpl: program.gpl_compatible, ..LoadAs::kind(kind) })
}

/// Asks on behalf of a loader.
#[must_use]
pub fn ask(program: &Program, load: LoadAs, privilege: Privilege) -> Answer {
    let work = || {
        let maps = match Maps::make(program) {
            Ok(maps) => maps,
            Err(why) if why.contains("Operation not permitted") => return Answer::Refused(why),
            Err(why) => return Answer::Unasked(why),
        };
        let Some(bytes) = maps.encode(program) else {
            return Answer::Unasked("it names a map that is not there".to_owned());
        };
        // The log is written only where it is wanted: it takes long, and may not fit.
        match KernelProgram::judge(load, &bytes) {
            Ok(_) => Answer::Accepted,
            Err(LoadFailure { error, .. }) => {
                let log = KernelProgram::judge(LoadAs { log_level: 1, ..load }, &bytes).err();
                Answer::Refused(reason(&error, &log.map(|failure| failure.log).unwrap_or_default()))
            }
        }
    };
    with_privilege(privilege, work).unwrap_or_else(|error| Answer::Unasked(error.to_string()))
}

/// The error and the last lines of the log.
fn reason(error: &std::io::Error, log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("processed ")).collect();
    let tail = lines[lines.len().saturating_sub(3)..].join(" / ");
    format!("{error}: {tail}")
}
