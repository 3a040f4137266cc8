//! Calls of helpers: each argument against what the helper table demands, then what the call leaves.

use brolga_abi::helpers::HelperInfo;
use brolga_abi::kinds::PROGRAM_KINDS;
use brolga_abi::{Arg, HelperId, MapKind, Ret};

use crate::diag::Code;
use crate::isa::Reg;
use crate::program::MapId;
use crate::verify::check::{By, Direction, Request};
use crate::verify::explore::{Check, Explorer, Next};
use crate::verify::obligations::RegSet;
use crate::verify::refusal::name;
use crate::verify::stack::{Byte, slot_of};
use crate::verify::transfer::MAX_OFFSET;
use crate::verify::value::{Buffer, Kind, Value};

/// What the arguments told of a call so far.
#[derive(Debug, Default)]
struct Call {
    map: Option<MapId>,
    /// The key, where it is known: it decides whether a lookup in an array can fail.
    key: Option<u64>,
    /// Memory that the helper fills: register, size.
    fills: Option<(Reg, u32)>,
}

/// The greatest number of a helper that Linux 6.18 has (`__BPF_FUNC_MAX_ID - 1`).
const LAST_HELPER: u32 = 211;

impl Explorer<'_> {
    /// `call` of a helper.
    pub(super) fn helper(&mut self, number: u32) -> Check<Next> {
        let Some(id) = HelperId::from_number(number) else {
            if let Some(poisoned) = self.program.poisoned(self.at) {
                return Err(Box::new(poisoned));
            }
            if number == 0 || number > LAST_HELPER {
                return Err(self.refuse(Code::UnknownHelper, format!("invalid func unknown#{number}")));
            }
            return Err(
                self.refuse(Code::UnsupportedHelper, format!("helper number {number}: not supported yet"))
            );
        };
        let info = id.info();
        if !id.allowed_in(self.kind) {
            let kind = self.kind.info().name;
            let message = format!("program of this type cannot use helper {}#{number} ({kind})", info.name);
            let kinds = PROGRAM_KINDS.iter().filter(|info| id.allowed_in(info.kind));
            let names = kinds.map(|info| info.name).collect::<Vec<_>>().join(", ");
            let help = format!("the helper is for programs of the kind {names}");
            return Err(Box::new(self.refuse(Code::HelperNotAllowed, message).help(help)));
        }
        if info.gpl_only && !self.program.gpl_compatible {
            let message = "cannot call GPL-restricted function from non-GPL compatible program";
            let help = "declare the licence, if it is one: `char LICENSE[] SEC(\"license\") = \"GPL\";`";
            return Err(Box::new(self.refuse(Code::GplOnlyHelper, message).help(help)));
        }
        let mut call = Call::default();
        for (index, reg) in RegSet::args(info.args.len()).iter().enumerate() {
            if info.args[index] != Arg::Unchecked {
                self.check_initialised(RegSet::of(reg))?;
            }
            self.argument(info, index, reg, &mut call)?;
        }
        self.check_map_helper(id, &call)?;
        if let Some(map) = call.map {
            self.facts.map(self.at, map);
        }
        if let Some((reg, size)) = call.fills {
            self.fill(reg, size);
        }
        let result = self.result(info, &call)?;
        self.destroy_caller_saved();
        if let Some(value) = result {
            self.set(Reg::R0, value);
        }
        // Linux counts a tail call among them: the other program may move the packet.
        if info.moves_packet || id == HelperId::TailCall {
            self.forget_packet();
        }
        if id == HelperId::TailCall { self.tail_call() } else { Ok(Next::Fall) }
    }

    fn result(&mut self, info: &HelperInfo, call: &Call) -> Check<Option<Value>> {
        match info.ret {
            Ret::Integer => Ok(Some(Value::UNKNOWN)),
            Ret::Void => Ok(None),
            Ret::MapValue
            | Ret::SocketOrNull
            | Ret::SockCommonOrNull
            | Ret::TcpSockOrNull
            | Ret::RingbufMemOrNull
            | Ret::DynptrMemOrNull
            | Ret::Btf(_)
            | Ret::BtfOrNull(_)
            | Ret::KptrOrNull
            | Ret::MemOrBtf
            | Ret::MemOrBtfOrNull => Err(self.unsupported(&format!("result {:?}", info.ret))),
            Ret::MapValueOrNull => {
                let Some(map) = call.map else {
                    return Err(self.refuse(Code::ArgumentType, format!("{} needs a map", info.name)));
                };
                let def = &self.program.maps[map.index()];
                let array = matches!(def.kind.known(), Some(MapKind::Array | MapKind::PerCpuArray));
                let exists = array && call.key.is_some_and(|key| key < u64::from(def.max_entries));
                let id = if exists { 0 } else { self.new_id() };
                Ok(Some(Value { nullable: !exists, id, ..Value::pointer(Kind::MapValue(map)) }))
            }
        }
    }

    fn argument(&mut self, info: &HelperInfo, index: usize, reg: Reg, call: &mut Call) -> Check {
        let value = *self.state.reg(reg);
        let arg = info.args[index];
        if matches!(arg, Arg::Anything | Arg::Unchecked) {
            return Ok(());
        }
        if value.is_packet() && !info.packet_args && arg != Arg::Context {
            return Err(self.refuse_reg(
                Code::ArgumentType,
                reg,
                "helper access to the packet is not allowed",
            ));
        }
        match arg {
            Arg::Anything | Arg::Unchecked => Ok(()),
            Arg::Context => {
                self.expect(reg, value.kind == Kind::Context, "ctx")?;
                self.check_unmodified(reg, &value)
            }
            Arg::Map => {
                let Kind::Map(map) = value.kind else { return self.expect(reg, false, "map_ptr") };
                self.check_unmodified(reg, &value)?;
                call.map = Some(map);
                Ok(())
            }
            Arg::MapKey => {
                let size = self.size_of(reg, call, "key")?.0;
                self.element(reg, size, "key")?;
                call.key = self.constant_key(reg, size, call);
                Ok(())
            }
            Arg::MapValue => {
                let size = self.size_of(reg, call, "value")?.1;
                self.element(reg, size, "value")
            }
            // Judged together with the length that follows.
            Arg::ReadMem | Arg::WriteMem => self.expect_memory(reg, &value),
            Arg::ReadMemOrNull if value.is_null() => {
                self.mark_precise(reg);
                Ok(())
            }
            Arg::ReadMemOrNull => self.expect_memory(reg, &Value { nullable: false, ..value }),
            Arg::Size => self.length(info, index, reg, false, call),
            Arg::SizeOrZero => self.length(info, index, reg, true, call),
            Arg::ContextOrNull
            | Arg::MapValueOrNull
            | Arg::WriteMapValue
            | Arg::WriteMemOrNull
            | Arg::UpdateMem
            | Arg::FixedMem(_)
            | Arg::WriteFixedMem(_)
            | Arg::UpdateFixedMem(_)
            | Arg::AllocSize
            | Arg::SpinLock
            | Arg::Timer
            | Arg::SockCommon
            | Arg::SocketOrNull
            | Arg::BtfSockCommon
            | Arg::BtfSockCommonOrNull
            | Arg::ReleaseSock
            | Arg::Btf(_)
            | Arg::BtfOrNull(_)
            | Arg::PercpuBtf
            | Arg::ReleaseRingbufMem
            | Arg::Func
            | Arg::StackOrNull
            | Arg::ConstStr
            | Arg::KptrDest
            | Arg::ReleaseKptrOrNull
            | Arg::Dynptr
            | Arg::WriteLocalDynptr
            | Arg::WriteRingbufDynptr
            | Arg::ReleaseRingbufDynptr => Err(self.unsupported(&format!("argument {arg:?}"))),
        }
    }

    /// Key and value size of the call's map.
    fn size_of(&self, reg: Reg, call: &Call, what: &str) -> Check<(u32, u32)> {
        match call.map.and_then(|map| self.program.maps.get(map.index())) {
            Some(map) => Ok((map.key_size, map.value_size)),
            None => {
                let message = format!("invalid map_ptr to access map->{what}");
                Err(self.refuse_reg(Code::ArgumentType, reg, message))
            }
        }
    }

    fn expect(&self, reg: Reg, right: bool, expected: &str) -> Check {
        if right {
            return Ok(());
        }
        let found = self.state.reg(reg).kind_name();
        let message = format!("{} type={found} expected={expected}", name(reg));
        let code = match self.state.reg(reg) {
            value if value.nullable && matches!(value.kind, Kind::MapValue(_)) => Code::NullMapValue,
            _ => Code::ArgumentType,
        };
        Err(self.refuse_reg(code, reg, message))
    }

    fn expect_memory(&self, reg: Reg, value: &Value) -> Check {
        let right = match value.kind {
            Kind::Stack { .. }
            | Kind::Packet
            | Kind::PacketMeta
            | Kind::MapValue(_)
            | Kind::MapKey(_)
            | Kind::Memory { .. }
            | Kind::Buffer(Buffer::Iterator) => !value.nullable,
            Kind::Uninit
            | Kind::Scalar
            | Kind::Context
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::Socket(_)
            | Kind::Btf(_)
            | Kind::FlowKeys
            | Kind::Buffer(Buffer::Tracepoint)
            | Kind::Func(_)
            | Kind::Dynptr(_)
            | Kind::Arena => false,
        };
        self.expect(reg, right, "fp, pkt, pkt_meta, map_key, map_value, mem")
    }

    /// A key or a value of the call's map, which the helper reads whole.
    fn element(&mut self, reg: Reg, size: u32, what: &str) -> Check {
        self.handed(reg, size, Direction::Read, false).map_err(|found| {
            let bounds = matches!(found.code, Code::StackBounds | Code::MapValueBounds | Code::MemoryBounds);
            if !bounds {
                return found;
            }
            Box::new(found.help(format!("the map's {what} has {size} bytes, and all of them are read")))
        })
    }

    fn handed(&mut self, reg: Reg, size: u32, direction: Direction, empty: bool) -> Check {
        let value = *self.state.reg(reg);
        self.expect_memory(reg, &value)?;
        let request = Request { reg, off: 0, size, direction, by: By::Helper, empty };
        self.check_handed_memory(&request, direction == Direction::Write)
    }

    /// Memory that is handed to a helper or a global function. `unknown`: it is not known afterwards.
    pub(super) fn check_handed_memory(&mut self, request: &Request, unknown: bool) -> Check {
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
            Kind::Stack { frame } => {
                if request.size == 0 && !request.empty {
                    return Err(self.refuse_reg(Code::ArgumentSize, request.reg, "invalid zero-sized read"));
                }
                let extent = self.check_stack(request, frame)?;
                if unknown {
                    self.clobber_stack(&extent, request.size);
                }
                Ok(())
            }
            Kind::MapKey(map) => self.check_map_key(request, map).map(|_| ()),
            Kind::Buffer(Buffer::Iterator) => self.check_buffer(request).map(|_| ()),
            Kind::Uninit
            | Kind::Scalar
            | Kind::Context
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::Socket(_)
            | Kind::Btf(_)
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
        let direction = match index.checked_sub(1).map(|i| info.args[i]) {
            Some(Arg::WriteMem) => Direction::Write,
            _ => Direction::Read,
        };
        let known = value.num.as_constant().is_some();
        let pointer = *self.state.reg(memory);
        if pointer.is_scalar() {
            // Null was let through, for lengths of zero only.
            self.expect(memory, size == 0 && empty && pointer.is_null(), "fp")?;
        } else {
            let request = Request { reg: memory, off: 0, size, direction, by: By::Helper, empty };
            // Filled for certain, it need not be looked at now; else it may keep what it holds.
            let fills = known && direction == Direction::Write && pointer.constant_offset().is_some();
            self.expect_memory(memory, &pointer)?;
            self.check_handed_memory(&request, direction == Direction::Write && !fills)?;
            if fills {
                call.fills = Some((memory, size));
            }
        }
        self.mark_precise(reg);
        Ok(())
    }

    /// The helper fills memory of a known size.
    fn fill(&mut self, reg: Reg, size: u32) {
        let value = *self.state.reg(reg);
        if let (Kind::Stack { frame }, Some(off)) = (value.kind, value.constant_offset())
            && let Ok(off) = i32::try_from(off)
        {
            let extent = crate::verify::check::Extent { frame: frame.into(), min: off, max: off };
            self.clobber_stack(&extent, size);
        }
    }

    /// The key of a lookup in an array, where it lies on the stack and is known.
    fn constant_key(&mut self, reg: Reg, size: u32, call: &Call) -> Option<u64> {
        let def = &self.program.maps[call.map?.index()];
        if !matches!(def.kind.known(), Some(MapKind::Array | MapKind::PerCpuArray)) {
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
        Some(if size == 4 { key & 0xffff_ffff } else { key })
    }

    fn check_map_helper(&self, id: HelperId, call: &Call) -> Check {
        let Some(map) = call.map else { return Ok(()) };
        let def = &self.program.maps[map.index()];
        let Some(kind) = def.kind.known() else {
            let message = format!("map `{}` is of kind {}, which is not supported yet", def.name, def.kind);
            return Err(self.refuse(Code::UnsupportedMapKind, message));
        };
        let fits = match id {
            HelperId::TailCall => kind == MapKind::ProgArray,
            HelperId::MapLookupElem | HelperId::MapUpdateElem | HelperId::MapDeleteElem => {
                kind.info().element_access
            }
            HelperId::KtimeGetNs
            | HelperId::TracePrintk
            | HelperId::GetPrandomU32
            | HelperId::GetSmpProcessorId
            | HelperId::Redirect
            | HelperId::CsumDiff
            | HelperId::XdpAdjustHead
            | HelperId::XdpAdjustMeta
            | HelperId::XdpAdjustTail
            | HelperId::XdpLoadBytes
            | HelperId::XdpStoreBytes
            | HelperId::SkbLoadBytes => true,
        };
        if fits {
            return self.check_map_flags(id, map);
        }
        let number = kind.info().number;
        let message =
            format!("cannot pass map_type {number} into func {}#{}", id.info().name, id.info().number);
        Err(self.refuse(Code::MapHelper, message))
    }

    /// Maps that programs may only read are not written by helpers either.
    fn check_map_flags(&self, id: HelperId, map: MapId) -> Check {
        use brolga_abi::maps::F_RDONLY_PROG;
        let def = &self.program.maps[map.index()];
        let frozen = def.global.as_ref().is_some_and(|g| g.readonly);
        let writes = matches!(id, HelperId::MapUpdateElem | HelperId::MapDeleteElem);
        if writes && (def.flags & F_RDONLY_PROG != 0 || frozen) {
            return Err(self.refuse(Code::ReadOnlyMap, "write into map forbidden"));
        }
        Ok(())
    }
}
