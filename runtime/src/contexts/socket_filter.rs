//! A packet as a socket filter sees it: bytes to read, and the fields of `struct __sk_buff`.
//!
//! The packet is only read. Where its data begins is the caller's to say: at the link layer, as a
//! packet socket sees it, or at the network layer, as `BPF_PROG_TEST_RUN` runs socket filters.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;

use brolga_abi::ProgramKind;
use brolga_abi::context::SkbContext;

use super::{Event, sealed};

/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;
/// EtherTypes below are lengths: `ETH_P_802_3_MIN`.
const ETH_P_802_3_MIN: u16 = 0x0600;
/// The protocol of frames with a length in place of an EtherType: `ETH_P_802_2`.
const ETH_P_802_2: u16 = 0x0004;

/// A packet that a socket filter reads.
#[derive(Debug)]
pub struct SocketPacket<'a> {
    context: SkbContext,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> SocketPacket<'a> {
    /// An Ethernet frame, whose data begins at the link layer's header.
    ///
    /// The protocol and the packet type are taken from its header, as `eth_type_trans` does for a
    /// device without an address; bytes past 4 GiB are cut off.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Self {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let protocol = match frame.get(12..ETH_HLEN) {
            Some(kind) if u16::from_be_bytes([kind[0], kind[1]]) >= ETH_P_802_3_MIN => {
                u16::from_ne_bytes([kind[0], kind[1]])
            }
            Some(_) => ETH_P_802_2.to_be(),
            None => 0,
        };
        let pkt_type = match frame.get(..6) {
            Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => 1, // PACKET_BROADCAST
            Some([first, ..]) if first & 1 == 1 => 2,        // PACKET_MULTICAST
            _ => 0,                                          // PACKET_HOST
        };
        let context = SkbContext {
            data: frame.as_ptr(),
            len,
            pkt_type,
            mark: 0,
            queue_mapping: 0,
            protocol: u32::from(protocol),
            vlan_present: 0,
            vlan_tci: 0,
            vlan_proto: 0,
            priority: 0,
            ingress_ifindex: 0,
            ifindex: 1,
            tc_index: 0,
            cb: [0; 5],
            hash: 0,
            head: frame.as_ptr(),
            mac_offset: 0,
            network_offset: i32::try_from(ETH_HLEN.min(frame.len())).expect("a small number"),
        };
        Self { context, bytes: PhantomData }
    }

    /// Takes the Ethernet header off: data begins at the network layer's header, and the link
    /// layer's is reached by negative offsets only.
    #[must_use]
    pub fn without_link_header(mut self) -> Self {
        let header = u32::try_from(self.context.network_offset).unwrap_or(0);
        self.context.data = self.context.data.wrapping_add(header as usize);
        self.context.len -= header;
        self.context.mac_offset -= self.context.network_offset;
        self.context.network_offset = 0;
        self
    }

    /// Sets the packet's mark.
    #[must_use]
    pub fn with_mark(mut self, mark: u32) -> Self {
        self.context.mark = mark;
        self
    }

    /// Sets the interface at which the packet is, and on which it arrived.
    #[must_use]
    pub fn with_interface(mut self, ifindex: u32) -> Self {
        self.context.ifindex = ifindex;
        self.context.ingress_ifindex = ifindex;
        self
    }

    /// Sets the packet's type: `PACKET_HOST` and so on.
    #[must_use]
    pub fn with_packet_type(mut self, pkt_type: u32) -> Self {
        self.context.pkt_type = pkt_type;
        self
    }

    /// The scratch words, as programs left them.
    #[must_use]
    pub fn cb(&self) -> [u32; 5] {
        self.context.cb
    }
}

impl sealed::Context for SocketPacket<'_> {
    fn context(&mut self) -> *mut c_void {
        ptr::from_mut(&mut self.context).cast()
    }
}

impl Event for SocketPacket<'_> {
    const KIND: ProgramKind = ProgramKind::SocketFilter;
}
