//! An object as the linker sees it: what its sections are, and which types its symbols have.

use std::collections::HashMap;

use super::{Input, LinkError, Problem};
use crate::btf::{Btf, Ext, Kind, Linkage, Type, TypeId};
use crate::elf::{Elf, Section, SectionIdx};

/// The BTF section for variables that the linker is to find.
pub(super) const EXTERN: &str = ".extern";

/// `SHT_SYMTAB`, `SHT_STRTAB`, `SHT_REL` and clang's table of addresses that matter.
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const REL: u32 = 9;
const LLVM_ADDRSIG: u32 = 0x6fff_4c03;

/// What the linker does with a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is made anew, or not needed.
    Dropped,
    /// Its bytes, or its size, go into the result.
    Data,
    /// Relocations of a section that goes into the result.
    Relocs,
}

/// Type of a symbol.
#[derive(Clone, Copy, Debug)]
struct Declaration {
    /// The variable or function.
    ty: TypeId,
    /// The data section in which it is.
    datasec: Option<TypeId>,
}

/// An object.
pub(super) struct Object<'a> {
    pub(super) name: &'a str,
    pub(super) elf: Elf<'a>,
    pub(super) btf: Option<&'a Btf>,
    pub(super) ext: Ext,
    /// Roles of its sections.
    pub(super) roles: Vec<Role>,
    /// Data sections of the BTF, with their names.
    pub(super) datasecs: Vec<(TypeId, &'a str)>,
    /// Global and external variables and functions by name.
    declared: HashMap<&'a str, Declaration>,
    /// The first section of each name that goes into the result.
    by_name: HashMap<&'a str, SectionIdx>,
}

/// The types of an object.
pub(super) fn types(input: &Input<'_>) -> Result<Option<Btf>, LinkError> {
    let elf = Elf::parse(input.bytes).map_err(|e| Problem::Elf(e).of(input.name))?;
    let Some((_, section)) = elf.section_by_name(".BTF") else { return Ok(None) };
    let data = section.data().map_err(|e| Problem::Elf(e).of(input.name))?;
    Btf::parse(data).map(Some).map_err(|e| Problem::Btf(e).of(input.name))
}

impl<'a> Object<'a> {
    pub(super) fn read(input: &Input<'a>, btf: Option<&'a Btf>) -> Result<Self, LinkError> {
        let read = || {
            let elf = Elf::parse(input.bytes).map_err(Problem::Elf)?;
            let ext = match elf.section_by_name(".BTF.ext").filter(|_| btf.is_some()) {
                Some((_, section)) => {
                    Ext::parse(section.data().map_err(Problem::Elf)?).map_err(Problem::Btf)?
                }
                None => Ext::default(),
            };
            let roles: Vec<Role> =
                elf.sections.iter().map(|section| role(&elf, section)).collect::<Result<_, _>>()?;
            let mut by_name = HashMap::new();
            for (index, section) in elf.sections_with_index() {
                if roles[index.index()] == Role::Data {
                    by_name.entry(section.name).or_insert(index);
                }
            }
            let (datasecs, declared) = btf.map_or(Ok(Default::default()), declarations)?;
            Ok(Self { name: input.name, elf, btf, ext, roles, datasecs, declared, by_name })
        };
        read().map_err(|problem: Problem| problem.of(input.name))
    }

    pub(super) fn role(&self, index: SectionIdx) -> Role {
        self.roles.get(index.index()).copied().unwrap_or(Role::Dropped)
    }

    /// The first section of a name that goes into the result.
    pub(super) fn data_section(&self, name: &str) -> Option<SectionIdx> {
        self.by_name.get(name).copied()
    }

    /// The type of a global or external variable or function.
    pub(super) fn declared(&self, name: &str) -> Option<(&'a Btf, TypeId)> {
        Some((self.btf?, self.declared.get(name)?.ty))
    }

    /// The name of the data section in which a global or external variable or function is.
    pub(super) fn datasec_of(&self, name: &str) -> Option<&'a str> {
        let id = self.declared.get(name)?.datasec?;
        let at = self.datasecs.binary_search_by_key(&id, |(datasec, _)| *datasec).ok()?;
        Some(self.datasecs[at].1)
    }
}

fn is_debug(name: &str) -> bool {
    name.starts_with(".debug_") || matches!(name, ".BTF" | ".BTF.ext")
}

fn role(elf: &Elf<'_>, section: &Section<'_>) -> Result<Role, Problem> {
    let unsupported =
        || Problem::Unsupported { what: format!("section `{}` of type {:#x}", section.name, section.kind) };
    if is_debug(section.name) || matches!(section.kind, 0 | SYMTAB | STRTAB | LLVM_ADDRSIG) {
        return Ok(Role::Dropped);
    }
    if section.is_relocs() {
        let Some(target) = elf.section(section.info) else {
            let what = format!("`{}` relocates a section that does not exist", section.name);
            return Err(Problem::Malformed { what });
        };
        if target.is_relocs() {
            return Err(unsupported());
        }
        return match role(elf, target)? {
            Role::Data if section.kind == REL => Ok(Role::Relocs),
            Role::Data => Err(unsupported()),
            Role::Dropped | Role::Relocs => Ok(Role::Dropped),
        };
    }
    if !section.is_progbits() && !section.is_nobits() {
        return Err(unsupported());
    }
    // Clang writes an empty `.text` into every object.
    let is_empty_text = section.name == ".text" && section.size == 0;
    Ok(if is_empty_text { Role::Dropped } else { Role::Data })
}

type Declarations<'a> = (Vec<(TypeId, &'a str)>, HashMap<&'a str, Declaration>);

/// What the BTF says of symbols.
fn declarations(btf: &Btf) -> Result<Declarations<'_>, Problem> {
    let mut declared: HashMap<&str, Declaration> = HashMap::new();
    let mut datasecs = Vec::new();
    for id in btf.ids() {
        let ty = btf.get(id).map_err(Problem::Btf)?;
        if ty.kind() == Kind::Datasec {
            datasecs.push((id, ty.name().map_err(Problem::Btf)?));
        } else if is_non_static(&ty) {
            declared.insert(ty.name().map_err(Problem::Btf)?, Declaration { ty: id, datasec: None });
        }
    }
    for &(datasec, _) in &datasecs {
        for var in btf.get(datasec).map_err(Problem::Btf)?.vars() {
            let ty = btf.get(var.var).map_err(Problem::Btf)?;
            if !matches!(ty.kind(), Kind::Var | Kind::Func) {
                let what = format!("type {} in a data section is no variable", var.var.0);
                return Err(Problem::Malformed { what });
            }
            if is_non_static(&ty) {
                let name = ty.name().map_err(Problem::Btf)?;
                let found = Declaration { ty: var.var, datasec: Some(datasec) };
                if declared.insert(name, found).is_some_and(|old| old.datasec.is_some()) {
                    let what = format!("`{name}` is in two data sections");
                    return Err(Problem::Malformed { what });
                }
            }
        }
    }
    Ok((datasecs, declared))
}

/// Whether a type is a variable or function that other files see.
pub(super) fn is_non_static(ty: &Type<'_>) -> bool {
    matches!(ty.linkage(), Some(Linkage::Global | Linkage::Extern))
}
