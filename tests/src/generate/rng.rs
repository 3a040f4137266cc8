//! Random numbers that repeat: splitmix64.

/// A generator; equal seeds give equal sequences.
#[derive(Clone, Debug)]
pub struct Rng(u64);

/// Values at which arithmetic is most likely to be wrong.
const EDGES: &[u64] = &[
    0,
    1,
    2,
    u64::MAX,
    0x7f,
    0x80,
    0xff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_8000_0000,
];

impl Rng {
    /// A generator that starts at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u32) -> u32 {
        (((self.word() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// One of a list, which is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(u32::try_from(list.len()).expect("lists are short")) as usize]
    }

    /// A value: often an edge, sometimes near one, sometimes anything.
    pub fn value(&mut self) -> u64 {
        match self.below(4) {
            0 => self.pick(EDGES),
            1 => self.pick(EDGES).wrapping_add_signed(i64::from(self.below(7)) - 3),
            2 => u64::from(self.below(256)),
            _ => self.word(),
        }
    }

    /// An immediate: often an edge, often small.
    pub fn imm(&mut self) -> i32 {
        (self.value() as u32).cast_signed()
    }
}
