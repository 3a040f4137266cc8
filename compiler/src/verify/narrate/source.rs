//! Where a value of a path came from, followed backwards through moves, spills and arithmetic.
//!
//! It follows one value, the way a reader would: copies are passed over, arithmetic is remembered, and what
//! made the value in the first place is the origin. It serves explanations alone; where it loses track, it
//! says so.

use super::replay::Moment;
use crate::isa::{AluOp, CallTarget, Insn, Operand, Reg};
use crate::verify::obligations::touches;
use crate::verify::state::State;
use crate::verify::value::{Kind, Value};

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spot {
    Reg { frame: usize, reg: Reg },
    Slot { frame: usize, off: i32 },
}

/// What made a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This moment's instruction.
    Made(usize),
    /// The function got it.
    Given(Reg),
    /// It was not found.
    Lost,
}

/// The history of a value.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// What made it.
    pub origin: Origin,
    /// Moments at which arithmetic changed it, the last first.
    pub changes: Vec<usize>,
    /// Pointers: the last moment at which an unknown number was added, and the register that held the number.
    pub moved: Option<(usize, Reg)>,
}

fn spot_of_stack(state: &State, base: Reg, off: i16) -> Option<Spot> {
    let value = state.reg(base);
    let Kind::Stack { frame } = value.kind else { return None };
    let off = i32::try_from(value.constant_offset()?).ok()?.checked_add(off.into())?;
    Some(Spot::Slot { frame: frame.into(), off })
}

/// The history of what a register of the executing function holds before a moment's instruction.
pub(super) fn history(moments: &[Moment], insns: &[Insn], at: usize, reg: Reg) -> History {
    let mut spot = Spot::Reg { frame: moments[at].state.depth(), reg };
    let mut found = History { origin: Origin::Lost, changes: Vec::new(), moved: None };
    for index in (0..at).rev() {
        let Moment { at, state } = &moments[index];
        let Some(insn) = insns.get(at.index()) else { return found };
        let (depth, after) = (state.depth(), moments[index + 1].state.depth());
        match spot {
            Spot::Reg { frame, reg } if after > depth && frame == after => {
                // A call hands its arguments over.
                if !(1..=5).contains(&reg.number()) || matches!(insn, Insn::Call(CallTarget::Helper(_))) {
                    return found;
                }
                spot = Spot::Reg { frame: depth, reg };
            }
            Spot::Reg { frame, reg: Reg::R0 } if after < depth && frame == after => {
                spot = Spot::Reg { frame: depth, reg: Reg::R0 };
            }
            Spot::Reg { frame, reg } if frame == depth && touches(insn).writes.contains(reg) => {
                match follow(insn, index, state, reg, &mut found) {
                    Some(next) => spot = next,
                    None => {
                        found.origin = Origin::Made(index);
                        return found;
                    }
                }
            }
            Spot::Slot { .. } => {
                if let Insn::Store { base, off, src, .. } = *insn
                    && spot_of_stack(state, base, off) == Some(spot)
                {
                    let Operand::Reg(src) = src else {
                        found.origin = Origin::Made(index);
                        return found;
                    };
                    spot = Spot::Reg { frame: depth, reg: src };
                }
            }
            Spot::Reg { .. } => {}
        }
    }
    if let (Spot::Reg { frame: 0, reg }, Some(first)) = (spot, moments.first())
        && first.state.depth() == 0
    {
        found.origin = Origin::Given(reg);
    }
    found
}

/// Where the value was before an instruction that wrote its register; `None` where it was made here.
fn follow(insn: &Insn, index: usize, state: &State, dst: Reg, found: &mut History) -> Option<Spot> {
    let frame = state.depth();
    let here = |reg: Reg| Some(Spot::Reg { frame, reg });
    match *insn {
        Insn::Alu { op: AluOp::Mov, src: Operand::Reg(src), .. } | Insn::MovSx { src, .. } => here(src),
        Insn::Alu { op: AluOp::Mov, src: Operand::Imm(_), .. } => None,
        Insn::Alu { src, .. } => {
            found.changes.push(index);
            let (left, right) = (*state.reg(dst), operand(state, src));
            let Operand::Reg(src) = src else { return here(dst) };
            let number = |value: &Value| value.is_scalar() && value.num.as_constant().is_none();
            if left.is_pointer() {
                if number(&right) && found.moved.is_none() {
                    found.moved = Some((index, src));
                }
                return here(dst);
            }
            if right.is_pointer() {
                if number(&left) && found.moved.is_none() {
                    found.moved = Some((index, dst));
                }
                return here(src);
            }
            // Of two numbers, the one that is not known is what matters.
            if number(&left) { here(dst) } else { here(src) }
        }
        Insn::Neg { .. } | Insn::Endian { .. } | Insn::AddrSpaceCast { .. } => {
            found.changes.push(index);
            here(dst)
        }
        Insn::Load { base, off, .. } | Insn::LoadAcquire { base, off, .. } => spot_of_stack(state, base, off),
        _ => None,
    }
}

/// What an operand holds.
pub(super) fn operand(state: &State, operand: Operand) -> Value {
    match operand {
        Operand::Reg(reg) => *state.reg(reg),
        Operand::Imm(imm) => Value::constant(i64::from(imm).cast_unsigned()),
    }
}
