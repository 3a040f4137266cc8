//! Resolves symbols across files.
//!
//! A symbol that one file has and another defines is the definition's, where both give it the same
//! type. Of several weak definitions the first counts, and a definition that is not weak counts
//! before them. Two that are not weak are an error. Hidden anywhere is hidden everywhere.

use std::collections::HashMap;

use super::compat;
use super::input::{EXTERN, Object};
use super::map_def;
use super::sections::{MergedIdx, Sections};
use super::{LinkError, Problem};
use crate::elf::{Binding, Symbol, SymbolIdx, SymbolKind, SymbolPlace};

/// Where a symbol of the result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In none of the files.
    Undefined,
    /// In a section.
    Section(MergedIdx),
    /// Nowhere: a number of its own.
    Absolute(u16),
}

/// A symbol of the result.
#[derive(Clone, Debug)]
pub(super) struct Out<'a> {
    pub(super) name: &'a str,
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) place: Place,
    pub(super) kind: SymbolKind,
    pub(super) binding: Binding,
    pub(super) hidden: bool,
}

/// Index of a symbol of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutIdx(pub(super) usize);

/// A symbol that files share.
pub(super) struct Global {
    pub(super) out: OutIdx,
    /// The file whose symbol counts.
    pub(super) file: usize,
    /// Whether that file defines it.
    pub(super) defined: bool,
    /// The section in which it is, also where only BTF knows it.
    pub(super) section: Option<MergedIdx>,
    /// Whether its definition is weak.
    weak: bool,
}

/// All symbols of the result.
pub(super) struct Symbols<'a> {
    pub(super) out: Vec<Out<'a>>,
    pub(super) globals: HashMap<&'a str, Global>,
    /// What became of the symbols of each file.
    map: Vec<Vec<Option<OutIdx>>>,
    of_sections: HashMap<MergedIdx, OutIdx>,
    /// Types that may still be compared.
    steps: usize,
}

/// Types that are compared before it is taken for too much.
const MAX_STEPS: usize = 1 << 22;

/// Resolves the symbols of all objects.
pub(super) fn resolve<'a>(objects: &[Object<'a>], sections: &Sections<'a>) -> Result<Symbols<'a>, LinkError> {
    let map = objects.iter().map(|object| vec![None; object.elf.symbols.len()]).collect();
    let mut symbols = Symbols {
        out: Vec::new(),
        globals: HashMap::new(),
        map,
        of_sections: HashMap::new(),
        steps: MAX_STEPS,
    };
    for (file, object) in objects.iter().enumerate() {
        for (index, symbol) in object.elf.symbols_with_index() {
            let out = symbols.append(objects, sections, file, symbol)?;
            symbols.map[file][index.index()] = out;
        }
    }
    Ok(symbols)
}

impl<'a> Symbols<'a> {
    /// What became of a file's symbol; none of those in sections that were dropped.
    pub(super) fn mapped(&self, file: usize, index: SymbolIdx) -> Option<OutIdx> {
        self.map[file].get(index.index()).copied().flatten()
    }

    fn push(&mut self, out: Out<'a>) -> OutIdx {
        self.out.push(out);
        OutIdx(self.out.len() - 1)
    }

    fn append(
        &mut self,
        objects: &[Object<'a>],
        sections: &Sections<'a>,
        file: usize,
        symbol: &Symbol<'a>,
    ) -> Result<Option<OutIdx>, LinkError> {
        let object = &objects[file];
        let Some(mut out) = placed(object, sections, file, symbol).map_err(|p| p.of(object.name))? else {
            return Ok(None);
        };
        match symbol.binding {
            Binding::Local => {}
            Binding::Global | Binding::Weak => {
                return self.append_global(objects, sections, file, out).map(Some);
            }
            Binding::Other(number) => {
                let what = format!("binding {number} of symbol `{}`", symbol.name);
                return Err(Problem::Unsupported { what }.of(object.name));
            }
        }
        let Place::Section(section) = out.place else { return Ok(Some(self.push(out))) };
        if symbol.kind != SymbolKind::Section {
            return Ok(Some(self.push(out)));
        }
        out.value = 0;
        if let Some(&known) = self.of_sections.get(&section) {
            return Ok(Some(known));
        }
        let index = self.push(out);
        self.of_sections.insert(section, index);
        Ok(Some(index))
    }

    fn append_global(
        &mut self,
        objects: &[Object<'a>],
        sections: &Sections<'a>,
        file: usize,
        out: Out<'a>,
    ) -> Result<OutIdx, LinkError> {
        let object = &objects[file];
        let name = out.name;
        let defined = out.place != Place::Undefined;
        if !defined && object.declared(name).is_none() {
            return Err(Problem::NoType { symbol: name.to_owned() }.of(object.name));
        }
        let section = match out.place {
            Place::Section(section) => Some(section),
            Place::Undefined => declared_section(object, sections, name),
            Place::Absolute(_) => None,
        };
        let weak = out.binding == Binding::Weak;
        let Some(known) = self.globals.get_mut(name) else {
            let index = self.push(out);
            self.globals.insert(name, Global { out: index, file, defined, section, weak });
            return Ok(index);
        };
        let other = &objects[known.file];
        if defined && known.defined && !known.weak && !weak {
            return Err(Problem::Duplicate { symbol: name.to_owned() }.between(object.name, other.name));
        }
        // A definition may move to the section of the one that counts before it.
        let must_agree = section.filter(|_| !(defined && known.defined));
        check(other, object, sections, known, must_agree, name, &mut self.steps)?;
        let old = &mut self.out[known.out.0];
        if !weak {
            old.binding = Binding::Global;
        }
        old.hidden |= out.hidden;
        let wins = defined && (!known.defined || (known.weak && !weak));
        if wins {
            (known.file, known.defined, known.section, known.weak) = (file, true, section, weak);
            *old = Out { binding: old.binding, hidden: old.hidden, ..out };
        }
        Ok(known.out)
    }
}

/// Whether a file means by a symbol what the one before it does.
fn check(
    other: &Object<'_>,
    object: &Object<'_>,
    sections: &Sections<'_>,
    known: &Global,
    section: Option<MergedIdx>,
    name: &str,
    steps: &mut usize,
) -> Result<(), LinkError> {
    let between = |problem: Problem| problem.between(object.name, other.name);
    let no_type = |object: &Object<'_>| Problem::NoType { symbol: name.to_owned() }.of(object.name);
    let found = object.declared(name).ok_or_else(|| no_type(object))?;
    let expected = other.declared(name).ok_or_else(|| no_type(other))?;
    if let (Some(found), Some(expected)) = (section, known.section)
        && found != expected
    {
        let [found, expected] = [found, expected].map(|index| sections.get(index).name.to_owned());
        return Err(between(Problem::WrongSection { symbol: name.to_owned(), found, expected }));
    }
    let is_map = known.section.or(section).is_some_and(|index| sections.get(index).name == ".maps");
    let same = match is_map {
        true => map_def::compare(expected, found, steps),
        false => compat::compare(expected, found, steps),
    };
    same.map_err(|what| between(Problem::Incompatible { symbol: name.to_owned(), what }))
}

/// The section in which BTF says that an external symbol is.
fn declared_section(object: &Object<'_>, sections: &Sections<'_>, name: &str) -> Option<MergedIdx> {
    let datasec = object.datasec_of(name)?;
    sections.named(datasec).filter(|_| datasec != EXTERN)
}

/// A symbol at its place in the result; none of a section that was dropped.
fn placed<'a>(
    object: &Object<'a>,
    sections: &Sections<'a>,
    file: usize,
    symbol: &Symbol<'a>,
) -> Result<Option<Out<'a>>, Problem> {
    let malformed = |what: &str| Problem::Malformed { what: format!("symbol `{}` {what}", symbol.name) };
    let (place, value) = match symbol.place {
        SymbolPlace::Undefined => {
            let plain = symbol.kind == SymbolKind::NoType && symbol.value == 0 && symbol.size == 0;
            if !plain || symbol.binding == Binding::Local {
                return Err(malformed("is external, but has a type, value or size, or is local"));
            }
            (Place::Undefined, 0)
        }
        SymbolPlace::Special(object::elf::SHN_ABS) => (Place::Absolute(object::elf::SHN_ABS), symbol.value),
        SymbolPlace::Special(_) => {
            return Err(Problem::Unsupported { what: format!("common symbol `{}`", symbol.name) });
        }
        SymbolPlace::Section(index) => {
            if object.elf.section(index).is_none() {
                return Err(malformed("is in a section that does not exist"));
            }
            let Some(part) = sections.part(file, index) else { return Ok(None) };
            let value = symbol.value.checked_add(part.offset).ok_or_else(|| malformed("is out of bounds"))?;
            (Place::Section(part.section), value)
        }
    };
    let kind = match symbol.kind {
        SymbolKind::Other(number) => {
            return Err(Problem::Unsupported { what: format!("type {number} of symbol `{}`", symbol.name) });
        }
        kind @ (SymbolKind::NoType
        | SymbolKind::Object
        | SymbolKind::Func
        | SymbolKind::Section
        | SymbolKind::File) => kind,
    };
    let (name, size) = (symbol.name, symbol.size);
    Ok(Some(Out { name, value, size, place, kind, binding: symbol.binding, hidden: symbol.hidden }))
}
