//! Global data before the program runs: its initial bytes, by variable or by section.
//!
//! What is set here is what the verifier sees: values in `.rodata` are constants to it. After
//! verification nothing of an [`Object`] is changed any more.

use std::sync::Arc;

use super::{LoadError, MapDef, Object, Problem};

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
        Ok(initial(&self.maps[found.map]).get(found.start..found.end).unwrap_or_default())
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
        let mut maps = self.maps.to_vec();
        if let Some(global) = &mut maps[found.map].global {
            let mut initial = global.initial.to_vec();
            initial[found.start..found.end].copy_from_slice(bytes);
            global.initial = initial.into();
        }
        self.maps = maps.into();
        for program in &mut self.programs {
            program.maps = Arc::clone(&self.maps);
        }
        Ok(())
    }
}

fn initial(map: &MapDef) -> &[u8] {
    map.global.as_ref().map_or(&[], |global| &global.initial)
}

fn find(maps: &[MapDef], name: &str) -> Result<Found, LoadError> {
    let sections = maps.iter().enumerate().filter(|(_, map)| map.global.is_some() && map.name == name);
    let sections = sections.map(|(map, def)| Found { map, start: 0, end: initial(def).len() });
    let variables = maps.iter().enumerate().filter_map(|(map, def)| Some((map, def.global.as_ref()?)));
    let variables = variables.flat_map(|(map, global)| {
        global.variables.iter().filter(|variable| variable.name == name).map(move |variable| {
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
