//! The kernel's labelled selftests: verdicts are those of the labels, and programs return what theirs say.
//!
//! `brolga-tests --bin labels` prints the differences. Programs whose verdict is known to differ stand in
//! `tests/labels/known.txt`.

use brolga_abi::ProgramKind;
use brolga_compiler::program::{LoadOptions, MapId, Object, Program, load};
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::oracle::Oracle;
use brolga_tests::engines::{Engine, Error, Input, Module};
use brolga_tests::labels::{DATA_LEN, Labels, Verdict, judge, known, labels};
use brolga_tests::objects::{self, or_skip};
use brolga_tests::running;
use brolga_tests::selftests::Cpu;

/// The objects whose programs are labelled, all of them, by name.
fn labelled(cpu: Cpu) -> Option<Vec<(String, Object)>> {
    let files = or_skip("the selftests", objects::selftests(cpu))?;
    let target = or_skip("the running kernel's types", running::target())?;
    let options = LoadOptions { target, ..LoadOptions::default() };
    let stem = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let verifier = files.into_iter().filter(|file| stem(&file.name).starts_with("verifier_"));
    Some(
        verifier
            .map(|file| {
                let object = load(&file.bytes, &options);
                (stem(&file.name), object.unwrap_or_else(|error| panic!("{}: {error}", file.name)))
            })
            .collect(),
    )
}

/// Programs with labels that hold here.
fn programs(objects: &[(String, Object)]) -> impl Iterator<Item = (String, &Object, &Program, Labels)> {
    objects.iter().flat_map(|(stem, object)| {
        let all = object.btf.as_deref().map(labels).unwrap_or_default();
        object.programs.iter().filter_map(move |program| {
            let label = all.get(&program.name).filter(|label| label.apply())?;
            Some((format!("{stem}: {}", program.name), object, program, label.clone()))
        })
    })
}

fn verdicts_are_those_of_labels(cpu: Cpu) {
    let Some(objects) = labelled(cpu) else { return };
    let known = known();
    let (mut agree, mut all, mut differences) = (0, 0, Vec::new());
    for (what, _, program, label) in programs(&objects) {
        all += 1;
        match judge(program, &label) {
            Verdict::Agrees => agree += 1,
            verdict if known.contains_key(&what) => println!("{what}: {verdict:?}, as is known"),
            verdict => differences.push(format!("{what}: {verdict:?}")),
        }
    }
    println!("{agree} of {all} agree");
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(all > 1300 && agree * 100 >= all * 99, "{agree} of {all} agree");
}

#[test]
fn verdicts_at_v3() {
    verdicts_are_those_of_labels(Cpu::V3);
}

#[test]
fn verdicts_at_v4() {
    verdicts_are_those_of_labels(Cpu::V4);
}

/// Maps into whose first element the tests' loader writes before it runs programs.
const FILLED: &[(&str, &str)] =
    &[("verifier_array_access", "map_array_ro"), ("verifier_value_ptr_arith", "map_array_48b")];

/// What it writes: an index, 28, and the word 0xabcdef12 at that offset.
fn filled_value() -> Vec<u8> {
    let mut words = [0_u32; 12];
    (words[0], words[7]) = (28, 0xabcd_ef12);
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A program and those that it may tail-call.
fn module(object: &Object, program: &Program) -> Module {
    let called = |p: &&Program| {
        let mut targets = program.maps.iter().flat_map(|map| &map.initial_programs);
        p.name != program.name && targets.any(|(_, name)| *name == p.name)
    };
    let targets = object.programs.iter().filter(called).cloned();
    Module { programs: std::iter::once(program.clone()).chain(targets).collect(), maps: program.maps.clone() }
}

fn run(what: &str, engine: &dyn Engine, module: &Module) -> Result<u64, Error> {
    let mut instance = engine.load(module)?;
    let filled = FILLED.iter().filter(|(object, _)| what.split(':').next() == Some(object));
    for (_, name) in filled {
        let map = (0..).map(MapId).zip(module.maps.iter()).find(|(_, map)| map.name == *name);
        let (map, _) = map.unwrap_or_else(|| panic!("{what}: no map {name}"));
        instance.update(map, &0_u32.to_le_bytes(), &[filled_value()])?;
    }
    instance.run(0, &Input { data: vec![0; DATA_LEN as usize] }).map(|output| output.ret)
}

fn programs_return_what_labels_say(cpu: Cpu) {
    let Some(objects) = labelled(cpu) else { return };
    let (mut ran, mut xdp) = (0, 0);
    let (mut not_run, mut wrong) = (Vec::new(), Vec::new());
    for (what, object, program, label) in programs(&objects) {
        let (true, Some(expected)) = (label.success, label.retval) else { continue };
        if program.kind.and_then(ProgramKind::native).is_none() {
            not_run.push(format!("{what}: {:?}", program.kind));
            continue;
        }
        if judge(program, &label) != Verdict::Agrees {
            continue;
        }
        let is_xdp = program.kind == Some(ProgramKind::Xdp);
        let module = module(object, program);
        for engine in [&Jit::default() as &dyn Engine, &Oracle::default()] {
            let name = engine.name();
            match run(&what, engine, &module) {
                Ok(returned) => {
                    // Linux returns 32 bits.
                    let returned = returned & 0xffff_ffff;
                    if returned != u64::from(expected) {
                        wrong.push(format!("{what}, {name}: {returned:#x} instead of {expected:#x}"));
                    }
                    ran += 1;
                    xdp += usize::from(is_xdp);
                }
                // What one engine cannot run is not asked of the other.
                Err(error @ (Error::Unsupported(_) | Error::Rejected(_))) => {
                    let text = format!("{what}, {name}: {error}");
                    // XDP programs run as far as their maps and helpers exist.
                    if is_xdp && !text.contains("[unsupported-map-kind]") {
                        wrong.push(text.clone());
                    }
                    not_run.push(text);
                    break;
                }
                Err(Error::Fault(fault)) if !fault.is_unsafe() => {
                    not_run.push(format!("{what}, {name}: {fault}"));
                }
                Err(error) => wrong.push(format!("{what}, {name}: {error}")),
            }
        }
    }
    not_run.sort();
    println!("{ran} runs, {xdp} of them of XDP programs; not run: {not_run:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(ran > 700 && xdp > 100, "{ran} runs, {xdp} of them of XDP programs");
}

#[test]
fn return_values_at_v3() {
    programs_return_what_labels_say(Cpu::V3);
}

#[test]
fn return_values_at_v4() {
    programs_return_what_labels_say(Cpu::V4);
}
