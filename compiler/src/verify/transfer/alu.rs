//! Arithmetic: on numbers the abstract domain's, on pointers what is allowed on them.
//!
//! A number that moves a pointer is marked precise: the proof relies on it from then on.

use brolga_abi::kinds::PacketAccess;

use crate::diag::Code;
use crate::isa::{AluOp, Endian, Imm64, Operand, Reg, Size, Width};
use crate::program::MapId;
use crate::verify::ShiftRule;
use crate::verify::explore::{Check, Explorer};
use crate::verify::facts::Foreign;
use crate::verify::planted::{Planted, is_planted};
use crate::verify::refusal::name;
use crate::verify::sanitation::Move;
use crate::verify::scalar::Scalar;
use crate::verify::value::{Kind, Shift, Value};

/// How a number relates to those that it was copied from when a constant is added to it or subtracted. `None`:
/// that is not known. As Linux: what was moved once is not followed further, and sums of 32 bits only where the
/// number fits them.
fn shifted(op: AluOp, width: Width, value: &Value, by: Scalar) -> Option<(Shift, i32)> {
    if !matches!(op, AluOp::Add | AluOp::Sub) || value.shift != Shift::None {
        return None;
    }
    let (shift, by) = match width {
        Width::W64 => (Shift::Sum64, i32::try_from(by.as_constant()?.cast_signed()).ok()?),
        Width::W32 if value.num.umax() > u32::MAX.into() => return None,
        Width::W32 => (Shift::Sum32, by.as_constant32()?.cast_signed()),
    };
    let off = if op == AluOp::Sub { by.checked_neg()? } else { by };
    Some((shift, off))
}

/// Offsets of pointers stay below this in both directions (`BPF_MAX_VAR_OFF`).
pub(in crate::verify) const MAX_OFFSET: i64 = 1 << 29;

impl Explorer<'_> {
    /// `dst op= src`
    pub(in crate::verify) fn alu(&mut self, op: AluOp, width: Width, dst: Reg, src: Operand) -> Check {
        if let Operand::Imm(imm) = src {
            self.check_immediate(op, width, imm)?;
        }
        match (op, src) {
            (AluOp::Mov, Operand::Imm(imm)) => {
                let value = match width {
                    Width::W64 => i64::from(imm).cast_unsigned(),
                    Width::W32 => imm.cast_unsigned().into(),
                };
                self.set(dst, Value::constant(value));
                Ok(())
            }
            (AluOp::Mov, Operand::Reg(src)) => {
                if width == Width::W32 {
                    self.check_leak(src, "partial copy of pointer")?;
                }
                self.mov(width, dst, src);
                Ok(())
            }
            (_, Operand::Imm(imm)) => {
                let by = i64::from(imm).cast_unsigned();
                if self.state.reg(dst).is_scalar() {
                    self.numbers(op, width, dst, None, Scalar::constant(by));
                    return Ok(());
                }
                self.operate(op, width, dst, None, &Value::constant(by))
            }
            (_, Operand::Reg(reg)) => {
                let by = self.state.reg(reg);
                if self.state.reg(dst).is_scalar() && by.is_scalar() {
                    let by = by.num;
                    self.sanitise_numbers(op, dst)?;
                    self.numbers(op, width, dst, Some(reg), by);
                    return Ok(());
                }
                let by = *by;
                self.operate(op, width, dst, Some(reg), &by)
            }
        }
    }

    fn check_immediate(&self, op: AluOp, width: Width, imm: i32) -> Check {
        let bits = match width {
            Width::W32 => 32,
            Width::W64 => 64,
        };
        match op {
            AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod if imm == 0 => {
                Err(self.refuse(Code::DivisionByZero, "div by zero"))
            }
            AluOp::Lsh | AluOp::Rsh | AluOp::Arsh
                if !(0..bits).contains(&imm) && self.options.shifts == ShiftRule::Refuse =>
            {
                Err(self.refuse(Code::InvalidShift, format!("invalid shift {imm}")))
            }
            AluOp::Add
            | AluOp::Sub
            | AluOp::Mul
            | AluOp::Div
            | AluOp::Sdiv
            | AluOp::Mod
            | AluOp::Smod
            | AluOp::Or
            | AluOp::And
            | AluOp::Xor
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Arsh
            | AluOp::Mov => Ok(()),
        }
    }

    /// Gives a number that is about to be copied an id, so that what is learned of one copy is known
    /// of the other.
    pub(in crate::verify) fn link_before_copy(&mut self, src: Reg) {
        let value = self.state.reg_mut(src);
        if !value.is_scalar() {
            return;
        }
        if value.shift != Shift::None {
            value.unlink();
        }
        if value.id == 0 && value.num.as_constant().is_none() {
            let id = self.new_id();
            self.state.reg_mut(src).id = id;
        }
    }

    fn mov(&mut self, width: Width, dst: Reg, src: Reg) {
        if width == Width::W64 {
            self.link_before_copy(src);
            self.state.copy_reg(dst, src);
            self.state.reg_mut(dst).origin = Some(self.at);
            return;
        }
        let value = *self.state.reg(src);
        if value.is_scalar() {
            let fits = value.num.umax() <= u32::MAX.into();
            if fits {
                self.link_before_copy(src);
            }
            let mut copy = *self.state.reg(src);
            if !fits {
                copy.unlink();
            }
            copy.num = copy.num.zext(Size::W);
            self.set(dst, copy);
        } else {
            // Half of a pointer is a number of which nothing is known.
            self.set(dst, Value::scalar(Scalar::unknown_of(Size::W)));
        }
    }

    /// `dst = (s8/s16/s32) src`
    pub(in crate::verify) fn movsx(&mut self, width: Width, from: Size, dst: Reg, src: Reg) -> Check {
        let valid = match (width, from) {
            (_, Size::B | Size::H) | (Width::W64, Size::W) => true,
            (Width::W32, Size::W) | (_, Size::DW) => false,
        };
        if !valid {
            return Err(self.refuse(Code::ReservedForm, "BPF_MOV uses reserved fields"));
        }
        let what = match width {
            Width::W32 => "partial copy of pointer",
            Width::W64 => "sign-extension part of pointer",
        };
        self.check_leak(src, what)?;
        let value = *self.state.reg(src);
        if !value.is_scalar() {
            self.set(dst, Value::scalar(unknown(width)));
            return Ok(());
        }
        // A number without the sign bit stays itself.
        let same = value.num.umax() < 1 << (from.bytes() * 8 - 1);
        if same {
            self.link_before_copy(src);
        }
        let mut copy = *self.state.reg(src);
        if !same {
            copy.unlink();
        }
        copy.num = copy.num.movsx(width, from);
        self.set(dst, copy);
        Ok(())
    }

    /// `dst = -dst`
    pub(in crate::verify) fn neg(&mut self, width: Width, dst: Reg) -> Check {
        self.check_leak(dst, "pointer arithmetic prohibited")?;
        let value = *self.state.reg(dst);
        let num = if value.is_scalar() { value.num } else { Scalar::UNKNOWN };
        self.set(dst, Value::scalar(num.neg(width)));
        Ok(())
    }

    /// Byte swaps and truncations.
    pub(in crate::verify) fn endian(&mut self, kind: Endian, size: Size, dst: Reg) -> Check {
        if size == Size::B {
            return Err(self.refuse(Code::ReservedForm, "BPF_END uses reserved fields"));
        }
        self.check_leak(dst, "pointer arithmetic prohibited")?;
        let value = *self.state.reg(dst);
        let num = if value.is_scalar() { value.num } else { Scalar::UNKNOWN };
        self.set(dst, Value::scalar(num.endian(kind, size, self.program.endianness)));
        Ok(())
    }

    /// `dst = imm ll`
    pub(in crate::verify) fn load_imm64(&mut self, dst: Reg, imm: Imm64) -> Check {
        let value = match imm {
            Imm64::Value(value) => Value::constant(value),
            Imm64::MapIdx(index) => {
                self.refer_to(MapId(index))?;
                self.check_map_for_kind(MapId(index))?;
                self.check_map_sleeps(MapId(index))?;
                Value::pointer(Kind::Map(MapId(index)))
            }
            Imm64::MapIdxValue { index, off } => {
                let off = i32::try_from(off).map_err(|_| {
                    self.refuse(Code::MapReference, format!("direct value offset of {off} is not allowed"))
                })?;
                let map = MapId(index);
                self.refer_to(map)?;
                if self.has_arena && self.map(map).kind.number() == 33 {
                    Value::UNKNOWN
                } else {
                    self.check_map_for_kind(map)?;
                    Value { off, ..Value::pointer(Kind::MapValue(map)) }
                }
            }
            Imm64::MapFd(fd) | Imm64::MapFdValue { fd, .. } => {
                let message = format!("fd {fd} is not pointing to valid bpf_map");
                return Err(self.refuse(Code::MapReference, message));
            }
            Imm64::BtfId { .. } => self.kernel_variable(imm)?,
            Imm64::Func(off) => self.function_address(off)?,
        };
        self.set(dst, value);
        Ok(())
    }

    /// A map is named: of a kind that Linux has, though Brolga may not be able to make it.
    fn refer_to(&mut self, map: MapId) -> Check {
        let def = self.map(map);
        if def.kind.known().is_some() {
            return Ok(());
        }
        if def.kind.linux().is_none() {
            let message = format!("map `{}` is of the kind {}", def.name, def.kind);
            return Err(self.refuse(Code::UnsupportedMapKind, message));
        }
        self.facts.foreign(self.at, Foreign::Map);
        Ok(())
    }

    /// `dst = addr_space_cast(src, to, from)`: a number becomes an address in the program's arena, or back.
    pub(in crate::verify) fn addr_space_cast(&mut self, dst: Reg, from: u16, to: u16) -> Check {
        self.facts.foreign(self.at, Foreign::Arena);
        if !self.has_arena {
            let message = "addr_space_cast insn can only be used in a program that has an associated arena";
            return Err(self.refuse(Code::ReservedForm, message));
        }
        match (from, to) {
            (1, 0) => self.set(dst, Value::pointer(Kind::Arena)),
            (0, 1) => self.set(dst, Value::UNKNOWN),
            _ => {
                let message = "addr_space_cast insn can only convert between address space 1 and 0";
                return Err(self.refuse(Code::ReservedForm, message));
            }
        }
        Ok(())
    }

    /// An operation in which a pointer takes part.
    fn operate(&mut self, op: AluOp, width: Width, dst: Reg, reg: Option<Reg>, src: &Value) -> Check {
        let left = *self.state.reg(dst);
        // Any arithmetic is allowed on addresses in an arena.
        if left.kind == Kind::Arena {
            self.set(dst, left);
            return Ok(());
        }
        match (left.is_scalar(), src.is_scalar()) {
            (true, true) => {
                self.numbers(op, width, dst, reg, src.num);
                Ok(())
            }
            (false, false) => {
                // The distance of two pointers is a number of which nothing is known.
                if op == AluOp::Sub {
                    self.check_leak(dst, "pointer -= pointer prohibited")?;
                    self.set(dst, Value::UNKNOWN);
                    return Ok(());
                }
                let what = format!("pointer {} pointer prohibited", symbol(op));
                let message = format!("{} {what}", name(dst));
                Err(self.refuse_reg(Code::PointerArithmetic, dst, message))
            }
            (false, true) => {
                if let Some(reg) = reg {
                    self.mark_precise(reg);
                }
                let how = Move { op, dst, src: reg, pointer: &left, by: src, left: true };
                self.move_pointer(width, &how)
            }
            (true, false) => {
                self.mark_precise(dst);
                let how = Move { op, dst, src: reg, pointer: src, by: &left, left: false };
                self.move_pointer(width, &how)
            }
        }
    }

    fn numbers(&mut self, op: AluOp, width: Width, dst: Reg, reg: Option<Reg>, by: Scalar) {
        let aliases = reg == Some(dst);
        let value = self.state.reg_mut(dst);
        let linked = if value.id == 0 || aliases || !self.options.privilege.may_use_bpf() {
            None
        } else {
            shifted(op, width, value, by)
        };
        value.num = if op == AluOp::Add && is_planted(self.options, Planted::Arithmetic) {
            value.num.add(by)
        } else {
            Scalar::alu(op, width, value.num, by)
        };
        value.origin = Some(self.at);
        match linked {
            Some((shift, off)) => {
                value.shift = if is_planted(self.options, Planted::Links) { Shift::None } else { shift };
                value.off = off;
            }
            None => value.unlink(),
        }
    }

    /// Moves a pointer by a number.
    fn move_pointer(&mut self, width: Width, how: &Move<'_>) -> Check {
        let &Move { op, dst, pointer, by, left, .. } = how;
        if width == Width::W32 {
            let what = "32-bit pointer arithmetic prohibited";
            if op == AluOp::Sub && self.options.privilege.may_learn_addresses() {
                self.set(dst, Value::UNKNOWN);
                return Ok(());
            }
            let message = format!("{} {what}", name(dst));
            return Err(self.refuse_reg(Code::PointerArithmetic, dst, message));
        }
        let forbid = |what: String| Err(self.refuse_reg(Code::PointerArithmetic, dst, what));
        let kind = pointer.kind_name();
        if pointer.nullable {
            return forbid(format!(
                "{} pointer arithmetic on {kind} prohibited, null-check it first",
                name(dst)
            ))
            .map_err(|d| Box::new(d.help("compare the pointer with null before moving it")));
        }
        // Reads through it are careful wherever it leads, so nobody keeps account of that.
        if pointer.is_untrusted_memory() {
            self.set(dst, Value::untrusted_memory());
            return Ok(());
        }
        let known = by.num.as_constant();
        match pointer.kind {
            Kind::Context
            | Kind::MapValue(_)
            | Kind::Stack { .. }
            | Kind::PacketMeta
            | Kind::Packet
            | Kind::Memory { .. }
            | Kind::MapKey(_)
            | Kind::Btf(_)
            | Kind::Buffer(_)
            | Kind::Func(_)
            | Kind::Dynptr(_) => {}
            Kind::FlowKeys if known.is_some() => {}
            Kind::FlowKeys | Kind::Map(_) if known == Some(0) && op == AluOp::Add => {}
            Kind::Map(_)
            | Kind::PacketEnd
            | Kind::Uninit
            | Kind::Scalar
            | Kind::Socket(_)
            | Kind::Arena
            | Kind::FlowKeys => {
                return forbid(format!("{} pointer arithmetic on {kind} prohibited", name(dst)));
            }
        }
        self.check_sane_offset(dst, by, pointer)?;
        self.check_sane_offset(dst, pointer, pointer)?;
        let begun = self.begin_move(how)?;
        let moved = match op {
            AluOp::Add => self.added(pointer, by),
            AluOp::Sub if !left => {
                return forbid(format!("{} tried to subtract pointer from scalar", name(dst)));
            }
            AluOp::Sub if matches!(pointer.kind, Kind::Stack { .. }) => {
                return forbid(format!("{} subtraction from stack pointer prohibited", name(dst)));
            }
            AluOp::Sub => self.subtracted(pointer, by),
            AluOp::And | AluOp::Or | AluOp::Xor => {
                return forbid(format!(
                    "{} bitwise operator {} on pointer prohibited",
                    name(dst),
                    symbol(op)
                ));
            }
            AluOp::Mul
            | AluOp::Div
            | AluOp::Sdiv
            | AluOp::Mod
            | AluOp::Smod
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Arsh
            | AluOp::Mov => {
                return forbid(format!(
                    "{} pointer arithmetic with {} operator prohibited",
                    name(dst),
                    symbol(op)
                ));
            }
        };
        self.check_sane_offset(dst, &moved, pointer)?;
        self.set(dst, moved);
        self.check_pointer_move(dst)?;
        self.end_move(how, begun, &moved)?;
        Ok(())
    }

    fn added(&mut self, pointer: &Value, by: &Value) -> Value {
        let known = by.num.as_constant().map(u64::cast_signed);
        if let Some(off) = known.and_then(|by| fixed(i64::from(pointer.off).checked_add(by))) {
            return moved_to(pointer, off);
        }
        let mut moved = Value { num: pointer.num.add(by.num), ..*pointer };
        if pointer.is_packet() {
            // What was known to exist is counted from another place now.
            moved.id = self.new_id();
            moved.range = 0;
        }
        moved
    }

    fn subtracted(&mut self, pointer: &Value, by: &Value) -> Value {
        let known = by.num.as_constant().map(u64::cast_signed);
        if let Some(off) = known.and_then(|by| fixed(i64::from(pointer.off).checked_sub(by))) {
            return moved_to(pointer, off);
        }
        let mut moved = Value { num: pointer.num.sub(by.num), ..*pointer };
        if pointer.is_packet() {
            moved.id = self.new_id();
            // Moved back, no more than what existed is claimed; moved forward, it would be. What was beyond
            // the end need not be any more.
            if by.num.smin() < 0 || moved.range < 0 {
                moved.range = 0;
            }
        }
        moved
    }

    /// Offsets are kept far from where sums of them could wrap around.
    fn check_sane_offset(&self, dst: Reg, value: &Value, pointer: &Value) -> Check {
        let kind = pointer.kind_name();
        let smin = value.num.smin();
        let refuse = |message: String| Err(self.refuse_reg(Code::PointerOffset, dst, message));
        let outside = |x: i64| x >= MAX_OFFSET || x <= -MAX_OFFSET;
        if let Some(value) = value.num.as_constant().map(u64::cast_signed)
            && outside(value)
        {
            return refuse(format!("math between {kind} pointer and {value} is not allowed"));
        }
        // As Linux, which looks at what links numbers, too.
        if outside(value.off.into()) {
            return refuse(format!("{kind} pointer offset {} is not allowed", value.off));
        }
        if smin == i64::MIN {
            return refuse(format!(
                "math between {kind} pointer and register with unbounded min value is not allowed"
            ));
        }
        if outside(smin) {
            return refuse(format!("value {smin} makes {kind} pointer be out of bounds"));
        }
        Ok(())
    }

    /// Whether programs of this kind may write to the packet.
    pub(in crate::verify) fn may_write_packet(&self) -> bool {
        match self.kind.info().packet {
            PacketAccess::ReadWrite => true,
            PacketAccess::Read | PacketAccess::None => false,
        }
    }
}

/// A pointer at another constant offset. One that was at or beyond the packet's end and is moved back may
/// lie before it; Linux forgets to ask.
fn moved_to(pointer: &Value, off: i32) -> Value {
    let range = if pointer.is_packet() && pointer.range < 0 && off < pointer.off { 0 } else { pointer.range };
    Value { off, range, ..*pointer }
}

fn fixed(off: Option<i64>) -> Option<i32> {
    off.and_then(|off| i32::try_from(off).ok())
}

/// Any result of an operation.
fn unknown(width: Width) -> Scalar {
    match width {
        Width::W64 => Scalar::UNKNOWN,
        Width::W32 => Scalar::unknown_of(Size::W),
    }
}

/// An operator as the kernel's messages spell it.
fn symbol(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div => "/=",
        AluOp::Sdiv => "s/=",
        AluOp::Mod => "%=",
        AluOp::Smod => "s%=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::Xor => "^=",
        AluOp::Lsh => "<<=",
        AluOp::Rsh => ">>=",
        AluOp::Arsh => "s>>=",
        AluOp::Mov => "=",
    }
}
