//! Objects of other compilers than the one that made the checked-in ones, and objects that other
//! tools have worked on: they load, and on every packet of the capture they do the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use brolga_abi::ProgramKind;
use brolga_compiler::options::CodeOptions;
use brolga_compiler::pipeline::{ModuleInfo, Unit, compile_object};
use brolga_compiler::program::{LoadOptions, MapId, Object, load};
use brolga_compiler::verify::{Options, verify};
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::{Contents, Engine, Error, Input, Module, Output};
use brolga_tests::{capture, repo};

/// Sources: examples, and of the benches those that do something else than compute.
const SOURCES: &[&str] = &[
    "examples/balancer",
    "examples/dispatch",
    "examples/firewall",
    "examples/protocols",
    "tests/cases/programs/load/functions",
    "tests/cases/programs/load/globals",
    "benches/programs/compute_divide",
    "benches/programs/map_globals",
    "benches/programs/map_percpu",
    "benches/programs/packet_nat",
    "benches/programs/packet_parse",
];

/// Packets on which programs run.
fn packets() -> Vec<Input> {
    let frames = capture::frames().into_iter().map(|frame| frame.bytes);
    frames.filter(|f| (14..=1514).contains(&f.len())).take(60).map(|data| Input { data }).collect()
}

/// Whether a tool is there, which CI demands.
fn is_there(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "CI needs `{tool}`");
    if !found {
        eprintln!("skipped: there is no `{tool}`");
    }
    found
}

/// Where a source's object lies that is checked in.
fn checked_in(source: &str) -> PathBuf {
    repo::root().join(format!("{source}.bpf.o"))
}

/// What the programs of an object did.
#[derive(PartialEq, Eq)]
struct Behaviour {
    /// By program: the result of each packet.
    outputs: BTreeMap<String, Vec<Output>>,
    /// What maps hold in the end. Global data is left out: compilers lay it out as they like.
    maps: BTreeMap<String, Contents>,
}

fn open(path: &Path) -> Object {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    load(&bytes, &LoadOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs all XDP programs of an object.
fn behaviour(path: &Path) -> Result<Behaviour, Error> {
    let object = open(path);
    let is_xdp = |kind| kind == Some(ProgramKind::Xdp);
    let programs: Vec<_> = object.programs.iter().filter(|p| is_xdp(p.kind)).cloned().collect();
    let module = Module { programs, maps: object.maps.clone() };
    let mut instance = Jit::default().load(&module)?;
    let mut outputs = BTreeMap::new();
    for (at, program) in module.programs.iter().enumerate() {
        let runs: Result<Vec<_>, _> = packets().iter().map(|input| instance.run(at, input)).collect();
        outputs.insert(program.name.clone(), runs?);
    }
    let maps = (0..).map(MapId).zip(module.maps.iter()).filter(|(_, map)| map.global.is_none());
    let maps = maps.map(|(id, map)| Ok((map.name.clone(), instance.contents(id)?)));
    Ok(Behaviour { outputs, maps: maps.collect::<Result<_, Error>>()? })
}

/// Compares objects made of the checked-in ones, or of their sources, with these. What cannot be made,
/// and what the verifier refuses (as Linux does), is left out, but not of more than half of them.
fn same(what: &str, at_least: usize, make: impl Fn(&str, &Path) -> bool) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut compared = 0;
    for source in SOURCES {
        let made = folder.path().join("made.o");
        if !make(source, &made) {
            continue;
        }
        let found = match behaviour(&made) {
            Ok(found) => found,
            Err(Error::Rejected(why) | Error::Unsupported(why)) => {
                eprintln!("{what}: {source}: {why}");
                continue;
            }
            Err(error) => panic!("{what}: {source}: {error}"),
        };
        let expected = behaviour(&checked_in(source)).expect("the checked-in objects run");
        for (program, outputs) in &expected.outputs {
            let found = &found.outputs[program];
            let differs = (0..outputs.len()).find(|at| found[*at] != outputs[*at]);
            if let Some(at) = differs {
                panic!(
                    "{what}: {source}: `{program}` on packet {at}: {:x?}, not {:x?}",
                    found[at], outputs[at]
                );
            }
        }
        assert!(found.maps == expected.maps, "{what}: {source}: the maps differ");
        compared += 1;
    }
    assert!(compared >= at_least, "{what}: only {compared} objects were compared");
}

/// Compiles with a compiler and its arguments.
fn compiler(compiler: &str, args: &[&str], at_least: usize) {
    if !is_there(compiler) {
        return;
    }
    same(&format!("{compiler} {}", args.join(" ")), at_least, |source, object| {
        let output = Command::new(compiler)
            .current_dir(repo::root())
            .args(["-O2", "-I", "examples/include", "-c"])
            .args(args)
            .arg(format!("{source}.bpf.c"))
            .arg("-o")
            .arg(object)
            .output();
        output.expect("it is there").status.success()
    });
}

#[test]
fn clang_13() {
    compiler("clang-13", &["--target=bpf", "-g", "-mcpu=v3"], 11);
}

#[test]
fn clang_16() {
    compiler("clang-16", &["--target=bpf", "-g", "-mcpu=v2"], 11);
}

#[test]
fn clang_19() {
    compiler("clang-19", &["--target=bpf", "-g", "-mcpu=v1"], 9);
    compiler("clang-19", &["--target=bpf", "-g", "-mcpu=v4", "-ffunction-sections"], 11);
}

#[test]
fn clang_22() {
    // Clang 22 leaves out a bounds check of `protocols`, which Linux then misses too.
    compiler("clang-22", &["--target=bpf", "-g", "-mcpu=v4"], 10);
}

/// Big-endian objects are judged as little-endian ones are, and compiled for a machine of their order.
#[test]
fn big_endian() {
    if !is_there("clang-19") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let made = folder.path().join("made.o");
    let target = "s390x-unknown-linux-gnu".parse().expect("a triple");
    let options = CodeOptions { target, ..CodeOptions::default() };
    for source in SOURCES {
        let status = Command::new("clang-19")
            .current_dir(repo::root())
            .args(["--target=bpfeb", "-mcpu=v3", "-O2", "-g", "-I", "examples/include", "-c"])
            .arg(format!("{source}.bpf.c"))
            .arg("-o")
            .arg(&made)
            .status();
        assert!(status.expect("it is there").success(), "{source}");
        let (big, little) = (open(&made), open(&checked_in(source)));
        assert_eq!(big.programs.len(), little.programs.len(), "{source}");
        let proofs: Vec<_> = big.programs.iter().map(|p| verify(p, &Options::default())).collect();
        let units = big.programs.iter().zip(&proofs);
        let units: Vec<_> = units
            .filter_map(|(program, proof)| Some(Unit { program, facts: &proof.as_ref().ok()?.facts }))
            .collect();
        let accepted = little.programs.iter().filter(|p| verify(p, &Options::default()).is_ok());
        assert_eq!(units.len(), accepted.count(), "{source}: {:?}", proofs.iter().find(|p| p.is_err()));
        let module = ModuleInfo { name: "big", license: &big.license, maps: &big.maps };
        compile_object(&module, &units, &options).unwrap_or_else(|error| panic!("{source}: {error}"));
    }
}

/// It calls no helpers by constant pointers, so that few sources compile.
#[test]
fn gcc() {
    compiler("bpf-gcc", &["-gbtf", "-mcpu=v3"], 3);
}

/// Runs a tool on checked-in objects.
fn tool(name: &str, args: &[&str], at_least: usize, takes: fn(&Path) -> bool) {
    if !is_there(name) {
        return;
    }
    same(&format!("{name} {}", args.join(" ")), at_least, |source, object| {
        let mut command = Command::new(name);
        for arg in args {
            match *arg {
                "IN" => command.arg(checked_in(source)),
                "OUT" => command.arg(object),
                arg => command.arg(arg),
            };
        }
        takes(&checked_in(source)) && command.output().expect("it is there").status.success()
    });
}

#[test]
fn stripped() {
    tool("llvm-strip-19", &["-g", "IN", "-o", "OUT"], 11, |_| true);
}

/// Maps of `.maps` are defined by BTF, but global data has its symbols.
#[test]
fn without_btf() {
    let args = ["-R", ".BTF", "-R", ".BTF.ext", "-R", ".rel.BTF", "-R", ".rel.BTF.ext", "IN", "OUT"];
    tool("llvm-objcopy-19", &args, 4, |object| open(object).maps.iter().all(|map| map.global.is_some()));
}

#[test]
fn linked_by_bpftool() {
    tool("bpftool", &["gen", "object", "OUT", "IN"], 11, |_| true);
}
