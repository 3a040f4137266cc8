//! Lowers terminators.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self as clif, BlockArg, InstBuilder, JumpTableData, types};
use cranelift_frontend::Switch;

use super::FunctionLowering;
use crate::ir::{Edge, Terminator, Type, Value};

/// A jump table may have this many entries a case, and some more.
const HOLES: u64 = 4;
const FEW: u64 = 16;

impl FunctionLowering<'_> {
    pub(super) fn terminator(&mut self, end: &Terminator) {
        match end {
            Terminator::Jump(edge) => {
                let (block, args) = (self.block(edge.block), self.edge_args(edge));
                self.builder.ins().jump(block, &args);
            }
            Terminator::Branch { cond, then, otherwise } => {
                let cond = self.value(*cond);
                let (then, then_args) = (self.block(then.block), self.edge_args(then));
                let (otherwise, otherwise_args) = (self.block(otherwise.block), self.edge_args(otherwise));
                self.builder.ins().brif(cond, then, &then_args, otherwise, &otherwise_args);
            }
            Terminator::Switch { value, cases, default } => self.switch(*value, cases, default),
            Terminator::Return(value) => {
                let value = self.value(*value);
                self.builder.ins().return_(&[value]);
            }
            Terminator::TailCall { context, map, index, next } => {
                self.tail_call(*context, *map, *index, next)
            }
        }
    }

    pub(super) fn edge_args(&mut self, edge: &Edge) -> Vec<BlockArg> {
        edge.args.iter().map(|arg| BlockArg::from(self.value(*arg))).collect()
    }

    fn switch(&mut self, value: Value, cases: &[(u64, Edge)], default: &Edge) {
        let (Some(least), Some(greatest)) =
            (cases.iter().map(|(case, _)| *case).min(), cases.iter().map(|(case, _)| *case).max())
        else {
            return self.terminator(&Terminator::Jump(default.clone()));
        };
        let count = u64::try_from(cases.len()).expect("usize has at most 64 bits");
        match usize::try_from(greatest - least) {
            Ok(range) if greatest - least <= count.saturating_mul(HOLES) + FEW => {
                self.jump_table(value, cases, default, least, range + 1);
            }
            Ok(_) | Err(_) => self.search(value, cases, default),
        }
    }

    /// One jump table; its holes lead to the default.
    fn jump_table(
        &mut self,
        value: Value,
        cases: &[(u64, Edge)],
        default: &Edge,
        least: u64,
        entries: usize,
    ) {
        let wide = self.function.ty(value) == Type::I64;
        let mut index = self.value(value);
        let ty = self.builder.func.dfg.value_type(index);
        if least != 0 {
            let least = self.builder.ins().iconst(ty, least.cast_signed());
            index = self.builder.ins().isub(index, least);
        }
        if wide {
            let limit = self.const64(u64::try_from(entries).expect("usize has at most 64 bits"));
            let inside = self.builder.ins().icmp(IntCC::UnsignedLessThan, index, limit);
            let table = self.builder.create_block();
            let (block, args) = (self.block(default.block), self.edge_args(default));
            self.builder.ins().brif(inside, table, &[], block, &args);
            let here = self.builder.current_block().expect("in the middle of a block");
            self.builder.insert_block_after(table, here);
            self.builder.switch_to_block(table);
            index = self.builder.ins().ireduce(types::I32, index);
        }
        let default = self.block_call(default);
        let mut table = vec![default; entries];
        for (case, edge) in cases {
            let at = usize::try_from(case - least).expect("within the table");
            table[at] = self.block_call(edge);
        }
        let table = self.builder.create_jump_table(JumpTableData::new(default, &table));
        self.builder.ins().br_table(index, table);
    }

    fn block_call(&mut self, edge: &Edge) -> clif::BlockCall {
        let (block, args) = (self.block(edge.block), self.edge_args(edge));
        self.builder.func.dfg.block_call(block, &args)
    }

    /// Cases that lie far apart: Cranelift's own search.
    fn search(&mut self, value: Value, cases: &[(u64, Edge)], default: &Edge) {
        let value = self.value(value);
        let mut switch = Switch::new();
        let mut ways = Vec::with_capacity(cases.len());
        for (case, edge) in cases {
            let way = self.builder.create_block();
            switch.set_entry(u128::from(*case), way);
            // Arguments are made here: a constant made on one way would not be there on another.
            ways.push((way, self.block(edge.block), self.edge_args(edge)));
        }
        let other = self.builder.create_block();
        ways.push((other, self.block(default.block), self.edge_args(default)));
        switch.emit(&mut self.builder, value, other);
        for (way, block, args) in ways {
            self.builder.switch_to_block(way);
            self.builder.ins().jump(block, &args);
        }
    }
}
