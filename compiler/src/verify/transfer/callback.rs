//! Functions of the program that helpers call back.
//!
//! A helper that calls back at once is explored as if its call instruction were a loop: each round enters the function,
//! which comes back to the call instruction; beside it, the call ends. Rounds converge since numbers that nothing relies
//! on are forgotten. What is called later begins with nothing but what the helper hands over, and is explored apart.

use brolga_abi::HelperId;

use super::argument::Call;
use crate::diag::Code;
use crate::isa::Reg;
use crate::program::MapId;
use crate::verify::explore::{Check, Explorer, Next};
use crate::verify::facts::Foreign;
use crate::verify::scalar::Scalar;
use crate::verify::state::{Callback, Frame, MAX_FRAMES, When};
use crate::verify::structure::subprog_at;
use crate::verify::value::{Dynptr, Flags, Kind, Value};

impl Explorer<'_> {
    /// `dst = &function`
    pub(super) fn function_address(&mut self, off: i32) -> Check<Value> {
        self.facts.foreign(self.at, Foreign::Callback);
        let subprog = subprog_at(self.program, self.target(off)).expect("call targets were checked");
        if self.program.subprogs[subprog.index()].global {
            return Err(self.refuse(Code::Callback, "callback function not static"));
        }
        Ok(Value::pointer(Kind::Func(subprog)))
    }

    /// Enters the callback of a helper, beside going on.
    pub(super) fn call_back(&mut self, id: HelperId, call: &Call) -> Check {
        let Some(subprog) = call.callback else { return Ok(()) };
        self.facts.foreign(self.at, Foreign::Callback);
        self.facts.entered(subprog);
        let args = |explorer: &Self, from: &[(Reg, Reg)], frame: &mut Frame| {
            for (to, from) in from {
                frame.regs[to.index()] = *explorer.state.reg(*from);
            }
        };
        let mut frame = Frame::new(self.state.depth() + 1, subprog, Some(self.at));
        let (mut when, mut max) = (When::Now, 1);
        match id.info().name {
            "bpf_loop" => {
                self.mark_precise(Reg::R1);
                let rounds = self.state.reg(Reg::R1).num.umax();
                if u64::from(self.state.top().rounds) >= rounds {
                    self.state.top_mut().rounds = 0;
                    return Ok(());
                }
                frame.regs[Reg::R1.index()] = Value::scalar(Scalar::UNKNOWN);
                args(self, &[(Reg::R2, Reg::R3)], &mut frame);
            }
            "bpf_for_each_map_elem" => {
                let Some(map) = call.map else { return Err(self.unsupported("a call without a map")) };
                self.hand_element(map, Reg::R1, &mut frame);
                args(self, &[(Reg::R4, Reg::R3)], &mut frame);
            }
            "bpf_user_ringbuf_drain" => {
                frame.regs[Reg::R1.index()] =
                    Value { id: self.new_id(), ..Value::pointer(Kind::Dynptr(Dynptr::Local)) };
                args(self, &[(Reg::R2, Reg::R3)], &mut frame);
            }
            "bpf_timer_set_callback" => {
                let Kind::MapValue(map) = self.state.reg(Reg::R1).kind else {
                    return Err(self.unsupported("a timer that is in no map"));
                };
                (when, max) = (When::Later, 0);
                self.hand_element(map, Reg::R1, &mut frame);
            }
            "bpf_find_vma" => {
                args(self, &[(Reg::R1, Reg::R1), (Reg::R3, Reg::R4)], &mut frame);
                let vma = self.kernel_structure("vm_area_struct")?;
                frame.regs[Reg::R2.index()] = Value { flags: Flags::TRUSTED, ..Value::pointer(vma) };
            }
            name => return Err(self.unsupported(&format!("callbacks of {name}"))),
        }
        frame.callback = Some(Callback { when, min: 0, max });
        self.enter_callback(frame)
    }

    /// `(map, key, value)`, as helpers hand elements over.
    pub(in crate::verify) fn hand_element(&self, map: MapId, first: Reg, frame: &mut Frame) {
        let kinds = [Kind::Map(map), Kind::MapKey(map), Kind::MapValue(map)];
        for (kind, index) in kinds.into_iter().zip(first.index()..) {
            frame.regs[index] = Value::pointer(kind);
        }
    }

    /// Leaves a callback for later.
    pub(in crate::verify) fn enter_callback(&mut self, mut frame: Frame) -> Check {
        let start = self.program.subprogs[frame.subprog.index()].start;
        match frame.callback.map(|callback| callback.when) {
            Some(When::Later | When::Work) => {
                frame.regs[Reg::R10.index()] = Value::pointer(Kind::Stack { frame: 0 });
                frame.callsite = None;
                self.call_later(frame);
                Ok(())
            }
            Some(When::Now) | None => {
                let depth = self.state.depth() + 1;
                if depth >= MAX_FRAMES {
                    let message = format!("the call stack of {} frames is too deep", depth + 1);
                    return Err(self.refuse(Code::CallDepth, message));
                }
                let mut state = self.copy();
                state.callback_depth += 1;
                state.top_mut().rounds += 1;
                state.push(frame);
                // What is counted from here on are the rounds of the next call.
                self.state.top_mut().rounds = 0;
                self.leave(state, start)
            }
        }
    }

    /// `exit` of a function that a helper called.
    pub(super) fn leave_callback(&mut self, callback: Callback) -> Check<Next> {
        let value = *self.state.reg(Reg::R0);
        let what = match callback.when {
            When::Now => "callback",
            When::Later | When::Work => "async callback",
        };
        if !value.is_scalar() {
            let message = format!("{what}: R0 not a scalar value ({})", value.kind_name());
            return Err(self.refuse_reg(Code::Callback, Reg::R0, message));
        }
        self.mark_precise(Reg::R0);
        let (smin, smax) = (value.num.smin(), value.num.smax());
        let (min, max) = (callback.min, callback.max);
        if smin < min || smax > max {
            let message = format!(
                "At {what} return the register R0 has smin={smin} smax={smax} should have been in [{min}, {max}]"
            );
            let found = self.refuse_reg(Code::Callback, Reg::R0, message);
            let help = match (min, max) {
                (0, 1) => "return 0 to be called again, and 1 to stop",
                _ => "return 0",
            };
            return Err(Box::new(found.help(help)));
        }
        if callback.when != When::Now {
            return Ok(Next::End);
        }
        let callsite = self.state.pop().and_then(|frame| frame.callsite).expect("callees have a callsite");
        if let Some(step) = self.trail.last_mut() {
            step.leaves_callback = true;
        }
        self.at = callsite;
        let mut state = self.copy();
        self.widen_since_last_round(&mut state, false);
        self.go_on_in(state);
        Ok(Next::Goto(callsite))
    }
}
