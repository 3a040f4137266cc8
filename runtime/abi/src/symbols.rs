//! Symbols between objects and runtime that are not in the helper table.
//!
//! Every symbol of ours starts with `brolga_v1_`: two ABI versions never link by accident.

/// What every symbol starts with.
pub const PREFIX: &str = "brolga_v1_";

/// What the symbol of a function of the host starts with; the name by which programs call it follows.
/// Its C prototype is the host's own, so no version is part of it.
pub const HOST_PREFIX: &str = "brolga_host_";

/// A routine of the runtime that compiled code calls besides helpers: the lowering picks one where
/// the facts say more than the helper's contract does.
///
/// All have the signature of a helper: `extern "C" fn(env, r1..) -> u64` with the listed number of
/// argument words after `env`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Routine {
    /// `(env, map, key) -> value or 0`: lookup in a map known to be a hash.
    HashLookup,
    /// `(env, map, key) -> value or 0`: lookup in a map known to be a per-CPU hash.
    PerCpuHashLookup,
    /// `(env, map, key, value, flags) -> 0 or -errno`: update in a map known to be a hash.
    HashUpdate,
    /// `(env, ctx, offset, size) -> value, or bit 63 set where out of bounds`: legacy packet load.
    LegacyPacketLoad,
}

/// One row of the routine table.
#[derive(Clone, Copy, Debug)]
pub struct RoutineInfo {
    /// The routine that the row describes.
    pub routine: Routine,
    /// Its symbol.
    pub symbol: &'static str,
    /// Argument words after `env`.
    pub args: usize,
}

/// The routine table, in the order of [`Routine`].
pub const ROUTINES: &[RoutineInfo] = &[
    RoutineInfo { routine: Routine::HashLookup, symbol: "brolga_v1_hash_lookup", args: 2 },
    RoutineInfo { routine: Routine::PerCpuHashLookup, symbol: "brolga_v1_percpu_hash_lookup", args: 2 },
    RoutineInfo { routine: Routine::HashUpdate, symbol: "brolga_v1_hash_update", args: 4 },
    RoutineInfo { routine: Routine::LegacyPacketLoad, symbol: "brolga_v1_legacy_packet_load", args: 3 },
];

impl Routine {
    /// This routine's row.
    #[must_use]
    pub const fn info(self) -> &'static RoutineInfo {
        &ROUTINES[self as usize]
    }
}

const _: () = {
    let mut i = 0;
    while i < ROUTINES.len() {
        assert!(ROUTINES[i].routine as usize == i, "rows must follow the order of `Routine`");
        i += 1;
    }
};
