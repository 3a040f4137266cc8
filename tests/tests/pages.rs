//! The pages on diagnostics: what they show as refused is refused with that very code, and what they show as mended is
//! accepted.
//!
//! A page has two examples in C, the refused one first; where there are three, the first stands before both of the
//! others. They are compiled with clang, with what programs include before them, and verified for a small kernel.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use brolga_compiler::diag::codes::{CODES, CodeInfo};
use brolga_compiler::diag::{Code, Diagnostic, Severity};
use brolga_compiler::pipeline::{Unit, obstacles};
use brolga_compiler::program::{LoadOptions, Target, load};
use brolga_compiler::verify::{Options, Privilege, verify};
use brolga_tests::rebuild::rebuilt;
use brolga_tests::repo;

fn directory() -> PathBuf {
    repo::root().join("tests/cases/diagnostics/pages")
}

fn clang() -> String {
    std::env::var("CLANG").unwrap_or_else(|_| "clang-19".to_owned())
}

fn compile(source: &Path, include: &[&str], object: &Path) -> Result<Vec<u8>, String> {
    let output = Command::new(clang())
        .args(["-O2", "-g", "--target=bpf", "-mcpu=v3", "-w", "-I"])
        .arg(repo::root().join("examples/include"))
        .args(include)
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .expect("clang runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(std::fs::read(object).expect("it was written"))
}

/// The examples of a page: what is refused, what is accepted.
fn examples(page: &str) -> Option<(String, String)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```c\n") {
        let (block, after) = after.split_once("```")?;
        blocks.push(block);
        rest = after;
    }
    match blocks[..] {
        [refused, accepted] => Some((refused.to_owned(), accepted.to_owned())),
        [both, refused, accepted] => Some((format!("{both}\n{refused}"), format!("{both}\n{accepted}"))),
        _ => None,
    }
}

/// What is found about the programs of an example.
fn findings(
    row: &CodeInfo,
    example: &str,
    target: &Target,
    folder: &Path,
) -> Result<Vec<Diagnostic>, String> {
    let source = folder.join(format!("{}.c", row.name));
    let licence = if example.contains("SEC(\"license\")") {
        ""
    } else {
        "char LICENSE[] SEC(\"license\") = \"GPL\";\n"
    };
    std::fs::write(&source, format!("{example}\n{licence}")).expect("the directory is there");
    let prelude = directory().join("prelude.h");
    let include = ["-include", prelude.to_str().expect("a path of text")];
    let bytes = compile(&source, &include, &folder.join("example.o"))?;
    let options = LoadOptions { target: target.clone(), ..LoadOptions::default() };
    let object = load(&bytes, &options).map_err(|error| error.to_string())?;
    if object.programs.is_empty() {
        return Err("there is no program".to_owned());
    }
    let unprivileged = UNPRIVILEGED.contains(&row.code);
    let privilege = if unprivileged { Privilege::Unprivileged } else { Privilege::Full };
    let options = Options { privilege, ..Options::default() };
    let judge = |program| match verify(program, &options) {
        Err(rejection) => rejection.diagnostics,
        // What is verified may still not be run.
        Ok(accepted) if row.severity == Severity::Unsupported => {
            obstacles(&Unit { program, facts: &accepted.facts })
        }
        Ok(_) => Vec::new(),
    };
    Ok(object.programs.iter().flat_map(judge).collect())
}

/// Codes that only loaders without privileges see.
const UNPRIVILEGED: &[Code] = &[Code::PointerLeak, Code::UninitStack, Code::NeedsPrivilege];

/// Examples that loading refuses, before there are diagnostics, and what it says.
const NOT_LOADED: &[(&str, &str)] = &[("empty-program", "size of a function is 0")];

/// What is wrong with a page, if anything.
fn fault(row: &CodeInfo, target: &Target, folder: &Path) -> Option<String> {
    let Some((refused, accepted)) = examples(row.page) else {
        return Some("it does not have two examples".to_owned());
    };
    let show = |found: &[Diagnostic]| {
        let show = |found: &Diagnostic| format!("{}: {}", found.code.info().name, found.message);
        found.iter().map(show).collect::<Vec<_>>().join("; ")
    };
    match findings(row, &refused, target, folder) {
        Err(why) if NOT_LOADED.iter().any(|(code, part)| *code == row.name && why.contains(part)) => {}
        Err(why) => return Some(format!("its first example: {why}")),
        Ok(found) if found.is_empty() => return Some("its first example is accepted".to_owned()),
        Ok(found) if found.iter().any(|found| found.code != row.code) => {
            return Some(format!("its first example is refused for something else: {}", show(&found)));
        }
        Ok(_) => {}
    }
    match findings(row, &accepted, target, folder) {
        Err(why) => Some(format!("its second example: {why}")),
        Ok(found) if found.is_empty() => None,
        Ok(found) => Some(format!("its second example is refused: {}", show(&found))),
    }
}

#[test]
fn examples_are_refused_and_mended() {
    if Command::new(clang()).arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs `{}`", clang());
        eprintln!("skipped: there is no `{}`", clang());
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let kernel =
        compile(&directory().join("kernel.c"), &[], &folder.path().join("kernel.o")).expect("it compiles");
    let types = load(&kernel, &LoadOptions::default()).expect("it loads").btf.expect("compiled with -g");
    let target = Target { types: Arc::clone(&types).into(), ..Target::default() };
    let only = std::env::var("PAGE").ok();
    let rows = CODES.iter().filter(|row| only.as_deref().is_none_or(|only| only == row.name));
    let faults: Vec<String> = rows
        .filter_map(|row| Some(format!("{}: {}", row.name, fault(row, &target, folder.path())?)))
        .collect();
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

/// Pages are read on terminals and in review tools, whole.
#[test]
fn pages_have_one_form() {
    for row in CODES {
        let page = row.page;
        let lines = page.lines().all(|line| line.chars().count() <= 100 && line.trim_end() == line);
        assert!(lines, "a line of the page of `{}` is too long, or ends in blanks", row.name);
        assert!(page.ends_with("```\n"), "the page of `{}` ends with the mended program", row.name);
        let why = if row.severity == Severity::Reject { "Linux" } else { "Brolga" };
        assert!(row.meaning().contains(why), "the page of `{}` does not say why {why} does it", row.name);
    }
}

#[test]
fn objects_are_what_their_sources_say() {
    let directory = repo::root().join("tests/cases/diagnostics");
    let Some(rebuilt) = rebuilt(&directory) else { return };
    for path in repo::files("tests/cases/diagnostics", &["o"]) {
        let name = path.file_name().expect("a file");
        let made = std::fs::read(rebuilt.path().join(name)).expect("it was built");
        assert!(
            made == std::fs::read(&path).expect("a file"),
            "{} is out of date: run build.sh",
            path.display()
        );
    }
}
