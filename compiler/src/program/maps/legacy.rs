//! Legacy map definitions: `struct bpf_map_def` in the section `maps`.

use super::{Maps, variables_in};
use crate::elf::{Section, SectionIdx, Symbol};
use crate::program::source::{Source, data};
use crate::program::{LoadError, MapDef, MapType, Problem};

/// Bytes of a definition: kind, key size, value size, number of entries, flags.
const LEGACY_DEF: usize = 20;

impl Maps {
    pub(super) fn add_legacy(
        &mut self,
        source: &Source<'_>,
        index: SectionIdx,
        section: &Section<'_>,
    ) -> Result<(), LoadError> {
        let bytes = data(section)?;
        let mut symbols: Vec<&Symbol<'_>> = variables_in(source, index).collect();
        symbols.sort_by_key(|symbol| symbol.value);
        for (i, symbol) in symbols.iter().enumerate() {
            let error = |problem: Problem| problem.in_section(section.name).at(symbol.value).of(symbol.name);
            let end = symbols.get(i + 1).map_or(bytes.len() as u64, |next| next.value);
            let range = usize::try_from(symbol.value).unwrap_or(usize::MAX)
                ..usize::try_from(end).unwrap_or(usize::MAX);
            let def = bytes.get(range).filter(|def| def.len() >= LEGACY_DEF).ok_or_else(|| {
                error(Problem::OutOfBounds {
                    what: "the end of a map definition",
                    found: symbol.value.saturating_add(LEGACY_DEF as u64),
                    end: end.saturating_add(1),
                })
            })?;
            let (fields, rest) = def.split_at(LEGACY_DEF);
            if rest.iter().any(|&byte| byte != 0) {
                return Err(error(Problem::Unsupported {
                    what: "a legacy map definition with fields beyond `map_flags`".to_owned(),
                }));
            }
            let field = |i: usize| crate::btf::u32_at(source.elf.endianness, fields, 4 * i);
            let kind = MapType::from_number(field(0));
            let mut map = MapDef::new(symbol.name, kind, field(1), field(2), field(3));
            map.flags = field(4);
            let id = self.push(map)?;
            self.places.insert((index, symbol.value), id);
        }
        Ok(())
    }
}
