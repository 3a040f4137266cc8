//! Random bytecode, as text: arithmetic in both widths, loads and stores of the buffer and the stack,
//! values put together of bytes as clang does it, branches forward, loops of known length, calls.

use std::fmt::Write;

/// SplitMix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// A register that holds a number: r0 to r5, r8.
    fn reg(&mut self) -> u64 {
        [0, 1, 2, 3, 4, 5, 8][self.below(7) as usize]
    }

    pub fn imm(&mut self) -> i32 {
        match self.below(6) {
            0 => self.next() as i32,
            1 => 1 << self.below(32),
            2 => ((1i64 << self.below(32)) - 1) as i32,
            3 => [0xff, 0xffff, -1, 0, 1, 0x7fff_ffff][self.below(6) as usize],
            _ => self.below(20) as i32 - 6,
        }
    }
}

/// Bytes of the buffer that programs get.
pub const BUFFER: u64 = 96;
/// Bytes of the stack that programs use.
const STACK: u64 = 48;
/// Functions besides the main one.
const SUBS: u64 = 3;

/// A program. r6 holds the buffer, r7 and r9 count loops.
pub fn program(random: &mut Random) -> String {
    let mut p = Program { random, text: String::new(), labels: 0 };
    p.line("r6 = r1");
    for slot in 1..=STACK / 8 {
        p.line(format!("*(u64 *)(r10 - {}) = {}", 8 * slot, slot * 3));
    }
    for reg in [0, 1, 2, 3, 4, 5, 8] {
        let imm = p.random.imm();
        let off = 8 * p.random.below(BUFFER / 8);
        match p.random.below(3) {
            0 => p.line(format!("r{reg} = {imm}")),
            1 => p.line(format!("w{reg} = {imm}")),
            _ => p.line(format!("r{reg} = *(u64 *)(r6 + {off})")),
        }
    }
    p.line("r7 = 0");
    p.line("r9 = 0");
    let pieces = 3 + p.random.below(8);
    p.pieces(pieces, 0);
    // The result depends on everything.
    for reg in [1, 2, 3, 4, 5, 8] {
        p.line(format!("r0 ^= r{reg}"));
        p.line("r0 *= 31");
    }
    for slot in 1..=STACK / 8 {
        p.line(format!("r1 = *(u64 *)(r10 - {})", 8 * slot));
        p.line("r0 += r1");
        p.line("r0 *= 31");
    }
    p.line("exit");
    for sub in 1..=SUBS {
        p.function(sub);
    }
    p.text
}

struct Program<'a> {
    random: &'a mut Random,
    text: String,
    labels: u64,
}

impl Program<'_> {
    fn line(&mut self, line: impl AsRef<str>) {
        writeln!(self.text, "{}", line.as_ref()).expect("a string takes all");
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }

    /// A function of numbers, r1 and r2, and of an address of the caller's stack, r3.
    fn function(&mut self, sub: u64) {
        self.line(format!("sub{sub}:"));
        let imm = self.random.imm();
        self.line(format!("*(u64 *)(r10 - 8) = {imm}"));
        self.line("*(u64 *)(r10 - 16) = r1");
        self.line("r4 = *(u64 *)(r3 + 0)");
        self.line("r1 += r4");
        let (end, op) = (self.label(), self.random.pick(&["+=", "^=", "-=", "*="]));
        self.line(format!("r0 = {imm}"));
        self.line(format!("if r1 > r2 goto {end}"));
        self.line(format!("r0 {op} r1"));
        self.line("*(u32 *)(r10 - 8) = r2");
        if self.random.below(2) == 0 {
            self.line("*(u16 *)(r3 + 2) = r1");
        }
        if sub > 1 {
            self.line("r6 = r0");
            self.line("r3 = r10");
            self.line("r3 += -16");
            self.line(format!("call sub{}", sub - 1));
            self.line("r0 += r6");
        }
        self.line(format!("{end}:"));
        self.line("r1 = *(u64 *)(r10 - 8)");
        self.line("r2 = *(u32 *)(r10 - 12)");
        self.line("r0 += r1");
        self.line("r0 ^= r2");
        self.line("exit");
    }

    fn call(&mut self) {
        let (a, b, sub) = (self.random.reg(), self.random.reg(), 1 + self.random.below(SUBS));
        let off = 8 * self.random.below(STACK / 8 - 1) as i64 - STACK as i64;
        self.line(format!("*(u64 *)(r10 - 8) = r{a}"));
        self.line(format!("r2 = r{b}"));
        self.line("r1 = *(u64 *)(r10 - 8)");
        self.line("r3 = r10");
        self.line(format!("r3 += {off}"));
        self.line(format!("call sub{sub}"));
        self.fresh();
    }

    /// New numbers for the registers that calls clobber.
    fn fresh(&mut self) {
        for reg in 1..=5 {
            let imm = self.random.imm();
            self.line(format!("r{reg} = {imm}"));
        }
    }

    /// A tree of comparisons of one value, as clang makes it of a `switch`.
    fn switch(&mut self, depth: u64) {
        let (a, end) = (self.random.reg(), self.label());
        let width = self.random.pick(&["r", "w"]);
        let least = self.random.below(5);
        // Large enough for a table now and then.
        let (cases, mask) = if self.random.below(3) == 0 {
            (26 + self.random.below(10), 63)
        } else {
            (4 + self.random.below(6), [15, 31, 7][self.random.below(3) as usize])
        };
        self.line(format!("{width}{a} &= {mask}"));
        let labels: Vec<String> = (0..cases).map(|_| self.label()).collect();
        let upper = self.label();
        let middle = least + cases / 2;
        let signed = self.random.pick(&["", "s"]);
        self.line(format!("if {width}{a} {signed}> {middle} goto {upper}"));
        for case in least..=middle {
            let label = &labels[(case - least) as usize % labels.len()].clone();
            self.line(format!("if {width}{a} == {case} goto {label}"));
        }
        self.line(format!("goto {end}"));
        self.line(format!("{upper}:"));
        for case in middle + 1..least + cases {
            let label = &labels[(case - least) as usize].clone();
            self.line(format!("if {width}{a} == {case} goto {label}"));
        }
        self.line(format!("goto {end}"));
        for label in labels {
            self.line(format!("{label}:"));
            if self.random.below(4) > 0 {
                self.simple();
            } else {
                self.pieces(1, depth + 1);
            }
            if self.random.below(3) > 0 {
                self.line(format!("goto {end}"));
            }
        }
        self.line(format!("{end}:"));
    }

    fn pieces(&mut self, count: u64, depth: u64) {
        for _ in 0..count {
            for _ in 0..self.random.below(6) {
                self.simple();
            }
            match self.random.below(9) {
                0 | 1 if depth < 3 => self.branch(depth),
                2 if depth < 2 => self.repeat(depth),
                3 => self.compose(),
                4 => self.scatter(),
                5 => self.call(),
                6 if depth < 2 => self.switch(depth),
                _ => self.simple(),
            }
        }
    }

    fn branch(&mut self, depth: u64) {
        let (other, end) = (self.label(), self.label());
        let (a, b, imm) = (self.random.reg(), self.random.reg(), self.random.imm());
        let cond = self.random.pick(&["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"]);
        let width = self.random.pick(&["r", "w"]);
        match self.random.below(3) {
            0 => self.line(format!("if {width}{a} {cond} {width}{b} goto {other}")),
            _ => self.line(format!("if {width}{a} {cond} {imm} goto {other}")),
        }
        let count = self.random.below(3);
        self.pieces(count, depth + 1);
        if self.random.below(2) == 0 {
            self.line(format!("goto {end}"));
            self.line(format!("{other}:"));
            let count = self.random.below(3);
            self.pieces(count, depth + 1);
        } else {
            self.line(format!("{other}:"));
        }
        self.line(format!("{end}:"));
    }

    fn repeat(&mut self, depth: u64) {
        let top = self.label();
        let counter = if depth == 0 { "r7" } else { "r9" };
        let count = 1 + self.random.below(5);
        self.line(format!("{counter} = {count}"));
        self.line(format!("{top}:"));
        let pieces = 1 + self.random.below(2);
        // A loop within one of depth 1 would use the same counter.
        self.pieces(pieces, if depth == 0 { 1 } else { 3 });
        self.line(format!("{counter} += -1"));
        let test = self.random.pick(&["!= 0", "s> 0"]);
        self.line(format!("if {counter} {test} goto {top}"));
    }

    fn simple(&mut self) {
        let (a, b, imm) = (self.random.reg(), self.random.reg(), self.random.imm());
        let width = self.random.pick(&["r", "w"]);
        match self.random.below(14) {
            12 if a != b => {
                // The lesser or the greater, or both in order.
                let (end, cond) = (self.label(), self.random.pick(&["<", "s<", ">=", "s>"]));
                let t = self.random.reg();
                self.line(format!("if {width}{a} {cond} {width}{b} goto {end}"));
                if self.random.below(2) == 0 && t != a && t != b {
                    self.line(format!("r{t} = r{b}"));
                    self.line(format!("{width}{b} = {width}{a}"));
                    self.line(format!("r{a} = r{t}"));
                } else {
                    self.line(format!("{width}{a} = {width}{b}"));
                }
                self.line(format!("{end}:"));
            }
            13 if a != b => {
                let bits = if width == "r" { 64 } else { 32 };
                let by = 1 + self.random.below(bits - 1);
                self.line(format!("{width}{b} = {width}{a}"));
                self.line(format!("{width}{a} <<= {by}"));
                self.line(format!("{width}{b} >>= {}", bits - by));
                self.line(format!("{width}{a} |= {width}{b}"));
            }
            0..=4 => {
                let op = self.random.pick(&[
                    "+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "=", "<<=", ">>=", "s>>=",
                ]);
                let shift = op.contains("<<") || op.contains(">>");
                if self.random.below(2) == 0 {
                    self.line(format!("{width}{a} {op} {width}{b}"));
                } else if shift {
                    let amount = self.random.below(if width == "r" { 64 } else { 32 });
                    let amount = if self.random.below(2) == 0 { amount & !7 } else { amount };
                    self.line(format!("{width}{a} {op} {amount}"));
                } else {
                    self.line(format!("{width}{a} {op} {imm}"));
                }
            }
            5 => {
                let text = self.random.pick(&[
                    "r{a} = be16 r{a}",
                    "r{a} = be32 r{a}",
                    "r{a} = be64 r{a}",
                    "r{a} = le16 r{a}",
                    "r{a} = le32 r{a}",
                    "r{a} = bswap16 r{a}",
                    "r{a} = -r{a}",
                    "w{a} = -w{a}",
                ]);
                self.line(text.replace("{a}", &a.to_string()));
            }
            6 => {
                let text = self.random.pick(&[
                    "r{a} = (s8)r{b}",
                    "r{a} = (s16)r{b}",
                    "r{a} = (s32)r{b}",
                    "w{a} = (s8)w{b}",
                    "w{a} = (s16)w{b}",
                ]);
                self.line(text.replace("{a}", &a.to_string()).replace("{b}", &b.to_string()));
            }
            7 => {
                let (place, _) = self.place();
                let size = self.random.pick(&["u8", "u16", "u32", "u64", "s8", "s16", "s32"]);
                self.line(format!("r{a} = *({size} *)({place})"));
            }
            8 => {
                let (place, _) = self.place();
                let size = self.random.pick(&["u8", "u16", "u32", "u64"]);
                if self.random.below(3) == 0 {
                    self.line(format!("*({size} *)({place}) = {imm}"));
                } else {
                    self.line(format!("*({size} *)({place}) = r{a}"));
                }
            }
            9 => self.masked_index(a, b, imm),
            10 => {
                let (off, size) = match self.random.below(2) {
                    0 => (8 * self.random.below(BUFFER / 8), "u64"),
                    _ => (4 * self.random.below(BUFFER / 4), "u32"),
                };
                self.line(format!("lock *({size} *)(r6 + {off}) += r{a}"));
            }
            _ => {
                self.line("call bpf_get_prandom_u32");
                self.fresh();
            }
        }
    }

    /// Reads through a masked index.
    fn masked_index(&mut self, a: u64, b: u64, imm: i32) {
        let mask = [7, 15, 3, 24, 0][self.random.below(5) as usize];
        self.line(format!("r{a} &= {mask}"));
        let base = self.random.pick(&["r6", "r10"]);
        let least = if base == "r6" { 0 } else { -48 };
        self.line(format!("r{b} = {base}"));
        if a != b {
            self.line(format!("r{b} += r{a}"));
            let size = self.random.pick(&["u8", "u16", "u32", "u64"]);
            let off = least + self.random.below(8) as i64;
            self.line(format!("r{a} = *({size} *)(r{b} + {off})"));
        }
        // Addresses differ between engines: none may become part of the result.
        self.line(format!("r{b} = {imm}"));
    }

    /// A place of 8 bytes in the buffer or on the stack.
    fn place(&mut self) -> (String, i64) {
        let fine = if self.random.below(3) == 0 { 1 } else { 8 };
        if self.random.below(2) == 0 {
            let off = (fine * self.random.below((BUFFER - 7) / fine)) as i64;
            (format!("r6 + {off}"), off)
        } else {
            let off = -(STACK as i64) + (fine * self.random.below((STACK - 7) / fine)) as i64;
            (format!("r10 + {off}"), off)
        }
    }

    /// A word read byte by byte, in either order, sometimes with something in between.
    fn compose(&mut self) {
        let (a, b) = (self.random.reg(), self.random.reg());
        if a == b {
            return;
        }
        let big = self.random.below(2) == 0;
        let unit = [1, 1, 2][self.random.below(3) as usize];
        let count = [2, 4, 8][self.random.below(3) as usize].min(8 / unit);
        let size = if unit == 1 { "u8" } else { "u16" };
        let (base, low) = if self.random.below(3) == 0 { ("r10", -(STACK as i64)) } else { ("r6", 0) };
        let room = if base == "r6" { BUFFER } else { STACK } - 8;
        let off = low + self.random.below(room) as i64;
        let op = self.random.pick(&["|=", "|=", "+=", "^="]);
        let width = if count * unit <= 4 && self.random.below(2) == 0 { "w" } else { "r" };
        for i in 0..count {
            let at = off + (i * unit) as i64;
            let reg = if i == 0 { a } else { b };
            self.line(format!("r{reg} = *({size} *)({base} + {at})"));
            let byte = if big { count - 1 - i } else { i };
            if byte > 0 {
                self.line(format!("{width}{reg} <<= {}", 8 * unit * byte));
            }
            if i > 0 {
                self.line(format!("{width}{a} {op} {width}{b}"));
            }
            if self.random.below(12) == 0 {
                self.simple();
            }
        }
    }

    /// A word written byte by byte, in either order.
    fn scatter(&mut self) {
        let (a, b) = (self.random.reg(), self.random.reg());
        if a == b {
            return;
        }
        let big = self.random.below(2) == 0;
        let count = [2, 4, 8][self.random.below(3) as usize];
        let (base, low) = if self.random.below(3) == 0 { ("r10", -(STACK as i64)) } else { ("r6", 0) };
        let room = if base == "r6" { BUFFER } else { STACK } - 8;
        let off = low + self.random.below(room) as i64;
        let constant = self.random.below(4) == 0;
        for i in 0..count {
            let at = off + i as i64;
            let byte = if big { count - 1 - i } else { i };
            if constant {
                let imm = self.random.below(256);
                self.line(format!("*(u8 *)({base} + {at}) = {imm}"));
                continue;
            }
            self.line(format!("r{b} = r{a}"));
            self.line(format!("r{b} >>= {}", 8 * byte));
            self.line(format!("*(u8 *)({base} + {at}) = r{b}"));
            if self.random.below(12) == 0 {
                self.simple();
            }
        }
    }
}
