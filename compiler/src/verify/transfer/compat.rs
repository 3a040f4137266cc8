//! Which helpers work on which kinds of maps, and which maps programs may use.
//!
//! Numbers are those of Linux's `enum bpf_map_type` and of its helpers: most pairs are forbidden, so the tables list
//! what is allowed.

use brolga_abi::{AttachType, ProgramKind};

use crate::diag::Code;
use crate::program::{MapDef, MapId};
use crate::verify::explore::{Check, Explorer};

/// Set in the index of a map that stands in an outer map: it is the inner map's definition.
const INNER: u32 = 1 << 31;

/// Numbers of kinds of maps that are treated apart.
pub(in crate::verify) mod kind {
    pub const SOCKMAP: u32 = 15;
    pub const XSKMAP: u32 = 17;
    pub const SOCKHASH: u32 = 18;
    pub const ARRAY_OF_MAPS: u32 = 12;
    pub const HASH_OF_MAPS: u32 = 13;
}

/// The helpers that a kind of map is for; `None` where it is for all that are not for other kinds.
const fn helpers_of(kind: u32) -> Option<&'static [u32]> {
    Some(match kind {
        3 => &[12],
        4 => &[22, 25, 55, 111, 121],
        7 => &[27],
        8 => &[33, 37],
        12 | 13 => &[1],
        14 | 17 | 25 => &[1, 51],
        15 => &[1, 2, 3, 52, 53, 60, 82],
        16 => &[51],
        18 => &[1, 2, 3, 70, 71, 72, 82],
        19 | 21 => &[81],
        20 => &[82],
        22 | 23 => &[87, 88, 89],
        24 => &[107, 108, 194],
        27 => &[130, 131, 134, 198],
        28 => &[145, 146, 194],
        29 => &[156, 157, 194],
        30 => &[87, 89],
        31 => &[209],
        32 => &[210, 211, 194],
        _ => return None,
    })
}

/// The kinds of maps that a helper works on; `None` for all that allow it.
const fn kinds_of(helper: u32) -> Option<&'static [u32]> {
    Some(match helper {
        12 => &[3],
        22 | 25 | 55 | 111 | 121 => &[4],
        27 => &[7],
        33 | 37 => &[8],
        51 => &[14, 16, 17, 25],
        52 | 53 | 60 => &[15],
        70..=72 => &[18],
        81 => &[19, 21],
        82 => &[15, 18, 20],
        87 | 89 => &[22, 23, 30],
        88 => &[22, 23],
        107 | 108 => &[24],
        130 | 131 | 134 | 198 => &[27],
        145 | 146 => &[28],
        156 | 157 => &[29],
        195 => &[5, 6, 10],
        209 => &[31],
        210 | 211 => &[32],
        // for_each_map_elem
        164 => &[1, 2, 5, 6, 9, 10],
        _ => return None,
    })
}

/// Kinds of maps that programs which may sleep can use.
const SLEEPABLE: &[u32] = &[1, 2, 5, 6, 9, 10, 11, 12, 13, 22, 23, 24, 27, 28, 29, 31, 32, 33, 34];

impl Explorer<'_> {
    /// The definition of a map, or of the maps in an outer one.
    pub(in crate::verify) fn map(&self, map: MapId) -> &MapDef {
        let outer = &self.program.maps[Self::outer_index(map)];
        match &outer.inner {
            Some(inner) if map.0 & INNER != 0 => inner,
            Some(_) | None => outer,
        }
    }

    /// The maps in an outer one.
    pub(super) fn inner(&self, map: MapId) -> Option<MapId> {
        self.map(map).inner.is_some().then_some(MapId(map.0 | INNER))
    }

    /// Where the definition of a map, or of the map that holds it, is.
    pub(in crate::verify) const fn outer_index(map: MapId) -> usize {
        (map.0 & !INNER) as usize
    }

    /// Whether it stands for the maps in an outer one.
    pub(in crate::verify) const fn is_inner(map: MapId) -> bool {
        map.0 & INNER != 0
    }

    /// Whether a helper works on a map.
    pub(super) fn check_map_helper(&self, helper: u32, name: &str, map: MapId) -> Check {
        let kind = self.map(map).kind.number();
        let fits = helpers_of(kind).is_none_or(|helpers| helpers.contains(&helper))
            && kinds_of(helper).is_none_or(|kinds| kinds.contains(&kind));
        if !fits {
            let message = format!("cannot pass map_type {kind} into func {name}#{helper}");
            return Err(self.refuse(Code::MapHelper, message));
        }
        if matches!(kind, kind::SOCKMAP | kind::SOCKHASH)
            && matches!(helper, 2 | 3)
            && !self.may_update_sockets(helper)
        {
            let message = format!(
                "cannot update sockmap in this context\ncannot pass map_type {kind} into func {name}#{helper}"
            );
            return Err(self.refuse(Code::MapHelper, message));
        }
        Ok(())
    }

    /// Whether sockets are not locked where the program runs.
    fn may_update_sockets(&self, helper: u32) -> bool {
        match self.kind {
            ProgramKind::Tracing => self.program.attach == Some(AttachType::TraceIter),
            ProgramKind::SockOps => helper == 3,
            ProgramKind::SocketFilter
            | ProgramKind::SchedCls
            | ProgramKind::SchedAct
            | ProgramKind::Xdp
            | ProgramKind::SkReuseport
            | ProgramKind::FlowDissector
            | ProgramKind::SkLookup => true,
            _ => false,
        }
    }

    /// Programs that may sleep cannot use all kinds of maps.
    pub(super) fn check_map_sleeps(&self, map: MapId) -> Check {
        let kind = self.map(map).kind.number();
        if !self.program.traits.sleepable || SLEEPABLE.contains(&kind) {
            return Ok(());
        }
        let message = "Sleepable programs can only use array, hash, ringbuf and local storage maps";
        Err(self.refuse(Code::MapHelper, message))
    }
}
