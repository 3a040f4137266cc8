//! Where C would place the members of a structure, and what makes it place them where BTF says.
//!
//! The rules are those of clang for BPF: a member begins at a multiple of its alignment; a bit field
//! goes on where the last one ended unless it would then cross a unit of its type; a structure is as
//! aligned as its most aligned member, and its size a multiple of that. `packed` makes every
//! alignment one byte, of bit fields one bit. Bit fields without name place, but do not align.

use super::super::{Btf, BtfError, Kind, Member, Type, TypeId};
use super::MAX_NESTING;

/// What a structure or union is written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Its members with padding between them.
    Members { packed: bool, items: Vec<Item> },
    /// C has no way to say it: bytes.
    Bytes,
}

/// What stands in a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A member, with the width of a bit field.
    Member(Member, Option<u32>),
    /// A bit field without name of a type of so many bits.
    Gap { unit: u32, bits: u32 },
    /// Bytes with a name: a long gap, or what makes a union larger than its members.
    Bytes(u32),
}

/// Bytes of a gap from which on it is an array.
const LONG_GAP: u64 = 512;

/// The alignments that are known.
pub(super) struct Layouts {
    /// Bytes by type; 0 where not known yet.
    aligns: Vec<u8>,
}

/// Offset, size and alignment of a member in bits.
struct Place {
    at: u64,
    size: u64,
    align: u64,
    bit_field: bool,
}

impl Layouts {
    pub(super) fn new(types: usize) -> Self {
        Self { aligns: vec![0; types] }
    }

    /// How a structure or union is written, and its alignment then.
    pub(super) fn plan(&mut self, btf: &Btf, ty: &Type<'_>, depth: usize) -> Result<Plan, BtfError> {
        let mut places = Vec::with_capacity(ty.len());
        let mut fits = true;
        for member in ty.members() {
            match self.place(btf, ty, &member, depth)? {
                Some(place) => places.push((member, place)),
                None => fits = false,
            }
        }
        let size = u64::from(ty.size()) * 8;
        let align = places.iter().map(|(_, place)| place.align).max().unwrap_or(8);
        let packed = !size.is_multiple_of(align) || places.iter().any(|(_, place)| place.is_misplaced());
        let items = match ty.kind() {
            Kind::Union => union(&places, size, if packed { 8 } else { align }),
            _ => structure(&places, size, packed, align),
        };
        let (plan, align) = match items.filter(|_| fits) {
            Some(items) => (Plan::Members { packed, items }, if packed { 8 } else { align }),
            None => (Plan::Bytes, 8),
        };
        if let Some(known) = self.aligns.get_mut(ty.id().0 as usize) {
            *known = u8::try_from(align / 8).unwrap_or(1);
        }
        Ok(plan)
    }

    /// Where a member is; `None` where it has no size, or is no bit field of C.
    fn place(
        &mut self,
        btf: &Btf,
        ty: &Type<'_>,
        member: &Member,
        depth: usize,
    ) -> Result<Option<Place>, BtfError> {
        let Ok(size) = btf.size_of(member.ty) else { return Ok(None) };
        let (size, at) = (u64::from(size) * 8, u64::from(member.bit_offset));
        let align = self.align_of(btf, member.ty, depth)? * 8;
        let (width, shift) = width(btf, ty, member)?;
        Ok(match width {
            None => Some(Place { at, size, align, bit_field: false }),
            Some(width) if u64::from(width) <= size && width <= 64 => {
                Some(Place { at: at + u64::from(shift), size: width.into(), align, bit_field: true })
            }
            Some(_) => None,
        })
    }

    /// Alignment of a type in bytes.
    fn align_of(&mut self, btf: &Btf, id: TypeId, depth: usize) -> Result<u64, BtfError> {
        let mut at = id;
        for _ in 0..=MAX_NESTING {
            let ty = btf.unqualified(at)?;
            match ty.kind() {
                Kind::Array => at = ty.array().ok_or(BtfError::NoSuchType { id })?.element,
                Kind::Ptr => return Ok(8),
                Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Float => {
                    return Ok(u64::from(ty.size().clamp(1, 16).next_power_of_two()));
                }
                Kind::Struct | Kind::Union => {
                    if depth > MAX_NESTING {
                        return Err(BtfError::TooDeep { id });
                    }
                    let known = |layouts: &Self| layouts.aligns.get(ty.id().0 as usize).copied();
                    if known(self) == Some(0) {
                        self.plan(btf, &ty, depth + 1)?;
                    }
                    return Ok(u64::from(known(self).unwrap_or(1).max(1)));
                }
                Kind::Void
                | Kind::Fwd
                | Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Func
                | Kind::FuncProto
                | Kind::Var
                | Kind::Datasec
                | Kind::DeclTag
                | Kind::TypeTag => return Ok(1),
            }
        }
        Err(BtfError::TooDeep { id })
    }
}

/// The width of a bit field, and the bits before it in its integer, as old BTF has them.
fn width(btf: &Btf, ty: &Type<'_>, member: &Member) -> Result<(Option<u32>, u8), BtfError> {
    if member.bit_size > 0 {
        return Ok((Some(member.bit_size.into()), 0));
    }
    let plain = btf.unqualified(member.ty)?;
    let partial =
        plain.int().filter(|int| !ty.flag() && u32::from(int.bits) < plain.size().saturating_mul(8));
    if let Some(int) = partial {
        return Ok((Some(int.bits.into()), int.offset));
    }
    // A member that begins within a byte can be nothing else.
    let within = !member.bit_offset.is_multiple_of(8);
    Ok((within.then(|| plain.size().saturating_mul(8)), 0))
}

impl Place {
    /// Whether C would place it elsewhere without `packed`.
    fn is_misplaced(&self) -> bool {
        if self.bit_field {
            self.at % self.align + self.size > self.align
        } else {
            !self.at.is_multiple_of(self.align)
        }
    }
}

/// The items of a structure; `None` where members overlap or do not fit.
fn structure(places: &[(Member, Place)], size: u64, packed: bool, align: u64) -> Option<Vec<Item>> {
    let mut items = Vec::with_capacity(places.len());
    let mut end = 0;
    for (member, place) in places {
        if place.at < end {
            return None;
        }
        let natural = match (packed, place.bit_field) {
            (true, true) => end,
            (true, false) => end.next_multiple_of(8),
            (false, true) if end % place.align + place.size <= place.align => end,
            (false, _) => end.next_multiple_of(place.align),
        };
        if natural != place.at {
            fill(&mut items, end, place.at);
        }
        end = place.at + place.size;
        let width = place.bit_field.then(|| u32::try_from(place.size).ok()).flatten();
        items.push(Item::Member(*member, width));
    }
    if end > size {
        return None;
    }
    if end.next_multiple_of(if packed { 8 } else { align }) != size {
        fill(&mut items, end, size);
    }
    Some(items)
}

/// The items of a union; `None` where a member does not begin at its start.
fn union(places: &[(Member, Place)], size: u64, align: u64) -> Option<Vec<Item>> {
    let largest = places.iter().map(|(_, place)| place.size).max().unwrap_or(0);
    if largest > size || places.iter().any(|(_, place)| place.at != 0) {
        return None;
    }
    let item = |(member, place): &(Member, Place)| {
        Item::Member(*member, place.bit_field.then(|| u32::try_from(place.size).ok()).flatten())
    };
    let mut items: Vec<Item> = places.iter().map(item).collect();
    if largest.next_multiple_of(align) != size {
        items.push(Item::Bytes(u32::try_from(size / 8).ok()?));
    }
    Some(items)
}

/// Fills the bits from `from` to `to`.
fn fill(items: &mut Vec<Item>, mut from: u64, to: u64) {
    if to - from > LONG_GAP * 8 {
        let start = from.next_multiple_of(8);
        if start > from {
            fill(items, from, start);
        }
        items.extend(u32::try_from((to - start) / 8).map(Item::Bytes));
        from = to - to % 8;
    }
    while from < to {
        let rest = to - from;
        // The smallest type that holds all of it, or as much as the largest would.
        let room = |unit: u64| unit - from % unit;
        let units = [8, 16, 32, 64];
        let unit = units.into_iter().find(|&unit| room(unit) >= rest.min(room(64))).unwrap_or(64);
        let bits = rest.min(room(unit));
        items.push(Item::Gap {
            unit: u32::try_from(unit).unwrap_or(64),
            bits: u32::try_from(bits).unwrap_or(64),
        });
        from += bits;
    }
}
