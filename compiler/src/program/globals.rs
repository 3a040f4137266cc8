//! Global data before the program runs, and variables in arenas: initial bytes, by variable or by section.
//!
//! What is set here is what the verifier sees: values in `.rodata` are constants to it. After
//! verification nothing of an [`Object`] is changed any more.

use std::sync::Arc;

use super::maps::ARENA_SECTION;
use super::{LoadError, MapDef, Object, Problem, Variable};

/// A range of the initial bytes of global data.
struct Found {
    map: usize,
    start: usize,
    end: usize,
}

impl Object {
    /// The initial bytes of a variable, or of a whole section such as `.rodata`.
    ///
    /// # Errors
    ///
    /// Where there is no such variable or section, or more than one static variable of the name.
    pub fn global(&self, name: &str) -> Result<&[u8], LoadError> {
        let found = find(&self.maps, name)?;
        let initial = content(&self.maps[found.map]).map_or(&[][..], |(_, initial, _)| initial);
        Ok(initial.get(found.start..found.end).unwrap_or_default())
    }

    /// Sets the initial bytes of a variable, or of a whole section such as `.rodata`, as a loader
    /// does before it hands a program to Linux.
    ///
    /// # Errors
    ///
    /// Where there is no such variable or section, more than one static variable of the name, or
    /// where the number of bytes is not that of the variable.
    pub fn set_global(&mut self, name: &str, bytes: &[u8]) -> Result<(), LoadError> {
        let found = find(&self.maps, name)?;
        if bytes.len() != found.end - found.start {
            let reason = format!("{} bytes, but it has {}", bytes.len(), found.end - found.start);
            return Err(Problem::Malformed { what: "value of a variable", reason }.somewhere().of(name));
        }
        self.edit_maps(|maps| {
            if let Some((initial, _)) = content_mut(&mut maps[found.map]) {
                let mut changed = initial.to_vec();
                changed[found.start..found.end].copy_from_slice(bytes);
                *initial = changed.into();
            }
        });
        Ok(())
    }

    /// Changes the maps, which all programs share.
    pub(super) fn edit_maps(&mut self, edit: impl FnOnce(&mut [MapDef])) {
        let mut maps = self.maps.to_vec();
        edit(&mut maps);
        self.maps = maps.into();
        for program in &mut self.programs {
            program.maps = Arc::clone(&self.maps);
        }
    }
}

/// The name, bytes and variables of global data or of an arena's variables.
fn content(map: &MapDef) -> Option<(&str, &[u8], &[Variable])> {
    let global = map.global.as_ref().map(|data| (map.name.as_str(), &*data.initial, &*data.variables));
    global.or_else(|| map.arena.as_ref().map(|data| (ARENA_SECTION, &*data.initial, &*data.variables)))
}

fn content_mut(map: &mut MapDef) -> Option<(&mut Arc<[u8]>, &mut Vec<Variable>)> {
    let global = map.global.as_mut().map(|data| (&mut data.initial, &mut data.variables));
    global.or_else(|| map.arena.as_mut().map(|data| (&mut data.initial, &mut data.variables)))
}

fn find(maps: &[MapDef], name: &str) -> Result<Found, LoadError> {
    let contents = || maps.iter().enumerate().filter_map(|(map, def)| Some((map, content(def)?)));
    let sections = contents().filter(|(_, (section, ..))| *section == name);
    let sections = sections.map(|(map, (_, initial, _))| Found { map, start: 0, end: initial.len() });
    let variables = contents().flat_map(|(map, (_, _, variables))| {
        variables.iter().filter(|variable| variable.name == name).map(move |variable| {
            let start = variable.offset as usize;
            Found { map, start, end: start + variable.size as usize }
        })
    });
    let mut found = sections.chain(variables);
    let first = found.next().ok_or(Problem::Missing { what: "global variable" }.somewhere().of(name))?;
    match found.next() {
        None => Ok(first),
        Some(_) => Err(Problem::Duplicate { what: "global variable of the name" }.somewhere().of(name)),
    }
}
