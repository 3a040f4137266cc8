//! A concrete run walks what was explored.
//!
//! Before each instruction the run's state must lie inside the abstract state of the node where it is; after it there must
//! be an edge to where control went. Over an edge to a state that covers another, the run must lie inside the covering
//! state as far as that counts, and from there on only pointers and what is initialised are compared: numbers that no
//! proof relied on may differ. Global functions were explored apart, so the walk enters them at their own entry.

use brolga_compiler::isa::{CallTarget, Insn, InsnIdx, Reg};
use brolga_compiler::program::{Program, SubprogId};
use brolga_compiler::verify::observe::{Cover, KeptState};

use super::graph::{Edge, Graph, Node, Pruned, Set};
use super::inside::{Concrete, Counts, check};
use crate::oracle::Stepper;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Abstract states that a concrete one was compared with.
    pub steps: u64,
    /// Registers and slots in them.
    pub values: u64,
    /// Edges to covering states that were crossed.
    pub prunes: u64,
    /// Facts that were compared.
    pub facts: u64,
    /// Walks that left a graph which is partial.
    pub left: u64,
}

/// How much of a state is to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    All,
    Kinds,
}

/// Where in the graph a run is, in one function that was explored from its entry.
#[derive(Clone, Debug)]
struct Cursor {
    /// `None`: it left what was explored.
    node: Option<usize>,
    mode: Mode,
    /// Whether nothing was compared on the way to here.
    fresh: bool,
    /// The frame of the run that is the outermost here.
    base: usize,
    /// `r1` to `r5` at the entry.
    given: [Option<u64>; 5],
}

impl Cursor {
    fn counts<'g>(&self, node: &'g Node) -> Counts<'g> {
        match self.mode {
            Mode::All => Counts::All,
            Mode::Kinds => Counts::Kinds { live: &node.live },
        }
    }
}

/// One run on one graph.
pub struct Walk<'g> {
    graph: &'g Graph,
    program: &'g Program,
    cursors: Vec<Cursor>,
}

const ARGS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

impl<'g> Walk<'g> {
    /// At the main function's entry.
    #[must_use]
    pub fn new(graph: &'g Graph, program: &'g Program, run: &Stepper<'_>) -> Self {
        let mut walk = Self { graph, program, cursors: Vec::with_capacity(2) };
        walk.enter(SubprogId::MAIN, run);
        walk
    }

    fn enter(&mut self, subprog: SubprogId, run: &Stepper<'_>) {
        let entry = self.graph.entries.iter().find(|(entered, _)| *entered == subprog);
        let node = entry.map(|(_, node)| *node).filter(|node| *node < self.graph.nodes.len());
        let given = ARGS.map(|reg| run.top(reg));
        self.cursors.push(Cursor { node, mode: Mode::All, fresh: true, base: run.depth() - 1, given });
    }

    /// Compares the run's state with the abstract one. What is wrong, if anything.
    pub fn look(&mut self, run: &Stepper<'_>, checked: &mut Checked) -> Result<(), String> {
        let cursor = self.cursors.last().expect("the main function is never left");
        let Some(node) = cursor.node.map(|node| &self.graph.nodes[node]) else { return Ok(()) };
        debug_assert_eq!(node.at, run.at(), "the walk follows the run");
        checked.steps += 1;
        let counts = cursor.counts(node);
        let fresh = if cursor.fresh { &[] } else { node.fresh.as_slice() };
        self.compare(&node.state, run, cursor, (counts, fresh), checked)
    }

    fn compare(
        &self,
        state: &KeptState,
        run: &Stepper<'_>,
        cursor: &Cursor,
        (counts, fresh): (Counts<'_>, &[Set]),
        checked: &mut Checked,
    ) -> Result<(), String> {
        let concrete = Concrete { run, base: cursor.base, given: &cursor.given, program: self.program };
        check(state, &concrete, counts, fresh, &mut checked.values).map_err(|escape| escape.to_string())
    }

    /// Follows the step that the run made from an instruction. What is wrong, if anything.
    pub fn follow(
        &mut self,
        from: InsnIdx,
        depth: usize,
        run: &Stepper<'_>,
        checked: &mut Checked,
    ) -> Result<(), String> {
        let entered = run.depth() > depth;
        if entered && let Some(subprog) = self.global_at(from, run.at()) {
            self.enter(subprog, run);
            return Ok(());
        }
        if run.depth() <= self.cursors.last().expect("never empty").base {
            self.cursors.pop();
        }
        let Some(cursor) = self.cursors.last() else { return Ok(()) };
        let Some(current) = cursor.node else { return Ok(()) };
        let node = &self.graph.nodes[current];
        let mut cursor = cursor.clone();
        let found = self.choose(node, &mut cursor, run, checked)?;
        if found.is_none() {
            if !self.graph.partial {
                return Err(format!("nothing was explored from {} to {}", node.at, run.at()));
            }
            checked.left += 1;
        }
        cursor.node = found;
        *self.cursors.last_mut().expect("never empty") = cursor;
        Ok(())
    }

    /// The node where the run is now.
    fn choose(
        &self,
        node: &Node,
        cursor: &mut Cursor,
        run: &Stepper<'_>,
        checked: &mut Checked,
    ) -> Result<Option<usize>, String> {
        let base = cursor.base;
        let here = |to: usize| {
            let target = &self.graph.nodes[to];
            target.at == run.at() && target.state.depth() == run.depth() - base
        };
        let mut edges = node.edges.iter().filter(|edge| here(edge.target())).peekable();
        let mut wrong = None;
        while let Some(edge) = edges.next() {
            // Where several ways lead here, the run took one of them.
            let sure = edges.peek().is_none() && wrong.is_none() && node.open == 0;
            match self.take(edge, sure, cursor, run, checked) {
                Ok(()) => return Ok(Some(edge.target())),
                Err(why) => wrong = wrong.or(Some(why)),
            }
        }
        // It may have taken one that was not explored.
        wrong.filter(|_| node.open == 0).map_or(Ok(None), Err)
    }

    /// Goes over an edge. Unless it is `sure` that the run did, the state behind it is looked at now.
    fn take(
        &self,
        edge: &Edge,
        sure: bool,
        cursor: &mut Cursor,
        run: &Stepper<'_>,
        checked: &mut Checked,
    ) -> Result<(), String> {
        match edge {
            Edge::Step(to) => {
                if !sure {
                    let node = &self.graph.nodes[*to];
                    let counts = cursor.counts(node);
                    self.compare(&node.state, run, cursor, (counts, &[]), checked)?;
                }
                cursor.fresh = false;
            }
            Edge::Covered(pruned) => {
                self.cross(pruned, cursor, run, checked)?;
                checked.prunes += 1;
                (cursor.mode, cursor.fresh) = (Mode::Kinds, true);
            }
        }
        Ok(())
    }

    /// The run is where a path stopped because another state covers it.
    fn cross(
        &self,
        pruned: &Pruned,
        cursor: &Cursor,
        run: &Stepper<'_>,
        checked: &mut Checked,
    ) -> Result<(), String> {
        let at = run.at();
        if cursor.mode == Mode::All {
            let inside = self.compare(&pruned.state, run, cursor, (Counts::All, &[]), checked);
            inside.map_err(|escape| format!("where it was pruned, at {at}: {escape}"))?;
        }
        let target = &self.graph.nodes[pruned.to];
        // A run need not be inside all numbers of a state in a loop, but inside those on which something relies in the end.
        let counts = match (pruned.how, cursor.mode, &target.relied_on) {
            (Cover::Loop, _, Some(precise)) => Counts::Precise { live: &target.live, precise },
            (Cover::Loop, Mode::Kinds, None) => Counts::Kinds { live: &target.live },
            (Cover::Loop | Cover::Explored, ..) => {
                Counts::Precise { live: &target.live, precise: &pruned.precise }
            }
        };
        let inside = self.compare(&target.state, run, cursor, (counts, &[]), checked);
        inside.map_err(|escape| format!("pruned at {at} to a state that does not cover it: {escape}"))
    }

    fn global_at(&self, call: InsnIdx, start: InsnIdx) -> Option<SubprogId> {
        let Insn::Call(CallTarget::Subprog(_)) = self.program.insns[call.index()] else { return None };
        let subprog = self.program.subprog_of(start);
        self.program.subprogs[subprog.index()].global.then_some(subprog)
    }
}
