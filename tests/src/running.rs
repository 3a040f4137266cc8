//! The running kernel as the target that objects are loaded for.
//!
//! Reads its types, configuration, version and symbols from where it shows them; it could be wrong in a container
//! that shows another kernel's files.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use brolga_compiler::btf::Btf;
use brolga_compiler::program::{Kernel, KernelConfig, KernelSymbols, KernelTypes, KernelVersion, Target};

/// Types of the kernel (`vmlinux`) and of its modules.
const TYPES: &str = "/sys/kernel/btf";

/// The running kernel.
///
/// # Errors
///
/// Where its types, configuration or symbols cannot be read.
pub fn target() -> Result<Target, String> {
    let release = read("/proc/sys/kernel/osrelease")?;
    let release = release.trim();
    let version = KernelVersion::parse(release).ok_or_else(|| format!("release {release}"))?;
    Ok(Target {
        types: KernelTypes::Kernel(Arc::new(types()?)),
        config: Some(Arc::new(KernelConfig::parse(&config(release)?))),
        version,
        symbols: Some(Arc::new(KernelSymbols::parse(&read("/proc/kallsyms")?))),
    })
}

fn types() -> Result<Kernel, String> {
    let bytes = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let vmlinux = bytes(&Path::new(TYPES).join("vmlinux"))?;
    let vmlinux = Btf::parse_owned(vmlinux).map_err(|error| format!("vmlinux: {error}"))?;
    let vmlinux = Arc::new(vmlinux);
    let mut modules = Vec::new();
    for entry in fs::read_dir(TYPES).map_err(|error| format!("{TYPES}: {error}"))? {
        let path = entry.map_err(|error| format!("{TYPES}: {error}"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != "vmlinux" {
            let module = Btf::parse_split(&bytes(&path)?, Arc::clone(&vmlinux));
            modules.push((name.clone(), Arc::new(module.map_err(|error| format!("{name}: {error}"))?)));
        }
    }
    modules.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Kernel { vmlinux, modules })
}

/// From `/boot` as libbpf does, else from the kernel itself.
fn config(release: &str) -> Result<String, String> {
    if let Ok(text) = fs::read_to_string(format!("/boot/config-{release}")) {
        return Ok(text);
    }
    let output =
        Command::new("gzip").args(["-dc", "/proc/config.gz"]).output().map_err(|e| format!("gzip: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("/proc/config.gz: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
