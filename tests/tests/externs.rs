//! Externs are resolved as libbpf resolves them: configuration values, kernel variables, symbols and functions.

use std::sync::Arc;

use brolga_compiler::btf::{Btf, Kind, TypeId};
use brolga_compiler::diag::Code;
use brolga_compiler::isa::{CallTarget, Imm64, Insn};
use brolga_compiler::program::{
    ConfigType, Extern, ExternKind, Kernel, KernelConfig, KernelSymbols, KernelTypes, KernelVersion,
    LoadOptions, Object, POISON_CALL, Program, Resolution, Target, load,
};
use brolga_tests::repo;
use object::{Object as _, ObjectSection as _};

fn bytes(name: &str) -> Vec<u8> {
    let path = repo::root().join("tests/cases/programs/load").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The types of an object, to be taken for a kernel's.
fn types(name: &str) -> Arc<Btf> {
    let file = bytes(name);
    let parsed = object::File::parse(&*file).expect("clang writes ELF");
    let section = parsed.section_by_name(".BTF").expect("compiled with -g");
    Arc::new(Btf::parse(section.data().expect("in the file")).expect("clang writes BTF"))
}

fn kernel() -> Kernel {
    let modules = [("other", "unsupported.bpf.o"), ("module", "module.bpf.o")];
    let modules = modules.map(|(name, object)| (name.to_owned(), types(object)));
    Kernel { vmlinux: types("kernel.bpf.o"), modules: modules.into() }
}

fn target() -> Target {
    let config = "CONFIG_BASE=0xffff800000000000\nCONFIG_SHORT=-2\nCONFIG_NAME=\"a long name\"\n\
                  CONFIG_LETTER=m\nCONFIG_YES=y\nCONFIG_MODULE=m\nCONFIG_HZ=250\nCONFIG_HZ=1000\n";
    let symbols = "ffffffff81000000 T start_of_kernel\n\
                   ffffffff82000000 t twice\nffffffff83000000 t twice\n";
    Target {
        types: KernelTypes::Kernel(Arc::new(kernel())),
        config: Some(Arc::new(KernelConfig::parse(config))),
        version: KernelVersion::new(6, 12, 1),
        symbols: Some(Arc::new(KernelSymbols::parse(symbols))),
    }
}

fn externs(target: Target) -> Object {
    load(&bytes("externs.bpf.o"), &LoadOptions { target, ..LoadOptions::default() }).expect("loads")
}

fn program<'o>(object: &'o Object, name: &str) -> &'o Program {
    object.programs.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no program `{name}`"))
}

fn external<'o>(object: &'o Object, name: &str) -> &'o Extern {
    object.externs.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("no extern `{name}`"))
}

/// The code and message of a program's only finding.
fn finding<'o>(object: &'o Object, name: &str) -> (Code, &'o str) {
    let findings = &program(object, name).findings;
    assert_eq!(findings.len(), 1, "{name}: {findings:?}");
    (findings[0].code, &findings[0].message)
}

/// The 64-bit immediates of a program that are no global data of the object's own.
fn addresses(program: &Program) -> Vec<Imm64> {
    let imms = program.insns.iter().filter_map(|insn| match insn {
        Insn::LoadImm64 { imm, .. } => Some(*imm),
        _ => None,
    });
    let own = |imm: &Imm64| match imm {
        Imm64::MapIdxValue { index, .. } => program.maps[*index as usize].name != ".kconfig",
        _ => false,
    };
    imms.filter(|imm| !own(imm)).collect()
}

fn calls(program: &Program) -> Vec<CallTarget> {
    let calls = program.insns.iter().filter_map(|insn| match insn {
        Insn::Call(target) => Some(*target),
        _ => None,
    });
    calls.collect()
}

#[test]
fn configuration_values_are_a_map_laid_out_as_libbpf_does() {
    let object = externs(target());
    let map = object.maps.last().expect("there are maps");
    assert_eq!((map.name.as_str(), map.value_size), (".kconfig", 36));
    let global = map.global.as_ref().expect("global data");
    assert!(global.readonly);
    let places: Vec<(&str, u32, u32)> =
        global.variables.iter().map(|v| (v.name.as_str(), v.offset, v.size)).collect();
    let expected = [
        ("CONFIG_BASE", 0, 8),
        ("CONFIG_HZ", 8, 4),
        ("CONFIG_MODULE", 12, 4),
        ("LINUX_KERNEL_VERSION", 16, 4),
        ("CONFIG_SHORT", 20, 2),
        ("CONFIG_LETTER", 22, 1),
        ("CONFIG_YES", 23, 1),
        ("LINUX_HAS_BPF_COOKIE", 24, 1),
        ("LINUX_HAS_WHAT_NOBODY_KNOWS", 25, 1),
        ("CONFIG_NAME", 26, 10),
    ];
    assert_eq!(places, expected);
    assert_eq!(object.global("CONFIG_BASE").expect("a variable"), 0xffff_8000_0000_0000_u64.to_le_bytes());
    assert_eq!(object.global("CONFIG_HZ").expect("a variable"), 250_u32.to_le_bytes());
    assert_eq!(object.global("CONFIG_MODULE").expect("a variable"), 2_u32.to_le_bytes());
    assert_eq!(object.global("LINUX_KERNEL_VERSION").expect("a variable"), 0x06_0c01_u32.to_le_bytes());
    assert_eq!(object.global("CONFIG_SHORT").expect("a variable"), (-2_i16).to_le_bytes());
    assert_eq!(object.global("CONFIG_LETTER").expect("a variable"), b"m");
    assert_eq!(object.global("CONFIG_YES").expect("a variable"), [1]);
    assert_eq!(object.global("LINUX_HAS_BPF_COOKIE").expect("a variable"), [1]);
    assert_eq!(object.global("LINUX_HAS_WHAT_NOBODY_KNOWS").expect("a variable"), [0]);
    assert_eq!(object.global("CONFIG_NAME").expect("a variable"), b"a long na\0");
    let index = u32::try_from(object.maps.len() - 1).expect("few");
    let at = |off| Imm64::MapIdxValue { index, off };
    let config = program(&object, "config");
    assert_eq!(addresses(config), [16, 24, 25, 0, 20, 26, 22, 23, 12].map(at));
    assert_eq!(config.findings, []);
    let unset = external(&object, "LINUX_HAS_WHAT_NOBODY_KNOWS");
    assert_eq!(unset.resolution, Resolution::Absent);
    let kind = ExternKind::Config { ty: ConfigType::Int { signed: true }, offset: 20, size: 2 };
    assert_eq!(external(&object, "CONFIG_SHORT").kind, kind);
}

#[test]
fn a_value_that_nobody_sets_is_zero_where_it_is_weak() {
    let object = externs(Target::default());
    assert_eq!(program(&object, "config").findings, []);
    assert_eq!(object.global("CONFIG_BASE").expect("a variable"), [0; 8]);
    assert_eq!(object.global("LINUX_KERNEL_VERSION").expect("a variable"), 0x06_1200_u32.to_le_bytes());
    let (code, message) = finding(&object, "strong_config");
    assert_eq!(code, Code::UnsupportedRelocation, "nobody said what the kernel's configuration is");
    assert!(message.contains("`CONFIG_HZ`"), "{message}");

    let empty = Target { config: Some(Arc::default()), ..Target::default() };
    let object = externs(empty);
    assert_eq!(finding(&object, "strong_config").0, Code::UnresolvedExtern);
}

#[test]
fn a_value_that_does_not_fit_its_type_is_missing_even_where_it_is_weak() {
    let config = KernelConfig::parse("CONFIG_SHORT=40000\nCONFIG_HZ=y\n");
    let object = externs(Target { config: Some(Arc::new(config)), ..Target::default() });
    let (code, message) = finding(&object, "config");
    assert_eq!(code, Code::UnresolvedExtern);
    assert!(message.contains("`CONFIG_SHORT`") && message.contains("0x9c40"), "{message}");
    let (_, message) = finding(&object, "strong_config");
    assert!(message.contains("needs a bool"), "{message}");
}

#[test]
fn typed_variables_are_found_in_the_kernel_and_its_modules() {
    let (object, kernel) = (externs(target()), kernel());
    let id = |btf: &Btf, name| btf.find(Kind::Var, name).expect("defined there");
    let reference = |TypeId(id), btf_fd| Imm64::BtfId { id: id.cast_signed(), btf_fd };
    let expected = [
        reference(id(&kernel.vmlinux, "kernel_number"), 0),
        reference(id(&kernel.vmlinux, "kernel_counter"), 0),
        reference(id(&kernel.modules[1].1, "module_number"), 1),
        Imm64::Value(0),
    ];
    let variables = program(&object, "variables");
    assert_eq!(addresses(variables), expected);
    assert_eq!(*variables.modules, [1], "the second module of the kernel");
    assert_eq!(finding(&object, "strong_variable").0, Code::UnresolvedExtern);
    let (code, message) = finding(&object, "wrong_variable");
    assert_eq!(code, Code::UnresolvedExtern);
    assert!(message.contains("another type"), "{message}");
}

#[test]
fn untyped_symbols_are_addresses() {
    let object = externs(target());
    let expected = [Imm64::Value(0xffff_ffff_8100_0000), Imm64::Value(0)];
    assert_eq!(addresses(program(&object, "symbols")), expected);
    assert_eq!(external(&object, "missing_symbol").resolution, Resolution::Absent);
    let (code, message) = finding(&object, "ambiguous_symbol");
    assert_eq!(code, Code::UnresolvedExtern);
    assert!(message.contains("several"), "{message}");
    let (code, _) = finding(&externs(Target { symbols: None, ..target() }), "symbols").to_owned();
    assert_eq!(code, Code::UnsupportedRelocation, "nobody said where the kernel's symbols are");
}

#[test]
fn kernel_functions_are_calls_by_type() {
    let (object, kernel) = (externs(target()), kernel());
    let id = |btf: &Btf, name| btf.find(Kind::Func, name).expect("defined there").0.cast_signed();
    let add = CallTarget::Kfunc { id: id(&kernel.vmlinux, "kernel_add"), module: 0 };
    let module = CallTarget::Kfunc { id: id(&kernel.modules[1].1, "module_add"), module: 1 };
    assert_eq!(calls(program(&object, "functions")), [add, add, module]);
    let (code, message) = finding(&object, "strong_function");
    assert_eq!(code, Code::UnresolvedExtern);
    assert!(message.contains("`strong_missing_add`"), "{message}");
}

#[test]
fn weak_functions_that_are_missing_have_no_address_and_calls_that_no_verifier_accepts() {
    let object = externs(target());
    let weak = program(&object, "weak_functions");
    assert_eq!(weak.findings, []);
    assert_eq!(addresses(weak), [Imm64::Value(0), Imm64::Value(0)]);
    let index = |name| object.externs.iter().position(|e| e.name == name).expect("an extern");
    let poison = |name| CallTarget::Helper(POISON_CALL + u32::try_from(index(name)).expect("few"));
    assert_eq!(calls(weak), [poison("missing_add"), poison("kernel_add___wrong")]);
    assert!(brolga_compiler::verify::verify(weak, &brolga_compiler::verify::Options::default()).is_ok());
}

#[test]
fn without_a_kernel_only_programs_that_need_it_are_refused() {
    let object = externs(Target::default());
    for name in ["variables", "symbols", "functions", "strong_variable", "strong_function"] {
        let findings = &program(&object, name).findings;
        assert!(
            !findings.is_empty() && findings.iter().all(|f| f.code == Code::UnsupportedRelocation),
            "{name}"
        );
    }
    assert_eq!(program(&object, "weak_functions").findings, []);
}
