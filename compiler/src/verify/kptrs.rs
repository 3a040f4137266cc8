//! Kernel pointers in maps' values: what a load yields, what may be stored, and `bpf_kptr_xchg`.
//!
//! A pointer that a map owns is read as untrusted, or as valid within an RCU section for types that are freed after one;
//! it changes hands through `bpf_kptr_xchg` only.

use super::check::{Direction, Request};
use super::explore::{Check, Explorer};
use super::fields::{Field, PointerTag, Special, of_structure};
use super::refusal::name;
use super::value::{BtfPointer, Flags, Kind, TypesOf, Value};
use crate::btf::{Kind as TypeKind, TypeId};
use crate::diag::Code;
use crate::isa::Reg;

/// Kernel structures that are freed after an RCU grace period (`rcu_protected_types`).
const RCU_PROTECTED: &[&str] = &["task_struct", "cgroup", "bpf_cpumask", "bpf_crypto_ctx"];

impl Explorer<'_> {
    /// What a kernel pointer points to: the kernel's structure of the name, or the program's own.
    fn pointed(&self, ty: TypeId) -> Check<BtfPointer> {
        let unknown = |explorer: &Self| explorer.unsupported("a kernel pointer to such a type");
        let Some(btf) = self.types(TypesOf::Program) else { return Err(unknown(self)) };
        let plain = btf.unqualified(ty).map_err(|_| unknown(self))?;
        if plain.kind() != TypeKind::Struct {
            return Err(unknown(self));
        }
        let name = plain.name().map_err(|_| unknown(self))?;
        let kernel = self.kernel_types()?.find(TypeKind::Struct, name);
        Ok(match kernel {
            Some(ty) => BtfPointer { types: TypesOf::Kernel, ty },
            None => BtfPointer { types: TypesOf::Program, ty: plain.id() },
        })
    }

    /// A load or store of a kernel pointer in a map's value. Gives what a load yields.
    pub(super) fn check_kernel_pointer(
        &self,
        request: &Request,
        field: &Field,
        stored: Option<Value>,
    ) -> Check<Option<Value>> {
        let Special::KernelPointer { ty, tag } = field.special else { return Ok(None) };
        let refuse = |message: &str| Err(self.refuse_reg(Code::SpecialField, request.reg, message));
        if tag == PointerTag::User {
            return Err(self.unsupported("pointers to user memory in maps"));
        }
        let pointer = self.pointed(ty)?;
        match request.direction {
            Direction::Read => {
                let own = pointer.types == TypesOf::Program;
                let protected = own || RCU_PROTECTED.contains(&self.structure_name(pointer).as_str());
                let safe = match tag {
                    PointerTag::PerCpu => true,
                    PointerTag::Owned => protected,
                    PointerTag::Untrusted | PointerTag::User => false,
                };
                let flags = match () {
                    () if !(safe && self.in_rcu()) => Flags::UNTRUSTED,
                    () if tag == PointerTag::PerCpu => Flags::RCU.with(Flags::PERCPU),
                    () if own => Flags::RCU.with(Flags::ALLOC),
                    () => Flags::RCU,
                };
                Ok(Some(Value { nullable: true, flags, ..Value::pointer(Kind::Btf(pointer)) }))
            }
            Direction::Write if tag != PointerTag::Untrusted => refuse("store to referenced kptr disallowed"),
            Direction::Write => match stored {
                Some(value) if value.is_null() => Ok(None),
                Some(value) if value.kind == Kind::Btf(pointer) && value.off == 0 => Ok(None),
                Some(_) | None => refuse("invalid kptr access: it is not null, and not to such a structure"),
            },
        }
    }

    /// The field that `bpf_kptr_xchg` changes: what it points to.
    pub(super) fn kptr_destination(&self, reg: Reg, value: &Value) -> Check<(BtfPointer, PointerTag)> {
        let refuse = |message: String| Err(self.refuse_reg(Code::SpecialField, reg, message));
        let Some(off) = value.constant_offset() else {
            return refuse(format!(
                "{} doesn't have constant offset. kptr has to be at the constant offset",
                name(reg)
            ));
        };
        let fields: Box<[Field]> = match value.kind {
            Kind::MapValue(map) => self.fields_of(map).into(),
            Kind::Btf(pointer) => {
                self.types(pointer.types).map(|btf| of_structure(btf, pointer.ty)).unwrap_or_default()
            }
            _ => return self.expect(reg, false, "map_value").map(|()| unreachable_pair()),
        };
        let field = fields.iter().find(|field| i64::from(field.off) == off);
        match field.map(|field| field.special) {
            Some(Special::KernelPointer { ty, tag: tag @ (PointerTag::Owned | PointerTag::PerCpu) }) => {
                Ok((self.pointed(ty)?, tag))
            }
            Some(Special::KernelPointer { .. }) => refuse(format!("off={off} kptr isn't referenced kptr")),
            Some(_) | None => refuse(format!("off={off} doesn't point to kptr")),
        }
    }

    /// What is put into a field must be to the very structure that the field is for.
    pub(super) fn check_kptr_source(
        &self,
        reg: Reg,
        value: &Value,
        field: (BtfPointer, PointerTag),
    ) -> Check {
        let percpu = value.flags.has(Flags::PERCPU) == (field.1 == PointerTag::PerCpu);
        let sound = !value.flags.has_any(Flags::UNTRUSTED.with(Flags::USER).with(Flags::NON_OWNING));
        if value.kind == Kind::Btf(field.0) && !value.nullable && percpu && sound {
            return Ok(());
        }
        let message = format!(
            "invalid kptr access, {} type={} expected=ptr_{}",
            name(reg),
            value.kind_name(),
            self.structure_name(field.0)
        );
        Err(self.refuse_reg(Code::SpecialField, reg, message))
    }
}

/// [`Explorer::expect`] never lets a wrong kind through.
const fn unreachable_pair() -> (BtfPointer, PointerTag) {
    (BtfPointer { types: TypesOf::Program, ty: TypeId::VOID }, PointerTag::Untrusted)
}
