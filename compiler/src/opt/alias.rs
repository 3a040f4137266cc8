//! Which memory operations may touch the same bytes.
//!
//! Answers "no" only for one of these reasons: both are relative to one base and apart; both are at
//! constant places and apart; or the verifier proved them to be of different regions. Mixed regions
//! may be any but the context.

use brolga_abi::NativeHelper;

use crate::ir::{Mem, Op};
use crate::isa::Size;
use crate::verify::Access;

/// A number of bytes at an address.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Where.
    pub mem: Mem,
    /// How many.
    pub bytes: u32,
}

impl Range {
    /// What an access of a size touches.
    #[must_use]
    pub const fn new(mem: Mem, size: Size) -> Self {
        Self { mem, bytes: size.bytes() }
    }

    /// Whether the two may have a byte in common.
    #[must_use]
    pub fn may_overlap(&self, other: &Self) -> bool {
        let apart = |a: i64, b: i64| a + i64::from(self.bytes) <= b || b + i64::from(other.bytes) <= a;
        if self.mem.base == other.mem.base {
            return !apart(self.mem.off.into(), other.mem.off.into());
        }
        match (self.mem.access, other.mem.access) {
            (Access::OwnStack { off: Some(a) }, Access::OwnStack { off: Some(b) }) => {
                !apart(a.into(), b.into())
            }
            // Two elements of a map lie further apart than a value is long.
            (
                Access::MapValue { map: Some(m), off: Some(a) },
                Access::MapValue { map: Some(n), off: Some(b) },
            ) if m == n => !apart(a.into(), b.into()),
            (Access::MapValue { map: Some(m), .. }, Access::MapValue { map: Some(n), .. }) => m == n,
            (a, b) => same_region(a, b),
        }
    }
}

fn same_region(a: Access, b: Access) -> bool {
    match (a, b) {
        (Access::Context { .. }, Access::Context { .. }) => true,
        (Access::Context { .. }, _) | (_, Access::Context { .. }) => false,
        (Access::Mixed, _) | (_, Access::Mixed) => true,
        (Access::OwnStack { .. }, Access::OwnStack { .. })
        | (Access::CallerStack, Access::CallerStack)
        | (Access::Packet, Access::Packet)
        | (Access::MapValue { .. }, Access::MapValue { .. })
        | (Access::RawMemory, Access::RawMemory) => true,
        (
            Access::OwnStack { .. }
            | Access::CallerStack
            | Access::Packet
            | Access::MapValue { .. }
            | Access::RawMemory,
            _,
        ) => false,
    }
}

/// Whether an operation may change bytes of a range, or must not be passed by a load of them.
#[must_use]
pub fn may_write(op: &Op, range: &Range) -> bool {
    match *op {
        Op::Store { mem, size, .. } => Range::new(mem, size).may_overlap(range),
        // Ordering: nothing passes them, except what no other thread sees.
        Op::StoreRelease { mem, size, .. }
        | Op::AtomicRmw { mem, size, .. }
        | Op::AtomicCas { mem, size, .. } => !private(range) || Range::new(mem, size).may_overlap(range),
        Op::LoadAcquire { .. } => !private(range),
        Op::CallHelper { helper, .. } => helper_may_write(helper, range),
        Op::CallRoutine { .. } | Op::CallHost { .. } | Op::CallSubprog { .. } => true,
        Op::Const(_)
        | Op::Binary { .. }
        | Op::Unary { .. }
        | Op::Compare { .. }
        | Op::Select { .. }
        | Op::Extend { .. }
        | Op::Trunc(_)
        | Op::FromBool(_)
        | Op::Load { .. }
        | Op::StackAddr(_)
        | Op::MapHandle(_)
        | Op::MapValueAddr { .. }
        | Op::MapElemAddr { .. }
        | Op::CpuId => false,
    }
}

/// Whether an operation may read bytes of a range.
#[must_use]
pub fn may_read(op: &Op, range: &Range) -> bool {
    match *op {
        Op::Load { mem, size, .. } => Range::new(mem, size).may_overlap(range),
        Op::Store { .. } => false,
        Op::StoreRelease { mem, size, .. }
        | Op::AtomicRmw { mem, size, .. }
        | Op::AtomicCas { mem, size, .. }
        | Op::LoadAcquire { mem, size } => !private(range) || Range::new(mem, size).may_overlap(range),
        Op::CallHelper { helper, .. } => !touches_nothing(helper),
        Op::CallRoutine { .. } | Op::CallHost { .. } | Op::CallSubprog { .. } => true,
        Op::Const(_)
        | Op::Binary { .. }
        | Op::Unary { .. }
        | Op::Compare { .. }
        | Op::Select { .. }
        | Op::Extend { .. }
        | Op::Trunc(_)
        | Op::FromBool(_)
        | Op::StackAddr(_)
        | Op::MapHandle(_)
        | Op::MapValueAddr { .. }
        | Op::MapElemAddr { .. }
        | Op::CpuId => false,
    }
}

/// Whether only this run can see the bytes.
fn private(range: &Range) -> bool {
    match range.mem.access {
        Access::OwnStack { .. } | Access::CallerStack | Access::Context { .. } => true,
        Access::Packet | Access::MapValue { .. } | Access::RawMemory | Access::Mixed => false,
    }
}

/// Helpers that read and write no memory that a program sees.
fn touches_nothing(helper: NativeHelper) -> bool {
    match helper {
        NativeHelper::KtimeGetNs | NativeHelper::GetPrandomU32 | NativeHelper::GetSmpProcessorId => true,
        NativeHelper::MapLookupElem
        | NativeHelper::MapUpdateElem
        | NativeHelper::MapDeleteElem
        | NativeHelper::TracePrintk
        | NativeHelper::TailCall
        | NativeHelper::Redirect
        | NativeHelper::CsumDiff
        | NativeHelper::XdpAdjustHead
        | NativeHelper::XdpAdjustMeta
        | NativeHelper::XdpAdjustTail
        | NativeHelper::XdpLoadBytes
        | NativeHelper::XdpStoreBytes
        | NativeHelper::SkbLoadBytes => false,
    }
}

/// The stack is written only by helpers that fill memory; the table says which.
fn helper_may_write(helper: NativeHelper, range: &Range) -> bool {
    if touches_nothing(helper) {
        return false;
    }
    let fills = helper.info().args.iter().any(|arg| arg.writes());
    match range.mem.access {
        Access::OwnStack { .. } | Access::CallerStack => fills,
        Access::Context { .. }
        | Access::Packet
        | Access::MapValue { .. }
        | Access::RawMemory
        | Access::Mixed => true,
    }
}
