//! Reading a kernel's BTF: parsing it, the first look-up by name, and a look-up of every name.

use std::path::PathBuf;
use std::time::Instant;

use brolga_compiler::btf::Btf;

use crate::stats::{median, min};

/// Options of `btf`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Raw BTF.
    #[arg(long, default_value = "/sys/kernel/btf/vmlinux")]
    file: PathBuf,
    /// How often it is read.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

/// Prints the table: fastest and median of the rounds, in milliseconds.
pub fn run(args: &Args) -> Result<(), String> {
    let bytes = std::fs::read(&args.file).map_err(|e| format!("{}: {e}", args.file.display()))?;
    let [mut parse, mut first, mut every] = [(); 3].map(|()| Vec::new());
    let mut types = 0;
    for _ in 0..args.rounds {
        let start = Instant::now();
        let btf = Btf::parse(&bytes).map_err(|e| e.to_string())?;
        parse.push(millis(start));

        let start = Instant::now();
        let found = btf.by_name("task_struct").count() + btf.by_essential_name("sk_buff").count();
        first.push(millis(start));
        if found == 0 {
            return Err("neither `task_struct` nor `sk_buff` is there: this is no kernel's BTF".to_owned());
        }

        let start = Instant::now();
        let own = |id| btf.get(id).and_then(|ty| ty.name()).unwrap_or_default();
        let missing = btf.ids().filter(|&id| !own(id).is_empty() && btf.by_name(own(id)).next().is_none());
        let missing = missing.count();
        every.push(millis(start));
        if missing > 0 {
            return Err(format!("{missing} types are not found by their names"));
        }
        types = btf.ids().count();
    }
    println!("{}: {} bytes, {types} types", args.file.display(), bytes.len());
    println!("{:24} {:>10} {:>10}", "", "min ms", "median ms");
    let mut whole: Vec<f64> = parse.iter().zip(&first).map(|(a, b)| a + b).collect();
    for (name, times) in [
        ("parse", &mut parse),
        ("first look-ups", &mut first),
        ("both", &mut whole),
        ("look-up of every name", &mut every),
    ] {
        println!("{name:24} {:>10.2} {:>10.2}", min(times), median(times));
    }
    Ok(())
}

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
