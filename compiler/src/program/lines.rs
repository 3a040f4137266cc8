//! Source lines of a program's instructions.
//!
//! Holds where texts are in the object's BTF, not the texts: most are never looked at. A place where no text is reads
//! as an empty text, since nothing but messages depends on it.

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
    records: Vec<Record>,
    texts: Texts,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    insn: InsnIdx,
    file: StrOff,
    text: StrOff,
    line: u32,
    column: u32,
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
        let record = |(at, line): (u32, &SourceLine<'_>)| Record {
            insn: line.insn,
            file: StrOff(2 * at),
            text: StrOff(2 * at + 1),
            line: line.line,
            column: line.column,
        };
        Self { records: (0..).zip(lines).map(record).collect(), texts: Texts::List(texts) }
    }

    /// No lines yet, with texts in an object's BTF.
    pub(super) fn in_types(btf: Option<&Arc<Btf>>, capacity: usize) -> Self {
        let texts = btf.map_or_else(Texts::default, |btf| Texts::Types(Arc::clone(btf)));
        Self { records: Vec::with_capacity(capacity), texts }
    }

    /// Appends the lines of a function that begins at a byte offset of its section, and at a slot of the program.
    /// Of several lines of one instruction the first counts.
    pub(super) fn push(&mut self, start: u64, base: u32, records: &[LineInfo]) {
        let mut last = None;
        for record in records {
            let slot = u64::from(record.insn_off).saturating_sub(start) / 8;
            let insn = InsnIdx(base + u32::try_from(slot).expect("a quotient of 32 bits"));
            if last.replace(insn) != Some(insn) {
                let LineInfo { file, text, line, column, .. } = *record;
                self.records.push(Record { insn, file, text, line, column });
            }
        }
    }

    fn show(&self, record: &Record) -> SourceLine<'_> {
        let Record { insn, file, text, line, column } = *record;
        SourceLine { insn, file: self.texts.at(file), line, column, text: self.texts.at(text) }
    }

    /// The line that applies to an instruction.
    #[must_use]
    pub fn of(&self, at: InsnIdx) -> Option<SourceLine<'_>> {
        let after = self.records.partition_point(|record| record.insn <= at);
        self.records.get(after.checked_sub(1)?).map(|record| self.show(record))
    }

    /// All lines.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SourceLine<'_>> {
        self.records.iter().map(|record| self.show(record))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl PartialEq for Lines {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Lines {}
