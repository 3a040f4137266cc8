//! Which helpers work on which kinds of maps, and which maps programs may use, by the table of map kinds.

use brolga_abi::maps::linux_map_kind;
use brolga_abi::{AttachType, HelperId, ProgramKind};

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
        let fits = linux_map_kind(kind)
            .is_none_or(|row| HelperId::from_number(helper).is_none_or(|id| row.takes(id)));
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
        let may_sleep = linux_map_kind(kind).is_some_and(|row| row.sleepable);
        if !self.program.traits.sleepable || may_sleep {
            return Ok(());
        }
        let message = "Sleepable programs can only use array, hash, ringbuf and local storage maps";
        Err(self.refuse(Code::MapHelper, message))
    }
}
