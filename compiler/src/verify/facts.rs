//! What the verifier proved, instruction by instruction.
//!
//! Only `verify` can build [`Facts`]; the lowering trusts nothing else. Two rules keep them sound
//! under pruning, which lets a path stop at an earlier state that differs in imprecise scalars:
//!
//! - A fact about *what kind* of thing an operand is (region, map, subprogram, reachability, the
//!   directions of a branch) is joined over all explored states: pruning compares those, or marks
//!   precise what decided them.
//! - A fact about a *scalar's value* is never taken from explored states. It comes from passes over
//!   the verified program (`opt`), or is not recorded.
//!
//! Offsets of pointers are of the first sort: pruning compares them, and scalars that are added to pointers
//! are precise.

use crate::isa::InsnIdx;
use crate::program::{MapId, SubprogId};

/// Which ways control can leave an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Some path executes the instruction.
    pub executed: bool,
    /// Branches: some path takes the jump.
    pub taken: bool,
    /// Branches: some path goes on to the next instruction.
    pub fallthrough: bool,
}

/// The memory that an access touches: proven in bounds, non-null, and allowed for the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The executing function's own stack frame, at this offset from `r10` (negative), or at
    /// several or a variable one.
    OwnStack {
        /// The constant offset of the first byte, where there is only one.
        off: Option<i32>,
    },
    /// The stack frame of a caller.
    CallerStack,
    /// The context field at this UAPI offset. The access is to be rewritten.
    Context {
        /// UAPI offset of the first byte.
        off: u32,
    },
    /// The packet or its metadata.
    Packet,
    /// A value of a map: global data, an array's or a hash's element.
    MapValue {
        /// The map, where there is only one.
        map: Option<MapId>,
        /// The constant offset within the value, where there is only one.
        off: Option<u32>,
    },
    /// The buffer of a `raw_memory` program.
    RawMemory,
    /// Proven safe, but paths differ in the region. Never the context.
    Mixed,
}

/// Where in its region an access begins, over all paths.
///
/// Pruning compares offsets of pointers, whose variable parts were precise where they were added, so this is joined over
/// explored states as what kind of memory it is. Offsets are relative to `r10` of the executing function, or to the start of
/// the value, the buffer, the context or the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Least offset of the first byte.
    pub min: i32,
    /// Greatest offset of the first byte.
    pub max: i32,
    /// Every offset is a multiple of 2 to this power.
    pub align: u8,
}

impl Span {
    fn join(self, other: Self) -> Self {
        let (min, max) = (self.min.min(other.min), self.max.max(other.max));
        Self { min, max, align: self.align.min(other.align) }
    }
}

/// What only a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A socket, whose fields Linux rewrites.
    Socket,
    /// A structure of the kernel, or one that the program allocated.
    Structure,
    /// An arena.
    Arena,
    /// Other memory of the kernel.
    Memory,
    /// A function that a helper calls back.
    Callback,
    /// A map of a kind that Brolga cannot make.
    Map,
    /// A kernel function.
    Function,
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Socket => "a socket",
            Self::Structure => "a structure of the kernel",
            Self::Arena => "an arena",
            Self::Memory => "memory of the kernel",
            Self::Function => "a kernel function",
            Self::Map => "a map of this kind",
            Self::Callback => "a function that a helper calls back",
        })
    }
}

/// What is known of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallFact {
    /// Helpers that take a map: which one, where all paths agree.
    pub map: Option<MapId>,
    /// Calls of subprograms: which one.
    pub subprog: Option<SubprogId>,
}

/// Facts of one instruction slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InsnFact {
    /// Where control goes.
    pub reach: Reach,
    /// Loads, stores and atomics: what they touch.
    pub access: Option<Access>,
    /// Loads, stores and atomics of one region: where in it. Not known of a caller's stack.
    pub span: Option<Span>,
    /// What the instruction needs that only a kernel has, on some path: the program is safe, but Brolga cannot run it.
    pub foreign: Option<Foreign>,
    /// Calls: what is called with what.
    pub call: CallFact,
}

/// Facts of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubprogFact {
    /// Whether any path calls it (the main function: always).
    pub called: bool,
    /// Bytes of its own stack frame that it uses, at most 512.
    pub stack_depth: u32,
    /// Whether it, or a function that it calls, makes a tail call.
    pub tail_calls: bool,
}

/// All facts of an accepted program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    insns: Box<[InsnFact]>,
    subprogs: Box<[SubprogFact]>,
}

impl Facts {
    /// Collected by the explorer; nobody else proves anything.
    pub(super) fn new(insns: Box<[InsnFact]>, subprogs: Box<[SubprogFact]>) -> Self {
        Self { insns, subprogs }
    }

    /// The facts of an instruction.
    #[must_use]
    pub fn at(&self, at: InsnIdx) -> &InsnFact {
        &self.insns[at.index()]
    }

    /// The facts of a function.
    #[must_use]
    pub fn subprog(&self, id: SubprogId) -> &SubprogFact {
        &self.subprogs[id.index()]
    }
}

#[cfg(test)]
impl Facts {
    /// Facts for tests of code generation, unproven: what can be reached is executed, branches go both
    /// ways, memory is the stack through `r10` and otherwise unknown. `adjust` sees each fact last.
    pub(crate) fn assumed(
        program: &crate::program::Program,
        mut adjust: impl FnMut(InsnIdx, &mut InsnFact),
    ) -> Self {
        use crate::isa::{CallTarget, Insn, Reg};
        let mut insns = vec![InsnFact::default(); program.insns.len()].into_boxed_slice();
        let mut work: Vec<InsnIdx> = program.subprogs.iter().map(|s| s.start).collect();
        while let Some(at) = work.pop() {
            let fact = &mut insns[at.index()];
            if std::mem::replace(&mut fact.reach.executed, true) {
                continue;
            }
            fact.reach = Reach { executed: true, taken: true, fallthrough: true };
            let next = InsnIdx(at.0 + 1);
            match program.insns[at.index()] {
                Insn::Exit => {}
                Insn::Ja { off } => work.extend(at.jump(i32::from(off))),
                Insn::Gotol { off } => work.extend(at.jump(off)),
                Insn::Branch { off, .. } | Insn::MayGoto { off } => {
                    work.extend([next]);
                    work.extend(at.jump(i32::from(off)));
                }
                Insn::LoadImm64 { .. } => work.push(InsnIdx(at.0 + 2)),
                Insn::Load { base, off, .. }
                | Insn::Store { base, off, .. }
                | Insn::Atomic { base, off, .. }
                | Insn::LoadAcquire { base, off, .. }
                | Insn::StoreRelease { base, off, .. } => {
                    let stack = Access::OwnStack { off: Some(i32::from(off)) };
                    fact.access = Some(if base == Reg::R10 { stack } else { Access::Mixed });
                    work.push(next);
                }
                Insn::Call(CallTarget::Subprog(off)) => {
                    fact.call.subprog = at.jump(off).map(|target| program.subprog_of(target));
                    work.push(next);
                }
                _ => work.push(next),
            }
            adjust(at, &mut insns[at.index()]);
        }
        let subprog = SubprogFact { called: true, stack_depth: 512, tail_calls: true };
        Self::new(insns, vec![subprog; program.subprogs.len()].into_boxed_slice())
    }
}

/// Joins what is seen on all paths into facts.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    insns: Vec<InsnFact>,
    subprogs: Vec<SubprogFact>,
    /// Whether a call met more than one map.
    several_maps: Vec<bool>,
}

impl Collector {
    pub(super) fn new(insns: usize, subprogs: usize) -> Self {
        Self {
            insns: vec![InsnFact::default(); insns],
            subprogs: vec![SubprogFact::default(); subprogs],
            several_maps: vec![false; insns],
        }
    }

    /// A path executes an instruction.
    pub(super) fn executed(&mut self, at: InsnIdx) {
        self.insns[at.index()].reach.executed = true;
    }

    /// A path takes a branch.
    pub(super) fn taken(&mut self, at: InsnIdx) {
        self.insns[at.index()].reach.taken = true;
    }

    /// A path does not take a branch.
    pub(super) fn fallthrough(&mut self, at: InsnIdx) {
        self.insns[at.index()].reach.fallthrough = true;
    }

    /// A path accesses memory. False: another path needs the instruction for other memory, and not
    /// both can be served.
    #[must_use]
    pub(super) fn access(&mut self, at: InsnIdx, access: Access, foreign: Option<Foreign>) -> bool {
        let fact = &mut self.insns[at.index()];
        let rewritten =
            |foreign| matches!(foreign, Some(Foreign::Socket | Foreign::Structure | Foreign::Arena));
        if fact.access.is_some() && fact.foreign != foreign && (rewritten(fact.foreign) || rewritten(foreign))
        {
            return false;
        }
        fact.foreign = fact.foreign.or(foreign);
        let known = &mut fact.access;
        let joined = match *known {
            None => Some(access),
            Some(before) => before.join(access),
        };
        if joined.is_some() {
            *known = joined;
        }
        joined.is_some()
    }

    /// The access that a path makes, not recorded yet, begins in these places.
    pub(super) fn span(&mut self, at: InsnIdx, span: Option<Span>) {
        let fact = &mut self.insns[at.index()];
        fact.span = match (fact.access, fact.span, span) {
            (None, _, new) => new,
            (Some(_), Some(old), Some(new)) => Some(old.join(new)),
            (Some(_), _, _) => None,
        };
    }

    /// A path needs something that only a kernel has.
    pub(super) fn foreign(&mut self, at: InsnIdx, foreign: Foreign) {
        self.insns[at.index()].foreign = Some(foreign);
    }

    /// A path calls a helper with a map.
    pub(super) fn map(&mut self, at: InsnIdx, map: MapId) {
        let fact = &mut self.insns[at.index()].call.map;
        match *fact {
            Some(known) if known != map => {
                *fact = None;
                self.several_maps[at.index()] = true;
            }
            Some(_) => {}
            None if self.several_maps[at.index()] => {}
            None => *fact = Some(map),
        }
    }

    /// A path calls a function.
    pub(super) fn calls(&mut self, at: InsnIdx, subprog: SubprogId) {
        self.insns[at.index()].call.subprog = Some(subprog);
        self.subprogs[subprog.index()].called = true;
    }

    /// A function is entered from outside.
    pub(super) fn entered(&mut self, subprog: SubprogId) {
        self.subprogs[subprog.index()].called = true;
    }

    /// Whether a path calls a function.
    pub(super) fn is_called(&self, subprog: SubprogId) -> bool {
        self.subprogs[subprog.index()].called
    }

    /// A path uses this much of a function's own frame, in bytes.
    pub(super) fn stack_depth(&mut self, subprog: SubprogId, depth: u32) {
        let known = &mut self.subprogs[subprog.index()].stack_depth;
        *known = (*known).max(depth);
    }

    /// How much of a function's own frame is used so far.
    pub(super) fn stack_depth_of(&self, subprog: SubprogId) -> u32 {
        self.subprogs[subprog.index()].stack_depth
    }

    /// A function, or one that it calls, makes a tail call.
    pub(super) fn tail_calls(&mut self, subprog: SubprogId) {
        self.subprogs[subprog.index()].tail_calls = true;
    }

    /// All facts.
    pub(super) fn finish(mut self) -> Facts {
        for fact in &mut self.insns {
            // Offsets in different regions have nothing to do with each other.
            if matches!(fact.access, Some(Access::Mixed | Access::CallerStack)) {
                fact.span = None;
            }
        }
        Facts::new(self.insns.into_boxed_slice(), self.subprogs.into_boxed_slice())
    }
}

impl Access {
    /// What holds for both. `None`: the context is rewritten, so an instruction that accesses it can
    /// access nothing else.
    fn join(self, other: Self) -> Option<Self> {
        if self == other {
            return Some(self);
        }
        match (self, other) {
            (Self::Context { .. }, _) | (_, Self::Context { .. }) => None,
            (Self::OwnStack { .. }, Self::OwnStack { .. }) => Some(Self::OwnStack { off: None }),
            (Self::MapValue { map: a, off: x }, Self::MapValue { map: b, off: y }) => {
                let map = if a == b { a } else { None };
                let off = if x == y { x } else { None };
                Some(Self::MapValue { map, off })
            }
            (
                Self::OwnStack { .. }
                | Self::CallerStack
                | Self::Packet
                | Self::MapValue { .. }
                | Self::RawMemory
                | Self::Mixed,
                _,
            ) => Some(Self::Mixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_maps_join_apart() {
        let a = Access::MapValue { map: Some(MapId(1)), off: Some(4) };
        let b = Access::MapValue { map: Some(MapId(2)), off: Some(4) };
        assert_eq!(a.join(b), Some(Access::MapValue { map: None, off: Some(4) }));
        assert_eq!(a.join(Access::Packet), Some(Access::Mixed));
        assert_eq!(Access::Context { off: 4 }.join(Access::Packet), None);
    }

    #[test]
    fn spans_join_and_are_lost_where_one_is_not_known() {
        let mut all = Collector::new(2, 1);
        let span = |min, max, align| Some(Span { min, max, align });
        for new in [span(8, 16, 3), span(-4, 9, 2)] {
            all.span(InsnIdx(0), new);
            assert!(all.access(InsnIdx(0), Access::Packet, None));
        }
        for new in [span(8, 16, 3), None, span(1, 1, 0)] {
            all.span(InsnIdx(1), new);
            assert!(all.access(InsnIdx(1), Access::Packet, None));
        }
        let facts = all.finish();
        assert_eq!((facts.at(InsnIdx(0)).span, facts.at(InsnIdx(1)).span), (span(-4, 16, 2), None));
    }

    #[test]
    fn a_call_with_two_maps_has_no_map_fact() {
        let mut all = Collector::new(1, 1);
        for map in [1, 2, 1] {
            all.map(InsnIdx(0), MapId(map));
        }
        assert_eq!(all.finish().at(InsnIdx(0)).call.map, None);
    }
}
