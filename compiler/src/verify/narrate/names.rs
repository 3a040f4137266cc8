//! Names that the author gave, read off the text of source lines.
//!
//! BTF holds lines and columns, not which variable a register is. A line `value = f()` says it where the call
//! is, `eth->proto` where a member is read. This is reading, not parsing: what does not look as expected
//! gives no name, and nothing but the wording of a message depends on it.

use crate::program::SourceLine;

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The word that ends where a text ends.
fn last_word(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let start = bytes.iter().rposition(|byte| !is_word(*byte)).map_or(0, |at| at + 1);
    let word = &text[start..];
    let first = word.bytes().next()?;
    (!first.is_ascii_digit() && !KEYWORDS.contains(&word)).then_some(word)
}

const KEYWORDS: &[&str] = &[
    "return", "if", "else", "while", "for", "do", "switch", "case", "sizeof", "long", "int", "void", "char",
];

/// What stands before a line's column, from the column's character on, if that lies within the text.
fn split<'a>(line: &SourceLine<'a>) -> Option<(&'a str, &'a str)> {
    let column = usize::try_from(line.column).ok()?.checked_sub(1)?;
    line.text.split_at_checked(column)
}

/// The variable that the line sets: `value` of `__u64 *value = f(…)`.
pub(super) fn assigned<'a>(line: &SourceLine<'a>) -> Option<&'a str> {
    let text = line.text;
    let bytes = text.as_bytes();
    let at = (1..bytes.len().saturating_sub(1)).find(|&at| {
        bytes[at] == b'='
            && bytes[at + 1] != b'='
            && !matches!(
                bytes[at - 1],
                b'=' | b'!' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^'
            )
    })?;
    // The value must be on the right.
    if line.column > 0 && usize::try_from(line.column).ok()? <= at {
        return None;
    }
    let before = text[..at].trim_end();
    let name = last_word(before)?;
    // A member or an element is no variable.
    let rest = before[..before.len() - name.len()].trim_end();
    (!rest.ends_with('.') && !rest.ends_with("->")).then_some(name)
}

/// The pointer whose member the line's column names: `eth` of `eth->proto`. Also `p` of `*p` and `p[i]`.
pub(super) fn dereferenced<'a>(line: &SourceLine<'a>) -> Option<&'a str> {
    let (before, after) = split(line)?;
    if let Some(base) = before.strip_suffix("->") {
        return last_word(base);
    }
    if let Some(rest) = after.strip_prefix('*') {
        let end = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        return last_word(&rest[..end]);
    }
    let (word, rest) = first_word(after);
    // Of `eth->h_dest[0]` the column may be that of the whole.
    let whole = rest.strip_prefix("->").is_some_and(|member| !first_word(member).1.starts_with("->"));
    (whole || rest.starts_with('[')).then(|| last_word(word)).flatten()
}

fn first_word(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_word(byte)).unwrap_or(text.len()))
}

/// The same with what it is a member of: `h.tcp` of `h.tcp->dest`.
pub(super) fn dereferenced_path<'a>(line: &SourceLine<'a>) -> Option<&'a str> {
    let (before, _) = split(line)?;
    let Some(base) = before.strip_suffix("->") else { return dereferenced(line) };
    let mut start = base.len() - last_word(base)?.len();
    while let Some(outer) = base[..start].strip_suffix("->").or_else(|| base[..start].strip_suffix('.')) {
        start = outer.len() - last_word(outer)?.len();
    }
    Some(&base[start..])
}

/// The element that the line's column names: `p[i]`, if its index is a variable.
pub(super) fn element<'a>(line: &SourceLine<'a>) -> Option<&'a str> {
    let (_, after) = split(line)?;
    let (word, rest) = first_word(after);
    let index = rest.strip_prefix('[')?;
    let index = &index[..index.find(']')?];
    is_name(index).then(|| &after[..word.len() + index.len() + 2])
}

/// What stands in the last brackets of the line: `i` of `slots[i]`.
pub(super) fn index<'a>(line: &SourceLine<'a>) -> Option<&'a str> {
    let open = line.text.rfind('[')?;
    let inside = &line.text[open + 1..];
    let index = inside[..inside.find(']')?].trim();
    let plain = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-' | b'>');
    (!index.is_empty() && index.bytes().all(plain) && !index.as_bytes()[0].is_ascii_digit()).then_some(index)
}

/// Whether a line's text has a word.
pub(super) fn mentions(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let bytes = text.as_bytes();
        let free = |byte: Option<&u8>| byte.is_none_or(|byte| !is_word(*byte));
        free(at.checked_sub(1).and_then(|before| bytes.get(before))) && free(bytes.get(at + word.len()))
    })
}

/// An argument of the call that the line's column names, if it is written on this line.
pub(super) fn argument<'a>(line: &SourceLine<'a>, index: usize) -> Option<&'a str> {
    let (_, call) = split(line)?;
    let inside = &call[call.find('(')? + 1..];
    let (mut depth, mut start, mut count) = (0, 0, 0);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' | b',' if depth == 0 => {
                if count == index {
                    return Some(inside[start..at].trim());
                }
                if byte != b',' {
                    return None;
                }
                (start, count) = (at + 1, count + 1);
            }
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a text is a name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_word) && !text.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::InsnIdx;

    fn line(text: &str, column: u32) -> SourceLine<'_> {
        SourceLine { insn: InsnIdx(0), file: "a.c", line: 1, column, text }
    }

    #[test]
    fn variables_are_found_where_they_are_set() {
        assert_eq!(assigned(&line("\t__u64 *value = bpf_map_lookup_elem(&m, &key);", 17)), Some("value"));
        assert_eq!(assigned(&line("\tif (!(v = lookup(&m)))", 12)), Some("v"));
        assert_eq!(assigned(&line("\tx->field = 1;", 0)), None);
        assert_eq!(assigned(&line("\tif (a == b)", 0)), None);
        assert_eq!(assigned(&line("\tcount += 1;", 0)), None);
        assert_eq!(assigned(&line("", 0)), None);
    }

    #[test]
    fn pointers_are_found_where_they_are_used() {
        assert_eq!(dereferenced(&line("\tif (eth->h_proto == 8)", 11)), Some("eth"));
        assert_eq!(dereferenced(&line("\treturn *value;", 9)), Some("value"));
        assert_eq!(dereferenced(&line("\treturn p[4];", 9)), Some("p"));
        assert_eq!(dereferenced(&line("\treturn eth->h_dest[0];", 9)), Some("eth"));
        assert_eq!(dereferenced(&line("\treturn a->b->c[0];", 9)), None);
        assert_eq!(dereferenced(&line("\treturn 4;", 9)), None);
        assert_eq!(dereferenced_path(&line("\tif (a->h.tcp->dest)", 16)), Some("a->h.tcp"));
        assert_eq!(dereferenced_path(&line("\tif (f(x)->h.tcp->dest)", 19)), None);
        assert_eq!(element(&line("\tsum += p[i];", 9)), Some("p[i]"));
        assert_eq!(element(&line("\tsum += p[3];", 9)), None);
        assert_eq!(dereferenced(&line("ä", 2)), None, "a column within a character");
        assert_eq!(index(&line("\tslots->slot[queue] += 1;", 2)), Some("queue"));
        assert_eq!(index(&line("\tslot[f(x)] = 1;", 2)), None);
        assert_eq!(index(&line("\tslot[", 2)), None);
    }

    #[test]
    fn arguments_are_counted() {
        let call = line("\tvalue = lookup(&m, &key[f(1, 2)], 3);", 10);
        assert_eq!(
            [0, 1, 2, 3].map(|index| argument(&call, index)),
            [Some("&m"), Some("&key[f(1, 2)]"), Some("3"), None]
        );
        assert_eq!(argument(&line("\tlookup(&m,", 2), 1), None);
    }

    #[test]
    fn words_are_whole() {
        assert!(mentions("*value += 1;", "value") && !mentions("values[1]", "value"));
    }
}
