//! Loads and stores.
//!
//! One match over the kinds of memory serves both: a kind that can be read but not written, or the other
//! way, says so where it is listed.

use crate::diag::Code;
use crate::isa::{Endianness, Operand, Reg, Size};
use crate::program::MapId;
use crate::verify::check::{By, Direction, Extent, Request};
use crate::verify::explore::{Check, Explorer};
use crate::verify::facts::{Access, Foreign};
use crate::verify::refusal::name;
use crate::verify::scalar::Scalar;
use crate::verify::value::{Flags, Kind, Value};

/// How an instruction accesses memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    /// Bytes.
    pub size: Size,
    /// Register that holds the address.
    pub base: Reg,
    /// Displacement.
    pub off: i16,
    /// Whether alignment is demanded of every kind of memory.
    pub strict: bool,
}

/// What a store puts into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// A register.
    Reg(Reg),
    /// An immediate.
    Imm(i32),
    /// Something of which nothing is known.
    Anything,
}

impl Transfer {
    fn request(&self, direction: Direction) -> Request {
        Request {
            reg: self.base,
            off: self.off.into(),
            size: self.size.bytes(),
            direction,
            by: By::Insn,
            empty: false,
        }
    }
}

impl Explorer<'_> {
    /// `dst = *(size *)(base + off)`
    pub(in crate::verify) fn load(
        &mut self,
        size: Size,
        signed: bool,
        dst: Reg,
        base: Reg,
        off: i16,
    ) -> Check {
        self.load_through(&Transfer { size, base, off, strict: false }, signed, Some(dst))
    }

    /// `*(size *)(base + off) = src`
    pub(in crate::verify) fn store(&mut self, size: Size, base: Reg, off: i16, src: Operand) -> Check {
        let stored = match src {
            Operand::Reg(reg) => Stored::Reg(reg),
            Operand::Imm(imm) => Stored::Imm(imm),
        };
        self.store_through(&Transfer { size, base, off, strict: false }, stored)
    }

    /// A load. Without `dst` it is only judged: the first half of an atomic operation.
    pub(super) fn load_through(&mut self, how: &Transfer, signed: bool, dst: Option<Reg>) -> Check {
        let request = how.request(Direction::Read);
        let &Value { kind, nullable, .. } = self.state.reg(how.base);
        self.check_alignment(&request, how.strict)?;
        let unknown = sized(Scalar::UNKNOWN, how.size, signed);
        if nullable {
            return Err(self.refuse_access(how.base));
        }
        let (access, result) = match kind {
            Kind::MapValue(map) => {
                let access = self.check_map_value(&request, map)?;
                if let Some(field) = self.check_fields(&request, map)? {
                    let pointer = self.check_kernel_pointer(&request, &field, None, None)?;
                    self.facts.foreign(self.at, Foreign::Memory);
                    let pointer = self.new_pointer(pointer, unknown);
                    if let Some(dst) = dst {
                        self.record(access)?;
                        self.set(dst, pointer);
                        return Ok(());
                    }
                }
                (access, self.known_bytes(map, access, how.size, signed).unwrap_or(unknown))
            }
            Kind::Memory { size, owner } => (self.check_memory(&request, size, owner)?, unknown),
            Kind::Packet | Kind::PacketMeta => (self.check_packet(&request)?, unknown),
            Kind::Context if self.target.is_some() => {
                self.check_unmodified(how.base, self.state.reg(how.base))?;
                let argument = self.check_argument(&request)?;
                let off = u32::try_from(how.off).unwrap_or(0);
                (Access::Context { off }, self.new_pointer(argument, unknown))
            }
            Kind::Context => {
                let field = self.check_context(&request)?;
                let off = u32::try_from(how.off).unwrap_or(0);
                let pointer = self.field_value(field, &request, signed)?;
                (Access::Context { off }, pointer.unwrap_or(unknown))
            }
            Kind::Stack { frame } => {
                let extent = self.check_stack(&request, frame)?;
                self.before_stack_read(how.base, extent.frame, extent.min, end_of(&extent, how))?;
                let access = self.stack_access(&extent);
                self.record(access)?;
                return self.load_stack(&extent, how, signed, dst);
            }
            Kind::MapKey(map) => (self.check_map_key(&request, map)?, unknown),
            Kind::Socket(socket) => (self.check_socket(&request, socket)?, unknown),
            Kind::FlowKeys => (self.check_flow_keys(&request)?, unknown),
            Kind::Buffer(_) => (self.check_buffer(&request)?, unknown),
            Kind::Btf(pointer) => {
                self.check_structures_allowed(how.base)?;
                let (access, result) = self.check_structure(&request, pointer)?;
                (access, self.new_pointer(result, unknown))
            }
            Kind::Arena => (Access::Mixed, unknown),
            Kind::Uninit | Kind::Scalar | Kind::PacketEnd | Kind::Func(_) | Kind::Dynptr(_) => {
                return Err(self.refuse_access(how.base));
            }
            Kind::Map(map) => {
                self.check_structures_allowed(how.base)?;
                let (access, result) = self.check_map_structure(&request, map)?;
                (access, self.new_pointer(result, unknown))
            }
        };
        self.record_of(access, Some(kind))?;
        if let Some(dst) = dst {
            self.set(dst, result);
        }
        Ok(())
    }

    /// A pointer that was loaded; an id tells it from others where it may be null.
    fn new_pointer(&mut self, pointer: Option<Value>, otherwise: Value) -> Value {
        match pointer {
            Some(value) if value.nullable => Value { id: self.new_id(), ..value },
            Some(value) => value,
            None => otherwise,
        }
    }

    /// A store.
    pub(super) fn store_through(&mut self, how: &Transfer, stored: Stored) -> Check {
        let request = how.request(Direction::Write);
        let &Value { kind, nullable, flags, .. } = self.state.reg(how.base);
        self.check_alignment(&request, how.strict)?;
        if nullable {
            return Err(self.refuse_access(how.base));
        }
        if let (Some(into), Stored::Reg(reg)) = (leaks_into(kind), stored) {
            self.check_leak(reg, into)?;
        }
        let access = match kind {
            Kind::MapValue(map) => {
                let access = self.check_map_value(&request, map)?;
                if let Some(field) = self.check_fields(&request, map)? {
                    let (value, source) = match stored {
                        Stored::Reg(reg) => (Some(*self.state.reg(reg)), Some(reg)),
                        Stored::Imm(imm) => (Some(Value::constant(i64::from(imm).cast_unsigned())), None),
                        Stored::Anything => (None, None),
                    };
                    self.check_kernel_pointer(&request, &field, value, source)?;
                    if let Stored::Reg(reg) = stored {
                        self.mark_precise(reg);
                    }
                    self.facts.foreign(self.at, Foreign::Memory);
                }
                access
            }
            Kind::Memory { size, owner } => self.check_memory(&request, size, owner)?,
            Kind::Packet | Kind::PacketMeta => {
                if !self.may_write_packet() {
                    return Err(self.refuse_reg(Code::ReadOnlyPacket, how.base, "cannot write into packet"));
                }
                self.check_packet(&request)?
            }
            Kind::Context if self.target.is_some() => {
                self.check_unmodified(how.base, self.state.reg(how.base))?;
                self.check_argument(&request)?;
                Access::Context { off: u32::try_from(how.off).unwrap_or(0) }
            }
            Kind::Context => {
                self.check_context(&request)?;
                Access::Context { off: u32::try_from(how.off).unwrap_or(0) }
            }
            Kind::Stack { frame } => {
                let extent = self.check_stack(&request, frame)?;
                self.before_stack_write(extent.frame, extent.min, end_of(&extent, how))?;
                let access = self.stack_access(&extent);
                self.record(access)?;
                return self.store_stack(how.base, &extent, how.size.bytes(), stored);
            }
            Kind::Map(_) => {
                return Err(self.refuse_reg(
                    Code::InvalidMemAccess,
                    how.base,
                    "only read from bpf_map is supported",
                ));
            }
            Kind::MapKey(map) => self.check_map_key(&request, map)?,
            Kind::Socket(socket) => self.check_socket(&request, socket)?,
            Kind::FlowKeys => self.check_flow_keys(&request)?,
            Kind::Buffer(_) if flags.has(Flags::READONLY) => {
                let kind = self.state.reg(how.base).kind_name();
                let message = format!("{} cannot write into {kind}", name(how.base));
                return Err(self.refuse_reg(Code::InvalidMemAccess, how.base, message));
            }
            Kind::Buffer(_) => self.check_buffer(&request)?,
            Kind::Btf(pointer) => {
                self.check_structures_allowed(how.base)?;
                self.check_structure(&request, pointer)?.0
            }
            Kind::Arena => Access::Mixed,
            Kind::Uninit | Kind::Scalar | Kind::PacketEnd | Kind::Func(_) | Kind::Dynptr(_) => {
                return Err(self.refuse_access(how.base));
            }
        };
        self.record_of(access, Some(kind))
    }

    /// What a load from frozen global data yields.
    fn known_bytes(&self, map: MapId, access: Access, size: Size, signed: bool) -> Option<Value> {
        let def = self.map(map);
        let global = def.global.as_ref().filter(|g| g.readonly)?;
        let Access::MapValue { off: Some(off), .. } = access else { return None };
        let start = usize::try_from(off).ok()?;
        let bytes = global.initial.get(start..)?.get(..size.bytes() as usize)?;
        let push = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
        let word = match self.program.endianness {
            Endianness::Little => bytes.iter().rev().fold(0, push),
            Endianness::Big => bytes.iter().fold(0, push),
        };
        Some(sized(Scalar::constant(word), size, signed))
    }
}

/// Where a stored pointer would be seen by others, as the kernel's messages say it.
const fn leaks_into(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::MapValue(_) => Some("leaks addr into map"),
        Kind::Memory { .. } | Kind::Buffer(_) | Kind::Btf(_) => Some("leaks addr into mem"),
        Kind::Context => Some("leaks addr into ctx"),
        Kind::Packet | Kind::PacketMeta => Some("leaks addr into packet"),
        Kind::FlowKeys => Some("leaks addr into flow keys"),
        // A stack is the program's own; the others cannot be written.
        Kind::Stack { .. }
        | Kind::Uninit
        | Kind::Scalar
        | Kind::PacketEnd
        | Kind::Map(_)
        | Kind::MapKey(_)
        | Kind::Socket(_)
        | Kind::Func(_)
        | Kind::Dynptr(_)
        | Kind::Arena => None,
    }
}

/// Behind the last byte that an access to a stack may touch.
fn end_of(extent: &Extent, how: &Transfer) -> i32 {
    extent.max.saturating_add(how.size.bytes().cast_signed())
}

/// What a load of a size makes of a number.
pub(super) fn sized(num: Scalar, size: Size, signed: bool) -> Value {
    Value::scalar(if signed { num.sext(size) } else { num.zext(size) })
}
