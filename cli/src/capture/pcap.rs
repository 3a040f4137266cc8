//! The pcap format: a header, then packets. Either byte order, microseconds or nanoseconds.

use std::io::Read;

use super::error::{CaptureError, Problem};
use super::{ETHERNET, Endian, Input, Packet};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

pub struct State {
    endian: Endian,
    unit_ns: u32,
}

impl State {
    /// Reads the rest of the header; `None` where `magic` is not pcap's.
    pub fn begin<R: Read>(magic: [u8; 4], input: &mut Input<R>) -> Result<Option<Self>, CaptureError> {
        let (endian, unit_ns) = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (MICROSECONDS, _) => (Endian::Little, 1000),
            (NANOSECONDS, _) => (Endian::Little, 1),
            (_, MICROSECONDS) => (Endian::Big, 1000),
            (_, NANOSECONDS) => (Endian::Big, 1),
            _ => return Ok(None),
        };
        let header = input.array::<20>("the file's header")?;
        let major = endian.u16([header[0], header[1]]);
        let minor = endian.u16([header[2], header[3]]);
        if major != 2 {
            return Err(input.error(4, Problem::Version { major, minor }));
        }
        // The upper bits of the link type say whether frames end in a checksum.
        let found = endian.u32_at(&header, 16) & 0x03ff_ffff;
        if found != ETHERNET {
            return Err(input.error(20, Problem::LinkType { found }));
        }
        Ok(Some(Self { endian, unit_ns }))
    }

    pub fn nanoseconds(&self) -> bool {
        self.unit_ns == 1
    }

    pub fn next<R: Read>(&self, input: &mut Input<R>, packet: &mut Packet) -> Result<bool, CaptureError> {
        let Some(header) = input.array_or_end::<16>("a packet's header")? else { return Ok(false) };
        let word = |at| self.endian.u32_at(&header, at);
        packet.time_ns = u64::from(word(0)) * 1_000_000_000 + u64::from(word(4)) * u64::from(self.unit_ns);
        let len = word(8);
        packet.wire_len = word(12).max(len);
        input.packet(&mut packet.bytes, len)?;
        Ok(true)
    }
}
