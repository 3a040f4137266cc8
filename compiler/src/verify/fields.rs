//! Special fields of maps' values and of allocated objects: locks, timers, kernel pointers, lists and trees.
//!
//! Linux finds them by the names of their types in the BTF of a map's value. They are touched by helpers and kernel
//! functions only. What cannot be resolved has no special fields: then helpers that need one refuse it. A field that was
//! missed here could be overwritten by the program, so nested structures and arrays are walked too.

use std::cell::OnceCell;

use crate::btf::{Btf, Kind, MAX_DEPTH, TypeId};
use crate::program::{MapDef, Program};

/// What a special field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    SpinLock,
    ResSpinLock,
    Timer,
    Workqueue,
    TaskWork,
    /// A pointer to a structure of the kernel or of the program, of this type in the program's BTF.
    KernelPointer {
        ty: TypeId,
        tag: PointerTag,
    },
    ListHead,
    ListNode,
    TreeRoot,
    TreeNode,
    Refcount,
}

/// How a kernel pointer is tagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointerTag {
    /// `__kptr`
    Owned,
    /// `__kptr_untrusted`
    Untrusted,
    /// `__percpu_kptr`
    PerCpu,
    /// `__uptr`
    User,
}

/// A special field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// What it is.
    pub special: Special,
    /// Its first byte.
    pub off: u32,
    /// How many bytes it has.
    pub size: u32,
}

impl Special {
    /// The kernel's name of its type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SpinLock => "bpf_spin_lock",
            Self::ResSpinLock => "bpf_res_spin_lock",
            Self::Timer => "bpf_timer",
            Self::Workqueue => "bpf_wq",
            Self::TaskWork => "bpf_task_work",
            Self::KernelPointer { .. } => "kptr",
            Self::ListHead => "bpf_list_head",
            Self::ListNode => "bpf_list_node",
            Self::TreeRoot => "bpf_rb_root",
            Self::TreeNode => "bpf_rb_node",
            Self::Refcount => "bpf_refcount",
        }
    }

    fn of_structure(name: &str) -> Option<Self> {
        Some(match name {
            "bpf_spin_lock" => Self::SpinLock,
            "bpf_res_spin_lock" => Self::ResSpinLock,
            "bpf_timer" => Self::Timer,
            "bpf_wq" => Self::Workqueue,
            "bpf_task_work" => Self::TaskWork,
            "bpf_list_head" => Self::ListHead,
            "bpf_list_node" => Self::ListNode,
            "bpf_rb_root" => Self::TreeRoot,
            "bpf_rb_node" => Self::TreeNode,
            "bpf_refcount" => Self::Refcount,
            _ => return None,
        })
    }
}

/// Most fields of one value: Linux has `BTF_FIELDS_MAX` of 11.
const MAX_FIELDS: usize = 16;

/// Most members that are looked at for one value.
const MAX_MEMBERS: usize = 4096;

/// The special fields of all maps, found when asked for.
#[derive(Debug)]
pub(super) struct MapFields {
    maps: Vec<OnceCell<Box<[Field]>>>,
    /// Of the maps in outer ones.
    inner: Vec<OnceCell<Box<[Field]>>>,
}

impl MapFields {
    pub fn new(program: &Program) -> Self {
        let none = vec![OnceCell::new(); program.maps.len()];
        Self { inner: none.clone(), maps: none }
    }

    /// The special fields of a map's values, by offset; or of those of the maps in it.
    pub fn of(&self, program: &Program, map: usize, inner: bool) -> &[Field] {
        let cells = if inner { &self.inner } else { &self.maps };
        let Some((cell, def)) = cells.get(map).zip(program.maps.get(map)) else { return &[] };
        let def = if inner { def.inner.as_deref().unwrap_or(def) } else { def };
        cell.get_or_init(|| match &program.btf {
            Some(btf) => of_map(btf, def),
            None => Box::default(),
        })
    }
}

fn of_map(btf: &Btf, def: &MapDef) -> Box<[Field]> {
    let mut found = Finder { btf, fields: Vec::new(), looked: 0 };
    match &def.global {
        Some(global) => {
            for variable in &global.variables {
                let ty = variable.ty.and_then(|id| btf.get(id).ok());
                if let Some(ty) = ty {
                    found.walk(ty.referenced(), variable.offset, 0);
                }
            }
        }
        None => {
            if let Some(ty) = def.value_type {
                found.walk(ty, 0, 0);
            }
        }
    }
    found.finish()
}

/// The special fields of a structure of the program's types.
pub(super) fn of_structure(btf: &Btf, ty: TypeId) -> Box<[Field]> {
    let mut found = Finder { btf, fields: Vec::new(), looked: 0 };
    found.walk(ty, 0, 0);
    found.finish()
}

struct Finder<'a> {
    btf: &'a Btf,
    fields: Vec<Field>,
    looked: usize,
}

impl Finder<'_> {
    fn finish(mut self) -> Box<[Field]> {
        self.fields.sort_by_key(|field| field.off);
        self.fields.into()
    }

    fn add(&mut self, special: Special, off: u32, size: u32) {
        if self.fields.len() < MAX_FIELDS {
            self.fields.push(Field { special, off, size });
        }
    }

    fn walk(&mut self, ty: TypeId, off: u32, depth: usize) {
        self.looked += 1;
        if depth > MAX_DEPTH || self.looked > MAX_MEMBERS {
            return;
        }
        let Ok(plain) = self.btf.unqualified(ty) else { return };
        match plain.kind() {
            Kind::Struct => {
                if let Some(special) = plain.name().ok().and_then(Special::of_structure) {
                    return self.add(special, off, plain.size());
                }
                for member in plain.members().filter(|member| member.bit_size == 0) {
                    self.walk(member.ty, off.saturating_add(member.bit_offset / 8), depth + 1);
                }
            }
            Kind::Array => {
                let Some(array) = plain.array() else { return };
                let Ok(size) = self.btf.size_of(array.element) else { return };
                for index in 0..array.len.min(64) {
                    let before = self.fields.len();
                    self.walk(array.element, off.saturating_add(size.saturating_mul(index)), depth + 1);
                    if self.fields.len() == before {
                        return;
                    }
                }
            }
            Kind::Ptr => {
                if let Some(tag) = self.tag(plain.referenced()) {
                    self.add(Special::KernelPointer { ty: plain.referenced(), tag }, off, 8);
                }
            }
            Kind::Void
            | Kind::Int
            | Kind::Union
            | Kind::Enum
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag
            | Kind::Enum64 => {}
        }
    }

    fn tag(&self, ty: TypeId) -> Option<PointerTag> {
        let ty = self.btf.get(ty).ok()?;
        if ty.kind() != Kind::TypeTag {
            return None;
        }
        match ty.name().ok()? {
            "kptr" => Some(PointerTag::Owned),
            "kptr_untrusted" => Some(PointerTag::Untrusted),
            "percpu_kptr" => Some(PointerTag::PerCpu),
            "uptr" => Some(PointerTag::User),
            _ => None,
        }
    }
}
