//! What a verification explored, as a graph that concrete runs can walk.
//!
//! Nodes are processed instructions with the abstract state before them; edges lead to what can come next, or to the
//! checkpoint that covered a path. The recorder keeps what it is told and judges nothing. A graph can be
//! partial, where the verification ran out of its budget: then runs may leave it.

use std::collections::HashMap;

use brolga_compiler::diag::Diagnostic;
use brolga_compiler::isa::InsnIdx;
use brolga_compiler::program::{Program, SubprogId};
use brolga_compiler::verify::observe::{Cover, Covering, KeptState, Observer, StateView};

use super::fresh;

/// Registers and slots of one frame: bit n is register n, or the slot at `r10 - 8 * (n + 1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Registers.
    pub regs: u16,
    /// Slots.
    pub slots: u64,
}

/// Where a node's instruction can lead.
#[derive(Clone, Debug)]
pub enum Edge {
    /// To another node.
    Step(usize),
    /// To a node whose state covers what is there.
    Covered(Box<Pruned>),
}

impl Edge {
    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> usize {
        match self {
            Self::Step(to) => *to,
            Self::Covered(pruned) => pruned.to,
        }
    }
}

/// A path that stopped.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The node that covers it.
    pub to: usize,
    /// The state that it had.
    pub state: KeptState,
    /// Which numbers of the covering state counted when it was compared, by frame.
    pub precise: Vec<Set>,
    /// How it covers.
    pub how: Cover,
}

/// A processed instruction.
#[derive(Clone, Debug)]
pub struct Node {
    /// The instruction.
    pub at: InsnIdx,
    /// The state before it.
    pub state: KeptState,
    /// What may still be read, by frame.
    pub live: Vec<Set>,
    /// What may differ from the node before, by frame, in the state or in a run; everything where it is empty.
    pub fresh: Vec<Set>,
    /// At the head of a loop, or in it: on which numbers what follows relies, by frame.
    pub relied_on: Option<Vec<Set>>,
    /// What can come next.
    pub edges: Vec<Edge>,
    /// Ways from it that were not explored.
    pub open: u32,
}

/// All that was explored.
#[derive(Debug, Default)]
pub struct Graph {
    /// Processed instructions in order.
    pub nodes: Vec<Node>,
    /// Where functions were entered from outside, and the node there.
    pub entries: Vec<(SubprogId, usize)>,
    /// Whether the verification was refused or ran out of its budget.
    pub partial: bool,
    /// How many paths stopped at a state that covers them.
    pub pruned: usize,
    /// How often a function was begun again since a guess was wrong, or may have been.
    pub begun_again: u64,
}

/// Records a verification.
#[derive(Debug)]
pub struct Recorder<'p> {
    /// What it was so far.
    pub graph: Graph,
    program: &'p Program,
    /// The node whose instruction is being processed.
    current: Option<usize>,
    /// Nodes from which a way was left for later.
    forks: Vec<usize>,
    /// Nodes of checkpoints.
    kept: HashMap<u32, usize>,
}

fn live(state: &StateView<'_>) -> Vec<Set> {
    let sets = (0..state.depth()).map(|frame| state.live(frame));
    sets.map(|(regs, slots)| Set { regs, slots }).collect()
}

fn precise(by: Covering<'_>) -> Vec<Set> {
    let frames = 0..by.state().depth();
    frames.map(|f| Set { regs: by.precise_regs(f), slots: by.precise_slots(f) }).collect()
}

impl<'p> Recorder<'p> {
    /// For a program.
    #[must_use]
    pub fn new(program: &'p Program) -> Self {
        Self { program, graph: Graph::default(), current: None, forks: Vec::new(), kept: HashMap::new() }
    }
}

impl Observer for Recorder<'_> {
    fn enter(&mut self, subprog: SubprogId, _state: StateView<'_>) {
        assert!(self.forks.is_empty(), "functions are explored one after the other");
        self.current = None;
        self.kept.clear();
        self.graph.entries.push((subprog, self.graph.nodes.len()));
    }

    fn begin_again(&mut self) {
        self.graph.begun_again += 1;
        if let Some((_, start)) = self.graph.entries.pop() {
            self.graph.nodes.truncate(start);
        }
        self.forks.clear();
    }

    fn step(&mut self, at: InsnIdx, state: StateView<'_>) {
        let new = self.graph.nodes.len();
        let (live, state) = (live(&state), state.keep());
        let mut fresh = Vec::new();
        if let Some(current) = self.current {
            let before = &mut self.graph.nodes[current];
            before.edges.push(Edge::Step(new));
            fresh = fresh::between(&self.program.insns[before.at.index()], &before.state, &state);
        }
        self.graph.nodes.push(Node { at, state, live, fresh, relied_on: None, edges: Vec::new(), open: 0 });
        self.current = Some(new);
    }

    fn fork(&mut self, _target: InsnIdx, _state: StateView<'_>) {
        let current = self.current.expect("an instruction is being processed");
        self.graph.nodes[current].open += 1;
        self.forks.push(current);
    }

    fn resume(&mut self, _at: InsnIdx, _state: StateView<'_>) {
        let from = self.forks.pop().expect("what is resumed was left");
        self.graph.nodes[from].open -= 1;
        self.current = Some(from);
    }

    fn checkpoint(&mut self, id: u32, _at: InsnIdx, _state: StateView<'_>) {
        // The step from it follows.
        self.kept.insert(id, self.graph.nodes.len());
    }

    fn prune(&mut self, _at: InsnIdx, state: StateView<'_>, by: Covering<'_>) {
        let to = self.kept[&by.id()];
        let pruned = Pruned { to, state: state.keep(), precise: precise(by), how: by.how() };
        let current = self.current.expect("nothing is kept before the first step");
        self.graph.nodes[current].edges.push(Edge::Covered(Box::new(pruned)));
        self.graph.pruned += 1;
    }

    fn settle(&mut self, by: Covering<'_>) {
        self.graph.nodes[self.kept[&by.id()]].relied_on = Some(precise(by));
    }

    fn refuse(&mut self, _why: &Diagnostic) {
        self.graph.partial = true;
    }
}
