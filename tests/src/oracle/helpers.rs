//! Helpers of the interpreter, written from Linux's `net/core/filter.c` and `kernel/bpf/helpers.c`.
//!
//! Each checks its own arguments: a helper that receives something else than it needs is a fault,
//! since the verifier must have refused it.

use brolga_abi::{HelperId, NativeHelper};

use super::fault::Cause;
use super::maps::EINVAL;
use super::memory::ByteOrder;
use super::memory::What;
use super::{Machine, XDP_ROOM};

const EFAULT: i64 = -14;
const EACCES: i64 = -13;
const ETH_HLEN: i64 = 14;
const XDP_ABORTED: i64 = 0;
const XDP_REDIRECT: i64 = 4;
/// Most bytes of metadata before a packet.
const MAX_META: i64 = 255;

/// What a helper leaves behind.
pub(super) enum After {
    /// `r0`.
    Value(u64),
    /// Nothing that may be read.
    Nothing,
    /// Control goes to this program.
    TailCall(usize),
}

/// The argument registers, checked as they are taken.
struct Call<'m> {
    machine: &'m mut Machine,
    name: &'static str,
    args: [Option<u64>; 5],
}

/// Calls a helper by number.
pub(super) fn call(machine: &mut Machine, number: u32, args: [Option<u64>; 5]) -> Result<After, Cause> {
    let id = HelperId::from_number(number).and_then(HelperId::native);
    let id = id.ok_or_else(|| Cause::Unsupported(format!("helper {number}")))?;
    let mut call = Call { machine, name: id.info().name, args };
    let value = match id {
        NativeHelper::MapLookupElem => return call.map_lookup().map(After::Value),
        NativeHelper::KtimeGetNs => {
            call.machine.hooks.time += 1;
            return Ok(After::Value(call.machine.hooks.time));
        }
        NativeHelper::TailCall => return call.tail_call(),
        NativeHelper::MapUpdateElem => call.map_update()?,
        NativeHelper::MapDeleteElem => call.map_delete()?,
        NativeHelper::TracePrintk => call.trace_printk()?,
        NativeHelper::GetPrandomU32 => i64::from(call.random()),
        NativeHelper::GetSmpProcessorId => i64::from(call.machine.hooks.cpu),
        NativeHelper::Redirect => {
            let (_ifindex, flags) = (call.arg(0)?, call.arg(1)?);
            if flags == 0 { XDP_REDIRECT } else { XDP_ABORTED }
        }
        NativeHelper::CsumDiff => call.csum_diff()?,
        NativeHelper::XdpAdjustHead => call.adjust_head()?,
        NativeHelper::XdpAdjustMeta => call.adjust_meta()?,
        NativeHelper::XdpAdjustTail => call.adjust_tail()?,
        NativeHelper::XdpLoadBytes => call.xdp_load_bytes()?,
        NativeHelper::XdpStoreBytes => call.xdp_store_bytes()?,
        NativeHelper::SkbLoadBytes => call.skb_load_bytes()?,
    };
    Ok(After::Value(value.cast_unsigned()))
}

impl Call<'_> {
    fn arg(&self, index: usize) -> Result<u64, Cause> {
        self.args[index]
            .ok_or(Cause::WrongArgument { helper: self.name, expected: "an initialised argument register" })
    }

    fn arg32(&self, index: usize) -> Result<i64, Cause> {
        Ok(i64::from((self.arg(index)? as u32).cast_signed()))
    }

    fn wrong(&self, expected: &'static str) -> Cause {
        Cause::WrongArgument { helper: self.name, expected }
    }

    fn context(&self) -> Result<(), Cause> {
        let context = self.machine.context.map(|c| self.machine.memory.address(c, 0));
        if Some(self.arg(0)?) == context { Ok(()) } else { Err(self.wrong("the context in r1")) }
    }

    fn map(&self, index: usize) -> Result<usize, Cause> {
        match self.machine.memory.describe(self.arg(index)?) {
            Some((What::MapHandle(map), 0)) => Ok(*map),
            Some(_) | None => Err(self.wrong("a map")),
        }
    }

    fn read(&mut self, index: usize, size: usize) -> Result<Vec<u8>, Cause> {
        let address = self.arg(index)?;
        self.machine.memory.read(address, size)
    }

    fn key(&mut self, map: usize) -> Result<Vec<u8>, Cause> {
        let mut key = self.read(1, self.machine.maps[map].def.key_size as usize)?;
        // The keys of arrays are numbers, which this module keeps as a little-endian machine does.
        if self.machine.maps[map].is_array() && self.machine.memory.order == ByteOrder::Big {
            key.reverse();
        }
        Ok(key)
    }

    fn map_lookup(&mut self) -> Result<u64, Cause> {
        let map = self.map(0)?;
        let key = self.key(map)?;
        let machine = &mut *self.machine;
        let cpu = machine.hooks.cpu as usize;
        let found = machine.maps[map].lookup(&key, cpu, &mut machine.memory);
        Ok(found.map_or(0, |region| machine.memory.address(region, 0)))
    }

    fn map_update(&mut self) -> Result<i64, Cause> {
        let map = self.map(0)?;
        let key = self.key(map)?;
        let value = self.read(2, self.machine.maps[map].def.value_size as usize)?;
        let flags = self.arg(3)?;
        let machine = &mut *self.machine;
        let cpu = machine.hooks.cpu as usize;
        Ok(machine.maps[map].update(&key, &value, flags, cpu, &mut machine.memory))
    }

    fn map_delete(&mut self) -> Result<i64, Cause> {
        let map = self.map(0)?;
        let key = self.key(map)?;
        let machine = &mut *self.machine;
        Ok(machine.maps[map].delete(&key, &mut machine.memory))
    }

    fn tail_call(&mut self) -> Result<After, Cause> {
        self.context()?;
        let map = self.map(1)?;
        let index = self.arg(2)? as u32;
        let target = self.machine.maps[map].programs.get(&index);
        Ok(target.map_or(After::Nothing, |program| After::TailCall(*program)))
    }

    /// xorshift64*: any sequence will do, as long as it repeats.
    fn random(&mut self) -> u32 {
        let x = &mut self.machine.hooks.random;
        *x ^= *x >> 12;
        *x ^= *x << 25;
        *x ^= *x >> 27;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Returns the length of the formatted line. Only what `%d %i %u %x %c %%` with `l` and `ll` need.
    fn trace_printk(&mut self) -> Result<i64, Cause> {
        let size = self.arg(1)? as usize;
        let format = self.read(0, size)?;
        let Some((0, text)) = format.split_last() else { return Ok(EINVAL) };
        let mut out = String::new();
        let mut next = 2;
        let mut chars = text.iter().copied().take_while(|b| *b != 0).peekable();
        while let Some(byte) = chars.next() {
            if byte != b'%' {
                out.push(char::from(byte));
                continue;
            }
            let mut longs = 0;
            while chars.next_if_eq(&b'l').is_some() {
                longs += 1;
            }
            let conversion = chars.next();
            if conversion == Some(b'%') {
                out.push('%');
                continue;
            }
            if next > 4 {
                return Ok(EINVAL);
            }
            let value = self.arg(next)?;
            next += 1;
            let (unsigned, signed) = if longs > 0 {
                (value, value.cast_signed())
            } else {
                (u64::from(value as u32), i64::from((value as u32).cast_signed()))
            };
            match conversion {
                Some(b'd' | b'i') => out.push_str(&signed.to_string()),
                Some(b'u') => out.push_str(&unsigned.to_string()),
                Some(b'x') => out.push_str(&format!("{unsigned:x}")),
                Some(b'c') => out.push('c'),
                Some(_) | None => return Ok(EINVAL),
            }
        }
        Ok(out.len() as i64)
    }

    /// The one's-complement sum of `to` and `seed` less that of `from`, folded to 16 bits (Linux 6.13
    /// and later).
    fn csum_diff(&mut self) -> Result<i64, Cause> {
        let (from_size, to_size) = (self.arg(1)? as u32 as usize, self.arg(3)? as u32 as usize);
        let seed = self.arg(4)? as u32;
        let from = self.read(0, from_size)?;
        let to = self.read(2, to_size)?;
        if from_size % 4 != 0 || to_size % 4 != 0 {
            return Ok(EINVAL);
        }
        let words = |bytes: &[u8]| -> u128 {
            bytes.as_chunks().0.iter().map(|word| u128::from(u32::from_le_bytes(*word))).sum()
        };
        let sum = match (from_size > 0, to_size > 0) {
            (false, false) => u128::from(seed),
            (false, true) => words(&to) + u128::from(seed),
            (true, false) => u128::from(!ones_complement(words(&from) + u128::from(!seed))),
            (true, true) => {
                u128::from(ones_complement(words(&to) + u128::from(seed)))
                    + u128::from(!ones_complement(words(&from)))
            }
        };
        let sum = ones_complement(sum);
        let sum = (sum & 0xffff) + (sum >> 16);
        Ok(i64::from((sum & 0xffff) + (sum >> 16)))
    }

    fn adjust_head(&mut self) -> Result<i64, Cause> {
        self.context()?;
        let offset = self.arg32(1)?;
        let p = &mut self.machine.memory.packet;
        let meta_len = (p.data - p.meta) as i64;
        let data = p.data as i64 + offset;
        let moved = if data < p.first as i64 + meta_len || data > p.end as i64 - ETH_HLEN {
            EINVAL
        } else {
            let meta = p.meta..p.data;
            p.data = data as usize;
            p.meta = (data - meta_len) as usize;
            p.bytes.copy_within(meta, p.meta);
            0
        };
        Ok(self.moved(moved))
    }

    fn adjust_meta(&mut self) -> Result<i64, Cause> {
        self.context()?;
        let offset = self.arg32(1)?;
        let p = &mut self.machine.memory.packet;
        let meta = p.meta as i64 + offset;
        let meta_len = p.data as i64 - meta;
        let moved = if meta < p.first as i64 || meta_len < 0 {
            EINVAL
        } else if meta_len % 4 != 0 || meta_len > MAX_META {
            EACCES
        } else {
            p.meta = meta as usize;
            0
        };
        Ok(self.moved(moved))
    }

    fn adjust_tail(&mut self) -> Result<i64, Cause> {
        self.context()?;
        let offset = self.arg32(1)?;
        let p = &mut self.machine.memory.packet;
        let end = p.end as i64 + offset;
        let moved = if end > XDP_ROOM as i64 || end < p.data as i64 + ETH_HLEN {
            EINVAL
        } else {
            let old = std::mem::replace(&mut p.end, end as usize);
            if p.end > old {
                p.bytes[old..p.end].fill(0);
            }
            0
        };
        Ok(self.moved(moved))
    }

    /// Whatever the helper returned, packet pointers are invalid after it.
    fn moved(&mut self, result: i64) -> i64 {
        self.machine.memory.packet.moved();
        self.machine.refresh_xdp_md();
        result
    }

    /// Offset and length of an access by copy, or the error that the helper returns.
    fn copied(&self) -> Result<Result<std::ops::Range<usize>, i64>, Cause> {
        let (offset, len) = (self.arg(1)? as u32 as usize, self.arg(3)? as u32 as usize);
        let p = &self.machine.memory.packet;
        if offset > 0xffff || len > 0xffff {
            return Ok(Err(EFAULT));
        }
        if offset + len > p.end - p.data {
            return Ok(Err(EINVAL));
        }
        Ok(Ok(p.data + offset..p.data + offset + len))
    }

    fn xdp_load_bytes(&mut self) -> Result<i64, Cause> {
        self.context()?;
        let buffer = self.arg(2)?;
        match self.copied()? {
            Err(error) => Ok(error),
            Ok(range) => {
                let bytes = self.machine.memory.packet.bytes[range].to_vec();
                self.machine.memory.write(buffer, &bytes)?;
                Ok(0)
            }
        }
    }

    fn xdp_store_bytes(&mut self) -> Result<i64, Cause> {
        self.context()?;
        let len = self.arg(3)? as u32 as usize;
        let bytes = self.read(2, len)?;
        match self.copied()? {
            Err(error) => Ok(error),
            Ok(range) => {
                self.machine.memory.packet.bytes[range].copy_from_slice(&bytes);
                Ok(0)
            }
        }
    }

    fn skb_load_bytes(&mut self) -> Result<i64, Cause> {
        self.context()?;
        let (offset, len) = (self.arg(1)? as u32, self.arg(3)? as u32 as usize);
        let buffer = self.arg(2)?;
        let p = &self.machine.memory.packet;
        let start = p.data + offset as usize;
        let bytes = if offset.cast_signed() < 0 || start + len > p.end {
            None
        } else {
            Some(p.bytes[start..start + len].to_vec())
        };
        let result = if bytes.is_some() { 0 } else { EFAULT };
        self.machine.memory.write(buffer, &bytes.unwrap_or_else(|| vec![0; len]))?;
        Ok(result)
    }
}

/// Folds a sum to 32 bits: what overflows is added at the low end.
fn ones_complement(mut sum: u128) -> u32 {
    while sum >> 32 != 0 {
        sum = (sum & 0xffff_ffff) + (sum >> 32);
    }
    sum as u32
}
