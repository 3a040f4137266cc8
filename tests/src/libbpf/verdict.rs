//! What the running kernel says of one program of an object, loaded by libbpf with nothing else.
//!
//! Programs are verified and dropped, never attached. The kernel cannot judge all: what libbpf does not bring to
//! it (a map that cannot be made, a kernel function that it lacks, a target that is not there) is told apart from what
//! its verifier refuses. It could be wrong where libbpf's or the kernel's messages change their form.

use std::time::Duration;

use brolga_compiler::program::{LoadOptions, load};

use super::sys::{Log, Messages, Object};

/// Errors, and statistics at the end: `BPF_LOG_STATS`.
const LOG_LEVEL: u32 = 4;

/// Bytes of the log. Without a trace it is short.
const LOG_SIZE: usize = 1 << 20;

/// Changes of maps that are tried for one program.
const ATTEMPTS: usize = 16;

/// What the kernel spent on a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions over all paths.
    pub processed: u32,
    /// Verification time, as the log says.
    pub time: Duration,
    /// States made, and the most kept at a time.
    pub states: (u32, u32),
}

/// What became of a program.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The kernel loaded it.
    Accepted(Cost),
    /// The kernel's verifier refused it, with this log.
    Refused(String),
    /// libbpf did not bring it before the verifier, or that had nothing to say: libbpf's messages.
    NotJudged(String),
}

/// An object whose programs are judged one by one.
#[derive(Debug)]
pub struct Judge<'a> {
    bytes: &'a [u8],
    /// Names of the programs, in libbpf's order.
    pub programs: Vec<String>,
    /// Maps without a size, which the kernel would not make: they are made with one entry. Grows as programs are judged.
    pub sized: Vec<String>,
    /// Flags with which programs are loaded (`BPF_F_STRICT_ALIGNMENT` and so on).
    pub flags: u32,
    /// Structures of callbacks, and the programs in them.
    structures: Vec<(String, Vec<String>)>,
    log: Log,
}

impl<'a> Judge<'a> {
    /// Opens an object.
    ///
    /// # Errors
    ///
    /// What libbpf printed.
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let programs = Object::open(bytes, None, Messages::Kept)?.program_names();
        let structures = structures(bytes);
        Ok(Self { bytes, programs, sized: Vec::new(), flags: 0, structures, log: Log::new(LOG_SIZE) })
    }

    /// Has the kernel judge one program, by its position.
    pub fn judge(&mut self, program: usize) -> Verdict {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            self.log.clear();
            match self.load(program) {
                Ok(()) => return self.accepted(),
                Err(why) if !self.log.text().is_empty() => return self.refused(&why),
                Err(why) => reason = why,
            }
            if !self.size_a_map(&reason) {
                break;
            }
        }
        Verdict::NotJudged(reason)
    }

    fn load(&mut self, program: usize) -> Result<(), String> {
        let object = Object::open(self.bytes, None, Messages::Kept)?;
        for at in 0..self.programs.len() {
            object.set_autoload(at, at == program);
        }
        for (at, (name, _)) in object.map_names().iter().enumerate() {
            if self.sized.contains(name) {
                object.set_max_entries(at, 1).map_err(|error| format!("{name}: error {error}"))?;
            }
        }
        // libbpf loads every program of a structure that it makes.
        let without = |name: &String| {
            let of = |known: &&(String, Vec<String>)| {
                known.0 == *name && known.1.contains(&self.programs[program])
            };
            !self.structures.iter().any(|known| of(&known))
        };
        let names = object.map_names();
        for at in object.struct_ops_maps().into_iter().filter(|at| without(&names[*at].0)) {
            object.leave_out_map(at);
        }
        let number = |error: i32| format!("error {error}");
        object.add_flags(program, self.flags).map_err(number)?;
        object.set_log(program, LOG_LEVEL, &mut self.log).map_err(number)?;
        object.load(&mut self.log)
    }

    fn accepted(&self) -> Verdict {
        let log = self.log.text();
        match cost(&log) {
            Some(cost) => Verdict::Accepted(cost),
            None => Verdict::NotJudged(format!("accepted, but without statistics: {log}")),
        }
    }

    fn refused(&self, why: &str) -> Verdict {
        let log = self.log.text();
        // Statistics alone: verified, and refused for something else.
        let only_statistics = log.lines().all(|line| {
            ["verification time ", "stack depth ", "processed "].iter().any(|start| line.starts_with(start))
        });
        if only_statistics { Verdict::NotJudged(why.to_owned()) } else { Verdict::Refused(log) }
    }

    /// Gives a map one entry, if that is what kept the object from being loaded.
    fn size_a_map(&mut self, reason: &str) -> bool {
        let Ok(object) = Object::open(self.bytes, None, Messages::Kept) else { return false };
        let named = |name: &str| {
            reason.lines().any(|line| line.contains("map '") && line.split('\'').nth(1) == Some(name))
        };
        let maps = object.map_definitions();
        let map = maps.into_iter().find(|map| map.max_entries == 0 && named(&map.name));
        let Some(map) = map.filter(|map| !self.sized.contains(&map.name)) else { return false };
        self.sized.push(map.name);
        true
    }
}

/// The structures of callbacks of an object, as Brolga reads them.
fn structures(bytes: &[u8]) -> Vec<(String, Vec<String>)> {
    let Ok(object) = load(bytes, &LoadOptions::default()) else { return Vec::new() };
    let maps = object.maps.iter().filter_map(|map| Some((map.name.clone(), map.struct_ops.as_ref()?)));
    maps.map(|(name, ops)| (name, ops.programs.iter().map(|member| member.program.clone()).collect()))
        .collect()
}

/// The statistics at the end of a log.
#[must_use]
pub fn cost(log: &str) -> Option<Cost> {
    let after = |line: &str, name: &str| {
        let rest = &line[line.find(name)? + name.len()..];
        rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let small = |line: &str, name: &str| u32::try_from(after(line, name)?).ok();
    let time = log.lines().find_map(|line| after(line, "verification time "))?;
    let line = log.lines().find(|line| line.starts_with("processed "))?;
    Some(Cost {
        processed: small(line, "processed ")?,
        time: Duration::from_micros(time),
        states: (small(line, "total_states ")?, small(line, "peak_states ")?),
    })
}
