//! Lists and trees of allocated objects, and references to those.
//!
//! A list's head and a tree's root are touched under the lock beside them only. What is put in belongs to the list from
//! then on: pointers to it may be followed until the lock is given back, but do not own it any more. Accepting too much
//! here would leave pointers to freed objects; so everything that Linux tells apart is told apart.

use super::{Kfunc, KfuncCall};
use crate::btf::{Kind as TypeKind, TypeId};
use crate::diag::Code;
use crate::isa::{CallTarget, Insn, Reg};
use crate::verify::explore::{Check, Explorer};
use crate::verify::fields::{Contained, Field, Special};
use crate::verify::refs::LockPlace;
use crate::verify::refusal::name;
use crate::verify::state::{Callback, Frame, When};
use crate::verify::value::{BtfPointer, Flags, Kind, TypesOf, Value};

/// Largest object of which each CPU has a copy (`BPF_GLOBAL_PERCPU_MA_MAX_SIZE`).
const MAX_PERCPU_OBJECT: u32 = 512;

/// A list or a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Graph {
    List,
    Tree,
}

impl Graph {
    const fn root(self) -> &'static str {
        match self {
            Self::List => "bpf_list_head",
            Self::Tree => "bpf_rb_root",
        }
    }

    const fn node(self) -> &'static str {
        match self {
            Self::List => "bpf_list_node",
            Self::Tree => "bpf_rb_node",
        }
    }

    const fn is_node(self, special: Special) -> bool {
        match self {
            Self::List => matches!(special, Special::ListNode),
            Self::Tree => matches!(special, Special::TreeNode),
        }
    }

    const fn contained(self, special: Special) -> Option<Contained> {
        match (self, special) {
            (Self::List, Special::ListHead(contained)) | (Self::Tree, Special::TreeRoot(contained)) => {
                Some(contained)
            }
            _ => None,
        }
    }
}

/// Whether a function of this name works on lists or trees; then it may be called under a lock.
pub(super) fn is_graph(name: &str) -> bool {
    is_list(name) || is_tree(name) || name == "bpf_refcount_acquire_impl"
}

fn is_list(name: &str) -> bool {
    matches!(
        name,
        "bpf_list_push_front_impl"
            | "bpf_list_push_back_impl"
            | "bpf_list_pop_front"
            | "bpf_list_pop_back"
            | "bpf_list_front"
            | "bpf_list_back"
    )
}

fn is_tree(name: &str) -> bool {
    matches!(
        name,
        "bpf_rbtree_add_impl"
            | "bpf_rbtree_remove"
            | "bpf_rbtree_first"
            | "bpf_rbtree_root"
            | "bpf_rbtree_left"
            | "bpf_rbtree_right"
    )
}

/// Whether it hands an object over to a list or a tree.
fn inserts(name: &str) -> bool {
    matches!(name, "bpf_list_push_front_impl" | "bpf_list_push_back_impl" | "bpf_rbtree_add_impl")
}

/// An object that the program owns.
fn is_owned(value: &Value) -> bool {
    matches!(value.kind, Kind::Btf(_)) && value.flags == Flags::ALLOC && !value.nullable
}

impl Explorer<'_> {
    /// Whether the executing function is called by the tree to compare nodes.
    pub(in crate::verify) fn in_tree_callback(&self) -> bool {
        let frame = self.state.top();
        let (Some(_), Some(call)) = (frame.callback, frame.callsite) else { return false };
        match self.program.insns.get(call.index()) {
            Some(Insn::Call(target @ CallTarget::Kfunc { .. })) => {
                self.kfuncs.get(*target).is_some_and(|kfunc| is_tree(&kfunc.name))
            }
            _ => false,
        }
    }

    /// A fixed offset is allowed, a variable one is not.
    fn check_fixed_offset(&self, reg: Reg, value: &Value) -> Check {
        if matches!(value.kind, Kind::Btf(_)) {
            let unmoved = Value { off: value.off.min(0), ..*value };
            return self.check_unmodified(reg, &unmoved);
        }
        Ok(())
    }

    /// The head of a list or the root of a tree.
    pub(super) fn graph_root(&mut self, graph: Graph, index: usize, reg: Reg, call: &mut KfuncCall) -> Check {
        let value = *self.state.reg(reg);
        self.check_fixed_offset(reg, &value)?;
        let map_value = matches!(value.kind, Kind::MapValue(_)) && !value.nullable;
        if !map_value && !is_owned(&value) {
            let message = format!("arg#{index} expected pointer to map value or allocated object");
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        if !map_value && value.ref_id == 0 {
            return Err(self.refuse_reg(Code::Reference, reg, "allocated object must be referenced"));
        }
        let what = graph.root();
        let Some(off) = value.constant_offset() else {
            let message = format!(
                "{} doesn't have constant offset. {what} has to be at the constant offset",
                name(reg)
            );
            return Err(self.refuse_reg(Code::SpecialField, reg, message));
        };
        let record = self.special_fields(&value);
        let field = record.and_then(|record| record.at(off)).and_then(|field| graph.contained(field.special));
        let Some(contained) = field else {
            let message = format!("{what} not found at offset={off}");
            let broken = match value.kind {
                Kind::MapValue(map) => self.map_record(map).broken(),
                _ => None,
            };
            let found = self.refuse_reg(Code::SpecialField, reg, message);
            return Err(crate::verify::locks::explain(found, broken));
        };
        let lock = record.and_then(|record| record.lock);
        self.check_locked(reg, &value, what, lock)?;
        call.root = Some(contained);
        Ok(())
    }

    /// The lock beside a list's head or a tree's root is the one that is held.
    fn check_locked(&self, reg: Reg, value: &Value, what: &str, beside: Option<Field>) -> Check {
        let place = match value.kind {
            Kind::MapValue(map) => LockPlace::MapValue(map),
            _ => LockPlace::Object,
        };
        let (kind, off) = beside.map_or(("bpf_spin_lock", 0), |field| (field.special.name(), field.off));
        let message = format!("{kind} at off={off} must be held for {what}");
        let help = "take the lock that lies in the same map value or object before, and give it back after";
        let held = &self.state.held;
        let mut all = held.lock.into_iter().chain(held.res_locks.iter().map(|res| res.lock));
        if all.clone().any(|lock| (lock.place, lock.id) == (place, value.id)) {
            return Ok(());
        }
        let Some(other) = all.next() else {
            return Err(Box::new(self.refuse_reg(Code::Lock, reg, message).help(help)));
        };
        let message = format!("held lock and object are not in the same allocation\n{message}");
        let found = self.refuse_reg(Code::Lock, reg, message);
        Err(Box::new(found.note(Some(other.at), "this lock is held").help(help)))
    }

    /// A node of a list or of a tree.
    pub(super) fn graph_node(
        &mut self,
        kfunc: &Kfunc,
        graph: Graph,
        index: usize,
        reg: Reg,
        call: &mut KfuncCall,
    ) -> Check {
        let value = *self.state.reg(reg);
        self.check_fixed_offset(reg, &value)?;
        if inserts(&kfunc.name) {
            if !is_owned(&value) {
                let message = format!("arg#{index} expected pointer to allocated object");
                let found = self.refuse_reg(Code::ArgumentType, reg, message);
                let owned_before = value.flags.has(Flags::NON_OWNING);
                return Err(if owned_before {
                    Box::new(found.help("the object belongs to a list or a tree already"))
                } else {
                    found
                });
            }
            if value.ref_id == 0 {
                return Err(self.refuse_reg(Code::Reference, reg, "allocated object must be referenced"));
            }
        } else {
            let usable = value.is_pointer()
                && !value.nullable
                && (value.flags.has(Flags::NON_OWNING) || value.ref_id != 0);
            if !usable {
                let message =
                    format!("{} can only take non-owning or refcounted bpf_rb_node pointer", kfunc.name);
                return Err(self.refuse_reg(Code::ArgumentType, reg, message));
            }
            if self.in_tree_callback() {
                let message = format!("{} not allowed in rbtree cb", kfunc.name);
                return Err(self.refuse_reg(Code::Callback, reg, message));
            }
        }
        self.check_node_place(graph, reg, &value, call)
    }

    /// The node is of the structure, and at the place in it, that the list or the tree contains.
    fn check_node_place(&self, graph: Graph, reg: Reg, value: &Value, call: &mut KfuncCall) -> Check {
        let refuse = |message: String| Err(self.refuse_reg(Code::SpecialField, reg, message));
        let (root, node) = (graph.root(), graph.node());
        let Some(off) = value.constant_offset() else {
            return refuse(format!(
                "{} doesn't have constant offset. {node} has to be at the constant offset",
                name(reg)
            ));
        };
        let field = self.special_fields(value).and_then(|record| record.at(off));
        if !field.is_some_and(|field| graph.is_node(field.special)) {
            return refuse(format!("{node} not found at offset={off}"));
        }
        let (Some(wanted), Kind::Btf(pointer)) = (call.root, value.kind) else {
            return Err(self.unsupported("a node without a list or a tree"));
        };
        let expected = self.structure_name(BtfPointer { types: TypesOf::Program, ty: wanted.ty });
        if pointer.types != TypesOf::Program || pointer.ty != wanted.ty {
            let found = self.structure_name(pointer);
            return refuse(format!(
                "operation on {root} expects arg#1 {node} at offset={} in struct {expected}, but arg is at \
                 offset={off} in struct {found}",
                wanted.off
            ));
        }
        if off != i64::from(wanted.off) {
            return refuse(format!(
                "arg#1 offset={off}, but expected {node} at offset={} in struct {expected}",
                wanted.off
            ));
        }
        call.object = Some(pointer);
        Ok(())
    }

    /// An object with a reference count, of which another reference is taken.
    pub(super) fn refcounted(&mut self, index: usize, reg: Reg, call: &mut KfuncCall) -> Check {
        let value = *self.state.reg(reg);
        self.check_fixed_offset(reg, &value)?;
        let Kind::Btf(pointer) = value.kind else {
            let message = format!("arg#{index} is neither owning or non-owning ref");
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        };
        if !value.flags.has(Flags::ALLOC) || value.flags.has(Flags::UNTRUSTED) {
            let message = format!("arg#{index} is neither owning or non-owning ref");
            return Err(self.refuse_reg(Code::ArgumentType, reg, message));
        }
        call.owning = !value.flags.has(Flags::NON_OWNING) && value.ref_id != 0;
        if self.special_fields(&value).and_then(|record| record.refcount).is_none() {
            let message = format!("arg#{index} doesn't point to a type with bpf_refcount field");
            return Err(self.refuse_reg(Code::SpecialField, reg, message));
        }
        call.object = Some(pointer);
        Ok(())
    }

    /// What a call does to references: an object that was put in is not owned any more.
    pub(super) fn hand_over(&mut self, kfunc: &Kfunc, call: &KfuncCall) -> Check {
        if !inserts(&kfunc.name) {
            return Ok(());
        }
        let id = self.state.reg(Reg::R2).ref_id;
        let Some(index) = self.state.held.refs.iter().position(|reference| reference.id == id) else {
            return Err(self.refuse(Code::Reference, "allocated object must be referenced"));
        };
        self.state.held.refs.remove(index);
        let flags = self.not_owning(call.object.map(|object| object.ty));
        let origin = Some(self.at);
        self.state.update(
            |value| value.is_pointer() && value.ref_id == id,
            |value| {
                value.ref_id = 0;
                value.flags = value.flags.with(flags);
                value.origin = origin;
            },
        );
        Ok(())
    }

    /// What a reference is that does not own: one that is counted may outlive the lock, within an RCU section.
    fn not_owning(&self, ty: Option<TypeId>) -> Flags {
        let counted = ty.and_then(|ty| self.object_record(ty)).is_some_and(|r| r.refcount.is_some());
        if counted { Flags::NON_OWNING.with(Flags::RCU) } else { Flags::NON_OWNING }
    }

    /// A pointer to a node that a list or a tree contains.
    fn node_of(&self, contained: Contained) -> Value {
        let kind = Kind::Btf(BtfPointer { types: TypesOf::Program, ty: contained.ty });
        let off = i32::try_from(contained.off).unwrap_or(i32::MAX);
        Value { off, flags: Flags::ALLOC, ..Value::pointer(kind) }
    }

    /// What a function of lists, trees or references gives, but for whether it may be null and what is acquired.
    pub(super) fn graph_result(&self, kfunc: &Kfunc, call: &KfuncCall) -> Check<Value> {
        if kfunc.name == "bpf_refcount_acquire_impl" {
            let Some(object) = call.object else { return Err(self.unsupported("an unknown object")) };
            return Ok(Value { flags: Flags::ALLOC, ..Value::pointer(Kind::Btf(object)) });
        }
        let Some(contained) = call.root else { return Err(self.unsupported("an unknown list or tree")) };
        let node = self.node_of(contained);
        let owned = kfunc.has(super::table::ACQUIRE);
        let flags = if owned { Flags::NONE } else { self.not_owning(Some(contained.ty)) };
        Ok(Value { flags: node.flags.with(flags), ..node })
    }

    /// `less`, which compares two nodes of the tree while its lock is held.
    pub(super) fn compare_nodes(&mut self, call: &KfuncCall) -> Check {
        let (Some(subprog), Some(contained)) = (call.callback, call.root) else {
            return Err(self.unsupported("a tree without a function that compares"));
        };
        self.facts.foreign(self.at, crate::verify::facts::Foreign::Callback);
        self.facts.entered(subprog);
        let node = self.node_of(contained);
        let node = Value { flags: node.flags.with(self.not_owning(Some(contained.ty))), ..node };
        let depth = self.state.depth() + 1;
        if depth >= crate::verify::state::MAX_FRAMES {
            let message = format!("the call stack of {} frames is too deep", depth + 1);
            return Err(self.refuse(Code::CallDepth, message));
        }
        let mut frame = Frame::new(depth, subprog, Some(self.at));
        for reg in [Reg::R1, Reg::R2] {
            frame.regs[reg.index()] = node;
        }
        frame.callback = Some(Callback { when: When::Now, min: 0, max: 1 });
        self.enter_callback(frame)
    }

    /// A new object of a structure of the program, by its number in the program's types.
    pub(super) fn new_object(&self, call: &KfuncCall, percpu: bool) -> Check<Value> {
        let refuse = |explorer: &Self, message: String| Err(explorer.refuse(Code::KernelFunction, message));
        let Some(Ok(id)) = call.constant.map(u32::try_from) else {
            return refuse(self, "local type ID argument must be in range [0, U32_MAX]".to_owned());
        };
        let structures = match self.records.structures(self.program) {
            Ok(structures) => structures,
            Err(broken) => {
                let message = "bpf_obj_new/bpf_percpu_obj_new requires prog BTF";
                let found = self.refuse(Code::KernelFunction, message);
                return Err(crate::verify::locks::explain(found, Some(broken)));
            }
        };
        let Some(btf) = self.types(TypesOf::Program) else {
            return refuse(self, "bpf_obj_new/bpf_percpu_obj_new requires prog BTF".to_owned());
        };
        let Some(ty) = btf.get(TypeId(id)).ok().filter(|ty| ty.kind() == TypeKind::Struct) else {
            let message = "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct";
            return refuse(self, message.to_owned());
        };
        let (ty, size) = (ty.id(), ty.size());
        if percpu {
            if size > MAX_PERCPU_OBJECT {
                let message =
                    format!("bpf_percpu_obj_new type size ({size}) is greater than {MAX_PERCPU_OBJECT}");
                return refuse(self, message);
            }
            if !super::args::is_scalars(btf, ty, 0) {
                let message = "bpf_percpu_obj_new type ID argument must be of a struct of scalars";
                return refuse(self, message.to_owned());
            }
            if structures.contains_key(&ty) {
                let message = "bpf_percpu_obj_new type ID argument must not contain special fields";
                return refuse(self, message.to_owned());
            }
        }
        let flags = if percpu { Flags::ALLOC.with(Flags::PERCPU) } else { Flags::ALLOC };
        Ok(Value { flags, ..Value::pointer(Kind::Btf(BtfPointer { types: TypesOf::Program, ty })) })
    }

    /// An object of the program that is given back.
    pub(super) fn dropped_object(&mut self, kfunc: &Kfunc, index: usize, reg: Reg) -> Check {
        let value = *self.state.reg(reg);
        let refuse = |message: String| Err(self.refuse_reg(Code::ArgumentType, reg, message));
        let own = matches!(value.kind, Kind::Btf(BtfPointer { types: TypesOf::Program, .. }));
        let percpu = value.flags == Flags::ALLOC.with(Flags::PERCPU);
        if !own || value.nullable || (value.flags != Flags::ALLOC && !percpu) {
            return refuse(format!("arg#{index} expected pointer to allocated object"));
        }
        let wanted = if percpu { "bpf_percpu_obj_drop_impl" } else { "bpf_obj_drop_impl" };
        if kfunc.name != wanted {
            return refuse(format!("arg#{index} expected for {wanted}()"));
        }
        if value.ref_id == 0 {
            return Err(self.refuse_reg(Code::Reference, reg, "allocated object must be referenced"));
        }
        Ok(())
    }
}
