//! Why a command could not do what it was asked for: one sentence on standard error, exit code 2.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use brolga_compiler::diag::CompileError;
use brolga_compiler::linker::LinkError;
use brolga_compiler::program::LoadError;

use crate::capture::CaptureError;
use crate::io;
use crate::kernels::KernelError;
use crate::style;

/// Exit code: what was judged was not good.
pub const REJECTED: u8 = 1;
/// Exit code: an input could not be read, or the command was used wrongly.
pub const FAILED: u8 = 2;
/// Exit code: nothing was rejected, but something is not supported.
pub const UNSUPPORTED: u8 = 3;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// A file could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file could not be written.
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Standard output could not be written.
    Output(std::io::Error),
    /// An object could not be loaded.
    Load {
        /// The object.
        path: PathBuf,
        /// Why.
        error: Box<LoadError>,
    },
    /// A file holds no kernel's types.
    Kernel {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<KernelError>,
    },
    /// Objects could not be linked.
    Link(Box<LinkError>),
    /// A capture could not be read.
    Capture {
        /// The capture.
        path: PathBuf,
        /// Why.
        error: Box<CaptureError>,
    },
    /// Another program failed.
    Tool {
        /// The program.
        program: String,
        /// What it said.
        message: String,
    },
    /// No code could be made.
    Compile(Box<CompileError>),
    /// The arguments do not fit together or to the object.
    Usage(String),
}

impl Failure {
    /// Says what went wrong, except where nobody listens any more.
    pub fn report(&self) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        let error = style::ERROR;
        io::say(format_args!("{error}error{error:#}: {self}"));
        ExitCode::from(FAILED)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "cannot read `{}`: {error}", path.display()),
            Self::Write { path, error } => write!(f, "cannot write `{}`: {error}", path.display()),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Load { path, error } => write!(f, "cannot load `{}`: {error}", path.display()),
            Self::Kernel { path, error } => write!(f, "kernel's types in `{}`: {error}", path.display()),
            Self::Link(error) => write!(f, "cannot link {error}"),
            Self::Capture { path, error } => write!(f, "capture `{}`: {error}", path.display()),
            Self::Tool { program, message } => write!(f, "`{program}` failed: {message}"),
            Self::Compile(error) => error.fmt(f),
            Self::Usage(message) => f.write_str(message),
        }
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        Self::Compile(Box::new(error))
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        Self::Link(Box::new(error))
    }
}

/// `write!` to standard output fails with this.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}
