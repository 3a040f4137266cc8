//! Runs mutated objects through load, decode and verify: `mutate [CASES [SEED [FIRST]]]`.
//!
//! Objects are those of the repository, and Debian's where they are installed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use brolga_tests::mutate::{Plan, run};
use brolga_tests::repo;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let mut number = |default| match args.next() {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(_)) => {
            eprintln!("usage: mutate [CASES [SEED [FIRST]]]");
            std::process::exit(2);
        }
    };
    let (cases, seed, first) = (number(100_000), number(1), number(0));
    let mut paths = repo::files("tests/cases", &["o"]);
    paths.extend(repo::files("examples", &["o"]));
    if let Ok(dir) = std::fs::read_dir("/usr/lib/x86_64-linux-gnu/bpf") {
        let mut more: Vec<_> = dir.filter_map(|entry| Some(entry.ok()?.path())).collect();
        more.sort();
        paths.extend(more);
    }
    let objects: Vec<Vec<u8>> = paths.iter().filter_map(|path| std::fs::read(path).ok()).collect();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    // Panics are counted; their messages are in the summary.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let plan = Plan { first, cases, seed, threads, patience: Duration::from_secs(20) };
    let summary = run(&objects, plan);
    println!("{} objects, seed {seed}, {:?}\n{summary}", objects.len(), began.elapsed());
    if summary.panics.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
