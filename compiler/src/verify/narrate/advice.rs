//! What to do instead, where a finding is about the way a thing is used and not about a number.
//!
//! One function a kind of mistake, as in `words`. Each could be wrong only by advising what does not help: what the
//! program was meant to do is guessed from what it does.

use brolga_abi::HelperId;
use brolga_abi::maps::{LINUX_MAP_KINDS, LinuxMapKind, linux_map_kind};

use super::words::{callee, leave, range};
use super::{Story, names};
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Insn, Reg};
use crate::verify::explore::Explorer;
use crate::verify::privilege::looks_at_kernel;
use crate::verify::value::Kind;

/// Most names that are listed.
const MAX_LISTED: usize = 6;

/// Adds help that depends on the code alone.
pub(super) fn of_value(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    if found.help.is_some() {
        return found;
    }
    match (found.code, story.value.kind) {
        (Code::ModifiedContext, Kind::Context) => found.help(
            "access the fields of the context by name through the pointer that the program was given: offsets must be \
             constants",
        ),
        (Code::Dynptr, Kind::Stack { .. }) if found.message.starts_with("Expected an initialized dynptr") => found.help(
            "make the dynptr first, with `bpf_dynptr_from_mem`, `bpf_ringbuf_reserve_dynptr`, or the like, and use it \
             no more when it was submitted or discarded",
        ),
        (Code::SpecialField, Kind::MapValue(_)) if found.message.ends_with("by load/store") => found.help(
            "set the other members one by one: neither `memset` nor the assignment of a whole structure may touch \
             this one",
        ),
        (Code::SpecialField, Kind::MapValue(_)) if found.message == "store to referenced kptr disallowed" => found.help(
            "store it with `bpf_kptr_xchg`, and give back what that returns, which was there before, if it is not null",
        ),
        (Code::StructureAccess, Kind::Btf(_)) if found.message == "only read is supported" => {
            found.help("programs may read structures of the kernel, and write none of their members")
        }
        _ => found,
    }
}

/// Memory is accessed through what is no pointer.
pub(super) fn no_pointer(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let (explorer, value) = (story.explorer, &story.value);
    let Some(root) = story.root().filter(|_| value.is_scalar()) else { return found };
    let called = story.called();
    let maker = callee(explorer, root);
    // It was a pointer until a call.
    let lost = value.origin.filter(|&at| at != root && value.num.is_unknown());
    if let Some((at, callee)) = lost.and_then(|at| Some((at, callee(explorer, at)?))) {
        let found = found.label(format!("{called} is no longer a pointer here")).note(
            Some(at),
            format!("it was a pointer until this call of `{callee}`: what it pointed to may be gone"),
        );
        return match found.help {
            Some(_) => found,
            None => found.help(format!("use it before the call of `{callee}`")),
        };
    }
    if let Some(maker) = maker {
        let next = maker.starts_with("bpf_iter_") && maker.ends_with("_next");
        return if next && value.num.as_constant() == Some(0) {
            let found = found.label(format!("what `{maker}` returns is null here"));
            found
                .help("ask each time: it returns null when there is nothing more")
                .repair(format!("while ((pointer = {maker}(&iterator)))\n\t..."))
        } else {
            found
        };
    }
    let loaded = matches!(story.insn(root), Insn::Load { .. });
    if found.help.is_none() && loaded && value.num.as_constant().is_none() && looks_at_kernel(explorer.kind) {
        return found.help(
            "what is read from memory is a number to the verifier, not an address: read what it leads to with \
             `bpf_probe_read_kernel`, or with `bpf_probe_read_user` if it is of user space",
        );
    }
    found
}

/// A number that may be negative is added to a pointer.
pub(super) fn negative(story: &Story<'_, '_>, number: Reg, found: Diagnostic) -> Diagnostic {
    let explorer = story.explorer;
    let line = explorer.program.line_of(explorer.at);
    let name = line.as_ref().and_then(names::index).filter(|name| names::is_name(name));
    let called = name.map_or_else(|| number.to_string(), str::to_owned);
    let may = range(&explorer.state.reg(number).num);
    let found = found
        .label(format!("`{called}` is added to a pointer and may be {may}"))
        .help(format!("it may be negative: make `{called}` unsigned, or leave where it is below 0"));
    match name {
        Some(name) => found.repair(format!("if ({name} < 0)\n\t{}", leave(explorer))),
        None => found,
    }
}

/// A key is handed over for a map that has none.
pub(super) fn keyless(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let explorer = story.explorer;
    match explorer.state.reg(Reg::R1).kind {
        Kind::Map(map) if explorer.map(map).key_size == 0 => {
            let name = explorer.map(map).name.clone();
            map_kinds(explorer, found.label(format!("the map `{name}` has no keys")))
        }
        _ => found,
    }
}

/// A helper is given a map of a kind that is not its own.
pub(super) fn map_helper(explorer: &Explorer<'_>, found: Diagnostic) -> Diagnostic {
    let Some((name, kind)) = given_map(explorer).filter(|_| found.message.starts_with("cannot pass")) else {
        return found;
    };
    map_kinds(explorer, found.label(format!("`{name}` is a map of the kind {}", kind.name)))
}

/// The map that a function is given, and the row of its kind.
fn given_map<'e>(explorer: &'e Explorer<'_>) -> Option<(&'e str, &'static LinuxMapKind)> {
    let arguments = Reg::all().filter(|reg| (1..=5).contains(&reg.number()));
    let mut maps = arguments.filter_map(|reg| match explorer.state.reg(reg).kind {
        Kind::Map(map) => Some(explorer.map(map)),
        _ => None,
    });
    let map = maps.next()?;
    Some((&map.name, linux_map_kind(map.kind.number())?))
}

/// Help: which maps the helper takes, and which helpers the map.
fn map_kinds(explorer: &Explorer<'_>, found: Diagnostic) -> Diagnostic {
    let Insn::Call(CallTarget::Helper(number)) = explorer.program.insns[explorer.at.index()] else {
        return found;
    };
    let (Some(helper), Some((_, kind))) = (HelperId::from_number(number), given_map(explorer)) else {
        return found;
    };
    let takers: Vec<&str> =
        LINUX_MAP_KINDS.iter().filter(|kind| kind.takes(helper)).map(|kind| kind.name).collect();
    let takes = (1..=MAX_LISTED)
        .contains(&takers.len())
        .then(|| format!("`{}` takes maps of the kind {}", helper.info().name, takers.join(", ")));
    let own = kind.own_helpers().map(|helpers| {
        let names: Vec<String> =
            helpers.iter().take(MAX_LISTED).map(|helper| format!("`{}`", helper.info().name)).collect();
        let more = if helpers.len() > MAX_LISTED { " and others" } else { "" };
        format!("maps of the kind {} are for {}{more}", kind.name, names.join(", "))
    });
    match [takes, own].into_iter().flatten().collect::<Vec<_>>() {
        help if help.is_empty() => found,
        help => found.help(help.join("; ")),
    }
}
