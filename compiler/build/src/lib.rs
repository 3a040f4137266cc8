//! Compiles eBPF objects to native code from a build script.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), brolga_build::Error> {
//!     brolga_build::Builder::new("src/firewall.bpf.o").compile("firewall")
//! }
//! ```
//!
//! The programs are verified, compiled for the target of the build, and linked into the crate. A
//! Rust module is written beside them, which the crate includes:
//!
//! ```ignore
//! mod firewall {
//!     brolga_runtime::include_module!("firewall");
//! }
//!
//! let instance = firewall::Instance::new(&runtime)?;
//! instance.maps.blocked_v4.update(&address, &counter, Update::Any)?;
//! let verdict = instance.programs.firewall(&mut worker, &mut packet)?;
//! ```
//!
//! The crate needs `brolga-runtime`, without its feature `jit`: no compiler is in the final binary.
//! A program that is refused fails the build with the verifier's diagnostics.

mod archive;
mod rust;
mod types;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use brolga_abi::ProgramKind;
use brolga_compiler::diag::{Diagnostic, render};
use brolga_compiler::isa::disasm;
use brolga_compiler::options::{CodeOptions, CpuFeatures, Target};
use brolga_compiler::pipeline::{self, CompileError, ModuleInfo, Unit};
use brolga_compiler::program::{self, HostFunction, LoadError, LoadOptions, Object, Program};
use brolga_compiler::verify::{self, Accepted, Privilege};

/// Compiles one object.
#[derive(Clone, Debug)]
pub struct Builder {
    object: PathBuf,
    kind: Option<ProgramKind>,
    kinds: BTreeMap<String, ProgramKind>,
    raw_memory_len: u32,
    privilege: Privilege,
    kernel: program::Target,
    host_functions: Vec<HostFunction>,
    features: CpuFeatures,
    globals: Vec<(String, Vec<u8>)>,
}

/// Why a build failed. Its `Debug` is its `Display`, since that is what a build script's `main` prints.
pub enum Error {
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Cargo's environment is not there: this is not a build script.
    Environment {
        /// The variable that is missing.
        variable: &'static str,
    },
    /// The module's name is no Rust identifier.
    Name {
        /// The name.
        name: String,
    },
    /// The object could not be read.
    Load {
        /// The object.
        path: PathBuf,
        /// Why.
        error: Box<LoadError>,
    },
    /// The verifier refused programs.
    Refused {
        /// The object.
        path: PathBuf,
        /// The diagnostics, rendered.
        diagnostics: String,
    },
    /// No code could be made.
    Compile(CompileError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Environment { variable } => {
                write!(f, "`{variable}` is not set: brolga-build is called from a build script")
            }
            Self::Name { name } => write!(f, "`{name}` cannot be the name of a Rust module"),
            Self::Load { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Refused { path, diagnostics } => {
                write!(f, "{}: refused by the verifier\n{diagnostics}", path.display())
            }
            Self::Compile(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<CompileError> for Error {
    fn from(error: CompileError) -> Self {
        Self::Compile(error)
    }
}

/// What is made of an object, before anything is written.
#[derive(Clone, Debug)]
pub struct Output {
    /// A static archive with the native code.
    pub archive: Vec<u8>,
    /// The Rust module.
    pub rust: String,
}

impl Builder {
    /// Compiles an object, by its path from the crate's root.
    #[must_use]
    pub fn new(object: impl AsRef<Path>) -> Self {
        Self {
            object: object.as_ref().to_owned(),
            kind: None,
            kinds: BTreeMap::new(),
            raw_memory_len: 0,
            privilege: Privilege::Full,
            kernel: program::Target::default(),
            host_functions: Vec::new(),
            features: CpuFeatures::Baseline,
            globals: Vec::new(),
        }
    }

    /// The kind of programs whose section's name does not say it.
    #[must_use]
    pub fn kind(mut self, kind: ProgramKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Who is taken to load the programs: for objects of others, less than everything.
    #[must_use]
    pub fn privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// The kind of one program, whatever its section says.
    #[must_use]
    pub fn program_kind(mut self, program: &str, kind: ProgramKind) -> Self {
        self.kinds.insert(program.to_owned(), kind);
        self
    }

    /// Bytes of the buffer that `raw_memory` programs are verified for.
    #[must_use]
    pub fn raw_memory_len(mut self, len: u32) -> Self {
        self.raw_memory_len = len;
        self
    }

    /// The kernel that CO-RE relocations and externs are resolved against. By default there is none, and
    /// the object's own types stand for a kernel's, as fits programs that run without one.
    #[must_use]
    pub fn kernel(mut self, kernel: program::Target) -> Self {
        self.kernel = kernel;
        self
    }

    /// CPU features that the code may use; the target's baseline by default.
    #[must_use]
    pub fn features(mut self, features: CpuFeatures) -> Self {
        self.features = features;
        self
    }

    /// A function of the host that programs may call as `extern … __ksym`. The code refers to it by the symbol
    /// `brolga_host_NAME`, which the crate must define with this prototype, as `#[unsafe(no_mangle)] extern "C"`.
    #[must_use]
    pub fn host_function(mut self, function: HostFunction) -> Self {
        self.host_functions.push(function);
        self
    }

    /// Sets a variable of global data before the programs are verified. What is set in `.rodata` is a
    /// constant to verifier and compiler.
    #[must_use]
    pub fn global(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.globals.push((name.into(), bytes.into()));
        self
    }

    /// Compiles, writes to `OUT_DIR` and tells cargo what to link. Errors are told to cargo too.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn compile(&self, name: &str) -> Result<(), Error> {
        println!("cargo::rerun-if-changed={}", self.object.display());
        self.write(name).inspect_err(|error| {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
        })
    }

    fn write(&self, name: &str) -> Result<(), Error> {
        let variable = |variable| env::var(variable).map_err(|_| Error::Environment { variable });
        let out = PathBuf::from(variable("OUT_DIR")?);
        let target = variable("TARGET")?;
        let bytes = fs::read(&self.object).map_err(|error| Error::Io { path: self.object.clone(), error })?;
        let output = self.build(name, &bytes, target.parse()?)?;
        let library = format!("brolga_module_{name}");
        let write = |file: String, bytes: &[u8]| {
            let path = out.join(file);
            fs::write(&path, bytes).map_err(|error| Error::Io { path, error })
        };
        write(format!("lib{library}.a"), &output.archive)?;
        write(format!("{name}.rs"), output.rust.as_bytes())?;
        println!("cargo::rustc-link-search=native={}", out.display());
        println!("cargo::rustc-link-lib=static={library}");
        Ok(())
    }

    /// What is made of an object's bytes, without reading or writing anything.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn build(&self, name: &str, bytes: &[u8], target: Target) -> Result<Output, Error> {
        if !rust::is_identifier(name) {
            return Err(Error::Name { name: name.to_owned() });
        }
        let load_error = |error| Error::Load { path: self.object.clone(), error: Box::new(error) };
        let options = LoadOptions {
            kind: self.kind,
            kinds: self.kinds.clone(),
            raw_memory_len: self.raw_memory_len,
            target: self.kernel.clone(),
            host_functions: self.host_functions.clone().into(),
        };
        let mut object = program::load(bytes, &options).map_err(load_error)?;
        for (name, bytes) in &self.globals {
            object.set_global(name, bytes).map_err(load_error)?;
        }
        let accepted = self.verify(&object)?;
        let units: Vec<_> =
            accepted.iter().map(|(program, proof)| Unit { program, facts: &proof.facts }).collect();
        let code = CodeOptions { target, features: self.features.clone(), ..CodeOptions::default() };
        let module = ModuleInfo { name, license: &object.license, maps: &object.maps };
        let native = pipeline::compile_object(&module, &units, &code)?;
        let descriptor = pipeline::descriptor_symbol(name);
        let programs: Vec<_> = accepted.iter().map(|(program, _)| *program).collect();
        let mut symbols = vec![descriptor.clone()];
        symbols.extend(programs.iter().map(|program| pipeline::program_symbol(name, &program.name)));
        Ok(Output {
            archive: archive::write(&format!("{name}.o"), &native, &symbols),
            rust: rust::write(name, &descriptor, &object, &programs),
        })
    }

    /// The programs that libbpf would load, with what was proven of them.
    fn verify<'o>(&self, object: &'o Object) -> Result<Vec<(&'o Program, Accepted)>, Error> {
        let mut accepted = Vec::new();
        let mut diagnostics = String::new();
        for program in object.programs.iter().filter(|program| program.autoload) {
            let options = verify::Options { privilege: self.privilege, ..verify::Options::default() };
            match verify::verify(program, &options) {
                Ok(proof) => accepted.push((program, proof)),
                Err(rejection) => {
                    rejection.diagnostics.iter().for_each(|found| diagnostics += &rendered(program, found));
                }
            }
        }
        if diagnostics.is_empty() {
            Ok(accepted)
        } else {
            Err(Error::Refused { path: self.object.clone(), diagnostics })
        }
    }
}

fn rendered(program: &Program, diagnostic: &Diagnostic) -> String {
    let maps: Vec<&str> = program.maps.iter().map(|map| map.name.as_str()).collect();
    render::text(program, diagnostic, &|at| match program.insns.get(at.index()) {
        Some(insn) => disasm(insn, maps.as_slice()).to_string(),
        None => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(name: &str, object: &[u8]) -> Result<Output, Error> {
        Builder::new("object.bpf.o").build(name, object, Target::Host)
    }

    #[test]
    fn maps_variables_and_programs_have_rust_types() {
        let firewall =
            build("firewall", include_bytes!("../../../examples/firewall.bpf.o")).expect("accepted");
        for line in [
            "pub blocked_v4: ::brolga_runtime::TypedMap<u32, Counter>,",
            "pub blocked_ports: ::brolga_runtime::TypedMap<Port, Counter>,",
            "pub packets: u64,",
            "static brolga_v1_descriptor_firewall: ",
            "pub fn firewall(&self, worker: &mut ::brolga_runtime::Worker, packet: &mut ::brolga_runtime::Packet)",
        ] {
            assert!(firewall.rust.contains(line), "no `{line}` in:\n{}", firewall.rust);
        }
        let protocols =
            build("protocols", include_bytes!("../../../examples/protocols.bpf.o")).expect("accepted");
        let line = "pub sample_every: ::brolga_runtime::TypedGlobal<u32>,";
        assert!(protocols.rust.contains(line), "no `{line}` in:\n{}", protocols.rust);
    }

    #[test]
    fn equal_input_gives_equal_output() {
        let object = include_bytes!("../../../examples/dispatch.bpf.o");
        let [first, second] = [(); 2].map(|()| build("dispatch", object).expect("accepted"));
        assert_eq!(first.archive, second.archive);
        assert_eq!(first.rust, second.rust);
    }

    #[test]
    fn failures_say_what_and_where() {
        let text = build("x", b"not an object").expect_err("not ELF").to_string();
        assert!(text.starts_with("object.bpf.o: "), "{text}");
        let text = build("two words", b"").expect_err("no identifier").to_string();
        assert_eq!(text, "`two words` cannot be the name of a Rust module");
        let object = include_bytes!("../../../examples/protocols.bpf.o");
        let unknown = Builder::new("object.bpf.o").global("no_such_variable", [1]);
        let text = unknown.build("x", object, Target::Host).expect_err("no such variable").to_string();
        assert!(text.contains("no_such_variable"), "{text}");
    }
}
