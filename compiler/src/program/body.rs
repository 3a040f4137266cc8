//! One function: decoded, its relocations resolved, its source lines found.
//!
//! Slots count from the function's start. The distances of calls are left to the linker, which
//! knows where each program has the functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::link::{Func, FuncIdx, Funcs};
use super::maps::{MapRef, Maps};
use super::signature::Signature;
use super::source::{Source, btf_error, data};
use super::{LoadError, MapDef, MapId, MapType, Problem, SourceLine};
use crate::btf::{CoreRelo, LineInfo, StrOff};
use crate::diag::{Code, Diagnostic};
use crate::elf::{Reloc, Symbol, SymbolKind, SymbolPlace, reloc_kind};
use crate::isa::{CallTarget, DecodeError, Imm64, Insn, InsnIdx, decode};

/// Most findings of one function; more say nothing new.
const MAX_FINDINGS: usize = 32;

/// A function's content.
pub(super) struct Body {
    /// Its instructions; empty where some bytes are none.
    pub(super) insns: Vec<Insn>,
    /// Slots that call a function or load its address, in order.
    pub(super) calls: Vec<(u32, FuncIdx)>,
    /// What BTF says of it.
    pub(super) signature: Option<Signature>,
    /// Source lines.
    pub(super) lines: Vec<SourceLine>,
    /// What keeps programs that reach it from running.
    pub(super) findings: Vec<Diagnostic>,
}

impl Body {
    pub(super) fn read(
        source: &Source<'_>,
        maps: &Maps,
        defs: &[MapDef],
        funcs: &Funcs<'_>,
        func: &Func<'_>,
        texts: &mut Texts<'_>,
    ) -> Result<Self, LoadError> {
        let section =
            source.elf.section(func.section).ok_or(Problem::Missing { what: "section" }.somewhere())?;
        let range = usize::try_from(func.start).unwrap_or(usize::MAX)
            ..usize::try_from(func.end).unwrap_or(usize::MAX);
        let bytes = data(section)?.get(range).unwrap_or_default();
        let mut body = Self {
            insns: Vec::new(),
            calls: Vec::new(),
            signature: None,
            lines: Vec::new(),
            findings: Vec::new(),
        };
        match decode(bytes, source.elf.endianness) {
            Ok(insns) => body.insns = insns,
            Err(error) => {
                let at = match &error {
                    DecodeError::Slot { at, .. } => Some(*at),
                    DecodeError::Length { .. } | DecodeError::TooLong { .. } => None,
                };
                let message = format!("in `{}`: {error}", func.name);
                let finding = Diagnostic::program(Code::InvalidInstruction, message);
                body.findings.push(Diagnostic { insn: at, ..finding });
                return Ok(body);
            }
        }
        Resolver { source, maps, defs, funcs, func, body: &mut body }.resolve()?;
        let infos = source.funcs.get(section.name).map_or(&[][..], Vec::as_slice);
        if let Some(info) = within(infos, func, |info| info.insn_off).first() {
            let signature = Signature::read(source, info.ty);
            body.signature = Some(signature.map_err(|e| btf_error(&e, ".BTF.ext").of(func.name))?);
        }
        let relos = source.core_relos.get(section.name).map_or(&[][..], Vec::as_slice);
        for relo in within(relos, func, |relo| relo.insn_off).iter().take(MAX_FINDINGS) {
            let finding = core_relo(source, func, relo)?;
            body.findings.push(finding);
        }
        let lines = source.lines.get(section.name).map_or(&[][..], Vec::as_slice);
        body.lines = texts.lines(func, within(lines, func, |line| line.insn_off))?;
        Ok(body)
    }
}

/// The records of a sorted table that belong to a function.
fn within<'t, T>(table: &'t [T], func: &Func<'_>, offset: impl Fn(&T) -> u32) -> &'t [T] {
    let start = table.partition_point(|record| u64::from(offset(record)) < func.start);
    let end = table.partition_point(|record| u64::from(offset(record)) < func.end);
    &table[start..end.max(start)]
}

/// The slot of an offset in a function's section.
fn slot(func: &Func<'_>, offset: u64) -> u32 {
    u32::try_from(offset.saturating_sub(func.start) / 8).expect("offsets lie within a decoded function")
}

/// A CO-RE relocation, as a finding.
fn core_relo(source: &Source<'_>, func: &Func<'_>, relo: &CoreRelo) -> Result<Diagnostic, LoadError> {
    let error = |e| btf_error(&e, ".BTF.ext");
    let Some(btf) = source.btf.as_deref() else {
        return Err(Problem::Missing { what: "BTF of CO-RE relocations" }.in_section(".BTF.ext"));
    };
    let access = btf.str(relo.access).map_err(error)?;
    let ty = btf.get(relo.ty).and_then(|ty| ty.name()).map_err(error)?;
    let message = format!("CO-RE relocation of kind {} on `{access}` of type `{ty}`", relo.kind);
    let at = InsnIdx(slot(func, relo.insn_off.into()));
    Ok(Diagnostic::at(Code::UnsupportedRelocation, at, message).help(
        "with vmlinux.h, `#define BPF_NO_PRESERVE_ACCESS_INDEX` before including it, or include <linux/bpf.h> in its \
         place",
    ))
}

/// Fills in what relocations say.
struct Resolver<'r, 's, 'a> {
    source: &'r Source<'a>,
    maps: &'r Maps,
    defs: &'r [MapDef],
    funcs: &'r Funcs<'s>,
    func: &'r Func<'s>,
    body: &'r mut Body,
}

impl Resolver<'_, '_, '_> {
    fn resolve(&mut self) -> Result<(), LoadError> {
        let relocs = self.source.relocs_of(self.func.section);
        let start = relocs.partition_point(|r| r.offset < self.func.start);
        let end = relocs.partition_point(|r| r.offset < self.func.end);
        let mut relocs = relocs[start..end.max(start)].iter().peekable();
        for slot in 0..u32::try_from(self.body.insns.len()).expect("decoded") {
            let offset = self.func.start + u64::from(slot) * 8;
            let reloc = relocs.next_if(|r| r.offset == offset);
            if let Some(next) = relocs.peek().filter(|next| next.offset < offset + 8) {
                let problem = Problem::Invalid {
                    what: "offset of a relocation",
                    found: next.offset,
                    expected: "one for each instruction at its start",
                };
                return Err(problem.in_section(self.source.section_name(self.func.section)).at(next.offset));
            }
            match (self.body.insns[slot as usize], reloc.filter(|r| r.kind != reloc_kind::NONE)) {
                (Insn::Call(CallTarget::Subprog(distance)), None) => self.near_call(slot, distance),
                (Insn::LoadImm64 { imm: Imm64::Func(_), .. }, None) => {
                    self.unresolved(slot, "the address of a function without relocation".to_owned());
                }
                (_, None) => {}
                (insn, Some(reloc)) => self.apply(slot, insn, reloc)?,
            }
        }
        Ok(())
    }

    fn find(&mut self, code: Code, slot: u32, message: String) {
        if self.body.findings.len() < MAX_FINDINGS {
            self.body.findings.push(Diagnostic::at(code, InsnIdx(slot), message));
        }
    }

    fn unresolved(&mut self, slot: u32, message: String) {
        self.find(Code::UnresolvedCall, slot, message);
    }

    /// A call without relocation: to a static function of the same section.
    fn near_call(&mut self, slot: u32, distance: i32) {
        let target = (self.func.start / 8).cast_signed() + i64::from(slot) + 1 + i64::from(distance);
        self.call(slot, target * 8, "a call");
    }

    /// A call of, or the address of, the function at a byte offset of `.text`.
    fn call(&mut self, slot: u32, offset: i64, what: &str) {
        let start = u64::try_from(offset).ok();
        let text = self.source.text;
        match text.zip(start).and_then(|(text, start)| self.funcs.starting_at(text, start)) {
            Some(target) => self.body.calls.push((slot, target)),
            None => self.unresolved(
                slot,
                format!("{what} to offset {offset:#x} of `.text`, where no function begins"),
            ),
        }
    }

    fn apply(&mut self, slot: u32, insn: Insn, reloc: &Reloc) -> Result<(), LoadError> {
        let source = self.source;
        let at =
            |problem: Problem| problem.in_section(source.section_name(self.func.section)).at(reloc.offset);
        let symbol = source.elf.symbol(reloc.symbol).ok_or_else(|| {
            let end = source.elf.symbols.len() as u64;
            at(Problem::OutOfBounds { what: "symbol of a relocation", found: reloc.symbol.0.into(), end })
        })?;
        let invalid = |expected| {
            at(Problem::Invalid { what: "relocation type", found: reloc.kind.into(), expected })
                .of(symbol.name)
        };
        match insn {
            Insn::Call(target) => {
                if reloc.kind != reloc_kind::CALL {
                    return Err(invalid("R_BPF_64_32 (10) at a call"));
                }
                self.far_call(slot, target, symbol, reloc.addend);
            }
            Insn::LoadImm64 { imm, .. } => {
                if reloc.kind != reloc_kind::LDDW {
                    return Err(invalid("R_BPF_64_64 (1) at a 64-bit load"));
                }
                let in_place = match imm {
                    Imm64::Value(value) => value.cast_signed(),
                    Imm64::Func(value) | Imm64::MapFd(value) => i64::from(value),
                    Imm64::MapFdValue { off, .. } => i64::from(off),
                    Imm64::BtfId { .. } | Imm64::MapIdx(_) | Imm64::MapIdxValue { .. } => {
                        let reason = "a relocation of an immediate that is none of its kind".to_owned();
                        return Err(at(Problem::Malformed { what: "instruction", reason }).of(symbol.name));
                    }
                };
                // Like libbpf: what stands in the first slot is added.
                let addend = reloc.addend.unwrap_or(i64::from(low_half(in_place)));
                self.load_address(slot, symbol, addend).map_err(|problem| at(problem).of(symbol.name))?;
            }
            _ => return Err(invalid("none at an instruction that is no call and no 64-bit load")),
        }
        Ok(())
    }

    fn far_call(&mut self, slot: u32, target: CallTarget, symbol: &Symbol<'_>, addend: Option<i64>) {
        let in_place = match target {
            CallTarget::Subprog(imm) => i64::from(imm),
            CallTarget::Kfunc { id, .. } => i64::from(id),
            CallTarget::Helper(number) => {
                let message = format!("a call of helper {number} with a relocation against a function");
                return self.unresolved(slot, message);
            }
        };
        match symbol.section() {
            Some(section) if Some(section) == self.source.text => {
                let instructions = addend.map_or(in_place.saturating_add(1), |bytes| bytes / 8);
                let offset = symbol.value.cast_signed().saturating_add(instructions.saturating_mul(8));
                self.call(slot, offset, &format!("a call of `{}`,", symbol.name));
            }
            Some(section) => {
                let section = self.source.section_name(section);
                self.unresolved(
                    slot,
                    format!(
                        "a call of `{}` in section `{section}`: only `.text` has subprograms",
                        symbol.name
                    ),
                );
            }
            None => self.external(slot, symbol, "kernel function"),
        }
    }

    /// Something that the object does not define.
    fn external(&mut self, slot: u32, symbol: &Symbol<'_>, what: &str) {
        match symbol.place {
            SymbolPlace::Undefined => self.find(
                Code::UnsupportedRelocation,
                slot,
                format!("external {what} `{}`, which the object does not define", symbol.name),
            ),
            SymbolPlace::Special(_) | SymbolPlace::Section(_) => self.find(
                Code::UnsupportedRelocation,
                slot,
                format!("`{}` is in no section: initialise the variable", symbol.name),
            ),
        }
    }

    /// `lddw` of the address of a map, of global data or of a function.
    fn load_address(&mut self, slot: u32, symbol: &Symbol<'_>, addend: i64) -> Result<(), Problem> {
        let Some(section) = symbol.section() else {
            self.external(slot, symbol, "variable");
            return Ok(());
        };
        let offset = symbol.value.cast_signed().saturating_add(addend);
        let is_function = matches!(symbol.kind, SymbolKind::Func | SymbolKind::Section);
        if Some(section) == self.source.text && is_function {
            self.call(slot, offset, &format!("the address of `{}`,", symbol.name));
            return Ok(());
        }
        let map_offset =
            if symbol.kind == SymbolKind::Section { offset.cast_unsigned() } else { symbol.value };
        match self.maps.at(section, map_offset) {
            Some(MapRef::Map(id)) => self.set_imm(slot, id, Imm64::MapIdx(id.0)),
            Some(MapRef::Data(id)) => {
                let size = u64::from(self.defs[id.index()].value_size);
                let off = u32::try_from(offset).ok().filter(|&off| u64::from(off) <= size);
                let off = off.ok_or(Problem::OutOfBounds {
                    what: "offset in global data",
                    found: offset.cast_unsigned(),
                    end: size + 1,
                })?;
                self.set_imm(slot, id, Imm64::MapIdxValue { index: id.0, off });
            }
            None => {
                let section = self.source.section_name(section);
                self.find(
                    Code::UnsupportedRelocation,
                    slot,
                    format!("the address of `{}` in section `{section}`", symbol.name),
                );
            }
        }
        Ok(())
    }

    fn set_imm(&mut self, slot: u32, id: MapId, value: Imm64) {
        let map = &self.defs[id.index()];
        if let MapType::Unsupported(_) = map.kind {
            let message = format!("map `{}` is of the kind {}", map.name, map.kind);
            self.find(Code::UnsupportedMapKind, slot, message);
        }
        if let Some(reason) = self.maps.unsupported.get(&id) {
            let message = format!("global data with relocations: {reason}");
            self.find(Code::UnsupportedRelocation, slot, message);
        }
        if let Some(Insn::LoadImm64 { imm, .. }) = self.body.insns.get_mut(slot as usize) {
            *imm = value;
        }
    }
}

/// The immediate in the first of two slots.
fn low_half(value: i64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// File names and lines of text, each held once.
pub(super) struct Texts<'s> {
    source: &'s Source<'s>,
    held: BTreeMap<StrOff, Arc<str>>,
    /// Bytes that may still be copied. Strings of an honest compiler do not overlap, so that what
    /// it wrote fits; what goes beyond is left empty.
    budget: usize,
    empty: Arc<str>,
}

impl<'s> Texts<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        let budget = source.btf.as_ref().map_or(0, |btf| btf.strings_len());
        Self { source, held: BTreeMap::new(), budget, empty: Arc::from("") }
    }

    fn text(&mut self, off: StrOff) -> Result<Arc<str>, LoadError> {
        if let Some(text) = self.held.get(&off) {
            return Ok(Arc::clone(text));
        }
        let Some(btf) = self.source.btf.as_deref() else { return Ok(Arc::clone(&self.empty)) };
        let text = btf.str(off).map_err(|e| btf_error(&e, ".BTF.ext"))?;
        let text = match self.budget.checked_sub(text.len()) {
            Some(rest) => {
                self.budget = rest;
                Arc::from(text)
            }
            None => Arc::clone(&self.empty),
        };
        self.held.insert(off, Arc::clone(&text));
        Ok(text)
    }

    fn lines(&mut self, func: &Func<'_>, records: &[LineInfo]) -> Result<Vec<SourceLine>, LoadError> {
        let mut lines: Vec<SourceLine> = Vec::with_capacity(records.len());
        for record in records {
            let insn = InsnIdx(slot(func, record.insn_off.into()));
            if lines.last().is_some_and(|last| last.insn == insn) {
                continue;
            }
            let (file, text) = (self.text(record.file)?, self.text(record.text)?);
            lines.push(SourceLine { insn, file, line: record.line, column: record.column, text });
        }
        Ok(lines)
    }
}
