//! Loads: values that are put together of bytes of memory, or of another value's bytes in reverse.

use super::bytes::{Source, Word};
use super::{Byte, Combiner, Order, common, run_of, size, swap};
use crate::ir::{Binary, Block, Inst, Op, Type, Value};
use crate::isa::InsnIdx;

/// A part of a value that one load can yield.
struct Part {
    /// The bytes in the value's order.
    bytes: Vec<Byte>,
    order: Order,
    least: Byte,
    /// The position of the part in the value.
    at: usize,
}

impl Combiner<'_> {
    pub(super) fn block_loads(&mut self, block: Block) {
        self.begin();
        let insts = std::mem::take(&mut self.function.block_mut(block).insts);
        for (at, inst) in insts.iter().enumerate() {
            self.note(at, *inst);
            let data = *self.function.inst(*inst);
            if let (Op::Binary { op: Binary::Or | Binary::Xor | Binary::Add, b, .. }, Some(result)) =
                (data.op, data.result)
                && self.function.as_const(b).is_none()
                && self.bytes.knows(result)
            {
                let word = self.bytes.of(self.function, result);
                self.union(at, *inst, result, &word);
            }
        }
        self.place_added(block, insts);
    }

    /// A union of bytes stands at a place.
    fn union(&mut self, at: usize, inst: Inst, result: Value, word: &Word) {
        if let Some(op) = self.reversed(result, word) {
            self.function.inst_mut(inst).op = op;
            return;
        }
        let Some(parts) = self.parts(word) else { return };
        let mut loads: Vec<Value> = parts.iter().flat_map(|part| &part.bytes).map(|byte| byte.load).collect();
        loads.dedup();
        if parts.len() < loads.len() {
            let origin = self.function.inst(inst).origin;
            if let Some(value) = self.together(at, &parts, self.function.ty(result), origin) {
                self.function.replace(result, value);
            }
        }
    }

    /// A value of which the bytes are another's in reverse.
    fn reversed(&self, result: Value, word: &Word) -> Option<Op> {
        let n = word.iter().rposition(|source| *source != Source::Const(0))? + 1;
        let Source::Of(of, last) = word[0] else { return None };
        let op = swap(n).filter(|_| usize::from(last) == n - 1)?;
        let reversed = (0..n).all(|i| word[i] == Source::Of(of, last - u8::try_from(i).expect("at most 7")));
        (reversed && self.function.ty(of) == self.function.ty(result)).then_some(Op::Unary { op, a: of })
    }

    /// The parts of which a value of bytes of memory consists.
    fn parts(&self, word: &Word) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < word.len() {
            if word[at] == Source::Const(0) {
                at += 1;
                continue;
            }
            let bytes: Vec<Byte> = word[at..].iter().map_while(|source| self.memory(*source)).collect();
            if bytes.is_empty() {
                return None;
            }
            let (n, order, least) = run_of(&bytes);
            parts.push(Part { bytes: bytes[..n].to_vec(), order, least, at });
            at += n;
        }
        Some(parts)
    }

    /// Loads the parts and puts them together at a place.
    fn together(&mut self, at: usize, parts: &[Part], ty: Type, origin: InsnIdx) -> Option<Value> {
        let mut loaded = Vec::with_capacity(parts.len());
        for part in parts {
            let loads: Vec<Value> = part.bytes.iter().map(|byte| byte.load).collect();
            size(part.bytes.len())?;
            loaded.push(self.wide_load(common(&part.bytes, part.least), &loads, origin)?.0);
        }
        let mut sum = None;
        for (part, mut value) in parts.iter().zip(loaded) {
            if let (Order::Big, Some(op)) = (part.order, swap(part.bytes.len())) {
                value = self.add(at, Op::Unary { op, a: value }, Type::I64, origin);
            }
            if part.at > 0 {
                let bits = self.add(at, Op::Const(8 * part.at as u64), Type::I64, origin);
                value = self.add(at, Op::Binary { op: Binary::Shl, a: value, b: bits }, Type::I64, origin);
            }
            sum = Some(match sum {
                Some(sum) => self.add(at, Op::Binary { op: Binary::Or, a: sum, b: value }, Type::I64, origin),
                None => value,
            });
        }
        match ty {
            Type::I64 => sum,
            Type::I32 => Some(self.add(at, Op::Trunc(sum?), Type::I32, origin)),
            Type::I1 => None,
        }
    }
}
