//! Labels, notes, help and repairs, by code.
//!
//! One function a kind of mistake. Where a code has none, the value at fault is described and that is all.

use brolga_abi::{HelperId, MapKind, ProgramKind};

use super::names;
use super::source::{Origin, history, operand};
use super::{Story, advice, bounds};
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Insn, InsnIdx, Operand, Reg};
use crate::verify::explore::Explorer;
use crate::verify::scalar::Scalar;
use crate::verify::stack::Byte;
use crate::verify::value::{Kind, MemoryOwner, Value};

/// Adds words to a finding about what a register holds.
pub(super) fn of_value(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    match found.code {
        Code::NullMapValue | Code::NullPointer => null(story, found),
        Code::PacketBounds => bounds::packet(story, found),
        Code::MapValueBounds
        | Code::MemoryBounds
        | Code::StackBounds
        | Code::UnboundedAccess
        | Code::NegativeOffset => bounds::sized(story, found),
        Code::ArgumentSize => bounds::length(story, found),
        Code::ReturnValue => returned(story, found),
        Code::PointerArithmetic | Code::PointerOffset => arithmetic(story, found),
        Code::UninitRegister => uninit(story, found),
        Code::UninitStack => unwritten(story, found),
        Code::InvalidMemAccess => made(story, advice::no_pointer(story, found)),
        _ => made(story, advice::of_value(story, found)),
    }
}

/// Adds words to a finding about an instruction, or about none.
pub(super) fn of_place(explorer: &Explorer<'_>, found: Diagnostic) -> Diagnostic {
    match found.code {
        Code::Reference => leaked(explorer, found),
        Code::InfiniteLoop | Code::TooComplex => endless(explorer, found),
        Code::HelperNotAllowed => other_helper(explorer, found),
        Code::MapHelper => advice::map_helper(explorer, found),
        Code::GplOnlyHelper => found
            .label("this function is for programs under the GPL, and the object does not say that it is")
            .repair("char LICENSE[] SEC(\"license\") = \"GPL\";"),
        _ => found,
    }
}

/// What a program does that leaves: `return XDP_PASS;`.
pub(super) fn leave(explorer: &Explorer<'_>) -> &'static str {
    if explorer.state.depth() > 0 || explorer.entry.0.subprog != crate::program::SubprogId::MAIN {
        return "return 0;";
    }
    match explorer.kind {
        ProgramKind::Xdp => "return XDP_PASS;",
        ProgramKind::SchedCls | ProgramKind::SchedAct => "return TC_ACT_OK;",
        ProgramKind::SkSkb | ProgramKind::SkMsg | ProgramKind::SkReuseport | ProgramKind::SkLookup => {
            "return SK_PASS;"
        }
        ProgramKind::CgroupSkb
        | ProgramKind::CgroupSock
        | ProgramKind::CgroupSockAddr
        | ProgramKind::CgroupSockopt
        | ProgramKind::CgroupSysctl
        | ProgramKind::CgroupDevice => "return 1;",
        _ => "return 0;",
    }
}

/// The function that an instruction calls.
pub(super) fn callee(explorer: &Explorer<'_>, at: InsnIdx) -> Option<String> {
    match *explorer.program.insns.get(at.index())? {
        Insn::Call(CallTarget::Helper(number)) => Some(HelperId::from_number(number)?.info().name.to_owned()),
        Insn::Call(CallTarget::Subprog(off)) => {
            let target = at.jump(off)?;
            Some(explorer.program.subprogs[explorer.program.subprog_of(target).index()].name.clone())
        }
        Insn::Call(target @ CallTarget::Kfunc { .. }) => explorer.kfuncs.name(target).map(str::to_owned),
        _ => None,
    }
}

/// What numbers a value may be.
pub(super) fn range(num: &Scalar) -> String {
    match num.as_constant() {
        Some(x) => return x.cast_signed().to_string(),
        None if num.is_unknown() => return "any number".to_owned(),
        None => {}
    }
    let (umin, umax, smin, smax) = (num.umin(), num.umax(), num.smin(), num.smax());
    let highest = |max: u64| match max {
        0xffff_ffff => "2^32-1".to_owned(),
        u64::MAX => "2^64-1".to_owned(),
        0x7fff_ffff_ffff_ffff => "2^63-1".to_owned(),
        max => max.to_string(),
    };
    if smin >= 0 {
        return format!("{umin} to {}", highest(umax));
    }
    if smin == i64::MIN && umin > 0 {
        return format!("{umin} to {}", highest(umax));
    }
    let lowest = if smin == i64::MIN { "-2^63".to_owned() } else { smin.to_string() };
    format!("{lowest} to {}", highest(smax.cast_unsigned()))
}

/// What a value is, for people who do not know the verifier's words.
pub(super) fn plain(explorer: &Explorer<'_>, value: &Value) -> String {
    let or_null = if value.nullable { ", or null" } else { "" };
    let what = match value.kind {
        Kind::Scalar => return format!("a number: {}", range(&value.num)),
        Kind::Uninit => return "nothing".to_owned(),
        Kind::Context => "a pointer to the program's context".to_owned(),
        Kind::Stack { .. } => "a pointer to the stack".to_owned(),
        Kind::Packet => "a pointer to the packet".to_owned(),
        Kind::PacketMeta => "a pointer to the packet's metadata".to_owned(),
        Kind::PacketEnd => "the end of the packet".to_owned(),
        Kind::Map(map) => format!("the map `{}` itself", explorer.map(map).name),
        Kind::MapValue(map) => format!("a pointer to a value of the map `{}`", explorer.map(map).name),
        Kind::MapKey(map) => format!("a pointer to a key of the map `{}`", explorer.map(map).name),
        Kind::Memory { size, .. } => format!("a pointer to {size} bytes of memory"),
        Kind::Socket(_) => "a pointer to a socket".to_owned(),
        Kind::Btf(pointer) => format!("a pointer to `struct {}`", explorer.structure_name(pointer)),
        Kind::FlowKeys => "a pointer to a flow's keys".to_owned(),
        Kind::Buffer(_) => "a pointer to a buffer of the kernel".to_owned(),
        Kind::Func(_) => "a function".to_owned(),
        Kind::Dynptr(_) => "a pointer to a dynptr".to_owned(),
        Kind::Arena => "a pointer to an arena".to_owned(),
    };
    what + or_null
}

/// Says what made the value.
fn made(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let (reg, what) = (story.reg, plain(story.explorer, &story.value));
    let found = match found.label {
        Some(_) => found,
        None => found.label(format!("{} is {what}", story.called())),
    };
    match (story.history.origin, story.value.origin) {
        (Origin::Given(Reg::R10), _) => found,
        (Origin::Given(given), _) => {
            found.note(None, format!("the function got it in `{given}`, its {} argument", ordinal(given)))
        }
        (Origin::Made(moment), _) => {
            let at = story.moments[moment].at;
            let text = match callee(story.explorer, at) {
                Some(callee) => format!("it is what `{callee}` returns"),
                None => "it comes from here".to_owned(),
            };
            found.note(Some(at), text)
        }
        (Origin::Lost, Some(origin)) => found.note(Some(origin), format!("`{reg}` was set here")),
        (Origin::Lost, None) => found,
    }
}

fn ordinal(reg: Reg) -> &'static str {
    ["", "first", "second", "third", "fourth", "fifth"].get(reg.index()).copied().unwrap_or("own")
}

/// A pointer that may be null.
fn null(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let explorer = story.explorer;
    let name = story.called();
    let mut found = found.label(format!("{name} may be null here"));
    if let Some(root) = story.root() {
        let text = match (callee(explorer, root), story.value.kind) {
            (Some(callee), Kind::MapValue(map)) => {
                let map = explorer.map(map);
                let array = matches!(map.kind.known(), Some(MapKind::Array | MapKind::PerCpuArray));
                let when = if array {
                    format!("the key is not below `max_entries`, {}", map.max_entries)
                } else {
                    "it has no such key".to_owned()
                };
                format!("`{callee}` returns null for the map `{}` where {when}", map.name)
            }
            (Some(callee), _) => format!("`{callee}` may return null"),
            (None, _) => "it may be null where it comes from".to_owned(),
        };
        found = found.note(Some(root), text);
    }
    if story.root().is_none() && matches!(story.value.kind, Kind::Memory { owner: MemoryOwner::Caller, .. }) {
        found =
            found.note(None, "callers may hand null to a global function, which is verified apart from them");
    }
    if let Some((at, other)) = another_asked(story) {
        let other = other.map_or_else(String::new, |other| format!(", `{other}`"));
        found = found.note(Some(at), format!("this asks whether another pointer is null{other}"));
    }
    let name = story.name().filter(|name| names::is_name(name));
    let found = found.help(match name {
        Some(name) => format!("ask whether `{name}` is null before it is used"),
        None => {
            "keep what was returned in a variable, and ask whether it is null before it is used".to_owned()
        }
    });
    found.repair(format!("if (!{})\n\t{}", name.unwrap_or("pointer"), leave(explorer)))
}

/// The last branch on the path after the value was made that asks whether another pointer is null.
fn another_asked<'s>(story: &'s Story<'_, '_>) -> Option<(InsnIdx, Option<&'s str>)> {
    let Origin::Made(root) = story.history.origin else { return None };
    let insns = &story.explorer.program.insns;
    let last = story.moments.len() - 1;
    (root..last).rev().find_map(|index| {
        let moment = &story.moments[index];
        let Insn::Branch { dst, src, .. } = *story.insn(moment.at) else { return None };
        let (left, right) = (moment.state.reg(dst), operand(&moment.state, src));
        if !(left.nullable && right.is_null()) || left.id == story.value.id {
            return None;
        }
        let made = story.made(&history(&story.moments, insns, index, dst));
        Some((moment.at, made.and_then(|made| story.variable(made))))
    })
}

/// What a program returns.
fn returned(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let explorer = story.explorer;
    let kind = explorer.kind.info().name;
    let Some((min, max)) = explorer.return_range() else { return made(story, found) };
    let found = if story.value.is_scalar() {
        let narrow = match story.value.num.as_constant() {
            Some(x @ 0x8000_0000..=0xffff_ffff) => {
                format!(", which is {} in 32 bits", x.cast_signed() - (1 << 32))
            }
            Some(_) | None => String::new(),
        };
        found.label(format!("returns {}{narrow}", range(&story.value.num)))
    } else {
        found.label(format!("returns {}, not a number", plain(explorer, &story.value)))
    };
    let found = made(story, found);
    let allowed = if min == max { format!("{min} only") } else { format!("{min} to {max}") };
    let found = found.help(format!(
        "programs of the kind {kind} attached here return {allowed}{}",
        meaning(explorer.kind, min, max)
    ));
    match story.value.num.as_constant() {
        None if min == 0 && max > 0 => found.repair("return result ? 1 : 0;"),
        Some(_) | None => found,
    }
}

/// What the numbers mean that a kind of program returns.
fn meaning(kind: ProgramKind, min: i64, max: i64) -> &'static str {
    match (kind, min, max) {
        (ProgramKind::CgroupSkb, 0, 1) => ": 0 drops the packet, 1 lets it pass",
        (ProgramKind::CgroupSkb, 0, 3) => {
            ": 0 drops the packet, 1 lets it pass; 2 and 3 are the same and signal congestion"
        }
        (
            ProgramKind::CgroupSock
            | ProgramKind::CgroupSockAddr
            | ProgramKind::CgroupDevice
            | ProgramKind::CgroupSysctl,
            0,
            1,
        ) => ": 0 refuses, 1 allows",
        (ProgramKind::SkLookup, 0, 1) => ": `SK_DROP` or `SK_PASS`",
        (ProgramKind::Lsm, _, 0) => ": 0 allows, a negative error such as `-EPERM` refuses",
        (ProgramKind::CgroupSockAddr, 1, 1) => ": at this place it cannot refuse",
        _ => "",
    }
}

/// Arithmetic on a pointer.
fn arithmetic(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let explorer = story.explorer;
    let what = plain(explorer, &story.value);
    let (label, help) = match *story.insn(explorer.at) {
        _ if story.value.nullable => (
            format!("{} may be null, and is moved before that was ruled out", story.called()),
            "ask whether the pointer is null first".to_owned(),
        ),
        Insn::Alu { op: crate::isa::AluOp::Add | crate::isa::AluOp::Sub, src: Operand::Reg(src), dst, .. } => {
            let number = if story.reg == dst { src } else { dst };
            let value = explorer.state.reg(number);
            if value.is_scalar() && value.num.smin() < 0 && value.num.smax() < 1 << 29 {
                return made(story, advice::negative(story, number, found));
            }
            if value.is_scalar() {
                (
                    format!("{} is added to a pointer and may be {}", format_args!("`{number}`"), range(&value.num)),
                    "compare the number with a constant bound first, so that the pointer stays near what it points to"
                        .to_owned(),
                )
            } else {
                ("both operands are pointers".to_owned(), "use the difference of two pointers as a number".to_owned())
            }
        }
        _ => (
            format!("{} is {what}", story.called()),
            "a pointer can be moved by numbers, with `+` and `-`, and not be masked, multiplied or shifted: calculate \
             with a number, and add it to the pointer at the end"
                .to_owned(),
        ),
    };
    let keep = found.help.is_some();
    let found = made(story, found.label(label));
    if keep { found } else { found.help(help) }
}

/// A register that holds nothing.
fn uninit(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let explorer = story.explorer;
    if *story.insn(explorer.at) == Insn::Exit {
        let found = found.label("nothing is returned on this path");
        return if found.help.is_some() { found } else { found.help("return a value on every path") };
    }
    let label = format!("`{}` holds nothing here", story.reg);
    let found = found.label(label);
    if found.help.is_some() {
        found
    } else {
        found.help("give every variable a value on every path before it is read")
    }
}

/// Memory on the stack that is read and was not written.
fn unwritten(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let explorer = story.explorer;
    let size: Option<i32> = found.message.rsplit_once("size ").and_then(|(_, size)| size.parse().ok());
    let start = story.value.constant_offset().and_then(|off| i32::try_from(off).ok());
    let (Kind::Stack { frame }, Some(size), Some(start)) = (story.value.kind, size, start) else {
        return found.label("reads memory of the stack that was not written");
    };
    // What an instruction adds to the pointer is in the message alone.
    let handed = matches!(story.insn(explorer.at), Insn::Call(_));
    let stack = &explorer.state.frame(frame.into()).stack;
    let within = |at: i32| (-512..0).contains(&at) && stack.byte(at) == Byte::Invalid;
    let missing: Vec<i32> = (0..size.clamp(0, 512)).filter(|byte| within(start + byte)).collect();
    let label = match (&missing[..], handed) {
        ([first, .., last], true) if missing.len() < size.unsigned_abs() as usize => {
            let gaps = (last - first + 1).unsigned_abs() as usize > missing.len();
            let some = if gaps { format!("{} of ", missing.len()) } else { String::new() };
            format!("all {size} bytes are read, and {some}bytes {first} to {last} were never written")
        }
        ([byte], true) if size > 1 => format!("all {size} bytes are read, and byte {byte} was never written"),
        _ => format!("reads {size} bytes of the stack that were never written"),
    };
    let found = found.label(label);
    let line = explorer.program.line_of(explorer.at);
    let argument = line.as_ref().and_then(|line| names::argument(line, story.reg.index().checked_sub(1)?));
    match argument.and_then(|argument| argument.strip_prefix('&')).filter(|name| names::is_name(name)) {
        Some(name) => found
            .help(format!(
                "set all of `{name}` before it is handed over; padding between its members is read too"
            ))
            .repair(format!("__builtin_memset(&{name}, 0, sizeof({name}));")),
        None => found,
    }
}

/// How to give back what a function acquires.
fn release_of(callee: &str) -> Option<(&'static str, &'static str)> {
    match callee {
        "bpf_ringbuf_reserve" => {
            Some(("bpf_ringbuf_submit` or `bpf_ringbuf_discard", "bpf_ringbuf_discard(NAME, 0);"))
        }
        "bpf_ringbuf_reserve_dynptr" => Some((
            "bpf_ringbuf_submit_dynptr` or `bpf_ringbuf_discard_dynptr",
            "bpf_ringbuf_discard_dynptr(&NAME, 0);",
        )),
        "bpf_sk_lookup_tcp" | "bpf_sk_lookup_udp" | "bpf_skc_lookup_tcp" => {
            Some(("bpf_sk_release", "bpf_sk_release(NAME);"))
        }
        "bpf_task_acquire" | "bpf_task_from_pid" => Some(("bpf_task_release", "bpf_task_release(NAME);")),
        "bpf_cgroup_acquire" | "bpf_cgroup_from_id" => {
            Some(("bpf_cgroup_release", "bpf_cgroup_release(NAME);"))
        }
        "bpf_cpumask_create" | "bpf_cpumask_acquire" => {
            Some(("bpf_cpumask_release", "bpf_cpumask_release(NAME);"))
        }
        "bpf_obj_new_impl" => Some(("bpf_obj_drop", "bpf_obj_drop(NAME);")),
        _ => None,
    }
}

/// A reference that is not given back.
fn leaked(explorer: &Explorer<'_>, mut found: Diagnostic) -> Diagnostic {
    let Some(at) = found.notes.first().and_then(|note| note.insn) else { return found };
    let Some(callee) = callee(explorer, at) else { return found };
    let line = explorer.program.line_of(at);
    let place = if callee == "bpf_ringbuf_reserve_dynptr" { 3 } else { 0 };
    let handed = |line| names::argument(line, place)?.strip_prefix('&').filter(|name| names::is_name(name));
    let name = line.as_ref().and_then(|line| names::assigned(line).or_else(|| handed(line)));
    let what = name.map_or_else(|| "what was acquired".to_owned(), |name| format!("`{name}`"));
    found.notes[0].message = format!("`{callee}` acquires it here, for the program to give back");
    let found = found.label(format!("the path ends here, and {what} was not given back"));
    let iterator = callee.starts_with("bpf_iter_").then(|| callee.strip_suffix("_new")).flatten();
    let release = match iterator {
        Some(iterator) => Some((format!("{iterator}_destroy"), format!("{iterator}_destroy(&NAME);"))),
        None => release_of(&callee).map(|(release, repair)| (release.to_owned(), repair.to_owned())),
    };
    if callee == "bpf_kptr_xchg" {
        return found.help(
            "what was there before is the program's now: where it is not null, give it back with what releases its \
             type, such as `bpf_task_release` or `bpf_obj_drop`",
        );
    }
    let Some((release, repair)) = release else { return found };
    let repair = repair.replace("NAME", name.unwrap_or("pointer"));
    // Where the way on which it is null goes on to the same end, the pointer must be asked about there.
    let joined = found.path.iter().filter_map(|turn| explorer.program.line_of(turn.insn)).any(|line| {
        name.is_some_and(|name| {
            names::mentions(line.text, name)
                && (line.text.contains("&&") || line.text.contains(&format!("if ({name})")))
        })
    });
    let repair = match name {
        Some(name) if joined => format!("if ({name})\n\t{repair}"),
        _ => repair,
    };
    let own = explorer.program.subprog_of(at);
    let place = if own == explorer.program.subprog_of(explorer.at) {
        "on every path, also on those that return early".to_owned()
    } else {
        format!("in `{}`, on every path on which it returns", explorer.program.subprogs[own.index()].name)
    };
    found.help(format!("call `{release}` {place}")).repair(repair)
}

/// A loop that does not end, or not soon enough.
fn endless(explorer: &Explorer<'_>, found: Diagnostic) -> Diagnostic {
    let leave = if explorer.state.depth() > 0 { "break;" } else { "break;    /* or return */" };
    if found.code == Code::InfiniteLoop {
        return found
            .label("the path was here before, and nothing has changed that decides how it goes on")
            .help("count the rounds, and end the loop at a constant bound; or call `bpf_loop`")
            .repair(format!("for (int i = 0; i < 64; i++) {{\n\tif (done)\n\t\t{leave}\n\t...\n}}"));
    }
    found
        .label("the search for errors was given up here")
        .help(
            "the verifier follows every round of a loop and every combination of branches: give loops constant bounds \
             that are as low as possible, put a loop's body into a callback of `bpf_loop`, which is followed once, or \
             move parts into global functions, which are verified apart",
        )
}

/// What to call instead of a helper that the program's kind does not have.
fn other_helper(explorer: &Explorer<'_>, found: Diagnostic) -> Diagnostic {
    let Some(callee) = callee(explorer, explorer.at) else { return found };
    let kind = explorer.kind.info().name;
    let found = match found.label {
        Some(_) => found,
        None => found.label(format!("programs of the kind {kind} do not have this function")),
    };
    let instead = match (callee.as_str(), explorer.kind) {
        ("bpf_skb_load_bytes", ProgramKind::Xdp) => "bpf_xdp_load_bytes",
        ("bpf_skb_store_bytes", ProgramKind::Xdp) => "bpf_xdp_store_bytes",
        ("bpf_skb_change_head" | "bpf_skb_adjust_room", ProgramKind::Xdp) => "bpf_xdp_adjust_head",
        ("bpf_skb_change_tail", ProgramKind::Xdp) => "bpf_xdp_adjust_tail",
        ("bpf_skb_output", ProgramKind::Xdp) => "bpf_perf_event_output",
        ("bpf_clone_redirect", ProgramKind::Xdp) => "bpf_redirect",
        ("bpf_xdp_load_bytes", ProgramKind::SchedCls | ProgramKind::SchedAct) => "bpf_skb_load_bytes",
        ("bpf_xdp_store_bytes", ProgramKind::SchedCls | ProgramKind::SchedAct) => "bpf_skb_store_bytes",
        ("bpf_xdp_adjust_head", ProgramKind::SchedCls | ProgramKind::SchedAct) => "bpf_skb_adjust_room",
        ("bpf_xdp_adjust_tail", ProgramKind::SchedCls | ProgramKind::SchedAct) => "bpf_skb_change_tail",
        _ => return found,
    };
    let others = found.help.clone().map_or_else(String::new, |help| format!("; {help}"));
    found.help(format!("programs of the kind {kind} have `{instead}` for this{others}"))
}

/// Whether a value of the path was ever the packet's end.
pub(super) fn knows_packet_end(story: &Story<'_, '_>) -> bool {
    let end = |value: &Value| value.kind == Kind::PacketEnd;
    story.moments.iter().any(|moment| {
        let top = moment.state.top();
        top.regs.iter().any(end) || top.stack.slots().any(|slot| slot.spilled().is_some_and(end))
    })
}
