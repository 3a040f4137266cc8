//! What calls may read: registers, and memory behind pointers into frames.
//!
//! Helpers are judged by the rows of their table, kernel functions by their prototypes, functions of the program by
//! their summaries. What is not known reads anything that it can reach.

use brolga_abi::{Arg, ArgLength, HelperId};

use super::abs::{Abs, Regs};
use super::arguments::Summary;
use super::reads::Reads;
use crate::isa::{CallTarget, InsnIdx, Reg};
use crate::program::{Param, Program, SubprogId};
use crate::verify::kfuncs::{Kfunc, Kfuncs};
use crate::verify::obligations::RegSet;
use crate::verify::structure::subprog_at;

/// What is known of the functions that a program calls.
#[derive(Clone, Copy)]
pub(super) struct Callees<'a> {
    /// The program.
    pub program: &'a Program,
    /// Kernel functions.
    pub kfuncs: &'a Kfuncs,
    /// Functions of the program that were analysed.
    pub summaries: &'a [Option<Summary>],
}

/// Registers that a call reads. `all`: those that it may read as far as its instruction tells.
pub(super) fn call_regs(callees: Callees<'_>, at: InsnIdx, target: CallTarget, all: RegSet) -> RegSet {
    let count = match target {
        CallTarget::Helper(_) => None,
        CallTarget::Kfunc { .. } => callees.kfuncs.get(target).map(|kfunc| kfunc.params()),
        CallTarget::Subprog(_) => match callee(callees.program, at, target) {
            Some(id) if callees.program.subprogs[id.index()].global => {
                Some(callees.program.subprogs[id.index()].params.len())
            }
            Some(id) => return callees.summaries[id.index()].as_ref().map_or(all, |summary| summary.regs),
            None => None,
        },
    };
    count.map_or(all, |count| all.intersect(RegSet::args(count.min(5))))
}

/// The function of the program that a call calls.
fn callee(program: &Program, at: InsnIdx, target: CallTarget) -> Option<SubprogId> {
    let CallTarget::Subprog(off) = target else { return None };
    subprog_at(program, at.jump(off)?)
}

/// What a call may read through the pointers into frames that it is handed.
pub(super) fn call_reads(
    callees: Callees<'_>,
    at: InsnIdx,
    target: CallTarget,
    regs: &Regs,
) -> Vec<(Abs, Reads)> {
    let read = call_regs(callees, at, target, RegSet::ARGS);
    let pointers = RegSet::ARGS.iter().filter(|reg| read.contains(*reg)).map(|reg| (reg, regs[reg.index()]));
    let mut pointers = pointers.filter(|(_, pointer)| pointer.may_point() || pointer.args() != 0);
    match target {
        CallTarget::Subprog(_) => {
            let id = callee(callees.program, at, target);
            let reads = |reg| id.map_or(Reads::ANYTHING, |id| argument_reads(callees, id, reg));
            pointers.map(|(reg, pointer)| (pointer, reads(reg))).collect()
        }
        CallTarget::Kfunc { .. } if let Some(kfunc) = callees.kfuncs.get(target) => {
            pointers.map(|(reg, pointer)| (pointer, kfunc_reads(kfunc, reg, regs, pointer))).collect()
        }
        CallTarget::Helper(number) if HelperId::from_number(number).is_some() => {
            HelperId::from_number(number)
                .map_or(Vec::new(), |id| helper_reads(callees, id, regs, &mut pointers))
        }
        CallTarget::Kfunc { .. } | CallTarget::Helper(_) => {
            pointers.map(|(_, pointer)| (pointer, Reads::ANYTHING)).collect()
        }
    }
}

/// What a function of the program may read through an argument.
fn argument_reads(callees: Callees<'_>, id: SubprogId, reg: Reg) -> Reads {
    let (subprog, index) = (&callees.program.subprogs[id.index()], reg.index() - 1);
    if !subprog.global {
        return callees.summaries[id.index()].as_ref().map_or(Reads::ANYTHING, |summary| summary.args[index]);
    }
    // A global function is judged apart, with memory of this size.
    match subprog.params.get(index) {
        Some(Param::Memory { size, .. }) => Reads::of(*size),
        _ => Reads::ANYTHING,
    }
}

/// What a kernel function may read through an argument.
fn kfunc_reads(kfunc: &Kfunc, reg: Reg, regs: &Regs, pointer: Abs) -> Reads {
    let index = reg.index() - 1;
    let size = match Reg::new(reg.number() + 1).map(|next| regs[next.index()]) {
        Some(Abs::Const(size)) if kfunc.is_sized(index) => u32::try_from(size).ok(),
        _ => kfunc.size_behind(index),
    };
    size.map_or_else(|| upwards(pointer), Reads::of)
}

/// What the kernel may read behind a pointer of which it does not say how much it reads: nothing beyond the frame's
/// start, or below the pointer, and nothing that pointers there point to.
fn upwards(pointer: Abs) -> Reads {
    let Abs::Frame(offs) = pointer else { return Reads::ANYTHING };
    Reads::of(offs.iter().map(|off| off.min(0).unsigned_abs()).max().unwrap_or(0))
}

fn helper_reads(
    callees: Callees<'_>,
    id: HelperId,
    regs: &Regs,
    pointers: &mut dyn Iterator<Item = (Reg, Abs)>,
) -> Vec<(Abs, Reads)> {
    let args = id.info().args;
    let mut all = Vec::new();
    for (reg, pointer) in pointers {
        let Some(arg) = args.get(reg.index() - 1) else { continue };
        if only_writes(*arg) {
            continue;
        }
        if *arg == Arg::StackOrNull {
            all.push((pointer, callback_reads(callees, id, regs)));
            continue;
        }
        let size = match arg.length() {
            None if !arg.writes() => continue,
            Some(_) => length(callees.program, args, reg, regs),
            None => None,
        };
        all.push((pointer, size.map_or_else(|| upwards(pointer), Reads::of)));
    }
    all
}

/// The function that a helper calls back and its argument, counted from 0, that is the pointer that the helper is handed
/// for it.
fn callback(id: HelperId, regs: &Regs) -> Option<(SubprogId, usize)> {
    let info = id.info();
    let argument = match info.name {
        "bpf_loop" | "bpf_user_ringbuf_drain" => 1,
        "bpf_find_vma" => 2,
        "bpf_for_each_map_elem" => 3,
        _ => return None,
    };
    let mut funcs = info.args.iter().zip(RegSet::ARGS.iter()).filter(|(arg, _)| **arg == Arg::Func);
    match funcs.next().map(|(_, reg)| regs[reg.index()]) {
        Some(Abs::Func(func)) => Some((func, argument)),
        Some(_) | None => None,
    }
}

/// What the function that a helper calls back may read through the pointer that it is handed, in a round.
fn callback_reads(callees: Callees<'_>, id: HelperId, regs: &Regs) -> Reads {
    let summary = callback(id, regs).and_then(|(func, argument)| {
        callees.summaries[func.index()].as_ref().map(|summary| summary.args[argument])
    });
    summary.unwrap_or(Reads::ANYTHING)
}

/// Pointers that a call hands to a function of the program, with what that reads through them, by its arguments.
pub(super) fn handed_pointers(
    callees: Callees<'_>,
    at: InsnIdx,
    target: CallTarget,
    regs: &Regs,
) -> Option<[(Abs, Reads); 5]> {
    let mut all = [(Abs::Other, Reads::default()); 5];
    match target {
        CallTarget::Subprog(_) => {
            let id = callee(callees.program, at, target);
            for (reg, handed) in RegSet::ARGS.iter().zip(&mut all) {
                let reads = id.map_or(Reads::ANYTHING, |id| argument_reads(callees, id, reg));
                *handed = (regs[reg.index()], reads);
            }
        }
        CallTarget::Helper(number) => {
            let id = HelperId::from_number(number)?;
            let (_, argument) = callback(id, regs)?;
            let mut pointers = id.info().args.iter().zip(RegSet::ARGS.iter());
            let (_, reg) = pointers.find(|(arg, _)| **arg == Arg::StackOrNull)?;
            all[argument] = (regs[reg.index()], callback_reads(callees, id, regs));
        }
        CallTarget::Kfunc { .. } => return None,
    }
    Some(all)
}

/// How many bytes a helper accesses behind an argument, where that is known.
fn length(program: &Program, args: &[Arg], reg: Reg, regs: &Regs) -> Option<u32> {
    let map = || {
        args.iter().zip(RegSet::ARGS.iter()).find_map(|(arg, reg)| match (arg, regs[reg.index()]) {
            (Arg::Map, Abs::Map(id)) => program.maps.get(id.index()),
            _ => None,
        })
    };
    match args.get(reg.index() - 1)?.length()? {
        ArgLength::Key => map().map(|m| m.key_size),
        ArgLength::Value => map().map(|m| m.value_size),
        ArgLength::Fixed(size) => Some(size),
        ArgLength::Next => match Reg::new(reg.number() + 1).map(|next| regs[next.index()]) {
            Some(Abs::Const(size)) if reg.index() < args.len() => u32::try_from(size).ok(),
            _ => None,
        },
        // A callback may read the whole frame.
        ArgLength::Unknown => None,
    }
}

/// Whether a helper only writes behind an argument, so that the verifier does not look at what was there (but for
/// dynptrs and the like, which states always compare).
fn only_writes(arg: Arg) -> bool {
    matches!(arg, Arg::WriteMem | Arg::WriteMemOrNull | Arg::WriteFixedMem(_) | Arg::WriteMapValue)
}
