//! Objects are loaded as libbpf loads them: programs, maps, global data, instruction by instruction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use brolga_abi::maps::{F_MMAPABLE, F_NO_PREALLOC, F_RDONLY_PROG};
use brolga_abi::{MapKind, ProgramKind};
use brolga_compiler::diag::Code;
use brolga_compiler::isa::{CallTarget, Endianness, Imm64, Insn, encode_all};
use brolga_compiler::program::{Fault, LoadOptions, MapDef, MapType, Object, Param, Problem, Program, load};
use brolga_tests::rebuild::rebuilt;
use brolga_tests::repo;
use object::{Object as _, ObjectSection as _};

fn dir() -> PathBuf {
    repo::root().join("tests/cases/programs/load")
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", repo::name(path)))
}

fn open(path: &Path) -> Object {
    load(&bytes(path), &LoadOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", repo::name(path)))
}

fn case(name: &str) -> Object {
    open(&dir().join(name))
}

fn program<'o>(object: &'o Object, name: &str) -> &'o Program {
    object.programs.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no program `{name}`"))
}

fn map<'o>(object: &'o Object, name: &str) -> &'o MapDef {
    object.maps.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no map `{name}`"))
}

fn codes(program: &Program) -> Vec<Code> {
    program.findings.iter().map(|finding| finding.code).collect()
}

/// Says that a test was skipped, which CI does not allow.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing, and CI must have it");
    eprintln!("skipped: {what} is not installed");
}

#[test]
fn programs_get_the_functions_that_they_reach_in_order() {
    let object = case("functions.bpf.o");
    assert_eq!(object.license, "Dual BSD/GPL");
    assert_eq!(object.endianness, Endianness::Little);
    let functions: Vec<(&str, Vec<&str>)> = object
        .programs
        .iter()
        .map(|p| (p.name.as_str(), p.subprogs.iter().map(|s| s.name.as_str()).collect()))
        .collect();
    let expected = [
        ("first", vec!["first", "other", "middle", "leaf"]),
        ("second", vec!["second", "middle", "leaf", "weak"]),
        ("alone", vec!["alone"]),
        ("optional", vec!["optional", "hidden"]),
        ("filter", vec!["filter", "leaf"]),
    ];
    assert_eq!(functions, expected);
    for program in &object.programs {
        assert_eq!(codes(program), [], "{}", program.name);
        assert!(program.gpl_compatible);
        calls_lead_to_functions(program);
    }
    let first = program(&object, "first");
    let globals: Vec<bool> = first.subprogs.iter().map(|s| s.global).collect();
    assert_eq!(globals, [true, false, true, false], "`middle` is global, `other` and `leaf` are static");
    assert_eq!(first.subprogs[2].params, [Param::Scalar]);
    assert!(first.subprogs[2].returns_scalar);
    assert_eq!(program(&object, "second").subprogs[3].params, [Param::Context]);
    let hidden = &program(&object, "optional").subprogs[1];
    assert!(!hidden.global, "libbpf makes hidden functions static");
    assert_eq!(hidden.params, [Param::Memory { size: 4, nonnull: false }]);
}

fn calls_lead_to_functions(program: &Program) {
    for (at, insn) in (0..).map(brolga_compiler::isa::InsnIdx).zip(&program.insns) {
        let distance = match insn {
            Insn::Call(CallTarget::Subprog(distance)) => *distance,
            Insn::LoadImm64 { imm: Imm64::Func(distance), .. } => *distance,
            _ => continue,
        };
        let target = at.jump(distance).expect("calls stay in the program");
        assert!(program.subprogs.iter().any(|s| s.start == target), "{}: slot {at}", program.name);
    }
}

#[test]
fn sections_give_kinds() {
    let object = case("functions.bpf.o");
    let kinds: Vec<_> = object.programs.iter().map(|p| (p.section.as_str(), p.kind, p.autoload)).collect();
    let xdp = Some(ProgramKind::Xdp);
    assert_eq!(kinds[..3], [("xdp", xdp, true); 3]);
    assert_eq!(kinds[3], ("xdp.frags", xdp, false));
    assert_eq!(kinds[4], ("socket", Some(ProgramKind::SocketFilter), true));
}

#[test]
fn options_give_kinds_where_sections_do_not() {
    let file = bytes(&dir().join("unsupported.bpf.o"));
    let object = load(&file, &LoadOptions::default()).expect("loads");
    assert_eq!(program(&object, "nameless").kind, None);
    assert_eq!(codes(program(&object, "nameless")), [Code::UnsupportedProgramKind]);
    let options =
        LoadOptions { kind: Some(ProgramKind::RawMemory), raw_memory_len: 64, ..LoadOptions::default() };
    let object = load(&file, &options).expect("loads");
    let nameless = program(&object, "nameless");
    assert_eq!((nameless.kind, nameless.raw_memory_len), (Some(ProgramKind::RawMemory), 64));
    assert_eq!(codes(nameless), []);
    assert_eq!(program(&object, "fine").kind, Some(ProgramKind::Xdp), "the section's name counts first");
}

#[test]
fn kinds_are_given_by_name_whatever_the_section_says() {
    let file = bytes(&dir().join("functions.bpf.o"));
    let kinds = |names: &[&str]| LoadOptions {
        kinds: names.iter().map(|name| ((*name).to_owned(), ProgramKind::SocketFilter)).collect(),
        ..LoadOptions::default()
    };
    let object = load(&file, &kinds(&["alone", "middle"])).expect("loads");
    let found: Vec<_> = object.programs.iter().map(|p| (p.name.as_str(), p.kind)).collect();
    let (xdp, socket) = (Some(ProgramKind::Xdp), Some(ProgramKind::SocketFilter));
    assert_eq!(found[0], ("middle", socket), "it lies in `.text`, and is a program since it is named");
    assert_eq!(found[1..4], [("first", xdp), ("second", xdp), ("alone", socket)]);
    let error = load(&file, &kinds(&["absent"])).expect_err("there is none");
    assert_eq!(error.to_string(), "`absent`: the program whose kind is given is missing");
}

#[test]
fn a_lone_function_is_a_program_only_where_its_kind_is_given() {
    let file = bytes(&dir().join("lone.bpf.o"));
    let object = load(&file, &LoadOptions::default()).expect("loads");
    assert_eq!(object.programs.len(), 0, "`.text` holds subprograms");
    let options = LoadOptions { kind: Some(ProgramKind::RawMemory), ..LoadOptions::default() };
    assert_eq!(load(&file, &options).expect("loads").programs.len(), 1);
}

#[test]
fn functions_of_other_sections_may_be_called() {
    let object = case("sections.bpf.o");
    let functions = |name| {
        let program = program(&object, name);
        calls_lead_to_functions(program);
        program.subprogs.iter().map(|s| s.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(functions("callee"), ["callee", "near"]);
    assert_eq!(functions("caller"), ["caller", "callee", "near"]);
    assert!(object.programs.iter().all(|p| p.name != "near"), "it is static, and called");
    assert_eq!(codes(program(&object, "caller")), []);
    assert_eq!(codes(program(&object, "alone")), [Code::UnsupportedFeature]);
}

#[test]
fn exception_callbacks_come_last() {
    let object = case("sections.bpf.o");
    let functions = |name| {
        let program = program(&object, name);
        let callback = program.exception_callback.map(|id| program.subprogs[id.index()].name.as_str());
        (program.subprogs.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), callback)
    };
    assert_eq!(functions("caught"), (vec!["caught", "sub", "handler"], Some("handler")));
    assert_eq!(functions("caught_twice"), (vec!["caught_twice", "sub"], None), "Linux refuses two");
    for name in ["caught_by_nobody", "caught_in_secret"] {
        assert_eq!(functions(name), (vec![name], None));
    }
    for name in ["caught_by_nobody", "caught_in_secret", "caught_twice"] {
        assert_eq!(codes(program(&object, name)), [Code::UnresolvedCall]);
    }
}

#[test]
fn what_one_program_lacks_does_not_concern_the_others() {
    let object = case("unsupported.bpf.o");
    let findings: BTreeMap<&str, Vec<Code>> =
        object.programs.iter().map(|p| (p.name.as_str(), codes(p))).collect();
    let expected = BTreeMap::from([
        ("fine", vec![]),
        ("uses_map", vec![]),
        ("uses_kfunc", vec![Code::UnsupportedRelocation]),
        ("uses_ksym", vec![Code::UnsupportedRelocation]),
        ("uses_kconfig", vec![Code::UnsupportedRelocation]),
        ("uses_table", vec![]),
        ("uses_core", vec![]),
        ("nameless", vec![Code::UnsupportedProgramKind]),
        ("uses_kind", vec![]),
    ]);
    assert_eq!(findings, expected);
    let message = |name| program(&object, name).findings[0].message.clone();
    for (name, needle) in [
        ("uses_kfunc", "`kernel_function`"),
        ("uses_ksym", "`kernel_variable`"),
        ("uses_kconfig", "`CONFIG_HZ`"),
    ] {
        assert!(message(name).contains(needle), "{name}: {}", message(name));
    }
    assert_eq!(map(&object, "strange").kind, MapType::Unsupported(0x7777));
}

#[test]
fn global_data_becomes_maps_of_one_value() {
    let object = case("globals.bpf.o");
    let maps: Vec<_> = object.maps.iter().map(|m| (m.name.as_str(), m.value_size, m.flags)).collect();
    let expected = [
        (".rodata", 24, F_RDONLY_PROG | F_MMAPABLE),
        (".data", 12, F_MMAPABLE),
        (".data.named", 4, F_MMAPABLE),
        (".rodata.named", 4, F_RDONLY_PROG | F_MMAPABLE),
        (".bss", 24, F_MMAPABLE),
        (".rodata.str1.1", 22, F_RDONLY_PROG),
    ];
    assert_eq!(maps, expected);
    for map in object.maps.iter() {
        assert_eq!((map.kind, map.key_size, map.max_entries), (MapKind::Array.into(), 4, 1));
        let global = map.global.as_ref().expect("it is global data");
        assert_eq!(global.initial.len(), map.value_size as usize);
        assert_eq!(global.readonly, map.name.starts_with(".rodata"));
    }
    assert_eq!(object.global("limit").expect("a variable"), 1000_u64.to_le_bytes());
    assert_eq!(object.global("hidden_counter").expect("a static variable"), 43_u32.to_le_bytes());
    assert_eq!(object.global("seen").expect("in .bss"), [0; 16]);
    assert_eq!(object.global(".rodata.str1.1").expect("a section"), b"a literal\0another one\0");
    let named = map(&object, ".data.named").global.as_ref().expect("global").variables.clone();
    assert_eq!((named[0].name.as_str(), named[0].offset, named[0].size), ("named_data", 0, 4));
    assert!(named[0].ty.is_some());

    // The second literal is at an offset in its section, and the program says so.
    let strings = object.maps.iter().position(|m| m.name == ".rodata.str1.1").expect("it is there");
    let loads = program(&object, "globals").insns.iter().filter_map(|insn| match insn {
        Insn::LoadImm64 { imm: Imm64::MapIdxValue { index, off }, .. } if *index as usize == strings => {
            Some(*off)
        }
        _ => None,
    });
    assert_eq!(loads.collect::<Vec<_>>(), [0, 10]);

    let object = case("bss.bpf.o");
    assert_eq!(object.maps.len(), 1);
    assert_eq!((object.maps[0].name.as_str(), object.maps[0].value_size), (".bss.named", 8));
}

#[test]
fn global_data_can_be_set_before_verification() {
    let mut object = case("globals.bpf.o");
    object.set_global("limit", &7_u64.to_le_bytes()).expect("a variable");
    object.set_global(".data.named", &[1, 2, 3, 4]).expect("a section");
    assert_eq!(object.global("limit").expect("a variable"), 7_u64.to_le_bytes());
    assert_eq!(object.global("named_data").expect("a variable"), [1, 2, 3, 4]);
    let seen = &program(&object, "globals").maps[0].global.as_ref().expect("global").initial;
    assert_eq!(seen[16..24], 7_u64.to_le_bytes(), "programs see what was set");
    let too_short = object.set_global("limit", &[1]).expect_err("8 bytes are expected");
    assert_eq!(too_short.to_string(), "`limit`: malformed value of a variable: 1 bytes, but it has 8");
    let unknown = object.set_global("nothing", &[1]).expect_err("there is none");
    assert_eq!(unknown.problem, Problem::Missing { what: "global variable" });
}

#[test]
fn maps_are_defined_by_btf() {
    let object = case("arrays.bpf.o");
    let programs = map(&object, "programs");
    assert_eq!((programs.kind, programs.key_size), (MapKind::ProgArray.into(), 4));
    assert_eq!((programs.value_size, programs.max_entries), (4, 8));
    let initial = [(1, "low".to_owned()), (5, "high".to_owned()), (7, "low".to_owned())];
    assert_eq!(programs.initial_programs, initial);
    let pinned = map(&object, "pinned");
    assert_eq!((pinned.kind, pinned.key_size), (MapKind::Hash.into(), 8));
    assert_eq!((pinned.value_size, pinned.max_entries), (24, 100));
    assert_eq!((pinned.flags, pinned.pinned), (F_NO_PREALLOC, true));
    let btf = object.btf.as_ref().expect("compiled with -g");
    let key = btf.get(pinned.key_type.expect("given by type")).expect("in bounds");
    assert_eq!(key.name(), Ok("key_t"));
}

#[test]
fn maps_are_defined_by_legacy_structures() {
    let object = case("legacy.bpf.o");
    let mut packets = MapDef::new("packets", MapKind::Array, 4, 8, 4);
    packets.flags = 0;
    let mut flows = MapDef::new("flows", MapKind::Hash, 16, 8, 1024);
    flows.flags = F_NO_PREALLOC;
    assert_eq!(*object.maps, [packets, flows]);
    let legacy = program(&object, "legacy");
    assert!(!legacy.gpl_compatible);
    let used = legacy.insns.iter().filter_map(|insn| match insn {
        Insn::LoadImm64 { imm: Imm64::MapIdx(index), .. } => Some(*index),
        _ => None,
    });
    assert_eq!(used.collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn addresses_of_functions_are_resolved() {
    let object = case("callbacks.bpf.o");
    let callbacks = program(&object, "callbacks");
    let names: Vec<&str> = callbacks.subprogs.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["callbacks", "add", "weigh", "visible"]);
    let addresses =
        callbacks.insns.iter().filter(|i| matches!(i, Insn::LoadImm64 { imm: Imm64::Func(_), .. }));
    assert_eq!(addresses.count(), 3);
    calls_lead_to_functions(callbacks);
}

#[test]
fn big_endian_objects_hold_the_same_instructions() {
    for name in ["functions", "globals"] {
        let (little, big) = (case(&format!("{name}.bpf.o")), case(&format!("{name}.bpfeb.o")));
        assert_eq!(big.endianness, Endianness::Big);
        assert_eq!(little.programs.len(), big.programs.len());
        for (l, b) in little.programs.iter().zip(&big.programs) {
            assert_eq!(l.insns, b.insns, "{}", l.name);
            assert_eq!((&l.subprogs, &l.lines), (&b.subprogs, &b.lines));
            assert_eq!((codes(b), b.endianness), (vec![], Endianness::Big), "{}", b.name);
        }
        let sizes =
            |object: &Object| object.maps.iter().map(|m| (m.name.clone(), m.value_size)).collect::<Vec<_>>();
        assert_eq!(sizes(&little), sizes(&big));
    }
    assert_eq!(case("globals.bpfeb.o").global("limit").expect("a variable"), 1000_u64.to_be_bytes());
}

#[test]
fn lines_follow_the_functions() {
    let object = case("functions.bpf.o");
    let source = std::fs::read_to_string(dir().join("functions.bpf.c")).expect("checked in");
    let source: Vec<&str> = source.lines().collect();
    for program in &object.programs {
        assert!(program.lines.iter().is_sorted_by(|a, b| a.insn < b.insn), "{}", program.name);
        for line in program.lines.iter() {
            assert_eq!(line.text, source[line.line as usize - 1], "{} at {}", program.name, line.insn);
            assert!(line.file.ends_with("functions.bpf.c"), "{}", line.file);
        }
        let last = program.subprogs.last().expect("at least the main function");
        let line = program.line_of(last.start).expect("every function has lines");
        assert_eq!(line.insn, last.start);
    }
}

#[test]
fn what_is_no_object_is_refused_with_its_place() {
    let refuse = |bytes: &[u8]| load(bytes, &LoadOptions::default()).expect_err("it is none");
    assert_eq!(refuse(b"").problem, Problem::NotElf);
    assert_eq!(refuse(b"\x7fELF").problem, Problem::NotElf);
    let own = std::fs::read(std::env::current_exe().expect("known")).expect("readable");
    let error = refuse(&own);
    assert_eq!(error.problem.fault(), Fault::Input);
    assert!(error.to_string().starts_with("the ELF machine is "), "{error}");

    // A section that begins beyond the end of the file.
    let file = bytes(&dir().join("legacy.bpf.o"));
    let at = section_header(&file, "maps");
    let mut cut = file.clone();
    cut[at + 24..at + 32].copy_from_slice(&u64::MAX.to_le_bytes());
    let error = refuse(&cut);
    assert_eq!(error.to_string(), "section `maps`: malformed section: its bytes are not within the file");

    // Two sections that share their bytes: reading many of those would read the file many times.
    let mut shared = file.clone();
    shared[at + 24..at + 32].copy_from_slice(&0_u64.to_le_bytes());
    shared[at + 32..at + 40].copy_from_slice(&(file.len() as u64).to_le_bytes());
    let error = refuse(&shared).to_string();
    assert!(
        error.starts_with("malformed section table: sections of ") && error.contains("overlap"),
        "{error}"
    );

    // A section that is smaller than the definitions in it.
    let mut cut = file.clone();
    cut[at + 32..at + 40].copy_from_slice(&24_u64.to_le_bytes());
    let error = refuse(&cut);
    assert_eq!(error.place.symbol.as_deref(), Some("flows"));
    assert_eq!(error.place.offset, Some(20));
    assert!(matches!(error.problem, Problem::OutOfBounds { .. }), "{error}");

    // `.bss` beyond any memory.
    let file = bytes(&dir().join("globals.bpf.o"));
    let at = section_header(&file, ".bss");
    let mut cut = file.clone();
    cut[at + 32..at + 40].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    assert_eq!(refuse(&cut).problem.fault(), Fault::Limit);
}

/// Where a section's header stands in a little-endian file.
fn section_header(file: &[u8], name: &str) -> usize {
    let parsed = object::File::parse(file).expect("clang writes ELF");
    let index = parsed.section_by_name(name).expect("it is there").index().0;
    let table = u64::from_le_bytes(file[40..48].try_into().expect("eight bytes"));
    usize::try_from(table).expect("in the file") + 64 * index
}

#[test]
fn bytes_that_are_no_instructions_refuse_their_program_alone() {
    let mut file = bytes(&dir().join("functions.bpf.o"));
    let parsed = object::File::parse(&*file).expect("clang writes ELF");
    let (start, _) =
        parsed.section_by_name("socket").expect("it is there").file_range().expect("it has bytes");
    file[usize::try_from(start).expect("in the file") + 8] = 0xff;
    let object = load(&file, &LoadOptions::default()).expect("the others are as before");
    let filter = program(&object, "filter");
    assert_eq!(codes(filter), [Code::InvalidInstruction]);
    assert_eq!(filter.findings[0].insn.map(|at| at.0), Some(1));
    assert_eq!(codes(program(&object, "first")), []);

    file[usize::try_from(start).expect("in the file") + 8] = 0x0d;
    let object = load(&file, &LoadOptions::default()).expect("the others are as before");
    assert_eq!(codes(program(&object, "filter")), [Code::UnsupportedFeature]);
    let message = &program(&object, "filter").findings[0].message;
    assert!(message.contains("gotox"), "{message}");
}

#[test]
fn objects_are_what_clang_makes_of_the_sources() {
    let Some(rebuilt) = rebuilt(&dir()) else { return };
    let mut count = 0;
    for found in repo::files("tests/cases/programs/load", &["o"]) {
        let name = found.file_name().expect("a file");
        let (found, made) = (contents(&found), contents(&rebuilt.path().join(name)));
        assert!(found == made, "{} is out of date: run build.sh", name.display());
        count += 1;
    }
    let made = std::fs::read_dir(rebuilt.path()).expect("the directory is there").count();
    assert_eq!(count, made, "build.sh makes other objects than are checked in");
}

/// What the loader reads of an object. Debug information names the compiler's exact build.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = bytes(path);
    let file = object::File::parse(&*bytes).expect("clang writes ELF");
    let read = |section: object::Section<'_, '_>| {
        let name = section.name().expect("sections have names").to_owned();
        (name, section.data().expect("sections lie in the file").to_vec())
    };
    file.sections().map(read).filter(|(name, _)| !name.contains(".debug_") && !name.contains("tab")).collect()
}

/// Debian's objects, with the slots of their programs as `llvm-objdump` counts them.
const DEBIAN: &[(&str, &[(&str, usize)])] = &[
    ("xdp-dispatcher", &[("xdp_dispatcher", 214), ("xdp_pass", 2)]),
    ("xdpdump_bpf", &[("trace_on_entry", 44), ("trace_on_exit", 46)]),
    ("xdpdump_xdp", &[("xdpdump", 35)]),
    ("xdpfilt_alw_all", &[("xdpfilt_alw_all", 437)]),
    ("xdpfilt_alw_eth", &[("xdpfilt_alw_eth", 85)]),
    ("xdpfilt_alw_ip", &[("xdpfilt_alw_ip", 299)]),
    ("xdpfilt_alw_tcp", &[("xdpfilt_alw_tcp", 278)]),
    ("xdpfilt_alw_udp", &[("xdpfilt_alw_udp", 276)]),
    ("xdpfilt_dny_all", &[("xdpfilt_dny_all", 437)]),
    ("xdpfilt_dny_eth", &[("xdpfilt_dny_eth", 85)]),
    ("xdpfilt_dny_ip", &[("xdpfilt_dny_ip", 299)]),
    ("xdpfilt_dny_tcp", &[("xdpfilt_dny_tcp", 278)]),
    ("xdpfilt_dny_udp", &[("xdpfilt_dny_udp", 276)]),
    ("xsk_def_xdp_prog", &[("xsk_def_prog", 11)]),
    ("xsk_def_xdp_prog_5.3", &[("xsk_def_prog", 23)]),
];

/// Where Debian's libxdp1 and xdp-tools put their objects.
fn debian(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/lib/x86_64-linux-gnu/bpf").join(format!("{name}.o"));
    path.exists().then_some(path)
}

#[test]
fn debians_objects_load() {
    for (name, programs) in DEBIAN {
        let Some(path) = debian(name) else { return skip("xdp-tools (with libxdp1)") };
        let object = open(&path);
        let found: Vec<(&str, usize)> =
            object.programs.iter().map(|p| (p.name.as_str(), p.insns.len())).collect();
        assert_eq!(found, *programs, "{name}");
        for program in &object.programs {
            assert_eq!(codes(program), [], "{name}");
            assert!(!program.lines.is_empty(), "{name}: lines");
            calls_lead_to_functions(program);
        }
    }
}

#[test]
fn the_dispatcher_is_configured_before_it_runs() {
    let Some(path) = debian("xdp-dispatcher") else { return skip("libxdp1") };
    let mut object = open(&path);
    let len = object.global("conf").expect("it has one").len();
    assert_eq!(len, 124);
    let mut conf = vec![0; len];
    conf[0] = 1;
    object.set_global("conf", &conf).expect("same length");
    assert_eq!(object.global("conf").expect("it has one"), conf);
    let stubs = program(&object, "xdp_dispatcher").subprogs.iter().filter(|s| s.name.starts_with("prog"));
    assert_eq!(stubs.filter(|s| s.global && s.params == [Param::Context]).count(), 10);
}

/// The bytes of a C string literal as `bpftool` writes it: `\xNN`, `\0`, and broken lines.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at + 1..];
        let len = match escape.as_bytes().first() {
            Some(b'x') => {
                bytes.push(u8::from_str_radix(&escape[1..3], 16).expect("two digits"));
                3
            }
            Some(b'0') => {
                bytes.push(0);
                1
            }
            Some(b'\n') => 1,
            other => panic!("an escape that bpftool does not write: {other:?}"),
        };
        rest = &escape[len..];
    }
    bytes
}

/// The object with no map pinned: libbpf would pin them while it makes the skeleton. The member
/// `pinning` of their definitions gets the name of another, which instructions do not depend on.
fn unpinned(mut file: Vec<u8>) -> Vec<u8> {
    let parsed = object::File::parse(&*file).expect("clang writes ELF");
    let (start, len) = parsed.section_by_name(".BTF").expect("compiled with -g").file_range().expect("bytes");
    let (start, len) = (usize::try_from(start).expect("in memory"), usize::try_from(len).expect("in memory"));
    let btf = &mut file[start..start + len];
    let word =
        |btf: &[u8], at: usize| u32::from_le_bytes(btf[at..at + 4].try_into().expect("four bytes")) as usize;
    let types = 24 + word(btf, 8)..24 + word(btf, 8) + word(btf, 12);
    let strings = btf[24 + word(btf, 16)..].to_vec();
    let find = |name: &[u8]| strings.windows(name.len()).position(|window| window == name);
    if let (Some(from), Some(to)) = (find(b"\0pinning\0"), find(b"\0max_entries\0")) {
        let to = u32::try_from(to + 1).expect("small").to_le_bytes();
        for at in types.step_by(4) {
            if word(btf, at) == from + 1 {
                btf[at..at + 4].copy_from_slice(&to);
            }
        }
    }
    file
}

/// What libbpf would load: `bpftool` writes its relocated instructions into a "light skeleton",
/// where maps are indices as they are here.
fn libbpf(path: &Path) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let copy = dir.path().join("object.o");
    std::fs::write(&copy, unpinned(bytes(path))).expect("writable");
    let made = Command::new("bpftool").args(["gen", "skeleton", "-L"]).arg(copy).output().ok()?;
    assert!(made.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).expect("C");
    let start = text.find("opts.data = (void *)\"").expect("the skeleton has data");
    let literal = text[start..].split('"').nth(1).expect("a literal");
    Some(unescape(literal))
}

#[test]
fn instructions_are_those_that_libbpf_loads() {
    let mut paths: Vec<PathBuf> = ["functions", "globals", "callbacks"]
        .iter()
        .map(|name| dir().join(format!("{name}.bpf.o")))
        .collect();
    let examples = ["firewall", "balancer", "protocols"];
    paths.extend(examples.iter().map(|name| repo::root().join(format!("examples/{name}.bpf.o"))));
    // xdpdump_bpf has CO-RE relocations, which are not applied yet, and attaches to a function.
    paths.extend(
        DEBIAN.iter().filter(|(name, _)| *name != "xdpdump_bpf").filter_map(|(name, _)| debian(name)),
    );
    let mut compared = 0;
    for path in paths {
        let Some(data) = libbpf(&path) else { return skip("bpftool") };
        for program in open(&path).programs.iter().filter(|p| p.autoload) {
            let insns = encode_all(&program.insns, Endianness::Little);
            let found = data.windows(insns.len()).any(|window| window == insns);
            assert!(found, "{}: libbpf loads `{}` otherwise", path.display(), program.name);
            compared += 1;
        }
    }
    eprintln!("{compared} programs are the same");
    assert!(compared >= 9);
}
