//! A packet in a frame of its own, with headroom and tailroom: what XDP programs run on.
//!
//! The frame is laid out as `BPF_PROG_TEST_RUN` does it: 256 bytes before the packet, and at its
//! end room for a `struct skb_shared_info`, into which no program grows the packet. Packets of
//! several buffers (`xdp.frags`) are one long buffer here.

#![expect(unsafe_code, reason = "the packet's memory is shared with compiled programs by raw pointers")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::fmt;
use std::ptr::{self, NonNull};

use brolga_abi::ProgramKind;
use brolga_abi::context::XdpContext;

use super::{Event, sealed};

/// Bytes before the packet: `XDP_PACKET_HEADROOM`.
const HEADROOM: usize = 256;
/// Bytes at the end of a frame that no packet reaches: `struct skb_shared_info`, in cache lines.
const TAILROOM: usize = 320;
/// Frames are whole pages.
const PAGE: usize = 4096;
/// Bytes of `struct xdp_frame`, which the kernel keeps at the start of the headroom.
pub(crate) const XDP_FRAME_SIZE: usize = 40;
/// The least that a packet shrinks to: an Ethernet header (`ETH_HLEN`).
pub(crate) const XDP_MIN_LEN: usize = 14;

/// What an XDP program wants done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XdpVerdict {
    /// `XDP_ABORTED`: the program failed; the packet is dropped.
    Aborted,
    /// `XDP_DROP`
    Drop,
    /// `XDP_PASS`: to the network stack.
    Pass,
    /// `XDP_TX`: back out of the interface on which it came.
    Tx,
    /// `XDP_REDIRECT`: to where [`Packet::redirect`] says.
    Redirect,
    /// A number without a meaning; the kernel drops such packets, as with `XDP_ABORTED`.
    Unknown(u32),
}

impl XdpVerdict {
    /// The verdict that `r0` stands for.
    #[must_use]
    pub fn from_result(result: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half of r0")]
        match result as u32 {
            0 => Self::Aborted,
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Tx,
            4 => Self::Redirect,
            other => Self::Unknown(other),
        }
    }

    /// The number of `enum xdp_action`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Aborted => 0,
            Self::Drop => 1,
            Self::Pass => 2,
            Self::Tx => 3,
            Self::Redirect => 4,
            Self::Unknown(other) => other,
        }
    }
}

impl fmt::Display for XdpVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ProgramKind::Xdp.info().verdicts;
        match names.get(self.number() as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.number()),
        }
    }
}

/// Where `bpf_redirect` sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The interface.
    pub ifindex: u32,
    /// The flags that the program gave.
    pub flags: u64,
}

/// A packet in a frame with headroom and tailroom. Made once, it takes one packet after the other
/// without allocating.
#[derive(Debug)]
pub struct Packet {
    context: XdpContext,
    frame: NonNull<u8>,
    frame_len: usize,
}

// SAFETY: the frame is owned by the packet alone.
unsafe impl Send for Packet {}
// SAFETY: shared references only read.
unsafe impl Sync for Packet {}

impl Packet {
    /// A packet with these bytes, from its Ethernet header on.
    ///
    /// It arrived on queue 0 of interface 1, as in `BPF_PROG_TEST_RUN`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let (frame, frame_len) = allocate(bytes.len());
        let start = frame.as_ptr();
        let context = XdpContext {
            data: start,
            data_end: start,
            data_meta: start,
            data_hard_start: start,
            data_hard_end: start,
            ingress_ifindex: 1,
            rx_queue_index: 0,
            egress_ifindex: 0,
            redirect_ifindex: 0,
            redirect_flags: 0,
        };
        let mut packet = Self { context, frame, frame_len };
        packet.set(bytes);
        packet
    }

    /// Replaces the packet by another one. The frame is as if it were new: the headroom is zeroed,
    /// there is no metadata and no redirection. Allocates only where the frame is too small.
    pub fn set(&mut self, bytes: &[u8]) {
        if bytes.len() > self.frame_len - HEADROOM - TAILROOM {
            let (frame, frame_len) = allocate(bytes.len());
            free(self.frame, self.frame_len);
            (self.frame, self.frame_len) = (frame, frame_len);
        }
        let start = self.frame.as_ptr();
        // SAFETY: headroom, packet and tailroom fit into the frame, just seen to.
        unsafe {
            ptr::write_bytes(start, 0, HEADROOM);
            let data = start.add(HEADROOM);
            ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
            self.context.data = data;
            self.context.data_meta = data;
            self.context.data_end = data.add(bytes.len());
            self.context.data_hard_start = start;
            self.context.data_hard_end = start.add(self.frame_len - TAILROOM);
        }
        self.clear_redirect();
    }

    /// Says where packets arrive.
    pub fn set_ingress(&mut self, ifindex: u32, rx_queue_index: u32) {
        self.context.ingress_ifindex = ifindex;
        self.context.rx_queue_index = rx_queue_index;
    }

    /// The packet as it is now.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        // SAFETY: `data <= data_end`, both in the frame; no program runs while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.context.data, self.len()) }
    }

    /// The packet as it is now, to be changed.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.context.data, self.len()) }
    }

    /// Bytes of the packet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.context.data_end.addr() - self.context.data.addr()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The metadata that a program put before the packet.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        let len = self.context.data.addr() - self.context.data_meta.addr();
        // SAFETY: `data_meta <= data`, both in the frame.
        unsafe { std::slice::from_raw_parts(self.context.data_meta, len) }
    }

    /// Where the last run's `bpf_redirect` sent the packet. Interface numbers begin at 1.
    #[must_use]
    pub fn redirect(&self) -> Option<Redirect> {
        let Self { context: XdpContext { redirect_ifindex, redirect_flags, .. }, .. } = *self;
        (redirect_ifindex != 0).then_some(Redirect { ifindex: redirect_ifindex, flags: redirect_flags })
    }

    pub(crate) fn clear_redirect(&mut self) {
        self.context.redirect_ifindex = 0;
        self.context.redirect_flags = 0;
    }
}

impl Clone for Packet {
    /// A packet with the same bytes and arrival in a frame of its own, without metadata.
    fn clone(&self) -> Self {
        let mut packet = Self::new(self.data());
        packet.set_ingress(self.context.ingress_ifindex, self.context.rx_queue_index);
        packet
    }
}

impl Default for Packet {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        free(self.frame, self.frame_len);
    }
}

impl sealed::Context for Packet {
    #[inline]
    fn context(&mut self) -> *mut c_void {
        ptr::from_mut(&mut self.context).cast()
    }
}

impl Event for Packet {
    const KIND: ProgramKind = ProgramKind::Xdp;
}

fn layout(frame_len: usize) -> Layout {
    Layout::from_size_align(frame_len, 64).expect("a frame is smaller than the address space")
}

/// A zeroed frame for a packet of some length.
fn allocate(len: usize) -> (NonNull<u8>, usize) {
    let frame_len = (HEADROOM + len + TAILROOM).next_multiple_of(PAGE);
    let layout = layout(frame_len);
    // SAFETY: the layout's size is not zero.
    let frame = unsafe { alloc_zeroed(layout) };
    (NonNull::new(frame).unwrap_or_else(|| handle_alloc_error(layout)), frame_len)
}

fn free(frame: NonNull<u8>, frame_len: usize) {
    // SAFETY: allocated by `allocate` with this length, and freed once.
    unsafe { dealloc(frame.as_ptr(), layout(frame_len)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_kernels_room() {
        let packet = Packet::new(&[1; 64]);
        let context = &packet.context;
        assert_eq!(context.data.addr() - context.data_hard_start.addr(), 256);
        assert_eq!(context.data_hard_end.addr() - context.data_hard_start.addr(), 4096 - 320);
        assert_eq!(packet.data(), [1; 64]);
        assert!(packet.meta().is_empty());
    }

    #[test]
    fn larger_packets_get_larger_frames() {
        let mut packet = Packet::new(&[]);
        let long = vec![7; 70_000];
        packet.set(&long);
        assert_eq!(packet.data(), long);
        packet.set(&[1, 2]);
        assert_eq!(packet.data(), [1, 2]);
    }

    #[test]
    fn setting_zeroes_the_headroom() {
        let mut packet = Packet::new(&[0; 20]);
        // SAFETY: 8 bytes before the packet are headroom.
        unsafe { packet.context.data = packet.context.data.sub(8) };
        packet.data_mut().fill(9);
        packet.set(&[0; 20]);
        // SAFETY: as above.
        unsafe { packet.context.data = packet.context.data.sub(8) };
        assert_eq!(packet.data()[..8], [0; 8]);
    }

    #[test]
    fn verdicts_have_the_kernels_numbers_and_names() {
        for number in 0..6 {
            assert_eq!(XdpVerdict::from_result(number).number(), u32::try_from(number).expect("small"));
        }
        assert_eq!(XdpVerdict::Tx.to_string(), "XDP_TX");
        assert_eq!(XdpVerdict::from_result((1 << 32) | 2), XdpVerdict::Pass);
        assert_eq!(XdpVerdict::Unknown(9).to_string(), "9");
    }
}
