//! What a loader may do, and what its programs are refused for lack of it.
//!
//! Linux asks for capabilities. Without `CAP_PERFMON` no pointer may get where the loader could read it, nor
//! may memory be read that the program has not written; without `CAP_BPF` there are besides no loops, no
//! functions, and few kinds of programs, maps and helpers. This module answers what can be seen before a path is
//! explored, and says for the others what is allowed; they ask where a rule applies.
//!
//! Linux 6.18 also looks at what a processor may execute ahead of a branch that it mispredicts. It refuses nothing
//! for that, but puts barriers into the code that it makes; Brolga makes code without them.

use brolga_abi::helpers::Capability;
use brolga_abi::{HelperId, ProgramKind};

use super::check::{By, Direction, Extent, Request};
use super::explore::{ARENA, Check, Explorer, refers_to_arena};
use super::refusal::name;
use super::stack::{Byte, slot_of};
use super::structure::subprog_ids;
use super::value::Kind;
use crate::cfg::{Cfg, reverse_postorder};
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Imm64, Insn, InsnIdx, Reg};
use crate::program::{MapId, Program};

/// Who loads a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// Root, or who has `CAP_BPF`, `CAP_PERFMON` and `CAP_NET_ADMIN`. Such programs may learn addresses, and read
    /// stack that they have not written.
    #[default]
    Full,
    /// Who has `CAP_BPF` and `CAP_NET_ADMIN`, but not `CAP_PERFMON`: programs for networks that do not learn what
    /// is not theirs. They may loop and call functions.
    Bpf,
    /// Who has no capability. There are socket filters, filters of cgroups' packets and, of Brolga's own,
    /// `raw_memory`; at most 4,096 instructions, no loops and no functions.
    Unprivileged,
}

impl Privilege {
    /// Whether programs may learn addresses, and read memory that holds whatever was there (`CAP_PERFMON`).
    #[must_use]
    pub const fn may_learn_addresses(self) -> bool {
        match self {
            Self::Full => true,
            Self::Bpf | Self::Unprivileged => false,
        }
    }

    /// Whether programs may loop, call functions, and use all that is not for tracing (`CAP_BPF`).
    #[must_use]
    pub const fn may_use_bpf(self) -> bool {
        match self {
            Self::Full | Self::Bpf => true,
            Self::Unprivileged => false,
        }
    }

    /// Whether maps of a kind may be made, by its number in `enum bpf_map_type`.
    #[must_use]
    pub fn may_make(self, map_kind: u32) -> bool {
        self.may_use_bpf() || MAPS_FOR_ALL.contains(&map_kind)
    }
}

/// Most instructions of a program of a loader without `CAP_BPF` (`BPF_MAXINSNS`).
const MAX_INSNS: usize = 4096;

/// Kinds of maps, by their number in `enum bpf_map_type`, that everybody may make: arrays, hashes, program, perf
/// event and cgroup arrays, their per-CPU kinds, maps of maps, storage of cgroups, and ring buffers. Linux asks
/// who makes the map; as far as a program says, that is who loads it.
const MAPS_FOR_ALL: &[u32] = &[1, 2, 3, 4, 5, 6, 8, 12, 13, 19, 21, 27, 31];

/// Judges what a loader without `CAP_BPF` is refused whatever the paths: kind, size, functions, maps.
pub(super) fn check_program(program: &Program, kind: ProgramKind, privilege: Privilege) -> Check {
    let capability = kind_needs(kind);
    if !holds(privilege, capability) {
        let message =
            format!("programs of the kind {} need {}", kind.info().name, capability_name(capability));
        let help = "without it there are socket_filter, cgroup_skb and raw_memory";
        return Err(Box::new(Diagnostic::program(Code::NeedsPrivilege, message).help(help)));
    }
    if let Some(arena) = program.maps.iter().find(|map| map.kind.number() == ARENA)
        && refers_to_arena(program)
        && !privilege.may_learn_addresses()
    {
        let message = format!("CAP_BPF and CAP_PERFMON are required to use arena (`{}`)", arena.name);
        return Err(Box::new(Diagnostic::program(Code::NeedsPrivilege, message)));
    }
    if privilege.may_use_bpf() {
        return Ok(());
    }
    let count = program.insns.len();
    if count > MAX_INSNS {
        let message =
            format!("the program has {count} instructions, at most {MAX_INSNS} are allowed without CAP_BPF");
        return Err(Box::new(Diagnostic::program(Code::NeedsPrivilege, message)));
    }
    for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
        match *insn {
            Insn::Call(CallTarget::Subprog(_) | CallTarget::Kfunc { .. })
            | Insn::LoadImm64 { imm: Imm64::Func(_), .. } => {
                // Functions of the host are the host's to give.
                if matches!(insn, Insn::Call(CallTarget::Kfunc { module: CallTarget::HOST, .. })) {
                    continue;
                }
                let message =
                    "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN";
                let help = "mark the function `static __always_inline`";
                return Err(Box::new(Diagnostic::at(Code::NeedsPrivilege, at, message).help(help)));
            }
            Insn::LoadImm64 { imm: Imm64::MapIdx(index) | Imm64::MapIdxValue { index, .. }, .. } => {
                check_map(program, MapId(index), at, privilege)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_map(program: &Program, map: MapId, at: InsnIdx, privilege: Privilege) -> Check {
    let Some(def) = program.maps.get(map.index()) else { return Ok(()) };
    if privilege.may_make(def.kind.number()) {
        return Ok(());
    }
    let message = format!("map `{}` is of the kind {}, which needs CAP_BPF", def.name, def.kind);
    Err(Box::new(Diagnostic::at(Code::NeedsPrivilege, at, message)))
}

/// Judges the graphs of functions: without `CAP_BPF` there are no loops.
pub(super) fn check_loops(program: &Program, cfgs: &[Cfg], privilege: Privilege) -> Check {
    if privilege.may_use_bpf() {
        return Ok(());
    }
    for id in subprog_ids(program) {
        let Some((from, to)) = back_edge(&cfgs[id.index()]) else { continue };
        let message = format!("back-edge from insn {from} to {to}");
        let help = "loops need CAP_BPF: unroll it, `#pragma unroll`";
        return Err(Box::new(Diagnostic::at(Code::NeedsPrivilege, from, message).help(help)));
    }
    Ok(())
}

/// An edge that closes a cycle.
fn back_edge(cfg: &Cfg) -> Option<(InsnIdx, InsnIdx)> {
    let order = reverse_postorder(cfg);
    let mut place = vec![usize::MAX; cfg.blocks.len()];
    for (index, block) in order.iter().enumerate() {
        place[block.index()] = index;
    }
    // Reverse postorder lists a block before its successors unless they close a cycle.
    order.iter().find_map(|id| {
        let block = cfg.block(*id);
        let back = block.successors().find(|next| place[next.index()] <= place[id.index()])?;
        Some((block.insns().last()?, cfg.block(back).start))
    })
}

/// Whether a loader holds a capability.
fn holds(privilege: Privilege, capability: Capability) -> bool {
    match capability {
        Capability::None => true,
        Capability::Bpf => privilege.may_use_bpf(),
        Capability::Perfmon => privilege.may_learn_addresses(),
    }
}

/// Whether programs of a kind look at the kernel from outside: those need `CAP_PERFMON`.
pub(super) fn looks_at_kernel(kind: ProgramKind) -> bool {
    kind_needs(kind) == Capability::Perfmon
}

fn capability_name(capability: Capability) -> &'static str {
    match capability {
        Capability::None => "no capability",
        Capability::Bpf => "CAP_BPF",
        Capability::Perfmon => "CAP_PERFMON",
    }
}

/// What the loader of a program of a kind needs besides `CAP_NET_ADMIN`, which it is taken to have with `CAP_BPF`.
fn kind_needs(kind: ProgramKind) -> Capability {
    match kind {
        ProgramKind::RawMemory | ProgramKind::SocketFilter | ProgramKind::CgroupSkb => Capability::None,
        ProgramKind::SchedCls
        | ProgramKind::SchedAct
        | ProgramKind::Xdp
        | ProgramKind::CgroupSock
        | ProgramKind::LwtIn
        | ProgramKind::LwtOut
        | ProgramKind::LwtXmit
        | ProgramKind::SockOps
        | ProgramKind::SkSkb
        | ProgramKind::CgroupDevice
        | ProgramKind::SkMsg
        | ProgramKind::CgroupSockAddr
        | ProgramKind::LwtSeg6local
        | ProgramKind::LircMode2
        | ProgramKind::SkReuseport
        | ProgramKind::FlowDissector
        | ProgramKind::CgroupSysctl
        | ProgramKind::CgroupSockopt
        | ProgramKind::StructOps
        | ProgramKind::Ext
        | ProgramKind::SkLookup
        | ProgramKind::Syscall
        | ProgramKind::Netfilter => Capability::Bpf,
        ProgramKind::Kprobe
        | ProgramKind::Tracepoint
        | ProgramKind::PerfEvent
        | ProgramKind::RawTracepoint
        | ProgramKind::RawTracepointWritable
        | ProgramKind::Tracing
        | ProgramKind::Lsm => Capability::Perfmon,
    }
}

impl Explorer<'_> {
    /// Whether what a register holds must not get where the loader could read it.
    pub(super) fn is_secret(&self, reg: Reg) -> bool {
        !self.options.privilege.may_learn_addresses() && self.state.reg(reg).is_pointer()
    }

    /// Refuses what would tell an address. `what` follows the register's name.
    pub(super) fn check_leak(&self, reg: Reg, what: &str) -> Check {
        if !self.is_secret(reg) {
            return Ok(());
        }
        Err(self.refuse_leak(reg, what))
    }

    /// The finding of [`Self::check_leak`].
    pub(super) fn refuse_leak(&self, reg: Reg, what: &str) -> Box<Diagnostic> {
        let message = format!("{} {what}", name(reg));
        let help = "addresses are secret to loaders without CAP_PERFMON";
        Box::new(self.refuse_reg(Code::PointerLeak, reg, message).help(help))
    }

    /// Whether the loader may use a helper.
    pub(super) fn check_helper_privilege(&self, id: HelperId) -> Check {
        let capability = id.capability(self.kind);
        if holds(self.options.privilege, capability) {
            return Ok(());
        }
        let info = id.info();
        let message = format!("program of this type cannot use helper {}#{}", info.name, info.number);
        let help = format!("the helper needs {}", capability_name(capability));
        Err(Box::new(self.refuse(Code::NeedsPrivilege, message).help(help)))
    }

    /// Whether the loader may look into structures of the kernel.
    pub(super) fn check_structures_allowed(&self, reg: Reg) -> Check {
        if self.options.privilege.may_learn_addresses() {
            return Ok(());
        }
        let message = "access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN";
        Err(self.refuse_reg(Code::NeedsPrivilege, reg, message))
    }

    /// A pointer was moved: without `CAP_PERFMON` those to a stack or a value stay where they point to something.
    pub(super) fn check_pointer_move(&self, dst: Reg) -> Check {
        if self.options.privilege.may_learn_addresses() {
            return Ok(());
        }
        let value = *self.state.reg(dst);
        match value.kind {
            Kind::Stack { .. } => {
                let message = match value.constant_offset() {
                    None => {
                        format!("{} variable stack access prohibited for !root, var_off={value}", name(dst))
                    }
                    Some(off) if !(-512..0).contains(&off) => {
                        let what = "stack pointer arithmetic goes out of range, prohibited for !root";
                        format!("{} {what}; off={off}", name(dst))
                    }
                    Some(_) => return Ok(()),
                };
                Err(self.refuse_reg(Code::PointerArithmetic, dst, message))
            }
            Kind::MapValue(map) => {
                let request = Request {
                    reg: dst,
                    off: 0,
                    size: 1,
                    direction: Direction::Read,
                    by: By::Helper,
                    empty: false,
                };
                self.check_value_bounds(&request, map).map_err(|mut found| {
                    let what = "pointer arithmetic of map value goes out of range, prohibited for !root";
                    found.message = format!("{}\n{} {what}", found.message, name(dst));
                    found
                })
            }
            Kind::Uninit
            | Kind::Scalar
            | Kind::Context
            | Kind::Packet
            | Kind::PacketMeta
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::Memory { .. }
            | Kind::MapKey(_)
            | Kind::Socket(_)
            | Kind::Btf(_)
            | Kind::FlowKeys
            | Kind::Buffer(_)
            | Kind::Func(_)
            | Kind::Dynptr(_)
            | Kind::Arena => Ok(()),
        }
    }

    /// Whether a stack is read where the program has not written, or where a pointer lies that would be taken for
    /// a number. `from..to`: the bytes, relative to the frame's `r10`.
    pub(super) fn check_stack_written(&self, reg: Reg, frame: usize, from: i32, to: i32, by: By) -> Check {
        if self.options.privilege.may_learn_addresses() {
            return Ok(());
        }
        let stack = &self.state.frame(frame).stack;
        let size = to - from;
        for at in from..to {
            let slot = stack.slot(slot_of(at));
            let pointer = slot.is_spill() && !slot.spill.is_scalar();
            let (code, message) = match (stack.byte(at), by) {
                (Byte::Misc | Byte::Zero, _) => continue,
                (Byte::Spill, _) if !pointer => continue,
                (Byte::Spill, By::Insn) => {
                    (Code::PointerLeak, format!("leaking pointer from stack off {from}"))
                }
                (Byte::Invalid, By::Insn) => (
                    Code::UninitStack,
                    format!("invalid read from stack off {from}+{} size {size}", at - from),
                ),
                (byte, By::Helper) => {
                    let code = if byte == Byte::Spill { Code::PointerLeak } else { Code::UninitStack };
                    let off = at - from;
                    let what = "invalid indirect read from stack";
                    (code, format!("{what} {} off {from}+{off} size {size}", name(reg)))
                }
            };
            let help = match code {
                Code::UninitStack => "initialise all of it first, padding included",
                _ => "a pointer lies there, which loaders without CAP_PERFMON must not learn",
            };
            return Err(Box::new(self.refuse_reg(code, reg, message).help(help)));
        }
        Ok(())
    }

    /// Whether a store to a stack leaves a spilled pointer as a part of it, or may or may not write what was not
    /// written before.
    pub(super) fn check_stack_store(&self, reg: Reg, extent: &Extent, size: u32) -> Check {
        if self.options.privilege.may_learn_addresses() {
            return Ok(());
        }
        let stack = &self.state.frame(extent.frame).stack;
        if let Some(off) = extent.exact() {
            let slot = stack.slot(slot_of(off));
            if size != 8 && slot.is_spill() && !slot.spill.is_scalar() {
                let message = "attempt to corrupt spilled pointer on stack";
                return Err(self.refuse_reg(Code::PartialSpill, reg, message));
            }
            return Ok(());
        }
        let end = extent.max.saturating_add(size.cast_signed());
        for at in extent.min..end {
            let byte = stack.byte(at);
            if matches!(byte, Byte::Misc | Byte::Zero) {
                continue;
            }
            let (insn, code) = (self.at, Code::PartialSpill);
            let message =
                format!("spilled ptr in range of var-offset stack write; insn {insn}, ptr off: {at}");
            return Err(self.refuse_reg(code, reg, message));
        }
        Ok(())
    }

    /// Whether a field of the context is for loaders with `CAP_BPF` only: of filters of cgroups' packets, the packet
    /// itself, and to write its time.
    pub(super) fn is_privileged_field(&self, off: u32, direction: Direction) -> bool {
        const DATA: std::ops::Range<u32> = 76..84;
        const TSTAMP: std::ops::Range<u32> = 152..160;
        let secret = DATA.contains(&off) || (TSTAMP.contains(&off) && direction == Direction::Write);
        self.kind == ProgramKind::CgroupSkb && secret && !self.options.privilege.may_use_bpf()
    }
}
