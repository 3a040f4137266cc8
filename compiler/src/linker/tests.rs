//! Tests of what is refused before any object is looked at. `tests/tests/link.rs` links real ones.

use super::*;

#[test]
fn something_must_be_linked() {
    assert_eq!(link(&[]).map_err(|e| e.problem), Err(Problem::Nothing));
    let error = link(&[Input { name: "a.o", bytes: b"no object" }]).expect_err("no object");
    assert_eq!(error.to_string(), "`a.o`: not a 64-bit ELF file");
}
