//! ELF relocations of instructions: calls, and addresses of maps, global data and functions.

use std::ops::Range;

use super::body::{Body, MAX_FINDINGS};
use super::externs::{Extern, ExternKind, Externs, POISON_CALL, Resolution};
use super::link::{Func, Funcs};
use super::maps::{MapRef, Maps};
use super::source::Source;
use super::{LoadError, MapDef, MapId, Problem};
use crate::diag::{Code, Diagnostic};
use crate::elf::{Reloc, Section, SectionIdx, Symbol, SymbolKind, SymbolPlace, reloc_kind};
use crate::isa::{CallTarget, Imm64, Insn, InsnIdx};

/// What instructions refer to.
#[derive(Clone, Copy)]
pub(super) struct Referents<'r, 's> {
    pub(super) maps: &'r Maps,
    pub(super) defs: &'r [MapDef],
    pub(super) externs: &'r Externs,
    pub(super) funcs: &'r Funcs<'s>,
}

/// Fills in what relocations say about a function that was decoded.
pub(super) fn resolve(
    source: &Source<'_>,
    to: Referents<'_, '_>,
    func: &Func<'_>,
    bytes: &[u8],
    body: &mut Body<'_>,
) -> Result<(), LoadError> {
    let (slots, _) = bytes.as_chunks();
    Resolver { source, to, func, slots, body }.resolve()
}

struct Resolver<'r, 's, 'a, 'b> {
    source: &'r Source<'a>,
    to: Referents<'r, 's>,
    func: &'r Func<'s>,
    /// The function's bytes: a third of what its instructions take, so that looking for few among many is cheap.
    slots: &'r [[u8; 8]],
    body: &'r mut Body<'b>,
}

/// Opcodes of the only instructions that may refer to a function: `call` and `lddw`.
const REFERRING: [u8; 2] = [0x85, 0x18];

impl Resolver<'_, '_, '_, '_> {
    fn resolve(&mut self) -> Result<(), LoadError> {
        let relocs = self.source.relocs_of(self.func.section);
        let start = relocs.partition_point(|r| r.offset < self.func.start);
        let end = relocs.partition_point(|r| r.offset < self.func.end);
        let mut done = 0;
        for reloc in &relocs[start..end.max(start)] {
            let at = reloc.offset - self.func.start;
            let slot = usize::try_from(at / 8).unwrap_or(usize::MAX);
            if slot >= self.body.insns.len() {
                break;
            }
            if slot < done || !at.is_multiple_of(8) {
                let problem = Problem::Invalid {
                    what: "offset of a relocation",
                    found: reloc.offset,
                    expected: "one for each instruction at its start",
                };
                return Err(problem.in_section(self.source.section_name(self.func.section)).at(reloc.offset));
            }
            let is_none = reloc.kind == reloc_kind::NONE;
            self.without_relocs(done..slot + usize::from(is_none));
            if !is_none {
                let number = u32::try_from(slot).expect("decoded");
                self.apply(number, self.body.insns[slot], reloc)?;
            }
            done = slot + 1;
        }
        self.without_relocs(done..self.body.insns.len());
        Ok(())
    }

    /// What instructions without relocation refer to.
    fn without_relocs(&mut self, mut slots: Range<usize>) {
        while let Some(found) =
            self.slots[slots.clone()].iter().position(|[opcode, ..]| REFERRING.contains(opcode))
        {
            let slot = slots.start + found;
            self.without_reloc(u32::try_from(slot).expect("decoded"));
            slots.start = slot + 1;
        }
    }

    fn without_reloc(&mut self, slot: u32) {
        match &self.body.insns[slot as usize] {
            Insn::Call(CallTarget::Subprog(distance)) => self.near_call(slot, *distance),
            Insn::LoadImm64 { imm: Imm64::Func(_), .. } => {
                self.unresolved(slot, "the address of a function without relocation".to_owned());
            }
            _ => {}
        }
    }

    fn add(&mut self, finding: Diagnostic) {
        if self.body.findings.len() < MAX_FINDINGS {
            self.body.findings.push(finding);
        }
    }

    fn find(&mut self, code: Code, slot: u32, message: String) {
        self.add(Diagnostic::at(code, InsnIdx(slot), message));
    }

    fn unresolved(&mut self, slot: u32, message: String) {
        self.find(Code::UnresolvedCall, slot, message);
    }

    /// A call without relocation: to a static function of the same section.
    fn near_call(&mut self, slot: u32, distance: i32) {
        let target = (self.func.start / 8).cast_signed() + i64::from(slot) + 1 + i64::from(distance);
        let start = u64::try_from(target).ok();
        match start.and_then(|start| self.to.funcs.starting_at(self.func.section, start * 8)) {
            Some(target) => self.body.calls.push((slot, target)),
            None => {
                let distance = distance.saturating_add(1);
                let message =
                    format!("a call of what is {distance} instructions from here, where no function begins");
                self.find(Code::CallTarget, slot, message);
            }
        }
    }

    /// A call of, or the address of, the function at a byte offset of a section.
    fn call(&mut self, slot: u32, section: SectionIdx, offset: i64, what: &str) {
        let start = u64::try_from(offset).ok();
        match start.and_then(|start| self.to.funcs.starting_at(section, start)) {
            Some(target) => self.body.calls.push((slot, target)),
            None => {
                let section = self.source.section_name(section);
                let message =
                    format!("{what} to offset {offset:#x} of `{section}`, where no function begins");
                self.unresolved(slot, message);
            }
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
                match self.to.externs.of(reloc.symbol) {
                    Some(found) => self.external_call(slot, found),
                    None => self.far_call(slot, target, symbol, reloc.addend),
                }
            }
            Insn::LoadImm64 { imm, .. } => {
                if reloc.kind != reloc_kind::LDDW {
                    return Err(invalid("R_BPF_64_64 (1) at a 64-bit load"));
                }
                if let Some((_, external)) = self.to.externs.of(reloc.symbol) {
                    self.external_address(slot, external);
                    return Ok(());
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
                self.load_address(slot, symbol, addend);
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
            Some(section) => {
                let instructions = match addend {
                    None if self.has_value_in_place(symbol) => 0,
                    None => in_place.saturating_add(1),
                    Some(bytes) => bytes / 8,
                };
                let offset = symbol.value.cast_signed().saturating_add(instructions.saturating_mul(8));
                self.call(slot, section, offset, &format!("a call of `{}`,", symbol.name));
            }
            None => self.external(slot, symbol, "kernel function"),
        }
    }

    /// A call of a kernel function.
    fn external_call(&mut self, slot: u32, (index, external): (usize, &Extern)) {
        if let Some(finding) = external.finding(InsnIdx(slot)) {
            return self.add(finding);
        }
        let target = match (external.kind, &external.resolution) {
            (ExternKind::Function, &Resolution::Kernel { id, module }) => {
                CallTarget::Kfunc { id: id.0.cast_signed(), module }
            }
            (ExternKind::Function, Resolution::Host(index)) => {
                CallTarget::Kfunc { id: index.cast_signed(), module: CallTarget::HOST }
            }
            (ExternKind::Function, Resolution::Absent) => {
                let index = u32::try_from(index).expect("fewer externs than symbols");
                CallTarget::Helper(POISON_CALL.saturating_add(index))
            }
            _ => {
                let message = format!("a call of `{}`, which is no function", external.name);
                return self.unresolved(slot, message);
            }
        };
        if let Some(Insn::Call(call)) = self.body.insns.get_mut(slot as usize) {
            *call = target;
        }
    }

    /// The address of a kernel's variable, symbol or function, or of a configuration value. Like
    /// libbpf's, it does not heed what stands in the instruction.
    fn external_address(&mut self, slot: u32, external: &Extern) {
        if let Some(finding) = external.finding(InsnIdx(slot)) {
            return self.add(finding);
        }
        let value = match (external.kind, &external.resolution, self.to.maps.kconfig) {
            (ExternKind::Config { offset, .. }, _, Some(map)) => {
                Imm64::MapIdxValue { index: map.0, off: offset }
            }
            (_, &Resolution::Kernel { id, module }, _) => {
                Imm64::BtfId { id: id.0.cast_signed(), btf_fd: module.into() }
            }
            (_, &Resolution::Address(address), _) => Imm64::Value(address),
            // It exists; where it is, programs have no use for.
            (_, Resolution::Host(_), _) => Imm64::Value(1),
            (_, Resolution::Absent | Resolution::Value | Resolution::Missing(_), _) => Imm64::Value(0),
        };
        if let Some(Insn::LoadImm64 { imm, .. }) = self.body.insns.get_mut(slot as usize) {
            *imm = value;
        }
    }

    /// Whether what stands in place is more than what is to be added to the symbol's value.
    fn has_value_in_place(&self, symbol: &Symbol<'_>) -> bool {
        self.source.values_in_place && symbol.kind != SymbolKind::Section
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
    fn load_address(&mut self, slot: u32, symbol: &Symbol<'_>, addend: i64) {
        let Some(section) = symbol.section() else {
            self.external(slot, symbol, "variable");
            return;
        };
        let value = if self.has_value_in_place(symbol) { 0 } else { symbol.value.cast_signed() };
        let offset = value.saturating_add(addend);
        let is_function = matches!(symbol.kind, SymbolKind::Func | SymbolKind::Section);
        if is_function && self.source.elf.section(section).is_some_and(Section::is_executable) {
            self.call(slot, section, offset, &format!("the address of `{}`,", symbol.name));
            return;
        }
        let map_offset =
            if symbol.kind == SymbolKind::Section { offset.cast_unsigned() } else { symbol.value };
        match self.to.maps.at(section, map_offset) {
            Some(MapRef::Map(id)) => self.set_imm(slot, id, Imm64::MapIdx(id.0)),
            Some(MapRef::Data { map, base }) => {
                // Like libbpf: 32 bits that wrap around. Linux, and the verifier here, look whether they
                // lie within the data.
                let off = low_half(offset).cast_unsigned().wrapping_add(base);
                self.set_imm(slot, map, Imm64::MapIdxValue { index: map.0, off });
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
    }

    fn set_imm(&mut self, slot: u32, id: MapId, value: Imm64) {
        debug_assert!(id.index() < self.to.defs.len(), "maps were read before code");
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
