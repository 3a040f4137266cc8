//! Links programs: each gets the functions that it reaches, in libbpf's order.
//!
//! A function is decoded and its relocations are resolved once ([`Body`]); then every program
//! appends the bodies that it calls, depth first in the order of the calls, and after them the
//! callback of its exceptions; then the distances of its calls are filled in.
//!
//! As for libbpf, functions in `.text` are subprograms and those in other sections programs. More
//! than libbpf, functions in other sections may be called too, and static ones that are called
//! are no programs.
//!
//! What is wrong with a function, or unsupported in it, becomes a finding of every program that
//! reaches it; only what contradicts the file's own structure is an error of the object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::body::Body;
use super::budget::Budget;
use super::core::{Core, CoreRelocations};
use super::externs::Externs;
use super::maps::Maps;
use super::relocs::Referents;
use super::source::Source;
use super::{Lines, LoadError, LoadOptions, MapDef, Problem, Program, Subprog};
use crate::btf::Btf;
use crate::diag::{Code, Diagnostic};
use crate::elf::{Binding, SectionIdx, SymbolKind};
use crate::isa::{CallTarget, Imm64, Insn, InsnIdx};

use brolga_abi::ProgramKind;
use brolga_abi::kinds::Section;

/// Most slots of one program: the number of instructions that Linux accepts.
const MAX_PROGRAM: usize = 1_000_000;

/// Bytes that all programs may take with their copies of the functions that they call: so many,
const COPIES: u64 = 16 << 20;

/// and so many times the file.
const COPIES_TIMES: u64 = 8;

/// but never more, so that distances between functions fit into 32 bits.
const MAX_COPIES: u64 = 1 << 30;

/// Most findings that one program lists.
const MAX_FINDINGS: usize = 32;

/// A function, as its symbol says.
pub(super) struct Func<'a> {
    pub(super) name: &'a str,
    pub(super) section: SectionIdx,
    /// First byte in the section.
    pub(super) start: u64,
    /// First byte after it.
    pub(super) end: u64,
    binding: Binding,
    hidden: bool,
}

/// Index into [`Funcs::list`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FuncIdx(pub(super) usize);

/// All functions, sorted by section and offset.
pub(super) struct Funcs<'a> {
    pub(super) list: Vec<Func<'a>>,
}

impl<'a> Funcs<'a> {
    /// Finds the functions of all executable sections.
    pub(super) fn read(source: &Source<'a>) -> Result<Self, LoadError> {
        let mut list = Vec::new();
        for (index, section) in source.elf.sections_with_index().filter(|(_, s)| s.is_executable()) {
            let size = super::source::data(section)?.len() as u64;
            for symbol in source.symbols_in(index).filter(|symbol| symbol.kind == SymbolKind::Func) {
                let error =
                    |problem: Problem| problem.in_section(section.name).at(symbol.value).of(symbol.name);
                let multiple = |what, found: u64| {
                    match found {
                        0 if what == "size of a function" => true,
                        _ => !found.is_multiple_of(8),
                    }
                    .then(|| error(Problem::Invalid { what, found, expected: "a multiple of 8 above 0" }))
                };
                if let Some(error) = multiple("size of a function", symbol.size) {
                    return Err(error);
                }
                if let Some(error) = multiple("offset of a function", symbol.value) {
                    return Err(error);
                }
                let end = symbol.value.saturating_add(symbol.size);
                if end > size {
                    let what = "the end of a function";
                    return Err(error(Problem::OutOfBounds { what, found: end, end: size + 1 }));
                }
                list.push(Func {
                    name: symbol.name,
                    section: index,
                    start: symbol.value,
                    end,
                    binding: symbol.binding,
                    hidden: symbol.hidden,
                });
            }
        }
        list.sort_by_key(|func: &Func<'_>| (func.section, func.start, func.end));
        for pair in list.windows(2) {
            let same = (pair[0].start, pair[0].end) == (pair[1].start, pair[1].end);
            if pair[0].section == pair[1].section && pair[1].start < pair[0].end && !same {
                let reason = format!("functions `{}` and `{}` overlap", pair[0].name, pair[1].name);
                return Err(Problem::Malformed { what: "symbol table", reason }
                    .in_section(source.section_name(pair[1].section))
                    .at(pair[1].start)
                    .of(pair[1].name));
            }
        }
        Ok(Self { list })
    }

    /// The function that begins at an offset.
    pub(super) fn starting_at(&self, section: SectionIdx, start: u64) -> Option<FuncIdx> {
        let at = self.list.partition_point(|f| (f.section, f.start) < (section, start));
        self.list.get(at).filter(|f| (f.section, f.start) == (section, start)).map(|_| FuncIdx(at))
    }

    /// Whether a function has the instruction at an offset.
    pub(super) fn holding(&self, section: SectionIdx, offset: u64) -> bool {
        let after = self.list.partition_point(|f| (f.section, f.start) <= (section, offset));
        let before = after.checked_sub(1).and_then(|at| self.list.get(at));
        before.is_some_and(|f| f.section == section && offset < f.end)
    }
}

/// Links the programs of an object.
pub(super) fn link(
    source: &Source<'_>,
    maps: &Maps,
    defs: &Arc<[MapDef]>,
    externs: &Externs,
    options: &LoadOptions,
    gpl_compatible: bool,
) -> Result<Vec<Program>, LoadError> {
    let funcs = Funcs::read(source)?;
    let to = Referents { maps, defs, externs, funcs: &funcs };
    let mut bodies = Vec::with_capacity(funcs.list.len());
    let core = Core::resolve(source, &funcs, &options.target.types)?;
    let limit = COPIES.saturating_add(COPIES_TIMES.saturating_mul(source.len as u64)).min(MAX_COPIES);
    let mut budget = Budget::new("bytes of all programs with the functions that they call", limit);
    let mut decoded = Budget::new("bytes of all functions", limit);
    for func in &funcs.list {
        // Several names may stand for one function.
        let slots = usize::try_from((func.end - func.start) / 8).unwrap_or(usize::MAX);
        let copies = slots.saturating_mul(size_of::<Insn>()).saturating_add(size_of::<Body<'_>>());
        decoded.spend(copies, func.name)?;
        let body = Body::read(source, to, func, &core)?;
        budget.spend_findings(&body.findings, func.name)?;
        bodies.push(body);
    }
    let called: BTreeSet<usize> =
        bodies.iter().flat_map(|body| body.calls.iter().map(|(_, target)| target.0)).collect();
    let bases = vec![None; bodies.len()];
    let mut linker = Linker {
        funcs: &funcs,
        bodies,
        called: &called,
        text: source.text,
        btf: source.btf.as_ref(),
        callbacks: &source.exception_callbacks,
        bases,
        text_funcs: text_funcs(source, &funcs),
        budget,
    };
    let mut names = BTreeSet::new();
    let mut programs = Vec::new();
    for (index, func) in funcs.list.iter().enumerate() {
        let is_program = match Some(func.section) == source.text {
            // A kind that is given makes a program of a lone function, or of the one that it names.
            true => options.kinds.contains_key(func.name) || options.kind.is_some() && funcs.list.len() == 1,
            false => {
                // `-ffunction-sections` gives each function of `.text` a section of its own.
                let is_text = source.section_name(func.section).starts_with(".text.");
                !called.contains(&index) || func.binding != Binding::Local && !is_text
            }
        };
        if !is_program {
            continue;
        }
        let section = source.section_name(func.section);
        if !names.insert(func.name) {
            return Err(Problem::Duplicate { what: "program of one name" }.in_section(section).of(func.name));
        }
        let (autoload, section) = match section.strip_prefix('?') {
            Some(section) => (false, section),
            None => (true, section),
        };
        let named = Section::parse(section);
        let given = options.kinds.get(func.name).copied();
        let kind = given.or(named.map(|named| named.kind)).or(options.kind);
        let mut program = linker.program(FuncIdx(index), kind)?;
        program.maps = Arc::clone(defs);
        program.externs = Arc::clone(&externs.list);
        program.modules = Arc::clone(&externs.modules);
        program.host_functions = Arc::clone(&options.host_functions);
        program.gpl_compatible = gpl_compatible;
        program.endianness = source.elf.endianness;
        program.raw_memory_len = options.raw_memory_len;
        program.btf.clone_from(&source.btf);
        program.kernel.clone_from(&options.target.types);
        program.autoload = autoload;
        if let Some(named) = named.filter(|named| Some(named.kind) == kind) {
            program.attach = named.attach;
            program.traits = named.traits;
            program.target = named.target.map(str::to_owned);
        }
        section.clone_into(&mut program.section);
        judge(source, func, &mut program);
        // The target is a part of the section's name.
        let names = func.name.len() + 2 * program.section.len();
        linker.budget.spend(size_of::<Program>() + names, func.name)?;
        linker.budget.spend_findings(&program.findings, func.name)?;
        programs.push(program);
    }
    match options.kinds.keys().find(|name| !names.contains(name.as_str())) {
        Some(name) => Err(Problem::Missing { what: "the program whose kind is given" }.somewhere().of(name)),
        None => Ok(programs),
    }
}

/// Findings about a program as a whole; they stand before those about its instructions.
fn judge(source: &Source<'_>, func: &Func<'_>, program: &mut Program) {
    let mut findings = Vec::new();
    if program.kind.is_none() {
        let section = &program.section;
        findings.push(
            Diagnostic::program(
                Code::UnsupportedProgramKind,
                format!("section `{section}` names no kind of program that libbpf knows"),
            )
            .help(match Section::near(section) {
                Some(near) => {
                    format!("did you mean `SEC(\"{near}\")`? If the name is one of your own, give the kind")
                }
                None => "give the kind if the section's name is one of your own".to_owned(),
            }),
        );
    }
    if func.binding == Binding::Local && Some(func.section) != source.text {
        findings.push(Diagnostic::program(
            Code::UnsupportedFeature,
            "the program is a static function: libbpf loads only those with external linkage",
        ));
    }
    if program.insns.len() > MAX_PROGRAM {
        findings.push(Diagnostic::program(
            Code::ProgramTooLarge,
            format!(
                "BPF program is too large: {} instructions, of at most {MAX_PROGRAM}",
                program.insns.len()
            ),
        ));
    }
    findings.append(&mut program.findings);
    program.findings = findings;
}

/// The first function of each name in `.text`.
fn text_funcs<'s>(source: &Source<'_>, funcs: &'s Funcs<'_>) -> BTreeMap<&'s str, usize> {
    let mut first = BTreeMap::new();
    for (at, func) in funcs.list.iter().enumerate().filter(|(_, f)| Some(f.section) == source.text) {
        first.entry(func.name).or_insert(at);
    }
    first
}

struct Linker<'s, 'a> {
    funcs: &'s Funcs<'a>,
    bodies: Vec<Body<'s>>,
    /// Functions that others call, or take the address of.
    called: &'s BTreeSet<usize>,
    text: Option<SectionIdx>,
    /// The object's types.
    btf: Option<&'s Arc<Btf>>,
    /// Callbacks of exceptions by the name of the main function.
    callbacks: &'s BTreeMap<String, Vec<String>>,
    /// Where the current program has each function: valid for the entries of `order`.
    bases: Vec<Option<u32>>,
    /// For what programs copy.
    /// The first function of each name in `.text`.
    text_funcs: BTreeMap<&'s str, usize>,
    budget: Budget,
}

impl Linker<'_, '_> {
    /// A program without what its section and object say.
    fn program(&mut self, main: FuncIdx, kind: Option<ProgramKind>) -> Result<Program, LoadError> {
        let mut order = Vec::new();
        let mut slots = 0;
        self.reach(main, &mut order, &mut slots)?;
        let callback = self.exception_callback(main);
        if let Ok(Some(callback)) = callback {
            self.reach(callback, &mut order, &mut slots)?;
        }
        let mut insns = self.take_or_copy(main);
        insns.reserve_exact(order.iter().skip(1).map(|f| self.bodies[f.0].insns.len()).sum());
        let mut subprogs = Vec::with_capacity(order.len());
        let mut core = CoreRelocations::default();
        let mut lines = Lines::in_types(self.btf);
        let mut findings: Vec<Diagnostic> = Vec::new();
        let mut seen = BTreeSet::new();
        for &index in &order {
            let (func, body) = (&self.funcs.list[index.0], &self.bodies[index.0]);
            let base = self.base(index);
            let mut subprog = Subprog::new(func.name, InsnIdx(base));
            if let Some(signature) = &body.signature {
                signature.describe(func.hidden, kind, &mut subprog);
            }
            subprogs.push(subprog);
            core.push(InsnIdx(base), &body.core);
            if index != main {
                insns.extend_from_slice(&body.insns);
            }
            for &(slot, target) in &body.calls {
                let at = base + slot;
                let distance = i64::from(self.base(target)) - i64::from(at) - 1;
                let distance = i32::try_from(distance).expect("programs are limited to far fewer slots");
                match &mut insns[at as usize] {
                    Insn::Call(call) => *call = CallTarget::Subprog(distance),
                    Insn::LoadImm64 { imm, .. } => *imm = Imm64::Func(distance),
                    other => unreachable!("no call and no function's address: {other:?}"),
                }
            }
            if let Some((table, range)) = &body.lines {
                lines.push(func.start, base, table, range.clone());
            }
            for finding in &body.findings {
                if findings.len() < MAX_FINDINGS && seen.insert((finding.code, &finding.message)) {
                    let insn = finding.insn.map(|at| InsnIdx(base + at.0));
                    findings.push(Diagnostic { insn, ..finding.clone() });
                }
            }
        }
        let callback = match callback {
            Ok(callback) => callback.map(|callback| self.base(callback)),
            Err(finding) => {
                findings.push(*finding);
                None
            }
        };
        for index in order {
            self.bases[index.0] = None;
        }
        let mut program = Program::from_insns("", ProgramKind::RawMemory, Vec::new(), Arc::new([]));
        program.name = self.funcs.list[main.0].name.to_owned();
        program.insns = insns;
        program.subprogs = subprogs;
        program.core = core;
        program.lines = lines;
        program.findings = findings;
        program.kind = kind;
        program.exception_callback = callback.map(|base| program.subprog_of(InsnIdx(base)));
        Ok(program)
    }

    /// Instructions of a main function; its body keeps them only if other programs may have them, too.
    fn take_or_copy(&mut self, main: FuncIdx) -> Vec<Insn> {
        let may_be_callback = Some(self.funcs.list[main.0].section) == self.text;
        match may_be_callback || self.called.contains(&main.0) {
            true => self.bodies[main.0].insns.clone(),
            false => std::mem::take(&mut self.bodies[main.0].insns),
        }
    }

    /// The function that handles a program's exceptions, as a declaration tag names it. Where
    /// several are named Linux refuses the program, so that none is appended.
    fn exception_callback(&self, main: FuncIdx) -> Result<Option<FuncIdx>, Box<Diagnostic>> {
        let callbacks = self.callbacks.get(self.funcs.list[main.0].name).map_or(&[][..], Vec::as_slice);
        let refuse = |message| Err(Box::new(Diagnostic::program(Code::UnresolvedCall, message)));
        let name = match callbacks {
            [] => return Ok(None),
            [name] => name,
            [first, second, ..] => {
                return refuse(format!("two exception callbacks are named: `{first}` and `{second}`"));
            }
        };
        let Some(&at) = self.text_funcs.get(name.as_str()) else {
            return refuse(format!("the exception callback `{name}` is not in the object"));
        };
        let func = &self.funcs.list[at];
        if func.hidden || func.binding == Binding::Local {
            return refuse(format!("the exception callback `{name}` must be global and not hidden"));
        }
        Ok(Some(FuncIdx(at)))
    }

    fn base(&self, func: FuncIdx) -> u32 {
        self.bases[func.0].expect("every function that is called was appended")
    }

    /// Appends a function and those that it reaches, in the order in which libbpf does, unless they
    /// are there. Sets their bases.
    fn reach(&mut self, main: FuncIdx, order: &mut Vec<FuncIdx>, slots: &mut u32) -> Result<(), LoadError> {
        // Functions whose calls are being followed, with the number of calls that were.
        let mut open: Vec<(FuncIdx, usize)> = Vec::new();
        let mut next = Some(main);
        loop {
            if let Some(func) = next.take().filter(|func| self.bases[func.0].is_none()) {
                let insns = &self.bodies[func.0].insns;
                let len = insns.len();
                let name = self.funcs.list[func.0].name;
                // Lines are not copied: a program holds where they are.
                let bytes = size_of_val(insns.as_slice()) + 2 * size_of::<Subprog>() + name.len();
                self.budget.spend(bytes, self.funcs.list[main.0].name)?;
                self.bases[func.0] = Some(*slots);
                *slots += u32::try_from(len).expect("limited above");
                order.push(func);
                open.push((func, 0));
            }
            let Some((func, followed)) = open.last_mut() else { return Ok(()) };
            match self.bodies[func.0].calls.get(*followed) {
                Some(&(_, target)) => {
                    *followed += 1;
                    next = Some(target);
                }
                None => {
                    open.pop();
                }
            }
        }
    }
}
