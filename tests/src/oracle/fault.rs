//! Faults: what the interpreter refuses to do. A verified program that faults proves the verifier wrong.

use std::fmt;

use brolga_compiler::isa::{InsnIdx, Reg};

/// Why a run could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A register was read that nothing had written.
    UninitialisedRegister(Reg),
    /// `r10` was written.
    FramePointerWritten,
    /// An address that belongs to no region, or a freed one.
    NoRegion {
        /// The address.
        address: u64,
        /// Bytes wanted.
        size: usize,
    },
    /// An access that is not wholly inside its region.
    OutOfBounds {
        /// The region.
        region: String,
        /// Offset of the first byte wanted.
        offset: i64,
        /// Bytes wanted.
        size: usize,
        /// Bytes of the region.
        len: usize,
    },
    /// A write to memory that programs may only read.
    ReadOnly {
        /// The region.
        region: String,
    },
    /// An atomic access that is not naturally aligned.
    Misaligned {
        /// The address.
        address: u64,
    },
    /// A helper received something else than the map, or the context, that it needs.
    WrongArgument {
        /// The helper's name.
        helper: &'static str,
        /// What was needed.
        expected: &'static str,
    },
    /// Control left the program, or entered the second slot of a `lddw`.
    BadTarget(i64),
    /// More than eight frames.
    CallDepth,
    /// The fuel is used up.
    OutOfFuel,
    /// Something that the interpreter does not have.
    Unsupported(String),
}

/// A fault and where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the program that ran.
    pub program: String,
    /// The instruction.
    pub at: InsnIdx,
    /// Why.
    pub cause: Cause,
}

impl Fault {
    /// Whether the program touched memory or a register that it must not touch: an accepted program
    /// that does so is a soundness bug of the verifier.
    #[must_use]
    pub const fn is_unsafe(&self) -> bool {
        match self.cause {
            Cause::UninitialisedRegister(_)
            | Cause::FramePointerWritten
            | Cause::NoRegion { .. }
            | Cause::OutOfBounds { .. }
            | Cause::ReadOnly { .. }
            | Cause::Misaligned { .. }
            | Cause::WrongArgument { .. }
            | Cause::BadTarget(_)
            | Cause::CallDepth => true,
            Cause::OutOfFuel | Cause::Unsupported(_) => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.program, self.at, self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UninitialisedRegister(reg) => write!(f, "{reg} is read before it is written"),
            Self::FramePointerWritten => f.write_str("r10 is written"),
            Self::NoRegion { address, size } => {
                write!(f, "{size} bytes at {address:#x}, which is no address of any memory")
            }
            Self::OutOfBounds { region, offset, size, len } => {
                write!(f, "{size} bytes at offset {offset} of the {len} bytes of {region}")
            }
            Self::ReadOnly { region } => write!(f, "a write to {region}, which is read-only"),
            Self::Misaligned { address } => write!(f, "a misaligned atomic access at {address:#x}"),
            Self::WrongArgument { helper, expected } => write!(f, "{helper} needs {expected}"),
            Self::BadTarget(at) => write!(f, "control goes to {at}, where no instruction starts"),
            Self::CallDepth => f.write_str("more than 8 frames"),
            Self::OutOfFuel => f.write_str("out of fuel"),
            Self::Unsupported(what) => write!(f, "the interpreter has no {what}"),
        }
    }
}

impl std::error::Error for Fault {}
