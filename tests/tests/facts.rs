//! What is proven of the programs in `tests/cases/facts`: the files say it instruction by instruction.
//!
//! `BROLGA_BLESS=1` writes what was found; the soundness harness says whether it is true.

use brolga_compiler::verify::{Options, verify};
use brolga_tests::facts;
use brolga_tests::runner::{blessing, case_files, read_case};

#[test]
fn facts_are_those_of_the_case_files() {
    let mut differing = Vec::new();
    let files = case_files("facts");
    assert!(files.len() >= 12, "there are cases");
    for path in files {
        let mut case = read_case(&path);
        let program = &case.module.programs[0];
        let accepted = verify(program, &Options::default())
            .unwrap_or_else(|rejection| panic!("{}: {:?}", path.display(), rejection.diagnostics));
        let found = facts::text(program, &accepted);
        if blessing() {
            case.sections.set("facts", &found);
            std::fs::write(&path, case.sections.text()).expect("the case can be written");
        } else if case.sections.get("facts").map(|section| section.body.trim_end()) != Some(found.trim_end())
        {
            differing.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(differing.is_empty(), "facts differ:\n{}", differing.join("\n"));
}
