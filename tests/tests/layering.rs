//! Who may import whom: modules inside the compiler, and packages.
//!
//! The compiler's modules stand in one line, and each imports only what is left of it; so every stage
//! can be read, tested and replaced without what comes after it.

use std::collections::BTreeMap;

use brolga_tests::repo;

/// The compiler's modules in order.
const LINE: &[&str] = &[
    "isa", "btf", "elf", "linker", "program", "cfg", "verify", "ir", "opt", "lower", "clif", "backend",
    "pipeline",
];

/// Beside the line: modules that all may import, and what they import themselves.
const BESIDE: &[(&str, &[&str])] = &[("diag", &["isa", "program"]), ("options", &["diag", "verify"])];

/// Packages and the packages of this repository that each may depend on.
const PACKAGES: &[(&str, &[&str])] = &[
    ("brolga-abi", &[]),
    ("brolga-derive", &[]),
    ("brolga-compiler", &["brolga-abi"]),
    ("brolga-runtime", &["brolga-abi", "brolga-derive", "brolga-compiler"]),
    ("brolga-build", &["brolga-abi", "brolga-compiler"]),
    ("brolga-runtime-c", &["brolga-abi", "brolga-runtime"]),
    ("brolga", &["brolga-abi", "brolga-compiler", "brolga-runtime"]),
    ("brolga-tests", &["brolga-abi", "brolga-compiler", "brolga-runtime", "brolga-build", "brolga"]),
    ("brolga-benches", &["brolga-abi", "brolga-compiler", "brolga-runtime", "brolga-tests"]),
];

/// What the compiler must not know: it is a function from bytes to bytes.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::time",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "println!",
    "eprintln!",
    "thread_local!",
];

/// Types that make a `static` more than a constant.
const SHARED: &[&str] = &["mut ", "Lock<", "Mutex<", "Once<", "Cell<", "Atomic"];

fn may_import(from: &str, to: &str) -> bool {
    if from == to || (BESIDE.iter().any(|(name, _)| *name == to) && LINE.contains(&from)) {
        return true;
    }
    if let Some((_, allowed)) = BESIDE.iter().find(|(name, _)| *name == from) {
        return allowed.contains(&to);
    }
    let place = |name| LINE.iter().position(|m| *m == name);
    matches!((place(from), place(to)), (Some(from), Some(to)) if to < from)
}

/// Source as the library has it: without comments, strings, and the test module at the end.
fn library_code(source: &str) -> String {
    let code = repo::code_only(source);
    match code.find("#[cfg(test)]\nmod ") {
        Some(tests) if code[tests..].contains('{') => code[..tests].to_owned(),
        _ => code,
    }
}

/// The first path segments after `prefix` in `code`, groups in braces taken apart.
fn imported(code: &str, prefix: &str) -> Vec<String> {
    let ident =
        |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$')) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(ident(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.push(ident(&group[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_is_left_of_them() {
    let mut wrong = Vec::new();
    let mut edges = 0;
    for path in repo::files("compiler/src", &["rs"]) {
        let name = repo::name(&path);
        let inner = name.trim_start_matches("compiler/src/").trim_end_matches(".rs");
        let parts: Vec<&str> = inner.split('/').collect();
        let module = parts[0];
        if module == "lib" || parts.contains(&"tests") {
            continue;
        }
        if !LINE.contains(&module) && !BESIDE.iter().any(|(name, _)| *name == module) {
            wrong.push(format!("{name}: module `{module}` has no place in the line"));
            continue;
        }
        let code = library_code(&repo::read(&path));
        // How many `super::` lead from this file to the crate's root.
        let depth = parts.iter().filter(|part| **part != "mod").count();
        for prefix in ["crate::".to_owned(), "super::".repeat(depth)] {
            for to in imported(&code, &prefix) {
                edges += 1;
                if !may_import(module, &to) {
                    wrong.push(format!("{name}: `{module}` imports `{to}`, which is right of it"));
                }
            }
        }
    }
    assert!(edges > 20, "the scan found only {edges} imports");
    assert!(wrong.is_empty(), "the line is {}\n{}", LINE.join(" → "), wrong.join("\n"));
}

#[test]
fn groups_are_taken_apart() {
    let code = "use crate::{a::{b, c}, d as e,\n f}; x::crate::g(); crate::h::i()";
    assert_eq!(imported(code, "crate::"), ["a", "d", "f", "h"]);
}

#[test]
fn the_compiler_reads_nothing_but_its_input() {
    let mut wrong = Vec::new();
    for path in repo::files("compiler/src", &["rs"]) {
        let code = library_code(&repo::read(&path));
        let found = IMPURE.iter().filter(|word| code.contains(**word));
        wrong.extend(found.map(|word| format!("{}: {word}", repo::name(&path))));
        let statics = code.lines().filter_map(|line| {
            let (before, item) = line.split_once("static ")?;
            (before.trim().is_empty() || before.trim_start().starts_with("pub")).then_some(item)
        });
        let shared = statics.filter(|item| SHARED.iter().any(|word| item.contains(word)));
        wrong.extend(shared.map(|item| format!("{}: static {item}", repo::name(&path))));
    }
    assert!(wrong.is_empty(), "no files, clock, environment or global state:\n{}", wrong.join("\n"));
}

/// The packages of this repository that a manifest's own dependencies name, with their lines.
fn dependencies(manifest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        // Tests and build scripts of a package may use more.
        if section == "dependencies" && line.starts_with("brolga") {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            found.insert(name.to_owned(), line.to_owned());
        }
    }
    found
}

#[test]
fn packages_depend_only_on_what_is_below_them() {
    let mut seen = Vec::new();
    for path in repo::files("", &["toml"]).iter().filter(|path| path.ends_with("Cargo.toml")) {
        let manifest = repo::read(path);
        let name = manifest.lines().find_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'));
        let member = manifest.contains("[lints]\nworkspace = true");
        let (Some(name), true) = (name, member) else { continue };
        let Some((known, allowed)) = PACKAGES.iter().find(|(known, _)| *known == name) else {
            panic!("{}: package `{name}` has no row", repo::name(path));
        };
        for (dependency, line) in dependencies(&manifest) {
            assert!(allowed.contains(&dependency.as_str()), "`{name}` must not depend on `{dependency}`");
            let optional = line.contains("optional = true");
            let joins = (name, dependency.as_str()) == ("brolga-runtime", "brolga-compiler");
            assert!(!joins || optional, "the runtime links the compiler only by its feature `jit`");
        }
        seen.push(*known);
    }
    assert!(seen.contains(&"brolga-compiler") && seen.len() >= 7, "found only {seen:?}");
}
