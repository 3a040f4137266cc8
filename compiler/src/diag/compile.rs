//! Errors of code generation: everything after an accepted verification.
//!
//! None of them says that a program is unsafe: that is a [`super::Diagnostic`]'s to say.

use std::fmt;

use crate::isa::InsnIdx;

/// Why no code was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// The program uses something that code generation does not support.
    Unsupported {
        /// The program.
        program: String,
        /// The instruction, where one is at fault.
        insn: Option<InsnIdx>,
        /// What is not supported.
        what: String,
    },
    /// The program exceeds a limit of code generation.
    TooLarge {
        /// The program.
        program: String,
        /// What is too large: "instructions of one function" and so on.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What was found.
        found: u64,
    },
    /// The module needs a symbol that the caller's resolver does not know.
    UnresolvedSymbol {
        /// The symbol.
        symbol: String,
    },
    /// No code can be made for the target.
    Target {
        /// The target, as it was asked for.
        target: String,
        /// Why.
        message: String,
    },
    /// Names or tables of the module do not fit together: a duplicate program, an initial
    /// program of a `prog_array` that the module does not hold.
    Module {
        /// What is wrong.
        message: String,
    },
    /// Memory for code could not be had from the system.
    Memory {
        /// What the system said.
        message: String,
    },
    /// The code generator refused its own input: a mistake of Brolga's, not of the program's.
    Internal {
        /// The function that was compiled.
        function: String,
        /// What the code generator said.
        message: String,
    },
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { program, insn: Some(at), what } => {
                write!(f, "program `{program}`, instruction {at}: {what} is not supported")
            }
            Self::Unsupported { program, insn: None, what } => {
                write!(f, "program `{program}`: {what} is not supported")
            }
            Self::TooLarge { program, what, limit, found } => {
                write!(f, "program `{program}` is too large: {found} {what}, the limit is {limit}")
            }
            Self::UnresolvedSymbol { symbol } => {
                write!(f, "compiled code needs `{symbol}`, which the runtime does not provide")
            }
            Self::Target { target, message } => write!(f, "cannot compile for `{target}`: {message}"),
            Self::Module { message } => f.write_str(message),
            Self::Memory { message } => write!(f, "no memory for code: {message}"),
            Self::Internal { function, message } => {
                write!(f, "bug in Brolga: code generation of `{function}` failed: {message}")
            }
        }
    }
}

impl std::error::Error for CompileError {}
