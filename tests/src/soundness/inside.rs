//! Whether a concrete state lies inside an abstract one.
//!
//! Numbers must satisfy every part of what is known of them: known bits and bounds in both widths and signs; numbers with the
//! same id must be as far apart as it says. A pointer must point into the region that its kind names, at an offset that
//! constant and variable part allow. The module could be wrong by looking away: what it does not check is said where it
//! is skipped.

use std::fmt;

use brolga_compiler::isa::{Reg, Size};
use brolga_compiler::program::Program;
use brolga_compiler::verify::observe::{
    FrameView, KeptState, PacketRange, SlotView, StackByte, ValueKind, ValueView,
};

use super::graph::Set;
use crate::oracle::{Place, Stepper};

/// What of an abstract state counts.
#[derive(Clone, Copy, Debug)]
pub enum Counts<'a> {
    /// Everything.
    All,
    /// What is live, and of numbers the precise ones.
    Precise {
        /// What is live, by frame.
        live: &'a [Set],
        /// Which numbers count, by frame.
        precise: &'a [Set],
    },
    /// Pointers and what is initialised, where it is live: the state covered another that differs in numbers.
    Kinds {
        /// What is live, by frame.
        live: &'a [Set],
    },
}

/// A run and how its frames correspond to those of abstract states.
pub struct Concrete<'a, 'm> {
    /// The run.
    pub run: &'a Stepper<'m>,
    /// The frame that is the abstract state's outermost.
    pub base: usize,
    /// What the function of that frame was given in `r1` to `r5`.
    pub given: &'a [Option<u64>; 5],
    /// What runs.
    pub program: &'a Program,
}

/// A concrete value that is not inside the abstract one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escape {
    /// Where the value is.
    pub place: String,
    /// What the verifier knows of it.
    pub known: String,
    /// What it is.
    pub found: String,
}

impl fmt::Display for Escape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, not inside {}", self.place, self.found, self.known)
    }
}

/// Ids seen so far, with what stands for each: the value less its distance.
#[derive(Default)]
struct Ids {
    seen: [(u32, u64, bool); 16],
    len: usize,
}

impl Ids {
    /// Whether the id stands for this, as far as one can tell. Beyond 16 ids nothing is compared.
    fn agrees(&mut self, id: u32, word: u64, scalar: bool) -> bool {
        if let Some(known) = self.seen[..self.len].iter().find(|known| known.0 == id && known.2 == scalar) {
            return known.1 == word;
        }
        if let Some(free) = self.seen.get_mut(self.len) {
            *free = (id, word, scalar);
            self.len += 1;
        }
        true
    }
}

const ALL_REGS: u16 = (1 << Reg::COUNT) - 1;

/// The first value that is not inside, if any, and how many were looked at. Of each frame only what is `fresh` counts; everything,
/// where nothing is said of it.
pub fn check(
    state: &KeptState,
    concrete: &Concrete<'_, '_>,
    counts: Counts<'_>,
    fresh: &[Set],
    checked: &mut u64,
) -> Result<(), Box<Escape>> {
    let mut ids = Ids::default();
    let top = state.depth() - 1;
    for (index, frame) in state.frames().enumerate() {
        let set = |sets: &[Set]| sets.get(index).copied().unwrap_or_default();
        let all = Set { regs: u16::MAX, slots: u64::MAX };
        let (live, numbers) = match counts {
            Counts::All => (all, all),
            Counts::Precise { live, precise } => (set(live), set(precise)),
            Counts::Kinds { live } => (set(live), Set::default()),
        };
        // Values that are as they were when they were compared last.
        let fresh = fresh.get(index).copied().unwrap_or(all);
        let live = Set { regs: live.regs & fresh.regs, slots: live.slots & fresh.slots };
        let mut regs = live.regs & ALL_REGS;
        while regs != 0 {
            let number = regs.trailing_zeros();
            regs &= regs - 1;
            let reg = Reg::new(u8::try_from(number).expect("a small number")).expect("a register");
            let value = frame.reg(reg);
            if value.kind() == ValueKind::Uninit {
                continue;
            }
            *checked += 1;
            let found = concrete.run.reg(concrete.base + index, reg);
            let exact = numbers.regs >> reg.number() & 1 != 0;
            let fine = found.is_some_and(|word| holds(value, word, exact, concrete, &mut ids));
            if !fine {
                let place = if index == top { reg.to_string() } else { format!("{reg} of frame {index}") };
                return escape(place, &value, found);
            }
        }
        stack(index, frame, concrete, (live, numbers), &mut ids, checked)?;
    }
    Ok(())
}

fn escape(place: String, value: &ValueView<'_>, found: Option<u64>) -> Result<(), Box<Escape>> {
    let n = value.num();
    let known = format!(
        "{value} [u64 {:#x}..={:#x}, s64 {}..={}, u32 {:#x}..={:#x}, s32 {}..={}, bits {:#x} mask {:#x}]",
        n.umin(),
        n.umax(),
        n.smin(),
        n.smax(),
        n.u32_min(),
        n.u32_max(),
        n.s32_min(),
        n.s32_max(),
        n.bits().value(),
        n.bits().mask()
    );
    let found = found.map_or_else(|| "uninitialised".to_owned(), |word| format!("{word:#x}"));
    Err(Box::new(Escape { place, known, found }))
}

fn stack(
    index: usize,
    frame: FrameView<'_>,
    concrete: &Concrete<'_, '_>,
    (live, numbers): (Set, Set),
    ids: &mut Ids,
    checked: &mut u64,
) -> Result<(), Box<Escape>> {
    let mut slots = live.slots;
    if slots == 0 {
        return Ok(());
    }
    let bytes = concrete.run.stack(concrete.base + index);
    while slots != 0 {
        let at = slots.trailing_zeros() as usize;
        slots &= slots - 1;
        let Some(slot) = frame.slot(at) else { break };
        let start = bytes.len() - 8 * (at + 1);
        let found: [u8; 8] = bytes[start..start + 8].try_into().expect("eight bytes");
        *checked += 1;
        let exact = numbers.slots >> at & 1 != 0;
        if !slot_holds(slot, found, exact, concrete, ids) {
            let place = format!("the slot at fp-{} of frame {index}", 8 * (at + 1));
            let word = u64::from_le_bytes(found);
            if let Some((value, size)) = slot.spill() {
                return escape(format!("{place} ({size} bytes of it)"), &value, Some(word));
            }
            let known = format!("{:?}", slot.bytes());
            return Err(Box::new(Escape { place, known, found: format!("{word:#018x}") }));
        }
    }
    Ok(())
}

/// Bytes of which nothing is known are not looked at.
fn slot_holds(
    slot: SlotView<'_>,
    found: [u8; 8],
    exact: bool,
    concrete: &Concrete<'_, '_>,
    ids: &mut Ids,
) -> bool {
    let bytes = slot.bytes();
    if bytes.iter().zip(found).any(|(known, byte)| *known == StackByte::Zero && byte != 0) {
        return false;
    }
    let Some((value, size)) = slot.spill() else { return true };
    let word = u64::from_le_bytes(found);
    match size {
        8 => holds(value, word, exact, concrete, ids),
        // Of a number only the low bytes were stored; what the rest was is forgotten.
        4 => !exact || value.num().zext(Size::W).contains(word & 0xffff_ffff),
        2 => !exact || value.num().zext(Size::H).contains(word & 0xffff),
        1 => !exact || value.num().zext(Size::B).contains(word & 0xff),
        _ => true,
    }
}

/// Whether a value is inside. `exact`: numbers count.
fn holds(value: ValueView<'_>, word: u64, exact: bool, concrete: &Concrete<'_, '_>, ids: &mut Ids) -> bool {
    let kind = value.kind();
    if kind == ValueKind::Scalar {
        if !exact {
            return true;
        }
        return value.num().contains(word) && (value.id() == 0 || related(value, word, ids));
    }
    if value.is_nullable() && !ids.agrees(value.id(), u64::from(word == 0), false) {
        return false;
    }
    if value.is_nullable() && word == 0 {
        return true;
    }
    points(value, kind, word, concrete)
}

/// Whether a number is as far from those with its id as it says.
fn related(value: ValueView<'_>, word: u64, ids: &mut Ids) -> bool {
    let base = word.wrapping_sub(i64::from(value.off()).cast_unsigned());
    if !value.wraps_at_32() {
        return ids.agrees(value.id(), base, true);
    }
    // Both the sum and what its id stands for are less than 2^32.
    word >> 32 == 0 && ids.agrees(value.id(), base & 0xffff_ffff, true)
}

/// Whether an address is where a pointer says.
fn points(value: ValueView<'_>, kind: ValueKind, word: u64, concrete: &Concrete<'_, '_>) -> bool {
    let run = concrete.run;
    let off = i64::from(value.off());
    // The variable part of the offset.
    let within = |offset: i64| value.num().contains(offset.wrapping_sub(off).cast_unsigned());
    let from = |base: u64| within(word.wrapping_sub(base).cast_signed());
    match kind {
        ValueKind::Uninit | ValueKind::Scalar => true,
        ValueKind::Context => run.context().is_some_and(from),
        ValueKind::Stack { frame } => run.reg(concrete.base + frame, Reg::R10).is_some_and(from),
        ValueKind::Packet => {
            let packet = run.packet();
            let exists = match value.range() {
                // So many bytes from where the constant part is 0.
                PacketRange::Bytes(bytes) => {
                    let zero = word.wrapping_sub(off.cast_unsigned());
                    bytes == 0 || zero + u64::from(bytes) <= packet.address(packet.end)
                }
                PacketRange::AtEnd => word >= packet.address(packet.end),
                PacketRange::BeyondEnd => word > packet.address(packet.end),
            };
            from(packet.address(packet.data)) && exists
        }
        ValueKind::PacketMeta => {
            let packet = run.packet();
            from(packet.address(packet.meta))
        }
        ValueKind::PacketEnd => word == run.packet().address(run.packet().end),
        ValueKind::Map(map) => run.place(word) == Place::Map(map.index()),
        ValueKind::MapValue(map) => match run.place(word) {
            Place::MapValue(index, offset) => index == map.index() && within(offset),
            _ => false,
        },
        ValueKind::RawBuffer(_) => match run.place(word) {
            Place::Raw(offset) => within(offset),
            _ => false,
        },
        ValueKind::CallerMemory(_) => concrete.given.iter().flatten().any(|base| from(*base)),
        ValueKind::Func(subprog) => {
            let start = u64::from(concrete.program.subprogs[subprog.index()].start.0);
            word & 0xffff_ffff == start
        }
        // The interpreter has no kernel, and hands out no keys.
        ValueKind::MapKey(_) | ValueKind::Kernel => true,
    }
}
