//! The only place that puts the stages of code generation in order.
//!
//! Verification comes before and is the caller's to ask for: what enters here are programs and the
//! facts that were proven of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use brolga_abi::{HelperId, ProgramKind};
use cranelift_codegen::isa::TargetIsa;

use crate::backend::code::{Compiler, Disassembly};
use crate::backend::descriptor::{Contents, MapFacts, ProgramFacts};
use crate::backend::isa_flags::{Placement, target_isa};
pub use crate::backend::jit::JitCode;
use crate::backend::link::{UnitCode, UnitNames};
use crate::backend::{jit, object};
pub use crate::diag::CompileError;
use crate::diag::{Code, Diagnostic};
use crate::isa::{CallTarget, Imm64, Insn, InsnIdx};
use crate::lower::{Lowering, REGION, cut, lower_entry};
use crate::options::{CodeOptions, Optimize};
use crate::program::{MapDef, MapId, Program};
use crate::verify::{Access, Facts};
use crate::{ir, isa, opt};

/// Operations that one function may have: Cranelift numbers at most two million registers.
const MAX_OPERATIONS: usize = 500_000;
/// Stack that one compiled function may use: eight of them are called at most, on a thread's stack.
const MAX_FRAME: u32 = 128 * 1024;

/// A verified program.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The program.
    pub program: &'a Program,
    /// What was proven of it.
    pub facts: &'a Facts,
}

/// What an object file says of itself besides its code.
#[derive(Clone, Debug)]
pub struct ModuleInfo<'a> {
    /// The module's name; the descriptor's symbol ends in it.
    pub name: &'a str,
    /// The licence.
    pub license: &'a str,
    /// The maps to which all programs of the module refer.
    pub maps: &'a Arc<[MapDef]>,
}

/// Which text of the code is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Brolga's own intermediate form.
    Ir,
    /// Cranelift IR.
    Clif,
    /// Disassembly.
    Asm,
}

/// Says what keeps a verified program from being compiled and run here, if anything does.
///
/// Brolga verifies more than it runs: kinds of programs, for one.
#[must_use]
pub fn obstacles(unit: &Unit<'_>) -> Vec<Diagnostic> {
    let Some(kind) = unit.program.kind else { return Vec::new() };
    if !kind.runs() {
        let message = format!("programs of kind {} are verified, but not run", kind.info().name);
        return vec![Diagnostic::program(Code::UnsupportedProgramKind, message)];
    }
    let mut found = Vec::new();
    for (at, insn) in (0..).map(InsnIdx).zip(&unit.program.insns) {
        if let Insn::Call(CallTarget::Helper(number)) = insn
            && unit.facts.at(at).reach.executed
            && let Some(id) = HelperId::from_number(*number).filter(|id| id.native().is_none())
        {
            let message = format!("calls of {} are verified, but not run", id.info().name);
            found.push(Diagnostic::at(Code::UnsupportedHelper, at, message));
        }
        if let Insn::Call(CallTarget::Kfunc { module, .. }) = insn
            && unit.facts.at(at).reach.executed
            && *module != CallTarget::HOST
        {
            let message = "functions of the kernel are verified, but not run";
            found.push(Diagnostic::at(Code::UnsupportedKfunc, at, message));
        }
        if let Insn::LoadImm64 { imm: Imm64::MapIdx(index) | Imm64::MapIdxValue { index, .. }, .. } = insn
            && unit.facts.at(at).reach.executed
            && let Some(map) = unit.program.maps.get(MapId(*index).index())
            && map.kind.known().is_none()
        {
            let message =
                format!("map `{}` is of the kind {}, which the runtime cannot make", map.name, map.kind);
            found.push(Diagnostic::at(Code::UnsupportedMapKind, at, message));
        }
        let Some(Access::Context { off }) = unit.facts.at(at).access else { continue };
        let context = kind.info().context;
        if let Some(field) = context.field_at(off).filter(|field| field.native.is_none()) {
            let message =
                format!("the field `{}` of {} exists in verified programs only", field.name, context.name);
            found.push(Diagnostic::at(Code::UnsupportedFeature, at, message));
        }
    }
    found
}

/// Makes code in this process's memory.
///
/// Programs of one call share a module; their code is freed when the last clone of the result is
/// dropped. `resolve` gives addresses for the runtime's symbols (helpers and routines of the tables).
///
/// # Errors
///
/// An unresolved symbol, an exceeded limit, or something unsupported.
pub fn compile_jit(
    units: &[Unit<'_>],
    options: &CodeOptions,
    resolve: &dyn Fn(&str) -> Option<*const u8>,
) -> Result<JitCode, CompileError> {
    let target = target_isa(options, Placement::Memory)?;
    let code = compile_units(units, options, &*target)?;
    jit::load(target, &code, resolve)
}

/// Makes a native object file that exports a [`brolga_abi::descriptor::Descriptor`] under
/// [`descriptor_symbol`] and each program's entry under [`program_symbol`].
///
/// # Errors
///
/// An unknown target, an exceeded limit, names that clash, or something unsupported.
pub fn compile_object(
    module: &ModuleInfo<'_>,
    units: &[Unit<'_>],
    options: &CodeOptions,
) -> Result<Vec<u8>, CompileError> {
    let target = target_isa(options, Placement::Object)?;
    let code = compile_units(units, options, &*target)?;
    let names = unit_names(module, units)?;
    let programs: Vec<ProgramFacts> = units.iter().map(program_facts).collect();
    let contents = Contents {
        name: module.name,
        license: module.license,
        verifier: concat!("brolga-compiler ", env!("CARGO_PKG_VERSION")),
        maps: module.maps,
        map_facts: &map_facts(module, units, &code, options)?,
        programs: &programs,
    };
    object::write(target, &code, &names, &descriptor_symbol(module.name), &contents)
}

/// Renders the code of programs as text.
///
/// # Errors
///
/// As [`compile_object`].
pub fn emit_text(units: &[Unit<'_>], emit: Emit, options: &CodeOptions) -> Result<String, CompileError> {
    let target = target_isa(options, Placement::Object)?;
    let mut text = String::new();
    for unit in units {
        check_byte_order(unit.program, &*target)?;
        let ir = intermediate(unit, options)?;
        if emit == Emit::Ir {
            text += &ir.to_string();
            continue;
        }
        let (mut lowering, mut compiler) = (Lowering::new(&*target), Compiler::new(&*target));
        for function in ir.functions.iter().flatten() {
            lowering.function(&ir, function, compiler.fresh());
            let title = format!("; {}.{}\n", ir.name, function.name);
            text += &title;
            if emit == Emit::Clif {
                text += &compiler.function().display().to_string();
            } else {
                text += &compiler.compile_with(&ir.name, &function.name, Disassembly::Text)?.1;
            }
            text.push('\n');
        }
    }
    Ok(text)
}

/// The symbol of a module's descriptor.
#[must_use]
pub fn descriptor_symbol(module: &str) -> String {
    format!("{}{}", brolga_abi::descriptor::DESCRIPTOR_PREFIX, sanitise(module))
}

/// The symbol of a program's entry: `extern "C" fn(context, env) -> u64`.
#[must_use]
pub fn program_symbol(module: &str, program: &str) -> String {
    format!("{}program_{}_{}", brolga_abi::symbols::PREFIX, sanitise(module), sanitise(program))
}

/// A name as C allows it: every byte that is not a letter, digit or `_` becomes `_`.
fn sanitise(name: &str) -> String {
    name.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b) } else { '_' }).collect()
}

/// The intermediate form of a program after all passes.
fn intermediate(unit: &Unit<'_>, options: &CodeOptions) -> Result<ir::Unit, CompileError> {
    let mut ir = ir::build(unit.program, unit.facts)?;
    match options.optimize {
        Optimize::None => opt::checked(&ir, "build", options.self_check)?,
        Optimize::Speed => opt::optimize(&mut ir, options.self_check)?,
    }
    cut_large(&mut ir, REGION, options)?;
    Ok(ir)
}

/// Cuts large functions into regions that the register allocator can cope with.
fn cut_large(ir: &mut ir::Unit, region: usize, options: &CodeOptions) -> Result<(), CompileError> {
    for function in ir.functions.iter_mut().flatten() {
        let operations: usize = function.layout.iter().map(|block| function.block(*block).insts.len()).sum();
        if operations > MAX_OPERATIONS {
            return Err(CompileError::TooLarge {
                program: ir.name.clone(),
                what: "operations in one function",
                limit: MAX_OPERATIONS as u64,
                found: operations as u64,
            });
        }
        cut(function, region);
        if function.stack_bytes > MAX_FRAME {
            return Err(CompileError::TooLarge {
                program: ir.name.clone(),
                what: "bytes of stack for one function",
                limit: MAX_FRAME.into(),
                found: function.stack_bytes.into(),
            });
        }
    }
    opt::checked(ir, "cut", options.self_check)
}

/// Compiles all functions of programs for a target.
fn compile_units(
    units: &[Unit<'_>],
    options: &CodeOptions,
    target: &dyn TargetIsa,
) -> Result<Vec<UnitCode>, CompileError> {
    let (mut lowering, mut compiler) = (Lowering::new(target), Compiler::new(target));
    units
        .iter()
        .map(|unit| {
            check_byte_order(unit.program, target)?;
            if let Some(obstacle) = obstacles(unit).into_iter().next() {
                let (program, what) = (unit.program.name.clone(), obstacle.message);
                return Err(CompileError::Unsupported { program, insn: obstacle.insn, what });
            }
            compile_unit(intermediate(unit, options)?, &mut lowering, &mut compiler)
        })
        .collect()
}

/// A program of the other byte order than the machine's is compiled only where it shares no numbers
/// with anybody: its memory is swapped, but not what helpers, maps and the host take for numbers.
fn check_byte_order(program: &Program, target: &dyn TargetIsa) -> Result<(), CompileError> {
    use isa::{AtomicOp, Endianness, Imm64, Insn};

    let order = match target.endianness() {
        cranelift_codegen::ir::Endianness::Little => Endianness::Little,
        cranelift_codegen::ir::Endianness::Big => Endianness::Big,
    };
    if program.endianness == order {
        return Ok(());
    }
    let frozen = |index: u32| {
        let map = program.maps.get(MapId(index).index());
        map.and_then(|map| map.global.as_ref()).is_some_and(|global| global.readonly)
    };
    let shares = |insn: &Insn| match *insn {
        Insn::Call(isa::CallTarget::Helper(_) | isa::CallTarget::Kfunc { .. }) => true,
        Insn::LoadImm64 { imm: Imm64::MapIdxValue { index, .. }, .. } => !frozen(index),
        Insn::LoadImm64 { imm: Imm64::MapIdx(_), .. } => true,
        // Cranelift adds in the other order on big-endian machines only.
        Insn::Atomic { op: AtomicOp::Add { .. }, .. } => order == Endianness::Little,
        _ => false,
    };
    let first = program.insns.iter().position(shares);
    if program.kind == Some(ProgramKind::RawMemory) && first.is_none() {
        return Ok(());
    }
    let what = match program.endianness {
        Endianness::Big => {
            "code for little-endian machines of a program for big-endian ones (bpfeb): compile it for one of those, \
             such as s390x-unknown-linux-gnu, or its source with clang's `--target=bpf`"
        }
        Endianness::Little => {
            "code for big-endian machines of a program for little-endian ones: compile its source with clang's \
             `--target=bpfeb`"
        }
    };
    let insn = first.and_then(|at| u32::try_from(at).ok()).map(isa::InsnIdx);
    Err(CompileError::Unsupported { program: program.name.clone(), insn, what: what.to_owned() })
}

/// Compiles all functions of a program.
fn compile_unit(
    ir: ir::Unit,
    lowering: &mut Lowering<'_>,
    compiler: &mut Compiler<'_>,
) -> Result<UnitCode, CompileError> {
    let mut functions = Vec::with_capacity(ir.functions.len());
    for function in &ir.functions {
        functions.push(match function {
            Some(function) => {
                lowering.function(&ir, function, compiler.fresh());
                Some(compiler.compile(&ir.name, &function.name)?)
            }
            None => None,
        });
    }
    lower_entry(lowering, ir.kind, compiler.fresh());
    let entry = compiler.compile(&ir.name, "entry")?;
    let tail_call_maps = tail_call_maps(&ir);
    Ok(UnitCode { name: ir.name, functions, entry, hosts: ir.hosts, tail_call_maps })
}

/// The maps through which a program makes tail calls.
fn tail_call_maps(ir: &ir::Unit) -> BTreeSet<MapId> {
    let blocks = ir.functions.iter().flatten().flat_map(|f| f.layout.iter().map(|block| f.block(*block)));
    blocks
        .filter_map(|block| match block.end {
            ir::Terminator::TailCall { map, .. } => Some(map),
            ir::Terminator::Jump(_)
            | ir::Terminator::Branch { .. }
            | ir::Terminator::Switch { .. }
            | ir::Terminator::Return(_) => None,
        })
        .collect()
}

/// Symbols of a module's functions; two programs must not have the same.
fn unit_names(module: &ModuleInfo<'_>, units: &[Unit<'_>]) -> Result<Vec<UnitNames>, CompileError> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::with_capacity(units.len());
    for unit in units {
        let entry = program_symbol(module.name, &unit.program.name);
        if !seen.insert(entry.clone()) {
            return Err(CompileError::Module {
                message: format!("two programs have the symbol `{entry}`: `{}` is one", unit.program.name),
            });
        }
        let local = format!("{entry}.");
        names.push(UnitNames { entry: Some(entry), local: Some(local) });
    }
    Ok(names)
}

fn program_facts(unit: &Unit<'_>) -> ProgramFacts {
    let program = unit.program;
    ProgramFacts {
        name: program.name.clone(),
        section: program.section.clone(),
        kind: program.kind.map_or(u32::MAX, |kind| kind as u32),
        raw_memory_len: program.raw_memory_len,
        bytecode_hash: bytecode_hash(program),
    }
}

/// FNV-1a over the program's instructions as they are encoded for little-endian machines.
#[must_use]
pub fn bytecode_hash(program: &Program) -> u64 {
    isa::encode_all(&program.insns, isa::Endianness::Little)
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// What the descriptor says of each map beyond its definition.
fn map_facts(
    module: &ModuleInfo<'_>,
    units: &[Unit<'_>],
    code: &[UnitCode],
    options: &CodeOptions,
) -> Result<Vec<MapFacts>, CompileError> {
    let ids = (0u32..).map(MapId).zip(module.maps.iter());
    ids.map(|(id, map)| {
        let mut owner_kind = None;
        for (unit, code) in units.iter().zip(code).filter(|(_, code)| code.tail_call_maps.contains(&id)) {
            let kind = unit.program.kind.map(|kind| kind as u32);
            if owner_kind.is_some_and(|owner| Some(owner) != kind) {
                return Err(CompileError::Module {
                    message: format!(
                        "programs of different kinds make tail calls through `{}`: `{}` is one",
                        map.name, code.name
                    ),
                });
            }
            owner_kind = kind;
        }
        let mut initial_programs = Vec::with_capacity(map.initial_programs.len());
        for (slot, name) in &map.initial_programs {
            let at = (0u32..).zip(units).find(|(_, unit)| unit.program.name == *name);
            let (program, _) = at.ok_or_else(|| CompileError::Module {
                message: format!("entry {slot} of `{}` is `{name}`, which is not compiled", map.name),
            })?;
            initial_programs.push((*slot, program));
        }
        // Passes may take loads from read-only data as constants.
        let readonly = map.global.as_ref().is_some_and(|global| global.readonly);
        let folded = readonly && options.optimize == Optimize::Speed;
        Ok(MapFacts { owner_kind, folded, initial_programs })
    })
    .collect()
}

#[cfg(test)]
mod tests;
