//! Compares loading with libbpf 1.7: `loadcheck [OBJECT...]`.
//!
//! Without arguments: all objects of `xdp-tools`, `libbpf-tools` and the kernel's selftests. The selftests' objects for
//! CO-RE relocations are also compared against each of the kernels that they were written for. Prints what
//! could not be compared and why, what Brolga does not load, what differs, maps that differ, and the counts; exits with 1
//! where something is not loaded or differs.

use std::process::ExitCode;

use brolga_compiler::program::{LoadOptions, load};
use brolga_tests::libbpf::{compare_all, compare_core, differing_maps};
use brolga_tests::objects::{self, ObjectFile, or_skip};
use brolga_tests::running;
use brolga_tests::selftests::Cpu;

fn main() -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let mut files = Vec::new();
    for path in &paths {
        match std::fs::read(path) {
            Ok(bytes) => files.push(ObjectFile { name: path.trim_end_matches(".o").to_owned(), bytes }),
            Err(error) => eprintln!("{path}: {error}"),
        }
    }
    if paths.is_empty() {
        files.extend(or_skip("xdp-tools", objects::xdp_tools()).into_iter().flatten());
        files.extend(or_skip("libbpf-tools", objects::libbpf_tools()).into_iter().flatten());
        for cpu in [Cpu::V3, Cpu::V4] {
            files.extend(or_skip("the selftests", objects::selftests(cpu)).into_iter().flatten());
        }
    }
    let target = match running::target() {
        Ok(target) => target,
        Err(why) => {
            eprintln!("loadcheck: {why}");
            return ExitCode::from(2);
        }
    };
    let mut report = compare_all(&files, &target);
    match compare_core(&files, &target) {
        Ok(core) => report.extend(core),
        Err(error) => eprintln!("loadcheck: {error}"),
    }
    println!("{report}");
    let maps = different_maps(&files);
    maps.iter().for_each(|difference| println!("map {difference}"));
    let same = maps.is_empty() && report.failures().is_empty() && report.programs().1.is_empty();
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn different_maps(files: &[ObjectFile]) -> Vec<String> {
    let mut different = Vec::new();
    for file in files {
        let Ok(object) = load(&file.bytes, &LoadOptions::default()) else { continue };
        let differences = differing_maps(&file.bytes, &object).unwrap_or_default();
        different.extend(differences.into_iter().map(|difference| format!("{}: {difference}", file.name)));
    }
    different
}
