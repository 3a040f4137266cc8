//! Structures of callbacks that go to the kernel: the sections `.struct_ops` and `.struct_ops.link`.
//!
//! Each variable is a map of one value. Its pointers to functions name programs by relocations; the
//! other members are values. For a kernel, the value is laid out anew as its types say: members are
//! matched by name, and those that it does not know must be zero. What libbpf refuses then is kept
//! with the map ([`StructOpsKernel::Refused`]), since it concerns only the programs of that map.

use std::collections::BTreeMap;

use super::{Maps, Places, STRUCT_OPS};
use crate::btf::{Btf, BtfError, Kind, Member, Type, essential_name};
use crate::diag::{Code, Diagnostic};
use crate::elf::{Section, SectionIdx, SymbolKind, reloc_kind};
use crate::program::source::{Source, btf_error, data};
use crate::program::{
    Kernel, KernelTypes, LoadError, MapDef, MapType, Problem, Program, StructOps, StructOpsKernel,
    StructOpsProgram, StructOpsSlot,
};

/// `BPF_F_LINK`: the map is attached by a link.
const F_LINK: u32 = 1 << 13;

/// Most bytes of all structures of an object as the kernel has them.
const MAX_KERNEL_VALUES: u64 = 4 << 20;

/// Whether a section holds such structures.
pub(in crate::program) fn is_struct_ops(section: &Section<'_>) -> bool {
    let name = section.name.strip_prefix('?').unwrap_or(section.name);
    section.is_progbits() && matches!(name, ".struct_ops" | ".struct_ops.link")
}

impl Maps {
    /// Adds the maps of all sections. `kernel` is what the object is loaded for.
    pub(in crate::program) fn add_struct_ops(
        &mut self,
        source: &Source<'_>,
        kernel: &KernelTypes,
    ) -> Result<(), LoadError> {
        for (index, section) in source.elf.sections_with_index().filter(|(_, s)| is_struct_ops(s)) {
            if section.size > 0 {
                self.add_struct_ops_section(source, index, section, kernel)?;
            }
        }
        Ok(())
    }

    fn add_struct_ops_section(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
        kernel: &KernelTypes,
    ) -> Result<(), LoadError> {
        let missing = |what| Problem::Missing { what }.in_section(section.name);
        let what = "the BTF of its structures";
        let btf = source.btf.as_deref().ok_or_else(|| missing(what))?;
        let datasec = source.datasec(section.name).ok_or_else(|| missing(what))?;
        let bytes = data(section)?;
        let places = Places::of(source, index, &datasec);
        let programs = programs(source, index, section)?;
        let mut vars = Vec::with_capacity(datasec.len());
        for in_section in datasec.vars() {
            let var = btf.get(in_section.var).map_err(|e| btf_error(&e, section.name))?;
            let name = var.name().map_err(|e| btf_error(&e, section.name))?;
            let start = places.offset(&var, &in_section);
            vars.push((start.ok_or_else(|| missing("the symbol of a structure").of(name))?, var, name));
        }
        vars.sort_by_key(|(start, ..)| *start);
        let (mut last, mut used) = (0, 0);
        for (start, var, name) in vars {
            let at = |error: LoadError| error.in_section(section.name).at(start).of(name);
            let ty = structure(btf, &var).map_err(at)?;
            let end = start.saturating_add(ty.size().into());
            let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            let initial = range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| {
                let (what, limit) = ("the end of a structure", bytes.len() as u64 + 1);
                at(Problem::OutOfBounds { what, found: end, end: limit }.somewhere())
            })?;
            if start < last {
                return Err(at(malformed("it overlaps with another")));
            }
            last = end;
            let members = member_programs(btf, &ty, programs.range(start..end), start).map_err(at)?;
            used += members.len();
            for member in &members {
                self.names.spend(member.member.len(), &member.member)?;
                self.names.spend(member.program.len(), &member.program)?;
            }
            let mut map = MapDef::new(name, MapType::from_number(STRUCT_OPS), 4, ty.size(), 1);
            map.flags = if section.name.ends_with(".link") { F_LINK } else { 0 };
            map.autocreate = !section.name.starts_with('?');
            map.value_type = Some(ty.id());
            let kernel = self.kernel_value(kernel, btf, &ty, initial, &members);
            if let StructOpsKernel::Known { value, .. } = &kernel {
                map.value_size = u32::try_from(value.len()).expect("limited");
            }
            let type_name = ty.name().map_err(|e| at(btf_error(&e, section.name)))?;
            let name = essential_name(type_name).to_owned();
            let (ty, initial) = (ty.id(), initial.into());
            map.struct_ops = Some(StructOps { ty, name, initial, programs: members, kernel });
            self.push(map)?;
        }
        if used < programs.len() {
            return Err(missing("the structure that a relocation initialises"));
        }
        Ok(())
    }

    fn kernel_value(
        &mut self,
        kernel: &KernelTypes,
        btf: &Btf,
        ty: &Type<'_>,
        initial: &[u8],
        members: &[StructOpsProgram],
    ) -> StructOpsKernel {
        let KernelTypes::Kernel(kernel) = kernel else { return StructOpsKernel::None };
        let value = InKernel::find(kernel, ty).and_then(|found| {
            let size = u64::from(found.value_type.size());
            self.kernel_values = self.kernel_values.saturating_add(size);
            if self.kernel_values > MAX_KERNEL_VALUES {
                return Err(format!("the kernel's structures have more than {MAX_KERNEL_VALUES} bytes"));
            }
            found.value(btf, ty, initial, members)
        });
        value.unwrap_or_else(StructOpsKernel::Refused)
    }
}

/// The structure that is a variable's type.
fn structure<'b>(btf: &'b Btf, var: &Type<'_>) -> Result<Type<'b>, LoadError> {
    let ty = btf.unqualified(var.referenced()).map_err(|e| btf_error(&e, ".BTF"))?;
    let name = ty.name().map_err(|e| btf_error(&e, ".BTF"))?;
    if var.kind() != Kind::Var || ty.kind() != Kind::Struct || name.is_empty() {
        return Err(malformed("its type is not a structure with a name"));
    }
    // Work grows with members, which so grow with the bytes of the section.
    if ty.len() as u64 > 8 * u64::from(ty.size()) {
        return Err(malformed("its structure has more members than bits"));
    }
    Ok(ty)
}

fn malformed(reason: &str) -> LoadError {
    Problem::Malformed { what: "struct_ops definition", reason: reason.to_owned() }.somewhere()
}

/// The programs that relocations of the section name, by offset.
fn programs<'a>(
    source: &Source<'a>,
    index: SectionIdx,
    section: &Section<'_>,
) -> Result<BTreeMap<u64, &'a str>, LoadError> {
    let mut functions: BTreeMap<(SectionIdx, u64), &'a str> = BTreeMap::new();
    let mut programs = BTreeMap::new();
    let relocs = source.relocs_of(index).iter().filter(|reloc| reloc.kind != reloc_kind::NONE);
    for reloc in relocs {
        if functions.is_empty() {
            functions = all_functions(source);
        }
        let at = |problem: Problem| problem.in_section(section.name).at(reloc.offset);
        let symbol = source.elf.symbol(reloc.symbol);
        let place = symbol.and_then(|symbol| Some((symbol.section()?, symbol.value)));
        let program = place.and_then(|place| Some((place, *functions.get(&place)?)));
        let (place, program) = program.ok_or_else(|| {
            let name = symbol.map_or("", |symbol| symbol.name);
            at(Problem::Missing { what: "the program of a member" }).of(name)
        })?;
        let of = source.section_name(place.0);
        let of = of.strip_prefix('?').unwrap_or(of);
        let stem = of.split_once('/').map_or(of, |(stem, _)| stem);
        if !matches!(stem, "struct_ops" | "struct_ops.s") {
            let reason = format!("`{program}` in section `{of}` is no struct_ops program");
            return Err(at(Problem::Malformed { what: "struct_ops definition", reason }));
        }
        programs.insert(reloc.offset, program);
    }
    Ok(programs)
}

fn all_functions<'a>(source: &Source<'a>) -> BTreeMap<(SectionIdx, u64), &'a str> {
    let symbols = source.elf.symbols.iter().filter(|symbol| symbol.kind == SymbolKind::Func);
    symbols.filter_map(|symbol| Some(((symbol.section()?, symbol.value), symbol.name))).collect()
}

/// The members that are programs. Each must be a pointer to a function.
fn member_programs<'a>(
    btf: &Btf,
    ty: &Type<'_>,
    programs: impl Iterator<Item = (&'a u64, &'a &'a str)>,
    start: u64,
) -> Result<Vec<StructOpsProgram>, LoadError> {
    let btf_error = |error: BtfError| btf_error(&error, ".BTF");
    let mut programs = programs.map(|(offset, program)| (offset - start, *program)).peekable();
    if programs.peek().is_none() {
        return Ok(Vec::new());
    }
    let members: BTreeMap<u64, Member> = ty.members().map(|m| (m.bit_offset.into(), m)).collect();
    let mut found = Vec::new();
    for (offset, program) in programs {
        let member = members.get(&offset.saturating_mul(8));
        let member = member.ok_or_else(|| malformed(&format!("no member is at its offset {offset}")))?;
        let name = btf.str(member.name).map_err(btf_error)?;
        let pointer = btf.unqualified(member.ty).map_err(btf_error)?;
        let is_function = pointer.kind() == Kind::Ptr
            && btf.unqualified(pointer.referenced()).map_err(btf_error)?.kind() == Kind::FuncProto;
        if !is_function {
            return Err(malformed(&format!("its member `{name}` is not a pointer to a function")));
        }
        let (member, offset) = (name.to_owned(), member.bit_offset / 8);
        found.push(StructOpsProgram { member, offset, program: program.to_owned() });
    }
    Ok(found)
}

/// A structure as a kernel has it.
struct InKernel<'k> {
    module: Option<&'k String>,
    btf: &'k Btf,
    /// `struct bpf_struct_ops_NAME`
    value_type: Type<'k>,
    /// Offset in bytes of `struct NAME` in it.
    data_offset: u32,
    /// `struct NAME`
    ty: Type<'k>,
}

impl<'k> InKernel<'k> {
    fn find(kernel: &'k Kernel, own: &Type<'_>) -> Result<Self, String> {
        let name = essential_name(own.name().map_err(|e| e.to_string())?);
        let wrapper = format!("bpf_struct_ops_{name}");
        let find = |btf: &'k Btf, name: &str| btf.get(btf.find(Kind::Struct, name)?).ok();
        let modules = kernel.modules.iter().map(|(module, btf)| (Some(module), btf));
        let mut all = std::iter::once((None, &kernel.vmlinux)).chain(modules);
        let found = all.find_map(|(module, btf)| Some((module, btf, find(btf, &wrapper)?)));
        let (module, btf, value_type) =
            found.ok_or_else(|| format!("the kernel has no `struct {wrapper}`"))?;
        let ty = find(btf, name).ok_or_else(|| format!("the kernel has no `struct {name}`"))?;
        let data = value_type.members().find(|member| member.ty == ty.id());
        let data = data.ok_or_else(|| format!("the kernel's `struct {wrapper}` has no `struct {name}`"))?;
        Ok(Self { module, btf, value_type, data_offset: data.bit_offset / 8, ty })
    }

    /// Lays a structure out as the kernel has it, or says why that is not possible.
    fn value(
        &self,
        btf: &Btf,
        own: &Type<'_>,
        initial: &[u8],
        programs: &[StructOpsProgram],
    ) -> Result<StructOpsKernel, String> {
        let error = |error: BtfError| error.to_string();
        let mut members: BTreeMap<&str, (u32, Member)> = BTreeMap::new();
        for (index, member) in (0..).zip(self.ty.members()) {
            members.entry(self.btf.str(member.name).map_err(error)?).or_insert((index, member));
        }
        let by_offset: BTreeMap<u32, usize> = programs.iter().map(|p| p.offset).zip(0..).collect();
        let mut slots = vec![(0, 0); programs.len()];
        let mut value = vec![0; self.value_type.size() as usize];
        for member in own.members() {
            let name = btf.str(member.name).map_err(error)?;
            let size = btf.size_of(member.ty).map_err(error)? as usize;
            let start = member.bit_offset as usize / 8;
            let bytes = start.checked_add(size).and_then(|end| initial.get(start..end));
            let bytes = bytes.ok_or_else(|| format!("member `{name}` lies outside of its structure"))?;
            let program = by_offset.get(&(member.bit_offset / 8)).copied();
            let Some((index, known)) = members.get(name) else {
                if program.is_some() || bytes.iter().any(|&byte| byte != 0) {
                    return Err(format!("the kernel's structure has no member `{name}`"));
                }
                continue;
            };
            let start = self.data_offset.saturating_add(known.bit_offset / 8);
            if self.is_pointer(btf, name, &member, known, program.is_some())? {
                if let Some(program) = program {
                    slots[program] = (start, *index);
                }
                continue;
            }
            let place = (start as usize).checked_add(size);
            let place = place.and_then(|end| value.get_mut(start as usize..end));
            place
                .ok_or_else(|| format!("the kernel's member `{name}` lies outside of its structure"))?
                .copy_from_slice(bytes);
        }
        Ok(StructOpsKernel::Known {
            module: self.module.cloned(),
            ty: self.ty.id(),
            value_type: self.value_type.id(),
            value: value.into(),
            programs: slots,
        })
    }

    /// Whether a member is a pointer, here and there; or why the two do not match.
    fn is_pointer(
        &self,
        btf: &Btf,
        name: &str,
        own: &Member,
        known: &Member,
        program: bool,
    ) -> Result<bool, String> {
        let error = |error: BtfError| error.to_string();
        if own.bit_size != 0 || known.bit_size != 0 {
            return Err(format!("member `{name}` is a bit field"));
        }
        let known_ty = self.btf.unqualified(known.ty).map_err(error)?;
        let own_ty = btf.unqualified(own.ty).map_err(error)?;
        let (own_kind, known_kind) = (own_ty.kind(), known_ty.kind());
        if own_kind != known_kind {
            return Err(format!("member `{name}` is of the kind {own_kind:?}, in the kernel {known_kind:?}"));
        }
        if own_kind == Kind::Ptr {
            let pointee = if program { Some(known_ty.referenced()) } else { None };
            let pointee = pointee.map(|id| self.btf.unqualified(id)).transpose().map_err(error)?;
            return match pointee {
                Some(pointee) if pointee.kind() != Kind::FuncProto => {
                    Err(format!("the kernel's member `{name}` is not a pointer to a function"))
                }
                _ => Ok(true),
            };
        }
        let size = btf.size_of(own_ty.id()).map_err(error)?;
        let known_size = self.btf.size_of(known_ty.id()).map_err(error)?;
        if size != known_size {
            return Err(format!("member `{name}` has {size} bytes, in the kernel {known_size}"));
        }
        Ok(false)
    }
}

/// What the maps say of a program.
struct Use<'a> {
    slot: StructOpsSlot,
    autoload: bool,
    /// Why libbpf would refuse a map that has it.
    refused: Option<(&'a str, &'a str)>,
}

/// Tells programs which member of which structure they are, and as libbpf does, whether they are
/// loaded: where maps have them, only with one of those maps.
pub(in crate::program) fn assign_programs(defs: &[MapDef], programs: &mut [Program]) {
    let mut uses: BTreeMap<&str, Use<'_>> = BTreeMap::new();
    for (map, ops) in defs.iter().filter_map(|map| Some((map, map.struct_ops.as_ref()?))) {
        for (index, member) in ops.programs.iter().enumerate() {
            let (kernel, refused) = match &ops.kernel {
                StructOpsKernel::Known { ty, programs, .. } => {
                    (programs.get(index).map(|&(_, index)| (*ty, index)), None)
                }
                StructOpsKernel::None => (None, None),
                StructOpsKernel::Refused(reason) => (None, Some((map.name.as_str(), reason.as_str()))),
            };
            let slot = StructOpsSlot { ops: ops.name.clone(), member: member.member.clone(), kernel };
            let used = uses.entry(&member.program).or_insert(Use { slot, autoload: false, refused: None });
            used.autoload |= map.autocreate;
            used.refused = used.refused.or(refused.filter(|_| map.autocreate));
        }
    }
    for program in programs {
        let Some(used) = uses.remove(program.name.as_str()) else { continue };
        program.struct_ops = Some(used.slot);
        program.autoload = used.autoload;
        if let Some((map, reason)) = used.refused {
            let message = format!("struct_ops map `{map}` cannot be made: {reason}");
            program.findings.insert(0, Diagnostic::program(Code::MapDefinition, message));
        }
    }
}
