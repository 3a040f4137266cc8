//! A table of pure operations, by which equal ones are found.
//!
//! Two operations are equal if they do the same to the same values and yield the same type. Operands
//! of commutative operations are put into one order first, by whoever makes the key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::ir::{Op, Type, Value};

/// Hashes words of our own making by multiplication: nobody chooses them to collide at will, and a
/// long chain costs time only where a program repeats itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0.rotate_left(29) ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// A map with words or indices as keys.
pub type WordMap<K, V> = HashMap<K, V, BuildHasherDefault<WordHasher>>;

/// An operation as two words.
pub type Key = (u64, u64);

/// The key of a pure operation.
#[must_use]
pub fn key(op: &Op, ty: Type) -> Option<Key> {
    let head = |tag: u64, sub: u64, a: u32| tag | sub << 8 | (ty as u64) << 24 | u64::from(a) << 32;
    let pair = |a: Value, b: Value| u64::from(a.0) | u64::from(b.0) << 32;
    Some(match *op {
        Op::Const(bits) => (head(1, 0, 0), bits),
        Op::Binary { op, a, b } => (head(2, op as u64, 0), pair(a, b)),
        Op::Unary { op, a } => (head(3, op as u64, 0), u64::from(a.0)),
        Op::Compare { cond, a, b } => (head(4, cond as u64, 0), pair(a, b)),
        Op::Select { cond, then, otherwise } => (head(5, 0, cond.0), pair(then, otherwise)),
        Op::Extend { kind, from, a } => (head(6, kind as u64 | (from as u64) << 4, 0), u64::from(a.0)),
        Op::Trunc(a) => (head(7, 0, 0), u64::from(a.0)),
        Op::FromBool(a) => (head(8, 0, 0), u64::from(a.0)),
        Op::StackAddr(off) => (head(9, 0, 0), u64::from(off.cast_unsigned())),
        Op::MapHandle(map) => (head(10, 0, 0), u64::from(map.0)),
        Op::MapValueAddr { map, off } => (head(11, 0, map.0), u64::from(off)),
        Op::MapElemAddr { map, index } => (head(12, 0, map.0), u64::from(index.0)),
        Op::CpuId => (head(13, 0, 0), 0),
        Op::Load { .. }
        | Op::Store { .. }
        | Op::AtomicRmw { .. }
        | Op::AtomicCas { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. }
        | Op::CallHelper { .. }
        | Op::CallRoutine { .. }
        | Op::CallHost { .. }
        | Op::CallSubprog { .. } => return None,
    })
}
