//! Diagnostics: why a program was refused, as data.
//!
//! A [`Diagnostic`] names a row of the [`codes`] table, the instruction, and what led there. It is
//! rendered elsewhere ([`render`]); nothing here prints.

pub mod codes;
mod compile;
pub mod render;

pub use codes::Code;
pub use compile::CompileError;

use crate::isa::InsnIdx;

/// One finding of the verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding it is.
    pub code: Code,
    /// One sentence: which value is wrong, and why. The kernel's wording where it has one.
    pub message: String,
    /// The instruction at fault; `None` where the whole program is.
    pub insn: Option<InsnIdx>,
    /// What led there, in order: where a value was set, which call returned it.
    pub notes: Vec<Note>,
    /// What would mend it.
    pub help: Option<String>,
}

/// A place that matters to a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// One sentence.
    pub message: String,
    /// The instruction.
    pub insn: Option<InsnIdx>,
}

/// Whether a finding refuses the program as unsafe or says that Brolga cannot judge it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Linux would refuse the program too.
    Reject,
    /// Brolga does not support something that the program needs.
    Unsupported,
}

impl Diagnostic {
    /// A finding at an instruction.
    #[must_use]
    pub fn at(code: Code, insn: InsnIdx, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), insn: Some(insn), notes: Vec::new(), help: None }
    }

    /// A finding about the whole program.
    #[must_use]
    pub fn program(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), insn: None, notes: Vec::new(), help: None }
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, insn: Option<InsnIdx>, message: impl Into<String>) -> Self {
        self.notes.push(Note { message: message.into(), insn });
        self
    }

    /// Sets the help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// How it counts.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.info().severity
    }
}
