//! Maps in every notation: what objects say of them, and what a loader may change before programs are verified.

use std::path::PathBuf;

use brolga_abi::MapKind;
use brolga_compiler::isa::{Imm64, Insn};
use brolga_compiler::program::{
    KernelTypes, KernelVersion, LoadOptions, MapDef, MapId, Object, Problem, Program, StructOpsKernel,
    StructOpsSlot, Target, load,
};
use brolga_compiler::verify;
use brolga_tests::repo;

fn bytes(name: &str) -> Vec<u8> {
    let path: PathBuf = repo::root().join("tests/cases/programs/load").join(format!("{name}.bpf.o"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn open(name: &str, options: &LoadOptions) -> Object {
    load(&bytes(name), options).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn case(name: &str) -> Object {
    open(name, &LoadOptions::default())
}

fn map<'o>(object: &'o Object, name: &str) -> &'o MapDef {
    object.maps.iter().find(|map| map.name == name).unwrap_or_else(|| panic!("no map `{name}`"))
}

fn id(object: &Object, name: &str) -> MapId {
    let index = object.maps.iter().position(|map| map.name == name).expect("the map is there");
    MapId(u32::try_from(index).expect("few maps"))
}

fn program<'o>(object: &'o Object, name: &str) -> &'o Program {
    object
        .programs
        .iter()
        .find(|program| program.name == name)
        .unwrap_or_else(|| panic!("no program `{name}`"))
}

#[test]
fn maps_of_maps_say_what_is_in_them() {
    let object = case("nested");
    let outer = map(&object, "outer");
    assert_eq!((outer.kind.number(), outer.key_size, outer.value_size, outer.max_entries), (12, 4, 4, 8));
    assert_eq!(outer.initial_maps, [(1, id(&object, "second")), (6, id(&object, "first"))]);
    let inner = outer.inner.as_deref().expect("it is said");
    assert_eq!((inner.name.as_str(), inner.kind), ("outer.inner", MapKind::Array.into()));
    assert_eq!((inner.key_size, inner.value_size, inner.max_entries), (4, 8, 4));
    assert!(inner.key_type.is_some() && inner.value_type.is_some());

    let anonymous = map(&object, "anonymous");
    assert_eq!((anonymous.kind.number(), anonymous.key_size), (13, 8));
    assert_eq!(anonymous.initial_maps, []);
    let inner = anonymous.inner.as_deref().expect("it is said");
    assert_eq!((inner.kind.number(), inner.max_entries), (27, 8192), "rounded up to pages");
}

#[test]
fn definitions_hold_every_number() {
    let object = case("nested");
    assert_eq!(map(&object, "events").max_entries, 4 * 4096);
    assert_eq!(map(&object, "perf").max_entries, 0, "as many as CPUs: whoever makes the map knows");
    let bloom = map(&object, "bloom");
    assert_eq!((bloom.extra, bloom.numa_node, bloom.flags, bloom.value_size), (3, 1, 4, 8));
    assert_eq!(map(&object, "arena").extra, 1 << 44, "64 bits");
}

#[test]
fn variables_in_an_arena_are_in_its_value() {
    let arena_loads = |object: &Object| -> Vec<u32> {
        let arena = id(object, "arena").0;
        let load = |insn: &Insn| match insn {
            Insn::LoadImm64 { imm: Imm64::MapIdxValue { index, off }, .. } if *index == arena => Some(*off),
            _ => None,
        };
        program(object, "nested").insns.iter().filter_map(load).collect()
    };
    let mut object = case("nested");
    assert_eq!(arena_loads(&object), [0]);
    let data = map(&object, "arena").arena.as_ref().expect("it has variables");
    assert_eq!((data.offset, data.initial.len(), data.variables.len()), (0, 12, 1));
    object.set_global("in_arena", &[7; 12]).expect("a variable");
    assert_eq!(object.global("in_arena").expect("a variable"), [7; 12]);

    // Later kernels take any offset, and libbpf moves the variables to the end.
    let target = Target { version: KernelVersion::new(7, 0, 0), ..Target::default() };
    let object = open("nested", &LoadOptions { target, ..LoadOptions::default() });
    assert_eq!(arena_loads(&object), [99 * 4096]);
}

#[test]
fn pointers_in_global_data_are_numbers() {
    let object = case("nested");
    let names = object.global("names").expect("a variable");
    assert_eq!(names, [0_u64.to_le_bytes(), 5_u64.to_le_bytes()].concat(), "offsets among the strings");
}

#[test]
fn iproute2_puts_maps_and_programs_into_maps_by_number() {
    let object = case("iproute2");
    let outer = map(&object, "outer");
    assert_eq!(outer.inner.as_deref(), Some(map(&object, "inner")));
    assert_eq!(outer.initial_maps, [(1, id(&object, "inner"))]);
    assert!(map(&object, "inner").pinned && !outer.pinned);
    assert_eq!(map(&object, "jumps").initial_programs, [(3, "fourth".to_owned())]);
}

#[test]
fn sizes_can_be_set_before_verification() {
    let mut object = case("nested");
    object.set_max_entries("first", 1000).expect("a map");
    object.set_max_entries("events", 4097).expect("a map");
    object.set_max_entries("anonymous.inner", 100).expect("the maps in a map");
    object.set_value_size("first", 64).expect("a map");
    assert_eq!((map(&object, "first").max_entries, map(&object, "first").value_size), (1000, 64));
    assert_eq!(map(&object, "events").max_entries, 8192, "rounded up to pages");
    let inner = map(&object, "anonymous").inner.as_ref().expect("it is said");
    assert_eq!(inner.max_entries, 4096);
    assert_eq!(program(&object, "nested").maps, object.maps, "programs see what was set");

    let error = object.set_max_entries("outer", 6).expect_err("element 6 is initialised");
    assert_eq!(
        error.to_string(),
        "`outer`: an initialised element of a map is 6, out of bounds: must be below 6"
    );
    assert_eq!(
        object.set_max_entries("none", 1).expect_err("none").problem,
        Problem::Missing { what: "map" }
    );
    assert!(object.set_max_entries(".data", 2).is_err(), "global data has one element");
}

#[test]
fn global_data_grows_with_the_array_at_its_end() {
    let mut object = case("globals");
    // `.bss` ends with `seen`, four words from offset 8 on.
    object.set_value_size(".bss", 8 + 40).expect("global data");
    assert_eq!(object.global("seen").expect("a variable"), [0; 40]);
    let bss = map(&object, ".bss");
    assert_eq!((bss.value_size, bss.value_type.is_some()), (48, true));
    // Half an element.
    object.set_value_size(".bss", 8 + 38).expect("libbpf lets it");
    assert!(map(&object, ".bss").value_type.is_none());
    assert!(object.global("seen").is_err());
    assert_eq!(object.global("total").expect("it still fits"), [0; 8]);
    // `.rodata.named` ends with a number.
    object.set_value_size(".rodata.named", 8).expect("libbpf lets it");
    assert_eq!(map(&object, ".rodata.named").value_type, None);
    assert!(object.set_value_size(".data", 0).is_err());
    assert!(object.set_value_size(".data", u32::MAX).is_err());
}

/// Instructions of `limited` that can be reached, when `limit` in `.rodata` is so much.
fn reachable(limit: u64) -> (usize, usize) {
    let mut object = case("constants");
    object.set_global("limit", &limit.to_le_bytes()).expect("a variable");
    let program = program(&object, "limited");
    let accepted = verify::verify(program, &verify::Options::default()).expect("it is accepted");
    let reachable = (0..).map(brolga_compiler::isa::InsnIdx).take(program.insns.len());
    let reachable = reachable.filter(|at| accepted.facts.at(*at).reach.executed).count();
    (reachable, program.insns.len())
}

#[test]
fn what_a_constant_rules_out_is_dead() {
    let ((with, all), (without, _)) = (reachable(100), reachable(0));
    assert!(without + 4 < with, "{without} of {all} instructions without a limit, {with} with one");
}

fn slot(member: &str) -> Option<StructOpsSlot> {
    Some(StructOpsSlot { ops: "socket_ops".to_owned(), member: member.to_owned(), kernel: None })
}

#[test]
fn struct_ops_maps_hold_values_and_programs() {
    let object = case("struct_ops");
    let names: Vec<&str> = object.maps.iter().map(|map| map.name.as_str()).collect();
    assert_eq!(names, [".bss", "plain", "linked", "asked_for"], "after global data");
    let plain = map(&object, "plain");
    assert_eq!((plain.kind.number(), plain.key_size, plain.value_size, plain.max_entries), (26, 4, 40, 1));
    assert!(plain.autocreate);
    let ops = plain.struct_ops.as_ref().expect("it is one");
    assert_eq!((ops.name.as_str(), &ops.kernel), ("socket_ops", &StructOpsKernel::None));
    let programs: Vec<_> =
        ops.programs.iter().map(|p| (p.member.as_str(), p.offset, p.program.as_str())).collect();
    assert_eq!(programs, [("pick", 0, "pick"), ("drop", 8, "drop")]);
    assert_eq!(ops.initial[16..28], *b"\x07\0\0\0plain\0\0\0");
    let (linked, asked_for) = (map(&object, "linked"), map(&object, "asked_for"));
    assert_eq!((plain.flags, linked.flags, asked_for.flags), (0, 1 << 13, 1 << 13));
    assert!(linked.autocreate && !asked_for.autocreate);

    let autoload = |name| program(&object, name).autoload;
    assert!(autoload("pick") && autoload("drop"), "maps that are made have them");
    assert!(!autoload("unused"), "only a map that is not made has it");
    assert!(!autoload("optional"), "its section says so");
    assert_eq!(program(&object, "pick").struct_ops, slot("pick"));
    assert_eq!(program(&object, "optional").struct_ops, None);
}

/// A kernel has more members, in another order, and the map's value is around them.
#[test]
fn struct_ops_values_are_laid_out_for_the_kernel() {
    let kernel = case("ops_kernel").btf.expect("compiled with -g");
    let target = Target { types: KernelTypes::from(kernel), ..Target::default() };
    let object = open("struct_ops", &LoadOptions { target, ..LoadOptions::default() });
    let plain = map(&object, "plain");
    let StructOpsKernel::Known { value, programs, module, .. } =
        &plain.struct_ops.as_ref().expect("one").kernel
    else {
        panic!("{:?}", plain.struct_ops)
    };
    assert_eq!((plain.value_size, value.len(), module), (64, 64, &None));
    assert_eq!(programs, &[(16 + 24, 3), (16 + 16, 2)], "pick, drop");
    assert_eq!(value[16..20], 7_u32.to_le_bytes());
    let slot = program(&object, "drop").struct_ops.as_ref().expect("a map has it");
    assert_eq!(slot.kernel.map(|(_, index)| index), Some(2));
}

/// libbpf refuses an object whose structures the kernel does not have; here its programs say so.
#[test]
fn struct_ops_that_the_kernel_lacks_are_findings() {
    let kernel = case("kernel").btf.expect("compiled with -g");
    let target = Target { types: KernelTypes::from(kernel), ..Target::default() };
    let object = open("struct_ops", &LoadOptions { target, ..LoadOptions::default() });
    let message =
        "struct_ops map `plain` cannot be made: the kernel has no `struct bpf_struct_ops_socket_ops`";
    let first = |name| program(&object, name).findings.first().map(|finding| finding.message.as_str());
    assert_eq!((first("pick"), first("drop")), (Some(message), Some(message)));
    assert_eq!(first("unused"), None, "its map is not made by default");
}
