//! The README says what the tables say.

use std::fs;

use brolga_abi::helpers::NATIVE_HELPERS;
use brolga_abi::kinds::PROGRAM_KINDS;
use brolga_abi::maps::MAP_KINDS;
use brolga_tests::repo;

#[test]
fn what_is_supported_is_listed() {
    let readme = fs::read_to_string(repo::root().join("README.md")).expect("the README is there");
    let mut missing = Vec::new();
    let mut ask = |what: &str, name: &str| {
        let listed = readme.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        if !listed {
            missing.push(format!("{what} {name}"));
        }
    };
    NATIVE_HELPERS.iter().for_each(|helper| ask("helper", helper.info().name.trim_start_matches("bpf_")));
    MAP_KINDS.iter().for_each(|row| ask("map kind", row.name));
    PROGRAM_KINDS.iter().filter(|row| row.kind.runs()).for_each(|row| ask("program kind", row.name));
    assert!(missing.is_empty(), "the README does not list: {}", missing.join(", "));
}
