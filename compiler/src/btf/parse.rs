//! Finds the records of a BTF section.
//!
//! The header and the bounds of every record are checked here, once. What records refer to is not.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::types::{Kind, Type};
use super::{Btf, BtfError, TypeId, u32_at};
use crate::isa::Endianness;

const MAGIC: u16 = 0xeb9f;

/// Bytes of a header's fixed part; it says its own length, which may be larger.
const HEADER: usize = 24;

/// Bytes of a record before what its kind adds.
pub(super) const RECORD: usize = 12;

/// Most types of one BTF, its base included: ids must leave room in 32 bits. Linux's `BTF_MAX_TYPE`.
pub(super) const MAX_TYPE: u32 = 0x000f_ffff;

/// The parts that both `.BTF` and `.BTF.ext` begin with.
pub(super) struct Header<'a> {
    pub(super) endianness: Endianness,
    /// The header itself.
    pub(super) header: &'a [u8],
    /// What follows the header; offsets in the header count from here.
    pub(super) body: &'a [u8],
}

impl<'a> Header<'a> {
    /// Checks magic number, version and length.
    pub(super) fn parse(bytes: &'a [u8], least: usize) -> Result<Self, BtfError> {
        let magic: [u8; 2] = bytes.get(..2).and_then(|b| b.try_into().ok()).ok_or(BtfError::NotBtf)?;
        let endianness = match (u16::from_le_bytes(magic), u16::from_be_bytes(magic)) {
            (MAGIC, _) => Endianness::Little,
            (_, MAGIC) => Endianness::Big,
            _ => return Err(BtfError::NotBtf),
        };
        if bytes.get(2) != Some(&1) {
            return Err(BtfError::NotBtf);
        }
        if bytes.len() < least {
            return Err(BtfError::Truncated { what: "header", offset: 0 });
        }
        let found = u32_at(endianness, bytes, 4);
        let len = found as usize;
        if len < least {
            return Err(BtfError::Invalid { what: "header length", offset: 4, found });
        }
        if len > bytes.len() {
            return Err(BtfError::Truncated { what: "header", offset: 0 });
        }
        let (header, body) = bytes.split_at(len);
        Ok(Self { endianness, header, body })
    }

    /// The part whose offset and length stand at a place in the header.
    pub(super) fn part(&self, what: &'static str, at: usize) -> Result<&'a [u8], BtfError> {
        let range = self.part_range(what, at)?;
        Ok(&self.body[range.start - self.header.len()..range.end - self.header.len()])
    }

    /// As [`Header::part`], as a range of all bytes.
    fn part_range(&self, what: &'static str, at: usize) -> Result<Range<usize>, BtfError> {
        let off = u32_at(self.endianness, self.header, at);
        let len = u32_at(self.endianness, self.header, at + 4);
        let truncated = || BtfError::Truncated { what, offset: self.header.len() as u64 + u64::from(off) };
        let start = self.header.len().checked_add(off as usize).ok_or_else(truncated)?;
        let end = start.checked_add(len as usize).ok_or_else(truncated)?;
        if end > self.header.len() + self.body.len() {
            return Err(truncated());
        }
        Ok(start..end)
    }
}

impl Btf {
    /// Parses the bytes of a `.BTF` section or of `/sys/kernel/btf/vmlinux`, of either byte order.
    ///
    /// # Errors
    ///
    /// Where the header or a record is invalid or out of bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        Self::parse_over(bytes.to_vec(), None)
    }

    /// As [`Btf::parse`], of bytes that are kept and not copied.
    ///
    /// # Errors
    ///
    /// As [`Btf::parse`].
    pub fn parse_owned(bytes: Vec<u8>) -> Result<Self, BtfError> {
        Self::parse_over(bytes, None)
    }

    /// Parses split BTF: that of a kernel module, whose ids and strings go on where those of its
    /// base end.
    ///
    /// # Errors
    ///
    /// As [`Btf::parse`], and where the byte orders differ.
    pub fn parse_split(bytes: &[u8], base: Arc<Self>) -> Result<Self, BtfError> {
        Self::parse_over(bytes.to_vec(), Some(base))
    }

    fn parse_over(bytes: Vec<u8>, base: Option<Arc<Self>>) -> Result<Self, BtfError> {
        let head = Header::parse(&bytes, HEADER)?;
        let (types, strings) = (head.part_range("type section", 8)?, head.part_range("string section", 16)?);
        let text = &bytes[strings.clone()];
        if text.last().is_some_and(|&last| last != 0) || (base.is_none() && text.first() != Some(&0)) {
            return Err(BtfError::Invalid {
                what: "string section",
                offset: head.header.len() as u64,
                found: strings.len().try_into().unwrap_or(u32::MAX),
            });
        }
        if base.as_ref().is_some_and(|b| b.endianness != head.endianness) {
            return Err(BtfError::NotBtf);
        }
        let first_id = base.as_ref().map_or(1, |b| b.next_id());
        let first_str = base.as_ref().map_or(Ok(0), |b| {
            let len = u32::try_from(b.strings().len()).ok().and_then(|len| b.first_str.checked_add(len));
            len.ok_or(BtfError::Truncated { what: "string section", offset: 0 })
        })?;
        let offsets = offsets(head.endianness, &bytes[types.clone()], first_id)?;
        Ok(Self {
            endianness: head.endianness,
            base,
            first_id,
            first_str,
            data: Arc::new(bytes),
            types,
            strings,
            offsets: offsets.into(),
            index: OnceLock::new(),
        })
    }
}

/// Where each record begins.
fn offsets(endianness: Endianness, types: &[u8], first_id: u32) -> Result<Vec<u32>, BtfError> {
    let mut offsets = Vec::with_capacity(types.len() / 16);
    let mut at = 0;
    while at < types.len() {
        let offset = at as u64;
        if types.len() - at < RECORD {
            return Err(BtfError::Truncated { what: "type", offset });
        }
        let info = u32_at(endianness, types, at + 4);
        let kind = Kind::from_info(info).ok_or(BtfError::Invalid { what: "kind", offset, found: info })?;
        let extra = kind.extra_len(vlen(info));
        if types.len() - at - RECORD < extra {
            return Err(BtfError::Truncated { what: "type", offset });
        }
        let start = u32::try_from(at).map_err(|_| BtfError::Truncated { what: "type section", offset })?;
        if offsets.len() as u64 + u64::from(first_id) > u64::from(MAX_TYPE) {
            return Err(BtfError::Invalid { what: "number of types", offset, found: MAX_TYPE });
        }
        offsets.push(start);
        at += RECORD + extra;
    }
    Ok(offsets)
}

/// Number of members, parameters, enumerators or variables.
pub(super) fn vlen(info: u32) -> usize {
    (info & 0xffff) as usize
}

/// The record at an offset that [`offsets`] found.
pub(super) fn record<'a>(btf: &'a Btf, id: TypeId, types: &'a [u8], at: usize) -> Result<Type<'a>, BtfError> {
    let name = u32_at(btf.endianness, types, at);
    let info = u32_at(btf.endianness, types, at + 4);
    let size_or_type = u32_at(btf.endianness, types, at + 8);
    let kind = Kind::from_info(info).ok_or(BtfError::NoSuchType { id })?;
    let start = at + RECORD;
    let extra = types.get(start..start + kind.extra_len(vlen(info))).ok_or(BtfError::NoSuchType { id })?;
    Ok(Type::new(btf, id, kind, name, info, size_or_type, extra))
}
