//! Words for findings: each says which value is at fault and where it came from.
//!
//! The sentences are the kernel's where it has one, since people search for them. Nothing is decided
//! here.

use brolga_abi::HelperId;

use super::explore::Explorer;
use super::value::Value;
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Insn, Reg};

impl Explorer<'_> {
    /// Refuses the current instruction.
    pub(super) fn refuse(&self, code: Code, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::at(code, self.at, message))
    }

    /// Refuses the current instruction for what a register holds.
    pub(super) fn refuse_reg(&self, code: Code, reg: Reg, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic { register: Some(reg), ..Diagnostic::at(code, self.at, message) })
    }

    /// Something that Brolga cannot judge yet.
    pub(super) fn unsupported(&self, what: &str) -> Box<Diagnostic> {
        self.refuse(Code::UnsupportedFeature, format!("{what}: not supported yet"))
    }

    /// A register is read that holds nothing.
    pub(super) fn refuse_uninit(&self, reg: Reg) -> Box<Diagnostic> {
        let diagnostic = self.refuse_reg(Code::UninitRegister, reg, format!("{} !read_ok", name(reg)));
        // Who destroyed it: the last call of this path, if it is a register that calls destroy.
        let calls = |insn: &Insn| matches!(insn, Insn::Call(_) | Insn::LegacyLoad { .. });
        let call = self.trail.iter().rev().map(|s| s.at).find(|at| calls(&self.program.insns[at.index()]));
        Box::new(match call {
            Some(at) if reg.number() <= 5 && at != self.at => {
                let void = reg == Reg::R0
                    && matches!(self.program.insns[at.index()], Insn::Call(CallTarget::Helper(_)));
                let what = if void { "it returns nothing" } else { "calls destroy r1 to r5" };
                diagnostic.note(Some(at), what).help("keep the value in r6 to r9 or on the stack")
            }
            _ => diagnostic.note(None, format!("nothing was written to {reg} on this path")),
        })
    }

    /// Whether a number was a pointer to the packet until a helper may have moved that.
    pub(super) fn moved_packet(&self, value: &Value) -> bool {
        let insn = value.origin.and_then(|at| self.program.insns.get(at.index()));
        let Some(Insn::Call(CallTarget::Helper(number))) = insn else { return false };
        HelperId::from_number(*number).is_some_and(|id| id.info().moves_packet || id == HelperId::TailCall)
    }

    /// What became of the object to which a number was a pointer: help for whoever uses it still.
    pub(super) fn lost_object(&self, value: &Value) -> Option<&'static str> {
        const SPIN_UNLOCK: u32 = 94;
        const KPTR_XCHG: u32 = 194;
        const UNLOCKED: &str = "what was found in a list or tree, or put into it, may be gone when the lock is given \
                                back: use it before, or take a reference of your own with `bpf_refcount_acquire`";
        const STORED: &str = "the map or object owns it since this exchange: use it before, or take another \
                              reference with `bpf_refcount_acquire`";
        const DROPPED: &str = "the object was dropped by this call: use it before";
        if !value.is_scalar() || !value.num.is_unknown() {
            return None;
        }
        let insn = value.origin.and_then(|at| self.program.insns.get(at.index()))?;
        match *insn {
            Insn::Call(CallTarget::Helper(SPIN_UNLOCK)) => Some(UNLOCKED),
            Insn::Call(CallTarget::Helper(KPTR_XCHG)) => Some(STORED),
            Insn::Call(target @ CallTarget::Kfunc { .. }) => match self.kfuncs.get(target)?.name() {
                "bpf_obj_drop_impl" | "bpf_percpu_obj_drop_impl" => Some(DROPPED),
                "bpf_res_spin_unlock" | "bpf_res_spin_unlock_irqrestore" => Some(UNLOCKED),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What would prove an access to the packet, at `off` from the pointer: authors think of the pointer at hand.
pub(super) fn packet_help(value: &Value, off: i32, size: u32) -> String {
    let whole = i64::from(value.off) + i64::from(off);
    if whole < 0 {
        return "the access may lie before the packet: check that the offset is large enough, and compare the very \
                pointer that is accessed with `data_end`"
            .to_owned();
    }
    if whole.saturating_add(size.into()) > i64::from(u16::MAX) {
        return "offsets in a packet are followed up to 65535: bound the loop or the offset by a constant, beside \
                the comparison with `data_end`"
            .to_owned();
    }
    if value.num.as_constant() == Some(0) {
        let end = whole.saturating_add(size.into());
        return format!("first compare `data + {end}` with `data_end` and leave when it is beyond");
    }
    let end = i64::from(off).saturating_add(size.into());
    format!(
        "first compare this very pointer `+ {end}`, its variable part included, with `data_end`, and leave when it is \
         beyond"
    )
}

/// A register as the kernel's messages spell it.
pub(super) fn name(reg: Reg) -> String {
    format!("R{}", reg.number())
}
