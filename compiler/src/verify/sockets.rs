//! Which fields of sockets a program may read.
//!
//! A program sees `struct bpf_sock`, `struct bpf_tcp_sock` and `struct bpf_xdp_sock`; Linux rewrites each load to the
//! kernel's own fields. None is written. What could be wrong here is only that an access is refused or accepted that
//! Linux judges otherwise: Brolga has no sockets to read.

use brolga_abi::context::{self, SOCK_COMMON, SOCKET, TCP_SOCK, XDP_SOCK};

use super::check::{Direction, Request};
use super::explore::{Check, Explorer};
use super::facts::Access;
use super::refusal::name;
use super::value::Socket;
use crate::diag::Code;

/// Bytes of `struct bpf_flow_keys`.
const FLOW_KEYS_SIZE: i64 = 56;

fn socket_field(socket: Socket, off: i32, size: u32) -> bool {
    let info = match socket {
        Socket::Full => SOCKET,
        Socket::Common => SOCK_COMMON,
        Socket::Tcp => TCP_SOCK,
        Socket::Xdp => XDP_SOCK,
    };
    u32::try_from(off).is_ok_and(|off| info.access(context::Direction::Read, off, size, None).is_some())
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
        let size = request.size;
        if value.num.as_constant() == Some(0) && socket_field(socket, off, size) {
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
                "{} invalid variable buffer offset: off={off}, var_off={}",
                name(reg),
                value.var_off()
            ));
        }
        Ok(Access::Mixed)
    }
}
