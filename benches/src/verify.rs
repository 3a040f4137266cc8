//! Verifying programs beside Linux's own verifier, in one run.
//!
//! libbpf loads one program of an object at a time and asks the kernel for its statistics: how many instructions it
//! processed, and how long that took. Both sides take turns, and the fastest of each counts. Only programs on which
//! both agree are timed. What the kernel does not judge (a kind that may not be loaded here, a map or a type that
//! it lacks) is counted, as is what Brolga does not judge. It could be wrong where the kernel's statistics change their form; then
//! nothing can be judged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brolga_compiler::program::{LoadOptions, Program, load};
use brolga_compiler::verify::{self, Stats};
use brolga_tests::libbpf::{self, Judge, cost};
use brolga_tests::objects::{self, ObjectFile};
use brolga_tests::selftests::Cpu;
use brolga_tests::{repo, running};

use crate::stats::geomean;

/// From how many instructions that Linux processes a program's times count.
const LARGE: u32 = 1_000;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often each side verifies a large program.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only programs whose name contains this.
    #[arg(long)]
    program: Option<String>,
    /// Brolga alone, without the kernel.
    #[arg(long)]
    alone: bool,
    /// Prints only programs on which Brolga is worse, or differs.
    #[arg(long)]
    worse: bool,
    /// Objects, or directories of them, instead of Debian's, the selftests and the examples.
    objects: Vec<PathBuf>,
}

/// What one side says of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Reject,
    /// It cannot say.
    Unjudged,
}

/// One side's verification.
#[derive(Clone, Debug)]
struct Run {
    verdict: Verdict,
    processed: u32,
    time: Duration,
}

/// One program on both sides.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    linux: Option<Run>,
    brolga: Run,
    stats: Stats,
    peak_kib: u64,
}

/// Prints the table.
pub fn run(args: &Args) -> Result<(), String> {
    let options = LoadOptions { target: running::target()?, ..LoadOptions::default() };
    println!(
        "{:<64} {:>10} {:>10} {:>7} {:>8} {:>8} {:>7} {:>8}",
        "program", "brolga us", "linux us", "ratio", "insns", "linux", "states", "KiB"
    );
    let mut rows = Vec::new();
    for file in files(args)? {
        let object = match load(&file.bytes, &options) {
            Ok(object) => object,
            Err(error) => {
                eprintln!("{}: {error}", file.name);
                continue;
            }
        };
        let mut judge = if args.alone { None } else { Judge::open(&file.bytes).ok() };
        let wanted = |name: &str| args.program.as_ref().is_none_or(|part| name.contains(part.as_str()));
        for program in object.programs.iter().filter(|program| wanted(&program.name)) {
            let row = measure(&file.name, judge.as_mut(), program, args);
            if !args.worse || row.is_worse() {
                row.print();
            }
            rows.push(row);
        }
    }
    summary(&rows);
    Ok(())
}

fn files(args: &Args) -> Result<Vec<ObjectFile>, String> {
    let mut files = Vec::new();
    for path in &args.objects {
        if path.is_dir() {
            files.extend(directory(path)?);
        } else {
            files.push(read(path)?);
        }
    }
    if args.objects.is_empty() {
        files.extend(directory(&repo::root().join("examples"))?);
        files.extend(directory(&repo::root().join("benches/programs"))?);
        for (what, found) in [
            ("xdp-tools", objects::xdp_tools()),
            ("libbpf-tools", objects::libbpf_tools()),
            ("selftests", objects::selftests(Cpu::V3)),
        ] {
            match found {
                Ok(found) => files.extend(found),
                Err(why) => eprintln!("without {what}: {why}"),
            }
        }
    }
    Ok(files)
}

fn directory(path: &Path) -> Result<Vec<ObjectFile>, String> {
    let at = |error| format!("{}: {error}", path.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(at)? {
        paths.push(entry.map_err(at)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<ObjectFile, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(ObjectFile { name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), bytes })
}

/// Both sides take turns; the fastest of each counts.
fn measure(object: &str, mut judge: Option<&mut Judge<'_>>, program: &Program, args: &Args) -> Row {
    let name = format!("{object}: {}", program.name);
    let linux = linux(judge.as_deref_mut(), &program.name);
    reset_peak();
    let before = status("VmRSS:");
    let (brolga, stats) = brolga(program);
    let peak_kib = status("VmHWM:").saturating_sub(before);
    let mut row = Row { name, linux, brolga, stats, peak_kib };
    let large = match &row.linux {
        None => args.alone,
        Some(linux) => linux.verdict == row.brolga.verdict && linux.processed >= LARGE,
    };
    for _ in 1..if large { args.rounds } else { 1 } {
        row.brolga.time = row.brolga.time.min(self::brolga(program).0.time);
        if let Some(linux) = &mut row.linux
            && let Some(again) = self::linux(judge.as_deref_mut(), &program.name)
        {
            linux.time = linux.time.min(again.time);
        }
    }
    row
}

fn brolga(program: &Program) -> (Run, Stats) {
    let start = Instant::now();
    let result = verify::verify(program, &verify::Options::default());
    let time = start.elapsed();
    let (verdict, stats) = match &result {
        Ok(accepted) => (Verdict::Accept, accepted.stats),
        Err(rejection) if rejection.unsupported().is_some() => (Verdict::Unjudged, rejection.stats),
        Err(rejection) => (Verdict::Reject, rejection.stats),
    };
    (Run { verdict, processed: stats.processed, time }, stats)
}

/// Has the kernel verify one program of an object. `None` where it does not come to that.
fn linux(judge: Option<&mut Judge<'_>>, name: &str) -> Option<Run> {
    let judge = judge?;
    let program = judge.programs.iter().position(|known| known == name)?;
    let (verdict, cost) = match judge.judge(program) {
        libbpf::Verdict::Accepted(cost) => (Verdict::Accept, cost),
        libbpf::Verdict::Refused(log) => (Verdict::Reject, cost(&log)?),
        libbpf::Verdict::NotJudged(_) => return None,
    };
    Some(Run { verdict, processed: cost.processed, time: cost.time })
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let linux = self.linux.as_ref()?;
        Some(self.brolga.time.as_secs_f64() / linux.time.as_secs_f64())
    }

    fn agrees(&self) -> bool {
        self.linux.as_ref().is_some_and(|linux| linux.verdict == self.brolga.verdict)
    }

    fn is_large(&self) -> bool {
        self.agrees() && self.linux.as_ref().is_some_and(|linux| linux.processed >= LARGE)
    }

    /// Whether both accept.
    fn accepted(&self) -> bool {
        self.agrees() && self.brolga.verdict == Verdict::Accept
    }

    fn processes_no_more(&self) -> bool {
        self.linux.as_ref().is_some_and(|linux| self.brolga.processed <= linux.processed)
    }

    fn is_worse(&self) -> bool {
        let slower = self.is_large() && self.ratio().is_some_and(|ratio| ratio > 0.2);
        !self.agrees() || slower || self.accepted() && !self.processes_no_more()
    }

    fn print(&self) {
        let micros = |run: &Run| format!("{:.0}", run.time.as_secs_f64() * 1e6);
        let linux = self.linux.as_ref();
        let differ = match linux {
            Some(linux) if linux.verdict != self.brolga.verdict => {
                format!(" brolga: {:?}, linux: {:?}", self.brolga.verdict, linux.verdict)
            }
            Some(_) | None => String::new(),
        };
        println!(
            "{:<64} {:>10} {:>10} {:>7} {:>8} {:>8} {:>7} {:>8}{differ}",
            self.name,
            micros(&self.brolga),
            linux.map_or_else(|| "-".to_owned(), micros),
            self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
            self.brolga.processed,
            linux.map_or_else(|| "-".to_owned(), |run| run.processed.to_string()),
            self.stats.peak_states,
            self.peak_kib,
        );
    }
}

fn summary(rows: &[Row]) {
    let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    let unjudged = |run: Option<&Run>| run.is_none_or(|run| run.verdict == Verdict::Unjudged);
    println!();
    println!("{} programs", rows.len());
    println!("not judged by Linux here: {}", count(&|row| unjudged(row.linux.as_ref())));
    println!("not judged by Brolga: {}", count(&|row| unjudged(Some(&row.brolga))));
    let judged = |row: &Row| !unjudged(row.linux.as_ref()) && !unjudged(Some(&row.brolga));
    println!("verdicts differ: {} of {}", count(&|row| judged(row) && !row.agrees()), count(&judged));
    let accepted: Vec<&Row> = rows.iter().filter(|row| row.accepted()).collect();
    let no_more = accepted.iter().filter(|row| row.processes_no_more()).count();
    println!(
        "accepted by both: {}; Brolga processes no more instructions on {no_more} ({:.1}%)",
        accepted.len(),
        100.0 * no_more as f64 / accepted.len().max(1) as f64
    );
    let large: Vec<&Row> = rows.iter().filter(|row| row.is_large()).collect();
    let mut ratios: Vec<(f64, &Row)> = large.iter().filter_map(|row| Some((row.ratio()?, *row))).collect();
    ratios.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let only: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
    println!(
        "time, where Linux processes at least {LARGE}: {} programs, geomean of ratios {:.3}, slower {}",
        only.len(),
        geomean(&only),
        only.iter().filter(|ratio| **ratio > 1.0).count()
    );
    for (ratio, row) in ratios.iter().rev().take(3) {
        println!("  slowest beside Linux: {ratio:.3} {}", row.name);
    }
    if let Some(row) = rows.iter().max_by_key(|row| row.peak_kib) {
        println!("peak memory of one verification: {} KiB, {}", row.peak_kib, row.name);
    }
}

/// Has the kernel forget how much memory this process had at most. Where that is not allowed, peaks are those of the whole run.
fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// A number of this process's status, in KiB.
fn status(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
