//! Why a capture could not be read, and where in it.

use std::fmt;

/// Reading a capture failed.
#[derive(Debug)]
pub struct CaptureError {
    /// Byte offset in the file: of the field, or where the packet or block begins.
    pub offset: u64,
    /// Packets that were read before.
    pub packets: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a capture.
#[derive(Debug)]
pub enum Problem {
    /// The system could not read the file.
    Read(std::io::Error),
    /// The first bytes are those of no capture.
    NotACapture {
        /// The first four bytes.
        magic: Vec<u8>,
    },
    /// The capture is compressed.
    Compressed {
        /// The tool that made it.
        tool: &'static str,
    },
    /// The file ends inside of something.
    CutOff {
        /// What it is.
        what: &'static str,
        /// How many bytes of it are missing.
        missing: u32,
    },
    /// A packet or a block is longer than any that is accepted.
    TooLong {
        /// Which of them it is.
        what: &'static str,
        /// Its length.
        found: u32,
        /// The longest that is accepted.
        limit: u32,
    },
    /// The packets do not begin with an Ethernet header.
    LinkType {
        /// The `LINKTYPE_` number.
        found: u32,
    },
    /// A version of the format that is not known.
    Version {
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// A packet in a form that pcapng had in drafts.
    ObsoletePacket,
    /// A packet, a block or a field contradicts itself.
    Malformed {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Problem {
    /// What a file is that begins like no capture.
    pub fn unknown_magic(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Compressed { tool: "gzip" },
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Compressed { tool: "zstd" },
            [0xfd, b'7', b'z', b'X', ..] => Self::Compressed { tool: "xz" },
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Compressed { tool: "lz4" },
            [b'B', b'Z', b'h', ..] => Self::Compressed { tool: "bzip2" },
            _ => Self::NotACapture { magic: magic.iter().take(4).copied().collect() },
        }
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.packets > 0 {
            write!(f, "after packet {}, ", self.packets)?;
        }
        write!(f, "at byte {}: {}", self.offset, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "could not be read: {error}"),
            Self::NotACapture { magic } => {
                f.write_str("neither pcap nor pcapng: begins with")?;
                magic.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
            Self::Compressed { tool } => write!(f, "compressed by {tool}: decompress it first"),
            Self::CutOff { what, missing } => {
                write!(f, "the file ends inside of {what}: {missing} bytes are missing")
            }
            Self::TooLong { what, found, limit } => {
                write!(f, "{what} of {found} bytes is above the limit of {limit}")
            }
            Self::LinkType { found } => {
                write!(f, "the capture has link type {}, but must be of Ethernet", link_type(*found))
            }
            Self::Version { major, minor } => write!(f, "version {major}.{minor} of the format is not known"),
            Self::ObsoletePacket => {
                f.write_str("a packet in pcapng's obsolete form: convert the capture with `editcap` first")
            }
            Self::Malformed { what, reason } => write!(f, "malformed {what}: {reason}"),
        }
    }
}

impl std::error::Error for CaptureError {}

/// A link type by number, and by name where it is a frequent one.
fn link_type(number: u32) -> String {
    let name = match number {
        0 => "BSD loopback",
        12 | 14 | 101 => "raw IP",
        105 => "802.11",
        113 => "Linux cooked",
        127 => "802.11 with radiotap",
        276 => "Linux cooked v2",
        _ => return number.to_string(),
    };
    format!("{number} ({name})")
}
