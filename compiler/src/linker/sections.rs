//! Puts sections of one name behind each other.

use std::collections::HashMap;

use super::input::{EXTERN, Object, Role};
use super::{LinkError, Problem};
use crate::elf::{Section, SectionIdx};

/// Sections of which there can only be one.
const SINGLE: &[&str] = &["license", "version"];

/// Index of a section of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MergedIdx(pub(super) usize);

/// A section of the result.
pub(super) struct Merged<'a> {
    pub(super) name: &'a str,
    /// What it is in ELF; `None` where only BTF knows it, as `.kconfig` and `.ksyms`.
    pub(super) elf: Option<Shape>,
    /// Its bytes; empty where it takes none in the file.
    pub(super) data: Vec<u8>,
    pub(super) size: u64,
    /// The file that was the first to have it.
    first: usize,
}

/// What a section is in ELF.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) entry_size: u64,
    pub(super) align: u64,
}

/// Where a section went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) section: MergedIdx,
    pub(super) offset: u64,
}

/// All sections of the result.
pub(super) struct Sections<'a> {
    pub(super) merged: Vec<Merged<'a>>,
    by_name: HashMap<&'a str, MergedIdx>,
    /// Where the sections of each file went. None where they were dropped.
    parts: Vec<Vec<Option<Part>>>,
    /// Bytes that may still be added.
    room: usize,
}

/// Merges the sections of all objects.
pub(super) fn merge<'a>(objects: &[Object<'a>], limit: usize) -> Result<Sections<'a>, LinkError> {
    let parts = objects.iter().map(|object| vec![None; object.elf.sections.len()]).collect();
    let mut sections = Sections { merged: Vec::new(), by_name: HashMap::new(), parts, room: limit };
    for (file, object) in objects.iter().enumerate() {
        for (index, section) in object.elf.sections_with_index() {
            if object.role(index) == Role::Data {
                let part = sections.append(objects, file, section)?;
                sections.parts[file][index.index()] = part;
            }
        }
        // `.extern` is the linker's own: what is not resolved stays outside of any section.
        for &(_, name) in object.datasecs.iter().filter(|(_, name)| *name != EXTERN) {
            if sections.named(name).is_none() {
                sections.add(name, None, file);
            }
        }
    }
    Ok(sections)
}

impl<'a> Sections<'a> {
    pub(super) fn named(&self, name: &str) -> Option<MergedIdx> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, index: MergedIdx) -> &Merged<'a> {
        &self.merged[index.0]
    }

    /// Where a file's section went.
    pub(super) fn part(&self, file: usize, index: SectionIdx) -> Option<Part> {
        self.parts[file].get(index.index()).copied().flatten()
    }

    fn add(&mut self, name: &'a str, elf: Option<Shape>, first: usize) -> MergedIdx {
        let index = MergedIdx(self.merged.len());
        self.merged.push(Merged { name, elf, data: Vec::new(), size: 0, first });
        self.by_name.insert(name, index);
        index
    }

    fn append(
        &mut self,
        objects: &[Object<'a>],
        file: usize,
        section: &Section<'a>,
    ) -> Result<Option<Part>, LinkError> {
        let name = section.name;
        let malformed = |what: String| Problem::Malformed { what }.of(objects[file].name);
        if name.is_empty() {
            return Err(malformed("a section has no name".to_owned()));
        }
        let align = section.align.max(1);
        if !align.is_power_of_two() || (section.is_executable() && !section.size.is_multiple_of(8)) {
            return Err(malformed(format!("section `{name}` has an invalid alignment or size")));
        }
        let data = section.data().map_err(|e| Problem::Elf(e).of(objects[file].name))?;
        let shape = Shape { kind: section.kind, flags: section.flags, entry_size: section.entry_size, align };
        let index = self.named(name).unwrap_or_else(|| self.add(name, None, file));
        let other = objects[self.merged[index.0].first].name;
        let merged = &mut self.merged[index.0];
        if let Some(known) = merged.elf {
            let differ = |what| Problem::SectionsDiffer { section: name.to_owned(), what };
            let check = |same, what| if same { Ok(()) } else { Err(differ(what)) };
            check(known.kind == shape.kind, "type")
                .and_then(|()| check(known.flags == shape.flags, "flags"))
                .and_then(|()| check(known.entry_size == shape.entry_size, "size of entries"))
                .map_err(|problem| problem.between(objects[file].name, other))?;
            if SINGLE.contains(&name) {
                let problem = Problem::ContentsDiffer { section: name.to_owned() };
                return if merged.data == data {
                    Ok(None)
                } else {
                    Err(problem.between(objects[file].name, other))
                };
            }
        } else {
            merged.first = file;
        }
        let too_large = || Problem::TooLarge { what: "sections" }.of(objects[file].name);
        let align = merged.elf.map_or(align, |known| known.align.max(align));
        let offset = merged.size.checked_next_multiple_of(align).ok_or_else(too_large)?;
        let size = offset.checked_add(section.size).ok_or_else(too_large)?;
        if !section.is_nobits() {
            let end = usize::try_from(size).map_err(|_| too_large())?;
            self.room = self.room.checked_sub(end - merged.data.len()).ok_or_else(too_large)?;
            merged.data.resize(end - data.len(), 0);
            merged.data.extend_from_slice(data);
        }
        merged.size = size;
        merged.elf = Some(Shape { align, ..shape });
        Ok(Some(Part { section: index, offset }))
    }
}
