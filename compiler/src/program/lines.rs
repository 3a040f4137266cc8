//! Source lines of a program's instructions.
//!
//! Holds where texts are in the object's BTF, not the texts: most are never looked at. A place where no text is reads
//! as an empty text, since nothing but messages depends on it.

use std::ops::Range;
use std::sync::Arc;

use crate::btf::{Btf, LineInfo, StrOff};
use crate::isa::InsnIdx;

/// Where an instruction came from in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLine<'p> {
    /// First instruction to which it applies, up to the next line's.
    pub insn: InsnIdx,
    /// File as the compiler named it.
    pub file: &'p str,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 where unknown.
    pub column: u32,
    /// The line's text; empty where the object does not hold it.
    pub text: &'p str,
}

/// Source lines, sorted by instruction; equal where their texts are.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// One for each function that has lines, in order.
    funcs: Vec<FuncLines>,
    texts: Texts,
}

/// The lines of one function of a program: a part of its section's table, which all its programs share.
#[derive(Clone, Debug)]
struct FuncLines {
    /// First slot of the function in the program.
    base: u32,
    /// First byte of the function in its section.
    start: u64,
    table: Arc<Vec<LineInfo>>,
    /// Which records of the table; never empty.
    range: Range<usize>,
}

impl FuncLines {
    fn records(&self) -> &[LineInfo] {
        self.table.get(self.range.clone()).unwrap_or_default()
    }

    fn insn(&self, record: &LineInfo) -> InsnIdx {
        let slot = u64::from(record.insn_off).saturating_sub(self.start) / 8;
        InsnIdx(self.base.saturating_add(u32::try_from(slot).unwrap_or(u32::MAX)))
    }

    /// Of several lines of one instruction the first counts.
    fn of(&self, at: InsnIdx) -> Option<&LineInfo> {
        let after = self.records().partition_point(|record| self.insn(record) <= at);
        let last = self.insn(self.records().get(after.checked_sub(1)?)?);
        self.records().get(self.records().partition_point(|record| self.insn(record) < last))
    }

    fn iter(&self) -> impl Iterator<Item = &LineInfo> {
        let mut last = None;
        self.records().iter().filter(move |record| {
            let insn = Some(self.insn(record));
            std::mem::replace(&mut last, insn) != insn
        })
    }
}

/// Where texts are.
#[derive(Clone, Debug)]
enum Texts {
    Types(Arc<Btf>),
    /// By number instead of by offset.
    List(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Texts {
    fn at(&self, off: StrOff) -> &str {
        match self {
            Self::Types(btf) => btf.str(off).unwrap_or_default(),
            Self::List(texts) => texts.get(off.0 as usize).map_or("", String::as_str),
        }
    }
}

impl Lines {
    /// Lines that did not come from an object, in the order of their instructions.
    #[must_use]
    pub fn from_list(lines: &[SourceLine<'_>]) -> Self {
        let texts = lines.iter().flat_map(|line| [line.file.to_owned(), line.text.to_owned()]).collect();
        let record = |(at, line): (u32, &SourceLine<'_>)| LineInfo {
            insn_off: line.insn.0.saturating_mul(8),
            file: StrOff(2 * at),
            text: StrOff(2 * at + 1),
            line: line.line,
            column: line.column,
        };
        let mut list = Self { funcs: Vec::new(), texts: Texts::List(texts) };
        let table = Arc::new((0..).zip(lines).map(record).collect());
        list.push(0, 0, &table, 0..lines.len());
        list
    }

    /// No lines yet, with texts in an object's BTF.
    pub(super) fn in_types(btf: Option<&Arc<Btf>>) -> Self {
        let texts = btf.map_or_else(Texts::default, |btf| Texts::Types(Arc::clone(btf)));
        Self { funcs: Vec::new(), texts }
    }

    /// Appends a part of a section's table: the lines of a function that begins at a byte offset of the
    /// section, and at a slot of the program.
    pub(super) fn push(&mut self, start: u64, base: u32, table: &Arc<Vec<LineInfo>>, range: Range<usize>) {
        if !range.is_empty() {
            self.funcs.push(FuncLines { base, start, table: Arc::clone(table), range });
        }
    }

    fn show(&self, func: &FuncLines, record: &LineInfo) -> SourceLine<'_> {
        let LineInfo { file, text, line, column, .. } = *record;
        SourceLine {
            insn: func.insn(record),
            file: self.texts.at(file),
            line,
            column,
            text: self.texts.at(text),
        }
    }

    /// The line that applies to an instruction.
    #[must_use]
    pub fn of(&self, at: InsnIdx) -> Option<SourceLine<'_>> {
        let first = |func: &FuncLines| func.records().first().map(|record| func.insn(record));
        let after = self.funcs.partition_point(|func| first(func) <= Some(at));
        let func = self.funcs.get(after.checked_sub(1)?)?;
        func.of(at).map(|record| self.show(func, record))
    }

    /// All lines.
    pub fn iter(&self) -> impl Iterator<Item = SourceLine<'_>> {
        self.funcs.iter().flat_map(|func| func.iter().map(|record| self.show(func, record)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.funcs.is_empty()
    }
}

impl PartialEq for Lines {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Lines {}
