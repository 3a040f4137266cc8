//! Reuses what loads and stores have shown of memory.
//!
//! A load of bytes that were loaded or stored before, and that nothing may have written since, yields
//! them again. What is known reaches from a block into those that only it leads to, so never around a
//! loop: a program that waits for another thread's store reads anew each time.

use super::alias::{Range, may_write};
use super::table::WordMap;
use crate::ir::{Binary, Block, ExtendKind, Function, Inst, Op, Type, Unit, Value};
use crate::isa::{InsnIdx, Size};

/// Reuses memory's content in all functions.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        let mut forwarder = Forwarder { function, known: Vec::new() };
        forwarder.run();
    }
}

/// Places known at a time: the oldest is forgotten first. Keeps long blocks linear.
const MAX_KNOWN: usize = 32;

/// What some bytes of memory hold.
#[derive(Clone, Copy)]
struct Known {
    range: Range,
    /// Has them in its low bits.
    value: Value,
    /// How a load widened them; `None` where they were stored, so that the bits above are others.
    widened: Option<ExtendKind>,
}

struct Forwarder<'a> {
    function: &'a mut Function,
    known: Vec<Known>,
}

impl Forwarder<'_> {
    fn run(&mut self) {
        let predecessors = self.function.predecessors();
        // What is known at the end of blocks, and how many blocks still wait for it.
        let mut at_end: WordMap<u32, (Vec<Known>, usize)> = WordMap::default();
        for block in self.function.reverse_postorder() {
            self.known = match predecessors[block.index()][..] {
                [from] => take(&mut at_end, from),
                _ => Vec::new(),
            };
            self.block(block);
            let mut waiting = 0;
            self.function.block(block).end.for_each_edge(|edge| {
                waiting += usize::from(predecessors[edge.block.index()].len() == 1);
            });
            if waiting > 0 {
                at_end.insert(block.0, (std::mem::take(&mut self.known), waiting));
            }
        }
        self.function.apply_replacements();
    }

    fn block(&mut self, block: Block) {
        let insts = std::mem::take(&mut self.function.block_mut(block).insts);
        let mut out = Vec::with_capacity(insts.len());
        for inst in insts {
            let mut data = *self.function.inst(inst);
            if data.op.is_pure() {
                out.push(inst);
                continue;
            }
            // Addresses that earlier loads yielded.
            data.op.for_each_operand_mut(|value| *value = self.function.resolve(*value));
            if let (Op::Load { mem, size, extend }, Some(result)) = (data.op, data.result) {
                let (range, ty) = (Range::new(mem, size), self.function.ty(result));
                if let Some(value) = self.reuse(&range, size, extend, ty, &mut out, data.origin) {
                    self.function.replace(result, value);
                } else {
                    self.learn(Known { range, value: result, widened: Some(extend) });
                    out.push(inst);
                }
                continue;
            }
            self.known.retain(|known| !may_write(&data.op, &known.range));
            if let Op::Store { mem, size, value } = data.op {
                self.learn(Known { range: Range::new(mem, size), value, widened: None });
            }
            out.push(inst);
        }
        self.function.block_mut(block).insts = out;
    }

    fn learn(&mut self, known: Known) {
        if self.known.len() >= MAX_KNOWN {
            self.known.remove(0);
        }
        self.known.push(known);
    }

    /// What a load yields, if it is known.
    fn reuse(
        &mut self,
        range: &Range,
        size: Size,
        extend: ExtendKind,
        ty: Type,
        out: &mut Vec<Inst>,
        origin: InsnIdx,
    ) -> Option<Value> {
        let (known, skip) =
            self.known.iter().rev().find_map(|known| Some((*known, within(range, known)?)))?;
        let from = self.function.ty(known.value);
        let exact = skip == 0 && known.range.bytes == range.bytes;
        if exact && from == ty && (known.widened == Some(extend) || 8 * range.bytes == width(ty)) {
            return Some(known.value);
        }
        let mut push = |function: &mut Function, op, ty| {
            let (inst, value) = function.make(op, ty, origin);
            out.push(inst);
            value
        };
        let mut value = known.value;
        if skip > 0 {
            let b = push(self.function, Op::Const(u64::from(8 * skip)), from);
            value = push(self.function, Op::Binary { op: Binary::Ushr, a: value, b }, from);
        }
        Some(match (size, from, ty) {
            (Size::DW, ..) => value,
            (Size::W, Type::I64, Type::I32) => push(self.function, Op::Trunc(value), Type::I32),
            (Size::W, Type::I32, Type::I32) => value,
            _ => push(self.function, Op::Extend { kind: extend, from: size, a: value }, ty),
        })
    }
}

/// What was known at the end of a block, for one of those that wait for it.
fn take(at_end: &mut WordMap<u32, (Vec<Known>, usize)>, from: Block) -> Vec<Known> {
    match at_end.get_mut(&from.0) {
        Some((known, waiting)) if *waiting > 1 => {
            *waiting -= 1;
            known.clone()
        }
        _ => at_end.remove(&from.0).map(|(known, _)| known).unwrap_or_default(),
    }
}

/// How many bytes into a known range another begins, if it lies within.
fn within(range: &Range, known: &Known) -> Option<u32> {
    if range.mem.base != known.range.mem.base {
        return None;
    }
    let skip = u32::try_from(i64::from(range.mem.off) - i64::from(known.range.mem.off)).ok()?;
    (skip + range.bytes <= known.range.bytes).then_some(skip)
}

fn width(ty: Type) -> u32 {
    super::constant::width(ty)
}
