//! `percpu_hash`: as [`super::hash`], with a value of its own for every CPU slot.
//!
//! Layout: keys as in [`super::table`]; values in one part a slot, so that slots never share a cache
//! line. An update of a key that exists writes the value in place, as Linux does. A program that inserts a key sets its own
//! slot's value and zeroes the others'.

use std::sync::Arc;

use brolga_abi::maps::{BPF_EXIST, BPF_NOEXIST, percpu_stride};

use super::array::allocate;
use super::create::CreateError;
use super::table::{Element, Table};
use super::{Errno, check_flags, stride};
use crate::module::MapSpec;
use crate::runtime::{MapMemory, Shared};
use crate::sync::Lent;

/// A per-CPU hash map.
pub(crate) struct PerCpuHash {
    table: Table,
    values: MapMemory,
    cpus: usize,
    cpu_stride: usize,
    stride: usize,
    value_size: usize,
}

/// Values to write: that of one slot, or those of all.
enum Values<'a, V> {
    Own(usize, Lent<'a>),
    All(&'a [V]),
}

impl PerCpuHash {
    pub(crate) fn new(spec: &MapSpec, shared: &Arc<Shared>) -> Result<Self, CreateError> {
        let table = Table::new(spec, 0, 0, shared)?;
        let cpu_stride = percpu_stride(spec.value_size, spec.max_entries);
        let values = allocate(cpu_stride.saturating_mul(shared.cpus.into()), shared)?;
        Ok(Self {
            table,
            values,
            cpus: shared.cpus as usize,
            cpu_stride: usize::try_from(cpu_stride).expect("less than what was just allocated"),
            stride: stride(spec.value_size),
            value_size: spec.value_size as usize,
        })
    }

    pub(crate) fn key_size(&self) -> usize {
        self.table.key_size()
    }

    pub(crate) fn value_size(&self) -> usize {
        self.value_size
    }

    pub(crate) fn len(&self) -> u32 {
        self.table.len()
    }

    pub(crate) fn buckets(&self) -> u64 {
        self.table.buckets()
    }

    fn offset(&self, element: Element, slot: usize) -> usize {
        slot * self.cpu_stride + element.0 as usize * self.stride
    }

    #[inline]
    pub(crate) fn lookup(&self, key: Lent<'_>, slot: usize) -> Option<*mut u8> {
        let element = self.table.find(self.table.key(key))?;
        Some(self.values.at(self.offset(element, slot)))
    }

    /// A program's update: writes its own slot's value.
    pub(crate) fn update(
        &self,
        key: Lent<'_>,
        value: Lent<'_>,
        flags: u64,
        slot: usize,
    ) -> Result<(), Errno> {
        self.write::<[u8; 0]>(key, &Values::Own(slot, value), flags)
    }

    /// The host's update: writes the values of all slots; there is one a slot.
    pub(crate) fn update_all<V: AsRef<[u8]>>(
        &self,
        key: &[u8],
        values: &[V],
        flags: u64,
    ) -> Result<(), Errno> {
        self.write(Lent::host(key), &Values::All(values), flags)
    }

    fn write<V: AsRef<[u8]>>(&self, key: Lent<'_>, values: &Values<'_, V>, flags: u64) -> Result<(), Errno> {
        check_flags(flags)?;
        let key = self.table.key(key);
        let place = self.table.place(key);
        match place.element {
            Some(_) if flags == BPF_NOEXIST => Err(Errno::Exists),
            Some(element) => {
                self.fill(element, values);
                Ok(())
            }
            None if flags == BPF_EXIST => Err(Errno::NoEntry),
            None => {
                let element = self.table.take()?;
                self.table.write_key(element, key, &place).inspect_err(|_| self.table.give(element))?;
                if let Values::Own(own, _) = *values {
                    for slot in (0..self.cpus).filter(|slot| *slot != own) {
                        self.values.zero(self.offset(element, slot), self.stride);
                    }
                }
                self.fill(element, values);
                self.table.insert(place, element);
                Ok(())
            }
        }
    }

    fn fill<V: AsRef<[u8]>>(&self, element: Element, values: &Values<'_, V>) {
        match *values {
            Values::Own(slot, value) => self.values.write(self.offset(element, slot), value),
            Values::All(values) => {
                for (slot, value) in values.iter().enumerate() {
                    self.values.write(self.offset(element, slot), Lent::host(value.as_ref()));
                }
            }
        }
    }

    pub(crate) fn delete(&self, key: Lent<'_>) -> Result<(), Errno> {
        self.table.remove(self.table.key(key))
    }

    /// Copies the values of all slots out.
    pub(crate) fn read(&self, key: &[u8]) -> Option<Vec<Vec<u8>>> {
        let place = self.table.place(self.table.key(Lent::host(key)));
        place.element.map(|element| self.copy(element))
    }

    /// All elements of a bucket.
    pub(crate) fn read_bucket(&self, bucket: u64) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
        self.table.read_bucket(bucket, |key, element| (key, self.copy(element)))
    }

    fn copy(&self, element: Element) -> Vec<Vec<u8>> {
        (0..self.cpus)
            .map(|slot| {
                let mut value = vec![0; self.value_size];
                self.values.read(self.offset(element, slot), &mut value);
                value
            })
            .collect()
    }
}
