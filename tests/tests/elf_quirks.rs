//! Objects as no compiler at hand writes them, made byte by byte: what other assemblers, linkers and
//! people do within what ELF allows.

use brolga_abi::ProgramKind;
use brolga_compiler::diag::Code;
use brolga_compiler::isa::asm::AsmContext;
use brolga_compiler::isa::{CallTarget, Endianness, Imm64, Insn, assemble, encode_all};
use brolga_compiler::program::{LoadError, LoadOptions, Object, Program, load};

const TEXT: u16 = 1;
const XDP: u16 = 2;
const DATA: u16 = 3;

const FUNC: u8 = 2;
const OBJECT: u8 = 1;
const NOTYPE: u8 = 0;
const SECTION: u8 = 3;
const LOCAL: u8 = 0;
const GLOBAL: u8 = 1;
const WEAK: u8 = 2;

const LDDW: u64 = 1;
const CALL: u64 = 10;

/// A symbol: name, type, binding, section, value, size.
type Symbol = (&'static str, u8, u8, u16, u64, u64);

/// A relocation: offset, symbol (from 1), type, addend.
type Reloc = (u64, u64, u64, Option<i64>);

/// A section: name, type, flags, link, info, contents.
type Section = (&'static str, u64, u64, u64, u64, Vec<u8>);

/// An object with code in `.text` and `xdp`, and 16 bytes of `.data`.
#[derive(Default)]
struct Elf {
    text: &'static str,
    xdp: &'static str,
    symbols: Vec<Symbol>,
    /// Relocation sections of `xdp`.
    relocs: Vec<Vec<Reloc>>,
    order: Option<Endianness>,
}

impl Elf {
    fn order(&self) -> Endianness {
        self.order.unwrap_or(Endianness::Little)
    }

    fn number(&self, to: &mut Vec<u8>, value: u64, bytes: usize) {
        match self.order() {
            Endianness::Little => to.extend(&value.to_le_bytes()[..bytes]),
            Endianness::Big => to.extend(&value.to_be_bytes()[8 - bytes..]),
        }
    }

    fn code(&self, text: &str) -> Vec<u8> {
        let context = AsmContext::default();
        let assembled = assemble(text, &context).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        encode_all(&assembled.insns, self.order())
    }

    fn symbol_table(&self, strings: &mut Vec<u8>) -> Vec<u8> {
        let mut table = vec![0; 24];
        for (name, kind, binding, section, value, size) in &self.symbols {
            let at = strings.len() as u64;
            strings.extend(name.bytes().chain([0]));
            self.number(&mut table, at, 4);
            table.extend([binding << 4 | kind, 0]);
            self.number(&mut table, (*section).into(), 2);
            self.number(&mut table, *value, 8);
            self.number(&mut table, *size, 8);
        }
        table
    }

    fn reloc_table(&self, relocs: &[Reloc]) -> (u64, Vec<u8>) {
        let with_addend = relocs.iter().any(|reloc| reloc.3.is_some());
        let mut table = Vec::new();
        for (offset, symbol, kind, addend) in relocs {
            self.number(&mut table, *offset, 8);
            self.number(&mut table, symbol << 32 | kind, 8);
            if with_addend {
                self.number(&mut table, addend.unwrap_or(0).cast_unsigned(), 8);
            }
        }
        (if with_addend { 4 } else { 9 }, table)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let symbols = self.symbol_table(&mut strings);
        let mut sections: Vec<Section> = vec![
            ("", 0, 0, 0, 0, Vec::new()),
            (".text", 1, 6, 0, 0, self.code(self.text)),
            ("xdp", 1, 6, 0, 0, self.code(self.xdp)),
            (".data", 1, 3, 0, 0, (0..16).collect()),
            ("license", 1, 3, 0, 0, b"GPL\0".to_vec()),
            (".symtab", 2, 0, 6, 1, symbols),
        ];
        let names: Vec<u64> = sections
            .iter()
            .map(|section| section.0)
            .chain([".strtab", ".rel"])
            .map(|name| {
                let at = strings.len() as u64;
                strings.extend(name.bytes().chain([0]));
                at
            })
            .collect();
        sections.push((".strtab", 3, 0, 0, 0, strings));
        for relocs in &self.relocs {
            let (kind, table) = self.reloc_table(relocs);
            sections.push((".rel", kind, 0, 5, XDP.into(), table));
        }
        let mut headers = Vec::new();
        let mut body = Vec::new();
        for (index, (_, kind, flags, link, info, data)) in sections.iter().enumerate() {
            let name = names[index.min(names.len() - 1)];
            for (value, bytes) in [(name, 4), (*kind, 4), (*flags, 8), (0, 8), (64 + body.len() as u64, 8)] {
                self.number(&mut headers, value, bytes);
            }
            let entry = match kind {
                2 | 4 => 24,
                9 => 16,
                _ => 0,
            };
            for (value, bytes) in [(data.len() as u64, 8), (*link, 4), (*info, 4), (8, 8), (entry, 8)] {
                self.number(&mut headers, value, bytes);
            }
            body.extend(data);
        }
        let class = match self.order() {
            Endianness::Little => 1,
            Endianness::Big => 2,
        };
        let mut file = [&b"\x7fELF\x02"[..], &[class, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        let table = 64 + body.len() as u64;
        for (value, bytes) in [(1, 2), (247, 2), (1, 4), (0, 8), (0, 8), (table, 8), (0, 4), (64, 2)] {
            self.number(&mut file, value, bytes);
        }
        for value in [0, 0, 64, sections.len() as u64, 6] {
            self.number(&mut file, value, 2);
        }
        [file, body, headers].concat()
    }

    fn load(&self) -> Result<Object, LoadError> {
        load(&self.bytes(), &LoadOptions::default())
    }
}

/// The one program of an object.
fn program(elf: &Elf) -> Program {
    let mut object = elf.load().expect("it loads");
    assert_eq!(object.programs.len(), 1);
    let program = object.programs.remove(0);
    assert_eq!(program.kind, Some(ProgramKind::Xdp));
    program
}

fn call(program: &Program, slot: usize) -> i32 {
    match program.insns[slot] {
        Insn::Call(CallTarget::Subprog(distance)) => distance,
        other => panic!("no call of a subprogram: {other:?}"),
    }
}

const MAIN: Symbol = ("main", FUNC, GLOBAL, XDP, 0, 16);

#[test]
fn calls_by_section_symbol_label_and_function() {
    for order in [Endianness::Little, Endianness::Big] {
        // The second function is called: by its section and an offset in place, by a label before it and one
        // instruction more, by its own symbol, and by relocations with addends.
        for (symbol, text, addend) in [
            ((".text", SECTION, LOCAL, TEXT, 0, 0), "call pc+1\nexit", None),
            (("label", NOTYPE, LOCAL, TEXT, 8, 0), "call pc+0\nexit", None),
            (("second", FUNC, LOCAL, TEXT, 16, 16), "call pc-1\nexit", None),
            ((".text", SECTION, LOCAL, TEXT, 0, 0), "call pc-1\nexit", Some(16)),
            (("second", FUNC, LOCAL, TEXT, 16, 16), "call pc-1\nexit", Some(0)),
        ] {
            let functions = [("first", FUNC, LOCAL, TEXT, 0, 16), ("second", FUNC, LOCAL, TEXT, 16, 16)];
            let elf = Elf {
                text: "r0 = 1\nexit\nr0 = 2\nexit",
                xdp: text,
                symbols: [vec![symbol], functions.to_vec(), vec![MAIN]].concat(),
                relocs: vec![vec![(0, 1, CALL, addend)]],
                order: Some(order),
            };
            let program = program(&elf);
            assert_eq!(program.findings, [], "{symbol:?}");
            let functions: Vec<_> = program.subprogs.iter().map(|subprog| subprog.name.as_str()).collect();
            assert_eq!((functions, call(&program, 0)), (vec!["main", "second"], 1), "{symbol:?}");
        }
    }
}

#[test]
fn addresses_of_data_by_symbol_and_section() {
    for (symbol, text, addend) in [
        (("variable", OBJECT, GLOBAL, DATA, 8, 4), "r1 = 4 ll\nexit", None),
        ((".data", SECTION, LOCAL, DATA, 0, 0), "r1 = 12 ll\nexit", None),
        (("variable", OBJECT, LOCAL, DATA, 8, 4), "r1 = 99 ll\nexit", Some(4)),
    ] {
        let main = ("main", FUNC, GLOBAL, XDP, 0, 24);
        let relocs = vec![vec![(0, 1, LDDW, addend)]];
        let program = program(&Elf { xdp: text, symbols: vec![symbol, main], relocs, ..Elf::default() });
        let Insn::LoadImm64 { imm: Imm64::MapIdxValue { index: 0, off: 12 }, .. } = program.insns[0] else {
            panic!("{symbol:?}: {:?}", program.insns[0]);
        };
    }
}

#[test]
fn relocations_of_one_section_may_stand_in_several() {
    let functions = [("one", FUNC, WEAK, TEXT, 0, 16), ("two", FUNC, GLOBAL, TEXT, 16, 16)];
    let program = program(&Elf {
        text: "r0 = 1\nexit\nr0 = 2\nexit",
        xdp: "call pc-1\ncall pc-1\nexit",
        symbols: [functions.to_vec(), vec![("main", FUNC, GLOBAL, XDP, 0, 24)]].concat(),
        relocs: vec![vec![(8, 1, CALL, None)], vec![(0, 2, CALL, None)]],
        order: None,
    });
    let functions: Vec<_> = program.subprogs.iter().map(|subprog| subprog.name.as_str()).collect();
    assert_eq!(functions, ["main", "two", "one"]);
}

/// A linker that overrides a weak function leaves its body where it was, without a symbol.
#[test]
fn code_between_functions_is_passed_over() {
    let program = program(&Elf {
        xdp: "r0 = 0\nexit\ncall pc-1\nexit",
        symbols: vec![("nowhere", NOTYPE, GLOBAL, 0, 0, 0), MAIN],
        relocs: vec![vec![(16, 1, CALL, None)]],
        ..Elf::default()
    });
    assert_eq!((program.insns.len(), program.findings), (2, vec![]));
}

#[test]
fn static_functions_of_one_name_are_told_apart_by_place() {
    let functions = [("same", FUNC, LOCAL, TEXT, 0, 16), ("same", FUNC, LOCAL, TEXT, 16, 16)];
    let program = program(&Elf {
        text: "r0 = 1\nexit\nr0 = 2\nexit",
        xdp: "call pc+1\nexit",
        symbols: [vec![(".text", SECTION, LOCAL, TEXT, 0, 0)], functions.to_vec(), vec![MAIN]].concat(),
        relocs: vec![vec![(0, 1, CALL, None)]],
        order: None,
    });
    let two = Insn::Alu {
        op: brolga_compiler::isa::AluOp::Mov,
        width: brolga_compiler::isa::Width::W64,
        dst: brolga_compiler::isa::Reg::R0,
        src: brolga_compiler::isa::Operand::Imm(2),
    };
    assert_eq!((program.insns.len(), program.insns[2]), (4, two));
}

#[test]
fn calls_into_the_middle_of_functions_are_findings() {
    let program = program(&Elf {
        text: "r0 = 1\nexit",
        xdp: "call pc+0\nexit",
        symbols: vec![(".text", SECTION, LOCAL, TEXT, 0, 0), ("f", FUNC, LOCAL, TEXT, 0, 16), MAIN],
        relocs: vec![vec![(0, 1, CALL, None)]],
        order: None,
    });
    assert_eq!(
        program.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        [Code::UnresolvedCall]
    );
}

#[test]
fn variables_in_no_section_are_findings() {
    const COMMON: u16 = 0xfff2;
    let program = program(&Elf {
        xdp: "r1 = 0 ll\nexit",
        symbols: vec![("common", OBJECT, GLOBAL, COMMON, 8, 4), ("main", FUNC, GLOBAL, XDP, 0, 24)],
        relocs: vec![vec![(0, 1, LDDW, None)]],
        ..Elf::default()
    });
    assert!(program.findings[0].message.contains("initialise the variable"), "{:?}", program.findings);
}

#[test]
fn functions_must_have_a_size_within_their_section() {
    for (size, expected) in
        [(0, "size of a function is 0"), (12, "size of a function is 12"), (32, "the end")]
    {
        let symbols = vec![("main", FUNC, GLOBAL, XDP, 0, size)];
        let error = Elf { xdp: "r0 = 0\nexit", symbols, ..Elf::default() }.load().expect_err("it is invalid");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
