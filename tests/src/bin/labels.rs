//! Compares verdicts with the labels of kernel selftests: `labels [--all] OBJECT...`.
//!
//! The kernel's `verifier_*.c` say of each program, in declaration tags of the BTF, whether Linux accepts it. Prints
//! each program that is judged otherwise (but for those whose reason is known), the reasons for what is not judged (with `--all` each such program), and a
//! line of counts; exits with 1 where a program labelled failure is accepted.

use std::collections::BTreeMap;
use std::process::ExitCode;

use brolga_compiler::btf::{Btf, Kind};
use brolga_compiler::diag::Severity;
use brolga_compiler::program::{LoadOptions, Program, Target, load};
use brolga_compiler::verify::{Alignment, Options, verify};

/// Programs that Brolga judges otherwise than their label says, and why.
const KNOWN: &[(&str, &str)] = &[
    ("verifier_map_ptr: read_non_existent_field_rejected", "Linux 6.18 accepts it"),
    ("verifier_mtu: tc_uninit_mtu", "Linux 6.18 accepts it"),
    (
        "verifier_bpf_fastcall: cumulative_stack_depth",
        "slots around a call that Linux inlines count towards the stack's depth",
    ),
    ("verifier_bitfield_write: single_field_roundtrip", "for types that the test names, not the kernel's"),
    ("verifier_bitfield_write: multiple_field_roundtrip", "for types that the test names, not the kernel's"),
    ("verifier_bitfield_write: adjacent_field_roundtrip", "for types that the test names, not the kernel's"),
    ("verifier_bitfield_write: multibyte_field_roundtrip", "for types that the test names, not the kernel's"),
    (
        "iters: iter_err_too_permissive2",
        "Linux 6.18 knows that a constant key of an array is there, and accepts it",
    ),
];

#[derive(Debug, Default)]
struct Counts {
    agree: u64,
    known: u64,
    only_brolga: u64,
    only_linux: u64,
    unsupported: u64,
    unlabelled: u64,
}

/// What the tags of one function say.
#[derive(Debug, Default)]
struct Labels {
    success: bool,
    failure: bool,
    flags: Vec<String>,
    messages: Vec<String>,
    archs: Vec<String>,
}

fn labels(btf: &Btf) -> BTreeMap<String, Labels> {
    let mut all: BTreeMap<String, Labels> = BTreeMap::new();
    for id in btf.ids() {
        let Ok(tag) = btf.get(id) else { continue };
        if tag.kind() != Kind::DeclTag {
            continue;
        }
        let (Ok(text), Ok(func)) = (tag.name(), btf.get(tag.referenced())) else { continue };
        let (Some(text), Ok(name)) = (text.strip_prefix("comment:"), func.name()) else { continue };
        let known = all.entry(name.to_owned()).or_default();
        match text.split_once('=') {
            None if text == "test_expect_success" => known.success = true,
            None if text == "test_expect_failure" => known.failure = true,
            Some(("test_prog_flags", flag)) => known.flags.push(flag.to_owned()),
            Some(("test_arch", arch)) => known.archs.push(arch.to_owned()),
            Some(("test_expect_msg", message)) => {
                known.messages.push(message.split_once('=').map_or(message, |m| m.1).to_owned());
            }
            None | Some(_) => {}
        }
    }
    all
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
        let object = loaded.and_then(|b| load(&b, &load_options).map_err(|e| e.to_string()));
        let object = match object {
            Ok(object) => object,
            Err(error) => {
                println!("{file}: {error}");
                continue;
            }
        };
        let tags = object.btf.as_deref().map(labels).unwrap_or_default();
        let stem =
            std::path::Path::new(file).file_stem().map_or_else(String::new, |s| s.display().to_string());
        for program in &object.programs {
            let Some(label) = tags.get(&program.name).filter(|l| l.success || l.failure) else {
                counts.unlabelled += 1;
                continue;
            };
            if !label.archs.is_empty() && !label.archs.iter().any(|a| a == "X86_64") {
                continue;
            }
            judge(&format!("{stem}: {}", program.name), program, label, all, &mut counts, &mut reasons);
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

fn judge(
    what: &str,
    program: &Program,
    label: &Labels,
    all: bool,
    counts: &mut Counts,
    reasons: &mut BTreeMap<String, u64>,
) {
    let has = |flag: &str| label.flags.iter().any(|f| f == flag);
    let alignment =
        if has("BPF_F_STRICT_ALIGNMENT") || has("1") { Alignment::Strict } else { Alignment::Natural };
    let options = Options { alignment, ..Options::default() };
    let ours = verify(program, &options);
    match ours {
        Err(rejection) if rejection.diagnostics.iter().any(|d| d.severity() == Severity::Unsupported) => {
            let found = rejection.diagnostics.iter().find(|d| d.severity() == Severity::Unsupported);
            let first = found.expect("one is");
            counts.unsupported += 1;
            *reasons.entry(first.message.clone()).or_default() += 1;
            if all {
                println!("NOT JUDGED {what} ({}): {:?} {}", verdict(label), first.insn, first.message);
            }
        }
        Ok(_) if label.success => counts.agree += 1,
        Err(_) if label.failure => counts.agree += 1,
        _ if KNOWN.iter().any(|(name, _)| *name == what) => counts.known += 1,
        Ok(_) => {
            counts.only_brolga += 1;
            println!("ONLY BROLGA ACCEPTS {what}: expected {:?}", label.messages);
        }
        Err(rejection) => {
            counts.only_linux += 1;
            let first = &rejection.diagnostics[0];
            println!("ONLY LINUX ACCEPTS {what}: insn {:?}: {}", first.insn, first.message);
        }
    }
}

fn verdict(label: &Labels) -> &'static str {
    if label.success { "success" } else { "failure" }
}
