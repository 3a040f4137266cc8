//! Code in an object file, with the descriptor by which a loader finds it.

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_module::{Linkage, Module};
use cranelift_object::{ObjectBuilder, ObjectModule};

use super::descriptor::{self, Contents};
use super::link::{UnitCode, UnitNames, define};
use crate::diag::CompileError;

/// Writes an object file.
///
/// # Errors
///
/// Symbols that clash, or a target without a known object format.
pub fn write(
    isa: OwnedTargetIsa,
    units: &[UnitCode],
    names: &[UnitNames],
    descriptor_symbol: &str,
    contents: &Contents<'_>,
) -> Result<Vec<u8>, CompileError> {
    let target = isa.triple().to_string();
    let builder = ObjectBuilder::new(isa, contents.name, cranelift_module::default_libcall_names())
        .map_err(|error| CompileError::Target { target, message: error.to_string() })?;
    let mut module = ObjectModule::new(builder);
    let placed = define(&mut module, units, names)?;
    let internal = |message: String| CompileError::Internal { function: contents.name.to_owned(), message };
    let symbol = module
        .declare_data(descriptor_symbol, Linkage::Export, false, false)
        .map_err(|error| internal(error.to_string()))?;
    descriptor::define(&mut module, symbol, contents, &placed)?;
    module.finish().emit().map_err(|error| internal(error.to_string()))
}
