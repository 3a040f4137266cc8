//! Calls of functions, exits, and legacy packet loads.
//!
//! A static function is explored anew at each call, with what its caller hands over. A global one is
//! explored once, apart: here only its parameters are checked.

use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, InsnIdx, Reg, Size};
use crate::program::{Param, SubprogId};
use crate::verify::check::{By, Direction, Request};
use crate::verify::explore::{Check, Explorer, Next};
use crate::verify::obligations::RegSet;
use crate::verify::refusal::name;
use crate::verify::state::{Frame, MAX_FRAMES};
use crate::verify::structure::subprog_at;
use crate::verify::transfer::Handed;
use crate::verify::value::{Flags, Kind, MemoryOwner, Value};

impl Explorer<'_> {
    /// `call target`
    pub(in crate::verify) fn call(&mut self, target: CallTarget) -> Check<Next> {
        self.pace.jumps += 1;
        match target {
            CallTarget::Helper(number) => self.helper(number),
            CallTarget::Subprog(off) => {
                let callee = subprog_at(self.program, self.target(off)).expect("call targets were checked");
                self.facts.calls(self.at, callee);
                if Some(callee) == self.program.exception_callback {
                    return Err(self.refuse(Code::Callback, "cannot call exception cb directly"));
                }
                if self.program.subprogs[callee.index()].global {
                    self.call_global(callee)
                } else {
                    self.call_static(callee)
                }
            }
            CallTarget::Kfunc { id, module: CallTarget::HOST } => self.host_function(id),
            CallTarget::Kfunc { .. } => self.kfunc(target),
        }
    }

    fn call_static(&mut self, callee: SubprogId) -> Check<Next> {
        let depth = self.state.depth() + 1;
        if depth >= MAX_FRAMES {
            let message = format!("the call stack of {} frames is too deep", depth + 1);
            return Err(self.refuse(Code::CallDepth, message));
        }
        let mut frame = Frame::new(depth, callee, Some(self.at));
        for reg in RegSet::ARGS.iter() {
            frame.regs[reg.index()] = *self.state.reg(reg);
        }
        self.destroy_caller_saved();
        self.state.push(frame);
        Ok(Next::Goto(self.program.subprogs[callee.index()].start))
    }

    /// Calls leave nothing in `r0` to `r5`.
    pub(in crate::verify) fn destroy_caller_saved(&mut self) {
        let top = self.state.top_mut();
        for reg in RegSet::CALLER_SAVED.iter() {
            top.regs[reg.index()] = Value::UNINIT;
        }
    }

    /// Packet pointers are invalid from now on.
    pub(in crate::verify) fn forget_packet(&mut self) {
        let origin = Some(self.at);
        let left = Value { origin, ..Value::invalidated(self.options.privilege) };
        self.state.update(Value::is_any_packet, |value| *value = left);
        let slice =
            |value: &Value| matches!(value.kind, Kind::Memory { owner: MemoryOwner::PacketSlice, .. });
        self.state.update(slice, |value| *value = left);
    }

    /// What a global function can be, to be verified apart.
    pub(in crate::verify) fn check_signature(&self, callee: SubprogId) -> Check {
        let subprog = &self.program.subprogs[callee.index()];
        let refuse = |message: String| {
            let diagnostic = Diagnostic::at(Code::GlobalFunction, subprog.start, message);
            Err(Box::new(
                diagnostic.help("make the function static, or give its parameters types of known size"),
            ))
        };
        let name = &subprog.name;
        if !subprog.returns_scalar {
            return refuse(format!(
                "Global function {name}() doesn't return scalar. Only those are supported."
            ));
        }
        if subprog.params.len() > 5 {
            return refuse(format!("Global function {name}() with {} > 5 args.", subprog.params.len()));
        }
        match subprog.params.iter().position(|p| *p == Param::Unknown) {
            Some(index) => {
                let message =
                    format!("arg#{index} of the global function {name}(): its type is not supported");
                let message = format!("{message}, or its size cannot be determined");
                Err(Box::new(Diagnostic::at(Code::GlobalFunction, subprog.start, message)))
            }
            None => Ok(()),
        }
    }

    /// A function that handles exceptions takes a number and returns one.
    pub(in crate::verify) fn check_handler(&self, handler: SubprogId) -> Check {
        let subprog = &self.program.subprogs[handler.index()];
        let name = &subprog.name;
        let refuse =
            |message: String| Err(Box::new(Diagnostic::at(Code::GlobalFunction, subprog.start, message)));
        if !subprog.returns_scalar {
            return refuse(format!(
                "Global function {name}() doesn't return scalar. Only those are supported."
            ));
        }
        if subprog.params.len() != 1 || subprog.params[0] != Param::Scalar {
            return refuse("exception cb only supports single integer argument".to_owned());
        }
        Ok(())
    }

    fn call_global(&mut self, callee: SubprogId) -> Check<Next> {
        if self.state.held.is_locked() {
            let message =
                "global function calls are not allowed while holding a lock, use static function instead";
            return Err(self.refuse(Code::Lock, message));
        }
        let held = &self.state.held;
        let atomic = held.rcu > 0 || held.preempt > 0 || !held.irqs.is_empty() || !self.sleepable();
        if atomic && self.layout.sleeps[callee.index()] {
            let message = "global functions that may sleep are not allowed in non-sleepable context,\ni.e., in a \
                           RCU/IRQ/preempt-disabled section, or in\na non-sleepable BPF program context.";
            return Err(self.refuse(Code::Section, message));
        }
        self.check_signature(callee)?;
        let params = self.program.subprogs[callee.index()].params.clone();
        for (index, (param, reg)) in params.iter().zip(RegSet::ARGS.iter()).enumerate() {
            self.check_param(callee, index, *param, reg)?;
        }
        if self.layout.moves_packet[callee.index()] {
            self.forget_packet();
        }
        self.destroy_caller_saved();
        self.set(Reg::R0, Value::UNKNOWN);
        Ok(Next::Fall)
    }

    fn check_param(&mut self, callee: SubprogId, index: usize, param: Param, reg: Reg) -> Check {
        let value = *self.state.reg(reg);
        let function = &self.program.subprogs[callee.index()].name;
        let refuse = |explorer: &Self, what: String| {
            let message = format!("{what}\nCaller passes invalid args into func#{} ('{function}')", callee.0);
            Err(explorer.refuse_reg(Code::GlobalFunction, reg, message))
        };
        if value.kind == Kind::Uninit {
            return Err(self.refuse_uninit(reg));
        }
        match param {
            Param::Unknown | Param::Untrusted { .. } => Ok(()),
            Param::Arena if value.is_scalar() || value.kind == Kind::Arena => Ok(()),
            Param::Arena => refuse(self, format!("{} is not a pointer to arena or scalar.", name(reg))),
            Param::Scalar if value.is_scalar() => Ok(()),
            Param::Scalar => refuse(self, format!("{} is not a scalar", name(reg))),
            Param::Context if value.kind == Kind::Context => self.check_unmodified(reg, &value),
            Param::Context => refuse(self, format!("arg#{index} expects pointer to ctx")),
            Param::Dynptr => self.dynptr_argument(reg).map(|_| ()),
            Param::Trusted { nullable: true, .. } if value.is_null() => {
                self.mark_precise(reg);
                Ok(())
            }
            Param::Trusted { ty, nullable } => {
                let usable = matches!(value.kind, Kind::Btf(_))
                    && (value.flags.without(Flags::TRUSTED) == Flags::NONE || value.flags == Flags::RCU);
                if !usable || (value.nullable && !nullable) {
                    let message = format!(
                        "{} type={} expected=ptr_, trusted_ptr_, rcu_ptr_",
                        name(reg),
                        value.kind_name()
                    );
                    return refuse(self, message);
                }
                let Kind::Btf(wanted) = self.kernel_counterpart(ty)? else { return Ok(()) };
                let unmoved = Value { off: value.off.min(0), ..value };
                self.check_unmodified(reg, &unmoved)?;
                self.check_structure_argument(reg, &value, &self.structure_name(wanted))
            }
            Param::Memory { nonnull, .. } if value.is_null() => {
                if nonnull {
                    return refuse(self, format!("arg#{index} is expected to be non-NULL"));
                }
                self.mark_precise(reg);
                Ok(())
            }
            Param::Memory { size, nonnull } => {
                if nonnull && value.nullable {
                    return refuse(self, format!("arg#{index} is expected to be non-NULL"));
                }
                for direction in [Direction::Read, Direction::Write] {
                    let request = Request { reg, off: 0, size, direction, by: By::Helper, empty: true };
                    self.check_handed_memory(&request, Handed::Changed)?;
                }
                Ok(())
            }
        }
    }

    /// `exit`
    pub(in crate::verify) fn exit(&mut self) -> Check<Next> {
        self.pace.jumps += 1;
        let callback = self.state.top().callback;
        if self.state.depth() == 0 {
            self.check_nothing_held("BPF_EXIT instruction in main prog")?;
        }
        if let Some(callback) = callback {
            return self.leave_callback(callback);
        }
        if self.state.depth() > 0 {
            return self.leave_subprog();
        }
        if !self.returns_nothing() {
            self.check_leak(Reg::R0, "leaks addr as return value")?;
        }
        let value = *self.state.reg(Reg::R0);
        let subprog = self.state.top().subprog;
        if subprog != SubprogId::MAIN && Some(subprog) != self.program.exception_callback {
            if value.is_scalar() {
                return Ok(Next::End);
            }
            let message =
                format!("At subprogram exit the register R0 is not a scalar value ({})", value.kind_name());
            return Err(self.refuse_reg(Code::ReturnValue, Reg::R0, message));
        }
        self.check_return(Reg::R0)?;
        Ok(Next::End)
    }

    /// What the program returns is in the range of its kind.
    pub(in crate::verify) fn check_return(&mut self, reg: Reg) -> Check {
        let value = *self.state.reg(reg);
        let Some((min, max)) = self.return_range() else { return Ok(()) };
        if !value.is_scalar() {
            let message = format!(
                "At program exit the register {} is not a known value ({})",
                name(reg),
                value.kind_name()
            );
            return Err(self.refuse_reg(Code::ReturnValue, reg, message));
        }
        self.mark_precise(reg);
        let (smin, smax) = (value.num.smin(), value.num.smax());
        if min <= smin && smax <= max {
            return Ok(());
        }
        let message = format!(
            "At program exit the register {} has smin={smin} smax={smax} should have been in [{min}, {max}]",
            name(reg)
        );
        Err(self.refuse_reg(Code::ReturnValue, reg, message))
    }

    /// Returns to the caller, which gets `r0`.
    pub(super) fn leave_subprog(&mut self) -> Check<Next> {
        let value = *self.state.reg(Reg::R0);
        if matches!(value.kind, Kind::Stack { .. }) {
            let message = "cannot return stack pointer to the caller";
            return Err(self.refuse_reg(Code::StackPointerEscape, Reg::R0, message));
        }
        let callsite = self.state.pop().and_then(|frame| frame.callsite).expect("callees have a callsite");
        *self.state.reg_mut(Reg::R0) = value;
        Ok(Next::Goto(InsnIdx(callsite.0 + 1)))
    }

    /// `r0 = *(size *)skb[...]`. In a subprogram a load that fails returns 0 to the caller.
    pub(in crate::verify) fn legacy_load(&mut self, size: Size) -> Check<Next> {
        if !self.kind.info().legacy_packet_loads {
            let message = "BPF_LD_[ABS|IND] instructions not allowed for this program type";
            return Err(self.refuse(Code::LegacyPacketLoad, message));
        }
        if size == Size::DW {
            return Err(self.refuse(Code::ReservedForm, "BPF_LD_[ABS|IND] uses reserved fields"));
        }
        let context = *self.state.reg(Reg::R6);
        if context.kind != Kind::Context {
            let message = "at the time of BPF_LD_ABS|IND R6 != pointer to skb";
            return Err(self.refuse_reg(Code::LegacyPacketLoad, Reg::R6, message));
        }
        self.check_unmodified(Reg::R6, &context)?;
        self.check_int_result("LD_ABS")?;
        self.check_nothing_held("BPF_LD_[ABS|IND]")?;
        self.destroy_caller_saved();
        // Linux takes it for any number, though it has no more bits than were loaded.
        self.set(Reg::R0, Value::UNKNOWN);
        if self.state.depth() == 0 {
            return Ok(Next::Fall);
        }
        let next = self.target(0);
        let copy = self.copy();
        self.leave(copy, next)?;
        self.set(Reg::R0, Value::constant(0));
        self.leave_subprog()
    }

    /// Some instructions end a subprogram with a number, which must then be what it returns.
    pub(super) fn check_int_result(&self, what: &str) -> Check {
        let subprog = self.state.top().subprog;
        if subprog != SubprogId::MAIN && !self.program.subprogs[subprog.index()].returns_scalar {
            let message = format!("{what} is only allowed in functions that return 'int'");
            return Err(self.refuse(Code::ReturnValue, message));
        }
        Ok(())
    }

    /// A tail call in a subprogram ends it when it succeeds: the caller gets whatever the other program
    /// returned, and the packet may have moved.
    pub(super) fn tail_call(&mut self) -> Check<Next> {
        self.check_int_result("tail_call")?;
        if self.state.depth() == 0 {
            return Ok(Next::Fall);
        }
        let next = self.target(0);
        let copy = self.copy();
        self.leave(copy, next)?;
        self.set(Reg::R0, Value::UNKNOWN);
        self.leave_subprog()
    }
}
