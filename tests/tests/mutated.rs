//! A short run of mutated objects; `cargo run -p brolga-tests --bin mutate` does a long one.

use std::time::Duration;

use brolga_tests::mutate::{Plan, case, run};
use brolga_tests::repo;

fn objects() -> Vec<Vec<u8>> {
    let mut paths = repo::files("tests/cases", &["o"]);
    paths.extend(repo::files("examples", &["o"]));
    paths.iter().map(|path| std::fs::read(path).expect("checked in")).collect()
}

#[test]
fn mutated_objects_neither_panic_nor_hang() {
    let plan =
        Plan { first: 0, cases: 1000, seed: 1, threads: 2, patience: Duration::from_secs(120), meter: None };
    let summary = run(&objects(), plan);
    assert_eq!(summary.cases, 1000);
    assert!(summary.panics.is_empty(), "{summary}");
    let count = |outcome| summary.outcomes.get(outcome).copied().unwrap_or_default();
    assert!(count("object loads") > 100, "mutations spoil everything: {summary}");
    assert!(count("object malformed") > 100, "mutations spoil nothing: {summary}");
    for outcome in ["links alone", "does not link alone", "links with another", "types print"] {
        assert!(count(outcome) > 10, "{outcome}: {summary}");
    }
}

#[test]
fn cases_are_reproducible_and_differ() {
    let objects = objects();
    assert_eq!(case(&objects, 1, 7), case(&objects, 1, 7));
    assert_ne!(case(&objects, 1, 7), case(&objects, 1, 8));
    assert_ne!(case(&objects, 1, 7), case(&objects, 2, 7));
}
