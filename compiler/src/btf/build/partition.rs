//! The coarsest partition of a graph's nodes in which equal nodes have equal successors.
//!
//! This is Hopcroft's way to minimise an automaton: a class splits others by which of their nodes
//! lead into it, and of two halves only the smaller one has to be looked at again. So the time grows
//! as edges times the logarithm of nodes, whatever the graph.

/// Nodes in classes.
pub(super) struct Partition {
    /// All nodes, those of one class next to each other.
    nodes: Vec<u32>,
    /// Where each node stands in `nodes`.
    place: Vec<u32>,
    /// The class of each node.
    class: Vec<u32>,
    classes: Vec<Class>,
}

/// A class: a range of `nodes`, of which the first `marked` are marked.
#[derive(Clone, Copy)]
struct Class {
    start: u32,
    len: u32,
    marked: u32,
    waiting: bool,
}

/// An edge: it leads from a node, as its `label`-th.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) label: u32,
    pub(super) to: u32,
}

impl Partition {
    /// Splits classes, given as numbers from 0 on by node, until they agree with the edges.
    pub(super) fn refine(classes: &[u32], edges: &[Edge]) -> Self {
        let mut partition = Self::new(classes);
        let (starts, incoming) = incoming(classes.len(), edges);
        let mut waiting: Vec<u32> = (0..).take(partition.classes.len()).collect();
        let mut found = Vec::new();
        while let Some(splitter) = waiting.pop() {
            partition.classes[splitter as usize].waiting = false;
            found.clear();
            for &node in partition.members(splitter) {
                let range = starts[node as usize] as usize..starts[node as usize + 1] as usize;
                found.extend_from_slice(&incoming[range]);
            }
            found.sort_unstable();
            for group in found.chunk_by(|a, b| a.0 == b.0) {
                let mut touched = Vec::new();
                for &(_, node) in group {
                    partition.mark(node, &mut touched);
                }
                for class in touched {
                    partition.split(class, &mut waiting);
                }
            }
        }
        partition
    }

    fn new(classes: &[u32]) -> Self {
        let mut nodes: Vec<u32> = (0..).take(classes.len()).collect();
        nodes.sort_by_key(|&node| classes[node as usize]);
        let mut partition =
            Self { place: vec![0; nodes.len()], class: classes.to_vec(), classes: Vec::new(), nodes };
        let mut start = 0;
        for group in partition.nodes.chunk_by(|&a, &b| classes[a as usize] == classes[b as usize]) {
            let index = u32::try_from(partition.classes.len()).expect("no more classes than nodes");
            for (at, &node) in (start..).zip(group) {
                partition.place[node as usize] = at;
                partition.class[node as usize] = index;
            }
            let len = u32::try_from(group.len()).expect("nodes have numbers of 32 bits");
            partition.classes.push(Class { start, len, marked: 0, waiting: true });
            start += len;
        }
        partition
    }

    /// The nodes of a class.
    fn members(&self, class: u32) -> &[u32] {
        let Class { start, len, .. } = self.classes[class as usize];
        &self.nodes[start as usize..(start + len) as usize]
    }

    fn mark(&mut self, node: u32, touched: &mut Vec<u32>) {
        let index = self.class[node as usize];
        let class = &mut self.classes[index as usize];
        let (at, to) = (self.place[node as usize], class.start + class.marked);
        if at < to {
            return;
        }
        if class.marked == 0 {
            touched.push(index);
        }
        class.marked += 1;
        let other = self.nodes[to as usize];
        self.nodes.swap(at as usize, to as usize);
        self.place[node as usize] = to;
        self.place[other as usize] = at;
    }

    /// Makes a class of a class's marked nodes, where there are others in it.
    fn split(&mut self, index: u32, waiting: &mut Vec<u32>) {
        let class = &mut self.classes[index as usize];
        let marked = std::mem::take(&mut class.marked);
        if marked == class.len {
            return;
        }
        let half = Class { start: class.start, len: marked, marked: 0, waiting: false };
        class.start += marked;
        class.len -= marked;
        let (rest, was_waiting) = (class.len, class.waiting);
        let new = u32::try_from(self.classes.len()).expect("no more classes than nodes");
        self.classes.push(half);
        for at in half.start..half.start + half.len {
            self.class[self.nodes[at as usize] as usize] = new;
        }
        let again = if was_waiting || marked <= rest { new } else { index };
        self.classes[again as usize].waiting = true;
        waiting.push(again);
    }

    /// The class of a node.
    pub(super) fn class(&self, node: u32) -> u32 {
        self.class[node as usize]
    }

    /// The first node of each class.
    pub(super) fn first_of_classes(&self) -> Vec<u32> {
        let firsts = (0..).take(self.classes.len()).map(|class| self.members(class).iter().min());
        firsts.map(|first| *first.expect("no class is empty")).collect()
    }
}

/// For each node the labels and origins of the edges that lead to it: where they begin, and all.
fn incoming(nodes: usize, edges: &[Edge]) -> (Vec<u32>, Vec<(u32, u32)>) {
    let mut starts = vec![0_u32; nodes + 1];
    for edge in edges {
        starts[edge.to as usize + 1] += 1;
    }
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    let mut next = starts.clone();
    let mut incoming = vec![(0, 0); edges.len()];
    for edge in edges {
        let at = &mut next[edge.to as usize];
        incoming[*at as usize] = (edge.label, edge.from);
        *at += 1;
    }
    (starts, incoming)
}
