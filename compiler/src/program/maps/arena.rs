//! Variables in an arena: the section `.addr_space.1`.
//!
//! Instructions that refer to them get the address of the value of the object's only arena, with an
//! offset. libbpf keeps them in the arena's first pages for kernels that limit such offsets, in its last
//! pages for later ones.

use super::{ARENA, MapRef, Maps, PAGE};
use crate::program::source::{Source, data};
use crate::program::{ArenaData, KernelVersion, LoadError, MapId, Problem};

/// The section of variables in an arena.
pub(in crate::program) const SECTION: &str = ".addr_space.1";

/// The first kernel that takes any offset.
const FULL_RANGE: KernelVersion = KernelVersion::new(7, 0, 0);

impl Maps {
    pub(super) fn add_arena_data(
        &mut self,
        source: &Source<'_>,
        version: KernelVersion,
    ) -> Result<(), LoadError> {
        let mut arenas =
            (0..).map(MapId).zip(&self.defs).filter(|(_, map)| map.kind.number() == ARENA).map(|(id, _)| id);
        let (arena, second) = (arenas.next(), arenas.next());
        if let Some(second) = second {
            let problem = Problem::Duplicate { what: "arena in one object" };
            return Err(problem.in_section(".maps").of(&self.defs[second.index()].name));
        }
        let section = source.elf.section_by_name(SECTION).filter(|(_, section)| section.is_progbits());
        let Some((index, section)) = section.filter(|(_, section)| section.size > 0) else { return Ok(()) };
        let missing = Problem::Missing { what: "the arena that holds its variables" };
        let id = arena.ok_or_else(|| missing.in_section(SECTION))?;
        let initial = data(section)?;
        let pages = u64::from(self.defs[id.index()].max_entries) * u64::from(PAGE);
        let size = (initial.len() as u64).next_multiple_of(PAGE.into());
        let Some(last) = pages.checked_sub(size) else {
            let what = "the end of the arena's variables";
            return Err(Problem::OutOfBounds { what, found: size, end: pages + 1 }.in_section(SECTION));
        };
        let offset = if version >= FULL_RANGE { last } else { 0 };
        let datasec = source.datasec(SECTION);
        let variables = self.variables(source, index, section, datasec.as_ref())?;
        self.defs[id.index()].arena = Some(ArenaData { offset, initial: initial.into(), variables });
        // As in libbpf, 32 bits that wrap around.
        let [a, b, c, d, ..] = offset.to_le_bytes();
        let base = u32::from_le_bytes([a, b, c, d]);
        self.data.insert(index, MapRef::Data { map: id, base });
        Ok(())
    }
}
