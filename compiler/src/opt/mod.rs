//! The passes over the intermediate form, and their order.
//!
//! A pass keeps what `ir::check` says, and the program's meaning; it takes from the facts only what
//! the instructions already carry.

use crate::diag::CompileError;
use crate::ir::{Unit, check};
use crate::options::SelfCheck;

/// A pass over all functions of a program.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Name, for messages.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&mut Unit),
}

/// All passes in the order in which they run.
pub const PASSES: &[Pass] = &[];

/// Runs all passes.
///
/// # Errors
///
/// With [`SelfCheck::On`], a pass that broke a rule of the intermediate form.
pub fn optimize(unit: &mut Unit, self_check: SelfCheck) -> Result<(), CompileError> {
    checked(unit, "build", self_check)?;
    for pass in PASSES {
        (pass.run)(unit);
        checked(unit, pass.name, self_check)?;
    }
    Ok(())
}

/// Checks every function after a stage.
///
/// # Errors
///
/// The rule that the stage broke, where checks are on.
pub fn checked(unit: &Unit, stage: &str, self_check: SelfCheck) -> Result<(), CompileError> {
    if self_check == SelfCheck::Off {
        return Ok(());
    }
    for function in unit.functions.iter().flatten() {
        check::check(function).map_err(|fault| CompileError::Internal {
            function: format!("{}.{}", unit.name, function.name),
            message: format!("after `{stage}`: {fault}\n{function}"),
        })?;
    }
    Ok(())
}
