//! The example projects build and do what they say: the in-process API, a build script, and C.
//!
//! Each is a project of its own, outside of the workspace. Cargo is called without a network: all
//! that they depend on, this workspace does too.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use brolga_runtime::{Instance, Packet, Runtime, jit};
use brolga_tests::{capture, repo};

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

    let frames: Vec<_> = capture::frames().into_iter().map(|frame| frame.bytes).collect();
    let verdicts = verdicts_of(&target().join("debug/build-rs"), &frames);
    assert_eq!(verdicts, jit_verdicts(&repo::root().join("examples/firewall.bpf.o"), &frames));
}

/// What the project prints of each frame.
fn verdicts_of(program: &Path, frames: &[Vec<u8>]) -> Vec<String> {
    let mut input = Vec::new();
    for frame in frames {
        input.extend(u32::try_from(frame.len()).expect("frames are short").to_le_bytes());
        input.extend(frame);
    }
    let mut child = Command::new(program)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was just built");
    child.stdin.take().expect("a pipe").write_all(&input).expect("it reads all before it prints");
    let output = child.wait_with_output().expect("it ends");
    printed(&output).lines().map(str::to_owned).collect()
}

/// The same verdicts, of code that is made in this process.
fn jit_verdicts(object: &Path, frames: &[Vec<u8>]) -> Vec<String> {
    let object = std::fs::read(object).expect("it is in the repository");
    let module = jit::load(&object, &jit::Options::default()).expect("it is accepted").module;
    let runtime = Runtime::default();
    let instance = Instance::new(&runtime, &module).expect("its maps are small");
    let program = instance.program("firewall").expect("it has this program");
    let mut worker = runtime.worker().expect("nobody else has one");
    let mut run = |frame: &Vec<u8>| program.run_xdp(&mut worker, &mut Packet::new(frame));
    frames.iter().map(|frame| run(frame).expect("it does not trap").to_string()).collect()
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
    assert_eq!(printed(&run), "before: 2\nafter: 1\nblocked: 1 packets, 60 bytes\nrated: 1\n");
}
