//! CO-RE relocations of compiled objects, against compiled kernels' types.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_compiler::btf::Btf;
use brolga_compiler::btf::relo::Outcome;
use brolga_compiler::diag::Code;
use brolga_compiler::isa::{CallTarget, Imm64, Insn, InsnIdx, Operand, Size};
use brolga_compiler::program::{LoadOptions, Object, POISON, Program, Target, load};
use brolga_compiler::verify::{self, verify};
use brolga_tests::rebuild::rebuilt;
use brolga_tests::repo;

fn dir() -> PathBuf {
    repo::root().join("tests/cases/core")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The types of a kernel, or none.
fn types_of(kernel: &str) -> Option<Arc<Btf>> {
    (kernel != "own").then(|| {
        let file = bytes(&format!("kernel_{kernel}.o"));
        load(&file, &LoadOptions::default()).expect("loads").btf.expect("compiled with -g")
    })
}

fn fields_on(kernel: &str) -> Object {
    let types = types_of(kernel).map_or_else(Default::default, Into::into);
    let options = LoadOptions {
        kind: Some(ProgramKind::RawMemory),
        raw_memory_len: 128,
        target: Target { types, ..Target::default() },
        ..LoadOptions::default()
    };
    load(&bytes("fields.bpf.o"), &options).expect("loads")
}

fn program<'o>(object: &'o Object, name: &str) -> &'o Program {
    object.programs.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no program `{name}`"))
}

/// The values of the first relocation of each program; `None` where something is missing.
fn values(object: &Object) -> BTreeMap<&str, Option<u64>> {
    let value = |program: &Program| match program.core.iter().next()?.1.resolution.outcome {
        Outcome::Value(value) => Some(value),
        Outcome::Missing(_) => None,
    };
    object.programs.iter().map(|program| (program.name.as_str(), value(program))).collect()
}

#[test]
fn every_kind_has_the_value_of_the_kernel() {
    let minus_3 = (-3_i64).cast_unsigned();
    // In the object's own types, in an older kernel, in a newer one.
    let expected: &[(&str, [Option<u64>; 3])] = &[
        ("offset_total", [Some(16), Some(64), Some(80)]),
        ("offset_second", [Some(12), Some(16), Some(52)]),
        ("offset_element", [Some(40), Some(36), Some(24)]),
        ("offset_level", [Some(4), Some(8), Some(72)]),
        ("size_list", [Some(16), Some(16), Some(32)]),
        ("size_level", [Some(4), Some(4), Some(8)]),
        ("exists_total", [Some(1), Some(1), Some(1)]),
        ("exists_gone", [Some(1), Some(1), Some(0)]),
        ("exists_legacy", [Some(0), Some(1), Some(0)]),
        ("exists_balance", [Some(1), Some(1), Some(1)]),
        ("signed_level", [Some(1), Some(1), Some(0)]),
        ("signed_total", [Some(0), Some(0), Some(0)]),
        ("left_level", [Some(56), Some(56), Some(14)]),
        ("right_level", [Some(59), Some(59), Some(57)]),
        ("target_elsewhere", [None, None, Some(0)]),
        ("exists_pair", [Some(1), Some(1), Some(1)]),
        ("exists_elsewhere", [Some(1), Some(1), Some(0)]),
        ("exists_handler", [Some(1), Some(1), Some(0)]),
        ("size_thing", [Some(64), Some(72), Some(96)]),
        ("size_elsewhere", [Some(4), Some(8), Some(0)]),
        ("matches_pair", [Some(1), Some(1), Some(1)]),
        ("matches_thing", [Some(1), Some(1), Some(0)]),
        ("exists_blue", [Some(1), Some(1), Some(0)]),
        ("value_green", [Some(1), Some(2), Some(5 << 32 | 6)]),
        ("value_blue", [Some(2), Some(minus_3), None]),
        ("read_total", [Some(16), Some(64), Some(80)]),
        ("write_id", [Some(0), Some(4), Some(16)]),
        ("unguarded", [Some(56), Some(56), None]),
    ];
    for (column, kernel) in ["own", "old", "new"].into_iter().enumerate() {
        let object = fields_on(kernel);
        let found = values(&object);
        for (name, values) in expected {
            // Ids of types are whatever the compiler made of them.
            if *name == "target_elsewhere" && kernel != "new" {
                continue;
            }
            assert_eq!(found[name], values[column], "{name} on {kernel}");
        }
        let id = |types: &Btf| types.find(brolga_compiler::btf::Kind::Struct, "pair").map(|id| id.0.into());
        let own = object.btf.as_deref().expect("compiled with -g");
        assert_eq!(found["local_pair"], id(own), "{kernel}");
        assert_eq!(found["target_pair"], id(types_of(kernel).as_deref().unwrap_or(own)), "{kernel}");
        assert!(object.programs.iter().all(|program| program.findings.is_empty()), "{kernel}");
    }
}

#[test]
fn instructions_are_fitted_to_the_kernel() {
    let object = fields_on("new");
    let first = |name| program(&object, name).insns[0];
    // What is shown is patched.
    assert!(matches!(first("offset_second"), Insn::Alu { src: Operand::Imm(52), .. }));
    assert!(matches!(first("exists_gone"), Insn::Alu { src: Operand::Imm(0), .. }));
    let value = 5 << 32 | 6;
    assert!(
        matches!(first("value_green"), Insn::LoadImm64 { imm: Imm64::Value(green), .. } if green == value)
    );
    let poison = Insn::Call(CallTarget::Helper(POISON));
    assert_eq!(program(&object, "value_blue").insns[..2], [poison; 2]);
    // Unsigned integers change their size, signed ones do not.
    assert!(matches!(first("read_total"), Insn::Load { size: Size::W, off: 80, .. }));
    assert!(matches!(first("read_small"), Insn::Load { size: Size::W, off: 60, .. }));
    assert_eq!(first("read_balance"), poison);
    let stores = |insn: &Insn| matches!(insn, Insn::Store { size: Size::W, off: 16, .. });
    assert!(program(&object, "write_id").insns.iter().any(stores));
    let relocation = program(&object, "read_total").core.at(InsnIdx(0)).expect("it has one");
    assert_eq!(relocation.resolution.local.to_string(), "struct thing.total (0:4)");
    assert_eq!(program(&object, "read_total").core.at(InsnIdx(1)), None);
}

#[test]
fn what_is_missing_matters_where_it_is_reached() {
    let judge = |kernel, name| {
        let object = fields_on(kernel);
        verify(program(&object, name), &verify::Options::default())
    };
    for kernel in ["own", "old", "new"] {
        for name in ["guarded", "offset_total", "read_total", "write_id"] {
            assert!(judge(kernel, name).is_ok(), "{name} on {kernel}");
        }
    }
    assert!(judge("old", "unguarded").is_ok());
    for (name, needle) in [
        ("unguarded", "`struct thing.gone` is not in the kernel's BTF"),
        ("value_blue", "`enum color::BLUE` is not in the kernel's BTF"),
        ("read_balance", "`struct thing.balance` has 8 bytes in the kernel's BTF and 4 in the program"),
    ] {
        let rejection = judge("new", name).expect_err("it is reached");
        let [finding] = &rejection.diagnostics[..] else { panic!("one finding, not {rejection:?}") };
        assert_eq!((finding.code, finding.insn), (Code::CoreMissing, Some(InsnIdx(0))));
        assert!(finding.message.contains(needle), "{}", finding.message);
        // What Linux says, since people search for it.
        assert!(finding.message.contains("invalid func unknown#195896080"), "{}", finding.message);
        assert!(finding.help.is_some());
    }
}

#[test]
fn types_that_disagree_refuse_the_programs_that_ask() {
    let object = fields_on("ambiguous");
    for (name, needle) in [
        ("offset_total", "byte_off of `thing` (0:4): ambiguous"),
        ("exists_total", "bit offset 64 and with bit offset 192"),
        ("size_thing", "value 16 and with value 32"),
    ] {
        let [finding] = &program(&object, name).findings[..] else { panic!("{name} has one finding") };
        assert_eq!(finding.code, Code::CoreRelocation, "{name}");
        assert!(finding.message.contains(needle), "{name}: {}", finding.message);
    }
    // In this one they agree.
    assert!(program(&object, "write_id").findings.is_empty());
}

#[test]
fn a_record_that_contradicts_its_instruction_is_refused() {
    let mut file = bytes("fields.bpf.o");
    let object = fields_on("old");
    let first = program(&object, "offset_total");
    // `r0 = 16` of the first program, whose value the compiler knew.
    let original = [0xb7, 0, 0, 0, 16, 0, 0, 0];
    let at = file.windows(8).position(|insn| insn == original).expect("it is there");
    file[at + 4] = 17;
    let options = LoadOptions { kind: first.kind, ..LoadOptions::default() };
    let object = load(&file, &options).expect("loads");
    let [finding] = &program(&object, "offset_total").findings[..] else { panic!("one finding") };
    assert_eq!(finding.code, Code::CoreRelocation);
    assert!(
        finding.message.contains("has the value 17, by the object's types it is 16"),
        "{}",
        finding.message
    );
    // An instruction without a value: `exit`.
    file[at..at + 8].copy_from_slice(&[0x95, 0, 0, 0, 0, 0, 0, 0]);
    let object = load(&file, &options).expect("loads");
    let [finding] = &program(&object, "offset_total").findings[..] else { panic!("one finding") };
    assert!(finding.message.contains("no value of its own"), "{}", finding.message);
}

#[test]
fn objects_are_what_their_sources_say() {
    let Some(rebuilt) = rebuilt(&dir()) else { return };
    for name in ["fields.bpf.o", "kernel_old.o", "kernel_new.o", "kernel_ambiguous.o"] {
        let made = std::fs::read(rebuilt.path().join(name)).expect("it was built");
        assert!(made == bytes(name), "{name} is out of date: run build.sh");
    }
}
