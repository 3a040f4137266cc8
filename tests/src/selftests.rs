//! The kernel's own BPF selftests (`tools/testing/selftests/bpf/progs`), compiled where Debian's
//! `linux-source-6.12`, clang and bpftool are installed.
//!
//! The sources are GPL and never part of this repository: they are unpacked below the target directory,
//! and objects are kept there under a key of everything they depend on. What does not compile against
//! the running kernel's types is listed with the compiler's first error.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::repo;

/// Where Debian's package puts the sources.
const TARBALL: &str = "/usr/src/linux-source-6.12.tar.xz";

/// The directory within the archive.
const TREE: &str = "linux-source-6.12";

/// What is unpacked.
const PARTS: &[&str] =
    &["scripts/bpf_doc.py", "tools/lib/bpf", "tools/include", "tools/testing/selftests/bpf"];

/// Where the running kernel has its types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The compiler.
const CLANG: &str = "clang-19";

/// As the selftests' own build passes them, but without warnings, and without strict aliasing for all.
const FLAGS: &[&str] = &[
    "-O2",
    "-g",
    "--target=bpf",
    "-D__TARGET_ARCH_x86",
    "-DENABLE_ATOMICS_TESTS",
    "-std=gnu11",
    "-fno-strict-aliasing",
    "-mlittle-endian",
    "-w",
];

/// Sources that the selftests' own build compiles without inlining.
const NO_INLINE: &[&str] = &["test_l4lb_noinline", "test_xdp_noinline"];

/// Version of the instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cpu {
    /// `-mcpu=v3`
    V3,
    /// `-mcpu=v4`
    V4,
}

impl Cpu {
    /// As clang spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::V4 => "v4",
        }
    }
}

/// What was compiled.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// Objects, by name.
    pub objects: Vec<PathBuf>,
    /// Sources that do not compile, with the first error.
    pub failed: Vec<(String, String)>,
    /// The directory with the sources: `progs/*.c` and headers.
    pub sources: PathBuf,
}

/// All objects of the selftests for a version of the instruction set: compiled, or from the cache.
///
/// # Errors
///
/// What is missing on this machine, or why nothing can be compiled.
pub fn objects(cpu: Cpu) -> Result<Built, String> {
    let cache = Cache::open(cpu)?;
    let sources = cache.root.join("src").join(TREE).join("tools/testing/selftests/bpf");
    let mut names = Vec::new();
    for entry in fs::read_dir(sources.join("progs")).map_err(at(&sources))? {
        let path = entry.map_err(at(&sources))?.path();
        if path.extension().is_some_and(|e| e == "c") {
            names.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut results = cache.compile_all(&sources, &names)?;
    results.sort();
    let mut built = Built { sources, ..Built::default() };
    for (name, error) in results {
        match error {
            None => built.objects.push(cache.object(&name)),
            Some(error) => built.failed.push((name, error)),
        }
    }
    Ok(built)
}

/// A directory whose name tells what its content depends on.
#[derive(Debug)]
struct Cache {
    root: PathBuf,
    cpu: Cpu,
    system_includes: Vec<String>,
    /// One process at a time fills it.
    _lock: File,
}

impl Cache {
    fn open(cpu: Cpu) -> Result<Self, String> {
        let tarball = fs::metadata(TARBALL).map_err(|e| format!("{TARBALL} of linux-source-6.12: {e}"))?;
        let vmlinux = fs::read(VMLINUX).map_err(|e| format!("{VMLINUX}: {e}"))?;
        let version = run(Command::new(CLANG).arg("--version"))?;
        run(Command::new("bpftool").arg("version"))?;
        let mut hasher = DefaultHasher::new();
        (tarball.len(), vmlinux, version, FLAGS, NO_INLINE, PARTS).hash(&mut hasher);
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo::root().join("target"), PathBuf::from);
        let root = target.join("selftests").join(format!("{:016x}", hasher.finish()));
        fs::create_dir_all(root.join(cpu.name())).map_err(at(&root))?;
        let lock = File::create(root.join("lock")).map_err(at(&root))?;
        lock.lock().map_err(at(&root))?;
        let cache = Self { root, cpu, system_includes: system_includes()?, _lock: lock };
        cache.unpack()?;
        Ok(cache)
    }

    /// Unpacks the sources and makes the headers that are generated.
    fn unpack(&self) -> Result<(), String> {
        let done = self.root.join("unpacked");
        if done.exists() {
            return Ok(());
        }
        let src = self.root.join("src");
        fs::create_dir_all(&src).map_err(at(&src))?;
        let parts = PARTS.iter().map(|part| format!("{TREE}/{part}"));
        run(Command::new("tar").arg("-xJf").arg(TARBALL).arg("-C").arg(&src).args(parts))?;
        let tree = src.join(TREE);
        let headers = self.root.join("include");
        let bpf = headers.join("bpf");
        fs::create_dir_all(&bpf).map_err(at(&bpf))?;
        let dump = ["btf", "dump", "file", VMLINUX, "format", "c"];
        let vmlinux = run(Command::new("bpftool").args(dump))?;
        fs::write(headers.join("vmlinux.h"), vmlinux).map_err(at(&headers))?;
        let uapi = tree.join("tools/include/uapi/linux/bpf.h");
        let document = tree.join("scripts/bpf_doc.py");
        let helpers = run(Command::new("python3").arg(document).args(["--header", "--file"]).arg(uapi))?;
        fs::write(bpf.join("bpf_helper_defs.h"), helpers).map_err(at(&bpf))?;
        let lib = tree.join("tools/lib/bpf");
        for entry in fs::read_dir(&lib).map_err(at(&lib))? {
            let path = entry.map_err(at(&lib))?.path();
            if path.extension().is_some_and(|e| e == "h") {
                fs::copy(&path, bpf.join(path.file_name().unwrap_or_default())).map_err(at(&path))?;
            }
        }
        fs::write(&done, "").map_err(at(&done))
    }

    fn object(&self, name: &str) -> PathBuf {
        self.root.join(self.cpu.name()).join(format!("{name}.o"))
    }

    /// Compiles what is not there yet, on all processors.
    fn compile_all(&self, sources: &Path, names: &[String]) -> Result<Vec<(String, Option<String>)>, String> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let work = || -> Result<(), String> {
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                let error = self.compile(sources, name)?;
                results.lock().expect("no panic while it was held").push((name.clone(), error));
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("compiling does not panic"))
        })?;
        Ok(results.into_inner().expect("no panic while it was held"))
    }

    /// Compiles one source, or finds that it was; the compiler's first error where it does not compile.
    fn compile(&self, sources: &Path, name: &str) -> Result<Option<String>, String> {
        let object = self.object(name);
        if object.exists() {
            return Ok(None);
        }
        let refused = object.with_extension("error");
        if let Ok(error) = fs::read_to_string(&refused) {
            return Ok(Some(error));
        }
        let unfinished = object.with_extension("unfinished");
        let output = Command::new(CLANG)
            .current_dir(sources)
            .args(FLAGS)
            .arg(format!("-mcpu={}", self.cpu.name()))
            .args(NO_INLINE.contains(&name).then_some("-fno-inline"))
            .arg("-I")
            .arg(self.root.join("include"))
            .args(["-I.", "-Ibpf_testmod", "-I../../../include/uapi", "-I../../../include"])
            .args(&self.system_includes)
            .arg("-c")
            .arg(format!("progs/{name}.c"))
            .arg("-o")
            .arg(&unfinished)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{CLANG}: {e}"))?;
        if output.status.success() {
            fs::rename(&unfinished, &object).map_err(at(&object))?;
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let error = text.lines().find(|line| line.contains("error:")).unwrap_or("no error shown").to_owned();
        fs::write(&refused, &error).map_err(at(&refused))?;
        Ok(Some(error))
    }
}

/// The host's header directories, behind all others: sources include `linux/*.h` and `sys/*.h`.
fn system_includes() -> Result<Vec<String>, String> {
    let output = Command::new(CLANG)
        .args(["-v", "-E", "-x", "c", "-"])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{CLANG}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let list = text.lines().skip_while(|line| !line.contains("<...> search starts here"));
    let list = list.skip(1).take_while(|line| line.starts_with(' '));
    Ok(list.flat_map(|line| ["-idirafter".to_owned(), line.trim().to_owned()]).collect())
}

/// Runs a tool and takes what it writes.
fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}
