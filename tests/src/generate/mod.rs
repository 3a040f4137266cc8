//! Random programs that a verifier accepts, more often than not.
//!
//! Every register that holds a scalar stays initialised, memory is touched within what was checked,
//! and loops count down. Equal seeds give equal programs on every machine. What the programs compute
//! is nobody's business: all engines must agree on it. Nothing whose result differs from run to run
//! (time, random numbers, addresses) reaches a result.

mod block;
pub mod loose;
pub mod mutate;
pub mod rng;
pub mod text;

use std::sync::Arc;

use brolga_abi::{MapKind, NativeKind};
use brolga_compiler::isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};
use brolga_compiler::program::{GlobalData, MapDef, MapId, Param, Program};

use crate::case::Element;
use crate::engines::{Input, Module};
use block::{Block, Region};
use rng::Rng;
use text::{Label, Text};

/// A program, its maps' first elements and what it runs on.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The program and its maps.
    pub module: Module,
    /// Elements to set before the run.
    pub elements: Vec<Element>,
    /// What it runs on.
    pub input: Input,
}

/// Bytes of packet or memory that a program may touch without looking again.
const CHECKED: u32 = 48;
/// Bytes of packet or memory.
const LENGTH: usize = 64;
/// Bytes of stack that hold scalars, from `r10` down; spilled pointers lie below.
const SCALARS: i16 = 64;

/// The maps of every generated program, by index.
pub const ARRAY: u32 = 0;
/// See [`ARRAY`].
pub const HASH: u32 = 1;
/// See [`ARRAY`].
pub const PERCPU_ARRAY: u32 = 2;
/// See [`ARRAY`].
pub const GLOBAL: u32 = 3;
/// See [`ARRAY`].
pub const PERCPU_HASH: u32 = 4;

/// The maps; the same for all programs.
#[must_use]
pub fn maps() -> Arc<[MapDef]> {
    let mut global = MapDef::new(".data", MapKind::Array, 4, 32, 1);
    let initial: Vec<u8> = (0..32).map(|i| i * 7 + 1).collect();
    global.global = Some(GlobalData { initial: initial.into(), readonly: false, variables: Vec::new() });
    [
        MapDef::new("array", MapKind::Array, 4, 16, 4),
        MapDef::new("hash", MapKind::Hash, 4, 16, 8),
        MapDef::new("percpu_array", MapKind::PerCpuArray, 4, 16, 2),
        global,
        MapDef::new("percpu_hash", MapKind::PerCpuHash, 4, 16, 8),
    ]
    .into()
}

/// What programs are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All instructions, on all engines.
    Results,
    /// Besides, what a verifier must think about: ranges, links, spills, joins, loops, callbacks, global functions.
    Proofs,
    /// Loops that end by themselves, in which what is relied on changes. Not for asking a kernel: Linux 6.18 reads memory
    /// that is not its verifier's when it judges some of them.
    Rounds,
}

/// The program of a seed.
#[must_use]
pub fn generate(seed: u64) -> Generated {
    generate_with(seed, Profile::Results)
}

/// The program of a seed and a profile.
#[must_use]
pub fn generate_with(seed: u64, profile: Profile) -> Generated {
    let mut rng = Rng::new(seed);
    let kind = if rng.one_in(3) { NativeKind::RawMemory } else { NativeKind::Xdp };
    let mut data = vec![0; LENGTH];
    for chunk in data.chunks_mut(8) {
        chunk.copy_from_slice(&rng.value().to_le_bytes()[..chunk.len()]);
    }
    let mut elements = Vec::new();
    for key in 0..rng.below(6) {
        let value = [rng.value().to_le_bytes(), rng.value().to_le_bytes()].concat();
        elements.push((MapId(HASH), key.to_le_bytes().to_vec(), vec![value]));
    }
    let mut text = Text::default();
    let mut subprogs = Vec::new();
    let manner = (profile, profile != Profile::Results && rng.one_in(4));
    main(&mut rng, &mut text, kind, manner, &mut subprogs);
    // Subprograms may call those that come after them; each call makes a new one while it is cheap.
    let mut at = 0;
    while at < subprogs.len() {
        let subprog = subprogs[at];
        at += 1;
        body(&mut rng, &mut text, subprog, manner, &mut subprogs);
    }
    let globals: Vec<_> = subprogs.iter().filter(|s| s.kind == SubprogKind::Global).collect();
    let starts: Vec<_> = globals.iter().filter_map(|s| text.slot_of(s.start)).collect();
    let mut program =
        Program::from_insns(&format!("seed_{seed}"), kind.program_kind(), text.finish(), maps());
    for subprog in program.subprogs.iter_mut().filter(|s| starts.contains(&s.start.index())) {
        subprog.global = true;
        subprog.params = vec![Param::Memory { size: 16, nonnull: false }, Param::Scalar];
    }
    program.raw_memory_len = LENGTH as u32;
    Generated { module: Module::single(program), elements, input: Input { data } }
}

/// A subprogram that is called and not yet written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subprog {
    start: Label,
    /// Whether `r1` points to 16 bytes of the caller's stack.
    pointer: bool,
    depth: u32,
    kind: SubprogKind,
}

/// What a subprogram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubprogKind {
    /// It does things and returns something.
    Static,
    /// It returns an offset.
    Index,
    /// A helper calls it with a round and a pointer.
    Callback,
    /// It uses an offset that is in its caller's stack.
    Reader,
    /// It writes an offset into its caller's stack.
    Writer,
    /// A helper calls it; it counts in its caller's stack.
    Counter,
    /// A helper calls it; it is one round of a loop.
    Rounds,
    /// It is verified apart.
    Global,
}

/// The main function: checks its packet, sets up its registers, does things, and mixes what came of
/// them into `r0`.
fn main(
    rng: &mut Rng,
    text: &mut Text,
    kind: NativeKind,
    (profile, daring): (Profile, bool),
    subprogs: &mut Vec<Subprog>,
) {
    let out = text.label();
    text.mov(Reg::R6, Reg::R1);
    init_stack(rng, text);
    let region = match kind {
        NativeKind::Xdp => {
            text.mov_imm(Reg::R0, 1);
            reload_packet(text, out);
            Region { base: Reg::R7, len: CHECKED, aligned: false, end: Some(Reg::R8), out }
        }
        NativeKind::RawMemory | NativeKind::SocketFilter => {
            Region { base: Reg::R6, len: LENGTH as u32, aligned: false, end: None, out }
        }
    };
    let scalars: Vec<Reg> = match kind {
        NativeKind::Xdp => vec![Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5],
        NativeKind::RawMemory | NativeKind::SocketFilter => {
            vec![Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R7, Reg::R8]
        }
    };
    let mut block = Block {
        rng,
        text,
        scalars,
        region: Some(region),
        kind,
        subprogs,
        depth: 0,
        loops: 0,
        profile,
        daring,
    };
    block.init_scalars();
    let statements = match profile {
        Profile::Results => 4 + block.rng.below(24),
        Profile::Proofs => 1 + block.rng.below(6),
        Profile::Rounds => 1,
    };
    for _ in 0..statements {
        block.statement(0);
    }
    if profile == Profile::Rounds {
        block.rounds();
    }
    if profile == Profile::Results {
        block.mix();
    }
    text.place(out);
    text.push(Insn::Exit);
}

fn body(
    rng: &mut Rng,
    text: &mut Text,
    subprog: Subprog,
    (profile, daring): (Profile, bool),
    subprogs: &mut Vec<Subprog>,
) {
    text.place(subprog.start);
    let out = text.label();
    match subprog.kind {
        SubprogKind::Static | SubprogKind::Index | SubprogKind::Reader | SubprogKind::Writer => {}
        SubprogKind::Callback | SubprogKind::Counter | SubprogKind::Rounds => text.mov(Reg::R1, Reg::R2),
        SubprogKind::Global => {
            text.mov_imm(Reg::R0, 0);
            text.branch(Cond::Eq, Width::W64, Reg::R1, Operand::Imm(0), out);
        }
    }
    let region = subprog.pointer.then(|| {
        text.mov(Reg::R6, Reg::R1);
        text.mov_imm(Reg::R1, 17);
        Region { base: Reg::R6, len: 16, aligned: true, end: None, out }
    });
    init_stack(rng, text);
    for reg in [Reg::R0, Reg::R7, Reg::R8] {
        text.mov_imm(reg, rng.imm());
    }
    let scalars = vec![Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R7, Reg::R8];
    let kind = NativeKind::RawMemory;
    let depth = subprog.depth;
    let mut block = Block { rng, text, scalars, region, kind, subprogs, depth, loops: 0, profile, daring };
    match (subprog.kind, profile) {
        (SubprogKind::Index, _) => block.index_body(),
        (SubprogKind::Reader, _) => block.reader_body(),
        (SubprogKind::Writer, _) => block.writer_body(),
        (SubprogKind::Counter, _) => block.counter_body(),
        (SubprogKind::Rounds, _) => block.rounds_body(),
        (_, Profile::Results) => {
            for _ in 0..2 + block.rng.below(6) {
                block.statement(1);
            }
            block.mix();
        }
        (_, Profile::Proofs | Profile::Rounds) => {
            block.after_call();
            for _ in 0..1 + block.rng.below(3) {
                block.statement(1);
            }
        }
    }
    if subprog.kind == SubprogKind::Callback {
        block.text.alu(AluOp::And, Reg::R0, Operand::Imm(1));
    }
    text.place(out);
    text.push(Insn::Exit);
}

fn init_stack(rng: &mut Rng, text: &mut Text) {
    for slot in 1..=SCALARS / 8 {
        text.store(Size::DW, Reg::R10, -8 * slot, Operand::Imm(rng.imm()));
    }
}

/// Loads the packet's bounds and leaves where fewer than [`CHECKED`] bytes are there. `r2` is lost.
fn reload_packet(text: &mut Text, out: Label) {
    text.load(Size::W, Reg::R7, Reg::R6, 0);
    text.load(Size::W, Reg::R8, Reg::R6, 4);
    text.mov(Reg::R2, Reg::R7);
    text.alu(AluOp::Add, Reg::R2, Operand::Imm(CHECKED.cast_signed()));
    text.branch(Cond::Gt, Width::W64, Reg::R2, Operand::Reg(Reg::R8), out);
}
