//! Matches a line against the table's spellings.
//!
//! There is no grammar besides the table: every spelling is tried, and the first that fits the whole
//! line is the instruction. If none fits, the error is that of the spellings that got farthest.

use brolga_abi::HelperId;

use super::lexer::{Token, TokenKind, next_token};
use super::{AsmContext, AsmProblem};
use crate::isa::form::Operands;
use crate::isa::reg::Reg;
use crate::isa::spelling::{Field, Hole, Piece, pieces};
use crate::isa::table::{Group, Row, rows};

/// A label whose distance is not known yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixup<'a> {
    /// [`Field::Off`] or [`Field::Imm`].
    pub field: Field,
    pub label: &'a str,
    /// Byte offset in the line.
    pub start: usize,
}

/// A line as an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed<'a> {
    pub row: &'static Row,
    pub operands: Operands,
    pub fixup: Option<Fixup<'a>>,
}

/// The labels that a line starts with, and the rest.
pub(super) fn split_labels<'t, 'a>(tokens: &'t [Token<'a>]) -> (Vec<Token<'a>>, &'t [Token<'a>]) {
    let mut labels = Vec::new();
    let mut rest = tokens;
    while let [name, colon, after @ ..] = rest {
        if name.kind != TokenKind::Word || colon.text != ":" {
            break;
        }
        labels.push(*name);
        rest = after;
    }
    (labels, rest)
}

/// The instruction on a line; `tokens` is not empty.
pub(super) fn parse<'a>(
    tokens: &[Token<'a>],
    context: &AsmContext<'_>,
) -> Result<Parsed<'a>, (usize, AsmProblem)> {
    let spellings =
        || rows().flat_map(|row| std::iter::once(&row.spelling).chain(row.aliases).map(move |s| (row, *s)));
    let matcher = |row: &Row, spelling: &str| {
        // LLVM once wrote `lock` before fetching atomics too.
        let atomic = matches!(row.group, Group::Atomic32 | Group::Atomic64);
        let lock = tokens[0].text == "lock" && atomic && !spelling.starts_with("lock");
        Matcher {
            at: usize::from(lock),
            tokens,
            context,
            operands: Operands::ZERO,
            registers: 0,
            fixup: None,
        }
    };
    for (row, spelling) in spellings() {
        let mut matcher = matcher(row, spelling);
        if may_start(spelling, tokens.get(matcher.at)) && matcher.line(spelling).is_ok() {
            return Ok(Parsed { row, operands: matcher.operands, fixup: matcher.fixup });
        }
    }
    let mut nearest = Miss { at: 0, expected: Vec::new(), problem: None };
    for (row, spelling) in spellings() {
        let mut matcher = matcher(row, spelling);
        if let Err(wrong) = matcher.line(spelling) {
            nearest.merge(matcher.at, wrong);
        }
    }
    let found = tokens.get(nearest.at);
    let end = tokens.last().map_or(0, |token| token.start + token.text.len());
    let start = found.map_or(end, |token| token.start);
    let problem = nearest.problem.unwrap_or_else(|| AsmProblem::Unexpected {
        found: found.map(|token| token.text.to_owned()),
        expected: nearest.expected,
    });
    Err((start, problem))
}

/// Whether a spelling can start with a token, by their first letters: most lines need no more than
/// that to be told from most rows.
fn may_start(spelling: &str, token: Option<&Token<'_>>) -> bool {
    let (Some(token), Some(first)) = (token, spelling.bytes().next()) else { return false };
    // A spelling that starts with a hole starts with a register.
    if first == b'{' { token.text.starts_with(['r', 'w']) } else { token.text.starts_with(char::from(first)) }
}

/// Why a spelling does not fit.
enum Wrong {
    /// This text should stand here.
    Text(&'static str),
    /// Something else should stand here.
    Expected(&'static str),
    /// It is of the right kind, but cannot be.
    Problem(AsmProblem),
}

/// What the spellings that got farthest say.
struct Miss {
    at: usize,
    expected: Vec<String>,
    problem: Option<AsmProblem>,
}

impl Miss {
    fn merge(&mut self, at: usize, wrong: Wrong) {
        if at < self.at {
            return;
        }
        if at > self.at {
            *self = Self { at, expected: Vec::new(), problem: None };
        }
        let what = match wrong {
            Wrong::Text(text) => format!("`{text}`"),
            Wrong::Expected(what) => what.to_owned(),
            Wrong::Problem(problem) => {
                self.problem.get_or_insert(problem);
                return;
            }
        };
        if !self.expected.contains(&what) {
            self.expected.push(what);
        }
    }
}

struct Matcher<'t, 'a, 'c> {
    tokens: &'t [Token<'a>],
    context: &'c AsmContext<'c>,
    /// The next token; after a failure, the one at fault.
    at: usize,
    operands: Operands,
    /// Bits of the register fields that were filled.
    registers: u8,
    fixup: Option<Fixup<'a>>,
}

type Matched<T> = Result<T, Wrong>;

impl<'a> Matcher<'_, 'a, '_> {
    fn line(&mut self, spelling: &'static str) -> Matched<()> {
        for piece in pieces(spelling) {
            match piece {
                Piece::Text(text) => self.text(text)?,
                Piece::Hole(hole) => self.operand(hole)?,
            }
        }
        if self.at == self.tokens.len() { Ok(()) } else { Err(Wrong::Expected("the end of the line")) }
    }

    /// Text of a spelling, token by token.
    fn text(&mut self, text: &'static str) -> Matched<()> {
        let mut from = 0;
        while let Ok(Some(want)) = next_token(text, from) {
            from = want.start + want.text.len();
            if !self.take(want.text) {
                return Err(Wrong::Text(want.text));
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.text == text);
        self.at += usize::from(found);
        found
    }

    fn operand(&mut self, hole: Hole) -> Matched<()> {
        match hole {
            Hole::Dst => self.register(Field::Dst, "r")?,
            Hole::WDst => self.register(Field::Dst, "w")?,
            Hole::Src => self.register(Field::Src, "r")?,
            Hole::WSrc => self.register(Field::Src, "w")?,
            Hole::DstEither => self.register(Field::Dst, "rw")?,
            Hole::SrcEither | Hole::WSrcEither => self.register(Field::Src, "rw")?,
            Hole::Off => self.operands.off = self.displacement()?,
            Hole::ImmOff => self.operands.imm = self.displacement()?,
            Hole::Imm => self.operands.imm = self.number()?,
            Hole::Imm32 => self.operands.imm = self.number32()?,
            Hole::Imm64 => self.number64()?,
            Hole::Jump => self.jump(Field::Off)?,
            Hole::LongJump | Hole::Func | Hole::Subprog => self.jump(Field::Imm)?,
            Hole::To => {
                let to: u16 = self.number()?;
                self.operands.imm |= (u32::from(to) << 16).cast_signed();
            }
            Hole::From => {
                let from: u16 = self.number()?;
                self.operands.imm |= i32::from(from);
            }
            Hole::Map => self.map()?,
            Hole::ValueOff => {
                let off: u32 = self.number()?;
                self.operands.next_imm = off.cast_signed();
            }
            Hole::BtfFd => self.operands.next_imm = self.number()?,
            Hole::Helper => self.helper()?,
            Hole::Kfunc => self.kfunc()?,
        }
        Ok(())
    }

    /// A register under one of the letters.
    fn register(&mut self, field: Field, letters: &'static str) -> Matched<()> {
        let wrong = Wrong::Expected(match letters {
            "r" => "a register `r0`…`r10`",
            "w" => "a register `w0`…`w10`",
            _ => "a register",
        });
        let Some(token) = self.peek() else { return Err(wrong) };
        let letter = token.text.chars().next().filter(|letter| letters.contains(*letter));
        let number = letter.map(|_| &token.text[1..]).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let Some(number) = number.filter(|n| !n.is_empty()) else { return Err(wrong) };
        // `r01` is no register either.
        let reg = Reg::all().find(|reg| reg.number().to_string() == number);
        let Some(reg) = reg else {
            return Err(Wrong::Problem(AsmProblem::UnknownRegister { name: token.text.to_owned() }));
        };
        let place = if field == Field::Dst { &mut self.operands.dst } else { &mut self.operands.src };
        if self.registers & field.bit() != 0 && *place != reg {
            let expected = format!("{}{}", &token.text[..1], place.number());
            return Err(Wrong::Problem(AsmProblem::NotSame { found: token.text.to_owned(), expected }));
        }
        *place = reg;
        self.registers |= field.bit();
        self.at += 1;
        Ok(())
    }

    /// A number with its sign, if any, and the index of its first token.
    fn signed(&mut self, expected: &'static str) -> Matched<(i128, usize)> {
        let start = self.at;
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        let Some(Token { kind: TokenKind::Number(number), .. }) = self.peek() else {
            return Err(Wrong::Expected(expected));
        };
        self.at += 1;
        Ok((if negative { -i128::from(number) } else { i128::from(number) }, start))
    }

    fn fit<T: TryFrom<i128>>(&mut self, value: i128, start: usize, range: (i128, i128)) -> Matched<T> {
        let (least, greatest) = range;
        T::try_from(value).map_err(|_| {
            self.at = start;
            Wrong::Problem(AsmProblem::OutOfRange { value, least, greatest })
        })
    }

    fn number<T: TryFrom<i128> + Bounds>(&mut self) -> Matched<T> {
        let (value, start) = self.signed("a number")?;
        self.fit(value, start, T::BOUNDS)
    }

    /// 32 bits, signed or unsigned.
    fn number32(&mut self) -> Matched<i32> {
        let (value, start) = self.signed("a number")?;
        match u32::try_from(value) {
            Ok(value) => Ok(value.cast_signed()),
            Err(_) => self.fit(value, start, (i32::MIN.into(), u32::MAX.into())),
        }
    }

    /// 64 bits over both slots, signed or unsigned.
    fn number64(&mut self) -> Matched<()> {
        let (value, start) = self.signed("a number")?;
        let bits = match u64::try_from(value) {
            Ok(value) => value,
            Err(_) => self.fit::<i64>(value, start, (i64::MIN.into(), u64::MAX.into()))?.cast_unsigned(),
        };
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        self.operands.imm = i32::from_le_bytes([a, b, c, d]);
        self.operands.next_imm = i32::from_le_bytes([e, f, g, h]);
        Ok(())
    }

    /// `+ 4`, `- 4`, the kernel's `+ -4`, or nothing.
    fn displacement<T: TryFrom<i128> + Bounds + Default>(&mut self) -> Matched<T> {
        let Some(token) = self.peek() else { return Err(Wrong::Expected("`+` or `-`")) };
        if matches!(token.text, ")" | "]" | ",") {
            return Ok(T::default());
        }
        if !matches!(token.text, "+" | "-") {
            return Err(Wrong::Expected("`+` or `-`"));
        }
        let start = self.at;
        if token.text == "+" && self.tokens.get(start + 1).is_some_and(|t| t.text == "-") {
            self.at += 1;
        }
        let (value, _) = self.signed("a number")?;
        self.fit(value, start, T::BOUNDS)
    }

    /// `+2`, `pc+2` or a label.
    fn jump(&mut self, field: Field) -> Matched<()> {
        const EXPECTED: &str = "a distance (`+2`) or a label";
        let Some(token) = self.peek() else { return Err(Wrong::Expected(EXPECTED)) };
        let after = self.tokens.get(self.at + 1);
        let pc = token.text == "pc" && after.is_some_and(|t| matches!(t.text, "+" | "-"));
        if token.kind == TokenKind::Word && !pc {
            self.fixup = Some(Fixup { field, label: token.text, start: token.start });
            self.at += 1;
            return Ok(());
        }
        self.at += usize::from(pc);
        if !self.peek().is_some_and(|t| matches!(t.text, "+" | "-")) {
            return Err(Wrong::Expected(EXPECTED));
        }
        if field == Field::Off {
            self.operands.off = self.number()?;
        } else {
            self.operands.imm = self.number()?;
        }
        Ok(())
    }

    fn map(&mut self) -> Matched<()> {
        let Some(token) = self.peek() else { return Err(Wrong::Expected("a map's name or index")) };
        let index: u32 = if token.kind == TokenKind::Word {
            let found = (0..).zip(self.context.maps).find(|(_, name)| **name == token.text);
            let Some((index, _)) = found else {
                let known = self.context.maps.iter().map(|name| (*name).to_owned()).collect();
                let name = token.text.to_owned();
                return Err(Wrong::Problem(AsmProblem::UnknownMap { name, known }));
            };
            self.at += 1;
            index
        } else {
            self.number()?
        };
        self.operands.imm = index.cast_signed();
        Ok(())
    }

    /// A helper's number or name; the kernel writes both: `bpf_map_lookup_elem#1`.
    fn helper(&mut self) -> Matched<()> {
        let word = self.peek().filter(|token| token.kind == TokenKind::Word);
        let Some(token) = word else {
            self.operands.imm = self.number32()?;
            return Ok(());
        };
        let helper = token.text.starts_with("bpf_").then(|| HelperId::from_name(token.text)).flatten();
        let Some(helper) = helper else {
            return Err(Wrong::Expected("a helper's name or number"));
        };
        self.at += 1;
        self.operands.imm = helper.info().number.cast_signed();
        if self.take("#") {
            self.operands.imm = self.number32()?;
        }
        Ok(())
    }

    fn kfunc(&mut self) -> Matched<()> {
        if !(self.take("kfunc") && self.take("#")) {
            return Err(Wrong::Expected("`kfunc#7`"));
        }
        self.operands.imm = self.number()?;
        if self.take("@") {
            self.operands.off = self.number()?;
        }
        Ok(())
    }
}

/// The range of an integer type.
trait Bounds {
    const BOUNDS: (i128, i128);
}

impl Bounds for u16 {
    const BOUNDS: (i128, i128) = (0, u16::MAX as i128);
}

impl Bounds for i16 {
    const BOUNDS: (i128, i128) = (i16::MIN as i128, i16::MAX as i128);
}

impl Bounds for u32 {
    const BOUNDS: (i128, i128) = (0, u32::MAX as i128);
}

impl Bounds for i32 {
    const BOUNDS: (i128, i128) = (i32::MIN as i128, i32::MAX as i128);
}
