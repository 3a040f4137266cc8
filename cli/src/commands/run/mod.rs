//! `brolga run`: runs a program natively on real input.
//!
//! Counts, verdicts and resulting packets are those of the first run on each packet. Further runs
//! (`--repeat`) see the packet as it came in, but the maps as earlier runs left them.

mod maps;
mod measure;
mod setup;
mod subject;
mod verdicts;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use brolga_abi::{NativeKind, ProgramKind};
use brolga_compiler::program::Program;
use brolga_compiler::verify;
use brolga_runtime::{Instance, ProgramHandle, Runtime, RuntimeOptions, Trace, Worker, jit};
use serde::Serialize;

use crate::args::{Format, RunArgs};
use crate::capture::Packet;
use crate::commands::verify::findings;
use crate::failure::Failure;
use crate::io::{self, CaptureFile, CaptureOutput, Out, Progress};
use crate::io::{outln, outp};
use crate::kernels::KernelSource;
use crate::objects::{self, Verdict};
use crate::style::{DIM, HEADING};
use maps::Map;
use measure::{Summary, Times};
use setup::Element;
use subject::Subject;
use verdicts::{Fate, Verdicts, fate, returned};

/// Runs the command.
pub fn run(args: &RunArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    check_outputs(args)?;
    let memory = args.ctx.as_deref().map(io::read).transpose()?;
    let raw_memory_len = memory.as_ref().map_or(Ok(0), |memory| u32::try_from(memory.len()));
    let raw_memory_len = raw_memory_len.map_err(|_| Failure::Usage("--ctx: more than 4 GiB".to_owned()))?;
    let object =
        objects::load(&args.object, &args.selection, raw_memory_len, &KernelSource::to_run(&args.kernel)?)?;
    let elements: Vec<Element<'_>> =
        args.map_update.iter().map(|setting| Element::parse(setting)).collect::<Result<_, _>>()?;
    let program = objects::select_one(&args.object, &object, &args.selection)?;
    if let Some(kind) = program.kind {
        check_input(args, program, kind)?;
    }
    let mut names = vec![program.name.clone()];
    names.extend(elements.iter().filter_map(|element| element.program(&object)).map(str::to_owned));

    let runtime = Runtime::new(RuntimeOptions { trace: trace(), ..RuntimeOptions::default() });
    let verify = verify::Options { privilege: args.loader.privilege(), ..verify::Options::default() };
    let options = jit::Options { programs: jit::Programs::Named(names), verify, ..jit::Options::default() };
    let module = match jit::compile(&object, &options) {
        Ok(loaded) => loaded.module,
        Err(error) => return refused(error),
    };
    let instance = Instance::new(&runtime, &module).map_err(usage)?;
    for element in &elements {
        element.put(&instance, runtime.cpus())?;
    }
    let mut worker = runtime.worker().map_err(usage)?;
    let handle = instance.program(&program.name).map_err(usage)?;
    let Some(kind) = handle.kind().native() else {
        return Err(Failure::Usage(format!("programs of kind {} cannot be run", handle.kind().info().name)));
    };
    let mut run = Run::new(args, kind);
    // What ran before an input broke off is reported all the same.
    let result = run.inputs(&handle, &mut worker, memory.as_deref());
    let maps = if args.maps { maps::maps(&object, &instance) } else { Vec::new() };
    if result.is_ok() || run.packets > 0 {
        run.report(program, &maps, out)?;
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn usage(error: impl std::error::Error) -> Failure {
    Failure::Usage(error.to_string())
}

/// What programs print goes to standard error.
fn trace() -> Trace {
    Trace::Callback(Arc::new(|line: &str| io::say(format_args!("{DIM}trace:{DIM:#} {}", line.trim_end()))))
}

/// Checks that the input is one that programs of a kind run on.
fn check_input(args: &RunArgs, program: &Program, kind: ProgramKind) -> Result<(), Failure> {
    let Some(native) = kind.native() else { return Ok(()) };
    let wanted = match native {
        NativeKind::RawMemory if args.ctx.is_none() => "--ctx",
        NativeKind::Xdp | NativeKind::SocketFilter if args.ctx.is_some() => "--pcap or --packet",
        NativeKind::RawMemory | NativeKind::Xdp | NativeKind::SocketFilter => return Ok(()),
    };
    let (name, kind) = (&program.name, kind.info().name);
    Err(Failure::Usage(format!("program `{name}` is of kind {kind}, which runs on {wanted}")))
}

/// Checks that no output is in the way of another, or of an input that is read as it is written.
fn check_outputs(args: &RunArgs) -> Result<(), Failure> {
    for (option, path) in [("--pcap-out", &args.pcap_out), ("--packet-out", &args.packet_out)] {
        if path.as_deref().is_some_and(io::is_standard) {
            return Err(Failure::Usage(format!("{option} needs a file: standard output has the results")));
        }
    }
    match (&args.pcap, &args.pcap_out) {
        (Some(input), Some(output)) if io::is_same_file(input, output) => Err(Failure::Usage(format!(
            "`{}` would be overwritten while it is read: give --pcap-out another file",
            output.display()
        ))),
        _ => Ok(()),
    }
}

/// Says why programs are not run.
fn refused(error: jit::Error) -> Result<ExitCode, Failure> {
    match error {
        jit::Error::Refused(refused) => {
            let mut stderr = io::stderr();
            for refused in &refused {
                findings(&refused.program, &refused.diagnostics, &mut stderr)?;
            }
            let verdicts = refused.iter().map(|refused| Verdict::of(&refused.diagnostics));
            Ok(ExitCode::from(objects::exit_code(verdicts)))
        }
        jit::Error::Compile(error) => Err(error.into()),
        error @ (jit::Error::Load(_)
        | jit::Error::NoProgram { .. }
        | jit::Error::MixedKinds(_)
        | jit::Error::HostFunction { .. }) => Err(usage(error)),
    }
}

/// A run over all input, and what came of it.
struct Run<'a> {
    args: &'a RunArgs,
    kind: NativeKind,
    subject: Subject,
    times: Times,
    progress: Progress,
    verdicts: Verdicts,
    packets: u64,
    bytes: u64,
    /// What the latest first run returned.
    result: u64,
    /// Packets that were written to `--pcap-out`.
    written: u64,
}

impl<'a> Run<'a> {
    fn new(args: &'a RunArgs, kind: NativeKind) -> Self {
        Self {
            args,
            kind,
            subject: Subject::of(kind, args.repeat),
            times: Times::new(),
            progress: io::progress_of_runs(if args.pcap.is_some() { 0 } else { args.repeat.into() }),
            verdicts: Verdicts::new(kind),
            packets: 0,
            bytes: 0,
            result: 0,
            written: 0,
        }
    }

    fn inputs(
        &mut self,
        program: &ProgramHandle,
        worker: &mut Worker,
        memory: Option<&[u8]>,
    ) -> Result<(), Failure> {
        if let Some(path) = &self.args.pcap {
            return self.capture(program, worker, path);
        }
        let packet;
        let input = match (memory, &self.args.packet) {
            (Some(memory), _) => memory,
            (None, Some(path)) => {
                packet = io::read(path)?;
                &packet
            }
            (None, None) => unreachable!("the arguments have one input"),
        };
        let left = self.one(program, worker, input)?.to_vec();
        match &self.args.packet_out {
            Some(path) => io::write_file(path, &left),
            None => Ok(()),
        }
    }

    fn capture(&mut self, program: &ProgramHandle, worker: &mut Worker, path: &Path) -> Result<(), Failure> {
        let mut capture = CaptureFile::open(path)?;
        let create = |path: &std::path::PathBuf| CaptureOutput::create(path, capture.nanoseconds());
        let mut output = self.args.pcap_out.as_ref().map(create).transpose()?;
        let (mut packet, mut result) = (Packet::default(), Packet::default());
        let outcome = loop {
            match capture.next(&mut packet) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            let left = self.one(program, worker, &packet.bytes)?;
            let Some(output) = &mut output else { continue };
            left.clone_into(&mut result.bytes);
            if let Fate::Kept(len) = fate(self.kind, self.result) {
                result.bytes.truncate(len);
                // What the capture cut off is still missing.
                let cut = packet.wire_len - u32::try_from(packet.bytes.len()).unwrap_or(packet.wire_len);
                let len = u32::try_from(result.bytes.len()).unwrap_or(u32::MAX);
                result.wire_len = len.saturating_add(cut);
                result.time_ns = packet.time_ns;
                output.packet(&result)?;
                self.written += 1;
            }
        };
        if let Some(output) = output {
            output.finish()?;
        }
        outcome
    }

    /// Runs the program on one input; returns what it left.
    fn one<'b>(
        &'b mut self,
        program: &ProgramHandle,
        worker: &mut Worker,
        input: &'b [u8],
    ) -> Result<&'b [u8], Failure> {
        let number = self.packets + 1;
        let mut session = program.session(worker).map_err(usage)?;
        let outcome = self
            .subject
            .run(&mut session, input, self.args.repeat, &mut self.times, &self.progress)
            .map_err(|error| Failure::Usage(format!("`{}`, input {number}: {error}", program.name())))?;
        self.packets = number;
        self.bytes += input.len() as u64;
        self.result = outcome.result;
        self.verdicts.count(outcome.result);
        Ok(outcome.bytes)
    }

    fn report(&self, program: &Program, maps: &[Map<'_>], out: &mut Out) -> Result<(), Failure> {
        match self.args.format {
            Format::Text => Ok(self.text(program, maps, out)?),
            Format::Json => {
                serde_json::to_writer(&mut *out, &self.json(program, maps))?;
                Ok(writeln!(out)?)
            }
        }
    }

    fn text(&self, program: &Program, maps: &[Map<'_>], out: &mut Out) -> std::io::Result<()> {
        let kind = self.kind.program_kind().info().name;
        outp!(out, "{HEADING}{}{HEADING:#} {DIM}({kind}){DIM:#}: ", program.name)?;
        match &self.args.pcap {
            Some(path) => outln!(out, "{} packets of {}", self.packets, path.display())?,
            None => outln!(out, "{} bytes", self.bytes)?,
        }
        if self.args.pcap.is_none() || self.kind.program_kind().info().verdicts.is_empty() {
            outln!(out, "  {:14} {}", "returned", returned(self.kind, self.result))?;
        }
        if self.args.pcap.is_some() || !self.kind.program_kind().info().verdicts.is_empty() {
            for (name, count) in self.verdicts.counts() {
                let dim = if count == 0 { DIM } else { anstyle::Style::new() };
                outln!(out, "  {dim}{name:14} {count:>8}{dim:#}")?;
            }
        }
        if let Some(path) = &self.args.pcap_out {
            outln!(out, "  {} packets written to {}", self.written, path.display())?;
        }
        if let Some(Summary { min, median }) = self.times.summary() {
            let runs = self.packets * u64::from(self.args.repeat);
            outln!(out, "  {DIM}ns per run: {min:.1} least, {median:.1} median, of {runs} runs{DIM:#}")?;
        }
        maps.iter().try_for_each(|map| map.text(out))
    }

    fn json<'b>(&self, program: &'b Program, maps: &'b [Map<'b>]) -> Report<'b> {
        let counts = self.verdicts.counts().into_iter().map(|(name, count)| (name, count.into()));
        Report {
            object: self.args.object.display().to_string(),
            program: &program.name,
            kind: self.kind.program_kind().info().name,
            packets: self.packets,
            runs: self.packets * u64::from(self.args.repeat),
            retval: returned(self.kind, self.result),
            verdicts: counts.collect(),
            ns_per_run: self.times.summary(),
            maps: self.args.maps.then_some(maps),
        }
    }
}

/// The results as JSON.
#[derive(Serialize)]
struct Report<'a> {
    object: String,
    program: &'a str,
    kind: &'static str,
    packets: u64,
    runs: u64,
    /// What the first run on the last packet returned.
    retval: u64,
    verdicts: serde_json::Map<String, serde_json::Value>,
    ns_per_run: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maps: Option<&'a [Map<'a>]>,
}
