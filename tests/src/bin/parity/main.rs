//! Compares verdicts with the running kernel's: `parity [--all] OBJECT...`.
//!
//! Each program is loaded alone, by libbpf, into the running kernel, and verified for that kernel's types. Prints
//! every program that only one side accepts, by kind, with what the other side says of it; differences whose reason is known
//! with that reason; with `--all` also what neither could judge, and why. Ends with counts and the share of agreement;
//! exits with 1 where a program that Linux refuses is accepted, for no reason that is known.

mod known;

use std::collections::BTreeMap;
use std::process::ExitCode;

use brolga_compiler::diag::Severity;
use brolga_compiler::program::{LoadOptions, Object, Target, load};
use brolga_compiler::verify::{Options, Rejection, verify};
use brolga_tests::libbpf::{Judge, Verdict};
use brolga_tests::running;

use known::KNOWN;

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Says {
    Accepted,
    Refused(String),
    NotJudged(String),
}

#[derive(Debug, Default)]
struct Counts {
    agree: u64,
    known: u64,
    only_brolga: u64,
    only_linux: u64,
    /// Linux judges, and Brolga says that it cannot.
    unsupported: u64,
    /// Neither libbpf brings it before the kernel, nor does Brolga accept it.
    neither: u64,
    /// Brolga accepts what libbpf does not bring before the kernel.
    not_judged: u64,
}

struct Difference {
    kind: String,
    program: String,
    what: String,
}

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
    let (mut counts, mut differences, mut reasons) = (Counts::default(), Vec::new(), BTreeMap::new());
    for file in files {
        if let Err(why) = compare(file, &target, all, &mut counts, &mut differences, &mut reasons) {
            println!("{file}: {}", why.trim_end());
        }
    }
    differences.sort_by(|a, b| (&a.kind, &a.program).cmp(&(&b.kind, &b.program)));
    for group in differences.chunk_by(|a, b| a.kind == b.kind) {
        println!("\n{}:", group[0].kind);
        for Difference { program, what, .. } in group {
            println!("  {program}: {what}");
        }
    }
    let mut reasons: Vec<(String, u64)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (reason, count) in reasons {
        println!("{count:5} unsupported: {reason}");
    }
    let judged = counts.agree + counts.known + counts.only_brolga + counts.only_linux + counts.unsupported;
    #[expect(clippy::cast_precision_loss, reason = "a share of some thousand")]
    let share = 100.0 * counts.agree as f64 / judged.max(1) as f64;
    println!("{counts:?}");
    println!("{share:.2}% of {judged} programs that Linux judges agree");
    if counts.only_brolga == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(
    file: &str,
    target: &Target,
    all: bool,
    counts: &mut Counts,
    differences: &mut Vec<Difference>,
    reasons: &mut BTreeMap<String, u64>,
) -> Result<(), String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let stem = std::path::Path::new(file).file_stem().map_or_else(String::new, |s| s.display().to_string());
    let mut judge = Judge::open(&bytes)?;
    let options = LoadOptions { target: target.clone(), ..LoadOptions::default() };
    let mut object = load(&bytes, &options).map_err(|error| error.to_string())?;
    for at in 0..judge.programs.len() {
        let linux = match judge.judge(at) {
            Verdict::Accepted(_) => Says::Accepted,
            Verdict::Refused(log) => Says::Refused(log),
            Verdict::NotJudged(why) => Says::NotJudged(why),
        };
        for map in &judge.sized {
            object.set_max_entries(map, 1).map_err(|error| error.to_string())?;
        }
        let name = &judge.programs[at];
        let position = judge.programs[..at].iter().filter(|n| *n == name).count();
        let (kind, brolga) = ours(&object, name, position);
        let program = format!("{stem}: {name}");
        let reason = KNOWN.iter().find(|(name, _)| *name == program).map(|(_, reason)| *reason);
        let mut differs = |what| {
            let what = reason.map_or(what, |reason| format!("known: {reason}"));
            differences.push(Difference { kind: kind.clone(), program: program.clone(), what });
        };
        let count = match (&linux, &brolga) {
            (Says::Accepted, Says::Accepted) | (Says::Refused(_), Says::Refused(_)) => &mut counts.agree,
            (Says::Refused(log), Says::Accepted) => {
                differs(format!("only Brolga accepts; Linux: {}", end_of(log)));
                &mut counts.only_brolga
            }
            (Says::Accepted, Says::Refused(why)) => {
                differs(format!("only Linux accepts; Brolga: {why}"));
                &mut counts.only_linux
            }
            (Says::Accepted | Says::Refused(_), Says::NotJudged(why)) => {
                *reasons.entry(why.clone()).or_default() += 1;
                let linux = if linux == Says::Accepted { "accepts" } else { "refuses" };
                differs(format!("unsupported, and Linux {linux} it: {why}"));
                &mut counts.unsupported
            }
            (Says::NotJudged(why), Says::Accepted) => {
                if all {
                    differs(format!("not judged by Linux, accepted: {}", end_of(why)));
                }
                &mut counts.not_judged
            }
            (Says::NotJudged(why), Says::Refused(ours) | Says::NotJudged(ours)) => {
                if all {
                    differs(format!("not judged by Linux: {}; Brolga: {ours}", end_of(why)));
                }
                &mut counts.neither
            }
        };
        let is_known = reason.is_some() && !matches!(linux, Says::NotJudged(_)) && linux != brolga;
        *if is_known { &mut counts.known } else { count } += 1;
    }
    Ok(())
}

/// What Brolga says of a program, and its kind.
fn ours(object: &Object, name: &str, position: usize) -> (String, Says) {
    let Some(program) = object.programs.iter().filter(|p| p.name == name).nth(position) else {
        return ("?".to_owned(), Says::NotJudged("no such program".to_owned()));
    };
    let kind = program.kind.map_or_else(|| "?".to_owned(), |kind| format!("{kind:?}"));
    let says = match verify(program, &Options::default()) {
        Ok(_) => Says::Accepted,
        Err(Rejection { diagnostics, .. }) => {
            let unsupported = diagnostics.iter().find(|d| d.severity() == Severity::Unsupported);
            let first = unsupported.unwrap_or(&diagnostics[0]);
            let at = first.insn.map_or_else(String::new, |insn| format!("insn {}: ", insn.0));
            match unsupported {
                Some(_) => Says::NotJudged(first.message.clone()),
                None => Says::Refused(format!("{at}{}", first.message)),
            }
        }
    };
    (kind, says)
}

/// The last lines that say something.
fn end_of(log: &str) -> String {
    let statistics = |line: &&str| {
        !["verification time ", "stack depth ", "processed "].iter().any(|start| line.starts_with(start))
    };
    let lines: Vec<&str> = log.lines().filter(statistics).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(2)..].join(" / ")
}
