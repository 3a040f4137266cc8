//! Kernel pointers in maps' values: what a load yields, what may be stored, and `bpf_kptr_xchg`.
//!
//! A pointer that a map owns is read as untrusted, or as valid within an RCU section for types that are freed after one;
//! it changes hands through `bpf_kptr_xchg` only.

use super::check::{Direction, Request};
use super::explore::{Check, Explorer};
use super::fields::{Field, PointerTag, Special};
use super::locks::explain;
use super::records::MapRecord;
use super::refusal::name;
use super::structures::holds;
use super::value::{BtfPointer, Flags, Kind, MemoryOwner, TypesOf, Value};
use crate::btf::{Kind as TypeKind, TypeId};
use crate::diag::Code;
use crate::isa::Reg;

/// Kernel structures that are freed after an RCU grace period (`rcu_protected_types`).
const RCU_PROTECTED: &[&str] =
    &["task_struct", "cgroup", "bpf_cpumask", "bpf_crypto_ctx", "prog_test_ref_kfunc"];

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
        source: Option<Reg>,
    ) -> Check<Option<Value>> {
        let Special::KernelPointer { ty, tag } = field.special else { return Ok(None) };
        let refuse = |message: &str| Err(self.refuse_reg(Code::SpecialField, request.reg, message));
        if tag == PointerTag::User {
            return match request.direction {
                Direction::Read => self.user_memory(ty).map(Some),
                Direction::Write => refuse("store to uptr disallowed"),
            };
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
                // What may hang from a list or a tree could be taken from there while it is looked at.
                let record = if own { self.object_record(pointer.ty) } else { None };
                let node = safe && self.in_rcu() && record.is_some_and(|r| r.has(Special::is_node));
                let flags = if node { flags.with(Flags::NON_OWNING) } else { flags };
                Ok(Some(Value { nullable: true, flags, ..Value::pointer(Kind::Btf(pointer)) }))
            }
            Direction::Write if tag != PointerTag::Untrusted => refuse("store to referenced kptr disallowed"),
            Direction::Write => match (stored, source) {
                (Some(value), _) if value.is_null() => Ok(None),
                (Some(value), Some(reg)) => {
                    self.check_kptr_source(reg, &value, (pointer, tag)).map(|()| None)
                }
                (Some(_), None) => {
                    refuse(&format!("BPF_ST imm must be 0 when storing to kptr at off={}", field.off))
                }
                (None, _) => refuse("kptr in map can only be accessed using BPF_MEM instruction mode"),
            },
        }
    }

    /// A page of user memory that a map refers to.
    fn user_memory(&self, ty: TypeId) -> Check<Value> {
        let size = self.types(TypesOf::Program).and_then(|btf| btf.size_of(ty).ok());
        let Some(size) = size else { return Err(self.unsupported("user memory of unknown size")) };
        let kind = Kind::Memory { size, owner: MemoryOwner::Kernel };
        Ok(Value { nullable: true, ..Value::pointer(kind) })
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
        if let Kind::MapValue(map) = value.kind
            && let MapRecord::Untyped(broken) = self.map_record(map)
        {
            let name = &self.map(map).name;
            let message = format!("map '{name}' has to have BTF in order to use bpf_kptr_xchg");
            return Err(explain(self.refuse_reg(Code::SpecialField, reg, message), broken.as_ref()));
        }
        let kptr = |special| matches!(special, Special::KernelPointer { tag, .. } if tag != PointerTag::User);
        let Some(record) = self.special_fields(value).filter(|record| record.has(kptr)) else {
            let broken = match value.kind {
                Kind::MapValue(map) => self.map_record(map).broken(),
                _ => None,
            };
            let message = format!("{} has no valid kptr", name(reg));
            return Err(explain(self.refuse_reg(Code::SpecialField, reg, message), broken));
        };
        match record.at(off).map(|field| field.special) {
            Some(Special::KernelPointer { ty, tag: tag @ (PointerTag::Owned | PointerTag::PerCpu) }) => {
                Ok((self.pointed(ty)?, tag))
            }
            Some(Special::KernelPointer { tag: PointerTag::Untrusted, .. }) => {
                refuse(format!("off={off} kptr isn't referenced kptr"))
            }
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
        let (wanted, tag) = field;
        let message = || {
            let expected = self.structure_name(wanted);
            let found = match value.kind {
                Kind::Btf(pointer) => self.structure_name(pointer),
                _ => String::new(),
            };
            let or = match tag {
                PointerTag::Untrusted => format!(" or untrusted_ptr_{expected}"),
                PointerTag::Owned | PointerTag::PerCpu | PointerTag::User => String::new(),
            };
            let kind = value.kind_name();
            let message =
                format!("invalid kptr access, {} type={kind}{found} expected=ptr_{expected}{or}", name(reg));
            Err(self.refuse_reg(Code::SpecialField, reg, message))
        };
        let Kind::Btf(pointer) = value.kind else { return message() };
        let allowed = match (pointer.types, tag) {
            (TypesOf::Kernel, PointerTag::Untrusted) => {
                Flags::TRUSTED.with(Flags::RCU).with(Flags::UNTRUSTED)
            }
            (TypesOf::Kernel, _) => Flags::TRUSTED.with(Flags::RCU),
            (TypesOf::Program, PointerTag::PerCpu) => Flags::ALLOC.with(Flags::PERCPU),
            (TypesOf::Program, _) => Flags::ALLOC,
        };
        let percpu = value.flags.has(Flags::PERCPU) == (tag == PointerTag::PerCpu);
        if value.flags.without(allowed) != Flags::NONE || !percpu {
            return message();
        }
        let unmoved = Value { off: value.off.min(0), ..*value };
        self.check_unmodified(reg, &unmoved)?;
        let off = u32::try_from(value.off).unwrap_or(u32::MAX);
        let same = pointer.types == wanted.types
            && match tag {
                PointerTag::Untrusted => {
                    self.types(pointer.types).is_some_and(|btf| holds(btf, pointer.ty, off, wanted.ty))
                }
                PointerTag::Owned | PointerTag::PerCpu | PointerTag::User => {
                    off == 0 && pointer.ty == wanted.ty
                }
            };
        if same { Ok(()) } else { message() }
    }
}
