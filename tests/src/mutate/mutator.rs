//! Makes a case: an object with something wrong in it, or bytes that are none.
//!
//! Most mutations know the format: they change a field of a header, section, symbol, relocation,
//! instruction or BTF record, mostly to a value that is wrong by little or by a lot, or to one that
//! means something else ([`structure`]).

use super::{Rng, structure};

/// Bytes of the ELF header, and of each entry of the tables.
const EHDR: usize = 64;
const SHDR: usize = 64;
const SYM: usize = 24;
const REL: usize = 16;

/// The bytes of a case.
#[must_use]
pub fn case(objects: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed, number);
    if rng.one_in(50) {
        return noise(&mut rng);
    }
    // The smaller of two: large ones take long, and hold much of the same.
    let (one, other) = (rng.below(objects.len()), rng.below(objects.len()));
    let chosen = if objects[one].len() <= objects[other].len() { one } else { other };
    let mut bytes = objects[chosen].clone();
    for _ in 0..1 + rng.pick(&[0, 0, 0, 1, 2, 5]) {
        match rng.below(10) {
            0 | 1 => blind(&mut rng, &mut bytes, objects),
            2..=4 => aware(&mut rng, &mut bytes),
            _ if structure::mutate(&mut rng, &mut bytes) => {}
            _ => aware(&mut rng, &mut bytes),
        }
    }
    bytes
}

/// Bytes that were never an object, some with the beginning of one.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let len = rng.below(400);
    let mut bytes: Vec<u8> = (0..len).map(|_| rng.next().to_le_bytes()[0]).collect();
    let magic: &[u8] = rng.pick(&[&b""[..], b"\x7fELF\x02\x01\x01", b"\x7fELF\x02\x02\x01", b"\x9f\xeb\x01"]);
    let len = magic.len().min(bytes.len());
    bytes[..len].copy_from_slice(&magic[..len]);
    bytes
}

/// A mutation that knows nothing of the format.
fn blind(rng: &mut Rng, bytes: &mut Vec<u8>, objects: &[Vec<u8>]) {
    match rng.below(6) {
        0 => {
            for _ in 0..=rng.below(8) {
                let at = rng.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
        }
        1 => {
            let at = rng.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = rng.pick(&[0, 1, 0x7f, 0x80, 0xff]);
            }
        }
        2 => bytes.truncate(rng.below(bytes.len() + 1)),
        3 => {
            // A piece of another object over a piece of this one.
            let other = &objects[rng.below(objects.len())];
            let (from, to) = (rng.below(other.len()), rng.below(bytes.len()));
            let len = rng.below(256).min(other.len() - from).min(bytes.len() - to);
            bytes[to..to + len].copy_from_slice(&other[from..from + len]);
        }
        4 => {
            let (start, len) = (rng.below(bytes.len()), rng.below(64));
            bytes.drain(start..(start + len).min(bytes.len()));
        }
        _ => {
            let at = rng.below(bytes.len() + 1);
            let piece: Vec<u8> = (0..rng.below(64)).map(|_| rng.next().to_le_bytes()[0]).collect();
            bytes.splice(at..at, piece);
        }
    }
}

/// A number in the object's byte order.
pub(super) fn read(bytes: &[u8], at: usize, width: usize) -> u64 {
    let big = bytes.get(5) == Some(&2);
    let piece = at.checked_add(width).and_then(|end| bytes.get(at..end)).unwrap_or_default();
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if big { piece.iter().fold(0, add) } else { piece.iter().rev().fold(0, add) }
}

pub(super) fn write(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    let big = bytes.get(5) == Some(&2);
    if let Some(piece) = at.checked_add(width).and_then(|end| bytes.get_mut(at..end)) {
        piece.copy_from_slice(&value.to_le_bytes()[..width]);
        if big {
            piece.reverse();
        }
    }
}

/// Replaces a field by a value that is wrong by little or by a lot.
pub(super) fn spoil(rng: &mut Rng, bytes: &mut [u8], at: usize, width: usize) {
    let old = read(bytes, at, width);
    let len = bytes.len() as u64;
    let random = rng.next();
    let value = rng.pick(&[
        0,
        1,
        old.wrapping_add(1),
        old.wrapping_sub(1),
        old.wrapping_add(8),
        old.wrapping_mul(2),
        old / 2,
        len,
        len - old.min(len),
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        u64::MAX,
        i64::MAX.cast_unsigned(),
        random,
        random & 0xff,
        old ^ 1 << (random % 64),
    ]);
    write(bytes, at, width, value);
}

/// A section: offset and size of its bytes, its type, and where its header stands.
pub(super) struct Section {
    pub(super) header: usize,
    pub(super) kind: u64,
    pub(super) offset: usize,
    pub(super) size: usize,
}

pub(super) fn sections(bytes: &[u8]) -> Vec<Section> {
    let index = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let table = index(read(bytes, 40, 8));
    let count = index(read(bytes, 60, 2)).min(bytes.len() / SHDR);
    (0..count)
        .map(|i| table.saturating_add(i * SHDR))
        .filter(|&header| header.checked_add(SHDR).is_some_and(|end| end <= bytes.len()))
        .map(|header| Section {
            header,
            kind: read(bytes, header + 4, 4),
            offset: index(read(bytes, header + 24, 8)).min(bytes.len()),
            size: index(read(bytes, header + 32, 8)),
        })
        .map(|s| Section { size: s.size.min(bytes.len() - s.offset), ..s })
        .collect()
}

/// A mutation of one field.
fn aware(rng: &mut Rng, bytes: &mut [u8]) {
    let sections = sections(bytes);
    if sections.is_empty() || rng.one_in(20) {
        let (at, width) = rng.pick(&[(4, 1), (5, 1), (16, 2), (18, 2), (40, 8), (58, 2), (60, 2), (62, 2)]);
        if bytes.len() >= EHDR {
            spoil(rng, bytes, at, width);
        }
        return;
    }
    let section = &sections[rng.below(sections.len())];
    if rng.one_in(4) {
        let (at, width) =
            rng.pick(&[(0, 4), (4, 4), (8, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)]);
        return spoil(rng, bytes, section.header + at, width);
    }
    let entry = |rng: &mut Rng, size: usize| section.offset + size * rng.below(section.size / size);
    match section.kind {
        // Symbols.
        2 => {
            let (at, width) = rng.pick(&[(0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)]);
            let start = entry(rng, SYM);
            spoil(rng, bytes, start + at, width);
        }
        // Relocations without addend: offset, type, symbol.
        9 => {
            let (at, width) = rng.pick(&[(0, 8), (8, 4), (12, 4)]);
            let start = entry(rng, REL);
            spoil(rng, bytes, start + at, width);
        }
        _ => content(rng, bytes, section),
    }
}

/// A mutation in the bytes of a section: of its beginning, where BTF has its header, or of a word,
/// byte or instruction anywhere.
fn content(rng: &mut Rng, bytes: &mut [u8], section: &Section) {
    let words = section.size / 4;
    match rng.below(4) {
        0 => {
            let at = section.offset + 4 * rng.below(words.min(8));
            spoil(rng, bytes, at, 4);
        }
        1 => {
            let at = section.offset + 4 * rng.below(words);
            spoil(rng, bytes, at, 4);
        }
        2 => {
            // An instruction's opcode, registers, offset or immediate.
            let (at, width) = rng.pick(&[(0, 1), (1, 1), (2, 2), (4, 4)]);
            let start = section.offset + 8 * rng.below(section.size / 8);
            spoil(rng, bytes, start + at, width);
        }
        _ => {
            // A word of the same section: an offset, an id or a record that is valid elsewhere.
            let (from, to) = (4 * rng.below(words), 4 * rng.below(words));
            let value = read(bytes, section.offset + from, 4);
            write(bytes, section.offset + to, 4, value);
        }
    }
}
