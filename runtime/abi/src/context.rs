//! Contexts: the UAPI layout that bytecode sees, and the native structure that compiled code reads.
//!
//! The bytecode of an XDP program reads `((struct xdp_md *)r1)->data` as 32 bits at offset 0. The
//! verifier allows that read and knows that it yields a packet pointer; the lowering replaces it by
//! a 64-bit load from [`XdpContext::data`]. A field table joins the two layouts.

use core::mem::offset_of;

/// What a load of a context field yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldValue {
    /// A scalar of the field's width.
    Scalar,
    /// A pointer to the packet's first byte.
    Packet,
    /// The address past the packet's last byte.
    PacketEnd,
    /// A pointer to the packet's metadata.
    PacketMeta,
}

/// What a program may do with a context field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldAccess {
    /// Read the whole field only.
    Read,
    /// Read the whole field or an aligned power-of-two part of it (the kernel's narrow loads).
    ReadNarrow,
    /// As [`FieldAccess::ReadNarrow`], and write the whole field.
    ReadWrite,
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
    /// What a program may do with it.
    pub access: FieldAccess,
    /// What a load yields.
    pub value: FieldValue,
    /// Byte offset in the native structure.
    pub native_offset: u32,
    /// Width in bytes in the native structure: 8 for pointers, else as `width`.
    pub native_width: u32,
}

/// A context: a table of fields, sorted by offset.
#[derive(Clone, Copy, Debug)]
pub struct ContextInfo {
    /// The UAPI structure's name.
    pub name: &'static str,
    /// The UAPI structure's size in bytes.
    pub size: u32,
    /// Its fields, sorted by offset, none overlapping.
    pub fields: &'static [Field],
}

impl ContextInfo {
    /// The field that holds the byte at `offset`.
    #[must_use]
    pub fn field_at(&self, offset: u32) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.offset <= offset && offset - f.offset < f.width)
    }
}

/// The native context of an XDP program: `struct xdp_md` with real pointers.
///
/// Pointers are addresses into one packet buffer: `hard_start <= meta <= data <= end <= hard_end`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct XdpContext {
    /// The packet's first byte.
    pub data: *mut u8,
    /// Past the packet's last byte.
    pub data_end: *mut u8,
    /// The metadata before the packet; equal to `data` where there is none.
    pub data_meta: *mut u8,
    /// The first byte of the buffer: headroom lies between it and `data`.
    pub data_hard_start: *mut u8,
    /// Past the last byte that `bpf_xdp_adjust_tail` may grow into.
    pub data_hard_end: *mut u8,
    /// Interface on which the packet arrived.
    pub ingress_ifindex: u32,
    /// Receive queue on which the packet arrived.
    pub rx_queue_index: u32,
    /// Interface out of which the packet goes (devmap programs only).
    pub egress_ifindex: u32,
    /// Interface that `bpf_redirect` chose.
    pub redirect_ifindex: u32,
    /// Flags that were given to `bpf_redirect`.
    pub redirect_flags: u64,
}

/// The native context of a socket filter: the packet's bytes and the fields of `struct __sk_buff`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SkbContext {
    /// The packet's first byte.
    pub data: *const u8,
    /// Packet length in bytes.
    pub len: u32,
    /// `PACKET_HOST` and so on.
    pub pkt_type: u32,
    /// Packet mark.
    pub mark: u32,
    /// Queue mapping.
    pub queue_mapping: u32,
    /// EtherType, network byte order.
    pub protocol: u32,
    /// Whether a VLAN tag was taken off the packet.
    pub vlan_present: u32,
    /// The VLAN tag.
    pub vlan_tci: u32,
    /// The VLAN tag's EtherType.
    pub vlan_proto: u32,
    /// Packet priority.
    pub priority: u32,
    /// Interface on which the packet arrived.
    pub ingress_ifindex: u32,
    /// Interface of the packet.
    pub ifindex: u32,
    /// Traffic control index.
    pub tc_index: u32,
    /// Scratch words that a program may write.
    pub cb: [u32; 5],
    /// Flow hash.
    pub hash: u32,
    /// The buffer's first byte, at or before `data`: legacy packet loads with negative offsets
    /// may reach back to it.
    pub head: *const u8,
    /// Where the link layer's header begins, relative to `data`.
    pub mac_offset: i32,
    /// Where the network layer's header begins, relative to `data`.
    pub network_offset: i32,
}

/// The native context of a `raw_memory` program.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawMemoryContext {
    /// The buffer's address, which becomes `r1`.
    pub data: *mut u8,
    /// The buffer's length in bytes, which becomes `r2`.
    pub len: u64,
}

/// Offset of [`RawMemoryContext::data`].
pub const RAW_MEMORY_DATA: i32 = offset_of!(RawMemoryContext, data) as i32;
/// Offset of [`RawMemoryContext::len`].
pub const RAW_MEMORY_LEN: i32 = offset_of!(RawMemoryContext, len) as i32;

macro_rules! field {
    ($name:literal, $offset:literal, $access:ident, $value:ident, $ctx:ident . $native:ident, $width:literal) => {
        Field {
            name: $name,
            offset: $offset,
            width: 4,
            access: FieldAccess::$access,
            value: FieldValue::$value,
            native_offset: offset_of!($ctx, $native) as u32,
            native_width: $width,
        }
    };
}

/// `struct xdp_md`.
pub const XDP_MD: ContextInfo = ContextInfo {
    name: "xdp_md",
    size: 24,
    fields: &[
        field!("data", 0, Read, Packet, XdpContext.data, 8),
        field!("data_end", 4, Read, PacketEnd, XdpContext.data_end, 8),
        field!("data_meta", 8, Read, PacketMeta, XdpContext.data_meta, 8),
        field!("ingress_ifindex", 12, Read, Scalar, XdpContext.ingress_ifindex, 4),
        field!("rx_queue_index", 16, Read, Scalar, XdpContext.rx_queue_index, 4),
        field!("egress_ifindex", 20, Read, Scalar, XdpContext.egress_ifindex, 4),
    ],
};

/// `struct __sk_buff` as a socket filter may see it.
pub const SK_BUFF: ContextInfo = ContextInfo {
    name: "__sk_buff",
    size: 192,
    fields: &[
        field!("len", 0, ReadNarrow, Scalar, SkbContext.len, 4),
        field!("pkt_type", 4, ReadNarrow, Scalar, SkbContext.pkt_type, 4),
        field!("mark", 8, ReadNarrow, Scalar, SkbContext.mark, 4),
        field!("queue_mapping", 12, ReadNarrow, Scalar, SkbContext.queue_mapping, 4),
        field!("protocol", 16, ReadNarrow, Scalar, SkbContext.protocol, 4),
        field!("vlan_present", 20, ReadNarrow, Scalar, SkbContext.vlan_present, 4),
        field!("vlan_tci", 24, ReadNarrow, Scalar, SkbContext.vlan_tci, 4),
        field!("vlan_proto", 28, ReadNarrow, Scalar, SkbContext.vlan_proto, 4),
        field!("priority", 32, ReadNarrow, Scalar, SkbContext.priority, 4),
        field!("ingress_ifindex", 36, ReadNarrow, Scalar, SkbContext.ingress_ifindex, 4),
        field!("ifindex", 40, ReadNarrow, Scalar, SkbContext.ifindex, 4),
        field!("tc_index", 44, ReadNarrow, Scalar, SkbContext.tc_index, 4),
        cb(0),
        cb(1),
        cb(2),
        cb(3),
        cb(4),
        field!("hash", 68, ReadNarrow, Scalar, SkbContext.hash, 4),
    ],
};

const fn cb(index: u32) -> Field {
    Field {
        name: "cb",
        offset: 48 + 4 * index,
        width: 4,
        access: FieldAccess::ReadWrite,
        value: FieldValue::Scalar,
        native_offset: offset_of!(SkbContext, cb) as u32 + 4 * index,
        native_width: 4,
    }
}

/// The buffer of a `raw_memory` program: it has no fields, `r1` points into the buffer itself.
pub const RAW_MEMORY: ContextInfo = ContextInfo { name: "raw memory", size: 0, fields: &[] };
