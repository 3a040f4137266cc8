//! `brolga inspect`

use std::process::ExitCode;

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::io::Out;

/// Runs the command.
pub fn run(args: &InspectArgs, _out: &mut Out) -> Result<ExitCode, Failure> {
    let _ = args;
    Err(Failure::Usage("not there yet".to_owned()))
}
