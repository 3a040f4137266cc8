//! What an object says once it is loaded, without what two linkers may order differently.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use brolga_compiler::isa::{Imm64, Insn};
use brolga_compiler::program::{MapDef, Object, Program};

/// Programs, maps and globals by name, as text to be compared.
#[must_use]
pub fn view(object: &Object) -> BTreeMap<String, String> {
    let programs = object.programs.iter().map(|p| (format!("program {}", p.name), program(p)));
    let maps = object.maps.iter().map(|map| (format!("map {}", map.name), map_view(object, map)));
    let mut view: BTreeMap<String, String> = programs.chain(maps).collect();
    view.insert("license".to_owned(), object.license.clone());
    view
}

fn program(program: &Program) -> String {
    let mut text = format!("{} {:?} {:?}\n", program.section, program.kind, program.attach);
    let map = |index: u32| program.maps.get(index as usize).map_or("none", |map| map.name.as_str());
    for insn in &program.insns {
        let line = match insn {
            Insn::LoadImm64 { dst, imm: Imm64::MapIdx(index) } => format!("{dst:?} = map {}", map(*index)),
            Insn::LoadImm64 { dst, imm: Imm64::MapIdxValue { index, off } } => {
                format!("{dst:?} = value of {} + {off}", map(*index))
            }
            other => format!("{other:?}"),
        };
        writeln!(text, "{line}").expect("text grows");
    }
    for subprog in &program.subprogs {
        let (name, params) = (&subprog.name, &subprog.params);
        writeln!(text, "{name} at {:?}: {} {params:?}", subprog.start, subprog.global).expect("text grows");
    }
    for line in program.lines.iter() {
        writeln!(text, "{:?}: {}:{} {}", line.insn, line.file, line.line, line.text).expect("text grows");
    }
    for finding in &program.findings {
        writeln!(text, "{}", finding.message).expect("text grows");
    }
    text
}

fn map_view(object: &Object, map: &MapDef) -> String {
    let size = |id| object.btf.as_ref().and_then(|btf| btf.size_of(id).ok());
    // Compilers leave the sizes of data sections to the linker.
    let value_type = map.value_type.filter(|_| map.global.is_none());
    let mut text = format!(
        "{} key {} {:?} value {} {:?} max {} flags {:#x} pinned {} programs {:?}\n",
        map.kind,
        map.key_size,
        map.key_type.map(size),
        map.value_size,
        value_type.map(size),
        map.max_entries,
        map.flags,
        map.pinned,
        map.initial_programs,
    );
    if let Some(data) = &map.global {
        writeln!(text, "{:?} readonly {}", data.initial, data.readonly).expect("text grows");
        for variable in &data.variables {
            let (name, ty) = (&variable.name, variable.ty.map(size));
            writeln!(text, "{name} at {} size {} {ty:?}", variable.offset, variable.size)
                .expect("text grows");
        }
    }
    text
}

/// Fails where two objects do not say the same.
///
/// # Panics
///
/// With the first difference.
pub fn assert_same(what: &str, ours: &Object, theirs: &Object) {
    let (ours, theirs) = (view(ours), view(theirs));
    let (names, others): (Vec<_>, Vec<_>) = (ours.keys().collect(), theirs.keys().collect());
    assert_eq!(names, others, "{what}");
    for (name, text) in &ours {
        assert_eq!(text, &theirs[name], "{what}: {name}");
    }
}
