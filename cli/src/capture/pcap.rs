//! The pcap format: a header, then packets. Either byte order, microseconds or nanoseconds.

use std::io::Read;

use pcap_parser::nom::{self, IResult, Needed};
use pcap_parser::{
    LegacyPcapBlock, PcapError, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified,
    parse_pcap_header,
};

use super::error::{CaptureError, Problem};
use super::{Input, Packet, ethernet, limit};

/// Parses a packet with its header.
type Parse = fn(&[u8]) -> IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>;

pub struct State {
    parse: Parse,
    /// Bytes before a packet's own.
    head: u32,
    unit_ns: u32,
}

impl State {
    /// Reads the header, whose first four bytes were read already.
    pub fn begin<R: Read>(input: &mut Input<R>) -> Result<Self, CaptureError> {
        // Four bytes are never a header: either they are its beginning, or that of something else.
        if let Err(nom::Err::Incomplete(_)) = parse_pcap_header(&input.record) {
            input.more(20, "the file's header")?;
        }
        let Ok((_, header)) = parse_pcap_header(&input.record) else {
            return Err(input.error(Problem::unknown_magic(&input.record)));
        };
        let (major, minor) = (header.version_major, header.version_minor);
        if major != 2 {
            return Err(input.error_at(4, Problem::Version { major, minor }));
        }
        // The upper bits of the link type say whether frames end in a checksum.
        ethernet(header.network.0.cast_unsigned() & 0x03ff_ffff)
            .map_err(|problem| input.error_at(20, problem))?;
        Ok(Self {
            parse: match (header.is_modified_format(), header.is_bigendian()) {
                (true, _) => parse_pcap_frame_modified,
                (false, true) => parse_pcap_frame_be,
                (false, false) => parse_pcap_frame,
            },
            head: if header.is_modified_format() { 24 } else { 16 },
            unit_ns: if header.is_nanosecond_precision() { 1 } else { 1000 },
        })
    }

    pub fn nanoseconds(&self) -> bool {
        self.unit_ns == 1
    }

    pub fn next<R: Read>(&self, input: &mut Input<R>, packet: &mut Packet) -> Result<bool, CaptureError> {
        if !input.begin(self.head, "a packet's header")? {
            return Ok(false);
        }
        // Of the header alone, the parser says how many bytes the packet has.
        if let Err(nom::Err::Incomplete(Needed::Size(len))) = (self.parse)(&input.record) {
            let len = u32::try_from(len.get()).expect("lengths have 32 bits");
            limit(len).map_err(|problem| input.error(problem))?;
            input.more(len, "a packet")?;
        }
        let Ok((_, block)) = (self.parse)(&input.record) else {
            let reason = "its fields contradict each other".to_owned();
            return Err(input.error(Problem::Malformed { what: "packet", reason }));
        };
        let time_ns =
            u64::from(block.ts_sec) * 1_000_000_000 + u64::from(block.ts_usec) * u64::from(self.unit_ns);
        packet.set(time_ns, block.origlen, block.data);
        Ok(true)
    }
}
