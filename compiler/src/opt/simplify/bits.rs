//! How many low bits of each value may be set.
//!
//! Starts from the belief that every value is 0, and corrects it until nothing contradicts it any
//! more; what keeps growing around a loop is taken to be unknown. Stopping before that would be wrong.

use crate::ir::{Binary, ExtendKind, Function, Op, Type, Unary, Value};
use crate::opt::constant;

/// Rounds in which a parameter may grow, before it is taken to be unknown.
const ROUNDS: u32 = 3;
/// Rounds after which all parameters are: nests of loops deeper than this are not worth more.
const MAX_ROUNDS: u32 = 12;

/// The number for each value of a function.
pub(super) fn analyse(function: &Function) -> Vec<u8> {
    let mut known = vec![0; function.value_capacity()];
    let order = function.reverse_postorder();
    for param in &function.block(function.entry()).params {
        known[param.index()] = 64;
    }
    let mut round = 0;
    let mut changed = true;
    while changed {
        changed = false;
        round += 1;
        if round == MAX_ROUNDS {
            let params = order.iter().flat_map(|block| &function.block(*block).params);
            params.for_each(|param| known[param.index()] = 64);
        }
        for block in &order {
            let data = function.block(*block);
            for inst in &data.insts {
                let inst = function.inst(*inst);
                if let Some(result) = inst.result {
                    let bits = of_op(function, &known, &inst.op, function.ty(result));
                    // Never less than before, so that this ends.
                    known[result.index()] = bits.max(known[result.index()]);
                }
            }
            data.end.for_each_edge(|edge| {
                for (param, arg) in function.block(edge.block).params.iter().zip(&edge.args) {
                    let bits = u8::try_from(of(function, &known, *arg)).expect("at most 64");
                    let known = &mut known[param.index()];
                    if bits > *known {
                        let width = u8::try_from(constant::width(function.ty(*param))).expect("at most 64");
                        *known = if round > ROUNDS { width } else { bits };
                        changed = true;
                    }
                }
            });
        }
    }
    known
}

/// How many low bits of a value may be set.
pub(super) fn of(function: &Function, known: &[u8], value: Value) -> u32 {
    let constant = function.as_const(value).map_or(64, |bits| 64 - bits.leading_zeros());
    let width = constant::width(function.ty(value));
    constant.min(width).min(u32::from(known[value.index()]))
}

/// How many low bits of an operation's result may be set; its operands are known.
pub(super) fn of_op(function: &Function, known: &[u8], op: &Op, ty: Type) -> u8 {
    let bits = |value| of(function, known, value);
    let width = constant::width(ty);
    let most = match *op {
        Op::Const(x) => 64 - x.leading_zeros(),
        Op::Binary { op, a, b } => binary(function, known, op, (a, b), width),
        Op::Unary { op: Unary::Swap16, .. } => 16,
        Op::Unary { op: Unary::Swap32, .. } => 32,
        Op::Compare { .. } | Op::FromBool(_) => 1,
        Op::Select { then, otherwise, .. } => bits(then).max(bits(otherwise)),
        Op::Extend { kind: ExtendKind::Zero, from, a } => bits(a).min(8 * from.bytes()),
        Op::Trunc(a) => bits(a),
        Op::Load { size, extend: ExtendKind::Zero, .. } | Op::LoadAcquire { size, .. } => 8 * size.bytes(),
        Op::CpuId => 32,
        Op::Unary { op: Unary::Neg | Unary::Swap64, .. }
        | Op::Extend { kind: ExtendKind::Sign, .. }
        | Op::Load { extend: ExtendKind::Sign, .. }
        | Op::Store { .. }
        | Op::AtomicRmw { .. }
        | Op::AtomicCas { .. }
        | Op::StoreRelease { .. }
        | Op::StackAddr(_)
        | Op::MapHandle(_)
        | Op::MapValueAddr { .. }
        | Op::MapElemAddr { .. }
        | Op::CallHelper { .. }
        | Op::CallRoutine { .. }
        | Op::CallHost { .. }
        | Op::CallSubprog { .. } => width,
    };
    u8::try_from(most.min(width)).expect("at most 64")
}

fn binary(function: &Function, known: &[u8], op: Binary, (a, b): (Value, Value), width: u32) -> u32 {
    let (x, y) = (of(function, known, a), of(function, known, b));
    match op {
        Binary::Add => x.max(y) + 1,
        Binary::Mul => x + y,
        Binary::And => x.min(y),
        Binary::Or | Binary::Xor => x.max(y),
        Binary::Udiv => x,
        // x % 0 is x.
        Binary::Urem => match function.as_const(b) {
            Some(m @ 1..) => x.min(64 - (m - 1).leading_zeros()),
            Some(0) | None => x,
        },
        Binary::Shl => match function.as_const(b) {
            Some(k) if k < u64::from(width) => x + u32::try_from(k).expect("below 64"),
            _ => width,
        },
        Binary::Ushr => match function.as_const(b) {
            Some(k) if k < u64::from(width) => x.saturating_sub(u32::try_from(k).expect("below 64")),
            _ => x,
        },
        Binary::Sshr if x < width => x,
        Binary::Umulhi => (x + y).saturating_sub(64),
        Binary::Sub | Binary::Sdiv | Binary::Srem | Binary::Sshr | Binary::Rotl => width,
    }
}
