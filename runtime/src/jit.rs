//! The in-process API: object bytes in, a module out.
//!
//! Reads, verifies and compiles; a program that was refused is never in the module. What each stage
//! found is handed on as it is: diagnostics are data, beside the program that they are about.
//!
//! ```
//! use brolga_runtime::{Instance, Packet, Runtime, XdpVerdict, jit};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let object = include_bytes!("../../examples/firewall.bpf.o");
//! let module = jit::load(object, &jit::Options::default())?.module;
//!
//! let runtime = Runtime::default();
//! let firewall = Instance::new(&runtime, &module)?;
//! let program = firewall.program("firewall")?;
//! let blocked = firewall.map("blocked_v4")?;
//! let mut worker = runtime.worker()?;
//!
//! // An IPv4 packet of 198.51.100.66.
//! let mut frame = [0; 60];
//! frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
//! frame[16..18].copy_from_slice(&46_u16.to_be_bytes());
//! frame[26..30].copy_from_slice(&[198, 51, 100, 66]);
//! let mut packet = Packet::new(&frame);
//! assert_eq!(program.run_xdp(&mut worker, &mut packet)?, XdpVerdict::Pass);
//!
//! blocked.update(&[198, 51, 100, 66], &[0; 16], Default::default())?;
//! assert_eq!(program.run_xdp(&mut worker, &mut packet)?, XdpVerdict::Drop);
//! let counter = blocked.lookup(&[198, 51, 100, 66])?.expect("the address is blocked");
//! assert_eq!(counter[..8], 1_u64.to_ne_bytes());
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

use brolga_abi::symbols::HOST_PREFIX;
use brolga_compiler::diag::Diagnostic;
use brolga_compiler::options::CodeOptions;
use brolga_compiler::pipeline::{self, CompileError, Unit};
use brolga_compiler::program::{self, LoadOptions, MapDef, MapId, MixedKinds, Object, Program};
use brolga_compiler::verify::{self, Accepted, Stats};

use crate::helpers::resolve;
use crate::module::{Code, MapSpec, Module, ModuleInner, ModuleProgram, ProgramInfo, VariableSpec};

pub use crate::host::HostFunction;
pub use brolga_compiler as compiler;
pub use brolga_compiler::program::HostFunctionError;

/// How a module is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the object does not say itself.
    pub load: LoadOptions,
    /// What programs are verified against.
    pub verify: verify::Options,
    /// How code is made.
    pub code: CodeOptions,
    /// Which programs are wanted.
    pub programs: Programs,
    /// What becomes of the others where one is refused.
    pub refusals: Refusals,
    /// Native functions that programs may call.
    pub host_functions: Vec<HostFunction>,
}

/// Which programs of an object are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Programs {
    /// Those that libbpf loads: all but those whose section begins with `?`.
    #[default]
    Autoload,
    /// These, by name, and those that the source puts into `prog_array`s which they use.
    Named(Vec<String>),
}

/// What becomes of a module where one of its programs is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusals {
    /// There is no module.
    #[default]
    Fail,
    /// The module has the other programs, and the refusals are reported beside it.
    LeaveOut,
}

/// A module, and what was found about the programs that are not in it.
#[derive(Debug)]
pub struct Loaded {
    /// The accepted programs.
    pub module: Module,
    /// What verification of each of them cost, in the module's order.
    pub stats: Vec<Stats>,
    /// The refused ones; empty with [`Refusals::Fail`].
    pub refused: Vec<Refused>,
}

/// A program that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The program, for rendering.
    pub program: Box<Program>,
    /// The findings; never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// What it cost to find them.
    pub stats: Stats,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program `{}` was refused", self.program.name)?;
        for diagnostic in &self.diagnostics {
            write!(f, ": {} [{}]", diagnostic.message, diagnostic.code.info().name)?;
            if let Some(at) = diagnostic.insn {
                write!(f, " at instruction {at}")?;
            }
        }
        Ok(())
    }
}

/// Why no module was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes are no object that can be read.
    Load(program::LoadError),
    /// The object has no program of a name that was asked for.
    NoProgram {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Programs were refused.
    Refused(Vec<Refused>),
    /// Programs of two kinds use one `prog_array`.
    MixedKinds(MixedKinds),
    /// A native function has another prototype than the one with which programs were verified.
    HostFunction {
        /// The one of the programs.
        expected: Box<program::HostFunction>,
        /// The native one.
        given: Box<program::HostFunction>,
    },
    /// An accepted program could not be compiled.
    Compile(CompileError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::NoProgram { name, known } => {
                write!(f, "no program `{name}` in the object, which has {}", known.join(", "))
            }
            Self::Refused(refused) => {
                let texts: Vec<_> = refused.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Self::MixedKinds(error) => error.fmt(f),
            Self::HostFunction { expected, given } => {
                write!(f, "programs were verified for the host function `{expected}`, and given `{given}`")
            }
            Self::Compile(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<program::LoadError> for Error {
    fn from(error: program::LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<CompileError> for Error {
    fn from(error: CompileError) -> Self {
        Self::Compile(error)
    }
}

/// Makes a module of an object file as `clang -target bpf` writes it.
///
/// # Errors
///
/// See [`Error`].
pub fn load(bytes: &[u8], options: &Options) -> Result<Loaded, Error> {
    let mut load = options.load.clone();
    let hosts = options.host_functions.iter().map(|function| function.prototype().clone());
    load.host_functions = load.host_functions.iter().cloned().chain(hosts).collect();
    let object = program::load(bytes, &load)?;
    compile(&object, options)
}

/// Makes a module of an object that was read already, or put together by hand.
///
/// # Errors
///
/// See [`Error`].
pub fn compile(object: &Object, options: &Options) -> Result<Loaded, Error> {
    let mut accepted: Vec<(&Program, Accepted)> = Vec::new();
    let mut refused = Vec::new();
    for program in select(object, &options.programs)? {
        match verify::verify(program, &options.verify) {
            Ok(proof) => {
                let diagnostics = pipeline::obstacles(&Unit { program, facts: &proof.facts });
                if diagnostics.is_empty() {
                    accepted.push((program, proof));
                } else {
                    let (program, stats) = (Box::new(program.clone()), proof.stats);
                    refused.push(Refused { program, diagnostics, stats });
                }
            }
            Err(rejection) => refused.push(Refused {
                program: Box::new(program.clone()),
                diagnostics: rejection.diagnostics,
                stats: rejection.stats,
            }),
        }
    }
    if options.refusals == Refusals::Fail && !refused.is_empty() {
        return Err(Error::Refused(refused));
    }
    let module = build(object, &accepted, options)?;
    let stats = accepted.iter().map(|(_, proof)| proof.stats).collect();
    Ok(Loaded { module, stats, refused })
}

/// The wanted programs, in the object's order.
fn select<'o>(object: &'o Object, wanted: &Programs) -> Result<Vec<&'o Program>, Error> {
    let names = match wanted {
        Programs::Autoload => return Ok(object.programs.iter().filter(|program| program.autoload).collect()),
        Programs::Named(names) => names,
    };
    let mut picked = vec![false; object.programs.len()];
    let mut open = names.clone();
    while let Some(name) = open.pop() {
        let Some(index) = object.programs.iter().position(|program| program.name == name) else {
            let known = object.programs.iter().map(|program| program.name.clone()).collect();
            return Err(Error::NoProgram { name, known });
        };
        if std::mem::replace(&mut picked[index], true) {
            continue;
        }
        for (id, map) in (0..).map(MapId).zip(object.maps.iter()) {
            if !map.initial_programs.is_empty() && object.programs[index].uses_map(id) {
                open.extend(map.initial_programs.iter().map(|(_, name)| name.clone()));
            }
        }
    }
    Ok(object.programs.iter().zip(picked).filter_map(|(program, picked)| picked.then_some(program)).collect())
}

fn build(object: &Object, accepted: &[(&Program, Accepted)], options: &Options) -> Result<Module, Error> {
    let units: Vec<_> =
        accepted.iter().map(|(program, proof)| Unit { program, facts: &proof.facts }).collect();
    let maps = (0..).map(MapId).zip(object.maps.iter()).map(|(id, map)| map_spec(id, map, accepted));
    let maps = maps.collect::<Result<_, _>>().map_err(Error::MixedKinds)?;
    let (programs, code) = if units.is_empty() {
        (Vec::new(), None)
    } else {
        let code = {
            check_host_functions(accepted, &options.host_functions)?;
            let symbol = |symbol: &str| match symbol.strip_prefix(HOST_PREFIX) {
                Some(name) => host_function(&options.host_functions, name).map(|found| found.address()),
                None => resolve(symbol),
            };
            pipeline::compile_jit(&units, &options.code, &symbol)?
        };
        let program = |(index, (program, _)): (usize, &(&Program, Accepted))| ModuleProgram {
            info: ProgramInfo {
                name: program.name.clone(),
                section: program.section.clone(),
                kind: program.kind.expect("the verifier refuses programs without a kind"),
                raw_memory_len: program.raw_memory_len,
            },
            entry: code.entry(index),
            body: Code(code.body(index)),
        };
        (accepted.iter().enumerate().map(program).collect(), Some(Box::new(code) as _))
    };
    Ok(Module::from_inner(ModuleInner {
        name: String::new(),
        license: object.license.clone(),
        maps,
        programs,
        code,
    }))
}

/// The host's function of a name: the first.
fn host_function<'h>(functions: &'h [HostFunction], name: &str) -> Option<&'h HostFunction> {
    functions.iter().find(|function| function.prototype().name == name)
}

/// The native functions must have the prototypes that the programs were verified with.
fn check_host_functions(accepted: &[(&Program, Accepted)], given: &[HostFunction]) -> Result<(), Error> {
    for function in accepted.iter().flat_map(|(program, _)| program.host_functions.iter()) {
        match host_function(given, &function.name) {
            Some(native) if *native.prototype() != *function => {
                return Err(Error::HostFunction {
                    expected: Box::new(function.clone()),
                    given: Box::new(native.prototype().clone()),
                });
            }
            // Where it is called, its symbol will be missed.
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn map_spec(id: MapId, map: &MapDef, accepted: &[(&Program, Accepted)]) -> Result<MapSpec, MixedKinds> {
    let position = |name: &String| accepted.iter().position(|(program, _)| program.name == *name);
    let variables = map.global.iter().flat_map(|global| &global.variables);
    Ok(MapSpec {
        name: map.name.clone(),
        kind: map.kind.known(),
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        flags: map.flags,
        initial: map.global.as_ref().map_or_else(|| Arc::from([]), |global| Arc::clone(&global.initial)),
        folded: map.global.as_ref().is_some_and(|global| global.readonly),
        owner: program::prog_array_owner(accepted.iter().map(|(program, _)| *program), id)?,
        // Programs that were left out leave their slots empty.
        initial_programs: map
            .initial_programs
            .iter()
            .filter_map(|(index, name)| Some((*index, position(name)?)))
            .collect(),
        variables: variables
            .map(|variable| VariableSpec {
                name: variable.name.clone(),
                offset: variable.offset,
                size: variable.size,
            })
            .collect(),
    })
}
