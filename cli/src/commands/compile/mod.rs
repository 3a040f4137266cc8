//! `brolga compile`: native code ahead of time.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use brolga_abi::symbols::HOST_PREFIX;
use brolga_compiler::options::{CodeOptions, CpuFeatures, Target};
use brolga_compiler::pipeline::{self, ModuleInfo, Unit};
use brolga_compiler::program::{
    HostAccess, HostFunction, HostParam, HostScalar, MapDef, Object, Program, Resolution,
};
use brolga_compiler::verify::Accepted;

use crate::args::{CompileArgs, Cpu, Emit};
use crate::commands::verify::findings;
use crate::failure::Failure;
use crate::io::{self, Out, link};
use crate::kernels::KernelSource;
use crate::objects::{self, Judgement};

/// Runs the command. Nothing is written unless all programs are accepted.
pub fn run(args: &CompileArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let text = matches!(args.emit, Emit::Header | Emit::Ir | Emit::Clif | Emit::Asm);
    if args.output.is_none() && !text {
        return Err(Failure::Usage(
            "machine code is not printed: say with --output where to write it".to_owned(),
        ));
    }
    let options = options(args)?;
    let mut environment = KernelSource::to_run(&args.kernel)?.read()?;
    environment.host_functions = args.host.host_function.clone().into();
    let bytes = io::read(&args.object)?;
    let object = objects::load_bytes(&args.object, &bytes, &args.selection, args.memory, &environment)?;
    let programs = match args.emit {
        Emit::Exe => vec![objects::select_one(&args.object, &object, &args.selection)?],
        _ => objects::select_autoload(&args.object, &object, &args.selection)?,
    };
    let programs = objects::with_tail_calls(&object, programs);
    let privilege = args.loader.privilege();
    let judgements: Vec<_> = programs.into_iter().map(|program| Judgement::of(program, privilege)).collect();
    let code = objects::exit_code(judgements.iter().map(Judgement::verdict));
    if code != 0 {
        for judgement in &judgements {
            findings(judgement.program, judgement.diagnostics(), &mut io::stderr())?;
        }
        return Ok(ExitCode::from(code));
    }
    let accepted: Vec<(&Judgement<'_>, &Accepted)> = judgements
        .iter()
        .filter_map(|judgement| Some((judgement, judgement.outcome.as_ref().ok()?)))
        .collect();
    let units: Vec<Unit<'_>> = accepted
        .iter()
        .map(|(judgement, accepted)| Unit { program: judgement.program, facts: &accepted.facts })
        .collect();
    let bytes = emit(args, &object, &units, &options)?;
    match &args.output {
        Some(path) => {
            io::write(path, &bytes, out)?;
            if args.emit == Emit::Exe {
                link::make_executable(path)?;
            }
        }
        None => out.write_all(&bytes)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &CompileArgs) -> Result<CodeOptions, Failure> {
    let features = match args.cpu {
        Cpu::Baseline => CpuFeatures::Baseline,
        Cpu::Native => CpuFeatures::Native,
    };
    Ok(CodeOptions { target: args.target.parse::<Target>()?, features, ..CodeOptions::default() })
}

fn emit(
    args: &CompileArgs,
    object: &Object,
    units: &[Unit<'_>],
    options: &CodeOptions,
) -> Result<Vec<u8>, Failure> {
    let name = args.name.clone().unwrap_or_else(|| module_name(&args.object));
    if name.is_empty() {
        return Err(Failure::Usage("a module needs a name: give one by --name".to_owned()));
    }
    let text = |emit| pipeline::emit_text(units, emit, options).map(String::into_bytes);
    let code = || {
        let module = ModuleInfo { name: &name, license: &object.license, maps: &object.maps };
        pipeline::compile_object(&module, units, options)
    };
    Ok(match args.emit {
        Emit::Obj => code()?,
        Emit::Staticlib => link::archive(&format!("{name}.o"), &code()?)?,
        Emit::Shared => link::shared(&args.linker, &code()?)?,
        Emit::Exe => {
            let runtime = link::Runtime::find(args.runtime.as_deref())?;
            link::executable(&args.linker, &runtime, MAIN, &defines(&name, units[0].program), &code()?)?
        }
        Emit::Header => header(&name, object, units).into_bytes(),
        Emit::Ir => text(pipeline::Emit::Ir)?,
        Emit::Clif => text(pipeline::Emit::Clif)?,
        Emit::Asm => text(pipeline::Emit::Asm)?,
    })
}

/// The `main` of executables.
const MAIN: &str = include_str!("main.c");

/// What [`MAIN`] wants to know.
fn defines(module: &str, program: &Program) -> Vec<String> {
    let kind = program.kind.map_or(0, |kind| kind as u8);
    vec![
        format!("DESCRIPTOR={}", pipeline::descriptor_symbol(module)),
        format!("PROGRAM={:?}", program.name),
        format!("KIND={kind}"),
    ]
}

/// The object's file name up to its first dot.
fn module_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let stem = name.split('.').next().unwrap_or_default();
    if stem.is_empty() || stem == "-" { "module".to_owned() } else { stem.to_owned() }
}

/// A C header with the names that hosts give to the runtime's functions (`brolga.h`).
fn header(module: &str, object: &Object, units: &[Unit<'_>]) -> String {
    let descriptor = pipeline::descriptor_symbol(module);
    let prefix = macro_name(module);
    let mut text = format!(
        "/* A module compiled by Brolga: link its object file with libbrolga_runtime_c.a. */\n\
         #pragma once\n\n\
         #include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         struct brolga_descriptor;\n\
         extern const struct brolga_descriptor {descriptor};\n\n\
         /* For brolga_instance_new. */\n\
         #define {prefix}_DESCRIPTOR (&{descriptor})\n\n\
         /* Programs, for brolga_program_find. */\n"
    );
    for Unit { program, .. } in units {
        let kind = program.kind.map_or("", |kind| kind.info().name);
        let name = &program.name;
        text.push_str(&format!("#define {prefix}_PROGRAM_{} {name:?} /* {kind} */\n", macro_name(name)));
    }
    text.push_str("\n/* Maps, for brolga_map_find. */\n");
    for map in object.maps.iter().filter(|map| map.kind.known().is_some()) {
        let MapDef { name, kind, key_size, value_size, max_entries, .. } = map;
        let about =
            format!("{kind}: keys of {key_size}, values of {value_size} bytes, at most {max_entries}");
        text.push_str(&format!("#define {prefix}_MAP_{} {name:?} /* {about} */\n", macro_name(name)));
    }
    let called = object.externs.iter().filter_map(|external| match external.resolution {
        Resolution::Host(index) => units.first()?.program.host_functions.get(index as usize),
        _ => None,
    });
    let called: BTreeSet<String> = called.map(prototype).collect();
    if !called.is_empty() {
        text.push_str("\n/* Functions that the host defines. */\n");
        called.iter().for_each(|line| text.push_str(line));
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n");
    text
}

/// The C prototype of a function of the host.
fn prototype(function: &HostFunction) -> String {
    let scalar = |scalar: HostScalar| {
        format!("{}int{}_t", if scalar.signed { "" } else { "u" }, 8 * scalar.size.bytes())
    };
    let param = |param: &HostParam| match *param {
        HostParam::Scalar(it) => scalar(it),
        HostParam::Memory { access: HostAccess::Read, .. }
        | HostParam::Buffer { access: HostAccess::Read } => "const void *".to_owned(),
        HostParam::Memory { .. } | HostParam::Buffer { .. } | HostParam::Context => "void *".to_owned(),
    };
    let params: Vec<String> = function.params.iter().map(param).collect();
    let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
    let returns = function.returns.map_or_else(|| "void".to_owned(), scalar);
    format!("{returns} {HOST_PREFIX}{}({params});\n", function.name)
}

/// A name in the spelling of C's macros.
fn macro_name(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.trim_start_matches('.').chars().map(letter).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}
