//! `brolga run`

use std::process::ExitCode;

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::io::Out;

/// Runs the command.
pub fn run(args: &RunArgs, _out: &mut Out) -> Result<ExitCode, Failure> {
    let _ = args;
    Err(Failure::Usage("not there yet".to_owned()))
}
