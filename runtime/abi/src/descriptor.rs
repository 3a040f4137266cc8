//! The descriptor: one symbol by which a compiled object says what it holds.
//!
//! The object exports `brolga_v1_descriptor_<name>`, a [`Descriptor`]. All pointers are relocated
//! by the linker; counts stand beside them. A loader checks `magic`, `abi_hash` and `size` first.

use core::ffi::c_char;

use crate::env::Entry;

/// The first eight bytes of a descriptor.
pub const MAGIC: u64 = u64::from_le_bytes(*b"brolga\x01\0");

/// What the symbol of a descriptor starts with; the module's name follows.
pub const DESCRIPTOR_PREFIX: &str = "brolga_v1_descriptor_";

/// A compiled module.
#[derive(Debug)]
#[repr(C)]
pub struct Descriptor {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`abi_hash`] of the tables with which the object was compiled.
    pub abi_hash: u64,
    /// Bytes of this structure.
    pub size: u32,
    /// Number of maps.
    pub map_count: u32,
    /// Number of programs.
    pub program_count: u32,
    /// Always 0.
    pub reserved: u32,
    /// The maps, global data among them.
    pub maps: *const MapDescriptor,
    /// The programs.
    pub programs: *const ProgramDescriptor,
    /// The module's name, NUL-terminated.
    pub name: *const c_char,
    /// The verifier's version that accepted the programs, NUL-terminated.
    pub verifier: *const c_char,
    /// The licence of the object, NUL-terminated.
    pub license: *const c_char,
}

/// A map of a compiled module.
#[derive(Debug)]
#[repr(C)]
pub struct MapDescriptor {
    /// The map's name, NUL-terminated.
    pub name: *const c_char,
    /// The number in Linux's `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements at a time.
    pub max_entries: u32,
    /// `BPF_F_*` flags.
    pub flags: u32,
    /// Bytes at `initial`; 0 where the map starts empty or zeroed.
    pub initial_len: u32,
    /// The first value's initial bytes (global data), or null.
    pub initial: *const u8,
    /// Whether the code holds values of `initial` as constants, so that it may not be changed.
    pub folded: u32,
    /// `prog_array`: the kind (a number of the table) of the module's programs that tail-call
    /// through it, or [`NO_OWNER`]. Only programs of this kind may be entries.
    pub owner_kind: u32,
    /// `prog_array`: entries set when the instance is made; `initial_programs_len` of them.
    pub initial_programs: *const InitialProgram,
    /// Number of `initial_programs`.
    pub initial_programs_len: u64,
    /// Global data: its variables, `variables_len` of them.
    pub variables: *const VariableDescriptor,
    /// Number of `variables`.
    pub variables_len: u64,
}

/// [`MapDescriptor::owner_kind`] where no program of the module uses the map for tail calls.
pub const NO_OWNER: u32 = u32::MAX;

/// A variable in global data.
#[derive(Debug)]
#[repr(C)]
pub struct VariableDescriptor {
    /// The variable's name, NUL-terminated.
    pub name: *const c_char,
    /// Byte offset in the value.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// An entry of a `prog_array` that the object's source initialises.
#[derive(Debug)]
#[repr(C)]
pub struct InitialProgram {
    /// Index in the array.
    pub index: u32,
    /// Index into [`Descriptor::programs`].
    pub program: u32,
}

/// A program of a compiled module.
#[derive(Debug)]
#[repr(C)]
pub struct ProgramDescriptor {
    /// The program's name, NUL-terminated.
    pub name: *const c_char,
    /// Its section, NUL-terminated.
    pub section: *const c_char,
    /// [`crate::ProgramKind`] as a number of the table.
    pub kind: u32,
    /// Bytes that a `raw_memory` program was verified for.
    pub raw_memory_len: u32,
    /// The entry to call.
    pub entry: Entry,
    /// The body for tail calls: `CallConv::Tail`, never called from Rust.
    pub body: *const core::ffi::c_void,
    /// Hash of the bytecode that was verified.
    pub bytecode_hash: u64,
}

// SAFETY: descriptors are immutable data of the linked object; nothing is ever written through them.
#[expect(unsafe_code, reason = "raw pointers to constant data of the object")]
unsafe impl Sync for Descriptor {}

/// A hash over the tables: objects compiled against other tables are refused.
#[must_use]
pub const fn abi_hash() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < crate::helpers::NATIVE_HELPERS.len() {
        let helper = crate::helpers::NATIVE_HELPERS[i];
        let row = helper.info();
        hash = fnv(hash, helper.symbol().as_bytes());
        hash = fnv(hash, &row.number.to_le_bytes());
        hash = fnv(hash, &[row.args.len() as u8]);
        i += 1;
    }
    i = 0;
    while i < crate::maps::MAP_KINDS.len() {
        hash = fnv(hash, &crate::maps::MAP_KINDS[i].number.to_le_bytes());
        i += 1;
    }
    i = 0;
    while i < crate::symbols::ROUTINES.len() {
        hash = fnv(hash, crate::symbols::ROUTINES[i].symbol.as_bytes());
        i += 1;
    }
    i = 0;
    while i < crate::kinds::PROGRAM_KINDS.len() {
        let row = &crate::kinds::PROGRAM_KINDS[i];
        i += 1;
        if !row.kind.runs() {
            continue;
        }
        hash = fnv(hash, row.name.as_bytes());
        hash = fnv(hash, &[row.kind as u8]);
        let mut f = 0;
        let fields = row.context.fields();
        while f < fields.len() {
            if let Some(native) = fields[f].native {
                hash = fnv(hash, &fields[f].offset.to_le_bytes());
                hash = fnv(hash, &native.offset.to_le_bytes());
            }
            f += 1;
        }
    }
    let sizes = [
        size_of::<crate::env::Env>(),
        size_of::<Descriptor>(),
        size_of::<MapDescriptor>(),
        size_of::<ProgramDescriptor>(),
    ];
    i = 0;
    while i < sizes.len() {
        hash = fnv(hash, &(sizes[i] as u64).to_le_bytes());
        i += 1;
    }
    hash
}

const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}
