//! Whether memory may be accessed: proven, or a diagnostic.
//!
//! One function a kind of memory. Each says what region an access touches, or refuses it. A region is
//! what facts record; what a load yields or a store leaves behind is said elsewhere.

use brolga_abi::context::{self, Field, FieldValue};
use brolga_abi::maps::{F_RDONLY_PROG, F_WRONLY_PROG};

use super::Alignment;
use super::explore::{Check, Explorer};
use super::facts::{Access, Foreign, Span};
use super::refusal::{name, packet_help};
use super::scalar::Tnum;
use super::transfer::MAX_OFFSET;
use super::value::{Buffer, Flags, Kind, MemoryOwner, Socket, Value};
use crate::diag::Code;
use crate::isa::{Insn, Reg};
use crate::program::MapId;

/// In which direction memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Read.
    Read,
    /// Write.
    Write,
}

/// Who accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A load, store or atomic of the program.
    Insn,
    /// A helper that was handed the pointer.
    Helper,
}

/// An access through a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The register that holds the pointer.
    pub reg: Reg,
    /// What is added to it.
    pub off: i32,
    /// Bytes.
    pub size: u32,
    /// Read or write.
    pub direction: Direction,
    /// Program or helper.
    pub by: By,
    /// Whether the access may be of 0 bytes.
    pub empty: bool,
}

/// Bytes of a stack frame that an access may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The frame.
    pub frame: usize,
    /// Offset from its `r10` of the lowest first byte.
    pub min: i32,
    /// Offset of the highest first byte.
    pub max: i32,
}

impl Extent {
    /// The offset of the first byte, where there is one only.
    pub fn exact(&self) -> Option<i32> {
        (self.min == self.max).then_some(self.min)
    }
}

impl Explorer<'_> {
    /// Stack accesses are always aligned; atomics are wherever they go.
    pub(super) fn check_alignment(&self, request: &Request, strict: bool) -> Check {
        let value = self.state.reg(request.reg);
        let strict = strict || self.options.alignment == Alignment::Strict;
        // Packets begin two bytes after a multiple of four, so that what follows the Ethernet header is aligned.
        let packet = if value.is_packet() { 2 } else { 0 };
        let (what, strict) = match value.kind {
            Kind::Stack { .. } => ("stack ", true),
            Kind::Context => ("context ", strict),
            Kind::MapValue(_) => ("value ", strict),
            Kind::Packet | Kind::PacketMeta => ("packet ", strict),
            Kind::FlowKeys => ("flow keys ", strict),
            Kind::MapKey(_) => ("key ", strict),
            Kind::Socket(Socket::Full) => ("sock ", strict),
            Kind::Socket(Socket::Common) => ("sock_common ", strict),
            Kind::Socket(Socket::Tcp) => ("tcp_sock ", strict),
            Kind::Socket(Socket::Xdp) => ("xdp_sock ", strict),
            Kind::Arena => return Ok(()),
            Kind::Uninit
            | Kind::Scalar
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::Memory { .. }
            | Kind::Btf(_)
            | Kind::Buffer(_)
            | Kind::Func(_)
            | Kind::Dynptr(_) => ("", strict),
        };
        if !strict || request.size == 1 {
            return Ok(());
        }
        let fixed = i64::from(value.off) + i64::from(request.off) + packet;
        let sum = value.num.bits().add(Tnum::constant(fixed.cast_unsigned()));
        if sum.is_aligned(request.size.into()) {
            return Ok(());
        }
        let message = format!("misaligned {what}access off {value}{:+} size {}", request.off, request.size);
        Err(self.refuse_reg(Code::MisalignedAccess, request.reg, message))
    }

    /// Bounds of a pointer with a variable offset into memory of a known size. Gives the smallest offset.
    fn check_sized(&self, request: &Request, code: Code, limit: u32, what: &str) -> Check {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        let off = i64::from(value.off) + i64::from(request.off);
        let (smin, umax) = (value.num.smin(), value.num.umax());
        if smin < 0 && (smin == i64::MIN || i32::try_from(off + smin).is_err() || smin + off < 0) {
            return Err(self.refuse_negative(reg));
        }
        self.check_within(request, smin.saturating_add(off), code, limit, what).map_err(|d| {
            suffix(d, format!("{} min value is outside of the allowed memory range", name(reg)))
        })?;
        if umax >= MAX_OFFSET.unsigned_abs() {
            let message =
                format!("{} unbounded memory access, make sure to bounds check any such access", name(reg));
            return Err(Box::new(self.refuse_reg(Code::UnboundedAccess, reg, message).help(
                "first compare the index with the number of elements, and use it only where it is less",
            )));
        }
        let umax = i64::try_from(umax).unwrap_or(i64::MAX);
        self.check_within(request, umax.saturating_add(off), code, limit, what)
            .map_err(|d| suffix(d, format!("{} max value is outside of the allowed memory range", name(reg))))
    }

    fn check_within(&self, request: &Request, off: i64, code: Code, limit: u32, what: &str) -> Check {
        let size = request.size;
        let size_ok = size > 0 || request.empty;
        if off >= 0 && size_ok && off.saturating_add(size.into()) <= limit.into() {
            return Ok(());
        }
        let message = format!("invalid access to {what}={limit} off={off} size={size}");
        let end = off.saturating_add(size.into());
        Err(Box::new(self.refuse_reg(code, request.reg, message).help(format!(
            "there are {limit} bytes, and the access may reach from {off} to {end}: access less, check the index \
             first, or make the type larger"
        ))))
    }

    fn refuse_negative(&self, reg: Reg) -> Box<crate::diag::Diagnostic> {
        let message = format!(
            "{} min value is negative, either use unsigned index or do a if (index >=0) check.",
            name(reg)
        );
        self.refuse_reg(Code::NegativeOffset, reg, message)
    }

    /// An access to a value of a map.
    pub(super) fn check_map_value(&self, request: &Request, map: MapId) -> Check<Access> {
        let def = self.map(map);
        let (size, off) = (def.value_size, request.off);
        let refuse = |code, what: &str| {
            let message = format!("{what} map forbidden, value_size={size} off={off} size={}", request.size);
            Err(self.refuse_reg(code, request.reg, message))
        };
        let frozen = def.global.as_ref().is_some_and(|g| g.readonly)
            || def.kind.linux().is_some_and(|kind| kind.read_only);
        match request.direction {
            Direction::Write if def.flags & F_RDONLY_PROG != 0 || frozen => {
                return refuse(Code::ReadOnlyMap, "write into");
            }
            Direction::Read if def.flags & F_WRONLY_PROG != 0 => {
                return refuse(Code::WriteOnlyMap, "read from");
            }
            Direction::Read | Direction::Write => {}
        }
        self.check_value_bounds(request, map)?;
        let value = self.state.reg(request.reg);
        let off = value.constant_offset().map(|o| o + i64::from(request.off));
        let map = (!Self::is_inner(map)).then_some(map);
        Ok(Access::MapValue { map, off: off.and_then(|o| u32::try_from(o).ok()) })
    }

    /// Where a value of a map begins and ends, and what in it is not for programs.
    pub(super) fn check_value_bounds(&self, request: &Request, map: MapId) -> Check {
        let size = self.map(map).value_size;
        self.check_sized(request, Code::MapValueBounds, size, "map value, value_size")?;
        self.check_fields(request, map).map(|_| ())
    }

    /// An access to memory of a known size.
    pub(super) fn check_memory(&self, request: &Request, size: u32, owner: MemoryOwner) -> Check<Access> {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        if request.direction == Direction::Write && value.flags.has(Flags::READONLY) {
            let message = format!("{} cannot write into {}", name(reg), value.kind_name());
            return Err(self.refuse_reg(Code::InvalidMemAccess, reg, message));
        }
        // Linux reads with care through what it does not trust: no address is out of bounds.
        if value.is_untrusted_memory() && request.by == By::Insn {
            return Ok(Access::Mixed);
        }
        self.check_sized(request, Code::MemoryBounds, size, "memory, mem_size")?;
        Ok(match owner {
            MemoryOwner::RawBuffer => Access::RawMemory,
            MemoryOwner::Caller => Access::Mixed,
            MemoryOwner::Ringbuf | MemoryOwner::Dynptr | MemoryOwner::PacketSlice | MemoryOwner::Kernel => {
                Access::Mixed
            }
        })
    }

    /// An access to the packet or its metadata.
    pub(super) fn check_packet(&self, request: &Request) -> Check<Access> {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        if value.num.smin() < 0 {
            return Err(self.refuse_negative(reg));
        }
        let off = i64::from(value.off) + i64::from(request.off);
        let size = request.size;
        let size_ok = size > 0 || request.empty;
        let within = off.saturating_add(size.into()) <= value.range.into();
        if value.range >= 0 && off >= 0 && size_ok && within {
            return Ok(Access::Packet);
        }
        let message = format!(
            "invalid access to packet, off={off} size={size}, {}(id={},off={},r={})\n{} offset is outside of the \
             packet",
            name(reg),
            value.id,
            value.off,
            value.range,
            name(reg)
        );
        let diagnostic = self.refuse_reg(Code::PacketBounds, reg, message);
        Err(Box::new(diagnostic.help(packet_help(value, request.off, size))))
    }

    /// An access to the context.
    pub(super) fn check_context(&self, request: &Request) -> Check<&'static Field> {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        self.check_unmodified(reg, value)?;
        let (off, size) = (request.off, request.size);
        let invalid = || {
            let message = format!("invalid bpf_context access off={off} size={size}");
            self.refuse_reg(Code::ContextAccess, reg, message)
        };
        let at = u32::try_from(off).map_err(|_| invalid())?;
        let direction = match request.direction {
            Direction::Read => context::Direction::Read,
            Direction::Write => context::Direction::Write,
        };
        if self.is_privileged_field(at, request.direction) {
            let help = "this field needs CAP_BPF";
            return Err(Box::new(invalid().help(help)));
        }
        let info = self.kind.info().context;
        let attach = self.kind.effective_attach(self.program.attach);
        let Some(field) = info.access(direction, at, size, attach) else {
            let diagnostic = Box::new(invalid().label(self.unlike_field(request, at)));
            return Err(match info.field_at(at) {
                Some(Field { name: "egress_ifindex", .. }) => {
                    Box::new(diagnostic.help("this field exists in programs of sections `xdp/devmap` only"))
                }
                Some(_) | None => diagnostic,
            });
        };
        Ok(field)
    }

    /// Why an access to the context fits no field.
    fn unlike_field(&self, request: &Request, at: u32) -> String {
        let kind = self.kind.info().name;
        let attach = self.kind.effective_attach(self.program.attach);
        let Some(field) = self.kind.info().context.field_at(at) else {
            return format!("the context of programs of the kind {kind} has no field at offset {at}");
        };
        let allows = |direction| field.allows(direction, field.offset, field.width, attach);
        let Field { name, offset, width, .. } = field;
        match request.direction {
            Direction::Read if !allows(context::Direction::Read) => {
                format!("programs of the kind {kind} cannot read `{name}`")
            }
            Direction::Write if !allows(context::Direction::Write) && allows(context::Direction::Read) => {
                format!("programs of the kind {kind} may read `{name}`, and not write it")
            }
            Direction::Write if !allows(context::Direction::Write) => {
                format!("programs of the kind {kind} cannot write `{name}`")
            }
            Direction::Read | Direction::Write => format!(
                "bytes {at} to {} of the context are accessed: the field here, `{name}`, has {width} from {offset} on",
                at.saturating_add(request.size).saturating_sub(1)
            ),
        }
    }

    /// The context is used as it was given.
    pub(super) fn check_unmodified(&self, reg: Reg, value: &Value) -> Check {
        let kind = value.kind_name();
        if value.off < 0 {
            let message = format!("negative offset {kind} ptr {} off={} disallowed", name(reg), value.off);
            return Err(self.refuse_reg(Code::ModifiedContext, reg, message));
        }
        if value.off != 0 {
            let message =
                format!("dereference of modified {kind} ptr {} off={} disallowed", name(reg), value.off);
            return Err(self.refuse_reg(Code::ModifiedContext, reg, message));
        }
        if value.num.as_constant() != Some(0) {
            let message = format!("variable {kind} access var_off={} disallowed", value.var_off());
            return Err(self.refuse_reg(Code::ModifiedContext, reg, message));
        }
        Ok(())
    }

    /// Bounds of an access to a stack. Reading what was never written is allowed to privileged programs.
    pub(super) fn check_stack(&mut self, request: &Request, frame: u8) -> Check<Extent> {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        let (off, size) = (i64::from(value.off) + i64::from(request.off), i64::from(request.size));
        let what = match (request.by, request.direction) {
            (By::Helper, _) => " indirect access to",
            (By::Insn, Direction::Read) => " read from",
            (By::Insn, Direction::Write) => " write to",
        };
        let constant = value.num.as_constant().map(u64::cast_signed);
        let (min, max) = match constant {
            Some(var) => (var.saturating_add(off), var.saturating_add(off)),
            None => {
                let (smin, smax) = (value.num.smin(), value.num.smax());
                if smax >= MAX_OFFSET || smin <= -MAX_OFFSET {
                    let message = format!("invalid unbounded variable-offset{what} stack {}", name(reg));
                    return Err(self.refuse_reg(Code::UnboundedAccess, reg, message));
                }
                (smin + off, smax + off)
            }
        };
        if !(-512..=-1).contains(&min) || max.saturating_add(size) > 0 {
            let message = match constant {
                Some(_) => format!("invalid{what} stack {} off={min} size={size}", name(reg)),
                None => {
                    format!(
                        "invalid variable-offset{what} stack {} var_off={} off={off} size={size}",
                        name(reg),
                        value.var_off()
                    )
                }
            };
            return Err(self.refuse_reg(Code::StackBounds, reg, message));
        }
        let small = |x: i64| i32::try_from(x).expect("between -512 and 0");
        let extent = Extent { frame: frame.into(), min: small(min), max: small(max) };
        let subprog = self.state.frame(extent.frame).subprog;
        self.facts.stack_depth(subprog, extent.min.unsigned_abs().next_multiple_of(8));
        Ok(extent)
    }

    /// Records what the current instruction accesses.
    pub(super) fn record(&mut self, access: Access) -> Check {
        self.record_of(access, None)
    }

    /// The same, of memory that perhaps only a kernel has.
    pub(super) fn record_of(&mut self, access: Access, kind: Option<Kind>) -> Check {
        self.facts.span(self.at, self.span());
        if self.facts.access(self.at, access, kind.and_then(foreign)) {
            return Ok(());
        }
        Err(self.refuse(Code::MixedPointers, "same insn cannot be used with different pointers"))
    }

    /// Where in its region the current instruction's access begins.
    fn span(&self) -> Option<Span> {
        let (Insn::Load { base, off, .. }
        | Insn::Store { base, off, .. }
        | Insn::Atomic { base, off, .. }
        | Insn::LoadAcquire { base, off, .. }
        | Insn::StoreRelease { base, off, .. }) = self.program.insns[self.at.index()]
        else {
            return None;
        };
        let value = self.state.reg(base);
        match value.kind {
            Kind::Stack { .. }
            | Kind::Context
            | Kind::Packet
            | Kind::MapValue(_)
            | Kind::Memory { owner: MemoryOwner::RawBuffer, .. } => {}
            Kind::Uninit
            | Kind::Scalar
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
            | Kind::Arena => return None,
        }
        let fixed = i64::from(value.off) + i64::from(off);
        let end = |bound: i64| bound.checked_add(fixed).and_then(|end| i32::try_from(end).ok());
        let (min, max) = (end(value.num.smin())?, end(value.num.smax())?);
        let bits = value.num.bits();
        // Below the lowest bit that is not known, the sum's bits are known.
        let unknown = bits.mask().trailing_zeros();
        let known = bits.value().wrapping_add(fixed.cast_unsigned()).trailing_zeros();
        let align = u8::try_from(unknown.min(known)).unwrap_or(0);
        Some(Span { min, max, align })
    }

    /// The access that a stack extent is.
    pub(super) fn stack_access(&self, extent: &Extent) -> Access {
        if extent.frame == self.state.depth() {
            Access::OwnStack { off: extent.exact() }
        } else {
            Access::CallerStack
        }
    }

    /// The pointer that a load of a context field yields; `None` for a number.
    pub(super) fn field_value(
        &mut self,
        field: &Field,
        request: &Request,
        signed: bool,
    ) -> Check<Option<Value>> {
        let mut or_null = |kind| Value { nullable: true, id: self.new_id(), ..Value::pointer(kind) };
        let value = match field.yields_at(u32::try_from(request.off).unwrap_or(field.offset)) {
            FieldValue::Scalar => return Ok(None),
            FieldValue::Packet => Value::pointer(Kind::Packet),
            FieldValue::PacketEnd => Value::pointer(Kind::PacketEnd),
            FieldValue::PacketMeta => Value::pointer(Kind::PacketMeta),
            FieldValue::Socket => Value::pointer(Kind::Socket(Socket::Full)),
            FieldValue::SocketOrNull => or_null(Kind::Socket(Socket::Full)),
            FieldValue::SockCommonOrNull => or_null(Kind::Socket(Socket::Common)),
            FieldValue::FlowKeys => Value::pointer(Kind::FlowKeys),
            FieldValue::TracepointBuffer => Value::pointer(Kind::Buffer(Buffer::Tracepoint)),
            FieldValue::Btf(name) => {
                Value { flags: Flags::TRUSTED, ..Value::pointer(self.kernel_structure(name)?) }
            }
        };
        if signed {
            let message = format!("invalid bpf_context access off={} size={}", request.off, request.size);
            return Err(self.refuse_reg(Code::ContextAccess, request.reg, message));
        }
        Ok(Some(value))
    }

    /// A value that is no pointer to memory.
    pub(super) fn refuse_access(&self, reg: Reg) -> Box<crate::diag::Diagnostic> {
        let value = self.state.reg(reg);
        let message = format!("{} invalid mem access '{}'", name(reg), value.kind_name());
        match value.kind {
            Kind::MapValue(_) if value.nullable => {
                let diagnostic = self.refuse_reg(Code::NullMapValue, reg, message);
                Box::new(diagnostic.help("compare the pointer with null, and use it only where it is not"))
            }
            Kind::Uninit | Kind::Scalar if !value.nullable && self.moved_packet(value) => {
                let diagnostic = self.refuse_reg(Code::InvalidMemAccess, reg, message);
                Box::new(diagnostic.help(
                    "this call may move the packet, and pointers to it are lost: after it, read `data` and \
                     `data_end` from the context and compare them again",
                ))
            }
            Kind::Scalar if !value.nullable && self.lost_object(value).is_some() => {
                let diagnostic = self.refuse_reg(Code::InvalidMemAccess, reg, message);
                Box::new(diagnostic.help(self.lost_object(value).unwrap_or_default()))
            }
            _ if value.nullable => {
                let diagnostic = self.refuse_reg(Code::NullPointer, reg, message);
                Box::new(diagnostic.help("compare the pointer with null, and use it only where it is not"))
            }
            _ => self.refuse_reg(Code::InvalidMemAccess, reg, message),
        }
    }

    /// An access to a key of a map.
    pub(super) fn check_map_key(&self, request: &Request, map: MapId) -> Check<Access> {
        if request.direction == Direction::Write {
            let message =
                "write to change key R".to_owned() + &format!("{} not allowed", request.reg.number());
            return Err(self.refuse_reg(Code::InvalidMemAccess, request.reg, message));
        }
        let size = self.map(map).key_size;
        self.check_sized(request, Code::MemoryBounds, size, "map key, key_size")?;
        Ok(Access::Mixed)
    }
}

/// What only a kernel has of a kind of memory.
const fn foreign(kind: Kind) -> Option<Foreign> {
    match kind {
        Kind::Uninit
        | Kind::Scalar
        | Kind::Context
        | Kind::Stack { .. }
        | Kind::Packet
        | Kind::PacketMeta
        | Kind::PacketEnd
        | Kind::MapValue(_)
        | Kind::Memory { owner: MemoryOwner::RawBuffer | MemoryOwner::Caller, .. }
        | Kind::Func(_)
        | Kind::Dynptr(_) => None,
        Kind::Socket(_) => Some(Foreign::Socket),
        Kind::Btf(_) | Kind::Map(_) => Some(Foreign::Structure),
        Kind::Arena => Some(Foreign::Arena),
        Kind::Memory {
            owner: MemoryOwner::Ringbuf | MemoryOwner::Dynptr | MemoryOwner::PacketSlice | MemoryOwner::Kernel,
            ..
        }
        | Kind::MapKey(_)
        | Kind::FlowKeys
        | Kind::Buffer(_) => Some(Foreign::Memory),
    }
}

/// Adds the kernel's second line.
fn suffix(mut diagnostic: Box<crate::diag::Diagnostic>, line: String) -> Box<crate::diag::Diagnostic> {
    diagnostic.message.push('\n');
    diagnostic.message.push_str(&line);
    diagnostic
}
