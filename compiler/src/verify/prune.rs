//! Checkpoints: states that paths are compared with, so that what was proven once is not proven again.
//!
//! At chosen instructions the state is kept. A path that arrives later and is covered by a kept state
//! stops there. A kept state is *complete* when no path that began in it is still unexplored; only then
//! has everything that its proof relied on been marked precise, so only complete states may cover in
//! that way. A state that comes back to an incomplete one unchanged is a loop that does not end, but for those that
//! end by themselves ([`loops`](super::loops)).
//!
//! When to keep a state and when to drop it are heuristics after Linux's: they decide cost, never
//! soundness.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use super::equal::{Exactness, IdMap, Match, Rules};
use super::explore::{Check, Explorer};
use super::loops::{Loops, NEVER, Segment};
use super::obligations::{RegSet, touches};
use super::observe::{Cover, Covering, StateView};
use super::planted::{Planted, is_planted};
use super::precision::{affects, calls_back};
use super::state::{Place, Spare, State};
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Insn, InsnIdx, Reg};

/// Index of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

impl NodeId {
    /// The number that observers are told.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Registers and slots of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Bit n is register n.
    pub regs: u16,
    /// Bit n is slot n.
    pub slots: u64,
}

impl Marks {
    /// Whether a place is among them.
    pub const fn has(&self, place: Place) -> bool {
        match place {
            Place::Reg(reg) => self.regs & RegSet::of(reg).0 != 0,
            Place::Slot(slot) => self.slots >> slot & 1 != 0,
        }
    }

    /// Adds others; true: there were none but known ones.
    pub const fn add(&mut self, new: Self) -> bool {
        let covered = new.regs & !self.regs == 0 && new.slots & !self.slots == 0;
        self.regs |= new.regs;
        self.slots |= new.slots;
        covered
    }
}

/// A kept state.
#[derive(Debug)]
pub(super) struct Node {
    /// The state.
    pub state: Box<State>,
    /// Where it holds.
    pub at: InsnIdx,
    /// The checkpoint before it on its path.
    pub parent: Option<NodeId>,
    /// How many steps its path had made.
    pub trail: usize,
    /// Which numbers its proof relied on, by frame.
    pub precise: Vec<Marks>,
    /// How many checkpoints its path had before it.
    pub depth: u32,
    /// The least depth of an open checkpoint that can be reached from here; [`loops::NEVER`](super::loops::NEVER) where
    /// there is none.
    pub low: u32,
    /// Where it stands among those that wait for an open one, if it does.
    pub pending: Option<usize>,
    /// What there was of loops when it was made.
    pub marks: (usize, usize),
    /// The steps to it from its parent, where a loop may need them.
    pub segment: Option<Rc<Segment>>,
    /// Paths from here that are not explored yet.
    branches: u32,
    hits: u32,
    misses: u32,
    evicted: bool,
}

/// The checkpoints of an instruction and call site.
#[derive(Debug, Default)]
struct Spot {
    nodes: Vec<NodeId>,
    /// How many were ever made here.
    made: u32,
    /// Where one differed last.
    differs: Option<Place>,
}

/// All checkpoints.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Vec<Option<Node>>,
    free: Vec<u32>,
    /// Where the list of checkpoints of an instruction and call site is.
    places: HashMap<u64, usize, BuildHasherDefault<Mix>>,
    /// The checkpoints that states are compared with.
    visited: Vec<Spot>,
    /// Memory for comparisons.
    ids: IdMap,
    /// Loops that are not fully explored.
    pub loops: Loops,
    /// States to be used again.
    pub spare: Spare,
    /// Checkpoints made.
    pub total: u32,
    /// Most checkpoints kept at a time.
    pub peak: u32,
    bytes: usize,
}

/// Beyond this, no more states are kept: paths are explored longer instead.
const MAX_BYTES: usize = 256 << 20;

impl Nodes {
    /// A checkpoint.
    ///
    /// # Panics
    ///
    /// Where it was dropped: ids do not outlive their nodes.
    pub fn get(&self, id: NodeId) -> &Node {
        self.nodes[id.0 as usize].as_ref().expect("a node in use is kept")
    }

    /// A checkpoint, to change.
    pub fn get_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id.0 as usize].as_mut().expect("a node in use is kept")
    }

    fn kept(&self) -> u32 {
        u32::try_from(self.nodes.len() - self.free.len()).unwrap_or(u32::MAX)
    }

    /// The list of checkpoints with which a state is compared.
    fn place(&mut self, at: InsnIdx, state: &State) -> usize {
        let next = self.visited.len();
        let place = *self.places.entry(key_of(at, state)).or_insert(next);
        if place == next {
            self.visited.push(Spot::default());
        }
        place
    }

    /// How many checkpoints were ever made where a state stands.
    pub fn made_at(&self, at: InsnIdx, state: &State) -> u32 {
        self.places.get(&key_of(at, state)).map_or(0, |place| self.visited[*place].made)
    }

    fn add(&mut self, node: Node, place: usize) -> NodeId {
        self.total += 1;
        self.bytes += size_of_state(&node.state);
        let id = match self.free.pop() {
            Some(free) => {
                self.nodes[free as usize] = Some(node);
                NodeId(free)
            }
            None => {
                self.nodes.push(Some(node));
                NodeId(u32::try_from(self.nodes.len() - 1).expect("fewer checkpoints than instructions"))
            }
        };
        self.peak = self.peak.max(self.kept());
        let spot = &mut self.visited[place];
        spot.nodes.push(id);
        spot.made += 1;
        id
    }

    fn release(&mut self, id: NodeId) {
        if let Some(node) = self.nodes[id.0 as usize].take() {
            self.bytes = self.bytes.saturating_sub(size_of_state(&node.state));
            self.free.push(id.0);
            self.spare.take(node.state);
        }
    }

    /// A copy of a state that a path ended in.
    pub fn keep_guess(&mut self, state: &State) -> Box<State> {
        self.bytes += size_of_state(state);
        self.spare.copy(state)
    }

    /// Nothing more is asked of such a copy.
    pub fn drop_guess(&mut self, state: Box<State>) {
        self.bytes = self.bytes.saturating_sub(size_of_state(&state));
        self.spare.take(state);
    }

    /// One more path begins after a checkpoint.
    pub fn branch(&mut self, id: Option<NodeId>) {
        if let Some(id) = id {
            self.get_mut(id).branches += 1;
        }
    }

    /// A path that began after a checkpoint has ended. Gives the checkpoint's parent where it was the last.
    pub fn close(&mut self, id: NodeId) -> Option<Option<NodeId>> {
        let node = self.get_mut(id);
        node.branches -= 1;
        (node.branches == 0).then_some(node.parent)
    }

    /// Drops a closed checkpoint with which nothing is compared any more.
    pub fn drop_evicted(&mut self, id: NodeId) {
        if self.get(id).evicted {
            self.release(id);
        }
    }

    /// Forgets everything, for the next function.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.free.clear();
        self.places.clear();
        self.visited.clear();
        self.loops = Loops::default();
        self.bytes = 0;
    }
}

/// About how much memory a state holds; frames shared with other states are counted in full.
fn size_of_state(state: &State) -> usize {
    let top = state.top();
    size_of::<Node>() + size_of_val(state) + top.stack.size() + 64 * state.depth()
}

/// States are kept by instruction and call site.
fn key_of(at: InsnIdx, state: &State) -> u64 {
    let callsite = state.top().callsite.map_or(0, |call| u64::from(call.0) + 1);
    u64::from(at.0) | callsite << 32
}

/// Hashes keys that are numbers already. Whoever makes two of them collide pays with time that the budget
/// bounds.
#[derive(Clone, Copy, Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Whether a loop through an instruction ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ends {
    /// Not that anybody knows.
    #[default]
    Unknown,
    /// After as many rounds as `may_goto` goes on.
    ByBudget,
    /// It asks an iterator, or is a call that calls back.
    ByItself,
}

/// What kind of place for a checkpoint an instruction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// States are compared here.
    pub prune: bool,
    /// Paths join or split here, which counts towards making a checkpoint.
    pub join: bool,
    /// A checkpoint is always made here.
    pub force: bool,
    /// Whether a loop through here ends by itself.
    pub ends: Ends,
    /// Registers that must be initialised.
    pub reads: RegSet,
    /// Whether `r10` would be written, which nothing may.
    pub writes_frame_pointer: bool,
    /// Registers of which one must be wanted for a walk back to change here; see [`affects`].
    pub affects: RegSet,
}

/// Chooses the places, as Linux does: jump targets, branches, calls and what follows them.
pub(super) fn points(insns: &[Insn]) -> Vec<Point> {
    let known = |insn| {
        let touched = touches(insn);
        Point {
            reads: touched.reads,
            // Atomic operations say so themselves.
            writes_frame_pointer: touched.writes.contains(Reg::R10) && !matches!(insn, Insn::Atomic { .. }),
            affects: affects(insn),
            ..Point::default()
        }
    };
    let mut points: Vec<Point> = insns.iter().map(known).collect();
    let mut mark = |at: Option<InsnIdx>, point: Point| {
        if let Some(known) = at.and_then(|at| points.get_mut(at.index())) {
            known.prune |= point.prune;
            known.join |= point.join;
            known.force |= point.force;
            if point.ends != Ends::Unknown {
                known.ends = point.ends;
            }
        }
    };
    let prune = Point { prune: true, ..Point::default() };
    let join = Point { join: true, ..prune };
    for (at, insn) in (0u32..).map(InsnIdx).zip(insns) {
        match *insn {
            Insn::Ja { off } => mark(at.jump(off.into()), join),
            Insn::Gotol { off } => mark(at.jump(off), join),
            Insn::Branch { off, .. } => {
                mark(Some(at), prune);
                mark(at.jump(off.into()), join);
            }
            Insn::MayGoto { off } => {
                mark(Some(at), Point { force: true, ends: Ends::ByBudget, ..prune });
                mark(at.jump(off.into()), join);
            }
            Insn::Call(target) => {
                mark(at.jump(0), join);
                if let CallTarget::Helper(number) = target
                    && calls_back(number)
                {
                    mark(Some(at), Point { force: true, ends: Ends::ByItself, ..prune });
                }
                if let CallTarget::Subprog(off) = target {
                    mark(Some(at), prune);
                    mark(at.jump(off), join);
                }
            }
            Insn::Alu { .. }
            | Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::LoadImm64 { .. }
            | Insn::SecondSlot
            | Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::LegacyLoad { .. }
            | Insn::Exit => {}
        }
    }
    points
}

/// Counters that decide when to make a checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Jumps processed over all paths.
    pub jumps: u32,
    /// `jumps` at the last checkpoint.
    jumps_then: u32,
    /// Instructions processed at the last checkpoint.
    insns_then: u32,
}

impl Explorer<'_> {
    /// Compares the current state with those kept here, and perhaps keeps it. True: the path need not
    /// go on.
    pub(super) fn visit(&mut self) -> Check<bool> {
        let point = self.points[self.at.index()];
        let jumps = self.pace.jumps - self.pace.jumps_then;
        let insns = self.processed - self.pace.insns_then;
        let force = point.force || self.events > 40;
        let mut keep = force || (jumps >= 2 && insns >= 8);
        let place = self.nodes.place(self.at, &self.state);
        let mut hit = None;
        if !self.nodes.visited[place].nodes.is_empty() {
            let mut spot = std::mem::take(&mut self.nodes.visited[place]);
            // Within a loop a state now and then is enough.
            let often = !force && jumps < 20 && insns < 100;
            let found = self.search(&mut spot, point, &mut keep, often);
            self.nodes.visited[place] = spot;
            hit = found?;
        }
        if let Some((id, exactness, is_guess)) = hit {
            self.nodes.get_mut(id).hits += 1;
            self.tell_prune(id, exactness);
            self.rely_on(id);
            if exactness == Exactness::Within {
                if is_guess {
                    self.guess();
                }
                self.end_in_loop(id, is_guess);
            }
            return Ok(true);
        }
        if keep && self.nodes.bytes < MAX_BYTES {
            self.keep(place);
        }
        Ok(false)
    }

    /// Compares the current state with the checkpoints of a spot, newest first: states made recently are the likeliest to
    /// cover. Those that never do are dropped. `keep`: whether the state is to be kept itself; not where there is an open
    /// one already, if that would be too `often`.
    fn search(
        &mut self,
        spot: &mut Spot,
        point: Point,
        keep: &mut bool,
        often: bool,
    ) -> Check<Option<(NodeId, Exactness, bool)>> {
        let mut ids = std::mem::take(&mut self.nodes.ids);
        ids.careless = is_planted(self.options, Planted::Ids);
        let (rules, may_guess) = (self.rules(), self.may_guess() && self.nodes.bytes < MAX_BYTES);
        let mut comparison = Match::new((&self.state, self.at), &self.live, rules, ids, spot.differs);
        let mut hit = None;
        let mut index = spot.nodes.len();
        while let Some(at) = index.checked_sub(1) {
            index = at;
            let id = spot.nodes[at];
            let node = self.nodes.get_mut(id);
            let open = node.branches > 0;
            if open {
                if goes_round(point, node, &self.state) && comparison.covers(node, Exactness::Within) {
                    hit = Some((id, Exactness::Within, false));
                    break;
                }
                if stands_still(point, node, &self.state) && comparison.covers(node, Exactness::Same) {
                    return Err(self.endless(id));
                }
                *keep &= !often;
            } else {
                // What a pending state relies on is not known yet.
                let pending = node.pending.is_some();
                let known = if pending { Exactness::Within } else { Exactness::Precise };
                let tried = if may_guess { Exactness::Precise } else { known };
                if comparison.covers(node, tried) {
                    hit = Some((id, known, tried != known && !comparison.covers(node, known)));
                    break;
                }
            }
            node.misses += u32::from(*keep);
            let patience = if point.force && open { 64 } else { 3 };
            if node.misses > node.hits.saturating_mul(patience).saturating_add(patience) {
                spot.nodes.remove(at);
                node.evicted = true;
                if !open && node.pending.is_none() {
                    self.nodes.release(id);
                }
            }
        }
        (self.nodes.ids, spot.differs) = comparison.end();
        Ok(hit)
    }

    /// How states are compared.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            reads_unwritten: self.options.privilege.may_learn_addresses(),
            exact_numbers: self.sanitation.exact_numbers,
        }
    }

    fn keep(&mut self, place: usize) {
        self.pace.jumps_then = self.pace.jumps;
        self.pace.insns_then = self.processed;
        self.events = 0;
        let depth = self.parent.map_or(0, |id| self.nodes.get(id).depth + 1);
        let node = Node {
            depth,
            low: NEVER,
            pending: None,
            marks: self.nodes.loops.marks(),
            segment: self.has_loops.then(|| Rc::new(self.segment())),
            precise: vec![Marks::default(); self.state.depth() + 1],
            state: self.copy(),
            at: self.at,
            parent: self.parent,
            trail: self.trail.len(),
            branches: 1,
            hits: 0,
            misses: 0,
            evicted: false,
        };
        let id = self.nodes.add(node, place);
        self.parent = Some(id);
        if let Some(observer) = &mut self.observer {
            let state = StateView { state: &self.state, live: &self.live, at: self.at };
            observer.checkpoint(id.0, self.at, state);
        }
    }

    fn tell_prune(&mut self, id: NodeId, exactness: Exactness) {
        let Some(observer) = &mut self.observer else { return };
        let how = match exactness {
            Exactness::Precise => Cover::Explored,
            Exactness::Within | Exactness::Same => Cover::Loop,
        };
        let by = Covering { id: id.0, node: self.nodes.get(id), how, live: &self.live };
        observer.prune(self.at, StateView { state: &self.state, live: &self.live, at: self.at }, by);
    }

    fn endless(&self, id: NodeId) -> Box<Diagnostic> {
        let at = self.at;
        let first = self.nodes.get(id).trail;
        let back = self.trail.get(first..).and_then(|steps| steps.last()).map(|s| s.at);
        let mut diagnostic =
            Diagnostic::at(Code::InfiniteLoop, at, format!("infinite loop detected at insn {at}"));
        if let Some(back) = back {
            diagnostic = diagnostic.note(Some(back), "the loop comes back from here with nothing changed");
        }
        Box::new(diagnostic.help("make each round change what the loop's condition reads"))
    }
}

/// A `may_goto` loop ends after some rounds by itself, as do a helper's calls of a function, so coming back to a
/// state that covers this one is progress.
fn goes_round(point: Point, node: &Node, state: &State) -> bool {
    match point.ends {
        Ends::Unknown => false,
        Ends::ByBudget => node.state.may_goto_depth != state.may_goto_depth,
        Ends::ByItself => true,
    }
}

/// Coming back to the same state is no progress.
fn stands_still(point: Point, node: &Node, state: &State) -> bool {
    point.ends != Ends::ByItself
        && node.state.may_goto_depth == state.may_goto_depth
        && node.state.callback_depth == state.callback_depth
}
