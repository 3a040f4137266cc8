//! Applies CO-RE relocations: fits instructions to the kernel's types.
//!
//! `btf::relo` says what a record resolves to; here instructions are patched as libbpf 1.7 patches
//! them. One whose field or type the kernel lacks becomes [`POISON`], a call of a helper that does
//! not exist: the verifier refuses it only where a path executes it, and says what is missing. A
//! record that cannot be resolved or applied becomes a finding of every program that reaches its
//! function; libbpf refuses the whole object.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::link::Funcs;
use super::source::{Source, btf_error};
use super::{KernelTypes, LoadError, Problem, Program};
use crate::btf::relo::{CoreError, CoreKind, Missing, Outcome, Relocator, Resolution, Resolved, Targets};
use crate::btf::{Btf, CoreRelo};
use crate::diag::{Code, Diagnostic};
use crate::elf::SectionIdx;
use crate::isa::{CallTarget, Imm64, Insn, InsnIdx, Operand, Size};

/// The helper that poisoned instructions call, in libbpf as here: `0xbad2310`, "bad relo".
pub const POISON: u32 = 195_896_080;

/// A CO-RE relocation of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreRelocation {
    /// The instruction: its slot in the function.
    slot: u32,
    /// What it resolved to.
    pub resolution: Arc<Resolution>,
    /// Whether the instruction was replaced by [`POISON`].
    pub poisoned: bool,
}

/// The CO-RE relocations of a program, by instruction.
///
/// Functions that several programs have share their part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreRelocations {
    /// Where each function begins in the program, ascending.
    functions: Vec<(InsnIdx, Arc<[CoreRelocation]>)>,
}

impl CoreRelocations {
    /// Adds a function's, which begins after those that were added before.
    pub(super) fn push(&mut self, base: InsnIdx, relocations: &Arc<[CoreRelocation]>) {
        if !relocations.is_empty() {
            self.functions.push((base, Arc::clone(relocations)));
        }
    }

    /// All of them with the instructions to which they were applied, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (InsnIdx, &CoreRelocation)> {
        self.functions.iter().flat_map(|(base, all)| all.iter().map(|one| (InsnIdx(base.0 + one.slot), one)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The last one that was applied to an instruction.
    #[must_use]
    pub fn at(&self, at: InsnIdx) -> Option<&CoreRelocation> {
        let after = self.functions.partition_point(|(base, _)| *base <= at);
        let (base, all) = self.functions.get(after.checked_sub(1)?)?;
        let slot = at.0 - base.0;
        let after = all.partition_point(|one| one.slot <= slot);
        all.get(after.checked_sub(1)?).filter(|one| one.slot == slot)
    }
}

impl CoreRelocation {
    /// What it is about, for reading: `struct task_struct.pid`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.resolution.local.path
    }

    /// Why the instruction is poisoned.
    fn lack(&self, kernel: &str) -> String {
        let path = self.path();
        match (self.resolution.outcome, self.resolution.resize) {
            (Outcome::Missing(Missing::Type), _) => {
                let ty = path.split(['.', '[']).next().and_then(|path| path.split("::").next());
                format!("`{}` is not in {kernel}", ty.unwrap_or(path))
            }
            (Outcome::Missing(Missing::Part), _) => format!("`{path}` is not in {kernel}"),
            (Outcome::Value(_), Some(resize)) => format!(
                "`{path}` has {} bytes in {kernel} and {} in the program: only pointers and unsigned integers may \
                 change their size",
                resize.to, resize.from
            ),
            (Outcome::Value(_), None) => format!("`{path}` cannot be accessed"),
        }
    }
}

impl Program {
    /// Why an instruction was poisoned, where it was: what to say of a program that executes it.
    #[must_use]
    pub fn poisoned(&self, at: InsnIdx) -> Option<Diagnostic> {
        let relocation = self.core.at(at).filter(|relocation| relocation.poisoned)?;
        let (kernel, help) = match self.kernel {
            KernelTypes::Own => (
                "the object's own types, which stand for the kernel's",
                "give the kernel's types (`--btf`), or ask with `bpf_core_field_exists` or `bpf_core_type_exists` first",
            ),
            KernelTypes::Kernel(_) => (
                "the kernel's BTF",
                "ask with `bpf_core_field_exists`, `bpf_core_type_exists` or `bpf_core_enum_value_exists` first, and \
                 describe other kernels' types with flavours (`struct name___old`)",
            ),
        };
        let message = format!("CO-RE: {} (invalid func unknown#{POISON})", relocation.lack(kernel));
        Some(Diagnostic::at(Code::CoreMissing, at, message).help(help))
    }
}

/// A record, and what it resolves to.
struct Record {
    relo: CoreRelo,
    resolved: Resolved,
}

/// The resolved records of an object, by section, sorted by offset.
pub(super) struct Core<'a> {
    /// The object's types.
    btf: Option<&'a Btf>,
    sections: BTreeMap<&'a str, Vec<Record>>,
}

impl<'a> Core<'a> {
    /// Resolves the records of all functions, in the order of the file.
    pub(super) fn resolve(
        source: &'a Source<'_>,
        funcs: &Funcs<'_>,
        kernel: &KernelTypes,
    ) -> Result<Self, LoadError> {
        let mut core = Self { btf: source.btf.as_deref(), sections: BTreeMap::new() };
        let Some(btf) = source.btf.as_deref().filter(|_| !source.core_relos.is_empty()) else {
            return Ok(core);
        };
        let modules: Vec<&Btf> = match kernel {
            KernelTypes::Own => Vec::new(),
            KernelTypes::Kernel(kernel) => kernel.modules.iter().map(|(_, module)| &**module).collect(),
        };
        let targets = match kernel {
            KernelTypes::Own => Targets::Own,
            KernelTypes::Kernel(kernel) => Targets::Kernel { vmlinux: &kernel.vmlinux, modules: &modules },
        };
        let mut relocator = Relocator::new(btf, targets);
        let mut sections: BTreeMap<&str, SectionIdx> = BTreeMap::new();
        for (index, section) in source.elf.sections_with_index() {
            sections.entry(section.name).or_insert(index);
        }
        // libbpf does not resolve those of programs that it does not load; what comes of them must
        // not change the others.
        for optional in [false, true] {
            for table in &source.core_relos {
                let name = btf.str(table.section).map_err(|e| btf_error(&e, ".BTF.ext"))?;
                if let Some(&index) = sections.get(name).filter(|_| name.starts_with('?') == optional) {
                    core.section((name, index), funcs, &mut relocator, &table.records)?;
                }
            }
        }
        for records in core.sections.values_mut() {
            records.sort_by_key(|record| record.relo.insn_off);
        }
        Ok(core)
    }

    fn section(
        &mut self,
        (name, index): (&'a str, SectionIdx),
        funcs: &Funcs<'_>,
        relocator: &mut Relocator<'_>,
        table: &[CoreRelo],
    ) -> Result<(), LoadError> {
        let records = self.sections.entry(name).or_default();
        for relo in table {
            if !relo.insn_off.is_multiple_of(8) {
                let (what, expected) = ("offset of a CO-RE relocation", "a multiple of 8");
                return Err(Problem::Invalid { what, found: relo.insn_off.into(), expected }.in_section(name));
            }
            // The linker leaves the records of functions that it drops.
            if funcs.holding(index, relo.insn_off.into()) {
                records.push(Record { relo: *relo, resolved: relocator.resolve(relo) });
            }
        }
        Ok(())
    }

    /// A record in words, whether it could be resolved or not.
    fn describe(&self, record: &Record) -> String {
        let kind = CoreKind::from_number(record.relo.kind).map_or("relocation", CoreKind::name);
        if let Ok(resolution) = &record.resolved {
            return format!("{kind} of `{}`", resolution.local);
        }
        let name = self.btf.and_then(|btf| btf.get(record.relo.ty).and_then(|ty| ty.name()).ok());
        let access = self.btf.and_then(|btf| btf.str(record.relo.access).ok()).unwrap_or_default();
        let short = |text: &str| text.chars().take(80).collect::<String>();
        let name = name.filter(|name| !name.is_empty()).map_or("an anonymous type".to_owned(), short);
        format!("{kind} of `{name}` ({})", short(access))
    }

    /// Patches a function's instructions.
    pub(super) fn apply(
        &self,
        section: &str,
        (start, end): (u64, u64),
        insns: &mut [Insn],
        mut find: impl FnMut(Diagnostic),
    ) -> Arc<[CoreRelocation]> {
        let records = self.sections.get(section).map_or(&[][..], Vec::as_slice);
        let from = records.partition_point(|record| u64::from(record.relo.insn_off) < start);
        let to = records.partition_point(|record| u64::from(record.relo.insn_off) < end);
        let mut applied = Vec::with_capacity(to.saturating_sub(from));
        for record in &records[from..to.max(from)] {
            let slot = u32::try_from((u64::from(record.relo.insn_off) - start) / 8).unwrap_or(u32::MAX);
            let outcome = match &record.resolved {
                Ok(resolution) => patch(insns, slot, resolution).map(|poisoned| (resolution, poisoned)),
                Err(error) => Err((code(error), error.to_string())),
            };
            match outcome {
                Ok((resolution, poisoned)) => {
                    applied.push(CoreRelocation { slot, resolution: Arc::clone(resolution), poisoned });
                }
                Err((code, reason)) => {
                    let message = format!("CO-RE: {}: {reason}", self.describe(record));
                    find(Diagnostic::at(code, InsnIdx(slot), message));
                }
            }
        }
        applied.into()
    }
}

fn code(error: &CoreError) -> Code {
    match error {
        CoreError::Limit { .. } => Code::UnsupportedRelocation,
        CoreError::Btf(_)
        | CoreError::UnknownKind { .. }
        | CoreError::Access { .. }
        | CoreError::Anonymous { .. }
        | CoreError::Element { .. }
        | CoreError::BitField
        | CoreError::Offset
        | CoreError::Ambiguous { .. } => Code::CoreRelocation,
    }
}

type Patched<T> = Result<T, (Code, String)>;

fn refuse<T>(reason: impl Into<String>) -> Patched<T> {
    Err((Code::CoreRelocation, reason.into()))
}

/// Patches an instruction; says whether it is poisoned now.
fn patch(insns: &mut [Insn], slot: u32, resolution: &Resolution) -> Patched<bool> {
    let Some(insn) = insns.get_mut(slot as usize) else { return refuse("it is beyond the function's end") };
    let value = match resolution.outcome {
        Outcome::Value(value) => value,
        Outcome::Missing(_) => return poison(insns, slot),
    };
    match insn {
        Insn::Alu { src: Operand::Imm(imm), .. } => {
            expect(resolution, i64::from(*imm).cast_unsigned())?;
            // libbpf cuts what does not fit, too.
            *imm = low_half(value);
        }
        Insn::LoadImm64 { imm: Imm64::Value(imm), .. } => {
            expect(resolution, *imm)?;
            *imm = value;
        }
        Insn::Load { off, .. }
        | Insn::Store { off, .. }
        | Insn::Atomic { off, .. }
        | Insn::LoadAcquire { off, .. }
        | Insn::StoreRelease { off, .. } => {
            expect(resolution, i64::from(*off).cast_unsigned())?;
            let Ok(new) = i16::try_from(value) else {
                return refuse(format!("offset {value} does not fit an instruction's 16 bits"));
            };
            if resolution.resize.is_some_and(|resize| !resize.safe) {
                return poison(insns, slot);
            }
            *off = new;
            resize(insn, resolution)?;
        }
        Insn::Alu { src: Operand::Reg(_), .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::SecondSlot
        | Insn::LegacyLoad { .. }
        | Insn::Ja { .. }
        | Insn::Gotol { .. }
        | Insn::MayGoto { .. }
        | Insn::Branch { .. }
        | Insn::Call(_)
        | Insn::Exit => return refuse("the instruction has no value of its own to relocate"),
    }
    Ok(false)
}

/// Compares the value that the compiler wrote with the one by the object's types.
fn expect(resolution: &Resolution, found: u64) -> Patched<()> {
    if !resolution.validate || found == resolution.original {
        return Ok(());
    }
    let expected = resolution.original.cast_signed();
    refuse(format!(
        "the instruction has the value {}, by the object's types it is {expected}",
        found.cast_signed()
    ))
}

/// Changes how many bytes an access takes.
fn resize(insn: &mut Insn, resolution: &Resolution) -> Patched<()> {
    let Some(resize) = resolution.resize else { return Ok(()) };
    let to = match resize.to {
        1 => Some(Size::B),
        2 => Some(Size::H),
        4 => Some(Size::W),
        8 => Some(Size::DW),
        _ => None,
    };
    let signed_dw = matches!(insn, Insn::Load { signed: true, .. }) && to == Some(Size::DW);
    let narrow = matches!(insn, Insn::Atomic { .. }) && matches!(to, Some(Size::B | Size::H));
    match (insn, to) {
        (
            Insn::Load { size, .. }
            | Insn::Store { size, .. }
            | Insn::Atomic { size, .. }
            | Insn::LoadAcquire { size, .. }
            | Insn::StoreRelease { size, .. },
            Some(to),
        ) if size.bytes() == resize.from && !signed_dw && !narrow => *size = to,
        _ => {
            return refuse(format!(
                "the field has {} bytes in the kernel's types and {} in the object's; the instruction cannot be made \
                 to access it",
                resize.to, resize.from
            ));
        }
    }
    Ok(())
}

/// Makes an instruction one that must not be executed.
fn poison(insns: &mut [Insn], slot: u32) -> Patched<bool> {
    let at = slot as usize;
    let poison = Insn::Call(CallTarget::Helper(POISON));
    match insns.get(at) {
        Some(Insn::LoadImm64 { imm: Imm64::Value(_), .. }) => {
            for insn in insns.iter_mut().skip(at).take(2) {
                *insn = poison;
            }
        }
        Some(
            Insn::Alu { .. }
            | Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. },
        ) => insns[at] = poison,
        // Poisoned by an earlier record.
        Some(Insn::Call(CallTarget::Helper(POISON))) => {}
        Some(
            Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::LoadImm64 { .. }
            | Insn::SecondSlot
            | Insn::LegacyLoad { .. }
            | Insn::Ja { .. }
            | Insn::Gotol { .. }
            | Insn::MayGoto { .. }
            | Insn::Branch { .. }
            | Insn::Call(_)
            | Insn::Exit,
        )
        | None => return refuse("the instruction has no value of its own to relocate"),
    }
    Ok(true)
}

/// The low 32 bits.
fn low_half(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}
