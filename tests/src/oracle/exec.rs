//! The interpreter's loop: one exhaustive match over [`Insn`].

use brolga_compiler::isa::{
    AluOp, AtomicOp, CallTarget, Imm64, Insn, InsnIdx, LegacyOffset, Operand, Reg, Size, Width,
};

use super::fault::{Cause, Fault};
use super::helpers::{self, After};
use super::host;
use super::memory::{RegionId, What};
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
struct Caller {
    program: usize,
    pc: usize,
    saved: [Option<u64>; 5],
    stack: RegionId,
    loops: u32,
}

/// One run.
struct Run<'m> {
    machine: &'m mut Machine,
    program: usize,
    pc: usize,
    regs: [Option<u64>; Reg::COUNT],
    stack: RegionId,
    callers: Vec<Caller>,
    loops: u32,
    tail_calls: u32,
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
    let stack = machine.memory.add(What::Stack, vec![0; FRAME_BYTES], true);
    let mut run = Run {
        program,
        pc: 0,
        regs: [None; Reg::COUNT],
        stack,
        callers: Vec::new(),
        loops: 0,
        tail_calls: 0,
        machine,
    };
    run.regs[1] = Some(r1);
    run.regs[2] = r2;
    run.set_frame();
    let mut fuel = run.machine.fuel;
    let result = loop {
        if fuel == 0 {
            break Err(Cause::OutOfFuel);
        }
        fuel -= 1;
        match run.step() {
            Ok(Next::Done(value)) => break Ok(value),
            Ok(Next::Follow) => run.pc += 1,
            Ok(Next::Jump(off)) => {
                let target = run.pc as i64 + 1 + off;
                match usize::try_from(target) {
                    Ok(pc) => run.pc = pc,
                    Err(_) => break Err(Cause::BadTarget(target)),
                }
            }
            Err(cause) => break Err(cause),
        }
    };
    let at = InsnIdx(u32::try_from(run.pc).unwrap_or(u32::MAX));
    let name = run.machine.programs[run.program].name.clone();
    let frames = run.callers.iter().map(|c| c.stack).chain([run.stack]).collect::<Vec<_>>();
    frames.into_iter().for_each(|f| run.machine.memory.drop_now(f));
    result.map_err(|cause| Fault { program: name, at, cause })
}

impl Run<'_> {
    fn get(&self, reg: Reg) -> Result<u64, Cause> {
        self.regs[reg.index()].ok_or(Cause::UninitialisedRegister(reg))
    }

    fn set(&mut self, reg: Reg, value: u64) -> Result<(), Cause> {
        if reg == Reg::R10 {
            return Err(Cause::FramePointerWritten);
        }
        self.regs[reg.index()] = Some(value);
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
        self.regs[10] = Some(self.machine.memory.address(self.stack, FRAME_BYTES as u64));
    }

    fn step(&mut self) -> Result<Next, Cause> {
        let Some(insn) = self.machine.programs[self.program].insns.get(self.pc).copied() else {
            return Err(Cause::BadTarget(self.pc as i64));
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
            Insn::SecondSlot => return Err(Cause::BadTarget(self.pc as i64)),
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
                self.loops += 1;
                return Ok(if self.loops > MAX_LOOPS { Next::Jump(i64::from(off)) } else { Next::Follow });
            }
            Insn::Branch { cond, width, dst, src, off } => {
                let (left, right) = (self.get(dst)?, self.operand(src)?);
                let taken = alu::holds(cond, width, left, right);
                return Ok(if taken { Next::Jump(i64::from(off)) } else { Next::Follow });
            }
            Insn::Call(target) => return self.call(target),
            Insn::Exit => {
                let value = self.get(Reg::R0)?;
                return Ok(self.leave(value));
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
            Imm64::Func(off) => Ok(FUNCTIONS + (self.pc as i64 + 1 + i64::from(off)).cast_unsigned()),
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
            None => Ok(self.leave(0)),
        }
    }

    fn clobber(&mut self, range: std::ops::Range<usize>) {
        self.regs[range].fill(None);
    }

    fn call(&mut self, target: CallTarget) -> Result<Next, Cause> {
        match target {
            CallTarget::Helper(number) => {
                let args = [1, 2, 3, 4, 5].map(|i| self.regs[i]);
                let after = helpers::call(self.machine, number, args)?;
                self.clobber(0..6);
                match after {
                    After::Value(value) => self.regs[0] = Some(value),
                    After::Nothing => {}
                    After::TailCall(program) => return Ok(self.tail_call(program)),
                }
                Ok(Next::Follow)
            }
            CallTarget::Subprog(off) => {
                if self.callers.len() + 1 >= MAX_FRAMES {
                    return Err(Cause::CallDepth);
                }
                let saved = [6, 7, 8, 9, 10].map(|i| self.regs[i]);
                self.callers.push(Caller {
                    program: self.program,
                    pc: self.pc,
                    saved,
                    stack: self.stack,
                    loops: std::mem::take(&mut self.loops),
                });
                self.clobber(0..1);
                self.clobber(6..10);
                self.stack = self.machine.memory.add(What::Stack, vec![0; FRAME_BYTES], true);
                self.set_frame();
                Ok(Next::Jump(i64::from(off)))
            }
            CallTarget::Kfunc { id, module: CallTarget::HOST } => {
                let index = usize::try_from(id).unwrap_or(usize::MAX);
                let functions = std::sync::Arc::clone(&self.machine.programs[self.program].host_functions);
                let unknown = || Cause::Unsupported(format!("host function {id}"));
                let function = functions.get(index).ok_or_else(unknown)?;
                let args = [1, 2, 3, 4, 5].map(|i| self.regs[i]);
                let result = host::call(self.machine, function, args)?;
                self.clobber(0..6);
                self.regs[0] = result;
                Ok(Next::Follow)
            }
            CallTarget::Kfunc { id, .. } => Err(Cause::Unsupported(format!("kernel function {id}"))),
        }
    }

    /// The target takes the place of the current function: its caller gets the target's result.
    fn tail_call(&mut self, program: usize) -> Next {
        if self.tail_calls >= MAX_TAIL_CALLS {
            return Next::Follow;
        }
        self.tail_calls += 1;
        self.machine.memory.drop_now(self.stack);
        self.stack = self.machine.memory.add(What::Stack, vec![0; FRAME_BYTES], true);
        self.loops = 0;
        self.regs = [None; Reg::COUNT];
        self.regs[1] = self.machine.context.map(|c| self.machine.memory.address(c, 0));
        self.set_frame();
        self.program = program;
        self.pc = 0;
        Next::Jump(-1)
    }

    /// Returns from the current function.
    fn leave(&mut self, value: u64) -> Next {
        let Some(caller) = self.callers.pop() else { return Next::Done(value) };
        self.machine.memory.drop_now(self.stack);
        self.stack = caller.stack;
        self.program = caller.program;
        self.pc = caller.pc;
        self.loops = caller.loops;
        self.clobber(0..6);
        self.regs[0] = Some(value);
        for (i, saved) in caller.saved.into_iter().enumerate() {
            self.regs[6 + i] = saved;
        }
        Next::Follow
    }
}
