//! Spellings: the little language in which the table writes each instruction.
//!
//! A spelling is assembly text with holes in braces: `{dst} += {imm}`. Each hole fills certain fields
//! of the encoding; a field that no hole of a row fills is reserved there. Blanks mean nothing. A hole
//! named in a row but missing from [`HOLES`] does not compile.

/// A place for an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hole {
    /// `r1`
    Dst,
    /// `w1`
    WDst,
    /// `r1`
    Src,
    /// `w1`
    WSrc,
    /// Written `r1`, read also from `w1`: for the narrow loads that LLVM writes either way.
    DstEither,
    /// Written `r1`, read also from `w1`.
    SrcEither,
    /// Written `w1`, read also from `r1`.
    WSrcEither,
    /// `+ 4`: displacement
    Off,
    /// `+ 4`: displacement in the immediate
    ImmOff,
    /// `-5`
    Imm,
    /// `-5`, and to read also up to 2³² - 1: the operation is not wider than 32 bits.
    Imm32,
    /// 64 bits over both slots
    Imm64,
    /// `+2` or a label
    Jump,
    /// `+2` or a label, in the immediate
    LongJump,
    /// upper half of the immediate
    To,
    /// lower half of the immediate
    From,
    /// a map's index or name
    Map,
    /// offset in a map's value, in the second slot
    ValueOff,
    /// descriptor of a BTF object, in the second slot
    BtfFd,
    /// `+3` or a label
    Func,
    /// a helper's number or name
    Helper,
    /// `pc+3` or a label
    Subprog,
    /// `kfunc#7`, or `kfunc#7@2` for a module's
    Kfunc,
}

/// A field of the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Destination register.
    Dst,
    /// Source register.
    Src,
    /// Offset.
    Off,
    /// Immediate.
    Imm,
    /// Immediate of the second slot (`lddw` only).
    NextImm,
}

impl Field {
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// All holes: name, meaning, and the fields that they fill.
const HOLES: &[(&str, Hole, &[Field])] = &[
    ("dst", Hole::Dst, &[Field::Dst]),
    ("wdst", Hole::WDst, &[Field::Dst]),
    ("src", Hole::Src, &[Field::Src]),
    ("wsrc", Hole::WSrc, &[Field::Src]),
    ("dst/w", Hole::DstEither, &[Field::Dst]),
    ("src/w", Hole::SrcEither, &[Field::Src]),
    ("wsrc/r", Hole::WSrcEither, &[Field::Src]),
    ("off", Hole::Off, &[Field::Off]),
    ("imm_off", Hole::ImmOff, &[Field::Imm]),
    ("imm", Hole::Imm, &[Field::Imm]),
    ("imm32", Hole::Imm32, &[Field::Imm]),
    ("imm64", Hole::Imm64, &[Field::Imm, Field::NextImm]),
    ("jump", Hole::Jump, &[Field::Off]),
    ("long_jump", Hole::LongJump, &[Field::Imm]),
    ("to", Hole::To, &[Field::Imm]),
    ("from", Hole::From, &[Field::Imm]),
    ("map", Hole::Map, &[Field::Imm]),
    ("value_off", Hole::ValueOff, &[Field::NextImm]),
    ("btf_fd", Hole::BtfFd, &[Field::NextImm]),
    ("func", Hole::Func, &[Field::Imm]),
    ("helper", Hole::Helper, &[Field::Imm]),
    ("subprog", Hole::Subprog, &[Field::Imm]),
    ("kfunc", Hole::Kfunc, &[Field::Imm, Field::Off]),
];

/// Bits of the fields that a spelling fills.
pub(super) const fn fields(spelling: &str) -> u8 {
    let text = spelling.as_bytes();
    let mut bits = 0;
    let mut i = 0;
    while i < text.len() {
        if text[i] == b'{' {
            let (_, fields, _) = find(text, i + 1);
            let mut f = 0;
            while f < fields.len() {
                bits |= fields[f].bit();
                f += 1;
            }
        }
        i += 1;
    }
    bits
}

/// The hole whose name starts at `start` and ends at the next brace, and where that brace is.
const fn find(text: &[u8], start: usize) -> (Hole, &'static [Field], usize) {
    let mut end = start;
    while text[end] != b'}' {
        end += 1;
    }
    let mut h = 0;
    while h < HOLES.len() {
        let name = HOLES[h].0.as_bytes();
        let mut same = name.len() == end - start;
        let mut i = 0;
        while same && i < name.len() {
            same = name[i] == text[start + i];
            i += 1;
        }
        if same {
            return (HOLES[h].1, HOLES[h].2, end);
        }
        h += 1;
    }
    panic!("a spelling names a hole that does not exist")
}

/// One piece of a spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text to be taken as it is.
    Text(&'a str),
    /// An operand.
    Hole(Hole),
}

/// The pieces of a spelling in order.
pub(super) fn pieces(spelling: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = spelling;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if rest.starts_with('{') {
            let (hole, _, end) = find(rest.as_bytes(), 1);
            rest = &rest[end + 1..];
            return Some(Piece::Hole(hole));
        }
        let end = rest.find('{').unwrap_or(rest.len());
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(text))
    })
}
