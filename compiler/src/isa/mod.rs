//! The instruction set: every conformance group of RFC 9669 and Linux's additions.

mod insn;
mod reg;

pub use insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, LegacyOffset, Operand, Size, Width,
};
pub use reg::Reg;
