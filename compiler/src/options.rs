//! Every knob of code generation, its default and the reason for it.

use std::str::FromStr;

use target_lexicon::Triple;

use crate::diag::CompileError;

/// For which machine code is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The machine on which the compiler runs.
    #[default]
    Host,
    /// Any machine that Cranelift knows: x86_64, aarch64, riscv64 or s390x.
    Triple(Triple),
}

impl FromStr for Target {
    type Err = CompileError;

    /// A target triple such as `aarch64-unknown-linux-gnu`, or `host`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "host" {
            return Ok(Self::Host);
        }
        Triple::from_str(text)
            .map(Self::Triple)
            .map_err(|error| CompileError::Target { target: text.to_owned(), message: error.to_string() })
    }
}

/// Which CPU features code may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CpuFeatures {
    /// Those of the target's baseline: the object runs on any machine of the architecture.
    /// The default for objects, since they are run elsewhere.
    #[default]
    Baseline,
    /// Those of the machine on which the compiler runs. JIT code always uses these.
    Native,
    /// The baseline and these, by Cranelift's names (`has_avx2`, `has_lse`).
    List(Vec<String>),
}

/// Whether code generation checks its own intermediate forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfCheck {
    /// Check: compiling takes about twice as long.
    On,
    /// Trust.
    Off,
}

impl Default for SelfCheck {
    /// On in debug builds, off in release builds.
    fn default() -> Self {
        if cfg!(debug_assertions) { Self::On } else { Self::Off }
    }
}

/// How much is done for fast code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimize {
    /// Plain lowering: for tests that compare it with optimised code.
    None,
    /// All passes.
    #[default]
    Speed,
}

/// How code is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeOptions {
    /// For which machine; JIT code is always for the host.
    pub target: Target,
    /// Which CPU features it may use; JIT code always uses the host's.
    pub features: CpuFeatures,
    /// Whether intermediate forms are checked.
    pub self_check: SelfCheck,
    /// How much is done for fast code.
    pub optimize: Optimize,
}
