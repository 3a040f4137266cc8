//! Gets an instance ready to run: elements of its maps.

use brolga_abi::MapKind;
use brolga_compiler::program::Object;
use brolga_runtime::{Instance, MapHandle, Update};

use crate::failure::Failure;
use crate::literal;

/// An element that is to be put into a map before the run.
pub struct Element<'a> {
    setting: &'a str,
    map: &'a str,
    key: &'a str,
    value: Option<&'a str>,
}

impl<'a> Element<'a> {
    /// Reads `MAP:KEY[=VALUE]`.
    pub fn parse(setting: &'a str) -> Result<Self, Failure> {
        let (map, element) = setting.split_once(':').ok_or_else(|| {
            Failure::Usage(format!("--map-update {setting}: write MAP:KEY or MAP:KEY=VALUE"))
        })?;
        let (key, value) = match element.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (element, None),
        };
        Ok(Self { setting, map, key, value })
    }

    /// The program that a `prog_array` is to hold.
    pub fn program(&self, object: &Object) -> Option<&'a str> {
        let map = object.maps.iter().find(|map| map.name == self.map)?;
        if map.kind.known() == Some(MapKind::ProgArray) { self.value } else { None }
    }

    fn usage(&self, message: impl std::fmt::Display) -> Failure {
        Failure::Usage(format!("--map-update {}: {message}", self.setting))
    }

    /// Puts the element into its map.
    pub fn put(&self, instance: &Instance, cpus: u32) -> Result<(), Failure> {
        let map = instance.map(self.map).map_err(|error| self.usage(error))?;
        let info = map.info();
        let key = literal::parse(self.key, info.key_size as usize).map_err(|message| self.usage(message))?;
        if info.kind == MapKind::ProgArray {
            return self.put_program(instance, &map, &key);
        }
        let value = match self.value {
            Some(value) => {
                literal::parse(value, info.value_size as usize).map_err(|message| self.usage(message))?
            }
            None => vec![0; info.value_size as usize],
        };
        let result = if info.kind.info().per_cpu {
            map.update_percpu(&key, &vec![value; cpus as usize], Update::Any)
        } else {
            map.update(&key, &value, Update::Any)
        };
        result.map_err(|error| self.usage(error))
    }

    fn put_program(&self, instance: &Instance, map: &MapHandle, key: &[u8]) -> Result<(), Failure> {
        let name = self.value.ok_or_else(|| self.usage("the value of a prog_array is a program's name"))?;
        let program = instance.program(name).map_err(|error| self.usage(error))?;
        let index = u32::from_ne_bytes(key.try_into().expect("keys of a prog_array are 32 bits"));
        map.set_program(index, &program).map_err(|error| self.usage(error))
    }
}
