//! Mistakes that tests plant, to see that the soundness harness finds such.
//!
//! Only with the feature `planted-bugs`, which nothing that is released has, can one be asked for; without it every question here
//! is answered with no when the crate is built.

use super::Options;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Arithmetic: sums of 32 bits are taken for sums of 64.
    Arithmetic,
    /// Branches: `s<=` of 32 bits is taken for `s<` where it holds.
    Refinement,
    /// Links: a number that was moved is taken for its copy.
    Links,
    /// Pruning: numbers that a proof relied on are not compared.
    Pruning,
    /// Liveness: no stack slot is ever read again.
    Liveness,
    /// Liveness: what a function was handed a pointer to is not read while it runs.
    Handed,
    /// Ids: values that were copies of each other cover values that were not.
    Ids,
    /// Precision: what was spilled is not followed further back.
    Spills,
    /// Loops: what was guessed is taken for right.
    Guesses,
}

/// Whether a mistake is to be made.
#[inline]
pub(super) const fn is_planted(options: &Options, bug: Planted) -> bool {
    #[cfg(feature = "planted-bugs")]
    return matches!(options.planted, Some(planted) if planted as u8 == bug as u8);
    #[cfg(not(feature = "planted-bugs"))]
    {
        let _ = (options, bug);
        false
    }
}
