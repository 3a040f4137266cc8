//! Makes the intermediate form of a verified program.
//!
//! What no path executes is left out; a branch with one direction is a jump. What the facts do not
//! prove is never guessed: an access without one is a mistake of the verifier's and refused as ours.

mod arith;
mod call;
mod flow;
mod memory;
mod ssa;

use std::sync::Arc;

use brolga_abi::ProgramKind;

use self::flow::{BUDGET, Flow, RegSet};
use self::ssa::{Assembler, State};
use super::function::{Block, Function, Type, Unit, Value};
use super::ops::{Binary, Compare, Edge, Op, Terminator};
use crate::diag::CompileError;
use crate::isa::{Insn, InsnIdx, Reg};
use crate::program::{Program, SubprogId};
use crate::verify::Facts;

/// Iterations that `may_goto` allows in one frame: Linux's `BPF_MAX_LOOPS`.
const MAX_LOOPS: u64 = 8 * 1024 * 1024;

/// Makes the intermediate form of every function that is called.
///
/// # Errors
///
/// An instruction that is not supported yet.
pub fn build(program: &Program, facts: &Facts) -> Result<Unit, CompileError> {
    let kind = program.kind.ok_or_else(|| CompileError::Unsupported {
        program: program.name.clone(),
        insn: None,
        what: "a program of unknown kind".to_owned(),
    })?;
    let native = kind.native().ok_or_else(|| CompileError::Unsupported {
        program: program.name.clone(),
        insn: None,
        what: format!("running programs of kind {}", kind.info().name),
    })?;
    let ids = || (0u32..).map(SubprogId).take(program.subprogs.len());
    let mut flows = Vec::with_capacity(program.subprogs.len());
    for id in ids() {
        let called = facts.subprog(id).called;
        flows.push(called.then(|| Flow::new(program, facts, id)).transpose()?);
    }
    // Callees read all five arguments until liveness says less; twice makes leaves and their callers exact.
    let mut arguments = vec![RegSet::ARGUMENTS; flows.len()];
    for _ in 0..2 {
        let before = arguments.clone();
        for (flow, arguments) in flows.iter_mut().zip(&mut arguments) {
            if let Some(flow) = flow {
                flow.find_live(program, facts, &before);
                *arguments = flow.arguments();
            }
        }
    }
    let mut functions = Vec::with_capacity(flows.len());
    for (id, flow) in ids().zip(&flows) {
        functions.push(match flow {
            Some(flow) => Some(Builder::new(program, kind, facts, id, flow, &arguments).run(flow)?),
            None => None,
        });
    }
    Ok(Unit {
        name: program.name.clone(),
        kind: native,
        maps: Arc::clone(&program.maps),
        hosts: Arc::clone(&program.host_functions),
        functions,
    })
}

/// The function that is being made, and where in it.
struct Builder<'a> {
    program: &'a Program,
    kind: ProgramKind,
    facts: &'a Facts,
    /// Which of r1 to r5 each function reads.
    arguments: &'a [RegSet],
    function: Function,
    assembler: Assembler<'a>,
    /// The block to which instructions are added.
    block: Block,
    /// What variables hold now.
    state: State,
    /// The instruction whose turn it is.
    at: InsnIdx,
}

impl<'a> Builder<'a> {
    fn new(
        program: &'a Program,
        kind: ProgramKind,
        facts: &'a Facts,
        id: SubprogId,
        flow: &'a Flow,
        arguments: &'a [RegSet],
    ) -> Self {
        let name = program.subprogs[id.index()].name.clone();
        let mut function = Function::new(name, id, facts.subprog(id).stack_depth);
        let assembler = Assembler::new(&mut function, flow);
        let block = function.entry();
        let at = program.subprogs[id.index()].start;
        let state = ssa::initial(&function);
        Self { program, kind, facts, arguments, function, assembler, block, state, at }
    }

    fn run(mut self, flow: &Flow) -> Result<Function, CompileError> {
        if flow.blocks[0].live_in.contains(BUDGET) {
            self.state[BUDGET] = Some(self.const64(MAX_LOOPS));
        }
        let initial = self.state;
        if self.assembler.entry_is_apart(&self.function) {
            self.end(Terminator::Jump(Edge::new(self.assembler.block(0))));
        }
        for &index in &flow.order {
            self.state = self.assembler.enter(&mut self.function, index, &initial);
            self.block = self.assembler.block(index);
            let block = &flow.blocks[index];
            let mut ended = false;
            for at in block.start.0..block.end.0 {
                self.at = InsnIdx(at);
                ended = self.insn(flow)?;
            }
            if !ended {
                let next = self.target(flow, block.end)?;
                self.end(Terminator::Jump(next));
            }
            self.assembler.leave(index, &self.state);
        }
        let Self { mut function, assembler, .. } = self;
        assembler.finish(&mut function);
        Ok(function)
    }

    /// Translates one instruction; true where it ended the block.
    fn insn(&mut self, flow: &Flow) -> Result<bool, CompileError> {
        if let Some(foreign) = self.facts.at(self.at).foreign {
            return Err(self.unsupported(format!("{foreign}: verified, but Brolga cannot run it")));
        }
        match self.program.insns[self.at.index()] {
            Insn::Alu { op, width, dst, src } => self.alu(op, width, dst, src),
            Insn::MovSx { width, from, dst, src } => self.move_signed(width, from, dst, src),
            Insn::Neg { width, dst } => self.negate(width, dst),
            Insn::Endian { kind, size, dst } => self.endian(kind, size, dst),
            Insn::AddrSpaceCast { .. } => return Err(self.unsupported("addr_space_cast")),
            Insn::LoadImm64 { dst, imm } => self.load_imm64(dst, imm)?,
            Insn::SecondSlot => {}
            Insn::Load { size, signed, dst, base, off } => self.load(size, signed, dst, base, off)?,
            Insn::Store { size, base, off, src } => self.store(size, base, off, src)?,
            Insn::Atomic { op, size, base, off, src } => self.atomic(op, size, base, off, src)?,
            Insn::LoadAcquire { size, dst, base, off } => self.load_acquire(size, dst, base, off)?,
            Insn::StoreRelease { size, base, off, src } => self.store_release(size, base, off, src)?,
            Insn::LegacyLoad { size, offset, imm } => self.legacy_load(size, offset, imm),
            Insn::Ja { off } => return self.jump(flow, i32::from(off)),
            Insn::Gotol { off } => return self.jump(flow, off),
            Insn::MayGoto { off } => return self.may_goto(flow, off),
            Insn::Branch { cond, width, dst, src, off } => {
                let cond = |builder: &mut Self| builder.condition(cond, width, dst, src);
                return self.branch(flow, off, cond);
            }
            Insn::Call(target) => self.call(target)?,
            Insn::Exit => {
                let result = self.reg(Reg::R0);
                self.end(Terminator::Return(result));
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn jump(&mut self, flow: &Flow, off: i32) -> Result<bool, CompileError> {
        let edge = self.target_of_jump(flow, off)?;
        self.end(Terminator::Jump(edge));
        Ok(true)
    }

    fn branch(
        &mut self,
        flow: &Flow,
        off: i16,
        cond: impl FnOnce(&mut Self) -> Value,
    ) -> Result<bool, CompileError> {
        let reach = self.facts.at(self.at).reach;
        let end = match (reach.taken, reach.fallthrough) {
            (true, true) => {
                let cond = cond(self);
                let then = self.target_of_jump(flow, i32::from(off))?;
                Terminator::Branch { cond, then, otherwise: self.target_of_jump(flow, 0)? }
            }
            (true, false) => Terminator::Jump(self.target_of_jump(flow, i32::from(off))?),
            (false, _) => Terminator::Jump(self.target_of_jump(flow, 0)?),
        };
        self.end(end);
        Ok(true)
    }

    fn may_goto(&mut self, flow: &Flow, off: i16) -> Result<bool, CompileError> {
        let reach = self.facts.at(self.at).reach;
        if !(reach.taken && reach.fallthrough) {
            return self.branch(flow, off, |builder| builder.const_bool(false));
        }
        // A budget of zero stays zero: later ones in the same frame end at once, too.
        let budget = self.variable(BUDGET);
        let zero = self.const64(0);
        let cond = self.compare(Compare::Eq, budget, zero);
        let one = self.const64(1);
        let less = self.binary(Binary::Sub, budget, one, Type::I64);
        self.state[BUDGET] = Some(self.push(Op::Select { cond, then: zero, otherwise: less }, Type::I64));
        let then = self.target_of_jump(flow, i32::from(off))?;
        let otherwise = self.target_of_jump(flow, 0)?;
        self.end(Terminator::Branch { cond, then, otherwise });
        Ok(true)
    }

    fn target_of_jump(&self, flow: &Flow, off: i32) -> Result<Edge, CompileError> {
        match self.at.jump(off) {
            Some(target) => self.target(flow, target),
            None => Err(self.internal("a jump leaves the program")),
        }
    }

    fn target(&self, flow: &Flow, target: InsnIdx) -> Result<Edge, CompileError> {
        flow.block_at(target)
            .map(|index| Edge::new(self.assembler.block(index)))
            .ok_or_else(|| self.internal("control leaves what is executed"))
    }

    /// Ends the block. Arguments of edges to blocks of the flow are given when all is made.
    fn end(&mut self, end: Terminator) {
        let data = self.function.block_mut(self.block);
        data.end = end;
        data.end_origin = self.at;
        self.assembler.exit(self.block, &self.state);
    }

    /// What a register holds.
    fn reg(&mut self, reg: Reg) -> Value {
        if reg == Reg::R10 { self.push(Op::StackAddr(0), Type::I64) } else { self.variable(reg.index()) }
    }

    fn variable(&mut self, variable: usize) -> Value {
        match self.state[variable] {
            Some(value) => value,
            None => self.assembler.undefined(&mut self.function),
        }
    }

    fn set(&mut self, reg: Reg, value: Value) {
        if reg != Reg::R10 {
            self.state[reg.index()] = Some(value);
        }
    }

    fn push(&mut self, op: Op, ty: Type) -> Value {
        self.function.push(self.block, op, ty, self.at)
    }

    fn push_effect(&mut self, op: Op) {
        self.function.push_effect(self.block, op, self.at);
    }

    fn const64(&mut self, bits: u64) -> Value {
        self.push(Op::Const(bits), Type::I64)
    }

    fn const32(&mut self, bits: u32) -> Value {
        self.push(Op::Const(u64::from(bits)), Type::I32)
    }

    fn const_bool(&mut self, value: bool) -> Value {
        self.push(Op::Const(u64::from(value)), Type::I1)
    }

    fn unsupported(&self, what: impl Into<String>) -> CompileError {
        CompileError::Unsupported {
            program: self.program.name.clone(),
            insn: Some(self.at),
            what: what.into(),
        }
    }

    fn internal(&self, message: &str) -> CompileError {
        internal(self.program, self.at, message)
    }
}

/// The verifier and this module disagree.
fn internal(program: &Program, at: InsnIdx, message: &str) -> CompileError {
    CompileError::Internal {
        function: program.name.clone(),
        message: format!("instruction {at} ({:?}): {message}", program.insns.get(at.index())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::check::check;
    use crate::isa::asm::{AsmContext, assemble};

    fn unit(text: &str) -> Unit {
        let assembled = assemble(text, &AsmContext::default()).expect("assembles");
        let program = Program::from_insns("test", ProgramKind::RawMemory, assembled.insns, Arc::from([]));
        let unit = build(&program, &Facts::assumed(&program, |_, _| {})).expect("builds");
        for function in unit.functions.iter().flatten() {
            check(function).unwrap_or_else(|fault| panic!("{fault}\n{function}"));
        }
        unit
    }

    fn main_params(unit: &Unit) -> Vec<usize> {
        let main = unit.functions[0].as_ref().expect("main is called");
        main.layout.iter().map(|block| main.block(*block).params.len()).collect()
    }

    #[test]
    fn only_what_a_loop_changes_is_a_parameter() {
        let unit = unit("r0 = 0\nr6 = 7\nloop: r0 += r6\nr1 += -1\nif r1 != 0 goto loop\nr0 += r2\nexit\n");
        assert_eq!(main_params(&unit), [5, 2, 0]);
    }

    #[test]
    fn a_loop_to_the_first_instruction_gets_an_entry_of_its_own() {
        let unit = unit("loop: r1 += -1\nif r1 != 0 goto loop\nr0 = r2\nexit\n");
        assert_eq!(main_params(&unit), [5, 1, 0]);
    }

    #[test]
    fn ways_that_disagree_meet_in_a_parameter() {
        let unit = unit("r0 = 1\nif r1 == 0 goto +1\nr0 = 2\nr3 = r2\nexit\n");
        assert_eq!(main_params(&unit), [5, 0, 1]);
    }

    #[test]
    fn what_cannot_be_reached_is_left_out() {
        let unit = unit("r0 = 1\ngoto out\nr0 = r9\nout: exit\n");
        assert_eq!(main_params(&unit), [5, 0]);
    }

    #[test]
    fn narrow_chains_stay_narrow() {
        let text = unit("w1 += 1\nw1 ^= w2\nw0 = w1\nexit\n").to_string();
        assert_eq!(text.matches("trunc").count(), 2, "{text}");
    }

    #[test]
    fn a_budget_is_shared_by_the_loops_of_a_frame() {
        let unit = unit("r0 = 0\na: may_goto out\nr0 += 1\ngoto a\nout: exit\n");
        assert_eq!(main_params(&unit)[1], 2, "r0 and the budget");
    }

    #[test]
    fn subprograms_get_what_they_read() {
        let unit = unit("r2 = 5\nr3 = 6\ncall sub\nexit\nsub: r0 = r2\nexit\n");
        let main = unit.functions[0].as_ref().expect("main is called").to_string();
        assert!(main.contains("call subprog 1("), "{main}");
        assert!(unit.functions[1].is_some());
    }
}
