//! What a kernel function gives, and how asking an iterator goes on.

use super::graph::is_graph;
use super::{Kfunc, KfuncCall, table};
use crate::btf::Kind as TypeKind;
use crate::diag::Code;
use crate::isa::Reg;
use crate::verify::dynptr::slice_owner;
use crate::verify::explore::{Check, Explorer, Next};
use crate::verify::objects::What;
use crate::verify::scalar::low;
use crate::verify::value::{BtfPointer, Dynptr, Flags, Kind, MemoryOwner, TypesOf, Value};

impl Explorer<'_> {
    pub(super) fn kfunc_result(&mut self, kfunc: &Kfunc, call: &KfuncCall) -> Check<Option<Value>> {
        let btf = self.kfunc_types(kfunc)?;
        let broken = |explorer: &Self| explorer.unsupported("a kernel function of broken type");
        let plain = btf.unqualified(kfunc.returns).map_err(|_| broken(self))?;
        let pointee = match plain.kind() {
            TypeKind::Void => return Ok(None),
            TypeKind::Int | TypeKind::Enum | TypeKind::Enum64 => return Ok(Some(Value::UNKNOWN)),
            TypeKind::Ptr => btf.unqualified(plain.referenced()).map_err(|_| broken(self))?,
            _ => return Err(broken(self)),
        };
        let (is_struct, id) = (pointee.kind() == TypeKind::Struct, pointee.id());
        let own = match kfunc.name.as_str() {
            "bpf_obj_new_impl" => Some(self.new_object(call, false)?),
            "bpf_percpu_obj_new_impl" => Some(self.new_object(call, true)?),
            name if is_graph(name) => Some(self.graph_result(kfunc, call)?),
            _ => None,
        };
        if let Some(value) = own {
            return Ok(Some(self.returned(kfunc, call, value)));
        }
        if kfunc.has(table::ACQUIRE) && pointee.kind() == TypeKind::Void {
            return Err(self.unsupported(&format!("what {} gives", kfunc.name)));
        }
        // An address that no type tells anything of is a number.
        if pointee.kind() == TypeKind::Void
            && !matches!(
                kfunc.name.as_str(),
                "bpf_cast_to_kern_ctx" | "bpf_rdonly_cast" | "bpf_dynptr_slice" | "bpf_dynptr_slice_rdwr"
            )
        {
            return Ok(Some(Value::UNKNOWN));
        }
        let value = match kfunc.name.as_str() {
            "bpf_cast_to_kern_ctx" => self.kernel_context()?,
            "bpf_rdonly_cast" => match call.casts {
                Some(value) => value,
                None => return Err(self.unsupported("bpf_rdonly_cast to this type")),
            },
            "bpf_dynptr_slice" | "bpf_dynptr_slice_rdwr" => {
                let Some(((what, id, ref_id), size)) = call.dynptr.zip(call.constant) else {
                    return Err(self.unsupported("a slice of an unknown dynptr"));
                };
                let readonly = kfunc.name == "bpf_dynptr_slice";
                if !readonly && matches!(what, Dynptr::Skb | Dynptr::Xdp) && !self.may_write_packet() {
                    return Err(self.refuse(Code::Dynptr, "the prog does not allow writes to packet data"));
                }
                // The function is handed the low half only.
                let size = low(size);
                let kind = Kind::Memory { size, owner: slice_owner(what) };
                let flags = if readonly { Flags::READONLY } else { Flags::NONE };
                Value { dynptr_id: id, ref_id, flags, ..Value::pointer(kind) }
            }
            _ if is_struct => {
                let kind = Kind::Btf(BtfPointer { types: TypesOf::Kernel, ty: id });
                let flags = match () {
                    () if kfunc.has(table::ITER_NEXT) && self.iterator_in_rcu(call) => Flags::RCU,
                    () if kfunc.has(table::ITER_NEXT) => Flags::TRUSTED,
                    () if kfunc.has(table::RCU_PROTECTED) => Flags::RCU,
                    () => Flags::NONE,
                };
                Value { flags, ..Value::pointer(kind) }
            }
            _ => {
                let size = match call.memory {
                    Some((size, readonly)) => Some((size, readonly)),
                    None if kfunc.name == "bpf_session_cookie" => Some((8, false)),
                    // What an iterator over numbers gives is read by its type.
                    None => btf.size_of(pointee.id()).ok().map(|size| (size, true)),
                };
                let Some((size, readonly)) = size else {
                    return Err(self.unsupported("a kernel function that returns such a pointer"));
                };
                let flags = if readonly { Flags::READONLY } else { Flags::NONE };
                let kind = Kind::Memory { size, owner: MemoryOwner::Kernel };
                Value { flags, ref_id: call.ref_id, ..Value::pointer(kind) }
            }
        };
        Ok(Some(self.returned(kfunc, call, value)))
    }

    /// Whether what a function returns may be null, must be given back, and is told apart from others.
    fn returned(&mut self, kfunc: &Kfunc, call: &KfuncCall, mut value: Value) -> Value {
        // Of an object that the program owns, another reference can always be taken.
        value.nullable = kfunc.has(table::RET_NULL) && !call.owning;
        if kfunc.has(table::ACQUIRE) {
            value.ref_id = self.acquire();
            value.id = if value.nullable { value.ref_id } else { 0 };
        } else if value.nullable {
            value.id = self.new_id();
        }
        if value.id == 0 && self.keeps_id(&value) {
            value.id = self.new_id();
        }
        value
    }

    fn iterator_in_rcu(&self, call: &KfuncCall) -> bool {
        let object = call.iterator.and_then(|(frame, slot)| {
            self.state.frame(frame).objects.iter().find(|o| o.slot == slot).copied()
        });
        object.is_some_and(|object| matches!(object.what, What::Iterator { rcu: true, .. }))
    }

    /// The kernel's own structure behind the program's context.
    fn kernel_context(&self) -> Check<Value> {
        let name = match self.kind.info().context.name {
            "__sk_buff" => "sk_buff",
            "xdp_md" => "xdp_buff",
            "bpf_sock_addr" => "bpf_sock_addr_kern",
            "bpf_sock_ops" => "bpf_sock_ops_kern",
            "sk_msg_md" => "sk_msg",
            "bpf_perf_event_data" => "bpf_perf_event_data_kern",
            "sk_reuseport_md" => "sk_reuseport_kern",
            "bpf_sk_lookup" => "bpf_sk_lookup_kern",
            other => other,
        };
        Ok(Value { flags: Flags::TRUSTED, ..Value::pointer(self.kernel_structure(name)?) })
    }

    /// An iterator was asked: it gives something, or nothing is left. The former is left for later, with numbers that
    /// nothing relied on forgotten, so that loops converge.
    pub(super) fn ask_iterator(&mut self, frame: usize, slot: usize) -> Check<Next> {
        let Some(at) = self.state.frame(frame).objects.iter().position(|o| o.slot == slot) else {
            return Err(self.refuse(Code::Iterator, "the iterator is gone"));
        };
        let mut object = self.state.frame(frame).objects[at];
        let What::Iterator { ty, drained, rcu, lost } = object.what else {
            return Err(self.refuse(Code::Iterator, "the iterator is gone"));
        };
        if !drained {
            let mut more = self.copy();
            more.frame_mut(frame).objects[at].depth += 1;
            self.widen_since_last_round(&mut more, true);
            let value = more.reg_mut(Reg::R0);
            value.nullable = false;
            if value.ref_id == 0 {
                value.id = 0;
            }
            let next = self.target(0);
            self.leave(more, next)?;
        }
        object.what = What::Iterator { ty, drained: true, rcu, lost };
        self.state.frame_mut(frame).objects[at] = object;
        self.set(Reg::R0, Value::constant(0));
        Ok(Next::Fall)
    }
}
