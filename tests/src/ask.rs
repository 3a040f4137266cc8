//! Asks the running kernel for its verdict on a program, as a loader of some privilege.
//!
//! Maps are made from their definitions, without types, by the loader itself. What cannot be handed over like this
//! (types, functions that are verified apart, targets by name) is not asked.

use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_abi::maps::F_RDONLY_PROG;
use brolga_compiler::isa::{Endianness, Imm64, Insn, encode_all};
use brolga_compiler::program::{MapDef, Program};
use brolga_compiler::verify::Privilege;

use crate::bpf_syscall::{F_SLEEPABLE, FuncInfo, KernelMap, KernelProgram, KernelTypes, LoadAs, LoadFailure};
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

    /// Makes all maps; those that the kernel does not make are missing.
    fn make_all(maps: &[MapDef]) -> Result<Self, String> {
        Ok(Self(maps.iter().map(|def| make(def).ok()).collect()))
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

/// Asks about many programs: maps are made once for all that share them, by a loader of each privilege.
#[derive(Debug, Default)]
pub struct Asker {
    made: Vec<(Arc<[MapDef]>, Privilege, Maps)>,
    types: Option<KernelTypes>,
}

/// Functions that [`types_of_functions`] describes.
const FUNCTIONS: u32 = 64;

/// BTF of static functions `int f0(void)` and so on; the first has the type 3.
fn types_of_functions() -> Vec<u8> {
    let mut strings = b"\0int\0".to_vec();
    let mut types: Vec<u32> = vec![1, 1 << 24, 4, 1 << 24 | 32, 0, 13 << 24, 1];
    for index in 0..FUNCTIONS {
        types.extend([u32::try_from(strings.len()).expect("names are short"), 12 << 24, 2]);
        strings.extend(format!("f{index}\0").bytes());
    }
    let (types_len, strings_len) = (types.len() * 4, strings.len());
    let small = |len: usize| u32::try_from(len).expect("types are few");
    let header = [0x1_eb9f, 24, 0, small(types_len), small(types_len), small(strings_len)];
    let words = header.iter().chain(&types).flat_map(|word| word.to_le_bytes());
    words.chain(strings).collect()
}

impl Asker {
    /// Asks on behalf of a loader; `log`: with the kernel's reason, which takes longer.
    pub fn ask(&mut self, program: &Program, privilege: Privilege, log: bool) -> Answer {
        let load = match load_as(program) {
            Ok(load) => load,
            Err(why) => return Answer::Unasked(why),
        };
        let maps = match self.maps(program, privilege) {
            Ok(maps) => maps,
            Err(why) => return Answer::Unasked(why),
        };
        let Some(bytes) = maps.encode(program) else {
            return Answer::Unasked("it names a map that is not there".to_owned());
        };
        let typed = privilege.may_use_bpf() && (2..=FUNCTIONS as usize).contains(&program.subprogs.len());
        if typed && self.types.is_none() {
            self.types = KernelTypes::load(&types_of_functions()).ok();
        }
        let records: Vec<_> =
            (3u32..).zip(&program.subprogs).map(|(ty, subprog)| [subprog.start.0, ty]).collect();
        let info = self.types.as_ref().filter(|_| typed).map(|types| FuncInfo { types, records: &records });
        let judge = |load| KernelProgram::judge_typed(load, &bytes, info);
        let work = || match judge(load) {
            Ok(_) => Answer::Accepted,
            Err(LoadFailure { error, .. }) if !log => Answer::Refused(error.to_string()),
            Err(LoadFailure { error, .. }) => {
                let log = judge(LoadAs { log_level: 1, ..load }).err();
                Answer::Refused(reason(&error, &log.map(|failure| failure.log).unwrap_or_default()))
            }
        };
        with_privilege(privilege, work).unwrap_or_else(|error| Answer::Unasked(error.to_string()))
    }

    fn maps(&mut self, program: &Program, privilege: Privilege) -> Result<&Maps, String> {
        let known = |(maps, by, _): &(Arc<[MapDef]>, Privilege, Maps)| {
            *by == privilege && (Arc::ptr_eq(maps, &program.maps) || **maps == *program.maps)
        };
        let index = match self.made.iter().position(known) {
            Some(index) => index,
            None => {
                let maps = with_privilege(privilege, || Maps::make_all(&program.maps))
                    .map_err(|e| e.to_string())??;
                // Maps of many objects are not kept for ever.
                if self.made.len() > 8 {
                    self.made.clear();
                }
                self.made.push((program.maps.clone(), privilege, maps));
                self.made.len() - 1
            }
        };
        Ok(&self.made[index].2)
    }
}
