//! Loops that converge: paths that end at a state which is not fully explored itself.
//!
//! At an iterator's next, a `may_goto` or a call that calls back, a path may stop where an *open* checkpoint covers it
//! (one from which paths are still to be explored), since the loop is known to end by itself. What will be relied on
//! from there is not known yet, so until it is, the states of the path are *pending*: they are compared by all their
//! numbers, or on a [guess](super::guesses) by those that are marked so far. When everything that such a loop reaches has
//! been explored, marks are carried along the edges by which paths ended at open or pending states, again and again until
//! nothing changes; from then on these states are like all others.
//!
//! Loops are found as strongly connected components of checkpoints, by depth: a checkpoint's `low` is the depth of
//! the outermost open one that can be reached from it. It could be wrong by settling a component too early, before all
//! of its edges are there, or by losing the steps of a path, which are therefore kept with the checkpoints.

use std::rc::Rc;

use super::explore::Explorer;
use super::observe::{Cover, Covering};
use super::precision::{Links, Step};
use super::prune::{NodeId, Nodes};
use super::state::State;

/// A depth that no checkpoint has.
pub(super) const NEVER: u32 = u32::MAX;

/// How often marks are carried along a component's edges before everything is marked.
const ROUNDS: usize = 64;

/// Steps between two checkpoints, apart from the current path.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// The steps; their links are counted within `links`.
    pub steps: Vec<Step>,
    /// Numbers that were narrowed together.
    pub links: Vec<Links>,
}

/// A path that ended at an open or pending checkpoint.
#[derive(Debug)]
pub(super) struct Edge {
    /// The last checkpoint of the path.
    from: NodeId,
    /// The steps that it made from there.
    segment: Segment,
    /// Where it ended.
    pub to: NodeId,
    /// Its state, where it may not be covered.
    pub guess: Option<Box<State>>,
}

/// Components that are not settled.
#[derive(Debug, Default)]
pub(super) struct Loops {
    /// Closed checkpoints that are pending, in the order in which they were closed.
    pending: Vec<NodeId>,
    /// Parts of `pending`: where each begins, and the depth of the open checkpoint on which it waits.
    parts: Vec<(usize, u32)>,
    edges: Vec<Edge>,
}

impl Loops {
    /// How many checkpoints are pending, and how many edges there are: what comes later belongs to who asks now.
    pub fn marks(&self) -> (usize, usize) {
        (self.pending.len(), self.edges.len())
    }

    /// The depth of the open checkpoint on which a pending one waits.
    fn waits_for(&self, place: usize) -> u32 {
        let part = self.parts.partition_point(|(start, _)| *start <= place);
        part.checked_sub(1).map_or(0, |part| self.parts[part].1)
    }
}

impl Nodes {
    /// A closed checkpoint waits for an open one further out; with it, all that waited within it.
    fn wait(&mut self, id: NodeId) {
        let place = self.loops.pending.len();
        self.loops.pending.push(id);
        let node = self.get_mut(id);
        node.pending = Some(place);
        let (low, start) = (node.low, node.marks.0);
        if let Some(parent) = node.parent {
            let parent = self.get_mut(parent);
            parent.low = parent.low.min(low);
        }
        self.loops.parts.retain_mut(|(first, _)| *first < start);
        self.loops.parts.push((start, low));
    }

    /// Nothing is left to learn of a pending checkpoint.
    fn settle(&mut self, id: NodeId) {
        let node = self.get_mut(id);
        (node.pending, node.parent, node.low) = (None, None, NEVER);
        node.segment = None;
        self.drop_evicted(id);
    }
}

impl Explorer<'_> {
    /// The steps since the last checkpoint, to be kept.
    pub(super) fn segment(&self) -> Segment {
        let start = self.parent.map_or(0, |id| self.nodes.get(id).trail);
        let mut segment = Segment { steps: self.trail[start..].to_vec(), links: Vec::new() };
        for step in segment.steps.iter_mut().filter(|step| step.links != 0) {
            if let Some(links) = self.links.get(step.links as usize - 1) {
                segment.links.push(*links);
                step.links = u32::try_from(segment.links.len()).expect("fewer links than steps");
            }
        }
        segment
    }

    /// The current path ends at a checkpoint that is open or pending.
    pub(super) fn end_in_loop(&mut self, to: NodeId, is_guess: bool) {
        let Some(from) = self.parent else { return };
        let guess = is_guess.then(|| self.nodes.keep_guess(&self.state));
        let edge = Edge { from, segment: self.segment(), to, guess };
        self.nodes.loops.edges.push(edge);
        let target = self.nodes.get(to);
        let low = target.pending.map_or(target.depth, |place| self.nodes.loops.waits_for(place));
        let last = self.nodes.get_mut(from);
        last.low = last.low.min(low);
    }

    /// The current path has ended: closes the checkpoints from which no other is left. False: the function must be begun
    /// again.
    pub(super) fn close_path(&mut self) -> bool {
        let mut next = self.parent;
        while let Some(id) = next {
            let Some(parent) = self.nodes.close(id) else { return true };
            next = parent;
            let node = self.nodes.get(id);
            if node.low < node.depth {
                self.nodes.wait(id);
                continue;
            }
            if node.low == node.depth && !self.settle_component(id) {
                return false;
            }
            self.nodes.settle(id);
        }
        true
    }

    /// Everything that can be reached from a checkpoint was explored. Whether what was guessed is right.
    fn settle_component(&mut self, root: NodeId) -> bool {
        let (pending, edges) = self.nodes.get(root).marks;
        let edges = self.nodes.loops.edges.split_off(edges);
        let mut settled = false;
        for _ in 0..ROUNDS {
            // Each edge, whatever the others told.
            let news = edges.iter().filter(|edge| self.carry(edge)).count();
            settled = news == 0;
            if settled {
                break;
            }
        }
        if !settled {
            for edge in &edges {
                self.mark_everything(Some(edge.from));
            }
        }
        let right = edges.iter().all(|edge| self.is_right(edge));
        edges.into_iter().filter_map(|edge| edge.guess).for_each(|guess| self.nodes.drop_guess(guess));
        self.nodes.loops.parts.retain(|(start, _)| *start < pending);
        self.tell_settled(root);
        for id in self.nodes.loops.pending.split_off(pending) {
            self.tell_settled(id);
            self.nodes.settle(id);
        }
        right
    }

    fn tell_settled(&mut self, id: NodeId) {
        if let Some(observer) = &mut self.observer {
            let node = self.nodes.get(id);
            observer.settle(Covering { id: id.number(), node, how: Cover::Explored, live: &self.live });
        }
    }

    /// What is relied on where a path ended is relied on along it. Whether that was news.
    fn carry(&mut self, edge: &Edge) -> bool {
        let mut wanted = self.relied_on(edge.to);
        let mut next = self.nodes.get(edge.to).at;
        let (mut node, mut changed) = (edge.from, false);
        let mut kept: Option<Rc<Segment>> = None;
        loop {
            let segment = kept.as_deref().unwrap_or(&edge.segment);
            if self.undo_steps(&mut wanted, segment, &mut next).is_err() {
                return self.mark_everything(Some(node)) || changed;
            }
            if wanted.is_empty() {
                return changed;
            }
            let Some(fresh) = self.mark_at(node, &mut wanted) else {
                return self.mark_everything(Some(node)) || changed;
            };
            changed |= fresh;
            if wanted.is_empty() {
                return changed;
            }
            let known = self.nodes.get(node);
            let (Some(parent), Some(segment)) = (known.parent, &known.segment) else { return changed };
            (kept, node) = (Some(Rc::clone(segment)), parent);
        }
    }
}

#[cfg(test)]
mod tests {
    //! What must not be taken for covered in a loop: what is wrong in a late round only.

    use brolga_abi::ProgramKind;

    use crate::diag::Code;
    use crate::verify::tests::{code, judge, program};

    /// Round by round a step of `r7` leads to a use of `r6` as an offset from the stack's end. `r6` is set
    /// to something else in a round in which nothing uses it yet, so when the loop is met again nothing seems to rely on it.
    const LATE_USE: &str = "*(u64 *)(r10 - 8) = 0
        r6 = -8
        r7 = 0
        round:
        may_goto out
        if r7 != STEPS goto idle
        r1 = r10
        r1 += r6
        r0 = *(u8 *)(r1 + 0)
        idle:
        call bpf_get_prandom_u32
        if r0 == 1 goto other
        if r0 == 2 goto step
        goto round
        other:
        r6 = OTHER
        goto round
        step:
        if r7 == STEPS goto round
        r7 += 1
        goto round
        out:
        r0 = 0
        exit";

    #[test]
    fn a_number_that_is_used_rounds_later_counts() {
        for steps in ["1", "2", "3"] {
            let text = LATE_USE.replace("STEPS", steps);
            assert!(judge(&program(ProgramKind::Xdp, &text.replace("OTHER", "-4"))).is_ok(), "{steps}");
            assert_eq!(code(&program(ProgramKind::Xdp, &text.replace("OTHER", "-600"))), Code::StackBounds);
        }
    }

    /// The same through the stack, and with an inner loop between setting and use.
    const NESTED: &str = "*(u64 *)(r10 - 8) = 0
        *(u64 *)(r10 - 16) = -8
        r7 = 0
        outer:
        may_goto out
        if r7 == 0 goto inner
        r2 = *(u64 *)(r10 - 16)
        r1 = r10
        r1 += r2
        r0 = *(u8 *)(r1 + 0)
        inner:
        may_goto outer
        call bpf_get_prandom_u32
        if r0 == 1 goto other
        if r0 == 2 goto step
        goto inner
        other:
        r2 = OTHER
        *(u64 *)(r10 - 16) = r2
        goto inner
        step:
        r7 = 1
        goto outer
        out:
        r0 = 0
        exit";

    #[test]
    fn a_number_that_the_outer_loop_uses_counts_in_the_inner_one() {
        assert!(judge(&program(ProgramKind::Xdp, &NESTED.replace("OTHER", "-4"))).is_ok());
        assert_eq!(code(&program(ProgramKind::Xdp, &NESTED.replace("OTHER", "-600"))), Code::StackBounds);
    }

    /// The callback hands an offset to its next round, which hands it to the one after.
    const HANDED_ON: &str = "*(u64 *)(r10 - 8) = 0
        *(u64 *)(r10 - 16) = -8
        *(u64 *)(r10 - 24) = -8
        r1 = 9
        r2 = subprog[round]
        r3 = r10
        r3 += -24
        r4 = 0
        call bpf_loop
        r2 = *(u64 *)(r10 - 24)
        r1 = r10
        r1 += r2
        r0 = *(u8 *)(r1 + 0)
        exit
        round:
        r1 = *(u64 *)(r2 + 8)
        *(u64 *)(r2 + 0) = r1
        r6 = r2
        call bpf_get_prandom_u32
        if r0 != 1 goto on
        *(u64 *)(r6 + 8) = OTHER
        on:
        r0 = 0
        exit";

    #[test]
    fn a_number_that_rounds_of_a_callback_hand_on_counts_behind_the_call() {
        let with = |other| HANDED_ON.replace("OTHER", other);
        assert!(judge(&program(ProgramKind::Xdp, &with("-8"))).is_ok());
        // As in Linux, numbers that change from round to round are forgotten.
        assert_eq!(code(&program(ProgramKind::Xdp, &with("-600"))), Code::PointerOffset);
    }
}
