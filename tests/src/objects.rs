//! Objects that others wrote, where a machine has them: Debian's `xdp-tools` and `libbpf-tools`.
//!
//! Reads what is installed and installs nothing. Where a package is missing, the reason is returned;
//! whether that is a failure is for the caller to say ([`or_skip`]).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::selftests;

/// An object file.
#[derive(Clone, Debug)]
pub struct ObjectFile {
    /// Collection and file: `libbpf-tools/biolatency`.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// `e_machine` of BPF.
const EM_BPF: u16 = 247;

/// A section that takes no room in the file.
const SHT_NOBITS: u32 = 8;

/// Objects of `xdp-tools` and `libxdp1`, as files.
///
/// # Errors
///
/// Why there are none.
pub fn xdp_tools() -> Result<Vec<ObjectFile>, String> {
    let mut files = installed("libxdp1")?;
    files.extend(installed("xdp-tools")?);
    let objects = files.iter().filter(|path| path.extension().is_some_and(|e| e == "o"));
    objects.map(|path| Ok(ObjectFile { name: name("xdp-tools", path), bytes: read(path)? })).collect()
}

/// Objects of `libbpf-tools`, each of which lies within a tool's data.
///
/// # Errors
///
/// Why there are none.
pub fn libbpf_tools() -> Result<Vec<ObjectFile>, String> {
    let mut found = Vec::new();
    for path in installed("libbpf-tools")? {
        if path.parent().is_some_and(|p| p.ends_with("sbin") || p.ends_with("bin")) && !path.is_symlink() {
            let bytes = read(&path)?;
            let name = name("libbpf-tools", &path);
            found
                .extend(embedded(&bytes).map(|bytes| ObjectFile { name: name.clone(), bytes: bytes.into() }));
        }
    }
    Ok(found)
}

/// Selftests as [`selftests::objects`] compiled them.
///
/// # Errors
///
/// Why there are none.
pub fn selftests(cpu: selftests::Cpu) -> Result<Vec<ObjectFile>, String> {
    let built = selftests::objects(cpu)?;
    let collection = format!("selftests-{}", cpu.name());
    let paths = built.objects.iter();
    paths.map(|path| Ok(ObjectFile { name: name(&collection, path), bytes: read(path)? })).collect()
}

/// The value, or `None` after saying why there is none.
///
/// # Panics
///
/// Under `CI=true`, where everything must be there.
pub fn or_skip<T>(what: &str, value: Result<T, String>) -> Option<T> {
    match value {
        Ok(value) => Some(value),
        Err(why) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs {what}: {why}");
            eprintln!("skipped: {what}: {why}");
            None
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn name(collection: &str, path: &Path) -> String {
    format!("{collection}/{}", path.file_stem().unwrap_or_default().to_string_lossy())
}

/// Files of a Debian package.
fn installed(package: &str) -> Result<BTreeSet<PathBuf>, String> {
    let output = Command::new("dpkg").args(["-L", package]).output().map_err(|e| format!("dpkg: {e}"))?;
    if !output.status.success() {
        return Err(format!("the package {package} is not installed"));
    }
    let files = String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect::<Vec<_>>();
    Ok(files.into_iter().filter(|path| path.is_file()).collect())
}

/// BPF objects within a file, each as long as its section headers say.
fn embedded(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
    let starts = find_all(bytes, MAGIC).filter(|at| *at > 0);
    starts.filter_map(|at| {
        let image = &bytes[at..];
        (u16_at(image, 18)? == EM_BPF).then_some(())?;
        image.get(..length(image)?)
    })
}

fn find_all<'a>(bytes: &'a [u8], what: &'static [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(what.len()).enumerate().filter(move |(_, found)| *found == what).map(|(at, _)| at)
}

/// How long an ELF image is: up to the end of its sections and of their headers.
fn length(image: &[u8]) -> Option<usize> {
    let headers = usize::try_from(u64_at(image, 40)?).ok()?;
    let (size, count) = (usize::from(u16_at(image, 58)?), usize::from(u16_at(image, 60)?));
    let mut end = headers.checked_add(size * count)?;
    for at in 0..count {
        let header = image.get(headers + at * size..)?;
        if u32_at(header, 4)? != SHT_NOBITS {
            end = end.max(usize::try_from(u64_at(header, 24)?.checked_add(u64_at(header, 32)?)?).ok()?);
        }
    }
    Some(end)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
