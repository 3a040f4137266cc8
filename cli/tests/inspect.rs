//! What `brolga inspect` prints of objects with everything that libbpf knows, as text and as JSON.
//!
//! The texts expected are in `tests/data/inspect`; `BROLGA_BLESS=1` writes them anew.

mod common;

use std::path::Path;

use common::brolga;

const LOAD: &str = "tests/cases/programs/load";

/// Objects, and the object whose types stand for the kernel's.
const OBJECTS: &[(&str, Option<&str>)] = &[
    ("arrays", None),
    ("externs", Some("kernel")),
    ("globals", None),
    ("iproute2", None),
    ("nested", None),
    ("sections", None),
    ("struct_ops", Some("ops_kernel")),
];

#[test]
fn reports_are_as_expected() {
    let mut differing = Vec::new();
    for (object, kernel) in OBJECTS {
        let path = format!("{LOAD}/{object}.bpf.o");
        let kernel = kernel.map_or_else(|| "own".to_owned(), |kernel| format!("{LOAD}/{kernel}.bpf.o"));
        let text = brolga(&["inspect", &path, "--btf", &kernel]);
        differing.extend(differs(&format!("{object}.txt"), text.exits(0)));
        let json = brolga(&["inspect", &path, "--btf", &kernel, "--format", "json"]);
        json.exits(0);
        let [report] = &json.json()[..] else { panic!("one line, not {}", json.stdout) };
        let pretty = serde_json::to_string_pretty(report).expect("it was JSON") + "\n";
        differing.extend(differs(&format!("{object}.json"), &pretty));
    }
    assert!(
        differing.is_empty(),
        "not as expected: {}; BROLGA_BLESS=1 writes them anew",
        differing.join(", ")
    );
}

/// The name of an expectation, where what was printed is another text.
fn differs(name: &str, printed: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/inspect").join(name);
    if std::env::var_os("BROLGA_BLESS").is_some() {
        std::fs::write(&path, printed).expect("the directory is there");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    (expected != printed).then(|| name.to_owned())
}

/// The help lists every field that the reports have.
#[test]
fn help_lists_all_fields() {
    let help = brolga(&["inspect", "--help"]);
    let words: Vec<&str> = help.exits(0).split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for (object, kernel) in OBJECTS {
        let path = format!("{LOAD}/{object}.bpf.o");
        let kernel = kernel.map_or_else(|| "own".to_owned(), |kernel| format!("{LOAD}/{kernel}.bpf.o"));
        let json = brolga(&["inspect", &path, "--btf", &kernel, "--format", "json"]);
        fields(&json.json()[0], &words, object);
    }
}

fn fields(value: &serde_json::Value, words: &[&str], path: &str) {
    match value {
        // Values of variables have the fields of their types.
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                assert!(words.contains(&name.as_str()), "the help does not list `{name}` of {path}");
                if !matches!(name.as_str(), "initial" | "value") {
                    fields(value, words, &format!("{path}.{name}"));
                }
            }
        }
        serde_json::Value::Array(elements) => {
            elements.iter().for_each(|element| fields(element, words, path))
        }
        _ => {}
    }
}

/// An object's names are text: they do not steer the terminal that shows them.
#[test]
fn names_cannot_steer_terminals() {
    let mut object = std::fs::read(common::root().join(LOAD).join("globals.bpf.o")).expect("checked in");
    let listed = brolga(&["inspect", &format!("{LOAD}/globals.bpf.o"), "--btf", "own", "--format", "json"]);
    listed.exits(0);
    let name = listed.json()[0]["programs"][0]["name"].as_str().expect("a name").to_owned();
    assert!(name.len() >= 2, "{name}");
    let (mut from, to) =
        (format!("\0{name}\0").into_bytes(), format!("\0{}\x1b\n\0", &name[2..]).into_bytes());
    from.truncate(to.len());
    let mut found = 0;
    for at in 0..object.len() - from.len() {
        if object[at..].starts_with(&from) {
            object[at..at + to.len()].copy_from_slice(&to);
            found += 1;
        }
    }
    assert!(found > 0, "the name is in no table of strings");
    let path = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(path.path(), object).expect("written");
    let path = path.path().to_str().expect("text");
    let text = brolga(&["inspect", path, "--btf", "own"]);
    let said = format!("{}{}", text.exits(0), text.stderr);
    assert!(said.contains(&format!("{}\\u001b\\u000a", &name[2..])), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
    for command in ["verify", "disasm"] {
        let run = brolga(&[command, path, "--btf", "own"]);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains(&name[2..]) && !said.contains(&format!("{}\\u001b\n", &name[2..])), "{said}");
    }
    let missing = brolga(&["inspect", path, "--btf", "own", "--program", "p\x1b]0;owned\x07"]);
    missing.exits(2);
    assert!(missing.stderr.contains("p\\u001b]0;owned\\u0007"), "{}", missing.stderr);
}

/// Pipes and files without an end are refused.
#[cfg(unix)]
#[test]
fn endless_files_are_not_read() {
    let object = format!("{LOAD}/globals.bpf.o");
    brolga(&["inspect", &object, "--btf", "/dev/zero"]).fails("not a regular file");
    brolga(&["inspect", &object, "--btf", "own", "--kconfig", "/dev/zero"]).fails("more than 16 MiB");
}

/// A callback that returns nothing may leave `r0` as it was.
#[test]
fn callbacks_that_return_nothing_are_accepted() {
    let object = format!("{LOAD}/struct_ops.bpf.o");
    let kernel = format!("{LOAD}/ops_kernel.bpf.o");
    let text = brolga(&["verify", &object, "--btf", &kernel, "--program", "drop"]);
    assert!(text.exits(0).contains("accepted"), "{}", text.stdout);
}

/// An object may come through a pipe that has a name, as shells make them.
#[cfg(target_os = "linux")]
#[test]
fn objects_come_through_pipes() {
    let object = std::fs::File::open(common::root().join(LOAD).join("globals.bpf.o")).expect("checked in");
    let mut cat = std::process::Command::new("cat");
    let mut cat = cat.stdin(object).stdout(std::process::Stdio::piped()).spawn().expect("cat starts");
    let pipe = cat.stdout.take().expect("piped");
    let mut command = common::command(&["inspect", "/dev/stdin", "--btf", "own"]);
    let run = common::Run::of(command.stdin(pipe).output().expect("the command starts"));
    cat.wait().expect("cat ends");
    assert!(run.exits(0).contains("programs"), "{}", run.stdout);
}
