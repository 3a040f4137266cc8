//! The command: verifies, runs and compiles eBPF objects without a kernel.
//!
//! What a command decides is the libraries' to say; here it is asked for, and printed. Files are
//! read and written in [`io`] alone. Exit codes are those of [`failure`] and of each command.

mod args;
mod capture;
mod commands;
mod config;
mod failure;
mod io;
mod kernels;
mod literal;
mod objects;
mod overrides;
mod style;
mod value;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use failure::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    io::set_color(args.color);
    let mut out = io::stdout();
    let result = match &args.command {
        Command::Verify(args) => commands::verify::run(args, &mut out),
        Command::Run(args) => commands::run::run(args, &mut out),
        Command::Compile(args) => commands::compile::run(args, &mut out),
        Command::Link(args) => commands::link::run(args, &mut out),
        Command::Inspect(args) => commands::inspect::run(args, &mut out),
        Command::Disasm(args) => commands::disasm::run(args, &mut out),
        Command::Explain(args) => commands::explain::run(args, &mut out),
    };
    let flushed = std::io::Write::flush(&mut out).map_err(Failure::Output);
    match result.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
