//! Benchmarks: Brolga beside Linux, in one process, interleaved, as ratios.
//!
//! Nothing is timed before its result was checked. These machines are shared and noisy: compare
//! medians of many rounds, and take a difference under 2% for none.

mod btf;
mod compile;
mod kernel;
#[cfg(feature = "libbpf")]
mod load;
mod programs;
mod run;
mod stats;
#[cfg(feature = "libbpf")]
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Benchmarks of Brolga beside Linux.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run time of verified programs against Linux's own JIT (needs `bpf(2)`).
    Run(run::Args),
    /// Cost of verifying and compiling, by program length.
    Compile(compile::Args),
    /// Reading a kernel's BTF.
    Btf(btf::Args),
    /// Loading and relocating objects against libbpf (needs `bpf(2)`).
    #[cfg(feature = "libbpf")]
    Load(load::Args),
    /// Verifying against Linux's verifier (needs `bpf(2)`).
    #[cfg(feature = "libbpf")]
    Verify(verify::Args),
}

fn main() -> ExitCode {
    let result = match Args::parse().what {
        What::Run(args) => run::run(&args),
        What::Compile(args) => compile::run(&args),
        What::Btf(args) => btf::run(&args),
        #[cfg(feature = "libbpf")]
        What::Load(args) => load::run(&args),
        #[cfg(feature = "libbpf")]
        What::Verify(args) => verify::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
