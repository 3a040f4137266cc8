//! Dominators, by the algorithm of Cooper, Harvey and Kennedy over reverse postorder.

use super::function::{Block, Function};

/// The dominator tree of a function, as it was when this was made.
#[derive(Clone, Debug)]
pub struct Dominators {
    /// Blocks in reverse postorder.
    order: Vec<Block>,
    /// Position in `order` by block index; `u32::MAX` for blocks that cannot be reached.
    position: Vec<u32>,
    /// Immediate dominator by position; the entry's is itself.
    idom: Vec<u32>,
    /// Entry and exit times of a walk over the tree, by position.
    span: Vec<(u32, u32)>,
}

const NONE: u32 = u32::MAX;

impl Dominators {
    /// Computes the tree.
    #[must_use]
    pub fn new(function: &Function) -> Self {
        let ordered = function.reverse_postorder();
        let mut position = vec![NONE; function.block_capacity()];
        for (at, block) in (0u32..).zip(&ordered) {
            position[block.index()] = at;
        }
        let predecessors = function.predecessors();
        let mut idom = vec![NONE; ordered.len()];
        idom[0] = 0;
        let mut changed = true;
        while changed {
            changed = false;
            for (at, block) in ordered.iter().enumerate().skip(1) {
                let mut new = NONE;
                for predecessor in &predecessors[block.index()] {
                    let p = position[predecessor.index()];
                    if p != NONE && idom[p as usize] != NONE {
                        new = if new == NONE { p } else { intersect(&idom, p, new) };
                    }
                }
                if idom[at] != new {
                    idom[at] = new;
                    changed = true;
                }
            }
        }
        let span = spans(&idom);
        Self { order: ordered, position, idom, span }
    }

    /// The blocks in reverse postorder.
    #[must_use]
    pub fn order(&self) -> &[Block] {
        &self.order
    }

    /// Whether the block can be reached.
    #[must_use]
    pub fn reachable(&self, block: Block) -> bool {
        self.position[block.index()] != NONE
    }

    /// The immediate dominator; `None` for the entry and for blocks that cannot be reached.
    #[must_use]
    pub fn idom(&self, block: Block) -> Option<Block> {
        match self.position[block.index()] {
            0 | NONE => None,
            at => Some(self.order[self.idom[at as usize] as usize]),
        }
    }

    /// Whether every way to `b` leads through `a`; a block dominates itself.
    #[must_use]
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        let (a, b) = (self.position[a.index()], self.position[b.index()]);
        if a == NONE || b == NONE {
            return a == b;
        }
        let (a, b) = (self.span[a as usize], self.span[b as usize]);
        a.0 <= b.0 && b.1 <= a.1
    }
}

fn intersect(idom: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        while a > b {
            a = idom[a as usize];
        }
        while b > a {
            b = idom[b as usize];
        }
    }
    a
}

fn spans(idom: &[u32]) -> Vec<(u32, u32)> {
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); idom.len()];
    for (at, parent) in idom.iter().enumerate().skip(1) {
        children[*parent as usize].push(u32::try_from(at).expect("fewer than 2^32 blocks"));
    }
    let mut span = vec![(0, 0); idom.len()];
    let mut clock = 0;
    let mut stack = vec![(0u32, 0usize)];
    while let Some((at, next)) = stack.last_mut() {
        let here = *at as usize;
        if *next == 0 {
            span[here].0 = clock;
            clock += 1;
        }
        if let Some(child) = children[here].get(*next) {
            *next += 1;
            stack.push((*child, 0));
        } else {
            span[here].1 = clock;
            clock += 1;
            stack.pop();
        }
    }
    span
}
