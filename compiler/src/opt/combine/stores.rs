//! Stores: consecutive places that get bytes which one value has in a row.

use super::bytes::Source;
use super::{Byte, Combiner, Order, common, run_of, size, swap};
use crate::ir::{Binary, Block, Inst, Mem, Op, Type, Value};
use crate::isa::{InsnIdx, Size};
use crate::opt::alias::{Range, may_read, may_write};
use crate::verify::Access;

/// Stores of a group at most: what one wide store could take, many times over.
const MAX_GROUP: usize = 64;
/// Groups at a time; the oldest is finished when another one begins.
const MAX_GROUPS: usize = 8;

/// A store that waits for its neighbours.
#[derive(Clone, Copy)]
struct Waiting {
    mem: Mem,
    size: Size,
    value: Value,
    inst: Inst,
    at: usize,
}

/// Stores relative to one base that no operation so far keeps from standing further down.
struct Group {
    base: Value,
    stores: Vec<Waiting>,
}

/// What a byte of memory gets, and by which store.
#[derive(Clone, Copy)]
struct Cell {
    off: i32,
    source: Source,
    store: usize,
}

impl Combiner<'_> {
    pub(super) fn block_stores(&mut self, block: Block) {
        self.begin();
        let insts = std::mem::take(&mut self.function.block_mut(block).insts);
        let mut groups: Vec<Group> = Vec::new();
        let mut removed = vec![false; insts.len()];
        for (at, &inst) in insts.iter().enumerate() {
            self.note(at, inst);
            let op = self.function.inst(inst).op;
            if op.is_pure() {
                continue;
            }
            let in_way = |store: &Waiting| {
                let range = Range::new(store.mem, store.size);
                may_read(&op, &range) || may_write(&op, &range)
            };
            let mut i = 0;
            while i < groups.len() {
                if groups[i].stores.len() >= MAX_GROUP || groups[i].stores.iter().any(in_way) {
                    self.finish(&groups.swap_remove(i), &mut removed);
                } else {
                    i += 1;
                }
            }
            if let Op::Store { mem, size, value } = op
                && !matches!(mem.access, Access::Context { .. })
            {
                let store = Waiting { mem, size, value, inst, at };
                match groups.iter_mut().find(|group| group.base == mem.base) {
                    Some(group) => group.stores.push(store),
                    None => {
                        if groups.len() >= MAX_GROUPS {
                            self.finish(&groups.remove(0), &mut removed);
                        }
                        groups.push(Group { base: mem.base, stores: vec![store] });
                    }
                }
            }
        }
        for group in &groups {
            self.finish(group, &mut removed);
        }
        // Instructions keep their places until the new ones are among them.
        let gone: Vec<Inst> =
            insts.iter().zip(&removed).filter(|(_, removed)| **removed).map(|(inst, _)| *inst).collect();
        self.place_added(block, insts);
        if !gone.is_empty() {
            self.function.block_mut(block).insts.retain(|inst| gone.binary_search(inst).is_err());
        }
    }

    /// Nothing more joins the group.
    fn finish(&mut self, group: &Group, removed: &mut [bool]) {
        if group.stores.len() < 2 {
            return;
        }
        let mut cells: Vec<Cell> = Vec::new();
        for (store, waiting) in group.stores.iter().enumerate() {
            let word = self.bytes.of(self.function, waiting.value);
            for (i, source) in (0..).zip(&word[..waiting.size.bytes() as usize]) {
                let Some(off) = waiting.mem.off.checked_add(i) else { return };
                cells.push(Cell { off, source: *source, store });
            }
        }
        cells.sort_by_key(|cell| cell.off);
        let mut from = 0;
        while from < cells.len() {
            from += self.widest(group, &cells[from..], removed).unwrap_or(1);
        }
    }

    /// Makes the widest store that begins at the first cell; the number of cells that it takes.
    fn widest(&mut self, group: &Group, cells: &[Cell], removed: &mut [bool]) -> Option<usize> {
        for n in [8, 4, 2] {
            let Some(cells) = cells.get(..n) else { continue };
            let row = cells.windows(2).all(|pair| pair[0].off.checked_add(1) == Some(pair[1].off));
            let mut stores: Vec<usize> = cells.iter().map(|cell| cell.store).collect();
            stores.sort_unstable();
            stores.dedup();
            // Each store as a whole, and more than one of them.
            let bytes: usize = stores.iter().map(|i| group.stores[*i].size.bytes() as usize).sum();
            if !row || stores.len() < 2 || bytes != n {
                continue;
            }
            let last = stores.iter().map(|i| group.stores[*i]).max_by_key(|store| store.at)?;
            let origin = self.function.inst(last.inst).origin;
            let Some(value) = self.value_of(cells, last.at, origin) else { continue };
            let first = group.stores[cells[0].store];
            let same = stores.iter().all(|i| {
                std::mem::discriminant(&group.stores[*i].mem.access)
                    == std::mem::discriminant(&first.mem.access)
            });
            let access = if same { first.mem.access } else { Access::Mixed };
            let mem = Mem { access, ..first.mem };
            let op = Op::Store { mem, size: size(n)?, value };
            let inst = self.function.make_effect(op, origin);
            self.added.push((last.at, inst));
            for store in stores {
                removed[group.stores[store].at] = true;
            }
            return Some(n);
        }
        None
    }

    /// A value with these bytes in its low ones, at a place.
    fn value_of(&mut self, cells: &[Cell], at: usize, origin: InsnIdx) -> Option<Value> {
        let n = cells.len();
        if let Some(constant) = cells.iter().rev().try_fold(0u64, |word, cell| match cell.source {
            Source::Const(byte) => Some(word << 8 | u64::from(byte)),
            Source::Of(..) => None,
        }) {
            return Some(self.add(at, Op::Const(constant), Type::I64, origin));
        }
        if let Some((value, first, order)) = one_value(cells) {
            return self.part(value, first, n, order, at, origin);
        }
        let bytes: Vec<Byte> = cells.iter().map_while(|cell| self.memory(cell.source)).collect();
        if bytes.len() < n || run_of(&bytes).0 != n {
            return None;
        }
        let (_, order, least) = run_of(&bytes);
        let loads: Vec<Value> = bytes.iter().map(|byte| byte.load).collect();
        let (value, after) = self.wide_load(common(&bytes, least), &loads, origin)?;
        if after > at {
            return None;
        }
        match order {
            Order::Little => Some(value),
            Order::Big => Some(self.add(at, Op::Unary { op: swap(n)?, a: value }, Type::I64, origin)),
        }
    }

    /// Bytes of one value from a position on.
    fn part(
        &mut self,
        value: Value,
        first: u8,
        n: usize,
        order: Order,
        at: usize,
        origin: InsnIdx,
    ) -> Option<Value> {
        let ty = self.function.ty(value);
        let mut value = value;
        if first > 0 {
            let b = self.add(at, Op::Const(8 * u64::from(first)), ty, origin);
            value = self.add(at, Op::Binary { op: Binary::Ushr, a: value, b }, ty, origin);
        }
        match order {
            Order::Little => Some(value),
            Order::Big => Some(self.add(at, Op::Unary { op: swap(n)?, a: value }, ty, origin)),
        }
    }
}

/// The value of which all cells get bytes in a row, the position of the least one, and the order.
fn one_value(cells: &[Cell]) -> Option<(Value, u8, Order)> {
    let n = u8::try_from(cells.len()).ok()?;
    let Source::Of(of, start) = cells[0].source else { return None };
    let is = |at: usize, byte: Option<u8>| byte.is_some_and(|byte| cells[at].source == Source::Of(of, byte));
    let step = |at: usize| u8::try_from(at).expect("at most 7");
    if (0..cells.len()).all(|at| is(at, start.checked_add(step(at)))) {
        return Some((of, start, Order::Little));
    }
    if (0..cells.len()).all(|at| is(at, start.checked_sub(step(at)))) {
        return Some((of, start.checked_sub(n - 1)?, Order::Big));
    }
    None
}
