//! Contexts: the UAPI layout that bytecode sees, and the native structure that compiled code reads.
//!
//! The bytecode of an XDP program reads `((struct xdp_md *)r1)->data` as 32 bits at offset 0. The
//! verifier allows that read and knows that it yields a packet pointer; the lowering replaces it by
//! a 64-bit load from [`XdpContext::data`]. A field table joins the two layouts.
//!
//! Which accesses Linux allows is data here: for each field the sizes that may be read and written,
//! and the attach types for which that holds. `tests/tests/context_access.rs` asks the running
//! kernel about every offset and size.

mod cgroup;
mod native;
mod packet;
mod socket;
mod tracing;

pub use cgroup::{BPF_CGROUP_DEV_CTX, BPF_SOCKOPT, BPF_SYSCTL};
pub use native::{RAW_MEMORY_DATA, RAW_MEMORY_LEN, RawMemoryContext, SkbContext, XdpContext};
pub use packet::{CGROUP_SKB, FLOW_DISSECTOR, LWT, SCHED, SK_MSG_MD, SK_SKB, SOCKET_FILTER, XDP_MD};
pub use socket::{
    BPF_SK_LOOKUP, BPF_SOCK, BPF_SOCK_ADDR, BPF_SOCK_OPS, SK_REUSEPORT_MD, SOCK_COMMON, SOCKET, TCP_SOCK,
    XDP_SOCK,
};
pub use tracing::{
    BPF_NF_CTX, BPF_PERF_EVENT_DATA, BTF_ARGS, LIRC_MODE2, PT_REGS, RAW_TRACEPOINT, RAW_TRACEPOINT_WRITABLE,
    SYSCALL, TRACEPOINT,
};

use crate::kinds::AttachType;

/// What a load of a whole context field yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldValue {
    /// A scalar of the access's width.
    Scalar,
    /// A pointer to the packet's first byte (`PTR_TO_PACKET`).
    Packet,
    /// The address past the packet's last byte (`PTR_TO_PACKET_END`).
    PacketEnd,
    /// A pointer to the packet's metadata (`PTR_TO_PACKET_META`).
    PacketMeta,
    /// A pointer to a full socket (`PTR_TO_SOCKET`).
    Socket,
    /// As [`FieldValue::Socket`], or null.
    SocketOrNull,
    /// A pointer to a socket of which only the common fields are known, or null (`PTR_TO_SOCK_COMMON_OR_NULL`).
    SockCommonOrNull,
    /// A pointer to `struct bpf_flow_keys`, all of which may be read and written (`PTR_TO_FLOW_KEYS`).
    FlowKeys,
    /// A pointer to a tracepoint's writable argument (`PTR_TO_TP_BUFFER`).
    TracepointBuffer,
    /// A trusted pointer to a kernel structure of this name (`PTR_TO_BTF_ID`).
    Btf(&'static str),
}

/// Whether memory is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A load.
    Read,
    /// A store.
    Write,
}

/// Which accesses of a field are allowed. All must be aligned to their size, as offsets in the context.
///
/// Sizes are sets: the sum of the allowed ones of 1, 2, 4 and 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// Sizes at the field's first byte.
    pub first: u8,
    /// Sizes at its other bytes, within the field.
    pub inside: u8,
    /// The attach types for which this holds; empty for all.
    pub only: &'static [AttachType],
}

impl Access {
    /// No access.
    pub const NONE: Self = Self::first(0);
    /// The whole field of 4 bytes.
    pub const WORD: Self = Self::first(4);
    /// The whole field of 8 bytes.
    pub const DOUBLE: Self = Self::first(8);
    /// 1, 2 or 4 bytes anywhere in the field: Linux's narrow access.
    pub const NARROW: Self = Self { inside: 1 | 2 | 4, ..Self::first(1 | 2 | 4) };
    /// The first 1, 2 or 4 bytes.
    pub const NARROW_FIRST: Self = Self::first(1 | 2 | 4);
    /// Any size anywhere in the field.
    pub const ANY: Self = Self { inside: 1 | 2 | 4 | 8, ..Self::first(1 | 2 | 4 | 8) };

    /// Some sizes at the field's first byte.
    #[must_use]
    pub const fn first(sizes: u8) -> Self {
        Self { first: sizes, inside: 0, only: &[] }
    }

    /// The same, for some attach types only.
    #[must_use]
    pub const fn only(self, only: &'static [AttachType]) -> Self {
        Self { only, ..self }
    }
}

/// Where a field is in the native structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Native {
    /// Byte offset.
    pub offset: u32,
    /// Width in bytes: 8 for pointers; else as in the UAPI structure, with the same bytes in the same places.
    pub width: u32,
}

/// One field of a context.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name in the UAPI structure.
    pub name: &'static str,
    /// Byte offset in the UAPI structure.
    pub offset: u32,
    /// Width in bytes in the UAPI structure.
    pub width: u32,
    /// Which loads are allowed.
    pub read: Access,
    /// Which stores are allowed.
    pub write: Access,
    /// What a load yields.
    pub value: FieldValue,
    /// Where it is in the native structure; `None` where the runtime has no such field.
    pub native: Option<Native>,
}

/// The layout of a context.
#[derive(Clone, Copy, Debug)]
pub enum ContextShape {
    /// A table of fields, sorted by offset, none overlapping.
    Fields(&'static [Field]),
    /// The arguments of a kernel function, 8 bytes each, of which the kernel's BTF tells the types.
    BtfArgs,
}

/// A context.
#[derive(Clone, Copy, Debug)]
pub struct ContextInfo {
    /// The UAPI structure's name.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: u32,
    /// Its layout.
    pub shape: ContextShape,
}

impl ContextInfo {
    /// A context of fields.
    #[must_use]
    pub const fn new(name: &'static str, size: u32, fields: &'static [Field]) -> Self {
        Self { name, size, shape: ContextShape::Fields(fields) }
    }

    /// Its fields; none where BTF tells what it holds.
    #[must_use]
    pub const fn fields(&self) -> &'static [Field] {
        match self.shape {
            ContextShape::Fields(fields) => fields,
            ContextShape::BtfArgs => &[],
        }
    }

    /// The field that holds the byte at `offset`.
    #[must_use]
    pub fn field_at(&self, offset: u32) -> Option<&'static Field> {
        let fields = self.fields();
        let after = fields.partition_point(|field| field.offset <= offset);
        let field = &fields[after.checked_sub(1)?];
        (offset - field.offset < field.width).then_some(field)
    }

    /// The field that an access of `size` bytes at `offset` may touch; `None` where it is not allowed.
    #[must_use]
    pub fn access(
        &self,
        direction: Direction,
        offset: u32,
        size: u32,
        attach: Option<AttachType>,
    ) -> Option<&'static Field> {
        let field = self.field_at(offset)?;
        field.allows(direction, offset, size, attach).then_some(field)
    }
}

impl Field {
    /// A field without native counterpart; nothing may be done with it.
    #[must_use]
    pub const fn new(name: &'static str, offset: u32, width: u32) -> Self {
        Self {
            name,
            offset,
            width,
            read: Access::NONE,
            write: Access::NONE,
            value: FieldValue::Scalar,
            native: None,
        }
    }

    /// What an allowed load at `offset` yields: a part of a pointer is a scalar.
    #[must_use]
    pub fn yields_at(&self, offset: u32) -> FieldValue {
        if offset == self.offset { self.value } else { FieldValue::Scalar }
    }

    /// Whether an access is allowed that begins in this field.
    #[must_use]
    pub fn allows(&self, direction: Direction, offset: u32, size: u32, attach: Option<AttachType>) -> bool {
        let access = match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        };
        let sizes = if offset == self.offset { access.first } else { access.inside };
        let place = offset == self.offset || offset - self.offset + size <= self.width;
        let attached = access.only.is_empty() || attach.is_some_and(|attach| access.only.contains(&attach));
        u32::from(sizes) & size != 0
            && size.is_power_of_two()
            && offset.is_multiple_of(size)
            && place
            && attached
    }

    pub(crate) const fn read(self, read: Access) -> Self {
        Self { read, ..self }
    }

    pub(crate) const fn write(self, write: Access) -> Self {
        Self { write, ..self }
    }

    pub(crate) const fn yields(self, value: FieldValue) -> Self {
        Self { value, ..self }
    }

    pub(crate) const fn native(self, offset: usize, width: u32) -> Self {
        Self { native: Some(Native { offset: offset as u32, width }), ..self }
    }
}

/// A field of 4 bytes that is read as a whole.
const fn word(name: &'static str, offset: u32) -> Field {
    Field::new(name, offset, 4).read(Access::WORD)
}

/// A field of 4 bytes that is read as a whole or in parts.
const fn narrow(name: &'static str, offset: u32) -> Field {
    Field::new(name, offset, 4).read(Access::NARROW)
}

/// Words of one name, read one at a time and as a whole.
const fn words(name: &'static str, offset: u32, width: u32) -> Field {
    Field::new(name, offset, width).read(Access { inside: 4, ..Access::WORD })
}

/// A pointer of 8 bytes.
const fn pointer(name: &'static str, offset: u32, value: FieldValue) -> Field {
    Field::new(name, offset, 8).read(Access::DOUBLE).yields(value)
}

/// The buffer of a `raw_memory` program: it has no fields, `r1` points into the buffer itself.
pub const RAW_MEMORY: ContextInfo = ContextInfo::new("raw memory", 0, &[]);
