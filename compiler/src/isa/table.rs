//! The ISA table: one row for each encoding of each instruction.
//!
//! A row owns opcode, fixed field values, conformance group and spelling, and nothing of what the
//! instruction does. Decoder, encoder, disassembler, assembler and docs read it. A field that a row's
//! spelling does not name is reserved and must be 0, or what `.src()`, `.off()` or `.imm()` says.
//! It could be wrong in two ways that the compiler cannot see, and tests do: two rows that fit the same
//! bytes, or two spellings that fit the same text.

use super::form::{self, CallKind, Form, Imm64Kind, LegacyKind, Operands, SrcKind};
use super::insn::{
    AluOp, AtomicOp, Cond, Endian, Insn,
    Size::{self, B, DW, H, W},
    Width::{self, W32, W64},
};
use super::raw::RawInsn;
use super::reg::Reg;
use super::spelling::{self, Field};
use Group::{Atomic32, Atomic64, Base32, Base64, Divmul32, Divmul64, Linux, Packet};
use Sign::{Signed, Unsigned};
use SrcKind::{Imm, Reg as Register};

/// Conformance groups (RFC 9669, section 2.4), and Linux's additions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of RFC 9669, section 2.4")]
pub enum Group {
    Base32,
    Base64,
    Atomic32,
    Atomic64,
    Divmul32,
    Divmul64,
    Packet,
    /// Not in the RFC: `may_goto`, `addr_space_cast`, load-acquire and store-release.
    Linux,
}

impl Group {
    /// The name that the RFC gives it; `linux` for Linux's additions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base32 => "base32",
            Self::Base64 => "base64",
            Self::Atomic32 => "atomic32",
            Self::Atomic64 => "atomic64",
            Self::Divmul32 => "divmul32",
            Self::Divmul64 => "divmul64",
            Self::Packet => "packet",
            Self::Linux => "linux",
        }
    }
}

/// One row of the ISA table.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The opcode byte.
    pub opcode: u8,
    /// The conformance group.
    pub group: Group,
    /// What the row encodes.
    pub form: Form,
    /// How it is written, with operands in braces.
    pub spelling: &'static str,
    /// Other spellings that the assembler takes.
    pub aliases: &'static [&'static str],
    /// The `src` field where no operand is there.
    pub src: u8,
    /// The `off` field where no operand is there.
    pub off: i16,
    /// The `imm` field where no operand is there.
    pub imm: i32,
    /// Bits of the fields that hold operands.
    operands: u8,
}

const fn row(opcode: u8, group: Group, form: Form, spelling: &'static str) -> Row {
    let operands = spelling::fields(spelling);
    Row { opcode, group, form, spelling, aliases: &[], src: 0, off: 0, imm: 0, operands }
}

impl Row {
    const fn src(mut self, src: u8) -> Self {
        assert!(!self.has(Field::Src), "a field is either an operand or fixed");
        self.src = src;
        self
    }

    const fn off(mut self, off: i16) -> Self {
        assert!(!self.has(Field::Off), "a field is either an operand or fixed");
        self.off = off;
        self
    }

    const fn imm(mut self, imm: i32) -> Self {
        assert!(!self.has(Field::Imm), "a field is either an operand or fixed");
        self.imm = imm;
        self
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Whether a field holds an operand. If not, it has the row's fixed value (0 unless the row says
    /// another).
    #[must_use]
    pub const fn has(&self, field: Field) -> bool {
        self.operands & field.bit() != 0
    }

    /// The value that a field must have where it is no operand.
    #[must_use]
    pub const fn fixed(&self, field: Field) -> Option<i32> {
        if self.has(field) {
            return None;
        }
        Some(match field {
            Field::Dst | Field::NextImm => 0,
            Field::Src => self.src as i32,
            Field::Off => self.off as i32,
            Field::Imm => self.imm,
        })
    }

    /// The row of an instruction. `None` for [`Insn::SecondSlot`], and for values that no
    /// instruction has, such as an 8-bit `Atomic` or a `MovSx` of 32 bits to 32 bits.
    #[must_use]
    pub fn of(insn: &Insn) -> Option<&'static Self> {
        Self::split(insn).map(|(row, _)| row)
    }

    pub(super) fn split(insn: &Insn) -> Option<(&'static Self, Operands)> {
        let (form, operands) = form::split(insn)?;
        let row = chain(BY_CLASS.first[form.class()], &BY_CLASS).find(|row| row.form == form)?;
        Some((row, operands))
    }

    /// All rows with an opcode.
    pub fn with_opcode(opcode: u8) -> impl Iterator<Item = &'static Self> + Clone {
        chain(BY_OPCODE.first[opcode as usize], &BY_OPCODE)
    }

    /// Instructions of this row: each operand takes its edge values (0, 1, -1, the least and the
    /// greatest, all registers that are special), one at a time and all at once, and registers alias.
    #[must_use]
    pub fn samples(&self) -> Vec<Insn> {
        const REGS: [Reg; 5] = [Reg::R0, Reg::R1, Reg::R6, Reg::R9, Reg::R10];
        const OFFS: [i16; 8] = [0, 1, -1, 8, -8, 255, i16::MAX, i16::MIN];
        const IMMS: [i32; 12] = [0, 1, -1, 5, 31, 32, 63, 64, 0x1234_5678, 0x8000, i32::MAX, i32::MIN];
        let plain = Operands { dst: Reg::R1, src: Reg::R2, off: 4, imm: 7, next_imm: 3 };
        let mut all = vec![plain];
        all.extend(REGS.map(|dst| Operands { dst, ..plain }));
        all.extend(REGS.map(|src| Operands { src, ..plain }));
        all.extend(REGS.map(|reg| Operands { dst: reg, src: reg, ..plain }));
        all.extend(OFFS.map(|off| Operands { off, ..plain }));
        all.extend(IMMS.map(|imm| Operands { imm, ..plain }));
        all.extend(IMMS.map(|next_imm| Operands { next_imm, ..plain }));
        all.extend(OFFS.into_iter().zip(IMMS).map(|(off, imm)| Operands { off, imm, ..plain }));
        all.extend(IMMS.map(|imm| Operands { imm, next_imm: imm, ..plain }));
        let mut insns: Vec<Insn> = all.into_iter().map(|o| form::build(self.form, self.mask(o))).collect();
        let mut seen = std::collections::HashSet::new();
        insns.retain(|insn| seen.insert(*insn));
        insns
    }

    /// Operands with zeros where this row has none.
    fn mask(&self, o: Operands) -> Operands {
        Operands {
            dst: if self.has(Field::Dst) { o.dst } else { Reg::R0 },
            src: if self.has(Field::Src) { o.src } else { Reg::R0 },
            off: if self.has(Field::Off) { o.off } else { 0 },
            imm: if self.has(Field::Imm) { o.imm } else { 0 },
            next_imm: if self.has(Field::NextImm) { o.next_imm } else { 0 },
        }
    }
}

enum Sign {
    Unsigned,
    Signed,
}

/// All rows, in the order of the table.
pub fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    ROWS.iter()
}

const fn alu(op: AluOp, width: Width, src: SrcKind) -> Form {
    Form::Alu { op, width, src }
}

const fn movsx(width: Width, from: Size) -> Form {
    Form::MovSx { width, from }
}

const fn neg(width: Width) -> Form {
    Form::Neg { width }
}

const fn swap(kind: Endian, size: Size) -> Form {
    Form::Endian { kind, size }
}

const fn load(size: Size, sign: Sign) -> Form {
    Form::Load { size, signed: matches!(sign, Signed) }
}

const fn store(size: Size, src: SrcKind) -> Form {
    Form::Store { size, src }
}

const fn lddw(kind: Imm64Kind) -> Form {
    Form::LoadImm64 { kind }
}

const fn atomic(op: AtomicOp, size: Size) -> Form {
    Form::Atomic { op, size }
}

const fn legacy(size: Size, kind: LegacyKind) -> Form {
    Form::LegacyLoad { size, kind }
}

const fn branch(cond: Cond, width: Width, src: SrcKind) -> Form {
    Form::Branch { cond, width, src }
}

const fn call(kind: CallKind) -> Form {
    Form::Call { kind }
}

/// The ISA table.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    // Arithmetic, 64 bits: section 4.1.
    row(0x07, Base64,   alu(AluOp::Add, W64, Imm),                    "{dst} += {imm}"),
    row(0x0f, Base64,   alu(AluOp::Add, W64, Register),               "{dst} += {src}"),
    row(0x17, Base64,   alu(AluOp::Sub, W64, Imm),                    "{dst} -= {imm}"),
    row(0x1f, Base64,   alu(AluOp::Sub, W64, Register),               "{dst} -= {src}"),
    row(0x27, Divmul64, alu(AluOp::Mul, W64, Imm),                    "{dst} *= {imm}"),
    row(0x2f, Divmul64, alu(AluOp::Mul, W64, Register),               "{dst} *= {src}"),
    row(0x37, Divmul64, alu(AluOp::Div, W64, Imm),                    "{dst} /= {imm}"),
    row(0x3f, Divmul64, alu(AluOp::Div, W64, Register),               "{dst} /= {src}"),
    row(0x37, Divmul64, alu(AluOp::Sdiv, W64, Imm),                   "{dst} s/= {imm}").off(1),
    row(0x3f, Divmul64, alu(AluOp::Sdiv, W64, Register),              "{dst} s/= {src}").off(1),
    row(0x97, Divmul64, alu(AluOp::Mod, W64, Imm),                    "{dst} %= {imm}"),
    row(0x9f, Divmul64, alu(AluOp::Mod, W64, Register),               "{dst} %= {src}"),
    row(0x97, Divmul64, alu(AluOp::Smod, W64, Imm),                   "{dst} s%= {imm}").off(1),
    row(0x9f, Divmul64, alu(AluOp::Smod, W64, Register),              "{dst} s%= {src}").off(1),
    row(0x47, Base64,   alu(AluOp::Or, W64, Imm),                     "{dst} |= {imm}"),
    row(0x4f, Base64,   alu(AluOp::Or, W64, Register),                "{dst} |= {src}"),
    row(0x57, Base64,   alu(AluOp::And, W64, Imm),                    "{dst} &= {imm}"),
    row(0x5f, Base64,   alu(AluOp::And, W64, Register),               "{dst} &= {src}"),
    row(0xa7, Base64,   alu(AluOp::Xor, W64, Imm),                    "{dst} ^= {imm}"),
    row(0xaf, Base64,   alu(AluOp::Xor, W64, Register),               "{dst} ^= {src}"),
    row(0x67, Base64,   alu(AluOp::Lsh, W64, Imm),                    "{dst} <<= {imm}"),
    row(0x6f, Base64,   alu(AluOp::Lsh, W64, Register),               "{dst} <<= {src}"),
    row(0x77, Base64,   alu(AluOp::Rsh, W64, Imm),                    "{dst} >>= {imm}"),
    row(0x7f, Base64,   alu(AluOp::Rsh, W64, Register),               "{dst} >>= {src}"),
    row(0xc7, Base64,   alu(AluOp::Arsh, W64, Imm),                   "{dst} s>>= {imm}"),
    row(0xcf, Base64,   alu(AluOp::Arsh, W64, Register),              "{dst} s>>= {src}"),
    row(0xb7, Base64,   alu(AluOp::Mov, W64, Imm),                    "{dst} = {imm}"),
    row(0xbf, Base64,   alu(AluOp::Mov, W64, Register),               "{dst} = {src}"),
    row(0x87, Base64,   neg(W64),                                     "{dst} = -{dst}"),
    row(0xbf, Base64,   movsx(W64, B),                                "{dst} = (s8){src}").off(8),
    row(0xbf, Base64,   movsx(W64, H),                                "{dst} = (s16){src}").off(16),
    row(0xbf, Base64,   movsx(W64, W),                                "{dst} = (s32){src}").off(32),
    // Arithmetic, 32 bits: section 4.1.
    row(0x04, Base32,   alu(AluOp::Add, W32, Imm),                    "{wdst} += {imm32}"),
    row(0x0c, Base32,   alu(AluOp::Add, W32, Register),               "{wdst} += {wsrc}"),
    row(0x14, Base32,   alu(AluOp::Sub, W32, Imm),                    "{wdst} -= {imm32}"),
    row(0x1c, Base32,   alu(AluOp::Sub, W32, Register),               "{wdst} -= {wsrc}"),
    row(0x24, Divmul32, alu(AluOp::Mul, W32, Imm),                    "{wdst} *= {imm32}"),
    row(0x2c, Divmul32, alu(AluOp::Mul, W32, Register),               "{wdst} *= {wsrc}"),
    row(0x34, Divmul32, alu(AluOp::Div, W32, Imm),                    "{wdst} /= {imm32}"),
    row(0x3c, Divmul32, alu(AluOp::Div, W32, Register),               "{wdst} /= {wsrc}"),
    row(0x34, Divmul32, alu(AluOp::Sdiv, W32, Imm),                   "{wdst} s/= {imm32}").off(1),
    row(0x3c, Divmul32, alu(AluOp::Sdiv, W32, Register),              "{wdst} s/= {wsrc}").off(1),
    row(0x94, Divmul32, alu(AluOp::Mod, W32, Imm),                    "{wdst} %= {imm32}"),
    row(0x9c, Divmul32, alu(AluOp::Mod, W32, Register),               "{wdst} %= {wsrc}"),
    row(0x94, Divmul32, alu(AluOp::Smod, W32, Imm),                   "{wdst} s%= {imm32}").off(1),
    row(0x9c, Divmul32, alu(AluOp::Smod, W32, Register),              "{wdst} s%= {wsrc}").off(1),
    row(0x44, Base32,   alu(AluOp::Or, W32, Imm),                     "{wdst} |= {imm32}"),
    row(0x4c, Base32,   alu(AluOp::Or, W32, Register),                "{wdst} |= {wsrc}"),
    row(0x54, Base32,   alu(AluOp::And, W32, Imm),                    "{wdst} &= {imm32}"),
    row(0x5c, Base32,   alu(AluOp::And, W32, Register),               "{wdst} &= {wsrc}"),
    row(0xa4, Base32,   alu(AluOp::Xor, W32, Imm),                    "{wdst} ^= {imm32}"),
    row(0xac, Base32,   alu(AluOp::Xor, W32, Register),               "{wdst} ^= {wsrc}"),
    row(0x64, Base32,   alu(AluOp::Lsh, W32, Imm),                    "{wdst} <<= {imm32}"),
    row(0x6c, Base32,   alu(AluOp::Lsh, W32, Register),               "{wdst} <<= {wsrc}"),
    row(0x74, Base32,   alu(AluOp::Rsh, W32, Imm),                    "{wdst} >>= {imm32}"),
    row(0x7c, Base32,   alu(AluOp::Rsh, W32, Register),               "{wdst} >>= {wsrc}"),
    row(0xc4, Base32,   alu(AluOp::Arsh, W32, Imm),                   "{wdst} s>>= {imm32}"),
    row(0xcc, Base32,   alu(AluOp::Arsh, W32, Register),              "{wdst} s>>= {wsrc}"),
    row(0xb4, Base32,   alu(AluOp::Mov, W32, Imm),                    "{wdst} = {imm32}"),
    row(0xbc, Base32,   alu(AluOp::Mov, W32, Register),               "{wdst} = {wsrc}"),
    row(0x84, Base32,   neg(W32),                                     "{wdst} = -{wdst}"),
    row(0xbc, Base32,   movsx(W32, B),                                "{wdst} = (s8){wsrc}").off(8),
    row(0xbc, Base32,   movsx(W32, H),                                "{wdst} = (s16){wsrc}").off(16),
    // Byte swaps: section 4.2.
    row(0xd4, Base32,   swap(Endian::ToLe, H),                        "{dst} = le16 {dst}").imm(16),
    row(0xd4, Base32,   swap(Endian::ToLe, W),                        "{dst} = le32 {dst}").imm(32),
    row(0xd4, Base64,   swap(Endian::ToLe, DW),                       "{dst} = le64 {dst}").imm(64),
    row(0xdc, Base32,   swap(Endian::ToBe, H),                        "{dst} = be16 {dst}").imm(16),
    row(0xdc, Base32,   swap(Endian::ToBe, W),                        "{dst} = be32 {dst}").imm(32),
    row(0xdc, Base64,   swap(Endian::ToBe, DW),                       "{dst} = be64 {dst}").imm(64),
    row(0xd7, Base32,   swap(Endian::Swap, H),                        "{dst} = bswap16 {dst}").imm(16),
    row(0xd7, Base32,   swap(Endian::Swap, W),                        "{dst} = bswap32 {dst}").imm(32),
    row(0xd7, Base64,   swap(Endian::Swap, DW),                       "{dst} = bswap64 {dst}").imm(64),
    // Address spaces of arenas: Linux 6.9.
    row(0xbf, Linux,    Form::AddrSpaceCast,                          "{dst} = addr_space_cast({src}, {to}, {from})").off(1),
    // 64-bit immediates, two slots: section 5.4.
    row(0x18, Base64,   lddw(Imm64Kind::Value),                       "{dst} = {imm64} ll"),
    row(0x18, Base64,   lddw(Imm64Kind::MapFd),                       "{dst} = map_fd[{imm}]").src(1)
        .alias(&["{dst} = map_fd[{imm}] ll"]),
    row(0x18, Base64,   lddw(Imm64Kind::MapFdValue),                  "{dst} = map_fd[{imm}][0] + {value_off}").src(2)
        .alias(&["{dst} = map_fd[{imm}][0]"]),
    row(0x18, Base64,   lddw(Imm64Kind::BtfId),                       "{dst} = btf_id[{imm}, {btf_fd}]").src(3)
        .alias(&["{dst} = btf_id[{imm}]"]),
    row(0x18, Base64,   lddw(Imm64Kind::Func),                        "{dst} = subprog[{func}]").src(4),
    row(0x18, Base64,   lddw(Imm64Kind::MapIdx),                      "{dst} = map[{map}]").src(5)
        .alias(&["{dst} = map[{map}] ll"]),
    row(0x18, Base64,   lddw(Imm64Kind::MapIdxValue),                 "{dst} = map[{map}][0] + {value_off}").src(6)
        .alias(&["{dst} = map[{map}][0]"]),
    // Loads and stores: sections 5.1 and 5.2. LLVM spells narrow ones with `w` registers too.
    row(0x71, Base32,   load(B, Unsigned),                            "{dst/w} = *(u8 *)({src} {off})"),
    row(0x69, Base32,   load(H, Unsigned),                            "{dst/w} = *(u16 *)({src} {off})"),
    row(0x61, Base32,   load(W, Unsigned),                            "{dst/w} = *(u32 *)({src} {off})"),
    row(0x79, Base64,   load(DW, Unsigned),                           "{dst} = *(u64 *)({src} {off})"),
    row(0x91, Base64,   load(B, Signed),                              "{dst} = *(s8 *)({src} {off})"),
    row(0x89, Base64,   load(H, Signed),                              "{dst} = *(s16 *)({src} {off})"),
    row(0x81, Base64,   load(W, Signed),                              "{dst} = *(s32 *)({src} {off})"),
    row(0x72, Base32,   store(B, Imm),                                "*(u8 *)({dst} {off}) = {imm32}"),
    row(0x73, Base32,   store(B, Register),                           "*(u8 *)({dst} {off}) = {src/w}"),
    row(0x6a, Base32,   store(H, Imm),                                "*(u16 *)({dst} {off}) = {imm32}"),
    row(0x6b, Base32,   store(H, Register),                           "*(u16 *)({dst} {off}) = {src/w}"),
    row(0x62, Base32,   store(W, Imm),                                "*(u32 *)({dst} {off}) = {imm32}"),
    row(0x63, Base32,   store(W, Register),                           "*(u32 *)({dst} {off}) = {src/w}"),
    row(0x7a, Base64,   store(DW, Imm),                               "*(u64 *)({dst} {off}) = {imm}"),
    row(0x7b, Base64,   store(DW, Register),                          "*(u64 *)({dst} {off}) = {src}"),
    // Atomics: section 5.3. The aliases are the kernel's spellings.
    row(0xdb, Atomic64, atomic(AtomicOp::Add { fetch: false }, DW),   "lock *(u64 *)({dst} {off}) += {src}").imm(0x00),
    row(0xdb, Atomic64, atomic(AtomicOp::Or { fetch: false }, DW),    "lock *(u64 *)({dst} {off}) |= {src}").imm(0x40),
    row(0xdb, Atomic64, atomic(AtomicOp::And { fetch: false }, DW),   "lock *(u64 *)({dst} {off}) &= {src}").imm(0x50),
    row(0xdb, Atomic64, atomic(AtomicOp::Xor { fetch: false }, DW),   "lock *(u64 *)({dst} {off}) ^= {src}").imm(0xa0),
    row(0xdb, Atomic64, atomic(AtomicOp::Add { fetch: true }, DW),    "{src} = atomic_fetch_add((u64 *)({dst} {off}), {src})").imm(0x01)
        .alias(&["{src} = atomic64_fetch_add((u64 *)({dst} {off}), {src})"]),
    row(0xdb, Atomic64, atomic(AtomicOp::Or { fetch: true }, DW),     "{src} = atomic_fetch_or((u64 *)({dst} {off}), {src})").imm(0x41)
        .alias(&["{src} = atomic64_fetch_or((u64 *)({dst} {off}), {src})"]),
    row(0xdb, Atomic64, atomic(AtomicOp::And { fetch: true }, DW),    "{src} = atomic_fetch_and((u64 *)({dst} {off}), {src})").imm(0x51)
        .alias(&["{src} = atomic64_fetch_and((u64 *)({dst} {off}), {src})"]),
    row(0xdb, Atomic64, atomic(AtomicOp::Xor { fetch: true }, DW),    "{src} = atomic_fetch_xor((u64 *)({dst} {off}), {src})").imm(0xa1)
        .alias(&["{src} = atomic64_fetch_xor((u64 *)({dst} {off}), {src})"]),
    row(0xdb, Atomic64, atomic(AtomicOp::Xchg, DW),                   "{src} = xchg_64({dst} {off}, {src})").imm(0xe1)
        .alias(&["{src} = atomic64_xchg((u64 *)({dst} {off}), {src})"]),
    row(0xdb, Atomic64, atomic(AtomicOp::Cmpxchg, DW),                "r0 = cmpxchg_64({dst} {off}, r0, {src})").imm(0xf1)
        .alias(&["r0 = atomic64_cmpxchg((u64 *)({dst} {off}), r0, {src})"]),
    row(0xc3, Atomic32, atomic(AtomicOp::Add { fetch: false }, W),    "lock *(u32 *)({dst} {off}) += {wsrc/r}").imm(0x00),
    row(0xc3, Atomic32, atomic(AtomicOp::Or { fetch: false }, W),     "lock *(u32 *)({dst} {off}) |= {wsrc/r}").imm(0x40),
    row(0xc3, Atomic32, atomic(AtomicOp::And { fetch: false }, W),    "lock *(u32 *)({dst} {off}) &= {wsrc/r}").imm(0x50),
    row(0xc3, Atomic32, atomic(AtomicOp::Xor { fetch: false }, W),    "lock *(u32 *)({dst} {off}) ^= {wsrc/r}").imm(0xa0),
    row(0xc3, Atomic32, atomic(AtomicOp::Add { fetch: true }, W),     "{wsrc/r} = atomic_fetch_add((u32 *)({dst} {off}), {wsrc/r})").imm(0x01),
    row(0xc3, Atomic32, atomic(AtomicOp::Or { fetch: true }, W),      "{wsrc/r} = atomic_fetch_or((u32 *)({dst} {off}), {wsrc/r})").imm(0x41),
    row(0xc3, Atomic32, atomic(AtomicOp::And { fetch: true }, W),     "{wsrc/r} = atomic_fetch_and((u32 *)({dst} {off}), {wsrc/r})").imm(0x51),
    row(0xc3, Atomic32, atomic(AtomicOp::Xor { fetch: true }, W),     "{wsrc/r} = atomic_fetch_xor((u32 *)({dst} {off}), {wsrc/r})").imm(0xa1),
    row(0xc3, Atomic32, atomic(AtomicOp::Xchg, W),                    "{wsrc/r} = xchg32_32({dst} {off}, {wsrc/r})").imm(0xe1)
        .alias(&["{wsrc/r} = atomic_xchg((u32 *)({dst} {off}), {wsrc/r})"]),
    row(0xc3, Atomic32, atomic(AtomicOp::Cmpxchg, W),                 "w0 = cmpxchg32_32({dst} {off}, w0, {wsrc/r})").imm(0xf1)
        .alias(&[
            "r0 = atomic_cmpxchg((u32 *)({dst} {off}), r0, {wsrc/r})",
            "r0 = cmpxchg32_32({dst} {off}, r0, {wsrc/r})",
        ]),
    // Load-acquire and store-release: Linux 6.15.
    row(0xd3, Linux,    Form::LoadAcquire { size: B },                "{dst/w} = load_acquire((u8 *)({src} {off}))").imm(0x100),
    row(0xcb, Linux,    Form::LoadAcquire { size: H },                "{dst/w} = load_acquire((u16 *)({src} {off}))").imm(0x100),
    row(0xc3, Linux,    Form::LoadAcquire { size: W },                "{dst/w} = load_acquire((u32 *)({src} {off}))").imm(0x100),
    row(0xdb, Linux,    Form::LoadAcquire { size: DW },               "{dst} = load_acquire((u64 *)({src} {off}))").imm(0x100),
    row(0xd3, Linux,    Form::StoreRelease { size: B },               "store_release((u8 *)({dst} {off}), {src/w})").imm(0x110),
    row(0xcb, Linux,    Form::StoreRelease { size: H },               "store_release((u16 *)({dst} {off}), {src/w})").imm(0x110),
    row(0xc3, Linux,    Form::StoreRelease { size: W },               "store_release((u32 *)({dst} {off}), {src/w})").imm(0x110),
    row(0xdb, Linux,    Form::StoreRelease { size: DW },              "store_release((u64 *)({dst} {off}), {src})").imm(0x110),
    // Legacy packet loads: section 5.5.
    row(0x30, Packet,   legacy(B, LegacyKind::Abs),                   "r0 = *(u8 *)skb[{imm}]"),
    row(0x50, Packet,   legacy(B, LegacyKind::Ind),                   "r0 = *(u8 *)skb[{src} {imm_off}]"),
    row(0x28, Packet,   legacy(H, LegacyKind::Abs),                   "r0 = *(u16 *)skb[{imm}]"),
    row(0x48, Packet,   legacy(H, LegacyKind::Ind),                   "r0 = *(u16 *)skb[{src} {imm_off}]"),
    row(0x20, Packet,   legacy(W, LegacyKind::Abs),                   "r0 = *(u32 *)skb[{imm}]"),
    row(0x40, Packet,   legacy(W, LegacyKind::Ind),                   "r0 = *(u32 *)skb[{src} {imm_off}]"),
    // Jumps: section 4.3. `may_goto` is Linux 6.9.
    row(0x05, Base32,   Form::Ja,                                     "goto {jump}"),
    row(0x06, Base32,   Form::Gotol,                                  "gotol {long_jump}"),
    row(0xe5, Linux,    Form::MayGoto,                                "may_goto {jump}"),
    row(0x15, Base64,   branch(Cond::Eq, W64, Imm),                   "if {dst} == {imm} goto {jump}"),
    row(0x1d, Base64,   branch(Cond::Eq, W64, Register),              "if {dst} == {src} goto {jump}"),
    row(0x55, Base64,   branch(Cond::Ne, W64, Imm),                   "if {dst} != {imm} goto {jump}"),
    row(0x5d, Base64,   branch(Cond::Ne, W64, Register),              "if {dst} != {src} goto {jump}"),
    row(0x45, Base64,   branch(Cond::Set, W64, Imm),                  "if {dst} & {imm} goto {jump}"),
    row(0x4d, Base64,   branch(Cond::Set, W64, Register),             "if {dst} & {src} goto {jump}"),
    row(0x25, Base64,   branch(Cond::Gt, W64, Imm),                   "if {dst} > {imm} goto {jump}"),
    row(0x2d, Base64,   branch(Cond::Gt, W64, Register),              "if {dst} > {src} goto {jump}"),
    row(0x35, Base64,   branch(Cond::Ge, W64, Imm),                   "if {dst} >= {imm} goto {jump}"),
    row(0x3d, Base64,   branch(Cond::Ge, W64, Register),              "if {dst} >= {src} goto {jump}"),
    row(0xa5, Base64,   branch(Cond::Lt, W64, Imm),                   "if {dst} < {imm} goto {jump}"),
    row(0xad, Base64,   branch(Cond::Lt, W64, Register),              "if {dst} < {src} goto {jump}"),
    row(0xb5, Base64,   branch(Cond::Le, W64, Imm),                   "if {dst} <= {imm} goto {jump}"),
    row(0xbd, Base64,   branch(Cond::Le, W64, Register),              "if {dst} <= {src} goto {jump}"),
    row(0x65, Base64,   branch(Cond::Sgt, W64, Imm),                  "if {dst} s> {imm} goto {jump}"),
    row(0x6d, Base64,   branch(Cond::Sgt, W64, Register),             "if {dst} s> {src} goto {jump}"),
    row(0x75, Base64,   branch(Cond::Sge, W64, Imm),                  "if {dst} s>= {imm} goto {jump}"),
    row(0x7d, Base64,   branch(Cond::Sge, W64, Register),             "if {dst} s>= {src} goto {jump}"),
    row(0xc5, Base64,   branch(Cond::Slt, W64, Imm),                  "if {dst} s< {imm} goto {jump}"),
    row(0xcd, Base64,   branch(Cond::Slt, W64, Register),             "if {dst} s< {src} goto {jump}"),
    row(0xd5, Base64,   branch(Cond::Sle, W64, Imm),                  "if {dst} s<= {imm} goto {jump}"),
    row(0xdd, Base64,   branch(Cond::Sle, W64, Register),             "if {dst} s<= {src} goto {jump}"),
    row(0x16, Base32,   branch(Cond::Eq, W32, Imm),                   "if {wdst} == {imm32} goto {jump}"),
    row(0x1e, Base32,   branch(Cond::Eq, W32, Register),              "if {wdst} == {wsrc} goto {jump}"),
    row(0x56, Base32,   branch(Cond::Ne, W32, Imm),                   "if {wdst} != {imm32} goto {jump}"),
    row(0x5e, Base32,   branch(Cond::Ne, W32, Register),              "if {wdst} != {wsrc} goto {jump}"),
    row(0x46, Base32,   branch(Cond::Set, W32, Imm),                  "if {wdst} & {imm32} goto {jump}"),
    row(0x4e, Base32,   branch(Cond::Set, W32, Register),             "if {wdst} & {wsrc} goto {jump}"),
    row(0x26, Base32,   branch(Cond::Gt, W32, Imm),                   "if {wdst} > {imm32} goto {jump}"),
    row(0x2e, Base32,   branch(Cond::Gt, W32, Register),              "if {wdst} > {wsrc} goto {jump}"),
    row(0x36, Base32,   branch(Cond::Ge, W32, Imm),                   "if {wdst} >= {imm32} goto {jump}"),
    row(0x3e, Base32,   branch(Cond::Ge, W32, Register),              "if {wdst} >= {wsrc} goto {jump}"),
    row(0xa6, Base32,   branch(Cond::Lt, W32, Imm),                   "if {wdst} < {imm32} goto {jump}"),
    row(0xae, Base32,   branch(Cond::Lt, W32, Register),              "if {wdst} < {wsrc} goto {jump}"),
    row(0xb6, Base32,   branch(Cond::Le, W32, Imm),                   "if {wdst} <= {imm32} goto {jump}"),
    row(0xbe, Base32,   branch(Cond::Le, W32, Register),              "if {wdst} <= {wsrc} goto {jump}"),
    row(0x66, Base32,   branch(Cond::Sgt, W32, Imm),                  "if {wdst} s> {imm32} goto {jump}"),
    row(0x6e, Base32,   branch(Cond::Sgt, W32, Register),             "if {wdst} s> {wsrc} goto {jump}"),
    row(0x76, Base32,   branch(Cond::Sge, W32, Imm),                  "if {wdst} s>= {imm32} goto {jump}"),
    row(0x7e, Base32,   branch(Cond::Sge, W32, Register),             "if {wdst} s>= {wsrc} goto {jump}"),
    row(0xc6, Base32,   branch(Cond::Slt, W32, Imm),                  "if {wdst} s< {imm32} goto {jump}"),
    row(0xce, Base32,   branch(Cond::Slt, W32, Register),             "if {wdst} s< {wsrc} goto {jump}"),
    row(0xd6, Base32,   branch(Cond::Sle, W32, Imm),                  "if {wdst} s<= {imm32} goto {jump}"),
    row(0xde, Base32,   branch(Cond::Sle, W32, Register),             "if {wdst} s<= {wsrc} goto {jump}"),
    // Calls and exit: sections 4.3.1 and 4.3.2.
    row(0x85, Base32,   call(CallKind::Helper),                       "call {helper}"),
    row(0x85, Base32,   call(CallKind::Subprog),                      "call {subprog}").src(1),
    row(0x85, Base32,   call(CallKind::Kfunc),                        "call {kfunc}").src(2),
    row(0x95, Base32,   Form::Exit,                                   "exit"),
];

/// Rows by a key, as chains: first row of each key, and for each row the next of its key.
struct Index<const KEYS: usize> {
    first: [u16; KEYS],
    next: [u16; ROWS.len()],
}

const END: u16 = u16::MAX;

const fn index<const KEYS: usize>(by_opcode: bool) -> Index<KEYS> {
    let mut index = Index { first: [END; KEYS], next: [END; ROWS.len()] };
    let mut at = ROWS.len();
    while at > 0 {
        at -= 1;
        let key = if by_opcode { ROWS[at].opcode as usize } else { ROWS[at].form.class() };
        index.next[at] = index.first[key];
        #[expect(clippy::cast_possible_truncation, reason = "the table is short")]
        let row = at as u16;
        index.first[key] = row;
    }
    index
}

static BY_OPCODE: Index<256> = index(true);
static BY_CLASS: Index<{ Form::CLASSES }> = index(false);

/// What a row says of a slot's fields ([`RawInsn::word`]): which bits are no operands, and their value.
#[derive(Clone, Copy)]
struct Fixed {
    bits: u64,
    value: u64,
    form: Form,
    next: u16,
}

const fn fixed() -> [Fixed; ROWS.len()] {
    let mut all = [Fixed { bits: 0, value: 0, form: Form::Exit, next: END }; ROWS.len()];
    let mut at = 0;
    while at < all.len() {
        let row = &ROWS[at];
        let bits = RawInsn {
            opcode: 0,
            dst: if row.has(Field::Dst) { 0 } else { 0xf },
            src: if row.has(Field::Src) { 0 } else { 0xf },
            off: if row.has(Field::Off) { 0 } else { -1 },
            imm: if row.has(Field::Imm) { 0 } else { -1 },
        };
        let value = RawInsn { opcode: 0, dst: 0, src: row.src, off: row.off, imm: row.imm };
        all[at] = Fixed { bits: bits.word(), value: value.word(), form: row.form, next: BY_OPCODE.next[at] };
        at += 1;
    }
    all
}

static FIXED: [Fixed; ROWS.len()] = fixed();

/// The form of a slot given as a word, with its operands, a second slot apart. `None` where the slot is of no
/// row, or a register is none: [`super::decode_slot`] says what is wrong.
#[inline]
pub(super) fn fitting(word: u64) -> Option<(&'static Form, Operands)> {
    let [opcode, ..] = word.to_le_bytes();
    let mut at = BY_OPCODE.first[usize::from(opcode)];
    loop {
        let fixed = FIXED.get(usize::from(at))?;
        if word & fixed.bits == fixed.value {
            let [_, regs, o0, o1, i0, i1, i2, i3] = (word & !fixed.bits).to_le_bytes();
            let operands = Operands {
                dst: Reg::new(regs & 0xf)?,
                src: Reg::new(regs >> 4)?,
                off: i16::from_le_bytes([o0, o1]),
                imm: i32::from_le_bytes([i0, i1, i2, i3]),
                next_imm: 0,
            };
            return Some((&fixed.form, operands));
        }
        at = fixed.next;
    }
}

fn chain<const KEYS: usize>(
    first: u16,
    index: &'static Index<KEYS>,
) -> impl Iterator<Item = &'static Row> + Clone {
    let row = |at: u16| ROWS.get(usize::from(at)).map(|row| (at, row));
    std::iter::successors(row(first), move |(at, _)| row(index.next[usize::from(*at)])).map(|(_, row)| row)
}
