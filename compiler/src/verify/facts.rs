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
