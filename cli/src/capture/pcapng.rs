//! The pcapng format: sections of blocks. Packet blocks give packets, interface blocks say how times
//! are counted; all others are passed over unread.
//!
//! Times are computed here, from the raw fields: `pcap-parser` knows no resolution that is a power of
//! two, reads offsets as little-endian in either byte order, and cuts seconds and fractions to 32 bits.

use std::io::Read;

use pcap_parser::nom::{self, Needed};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    BOM_MAGIC, Block, EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, OptionCode,
    SHB_MAGIC, SPB_MAGIC, SimplePacketBlock, parse_block_be, parse_block_le,
};

use super::error::{CaptureError, Problem};
use super::{Input, Packet, ethernet, limit};

/// Longest block that is accepted: far above any that holds a packet.
const MAX_BLOCK: u32 = 16 << 20;
/// Most interfaces of one section.
const MAX_INTERFACES: usize = 65_536;
/// Block type of packets before there were enhanced ones.
const OBSOLETE_PACKET: u32 = 2;

pub struct State {
    endian: Endian,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy)]
enum Endian {
    Little,
    Big,
}

impl Endian {
    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }
}

/// What an interface's packets are, how it counts time, and how much of a packet it keeps.
struct Interface {
    link_type: u32,
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

impl State {
    /// Reads the first section header, whose type was read already.
    pub fn begin<R: Read>(input: &mut Input<R>) -> Result<Self, CaptureError> {
        let mut state = Self { endian: Endian::Little, interfaces: Vec::new() };
        input.more(4, "a block's header")?;
        state.rest_of_block(input)?;
        state.block(&input.record, &mut Packet::default()).map_err(|problem| input.error(problem))?;
        Ok(state)
    }

    pub fn nanoseconds(&self) -> bool {
        // Interfaces come before the packets, but after this may be asked; nanoseconds lose nothing.
        self.interfaces.is_empty() || self.interfaces.iter().any(|i| i.units.finer_than_microseconds())
    }

    pub fn next<R: Read>(&mut self, input: &mut Input<R>, packet: &mut Packet) -> Result<bool, CaptureError> {
        while input.begin(8, "a block's header")? {
            self.rest_of_block(input)?;
            if self.block(&input.record, packet).map_err(|problem| input.error(problem))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a block as far as its length says, and checks the length behind it. (The parser trusts
    /// the one before it, and checks the one behind it in some blocks only.)
    fn rest_of_block<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), CaptureError> {
        if word(&input.record, 0) == SHB_MAGIC.to_le_bytes() {
            input.more(4, "a section header")?;
            self.endian = byte_order(word(&input.record, 8)).map_err(|problem| input.error(problem))?;
        }
        let len = self.endian.u32(word(&input.record, 4));
        if len < 12 || !len.is_multiple_of(4) {
            return Err(input.error(malformed("block", format!("a length of {len} bytes"))));
        }
        if len > MAX_BLOCK {
            return Err(input.error(Problem::TooLong { what: "a block", found: len, limit: MAX_BLOCK }));
        }
        let read = u32::try_from(input.record.len()).expect("so far, a header");
        input.more(len - read, "a block")?;
        let behind = self.endian.u32(word(&input.record, input.record.len() - 4));
        if behind == len {
            return Ok(());
        }
        let reason = format!("its length is {len} before and {behind} behind it");
        Err(input.error(malformed("block", reason)))
    }

    /// Takes what a whole block says; whether it was a packet.
    fn block(&mut self, bytes: &[u8], packet: &mut Packet) -> Result<bool, Problem> {
        let what = match self.endian.u32(word(bytes, 0)) {
            SHB_MAGIC => "section header",
            IDB_MAGIC => "interface",
            EPB_MAGIC | SPB_MAGIC => "packet block",
            OBSOLETE_PACKET => return Err(Problem::ObsoletePacket),
            _ => return Ok(false),
        };
        let parsed = match self.endian {
            Endian::Little => parse_block_le(bytes),
            Endian::Big => parse_block_be(bytes),
        };
        let block = match parsed {
            Ok((_, block)) => block,
            Err(nom::Err::Incomplete(Needed::Size(missing))) => {
                let reason = format!("its fields need {missing} bytes more than it has");
                return Err(malformed(what, reason));
            }
            Err(_) => return Err(malformed(what, "its fields do not fit its length".to_owned())),
        };
        match block {
            Block::SectionHeader(header) => {
                let (major, minor) = (header.major_version, header.minor_version);
                if major != 1 {
                    return Err(Problem::Version { major, minor });
                }
                self.interfaces.clear();
                Ok(false)
            }
            Block::InterfaceDescription(interface) => self.interface(&interface).map(|()| false),
            Block::EnhancedPacket(block) => self.enhanced(&block, packet).map(|()| true),
            Block::SimplePacket(block) => self.simple(&block, packet).map(|()| true),
            Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::DecryptionSecrets(_)
            | Block::ProcessInformation(_)
            | Block::Custom(_)
            | Block::Unknown(_) => Ok(false),
        }
    }

    fn interface(&mut self, block: &InterfaceDescriptionBlock<'_>) -> Result<(), Problem> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(malformed("interface", format!("there are more than {MAX_INTERFACES} of them")));
        }
        let offset = block.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
        let offset = offset.and_then(|option| option.as_bytes().ok()?.try_into().ok());
        self.interfaces.push(Interface {
            link_type: block.linktype.0.cast_unsigned(),
            units: Units::of_resolution(block.if_tsresol),
            offset_seconds: offset.map_or(0, |bytes| self.endian.i64(bytes)),
            snap_len: block.snaplen,
        });
        Ok(())
    }

    fn enhanced(&self, block: &EnhancedPacketBlock<'_>, packet: &mut Packet) -> Result<(), Problem> {
        let Some(interface) = self.interfaces.get(block.if_id as usize) else {
            let reason =
                format!("it is of interface {}, but there are {}", block.if_id, self.interfaces.len());
            return Err(malformed("packet block", reason));
        };
        ethernet(interface.link_type)?;
        limit(block.caplen)?;
        let ns = interface.units.to_ns(u64::from(block.ts_high) << 32 | u64::from(block.ts_low));
        let time_ns = ns.saturating_add_signed(interface.offset_seconds.saturating_mul(1_000_000_000));
        packet.set(time_ns, block.origlen, block.packet_data());
        Ok(())
    }

    /// A packet without a time, of the section's first interface.
    fn simple(&self, block: &SimplePacketBlock<'_>, packet: &mut Packet) -> Result<(), Problem> {
        let Some(interface) = self.interfaces.first() else {
            return Err(malformed("packet block", "there is no interface before it".to_owned()));
        };
        ethernet(interface.link_type)?;
        let snap_len = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        let len = block.origlen.min(snap_len);
        limit(len)?;
        let Some(bytes) = block.data.get(..len as usize) else {
            let reason = format!("{len} bytes are wanted where {} are left", block.data.len());
            return Err(malformed("packet block", reason));
        };
        packet.set(0, block.origlen, bytes);
        Ok(())
    }
}

/// The four bytes at an offset that was read already.
fn word(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].try_into().expect("four bytes")
}

fn byte_order(magic: [u8; 4]) -> Result<Endian, Problem> {
    match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
        (BOM_MAGIC, _) => Ok(Endian::Little),
        (_, BOM_MAGIC) => Ok(Endian::Big),
        _ => Err(malformed("section header", "no byte order is known that it could be in".to_owned())),
    }
}

fn malformed(what: &'static str, reason: String) -> Problem {
    Problem::Malformed { what, reason }
}
