//! The rules that hold for the code as it is written, before any path is explored.
//!
//! Functions and their borders, where jumps and calls may lead, that every instruction can be reached,
//! that no function calls itself, that every map reference names a map. Dead code is code: what stands
//! here holds for instructions that no path executes too, as in Linux. Forms of single instructions
//! (shifts, divisions) are not judged here but when a path executes them, again as in Linux.

use brolga_abi::maps::{Entries, Sizes};
use brolga_abi::{HelperId, MapKind};

use super::state::MAX_FRAMES;
use crate::cfg::{Cfg, flow};
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Imm64, Insn, InsnIdx};
use crate::program::{MapDef, MapId, Program, SubprogId};

/// Most instruction slots of a program (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MAX_INSNS: usize = 1_000_000;
/// Most functions of a program (`BPF_MAX_SUBPROGS`).
const MAX_SUBPROGS: usize = 256;

/// Findings after which no more are looked for.
const ENOUGH: usize = 64;

type Check<T = ()> = Result<T, Box<Diagnostic>>;

/// What the structural rules found out about a program that keeps them.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The graph of each function.
    pub cfgs: Vec<Cfg>,
    /// What each function calls.
    pub calls: Vec<Vec<Call>>,
    /// Functions, callees after their callers.
    pub order: Vec<SubprogId>,
    /// Whether a function, or one that it calls, may move the packet.
    pub moves_packet: Vec<bool>,
    /// Whether a function, or one that it calls, may sleep.
    pub sleeps: Vec<bool>,
    /// Whether a function itself holds a tail call.
    pub tail_calls: Vec<bool>,
}

/// A call of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Where.
    pub at: InsnIdx,
    /// Of which function.
    pub callee: SubprogId,
}

impl Layout {
    /// Checks the structure of a program.
    ///
    /// # Errors
    ///
    /// All places that break the first rule that is broken, and so are no consequence of each other; never empty.
    pub fn new(program: &Program) -> Result<Self, Vec<Diagnostic>> {
        let one = |found: Box<Diagnostic>| vec![*found];
        check_sizes(program).map_err(one)?;
        let mut findings = Vec::new();
        for id in subprog_ids(program) {
            check_subprog(program, id, &mut findings);
        }
        let calls = check_references(program, &mut findings);
        if !findings.is_empty() {
            return Err(findings);
        }
        let cfgs: Vec<Cfg> = subprog_ids(program).map(|id| Cfg::new(program, id)).collect();
        check_reachable(program, &cfgs, &calls)?;
        let order = check_call_graph(program, &calls).map_err(one)?;
        let mut layout = Self {
            tail_calls: holds(program, |id| id == HelperId::TailCall),
            // The program that a tail call enters may move the packet.
            moves_packet: holds(program, |id| id.info().moves_packet || id == HelperId::TailCall),
            sleeps: holds(program, |id| id.info().sleeps),
            cfgs,
            calls,
            order,
        };
        layout.settle();
        Ok(layout)
    }

    /// What a function does, its callers do too.
    pub fn settle(&mut self) {
        // Callees stand after their callers, so backwards each callee is settled first.
        for id in self.order.iter().rev() {
            let callees = || self.calls[id.index()].iter().map(|call| call.callee.index());
            let moves = callees().any(|callee| self.moves_packet[callee]);
            let sleeps = callees().any(|callee| self.sleeps[callee]);
            self.moves_packet[id.index()] |= moves;
            self.sleeps[id.index()] |= sleeps;
        }
    }
}

/// All functions of a program.
pub(super) fn subprog_ids(program: &Program) -> impl DoubleEndedIterator<Item = SubprogId> + use<> {
    let count = u32::try_from(program.subprogs.len()).expect("the number of functions was checked");
    (0..count).map(SubprogId)
}

/// The function that starts at an instruction.
pub(super) fn subprog_at(program: &Program, at: InsnIdx) -> Option<SubprogId> {
    let index = program.subprogs.binary_search_by_key(&at, |s| s.start).ok()?;
    u32::try_from(index).ok().map(SubprogId)
}

fn err<T>(code: Code, at: InsnIdx, message: impl Into<String>) -> Check<T> {
    Err(Box::new(Diagnostic::at(code, at, message)))
}

fn check_sizes(program: &Program) -> Check {
    let count = program.insns.len();
    if count == 0 {
        return Err(Box::new(Diagnostic::program(Code::EmptyProgram, "the program has no instruction")));
    }
    if count > MAX_INSNS {
        let message = format!("the program has {count} instructions, at most {MAX_INSNS} are allowed");
        return Err(Box::new(Diagnostic::program(Code::ProgramTooLarge, message)));
    }
    let functions = program.subprogs.len();
    if functions > MAX_SUBPROGS {
        let message = format!("too many subprograms: {functions}, at most {MAX_SUBPROGS} are allowed");
        return Err(Box::new(Diagnostic::program(Code::TooManySubprogs, message)));
    }
    let starts = &program.subprogs;
    let ordered = starts.windows(2).all(|pair| pair[0].start < pair[1].start);
    let first = starts.first().is_some_and(|s| s.start == InsnIdx(0));
    let last = starts.last().is_some_and(|s| s.start.index() < count);
    if !(ordered && first && last) {
        let message = "the list of functions does not match the instructions";
        return Err(Box::new(Diagnostic::program(Code::InvalidInstruction, message)));
    }
    Ok(())
}

fn check_subprog(program: &Program, id: SubprogId, findings: &mut Vec<Diagnostic>) {
    let range = program.subprog_range(id);
    let insns = &program.insns;
    let slots = (0u32..).map(InsnIdx).skip(range.start).take(range.len());
    for at in slots {
        if findings.len() >= ENOUGH {
            return;
        }
        let insn = &insns[at.index()];
        let wide = matches!(insn, Insn::LoadImm64 { .. });
        let next_is_second = at.index() + 1 < range.end && insns[at.index() + 1] == Insn::SecondSlot;
        if wide != next_is_second || (*insn == Insn::SecondSlot && at.index() == range.start) {
            let message = "invalid BPF_LD_IMM insn: a half of it is missing";
            findings.push(Diagnostic::at(Code::InvalidInstruction, at, message));
        }
        if let Some(off) = flow(insn).jump {
            findings.extend(check_jump(program, at, off, &range).err().map(|found| *found));
        }
    }
    let last = InsnIdx(u32::try_from(range.end - 1).expect("the program's size was checked"));
    let leaves = !flow(&insns[last.index()]).falls;
    if !leaves {
        let found = Diagnostic::at(Code::FallsOffEnd, last, "last insn is not an exit or jmp");
        findings.push(found.help("end every function with `exit`"));
    }
}

fn check_jump(program: &Program, at: InsnIdx, off: i32, range: &std::ops::Range<usize>) -> Check {
    let target = i64::from(at.0) + 1 + i64::from(off);
    let inside = usize::try_from(target).ok().filter(|t| range.contains(t));
    let Some(inside) = inside else {
        return err(Code::JumpOutOfRange, at, format!("jump out of range from insn {at} to {target}"));
    };
    if program.insns[inside] == Insn::SecondSlot {
        let message = format!("jump into the middle of ldimm64 insn {}", inside - 1);
        return err(Code::JumpIntoSecondSlot, at, message);
    }
    Ok(())
}

/// Checks what instructions refer to, and lists the calls of each function.
fn check_references(program: &Program, findings: &mut Vec<Diagnostic>) -> Vec<Vec<Call>> {
    let mut calls = vec![Vec::new(); program.subprogs.len()];
    for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
        if findings.len() >= ENOUGH {
            break;
        }
        let off = match *insn {
            Insn::Call(CallTarget::Subprog(off)) => off,
            Insn::LoadImm64 { imm: Imm64::Func(off), .. } => off,
            Insn::LoadImm64 { imm, .. } => {
                findings.extend(check_map_reference(program, at, imm).err().map(|found| *found));
                continue;
            }
            _ => continue,
        };
        let target = at.jump(off);
        let Some(callee) = target.and_then(|t| subprog_at(program, t)) else {
            let target = i64::from(at.0) + 1 + i64::from(off);
            let message = format!("no program starts at insn {target}");
            findings.push(Diagnostic::at(Code::CallTarget, at, message));
            continue;
        };
        calls[program.subprog_of(at).index()].push(Call { at, callee });
    }
    calls
}

/// Why no map can be made of a definition. Loading fails for it in Linux, before any program is verified.
fn definition_fault(map: &MapDef) -> Option<String> {
    let MapDef { name, key_size, value_size, max_entries, .. } = map;
    let kind = map.kind.linux()?;
    let fault = |what: String| Some(format!("map `{name}` cannot be made: {what}"));
    match kind.entries {
        Entries::Some if *max_entries == 0 => return fault("max_entries is 0".to_owned()),
        Entries::Zero if *max_entries != 0 => return fault(format!("max_entries is {max_entries}, not 0")),
        Entries::Some | Entries::Zero | Entries::Adjusted => {}
    }
    // Build ids and offsets instead of addresses.
    let build_ids = map.kind.number() == STACK_TRACE && map.flags & F_STACK_BUILD_ID != 0;
    let wrong = |what: &str, sizes: Sizes, size: u32| match sizes {
        _ if build_ids && size.is_multiple_of(BUILD_ID_SIZE) && size / BUILD_ID_SIZE <= MAX_STACK_FRAMES => {
            None
        }
        _ if sizes.allow(size) && !(build_ids && what == "values") => None,
        Sizes::OneOf([only]) => fault(format!("{what} of this kind have {only} bytes, not {size}")),
        Sizes::Between(..) | Sizes::OneOf(_) if size == 0 => fault(format!("its {what} have no bytes")),
        Sizes::Between(..) | Sizes::OneOf(_) => {
            fault(format!("{what} of this kind do not have {size} bytes"))
        }
    };
    wrong("values", kind.value, *value_size).or_else(|| wrong("keys", kind.key, *key_size))
}

/// The number of maps of stack traces in `enum bpf_map_type`.
const STACK_TRACE: u32 = 7;
/// `BPF_F_STACK_BUILD_ID`
const F_STACK_BUILD_ID: u32 = 1 << 5;
/// Bytes of a `struct bpf_stack_build_id`.
const BUILD_ID_SIZE: u32 = 32;
/// Most frames of a stack trace (`perf_event_max_stack`).
const MAX_STACK_FRAMES: u32 = 127;

/// The number of arenas in `enum bpf_map_type`.
const ARENA: u32 = 33;

fn check_map_reference(program: &Program, at: InsnIdx, imm: Imm64) -> Check {
    let find = |index: u32| program.maps.get(MapId(index).index());
    if let Imm64::MapIdx(index) | Imm64::MapIdxValue { index, .. } = imm
        && let Some(fault) = find(index).and_then(definition_fault)
    {
        return err(Code::MapDefinition, at, fault);
    }
    match imm {
        Imm64::MapIdx(index) => match find(index) {
            Some(_) => Ok(()),
            None => err(Code::MapReference, at, format!("there is no map {index}")),
        },
        Imm64::MapIdxValue { index, off } => {
            let Some(map) = find(index) else {
                return err(Code::MapReference, at, format!("there is no map {index}"));
            };
            // An arena's variables are addressed so too.
            if map.kind.number() == ARENA {
                return Ok(());
            }
            if map.kind.known() != Some(MapKind::Array) || map.max_entries != 1 {
                let message = "no direct value access support for this map type";
                return err(Code::MapReference, at, message);
            }
            if off >= map.value_size {
                let size = map.value_size;
                let message = format!("invalid access to map value pointer, value_size={size} off={off}");
                return err(Code::MapReference, at, message);
            }
            Ok(())
        }
        Imm64::Value(_)
        | Imm64::MapFd(_)
        | Imm64::MapFdValue { .. }
        | Imm64::BtfId { .. }
        | Imm64::Func(_) => Ok(()),
    }
}

/// Every instruction must be reachable along the edges of the code, calls among them.
fn check_reachable(program: &Program, cfgs: &[Cfg], calls: &[Vec<Call>]) -> Result<(), Vec<Diagnostic>> {
    let mut blocks: Vec<Vec<bool>> = cfgs.iter().map(|c| vec![false; c.blocks.len()]).collect();
    // Blocks are entered at their start; a call reaches its callee's entry.
    let mut work = vec![(SubprogId::MAIN, crate::cfg::BlockId::ENTRY)];
    work.extend(program.exception_callback.map(|id| (id, crate::cfg::BlockId::ENTRY)));
    while let Some((id, block)) = work.pop() {
        if std::mem::replace(&mut blocks[id.index()][block.index()], true) {
            continue;
        }
        let body = cfgs[id.index()].block(block);
        work.extend(body.successors().map(|next| (id, next)));
        let own = &calls[id.index()];
        let first = own.partition_point(|c| c.at < body.start);
        let inside = own[first..].iter().take_while(|c| c.at < body.end);
        work.extend(inside.map(|c| (c.callee, crate::cfg::BlockId::ENTRY)));
    }
    // What dead code alone leads to is dead too: one place a function says enough.
    let dead = subprog_ids(program).filter_map(|id| {
        let reached = &blocks[id.index()];
        let mut dead = cfgs[id.index()].blocks.iter().zip(reached).filter(|(_, reached)| !**reached);
        let at = dead.next()?.0.start;
        Some(Diagnostic::at(Code::UnreachableInsn, at, format!("unreachable insn {at}")))
    });
    let findings: Vec<Diagnostic> = dead.collect();
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// No function may call itself, and no chain of calls may be longer than the limit. Gives the functions
/// in an order in which callees stand after their callers.
fn check_call_graph(program: &Program, calls: &[Vec<Call>]) -> Check<Vec<SubprogId>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Active,
        Done,
    }
    let mut marks = vec![Mark::New; program.subprogs.len()];
    let mut done = Vec::with_capacity(program.subprogs.len());
    let mut stack = vec![(SubprogId::MAIN, 0)];
    marks[0] = Mark::Active;
    while let Some((id, next)) = stack.last_mut() {
        let Some(call) = calls[id.index()].get(*next) else {
            marks[id.index()] = Mark::Done;
            done.push(*id);
            stack.pop();
            continue;
        };
        *next += 1;
        match marks[call.callee.index()] {
            Mark::New => {
                marks[call.callee.index()] = Mark::Active;
                stack.push((call.callee, 0));
            }
            Mark::Active => {
                let name = &program.subprogs[call.callee.index()].name;
                let message = format!("recursive call of `{name}`: the call stack is too deep");
                return err(Code::CallDepth, call.at, message)
                    .map_err(|d| Box::new(d.help("turn the recursion into a bounded loop")));
            }
            Mark::Done => {}
        }
    }
    done.reverse();
    let mut depth = vec![1usize; program.subprogs.len()];
    for id in &done {
        for call in &calls[id.index()] {
            let deeper = depth[id.index()] + 1;
            if deeper > MAX_FRAMES {
                let message = format!("the call stack of {MAX_FRAMES} frames is too deep !");
                return err(Code::CallDepth, call.at, message);
            }
            depth[call.callee.index()] = depth[call.callee.index()].max(deeper);
        }
    }
    Ok(done)
}

/// For each function, whether it holds a call of such a helper.
fn holds(program: &Program, pick: impl Fn(HelperId) -> bool) -> Vec<bool> {
    let mut found = vec![false; program.subprogs.len()];
    for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
        if let Insn::Call(CallTarget::Helper(number)) = *insn
            && HelperId::from_number(number).is_some_and(&pick)
        {
            found[program.subprog_of(at).index()] = true;
        }
    }
    found
}
