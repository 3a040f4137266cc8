//! One line of source for a terminal: without tabs and what would steer it, cut to its width, with a mark below.

use unicode_width::UnicodeWidthChar;

/// What a tab becomes.
const TAB: &str = "    ";

/// A line to print and where its mark goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The line.
    pub text: String,
    /// Cells before the mark, and cells under it; `None` where the column is not known or beyond the text.
    pub mark: Option<(usize, usize)>,
}

/// What stands for a character.
fn shown(c: char) -> String {
    match c {
        '\t' => TAB.to_owned(),
        c if steers(c) => c.escape_default().to_string(),
        c => c.to_string(),
    }
}

/// Whether a terminal does something other than show it: control characters, line breaks, and what turns around the
/// text beside it.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Cells that a text takes.
pub(super) fn cells(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A name of others on one line: line breaks and whatever steers terminals are escaped.
#[must_use]
pub fn one_line(text: &str) -> String {
    if !text.chars().any(steers) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A line with its mark at a column, which counts bytes from 1 as compilers do; at most so many cells wide.
pub(super) fn show(line: &str, column: u32, width: usize) -> Shown {
    let at = usize::try_from(column).ok().and_then(|column| column.checked_sub(1));
    let (mut text, mut before, mut under) = (String::new(), 0, 0);
    let mut word = false;
    for (offset, c) in line.trim_end().char_indices() {
        let piece = shown(c);
        let size = cells(&piece);
        match at {
            Some(at) if offset + c.len_utf8() <= at => before += size,
            // The mark covers the word that begins there, or one character.
            Some(at) if offset <= at => {
                under = size;
                word = c.is_alphanumeric() || c == '_';
            }
            Some(_) if word && (c.is_alphanumeric() || c == '_') => under += size,
            Some(_) | None => word = false,
        }
        text += &piece;
    }
    let mark = (under > 0).then_some((before, under));
    cut(Shown { text, mark }, width)
}

/// Cuts a line that is too wide, so that the mark is still seen.
fn cut(line: Shown, width: usize) -> Shown {
    let whole = cells(&line.text);
    if whole <= width || width < 8 {
        return line;
    }
    let (before, under) = line.mark.unwrap_or((0, 0));
    // Two cells for the dots.
    let room = width - 2;
    let first =
        if before + under <= room { 0 } else { (before + under.min(room / 2)).saturating_sub(room / 2) };
    let (mut text, mut at, mut skipped) = (String::new(), 0, 0);
    for c in line.text.chars() {
        let size = c.width().unwrap_or(0);
        if at < first {
            skipped = at + size;
        } else if at + size <= first + room {
            text.push(c);
        } else {
            text.push('…');
            break;
        }
        at += size;
    }
    let shift = if first > 0 {
        text.insert(0, '…');
        1
    } else {
        0
    };
    let mark = line.mark.map(|(before, under)| {
        let before = before.saturating_sub(skipped) + shift;
        (before, under.min(width.saturating_sub(before)).max(1))
    });
    Shown { text, mark }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(line: &str, column: u32, width: usize) -> (String, String) {
        let Shown { text, mark } = show(line, column, width);
        let mark = mark.map_or_else(String::new, |(before, under)| " ".repeat(before) + &"^".repeat(under));
        (text, mark)
    }

    #[test]
    fn marks_stand_under_words() {
        assert_eq!(marked("\t*value += 1;", 3, 80), ("    *value += 1;".into(), "     ^^^^^".into()));
        assert_eq!(
            marked("\t*value += 1;", 9, 80),
            ("    *value += 1;".into(), "           ^^".trim_end_matches('^').to_owned() + "^")
        );
        assert_eq!(marked("x", 9, 80), ("x".into(), String::new()));
        assert_eq!(marked("x", 0, 80), ("x".into(), String::new()));
    }

    #[test]
    fn columns_count_bytes_and_marks_count_cells() {
        assert_eq!(marked("/* 名 */ value", 11, 80), ("/* 名 */ value".into(), "         ^^^^^".into()));
        assert_eq!(marked("ä = b;", 6, 80), ("ä = b;".into(), "    ^".into()));
        assert_eq!(marked("名", 2, 80), ("名".into(), "^^".into()), "within a character");
    }

    #[test]
    fn what_steers_terminals_is_escaped() {
        assert_eq!(marked("a\u{1b}[2Jb", 6, 80), ("a\\u{1b}[2Jb".into(), "          ^".into()));
        assert_eq!(one_line("a\nerror: b\u{202e}"), "a\\nerror: b\\u{202e}");
    }

    #[test]
    fn wide_lines_are_cut_around_the_mark() {
        let line = format!("{}target{}", "a + ".repeat(30), " + b".repeat(30));
        for width in [20, 33, 80] {
            let (text, mark) = marked(&line, 121, width);
            assert!(cells(&text) <= width, "{text}");
            let at = mark.find('^').expect("a mark");
            assert!(text.chars().skip(at).collect::<String>().starts_with("target"), "{text}\n{mark}");
        }
        assert_eq!(marked(&line, 1, 20).0, "a + a + a + a + a …");
    }
}
