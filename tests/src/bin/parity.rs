//! Compares verdicts with the running kernel's: `parity [--all] OBJECT...`.
//!
//! Prints every program that only one side accepts, by kind, with what both say of it, and the reason where it is
//! known; with `--all` also what Linux could not judge, and why. Ends with counts and the share of agreement; exits with 1 where
//! a program that Linux refuses is accepted, for no reason that is known.

use std::collections::BTreeMap;
use std::process::ExitCode;

use brolga_tests::libbpf::parity::{Counts, Judged, Relation, Says, compare, known};
use brolga_tests::objects::ObjectFile;
use brolga_tests::running;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (options, files): (Vec<&String>, Vec<&String>) = args.iter().partition(|a| a.starts_with("--"));
    let all = options.iter().any(|o| *o == "--all");
    if files.is_empty() || options.iter().any(|o| *o != "--all") {
        eprintln!("usage: parity [--all] OBJECT...");
        return ExitCode::from(2);
    }
    let target = match running::target() {
        Ok(target) => target,
        Err(why) => {
            eprintln!("parity: {why}");
            return ExitCode::from(2);
        }
    };
    let known = known();
    let mut judged = Vec::new();
    for name in files {
        let file = std::fs::read(name).map_err(|error| error.to_string());
        let file = file.map(|bytes| ObjectFile { name: name.clone(), bytes });
        match file.and_then(|file| compare(&file, &target, &known)) {
            Ok(programs) => judged.extend(programs),
            Err(why) => println!("{name}: {}", why.trim_end()),
        }
    }
    print_by_kind(&judged, all);
    let counts = Counts::of(&judged);
    println!("{counts}");
    if counts.only_brolga == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_by_kind(judged: &[Judged], all: bool) {
    let shown = |program: &&Judged| match program.relation() {
        Relation::Agree => false,
        Relation::OnlyBrolgaJudges | Relation::Neither => all,
        Relation::Known | Relation::OnlyBrolga | Relation::OnlyLinux | Relation::Unsupported => true,
    };
    let mut kinds: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for program in judged.iter().filter(shown) {
        kinds.entry(&program.kind).or_default().push(program);
        if let (Relation::Unsupported, Says::NotJudged(why)) = (program.relation(), &program.brolga) {
            *reasons.entry(why).or_default() += 1;
        }
    }
    for (kind, programs) in kinds {
        println!("\n{kind}:");
        programs.iter().for_each(|program| println!("  {program}"));
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    reasons.iter().for_each(|(reason, count)| println!("{count:5} unsupported: {reason}"));
}
