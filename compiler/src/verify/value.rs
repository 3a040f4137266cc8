//! What a register or a spilled slot holds: a number, or a pointer of some kind.
//!
//! A [`Value`] is plain data. Everything that distinguishes one kind of pointer from another (what may
//! be added to it, whether it can be compared or dereferenced) is asked of [`Kind`] by the modules
//! that judge, each in an exhaustive match: a new kind breaks the build until all of them answer.

use super::scalar::Scalar;
use crate::isa::InsnIdx;
use crate::program::MapId;

/// What kind of thing a value is. Names in messages are the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never written, or destroyed: must not be read.
    Uninit,
    /// A number.
    Scalar,
    /// The program's context.
    Context,
    /// An address in a stack frame; the offset is relative to the frame's `r10`.
    Stack {
        /// Index of the frame, 0 for the outermost.
        frame: u8,
    },
    /// An address in the packet.
    Packet,
    /// An address in the packet's metadata.
    PacketMeta,
    /// The end of the packet.
    PacketEnd,
    /// A map itself.
    Map(MapId),
    /// An address in a value of a map.
    MapValue(MapId),
    /// An address in memory of known size that is none of the above.
    Memory {
        /// Bytes from offset 0.
        size: u32,
        /// Whose memory it is.
        owner: MemoryOwner,
    },
}

/// Whose memory a [`Kind::Memory`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryOwner {
    /// The buffer of a `raw_memory` program.
    RawBuffer,
    /// A caller of the global function that is being verified.
    Caller,
}

/// A packet pointer's range where it is known to be the packet's end.
pub(super) const AT_PACKET_END: i32 = -1;
/// A packet pointer's range where it is known to lie beyond the packet's end.
pub(super) const BEYOND_PACKET_END: i32 = -2;

/// What a register or a spilled slot holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Pointers: whether it may be null instead.
    pub nullable: bool,
    /// Scalars: whether it is `off` more than the scalars with the same id that say `false`.
    pub shifted: bool,
    /// Pointers: the constant part of the offset. Scalars: see `shifted`.
    pub off: i32,
    /// Scalars: the value. Pointers: the variable part of the offset.
    pub num: Scalar,
    /// Not 0: values with the same id were copied from each other. Scalars: they have the same value
    /// but for `shifted`. Packet pointers: the same variable part. Nullable pointers: null together.
    pub id: u32,
    /// Packet pointers: bytes from offset 0 of this variable part that are known to exist.
    pub range: i32,
    /// The instruction that wrote it, for messages; no part of what it is.
    pub origin: Option<InsnIdx>,
}

impl Value {
    /// Nothing that may be read.
    pub const UNINIT: Self = Self::of(Kind::Uninit, Scalar::constant(0));
    /// Any number.
    pub const UNKNOWN: Self = Self::scalar(Scalar::UNKNOWN);

    const fn of(kind: Kind, num: Scalar) -> Self {
        Self { kind, nullable: false, shifted: false, off: 0, num, id: 0, range: 0, origin: None }
    }

    /// A number.
    pub const fn scalar(num: Scalar) -> Self {
        Self::of(Kind::Scalar, num)
    }

    /// A known number.
    pub const fn constant(value: u64) -> Self {
        Self::scalar(Scalar::constant(value))
    }

    /// A pointer to offset 0 of something.
    pub const fn pointer(kind: Kind) -> Self {
        Self::of(kind, Scalar::constant(0))
    }

    /// The same, set by an instruction.
    pub const fn set_at(mut self, at: InsnIdx) -> Self {
        self.origin = Some(at);
        self
    }

    /// Whether it is a number.
    pub const fn is_scalar(&self) -> bool {
        matches!(self.kind, Kind::Scalar)
    }

    /// Whether it is a pointer of any kind, or may be.
    pub const fn is_pointer(&self) -> bool {
        !matches!(self.kind, Kind::Scalar | Kind::Uninit)
    }

    /// Whether it is the number 0.
    pub fn is_null(&self) -> bool {
        self.is_scalar() && self.num.as_constant() == Some(0)
    }

    /// Whether it points into the packet or its metadata.
    pub const fn is_packet(&self) -> bool {
        matches!(self.kind, Kind::Packet | Kind::PacketMeta)
    }

    /// Whether it points into the packet, its metadata or to its end.
    pub const fn is_any_packet(&self) -> bool {
        matches!(self.kind, Kind::Packet | Kind::PacketMeta | Kind::PacketEnd)
    }

    /// The constant that is the whole offset of a pointer, if its variable part is constant.
    pub fn constant_offset(&self) -> Option<i64> {
        let var = self.num.as_constant()?.cast_signed();
        i64::from(self.off).checked_add(var)
    }

    /// Forgets that other scalars are equal.
    pub const fn unlink(&mut self) {
        self.id = 0;
        self.shifted = false;
        self.off = 0;
    }

    /// Whether two values are alike in everything but where they came from and their ids.
    pub fn same_but_ids(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.nullable == other.nullable
            && self.shifted == other.shifted
            && self.off == other.off
            && self.range == other.range
            && self.num == other.num
    }

    /// The kernel's name for the kind.
    pub const fn kind_name(&self) -> &'static str {
        match (self.kind, self.nullable) {
            (Kind::Uninit, _) => "?",
            (Kind::Scalar, _) => "scalar",
            (Kind::Context, _) => "ctx",
            (Kind::Stack { .. }, _) => "fp",
            (Kind::Packet, _) => "pkt",
            (Kind::PacketMeta, _) => "pkt_meta",
            (Kind::PacketEnd, _) => "pkt_end",
            (Kind::Map(_), _) => "map_ptr",
            (Kind::MapValue(_), false) => "map_value",
            (Kind::MapValue(_), true) => "map_value_or_null",
            (Kind::Memory { .. }, false) => "mem",
            (Kind::Memory { .. }, true) => "mem_or_null",
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind_name())?;
        match self.kind {
            Kind::Uninit => return Ok(()),
            Kind::Scalar => {}
            Kind::Context
            | Kind::Stack { .. }
            | Kind::Packet
            | Kind::PacketMeta
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::MapValue(_)
            | Kind::Memory { .. } => write!(f, "{:+}", self.off)?,
        }
        let n = &self.num;
        match n.as_constant() {
            Some(0) if self.is_pointer() => {}
            Some(x) if self.is_pointer() => write!(f, "{:+}", x.cast_signed())?,
            Some(x) => write!(f, "({})", x.cast_signed())?,
            None if n.is_unknown() => {}
            None => {
                write!(
                    f,
                    "(smin={},smax={},umin={},umax={},var_off=({:#x}; {:#x}))",
                    n.smin(),
                    n.smax(),
                    n.umin(),
                    n.umax(),
                    n.bits().value(),
                    n.bits().mask()
                )?;
            }
        }
        if self.is_packet() {
            write!(f, "(r={})", self.range)?;
        }
        if self.id != 0 {
            write!(f, "(id={}{})", self.id, if self.shifted { "+" } else { "" })?;
        }
        Ok(())
    }
}
