//! Structures that BTF describes: what a load at an offset yields, and what a pointer may be passed for.
//!
//! Kernel structures are read only; what a pointer read from one may be used for depends on how the structure itself was
//! come by, and on lists of fields that the kernel keeps. Too much trust here would let a program hand a dead object to
//! the kernel, so what is not known is untrusted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::check::{Direction, Request};
use super::explore::{Check, Explorer};
use super::facts::Access;
use super::refusal::name;
use super::value::{BtfPointer, Flags, Kind, MemoryOwner, TypesOf, Value};
use crate::btf::{Btf, Kind as TypeKind, MAX_DEPTH, Type, TypeId};
use crate::diag::Code;
use crate::isa::Imm64;
use crate::program::{KernelTypes, MapId};

/// What was looked up in structures: a loop asks for the same member again and again.
#[derive(Debug, Default)]
pub(super) struct Members {
    known: RefCell<HashMap<(BtfPointer, u32, u32), Rc<Member>>>,
}

/// What lies at an offset of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// A number.
    Scalar,
    /// A pointer to anything but a structure.
    Address,
    /// A pointer to a structure.
    Pointer {
        /// The structure.
        to: TypeId,
        /// What the pointer's type tag says.
        flags: Flags,
        /// The structure in which the pointer was found.
        parent: String,
        /// The member's name.
        name: String,
    },
}

/// Fields that are as trusted as the structure that holds them (`BTF_TYPE_SAFE_TRUSTED`).
const TRUSTED: &[(&str, &str)] = &[
    ("bpf_iter_meta", "seq"),
    ("bpf_iter__task", "meta"),
    ("bpf_iter__task", "task"),
    ("linux_binprm", "file"),
    ("file", "f_inode"),
];
/// As [`TRUSTED`], or null.
const TRUSTED_OR_NULL: &[(&str, &str)] =
    &[("socket", "sk"), ("dentry", "d_inode"), ("vm_area_struct", "vm_mm"), ("vm_area_struct", "vm_file")];
/// Fields that are valid within an RCU section (`BTF_TYPE_SAFE_RCU`).
const RCU: &[(&str, &str)] = &[
    ("task_struct", "cpus_ptr"),
    ("task_struct", "cgroups"),
    ("task_struct", "real_parent"),
    ("task_struct", "group_leader"),
    ("cgroup", "kn"),
    ("css_set", "dfl_cgrp"),
    ("cgroup_subsys_state", "cgroup"),
];
/// As [`RCU`], or null.
const RCU_OR_NULL: &[(&str, &str)] = &[("mm_struct", "exe_file"), ("sk_buff", "sk"), ("request_sock", "sk")];

impl Explorer<'_> {
    /// Types by whose they are.
    pub(super) fn types(&self, of: TypesOf) -> Option<&Btf> {
        match of {
            TypesOf::Program => self.program.btf.as_deref(),
            TypesOf::Kernel => match &self.program.kernel {
                KernelTypes::Kernel(kernel) => Some(&kernel.vmlinux),
                KernelTypes::Own => None,
            },
        }
    }

    /// The kernel's types, without which the current instruction cannot be judged.
    pub(super) fn kernel_types(&self) -> Check<&Btf> {
        self.types(TypesOf::Kernel)
            .ok_or_else(|| self.unsupported("this needs the kernel's types: name them with `--btf`"))
    }

    /// A structure of the kernel by name.
    pub(super) fn kernel_structure(&self, name: &str) -> Check<Kind> {
        let found = self.kernel_types()?.find(TypeKind::Struct, name);
        let ty = found.ok_or_else(|| self.unsupported(&format!("the kernel has no `struct {name}`")))?;
        Ok(Kind::Btf(BtfPointer { types: TypesOf::Kernel, ty }))
    }

    /// The kernel's structure of the name that one of the program's has, without its flavour.
    pub(super) fn kernel_counterpart(&self, ty: TypeId) -> Check<Kind> {
        let name = self.types(TypesOf::Program).and_then(|btf| btf.get(ty).ok()?.name().ok());
        let name = name.unwrap_or_default();
        self.kernel_structure(name.split_once("___").map_or(name, |(name, _)| name))
    }

    /// The address of a variable of the kernel.
    pub(super) fn kernel_variable(&mut self, imm: Imm64) -> Check<Value> {
        self.facts.foreign(self.at, super::facts::Foreign::Memory);
        let Imm64::BtfId { id, btf_fd: module } = imm else { return Err(self.unsupported("a variable")) };
        if module != 0 {
            return Err(self.unsupported("a variable of a module"));
        }
        let btf = self.kernel_types()?;
        let broken = |explorer: &Self| explorer.unsupported("a variable of broken type");
        let id = TypeId(u32::try_from(id).map_err(|_| broken(self))?);
        let var = btf.get(id).map_err(|_| broken(self))?;
        if var.kind() == TypeKind::Func {
            let kind = Kind::Memory { size: 0, owner: MemoryOwner::Kernel };
            return Ok(Value { flags: Flags::READONLY, ..Value::pointer(kind) });
        }
        let percpu = btf.find(TypeKind::Datasec, ".data..percpu").and_then(|id| btf.get(id).ok());
        let percpu = percpu.is_some_and(|section| section.vars().any(|var| var.var == id));
        let plain = btf.unqualified(var.referenced()).map_err(|_| broken(self))?;
        let structure = plain.kind() == TypeKind::Struct;
        if percpu || structure {
            let flags = if percpu { Flags::PERCPU } else { Flags::NONE };
            let kind = Kind::Btf(BtfPointer { types: TypesOf::Kernel, ty: plain.id() });
            return Ok(Value { flags, ..Value::pointer(kind) });
        }
        let size = btf.size_of(plain.id()).map_err(|_| broken(self))?;
        let kind = Kind::Memory { size, owner: MemoryOwner::Kernel };
        Ok(Value { flags: Flags::READONLY, ..Value::pointer(kind) })
    }

    /// One CPU's copy of a per-CPU variable or object.
    pub(super) fn copy_of(&self, value: &Value) -> Check<Value> {
        let Kind::Btf(pointer) = value.kind else { return Err(self.unsupported("such a variable")) };
        let Some(btf) = self.types(pointer.types) else { return Err(self.unsupported("such a variable")) };
        let structure = btf.get(pointer.ty).is_ok_and(|ty| ty.kind() == TypeKind::Struct);
        if structure {
            let kept = Flags::RCU.with(Flags::ALLOC);
            let flags = if value.flags.has(Flags::RCU) { kept } else { Flags::NONE };
            return Ok(Value { flags, ..Value::pointer(value.kind) });
        }
        let size = btf.size_of(pointer.ty).map_err(|_| self.unsupported("a variable without size"))?;
        let kind = Kind::Memory { size, owner: MemoryOwner::Kernel };
        Ok(Value { flags: Flags::READONLY, ..Value::pointer(kind) })
    }

    /// The name of a structure.
    pub(super) fn structure_name(&self, pointer: BtfPointer) -> String {
        let name = self
            .types(pointer.types)
            .and_then(|btf| btf.get(pointer.ty).ok()?.name().ok().map(str::to_owned));
        name.unwrap_or_else(|| "?".to_owned())
    }

    /// An access to a structure. Gives what a load yields.
    pub(super) fn check_structure(
        &self,
        request: &Request,
        pointer: BtfPointer,
    ) -> Check<(Access, Option<Value>)> {
        let (reg, value) = (request.reg, *self.state.reg(request.reg));
        let off = i64::from(value.off) + i64::from(request.off);
        let what = || self.structure_name(pointer);
        let refuse = |message: String| Err(self.refuse_reg(Code::StructureAccess, reg, message));
        if value.num.as_constant() != Some(0) {
            return refuse(format!(
                "{} is ptr_{} invalid variable offset: off={off}, var_off={}",
                name(reg),
                what(),
                value.var_off()
            ));
        }
        let Ok(at) = u32::try_from(off) else {
            return refuse(format!("{} is ptr_{} invalid negative access: off={off}", name(reg), what()));
        };
        if value.flags.has(Flags::USER) {
            return refuse(format!("{} is ptr_{} access user memory: off={off}", name(reg), what()));
        }
        if value.flags.has(Flags::PERCPU) {
            return refuse(format!("{} is ptr_{} access percpu memory: off={off}", name(reg), what()));
        }
        let object = value.flags.has(Flags::ALLOC);
        if request.direction == Direction::Write && value.flags.has(Flags::UNTRUSTED) {
            return refuse("only read is supported".to_owned());
        }
        if request.direction == Direction::Write && !object {
            return match self.check_structure_write(request, pointer, at) {
                Some(judged) => judged.map(|()| (Access::Mixed, None)),
                None => refuse("only read is supported".to_owned()),
            };
        }
        let owned = value.ref_id != 0 || value.flags.has_any(Flags::NON_OWNING.with(Flags::RCU));
        if object && !owned {
            return refuse("ref_obj_id for allocated object must be non-zero".to_owned());
        }
        if object {
            let end = at.saturating_add(request.size);
            let fields = self.special_fields(&value).map_or(&[][..], |record| &record.fields);
            if let Some(field) = fields.iter().find(|f| at < f.off + f.size && f.off < end) {
                return refuse(format!("direct access to {} is disallowed", field.special.name()));
            }
        }
        let member = self.member(request, pointer, at)?;
        let result = match &*member {
            &Member::Pointer { to, flags, ref parent, ref name } if !object => {
                let (flags, nullable) = self.trust(&value, flags, parent, name);
                let kind = Kind::Btf(BtfPointer { types: pointer.types, ty: to });
                Some(Value { flags, nullable, ..Value::pointer(kind) })
            }
            Member::Address if !object => Some(Value::untrusted_memory()),
            Member::Pointer { .. } | Member::Address | Member::Scalar => None,
        };
        Ok((Access::Mixed, result))
    }

    /// A load from `struct bpf_map`, as the map's kind extends it.
    pub(super) fn check_map_structure(
        &self,
        request: &Request,
        map: MapId,
    ) -> Check<(Access, Option<Value>)> {
        let (reg, value) = (request.reg, self.state.reg(request.reg));
        let def = self.map(map);
        let Some(structure) = map_structure(def.kind.number()) else {
            let message = format!("map_ptr access not supported for map type {}", def.kind.number());
            return Err(self.refuse_reg(Code::StructureAccess, reg, message));
        };
        let off = i64::from(value.off) + i64::from(request.off);
        let at = u32::try_from(off).map_err(|_| {
            let message = format!("{} is {structure} invalid negative access: off={off}", name(reg));
            self.refuse_reg(Code::StructureAccess, reg, message)
        })?;
        let Kind::Btf(pointer) = self.kernel_structure(structure)? else { return Ok((Access::Mixed, None)) };
        let member = self.member(request, pointer, at)?;
        let result = match *member {
            Member::Pointer { to, flags, .. } => {
                let kind = Kind::Btf(BtfPointer { types: TypesOf::Kernel, ty: to });
                Some(Value { flags: flags.without(Flags::RCU), ..Value::pointer(kind) })
            }
            Member::Address => Some(Value::untrusted_memory()),
            Member::Scalar => None,
        };
        Ok((Access::Mixed, result))
    }

    /// The member of a structure that an access touches, from an offset on.
    fn member(&self, request: &Request, pointer: BtfPointer, at: u32) -> Check<Rc<Member>> {
        let key = (pointer, at, request.size);
        if let Some(member) = self.members.known.borrow().get(&key) {
            return Ok(Rc::clone(member));
        }
        let Some(btf) = self.types(pointer.types) else {
            return Err(self.unsupported("a structure of unknown type"));
        };
        let member = member_at(btf, pointer.ty, at, request.size)
            .map_err(|message| self.refuse_reg(Code::StructureAccess, request.reg, message))?;
        let member = Rc::new(member);
        self.members.known.borrow_mut().insert(key, Rc::clone(&member));
        Ok(member)
    }

    /// What a pointer may be used for that was read from a structure, and whether it may be null.
    fn trust(&self, from: &Value, tag: Flags, parent: &str, member: &str) -> (Flags, bool) {
        let listed = |list: &[(&str, &str)]| list.contains(&(parent, member));
        let plain = tag.without(Flags::RCU);
        if from.flags.has(Flags::UNTRUSTED) {
            return (Flags::UNTRUSTED, false);
        }
        let in_rcu = self.in_rcu();
        let trusted = from.ref_id != 0 || from.flags.has_any(Flags::TRUSTED.with(Flags::ALLOC));
        let rcu = from.flags.has(Flags::RCU);
        if !(trusted || rcu) {
            return (plain, false);
        }
        if listed(TRUSTED) {
            return (tag.with(Flags::TRUSTED), false);
        }
        if listed(TRUSTED_OR_NULL) {
            return (tag.with(Flags::TRUSTED), true);
        }
        if !in_rcu || from.nullable {
            return (Flags::UNTRUSTED, false);
        }
        if listed(RCU) {
            return (tag.with(Flags::RCU), false);
        }
        if tag.has(Flags::RCU) || listed(RCU_OR_NULL) {
            return (tag.with(Flags::RCU), true);
        }
        (plain, false)
    }

    /// Whether the path is in an RCU section: one that it entered, or the whole of a program that cannot sleep.
    pub(super) fn in_rcu(&self) -> bool {
        self.state.held.rcu > 0 || self.state.held.is_locked() || !self.sleepable()
    }

    /// Whether the program may sleep here.
    pub(super) fn sleepable(&self) -> bool {
        self.may_sleep
    }
}

/// The kernel's structure of a kind of map.
const fn map_structure(number: u32) -> Option<&'static str> {
    Some(match number {
        1 | 5 | 9 | 10 | 13 => "bpf_htab",
        2 | 3 | 4 | 6 | 8 | 12 | 20 => "bpf_array",
        7 => "bpf_stack_map",
        11 => "lpm_trie",
        14 | 25 => "bpf_dtab",
        15 => "bpf_stab",
        16 => "bpf_cpu_map",
        17 => "xsk_map",
        18 => "bpf_shtab",
        19 | 21 => "bpf_cgroup_storage_map",
        22 | 23 => "bpf_queue_stack",
        24 | 28 | 29 | 32 => "bpf_local_storage_map",
        26 => "bpf_struct_ops_map",
        27 | 31 => "bpf_ringbuf_map",
        30 => "bpf_bloom_filter",
        33 => "bpf_arena",
        _ => return None,
    })
}

/// What lies at an offset of a structure, or the kernel's words for what is wrong.
pub(super) fn member_at(btf: &Btf, ty: TypeId, off: u32, size: u32) -> Result<Member, String> {
    let broken = |error: crate::btf::BtfError| error.to_string();
    let mut outer = btf.unqualified(ty).map_err(broken)?;
    // Lists of fields name the structure to which the pointer leads, not the one in it that has the field.
    let parent = outer.name().map_err(broken)?;
    let (mut off, mut untrusted) = (off, false);
    for _ in 0..MAX_DEPTH {
        let name = outer.name().map_err(broken)?;
        if u64::from(outer.size()) < u64::from(off) + u64::from(size) {
            let Some((element, start)) = flexible(btf, &outer).filter(|(_, start)| off >= *start) else {
                return Err(format!("access beyond struct {name} at off {off} size {size}"));
            };
            let step = element.size().max(1);
            off = (off - start) % step;
            outer = element;
            continue;
        }
        match find(btf, &outer, off, size)? {
            Found::Scalar => return Ok(Member::Scalar),
            Found::Address => return Ok(Member::Address),
            Found::Inside { ty, start, union } => {
                untrusted |= union;
                off -= start;
                outer = btf.unqualified(ty).map_err(broken)?;
            }
            Found::Pointer { to, flags, member } => {
                let flags = if untrusted { flags.with(Flags::UNTRUSTED) } else { flags };
                return Ok(Member::Pointer { to, flags, parent: parent.to_owned(), name: member });
            }
        }
    }
    Err("structures are nested too deep".to_owned())
}

/// Whether a structure is, or holds at an offset, another.
pub(super) fn holds(btf: &Btf, ty: TypeId, off: u32, wanted: TypeId) -> bool {
    let (mut ty, mut off) = (ty, off);
    for _ in 0..MAX_DEPTH {
        if off == 0 && ty == wanted {
            return true;
        }
        let Ok(outer) = btf.unqualified(ty) else { return false };
        match find(btf, &outer, off, 1) {
            Ok(Found::Inside { ty: inner, start, .. }) => (ty, off) = (inner, off - start),
            Ok(Found::Scalar | Found::Address | Found::Pointer { .. }) | Err(_) => return false,
        }
    }
    false
}

enum Found {
    Scalar,
    Address,
    Inside { ty: TypeId, start: u32, union: bool },
    Pointer { to: TypeId, flags: Flags, member: String },
}

/// The element type and the start of an array of unknown length at a structure's end.
fn flexible<'a>(btf: &'a Btf, outer: &Type<'a>) -> Option<(Type<'a>, u32)> {
    let last = outer.members().last()?;
    let array = btf.unqualified(last.ty).ok()?.array().filter(|array| array.len == 0)?;
    let element = btf.unqualified(array.element).ok()?;
    (element.kind() == TypeKind::Struct).then_some((element, last.bit_offset / 8))
}

/// The member that holds bytes of a structure.
fn find(btf: &Btf, outer: &Type<'_>, off: u32, size: u32) -> Result<Found, String> {
    let broken = |error: crate::btf::BtfError| error.to_string();
    let name = outer.name().map_err(broken)?;
    let behind = off.saturating_add(size);
    for member in outer.members() {
        let mut start = member.bit_offset / 8;
        if behind <= start {
            break;
        }
        if member.bit_size != 0 {
            let end = member.bit_offset.saturating_add(member.bit_size.into()).div_ceil(8);
            if off <= start && end <= behind {
                return Ok(Found::Scalar);
            }
            continue;
        }
        if off < start {
            break;
        }
        let (mut ty, mut bytes, mut count) = (member.ty, None, 1_u32);
        // An array of arrays is one array.
        for _ in 0..MAX_DEPTH {
            let plain = btf.unqualified(ty).map_err(broken)?;
            match plain.array() {
                Some(array) => {
                    count = count.saturating_mul(array.len);
                    ty = array.element;
                }
                None => {
                    bytes = btf.size_of(plain.id()).ok();
                    break;
                }
            }
        }
        let member_name = btf.str(member.name).map_err(broken)?;
        let bytes = bytes.ok_or_else(|| format!("field {member_name} doesn't have size"))?;
        let end = start.saturating_add(bytes.saturating_mul(count));
        if off >= end || bytes == 0 {
            continue;
        }
        start += (off - start) / bytes * bytes;
        let plain = btf.unqualified(ty).map_err(broken)?;
        match plain.kind() {
            TypeKind::Struct | TypeKind::Union => {
                let union = plain.kind() == TypeKind::Union && plain.len() != 1;
                return Ok(Found::Inside { ty: plain.id(), start, union });
            }
            TypeKind::Ptr => {
                if bytes != size || off != start {
                    return Err(format!(
                        "cannot access ptr member {member_name} with moff {start} in struct {name} with off {off} \
                         size {size}"
                    ));
                }
                return Ok(match pointee(btf, &plain) {
                    Some((to, flags)) => Found::Pointer { to, flags, member: member_name.to_owned() },
                    None => Found::Address,
                });
            }
            _ => {}
        }
        if behind > end {
            return Err(format!(
                "access beyond the end of member {member_name} (mend:{end}) in struct {name} with off {off} size {size}"
            ));
        }
        return Ok(Found::Scalar);
    }
    Err(format!("struct {name} doesn't have field at offset {off}"))
}

/// The structure to which a pointer's type leads, and what its tag says.
pub(super) fn pointee(btf: &Btf, pointer: &Type<'_>) -> Option<(TypeId, Flags)> {
    let first = btf.get(pointer.referenced()).ok()?;
    let flags = match first.kind() {
        TypeKind::TypeTag => match first.name().ok()? {
            "user" => Flags::USER,
            "percpu" => Flags::PERCPU,
            "rcu" => Flags::RCU,
            _ => Flags::NONE,
        },
        _ => Flags::NONE,
    };
    let target = btf.unqualified(pointer.referenced()).ok()?;
    matches!(target.kind(), TypeKind::Struct | TypeKind::Union).then_some((target.id(), flags))
}
