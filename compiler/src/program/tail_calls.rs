//! Which programs of an object jump through which `prog_array`.
//!
//! A tail call keeps the context, so all programs that meet in one `prog_array` must be of one
//! kind. Linux fixes a map's kind when the first program that uses it is loaded; here the programs of a module do it together.

use brolga_abi::{MapKind, ProgramKind};

use super::{MapId, Program};
use crate::isa::{Imm64, Insn};

impl Program {
    /// Whether an instruction of the program takes the map's address.
    #[must_use]
    pub fn uses_map(&self, map: MapId) -> bool {
        let takes = |insn: &Insn| match insn {
            Insn::LoadImm64 { imm: Imm64::MapIdx(index), .. } => *index == map.0,
            _ => false,
        };
        self.insns.iter().any(takes)
    }
}

/// Programs of two kinds use one `prog_array`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixedKinds {
    /// The map's name.
    pub map: String,
    /// A program that uses it, and its kind.
    pub first: (String, ProgramKind),
    /// One of another kind.
    pub second: (String, ProgramKind),
}

impl std::fmt::Display for MixedKinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { map, first, second } = self;
        write!(
            f,
            "prog_array `{map}` is used by `{}` of kind `{}` and by `{}` of kind `{}`: a tail call keeps the context, \
             so all must be of one kind",
            first.0,
            first.1.info().name,
            second.0,
            second.1.info().name
        )
    }
}

impl std::error::Error for MixedKinds {}

/// The kind of the programs that use a `prog_array`; `None` where none does, or for maps of other kinds.
///
/// # Errors
///
/// Programs of two kinds use it.
pub fn prog_array_owner<'p>(
    programs: impl IntoIterator<Item = &'p Program>,
    map: MapId,
) -> Result<Option<ProgramKind>, MixedKinds> {
    let mut first: Option<(&Program, ProgramKind)> = None;
    for program in programs {
        let Some(definition) = program.maps.get(map.index()) else { continue };
        let Some(kind) = program.kind else { continue };
        if definition.kind.known() != Some(MapKind::ProgArray) || !program.uses_map(map) {
            continue;
        }
        match first {
            Some((other, owner)) if owner != kind => {
                return Err(MixedKinds {
                    map: definition.name.clone(),
                    first: (other.name.clone(), owner),
                    second: (program.name.clone(), kind),
                });
            }
            Some(_) => {}
            None => first = Some((program, kind)),
        }
    }
    Ok(first.map(|(_, kind)| kind))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::isa::Reg;
    use crate::program::MapDef;

    fn program(name: &str, kind: ProgramKind, maps: &Arc<[MapDef]>) -> Program {
        let load = Insn::LoadImm64 { dst: Reg::R2, imm: Imm64::MapIdx(1) };
        Program::from_insns(name, kind, vec![load, Insn::SecondSlot, Insn::Exit], Arc::clone(maps))
    }

    #[test]
    fn one_kind_owns_a_prog_array() {
        let maps: Arc<[MapDef]> = Arc::new([
            MapDef::new("counts", MapKind::Array, 4, 8, 1),
            MapDef::new("next", MapKind::ProgArray, 4, 4, 8),
        ]);
        let xdp = program("a", ProgramKind::Xdp, &maps);
        let socket = program("b", ProgramKind::SocketFilter, &maps);
        assert_eq!(prog_array_owner([&xdp], MapId(1)), Ok(Some(ProgramKind::Xdp)));
        assert_eq!(prog_array_owner([&xdp], MapId(0)), Ok(None));
        let mixed = prog_array_owner([&xdp, &socket], MapId(1)).expect_err("two kinds");
        assert_eq!((mixed.first.0.as_str(), mixed.second.0.as_str()), ("a", "b"));
    }
}
