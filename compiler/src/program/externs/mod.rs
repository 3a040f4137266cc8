//! Externs: what an object declares and leaves to the kernel to define.
//!
//! Variables of `.kconfig` are values of the kernel's configuration; they become one read-only map
//! of global data. Variables of `.ksyms` are the kernel's own, found by type, or by name where they
//! are `void`; functions of `.ksyms` are kernel functions. Names, order and layout are libbpf's.
//!
//! Nothing here fails: what cannot be resolved says why ([`Missing`]), and the programs that use
//! it get that as a finding. A weak extern that nobody defines is zero, as libbpf has it; a call of
//! a weak function that nobody defines becomes a call that no verifier accepts where it is reached.

mod collect;
mod host;
mod kconfig;
mod ksyms;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::Source;
use super::{LoadError, LoadOptions, MapDef};
use crate::btf::TypeId;
use crate::diag::{Code, Diagnostic};
use crate::elf::SymbolIdx;
use crate::isa::CallTarget;

pub use host::{HostAccess, HostFunction, HostFunctionError, HostParam, HostScalar};

/// Helper number that a call of a weak kernel function which is missing becomes, plus the index of
/// the extern: libbpf's `POISON_CALL_KFUNC_BASE`.
pub const POISON_CALL: u32 = 2_002_000_000;

/// A variable or function that the object declares and does not define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extern {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ExternKind,
    /// The variable or function in the object's BTF, where it says.
    pub ty: Option<TypeId>,
    /// Whether it may be missing.
    pub weak: bool,
    /// What it resolves to.
    pub resolution: Resolution,
}

/// What an extern is. The order is libbpf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExternKind {
    /// Neither of the others: BTF does not say, or says what cannot be.
    Unknown,
    /// A value of the kernel's configuration, in the map `.kconfig`.
    Config {
        /// Its type.
        ty: ConfigType,
        /// Where it is in the map.
        offset: u32,
        /// Bytes.
        size: u32,
    },
    /// A variable of the kernel, by its type in the kernel's BTF.
    Variable,
    /// A symbol of the kernel without type: its address.
    Symbol,
    /// A kernel function.
    Function,
}

/// Type of a configuration value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigType {
    /// One byte: a character, or a small number.
    Char {
        /// Whether it is signed.
        signed: bool,
    },
    /// `bool`.
    Bool,
    /// An integer of 2, 4 or 8 bytes.
    Int {
        /// Whether it is signed.
        signed: bool,
    },
    /// `enum libbpf_tristate`.
    Tristate,
    /// An array of characters.
    String,
}

/// What an extern resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The value is in the map `.kconfig`.
    Value,
    /// An address in the kernel.
    Address(u64),
    /// A variable or function of the kernel's BTF.
    Kernel {
        /// Its id.
        id: TypeId,
        /// Which types have it: 0 for the kernel's, else the entry of [`super::Object::modules`]
        /// with this number, counted from 1.
        module: i16,
    },
    /// A function of the host, by its index in [`LoadOptions::host_functions`].
    Host(u32),
    /// Nobody defines it, and it may be missing: zero.
    Absent,
    /// It cannot be resolved.
    Missing(Missing),
}

/// Why an extern cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Why.
    pub reason: String,
    /// Whether the target is known not to have it; otherwise nobody said what the target has.
    pub certain: bool,
    /// What would mend it.
    pub help: Option<&'static str>,
}

impl Missing {
    fn certainly(reason: impl Into<String>) -> Resolution {
        Resolution::Missing(Self { reason: reason.into(), certain: true, help: None })
    }

    fn unknown(reason: impl Into<String>, help: &'static str) -> Resolution {
        Resolution::Missing(Self { reason: reason.into(), certain: false, help: Some(help) })
    }
}

impl Extern {
    /// What kind of thing it is, in words.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self.kind {
            ExternKind::Unknown => "extern",
            ExternKind::Config { .. } => "configuration value",
            ExternKind::Variable => "kernel variable",
            ExternKind::Symbol => "kernel symbol",
            ExternKind::Function => "kernel function",
        }
    }

    /// The finding of a program that uses it at a slot, where it is missing.
    pub(super) fn finding(&self, at: crate::isa::InsnIdx) -> Option<Diagnostic> {
        let Resolution::Missing(missing) = &self.resolution else { return None };
        let code = if missing.certain { Code::UnresolvedExtern } else { Code::UnsupportedRelocation };
        let message = format!("{} `{}`: {}", self.what(), self.name, missing.reason);
        let finding = Diagnostic::at(code, at, message);
        Some(match missing.help {
            Some(help) => finding.help(help),
            None => finding,
        })
    }
}

/// All externs of an object.
pub(super) struct Externs {
    /// In libbpf's order.
    pub(super) list: Arc<[Extern]>,
    /// Modules of the kernel that have some of them, by index in the kernel's list.
    pub(super) modules: Arc<[u32]>,
    /// The map `.kconfig`.
    kconfig: Option<MapDef>,
    by_symbol: BTreeMap<SymbolIdx, usize>,
}

impl Externs {
    /// Finds and resolves the externs of an object.
    pub(super) fn read(source: &Source<'_>, options: &LoadOptions) -> Result<Self, LoadError> {
        let target = &options.target;
        let mut found = collect::collect(source)?;
        let kconfig = kconfig::resolve(source, target, &mut found)?;
        let modules = ksyms::resolve(source, target, &options.host_functions, &mut found);
        let by_symbol = (0..).zip(&found).map(|(index, found)| (found.symbol, index)).collect();
        let list = found.into_iter().map(|found| found.external).collect();
        Ok(Self { list, modules: modules.into(), kconfig, by_symbol })
    }

    /// The map `.kconfig`, for the first who asks.
    pub(super) fn take_kconfig(&mut self) -> Option<MapDef> {
        self.kconfig.take()
    }

    /// The extern that a symbol stands for, and its index.
    pub(super) fn of(&self, symbol: SymbolIdx) -> Option<(usize, &Extern)> {
        let index = *self.by_symbol.get(&symbol)?;
        Some((index, self.list.get(index)?))
    }
}

impl super::Program {
    /// The name of the kernel's or the host's function that a call is of, or would be if the kernel had it.
    #[must_use]
    pub fn function_name(&self, target: CallTarget) -> Option<&str> {
        use super::KernelTypes;
        match target {
            CallTarget::Subprog(_) => None,
            CallTarget::Helper(number) => {
                let index = usize::try_from(number.checked_sub(POISON_CALL)?).ok()?;
                self.externs.get(index).map(|missing| missing.name.as_str())
            }
            CallTarget::Kfunc { id, module: CallTarget::HOST } => {
                Some(self.host_functions.get(usize::try_from(id).ok()?)?.name.as_str())
            }
            CallTarget::Kfunc { id, module } => {
                let KernelTypes::Kernel(kernel) = &self.kernel else { return None };
                let types = match usize::try_from(module).ok()? {
                    0 => &kernel.vmlinux,
                    number => &kernel.modules.get(*self.modules.get(number - 1)? as usize)?.1,
                };
                types.get(crate::btf::TypeId(u32::try_from(id).ok()?)).ok()?.name().ok()
            }
        }
    }
}
