//! Programs that execute each row of the ISA table on edge values.
//!
//! A row's programs read their operands from memory, so that no constant is folded; a second set has
//! them as constants, so that all are. What comes out is not said here: engines must agree. A row
//! without programs must have a reason, and a new form breaks the build.

use std::sync::Arc;

use brolga_abi::{MapKind, ProgramKind};
use brolga_compiler::isa::asm::AsmContext;
use brolga_compiler::isa::table::{Row, rows};
use brolga_compiler::isa::{
    AluOp, AtomicOp, CallKind, Cond, Endian, Form, Imm64Kind, Insn, LegacyKind, NoNames, Size, SrcKind,
    Width, assemble, disasm,
};
use brolga_compiler::program::{MapDef, Program};

use crate::engines::{Input, Module};

/// Programs of one row, or why there are none.
#[derive(Clone, Debug)]
pub enum Edges {
    /// Each with what it runs on.
    Programs(Vec<Edge>),
    /// No program can execute the row.
    NotRun(&'static str),
}

/// A program and what it runs on.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The program alone.
    pub module: Module,
    /// What it runs on.
    pub inputs: Vec<Input>,
    /// The row's spelling, for messages.
    pub row: &'static str,
}

/// Values at which arithmetic is most likely to be wrong.
pub const VALUES: &[u64] = &[
    0,
    1,
    2,
    7,
    31,
    32,
    63,
    64,
    0x7f,
    0x80,
    0xff80,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1122_3344_5566_7788,
    0x8091_a2b3_c4d5_e6f7,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_7fff_ffff,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_ffff,
];

/// The few of [`VALUES`] that programs with constants take.
const CONSTANTS: &[u64] =
    &[0, 33, 0x8000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff];

const IMMEDIATES: &[i32] = &[0, 1, -1, 2, 7, 31, 32, 63, 255, -128, 0x1234_5678, i32::MAX, i32::MIN];

/// The memory of most programs: two operands and room for three results.
const MEMORY: usize = 40;

/// All rows with their programs.
#[must_use]
pub fn all() -> Vec<(&'static Row, Edges)> {
    rows().map(|row| (row, edges(row))).collect()
}

fn edges(row: &'static Row) -> Edges {
    let texts = match row.form {
        Form::Alu { op, width, src } => alu(op, width, src),
        Form::MovSx { width, from } => movsx(width, from),
        Form::Neg { width } => {
            let r = register(width);
            unary(|d| format!("{r}{d} = -{r}{d}"))
        }
        Form::Endian { kind, size } => {
            let (word, bits) = (endian_word(kind), size.bytes() * 8);
            unary(|d| format!("r{d} = {word}{bits} r{d}"))
        }
        Form::Load { size, signed } => loads(size, signed),
        Form::Store { size, src } => stores(size, src),
        Form::Atomic { op, size } => atomics(op, size),
        Form::LoadAcquire { size } => load_acquire(size),
        Form::StoreRelease { size } => store_release(size),
        Form::Branch { cond, width, src } => branches(cond, width, src),
        Form::LegacyLoad { size, kind } => return legacy(row, size, kind),
        Form::LoadImm64 { kind } => return load_imm64(row, kind),
        Form::Ja => jumps("goto"),
        Form::Gotol => jumps("gotol"),
        Form::MayGoto => {
            vec!["r0 = 0\nagain: r0 += 3\nif r0 > 100 goto out\nmay_goto out\ngoto again\nout: exit".into()]
        }
        Form::Call { kind } => match kind {
            CallKind::Helper => vec!["call bpf_get_smp_processor_id\nr0 += 5\nexit".into()],
            CallKind::Subprog => calls(),
            CallKind::Kfunc => return Edges::NotRun("Brolga has no kernel functions"),
        },
        Form::Exit => vec!["r0 = *(u64 *)(r1 + 0)\nexit".into()],
        Form::AddrSpaceCast => return Edges::NotRun("only programs with an arena may use it"),
    };
    let inputs: Arc<[Input]> = pairs().into();
    let edge = |text: String| {
        // A program that reads no operand does not need all of them.
        let inputs = if text.contains("(r1 + 0)") { inputs.to_vec() } else { inputs[..1].to_vec() };
        Edge { module: program(&text, ProgramKind::RawMemory, &[]), inputs, row: row.spelling }
    };
    Edges::Programs(texts.into_iter().map(edge).collect())
}

/// Assembles a program.
///
/// # Panics
///
/// Where the text is no program.
#[must_use]
pub fn program(text: &str, kind: ProgramKind, maps: &[MapDef]) -> Module {
    let names: Vec<_> = maps.iter().map(|def| def.name.as_str()).collect();
    let assembled = assemble(text, &AsmContext { maps: &names });
    let insns = assembled.unwrap_or_else(|error| panic!("{error}\n{text}")).insns;
    let mut program = Program::from_insns("edge", kind, insns, maps.to_vec().into());
    program.raw_memory_len = MEMORY as u32;
    Module::single(program)
}

/// All pairs of values, as memory.
fn pairs() -> Vec<Input> {
    let pair = |a: u64, b: u64| {
        let mut data = vec![0xa5; MEMORY];
        data[..8].copy_from_slice(&a.to_le_bytes());
        data[8..16].copy_from_slice(&b.to_le_bytes());
        Input { data }
    };
    VALUES.iter().flat_map(|a| VALUES.iter().map(move |b| pair(*a, *b))).collect()
}

const fn register(width: Width) -> &'static str {
    match width {
        Width::W32 => "w",
        Width::W64 => "r",
    }
}

const fn endian_word(kind: Endian) -> &'static str {
    match kind {
        Endian::ToLe => "le",
        Endian::ToBe => "be",
        Endian::Swap => "bswap",
    }
}

/// Two operands into registers, an operation, and both registers out again.
fn binary(d: u8, s: u8, operation: &str) -> String {
    // The destination is loaded last: where it is the source too, both operands are the first.
    let base = if d == 1 || s == 1 { 9 } else { 1 };
    let copy = if base == 9 { "r9 = r1\n" } else { "" };
    format!(
        "{copy}r{s} = *(u64 *)(r{base} + 8)\nr{d} = *(u64 *)(r1 + 0)\n{operation}\n\
         *(u64 *)(r{base} + 16) = r{s}\n*(u64 *)(r{base} + 24) = r{d}\nr0 = r{d}\nexit"
    )
}

/// Registers that take part: distinct, aliased, callee-saved, the result's, the argument's.
const REGISTERS: &[(u8, u8)] = &[(3, 4), (2, 2), (0, 6), (7, 0), (1, 5), (8, 1)];

fn binary_all(operation: impl Fn(u8, u8) -> String) -> Vec<String> {
    let fixed = |(d, s): &(u8, u8)| if *s == 1 { (*d, 5) } else { (*d, *s) };
    REGISTERS.iter().map(fixed).map(|(d, s)| binary(d, s, &operation(d, s))).collect()
}

fn unary(operation: impl Fn(u8) -> String) -> Vec<String> {
    let mut texts: Vec<_> =
        [3, 0, 6, 1].into_iter().map(|d| binary(d, if d == 5 { 4 } else { 5 }, &operation(d))).collect();
    texts.push(constants(CONSTANTS.iter().map(|c| format!("r3 = {c:#x} ll\n{}", operation(3))), "r3"));
    texts
}

/// A program that computes many results from constants and folds them into one.
fn constants(parts: impl Iterator<Item = String>, result: &str) -> String {
    let mut text = "r0 = 0\n".to_owned();
    for part in parts {
        text.push_str(&format!("{part}\nr0 *= 31\nr0 += {result}\n"));
    }
    text.push_str("exit");
    text
}

const fn alu_word(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div => "/=",
        AluOp::Sdiv => "s/=",
        AluOp::Mod => "%=",
        AluOp::Smod => "s%=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::Xor => "^=",
        AluOp::Lsh => "<<=",
        AluOp::Rsh => ">>=",
        AluOp::Arsh => "s>>=",
        AluOp::Mov => "=",
    }
}

/// Whether Linux lets a program have the immediate.
const fn immediate_allowed(op: AluOp, width: Width, imm: i32) -> bool {
    match op {
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => match width {
            Width::W32 => imm >= 0 && imm < 32,
            Width::W64 => imm >= 0 && imm < 64,
        },
        AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod => imm != 0,
        AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::Or | AluOp::And | AluOp::Xor | AluOp::Mov => true,
    }
}

fn alu(op: AluOp, width: Width, src: SrcKind) -> Vec<String> {
    let (r, word) = (register(width), alu_word(op));
    match src {
        SrcKind::Reg => {
            let mut texts = binary_all(|d, s| format!("{r}{d} {word} {r}{s}"));
            let parts = CONSTANTS.iter().flat_map(|a| CONSTANTS.iter().map(move |b| (a, b)));
            let part = |(a, b): (&u64, &u64)| format!("r3 = {a:#x} ll\nr4 = {b:#x} ll\n{r}3 {word} {r}4");
            texts.push(constants(parts.map(part), "r3"));
            texts
        }
        SrcKind::Imm => {
            let allowed = IMMEDIATES.iter().filter(|imm| immediate_allowed(op, width, **imm));
            let imms: Vec<_> = allowed.collect();
            let mut texts: Vec<_> =
                imms.iter().map(|imm| binary(3, 4, &format!("{r}3 {word} {imm}"))).collect();
            texts.push(binary(0, 6, &format!("{r}0 {word} 5")));
            texts.push(binary(1, 5, &format!("{r}1 {word} 5")));
            let parts = CONSTANTS.iter().flat_map(|a| imms.iter().map(move |b| (a, b)));
            let part = |(a, b): (&u64, &&i32)| format!("r3 = {a:#x} ll\n{r}3 {word} {b}");
            texts.push(constants(parts.map(part), "r3"));
            texts
        }
    }
}

fn movsx(width: Width, from: Size) -> Vec<String> {
    let (r, bits) = (register(width), from.bytes() * 8);
    let mut texts = binary_all(|d, s| format!("{r}{d} = (s{bits}){r}{s}"));
    let part = |c: &u64| format!("r4 = {c:#x} ll\n{r}3 = (s{bits}){r}4");
    texts.push(constants(CONSTANTS.iter().map(part), "r3"));
    texts
}

const fn cond_word(cond: Cond) -> &'static str {
    match cond {
        Cond::Eq => "==",
        Cond::Ne => "!=",
        Cond::Set => "&",
        Cond::Gt => ">",
        Cond::Ge => ">=",
        Cond::Lt => "<",
        Cond::Le => "<=",
        Cond::Sgt => "s>",
        Cond::Sge => "s>=",
        Cond::Slt => "s<",
        Cond::Sle => "s<=",
    }
}

fn branches(cond: Cond, width: Width, src: SrcKind) -> Vec<String> {
    let (r, word) = (register(width), cond_word(cond));
    let taken = |left: &str, right: &str| {
        format!(
            "{left}if {r}3 {word} {right} goto yes\nr0 = 10\ngoto out\nyes: r0 = 20\n\
             out: r0 += r3\nexit"
        )
    };
    let load = "r3 = *(u64 *)(r1 + 0)\nr4 = *(u64 *)(r1 + 8)\n";
    let part = |constants: String, right: String| {
        format!("{constants}r5 = 1\nif {r}3 {word} {right} goto +1\nr5 = 2")
    };
    match src {
        SrcKind::Reg => {
            let pairs = CONSTANTS.iter().flat_map(|a| CONSTANTS.iter().map(move |b| (a, b)));
            let parts =
                pairs.map(|(a, b)| part(format!("r3 = {a:#x} ll\nr4 = {b:#x} ll\n"), format!("{r}4")));
            vec![taken(load, &format!("{r}4")), taken(load, &format!("{r}3")), constants(parts, "r5")]
        }
        SrcKind::Imm => {
            let mut texts: Vec<_> = IMMEDIATES.iter().map(|imm| taken(load, &imm.to_string())).collect();
            let pairs = CONSTANTS.iter().flat_map(|a| IMMEDIATES.iter().map(move |b| (a, b)));
            let parts = pairs.map(|(a, b)| part(format!("r3 = {a:#x} ll\n"), b.to_string()));
            texts.push(constants(parts, "r5"));
            texts
        }
    }
}

fn type_word(size: Size, signed: bool) -> String {
    format!("{}{}", if signed { 's' } else { 'u' }, size.bytes() * 8)
}

fn loads(size: Size, signed: bool) -> Vec<String> {
    let ty = type_word(size, signed);
    let mut texts = Vec::new();
    for off in [0, 1, 3, 8] {
        texts.push(format!("r9 = *(u64 *)(r1 + 0)\nr0 = *({ty} *)(r1 + {off})\nexit"));
    }
    texts.push(format!("r2 = *(u64 *)(r1 + 0)\nr1 += 16\nr1 = *({ty} *)(r1 - 8)\nr0 = r1\nexit"));
    // Through the stack: whole, and each part of a word that was stored whole or in pieces.
    let last = 8 - size.bytes();
    texts.push(format!(
        "r2 = *(u64 *)(r1 + 0)\n*(u64 *)(r10 - 8) = r2\nr0 = *({ty} *)(r10 - 8)\n\
         r3 = *({ty} *)(r10 - {})\nr0 *= 31\nr0 += r3\nexit",
        size.bytes()
    ));
    texts.push(format!(
        "r2 = *(u64 *)(r1 + 0)\n*(u64 *)(r10 - 16) = r2\n*(u8 *)(r10 - 13) = r2\n*(u16 *)(r10 - 16) = 0x8899\n\
         r3 = r10\nr3 += -16\nr0 = *({ty} *)(r3 + 0)\nr4 = *({ty} *)(r3 + {last})\nr0 *= 31\nr0 += r4\nexit"
    ));
    texts
}

fn stores(size: Size, src: SrcKind) -> Vec<String> {
    let ty = type_word(size, false);
    let values: Vec<String> = match src {
        SrcKind::Reg => vec!["r2".to_owned()],
        SrcKind::Imm => IMMEDIATES.iter().map(ToString::to_string).collect(),
    };
    let mut texts = Vec::new();
    for value in &values {
        texts.push(format!(
            "r2 = *(u64 *)(r1 + 0)\n*({ty} *)(r1 + 16) = {value}\n*({ty} *)(r1 + 27) = {value}\nr0 = 0\nexit"
        ));
        texts.push(format!(
            "r2 = *(u64 *)(r1 + 0)\nr3 = *(u64 *)(r1 + 8)\n*(u64 *)(r10 - 8) = r3\n*({ty} *)(r10 - {}) = {value}\n\
             r0 = *(u64 *)(r10 - 8)\nr4 = *(u32 *)(r10 - 4)\n*(u64 *)(r1 + 16) = r4\nexit",
            size.bytes()
        ));
    }
    if src == SrcKind::Reg {
        let store = format!("r2 = *(u64 *)(r1 + 0)\nr3 = r1\nr3 += 24\n*({ty} *)(r3 - 8) = r2\n");
        texts.push(format!("{store}r0 = r2\nexit"));
    }
    texts
}

/// The row's own text with given registers, since atomics have many spellings.
fn atomic_text(op: AtomicOp, size: Size, base: &str, off: i16, src: &str) -> String {
    let reg = |text: &str| {
        let number = text[1..].parse().expect("registers are `r` and a number");
        brolga_compiler::isa::Reg::new(number).expect("registers go up to 10")
    };
    disasm(&Insn::Atomic { op, size, base: reg(base), off, src: reg(src) }, &NoNames).to_string()
}

fn atomics(op: AtomicOp, size: Size) -> Vec<String> {
    let load = "r3 = *(u64 *)(r1 + 0)\nr4 = *(u64 *)(r1 + 8)\n";
    let mut texts = Vec::new();
    // On the memory: the old value is the second operand, or the first so that cmpxchg succeeds.
    for (old, at) in [("r4", 16), ("r3", 16), ("r4", 24)] {
        let atomic = atomic_text(op, size, "r1", at, "r5");
        texts.push(format!(
            "{load}*(u64 *)(r1 + {at}) = {old}\nr0 = r3\nr5 = r4\n{atomic}\n*(u64 *)(r1 + 32) = r5\nexit"
        ));
    }
    // On the stack, with a saved register, and with the base as far away as it may be.
    let atomic = atomic_text(op, size, "r10", -16, "r6");
    texts.push(format!(
        "{load}*(u64 *)(r10 - 16) = r4\nr0 = r3\nr6 = r3\n{atomic}\nr2 = *(u64 *)(r10 - 16)\n\
         *(u64 *)(r1 + 16) = r6\n*(u64 *)(r1 + 24) = r2\nexit"
    ));
    // The source is r0 itself.
    let atomic = atomic_text(op, size, "r1", 16, "r0");
    texts.push(format!("{load}*(u64 *)(r1 + 16) = r4\nr0 = r3\n{atomic}\nexit"));
    texts
}

fn load_acquire(size: Size) -> Vec<String> {
    let ty = type_word(size, false);
    let last = 8 - size.bytes();
    vec![
        format!("r0 = load_acquire(({ty} *)(r1 + 0))\nexit"),
        format!("r9 = *(u64 *)(r1 + 0)\nr1 = load_acquire(({ty} *)(r1 + {last}))\nr0 = r1\nexit"),
        format!("r2 = *(u64 *)(r1 + 0)\n*(u64 *)(r10 - 8) = r2\nr0 = load_acquire(({ty} *)(r10 - 8))\nexit"),
    ]
}

fn store_release(size: Size) -> Vec<String> {
    let ty = type_word(size, false);
    vec![
        format!("r2 = *(u64 *)(r1 + 0)\nstore_release(({ty} *)(r1 + 16), r2)\nr0 = r2\nexit"),
        format!(
            "r2 = *(u64 *)(r1 + 0)\n*(u64 *)(r10 - 8) = -1\nstore_release(({ty} *)(r10 - 8), r2)\n\
             r0 = *(u64 *)(r10 - 8)\nexit"
        ),
    ]
}

fn jumps(word: &str) -> Vec<String> {
    vec![
        format!("r2 = *(u64 *)(r1 + 0)\nr0 = 1\nif r2 == 0 goto +1\n{word} +1\nr0 = 2\nexit"),
        format!("r0 = 1\n{word} +0\nexit"),
        format!("r0 = 0\n{word} over\nback: r0 += 5\nexit\nover: r0 += 2\n{word} back"),
        format!(
            "r2 = *(u64 *)(r1 + 0)\nr2 &= 15\nr0 = 0\nagain: if r2 == 0 goto out\nr0 += r2\nr2 -= 1\n{word} again\nout: exit"
        ),
    ]
}

fn calls() -> Vec<String> {
    vec![
        "r6 = *(u64 *)(r1 + 0)\nr7 = *(u64 *)(r1 + 8)\nr8 = r1\nr1 = r6\nr2 = r7\nr3 = 3\nr4 = 4\nr5 = 5\n\
         call mix\nr0 += r6\nr0 ^= r7\n*(u64 *)(r8 + 16) = r0\nexit\n\
         mix: r0 = r1\nr0 -= r2\nr0 += r3\nr0 *= r4\nr0 += r5\nr6 = 99\nr7 = 98\nr8 = 97\nr9 = 96\nexit"
            .into(),
        // Frames are apart, and a callee writes to its caller's.
        "r2 = *(u64 *)(r1 + 0)\n*(u64 *)(r10 - 8) = r2\n*(u64 *)(r10 - 16) = 7\nr1 = r10\nr1 += -8\ncall twice\n\
         r1 = *(u64 *)(r10 - 8)\nr0 += r1\nr1 = *(u64 *)(r10 - 16)\nr0 += r1\nexit\n\
         twice: *(u64 *)(r10 - 8) = 1\n*(u64 *)(r10 - 16) = 2\nr2 = *(u64 *)(r1 + 0)\nr2 += r2\n\
         *(u64 *)(r1 + 0) = r2\nr0 = *(u64 *)(r10 - 16)\nexit"
            .into(),
        // Eight frames.
        (1..7).fold("r1 = *(u64 *)(r1 + 0)\ncall f1\nexit\n".to_owned(), |text, n| {
            format!("{text}f{n}: r1 += {n}\ncall f{}\nr0 *= 3\nexit\n", n + 1)
        }) + "f7: r0 = r1\nexit",
    ]
}

fn load_imm64(row: &'static Row, kind: Imm64Kind) -> Edges {
    let array = MapDef::new("values", MapKind::Array, 4, 16, 1);
    let (text, maps): (String, Vec<MapDef>) = match kind {
        Imm64Kind::Value => {
            (constants(VALUES.iter().map(|value| format!("r3 = {value:#x} ll")), "r3"), Vec::new())
        }
        Imm64Kind::MapIdx => (
            "*(u32 *)(r10 - 4) = 0\nr1 = map[values]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n\
             if r0 == 0 goto out\n*(u64 *)(r0 + 8) = 5\nr0 = 1\nout: exit"
                .into(),
            vec![array],
        ),
        Imm64Kind::MapIdxValue => (
            "r1 = map[values][0] + 8\nr2 = map[values][0]\n*(u64 *)(r1 + 0) = 6\n*(u64 *)(r2 + 0) = 7\nr0 = r1\nr0 -= r2\nexit"
                .into(),
            vec![array],
        ),
        Imm64Kind::MapFd | Imm64Kind::MapFdValue => {
            return Edges::NotRun("loaded programs name maps by index");
        }
        Imm64Kind::BtfId => return Edges::NotRun("Brolga has no kernel variables"),
        Imm64Kind::Func => return Edges::NotRun("only helpers with callbacks take functions"),
    };
    let module = program(&text, ProgramKind::RawMemory, &maps);
    let input = Input { data: vec![0; MEMORY] };
    Edges::Programs(vec![Edge { module, inputs: vec![input], row: row.spelling }])
}

fn legacy(row: &'static Row, size: Size, kind: LegacyKind) -> Edges {
    let ty = type_word(size, false);
    let mut texts = Vec::new();
    for at in [0, 1, 30, 31, 33, 100, i32::MAX, -0x10_0000, -0x10_0000 + 31, -0x20_0000 + 12] {
        texts.push(match kind {
            LegacyKind::Abs => format!("r6 = r1\nr7 = 3\nr0 = *({ty} *)skb[{at}]\nr0 += r7\nexit"),
            LegacyKind::Ind => {
                format!("r6 = r1\nr2 = {at}\nr0 = *({ty} *)skb[r2 + 1]\nr1 = r0\nr2 = 5\nr0 *= 3\nexit")
            }
        });
    }
    let input = Input { data: (0x72..0xa2).collect() };
    let edge = |text: String| Edge {
        module: program(&text, ProgramKind::SocketFilter, &[]),
        inputs: vec![input.clone()],
        row: row.spelling,
    };
    Edges::Programs(texts.into_iter().map(edge).collect())
}
