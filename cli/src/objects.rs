//! What several commands do with an object: load it, choose programs of it, judge them.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brolga_compiler::diag::{Diagnostic, Severity};
use brolga_compiler::program::{self, LoadOptions, MapId, Object, Program};
use brolga_compiler::verify::{self, Accepted, Rejection};

use crate::args::Selection;
use crate::failure::Failure;
use crate::io;
use crate::kernels::{Environment, KernelSource};

/// Reads and loads an object.
pub fn load(
    path: &Path,
    selection: &Selection,
    raw_memory_len: u32,
    kernel: &KernelSource,
) -> Result<Object, Failure> {
    load_bytes(path, &io::read(path)?, selection, raw_memory_len, &kernel.read()?)
}

/// Loads the bytes of an object.
pub fn load_bytes(
    path: &Path,
    bytes: &[u8],
    selection: &Selection,
    raw_memory_len: u32,
    environment: &Environment,
) -> Result<Object, Failure> {
    let mut options = LoadOptions {
        raw_memory_len,
        target: environment.target.clone(),
        host_functions: Arc::clone(&environment.host_functions),
        ..LoadOptions::default()
    };
    for choice in &selection.kind {
        match choice.program.as_ref().or(selection.program.as_ref()) {
            Some(program) => _ = options.kinds.insert(program.clone(), choice.kind),
            None => options.kind = Some(choice.kind),
        }
    }
    let load = |options: &LoadOptions| {
        let fail = |error| Failure::Load { path: path.to_owned(), error: Box::new(error) };
        program::load(bytes, options).map_err(fail)
    };
    let mut object = load(&options)?;
    if let Some(target) = environment.with_symbols(&object) {
        options.target = target;
        object = load(&options)?;
    }
    selection.overrides.apply(&mut object)?;
    check_kind(&object, &options)?;
    Ok(object)
}

/// A kind that is given for programs without one must be some program's: where all sections name
/// other kinds, it would be passed over in silence.
fn check_kind(object: &Object, options: &LoadOptions) -> Result<(), Failure> {
    let Some(kind) = options.kind else { return Ok(()) };
    if object.programs.is_empty() || object.programs.iter().any(|program| program.kind == Some(kind)) {
        return Ok(());
    }
    let program = &object.programs[0];
    let (name, kind) = (&program.name, kind.info().name);
    Err(Failure::Usage(format!(
        "`--kind {kind}` is for programs whose section names no kind, and `{name}` is in `{}`; \
         `--kind {name}={kind}` gives it another",
        program.section
    )))
}

/// The programs that are meant: the one named, or all that libbpf loads by default.
pub fn select_autoload<'a>(
    path: &Path,
    object: &'a Object,
    selection: &Selection,
) -> Result<Vec<&'a Program>, Failure> {
    let mut programs = select(path, object, selection)?;
    programs.retain(|program| program.autoload || selection.program.is_some());
    if programs.is_empty() {
        return Err(Failure::Usage(format!("`{}` has no programs to load", path.display())));
    }
    Ok(programs)
}

/// The programs that are meant: the one named, or all.
pub fn select<'a>(
    path: &Path,
    object: &'a Object,
    selection: &Selection,
) -> Result<Vec<&'a Program>, Failure> {
    let Some(name) = &selection.program else { return Ok(object.programs.iter().collect()) };
    match object.programs.iter().find(|program| program.name == *name) {
        Some(program) => Ok(vec![program]),
        None => Err(Failure::Usage(format!(
            "`{}` has no program `{name}`; it has {}",
            path.display(),
            names(object)
        ))),
    }
}

/// The one program that is meant.
pub fn select_one<'a>(
    path: &Path,
    object: &'a Object,
    selection: &Selection,
) -> Result<&'a Program, Failure> {
    match select_autoload(path, object, selection)?[..] {
        [program] => Ok(program),
        [..] => Err(Failure::Usage(format!(
            "`{}` has several programs; choose one with --program: {}",
            path.display(),
            names(object)
        ))),
    }
}

/// Programs, and after them those that they may reach by tail calls, as the source fills the maps.
pub fn with_tail_calls<'a>(object: &'a Object, mut programs: Vec<&'a Program>) -> Vec<&'a Program> {
    let mut next = 0;
    while let Some(program) = programs.get(next).copied() {
        next += 1;
        let used = (0..)
            .map(MapId)
            .zip(object.maps.iter())
            .filter(|(id, map)| !map.initial_programs.is_empty() && program.uses_map(*id));
        for (_, name) in used.flat_map(|(_, map)| &map.initial_programs) {
            if programs.iter().all(|known| known.name != *name) {
                programs.extend(object.programs.iter().find(|target| target.name == *name));
            }
        }
    }
    programs
}

/// The names of all programs, for messages.
fn names(object: &Object) -> String {
    if object.programs.is_empty() {
        return "none".to_owned();
    }
    object.programs.iter().map(|program| format!("`{}`", program.name)).collect::<Vec<_>>().join(", ")
}

/// What the verifier said of a program.
pub struct Judgement<'a> {
    /// The program.
    pub program: &'a Program,
    /// What was proven, or what was found.
    pub outcome: Result<Accepted, Rejection>,
    /// How long it took.
    pub time: Duration,
}

/// A verdict in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Linux would accept the program, and Brolga runs it.
    Accept,
    /// Linux would reject the program.
    Reject,
    /// Brolga cannot judge or run the program.
    Unsupported,
}

impl Verdict {
    /// The verdict of findings that refuse a program.
    pub fn of(findings: &[Diagnostic]) -> Self {
        let reject = findings.iter().any(|finding| finding.severity() == Severity::Reject);
        if reject { Self::Reject } else { Self::Unsupported }
    }
}

impl<'a> Judgement<'a> {
    /// Verifies a program on behalf of a loader.
    pub fn of(program: &'a Program, privilege: verify::Privilege) -> Self {
        Self::with(program, &verify::Options { max_findings: 8, privilege, ..verify::Options::default() })
    }

    /// Verifies a program otherwise.
    pub fn with(program: &'a Program, options: &verify::Options) -> Self {
        Self::timed(program, || verify::verify(program, options))
    }

    /// Verifies programs on several threads. The judgements are in the programs' order.
    pub fn all(programs: &[&'a Program], options: &verify::Options, threads: usize) -> Vec<Self> {
        let threads = threads.min(programs.len());
        if threads < 2 {
            return programs.iter().map(|program| Self::with(program, options)).collect();
        }
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(programs.len())));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(program) = programs.get(at) else { return };
                        let judgement = Self::with(program, options);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((at, judgement));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, judgement)| judgement).collect()
    }

    /// Verifies a program, and hands over the log line by line.
    pub fn logged(
        program: &'a Program,
        options: &verify::Options,
        level: verify::log::Level,
        line: &mut dyn FnMut(&str),
    ) -> Self {
        Self::timed(program, || verify::log::write(program, options, level, line))
    }

    fn timed(program: &'a Program, judge: impl FnOnce() -> Result<Accepted, Rejection>) -> Self {
        let start = Instant::now();
        let outcome = judge();
        Self { program, outcome, time: start.elapsed() }
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        match &self.outcome {
            Ok(_) => Verdict::Accept,
            Err(rejection) => Verdict::of(&rejection.diagnostics),
        }
    }

    /// Instructions that were processed over all paths.
    pub fn processed(&self) -> u32 {
        match &self.outcome {
            Ok(accepted) => accepted.stats.processed,
            Err(rejection) => rejection.stats.processed,
        }
    }

    /// The findings.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match &self.outcome {
            Ok(_) => &[],
            Err(rejection) => &rejection.diagnostics,
        }
    }
}

/// The exit code of verdicts together.
pub fn exit_code(verdicts: impl IntoIterator<Item = Verdict>) -> u8 {
    use crate::failure::{REJECTED, UNSUPPORTED};
    let mut code = 0;
    for verdict in verdicts {
        match verdict {
            Verdict::Accept => {}
            Verdict::Reject => return REJECTED,
            Verdict::Unsupported => code = UNSUPPORTED,
        }
    }
    code
}
