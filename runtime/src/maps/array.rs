//! `array`: a fixed number of values, all there from the start and zeroed.
//!
//! Layout: one region, values one after the other, each at a multiple of 8 bytes. Compiled code
//! computes addresses of values by itself. Concurrency: none at all; whoever writes a value writes
//! words, and programs use atomics where they care.

use std::sync::Arc;

use brolga_abi::maps::BPF_NOEXIST;

use super::create::CreateError;
use super::{Errno, check_flags, stride};
use crate::module::MapSpec;
use crate::runtime::{MapMemory, Shared};
use crate::sync::Lent;

/// An array map.
pub(crate) struct Array {
    values: MapMemory,
    stride: usize,
    value_size: usize,
    max_entries: u32,
}

impl Array {
    pub(crate) fn new(spec: &MapSpec, shared: &Arc<Shared>) -> Result<Self, CreateError> {
        let stride = stride(spec.value_size);
        let bytes = stride as u64 * u64::from(spec.max_entries);
        let values = allocate(bytes, shared)?;
        let initial = &spec.initial[..spec.initial.len().min(stride)];
        values.write(0, Lent::host(initial));
        Ok(Self { values, stride, value_size: spec.value_size as usize, max_entries: spec.max_entries })
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

    fn offset(&self, index: u32) -> Option<usize> {
        (index < self.max_entries).then(|| index as usize * self.stride)
    }

    #[inline]
    pub(crate) fn lookup(&self, index: u32) -> Option<*mut u8> {
        Some(self.values.at(self.offset(index)?))
    }

    pub(crate) fn update(&self, index: u32, value: Lent<'_>, flags: u64) -> Result<(), Errno> {
        check_flags(flags)?;
        let offset = self.offset(index).ok_or(Errno::TooBig)?;
        if flags == BPF_NOEXIST {
            return Err(Errno::Exists);
        }
        self.values.write(offset, value);
        Ok(())
    }

    /// Copies a value out. `None` past the end.
    pub(crate) fn read(&self, index: u32) -> Option<Vec<u8>> {
        let mut value = vec![0; self.value_size];
        self.values.read(self.offset(index)?, &mut value);
        Some(value)
    }

    /// Copies a part of the first value out: a variable of global data.
    pub(crate) fn read_part(&self, offset: usize, out: &mut [u8]) {
        self.values.read(offset, out);
    }

    /// Overwrites a part of the first value.
    pub(crate) fn write_part(&self, offset: usize, bytes: &[u8]) {
        self.values.write(offset, Lent::host(bytes));
    }
}

/// Memory for a map: counted against the runtime's limit, then taken from the system.
pub(super) fn allocate(bytes: u64, shared: &Arc<Shared>) -> Result<MapMemory, CreateError> {
    shared.map_memory(bytes).ok_or(CreateError::NoMemory { bytes })
}
