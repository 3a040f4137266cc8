//! Special fields of maps' values and of allocated objects: locks, timers, kernel pointers, lists and trees.
//!
//! They are touched by helpers and kernel functions only. This module says what there is; `records` finds them.

use crate::btf::TypeId;

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
    ListHead(Contained),
    ListNode,
    TreeRoot(Contained),
    TreeNode,
    Refcount,
}

/// What hangs from a list's head or a tree's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contained {
    /// The structure, in the program's types.
    pub ty: TypeId,
    /// Where in it the node is.
    pub off: u32,
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
            Self::KernelPointer { tag: PointerTag::User, .. } => "uptr",
            Self::KernelPointer { tag: PointerTag::PerCpu, .. } => "percpu_kptr",
            Self::KernelPointer { tag: PointerTag::Owned | PointerTag::Untrusted, .. } => "kptr",
            Self::ListHead(_) => "bpf_list_head",
            Self::ListNode => "bpf_list_node",
            Self::TreeRoot(_) => "bpf_rb_root",
            Self::TreeNode => "bpf_rb_node",
            Self::Refcount => "bpf_refcount",
        }
    }

    /// Whether it is a lock of either kind.
    pub const fn is_lock(self) -> bool {
        matches!(self, Self::SpinLock | Self::ResSpinLock)
    }

    /// Whether it is the node of a list or of a tree.
    pub const fn is_node(self) -> bool {
        matches!(self, Self::ListNode | Self::TreeNode)
    }

    /// What hangs from it, if it is a list's head or a tree's root.
    pub const fn contained(self) -> Option<Contained> {
        match self {
            Self::ListHead(contained) | Self::TreeRoot(contained) => Some(contained),
            Self::SpinLock
            | Self::ResSpinLock
            | Self::Timer
            | Self::Workqueue
            | Self::TaskWork
            | Self::KernelPointer { .. }
            | Self::ListNode
            | Self::TreeNode
            | Self::Refcount => None,
        }
    }
}

/// The special fields of a map's value or of a structure, by offset.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// All of them.
    pub fields: Box<[Field]>,
    /// Whether pointers to it are told apart by what they point to: it has a lock.
    pub lock: Option<Field>,
    /// The reference count.
    pub refcount: Option<Field>,
}

impl Record {
    /// Of fields in the order in which they were found.
    pub fn new(mut fields: Vec<Field>) -> Self {
        let lock = fields.iter().find(|field| field.special.is_lock()).copied();
        let refcount = fields.iter().rev().find(|field| field.special == Special::Refcount).copied();
        fields.sort_by_key(|field| field.off);
        Self { fields: fields.into(), lock, refcount }
    }

    /// Whether one of the fields is such.
    pub fn has(&self, pick: impl Fn(Special) -> bool) -> bool {
        self.fields.iter().any(|field| pick(field.special))
    }

    /// The field that begins at an offset.
    pub fn at(&self, off: i64) -> Option<&Field> {
        self.fields.iter().find(|field| i64::from(field.off) == off)
    }
}
