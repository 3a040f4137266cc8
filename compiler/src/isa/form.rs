//! Forms: what an [`Insn`] is apart from its operands, and the two ways between them.
//!
//! A row of the table encodes exactly one [`Form`]. [`split`] and [`build`] are inverse on every value
//! that has a row; they judge nothing, the table does. An `Insn` can be written in Rust that no
//! encoding stands for (say, an atomic of 8 bits): its form has no row.

use super::insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, LegacyOffset, Operand, Size, Width,
};
use super::reg::Reg;

/// Whether the right operand is a register or an immediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrcKind {
    /// `BPF_X`
    Reg,
    /// `BPF_K`
    Imm,
}

/// Which kind of value a `lddw` loads; the discriminant is its `src` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants of `Imm64`, which has the docs")]
pub enum Imm64Kind {
    Value,
    MapFd,
    MapFdValue,
    BtfId,
    Func,
    MapIdx,
    MapIdxValue,
}

/// Which kind of function a call calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants of `CallTarget`, which has the docs")]
pub enum CallKind {
    Helper,
    Subprog,
    Kfunc,
}

/// Which kind of legacy packet load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegacyKind {
    /// `BPF_ABS`
    Abs,
    /// `BPF_IND`
    Ind,
}

/// An instruction apart from its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants of `Insn`, which has the docs")]
pub enum Form {
    Alu { op: AluOp, width: Width, src: SrcKind },
    MovSx { width: Width, from: Size },
    Neg { width: Width },
    Endian { kind: Endian, size: Size },
    AddrSpaceCast,
    LoadImm64 { kind: Imm64Kind },
    Load { size: Size, signed: bool },
    Store { size: Size, src: SrcKind },
    Atomic { op: AtomicOp, size: Size },
    LoadAcquire { size: Size },
    StoreRelease { size: Size },
    LegacyLoad { size: Size, kind: LegacyKind },
    Ja,
    Gotol,
    MayGoto,
    Branch { cond: Cond, width: Width, src: SrcKind },
    Call { kind: CallKind },
    Exit,
}

/// Operand fields of an instruction; those that its form does not use are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Operands {
    pub dst: Reg,
    pub src: Reg,
    pub off: i16,
    pub imm: i32,
    /// The immediate of the second slot of a `lddw`.
    pub next_imm: i32,
}

impl Operands {
    pub(super) const ZERO: Self = Self { dst: Reg::R0, src: Reg::R0, off: 0, imm: 0, next_imm: 0 };
}

impl Form {
    /// How many classes there are.
    pub(super) const CLASSES: usize = 18;

    /// Which variant it is: a hash for finding its row.
    pub(super) const fn class(self) -> usize {
        match self {
            Self::Alu { .. } => 0,
            Self::MovSx { .. } => 1,
            Self::Neg { .. } => 2,
            Self::Endian { .. } => 3,
            Self::AddrSpaceCast => 4,
            Self::LoadImm64 { .. } => 5,
            Self::Load { .. } => 6,
            Self::Store { .. } => 7,
            Self::Atomic { .. } => 8,
            Self::LoadAcquire { .. } => 9,
            Self::StoreRelease { .. } => 10,
            Self::LegacyLoad { .. } => 11,
            Self::Ja => 12,
            Self::Gotol => 13,
            Self::MayGoto => 14,
            Self::Branch { .. } => 15,
            Self::Call { .. } => 16,
            Self::Exit => 17,
        }
    }
}

/// Parts an instruction into form and operands. `None` for [`Insn::SecondSlot`], which is a part of
/// the instruction before it.
pub(super) fn split(insn: &Insn) -> Option<(Form, Operands)> {
    let zero = Operands::ZERO;
    Some(match *insn {
        Insn::Alu { op, width, dst, src } => {
            let (kind, src, imm) = split_operand(src);
            (Form::Alu { op, width, src: kind }, Operands { dst, src, imm, ..zero })
        }
        Insn::MovSx { width, from, dst, src } => (Form::MovSx { width, from }, Operands { dst, src, ..zero }),
        Insn::Neg { width, dst } => (Form::Neg { width }, Operands { dst, ..zero }),
        Insn::Endian { kind, size, dst } => (Form::Endian { kind, size }, Operands { dst, ..zero }),
        Insn::AddrSpaceCast { dst, src, to, from } => {
            let imm = (u32::from(to) << 16 | u32::from(from)).cast_signed();
            (Form::AddrSpaceCast, Operands { dst, src, imm, ..zero })
        }
        Insn::LoadImm64 { dst, imm } => {
            let (kind, imm, next_imm) = split_imm64(imm);
            (Form::LoadImm64 { kind }, Operands { dst, imm, next_imm, ..zero })
        }
        Insn::SecondSlot => return None,
        Insn::Load { size, signed, dst, base, off } => {
            (Form::Load { size, signed }, Operands { dst, src: base, off, ..zero })
        }
        Insn::Store { size, base, off, src } => {
            let (kind, src, imm) = split_operand(src);
            (Form::Store { size, src: kind }, Operands { dst: base, src, off, imm, ..zero })
        }
        Insn::Atomic { op, size, base, off, src } => {
            (Form::Atomic { op, size }, Operands { dst: base, src, off, ..zero })
        }
        Insn::LoadAcquire { size, dst, base, off } => {
            (Form::LoadAcquire { size }, Operands { dst, src: base, off, ..zero })
        }
        Insn::StoreRelease { size, base, off, src } => {
            (Form::StoreRelease { size }, Operands { dst: base, src, off, ..zero })
        }
        Insn::LegacyLoad { size, offset, imm } => {
            let (kind, src) = match offset {
                LegacyOffset::Abs => (LegacyKind::Abs, Reg::R0),
                LegacyOffset::Ind(src) => (LegacyKind::Ind, src),
            };
            (Form::LegacyLoad { size, kind }, Operands { src, imm, ..zero })
        }
        Insn::Ja { off } => (Form::Ja, Operands { off, ..zero }),
        Insn::Gotol { off } => (Form::Gotol, Operands { imm: off, ..zero }),
        Insn::MayGoto { off } => (Form::MayGoto, Operands { off, ..zero }),
        Insn::Branch { cond, width, dst, src, off } => {
            let (kind, src, imm) = split_operand(src);
            (Form::Branch { cond, width, src: kind }, Operands { dst, src, off, imm, ..zero })
        }
        Insn::Call(target) => {
            let (kind, off, imm) = match target {
                CallTarget::Helper(number) => (CallKind::Helper, 0, number.cast_signed()),
                CallTarget::Subprog(off) => (CallKind::Subprog, 0, off),
                CallTarget::Kfunc { id, module } => (CallKind::Kfunc, module, id),
            };
            (Form::Call { kind }, Operands { off, imm, ..zero })
        }
        Insn::Exit => (Form::Exit, zero),
    })
}

/// Puts form and operands together.
pub(super) fn build(form: Form, operands: Operands) -> Insn {
    build_with(&form, operands, |insn| insn)
}

/// Puts form and operands together, and does something with the instruction. Each kind is made where it is
/// used: a common place for all would be written in parts and read as a whole, on which processors wait.
#[inline]
pub(super) fn build_with<R>(form: &Form, operands: Operands, then: impl FnOnce(Insn) -> R) -> R {
    let Operands { dst, src, off, imm, next_imm } = operands;
    match *form {
        Form::Alu { op, width, src: SrcKind::Reg } => {
            then(Insn::Alu { op, width, dst, src: Operand::Reg(src) })
        }
        Form::Alu { op, width, src: SrcKind::Imm } => {
            then(Insn::Alu { op, width, dst, src: Operand::Imm(imm) })
        }
        Form::MovSx { width, from } => then(Insn::MovSx { width, from, dst, src }),
        Form::Neg { width } => then(Insn::Neg { width, dst }),
        Form::Endian { kind, size } => then(Insn::Endian { kind, size, dst }),
        Form::AddrSpaceCast => {
            let [from_low, from_high, to_low, to_high] = imm.to_le_bytes();
            let to = u16::from_le_bytes([to_low, to_high]);
            then(Insn::AddrSpaceCast { dst, src, to, from: u16::from_le_bytes([from_low, from_high]) })
        }
        Form::LoadImm64 { kind } => then(Insn::LoadImm64 { dst, imm: build_imm64(kind, imm, next_imm) }),
        Form::Load { size, signed } => then(Insn::Load { size, signed, dst, base: src, off }),
        Form::Store { size, src: SrcKind::Reg } => {
            then(Insn::Store { size, base: dst, off, src: Operand::Reg(src) })
        }
        Form::Store { size, src: SrcKind::Imm } => {
            then(Insn::Store { size, base: dst, off, src: Operand::Imm(imm) })
        }
        Form::Atomic { op, size } => then(Insn::Atomic { op, size, base: dst, off, src }),
        Form::LoadAcquire { size } => then(Insn::LoadAcquire { size, dst, base: src, off }),
        Form::StoreRelease { size } => then(Insn::StoreRelease { size, base: dst, off, src }),
        Form::LegacyLoad { size, kind: LegacyKind::Abs } => {
            then(Insn::LegacyLoad { size, offset: LegacyOffset::Abs, imm })
        }
        Form::LegacyLoad { size, kind: LegacyKind::Ind } => {
            then(Insn::LegacyLoad { size, offset: LegacyOffset::Ind(src), imm })
        }
        Form::Ja => then(Insn::Ja { off }),
        Form::Gotol => then(Insn::Gotol { off: imm }),
        Form::MayGoto => then(Insn::MayGoto { off }),
        Form::Branch { cond, width, src: SrcKind::Reg } => {
            then(Insn::Branch { cond, width, dst, src: Operand::Reg(src), off })
        }
        Form::Branch { cond, width, src: SrcKind::Imm } => {
            then(Insn::Branch { cond, width, dst, src: Operand::Imm(imm), off })
        }
        Form::Call { kind: CallKind::Helper } => then(Insn::Call(CallTarget::Helper(imm.cast_unsigned()))),
        Form::Call { kind: CallKind::Subprog } => then(Insn::Call(CallTarget::Subprog(imm))),
        Form::Call { kind: CallKind::Kfunc } => then(Insn::Call(CallTarget::Kfunc { id: imm, module: off })),
        Form::Exit => then(Insn::Exit),
    }
}

fn split_operand(operand: Operand) -> (SrcKind, Reg, i32) {
    match operand {
        Operand::Reg(reg) => (SrcKind::Reg, reg, 0),
        Operand::Imm(imm) => (SrcKind::Imm, Reg::R0, imm),
    }
}

fn split_imm64(imm: Imm64) -> (Imm64Kind, i32, i32) {
    match imm {
        Imm64::Value(value) => {
            let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
            (Imm64Kind::Value, i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
        }
        Imm64::MapFd(fd) => (Imm64Kind::MapFd, fd, 0),
        Imm64::MapFdValue { fd, off } => (Imm64Kind::MapFdValue, fd, off.cast_signed()),
        Imm64::BtfId { id, btf_fd } => (Imm64Kind::BtfId, id, btf_fd),
        Imm64::Func(off) => (Imm64Kind::Func, off, 0),
        Imm64::MapIdx(index) => (Imm64Kind::MapIdx, index.cast_signed(), 0),
        Imm64::MapIdxValue { index, off } => (Imm64Kind::MapIdxValue, index.cast_signed(), off.cast_signed()),
    }
}

fn build_imm64(kind: Imm64Kind, imm: i32, next_imm: i32) -> Imm64 {
    let (uimm, next) = (imm.cast_unsigned(), next_imm.cast_unsigned());
    match kind {
        Imm64Kind::Value => Imm64::Value(u64::from(next) << 32 | u64::from(uimm)),
        Imm64Kind::MapFd => Imm64::MapFd(imm),
        Imm64Kind::MapFdValue => Imm64::MapFdValue { fd: imm, off: next },
        Imm64Kind::BtfId => Imm64::BtfId { id: imm, btf_fd: next_imm },
        Imm64Kind::Func => Imm64::Func(imm),
        Imm64Kind::MapIdx => Imm64::MapIdx(uimm),
        Imm64Kind::MapIdxValue => Imm64::MapIdxValue { index: uimm, off: next },
    }
}
