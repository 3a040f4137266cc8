//! Compares final instructions, program by program.
//!
//! Equal means: the same slots, but for numbers that a process or a kernel hands out. References to maps are
//! compared by the map's name; ids of kernel functions and variables, and the addresses of
//! variables, are not compared.

use std::collections::BTreeMap;
use std::path::Path;

use brolga_compiler::isa::{Endianness, NoNames, RawInsn, decode_slot, disasm, encode_all};
use brolga_compiler::program::{KernelTypes, LoadOptions, MapDef, Object, Program, Target, load};

use super::prepare::{LeftOut, Outcome, Prepared, prepare};
use crate::objects::ObjectFile;

const LDDW: u8 = 0x18;
const CALL: u8 = 0x85;

/// libbpf's numbers for calls that stand where a map, then a kernel function, is missing: the number of the
/// map or extern is added.
const MISSING_MAP: i32 = 2_001_000_000;
const MISSING_KFUNC: i32 = 2_002_000_000;
const MISSING_END: i32 = 2_003_000_000;

/// Bytes of a map's name that the kernel takes.
const KERNEL_NAME: usize = 15;

/// A program that is not the same on both sides.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Object and program.
    pub program: String,
    /// What differs.
    pub what: String,
}

/// What was found out about one object.
#[derive(Clone, Debug)]
pub enum Comparison {
    /// libbpf does not open it.
    Refused {
        /// Why.
        reason: String,
        /// Whether Brolga loads it.
        loaded: bool,
    },
    /// libbpf opens it, and Brolga does not load it.
    Failed(String),
    /// Both open it, but libbpf cannot prepare it on this kernel.
    Unprepared(String),
    /// Programs were compared.
    Compared {
        /// How many are equal.
        equal: usize,
        /// Those that are not.
        different: Vec<Difference>,
        /// Those that libbpf could not relocate.
        left_out: Vec<LeftOut>,
        /// Those that libbpf did not relocate, since it would not load them.
        not_loaded: Vec<String>,
    },
}

/// What was found out about all objects.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By object's name.
    pub objects: BTreeMap<String, Comparison>,
}

/// Compares each object.
#[must_use]
pub fn compare_all(files: &[ObjectFile], target: &Target) -> Report {
    let options = LoadOptions { target: target.clone(), ..LoadOptions::default() };
    let objects = files.iter().map(|file| (file.name.clone(), compare(file, &options, None)));
    Report { objects: objects.collect() }
}

/// Compares each of the selftests' objects for CO-RE relocations against each of the kernels that they
/// were written for, which are objects of that collection, too.
///
/// # Errors
///
/// Where no temporary file can be written.
pub fn compare_core(files: &[ObjectFile], target: &Target) -> std::io::Result<Report> {
    let mut report = Report::default();
    for kernel in files {
        let Some((_, kernel_name)) = kernel.name.split_once("/btf__core_reloc_") else { continue };
        let types = match load(&kernel.bytes, &LoadOptions::default()).map(|object| object.btf) {
            Ok(Some(btf)) => KernelTypes::from(btf),
            Ok(None) | Err(_) => continue,
        };
        let options = LoadOptions { target: Target { types, ..target.clone() }, ..LoadOptions::default() };
        let path = tempfile::NamedTempFile::new()?;
        std::fs::write(path.path(), &kernel.bytes)?;
        for file in files {
            let Some((_, test)) = file.name.split_once("/test_core_reloc_") else { continue };
            let test = test.trim_end_matches("_direct").trim_end_matches("_probed");
            let variant = kernel_name.strip_prefix(test);
            if variant.is_some_and(|variant| variant.is_empty() || variant.starts_with("__")) {
                let name = format!("{}@{kernel_name}", file.name);
                let file = ObjectFile { name: name.clone(), bytes: file.bytes.clone() };
                report.objects.insert(name, compare(&file, &options, Some(path.path())));
            }
        }
    }
    Ok(report)
}

fn compare(file: &ObjectFile, options: &LoadOptions, types: Option<&Path>) -> Comparison {
    let load = |bytes: &[u8]| load(bytes, options).map_err(|error| error.to_string());
    let ours = load(&file.bytes);
    let prepared = match prepare(&file.bytes, types) {
        Outcome::Refused(reason) => return Comparison::Refused { reason, loaded: ours.is_ok() },
        Outcome::Unprepared(reason) => {
            return ours.map_or_else(Comparison::Failed, |_| Comparison::Unprepared(reason));
        }
        Outcome::Prepared(prepared) => prepared,
    };
    // What libbpf was given may have been changed; see `prepare`.
    match ours.and_then(|_| load(&prepared.bytes)) {
        Ok(object) => compare_programs(&file.name, &object, &prepared),
        Err(error) => Comparison::Failed(error),
    }
}

/// Compares the programs of an object that both sides loaded.
#[must_use]
pub fn compare_programs(object_name: &str, object: &Object, prepared: &Prepared) -> Comparison {
    let mut ours: BTreeMap<&str, &Program> = object.programs.iter().map(|p| (p.name.as_str(), p)).collect();
    let mut different = Vec::new();
    let mut equal = 0;
    let mut differs = |program: &str, what: String| {
        different.push(Difference { program: format!("{object_name}: {program}"), what });
    };
    for (name, theirs) in &prepared.programs {
        let what = match ours.remove(name.as_str()) {
            None => Some("not a program here".to_owned()),
            Some(program) => difference(program, theirs, prepared),
        };
        match what {
            None => equal += 1,
            Some(what) => differs(name, what),
        }
    }
    for program in &prepared.not_loaded {
        ours.remove(program.as_str());
    }
    for LeftOut { program, reason } in &prepared.left_out {
        let ours = ours.remove(program.as_str());
        if ours.is_some_and(|program| program.findings.is_empty()) {
            differs(program, format!("nothing is wrong with it here; libbpf: {}", brief(reason)));
        }
    }
    for name in ours.keys() {
        differs(name, "not a program for libbpf".to_owned());
    }
    Comparison::Compared {
        equal,
        different,
        left_out: prepared.left_out.clone(),
        not_loaded: prepared.not_loaded.clone(),
    }
}

/// The first difference between a program and libbpf's instructions of it.
fn difference(program: &Program, theirs: &[RawInsn], prepared: &Prepared) -> Option<String> {
    let ours = encode_all(&program.insns, Endianness::NATIVE);
    let (ours, _) = ours.as_chunks::<8>();
    let ours: Vec<_> = ours.iter().map(|slot| RawInsn::from_bytes(*slot, Endianness::NATIVE)).collect();
    let mut at = 0;
    while at < ours.len().min(theirs.len()) {
        let (a, b) = (pair(&ours, at), pair(theirs, at));
        let slots = if b.0.opcode == LDDW { 2 } else { 1 };
        if !same(a, b, &program.maps, prepared) {
            let finding = program.findings.first().map_or(String::new(), |f| format!(" [{}]", f.message));
            return Some(format!("at {at}: `{}`, libbpf: `{}`{finding}", show(a), show(b)));
        }
        at += slots;
    }
    let finding = program.findings.first().map_or(String::new(), |f| format!(" [{}]", f.message));
    (ours.len() != theirs.len()).then(|| format!("{} slots, libbpf: {}{finding}", ours.len(), theirs.len()))
}

/// A slot and the one after it.
fn pair(insns: &[RawInsn], at: usize) -> (RawInsn, RawInsn) {
    (insns[at], insns.get(at + 1).copied().unwrap_or_default())
}

/// Whether two slots (two pairs of slots, for `lddw`) are the same but for numbers handed out.
fn same(ours: (RawInsn, RawInsn), theirs: (RawInsn, RawInsn), maps: &[MapDef], prepared: &Prepared) -> bool {
    let (a, b) = (ours.0, theirs.0);
    if b.opcode == CALL && a.opcode == CALL && a.dst == b.dst {
        let missing = |imm: i32| (MISSING_MAP..MISSING_END).contains(&imm);
        return match (a.src, b.src) {
            (2, 2) => true,
            (0, 0) if missing(b.imm) => missing(a.imm) && (a.imm < MISSING_KFUNC) == (b.imm < MISSING_KFUNC),
            _ => a == b,
        };
    }
    if b.opcode != LDDW || a.opcode != LDDW || a.dst != b.dst || a.off != b.off {
        return a == b;
    }
    match (a.src, b.src) {
        // A map by index here, by descriptor there.
        (5, 1) | (6, 2) => same_map(a.imm, b.imm, maps, prepared) && ours.1 == theirs.1,
        (3, 3) => true,
        _ => ours == theirs,
    }
}

fn same_map(index: i32, fd: i32, maps: &[MapDef], prepared: &Prepared) -> bool {
    let ours = usize::try_from(index).ok().and_then(|index| maps.get(index));
    let theirs = prepared.maps.iter().find(|(_, their_fd)| *their_fd == fd);
    let (Some(ours), Some((theirs, _))) = (ours, theirs) else { return false };
    // Global data is named after its object, too, and a name is cut at the length that the kernel takes.
    let cut = theirs.len() == KERNEL_NAME && ours.name.starts_with(theirs);
    ours.name == *theirs || ours.name.starts_with('.') && (theirs.ends_with(&ours.name) || cut)
}

fn show((slot, next): (RawInsn, RawInsn)) -> String {
    let raw = format!(
        "{:02x} dst={} src={} off={} imm={:#x}/{:#x}",
        slot.opcode, slot.dst, slot.src, slot.off, slot.imm, next.imm
    );
    match decode_slot(slot, Some(next)) {
        Ok(insn) => format!("{} ({raw})", disasm(&insn, &NoNames)),
        Err(_) => raw,
    }
}

/// What libbpf printed, in one line.
fn brief(reason: &str) -> String {
    reason.trim().replace('\n', " | ").replace("libbpf: ", "")
}

impl Report {
    /// Adds what another comparison found out.
    pub fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
    }

    /// Objects that libbpf opens.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.objects.values().filter(|c| !matches!(c, Comparison::Refused { .. })).count()
    }

    /// Objects that libbpf opens and Brolga does not load, with the error.
    #[must_use]
    pub fn failures(&self) -> Vec<(&str, &str)> {
        let mut failures = Vec::new();
        for (name, comparison) in &self.objects {
            match comparison {
                Comparison::Failed(error) => failures.push((name.as_str(), error.as_str())),
                Comparison::Refused { .. } | Comparison::Unprepared(_) | Comparison::Compared { .. } => {}
            }
        }
        failures
    }

    /// How many programs are equal, and those that are not.
    #[must_use]
    pub fn programs(&self) -> (usize, Vec<&Difference>) {
        let (mut sum, mut all) = (0, Vec::new());
        for comparison in self.objects.values() {
            match comparison {
                Comparison::Compared { equal, different, .. } => {
                    sum += equal;
                    all.extend(different);
                }
                Comparison::Refused { .. } | Comparison::Failed(_) | Comparison::Unprepared(_) => {}
            }
        }
        (sum, all)
    }
}

impl std::fmt::Display for Report {
    /// The whole table: what could not be compared, failures, differences, and the counts last.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, comparison) in &self.objects {
            match comparison {
                Comparison::Refused { reason, loaded } => {
                    let here = if *loaded { "loads here" } else { "nor is it loaded here" };
                    writeln!(f, "not opened by libbpf  {name} ({here}): {}", brief(reason))?;
                }
                Comparison::Unprepared(reason) => {
                    writeln!(f, "not prepared by libbpf  {name}: {}", brief(reason))?;
                }
                Comparison::Compared { left_out, not_loaded, .. } => {
                    if !not_loaded.is_empty() {
                        let reason = "the kernel lacks the type of their `struct_ops` map";
                        writeln!(f, "not relocated by libbpf  {name}: {}: {reason}", not_loaded.join(", "))?;
                    }
                    for program in left_out {
                        let LeftOut { program, reason } = program;
                        writeln!(f, "not relocated by libbpf  {name}: {program}: {}", brief(reason))?;
                    }
                }
                Comparison::Failed(_) => {}
            }
        }
        let failures = self.failures();
        for (name, error) in &failures {
            writeln!(f, "not loaded  {name}: {}", brief(error))?;
        }
        let (equal, different) = self.programs();
        for difference in &different {
            writeln!(f, "different  {}: {}", difference.program, difference.what)?;
        }
        writeln!(f, "objects: {} opened by libbpf, {} not loaded here", self.opened(), failures.len())?;
        let compared = equal + different.len();
        write!(f, "programs: {compared} compared, {equal} equal, {} different", different.len())
    }
}
