//! What an object is loaded for: a kernel's types, configuration, version and symbols.
//!
//! Loading reads nothing from the machine: whoever has files hands their contents in. Without a
//! kernel, an object is loaded for Brolga's own runtime ([`KernelTypes::Own`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::btf::Btf;

/// What an object is loaded for.
///
/// Cheap to clone: one kernel's types serve many objects and threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The types that CO-RE relocations, typed externs and kernel functions are resolved against.
    pub types: KernelTypes,
    /// The kernel's configuration, for `__kconfig` externs; `None` where it is not known.
    pub config: Option<Arc<KernelConfig>>,
    /// The kernel's version, the value of `LINUX_KERNEL_VERSION`.
    pub version: KernelVersion,
    /// Addresses of the kernel's symbols, for untyped `__ksym` externs; `None` where not known.
    pub symbols: Option<Arc<KernelSymbols>>,
}

/// Where the types of the kernel come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KernelTypes {
    /// No kernel is given: the object's own types stand for the kernel's, as they do for programs
    /// that Brolga runs itself. A type with a flavour (`task_struct___old`) counts as missing.
    #[default]
    Own,
    /// A kernel and its modules.
    Kernel(Arc<Kernel>),
}

/// The types of a kernel and of its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The kernel's types.
    pub vmlinux: Arc<Btf>,
    /// The types of modules by name, each split over those of the kernel.
    pub modules: Vec<(String, Arc<Btf>)>,
}

impl From<Arc<Btf>> for KernelTypes {
    fn from(vmlinux: Arc<Btf>) -> Self {
        Self::Kernel(Arc::new(Kernel { vmlinux, modules: Vec::new() }))
    }
}

/// A version as `KERNEL_VERSION(major, minor, patch)` encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelVersion(pub u32);

impl KernelVersion {
    /// A version by its parts. As in Linux, patch levels above 255 count as 255.
    #[must_use]
    pub const fn new(major: u8, minor: u8, patch: u16) -> Self {
        let patch = if patch > 255 { 255 } else { patch as u32 };
        Self((major as u32) << 16 | (minor as u32) << 8 | patch)
    }

    /// The version at the start of a release such as `6.12.57+deb13-amd64`.
    #[must_use]
    pub fn parse(release: &str) -> Option<Self> {
        let end = release.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(release.len());
        let mut parts = release[..end].split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().and_then(|patch| patch.parse().ok()).unwrap_or(0);
        Some(Self::new(major, minor, patch))
    }
}

impl Default for KernelVersion {
    /// 6.18.0: the kernel whose verifier Brolga follows.
    fn default() -> Self {
        Self::new(6, 18, 0)
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [patch, minor, major, _] = self.0.to_le_bytes();
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// A kernel's configuration, as `/proc/config.gz` holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelConfig {
    values: BTreeMap<String, String>,
}

impl KernelConfig {
    /// Reads the lines `CONFIG_NAME=value`; all others, and values that are empty, are passed over.
    /// Of several lines with one name the first counts, as with libbpf.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| line.starts_with("CONFIG_"));
        let pairs = lines.filter_map(|line| line.split_once('=')).filter(|(_, value)| !value.is_empty());
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            values.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        Self { values }
    }

    /// The value of an option as it is written: `y`, `m`, `n`, a number, or a string in quotes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

/// Addresses of a kernel's symbols, as `/proc/kallsyms` holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSymbols {
    addresses: BTreeMap<String, u64>,
    /// Names of several symbols with different addresses.
    ambiguous: BTreeSet<String>,
}

impl KernelSymbols {
    /// Reads the lines `address type name`; what is no such line is passed over. What
    /// clang appends to static variables with link-time optimisation (`.llvm.1234`) is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut symbols = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let Ok(address) = u64::from_str_radix(address, 16) else { continue };
            let name = match name.find(".llvm.") {
                Some(end) if kind == "d" => &name[..end],
                _ => name,
            };
            match symbols.addresses.get(name) {
                None => drop(symbols.addresses.insert(name.to_owned(), address)),
                Some(&first) if first != address => drop(symbols.ambiguous.insert(name.to_owned())),
                Some(_) => {}
            }
        }
        symbols
    }

    /// Whether several symbols have a name, at different addresses.
    #[must_use]
    pub fn is_ambiguous(&self, name: &str) -> bool {
        self.ambiguous.contains(name)
    }

    /// A symbol's address; the first, where several have the name.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        self.addresses.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases() {
        assert_eq!(KernelVersion::parse("6.12.57+deb13-amd64"), Some(KernelVersion::new(6, 12, 57)));
        assert_eq!(KernelVersion::parse("5.4.300"), Some(KernelVersion(5 << 16 | 4 << 8 | 255)));
        assert_eq!(KernelVersion::parse("6.18-rc1"), Some(KernelVersion::new(6, 18, 0)));
        assert_eq!(KernelVersion::parse("linux"), None);
    }

    #[test]
    fn config_lines() {
        let config =
            KernelConfig::parse("# CONFIG_A is not set\nCONFIG_HZ=250\nCONFIG_B=\"x=y\"\nCONFIG_C=\n");
        assert_eq!(config.get("CONFIG_HZ"), Some("250"));
        assert_eq!(config.get("CONFIG_B"), Some("\"x=y\""));
        assert_eq!((config.get("CONFIG_A"), config.get("CONFIG_C")), (None, None));
    }

    #[test]
    fn symbol_lines() {
        let symbols =
            KernelSymbols::parse("ffff800000001000 T start\nnonsense\nffff800000002000 t mod\t[m]\n");
        assert_eq!(symbols.address("start"), Some(0xffff_8000_0000_1000));
        assert_eq!(symbols.address("mod"), Some(0xffff_8000_0000_2000));
        assert_eq!(symbols.address("nonsense"), None);
    }
}
