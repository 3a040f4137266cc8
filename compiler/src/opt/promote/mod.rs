//! Turns stack slots into values.
//!
//! Clang's BPF has ten registers and spills the rest. A slot that is only loaded and stored at
//! constant places becomes a value in each block, with parameters where ways join. What keeps bytes in
//! memory: an atomic, a helper that takes their address, an access through a computed address that
//! may reach them, or an address that escapes while someone uses addresses of unknown origin.
//!
//! It could be wrong in missing a reader or writer; so everything that is not understood pins.

mod cells;
mod pins;

use self::cells::{Cell, Cells};
use crate::ir::{Binary, Block, Dominators, ExtendKind, Function, Inst, Op, Terminator, Type, Unit, Value};
use crate::isa::{InsnIdx, Size};

/// Promotes the slots of all functions.
pub fn run(unit: &mut Unit) {
    let wild = pins::wild(unit);
    let (maps, hosts) = (std::sync::Arc::clone(&unit.maps), std::sync::Arc::clone(&unit.hosts));
    for function in unit.functions.iter_mut().flatten() {
        let accesses = pins::accesses(function, &maps, &hosts, wild);
        let cells = Cells::new(&accesses);
        if !cells.is_empty() {
            Promoter::new(function, cells).run();
        }
    }
}

/// A set of cells.
type Set = u64;

struct Promoter<'a> {
    function: &'a mut Function,
    cells: Cells,
    /// The cells that a block may read before it writes them, and those that it writes.
    reads: Vec<Set>,
    writes: Vec<Set>,
    live_in: Vec<Set>,
    /// What cells hold at the end of each block whose turn was.
    outs: Vec<Option<Vec<Option<Value>>>>,
    /// The cells of the parameters that were added to each block.
    added: Vec<Vec<usize>>,
    undefined: Option<Value>,
}

impl<'a> Promoter<'a> {
    fn new(function: &'a mut Function, cells: Cells) -> Self {
        let blocks = function.block_capacity();
        Self {
            cells,
            reads: vec![0; blocks],
            writes: vec![0; blocks],
            live_in: vec![0; blocks],
            outs: vec![None; blocks],
            added: vec![Vec::new(); blocks],
            undefined: None,
            function,
        }
    }

    fn run(mut self) {
        self.find_live();
        let predecessors = self.function.predecessors();
        let order = Dominators::new(self.function).order().to_vec();
        for &block in &order {
            let mut state = self.enter(block, &predecessors[block.index()]);
            self.rewrite(block, &mut state);
            self.outs[block.index()] = Some(state);
        }
        for &block in &order {
            self.pass_on(block);
        }
        self.function.reorder();
        self.function.apply_replacements();
    }

    fn find_live(&mut self) {
        let blocks = self.function.reverse_postorder();
        for block in &blocks {
            let (mut reads, mut writes) = (0, 0);
            for inst in &self.function.block(*block).insts {
                let Some(set) = self.cells.of(*inst) else { continue };
                match self.function.inst(*inst).op {
                    Op::Store { .. } => writes |= set,
                    _ => reads |= set & !writes,
                }
            }
            self.reads[block.index()] = reads;
            self.writes[block.index()] = writes;
        }
        let mut changed = true;
        while changed {
            changed = false;
            for block in blocks.iter().rev() {
                let mut out = 0;
                self.function.block(*block).end.for_each_edge(|edge| out |= self.live_in[edge.block.index()]);
                let live = self.reads[block.index()] | (out & !self.writes[block.index()]);
                changed |= live != self.live_in[block.index()];
                self.live_in[block.index()] = live;
            }
        }
    }

    /// What cells hold at the start of a block.
    fn enter(&mut self, block: Block, predecessors: &[Block]) -> Vec<Option<Value>> {
        let mut state = vec![None; self.cells.len()];
        let live = self.live_in[block.index()];
        for (cell, slot) in state.iter_mut().enumerate().filter(|(cell, _)| live >> cell & 1 == 1) {
            let mut first = None;
            let agree = predecessors.iter().all(|from| match &self.outs[from.index()] {
                Some(out) => *first.get_or_insert(out[cell]) == out[cell],
                None => false,
            });
            *slot = if agree {
                first.flatten()
            } else {
                self.added[block.index()].push(cell);
                Some(self.function.add_param(block, Type::I64))
            };
        }
        state
    }

    /// Replaces the block's accesses of cells.
    fn rewrite(&mut self, block: Block, state: &mut [Option<Value>]) {
        let insts = std::mem::take(&mut self.function.block_mut(block).insts);
        let mut out = Vec::with_capacity(insts.len());
        for inst in insts {
            if self.cells.of(inst).is_none() {
                out.push(inst);
                continue;
            }
            let data = *self.function.inst(inst);
            let mut at = Here { function: self.function, out: &mut out, origin: data.origin };
            match data.op {
                Op::Store { size, value, .. } => {
                    let cells = self.cells.parts(inst);
                    for (cell, part) in cells {
                        state[cell.index] = Some(at.part_of(value, size, part, &cell));
                    }
                }
                Op::Load { size, extend, .. } => {
                    let result = data.result.expect("loads yield a value");
                    let mut word = None;
                    for (cell, part) in self.cells.parts(inst) {
                        let held = match state[cell.index] {
                            Some(held) => held,
                            // Never written. The verifier may allow to read it; it is any value.
                            None => at.push(Op::Const(0), Type::I64),
                        };
                        word = Some(at.join(word, held, part, &cell));
                    }
                    let word = word.expect("an access has at least one cell");
                    let ty = at.function.ty(result);
                    let value = at.widened(word, size, extend, ty);
                    self.function.replace(result, value);
                }
                _ => unreachable!("only loads and stores have cells"),
            }
        }
        self.function.block_mut(block).insts = out;
    }

    /// Gives the edges of a block the arguments of the parameters that were added.
    fn pass_on(&mut self, block: Block) {
        let mut end =
            std::mem::replace(&mut self.function.block_mut(block).end, Terminator::Return(Value(0)));
        let state = self.outs[block.index()].take().expect("every block had its turn");
        end.for_each_edge_mut(|edge| {
            for cell in self.added[edge.block.index()].clone() {
                let value = state[cell].unwrap_or_else(|| self.undefined_at_entry());
                edge.args.push(value);
            }
        });
        self.function.block_mut(block).end = end;
    }

    /// A value for what was never written.
    fn undefined_at_entry(&mut self) -> Value {
        let entry = self.function.entry();
        *self.undefined.get_or_insert_with(|| zero_at(self.function, entry))
    }
}

fn zero_at(function: &mut Function, entry: Block) -> Value {
    let (inst, value) = function.make(Op::Const(0), Type::I64, InsnIdx(0));
    function.block_mut(entry).insts.insert(0, inst);
    value
}

/// A place where instructions are made.
struct Here<'a> {
    function: &'a mut Function,
    out: &'a mut Vec<Inst>,
    origin: InsnIdx,
}

impl Here<'_> {
    fn push(&mut self, op: Op, ty: Type) -> Value {
        let (inst, value) = self.function.make(op, ty, self.origin);
        self.out.push(inst);
        value
    }

    fn shift(&mut self, op: Binary, a: Value, bytes: u32) -> Value {
        if bytes == 0 {
            return a;
        }
        let b = self.push(Op::Const(u64::from(8 * bytes)), Type::I64);
        self.push(Op::Binary { op, a, b }, Type::I64)
    }

    /// The bytes of a stored value that go to a cell, zero-extended to I64.
    fn part_of(&mut self, value: Value, size: Size, part: u32, cell: &Cell) -> Value {
        let value = match self.function.ty(value) {
            Type::I64 if size == Size::DW => value,
            Type::I64 | Type::I32 | Type::I1 => {
                self.push(Op::Extend { kind: ExtendKind::Zero, from: size, a: value }, Type::I64)
            }
        };
        let value = self.shift(Binary::Ushr, value, part);
        self.low(value, cell.bytes)
    }

    /// The low bytes of an I64.
    fn low(&mut self, value: Value, bytes: u32) -> Value {
        if bytes >= 8 {
            return value;
        }
        let b = self.push(Op::Const(u64::MAX >> (64 - 8 * bytes)), Type::I64);
        self.push(Op::Binary { op: Binary::And, a: value, b }, Type::I64)
    }

    /// What a load has so far, with what a cell adds.
    fn join(&mut self, word: Option<Value>, held: Value, part: u32, cell: &Cell) -> Value {
        let held = self.shift(Binary::Ushr, held, cell.skip);
        let held = self.shift(Binary::Shl, held, part);
        match word {
            Some(word) => self.push(Op::Binary { op: Binary::Or, a: word, b: held }, Type::I64),
            None => held,
        }
    }

    /// What a load of a size yields of these bytes.
    fn widened(&mut self, word: Value, size: Size, kind: ExtendKind, ty: Type) -> Value {
        match (size, ty) {
            (Size::DW, _) => word,
            (Size::W, Type::I32) => self.push(Op::Trunc(word), Type::I32),
            _ => self.push(Op::Extend { kind, from: size, a: word }, ty),
        }
    }
}
