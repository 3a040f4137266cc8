//! The pcapng format: sections of blocks. Packet blocks (enhanced, simple and the obsolete one) give
//! packets, interface blocks say how times are counted; all others are passed over.

use std::io::Read;

use super::error::{CaptureError, Problem};
use super::{ETHERNET, Endian, Input, MAX_PACKET, Packet};

/// Block type of a section header; reads the same in either byte order.
pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;

const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Longest block that is kept in memory: interfaces. (Packets have a limit of their own.)
const MAX_INTERFACE: u32 = 65_536;
/// Most interfaces of one section.
const MAX_INTERFACES: usize = 65_536;

pub struct State {
    endian: Endian,
    interfaces: Vec<Interface>,
}

/// How an interface counts time, and how much of a packet it keeps.
struct Interface {
    units: Units,
    /// Added to all times.
    offset_seconds: i64,
    snap_len: u32,
}

/// How many units of time a second has.
#[derive(Clone, Copy)]
enum Units {
    PowerOfTen(u32),
    PowerOfTwo(u32),
}

impl Units {
    fn of_resolution(code: u8) -> Self {
        let exponent = u32::from(code & 0x7f);
        if code & 0x80 == 0 { Self::PowerOfTen(exponent) } else { Self::PowerOfTwo(exponent) }
    }

    /// Nanoseconds in a count of units; saturates.
    fn to_ns(self, count: u64) -> u64 {
        let ns = match self {
            Self::PowerOfTen(exponent) if exponent <= 9 => u128::from(count) * 10_u128.pow(9 - exponent),
            Self::PowerOfTen(exponent) => {
                10_u128.checked_pow(exponent - 9).map_or(0, |divisor| u128::from(count) / divisor)
            }
            // Shifts by up to 127, of values below 2^94.
            Self::PowerOfTwo(exponent) => (u128::from(count) * 1_000_000_000) >> exponent,
        };
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    fn finer_than_microseconds(self) -> bool {
        match self {
            Self::PowerOfTen(exponent) => exponent > 6,
            Self::PowerOfTwo(exponent) => exponent > 19,
        }
    }
}

/// A block whose body is still to be read.
struct Block {
    start: u64,
    len: u32,
    /// Bytes of the body that were not read yet.
    left: u32,
}

impl State {
    /// Reads the first section header, whose type was read already.
    pub fn begin<R: Read>(input: &mut Input<R>) -> Result<Self, CaptureError> {
        let mut state = Self { endian: Endian::Little, interfaces: Vec::new() };
        state.section(input)?;
        Ok(state)
    }

    pub fn nanoseconds(&self) -> bool {
        // Interfaces come before the packets, but after this may be asked; nanoseconds lose nothing.
        self.interfaces.is_empty() || self.interfaces.iter().any(|i| i.units.finer_than_microseconds())
    }

    pub fn next<R: Read>(&mut self, input: &mut Input<R>, packet: &mut Packet) -> Result<bool, CaptureError> {
        loop {
            let start = input.offset;
            let Some(kind) = input.array_or_end::<4>("a block's header")? else { return Ok(false) };
            let kind = self.endian.u32(kind);
            if kind == SECTION_HEADER {
                self.section(input)?;
                continue;
            }
            let len = self.endian.u32(input.array("a block's header")?);
            let mut block = self.block(input, start, len)?;
            match kind {
                INTERFACE => self.interface(input, &mut block)?,
                ENHANCED_PACKET => self.enhanced(input, &mut block, packet)?,
                SIMPLE_PACKET => self.simple(input, &mut block, packet)?,
                OBSOLETE_PACKET => self.obsolete(input, &mut block, packet)?,
                _ => {}
            }
            self.finish(input, &block)?;
            if matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET) {
                return Ok(true);
            }
        }
    }

    fn block<R: Read>(&self, input: &Input<R>, start: u64, len: u32) -> Result<Block, CaptureError> {
        if len < 12 || !len.is_multiple_of(4) {
            return Err(malformed(input, start, "block", format!("a length of {len} bytes")));
        }
        Ok(Block { start, len, left: len - 12 })
    }

    /// Passes over what is left of a block, and checks the length behind it.
    fn finish<R: Read>(&self, input: &mut Input<R>, block: &Block) -> Result<(), CaptureError> {
        input.skip(u64::from(block.left), "a block")?;
        let behind = self.endian.u32(input.array("a block")?);
        if behind == block.len {
            return Ok(());
        }
        let reason = format!("its length is {} before and {behind} behind it", block.len);
        Err(malformed(input, block.start, "block", reason))
    }

    fn section<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), CaptureError> {
        let start = input.offset - 4;
        let header = input.array::<8>("a section header")?;
        let [len, order] = [0, 4].map(|at| [header[at], header[at + 1], header[at + 2], header[at + 3]]);
        self.endian = match (u32::from_le_bytes(order), u32::from_be_bytes(order)) {
            (BYTE_ORDER, _) => Endian::Little,
            (_, BYTE_ORDER) => Endian::Big,
            _ => {
                let reason = "no byte order is known that it could be in".to_owned();
                return Err(malformed(input, start, "section header", reason));
            }
        };
        let mut block = self.block(input, start, self.endian.u32(len))?;
        block.left = left_after(input, &block, 4, "section header")?;
        let versions: [u8; 12] = take(input, &mut block, "section header")?;
        let major = self.endian.u16([versions[0], versions[1]]);
        let minor = self.endian.u16([versions[2], versions[3]]);
        if major != 1 {
            return Err(input.error(start, Problem::Version { major, minor }));
        }
        self.interfaces.clear();
        self.finish(input, &block)
    }

    fn interface<R: Read>(&mut self, input: &mut Input<R>, block: &mut Block) -> Result<(), CaptureError> {
        if block.left > MAX_INTERFACE {
            let reason = format!("{} bytes are above the limit of {MAX_INTERFACE}", block.left);
            return Err(malformed(input, block.start, "interface", reason));
        }
        if self.interfaces.len() == MAX_INTERFACES {
            let reason = format!("there are more than {MAX_INTERFACES} of them");
            return Err(malformed(input, block.start, "interface", reason));
        }
        let head: [u8; 8] = take(input, block, "interface")?;
        let found = u32::from(self.endian.u16([head[0], head[1]]));
        if found != ETHERNET {
            return Err(input.error(block.start, Problem::LinkType { found }));
        }
        let mut interface = Interface {
            units: Units::PowerOfTen(6),
            offset_seconds: 0,
            snap_len: self.endian.u32_at(&head, 4),
        };
        let mut options = vec![0; block.left as usize];
        block.left = 0;
        input.exact(&mut options, "an interface")?;
        self.interface_options(&mut interface, &options);
        self.interfaces.push(interface);
        Ok(())
    }

    /// Options that are damaged end the list: only two of them matter, and both have defaults.
    fn interface_options(&self, interface: &mut Interface, mut options: &[u8]) {
        const END: u16 = 0;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        while let Some((head, rest)) = options.split_first_chunk::<4>() {
            let code = self.endian.u16([head[0], head[1]]);
            let len = usize::from(self.endian.u16([head[2], head[3]]));
            let Some(value) = rest.get(..len) else { return };
            match (code, value) {
                (END, _) => return,
                (RESOLUTION, &[code]) => interface.units = Units::of_resolution(code),
                (OFFSET, &[a, b, c, d, e, f, g, h]) => {
                    let bytes = [a, b, c, d, e, f, g, h];
                    interface.offset_seconds = match self.endian {
                        Endian::Little => i64::from_le_bytes(bytes),
                        Endian::Big => i64::from_be_bytes(bytes),
                    };
                }
                _ => {}
            }
            options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    fn enhanced<R: Read>(
        &self,
        input: &mut Input<R>,
        block: &mut Block,
        packet: &mut Packet,
    ) -> Result<(), CaptureError> {
        let head: [u8; 20] = take(input, block, "packet block")?;
        let word = |at| self.endian.u32_at(&head, at);
        self.timed(input, block, packet, word(0), [word(4), word(8), word(12), word(16)])
    }

    fn obsolete<R: Read>(
        &self,
        input: &mut Input<R>,
        block: &mut Block,
        packet: &mut Packet,
    ) -> Result<(), CaptureError> {
        let head: [u8; 20] = take(input, block, "packet block")?;
        let word = |at| self.endian.u32_at(&head, at);
        let interface = u32::from(self.endian.u16([head[0], head[1]]));
        self.timed(input, block, packet, interface, [word(4), word(8), word(12), word(16)])
    }

    /// A packet of an interface, with its time and its lengths.
    fn timed<R: Read>(
        &self,
        input: &mut Input<R>,
        block: &mut Block,
        packet: &mut Packet,
        interface: u32,
        [high, low, len, wire_len]: [u32; 4],
    ) -> Result<(), CaptureError> {
        let Some(interface) = self.interfaces.get(interface as usize) else {
            let reason = format!("it is of interface {interface}, but there are {}", self.interfaces.len());
            return Err(malformed(input, block.start, "packet block", reason));
        };
        let ns = interface.units.to_ns(u64::from(high) << 32 | u64::from(low));
        packet.time_ns = ns.saturating_add_signed(interface.offset_seconds.saturating_mul(1_000_000_000));
        packet.wire_len = wire_len.max(len);
        body(input, block, packet, len)
    }

    /// A packet without a time, of the section's first interface.
    fn simple<R: Read>(
        &self,
        input: &mut Input<R>,
        block: &mut Block,
        packet: &mut Packet,
    ) -> Result<(), CaptureError> {
        let Some(interface) = self.interfaces.first() else {
            let reason = "there is no interface before it".to_owned();
            return Err(malformed(input, block.start, "packet block", reason));
        };
        let wire_len = self.endian.u32(take(input, block, "packet block")?);
        let snap_len = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        packet.time_ns = 0;
        packet.wire_len = wire_len;
        body(input, block, packet, wire_len.min(snap_len))
    }
}

/// Reads a packet's bytes out of its block.
fn body<R: Read>(
    input: &mut Input<R>,
    block: &mut Block,
    packet: &mut Packet,
    len: u32,
) -> Result<(), CaptureError> {
    // The packet's own limit comes first: its message says more.
    block.left = if len > MAX_PACKET { 0 } else { left_after(input, block, len, "packet block")? };
    input.packet(&mut packet.bytes, len)
}

/// Reads fixed bytes out of a block.
fn take<R: Read, const N: usize>(
    input: &mut Input<R>,
    block: &mut Block,
    what: &'static str,
) -> Result<[u8; N], CaptureError> {
    block.left = left_after(input, block, u32::try_from(N).expect("headers are short"), what)?;
    input.array("a block")
}

/// What is left of a block when `len` bytes of it are taken.
fn left_after<R: Read>(
    input: &Input<R>,
    block: &Block,
    len: u32,
    what: &'static str,
) -> Result<u32, CaptureError> {
    block.left.checked_sub(len).ok_or_else(|| {
        let reason = format!("{len} bytes are wanted where {} are left", block.left);
        malformed(input, block.start, what, reason)
    })
}

fn malformed<R: Read>(input: &Input<R>, offset: u64, what: &'static str, reason: String) -> CaptureError {
    input.error(offset, Problem::Malformed { what, reason })
}
