//! Arguments of kernel functions, judged by the types and names of the parameters.

use super::graph::Graph;
use super::later::Work;
use super::{Kfunc, KfuncCall, Param, table};
use crate::btf::{Btf, Kind as TypeKind, TypeId};
use crate::diag::Code;
use crate::isa::Reg;
use crate::verify::check::{By, Direction, Request};
use crate::verify::explore::{Check, Explorer};
use crate::verify::locks::Locking;
use crate::verify::objects::{DYNPTR_SLOTS, Object, What};
use crate::verify::obligations::RegSet;
use crate::verify::refusal::name;
use crate::verify::structures::holds;
use crate::verify::transfer::Handed;
use crate::verify::transfer::MAX_OFFSET;
use crate::verify::value::{BtfPointer, Dynptr, Flags, Kind, Socket, TypesOf, Value};

/// What a parameter that is a pointer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Null,
    Context,
    Dynptr,
    Iterator(TypeId),
    ConstStr,
    Object,
    Refcounted,
    Root(Graph),
    Node(Graph),
    Callback,
    IrqFlag,
    Work(Work),
    ResLock,
    Map,
    Structure(TypeId),
    Memory { size: u32 },
    SizedMemory,
}

impl Explorer<'_> {
    pub(super) fn kfunc_arguments(&mut self, kfunc: &Kfunc, call: &mut KfuncCall) -> Check {
        if kfunc.params.len() > 5 {
            return Err(self.unsupported("a kernel function with more than 5 arguments"));
        }
        for (index, reg) in RegSet::args(kfunc.params.len()).iter().enumerate() {
            let param = &kfunc.params[index];
            if param.name.ends_with("__ign") || param.name.ends_with("__prog") {
                continue;
            }
            self.check_initialised(RegSet::of(reg))?;
            let btf = self.kfunc_types(kfunc)?;
            let kind = btf.unqualified(param.ty).map(|ty| ty.kind());
            match kind {
                Ok(TypeKind::Ptr) => self.kfunc_pointer(kfunc, index, reg, call)?,
                Ok(TypeKind::Int | TypeKind::Enum | TypeKind::Enum64) => {
                    self.kfunc_number(kfunc, index, reg, call)?
                }
                Ok(_) | Err(_) => return Err(self.unsupported("a kernel function with such an argument")),
            }
        }
        if kfunc.has(table::RELEASE) && call.releases.is_none() {
            let message = format!("release kernel function {} expects refcounted PTR_TO_BTF_ID", kfunc.name);
            return Err(self.refuse(Code::Reference, message));
        }
        Ok(())
    }

    fn kfunc_number(&mut self, kfunc: &Kfunc, index: usize, reg: Reg, call: &mut KfuncCall) -> Check {
        let value = *self.state.reg(reg);
        if !value.is_scalar() {
            return Err(self.refuse_reg(Code::ArgumentType, reg, format!("{} is not a scalar", name(reg))));
        }
        let param = &kfunc.params[index];
        let buffer = matches!(param.name.as_str(), "rdonly_buf_size" | "rdwr_buf_size");
        if param.name.ends_with("__k") || param.name.ends_with("__szk") || buffer {
            let Some(constant) = value.num.as_constant() else {
                let message = format!("{} must be a known constant", name(reg));
                return Err(self.refuse_reg(Code::ArgumentType, reg, message));
            };
            self.mark_precise(reg);
            call.constant = Some(constant);
            if buffer {
                let size = u32::try_from(constant).unwrap_or(u32::MAX);
                call.memory = Some((size, param.name == "rdonly_buf_size"));
            }
            if kfunc.name == "bpf_rdonly_cast" {
                call.casts = Some(self.cast_to(constant)?);
            }
        }
        Ok(())
    }

    /// What `bpf_rdonly_cast` gives.
    fn cast_to(&self, id: u64) -> Check<Value> {
        let btf = self.kernel_types()?;
        let ty = u32::try_from(id).ok().and_then(|id| btf.get(TypeId(id)).ok());
        match ty.map(|ty| (ty.kind(), ty.id())) {
            Some((TypeKind::Struct | TypeKind::Union, ty)) => {
                let kind = Kind::Btf(BtfPointer { types: TypesOf::Kernel, ty });
                Ok(Value { flags: Flags::UNTRUSTED, ..Value::pointer(kind) })
            }
            Some((TypeKind::Void, _)) => Ok(Value::untrusted_memory()),
            Some(_) | None => {
                let message = "kfunc bpf_rdonly_cast type ID argument must be of a struct or void";
                Err(self.refuse(Code::KernelFunction, message))
            }
        }
    }

    fn kfunc_pointer(&mut self, kfunc: &Kfunc, index: usize, reg: Reg, call: &mut KfuncCall) -> Check {
        let value = *self.state.reg(reg);
        let param = &kfunc.params[index];
        let optional = param.name.ends_with("__nullable") || param.name.ends_with("__opt");
        if (value.is_null() || value.nullable) && !optional {
            let message = format!("Possibly NULL pointer passed to trusted arg{index}");
            return Err(self.refuse_reg(Code::NullPointer, reg, message));
        }
        if value.ref_id != 0 && value.is_pointer() {
            call.ref_id = value.ref_id;
            if kfunc.has(table::RELEASE) {
                call.releases = Some(reg);
            }
        }
        let wants = self.wants(kfunc, index, &value)?;
        if matches!(wants, Wants::Structure(_) | Wants::Object) && !self.is_trusted(&value) {
            if !kfunc.has(table::RCU) {
                let message = format!("{} must be referenced or trusted", name(reg));
                return Err(self.refuse_reg(Code::KernelFunction, reg, message));
            }
            if !value.flags.has(Flags::RCU) {
                let message = format!("{} must be a rcu pointer", name(reg));
                return Err(self.refuse_reg(Code::KernelFunction, reg, message));
            }
        }
        if call.releases == Some(reg) && value.off != 0 {
            let message = format!(
                "{} must have zero offset when passed to release func or trusted arg to kfunc",
                name(reg)
            );
            return Err(self.refuse_reg(Code::Reference, reg, message));
        }
        if call.releases == Some(reg) {
            self.check_unmodified(reg, &value)?;
        }
        match wants {
            Wants::Null => {
                self.mark_precise(reg);
                Ok(())
            }
            Wants::Context => {
                if value.kind != Kind::Context || value.nullable {
                    let message =
                        format!("arg#{index} expected pointer to ctx, but got {}", value.kind_name());
                    return Err(self.refuse_reg(Code::ArgumentType, reg, message));
                }
                self.check_unmodified(reg, &value)
            }
            Wants::Object => self.dropped_object(kfunc, index, reg),
            Wants::Refcounted => self.refcounted(index, reg, call),
            Wants::Root(graph) => self.graph_root(graph, index, reg, call),
            Wants::Node(graph) => self.graph_node(kfunc, graph, index, reg, call),
            Wants::Callback => {
                let Kind::Func(subprog) = value.kind else {
                    let message = format!("arg{index} expected pointer to func");
                    return Err(self.refuse_reg(Code::ArgumentType, reg, message));
                };
                call.callback = Some(subprog);
                Ok(())
            }
            Wants::IrqFlag => self.irq_flag(kfunc, index, reg),
            Wants::Work(work) => self.work(work, index, reg, call),
            Wants::ResLock => {
                let takes = kfunc.name.starts_with("bpf_res_spin_lock");
                let locking = if takes { Locking::Take } else { Locking::GiveBack };
                self.res_lock(reg, locking, kfunc.params.len() > 1)
            }
            Wants::Dynptr => self.kfunc_dynptr(kfunc, param, reg, call),
            Wants::Iterator(ty) => self.kfunc_iterator(kfunc, reg, ty, call),
            Wants::ConstStr => {
                self.expect(reg, matches!(value.kind, Kind::MapValue(_)) && !value.nullable, "map_value")?;
                self.check_const_str(reg, &value)
            }
            Wants::Map if matches!(value.kind, Kind::Btf(_)) => {
                let Kind::Btf(map) = self.kernel_structure("bpf_map")? else { return Ok(()) };
                self.kfunc_structure(kfunc, index, reg, map.ty)
            }
            Wants::Map => {
                self.expect(reg, matches!(value.kind, Kind::Map(_)) && !value.nullable, "map_ptr")?;
                if let Kind::Map(map) = value.kind {
                    self.check_work_map(reg, map, call)?;
                }
                self.check_unmodified(reg, &value)
            }
            Wants::Structure(ty) => self.kfunc_structure(kfunc, index, reg, ty),
            Wants::Memory { size } => self.kfunc_memory(reg, size, optional, index),
            Wants::SizedMemory => self.kfunc_sized_memory(kfunc, index, reg, optional),
        }
    }

    /// Whether a pointer is one that keeps what it points to alive.
    fn is_trusted(&self, value: &Value) -> bool {
        if value.ref_id != 0 {
            return true;
        }
        match value.kind {
            Kind::Btf(_) => {
                let trusted = Flags::TRUSTED.with(Flags::ALLOC).with(Flags::NON_OWNING);
                value.flags.has_any(trusted) && value.flags.without(trusted) == Flags::NONE && !value.nullable
            }
            Kind::Socket(_) | Kind::Context | Kind::Map(_) => true,
            _ => false,
        }
    }

    fn wants(&self, kfunc: &Kfunc, index: usize, value: &Value) -> Check<Wants> {
        let btf = self.kfunc_types(kfunc)?;
        let param = &kfunc.params[index];
        let unknown =
            |explorer: &Self| explorer.unsupported(&format!("argument {} of {}", param.name, kfunc.name));
        if kfunc.name == "bpf_cast_to_kern_ctx" {
            return Ok(Wants::Context);
        }
        let pointer = btf.unqualified(param.ty).map_err(|_| unknown(self))?;
        let target = btf.unqualified(pointer.referenced()).map_err(|_| unknown(self))?;
        let target_name = target.name().unwrap_or_default();
        if self.is_context_type(target_name, target.kind()) {
            return Ok(Wants::Context);
        }
        let suffixed = |suffix: &str| param.name.ends_with(suffix);
        if (suffixed("__nullable") || suffixed("__opt")) && value.is_null() {
            return Ok(Wants::Null);
        }
        if suffixed("__irq_flag") {
            return Ok(Wants::IrqFlag);
        }
        if suffixed("__alloc") {
            return Ok(Wants::Object);
        }
        if suffixed("__refcounted_kptr") {
            return Ok(Wants::Refcounted);
        }
        match target_name {
            "bpf_dynptr" | "bpf_dynptr_kern" => return Ok(Wants::Dynptr),
            "bpf_list_head" => return Ok(Wants::Root(Graph::List)),
            "bpf_list_node" => return Ok(Wants::Node(Graph::List)),
            "bpf_rb_root" => return Ok(Wants::Root(Graph::Tree)),
            "bpf_rb_node" => return Ok(Wants::Node(Graph::Tree)),
            "bpf_wq" => return Ok(Wants::Work(Work::Queue)),
            "bpf_task_work" => return Ok(Wants::Work(Work::Task)),
            "bpf_res_spin_lock" => return Ok(Wants::ResLock),
            other if index == 0 && other.starts_with("bpf_iter_") && is_iterator(kfunc) => {
                return Ok(Wants::Iterator(target.id()));
            }
            _ => {}
        }
        if suffixed("__str") {
            return Ok(Wants::ConstStr);
        }
        if suffixed("__map") {
            return Ok(Wants::Map);
        }
        if kfunc.name == "bpf_rdonly_cast" {
            return Ok(Wants::Null);
        }
        if matches!(value.kind, Kind::Btf(_) | Kind::Socket(_) | Kind::Map(_)) {
            if !matches!(target.kind(), TypeKind::Struct | TypeKind::Union) {
                let message = format!(
                    "kernel function {} args#{index} pointer type {target_name} is not supported",
                    kfunc.name
                );
                return Err(self.refuse(Code::ArgumentType, message));
            }
            return Ok(Wants::Structure(target.id()));
        }
        if target.kind() == TypeKind::FuncProto {
            return Ok(Wants::Callback);
        }
        let sized = kfunc.is_sized(index);
        let plain = is_scalars(btf, target.id(), 0);
        let untyped = sized && target.kind() == TypeKind::Void;
        if !plain && !untyped {
            let what = if sized { "void, " } else { "" };
            let message = format!(
                "arg#{index} pointer type {} {target_name} must point to {what}scalar, or struct with scalar",
                format!("{:?}", target.kind()).to_uppercase()
            );
            return Err(self.refuse(Code::ArgumentType, message));
        }
        if sized {
            return Ok(Wants::SizedMemory);
        }
        let size = btf.size_of(target.id()).map_err(|_| unknown(self))?;
        Ok(Wants::Memory { size })
    }

    /// Whether a type is the context of the program, as its own source or the kernel names it.
    fn is_context_type(&self, name: &str, kind: TypeKind) -> bool {
        if !matches!(kind, TypeKind::Struct | TypeKind::Fwd) || name.is_empty() {
            return false;
        }
        let own = self.kind.info().context.name;
        let kernel = match own {
            "__sk_buff" => "sk_buff",
            "xdp_md" => "xdp_buff",
            other => other,
        };
        // The kernel's structures are contexts where a program has one of them, not where it got one from elsewhere.
        name == own || (name == kernel && self.target.is_none())
    }

    fn kfunc_structure(&self, kfunc: &Kfunc, index: usize, reg: Reg, wanted: TypeId) -> Check {
        let value = *self.state.reg(reg);
        let btf = self.kfunc_types(kfunc)?;
        let wanted_name = btf.get(wanted).ok().and_then(|ty| ty.name().ok()).unwrap_or("?");
        let usable = !value.nullable
            && match value.kind {
                Kind::Btf(_) => {
                    let unsafe_flags =
                        Flags::UNTRUSTED.with(Flags::USER).with(Flags::PERCPU).with(Flags::ALLOC);
                    !value.flags.has_any(unsafe_flags) || value.flags.has(Flags::RCU)
                }
                Kind::Socket(_) | Kind::Map(_) => true,
                _ => false,
            };
        if !usable {
            let message = format!("arg#{index} is {} expected {wanted_name} or socket", value.kind_name());
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        let (ty, off) = match value.kind {
            Kind::Btf(pointer) if pointer.types == TypesOf::Kernel => (pointer.ty, value.off),
            Kind::Socket(socket) => {
                let name = match socket {
                    Socket::Full => "sock",
                    Socket::Common => "sock_common",
                    Socket::Tcp => "tcp_sock",
                    Socket::Xdp => "xdp_sock",
                };
                match self.kernel_structure(name)? {
                    Kind::Btf(pointer) => (pointer.ty, 0),
                    _ => return Ok(()),
                }
            }
            Kind::Map(_) => match self.kernel_structure("bpf_map")? {
                Kind::Btf(pointer) => (pointer.ty, value.off),
                _ => return Ok(()),
            },
            _ => return Err(self.unsupported("a structure of the program handed to the kernel")),
        };
        if value.num.as_constant() != Some(0) {
            let message =
                format!("variable {} access var_off={} disallowed", value.kind_name(), value.var_off());
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        let strict = kfunc.has(table::RELEASE) || value.ref_id != 0;
        let off = u32::try_from(off).unwrap_or(u32::MAX);
        let same = if strict && kfunc.has(table::RELEASE) {
            off == 0 && ty == wanted
        } else {
            holds(self.kernel_types()?, ty, off, wanted)
        };
        let found = self.structure_name(BtfPointer { types: TypesOf::Kernel, ty });
        // Declared as the context that programs see, it takes the kernel's own too.
        let projected =
            matches!((wanted_name, found.as_str()), ("__sk_buff", "sk_buff") | ("xdp_md", "xdp_buff"));
        if same || projected {
            return Ok(());
        }
        let message = format!(
            "kernel function {} args#{index} expected pointer to STRUCT {wanted_name} but {} has a pointer to STRUCT {found}",
            kfunc.name,
            name(reg)
        );
        Err(self.refuse_reg(Code::ArgumentType, reg, message))
    }

    fn kfunc_memory(&mut self, reg: Reg, size: u32, optional: bool, index: usize) -> Check {
        let value = *self.state.reg(reg);
        if value.is_null() && optional {
            self.mark_precise(reg);
            return Ok(());
        }
        if value.nullable || value.is_scalar() {
            let message = format!("arg#{index} memory is expected, found {}", value.kind_name());
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        for direction in [Direction::Read, Direction::Write] {
            let request = Request { reg, off: 0, size, direction, by: By::Helper, empty: false };
            self.check_handed_memory(&request, Handed::of(direction))?;
        }
        Ok(())
    }

    fn kfunc_sized_memory(&mut self, kfunc: &Kfunc, index: usize, reg: Reg, optional: bool) -> Check {
        let next = Reg::new(reg.number() + 1).expect("a size follows its memory");
        self.check_initialised(RegSet::of(next))?;
        let (value, size) = (*self.state.reg(reg), *self.state.reg(next));
        if value.is_null() && (optional || kfunc.params[index].name.ends_with("__opt")) {
            self.mark_precise(reg);
            return Ok(());
        }
        if !size.is_scalar() || size.num.smin() < 0 {
            let message =
                format!("{} min value is negative, either use unsigned or 'var &= const'", name(next));
            return Err(self.refuse_reg(Code::ArgumentSize, next, message));
        }
        if size.num.umax() >= MAX_OFFSET.unsigned_abs() {
            let message =
                format!("{} unbounded memory access, use 'var &= const' or 'if (var < const)'", name(next));
            return Err(self.refuse_reg(Code::UnboundedAccess, next, message));
        }
        let bytes = u32::try_from(size.num.umax()).expect("below 2^29");
        if value.nullable || value.is_scalar() {
            let message = format!("arg#{index} memory is expected, found {}", value.kind_name());
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        for direction in [Direction::Read, Direction::Write] {
            let request = Request { reg, off: 0, size: bytes, direction, by: By::Helper, empty: true };
            self.check_handed_memory(&request, Handed::of(direction)).map_err(|mut found| {
                found.message += &format!(
                    "\narg#{index} arg#{} memory, len pair leads to invalid memory access",
                    index + 1
                );
                found
            })?;
        }
        self.mark_precise(next);
        Ok(())
    }

    fn kfunc_iterator(&mut self, kfunc: &Kfunc, reg: Reg, ty: TypeId, call: &mut KfuncCall) -> Check {
        let btf = self.kfunc_types(kfunc)?;
        let size = btf.size_of(ty).unwrap_or(0);
        let what =
            btf.get(ty).ok().and_then(|t| t.name().ok()).unwrap_or("?").trim_start_matches("bpf_").to_owned();
        let slots = (size as usize).div_ceil(8).max(1);
        let (frame, slot) = self.object_place(reg, slots, "iterator")?;
        if kfunc.has(table::ITER_NEW) {
            let high = -8 * i32::try_from(slot).expect("a stack has 64 slots");
            let low = high - 8 * i32::try_from(slots).expect("a stack has 64 slots");
            if self.overlaps_object(frame, low, high) {
                let message = format!("expected uninitialized {what} as arg #0");
                return Err(self.refuse_reg(Code::Iterator, reg, message));
            }
            let id = self.acquire();
            let rcu = kfunc.has(table::RCU_PROTECTED);
            let what = What::Iterator { ty, drained: false, rcu, lost: false };
            self.make_object(frame, Object { what, slot, slots, id, ref_id: id, depth: 0 })?;
            return Ok(());
        }
        let object = self.object_at(frame, slot, slots);
        let Some(object) =
            object.filter(|o| matches!(o.what, What::Iterator { ty: known, .. } if known == ty))
        else {
            let message = format!("expected an initialized {what} as arg #0");
            return Err(self.refuse_reg(Code::Iterator, reg, message));
        };
        if matches!(object.what, What::Iterator { lost: true, .. }) {
            let message = format!("expected an RCU CS when using {}", kfunc.name);
            return Err(self.refuse_reg(Code::Section, reg, message));
        }
        call.iterator = Some((frame, slot));
        call.ref_id = object.ref_id;
        if kfunc.has(table::ITER_DESTROY) {
            self.end_object(frame, slot);
            self.release(object.ref_id)?;
        }
        Ok(())
    }

    fn kfunc_dynptr(&mut self, kfunc: &Kfunc, param: &Param, reg: Reg, call: &mut KfuncCall) -> Check {
        if !param.name.ends_with("__uninit") {
            let (what, id, ref_id) = self.dynptr_argument(reg)?;
            call.dynptr = Some((what, id, ref_id));
            return Ok(());
        }
        let what = match kfunc.name.as_str() {
            "bpf_dynptr_from_skb" | "bpf_dynptr_from_skb_meta" => Dynptr::Skb,
            "bpf_dynptr_from_xdp" => Dynptr::Xdp,
            // A copy ends with what it was copied from.
            "bpf_dynptr_clone" => match call.dynptr {
                Some((what, _, ref_id)) => return self.make_dynptr(reg, what, ref_id),
                None => return Err(self.unsupported("a copy of an unknown dynptr")),
            },
            _ => return Err(self.unsupported(&format!("dynptrs of {}", kfunc.name))),
        };
        self.make_dynptr(reg, what, 0)
    }
}

fn is_iterator(kfunc: &Kfunc) -> bool {
    kfunc.has(table::ITER_NEW | table::ITER_NEXT | table::ITER_DESTROY)
}

/// Whether a type is a number, or a structure of numbers and arrays of numbers.
pub(super) fn is_scalars(btf: &Btf, ty: TypeId, depth: usize) -> bool {
    let number = |ty: TypeId| {
        btf.unqualified(ty)
            .is_ok_and(|ty| matches!(ty.kind(), TypeKind::Int | TypeKind::Enum | TypeKind::Enum64))
    };
    let Ok(plain) = btf.unqualified(ty) else { return false };
    match plain.kind() {
        TypeKind::Struct | TypeKind::Union => plain.members().all(|member| {
            let Ok(inner) = btf.unqualified(member.ty) else { return false };
            match inner.kind() {
                TypeKind::Struct | TypeKind::Union => {
                    depth < MAX_NESTING && is_scalars(btf, inner.id(), depth + 1)
                }
                TypeKind::Array => inner.array().is_some_and(|array| array.len > 0 && number(array.element)),
                _ => number(inner.id()),
            }
        }),
        _ => number(plain.id()),
    }
}

/// How deeply structures of numbers may be nested.
const MAX_NESTING: usize = 3;

const _: () = assert!(DYNPTR_SLOTS == 2, "the kernel's dynptrs have 16 bytes");
