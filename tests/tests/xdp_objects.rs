//! XDP objects as distributions ship them, and the examples: on every packet of the capture the
//! interpreter, compiled code and Linux return the same, leave the same packet and the same maps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use brolga_abi::{MapKind, ProgramKind};
use brolga_compiler::diag::Severity;
use brolga_compiler::program::{LoadOptions, MapDef, MapId, Object, Program, load};
use brolga_compiler::verify::{self, Options};
use brolga_tests::case::{Element, to_hex};
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::kernel::Kernel;
use brolga_tests::engines::object::ObjectEngine;
use brolga_tests::engines::oracle::Oracle;
use brolga_tests::engines::{Engine, Error, Input, Instance, Module};
use brolga_tests::runner::{Outcome, map_id};
use brolga_tests::{capture, repo};

/// Where Debian's `libxdp1` and `xdp-tools` put their objects.
const XDP_TOOLS: &str = "/usr/lib/x86_64-linux-gnu/bpf";

/// The map of `firewall.bpf.o` whose values begin with the time of a run.
const HAS_TIME: &str = "last_drop";

/// Packets that `BPF_PROG_TEST_RUN` takes.
fn packets() -> Vec<Input> {
    let frames = capture::frames().into_iter().map(|frame| frame.bytes);
    let taken: Vec<_> =
        frames.filter(|f| (14..=3520).contains(&f.len())).map(|data| Input { data }).collect();
    assert!(taken.len() > 50, "the capture has packets");
    taken
}

fn open(path: &Path) -> Object {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    load(&bytes, &LoadOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn packaged(name: &str) -> Option<PathBuf> {
    let path = Path::new(XDP_TOOLS).join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs xdp-tools and libxdp1: {name}");
    eprintln!("skipped: {name} of xdp-tools or libxdp1 is not installed");
    None
}

/// The XDP programs of an object, all of which must be accepted.
fn module(object: &Object) -> Module {
    let xdp = |p: &&Program| p.autoload && p.kind == Some(ProgramKind::Xdp);
    let programs: Vec<_> = object.programs.iter().filter(xdp).cloned().collect();
    for program in &programs {
        if let Err(rejection) = verify::verify(program, &Options::default()) {
            panic!("{} is refused: {:?}", program.name, rejection.diagnostics);
        }
    }
    assert!(!programs.is_empty(), "the object has XDP programs");
    Module { programs, maps: object.maps.clone() }
}

/// Elements that make filters look: every other packet's addresses and ports, under every key size.
fn elements(maps: &[MapDef], packets: &[Input]) -> Vec<Element> {
    let mut elements = Vec::new();
    for (map, def) in (0..).map(MapId).zip(maps) {
        if def.global.is_some() {
            continue;
        }
        let mut value = vec![0; def.value_size as usize];
        if let Some(first) = value.first_mut() {
            *first = 0x0f;
        }
        let (per_cpu, keys) = match def.kind.known() {
            Some(MapKind::Hash) => (false, keys(def.key_size as usize, packets)),
            Some(MapKind::PerCpuHash) => (true, keys(def.key_size as usize, packets)),
            Some(MapKind::Array) => (false, ports(def, packets)),
            Some(MapKind::PerCpuArray) => (true, ports(def, packets)),
            Some(MapKind::ProgArray) | None => continue,
        };
        let values = if per_cpu { vec![value.clone(), value] } else { vec![value] };
        elements.extend(keys.into_iter().take(def.max_entries as usize).map(|k| (map, k, values.clone())));
    }
    elements
}

fn keys(size: usize, packets: &[Input]) -> Vec<Vec<u8>> {
    let places: &[usize] = match size {
        4 => &[26, 30],
        6 => &[0, 6],
        16 => &[22, 38],
        _ => &[],
    };
    let every_other = packets.iter().step_by(2);
    let mut keys: Vec<_> = every_other
        .flat_map(|packet| places.iter().filter_map(|at| packet.data.get(*at..at + size)))
        .map(<[u8]>::to_vec)
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Big arrays are indexed by port, in network order.
fn ports(def: &MapDef, packets: &[Input]) -> Vec<Vec<u8>> {
    if def.max_entries < 65536 {
        return Vec::new();
    }
    let every_other = packets.iter().step_by(2);
    let ports = every_other.flat_map(|p| [34, 36].map(|at| p.data.get(at..at + 2)));
    let mut keys: Vec<_> = ports
        .flatten()
        .map(|port| u32::from(u16::from_le_bytes([port[0], port[1]])).to_le_bytes().to_vec())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// What each program made of each packet, and the maps in the end.
fn run(
    instance: &mut dyn Instance,
    module: &Module,
    elements: &[Element],
    packets: &[Input],
) -> Vec<Outcome> {
    for (map, key, values) in elements {
        instance
            .update(*map, key, values)
            .unwrap_or_else(|e| panic!("{}: {e}", module.maps[map.index()].name));
    }
    let mut outcomes = Vec::new();
    for (at, program) in module.programs.iter().enumerate() {
        for input in packets {
            let output = instance.run(at, input);
            let output = output.unwrap_or_else(|e| panic!("{} on {:x?}: {e}", program.name, input.data));
            outcomes.push(Outcome { output, maps: Vec::new() });
        }
    }
    let maps = module.maps.iter().enumerate().map(|(map, def)| {
        let mut contents = instance.contents(map_id(map))?;
        if def.name == HAS_TIME {
            contents.values_mut().flatten().for_each(|value| value[..8].fill(0));
        }
        Ok::<_, Error>(contents)
    });
    if let Some(last) = outcomes.last_mut() {
        last.maps = maps.collect::<Result<_, _>>().expect("maps can be read");
    }
    outcomes
}

/// Compares all engines on modules, each with empty maps and with filled ones. Says of each whether
/// filling its maps changed any return value.
fn all_agree(named: &[(String, Module)]) -> Vec<bool> {
    let packets = packets();
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(Jit::default())];
    engines.extend(ObjectEngine::or_skip().map(|e| Box::new(e) as Box<dyn Engine>));
    engines.extend(Kernel::or_skip().map(|e| Box::new(e) as Box<dyn Engine>));
    let mut results: Vec<Vec<Vec<u64>>> = Vec::new();
    for filled in [false, true] {
        let elements: Vec<_> = named
            .iter()
            .map(|(_, m)| if filled { elements(&m.maps, &packets) } else { Vec::new() })
            .collect();
        let modules: Vec<_> = named.iter().map(|(_, module)| module.clone()).collect();
        let run_all = |engine: &dyn Engine| -> Vec<Vec<Outcome>> {
            let loaded = engine.load_all(&modules).into_iter().zip(named).zip(&elements);
            loaded
                .map(|((instance, (name, module)), elements)| {
                    let mut instance =
                        instance.unwrap_or_else(|e| panic!("{name} on {}: {e}", engine.name()));
                    run(&mut *instance, module, elements, &packets)
                })
                .collect()
        };
        let expected = run_all(&Oracle::default());
        let ret = |outcomes: &Vec<Outcome>| outcomes.iter().map(|o| o.output.ret).collect();
        results.push(expected.iter().map(ret).collect());
        for engine in &engines {
            let found = run_all(&**engine);
            for ((expected, found), (name, _)) in expected.iter().zip(&found).zip(named) {
                same(name, engine.name(), expected, found, &packets);
            }
        }
    }
    results[0].iter().zip(&results[1]).map(|(empty, filled)| empty != filled).collect()
}

fn same(name: &str, engine: &str, expected: &[Outcome], found: &[Outcome], packets: &[Input]) {
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        if let Some(difference) = expected.difference(found) {
            let packet = to_hex(&packets[at % packets.len()].data, 16);
            panic!("{name}, run {at} on {engine}: {difference}\nthe packet was\n{packet}");
        }
    }
}

fn example(name: &str) {
    all_agree(&[(name.to_owned(), module(&open(&repo::root().join("examples").join(name))))]);
}

#[test]
fn firewall() {
    example("firewall.bpf.o");
}

#[test]
fn balancer() {
    example("balancer.bpf.o");
}

#[test]
fn protocols() {
    example("protocols.bpf.o");
}

#[test]
fn dispatch() {
    example("dispatch.bpf.o");
}

fn xdp_filters(policy: &str) {
    let mut modules = Vec::new();
    for what in ["all", "eth", "ip", "tcp", "udp"] {
        let name = format!("xdpfilt_{policy}_{what}.o");
        let Some(path) = packaged(&name) else { return };
        modules.push((name, module(&open(&path))));
    }
    let changed = all_agree(&modules);
    assert_eq!(changed, [true; 5], "the filters' maps decide");
}

#[test]
fn xdp_filters_that_allow() {
    xdp_filters("alw");
}

#[test]
fn xdp_filters_that_deny() {
    xdp_filters("dny");
}

#[test]
fn xdp_dispatcher() {
    let Some(path) = packaged("xdp-dispatcher.o") else { return };
    let default = module(&open(&path));
    // As libxdp configures it for ten programs, each of which hands on to the next.
    let mut ten = default.clone();
    let mut maps = ten.maps.to_vec();
    let config = maps.iter_mut().find_map(|def| def.global.as_mut().filter(|g| g.readonly));
    let config = config.expect("the dispatcher's configuration is read-only data");
    let mut bytes = config.initial.to_vec();
    bytes[2] = 10;
    bytes[4..44].fill(0xff);
    config.initial = bytes.into();
    ten.maps = maps.into();
    for program in &mut ten.programs {
        program.maps = Arc::clone(&ten.maps);
    }
    let modules = [("xdp-dispatcher.o", default), ("xdp-dispatcher.o for ten programs", ten)];
    all_agree(&modules.map(|(name, module)| (name.to_owned(), module)));
}

/// What cannot run says what it lacks.
#[test]
fn other_objects_run_or_say_what_is_missing() {
    for name in ["xdpdump_bpf.o", "xdpdump_xdp.o", "xsk_def_xdp_prog.o", "xsk_def_xdp_prog_5.3.o"] {
        let Some(path) = packaged(name) else { return };
        let object = open(&path);
        assert!(!object.programs.is_empty(), "{name} has programs");
        for program in &object.programs {
            let Err(rejection) = verify::verify(program, &Options::default()) else { continue };
            let finding = &rejection.diagnostics[0];
            let text =
                format!("{name}: {}: {} ({})", program.name, finding.message, finding.code.info().name);
            assert_eq!(finding.severity(), Severity::Unsupported, "{text}");
            eprintln!("{text}");
        }
    }
}
