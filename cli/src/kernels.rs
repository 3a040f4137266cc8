//! Kernels to judge objects for: what `--btf` names, found and read.
//!
//! A kernel's types come as raw BTF, as an ELF file with a section `.BTF` (vmlinux, a module), or
//! packed as in the archives of BTFhub (`DISTRIBUTION/VERSION/MACHINE/RELEASE.btf.tar.xz`). A
//! directory stands for all kernels below it; one that holds a file `vmlinux`, such as
//! `/sys/kernel/btf`, is one kernel with its modules. What is packed is unpacked up to a limit.

use std::cmp::Ordering;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brolga_compiler::btf::{Btf, BtfError};
use brolga_compiler::program::{
    ExternKind, HostFunction, Kernel, KernelTypes, KernelVersion, Object, Target,
};
use lzma_rust2::XzReader;
use object::read::ReadCache;
use object::{Object as _, ObjectSection as _};

use crate::args::{ConfigArg, KernelArg};
use crate::config;
use crate::failure::Failure;
use crate::io;

/// Where a running kernel has its types and those of its modules.
const RUNNING: &str = "/sys/kernel/btf";
/// Where a running kernel has its release.
const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// Most bytes of a kernel's types: what is packed must not fill the memory.
const MAX_TYPES: u64 = 256 << 20;
/// Most memory for unpacking, in KiB: dictionaries of `xz -9` have 64 MiB.
const MAX_UNPACKING: u32 = 256 << 10;
/// How packed types end.
const PACKED: &str = ".btf.tar.xz";

/// A kernel that was found and is not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSource {
    /// What it is called in reports.
    pub label: String,
    place: Place,
    /// Its configuration, where a file is named.
    kconfig: Option<PathBuf>,
    /// Whether it is the one that runs.
    running: bool,
}

/// What objects are loaded for.
#[derive(Debug)]
pub struct Environment {
    /// The kernel.
    pub target: Target,
    /// Functions of the host.
    pub host_functions: Arc<[HostFunction]>,
    running: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The types of each object itself.
    Own,
    /// A file.
    File(PathBuf),
    /// A directory with a file `vmlinux`, and the files of modules.
    Folder(PathBuf),
}

impl KernelSource {
    fn new(label: String, place: Place) -> Self {
        Self { label, place, kconfig: None, running: false }
    }

    fn configured(self, arg: &ConfigArg) -> Self {
        Self { kconfig: arg.kconfig.clone(), ..self }
    }

    /// No kernel: the object's own types stand for its types.
    pub fn own() -> Self {
        Self::new("own".to_owned(), Place::Own)
    }

    /// The kernel that runs, where it says what types it has.
    fn running() -> Option<Self> {
        let folder = PathBuf::from(RUNNING);
        io::first_bytes::<4>(&folder.join("vmlinux"))?;
        let release = io::read(Path::new(RELEASE)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let label = release.map_or_else(|| RUNNING.to_owned(), |release| release.trim().to_owned());
        Some(Self { running: true, ..Self::new(label, Place::Folder(folder)) })
    }

    /// The kernel for commands that judge: the one named, the one that runs, or none.
    pub fn to_judge(arg: &KernelArg) -> Result<Self, Failure> {
        let kernel = match &arg.btf {
            Some(path) => Self::one(path)?,
            None => Self::running().unwrap_or_else(Self::own),
        };
        Ok(kernel.configured(&arg.config))
    }

    /// The kernel for commands that run programs here: the one named, or none.
    pub fn to_run(arg: &KernelArg) -> Result<Self, Failure> {
        let kernel = arg.btf.as_deref().map_or_else(|| Ok(Self::own()), Self::one)?;
        Ok(kernel.configured(&arg.config))
    }

    fn one(path: &Path) -> Result<Self, Failure> {
        match <[Self; 1]>::try_from(found_at(path)?) {
            Ok([kernel]) => Ok(kernel),
            Err(kernels) => Err(Failure::Usage(format!(
                "`{}` has the types of {} kernels: name one of them",
                path.display(),
                kernels.len()
            ))),
        }
    }

    /// All kernels that are named; without names, the one that runs, or none.
    pub fn all(paths: &[PathBuf], config: &ConfigArg) -> Result<Vec<Self>, Failure> {
        if paths.is_empty() {
            return Ok(vec![Self::running().unwrap_or_else(Self::own).configured(config)]);
        }
        let mut kernels = Vec::new();
        for path in paths {
            kernels.extend(found_at(path)?.into_iter().map(|kernel| kernel.configured(config)));
        }
        Ok(kernels)
    }

    /// Reads its types and its configuration.
    pub fn read(&self) -> Result<Environment, Failure> {
        let types = match &self.place {
            Place::Own => KernelTypes::Own,
            Place::File(path) => KernelTypes::Kernel(Arc::new(file(path)?)),
            Place::Folder(path) => KernelTypes::Kernel(Arc::new(folder(path)?)),
        };
        let release = self.label.rsplit('/').next().unwrap_or_default();
        let version = match types {
            KernelTypes::Own => KernelVersion::default(),
            KernelTypes::Kernel(_) => KernelVersion::parse(release).unwrap_or_default(),
        };
        let config = match &self.kconfig {
            Some(path) => Some(Arc::new(config::read(path)?)),
            None if self.running => config::running(release).map(Arc::new),
            None => None,
        };
        let target = Target { types, config, version, symbols: None };
        Ok(Environment { target, host_functions: Arc::new([]), running: self.running })
    }
}

impl Environment {
    /// The kernel with its symbols, for an object that asks for some: they are many, and few ask.
    pub fn with_symbols(&self, object: &Object) -> Option<Target> {
        let asks = object.externs.iter().any(|external| external.kind == ExternKind::Symbol);
        if !self.running || !asks || self.target.symbols.is_some() {
            return None;
        }
        let symbols = Some(Arc::new(config::symbols()?));
        Some(Target { symbols, ..self.target.clone() })
    }
}

/// The kernels at a path, in the order of their names.
fn found_at(path: &Path) -> Result<Vec<KernelSource>, Failure> {
    if path == Path::new("own") {
        return Ok(vec![KernelSource::own()]);
    }
    let label = path.display().to_string();
    if !path.is_dir() {
        return Ok(vec![KernelSource::new(without_ending(&label), Place::File(path.to_owned()))]);
    }
    let files = io::files_below(path)?;
    if path.join("vmlinux").is_file() {
        let place = Place::Folder(path.to_owned());
        return Ok(vec![KernelSource::new(label, place)]);
    }
    let mut kernels: Vec<KernelSource> = files
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(PACKED) || name.ends_with(".btf") || name == "vmlinux"
        })
        .map(|file| {
            let label = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().into_owned();
            KernelSource::new(without_ending(&label), Place::File(file))
        })
        .collect();
    if kernels.is_empty() {
        return Err(Failure::Usage(format!(
            "there are no kernels' types in `{label}`: no file ends in `.btf` or `{PACKED}`, none is called `vmlinux`"
        )));
    }
    kernels.sort_by(|a, b| natural(&a.label, &b.label));
    Ok(kernels)
}

fn without_ending(label: &str) -> String {
    let cut = label.strip_suffix(PACKED).or_else(|| label.strip_suffix(".btf"));
    cut.filter(|cut| !cut.is_empty()).unwrap_or(label).to_owned()
}

/// Compares names with the numbers in them as numbers: `5.4` before `5.15`.
fn natural(a: &str, b: &str) -> Ordering {
    let number = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (mut a, mut b) = (a, b);
    loop {
        let (digits_a, digits_b) = (number(a), number(b));
        if digits_a > 0 && digits_b > 0 {
            let (one, other) = (&a[..digits_a], &b[..digits_b]);
            let (short_a, short_b) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            let order = short_a.len().cmp(&short_b.len()).then_with(|| short_a.cmp(short_b));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[digits_a..], &b[digits_b..]);
            continue;
        }
        let (mut rest_a, mut rest_b) = (a.chars(), b.chars());
        match (rest_a.next(), rest_b.next()) {
            (Some(one), Some(other)) if one == other => (a, b) = (rest_a.as_str(), rest_b.as_str()),
            (one, other) => return one.cmp(&other),
        }
    }
}

/// Why a file holds no kernel's types.
#[derive(Debug)]
pub enum KernelError {
    /// It is neither raw BTF, nor ELF with BTF, nor a packed file of one.
    NoTypes(String),
    /// Its BTF is wrong.
    Btf(BtfError),
    /// It belongs to a module, and the kernel's is not beside it.
    NoBase,
    /// It unpacks to more than is read.
    TooLarge,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTypes(reason) => f.write_str(reason),
            Self::Btf(error) => error.fmt(f),
            Self::NoBase => f.write_str(
                "a module's types, which go on where the kernel's end: put them beside a file `vmlinux` and name the \
                 directory",
            ),
            Self::TooLarge => write!(f, "more than {} MiB of types", MAX_TYPES >> 20),
        }
    }
}

/// The types in a file.
fn file(path: &Path) -> Result<Kernel, Failure> {
    let bytes = bytes_of(path)?;
    let kernel = if is_split(&bytes) {
        let vmlinux = path.parent().map(|parent| parent.join("vmlinux")).filter(|vmlinux| vmlinux.is_file());
        let vmlinux = vmlinux.ok_or_else(|| fail(path, KernelError::NoBase))?;
        let vmlinux = parse(&vmlinux, bytes_of(&vmlinux)?, None)?;
        let module = parse(path, bytes, Some(&vmlinux))?;
        Kernel { vmlinux, modules: vec![(module_name(path), module)] }
    } else {
        Kernel { vmlinux: parse(path, bytes, None)?, modules: Vec::new() }
    };
    Ok(kernel)
}

/// The types of a kernel and of its modules, in one directory.
fn folder(path: &Path) -> Result<Kernel, Failure> {
    let base = path.join("vmlinux");
    let vmlinux = parse(&base, bytes_of(&base)?, None)?;
    let mut files = io::files_in(path)?;
    files.retain(|file| *file != base);
    files.sort();
    let mut modules = Vec::new();
    for file in files {
        // Other files may stand there: only what is a module's counts.
        match bytes_of(&file) {
            Ok(bytes) if is_split(&bytes) => {
                modules.push((module_name(&file), parse(&file, bytes, Some(&vmlinux))?));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Kernel { vmlinux, modules })
}

fn module_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn fail(path: &Path, error: KernelError) -> Failure {
    Failure::Kernel { path: path.to_owned(), error: Box::new(error) }
}

fn parse(path: &Path, bytes: Vec<u8>, base: Option<&Arc<Btf>>) -> Result<Arc<Btf>, Failure> {
    let parsed = match base {
        Some(base) => Btf::parse_split(&bytes, Arc::clone(base)),
        None => Btf::parse_owned(bytes),
    };
    parsed.map(Arc::new).map_err(|error| fail(path, KernelError::Btf(error)))
}

/// Whether BTF goes on where another ends: its strings do not begin with the empty one.
fn is_split(btf: &[u8]) -> bool {
    let little = btf.starts_with(&[0x9f, 0xeb]);
    let word = |at: usize| {
        let word: [u8; 4] = btf.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }).ok()
    };
    let strings = || btf.get(word(4)?.checked_add(word(16)?)?).copied();
    strings().is_some_and(|first| first != 0)
}

/// The BTF in a file.
fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    // It is read more than once: a pipe's beginning would be lost.
    if !io::is_file(path)? {
        return Err(fail(path, KernelError::NoTypes("not a regular file".to_owned())));
    }
    match io::first_bytes::<4>(path) {
        Some([0x7f, b'E', b'L', b'F']) => section(path),
        Some([0xfd, b'7', b'z', b'X']) => unpack(path),
        Some([0x9f, 0xeb, ..] | [0xeb, 0x9f, ..]) => io::read_up_to(path, MAX_TYPES),
        Some(_) | None => io::open(path).and_then(|_| {
            let reason = "neither BTF, nor ELF with a section `.BTF`, nor a packed `.btf.tar.xz`".to_owned();
            Err(fail(path, KernelError::NoTypes(reason)))
        }),
    }
}

/// The section `.BTF` of an ELF file, of which no more is read.
fn section(path: &Path) -> Result<Vec<u8>, Failure> {
    let cache = ReadCache::new(io::open(path)?);
    let wrong = |error: object::Error| fail(path, KernelError::NoTypes(error.to_string()));
    let elf = object::File::parse(&cache).map_err(wrong)?;
    let section = elf
        .section_by_name(".BTF")
        .ok_or_else(|| fail(path, KernelError::NoTypes("an ELF file without a section `.BTF`".to_owned())))?;
    if section.size() > MAX_TYPES {
        return Err(fail(path, KernelError::TooLarge));
    }
    section.data().map(<[u8]>::to_vec).map_err(wrong)
}

/// The first file of a packed archive, or what is packed itself where it is no archive.
fn unpack(path: &Path) -> Result<Vec<u8>, Failure> {
    let packed = io::read_up_to(path, MAX_TYPES)?;
    let wrong =
        |error: std::io::Error| fail(path, KernelError::NoTypes(format!("cannot be unpacked: {error}")));
    let mut plain = Vec::new();
    let reader = XzReader::new_mem_limit(&packed[..], true, MAX_UNPACKING);
    reader.take(MAX_TYPES + 1).read_to_end(&mut plain).map_err(wrong)?;
    if plain.len() as u64 > MAX_TYPES {
        return Err(fail(path, KernelError::TooLarge));
    }
    if matches!(plain[..], [0x9f, 0xeb, ..] | [0xeb, 0x9f, ..]) {
        return Ok(plain);
    }
    for entry in tar::Archive::new(&plain[..]).entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            // A sparse file may say that it is larger than the archive.
            entry.by_ref().take(MAX_TYPES + 1).read_to_end(&mut bytes).map_err(wrong)?;
            return if bytes.len() as u64 > MAX_TYPES {
                Err(fail(path, KernelError::TooLarge))
            } else {
                Ok(bytes)
            };
        }
    }
    Err(fail(path, KernelError::NoTypes("an archive without a file".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = ["b/5.15.0", "b/5.4.0-100", "b/5.4.0-20", "a/6.1", "b/5.4.0", "b/05.4.0-21"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a/6.1", "b/5.4.0", "b/5.4.0-20", "b/05.4.0-21", "b/5.4.0-100", "b/5.15.0"]);
    }

    #[test]
    fn labels_are_releases() {
        assert_eq!(
            without_ending("ubuntu/20.04/x86_64/5.4.0-42-generic.btf.tar.xz"),
            "ubuntu/20.04/x86_64/5.4.0-42-generic"
        );
        assert_eq!(without_ending("6.1.0.btf"), "6.1.0");
        assert_eq!(without_ending(".btf"), ".btf");
    }

    /// BTF of one integer, packed with `tar c 6.1.btf | xz -0`.
    const PACKED_INT: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21, 0x01, 0x0c,
        0x00, 0x00, 0x00, 0x8f, 0x98, 0x41, 0x9c, 0xe0, 0x27, 0xff, 0x00, 0x71, 0x5d, 0x00, 0x1b, 0x0b, 0x82,
        0x87, 0x63, 0xde, 0xf9, 0x0d, 0x96, 0xf2, 0x9f, 0x08, 0xea, 0x9c, 0x99, 0xce, 0x43, 0x84, 0xd9, 0x86,
        0xdf, 0x04, 0xcc, 0xe5, 0xdd, 0x0a, 0x84, 0x93, 0x60, 0x2b, 0xdf, 0x7a, 0xe6, 0xa8, 0xce, 0x8c, 0xa6,
        0x57, 0xf0, 0x7b, 0x26, 0x0f, 0x08, 0x49, 0x9b, 0x8f, 0xcd, 0xe2, 0x64, 0x3f, 0xd4, 0xd5, 0x80, 0xb0,
        0xa5, 0xa6, 0x87, 0x71, 0x70, 0xd1, 0xf1, 0xc0, 0xd0, 0x5a, 0xf4, 0x89, 0xd2, 0x2a, 0x1b, 0x2f, 0xc2,
        0x62, 0x29, 0x1d, 0x16, 0x03, 0x25, 0xfb, 0xa4, 0x63, 0x8b, 0xc2, 0x24, 0x22, 0xbf, 0xf4, 0xb1, 0xbe,
        0xec, 0xaf, 0x53, 0x8d, 0xbc, 0x59, 0x4a, 0xee, 0xc1, 0xd3, 0xb1, 0xb0, 0x40, 0xe7, 0x52, 0x46, 0x9b,
        0x5b, 0x57, 0x70, 0x12, 0xf7, 0x52, 0xb6, 0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x58, 0xf2, 0x10, 0x00,
        0x01, 0x89, 0x01, 0x80, 0x50, 0x00, 0x00, 0xf6, 0x20, 0x6f, 0x46, 0x3e, 0x30, 0x0d, 0x8b, 0x02, 0x00,
        0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
    ];

    /// BTF of one type whose record and strings are given.
    fn btf(record: [u32; 4], strings: &[u8]) -> Vec<u8> {
        let len = u32::try_from(strings.len()).expect("small");
        let header = [0x0001_eb9f, 24, 0, 16, 16, len];
        let words = header.into_iter().chain(record);
        words.flat_map(u32::to_le_bytes).chain(strings.iter().copied()).collect()
    }

    fn kernel(path: &Path) -> Result<Kernel, String> {
        let [source] = &found_at(path).map_err(|error| error.to_string())?[..] else {
            return Err("several".to_owned());
        };
        match source.read().map_err(|error| error.to_string())?.target.types {
            KernelTypes::Kernel(kernel) => Ok(Kernel::clone(&kernel)),
            KernelTypes::Own => Err("none".to_owned()),
        }
    }

    #[test]
    fn packed_types_are_unpacked() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("6.1.btf.tar.xz");
        std::fs::write(&path, PACKED_INT).expect("written");
        for path in [&path, directory.path()] {
            assert_eq!(kernel(path).expect("readable").vmlinux.by_name("int").count(), 1);
        }
        let source = &found_at(directory.path()).expect("found")[0];
        assert_eq!(source.label, "6.1");
        assert_eq!(source.read().expect("readable").target.version, KernelVersion::new(6, 1, 0));
        for cut in [6, 40, PACKED_INT.len() - 1] {
            std::fs::write(&path, &PACKED_INT[..cut]).expect("written");
            assert!(kernel(&path).is_err(), "{cut} bytes");
        }
        // Broken ones are refused, or unpack to something.
        for at in 0..PACKED_INT.len() {
            for change in [0x01, 0x10, 0x80, 0xff] {
                let mut broken = PACKED_INT.to_vec();
                broken[at] ^= change;
                std::fs::write(&path, broken).expect("written");
                let _: Result<Kernel, String> = kernel(&path);
            }
        }
        // A dictionary of 4 GiB is not made room for: its size is in the header of the first block.
        let mut huge = PACKED_INT.to_vec();
        huge[16] = 40;
        let sum = crc32(&huge[12..20]);
        huge[20..24].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(&path, huge).expect("written");
        assert!(kernel(&path).expect_err("too large").contains("memory"), "{:?}", kernel(&path));
    }

    /// The checksum of blocks' headers.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8)
                .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    #[test]
    fn modules_go_on_where_the_kernel_ends() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            path
        };
        // An integer `mod`, whose name is the first string after the kernel's five bytes.
        let module = write("thing", &btf([5, 1 << 24, 4, 0x0100_0020], b"mod\0"));
        assert!(kernel(&module).expect_err("the kernel is missing").contains("beside"));
        write("vmlinux", &btf([1, 1 << 24, 4, 0x0100_0020], b"\0int\0"));
        write("notes", b"no types");
        for path in [&module, directory.path()] {
            let kernel = kernel(path).expect("readable");
            let [(name, types)] = &kernel.modules[..] else { panic!("one module") };
            assert_eq!((name.as_str(), types.by_name("mod").count()), ("thing", 1));
        }
    }
}
