//! Compares verdicts with the labels of kernel selftests: `labels [--all] OBJECT...`.
//!
//! The kernel's `verifier_*.c` say of each program, in declaration tags of the BTF, whether Linux accepts it. Prints
//! each program that is judged otherwise, with the reason where it is known, the reasons for what is not judged (with
//! `--all` each such program), and a line of counts; exits with 1 where a program labelled failure is accepted.

use std::collections::BTreeMap;
use std::process::ExitCode;

use brolga_compiler::program::{LoadOptions, Object, Target, load};
use brolga_tests::labels::{Verdict, judge, known, labels};

#[derive(Debug, Default)]
struct Counts {
    agree: u64,
    known: u64,
    only_brolga: u64,
    only_linux: u64,
    unsupported: u64,
    unlabelled: u64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (options, files): (Vec<&String>, Vec<&String>) = args.iter().partition(|a| a.starts_with("--"));
    let all = options.iter().any(|o| *o == "--all");
    if files.is_empty() {
        eprintln!("usage: labels [--all] OBJECT...");
        return ExitCode::from(2);
    }
    let target = brolga_tests::running::target().unwrap_or_else(|why| {
        eprintln!("labels: without the kernel's types: {why}");
        Target::default()
    });
    let load_options = LoadOptions { target, ..LoadOptions::default() };
    let mut counts = Counts::default();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for file in files {
        let loaded = std::fs::read(file).map_err(|e| e.to_string());
        match loaded.and_then(|bytes| load(&bytes, &load_options).map_err(|e| e.to_string())) {
            Ok(object) => compare(file, &object, all, &mut counts, &mut reasons),
            Err(error) => println!("{file}: {error}"),
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (reason, count) in reasons {
        println!("{count:5} not judged: {reason}");
    }
    println!("{counts:?}");
    if counts.only_brolga == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(file: &str, object: &Object, all: bool, counts: &mut Counts, reasons: &mut BTreeMap<String, u64>) {
    let known = known();
    let tags = object.btf.as_deref().map(labels).unwrap_or_default();
    let stem = std::path::Path::new(file).file_stem().map_or_else(String::new, |s| s.display().to_string());
    for program in &object.programs {
        let Some(label) = tags.get(&program.name).filter(|l| l.success || l.failure) else {
            counts.unlabelled += 1;
            continue;
        };
        if !label.apply() {
            continue;
        }
        let what = format!("{stem}: {}", program.name);
        let verdict = judge(program, label);
        if let (Some(reason), Verdict::OnlyBrolga | Verdict::OnlyLinux(_)) = (known.get(&what), &verdict) {
            counts.known += 1;
            println!("KNOWN {what}: {reason}");
            continue;
        }
        match verdict {
            Verdict::Agrees => counts.agree += 1,
            Verdict::OnlyBrolga => {
                counts.only_brolga += 1;
                println!("ONLY BROLGA ACCEPTS {what}: expected {:?}", label.messages);
            }
            Verdict::OnlyLinux(why) => {
                counts.only_linux += 1;
                println!("ONLY LINUX ACCEPTS {what}: {why}");
            }
            Verdict::Unsupported(why) => {
                counts.unsupported += 1;
                if all {
                    let label = if label.success { "success" } else { "failure" };
                    println!("NOT JUDGED {what} ({label}): {why}");
                }
                *reasons.entry(why).or_default() += 1;
            }
        }
    }
}
