//! Passes words of 32 bits from block to block as such.
//!
//! Registers are 64 bits wide, so `build` widens what a 32-bit operation yields wherever ways join.
//! A parameter of which every argument is a zero-extended word, a small constant or another such
//! parameter becomes an I32, widened where its block begins. The widening is then folded into its
//! users or stays where it is needed.

use super::table::WordMap;
use crate::ir::{Block, ExtendKind, Function, Op, Terminator, Type, Unit, Value, ValueDef};
use crate::isa::{InsnIdx, Size};

/// Narrows parameters in all functions.
pub fn run(unit: &mut Unit) {
    for function in unit.functions.iter_mut().flatten() {
        narrow(function);
    }
}

fn narrow(function: &mut Function) {
    let candidates = candidates(function);
    if candidates.is_empty() {
        return;
    }
    let mut words: WordMap<u32, Value> = WordMap::default();
    for block in function.blocks() {
        let params = function.block(block).params.clone();
        let mut widened = Vec::new();
        for (at, param) in params.into_iter().enumerate() {
            if !candidates.contains_key(&param.0) {
                continue;
            }
            let word = function.add_param(block, Type::I32);
            let list = &mut function.block_mut(block).params;
            list.pop();
            list[at] = word;
            words.insert(param.0, word);
            let op = Op::Extend { kind: ExtendKind::Zero, from: Size::W, a: word };
            let origin = first_origin(function, block);
            let (inst, wide) = function.make(op, Type::I64, origin);
            widened.push(inst);
            function.replace(param, wide);
        }
        function.block_mut(block).insts.splice(0..0, widened);
    }
    for block in function.blocks() {
        pass_words(function, block, &words);
    }
    function.apply_replacements();
}

fn first_origin(function: &Function, block: Block) -> InsnIdx {
    let data = function.block(block);
    data.insts.first().map_or(data.end_origin, |inst| function.inst(*inst).origin)
}

/// Gives the edges of a block words where parameters became words.
fn pass_words(function: &mut Function, block: Block, words: &WordMap<u32, Value>) {
    let mut end = std::mem::replace(&mut function.block_mut(block).end, Terminator::Return(Value(0)));
    let origin = function.block(block).end_origin;
    end.for_each_edge_mut(|edge| {
        for (at, arg) in edge.args.iter_mut().enumerate() {
            let param = function.block(edge.block).params[at];
            if function.ty(param) != Type::I32 || function.ty(*arg) != Type::I64 {
                continue;
            }
            *arg = match (words.get(&arg.0), function.op(*arg)) {
                (Some(word), _) => *word,
                (None, Some(&Op::Const(bits))) => function.push(block, Op::Const(bits), Type::I32, origin),
                (None, Some(&Op::Extend { a, .. })) => a,
                (None, _) => unreachable!("candidates have such arguments only"),
            };
        }
    });
    function.block_mut(block).end = end;
}

/// The parameters that can be words: all that could be, less those that get anything else.
fn candidates(function: &Function) -> WordMap<u32, ()> {
    let mut found: WordMap<u32, ()> = WordMap::default();
    // The parameters that take another as an argument: if that one goes, so do they.
    let mut feeds: WordMap<u32, Vec<Value>> = WordMap::default();
    for block in function.layout.iter().skip(1) {
        for param in &function.block(*block).params {
            if function.ty(*param) == Type::I64 {
                found.insert(param.0, ());
            }
        }
    }
    let mut gone = Vec::new();
    let mut words = 0;
    for block in &function.layout {
        function.block(*block).end.for_each_edge(|edge| {
            let params = &function.block(edge.block).params;
            for (param, arg) in params.iter().zip(&edge.args) {
                match (function.op(*arg), function.def(*arg)) {
                    (Some(Op::Const(bits)), _) if *bits <= Type::I32.mask() => {}
                    (Some(Op::Extend { kind: ExtendKind::Zero, from: Size::W, a }), _)
                        if function.ty(*a) == Type::I32 =>
                    {
                        words += 1;
                    }
                    (None, ValueDef::Param(_)) if found.contains_key(&arg.0) => {
                        feeds.entry(arg.0).or_default().push(*param);
                    }
                    _ => gone.push(*param),
                }
            }
        });
    }
    if words == 0 {
        return WordMap::default();
    }
    while let Some(param) = gone.pop() {
        if found.remove(&param.0).is_some() {
            gone.extend(feeds.remove(&param.0).unwrap_or_default());
        }
    }
    found
}
