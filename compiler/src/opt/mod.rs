//! The passes over the intermediate form, and their order.
//!
//! A pass keeps what `ir::check` says, and the program's meaning; it takes from the facts only what
//! the instructions already carry.

mod alias;
pub mod blocks;
pub mod choose;
pub mod combine;
pub mod constant;
pub mod dead;
pub mod hoist;
pub mod inline;
pub mod memory;
pub mod narrow;
pub mod place;
pub mod promote;
pub mod simplify;
pub mod switch;
mod table;
#[cfg(test)]
mod tests;

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
pub const PASSES: &[Pass] = &[
    Pass { name: "simplify", run: simplify::run },
    Pass { name: "inline", run: inline::run },
    Pass { name: "blocks", run: blocks::run },
    Pass { name: "simplify inlined", run: simplify::run },
    Pass { name: "combine loads", run: combine::loads },
    Pass { name: "promote", run: promote::run },
    Pass { name: "simplify promoted", run: simplify::run },
    Pass { name: "memory", run: memory::run },
    Pass { name: "combine", run: combine::loads_and_stores },
    Pass { name: "narrow", run: narrow::run },
    Pass { name: "hoist", run: hoist::run },
    Pass { name: "choose", run: choose::run },
    Pass { name: "simplify combined", run: simplify::run_late },
    Pass { name: "tidy", run: blocks::run },
    Pass { name: "switch", run: switch::run },
    Pass { name: "place", run: place::run },
];

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
