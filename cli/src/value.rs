//! Shows the bytes of keys, values and variables as what their BTF type says that they are.
//!
//! Where there is no type, where it does not fit the bytes, or where showing it would take too
//! long, bytes are shown as a number or as they are: nothing here fails.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use brolga_compiler::btf::{Btf, BtfError, IntEncoding, Kind, MAX_DEPTH, Type, TypeId};
use brolga_compiler::isa::Endianness;
use serde_json::json;

/// Bytes without a meaning of which no more are shown to people.
const MAX_BYTES: usize = 64;

/// Most parts of one value that are shown one by one.
const MAX_PARTS: usize = 65_536;

/// Bytes with a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Int(i128),
    /// A truth value.
    Bool(bool),
    /// A value of an enumeration, by name.
    Enumerator(String),
    /// 32 bits in network order (`__be32`), which mostly are an address.
    Address(Ipv4Addr),
    /// Four of those, which mostly are an IPv6 address.
    AddressV6(Ipv6Addr),
    /// Text that ends at a zero.
    Text(String),
    /// Bytes without a known meaning.
    Bytes(Vec<u8>),
    /// Elements.
    Array(Vec<Value>),
    /// Members by name.
    Struct(Vec<(String, Value)>),
}

/// The value of bytes in a byte order as a type of an object's BTF.
pub fn decode(order: Endianness, btf: Option<&Btf>, ty: Option<TypeId>, bytes: &[u8]) -> Value {
    let typed = || {
        let mut decoder = Decoder { btf: btf?, order, left: MAX_PARTS };
        decoder.value(type_of(btf?, ty?), bytes, MAX_DEPTH).ok()
    };
    typed().unwrap_or_else(|| plain(order, bytes))
}

/// The type of a variable; other types are their own.
pub fn type_of(btf: &Btf, id: TypeId) -> TypeId {
    match btf.get(id) {
        Ok(ty) if ty.kind() == Kind::Var => ty.referenced(),
        _ => id,
    }
}

/// Bytes without a type.
fn plain(order: Endianness, bytes: &[u8]) -> Value {
    match bytes.len() {
        1 | 2 | 4 | 8 => Value::Int(integer(order, bytes, false)),
        _ => Value::Bytes(bytes.to_vec()),
    }
}

/// A number.
fn integer(order: Endianness, bytes: &[u8], signed: bool) -> i128 {
    let mut bytes = bytes.to_vec();
    if order == Endianness::Little {
        bytes.reverse();
    }
    let negative = signed && bytes.first().is_some_and(|first| first & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i128::from(*byte))
}

/// The value cannot be shown as its type.
struct Unfit;

impl From<BtfError> for Unfit {
    fn from(_: BtfError) -> Self {
        Self
    }
}

struct Decoder<'a> {
    btf: &'a Btf,
    order: Endianness,
    /// Parts that may still be shown.
    left: usize,
}

impl Decoder<'_> {
    fn value(&mut self, id: TypeId, bytes: &[u8], depth: usize) -> Result<Value, Unfit> {
        self.left = self.left.checked_sub(1).ok_or(Unfit)?;
        let depth = depth.checked_sub(1).ok_or(Unfit)?;
        if self.btf.size_of(id)? as usize != bytes.len() {
            return Err(Unfit);
        }
        if let Some(value) = self.network_order(id, bytes)? {
            return Ok(value);
        }
        let ty = self.btf.unqualified(id)?;
        match ty.kind() {
            Kind::Int => Ok(int(self.order, ty.int().ok_or(Unfit)?, bytes)),
            Kind::Enum | Kind::Enum64 => self.enumeration(&ty, bytes),
            Kind::Ptr => Ok(Value::Int(integer(self.order, bytes, false))),
            Kind::Array => self.array(&ty, bytes, depth),
            Kind::Struct => self.structure(&ty, bytes, depth),
            // Which member counts is not known.
            Kind::Union | Kind::Float => Ok(plain(self.order, bytes)),
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
            | Kind::TypeTag => Err(Unfit),
        }
    }

    /// The value where one of the type's names is that of a type in network order.
    fn network_order(&self, mut id: TypeId, bytes: &[u8]) -> Result<Option<Value>, Unfit> {
        for _ in 0..MAX_DEPTH {
            let ty = self.btf.get(id)?;
            match ty.kind() {
                Kind::Typedef if ty.name()?.starts_with("__be") => {
                    return Ok(match *bytes {
                        [a, b, c, d] => Some(Value::Address(Ipv4Addr::new(a, b, c, d))),
                        [a, b] => Some(Value::Int(u16::from_be_bytes([a, b]).into())),
                        [a, b, c, d, e, f, g, h] => {
                            Some(Value::Int(u64::from_be_bytes([a, b, c, d, e, f, g, h]).into()))
                        }
                        _ => None,
                    });
                }
                Kind::Typedef | Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag => {
                    id = ty.referenced();
                }
                _ => return Ok(None),
            }
        }
        Err(Unfit)
    }

    fn enumeration(&self, ty: &Type<'_>, bytes: &[u8]) -> Result<Value, Unfit> {
        let value = integer(self.order, bytes, ty.flag());
        for enumerator in ty.enumerators() {
            let number = if ty.flag() {
                i128::from(enumerator.value.cast_signed())
            } else {
                i128::from(enumerator.value)
            };
            if number == value {
                return Ok(Value::Enumerator(self.btf.str(enumerator.name)?.to_owned()));
            }
        }
        Ok(Value::Int(value))
    }

    fn array(&mut self, ty: &Type<'_>, bytes: &[u8], depth: usize) -> Result<Value, Unfit> {
        let element = ty.array().ok_or(Unfit)?.element;
        let size = self.btf.size_of(element)? as usize;
        if size == 0 {
            return Err(Unfit);
        }
        let plain = self.btf.unqualified(element)?;
        if plain.int().is_some_and(|encoding| encoding.char) || plain.name()? == "char" {
            return Ok(text(bytes));
        }
        let elements = bytes.chunks(size).map(|part| self.value(element, part, depth));
        let elements = elements.collect::<Result<Vec<_>, _>>()?;
        let addresses = elements.iter().all(|element| matches!(element, Value::Address(_)));
        Ok(match <[u8; 16]>::try_from(bytes) {
            Ok(bytes) if addresses => Value::AddressV6(bytes.into()),
            _ => Value::Array(elements),
        })
    }

    fn structure(&mut self, ty: &Type<'_>, bytes: &[u8], depth: usize) -> Result<Value, Unfit> {
        let mut members = Vec::new();
        for member in ty.members() {
            let name = self.btf.str(member.name)?.to_owned();
            let value = if member.bit_size > 0 {
                self.left = self.left.checked_sub(1).ok_or(Unfit)?;
                bit_field(self.order, bytes, member.bit_offset as usize, member.bit_size)?
            } else {
                let start = member.bit_offset as usize / 8;
                let size = self.btf.size_of(member.ty)? as usize;
                let part = start.checked_add(size).and_then(|end| bytes.get(start..end)).ok_or(Unfit)?;
                self.value(member.ty, part, depth)?
            };
            members.push((name, value));
        }
        Ok(Value::Struct(members))
    }
}

fn int(order: Endianness, encoding: IntEncoding, bytes: &[u8]) -> Value {
    if encoding.bool {
        Value::Bool(bytes.iter().any(|b| *b != 0))
    } else {
        Value::Int(integer(order, bytes, encoding.signed))
    }
}

/// Bits of a structure, which a big-endian machine counts from the other end.
fn bit_field(order: Endianness, bytes: &[u8], offset: usize, size: u8) -> Result<Value, Unfit> {
    if size > 64 {
        return Err(Unfit);
    }
    let mut value = 0_i128;
    for bit in 0..usize::from(size) {
        let (bit, shift) = match order {
            Endianness::Little => (offset + usize::from(size) - 1 - bit, 0),
            Endianness::Big => (offset + bit, 7),
        };
        let byte = bytes.get(bit / 8).ok_or(Unfit)?;
        value = value << 1 | i128::from(byte >> (shift ^ (bit % 8)) & 1);
    }
    Ok(Value::Int(value))
}

/// Characters up to a zero, where all are printable and nothing follows; else the bytes.
fn text(bytes: &[u8]) -> Value {
    let len = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(len);
    match std::str::from_utf8(text) {
        Ok(text) if rest.iter().all(|b| *b == 0) && !text.contains(char::is_control) => {
            Value::Text(text.to_owned())
        }
        _ => Value::Bytes(bytes.to_vec()),
    }
}

impl Value {
    /// Whether all bytes are zero.
    fn is_zero(&self) -> bool {
        match self {
            Self::Int(value) => *value == 0,
            Self::Bool(value) => !value,
            Self::Enumerator(_) => false,
            Self::Address(address) => address.is_unspecified(),
            Self::AddressV6(address) => address.is_unspecified(),
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.iter().all(|b| *b == 0),
            Self::Array(elements) => elements.iter().all(Self::is_zero),
            Self::Struct(members) => members.iter().all(|(_, value)| value.is_zero()),
        }
    }

    /// As JSON. Numbers beyond 64 bits do not occur but in bit fields, and are text then.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => json!(value),
                (_, Ok(value)) => json!(value),
                _ => json!(value.to_string()),
            },
            Self::Bool(value) => json!(value),
            Self::Enumerator(name) | Self::Text(name) => json!(name),
            Self::Address(address) => json!(address.to_string()),
            Self::AddressV6(address) => json!(address.to_string()),
            Self::Bytes(bytes) => json!(hex(bytes)),
            Self::Array(elements) => elements.iter().map(Self::json).collect(),
            Self::Struct(members) => {
                members.iter().map(|(name, value)| (name.clone(), value.json())).collect()
            }
        }
    }
}

impl fmt::Display for Value {
    /// As C would initialise it; of long arrays that are mostly zero only what is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Enumerator(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
            Self::AddressV6(address) => write!(f, "{address}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => match bytes.get(..MAX_BYTES) {
                None => f.write_str(&hex(bytes)),
                Some(_) if self.is_zero() => write!(f, "{} zero bytes", bytes.len()),
                Some(start) => write!(f, "{}… ({} bytes)", hex(start), bytes.len()),
            },
            Self::Array(elements) => {
                let zeros = elements.iter().filter(|element| element.is_zero()).count();
                let sparse = elements.len() > 8 && zeros > elements.len() / 2;
                f.write_str("{")?;
                let mut separator = " ";
                for (i, element) in elements.iter().enumerate() {
                    if !sparse {
                        write!(f, "{separator}{element}")?;
                    } else if !element.is_zero() {
                        write!(f, "{separator}[{i}] = {element}")?;
                    } else {
                        continue;
                    }
                    separator = ", ";
                }
                f.write_str(if separator == " " { "}" } else { " }" })
            }
            Self::Struct(members) => {
                f.write_str("{")?;
                let mut separator = " ";
                for (name, value) in members {
                    let equals = if name.is_empty() { "" } else { " = " };
                    write!(f, "{separator}{name}{equals}{value}")?;
                    separator = ", ";
                }
                f.write_str(" }")
            }
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use brolga_compiler::isa::Endianness;

    use super::{Value, decode, hex};

    #[test]
    fn bytes_without_a_type_are_numbers_where_they_can_be() {
        assert_eq!(decode(Endianness::Big, None, None, &258_u32.to_be_bytes()), Value::Int(258));
        assert_eq!(decode(Endianness::Little, None, None, &[0xff; 8]), Value::Int(u64::MAX.into()));
        assert_eq!(decode(Endianness::Little, None, None, &[1, 2, 3]), Value::Bytes(vec![1, 2, 3]));
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }

    #[test]
    fn long_arrays_are_shown_without_their_zeros() {
        let mut elements = vec![Value::Int(0); 9];
        assert_eq!(Value::Array(elements.clone()).to_string(), "{}");
        elements[6] = Value::Int(-5);
        assert_eq!(Value::Array(elements).to_string(), "{ [6] = -5 }");
        let members = vec![("a".to_owned(), Value::Int(1)), (String::new(), Value::Bool(true))];
        assert_eq!(Value::Struct(members).to_string(), "{ a = 1, true }");
        assert_eq!(Value::Array(vec![Value::Int(0), Value::Int(2)]).to_string(), "{ 0, 2 }");
    }
}
