//! What a kernel says of itself besides its types: its configuration, and the addresses of its symbols.
//!
//! Of the kernel that runs, what cannot be read is as if it were not there: objects that need it are told so.

use std::io::Read;
use std::path::{Path, PathBuf};

use brolga_compiler::program::{KernelConfig, KernelSymbols};
use flate2::read::MultiGzDecoder;

use crate::failure::Failure;
use crate::io;

/// How a packed file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Most bytes of a configuration: what is packed must not fill the memory. Real ones have 300 KiB.
const MAX_CONFIG: u64 = 16 << 20;
/// Where a running kernel has its configuration, if it was built so.
const RUNNING: &str = "/proc/config.gz";
/// Where a running kernel has its symbols.
const SYMBOLS: &str = "/proc/kallsyms";

/// Reads a configuration, packed or not.
pub fn read(path: &Path) -> Result<KernelConfig, Failure> {
    let bytes = io::read_up_to(path, MAX_CONFIG)?;
    let text = unpacked(&bytes).map_err(|error| Failure::Read { path: path.to_owned(), error })?;
    Ok(KernelConfig::parse(&String::from_utf8_lossy(&text)))
}

/// The configuration of the kernel that runs, where it can be found as libbpf does.
pub fn running(release: &str) -> Option<KernelConfig> {
    let boot = PathBuf::from(format!("/boot/config-{release}"));
    [boot.as_path(), Path::new(RUNNING)].into_iter().find_map(|path| read(path).ok())
}

/// The symbols of the kernel that runs.
pub fn symbols() -> Option<KernelSymbols> {
    let bytes = io::read(Path::new(SYMBOLS)).ok()?;
    Some(KernelSymbols::parse(&String::from_utf8_lossy(&bytes)))
}

fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes.to_vec());
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).take(MAX_CONFIG + 1).read_to_end(&mut text)?;
    match text.len() as u64 > MAX_CONFIG {
        true => Err(std::io::Error::other(format!("it unpacks to more than {} MiB", MAX_CONFIG >> 20))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("into memory")
    }

    #[test]
    fn configurations_are_read_packed_or_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config");
        let text = b"CONFIG_HZ=250\n# CONFIG_X is not set\n";
        for bytes in [text.to_vec(), packed(text)] {
            std::fs::write(&path, &bytes).expect("written");
            assert_eq!(read(&path).expect("readable").get("CONFIG_HZ"), Some("250"));
        }
        std::fs::write(&path, &packed(text)[..20]).expect("written");
        assert!(read(&path).is_err(), "cut");
        let large = vec![b'#'; (MAX_CONFIG + 1) as usize];
        for (bytes, message) in
            [(packed(&large), "unpacks to more than 16 MiB"), (large, "has more than 16 MiB")]
        {
            std::fs::write(&path, bytes).expect("written");
            let failure = read(&path).expect_err("too large").to_string();
            assert!(failure.contains(message), "{failure}");
        }
        #[cfg(unix)]
        assert!(
            read(Path::new("/dev/zero")).expect_err("endless").to_string().contains("has more than 16 MiB")
        );
        assert!(read(&directory.path().join("none")).is_err());
    }
}
