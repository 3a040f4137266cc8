//! Atomic operations, load-acquire and store-release.

use super::mem::{Stored, Transfer};
use crate::diag::Code;
use crate::isa::{AtomicOp, Reg, Size};
use crate::verify::explore::{Check, Explorer};
use crate::verify::refusal::name;
use crate::verify::value::Kind;

impl Explorer<'_> {
    /// `lock *(size *)(base + off) op= src` and its kin.
    pub(in crate::verify) fn atomic(
        &mut self,
        op: AtomicOp,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    ) -> Check {
        if !matches!(size, Size::W | Size::DW) {
            return Err(self.refuse(Code::ReservedForm, "invalid atomic operand size"));
        }
        self.check_atomic_target(base, "stores into")?;
        self.check_leak(src, "leaks addr into mem")?;
        if op == AtomicOp::Cmpxchg {
            self.check_leak(Reg::R0, "leaks addr into mem")?;
        }
        let how = Transfer { size, base, off, strict: true };
        let fetched = match op {
            AtomicOp::Cmpxchg => Some(Reg::R0),
            AtomicOp::Xchg
            | AtomicOp::Add { fetch: true }
            | AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true } => Some(src),
            AtomicOp::Add { fetch: false }
            | AtomicOp::Or { fetch: false }
            | AtomicOp::And { fetch: false }
            | AtomicOp::Xor { fetch: false } => None,
        };
        if fetched == Some(Reg::R10) {
            return Err(self.refuse(Code::FramePointerWrite, "frame pointer is read only"));
        }
        if fetched == Some(base) && base != Reg::R10 {
            let message = format!("{} invalid mem access 'scalar'", name(base));
            let help = "Linux takes the address for what was fetched when it judges the store: keep the address in \
                        another register";
            return Err(Box::new(self.refuse_reg(Code::InvalidMemAccess, base, message).help(help)));
        }
        self.load_through(&how, false, None)?;
        let Some(dst) = fetched else { return self.store_through(&how, Stored::Anything) };
        // What is fetched may replace the address, so the store comes first, and the load sees what was
        // there before.
        let before = self.copy();
        self.store_through(&how, Stored::Anything)?;
        let after = std::mem::replace(&mut self.state, before);
        self.load_through(&how, false, Some(dst))?;
        let fetched = *self.state.reg(dst);
        self.go_on_in(after);
        *self.state.reg_mut(dst) = fetched;
        Ok(())
    }

    /// `dst = load_acquire((size *)(base + off))`
    pub(in crate::verify) fn load_acquire(&mut self, size: Size, dst: Reg, base: Reg, off: i16) -> Check {
        self.check_atomic_target(base, "loads from")?;
        self.load_through(&Transfer { size, base, off, strict: true }, false, Some(dst))
    }

    /// `store_release((size *)(base + off), src)`
    pub(in crate::verify) fn store_release(&mut self, size: Size, base: Reg, off: i16, src: Reg) -> Check {
        self.check_atomic_target(base, "stores into")?;
        self.store_through(&Transfer { size, base, off, strict: true }, Stored::Reg(src))
    }

    /// Atomics work on memory that is not rewritten or moved.
    fn check_atomic_target(&self, base: Reg, what: &str) -> Check {
        let value = self.state.reg(base);
        match value.kind {
            Kind::Context | Kind::Packet | Kind::PacketMeta | Kind::FlowKeys | Kind::Socket(_) => {
                let message =
                    format!("BPF_ATOMIC {what} {} {} is not allowed", name(base), value.kind_name());
                Err(self.refuse_reg(Code::AtomicTarget, base, message))
            }
            Kind::Uninit
            | Kind::Scalar
            | Kind::Stack { .. }
            | Kind::PacketEnd
            | Kind::Map(_)
            | Kind::MapValue(_)
            | Kind::Memory { .. }
            | Kind::MapKey(_)
            | Kind::Btf(_)
            | Kind::Buffer(_)
            | Kind::Func(_)
            | Kind::Dynptr(_)
            | Kind::Arena => Ok(()),
        }
    }
}
