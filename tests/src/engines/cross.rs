//! Other machines: programs compiled for them, linked by a cross compiler, and run by `qemu-user`.
//!
//! No runtime is built for these machines, so only what needs none runs: `raw_memory` programs that use
//! no maps but arrays, which compiled code reaches inline. Of other maps nothing is kept. The driver (`cross_driver.c`) makes the environment
//! by hand. Whatever asks for a symbol of the runtime is unsupported.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use brolga_abi::maps::array_stride;
use brolga_abi::{MapKind, ProgramKind};
use brolga_compiler::isa::Endianness;
use brolga_compiler::options::{CodeOptions, Target};
use brolga_compiler::pipeline::{ModuleInfo, Unit, compile_object, program_symbol};
use brolga_compiler::program::{MapDef, MapId};
use brolga_compiler::verify;
use object::{Object as _, ObjectSymbol as _};

use super::process::{Process, failed};
use super::{Contents, Engine, Error, Input, Instance, Module, Output};

/// A machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Its name.
    pub name: &'static str,
    /// Its target triple.
    triple: &'static str,
    compiler: &'static str,
    emulator: &'static str,
    /// Its byte order.
    pub endianness: Endianness,
}

/// The machines, apart from the one on which tests run.
pub const MACHINES: &[Machine] = &[
    Machine {
        name: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        compiler: "aarch64-linux-gnu-gcc",
        emulator: "qemu-aarch64",
        endianness: Endianness::Little,
    },
    Machine {
        name: "riscv64",
        triple: "riscv64gc-unknown-linux-gnu",
        compiler: "riscv64-linux-gnu-gcc",
        emulator: "qemu-riscv64",
        endianness: Endianness::Little,
    },
    Machine {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        compiler: "s390x-linux-gnu-gcc",
        emulator: "qemu-s390x",
        endianness: Endianness::Big,
    },
];

/// The compiler for a machine, and the machine.
#[derive(Clone, Debug)]
pub struct CrossEngine {
    machine: Machine,
    code: CodeOptions,
}

impl CrossEngine {
    /// The engine; `None`, and a line on standard error that says why, where a tool is missing.
    ///
    /// # Panics
    ///
    /// Under `CI=true`, where everything must be there.
    #[must_use]
    pub fn or_skip(machine: Machine) -> Option<Self> {
        let missing =
            [machine.compiler, machine.emulator].into_iter().find(|tool| !is_there(tool, "--version"));
        if let Some(tool) = missing {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs `{tool}`");
            eprintln!("{} is skipped: there is no `{tool}`", machine.name);
            return None;
        }
        let target: Target = machine.triple.parse().expect("a triple");
        Some(Self { machine, code: CodeOptions { target, ..CodeOptions::default() } })
    }

    /// An object with the programs of a module, and the symbols of their entries.
    fn compile(&self, index: usize, module: &Module) -> Result<Compiled, Error> {
        let unsupported = |what: String| Err(Error::Unsupported(what));
        if module.programs.iter().any(|program| program.kind != Some(ProgramKind::RawMemory)) {
            return unsupported("programs of Linux's kinds, which need the runtime".to_owned());
        }
        let mut maps = (0..).map(MapId).zip(module.maps.iter());
        let used = |id| module.programs.iter().any(|program| program.uses_map(id));
        if let Some((_, map)) = maps.find(|(id, map)| !is_array(map) && used(*id)) {
            return unsupported(format!("map `{}`: {} needs the runtime", map.name, map.kind));
        }
        let mut proofs = Vec::new();
        for program in &module.programs {
            proofs.push(verify::verify(program, &verify::Options::default()).map_err(|rejection| {
                let found: Vec<_> = rejection.diagnostics.iter().map(|d| d.message.as_str()).collect();
                Error::Rejected(found.join("; "))
            })?);
        }
        let units = module.programs.iter().zip(&proofs);
        let units: Vec<_> = units.map(|(program, proof)| Unit { program, facts: &proof.facts }).collect();
        let name = format!("m{index}");
        let info = ModuleInfo { name: &name, license: "GPL", maps: &module.maps };
        let object = compile_object(&info, &units, &self.code)
            .map_err(|error| Error::Unsupported(error.to_string()))?;
        let file = object::File::parse(&*object).map_err(|error| Error::Failed(error.to_string()))?;
        let needed = file.symbols().find(|symbol| symbol.is_undefined() && symbol.name() != Ok(""));
        if let Some(symbol) = needed.and_then(|symbol| symbol.name().ok()) {
            return unsupported(format!("`{symbol}` of the runtime"));
        }
        let symbols = module.programs.iter().map(|program| program_symbol(&name, &program.name)).collect();
        Ok(Compiled { object, symbols, maps: module.maps.to_vec() })
    }

    /// Links all objects into one executable and starts it.
    fn start(&self, modules: &[Compiled]) -> Result<Process, Error> {
        let folder = tempfile::tempdir().map_err(|error| failed("temporary folder", error))?;
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).map_err(|error| failed("writing a file", error))
        };
        write("tables.c", tables(modules).as_bytes())?;
        let mut cc = Command::new(self.machine.compiler);
        cc.current_dir(folder.path()).args(["-O1", "-static", "-o", "driver"]);
        cc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engines/cross_driver.c")).arg("tables.c");
        for (number, module) in modules.iter().enumerate() {
            let name = format!("{number}.o");
            write(&name, &module.object)?;
            cc.arg(name);
        }
        let output = cc.output().map_err(|error| failed(self.machine.compiler, error))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Failed(format!("{}: {words}", self.machine.compiler)));
        }
        let driver = folder.path().join("driver");
        let mut process = Process::start(Command::new(self.machine.emulator).arg(driver), folder)?;
        process.send(&number(modules.len()))?;
        for (at, module) in modules.iter().enumerate() {
            for (map, def) in module.maps.iter().enumerate().filter(|(_, def)| is_array(def)) {
                process.set_map(at, map, &initial(def))?;
            }
        }
        Ok(process)
    }
}

fn is_there(tool: &str, arg: &str) -> bool {
    Command::new(tool).arg(arg).output().is_ok_and(|output| output.status.success())
}

/// A module that was compiled.
struct Compiled {
    object: Vec<u8>,
    /// Symbols of the programs' entries.
    symbols: Vec<String>,
    maps: Vec<MapDef>,
}

/// The C source that lists all programs, and the maps of each module.
fn tables(modules: &[Compiled]) -> String {
    let mut text = "#include <stdint.h>\n".to_owned();
    let (mut programs, mut module_of, mut counts) = (String::new(), String::new(), String::new());
    for (number, module) in modules.iter().enumerate() {
        for symbol in &module.symbols {
            _ = writeln!(text, "extern uint64_t {symbol}(void *, void *);");
            _ = write!(programs, "{symbol}, ");
            _ = write!(module_of, "{number}, ");
        }
        _ = write!(counts, "{}, ", module.maps.len());
    }
    _ = writeln!(text, "uint64_t (*const programs[])(void *, void *) = {{{programs}0}};");
    _ = writeln!(text, "const uint32_t module_of[] = {{{module_of}0}}, map_counts[] = {{{counts}0}};");
    text
}

fn is_array(def: &MapDef) -> bool {
    def.kind.known() == Some(MapKind::Array)
}

/// Bytes of an array map.
fn map_bytes(def: &MapDef) -> usize {
    stride(def) * def.max_entries as usize
}

fn stride(def: &MapDef) -> usize {
    usize::try_from(array_stride(def.value_size)).expect("values are small")
}

fn initial(def: &MapDef) -> Vec<u8> {
    let mut bytes = vec![0; map_bytes(def)];
    if let Some(global) = &def.global {
        bytes[..global.initial.len()].copy_from_slice(&global.initial);
    }
    bytes
}

/// A number of the protocol.
fn number(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("messages are small").to_le_bytes()
}

impl Process {
    fn set_map(&mut self, module: usize, map: usize, bytes: &[u8]) -> Result<(), Error> {
        let head = [&b"s"[..], &number(module), &number(map), &number(bytes.len())].concat();
        self.send(&[&head, bytes].concat())
    }

    fn map(&mut self, module: usize, map: usize, len: usize) -> Result<Vec<u8>, Error> {
        self.send(&[&b"m"[..], &number(module), &number(map), &number(len)].concat())?;
        self.take(len)
    }
}

impl Engine for CrossEngine {
    fn name(&self) -> &'static str {
        self.machine.name
    }

    fn load(&self, module: &Module) -> Result<Box<dyn Instance>, Error> {
        self.load_all(std::slice::from_ref(module)).pop().expect("one result a module")
    }

    fn load_all(&self, modules: &[Module]) -> Vec<Result<Box<dyn Instance>, Error>> {
        let (mut compiled, mut places, mut first) = (Vec::new(), Vec::new(), 0);
        for (index, module) in modules.iter().enumerate() {
            places.push(self.compile(index, module).map(|module| {
                let place = (compiled.len(), first);
                first += module.symbols.len();
                compiled.push(module);
                place
            }));
        }
        let process = self.start(&compiled).map(|process| Rc::new(RefCell::new(process)));
        let instance = |place: Result<(usize, usize), Error>| {
            let (module, first) = place?;
            let (process, maps) = (process.clone()?, compiled[module].maps.clone());
            Ok(Box::new(Linked { process, module, first, maps }) as Box<dyn Instance>)
        };
        places.into_iter().map(instance).collect()
    }
}

struct Linked {
    process: Rc<RefCell<Process>>,
    /// Its number in the driver.
    module: usize,
    /// The number of its first program in the driver.
    first: usize,
    maps: Vec<MapDef>,
}

impl Instance for Linked {
    fn run(&mut self, program: usize, input: &Input) -> Result<Output, Error> {
        let mut process = self.process.borrow_mut();
        let head = [&b"r"[..], &number(self.first + program), &number(input.data.len())].concat();
        process.send(&[&head, &input.data[..]].concat())?;
        let ret = u64::from_le_bytes(process.take(8)?.try_into().expect("eight bytes"));
        let trap = process.take_number()?;
        let len = process.take_number()?;
        let data = process.take(len)?;
        if trap != 0 {
            return Err(Error::Failed(format!("trap {trap}")));
        }
        Ok(Output { ret, data, meta: Vec::new() })
    }

    fn update(&mut self, map: MapId, key: &[u8], values: &[Vec<u8>]) -> Result<(), Error> {
        let def = &self.maps[map.index()];
        if !is_array(def) {
            // No program uses it.
            return Ok(());
        }
        let index = u32::from_le_bytes(key.try_into().expect("keys of arrays have four bytes")) as usize;
        let mut process = self.process.borrow_mut();
        let mut bytes = process.map(self.module, map.index(), map_bytes(def))?;
        let value = values.concat();
        bytes[index * stride(def)..][..value.len()].copy_from_slice(&value);
        process.set_map(self.module, map.index(), &bytes)
    }

    fn contents(&mut self, map: MapId) -> Result<Contents, Error> {
        let def = &self.maps[map.index()];
        if !is_array(def) {
            return Ok(Contents::new());
        }
        let bytes = self.process.borrow_mut().map(self.module, map.index(), map_bytes(def))?;
        let elements = (0_u32..).zip(bytes.chunks(stride(def)));
        let elements = elements.map(|(index, value)| (index, value[..def.value_size as usize].to_vec()));
        let elements = elements.filter(|(_, value)| value.iter().any(|byte| *byte != 0));
        Ok(elements.map(|(index, value)| (index.to_le_bytes().to_vec(), vec![value])).collect())
    }
}
