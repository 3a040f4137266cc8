//! Has libbpf prepare as many programs of an object as this kernel lets it.
//!
//! Tries again after each refusal, with what was refused out of the way: an extern that the kernel lacks
//! is made weak (in the object's bytes, so both sides see the same), a map that cannot be made is stood
//! in for, a program that cannot be relocated is left out. It could be wrong where libbpf's
//! messages change their form; then objects turn up as not prepared, with the message.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use brolga_compiler::isa::RawInsn;

use super::sys::{Messages, Object, any_map};
use crate::objects::{u16_at, u32_at, u64_at};

/// Refusals after which an object is given up.
const ATTEMPTS: usize = 100;

/// What libbpf made of an object.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It does not open it: why.
    Refused(String),
    /// It opens it, but nothing could be prepared: why.
    Unprepared(String),
    /// It prepared it.
    Prepared(Prepared),
}

/// Programs as libbpf would hand them to the kernel.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The object that was prepared: the given one, or with externs made weak.
    pub bytes: Vec<u8>,
    /// Programs by name.
    pub programs: Vec<(String, Vec<RawInsn>)>,
    /// Name and file descriptor of each map.
    pub maps: Vec<(String, RawFd)>,
    /// Programs that libbpf could not relocate.
    pub left_out: Vec<LeftOut>,
    /// Programs that libbpf would not load, though it was told to: those of `struct_ops` maps of types that
    /// the kernel lacks. It does not relocate them.
    pub not_loaded: Vec<String>,
    /// Whether the running kernel's types were read.
    pub read_types: bool,
}

/// A program that libbpf could not relocate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub program: String,
    /// What libbpf said.
    pub reason: String,
}

/// What is changed of an object before it is prepared.
#[derive(Debug, Default)]
struct Changes {
    bytes: Vec<u8>,
    weakened: BTreeSet<String>,
    left_out: Vec<(usize, LeftOut)>,
    stood_in_for: BTreeSet<usize>,
    without_struct_ops: bool,
}

/// Opens and prepares an object, against the types in a file or those of the running kernel.
#[must_use]
pub fn prepare(bytes: &[u8], types: Option<&Path>) -> Outcome {
    let mut changes = Changes { bytes: bytes.to_vec(), ..Changes::default() };
    if let Err(reason) = Object::open(bytes, types, Messages::Kept) {
        return Outcome::Refused(reason);
    }
    for _ in 0..ATTEMPTS {
        match attempt(&mut changes, types) {
            Ok(prepared) => return Outcome::Prepared(prepared),
            Err(Refusal::Changed) => {}
            Err(Refusal::Final(reason)) => return Outcome::Unprepared(reason),
        }
    }
    Outcome::Unprepared(format!("{ATTEMPTS} changes did not help"))
}

enum Refusal {
    /// Something was changed, so that another attempt makes sense.
    Changed,
    /// Nothing more can be done.
    Final(String),
}

fn attempt(changes: &mut Changes, types: Option<&Path>) -> Result<Prepared, Refusal> {
    let object = Object::open(&changes.bytes, types, Messages::Kept).map_err(Refusal::Final)?;
    let names = object.program_names();
    for program in 0..names.len() {
        object.set_autoload(program, !changes.left_out.iter().any(|(at, _)| *at == program));
    }
    let mut maps = object.map_names();
    let stand_in = any_map().map_err(|e| Refusal::Final(format!("bpf(2): {e}")))?;
    for map in &changes.stood_in_for {
        object.reuse_map(*map, stand_in.as_raw_fd()).map_err(Refusal::Final)?;
    }
    if changes.without_struct_ops {
        object.struct_ops_maps().into_iter().for_each(|map| object.leave_out_map(map));
    }
    if let Err(reason) = object.prepare() {
        return Err(changes.after(&reason, &names, &maps));
    }
    for ((_, fd), (_, now)) in maps.iter_mut().zip(object.map_names()) {
        *fd = now;
    }
    let (mut programs, mut not_loaded) = (Vec::new(), Vec::new());
    for (at, name) in names.into_iter().enumerate() {
        match object.insns(at) {
            Some(insns) => programs.push((name, insns)),
            None if changes.left_out.iter().any(|(out, _)| *out == at) => {}
            None => not_loaded.push(name),
        }
    }
    let left_out = changes.left_out.drain(..).map(|(_, left_out)| left_out).collect();
    Ok(Prepared {
        bytes: std::mem::take(&mut changes.bytes),
        programs,
        maps,
        left_out,
        not_loaded,
        read_types: object.read_types(),
    })
}

impl Changes {
    /// Changes what libbpf complains of, if it can be told.
    fn after(&mut self, reason: &str, programs: &[String], maps: &[(String, RawFd)]) -> Refusal {
        for line in reason.lines() {
            if line.contains("extern ")
                && let Some(name) = quoted(line)
                && self.weakened.insert(name.to_owned())
                && weaken(&mut self.bytes, name)
            {
                return Refusal::Changed;
            }
            if line.contains("struct_ops init_kern") && !std::mem::replace(&mut self.without_struct_ops, true)
            {
                return Refusal::Changed;
            }
            if line.contains("map '")
                && let Some(map) = maps.iter().position(|(name, _)| Some(&**name) == quoted(line))
                && self.stood_in_for.insert(map)
            {
                return Refusal::Changed;
            }
            if line.contains("prog '") && self.leave_out(line, reason, programs) {
                return Refusal::Changed;
            }
        }
        Refusal::Final(reason.to_owned())
    }

    fn leave_out(&mut self, line: &str, reason: &str, programs: &[String]) -> bool {
        let is_out = |at: usize| self.left_out.iter().any(|(out, _)| *out == at);
        let mut named = programs.iter().enumerate().filter(|(_, name)| Some(&***name) == quoted(line));
        let Some((at, name)) = named.find(|(at, _)| !is_out(*at)) else { return false };
        self.left_out.push((at, LeftOut { program: name.clone(), reason: reason.to_owned() }));
        true
    }
}

/// What stands between the first two quotes.
fn quoted(line: &str) -> Option<&str> {
    line.split('\'').nth(1)
}

/// Makes the undefined symbols of a name weak; whether there is one that was not.
fn weaken(bytes: &mut [u8], name: &str) -> bool {
    const WEAK: u8 = 2;
    let places = undefined(bytes, name).unwrap_or_default();
    let mut changed = false;
    for at in places {
        changed |= bytes[at] >> 4 != WEAK;
        bytes[at] = WEAK << 4 | bytes[at] & 0xf;
    }
    changed
}

/// Where the binding of each undefined symbol of a name stands in a (little-endian) object.
fn undefined(bytes: &[u8], name: &str) -> Option<Vec<usize>> {
    const SYMTAB: u32 = 2;
    const SYMBOL: usize = 24;
    let size = |at| usize::try_from(u64_at(bytes, at)?).ok();
    let (headers, header_size, count) =
        (size(40)?, usize::from(u16_at(bytes, 58)?), usize::from(u16_at(bytes, 60)?));
    let header = |section: usize| headers + section * header_size;
    let table = (0..count).map(header).find(|at| u32_at(bytes, at + 4) == Some(SYMTAB))?;
    let strings = size(header(usize::try_from(u32_at(bytes, table + 40)?).ok()?) + 24)?;
    let (first, length) = (size(table + 24)?, size(table + 32)?);
    let is_named = |symbol: &usize| {
        let at = strings + u32_at(bytes, *symbol).unwrap_or_default() as usize;
        bytes
            .get(at..)
            .is_some_and(|rest| rest.strip_prefix(name.as_bytes()).is_some_and(|r| r.first() == Some(&0)))
            && u16_at(bytes, symbol + 6) == Some(0)
    };
    let symbols = (first..first + length).step_by(SYMBOL);
    Some(symbols.filter(is_named).map(|symbol| symbol + 4).collect())
}
