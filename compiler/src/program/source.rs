//! An object's parts, read but not yet linked.
//!
//! Relocations and the records of `.BTF.ext` are sorted by the section to which they belong, so
//! that everything that follows finds them by binary search.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::budget::Budget;
use super::{LoadError, Place, Problem};
use crate::btf::{Btf, BtfError, CoreRelo, Ext, FuncInfo, Kind, LineInfo, SectionRecords, Type, TypeId};
use crate::elf::{Elf, ElfError, Reloc, Section, SectionIdx, Symbol, SymbolIdx};

/// An object's parts.
pub(super) struct Source<'a> {
    /// Bytes of the file.
    pub(super) len: usize,
    pub(super) elf: Elf<'a>,
    pub(super) btf: Option<Arc<Btf>>,
    /// `.text`, where it has instructions.
    pub(super) text: Option<SectionIdx>,
    /// Whether relocations against named symbols have the symbol's value in place too.
    pub(super) values_in_place: bool,
    /// Relocations by the section to which they apply, sorted by offset.
    pub(super) relocs: BTreeMap<SectionIdx, Vec<Reloc>>,
    /// Symbols by the section in which they are, in the order of the table.
    symbols: BTreeMap<SectionIdx, Vec<SymbolIdx>>,
    /// Data sections of the BTF by name.
    datasecs: BTreeMap<String, TypeId>,
    /// Names of declaration tags by type and index of the parameter.
    pub(super) tags: BTreeMap<(TypeId, i32), Vec<String>>,
    /// The functions that handle exceptions by the name of the program's main function.
    pub(super) exception_callbacks: BTreeMap<String, Vec<String>>,
    /// Functions' types by section name, sorted by offset.
    pub(super) funcs: BTreeMap<String, Vec<FuncInfo>>,
    /// Source lines by section name, sorted by offset.
    pub(super) lines: BTreeMap<String, Arc<Vec<LineInfo>>>,
    /// CO-RE relocations in the order of the file.
    pub(super) core_relos: Vec<SectionRecords<CoreRelo>>,
}

impl<'a> Source<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let elf = Elf::parse(bytes)?;
        let btf = match elf.section_by_name(".BTF") {
            Some((_, section)) => Some(Btf::parse(data(section)?).map_err(|e| btf_error(&e, ".BTF"))?),
            None => None,
        };
        let ext = match (&btf, elf.section_by_name(".BTF.ext")) {
            (Some(_), Some((_, section))) => {
                Ext::parse(data(section)?).map_err(|e| btf_error(&e, ".BTF.ext"))?
            }
            _ => Ext::default(),
        };
        let text = elf.section_by_name(".text").filter(|(_, s)| s.is_executable()).map(|(index, _)| index);
        let mut relocs: BTreeMap<SectionIdx, Vec<Reloc>> = BTreeMap::new();
        for (_, section) in elf.sections_with_index().filter(|(_, section)| section.is_relocs()) {
            if !elf.section(section.info).is_some_and(is_relocated) {
                continue;
            }
            let entries = elf.relocs(section).map_err(|e| LoadError::from(e).in_section(section.name))?;
            relocs.entry(section.info).or_default().extend(entries);
        }
        // Each section's were sorted, but several may apply to one.
        relocs.values_mut().for_each(|entries| entries.sort_by_key(|entry| entry.offset));
        let mut symbols: BTreeMap<SectionIdx, Vec<SymbolIdx>> = BTreeMap::new();
        for (index, symbol) in elf.symbols_with_index() {
            if let Some(section) = symbol.section() {
                symbols.entry(section).or_default().push(index);
            }
        }
        let names = &mut Budget::of_names("bytes of names of sections and tags in BTF");
        let (tags, exception_callbacks) =
            btf.as_ref().map_or(Ok(Default::default()), |btf| tags(btf, names))?;
        let mut source = Self {
            len: bytes.len(),
            values_in_place: false,
            symbols,
            datasecs: btf.as_ref().map_or(Ok(BTreeMap::new()), |btf| datasecs(btf, names))?,
            tags,
            exception_callbacks,
            funcs: by_section(btf.as_ref(), ext.funcs, names, |f| f.insn_off)?,
            lines: by_section(btf.as_ref(), ext.lines, names, |l| l.insn_off)?
                .into_iter()
                .map(|(section, lines)| (section, Arc::new(lines)))
                .collect(),
            core_relos: ext.core_relos,
            btf: btf.map(Arc::new),
            elf,
            text,
            relocs,
        };
        source.values_in_place = super::gnu::has_values_in_place(&source);
        Ok(source)
    }

    /// The relocations of a section.
    pub(super) fn relocs_of(&self, section: SectionIdx) -> &[Reloc] {
        self.relocs.get(&section).map_or(&[], Vec::as_slice)
    }

    /// The symbols in a section.
    pub(super) fn symbols_in(&self, section: SectionIdx) -> impl Iterator<Item = &Symbol<'a>> {
        let indices = self.symbols.get(&section).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|&index| self.elf.symbol(index))
    }

    /// The BTF of a section's variables.
    pub(super) fn datasec(&self, section: &str) -> Option<Type<'_>> {
        let btf = self.btf.as_deref()?;
        self.datasecs.get(section).and_then(|&id| btf.get(id).ok())
    }

    /// Name of a section, for messages.
    pub(super) fn section_name(&self, index: SectionIdx) -> &'a str {
        self.elf.section(index).map_or("", |section| section.name)
    }
}

/// Sections whose relocations mean something at load time, as to libbpf: code and definitions of
/// maps, but neither global data nor debug information nor BTF.
fn is_relocated(section: &Section<'_>) -> bool {
    section.is_executable() || section.name == ".maps" || super::maps::is_struct_ops(section)
}

/// A section's bytes.
pub(super) fn data<'a>(section: &Section<'a>) -> Result<&'a [u8], LoadError> {
    section.data().map_err(|e| LoadError::from(e).in_section(section.name))
}

/// BTF that cannot be read, as a problem of a section.
pub(super) fn btf_error(error: &BtfError, section: &str) -> LoadError {
    Problem::Malformed { what: "BTF", reason: error.to_string() }.in_section(section)
}

/// The data sections of a BTF by name. As in libbpf, the first of a name counts.
fn datasecs(btf: &Btf, names: &mut Budget) -> Result<BTreeMap<String, TypeId>, LoadError> {
    let mut sections = BTreeMap::new();
    for id in btf.ids() {
        let ty = btf.get(id).map_err(|e| btf_error(&e, ".BTF"))?;
        if ty.kind() == Kind::Datasec {
            let name = ty.name().map_err(|e| btf_error(&e, ".BTF"))?;
            if !sections.contains_key(name) {
                sections.insert(names.copy(name)?, id);
            }
        }
    }
    Ok(sections)
}

/// Tags of parameters by function and index, and exception callbacks by main function.
type Tags = (BTreeMap<(TypeId, i32), Vec<String>>, BTreeMap<String, Vec<String>>);

/// The `arg:` tags of functions' parameters, and the `exception_callback:` tags of functions.
fn tags(btf: &Btf, names: &mut Budget) -> Result<Tags, LoadError> {
    let error = |e| btf_error(&e, ".BTF");
    let (mut args, mut callbacks) = Tags::default();
    for id in btf.ids() {
        let ty = btf.get(id).map_err(error)?;
        let Some(component) = ty.component() else { continue };
        let name = ty.name().map_err(error)?;
        if name.starts_with("arg:") {
            // Two mean nothing together, and more do not either.
            let known = args.entry((ty.referenced(), component)).or_default();
            if known.len() < 2 {
                known.push(names.copy(name)?);
            }
        } else if let Some(callback) = name.strip_prefix("exception_callback:")
            && component == -1
        {
            let main = btf.get(ty.referenced()).and_then(|func| func.name()).map_err(error)?;
            callbacks.entry(names.copy(main)?).or_default().push(names.copy(callback)?);
        }
    }
    Ok((args, callbacks))
}

/// Groups records by the name of their section, sorted by offset.
fn by_section<T>(
    btf: Option<&Btf>,
    tables: Vec<SectionRecords<T>>,
    names: &mut Budget,
    offset: impl Fn(&T) -> u32,
) -> Result<BTreeMap<String, Vec<T>>, LoadError> {
    let mut sections: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for table in tables {
        let name = btf.map_or(Ok(""), |btf| btf.str(table.section)).map_err(|e| btf_error(&e, ".BTF.ext"))?;
        if let Some(records) = sections.get_mut(name) {
            records.extend(table.records);
        } else {
            sections.insert(names.copy(name)?, table.records);
        }
    }
    for records in sections.values_mut() {
        records.sort_by_key(&offset);
    }
    Ok(sections)
}

impl From<ElfError> for LoadError {
    fn from(error: ElfError) -> Self {
        let problem = match error {
            ElfError::NotElf => Problem::NotElf,
            ElfError::WrongTarget { what, found, expected } => {
                Problem::WrongTarget { what, found: found.into(), expected: expected.into() }
            }
            ElfError::Malformed { what, reason } => Problem::Malformed { what, reason },
        };
        Self { place: Place::default(), problem }
    }
}
