//! The state of one path: the frames of all active functions.
//!
//! A branch or a checkpoint copies the executing function's registers; its stack and the frames of its callers are shared
//! between states until one of them writes. The module says nothing about what states mean.

use std::rc::Rc;

use super::objects::Object;
use super::refs::Held;
use super::stack::Stack;
use super::value::{Kind, Value};
use crate::isa::{InsnIdx, Reg};
use crate::program::SubprogId;

/// One active function.
#[derive(Debug)]
pub(super) struct Frame {
    /// What its registers hold.
    pub regs: [Value; Reg::COUNT],
    /// What its stack holds.
    pub stack: Stack,
    /// The call that made it; `None` for the outermost.
    pub callsite: Option<InsnIdx>,
    /// Which function it is.
    pub subprog: SubprogId,
    /// Whether a helper called it, and what it may return then.
    pub callback: Option<Callback>,
    /// Dynptrs and iterators on its stack, by slot.
    pub objects: Vec<Object>,
    /// How often the call in it that calls back has done so.
    pub rounds: u32,
}

/// How a helper calls a function of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Callback {
    /// When.
    pub when: When,
    /// Least value that it may return.
    pub min: i64,
    /// Greatest value that it may return.
    pub max: i64,
}

/// When a helper calls a function of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before it returns, any number of times.
    Now,
    /// Some time later.
    Later,
    /// Some time later, where it may sleep.
    Work,
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        Self { stack: self.stack.clone(), objects: self.objects.clone(), ..*self }
    }

    fn clone_from(&mut self, source: &Self) {
        let Self { regs, stack, callsite, subprog, callback, objects, rounds } = source;
        self.regs.clone_from(regs);
        self.stack.clone_from(stack);
        (self.callsite, self.subprog, self.callback) = (*callsite, *subprog, *callback);
        self.objects.clone_from(objects);
        self.rounds = *rounds;
    }
}

impl Frame {
    /// A frame in which only `r10` is set.
    pub fn new(index: usize, subprog: SubprogId, callsite: Option<InsnIdx>) -> Self {
        let mut regs = [Value::UNINIT; Reg::COUNT];
        let frame = u8::try_from(index).expect("call depth was checked");
        regs[Reg::R10.index()] = Value::pointer(Kind::Stack { frame });
        Self {
            regs,
            stack: Stack::default(),
            callsite,
            subprog,
            callback: None,
            objects: Vec::new(),
            rounds: 0,
        }
    }

    /// What a register holds.
    pub fn reg(&self, reg: Reg) -> &Value {
        &self.regs[reg.index()]
    }

    /// The stack, to change.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// Whether a predicate picks one of its values.
    fn has(&self, picks: impl Fn(&Value) -> bool) -> bool {
        self.regs.iter().any(&picks) || self.stack.slots().any(|slot| slot.spilled().is_some_and(&picks))
    }

    /// Changes every value that a predicate picks.
    fn update(&mut self, picks: impl Fn(&Value) -> bool, mut change: impl FnMut(&mut Value)) {
        self.regs.iter_mut().filter(|value| picks(value)).for_each(&mut change);
        self.stack.update(picks, change);
    }
}

/// Most active functions at a time (`MAX_CALL_FRAMES`).
pub(super) const MAX_FRAMES: usize = 8;

/// What is known at one point of one path.
#[derive(Debug)]
pub(super) struct State {
    /// The executing function.
    top: Frame,
    /// Its callers, outermost first.
    callers: Vec<Rc<Frame>>,
    /// How many `may_goto` were passed without jumping.
    pub may_goto_depth: u32,
    /// How many callbacks were entered.
    pub callback_depth: u32,
    /// What must be given back, and sections that must be left.
    pub held: Held,
}

impl Clone for State {
    fn clone(&self) -> Self {
        Self {
            top: self.top.clone(),
            callers: self.callers.clone(),
            may_goto_depth: self.may_goto_depth,
            callback_depth: self.callback_depth,
            held: self.held.clone(),
        }
    }

    fn clone_from(&mut self, source: &Self) {
        self.top.clone_from(&source.top);
        self.callers.clone_from(&source.callers);
        self.may_goto_depth = source.may_goto_depth;
        self.callback_depth = source.callback_depth;
        self.held.clone_from(&source.held);
    }
}

/// States that nobody needs any more, of which copies are made: most states are short-lived, and large.
#[derive(Debug, Default)]
pub(super) struct Spare {
    #[expect(clippy::vec_box, reason = "a state changes its owner without being moved")]
    states: Vec<Box<State>>,
}

/// Most states that wait to be used again.
const MAX_SPARE: usize = 256;

impl Spare {
    /// A copy of a state.
    pub fn copy(&mut self, state: &State) -> Box<State> {
        match self.states.pop() {
            Some(mut copy) => {
                State::clone_from(&mut copy, state);
                copy
            }
            None => Box::new(state.clone()),
        }
    }

    /// A state is needed no more. What it shares with others is theirs at once.
    pub fn take(&mut self, mut state: Box<State>) {
        if self.states.len() < MAX_SPARE {
            state.callers.clear();
            state.top.stack.clear();
            self.states.push(state);
        }
    }
}

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A register.
    Reg(Reg),
    /// A stack slot.
    Slot(usize),
}

impl State {
    /// A state in which one function is active.
    pub fn new(frame: Frame) -> Self {
        let (callers, held) = (Vec::new(), Held::default());
        Self { top: frame, callers, may_goto_depth: 0, callback_depth: 0, held }
    }

    /// All frames, outermost first.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        self.callers.iter().map(Rc::as_ref).chain([&self.top])
    }

    /// How many functions are active besides the outermost.
    pub fn depth(&self) -> usize {
        self.callers.len()
    }

    /// The frame of the executing function.
    pub fn top(&self) -> &Frame {
        &self.top
    }

    /// The frame of the executing function, to change.
    pub fn top_mut(&mut self) -> &mut Frame {
        &mut self.top
    }

    /// A frame by index.
    pub fn frame(&self, index: usize) -> &Frame {
        if index == self.callers.len() { &self.top } else { &self.callers[index] }
    }

    /// A frame by index, to change.
    pub fn frame_mut(&mut self, index: usize) -> &mut Frame {
        if index == self.callers.len() { &mut self.top } else { Rc::make_mut(&mut self.callers[index]) }
    }

    /// What a register of the executing function holds.
    pub fn reg(&self, reg: Reg) -> &Value {
        &self.top.regs[reg.index()]
    }

    /// A register of the executing function, to change.
    pub fn reg_mut(&mut self, reg: Reg) -> &mut Value {
        &mut self.top.regs[reg.index()]
    }

    /// Copies a register of the executing function.
    pub fn copy_reg(&mut self, dst: Reg, src: Reg) {
        self.top.regs[dst.index()] = self.top.regs[src.index()];
    }

    /// Enters a function.
    pub fn push(&mut self, frame: Frame) {
        self.callers.push(Rc::new(std::mem::replace(&mut self.top, frame)));
    }

    /// Leaves a function, unless it is the outermost.
    pub fn pop(&mut self) -> Option<Frame> {
        let caller = Rc::unwrap_or_clone(self.callers.pop()?);
        Some(std::mem::replace(&mut self.top, caller))
    }

    /// Changes every value, in registers and spilled, that a predicate picks. Frames without one stay
    /// shared.
    pub fn update(&mut self, picks: impl Fn(&Value) -> bool, mut change: impl FnMut(&mut Value)) {
        for caller in &mut self.callers {
            if caller.has(&picks) {
                Rc::make_mut(caller).update(&picks, &mut change);
            }
        }
        self.top.update(&picks, &mut change);
    }

    /// A value by place.
    pub fn value(&self, frame: usize, place: Place) -> &Value {
        match place {
            Place::Reg(reg) => self.frame(frame).reg(reg),
            Place::Slot(slot) => &self.frame(frame).stack.slot(slot).spill,
        }
    }

    /// A value by place, to change.
    pub fn value_mut(&mut self, frame: usize, place: Place) -> &mut Value {
        let frame = self.frame_mut(frame);
        match place {
            Place::Reg(reg) => &mut frame.regs[reg.index()],
            Place::Slot(slot) => &mut frame.stack_mut().slot_mut(slot).spill,
        }
    }
}
