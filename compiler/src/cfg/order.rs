//! Orders over blocks: reverse postorder and strongly connected components.
//!
//! Both walks keep their own stack: the depth of a graph is chosen by whoever wrote the program.

use super::{BlockId, Cfg};

/// The blocks that the entry reaches, each before its successors except along back edges.
#[must_use]
pub fn reverse_postorder(cfg: &Cfg) -> Vec<BlockId> {
    let mut order = Vec::with_capacity(cfg.blocks.len());
    let mut seen = vec![false; cfg.blocks.len()];
    if cfg.blocks.is_empty() {
        return order;
    }
    seen[BlockId::ENTRY.index()] = true;
    let mut stack = vec![(BlockId::ENTRY, successors(cfg, BlockId::ENTRY))];
    while let Some((block, pending)) = stack.last_mut() {
        match pending.iter_mut().find_map(Option::take) {
            Some(next) if !seen[next.index()] => {
                seen[next.index()] = true;
                stack.push((next, successors(cfg, next)));
            }
            Some(_) => {}
            None => {
                order.push(*block);
                stack.pop();
            }
        }
    }
    order.reverse();
    order
}

/// Jump targets first, so that the order lists fallthroughs right after their block.
fn successors(cfg: &Cfg, id: BlockId) -> [Option<BlockId>; 2] {
    let block = cfg.block(id);
    [block.taken, block.fallthrough]
}

/// The strongly connected components of a graph (Tarjan's algorithm).
#[derive(Clone, Debug)]
pub struct Components {
    of: Vec<u32>,
    cyclic: Vec<bool>,
}

struct Tarjan<'a> {
    cfg: &'a Cfg,
    index: Vec<u32>,
    low: Vec<u32>,
    on_stack: Vec<bool>,
    stack: Vec<BlockId>,
    next: u32,
    found: Components,
}

const UNSEEN: u32 = u32::MAX;

impl Components {
    /// Computes them. Linear in the number of blocks.
    #[must_use]
    pub fn new(cfg: &Cfg) -> Self {
        let count = cfg.blocks.len();
        let mut walk = Tarjan {
            cfg,
            index: vec![UNSEEN; count],
            low: vec![UNSEEN; count],
            on_stack: vec![false; count],
            stack: Vec::new(),
            next: 0,
            found: Self { of: vec![0; count], cyclic: Vec::new() },
        };
        for id in cfg.ids() {
            if walk.index[id.index()] == UNSEEN {
                walk.visit(id);
            }
        }
        walk.found
    }

    /// The number of a block's component. Successors have lower or equal numbers.
    #[must_use]
    pub fn of(&self, block: BlockId) -> u32 {
        self.of[block.index()]
    }

    /// Whether a block lies on a cycle.
    #[must_use]
    pub fn in_cycle(&self, block: BlockId) -> bool {
        self.cyclic[self.of[block.index()] as usize]
    }
}

impl Tarjan<'_> {
    fn enter(&mut self, id: BlockId) -> (BlockId, [Option<BlockId>; 2]) {
        self.index[id.index()] = self.next;
        self.low[id.index()] = self.next;
        self.next += 1;
        self.stack.push(id);
        self.on_stack[id.index()] = true;
        (id, successors(self.cfg, id))
    }

    fn visit(&mut self, root: BlockId) {
        let mut work = vec![self.enter(root)];
        while let Some((block, pending)) = work.last_mut() {
            let block = *block;
            match pending.iter_mut().find_map(Option::take) {
                Some(next) if self.index[next.index()] == UNSEEN => work.push(self.enter(next)),
                Some(next) => {
                    if self.on_stack[next.index()] {
                        self.low[block.index()] = self.low[block.index()].min(self.index[next.index()]);
                    }
                }
                None => {
                    work.pop();
                    if let Some((parent, _)) = work.last() {
                        let low = self.low[block.index()];
                        self.low[parent.index()] = self.low[parent.index()].min(low);
                    }
                    if self.low[block.index()] == self.index[block.index()] {
                        self.close(block);
                    }
                }
            }
        }
    }

    fn close(&mut self, root: BlockId) {
        let component = u32::try_from(self.found.cyclic.len()).expect("no more components than blocks");
        let mut size = 0;
        while let Some(member) = self.stack.pop() {
            self.on_stack[member.index()] = false;
            self.found.of[member.index()] = component;
            size += 1;
            if member == root {
                break;
            }
        }
        let self_loop = self.cfg.block(root).successors().any(|s| s == root);
        self.found.cyclic.push(size > 1 || self_loop);
    }
}
