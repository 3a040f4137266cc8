//! Loading and relocating objects, beside libbpf.
//!
//! Both sides begin with the object's bytes and end with the final instructions of every program, which must be
//! equal before anything is timed. libbpf also makes maps and has the kernel load the object's types: the first is
//! kept from happening, the second measured and taken off. Each side reads the kernel's types anew for each
//! object that needs them, as libbpf does; and then the same without that, since Brolga needs it once for all
//! objects.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use brolga_compiler::btf::Btf;
use brolga_compiler::program::{LoadOptions, load};
use brolga_tests::libbpf::{Comparison, Outcome, Prepared, compare_programs, prepare, time};
use brolga_tests::objects::{self, ObjectFile};
use brolga_tests::running;
use brolga_tests::selftests::Cpu;

use crate::stats::median;

/// Where the running kernel has its types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Options of `load`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rounds: each times both sides once.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// Objects, instead of the largest selftest and those of libbpf-tools.
    objects: Vec<PathBuf>,
}

/// Milliseconds of both sides in one round, all objects together.
#[derive(Debug, Default)]
struct Round {
    libbpf: f64,
    libbpf_types: f64,
    brolga: f64,
    brolga_types: f64,
}

/// Prints the table.
pub fn run(args: &Args) -> Result<(), String> {
    let target = running::target()?;
    println!("{:<44} {:>10} {:>10} {:>8}", "medians", "brolga ms", "libbpf ms", "ratio");
    for (name, files) in groups(args)? {
        let options = LoadOptions { target: target.clone(), ..LoadOptions::default() };
        let (prepared, programs, slots) = checked(&files, &options)?;
        let rounds = (0..args.rounds).map(|_| round(&prepared, &options)).collect::<Result<Vec<_>, _>>()?;
        println!("{name}: {} objects, {programs} programs, {slots} instructions", files.len());
        row("  with the kernel's types read each time", &rounds, |r| (r.brolga + r.brolga_types, r.libbpf));
        row("  without reading the kernel's types", &rounds, |r| (r.brolga, r.libbpf - r.libbpf_types));
    }
    Ok(())
}

fn row(name: &str, rounds: &[Round], sides: impl Fn(&Round) -> (f64, f64)) {
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = rounds.iter().map(&sides).unzip();
    let mut ratios: Vec<_> = rounds.iter().map(&sides).map(|(ours, theirs)| ours / theirs).collect();
    println!(
        "{name:<44} {:>10.3} {:>10.3} {:>8.3}",
        median(&mut ours),
        median(&mut theirs),
        median(&mut ratios)
    );
}

fn groups(args: &Args) -> Result<Vec<(String, Vec<ObjectFile>)>, String> {
    if !args.objects.is_empty() {
        let read = |path: &PathBuf| {
            let name = path.display().to_string();
            fs::read(path)
                .map(|bytes| ObjectFile { name: name.clone(), bytes })
                .map_err(|e| format!("{name}: {e}"))
        };
        let files = args.objects.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        return Ok(vec![("these objects".to_owned(), files)]);
    }
    let largest = objects::selftests(Cpu::V3)?.into_iter().max_by_key(|file| file.bytes.len());
    let largest = largest.ok_or("no selftest was compiled")?;
    Ok(vec![
        (format!("largest: {}", largest.name), vec![largest]),
        ("libbpf-tools".to_owned(), objects::libbpf_tools()?),
    ])
}

/// What libbpf makes of each object, after checking that it is what Brolga makes of it; programs and
/// instructions in all.
fn checked(files: &[ObjectFile], options: &LoadOptions) -> Result<(Vec<Prepared>, usize, usize), String> {
    let (mut all, mut programs, mut slots) = (Vec::new(), 0, 0);
    for file in files {
        let prepared = match prepare(&file.bytes, None) {
            Outcome::Prepared(prepared) => prepared,
            Outcome::Refused(reason) | Outcome::Unprepared(reason) => {
                return Err(format!("{}: {reason}", file.name));
            }
        };
        let object = load(&prepared.bytes, options).map_err(|error| format!("{}: {error}", file.name))?;
        match compare_programs(&file.name, &object, &prepared) {
            Comparison::Compared { different, .. } if different.is_empty() => {}
            other => return Err(format!("{}: not the same: {other:?}", file.name)),
        }
        programs += prepared.programs.len();
        slots += prepared.programs.iter().map(|(_, insns)| insns.len()).sum::<usize>();
        all.push(prepared);
    }
    Ok((all, programs, slots))
}

fn round(objects: &[Prepared], options: &LoadOptions) -> Result<Round, String> {
    let mut round = Round::default();
    for prepared in objects {
        let times = time(prepared)?;
        round.libbpf += millis(times.whole.saturating_sub(times.kernel));
        let start = Instant::now();
        let mut read = None;
        if let Some(types) = times.types {
            round.libbpf_types += millis(types);
            let types = fs::read(TYPES).map_err(|error| format!("{TYPES}: {error}"))?;
            read = Some(Arc::new(Btf::parse_owned(types).map_err(|error| error.to_string())?));
        }
        round.brolga_types += millis(start.elapsed());
        let start = Instant::now();
        let object = load(&prepared.bytes, options).map_err(|error| error.to_string())?;
        round.brolga += millis(start.elapsed());
        drop((read, object));
    }
    Ok(round)
}

fn millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
