//! Compares verdicts with Linux: `verdicts COUNT SEED OBJECT...`.
//!
//! Every program of the objects whose kind both know is judged as it is and with COUNT random changes
//! of single instructions. Prints each program that only one side accepts, with its listing, and a line
//! of counts at the end; exits with 1 where Brolga accepts what Linux refuses.

use std::process::ExitCode;

use brolga_compiler::isa::{NoNames, listing};
use brolga_compiler::program::{LoadOptions, Program, load};
use brolga_compiler::verify::{Options, verify};
use brolga_tests::engines::kernel::Kernel;
use brolga_tests::engines::{Engine, Error, Module};
use brolga_tests::generate::mutate::mutate;
use brolga_tests::generate::rng::Rng;

#[derive(Debug, Default)]
struct Counts {
    both_accept: u64,
    both_refuse: u64,
    only_brolga: u64,
    only_linux: u64,
    unsupported: u64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [count, seed, files @ ..] = args.as_slice() else {
        eprintln!("usage: verdicts COUNT SEED OBJECT...");
        return ExitCode::from(2);
    };
    let (Ok(count), Ok(seed)) = (count.parse::<u64>(), seed.parse::<u64>()) else {
        eprintln!("verdicts: COUNT and SEED are numbers");
        return ExitCode::from(2);
    };
    let Some(kernel) = Kernel::or_skip() else { return ExitCode::SUCCESS };
    let mut counts = Counts::default();
    let mut rng = Rng::new(seed);
    for file in files {
        let loaded = std::fs::read(file).map_err(|e| e.to_string());
        let object = loaded.and_then(|b| load(&b, &LoadOptions::default()).map_err(|e| e.to_string()));
        match object {
            Ok(object) => {
                for program in &object.programs {
                    judge_all(file, program, count, &kernel, &mut rng, &mut counts);
                }
            }
            Err(error) => eprintln!("{file}: {error}"),
        }
    }
    println!("{counts:?}");
    if counts.only_brolga == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge_all(file: &str, program: &Program, count: u64, kernel: &Kernel, rng: &mut Rng, counts: &mut Counts) {
    if !program.findings.is_empty() || program.kind.is_none_or(|k| k.number().is_none()) {
        return;
    }
    // The kernel is given no BTF here, so to it all functions are static.
    let mut base = program.clone();
    for subprog in &mut base.subprogs {
        subprog.global = false;
    }
    judge(&format!("{file}: {}", program.name), &base, kernel, counts);
    for _ in 0..count {
        let mut changed = base.clone();
        let at = rng.below(u32::try_from(changed.insns.len()).unwrap_or(u32::MAX)) as usize;
        changed.insns[at] = mutate(rng, changed.insns[at]);
        if changed.insns[at] != base.insns[at] {
            judge(&format!("{file}: {} changed at {at}", program.name), &changed, kernel, counts);
        }
    }
}

fn judge(what: &str, program: &Program, kernel: &Kernel, counts: &mut Counts) {
    let ours = verify(program, &Options::default());
    if let Err(rejection) = &ours
        && rejection.unsupported().is_some()
    {
        counts.unsupported += 1;
        return;
    }
    let theirs = match kernel.load(&Module::single(program.clone())) {
        Ok(_) => Ok(()),
        // That is about how the program is handed over here.
        Err(Error::Rejected(log)) if log.contains("without BTF") => {
            counts.unsupported += 1;
            return;
        }
        Err(Error::Rejected(log)) => Err(log),
        Err(_) => {
            counts.unsupported += 1;
            return;
        }
    };
    match (ours, theirs) {
        (Ok(_), Ok(())) => counts.both_accept += 1,
        (Err(_), Err(_)) => counts.both_refuse += 1,
        (Ok(_), Err(log)) => {
            counts.only_brolga += 1;
            let tail: Vec<&str> = log.lines().rev().take(4).collect();
            println!("ONLY BROLGA ACCEPTS {what}\n{}\n{tail:#?}", text(program));
        }
        (Err(rejection), Ok(())) => {
            counts.only_linux += 1;
            let first = &rejection.diagnostics[0];
            println!(
                "ONLY LINUX ACCEPTS {what}: insn {:?}: {}\n{}",
                first.insn,
                first.message,
                text(program)
            );
        }
    }
}

fn text(program: &Program) -> String {
    listing(&program.insns, &NoNames).to_string()
}
