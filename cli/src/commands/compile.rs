//! `brolga compile`

use std::process::ExitCode;

use crate::args::CompileArgs;
use crate::failure::Failure;
use crate::io::Out;

/// Runs the command.
pub fn run(args: &CompileArgs, _out: &mut Out) -> Result<ExitCode, Failure> {
    let _ = args;
    Err(Failure::Usage("not there yet".to_owned()))
}
