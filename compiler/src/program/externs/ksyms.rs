//! Variables, functions and addresses of the kernel.
//!
//! A function that the host has is the host's. Any other typed extern is looked for in the kernel's BTF and then in that of its modules; what is found
//! must have a compatible type. An untyped one is an address from the kernel's symbol table.

use super::collect::Found;
use super::{ExternKind, HostFunction, Missing, Resolution};
use crate::btf::relo::Compatibility;
use crate::btf::{Btf, Kind, TypeId, essential_name};
use crate::program::source::Source;
use crate::program::{Kernel, KernelTypes, Target};

/// Resolves the externs of `.ksyms`. Gives the modules that have some of them, by index in the
/// kernel's list: first those that have functions, as libbpf numbers them.
pub(super) fn resolve(
    source: &Source<'_>,
    target: &Target,
    hosts: &[HostFunction],
    found: &mut [Found],
) -> Vec<u32> {
    let kernel = match &target.types {
        KernelTypes::Own => None,
        KernelTypes::Kernel(kernel) => Some(&**kernel),
    };
    let mut resolver =
        Resolver { local: source.btf.as_deref(), kernel, budget: Compatibility::new(), modules: Vec::new() };
    for found in found.iter_mut().filter(|found| found.external.kind == ExternKind::Symbol) {
        found.external.resolution = symbol(target, &found.external.name, found.external.weak);
    }
    for kind in [ExternKind::Function, ExternKind::Variable] {
        for found in found.iter_mut().filter(|found| found.external.kind == kind) {
            let host = if kind == ExternKind::Function { host(source, hosts, found) } else { None };
            found.external.resolution = host.unwrap_or_else(|| resolver.typed(found));
        }
    }
    resolver.modules
}

/// The address of a symbol without type.
fn symbol(target: &Target, name: &str, weak: bool) -> Resolution {
    let Some(symbols) = &target.symbols else {
        let help = "addresses are read from /proc/kallsyms where the types are those of the running kernel";
        return match weak {
            true => Resolution::Absent,
            false => Missing::unknown("the addresses of the kernel's symbols are not known", help),
        };
    };
    if symbols.is_ambiguous(name) {
        return Missing::certainly("several symbols of the kernel have the name");
    }
    match symbols.address(name) {
        Some(address) => Resolution::Address(address),
        None if weak => Resolution::Absent,
        None => Missing::certainly("the kernel has no such symbol"),
    }
}

/// The host's function of an extern's name, where there is one.
fn host(source: &Source<'_>, hosts: &[HostFunction], found: &Found) -> Option<Resolution> {
    let name = essential_name(&found.external.name);
    let (index, function) = (0..).zip(hosts).find(|(_, function)| function.name == name)?;
    let btf = source.btf.as_deref()?;
    let declared = btf.get(found.ty).map_err(|error| error.to_string());
    Some(match declared.and_then(|declared| function.agrees_with(btf, &declared)) {
        Ok(()) => Resolution::Host(index),
        Err(reason) => Missing::certainly(format!("the host's is `{function}`: {reason}")),
    })
}

/// A structure of which a function's prototype has a pointer, and the object no definition.
fn only_declared(btf: &Btf, proto: TypeId) -> Option<&str> {
    let proto = btf.get(proto).ok()?;
    let types = proto.params().map(|param| param.ty).chain([proto.referenced()]);
    types.into_iter().find_map(|ty| {
        let pointer = btf.unqualified(ty).ok().filter(|ty| ty.kind() == Kind::Ptr)?;
        let target = btf.unqualified(pointer.referenced()).ok().filter(|ty| ty.kind() == Kind::Fwd)?;
        target.name().ok()
    })
}

struct Resolver<'r> {
    local: Option<&'r Btf>,
    kernel: Option<&'r Kernel>,
    budget: Compatibility,
    modules: Vec<u32>,
}

impl Resolver<'_> {
    fn typed(&mut self, found: &Found) -> Resolution {
        let external = &found.external;
        let (Some(kernel), Some(local)) = (self.kernel, self.local) else {
            return match external.weak {
                true => Resolution::Absent,
                false => Missing::unknown(
                    "there is neither a kernel nor a function of the host that would be it",
                    "`--btf FILE` gives a kernel's types to verify against; a host that runs programs gives functions of its own",
                ),
            };
        };
        let is_function = external.kind == ExternKind::Function;
        let (kind, name) = match is_function {
            true => (Kind::Func, essential_name(&external.name)),
            false => (Kind::Var, external.name.as_str()),
        };
        let Some((btf, module, id)) = find(kernel, kind, name) else {
            return match external.weak {
                true => Resolution::Absent,
                false => Missing::certainly("neither the kernel nor a module of it has one"),
            };
        };
        let theirs = match btf.get(id) {
            Ok(ty) if is_function => Ok(ty.referenced()),
            Ok(ty) => btf.unqualified(ty.referenced()).map(|ty| ty.id()),
            Err(error) => Err(error),
        };
        let fits = theirs.map_err(Into::into).and_then(|id| self.budget.check((local, found.ty), (btf, id)));
        match fits {
            Ok(true) => self.kernel_type(id, module),
            Ok(false) if is_function && external.weak => Resolution::Absent,
            Ok(false) => {
                Missing::certainly(match is_function.then(|| only_declared(local, found.ty)).flatten() {
                    Some(name) => format!(
                        "the kernel's has another type: `struct {name}` is only declared here, and must be defined, as in vmlinux.h"
                    ),
                    None => "the kernel's has another type".to_owned(),
                })
            }
            Err(error) => Missing::certainly(format!("its type cannot be compared: {error}")),
        }
    }

    fn kernel_type(&mut self, id: TypeId, module: Option<u32>) -> Resolution {
        let Some(module) = module else { return Resolution::Kernel { id, module: 0 } };
        let known = self.modules.iter().position(|&known| known == module);
        let position = known.unwrap_or_else(|| {
            self.modules.push(module);
            self.modules.len() - 1
        });
        match i16::try_from(position + 1) {
            Ok(module) => Resolution::Kernel { id, module },
            Err(_) => Missing::certainly("too many modules of the kernel have externs of the object"),
        }
    }
}

/// The first of a kind and name, and the module that has it.
fn find<'k>(kernel: &'k Kernel, kind: Kind, name: &str) -> Option<(&'k Btf, Option<u32>, TypeId)> {
    if let Some(id) = kernel.vmlinux.find(kind, name) {
        return Some((&kernel.vmlinux, None, id));
    }
    let modules = (0..).zip(&kernel.modules);
    let found = modules.map(|(index, (_, btf))| (&**btf, Some(index), btf.find(kind, name)));
    found.filter_map(|(btf, module, id)| Some((btf, module, id?))).next()
}
