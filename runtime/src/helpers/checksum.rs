//! Checksums: RFC 1071's ones' complement sums.
//!
//! Since 6.13 Linux folds the result of `bpf_csum_diff` to 16 bits on every architecture.

#![expect(unsafe_code, reason = "called by compiled code with pointers that the verifier checked")]

use brolga_abi::env::Env;

use crate::maps::Errno;
use crate::sync::Lent;

/// `bpf_csum_diff`: the checksum `seed`, without the words of `from` and with those of `to`.
///
/// # Safety
///
/// Called by verified code: as many bytes as the sizes say are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brolga_v1_csum_diff(
    _env: *mut Env,
    from: *const u8,
    from_size: u64,
    to: *const u8,
    to_size: u64,
    seed: u64,
) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel's parameters have 32 bits")]
    let (from_size, to_size, seed) = (from_size as u32 as usize, to_size as u32 as usize, seed as u32);
    // SAFETY: verified arguments.
    let (from, to) = unsafe { (Lent::program(from, from_size), Lent::program(to, to_size)) };
    diff(from, to, seed).unwrap_or_else(Errno::result)
}

fn diff(from: Lent<'_>, to: Lent<'_>, seed: u32) -> Result<u64, Errno> {
    if !from.len().is_multiple_of(4) || !to.len().is_multiple_of(4) {
        return Err(Errno::Invalid);
    }
    let sum = match (from.len(), to.len()) {
        (0, 0) => seed,
        (0, _) => partial(to, seed),
        (_, 0) => !partial(from, !seed),
        (_, _) => add(partial(to, seed), !partial(from, 0)),
    };
    Ok(u64::from(fold(sum)))
}

/// The ones' complement sum of 32-bit words, begun with `sum`.
fn partial(bytes: Lent<'_>, sum: u32) -> u32 {
    let words = bytes.len() / 8;
    let mut total = u64::from(sum);
    let mut add = |word: u64| {
        let (next, carry) = total.overflowing_add(word);
        total = next + u64::from(carry);
    };
    (0..words).for_each(|i| add(bytes.word(i)));
    if !bytes.len().is_multiple_of(8) {
        // The last 32-bit word alone. Where it stands in the 64-bit one makes no difference.
        add(bytes.word(words));
    }
    #[expect(clippy::cast_possible_truncation, reason = "both halves are added")]
    let (high, low) = ((total >> 32) as u32, total as u32);
    self::add(high, low)
}

/// Adds with end-around carry.
fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u32::from(carry)
}

/// Folds to 16 bits.
fn fold(sum: u32) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are added")]
    let (high, low) = ((sum >> 16) as u16, sum as u16);
    let (folded, carry) = high.overflowing_add(low);
    folded + u16::from(carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csum(from: &[u8], to: &[u8], seed: u32) -> Result<u64, Errno> {
        diff(Lent::host(from), Lent::host(to), seed)
    }

    /// A sum as RFC 1071 computes it, as a number of the host's byte order.
    fn rfc1071(bytes: &[u8]) -> u64 {
        let mut sum: u64 =
            bytes.chunks(2).map(|pair| u64::from(u16::from_ne_bytes([pair[0], pair[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        let sum = csum(&[], &bytes, 0).expect("aligned");
        assert_eq!(u16::try_from(sum).expect("16 bits").to_ne_bytes(), [0xdd, 0xf2]);
    }

    #[test]
    fn sums_agree_with_the_definition() {
        let bytes: Vec<u8> = (0..200_u8).map(|i| i.wrapping_mul(37) ^ 0xa5).collect();
        for len in (0..=200).step_by(4) {
            assert_eq!(csum(&[], &bytes[..len], 0), Ok(rfc1071(&bytes[..len])), "{len} bytes");
        }
    }

    #[test]
    fn replacing_words_replaces_them_in_the_sum() {
        let old = [1, 2, 3, 4, 250, 251, 252, 253];
        let new = [9, 8, 7, 6, 1, 1, 1, 1];
        let before = u32::try_from(rfc1071(&old)).expect("16 bits");
        assert_eq!(csum(&old, &new, before), Ok(rfc1071(&new)));
        let pulled = csum(&old[..4], &[], before).expect("aligned");
        assert_eq!(pulled, rfc1071(&old[4..]));
    }

    #[test]
    fn sizes_that_are_not_whole_words_are_invalid() {
        assert_eq!(csum(&[0; 3], &[], 0), Err(Errno::Invalid));
        assert_eq!(csum(&[], &[0; 6], 0), Err(Errno::Invalid));
        assert_eq!(Errno::Invalid.result(), (-22_i64).cast_unsigned());
        assert_eq!(csum(&[], &[], 0x0001_0002), Ok(3));
    }
}
