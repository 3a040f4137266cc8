//! The only place that puts the stages of code generation in order.
//!
//! Verification comes before and is the caller's to ask for: what enters here are programs and the
//! facts that were proven of them.

use std::sync::Arc;

pub use crate::backend::jit::JitCode;
pub use crate::diag::CompileError;
use crate::options::CodeOptions;
use crate::program::{MapDef, Program};
use crate::verify::Facts;

/// A verified program.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The program.
    pub program: &'a Program,
    /// What was proven of it.
    pub facts: &'a Facts,
}

/// What an object file says of itself besides its code.
#[derive(Clone, Debug)]
pub struct ModuleInfo<'a> {
    /// The module's name; the descriptor's symbol ends in it.
    pub name: &'a str,
    /// The licence.
    pub license: &'a str,
    /// The maps to which all programs of the module refer.
    pub maps: &'a Arc<[MapDef]>,
}

/// Which text of the code is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Brolga's own intermediate form.
    Ir,
    /// Cranelift IR.
    Clif,
    /// Disassembly.
    Asm,
}

/// Makes code in this process's memory.
///
/// Programs of one call share a module; their code is freed when the last clone of the result is
/// dropped. `resolve` gives addresses for the runtime's symbols (helpers and routines of the tables).
///
/// # Errors
///
/// An unresolved symbol, an exceeded limit, or something unsupported.
pub fn compile_jit(
    units: &[Unit<'_>],
    options: &CodeOptions,
    resolve: &dyn Fn(&str) -> Option<*const u8>,
) -> Result<JitCode, CompileError> {
    let _ = (options, resolve);
    Err(not_yet(units))
}

/// Makes a native object file that exports a [`brolga_abi::descriptor::Descriptor`] under
/// [`descriptor_symbol`] and each program's entry under [`program_symbol`].
///
/// # Errors
///
/// An unknown target, an exceeded limit, names that clash, or something unsupported.
pub fn compile_object(
    module: &ModuleInfo<'_>,
    units: &[Unit<'_>],
    options: &CodeOptions,
) -> Result<Vec<u8>, CompileError> {
    let _ = (module, options);
    Err(not_yet(units))
}

/// Renders the code of programs as text.
///
/// # Errors
///
/// As [`compile_object`].
pub fn emit_text(units: &[Unit<'_>], emit: Emit, options: &CodeOptions) -> Result<String, CompileError> {
    let _ = (emit, options);
    Err(not_yet(units))
}

/// The symbol of a module's descriptor.
#[must_use]
pub fn descriptor_symbol(module: &str) -> String {
    format!("{}{}", brolga_abi::descriptor::DESCRIPTOR_PREFIX, sanitise(module))
}

/// The symbol of a program's entry: `extern "C" fn(context, env) -> u64`.
#[must_use]
pub fn program_symbol(module: &str, program: &str) -> String {
    format!("{}program_{}_{}", brolga_abi::symbols::PREFIX, sanitise(module), sanitise(program))
}

/// A name as C allows it: every byte that is not a letter, digit or `_` becomes `_`.
fn sanitise(name: &str) -> String {
    name.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b) } else { '_' }).collect()
}

fn not_yet(units: &[Unit<'_>]) -> CompileError {
    CompileError::Unsupported {
        program: units.first().map_or_else(String::new, |unit| unit.program.name.clone()),
        insn: None,
        what: "code generation".to_owned(),
    }
}
