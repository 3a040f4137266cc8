//! The state of one path: the frames of all active functions.
//!
//! Frames and stacks are shared between states until one of them writes, so that a branch, a call or a
//! checkpoint costs a few reference counts. The module says nothing about what states mean.

use std::rc::Rc;

use super::objects::Object;
use super::refs::Held;
use super::stack::Stack;
use super::value::{Kind, Value};
use crate::isa::{InsnIdx, Reg};
use crate::program::SubprogId;

/// One active function.
#[derive(Clone, Debug)]
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
}

/// Most active functions at a time (`MAX_CALL_FRAMES`).
pub(super) const MAX_FRAMES: usize = 8;

/// What is known at one point of one path.
#[derive(Clone, Debug)]
pub(super) struct State {
    frames: Vec<Rc<Frame>>,
    /// How many `may_goto` were passed without jumping.
    pub may_goto_depth: u32,
    /// How many callbacks were entered.
    pub callback_depth: u32,
    /// What must be given back, and sections that must be left.
    pub held: Held,
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
        Self { frames: vec![Rc::new(frame)], may_goto_depth: 0, callback_depth: 0, held: Held::default() }
    }

    /// All frames, outermost first.
    pub fn frames(&self) -> &[Rc<Frame>] {
        &self.frames
    }

    /// How many functions are active besides the outermost.
    pub fn depth(&self) -> usize {
        self.frames.len() - 1
    }

    /// The frame of the executing function.
    pub fn top(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    /// The frame of the executing function, to change.
    pub fn top_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        Rc::make_mut(&mut self.frames[last])
    }

    /// A frame by index.
    pub fn frame(&self, index: usize) -> &Frame {
        &self.frames[index]
    }

    /// A frame by index, to change.
    pub fn frame_mut(&mut self, index: usize) -> &mut Frame {
        Rc::make_mut(&mut self.frames[index])
    }

    /// What a register of the executing function holds.
    pub fn reg(&self, reg: Reg) -> &Value {
        &self.top().regs[reg.index()]
    }

    /// A register of the executing function, to change.
    pub fn reg_mut(&mut self, reg: Reg) -> &mut Value {
        &mut self.top_mut().regs[reg.index()]
    }

    /// Enters a function.
    pub fn push(&mut self, frame: Frame) {
        self.frames.push(Rc::new(frame));
    }

    /// Leaves a function, unless it is the outermost.
    pub fn pop(&mut self) -> Option<Rc<Frame>> {
        if self.frames.len() > 1 { self.frames.pop() } else { None }
    }

    /// Changes every value, in registers and spilled, that a predicate picks. Frames without one stay
    /// shared.
    pub fn update(&mut self, picks: impl Fn(&Value) -> bool, mut change: impl FnMut(&mut Value)) {
        for frame in &mut self.frames {
            if frame.regs.iter().any(&picks) {
                for value in Rc::make_mut(frame).regs.iter_mut().filter(|v| picks(v)) {
                    change(value);
                }
            }
            if frame.stack.slots().any(|s| s.spilled().is_some_and(&picks)) {
                Rc::make_mut(frame).stack_mut().update(&picks, &mut change);
            }
        }
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
