//! Kernel functions that call a function of the program later: work queues and task work.
//!
//! What is called lies beside the map whose value holds the work, and gets an element of that map; it may sleep. The map that
//! a call names must be the one in whose value the work lies, or the element would be of another one.

use super::KfuncCall;
use crate::diag::Code;
use crate::isa::Reg;
use crate::program::MapId;
use crate::verify::explore::{Check, Explorer};
use crate::verify::facts::Foreign;
use crate::verify::fields::Special;
use crate::verify::refusal::name;
use crate::verify::state::{Callback, Frame, When};
use crate::verify::value::Kind;

/// Work that is done later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Queue,
    Task,
}

impl Work {
    const fn special(self) -> Special {
        match self {
            Self::Queue => Special::Workqueue,
            Self::Task => Special::TaskWork,
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Queue => "workqueue",
            Self::Task => "bpf_task_work",
        }
    }
}

impl Explorer<'_> {
    /// The work that a register points to.
    pub(super) fn work(&mut self, work: Work, index: usize, reg: Reg, call: &mut KfuncCall) -> Check {
        let value = *self.state.reg(reg);
        let Kind::MapValue(map) = value.kind else {
            let message = format!("arg#{index} doesn't point to a map value");
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        };
        self.check_field(reg, &value, work.special())?;
        if Self::is_inner(map) {
            return Err(self.unsupported("work in a map that lies in another"));
        }
        call.work = Some((work, map));
        Ok(())
    }

    /// The map that is named with work is the one that holds it.
    pub(super) fn check_work_map(&self, reg: Reg, map: MapId, call: &KfuncCall) -> Check {
        match call.work {
            Some((work, holds)) if holds != map => {
                let message = format!(
                    "{} pointer in R{} doesn't match map pointer in {}",
                    work.what(),
                    reg.number() - 1,
                    name(reg)
                );
                Err(self.refuse_reg(Code::SpecialField, reg, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A function that work calls is explored some time, apart.
    pub(super) fn call_back_later(&mut self, call: &KfuncCall) -> Check {
        let (Some((work, map)), Some(subprog)) = (call.work, call.callback) else { return Ok(()) };
        self.facts.foreign(self.at, Foreign::Callback);
        self.facts.entered(subprog);
        let (min, max) = match work {
            Work::Queue => (0, 0),
            Work::Task => (i32::MIN.into(), i32::MAX.into()),
        };
        let mut frame = Frame::new(self.state.depth() + 1, subprog, Some(self.at));
        self.hand_element(map, Reg::R1, &mut frame);
        frame.callback = Some(Callback { when: When::Work, min, max });
        self.enter_callback(frame)
    }
}
