//! Where each byte of a value comes from.
//!
//! Follows shifts by whole bytes, masks of whole bytes, unions of disjoint bytes, extensions and
//! swaps. What it cannot follow is a byte of the value itself, so an answer is never wrong, at most
//! useless.

use crate::ir::{Binary, ExtendKind, Function, Op, Type, Unary, Value};
use crate::opt::table::WordMap;

/// The source of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A known byte.
    Const(u8),
    /// A byte of a value, the least first.
    Of(Value, u8),
}

/// The bytes of a value, the least first. Those that its type does not have are 0.
pub type Word = [Source; 8];

const ZERO: Word = [Source::Const(0); 8];

/// What is known of the values of a function so far.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    words: WordMap<u32, Word>,
}

impl Bytes {
    /// The bytes of a value.
    #[must_use]
    pub fn of(&self, function: &Function, value: Value) -> Word {
        if let Some(bits) = function.as_const(value) {
            return bits.to_le_bytes().map(Source::Const);
        }
        match self.words.get(&value.0) {
            Some(word) => *word,
            None => itself(value, count(function.ty(value))),
        }
    }

    /// Whether something is known of a value besides that it has bytes.
    #[must_use]
    pub fn knows(&self, value: Value) -> bool {
        self.words.contains_key(&value.0)
    }

    /// Notes an instruction's result. To be called before those that use it.
    pub fn note(&mut self, function: &Function, value: Value, op: &Op) {
        if let Some(word) = self.word(function, value, op) {
            self.words.insert(value.0, word);
        }
    }

    fn word(&self, function: &Function, value: Value, op: &Op) -> Option<Word> {
        let n = count(function.ty(value));
        match *op {
            Op::Load { size, extend: ExtendKind::Zero, .. } if (size.bytes() as usize) < n => {
                Some(itself(value, size.bytes() as usize))
            }
            Op::Binary { op, a, b } => self.binary(function, op, a, b, n),
            Op::Extend { kind, from, a } => {
                let (mut word, low) = (itself(value, n), from.bytes() as usize);
                word[..low].copy_from_slice(&self.of(function, a)[..low]);
                if kind == ExtendKind::Zero {
                    word[low..].fill(Source::Const(0));
                }
                Some(word)
            }
            Op::Trunc(a) => {
                let mut word = self.of(function, a);
                word[4..].fill(Source::Const(0));
                Some(word)
            }
            Op::Unary { op, a } => {
                let n = match op {
                    Unary::Neg => return None,
                    Unary::Swap16 => 2,
                    Unary::Swap32 => 4,
                    Unary::Swap64 => 8,
                };
                let mut word = ZERO;
                word[..n].copy_from_slice(&self.of(function, a)[..n]);
                word[..n].reverse();
                Some(word)
            }
            _ => None,
        }
    }

    fn binary(&self, function: &Function, op: Binary, a: Value, b: Value, n: usize) -> Option<Word> {
        let constant = function.as_const(b);
        let (x, y) = (self.of(function, a), self.of(function, b));
        let bytes = || {
            let shift = usize::try_from(constant?).ok()?;
            (shift % 8 == 0 && shift / 8 < n).then_some(shift / 8)
        };
        let mut word = ZERO;
        match op {
            Binary::Shl => {
                let by = bytes()?;
                word[by..n].copy_from_slice(&x[..n - by]);
            }
            Binary::Ushr => {
                let by = bytes()?;
                word[..n - by].copy_from_slice(&x[by..n]);
            }
            Binary::And => {
                constant?;
                for (i, slot) in word.iter_mut().enumerate() {
                    *slot = match (x[i], y[i]) {
                        (_, Source::Const(0)) => Source::Const(0),
                        (from, Source::Const(0xff)) => from,
                        _ => return None,
                    };
                }
            }
            // Without a byte in common all three are the same.
            Binary::Or | Binary::Xor | Binary::Add => {
                for (i, slot) in word.iter_mut().enumerate() {
                    *slot = match (x[i], y[i]) {
                        (from, Source::Const(0)) | (Source::Const(0), from) => from,
                        _ => return None,
                    };
                }
            }
            Binary::Sub
            | Binary::Mul
            | Binary::Udiv
            | Binary::Sdiv
            | Binary::Urem
            | Binary::Srem
            | Binary::Sshr
            | Binary::Rotl
            | Binary::Umulhi => return None,
        }
        Some(word)
    }
}

/// The lowest `n` bytes of a value, the others 0.
fn itself(value: Value, n: usize) -> Word {
    let mut word = ZERO;
    for (i, slot) in (0..).zip(&mut word[..n]) {
        *slot = Source::Of(value, i);
    }
    word
}

/// How many bytes a type has.
fn count(ty: Type) -> usize {
    match ty {
        Type::I1 => 1,
        Type::I32 => 4,
        Type::I64 => 8,
    }
}
