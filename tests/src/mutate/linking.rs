//! Links mutated objects, and prints their types: results are objects again, and of bounded size.

use brolga_compiler::btf::{Btf, Ext, dump};
use brolga_compiler::elf::Elf;
use brolga_compiler::linker::{Input, link};

/// What comes of bytes alone and beside another object.
pub(super) fn judge(bytes: &[u8], other: &[u8]) -> Vec<&'static str> {
    let mut outcomes = Vec::new();
    let alone = [Input { name: "alone", bytes }];
    let (first, second) = (Input { name: "first", bytes }, Input { name: "second", bytes: other });
    outcomes.push(if links(&alone) { "links alone" } else { "does not link alone" });
    let both = links(&[first, second]) || links(&[second, first]);
    outcomes.push(if both { "links with another" } else { "does not link with another" });
    if let Some(btf) = types(bytes) {
        outcomes.push(match dump::c(&btf) {
            Ok(text) => {
                assert!(text.len() <= 3 * bytes.len() + (9 << 20), "{} bytes of C", text.len());
                "types print"
            }
            Err(_) => "types do not print",
        });
    }
    outcomes
}

fn links(inputs: &[Input<'_>]) -> bool {
    let len: usize = inputs.iter().map(|input| input.bytes.len()).sum();
    match link(inputs) {
        Ok(result) => {
            assert!(result.len() <= 16 * len + (4 << 20), "{} bytes of {len}", result.len());
            let elf = Elf::parse(&result).unwrap_or_else(|e| panic!("the result is no object: {e}"));
            for (_, section) in elf.sections_with_index() {
                let data = section.data().unwrap_or_else(|e| panic!("`{}`: {e}", section.name));
                match section.name {
                    ".BTF" => drop(Btf::parse(data).unwrap_or_else(|e| panic!("the result: {e}"))),
                    ".BTF.ext" => drop(Ext::parse(data).unwrap_or_else(|e| panic!("the result: {e}"))),
                    _ => {}
                }
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "every error says something");
            false
        }
    }
}

/// The types of an object.
pub(super) fn types(bytes: &[u8]) -> Option<Btf> {
    let elf = Elf::parse(bytes).ok()?;
    let (_, section) = elf.section_by_name(".BTF")?;
    Btf::parse(section.data().ok()?).ok()
}
