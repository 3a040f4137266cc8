//! Writes packets as pcap: two headers of fixed words.
//!
//! Not with `pcap-parser`, which can, but allocates twice for each packet and would bring an
//! asynchronous runtime along.

use std::io::{Result, Write};

use super::{ETHERNET, MAX_PACKET, Packet};

/// A pcap file that is being written: little-endian, Ethernet.
pub struct Writer<W> {
    output: W,
    unit_ns: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file, whose times are in microseconds or nanoseconds.
    pub fn new(mut output: W, nanoseconds: bool) -> Result<Self> {
        let (magic, unit_ns) = if nanoseconds { (0xa1b2_3c4d_u32, 1) } else { (0xa1b2_c3d4, 1000) };
        output.write_all(&magic.to_le_bytes())?;
        output.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        output.write_all(&MAX_PACKET.to_le_bytes())?;
        output.write_all(&ETHERNET.to_le_bytes())?;
        Ok(Self { output, unit_ns })
    }

    /// Writes a packet. Seconds beyond 32 bits (after 2106) are cut to them, as the format demands.
    pub fn packet(&mut self, packet: &Packet) -> Result<()> {
        let seconds = packet.time_ns / 1_000_000_000;
        let fraction = packet.time_ns % 1_000_000_000 / self.unit_ns;
        let len = packet.bytes.len() as u64;
        for word in [seconds, fraction, len, u64::from(packet.wire_len)] {
            self.output.write_all(&word.to_le_bytes()[..4])?;
        }
        self.output.write_all(&packet.bytes)
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<()> {
        self.output.flush()
    }
}
