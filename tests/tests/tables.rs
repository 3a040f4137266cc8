//! Walks the tables: what stands in one must be exercised by a case.
//!
//! Every diagnostic code is shown by a refused case, every helper and map kind by one that is refused and one
//! that runs (and so is accepted). That every row of the ISA table is executed is `isa_edges.rs`'s to
//! hold. A case counts for what its instructions name, not for what it was meant to show.

use std::collections::BTreeSet;
use std::path::PathBuf;

use brolga_abi::helpers::{HELPERS, NATIVE_HELPERS};
use brolga_abi::maps::MAP_KINDS;
use brolga_abi::symbols::ROUTINES;
use brolga_compiler::diag::codes::CODES;
use brolga_compiler::diag::{Code, Severity};
use brolga_compiler::isa::table::rows;
use brolga_compiler::isa::{CallTarget, Imm64, Insn};
use brolga_compiler::program::{LoadOptions, load};
use brolga_tests::case::Case;
use brolga_tests::repo;
use brolga_tests::runner::{case_files, read_case};
use brolga_tests::tagged::{expectations, objects};

/// Codes without a case file or a tagged object, and why; each is shown by its page, whose programs in C `pages.rs` compiles.
const NO_CASE: &[(&str, &str)] = &[
    ("dynptr", "needs a map whose values a dynptr may have"),
    ("iterator", "needs kernel functions"),
    ("attach-target", "needs the kernel's types"),
    ("invalid-instruction", "cases are assembled, so their instructions exist"),
    ("reserved-form", "cases are assembled, so their instructions exist"),
    ("core-missing", "needs an object: its BTF"),
    ("core-relocation", "needs an object: its BTF"),
    ("unresolved-call", "needs an object: its symbols"),
    ("unresolved-extern", "needs an object: its symbols"),
    ("global-function", "needs an object: its BTF"),
    ("gpl-only-helper", "needs an object: its licence"),
    ("map-definition", "Linux refuses to make the map, before it sees a program"),
    ("empty-program", "a case without instructions is no case"),
    ("program-too-large", "needs a million instructions"),
    ("too-many-subprogs", "needs 257 functions"),
    ("read-only-packet", "no kind so far has a packet that may only be read"),
    ("return-value", "no kind so far limits what a program returns"),
];

fn cases(folders: &[&str]) -> Vec<Case> {
    folders.iter().flat_map(|folder| case_files(folder)).map(|path| read_case(&path)).collect()
}

fn refused() -> Vec<Case> {
    cases(&["verify/reject"])
}

/// Codes with which programs of objects are refused, as their tags say.
fn tagged() -> Vec<String> {
    let codes = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("it is there");
        let object = load(&bytes, &LoadOptions::default()).expect("it loads");
        let all = expectations(object.btf.as_ref().expect("compiled with -g"));
        all.into_values().flatten().map(|(code, _)| code).collect::<Vec<_>>()
    };
    objects().into_iter().flat_map(codes).collect()
}

/// Cases that are accepted, run, and have a result to compare.
fn run() -> Vec<Case> {
    let all = cases(&["isa", "maps", "helpers", "regressions", "verify/accept"]);
    all.into_iter().filter(|case| case.result.is_some()).collect()
}

/// The code after which a file is named: `packet-bounds.one-past.data` is a case of `packet-bounds`.
fn code_of_name(case: &Case) -> String {
    let stem = case.path.file_stem().unwrap_or_default().to_string_lossy();
    stem.split('.').next().unwrap_or_default().to_owned()
}

fn calls(case: &Case, number: u32) -> bool {
    let insns = case.module.programs.iter().flat_map(|program| &program.insns);
    insns.into_iter().any(|insn| *insn == Insn::Call(CallTarget::Helper(number)))
}

/// Whether the instruction at fault is a call of a helper.
fn refused_at_call(case: &Case, number: u32) -> bool {
    case.refused.as_ref().is_some_and(|(at, _)| {
        case.module.programs[0].insns.get(at.index()) == Some(&Insn::Call(CallTarget::Helper(number)))
    })
}

/// Numbers of the kinds of maps that a case's instructions refer to.
fn kinds_used(case: &Case) -> BTreeSet<u32> {
    let insns = case.module.programs.iter().flat_map(|program| &program.insns);
    let used = insns.filter_map(|insn| match insn {
        Insn::LoadImm64 { imm: Imm64::MapIdx(index) | Imm64::MapIdxValue { index, .. }, .. } => Some(*index),
        _ => None,
    });
    used.filter_map(|index| Some(case.module.maps.get(usize::try_from(index).ok()?)?.kind.number())).collect()
}

fn assert_none(missing: &[String]) {
    assert!(missing.is_empty(), "{} are missing:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn every_code_has_a_refused_case_named_after_it() {
    let shown: BTreeSet<String> =
        refused().into_iter().filter_map(|case| case.refused.map(|(_, code)| code)).chain(tagged()).collect();
    let excused = |name: &str| NO_CASE.iter().any(|(code, _)| *code == name);
    let rejecting = CODES.iter().filter(|row| row.severity == Severity::Reject);
    let missing: Vec<String> = rejecting
        .filter(|row| !shown.contains(row.name) && !excused(row.name))
        .map(|row| format!("verify/reject/{}.data", row.name))
        .collect();
    assert_none(&missing);
    for (name, _) in NO_CASE {
        assert!(!shown.contains(*name), "`{name}` has a case, and needs no excuse");
        assert!(Code::from_name(name).is_some(), "no code is called `{name}`");
    }
}

#[test]
fn refused_cases_say_code_and_instruction() {
    for case in refused() {
        let path = case.path.display();
        let Some((_, code)) = &case.refused else { panic!("{path}: no `; error: code` on any line") };
        assert_eq!(*code, code_of_name(&case), "{path} is named after its code");
        assert!(Code::from_name(code).is_some(), "{path}: no code is called `{code}`");
    }
}

#[test]
fn every_helper_is_refused_and_run() {
    let (refused, run) = (refused(), run());
    let mut missing = Vec::new();
    for helper in NATIVE_HELPERS.iter().map(|helper| helper.info()) {
        // A call that takes nothing cannot be wrong; what follows it can.
        let refuses = |case| match helper.args {
            [] => calls(case, helper.number),
            _ => refused_at_call(case, helper.number),
        };
        if !refused.iter().any(refuses) {
            missing.push(format!("verify/reject: a call of {}", helper.name));
        }
        if !run.iter().any(|case| calls(case, helper.number)) {
            missing.push(format!("helpers: {} with a result", helper.name));
        }
    }
    assert_none(&missing);
}

#[test]
fn every_map_kind_is_refused_and_run() {
    let (refused, run) = (refused(), run());
    let mut missing = Vec::new();
    for kind in MAP_KINDS {
        for (folder, cases) in [("verify/reject", &refused), ("maps", &run)] {
            if !cases.iter().any(|case| kinds_used(case).contains(&kind.number)) {
                missing.push(format!("{folder}: a program that uses a {} map", kind.name));
            }
        }
    }
    assert_none(&missing);
}

/// Linked objects find helpers and routines by name, which only an unmangled function has.
#[test]
fn every_symbol_is_exported_by_the_runtime() {
    let sources = repo::files("runtime/src", &["rs"]);
    let code: String = sources.iter().map(|path| repo::code_only(&repo::read(path))).collect();
    let exported = |symbol: &str| {
        let function = format!("fn {symbol}(");
        code.match_indices(&function).any(|(at, _)| {
            let attributes = code[..at].rsplit(['}', ';']).next().unwrap_or_default();
            attributes.contains("no_mangle") && attributes.contains("extern")
        })
    };
    let symbols =
        NATIVE_HELPERS.iter().map(|helper| helper.symbol()).chain(ROUTINES.iter().map(|row| row.symbol));
    assert_none(&symbols.filter(|symbol| !exported(symbol)).map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn names_and_numbers_are_unique() {
    fn unique<T: Ord + std::fmt::Debug>(what: &str, values: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for value in values {
            let shown = format!("{value:?}");
            assert!(seen.insert(value), "two {what} are {shown}");
        }
    }
    unique("helper names", HELPERS.iter().map(|row| row.name));
    unique("helper numbers", HELPERS.iter().map(|row| row.number));
    unique("helper symbols", NATIVE_HELPERS.iter().map(|helper| helper.symbol()));
    unique("map kind names", MAP_KINDS.iter().map(|row| row.name));
    unique("map kind numbers", MAP_KINDS.iter().map(|row| row.number));
    unique("codes", CODES.iter().map(|row| row.name));
    unique("spellings", rows().flat_map(|row| std::iter::once(&row.spelling).chain(row.aliases)));
}

#[test]
fn codes_are_explained() {
    for row in CODES {
        let kebab = row.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(kebab, "`{}` is not in kebab case", row.name);
        assert!(
            row.page.starts_with(&format!("# {}\n\n", row.name)),
            "the page of `{}` begins with its name",
            row.name
        );
        assert!(row.meaning().len() > 30 && row.summary().len() < 160, "`{}` is not explained", row.name);
    }
}
