//! Which fields of sockets a program may read.
//!
//! A program sees `struct bpf_sock`, `struct bpf_tcp_sock` and `struct bpf_xdp_sock`; Linux rewrites each load to the
//! kernel's own fields. None is written. What could be wrong here is only that an access is refused or accepted that
//! Linux judges otherwise: Brolga has no sockets to read.

use super::check::{Direction, Request};
use super::explore::{Check, Explorer};
use super::facts::Access;
use super::refusal::name;
use super::value::Socket;
use crate::diag::Code;

/// Bytes of `struct bpf_sock`.
const SOCK_SIZE: i32 = 80;
/// Bytes of `struct bpf_tcp_sock`.
const TCP_SOCK_SIZE: i32 = 112;
/// Bytes of `struct bpf_xdp_sock`.
const XDP_SOCK_SIZE: i32 = 4;
/// Bytes of `struct bpf_flow_keys`.
const FLOW_KEYS_SIZE: i64 = 56;

/// Whether a load from `struct bpf_sock` is allowed.
const fn sock_field(off: i32, size: i32) -> bool {
    if off < 0 || off >= SOCK_SIZE || off % size != 0 {
        return false;
    }
    match off {
        // family, type, protocol, src_ip4, src_ip6, src_port, dst_ip4, dst_ip6, state, rx_queue_mapping: in parts too
        4 | 8 | 12 | 24..=44 | 52..=72 | 76 => size <= 4,
        // dst_port has two bytes, and padding behind it.
        48 => size <= 2 || size == 4,
        50..=51 => false,
        _ => size == 4,
    }
}

const fn socket_field(socket: Socket, off: i32, size: i32) -> bool {
    match socket {
        Socket::Full => sock_field(off, size),
        // type, protocol, mark and priority are known of full sockets only.
        Socket::Common => !matches!(off, 8..=23) && sock_field(off, size),
        Socket::Tcp => {
            let wide = matches!(off, 80 | 88);
            off >= 0 && off < TCP_SOCK_SIZE && off % size == 0 && size == if wide { 8 } else { 4 }
        }
        Socket::Xdp => off >= 0 && off < XDP_SOCK_SIZE && off % size == 0 && size == 4,
    }
}

impl Explorer<'_> {
    /// An access to a socket.
    pub(super) fn check_socket(&self, request: &Request, socket: Socket) -> Check<Access> {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        let kind = value.kind_name();
        if request.direction == Direction::Write {
            let message = format!("{} cannot write into {kind}", name(reg));
            return Err(self.refuse_reg(Code::InvalidMemAccess, reg, message));
        }
        let off = value.off.saturating_add(request.off);
        let size = i32::try_from(request.size).unwrap_or(i32::MAX);
        if value.num.as_constant() == Some(0) && size > 0 && socket_field(socket, off, size) {
            return Ok(Access::Mixed);
        }
        let message = format!("{} invalid {kind} access off={off} size={size}", name(reg));
        Err(self.refuse_reg(Code::InvalidMemAccess, reg, message))
    }

    /// An access to what a flow dissector fills.
    pub(super) fn check_flow_keys(&self, request: &Request) -> Check<Access> {
        let value = self.state.reg(request.reg);
        let off = i64::from(value.off) + i64::from(request.off);
        let constant = value.num.as_constant() == Some(0);
        if constant && off >= 0 && off + i64::from(request.size) <= FLOW_KEYS_SIZE {
            return Ok(Access::Mixed);
        }
        let message = format!("invalid access to flow keys off={off} size={}", request.size);
        Err(self.refuse_reg(Code::MemoryBounds, request.reg, message))
    }

    /// An access to memory of the kernel whose size only a run can tell.
    pub(super) fn check_buffer(&self, request: &Request) -> Check<Access> {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        let off = i64::from(value.off) + i64::from(request.off);
        let kind = value.kind_name();
        let refuse = |message| Err(self.refuse_reg(Code::MemoryBounds, reg, message));
        if off < 0 {
            let size = request.size;
            return refuse(format!("{} invalid {kind} buffer access: off={off}, size={size}", name(reg)));
        }
        if value.num.as_constant() != Some(0) {
            return refuse(format!(
                "{} invalid variable buffer offset: off={off}, var_off={value}",
                name(reg)
            ));
        }
        Ok(Access::Mixed)
    }
}
