//! Writes a static archive with one object file, as `ar` does for GNU linkers.
//!
//! The format is System V's: a symbol index whose numbers are big-endian, then members at even
//! offsets. Linkers take an object out of an archive only where the index names what they need.

/// What every archive begins with.
const MAGIC: &[u8] = b"!<arch>\n";
/// Bytes of a member's header.
const HEADER: usize = 60;

/// An archive with an object file that defines these symbols.
pub(crate) fn write(name: &str, object: &[u8], symbols: &[String]) -> Vec<u8> {
    let number =
        |number: usize| u32::try_from(number).expect("an archive is smaller than 4 GiB").to_be_bytes();
    let names: usize = symbols.iter().map(|symbol| symbol.len() + 1).sum();
    let index_len = (4 + 4 * symbols.len() + names).next_multiple_of(2);
    // A name of up to 15 bytes stands in the header; a longer one in a member of its own.
    let long_names = if name.len() > 15 { format!("{name}/\n") } else { String::new() };
    let long_len = long_names.len().next_multiple_of(2);
    let before = if long_names.is_empty() { 0 } else { HEADER + long_len };
    let object_at = MAGIC.len() + HEADER + index_len + before;

    let mut out = MAGIC.to_vec();
    header(&mut out, "/", index_len);
    let index_at = out.len();
    out.extend(number(symbols.len()));
    symbols.iter().for_each(|_| out.extend(number(object_at)));
    for symbol in symbols {
        out.extend(symbol.bytes());
        out.push(0);
    }
    out.resize(index_at + index_len, 0);
    if long_names.is_empty() {
        header(&mut out, &format!("{name}/"), object.len());
    } else {
        header(&mut out, "//", long_len);
        out.extend(long_names.bytes());
        pad(&mut out);
        header(&mut out, "/0", object.len());
    }
    debug_assert_eq!(out.len(), object_at + HEADER, "the index tells where the object is");
    out.extend(object);
    pad(&mut out);
    out
}

/// A member's header: name, date, owner, group, mode and size, so that equal input gives equal archives.
fn header(out: &mut Vec<u8>, name: &str, size: usize) {
    let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
    debug_assert_eq!(header.len(), HEADER, "headers have a fixed size");
    out.extend(header.bytes());
}

/// Members begin at even offsets.
fn pad(out: &mut Vec<u8>) {
    if !out.len().is_multiple_of(2) {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_leads_to_the_object() {
        for name in ["short.o", "a_rather_long_name.o"] {
            let symbols = ["first".to_owned(), "second_one".to_owned()];
            let archive = write(name, b"object!", &symbols);
            let at = MAGIC.len() + HEADER;
            assert_eq!(archive[at..at + 4], 2_u32.to_be_bytes());
            let offset: [u8; 4] = archive[at + 4..at + 8].try_into().expect("four bytes");
            let offset = u32::from_be_bytes(offset) as usize;
            assert_eq!(archive[offset + HEADER - 2..offset + HEADER], *b"`\n");
            assert_eq!(archive[offset + HEADER..offset + HEADER + 7], *b"object!");
            assert_eq!(archive[at + 12..at + 29], *b"first\0second_one\0");
            assert!(archive.len().is_multiple_of(2));
        }
    }
}
