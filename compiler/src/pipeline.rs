//! The only place that puts the stages of code generation in order.
//!
//! Verification comes before and is the caller's to ask for: what enters here are programs and the
//! facts that were proven of them.

use std::sync::Arc;

use cranelift_codegen::isa::TargetIsa;

use crate::backend::code::{Compiler, Disassembly};
use crate::backend::isa_flags::{Placement, target_isa};
use crate::backend::jit;
pub use crate::backend::jit::JitCode;
use crate::backend::link::UnitCode;
pub use crate::diag::CompileError;
use crate::lower::{Lowering, lower_entry};
use crate::options::{CodeOptions, Optimize};
use crate::program::{MapDef, Program};
use crate::verify::Facts;
use crate::{ir, opt};

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
    let isa = target_isa(options, Placement::Memory)?;
    let code = compile_units(units, options, &*isa)?;
    jit::load(isa, &code, resolve)
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
    let isa = target_isa(options, Placement::Object)?;
    let code = compile_units(units, options, &*isa)?;
    let _ = (module, code);
    Err(CompileError::Module { message: "object files are not there yet".to_owned() })
}

/// Renders the code of programs as text.
///
/// # Errors
///
/// As [`compile_object`].
pub fn emit_text(units: &[Unit<'_>], emit: Emit, options: &CodeOptions) -> Result<String, CompileError> {
    let isa = target_isa(options, Placement::Object)?;
    let mut text = String::new();
    for unit in units {
        let ir = intermediate(unit, options)?;
        if emit == Emit::Ir {
            text += &ir.to_string();
            continue;
        }
        let (mut lowering, mut compiler) = (Lowering::new(&*isa), Compiler::new(&*isa));
        for function in ir.functions.iter().flatten() {
            lowering.function(&ir, function, compiler.fresh());
            let title = format!("; {}.{}\n", ir.name, function.name);
            text += &title;
            if emit == Emit::Clif {
                text += &compiler.function().display().to_string();
            } else {
                text += &compiler.compile_with(&ir.name, &function.name, Disassembly::Text)?.1;
            }
            text.push('\n');
        }
    }
    Ok(text)
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

/// The intermediate form of a program after all passes.
fn intermediate(unit: &Unit<'_>, options: &CodeOptions) -> Result<ir::Unit, CompileError> {
    let mut ir = ir::build(unit.program, unit.facts)?;
    match options.optimize {
        Optimize::None => opt::checked(&ir, "build", options.self_check)?,
        Optimize::Speed => opt::optimize(&mut ir, options.self_check)?,
    }
    Ok(ir)
}

/// Compiles all functions of programs for a target.
fn compile_units(
    units: &[Unit<'_>],
    options: &CodeOptions,
    isa: &dyn TargetIsa,
) -> Result<Vec<UnitCode>, CompileError> {
    let (mut lowering, mut compiler) = (Lowering::new(isa), Compiler::new(isa));
    let mut all = Vec::with_capacity(units.len());
    for unit in units {
        let ir = intermediate(unit, options)?;
        let mut functions = Vec::with_capacity(ir.functions.len());
        for function in &ir.functions {
            functions.push(match function {
                Some(function) => {
                    lowering.function(&ir, function, compiler.fresh());
                    Some(compiler.compile(&ir.name, &function.name)?)
                }
                None => None,
            });
        }
        lower_entry(&mut lowering, ir.kind, compiler.fresh());
        let entry = compiler.compile(&ir.name, "entry")?;
        all.push(UnitCode { name: ir.name, functions, entry });
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
