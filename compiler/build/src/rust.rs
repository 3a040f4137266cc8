//! Writes the Rust module of an object: its programs as functions, its maps and variables by name.
//!
//! The module is included into the user's crate, so it names everything in full, and depends on
//! `brolga-runtime` alone.

use std::collections::BTreeSet;

use brolga_abi::{MapKind, NativeKind, ProgramKind};
use brolga_compiler::program::{Object, Program};

use crate::types::Types;

/// Rust's keywords, strict and reserved.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "Self",
    "static", "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Whether a name can be that of a Rust module, a file and a library.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name != "_"
        && !KEYWORDS.contains(&name)
}

/// A C name as a Rust identifier.
pub(crate) fn identifier(name: &str) -> String {
    let mut text: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        text.insert(0, '_');
    }
    if text == "_" || KEYWORDS.contains(&text.as_str()) {
        text.push('_');
    }
    text
}

/// A field of a generated structure.
struct Field {
    name: String,
    doc: String,
    ty: String,
    make: String,
}

/// The module's text.
pub(crate) fn write(name: &str, descriptor: &str, object: &Object, programs: &[&Program]) -> String {
    let mut types = Types::new(object.btf.as_deref(), &["Instance", "Maps", "Globals", "Programs"]);
    let maps = maps(object, &mut types);
    let globals = globals(object, &mut types);
    let mut text = format!(
        "// The module `{name}`, made by brolga-build.\n\n\
         #[allow(unsafe_code)]\nunsafe extern \"C\" {{\n    \
         static {descriptor}: ::brolga_runtime::abi::descriptor::Descriptor;\n}}\n\n\
         /// The compiled code, to make instances of.\n///\n/// # Errors\n///\n\
         /// The code was compiled by another version of Brolga than the runtime's.\n\
         #[allow(dead_code, unsafe_code)]\n\
         pub fn module() -> Result<::brolga_runtime::Module, ::brolga_runtime::LoadError> {{\n    \
         // SAFETY: the descriptor was emitted by Brolga's compiler, with the code that it names.\n    \
         unsafe {{ ::brolga_runtime::Module::from_descriptor(&{descriptor}) }}\n}}\n\n"
    );
    text += &instance();
    text += &programs_text(programs);
    text += &structure("Maps", "The maps.", &maps);
    text += &structure("Globals", "The variables of global data.", &globals);
    text += types.definitions();
    text
}

fn instance() -> String {
    "/// The programs with maps of their own.\n\
     #[allow(dead_code)]\n#[derive(Clone, Debug)]\npub struct Instance {\n    \
     /// The programs.\n    pub programs: Programs,\n    \
     /// The maps.\n    pub maps: Maps,\n    \
     /// The variables of global data.\n    pub globals: Globals,\n    \
     instance: ::brolga_runtime::Instance,\n}\n\n\
     #[allow(dead_code)]\nimpl Instance {\n    \
     /// Makes the maps and fills global data.\n    ///\n    /// # Errors\n    ///\n    \
     /// There is no memory for a map, or the code was compiled by another version of Brolga.\n    \
     pub fn new(runtime: &::brolga_runtime::Runtime) -> Result<Self, ::brolga_runtime::InstanceError> {\n        \
     let instance = ::brolga_runtime::Instance::new(runtime, &module()?)?;\n        \
     Ok(Self {\n            programs: Programs::new(&instance)?,\n            \
     maps: Maps::new(&instance)?,\n            globals: Globals::new(&instance)?,\n            \
     instance,\n        })\n    }\n\n    \
     /// The instance, to find programs, maps and variables by name.\n    \
     pub fn instance(&self) -> &::brolga_runtime::Instance {\n        &self.instance\n    }\n}\n\n"
        .to_owned()
}

fn programs_text(programs: &[&Program]) -> String {
    let mut seen = BTreeSet::new();
    let handle = "::brolga_runtime::ProgramHandle";
    let (mut fields, mut makes, mut methods) = (String::new(), String::new(), String::new());
    for program in programs {
        let name = identifier(&program.name);
        let native = program.kind.and_then(ProgramKind::native);
        let Some(kind) = native.filter(|_| seen.insert(name.clone())) else { continue };
        let (argument, call, result) = match kind {
            NativeKind::Xdp => (
                "packet: &mut ::brolga_runtime::Packet",
                "run_xdp(worker, packet)",
                "::brolga_runtime::XdpVerdict",
            ),
            NativeKind::SocketFilter => (
                "packet: &mut ::brolga_runtime::SocketPacket<'_>",
                "run_socket_filter(worker, packet)",
                "u32",
            ),
            NativeKind::RawMemory => ("memory: &mut [u8]", "run_raw(worker, memory)", "u64"),
        };
        fields += &format!("    {name}: {handle},\n");
        makes += &format!("            {name}: instance.program({:?})?,\n", program.name);
        methods += &format!(
            "\n    /// Runs `{}` (`SEC({:?})`) once.\n    ///\n    /// # Errors\n    ///\n    \
             /// See [`::brolga_runtime::RunError`].\n    \
             pub fn {name}(&self, worker: &mut ::brolga_runtime::Worker, {argument}) \
             -> Result<{result}, ::brolga_runtime::RunError> {{\n        self.{name}.{call}\n    }}\n\n    \
             /// The program `{}`, to run it often or to put it into a `prog_array`.\n    \
             pub fn {name}_handle(&self) -> &{handle} {{\n        &self.{name}\n    }}\n",
            program.name, program.section, program.name
        );
    }
    format!(
        "/// The programs.\n#[allow(dead_code)]\n#[derive(Clone, Debug)]\npub struct Programs {{\n{fields}}}\n\n\
         #[allow(dead_code)]\nimpl Programs {{\n    \
         fn new(instance: &::brolga_runtime::Instance) -> Result<Self, ::brolga_runtime::InstanceError> {{\n        \
         let _ = instance;\n        Ok(Self {{\n{makes}        }})\n    }}\n{methods}}}\n\n"
    )
}

fn maps(object: &Object, types: &mut Types<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    for map in object.maps.iter().filter(|map| map.global.is_none()) {
        let Some(kind) = map.kind.known() else { continue };
        let ty = match kind {
            MapKind::ProgArray => "::brolga_runtime::MapHandle".to_owned(),
            MapKind::Hash | MapKind::Array | MapKind::PerCpuHash | MapKind::PerCpuArray => {
                let key = types.name(map.key_type, map.key_size);
                let value = types.name(map.value_type, map.value_size);
                format!("::brolga_runtime::TypedMap<{key}, {value}>")
            }
        };
        let make = match kind {
            MapKind::ProgArray => format!("instance.map({:?})?", map.name),
            MapKind::Hash | MapKind::Array | MapKind::PerCpuHash | MapKind::PerCpuArray => {
                format!("instance.map({:?})?.typed()?", map.name)
            }
        };
        let doc = format!("`{}`: {}, at most {} elements.", map.name, kind.info().name, map.max_entries);
        fields.push(Field { name: identifier(&map.name), doc, ty, make });
    }
    fields
}

fn globals(object: &Object, types: &mut Types<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    for map in object.maps.iter() {
        for variable in map.global.iter().flat_map(|global| &global.variables) {
            let ty = types.name(variable.ty, variable.size);
            fields.push(Field {
                name: identifier(&variable.name),
                doc: format!("`{}` in `{}`.", variable.name, map.name),
                ty: format!("::brolga_runtime::TypedGlobal<{ty}>"),
                make: format!("instance.global({:?})?.typed()?", variable.name),
            });
        }
    }
    fields
}

/// A structure whose fields are found in an instance. Of two fields of one name the first stays.
fn structure(name: &str, doc: &str, fields: &[Field]) -> String {
    let mut seen = BTreeSet::new();
    let (mut types, mut makes) = (String::new(), String::new());
    for field in fields.iter().filter(|field| seen.insert(&field.name)) {
        types += &format!("    /// {}\n    pub {}: {},\n", field.doc, field.name, field.ty);
        makes += &format!("            {}: {},\n", field.name, field.make);
    }
    format!(
        "/// {doc}\n#[allow(dead_code)]\n#[derive(Clone, Debug)]\npub struct {name} {{\n{types}}}\n\n\
         impl {name} {{\n    \
         fn new(instance: &::brolga_runtime::Instance) -> Result<Self, ::brolga_runtime::InstanceError> {{\n        \
         let _ = instance;\n        Ok(Self {{\n{makes}        }})\n    }}\n}}\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        for (name, expected) in [("count", "count"), ("count.1", "count_1"), ("type", "type_"), ("9a", "_9a")]
        {
            assert_eq!(identifier(name), expected);
            assert!(is_identifier(expected));
        }
        for name in ["", "_", "a-b", "fn", "1x", "ä"] {
            assert!(!is_identifier(name), "{name}");
        }
    }
}
