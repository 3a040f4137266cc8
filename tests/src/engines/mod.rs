//! Engines: four ways to run the same program, behind one trait.
//!
//! The interpreter ([`oracle`]) is slow and checks everything; [`kernel`] is Linux itself, where it
//! lets us; [`jit`] and [`object`] are what is being tested. An engine neither compares nor judges: it
//! says what happened, in terms that mean the same for all.

pub mod cross;
pub mod jit;
pub mod kernel;
pub mod object;
pub mod oracle;
mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use brolga_compiler::program::{MapDef, MapId, Program};

/// Programs that share their maps, as those of one object do.
#[derive(Clone, Debug)]
pub struct Module {
    /// The programs; a `prog_array` refers to them by name.
    pub programs: Vec<Program>,
    /// The maps: the same table that each program holds.
    pub maps: Arc<[MapDef]>,
}

impl Module {
    /// A module of one program.
    #[must_use]
    pub fn single(program: Program) -> Self {
        Self { maps: program.maps.clone(), programs: vec![program] }
    }
}

/// What a program runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The memory of a `raw_memory` program, or the packet from its Ethernet header on (which a socket
    /// filter does not see, as under `BPF_PROG_TEST_RUN`).
    pub data: Vec<u8>,
}

/// What a run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `r0` at exit, all 64 bits.
    pub ret: u64,
    /// The memory, or the packet without its metadata.
    pub data: Vec<u8>,
    /// The packet's metadata.
    pub meta: Vec<u8>,
}

/// What a map holds: by key one value a CPU for per-CPU kinds, else one value. Array elements that
/// are all zero are left out, so that no engine has to list a million of them.
pub type Contents = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Why an engine did not run something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The engine's verifier refused the program: its message.
    Rejected(String),
    /// The engine lacks something that the program needs.
    Unsupported(String),
    /// The program did what an accepted program must not do.
    Fault(crate::oracle::Fault),
    /// The engine itself failed.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(why) => write!(f, "rejected: {why}"),
            Self::Unsupported(what) => write!(f, "unsupported: {what}"),
            Self::Fault(fault) => write!(f, "fault: {fault}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// A module that an engine has made ready, with maps of its own.
pub trait Instance {
    /// Runs the program with this index in [`Module::programs`].
    fn run(&mut self, program: usize, input: &Input) -> Result<Output, Error>;

    /// Sets an element: one value a CPU for per-CPU kinds, else one.
    fn update(&mut self, map: MapId, key: &[u8], values: &[Vec<u8>]) -> Result<(), Error>;

    /// What a map holds.
    fn contents(&mut self, map: MapId) -> Result<Contents, Error>;
}

/// A way to run programs.
pub trait Engine {
    /// The name used in messages.
    fn name(&self) -> &'static str;

    /// Makes a module ready.
    fn load(&self, module: &Module) -> Result<Box<dyn Instance>, Error>;

    /// Makes many modules ready; engines that pay for each load override it.
    fn load_all(&self, modules: &[Module]) -> Vec<Result<Box<dyn Instance>, Error>> {
        modules.iter().map(|m| self.load(m)).collect()
    }
}
