//! Calls of host functions: each argument against the prototype that the host gave.
//!
//! The native code trusts what is proven here: memory is readable, and writable where it writes,
//! and as large as the prototype or the length after it says. Whatever it may write is unknown
//! afterwards. It keeps no pointer, and does not move the packet; both are the host's promise.

use crate::diag::Code;
use crate::isa::Reg;
use crate::program::{HostAccess, HostParam, HostScalar};
use crate::verify::check::{By, Direction, Request};
use crate::verify::explore::{Check, Explorer, Next};
use crate::verify::obligations::RegSet;
use crate::verify::refusal::name;
use crate::verify::scalar::Scalar;
use crate::verify::transfer::Handed;
use crate::verify::transfer::MAX_OFFSET;
use crate::verify::value::{Kind, Value};

impl Explorer<'_> {
    /// `call` of the host function at an index.
    pub(super) fn host_function(&mut self, index: i32) -> Check<Next> {
        let functions = std::sync::Arc::clone(&self.program.host_functions);
        let Some(function) = usize::try_from(index).ok().and_then(|index| functions.get(index)) else {
            return Err(self.refuse(Code::UnsupportedKfunc, format!("the host has no function #{index}")));
        };
        if self.state.held.is_locked() {
            let message = "function calls are not allowed while holding a lock";
            return Err(self.refuse(Code::Lock, message));
        }
        let args = RegSet::args(function.params.len());
        self.check_initialised(args)?;
        let mut buffer = None;
        for (param, reg) in function.params.iter().zip(args.iter()) {
            let value = *self.state.reg(reg);
            match *param {
                HostParam::Scalar(scalar) => {
                    self.expect(reg, value.is_scalar(), "scalar")?;
                    if let Some((memory, access)) = buffer.take() {
                        self.host_buffer(memory, access, (reg, scalar))?;
                    }
                }
                HostParam::Memory { size, access } => self.host_memory(reg, access, size, false)?,
                // Judged together with the length that follows.
                HostParam::Buffer { access } => buffer = Some((reg, access)),
                HostParam::Context => {
                    self.expect(reg, value.kind == Kind::Context, "ctx")?;
                    self.check_unmodified(reg, &value)?;
                }
            }
        }
        self.destroy_caller_saved();
        if let Some(scalar) = function.returns {
            // A signed one is extended with its sign.
            let unsigned = Value::scalar(Scalar::unknown_of(scalar.size));
            self.set(Reg::R0, if scalar.signed { Value::UNKNOWN } else { unsigned });
        }
        Ok(Next::Fall)
    }

    /// Memory whose length is in the next register.
    fn host_buffer(&mut self, memory: Reg, access: HostAccess, (length, scalar): (Reg, HostScalar)) -> Check {
        let num = self.state.reg(length).num;
        if num.smin() < 0 {
            let what = "min value is negative, either use unsigned or 'var &= const'";
            return Err(self.refuse_reg(Code::ArgumentSize, length, format!("{} {what}", name(length))));
        }
        if num.umax() >= MAX_OFFSET.unsigned_abs() {
            let what = "unbounded memory access, use 'var &= const' or 'if (var < const)'";
            return Err(self.refuse_reg(Code::UnboundedAccess, length, format!("{} {what}", name(length))));
        }
        // Cut to fewer bits it would be another length, and a negative one where they are signed.
        if num.umax() > scalar.most() {
            let message =
                format!("{} max value {} does not fit the host's {scalar}", name(length), num.umax());
            return Err(self.refuse_reg(Code::ArgumentSize, length, message));
        }
        let size = u32::try_from(num.umax()).expect("below 2^29");
        self.host_memory(memory, access, size, true)?;
        self.mark_precise(length);
        Ok(())
    }

    fn host_memory(&mut self, reg: Reg, access: HostAccess, size: u32, empty: bool) -> Check {
        let value = *self.state.reg(reg);
        self.expect(
            reg,
            !value.is_scalar() && !value.nullable,
            "fp, pkt, pkt_meta, map_key, map_value, mem",
        )?;
        let directions: &[Direction] = match access {
            HostAccess::Read => &[Direction::Read],
            HostAccess::ReadWrite => &[Direction::Read, Direction::Write],
        };
        for &direction in directions {
            let request = Request { reg, off: 0, size, direction, by: By::Helper, empty };
            self.check_handed_memory(&request, Handed::of(direction))?;
        }
        Ok(())
    }
}
