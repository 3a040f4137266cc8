//! What every pass must leave true.
//!
//! - Blocks of the layout are listed once; the entry first, with five I64 parameters and no edge to it.
//! - Edges lead to blocks of the layout and give each parameter an argument of its type.
//! - An instruction stands in one place; an operand's definition dominates its use.
//! - Operands and results have the types that [`Op`] says.
//! - No replacement is pending.

use super::dominators::Dominators;
use super::function::{Block, Function, Inst, Type, Value, ValueDef};
use super::ops::{Binary, Op, Terminator, Unary};
use crate::isa::Size;

/// Checks a function.
///
/// # Errors
///
/// One sentence that says which rule is broken where.
pub fn check(function: &Function) -> Result<(), String> {
    let mut checker = Checker {
        function,
        dominators: Dominators::new(function),
        place: vec![None; function.inst_capacity()],
        listed: vec![false; function.block_capacity()],
    };
    checker.layout()?;
    for &block in &function.layout {
        checker.block(block)?;
    }
    Ok(())
}

struct Checker<'a> {
    function: &'a Function,
    dominators: Dominators,
    /// Block and position of each instruction.
    place: Vec<Option<(Block, usize)>>,
    listed: Vec<bool>,
}

impl Checker<'_> {
    fn layout(&mut self) -> Result<(), String> {
        for &block in &self.function.layout {
            if std::mem::replace(&mut self.listed[block.index()], true) {
                return Err(format!("{block} is listed twice"));
            }
            for (at, inst) in self.function.block(block).insts.iter().enumerate() {
                if self.place[inst.index()].replace((block, at)).is_some() {
                    return Err(format!("{inst} of {block} stands in two places"));
                }
            }
        }
        let entry = self.function.entry();
        let params = &self.function.block(entry).params;
        if params.len() != 5 || params.iter().any(|p| self.function.ty(*p) != Type::I64) {
            return Err("the entry must have five i64 parameters".to_owned());
        }
        Ok(())
    }

    fn block(&self, block: Block) -> Result<(), String> {
        let data = self.function.block(block);
        for param in &data.params {
            if self.function.def(*param) != ValueDef::Param(block) {
                return Err(format!("{param} is not a parameter of {block}"));
            }
        }
        for (at, &inst) in data.insts.iter().enumerate() {
            let mut fault = None;
            self.function.inst(inst).op.for_each_operand(|value| {
                fault = fault.take().or(self.available(value, block, at).err());
            });
            fault.map_or(Ok(()), Err).map_err(|m| format!("{block}, `{}`: {m}", self.text(inst)))?;
            self.types(inst).map_err(|m| format!("{block}, `{}`: {m}", self.text(inst)))?;
        }
        let mut fault = None;
        data.end.for_each_operand(|value| {
            fault = fault.take().or(self.available(value, block, data.insts.len()).err());
        });
        fault.map_or(Ok(()), Err).map_err(|m| format!("{block}, `{}`: {m}", data.end))?;
        self.end(&data.end).map_err(|m| format!("{block}, `{}`: {m}", data.end))
    }

    fn text(&self, inst: Inst) -> String {
        let data = self.function.inst(inst);
        data.result.map_or_else(|| data.op.to_string(), |result| format!("{result} = {}", data.op))
    }

    fn available(&self, value: Value, block: Block, at: usize) -> Result<(), String> {
        if self.function.resolve(value) != value {
            return Err(format!("the replacement of {value} is pending"));
        }
        let defined = match self.function.def(value) {
            ValueDef::Param(at) if !self.function.block(at).params.contains(&value) => {
                return Err(format!("{value} was a parameter of {at} once"));
            }
            ValueDef::Param(at) => at,
            ValueDef::Result(inst) => {
                let (home, position) =
                    self.place[inst.index()].ok_or_else(|| format!("{value} stands nowhere"))?;
                if home == block {
                    return if position < at { Ok(()) } else { Err(format!("{value} is used before it")) };
                }
                home
            }
        };
        if self.dominators.dominates(defined, block) || !self.dominators.reachable(block) {
            Ok(())
        } else {
            Err(format!("{value} of {defined} does not dominate its use"))
        }
    }

    fn end(&self, end: &Terminator) -> Result<(), String> {
        let f = self.function;
        let mut fault = Ok(());
        end.for_each_edge(|edge| {
            let params = if self.listed[edge.block.index()] { &f.block(edge.block).params[..] } else { &[] };
            if !self.listed[edge.block.index()] {
                fault = Err(format!("{} is not in the layout", edge.block));
            } else if edge.block == f.entry() {
                fault = Err("the entry has an edge to it".to_owned());
            } else if params.len() != edge.args.len()
                || params.iter().zip(&edge.args).any(|(p, a)| f.ty(*p) != f.ty(*a))
            {
                fault = Err(format!("arguments do not fit the parameters of {}", edge.block));
            }
        });
        fault?;
        match end {
            Terminator::Jump(_) => Ok(()),
            Terminator::Branch { cond, .. } => self.expect(*cond, Type::I1),
            Terminator::Switch { value, cases, .. } => {
                let mut values: Vec<u64> = cases.iter().map(|(case, _)| *case).collect();
                values.sort_unstable();
                values.dedup();
                if values.len() != cases.len() {
                    return Err("a case occurs twice".to_owned());
                }
                if f.ty(*value) == Type::I1 { Err("a switch by an i1".to_owned()) } else { Ok(()) }
            }
            Terminator::Return(value) => self.expect(*value, Type::I64),
            Terminator::TailCall { context, index, .. } => {
                self.expect(*context, Type::I64)?;
                self.expect(*index, Type::I64)
            }
        }
    }

    fn expect(&self, value: Value, ty: Type) -> Result<(), String> {
        if self.function.ty(value) == ty { Ok(()) } else { Err(format!("{value} must be {ty}")) }
    }

    fn integer(&self, value: Value) -> Result<Type, String> {
        match self.function.ty(value) {
            Type::I1 => Err(format!("{value} must not be i1")),
            ty => Ok(ty),
        }
    }

    fn types(&self, inst: Inst) -> Result<(), String> {
        let f = self.function;
        let data = f.inst(inst);
        if let Some(mem) = data.op.mem() {
            self.expect(mem.base, Type::I64)?;
        }
        let result = data.result.map(|value| f.ty(value));
        let want = match data.op {
            Op::Const(bits) => match result {
                Some(ty) if bits & !ty.mask() == 0 => Some(ty),
                _ => return Err("the constant does not fit its type".to_owned()),
            },
            Op::Binary { op, a, b } => {
                self.expect(b, self.integer(a)?)?;
                if op == Binary::Umulhi {
                    self.expect(a, Type::I64)?;
                }
                Some(f.ty(a))
            }
            Op::Unary { op, a } => {
                if op == Unary::Swap64 {
                    self.expect(a, Type::I64)?;
                }
                Some(self.integer(a)?)
            }
            Op::Compare { a, b, cond: _ } => {
                self.expect(b, self.integer(a)?)?;
                Some(Type::I1)
            }
            Op::Select { cond, then, otherwise } => {
                self.expect(cond, Type::I1)?;
                self.expect(otherwise, f.ty(then))?;
                Some(f.ty(then))
            }
            Op::Extend { from, a, .. } => {
                self.integer(a)?;
                if from == Size::DW || (from == Size::W && result != Some(Type::I64)) {
                    return Err("nothing is extended".to_owned());
                }
                self.integer_result(result)?
            }
            Op::Trunc(a) => {
                self.expect(a, Type::I64)?;
                Some(Type::I32)
            }
            Op::FromBool(a) => {
                self.expect(a, Type::I1)?;
                self.integer_result(result)?
            }
            Op::Load { size, .. } => {
                if size == Size::DW && result != Some(Type::I64) {
                    return Err("the load is wider than its result".to_owned());
                }
                self.integer_result(result)?
            }
            Op::Store { size, value, .. } => {
                if self.integer(value)? == Type::I32 && size == Size::DW {
                    return Err("the store is wider than its value".to_owned());
                }
                None
            }
            Op::AtomicRmw { size, value, .. } => {
                self.expect(value, atomic(size)?)?;
                Some(atomic(size)?)
            }
            Op::AtomicCas { size, expected, value, .. } => {
                self.expect(expected, atomic(size)?)?;
                self.expect(value, atomic(size)?)?;
                Some(atomic(size)?)
            }
            Op::LoadAcquire { .. }
            | Op::StackAddr(_)
            | Op::MapHandle(_)
            | Op::MapValueAddr { .. }
            | Op::CpuId => Some(Type::I64),
            Op::StoreRelease { value, .. } => {
                self.expect(value, Type::I64)?;
                None
            }
            Op::MapElemAddr { index, .. } => {
                self.expect(index, Type::I64)?;
                Some(Type::I64)
            }
            Op::CallHelper { args, helper } => self.call(args.as_slice(), helper.info().args.len())?,
            Op::CallRoutine { args, routine } => self.call(args.as_slice(), routine.info().args)?,
            // How many there are is the host's to say; at most as many as registers hold.
            Op::CallHost { args, .. } => self.call(args.as_slice(), args.as_slice().len())?,
            Op::CallSubprog { args, .. } => self.call(args.as_slice(), 5)?,
        };
        if want == result { Ok(()) } else { Err("the result has the wrong type".to_owned()) }
    }

    fn integer_result(&self, result: Option<Type>) -> Result<Option<Type>, String> {
        match result {
            Some(Type::I32 | Type::I64) => Ok(result),
            Some(Type::I1) | None => Err("the result must be i32 or i64".to_owned()),
        }
    }

    fn call(&self, args: &[Value], count: usize) -> Result<Option<Type>, String> {
        if args.len() != count {
            return Err(format!("{count} arguments are needed"));
        }
        args.iter().try_for_each(|arg| self.expect(*arg, Type::I64))?;
        Ok(Some(Type::I64))
    }
}

fn atomic(size: Size) -> Result<Type, String> {
    match size {
        Size::W => Ok(Type::I32),
        Size::DW => Ok(Type::I64),
        Size::B | Size::H => Err("atomics are of 32 or 64 bits".to_owned()),
    }
}
