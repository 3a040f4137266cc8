//! The table's readers against each other: every row, edge operands, and random bytes.

use super::asm::{AsmContext, AsmProblem};
use super::table::{Row, rows};
use super::*;

const BOTH: [Endianness; 2] = [Endianness::Little, Endianness::Big];

/// The instruction, with its second slot where it has one.
fn whole(insn: Insn) -> Vec<Insn> {
    if matches!(insn, Insn::LoadImm64 { .. }) { vec![insn, Insn::SecondSlot] } else { vec![insn] }
}

fn asm(text: &str) -> Vec<Insn> {
    assemble(text, &AsmContext::default()).unwrap_or_else(|e| panic!("{text}\n{e}")).insns
}

fn asm_error(text: &str) -> String {
    assemble(text, &AsmContext { maps: &["counts", ".rodata"] }).expect_err(text).to_string()
}

#[test]
fn every_sample_is_of_its_row_and_survives_encoding() {
    for row in rows() {
        let samples = row.samples();
        assert!(!samples.is_empty(), "{}", row.spelling);
        for insn in samples {
            assert_eq!(Row::of(&insn), Some(row), "{insn:?}");
            for endianness in BOTH {
                let bytes = encode_all(&whole(insn), endianness);
                assert_eq!(decode(&bytes, endianness), Ok(whole(insn)), "{}: {bytes:02x?}", row.spelling);
            }
        }
    }
}

#[test]
fn every_sample_survives_its_text() {
    for insn in rows().flat_map(Row::samples) {
        assert_eq!(asm(&insn.to_string()), whole(insn), "{insn}");
    }
}

/// The two ways of decoding agree on valid and invalid slots.
#[test]
fn texts_decode_as_their_slots() {
    for opcode in 0..=u8::MAX {
        for regs in [0, 1, 2, 0x10, 0x12, 0xa1, 0xb1, 0x1b, 0x77, 0xff] {
            for (off, imm) in [(0, 0), (0, 16), (1, 0), (8, 1), (32, 0xe1), (0, -1)] {
                let RawInsn { dst, src, .. } =
                    RawInsn::from_bytes([0, regs, 0, 0, 0, 0, 0, 0], Endianness::Little);
                let raw = RawInsn { opcode, dst, src, off, imm };
                let one = decode_slot(raw, None);
                let text = decode(&raw.to_bytes(Endianness::Little), Endianness::Little);
                match (one, text) {
                    (Ok(insn), Ok(insns)) => assert_eq!(insns, [insn]),
                    (Err(problem), Err(DecodeError::Slot { problem: found, .. })) => {
                        assert_eq!(found, problem)
                    }
                    (one, text) => panic!("{raw:?}: {one:?}, {text:?}"),
                }
            }
        }
    }
}

/// Long texts remember instructions by their words.
#[test]
fn long_texts_decode_as_their_slots() {
    let word =
        |number: u32| RawInsn { opcode: 0xb7, dst: 1, src: 0, off: 0, imm: (number % 3000).cast_signed() };
    for endianness in [Endianness::Little, Endianness::Big] {
        let raw: Vec<RawInsn> = (0..9000).map(word).collect();
        let mut bytes: Vec<u8> = raw.iter().flat_map(|raw| raw.to_bytes(endianness)).collect();
        let slots: Vec<Insn> =
            raw.iter().map(|raw| decode_slot(*raw, None).expect("an instruction")).collect();
        assert_eq!(decode(&bytes, endianness), Ok(slots));
        bytes.extend([0; 8]);
        let at = InsnIdx(9000);
        let problem = SlotProblem::UnknownOpcode { opcode: 0 };
        assert_eq!(decode(&bytes, endianness), Err(DecodeError::Slot { at, bytes: [0; 8], problem }));
    }
}

#[test]
fn aliases_are_of_the_same_row() {
    for row in rows() {
        for alias in row.aliases {
            let text = alias
                .replace("{dst}", "r3")
                .replace("{wdst}", "w3")
                .replace("{src}", "r4")
                .replace("{wsrc}", "w4")
                .replace("{wsrc/r}", "r4")
                .replace("{off}", "+8")
                .replace("{imm}", "7")
                .replace("{map}", "1");
            let insns = asm(&text);
            assert_eq!(Row::of(&insns[0]), Some(row), "{text}");
        }
    }
}

#[test]
fn no_two_rows_fit_the_same_bytes() {
    for insn in rows().flat_map(Row::samples) {
        let (raw, next) = encode(&insn);
        let fits = Row::with_opcode(raw.opcode)
            .filter(|row| {
                [
                    (Field::Dst, i32::from(raw.dst)),
                    (Field::Src, i32::from(raw.src)),
                    (Field::Off, i32::from(raw.off)),
                    (Field::Imm, raw.imm),
                    (Field::NextImm, next.unwrap_or_default().imm),
                ]
                .into_iter()
                .all(|(field, value)| row.fixed(field).is_none_or(|fixed| fixed == value))
            })
            .count();
        assert_eq!(fits, 1, "{insn}");
    }
}

#[test]
fn spellings_are_those_of_llvm_and_the_kernel() {
    for (bytes, text) in [
        ([0x61, 0x10, 4, 0, 0, 0, 0, 0], "r0 = *(u32 *)(r1 + 4)"),
        ([0x91, 0x10, 0xfc, 0xff, 0, 0, 0, 0], "r0 = *(s8 *)(r1 - 4)"),
        ([0x62, 0x01, 4, 0, 5, 0, 0, 0], "*(u32 *)(r1 + 4) = 5"),
        ([0xc4, 0x01, 0, 0, 3, 0, 0, 0], "w1 s>>= 3"),
        ([0xbf, 0x21, 8, 0, 0, 0, 0, 0], "r1 = (s8)r2"),
        ([0xbc, 0x21, 16, 0, 0, 0, 0, 0], "w1 = (s16)w2"),
        ([0x87, 0x01, 0, 0, 0, 0, 0, 0], "r1 = -r1"),
        ([0xd7, 0x01, 0, 0, 0x10, 0, 0, 0], "r1 = bswap16 r1"),
        ([0xdc, 0x01, 0, 0, 0x10, 0, 0, 0], "r1 = be16 r1"),
        ([0x3f, 0x21, 1, 0, 0, 0, 0, 0], "r1 s/= r2"),
        ([0x94, 0x01, 1, 0, 3, 0, 0, 0], "w1 s%= 3"),
        ([0x66, 0x01, 2, 0, 5, 0, 0, 0], "if w1 s> 5 goto +2"),
        ([0x45, 0x01, 2, 0, 5, 0, 0, 0], "if r1 & 5 goto +2"),
        ([0x5d, 0x21, 0xfe, 0xff, 0, 0, 0, 0], "if r1 != r2 goto -2"),
        ([0xdb, 0x21, 0, 0, 0, 0, 0, 0], "lock *(u64 *)(r1 + 0) += r2"),
        ([0xdb, 0x21, 0, 0, 1, 0, 0, 0], "r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)"),
        ([0xc3, 0x21, 0, 0, 0xa1, 0, 0, 0], "w2 = atomic_fetch_xor((u32 *)(r1 + 0), w2)"),
        ([0xc3, 0x21, 0, 0, 0xe1, 0, 0, 0], "w2 = xchg32_32(r1 + 0, w2)"),
        ([0xdb, 0x21, 0, 0, 0xf1, 0, 0, 0], "r0 = cmpxchg_64(r1 + 0, r0, r2)"),
        ([0xd3, 0x21, 4, 0, 0, 1, 0, 0], "r1 = load_acquire((u8 *)(r2 + 4))"),
        ([0xdb, 0x21, 4, 0, 0x10, 1, 0, 0], "store_release((u64 *)(r1 + 4), r2)"),
        ([0x05, 0, 3, 0, 0, 0, 0, 0], "goto +3"),
        ([0x06, 0, 0, 0, 3, 0, 0, 0], "gotol +3"),
        ([0xe5, 0, 3, 0, 0, 0, 0, 0], "may_goto +3"),
        ([0x85, 0, 0, 0, 1, 0, 0, 0], "call bpf_map_lookup_elem"),
        ([0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff], "call pc-1"),
        ([0x85, 0x20, 2, 0, 7, 0, 0, 0], "call kfunc#7@2"),
        ([0xbf, 0x10, 1, 0, 1, 0, 0, 0], "r0 = addr_space_cast(r1, 0, 1)"),
        ([0x28, 0, 0, 0, 12, 0, 0, 0], "r0 = *(u16 *)skb[12]"),
        ([0x48, 0x20, 0, 0, 0xfc, 0xff, 0xff, 0xff], "r0 = *(u16 *)skb[r2 - 4]"),
        ([0x95, 0, 0, 0, 0, 0, 0, 0], "exit"),
    ] {
        let insns = decode(&bytes, Endianness::Little).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(insns[0].to_string(), text);
    }
}

#[test]
fn decoding_says_where_and_what() {
    let error = |bytes: &[u8]| decode(bytes, Endianness::Little).expect_err("must not decode").to_string();
    for (bytes, message) in [
        (&[0; 7][..], "7 bytes are not whole instructions: expected a multiple of 8"),
        (
            &[0x95, 0, 0, 0, 0, 0, 0, 0, 0x8d, 2, 0, 0, 0, 0, 0, 0],
            "instruction 1 (8d 02 00 00 00 00 00 00): unknown opcode 8d",
        ),
        (
            &[0x07, 0x0b, 0, 0, 0, 0, 0, 0],
            "instruction 0 (07 0b 00 00 00 00 00 00): `dst` is R11, which is invalid: registers are R0 to R10",
        ),
        (
            &[0x07, 0x01, 5, 0, 0, 0, 0, 0],
            "instruction 0 (07 01 05 00 00 00 00 00): uses reserved fields: `off` is 5, expected 0",
        ),
        (
            &[0x07, 0x21, 0, 0, 0, 0, 0, 0],
            "instruction 0 (07 21 00 00 00 00 00 00): uses reserved fields: `src` is 2, expected 0",
        ),
        (
            &[0xdb, 0x21, 0, 0, 2, 0, 0, 0],
            "instruction 0 (db 21 00 00 02 00 00 00): `imm` is 0x2, expected one of 0x0, 0x1, 0x40, 0x41, 0x50, \
             0x51, 0xa0, 0xa1, 0xe1, 0xf1, 0x100, 0x110",
        ),
        (
            &[0xdc, 0x01, 0, 0, 8, 0, 0, 0],
            "instruction 0 (dc 01 00 00 08 00 00 00): `imm` is 0x8, expected one of 0x10, 0x20, 0x40",
        ),
        (
            &[0x85, 0x30, 0, 0, 8, 0, 0, 0],
            "instruction 0 (85 30 00 00 08 00 00 00): `src` is 0x3, expected one of 0x0, 0x1, 0x2",
        ),
        (
            &[0x18, 0, 0, 0, 1, 0, 0, 0],
            "instruction 0 (18 00 00 00 01 00 00 00): invalid bpf_ld_imm64 insn: it takes two slots, and the \
             text ends after one",
        ),
        (
            &[0x18, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            "instruction 1 (00 01 00 00 00 00 00 00): invalid bpf_ld_imm64 insn: the second slot must be zero \
             except for its immediate",
        ),
        (
            &[0x18, 0x10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0],
            "instruction 0 (18 10 00 00 01 00 00 00): uses reserved fields: `imm of the second slot` is 9, \
             expected 0",
        ),
    ] {
        assert_eq!(error(bytes), message);
    }
}

#[test]
fn labels_maps_and_comments() {
    let text = "\
        # count packets\n\
        r1 = map[counts]        ; by name\n\
        r2 = map[.rodata][0] + 4\n\
        start: loop:\n\
        call bpf_map_lookup_elem // a helper\n\
        call bpf_ktime_get_ns#5\n\
        if r0 == 0 goto out\n\
        r3 = subprog[sub]\n\
        call sub\n\
        goto start\n\
        out: exit\n\
        sub:\n\
        gotol out\n";
    let out = assemble(text, &AsmContext { maps: &["counts", ".rodata"] }).expect("assembles");
    let listing = listing(&out.insns, &["counts", ".rodata"][..]).to_string();
    assert_eq!(
        listing,
        " 0: r1 = map[counts]\n \
          2: r2 = map[.rodata][0] + 4\n \
          4: call bpf_map_lookup_elem\n \
          5: call bpf_ktime_get_ns\n \
          6: if r0 == 0 goto +4\n \
          7: r3 = subprog[+4]\n \
          9: call pc+2\n\
         10: goto -7\n\
         11: exit\n\
         12: gotol -2\n"
    );
    assert_eq!(out.line_of(InsnIdx(1)), Some(2));
    assert_eq!(out.slot_of_line(3), Some(InsnIdx(2)));
    assert_eq!(out.slot_of_line(4), None);
    assert_eq!(out.slot_of_line(13), Some(InsnIdx(12)));
    assert_eq!(out.labels[3], ("sub".to_owned(), InsnIdx(12)));
}

#[test]
fn other_ways_to_write() {
    for (text, same) in [
        ("lock r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)", "r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)"),
        ("r2 = atomic64_fetch_or((u64 *)(r1 +8), r2)", "r2 = atomic_fetch_or((u64 *)(r1 + 8), r2)"),
        ("r0=*(u8*)(r1-0x10)", "r0 = *(u8 *)(r1 - 16)"),
        ("w0 = *(u8 *)(r1)", "r0 = *(u8 *)(r1 + 0)"),
        ("r0 = *(u8 *)(r1 + -4)", "r0 = *(u8 *)(r1 - 4)"),
        ("w1 = 0xffffffff", "w1 = -1"),
        ("r1 = 0xffffffffffffffff ll", "r1 = -1 ll"),
        ("if r1 > 1 goto pc+3", "if r1 > 1 goto +3"),
        ("call -1", "call 4294967295"),
        ("lock *(u32 *)(r1 + 0) += r2", "lock *(u32 *)(r1 + 0) += w2"),
        ("*(u16 *)(r1 + 0) = w2", "*(u16 *)(r1 + 0) = r2"),
        ("r2 = xchg32_32(r1 + 0, w2)", "w2 = xchg32_32(r1 + 0, w2)"),
        ("r1 = map[3] ll", "r1 = map[3]"),
    ] {
        assert_eq!(asm(text), asm(same), "{text}");
    }
}

#[test]
fn assembly_errors_say_where_and_what() {
    for (text, message) in [
        ("exit\n  got +2", "2:3: expected a register"),
        ("r0 = *(u32 *)(r11 + 4)", "1:15: no register `r11`: they are 0 to 10"),
        (
            "r0 = *(u24 *)(r1 + 4)",
            "1:8: expected `u8` or `u16` or `u32` or `u64` or `s8` or `s16` or `s32`, found `u24`",
        ),
        ("r0 += 0x100000000", "1:7: 4294967296 does not fit: expected -2147483648 to 2147483647"),
        ("r0 = be16 r1", "1:11: `r1` must be the same register as before, `r0`"),
        ("r1 = map[count]", "1:10: no map `count`: there are `counts`, `.rodata`"),
        ("goto out", "1:6: no label (or helper) is called `out`"),
        ("a: exit\na: exit", "2:1: label `a` stands on line 1 already"),
        ("r0 = 5 €", "1:8: no instruction holds the character '€'"),
        ("r0 = 5x", "1:6: `5x` is not a number of 64 bits"),
        ("exit exit", "1:6: expected the end of the line, found `exit`"),
        ("w1 = r2 ; narrow", "1:6: expected a number or a register `w0`…`w10` or "),
        ("if r0 == 5  ; alone", "1:11: expected `goto`, found the end of the line"),
    ] {
        let error = asm_error(text);
        assert!(error.starts_with(message), "{text}: {error}\nexpected {message}");
    }
    let far = format!("goto out\n{}out: exit", "exit\n".repeat(32768));
    let error = assemble(&far, &AsmContext::default()).expect_err("too far");
    assert_eq!(error.problem, AsmProblem::TooFar { name: "out".to_owned(), distance: 32768 });
}
