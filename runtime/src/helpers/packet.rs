//! Packet helpers: move a packet's ends, copy its bytes, choose where it goes.
//!
//! Every offset is checked against the buffer here, with Linux's limits; the verifier has only seen
//! to it that the program looks at the packet's ends again afterwards.

#![expect(unsafe_code, reason = "called by compiled code with contexts that the runtime made")]

use std::ptr;

use brolga_abi::context::{SkbContext, XdpContext};
use brolga_abi::env::Env;

use crate::contexts::{XDP_FRAME_SIZE, XDP_MIN_LEN};
use crate::maps::Errno;

/// The most bytes of metadata: `meta_len` in `struct skb_shared_info` is a byte.
const META_LIMIT: usize = 255;
/// The most that an offset or a length of `bpf_xdp_load_bytes` may be.
const XDP_BYTES_LIMIT: usize = 0xffff;
/// `XDP_ABORTED`
const XDP_ABORTED: u64 = 0;
/// `XDP_REDIRECT`
const XDP_REDIRECT: u64 = 4;
/// `SKF_NET_OFF`: legacy loads from here on are relative to the network header.
const SKF_NET_OFF: i64 = -0x10_0000;
/// `SKF_LL_OFF`: legacy loads from here on are relative to the link layer's header.
const SKF_LL_OFF: i64 = -0x20_0000;
/// What a legacy load returns where it is out of bounds.
const OUT_OF_BOUNDS: u64 = 1 << 63;

/// The kernel's parameter has 32 bits and a sign.
fn int(word: u64) -> isize {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half")]
    let word = word as i32;
    isize::try_from(word).expect("pointers have 32 bits at least")
}

/// The kernel's parameter has 32 bits and no sign.
fn unsigned(word: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half")]
    let word = word as u32;
    usize::try_from(word).expect("pointers have 32 bits at least")
}

fn result(result: Result<(), Errno>) -> u64 {
    result.map_or_else(Errno::result, |()| 0)
}

/// `bpf_redirect`
///
/// # Safety
///
/// Called by verified code of an XDP program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_redirect(env: *mut Env, ifindex: u64, flags: u64) -> u64 {
    if flags != 0 {
        return XDP_ABORTED;
    }
    // SAFETY: the context of an XDP program's run.
    let context = unsafe { &mut *(*env).context.cast::<XdpContext>() };
    context.redirect_ifindex = u32::try_from(unsigned(ifindex)).expect("32 bits");
    context.redirect_flags = flags;
    XDP_REDIRECT
}

/// `bpf_xdp_adjust_head`
///
/// # Safety
///
/// Called by verified code: `context` is that of the run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_xdp_adjust_head(
    _env: *mut Env,
    context: *mut XdpContext,
    offset: u64,
) -> u64 {
    // SAFETY: verified arguments; the pointers of a context lie in one buffer.
    result(unsafe { adjust_head(&mut *context, int(offset)) })
}

/// # Safety
///
/// The pointers of the context lie in one buffer, in their order.
unsafe fn adjust_head(context: &mut XdpContext, offset: isize) -> Result<(), Errno> {
    let meta_len = context.data.addr() - context.data_meta.addr();
    let first = context.data_hard_start.addr() + XDP_FRAME_SIZE + meta_len;
    let last = context.data_end.addr().checked_sub(XDP_MIN_LEN).ok_or(Errno::Invalid)?;
    let data = context.data.addr().checked_add_signed(offset).ok_or(Errno::Invalid)?;
    if data < first || data > last {
        return Err(Errno::Invalid);
    }
    // SAFETY: the packet's new start and the metadata before it lie in the buffer, just checked.
    unsafe {
        let meta = context.data_meta.offset(offset);
        ptr::copy(context.data_meta, meta, meta_len);
        context.data_meta = meta;
        context.data = context.data.offset(offset);
    }
    Ok(())
}

/// `bpf_xdp_adjust_meta`
///
/// # Safety
///
/// As [`brolga_v1_xdp_adjust_head`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_xdp_adjust_meta(
    _env: *mut Env,
    context: *mut XdpContext,
    offset: u64,
) -> u64 {
    // SAFETY: as in `brolga_v1_xdp_adjust_head`.
    result(unsafe { adjust_meta(&mut *context, int(offset)) })
}

/// # Safety
///
/// As [`adjust_head`].
unsafe fn adjust_meta(context: &mut XdpContext, offset: isize) -> Result<(), Errno> {
    let first = context.data_hard_start.addr() + XDP_FRAME_SIZE;
    let meta = context.data_meta.addr().checked_add_signed(offset).ok_or(Errno::Invalid)?;
    if meta < first || meta > context.data.addr() {
        return Err(Errno::Invalid);
    }
    let meta_len = context.data.addr() - meta;
    if !meta_len.is_multiple_of(4) || meta_len > META_LIMIT {
        return Err(Errno::Access);
    }
    // SAFETY: lies in the headroom, just checked.
    context.data_meta = unsafe { context.data_meta.offset(offset) };
    Ok(())
}

/// `bpf_xdp_adjust_tail`
///
/// # Safety
///
/// As [`brolga_v1_xdp_adjust_head`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_xdp_adjust_tail(
    _env: *mut Env,
    context: *mut XdpContext,
    offset: u64,
) -> u64 {
    // SAFETY: as in `brolga_v1_xdp_adjust_head`.
    result(unsafe { adjust_tail(&mut *context, int(offset)) })
}

/// # Safety
///
/// As [`adjust_head`].
unsafe fn adjust_tail(context: &mut XdpContext, offset: isize) -> Result<(), Errno> {
    let end = context.data_end.addr().checked_add_signed(offset).ok_or(Errno::Invalid)?;
    if end > context.data_hard_end.addr() || end < context.data.addr() + XDP_MIN_LEN {
        return Err(Errno::Invalid);
    }
    // SAFETY: the new end lies in the buffer, just checked, and so does what was added.
    unsafe {
        if let Ok(grown) = usize::try_from(offset) {
            ptr::write_bytes(context.data_end, 0, grown);
        }
        context.data_end = context.data_end.offset(offset);
    }
    Ok(())
}

/// The address of `len` bytes at an offset of an XDP packet.
///
/// # Safety
///
/// As [`adjust_head`].
unsafe fn xdp_bytes(context: *const XdpContext, offset: u64, len: usize) -> Result<*mut u8, Errno> {
    let offset = unsigned(offset);
    // SAFETY: the caller's promise.
    let (data, end) = unsafe { ((*context).data, (*context).data_end) };
    if offset > XDP_BYTES_LIMIT || len > XDP_BYTES_LIMIT {
        return Err(Errno::Fault);
    }
    if offset + len > end.addr() - data.addr() {
        return Err(Errno::Invalid);
    }
    // SAFETY: inside of the packet, just checked.
    Ok(unsafe { data.add(offset) })
}

/// `bpf_xdp_load_bytes`
///
/// # Safety
///
/// Called by verified code: `to` has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_xdp_load_bytes(
    _env: *mut Env,
    context: *mut XdpContext,
    offset: u64,
    to: *mut u8,
    len: u64,
) -> u64 {
    let len = unsigned(len);
    // SAFETY: verified arguments. `to` may be any memory of the program, even of the packet.
    result(unsafe { xdp_bytes(context, offset, len).map(|from| ptr::copy(from, to, len)) })
}

/// `bpf_xdp_store_bytes`
///
/// # Safety
///
/// Called by verified code: `len` bytes at `from` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_xdp_store_bytes(
    _env: *mut Env,
    context: *mut XdpContext,
    offset: u64,
    from: *const u8,
    len: u64,
) -> u64 {
    let len = unsigned(len);
    // SAFETY: as in `brolga_v1_xdp_load_bytes`.
    result(unsafe { xdp_bytes(context, offset, len).map(|to| ptr::copy(from, to, len)) })
}

/// `bpf_skb_load_bytes`: zeroes what it cannot fill.
///
/// # Safety
///
/// Called by verified code of a socket filter: `to` has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_skb_load_bytes(
    _env: *mut Env,
    context: *mut SkbContext,
    offset: u64,
    to: *mut u8,
    len: u64,
) -> u64 {
    let (offset, len) = (unsigned(offset), unsigned(len));
    // SAFETY: verified arguments; the packet has `len` bytes at `data`.
    unsafe {
        let have = (*context).len as usize;
        if have.checked_sub(offset).is_some_and(|left| left >= len) {
            ptr::copy((*context).data.add(offset), to, len);
            0
        } else {
            ptr::write_bytes(to, 0, len);
            Errno::Fault.result()
        }
    }
}

/// A legacy packet load: a number in network byte order at an offset, which where negative is relative to a
/// header.
///
/// # Safety
///
/// Called by verified code of a socket filter; `size` is 1, 2 or 4.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_legacy_packet_load(
    _env: *mut Env,
    context: *mut SkbContext,
    offset: u64,
    size: u64,
) -> u64 {
    // SAFETY: verified arguments; the pointers of a context lie in one buffer.
    unsafe { legacy_load(&*context, int(offset) as i64, unsigned(size)) }.unwrap_or(OUT_OF_BOUNDS)
}

/// # Safety
///
/// The packet's bytes lie from `head` to `data + len` in one buffer.
unsafe fn legacy_load(context: &SkbContext, offset: i64, size: usize) -> Option<u64> {
    let offset = match offset {
        0.. => offset,
        SKF_NET_OFF.. => offset - SKF_NET_OFF + i64::from(context.network_offset),
        SKF_LL_OFF.. => offset - SKF_LL_OFF + i64::from(context.mac_offset),
        _ => return None,
    };
    let before = i64::try_from(context.data.addr() - context.head.addr()).ok()?;
    if offset < -before || offset + i64::try_from(size).ok()? > i64::from(context.len) {
        return None;
    }
    // SAFETY: inside of the buffer, just checked.
    unsafe {
        let at = context.data.offset(isize::try_from(offset).ok()?);
        Some((0..size).fold(0, |value, i| (value << 8) | u64::from(at.add(i).read())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contexts::sealed::Context;
    use crate::{Packet, SocketPacket};

    /// Calls a helper that moves an end of the packet.
    fn adjust(
        helper: unsafe extern "C" fn(*mut Env, *mut XdpContext, u64) -> u64,
        packet: &mut Packet,
        offset: i64,
    ) -> i64 {
        // SAFETY: the context is the packet's own; these helpers do not use the environment.
        unsafe { helper(ptr::null_mut(), packet.context().cast(), offset.cast_unsigned()).cast_signed() }
    }

    #[test]
    fn the_head_moves_within_headroom_and_packet() {
        let mut packet = Packet::new(&[7; 64]);
        assert_eq!(adjust(brolga_v1_xdp_adjust_head, &mut packet, -216), 0);
        assert_eq!((packet.len(), &packet.data()[..216]), (280, &[0; 216][..]));
        assert_eq!(adjust(brolga_v1_xdp_adjust_head, &mut packet, -1), -22, "below is the frame's head");
        assert_eq!(adjust(brolga_v1_xdp_adjust_head, &mut packet, 266), 0);
        assert_eq!(packet.len(), 14);
        assert_eq!(adjust(brolga_v1_xdp_adjust_head, &mut packet, 1), -22, "an Ethernet header remains");
        // Only the lower half of the argument counts.
        assert_eq!(adjust(brolga_v1_xdp_adjust_head, &mut packet, (1 << 40) - 1), 0);
        assert_eq!(packet.len(), 15);
    }

    #[test]
    fn metadata_moves_with_the_head() {
        let mut packet = Packet::new(&[7; 64]);
        assert_eq!(adjust(brolga_v1_xdp_adjust_meta, &mut packet, -8), 0);
        assert_eq!(packet.meta(), [0; 8]);
        assert_eq!(adjust(brolga_v1_xdp_adjust_meta, &mut packet, 3), -13, "whole words only");
        assert_eq!(adjust(brolga_v1_xdp_adjust_meta, &mut packet, 12), -22, "not past the packet's start");
        assert_eq!(adjust(brolga_v1_xdp_adjust_meta, &mut packet, -208), 0);
        assert_eq!(adjust(brolga_v1_xdp_adjust_meta, &mut packet, -4), -22, "the frame's head");
        assert_eq!(adjust(brolga_v1_xdp_adjust_head, &mut packet, -4), -22, "no room for the metadata");
        assert_eq!(adjust(brolga_v1_xdp_adjust_head, &mut packet, 4), 0);
        assert_eq!(packet.meta().len(), 216);
        assert_eq!(adjust(brolga_v1_xdp_adjust_meta, &mut packet, 216), 0);
        assert!(packet.meta().is_empty());
    }

    #[test]
    fn the_tail_grows_into_zeroes() {
        let mut packet = Packet::new(&[7; 64]);
        assert_eq!(adjust(brolga_v1_xdp_adjust_tail, &mut packet, -50), 0);
        assert_eq!(packet.data(), [7; 14]);
        assert_eq!(adjust(brolga_v1_xdp_adjust_tail, &mut packet, -1), -22);
        assert_eq!(adjust(brolga_v1_xdp_adjust_tail, &mut packet, 10), 0);
        assert_eq!(&packet.data()[14..], [0; 10]);
        let room = 4096 - 320 - 256 - 24;
        assert_eq!(adjust(brolga_v1_xdp_adjust_tail, &mut packet, room + 1), -22);
        assert_eq!(adjust(brolga_v1_xdp_adjust_tail, &mut packet, room), 0);
    }

    #[test]
    fn bytes_are_copied_within_bounds_only() {
        let mut packet = Packet::new(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let context = packet.context().cast();
        let mut buffer = [0; 4];
        let env = ptr::null_mut();
        // SAFETY: the context is the packet's own and the buffer has four bytes.
        unsafe {
            let mut load = |offset, len| {
                brolga_v1_xdp_load_bytes(env, context, offset, buffer.as_mut_ptr(), len).cast_signed()
            };
            assert_eq!(load(4, 4), 0);
            assert_eq!(load(5, 4), -22);
            assert_eq!(load(0x1_0000, 1), -14);
            assert_eq!(brolga_v1_xdp_store_bytes(env, context, 0, buffer.as_ptr(), 4), 0);
            assert_eq!(brolga_v1_xdp_store_bytes(env, context, 6, buffer.as_ptr(), 4).cast_signed(), -22);
        }
        assert_eq!(buffer, [5, 6, 7, 8]);
        assert_eq!(packet.data(), [5, 6, 7, 8, 5, 6, 7, 8]);
    }

    #[test]
    fn legacy_loads_reach_headers_by_negative_offsets() {
        let mut frame = [0; 34];
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0x99]);
        for cut in [false, true] {
            let mut packet = SocketPacket::new(&frame);
            if cut {
                packet = packet.without_link_header();
            }
            let context = packet.context().cast();
            // SAFETY: the context is the packet's own.
            let load = |offset: i64, size| unsafe {
                brolga_v1_legacy_packet_load(ptr::null_mut(), context, offset.cast_unsigned(), size)
            };
            let start = if cut { 0 } else { 14 };
            assert_eq!(load(start, 2), 0x4599);
            assert_eq!(load(SKF_NET_OFF, 1), 0x45);
            assert_eq!(load(SKF_LL_OFF + 12, 4), 0x0800_4599);
            assert_eq!(load(start + 19, 1), 0);
            assert_eq!(load(start + 19, 2), OUT_OF_BOUNDS);
            assert_eq!(load(-1, 1), OUT_OF_BOUNDS);
            assert_eq!(load(SKF_LL_OFF - 1, 1), OUT_OF_BOUNDS);
        }
    }

    #[test]
    fn what_cannot_be_loaded_is_zeroed() {
        let mut packet = SocketPacket::new(&[9; 20]);
        let mut buffer = [1; 4];
        // SAFETY: the context is the packet's own and the buffer has four bytes.
        let mut load = |offset| unsafe {
            let result = brolga_v1_skb_load_bytes(
                ptr::null_mut(),
                packet.context().cast(),
                offset,
                buffer.as_mut_ptr(),
                4,
            );
            (result.cast_signed(), buffer)
        };
        assert_eq!(load(16), (0, [9; 4]));
        assert_eq!(load(17), (-14, [0; 4]));
    }
}
