//! Compares verdicts for loaders of less privilege with the running kernel's: `unprivileged [--bpf] [--all] OBJECT...`.
//!
//! Every program of a kind that everybody may load (with `--bpf`: that needs no `CAP_PERFMON`) is judged by Brolga
//! and by Linux, on behalf of a loader without capabilities (with `--bpf`: with `CAP_BPF` and `CAP_NET_ADMIN`). Where
//! Linux cannot be asked, the label of a selftest counts. Prints each program that is judged otherwise, and a line of
//! counts; exits with 1 where Brolga alone accepts one. Changes `kernel.unprivileged_bpf_disabled` while it runs.

use std::process::ExitCode;

use brolga_compiler::diag::Code;
use brolga_compiler::program::{LoadOptions, Program, Target, load};
use brolga_compiler::verify::{Alignment, Options, Privilege, verify};
use brolga_tests::ask::{Answer, ask, load_as};
use brolga_tests::labels::{Labels, labels};
use brolga_tests::loader::Open;

#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    labels: u64,
    label_differs: u64,
    agree_accept: u64,
    agree_refuse: u64,
    only_brolga: u64,
    only_linux: u64,
    unsupported: u64,
    unasked: u64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (options, files): (Vec<&String>, Vec<&String>) = args.iter().partition(|a| a.starts_with("--"));
    let has = |option: &str| options.iter().any(|o| *o == option);
    let privilege = if has("--bpf") { Privilege::Bpf } else { Privilege::Unprivileged };
    if files.is_empty() {
        eprintln!("usage: unprivileged [--bpf] [--all] OBJECT...");
        return ExitCode::from(2);
    }
    let open = match Open::new() {
        Ok(open) => open,
        Err(why) => {
            eprintln!("unprivileged: the kernel cannot be asked: {why}");
            return ExitCode::from(2);
        }
    };
    let target = brolga_tests::running::target().unwrap_or_else(|why| {
        eprintln!("unprivileged: without the kernel's types: {why}");
        Target::default()
    });
    let load_options = LoadOptions { target, ..LoadOptions::default() };
    let mut counts = Counts::default();
    for file in files {
        let loaded = std::fs::read(file).map_err(|e| e.to_string());
        let object = match loaded.and_then(|b| load(&b, &load_options).map_err(|e| e.to_string())) {
            Ok(object) => object,
            Err(error) => {
                eprintln!("{file}: {error}");
                continue;
            }
        };
        let tags = object.btf.as_deref().map(labels).unwrap_or_default();
        let stem =
            std::path::Path::new(file).file_stem().map_or_else(String::new, |s| s.display().to_string());
        let none = Labels::default();
        for program in &object.programs {
            let label = tags.get(&program.name).unwrap_or(&none);
            if label.hold_here() {
                judge(
                    &format!("{stem}: {}", program.name),
                    program,
                    label,
                    privilege,
                    has("--all"),
                    &mut counts,
                );
            }
        }
    }
    drop(open);
    println!("{counts:?}");
    if counts.only_brolga == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(
    what: &str,
    program: &Program,
    label: &Labels,
    privilege: Privilege,
    all: bool,
    counts: &mut Counts,
) {
    let options = Options { privilege, ..label.options() };
    let ours = verify(program, &options);
    // Refused for the kind alone, there is nothing to compare.
    let found = ours.as_ref().err().map(|rejection| &rejection.diagnostics[0]);
    if found.is_some_and(|d| d.code == Code::NeedsPrivilege && d.insn.is_none() && d.message.contains("kind"))
    {
        return;
    }
    let flags = u32::from(options.alignment == Alignment::Strict);
    let answer = match load_as(program) {
        Ok(load) => {
            ask(program, brolga_tests::bpf_syscall::LoadAs { flags: load.flags | flags, ..load }, privilege)
        }
        Err(why) => Answer::Unasked(why),
    };
    let expected = (privilege == Privilege::Unprivileged).then_some(label.unprivileged).flatten();
    let (accepted, why) = match (&answer, expected) {
        (Answer::Accepted, _) => (true, String::new()),
        (Answer::Refused(why), _) => (false, why.clone()),
        (Answer::Unasked(_), Some(expected)) => (expected, "its label".to_owned()),
        (Answer::Unasked(why), None) => {
            counts.unasked += 1;
            if all {
                println!("NOT ASKED {what}: {why}");
            }
            return;
        }
    };
    match answer {
        Answer::Unasked(_) => counts.labels += 1,
        Answer::Accepted | Answer::Refused(_) => counts.asked += 1,
    }
    if expected.is_some_and(|expected| expected != accepted) {
        counts.label_differs += 1;
        if all {
            println!("LABEL DIFFERS {what}: Linux {} {why}", if accepted { "accepts" } else { "refuses" });
        }
    }
    match ours {
        Err(rejection) if rejection.unsupported().is_some() => {
            counts.unsupported += 1;
        }
        Ok(_) if accepted => counts.agree_accept += 1,
        Err(_) if !accepted => counts.agree_refuse += 1,
        Ok(_) => {
            counts.only_brolga += 1;
            println!("ONLY BROLGA ACCEPTS {what}: {why}");
        }
        Err(rejection) => {
            counts.only_linux += 1;
            let first = &rejection.diagnostics[0];
            println!("ONLY LINUX ACCEPTS {what}: insn {:?}: {}", first.insn, first.message);
        }
    }
}
