//! Traps: why a run ended without a result.

/// Why a run ended early. Stored in [`crate::env::Env::trap`]; 0 means that it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Trap {
    /// The run ended by `exit`.
    None = 0,
    /// The program used up the fuel it was given.
    OutOfFuel = 1,
}
