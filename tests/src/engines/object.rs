//! Native objects: compiled ahead of time, linked with the runtime's static library by `cc`, and run in a
//! process of their own.
//!
//! Linking costs far more than compiling, so all modules of one [`Engine::load_all`] become one
//! executable, and modules with equal maps share an object. The executable is a small C program
//! (`object_driver.c`) that reads commands from a pipe: it reaches the runtime as any C program does.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use brolga_compiler::options::CodeOptions;
use brolga_compiler::pipeline::{ModuleInfo, Unit, compile_object, descriptor_symbol};
use brolga_compiler::program::{MapDef, MapId, Program};
use brolga_compiler::verify::{self, Accepted};

use super::process::{Process, failed};
use super::{Contents, Engine, Error, Input, Instance, Module, Output};

/// CPU slots of the driver's runtime.
const CPUS: u32 = 2;
/// Programs in one object.
const PER_OBJECT: usize = 64;

/// The ahead-of-time compiler, the linker and the runtime as a static library.
#[derive(Clone, Debug)]
pub struct ObjectEngine {
    library: PathBuf,
    /// How programs are verified.
    pub verify: verify::Options,
    /// How objects are made.
    pub code: CodeOptions,
}

impl ObjectEngine {
    /// The engine, or why it cannot be used: it needs a C compiler that links, and cargo.
    pub fn new() -> Result<Self, String> {
        Ok(Self {
            library: runtime_library()?,
            verify: verify::Options::default(),
            code: CodeOptions::default(),
        })
    }

    /// The engine; `None`, and a line on standard error that says why, where it cannot be used.
    ///
    /// # Panics
    ///
    /// Under `CI=true`, where everything must be there.
    #[must_use]
    pub fn or_skip() -> Option<Self> {
        match Self::new() {
            Ok(engine) => Some(engine),
            Err(why) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs objects: {why}");
                eprintln!("objects are skipped: {why}");
                None
            }
        }
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

/// Builds the static library with cargo, which knows where it puts it.
fn runtime_library() -> Result<PathBuf, String> {
    let cc = Command::new("cc").arg("--version").output();
    cc.map_err(|error| format!("there is no C compiler `cc`: {error}"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--quiet", "--package", "brolga-runtime-c", "--message-format", "json"])
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.split('"').find(|part| part.ends_with("libbrolga_runtime_c.a"));
    found.map(PathBuf::from).ok_or_else(|| "cargo names no static library".to_owned())
}

/// A module that is to be in the executable.
struct Entry<'m> {
    /// Its place in the list that was given.
    index: usize,
    /// Its programs under the names that they have in the object.
    programs: Vec<Program>,
    proofs: Vec<Accepted>,
    module: &'m Module,
    /// Number of the object that it is in.
    object: usize,
}

impl Entry<'_> {
    /// Whether it can share an object with others: nobody refers to its programs by name.
    fn shares(&self) -> bool {
        self.module.maps.iter().all(|map| map.initial_programs.is_empty())
    }
}

impl Engine for ObjectEngine {
    fn name(&self) -> &'static str {
        "object"
    }

    fn load(&self, module: &Module) -> Result<Box<dyn Instance>, Error> {
        self.load_all(std::slice::from_ref(module)).pop().expect("one result a module")
    }

    fn load_all(&self, modules: &[Module]) -> Vec<Result<Box<dyn Instance>, Error>> {
        let mut results: Vec<Option<Error>> = vec![None; modules.len()];
        let mut entries = Vec::new();
        for (index, module) in modules.iter().enumerate() {
            match self.prove(index, module) {
                Ok(entry) => entries.push(entry),
                Err(error) => results[index] = Some(error),
            }
        }
        match self.start(&mut entries) {
            Err(error) => entries.iter().for_each(|entry| results[entry.index] = Some(error.clone())),
            Ok(process) => {
                let process = Rc::new(RefCell::new(process));
                let mut numbered = (0..).zip(entries).peekable();
                return (0..modules.len())
                    .zip(results)
                    .map(|(index, error)| {
                        if let Some(error) = error {
                            return Err(error);
                        }
                        let (number, entry) =
                            numbered.next_if(|(_, e)| e.index == index).expect("every module has an entry");
                        let names = entry.programs.iter().map(|p| p.name.clone()).collect();
                        let maps = entry.module.maps.to_vec();
                        let process = Rc::clone(&process);
                        Ok(Box::new(Linked { process, number, names, maps }) as Box<dyn Instance>)
                    })
                    .collect();
            }
        }
        results.into_iter().map(|error| Err(error.expect("every module failed"))).collect()
    }
}

impl ObjectEngine {
    fn prove<'m>(&self, index: usize, module: &'m Module) -> Result<Entry<'m>, Error> {
        let mut entry =
            Entry { index, programs: module.programs.clone(), proofs: Vec::new(), module, object: 0 };
        let shares = entry.shares();
        for (at, program) in entry.programs.iter_mut().enumerate() {
            let proof = verify::verify(program, &self.verify).map_err(|rejection| {
                let found: Vec<_> = rejection.diagnostics.iter().map(|d| d.message.as_str()).collect();
                Error::Rejected(found.join("; "))
            })?;
            entry.proofs.push(proof);
            if shares {
                program.name = format!("m{index}_{at}");
            }
        }
        Ok(entry)
    }

    /// Compiles, links and starts the executable.
    fn start(&self, entries: &mut [Entry<'_>]) -> Result<Process, Error> {
        let folder = tempfile::tempdir().map_err(|error| failed("temporary folder", error))?;
        let objects = group(entries);
        for (number, members) in objects.iter().enumerate() {
            let name = format!("o{number}");
            let units: Vec<_> = members
                .iter()
                .flat_map(|at| entries[*at].programs.iter().zip(&entries[*at].proofs))
                .map(|(program, proof)| Unit { program, facts: &proof.facts })
                .collect();
            let maps = &entries[members[0]].module.maps;
            let info = ModuleInfo { name: &name, license: "GPL", maps };
            let bytes = compile_object(&info, &units, &self.code)
                .map_err(|error| Error::Failed(format!("compiling: {error}")))?;
            std::fs::write(folder.path().join(format!("{name}.o")), bytes)
                .map_err(|error| failed("writing an object", error))?;
        }
        let table = tables(&objects, entries);
        std::fs::write(folder.path().join("tables.c"), table).map_err(|e| failed("writing tables", e))?;
        self.link(folder.path(), objects.len())?;
        Process::start(&mut Command::new(folder.path().join("driver")), folder)
    }

    fn link(&self, folder: &Path, objects: usize) -> Result<(), Error> {
        let mut cc = Command::new("cc");
        cc.current_dir(folder).arg("-I").arg(workspace().join("runtime/c/include"));
        cc.arg(workspace().join("tests/src/engines/object_driver.c")).arg("tables.c");
        cc.args((0..objects).map(|number| format!("o{number}.o")));
        cc.arg(&self.library).args(["-lpthread", "-ldl", "-lm", "-o", "driver"]);
        let output = cc.output().map_err(|error| failed("cc", error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Failed(format!("cc: {}", String::from_utf8_lossy(&output.stderr))))
    }
}

/// Which entries go into which object.
fn group(entries: &mut [Entry<'_>]) -> Vec<Vec<usize>> {
    let mut objects: Vec<Vec<usize>> = Vec::new();
    // Objects that may still grow; few, since most modules have the same maps or none.
    let mut open: Vec<usize> = Vec::new();
    for at in 0..entries.len() {
        let fits = |object: &usize| {
            let first = &entries[objects[*object][0]];
            objects[*object].len() < PER_OBJECT && first.module.maps == entries[at].module.maps
        };
        let found = if entries[at].shares() { open.iter().copied().find(fits) } else { None };
        let object = found.unwrap_or_else(|| {
            objects.push(Vec::new());
            objects.len() - 1
        });
        if found.is_none() && entries[at].shares() {
            open.insert(0, object);
        }
        objects[object].push(at);
        entries[at].object = object;
    }
    objects
}

/// The C source that lists each module's descriptor.
fn tables(objects: &[Vec<usize>], entries: &[Entry<'_>]) -> String {
    let mut text = "#include \"brolga.h\"\n".to_owned();
    for number in 0..objects.len() {
        let symbol = descriptor_symbol(&format!("o{number}"));
        text.push_str(&format!("extern const struct brolga_descriptor {symbol};\n"));
    }
    text.push_str(&format!("const uint32_t cpus = {CPUS};\n"));
    text.push_str("const struct brolga_descriptor *const modules[] = {\n");
    for entry in entries {
        text.push_str(&format!("    &{},\n", descriptor_symbol(&format!("o{}", entry.object))));
    }
    text.push_str("    0};\n");
    text
}

/// Numbers as the driver reads them.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, number: usize) {
        let number = u32::try_from(number).expect("messages are small");
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }
}

impl Process {
    /// Sends a message and takes the answer: nothing, or words that say what is wrong.
    fn tell(&mut self, message: &Message) -> Result<(), Error> {
        self.send(&message.0)?;
        let words = self.take_bytes()?;
        if words.is_empty() { Ok(()) } else { Err(Error::Failed(String::from_utf8_lossy(&words).into())) }
    }

    fn take_bytes(&mut self) -> Result<Vec<u8>, Error> {
        let len = self.take_number()?;
        self.take(len)
    }
}

struct Linked {
    process: Rc<RefCell<Process>>,
    /// Index in the driver's table.
    number: usize,
    names: Vec<String>,
    maps: Vec<MapDef>,
}

impl Linked {
    fn message(&self, command: u8, name: &str) -> Message {
        let mut message = Message(vec![command]);
        message.number(self.number);
        message.bytes(name.as_bytes());
        message
    }

    fn is_per_cpu(&self, map: MapId) -> bool {
        self.maps[map.index()].kind.known().is_some_and(|kind| kind.info().per_cpu)
    }
}

impl Instance for Linked {
    fn run(&mut self, program: usize, input: &Input) -> Result<Output, Error> {
        let mut message = self.message(b'r', &self.names[program]);
        message.bytes(&input.data);
        let mut process = self.process.borrow_mut();
        process.tell(&message)?;
        let ret = u64::from_le_bytes(process.take(8)?.try_into().expect("eight bytes"));
        let meta_len = process.take_number()?;
        let mut meta = process.take_bytes()?;
        let data = meta.split_off(meta_len.min(meta.len()));
        Ok(Output { ret, data, meta })
    }

    fn update(&mut self, map: MapId, key: &[u8], values: &[Vec<u8>]) -> Result<(), Error> {
        let mut message = self.message(b'u', &self.maps[map.index()].name);
        message.number(usize::from(self.is_per_cpu(map)));
        message.bytes(key);
        message.bytes(&values.concat());
        self.process.borrow_mut().tell(&message)
    }

    fn contents(&mut self, map: MapId) -> Result<Contents, Error> {
        let def = &self.maps[map.index()];
        let mut contents = Contents::new();
        let Some(info) = def.kind.known().map(|k| k.info()).filter(|i| i.element_access) else {
            return Ok(contents);
        };
        let mut message = self.message(b'c', &def.name);
        message.number(usize::from(info.per_cpu));
        let mut process = self.process.borrow_mut();
        process.tell(&message)?;
        while process.take_number()? == 1 {
            let key = process.take(def.key_size as usize)?;
            let copies = if info.per_cpu { CPUS } else { 1 };
            let values: Result<Vec<_>, _> =
                (0..copies).map(|_| process.take(def.value_size as usize)).collect();
            let values = values?;
            if !info.array_keys || values.iter().flatten().any(|b| *b != 0) {
                contents.insert(key, values);
            }
        }
        Ok(contents)
    }
}
