//! Facts as text: what a case file says was proven of each instruction.
//!
//! An instruction of which nothing is known but that it is executed has a line without facts. The text shows everything
//! that [`Facts`](brolga_compiler::verify::Facts) has, so that a fact that is lost or found changes a case.

use std::fmt::Write;

use brolga_compiler::isa::{Insn, InsnIdx, NoNames, disasm};
use brolga_compiler::program::{MapId, Program, SubprogId};
use brolga_compiler::verify::{Accepted, Access, InsnFact, Span};

/// All facts of a program, a line an instruction and a line a function.
#[must_use]
pub fn text(program: &Program, accepted: &Accepted) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    for (at, insn) in (0..).map(InsnIdx).zip(&program.insns) {
        if *insn == Insn::SecondSlot {
            continue;
        }
        let fact = accepted.facts.at(at);
        line(format!("{at:3}: {:32} {}", disasm(insn, &NoNames).to_string(), of_insn(program, insn, fact)));
    }
    for (index, subprog) in (0..).zip(&program.subprogs) {
        let fact = accepted.facts.subprog(SubprogId(index));
        let called = if fact.called { "" } else { ", never called" };
        let tail = if fact.tail_calls { ", makes tail calls" } else { "" };
        let frame = fact.stack_depth;
        line(format!("function {}: frame of {frame} bytes{called}{tail}", subprog.name));
    }
    line(format!("stack of the deepest chain: {} bytes", accepted.stats.stack_depth));
    text
}

fn of_insn(program: &Program, insn: &Insn, fact: &InsnFact) -> String {
    if !fact.reach.executed {
        return "; never executed".to_owned();
    }
    let mut facts = Vec::new();
    if let Insn::Branch { .. } = insn {
        match (fact.reach.taken, fact.reach.fallthrough) {
            (true, true) => {}
            (true, false) => facts.push("always taken".to_owned()),
            (false, true) => facts.push("never taken".to_owned()),
            (false, false) => facts.push("leads nowhere".to_owned()),
        }
    }
    if let Some(access) = fact.access {
        facts.push(of_access(program, access) + &fact.span.map(of_span).unwrap_or_default());
    }
    if let Some(map) = fact.call.map {
        facts.push(format!("map {}", program.maps[map.index()].name));
    }
    if let Some(subprog) = fact.call.subprog {
        facts.push(format!("calls {}", program.subprogs[subprog.index()].name));
    }
    if let Some(foreign) = fact.foreign {
        facts.push(format!("needs {foreign}"));
    }
    if facts.is_empty() { String::new() } else { format!("; {}", facts.join(", ")) }
}

fn of_access(program: &Program, access: Access) -> String {
    let name = |map: Option<MapId>| map.map_or("several maps", |map| &program.maps[map.index()].name);
    match access {
        Access::OwnStack { .. } => "stack".to_owned(),
        Access::CallerStack => "a caller's stack".to_owned(),
        Access::Context { .. } => "context".to_owned(),
        Access::Packet => "packet".to_owned(),
        Access::MapValue { map, .. } => format!("value of {}", name(map)),
        Access::RawMemory => "memory".to_owned(),
        Access::Mixed => "several regions".to_owned(),
    }
}

fn of_span(span: Span) -> String {
    let mut text = format!(" at {}", span.min);
    if span.min != span.max {
        let _ = write!(text, "..={}", span.max);
        if span.align > 0 {
            let _ = write!(text, ", aligned to {}", 1u64 << span.align.min(63));
        }
    }
    text
}
