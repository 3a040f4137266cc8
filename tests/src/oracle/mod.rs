//! The oracle: an interpreter of the whole instruction set that checks every step.
//!
//! It shares the instructions' names with the rest and none of their meaning: arithmetic, memory,
//! maps and helpers are written here from RFC 9669 and from Linux's behaviour. A verified program
//! that makes it [`Fault`] is a bug of the verifier; a different result is a bug of the lowering, the
//! runtime, or of this module. It never compiles, and it never trusts.

pub mod alu;
pub mod exec;
pub mod fault;
pub mod helpers;
pub mod host;
pub mod maps;
pub mod memory;
mod stepper;

use brolga_abi::{NativeKind, ProgramKind};
use brolga_compiler::isa::{Endianness, InsnIdx};
use brolga_compiler::program::Program;

pub use fault::{Cause, Fault};
use maps::Map;
use memory::{ByteOrder, Memory, Packet, RegionId, What};
pub use stepper::{Place, Stepper};

use crate::engines::{Input, Module, Output};

/// Bytes before the packet: Linux's `XDP_PACKET_HEADROOM`.
pub const HEADROOM: usize = 256;
/// Bytes at the start of the headroom that no program may use: `struct xdp_frame`.
pub const XDP_FRAME: usize = 40;
/// Bytes of the buffer that may hold packet: a page less `struct skb_shared_info`.
pub const XDP_ROOM: usize = 4096 - 320;
const ETH_HLEN: usize = 14;
/// Instructions that one run may execute.
pub const FUEL: u64 = 50_000_000;

/// What the clock, the random numbers and the CPU are: fixed, so that runs repeat.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// What `bpf_ktime_get_ns` returns first; each call adds one.
    pub time: u64,
    /// Seed of `bpf_get_prandom_u32`.
    pub random: u64,
    /// The CPU slot on which programs run.
    pub cpu: u32,
    /// How many CPU slots there are.
    pub cpus: u32,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { time: 1_000_000_000, random: 1, cpu: 0, cpus: 2 }
    }
}

/// Programs, their maps and all memory.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(crate) programs: Vec<Program>,
    pub(crate) maps: Vec<Map>,
    pub(crate) memory: Memory,
    pub(crate) hooks: Hooks,
    /// Functions of the host by name.
    pub hosts: Vec<(&'static str, host::HostCode)>,
    /// The context of the current run.
    pub(crate) context: Option<RegionId>,
    /// Instructions that a run may execute.
    pub fuel: u64,
    /// Whether results that depend on such bytes are failures; the engine looks at it.
    pub strict: bool,
    /// Stack bytes that were read before they were written, over all runs.
    pub uninitialised_reads: u64,
}

impl Machine {
    /// A machine for the programs of a module; nothing was run yet.
    #[must_use]
    pub fn new(module: &Module, hooks: Hooks) -> Self {
        let mut memory = Memory::default();
        let maps = module.maps.iter().enumerate();
        let mut maps: Vec<_> =
            maps.map(|(i, def)| Map::new(def, i, hooks.cpus as usize, &mut memory)).collect();
        for map in &mut maps {
            for (index, name) in &map.def.initial_programs {
                if let Some(target) = module.programs.iter().position(|p| p.name == *name) {
                    map.programs.insert(*index, target);
                }
            }
        }
        Self {
            programs: module.programs.clone(),
            maps,
            memory,
            hooks,
            hosts: Vec::new(),
            context: None,
            fuel: FUEL,
            strict: false,
            uninitialised_reads: 0,
        }
    }

    /// Runs a program from its first instruction.
    pub fn run(&mut self, program: usize, input: &Input) -> Result<Output, Fault> {
        let Some(kind) = self.programs[program].kind.and_then(ProgramKind::native) else {
            let cause = Cause::Unsupported("programs of this kind".to_owned());
            return Err(Fault { program: self.programs[program].name.clone(), at: InsnIdx(0), cause });
        };
        self.set_order(program);
        let (region, r1, r2) = self.enter(kind, &input.data);
        let result = exec::run(self, program, r1, r2);
        let (data, meta) = match kind {
            NativeKind::Xdp => {
                let p = &self.memory.packet;
                (p.bytes[p.data..p.end].to_vec(), p.bytes[p.meta..p.data].to_vec())
            }
            NativeKind::SocketFilter => (input.data.clone(), Vec::new()),
            NativeKind::RawMemory => (self.memory.bytes(region).to_vec(), Vec::new()),
        };
        self.memory.release(region);
        self.end_run();
        result.map(|ret| Output { ret, data, meta })
    }

    fn set_order(&mut self, program: usize) {
        self.memory.order = match self.programs[program].endianness {
            Endianness::Little => ByteOrder::Little,
            Endianness::Big => ByteOrder::Big,
        };
    }

    fn end_run(&mut self) {
        self.memory.end_run();
        self.memory.packet = Packet::default();
        self.context = None;
        self.uninitialised_reads += std::mem::take(&mut self.memory.uninitialised_reads);
    }

    /// How many maps there are.
    #[must_use]
    pub fn maps(&self) -> usize {
        self.maps.len()
    }

    /// The map with an index, and memory to work on it.
    pub fn map(&mut self, index: usize) -> (&mut Map, &mut Memory) {
        (&mut self.maps[index], &mut self.memory)
    }

    /// Lays out what a program of a kind finds in `r1` and `r2`.
    fn enter(&mut self, kind: NativeKind, data: &[u8]) -> (RegionId, u64, Option<u64>) {
        match kind {
            NativeKind::Xdp => {
                let end = HEADROOM + data.len();
                let mut bytes = vec![0; end.max(XDP_ROOM)];
                bytes[HEADROOM..end].copy_from_slice(data);
                self.memory.packet = Packet {
                    bytes,
                    meta: HEADROOM,
                    data: HEADROOM,
                    end,
                    first: XDP_FRAME,
                    ..Packet::default()
                };
                let region = self.memory.add(What::Context, vec![0; 24], false);
                self.context = Some(region);
                self.refresh_xdp_md();
                // The packet arrived on interface 1, as under BPF_PROG_TEST_RUN (the loopback's).
                self.memory.bytes_mut(region)[12..16].copy_from_slice(&1u32.to_le_bytes());
                (region, self.memory.address(region, 0), None)
            }
            NativeKind::SocketFilter => {
                let header = ETH_HLEN.min(data.len());
                let region = self.memory.add(What::Context, sk_buff(data, header), true);
                // Only `cb` may be written.
                self.memory.restrict_writes(region, 48..68);
                self.context = Some(region);
                self.memory.packet =
                    Packet { bytes: data.to_vec(), data: header, end: data.len(), ..Packet::default() };
                (region, self.memory.address(region, 0), None)
            }
            NativeKind::RawMemory => {
                let region = self.memory.add(What::Raw, data.to_vec(), true);
                (region, self.memory.address(region, 0), Some(data.len() as u64))
            }
        }
    }

    /// Writes the packet's current addresses into `struct xdp_md`.
    pub(crate) fn refresh_xdp_md(&mut self) {
        let Some(region) = self.context else { return };
        let p = &self.memory.packet;
        let fields = [p.address(p.data), p.address(p.end), p.address(p.meta)];
        for (at, field) in fields.into_iter().enumerate() {
            let word = u32::try_from(field).expect("packet addresses have 32 bits");
            self.memory.bytes_mut(region)[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// `struct __sk_buff` of a received frame whose Ethernet header was taken off.
fn sk_buff(frame: &[u8], header: usize) -> Vec<u8> {
    let mut context = vec![0; 192];
    let mut set = |offset: usize, value: u32| {
        context[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    };
    set(0, (frame.len() - header) as u32);
    let pkt_type = match frame.get(..6) {
        Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => 1,
        Some([first, ..]) if first & 1 == 1 => 2,
        Some(_) | None => 0,
    };
    set(4, pkt_type);
    if let Some([high, low]) = frame.get(12..14) {
        // Below 0x600 it is a length, and the protocol is ETH_P_802_2.
        set(16, if *high < 6 { 0x0400 } else { u32::from(u16::from_le_bytes([*high, *low])) });
    }
    set(40, 1);
    context
}
