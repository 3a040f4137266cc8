//! The value of a relocation by one side's types.

use super::spec::{LocalSpec, Step};
use super::{CoreError, CoreKind, Resize, Side, compat};
use crate::btf::{Kind, Type, TypeId};
use crate::isa::Endianness;

/// A value, and what the patching of the instruction must know.
pub(super) struct Value {
    pub(super) value: u64,
    /// Whether the compiler must have come to the same value.
    pub(super) validate: bool,
    /// Bytes of an access to the field, and its type; 0 and `void` for bit fields and for all that is
    /// no offset.
    size: u32,
    ty: TypeId,
}

impl Value {
    fn plain(value: impl Into<u64>) -> Self {
        Self { value: value.into(), validate: true, size: 0, ty: TypeId::VOID }
    }

    /// How the size of an access changes from this side, the object's, to the kernel's.
    pub(super) fn resize(
        &self,
        local: Side<'_>,
        other: &Self,
        target: Side<'_>,
    ) -> Result<Option<Resize>, CoreError> {
        if self.size == other.size {
            return Ok(None);
        }
        let (a, b) = (local.btf.get(self.ty)?, target.btf.get(other.ty)?);
        // libbpf compares the whole encoding: a signed `char` or `bool` passes, and there is none.
        let unsigned = |ty: Type<'_>| ty.int().is_some_and(|int| !int.signed || int.char || int.bool);
        let pointers = a.kind() == Kind::Ptr && b.kind() == Kind::Ptr;
        let safe = pointers || (unsigned(a) && unsigned(b));
        Ok(Some(Resize { from: self.size, to: other.size, safe }))
    }
}

/// The value where nothing of the kernel's matches; `None` where the instruction has no meaning then.
pub(super) fn of_nothing(kind: CoreKind) -> Option<u64> {
    match kind {
        CoreKind::FieldExists
        | CoreKind::TypeIdLocal
        | CoreKind::TypeIdTarget
        | CoreKind::TypeExists
        | CoreKind::TypeSize
        | CoreKind::EnumvalExists
        | CoreKind::TypeMatches => Some(0),
        CoreKind::FieldByteOffset
        | CoreKind::FieldByteSize
        | CoreKind::FieldSigned
        | CoreKind::FieldLshiftU64
        | CoreKind::FieldRshiftU64
        | CoreKind::EnumvalValue => None,
    }
}

/// The value by the types of a side, where it has what is asked for.
pub(super) fn of(side: Side<'_>, kind: CoreKind, spec: &LocalSpec<'_>) -> Result<Value, CoreError> {
    match kind {
        CoreKind::FieldExists | CoreKind::TypeExists | CoreKind::TypeMatches | CoreKind::EnumvalExists => {
            Ok(Value::plain(1_u32))
        }
        // Ids of types change when objects are linked.
        CoreKind::TypeIdLocal | CoreKind::TypeIdTarget => {
            Ok(Value { validate: false, ..Value::plain(spec.root.0) })
        }
        CoreKind::TypeSize => Ok(Value::plain(side.size_of(spec.root)?)),
        CoreKind::EnumvalValue => {
            let step = spec.steps.first();
            let ty = step.map_or(Ok(side.btf.get(TypeId::VOID)?), |step| side.btf.get(step.ty))?;
            let value = step.and_then(|step| ty.enumerator(step.index)).map_or(0, |e| e.value);
            // libbpf takes all of 32 bits for signed, whatever the type says.
            let [a, b, c, d, ..] = value.to_le_bytes();
            let extended = i64::from(i32::from_le_bytes([a, b, c, d])).cast_unsigned();
            Ok(Value::plain(if ty.kind() == Kind::Enum { extended } else { value }))
        }
        CoreKind::FieldByteOffset
        | CoreKind::FieldByteSize
        | CoreKind::FieldSigned
        | CoreKind::FieldLshiftU64
        | CoreKind::FieldRshiftU64 => {
            let Some(&step) = spec.steps.last() else { return Err(CoreError::Element { kind }) };
            match step.name {
                Some(_) => field(side, kind, spec, step),
                None => element(side, kind, spec, step),
            }
        }
    }
}

/// Of an array's element, or of a whole variable.
fn element(side: Side<'_>, kind: CoreKind, spec: &LocalSpec<'_>, step: Step<'_>) -> Result<Value, CoreError> {
    match kind {
        CoreKind::FieldByteOffset => {
            let size = side.size_of(innermost(side, step.ty)?)?;
            Ok(Value { size, ty: step.ty, ..Value::plain(spec.bit_offset / 8) })
        }
        CoreKind::FieldByteSize => Ok(Value::plain(side.size_of(step.ty)?)),
        CoreKind::FieldExists
        | CoreKind::FieldSigned
        | CoreKind::FieldLshiftU64
        | CoreKind::FieldRshiftU64
        | CoreKind::TypeIdLocal
        | CoreKind::TypeIdTarget
        | CoreKind::TypeExists
        | CoreKind::TypeSize
        | CoreKind::EnumvalExists
        | CoreKind::EnumvalValue
        | CoreKind::TypeMatches => Err(CoreError::Element { kind }),
    }
}

/// The word that holds a field.
struct Word {
    /// Its offset in bytes.
    off: u64,
    /// Its size in bytes.
    size: u64,
    /// Bits of the field.
    bits: u64,
}

impl Word {
    /// The smallest aligned word that holds a bit field, from one as wide as its type on.
    fn of_bit_field(bit_off: u64, bits: u64, size: u32) -> Result<Self, CoreError> {
        let mut size = u64::from(size);
        loop {
            let off = (bit_off / 8).checked_div(size).ok_or(CoreError::BitField)? * size;
            if bit_off + bits <= (off + size) * 8 {
                return Ok(Self { off, size, bits });
            }
            if size >= 8 {
                return Err(CoreError::BitField);
            }
            size *= 2;
        }
    }
}

/// Of a member.
fn field(side: Side<'_>, kind: CoreKind, spec: &LocalSpec<'_>, step: Step<'_>) -> Result<Value, CoreError> {
    let member = side.btf.get(step.ty)?.member(step.index).ok_or(CoreError::Element { kind })?;
    let ty = side.unqualified(member.ty)?;
    let bit_field = member.bit_size > 0;
    let word = if bit_field {
        Word::of_bit_field(spec.bit_offset, member.bit_size.into(), ty.size())?
    } else {
        let size = u64::from(side.size_of(ty.id())?);
        Word { off: spec.bit_offset / 8, size, bits: size * 8 }
    };
    let (value, validate) = match kind {
        CoreKind::FieldByteOffset => (word.off, !bit_field),
        CoreKind::FieldByteSize => (word.size, !bit_field),
        CoreKind::FieldSigned => {
            let signed_enum = compat::is_enum(ty.kind()) && ty.flag();
            (u64::from(signed_enum || ty.int().is_some_and(|int| int.signed)), true)
        }
        // libbpf computes with 32 bits, which fields of more than 8 bytes exceed.
        CoreKind::FieldLshiftU64 => {
            let first = spec.bit_offset.wrapping_sub(word.off * 8);
            let shift = match side.btf.endianness() {
                Endianness::Little => 64_u64.wrapping_sub(first.wrapping_add(word.bits)),
                Endianness::Big => 64_u64.wrapping_sub(word.size * 8).wrapping_add(first),
            };
            (shift & u64::from(u32::MAX), !bit_field)
        }
        CoreKind::FieldRshiftU64 => (64_u64.wrapping_sub(word.bits) & u64::from(u32::MAX), true),
        CoreKind::FieldExists
        | CoreKind::TypeIdLocal
        | CoreKind::TypeIdTarget
        | CoreKind::TypeExists
        | CoreKind::TypeSize
        | CoreKind::EnumvalExists
        | CoreKind::EnumvalValue
        | CoreKind::TypeMatches => return Err(CoreError::Element { kind }),
    };
    let mut result = Value { validate, ..Value::plain(value) };
    if kind == CoreKind::FieldByteOffset && !bit_field {
        result.size = side.size_of(innermost(side, ty.id())?)?;
        result.ty = ty.id();
    }
    Ok(result)
}

/// What arrays of arrays have in the end: accesses are to one element.
fn innermost(side: Side<'_>, id: TypeId) -> Result<TypeId, CoreError> {
    let mut ty = side.unqualified(id)?;
    for _ in 0..crate::btf::MAX_DEPTH {
        match ty.array() {
            Some(array) => ty = side.unqualified(array.element)?,
            None => return Ok(ty.id()),
        }
    }
    Err(compat::too_deep())
}
