//! Reads packets from pcap and pcapng captures, one at a time.
//!
//! Files may be cut off, damaged or hostile: no length is trusted, a packet is at most
//! [`MAX_PACKET`] bytes, and errors say where in the file and after which packet they lie. Lengths
//! above the capture's own snap length are taken as they are, as tcpdump does. A capture that is
//! not of Ethernet is refused, since the programs' first header would be missing.

mod error;
mod pcap;
mod pcapng;
mod write;

use std::io::Read;

pub use error::{CaptureError, Problem};
pub use write::Writer;

/// Longest packet that is accepted: tcpdump's largest snap length.
pub const MAX_PACKET: u32 = 262_144;

/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;

/// A captured packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Bytes that were on the wire; more than `bytes` holds where the capture cut the packet.
    pub wire_len: u32,
    /// The captured bytes.
    pub bytes: Vec<u8>,
}

/// A capture that is being read.
pub struct Reader<R> {
    input: Input<R>,
    format: Format,
}

enum Format {
    Pcap(pcap::State),
    Pcapng(pcapng::State),
}

impl<R: Read> Reader<R> {
    /// Begins to read a capture of either format.
    pub fn new(input: R) -> Result<Self, CaptureError> {
        let mut input = Input { input, offset: 0, packets: 0 };
        let magic = input.array::<4>("the file's first four bytes")?;
        let format = if magic == pcapng::SECTION_HEADER.to_le_bytes() {
            Format::Pcapng(pcapng::State::begin(&mut input)?)
        } else if let Some(state) = pcap::State::begin(magic, &mut input)? {
            Format::Pcap(state)
        } else {
            return Err(input.error(0, Problem::unknown_magic(magic)));
        };
        Ok(Self { input, format })
    }

    /// Reads the next packet into `packet`; `false` at the end of the capture.
    pub fn next(&mut self, packet: &mut Packet) -> Result<bool, CaptureError> {
        let found = match &mut self.format {
            Format::Pcap(state) => state.next(&mut self.input, packet),
            Format::Pcapng(state) => state.next(&mut self.input, packet),
        }?;
        self.input.packets += u64::from(found);
        Ok(found)
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.input.offset
    }

    /// Whether times are finer than microseconds.
    pub fn nanoseconds(&self) -> bool {
        match &self.format {
            Format::Pcap(state) => state.nanoseconds(),
            Format::Pcapng(state) => state.nanoseconds(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endian {
    Little,
    Big,
}

impl Endian {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The 32-bit word at a byte offset.
    fn u32_at(self, bytes: &[u8], at: usize) -> u32 {
        self.u32(bytes[at..at + 4].try_into().expect("four bytes"))
    }
}

/// The file, with the place in it.
struct Input<R> {
    input: R,
    offset: u64,
    packets: u64,
}

impl<R: Read> Input<R> {
    fn error(&self, offset: u64, problem: Problem) -> CaptureError {
        CaptureError { offset, packets: self.packets, problem }
    }

    /// Fills `buffer`, or says how much of it there was.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, CaptureError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(self.offset, Problem::Read(error))),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    fn exact(&mut self, buffer: &mut [u8], what: &'static str) -> Result<(), CaptureError> {
        let start = self.offset;
        let found = self.fill(buffer)?;
        if found == buffer.len() {
            return Ok(());
        }
        let missing = (buffer.len() - found) as u64;
        Err(self.error(start, Problem::CutOff { what, missing }))
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CaptureError> {
        let mut bytes = [0; N];
        self.exact(&mut bytes, what)?;
        Ok(bytes)
    }

    /// As [`Input::array`], and `None` where the file ends exactly here.
    fn array_or_end<const N: usize>(&mut self, what: &'static str) -> Result<Option<[u8; N]>, CaptureError> {
        let mut bytes = [0; N];
        let start = self.offset;
        match self.fill(&mut bytes)? {
            0 => Ok(None),
            found if found == N => Ok(Some(bytes)),
            found => Err(self.error(start, Problem::CutOff { what, missing: (N - found) as u64 })),
        }
    }

    /// Reads a packet's bytes into a buffer that is reused.
    fn packet(&mut self, bytes: &mut Vec<u8>, len: u32) -> Result<(), CaptureError> {
        if len > MAX_PACKET {
            return Err(self.error(self.offset, Problem::TooLong { found: len, limit: MAX_PACKET }));
        }
        bytes.resize(len as usize, 0);
        self.exact(bytes, "a packet")
    }

    /// Passes over bytes.
    fn skip(&mut self, mut len: u64, what: &'static str) -> Result<(), CaptureError> {
        let mut scratch = [0; 4096];
        while len > 0 {
            let part = scratch.len().min(usize::try_from(len).unwrap_or(usize::MAX));
            self.exact(&mut scratch[..part], what)?;
            len -= part as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
