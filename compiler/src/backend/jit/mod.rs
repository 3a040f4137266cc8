//! Code in this process's memory.
//!
//! One arena a module, as large as the code that is known by then, so that functions reach each
//! other by short jumps. Symbols are resolved by the caller before anything is placed: nothing is
//! ever looked up in the process by name.

mod memory;

pub use memory::JitCode;

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};

use super::link::{UnitCode, UnitNames, define};
use crate::diag::CompileError;

/// Bytes that an arena has beyond its code: pages are protected as a whole.
const SLACK: usize = 64 * 1024;

/// Places the code of programs in memory.
///
/// # Errors
///
/// A symbol that `resolve` does not know, or memory that cannot be had.
pub fn load(
    isa: OwnedTargetIsa,
    units: &[UnitCode],
    resolve: &dyn Fn(&str) -> Option<*const u8>,
) -> Result<JitCode, CompileError> {
    let mut builder = JITBuilder::with_isa(isa, cranelift_module::default_libcall_names());
    for symbol in units.iter().flat_map(UnitCode::symbols) {
        let address =
            resolve(&symbol).ok_or_else(|| CompileError::UnresolvedSymbol { symbol: symbol.to_string() })?;
        builder.symbol(symbol, address);
    }
    let size = units.iter().map(UnitCode::size).sum::<usize>() + SLACK;
    let arena = ArenaMemoryProvider::new_with_size(size)
        .map_err(|error| CompileError::Memory { message: error.to_string() })?;
    builder.memory_provider(Box::new(arena));
    let mut module = JITModule::new(builder);
    let names = vec![UnitNames { entry: None, local: None }; units.len()];
    let placed = define(&mut module, units, &names)?;
    module.finalize_definitions().map_err(|error| CompileError::Memory { message: error.to_string() })?;
    let functions = placed
        .iter()
        .map(|at| (module.get_finalized_function(at.entry), module.get_finalized_function(at.body)))
        .collect();
    Ok(JitCode::new(module, functions))
}
