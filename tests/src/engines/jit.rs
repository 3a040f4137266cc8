//! Compiled code in this process: verified, compiled and run through the runtime's own API.

use brolga_compiler::isa::Endianness;
use brolga_compiler::program::{MapId, Object};
use brolga_compiler::verify;
use brolga_runtime::jit::{self, Options, Programs};
use brolga_runtime::{
    Instance as RuntimeInstance, MapError, NativeKind, Packet, Runtime, RuntimeOptions, SocketPacket, Update,
    Worker,
};

use super::{Contents, Engine, Error, Input, Instance, Module, Output};

/// The in-process compiler and runtime.
#[derive(Clone, Debug, Default)]
pub struct Jit {
    /// How modules are verified and compiled.
    pub options: Options,
    /// CPU slots of the runtime; 0 stands for 2.
    pub cpus: u32,
}

/// The object that holds a module's programs and maps.
#[must_use]
pub fn object_of(module: &Module) -> Object {
    Object {
        license: "GPL".to_owned(),
        maps: module.maps.clone(),
        externs: [].into(),
        modules: [].into(),
        programs: module.programs.clone(),
        endianness: Endianness::Little,
        btf: None,
    }
}

impl Engine for Jit {
    fn name(&self) -> &'static str {
        "jit"
    }

    fn load(&self, module: &Module) -> Result<Box<dyn Instance>, Error> {
        let mut options = self.options.clone();
        options.programs = Programs::Named(module.programs.iter().map(|p| p.name.clone()).collect());
        let loaded = jit::compile(&object_of(module), &options).map_err(|error| match error {
            jit::Error::Refused(_) | jit::Error::MixedKinds(_) => Error::Rejected(error.to_string()),
            jit::Error::Compile(brolga_compiler::pipeline::CompileError::Unsupported { .. }) => {
                Error::Unsupported(error.to_string())
            }
            jit::Error::Compile(_)
            | jit::Error::Load(_)
            | jit::Error::NoProgram { .. }
            | jit::Error::HostFunction { .. } => Error::Failed(error.to_string()),
        })?;
        let cpus = if self.cpus == 0 { 2 } else { self.cpus };
        let runtime = Runtime::new(RuntimeOptions::with_cpus(cpus));
        let worker = runtime.worker().map_err(|error| Error::Failed(error.to_string()))?;
        let instance = RuntimeInstance::new(&runtime, &loaded.module)
            .map_err(|error| Error::Unsupported(error.to_string()))?;
        Ok(Box::new(Loaded { module: module.clone(), instance, worker }))
    }
}

/// Why Brolga's verifier refuses the module, if it does: one line a finding.
#[must_use]
pub fn refusal(module: &Module, options: &verify::Options) -> Option<String> {
    let rejections = module.programs.iter().filter_map(|program| verify::verify(program, options).err());
    let lines: Vec<_> = rejections
        .flat_map(|rejection| rejection.diagnostics)
        .map(|d| format!("{}: {}", d.code.info().name, d.message))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

struct Loaded {
    module: Module,
    instance: RuntimeInstance,
    worker: Worker,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

impl Instance for Loaded {
    fn run(&mut self, program: usize, input: &Input) -> Result<Output, Error> {
        let program = self.instance.program(&self.module.programs[program].name).map_err(failed)?;
        match program.kind().native() {
            Some(NativeKind::Xdp) => {
                let mut packet = Packet::new(&input.data);
                let ret = program.run(&mut self.worker, &mut packet).map_err(failed)?;
                Ok(Output { ret, data: packet.data().to_vec(), meta: packet.meta().to_vec() })
            }
            Some(NativeKind::SocketFilter) => {
                let mut packet = SocketPacket::new(&input.data).without_link_header();
                let ret = program.run(&mut self.worker, &mut packet).map_err(failed)?;
                Ok(Output { ret, data: input.data.clone(), meta: Vec::new() })
            }
            None => Err(Error::Unsupported(format!("running {} programs", program.kind().info().name))),
            Some(NativeKind::RawMemory) => {
                let mut data = input.data.clone();
                let ret = program.run_raw(&mut self.worker, &mut data).map_err(failed)?;
                Ok(Output { ret, data, meta: Vec::new() })
            }
        }
    }

    fn update(&mut self, map: MapId, key: &[u8], values: &[Vec<u8>]) -> Result<(), Error> {
        let def = &self.module.maps[map.index()];
        let handle = self.instance.map(&def.name).map_err(failed)?;
        let result = if handle.kind().info().per_cpu {
            handle.update_percpu(key, values, Update::Any)
        } else {
            handle.update(key, &values[0], Update::Any)
        };
        result.map_err(failed)
    }

    fn contents(&mut self, map: MapId) -> Result<Contents, Error> {
        let def = &self.module.maps[map.index()];
        if !def.kind.known().is_some_and(|kind| kind.info().element_access) {
            return Ok(Contents::new());
        }
        let handle = self.instance.map(&def.name).map_err(failed)?;
        let info = handle.kind().info();
        let mut contents = Contents::new();
        for key in handle.keys() {
            let values = if info.per_cpu {
                handle.lookup_percpu(&key)
            } else {
                handle.lookup(&key).map(|value| value.map(|v| vec![v]))
            };
            let Some(values) = values.map_err(|error: MapError| failed(error))? else { continue };
            if !info.array_keys || values.iter().flatten().any(|b| *b != 0) {
                contents.insert(key, values);
            }
        }
        Ok(contents)
    }
}
