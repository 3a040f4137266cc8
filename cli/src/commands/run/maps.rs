//! Prints maps and global variables after a run.
//!
//! Elements of arrays that are zero are left out. Hashes are printed by key, so that runs can be compared.
//! Values are read one at a time, so that a large map needs no more memory than its keys.

use brolga_abi::MapKind;
use brolga_compiler::program::{MapDef, Object, Variable};
use brolga_runtime::{Instance, MapHandle};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::io::Out;
use crate::io::outln;
use crate::style::{DIM, HEADING};
use crate::value::{Value, decode, hex};

/// A map and its definition.
pub struct Map<'a> {
    object: &'a Object,
    def: &'a MapDef,
    handle: MapHandle,
}

/// The maps of an instance whose contents are of interest: all but constants.
pub fn maps<'a>(object: &'a Object, instance: &Instance) -> Vec<Map<'a>> {
    let find = |handle: MapHandle| {
        let name = handle.info().name;
        let def = object.maps.iter().find(|def| def.name == name)?;
        let constant = def.global.as_ref().is_some_and(|global| global.readonly);
        (!constant).then_some(Map { object, def, handle })
    };
    instance.maps().filter_map(find).collect()
}

/// The values of an element: one, or one for each CPU slot.
enum Values {
    One(Vec<u8>),
    PerCpu(Vec<Vec<u8>>),
    /// A `prog_array` does not tell which program an entry is.
    Program,
}

impl Map<'_> {
    fn values(&self, key: &[u8]) -> Option<Values> {
        let kind = self.handle.kind();
        if kind == MapKind::ProgArray {
            return Some(Values::Program);
        }
        if kind.info().per_cpu {
            return self.handle.lookup_percpu(key).ok().flatten().map(Values::PerCpu);
        }
        self.handle.lookup(key).ok().flatten().map(Values::One)
    }

    /// All keys: those of hashes in order, as numbers or as bytes.
    fn keys(&self) -> Box<dyn Iterator<Item = Vec<u8>> + '_> {
        if !matches!(self.handle.kind(), MapKind::Hash | MapKind::PerCpuHash) {
            return Box::new(self.handle.keys());
        }
        let mut keys: Vec<Vec<u8>> = self.handle.keys().collect();
        keys.sort_by_cached_key(|key| {
            let number = if let Value::Int(number) = self.key(key) { number } else { 0 };
            (number, key.clone())
        });
        Box::new(keys.into_iter())
    }

    /// The elements that are shown.
    fn elements(&self) -> impl Iterator<Item = (Vec<u8>, Values)> {
        let leave_zeros_out = matches!(self.handle.kind(), MapKind::Array | MapKind::PerCpuArray);
        let elements = self.keys().filter_map(|key| self.values(&key).map(|values| (key, values)));
        elements.filter(move |(_, values)| !leave_zeros_out || !values.are_zero())
    }

    fn key(&self, bytes: &[u8]) -> Value {
        decode(self.object.endianness, self.object.btf.as_deref(), self.def.key_type, bytes)
    }

    fn value(&self, bytes: &[u8]) -> Value {
        decode(self.object.endianness, self.object.btf.as_deref(), self.def.value_type, bytes)
    }

    /// The variables of global data.
    fn variables(&self) -> Vec<(&str, Value)> {
        let Some(global) = &self.def.global else { return Vec::new() };
        let Ok(Some(data)) = self.handle.lookup(&0_u32.to_ne_bytes()) else { return Vec::new() };
        let value = |variable: &Variable| {
            let start = variable.offset as usize;
            let bytes = data.get(start..start.checked_add(variable.size as usize)?)?;
            Some(decode(self.object.endianness, self.object.btf.as_deref(), variable.ty, bytes))
        };
        let shown = |variable| Some((variable, value(variable)?));
        let shown = global.variables.iter().filter_map(shown);
        shown.map(|(variable, value)| (variable.name.as_str(), value)).collect()
    }

    /// Prints the map for people.
    pub fn text(&self, out: &mut Out) -> std::io::Result<()> {
        let info = self.handle.info();
        if self.def.global.is_some() {
            outln!(out, "\n{HEADING}{}{HEADING:#} {DIM}(global data){DIM:#}", info.name)?;
            for (name, value) in self.variables() {
                outln!(out, "  {name} = {value}")?;
            }
            return Ok(());
        }
        outln!(
            out,
            "\n{HEADING}{}{HEADING:#} {DIM}({}, {} of {} elements){DIM:#}",
            info.name,
            info.kind.info().name,
            self.handle.len(),
            info.max_entries
        )?;
        let mut shown = 0;
        for (key, values) in self.elements() {
            shown += 1;
            let key = self.key(&key);
            match values {
                Values::One(value) => outln!(out, "  {key}: {}", self.value(&value))?,
                Values::Program => outln!(out, "  {key}: a program")?,
                Values::PerCpu(values) => match &values[..] {
                    [value] => outln!(out, "  {key}: {}", self.value(value))?,
                    values => {
                        for (cpu, value) in values.iter().enumerate() {
                            outln!(out, "  {key}, cpu {cpu}: {}", self.value(value))?;
                        }
                    }
                },
            }
        }
        let zeros = self.handle.len() - shown.min(self.handle.len());
        if zeros > 0 && matches!(info.kind, MapKind::Array | MapKind::PerCpuArray) {
            outln!(out, "  {DIM}({zeros} more that are zero){DIM:#}")?;
        }
        Ok(())
    }
}

impl Values {
    fn are_zero(&self) -> bool {
        let zero = |bytes: &Vec<u8>| bytes.iter().all(|byte| *byte == 0);
        match self {
            Self::One(value) => zero(value),
            Self::PerCpu(values) => values.iter().all(zero),
            Self::Program => false,
        }
    }
}

/// A map as JSON.
#[derive(Serialize)]
struct MapReport<'a> {
    name: String,
    kind: &'static str,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<Elements<'a>>,
}

/// Elements, written one at a time.
struct Elements<'a>(&'a Map<'a>);

#[derive(Serialize)]
struct ElementReport {
    key: serde_json::Value,
    key_hex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    /// Per-CPU maps: a value for each CPU slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<CpuValue>>,
}

#[derive(Serialize)]
struct CpuValue {
    cpu: usize,
    value: serde_json::Value,
    value_hex: String,
}

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let info = self.handle.info();
        let global = self.def.global.is_some();
        let variables =
            || self.variables().into_iter().map(|(name, value)| (name.to_owned(), value.json())).collect();
        MapReport {
            name: info.name,
            kind: info.kind.info().name,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            variables: global.then(variables),
            elements: (!global).then_some(Elements(self)),
        }
        .serialize(serializer)
    }
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        for (key, values) in self.0.elements() {
            sequence.serialize_element(&self.0.report(&key, values))?;
        }
        sequence.end()
    }
}

impl Map<'_> {
    fn report(&self, key: &[u8], values: Values) -> ElementReport {
        let mut report = ElementReport {
            key: self.key(key).json(),
            key_hex: hex(key),
            value: None,
            value_hex: None,
            values: None,
        };
        match values {
            Values::One(value) => {
                report.value = Some(self.value(&value).json());
                report.value_hex = Some(hex(&value));
            }
            Values::PerCpu(values) => {
                let value = |(cpu, bytes): (usize, &Vec<u8>)| CpuValue {
                    cpu,
                    value: self.value(bytes).json(),
                    value_hex: hex(bytes),
                };
                report.values = Some(values.iter().enumerate().map(value).collect());
            }
            Values::Program => {}
        }
        report
    }
}
