//! The interpreter as an engine.

use brolga_compiler::program::MapId;

use super::{Contents, Engine, Error, Input, Instance, Module, Output};
use crate::oracle::{Hooks, Machine};

/// The interpreter: needs nothing, verifies nothing, checks every step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oracle {
    /// Clock, random numbers and CPU.
    pub hooks: Hooks,
    /// Whether reading stack that was never written is a failure. Linux allows it to privileged
    /// programs, whose result is then their own affair.
    pub strict: bool,
    /// How many instructions a run may execute, where that is not as many as usual.
    pub fuel: Option<u64>,
}

impl Oracle {
    /// An interpreter for which reading stack that was never written is a failure.
    #[must_use]
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }
}

impl Engine for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn load(&self, module: &Module) -> Result<Box<dyn Instance>, Error> {
        let mut machine = Machine::new(module, self.hooks);
        machine.strict = self.strict;
        machine.fuel = self.fuel.unwrap_or(machine.fuel);
        Ok(Box::new(machine))
    }
}

impl Instance for Machine {
    fn run(&mut self, program: usize, input: &Input) -> Result<Output, Error> {
        let output = Machine::run(self, program, input).map_err(Error::Fault)?;
        if self.strict && self.uninitialised_reads > 0 {
            return Err(Error::Failed("the result depends on stack that was never written".to_owned()));
        }
        Ok(output)
    }

    fn update(&mut self, map: MapId, key: &[u8], values: &[Vec<u8>]) -> Result<(), Error> {
        let (map, memory) = self.map(map.index());
        match map.host_update(key, values, memory) {
            0 => Ok(()),
            error => Err(Error::Failed(format!("{}: error {error}", map.def.name))),
        }
    }

    fn contents(&mut self, map: MapId) -> Result<Contents, Error> {
        let (map, memory) = self.map(map.index());
        Ok(map.contents(memory))
    }
}
