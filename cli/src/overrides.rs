//! Changes an object before anything looks at it: sizes of maps, then values of global variables.
//!
//! What the verifier and the compiler take from `.rodata` is then the new value.

use brolga_compiler::isa::Endianness;
use brolga_compiler::program::{LoadError, Object};

use crate::args::Overrides;
use crate::failure::Failure;
use crate::literal;

impl Overrides {
    /// Makes all changes in the order of the options' definition.
    pub fn apply(&self, object: &mut Object) -> Result<(), Failure> {
        for setting in &self.max_entries {
            size("--max-entries", setting, |name, size| object.set_max_entries(name, size))?;
        }
        for setting in &self.value_size {
            size("--value-size", setting, |name, size| object.set_value_size(name, size))?;
        }
        self.set_global.iter().try_for_each(|setting| set_global(object, setting))
    }
}

fn usage(option: &str, setting: &str, message: &str) -> Failure {
    Failure::Usage(format!("{option} {setting}: {message}"))
}

fn size(
    option: &str,
    setting: &str,
    set: impl FnOnce(&str, u32) -> Result<(), LoadError>,
) -> Result<(), Failure> {
    let parts = setting.rsplit_once('=').and_then(|(name, number)| Some((name, literal::size(number)?)));
    let (name, number) = parts.ok_or_else(|| usage(option, setting, "write MAP=NUMBER"))?;
    set(name, number).map_err(|error| usage(option, setting, &error.to_string()))
}

fn set_global(object: &mut Object, setting: &str) -> Result<(), Failure> {
    let usage = |message: &str| usage("--set-global", setting, message);
    let (name, text) = setting.split_once('=').ok_or_else(|| usage("write NAME=LITERAL"))?;
    let size =
        object.global(name).map_err(|error| usage(&format!("{error}; there are {}", globals(object))))?.len();
    let big = object.endianness == Endianness::Big;
    let bytes = literal::parse_for(text, size, big).map_err(|message| usage(&message))?;
    object.set_global(name, &bytes).map_err(|error| usage(&error.to_string()))
}

/// The names of all global variables, for messages.
fn globals(object: &Object) -> String {
    let globals = object.maps.iter().filter_map(|map| map.global.as_ref());
    let names = globals.flat_map(|global| &global.variables).map(|variable| format!("`{}`", variable.name));
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
