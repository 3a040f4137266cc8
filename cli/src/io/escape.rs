//! Names and messages of others reach terminals as text alone: what would steer a terminal is escaped.
//!
//! The streams in [`super`] write through this, so that no command can forget it. Of what begins with an escape, only
//! the colours of [`crate::style`] pass: a name can make itself bold, and nothing more. Line breaks pass here:
//! whoever prints names says which are meant ([`super::put`]). Escapes have the form of JSON's, since what is printed may be that.

use std::io::{Result, Write};

/// The styles that pass, each as it is written: reset, bold, dimmed, and the eight colours.
fn is_style(parameters: &[u8]) -> bool {
    matches!(parameters, [b'0' | b'1' | b'2'] | [b'3', b'0'..=b'7'])
}

/// A writer that escapes. Each write holds whole characters and whole styles: it is above all buffers.
pub struct Escaped<W>(pub W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
            return self.0.write_all(bytes);
        }
        escaped(&String::from_utf8_lossy(bytes), &mut self.0)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

fn escaped(text: &str, out: &mut impl Write) -> Result<()> {
    let mut plain = 0;
    let mut styled = 0;
    for (at, c) in text.char_indices() {
        if at < styled || !steers(c) {
            continue;
        }
        if let Some(len) = style(&text.as_bytes()[at..]) {
            styled = at + len;
            continue;
        }
        out.write_all(&text.as_bytes()[plain..at])?;
        write!(out, "\\u{:04x}", u32::from(c))?;
        plain = at + c.len_utf8();
    }
    out.write_all(&text.as_bytes()[plain..])
}

/// Whether a terminal does something other than show it: control characters, and those that turn around what is
/// beside them.
fn steers(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// The length of the style that this begins with.
fn style(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(b"\x1b[")?;
    let len = parameters.iter().take(3).position(|byte| *byte == b'm')?;
    is_style(&parameters[..len]).then_some(len + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style;

    fn shown(text: &str) -> String {
        let mut out = Vec::new();
        write!(Escaped(&mut out), "{text}").expect("into memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(shown("p\x1b]0;owned\x07"), "p\\u001b]0;owned\\u0007");
        assert_eq!(shown("\x1b[2J\x1b[8mhidden\r"), "\\u001b[2J\\u001b[8mhidden\\u000d");
        assert_eq!(shown("\u{9b}2J\u{7f}"), "\\u009b2J\\u007f");
        assert_eq!(shown("a\u{202e}b"), "a\\u202eb");
        assert_eq!(shown("\x1b"), "\\u001b");
        assert_eq!(shown("\x1b["), "\\u001b[");
        assert_eq!(shown("\x1b[m"), "\\u001b[m");
        assert_eq!(shown("\x1b[1;5m"), "\\u001b[1;5m");
    }

    #[test]
    fn text_and_our_styles_pass() {
        let text = "süß → 名\n\tof three lines\n";
        assert_eq!(shown(text), text);
        for style in [style::ERROR, style::WARNING, style::GOOD, style::HEADING, style::DIM] {
            let text = format!("{style}p{style:#}");
            assert!(text.contains('\x1b'));
            assert_eq!(shown(&text), text);
        }
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        let mut out = Vec::new();
        Escaped(&mut out).write_all(b"a\xff\x9bb").expect("into memory");
        assert_eq!(out, "a\u{fffd}\u{fffd}b".as_bytes());
    }
}
