//! What a verification claims of each instruction, against what a run does there.
//!
//! Every fact is asked at every execution of its instruction: whether it can be executed, which way it can go, what it
//! touches, which map or function it calls, how deep it uses its stack.

use brolga_abi::{Arg, HelperId};
use brolga_compiler::isa::{CallTarget, Insn, InsnIdx, LegacyOffset, Reg, Size};
use brolga_compiler::program::{Program, SubprogId};
use brolga_compiler::verify::{Access, Facts};

use crate::oracle::{Place, Stepper};

/// Facts of a program, and how many were compared.
pub struct Claims<'a> {
    /// The program.
    pub program: &'a Program,
    /// What was proven.
    pub facts: &'a Facts,
    /// The function of each slot.
    pub subprogs: &'a [SubprogId],
}

/// What an instruction touches: base, displacement, size.
#[must_use]
pub fn touched(insn: &Insn) -> Option<(Reg, i16, Size)> {
    match *insn {
        Insn::Load { size, base, off, .. }
        | Insn::Store { size, base, off, .. }
        | Insn::Atomic { size, base, off, .. }
        | Insn::LoadAcquire { size, base, off, .. }
        | Insn::StoreRelease { size, base, off, .. } => Some((base, off, size)),
        Insn::LegacyLoad { offset: LegacyOffset::Abs | LegacyOffset::Ind(_), .. }
        | Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::SecondSlot
        | Insn::Ja { .. }
        | Insn::Gotol { .. }
        | Insn::Branch { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::Exit => None,
    }
}

impl Claims<'_> {
    /// What is wrong about the instruction that comes next, if anything.
    pub fn before(&self, run: &Stepper<'_>, checked: &mut u64) -> Option<String> {
        let at = run.at();
        let fact = self.facts.at(at);
        *checked += 1;
        if !fact.reach.executed {
            return Some("is executed, though nothing reaches it".to_owned());
        }
        let insn = &self.program.insns[at.index()];
        if let Some((base, off, size)) = touched(insn) {
            *checked += 1;
            let Some(access) = fact.access else {
                return Some("touches memory, though it is not known to".to_owned());
            };
            let address = run.top(base)?.wrapping_add_signed(off.into());
            let place = run.place(address);
            if !self.fits(access, place, at, run, size) {
                return Some(format!("touches {place:?}, not {access:?}"));
            }
            if let Some(span) = fact.span {
                *checked += 1;
                let found = place.offset()?;
                let inside = (i64::from(span.min)..=i64::from(span.max)).contains(&found);
                if !inside || found.trailing_zeros() < span.align.into() {
                    return Some(format!("touches {place:?}, not within {span:?}"));
                }
            }
        }
        if let Insn::Call(target) = *insn {
            return self.call(at, target, run, checked);
        }
        None
    }

    fn fits(&self, access: Access, place: Place, at: InsnIdx, run: &Stepper<'_>, size: Size) -> bool {
        let size = i64::from(size.bytes());
        match (access, place) {
            (Access::OwnStack { off }, Place::Stack(frame, found)) => {
                let deepest = i64::from(self.facts.subprog(self.subprogs[at.index()]).stack_depth);
                frame + 1 == run.depth() && off.is_none_or(|off| i64::from(off) == found) && -found <= deepest
            }
            (Access::CallerStack, Place::Stack(frame, _)) => frame + 1 < run.depth(),
            (Access::Context { off }, Place::Context(found)) => i64::from(off) == found,
            (Access::Packet, Place::Packet(found)) => {
                let packet = run.packet();
                let (data, from) = (packet.data as i64, packet.data as i64 + found);
                from >= packet.meta as i64 && from + size <= packet.end as i64 && data >= packet.meta as i64
            }
            (Access::MapValue { map, off }, Place::MapValue(index, found)) => {
                map.is_none_or(|map| map.index() == index) && off.is_none_or(|off| i64::from(off) == found)
            }
            (Access::RawMemory, Place::Raw(found)) => {
                found >= 0 && found + size <= i64::from(self.program.raw_memory_len)
            }
            // What a global function was handed may be anywhere, and is `Mixed` like what paths disagree on.
            (Access::Mixed, Place::Context(_) | Place::Map(_) | Place::Nowhere) => false,
            (Access::Mixed, _) => true,
            (
                Access::OwnStack { .. }
                | Access::CallerStack
                | Access::Context { .. }
                | Access::Packet
                | Access::MapValue { .. }
                | Access::RawMemory,
                _,
            ) => false,
        }
    }

    fn call(&self, at: InsnIdx, target: CallTarget, run: &Stepper<'_>, checked: &mut u64) -> Option<String> {
        let fact = self.facts.at(at).call;
        match target {
            CallTarget::Subprog(off) => {
                *checked += 2;
                let callee = self.subprogs[at.jump(off)?.index()];
                let known = fact.subprog == Some(callee) && self.facts.subprog(callee).called;
                (!known).then(|| format!("calls function {}, not {:?}", callee.0, fact.subprog))
            }
            CallTarget::Helper(number) => {
                let takes_map = HelperId::from_number(number)?.info().args.first() == Some(&Arg::Map);
                let (true, Some(map)) = (takes_map, fact.map) else { return None };
                *checked += 1;
                let place = run.place(run.top(Reg::R1)?);
                (place != Place::Map(map.index())).then(|| format!("is called with {place:?}, not {map:?}"))
            }
            CallTarget::Kfunc { .. } => None,
        }
    }

    /// What is wrong about where control went from an instruction, if anything.
    pub fn after(&self, at: InsnIdx, went: InsnIdx, checked: &mut u64) -> Option<String> {
        let (Insn::Branch { off, .. } | Insn::MayGoto { off }) = self.program.insns[at.index()] else {
            return None;
        };
        *checked += 1;
        let reach = self.facts.at(at).reach;
        let taken = at.jump(off.into()) == Some(went);
        let falls = at.jump(0) == Some(went);
        let known = (taken && reach.taken) || (falls && reach.fallthrough);
        (!known).then(|| format!("goes to {went}, which was taken for impossible"))
    }
}
