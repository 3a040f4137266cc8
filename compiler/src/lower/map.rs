//! Lowers addresses of maps and of their elements.
//!
//! The environment leads to one [`brolga_abi::env::MapRef`] a map; where an array's elements lie is
//! computed with the strides that the runtime uses.

use brolga_abi::MapKind;
use brolga_abi::env::{ENV_CPU, ENV_MAPS, MAP_REF_DATA, MAP_REF_HANDLE, MAP_REF_SIZE};
use brolga_abi::maps::{array_stride, percpu_stride};
use cranelift_codegen::ir::{self as clif, InstBuilder, types};

use super::{FunctionLowering, native};
use crate::ir::Value;
use crate::program::MapId;

/// Addresses that were loaded in the block that is being lowered.
#[derive(Default)]
pub(super) struct MapBases {
    maps: Option<clif::Value>,
    data: Vec<(MapId, clif::Value)>,
}

impl MapBases {
    /// A new block begins.
    pub(super) fn forget(&mut self) {
        self.maps = None;
        self.data.clear();
    }

    /// The environment's table of maps may have changed and been restored.
    pub(super) fn forget_table(&mut self) {
        self.maps = None;
    }
}

impl FunctionLowering<'_> {
    /// Loads a word of a map's row in the environment's table.
    fn map_ref(&mut self, map: MapId, field: i32) -> clif::Value {
        let maps = match self.maps.maps {
            Some(maps) => maps,
            None => self.builder.ins().load(types::I64, native(), self.env, ENV_MAPS),
        };
        self.maps.maps = Some(maps);
        let row = i64::from(map.0) * i64::from(MAP_REF_SIZE) + i64::from(field);
        match i32::try_from(row) {
            Ok(off) => self.builder.ins().load(types::I64, native(), maps, off),
            Err(_) => {
                let off = self.builder.ins().iconst(types::I64, row);
                let address = self.builder.ins().iadd(maps, off);
                self.builder.ins().load(types::I64, native(), address, 0)
            }
        }
    }

    pub(super) fn map_handle(&mut self, map: MapId) -> clif::Value {
        self.map_ref(map, MAP_REF_HANDLE)
    }

    /// Where an array's elements begin.
    pub(super) fn map_data(&mut self, map: MapId) -> clif::Value {
        if let Some((_, data)) = self.maps.data.iter().find(|(known, _)| *known == map) {
            return *data;
        }
        let data = self.map_ref(map, MAP_REF_DATA);
        self.maps.data.push((map, data));
        data
    }

    pub(super) fn map_value_addr(&mut self, map: MapId, off: u32) -> clif::Value {
        let data = self.map_data(map);
        self.add_constant(data, u64::from(off))
    }

    pub(super) fn map_elem_addr(&mut self, map: MapId, index: Value) -> clif::Value {
        let def = &self.unit.maps[map.index()];
        let (kind, value_size, max_entries) = (def.kind.known(), def.value_size, def.max_entries);
        let stride = array_stride(value_size);
        let constant = self.function.as_const(index);
        let mut base = self.map_data(map);
        match kind {
            Some(MapKind::PerCpuArray) => {
                let cpu = self.cpu_id();
                let part = self.multiply(cpu, percpu_stride(value_size, max_entries));
                base = self.builder.ins().iadd(base, part);
            }
            Some(MapKind::Array) => {}
            Some(MapKind::Hash | MapKind::PerCpuHash | MapKind::ProgArray) | None => {
                unreachable!("elements have addresses in arrays only; `ir::build` makes no others")
            }
        }
        match constant {
            Some(index) => self.add_constant(base, index.wrapping_mul(stride)),
            None => {
                let index = self.value(index);
                let off = self.multiply(index, stride);
                self.builder.ins().iadd(base, off)
            }
        }
    }

    pub(super) fn cpu_id(&mut self) -> clif::Value {
        self.builder.ins().uload32(native(), self.env, ENV_CPU)
    }

    fn add_constant(&mut self, base: clif::Value, constant: u64) -> clif::Value {
        if constant == 0 {
            return base;
        }
        let constant = self.const64(constant);
        self.builder.ins().iadd(base, constant)
    }

    fn multiply(&mut self, a: clif::Value, factor: u64) -> clif::Value {
        if factor.is_power_of_two() {
            let bits = self.const64(u64::from(factor.trailing_zeros()));
            return self.builder.ins().ishl(a, bits);
        }
        let factor = self.const64(factor);
        self.builder.ins().imul(a, factor)
    }
}
