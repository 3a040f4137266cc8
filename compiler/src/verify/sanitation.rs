//! Additions to pointers, and to numbers where a pointer might stand, by a register: for a loader without
//! `CAP_PERFMON` Linux masks what is added, so that a processor which runs ahead cannot leave the memory.
//!
//! Brolga masks nothing. But where a mask cannot be given, Linux refuses the program, and so must we to say the same:
//! to pointers other than those to stacks and values, by numbers that may be of either sign, and where the paths
//! that lead to one instruction would need different masks. What was needed is kept for each instruction over all
//! paths; from then on numbers count wholly where states are compared, as they may change a mask.

use std::collections::HashMap;

use super::explore::{Check, Explorer};
use super::refusal::name;
use super::value::{Kind, Value};
use crate::diag::{Code, Diagnostic};
use crate::isa::{AluOp, InsnIdx, Reg};
use crate::program::MapId;

/// The mask that an addition needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mask {
    /// None: numbers are added.
    Numbers,
    /// A pointer is moved.
    Pointer {
        /// Whether what is added may be negative.
        negative: bool,
        /// Whether it is known.
        known: bool,
        /// Whether the pointer is the left operand.
        left: bool,
        /// How far the pointer may be moved.
        limit: u32,
    },
}

/// What instructions needed on all paths so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Sanitation {
    masks: HashMap<InsnIdx, Mask>,
    tail_calls: HashMap<InsnIdx, MapId>,
    /// Whether a number that is not known moved a pointer: numbers count wholly where states are compared.
    pub exact_numbers: bool,
}

/// A move of a pointer by a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move<'v> {
    /// `+` or `-`.
    pub op: AluOp,
    /// The left operand's register, which holds the result.
    pub dst: Reg,
    /// The right operand's register, where it is one: what is in the instruction needs no mask.
    pub src: Option<Reg>,
    /// The pointer.
    pub pointer: &'v Value,
    /// By how much it is moved.
    pub by: &'v Value,
    /// Whether the pointer is the left operand.
    pub left: bool,
}

/// What is known of a move before it is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    limit: u32,
    to_left: bool,
}

impl Explorer<'_> {
    fn masks_nothing(&self, op: AluOp) -> bool {
        self.options.privilege.may_learn_addresses() || !matches!(op, AluOp::Add | AluOp::Sub)
    }

    /// Numbers are added or subtracted, the right one from a register.
    pub(super) fn sanitise_numbers(&mut self, op: AluOp, dst: Reg) -> Check {
        if self.masks_nothing(op) {
            return Ok(());
        }
        self.need(op, dst, Mask::Numbers)
    }

    /// Before a pointer is moved.
    pub(super) fn begin_move(&self, how: &Move<'_>) -> Check<Option<Begun>> {
        let Some(src) = how.src.filter(|_| !self.masks_nothing(how.op)) else { return Ok(None) };
        let (known, by) = (how.by.num.as_constant().is_some(), how.by.num);
        if !known && (by.smin() < 0) != (by.smax() < 0) {
            let reg = if how.left { src } else { how.dst };
            return Err(self.refuse_mask(reg, "has unknown scalar with mixed signed bounds"));
        }
        let to_left = (how.op == AluOp::Add) == (by.smin() < 0);
        let limit = self.limit(how, how.pointer, to_left)?;
        Ok(Some(Begun { limit, to_left }))
    }

    /// After a pointer was moved: `moved` is what it is now.
    pub(super) fn end_move(&mut self, how: &Move<'_>, begun: Option<Begun>, moved: &Value) -> Check {
        let Some(Begun { limit, to_left }) = begun else { return Ok(()) };
        let now = self.limit(how, moved, to_left)?;
        self.sanitation.exact_numbers |= how.by.num.as_constant().is_none();
        let mask = Mask::Pointer {
            negative: how.by.num.smin() < 0,
            known: how.by.num.as_constant().is_some(),
            left: how.left,
            limit: limit.abs_diff(now),
        };
        self.need(how.op, how.dst, mask)
    }

    /// How far a pointer may be moved to one side and stay where it points.
    fn limit(&self, how: &Move<'_>, pointer: &Value, to_left: bool) -> Check<u32> {
        let (limit, max) = match pointer.kind {
            Kind::Stack { .. } => {
                let off = pointer.constant_offset().unwrap_or(i64::MIN);
                (off.wrapping_neg(), 512 + u32::from(to_left))
            }
            Kind::MapValue(map) => {
                let var = if to_left { pointer.num.smin() } else { pointer.num.umax().cast_signed() };
                (var.wrapping_add(pointer.off.into()), self.map(map).value_size)
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
            | Kind::Arena => {
                let reg = if how.left { how.dst } else { how.src.unwrap_or(how.dst) };
                return Err(self.refuse_mask(reg, "has pointer with unsupported alu operation"));
            }
        };
        // As Linux, which keeps the limit in 32 bits.
        let limit = (limit.cast_unsigned() & u64::from(u32::MAX)) as u32;
        if limit >= max {
            let what = format!("tried to {} beyond pointer bounds", word(how.op));
            return Err(self.refuse_mask(how.dst, &what));
        }
        Ok(limit)
    }

    fn need(&mut self, op: AluOp, dst: Reg, mask: Mask) -> Check {
        let known = *self.sanitation.masks.entry(self.at).or_insert(mask);
        if known == mask {
            return Ok(());
        }
        let what = format!("tried to {} from different maps, paths or scalars", word(op));
        Err(self.refuse_mask(dst, &what))
    }

    fn refuse_mask(&self, reg: Reg, what: &str) -> Box<Diagnostic> {
        let message = format!("{} {what}, pointer arithmetic with it prohibited for !root", name(reg));
        let help = "without CAP_PERFMON a register moves pointers to stack and map values only, in one direction, and \
                    on all paths alike";
        Box::new(self.refuse_reg(Code::PointerArithmetic, reg, message).help(help))
    }

    /// A tail call through a map: without `CAP_PERFMON` it is the same map on all paths.
    pub(super) fn sanitise_tail_call(&mut self, map: MapId) -> Check {
        if self.options.privilege.may_learn_addresses() {
            return Ok(());
        }
        let known = *self.sanitation.tail_calls.entry(self.at).or_insert(map);
        if known == map {
            return Ok(());
        }
        Err(self.refuse(Code::MapHelper, "tail_call abusing map_ptr"))
    }
}

const fn word(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "add",
        _ => "sub",
    }
}
