//! What an instruction touches: the registers that it reads and writes, and its memory access.
//!
//! This is data, derived from the instruction alone: what must be initialised before it (reads), what
//! it destroys (writes), which memory must be provably accessible (memory). Liveness, the check of
//! initialised registers and the check of memory all read it, so that they cannot disagree. It knows
//! nothing of values: whether an obligation holds is `check`'s to say.

use brolga_abi::HelperId;

use crate::isa::{AluOp, AtomicOp, CallTarget, Insn, LegacyOffset, Operand, Reg, Size};

/// A set of registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RegSet(pub u16);

impl RegSet {
    /// No register.
    pub const NONE: Self = Self(0);
    /// `r1` to `r5`.
    pub const ARGS: Self = Self(0b11_1110);
    /// `r0` to `r5`: what a call destroys.
    pub const CALLER_SAVED: Self = Self(0b11_1111);
    /// `r6` to `r9`: what a call keeps.
    pub const CALLEE_SAVED: Self = Self(0b11_1100_0000);

    /// The set of one register.
    pub const fn of(reg: Reg) -> Self {
        Self(1 << reg.number())
    }

    /// The first `count` argument registers.
    pub const fn args(count: usize) -> Self {
        Self(((1 << count) - 1) << 1)
    }

    /// With one more register.
    pub const fn with(self, reg: Reg) -> Self {
        Self(self.0 | 1 << reg.number())
    }

    /// With the registers of an operand.
    pub const fn with_operand(self, operand: Operand) -> Self {
        match operand {
            Operand::Reg(reg) => self.with(reg),
            Operand::Imm(_) => self,
        }
    }

    /// Both.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that are not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those in both.
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether a register is in the set.
    pub const fn contains(self, reg: Reg) -> bool {
        self.0 & (1 << reg.number()) != 0
    }

    /// The registers, in order.
    pub fn iter(self) -> impl Iterator<Item = Reg> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = u8::try_from(left.trailing_zeros()).ok().filter(|number| *number < 16)?;
            left &= left - 1;
            Reg::new(number)
        })
    }
}

/// What an access does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Reads and writes as one (atomics).
    Update,
}

/// The memory that an instruction accesses through a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// The register that holds the address.
    pub base: Reg,
    /// The displacement.
    pub off: i16,
    /// How many bytes.
    pub size: Size,
    /// In which direction.
    pub mode: Mode,
}

/// What an instruction touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touches {
    /// Registers that must be initialised.
    pub reads: RegSet,
    /// Registers that hold something else, or nothing, afterwards.
    pub writes: RegSet,
    /// Memory that it accesses.
    pub memory: Option<Memory>,
}

/// What an instruction touches.
pub(super) fn touches(insn: &Insn) -> Touches {
    let none = RegSet::NONE;
    let regs = |reads: RegSet, writes: RegSet| Touches { reads, writes, memory: None };
    match *insn {
        Insn::Alu { op: AluOp::Mov, dst, src, .. } => regs(none.with_operand(src), RegSet::of(dst)),
        Insn::Alu { dst, src, .. } => regs(RegSet::of(dst).with_operand(src), RegSet::of(dst)),
        Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => {
            regs(RegSet::of(src), RegSet::of(dst))
        }
        Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => regs(RegSet::of(dst), RegSet::of(dst)),
        Insn::LoadImm64 { dst, .. } => regs(none, RegSet::of(dst)),
        Insn::Load { size, dst, base, off, .. } | Insn::LoadAcquire { size, dst, base, off } => Touches {
            reads: RegSet::of(base),
            writes: RegSet::of(dst),
            memory: Some(Memory { base, off, size, mode: Mode::Read }),
        },
        Insn::Store { size, base, off, src } => store(size, base, off, src),
        Insn::StoreRelease { size, base, off, src } => store(size, base, off, Operand::Reg(src)),
        Insn::Atomic { op, size, base, off, src } => atomic(op, size, base, off, src),
        Insn::LegacyLoad { offset, .. } => {
            let reads = match offset {
                LegacyOffset::Abs => RegSet::of(Reg::R6),
                LegacyOffset::Ind(reg) => RegSet::of(Reg::R6).with(reg),
            };
            regs(reads, RegSet::CALLER_SAVED)
        }
        Insn::SecondSlot | Insn::Ja { .. } | Insn::Gotol { .. } | Insn::MayGoto { .. } => regs(none, none),
        Insn::Branch { dst, src, .. } => regs(RegSet::of(dst).with_operand(src), none),
        Insn::Call(target) => regs(call_reads(target), RegSet::CALLER_SAVED),
        Insn::Exit => regs(RegSet::of(Reg::R0), none),
    }
}

fn store(size: Size, base: Reg, off: i16, src: Operand) -> Touches {
    Touches {
        reads: RegSet::of(base).with_operand(src),
        writes: RegSet::NONE,
        memory: Some(Memory { base, off, size, mode: Mode::Write }),
    }
}

fn atomic(op: AtomicOp, size: Size, base: Reg, off: i16, src: Reg) -> Touches {
    let reads = RegSet::of(base).with(src);
    let (reads, writes) = match op {
        AtomicOp::Add { fetch: false }
        | AtomicOp::Or { fetch: false }
        | AtomicOp::And { fetch: false }
        | AtomicOp::Xor { fetch: false } => (reads, RegSet::NONE),
        AtomicOp::Add { fetch: true }
        | AtomicOp::Or { fetch: true }
        | AtomicOp::And { fetch: true }
        | AtomicOp::Xor { fetch: true }
        | AtomicOp::Xchg => (reads, RegSet::of(src)),
        AtomicOp::Cmpxchg => (reads.with(Reg::R0), RegSet::of(Reg::R0)),
    };
    Touches { reads, writes, memory: Some(Memory { base, off, size, mode: Mode::Update }) }
}

/// The registers that a call may read: of a helper those of its row, else all arguments.
fn call_reads(target: CallTarget) -> RegSet {
    match target {
        CallTarget::Helper(number) => {
            HelperId::from_number(number).map_or(RegSet::ARGS, |id| RegSet::args(id.info().args.len()))
        }
        CallTarget::Subprog(_) | CallTarget::Kfunc { .. } => RegSet::ARGS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_read_what_the_helper_table_says() {
        let touched = touches(&Insn::Call(CallTarget::Helper(HelperId::MapUpdateElem.info().number)));
        assert_eq!(touched.reads, RegSet(0b1_1110));
        assert_eq!(touched.writes, RegSet::CALLER_SAVED);
    }

    #[test]
    fn an_exchange_reads_and_writes_its_operand() {
        let insn = Insn::Atomic { op: AtomicOp::Xchg, size: Size::DW, base: Reg::R1, off: 0, src: Reg::R2 };
        let touched = touches(&insn);
        assert_eq!((touched.reads, touched.writes), (RegSet(0b110), RegSet(0b100)));
    }
}
