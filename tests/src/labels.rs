//! What the kernel's selftests say of their programs, in declaration tags of the BTF: whether Linux accepts them, and what
//! they return.
//!
//! The labels are those of Linux 6.12; a later kernel may judge otherwise. Differences that are known stand with their
//! reasons in `tests/labels/known.txt`.

use std::collections::BTreeMap;

use brolga_compiler::btf::{Btf, Kind};
use brolga_compiler::program::Program;
use brolga_compiler::verify::{Alignment, Options, verify};

use crate::repo;

/// What the tests' loader takes a name in `__retval` for.
const CONSTANTS: &[(&str, u32)] = &[("TEST_DATA_LEN", DATA_LEN), ("INT_MIN", 1 << 31)];

/// Bytes of zeros on which the tests' loader runs programs.
pub const DATA_LEN: u32 = 64;

/// What the tags of one function say.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// A privileged loader may load it.
    pub success: bool,
    /// A privileged loader may not.
    pub failure: bool,
    /// One without privileges may, or may not, where that is said.
    pub unprivileged: Option<bool>,
    /// Flags with which it is loaded.
    pub flags: Vec<String>,
    /// What the kernel's log says, as patterns.
    pub messages: Vec<String>,
    /// Machines for which the labels hold; empty for all.
    pub archs: Vec<String>,
    /// What it returns on [`DATA_LEN`] bytes of zeros. `None` also where any value will do.
    pub retval: Option<u32>,
}

impl Labels {
    /// Whether they say anything about loading by a privileged loader on x86-64.
    #[must_use]
    pub fn apply(&self) -> bool {
        (self.success || self.failure) && self.hold_here()
    }

    /// Whether they are for x86-64.
    #[must_use]
    pub fn hold_here(&self) -> bool {
        self.archs.is_empty() || self.archs.iter().any(|a| a == "X86_64")
    }

    /// Options that the flags ask for.
    #[must_use]
    pub fn options(&self) -> Options {
        let strict = self.flags.iter().any(|f| f == "BPF_F_STRICT_ALIGNMENT" || f == "1");
        let alignment = if strict { Alignment::Strict } else { Alignment::Natural };
        Options { alignment, ..Options::default() }
    }
}

/// The labels of an object's functions, by name.
#[must_use]
pub fn labels(btf: &Btf) -> BTreeMap<String, Labels> {
    let mut all: BTreeMap<String, Labels> = BTreeMap::new();
    for id in btf.ids() {
        let Ok(tag) = btf.get(id) else { continue };
        if tag.kind() != Kind::DeclTag {
            continue;
        }
        let (Ok(text), Ok(func)) = (tag.name(), btf.get(tag.referenced())) else { continue };
        let (Some(text), Ok(name)) = (text.strip_prefix("comment:"), func.name()) else { continue };
        let known = all.entry(name.to_owned()).or_default();
        match text.split_once('=') {
            None if text == "test_expect_success" => known.success = true,
            None if text == "test_expect_failure" => known.failure = true,
            None if text == "test_expect_success_unpriv" => known.unprivileged = Some(true),
            None if text == "test_expect_failure_unpriv" => {
                known.unprivileged.get_or_insert(false);
            }
            Some(("test_prog_flags", flag)) => known.flags.push(flag.to_owned()),
            Some(("test_arch", arch)) => known.archs.push(arch.to_owned()),
            Some(("test_retval", value)) => known.retval = number(value),
            Some(("test_expect_msg", message)) => {
                known.messages.push(message.split_once('=').map_or(message, |m| m.1).to_owned());
            }
            None | Some(_) => {}
        }
    }
    all
}

fn number(text: &str) -> Option<u32> {
    if let Some((_, value)) = CONSTANTS.iter().find(|(name, _)| *name == text) {
        return Some(*value);
    }
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned)),
    }
}

/// Programs whose verdict is known to differ, with the reasons. Names are of the form `object: program`.
#[must_use]
pub fn known() -> BTreeMap<String, String> {
    repo::reasons("tests/labels/known.txt")
}

/// Brolga's verdict beside the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same.
    Agrees,
    /// Accepted, though labelled as failing.
    OnlyBrolga,
    /// Refused with this message, though labelled as loading.
    OnlyLinux(String),
    /// Brolga cannot judge it: why.
    Unsupported(String),
}

/// Judges a program as its labels ask.
#[must_use]
pub fn judge(program: &Program, labels: &Labels) -> Verdict {
    match verify(program, &labels.options()) {
        Ok(_) if labels.success => Verdict::Agrees,
        Ok(_) => Verdict::OnlyBrolga,
        Err(rejection) => {
            let unsupported = rejection.unsupported();
            let first = unsupported.unwrap_or(&rejection.diagnostics[0]);
            let at = first.insn.map_or_else(String::new, |insn| format!("insn {}: ", insn.0));
            let text = format!("{at}{}", first.message);
            match unsupported {
                Some(diagnostic) => Verdict::Unsupported(diagnostic.message.clone()),
                None if labels.failure => Verdict::Agrees,
                None => Verdict::OnlyLinux(text),
            }
        }
    }
}
