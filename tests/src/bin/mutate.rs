//! Runs mutated objects through load, decode, link and verify: `mutate [CASES [SEED [FIRST [DIR...]]]]`.
//!
//! Objects are those of the repository, those of Debian's `xdp-tools` and `libbpf-tools` where they are installed, and
//! those in the directories given. Memory is counted: loading must stay within a multiple of what it reads.
//! A failure is repeated by giving its seed, its case as FIRST, and the same directories.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use brolga_tests::mutate::{Meter, Plan, run};
use brolga_tests::{objects, repo};

/// Counts bytes by thread. What one thread frees for another makes its count too small, never too large.
struct Counting;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // While a thread ends, its count is gone.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: everything is done by the system's allocator, with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        // For a moment both may be there.
        count(size(new));
        count(-size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, new) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn begin() {
    NOW.set(0);
    PEAK.set(0);
}

fn peak() -> u64 {
    u64::try_from(PEAK.get()).unwrap_or(0)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default| match args.next().map(|arg| arg.parse::<u64>()) {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(_)) => {
            eprintln!("usage: mutate [CASES [SEED [FIRST [DIR...]]]]");
            std::process::exit(2);
        }
    };
    let (cases, seed, first) = (number(100_000), number(1), number(0));
    let objects = corpus(args.map(PathBuf::from));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    // Panics are counted; their messages are in the summary.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let meter = Some(Meter { begin, peak });
    let plan = Plan { first, cases, seed, threads, patience: Duration::from_secs(20), meter };
    let summary = run(&objects, plan);
    println!("{} objects, seed {seed}, {:?}\n{summary}", objects.len(), began.elapsed());
    if summary.panics.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Objects to mutate.
fn corpus(directories: impl Iterator<Item = PathBuf>) -> Vec<Vec<u8>> {
    let mut paths = repo::files("tests/cases", &["o"]);
    paths.extend(repo::files("examples", &["o"]));
    for directory in directories {
        paths.extend(objects_in(&directory));
    }
    let mut all: Vec<Vec<u8>> = paths.iter().filter_map(|path| std::fs::read(path).ok()).collect();
    for installed in [objects::xdp_tools(), objects::libbpf_tools()] {
        match installed {
            Ok(files) => all.extend(files.into_iter().map(|file| file.bytes)),
            Err(why) => eprintln!("mutate: {why}"),
        }
    }
    all
}

fn objects_in(directory: &Path) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            eprintln!("mutate: {}: {error}", directory.display());
            std::process::exit(2);
        }
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "o")).collect();
    paths.sort();
    paths
}
