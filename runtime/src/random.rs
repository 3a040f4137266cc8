//! Pseudo-random numbers: one generator for programs, one mixing step for hashes.
//!
//! Neither is fit for secrets. A hash is seeded, so that keys which collide in one map do not
//! collide in the next; whoever can observe the timing of very many lookups may still learn enough
//! to make a map slow.

use std::hash::{BuildHasher, RandomState};

/// Multiplies to 128 bits and folds: the mixing step of wyhash and foldhash.
#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    {
        (product as u64) ^ ((product >> 64) as u64)
    }
}

/// A generator of 64-bit numbers (wyrand).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number that differs from process to process.
    pub(crate) fn from_process() -> Self {
        Self(RandomState::new().hash_one(0x0062_726f_6c67_6100_u64))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        mix(self.0, self.0 ^ 0xe703_7ed1_a0b4_28db)
    }
}
