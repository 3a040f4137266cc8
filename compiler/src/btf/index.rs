//! Finds types by name: a hash table of ids, made at the first look-up.
//!
//! Types are filed under their *essential* name, which is the name without its CO-RE flavour
//! (`task_struct` of `task_struct___old`), so that one table serves both ways of asking. No string
//! is stored or copied: the table is two words a type. The hash is keyed at random, so that a file
//! cannot be made to have all its names in one bucket; types that truly share a name share one.

use std::hash::{BuildHasher, RandomState};

use super::Btf;

/// Longest name by which types are found; Linux's `KSYM_NAME_LEN`, which takes longer ones for invalid.
const MAX_INDEXED: usize = 512;

/// No type: the end of a bucket.
const END: u32 = u32::MAX;

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Index {
    hasher: RandomState,
    /// For each hash the first type, as an index into the types of this part.
    first: Box<[u32]>,
    /// For each type the next one in its bucket. Ids ascend along a bucket.
    next: Box<[u32]>,
}

/// The name without its flavour: what stands before the last `___` that is three underscores
/// exactly and has something on both sides.
#[must_use]
pub fn essential_name(name: &str) -> &str {
    // Underscores are ASCII: the cut is at a boundary of characters.
    name.get(..essential_len(name.as_bytes())).unwrap_or(name)
}

fn essential_len(name: &[u8]) -> usize {
    let separator = |w: &[u8]| w[0] != b'_' && w[1..4] == *b"___" && w[4] != b'_';
    name.windows(5).rposition(separator).map_or(name.len(), |at| at + 1)
}

impl Index {
    pub(super) fn new(btf: &Btf) -> Self {
        let types = btf.offsets.len();
        let buckets = types.next_power_of_two();
        let mut index = Self {
            hasher: RandomState::new(),
            first: vec![END; buckets].into(),
            next: vec![END; types].into(),
        };
        // From the last to the first, each put before the others.
        let last = u32::try_from(types).expect("parsing bounds the number of types");
        for (at, &offset) in (0..last).rev().zip(btf.offsets.iter().rev()) {
            let name = btf.name_bytes_at(offset);
            if !name.is_empty() && name.len() < MAX_INDEXED {
                let bucket = index.bucket(&name[..essential_len(name)]);
                index.next[at as usize] = std::mem::replace(&mut index.first[bucket], at);
            }
        }
        index
    }

    fn bucket(&self, essential: &[u8]) -> usize {
        let mask = self.first.len() as u64 - 1;
        usize::try_from(self.hasher.hash_one(essential) & mask).expect("less than the number of buckets")
    }

    /// Places among the types of this part whose essential name may be that of `name`, ascending.
    pub(super) fn candidates(&self, name: &str) -> impl Iterator<Item = u32> + use<'_> {
        let essential = essential_name(name);
        let is_indexed = !essential.is_empty() && essential.len() < MAX_INDEXED;
        let at = if !is_indexed { END } else { self.first[self.bucket(essential.as_bytes())] };
        let step = |at: &u32| Some(self.next[*at as usize]).filter(|&next| next != END);
        std::iter::successors(Some(at).filter(|&at| at != END), step)
    }
}
