//! Reads packets from pcap and pcapng captures, one at a time.
//!
//! `pcap-parser` knows the formats. What is here is the framing: a record is read whole, as long as
//! its head says, and only then parsed. (That crate's own streaming readers lose what the system
//! said, and call a malformed block cut off.) Memory is that of the longest record so far.
//!
//! Files may be cut off, damaged or hostile: no length is trusted, a packet is at most
//! [`MAX_PACKET`] bytes, and errors say where in the file and after which packet they lie. Lengths
//! above the capture's own snap length are taken as they are, as tcpdump does. A packet that is
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

impl Packet {
    /// Takes what a record says, in a buffer that is reused.
    fn set(&mut self, time_ns: u64, wire_len: u32, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).expect("packets are at most `MAX_PACKET` bytes");
        self.time_ns = time_ns;
        self.wire_len = wire_len.max(len);
        bytes.clone_into(&mut self.bytes);
    }
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
        let mut input = Input { input, record: Vec::new(), start: 0, offset: 0, packets: 0 };
        let what = "the file's first four bytes";
        if !input.begin(4, what)? {
            return Err(input.error(Problem::CutOff { what, missing: 4 }));
        }
        let format = if input.record == pcap_parser::SHB_MAGIC.to_le_bytes() {
            Format::Pcapng(pcapng::State::begin(&mut input)?)
        } else {
            Format::Pcap(pcap::State::begin(&mut input)?)
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

/// The file, with the place in it.
struct Input<R> {
    input: R,
    /// What was read of the present record: a file's header, a packet, or a block.
    record: Vec<u8>,
    /// Where that record begins.
    start: u64,
    offset: u64,
    packets: u64,
}

impl<R: Read> Input<R> {
    /// Reads the head of the next record; `false` where the file ends before it.
    fn begin(&mut self, len: u32, what: &'static str) -> Result<bool, CaptureError> {
        self.record.clear();
        self.start = self.offset;
        match self.read(len)? {
            0 => Ok(true),
            missing if missing == len => Ok(false),
            missing => Err(self.error(Problem::CutOff { what, missing })),
        }
    }

    /// Reads more of the present record.
    fn more(&mut self, len: u32, what: &'static str) -> Result<(), CaptureError> {
        match self.read(len)? {
            0 => Ok(()),
            missing => Err(self.error(Problem::CutOff { what, missing })),
        }
    }

    /// Adds bytes to the record; how many are missing where the file ends before. The buffer grows
    /// with what is there, not with what is asked for.
    fn read(&mut self, len: u32) -> Result<u32, CaptureError> {
        let before = self.record.len();
        let result = (&mut self.input).take(len.into()).read_to_end(&mut self.record);
        let read = self.record.len() - before;
        self.offset += read as u64;
        match result {
            Ok(_) => Ok(len - u32::try_from(read).expect("no more than was asked for")),
            Err(error) => Err(self.error_at(self.offset, Problem::Read(error))),
        }
    }

    /// An error of the present record.
    fn error(&self, problem: Problem) -> CaptureError {
        self.error_at(self.start, problem)
    }

    fn error_at(&self, offset: u64, problem: Problem) -> CaptureError {
        CaptureError { offset, packets: self.packets, problem }
    }
}

/// Refuses packets above the limit.
fn limit(len: u32) -> Result<(), Problem> {
    if len <= MAX_PACKET {
        return Ok(());
    }
    Err(Problem::TooLong { what: "a packet", found: len, limit: MAX_PACKET })
}

/// Refuses packets that do not begin with an Ethernet header.
fn ethernet(link_type: u32) -> Result<(), Problem> {
    if link_type == ETHERNET { Ok(()) } else { Err(Problem::LinkType { found: link_type }) }
}

#[cfg(test)]
mod tests;
