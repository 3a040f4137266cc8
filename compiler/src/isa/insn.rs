//! Instructions in decoded form.
//!
//! One value stands for one 8-byte slot. A 16-byte `lddw` takes two: [`Insn::LoadImm64`] and then
//! [`Insn::SecondSlot`], so that indices and jump distances are those of the kernel and of
//! `llvm-objdump`.

use super::reg::Reg;

/// Index of an instruction slot within a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct InsnIdx(pub u32);

impl InsnIdx {
    /// As an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The target of a jump of `off` slots from the slot after this one, if not negative.
    #[must_use]
    pub fn jump(self, off: i32) -> Option<Self> {
        u32::try_from(i64::from(self.0) + 1 + i64::from(off)).ok().map(Self)
    }
}

impl std::fmt::Display for InsnIdx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Operand width of arithmetic and of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Width {
    /// 32 bits: the upper half of the result is zero.
    W32,
    /// 64 bits.
    W64,
}

/// Size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    /// 8 bits.
    B,
    /// 16 bits.
    H,
    /// 32 bits.
    W,
    /// 64 bits.
    DW,
}

impl Size {
    /// In bytes: 1, 2, 4 or 8.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B => 1,
            Self::H => 2,
            Self::W => 4,
            Self::DW => 8,
        }
    }
}

/// A register or a sign-extended 32-bit immediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register's value.
    Reg(Reg),
    /// An immediate; for 64-bit operations it is sign-extended.
    Imm(i32),
}

/// Binary arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of RFC 9669, section 4.1")]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    Div,
    Sdiv,
    Mod,
    Smod,
    Or,
    And,
    Xor,
    Lsh,
    Rsh,
    Arsh,
    Mov,
}

/// Byte swaps (RFC 9669, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endian {
    /// To little-endian: truncates on little-endian machines.
    ToLe,
    /// To big-endian: swaps on little-endian machines.
    ToBe,
    /// Swap always (`bswap`).
    Swap,
}

/// Conditions (RFC 9669, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of RFC 9669, section 4.3")]
pub enum Cond {
    Eq,
    Ne,
    /// Some bit is set in both (`&`).
    Set,
    Gt,
    Ge,
    Lt,
    Le,
    Sgt,
    Sge,
    Slt,
    Sle,
}

/// Atomic read-modify-write operations (RFC 9669, section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AtomicOp {
    /// `*p += src`; with `fetch`, `src` receives the old value.
    Add {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `*p |= src`
    Or {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `*p &= src`
    And {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `*p ^= src`
    Xor {
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// Exchange: `src` receives the old value.
    Xchg,
    /// Compare with `r0`, store `src` where equal; `r0` receives the old value.
    Cmpxchg,
}

/// What the 64-bit immediate of `lddw` stands for (RFC 9669, section 5.4).
///
/// `MapIdx` and `MapIdxValue` are what a loaded [`crate::program::Program`] holds: the index is one
/// into its maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Imm64 {
    /// src 0: the value itself.
    Value(u64),
    /// src 1: a map by file descriptor.
    MapFd(i32),
    /// src 2: the address of a map's first value plus an offset, by file descriptor.
    MapFdValue {
        /// The descriptor.
        fd: i32,
        /// Offset within the value.
        off: u32,
    },
    /// src 3: the address of a kernel variable, by BTF id (and BTF object).
    BtfId {
        /// Type id of the variable.
        id: i32,
        /// Descriptor of the BTF object; 0 for vmlinux.
        btf_fd: i32,
    },
    /// src 4: the address of a subprogram, by distance from the next slot.
    Func(i32),
    /// src 5: a map by index.
    MapIdx(u32),
    /// src 6: the address of a map's first value plus an offset, by index.
    MapIdxValue {
        /// The map's index.
        index: u32,
        /// Offset within the value.
        off: u32,
    },
}

/// What a call calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallTarget {
    /// A helper by number (src 0).
    Helper(u32),
    /// A subprogram by distance from the next slot (src 1).
    Subprog(i32),
    /// A kernel function by BTF id (src 2).
    Kfunc {
        /// Type id of the function.
        id: i32,
        /// Index of the module's BTF in the descriptor array; 0 for vmlinux. [`CallTarget::HOST`]:
        /// no kernel function but one of the host, and `id` is its index.
        module: i16,
    },
}

impl CallTarget {
    /// The module of functions that are the host's own, which no kernel has.
    pub const HOST: i16 = -1;
}

/// Where a legacy packet load takes its offset from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegacyOffset {
    /// `BPF_ABS`: the immediate.
    Abs,
    /// `BPF_IND`: the immediate plus a register.
    Ind(Reg),
}

/// One instruction slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Insn {
    /// `dst op= src`; for `Mov`, `dst = src`.
    Alu {
        /// Operation.
        op: AluOp,
        /// Width.
        width: Width,
        /// Destination and left operand.
        dst: Reg,
        /// Right operand.
        src: Operand,
    },
    /// `dst = (s8/s16/s32) src`: sign-extending move. 32 bits from [`Size::W`] exist in 64-bit width only.
    MovSx {
        /// Width of the result.
        width: Width,
        /// How much of the source is taken: B, H or W.
        from: Size,
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
    },
    /// `dst = -dst`
    Neg {
        /// Width.
        width: Width,
        /// Operand and destination.
        dst: Reg,
    },
    /// `dst = le16 dst` and so on; the result is zero-extended from `size`.
    Endian {
        /// Kind of swap.
        kind: Endian,
        /// H, W or DW.
        size: Size,
        /// Operand and destination.
        dst: Reg,
    },
    /// `dst = addr_space_cast(src, to, from)` (Linux, arenas).
    AddrSpaceCast {
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
        /// Address space of the result.
        to: u16,
        /// Address space of the source.
        from: u16,
    },
    /// `dst = imm ll`: the first slot of two.
    LoadImm64 {
        /// Destination.
        dst: Reg,
        /// What the immediate stands for.
        imm: Imm64,
    },
    /// The second slot of a [`Insn::LoadImm64`]. Never executed, never a jump target.
    SecondSlot,
    /// `dst = *(size *)(base + off)`
    Load {
        /// Size.
        size: Size,
        /// Whether the value is sign-extended to 64 bits (never with DW).
        signed: bool,
        /// Destination.
        dst: Reg,
        /// Base address.
        base: Reg,
        /// Displacement.
        off: i16,
    },
    /// `*(size *)(base + off) = src`
    Store {
        /// Size.
        size: Size,
        /// Base address.
        base: Reg,
        /// Displacement.
        off: i16,
        /// What is stored.
        src: Operand,
    },
    /// Atomic read-modify-write of W or DW.
    Atomic {
        /// Operation.
        op: AtomicOp,
        /// W or DW.
        size: Size,
        /// Base address.
        base: Reg,
        /// Displacement.
        off: i16,
        /// Operand, and receiver of the old value where the operation fetches.
        src: Reg,
    },
    /// `dst = load_acquire((size *)(base + off))` (Linux 6.15).
    LoadAcquire {
        /// Size.
        size: Size,
        /// Destination.
        dst: Reg,
        /// Base address.
        base: Reg,
        /// Displacement.
        off: i16,
    },
    /// `store_release((size *)(base + off), src)` (Linux 6.15).
    StoreRelease {
        /// Size.
        size: Size,
        /// Base address.
        base: Reg,
        /// Displacement.
        off: i16,
        /// What is stored.
        src: Reg,
    },
    /// `r0 = *(size *)skb[off]`: legacy packet load of B, H or W (RFC 9669, section 5.5).
    LegacyLoad {
        /// Size.
        size: Size,
        /// Whether a register is added.
        offset: LegacyOffset,
        /// Offset in the packet.
        imm: i32,
    },
    /// `goto +off`
    Ja {
        /// Distance from the next slot.
        off: i16,
    },
    /// `gotol +off`
    Gotol {
        /// Distance from the next slot.
        off: i32,
    },
    /// `may_goto +off` (Linux 6.9): goes on, or jumps when the loop budget is used up.
    MayGoto {
        /// Distance from the next slot.
        off: i16,
    },
    /// `if dst cond src goto +off`
    Branch {
        /// Condition.
        cond: Cond,
        /// Width in which the operands are compared.
        width: Width,
        /// Left operand.
        dst: Reg,
        /// Right operand.
        src: Operand,
        /// Distance from the next slot.
        off: i16,
    },
    /// `call target`
    Call(CallTarget),
    /// `exit`
    Exit,
}
