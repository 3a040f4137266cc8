//! Small rules about the repository's own text: lengths, first lines, words, licences.
//!
//! A rule that rustc, clippy or rustfmt can hold is theirs and not repeated here.

use brolga_tests::repo;

/// Lines of a file; STYLE asks for about 600.
const FILE_LINES: usize = 700;
/// Lines of a function; STYLE asks for about 70.
const FUNCTION_LINES: usize = 100;
/// Lines of a function that is mostly one match with short arms.
const MATCH_LINES: usize = 220;

fn assert_none(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    let files = repo::files("", &["rs"]);
    assert!(files.len() > 50, "the scan found only {} files", files.len());
    for path in files {
        let text = repo::read(&path);
        let lines = text.lines().count();
        if lines > FILE_LINES {
            wrong.push(format!("{}: {lines} lines", repo::name(&path)));
        }
        let first = text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
        if !first.starts_with("//! ") || first.len() < 13 {
            wrong.push(format!("{}: the first line is not documentation", repo::name(&path)));
        }
    }
    assert_none(&wrong, "files have at most 700 lines, and the first says what the file is");
}

/// Functions of a source: name, first line from 1, lines, lines that are arms of a match.
fn functions(source: &str) -> Vec<(String, usize, usize, usize)> {
    let code = repo::code_only(source);
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let declared = line.split("fn ").nth(1).filter(|_| {
            let before = line.split("fn ").next().unwrap_or_default();
            before.split_whitespace().all(|w| {
                w.starts_with("pub") || matches!(w, "const" | "unsafe" | "async" | "extern" | "in" | "self)")
            })
        });
        let Some(name) = declared else { continue };
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // rustfmt closes a function in the column in which it began.
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let body = &lines[at..];
        let Some(end) = body.iter().position(|l| l.trim_end() == close) else { continue };
        let arms = body[..end].iter().filter(|l| l.contains("=>")).count();
        found.push((name, at + 1, end + 1, arms));
    }
    found
}

#[test]
fn functions_are_short() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in repo::files("", &["rs"]) {
        for (name, at, lines, arms) in functions(&repo::read(&path)) {
            count += 1;
            let limit = if arms * 3 > lines { MATCH_LINES } else { FUNCTION_LINES };
            if lines > limit {
                wrong.push(format!("{}:{at}: `{name}` has {lines} lines", repo::name(&path)));
            }
        }
    }
    assert!(count > 300, "the scan found only {count} functions");
    assert_none(&wrong, "functions have at most 100 lines, or 220 where most are arms of a match");
}

#[test]
fn nothing_is_left_for_later_or_bound_to_one_machine() {
    // Put together, so that this file does not hold them.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["#[ig", "nore"],
        ["/ho", "me/"],
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["/Us", "ers/"],
    ]
    .map(|halves| halves.concat());
    let mut wrong = Vec::new();
    for path in repo::files("", &["rs", "md", "toml", "sh", "c", "h", "case", "yml", "S", "txt"]) {
        for (at, line) in repo::read(&path).lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{}: {word}", repo::name(&path), at + 1));
            }
        }
    }
    assert_none(&wrong, "no work left for later, no skipped tests, no paths of one machine");
}

#[test]
fn packages_carry_licences_and_lints() {
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        assert!(repo::root().join(licence).is_file(), "{licence} is missing");
    }
    let mut wrong = Vec::new();
    for path in repo::files("", &["toml"]).iter().filter(|path| path.ends_with("Cargo.toml")) {
        let manifest = repo::read(path);
        let outside = manifest.contains("\n[workspace]") || manifest.starts_with("[workspace]");
        if outside {
            continue;
        }
        for line in ["license.workspace = true", "[lints]\nworkspace = true", "description = "] {
            if !manifest.contains(line) {
                wrong.push(format!("{}: no {line:?}", repo::name(path)));
            }
        }
    }
    assert_none(&wrong, "each package has the workspace's licence and lints, and a description");
}

#[test]
fn functions_are_found_with_their_lengths() {
    let source =
        "pub(crate) fn a() {\n    1\n}\nimpl B {\n    const fn b(&self)\n    {\n    }\n}\n// fn c() {\n}\n";
    let found: Vec<_> = functions(source).into_iter().map(|(name, at, lines, _)| (name, at, lines)).collect();
    assert_eq!(found, [("a".to_owned(), 1, 3), ("b".to_owned(), 5, 3)]);
}
