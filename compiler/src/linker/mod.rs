//! Links BPF objects to one, as `bpftool gen object` does.
//!
//! Sections of one name are put behind each other (`sections`); global symbols are resolved
//! across files where their types agree (`symbols`, `compat`), static ones stay apart;
//! relocations move along (`relocs`); types become one BTF without duplicates (`types`). What no
//! file defines stays external, so that libraries can be linked again.
//!
//! Nothing is loaded, checked or changed beyond that: the result means what its parts mean. Every
//! refusal names the files that are at odds. What comes out is bounded by what goes in.

mod compat;
mod error;
mod input;
mod map_def;
mod relocs;
mod sections;
mod symbols;
#[cfg(test)]
mod tests;
mod types;
mod write;

pub use error::{LinkError, Problem};

use crate::btf::Btf;
use input::Object;

/// An object to be linked.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// How errors call it.
    pub name: &'a str,
    /// The object.
    pub bytes: &'a [u8],
}

/// How much larger than its parts the result may become: sections may be padded, and tables name
/// strings that overlap.
const GROWTH: usize = 4;

/// Bytes by which any result may be larger.
const SLACK: usize = 1 << 20;

/// Links objects to one. Where a symbol is defined weakly in several, the first one counts.
///
/// # Errors
///
/// Where a file is invalid, or two of them do not fit together.
pub fn link(inputs: &[Input<'_>]) -> Result<Vec<u8>, LinkError> {
    let Some(first) = inputs.first() else { return Err(Problem::Nothing.of("")) };
    let bytes = inputs.iter().fold(0, |sum: usize, input| sum.saturating_add(input.bytes.len()));
    let limit = bytes.saturating_mul(GROWTH).saturating_add(SLACK);

    let btfs: Vec<Option<Btf>> = inputs.iter().map(input::types).collect::<Result<_, _>>()?;
    let objects: Vec<Object<'_>> = inputs
        .iter()
        .zip(&btfs)
        .map(|(input, btf)| Object::read(input, btf.as_ref()))
        .collect::<Result<_, _>>()?;
    let endianness = objects[0].elf.endianness;
    if let Some(other) = objects.iter().find(|object| object.elf.endianness != endianness) {
        return Err(Problem::ByteOrder.between(other.name, first.name));
    }
    let mut sections = sections::merge(&objects, limit)?;
    let symbols = symbols::resolve(&objects, &sections)?;
    let relocs = relocs::merge(&objects, &mut sections, &symbols)?;
    let types = types::merge(&objects, &sections, &symbols, limit)?;
    write::write(endianness, &sections, &symbols, &relocs, types.as_ref(), limit)
}
