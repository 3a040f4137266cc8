//! Helpers: what programs call, one module a subject.
//!
//! Each has the signature `extern "C" fn(env, r1..) -> u64` and the symbol of the helper table:
//! linked objects find it by name, code made in process by [`resolve`]. Return values and error
//! numbers are Linux's. The verifier has checked every argument against the table before: pointers
//! are of the kind and length that a helper's contract says, maps are maps of the instance. What it
//! has not checked (scalars, flags, offsets) is checked here.

mod checksum;
mod format;
mod map;
mod packet;
mod random;
mod tail_call;
mod time;
mod trace;

use brolga_abi::helpers::{NATIVE_HELPERS, NativeHelper};
use brolga_abi::symbols::{ROUTINES, Routine};

/// The address of a helper's implementation.
#[must_use]
pub fn implementation(helper: NativeHelper) -> *const u8 {
    match helper {
        NativeHelper::MapLookupElem => map::brolga_v1_map_lookup_elem as *const u8,
        NativeHelper::MapUpdateElem => map::brolga_v1_map_update_elem as *const u8,
        NativeHelper::MapDeleteElem => map::brolga_v1_map_delete_elem as *const u8,
        NativeHelper::KtimeGetNs => time::brolga_v1_ktime_get_ns as *const u8,
        NativeHelper::TracePrintk => trace::brolga_v1_trace_printk as *const u8,
        NativeHelper::GetPrandomU32 => random::brolga_v1_get_prandom_u32 as *const u8,
        NativeHelper::GetSmpProcessorId => random::brolga_v1_get_smp_processor_id as *const u8,
        NativeHelper::TailCall => tail_call::brolga_v1_tail_call as *const u8,
        NativeHelper::Redirect => packet::brolga_v1_redirect as *const u8,
        NativeHelper::CsumDiff => checksum::brolga_v1_csum_diff as *const u8,
        NativeHelper::XdpAdjustHead => packet::brolga_v1_xdp_adjust_head as *const u8,
        NativeHelper::XdpAdjustMeta => packet::brolga_v1_xdp_adjust_meta as *const u8,
        NativeHelper::XdpAdjustTail => packet::brolga_v1_xdp_adjust_tail as *const u8,
        NativeHelper::XdpLoadBytes => packet::brolga_v1_xdp_load_bytes as *const u8,
        NativeHelper::XdpStoreBytes => packet::brolga_v1_xdp_store_bytes as *const u8,
        NativeHelper::SkbLoadBytes => packet::brolga_v1_skb_load_bytes as *const u8,
    }
}

/// The address of a routine's implementation.
fn routine(routine: Routine) -> *const u8 {
    match routine {
        Routine::HashLookup => map::brolga_v1_hash_lookup as *const u8,
        Routine::PerCpuHashLookup => map::brolga_v1_percpu_hash_lookup as *const u8,
        Routine::HashUpdate => map::brolga_v1_hash_update as *const u8,
        Routine::LegacyPacketLoad => packet::brolga_v1_legacy_packet_load as *const u8,
    }
}

/// The address of a symbol that compiled code may need, or `None` where the runtime has none such.
#[must_use]
pub fn resolve(symbol: &str) -> Option<*const u8> {
    let helper = NATIVE_HELPERS.iter().find(|helper| helper.symbol() == symbol).copied().map(implementation);
    helper.or_else(|| ROUTINES.iter().find(|row| row.symbol == symbol).map(|row| routine(row.routine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_of_the_tables_resolves_to_its_own_function() {
        let helpers = NATIVE_HELPERS.iter().map(|helper| helper.symbol());
        let symbols: Vec<_> = helpers.chain(ROUTINES.iter().map(|row| row.symbol)).collect();
        let mut addresses: Vec<_> = symbols.iter().map(|symbol| resolve(symbol).expect(symbol)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), symbols.len());
        assert_eq!(resolve("brolga_v1_unheard_of"), None);
    }
}
