//! What programs run on: random at first, then what reached something new, changed a little.
//!
//! Words near the program's own constants decide its branches, so they are put where it may read them. Equal seeds give
//! equal inputs in equal order.

use brolga_abi::{NativeKind, ProgramKind};
use brolga_compiler::isa::{Imm64, Insn, Operand};
use brolga_compiler::program::Program;

use crate::engines::Input;
use crate::generate::rng::Rng;

/// Inputs that are kept to be changed.
const KEPT: usize = 24;
/// Longest packets.
const LONGEST: u32 = 96;

/// A source of inputs for one program.
pub struct Inputs {
    rng: Rng,
    /// Words near the program's constants.
    words: Vec<u64>,
    /// Bytes of a `raw_memory` program; packets have any length.
    fixed: Option<usize>,
    kept: Vec<Input>,
    /// Hashes of the paths that were taken.
    paths: Vec<u64>,
}

impl Inputs {
    /// For a program.
    #[must_use]
    pub fn new(program: &Program, seed: u64) -> Self {
        let mut words = Vec::new();
        for insn in &program.insns {
            match *insn {
                Insn::Alu { src: Operand::Imm(imm), .. } | Insn::Branch { src: Operand::Imm(imm), .. } => {
                    words.push(i64::from(imm).cast_unsigned());
                }
                Insn::LoadImm64 { imm: Imm64::Value(word), .. } => words.push(word),
                _ => {}
            }
        }
        words.sort_unstable();
        words.dedup();
        let raw = program.kind.and_then(ProgramKind::native) == Some(NativeKind::RawMemory);
        let fixed = raw.then_some(program.raw_memory_len as usize);
        Self { rng: Rng::new(seed), words, fixed, kept: Vec::new(), paths: Vec::new() }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.rng.below(end)
    }

    /// A word that may decide something.
    pub fn word(&mut self) -> u64 {
        match self.rng.below(4) {
            0 if !self.words.is_empty() => {
                let near = i64::from(self.rng.below(5)) - 2;
                self.rng.pick(&self.words).wrapping_add_signed(near)
            }
            1 => u64::from(self.rng.below(64)),
            2 => self.rng.value(),
            _ => self.rng.word(),
        }
    }

    /// Puts the next input into `input`.
    pub fn next(&mut self, input: &mut Input) {
        let data = &mut input.data;
        if self.kept.is_empty() || self.rng.one_in(4) {
            let len = match self.fixed {
                Some(len) => len,
                None if self.rng.one_in(3) => self.rng.below(LONGEST) as usize,
                None => 64,
            };
            data.clear();
            while data.len() < len {
                let word = self.word();
                data.extend_from_slice(&word.to_le_bytes());
            }
            data.truncate(len);
            return;
        }
        let at = self.rng.below(u32::try_from(self.kept.len()).expect("few are kept")) as usize;
        data.clone_from(&self.kept[at].data);
        for _ in 0..1 + self.rng.below(4) {
            self.change(data);
        }
    }

    fn change(&mut self, data: &mut Vec<u8>) {
        if data.is_empty() || (self.fixed.is_none() && self.rng.one_in(8)) {
            let len = self.rng.below(LONGEST) as usize;
            if self.fixed.is_none() {
                data.resize(len, 0);
            }
            return;
        }
        let end = u32::try_from(data.len()).expect("inputs are short");
        let at = self.rng.below(end) as usize;
        match self.rng.below(4) {
            0 => data[at] ^= 1 << self.rng.below(8),
            1 => data[at] = self.rng.word() as u8,
            _ => {
                let size = self.rng.pick(&[1, 2, 4, 8]);
                let at = at / size * size;
                let word = self.word().to_le_bytes();
                let to = (at + size).min(data.len());
                data[at..to].copy_from_slice(&word[..to - at]);
            }
        }
    }

    /// A run took a path with this hash; what takes a new one is kept.
    pub fn took(&mut self, path: u64, input: &Input) {
        if self.paths.contains(&path) {
            return;
        }
        if self.paths.len() < 256 {
            self.paths.push(path);
        }
        if self.kept.len() < KEPT {
            self.kept.push(input.clone());
        } else {
            let at = self.rng.below(KEPT as u32) as usize;
            self.kept[at].clone_from(input);
        }
    }

    /// How many different paths were taken, as far as they were counted.
    #[must_use]
    pub fn paths(&self) -> usize {
        self.paths.len()
    }
}
