//! Makes one wide access of several narrow ones.
//!
//! Clang reads unaligned words byte by byte and puts them together with shifts; it writes and copies
//! them so, too. Where the bytes of a value come from consecutive places of memory, in either order,
//! one load (and a swap) yields it; where consecutive places get consecutive bytes of one value, of a
//! constant, or of other memory, one store does it.
//!
//! All loads of a group stand in one block, and the wide one stands where the last of them did, if
//! nothing between may have written the bytes. All stores of a group stand in one block, and the wide
//! one where the last did, if nothing between may have read or written the bytes. So exactly the bytes
//! are touched that were touched before, which the verifier proved to be accessible. The context is
//! left alone: its bytes are not where bytecode believes.

mod bytes;
mod loads;
mod stores;

use self::bytes::{Bytes, Source};
use super::alias::{Range, may_write};
use super::table::WordMap;
use crate::ir::{Block, ExtendKind, Function, Inst, Mem, Op, Type, Unary, Unit, Value};
use crate::isa::{InsnIdx, Size};
use crate::verify::Access;

/// Combines loads in all functions.
pub fn loads(unit: &mut Unit) {
    run(unit, |combiner, block| combiner.block_loads(block));
}

/// Combines loads and stores in all functions.
pub fn loads_and_stores(unit: &mut Unit) {
    run(unit, |combiner, block| {
        combiner.block_loads(block);
        combiner.block_stores(block);
    });
}

fn run(unit: &mut Unit, mut visit: impl FnMut(&mut Combiner<'_>, Block)) {
    for function in unit.functions.iter_mut().flatten() {
        let mut combiner = Combiner {
            bytes: Bytes::default(),
            place: WordMap::default(),
            writes: Vec::new(),
            wide: Vec::new(),
            added: Vec::new(),
            function,
        };
        for block in combiner.function.reverse_postorder() {
            visit(&mut combiner, block);
        }
        combiner.function.apply_replacements();
    }
}

/// Writes between two loads that are looked at before giving up: keeps long blocks linear.
const MAX_WRITES: usize = 32;

struct Combiner<'a> {
    function: &'a mut Function,
    bytes: Bytes,
    /// Where each load of the block stands.
    place: WordMap<u32, usize>,
    /// Where the block's operations stand that may write, in order.
    writes: Vec<(usize, Inst)>,
    /// Wide loads that were made in the block, and after which place they stand.
    wide: Vec<(Range, usize, Value)>,
    /// New instructions, and after which place each is to stand; in the order in which they were made.
    added: Vec<(usize, Inst)>,
}

/// A place in memory.
#[derive(Clone, Copy, Debug)]
struct Byte {
    /// The load that reads it.
    load: Value,
    mem: Mem,
}

impl Combiner<'_> {
    /// Forgets the block before.
    fn begin(&mut self) {
        self.place.clear();
        self.writes.clear();
        self.wide.clear();
    }

    /// Notes an instruction that stands at a place of the block.
    fn note(&mut self, at: usize, inst: Inst) {
        let data = *self.function.inst(inst);
        if let (Op::Load { .. }, Some(result)) = (data.op, data.result) {
            self.place.insert(result.0, at);
        } else if !data.op.is_pure() {
            self.writes.push((at, inst));
        }
        if let Some(result) = data.result {
            self.bytes.note(self.function, result, &data.op);
        }
    }

    /// Puts the new instructions to their places.
    fn place_added(&mut self, block: Block, insts: Vec<Inst>) {
        if self.added.is_empty() {
            self.function.block_mut(block).insts = insts;
            return;
        }
        let mut added = std::mem::take(&mut self.added);
        added.sort_by_key(|(at, _)| *at);
        let mut out = Vec::with_capacity(insts.len() + added.len());
        let mut added = added.into_iter().peekable();
        for (at, inst) in insts.into_iter().enumerate() {
            out.push(inst);
            while let Some((_, new)) = added.next_if(|(after, _)| *after == at) {
                out.push(new);
            }
        }
        self.function.block_mut(block).insts = out;
    }

    /// The place in memory from which a byte comes, if a load of this block yields it.
    fn memory(&self, source: Source) -> Option<Byte> {
        let Source::Of(load, i) = source else { return None };
        let Some(&Op::Load { mem, size, .. }) = self.function.op(load) else { return None };
        let context = matches!(mem.access, Access::Context { .. });
        if context || u32::from(i) >= size.bytes() || !self.place.contains_key(&load.0) {
            return None;
        }
        let off = mem.off.checked_add(i32::from(i))?;
        Some(Byte { load, mem: Mem { base: mem.base, off, access: moved(mem.access, i.into())? } })
    }

    /// A value that has so many consecutive bytes of memory, zero-extended, from the first on. Where it
    /// is there already or can be loaded where the last of `loads` stands.
    fn wide_load(&mut self, range: Range, loads: &[Value], origin: InsnIdx) -> Option<(Value, usize)> {
        let size = size(range.bytes as usize)?;
        let places = || loads.iter().filter_map(|load| self.place.get(&load.0)).copied();
        let (first, last) = (places().min()?, places().max()?);
        if !self.unwritten(&range, first, last) {
            return None;
        }
        for (known, after, value) in self.wide.iter().rev() {
            let same = known.mem.base == range.mem.base
                && known.mem.off == range.mem.off
                && known.bytes == range.bytes;
            if same && *after <= first && self.unwritten(&range, *after, first) {
                return Some((*value, *after));
            }
        }
        let op = Op::Load { mem: range.mem, size, extend: ExtendKind::Zero };
        let (inst, value) = self.function.make(op, Type::I64, origin);
        self.added.push((last, inst));
        self.wide.push((range, last, value));
        self.bytes.note(self.function, value, &op);
        Some((value, last))
    }

    /// Whether nothing between two places may write bytes of a range.
    fn unwritten(&self, range: &Range, first: usize, last: usize) -> bool {
        let from = self.writes.partition_point(|(at, _)| *at < first);
        let to = self.writes.partition_point(|(at, _)| *at <= last);
        to - from <= MAX_WRITES
            && self.writes[from..to].iter().all(|(_, inst)| !may_write(&self.function.inst(*inst).op, range))
    }

    /// Makes an instruction after a place.
    fn add(&mut self, after: usize, op: Op, ty: Type, origin: InsnIdx) -> Value {
        let (inst, value) = self.function.make(op, ty, origin);
        self.added.push((after, inst));
        self.bytes.note(self.function, value, &op);
        value
    }
}

/// What is known of an access so many bytes further on.
fn moved(access: Access, by: u32) -> Option<Access> {
    Some(match access {
        Access::OwnStack { off: Some(off) } => Access::OwnStack { off: Some(off.checked_add_unsigned(by)?) },
        Access::MapValue { map, off: Some(off) } => Access::MapValue { map, off: Some(off.checked_add(by)?) },
        Access::OwnStack { off: None }
        | Access::CallerStack
        | Access::Context { .. }
        | Access::Packet
        | Access::MapValue { off: None, .. }
        | Access::RawMemory
        | Access::Mixed => access,
    })
}

/// The size of so many bytes.
fn size(bytes: usize) -> Option<Size> {
    match bytes {
        1 => Some(Size::B),
        2 => Some(Size::H),
        4 => Some(Size::W),
        8 => Some(Size::DW),
        _ => None,
    }
}

/// The swap of so many bytes.
fn swap(bytes: usize) -> Option<Unary> {
    match bytes {
        2 => Some(Unary::Swap16),
        4 => Some(Unary::Swap32),
        8 => Some(Unary::Swap64),
        _ => None,
    }
}

/// How bytes follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The least first.
    Little,
    /// The greatest first.
    Big,
}

/// The longest power of two of bytes from the first on that are consecutive in memory, how they
/// follow one another, and the least address's byte.
fn run_of(bytes: &[Byte]) -> (usize, Order, Byte) {
    let follows = |a: &Byte, b: &Byte, step: i32| {
        a.mem.base == b.mem.base && a.mem.off.checked_add(step) == Some(b.mem.off)
    };
    let length = |step: i32| {
        let steps = bytes.windows(2).take_while(|pair| follows(&pair[0], &pair[1], step)).count();
        1 << (steps + 1).min(8).ilog2()
    };
    let (little, big) = (length(1), length(-1));
    if big > little { (big, Order::Big, bytes[big - 1]) } else { (little, Order::Little, bytes[0]) }
}

/// One access that stands for several: its region, where all agree.
fn common(bytes: &[Byte], least: Byte) -> Range {
    let kind = |access: Access| match access {
        Access::OwnStack { .. } => Access::OwnStack { off: None },
        Access::MapValue { map, .. } => Access::MapValue { map, off: None },
        Access::CallerStack | Access::Context { .. } | Access::Packet | Access::RawMemory | Access::Mixed => {
            access
        }
    };
    let same = bytes.iter().all(|byte| kind(byte.mem.access) == kind(least.mem.access));
    let access = if same { least.mem.access } else { Access::Mixed };
    let count = u32::try_from(bytes.len()).expect("at most 8");
    Range { mem: Mem { access, ..least.mem }, bytes: count }
}
