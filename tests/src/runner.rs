//! Runs a case on an engine and compares what it left with what the case says.
//!
//! Blessing (`BROLGA_BLESS=1`) takes the oracle's results and nobody else's.

use std::path::{Path, PathBuf};

use brolga_compiler::program::MapId;

use crate::case::{Case, contents_text, to_hex};
use crate::engines::{Contents, Engine, Error, Instance, Output};

/// What a case left behind on one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The run's output.
    pub output: Output,
    /// What each map holds.
    pub maps: Vec<Contents>,
}

impl Outcome {
    /// How another engine's outcome differs, if it does.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.output.ret != other.output.ret {
            return Some(format!("r0 is {:#x}, not {:#x}", other.output.ret, self.output.ret));
        }
        if self.output.data != other.output.data {
            return Some(format!(
                "the data is\n{}\nnot\n{}",
                to_hex(&other.output.data, 16),
                to_hex(&self.output.data, 16)
            ));
        }
        if self.output.meta != other.output.meta {
            let (found, expected) = (to_hex(&other.output.meta, 16), to_hex(&self.output.meta, 16));
            return Some(format!("the metadata is {found}, not {expected}"));
        }
        let mut maps = self.maps.iter().zip(&other.maps).enumerate();
        maps.find(|(_, (a, b))| a != b).map(|(at, (a, b))| format!("map {at} holds\n{b:x?}\nnot\n{a:x?}"))
    }
}

/// Runs a case that an engine has loaded.
pub fn run(case: &Case, instance: &mut dyn Instance) -> Result<Outcome, Error> {
    for (map, key, values) in &case.elements {
        instance.update(*map, key, values)?;
    }
    let output = instance.run(0, &case.input)?;
    let maps =
        (0..case.module.maps.len()).map(|at| instance.contents(map_id(at))).collect::<Result<_, _>>()?;
    Ok(Outcome { output, maps })
}

/// The id of the map at an index.
#[must_use]
pub fn map_id(index: usize) -> MapId {
    MapId(u32::try_from(index).expect("modules have fewer than 2^32 maps"))
}

/// Loads and runs a case.
pub fn load_and_run(case: &Case, engine: &dyn Engine) -> Result<Outcome, Error> {
    run(case, &mut *engine.load(&case.module)?)
}

/// Where an outcome is not what the case says.
#[must_use]
pub fn mismatch(case: &Case, outcome: &Outcome) -> Option<String> {
    let output = Output {
        ret: case.result.unwrap_or(outcome.output.ret),
        data: case.data_after.clone().unwrap_or_else(|| case.input.data.clone()),
        meta: outcome.output.meta.clone(),
    };
    let maps = case.maps_after.clone().unwrap_or_else(|| outcome.maps.clone());
    Outcome { output, maps }.difference(outcome)
}

/// Whether results are to be written into case files.
#[must_use]
pub fn blessing() -> bool {
    std::env::var_os("BROLGA_BLESS").is_some()
}

/// Writes an outcome into the case.
pub fn bless(case: &mut Case, outcome: &Outcome) {
    case.sections.set("result", &format!("{:#x}", outcome.output.ret));
    if outcome.output.data != case.input.data {
        case.sections.set("memory after", &to_hex(&outcome.output.data, 16));
    }
    if !case.module.maps.is_empty() {
        case.sections.set("maps after", &contents_text(&case.module.maps, &outcome.maps));
    }
}

/// The folder of case files.
#[must_use]
pub fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// All case files below a folder of the case files, in order.
///
/// # Panics
///
/// Where the folder cannot be read.
#[must_use]
pub fn case_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![cases_dir().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("the folder of case files can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "data") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Reads a case file of the repository.
///
/// # Panics
///
/// Where it is no case.
#[must_use]
pub fn read_case(path: &Path) -> Case {
    Case::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
