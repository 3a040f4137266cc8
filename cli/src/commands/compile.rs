//! `brolga compile`: native code ahead of time.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use brolga_compiler::options::{CodeOptions, CpuFeatures, Target};
use brolga_compiler::pipeline::{self, ModuleInfo, Unit};
use brolga_compiler::program::Object;
use brolga_compiler::verify::Accepted;

use crate::args::{CompileArgs, Cpu, Emit};
use crate::commands::verify::findings;
use crate::failure::Failure;
use crate::io::{self, Out};
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
    let object = objects::load(&args.object, &args.selection, args.memory)?;
    let programs = objects::select_autoload(&args.object, &object, &args.selection)?;
    let judgements: Vec<_> = programs.into_iter().map(Judgement::of).collect();
    let code = objects::exit_code(judgements.iter().map(Judgement::verdict));
    if code != 0 {
        for judgement in &judgements {
            findings(judgement.program, judgement.diagnostics(), &mut anstream::stderr().lock())?;
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
        Some(path) => io::write(path, &bytes, out)?,
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
    let text = |emit| pipeline::emit_text(units, emit, options).map(String::into_bytes);
    let code = || {
        let module = ModuleInfo { name: &name, license: &object.license, maps: &object.maps };
        pipeline::compile_object(&module, units, options)
    };
    Ok(match args.emit {
        Emit::Obj => code()?,
        Emit::Staticlib => io::archive(&format!("{name}.o"), &code()?)?,
        Emit::Shared => io::link_shared(&args.linker, &code()?)?,
        Emit::Header => header(&name, units).into_bytes(),
        Emit::Ir => text(pipeline::Emit::Ir)?,
        Emit::Clif => text(pipeline::Emit::Clif)?,
        Emit::Asm => text(pipeline::Emit::Asm)?,
    })
}

/// The object's file name up to its first dot.
fn module_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let stem = name.split('.').next().unwrap_or_default();
    if stem.is_empty() || stem == "-" { "module".to_owned() } else { stem.to_owned() }
}

/// A C header with the symbols of the object file.
fn header(module: &str, units: &[Unit<'_>]) -> String {
    let descriptor = pipeline::descriptor_symbol(module);
    let mut text = format!(
        "/* The programs of the module `{module}`, compiled by Brolga. */\n\
         #pragma once\n\
         #include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         struct brolga_descriptor;\nstruct brolga_env;\n\n\
         /* What the runtime loads. */\n\
         extern const struct brolga_descriptor {descriptor};\n\n\
         /* The programs, as the runtime calls them: native context and environment of one run. */\n"
    );
    for unit in units {
        let symbol = pipeline::program_symbol(module, &unit.program.name);
        text.push_str(&format!("uint64_t {symbol}(void *context, struct brolga_env *env);\n"));
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n");
    text
}
