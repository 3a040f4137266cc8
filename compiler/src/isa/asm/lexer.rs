//! Cuts a line of assembly into tokens.
//!
//! Comments run from `;`, `//`, or a `#` that follows a blank or starts the line, to the line's end.
//! Signs are tokens of their own, so `-4` is two.

use super::AsmProblem;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A register, mnemonic, label or name: letters, digits, `_`, `.` and `$`, not starting with a digit.
    Word,
    /// A number, decimal or `0x`.
    Number(u64),
    /// One of [`PUNCTUATION`].
    Punct,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    /// Byte offset in the line.
    pub start: usize,
}

/// Longest first where one starts another.
const PUNCTUATION: &[&str] = &[
    "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "==", "!=", ">=", "<=", ">", "<", "&", "=",
    "+", "-", "*", "(", ")", "[", "]", ",", ":", "#", "@",
];

/// The token at or after a byte offset. `None` at the end of the line or before a comment.
pub(super) fn next_token(line: &str, from: usize) -> Result<Option<Token<'_>>, (usize, AsmProblem)> {
    let blank = |c: char| c.is_ascii_whitespace();
    let rest = line[from..].trim_start_matches(blank);
    let start = line.len() - rest.len();
    let comment = rest.starts_with(';')
        || rest.starts_with("//")
        || rest.starts_with('#') && (start == 0 || line[..start].ends_with(blank));
    let Some(first) = rest.chars().next().filter(|_| !comment) else { return Ok(None) };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    if word(first) {
        let text = &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())];
        let kind = if first.is_ascii_digit() {
            TokenKind::Number(
                number(text).ok_or_else(|| (start, AsmProblem::BadNumber { text: text.to_owned() }))?,
            )
        } else {
            TokenKind::Word
        };
        return Ok(Some(Token { kind, text, start }));
    }
    match PUNCTUATION.iter().find(|p| rest.starts_with(**p)) {
        Some(p) => Ok(Some(Token { kind: TokenKind::Punct, text: &rest[..p.len()], start })),
        None => Err((start, AsmProblem::BadCharacter { found: first })),
    }
}

/// All tokens of a line.
pub(super) fn tokens(line: &str) -> Result<Vec<Token<'_>>, (usize, AsmProblem)> {
    let mut tokens = Vec::new();
    let mut from = 0;
    while let Some(token) = next_token(line, from)? {
        from = token.start + token.text.len();
        tokens.push(token);
    }
    Ok(tokens)
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
