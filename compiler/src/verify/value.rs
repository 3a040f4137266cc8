//! What a register or a spilled slot holds: a number, or a pointer of some kind.
//!
//! A [`Value`] is plain data. Everything that distinguishes one kind of pointer from another (what may
//! be added to it, whether it can be compared or dereferenced) is asked of [`Kind`] by the modules
//! that judge, each in an exhaustive match: a new kind breaks the build until all of them answer.

use super::privilege::Privilege;
use super::scalar::Scalar;
use crate::btf::TypeId;
use crate::isa::InsnIdx;
use crate::program::{MapId, SubprogId};

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
    /// An address in a key of a map, as callbacks get it.
    MapKey(MapId),
    /// A socket of the kernel, seen by a table of fields.
    Socket(Socket),
    /// A structure that BTF describes.
    Btf(BtfPointer),
    /// The keys that a flow dissector fills.
    FlowKeys,
    /// Memory of the kernel whose size only a run can tell: the greatest offset used is what counts.
    Buffer(Buffer),
    /// A function of the program, to be called by a helper.
    Func(SubprogId),
    /// A dynptr that someone else made.
    Dynptr(Dynptr),
    /// An address in an arena.
    Arena,
}

/// Whose memory a [`Kind::Memory`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryOwner {
    /// The buffer of a `raw_memory` program.
    RawBuffer,
    /// A caller of the global function that is being verified.
    Caller,
    /// A record of a ring buffer that was reserved.
    Ringbuf,
    /// A part of a dynptr.
    Dynptr,
    /// A part of a dynptr to a packet.
    PacketSlice,
    /// The kernel.
    Kernel,
}

/// How much of a socket is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    /// All fields of `struct bpf_sock`.
    Full,
    /// Those of any state: the first fields of `struct bpf_sock`.
    Common,
    /// `struct bpf_tcp_sock`.
    Tcp,
    /// `struct bpf_xdp_sock`.
    Xdp,
}

/// Whose types describe a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TypesOf {
    /// The program's own.
    Program,
    /// The kernel's.
    Kernel,
}

/// A structure that BTF describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BtfPointer {
    /// Whose types.
    pub types: TypesOf,
    /// The structure.
    pub ty: TypeId,
}

/// Memory of the kernel of unknown size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffer {
    /// A key or a value that an iterator shows.
    Iterator,
    /// The record of a writable raw tracepoint.
    Tracepoint,
}

/// What a dynptr refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dynptr {
    /// Memory of the program.
    Local,
    /// A record of a ring buffer.
    Ringbuf,
    /// A packet buffer.
    Skb,
    /// An XDP packet.
    Xdp,
}

/// What a pointer may be used for besides what its kind says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// Memory that may not be written (`MEM_RDONLY`).
    pub const READONLY: Self = Self(1);
    /// Valid for as long as the program runs, or refers to it (`PTR_TRUSTED`).
    pub const TRUSTED: Self = Self(1 << 1);
    /// Perhaps no longer valid: reads may give anything (`PTR_UNTRUSTED`).
    pub const UNTRUSTED: Self = Self(1 << 2);
    /// Valid within the current RCU section (`MEM_RCU`).
    pub const RCU: Self = Self(1 << 3);
    /// An object that the program allocated (`MEM_ALLOC`).
    pub const ALLOC: Self = Self(1 << 4);
    /// One copy for each CPU (`MEM_PERCPU`).
    pub const PERCPU: Self = Self(1 << 5);
    /// User memory (`MEM_USER`).
    pub const USER: Self = Self(1 << 6);
    /// A reference that does not keep the object alive (`NON_OWN_REF`).
    pub const NON_OWNING: Self = Self(1 << 7);

    /// Both.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of another set.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of another set are there.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one of another set is there.
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A packet pointer's range where it is known to be the packet's end.
pub(super) const AT_PACKET_END: i32 = -1;
/// A packet pointer's range where it is known to lie beyond the packet's end.
pub(super) const BEYOND_PACKET_END: i32 = -2;

/// How a number relates to what its id stands for: numbers with the same id are that number, or sums of it and a
/// constant, `Value::off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// It is that number.
    None,
    /// It is the sum, modulo 2^64.
    Sum64,
    /// It is the sum modulo 2^32, zero-extended; and what the id stands for is less than 2^32.
    Sum32,
}

/// What a register or a spilled slot holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Pointers: whether it may be null instead.
    pub nullable: bool,
    /// Pointers: what else is known of it.
    pub flags: Flags,
    /// Scalars: how it relates to what its id stands for.
    pub shift: Shift,
    /// Pointers: the constant part of the offset. Scalars: see `shift`.
    pub off: i32,
    /// Scalars: the value. Pointers: the variable part of the offset.
    pub num: Scalar,
    /// Not 0: values with the same id were copied from each other. Scalars: they have the same value
    /// but for `shift`. Packet pointers: the same variable part. Nullable pointers: null together.
    pub id: u32,
    /// Packet pointers: bytes from offset 0 of this variable part that are known to exist.
    pub range: i32,
    /// Pointers: not 0 where it belongs to something that must be given back; the id of that.
    pub ref_id: u32,
    /// Parts of dynptrs: the id of the dynptr; else 0.
    pub dynptr_id: u32,
    /// The instruction that wrote it, for messages; no part of what it is.
    pub origin: Option<InsnIdx>,
}

impl Value {
    /// Nothing that may be read.
    pub const UNINIT: Self = Self::of(Kind::Uninit, Scalar::constant(0));
    /// Any number.
    pub const UNKNOWN: Self = Self::scalar(Scalar::UNKNOWN);

    const fn of(kind: Kind, num: Scalar) -> Self {
        Self {
            kind,
            nullable: false,
            flags: Flags::NONE,
            shift: Shift::None,
            off: 0,
            num,
            id: 0,
            range: 0,
            ref_id: 0,
            dynptr_id: 0,
            origin: None,
        }
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

    /// An address of which nothing is known: reads through it give anything.
    pub const fn untrusted_memory() -> Self {
        let kind = Kind::Memory { size: 0, owner: MemoryOwner::Kernel };
        Self { flags: Flags::READONLY.with(Flags::UNTRUSTED), ..Self::pointer(kind) }
    }

    /// Whether it is such an address.
    pub const fn is_untrusted_memory(&self) -> bool {
        matches!(self.kind, Kind::Memory { .. }) && self.flags.has(Flags::UNTRUSTED)
    }

    /// The same, set by an instruction.
    pub const fn set_at(mut self, at: InsnIdx) -> Self {
        self.origin = Some(at);
        self
    }

    /// What is left of a pointer that is no longer valid: any number, or nothing where addresses are secret.
    pub const fn invalidated(privilege: Privilege) -> Self {
        if privilege.may_learn_addresses() { Self::UNKNOWN } else { Self::UNINIT }
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

    /// The variable part of a pointer's offset, as the kernel writes it: known bits and unknown ones.
    pub fn var_off(&self) -> String {
        format!("({:#x}; {:#x})", self.num.bits().value(), self.num.bits().mask())
    }

    /// Forgets that other scalars are equal.
    pub const fn unlink(&mut self) {
        self.id = 0;
        self.shift = Shift::None;
        self.off = 0;
    }

    /// Whether it is related to other values by an id.
    pub const fn has_ids(&self) -> bool {
        self.id != 0 || self.ref_id != 0 || self.dynptr_id != 0
    }

    /// Whether two values are alike in everything but where they came from and their ids.
    pub fn same_but_ids(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.nullable == other.nullable
            && self.flags == other.flags
            && self.shift == other.shift
            && self.off == other.off
            && self.range == other.range
            && self.num == other.num
    }

    /// The kernel's name for the kind, made where it is printed.
    pub const fn kind_name(&self) -> KindName {
        KindName { kind: self.kind, flags: self.flags, nullable: self.nullable }
    }
}

/// The kernel's name for what a value is.
#[derive(Clone, Copy, Debug)]
pub(super) struct KindName {
    kind: Kind,
    flags: Flags,
    nullable: bool,
}

impl std::fmt::Display for KindName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.kind {
            Kind::Uninit => "?",
            Kind::Scalar => "scalar",
            Kind::Context => "ctx",
            Kind::Stack { .. } => "fp",
            Kind::Packet => "pkt",
            Kind::PacketMeta => "pkt_meta",
            Kind::PacketEnd => "pkt_end",
            Kind::Map(_) => "map_ptr",
            Kind::MapValue(_) => "map_value",
            Kind::MapKey(_) => "map_key",
            Kind::Memory { .. } => "mem",
            Kind::Socket(Socket::Full) => "sock",
            Kind::Socket(Socket::Common) => "sock_common",
            Kind::Socket(Socket::Tcp) => "tcp_sock",
            Kind::Socket(Socket::Xdp) => "xdp_sock",
            Kind::Btf(_) => "ptr_",
            Kind::FlowKeys => "flow_keys",
            Kind::Buffer(Buffer::Iterator) => "buf",
            Kind::Buffer(Buffer::Tracepoint) => "tp_buffer",
            Kind::Func(_) => "func",
            Kind::Dynptr(_) => "dynptr_ptr",
            Kind::Arena => "arena",
        };
        let prefixes = [
            (Flags::READONLY, "rdonly_"),
            (Flags::USER, "user_"),
            (Flags::PERCPU, "percpu_"),
            (Flags::UNTRUSTED, "untrusted_"),
            (Flags::TRUSTED, "trusted_"),
            (Flags::RCU, "rcu_"),
        ];
        for (flag, prefix) in prefixes {
            if self.flags.has(flag) {
                f.write_str(prefix)?;
            }
        }
        if matches!(self.kind, Kind::Memory { owner: MemoryOwner::Ringbuf, .. }) {
            f.write_str("ringbuf_")?;
        }
        f.write_str(name)?;
        if self.nullable {
            f.write_str(if matches!(self.kind, Kind::Btf(_)) { "or_null_" } else { "_or_null" })?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind_name().fmt(f)?;
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
            | Kind::MapKey(_)
            | Kind::Memory { .. }
            | Kind::Socket(_)
            | Kind::Btf(_)
            | Kind::FlowKeys
            | Kind::Buffer(_)
            | Kind::Func(_)
            | Kind::Dynptr(_)
            | Kind::Arena => write!(f, "{:+}", self.off)?,
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
            write!(f, "(id={}{})", self.id, if self.shift == Shift::None { "" } else { "+" })?;
        }
        Ok(())
    }
}
