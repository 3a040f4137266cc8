//! Case files: one program, what it runs on, and what comes of it.
//!
//! ```text
//! # What the case is about.
//! -- kind                     raw_memory where there is neither `kind` nor `packet`
//! xdp
//! -- privilege                what the loader may do, where that is not all: bpf or unprivileged
//! unprivileged
//! -- maps
//! counts: hash key=4 value=8 max=16
//! counts[01 00 00 00] = 05 00 00 00 00 00 00 00          before the run; `|` between CPUs
//! jumps: prog_array key=4 value=4 max=2 0=second         entries by the name of an `asm` section
//! .rodata: global readonly 01 02 03 04                   or without `readonly`
//! -- packet                   or `mem`: bytes in hex
//! -- asm                      `-- asm second` is a further program
//! r0 = *(u8 *)(r0 + 0)        ; error: null-map-value
//! -- result                   r0 in hex
//! -- memory after             the memory or the packet, where it is not as before
//! -- maps after               as in `maps`: every element, except array elements that are zero
//! -- facts                    what the verifier proved, as `facts.rs` prints it
//! ```
//!
//! The sections of bpf_conformance's `.data` files are a subset: there `raw` stands for `asm`, and
//! `error` says a part of the message with which the program is refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brolga_abi::{MapKind, ProgramKind};
use brolga_compiler::isa::asm::{AsmContext, Assembled};
use brolga_compiler::isa::{Endianness, Insn, InsnIdx, NoNames, assemble, decode, disasm};
use brolga_compiler::program::{GlobalData, MapDef, MapId, Program};
use brolga_compiler::verify::Privilege;

use crate::engines::{Contents, Input, Module};
use crate::sections::{Section, Sections};

/// An element to set before a run: map, key, values.
pub type Element = (MapId, Vec<u8>, Vec<Vec<u8>>);

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file; empty for cases that were never in one.
    pub path: PathBuf,
    /// The text, in sections.
    pub sections: Sections,
    /// Programs and maps; the first program is the one that runs.
    pub module: Module,
    /// Elements to set before the run.
    pub elements: Vec<Element>,
    /// What it runs on.
    pub input: Input,
    /// Who loads the programs.
    pub privilege: Privilege,
    /// The refusal that an annotation demands: the instruction and the code's name.
    pub refused: Option<(InsnIdx, String)>,
    /// A part of the refusal's message (`error`).
    pub refused_with: Option<String>,
    /// `r0`.
    pub result: Option<u64>,
    /// The memory or the packet afterwards.
    pub data_after: Option<Vec<u8>>,
    /// What the maps hold afterwards, in the order of the maps.
    pub maps_after: Option<Vec<Contents>>,
}

/// Why a file is no case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for CaseError {}

fn wrong<T>(line: u32, message: impl Into<String>) -> Result<T, CaseError> {
    Err(CaseError { line, message: message.into() })
}

/// Bytes written in hex; blanks and comments do not count.
pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .lines()
        .map(|l| l.split('#').next().unwrap_or(""))
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Bytes in hex, `per_line` a line.
#[must_use]
pub fn to_hex(bytes: &[u8], per_line: usize) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    bytes.chunks(per_line.max(1)).map(line).collect::<Vec<_>>().join("\n")
}

impl Case {
    /// Reads a case from a file.
    pub fn read(path: &Path) -> Result<Self, CaseError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CaseError { line: 0, message: error.to_string() })?;
        let mut case = Self::parse(&text)?;
        path.clone_into(&mut case.path);
        Ok(case)
    }

    /// Parses a case.
    pub fn parse(text: &str) -> Result<Self, CaseError> {
        let sections = Sections::parse(text);
        for section in &sections.list {
            match section.name.as_str() {
                "kind" | "maps" | "mem" | "packet" | "asm" | "raw" | "result" | "error" | "memory after"
                | "maps after" | "facts" | "no register offset" | "c" | "privilege" => {}
                name if name.starts_with("asm ") => {}
                name => return wrong(section.line - 1, format!("no section is called `{name}`")),
            }
        }
        let mut elements = Vec::new();
        let maps = match sections.get("maps") {
            Some(section) => parse_maps(section, &mut elements)?,
            None => Vec::new(),
        };
        let maps: Arc<[MapDef]> = maps.into();
        let data = ["mem", "packet"].iter().find_map(|name| sections.get(name));
        let data = data.map_or(Ok(Vec::new()), hex_section)?;
        let kind = kind_of(&sections)?;
        let privilege = privilege_of(&sections)?;
        let mut programs = Vec::new();
        let mut refused = None;
        for section in &sections.list {
            let name = match section.name.as_str() {
                "asm" | "raw" => "main",
                other => match other.strip_prefix("asm ") {
                    Some(name) => name,
                    None => continue,
                },
            };
            let (insns, found) = parse_program(section, &maps)?;
            refused = refused.or(found);
            let mut program = Program::from_insns(name, kind, insns, maps.clone());
            program.raw_memory_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
            programs.push(program);
        }
        if programs.is_empty() {
            return wrong(1, "there is no section `asm` or `raw`");
        }
        let result = sections.get("result").map(parse_result).transpose()?;
        let data_after = sections.get("memory after").map(hex_section).transpose()?;
        let maps_after = sections.get("maps after").map(|s| parse_contents(s, &maps)).transpose()?;
        Ok(Self {
            path: PathBuf::new(),
            refused_with: sections.get("error").map(|s| s.body.trim().to_owned()),
            module: Module { programs, maps },
            elements,
            input: Input { data },
            privilege,
            refused,
            result,
            data_after,
            maps_after,
            sections,
        })
    }

    /// A case for a module that came from elsewhere: its text can be written to a file.
    #[must_use]
    pub fn from_module(about: &str, module: &Module, elements: &[Element], input: &Input) -> Self {
        let mut sections = Sections::default();
        for line in about.lines() {
            sections.head.push_str(&format!("# {line}\n"));
        }
        let kind = module.programs[0].kind;
        if let Some(kind) = kind {
            sections.set("kind", kind.info().name);
        }
        if !module.maps.is_empty() {
            let mut body: String = module.maps.iter().map(|def| format!("{}\n", map_line(def))).collect();
            for (map, key, values) in elements {
                body.push_str(&element_line(&module.maps[map.index()].name, key, values));
            }
            sections.set("maps", &body);
        }
        if !input.data.is_empty() {
            let name = if kind == Some(ProgramKind::RawMemory) { "mem" } else { "packet" };
            sections.set(name, &to_hex(&input.data, 16));
        }
        for (at, program) in module.programs.iter().enumerate() {
            let name = if at == 0 { "asm".to_owned() } else { format!("asm {}", program.name) };
            let insns = program.insns.iter().filter(|insn| **insn != Insn::SecondSlot);
            let lines: Vec<_> = insns.map(|insn| disasm(insn, &NoNames).to_string()).collect();
            sections.set(&name, &lines.join("\n"));
        }
        Self {
            path: PathBuf::new(),
            sections,
            privilege: Privilege::Full,
            module: module.clone(),
            elements: elements.to_vec(),
            input: input.clone(),
            refused: None,
            refused_with: None,
            result: None,
            data_after: None,
            maps_after: None,
        }
    }
}

fn kind_of(sections: &Sections) -> Result<ProgramKind, CaseError> {
    let Some(section) = sections.get("kind") else {
        let packet = sections.get("packet").is_some();
        return Ok(if packet { ProgramKind::Xdp } else { ProgramKind::RawMemory });
    };
    match ProgramKind::from_name(section.body.trim()) {
        Some(kind) => Ok(kind),
        None => wrong(section.line, format!("no kind is called `{}`", section.body.trim())),
    }
}

fn hex_section(section: &Section) -> Result<Vec<u8>, CaseError> {
    hex(&section.body).map_or_else(|| wrong(section.line, "not bytes in hex"), Ok)
}

fn parse_result(section: &Section) -> Result<u64, CaseError> {
    let text = section.body.trim();
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    value.map_or_else(|| wrong(section.line, format!("`{text}` is no number of 64 bits")), Ok)
}

/// What the section `privilege` says of the loader.
fn privilege_of(sections: &Sections) -> Result<Privilege, CaseError> {
    match sections.get("privilege") {
        None => Ok(Privilege::Full),
        Some(section) => match section.body.trim() {
            "bpf" => Ok(Privilege::Bpf),
            "unprivileged" => Ok(Privilege::Unprivileged),
            other => {
                wrong(section.line, format!("no privilege is called `{other}`: there are bpf, unprivileged"))
            }
        },
    }
}

type Annotated = (Vec<Insn>, Option<(InsnIdx, String)>);

fn parse_program(section: &Section, maps: &[MapDef]) -> Result<Annotated, CaseError> {
    if section.name == "raw" {
        let mut bytes = Vec::new();
        for (line, text) in (section.line..).zip(section.body.lines()) {
            let text = text.split('#').next().unwrap_or("").trim();
            if text.is_empty() {
                continue;
            }
            let digits = text.trim_start_matches("0x");
            let Ok(word) = u64::from_str_radix(digits, 16) else { return wrong(line, "no 64-bit hex word") };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        return match decode(&bytes, Endianness::Little) {
            Ok(insns) => Ok((insns, None)),
            Err(error) => wrong(section.line, error.to_string()),
        };
    }
    let names: Vec<_> = maps.iter().map(|def| def.name.as_str()).collect();
    let context = AsmContext { maps: &names };
    let text: Assembled = assemble(&section.body, &context)
        .map_err(|error| CaseError { line: section.line - 1 + error.line, message: error.to_string() })?;
    let mut refused = None;
    for (line, content) in (1..).zip(section.body.lines()) {
        if let Some((_, code)) = content.split_once("; error: ") {
            let Some(at) = text.slot_of_line(line) else {
                return wrong(section.line - 1 + line, "an error is annotated where no instruction is");
            };
            refused = Some((at, code.trim().to_owned()));
        }
    }
    Ok((text.insns, refused))
}

fn parse_maps(section: &Section, elements: &mut Vec<Element>) -> Result<Vec<MapDef>, CaseError> {
    let mut maps: Vec<MapDef> = Vec::new();
    for (line, text) in (section.line..).zip(section.body.lines()) {
        let text = text.split('#').next().unwrap_or("").trim();
        if text.is_empty() {
            continue;
        }
        if text.contains("] =") {
            elements.push(parse_element(text, &maps, line)?);
        } else {
            maps.push(parse_map(text, line)?);
        }
    }
    Ok(maps)
}

fn parse_map(text: &str, line: u32) -> Result<MapDef, CaseError> {
    let Some((name, rest)) = text.split_once(':') else { return wrong(line, "expected `name: kind …`") };
    let mut words = rest.split_whitespace();
    let kind = words.next().unwrap_or("");
    if kind == "global" {
        let rest = rest.trim_start().strip_prefix("global").unwrap_or("").trim();
        let (readonly, digits) = rest.strip_prefix("readonly").map_or((false, rest), |rest| (true, rest));
        let Some(initial) = hex(digits) else { return wrong(line, "expected bytes in hex") };
        let size = u32::try_from(initial.len()).unwrap_or(u32::MAX);
        let mut def = MapDef::new(name.trim(), MapKind::Array, 4, size, 1);
        def.flags = if readonly { brolga_abi::maps::F_RDONLY_PROG } else { 0 };
        def.global = Some(GlobalData { initial: initial.into(), readonly, variables: Vec::new() });
        return Ok(def);
    }
    let Some(kind) = MapKind::from_name(kind) else {
        return wrong(line, format!("no kind of map is called `{kind}`"));
    };
    let mut def = MapDef::new(name.trim(), kind, 4, 4, 1);
    for word in words {
        let Some((left, right)) = word.split_once('=') else { return wrong(line, "expected `name=value`") };
        if let Ok(index) = left.parse() {
            def.initial_programs.push((index, right.to_owned()));
            continue;
        }
        let Ok(number) = right.parse() else { return wrong(line, format!("`{right}` is no number")) };
        match left {
            "key" => def.key_size = number,
            "value" => def.value_size = number,
            "max" => def.max_entries = number,
            "flags" => def.flags = number,
            other => return wrong(line, format!("maps have no `{other}`")),
        }
    }
    Ok(def)
}

fn parse_element(text: &str, maps: &[MapDef], line: u32) -> Result<Element, CaseError> {
    let parts = text.split_once('[').and_then(|(name, rest)| Some((name, rest.split_once("] =")?)));
    let Some((name, (key, values))) = parts else { return wrong(line, "expected `name[key] = value`") };
    let Some(at) = maps.iter().position(|def| def.name == name.trim()) else {
        return wrong(line, format!("no map above is called `{}`", name.trim()));
    };
    let values: Option<Vec<_>> = values.split('|').map(hex).collect();
    let (Some(key), Some(values)) = (hex(key), values) else { return wrong(line, "not bytes in hex") };
    let def = &maps[at];
    let sized = key.len() == def.key_size as usize
        && values.iter().all(|value| value.len() == def.value_size as usize);
    if !sized {
        let message = format!("keys have {} bytes, values {}", def.key_size, def.value_size);
        return wrong(line, message);
    }
    Ok((MapId(u32::try_from(at).unwrap_or(u32::MAX)), key, values))
}

fn parse_contents(section: &Section, maps: &[MapDef]) -> Result<Vec<Contents>, CaseError> {
    let mut contents = vec![Contents::new(); maps.len()];
    for (line, text) in (section.line..).zip(section.body.lines()) {
        let text = text.split('#').next().unwrap_or("").trim();
        if !text.is_empty() {
            let (map, key, values) = parse_element(text, maps, line)?;
            contents[map.index()].insert(key, values);
        }
    }
    Ok(contents)
}

/// What maps hold, as a section says it.
#[must_use]
pub fn contents_text(maps: &[MapDef], contents: &[Contents]) -> String {
    let elements = maps.iter().zip(contents);
    elements
        .flat_map(|(def, contents)| contents.iter().map(|(key, values)| element_line(&def.name, key, values)))
        .collect()
}

fn element_line(map: &str, key: &[u8], values: &[Vec<u8>]) -> String {
    let values: Vec<_> = values.iter().map(|value| to_hex(value, usize::MAX)).collect();
    format!("{map}[{}] = {}\n", to_hex(key, usize::MAX), values.join(" | "))
}

fn map_line(def: &MapDef) -> String {
    if let Some(global) = &def.global {
        let readonly = if global.readonly { "readonly " } else { "" };
        return format!("{}: global {readonly}{}", def.name, to_hex(&global.initial, usize::MAX));
    }
    let mut line = format!(
        "{}: {} key={} value={} max={}",
        def.name, def.kind, def.key_size, def.value_size, def.max_entries
    );
    if def.flags != 0 {
        line.push_str(&format!(" flags={}", def.flags));
    }
    for (index, name) in &def.initial_programs {
        line.push_str(&format!(" {index}={name}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_says_maps_program_and_expectations() {
        let text = "# About.\n-- maps\ncounts: hash key=4 value=8 max=16\ncounts[01000000] = 0200000000000000\n\
                    -- mem\n0a 0b\n-- asm\nr0 = 1\nexit\n-- result\n0x1\n-- maps after\n";
        let case = Case::parse(text).expect("it is a case");
        assert_eq!(case.module.maps[0].max_entries, 16);
        assert_eq!(case.elements.len(), 1);
        assert_eq!(case.input.data, [10, 11]);
        assert_eq!(case.result, Some(1));
        assert_eq!(case.maps_after, Some(vec![Contents::new()]));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let error = |text: &str| Case::parse(text).expect_err("it is no case").to_string();
        assert!(error("-- asm\nexit\n-- resutl\n1\n").contains("line 3"));
        assert!(error("-- maps\na: hosh key=4\n-- asm\nexit\n").contains("hosh"));
        assert!(error("-- maps\na: hash key=4 value=8 max=1\na[00] = 00\n-- asm\nexit\n").contains("line 3"));
    }
}
