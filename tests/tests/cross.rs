//! Code for other machines, run by `qemu-user` beside the interpreter: every row of the ISA table on
//! edge values, and random programs. On big-endian machines programs of both byte orders run.

use brolga_abi::{MapKind, ProgramKind};
use brolga_compiler::isa::{Endianness, NoNames, listing};
use brolga_compiler::program::{LoadOptions, MapId, load};
use brolga_tests::case::Element;
use brolga_tests::edges::{Edges, all};
use brolga_tests::engines::cross::{CrossEngine, MACHINES};
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::oracle::Oracle;
use brolga_tests::engines::{Contents, Engine, Error, Input, Instance, Module, Output};
use brolga_tests::generate::generate;
use brolga_tests::repo;

/// A module, what its maps hold at first, and inputs.
struct Subject {
    name: String,
    module: Module,
    elements: Vec<Element>,
    inputs: Vec<Input>,
}

/// Programs of `raw_memory`, with their memory in a byte order.
fn subjects(order: Endianness) -> Vec<Subject> {
    let edges = all().into_iter().filter_map(|(_, edges)| match edges {
        Edges::Programs(programs) => Some(programs),
        Edges::NotRun(_) => None,
    });
    let edges = edges.flatten().map(|edge| Subject {
        name: edge.row.to_owned(),
        module: edge.module,
        elements: Vec::new(),
        inputs: edge.inputs,
    });
    let random = (0..300).map(|seed| {
        let generated = generate(seed);
        Subject {
            name: format!("seed {seed}"),
            module: generated.module,
            elements: generated.elements,
            inputs: vec![generated.input],
        }
    });
    let mut subjects: Vec<Subject> = edges.chain(random).collect();
    subjects.retain(|subject| subject.module.programs[0].kind == Some(ProgramKind::RawMemory));
    for subject in &mut subjects {
        subject.module.programs.iter_mut().for_each(|program| program.endianness = order);
    }
    subjects
}

/// What a run and the arrays held afterwards.
type Result = std::result::Result<(Vec<Output>, Vec<Contents>), Error>;

fn run(subject: &Subject, instance: std::result::Result<Box<dyn Instance>, Error>) -> Result {
    let mut instance = instance?;
    for (map, key, values) in &subject.elements {
        instance.update(*map, key, values)?;
    }
    let outputs = subject.inputs.iter().map(|input| instance.run(0, input));
    let outputs = outputs.collect::<std::result::Result<_, _>>()?;
    let maps = (0..).map(MapId).zip(subject.module.maps.iter());
    let arrays = maps.filter(|(_, map)| map.kind.known() == Some(MapKind::Array));
    Ok((outputs, arrays.map(|(id, _)| instance.contents(id)).collect::<std::result::Result<_, _>>()?))
}

/// Runs every so many of all subjects on an engine; at least as many as are expected must run.
fn agrees(engine: &dyn Engine, order: Endianness, every: usize, at_least: usize) {
    let subjects: Vec<Subject> = subjects(order).into_iter().step_by(every).collect();
    let modules: Vec<Module> = subjects.iter().map(|subject| subject.module.clone()).collect();
    let (mut failures, mut ran) = (Vec::new(), 0);
    for (subject, instance) in subjects.iter().zip(engine.load_all(&modules)) {
        let found = run(subject, instance);
        if matches!(found, Err(Error::Unsupported(_) | Error::Rejected(_))) {
            continue;
        }
        ran += 1;
        let expected = run(subject, Oracle::default().load(&subject.module));
        if found != expected {
            let program = &subject.module.programs[0];
            let text = listing(&program.insns, &NoNames);
            failures.push(format!("{}: {}\n{text}", subject.name, difference(&found, &expected)));
        }
    }
    let shown = failures.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {ran} on {}:\n{shown}", failures.len(), engine.name());
    assert!(ran >= at_least, "only {ran} of {} ran on {}", subjects.len(), engine.name());
}

/// The first thing in which two results differ.
fn difference(found: &Result, expected: &Result) -> String {
    match (found, expected) {
        (Ok((outputs, arrays)), Ok((expected_outputs, expected_arrays))) => {
            let mut pairs = outputs.iter().zip(expected_outputs).enumerate();
            match pairs.find(|(_, (found, expected))| found != expected) {
                Some((run, (found, expected))) => {
                    format!("in run {run}\n  {found:x?}\n  not {expected:x?}")
                }
                None => format!("arrays hold\n  {arrays:x?}\n  not {expected_arrays:x?}"),
            }
        }
        (found, expected) => format!("{:?}, not {:?}", found.as_ref().err(), expected.as_ref().err()),
    }
}

fn machine(name: &str, order: Endianness, every: usize, at_least: usize) {
    let machine = *MACHINES.iter().find(|machine| machine.name == name).expect("it is listed");
    if let Some(engine) = CrossEngine::or_skip(machine) {
        agrees(&engine, order, every, at_least);
    }
}

#[test]
fn aarch64_agrees() {
    machine("aarch64", Endianness::Little, 1, 1000);
}

#[test]
fn riscv64_agrees() {
    machine("riscv64", Endianness::Little, 1, 1000);
}

#[test]
fn s390x_agrees() {
    machine("s390x", Endianness::Big, 1, 1000);
}

/// A program in C, compiled for both byte orders: what it makes of bytes is the same.
#[test]
fn s390x_runs_big_endian_objects() {
    let machine = *MACHINES.iter().find(|machine| machine.name == "s390x").expect("it is listed");
    let Some(engine) = CrossEngine::or_skip(machine) else { return };
    let module = |name: &str| {
        let path = repo::root().join("tests/cases/programs/load").join(name);
        let bytes = std::fs::read(path).expect("it is checked in");
        let options =
            LoadOptions { kind: Some(ProgramKind::RawMemory), raw_memory_len: 64, ..LoadOptions::default() };
        let object = load(&bytes, &options).expect("it loads");
        Module { maps: object.maps.clone(), programs: object.programs }
    };
    let (big, little) = (module("words.bpfeb.o"), module("words.bpf.o"));
    let mut big = engine.load(&big).expect("it can be run");
    let mut little = Jit::default().load(&little).expect("it can be run");
    for seed in 0..16_u8 {
        let input =
            Input { data: (0..64).map(|at: u8| at.wrapping_mul(37) ^ seed.wrapping_mul(91)).collect() };
        let (big, little) = (big.run(0, &input), little.run(0, &input));
        assert_eq!(big, little, "seed {seed}");
    }
    assert_eq!(big.contents(MapId(1)).expect("`.bss`").len(), 1, "it counts");
}

/// Without maps, a program of the other byte order means the same everywhere.
#[test]
fn s390x_agrees_on_little_endian_programs() {
    machine("s390x", Endianness::Little, 3, 300);
}

#[test]
fn the_host_agrees_on_big_endian_programs() {
    agrees(&Jit::default(), Endianness::Big, 3, 300);
}
