//! Programs of a few instructions and what lives in them.

use brolga_abi::ProgramKind;

use super::*;
use crate::isa::{AluOp, CallTarget, Cond, Insn, Operand, Reg, Size, Width};

fn liveness(insns: Vec<Insn>) -> Liveness {
    let program = Program::from_insns("test", ProgramKind::Xdp, insns, Vec::new().into());
    let cfgs: Vec<Cfg> = subprog_ids(&program).map(|id| Cfg::new(&program, id)).collect();
    // In these programs, functions stand behind their callers.
    let order: Vec<SubprogId> = subprog_ids(&program).collect();
    Liveness::new(&program, &Kfuncs::default(), &cfgs, &order)
}

fn mov(dst: Reg, src: Operand) -> Insn {
    Insn::Alu { op: AluOp::Mov, width: Width::W64, dst, src }
}

fn add(dst: Reg, src: Operand) -> Insn {
    Insn::Alu { op: AluOp::Add, width: Width::W64, dst, src }
}

/// A branch over the next instruction.
fn skip_if_zero(dst: Reg) -> Insn {
    Insn::Branch { cond: Cond::Eq, width: Width::W64, dst, src: Operand::Imm(0), off: 1 }
}

fn store(off: i16) -> Insn {
    Insn::Store { size: Size::DW, base: Reg::R10, off, src: Operand::Imm(0) }
}

fn load(base: Reg, off: i16) -> Insn {
    Insn::Load { size: Size::DW, signed: false, dst: Reg::R0, base, off }
}

#[test]
fn a_slot_lives_from_store_to_load() {
    let live = liveness(vec![store(-8), store(-16), load(Reg::R10, -8), Insn::Exit]);
    assert_eq!(live.before(InsnIdx(0)).slots, 0);
    assert_eq!(live.before(InsnIdx(1)).slots, 1);
    assert_eq!(live.before(InsnIdx(2)).slots, 1);
    assert_eq!(live.before(InsnIdx(3)), Live { regs: RegSet::of(Reg::R0), ..Live::default() });
}

#[test]
fn an_unknown_pointer_reads_every_slot() {
    let add_to = add(Reg::R2, Operand::Reg(Reg::R1));
    let live = liveness(vec![mov(Reg::R2, Operand::Reg(Reg::R10)), add_to, load(Reg::R2, 0), Insn::Exit]);
    assert_eq!(live.before(InsnIdx(0)).slots, u64::MAX);
    assert_eq!(live.before(InsnIdx(2)).regs, RegSet::of(Reg::R2));
}

/// `main` hands `r10 - 16` to a function with this body, whose first instruction is the fifth.
fn handing_over(body: Vec<Insn>) -> Liveness {
    let add_to = add(Reg::R1, Operand::Imm(-16));
    let call = Insn::Call(CallTarget::Subprog(2));
    let mut insns =
        vec![mov(Reg::R1, Operand::Reg(Reg::R10)), add_to, call, mov(Reg::R0, Operand::Imm(0)), Insn::Exit];
    insns.extend(body);
    liveness(insns)
}

/// Slots of the caller that are live where the function is entered.
fn entering(live: &Liveness) -> u64 {
    live.during_call(InsnIdx(2), false, &live.through(InsnIdx(5))).slots
}

#[test]
fn what_a_callee_has_read_through_an_argument_is_dead() {
    let nothing = mov(Reg::R0, Operand::Imm(0));
    let live = handing_over(vec![load(Reg::R1, 8), nothing, Insn::Exit]);
    let at = |at| live.during_call(InsnIdx(2), false, &live.through(InsnIdx(at))).slots;
    assert_eq!([at(5), at(6), at(7)], [0b1, 0, 0]);
    // Nothing is said of arguments one by one where the pointer may come from several.
    let pick = add(Reg::R2, Operand::Reg(Reg::R1));
    let live = handing_over(vec![load(Reg::R1, 8), pick, load(Reg::R2, 0), Insn::Exit]);
    let at = |at| live.during_call(InsnIdx(2), false, &live.through(InsnIdx(at))).slots;
    assert_eq!([at(6), at(7), at(8)], [u64::MAX, u64::MAX, 0]);
}

/// A function that runs for another one that was handed a pointer.
#[test]
fn what_a_callee_hands_on_lives_as_long_as_it_is_read_there() {
    let call = Insn::Call(CallTarget::Subprog(2));
    let body =
        |last| vec![call, last, Insn::Exit, load(Reg::R1, 0), mov(Reg::R1, Operand::Imm(0)), Insn::Exit];
    let at = |live: &Liveness, at| {
        let inner = live.through_during_call(InsnIdx(5), false, &live.through(InsnIdx(at)));
        live.during_call(InsnIdx(2), false, &inner).slots
    };
    let live = handing_over(body(mov(Reg::R0, Operand::Imm(0))));
    assert_eq!([at(&live, 8), at(&live, 9)], [0b10, 0]);
    // What it reads itself afterwards lives as well.
    let keep = mov(Reg::R6, Operand::Reg(Reg::R1));
    let live = handing_over(vec![
        keep,
        call,
        load(Reg::R6, 8),
        Insn::Exit,
        load(Reg::R1, 0),
        mov(Reg::R1, Operand::Imm(0)),
        Insn::Exit,
    ]);
    let at = |at| {
        let inner = live.through_during_call(InsnIdx(6), false, &live.through(InsnIdx(at)));
        live.during_call(InsnIdx(2), false, &inner).slots
    };
    assert_eq!([at(9), at(10)], [0b11, 0b01]);
}

/// What is live in the caller while the function is at instructions.
fn during<const N: usize>(live: &Liveness, at: [u32; N]) -> [u64; N] {
    at.map(|at| live.during_call(InsnIdx(2), false, &live.through(InsnIdx(at))).slots)
}

fn write(base: Reg, size: Size, off: i16) -> Insn {
    Insn::Store { size, base, off, src: Operand::Imm(0) }
}

#[test]
fn what_a_callee_overwrites_before_it_reads_it_is_dead() {
    let body = |size| vec![write(Reg::R1, size, 8), load(Reg::R1, 8), load(Reg::R1, 0), Insn::Exit];
    let live = handing_over(body(Size::DW));
    assert_eq!(during(&live, [5, 6, 7, 8]), [0b10, 0b11, 0b10, 0]);
    assert_eq!(live.before(InsnIdx(2)).slots, 0b10);
    // In part, it is not.
    assert_eq!(during(&handing_over(body(Size::W)), [5, 6]), [0b11, 0b11]);
}

#[test]
fn what_a_callee_perhaps_overwrites_lives() {
    let spill = Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R1) };
    let fill = Insn::Load { size: Size::DW, signed: false, dst: Reg::R3, base: Reg::R10, off: -8 };
    let last = load(Reg::R1, 0);
    // The slot may hold something else at that time.
    let live = handing_over(vec![spill, fill, write(Reg::R3, Size::DW, 0), last, Insn::Exit]);
    assert_eq!(during(&live, [7, 8]), [0b10, 0b10]);
    // Nor is it said which argument this is.
    let pick = add(Reg::R3, Operand::Reg(Reg::R1));
    let live = handing_over(vec![pick, write(Reg::R3, Size::DW, 0), last, Insn::Exit]);
    assert_eq!(during(&live, [6, 7]), [0b10, 0b10]);
    // On one of two ways only.
    let skip = skip_if_zero(Reg::R2);
    let live = handing_over(vec![skip, write(Reg::R1, Size::DW, 0), last, Insn::Exit]);
    assert_eq!(during(&live, [5, 6, 7]), [0b10, 0, 0b10]);
}

/// `main` has a function with this body called back with `r10 - 16`; it begins at the tenth instruction.
fn calling_back(body: Vec<Insn>) -> Liveness {
    let set = |dst, imm| mov(dst, Operand::Imm(imm));
    let mut insns = vec![
        set(Reg::R1, 9),
        Insn::LoadImm64 { dst: Reg::R2, imm: crate::isa::Imm64::Func(8) },
        Insn::SecondSlot,
        mov(Reg::R3, Operand::Reg(Reg::R10)),
        add(Reg::R3, Operand::Imm(-16)),
        set(Reg::R4, 0),
        Insn::Call(CallTarget::Helper(brolga_abi::HelperId::Loop.info().number)),
        set(Reg::R0, 0),
        set(Reg::R0, 0),
        Insn::Exit,
    ];
    insns.extend(body);
    liveness(insns)
}

#[test]
fn a_callback_reads_what_it_wrote_itself() {
    let live = calling_back(vec![
        write(Reg::R2, Size::DW, 0),
        load(Reg::R2, 8),
        load(Reg::R2, 0),
        mov(Reg::R0, Operand::Imm(0)),
        Insn::Exit,
    ]);
    let call = InsnIdx(6);
    assert_eq!(live.before(call).slots, 0b1);
    // What the next round reads lives all the time.
    let at = |at| live.during_call(call, true, &live.through(InsnIdx(at))).slots;
    assert_eq!([at(10), at(11), at(12), at(13)], [0b1, 0b11, 0b11, 0b1]);
}

#[test]
fn a_callee_reads_what_it_loads_through_an_argument() {
    let live = handing_over(vec![load(Reg::R1, 8), Insn::Exit]);
    assert_eq!(entering(&live), 0b1);
    assert_eq!(live.before(InsnIdx(3)).slots, 0);
    let add_to = add(Reg::R1, Operand::Imm(-8));
    let live = handing_over(vec![add_to, load(Reg::R1, 0), Insn::Exit]);
    assert_eq!(entering(&live), 0b100);
}

#[test]
fn a_pointer_to_one_of_two_slots_reads_both_and_overwrites_neither() {
    let moved_by = |imm| add(Reg::R2, Operand::Imm(imm));
    let skip = skip_if_zero(Reg::R1);
    let moved = |last| {
        liveness(vec![
            mov(Reg::R2, Operand::Reg(Reg::R10)),
            moved_by(-8),
            skip,
            moved_by(-16),
            last,
            load(Reg::R10, -24),
            Insn::Exit,
        ])
    };
    assert_eq!(moved(load(Reg::R2, 0)).before(InsnIdx(4)).slots, 0b101);
    let write = Insn::Store { size: Size::DW, base: Reg::R2, off: 0, src: Operand::Imm(0) };
    assert_eq!(moved(write).before(InsnIdx(4)).slots, 0b100);
    let many = |n: i32| moved_by(-8 * n);
    let live = liveness(vec![
        mov(Reg::R2, Operand::Reg(Reg::R10)),
        moved_by(-8),
        skip,
        many(1),
        skip,
        many(2),
        skip,
        many(4),
        skip,
        many(8),
        load(Reg::R2, 0),
        Insn::Exit,
    ]);
    assert_eq!(live.before(InsnIdx(10)).slots, u64::MAX);
}

#[test]
fn what_is_a_pointer_on_one_way_only_reads_its_slot_and_overwrites_none() {
    let moved_by = |imm| add(Reg::R2, Operand::Imm(imm));
    let skip = skip_if_zero(Reg::R1);
    let other = mov(Reg::R2, Operand::Reg(Reg::R1));
    let with = |last| {
        let start = [mov(Reg::R2, Operand::Reg(Reg::R10)), moved_by(-8), skip, other, moved_by(-8)];
        liveness([&start[..], &[last, load(Reg::R10, -16), Insn::Exit]].concat())
    };
    assert_eq!(with(load(Reg::R2, 0)).before(InsnIdx(4)).slots, 0b10);
    assert_eq!(with(load(Reg::R2, 8)).before(InsnIdx(4)).slots, 0b11);
    assert_eq!(with(write(Reg::R2, Size::DW, 0)).before(InsnIdx(4)).slots, 0b10);
    // Once it is added to another pointer it may be anywhere.
    let sum = add(Reg::R2, Operand::Reg(Reg::R10));
    assert_eq!(with(sum).before(InsnIdx(4)).slots, 0b10);
    let live =
        liveness(vec![mov(Reg::R2, Operand::Reg(Reg::R10)), skip, other, sum, load(Reg::R2, 0), Insn::Exit]);
    assert_eq!(live.before(InsnIdx(3)).slots, u64::MAX);
}

#[test]
fn a_callee_may_read_anything_through_an_argument_that_it_moves_about() {
    let add_to = add(Reg::R1, Operand::Reg(Reg::R2));
    let live = handing_over(vec![add_to, load(Reg::R1, 8), Insn::Exit]);
    assert_eq!(entering(&live), u64::MAX);
}

#[test]
fn pointers_that_are_moved_far_away_are_lost() {
    let moved_by = |imm| add(Reg::R1, Operand::Imm(imm));
    let live = handing_over(vec![moved_by(i32::MIN), load(Reg::R1, 8), Insn::Exit]);
    assert_eq!(entering(&live), u64::MAX);
    let live = liveness(vec![
        mov(Reg::R1, Operand::Reg(Reg::R10)),
        moved_by(i32::MIN),
        load(Reg::R1, 0),
        Insn::Exit,
    ]);
    assert_eq!(live.before(InsnIdx(2)).slots, u64::MAX);
}

#[test]
fn a_callee_may_read_anything_through_what_it_loads() {
    let fill = Insn::Load { size: Size::DW, signed: false, dst: Reg::R2, base: Reg::R1, off: 0 };
    let live = handing_over(vec![fill, load(Reg::R2, 0), Insn::Exit]);
    assert_eq!(entering(&live), u64::MAX);
}

#[test]
fn an_argument_that_a_callee_spills_is_still_an_argument() {
    let spill = Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R1) };
    let fill = Insn::Load { size: Size::DW, signed: false, dst: Reg::R3, base: Reg::R10, off: -8 };
    let live = handing_over(vec![spill, fill, load(Reg::R3, 0), Insn::Exit]);
    assert_eq!(entering(&live), 0b10);
}

#[test]
fn a_callee_hands_on_what_it_was_handed() {
    let call = Insn::Call(CallTarget::Subprog(1));
    let live = handing_over(vec![call, Insn::Exit, load(Reg::R1, 0), Insn::Exit]);
    assert_eq!(entering(&live), 0b10);
    // A kernel function may read anything.
    let call = Insn::Call(CallTarget::Kfunc { module: 0, id: 1 });
    let live = handing_over(vec![call, Insn::Exit]);
    assert_eq!(entering(&live), u64::MAX);
}

/// What a function spilled can be read by whoever may read all of its frame.
#[test]
fn a_callee_hands_on_what_its_frame_holds() {
    let spill = Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R1) };
    let call = Insn::Call(CallTarget::Kfunc { module: 0, id: 1 });
    let live = handing_over(vec![spill, mov(Reg::R1, Operand::Reg(Reg::R10)), call, Insn::Exit]);
    assert_eq!(entering(&live), u64::MAX);
}

#[test]
fn arguments_live_where_the_callee_looks_at_them() {
    let live = handing_over(vec![load(Reg::R3, 0), Insn::Exit]);
    assert_eq!(live.before(InsnIdx(2)).regs, RegSet::of(Reg::R3));
}

#[test]
fn a_pointer_that_was_spilled_reads_where_it_points() {
    let spill = Insn::Store { size: Size::DW, base: Reg::R10, off: -8, src: Operand::Reg(Reg::R2) };
    let add_to = add(Reg::R2, Operand::Imm(-24));
    let fill = Insn::Load { size: Size::DW, signed: false, dst: Reg::R3, base: Reg::R10, off: -8 };
    let live = liveness(vec![
        mov(Reg::R2, Operand::Reg(Reg::R10)),
        add_to,
        spill,
        fill,
        load(Reg::R3, 0),
        Insn::Exit,
    ]);
    assert_eq!(live.before(InsnIdx(3)).slots, 0b101);
}
