//! Which externs an object has: undefined symbols, with what BTF says of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{ConfigType, Extern, ExternKind, Missing, Resolution};
use crate::btf::{Btf, BtfError, Kind, Linkage, Type, TypeId};
use crate::elf::{Binding, Symbol, SymbolIdx, SymbolKind, SymbolPlace};
use crate::program::source::Source;
use crate::program::{LoadError, Problem};

/// Most bytes of names of externs: many symbols may share one long name, but each gets a copy.
const MAX_NAMES: usize = 1 << 20;

/// An extern on its way.
pub(super) struct Found {
    pub(super) symbol: SymbolIdx,
    pub(super) external: Extern,
    /// The type behind the variable or function, without qualifiers; `void` of untyped symbols.
    pub(super) ty: TypeId,
}

/// The sections of BTF that hold externs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Config,
    Symbols,
}

/// All externs in libbpf's order: configuration values from the most aligned to the least and then
/// by size, then kernel symbols; by name where that leaves a choice.
pub(super) fn collect(source: &Source<'_>) -> Result<Vec<Found>, LoadError> {
    let sections = sections(source);
    let declarations = declarations(source);
    let mut names = 0;
    let mut found: Vec<Found> = Vec::new();
    for (index, symbol) in source.elf.symbols_with_index().filter(|(_, symbol)| is_extern(symbol)) {
        names += symbol.name.len();
        if names > MAX_NAMES {
            let (found, limit) = (names as u64, MAX_NAMES as u64);
            return Err(Problem::Limit { what: "bytes of names of externs", found, limit }
                .somewhere()
                .of(symbol.name));
        }
        found.push(describe(source, &sections, &declarations, index, symbol));
    }
    found.sort_by(|a, b| order(&a.external).cmp(&order(&b.external)));
    Ok(found)
}

fn order(external: &Extern) -> (u8, std::cmp::Reverse<u32>, u32, &str) {
    let (group, align, size) = match external.kind {
        ExternKind::Unknown => (0, 0, 0),
        ExternKind::Config { ty, size, .. } => (1, align(ty, size), size),
        ExternKind::Variable | ExternKind::Symbol | ExternKind::Function => (2, 0, 0),
    };
    (group, std::cmp::Reverse(align), size, &external.name)
}

/// Bytes to which a configuration value is aligned.
pub(super) fn align(ty: ConfigType, size: u32) -> u32 {
    match ty {
        ConfigType::Char { .. } | ConfigType::Bool | ConfigType::String => 1,
        ConfigType::Int { .. } | ConfigType::Tristate => size,
    }
}

/// libbpf's externs: undefined symbols that are visible outside and have no type.
fn is_extern(symbol: &Symbol<'_>) -> bool {
    symbol.place == SymbolPlace::Undefined
        && matches!(symbol.binding, Binding::Global | Binding::Weak)
        && symbol.kind == SymbolKind::NoType
        && !symbol.name.is_empty()
}

/// Variables and functions of the sections that hold externs.
fn sections(source: &Source<'_>) -> BTreeMap<TypeId, Section> {
    let mut sections = BTreeMap::new();
    for (name, section) in [(".kconfig", Section::Config), (".ksyms", Section::Symbols)] {
        for var in source.datasec(name).iter().flat_map(Type::vars) {
            sections.entry(var.var).or_insert(section);
        }
    }
    sections
}

fn describe(
    source: &Source<'_>,
    sections: &BTreeMap<TypeId, Section>,
    declarations: &BTreeMap<&str, TypeId>,
    symbol_idx: SymbolIdx,
    symbol: &Symbol<'_>,
) -> Found {
    let mut found = Found {
        symbol: symbol_idx,
        external: Extern {
            name: symbol.name.to_owned(),
            kind: ExternKind::Unknown,
            ty: None,
            weak: symbol.binding == Binding::Weak,
            resolution: Resolution::Absent,
        },
        ty: TypeId::VOID,
    };
    let described = match source.btf.as_deref() {
        Some(btf) => declaration(btf, declarations.get(symbol.name).copied()).and_then(|ty| {
            found.external.ty = Some(ty.id());
            let section = sections.get(&ty.id()).ok_or("it is neither in `.kconfig` nor in `.ksyms`")?;
            kind(btf, &ty, *section)
        }),
        None => Err("the object has no BTF that would say what it is"),
    };
    match described {
        Ok((kind, ty)) => (found.external.kind, found.ty) = (kind, ty),
        Err(reason) => {
            let reason = format!("the object does not define it, and {reason}");
            found.external.resolution = Missing::certainly(reason);
        }
    }
    found
}

/// The first variable or function of each extern's name. One walk over all types: many externs, and
/// many types beside the one that is meant, may share a name.
fn declarations<'s>(source: &'s Source<'_>) -> BTreeMap<&'s str, TypeId> {
    let Some(btf) = source.btf.as_deref() else { return BTreeMap::new() };
    let externs = source.elf.symbols_with_index().filter(|(_, symbol)| is_extern(symbol));
    let wanted: BTreeSet<&str> = externs.map(|(_, symbol)| symbol.name).collect();
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for id in btf.ids() {
        let Ok(ty) = btf.get(id) else { continue };
        if matches!(ty.kind(), Kind::Var | Kind::Func)
            && let Ok(name) = ty.name()
            && wanted.contains(name)
        {
            found.entry(name).or_insert(id);
        }
    }
    found
}

/// A variable or function, which must be an extern.
fn declaration(btf: &Btf, id: Option<TypeId>) -> Result<Type<'_>, &'static str> {
    match id.and_then(|id| btf.get(id).ok()) {
        None => Err("BTF does not declare it"),
        Some(ty) if ty.linkage() != Some(Linkage::Extern) => Err("BTF does not call it an extern"),
        Some(ty) => Ok(ty),
    }
}

/// What a declaration is, and the type behind it.
fn kind(btf: &Btf, ty: &Type<'_>, section: Section) -> Result<(ExternKind, TypeId), &'static str> {
    let unreadable = |_: BtfError| "its type cannot be read";
    let behind = btf.unqualified(ty.referenced()).map_err(unreadable)?;
    let kind = match (section, ty.kind() == Kind::Func) {
        (Section::Config, true) => return Err("`.kconfig` has no functions"),
        (Section::Config, false) => {
            let config = config_type(btf, &behind).map_err(unreadable)?;
            let ty = config.ok_or("no configuration value has its type")?;
            let size = btf.size_of(behind.id()).map_err(unreadable)?;
            ExternKind::Config { ty, offset: 0, size }
        }
        (Section::Symbols, true) => ExternKind::Function,
        (Section::Symbols, false) if behind.kind() == Kind::Void => ExternKind::Symbol,
        (Section::Symbols, false) => ExternKind::Variable,
    };
    Ok((kind, behind.id()))
}

/// The types that libbpf takes for configuration values.
fn config_type(btf: &Btf, ty: &Type<'_>) -> Result<Option<ConfigType>, BtfError> {
    if let Some(int) = ty.int() {
        let signed = int.signed;
        return Ok(match ty.size() {
            1 if int.bool => Some(ConfigType::Bool),
            _ if int.bool => None,
            1 => Some(ConfigType::Char { signed }),
            2 | 4 | 8 => Some(ConfigType::Int { signed }),
            _ => None,
        });
    }
    if matches!(ty.kind(), Kind::Enum | Kind::Enum64) {
        let named = ty.name()? == "libbpf_tristate";
        let fits = matches!((ty.kind(), ty.size()), (Kind::Enum, 4) | (Kind::Enum64, 4 | 8));
        return Ok((named && fits).then_some(ConfigType::Tristate));
    }
    let Some(array) = ty.array().filter(|array| array.len > 0) else { return Ok(None) };
    let element = btf.unqualified(array.element)?;
    let is_char = element.size() == 1 && element.int().is_some_and(|int| !int.bool);
    Ok(is_char.then_some(ConfigType::String))
}
