//! Evaluates the intermediate form, to compare a program before and after a pass.
//!
//! It shares nothing with `opt::constant` or the lowering. What a program does is its result, the
//! memory that it leaves, and the calls that it makes in order. A call of a helper yields a hash of
//! its arguments and of the first bytes of the stack that they point to.

use crate::ir::{Binary, Block, Compare, Edge, ExtendKind, Function, Mem, Op, Rmw, Terminator, Type, Unary};
use crate::ir::{Unit, Value};
use crate::isa::Size;
use crate::program::SubprogId;

const STACK: u64 = 0x7fff_0000_0000;
const FRAME: u64 = 0x1000;
const MEMORY: u64 = 0x1_0000_0000;
const MAPS: u64 = 0x2_0000_0000;
const MAP: u64 = 0x100_0000;

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: u64,
    pub memory: Vec<u8>,
    pub maps: Vec<Vec<u8>>,
    pub calls: Vec<(String, Vec<u64>)>,
}

/// Runs the main function on a buffer.
pub fn run(unit: &Unit, memory: &[u8]) -> Outcome {
    let maps = unit.maps.iter().map(|map| match &map.global {
        Some(data) => data.initial.to_vec(),
        None => vec![0; (map.value_size.next_multiple_of(8) * map.max_entries) as usize],
    });
    let mut machine = Machine {
        unit,
        memory: memory.to_vec(),
        maps: maps.collect(),
        frames: Vec::new(),
        calls: Vec::new(),
        steps: 0,
    };
    let args = [MEMORY, memory.len() as u64, 0, 0, 0];
    let result = machine.call(SubprogId::MAIN, args);
    Outcome { result, memory: machine.memory, maps: machine.maps, calls: machine.calls }
}

struct Machine<'a> {
    unit: &'a Unit,
    memory: Vec<u8>,
    maps: Vec<Vec<u8>>,
    frames: Vec<Vec<u8>>,
    calls: Vec<(String, Vec<u64>)>,
    steps: u64,
}

fn bits(ty: Type) -> u32 {
    match ty {
        Type::I1 => 1,
        Type::I32 => 32,
        Type::I64 => 64,
    }
}

fn cut(x: i128, bits: u32) -> u64 {
    (x & ((1i128 << bits) - 1)) as u64
}

fn signed(x: u64, bits: u32) -> i128 {
    let x = i128::from(cut(i128::from(x), bits));
    if x >> (bits - 1) & 1 == 1 { x - (1 << bits) } else { x }
}

impl Machine<'_> {
    fn call(&mut self, id: SubprogId, args: [u64; 5]) -> u64 {
        let unit = self.unit;
        let function = unit.functions[id.index()].as_ref().expect("the callee exists");
        self.frames.push(vec![0; function.stack_bytes as usize]);
        let mut values = vec![None; function.value_capacity()];
        for (param, arg) in function.block(function.entry()).params.iter().zip(args) {
            values[param.index()] = Some(arg);
        }
        let mut block = function.entry();
        let result = loop {
            for inst in &function.block(block).insts {
                self.steps += 1;
                assert!(self.steps < 10_000_000, "endless\n{function}");
                let data = function.inst(*inst);
                let ty = data.result.map_or(Type::I64, |result| function.ty(result));
                let value = self.op(function, &values, &data.op, ty);
                if let Some(result) = data.result {
                    assert_eq!(value & !ty.mask(), 0);
                    values[result.index()] = Some(value);
                }
            }
            match self.end(function, &values, block) {
                Ok(edge) => {
                    let args: Vec<_> = edge.args.iter().map(|arg| values[arg.index()]).collect();
                    for (param, arg) in function.block(edge.block).params.iter().zip(args) {
                        values[param.index()] = arg;
                    }
                    block = edge.block;
                }
                Err(result) => break result,
            }
        };
        self.frames.pop();
        result
    }

    fn end(&mut self, function: &Function, values: &[Option<u64>], block: Block) -> Result<Edge, u64> {
        let get = |value: Value| values[value.index()].expect("defined");
        match &function.block(block).end {
            Terminator::Jump(edge) => Ok(edge.clone()),
            Terminator::Branch { cond, then, otherwise } => {
                Ok(if get(*cond) == 1 { then.clone() } else { otherwise.clone() })
            }
            Terminator::Switch { value, cases, default } => {
                let chosen = cases.iter().find(|(case, _)| *case == get(*value));
                Ok(chosen.map_or(default, |(_, edge)| edge).clone())
            }
            Terminator::Return(value) => Err(get(*value)),
            Terminator::TailCall { index, next, .. } => {
                self.calls.push(("tail_call".to_owned(), vec![get(*index)]));
                Ok(next.clone())
            }
        }
    }

    fn bytes(&mut self, address: u64, len: usize) -> &mut [u8] {
        if address >= STACK {
            let (frame, at) = ((address - STACK) / FRAME, (address - STACK) % FRAME);
            let bytes = &mut self.frames[frame as usize];
            // The frame ends at the end of its page.
            let at = bytes.len() - (FRAME - at) as usize;
            return &mut bytes[at..at + len];
        }
        if address >= MAPS {
            let (map, at) = ((address - MAPS) / MAP, (address - MAPS) % MAP);
            return &mut self.maps[map as usize][at as usize..at as usize + len];
        }
        let at = address.checked_sub(MEMORY).unwrap_or_else(|| panic!("access at {address:#x}"));
        &mut self.memory[at as usize..at as usize + len]
    }

    fn load(&mut self, address: u64, size: Size) -> u64 {
        let bytes = self.bytes(address, size.bytes() as usize);
        bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }

    fn store(&mut self, address: u64, size: Size, value: u64) {
        let bytes = self.bytes(address, size.bytes() as usize);
        bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = (value >> (8 * i)) as u8);
    }

    fn helper(&mut self, name: String, args: Vec<u64>) -> u64 {
        let mut hash = name.len() as u64;
        for arg in &args {
            let seen = if *arg >= STACK {
                let before_end = FRAME - (arg - STACK) % FRAME;
                self.bytes(*arg, before_end.min(8) as usize)
                    .iter()
                    .fold(7, |h: u64, b| h * 31 + u64::from(*b))
            } else {
                *arg
            };
            hash = (hash ^ seen).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        self.calls.push((name, args));
        hash
    }

    fn op(&mut self, function: &Function, values: &[Option<u64>], op: &Op, ty: Type) -> u64 {
        let get = |value: Value| {
            values[value.index()].unwrap_or_else(|| panic!("{value} is not defined\n{function}"))
        };
        let at = |mem: &Mem| get(mem.base).wrapping_add(i64::from(mem.off) as u64);
        match *op {
            Op::Const(x) => x,
            Op::Binary { op, a, b } => binary(op, bits(ty), get(a), get(b)),
            Op::Unary { op, a } => unary(op, bits(ty), get(a)),
            Op::Compare { cond, a, b } => u64::from(compare(cond, bits(function.ty(a)), get(a), get(b))),
            Op::Select { cond, then, otherwise } => get(if get(cond) == 1 { then } else { otherwise }),
            Op::Extend { kind, from, a } => extend(kind, from, ty, get(a)),
            Op::Trunc(a) => cut(i128::from(get(a)), 32),
            Op::FromBool(a) => get(a),
            Op::Load { mem, size, extend: kind } => {
                let word = self.load(at(&mem), size);
                extend(kind, size, ty, word)
            }
            Op::Store { mem, size, value } => {
                self.store(at(&mem), size, get(value));
                0
            }
            Op::AtomicRmw { op, mem, size, value } => {
                let old = self.load(at(&mem), size);
                let new = match op {
                    Rmw::Add => old.wrapping_add(get(value)),
                    Rmw::And => old & get(value),
                    Rmw::Or => old | get(value),
                    Rmw::Xor => old ^ get(value),
                    Rmw::Exchange => get(value),
                    Rmw::AddBigEndian => {
                        let unused = 64 - 8 * size.bytes();
                        let number = |word: u64| word.swap_bytes() >> unused;
                        self.store(at(&mem), size, number(number(old).wrapping_add(get(value))));
                        return number(old);
                    }
                };
                self.store(at(&mem), size, new);
                old
            }
            Op::AtomicCas { mem, size, expected, value } => {
                let old = self.load(at(&mem), size);
                if old == get(expected) {
                    self.store(at(&mem), size, get(value));
                }
                old
            }
            Op::LoadAcquire { mem, size } => self.load(at(&mem), size),
            Op::StoreRelease { mem, size, value } => {
                self.store(at(&mem), size, get(value));
                0
            }
            Op::StackAddr(off) => {
                let end = STACK + self.frames.len() as u64 * FRAME;
                end.wrapping_add(i64::from(off) as u64)
            }
            Op::MapHandle(map) => 0x1000 + u64::from(map.0),
            Op::MapValueAddr { map, off } => MAPS + u64::from(map.0) * MAP + u64::from(off),
            Op::MapElemAddr { map, index } => {
                let stride = u64::from(self.unit.maps[map.index()].value_size.next_multiple_of(8));
                MAPS + u64::from(map.0) * MAP + get(index).wrapping_mul(stride)
            }
            Op::CpuId => 3,
            Op::CallHelper { helper, args } => {
                self.helper(format!("{helper:?}"), args.as_slice().iter().map(|arg| get(*arg)).collect())
            }
            Op::CallRoutine { routine, args } => {
                self.helper(format!("{routine:?}"), args.as_slice().iter().map(|arg| get(*arg)).collect())
            }
            Op::CallHost { function, args } => {
                self.helper(format!("host {function}"), args.as_slice().iter().map(|arg| get(*arg)).collect())
            }
            Op::CallSubprog { subprog, args, .. } => {
                let mut all = [0; 5];
                all.iter_mut().zip(args.as_slice()).for_each(|(slot, arg)| *slot = get(*arg));
                self.call(subprog, all)
            }
        }
    }
}

fn binary(op: Binary, bits: u32, a: u64, b: u64) -> u64 {
    let (ua, ub) = (i128::from(a), i128::from(b));
    let (sa, sb) = (signed(a, bits), signed(b, bits));
    let k = b % u64::from(bits);
    let result = match op {
        Binary::Add => sa + sb,
        Binary::Sub => sa - sb,
        Binary::Mul => sa.wrapping_mul(sb),
        Binary::Udiv => ua.checked_div(ub).unwrap_or(0),
        Binary::Urem => ua.checked_rem(ub).unwrap_or(ua),
        Binary::Sdiv => sa.checked_div(sb).unwrap_or(0),
        Binary::Srem => sa.checked_rem(sb).unwrap_or(sa),
        Binary::And => ua & ub,
        Binary::Or => ua | ub,
        Binary::Xor => ua ^ ub,
        Binary::Shl => sa << k,
        Binary::Ushr => ua >> k,
        Binary::Sshr => sa >> k,
        Binary::Rotl => ua << k | ua >> (u64::from(bits) - k),
        Binary::Umulhi => ((a as u128 * b as u128) >> 64) as i128,
    };
    cut(result, bits)
}

fn unary(op: Unary, bits: u32, a: u64) -> u64 {
    let bytes = a.to_le_bytes();
    let swap = |n: usize| bytes[..n].iter().fold(0i128, |word, byte| word << 8 | i128::from(*byte));
    let result = match op {
        Unary::Neg => -i128::from(a),
        Unary::Swap16 => swap(2),
        Unary::Swap32 => swap(4),
        Unary::Swap64 => swap(8),
    };
    cut(result, bits)
}

fn compare(cond: Compare, bits: u32, a: u64, b: u64) -> bool {
    let (sa, sb) = (signed(a, bits), signed(b, bits));
    match cond {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Ult => a < b,
        Compare::Ule => a <= b,
        Compare::Ugt => a > b,
        Compare::Uge => a >= b,
        Compare::Slt => sa < sb,
        Compare::Sle => sa <= sb,
        Compare::Sgt => sa > sb,
        Compare::Sge => sa >= sb,
    }
}

fn extend(kind: ExtendKind, from: Size, ty: Type, a: u64) -> u64 {
    let n = 8 * from.bytes();
    match kind {
        ExtendKind::Zero => cut(i128::from(cut(i128::from(a), n)), bits(ty)),
        ExtendKind::Sign => cut(signed(a, n), bits(ty)),
    }
}
