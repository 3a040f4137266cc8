//! Operations and terminators.
//!
//! What an operation means is said here once in words; `lower` spells it out for Cranelift.

use brolga_abi::NativeHelper;
use brolga_abi::symbols::Routine;

use super::function::{Block, Value};
use crate::isa::Size;
use crate::program::{MapId, SubprogId};
use crate::verify::Access;

/// Binary arithmetic. Both operands and the result have one type, I32 or I64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// Wrapping addition.
    Add,
    /// Wrapping subtraction.
    Sub,
    /// Wrapping multiplication.
    Mul,
    /// Unsigned division; by zero gives 0.
    Udiv,
    /// Signed division; by zero gives 0, MIN / -1 gives MIN.
    Sdiv,
    /// Unsigned remainder; by zero gives the left operand.
    Urem,
    /// Signed remainder; by zero gives the left operand, MIN % -1 gives 0.
    Srem,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Left shift by the right operand modulo the width.
    Shl,
    /// Logical right shift by the right operand modulo the width.
    Ushr,
    /// Arithmetic right shift by the right operand modulo the width.
    Sshr,
    /// Left rotation by the right operand modulo the width.
    Rotl,
    /// The upper half of the unsigned product of two I64.
    Umulhi,
}

impl Binary {
    /// Whether operands may be swapped.
    #[must_use]
    pub const fn commutes(self) -> bool {
        match self {
            Self::Add | Self::Mul | Self::And | Self::Or | Self::Xor | Self::Umulhi => true,
            Self::Sub
            | Self::Udiv
            | Self::Sdiv
            | Self::Urem
            | Self::Srem
            | Self::Shl
            | Self::Ushr
            | Self::Sshr
            | Self::Rotl => false,
        }
    }
}

/// Unary arithmetic; operand and result have one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// Wrapping negation.
    Neg,
    /// The low 16 bits swapped, the bits above zero.
    Swap16,
    /// The low 32 bits swapped, the bits above zero. Of I32: all of it.
    Swap32,
    /// All 64 bits swapped. Of I64 only.
    Swap64,
}

/// Comparison; operands are both I32 or both I64, the result is I1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the usual names; u unsigned, s signed")]
pub enum Compare {
    Eq,
    Ne,
    Ult,
    Ule,
    Ugt,
    Uge,
    Slt,
    Sle,
    Sgt,
    Sge,
}

impl Compare {
    /// The comparison that holds where this one does not.
    #[must_use]
    pub const fn negate(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Ult => Self::Uge,
            Self::Ule => Self::Ugt,
            Self::Ugt => Self::Ule,
            Self::Uge => Self::Ult,
            Self::Slt => Self::Sge,
            Self::Sle => Self::Sgt,
            Self::Sgt => Self::Sle,
            Self::Sge => Self::Slt,
        }
    }

    /// The comparison with operands swapped.
    #[must_use]
    pub const fn swap(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Ne => Self::Ne,
            Self::Ult => Self::Ugt,
            Self::Ule => Self::Uge,
            Self::Ugt => Self::Ult,
            Self::Uge => Self::Ule,
            Self::Slt => Self::Sgt,
            Self::Sle => Self::Sge,
            Self::Sgt => Self::Slt,
            Self::Sge => Self::Sle,
        }
    }
}

/// How a narrower value is widened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtendKind {
    /// With zeros.
    Zero,
    /// With copies of the sign bit.
    Sign,
}

/// Atomic read-modify-write operations; each yields the old value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of RFC 9669, section 5.3")]
pub enum Rmw {
    Add,
    And,
    Or,
    Xor,
    Exchange,
    /// Adds as a big-endian machine does; the only operation for which swapping the operand and the
    /// result is not enough.
    AddBigEndian,
}

/// An address: a value and a displacement, and what the verifier proved of the access.
///
/// [`Access::Context`] addresses the *native* context; its `off` is still the UAPI offset of the
/// field, as a name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mem {
    /// I64.
    pub base: Value,
    /// Bytes added to it.
    pub off: i32,
    /// What is touched.
    pub access: Access,
}

/// Arguments of a call: up to five I64 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Args {
    values: [Value; 5],
    len: u8,
}

impl Args {
    /// From at most five values; further ones are dropped.
    #[must_use]
    pub fn new(values: &[Value]) -> Self {
        let mut args = Self::default();
        for (slot, value) in args.values.iter_mut().zip(values) {
            *slot = *value;
            args.len += 1;
        }
        args
    }

    /// As a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Value] {
        &self.values[..usize::from(self.len)]
    }

    /// As a slice to be changed.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [Value] {
        &mut self.values[..usize::from(self.len)]
    }
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A constant of the result's type; bits above the type are zero.
    Const(u64),
    /// Binary arithmetic.
    Binary {
        /// Operation.
        op: Binary,
        /// Left operand.
        a: Value,
        /// Right operand.
        b: Value,
    },
    /// Unary arithmetic.
    Unary {
        /// Operation.
        op: Unary,
        /// Operand.
        a: Value,
    },
    /// Comparison.
    Compare {
        /// Condition.
        cond: Compare,
        /// Left operand.
        a: Value,
        /// Right operand.
        b: Value,
    },
    /// One of two values of one type, chosen by an I1.
    Select {
        /// The choice.
        cond: Value,
        /// The result where it holds.
        then: Value,
        /// The result where it does not.
        otherwise: Value,
    },
    /// The low `from` bits of an I32 or I64, widened to the result's type.
    Extend {
        /// How.
        kind: ExtendKind,
        /// How much of the operand is taken: B, H or W; narrower than the result's type.
        from: Size,
        /// Operand.
        a: Value,
    },
    /// The low 32 bits of an I64.
    Trunc(Value),
    /// An I1 as 0 or 1.
    FromBool(Value),
    /// A little-endian load (the context: native-endian), zero- or sign-extended to the result's type.
    Load {
        /// Where.
        mem: Mem,
        /// How much.
        size: Size,
        /// How it is widened.
        extend: ExtendKind,
    },
    /// Stores the low bits of an I32 or I64, which is not narrower than `size`.
    Store {
        /// Where.
        mem: Mem,
        /// How much.
        size: Size,
        /// What.
        value: Value,
    },
    /// Sequentially consistent read-modify-write; the operand's and result's type is that of `size`.
    AtomicRmw {
        /// Operation.
        op: Rmw,
        /// Where.
        mem: Mem,
        /// W or DW.
        size: Size,
        /// Right operand.
        value: Value,
    },
    /// Sequentially consistent compare-and-exchange; types are that of `size`. Yields the old value.
    AtomicCas {
        /// Where.
        mem: Mem,
        /// W or DW.
        size: Size,
        /// What must be there.
        expected: Value,
        /// What is then stored.
        value: Value,
    },
    /// A load with acquire ordering (or stronger), zero-extended to I64.
    LoadAcquire {
        /// Where.
        mem: Mem,
        /// How much.
        size: Size,
    },
    /// A store of the low bits of an I64 with release ordering (or stronger).
    StoreRelease {
        /// Where.
        mem: Mem,
        /// How much.
        size: Size,
        /// What.
        value: Value,
    },
    /// The address `off` bytes from the end of the function's own stack frame (`r10`); `off` is negative
    /// for addresses within.
    StackAddr(i32),
    /// What `r1 = map[m]` yields: the map as helpers take it.
    MapHandle(MapId),
    /// The address of byte `off` of the first element of an array (slot 0's, where it is per-CPU).
    MapValueAddr {
        /// An array kind.
        map: MapId,
        /// Byte offset.
        off: u32,
    },
    /// The address of an array's element (the executing slot's, where it is per-CPU). Never null; an
    /// index at or above `max_entries` gives an address that must not be used.
    MapElemAddr {
        /// An array kind.
        map: MapId,
        /// I64.
        index: Value,
    },
    /// The CPU slot, as I64.
    CpuId,
    /// Calls a helper; yields r0 as I64.
    CallHelper {
        /// Which.
        helper: NativeHelper,
        /// As many as its row has.
        args: Args,
    },
    /// Calls a routine of the runtime; yields its result as I64.
    CallRoutine {
        /// Which.
        routine: Routine,
        /// As many as its row has.
        args: Args,
    },
    /// Calls a function of the host; yields r0 as I64.
    CallHost {
        /// Its index in [`super::Unit::hosts`].
        function: u32,
        /// As many as it has parameters.
        args: Args,
    },
    /// Calls a function of this program; yields r0 as I64.
    CallSubprog {
        /// Which.
        subprog: SubprogId,
        /// Five.
        args: Args,
        /// Whether it may make a tail call: the environment's maps are restored afterwards.
        tail_calls: TailCalls,
    },
}

/// Whether a callee may make tail calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailCalls {
    /// It never does.
    Never,
    /// It may.
    Possible,
}

impl Op {
    /// Whether the operation does nothing but compute its result from its operands: it may be
    /// removed, moved to any place where its operands are defined, and merged with an equal one.
    #[must_use]
    pub const fn is_pure(&self) -> bool {
        match self {
            Self::Const(_)
            | Self::Binary { .. }
            | Self::Unary { .. }
            | Self::Compare { .. }
            | Self::Select { .. }
            | Self::Extend { .. }
            | Self::Trunc(_)
            | Self::FromBool(_)
            | Self::StackAddr(_)
            | Self::MapHandle(_)
            | Self::MapValueAddr { .. }
            | Self::MapElemAddr { .. }
            | Self::CpuId => true,
            Self::Load { .. }
            | Self::Store { .. }
            | Self::AtomicRmw { .. }
            | Self::AtomicCas { .. }
            | Self::LoadAcquire { .. }
            | Self::StoreRelease { .. }
            | Self::CallHelper { .. }
            | Self::CallRoutine { .. }
            | Self::CallHost { .. }
            | Self::CallSubprog { .. } => false,
        }
    }

    /// Whether the operation may be removed where its result is unused: pure, or a plain load.
    #[must_use]
    pub const fn is_removable(&self) -> bool {
        self.is_pure() || matches!(self, Self::Load { .. })
    }

    /// The address of a memory operation.
    #[must_use]
    pub const fn mem(&self) -> Option<&Mem> {
        match self {
            Self::Load { mem, .. }
            | Self::Store { mem, .. }
            | Self::AtomicRmw { mem, .. }
            | Self::AtomicCas { mem, .. }
            | Self::LoadAcquire { mem, .. }
            | Self::StoreRelease { mem, .. } => Some(mem),
            Self::Const(_)
            | Self::Binary { .. }
            | Self::Unary { .. }
            | Self::Compare { .. }
            | Self::Select { .. }
            | Self::Extend { .. }
            | Self::Trunc(_)
            | Self::FromBool(_)
            | Self::StackAddr(_)
            | Self::MapHandle(_)
            | Self::MapValueAddr { .. }
            | Self::MapElemAddr { .. }
            | Self::CpuId
            | Self::CallHelper { .. }
            | Self::CallRoutine { .. }
            | Self::CallHost { .. }
            | Self::CallSubprog { .. } => None,
        }
    }

    /// Calls `f` with every operand.
    pub fn for_each_operand(&self, mut f: impl FnMut(Value)) {
        let mut copy = *self;
        copy.for_each_operand_mut(|value| f(*value));
    }

    /// Calls `f` with every operand, to be changed.
    pub fn for_each_operand_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Self::Const(_)
            | Self::StackAddr(_)
            | Self::MapHandle(_)
            | Self::MapValueAddr { .. }
            | Self::CpuId => {}
            Self::Binary { a, b, .. } | Self::Compare { a, b, .. } => {
                f(a);
                f(b);
            }
            Self::Unary { a, .. } | Self::Extend { a, .. } | Self::Trunc(a) | Self::FromBool(a) => f(a),
            Self::Select { cond, then, otherwise } => {
                f(cond);
                f(then);
                f(otherwise);
            }
            Self::Load { mem, .. } | Self::LoadAcquire { mem, .. } => f(&mut mem.base),
            Self::Store { mem, value, .. }
            | Self::AtomicRmw { mem, value, .. }
            | Self::StoreRelease { mem, value, .. } => {
                f(&mut mem.base);
                f(value);
            }
            Self::AtomicCas { mem, expected, value, .. } => {
                f(&mut mem.base);
                f(expected);
                f(value);
            }
            Self::MapElemAddr { index, .. } => f(index),
            Self::CallHelper { args, .. }
            | Self::CallRoutine { args, .. }
            | Self::CallHost { args, .. }
            | Self::CallSubprog { args, .. } => args.as_mut_slice().iter_mut().for_each(f),
        }
    }
}

/// A way into a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The block.
    pub block: Block,
    /// One argument for each of its parameters.
    pub args: Vec<Value>,
}

impl Edge {
    /// An edge without arguments.
    #[must_use]
    pub const fn new(block: Block) -> Self {
        Self { block, args: Vec::new() }
    }
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// Goes on elsewhere.
    Jump(Edge),
    /// One of two ways, by an I1.
    Branch {
        /// The choice.
        cond: Value,
        /// Where it holds.
        then: Edge,
        /// Where it does not.
        otherwise: Edge,
    },
    /// One of many ways, by an I32 or I64.
    Switch {
        /// The choice.
        value: Value,
        /// Ways by value; none twice.
        cases: Vec<(u64, Edge)>,
        /// The way for all other values.
        default: Edge,
    },
    /// Ends the function with an I64.
    Return(Value),
    /// Replaces the function by a program of a `prog_array`, or goes on where there is none at the
    /// index or the run has made its 33 tail calls.
    TailCall {
        /// I64: `r1` of the program.
        context: Value,
        /// The array.
        map: MapId,
        /// I64, of which 32 bits count.
        index: Value,
        /// Where the function goes on.
        next: Edge,
    },
}

impl Terminator {
    /// The `n`th edge, in the order of [`Terminator::for_each_edge`].
    #[must_use]
    pub fn edge(&self, n: usize) -> Option<&Edge> {
        match (self, n) {
            (Self::Jump(edge) | Self::TailCall { next: edge, .. }, 0) => Some(edge),
            (Self::Branch { then, .. }, 0) => Some(then),
            (Self::Branch { otherwise, .. }, 1) => Some(otherwise),
            (Self::Switch { cases, default, .. }, _) => match cases.get(n) {
                Some((_, edge)) => Some(edge),
                None => (n == cases.len()).then_some(default),
            },
            (Self::Jump(_) | Self::Branch { .. } | Self::TailCall { .. } | Self::Return(_), _) => None,
        }
    }

    /// Calls `f` with every edge.
    pub fn for_each_edge(&self, mut f: impl FnMut(&Edge)) {
        match self {
            Self::Jump(edge) | Self::TailCall { next: edge, .. } => f(edge),
            Self::Branch { then, otherwise, .. } => {
                f(then);
                f(otherwise);
            }
            Self::Switch { cases, default, .. } => {
                cases.iter().for_each(|(_, edge)| f(edge));
                f(default);
            }
            Self::Return(_) => {}
        }
    }

    /// Calls `f` with every edge, to be changed.
    pub fn for_each_edge_mut(&mut self, mut f: impl FnMut(&mut Edge)) {
        match self {
            Self::Jump(edge) | Self::TailCall { next: edge, .. } => f(edge),
            Self::Branch { then, otherwise, .. } => {
                f(then);
                f(otherwise);
            }
            Self::Switch { cases, default, .. } => {
                cases.iter_mut().for_each(|(_, edge)| f(edge));
                f(default);
            }
            Self::Return(_) => {}
        }
    }

    /// Calls `f` with every operand, edge arguments included.
    pub fn for_each_operand(&self, mut f: impl FnMut(Value)) {
        match self {
            Self::Branch { cond: value, .. } | Self::Switch { value, .. } | Self::Return(value) => f(*value),
            Self::TailCall { context, index, .. } => {
                f(*context);
                f(*index);
            }
            Self::Jump(_) => {}
        }
        self.for_each_edge(|edge| edge.args.iter().copied().for_each(&mut f));
    }

    /// Calls `f` with every operand, edge arguments included, to be changed.
    pub fn for_each_operand_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Self::Branch { cond: value, .. } | Self::Switch { value, .. } | Self::Return(value) => f(value),
            Self::TailCall { context, index, .. } => {
                f(context);
                f(index);
            }
            Self::Jump(_) => {}
        }
        self.for_each_edge_mut(|edge| edge.args.iter_mut().for_each(&mut f));
    }
}
