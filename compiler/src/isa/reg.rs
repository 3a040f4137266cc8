//! Registers.

use std::fmt;

/// A register, `r0` to `r10`. There is no other: the decoder refuses numbers above 10.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(u8);

impl Reg {
    /// Return value.
    pub const R0: Self = Self(0);
    /// First argument; the context at entry.
    pub const R1: Self = Self(1);
    /// Second argument.
    pub const R2: Self = Self(2);
    /// Third argument.
    pub const R3: Self = Self(3);
    /// Fourth argument.
    pub const R4: Self = Self(4);
    /// Fifth argument.
    pub const R5: Self = Self(5);
    /// Callee-saved; the context of legacy packet loads.
    pub const R6: Self = Self(6);
    /// Callee-saved.
    pub const R7: Self = Self(7);
    /// Callee-saved.
    pub const R8: Self = Self(8);
    /// Callee-saved.
    pub const R9: Self = Self(9);
    /// Frame pointer, read-only.
    pub const R10: Self = Self(10);
    /// How many registers there are.
    pub const COUNT: usize = 11;

    /// The register with a number from 0 to 10.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The number, 0 to 10.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The number as an index, 0 to 10.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All registers in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map_while(Self::new)
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
