//! Verdicts are those of the running kernel: distributions' objects and the kernel's selftests, program by program.
//!
//! What differs stands in `tests/parity/known.txt` with its reason. The lists are for Linux 6.18; on another kernel
//! only what is accepted against it is looked at.

use brolga_tests::libbpf::parity::{Counts, Judged, Relation, compare, known};
use brolga_tests::objects::{self, ObjectFile, or_skip};
use brolga_tests::running;
use brolga_tests::selftests::Cpu;

/// Of a hundred programs of the selftests that Linux judges, how many agree.
const AGREE_PERCENT: usize = 97;

fn judge(files: &[ObjectFile]) -> Option<Vec<Judged>> {
    let target = or_skip("the running kernel's types", running::target())?;
    let known = known();
    let judged = files.iter().filter_map(|file| compare(file, &target, &known).ok()).flatten();
    Some(judged.collect())
}

fn differing(judged: &[Judged], relation: Relation) -> Vec<String> {
    judged.iter().filter(|p| p.relation() == relation).map(ToString::to_string).collect()
}

#[test]
fn programs_of_distributions() {
    let found =
        [or_skip("xdp-tools", objects::xdp_tools()), or_skip("libbpf-tools", objects::libbpf_tools())];
    let files: Vec<_> = found.into_iter().flatten().flatten().collect();
    let Some(judged) = judge(&files) else { return };
    let counts = Counts::of(&judged);
    println!("{counts}");
    assert_eq!(counts.agree, counts.judged(), "{:#?}", {
        let mut all = differing(&judged, Relation::OnlyLinux);
        all.extend(differing(&judged, Relation::OnlyBrolga));
        all.extend(differing(&judged, Relation::Unsupported));
        all
    });
    assert!(files.is_empty() || counts.agree > 100, "{counts}");
}

#[test]
fn programs_of_selftests() {
    let Some(files) = or_skip("the selftests", objects::selftests(Cpu::V3)) else { return };
    let others: Vec<_> = files.into_iter().filter(|file| !file.name.contains("/verifier_")).collect();
    let Some(judged) = judge(&others) else { return };
    let counts = Counts::of(&judged);
    println!("{counts}");
    let unsafe_ones = differing(&judged, Relation::OnlyBrolga);
    assert!(unsafe_ones.is_empty(), "Linux refuses what Brolga accepts: {unsafe_ones:#?}");
    println!("{:#?}", differing(&judged, Relation::OnlyLinux));
    println!("{:#?}", differing(&judged, Relation::Unsupported));
    assert!(counts.judged() > 1000 && counts.agree * 100 >= counts.judged() * AGREE_PERCENT, "{counts}");
}
