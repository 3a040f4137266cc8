//! One BTF and one `.BTF.ext` of those of all files.
//!
//! A symbol that files share has one variable or function: that of the file whose symbol counts.
//! Data sections are made anew from where variables now are. Then types that are the same merge.

use super::input::{Object, is_non_static};
use super::sections::{MergedIdx, Sections};
use super::symbols::Symbols;
use super::{LinkError, Problem};
use crate::btf::build::{BuildError, Builder, Copied};
use crate::btf::{
    Btf, BtfError, CoreRelo, Ext, FuncInfo, Kind, LineInfo, SectionRecords, StrOff, Type, TypeId,
    VarInSection,
};

/// The types of the result.
pub(super) struct Types {
    /// Bytes of `.BTF`.
    pub(super) btf: Vec<u8>,
    /// Bytes of `.BTF.ext`, where there are records.
    pub(super) ext: Option<Vec<u8>>,
}

/// New ids of a file's types.
type Ids = Vec<Option<TypeId>>;

struct Merge<'a, 'o> {
    objects: &'o [Object<'a>],
    sections: &'o Sections<'a>,
    symbols: &'o Symbols<'a>,
    builder: Builder,
    ids: Vec<Ids>,
    /// Strings of each file.
    copied: Vec<Copied>,
}

/// Merges the types of all objects; `None` where there are none.
pub(super) fn merge(
    objects: &[Object<'_>],
    sections: &Sections<'_>,
    symbols: &Symbols<'_>,
    limit: usize,
) -> Result<Option<Types>, LinkError> {
    let builder = Builder::new(objects[0].elf.endianness, limit);
    let mut merge = Merge {
        objects,
        sections,
        symbols,
        builder,
        ids: Vec::new(),
        copied: vec![Copied::default(); objects.len()],
    };
    merge.number().map_err(|(file, error)| of(objects, file, error))?;
    for file in 0..objects.len() {
        merge.copy(file).map_err(|error| of(objects, file, error))?;
    }
    if merge.builder.next_id() == TypeId(1) {
        return Ok(None);
    }
    merge.datasecs()?;
    let mut ext = merge.ext()?;
    let new = merge.builder.dedup();
    let renew = |id: &mut TypeId| *id = new.get(id.0 as usize).copied().unwrap_or(TypeId::VOID);
    ext.funcs.iter_mut().flat_map(|s| &mut s.records).for_each(|func| renew(&mut func.ty));
    ext.core_relos.iter_mut().flat_map(|s| &mut s.records).for_each(|relo| renew(&mut relo.ty));
    let is_empty = ext.funcs.is_empty() && ext.lines.is_empty() && ext.core_relos.is_empty();
    let ext = (!is_empty).then(|| ext.to_bytes(objects[0].elf.endianness));
    Ok(Some(Types { btf: merge.builder.finish(), ext }))
}

fn of(objects: &[Object<'_>], file: usize, error: BuildError) -> LinkError {
    Problem::Build(error).of(objects[file].name)
}

impl<'a> Merge<'a, '_> {
    /// The file and type that stand for a variable or function that files share; itself for all
    /// others. None where nothing in the result has its name.
    fn standing_for(&self, file: usize, ty: &Type<'_>) -> Result<Option<(usize, TypeId)>, BtfError> {
        if !is_non_static(ty) {
            return Ok(Some((file, ty.id())));
        }
        let name = ty.name()?;
        let Some(global) = self.symbols.globals.get(name) else { return Ok(None) };
        Ok(self.objects[global.file].declared(name).map(|(_, ty)| (global.file, ty)))
    }

    /// Gives all types their new ids, in the order in which they will be copied.
    fn number(&mut self) -> Result<(), (usize, BuildError)> {
        let mut next = 1;
        // Types whose ids are those of another file's.
        let mut borrowed = Vec::new();
        for file in 0..self.objects.len() {
            let Some(btf) = self.objects[file].btf else {
                self.ids.push(Vec::new());
                continue;
            };
            let mut ids = vec![None; btf.next_id() as usize];
            for id in btf.ids() {
                let ty = btf.get(id).map_err(|e| (file, e.into()))?;
                if ty.kind() == Kind::Datasec {
                    continue;
                }
                match self.standing_for(file, &ty).map_err(|e| (file, e.into()))? {
                    Some(own) if own == (file, id) => {
                        // A tag goes where what it is attached to goes.
                        if ty.kind() == Kind::DeclTag && !self.is_kept(file, btf, ty.referenced()) {
                            continue;
                        }
                        ids[id.0 as usize] = Some(TypeId(next));
                        next += 1;
                    }
                    Some(other) => borrowed.push(((file, id), other)),
                    None => {}
                }
            }
            self.ids.push(ids);
        }
        for ((file, id), (other, ty)) in borrowed {
            self.ids[file][id.0 as usize] = self.ids[other].get(ty.0 as usize).copied().flatten();
        }
        Ok(())
    }

    /// Whether what a tag is attached to is in the result.
    fn is_kept(&self, file: usize, btf: &Btf, id: TypeId) -> bool {
        let target = btf.get(id);
        target.is_ok_and(|ty| {
            ty.kind() != Kind::Datasec && self.standing_for(file, &ty).is_ok_and(|found| found.is_some())
        })
    }

    fn copy(&mut self, file: usize) -> Result<(), BuildError> {
        let Some(btf) = self.objects[file].btf else { return Ok(()) };
        for id in btf.ids() {
            let ids = &self.ids[file];
            if ids[id.0 as usize] != Some(self.builder.next_id()) {
                continue;
            }
            let ty = btf.get(id)?;
            self.builder
                .add(&ty, &mut self.copied[file], |old| ids.get(old.0 as usize).copied().flatten())?;
        }
        Ok(())
    }

    /// Makes the data sections.
    fn datasecs(&mut self) -> Result<(), LinkError> {
        // By section of the result the data sections of the files.
        let mut parts: Vec<Vec<(usize, TypeId)>> = self.sections.merged.iter().map(|_| Vec::new()).collect();
        for (file, object) in self.objects.iter().enumerate() {
            for &(id, name) in &object.datasecs {
                if let Some(index) = self.sections.named(name) {
                    parts[index.0].push((file, id));
                }
            }
        }
        for (index, parts) in parts.iter().enumerate().filter(|(_, parts)| !parts.is_empty()) {
            let merged = &self.sections.merged[index];
            let mut vars = Vec::new();
            for &(file, id) in parts {
                self.variables(MergedIdx(index), file, id, &mut vars)
                    .map_err(|problem| problem.of(self.objects[file].name))?;
            }
            if merged.elf.is_some() {
                vars.sort_by_key(|var| var.offset);
            }
            let size = if merged.elf.is_some() { u32::try_from(merged.size).unwrap_or(u32::MAX) } else { 0 };
            let added = self.builder.add_datasec(merged.name, size, &vars);
            added.map_err(|error| of(self.objects, parts[0].0, error))?;
        }
        Ok(())
    }

    /// The variables that a file has in a section.
    fn variables(
        &self,
        section: MergedIdx,
        file: usize,
        datasec: TypeId,
        vars: &mut Vec<VarInSection>,
    ) -> Result<(), Problem> {
        let object = &self.objects[file];
        let Some(btf) = object.btf else { return Ok(()) };
        let merged = self.sections.get(section);
        let own = object.data_section(merged.name);
        let part = own.and_then(|index| self.sections.part(file, index));
        if own.is_some() && part.is_none() {
            // A section of which one is enough: the first file's.
            return Ok(());
        }
        let base = part.map_or(0, |part| part.offset);
        for var in btf.get(datasec).map_err(Problem::Btf)?.vars() {
            let ty = btf.get(var.var).map_err(Problem::Btf)?;
            let name = ty.name().map_err(Problem::Btf)?;
            let mut offset = base + u64::from(var.offset);
            let mut size = var.size;
            if is_non_static(&ty) {
                let Some(global) = self.symbols.globals.get(name) else {
                    if ty.linkage() == Some(crate::btf::Linkage::Extern) {
                        continue;
                    }
                    return Err(Problem::NoSymbol { variable: name.to_owned() });
                };
                if global.file != file {
                    continue;
                }
                let out = &self.symbols.out[global.out.0];
                if global.defined {
                    offset = out.value;
                    size = if size == 0 { u32::try_from(out.size).unwrap_or(0) } else { size };
                }
            }
            let var = self.ids[file].get(var.var.0 as usize).copied().flatten();
            let (Some(var), Ok(offset)) = (var, u32::try_from(offset)) else {
                let what = format!("variable `{name}` is out of bounds");
                return Err(Problem::Malformed { what });
            };
            vars.push(VarInSection { var, offset, size });
        }
        Ok(())
    }

    /// The records of instructions of all files.
    fn ext(&mut self) -> Result<Ext, LinkError> {
        let mut out = Ext::default();
        let sections = self.sections.merged.len();
        let mut funcs: Vec<Vec<FuncInfo>> = vec![Vec::new(); sections];
        let mut lines: Vec<Vec<LineInfo>> = vec![Vec::new(); sections];
        let mut relos: Vec<Vec<CoreRelo>> = vec![Vec::new(); sections];
        for file in 0..self.objects.len() {
            self.records(file, &mut funcs, &mut lines, &mut relos)
                .map_err(|problem| problem.of(self.objects[file].name))?;
        }
        for (index, ((funcs, lines), relos)) in funcs.into_iter().zip(lines).zip(relos).enumerate() {
            if funcs.is_empty() && lines.is_empty() && relos.is_empty() {
                continue;
            }
            let name = self.builder.string(self.sections.merged[index].name);
            let section = name.map_err(|error| of(self.objects, 0, error))?;
            push(&mut out.funcs, section, funcs, |func| func.insn_off);
            push(&mut out.lines, section, lines, |line| line.insn_off);
            push(&mut out.core_relos, section, relos, |relo| relo.insn_off);
        }
        Ok(out)
    }

    fn records(
        &mut self,
        file: usize,
        funcs: &mut [Vec<FuncInfo>],
        lines: &mut [Vec<LineInfo>],
        relos: &mut [Vec<CoreRelo>],
    ) -> Result<(), Problem> {
        let object = &self.objects[file];
        let Some(btf) = object.btf else { return Ok(()) };
        let ids = &self.ids[file];
        let sections = self.sections;
        let (builder, copied) = (&mut self.builder, &mut self.copied[file]);
        let mut string = |off: StrOff| builder.copy_string(btf, off, copied).map_err(Problem::Build);
        // Where the instructions of a section went; none where it was dropped.
        let place = |name: StrOff| {
            let name = btf.str(name).map_err(Problem::Btf)?;
            let Some(index) = object.data_section(name) else {
                let what = format!(".BTF.ext has records of `{name}`, which does not exist");
                return Err(Problem::Malformed { what });
            };
            Ok(sections.part(file, index))
        };
        let moved = |insn_off: u32, by: u64| {
            let offset = u32::try_from(by).ok().and_then(|by| insn_off.checked_add(by));
            offset.ok_or_else(|| Problem::Malformed { what: ".BTF.ext is out of bounds".to_owned() })
        };
        let renew = |id: TypeId| match id {
            TypeId::VOID => Ok(id),
            _ => ids.get(id.0 as usize).copied().flatten().ok_or(Problem::Build(BuildError::Missing { id })),
        };
        for section in &object.ext.funcs {
            let Some(part) = place(section.section)? else { continue };
            for func in &section.records {
                let insn_off = moved(func.insn_off, part.offset)?;
                funcs[part.section.0].push(FuncInfo { insn_off, ty: renew(func.ty)? });
            }
        }
        for section in &object.ext.lines {
            let Some(part) = place(section.section)? else { continue };
            for line in &section.records {
                let insn_off = moved(line.insn_off, part.offset)?;
                let (file, text) = (string(line.file)?, string(line.text)?);
                lines[part.section.0].push(LineInfo { insn_off, file, text, ..*line });
            }
        }
        for section in &object.ext.core_relos {
            let Some(part) = place(section.section)? else { continue };
            for relo in &section.records {
                let insn_off = moved(relo.insn_off, part.offset)?;
                let access = string(relo.access)?;
                relos[part.section.0].push(CoreRelo { insn_off, ty: renew(relo.ty)?, access, ..*relo });
            }
        }
        Ok(())
    }
}

/// Adds the records of a section, sorted, where there are any.
fn push<T>(
    out: &mut Vec<SectionRecords<T>>,
    section: StrOff,
    mut records: Vec<T>,
    insn_off: impl Fn(&T) -> u32,
) {
    if !records.is_empty() {
        records.sort_by_key(insn_off);
        out.push(SectionRecords { section, records });
    }
}
