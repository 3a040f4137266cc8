//! Verdicts that case files cannot show: they need an object's licence, types or size, or instructions
//! that no assembler writes.

use brolga_abi::{MapKind, ProgramKind};

use super::{Accepted, Access, Options, Privilege, Rejection, ShiftRule, verify};
use crate::diag::Code;
use crate::isa::asm::AsmContext;
use crate::isa::{AluOp, Endianness, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width, assemble};
use crate::program::{GlobalData, MapDef, Param, Program, SubprogId};

pub(super) fn program(kind: ProgramKind, text: &str) -> Program {
    let assembled = assemble(text, &AsmContext::default()).expect("the text is assembly");
    let mut program = Program::from_insns("test", kind, assembled.insns, Vec::new().into());
    program.raw_memory_len = 16;
    program
}

pub(super) fn judge(program: &Program) -> Result<Accepted, Rejection> {
    verify(program, &Options::default())
}

pub(super) fn code(program: &Program) -> Code {
    judge(program).expect_err("the program is refused").diagnostics[0].code
}

#[test]
fn an_empty_program_is_refused() {
    let program = Program::from_insns("test", ProgramKind::Xdp, Vec::new(), Vec::new().into());
    assert_eq!(code(&program), Code::EmptyProgram);
}

#[test]
fn a_program_of_more_than_a_million_slots_is_refused() {
    let nop = Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) };
    let mut insns = vec![nop; 1_000_000];
    insns.push(Insn::Exit);
    let program = Program::from_insns("test", ProgramKind::Xdp, insns, Vec::new().into());
    assert_eq!(code(&program), Code::ProgramTooLarge);
}

#[test]
fn more_than_256_functions_are_refused() {
    let mut text = String::new();
    for i in 0..256 {
        text.push_str(&format!("call f{i}\n"));
    }
    text.push_str("exit\n");
    for i in 0..256 {
        text.push_str(&format!("f{i}:\nr0 = 0\nexit\n"));
    }
    assert_eq!(code(&program(ProgramKind::Xdp, &text)), Code::TooManySubprogs);
}

#[test]
fn without_cap_bpf_there_are_4096_instructions() {
    let nop = Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) };
    let options = Options { privilege: Privilege::Unprivileged, ..Options::default() };
    for (count, accepted) in [(4095, true), (4096, false)] {
        let mut insns = vec![nop; count];
        insns.push(Insn::Exit);
        let program = Program::from_insns("test", ProgramKind::SocketFilter, insns, Vec::new().into());
        assert_eq!(verify(&program, &options).is_ok(), accepted, "{} instructions", count + 1);
        assert!(judge(&program).is_ok());
    }
}

#[test]
fn kinds_need_capabilities() {
    for (kind, bpf, nobody) in [
        (ProgramKind::RawMemory, true, true),
        (ProgramKind::SocketFilter, true, true),
        (ProgramKind::Xdp, true, false),
        (ProgramKind::Kprobe, false, false),
    ] {
        let program = program(kind, "r0 = 0\nexit");
        for (privilege, accepted) in [(Privilege::Bpf, bpf), (Privilege::Unprivileged, nobody)] {
            let options = Options { privilege, ..Options::default() };
            assert_eq!(verify(&program, &options).is_ok(), accepted, "{kind:?} for {privilege:?}");
        }
    }
}

#[test]
fn half_of_a_wide_immediate_is_refused() {
    let mut program = program(ProgramKind::Xdp, "r0 = 1 ll\nexit");
    program.insns.remove(1);
    assert_eq!(code(&program), Code::InvalidInstruction);
}

#[test]
fn reserved_forms_are_refused_where_they_are_executed() {
    let extend = Insn::MovSx { width: Width::W32, from: Size::W, dst: Reg::R0, src: Reg::R1 };
    let mut live = program(ProgramKind::RawMemory, "r1 = 0\nr0 = 0\nexit");
    live.insns[1] = extend;
    assert_eq!(code(&live), Code::ReservedForm);
    let mut dead = program(ProgramKind::RawMemory, "r0 = 0\nif r0 == 0 goto +1\nr0 = 0\nexit");
    dead.insns[2] = extend;
    assert!(judge(&dead).is_ok());
}

#[test]
fn maps_that_cannot_be_made_are_refused() {
    use brolga_abi::MapKind;
    let verdict = |kind, key_size, value_size, max_entries| {
        let mut program = program(ProgramKind::Xdp, "r1 = 0 ll\nr0 = 0\nexit");
        let map = MapDef::new("values", kind, key_size, value_size, max_entries);
        program.maps = vec![map].into();
        let imm = Imm64::MapIdx(0);
        program.insns[0] = Insn::LoadImm64 { dst: Reg::R1, imm };
        judge(&program).map(|_| ()).map_err(|rejection| rejection.diagnostics[0].code)
    };
    let refused = Err(Code::MapDefinition);
    assert_eq!(verdict(MapKind::Array, 4, 8, 1), Ok(()));
    assert_eq!(verdict(MapKind::Array, 8, 8, 1), refused);
    assert_eq!(verdict(MapKind::Array, 4, 0, 1), refused);
    assert_eq!(verdict(MapKind::Hash, 8, 8, 1), Ok(()));
    assert_eq!(verdict(MapKind::Hash, 8, 8, 0), refused);
    assert_eq!(verdict(MapKind::Hash, 0, 8, 1), refused);
}

/// What would mend a program that is refused.
fn help(text: &str) -> String {
    let rejection = judge(&program(ProgramKind::Xdp, text)).expect_err("the program is refused");
    rejection.diagnostics[0].help.clone().unwrap_or_default()
}

#[test]
fn the_help_is_about_the_pointer_that_is_accessed() {
    let load = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\n";
    let start = help(&format!("{load}r0 = *(u8 *)(r2 + 12)\nexit"));
    assert!(start.contains("`data + 13`"), "{start}");

    let variable = "r4 = *(u32 *)(r1 + 12)\nr4 &= 60\nr2 += 14\nr2 += r4\n";
    let variable = help(&format!("{load}{variable}r0 = *(u16 *)(r2 + 2)\nexit"));
    assert!(variable.contains("this very pointer `+ 4`"), "{variable}");

    let before = help(&format!("{load}r0 = *(u8 *)(r2 - 1)\nexit"));
    assert!(before.contains("before the packet"), "{before}");

    let moved = "r6 = *(u32 *)(r1 + 0)\nr2 = 4\ncall bpf_xdp_adjust_head\nr0 = *(u8 *)(r6 + 0)\nexit";
    assert!(help(moved).contains("may move the packet"), "{}", help(moved));
    let number = "r6 = 0\nr2 = 4\ncall bpf_xdp_adjust_head\nr0 = *(u8 *)(r6 + 0)\nexit";
    assert_eq!(help(number), "");
}

#[test]
fn gpl_only_helpers_need_the_licence() {
    let text = "r1 = r10\nr1 += -8\n*(u64 *)(r10 - 8) = 0\nr2 = 8\ncall bpf_trace_printk\nr0 = 0\nexit";
    let mut program = program(ProgramKind::Xdp, text);
    assert!(judge(&program).is_ok());
    program.gpl_compatible = false;
    assert_eq!(code(&program), Code::GplOnlyHelper);
}

#[test]
fn shifts_are_masked_where_options_say_so() {
    let program = program(ProgramKind::RawMemory, "r0 = 1\nr0 <<= 65\nexit");
    assert_eq!(code(&program), Code::InvalidShift);
    let options = Options { shifts: ShiftRule::Mask, ..Options::default() };
    assert!(verify(&program, &options).is_ok());
}

/// A program whose second function is global.
fn with_global(text: &str, params: &[Param]) -> Program {
    let mut program = program(ProgramKind::Xdp, text);
    program.subprogs[1].global = true;
    program.subprogs[1].params = params.to_vec();
    program
}

#[test]
fn a_global_function_is_verified_by_its_types_alone() {
    // The caller passes 0, but the function may be handed any number.
    let text = "r1 = 0\ncall f\nr0 = 0\nexit\nf:\nr2 = r10\nr2 += r1\nr0 = 0\nexit";
    let mut program = with_global(text, &[Param::Scalar]);
    assert_eq!(code(&program), Code::PointerOffset);
    program.subprogs[1].global = false;
    assert!(judge(&program).is_ok());
}

#[test]
fn a_global_function_gets_what_its_types_say() {
    let text = "call f\nr0 = 0\nexit\nf:\nr0 = *(u32 *)(r1 + 12)\nexit";
    let program = with_global(text, &[Param::Context]);
    let facts = judge(&program).expect("the program is accepted").facts;
    assert_eq!(facts.at(InsnIdx(3)).access, Some(Access::Context { off: 12 }));
    assert!(facts.subprog(SubprogId(1)).called);
    assert_eq!(code(&with_global(text, &[Param::Scalar])), Code::GlobalFunction);
}

#[test]
fn memory_of_a_global_function_may_be_null_unless_tagged() {
    let text =
        "r1 = r10\nr1 += -8\n*(u64 *)(r10 - 8) = 0\ncall f\nr0 = 0\nexit\nf:\nr0 = *(u64 *)(r1 + 0)\nexit";
    assert!(judge(&with_global(text, &[Param::Memory { size: 8, nonnull: true }])).is_ok());
    assert_eq!(code(&with_global(text, &[Param::Memory { size: 8, nonnull: false }])), Code::NullPointer);
    assert_eq!(code(&with_global(text, &[Param::Memory { size: 4, nonnull: true }])), Code::MemoryBounds);
    assert_eq!(code(&with_global(text, &[Param::Memory { size: 16, nonnull: true }])), Code::StackBounds);
}

#[test]
fn types_that_cannot_be_verified_apart_are_refused() {
    let text = "call f\nr0 = 0\nexit\nf:\nr0 = 0\nexit";
    assert_eq!(code(&with_global(text, &[Param::Unknown])), Code::GlobalFunction);
}

#[test]
fn addresses_in_arenas_are_numbers_to_a_global_function() {
    let text = |arg: &str| format!("{arg}\ncall f\nr0 = 0\nexit\nf:\nr0 = r1\nexit");
    assert!(judge(&with_global(&text("r1 = 7"), &[Param::Arena])).is_ok());
    assert_eq!(code(&with_global(&text("r1 = r10"), &[Param::Arena])), Code::GlobalFunction);
}

#[test]
fn untrusted_memory_is_read_anywhere_and_written_nowhere() {
    let text = |body: &str| format!("r1 = 7\ncall f\nr0 = 0\nexit\nf:\n{body}\nr0 = 0\nexit");
    let untrusted = [Param::Untrusted { ty: None }];
    assert!(judge(&with_global(&text("r1 += 100000\nr0 = *(u64 *)(r1 - 8)"), &untrusted)).is_ok());
    assert!(judge(&with_global(&text("r1 >>= 3\nr0 = *(u8 *)(r1 + 0)"), &untrusted)).is_ok());
    assert_eq!(code(&with_global(&text("*(u8 *)(r1 + 0) = 1"), &untrusted)), Code::InvalidMemAccess);
}

#[test]
fn a_global_function_returns_a_number() {
    let mut program = with_global("call f\nr0 = 0\nexit\nf:\nr0 = r10\nexit", &[]);
    assert_eq!(code(&program), Code::ReturnValue);
    program.insns[3] = Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) };
    assert!(judge(&program).is_ok());
    program.subprogs[1].returns_scalar = false;
    assert_eq!(code(&program), Code::GlobalFunction);
}

#[test]
fn may_goto_loops_converge() {
    let text = "r0 = 0\nl:\nmay_goto end\nr0 += 1\ngoto l\nend:\nexit";
    let accepted = judge(&program(ProgramKind::RawMemory, text)).expect("the program is accepted");
    assert!(accepted.stats.processed < 100, "{:?}", accepted.stats);
    // What the loop forgot cannot be relied on afterwards.
    let text = "r6 = 0\nl:\nmay_goto end\nr6 += 1\ngoto l\nend:\nr1 += r6\nr0 = *(u8 *)(r1 + 0)\nexit";
    assert!(judge(&program(ProgramKind::RawMemory, text)).is_err());
}

#[test]
fn a_failed_legacy_load_returns_zero_from_a_function() {
    let text = "r6 = r1\ncall f\nexit\nf:\nr6 = r1\nr0 = *(u8 *)skb[0]\nr0 = 1\nexit";
    assert!(judge(&program(ProgramKind::SocketFilter, text)).is_ok());
}

#[test]
fn facts_join_all_paths() {
    let text = "r2 = *(u8 *)(r1 + 0)\nr3 = r10\nr3 += -8\nif r2 == 0 goto l\nr3 = r1\nl:\n\
                *(u64 *)(r3 + 0) = 0\nr0 = 0\nexit";
    let facts = judge(&program(ProgramKind::RawMemory, text)).expect("the program is accepted").facts;
    assert_eq!(facts.at(InsnIdx(0)).access, Some(Access::RawMemory));
    assert_eq!(facts.at(InsnIdx(5)).access, Some(Access::Mixed));
    let reach = facts.at(InsnIdx(3)).reach;
    assert!(reach.taken && reach.fallthrough);
}

#[test]
fn long_paths_are_not_walked_again_and_again() {
    // Each round moves a pointer by a number that comes from the very start.
    let mut text = String::from("r2 = *(u8 *)(r1 + 0)\n");
    for _ in 0..20_000 {
        text.push_str("r3 = r1\nr2 += 0\nr3 += r2\n");
    }
    text.push_str("r0 = 0\nexit\n");
    let program = program(ProgramKind::RawMemory, &text);
    assert!(judge(&program).is_ok());
}

#[test]
fn a_tail_call_out_of_a_function_is_walked_back_into_it() {
    // `r6` is an offset in the caller; the callee uses the register for something else. A walk back that
    // misses the return by tail call would stop there, and the path with the bad offset would be pruned.
    let text = "r7 = r1\nr6 = 64\nr8 = 0\nr8 = 0\nr8 = 0\nr8 = 0\nr8 = 0\ngoto a\na:\ngoto b\nb:\n\
                r0 = *(u32 *)(r1 + 12)\nif r0 == 0 goto l\nr6 = 0\ngoto m\nm:\nr8 = 0\nr8 = 0\nr8 = 0\nr8 = 0\nr8 = 0\nr8 = 0\ngoto l\nl:\nr1 = r7\ncall f\nif r0 == 0 goto e\n\
                r1 = r10\nr1 += -64\nr1 += r6\n*(u8 *)(r1 + 0) = 0\ne:\nr0 = 0\nexit\n\
                f:\nr6 = 1\nr2 = map[jumps]\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit";
    let mut assembled = assemble(text, &AsmContext { maps: &["jumps"] }).expect("the text is assembly");
    let insns = std::mem::take(&mut assembled.insns);
    let jumps = MapDef::new("jumps", brolga_abi::MapKind::ProgArray, 4, 4, 1);
    let program = Program::from_insns("test", ProgramKind::Xdp, insns, vec![jumps].into());
    assert_eq!(code(&program), Code::StackBounds);
}

/// Linux 6.18 accepts this: it takes the pointer for one that is still beyond the end.
#[test]
fn a_pointer_beyond_the_end_that_is_moved_back_may_lie_before_it() {
    let text = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 100\nif r4 > r3 goto beyond\nr0 = 1\nexit\n\
                beyond:\nr4 += -100\nif r4 > r3 goto out\nr5 = 0\nr0 = *(u8 *)(r5 + 0)\nexit\nout:\nr0 = 2\nexit";
    assert_eq!(code(&program(ProgramKind::Xdp, text)), Code::InvalidMemAccess);
    let by_register = text.replace("r4 += -100", "r5 = 100\nr4 -= r5");
    assert_eq!(code(&program(ProgramKind::Xdp, &by_register)), Code::InvalidMemAccess);
    let forward = text.replace("r4 += -100", "r4 += 100");
    assert!(judge(&program(ProgramKind::Xdp, &forward)).is_ok());
}

#[test]
fn a_global_function_that_makes_a_tail_call_may_move_the_packet() {
    let text = "r6 = r1\nr2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr7 = r2\nr2 += 14\nif r2 > r3 goto out\n\
                call f\nr0 = *(u8 *)(r7 + 13)\nout:\nr0 = 0\nexit\n\
                f:\nr2 = map[jumps]\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit";
    let assembled = assemble(text, &AsmContext { maps: &["jumps"] }).expect("the text is assembly");
    let jumps = MapDef::new("jumps", MapKind::ProgArray, 4, 4, 1);
    let mut program = Program::from_insns("test", ProgramKind::Xdp, assembled.insns, vec![jumps].into());
    assert_eq!(code(&program), Code::InvalidMemAccess);
    program.subprogs[1].global = true;
    program.subprogs[1].params = vec![Param::Context];
    assert_eq!(code(&program), Code::InvalidMemAccess);
}

/// Memory holds numbers in the program's byte order: the low half of a spilled register, what a
/// constant's bytes mean, and which swap does nothing.
#[test]
fn byte_orders() {
    let accepted = |order, text: &str, data: Option<&[u8]>| {
        let mut program = program(ProgramKind::RawMemory, text);
        program.endianness = order;
        if let Some(data) = data {
            let mut map = MapDef::new(".rodata", MapKind::Array, 4, 4, 1);
            map.global = Some(GlobalData { initial: data.into(), readonly: true, variables: Vec::new() });
            program.maps = vec![map].into();
            let imm = Imm64::MapIdxValue { index: 0, off: 0 };
            program.insns[0] = Insn::LoadImm64 { dst: Reg::R2, imm };
        }
        judge(&program).is_ok()
    };
    let access = "r1 += r3\nr0 = *(u8 *)(r1 + 0)\nexit";
    let spilled = |at| {
        format!("r3 = *(u8 *)(r1 + 0)\nr3 &= 15\n*(u64 *)(r10 - 8) = r3\nr3 = *(u32 *)(r10 - {at})\n{access}")
    };
    let constant = format!("r2 = 0 ll\nr3 = *(u32 *)(r2 + 0)\n{access}");
    let swapped = |name| format!("r3 = 15\nr3 = {name} r3\n{access}");
    for (order, low, bytes, same, other) in [
        (Endianness::Little, 8, [15, 0, 0, 0], "le32", "be32"),
        (Endianness::Big, 4, [0, 0, 0, 15], "be32", "le32"),
    ] {
        assert!(accepted(order, &spilled(low), None), "{order:?}");
        assert!(!accepted(order, &spilled(12 - low), None), "{order:?}");
        assert!(accepted(order, &constant, Some(&bytes)), "{order:?}");
        assert!(!accepted(order, &constant, Some(&[bytes[3], 0, 0, bytes[0]])), "{order:?}");
        assert!(accepted(order, &swapped(same), None), "{order:?}");
        assert!(!accepted(order, &swapped(other), None), "{order:?}");
    }
}

/// `r3` is a pointer to the stack on one path and a number on the other; the callback uses it in its second round.
const SECOND_ROUND: &str = "*(u64 *)(r10 - 8) = 0
    *(u64 *)(r10 - 16) = 0
    r6 = r10
    r6 += -8
    call bpf_get_prandom_u32
    r1 = 4
    r2 = subprog[step]
    r3 = r6
    r4 = 0
    if r0 == 7 goto run
    r3 = OTHER
    run:
    call bpf_loop
    r0 = 0
    exit
    step:
    r6 = r2
    call bpf_get_prandom_u32
    if r0 == 3 goto use
    r0 = 0
    exit
    use:
    r0 = *(u64 *)(r6 + 0)
    r0 = 0
    exit";

#[test]
fn a_callback_gets_what_its_own_call_hands_over() {
    assert!(judge(&program(ProgramKind::Xdp, &SECOND_ROUND.replace("OTHER", "r6"))).is_ok());
    assert_eq!(code(&program(ProgramKind::Xdp, &SECOND_ROUND.replace("OTHER", "0"))), Code::InvalidMemAccess);
}

/// The callback marks in the caller's frame that it ran, and only then uses what it was handed.
const MARKED_ROUND: &str = "*(u64 *)(r10 - 8) = 0
    *(u64 *)(r10 - 16) = 0
    r6 = r10
    r6 += -16
    call bpf_get_prandom_u32
    r7 = r0
    r1 = 4
    r2 = subprog[step]
    r3 = r6
    r4 = 0
    *(u64 *)(r10 - 24) = r3
    if r7 == 7 goto run
    r8 = OTHER
    *(u64 *)(r10 - 16) = r8
    run:
    call bpf_loop
    r0 = 0
    exit
    step:
    r1 = *(u64 *)(r2 + 8)
    if r1 != 0 goto use
    *(u64 *)(r2 + 8) = 1
    r0 = 0
    exit
    use:
    r1 = *(u64 *)(r2 + 0)
    if r1 == 0 goto out
    r0 = *(u64 *)(r1 + 0)
    out:
    r0 = 0
    exit";

#[test]
fn a_callback_sees_the_callers_stack_of_its_own_call() {
    assert!(judge(&program(ProgramKind::Xdp, &MARKED_ROUND.replace("OTHER", "0"))).is_ok());
    assert_eq!(code(&program(ProgramKind::Xdp, &MARKED_ROUND.replace("OTHER", "5"))), Code::InvalidMemAccess);
}

#[test]
fn rounds_of_a_callback_converge() {
    let text = "*(u64 *)(r10 - 8) = 0
        r1 = 1000000
        r2 = subprog[step]
        r3 = r10
        r3 += -8
        r4 = 0
        call bpf_loop
        r0 = *(u64 *)(r10 - 8)
        exit
        step:
        r1 = *(u64 *)(r2 + 0)
        r1 += 1
        *(u64 *)(r2 + 0) = r1
        r0 = 0
        exit";
    let accepted = judge(&program(ProgramKind::Xdp, text)).expect("the loop ends");
    assert!(accepted.stats.processed < 200, "{} processed", accepted.stats.processed);
}

#[test]
fn a_callback_returns_what_its_helper_understands() {
    let text = "r1 = 3
        r2 = subprog[step]
        r3 = 0
        r4 = 0
        call bpf_loop
        r0 = 0
        exit
        step:
        r0 = 2
        exit";
    assert_eq!(code(&program(ProgramKind::Xdp, text)), Code::Callback);
}

#[test]
fn a_dynptr_that_was_not_made_is_not_given_back() {
    let text = "r1 = r10
        r1 += -8
        r2 = 0
        call bpf_ringbuf_submit_dynptr
        r0 = 0
        exit";
    assert_eq!(code(&program(ProgramKind::Xdp, text)), Code::Dynptr);
}

#[test]
fn the_least_distance_from_an_argument_is_no_trap() {
    let text = "r1 += -2147483648\nr0 = 0\nexit";
    assert_eq!(code(&program(ProgramKind::RawMemory, text)), Code::PointerOffset);
    let called = "call f\nexit\nf:\nr1 += -2147483648\nr0 = 0\nexit";
    assert_eq!(code(&program(ProgramKind::RawMemory, called)), Code::PointerOffset);
}
