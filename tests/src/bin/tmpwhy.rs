//! tmp
use brolga_compiler::isa::{NoNames, listing};
use brolga_compiler::verify::{Options, verify};
use brolga_tests::soundness::program_of;
use std::collections::BTreeMap;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() == 2 {
        let g = program_of(args[1].parse().unwrap());
        println!("{}", listing(&g.module.programs[0].insns, &NoNames));
        println!("{:?}", verify(&g.module.programs[0], &Options::default()).err());
        return;
    }
    let mut why: BTreeMap<String, (u32, u64)> = BTreeMap::new();
    let mut lens = 0;
    for seed in (0..2000u64).filter(|s| s % 4 != 3) {
        let g = program_of(seed);
        lens += g.module.programs[0].insns.len();
        if let Err(e) =
            verify(&g.module.programs[0], &Options { instruction_budget: 30_000, ..Options::default() })
        {
            let text: String =
                e.diagnostics[0].message.chars().filter(|c| !c.is_ascii_digit()).take(70).collect();
            let entry = why.entry(text).or_insert((0, seed));
            entry.0 += 1;
        }
    }
    println!("avg len {}", lens / 1500);
    let mut all: Vec<_> = why.into_iter().collect();
    all.sort_by_key(|x| std::cmp::Reverse(x.1.0));
    for (k, v) in all {
        println!("{v:?} {k}");
    }
}
