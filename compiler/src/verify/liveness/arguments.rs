//! What a function may still read through its arguments, so that what lies behind them in callers' frames lives no longer.
//!
//! Behind each argument, words of four bytes are followed as far as a frame is large; what is read elsewhere, or through
//! pointers that were lost track of, is never forgotten before the last such read. A word dies where the function certainly
//! overwrites it, through a pointer of which is known that it is that argument. Arguments are told apart even where both
//! point to the same memory, which lives as long as one of them says so.

use std::ops::Range;

use super::abs::{Abs, Regs};
use super::calls::{Callees, handed_pointers};
use super::frame_pointers::{FramePointers, through};
use super::reads::{Reads, read_through, slots_of};
use super::solve;
use crate::cfg::Cfg;
use crate::isa::{Insn, InsnIdx};
use crate::program::{Program, SubprogId};
use crate::verify::obligations::{Mode, RegSet, touches};

/// What a function may read through its arguments.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    /// Behind each.
    pub args: [Reads; 5],
    /// Arguments that it looks at.
    pub regs: RegSet,
}

/// What may still be read through arguments from some point on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::verify) struct Through {
    /// Behind each argument: bit n is the word of four bytes at the distance `4 * n`.
    words: [u128; 5],
    /// Arguments through which anything else may be read that the function ever reads.
    beyond: u8,
}

/// Bytes that [`Through`] follows.
const REACH: i32 = 512;
/// Bytes of a word.
const WORD: i32 = 4;

impl Through {
    fn join(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(other.words).for_each(|(word, more)| *word |= more);
        self.beyond |= other.beyond;
        self
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something may be read through an argument: words that are followed, or others.
    fn has(&self, index: usize) -> (u128, bool) {
        (self.words[index], self.beyond >> index & 1 != 0)
    }

    /// Adds what is read through a pointer.
    fn add(&mut self, pointer: Abs, reads: &Reads, in_slots: u8) {
        let Abs::Arg { index, off, .. } = pointer else {
            self.beyond |= read_through(pointer, reads, in_slots);
            return;
        };
        let mut outside = reads.anything;
        for range in reads.ranges() {
            let (start, end) = (off.saturating_add(range.start), off.saturating_add(range.end));
            let within = start.max(0)..end.min(REACH);
            outside |= within != (start..end);
            if !within.is_empty() {
                for word in within.start / WORD..=(within.end - 1) / WORD {
                    self.words[usize::from(index)] |= 1 << word;
                }
            }
        }
        self.beyond |= u8::from(outside) << index;
    }

    /// Adds words behind one argument, as far as they can be followed there.
    fn add_words(&mut self, index: u8, off: i32, words: u128) {
        let by = off.unsigned_abs() / WORD.unsigned_abs();
        let there = if off >= 0 { words.checked_shl(by) } else { words.checked_shr(by) }.unwrap_or(0);
        self.words[usize::from(index)] |= there;
        if off % WORD != 0 || there.count_ones() != words.count_ones() {
            self.beyond |= 1 << index;
        }
    }
}

/// What an instruction, or a run of them, reads and overwrites behind arguments.
#[derive(Clone, Copy, Debug, Default)]
struct Effects {
    uses: Through,
    kills: [u128; 5],
}

impl Effects {
    /// What may be read before this, when `after` may be read behind it.
    fn before(&self, after: &Through) -> Through {
        let mut live = *after;
        live.words.iter_mut().zip(self.kills).for_each(|(word, killed)| *word &= !killed);
        live.join(&self.uses)
    }

    /// The effects of this and what comes after it as one.
    fn then(&self, after: &Self) -> Self {
        let mut kills = self.kills;
        kills.iter_mut().zip(after.kills).for_each(|(word, more)| *word |= more);
        Self { uses: self.before(&after.uses), kills }
    }
}

/// What one instruction does, given what registers hold before it; `None`: nothing here.
fn effects(callees: Callees<'_>, at: InsnIdx, regs: &Regs, in_slots: u8) -> Option<Effects> {
    let insn = &callees.program.insns[at.index()];
    let touched = touches(insn).memory;
    let mut effects = Effects::default();
    if let Some(memory) = touched
        && memory.mode == Mode::Write
    {
        let Abs::Arg { index, off, perhaps: false } = regs[memory.base.index()] else { return None };
        let (start, size) = (off.saturating_add(memory.off.into()), memory.size.bytes().cast_signed());
        // Words that are overwritten as a whole.
        let words = start.div_euclid(WORD)..start.saturating_add(size).div_euclid(WORD);
        for word in words.filter(|word| start % WORD == 0 && (0..REACH / WORD).contains(word)) {
            effects.kills[usize::from(index)] |= 1 << word;
        }
        return Some(effects);
    }
    match (touched, insn) {
        // What is read in the own frame, or through what is no pointer, does not lie behind an argument.
        (Some(memory), _) if regs[memory.base.index()].args() == 0 && Reads::reaches(memory.off) => {
            return None;
        }
        (Some(_), _) | (None, Insn::Call(_)) => {}
        (None, _) => return None,
    }
    let all = through(callees, at, regs);
    all.iter().for_each(|(pointer, reads)| effects.uses.add(*pointer, reads, in_slots));
    (!effects.uses.is_nothing()).then_some(effects)
}

/// What a call hands to a function of the program in one argument.
#[derive(Clone, Copy, Debug)]
struct Handed {
    pointer: Abs,
    /// Slots of the caller's frame that the function may read through it, in all.
    slots: u64,
    /// The caller's own arguments through which it then reads.
    through: u8,
}

/// What the instructions of a function do behind its arguments: most read and overwrite nothing there.
pub(super) struct Function {
    /// Whether it has arguments that may point into callers' frames.
    called: bool,
    /// Arguments that its own frame may hold.
    in_slots: u8,
    list: Vec<(InsnIdx, Effects)>,
    /// By block: its part of the list, and all of that as one.
    blocks: Vec<(Range<usize>, Effects)>,
}

impl Function {
    /// No instruction was looked at.
    pub fn new(id: SubprogId, pointers: &FramePointers) -> Self {
        let called = id != SubprogId::MAIN;
        Self { called, in_slots: pointers.in_slots(), list: Vec::new(), blocks: Vec::new() }
    }

    /// The next block was looked at.
    pub fn end_block(&mut self) {
        let of_block = self.blocks.last().map_or(0, |(last, _)| last.end)..self.list.len();
        let all = self.list[of_block.clone()].iter().rev();
        let sum = all.fold(Effects::default(), |sum, (_, effects)| effects.then(&sum));
        self.blocks.push((of_block, sum));
    }
}

/// What may be read through arguments, at each instruction of functions that are called.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// The first instruction behind the main function.
    start: usize,
    /// By instruction from there on, which of `states` it is that may be read before it.
    before: Vec<u32>,
    /// What may be read at some point.
    states: Vec<Through>,
    /// What calls hand to functions of the program, by instruction.
    handed: Vec<(InsnIdx, [Handed; 5])>,
}

impl Arguments {
    /// Of a program's functions, none of which was looked at.
    pub fn new(program: &Program) -> Self {
        let start = program.subprogs.get(1).map_or(program.insns.len(), |subprog| subprog.start.index());
        let before = vec![0; program.insns.len() - start];
        Self { start, before, states: vec![Through::default()], handed: Vec::new() }
    }

    /// Takes what calls hand to functions for dead while these run: a mistake that tests plant.
    pub fn forget_handed(&mut self) {
        self.handed.clear();
    }

    /// All functions were looked at.
    pub fn finish(&mut self) {
        self.handed.sort_unstable_by_key(|(at, _)| *at);
    }

    /// What may be read from an instruction on.
    pub fn before(&self, at: InsnIdx) -> Through {
        let state = at.index().checked_sub(self.start).map_or(0, |index| self.before[index]);
        self.states[state as usize]
    }

    /// Whether it matters what functions read: there are some that call, or are called.
    pub fn matter(&self) -> bool {
        !self.before.is_empty()
    }

    /// Looks at an instruction, given what registers hold before it. What it does goes into `function`.
    pub fn look(&mut self, callees: Callees<'_>, at: InsnIdx, regs: &Regs, function: &mut Function) {
        if let Insn::Call(target) = callees.program.insns[at.index()]
            && let Some(pointers) = handed_pointers(callees, at, target, regs)
        {
            let handed = pointers.map(|(pointer, reads)| {
                let through = read_through(pointer, &reads, function.in_slots);
                Handed { pointer, slots: slots_of(pointer, &reads), through }
            });
            self.handed.push((at, handed));
        }
        if function.called {
            let effects = effects(callees, at, regs, function.in_slots);
            function.list.extend(effects.map(|effects| (at, effects)));
        }
    }

    /// All instructions of a function were looked at. Gives what it reads through its arguments.
    pub fn add(
        &mut self,
        callees: Callees<'_>,
        cfg: &Cfg,
        id: SubprogId,
        (pointers, function): (&FramePointers, &Function),
    ) -> [Reads; 5] {
        if !function.called || !self.matter() {
            return Default::default();
        }
        let Function { list, blocks, .. } = function;
        let entry = solve(cfg, |id, after: &Through| blocks[id.index()].1.before(after), Through::join);
        for (id, (of_block, _)) in cfg.ids().zip(blocks) {
            let after = cfg.block(id).successors().map(|next| entry[next.index()]);
            let mut live = after.fold(Through::default(), |live, next| live.join(&next));
            let mut effects = list[of_block.clone()].iter().rev().peekable();
            let mut state = self.state(live);
            for at in cfg.block(id).insns().rev() {
                if let Some((_, effects)) = effects.next_if(|(with, _)| *with == at) {
                    live = effects.before(&live);
                    state = self.state(live);
                }
                if let Some(index) = at.index().checked_sub(self.start) {
                    self.before[index] = state;
                }
            }
        }
        let start = self.before(callees.program.subprogs[id.index()].start);
        let all = if start.beyond == 0 { Default::default() } else { all_reads(callees, cfg, pointers) };
        std::array::from_fn(|index| {
            let (words, beyond) = start.has(index);
            if beyond { all[index] } else { reads_of(words) }
        })
    }

    /// The number of a state in `states`.
    fn state(&mut self, live: Through) -> u32 {
        if live.is_nothing() {
            return 0;
        }
        if self.states.last() != Some(&live) {
            self.states.push(live);
        }
        u32::try_from(self.states.len() - 1).expect("fewer states than instructions and blocks")
    }

    /// What a call handed in arguments through which the function may still read, and how much of it that is.
    fn handed_in(&self, call: InsnIdx, through: &Through) -> impl Iterator<Item = (Handed, u128, bool)> {
        let found = if through.is_nothing() {
            None
        } else {
            self.handed.binary_search_by_key(&call, |(at, _)| *at).ok()
        };
        let handed = found.map_or(&[][..], |found| &self.handed[found].1);
        handed.iter().enumerate().filter_map(|(index, handed)| {
            let (words, beyond) = through.has(index);
            (words != 0 || beyond).then_some((*handed, words, beyond))
        })
    }

    /// Slots of a caller's frame that a function may still read that it called.
    pub fn slots_in_caller(&self, call: InsnIdx, through: &Through) -> u64 {
        let (mut slots, mut words_of_frame) = (0, 0);
        for (handed, words, beyond) in self.handed_in(call, through) {
            match handed.pointer {
                Abs::Frame(offs) => offs.iter().for_each(|off| words_of_frame |= place(words, off)),
                Abs::Any { own: true, .. } => slots = u64::MAX,
                Abs::Any { own: false, .. }
                | Abs::Arg { .. }
                | Abs::Other
                | Abs::Const(_)
                | Abs::Map(_)
                | Abs::Func(_) => {}
            }
            slots |= if beyond { handed.slots } else { 0 };
        }
        slots | slots_with(words_of_frame)
    }

    /// What a caller may still read through its own arguments while a function that it called runs. `after`: from where
    /// it goes on then.
    pub fn through_in_caller(&self, call: InsnIdx, after: InsnIdx, through: &Through) -> Through {
        let mut all = self.before(after);
        for (handed, words, beyond) in self.handed_in(call, through) {
            match handed.pointer {
                Abs::Arg { index, off, .. } => all.add_words(index, off, words),
                pointer => all.beyond |= pointer.args(),
            }
            all.beyond |= if beyond { handed.through } else { 0 };
        }
        all
    }
}

/// What a function reads through its arguments anywhere.
fn all_reads(callees: Callees<'_>, cfg: &Cfg, pointers: &FramePointers) -> [Reads; 5] {
    let in_slots = pointers.in_slots();
    let mut all = [Reads::default(); 5];
    for id in cfg.ids() {
        pointers.each(callees.program, cfg, id, |at, regs| {
            for (pointer, reads) in through(callees, at, regs) {
                if let Abs::Arg { index, off, .. } = pointer {
                    let known = &mut all[usize::from(index)];
                    known.anything |= reads.anything;
                    for range in reads.ranges() {
                        let (start, end) = (i64::from(range.start), i64::from(range.end));
                        known.add(i64::from(off) + start, end - start);
                    }
                } else {
                    let args = read_through(pointer, &reads, in_slots);
                    (0..).zip(&mut all).for_each(|(index, known)| known.anything |= args >> index & 1 != 0);
                }
            }
        });
    }
    all
}

/// The bytes of words behind an argument.
fn reads_of(words: u128) -> Reads {
    let mut reads = Reads::default();
    (0..REACH / WORD).filter(|word| words >> word & 1 != 0).for_each(|word| {
        reads.add((WORD * word).into(), WORD.into());
    });
    reads
}

/// Words behind a pointer at an offset from `r10`, as words of the frame: bit n is that at `r10 - 4 * (n + 1)`.
/// What lies outside the frame cannot be read.
fn place(words: u128, off: i32) -> u128 {
    // Word n behind the pointer is word `first - n` of the frame.
    let aligned = |off: i32| {
        let first = -(off / WORD) - 1;
        let last = u128::BITS.cast_signed() - 1;
        u32::try_from(last - first)
            .ok()
            .and_then(|by| words.reverse_bits().checked_shr(by))
            .unwrap_or(if first > last { u128::MAX } else { 0 })
    };
    let low = off.div_euclid(WORD) * WORD;
    if low == off { aligned(off) } else { aligned(low) | aligned(low + WORD) }
}

/// The slots of which a word is in a set.
fn slots_with(words: u128) -> u64 {
    let even = u128::MAX / 3;
    let mut slots = (words | words >> 1) & even;
    // Each step moves pairs of groups of bits together.
    for (by, mask) in [(1, 5), (2, 17), (4, 257), (8, 65_537), (16, (1 << 32) + 1), (32, (1 << 64) + 1)] {
        slots = (slots | slots >> by) & (u128::MAX / mask);
    }
    u64::try_from(slots & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_placed_in_frames() {
        // Bytes 0 to 3 and 8 to 11 behind `r10 - 16`.
        assert_eq!(place(0b101, -16), 0b1010);
        assert_eq!(slots_with(place(0b101, -16)), 0b11);
        assert_eq!(slots_with(place(0b11, -16)), 0b10);
        assert_eq!(slots_with(place(0b11, -12)), 0b11);
        // Not aligned: either of two words.
        assert_eq!(place(0b1, -10), 0b110);
        assert_eq!(place(0b1, -512), 1 << 127);
        // Beyond the frame there is nothing to read.
        assert_eq!(place(0b10, -4), 0);
        assert_eq!(place(0b1, 0), 0);
        assert_eq!(place(u128::MAX, -512), u128::MAX);
        for slot in 0..64 {
            assert_eq!(slots_with(0b01 << (2 * slot)), 1 << slot);
            assert_eq!(slots_with(0b10 << (2 * slot)), 1 << slot);
        }
        assert_eq!(slots_with(u128::MAX), u64::MAX);
    }

    #[test]
    fn words_that_are_handed_on_move_with_the_pointer() {
        let moved = |off, words| {
            let mut through = Through::default();
            through.add_words(1, off, words);
            (through.words[1], through.beyond)
        };
        assert_eq!(moved(8, 0b1), (0b100, 0));
        assert_eq!(moved(-8, 0b100), (0b1, 0));
        assert_eq!(moved(-8, 0b101), (0b1, 0b10));
        assert_eq!(moved(2, 0b1).1, 0b10);
        assert_eq!(moved(1 << 20, 0b1), (0, 0b10));
        assert_eq!(moved(8, 1 << 127), (0, 0b10));
    }
}
