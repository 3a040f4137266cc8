//! `percpu_array`: as [`super::array`], with a value of its own for every CPU slot.
//!
//! Layout: one part a slot, whole cache lines long, so that slots never share one; compiled code
//! computes addresses by itself. A program reads and writes its own slot's value only; the host
//! reads and writes all of them.

use std::sync::Arc;

use brolga_abi::maps::{BPF_NOEXIST, percpu_stride};

use super::array::allocate;
use super::create::CreateError;
use super::{Errno, check_flags, stride};
use crate::module::MapSpec;
use crate::runtime::{MapMemory, Shared};
use crate::sync::Lent;

/// A per-CPU array map.
pub(crate) struct PerCpuArray {
    values: MapMemory,
    cpus: usize,
    cpu_stride: usize,
    stride: usize,
    value_size: usize,
    max_entries: u32,
}

impl PerCpuArray {
    pub(crate) fn new(spec: &MapSpec, shared: &Arc<Shared>) -> Result<Self, CreateError> {
        let cpu_stride = percpu_stride(spec.value_size, spec.max_entries);
        let bytes = cpu_stride.saturating_mul(shared.cpus.into());
        let values = allocate(bytes, shared)?;
        Ok(Self {
            values,
            cpus: shared.cpus as usize,
            cpu_stride: usize::try_from(cpu_stride).expect("less than what was just allocated"),
            stride: stride(spec.value_size),
            value_size: spec.value_size as usize,
            max_entries: spec.max_entries,
        })
    }

    pub(crate) fn value_size(&self) -> usize {
        self.value_size
    }

    pub(crate) fn max_entries(&self) -> u32 {
        self.max_entries
    }

    pub(crate) fn data(&self) -> *mut u8 {
        self.values.at(0)
    }

    fn offset(&self, index: u32, slot: usize) -> Option<usize> {
        (index < self.max_entries).then(|| slot * self.cpu_stride + index as usize * self.stride)
    }

    #[inline]
    pub(crate) fn lookup(&self, index: u32, slot: usize) -> Option<*mut u8> {
        Some(self.values.at(self.offset(index, slot)?))
    }

    /// Writes the value of one slot.
    pub(crate) fn update(&self, index: u32, value: Lent<'_>, flags: u64, slot: usize) -> Result<(), Errno> {
        check_flags(flags)?;
        let offset = self.offset(index, slot).ok_or(Errno::TooBig)?;
        if flags == BPF_NOEXIST {
            return Err(Errno::Exists);
        }
        self.values.write(offset, value);
        Ok(())
    }

    /// Writes the values of all slots; there is one a slot.
    pub(crate) fn update_all<V: AsRef<[u8]>>(
        &self,
        index: u32,
        values: &[V],
        flags: u64,
    ) -> Result<(), Errno> {
        for (slot, value) in values.iter().enumerate() {
            self.update(index, Lent::host(value.as_ref()), flags, slot)?;
        }
        Ok(())
    }

    /// Copies the values of all slots out. `None` past the end.
    pub(crate) fn read(&self, index: u32) -> Option<Vec<Vec<u8>>> {
        (0..self.cpus)
            .map(|slot| {
                let mut value = vec![0; self.value_size];
                self.values.read(self.offset(index, slot)?, &mut value);
                Some(value)
            })
            .collect()
    }
}
