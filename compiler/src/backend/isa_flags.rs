//! The target as Cranelift knows it: architecture, CPU features and settings.
//!
//! `opt_level` is `none`: measured, Cranelift's own optimiser makes code slower here than the passes
//! over our form alone, since it sinks pure operations into several successors.

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use target_lexicon::{Architecture, Triple};

use crate::diag::CompileError;
use crate::options::{CodeOptions, CpuFeatures, SelfCheck, Target};

/// Where code will lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In this process: the host, with all its CPU features; addresses are known.
    Memory,
    /// In an object file: position-independent.
    Object,
}

/// Makes the target.
///
/// # Errors
///
/// An architecture or CPU feature that is not supported.
pub fn target_isa(options: &CodeOptions, placement: Placement) -> Result<OwnedTargetIsa, CompileError> {
    let (triple, features) = match (placement, &options.target) {
        (Placement::Memory, _) | (Placement::Object, Target::Host) => (Triple::host(), &options.features),
        (Placement::Object, Target::Triple(triple)) => (triple.clone(), &options.features),
    };
    let features = if placement == Placement::Memory { &CpuFeatures::Native } else { features };
    let fail = |message: String| CompileError::Target { target: triple.to_string(), message };
    match triple.architecture {
        Architecture::X86_64 | Architecture::Aarch64(_) | Architecture::Riscv64(_) | Architecture::S390x => {}
        other => {
            return Err(fail(format!(
                "architecture `{other}` is not one of x86_64, aarch64, riscv64 and s390x"
            )));
        }
    }
    let mut builder = isa::lookup(triple.clone()).map_err(|error| fail(error.to_string()))?;
    match features {
        CpuFeatures::Baseline => {}
        CpuFeatures::Native if triple.architecture == Triple::host().architecture => {
            cranelift_native::infer_native_flags(&mut builder).map_err(|error| fail(error.to_owned()))?;
        }
        CpuFeatures::Native => {
            return Err(fail("the host's CPU features say nothing about another architecture".to_owned()));
        }
        CpuFeatures::List(names) => {
            for name in names {
                builder.enable(name).map_err(|error| fail(format!("CPU feature `{name}`: {error}")))?;
            }
        }
    }
    let flags = flags(options, placement).map_err(|error| fail(error.to_string()))?;
    builder.finish(flags).map_err(|error| fail(error.to_string()))
}

fn flags(options: &CodeOptions, placement: Placement) -> Result<settings::Flags, settings::SetError> {
    let mut flags = settings::builder();
    flags.set("opt_level", "none")?;
    flags.set("enable_verifier", if options.self_check == SelfCheck::On { "true" } else { "false" })?;
    flags.set("is_pic", if placement == Placement::Object { "true" } else { "false" })?;
    // Tail calls need it on x86-64; profilers like it everywhere.
    flags.set("preserve_frame_pointers", "true")?;
    // Nothing unwinds through compiled code: helpers do not panic.
    flags.set("unwind_info", "false")?;
    // A stack frame may be larger than a guard page once calls are inlined.
    flags.set("probestack_strategy", "inline")?;
    flags.set("use_colocated_libcalls", "false")?;
    Ok(settings::Flags::new(flags))
}
