//! The repository's own files, for tests that hold its rules.
//!
//! Reads source as text: good enough for rules about words, lines and paths, and no more. A name that a
//! macro puts together is not seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("this package lies in the repository").to_owned()
}

/// Names with the reasons that a list of the repository gives for them, a line each: `name # reason`. Lines that begin with `#`
/// are comments.
///
/// # Panics
///
/// If the list cannot be read, or gives no reason for a name.
#[must_use]
pub fn reasons(list: &str) -> BTreeMap<String, String> {
    let text = read(&root().join(list));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries = lines.map(|line| {
        let (what, reason) = line.split_once(" # ").unwrap_or_else(|| panic!("no reason: {line}"));
        (what.to_owned(), reason.to_owned())
    });
    entries.collect()
}

/// Files below a directory of the repository whose extension is one of `extensions`, in order.
/// Build output and hidden directories are left out.
///
/// # Panics
///
/// If the directory cannot be read.
#[must_use]
pub fn files(dir: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        for path in entries.map(|entry| entry.expect("a readable directory").path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A file's path as it is written in messages: from the root, with slashes.
#[must_use]
pub fn name(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// A file's text.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Rust source without comments and without what stands in strings and characters; line breaks stay.
#[must_use]
pub fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skip = skipped(rest, code.chars().next_back());
        if skip == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skip].chars().filter(|c| *c == '\n'));
            rest = &rest[skip..];
        }
    }
    code
}

/// Bytes of the comment, string or character that `text` starts with; 0 if it starts with none.
fn skipped(text: &str, before: Option<char>) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r')).filter(|_| !in_word);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = text.len() - raw.len() + hashes + 1;
            return text[open..].find(&close).map_or(text.len(), |end| open + end + close.len());
        }
    }
    match text.as_bytes() {
        [b'"', ..] => quoted(text, b'"').unwrap_or(text.len()),
        // A character, not a lifetime: closed after one character or an escape.
        [b'\'', b'\\', ..] => quoted(text, b'\'').unwrap_or(0),
        [b'\'', ..] => {
            let mut chars = text.char_indices().skip(2);
            chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1)
        }
        _ => 0,
    }
}

/// Where a literal that starts with a quote ends.
fn quoted(text: &str, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::code_only;

    #[test]
    fn comments_and_literals_go() {
        let code = code_only("a /* b */ c // d\n\"e \\\" f\" 'g' '\\'' &'h i r#\"j \" k\"# l");
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "c", "&'h", "i", "l"]);
        assert_eq!(code.lines().count(), 2);
    }
}
