//! Lays out the [`Descriptor`] of an object as the target's C compiler would.
//!
//! Offsets are taken from the structures of `brolga-abi` as this compiler sees them; all targets have
//! 64-bit pointers and the same alignments, so they hold there too. Bytes are in the target's order.

use std::mem::{align_of, offset_of, size_of};

use brolga_abi::descriptor::{
    Descriptor, InitialProgram, MAGIC, MapDescriptor, NO_OWNER, ProgramDescriptor, VariableDescriptor,
    abi_hash,
};
use cranelift_codegen::ir::Endianness;
use cranelift_module::{DataDescription, DataId, Module};

use super::link::Placed;
use crate::diag::CompileError;
use crate::program::MapDef;

// Every target has 64-bit pointers; the machine on which the compiler runs must agree.
const _: () = assert!(size_of::<*const u8>() == 8, "descriptors are laid out with 64-bit pointers");

/// What a descriptor says of a program.
#[derive(Clone, Debug)]
pub struct ProgramFacts {
    /// Name.
    pub name: String,
    /// Section.
    pub section: String,
    /// Its kind's number in the table.
    pub kind: u32,
    /// Bytes of its buffer, where its kind is `raw_memory`.
    pub raw_memory_len: u32,
    /// Hash of its bytecode.
    pub bytecode_hash: u64,
}

/// What a descriptor says of a map beyond its definition.
#[derive(Clone, Debug)]
pub struct MapFacts {
    /// The kind of the programs that tail-call through it, where there is one.
    pub owner_kind: Option<u32>,
    /// Whether code may hold its values as constants.
    pub folded: bool,
    /// Entries of a `prog_array` that are set at first: index and index of the program.
    pub initial_programs: Vec<(u32, u32)>,
}

/// Everything that a descriptor says.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// The module's name.
    pub name: &'a str,
    /// The licence.
    pub license: &'a str,
    /// The verifier's version.
    pub verifier: &'a str,
    /// The maps.
    pub maps: &'a [MapDef],
    /// One for each of `maps`.
    pub map_facts: &'a [MapFacts],
    /// The programs.
    pub programs: &'a [ProgramFacts],
}

/// Defines the descriptor's symbol. `placed` tells where the programs are.
///
/// # Errors
///
/// More maps, programs or bytes than the descriptor can tell of.
pub fn define(
    module: &mut dyn Module,
    symbol: DataId,
    contents: &Contents<'_>,
    placed: &[Placed],
) -> Result<(), CompileError> {
    let endianness = match module.isa().endianness() {
        Endianness::Little => crate::isa::Endianness::Little,
        Endianness::Big => crate::isa::Endianness::Big,
    };
    let mut image = Image { bytes: Vec::new(), endianness, pointers: Vec::new(), functions: Vec::new() };
    image.descriptor(contents)?;
    let mut data = DataDescription::new();
    data.set_align(16);
    let own = module.declare_data_in_data(symbol, &mut data);
    for (at, target) in &image.pointers {
        data.write_data_addr(number(*at)?, own, i64::from(number(*target)?));
    }
    for (at, function) in &image.functions {
        let id = match function {
            Function::Entry(program) => placed[*program].entry,
            Function::Body(program) => placed[*program].body,
        };
        let function = module.declare_func_in_data(id, &mut data);
        data.write_function_addr(number(*at)?, function);
    }
    data.define(image.bytes.into_boxed_slice());
    module.define_data(symbol, &data).map_err(|error| CompileError::Internal {
        function: "descriptor".to_owned(),
        message: error.to_string(),
    })
}

enum Function {
    Entry(usize),
    Body(usize),
}

/// Bytes to be, and where addresses go in them.
struct Image {
    bytes: Vec<u8>,
    endianness: crate::isa::Endianness,
    /// Where a pointer is, and what it points to, both as offsets.
    pointers: Vec<(usize, usize)>,
    functions: Vec<(usize, Function)>,
}

impl Image {
    fn descriptor(&mut self, contents: &Contents<'_>) -> Result<(), CompileError> {
        let at = self.reserve::<Descriptor>(1);
        self.u64(at + offset_of!(Descriptor, magic), MAGIC);
        self.u64(at + offset_of!(Descriptor, abi_hash), abi_hash());
        self.u32(at + offset_of!(Descriptor, size), number(size_of::<Descriptor>())?);
        self.u32(at + offset_of!(Descriptor, map_count), number(contents.maps.len())?);
        self.u32(at + offset_of!(Descriptor, program_count), number(contents.programs.len())?);
        let maps = self.reserve::<MapDescriptor>(contents.maps.len());
        self.point(at + offset_of!(Descriptor, maps), maps);
        let programs = self.reserve::<ProgramDescriptor>(contents.programs.len());
        self.point(at + offset_of!(Descriptor, programs), programs);
        self.text(at + offset_of!(Descriptor, name), contents.name);
        self.text(at + offset_of!(Descriptor, verifier), contents.verifier);
        self.text(at + offset_of!(Descriptor, license), contents.license);
        for (index, (map, facts)) in contents.maps.iter().zip(contents.map_facts).enumerate() {
            self.map(maps + index * size_of::<MapDescriptor>(), map, facts)?;
        }
        for (index, program) in contents.programs.iter().enumerate() {
            self.program(programs + index * size_of::<ProgramDescriptor>(), index, program);
        }
        Ok(())
    }

    fn map(&mut self, at: usize, map: &MapDef, facts: &MapFacts) -> Result<(), CompileError> {
        self.text(at + offset_of!(MapDescriptor, name), &map.name);
        self.u32(at + offset_of!(MapDescriptor, kind), map.kind.number());
        self.u32(at + offset_of!(MapDescriptor, key_size), map.key_size);
        self.u32(at + offset_of!(MapDescriptor, value_size), map.value_size);
        self.u32(at + offset_of!(MapDescriptor, max_entries), map.max_entries);
        self.u32(at + offset_of!(MapDescriptor, flags), map.flags);
        self.u32(at + offset_of!(MapDescriptor, folded), u32::from(facts.folded));
        self.u32(at + offset_of!(MapDescriptor, owner_kind), facts.owner_kind.unwrap_or(NO_OWNER));
        if let Some(global) = &map.global {
            if global.initial.iter().any(|byte| *byte != 0) {
                self.u32(at + offset_of!(MapDescriptor, initial_len), number(global.initial.len())?);
                let initial = self.align(16);
                self.bytes.extend_from_slice(&global.initial);
                self.point(at + offset_of!(MapDescriptor, initial), initial);
            }
            let first = self.reserve::<VariableDescriptor>(global.variables.len());
            self.list(
                at + offset_of!(MapDescriptor, variables),
                at + offset_of!(MapDescriptor, variables_len),
                first,
                global.variables.len(),
            );
            for (index, variable) in global.variables.iter().enumerate() {
                let at = first + index * size_of::<VariableDescriptor>();
                self.text(at + offset_of!(VariableDescriptor, name), &variable.name);
                self.u32(at + offset_of!(VariableDescriptor, offset), variable.offset);
                self.u32(at + offset_of!(VariableDescriptor, size), variable.size);
            }
        }
        let first = self.reserve::<InitialProgram>(facts.initial_programs.len());
        self.list(
            at + offset_of!(MapDescriptor, initial_programs),
            at + offset_of!(MapDescriptor, initial_programs_len),
            first,
            facts.initial_programs.len(),
        );
        for (index, (slot, program)) in facts.initial_programs.iter().enumerate() {
            let at = first + index * size_of::<InitialProgram>();
            self.u32(at + offset_of!(InitialProgram, index), *slot);
            self.u32(at + offset_of!(InitialProgram, program), *program);
        }
        Ok(())
    }

    fn program(&mut self, at: usize, index: usize, program: &ProgramFacts) {
        self.text(at + offset_of!(ProgramDescriptor, name), &program.name);
        self.text(at + offset_of!(ProgramDescriptor, section), &program.section);
        self.u32(at + offset_of!(ProgramDescriptor, kind), program.kind);
        self.u32(at + offset_of!(ProgramDescriptor, raw_memory_len), program.raw_memory_len);
        self.functions.push((at + offset_of!(ProgramDescriptor, entry), Function::Entry(index)));
        self.functions.push((at + offset_of!(ProgramDescriptor, body), Function::Body(index)));
        self.u64(at + offset_of!(ProgramDescriptor, bytecode_hash), program.bytecode_hash);
    }

    fn align(&mut self, to: usize) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self.bytes.len()
    }

    /// Zeroed room for structures, aligned for them.
    fn reserve<T>(&mut self, count: usize) -> usize {
        let at = self.align(align_of::<T>());
        self.bytes.resize(at + count * size_of::<T>(), 0);
        at
    }

    fn u32(&mut self, at: usize, value: u32) {
        let bytes = match self.endianness {
            crate::isa::Endianness::Little => value.to_le_bytes(),
            crate::isa::Endianness::Big => value.to_be_bytes(),
        };
        self.bytes[at..at + 4].copy_from_slice(&bytes);
    }

    fn u64(&mut self, at: usize, value: u64) {
        let bytes = match self.endianness {
            crate::isa::Endianness::Little => value.to_le_bytes(),
            crate::isa::Endianness::Big => value.to_be_bytes(),
        };
        self.bytes[at..at + 8].copy_from_slice(&bytes);
    }

    fn point(&mut self, at: usize, target: usize) {
        self.pointers.push((at, target));
    }

    /// A pointer to a list and the list's length; null where it is empty.
    fn list(&mut self, pointer: usize, len: usize, first: usize, count: usize) {
        if count > 0 {
            self.point(pointer, first);
            self.u64(len, count as u64);
        }
    }

    /// A pointer to a NUL-terminated text, which ends at a NUL of its own if it has one.
    fn text(&mut self, at: usize, text: &str) {
        let start = self.bytes.len();
        self.bytes.extend(text.bytes().take_while(|byte| *byte != 0));
        self.bytes.push(0);
        self.point(at, start);
    }
}

fn number(value: usize) -> Result<u32, CompileError> {
    u32::try_from(value).map_err(|_| CompileError::Module {
        message: format!("a descriptor of {value} bytes or items is too large"),
    })
}
