//! Whether Brolga and the running kernel say the same of many programs.
//!
//! Programs are generated, some of them broken a little, or taken from objects and broken; each is judged for a
//! privileged loader and, where its kind allows that, for one without privileges. Nothing is run. What is known to
//! be judged otherwise is not asked: quotients, whose range Linux does not know; how many CPUs there are. Where one
//! side gives up because of a program's size, nothing is compared. What differs is made small.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use brolga_abi::{HelperId, MapKind, ProgramKind};
use brolga_compiler::diag::Code;
use brolga_compiler::isa::{AluOp, CallTarget, Imm64, Insn, NoNames, Operand, Reg, Width, listing};
use brolga_compiler::program::{MapDef, MapId, Program, Subprog};
use brolga_compiler::verify::{Options, Privilege, Pruning, verify};

use crate::ask::{Answer, Asker};
use crate::case::Case;
use crate::engines::oracle::Oracle;
use crate::engines::{Error, Input, Module};
use crate::generate::loose::loose;
use crate::generate::mutate::{mutate, mutated_with};
use crate::generate::rng::Rng;
use crate::generate::{HASH, Profile, generate_with, maps};
use crate::minimise::minimise;
use crate::runner::load_and_run;

/// What came of many questions.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Programs.
    pub programs: u64,
    /// Questions: a program for a loader.
    pub asked: u64,
    /// Both accept.
    pub both_accept: u64,
    /// Both refuse.
    pub both_refuse: u64,
    /// One side gave up because of size.
    pub too_large: u64,
    /// The kernel could not be asked, or Brolga does not judge it yet.
    pub unasked: u64,
    /// What only Brolga accepts.
    pub only_brolga: u64,
    /// What only Brolga accepts since it knows more of a number, by Linux's reason.
    pub sharper: BTreeMap<String, u64>,
    /// What only Linux accepts, by Brolga's reason.
    pub only_linux: BTreeMap<String, u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (only_linux, sharper): (u64, u64) = (self.only_linux.values().sum(), self.sharper.values().sum());
        write!(
            f,
            "{} programs, {} questions: both accept {}, both refuse {}, only Brolga accepts {}, only Brolga \
             for what it knows of numbers {sharper}, only Linux accepts {only_linux}, too large {}, not asked {}",
            self.programs,
            self.asked,
            self.both_accept,
            self.both_refuse,
            self.only_brolga,
            self.too_large,
            self.unasked
        )
    }
}

/// The program of a seed: generated, generated and broken, or loose.
#[must_use]
pub fn subject(seed: u64) -> Program {
    let program = match seed % 8 {
        0 => module_program(&generate_with(seed, Profile::Proofs).module),
        1 => module_program(&mutated_with(seed, Profile::Proofs).module),
        2..=5 => loose(seed),
        _ => {
            let mut program = loose(seed);
            let mut rng = Rng::new(!seed);
            let at = rng.below(u32::try_from(program.insns.len()).expect("programs are small")) as usize;
            program.insns[at] = mutate(&mut rng, program.insns[at]);
            program
        }
    };
    comparable(program)
}

/// The index of the map in which a `raw_memory` program's buffer lies.
const MEMORY: u32 = 5;

/// The maps of generated programs, and one for a buffer.
#[must_use]
pub fn all_maps(buffer: u32) -> Arc<[MapDef]> {
    let mut all = maps().to_vec();
    assert_eq!(all.len(), MEMORY as usize, "the buffer's map is the last");
    all.push(MapDef::new("memory", MapKind::Array, 4, buffer, 1));
    all.into()
}

/// A generated module's program as Linux can take it: a `raw_memory` program finds its buffer in a map.
fn module_program(module: &Module) -> Program {
    let program = &module.programs[0];
    if program.kind != Some(ProgramKind::RawMemory) {
        return Program { maps: all_maps(64), ..program.clone() };
    }
    let len = program.raw_memory_len;
    let front = [
        Insn::LoadImm64 { dst: Reg::R1, imm: Imm64::MapIdxValue { index: MEMORY, off: 0 } },
        Insn::SecondSlot,
        Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R2, src: Operand::Imm(len.cast_signed()) },
    ];
    let insns = [&front[..], &program.insns].concat();
    Program::from_insns(&program.name, ProgramKind::SocketFilter, insns, all_maps(len))
}

/// The program without what the two sides are known to judge otherwise. To the kernel all functions are static, since
/// it is given no types.
fn comparable(mut program: Program) -> Program {
    let cpu = HelperId::GetSmpProcessorId.info().number;
    for insn in &mut program.insns {
        match insn {
            Insn::Alu { op, src, .. }
                if matches!(op, AluOp::Div | AluOp::Sdiv | AluOp::Mod | AluOp::Smod)
                    && *src != Operand::Imm(0) =>
            {
                *op = AluOp::Mul;
            }
            Insn::Call(CallTarget::Helper(number)) if *number == cpu => {
                *number = HelperId::GetPrandomU32.info().number;
            }
            _ => {}
        }
    }
    for subprog in &mut program.subprogs {
        *subprog = Subprog { global: false, params: Vec::new(), ..subprog.clone() };
    }
    program
}

/// A program of an object, changed at random, as Linux can take it.
#[must_use]
pub fn broken(base: &Program, rng: &mut Rng) -> Program {
    let mut program = base.clone();
    for _ in 0..1 + rng.below(2) {
        let at = rng.below(u32::try_from(program.insns.len()).unwrap_or(u32::MAX)) as usize;
        program.insns[at] = mutate(rng, program.insns[at]);
    }
    comparable(program)
}

/// What both sides say of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Both {
    /// The same, whether it is accepted.
    Agree(bool),
    /// Brolga accepts, and Linux says this.
    OnlyBrolga(String),
    /// Brolga accepts for what it knows of numbers, and Linux says this.
    Sharper(String),
    /// Linux accepts, and Brolga says this.
    OnlyLinux(String),
    /// One side gave up.
    TooLarge,
    /// There is no question, or no answer yet.
    Unasked,
}

/// Asks both sides.
pub fn both(program: &Program, privilege: Privilege, asker: &mut Asker) -> Both {
    let ours = verify(program, &Options { privilege, ..Options::default() });
    if let Err(rejection) = &ours {
        if rejection.unsupported().is_some() {
            return Both::Unasked;
        }
        if rejection.diagnostics[0].code == Code::TooComplex {
            return Both::TooLarge;
        }
    }
    let (quick, privilege) = (asker.ask(program, privilege, false), privilege);
    match (ours, quick) {
        (_, Answer::Unasked(_)) => Both::Unasked,
        (Ok(_), Answer::Accepted) => Both::Agree(true),
        (Err(_), Answer::Refused(_)) => Both::Agree(false),
        (Ok(_), Answer::Refused(_)) => match asker.ask(program, privilege, true) {
            Answer::Refused(why) if gave_up(&why) => Both::TooLarge,
            Answer::Refused(why) if about_numbers(&why) && holds(program, privilege) => Both::Sharper(why),
            Answer::Refused(why) => Both::OnlyBrolga(why),
            Answer::Accepted | Answer::Unasked(_) => Both::Unasked,
        },
        (Err(rejection), Answer::Accepted) => {
            let first = &rejection.diagnostics[0];
            Both::OnlyLinux(format!("{}: {}", first.code.info().name, first.message))
        }
    }
}

/// A reason without its numbers: the last sentence of the kernel's log.
fn class(why: &str) -> String {
    let last = why.rsplit(" / ").next().unwrap_or(why);
    last.chars().filter(|c| !c.is_ascii_digit()).take(90).collect()
}

/// Whether Linux refuses a program since it knows too little of a number: it could be out of bounds, or unaligned.
fn about_numbers(why: &str) -> bool {
    const ABOUT: &[&str] = &[
        "outside of the allowed memory range",
        "outside of the packet",
        "pointer be out of bounds",
        "unbounded",
        "min value is negative",
        "variable-offset",
        "is not allowed",
        "misaligned",
        "should have been in",
        "mixed signed bounds",
        "goes out of range",
        "invalid indirect",
        "zero-sized read",
        "tried to",
    ];
    ABOUT.iter().any(|part| why.contains(part))
}

/// Whether Brolga still accepts a program when it follows every path to its end, so that no state stands for another,
/// and no concrete run of it does anything unsafe.
fn holds(program: &Program, privilege: Privilege) -> bool {
    let options =
        Options { privilege, pruning: Pruning::Off, instruction_budget: 20_000, ..Options::default() };
    if let Err(rejection) = verify(program, &options)
        && rejection.diagnostics[0].code != Code::TooComplex
    {
        return false;
    }
    if program.kind.and_then(ProgramKind::native).is_none() {
        return true;
    }
    let mut rng = Rng::new(program.insns.len() as u64);
    let oracle = Oracle { fuel: Some(20_000), ..Oracle::default() };
    (0..32).all(|_| {
        let data = (0..64).map(|_| (rng.value() & 0xff) as u8).collect();
        let mut element = |map| {
            let values = vec![[rng.value().to_le_bytes(), rng.value().to_le_bytes()].concat()];
            (MapId(map), rng.below(8).to_le_bytes().to_vec(), values)
        };
        let elements = [element(HASH), element(HASH), element(HASH)];
        let module = Module { programs: vec![program.clone()], maps: program.maps.clone() };
        let case = Case::from_module("", &module, &elements, &Input { data });
        !matches!(load_and_run(&case, &oracle), Err(Error::Fault(fault)) if fault.is_unsafe())
    })
}

/// Whether Linux gave up, instead of finding something unsafe.
fn gave_up(why: &str) -> bool {
    ["too large", "too complex", "verifier bug", "Cannot allocate memory", "Argument list too long"]
        .iter()
        .any(|w| why.contains(w))
}

/// Asks about a program on behalf of those who may load its kind, and counts. Gives what differs, made small.
pub fn compare(program: &Program, asker: &mut Asker, report: &mut Report) -> Vec<String> {
    let mut shown = Vec::new();
    let everybody = matches!(program.kind, Some(ProgramKind::SocketFilter | ProgramKind::CgroupSkb));
    report.programs += 1;
    for privilege in [Privilege::Full, Privilege::Unprivileged] {
        if privilege != Privilege::Full && !everybody {
            continue;
        }
        report.asked += 1;
        let found = both(program, privilege, asker);
        let why = match &found {
            Both::Agree(true) => {
                report.both_accept += 1;
                continue;
            }
            Both::Agree(false) => {
                report.both_refuse += 1;
                continue;
            }
            Both::TooLarge => {
                report.too_large += 1;
                continue;
            }
            Both::Unasked => {
                report.unasked += 1;
                continue;
            }
            Both::Sharper(why) => {
                let count = report.sharper.entry(class(why)).or_default();
                *count += 1;
                if *count > 2 {
                    continue;
                }
                format!("SHARPER {} ({privilege:?}): {why}", program.name)
            }
            Both::OnlyBrolga(why) => {
                report.only_brolga += 1;
                format!("ONLY BROLGA ACCEPTS {} ({privilege:?}): {why}", program.name)
            }
            Both::OnlyLinux(why) => {
                let count = report.only_linux.entry(class(why)).or_default();
                *count += 1;
                if *count > 2 {
                    continue;
                }
                format!("ONLY LINUX ACCEPTS {} ({privilege:?}): {why}", program.name)
            }
        };
        let small = smaller(program, privilege, &found, asker);
        shown.push(format!("{why}\n{}", listing(&small.insns, &NoNames)));
    }
    shown
}

/// The smallest program found of which the same side alone approves.
fn smaller(program: &Program, privilege: Privilege, found: &Both, asker: &mut Asker) -> Program {
    let module = Module::single(program.clone());
    let mut wrong = |module: &Module| {
        let mut program = module.programs[0].clone();
        program.subprogs.iter_mut().for_each(|subprog| subprog.global = false);
        match (both(&program, privilege, asker), found) {
            (Both::OnlyBrolga(now), Both::OnlyBrolga(then)) | (Both::Sharper(now), Both::Sharper(then)) => {
                class(&now) == class(then)
            }
            (Both::OnlyLinux(now), Both::OnlyLinux(then)) => class(&now) == class(then),
            _ => false,
        }
    };
    minimise(&module, &mut wrong).programs[0].clone()
}
