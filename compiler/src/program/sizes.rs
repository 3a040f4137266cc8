//! Sizes of maps, changed before programs are verified: what libbpf's `bpf_map__set_max_entries` and
//! `bpf_map__set_value_size` do.
//!
//! Instructions stay as they are: what a program does with a map of the new size is judged by the
//! verifier. Whether the kind can have the size is for whoever makes the map.

use super::maps::ringbuf_size;
use super::{LoadError, MapDef, Object, Problem, Variable};
use crate::btf::{Btf, TypeId};

/// Most bytes of global data.
const MAX_GLOBAL_DATA: u32 = i32::MAX.cast_unsigned();

impl Object {
    /// Sets how many elements a map has at most; in `NAME.inner`, those in a map of maps. Ring buffers
    /// are rounded up to pages, as libbpf does.
    ///
    /// # Errors
    ///
    /// Where there is no such map, where it is global data, or where the source initialises an element
    /// beyond the new number.
    pub fn set_max_entries(&mut self, name: &str, max_entries: u32) -> Result<(), LoadError> {
        let found = self.find_map(name)?;
        let map = found.of(&self.maps);
        if map.global.is_some() {
            return Err(malformed(name, "global data has one element"));
        }
        let max_entries = ringbuf_size(map.kind, max_entries);
        let programs = map.initial_programs.iter().map(|(index, _)| *index);
        let by_index = map.kind.number() == super::maps::ARRAY_OF_MAPS;
        let maps = map.initial_maps.iter().map(|(index, _)| *index).filter(|_| by_index);
        if let Some(index) = programs.chain(maps).find(|index| *index >= max_entries) {
            let (what, found, end) = ("an initialised element of a map", index.into(), max_entries.into());
            return Err(Problem::OutOfBounds { what, found, end }.somewhere().of(name));
        }
        self.edit_maps(|maps| found.of_mut(maps).max_entries = max_entries);
        Ok(())
    }

    /// Sets how many bytes a map's values have; in `NAME.inner`, those in a map of maps. Global data
    /// grows by zeroes at its end or is cut. The variable at its end takes what is added or loses what is
    /// cut, where it is an array of as many whole elements; where it is not, the data loses its type.
    ///
    /// # Errors
    ///
    /// Where there is no such map, or where its values cannot have another size: those of `struct_ops`.
    pub fn set_value_size(&mut self, name: &str, value_size: u32) -> Result<(), LoadError> {
        let found = self.find_map(name)?;
        let map = found.of(&self.maps);
        if map.struct_ops.is_some() {
            return Err(malformed(name, "its type gives the value's size"));
        }
        if map.global.is_some() && !(1..=MAX_GLOBAL_DATA).contains(&value_size) {
            let (found, limit) = (value_size.into(), MAX_GLOBAL_DATA.into());
            return Err(Problem::Limit { what: "bytes of global data", found, limit }.somewhere().of(name));
        }
        let resized = map.global.as_ref().map(|data| {
            let mut initial = data.initial.to_vec();
            initial.resize(value_size as usize, 0);
            let btf = self.btf.as_deref().filter(|_| map.value_type.is_some());
            (initial, btf.and_then(|btf| resize_last(btf, &data.variables, value_size)))
        });
        self.edit_maps(|maps| {
            let map = found.of_mut(maps);
            map.value_size = value_size;
            let (Some((initial, variables)), Some(data)) = (resized, &mut map.global) else { return };
            data.initial = initial.into();
            match variables {
                Some(variables) => data.variables = variables,
                None => {
                    let fits =
                        |v: &Variable| v.offset.checked_add(v.size).is_some_and(|end| end <= value_size);
                    data.variables.retain(fits);
                    map.value_type = None;
                }
            }
        });
        Ok(())
    }

    fn find_map(&self, name: &str) -> Result<Found, LoadError> {
        let index = |name: &str| self.maps.iter().position(|map| map.name == name);
        if let Some(index) = index(name) {
            return Ok(Found { index, inner: false });
        }
        let outer = name.strip_suffix(".inner").and_then(index);
        outer
            .filter(|&index| self.maps[index].inner.is_some())
            .map(|index| Found { index, inner: true })
            .ok_or_else(|| Problem::Missing { what: "map" }.somewhere().of(name))
    }
}

/// Where a map's definition is.
struct Found {
    index: usize,
    /// Whether the maps in it are meant.
    inner: bool,
}

impl Found {
    fn of<'m>(&self, maps: &'m [MapDef]) -> &'m MapDef {
        let map = &maps[self.index];
        map.inner.as_deref().filter(|_| self.inner).unwrap_or(map)
    }

    fn of_mut<'m>(&self, maps: &'m mut [MapDef]) -> &'m mut MapDef {
        let map = &mut maps[self.index];
        let inner = self.inner && map.inner.is_some();
        if inner { map.inner.as_deref_mut().expect("looked at above") } else { map }
    }
}

fn malformed(name: &str, reason: &str) -> LoadError {
    Problem::Malformed { what: "size of a map", reason: reason.to_owned() }.somewhere().of(name)
}

/// The variables with the last one resized, so that all end at `size`; `None` where that is not
/// an array, or would not have whole elements.
fn resize_last(btf: &Btf, variables: &[Variable], size: u32) -> Option<Vec<Variable>> {
    let mut variables = variables.to_vec();
    let last = variables.last_mut()?;
    let element = element_size(btf, last.ty?)?;
    last.size = size.checked_sub(last.offset).filter(|size| size.is_multiple_of(element))?;
    // The type has the old number of elements.
    last.ty = None;
    Some(variables)
}

/// Bytes of an element of a variable that is an array.
fn element_size(btf: &Btf, variable: TypeId) -> Option<u32> {
    let array = btf.unqualified(btf.get(variable).ok()?.referenced()).ok()?.array()?;
    btf.size_of(array.element).ok().filter(|&size| size > 0)
}
