//! Looking on while a program is verified.
//!
//! An [`Observer`] is told of each step of the exploration, with the abstract state as it is then. It only looks: nothing
//! that it does changes a verdict or a fact. The harness that checks abstract states against concrete runs is one, a log
//! of states as the kernel prints it is another: [`Observer::step`] has the state before an instruction, the next event
//! the state after it ([`Observer::fork`] for the way that is left for later, [`Observer::resume`] where a path goes on
//! from one: the kernel's "from N to M"). Precision is not part of a state: it is known of checkpoints, and final once
//! something is covered by one ([`Covering::precise_regs`]).
//!
//! Views could be wrong by showing less than pruning and transfer look at; they read the same values and
//! compute nothing.

use super::liveness::Liveness;
use super::prune::{Marks, Node};
use super::scalar::Scalar;
use super::stack::{Byte, Slot};
use super::state::{Frame, State};
use super::value::{AT_PACKET_END, BEYOND_PACKET_END, Kind, MemoryOwner, Shift, Value};
use crate::diag::Diagnostic;
use crate::isa::{InsnIdx, Reg};
use crate::program::{MapId, SubprogId};

/// Is told what a verification does. Every method does nothing unless it is written.
///
/// Paths are explored depth first: [`resume`](Self::resume) goes on with the way that was left last by
/// [`fork`](Self::fork) and not resumed yet.
pub trait Observer {
    /// A function is explored from its entry: the main function, a global one, or one that is called later.
    fn enter(&mut self, _subprog: SubprogId, _state: StateView<'_>) {}

    /// The function that was entered last will be entered again: what was seen of it counts no more.
    fn begin_again(&mut self) {}

    /// An instruction is about to be processed.
    fn step(&mut self, _at: InsnIdx, _state: StateView<'_>) {}

    /// The instruction that is being processed can also go on elsewhere, with this state: that way is left for later.
    fn fork(&mut self, _target: InsnIdx, _state: StateView<'_>) {}

    /// The exploration goes on with a way that was left for later.
    fn resume(&mut self, _at: InsnIdx, _state: StateView<'_>) {}

    /// The current state is kept, to compare later ones with. Numbers of checkpoints are used again once they were
    /// dropped.
    fn checkpoint(&mut self, _id: u32, _at: InsnIdx, _state: StateView<'_>) {}

    /// The current state is covered by a kept one; its path ends here.
    fn prune(&mut self, _at: InsnIdx, _state: StateView<'_>, _by: Covering<'_>) {}

    /// Everything that a checkpoint in a loop leads to was explored: on what was relied there is known now.
    fn settle(&mut self, _by: Covering<'_>) {}

    /// The current path has ended, behind this instruction or, after [`prune`](Self::prune), before it.
    fn end(&mut self, _at: InsnIdx) {}

    /// The program is refused. Nothing follows, unless several findings are asked for: then the current path has ended.
    fn refuse(&mut self, _why: &Diagnostic) {}
}

/// The abstract state of a path.
#[derive(Clone, Copy, Debug)]
pub struct StateView<'a> {
    pub(super) state: &'a State,
    pub(super) live: &'a Liveness,
    pub(super) at: InsnIdx,
}

impl<'a> StateView<'a> {
    /// How many functions are active: at least 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.state.depth() + 1
    }

    /// An active function, 0 for the outermost.
    ///
    /// # Panics
    ///
    /// Where there is none with that number.
    #[must_use]
    pub fn frame(&self, index: usize) -> FrameView<'a> {
        FrameView(self.state.frame(index))
    }

    /// All active functions, outermost first.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = FrameView<'a>> + use<'a> {
        self.state.frames().map(FrameView)
    }

    /// The executing function.
    #[must_use]
    pub fn top(&self) -> FrameView<'a> {
        FrameView(self.state.top())
    }

    /// What may still be read of a frame: bit n is register n; bit n is the slot at `r10 - 8 * (n + 1)`.
    #[must_use]
    pub fn live(&self, frame: usize) -> (u16, u64) {
        let live = super::equal::live_in(self.live, self.state, self.at)[frame];
        (live.regs.0, live.slots)
    }

    /// Ids of references that must be given back, with the calls that acquired them.
    pub fn references(&self) -> impl Iterator<Item = (u32, InsnIdx)> + use<'a> {
        self.state.held.refs.iter().map(|reference| (reference.id, reference.at))
    }

    /// Whether a spin lock is held; how many sections of RCU, without preemption, and without interrupts are entered.
    #[must_use]
    pub fn sections(&self) -> (bool, u32, u32, usize) {
        let held = &self.state.held;
        (held.is_locked(), held.rcu, held.preempt, held.irqs.len())
    }

    /// The state by itself; parts are shared until the path changes them.
    #[must_use]
    pub fn keep(&self) -> KeptState {
        KeptState(self.state.clone())
    }
}

/// A state that was kept by whoever looks on.
#[derive(Clone, Debug)]
pub struct KeptState(State);

impl KeptState {
    /// How many functions are active: at least 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.depth() + 1
    }

    /// An active function, 0 for the outermost.
    ///
    /// # Panics
    ///
    /// Where there is none with that number.
    #[must_use]
    pub fn frame(&self, index: usize) -> FrameView<'_> {
        FrameView(self.0.frame(index))
    }

    /// All active functions, outermost first.
    pub fn frames(&self) -> impl Iterator<Item = FrameView<'_>> {
        self.0.frames().map(FrameView)
    }
}

/// An active function.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a>(&'a Frame);

impl<'a> FrameView<'a> {
    /// Which function it is.
    #[must_use]
    pub fn subprog(&self) -> SubprogId {
        self.0.subprog
    }

    /// The call that made it; `None` for the outermost.
    #[must_use]
    pub fn callsite(&self) -> Option<InsnIdx> {
        self.0.callsite
    }

    /// Whether a helper called it.
    #[must_use]
    pub fn is_callback(&self) -> bool {
        self.0.callback.is_some()
    }

    /// What a register holds.
    #[must_use]
    pub fn reg(&self, reg: Reg) -> ValueView<'a> {
        ValueView(self.0.reg(reg))
    }

    /// A slot of its stack by number, 0 being that at `r10 - 8`; `None` below what was used.
    #[must_use]
    pub fn slot(&self, index: usize) -> Option<SlotView<'a>> {
        (index < self.0.stack.depth()).then(|| SlotView(self.0.stack.slot(index)))
    }

    /// The slots of its stack as deep as it was used, that at `r10 - 8` first.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = SlotView<'a>> + use<'a> {
        self.0.stack.slots().map(SlotView)
    }

    /// Slots that hold dynptrs, iterators and the like, which only functions may touch: the one nearest to
    /// `r10`, and how many.
    pub fn objects(&self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        self.0.objects.iter().map(|object| (object.slot, object.slots))
    }
}

/// Eight bytes of a stack.
#[derive(Clone, Copy, Debug)]
pub struct SlotView<'a>(&'a Slot);

/// What a byte of a stack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackByte {
    /// Nothing was written.
    Invalid,
    /// Anything.
    Misc,
    /// Zero.
    Zero,
    /// A byte of the register that was spilled to the slot.
    Spill,
}

impl<'a> SlotView<'a> {
    /// What its bytes hold, from the lowest address.
    #[must_use]
    pub fn bytes(&self) -> [StackByte; 8] {
        self.0.bytes.map(|byte| match byte {
            Byte::Invalid => StackByte::Invalid,
            Byte::Misc => StackByte::Misc,
            Byte::Zero => StackByte::Zero,
            Byte::Spill => StackByte::Spill,
        })
    }

    /// The register that was spilled here, and how many of its low bytes are left, from the lowest address (of the
    /// number as the machine stores it).
    #[must_use]
    pub fn spill(&self) -> Option<(ValueView<'a>, usize)> {
        self.0.is_spill().then(|| (ValueView(&self.0.spill), self.0.spill_size()))
    }
}

/// What a register or a spilled slot holds. Displays as in the kernel's log.
#[derive(Clone, Copy, Debug)]
pub struct ValueView<'a>(&'a Value);

/// What kind of thing a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Never written, or destroyed.
    Uninit,
    /// A number.
    Scalar,
    /// The program's context.
    Context,
    /// An address in a stack frame; the offset is relative to that frame's `r10`.
    Stack {
        /// Index of the frame, 0 for the outermost.
        frame: usize,
    },
    /// An address in the packet; the offset is relative to its start.
    Packet,
    /// An address in the packet's metadata; the offset is relative to its start.
    PacketMeta,
    /// The end of the packet.
    PacketEnd,
    /// A map itself.
    Map(MapId),
    /// An address in a value of a map.
    MapValue(MapId),
    /// An address in a key of a map.
    MapKey(MapId),
    /// The buffer of a `raw_memory` program, of this size.
    RawBuffer(u32),
    /// Memory of this size that a global function was handed.
    CallerMemory(u32),
    /// A function of the program.
    Func(SubprogId),
    /// Something of the kernel's; [`ValueView::name`] says what.
    Kernel,
}

/// What is known of the end of the packet from a pointer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketRange {
    /// So many bytes from offset 0 of the pointer's variable part exist.
    Bytes(u32),
    /// The pointer is at the end or beyond it.
    AtEnd,
    /// The pointer is beyond the end.
    BeyondEnd,
}

impl ValueView<'_> {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self.0.kind {
            Kind::Uninit => ValueKind::Uninit,
            Kind::Scalar => ValueKind::Scalar,
            Kind::Context => ValueKind::Context,
            Kind::Stack { frame } => ValueKind::Stack { frame: frame.into() },
            Kind::Packet => ValueKind::Packet,
            Kind::PacketMeta => ValueKind::PacketMeta,
            Kind::PacketEnd => ValueKind::PacketEnd,
            Kind::Map(map) => ValueKind::Map(map),
            Kind::MapValue(map) => ValueKind::MapValue(map),
            Kind::MapKey(map) => ValueKind::MapKey(map),
            Kind::Memory { size, owner: MemoryOwner::RawBuffer } => ValueKind::RawBuffer(size),
            Kind::Memory { size, owner: MemoryOwner::Caller } => ValueKind::CallerMemory(size),
            Kind::Func(subprog) => ValueKind::Func(subprog),
            Kind::Memory {
                owner:
                    MemoryOwner::Ringbuf | MemoryOwner::Dynptr | MemoryOwner::PacketSlice | MemoryOwner::Kernel,
                ..
            }
            | Kind::Socket(_)
            | Kind::Btf(_)
            | Kind::FlowKeys
            | Kind::Buffer(_)
            | Kind::Dynptr(_)
            | Kind::Arena => ValueKind::Kernel,
        }
    }

    /// The kernel's name for the kind.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.kind_name().to_string()
    }

    /// Pointers: whether it may be null instead.
    #[must_use]
    pub fn is_nullable(&self) -> bool {
        self.0.nullable
    }

    /// Scalars: the value. Pointers: the variable part of the offset.
    #[must_use]
    pub fn num(&self) -> &Scalar {
        &self.0.num
    }

    /// Pointers: the constant part of the offset. Scalars: how much it is more than those with its id
    /// that are 0 here; where it [wraps](Self::wraps_at_32), modulo 2^32.
    #[must_use]
    pub fn off(&self) -> i32 {
        if self.0.is_scalar() && self.0.shift == Shift::None { 0 } else { self.0.off }
    }

    /// Scalars: whether it is a sum of 32 bits, zero-extended, of numbers with its id, which are less than 2^32 where
    /// `off` is 0.
    #[must_use]
    pub fn wraps_at_32(&self) -> bool {
        self.0.is_scalar() && self.0.shift == Shift::Sum32
    }

    /// Not 0: scalars with the same id have the same value but for `off`, packet pointers the same variable
    /// part; pointers that may be null are null together.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Not 0: what it belongs to must be given back.
    #[must_use]
    pub fn reference(&self) -> u32 {
        self.0.ref_id
    }

    /// Packet pointers: what is known of the packet's end.
    #[must_use]
    pub fn range(&self) -> PacketRange {
        match self.0.range {
            AT_PACKET_END => PacketRange::AtEnd,
            BEYOND_PACKET_END => PacketRange::BeyondEnd,
            range => PacketRange::Bytes(range.try_into().unwrap_or(0)),
        }
    }

    /// Whether another is alike in everything that counts, ids included.
    #[must_use]
    pub fn is_same(&self, other: &ValueView<'_>) -> bool {
        let (a, b) = (self.0, other.0);
        a.same_but_ids(b) && (a.id, a.ref_id, a.dynptr_id) == (b.id, b.ref_id, b.dynptr_id)
    }

    /// The instruction that wrote it.
    #[must_use]
    pub fn origin(&self) -> Option<InsnIdx> {
        self.0.origin
    }
}

impl std::fmt::Display for ValueView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How a kept state covers another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// All paths from it were explored; numbers on which they did not rely may differ.
    Explored,
    /// A loop came back to it, and all numbers lie within its own.
    Loop,
}

/// A kept state that covers the current one.
#[derive(Clone, Copy, Debug)]
pub struct Covering<'a> {
    pub(super) id: u32,
    pub(super) node: &'a Node,
    pub(super) how: Cover,
    pub(super) live: &'a Liveness,
}

impl<'a> Covering<'a> {
    /// The number that [`Observer::checkpoint`] gave last.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How it covers, if it was asked.
    #[must_use]
    pub fn how(&self) -> Cover {
        self.how
    }

    /// The kept state.
    #[must_use]
    pub fn state(&self) -> StateView<'a> {
        StateView { state: &self.node.state, live: self.live, at: self.node.at }
    }

    /// The registers of a frame whose numbers were relied on: bit n is register n.
    #[must_use]
    pub fn precise_regs(&self, frame: usize) -> u16 {
        self.marks(frame).regs
    }

    /// The slots of a frame whose spilled numbers were relied on: bit n is the slot at `r10 - 8 * (n + 1)`.
    #[must_use]
    pub fn precise_slots(&self, frame: usize) -> u64 {
        self.marks(frame).slots
    }

    fn marks(&self, frame: usize) -> Marks {
        match self.how {
            Cover::Explored => self.node.precise.get(frame).copied().unwrap_or_default(),
            Cover::Loop => Marks { regs: u16::MAX, slots: u64::MAX },
        }
    }
}

#[cfg(test)]
mod tests {
    use brolga_abi::ProgramKind;

    use super::*;
    use crate::isa::asm::AsmContext;
    use crate::isa::assemble;
    use crate::program::Program;
    use crate::verify::{Options, Pruning, verify_observed};

    #[derive(Default)]
    struct Count {
        steps: u32,
        open: u32,
        paths: u32,
        pruned: u32,
    }

    impl Observer for Count {
        fn step(&mut self, at: InsnIdx, state: StateView<'_>) {
            self.steps += 1;
            assert_eq!(state.depth(), 1);
            assert!(at != InsnIdx(0) || state.top().reg(Reg::R1).kind() == ValueKind::Context);
        }

        fn fork(&mut self, _target: InsnIdx, _state: StateView<'_>) {
            self.open += 1;
        }

        fn resume(&mut self, _at: InsnIdx, _state: StateView<'_>) {
            self.open -= 1;
        }

        fn prune(&mut self, at: InsnIdx, state: StateView<'_>, by: Covering<'_>) {
            self.pruned += 1;
            assert_eq!((by.how(), by.state().at), (Cover::Explored, at));
            assert_eq!(state.live(0), by.state().live(0));
        }

        fn end(&mut self, _at: InsnIdx) {
            self.paths += 1;
        }
    }

    #[test]
    fn every_path_is_seen_with_and_without_pruning() {
        let text = "r0 = *(u32 *)(r1 + 12)
            if r0 > 5 goto +1
            r0 += 1
            if r0 > 7 goto +1
            r0 += 2
            r1 = 1
            r1 = 2
            r1 = 3
            r1 = 4
            if r0 > 9 goto +0
            r0 = 1
            exit";
        let insns = assemble(text, &AsmContext::default()).expect("the text is assembly").insns;
        let program = Program::from_insns("test", ProgramKind::Xdp, insns, Vec::new().into());
        let count = |pruning| {
            let mut count = Count::default();
            let options = Options { pruning, ..Options::default() };
            let accepted = verify_observed(&program, &options, &mut count).expect("the program is safe");
            assert_eq!((count.open, count.steps + count.pruned), (0, accepted.stats.processed));
            count
        };
        let (all, pruned) = (count(Pruning::Off), count(Pruning::On));
        assert_eq!((all.paths, all.pruned), (4, 0));
        assert!(pruned.pruned > 0 && pruned.steps < all.steps);
    }
}
