//! Arguments of helpers: each register against what the helper table demands.
//!
//! What an argument tells of the call (its map, its length, what it releases) is collected in a [`Call`]; nothing is
//! changed but memory that a helper may write.

use brolga_abi::helpers::HelperInfo;
use brolga_abi::maps::F_RDONLY_PROG;
use brolga_abi::{Arg, HelperId, MapKind};

use super::compat::kind;
use crate::diag::Code;
use crate::isa::Reg;
use crate::program::{MapId, SubprogId};
use crate::verify::check::{By, Direction, Extent, Request};
use crate::verify::explore::{Check, Explorer};
use crate::verify::fields::{PointerTag, Special};
use crate::verify::locks::Locking;
use crate::verify::refusal::name;
use crate::verify::scalar::low;
use crate::verify::stack::{Byte, slot_of};
use crate::verify::structures::holds;
use crate::verify::transfer::MAX_OFFSET;
use crate::verify::value::{BtfPointer, Buffer, Dynptr, Flags, Kind, MemoryOwner, Socket, Value};

/// What becomes of memory that is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verify) enum Handed {
    /// It is read.
    Read,
    /// It may be read, and may be changed.
    Changed,
    /// All of it is written, and nothing read; whoever hands it over says what it holds then.
    Filled,
}

impl Handed {
    /// What becomes of memory that may be accessed in a direction.
    pub const fn of(direction: Direction) -> Self {
        match direction {
            Direction::Read => Self::Read,
            Direction::Write => Self::Changed,
        }
    }
}

/// What the arguments told of a call so far.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// The map that it works on.
    pub map: Option<MapId>,
    /// The map in whose value the timer lies that it works on.
    pub timer_map: Option<MapId>,
    /// The key, where it is known: it decides whether a lookup in an array can fail.
    pub key: Option<u64>,
    /// Memory that the helper fills: register, size.
    pub fills: Option<(Reg, u32)>,
    /// The reference to which an argument belongs.
    pub ref_id: u32,
    /// The argument that is given back.
    pub releases: Option<Reg>,
    /// How many bytes the result has.
    pub alloc_size: u32,
    /// What the field points to whose content is exchanged.
    pub kptr: Option<(BtfPointer, PointerTag)>,
    /// Most bytes of memory that were handed over.
    pub max_size: u32,
    /// The dynptr that it reads: what it refers to, its id, its reference.
    pub dynptr: Option<(Dynptr, u32, u32)>,
    /// The per-CPU variable that it is about.
    pub percpu: Option<Value>,
    /// The function that it calls back.
    pub callback: Option<SubprogId>,
}

impl Explorer<'_> {
    pub(super) fn argument(&mut self, info: &HelperInfo, index: usize, reg: Reg, call: &mut Call) -> Check {
        let arg = self.argument_for_map(info.args[index], call);
        match arg {
            Arg::Anything => return self.check_leak(reg, "leaks addr into helper function"),
            Arg::Unchecked => return Ok(()),
            _ => {}
        }
        let value = *self.state.reg(reg);
        if value.is_packet() && !info.packet_args && arg != Arg::Context {
            let message = "helper access to the packet is not allowed";
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        if value.is_null() && may_be_null(arg) {
            self.mark_precise(reg);
            if releases(arg) {
                call.releases = Some(reg);
            }
            return Ok(());
        }
        if !matches!(arg, Arg::Size | Arg::SizeOrZero) {
            self.check_type(info, arg, reg, &value)?;
            self.check_offset(arg, reg, &value)?;
        }
        if releases(arg) {
            if value.ref_id == 0 {
                let message = format!("{} must be referenced when passed to release function", name(reg));
                return Err(self.refuse_reg(Code::Reference, reg, message));
            }
            call.releases = Some(reg);
        }
        if value.ref_id != 0 && arg != Arg::KptrDest {
            call.ref_id = value.ref_id;
        }
        self.argument_of_type(info, index, arg, reg, &value, call)
    }

    /// Values of maps of sockets are sockets.
    fn argument_for_map(&self, arg: Arg, call: &Call) -> Arg {
        let sockets = |map| matches!(self.map(map).kind.number(), kind::SOCKMAP | kind::SOCKHASH);
        match arg {
            Arg::MapValue if call.map.is_some_and(sockets) => Arg::BtfSockCommon,
            _ => arg,
        }
    }

    /// Judges an argument of the right type further.
    fn argument_of_type(
        &mut self,
        info: &HelperInfo,
        index: usize,
        arg: Arg,
        reg: Reg,
        value: &Value,
        call: &mut Call,
    ) -> Check {
        match arg {
            Arg::Map => {
                let Kind::Map(map) = value.kind else { return Ok(()) };
                call.map = Some(map);
                if call.timer_map.is_some_and(|timer| timer != map) {
                    let message = "timer pointer in R1 doesn't match map pointer in R2";
                    return Err(self.refuse_reg(Code::SpecialField, reg, message));
                }
                Ok(())
            }
            Arg::MapKey => {
                let size = self.size_of(reg, call, "key")?.0;
                self.element(reg, size, Direction::Read, "key")?;
                call.key = self.constant_key(reg, size, call);
                Ok(())
            }
            Arg::MapValue | Arg::MapValueOrNull => {
                let size = self.size_of(reg, call, "value")?.1;
                self.element(reg, size, Direction::Read, "value")
            }
            Arg::WriteMapValue => {
                let size = self.size_of(reg, call, "value")?.1;
                self.filled(reg, size)
            }
            Arg::FixedMem(size) => self.handed(reg, size, Direction::Read, false),
            Arg::WriteFixedMem(size) | Arg::UpdateFixedMem(size) => {
                let request =
                    Request { reg, off: 0, size, direction: Direction::Write, by: By::Helper, empty: false };
                self.check_alignment(&request, true)?;
                if matches!(arg, Arg::WriteFixedMem(_)) {
                    return self.filled(reg, size);
                }
                self.handed(reg, size, Direction::Write, false)
            }
            Arg::Size => self.length(info, index, reg, false, call),
            Arg::SizeOrZero => self.length(info, index, reg, true, call),
            Arg::AllocSize => {
                let Some(size) = value.num.as_constant() else {
                    let message = format!("{} is not a known constant'", name(reg));
                    return Err(self.refuse_reg(Code::ArgumentSize, reg, message));
                };
                self.mark_precise(reg);
                call.alloc_size = low(size);
                Ok(())
            }
            Arg::Func => {
                if let Kind::Func(subprog) = value.kind {
                    call.callback = Some(subprog);
                }
                Ok(())
            }
            Arg::ConstStr => self.check_const_str(reg, value),
            Arg::SpinLock
            | Arg::Timer
            | Arg::BtfSockCommon
            | Arg::BtfSockCommonOrNull
            | Arg::ReleaseSock
            | Arg::Btf(_)
            | Arg::BtfOrNull(_)
            | Arg::Dynptr
            | Arg::WriteLocalDynptr
            | Arg::WriteRingbufDynptr
            | Arg::ReleaseRingbufDynptr
            | Arg::PercpuBtf
            | Arg::KptrDest
            | Arg::ReleaseKptrOrNull => self.argument_of_object(info, arg, reg, value, call),
            // Their type says all, or they are judged together with the length that follows.
            Arg::Anything
            | Arg::Unchecked
            | Arg::Context
            | Arg::ContextOrNull
            | Arg::ReadMem
            | Arg::ReadMemOrNull
            | Arg::WriteMem
            | Arg::WriteMemOrNull
            | Arg::UpdateMem
            | Arg::SockCommon
            | Arg::SocketOrNull
            | Arg::ReleaseRingbufMem
            | Arg::StackOrNull => Ok(()),
        }
    }

    /// Judges an argument that is a lock, a timer, a structure, a dynptr or a field further.
    fn argument_of_object(
        &mut self,
        info: &HelperInfo,
        arg: Arg,
        reg: Reg,
        value: &Value,
        call: &mut Call,
    ) -> Check {
        match arg {
            Arg::SpinLock => {
                let locking = match info.number {
                    SPIN_LOCK => Locking::Take,
                    _ => Locking::GiveBack,
                };
                self.spin_lock(reg, locking)
            }
            Arg::Timer => {
                if let Kind::MapValue(map) = value.kind {
                    call.timer_map = Some(map);
                }
                self.check_field(reg, value, Special::Timer).map(|_| ())
            }
            Arg::BtfSockCommon | Arg::BtfSockCommonOrNull | Arg::ReleaseSock => {
                self.check_structure_argument(reg, value, "sock_common")
            }
            Arg::Btf(name) | Arg::BtfOrNull(name) => self.check_structure_argument(reg, value, name),
            Arg::Dynptr => {
                call.dynptr = Some(self.dynptr_argument(reg)?);
                Ok(())
            }
            Arg::WriteLocalDynptr => {
                let memory = self.state.reg(Reg::R1);
                if !matches!(memory.kind, Kind::MapValue(_)) {
                    let kind = memory.kind_name();
                    let message = format!("Unsupported reg type {kind} for bpf_dynptr_from_mem data");
                    return Err(self.refuse_reg(Code::Dynptr, Reg::R1, message));
                }
                self.make_dynptr(reg, Dynptr::Local, 0)
            }
            Arg::WriteRingbufDynptr => {
                let id = self.acquire();
                self.make_dynptr(reg, Dynptr::Ringbuf, id)
            }
            Arg::ReleaseRingbufDynptr => self.release_dynptr(reg),
            Arg::PercpuBtf => {
                call.percpu = Some(*value);
                Ok(())
            }
            Arg::KptrDest => {
                call.kptr = Some(self.kptr_destination(reg, value)?);
                Ok(())
            }
            Arg::ReleaseKptrOrNull if call.kptr.is_some() => match call.kptr {
                Some(_) if value.nullable => {
                    let message = format!("Possibly NULL pointer passed to helper arg{}", reg.number());
                    Err(self.refuse_reg(Code::NullPointer, reg, message))
                }
                Some(field) => self.check_kptr_source(reg, value, field),
                None => Ok(()),
            },
            Arg::ReleaseKptrOrNull => Err(self.unsupported(&format!("argument {:?} of {}", arg, info.name))),
            _ => Ok(()),
        }
    }

    /// Whether a register holds what an argument may be.
    fn check_type(&self, info: &HelperInfo, arg: Arg, reg: Reg, value: &Value) -> Check {
        let null_ok = !value.nullable || may_be_null(arg);
        let plain = value.flags.without(Flags::TRUSTED) == Flags::NONE;
        let (right, expected) = match arg {
            Arg::Anything | Arg::Unchecked => (true, ""),
            Arg::Context | Arg::ContextOrNull => (value.kind == Kind::Context, "ctx"),
            Arg::Map => (matches!(value.kind, Kind::Map(_)), "map_ptr"),
            Arg::MapKey
            | Arg::MapValue
            | Arg::MapValueOrNull
            | Arg::WriteMapValue
            | Arg::ReadMem
            | Arg::ReadMemOrNull
            | Arg::WriteMem
            | Arg::WriteMemOrNull
            | Arg::UpdateMem
            | Arg::FixedMem(_)
            | Arg::WriteFixedMem(_)
            | Arg::UpdateFixedMem(_) => {
                let writes_readonly = arg.writes() && value.flags.has(Flags::READONLY);
                (is_memory(value) && !writes_readonly, MEMORY)
            }
            Arg::Size | Arg::SizeOrZero | Arg::AllocSize => (value.is_scalar(), "scalar"),
            Arg::SpinLock => (matches!(value.kind, Kind::MapValue(_)) || is_object(value), "map_value, ptr_"),
            Arg::Timer | Arg::ConstStr => (matches!(value.kind, Kind::MapValue(_)), "map_value"),
            Arg::KptrDest => (matches!(value.kind, Kind::MapValue(_)) || is_object(value), "map_value, ptr_"),
            Arg::SockCommon => (matches!(value.kind, Kind::Socket(_)), SOCKETS),
            Arg::SocketOrNull => (value.kind == Kind::Socket(Socket::Full), "sock"),
            Arg::BtfSockCommon | Arg::BtfSockCommonOrNull | Arg::ReleaseSock => {
                let structure = matches!(value.kind, Kind::Btf(_)) && plain;
                (matches!(value.kind, Kind::Socket(_)) || structure, BTF_SOCKETS)
            }
            Arg::Btf(_) | Arg::BtfOrNull(_) => {
                let usable = plain || value.flags == Flags::RCU;
                (matches!(value.kind, Kind::Btf(_)) && usable, "ptr_, trusted_ptr_, rcu_ptr_")
            }
            Arg::ReleaseKptrOrNull => {
                let local = value.flags.has(Flags::ALLOC);
                let own = if local { Flags::ALLOC.with(Flags::PERCPU) } else { Flags::NONE };
                let flags = value.flags.without(own);
                let usable = matches!(flags, Flags::NONE | Flags::TRUSTED | Flags::RCU);
                (matches!(value.kind, Kind::Btf(_)) && usable, "ptr_, trusted_ptr_, rcu_ptr_")
            }
            Arg::PercpuBtf => (
                matches!(value.kind, Kind::Btf(_))
                    && value.flags.has(Flags::PERCPU)
                    && matches!(
                        value.flags.without(Flags::PERCPU),
                        Flags::NONE | Flags::RCU | Flags::TRUSTED
                    ),
                "percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_",
            ),
            Arg::ReleaseRingbufMem => {
                (matches!(value.kind, Kind::Memory { owner: MemoryOwner::Ringbuf, .. }), "ringbuf_mem")
            }
            Arg::Func => (matches!(value.kind, Kind::Func(_)), "func"),
            Arg::StackOrNull => (matches!(value.kind, Kind::Stack { .. }), "fp"),
            Arg::Dynptr | Arg::WriteLocalDynptr | Arg::WriteRingbufDynptr | Arg::ReleaseRingbufDynptr => {
                (matches!(value.kind, Kind::Stack { .. } | Kind::Dynptr(_)), "fp, dynptr_ptr")
            }
        };
        self.expect(reg, right && null_ok, expected)?;
        if arg.writes() && matches!(value.kind, Kind::Btf(_)) && expected == MEMORY {
            let message = format!(
                "{}() may write into memory pointed by {} type={}",
                info.name,
                name(reg),
                value.kind_name()
            );
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        Ok(())
    }

    /// Which offsets a pointer may have that is handed over.
    fn check_offset(&self, arg: Arg, reg: Reg, value: &Value) -> Check {
        if releases(arg) {
            if value.off != 0 {
                let message = format!(
                    "{} must have zero offset when passed to release func or trusted arg to kfunc",
                    name(reg)
                );
                return Err(self.refuse_reg(Code::Reference, reg, message));
            }
            return self.check_unmodified(reg, value);
        }
        match value.kind {
            Kind::Uninit
            | Kind::Scalar
            | Kind::Stack { .. }
            | Kind::Packet
            | Kind::PacketMeta
            | Kind::MapValue(_)
            | Kind::MapKey(_)
            | Kind::Memory { .. }
            | Kind::Buffer(_)
            | Kind::Arena => Ok(()),
            Kind::Btf(_) => {
                let unmoved = Value { off: value.off.min(0), ..*value };
                self.check_unmodified(reg, &unmoved)
            }
            Kind::Context
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::Socket(_)
            | Kind::FlowKeys
            | Kind::Func(_)
            | Kind::Dynptr(_) => self.check_unmodified(reg, value),
        }
    }

    /// A pointer to a kernel structure must be to this one, or to one that begins with it.
    pub(super) fn check_structure_argument(&self, reg: Reg, value: &Value, name: &str) -> Check {
        let Kind::Btf(pointer) = value.kind else { return Ok(()) };
        let Kind::Btf(wanted) = self.kernel_structure(name)? else { return Ok(()) };
        let off = u32::try_from(value.off).unwrap_or(u32::MAX);
        let same = pointer.types == wanted.types
            && self.types(pointer.types).is_some_and(|btf| holds(btf, pointer.ty, off, wanted.ty));
        if same {
            return Ok(());
        }
        let found = self.structure_name(pointer);
        let message =
            format!("{} is of type {found} but {name} is expected", crate::verify::refusal::name(reg));
        Err(self.refuse_reg(Code::ArgumentType, reg, message))
    }

    /// Key and value size of the call's map.
    fn size_of(&self, reg: Reg, call: &Call, what: &str) -> Check<(u32, u32)> {
        match call.map.map(|map| self.map(map)) {
            Some(map) => Ok((map.key_size, map.value_size)),
            None => {
                let message = format!("invalid map_ptr to access map->{what}");
                Err(self.refuse_reg(Code::ArgumentType, reg, message))
            }
        }
    }

    pub(in crate::verify) fn expect(&self, reg: Reg, right: bool, expected: &str) -> Check {
        if right {
            return Ok(());
        }
        let found = self.state.reg(reg).kind_name();
        let message = format!("{} type={found} expected={expected}", name(reg));
        let code = match self.state.reg(reg) {
            value if value.nullable && matches!(value.kind, Kind::MapValue(_)) => Code::NullMapValue,
            value if value.nullable => Code::NullPointer,
            _ => Code::ArgumentType,
        };
        Err(self.refuse_reg(code, reg, message))
    }

    /// A key or a value of the call's map, of which the helper reads or writes all.
    fn element(&mut self, reg: Reg, size: u32, direction: Direction, what: &str) -> Check {
        self.handed(reg, size, direction, false).map_err(|found| {
            let bounds = matches!(found.code, Code::StackBounds | Code::MapValueBounds | Code::MemoryBounds);
            if !bounds {
                return found;
            }
            Box::new(found.help(format!("the map's {what} has {size} bytes, and all of them are read")))
        })
    }

    fn handed(&mut self, reg: Reg, size: u32, direction: Direction, empty: bool) -> Check {
        let request = Request { reg, off: 0, size, direction, by: By::Helper, empty };
        self.check_handed_memory(&request, Handed::of(direction))
    }

    /// Memory of which the helper writes every byte.
    fn filled(&mut self, reg: Reg, size: u32) -> Check {
        if self.state.reg(reg).constant_offset().is_none() {
            return self.handed(reg, size, Direction::Write, false);
        }
        let request =
            Request { reg, off: 0, size, direction: Direction::Write, by: By::Helper, empty: false };
        self.check_handed_memory(&request, Handed::Filled)?;
        self.fill(reg, size)
    }

    /// Memory that is handed to a helper or a global function.
    pub(in crate::verify) fn check_handed_memory(&mut self, request: &Request, handed: Handed) -> Check {
        let value = *self.state.reg(request.reg);
        match value.kind {
            Kind::Packet | Kind::PacketMeta => {
                if request.direction == Direction::Write && !self.may_write_packet() {
                    let message = "cannot write into packet";
                    return Err(self.refuse_reg(Code::ReadOnlyPacket, request.reg, message));
                }
                self.check_packet(request).map(|_| ())
            }
            Kind::MapValue(map) => self.check_map_value(request, map).map(|_| ()),
            Kind::Memory { size, owner } => self.check_memory(request, size, owner).map(|_| ()),
            Kind::MapKey(map) => self.check_map_key(request, map).map(|_| ()),
            Kind::Buffer(Buffer::Iterator) => self.check_buffer(request).map(|_| ()),
            Kind::Stack { frame } => {
                if request.size == 0 && !request.empty {
                    return Err(self.refuse_reg(Code::ArgumentSize, request.reg, "invalid zero-sized read"));
                }
                let extent = self.check_stack(request, frame)?;
                let end = extent.max.saturating_add(i32::try_from(request.size).unwrap_or(i32::MAX));
                self.before_stack_read(request.reg, extent.frame, extent.min, end)?;
                if handed != Handed::Filled {
                    self.check_stack_written(request.reg, extent.frame, extent.min, end, By::Helper)?;
                }
                if handed == Handed::Changed {
                    self.clobber_stack(&extent, request.size);
                }
                Ok(())
            }
            Kind::Btf(_) if value.flags.has(Flags::TRUSTED) && request.direction == Direction::Write => {
                let message = format!(
                    "may write into memory pointed by {} type={}",
                    name(request.reg),
                    value.kind_name()
                );
                Err(self.refuse_reg(Code::ArgumentType, request.reg, message))
            }
            Kind::Btf(pointer) => self.check_structure(request, pointer).map(|_| ()),
            Kind::Uninit
            | Kind::Scalar
            | Kind::Context
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::Socket(_)
            | Kind::FlowKeys
            | Kind::Buffer(Buffer::Tracepoint)
            | Kind::Func(_)
            | Kind::Dynptr(_)
            | Kind::Arena => self.expect(request.reg, false, "fp"),
        }
    }

    /// The length of the memory in the register before it.
    fn length(&mut self, info: &HelperInfo, index: usize, reg: Reg, empty: bool, call: &mut Call) -> Check {
        let value = *self.state.reg(reg);
        self.expect(reg, value.is_scalar(), "scalar")?;
        let memory = Reg::new(reg.number() - 1).expect("a length follows its memory");
        let refuse = |message: String| Err(self.refuse_reg(Code::ArgumentSize, reg, message));
        let (smin, umin, umax) = (value.num.smin(), value.num.umin(), value.num.umax());
        if smin < 0 {
            let what = "min value is negative, either use unsigned or 'var &= const'";
            return refuse(format!("{} {what}", name(reg)));
        }
        if umin == 0 && !empty {
            return refuse(format!("{} invalid zero-sized read: u64=[{umin},{umax}]", name(reg)));
        }
        if umax >= MAX_OFFSET.unsigned_abs() {
            let what = "unbounded memory access, use 'var &= const' or 'if (var < const)'";
            return Err(self.refuse_reg(Code::UnboundedAccess, reg, format!("{} {what}", name(reg))));
        }
        let size = u32::try_from(umax).expect("below 2^29");
        call.max_size = size;
        let before = index.checked_sub(1).map(|i| info.args[i]);
        let direction = if before.is_some_and(Arg::writes) { Direction::Write } else { Direction::Read };
        let whole = matches!(before, Some(Arg::WriteMem | Arg::WriteMemOrNull));
        let known = value.num.as_constant().is_some();
        let pointer = *self.state.reg(memory);
        if pointer.is_scalar() {
            // Null was let through, for lengths of zero only.
            self.expect(memory, size == 0 && empty && pointer.is_null(), "fp")?;
        } else {
            let request = Request { reg: memory, off: 0, size, direction, by: By::Helper, empty };
            // Filled for certain, it need not be looked at now; else it may keep what it holds.
            let fills =
                known && whole && direction == Direction::Write && pointer.constant_offset().is_some();
            self.check_handed_memory(&request, if fills { Handed::Filled } else { Handed::of(direction) })?;
            if fills {
                call.fills = Some((memory, size));
            }
        }
        self.mark_precise(reg);
        Ok(())
    }

    /// The helper fills memory of a known size.
    pub(super) fn fill(&mut self, reg: Reg, size: u32) -> Check {
        let value = *self.state.reg(reg);
        if let (Kind::Stack { frame }, Some(off)) = (value.kind, value.constant_offset())
            && let Ok(off) = i32::try_from(off)
        {
            let extent = Extent { frame: frame.into(), min: off, max: off };
            // Linux takes it for a store of each byte.
            for at in off..off.saturating_add(size.cast_signed()) {
                self.check_stack_store(reg, &Extent { min: at, max: at, ..extent }, 1)?;
            }
            self.clobber_stack(&extent, size);
        }
        Ok(())
    }

    /// The key of a lookup in an array, where it lies on the stack and is known.
    fn constant_key(&mut self, reg: Reg, size: u32, call: &Call) -> Option<u64> {
        let def = self.map(call.map?);
        let array = matches!(def.kind.known(), Some(MapKind::Array | MapKind::PerCpuArray));
        if !array || !self.options.privilege.may_use_bpf() {
            return None;
        }
        let value = *self.state.reg(reg);
        let Kind::Stack { frame } = value.kind else { return None };
        let off = i32::try_from(value.constant_offset()?).ok()?;
        let end = off.checked_add(i32::try_from(size).ok()?)?;
        let frame = usize::from(frame);
        let stack = &self.state.frame(frame).stack;
        if (off..end).all(|at| stack.byte(at) == Byte::Zero) {
            return Some(0);
        }
        let slot = stack.slot(slot_of(off));
        if off % 8 != 0 || !slot.is_scalar_spill() || slot.spill_size() != size as usize {
            return None;
        }
        let key = slot.spill.num.as_constant()?;
        self.mark_slot_precise(frame, slot_of(off));
        // Of a register that was stored in part, Linux takes all for the key, which then is beyond any array.
        Some(key)
    }

    /// A string in a map that does not change, with a zero byte at its end.
    pub(in crate::verify) fn check_const_str(&mut self, reg: Reg, value: &Value) -> Check {
        let Kind::MapValue(map) = value.kind else { return Ok(()) };
        let def = self.map(map);
        let refuse = |message: String| Err(self.refuse_reg(Code::ArgumentType, reg, message));
        let frozen = def.global.as_ref().filter(|global| global.readonly || def.flags & F_RDONLY_PROG != 0);
        let Some(global) = frozen else {
            return refuse(format!("{} does not point to a readonly map'", name(reg)));
        };
        let Some(off) = value.constant_offset() else {
            return refuse(format!("{} is not a constant address'", name(reg)));
        };
        let off = usize::try_from(off).unwrap_or(usize::MAX);
        match global.initial.get(off..) {
            Some(tail) if tail.contains(&0) => Ok(()),
            Some(_) => refuse("string is not zero-terminated".to_owned()),
            None => refuse("invalid access to map value".to_owned()),
        }
    }

    /// Maps that programs may only read are not written by helpers either.
    pub(super) fn check_map_flags(&self, id: HelperId, map: MapId) -> Check {
        let def = self.map(map);
        let frozen = def.global.as_ref().is_some_and(|g| g.readonly);
        let writes = matches!(id, HelperId::MapUpdateElem | HelperId::MapDeleteElem);
        if writes && (def.flags & F_RDONLY_PROG != 0 || frozen) {
            return Err(self.refuse(Code::ReadOnlyMap, "write into map forbidden"));
        }
        Ok(())
    }
}

/// The number of `bpf_spin_lock`.
pub(super) const SPIN_LOCK: u32 = 93;
/// The number of `bpf_spin_unlock`.
pub(super) const SPIN_UNLOCK: u32 = 94;

const MEMORY: &str = "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_";
const SOCKETS: &str = "sock_common, sock, tcp_sock, xdp_sock";
const BTF_SOCKETS: &str = "sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_";

/// Whether an argument may be null.
const fn may_be_null(arg: Arg) -> bool {
    matches!(
        arg,
        Arg::ContextOrNull
            | Arg::MapValueOrNull
            | Arg::ReadMemOrNull
            | Arg::WriteMemOrNull
            | Arg::SocketOrNull
            | Arg::BtfSockCommonOrNull
            | Arg::BtfOrNull(_)
            | Arg::StackOrNull
            | Arg::ReleaseKptrOrNull
    )
}

/// Whether what an argument refers to is given back.
const fn releases(arg: Arg) -> bool {
    matches!(arg, Arg::ReleaseSock | Arg::ReleaseRingbufMem | Arg::ReleaseKptrOrNull)
}

/// An object that the program allocated and owns.
fn is_object(value: &Value) -> bool {
    matches!(value.kind, Kind::Btf(_)) && value.flags == Flags::ALLOC
}

/// Whether helpers take it as memory.
fn is_memory(value: &Value) -> bool {
    match value.kind {
        Kind::Memory { .. } => !value.is_untrusted_memory(),
        Kind::Stack { .. }
        | Kind::Packet
        | Kind::PacketMeta
        | Kind::MapValue(_)
        | Kind::MapKey(_)
        | Kind::Buffer(Buffer::Iterator) => true,
        Kind::Btf(_) => value.flags == Flags::TRUSTED,
        Kind::Uninit
        | Kind::Scalar
        | Kind::Context
        | Kind::PacketEnd
        | Kind::Map(_)
        | Kind::Socket(_)
        | Kind::FlowKeys
        | Kind::Buffer(Buffer::Tracepoint)
        | Kind::Func(_)
        | Kind::Dynptr(_)
        | Kind::Arena => false,
    }
}
