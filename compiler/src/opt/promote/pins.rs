//! Finds what a function does with its frame: plain accesses, and bytes that must stay in memory.
//!
//! An address of the frame may be a base of an access, or an argument that a helper reads or fills as
//! its table says, or a function of the host as its prototype does. Anything else lets it escape: into a subprogram, into memory, into arithmetic. An
//! escaped address is harmless where each access of the program is proven to be elsewhere or at a
//! constant place of its own frame, and no helper takes an address of unknown origin.

use brolga_abi::ArgLength;
use brolga_abi::symbols::Routine;

use super::cells::{Accesses, Kind, Slot};
use crate::ir::{Args, Binary, ExtendKind, Function, Mem, Op, Unit, User, Uses, Value};
use crate::isa::Size;
use crate::program::{HostFunction, HostParam, MapDef};
use crate::verify::Access;

/// All bytes of a frame.
const ALL: (i32, i32) = (i32::MIN, i32::MAX);

/// Whether some function of the program may touch a frame through an address of unknown origin.
pub(super) fn wild(unit: &Unit) -> bool {
    unit.functions.iter().flatten().any(|function| {
        let insts = function.layout.iter().flat_map(|block| &function.block(*block).insts);
        insts.map(|inst| &function.inst(*inst).op).any(|op| {
            let access = op.mem().is_some_and(|mem| match mem.access {
                Access::Mixed | Access::CallerStack => true,
                // Judged where it stands.
                Access::OwnStack { .. } => false,
                Access::Context { .. } | Access::Packet | Access::MapValue { .. } | Access::RawMemory => {
                    false
                }
            });
            let unknown = |value| stack_addr(function, value).is_none() && function.as_const(value).is_none();
            access || memory_args(op, &unit.hosts).any(|(value, _)| unknown(value))
        })
    })
}

/// What a function does with its frame.
pub(super) fn accesses(function: &Function, maps: &[MapDef], hosts: &[HostFunction], wild: bool) -> Accesses {
    let mut finder = Finder { function, maps, hosts, uses: Uses::new(function), found: Accesses::default() };
    let mut escapes = false;
    for block in &function.layout {
        for inst in &function.block(*block).insts {
            let data = function.inst(*inst);
            if let (Op::StackAddr(off), Some(result)) = (data.op, data.result) {
                escapes |= finder.address(result, off);
            }
            finder.through_unknown(&data.op);
        }
    }
    if escapes && wild {
        finder.found.pinned.push(ALL);
    }
    finder.found
}

struct Finder<'a> {
    function: &'a Function,
    maps: &'a [MapDef],
    hosts: &'a [HostFunction],
    uses: Uses,
    found: Accesses,
}

impl Finder<'_> {
    /// Follows the uses of an address; whether it escapes.
    fn address(&mut self, address: Value, off: i32) -> bool {
        let users = self.uses.of(address).to_vec();
        let mut escapes = false;
        for user in users {
            let User::Inst(inst) = user else {
                escapes = true;
                continue;
            };
            let op = self.function.inst(inst).op;
            match op {
                Op::Load { mem, size, .. } => {
                    self.slot(Slot { inst, off: off.saturating_add(mem.off), size, kind: Kind::Load });
                }
                Op::Store { mem, size, value } => {
                    let kind = match self.function.as_const(value) {
                        Some(_) => Kind::StoreConstant,
                        None => Kind::Store,
                    };
                    if mem.base == address {
                        self.slot(Slot { inst, off: off.saturating_add(mem.off), size, kind });
                    }
                    escapes |= value == address;
                }
                Op::AtomicRmw { mem, size, value, .. } | Op::StoreRelease { mem, size, value } => {
                    self.pin_access(&mem, address, off, size);
                    escapes |= value == address;
                }
                Op::AtomicCas { mem, size, expected, value } => {
                    self.pin_access(&mem, address, off, size);
                    escapes |= value == address || expected == address;
                }
                Op::LoadAcquire { mem, size } => self.pin_access(&mem, address, off, size),
                Op::CallHelper { args, .. } | Op::CallRoutine { args, .. } | Op::CallHost { args, .. } => {
                    escapes |= self.argument(&op, &args, address, off);
                }
                Op::Binary { op: Binary::Add, a, b } => {
                    let sum = self.function.inst(inst).result.expect("sums are values");
                    escapes |= a == b || !self.indexed(sum);
                }
                _ => escapes = true,
            }
        }
        escapes
    }

    fn slot(&mut self, slot: Slot) {
        // A load that uses an address as base and as nothing else is listed once.
        if self.found.slots.last().is_none_or(|last| last.inst != slot.inst) {
            self.found.slots.push(slot);
        }
    }

    fn pin_access(&mut self, mem: &Mem, address: Value, off: i32, size: Size) {
        if mem.base == address {
            self.pin(off.saturating_add(mem.off), i64::from(size.bytes()));
        }
    }

    fn pin(&mut self, off: i32, bytes: i64) {
        let end = i64::from(off).saturating_add(bytes).min(i64::from(i32::MAX));
        self.found.pinned.push((off, i32::try_from(end).unwrap_or(i32::MAX)));
    }

    /// An address is an argument of a helper or routine; whether it escapes.
    fn argument(&mut self, op: &Op, args: &Args, address: Value, off: i32) -> bool {
        let memory: Vec<(Value, Length)> = memory_args(op, self.hosts).collect();
        let uses = args.as_slice().iter().filter(|arg| **arg == address).count();
        let mut known = 0;
        for (value, length) in memory {
            if value == address {
                known += 1;
                let bytes = self.length(args, length);
                self.pin(off, bytes);
            }
        }
        known < uses
    }

    /// The bytes that a helper touches at most.
    fn length(&self, args: &Args, length: Length) -> i64 {
        let map = || match self.function.op(*args.as_slice().first()?) {
            Some(Op::MapHandle(map)) => self.maps.get(map.index()),
            _ => None,
        };
        let bytes = match length {
            Length::Key => map().map(|map| i64::from(map.key_size)),
            Length::Value => map().map(|map| i64::from(map.value_size)),
            Length::Arg(at) => {
                let bytes = args.as_slice().get(at).and_then(|value| self.function.as_const(*value));
                bytes.and_then(|bytes| i64::try_from(bytes).ok())
            }
            Length::Fixed(bytes) => Some(bytes.into()),
            Length::Unknown => None,
        };
        // At most the rest of the frame.
        bytes.unwrap_or(i64::from(i32::MAX))
    }

    /// An address plus an index; whether it only serves as a base. What it reaches is pinned where it
    /// is used.
    fn indexed(&self, sum: Value) -> bool {
        self.uses.of(sum).iter().all(|user| match user {
            User::Inst(inst) => match self.function.inst(*inst).op {
                Op::Load { .. } => true,
                Op::Store { value, .. } => value != sum,
                _ => false,
            },
            User::End(_) => false,
        })
    }

    /// An access by an address that is not one of the frame by itself.
    fn through_unknown(&mut self, op: &Op) {
        let Some(mem) = op.mem() else { return };
        if stack_addr(self.function, mem.base).is_some() {
            return;
        }
        if let Some(Op::Binary { op: Binary::Add, a, b }) = self.function.op(mem.base)
            && (stack_addr(self.function, *a).is_some() || stack_addr(self.function, *b).is_some())
        {
            match self.reach(mem) {
                Some((off, bytes)) => self.pin(off, bytes),
                None => self.found.pinned.push(ALL),
            }
            return;
        }
        match mem.access {
            Access::OwnStack { off: Some(off) } => self.pin(off, 8),
            Access::OwnStack { off: None } => self.found.pinned.push(ALL),
            Access::CallerStack
            | Access::Context { .. }
            | Access::Packet
            | Access::MapValue { .. }
            | Access::RawMemory
            | Access::Mixed => {}
        }
    }

    /// The bytes that an access by an address plus a bounded index reaches.
    fn reach(&self, mem: &Mem) -> Option<(i32, i64)> {
        let Some(&Op::Binary { op: Binary::Add, a, b }) = self.function.op(mem.base) else { return None };
        let (off, index) = match (stack_addr(self.function, a), stack_addr(self.function, b)) {
            (Some(off), None) => (off, b),
            (None, Some(off)) => (off, a),
            _ => return None,
        };
        let most = bound(self.function, index, 4).filter(|most| *most <= 512)?;
        Some((off.checked_add(mem.off)?, i64::try_from(most).ok()? + 8))
    }
}

fn stack_addr(function: &Function, value: Value) -> Option<i32> {
    match function.op(value) {
        Some(Op::StackAddr(off)) => Some(*off),
        _ => None,
    }
}

/// How much memory an argument refers to.
#[derive(Clone, Copy)]
enum Length {
    Key,
    Value,
    /// As the argument at this position says.
    Arg(usize),
    /// This many bytes.
    Fixed(u32),
    /// As much as the helper likes: the string of a `%s`.
    Unknown,
}

/// The arguments of a call that are addresses of memory.
fn memory_args(op: &Op, hosts: &[HostFunction]) -> impl Iterator<Item = (Value, Length)> + use<> {
    let mut found = [None; 5];
    match op {
        Op::CallHelper { helper, args } => {
            let rows = helper.info().args.iter().zip(args.as_slice());
            for (at, (kind, value)) in rows.enumerate() {
                found[at] = kind.length().map(|length| {
                    let length = match length {
                        ArgLength::Key => Length::Key,
                        ArgLength::Value => Length::Value,
                        ArgLength::Next => Length::Arg(at + 1),
                        ArgLength::Fixed(bytes) => Length::Fixed(bytes),
                        ArgLength::Unknown => Length::Unknown,
                    };
                    (*value, length)
                });
            }
        }
        Op::CallHost { function, args } => {
            let params = hosts.get(*function as usize).map_or(&[][..], |host| &host.params);
            for (at, value) in args.as_slice().iter().enumerate() {
                found[at] = match params.get(at) {
                    Some(HostParam::Scalar(_) | HostParam::Context) => None,
                    Some(HostParam::Memory { size, .. }) => Some((*value, Length::Fixed(*size))),
                    Some(HostParam::Buffer { .. }) => Some((*value, Length::Arg(at + 1))),
                    None => Some((*value, Length::Unknown)),
                };
            }
        }
        Op::CallRoutine { routine, args } => {
            let arg = |at: usize| args.as_slice().get(at).copied();
            match routine {
                Routine::HashLookup | Routine::PerCpuHashLookup => {
                    found[0] = arg(1).map(|value| (value, Length::Key));
                }
                Routine::HashUpdate => {
                    found[0] = arg(1).map(|value| (value, Length::Key));
                    found[1] = arg(2).map(|value| (value, Length::Value));
                }
                Routine::LegacyPacketLoad => {}
            }
        }
        _ => {}
    }
    found.into_iter().flatten()
}

/// The greatest value that a number can have, as far as a few operations say.
fn bound(function: &Function, value: Value, depth: u32) -> Option<u64> {
    let next = |value: Value| depth.checked_sub(1).and_then(|depth| bound(function, value, depth));
    let constant = |value: Value| function.as_const(value);
    match *function.op(value)? {
        Op::Const(bits) => Some(bits),
        Op::Extend { kind: ExtendKind::Zero, from, a } => {
            let own = u64::MAX >> (64 - 8 * from.bytes());
            Some(next(a).map_or(own, |inner| inner.min(own)))
        }
        Op::Load { size, extend: ExtendKind::Zero, .. } => Some(u64::MAX >> (64 - 8 * size.bytes())),
        Op::FromBool(_) => Some(1),
        Op::Binary { op: Binary::And, b, .. } => constant(b),
        Op::Binary { op: Binary::Urem, b, .. } => constant(b).filter(|b| *b > 0).map(|b| b - 1),
        Op::Binary { op: Binary::Shl, a, b } => {
            let (most, by) = (next(a)?, u32::try_from(constant(b)?).ok()?);
            (by < 32 && most <= u64::from(u32::MAX) >> by).then(|| most << by)
        }
        Op::Binary { op: Binary::Ushr, a, b } => {
            let by = u32::try_from(constant(b)?).ok()?;
            next(a)?.checked_shr(by)
        }
        Op::Binary { op: Binary::Add, a, b } => {
            let (x, y) = (next(a)?, next(b)?);
            (x <= u64::from(u16::MAX) && y <= u64::from(u16::MAX)).then(|| x + y)
        }
        _ => None,
    }
}
