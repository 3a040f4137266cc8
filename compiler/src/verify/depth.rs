//! How deep the stacks of all chains of calls get, after it is known how much each function uses.
//!
//! Linux adds up the frames of a chain, each rounded up, and allows 512 bytes; before a function that
//! makes tail calls, 256. Chains are many but functions few: one pass in call order finds the deepest
//! chain to each function.

use super::facts::Collector;
use super::structure::{Layout, subprog_ids};
use crate::diag::{Code, Diagnostic};
use crate::isa::InsnIdx;
use crate::program::{Program, SubprogId};

/// Bytes of all frames of a chain of calls.
const MAX_STACK: u32 = 512;
/// Bytes that may be in use where a function that makes tail calls is entered.
const MAX_BEFORE_TAIL_CALL: u32 = 256;

const HELP: &str = "the functions of a chain of calls share 512 bytes of stack, 256 before tail calls: keep large buffers \
                    in a map of one element for each CPU";
const SCRATCH: &str = "struct {
\t__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
\t__uint(max_entries, 1);
\t__type(key, __u32);
\t__type(value, struct buffer);
} scratch SEC(\".maps\");";

/// Checks the limits. Gives the bytes of the deepest chain; marks functions that lead to tail calls.
pub(super) fn check(
    program: &Program,
    layout: &Layout,
    facts: &mut Collector,
) -> Result<u32, Box<Diagnostic>> {
    let count = program.subprogs.len();
    let mut before = vec![0u32; count];
    let mut frames = vec![1u32; count];
    // The call that leads into each function most deeply.
    let mut entered: Vec<InsnIdx> = program.subprogs.iter().map(|s| s.start).collect();
    let mut callers: Vec<Option<SubprogId>> = vec![None; count];
    let mut deepest = 0;
    for id in &layout.order {
        let own = facts.stack_depth_of(*id).next_multiple_of(16);
        let depth = before[id.index()] + own;
        let at = entered[id.index()];
        if *id != SubprogId::MAIN
            && layout.tail_calls[id.index()]
            && before[id.index()] >= MAX_BEFORE_TAIL_CALL
        {
            let bytes = before[id.index()];
            let message = format!(
                "tail_calls are not allowed when call stack of previous frames is {bytes} bytes. Too large"
            );
            let found = Diagnostic::at(Code::StackTooDeep, at, message).label(format!(
                "this function makes tail calls, and {bytes} bytes of stack are in use already"
            ));
            return Err(Box::new(found.help(HELP).repair(SCRATCH)));
        }
        if depth > MAX_STACK {
            let calls = frames[id.index()];
            let message = format!("combined stack size of {calls} calls is {depth}. Too large");
            let found = Diagnostic::at(Code::StackTooDeep, at, message)
                .label(format!("{depth} bytes of stack are in use in the function that is called here"))
                .help(HELP)
                .repair(SCRATCH);
            let mut chain: Vec<SubprogId> = vec![*id];
            chain.extend(std::iter::successors(callers[id.index()], |id| callers[id.index()]));
            return Err(Box::new(chain.iter().rev().fold(found, |found, id| {
                let (name, own) = (&program.subprogs[id.index()].name, facts.stack_depth_of(*id));
                found.note(None, format!("`{name}` uses {own} bytes"))
            })));
        }
        deepest = deepest.max(depth);
        for call in &layout.calls[id.index()] {
            let callee = call.callee.index();
            if before[callee] < depth {
                before[callee] = depth;
                frames[callee] = frames[id.index()] + 1;
                entered[callee] = call.at;
                callers[callee] = Some(*id);
            }
        }
    }
    let mut tail_calls = layout.tail_calls.clone();
    for id in layout.order.iter().rev() {
        tail_calls[id.index()] |= layout.calls[id.index()].iter().any(|c| tail_calls[c.callee.index()]);
    }
    for id in subprog_ids(program).filter(|id| tail_calls[id.index()]) {
        facts.tail_calls(id);
    }
    Ok(deepest)
}
