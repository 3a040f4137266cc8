//! Objects made again from the sources beside them, to see that what is checked in is what they make.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A directory of what `build.sh` in `directory` makes; `None`, after saying so, where clang is not installed.
/// `CLANG` names another one than clang 19.
///
/// # Panics
///
/// Where the script fails, or clang is missing and `CI` is set.
#[must_use]
pub fn rebuilt(directory: &Path) -> Option<TempDir> {
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang-19".to_owned());
    if Command::new(&clang).arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "`{clang}` is missing, and CI must have it");
        eprintln!("skipped: `{clang}` is not installed");
        return None;
    }
    let made = tempfile::tempdir().expect("a temporary directory");
    let status = Command::new(directory.join("build.sh")).arg(made.path()).env("CLANG", &clang).status();
    assert!(status.expect("the script runs").success(), "build.sh of {} failed", directory.display());
    Some(made)
}
