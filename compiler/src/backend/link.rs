//! What both backends do alike: declare functions and what they call, and define their bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brolga_abi::symbols::HOST_PREFIX;

use cranelift_codegen::binemit::Addend;
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, ModuleRelocTarget};

use super::code::{Code, RelocTarget};
use crate::diag::CompileError;
use crate::lower::{Callee, body_signature, entry_signature};
use crate::program::{HostFunction, MapId, SubprogId};

/// The code of one program.
#[derive(Clone, Debug)]
pub struct UnitCode {
    /// The program's name.
    pub name: String,
    /// Its functions by [`Callee::Function`]'s index: subprograms first. `None` where never called.
    pub functions: Vec<Option<Code>>,
    /// The function that it exports.
    pub entry: Code,
    /// Functions of the host that it may call.
    pub hosts: Arc<[HostFunction]>,
    /// The maps through which it makes tail calls.
    pub tail_call_maps: BTreeSet<MapId>,
}

impl UnitCode {
    /// The symbol of what is called outside of the module; none of its own functions.
    fn symbol(&self, callee: Callee) -> Option<Cow<'static, str>> {
        match callee {
            Callee::Host(index) => {
                let name = &self.hosts.get(index as usize)?.name;
                Some(format!("{HOST_PREFIX}{name}").into())
            }
            Callee::Helper(_) | Callee::Routine(_) | Callee::Function(_) => callee.symbol().map(Into::into),
        }
    }

    /// Bytes of all functions, with room for their alignment.
    #[must_use]
    pub fn size(&self) -> usize {
        let codes = self.functions.iter().flatten().chain([&self.entry]);
        codes.map(|code| code.bytes.len() + 64).sum()
    }

    /// The symbols of the runtime and of the host that the code needs.
    pub fn symbols(&self) -> impl Iterator<Item = Cow<'static, str>> {
        let codes = self.functions.iter().flatten().chain([&self.entry]);
        codes.flat_map(|code| &code.relocs).filter_map(|reloc| match reloc.target {
            RelocTarget::Callee(callee) => self.symbol(callee),
            RelocTarget::Own(_) => None,
        })
    }
}

/// Names for a program's functions.
#[derive(Clone, Debug)]
pub struct UnitNames {
    /// The exported entry's symbol; `None` where it needs none.
    pub entry: Option<String>,
    /// What local functions' symbols start with; `None` where they need none.
    pub local: Option<String>,
}

/// Where a program's functions are in the module.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// The entry.
    pub entry: FuncId,
    /// The body.
    pub body: FuncId,
}

/// Defines all programs in a module.
///
/// # Errors
///
/// Names that clash, or memory that cannot be had.
pub fn define(
    module: &mut dyn Module,
    units: &[UnitCode],
    names: &[UnitNames],
) -> Result<Vec<Placed>, CompileError> {
    let mut runtime = BTreeMap::new();
    let mut placed = Vec::with_capacity(units.len());
    for (unit, names) in units.iter().zip(names) {
        placed.push(define_unit(module, unit, names, &mut runtime)?);
    }
    Ok(placed)
}

fn define_unit(
    module: &mut dyn Module,
    unit: &UnitCode,
    names: &UnitNames,
    runtime: &mut BTreeMap<Cow<'static, str>, FuncId>,
) -> Result<Placed, CompileError> {
    let entry_signature = entry_signature(module.isa());
    let body_signature = body_signature();
    let failed = |error: cranelift_module::ModuleError| CompileError::Internal {
        function: unit.name.clone(),
        message: error.to_string(),
    };
    let entry = match &names.entry {
        Some(name) => module.declare_function(name, Linkage::Export, &entry_signature),
        None => module.declare_anonymous_function(&entry_signature),
    }
    .map_err(failed)?;
    let mut functions = Vec::with_capacity(unit.functions.len());
    for (index, code) in unit.functions.iter().enumerate() {
        functions.push(match (code, &names.local) {
            (None, _) => None,
            (Some(_), None) => Some(module.declare_anonymous_function(&body_signature).map_err(failed)?),
            (Some(_), Some(prefix)) => {
                let name = format!("{prefix}{index}");
                Some(module.declare_function(&name, Linkage::Local, &body_signature).map_err(failed)?)
            }
        });
    }
    let mut named = Named { functions: &functions, runtime, unit };
    for (code, id) in unit.functions.iter().zip(&functions) {
        if let (Some(code), Some(id)) = (code, id) {
            named.define(module, *id, code)?;
        }
    }
    named.define(module, entry, &unit.entry)?;
    let body = functions.get(SubprogId::MAIN.index()).copied().flatten();
    let body = body.ok_or_else(|| named.internal("the main function is missing"))?;
    Ok(Placed { entry, body })
}

/// What names stand for while one program is defined.
struct Named<'a> {
    functions: &'a [Option<FuncId>],
    runtime: &'a mut BTreeMap<Cow<'static, str>, FuncId>,
    unit: &'a UnitCode,
}

impl Named<'_> {
    fn internal(&self, message: impl ToString) -> CompileError {
        CompileError::Internal { function: self.unit.name.clone(), message: message.to_string() }
    }

    fn define(&mut self, module: &mut dyn Module, id: FuncId, code: &Code) -> Result<(), CompileError> {
        let mut relocs = Vec::with_capacity(code.relocs.len());
        for reloc in &code.relocs {
            let name = match reloc.target {
                RelocTarget::Own(offset) => ModuleRelocTarget::FunctionOffset(id, offset),
                RelocTarget::Callee(callee) => self.target(module, callee)?.into(),
            };
            let addend: Addend = reloc.addend;
            relocs.push(ModuleReloc { offset: reloc.offset, kind: reloc.kind, name, addend });
        }
        module
            .define_function_bytes(id, code.alignment, &code.bytes, &relocs)
            .map_err(|error| self.internal(error))
    }

    fn target(&mut self, module: &mut dyn Module, callee: Callee) -> Result<FuncId, CompileError> {
        let symbol = match (callee, self.unit.symbol(callee)) {
            (Callee::Function(index), _) => {
                let id = self.functions.get(index as usize).copied().flatten();
                return id.ok_or_else(|| self.internal(format!("function {index} is missing")));
            }
            (Callee::Helper(_) | Callee::Routine(_) | Callee::Host(_), Some(symbol)) => symbol,
            (Callee::Helper(_) | Callee::Routine(_) | Callee::Host(_), None) => {
                return Err(self.internal("a callee without symbol"));
            }
        };
        if let Some(id) = self.runtime.get(&symbol) {
            return Ok(*id);
        }
        // How a helper is called was settled when the caller was compiled; here only its name counts.
        let signature = entry_signature(module.isa());
        let id =
            module.declare_function(&symbol, Linkage::Import, &signature).map_err(|e| self.internal(e))?;
        self.runtime.insert(symbol, id);
        Ok(id)
    }
}
