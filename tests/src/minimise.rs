//! Makes a program smaller while what is wrong with it stays wrong.
//!
//! Instructions become jumps to the next slot, then those jumps and what nothing reaches any more are
//! taken out, and distances follow. What "wrong" means is the caller's: it sees whole modules.

use brolga_compiler::isa::{CallTarget, Imm64, Insn, InsnIdx};
use brolga_compiler::program::{Program, Subprog};

use crate::engines::Module;

const NOTHING: Insn = Insn::Ja { off: 0 };

/// The smallest module that this finds for which `wrong` still holds; only the first program shrinks.
pub fn minimise(module: &Module, wrong: &mut dyn FnMut(&Module) -> bool) -> Module {
    let mut best = module.programs[0].insns.clone();
    let mut chunk = best.len().max(2) / 2;
    loop {
        let mut changed = false;
        let mut at = 0;
        while at < best.len() {
            let mut candidate = best.clone();
            blank(&mut candidate, at..(at + chunk).min(best.len()));
            blank_unreached(&mut candidate);
            let candidate = without_nothings(&candidate);
            if candidate.len() < best.len() && wrong(&with_insns(module, candidate.clone())) {
                best = candidate;
                changed = true;
            } else {
                at += chunk;
            }
        }
        if chunk > 1 {
            chunk /= 2;
        } else if !changed {
            return with_insns(module, best);
        }
    }
}

/// Blanks what no path from the first instruction reaches.
fn blank_unreached(insns: &mut [Insn]) {
    let mut reached = vec![false; insns.len()];
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        if at >= insns.len() || std::mem::replace(&mut reached[at], true) {
            continue;
        }
        let jump = |off: i32| InsnIdx(u32::try_from(at).unwrap_or(u32::MAX)).jump(off).map(InsnIdx::index);
        let (target, goes_on) = match insns[at] {
            Insn::Ja { off } => (jump(off.into()), false),
            Insn::Gotol { off } => (jump(off), false),
            Insn::Branch { off, .. } | Insn::MayGoto { off } => (jump(off.into()), true),
            Insn::Call(CallTarget::Subprog(off)) => (jump(off), true),
            Insn::LoadImm64 { imm: Imm64::Func(off), .. } => (jump(off), true),
            Insn::Exit => (None, false),
            _ => (None, true),
        };
        open.extend(target);
        open.extend(goes_on.then_some(at + 1));
    }
    for (insn, reached) in insns.iter_mut().zip(reached) {
        if !reached {
            *insn = NOTHING;
        }
    }
}

fn blank(insns: &mut [Insn], range: std::ops::Range<usize>) {
    for at in range.clone() {
        match insns[at] {
            // Both slots of a `lddw` go together, with the first.
            Insn::SecondSlot => {}
            Insn::LoadImm64 { .. } => {
                insns[at] = NOTHING;
                if let Some(second) = insns.get_mut(at + 1) {
                    *second = NOTHING;
                }
            }
            _ => insns[at] = NOTHING,
        }
    }
}

fn with_insns(module: &Module, insns: Vec<Insn>) -> Module {
    let old = &module.programs[0];
    let kind = old.kind.expect("programs that ran have a kind");
    let mut program = Program::from_insns(&old.name, kind, insns, old.maps.clone());
    program.raw_memory_len = old.raw_memory_len;
    // Functions stay what they were as long as none is gone.
    if program.subprogs.len() == old.subprogs.len() {
        for (subprog, known) in program.subprogs.iter_mut().zip(&old.subprogs) {
            *subprog = Subprog { start: subprog.start, ..known.clone() };
        }
    }
    let mut module = module.clone();
    module.programs[0] = program;
    module
}

/// The same program without jumps to the next slot.
fn without_nothings(insns: &[Insn]) -> Vec<Insn> {
    // Where each slot, and the end, will be.
    let mut moved = Vec::with_capacity(insns.len() + 1);
    let mut next = 0i64;
    for insn in insns {
        moved.push(next);
        next += i64::from(*insn != NOTHING);
    }
    moved.push(next);
    let distance = |at: usize, off: i32| {
        let target = InsnIdx(u32::try_from(at).unwrap_or(u32::MAX)).jump(off)?;
        Some(moved.get(target.index())? - moved[at] - 1)
    };
    let near = |at, off: i16| distance(at, off.into()).and_then(|d| i16::try_from(d).ok()).unwrap_or(off);
    let far = |at, off: i32| distance(at, off).and_then(|d| i32::try_from(d).ok()).unwrap_or(off);
    let kept = insns.iter().enumerate().filter(|(_, insn)| **insn != NOTHING);
    kept.map(|(at, insn)| match *insn {
        Insn::Ja { off } => Insn::Ja { off: near(at, off) },
        Insn::MayGoto { off } => Insn::MayGoto { off: near(at, off) },
        Insn::Gotol { off } => Insn::Gotol { off: far(at, off) },
        Insn::Branch { cond, width, dst, src, off } => {
            Insn::Branch { cond, width, dst, src, off: near(at, off) }
        }
        Insn::Call(CallTarget::Subprog(off)) => Insn::Call(CallTarget::Subprog(far(at, off))),
        Insn::LoadImm64 { dst, imm: Imm64::Func(off) } => {
            Insn::LoadImm64 { dst, imm: Imm64::Func(far(at, off)) }
        }
        other => other,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::program;
    use brolga_abi::ProgramKind;
    use brolga_compiler::isa::{AluOp, NoNames, listing};

    #[test]
    fn what_does_not_matter_goes_and_jumps_still_fit() {
        let text = "r0 = 1\nr2 = 5\nif r2 == 5 goto over\nr3 = 7\nr4 = 0x1122334455667788 ll\nover: r0 *= 3\nr5 = 1\nexit";
        let module = program(text, ProgramKind::RawMemory, &[]);
        let small = minimise(&module, &mut |m| {
            let insns = &m.programs[0].insns;
            let multiplies = |i: &Insn| matches!(i, Insn::Alu { op: AluOp::Mul, .. });
            insns.iter().any(multiplies) && insns.iter().any(|i| matches!(i, Insn::Branch { .. }))
        });
        let text = listing(&small.programs[0].insns, &NoNames).to_string();
        assert_eq!(small.programs[0].insns.len(), 2, "{text}");
        assert!(matches!(small.programs[0].insns[0], Insn::Branch { off: 0, .. }), "{text}");
    }
}
