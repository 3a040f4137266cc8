//! The formats of `bpf_trace_printk`: the kernel's subset of `printf`, with its refusals.
//!
//! Pure: memory that `%s` and its like refer to is read by the caller's function, which may refuse.
//! Pointers are never printed as they are: `%p` prints a number that stands for one.

use crate::maps::Errno;

/// Most arguments.
const ARGS: usize = 3;
/// The kernel's `MAX_BPRINTF_BUF`, its NUL included: longer messages are cut off.
const MESSAGE_LIMIT: usize = 1024;
/// Most bytes of a string argument.
const STRING_LIMIT: usize = 512;

/// What formats need besides their arguments.
pub(super) trait Source {
    /// Bytes at an address, up to `len`, or fewer where not all may be read.
    fn read(&self, address: u64, len: usize) -> Vec<u8>;
    /// A number that stands for a pointer.
    fn disguise(&self, pointer: u64) -> u64;
}

/// A conversion's flags and width.
#[derive(Clone, Copy, Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    width: usize,
}

/// Formats a message and gives its full length, which may exceed that of the message.
pub(super) fn format(
    format: &[u8],
    args: [u64; ARGS],
    source: &dyn Source,
) -> Result<(String, usize), Errno> {
    let end = format.iter().position(|byte| *byte == 0).ok_or(Errno::Invalid)?;
    let mut rest = &format[..end];
    let mut args = args.into_iter();
    let mut message = Vec::new();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if first.is_ascii() && !is_print(*first) && !is_space(*first) {
            return Err(Errno::Invalid);
        }
        if *first != b'%' {
            message.push(*first);
        } else if let Some(tail) = rest.strip_prefix(b"%") {
            message.push(b'%');
            rest = tail;
        } else {
            let arg = args.next().ok_or(Errno::Invalid)?;
            rest = convert(rest, arg, source, &mut message)?;
        }
    }
    let len = message.len();
    message.truncate(MESSAGE_LIMIT - 1);
    Ok((String::from_utf8_lossy(&message).into_owned(), len))
}

/// Formats one argument by the conversion at the start of `rest` and gives what follows it.
fn convert<'f>(
    rest: &'f [u8],
    arg: u64,
    source: &dyn Source,
    message: &mut Vec<u8>,
) -> Result<&'f [u8], Errno> {
    let (spec, rest) = spec(rest);
    let (kind, rest) = rest.split_first().ok_or(Errno::Invalid)?;
    match kind {
        b'p' => pointer(rest, arg, spec, source, message),
        b's' => string(rest, arg, spec, source, message),
        b'c' => {
            pad(message, &[arg.to_le_bytes()[0]], spec);
            Ok(rest)
        }
        b'l' => match rest {
            [b'l', kind, rest @ ..] | [kind, rest @ ..] => {
                number(*kind, arg, arg.cast_signed(), spec, message)?;
                Ok(rest)
            }
            [] => Err(Errno::Invalid),
        },
        kind => {
            #[expect(clippy::cast_possible_truncation, reason = "an int is printed")]
            let low = arg as u32;
            number(*kind, low.into(), low.cast_signed().into(), spec, message)?;
            Ok(rest)
        }
    }
}

/// Flags, and a width where one follows.
fn spec(mut rest: &[u8]) -> (Spec, &[u8]) {
    let mut spec = Spec::default();
    while let [flag @ (b'0' | b'+' | b'-' | b' '), tail @ ..] = rest {
        match flag {
            b'0' => spec.zero = true,
            b'+' => spec.plus = true,
            b'-' => spec.left = true,
            _ => spec.space = true,
        }
        rest = tail;
    }
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        // A width beyond the longest message is as good as any other.
        spec.width = (spec.width * 10 + usize::from(digit - b'0')).min(MESSAGE_LIMIT);
        rest = tail;
    }
    (spec, rest)
}

fn number(kind: u8, unsigned: u64, signed: i64, spec: Spec, message: &mut Vec<u8>) -> Result<(), Errno> {
    let mut sign = |sign: &str, digits: String| pad_number(message, sign, &digits, spec);
    match kind {
        b'd' | b'i' => {
            let prefix = match signed {
                ..0 => "-",
                _ if spec.plus => "+",
                _ if spec.space => " ",
                _ => "",
            };
            sign(prefix, signed.unsigned_abs().to_string());
        }
        b'u' => sign("", unsigned.to_string()),
        b'x' => sign("", format!("{unsigned:x}")),
        b'X' => sign("", format!("{unsigned:X}")),
        _ => return Err(Errno::Invalid),
    }
    Ok(())
}

fn pad_number(message: &mut Vec<u8>, sign: &str, digits: &str, spec: Spec) {
    let missing = spec.width.saturating_sub(sign.len() + digits.len());
    if spec.zero && !spec.left {
        message.extend(sign.bytes());
        message.extend(std::iter::repeat_n(b'0', missing));
        message.extend(digits.bytes());
    } else {
        pad(message, format!("{sign}{digits}").as_bytes(), spec);
    }
}

fn pad(message: &mut Vec<u8>, text: &[u8], spec: Spec) {
    let blanks = std::iter::repeat_n(b' ', spec.width.saturating_sub(text.len()));
    if spec.left {
        message.extend(text);
        message.extend(blanks);
    } else {
        message.extend(blanks);
        message.extend(text);
    }
}

/// What follows `%p`.
fn pointer<'f>(
    rest: &'f [u8],
    arg: u64,
    spec: Spec,
    source: &dyn Source,
    message: &mut Vec<u8>,
) -> Result<&'f [u8], Errno> {
    let hex = |value: u64| format!("{value:016x}").into_bytes();
    let hidden = || hex(if arg == 0 { 0 } else { source.disguise(arg) });
    if ends_word(rest) {
        pad(message, &hidden(), spec);
        return Ok(rest);
    }
    match rest {
        [b'k' | b'u', b's', rest @ ..] => string(rest, arg, spec, source, message),
        [b'x' | b'K' | b's' | b'S' | b'B', rest @ ..] => {
            pad(message, &hidden(), spec);
            Ok(rest)
        }
        [style @ (b'i' | b'I'), version @ (b'4' | b'6'), rest @ ..] => {
            let len = if *version == b'4' { 4 } else { 16 };
            let mut bytes = source.read(arg, len);
            if bytes.len() < len {
                bytes = vec![0; len];
            }
            pad(message, address(&bytes, *style == b'I').as_bytes(), spec);
            Ok(rest)
        }
        _ => Err(Errno::Invalid),
    }
}

/// An address as the kernel prints it: with its usual punctuation, or fixed in width.
fn address(bytes: &[u8], usual: bool) -> String {
    let join = |parts: Vec<String>, by: &str| parts.join(by);
    match (bytes.len(), usual) {
        (4, true) => join(bytes.iter().map(u8::to_string).collect(), "."),
        (4, false) => join(bytes.iter().map(|byte| format!("{byte:03}")).collect(), "."),
        (_, usual) => {
            let groups = bytes.chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
            join(groups, if usual { ":" } else { "" })
        }
    }
}

fn string<'f>(
    rest: &'f [u8],
    arg: u64,
    spec: Spec,
    source: &dyn Source,
    message: &mut Vec<u8>,
) -> Result<&'f [u8], Errno> {
    if !ends_word(rest) {
        return Err(Errno::Invalid);
    }
    let mut bytes = source.read(arg, STRING_LIMIT - 1);
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    pad(message, &bytes, spec);
    Ok(rest)
}

/// Whether a conversion ends here: at the format's end, at a space or at punctuation.
fn ends_word(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| is_space(*byte) || byte.is_ascii_punctuation())
}

fn is_print(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory;

    impl Source for Memory {
        fn read(&self, address: u64, len: usize) -> Vec<u8> {
            let bytes: &[u8] = match address {
                0x10 => b"text\0rest",
                0x20 => &[10, 0, 0, 200],
                0x30 => &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                _ => b"",
            };
            bytes[..bytes.len().min(len)].to_vec()
        }
        fn disguise(&self, pointer: u64) -> u64 {
            pointer ^ 0xff
        }
    }

    fn print(text: &str, args: [u64; 3]) -> Result<String, Errno> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        format(&bytes, args, &Memory).map(|(message, _)| message)
    }

    #[test]
    fn conversions() {
        let all = u64::MAX;
        for (text, arg, expected) in [
            ("%d", all, "-1"),
            ("%u", all, "4294967295"),
            ("%x", all, "ffffffff"),
            ("%ld", all, "-1"),
            ("%lu", all, "18446744073709551615"),
            ("%llx", all, "ffffffffffffffff"),
            ("%lX", 0xabc, "ABC"),
            ("%i", 0x1_0000_0007, "7"),
            ("%5d|", 42, "   42|"),
            ("%-5d|", 42, "42   |"),
            ("%05d", 42_u64.wrapping_neg(), "-0042"),
            ("%+d", 42, "+42"),
            ("% d", 42, " 42"),
            ("%08x", 0xbeef, "0000beef"),
            ("%c!", u64::from(b'x'), "x!"),
            ("100%%", 0, "100%"),
            ("%s.", 0x10, "text."),
            ("%6s|", 0x10, "  text|"),
            ("%s", 0x99, ""),
            ("%p", 0, "0000000000000000"),
            ("%p", 1, "00000000000000fe"),
            ("%pI4", 0x20, "10.0.0.200"),
            ("%pi4", 0x20, "010.000.000.200"),
            ("%pI6", 0x30, "2001:0db8:0000:0000:0000:0000:0000:0001"),
            ("%pi6", 0x99, "00000000000000000000000000000000"),
            ("%pks", 0x10, "text"),
            ("tab\t and \u{e4}", 0, "tab\t and \u{e4}"),
        ] {
            assert_eq!(print(text, [arg, 0, 0]).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(print("%d %s %x", [1, 0x10, 2]).as_deref(), Ok("1 text 2"));
    }

    #[test]
    fn refusals() {
        for text in
            ["%", "%5", "%q", "%f", "%sx", "%pz", "%pI5", "%l", "%ll", "%.3d", "bell\u{7}", "%d %d %d %d"]
        {
            assert_eq!(print(text, [0; 3]), Err(Errno::Invalid), "{text}");
        }
        assert_eq!(format(b"no end", [0; 3], &Memory), Err(Errno::Invalid));
    }

    #[test]
    fn long_messages_are_cut_off_but_counted() {
        let mut text = vec![b'a'; 2000];
        text.push(0);
        let (message, len) = format(&text, [0; 3], &Memory).expect("a valid format");
        assert_eq!((message.len(), len), (1023, 2000));
    }
}
