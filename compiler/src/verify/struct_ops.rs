//! Programs that are members of a structure of callbacks: which members may be programs, and what those may do.
//!
//! Each structure has its own rules in Linux, written in C beside it: they are listed here for those of a plain kernel,
//! `tcp_congestion_ops` and `bpf_dummy_ops`. Structures of others have only the common rules: where theirs
//! are stricter (a member without a stub, a helper that is not allowed), Brolga accepts more.

use brolga_abi::{HelperId, ProgramKind};

use super::check::Request;
use super::explore::{Check, Explorer};
use super::refusal::name;
use super::value::{BtfPointer, Flags, TypesOf};
use crate::btf::{Btf, Kind as TypeKind, TypeId};
use crate::diag::{Code, Diagnostic};
use crate::program::{Program, StructOpsSlot};

/// The structure of congestion control.
const TCP: &str = "tcp_congestion_ops";
/// The structure of the kernel's own tests.
const DUMMY: &str = "bpf_dummy_ops";

/// Members of `tcp_congestion_ops` that can be programs.
const TCP_MEMBERS: &[&str] = &[
    "ssthresh",
    "cong_avoid",
    "set_state",
    "cwnd_event",
    "in_ack_event",
    "pkts_acked",
    "min_tso_segs",
    "cong_control",
    "undo_cwnd",
    "sndbuf_expand",
    "init",
    "release",
];

/// Fields of a TCP socket that programs may write: by structure, member and member of that; and whether a write may begin
/// within the field.
const TCP_WRITABLE: &[(&str, &str, &str, bool)] = &[
    ("sock", "sk_pacing_rate", "", false),
    ("sock", "sk_pacing_status", "", false),
    ("inet_connection_sock", "icsk_ca_priv", "", true),
    ("inet_connection_sock", "icsk_ack", "pending", false),
    ("tcp_sock", "snd_cwnd", "", false),
    ("tcp_sock", "snd_cwnd_cnt", "", false),
    ("tcp_sock", "snd_cwnd_stamp", "", false),
    ("tcp_sock", "snd_ssthresh", "", false),
    ("tcp_sock", "ecn_flags", "", false),
    ("tcp_sock", "app_limited", "", false),
];

/// Whether a program may be this member.
pub(super) fn check_member(program: &Program, slot: &StructOpsSlot) -> Result<(), Box<Diagnostic>> {
    let refuse = |code, message: String| Err(Box::new(Diagnostic::program(code, message)));
    if !program.gpl_compatible {
        let message = "struct ops programs must have a GPL compatible license".to_owned();
        return refuse(Code::GplOnlyHelper, message);
    }
    let (ops, member) = (slot.ops.as_str(), slot.member.as_str());
    let supported = match ops {
        TCP => TCP_MEMBERS.contains(&member),
        DUMMY => !program.traits.sleepable || member == "test_sleepable",
        _ => true,
    };
    if supported {
        return Ok(());
    }
    refuse(Code::AttachTarget, format!("attach to unsupported member {member} of struct {ops}"))
}

/// Names of a member's parameters: those of the kernel's stub say which may be null.
pub(super) fn stub_names(btf: &Btf, slot: &StructOpsSlot) -> Option<Vec<String>> {
    let stub = btf.find(TypeKind::Func, &format!("{}__{}", slot.ops, slot.member))?;
    let proto = btf.get(btf.get(stub).ok()?.referenced()).ok()?;
    Some(proto.params().map(|param| btf.str(param.name).unwrap_or_default().to_owned()).collect())
}

/// Where a field lies: its first byte, and the byte after it.
fn field_of(btf: &Btf, structure: &str, member: &str, inner: &str) -> Option<(u32, u32)> {
    let named = |ty: TypeId, name: &str| {
        let ty = btf.unqualified(ty).ok()?;
        ty.members().find(|m| btf.str(m.name) == Ok(name) && m.bit_size == 0)
    };
    let found = named(btf.find(TypeKind::Struct, structure)?, member)?;
    let (start, ty) = match inner {
        "" => (found.bit_offset, found.ty),
        _ => {
            let inner = named(found.ty, inner)?;
            (found.bit_offset.checked_add(inner.bit_offset)?, inner.ty)
        }
    };
    Some((start / 8, (start / 8).checked_add(btf.size_of(ty).ok()?)?))
}

/// A field that may be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writable {
    /// Its first byte.
    start: u32,
    /// The byte after it.
    end: u32,
    /// Whether a part of it may be written that does not begin with it.
    within: bool,
}

/// The fields of [`TCP_WRITABLE`] that the kernel has.
fn tcp_writable(btf: &Btf) -> Vec<Writable> {
    let field = |&(of, member, inner, within): &(&str, &str, &str, bool)| {
        let (start, end) = field_of(btf, of, member, inner)?;
        Some(Writable { start, end, within })
    };
    TCP_WRITABLE.iter().filter_map(field).collect()
}

impl Explorer<'_> {
    /// The structure of which the program is a member.
    fn ops(&self) -> Option<&StructOpsSlot> {
        self.program.struct_ops.as_ref().filter(|_| self.kind == ProgramKind::StructOps)
    }

    /// Whether a member may call a helper that programs of its kind have.
    pub(super) fn member_may_call(&self, helper: HelperId) -> bool {
        let Some(slot) = self.ops() else { return true };
        match slot.ops.as_str() {
            DUMMY => false,
            // What is about to go takes no more resources.
            TCP => slot.member != "release" || !matches!(helper, HelperId::Setsockopt | HelperId::Getsockopt),
            _ => true,
        }
    }

    /// What an argument points to: congestion control is for TCP sockets only, whatever its prototype says.
    pub(super) fn promoted(&self, ty: TypeId, flags: Flags) -> TypeId {
        let unsafe_flags = Flags::UNTRUSTED.with(Flags::USER).with(Flags::PERCPU).with(Flags::NON_OWNING);
        let Some(btf) = self.types(TypesOf::Kernel) else { return ty };
        if self.ops().is_none_or(|slot| slot.ops != TCP) || flags.has_any(unsafe_flags) {
            return ty;
        }
        match btf.get(ty).ok().and_then(|ty| ty.name().ok()) {
            Some("sock") => btf.find(TypeKind::Struct, "tcp_sock").unwrap_or(ty),
            Some(_) | None => ty,
        }
    }

    /// A write to a structure of the kernel. `None`: it is for the caller to judge.
    pub(super) fn check_structure_write(
        &self,
        request: &Request,
        pointer: BtfPointer,
        at: u32,
    ) -> Option<Check> {
        let slot = self.ops()?;
        let value = self.state.reg(request.reg);
        if pointer.types != TypesOf::Kernel || value.flags.has(Flags::UNTRUSTED) {
            return None;
        }
        let refuse =
            |message: String| Some(Err(self.refuse_reg(Code::StructureAccess, request.reg, message)));
        let structure = self.structure_name(pointer);
        let end = at.saturating_add(request.size);
        let btf = self.types(TypesOf::Kernel)?;
        match (slot.ops.as_str(), structure.as_str()) {
            (TCP, "tcp_sock") => {
                let fields = self.writable.get_or_init(|| tcp_writable(btf));
                let field = fields
                    .iter()
                    .find(|field| field.start == at || (field.within && field.start <= at && at < field.end));
                match field.map(|field| field.end) {
                    Some(last) if end <= last => Some(Ok(())),
                    Some(last) => refuse(format!(
                        "write access at off {at} with size {} beyond the member of tcp_sock ended at {last}",
                        request.size
                    )),
                    None => refuse(format!("no write support to tcp_sock at off {at}")),
                }
            }
            (DUMMY, "bpf_dummy_ops_state") => {
                if btf.size_of(pointer.ty).is_ok_and(|size| end <= size) {
                    return Some(Ok(()));
                }
                refuse(format!(
                    "write access for struct bpf_dummy_ops_state at off {at} with size {}",
                    request.size
                ))
            }
            (DUMMY, _) => refuse("only access to bpf_dummy_ops_state is supported".to_owned()),
            (TCP, _) => refuse("only read is supported".to_owned()),
            _ => {
                Some(Err(self.unsupported(&format!("a write through {} in {}", name(request.reg), slot.ops))))
            }
        }
    }
}
