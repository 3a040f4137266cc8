//! Cuts very large functions into regions that exchange values through the stack frame.
//!
//! Cranelift's register allocator takes time that grows with the square of how far values live: a
//! bundle that spans the whole function is split again and again, and each split costs its length.
//! So a function of more than one region is rewritten: a value that is used in another region than
//! the one that defines it is stored to a slot of its own (its home) and loaded again in each block
//! that uses it; arguments that go from one region to another pass through slots too. What
//! costs nothing to compute is computed again instead. No live range leaves its region then.
//!
//! A function of one region, which is nearly every function, is left as it is. This changes no
//! meaning; if it were wrong, it would be wrong only for functions of more than [`REGION`] operations.

use crate::ir::Compare;
use crate::ir::{Block, Edge, ExtendKind, Function, Inst, Mem, Op, Terminator, Type, Value, ValueDef};
use crate::isa::{InsnIdx, Size};
use crate::verify::Access;

/// Operations of one region. Measured: smaller ones compile little faster, larger ones slower.
pub const REGION: usize = 600;

/// Cuts a function into regions of about `size` operations, where it is larger than one.
pub fn cut(function: &mut Function, size: usize) {
    if function.inst_capacity() + function.layout.len() <= size {
        return;
    }
    function.reorder();
    let order = function.blocks();
    let mut regions = vec![0u32; function.block_capacity()];
    let (mut region, mut filled) = (0, 0);
    for block in &order {
        let insts = function.block(*block).insts.len() + 1;
        if filled > 0 && filled + insts > size {
            region += 1;
            filled = 0;
        }
        filled += insts;
        regions[block.index()] = region;
    }
    if region > 0 {
        Cutter::new(function, regions).run(&order);
    }
}

struct Cutter<'a> {
    function: &'a mut Function,
    /// The region of each block.
    regions: Vec<u32>,
    /// The region that defines each value.
    home_region: Vec<u32>,
    /// The slot of each value that is used elsewhere, as an offset from the frame's end.
    homes: Vec<Option<i32>>,
    /// Blocks whose arguments come through slots.
    passed: Vec<bool>,
    /// Offsets of the slots through which arguments pass, by position.
    passing: Vec<i32>,
    /// What was fetched of each value last, and for which block.
    fetched: Vec<Option<(Block, Value)>>,
}

impl<'a> Cutter<'a> {
    fn new(function: &'a mut Function, regions: Vec<u32>) -> Self {
        let values = function.value_capacity();
        let blocks = function.block_capacity();
        Self {
            function,
            regions,
            home_region: vec![0; values],
            homes: vec![None; values],
            passed: vec![false; blocks],
            passing: Vec::new(),
            fetched: vec![None; values],
        }
    }

    fn run(mut self, order: &[Block]) {
        self.find_definitions(order);
        self.find_homes(order);
        for block in order {
            self.rewrite_uses(*block);
        }
        for block in order {
            self.pass_arguments(*block);
        }
        for block in order {
            self.receive(*block);
        }
        self.function.apply_replacements();
        self.function.reorder();
    }

    fn find_definitions(&mut self, order: &[Block]) {
        for block in order {
            let region = self.regions[block.index()];
            let data = self.function.block(*block);
            for param in &data.params {
                self.home_region[param.index()] = region;
            }
            for inst in &data.insts {
                if let Some(result) = self.function.inst(*inst).result {
                    self.home_region[result.index()] = region;
                }
            }
            let (regions, passed) = (&self.regions, &mut self.passed);
            data.end.for_each_edge(|edge| {
                if regions[edge.block.index()] != region && !edge.args.is_empty() {
                    passed[edge.block.index()] = true;
                }
            });
        }
        let params = |b: &Block| self.function.block(*b).params.len();
        let most = order.iter().filter(|b| self.passed[b.index()]).map(params).max().unwrap_or(0);
        for _ in 0..most {
            let slot = self.new_slot();
            self.passing.push(slot);
        }
    }

    /// Gives a home to every value that is used outside of its region and is not computed again.
    fn find_homes(&mut self, order: &[Block]) {
        let mut wanted = vec![false; self.homes.len()];
        for block in order {
            let region = self.regions[block.index()];
            let data = self.function.block(*block);
            let mut note = |value: Value| {
                if self.home_region[value.index()] != region {
                    wanted[value.index()] = true;
                }
            };
            for inst in &data.insts {
                self.function.inst(*inst).op.for_each_operand(&mut note);
            }
            data.end.for_each_operand(&mut note);
        }
        for (index, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let value = Value(u32::try_from(index).expect("values are numbered with 32 bits"));
            if !self.is_free(value) {
                self.homes[index] = Some(self.new_slot());
            }
        }
    }

    /// Whether computing a value again costs no more than loading it.
    fn is_free(&self, value: Value) -> bool {
        matches!(
            self.function.op(value),
            Some(Op::Const(_) | Op::StackAddr(_) | Op::MapHandle(_) | Op::MapValueAddr { .. } | Op::CpuId)
        )
    }

    fn new_slot(&mut self) -> i32 {
        self.function.stack_bytes += 8;
        i32::try_from(self.function.stack_bytes).map_or(i32::MIN, |bytes| -bytes)
    }

    /// Lets a block use what other regions define through loads of its own, and stores what others use.
    fn rewrite_uses(&mut self, block: Block) {
        let region = self.regions[block.index()];
        let old = std::mem::take(&mut self.function.block_mut(block).insts);
        let mut here = Here { block, region, insts: Vec::with_capacity(old.len()) };
        for param in self.function.block(block).params.clone() {
            self.keep(&mut here, param, InsnIdx(0));
        }
        for inst in old {
            let mut op = self.function.inst(inst).op;
            let origin = self.function.inst(inst).origin;
            op.for_each_operand_mut(|value| *value = self.fetch(&mut here, *value, origin));
            self.function.inst_mut(inst).op = op;
            here.insts.push(inst);
            if let Some(result) = self.function.inst(inst).result {
                self.keep(&mut here, result, origin);
            }
        }
        let origin = self.function.block(block).end_origin;
        let placeholder = Terminator::Jump(Edge::new(block));
        let mut end = std::mem::replace(&mut self.function.block_mut(block).end, placeholder);
        end.for_each_operand_mut(|value| *value = self.fetch(&mut here, *value, origin));
        let data = self.function.block_mut(block);
        data.end = end;
        data.insts = here.insts;
    }

    /// Stores a value to its home, if it has one.
    fn keep(&mut self, here: &mut Here, value: Value, origin: InsnIdx) {
        if let Some(slot) = self.homes.get(value.index()).copied().flatten() {
            self.store(&mut here.insts, slot, value, origin);
        }
    }

    /// The value as this block may use it.
    fn fetch(&mut self, here: &mut Here, value: Value, origin: InsnIdx) -> Value {
        if self.home_region.get(value.index()).is_none_or(|region| *region == here.region) {
            return value;
        }
        match self.fetched[value.index()] {
            Some((block, fetched)) if block == here.block => return fetched,
            Some(_) | None => {}
        }
        let fetched = match (self.homes[value.index()], self.function.def(value)) {
            (Some(slot), _) => self.load(&mut here.insts, slot, self.function.ty(value), origin),
            (None, ValueDef::Result(inst)) => {
                let (op, ty) = (self.function.inst(inst).op, self.function.ty(value));
                self.make(&mut here.insts, op, ty, origin)
            }
            (None, ValueDef::Param(_)) => unreachable!("parameters that are used elsewhere have homes"),
        };
        self.fetched[value.index()] = Some((here.block, fetched));
        fetched
    }

    /// Puts the arguments of edges to blocks that get them through slots there, just before the jump.
    fn pass_arguments(&mut self, block: Block) {
        let placeholder = Terminator::Jump(Edge::new(block));
        let mut end = std::mem::replace(&mut self.function.block_mut(block).end, placeholder);
        if let Terminator::Jump(edge) = &mut end {
            let mut insts = std::mem::take(&mut self.function.block_mut(block).insts);
            self.pass(&mut insts, edge, self.function.block(block).end_origin);
            self.function.block_mut(block).insts = insts;
        } else {
            // One way's arguments must not be stored on another: each gets a block of its own.
            end.for_each_edge_mut(|edge| {
                if !self.passed[edge.block.index()] {
                    return;
                }
                let way = self.function.add_block();
                let mut target = std::mem::replace(edge, Edge::new(way));
                let mut insts = Vec::new();
                let origin = self.function.block(block).end_origin;
                self.pass(&mut insts, &mut target, origin);
                let data = self.function.block_mut(way);
                data.insts = insts;
                data.end = Terminator::Jump(target);
                data.end_origin = origin;
            });
        }
        self.function.block_mut(block).end = end;
    }

    fn pass(&mut self, insts: &mut Vec<Inst>, edge: &mut Edge, origin: InsnIdx) {
        if self.passed.get(edge.block.index()) != Some(&true) {
            return;
        }
        for (at, arg) in std::mem::take(&mut edge.args).into_iter().enumerate() {
            self.store(insts, self.passing[at], arg, origin);
        }
    }

    /// Lets a block that gets its arguments through slots load them.
    fn receive(&mut self, block: Block) {
        if !self.passed[block.index()] {
            return;
        }
        let params = std::mem::take(&mut self.function.block_mut(block).params);
        let old = std::mem::take(&mut self.function.block_mut(block).insts);
        let mut insts = Vec::with_capacity(params.len() + old.len());
        for (at, param) in params.into_iter().enumerate() {
            let ty = self.function.ty(param);
            let loaded = self.load(&mut insts, self.passing[at], ty, InsnIdx(0));
            self.function.replace(param, loaded);
        }
        insts.extend(old);
        self.function.block_mut(block).insts = insts;
    }

    fn make(&mut self, insts: &mut Vec<Inst>, op: Op, ty: Type, origin: InsnIdx) -> Value {
        let (inst, value) = self.function.make(op, ty, origin);
        insts.push(inst);
        value
    }

    fn slot(&mut self, insts: &mut Vec<Inst>, slot: i32, origin: InsnIdx) -> Mem {
        let base = self.make(insts, Op::StackAddr(slot), Type::I64, origin);
        Mem { base, off: 0, access: Access::OwnStack { off: Some(slot) } }
    }

    fn store(&mut self, insts: &mut Vec<Inst>, slot: i32, value: Value, origin: InsnIdx) {
        let mem = self.slot(insts, slot, origin);
        let (value, size) = match self.function.ty(value) {
            Type::I1 => (self.make(insts, Op::FromBool(value), Type::I32, origin), Size::W),
            Type::I32 => (value, Size::W),
            Type::I64 => (value, Size::DW),
        };
        let inst = self.function.make_effect(Op::Store { mem, size, value }, origin);
        insts.push(inst);
    }

    fn load(&mut self, insts: &mut Vec<Inst>, slot: i32, ty: Type, origin: InsnIdx) -> Value {
        let mem = self.slot(insts, slot, origin);
        let extend = ExtendKind::Zero;
        match ty {
            Type::I64 => self.make(insts, Op::Load { mem, size: Size::DW, extend }, Type::I64, origin),
            Type::I32 => self.make(insts, Op::Load { mem, size: Size::W, extend }, Type::I32, origin),
            Type::I1 => {
                let a = self.make(insts, Op::Load { mem, size: Size::W, extend }, Type::I32, origin);
                let b = self.make(insts, Op::Const(0), Type::I32, origin);
                self.make(insts, Op::Compare { cond: Compare::Ne, a, b }, Type::I1, origin)
            }
        }
    }
}

/// The block that is being rewritten.
struct Here {
    block: Block,
    region: u32,
    insts: Vec<Inst>,
}
