//! Calls of helpers: which may be called, and what a call leaves.
//!
//! Arguments are judged in `argument`, callbacks in `callback`.

use brolga_abi::helpers::HelperInfo;
use brolga_abi::kinds::PROGRAM_KINDS;
use brolga_abi::{Arg, AttachType, HelperId, MapKind, ProgramKind, Ret};

use super::argument::{Call, SPIN_UNLOCK};
use super::compat::kind;
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Reg};
use crate::program::MapId;
use crate::verify::dynptr::slice_owner;
use crate::verify::explore::{Check, Explorer, Next};
use crate::verify::facts::Foreign;
use crate::verify::fields::PointerTag;
use crate::verify::obligations::RegSet;
use crate::verify::scalar::Scalar;
use crate::verify::value::{Dynptr, Flags, Kind, MemoryOwner, Socket, TypesOf, Value};

/// The greatest number of a helper that Linux 6.18 has (`__BPF_FUNC_MAX_ID - 1`).
const LAST_HELPER: u32 = 211;

/// The number of `bpf_kptr_xchg`.
const KPTR_XCHG: u32 = 194;

impl Explorer<'_> {
    /// `call` of a helper.
    pub(super) fn helper(&mut self, number: u32) -> Check<Next> {
        let Some(id) = HelperId::from_number(number) else { return Err(self.no_helper(number)) };
        self.check_helper_privilege(id)?;
        let attach = self.kind.effective_attach(self.program.attach);
        let Some(info) = self.contract(id, attach) else {
            let name = id.info().name;
            let kind = self.kind.info().name;
            let message = format!("program of this type cannot use helper {name}#{number} ({kind})");
            let kinds = PROGRAM_KINDS.iter().filter(|info| id.allowed_in(info.kind));
            let names = kinds.map(|info| info.name).collect::<Vec<_>>().join(", ");
            let help = format!("the helper is for programs of the kind {names}");
            return Err(Box::new(self.refuse(Code::HelperNotAllowed, message).help(help)));
        };
        if info.gpl_only && !self.program.gpl_compatible {
            let message = "cannot call GPL-restricted function from non-GPL compatible program";
            let help =
                "if the program is under the GPL, or under a licence that is compatible with it, say so";
            return Err(Box::new(self.refuse(Code::GplOnlyHelper, message).help(help)));
        }
        if info.sleeps {
            let name = info.name;
            let where_to = match &self.state.held {
                held if held.rcu > 0 => Some("rcu_read_lock region"),
                held if held.preempt > 0 => Some("non-preemptible region"),
                held if !held.irqs.is_empty() => Some("IRQ-disabled region"),
                _ => None,
            };
            if let Some(region) = where_to {
                let message = format!("sleepable helper {name}#{number} in {region}");
                return Err(self.refuse(Code::Section, message));
            }
            if !self.sleepable() {
                let message = "helper call might sleep in a non-sleepable prog";
                return Err(self.refuse(Code::HelperNotAllowed, message));
            }
        }
        self.check_unlocked(number == SPIN_UNLOCK)?;
        let mut call = Call::default();
        for (index, reg) in RegSet::args(info.args.len()).iter().enumerate() {
            if info.args[index] != Arg::Unchecked {
                self.check_initialised(RegSet::of(reg))?;
            }
            self.argument(info, index, reg, &mut call)?;
        }
        if let Some(map) = call.map {
            self.check_map_helper(number, info.name, map)?;
            self.check_map_flags(id, map)?;
            if Self::is_inner(map) {
                self.facts.foreign(self.at, Foreign::Map);
            } else {
                self.facts.map(self.at, map);
            }
        }
        if let Some((reg, size)) = call.fills {
            self.fill(reg, size)?;
        }
        if call.releases.is_some() && call.ref_id != 0 {
            if number == KPTR_XCHG {
                self.keep_in_section(call.ref_id);
            }
            self.release(call.ref_id)?;
        }
        if id == HelperId::TailCall {
            self.check_nothing_held("tail_call")?;
            call.map.map_or(Ok(()), |map| self.sanitise_tail_call(map))?;
        }
        if info.name == "bpf_get_local_storage" {
            if !self.state.reg(Reg::R2).is_null() {
                let message = "get_local_storage() doesn't support non-zero flags";
                return Err(self.refuse_reg(Code::ArgumentType, Reg::R2, message));
            }
            self.mark_precise(Reg::R2);
        }
        if info.name == "bpf_d_path" && !self.may_print_paths() {
            return Err(self.refuse(Code::HelperNotAllowed, "helper call is not allowed in probe"));
        }
        self.call_back(id, &call)?;
        let result = self.result(info, &call)?;
        self.destroy_caller_saved();
        if let Some(value) = result {
            self.set(Reg::R0, value);
        }
        // Linux counts a tail call among them: the other program may move the packet.
        let writes_packet = info.name == "bpf_dynptr_write" && matches!(call.dynptr, Some((Dynptr::Skb, ..)));
        if info.moves_packet || id == HelperId::TailCall || writes_packet {
            self.forget_packet();
        }
        if id == HelperId::TailCall { self.tail_call() } else { Ok(Next::Fall) }
    }

    /// What a helper demands of the program; `None` where that may not call it.
    fn contract(&self, id: HelperId, attach: Option<AttachType>) -> Option<&'static HelperInfo> {
        let sockets = self.program.attach == Some(AttachType::TraceIter)
            && matches!(self.program.target.as_deref(), Some("tcp" | "unix"));
        if sockets && matches!(id, HelperId::Setsockopt | HelperId::Getsockopt) {
            // As congestion control knows them: they take the socket.
            return id.for_kind(ProgramKind::StructOps, None);
        }
        id.for_kind(self.kind, attach).filter(|_| self.member_may_call(id))
    }

    /// There is no helper of a number: loading may have put it there for something else that is missing.
    fn no_helper(&self, number: u32) -> Box<Diagnostic> {
        if let Some(poisoned) = self.program.poisoned(self.at) {
            return Box::new(poisoned);
        }
        if number != 0 && number <= LAST_HELPER {
            return self
                .refuse(Code::UnsupportedHelper, format!("helper number {number}: not supported yet"));
        }
        let message = format!("invalid func unknown#{number}");
        let Some(missing) = self.program.function_name(CallTarget::Helper(number)) else {
            return self.refuse(Code::UnknownHelper, message);
        };
        let label = format!("the kernel has no function `{missing}`, and this path calls it");
        let help = format!("ask first whether it is there, as with `bpf_ksym_exists({missing})`");
        Box::new(self.refuse(Code::UnresolvedExtern, message).label(label).help(help))
    }

    fn result(&mut self, info: &HelperInfo, call: &Call) -> Check<Option<Value>> {
        match info.ret {
            Ret::Integer => Ok(Some(self.integer(info, call))),
            Ret::Void => Ok(None),
            Ret::MapValue => {
                let Some(map) = call.map else {
                    return Err(self.refuse(Code::ArgumentType, format!("{} needs a map", info.name)));
                };
                let id = if self.has_lock(map) { self.new_id() } else { 0 };
                Ok(Some(Value { id, ..Value::pointer(Kind::MapValue(map)) }))
            }
            Ret::SocketOrNull => Ok(Some(self.or_null(info, Kind::Socket(Socket::Full), call))),
            Ret::SockCommonOrNull => Ok(Some(self.or_null(info, Kind::Socket(Socket::Common), call))),
            Ret::TcpSockOrNull => Ok(Some(self.or_null(info, Kind::Socket(Socket::Tcp), call))),
            Ret::RingbufMemOrNull => {
                let kind = Kind::Memory { size: call.alloc_size, owner: MemoryOwner::Ringbuf };
                Ok(Some(self.or_null(info, kind, call)))
            }
            // Not trusted: the registers lie on the task's stack.
            Ret::Btf(name) if info.name == "bpf_task_pt_regs" => {
                Ok(Some(Value::pointer(self.kernel_structure(name)?)))
            }
            Ret::Btf(name) => {
                Ok(Some(Value { flags: Flags::TRUSTED, ..Value::pointer(self.kernel_structure(name)?) }))
            }
            Ret::BtfOrNull(name) => {
                let kind = self.kernel_structure(name)?;
                Ok(Some(self.or_null(info, kind, call)))
            }
            Ret::DynptrMemOrNull => {
                let Some((what, dynptr_id, ref_id)) = call.dynptr else {
                    return Err(self.unsupported("a part of an unknown dynptr"));
                };
                if matches!(what, Dynptr::Skb | Dynptr::Xdp) {
                    // Linux gives null.
                    return Ok(Some(Value::constant(0)));
                }
                let kind = Kind::Memory { size: call.alloc_size, owner: slice_owner(what) };
                let id = self.new_id();
                Ok(Some(Value { nullable: true, id, dynptr_id, ref_id, ..Value::pointer(kind) }))
            }
            Ret::MemOrBtf | Ret::MemOrBtfOrNull => {
                let Some(value) = call.percpu else {
                    return Err(self.unsupported("a copy of an unknown variable"));
                };
                // Of an object too: Linux lets it be used unchecked, though it is null for a CPU that is not there.
                let nullable = info.ret == Ret::MemOrBtfOrNull;
                let id = if nullable { self.new_id() } else { 0 };
                self.copy_of(&value).map(|value| Some(Value { nullable, id, ..value }))
            }
            Ret::KptrOrNull if call.kptr.is_some() => {
                let Some((pointer, tag)) = call.kptr else { return Ok(None) };
                let flags = match (pointer.types, tag) {
                    (TypesOf::Kernel, _) => Flags::NONE,
                    (TypesOf::Program, PointerTag::PerCpu) => Flags::ALLOC.with(Flags::PERCPU),
                    (TypesOf::Program, _) => Flags::ALLOC,
                };
                Ok(Some(Value { flags, ..self.or_null(info, Kind::Btf(pointer), call) }))
            }
            Ret::KptrOrNull => Err(self.unsupported(&format!("result {:?} of {}", info.ret, info.name))),
            Ret::MapValueOrNull => {
                let Some(map) = call.map else {
                    return Err(self.refuse(Code::ArgumentType, format!("{} needs a map", info.name)));
                };
                Ok(Some(self.found(map, call)))
            }
        }
    }

    /// What a helper returns that gives a number: at most as many bytes as there was room for, or an error.
    fn integer(&self, info: &HelperInfo, call: &Call) -> Value {
        const MAX_ERRNO: i64 = 4095;
        let counts = matches!(
            info.name,
            "bpf_get_stack"
                | "bpf_get_task_stack"
                | "bpf_probe_read_str"
                | "bpf_probe_read_kernel_str"
                | "bpf_probe_read_user_str"
        );
        if counts {
            Value::scalar(Scalar::signed(-MAX_ERRNO, i64::from(call.max_size)))
        } else {
            Value::UNKNOWN
        }
    }

    /// What a lookup in a map gives.
    fn found(&mut self, map: MapId, call: &Call) -> Value {
        let def = self.map(map);
        let or_null = |kind, id| Value { nullable: true, id, ..Value::pointer(kind) };
        match def.kind.number() {
            kind::SOCKMAP | kind::SOCKHASH => {
                let id = self.acquire();
                Value { ref_id: id, ..or_null(Kind::Socket(Socket::Full), id) }
            }
            kind::XSKMAP => or_null(Kind::Socket(Socket::Xdp), self.new_id()),
            kind::ARRAY_OF_MAPS | kind::HASH_OF_MAPS if self.inner(map).is_some() => {
                let inner = self.inner(map).unwrap_or(map);
                or_null(Kind::Map(inner), self.new_id())
            }
            _ => {
                let array = matches!(def.kind.known(), Some(MapKind::Array | MapKind::PerCpuArray));
                let exists = array && call.key.is_some_and(|key| key < u64::from(def.max_entries));
                let id = if exists && !self.has_lock(map) { 0 } else { self.new_id() };
                Value { nullable: !exists, id, ..Value::pointer(Kind::MapValue(map)) }
            }
        }
    }

    /// A pointer that may be null. What a helper acquires must be given back; what it casts belongs to what the
    /// argument belonged to.
    fn or_null(&mut self, info: &HelperInfo, kind: Kind, call: &Call) -> Value {
        let pointer = Value { nullable: true, ..Value::pointer(kind) };
        if acquires(info) {
            let id = self.acquire();
            return Value { id, ref_id: id, ..pointer };
        }
        let ref_id = if casts(info) { call.ref_id } else { 0 };
        Value { id: self.new_id(), ref_id, ..pointer }
    }
}

/// Helpers whose result must be given back.
fn acquires(info: &HelperInfo) -> bool {
    matches!(
        info.name,
        "bpf_sk_lookup_tcp"
            | "bpf_sk_lookup_udp"
            | "bpf_skc_lookup_tcp"
            | "bpf_ringbuf_reserve"
            | "bpf_kptr_xchg"
    )
}

/// Helpers whose result is their argument, seen as something else.
fn casts(info: &HelperInfo) -> bool {
    matches!(
        info.name,
        "bpf_tcp_sock"
            | "bpf_sk_fullsock"
            | "bpf_skc_to_tcp_sock"
            | "bpf_skc_to_tcp6_sock"
            | "bpf_skc_to_udp6_sock"
            | "bpf_skc_to_mptcp_sock"
            | "bpf_skc_to_tcp_timewait_sock"
            | "bpf_skc_to_tcp_request_sock"
    )
}
