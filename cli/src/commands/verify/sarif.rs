//! Verdicts as SARIF 2.1.0, for tools that show findings beside the code under review.
//!
//! One document with one run. A finding is a result: its rule is the diagnostic's code, its place the source line
//! that BTF names, its code flow the path. Files are named as the compiler was called, relative to the root
//! of the sources. What has no source line is placed at the object. Accepted programs have no results.

use std::collections::BTreeMap;
use std::path::Path;

use brolga_compiler::diag::codes::CodeInfo;
use brolga_compiler::diag::{Code, Diagnostic, Severity, Turn, TurnKind, render};
use brolga_compiler::isa::InsnIdx;
use brolga_compiler::program::{Program, SourceLine};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::objects::Judgement;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What all objects came to.
#[derive(Default)]
pub(super) struct Log {
    /// Rules by code: their places in the list.
    rules: BTreeMap<Code, usize>,
    list: Vec<Value>,
    results: Vec<Value>,
    failures: Vec<Value>,
}

/// A judged program: where it came from and for which kernel.
struct Subject<'a> {
    object: &'a Path,
    kernel: &'a str,
    program: &'a Program,
}

impl Log {
    /// Adds the findings about a program.
    pub fn add(&mut self, object: &Path, kernel: &str, judgement: &Judgement<'_>) {
        let subject = Subject { object, kernel, program: judgement.program };
        for found in judgement.diagnostics() {
            let index = self.rule(found.code);
            self.results.push(subject.result(found, index));
        }
    }

    /// Adds what another log has.
    pub fn append(&mut self, other: &Self) {
        for result in &other.results {
            let mut result = result.clone();
            let code = result["ruleId"].as_str().and_then(Code::from_name);
            if let Some(code) = code {
                result["ruleIndex"] = json!(self.rule(code));
            }
            self.results.push(result);
        }
        self.failures.extend(other.failures.iter().cloned());
    }

    /// The place of a code's rule in the list.
    fn rule(&mut self, code: Code) -> usize {
        let next = self.list.len();
        let index = *self.rules.entry(code).or_insert(next);
        if index == next {
            self.list.push(rule(code.info()));
        }
        index
    }

    /// Adds an object that could not be judged.
    pub fn fail(&mut self, failure: &Failure) {
        self.failures.push(json!({ "level": "error", "message": { "text": failure.to_string() } }));
    }

    /// The document.
    pub fn finish(self) -> Value {
        json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "Brolga",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": self.list,
                } },
                "columnKind": "unicodeCodePoints",
                "invocations": [{
                    "executionSuccessful": self.failures.is_empty(),
                    "toolExecutionNotifications": self.failures,
                }],
                "results": self.results,
            }],
        })
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Reject => "error",
        Severity::Unsupported => "warning",
    }
}

fn rule(row: &CodeInfo) -> Value {
    let name: String = row
        .name
        .split('-')
        .map(|word| {
            word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>()
        })
        .collect();
    json!({
        "id": row.name,
        "name": name,
        "shortDescription": { "text": row.summary() },
        "fullDescription": { "text": row.meaning() },
        "help": { "text": row.meaning(), "markdown": row.page },
        "defaultConfiguration": { "level": level(row.severity) },
        "properties": { "tags": ["ebpf", "verifier"] },
    })
}

impl Subject<'_> {
    fn result(&self, found: &Diagnostic, rule: usize) -> Value {
        let mut result = json!({
            "ruleId": found.code.info().name,
            "ruleIndex": rule,
            "level": level(found.severity()),
            "message": { "text": message(found) },
            "locations": [self.location(found.insn, None)],
            "partialFingerprints": { "brolga/v1": self.fingerprint(found) },
            "properties": {
                "object": self.object.display().to_string(),
                "program": self.program.name,
                "kernel": self.kernel,
                "insn": found.insn.map(|at| at.0),
            },
        });
        let notes = (1..).zip(&found.notes).filter(|(_, note)| note.insn.is_some());
        let related: Vec<Value> = notes
            .map(|(id, note)| {
                let mut location = self.location(note.insn, Some(&note.message));
                location["id"] = json!(id);
                location
            })
            .collect();
        if !related.is_empty() {
            result["relatedLocations"] = json!(related);
        }
        if !found.path.is_empty() {
            let step = |location: Value| json!({ "location": location });
            let mut steps: Vec<Value> =
                found.path.iter().map(|turn| step(self.location(Some(turn.insn), Some(way(turn))))).collect();
            let label = found.label.as_deref().unwrap_or("the program is refused here");
            steps.push(step(self.location(found.insn, Some(label))));
            result["codeFlows"] = json!([{ "threadFlows": [{ "locations": steps }] }]);
        }
        result
    }

    /// A place in the source, or the object where there is none.
    fn location(&self, at: Option<InsnIdx>, message: Option<&str>) -> Value {
        let line =
            at.and_then(|at| self.program.line_of(at)).filter(|line| line.line > 0 && !line.file.is_empty());
        let mut location = match line {
            Some(line) => json!({ "physicalLocation": {
                "artifactLocation": artifact(render::file(&line)),
                "region": region(&line),
            } }),
            None => json!({ "physicalLocation": {
                "artifactLocation": artifact(&self.object.display().to_string()),
                "region": { "startLine": 1 },
            } }),
        };
        let function = at.map_or(self.program.name.as_str(), |at| {
            let subprog = self.program.subprog_of(at);
            self.program.subprogs.get(subprog.index()).map_or(self.program.name.as_str(), |s| s.name.as_str())
        });
        location["logicalLocations"] = json!([{ "name": function, "kind": "function" }]);
        if let Some(message) = message {
            location["message"] = json!({ "text": message });
        }
        location
    }

    /// What stays the same while lines move: the code, the program, and the text of the line.
    fn fingerprint(&self, found: &Diagnostic) -> String {
        let line = found.insn.and_then(|at| self.program.line_of(at));
        let parts = [
            found.code.info().name,
            &self.program.name,
            line.as_ref().map_or("", |line| render::file(line)),
            line.as_ref().map_or("", |line| line.text.trim()),
        ];
        // FNV-1a, which is the same everywhere.
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }
}

/// All that a review tool shows of a finding: it has one text.
fn message(found: &Diagnostic) -> String {
    let mut text = found.message.clone();
    let unplaced = found.notes.iter().filter(|note| note.insn.is_none()).map(|note| &note.message);
    for part in found.label.iter().chain(unplaced) {
        text = text + "\n" + part;
    }
    if let Some(help) = &found.help {
        text = text + "\nhelp: " + help;
    }
    if let Some(repair) = &found.repair {
        text = text + "\n" + repair;
    }
    text
}

const fn way(turn: &Turn) -> &'static str {
    match turn.kind {
        TurnKind::Taken => "the jump is taken",
        TurnKind::Fallthrough => "the jump is not taken",
        TurnKind::Call => "a function is entered",
        TurnKind::Return => "the function returns",
    }
}

fn region(line: &SourceLine<'_>) -> Value {
    let mut region = json!({ "startLine": line.line });
    if line.column > 0 {
        // BTF counts bytes.
        let before = usize::try_from(line.column - 1).unwrap_or(usize::MAX);
        let column = match line.text.get(..before) {
            Some(text) => text.chars().count() + 1,
            None => before.saturating_add(1),
        };
        region["startColumn"] = json!(column);
    }
    if !line.text.is_empty() {
        region["snippet"] = json!({ "text": line.text });
    }
    region
}

/// A file as a URI: relative ones are relative to the root of the sources.
fn artifact(file: &str) -> Value {
    let mut uri = String::new();
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'/'
            | b'+'
            | b','
            | b'=' => {
                uri.push(char::from(byte));
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    if file.starts_with('/') {
        return json!({ "uri": format!("file://{uri}") });
    }
    json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
}

#[cfg(test)]
mod tests {
    use brolga_compiler::isa::InsnIdx;

    use super::*;

    #[test]
    fn files_become_uris() {
        assert_eq!(artifact("src/a b.c"), json!({ "uri": "src/a%20b.c", "uriBaseId": "%SRCROOT%" }));
        assert_eq!(artifact("/x/ä.c"), json!({ "uri": "file:///x/%C3%A4.c" }));
    }

    #[test]
    fn columns_count_characters() {
        let line = |text, column| SourceLine { insn: InsnIdx(0), file: "a.c", line: 3, column, text };
        assert_eq!(region(&line("ä = b", 6))["startColumn"], 5);
        assert_eq!(region(&line("", 6))["startColumn"], 6);
        assert_eq!(region(&line("x", 0)), json!({ "startLine": 3, "snippet": { "text": "x" } }));
    }
}
