//! Small files that ask for very much: refused by limits before the memory is taken.
//!
//! All are made of the same means: many records that share one function, one name or one line.

use brolga_compiler::program::{Fault, LoadOptions, load};

/// Name, type, flags, link, info and contents of a section.
type Section<'a> = (&'a str, u32, u64, u32, u32, &'a Vec<u8>);

const CALL: [u8; 8] = [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff];
const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];
const ZERO: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];

/// Words as bytes.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a small file")
}

/// Offsets of so many different names of up to `longest` bytes, which share theirs.
fn names(strings: &mut Vec<u8>, count: usize, longest: usize) -> Vec<u32> {
    let mut found = Vec::new();
    for number in 0.. {
        let start = size(strings);
        strings.extend(std::iter::repeat_n(b'x', longest - 8));
        strings.extend(format!("{number:07}\0").bytes());
        found.extend((start..).take((longest - 8).min(count - found.len())));
        if found.len() == count {
            break;
        }
    }
    found
}

/// An object with `.text` and `xdp`.
#[derive(Default)]
struct Elf {
    text: Vec<u8>,
    xdp: Vec<u8>,
    symbols: Vec<u8>,
    strings: Vec<u8>,
    /// Relocations of `.text` and `xdp`.
    relocs: [Vec<u8>; 2],
    types: Btf,
    ext: Vec<u8>,
}

/// Types and strings.
struct Btf {
    types: Vec<u8>,
    count: u32,
    strings: Vec<u8>,
}

impl Default for Btf {
    fn default() -> Self {
        Self { types: Vec::new(), count: 0, strings: vec![0] }
    }
}

impl Btf {
    fn add(&mut self, words_of: &[u32]) -> u32 {
        self.types.extend(words(words_of));
        self.count += 1;
        self.count
    }

    fn string(&mut self, text: &str) -> u32 {
        let at = size(&self.strings);
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    /// `int f(void)`, and that prototype's id.
    fn prototype(&mut self) -> u32 {
        let name = self.string("int");
        let int = self.add(&[name, 1 << 24, 4, 1 << 24 | 32]);
        self.add(&[0, 13 << 24, int])
    }

    fn bytes(&self) -> Vec<u8> {
        let (types, strings) = (size(&self.types), size(&self.strings));
        let mut bytes = words(&[0x0001_eb9f, 24, 0, types, types, strings]);
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}

const TEXT: u16 = 1;
const XDP: u16 = 2;

impl Elf {
    fn new() -> Self {
        Self { strings: vec![0], symbols: vec![0; 24], ..Self::default() }
    }

    /// Adds a symbol: type 2 is a function.
    fn symbol(&mut self, name: u32, kind: u8, section: u16, start: usize, end: usize) -> u32 {
        let index = size(&self.symbols) / 24;
        self.symbols.extend(name.to_le_bytes());
        self.symbols.extend([1 << 4 | kind, 0]);
        self.symbols.extend(section.to_le_bytes());
        self.symbols.extend((start as u64).to_le_bytes());
        self.symbols.extend(((end - start) as u64).to_le_bytes());
        index
    }

    fn named(&mut self, name: &str, section: u16, start: usize, end: usize) -> u32 {
        let at = size(&self.strings);
        self.strings.extend(name.bytes().chain([0]));
        self.symbol(at, 2, section, start, end)
    }

    fn reloc(&mut self, section: u16, at: usize, symbol: u32) {
        let relocs = &mut self.relocs[usize::from(section) - 1];
        relocs.extend((at as u64).to_le_bytes());
        relocs.extend((u64::from(symbol) << 32 | 10).to_le_bytes());
    }

    /// Programs that each call one function.
    fn callers(&mut self, count: usize, function: u32) {
        for number in 0..count {
            let at = self.xdp.len();
            self.xdp.extend([CALL, EXIT].concat());
            self.named(&format!("p{number}"), XDP, at, at + 16);
            self.reloc(XDP, at, function);
        }
    }

    /// `.BTF.ext` with lines only: tables for sections with a name, and their records.
    fn lines(&mut self, tables: &[u8]) {
        let len = size(tables) + 4;
        self.ext = words(&[0x0001_eb9f, 32, 0, 0, 0, len, len, 0, 16]);
        self.ext.extend(tables);
    }

    fn bytes(&self) -> Vec<u8> {
        let (btf, none) = (self.types.bytes(), Vec::new());
        let no_lines = words(&[0x0001_eb9f, 32, 0, 0, 0, 0, 0, 0]);
        let ext = if self.ext.is_empty() { &no_lines } else { &self.ext };
        let sections: [Section<'_>; 10] = [
            ("", 0, 0, 0, 0, &none),
            (".text", 1, 6, 0, 0, &self.text),
            ("xdp", 1, 6, 0, 0, &self.xdp),
            (".symtab", 2, 0, 4, 1, &self.symbols),
            (".strtab", 3, 0, 0, 0, &self.strings),
            (".rel.text", 9, 0, 3, 1, &self.relocs[0]),
            (".relxdp", 9, 0, 3, 2, &self.relocs[1]),
            (".BTF", 1, 0, 0, 0, &btf),
            (".BTF.ext", 1, 0, 0, 0, ext),
            (".shstrtab", 3, 0, 0, 0, &none),
        ];
        let section_names: Vec<u8> =
            sections.iter().flat_map(|section| section.0.bytes().chain([0])).collect();
        let (mut body, mut headers, mut name) = (Vec::<u8>::new(), Vec::<u8>::new(), 0);
        for (text, kind, flags, link, info, data) in sections {
            let data = if text == ".shstrtab" { &section_names } else { data };
            headers.extend(words(&[name, kind]));
            for word in [flags, 0, 64 + body.len() as u64, data.len() as u64] {
                headers.extend(word.to_le_bytes());
            }
            headers.extend(words(&[link, info]));
            for word in [1_u64, if kind == 2 { 24 } else { 0 }] {
                headers.extend(word.to_le_bytes());
            }
            name += u32::try_from(text.len()).expect("short") + 1;
            body.extend(data);
        }
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([1, 0, 247, 0, 1, 0, 0, 0]);
        for word in [0, 0, 64 + body.len() as u64] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 10, 0, 9, 0]);
        file.extend(body);
        file.extend(headers);
        file
    }

    fn fault(&self) -> Result<(), Fault> {
        let bytes = self.bytes();
        assert!(bytes.len() < 4 << 20, "the file is small");
        match load(&bytes, &LoadOptions::default()) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.problem.fault()),
        }
    }
}

#[test]
fn a_function_of_many_names() {
    let mut elf = Elf::new();
    elf.text = ZERO.repeat(20_000);
    for number in 0..1000 {
        elf.named(&format!("f{number}"), TEXT, 0, 160_000);
    }
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

#[test]
fn many_programs_with_one_large_function() {
    let mut elf = Elf::new();
    elf.text = ZERO.repeat(20_000);
    let function = elf.named("f", TEXT, 0, 160_000);
    elf.callers(1000, function);
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

#[test]
fn many_programs_with_many_functions_of_long_names() {
    let mut elf = Elf::new();
    let names = names(&mut elf.strings, 500, 1000);
    let functions: Vec<u32> =
        (0..).zip(&names).map(|(at, name)| elf.symbol(*name, 2, TEXT, 16 * at, 16 * at + 16)).collect();
    for (at, function) in functions.iter().enumerate().skip(1) {
        elf.text.extend([CALL, EXIT].concat());
        elf.reloc(TEXT, 16 * (at - 1), *function);
    }
    elf.text.extend([ZERO, EXIT].concat());
    elf.callers(500, functions[0]);
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

#[test]
fn many_programs_with_the_findings_of_one_function() {
    let mut elf = Elf::new();
    for (at, name) in names(&mut elf.strings, 32, 1000).into_iter().enumerate() {
        let missing = elf.symbol(name, 0, 0, 0, 0);
        elf.text.extend(CALL);
        elf.reloc(TEXT, 8 * at, missing);
    }
    elf.text.extend(EXIT);
    let function = elf.named("f", TEXT, 0, elf.text.len());
    elf.callers(5000, function);
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

/// Programs share the lines of their sections: none is copied.
#[test]
fn many_programs_with_the_lines_of_one_function() {
    let mut elf = Elf::new();
    elf.text = [ZERO, EXIT].concat();
    let function = elf.named("f", TEXT, 0, 16);
    elf.callers(5000, function);
    let section = elf.types.string(".text");
    let mut table = words(&[section, 20_000]);
    table.extend(words(&[0, section, section, 1 << 10]).repeat(20_000));
    elf.lines(&table);
    assert_eq!(elf.fault(), Ok(()));
}

#[test]
fn many_programs_in_a_section_and_of_names_that_are_long() {
    let mut elf = Elf::new();
    for (at, name) in (0..).zip(names(&mut elf.strings, 40_000, 1000)) {
        elf.symbol(name, 2, XDP, 16 * at, 16 * at + 16);
    }
    elf.xdp = [ZERO, EXIT].concat().repeat(40_000);
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

#[test]
fn many_data_sections_of_long_names() {
    let mut elf = Elf::new();
    for name in names(&mut elf.types.strings, 20_000, 4000) {
        elf.types.add(&[name, 15 << 24, 0]);
    }
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

#[test]
fn lines_of_many_sections_of_long_names() {
    let mut elf = Elf::new();
    let names = names(&mut elf.types.strings, 20_000, 4000);
    let tables: Vec<u8> = names.iter().flat_map(|name| words(&[*name, 1, 0, 0, 0, 1 << 10])).collect();
    elf.lines(&tables);
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

#[test]
fn many_tags_of_many_functions_of_long_names() {
    let mut elf = Elf::new();
    let prototype = elf.types.prototype();
    let tag = elf.types.string(&format!("exception_callback:{}", "y".repeat(4000)));
    for name in names(&mut elf.types.strings, 20_000, 4000) {
        let function = elf.types.add(&[name, 12 << 24 | 1, prototype]);
        elf.types.add(&[tag, 17 << 24, function, u32::MAX]);
    }
    assert_eq!(elf.fault(), Err(Fault::Limit));
}

#[test]
fn many_tags_of_one_parameter_are_as_good_as_two() {
    let mut elf = Elf::new();
    let prototype = elf.types.prototype();
    let name = elf.types.string("f");
    let function = elf.types.add(&[name, 12 << 24 | 1, prototype]);
    let tag = elf.types.string(&format!("arg:{}", "y".repeat(4000)));
    for _ in 0..20_000 {
        elf.types.add(&[tag, 17 << 24, function, 0]);
    }
    assert_eq!(elf.fault(), Ok(()));
}

#[test]
fn many_types_share_the_name_of_many_externs() {
    let mut elf = Elf::new();
    let prototype = elf.types.prototype();
    let (name, section) = (elf.types.string("f"), elf.types.string(".ksyms"));
    // None of these is a function, and all must be passed over.
    for _ in 0..40_000 {
        elf.types.add(&[name, 7 << 24, 0]);
    }
    let function = elf.types.add(&[name, 12 << 24 | 2, prototype]);
    elf.types.add(&[section, 15 << 24 | 1, 0, function, 0, 0]);
    let at = size(&elf.strings);
    elf.strings.extend(b"f\0");
    for _ in 0..40_000 {
        elf.symbol(at, 0, 0, 0, 0);
    }
    assert_eq!(elf.fault(), Ok(()));
}
