//! `brolga disasm`

use std::process::ExitCode;

use crate::args::DisasmArgs;
use crate::failure::Failure;
use crate::io::Out;

/// Runs the command.
pub fn run(args: &DisasmArgs, _out: &mut Out) -> Result<ExitCode, Failure> {
    let _ = args;
    Err(Failure::Usage("not there yet".to_owned()))
}
