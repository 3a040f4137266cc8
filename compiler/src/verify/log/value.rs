//! Values and states as the kernel's log writes them.

use std::fmt::{Display, Formatter, Result, Write};

use crate::isa::Reg;
use crate::program::{KernelTypes, Program};
use crate::verify::scalar::Scalar;
use crate::verify::stack::Byte;
use crate::verify::state::State;
use crate::verify::value::{Flags, Kind, Shift, TypesOf, Value};

/// A value, written for a state whose executing function has the frame `depth`.
pub(in crate::verify) struct Printed<'a> {
    pub program: &'a Program,
    pub value: &'a Value,
    /// Index of the executing function's frame.
    pub depth: usize,
}

/// Unsigned numbers are decimal as far as people read them so.
fn unsigned(f: &mut Formatter<'_>, x: u64) -> Result {
    if x <= u16::MAX.into() { write!(f, "{x}") } else { write!(f, "{x:#x}") }
}

fn signed(f: &mut Formatter<'_>, x: i64) -> Result {
    if i16::try_from(x).is_ok() { write!(f, "{x}") } else { write!(f, "{x:#x}") }
}

/// A bound's number, as it is compared and as it is written.
enum Bound {
    Signed(i64),
    Unsigned(u64),
}

/// Bounds that say something; of those with equal numbers, all names stand before the number.
fn ranges(f: &mut Formatter<'_>, num: &Scalar, separator: &mut &'static str) -> Result {
    let signed_bound = |x: i64, trivial: i64| (Bound::Signed(x), x == trivial);
    let unsigned_bound = |x: u64, trivial: u64| (Bound::Unsigned(x), x == trivial);
    let bounds = [
        ("smin", signed_bound(num.smin(), i64::MIN)),
        ("smax", signed_bound(num.smax(), i64::MAX)),
        ("umin", unsigned_bound(num.umin(), 0)),
        ("umax", unsigned_bound(num.umax(), u64::MAX)),
        ("smin32", signed_bound(num.s32_min().into(), i32::MIN.into())),
        ("smax32", signed_bound(num.s32_max().into(), i32::MAX.into())),
        ("umin32", unsigned_bound(num.u32_min().into(), 0)),
        ("umax32", unsigned_bound(num.u32_max().into(), u32::MAX.into())),
    ];
    let number = |bound: &Bound| match *bound {
        Bound::Signed(x) => x.cast_unsigned(),
        Bound::Unsigned(x) => x,
    };
    for (index, (_, (bound, trivial))) in bounds.iter().enumerate() {
        let same = |(_, (other, trivial)): &(&str, (Bound, bool))| !trivial && number(other) == number(bound);
        if *trivial || bounds[..index].iter().any(same) {
            continue;
        }
        write!(f, "{}", std::mem::replace(separator, ","))?;
        for (name, _) in bounds[index..].iter().filter(|bound| same(bound)) {
            write!(f, "{name}=")?;
        }
        match *bound {
            Bound::Signed(x) => signed(f, x)?,
            Bound::Unsigned(x) => unsigned(f, x)?,
        }
    }
    if num.bits().mask() != u64::MAX {
        write!(
            f,
            "{}var_off=({:#x}; {:#x})",
            std::mem::replace(separator, ","),
            num.bits().value(),
            num.bits().mask()
        )?;
    }
    Ok(())
}

impl Display for Printed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { program, value, depth } = *self;
        if let (true, Some(x)) = (value.is_scalar(), value.num.as_constant()) {
            return signed(f, x.cast_signed());
        }
        if let Kind::Stack { frame } = value.kind {
            f.write_str("fp")?;
            if usize::from(frame) != depth {
                write!(f, "[{frame}]")?;
            }
            if let Some(off) = value.constant_offset() {
                return signed(f, off);
            }
        } else {
            write!(f, "{}", value.kind_name())?;
            self.structure(f)?;
        }
        f.write_str("(")?;
        let mut separator = "";
        let mut attribute = |f: &mut Formatter<'_>, text: std::fmt::Arguments<'_>| {
            write!(f, "{}{text}", std::mem::replace(&mut separator, ","))
        };
        if value.id != 0 {
            attribute(f, format_args!("id={}", value.id))?;
            if value.is_scalar() && value.shift != Shift::None {
                write!(f, "{:+}", value.off)?;
            }
        }
        if value.ref_id != 0 {
            attribute(f, format_args!("ref_obj_id={}", value.ref_id))?;
        }
        if value.flags.has(Flags::NON_OWNING) {
            attribute(f, format_args!("non_own_ref"))?;
        }
        if let Kind::Map(id) | Kind::MapValue(id) | Kind::MapKey(id) = value.kind
            && let Some(map) = program.maps.get(id.index())
        {
            attribute(
                f,
                format_args!("map={},ks={},vs={}", map.name.escape_default(), map.key_size, map.value_size),
            )?;
        }
        if !value.is_scalar() && value.off != 0 {
            attribute(f, format_args!("off={}", value.off))?;
        }
        if value.is_packet() {
            attribute(f, format_args!("r={}", value.range))?;
        }
        if let Kind::Memory { size, .. } = value.kind {
            attribute(f, format_args!("sz={size}"))?;
        }
        match value.num.as_constant() {
            Some(0) => {}
            Some(x) => attribute(f, format_args!("imm={x:#x}"))?,
            None => ranges(f, &value.num, &mut separator)?,
        }
        f.write_str(")")
    }
}

impl Printed<'_> {
    /// The name of the structure that a pointer leads to.
    fn structure(&self, f: &mut Formatter<'_>) -> Result {
        let Kind::Btf(pointer) = self.value.kind else { return Ok(()) };
        let btf = match (pointer.types, &self.program.kernel) {
            (TypesOf::Program, _) => self.program.btf.as_deref(),
            (TypesOf::Kernel, KernelTypes::Kernel(kernel)) => Some(&*kernel.vmlinux),
            (TypesOf::Kernel, KernelTypes::Own) => None,
        };
        let ty = btf.and_then(|btf| btf.get(pointer.ty).ok());
        match ty.and_then(|ty| ty.name().ok()) {
            Some(name) => write!(f, "{}", name.escape_default()),
            None => Ok(()),
        }
    }
}

/// Registers and slots of a frame.
#[derive(Clone, Copy, Debug)]
pub(in crate::verify) struct Chosen {
    /// Bit n is register n.
    pub regs: u16,
    /// Bit n is the slot at `r10 - 8 * (n + 1)`.
    pub slots: u64,
}

impl Chosen {
    /// All of them.
    pub const ALL: Self = Self { regs: u16::MAX, slots: u64::MAX };
}

/// What a frame holds in the registers and slots that are chosen, where they hold something; each behind a blank.
pub(in crate::verify) fn frame(program: &Program, state: &State, index: usize, chosen: Chosen) -> String {
    let mut text = String::new();
    let frame = state.frame(index);
    let printed = |value| Printed { program, value, depth: index };
    for reg in Reg::all() {
        let value = frame.reg(reg);
        if chosen.regs & 1 << reg.number() != 0 && value.kind != Kind::Uninit {
            // Writing to a String cannot fail.
            let _ = write!(text, " R{}={}", reg.number(), printed(value));
        }
    }
    for (at, slot) in frame.stack.slots().enumerate() {
        if at >= 64 || chosen.slots & 1 << at == 0 || slot.bytes.iter().all(|byte| *byte == Byte::Invalid) {
            continue;
        }
        let _ = write!(text, " fp-{}=", 8 * (at + 1));
        // As the kernel does, from the highest address.
        if slot.spill_size() < 8 {
            let letter = |byte: &Byte| match byte {
                Byte::Invalid => '?',
                Byte::Misc => 'm',
                Byte::Zero => '0',
                Byte::Spill => 'r',
            };
            text.extend(slot.bytes.iter().rev().map(letter).filter(|c| !slot.is_spill() || *c != 'r'));
        }
        if slot.is_spill() {
            let _ = write!(text, "{}", printed(&slot.spill));
        }
    }
    text
}
