//! `brolga link`: one object of several.

use std::process::ExitCode;

use brolga_compiler::linker::{self, Input};

use crate::args::LinkArgs;
use crate::failure::Failure;
use crate::io::{self, Out};

/// Runs the command.
pub fn run(args: &LinkArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let read = |path| Ok((format!("{}", std::path::Path::display(path)), io::read(path)?));
    let objects = args.objects.iter().map(|path| read(path)).collect::<Result<Vec<_>, Failure>>()?;
    let inputs: Vec<Input<'_>> = objects.iter().map(|(name, bytes)| Input { name, bytes }).collect();
    io::write(&args.output, &linker::link(&inputs)?, out)?;
    Ok(ExitCode::SUCCESS)
}
