//! Words for accesses and lengths that are not proven to be within bounds: the numbers, where they come from, and which
//! comparison was not enough.

use super::Story;
use super::advice;
use super::names;
use super::source::{History, Origin, history};
use super::words::{knows_packet_end, leave, range};
use crate::diag::{Code, Diagnostic};
use crate::isa::{AluOp, Cond, Insn, InsnIdx, Operand, Reg};
use crate::verify::obligations::{Memory, Mode, touches};
use crate::verify::scalar::Scalar;
use crate::verify::value::{Kind, Value};

/// The access of the instruction at fault, if the register at fault is its address.
fn access(story: &Story<'_, '_>) -> Option<Memory> {
    let insn = story.insn(story.explorer.at);
    if let Insn::Call(_) = insn {
        return None;
    }
    touches(insn).memory.filter(|memory| memory.base == story.reg)
}

fn verb(memory: &Memory) -> &'static str {
    match memory.mode {
        Mode::Read => "reads",
        Mode::Write => "writes",
        Mode::Update => "changes",
    }
}

fn bytes(first: i64, size: i64) -> String {
    if size == 1 { format!("byte {first}") } else { format!("bytes {first} to {}", first + size - 1) }
}

/// An access to the packet.
pub(super) fn packet(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let value = story.value;
    let memory = access(story);
    let mut found = found;
    if let Some(memory) = &memory {
        let (off, size) = (i64::from(value.off) + i64::from(memory.off), i64::from(memory.size.bytes()));
        let fixed = value.num.as_constant() == Some(0);
        let place = if fixed {
            format!("{} of the packet", bytes(off, size))
        } else {
            format!("{size} bytes of the packet")
        };
        let known = if fixed && value.range > 0 {
            let plural = if value.range == 1 { "byte is" } else { "bytes are" };
            format!(", of which only the first {} {plural} known to exist", value.range)
        } else {
            ", which may end before".to_owned()
        };
        found = found.label(format!("{} {place}{known}", verb(memory)));
    }
    let comparisons = comparisons(story);
    let own = comparisons.iter().find(|(_, pointer)| pointer.id == value.id);
    found = match (own, comparisons.first()) {
        (Some((at, _)), _) if value.range > 0 => {
            let proven = if value.num.as_constant() == Some(0) { "" } else { " from there" };
            found.note(Some(*at), format!("this comparison shows that {} bytes{proven} exist, and no more", value.range))
        }
        (Some((at, pointer)), _) if too_far(pointer) => found.note(
            Some(*at),
            "this comparison shows nothing: the pointer may lie more than 65535 bytes into the packet, and offsets \
             are followed no further",
        ),
        (Some((at, pointer)), _) if pointer.off > 0 && orders(story.insn(*at)) => found.note(
            Some(*at),
            "what this comparison shows holds on its other way: on the one that the path takes, the packet may end \
             before",
        ),
        (Some((at, _)), _) => {
            found.note(Some(*at), "this comparison shows nothing on the way that the path takes from it")
        }
        (None, Some((at, _))) => found.note(
            Some(*at),
            "this comparison is about another pointer: what it shows holds for pointers with the same unknown part only",
        ),
        (None, None) => found.note(None, "nothing on this path compares a pointer to the packet with `data_end`"),
    };
    match own {
        Some((_, pointer)) if value.range == 0 && too_far(pointer) => near(story, found),
        Some((at, pointer)) if value.range == 0 && pointer.off > 0 && orders(story.insn(*at)) => {
            let found = compare(story, memory.as_ref(), found);
            found.help("turn the comparison round: leave where the pointer is beyond `data_end`")
        }
        Some(_) | None => compare(story, memory.as_ref(), found),
    }
}

/// Help and repair: what to compare with the packet's end.
fn compare(story: &Story<'_, '_>, memory: Option<&Memory>, found: Diagnostic) -> Diagnostic {
    let value = &story.value;
    let line = story.explorer.program.line_of(story.explorer.at);
    let name = line.as_ref().and_then(names::dereferenced_path);
    let element = line.as_ref().and_then(names::element);
    let arrow = line.is_some_and(|line| name.is_some_and(|name| line.text.contains(&format!("{name}->"))));
    let end = memory.map_or(1, |memory| i64::from(memory.off) + i64::from(memory.size.bytes()));
    let fixed = value.num.as_constant() == Some(0);
    // A loop of which each round is followed: compilers move a comparison of the element out of it, and change it.
    let array = element.filter(|_| fixed).and_then(|element| element.split_once('['));
    let pointer = match (name, element, array) {
        (_, _, Some((array, _))) => format!("(void *)&{array}[COUNT]"),
        (_, Some(element), None) => format!("(void *)(&{element} + 1)"),
        (Some(name), None, None) if arrow => format!("(void *)({name} + 1)"),
        (Some(name), None, None) => format!("(void *){name} + {end}"),
        (None, None, None) if fixed => format!("data + {}", i64::from(value.off) + end),
        (None, None, None) => format!("pointer + {end}"),
    };
    let off = i64::from(value.off) + end;
    let found = match name {
        Some(_) if array.is_some() => {
            found.help("before the loop, compare with `data_end` as far as its last round reaches, and leave where the packet is too short")
        }
        Some(_) if (1..=i64::from(u16::MAX)).contains(&off) => {
            found.help("compare with `data_end` first, and leave where the packet is too short")
        }
        _ => found,
    };
    let declared =
        if knows_packet_end(story) { "" } else { "void *data_end = (void *)(long)ctx->data_end;\n\n" };
    found.repair(format!("{declared}if ({pointer} > data_end)\n\t{}", leave(story.explorer)))
}

/// Whether a branch shows on one of its ways that something is below.
const fn orders(insn: &Insn) -> bool {
    matches!(insn, Insn::Branch { cond: Cond::Gt | Cond::Ge | Cond::Lt | Cond::Le, .. })
}

/// Whether a pointer to the packet may lie so far from its start that Linux learns nothing from comparing it.
fn too_far(value: &Value) -> bool {
    let off = u64::try_from(value.off).unwrap_or(0);
    value.num.umax().saturating_add(off) > u64::from(u16::MAX)
}

/// Help and repair: the number that was added to a pointer must have a lower bound.
fn near(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let Some((moment, reg)) = story.history.moved else { return found };
    let number = number(story, moment, reg);
    let name = number.made.and_then(|(at, _)| story.variable(at)).unwrap_or("offset");
    let found = tell(&number, "what was added to it", found);
    found
        .help(format!("compare `{name}` with a constant before it is added to the pointer; then compare with `data_end` as is done here"))
        .repair(format!("if ({name} > 1500)\n\t{}", leave(story.explorer)))
}

/// Comparisons of pointers to the packet with its end, the last first, and the pointers.
fn comparisons(story: &Story<'_, '_>) -> Vec<(InsnIdx, Value)> {
    let find = |moment: &super::Moment| {
        let Insn::Branch { dst, src: Operand::Reg(src), .. } = *story.insn(moment.at) else { return None };
        let (left, right) = (*moment.state.reg(dst), *moment.state.reg(src));
        match (left.is_packet(), right.is_packet()) {
            (true, _) if right.kind == Kind::PacketEnd => Some((moment.at, left)),
            (_, true) if left.kind == Kind::PacketEnd => Some((moment.at, right)),
            _ => None,
        }
    };
    story.moments.iter().rev().filter_map(find).take(16).collect()
}

/// A number that matters, where it came from, and the last branch that limits it.
struct Number {
    history: History,
    /// Of the instruction that made it, and what it may have been then.
    made: Option<(InsnIdx, Scalar)>,
    /// The branch, and what it leaves.
    limited: Option<(InsnIdx, Scalar)>,
}

fn number(story: &Story<'_, '_>, at: usize, reg: Reg) -> Number {
    let insns = &story.explorer.program.insns;
    let found = history(&story.moments, insns, at, reg);
    let Origin::Made(root) = found.origin else {
        return Number { history: found, made: None, limited: None };
    };
    let after = |moment: usize, reg: Reg| story.moments.get(moment + 1).map(|next| next.state.reg(reg).num);
    let writes = touches(story.insn(story.moments[root].at)).writes;
    let dst = if matches!(story.insn(story.moments[root].at), Insn::Call(_)) {
        Some(Reg::R0)
    } else {
        writes.iter().next()
    };
    let made = dst.and_then(|dst| Some((story.moments[root].at, after(root, dst)?)));
    let limited = (root..at).rev().take(1024).find_map(|index| {
        let moment = &story.moments[index];
        let Insn::Branch { dst, src, .. } = *story.insn(moment.at) else { return None };
        let operands = [Some(dst), if let Operand::Reg(src) = src { Some(src) } else { None }];
        operands.into_iter().flatten().find_map(|reg| {
            let scalar = moment.state.reg(reg).is_scalar();
            (scalar && history(&story.moments, insns, index, reg).origin == found.origin)
                .then(|| Some((moment.at, after(index, reg)?)))
                .flatten()
        })
    });
    Number { history: found, made, limited }
}

/// Says where a number comes from and what limits it.
fn tell(number: &Number, what: &str, found: Diagnostic) -> Diagnostic {
    let found = match &number.made {
        Some((at, num)) => found.note(Some(*at), format!("{what} comes from here: {}", range(num))),
        None => found,
    };
    match &number.limited {
        Some((at, num)) => found.note(Some(*at), format!("after this branch it is {}", range(num))),
        None => found.note(None, format!("no branch on this path limits {what}")),
    }
}

/// How many bytes further each step of a number leads, where its arithmetic says so.
fn scale(story: &Story<'_, '_>, history: &History) -> Option<i64> {
    history.changes.iter().try_fold(1i64, |scale, &moment| match *story.insn(story.moments[moment].at) {
        Insn::Alu { op: AluOp::Lsh, src: Operand::Imm(imm @ 0..=31), .. } => {
            // A shift to the left and back again extends 32 bits, as old compilers do it.
            scale.checked_mul(1 << imm)
        }
        Insn::Alu { op: AluOp::Mul, src: Operand::Imm(imm @ 1..), .. } => scale.checked_mul(imm.into()),
        Insn::Alu { op: AluOp::And, .. } => Some(scale),
        _ => None,
    })
}

/// An access to memory of a known size.
pub(super) fn sized(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let value = story.value;
    let explorer = story.explorer;
    let (what, limit) = match value.kind {
        Kind::MapValue(map) => {
            let map = explorer.map(map);
            (format!("a value of `{}`", map.name), i64::from(map.value_size))
        }
        Kind::MapKey(map) => {
            (format!("a key of `{}`", explorer.map(map).name), i64::from(explorer.map(map).key_size))
        }
        Kind::Memory { size, .. } => ("the memory".to_owned(), i64::from(size)),
        Kind::Stack { .. } => return stack(story, found),
        Kind::Scalar => return length(story, found),
        _ => return found,
    };
    let Some(memory) = access(story) else {
        return found.label(format!("the function may go beyond {what}, which has {limit} bytes"));
    };
    let (first, size) = (i64::from(value.off) + i64::from(memory.off), i64::from(memory.size.bytes()));
    let Some((moment, reg)) = story.history.moved else {
        let first = first.saturating_add(value.num.as_constant().map_or(0, u64::cast_signed));
        let help =
            format!("{what} has {limit} bytes, 0 to {}: access less, or make the type larger", limit - 1);
        return found
            .label(format!("{} {} of {what}, which has {limit}", verb(&memory), bytes(first, size)))
            .help(help);
    };
    let number = number(story, moment, reg);
    let (from, to) = (value.num.smin().saturating_add(first), value.num.umax());
    let last = i64::try_from(to).unwrap_or(i64::MAX).saturating_add(first).saturating_add(size - 1);
    let far = i64::from(i32::MAX);
    let whole = format!("{what}, which has {limit} bytes");
    let found = found.label(match (from < -far, last > far) {
        (_, true) => format!("may be far beyond {whole}"),
        (true, false) => format!("may be far before {whole}"),
        (false, false) => format!("{} {size} of the bytes {from} to {last} of {whole}", verb(&memory)),
    });
    let found = tell(&number, "the index", found);
    bound(story, &number, limit - first - size, found)
}

/// Help and repair: the index must be below a number.
fn bound(story: &Story<'_, '_>, number: &Number, room: i64, found: Diagnostic) -> Diagnostic {
    let line = story.explorer.program.line_of(story.explorer.at);
    let index = line.as_ref().and_then(names::index);
    let leave = leave(story.explorer);
    let (name, declared) = match index {
        Some(index) if names::is_name(index) => (index, String::new()),
        Some(index) => ("index", format!("__u32 index = {index};\n\n")),
        None => ("index", String::new()),
    };
    let count = scale(story, &number.history).filter(|_| room >= 0).map(|scale| room / scale + 1);
    let negative = found.code == Code::NegativeOffset;
    let sign = if negative { format!("{name} < 0 || ") } else { String::new() };
    match count {
        Some(count) => found
            .help(match (negative, number.limited.is_some()) {
                (true, _) => format!("make `{name}` unsigned, or let pass only 0 to {}", count - 1),
                (false, true) => format!("`{name}` must be below {count}: {count} itself is too large"),
                (false, false) => format!("compare the index first: it must be below {count}"),
            })
            .repair(format!("{declared}if ({sign}{name} >= {count})\n\t{leave}")),
        None => found
            .help("compare the index with the number of elements first, and use it only where it is below")
            .repair(format!("{declared}if ({sign}{name} >= COUNT)\n\t{leave}")),
    }
}

/// An access to the stack.
fn stack(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let value = story.value;
    if let Some((moment, reg)) = story.history.moved {
        let number = number(story, moment, reg);
        let found =
            tell(&number, "the index", found.label("the index may lead out of the variable on the stack"));
        return bound(story, &number, -1, found);
    }
    let off = value.constant_offset().unwrap_or(0);
    match access(story) {
        Some(memory) => {
            let first = off + i64::from(memory.off);
            let help = if first >= 0 || first + i64::from(memory.size.bytes()) > 0 {
                "this lies above the function's variables: an array on the stack is too short for the index"
            } else {
                "a function's stack has 512 bytes: move large variables to a per-CPU array map"
            };
            let found = found.label(format!(
                "{} {} bytes at r10{first:+}, outside of the stack",
                verb(&memory),
                memory.size.bytes()
            ));
            if found.help.is_some() { found } else { found.help(help) }
        }
        None if off < -512 => found
            .label(format!("the variable at r10{off:+} is larger than the stack"))
            .help("a function's stack has 512 bytes: move large variables to a per-CPU array map"),
        None => found.label(format!("the function reaches beyond the variable at r10{off:+}")).help(
            "the length that is handed over must not be larger than the variable: `sizeof` gives its size",
        ),
    }
}

/// The length of memory that a function is handed.
pub(super) fn length(story: &Story<'_, '_>, found: Diagnostic) -> Diagnostic {
    let Some(last) = story.moments.len().checked_sub(1) else { return found };
    let number = number(story, last, story.reg);
    if !story.value.is_scalar() {
        return advice::keyless(story, found);
    }
    let empty = story.value.num.umin() == 0 && story.value.num.smin() >= 0;
    let found = found.label(format!("the length may be {}", range(&story.value.num)));
    let found = tell(&number, "the length", found);
    let name = number.made.and_then(|(at, _)| story.variable(at)).unwrap_or("length");
    let leave = leave(story.explorer);
    let condition = if found.code == Code::ArgumentSize && empty {
        format!("{name} == 0 || {name} > sizeof(buffer)")
    } else {
        format!("{name} > sizeof(buffer)")
    };
    found
        .help("use an unsigned length, and compare it with the size of the buffer first")
        .repair(format!("if ({condition})\n\t{leave}"))
}
