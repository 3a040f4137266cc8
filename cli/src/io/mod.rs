//! The only place that touches files, standard streams and other programs. `-` is standard input or output.

mod escape;
pub mod link;

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Read, StderrLock, StdoutLock, Write};
use std::path::{Path, PathBuf};

use anstream::AutoStream;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Color;
use crate::capture::{Packet, Reader, Writer};
use crate::failure::Failure;

use escape::Escaped;

/// Standard output: buffered, with colours only on a terminal, and nothing else that steers one.
pub type Out = BufWriter<Escaped<AutoStream<StdoutLock<'static>>>>;
/// Standard error, likewise.
pub type Err = BufWriter<Escaped<AutoStream<StderrLock<'static>>>>;

/// Standard output, to be flushed at the end.
pub fn stdout() -> Out {
    BufWriter::with_capacity(1 << 16, Escaped(AutoStream::auto(std::io::stdout().lock())))
}

/// Standard error, flushed where it is dropped.
pub fn stderr() -> Err {
    BufWriter::new(Escaped(AutoStream::auto(std::io::stderr().lock())))
}

/// Says when colours are used. What was not set is as the streams find it.
pub fn set_color(color: Color) {
    match color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// Cells of a line of standard output: a terminal's, or as many as fit on most.
pub fn width() -> usize {
    let terminal = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    terminal.map_or(140, |(width, _)| usize::from(width.0).max(40))
}

/// Writes text that stays on its line: line breaks that names bring along are escaped, as what steers a terminal is. Those that
/// the format begins with are meant.
pub fn put(out: &mut (impl Write + ?Sized), text: std::fmt::Arguments<'_>, end: &str) -> std::io::Result<()> {
    let text = text.to_string();
    let rest = text.trim_start_matches('\n');
    let breaks = &text[..text.len() - rest.len()];
    out.write_all(format!("{breaks}{}{end}", rest.replace('\n', "\\u000a")).as_bytes())
}

/// [`put`] with a line end.
macro_rules! outln {
    ($out:expr, $($text:tt)*) => { $crate::io::put($out, format_args!($($text)*), "\n") };
}

/// [`put`] without a line end.
macro_rules! outp {
    ($out:expr, $($text:tt)*) => { $crate::io::put($out, format_args!($($text)*), "") };
}

pub(crate) use {outln, outp};

/// Prints a line on standard error. Where that is closed, nobody is told.
pub fn say(line: std::fmt::Arguments<'_>) {
    let mut stderr = stderr();
    let _ = put(&mut stderr, line, "\n").and_then(|()| stderr.flush());
}

/// Most bytes of an object or another file that is read whole.
const MAX_FILE: u64 = 1 << 30;

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_up_to(path, MAX_FILE)
}

/// Reads a whole file of so many bytes at most: one that never ends must not fill the memory.
pub fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let whole = |input: &mut dyn Read, len: usize| {
        let mut bytes = Vec::with_capacity(len);
        input.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > most {
            true => Err(std::io::Error::other(format!("it has more than {} MiB", most >> 20))),
            false => Ok(bytes),
        }
    };
    let result = if is_standard(path) {
        whole(&mut std::io::stdin().lock(), 0)
    } else {
        File::open(path).and_then(|mut file| {
            // Files of the kernel say that they are empty.
            let len = file.metadata()?.len().min(most);
            whole(&mut file, usize::try_from(len).unwrap_or(0))
        })
    };
    result.map_err(|error| Failure::Read { path: path.to_owned(), error })
}

/// The first bytes of a regular file, where it can be read and has so many. A pipe's would be gone.
pub fn first_bytes<const N: usize>(path: &Path) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).ok()?;
    Some(bytes)
}

/// Whether there is a regular file, not a pipe or a device.
pub fn is_file(path: &Path) -> Result<bool, Failure> {
    let metadata = std::fs::metadata(path);
    metadata
        .map(|metadata| metadata.is_file())
        .map_err(|error| Failure::Read { path: path.to_owned(), error })
}

/// Opens a file.
pub fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::Read { path: path.to_owned(), error })
}

/// The files in a directory.
pub fn files_in(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |error| Failure::Read { path: path.to_owned(), error };
    let entries = std::fs::read_dir(path).map_err(fail)?;
    let paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(fail)?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

/// The files in a directory and in those within it. Links to directories are not followed.
pub fn files_below(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let fail = |error| Failure::Read { path: path.clone(), error };
        for entry in std::fs::read_dir(&path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_dir() {
                open.push(entry.path());
            } else if entry.path().is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// Writes a whole file, or to `out`.
pub fn write(path: &Path, bytes: &[u8], out: &mut Out) -> Result<(), Failure> {
    if is_standard(path) {
        // Not through `out`, which would strip what looks like colours.
        out.flush()?;
        let mut raw = std::io::stdout();
        return raw.write_all(bytes).and_then(|()| raw.flush()).map_err(Failure::Output);
    }
    write_file(path, bytes)
}

/// Writes a whole file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::Write { path: path.to_owned(), error })
}

/// Whether a path stands for standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether both paths lead to one file that exists. (Two hard links to it are not found out.)
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// A capture that is being read, with a progress bar on terminals where it is long.
pub struct CaptureFile {
    reader: Reader<Box<dyn Read>>,
    path: PathBuf,
    progress: ProgressBar,
    packets: u64,
}

impl CaptureFile {
    /// Opens a capture.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let fail = |error| Failure::Read { path: path.to_owned(), error };
        let (input, len): (Box<dyn Read>, _) = if is_standard(path) {
            (Box::new(std::io::stdin().lock()), None)
        } else {
            let file = File::open(path).map_err(fail)?;
            let metadata = file.metadata().map_err(fail)?;
            let len = metadata.is_file().then_some(metadata.len());
            (Box::new(BufReader::with_capacity(1 << 18, file)), len)
        };
        let reader = Reader::new(input).map_err(|error| capture(path, error))?;
        Ok(Self { reader, path: path.to_owned(), progress: progress(len), packets: 0 })
    }

    /// Reads the next packet; `false` at the end.
    pub fn next(&mut self, packet: &mut Packet) -> Result<bool, Failure> {
        let found = self.reader.next(packet).map_err(|error| capture(&self.path, error))?;
        self.packets += u64::from(found);
        if !found {
            self.progress.finish_and_clear();
        } else if self.packets.is_multiple_of(1024) {
            self.progress.set_position(self.reader.position());
        }
        Ok(found)
    }

    /// Whether times are finer than microseconds.
    pub fn nanoseconds(&self) -> bool {
        self.reader.nanoseconds()
    }
}

impl Drop for CaptureFile {
    fn drop(&mut self) {
        self.progress.finish_and_clear();
    }
}

fn capture(path: &Path, error: crate::capture::CaptureError) -> Failure {
    Failure::Capture { path: path.to_owned(), error: Box::new(error) }
}

/// Captures below this are read before anyone could look at a bar.
const LONG_CAPTURE: u64 = 4 << 20;
/// Runs of one program on one packet, likewise.
const MANY_RUNS: u64 = 10_000_000;

/// A bar over the bytes of a capture, or a spinner where their number is not known.
fn progress(len: Option<u64>) -> ProgressBar {
    match len {
        Some(len) if len < LONG_CAPTURE => ProgressBar::hidden(),
        Some(len) => bar(ProgressBar::new(len), "{bar:40} {bytes}/{total_bytes}, {eta} left"),
        None => bar(ProgressBar::new_spinner(), "{spinner} {bytes}"),
    }
}

/// Shows on a terminal how far long work has come.
pub type Progress = ProgressBar;

/// A bar over runs.
pub fn progress_of_runs(runs: u64) -> Progress {
    if runs < MANY_RUNS {
        return ProgressBar::hidden();
    }
    bar(ProgressBar::new(runs), "{bar:40} {human_pos}/{human_len} runs, {eta} left")
}

/// A bar over kernels for which objects are judged.
pub fn progress_of_kernels(kernels: usize) -> Progress {
    bar(ProgressBar::new(kernels as u64), "{bar:40} {human_pos}/{human_len} kernels, {eta} left")
}

/// Standard error has the bar, and only where it is a terminal.
fn bar(bar: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    bar.with_style(ProgressStyle::with_template(template).expect("a valid template"))
}

/// A capture that is being written.
pub struct CaptureOutput {
    writer: Writer<BufWriter<File>>,
    path: PathBuf,
}

impl CaptureOutput {
    /// Creates a pcap file.
    pub fn create(path: &Path, nanoseconds: bool) -> Result<Self, Failure> {
        let file = File::create(path);
        let writer = file.and_then(|file| Writer::new(BufWriter::with_capacity(1 << 18, file), nanoseconds));
        let path = path.to_owned();
        match writer {
            Ok(writer) => Ok(Self { writer, path }),
            Err(error) => Err(Failure::Write { path, error }),
        }
    }

    /// Writes a packet.
    pub fn packet(&mut self, packet: &Packet) -> Result<(), Failure> {
        self.writer.packet(packet).map_err(|error| Failure::Write { path: self.path.clone(), error })
    }

    /// Ends the file.
    pub fn finish(self) -> Result<(), Failure> {
        let Self { writer, path } = self;
        writer.finish().map_err(|error| Failure::Write { path, error })
    }
}
