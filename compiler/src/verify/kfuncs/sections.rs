//! Kernel functions that enter and leave sections.

use super::{Kfunc, table};
use crate::diag::Code;
use crate::isa::Reg;
use crate::verify::explore::{Check, Explorer};
use crate::verify::objects::{Object, What};
use crate::verify::refs::Reference;
use crate::verify::value::Flags;

impl Explorer<'_> {
    /// Interrupts are saved on the stack, and restored from there in the opposite order; those that were saved with a
    /// lock, when that is given back.
    pub(super) fn irq_flag(&mut self, kfunc: &Kfunc, index: usize, reg: Reg) -> Check {
        let (frame, slot) = self.object_place(reg, 1, "irq flag")?;
        let known =
            self.object_at(frame, slot, 1).filter(|object| matches!(object.what, What::IrqFlag { .. }));
        let refuse = |explorer: &Self, message: String| Err(explorer.refuse_reg(Code::Section, reg, message));
        let locked = kfunc.name.starts_with("bpf_res_spin_");
        let saves = matches!(kfunc.name.as_str(), "bpf_local_irq_save" | "bpf_res_spin_lock_irqsave");
        match known {
            None if saves => {
                let (id, at) = (self.new_id(), self.at);
                let what = What::IrqFlag { locked };
                self.make_object(frame, Object { what, slot, slots: 1, id, ref_id: id, depth: 0 })?;
                self.state.held.irqs.push(Reference { id, at });
                Ok(())
            }
            Some(_) if saves => refuse(self, format!("expected uninitialized irq flag as arg#{index}")),
            Some(object) => {
                if object.what != (What::IrqFlag { locked }) {
                    let names = if locked { ["native", "lock"] } else { ["lock", "native"] };
                    let message = format!("irq flag acquired by {} kfuncs cannot be restored", names[0]);
                    return refuse(self, format!("{message} with {} kfuncs", names[1]));
                }
                if self.state.held.irqs.last().map(|irq| irq.id) != Some(object.id) {
                    return refuse(self, "cannot restore irq state out of order".to_owned());
                }
                self.state.held.irqs.pop();
                self.end_object(frame, slot);
                Ok(())
            }
            None => refuse(self, format!("expected an initialized irq flag as arg#{index}")),
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
                for index in 0..self.state.depth() + 1 {
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
