//! Diagnostics: why a program was refused, as data.
//!
//! A [`Diagnostic`] names a row of the [`codes`] table, the instruction, and what led there. It is
//! rendered elsewhere ([`render`]); nothing here prints.

pub mod codes;
mod compile;
pub mod render;

pub use codes::Code;
pub use compile::CompileError;

use crate::isa::{InsnIdx, Reg};

/// One finding of the verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding it is.
    pub code: Code,
    /// One sentence: which value is wrong, and why. The kernel's wording where it has one.
    pub message: String,
    /// The instruction at fault; `None` where the whole program is.
    pub insn: Option<InsnIdx>,
    /// The register at fault, where one is.
    pub register: Option<Reg>,
    /// What is wrong at the instruction, in plain words.
    pub label: Option<String>,
    /// What led there: where a value was set, which call returned it, which branch did not rule it out.
    pub notes: Vec<Note>,
    /// What would mend it.
    pub help: Option<String>,
    /// Lines of C that would mend it, where they can be guessed.
    pub repair: Option<String>,
    /// How the path got there: branches, calls and returns, in order. Each stands once, where it was passed
    /// last.
    pub path: Vec<Turn>,
    /// What the executing function's registers held, as the kernel's log writes it.
    pub registers: Vec<(Reg, String)>,
}

/// A place where a path might have gone elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The instruction.
    pub insn: InsnIdx,
    /// The instruction after it on this path.
    pub to: InsnIdx,
    /// What it did.
    pub kind: TurnKind,
    /// How often the path passed it this way.
    pub times: u32,
}

/// How a path went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TurnKind {
    /// A conditional jump was taken.
    Taken,
    /// A conditional jump was not taken.
    Fallthrough,
    /// A function was entered.
    Call,
    /// A function was left.
    Return,
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
        Self { insn: Some(insn), ..Self::program(code, message) }
    }

    /// A finding about the whole program.
    #[must_use]
    pub fn program(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            insn: None,
            register: None,
            label: None,
            notes: Vec::new(),
            help: None,
            repair: None,
            path: Vec::new(),
            registers: Vec::new(),
        }
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

    /// Says what is wrong at the instruction, in plain words.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets lines of C that would mend it.
    #[must_use]
    pub fn repair(mut self, lines: impl Into<String>) -> Self {
        self.repair = Some(lines.into());
        self
    }

    /// How it counts.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.info().severity
    }
}
