//! Compares verdicts with the running kernel's on many programs: `agreement COUNT [SEED [OBJECT...]]`.
//!
//! COUNT programs are generated from the seed on; where objects are given, programs of theirs are broken instead. Each
//! is judged for a privileged loader and, where the kind allows it, for one without privileges. Prints what differs,
//! made small, and counts; exits with 1 where Brolga accepts what Linux refuses, but not for its size.
//! Changes `kernel.unprivileged_bpf_disabled` while it runs.

use std::process::ExitCode;

use brolga_compiler::program::{LoadOptions, Program, load};
use brolga_tests::agreement::{Report, broken, compare, subject};
use brolga_tests::ask::Asker;
use brolga_tests::generate::rng::Rng;
use brolga_tests::loader::Open;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.first().and_then(|word| word.parse::<u64>().ok());
    let seed = args.get(1).map_or(Some(0), |word| word.parse::<u64>().ok());
    let (Some(count), Some(seed)) = (count, seed) else {
        eprintln!("usage: agreement COUNT [SEED [OBJECT...]]");
        return ExitCode::from(2);
    };
    let mut open = match Open::new() {
        Ok(open) => Some(open),
        Err(why) => {
            eprintln!("agreement: the kernel cannot be asked: {why}");
            return ExitCode::from(2);
        }
    };
    let programs = programs(args.get(2..).unwrap_or_default());
    if args.len() > 2 && programs.is_empty() {
        eprintln!("agreement: no program of the objects can be asked about");
        return ExitCode::from(2);
    }
    let (mut asker, mut report, mut rng) = (Asker::default(), Report::default(), Rng::new(seed));
    for index in 0..count {
        let program = if programs.is_empty() {
            subject(seed + index)
        } else {
            let pick = rng.below(u32::try_from(programs.len()).unwrap_or(u32::MAX)) as usize;
            broken(&programs[pick], &mut rng)
        };
        for text in compare(&program, &mut asker, &mut report) {
            println!("{text}\n");
        }
        if (index + 1) % 500 == 0 {
            // Others wait for their turn.
            drop(open.take());
            std::thread::sleep(std::time::Duration::from_millis(2));
            open = match Open::new() {
                Ok(open) => Some(open),
                Err(why) => {
                    eprintln!("agreement: the kernel cannot be asked any more: {why}");
                    return ExitCode::from(2);
                }
            };
        }
        if (index + 1) % 5000 == 0 {
            eprintln!("{report}");
        }
    }
    drop(open);
    for (why, count) in &report.sharper {
        println!("{count:6} Brolga knows more of a number: {why}");
    }
    for (why, count) in &report.only_linux {
        println!("{count:6} only Linux accepts: {why}");
    }
    println!("from seed {seed}: {report}");
    if report.only_brolga == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Programs of objects that the kernel can be asked about.
fn programs(files: &[String]) -> Vec<Program> {
    let mut all = Vec::new();
    for file in files {
        let loaded = std::fs::read(file).map_err(|error| error.to_string());
        match loaded
            .and_then(|bytes| load(&bytes, &LoadOptions::default()).map_err(|error| error.to_string()))
        {
            Ok(object) => {
                all.extend(object.programs.into_iter().filter(|program| {
                    program.insns.len() < 2000 && brolga_tests::ask::load_as(program).is_ok()
                }))
            }
            Err(error) => eprintln!("{file}: {error}"),
        }
    }
    all
}
