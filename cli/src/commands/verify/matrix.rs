//! Verdicts for several kernels: programs are rows, kernels are columns.
//!
//! Each kernel's types are read once, by the thread that judges all objects for it, and are gone
//! before it takes the next one; so memory does not grow with the number of kernels. What is printed
//! has the order of the arguments, whichever thread was first.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use brolga_compiler::diag::render::one_line;

use super::report::Report;
use super::{Tally, findings, options, sarif};
use crate::args::{VerdictFormat, VerifyArgs};
use crate::failure::Failure;
use crate::io::{self, Out, Progress};
use crate::kernels::{Environment, KernelSource};
use crate::objects::{self, Judgement, Verdict};
use crate::style::{DIM, ERROR, GOOD, HEADING, WARNING};

/// Columns of one table; further kernels follow in another.
const COLUMNS: usize = 20;

/// A program on a kernel.
struct Cell {
    program: String,
    verdict: Verdict,
    /// The line of JSON, or the findings as text.
    report: String,
    /// The findings for SARIF.
    log: sarif::Log,
}

/// What was found out for one kernel: by object, its programs.
type Column = Result<Vec<Result<Vec<Cell>, Failure>>, Failure>;

/// Judges all objects for all kernels.
pub(super) fn run(
    args: &VerifyArgs,
    kernels: &[KernelSource],
    out: &mut Out,
    log: &mut sarif::Log,
) -> Result<ExitCode, Failure> {
    let mut tally = Tally::default();
    let mut inputs = Vec::new();
    for path in &args.objects {
        match io::read(path) {
            Ok(bytes) => inputs.push((path.as_path(), bytes)),
            Err(failure) => {
                tally.fail(&failure)?;
                log.fail(&failure);
                failure.report();
            }
        }
    }
    let columns = judge(args, kernels, &inputs);
    for (column, _) in
        columns.iter().zip(kernels).filter_map(|(column, kernel)| Some((column.as_ref().err()?, kernel)))
    {
        tally.fail(column)?;
        log.fail(column);
        column.report();
    }
    if args.format == VerdictFormat::Text {
        for (number, kernel) in (1..).zip(kernels) {
            writeln!(out, "{DIM}kernel{DIM:#} {number:3}  {}", kernel.label)?;
        }
    }
    for (index, (path, _)) in inputs.iter().enumerate() {
        let row: Vec<Option<&Result<Vec<Cell>, Failure>>> = columns
            .iter()
            .map(|column| column.as_ref().ok().and_then(|objects| objects.get(index)))
            .collect();
        for cell in row.iter().flatten().filter_map(|cells| cells.as_ref().ok()).flatten() {
            tally.verdicts.push(cell.verdict);
        }
        match args.format {
            VerdictFormat::Text => text(path, &row, out)?,
            VerdictFormat::Sarif => {
                for cell in row.iter().flatten().filter_map(|cells| cells.as_ref().ok()).flatten() {
                    log.append(&cell.log);
                }
            }
            VerdictFormat::Json => {
                for cell in row.iter().flatten().filter_map(|cells| cells.as_ref().ok()).flatten() {
                    writeln!(out, "{}", cell.report)?;
                }
            }
        }
        out.flush()?;
        report_failures(&row, kernels, &mut tally, log)?;
    }
    Ok(tally.exit_code())
}

/// Judges on as many threads as the machine runs at once.
fn judge(args: &VerifyArgs, kernels: &[KernelSource], inputs: &[(&Path, Vec<u8>)]) -> Vec<Column> {
    let next = AtomicUsize::new(0);
    let columns: Mutex<BTreeMap<usize, Column>> = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(kernels.len());
    let progress: Progress = io::progress_of_kernels(kernels.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, kernel)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    kernels.get(index).map(|kernel| (index, kernel))
                } {
                    let column = kernel.read().map(|mut environment| {
                        environment.host_functions = args.host.host_function.clone().into();
                        inputs.iter().map(|input| cells(args, input, &kernel.label, &environment)).collect()
                    });
                    columns.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(index, column);
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    columns.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
}

/// The programs of one object on one kernel.
fn cells(
    args: &VerifyArgs,
    (path, bytes): &(&Path, Vec<u8>),
    kernel: &str,
    environment: &Environment,
) -> Result<Vec<Cell>, Failure> {
    let object = objects::load_bytes(path, bytes, &args.selection, args.memory, environment)?;
    let mut cells = Vec::new();
    for program in objects::select(path, &object, &args.selection)? {
        let judgement = Judgement::with(program, &options(args));
        let mut log = sarif::Log::default();
        let report = match args.format {
            VerdictFormat::Sarif => {
                log.add(path, kernel, &judgement);
                String::new()
            }
            VerdictFormat::Json => serde_json::to_string(&Report::new(path, kernel, &judgement))?,
            VerdictFormat::Text => {
                let mut text = Vec::new();
                findings(program, judgement.diagnostics(), &mut text)?;
                String::from_utf8_lossy(&text).into_owned()
            }
        };
        cells.push(Cell { program: program.name.clone(), verdict: judgement.verdict(), report, log });
    }
    Ok(cells)
}

type Row<'a> = [Option<&'a Result<Vec<Cell>, Failure>>];

/// Says once why an object could not be loaded, and for which kernels.
fn report_failures(
    row: &Row<'_>,
    kernels: &[KernelSource],
    tally: &mut Tally,
    log: &mut sarif::Log,
) -> Result<(), Failure> {
    let mut groups: BTreeMap<String, (&Failure, Vec<usize>)> = BTreeMap::new();
    for (index, cells) in row.iter().enumerate() {
        if let Some(Err(failure)) = cells {
            tally.fail(failure)?;
            groups.entry(failure.to_string()).or_insert_with(|| (failure, Vec::new())).1.push(index);
        }
    }
    for (failure, columns) in groups.into_values() {
        log.fail(failure);
        failure.report();
        if columns.len() < kernels.len() {
            io::say(format_args!("  for kernels {}", ranges(&columns)));
        }
    }
    Ok(())
}

fn text(path: &Path, row: &Row<'_>, out: &mut Out) -> std::io::Result<()> {
    let loaded: Vec<Option<&Vec<Cell>>> =
        row.iter().map(|cells| cells.and_then(|cells| cells.as_ref().ok())).collect();
    // Programs are those of the object, whatever the kernel.
    let Some(programs) = loaded.iter().flatten().next() else { return Ok(()) };
    writeln!(out, "\n{HEADING}{}{HEADING:#}", one_line(&path.display().to_string()))?;
    let width = programs.iter().map(|cell| cell.program.len()).max().unwrap_or(0).max(8);
    for (chunk, columns) in loaded.chunks(COLUMNS).enumerate() {
        write!(out, "  {:width$}", "")?;
        for number in (chunk * COLUMNS + 1..).take(columns.len()) {
            write!(out, " {DIM}{number:>4}{DIM:#}")?;
        }
        writeln!(out)?;
        for (index, first) in programs.iter().enumerate() {
            write!(out, "  {:width$}", one_line(&first.program))?;
            for cells in columns {
                let (style, word) = match cells.and_then(|cells| cells.get(index)).map(|cell| cell.verdict) {
                    Some(Verdict::Accept) => (GOOD, "yes"),
                    Some(Verdict::Reject) => (ERROR, "no"),
                    Some(Verdict::Unsupported) => (WARNING, "?"),
                    None => (DIM, "-"),
                };
                write!(out, " {style}{word:>4}{style:#}")?;
            }
            writeln!(out)?;
        }
    }
    for (index, first) in programs.iter().enumerate() {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (column, cells) in loaded.iter().enumerate() {
            if let Some(cell) =
                cells.and_then(|cells| cells.get(index)).filter(|cell| !cell.report.is_empty())
            {
                groups.entry(&cell.report).or_default().push(column);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by(|(_, a), (_, b)| a.cmp(b));
        for (report, columns) in groups {
            writeln!(out, "\n{HEADING}{}{HEADING:#} for {}:", one_line(&first.program), ranges(&columns))?;
            write!(out, "{report}")?;
        }
    }
    Ok(())
}

/// Columns as their numbers, counted from 1: `1, 3-5`.
fn ranges(columns: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &column in columns {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == column => *last = column,
            _ => runs.push((column, column)),
        }
    }
    let run = |&(first, last): &(usize, usize)| match first == last {
        true => format!("{}", first + 1),
        false => format!("{}-{}", first + 1, last + 1),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn runs_of_columns_are_shortened() {
        assert_eq!(ranges(&[0, 2, 3, 4, 9]), "1, 3-5, 10");
        assert_eq!(ranges(&[]), "");
    }
}
