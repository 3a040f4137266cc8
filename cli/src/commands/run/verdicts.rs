//! Counts what runs returned, by name where the kind of program has names.

use std::collections::BTreeMap;

use brolga_abi::NativeKind;

/// Most different results without a name that are counted apart.
const MAX_NUMBERS: usize = 64;

/// What is done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, as the program left it, at most so many bytes of it.
    Kept(usize),
    /// It is dropped.
    Dropped,
}

/// How often each result was seen.
pub struct Verdicts {
    kind: NativeKind,
    named: Vec<u64>,
    numbers: BTreeMap<u64, u64>,
    others: u64,
}

impl Verdicts {
    /// None yet.
    pub fn new(kind: NativeKind) -> Self {
        Self {
            kind,
            named: vec![0; kind.program_kind().info().verdicts.len()],
            numbers: BTreeMap::new(),
            others: 0,
        }
    }

    /// Counts a result.
    pub fn count(&mut self, result: u64) {
        let number = returned(self.kind, result);
        if let Some(count) = usize::try_from(number).ok().and_then(|number| self.named.get_mut(number)) {
            *count += 1;
        } else if self.numbers.len() < MAX_NUMBERS || self.numbers.contains_key(&number) {
            *self.numbers.entry(number).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    /// Names and counts: all that the kind has, then numbers that were seen.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let names = self.kind.program_kind().info().verdicts.iter().map(|name| (*name).to_owned());
        let mut counts: Vec<_> = names.zip(self.named.iter().copied()).collect();
        counts.extend(self.numbers.iter().map(|(number, count)| (number.to_string(), *count)));
        if self.others > 0 {
            counts.push(("others".to_owned(), self.others));
        }
        counts
    }
}

/// What a program of a kind returned: Linux takes 32 bits of `r0`, `raw_memory` programs return all.
pub fn returned(kind: NativeKind, result: u64) -> u64 {
    match kind {
        NativeKind::Xdp | NativeKind::SocketFilter => result & 0xffff_ffff,
        NativeKind::RawMemory => result,
    }
}

/// What is done with a packet for which a program returned this.
pub fn fate(kind: NativeKind, result: u64) -> Fate {
    match kind {
        // XDP_PASS, XDP_TX, XDP_REDIRECT; others, unknown ones too, drop.
        NativeKind::Xdp if (2..=4).contains(&returned(kind, result)) => Fate::Kept(usize::MAX),
        NativeKind::Xdp => Fate::Dropped,
        NativeKind::SocketFilter => match usize::try_from(returned(kind, result)).unwrap_or(usize::MAX) {
            0 => Fate::Dropped,
            bytes => Fate::Kept(bytes),
        },
        NativeKind::RawMemory => Fate::Kept(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use brolga_abi::NativeKind;

    use super::{Fate, MAX_NUMBERS, Verdicts, fate};

    #[test]
    fn results_are_counted_by_name_where_they_have_one() {
        let mut verdicts = Verdicts::new(NativeKind::Xdp);
        [1, 1, 2, (7 << 32) | 2, 9].into_iter().for_each(|result| verdicts.count(result));
        let counts: Vec<_> = verdicts.counts().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("XDP_DROP".to_owned(), 2), ("XDP_PASS".to_owned(), 2), ("9".to_owned(), 1)]);
    }

    #[test]
    fn many_different_results_need_no_more_memory() {
        let mut verdicts = Verdicts::new(NativeKind::RawMemory);
        (0..1000).for_each(|result| verdicts.count(result));
        let counts = verdicts.counts();
        assert_eq!(counts.len(), MAX_NUMBERS + 1);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1000);
    }

    #[test]
    fn what_is_not_known_is_dropped() {
        assert_eq!(fate(NativeKind::Xdp, 3), Fate::Kept(usize::MAX));
        for result in [0, 1, 5, u64::MAX] {
            assert_eq!(fate(NativeKind::Xdp, result), Fate::Dropped);
        }
        assert_eq!(fate(NativeKind::SocketFilter, 0), Fate::Dropped);
        assert_eq!(fate(NativeKind::SocketFilter, 60), Fate::Kept(60));
    }
}
