//! One function: decoded, its relocations resolved, its source lines found.
//!
//! Slots count from the function's start. The distances of calls are left to the linker, which
//! knows where each program has the functions.

use std::ops::Range;
use std::sync::Arc;

use super::core::{Core, CoreRelocation};
use super::link::{Func, FuncIdx};
use super::relocs::Referents;
use super::signature::Signature;
use super::source::{Source, btf_error, data};
use super::{LoadError, Problem, relocs};
use crate::btf::LineInfo;
use crate::diag::{Code, Diagnostic};
use crate::isa::{DecodeError, Insn, SlotProblem, decode};

/// Most findings of one function; more say nothing new.
pub(super) const MAX_FINDINGS: usize = 32;

/// A function's content.
pub(super) struct Body<'s> {
    /// Its instructions; empty where some bytes are none.
    pub(super) insns: Vec<Insn>,
    /// Slots that call a function or load its address, in order.
    pub(super) calls: Vec<(u32, FuncIdx)>,
    /// What BTF says of it.
    pub(super) signature: Option<Signature>,
    /// Its CO-RE relocations.
    pub(super) core: Arc<[CoreRelocation]>,
    /// Source lines, as `.BTF.ext` has them.
    pub(super) lines: Option<(&'s Arc<Vec<LineInfo>>, Range<usize>)>,
    /// What keeps programs that reach it from running.
    pub(super) findings: Vec<Diagnostic>,
}

impl<'s> Body<'s> {
    pub(super) fn read(
        source: &'s Source<'_>,
        to: Referents<'_, '_>,
        func: &Func<'_>,
        core: &Core<'_>,
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
            core: Arc::new([]),
            lines: None,
            findings: Vec::new(),
        };
        match decode(bytes, source.elf.endianness) {
            Ok(insns) => body.insns = insns,
            Err(error) => {
                body.findings.push(undecodable(func, &error));
                return Ok(body);
            }
        }
        relocs::resolve(source, to, func, bytes, &mut body)?;
        let infos = source.funcs.get(section.name).map_or(&[][..], Vec::as_slice);
        if let Some(info) = within(infos, func, |info| info.insn_off).first() {
            let signature = Signature::read(source, info.ty);
            body.signature = Some(signature.map_err(|e| btf_error(&e, ".BTF.ext").of(func.name))?);
        }
        let Self { insns, findings, .. } = &mut body;
        body.core = core.apply(section.name, (func.start, func.end), insns, |finding| {
            if findings.len() < MAX_FINDINGS {
                findings.push(finding);
            }
        });
        let table = source.lines.get(section.name);
        body.lines = table.map(|table| (table, range_within(table, func, |line| line.insn_off)));
        Ok(body)
    }
}

/// Bytes that are no instructions, as a finding.
fn undecodable(func: &Func<'_>, error: &DecodeError) -> Diagnostic {
    /// `gotox`, a jump to an address out of a table: Linux has it since 6.19.
    const INDIRECT_JUMP: u8 = 0x0d;
    let (at, problem) = match error {
        DecodeError::Slot { at, problem, .. } => (Some(*at), Some(problem)),
        DecodeError::Length { .. } | DecodeError::TooLong { .. } => (None, None),
    };
    let finding = if let Some(SlotProblem::UnknownOpcode { opcode: INDIRECT_JUMP }) = problem {
        let message = format!("in `{}`: an indirect jump (`gotox`), which Linux has since 6.19", func.name);
        Diagnostic::program(Code::UnsupportedFeature, message)
            .help("compile with clang's `-fno-jump-tables`, or for `-mcpu=v3`")
    } else {
        Diagnostic::program(Code::InvalidInstruction, format!("in `{}`: {error}", func.name))
    };
    Diagnostic { insn: at, ..finding }
}

/// The records of a sorted table that belong to a function.
fn within<'t, T>(table: &'t [T], func: &Func<'_>, offset: impl Fn(&T) -> u32) -> &'t [T] {
    &table[range_within(table, func, offset)]
}

/// Where they are in the table.
fn range_within<T>(table: &[T], func: &Func<'_>, offset: impl Fn(&T) -> u32) -> Range<usize> {
    let start = table.partition_point(|record| u64::from(offset(record)) < func.start);
    let end = table.partition_point(|record| u64::from(offset(record)) < func.end);
    start..end.max(start)
}
