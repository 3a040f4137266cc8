//! One 8-byte slot taken apart into its fields (RFC 9669, section 3).
//!
//! Nothing is judged here: registers are nibbles from 0 to 15, and every opcode is taken. What could
//! be wrong is the byte order: a big-endian object swaps `off` and `imm`, and the register nibbles too.

/// Byte order of an object's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endianness {
    /// `bpfel`
    Little,
    /// `bpfeb`
    Big,
}

impl Endianness {
    /// That of the machine this is compiled for, which its kernel takes.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
}

/// The fields of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RawInsn {
    /// Opcode byte.
    pub opcode: u8,
    /// Destination nibble.
    pub dst: u8,
    /// Source nibble.
    pub src: u8,
    /// Offset.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl RawInsn {
    /// Takes a slot apart.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8], endianness: Endianness) -> Self {
        let [opcode, regs, o0, o1, i0, i1, i2, i3] = bytes;
        let (low, high) = (regs & 0xf, regs >> 4);
        match endianness {
            Endianness::Little => Self {
                opcode,
                dst: low,
                src: high,
                off: i16::from_le_bytes([o0, o1]),
                imm: i32::from_le_bytes([i0, i1, i2, i3]),
            },
            Endianness::Big => Self {
                opcode,
                dst: high,
                src: low,
                off: i16::from_be_bytes([o0, o1]),
                imm: i32::from_be_bytes([i0, i1, i2, i3]),
            },
        }
    }

    /// The slot as a number: what its eight bytes are, read in little-endian order.
    pub(super) const fn word(self) -> u64 {
        u64::from_le_bytes(self.to_bytes(Endianness::Little))
    }

    /// Puts a slot together.
    #[must_use]
    pub const fn to_bytes(self, endianness: Endianness) -> [u8; 8] {
        let (dst, src) = (self.dst & 0xf, self.src & 0xf);
        let (regs, [o0, o1], [i0, i1, i2, i3]) = match endianness {
            Endianness::Little => (src << 4 | dst, self.off.to_le_bytes(), self.imm.to_le_bytes()),
            Endianness::Big => (dst << 4 | src, self.off.to_be_bytes(), self.imm.to_be_bytes()),
        };
        [self.opcode, regs, o0, o1, i0, i1, i2, i3]
    }
}
