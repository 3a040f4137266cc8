//! Mutations that know what libbpf reads: BTF records, map definitions, CO-RE records and their
//! accesses, relocations, symbols, and names of sections.
//!
//! What is put into a field mostly is valid elsewhere: another type's id, another string, another
//! symbol, another section's name. So the object stays readable and means something else.

use super::Rng;
use super::mutator::{read, spoil, write};

/// A section by name.
struct Named {
    header: usize,
    kind: u64,
    offset: usize,
    size: usize,
    name: Vec<u8>,
}

/// Names that mean something to a loader.
const NAMES: &[&[u8]] = &[
    b".maps",
    b"maps",
    b".struct_ops",
    b"?.struct_ops",
    b".struct_ops.link",
    b".addr_space.1",
    b".ksyms",
    b".kconfig",
    b".data",
    b".data.x",
    b".rodata",
    b".bss",
    b".text",
    b".BTF",
    b".BTF.ext",
    b"license",
    b"xdp",
    b"?xdp",
    b"tc",
    b"socket",
    b"struct_ops",
    b"2/0",
];

/// Numbers that stand at the edges of fields.
const EDGES: &[u64] =
    &[0, 1, 2, 4, 8, 16, 31, 32, 33, 63, 64, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// One mutation; whether there was something to mutate.
pub(super) fn mutate(rng: &mut Rng, bytes: &mut [u8]) -> bool {
    let sections = named(bytes);
    if sections.is_empty() {
        return false;
    }
    let find = |name: &[u8]| sections.iter().find(|section| section.name == name);
    match rng.below(12) {
        0..=3 => find(b".BTF").is_some_and(|section| btf(rng, bytes, section)),
        4 => find(b".BTF").is_some_and(|section| definition(rng, bytes, section)),
        5 | 6 => find(b".BTF.ext").is_some_and(|ext| records(rng, bytes, ext, find(b".BTF"))),
        7 => find(b".BTF").is_some_and(|section| access(rng, bytes, section)),
        8 => relocation(rng, bytes, &sections),
        9 => symbol(rng, bytes, &sections),
        10 => name(rng, bytes, &sections),
        _ => data(rng, bytes, &sections),
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn named(bytes: &[u8]) -> Vec<Named> {
    let sections = super::mutator::sections(bytes);
    let strings = sections.get(index(read(bytes, 62, 2))).map_or(0, |section| section.offset);
    let name = |header: usize| {
        let start = strings.saturating_add(index(read(bytes, header, 4)));
        let tail = bytes.get(start..).unwrap_or_default();
        tail.iter().take(64).take_while(|byte| **byte != 0).copied().collect()
    };
    sections
        .into_iter()
        .map(|s| Named {
            header: s.header,
            kind: s.kind,
            offset: s.offset,
            size: s.size,
            name: name(s.header),
        })
        .collect()
}

/// Where the records of a BTF are, and its strings.
struct Btf {
    records: Vec<Record>,
    strings: usize,
    strings_len: usize,
}

#[derive(Clone, Copy)]
struct Record {
    at: usize,
    kind: u64,
    vlen: usize,
    len: usize,
}

impl Btf {
    fn read(bytes: &[u8], section: &Named) -> Option<Self> {
        let word = |at: usize| index(read(bytes, section.offset + at, 4));
        let end = section.offset + section.size;
        let types = section.offset.checked_add(word(4))?;
        let (mut at, last) =
            (types.checked_add(word(8))?, types.checked_add(word(8))?.checked_add(word(12))?);
        let mut records = Vec::new();
        while at < last.min(end).saturating_sub(11) {
            let info = read(bytes, at + 4, 4);
            let (kind, vlen) = (info >> 24 & 0x1f, index(info & 0xffff));
            let extra = match kind {
                1 | 14 | 17 => 4,
                3 => 12,
                6 | 13 => 8 * vlen,
                4 | 5 | 15 | 19 => 12 * vlen,
                _ => 0,
            };
            records.push(Record { at, kind, vlen, len: 12 + extra });
            at += 12 + extra;
        }
        let strings = types.checked_add(word(16))?;
        (!records.is_empty()).then_some(Self { records, strings, strings_len: word(20) })
    }

    /// An id of a type, mostly of one that there is.
    fn id(&self, rng: &mut Rng) -> u64 {
        match rng.below(16) {
            0 => self.records.len() as u64 + 1,
            1 => 0,
            _ => 1 + rng.below(self.records.len()) as u64,
        }
    }

    /// The offset of some record's name.
    fn name(&self, rng: &mut Rng, bytes: &[u8]) -> u64 {
        match rng.below(8) {
            0 => rng.below(self.strings_len) as u64,
            _ => read(bytes, self.records[rng.below(self.records.len())].at, 4),
        }
    }
}

/// Changes a record of a BTF.
fn btf(rng: &mut Rng, bytes: &mut [u8], section: &Named) -> bool {
    let Some(btf) = Btf::read(bytes, section) else { return false };
    let record = btf.records[rng.below(btf.records.len())];
    match rng.below(10) {
        // A reference to another type, which may close a circle.
        0 | 1 => reference(rng, bytes, &btf, record),
        2 => {
            // Two types that refer to each other.
            let references = |record: &&Record| matches!(record.kind, 2 | 8..=11 | 18);
            let all: Vec<&Record> = btf.records.iter().filter(references).collect();
            let (Some(a), Some(b)) = (all.get(rng.below(all.len())), all.get(rng.below(all.len()))) else {
                return false;
            };
            let id = |of: &Record| btf.records.iter().position(|r| r.at == of.at).unwrap_or(0) as u64 + 1;
            write(bytes, a.at + 8, 4, id(b));
            write(bytes, b.at + 8, 4, id(a));
        }
        3 => write(bytes, record.at + 7, 1, rng.next() & 0x9f),
        4 => {
            let kind = rng.below(20) as u64;
            let info = read(bytes, record.at + 4, 4);
            write(bytes, record.at + 4, 4, info & !0x1f00_0000 | kind << 24);
        }
        5 => {
            let vlen = rng.pick(&[0, 1, record.vlen + 1, record.vlen.saturating_sub(1), 0xffff, 1024]);
            let info = read(bytes, record.at + 4, 4);
            write(bytes, record.at + 4, 4, info & !0xffff | vlen as u64);
        }
        6 => {
            let value = rng.pick(EDGES);
            write(bytes, record.at + 8, 4, value);
        }
        7 => {
            let value = btf.name(rng, bytes);
            write(bytes, record.at, 4, value);
        }
        8 => member(rng, bytes, &btf, record),
        _ => {
            // A record in the place of another of the same length.
            let alike: Vec<&Record> = btf.records.iter().filter(|other| other.len == record.len).collect();
            let other = alike[rng.below(alike.len())].at;
            let len = record.len.min(bytes.len() - other).min(bytes.len() - record.at);
            bytes.copy_within(other..other + len, record.at);
        }
    }
    true
}

/// The type to which a record, or one of its members, refers.
fn reference(rng: &mut Rng, bytes: &mut [u8], btf: &Btf, record: Record) {
    let id = btf.id(rng);
    let at = match record.kind {
        3 => 12 + 4 * rng.below(2),
        4 | 5 => 12 + 12 * rng.below(record.vlen) + 4,
        13 if rng.one_in(2) => 8,
        13 => 12 + 8 * rng.below(record.vlen) + 4,
        15 => 12 + 12 * rng.below(record.vlen),
        _ => 8,
    };
    write(bytes, record.at + at, 4, id);
}

/// A member, an enumerator, a parameter, a variable or an array's number.
fn member(rng: &mut Rng, bytes: &mut [u8], btf: &Btf, record: Record) {
    let edge = rng.pick(EDGES);
    let at = record.at + 12;
    match record.kind {
        3 => write(bytes, at + 8, 4, edge),
        4 | 5 | 15 | 19 => {
            let at = at + 12 * rng.below(record.vlen);
            match rng.below(3) {
                0 => {
                    let value = if record.kind == 15 { btf.id(rng) } else { btf.name(rng, bytes) };
                    write(bytes, at, 4, value);
                }
                1 => spoil(rng, bytes, at + 4, 4),
                _ => spoil(rng, bytes, at + 8, 4),
            }
        }
        6 | 13 => {
            let at = at + 8 * rng.below(record.vlen);
            spoil(rng, bytes, at + 4, 4);
        }
        _ => write(bytes, at, 4, edge),
    }
}

/// Changes a number of a map definition: all are lengths of arrays.
fn definition(rng: &mut Rng, bytes: &mut [u8], section: &Named) -> bool {
    let Some(btf) = Btf::read(bytes, section) else { return false };
    let arrays: Vec<&Record> = btf.records.iter().filter(|record| record.kind == 3).collect();
    let Some(array) = arrays.get(rng.below(arrays.len())) else { return false };
    let value = if rng.one_in(2) { rng.below(40) as u64 } else { rng.pick(EDGES) };
    write(bytes, array.at + 20, 4, value);
    true
}

/// Changes a record of functions, lines or CO-RE relocations.
fn records(rng: &mut Rng, bytes: &mut [u8], ext: &Named, types: Option<&Named>) -> bool {
    let word = |at: usize| index(read(bytes, ext.offset + at, 4));
    let table = rng.pick(&[8, 16, 24, 24]);
    let (header, start, len) = (word(4), word(table), word(table + 4));
    let at = ext.offset.saturating_add(header).saturating_add(start);
    let size = index(read(bytes, at, 4));
    if !(4..=64).contains(&size) || len < 12 + size || table + 8 > header {
        return false;
    }
    // The first section's records; those of others look like records, too, at an odd place.
    let count = (len - 12) / size;
    let record = at + 12 + size * rng.below(count);
    match rng.below(5) {
        0 => spoil(rng, bytes, record, 4),
        1 => {
            let field = rng.pick(&[0, 4, 8]);
            spoil(rng, bytes, at + field, 4);
        }
        field => {
            let Some(btf) = types.and_then(|types| Btf::read(bytes, types)) else { return false };
            let value = match (table, field) {
                (24, 3) => rng.below(btf.strings_len) as u64,
                (24, 4) => rng.below(14) as u64,
                _ => btf.id(rng),
            };
            write(bytes, record + if table == 24 { 4 * (field - 1) } else { 4 }, 4, value);
        }
    }
    true
}

/// Changes the string of an access: digits and colons.
fn access(rng: &mut Rng, bytes: &mut [u8], section: &Named) -> bool {
    let Some(btf) = Btf::read(bytes, section) else { return false };
    let end = btf.strings.saturating_add(btf.strings_len).min(bytes.len());
    let start = (btf.strings + rng.below(btf.strings_len)).min(end);
    let is_access = |byte: &u8| byte.is_ascii_digit() || *byte == b':';
    let found = bytes[start..end]
        .windows(3)
        .position(|w| w[0] == 0 && is_access(&w[1]) && (w[2] == 0 || is_access(&w[2])));
    let Some(found) = found else { return false };
    let at = start + found + 1;
    let len = bytes[at..end].iter().take_while(|byte| **byte != 0).count();
    bytes[at + rng.below(len)] = rng.pick(b"0123456789::9-x\0");
    true
}

/// Gives a relocation another's symbol, type or place.
fn relocation(rng: &mut Rng, bytes: &mut [u8], sections: &[Named]) -> bool {
    let tables: Vec<&Named> = sections
        .iter()
        .filter(|s| s.kind == 9 && s.size >= 16 && !s.name.starts_with(b".rel.debug"))
        .collect();
    let Some(table) = tables.get(rng.below(tables.len())) else { return false };
    let entry = |rng: &mut Rng| table.offset + 16 * rng.below(table.size / 16);
    let (to, from) = (entry(rng), entry(rng));
    let symbols = sections.iter().find(|s| s.kind == 2).map_or(0, |s| s.size / 24);
    match rng.below(4) {
        0 => write(bytes, to + 12, 4, rng.below(symbols) as u64),
        1 => write(bytes, to + 8, 4, rng.pick(&[0, 1, 2, 3, 4, 10])),
        2 => {
            let offset = read(bytes, from, 8).wrapping_add(rng.pick(&[0, 8, u64::MAX - 7]));
            write(bytes, to, 8, offset);
        }
        _ => write(bytes, table.header + 44, 4, rng.below(sections.len()) as u64),
    }
    true
}

/// Gives a symbol another's name, section, place or size, or another kind.
fn symbol(rng: &mut Rng, bytes: &mut [u8], sections: &[Named]) -> bool {
    let Some(table) = sections.iter().find(|s| s.kind == 2 && s.size >= 24) else { return false };
    let entry = |rng: &mut Rng| table.offset + 24 * rng.below(table.size / 24);
    let (to, from) = (entry(rng), entry(rng));
    let copy = |bytes: &mut [u8], at: usize, width: usize| {
        let value = read(bytes, from + at, width);
        write(bytes, to + at, width, value);
    };
    match rng.below(7) {
        0 => copy(bytes, 0, 4),
        1 => copy(bytes, 6, 2),
        2 => copy(bytes, 8, 8),
        3 => copy(bytes, 16, 8),
        // Binding and type; visibility.
        4 => write(bytes, to + 4, 1, rng.pick(&[0, 1, 2, 3]) << 4 | rng.pick(&[0, 1, 2, 3, 4])),
        5 => write(bytes, to + 5, 1, rng.below(4) as u64),
        _ => write(bytes, to + 6, 2, rng.pick(&[0, 0xfff1, 0xfff2, 0xffff, sections.len() as u64])),
    }
    true
}

/// Gives a section another's name, or one that means something.
fn name(rng: &mut Rng, bytes: &mut [u8], sections: &[Named]) -> bool {
    let section = &sections[rng.below(sections.len())];
    let other = &sections[rng.below(sections.len())];
    match rng.below(4) {
        0 => {
            let value = read(bytes, other.header, 4);
            write(bytes, section.header, 4, value);
        }
        // The end of another's name: `.maps` of `.rel.maps`.
        1 => {
            let value = read(bytes, other.header, 4) + rng.pick(&[1, 4]);
            write(bytes, section.header, 4, value);
        }
        2 => {
            let (field, width) = rng.pick(&[(4, 4), (8, 8)]);
            spoil(rng, bytes, section.header + field, width);
        }
        _ => {
            let name = rng.pick(NAMES);
            let strings = super::mutator::sections(bytes);
            let Some(strings) = strings.get(index(read(bytes, 62, 2))) else { return false };
            let start = strings.offset.saturating_add(index(read(bytes, section.header, 4)));
            let end = start.saturating_add(name.len());
            let Some(place) = bytes.get_mut(start..end.saturating_add(1)) else { return false };
            place[..name.len()].copy_from_slice(name);
            place[name.len()] = 0;
        }
    }
    true
}

/// Changes a word of a section that becomes maps or structures.
fn data(rng: &mut Rng, bytes: &mut [u8], sections: &[Named]) -> bool {
    let stems: [&[u8]; 6] = [b".maps", b"maps", b".struct_ops", b"?.struct_ops", b".data", b"license"];
    let known: Vec<&Named> = sections
        .iter()
        .filter(|s| s.size >= 4 && stems.iter().any(|stem| s.name.starts_with(stem)))
        .collect();
    let Some(section) = known.get(rng.below(known.len())) else { return false };
    let value = if rng.one_in(2) { rng.below(40) as u64 } else { rng.pick(EDGES) };
    let at = section.offset + 4 * rng.below(section.size / 4);
    write(bytes, at, 4, value);
    true
}
