//! The verifier's input: linked programs, their maps and where they came from.
//!
//! A [`Program`] stands alone: its main function comes first, then every subprogram that it
//! reaches, as libbpf appends them. Jumps and calls are relative within [`Program::insns`], maps
//! are [`crate::isa::Imm64::MapIdx`] into [`Program::maps`]. Nothing here was verified.
//!
//! What Brolga does not support in one program or one map does not keep the others of the object
//! from running: a map may be of a kind that cannot be made ([`MapType::Unsupported`]), and a
//! program may carry findings of its own ([`Program::findings`]), which the verifier reports.

mod body;
mod budget;
mod core;
mod error;
mod externs;
mod globals;
mod gnu;
mod lines;
mod link;
mod load;
mod maps;
mod relocs;
mod signature;
mod sizes;
mod source;
mod tail_calls;
mod target;

use std::sync::Arc;

use brolga_abi::kinds::Traits;
use brolga_abi::maps::{LinuxMapKind, linux_map_kind};
use brolga_abi::{AttachType, MapKind, ProgramKind};

use crate::btf::{Btf, TypeId};
use crate::diag::Diagnostic;
use crate::isa::{Endianness, Insn, InsnIdx};

pub use core::{CoreRelocation, CoreRelocations, POISON};
pub use error::{Fault, LoadError, Place, Problem};
pub use externs::{
    ConfigType, Extern, ExternKind, HostAccess, HostFunction, HostFunctionError, HostParam, HostScalar,
    Missing, POISON_CALL, Resolution,
};
pub use lines::{Lines, SourceLine};
pub use load::{LoadOptions, load};
pub use tail_calls::{MixedKinds, prog_array_owner};
pub use target::{Kernel, KernelConfig, KernelSymbols, KernelTypes, KernelVersion, Target};

/// Index of a map in [`Object::maps`] and [`Program::maps`] (the same table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(pub u32);

impl MapId {
    /// As an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a subprogram in [`Program::subprogs`]. 0 is the main function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubprogId(pub u32);

impl SubprogId {
    /// The main function.
    pub const MAIN: Self = Self(0);

    /// As an index into a slice.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What kind of map a definition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapType {
    /// A kind that the runtime makes.
    Known(MapKind),
    /// A number of `enum bpf_map_type` that the runtime cannot make: an instance leaves the map out. Programs
    /// that refer to it are verified at most where Linux has such maps, and carry a finding where it has none.
    Unsupported(u32),
}

impl MapType {
    /// The type with a number of `enum bpf_map_type`.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        MapKind::from_number(number).map_or(Self::Unsupported(number), Self::Known)
    }

    /// The number in `enum bpf_map_type`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Known(kind) => kind.info().number,
            Self::Unsupported(number) => number,
        }
    }

    /// What Linux has under the number, if anything.
    #[must_use]
    pub fn linux(self) -> Option<&'static LinuxMapKind> {
        linux_map_kind(self.number())
    }

    /// The kind, if Brolga can make it.
    #[must_use]
    pub fn known(self) -> Option<MapKind> {
        match self {
            Self::Known(kind) => Some(kind),
            Self::Unsupported(_) => None,
        }
    }
}

impl From<MapKind> for MapType {
    fn from(kind: MapKind) -> Self {
        Self::Known(kind)
    }
}

impl std::fmt::Display for MapType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.linux() {
            Some(kind) => f.write_str(kind.name),
            None if self.number() == 0 => f.write_str("unspec"),
            None => write!(f, "map type {}", self.number()),
        }
    }
}

/// A map as the object defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// Name: the symbol's, or the section's for global data (`.rodata`).
    pub name: String,
    /// Kind.
    pub kind: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements at a time.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// `map_extra`: what it means is the kind's, such as a Bloom filter's number of hash functions
    /// or an arena's address.
    pub extra: u64,
    /// The node on which Linux places the map, where `flags` have `BPF_F_NUMA_NODE`.
    pub numa_node: u32,
    /// Whether libbpf makes the map when it loads the object: not those of sections such as
    /// `?.struct_ops`.
    pub autocreate: bool,
    /// What the map holds where it is global data.
    pub global: Option<GlobalData>,
    /// What an arena holds at first: the section `.addr_space.1`.
    pub arena: Option<ArenaData>,
    /// `struct_ops`: the structure that the map hands to the kernel.
    pub struct_ops: Option<StructOps>,
    /// Maps of maps: what the maps in it are like, where the source says so.
    pub inner: Option<Box<MapDef>>,
    /// Maps of maps: elements that the source initialises, as (key, map).
    pub initial_maps: Vec<(u32, MapId)>,
    /// `prog_array`: entries that the source initialises, as (index, program name).
    pub initial_programs: Vec<(u32, String)>,
    /// `LIBBPF_PIN_BY_NAME`: the map is meant to be shared under its name. Recorded only.
    pub pinned: bool,
    /// Type of a key in the object's BTF, where the definition names it.
    pub key_type: Option<TypeId>,
    /// Type of a value in the object's BTF, where the definition names it.
    pub value_type: Option<TypeId>,
}

impl MapDef {
    /// A map without flags, types or initial content.
    #[must_use]
    pub fn new(
        name: &str,
        kind: impl Into<MapType>,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    ) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.into(),
            key_size,
            value_size,
            max_entries,
            flags: 0,
            extra: 0,
            numa_node: 0,
            autocreate: true,
            global: None,
            arena: None,
            struct_ops: None,
            inner: None,
            initial_maps: Vec::new(),
            initial_programs: Vec::new(),
            pinned: false,
            key_type: None,
            value_type: None,
        }
    }
}

/// Global data: an array map of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalData {
    /// The value's initial bytes; as long as the value.
    pub initial: Arc<[u8]>,
    /// Whether it is frozen and read-only (`.rodata`): loads from it are constants.
    pub readonly: bool,
    /// Variables by name, sorted by offset, as symbols and BTF tell.
    pub variables: Vec<Variable>,
}

/// Variables in an arena. libbpf puts them into its first pages, for later kernels into its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArenaData {
    /// Byte offset of the section in the arena.
    pub offset: u64,
    /// Its initial bytes.
    pub initial: Arc<[u8]>,
    /// Variables by name, sorted by offset in the section.
    pub variables: Vec<Variable>,
}

/// A structure of callbacks and values that a `struct_ops` map hands to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructOps {
    /// The structure in the object's BTF.
    pub ty: TypeId,
    /// Its name without flavour: `tcp_congestion_ops`.
    pub name: String,
    /// Its bytes; zero where programs go.
    pub initial: Arc<[u8]>,
    /// Members that are programs, sorted by offset.
    pub programs: Vec<StructOpsProgram>,
    /// What the kernel makes of it.
    pub kernel: StructOpsKernel,
}

/// A member of a `struct_ops` structure that is a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructOpsProgram {
    /// The member's name.
    pub member: String,
    /// Byte offset in the object's structure.
    pub offset: u32,
    /// The program's name.
    pub program: String,
}

/// A `struct_ops` structure as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StructOpsKernel {
    /// The object is loaded for no kernel.
    None,
    /// The kernel's value, of [`MapDef::value_size`] bytes.
    Known {
        /// The module that has the type; `None` for the kernel itself.
        module: Option<String>,
        /// The structure in the kernel's BTF.
        ty: TypeId,
        /// `struct bpf_struct_ops_…`, the map's value.
        value_type: TypeId,
        /// The value's bytes; zero where programs go.
        value: Arc<[u8]>,
        /// Byte offsets in the value and indices of the members of [`StructOps::programs`].
        programs: Vec<(u32, u32)>,
    },
    /// The kernel has no such structure, or another one: why libbpf would refuse the object.
    Refused(String),
}

/// The member of a `struct_ops` structure that a program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructOpsSlot {
    /// The structure's name without flavour: `tcp_congestion_ops`.
    pub ops: String,
    /// The member's name.
    pub member: String,
    /// The structure's type and the member's index in the kernel's BTF, where the object is loaded
    /// for a kernel: what libbpf hands over as `attach_btf_id` and `expected_attach_type`.
    pub kernel: Option<(TypeId, u32)>,
}

/// A variable in global data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Byte offset in the section.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Type in the object's BTF, where it says.
    pub ty: Option<TypeId>,
}

/// A function of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subprog {
    /// Name; `main` has the program's.
    pub name: String,
    /// First instruction. The function ends where the next one starts.
    pub start: InsnIdx,
    /// Whether it has global linkage: Linux verifies such functions apart from their callers.
    pub global: bool,
    /// What BTF says of its parameters; looked at for global functions only.
    pub params: Vec<Param>,
    /// Whether BTF says that it returns a scalar; looked at for global functions only.
    pub returns_scalar: bool,
}

impl Subprog {
    /// A static function, of which no more is known than where it starts.
    #[must_use]
    pub fn new(name: impl Into<String>, start: InsnIdx) -> Self {
        Self { name: name.into(), start, global: false, params: Vec::new(), returns_scalar: true }
    }
}

/// What a parameter of a global function is, as Linux reads it from BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Param {
    /// An integer or an enumeration.
    Scalar,
    /// A pointer to the kind's context structure, or one tagged `arg:ctx`.
    Context,
    /// A pointer to a type of known size.
    Memory {
        /// Bytes of the pointee.
        size: u32,
        /// Whether it is tagged `arg:nonnull`; without the tag null may be passed.
        nonnull: bool,
    },
    /// A pointer to a `struct bpf_dynptr`, which the function does not change.
    Dynptr,
    /// A pointer to a kernel structure, tagged `arg:trusted`.
    Trusted {
        /// The structure in the object's BTF.
        ty: TypeId,
        /// Whether it is also tagged `arg:nullable`.
        nullable: bool,
    },
    /// A pointer into an arena, or a number, tagged `arg:arena`.
    Arena,
    /// A pointer to anything, tagged `arg:untrusted`: it is read with care.
    Untrusted {
        /// The structure in the object's BTF; `None` for numbers.
        ty: Option<TypeId>,
    },
    /// Something that cannot be verified apart, or BTF does not tell.
    Unknown,
}

/// One program: what is verified, compiled and run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of the function.
    pub name: String,
    /// ELF section, without the `?` that keeps libbpf from loading a program by default; empty for
    /// programs that did not come from an object.
    pub section: String,
    /// Whether libbpf loads it by default: its section does not begin with `?`.
    pub autoload: bool,
    /// Kind. `None` where the section's name does not say it; such a program has a finding.
    pub kind: Option<ProgramKind>,
    /// Where it is attached, if the section's name says so (`expected_attach_type`).
    pub attach: Option<AttachType>,
    /// What else the section's name says: whether the program may sleep, takes packets in parts, and so on.
    pub traits: Traits,
    /// What it is attached to, as the section's name says after the slash: `vfs_read` of `fentry/vfs_read`.
    pub target: Option<String>,
    /// All instructions: the main function, then subprograms.
    pub insns: Vec<Insn>,
    /// Functions by start; the first starts at 0. Programs that did not come from an object may
    /// list only the main function: [`Program::from_insns`] finds the others by their calls.
    pub subprogs: Vec<Subprog>,
    /// The function that handles exceptions (`__exception_cb`): appended although nothing calls it.
    pub exception_callback: Option<SubprogId>,
    /// The object's maps.
    pub maps: Arc<[MapDef]>,
    /// CO-RE relocations and what they resolved to.
    pub core: CoreRelocations,
    /// The member of a `struct_ops` structure that the program is, where a map says so.
    pub struct_ops: Option<StructOpsSlot>,
    /// The object's externs.
    pub externs: Arc<[Extern]>,
    /// Modules of [`Program::kernel`] to which calls and addresses refer, by index in
    /// [`Kernel::modules`]. An instruction counts them from 1; 0 is the kernel itself.
    pub modules: Arc<[u32]>,
    /// Functions of the host that it may call: [`CallTarget::HOST`](crate::isa::CallTarget::HOST)
    /// marks the calls.
    pub host_functions: Arc<[HostFunction]>,
    /// Source lines, sorted by instruction; may be empty.
    pub lines: Lines,
    /// Byte order of memory as its instructions see it.
    pub endianness: Endianness,
    /// Whether the object's licence is GPL-compatible.
    pub gpl_compatible: bool,
    /// `raw_memory` programs: bytes of the buffer that `r1` points to.
    pub raw_memory_len: u32,
    /// The object's own types, where it has any.
    pub btf: Option<Arc<Btf>>,
    /// The kernel's types for which the program was loaded.
    pub kernel: KernelTypes,
    /// What loading found that keeps the program from being verified: something unsupported, or
    /// bytes that are no instructions. The verifier refuses the program with exactly these.
    ///
    /// Where it is empty, [`Program::kind`] is known.
    pub findings: Vec<Diagnostic>,
}

/// A loaded object file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The licence, as its section `license` says; empty where there is none.
    pub license: String,
    /// All maps, in the order of their ids.
    pub maps: Arc<[MapDef]>,
    /// What the object declares and leaves to the kernel to define, in libbpf's order.
    pub externs: Arc<[Extern]>,
    /// Modules of the kernel that define some of the externs, by index in [`Kernel::modules`].
    pub modules: Arc<[u32]>,
    /// All programs in the order of sections and of addresses.
    pub programs: Vec<Program>,
    /// Byte order of the target for which the object was compiled.
    pub endianness: Endianness,
    /// The object's own types, where it has any.
    pub btf: Option<Arc<Btf>>,
}

impl Program {
    /// A program of bare instructions. Subprograms are found by the calls to them.
    #[must_use]
    pub fn from_insns(name: &str, kind: ProgramKind, insns: Vec<Insn>, maps: Arc<[MapDef]>) -> Self {
        use crate::isa::{CallTarget, Imm64};
        let mut starts = vec![InsnIdx(0)];
        for (at, insn) in (0u32..).map(InsnIdx).zip(&insns) {
            let target = match insn {
                Insn::Call(CallTarget::Subprog(off)) => at.jump(*off),
                Insn::LoadImm64 { imm: Imm64::Func(off), .. } => at.jump(*off),
                _ => None,
            };
            starts.extend(target.filter(|t| t.index() < insns.len()));
        }
        starts.sort_unstable();
        starts.dedup();
        let subprogs = (0..)
            .zip(starts)
            .map(|(i, start)| {
                Subprog::new(if i == 0 { name.to_owned() } else { format!("subprog_{i}") }, start)
            })
            .collect();
        Self {
            name: name.to_owned(),
            section: String::new(),
            autoload: true,
            kind: Some(kind),
            attach: None,
            traits: Traits::default(),
            target: None,
            insns,
            subprogs,
            exception_callback: None,
            maps,
            core: CoreRelocations::default(),
            struct_ops: None,
            externs: Arc::new([]),
            modules: Arc::new([]),
            host_functions: Arc::new([]),
            lines: Lines::default(),
            endianness: Endianness::Little,
            gpl_compatible: true,
            raw_memory_len: 0,
            btf: None,
            kernel: KernelTypes::Own,
            findings: Vec::new(),
        }
    }

    /// The function that holds an instruction.
    #[must_use]
    pub fn subprog_of(&self, at: InsnIdx) -> SubprogId {
        let after = self.subprogs.partition_point(|s| s.start <= at);
        SubprogId(u32::try_from(after.saturating_sub(1)).expect("fewer subprograms than instructions"))
    }

    /// Instructions of a function: from its start up to the next function's.
    #[must_use]
    pub fn subprog_range(&self, id: SubprogId) -> std::ops::Range<usize> {
        let start = self.subprogs[id.index()].start.index();
        let end = self.subprogs.get(id.index() + 1).map_or(self.insns.len(), |s| s.start.index());
        start..end
    }

    /// The source line of an instruction, where known.
    #[must_use]
    pub fn line_of(&self, at: InsnIdx) -> Option<SourceLine<'_>> {
        self.lines.of(at)
    }
}
