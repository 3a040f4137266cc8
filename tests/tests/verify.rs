//! The verifier on the case files and on objects: its verdicts, and what it blames.

use brolga_compiler::diag::Severity;
use brolga_compiler::verify::{Options, verify};
use brolga_tests::case::Case;
use brolga_tests::runner::{case_files, read_case};

fn options(case: &Case) -> Options {
    Options { privilege: case.privilege, ..Options::default() }
}

/// What is wrong with a case that must be refused, if anything.
fn refusal_fault(case: &Case) -> Option<String> {
    let program = &case.module.programs[0];
    let Err(rejection) = verify(program, &options(case)) else {
        return Some("is accepted".to_owned());
    };
    let found = &rejection.diagnostics[0];
    let code = found.code.info().name;
    let text = &found.message;
    if let Some((at, expected)) = &case.refused
        && (found.insn != Some(*at) || code != expected)
    {
        let at_found = found.insn.map_or_else(|| "no instruction".to_owned(), |i| format!("insn {i}"));
        return Some(format!("{code} at {at_found}, not {expected} at insn {at}: {text}"));
    }
    let expected = case.refused_with.as_deref().unwrap_or_default();
    if !text.contains(expected) && code != expected {
        return Some(format!("says `{code}: {text}`, not `{expected}`"));
    }
    None
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_is_to_be_refused_is_refused_for_its_reason() {
    let faults: Vec<String> = case_files("verify/reject")
        .iter()
        .filter_map(|path| Some(format!("{}: {}", path.display(), refusal_fault(&read_case(path))?)))
        .collect();
    assert_none(&faults);
}

#[test]
fn what_runs_is_accepted() {
    let folders = ["isa", "maps", "helpers", "regressions", "verify/accept"];
    let faults: Vec<String> = folders
        .iter()
        .flat_map(|folder| case_files(folder))
        .filter_map(|path| {
            let case = read_case(&path);
            let program = &case.module.programs[0];
            if case.refused_with.is_some() {
                return refusal_fault(&case).map(|fault| format!("{}: {fault}", path.display()));
            }
            let rejection = verify(program, &options(&case)).err()?;
            let found = &rejection.diagnostics[0];
            let unsupported = found.severity() == Severity::Unsupported;
            let what = if unsupported { "unsupported" } else { found.code.info().name };
            Some(format!("{}: {what}: {} (insn {:?})", path.display(), found.message, found.insn))
        })
        .collect();
    assert_none(&faults);
}
