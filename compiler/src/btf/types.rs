//! A type, as a view of its record.
//!
//! Numbers and layouts are those of `Documentation/bpf/btf.rst`. A view reads; it follows no
//! reference.

use super::parse::vlen;
use super::{Btf, BtfError, StrOff, TypeId, u32_at};
use crate::isa::Endianness;

/// Kind of a type. The number of a kind is its place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names of `BTF_KIND_*`")]
pub enum Kind {
    Void,
    Int,
    Ptr,
    Array,
    Struct,
    Union,
    Enum,
    Fwd,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Func,
    FuncProto,
    Var,
    Datasec,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
}

/// Kinds by number. `void` has no record.
const KINDS: [Kind; 20] = [
    Kind::Void,
    Kind::Int,
    Kind::Ptr,
    Kind::Array,
    Kind::Struct,
    Kind::Union,
    Kind::Enum,
    Kind::Fwd,
    Kind::Typedef,
    Kind::Volatile,
    Kind::Const,
    Kind::Restrict,
    Kind::Func,
    Kind::FuncProto,
    Kind::Var,
    Kind::Datasec,
    Kind::Float,
    Kind::DeclTag,
    Kind::TypeTag,
    Kind::Enum64,
];

const _: () = {
    let mut i = 0;
    while i < KINDS.len() {
        assert!(KINDS[i] as usize == i, "kinds must stand at their numbers");
        i += 1;
    }
};

impl Kind {
    /// The kind in a record's `info` word; not `void`.
    pub(super) fn from_info(info: u32) -> Option<Self> {
        let number = (info >> 24 & 0x1f) as usize;
        KINDS.get(number).copied().filter(|&kind| kind != Self::Void)
    }

    /// Bytes that follow the fixed part of a record.
    pub(super) fn extra_len(self, vlen: usize) -> usize {
        match self {
            Self::Void
            | Self::Ptr
            | Self::Fwd
            | Self::Typedef
            | Self::Volatile
            | Self::Const
            | Self::Restrict
            | Self::Func
            | Self::Float
            | Self::TypeTag => 0,
            Self::Int | Self::Var | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Enum | Self::FuncProto => 8 * vlen,
            Self::Struct | Self::Union | Self::Datasec | Self::Enum64 => 12 * vlen,
        }
    }
}

/// A type.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    btf: &'a Btf,
    id: TypeId,
    kind: Kind,
    name: StrOff,
    info: u32,
    size_or_type: u32,
    extra: &'a [u8],
}

/// How an integer is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntEncoding {
    /// Whether it is signed.
    pub signed: bool,
    /// Whether it is a character.
    pub char: bool,
    /// Whether it is a truth value.
    pub bool: bool,
    /// Offset of the first bit.
    pub offset: u8,
    /// Number of bits.
    pub bits: u8,
}

/// An array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayInfo {
    /// Type of the elements.
    pub element: TypeId,
    /// Type of the index.
    pub index: TypeId,
    /// Number of elements.
    pub len: u32,
}

/// A member of a structure or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name; may be empty.
    pub name: StrOff,
    /// Type.
    pub ty: TypeId,
    /// Offset from the structure's start in bits.
    pub bit_offset: u32,
    /// Bits of a bit field; 0 where the member is none.
    pub bit_size: u8,
}

/// A parameter of a function. One without type is `...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Name; may be empty.
    pub name: StrOff,
    /// Type.
    pub ty: TypeId,
}

/// A value of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator {
    /// Name.
    pub name: StrOff,
    /// Value, sign-extended where the enumeration is signed.
    pub value: u64,
}

/// A variable of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VarInSection {
    /// The variable (or function, in sections of external symbols).
    pub var: TypeId,
    /// Offset in the section. The object's symbols know better: compilers leave it 0.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// Linkage of a function or variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names of C")]
pub enum Linkage {
    Static,
    Global,
    Extern,
}

impl<'a> Type<'a> {
    pub(super) fn new(
        btf: &'a Btf,
        id: TypeId,
        kind: Kind,
        name: u32,
        info: u32,
        size_or_type: u32,
        extra: &'a [u8],
    ) -> Self {
        Self { btf, id, kind, name: StrOff(name), info, size_or_type, extra }
    }

    pub(super) fn void(btf: &'a Btf) -> Self {
        Self::new(btf, TypeId::VOID, Kind::Void, 0, 0, 0, &[])
    }

    /// Words of its record.
    pub(super) fn word_count(&self) -> usize {
        3 + self.extra.len() / 4
    }

    /// A word of its record.
    pub(super) fn record_word(&self, index: usize) -> u32 {
        match index {
            0 => self.name.0,
            1 => self.info,
            2 => self.size_or_type,
            _ => self.word(index - 3),
        }
    }

    /// The BTF of which it is.
    pub(super) fn btf(&self) -> &'a Btf {
        self.btf
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where its name stands.
    #[must_use]
    pub fn name_off(&self) -> StrOff {
        self.name
    }

    /// Its name; empty where it has none.
    ///
    /// # Errors
    ///
    /// Where the record does not refer to a valid string.
    pub fn name(&self) -> Result<&'a str, BtfError> {
        self.btf.str(self.name)
    }

    /// `size` of kinds that have one.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size_or_type
    }

    /// The type to which kinds that have no size of their own refer: what a pointer points to, what
    /// a typedef stands for, what a function returns.
    #[must_use]
    pub fn referenced(&self) -> TypeId {
        TypeId(self.size_or_type)
    }

    /// `kind_flag`: bit fields in structures, signedness of enumerations, unions among forward
    /// declarations.
    #[must_use]
    pub fn flag(&self) -> bool {
        self.info >> 31 != 0
    }

    fn endianness(&self) -> Endianness {
        self.btf.endianness()
    }

    fn word(&self, index: usize) -> u32 {
        u32_at(self.endianness(), self.extra, index * 4)
    }

    /// Records of `size` words of a kind among `kinds`.
    fn words<const N: usize>(&self, kinds: &[Kind]) -> impl Iterator<Item = [u32; N]> + use<'a, N> {
        let endianness = self.endianness();
        let extra = if kinds.contains(&self.kind) { self.extra } else { &[] };
        extra.chunks_exact(4 * N).map(move |chunk| std::array::from_fn(|i| u32_at(endianness, chunk, 4 * i)))
    }

    /// An integer's encoding.
    #[must_use]
    pub fn int(&self) -> Option<IntEncoding> {
        let [bits, _, offset, encoding] = self.word(0).to_le_bytes();
        (self.kind == Kind::Int).then_some(IntEncoding {
            signed: encoding & 1 != 0,
            char: encoding & 2 != 0,
            bool: encoding & 4 != 0,
            offset,
            bits,
        })
    }

    /// An array's elements.
    #[must_use]
    pub fn array(&self) -> Option<ArrayInfo> {
        (self.kind == Kind::Array).then(|| ArrayInfo {
            element: TypeId(self.word(0)),
            index: TypeId(self.word(1)),
            len: self.word(2),
        })
    }

    /// Members of a structure or union; none of other kinds.
    pub fn members(&self) -> impl Iterator<Item = Member> + use<'a> {
        let ty = *self;
        self.words(&[Kind::Struct, Kind::Union]).map(move |words| ty.as_member(words))
    }

    /// A member of a structure or union by its index.
    #[must_use]
    pub fn member(&self, index: u32) -> Option<Member> {
        // Not `nth`, which would walk there.
        let start = (index as usize).checked_mul(12)?;
        let record = self.extra.get(start..)?;
        let [name, ty, offset] = [0, 4, 8].map(|at| u32_at(self.endianness(), record, at));
        let is_member = matches!(self.kind, Kind::Struct | Kind::Union) && record.len() >= 12;
        is_member.then(|| self.as_member([name, ty, offset]))
    }

    fn as_member(&self, [name, ty, offset]: [u32; 3]) -> Member {
        let [.., bits] = offset.to_le_bytes();
        let (bit_offset, bit_size) = if self.flag() { (offset & 0x00ff_ffff, bits) } else { (offset, 0) };
        Member { name: StrOff(name), ty: TypeId(ty), bit_offset, bit_size }
    }

    /// A value of an enumeration of either width by its index.
    #[must_use]
    pub fn enumerator(&self, index: u32) -> Option<Enumerator> {
        let words = match self.kind {
            Kind::Enum => 2,
            Kind::Enum64 => 3,
            Kind::Void
            | Kind::Int
            | Kind::Ptr
            | Kind::Array
            | Kind::Struct
            | Kind::Union
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag => return None,
        };
        let start = (index as usize).checked_mul(4 * words)?;
        let record = self.extra.get(start..).filter(|rest| rest.len() >= 4 * words)?;
        let word = |at: usize| u32_at(self.endianness(), record, 4 * at);
        Some(match self.kind == Kind::Enum64 {
            true => self.as_enumerator64([word(0), word(1), word(2)]),
            false => self.as_enumerator([word(0), word(1)]),
        })
    }

    fn as_enumerator(&self, [name, value]: [u32; 2]) -> Enumerator {
        let signed = self.flag();
        let value = if signed { i64::from(value.cast_signed()).cast_unsigned() } else { value.into() };
        Enumerator { name: StrOff(name), value }
    }

    fn as_enumerator64(&self, [name, low, high]: [u32; 3]) -> Enumerator {
        Enumerator { name: StrOff(name), value: u64::from(high) << 32 | u64::from(low) }
    }

    /// Parameters of a function's prototype; none of other kinds.
    pub fn params(&self) -> impl Iterator<Item = Param> + use<'a> {
        self.words(&[Kind::FuncProto]).map(|[name, ty]| Param { name: StrOff(name), ty: TypeId(ty) })
    }

    /// Values of an enumeration of either width; none of other kinds.
    pub fn enumerators(&self) -> impl Iterator<Item = Enumerator> + use<'a> {
        let ty = *self;
        let narrow = self.words(&[Kind::Enum]).map(move |words| ty.as_enumerator(words));
        let wide = self.words(&[Kind::Enum64]).map(move |words| ty.as_enumerator64(words));
        narrow.chain(wide)
    }

    /// Variables of a data section; none of other kinds.
    pub fn vars(&self) -> impl Iterator<Item = VarInSection> + use<'a> {
        self.words(&[Kind::Datasec]).map(|[var, offset, size]| VarInSection {
            var: TypeId(var),
            offset,
            size,
        })
    }

    /// Number of members, parameters, enumerators or variables.
    #[must_use]
    pub fn len(&self) -> usize {
        vlen(self.info)
    }

    /// Whether [`Type::len`] is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Linkage of a function or variable.
    #[must_use]
    pub fn linkage(&self) -> Option<Linkage> {
        let number = match self.kind {
            Kind::Func => self.info & 0xffff,
            Kind::Var => self.word(0),
            Kind::Void
            | Kind::Int
            | Kind::Ptr
            | Kind::Array
            | Kind::Struct
            | Kind::Union
            | Kind::Enum
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::FuncProto
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag
            | Kind::Enum64 => return None,
        };
        [Linkage::Static, Linkage::Global, Linkage::Extern].get(number as usize).copied()
    }

    /// What a declaration tag is attached to: a member or parameter by index, or the whole
    /// declaration where the index is -1.
    #[must_use]
    pub fn component(&self) -> Option<i32> {
        (self.kind == Kind::DeclTag).then(|| self.word(0).cast_signed())
    }
}
