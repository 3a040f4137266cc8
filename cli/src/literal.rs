//! Keys and values as they are written on the command line.
//!
//! A literal is a list of items, separated by commas, whose bytes follow each other:
//!
//! | item | bytes |
//! |---|---|
//! | `u8:N` `u16:N` `u32:N` `u64:N` | an integer in the host's byte order |
//! | `be16:N` `be32:N` `be64:N` | an integer in the network's byte order |
//! | `192.0.2.1`, `2001:db8::1`, `02:00:5e:00:53:01` | an address in the network's byte order |
//! | `hex:0a0b0c` | these bytes |
//! | `N` alone | an integer as wide as the whole |
//!
//! Bytes that a literal does not reach are zero; one that is too long is refused. Integers may be
//! decimal, `0x…`, or negative.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What literals look like, for the help.
pub const HELP: &str = "\
Literals: items separated by commas, laid out one after the other, the rest zero:
  u8:N u16:N u32:N u64:N   an integer in the host's byte order
  be16:N be32:N be64:N     an integer in the network's byte order
  192.0.2.1 2001:db8::1 02:00:5e:00:53:01   an address
  hex:0a0b0c               bytes
  N                        alone: an integer as wide as the whole
Integers are decimal, 0x hexadecimal, or negative.";

/// A number that is a size: decimal or `0x…`.
pub fn size(text: &str) -> Option<u32> {
    integer(text).and_then(|number| u32::try_from(number).ok())
}

/// The bytes of a literal that is `size` bytes long.
pub fn parse(text: &str, size: usize) -> Result<Vec<u8>, String> {
    parse_for(text, size, cfg!(target_endian = "big"))
}

/// The bytes of a literal for a machine that is big-endian, or not; that machine is the "host".
pub fn parse_for(text: &str, size: usize, big: bool) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Err("nothing is written where a literal belongs".to_owned());
    }
    if let Some(value) = integer(text) {
        return match size {
            1 | 2 | 4 | 8 => host_order(value, size, text, big),
            _ => Err(format!(
                "`{text}` does not say how wide it is, and {size} bytes are wanted: write `u32:{text}`"
            )),
        };
    }
    let mut bytes = Vec::new();
    for part in text.split(',') {
        bytes.extend(item(part, big)?);
    }
    if bytes.len() > size {
        return Err(format!("`{text}` is {} bytes long, but {size} are wanted", bytes.len()));
    }
    bytes.resize(size, 0);
    Ok(bytes)
}

fn item(text: &str, big: bool) -> Result<Vec<u8>, String> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.octets().to_vec());
    }
    if let Some(address) = mac(text) {
        return Ok(address.to_vec());
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(address.octets().to_vec());
    }
    let Some((prefix, rest)) = text.split_once(':') else {
        return Err(match integer(text) {
            Some(_) => {
                format!(
                    "an integer among other items must say how wide it is: write `u32:{text}` for `{text}`"
                )
            }
            None if text.is_empty() => "an item is empty".to_owned(),
            None => format!("`{text}` is neither an integer nor an address"),
        });
    };
    let width = match prefix {
        "hex" => return hex(rest),
        "u8" => 1,
        "u16" | "be16" => 2,
        "u32" | "be32" => 4,
        "u64" | "be64" => 8,
        _ => return Err(format!("`{text}` begins with none of u8, u16, u32, u64, be16, be32, be64, hex")),
    };
    let value = integer(rest).ok_or_else(|| format!("`{rest}` is not an integer"))?;
    host_order(value, width, rest, big || prefix.starts_with("be"))
}

/// An integer of at most 64 bits, signed or not.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse::<u64>(),
    };
    let value = i128::from(value.ok().filter(|_| !digits.starts_with('+'))?);
    Some(if negative { -value } else { value })
}

/// The integer's bytes in the host's order, where it fits as signed or as unsigned.
fn host_order(value: i128, width: usize, text: &str, big: bool) -> Result<Vec<u8>, String> {
    let bits = 8 * u32::try_from(width).expect("at most eight bytes");
    if value >= 1 << bits || value < -(1 << (bits - 1)) {
        return Err(format!("`{text}` does not fit into {width} bytes"));
    }
    Ok(if big { value.to_be_bytes()[16 - width..].to_vec() } else { value.to_le_bytes()[..width].to_vec() })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !digits.len().is_multiple_of(2) {
        return Err(format!("`{text}` has an odd number of digits"));
    }
    digits
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| format!("`{text}` is not hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn integers_are_as_wide_as_what_they_stand_for() {
        assert_eq!(parse("258", 4).unwrap(), 258_u32.to_ne_bytes());
        assert_eq!(parse("-1", 2).unwrap(), [0xff, 0xff]);
        assert_eq!(parse("0xffffffffffffffff", 8).unwrap(), [0xff; 8]);
        for (text, size) in
            [("256", 1), ("-129", 1), ("1", 3), ("1", 16), ("", 4), ("+1", 4), ("0x", 4), ("--1", 4)]
        {
            assert!(parse(text, size).is_err(), "{text:?} as {size} bytes");
        }
    }

    #[test]
    fn items_follow_each_other_and_the_rest_is_zero() {
        assert_eq!(parse("192.0.2.1,be16:80,u8:6", 8).unwrap(), [192, 0, 2, 1, 0, 80, 6, 0]);
        assert_eq!(parse("02:00:5e:00:53:01,hex:0aFF", 8).unwrap(), [2, 0, 0x5e, 0, 0x53, 1, 10, 255]);
        assert_eq!(parse("2001:db8::1", 16).unwrap()[..4], [0x20, 1, 0x0d, 0xb8]);
        assert_eq!(parse("be32:-2", 4).unwrap(), [0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(parse("hex:", 2).unwrap(), [0, 0]);
    }

    #[test]
    fn a_width_is_proposed_for_integers_only() {
        assert!(parse("192.0.2.1,6", 8).unwrap_err().contains("`u32:6`"));
        assert!(!parse("true", 1).unwrap_err().contains("u32:"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "192.0.2.1,1",
            "192.0.2.1,u16:1",
            "hex:0",
            "hex:0g",
            "u24:1",
            "u8:256",
            "u8:",
            "::1",
            ",",
            "u8:1,",
        ] {
            assert!(parse(text, 5).is_err(), "{text:?}");
        }
    }
}
