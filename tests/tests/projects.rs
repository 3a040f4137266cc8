//! The example projects build and do what they say: the in-process API, a build script, and C.
//!
//! Each is a project of its own, outside of the workspace. Cargo is called without a network: all
//! that they depend on, this workspace does too.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use brolga_tests::repo;

/// Where the projects are built: beside the tests' own temporary files, so that a second run is short.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects")
}

fn cargo(dir: &Path, args: &[&str]) -> Output {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo)
        .args(args)
        .arg("--offline")
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", target())
        // What a test runner sets for this package is not meant for another one.
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .expect("cargo runs tests, so it can be run")
}

/// What a command printed, if it succeeded.
fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_host_compiles_in_process() {
    let output = cargo(&repo::root().join("examples/embed"), &["run", "--quiet"]);
    assert_eq!(printed(&output), "before: XDP_PASS\nblocked: 3 packets, 162 bytes\n");
}

#[test]
fn a_build_script_compiles_ahead_of_time() {
    let output = cargo(&repo::root().join("examples/build-rs"), &["run", "--quiet"]);
    assert_eq!(printed(&output), "before: XDP_PASS\nafter: XDP_DROP\nblocked: 1 packets, 60 bytes\n");
    let binary = std::fs::read(target().join("debug/build-rs")).expect("it was just built");
    let holds = |text: &str| binary.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("brolga_runtime"), "names of functions can be found in the binary");
    assert!(!holds("cranelift"), "no compiler is in the binary");
}

#[test]
fn a_c_program_links_what_was_compiled_ahead_of_time() {
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    if Command::new(&cc).arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "`{cc}` is missing, and CI must have it");
        eprintln!("skipped: `{cc}` is missing");
        return;
    }
    // Of this workspace, and so built already in most cases.
    let built = |package: &str, file: &str| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--message-format=json", "-p", package])
            .current_dir(repo::root())
            .output()
            .expect("cargo runs tests, so it can be run");
        let text = printed(&output);
        let is_it = |path: &Path| path.is_absolute() && path.is_file() && path.ends_with(file);
        let path = text.split('"').find(|part| is_it(Path::new(part)));
        PathBuf::from(path.unwrap_or_else(|| panic!("cargo names no {file}")))
    };
    let out = tempfile::tempdir().expect("a directory");
    let output = Command::new(repo::root().join("examples/c/build.sh"))
        .arg(out.path())
        .env("BROLGA", built("brolga", "brolga"))
        .env("RUNTIME", built("brolga-runtime-c", "libbrolga_runtime_c.a"))
        .env("CC", cc)
        .output()
        .expect("a shell");
    printed(&output);
    let run = Command::new(out.path().join("firewall")).output().expect("it was just linked");
    assert_eq!(printed(&run), "before: 2\nafter: 1\nblocked: 1 packets, 60 bytes\n");
}
