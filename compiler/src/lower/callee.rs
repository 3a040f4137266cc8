//! Names of what compiled code calls, as numbers that Cranelift carries.
//!
//! A [`Callee`] becomes a name in Cranelift's function and comes back from its relocations. Which
//! address or symbol it stands for is the backend's to decide.

use brolga_abi::helpers::{NATIVE_HELPERS, NativeHelper};
use brolga_abi::symbols::{ROUTINES, Routine};
use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, Function, Signature, UserExternalName};

/// Something that compiled code calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callee {
    /// A helper of the runtime.
    Helper(NativeHelper),
    /// A routine of the runtime.
    Routine(Routine),
    /// A function of the host: its index in the program's list.
    Host(u32),
    /// A function of the same program: the index of its subprogram.
    Function(u32),
}

const HELPER: u32 = 1;
const ROUTINE: u32 = 2;
const FUNCTION: u32 = 3;
const HOST: u32 = 4;

impl Callee {
    /// As a name within a Cranelift function.
    #[must_use]
    pub const fn name(self) -> UserExternalName {
        let (namespace, index) = match self {
            Self::Helper(helper) => (HELPER, helper as u32),
            Self::Routine(routine) => (ROUTINE, routine as u32),
            Self::Host(index) => (HOST, index),
            Self::Function(index) => (FUNCTION, index),
        };
        UserExternalName { namespace, index }
    }

    /// What a name stands for.
    #[must_use]
    pub fn from_name(name: &UserExternalName) -> Option<Self> {
        match name.namespace {
            HELPER => NATIVE_HELPERS.get(name.index as usize).copied().map(Self::Helper),
            ROUTINE => ROUTINES.get(name.index as usize).map(|row| Self::Routine(row.routine)),
            HOST => Some(Self::Host(name.index)),
            FUNCTION => Some(Self::Function(name.index)),
            _ => None,
        }
    }

    /// The symbol of the runtime, where the callee is part of it.
    #[must_use]
    pub const fn symbol(self) -> Option<&'static str> {
        match self {
            Self::Helper(helper) => Some(helper.symbol()),
            Self::Routine(routine) => Some(routine.info().symbol),
            Self::Host(_) | Self::Function(_) => None,
        }
    }
}

/// The callees that a function has declared.
#[derive(Default)]
pub(super) struct Callees {
    declared: Vec<(Callee, FuncRef)>,
}

impl Callees {
    /// The reference for a callee, declared on first use.
    pub(super) fn get(
        &mut self,
        function: &mut Function,
        callee: Callee,
        signature: impl FnOnce() -> Signature,
    ) -> FuncRef {
        if let Some((_, made)) = self.declared.iter().find(|(known, _)| *known == callee) {
            return *made;
        }
        let signature = function.import_signature(signature());
        let name = ExternalName::user(function.declare_imported_user_function(callee.name()));
        let colocated = matches!(callee, Callee::Function(_));
        let made = function.import_function(ExtFuncData { name, signature, colocated, patchable: false });
        self.declared.push((callee, made));
        made
    }
}
