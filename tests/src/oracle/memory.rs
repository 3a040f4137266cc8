//! Memory as the interpreter sees it: regions that never touch one another.
//!
//! An address holds its region's number in the upper half, so an access is checked against that one
//! region and a pointer that strays can never hit a neighbour. Regions are not reused within a run:
//! a pointer to a frame that returned finds nothing. The packet has addresses of 32 bits, because
//! `struct xdp_md` has; they change whenever a helper moves the packet, so that stale pointers fault.

use brolga_compiler::isa::Size;

use super::fault::Cause;

/// Number of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegionId(u32);

/// A region's first byte stands here in the lower half of its addresses, far from both ends.
const FIRST: u64 = 0x4000_0000;
/// Packet addresses start here and move up by [`PACKET_STEP`].
const PACKET_BASE: u64 = 0x1000_0000;
const PACKET_STEP: u64 = 0x10_0000;
const PACKET_STEPS: u64 = 0xd00;

/// What a region is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A stack frame of 512 bytes.
    Stack,
    /// The context in its UAPI layout.
    Context,
    /// The buffer of a `raw_memory` program.
    Raw,
    /// A value of the map with this index.
    MapValue(usize),
    /// The map with this index itself: nothing of it can be read or written.
    MapHandle(usize),
}

#[derive(Clone, Debug)]
struct Region {
    what: What,
    bytes: Vec<u8>,
    /// Bytes that a program may write: none, all, or a range.
    writable: std::ops::Range<usize>,
    /// Stack: which bytes were written.
    written: Vec<bool>,
}

/// The packet's buffer; all positions are offsets in `bytes`.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// Headroom, packet and tailroom.
    pub bytes: Vec<u8>,
    /// First byte of the metadata.
    pub meta: usize,
    /// First byte of the packet.
    pub data: usize,
    /// Past the last byte of the packet.
    pub end: usize,
    /// Where the metadata may start at the earliest.
    pub first: usize,
    /// How often the packet moved.
    pub(super) moves: u64,
}

impl Packet {
    /// The address of a position.
    #[must_use]
    pub fn address(&self, at: usize) -> u64 {
        PACKET_BASE + self.moves % PACKET_STEPS * PACKET_STEP + at as u64
    }

    /// Invalidates every pointer to the packet.
    pub fn moved(&mut self) {
        self.moves += 1;
    }
}

/// All memory of a machine.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    regions: Vec<Option<Region>>,
    free: Vec<RegionId>,
    /// Regions to free when the run ends.
    run_local: Vec<RegionId>,
    /// The packet.
    pub packet: Packet,
    /// How many bytes were read from the stack that nothing had written: the result then depends on
    /// more than the program and its input.
    pub uninitialised_reads: u64,
    /// The order in which the program that runs has the bytes of numbers in memory.
    pub order: ByteOrder,
}

/// An order of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant first.
    #[default]
    Little,
    /// The most significant first.
    Big,
}

impl Memory {
    /// Adds a region that lives until [`Memory::end_run`] is called after [`Memory::release`].
    pub fn add(&mut self, what: What, bytes: Vec<u8>, writable: bool) -> RegionId {
        let written = if what == What::Stack { vec![false; bytes.len()] } else { Vec::new() };
        let writable = if writable { 0..bytes.len() } else { 0..0 };
        let region = Some(Region { what, bytes, writable, written });
        if let Some(id) = self.free.pop() {
            self.regions[id.0 as usize] = region;
            return id;
        }
        self.regions.push(region);
        RegionId(u32::try_from(self.regions.len() - 1).expect("fewer than 2^32 regions"))
    }

    /// Lets programs write only a part of a region.
    pub fn restrict_writes(&mut self, id: RegionId, range: std::ops::Range<usize>) {
        self.region_mut(id).writable = range;
    }

    /// The region stays readable until the run ends and is gone then.
    pub fn release(&mut self, id: RegionId) {
        self.run_local.push(id);
    }

    /// The region is gone at once; its number is not used again in this run.
    pub fn drop_now(&mut self, id: RegionId) {
        self.regions[id.0 as usize] = None;
        self.run_local.push(id);
    }

    /// Frees what was released.
    pub fn end_run(&mut self) {
        for id in self.run_local.drain(..) {
            self.regions[id.0 as usize] = None;
            self.free.push(id);
        }
    }

    /// The address of a region's byte.
    #[must_use]
    pub fn address(&self, id: RegionId, offset: u64) -> u64 {
        ((u64::from(id.0) + 1) << 32) + FIRST + offset
    }

    /// All bytes of a region.
    #[must_use]
    pub fn bytes(&self, id: RegionId) -> &[u8] {
        &self.regions[id.0 as usize].as_ref().expect("the region is alive").bytes
    }

    /// All bytes of a region, to be changed from outside a program.
    pub fn bytes_mut(&mut self, id: RegionId) -> &mut [u8] {
        &mut self.region_mut(id).bytes
    }

    fn region_mut(&mut self, id: RegionId) -> &mut Region {
        self.regions[id.0 as usize].as_mut().expect("the region is alive")
    }

    fn find(&self, address: u64) -> Option<(RegionId, i64)> {
        let id = RegionId(u32::try_from((address >> 32).checked_sub(1)?).ok()?);
        self.regions.get(id.0 as usize)?.as_ref()?;
        Some((id, (address & 0xffff_ffff) as i64 - FIRST as i64))
    }

    /// What an address points to, and at which offset.
    #[must_use]
    pub fn describe(&self, address: u64) -> Option<(&What, i64)> {
        let (id, offset) = self.find(address)?;
        self.regions[id.0 as usize].as_ref().map(|r| (&r.what, offset))
    }

    /// Bytes that a program reads.
    pub fn read(&mut self, address: u64, size: usize) -> Result<Vec<u8>, Cause> {
        self.view(address, size).map(<[u8]>::to_vec)
    }

    fn view(&mut self, address: u64, size: usize) -> Result<&[u8], Cause> {
        if size == 0 {
            return Ok(&[]);
        }
        if address >> 32 == 0 {
            let range = self.packet_range(address, size)?;
            return Ok(&self.packet.bytes[range]);
        }
        let (id, range) = self.region_range(address, size)?;
        let region = self.regions[id.0 as usize].as_ref().expect("just found");
        if region.what == What::Stack {
            self.uninitialised_reads += region.written[range.clone()].iter().filter(|w| !**w).count() as u64;
        }
        Ok(&region.bytes[range])
    }

    /// Bytes that a program writes.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Cause> {
        if bytes.is_empty() {
            return Ok(());
        }
        if address >> 32 == 0 {
            let range = self.packet_range(address, bytes.len())?;
            self.packet.bytes[range].copy_from_slice(bytes);
            return Ok(());
        }
        let (id, range) = self.region_range(address, bytes.len())?;
        let region = self.region_mut(id);
        if range.start < region.writable.start || range.end > region.writable.end {
            return Err(Cause::ReadOnly { region: name(&region.what) });
        }
        if region.what == What::Stack {
            region.written[range.clone()].fill(true);
        }
        region.bytes[range].copy_from_slice(bytes);
        Ok(())
    }

    /// A value that a program loads, zero-extended.
    pub fn load(&mut self, address: u64, size: Size) -> Result<u64, Cause> {
        let order = self.order;
        let bytes = self.view(address, size.bytes() as usize)?;
        let mut word = [0; 8];
        let word_bytes = &mut word[..bytes.len()];
        word_bytes.copy_from_slice(bytes);
        if order == ByteOrder::Big {
            word_bytes.reverse();
        }
        Ok(u64::from_le_bytes(word))
    }

    /// A value that a program stores: its low bytes.
    pub fn store(&mut self, address: u64, size: Size, value: u64) -> Result<(), Cause> {
        let mut bytes = value.to_le_bytes();
        let bytes = &mut bytes[..size.bytes() as usize];
        if self.order == ByteOrder::Big {
            bytes.reverse();
        }
        self.write(address, bytes)
    }

    fn packet_range(&self, address: u64, size: usize) -> Result<std::ops::Range<usize>, Cause> {
        let p = &self.packet;
        if p.bytes.is_empty() || address < PACKET_BASE {
            return Err(Cause::NoRegion { address, size });
        }
        let start = address.wrapping_sub(p.address(0)).cast_signed();
        let inside = usize::try_from(start).ok().filter(|s| *s >= p.meta && s.saturating_add(size) <= p.end);
        inside.map(|s| s..s + size).ok_or_else(|| Cause::OutOfBounds {
            region: "the packet".to_owned(),
            offset: start.wrapping_sub(p.data as i64),
            size,
            len: p.end - p.data,
        })
    }

    fn region_range(&self, address: u64, size: usize) -> Result<(RegionId, std::ops::Range<usize>), Cause> {
        let (id, offset) = self.find(address).ok_or(Cause::NoRegion { address, size })?;
        let region = self.regions[id.0 as usize].as_ref().expect("just found");
        let len = region.bytes.len();
        let inside = usize::try_from(offset).ok().filter(|s| s.saturating_add(size) <= len);
        match inside {
            Some(start) => Ok((id, start..start + size)),
            None => Err(Cause::OutOfBounds { region: name(&region.what), offset, size, len }),
        }
    }
}

fn name(what: &What) -> String {
    match what {
        What::Stack => "a stack frame".to_owned(),
        What::Context => "the context".to_owned(),
        What::Raw => "the memory".to_owned(),
        What::MapValue(map) => format!("a value of map {map}"),
        What::MapHandle(map) => format!("map {map} itself"),
    }
}
