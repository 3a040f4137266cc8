//! Which numbers a proof relied on.
//!
//! Most numbers do not matter: a program that copies a counter is safe whatever it counts. When
//! a number does matter (it decides a branch, an offset, a length), this module walks the path
//! backwards and marks, in every checkpoint on the way, the numbers from which it was computed. Pruning
//! compares only those. A mark too few is a hole in the verifier, so where the walk loses track it marks
//! everything.

use brolga_abi::{Arg, HelperId};

use super::equal::live_in;
use super::explore::Explorer;
use super::loops::Segment;
use super::obligations::RegSet;
use super::planted::{Planted, is_planted};
use super::prune::{Marks, NodeId};
use super::stack::SLOTS;
use super::state::{MAX_FRAMES, Place, State};
use crate::isa::{AluOp, AtomicOp, CallTarget, Insn, InsnIdx, LegacyOffset, Operand, Reg};

/// One executed instruction of the current path, and what the walk back needs to know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The instruction.
    pub at: InsnIdx,
    /// Which set of equal numbers it narrowed: 1 more than an index into [`Trail::links`]; 0 for none.
    pub links: u32,
    /// The frame and slot to or from which it moved a register.
    pub slot: Option<(u8, u8)>,
    /// Branches: operands that are stack pointers, which no number decides.
    pub pointers: RegSet,
    /// Exits: whether a helper called the function, so that the call comes next.
    pub leaves_callback: bool,
    /// Registers of which one must be wanted for the walk back to change here; see [`affects`].
    affects: RegSet,
}

/// In [`affects`]: the walk back always looks at the instruction.
const ALWAYS: u16 = 1 << 15;

/// Registers of which one must be wanted for [`Wanted::undo`] to change anything at an instruction, where the step
/// moved no register to or from a slot and narrowed no numbers. A register too few would lose marks.
pub(super) fn affects(insn: &Insn) -> RegSet {
    match *insn {
        Insn::Alu { dst, .. }
        | Insn::MovSx { dst, .. }
        | Insn::LoadImm64 { dst, .. }
        | Insn::AddrSpaceCast { dst, .. }
        | Insn::Load { dst, .. }
        | Insn::LoadAcquire { dst, .. } => RegSet::of(dst),
        Insn::Store { base, .. } | Insn::StoreRelease { base, .. } => RegSet::of(base),
        Insn::Branch { dst, src, .. } => RegSet::of(dst).with_operand(src),
        Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::SecondSlot
        | Insn::Ja { .. }
        | Insn::Gotol { .. }
        | Insn::MayGoto { .. } => RegSet::NONE,
        Insn::Atomic { .. } | Insn::LegacyLoad { .. } | Insn::Call(_) | Insn::Exit => RegSet(u16::MAX),
    }
}

impl Step {
    /// An instruction is executed that [`affects`] these registers.
    pub const fn new(at: InsnIdx, affects: RegSet) -> Self {
        Self { at, links: 0, slot: None, pointers: RegSet::NONE, leaves_callback: false, affects }
    }

    /// It narrows a set of equal numbers: the walk back must look whether one of them is wanted.
    pub const fn narrows(&mut self, links: u32) {
        self.links = links;
        self.affects.0 |= ALWAYS;
    }

    /// It moves a register to or from a slot of a frame.
    pub const fn moves(&mut self, frame: u8, slot: u8) {
        self.slot = Some((frame, slot));
        self.affects.0 |= ALWAYS;
    }
}

/// Most numbers that are kept equal to one that a branch narrows.
pub(super) const MAX_LINKS: usize = 6;

/// What earlier walks wanted at regular places of the path: a walk that wants no more than that stops,
/// since all that it could mark is marked. Without them long paths would be walked again and again.
#[derive(Debug, Default)]
pub(super) struct Milestones {
    /// Of walks that wanted nothing but in the executing function: most, and branches of a loop want the same number
    /// again and again.
    near: Vec<Marks>,
    /// Of all walks.
    far: Vec<[Marks; MAX_FRAMES]>,
}

/// Steps from one of the near milestones to the next.
const NEAR: usize = 4;
/// Steps from one of the far milestones to the next.
const FAR: usize = 64;

impl Milestones {
    /// Forgets those that lie on steps which the path no longer has. One where the path ends now goes too:
    /// a checkpoint may be made there that earlier walks did not mark.
    pub fn truncate(&mut self, steps: usize) {
        self.near.truncate(steps.div_ceil(NEAR));
        self.far.truncate(steps.div_ceil(FAR));
    }

    /// A walk arrives before a step. True: an earlier one wanted at least as much there.
    #[inline]
    fn pass(&mut self, step: usize, wanted: &Wanted) -> bool {
        step.is_multiple_of(NEAR) && self.pass_milestone(step, wanted)
    }

    fn pass_milestone(&mut self, step: usize, wanted: &Wanted) -> bool {
        let (callers, top) = wanted.marks.split_at(wanted.frame);
        if callers.iter().all(|marks| *marks == Marks::default()) {
            let index = step / NEAR;
            if self.near.len() <= index {
                self.near.resize(index + 1, Marks::default());
            }
            if self.near[index].add(top[0]) {
                return true;
            }
        }
        if !step.is_multiple_of(FAR) {
            return false;
        }
        let index = step / FAR;
        if self.far.len() <= index {
            self.far.resize(index + 1, [Marks::default(); MAX_FRAMES]);
        }
        let known = self.far[index].iter_mut().zip(&wanted.marks[..=wanted.frame]);
        known.fold(true, |covered, (known, new)| known.add(*new) & covered)
    }
}

/// Numbers that a branch narrowed together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    count: usize,
    places: [(u8, u8); MAX_LINKS],
}

/// In a [`Links`], slots are told from registers by this bit.
const SLOT_BIT: u8 = 0x80;

impl Links {
    /// Adds one; false where there is no room.
    pub fn push(&mut self, frame: usize, place: Place) -> bool {
        let Some(entry) = self.places.get_mut(self.count) else { return false };
        let frame = u8::try_from(frame).expect("call depth was checked");
        *entry = match place {
            Place::Reg(reg) => (frame, reg.number()),
            Place::Slot(slot) => (frame, SLOT_BIT | u8::try_from(slot).expect("a stack has 64 slots")),
        };
        self.count += 1;
        true
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Place)> + use<'_> {
        self.places[..self.count].iter().map(|&(frame, place)| {
            let place = match Reg::new(place) {
                Some(reg) => Place::Reg(reg),
                None => Place::Slot((place & !SLOT_BIT).into()),
            };
            (usize::from(frame), place)
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }
}

/// What is to be marked, while walking back.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    frame: usize,
    marks: [Marks; MAX_FRAMES],
}

/// The walk lost track.
pub(super) struct Lost;

impl Wanted {
    fn new(frame: usize) -> Self {
        Self { frame, marks: [Marks::default(); MAX_FRAMES] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.marks[..=self.frame].iter().all(|m| *m == Marks::default())
    }

    /// Whether one of these registers is wanted.
    fn touches(&self, regs: RegSet) -> bool {
        (self.marks[self.frame].regs | ALWAYS) & regs.0 != 0
    }

    fn top(&mut self) -> &mut Marks {
        &mut self.marks[self.frame]
    }

    fn has(&self, reg: Reg) -> bool {
        self.marks[self.frame].regs & RegSet::of(reg).0 != 0
    }

    fn add(&mut self, reg: Reg) {
        // The frame pointer is no number.
        if reg != Reg::R10 {
            self.top().regs |= RegSet::of(reg).0;
        }
    }

    /// Removes a register; whether it was there.
    fn take(&mut self, reg: Reg) -> bool {
        let had = self.has(reg);
        self.top().regs &= !RegSet::of(reg).0;
        had
    }

    fn add_place(&mut self, frame: usize, place: Place) {
        let marks = &mut self.marks[frame];
        match place {
            Place::Reg(reg) => marks.regs |= RegSet::of(reg).0,
            Place::Slot(slot) => marks.slots |= 1 << slot,
        }
    }

    /// Numbers that a branch narrowed together are known through each other.
    fn link(&mut self, links: Option<&Links>) {
        let Some(links) = links else { return };
        let reaches = |frame: usize| frame <= self.frame;
        if links.iter().any(|(frame, place)| reaches(frame) && self.marks[frame].has(place)) {
            let frames = self.frame;
            for (frame, place) in links.iter().filter(|(frame, _)| *frame <= frames) {
                self.add_place(frame, place);
            }
        }
    }

    fn enter(&mut self) -> Result<(), Lost> {
        if self.frame + 1 >= MAX_FRAMES {
            return Err(Lost);
        }
        self.frame += 1;
        Ok(())
    }

    /// Undoes one step: what must be known before it, so that what is wanted is known after it. `next`
    /// is the instruction that was executed after it.
    fn undo(&mut self, insn: &Insn, step: &Step, next: InsnIdx, global: bool) -> Result<(), Lost> {
        match *insn {
            Insn::Alu { op: AluOp::Mov, dst, src, .. } => {
                if self.take(dst)
                    && let Operand::Reg(src) = src
                {
                    self.add(src);
                }
            }
            Insn::Alu { dst, src, .. } => {
                if self.has(dst)
                    && let Operand::Reg(src) = src
                {
                    self.add(src);
                }
            }
            Insn::MovSx { dst, src, .. } => {
                if self.take(dst) {
                    self.add(src);
                }
            }
            Insn::Neg { .. } | Insn::Endian { .. } => {}
            Insn::LoadImm64 { dst, .. } | Insn::AddrSpaceCast { dst, .. } => {
                self.take(dst);
            }
            Insn::Load { dst, .. } | Insn::LoadAcquire { dst, .. } => self.load(dst, step),
            Insn::Atomic { op, base, src, .. } => return self.atomic(op, base, src, step),
            Insn::Store { base, src, .. } => return self.store(base, src, step),
            Insn::StoreRelease { base, src, .. } => return self.store(base, Operand::Reg(src), step),
            Insn::Branch { dst, src: Operand::Reg(src), .. } => {
                if self.has(dst) || self.has(src) {
                    for reg in [dst, src].into_iter().filter(|r| !step.pointers.contains(*r)) {
                        self.add(reg);
                    }
                }
            }
            Insn::LegacyLoad { offset, .. } => return self.legacy_load(offset, step, next),
            Insn::Call(target) => return self.call(target, step, next, global),
            Insn::Exit => return self.exit(step),
            Insn::Branch { .. }
            | Insn::SecondSlot
            | Insn::Ja { .. }
            | Insn::Gotol { .. }
            | Insn::MayGoto { .. } => {}
        }
        Ok(())
    }

    fn load(&mut self, dst: Reg, step: &Step) {
        if self.take(dst)
            && let Some((frame, slot)) = step.slot
        {
            self.add_place(frame.into(), Place::Slot(slot.into()));
        }
    }

    fn store(&mut self, base: Reg, src: Operand, step: &Step) -> Result<(), Lost> {
        if self.has(base) {
            return Err(Lost);
        }
        if let Some((frame, slot)) = step.slot {
            let slots = &mut self.marks[usize::from(frame)].slots;
            let had = *slots & (1 << slot) != 0;
            *slots &= !(1 << slot);
            if had && let Operand::Reg(src) = src {
                self.add(src);
            }
        }
        Ok(())
    }

    fn atomic(&mut self, op: AtomicOp, base: Reg, src: Reg, step: &Step) -> Result<(), Lost> {
        match op {
            AtomicOp::Cmpxchg => self.load(Reg::R0, step),
            AtomicOp::Xchg
            | AtomicOp::Add { fetch: true }
            | AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true } => self.load(src, step),
            AtomicOp::Add { fetch: false }
            | AtomicOp::Or { fetch: false }
            | AtomicOp::And { fetch: false }
            | AtomicOp::Xor { fetch: false } => {}
        }
        if self.has(base) { Err(Lost) } else { Ok(()) }
    }

    fn legacy_load(&mut self, _offset: LegacyOffset, step: &Step, next: InsnIdx) -> Result<(), Lost> {
        if self.has(Reg::R0) {
            return Err(Lost);
        }
        // A load that fails in a subprogram returns from it.
        if next.0 != step.at.0 + 1 { self.enter() } else { Ok(()) }
    }

    /// A tail call that succeeds in a subprogram returns from it. A call of a function does not: it was
    /// entered or, where it is global, judged apart.
    fn enter_if_left(&mut self, target: CallTarget, step: &Step, next: InsnIdx) -> Result<(), Lost> {
        match target {
            CallTarget::Helper(_) if next.0 != step.at.0 + 1 => self.enter(),
            CallTarget::Helper(_) | CallTarget::Subprog(_) | CallTarget::Kfunc { .. } => Ok(()),
        }
    }

    fn call(&mut self, target: CallTarget, step: &Step, next: InsnIdx, global: bool) -> Result<(), Lost> {
        match target {
            CallTarget::Subprog(_) if !global => {
                let leftover = self.marks[self.frame];
                let args = leftover.regs & RegSet::ARGS.0;
                if leftover.regs != args || leftover.slots != 0 || self.frame == 0 {
                    return Err(Lost);
                }
                *self.top() = Marks::default();
                self.frame -= 1;
                self.top().regs |= args;
                Ok(())
            }
            CallTarget::Helper(number) if next.0 != step.at.0 + 1 && calls_back(number) => {
                // A helper entered its callback, and handed over some of its arguments.
                let leftover = self.marks[self.frame];
                let args = leftover.regs & RegSet::ARGS.0;
                if leftover.regs != args || leftover.slots != 0 || self.frame == 0 {
                    return Err(Lost);
                }
                *self.top() = Marks::default();
                self.frame -= 1;
                if args & !RegSet::of(Reg::R1).0 != 0 {
                    self.top().regs |= RegSet::of(Reg::R3).with(Reg::R4).0;
                }
                Ok(())
            }
            CallTarget::Kfunc { .. } if next.0 != step.at.0 + 1 => {
                // A kernel function entered its callback, and handed over no numbers.
                if self.marks[self.frame] != Marks::default() || self.frame == 0 {
                    return Err(Lost);
                }
                self.frame -= 1;
                Ok(())
            }
            CallTarget::Subprog(_) | CallTarget::Helper(_) | CallTarget::Kfunc { .. } => {
                self.take(Reg::R0);
                if self.top().regs & RegSet::ARGS.0 != 0 {
                    return Err(Lost);
                }
                self.enter_if_left(target, step, next)
            }
        }
    }

    fn exit(&mut self, step: &Step) -> Result<(), Lost> {
        if step.leaves_callback {
            // The caller has what it had before the call, and nothing of the callback's.
            return self.enter();
        }
        let result = self.take(Reg::R0);
        if self.top().regs & RegSet::ARGS.0 != 0 {
            return Err(Lost);
        }
        self.enter()?;
        if result {
            self.add(Reg::R0);
        }
        Ok(())
    }
}

impl Explorer<'_> {
    /// The current instruction relies on the value of a register of the executing function.
    pub(super) fn mark_precise(&mut self, reg: Reg) {
        let mut wanted = Wanted::new(self.state.depth());
        wanted.add(reg);
        self.walk_back(wanted, self.trail.len() - 1);
    }

    /// The current instruction relies on the value of a spilled number.
    pub(super) fn mark_slot_precise(&mut self, frame: usize, slot: usize) {
        let mut wanted = Wanted::new(self.state.depth());
        wanted.add_place(frame, Place::Slot(slot));
        self.walk_back(wanted, self.trail.len() - 1);
    }

    /// The current state was covered by a kept one: what that one relied on, this path relies on.
    pub(super) fn rely_on(&mut self, id: NodeId) {
        let wanted = self.relied_on(id);
        self.walk_back(wanted, self.trail.len());
    }

    /// What a kept state is known to rely on so far.
    pub(super) fn relied_on(&self, id: NodeId) -> Wanted {
        let node = self.nodes.get(id);
        let mut wanted = Wanted::new(node.state.depth());
        let lives = live_in(&self.live, &node.state, node.at);
        for (index, frame) in node.state.frames().enumerate() {
            let live = lives[index];
            let known = node.precise[index];
            let mut marks = Marks { regs: live.regs.0 & known.regs, slots: live.slots & known.slots };
            if frame.stack.depth() < SLOTS {
                marks.slots &= (1u64 << frame.stack.depth()) - 1;
            }
            wanted.marks[index] = marks;
        }
        // The depths agree, since it was made so.
        let _ = mark_node(&mut wanted, &node.state);
        wanted
    }

    /// Walks the path back from its step `end`, which is the first not to be undone.
    fn walk_back(&mut self, mut wanted: Wanted, end: usize) {
        let mut end = end;
        let mut node = self.parent;
        if wanted.is_empty() || is_planted(self.options, Planted::Pruning) {
            return;
        }
        loop {
            let start = node.map_or(0, |id| self.nodes.get(id).trail);
            for (index, step) in (start..end).zip(&self.trail[start..end]).rev() {
                if wanted.touches(step.affects) {
                    let next = self.trail.get(index + 1).map_or(self.at, |step| step.at);
                    if self.undo_step(&mut wanted, step, &self.links, next).is_err() {
                        self.mark_everything(node);
                        return;
                    }
                    if wanted.is_empty() {
                        return;
                    }
                }
                if self.milestones.pass(index, &wanted) {
                    return;
                }
            }
            let Some(id) = node else {
                // The function's entry: what it was given, it was given.
                return;
            };
            if self.mark_at(id, &mut wanted).is_none() {
                self.mark_everything(node);
                return;
            }
            if wanted.is_empty() {
                return;
            }
            end = start;
            node = self.nodes.get(id).parent;
        }
    }

    /// Undoes a step that affects what is wanted. `next`: the instruction that was executed after it.
    fn undo_step(
        &self,
        wanted: &mut Wanted,
        step: &Step,
        links: &[Links],
        next: InsnIdx,
    ) -> Result<(), Lost> {
        let links = (step.links as usize).checked_sub(1).and_then(|i| links.get(i));
        wanted.link(links);
        let insn = &self.program.insns[step.at.index()];
        let global = self.calls_global(step.at, insn);
        wanted.undo(insn, step, next, global)?;
        wanted.link(links);
        Ok(())
    }

    /// Undoes the steps of a segment, after which an instruction was executed; afterwards that is their first.
    pub(super) fn undo_steps(
        &self,
        wanted: &mut Wanted,
        segment: &Segment,
        next: &mut InsnIdx,
    ) -> Result<(), Lost> {
        for step in segment.steps.iter().rev() {
            if wanted.is_empty() {
                break;
            }
            if wanted.touches(step.affects) {
                self.undo_step(wanted, step, &segment.links, *next)?;
            }
            *next = step.at;
        }
        Ok(())
    }

    /// Marks what is wanted in a checkpoint, and drops from it what was marked before, since that was followed further
    /// back then. Whether there was more; `None` where the walk and the state disagree about the call depth.
    pub(super) fn mark_at(&mut self, id: NodeId, wanted: &mut Wanted) -> Option<bool> {
        let known = self.nodes.get_mut(id);
        if !mark_node(wanted, &known.state) {
            return None;
        }
        for (marks, precise) in wanted.marks.iter_mut().zip(&mut known.precise) {
            marks.regs &= !precise.regs;
            marks.slots &= !precise.slots;
            precise.regs |= marks.regs;
            precise.slots |= marks.slots;
        }
        Some(!wanted.is_empty())
    }

    /// The walk lost track: all numbers of all checkpoints from here back count. Whether that was news.
    pub(super) fn mark_everything(&mut self, from: Option<NodeId>) -> bool {
        let all = Marks { regs: u16::MAX, slots: u64::MAX };
        let (mut node, mut changed) = (from, false);
        while let Some(id) = node {
            let known = self.nodes.get_mut(id);
            if known.precise.iter().all(|marks| *marks == all) {
                // Only this marks everything, and did so back to the beginning then.
                break;
            }
            changed = true;
            known.precise.fill(all);
            node = known.parent;
        }
        changed
    }

    fn calls_global(&self, at: InsnIdx, insn: &Insn) -> bool {
        match *insn {
            Insn::Call(CallTarget::Subprog(off)) => at
                .jump(off)
                .and_then(|target| super::structure::subprog_at(self.program, target))
                .is_some_and(|id| self.program.subprogs[id.index()].global),
            _ => false,
        }
    }
}

/// Whether a helper calls a function of the program.
pub(super) fn calls_back(number: u32) -> bool {
    HelperId::from_number(number).is_some_and(|id| id.info().args.contains(&Arg::Func))
}

/// Drops what is no number in a state. False: the walk and the state disagree about the call depth.
fn mark_node(wanted: &mut Wanted, state: &State) -> bool {
    if wanted.frame != state.depth() {
        return false;
    }
    for (marks, frame) in wanted.marks.iter_mut().zip(state.frames()) {
        for reg in RegSet(marks.regs).iter().filter(|r| !frame.reg(*r).is_scalar()) {
            marks.regs &= !RegSet::of(reg).0;
        }
        let mut slots = marks.slots;
        while slots != 0 {
            let slot = slots.trailing_zeros() as usize;
            slots &= slots - 1;
            if !frame.stack.slot(slot).is_scalar_spill() {
                marks.slots &= !(1 << slot);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Cond, Size, Width};

    fn plain(at: InsnIdx) -> Step {
        Step::new(at, RegSet::NONE)
    }

    /// The walk back skips an instruction only where undoing it would change nothing.
    #[test]
    fn what_affects_nothing_changes_nothing() {
        let (dst, src, base) = (Reg::R2, Reg::R3, Reg::R4);
        let operands = [Operand::Reg(src), Operand::Imm(1)];
        let mut insns = vec![
            Insn::MovSx { width: Width::W64, from: Size::B, dst, src },
            Insn::Neg { width: Width::W64, dst },
            Insn::Load { size: Size::W, signed: false, dst, base, off: 0 },
            Insn::LoadAcquire { size: Size::W, dst, base, off: 0 },
            Insn::StoreRelease { size: Size::W, base, off: 0, src },
            Insn::Atomic { op: AtomicOp::Cmpxchg, size: Size::W, base, off: 0, src },
            Insn::Atomic { op: AtomicOp::Add { fetch: true }, size: Size::W, base, off: 0, src },
            Insn::LegacyLoad { size: Size::W, offset: LegacyOffset::Ind(src), imm: 0 },
            Insn::Ja { off: 1 },
            Insn::Call(CallTarget::Helper(1)),
            Insn::Call(CallTarget::Subprog(1)),
            Insn::Exit,
        ];
        for operand in operands {
            for op in [AluOp::Mov, AluOp::Add, AluOp::Xor] {
                insns.push(Insn::Alu { op, width: Width::W32, dst, src: operand });
            }
            insns.push(Insn::Store { size: Size::W, base, off: 0, src: operand });
            insns.push(Insn::Branch { cond: Cond::Eq, width: Width::W64, dst, src: operand, off: 1 });
        }
        for insn in insns {
            for reg in Reg::all().filter(|reg| *reg != Reg::R10) {
                let mut wanted = Wanted::new(1);
                wanted.add(reg);
                if wanted.touches(affects(&insn)) {
                    continue;
                }
                let before = wanted.clone();
                let undone = wanted.undo(&insn, &plain(InsnIdx(5)), InsnIdx(6), false);
                assert!(undone.is_ok() && wanted.frame == before.frame, "{insn:?} {reg:?}");
                assert_eq!(wanted.marks, before.marks, "{insn:?} {reg:?}");
            }
        }
    }
}
