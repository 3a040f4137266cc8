//! Kernel functions that enter and leave sections.

use super::{Kfunc, table};
use crate::diag::Code;
use crate::isa::Reg;
use crate::verify::explore::{Check, Explorer};
use crate::verify::objects::{Object, What};
use crate::verify::refs::Reference;
use crate::verify::value::Flags;

impl Explorer<'_> {
    /// Interrupts are saved on the stack, and restored from there in the opposite order.
    pub(super) fn irq_flag(&mut self, kfunc: &Kfunc, reg: Reg) -> Check {
        let (frame, slot) = self.object_place(reg, 1, "irq flag")?;
        let known = self.object_at(frame, slot, 1).filter(|object| object.what == What::IrqFlag);
        let refuse = |explorer: &Self, message: &str| Err(explorer.refuse_reg(Code::Section, reg, message));
        match (kfunc.name.as_str(), known) {
            ("bpf_local_irq_save", None) => {
                let id = self.new_id();
                let at = self.at;
                let object = Object { what: What::IrqFlag, slot, slots: 1, id, ref_id: id, depth: 0 };
                self.make_object(frame, object)?;
                self.state.held.irqs.push(Reference { id, at });
                Ok(())
            }
            ("bpf_local_irq_save", Some(_)) => refuse(self, "expected uninitialized irq flag as arg#0"),
            ("bpf_local_irq_restore", Some(object)) => {
                if self.state.held.irqs.last().map(|irq| irq.id) != Some(object.id) {
                    return refuse(self, "cannot restore irq state out of order");
                }
                self.state.held.irqs.pop();
                self.end_object(frame, slot);
                Ok(())
            }
            ("bpf_local_irq_restore", None) => refuse(self, "expected an initialized irq flag as arg#0"),
            _ => Err(self.unsupported(&format!("interrupts in {}", kfunc.name))),
        }
    }

    /// What a call means for the sections that the path is in.
    pub(super) fn kfunc_section(&mut self, kfunc: &Kfunc) -> Check {
        let name = &kfunc.name;
        let refuse = |explorer: &Self, message: String| Err(explorer.refuse(Code::Section, message));
        match name.as_str() {
            "bpf_rcu_read_lock" => {
                if self.state.held.rcu > 0 {
                    return refuse(self, format!("nested rcu read lock (kernel function {name})"));
                }
                self.state.held.rcu += 1;
            }
            "bpf_rcu_read_unlock" => {
                if self.state.held.rcu == 0 {
                    return refuse(self, format!("unmatched rcu read unlock (kernel function {name})"));
                }
                self.state.held.rcu -= 1;
                for index in 0..self.state.frames().len() {
                    if self.state.frame(index).objects.is_empty() {
                        continue;
                    }
                    for object in &mut self.state.frame_mut(index).objects {
                        if let What::Iterator { rcu: true, lost, .. } = &mut object.what {
                            *lost = true;
                        }
                    }
                }
                // What was valid within the section may be gone.
                self.state.update(
                    |value| value.flags.has(Flags::RCU),
                    |value| {
                        value.flags = value.flags.without(Flags::RCU).with(Flags::UNTRUSTED);
                        value.nullable = false;
                    },
                );
            }
            "bpf_preempt_disable" => self.state.held.preempt += 1,
            "bpf_preempt_enable" => {
                if self.state.held.preempt == 0 {
                    return refuse(
                        self,
                        format!("unmatched attempt to enable preemption (kernel function {name})"),
                    );
                }
                self.state.held.preempt -= 1;
            }
            _ if kfunc.has(table::SLEEPABLE) => {
                if self.state.held.rcu > 0 {
                    return refuse(
                        self,
                        format!("kernel func {name} is sleepable within rcu_read_lock region"),
                    );
                }
                if !self.state.held.irqs.is_empty() {
                    return refuse(
                        self,
                        format!("kernel func {name} is sleepable within IRQ-disabled region"),
                    );
                }
                if self.state.held.preempt > 0 {
                    return refuse(
                        self,
                        format!("kernel func {name} is sleepable within non-preemptible region"),
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }
}
