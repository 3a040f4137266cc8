//! What `brolga verify` says of programs with the mistakes that beginners make, and with others: as text, as JSON, as
//! SARIF and as a log.
//!
//! The programs are in `tests/cases/diagnostics`, and beside them what is expected; `BROLGA_BLESS=1` writes it anew.

mod common;

use std::collections::BTreeSet;

use common::{Run, brolga, root};
use serde_json::{Value, json};

const CASES: &str = "tests/cases/diagnostics";

/// Objects, and arguments beside them.
const OBJECTS: &[(&str, &[&str])] = &[
    ("helper", &[]),
    ("licence", &[]),
    ("loop", &["--program", "endless"]),
    ("misuse", &[]),
    ("null", &[]),
    ("packet", &[]),
    ("pointer", &[]),
    ("reference", &[]),
    ("return", &[]),
    ("several", &[]),
    ("stack_key", &["--unprivileged=bpf"]),
    ("stack_size", &[]),
];

fn verify(object: &str, args: &[&str]) -> Run {
    let path = format!("{CASES}/{object}.bpf.o");
    brolga(&[&["verify", "--btf", "own", &path], args].concat())
}

/// The text without what a clock said.
fn timeless(text: &str) -> String {
    let line = |line: &str| match (line.strip_suffix(" ms"), line.rfind(' ')) {
        (Some(head), Some(_)) => format!("{} T ms\n", head.rsplit_once(' ').map_or("", |(head, _)| head)),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The name of an expectation, where what was printed is another text.
fn differs(name: &str, printed: &str) -> Option<String> {
    let path = root().join(CASES).join(name);
    if std::env::var_os("BROLGA_BLESS").is_some() {
        std::fs::write(&path, printed).expect("the directory is there");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    (expected != printed).then(|| name.to_owned())
}

fn assert_none(differing: &[String]) {
    assert!(
        differing.is_empty(),
        "not as expected: {}; BROLGA_BLESS=1 writes them anew",
        differing.join(", ")
    );
}

#[test]
fn messages_are_as_expected() {
    let mut differing = Vec::new();
    for (object, args) in OBJECTS {
        let run = verify(object, args);
        differing.extend(differs(&format!("{object}.txt"), &timeless(run.exits(1))));
    }
    assert_none(&differing);
}

#[test]
fn json_and_logs_are_as_expected() {
    let run = verify("pointer", &["--format", "json"]);
    run.exits(1);
    let mut lines = run.json();
    for line in &mut lines {
        line["time_us"] = json!(0);
    }
    let json = serde_json::to_string_pretty(&lines).expect("it was JSON") + "\n";
    let log = verify("reference", &["--log"]);
    let all = verify("reference", &["--log=2"]);
    let sarif = verify("null", &["--format", "sarif"]);
    assert_none(
        &[
            differs("pointer.json", &json),
            differs("reference.log", &timeless(log.exits(1))),
            differs("reference.log2", &timeless(all.exits(1))),
            differs("null.sarif", sarif.exits(1)),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>(),
    );
}

/// Every field of the JSON is in the help.
#[test]
fn help_lists_all_fields() {
    fn fields(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    names.insert(name.clone());
                    fields(value, names);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| fields(value, names)),
            _ => {}
        }
    }
    let help = brolga(&["verify", "--help"]);
    let words: Vec<&str> = help.exits(0).split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut names = BTreeSet::new();
    verify("pointer", &["--format", "json"]).json().iter().for_each(|line| fields(line, &mut names));
    let register = |name: &&String| name.starts_with('R');
    let missing: Vec<_> =
        names.iter().filter(|name| !register(name) && !words.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "not in the help: {missing:?}");
}

/// What SARIF 2.1.0 demands of a document, and GitHub of one that is uploaded.
fn check_sarif(log: &Value) {
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().contains("sarif-schema-2.1.0"));
    let [run] = &log["runs"].as_array().unwrap()[..] else { panic!("one run") };
    let driver = &run["tool"]["driver"];
    assert!(driver["name"].is_string() && driver["semanticVersion"].is_string());
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        assert!(rule["id"].is_string() && rule["help"]["text"].is_string());
        assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# "));
        assert!(rule["shortDescription"]["text"].as_str().is_some_and(|text| text.len() < 1024));
    }
    let ids: BTreeSet<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len(), "rules are there once");
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert!(result["partialFingerprints"].as_object().unwrap().values().all(Value::is_string));
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
        let related = result["relatedLocations"].as_array().into_iter().flatten();
        let flows = result["codeFlows"].as_array().into_iter().flatten();
        let threads = flows.flat_map(|flow| flow["threadFlows"].as_array().unwrap());
        let steps =
            threads.flat_map(|thread| thread["locations"].as_array().unwrap()).map(|step| &step["location"]);
        for location in result["locations"].as_array().unwrap().iter().chain(related).chain(steps) {
            let place = &location["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(!uri.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
            assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
            assert!(place["region"].get("startColumn").is_none_or(|column| column.as_u64().unwrap() >= 1));
        }
    }
    for invocation in run["invocations"].as_array().unwrap() {
        assert!(invocation["executionSuccessful"].is_boolean());
    }
}

fn sarif(args: &[&str], code: i32) -> Value {
    let run = brolga(&[&["verify", "--format", "sarif"], args].concat());
    let log = serde_json::from_str(run.exits(code)).expect("a document");
    check_sarif(&log);
    log
}

#[test]
fn sarif_is_one_document_of_all_findings() {
    let objects: Vec<String> = OBJECTS
        .iter()
        .filter(|(name, _)| *name != "loop")
        .map(|(name, _)| format!("{CASES}/{name}.bpf.o"))
        .collect();
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let log = sarif(&[&["--btf", "own"], &objects[..]].concat(), 1);
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.len() > objects.len(), "{}", results.len());
    assert!(
        results.iter().any(|result| result["codeFlows"].is_array() && result["relatedLocations"].is_array())
    );

    let accepted = sarif(&["--btf", "own", "examples/firewall.bpf.o"], 0);
    assert_eq!(accepted["runs"][0]["results"], json!([]));
    let missing = sarif(&["missing.o", "cli/tests/data/rejected.bpf.o"], 2);
    assert_eq!(missing["runs"][0]["invocations"][0]["executionSuccessful"], false);
    assert_eq!(missing["runs"][0]["results"].as_array().unwrap().len(), 1);
    let core = "tests/cases/core/fields.bpf.o";
    let (old, new) = ("tests/cases/core/kernel_old.o", "tests/cases/core/kernel_new.o");
    sarif(&["--btf", old, "--btf", new, core, "cli/tests/data/rejected.bpf.o"], 1);
}

#[test]
fn several_errors_are_limited_and_the_first_stays_first() {
    let all = verify("several", &["--format", "json"]).json();
    let codes = |line: &Value| -> Vec<(String, u64)> {
        let found = line["diagnostics"].as_array().unwrap().iter();
        found.map(|d| (d["code"].as_str().unwrap().to_owned(), d["insn"].as_u64().unwrap())).collect()
    };
    for (line, one) in all.iter().zip(verify("several", &["--format", "json", "--max-errors", "1"]).json()) {
        let (all, one) = (codes(line), codes(&one));
        assert!(all.len() > 1, "{all:?}");
        assert_eq!(one, all[..1], "the first is what one error is");
        assert!(all[1..].is_sorted_by_key(|(_, insn)| *insn), "{all:?}");
        assert_eq!(all.iter().map(|(_, insn)| insn).collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    }
}

#[test]
fn colours_are_chosen() {
    let path = "cli/tests/data/rejected.bpf.o";
    assert!(brolga(&["verify", path, "--color", "always"]).exits(1).contains("\x1b[1m"));
    assert!(!brolga(&["--color", "never", "verify", path]).exits(1).contains('\x1b'));
    let both = brolga(&["verify", path, "--log", "--format", "json"]);
    both.fails("--log is text");
}

/// The example in the README is what is printed.
#[test]
fn the_readme_shows_a_message() {
    let run = verify("null", &["--program", "checked_another"]);
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let (_, message) = run.exits(1).split_once('\n').expect("a verdict before the message");
    assert!(readme.contains(message), "the README does not show\n{message}");
}

#[test]
fn programs_are_judged_together_and_stay_in_their_order() {
    let path = "cli/tests/data/rejected.bpf.o";
    let balancer = "examples/balancer.bpf.o";
    let names = |jobs: &str| -> Vec<Value> {
        let lines =
            brolga(&["verify", "--format", "json", "--btf", "own", "--jobs", jobs, balancer, path]).json();
        lines
            .iter()
            .map(|line| json!([line["object"], line["program"], line["verdict"], line["processed"]]))
            .collect()
    };
    let one = names("1");
    assert!(one.len() > 1, "{one:?}");
    assert_eq!(names("4"), one);
}

#[test]
fn the_budget_is_an_option() {
    let object = "examples/balancer.bpf.o";
    let verdict = |args: &[&str]| {
        let lines = brolga(&[&["verify", "--format", "json", "--btf", "own", object], args].concat()).json();
        (lines[0]["verdict"].clone(), lines[0]["diagnostics"][0]["code"].clone())
    };
    assert_eq!(verdict(&[]).0, "accept");
    assert_eq!(verdict(&["--budget", "10"]), (json!("reject"), json!("too-complex")));
}
