//! Objects whose programs say in tags what is expected of them: `accepted`, or `refused=CODE=MESSAGE`.
//!
//! A tag is a declaration tag of the function in the BTF. Every program must have one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use brolga_compiler::btf::{Btf, Kind};

use crate::repo;

/// Where they are.
pub const DIRECTORY: &str = "tests/cases/verify/graph";

/// The object among them whose types are taken for a kernel's.
pub const KERNEL: &str = "kernel.bpf.o";

/// What is expected of a program: to be accepted, or the name of a code and a part of the message.
pub type Expected = Option<(String, String)>;

/// The objects.
#[must_use]
pub fn objects() -> Vec<PathBuf> {
    let files = repo::files(DIRECTORY, &["o"]);
    files.into_iter().filter(|path| path.file_name().is_none_or(|name| name != KERNEL)).collect()
}

/// What the tags of functions say.
///
/// # Panics
///
/// Where a tag is none of these, or a function has two.
#[must_use]
pub fn expectations(btf: &Btf) -> BTreeMap<String, Expected> {
    let mut all = BTreeMap::new();
    for tag in btf.ids().filter_map(|id| btf.get(id).ok()).filter(|ty| ty.kind() == Kind::DeclTag) {
        let function = btf.get(tag.referenced()).expect("a tag is attached to something");
        if function.kind() != Kind::Func {
            continue;
        }
        let name = function.name().expect("functions have names").to_owned();
        let text = tag.name().expect("tags have text");
        let expected = match text.split('=').collect::<Vec<_>>()[..] {
            ["accepted"] => None,
            ["refused", code, ref message @ ..] => Some((code.to_owned(), message.join("="))),
            _ => panic!("{name}: {text}"),
        };
        assert!(all.insert(name.clone(), expected).is_none(), "{name} has two tags");
    }
    all
}
