//! BTF printed as C compiles, and clang lays every structure out as the BTF says.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use brolga_compiler::btf::{Btf, Kind, TypeId, dump};
use brolga_compiler::elf::Elf;
use brolga_tests::repo;

/// Where a kernel shows its types.
const KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// Says that a test was skipped, which CI does not allow.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing, and CI must have it");
    eprintln!("skipped: {what} is missing");
}

fn clang() -> String {
    std::env::var("CLANG").unwrap_or_else(|_| "clang-19".to_owned())
}

fn has_clang() -> bool {
    Command::new(clang()).arg("--version").output().is_ok()
}

/// Assertions on the sizes and offsets of all structures and unions whose name is theirs alone.
fn assertions(btf: &Btf) -> String {
    let mut tagged: HashMap<&str, Vec<TypeId>> = HashMap::new();
    for ty in btf.ids().map(|id| btf.get(id).expect("valid")) {
        if matches!(ty.kind(), Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64) {
            tagged.entry(ty.name().expect("valid")).or_default().push(ty.id());
        }
    }
    let mut text = String::new();
    for (name, ids) in tagged.iter().filter(|(name, ids)| !name.is_empty() && ids.len() == 1) {
        let ty = btf.get(ids[0]).expect("valid");
        let word = match ty.kind() {
            Kind::Struct => "struct",
            Kind::Union => "union",
            _ => continue,
        };
        writeln!(text, "_Static_assert(sizeof({word} {name}) == {}, \"{name}\");", ty.size()).unwrap();
        for member in ty.members().filter(|m| m.bit_size == 0 && m.bit_offset.is_multiple_of(8)) {
            let member_name = btf.str(member.name).expect("valid");
            let bits = btf.unqualified(member.ty).expect("valid").int().map_or(0, |int| int.bits);
            if !member_name.is_empty() && bits.is_multiple_of(8) {
                let (at, field) = (member.bit_offset / 8, format!("{name}, {member_name}"));
                writeln!(text, "_Static_assert(__builtin_offsetof({word} {field}) == {at}, \"{field}\");")
                    .unwrap();
            }
        }
    }
    text
}

/// Compiles a header with assertions after it.
fn compile(what: &str, btf: &Btf) -> usize {
    let header = dump::c(btf).unwrap_or_else(|e| panic!("{what}: {e}"));
    let assertions = assertions(btf);
    let mut clang = Command::new(clang())
        .args(["--target=bpf", "-std=gnu11", "-x", "c", "-fsyntax-only", "-ferror-limit=5", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("clang starts");
    let mut input = clang.stdin.take().expect("a pipe");
    // An error shows when clang ends.
    let _ = input.write_all(header.as_bytes()).and_then(|()| input.write_all(assertions.as_bytes()));
    drop(input);
    let output = clang.wait_with_output().expect("clang ends");
    assert!(output.status.success(), "{what}:\n{}", String::from_utf8_lossy(&output.stderr));
    assertions.lines().count()
}

fn of_object(path: &Path) -> Option<Btf> {
    let bytes = std::fs::read(path).expect("checked in");
    let elf = Elf::parse(&bytes).expect("an object");
    let (_, section) = elf.section_by_name(".BTF")?;
    Some(Btf::parse(section.data().expect("in the file")).expect("valid"))
}

#[test]
fn types_of_objects_compile_with_their_layout() {
    if !has_clang() {
        return skip("clang");
    }
    let mut count = 0;
    for path in ["tests/cases", "examples", "benches"].iter().flat_map(|dir| repo::files(dir, &["o"])) {
        count += of_object(&path).map_or(0, |btf| compile(&repo::name(&path), &btf));
    }
    assert!(count > 100, "only {count} sizes and offsets were compared");
}

#[test]
fn types_of_the_kernel_compile_with_their_layout() {
    if !has_clang() {
        return skip("clang");
    }
    let Ok(bytes) = std::fs::read(KERNEL) else {
        eprintln!("skipped: this kernel shows no types");
        return;
    };
    let count = compile(KERNEL, &Btf::parse_owned(bytes).expect("valid"));
    assert!(count > 10_000, "only {count} sizes and offsets were compared");
}
