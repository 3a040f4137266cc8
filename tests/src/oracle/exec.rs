//! The interpreter's loop: one exhaustive match over [`Insn`].

use brolga_abi::HelperId;
use brolga_compiler::isa::{
    AluOp, AtomicOp, CallTarget, Imm64, Insn, InsnIdx, LegacyOffset, Operand, Reg, Size, Width,
};

use super::fault::{Cause, Fault};
use super::helpers::{self, After};
use super::host;
use super::maps::{E2BIG, EINVAL};
use super::memory::{Memory, RegionId, What};
use super::{Machine, alu};

/// Addresses of functions, which nothing may read.
const FUNCTIONS: u64 = 0xffff_0000_0000_0000;
/// Most frames at a time.
const MAX_FRAMES: usize = 8;
/// Bytes of one frame.
const FRAME_BYTES: usize = 512;
/// How often `may_goto` goes on in one function call: Linux's `BPF_MAX_LOOPS`.
const MAX_LOOPS: u32 = 8 << 20;
/// Tail calls that one run may make.
const MAX_TAIL_CALLS: u32 = 33;

/// What a caller gets back when a function returns.
#[derive(Clone, Debug)]
struct Caller {
    program: usize,
    pc: usize,
    /// `r6` to `r10`; all of them where a helper called the function.
    saved: [Option<u64>; Reg::COUNT],
    stack: RegionId,
    loops: u32,
    /// A helper called the function: the round.
    round: Option<u64>,
}

/// What runs on a machine: everything but memory.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    pub(super) program: usize,
    pub(super) pc: usize,
    regs: [Option<u64>; Reg::COUNT],
    stack: RegionId,
    callers: Vec<Caller>,
    loops: u32,
    tail_calls: u32,
    /// Rounds that the `bpf_loop` at `pc` has made, and whether its function asked to stop.
    rounds: Option<(u64, bool)>,
}

impl Thread {
    /// At the first instruction of a program.
    pub(super) fn new(machine: &mut Machine, program: usize, r1: u64, r2: Option<u64>) -> Self {
        let stack = machine.memory.add(What::Stack, vec![0; FRAME_BYTES], true);
        let mut regs = [None; Reg::COUNT];
        (regs[1], regs[2]) = (Some(r1), r2);
        regs[10] = Some(machine.memory.address(stack, FRAME_BYTES as u64));
        Self { program, pc: 0, regs, stack, callers: Vec::new(), loops: 0, tail_calls: 0, rounds: None }
    }

    /// How many functions are active.
    pub(super) fn depth(&self) -> usize {
        self.callers.len() + 1
    }

    /// What a register of an active function holds, 0 being the outermost; of callers only what a call keeps.
    pub(super) fn reg(&self, frame: usize, reg: Reg) -> Option<u64> {
        self.callers.get(frame).map_or(&self.regs, |caller| &caller.saved)[reg.index()]
    }

    /// The stack of an active function.
    pub(super) fn stack(&self, frame: usize) -> RegionId {
        self.callers.get(frame).map_or(self.stack, |caller| caller.stack)
    }

    /// One instruction. The result, at the end.
    pub(super) fn step(&mut self, machine: &mut Machine) -> Result<Option<u64>, Fault> {
        let mut run = Run { machine, thread: self };
        match run.step() {
            Ok(Next::Done(value)) => return Ok(Some(value)),
            Ok(Next::Follow) => self.pc += 1,
            Ok(Next::Jump(off)) => {
                let target = self.pc as i64 + 1 + off;
                match usize::try_from(target) {
                    Ok(pc) => self.pc = pc,
                    Err(_) => return Err(self.fault(machine, Cause::BadTarget(target))),
                }
            }
            Err(cause) => return Err(self.fault(machine, cause)),
        }
        Ok(None)
    }

    /// Something that went wrong here.
    pub(super) fn fault(&self, machine: &Machine, cause: Cause) -> Fault {
        let at = InsnIdx(u32::try_from(self.pc).unwrap_or(u32::MAX));
        Fault { program: machine.programs[self.program].name.clone(), at, cause }
    }

    /// The stacks are gone.
    pub(super) fn end(&self, memory: &mut Memory) {
        self.callers.iter().map(|c| c.stack).chain([self.stack]).for_each(|stack| memory.drop_now(stack));
    }
}

/// One step of a thread.
struct Run<'m> {
    machine: &'m mut Machine,
    thread: &'m mut Thread,
}

/// What an instruction leads to.
enum Next {
    /// The instruction after it.
    Follow,
    /// A jump of so many slots from the one after it.
    Jump(i64),
    /// The end of the run.
    Done(u64),
}

/// Runs a program to its end.
pub(super) fn run(machine: &mut Machine, program: usize, r1: u64, r2: Option<u64>) -> Result<u64, Fault> {
    let mut thread = Thread::new(machine, program, r1, r2);
    let mut fuel = machine.fuel;
    let result = loop {
        if fuel == 0 {
            break Err(thread.fault(machine, Cause::OutOfFuel));
        }
        fuel -= 1;
        match thread.step(machine) {
            Ok(None) => {}
            Ok(Some(value)) => break Ok(value),
            Err(fault) => break Err(fault),
        }
    };
    thread.end(&mut machine.memory);
    result
}

impl Run<'_> {
    fn get(&self, reg: Reg) -> Result<u64, Cause> {
        self.thread.regs[reg.index()].ok_or(Cause::UninitialisedRegister(reg))
    }

    fn set(&mut self, reg: Reg, value: u64) -> Result<(), Cause> {
        if reg == Reg::R10 {
            return Err(Cause::FramePointerWritten);
        }
        self.thread.regs[reg.index()] = Some(value);
        Ok(())
    }

    fn operand(&self, src: Operand) -> Result<u64, Cause> {
        match src {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Ok(i64::from(imm).cast_unsigned()),
        }
    }

    fn address(&self, base: Reg, off: i16) -> Result<u64, Cause> {
        Ok(self.get(base)?.wrapping_add_signed(i64::from(off)))
    }

    fn set_frame(&mut self) {
        self.thread.regs[10] = Some(self.machine.memory.address(self.thread.stack, FRAME_BYTES as u64));
    }

    fn step(&mut self) -> Result<Next, Cause> {
        let Some(insn) = self.machine.programs[self.thread.program].insns.get(self.thread.pc).copied() else {
            return Err(Cause::BadTarget(self.thread.pc as i64));
        };
        match insn {
            Insn::Alu { op, width, dst, src } => {
                let right = self.operand(src)?;
                let left = if op == AluOp::Mov { 0 } else { self.get(dst)? };
                self.set(dst, alu::binary(op, width, left, right))?;
            }
            Insn::MovSx { width, from, dst, src } => {
                self.set(dst, alu::sign_extend(width, from, self.get(src)?))?;
            }
            Insn::Neg { width, dst } => self.set(dst, alu::negate(width, self.get(dst)?))?,
            Insn::Endian { kind, size, dst } => {
                self.set(dst, alu::endian(self.machine.memory.order, kind, size, self.get(dst)?))?
            }
            Insn::AddrSpaceCast { .. } => return Err(Cause::Unsupported("arenas".to_owned())),
            Insn::LoadImm64 { dst, imm } => {
                let value = self.imm64(imm)?;
                self.set(dst, value)?;
                return Ok(Next::Jump(1));
            }
            Insn::SecondSlot => return Err(Cause::BadTarget(self.thread.pc as i64)),
            Insn::Load { size, signed, dst, base, off } => {
                let address = self.address(base, off)?;
                let loaded = self.machine.memory.load(address, size)?;
                self.set(dst, if signed { alu::sign_extend(Width::W64, size, loaded) } else { loaded })?;
            }
            Insn::Store { size, base, off, src } => {
                let value = self.operand(src)?;
                let address = self.address(base, off)?;
                self.machine.memory.store(address, size, value)?;
            }
            Insn::Atomic { op, size, base, off, src } => self.atomic(op, size, base, off, src)?,
            Insn::LoadAcquire { size, dst, base, off } => {
                let address = self.aligned(base, off, size)?;
                let loaded = self.machine.memory.load(address, size)?;
                self.set(dst, loaded)?;
            }
            Insn::StoreRelease { size, base, off, src } => {
                let address = self.aligned(base, off, size)?;
                let value = self.get(src)?;
                self.machine.memory.store(address, size, value)?;
            }
            Insn::LegacyLoad { size, offset, imm } => return self.legacy_load(size, offset, imm),
            Insn::Ja { off } => return Ok(Next::Jump(i64::from(off))),
            Insn::Gotol { off } => return Ok(Next::Jump(i64::from(off))),
            Insn::MayGoto { off } => {
                self.thread.loops += 1;
                return Ok(if self.thread.loops > MAX_LOOPS {
                    Next::Jump(i64::from(off))
                } else {
                    Next::Follow
                });
            }
            Insn::Branch { cond, width, dst, src, off } => {
                let (left, right) = (self.get(dst)?, self.operand(src)?);
                let taken = alu::holds(cond, width, left, right);
                return Ok(if taken { Next::Jump(i64::from(off)) } else { Next::Follow });
            }
            Insn::Call(target) => return self.call(target),
            Insn::Exit => {
                return self.leave();
            }
        }
        Ok(Next::Follow)
    }

    fn imm64(&mut self, imm: Imm64) -> Result<u64, Cause> {
        match imm {
            Imm64::Value(value) => Ok(value),
            Imm64::MapIdx(index) => {
                let map = self.machine.maps.get(index as usize).filter(|m| m.is_known());
                let map = map.ok_or_else(|| Cause::Unsupported(format!("map {index}")))?;
                Ok(self.machine.memory.address(map.handle, 0))
            }
            Imm64::MapIdxValue { index, off } => {
                let machine = &mut *self.machine;
                let map = machine.maps.get_mut(index as usize);
                let map = map.ok_or_else(|| Cause::Unsupported(format!("map {index}")))?;
                let region = map.lookup(&[0; 4], machine.hooks.cpu as usize, &mut machine.memory);
                let region = region.ok_or_else(|| Cause::Unsupported("a direct value of this map".into()))?;
                Ok(machine.memory.address(region, u64::from(off)))
            }
            Imm64::Func(off) => Ok(FUNCTIONS + (self.thread.pc as i64 + 1 + i64::from(off)).cast_unsigned()),
            Imm64::MapFd(_) | Imm64::MapFdValue { .. } => Err(Cause::Unsupported("file descriptors".into())),
            Imm64::BtfId { .. } => Err(Cause::Unsupported("kernel variables".into())),
        }
    }

    fn aligned(&self, base: Reg, off: i16, size: Size) -> Result<u64, Cause> {
        let address = self.address(base, off)?;
        if address % u64::from(size.bytes()) == 0 { Ok(address) } else { Err(Cause::Misaligned { address }) }
    }

    fn atomic(&mut self, op: AtomicOp, size: Size, base: Reg, off: i16, src: Reg) -> Result<(), Cause> {
        let address = self.aligned(base, off, size)?;
        let operand = self.get(src)?;
        let expected = if op == AtomicOp::Cmpxchg { self.get(Reg::R0)? } else { 0 };
        let old = self.machine.memory.load(address, size)?;
        self.machine.memory.store(address, size, alu::atomic(op, size, old, operand, expected))?;
        match op {
            AtomicOp::Add { fetch }
            | AtomicOp::Or { fetch }
            | AtomicOp::And { fetch }
            | AtomicOp::Xor { fetch } => {
                if fetch {
                    self.set(src, old)?;
                }
            }
            AtomicOp::Xchg => self.set(src, old)?,
            AtomicOp::Cmpxchg => self.set(Reg::R0, old)?,
        }
        Ok(())
    }

    /// A load beyond the packet ends the function with 0. Offsets from -0x100000 (`SKF_NET_OFF`) on are
    /// relative to the network header, where the data begins, and those from -0x200000 (`SKF_LL_OFF`)
    /// on to the link layer's.
    fn legacy_load(&mut self, size: Size, offset: LegacyOffset, imm: i32) -> Result<Next, Cause> {
        let context = self.machine.context.map(|c| self.machine.memory.address(c, 0));
        if Some(self.get(Reg::R6)?) != context {
            return Err(Cause::WrongArgument {
                helper: "a legacy packet load",
                expected: "the context in r6",
            });
        }
        let at = match offset {
            LegacyOffset::Abs => i64::from(imm),
            LegacyOffset::Ind(reg) => i64::from((self.get(reg)? as u32).cast_signed().wrapping_add(imm)),
        };
        self.clobber(1..6);
        let packet = &self.machine.memory.packet;
        let data = packet.data as i64;
        let start = match at {
            0.. => data + at,
            -0x10_0000.. => data + at + 0x10_0000,
            _ => at + 0x20_0000,
        };
        let bytes = &packet.bytes[..packet.end];
        let wanted = usize::try_from(start).ok().and_then(|at| bytes.get(at..at + size.bytes() as usize));
        match wanted {
            Some(wanted) => {
                let value = wanted.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                self.set(Reg::R0, value)?;
                Ok(Next::Follow)
            }
            None => {
                self.thread.regs[Reg::R0.index()] = Some(0);
                self.leave()
            }
        }
    }

    fn clobber(&mut self, range: std::ops::Range<usize>) {
        self.thread.regs[range].fill(None);
    }

    fn call(&mut self, target: CallTarget) -> Result<Next, Cause> {
        match target {
            CallTarget::Helper(number) if number == HelperId::Loop.info().number => self.bpf_loop(),
            CallTarget::Helper(number) => {
                let args = [1, 2, 3, 4, 5].map(|i| self.thread.regs[i]);
                let after = helpers::call(self.machine, number, args)?;
                self.clobber(0..6);
                match after {
                    After::Value(value) => self.thread.regs[0] = Some(value),
                    After::Nothing => {}
                    After::TailCall(program) => return Ok(self.tail_call(program)),
                }
                Ok(Next::Follow)
            }
            CallTarget::Subprog(off) => {
                if self.thread.callers.len() + 1 >= MAX_FRAMES {
                    return Err(Cause::CallDepth);
                }
                self.enter(None);
                Ok(Next::Jump(i64::from(off)))
            }
            CallTarget::Kfunc { id, module: CallTarget::HOST } => {
                let index = usize::try_from(id).unwrap_or(usize::MAX);
                let functions =
                    std::sync::Arc::clone(&self.machine.programs[self.thread.program].host_functions);
                let unknown = || Cause::Unsupported(format!("host function {id}"));
                let function = functions.get(index).ok_or_else(unknown)?;
                let args = [1, 2, 3, 4, 5].map(|i| self.thread.regs[i]);
                let result = host::call(self.machine, function, args)?;
                self.clobber(0..6);
                self.thread.regs[0] = result;
                Ok(Next::Follow)
            }
            CallTarget::Kfunc { id, .. } => Err(Cause::Unsupported(format!("kernel function {id}"))),
        }
    }

    /// Makes a frame for a function, which gets `r1` to `r5`.
    fn enter(&mut self, round: Option<u64>) {
        let mut saved = self.thread.regs;
        if round.is_none() {
            saved[..6].fill(None);
        }
        let thread = &mut *self.thread;
        thread.callers.push(Caller {
            program: thread.program,
            pc: thread.pc,
            saved,
            stack: thread.stack,
            loops: std::mem::take(&mut thread.loops),
            round,
        });
        self.clobber(0..1);
        self.clobber(6..10);
        self.thread.stack = self.machine.memory.add(What::Stack, vec![0; FRAME_BYTES], true);
        self.set_frame();
    }

    /// `bpf_loop(rounds, function, context, flags)`: the function returns to the call, which then goes on with the next
    /// round or ends.
    fn bpf_loop(&mut self) -> Result<Next, Cause> {
        let wrong = |expected| Cause::WrongArgument { helper: "bpf_loop", expected };
        let arg = |i: usize| self.thread.regs[i].ok_or(wrong("an initialised argument register"));
        let (count, function, context, flags) = (arg(1)? & 0xffff_ffff, arg(2)?, arg(3)?, arg(4)?);
        let (round, stop) = self.thread.rounds.take().unwrap_or((0, false));
        let result = match () {
            () if flags != 0 => EINVAL,
            () if count > u64::from(MAX_LOOPS) => E2BIG,
            () if stop || round >= count => round.cast_signed(),
            () => {
                let target = function.checked_sub(FUNCTIONS).ok_or(wrong("a function"))?.cast_signed();
                if self.thread.callers.len() + 1 >= MAX_FRAMES {
                    return Err(Cause::CallDepth);
                }
                self.enter(Some(round));
                self.clobber(0..6);
                (self.thread.regs[1], self.thread.regs[2]) = (Some(round), Some(context));
                return Ok(Next::Jump(target - self.thread.pc as i64 - 1));
            }
        };
        self.clobber(0..6);
        self.thread.regs[0] = Some(result.cast_unsigned());
        Ok(Next::Follow)
    }

    /// The target takes the place of the current function: its caller gets the target's result.
    fn tail_call(&mut self, program: usize) -> Next {
        if self.thread.tail_calls >= MAX_TAIL_CALLS {
            return Next::Follow;
        }
        self.thread.tail_calls += 1;
        self.machine.memory.drop_now(self.thread.stack);
        self.thread.stack = self.machine.memory.add(What::Stack, vec![0; FRAME_BYTES], true);
        self.thread.loops = 0;
        self.thread.regs = [None; Reg::COUNT];
        self.thread.regs[1] = self.machine.context.map(|c| self.machine.memory.address(c, 0));
        self.set_frame();
        self.thread.program = program;
        self.thread.pc = 0;
        Next::Jump(-1)
    }

    /// Returns from the current function. One that another calls may leave `r0` unwritten; then the caller must not
    /// read it.
    fn leave(&mut self) -> Result<Next, Cause> {
        let result = self.thread.regs[Reg::R0.index()];
        let Some(caller) = self.thread.callers.pop() else { return Ok(Next::Done(self.get(Reg::R0)?)) };
        self.machine.memory.drop_now(self.thread.stack);
        self.thread.stack = caller.stack;
        self.thread.program = caller.program;
        self.thread.pc = caller.pc;
        self.thread.loops = caller.loops;
        self.thread.regs = caller.saved;
        Ok(match caller.round {
            Some(round) => {
                let value = result.ok_or(Cause::UninitialisedRegister(Reg::R0))?;
                self.thread.rounds = Some((round + 1, value != 0));
                Next::Jump(-1)
            }
            None => {
                self.thread.regs[Reg::R0.index()] = result;
                Next::Follow
            }
        })
    }
}
