//! The instruction set: every conformance group of RFC 9669 and Linux's additions.
//!
//! An instruction is 8 bytes, one slot, in the byte order of its object; `lddw` takes two.
//!
//! ```text
//!   opcode:8   src:4 dst:4   off:16   imm:32          little-endian; big-endian has dst:4 src:4
//!
//!   opcode of arithmetic and jumps:   code:4  source:1  class:3      source 0: imm, 1: src
//!   opcode of loads and stores:       mode:3  size:2    class:3      size 0: W, 1: H, 2: B, 3: DW
//!   class  0 LD  1 LDX  2 ST  3 STX  4 ALU  5 JMP  6 JMP32  7 ALU64
//! ```
//!
//! [`table`] has a row for each encoding; the decoder, encoder, disassembler and assembler read it.
//! What an instruction does is not said here: the verifier, the lowering and the test interpreter each
//! say it in a match of their own.

#![warn(clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

pub mod asm;
mod decode;
mod disasm;
mod encode;
mod form;
mod insn;
mod raw;
mod reg;
mod spelling;
pub mod table;
#[cfg(test)]
mod tests;

pub use asm::assemble;
pub use decode::{DecodeError, SlotProblem, decode, decode_slot};
pub use disasm::{Names, NoNames, disasm, listing};
pub use encode::{encode, encode_all};
pub use form::{CallKind, Form, Imm64Kind, LegacyKind, SrcKind};
pub use insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, LegacyOffset, Operand, Size, Width,
};
pub use raw::{Endianness, RawInsn};
pub use reg::Reg;
pub use spelling::Field;
