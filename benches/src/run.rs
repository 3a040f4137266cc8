//! Run time of verified programs against Linux's JIT.
//!
//! Both sides run the same program on the same packet, over and over in place, as
//! `BPF_PROG_TEST_RUN` does with `repeat`: what a run changes in the packet stays for the next. The
//! kernel's figure is its own; ours is the wall time of a series of runs. First both run once from
//! fresh maps, and their results must be equal.

use std::time::Instant;

use brolga_compiler::program::{self, LoadOptions};
use brolga_runtime::{Instance, Packet, ProgramHandle, Runtime, RuntimeOptions, Worker, jit};

use crate::kernel::Loaded;
use crate::programs::{SUBJECTS, Subject};
use crate::stats::{geomean, median};

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rounds: each times both sides once.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// Time of one side in one round, in milliseconds.
    #[arg(long, default_value_t = 4)]
    millis: u32,
    /// Only programs whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// One line of the table.
struct Row {
    name: &'static str,
    ours: f64,
    kernel: f64,
    ratio: f64,
}

/// Prints the table.
pub fn run(args: &Args) -> Result<(), String> {
    println!("{:<18} {:>10} {:>10} {:>8}", "program", "brolga ns", "linux ns", "ratio");
    let mut ratios = Vec::new();
    for subject in SUBJECTS.iter().filter(|subject| subject.name.contains(&args.only)) {
        let row = measure(subject, args).map_err(|error| format!("{}: {error}", subject.name))?;
        println!("{:<18} {:>10.1} {:>10.1} {:>8.2}", row.name, row.ours, row.kernel, row.ratio);
        ratios.push(row.ratio);
    }
    if ratios.is_empty() {
        return Err(format!("no program's name contains `{}`", args.only));
    }
    let worst = ratios.iter().copied().fold(f64::MIN, f64::max);
    println!(
        "{} programs: geomean {:.2}, worst {:.2} of Linux's time",
        ratios.len(),
        geomean(&ratios),
        worst
    );
    Ok(())
}

fn measure(subject: &Subject, args: &Args) -> Result<Row, String> {
    let bytes = std::fs::read(subject.object()).map_err(|error| error.to_string())?;
    let object = program::load(&bytes, &LoadOptions::default()).map_err(|error| error.to_string())?;
    let kernel = Loaded::new(&object, object.programs.first().ok_or("the object has no program")?)?;
    let runtime = Runtime::new(RuntimeOptions::default());
    let loaded = jit::load(&bytes, &jit::Options::default()).map_err(|error| error.to_string())?;
    let instance = Instance::new(&runtime, &loaded.module).map_err(|error| error.to_string())?;
    let program = instance.program(subject.name).map_err(|error| error.to_string())?;
    let mut worker = runtime.worker().map_err(|error| error.to_string())?;

    let bytes = (subject.packet)();
    check(&kernel, &program, &mut worker, &bytes)?;

    let target = f64::from(args.millis) * 1e6;
    let guess = f64::from(kernel.run(&bytes, 1000)?.nanoseconds.max(1));
    let repeat = (target / guess).clamp(100.0, 1e6) as u32;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut packet = Packet::new(&bytes);
    for _ in 0..args.rounds {
        let linux = f64::from(kernel.run(&bytes, repeat)?.nanoseconds);
        packet.set(&bytes);
        let brolga = time(&program, &mut worker, &mut packet, repeat)?;
        ratios.push(brolga / linux);
        ours.push(brolga);
        theirs.push(linux);
    }
    Ok(Row {
        name: subject.name,
        ours: median(&mut ours),
        kernel: median(&mut theirs),
        ratio: median(&mut ratios),
    })
}

/// Three runs from fresh maps: verdicts and packets must be equal.
fn check(kernel: &Loaded, program: &ProgramHandle, worker: &mut Worker, bytes: &[u8]) -> Result<(), String> {
    let mut packet = Packet::new(bytes);
    for round in 0..3 {
        packet.set(bytes);
        let verdict = program.run(worker, &mut packet).map_err(|error| error.to_string())? as u32;
        let expected = kernel.run(bytes, 1)?;
        if verdict != expected.retval {
            return Err(format!("run {round}: brolga returns {verdict}, Linux {}", expected.retval));
        }
        if packet.data() != expected.data {
            return Err(format!("run {round}: packets differ"));
        }
    }
    Ok(())
}

/// Nanoseconds per run over a series of runs.
fn time(
    program: &ProgramHandle,
    worker: &mut Worker,
    packet: &mut Packet,
    repeat: u32,
) -> Result<f64, String> {
    let mut session = program.session(worker).map_err(|error| error.to_string())?;
    let start = Instant::now();
    for _ in 0..repeat {
        session.run(packet).map_err(|error| error.to_string())?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(repeat))
}
