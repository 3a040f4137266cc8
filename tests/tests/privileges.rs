//! Asks the running kernel what loaders of less privilege may use: kinds of programs, maps and helpers, context fields.
//!
//! A small program is loaded for each question, as the loader in question.

use std::sync::Arc;

use brolga_abi::ProgramKind;
use brolga_abi::helpers::{Capability, HELPERS};
use brolga_abi::kinds::PROGRAM_KINDS;
use brolga_compiler::diag::Code;
use brolga_compiler::isa::{AluOp, CallTarget, Insn, Operand, Reg, Size, Width};
use brolga_compiler::program::Program;
use brolga_compiler::verify::{Options, Privilege, verify};
use brolga_tests::ask::{Answer, ask, load_as};
use brolga_tests::bpf_syscall::KernelMap;
use brolga_tests::loader::{Open, with_privilege};

const LESS: [Privilege; 2] = [Privilege::Bpf, Privilege::Unprivileged];

fn mov(dst: Reg, imm: i32) -> Insn {
    Insn::Alu { op: AluOp::Mov, width: Width::W64, dst, src: Operand::Imm(imm) }
}

fn program(kind: ProgramKind, insns: Vec<Insn>) -> Program {
    Program::from_insns("question", kind, insns, Arc::new([]))
}

/// Whether Brolga refuses it for want of privilege.
fn lacks(program: &Program, privilege: Privilege) -> bool {
    let options = Options { privilege, ..Options::default() };
    verify(program, &options).is_err_and(|r| r.diagnostics[0].code == Code::NeedsPrivilege)
}

#[test]
fn kinds_of_programs() {
    let Some(_open) = Open::or_skip() else { return };
    let mut wrong = Vec::new();
    for row in PROGRAM_KINDS.iter().filter(|row| row.kind != ProgramKind::RawMemory) {
        let (min, _) = row.kind.return_range(None).unwrap_or((0, 0));
        let asked = program(row.kind, vec![mov(Reg::R0, i32::try_from(min).unwrap_or(0)), Insn::Exit]);
        let Ok(load) = load_as(&asked) else { continue };
        if ask(&asked, load, Privilege::Full) != Answer::Accepted {
            continue;
        }
        for privilege in LESS {
            let answer = ask(&asked, load, privilege);
            if (answer == Answer::Accepted) == lacks(&asked, privilege) {
                wrong.push(format!("{} for {privilege:?}: {answer:?}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn helpers() {
    let Some(_open) = Open::or_skip() else { return };
    let mut wrong = Vec::new();
    let kinds = PROGRAM_KINDS.iter().map(|row| row.kind).filter(|kind| *kind != ProgramKind::RawMemory);
    for kind in kinds {
        let (min, _) = kind.return_range(None).unwrap_or((0, 0));
        let end = [mov(Reg::R0, i32::try_from(min).unwrap_or(0)), Insn::Exit];
        let plain = program(kind, end.to_vec());
        let loads =
            |privilege| load_as(&plain).is_ok_and(|load| ask(&plain, load, privilege) == Answer::Accepted);
        let asking = LESS.into_iter().filter(|privilege| loads(*privilege)).collect::<Vec<_>>();
        for helper in HELPERS.iter().filter(|helper| helper.id.for_kind(kind, None).is_some()) {
            let call = Insn::Call(CallTarget::Helper(helper.number));
            let asked = program(kind, [&[call], &end[..]].concat());
            let Ok(load) = load_as(&asked) else { continue };
            for &privilege in &asking {
                let hidden = match ask(&asked, load, privilege) {
                    Answer::Refused(why) => why.contains("cannot use helper") || why.contains("unknown func"),
                    Answer::Accepted | Answer::Unasked(_) => false,
                };
                if hidden != lacks(&asked, privilege) {
                    let capability: Capability = helper.id.capability(kind);
                    wrong.push(format!("{} in {kind:?} for {privilege:?}: {capability:?}", helper.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn kinds_of_maps() {
    let Some(_open) = Open::or_skip() else { return };
    let mut wrong = Vec::new();
    for number in 1..=33 {
        for (key, value, entries, flags) in [
            (4, 8, 1, 0),
            (8, 8, 1, 1),
            (4, 4, 1, 0),
            (0, 0, 4096, 0),
            (0, 8, 1, 0),
            (4, 8, 0, 1),
            (16, 8, 0, 0),
        ] {
            let make = || KernelMap::create(number, key, value, entries, flags, None);
            if make().is_err() {
                continue;
            }
            let made = with_privilege(Privilege::Unprivileged, || make().is_ok())
                .expect("capabilities can be lowered");
            let named = Privilege::Unprivileged.may_make(number);
            if made != named {
                wrong.push(format!("kind {number}: everybody may make it: {made}"));
            }
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn context_fields() {
    let Some(_open) = Open::or_skip() else { return };
    let mut wrong = Vec::new();
    for kind in [ProgramKind::SocketFilter, ProgramKind::CgroupSkb] {
        for (off, size) in (0..192).flat_map(|off| [(off, Size::W), (off, Size::DW)]) {
            let load = Insn::Load { size, signed: false, dst: Reg::R2, base: Reg::R1, off };
            let store = Insn::Store { size, base: Reg::R1, off, src: Operand::Reg(Reg::R0) };
            for insn in [load, store] {
                let asked = program(kind, vec![mov(Reg::R0, 0), insn, Insn::Exit]);
                let answer = ask(&asked, load_as(&asked).expect("no types"), Privilege::Unprivileged);
                let options = Options { privilege: Privilege::Unprivileged, ..Options::default() };
                if verify(&asked, &options).is_ok() != (answer == Answer::Accepted) {
                    wrong.push(format!("{insn:?} in {kind:?}: {answer:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
