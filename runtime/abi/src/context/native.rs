//! Native contexts: the structures with real pointers that compiled code reads and the runtime fills.

use core::mem::offset_of;

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
