//! The command line, defined once: parsing, help and usage errors come from here.
//!
//! The same word means the same everywhere: `--program`, `--kind`, `--format`.

use std::path::PathBuf;

use brolga_abi::ProgramKind;
use brolga_abi::kinds::PROGRAM_KINDS;
use brolga_compiler::program::HostFunction;
use brolga_compiler::verify::Privilege;
use clap::{ArgGroup, Parser, Subcommand, ValueEnum};

use crate::literal;

/// Verifies, runs and compiles eBPF objects without a kernel.
#[derive(Debug, Parser)]
#[command(name = "brolga", version, arg_required_else_help = true)]
pub struct Args {
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals, unless the environment says otherwise (NO_COLOR, CLICOLOR_FORCE)
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether Linux would accept the programs of objects, and if not, why
    Verify(VerifyArgs),
    /// Run a program natively on packets or memory
    Run(RunArgs),
    /// Compile the programs of an object ahead of time
    Compile(CompileArgs),
    /// Link objects to one, as `bpftool gen object` does
    Link(LinkArgs),
    /// List an object's programs, maps, globals and types
    Inspect(InspectArgs),
    /// Print the instructions of an object's programs with their source lines
    Disasm(DisasmArgs),
    /// Explain a diagnostic: what it means, with an example and its repair
    Explain(ExplainArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For machines: one JSON object a line
    Json,
}

/// How verdicts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerdictFormat {
    /// For people
    Text,
    /// For machines: one JSON object a line
    Json,
    /// For code-review tools: one SARIF document
    Sarif,
}

/// Which programs of an object are meant.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Only the program with this name
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,

    /// Kind of the programs whose section name does not say it, or of the program NAME (with
    /// `--program`, of that one) whatever its section says; may be given several times for several
    /// programs
    #[arg(long, value_name = "[NAME=]KIND", value_parser = kind_choice)]
    pub kind: Vec<KindChoice>,

    #[command(flatten)]
    pub overrides: Overrides,
}

/// What is changed of an object before its programs are verified.
#[derive(Debug, clap::Args)]
pub struct Overrides {
    /// Set a global variable before programs are verified, so that they know a constant's value
    /// (`brolga run --help` says how literals are written); may be given several times
    #[arg(long, value_name = "NAME=LITERAL")]
    pub set_global: Vec<String>,

    /// Set how many elements a map has at most; MAP.inner is what is in a map of maps. May be given
    /// several times
    #[arg(long, value_name = "MAP=NUMBER")]
    pub max_entries: Vec<String>,

    /// Set how many bytes a map's values have. Global data such as .bss grows or shrinks at its end. May be
    /// given several times
    #[arg(long, value_name = "MAP=BYTES")]
    pub value_size: Vec<String>,
}

/// Which kernel's types an object is loaded for.
#[derive(Debug, clap::Args)]
pub struct KernelArg {
    /// The kernel's types: raw BTF, an ELF file with BTF such as vmlinux, or one of BTFhub's `.btf.tar.xz`;
    /// `own` takes the object's own types for the kernel's. By default the running kernel's where an object
    /// is only judged, and `own` where it runs
    #[arg(long, value_name = "PATH")]
    pub btf: Option<PathBuf>,

    #[command(flatten)]
    pub config: ConfigArg,
}

/// The configuration of the kernel for which an object is loaded.
#[derive(Debug, clap::Args)]
pub struct ConfigArg {
    /// The kernel's configuration, for `__kconfig` variables: text, or packed as /proc/config.gz is. By
    /// default the running kernel's, where its types are taken
    #[arg(long, value_name = "FILE")]
    pub kconfig: Option<PathBuf>,
}

/// Who loads an object's programs.
#[derive(Debug, clap::Args)]
pub struct LoaderArg {
    /// Judge programs as Linux does for a loader without privileges: no loops, no functions, nothing that tells
    /// addresses or what others left in memory. With `=bpf` the loader has CAP_BPF and CAP_NET_ADMIN, but not
    /// CAP_PERFMON
    #[arg(
        long, value_enum, value_name = "CAPABILITIES", num_args = 0..=1, require_equals = true,
        default_missing_value = "none"
    )]
    pub unprivileged: Option<Capabilities>,
}

/// Capabilities of a loader that is not privileged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Capabilities {
    /// None at all
    None,
    /// CAP_BPF and CAP_NET_ADMIN
    Bpf,
}

impl LoaderArg {
    /// What the verifier is told.
    pub fn privilege(&self) -> Privilege {
        match self.unprivileged {
            None => Privilege::Full,
            Some(Capabilities::Bpf) => Privilege::Bpf,
            Some(Capabilities::None) => Privilege::Unprivileged,
        }
    }
}

/// Functions that the host defines.
#[derive(Debug, clap::Args)]
pub struct HostArg {
    /// A function that the host defines for `extern … __ksym`, as a C prototype: "u64 f(const void *data, u32
    /// len, ctx)". May be given several times
    #[arg(long, value_name = "PROTOTYPE")]
    pub host_function: Vec<HostFunction>,
}

/// A kind that is given for programs.
#[derive(Clone, Debug)]
pub struct KindChoice {
    /// The one program that is meant; none for those whose section does not name a kind.
    pub program: Option<String>,
    /// The kind.
    pub kind: ProgramKind,
}

fn kind_choice(text: &str) -> Result<KindChoice, String> {
    let (program, name) = match text.rsplit_once('=') {
        Some((program, name)) => (Some(program.to_owned()), name),
        None => (None, text),
    };
    let kind = ProgramKind::from_name(name).ok_or_else(|| {
        let names = PROGRAM_KINDS.iter().map(|row| row.name).collect::<Vec<_>>();
        format!("there is no kind `{name}`; there are {}", names.join(", "))
    })?;
    Ok(KindChoice { program, kind })
}

/// Exit codes that several commands share.
const VERDICT_EXIT_CODES: &str = "\
Exit codes: 0 all accepted, 1 some rejected, 2 an input could not be read or bad usage, 3 none rejected but some unsupported.";

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = VERDICT_EXIT_CODES, after_long_help = verify_help())]
pub struct VerifyArgs {
    /// Objects as clang writes them (`-` reads standard input)
    #[arg(required = true, value_name = "OBJ")]
    pub objects: Vec<PathBuf>,

    #[command(flatten)]
    pub selection: Selection,

    /// The kernel's types: raw BTF, an ELF file with BTF such as vmlinux, one of BTFhub's `.btf.tar.xz`, or
    /// a directory with any number of them; `own` takes the object's own types for the kernel's. May be given
    /// several times: every object is judged for every kernel. By default the running kernel's
    #[arg(long, value_name = "PATH")]
    pub btf: Vec<PathBuf>,

    #[command(flatten)]
    pub config: ConfigArg,

    #[command(flatten)]
    pub host: HostArg,

    #[command(flatten)]
    pub loader: LoaderArg,

    /// Bytes of the buffer that `raw_memory` programs get
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub memory: u32,

    /// How many errors of a program are reported at most. The first is what Linux reports; the others are errors by
    /// themselves, on other paths, that do not follow from it
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_errors: u32,

    /// How many instructions the verifier processes at most, over all paths of a program. The default is Linux's
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub budget: u32,

    /// How many programs of an object are judged at a time. By default as many as there are CPUs
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Print what the verifier knew at each instruction, in the form of the kernel's log: 1 for the path that is
    /// refused, 2 for all paths
    #[arg(
        long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        value_parser = clap::value_parser!(u8).range(1..=2)
    )]
    pub log: Option<u8>,

    /// How the verdicts are printed
    #[arg(long, value_enum, default_value_t = VerdictFormat::Text)]
    pub format: VerdictFormat,
}

fn verify_help() -> String {
    format!("{}\n\n{VERDICT_EXIT_CODES}", crate::commands::verify::HELP)
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("input").required(true).args(["pcap", "packet", "ctx"]),
    after_help = run_help(),
)]
pub struct RunArgs {
    /// The object (`-` reads standard input)
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,

    #[command(flatten)]
    pub selection: Selection,

    #[command(flatten)]
    pub kernel: KernelArg,

    #[command(flatten)]
    pub loader: LoaderArg,

    /// Run on every packet of a pcap or pcapng capture
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,

    /// Run on one packet: a file of its bytes from the Ethernet header on
    #[arg(long, value_name = "FILE")]
    pub packet: Option<PathBuf>,

    /// Run a `raw_memory` program on a file's bytes
    #[arg(long, value_name = "FILE")]
    pub ctx: Option<PathBuf>,

    /// Run so many times on each packet, as it came in every time, and measure
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// Write the packets that were not dropped, as the program left them, to a pcap file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["packet", "ctx"])]
    pub pcap_out: Option<PathBuf>,

    /// Write the packet or the memory, as the program left it, to a file
    #[arg(long, value_name = "FILE", conflicts_with = "pcap")]
    pub packet_out: Option<PathBuf>,

    /// Print the maps afterwards
    #[arg(long)]
    pub maps: bool,

    /// Put an element into a map before the run, its value zero where none is given; in a
    /// `prog_array` the value is a program's name. May be given several times
    #[arg(long, value_name = "MAP:KEY[=VALUE]")]
    pub map_update: Vec<String>,

    /// How the results are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

fn run_help() -> String {
    format!(
        "{}\n\nExit codes: 0 the program ran, 1 it was rejected, 2 an input could not be read or bad usage, \
         3 it is not supported.",
        literal::HELP
    )
}

/// What `compile` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// A native object file, to be linked with the runtime
    Obj,
    /// An archive with the object file alone, to be linked with the runtime
    Staticlib,
    /// A shared object, for hosts that have the runtime and open it at run time
    Shared,
    /// An executable that runs one program on files, each of one packet or buffer
    Exe,
    /// A C header that declares the programs of the object file
    Header,
    /// Brolga's intermediate form, as text
    Ir,
    /// Cranelift's intermediate form, as text
    Clif,
    /// Assembly, as text
    Asm,
}

/// CPU features that code may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cpu {
    /// Those that every machine of the architecture has
    Baseline,
    /// Those of this machine
    Native,
}

/// Arguments of `compile`.
#[derive(Debug, clap::Args)]
#[command(after_help = VERDICT_EXIT_CODES)]
pub struct CompileArgs {
    /// The object (`-` reads standard input)
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,

    #[command(flatten)]
    pub selection: Selection,

    #[command(flatten)]
    pub kernel: KernelArg,

    #[command(flatten)]
    pub host: HostArg,

    #[command(flatten)]
    pub loader: LoaderArg,

    /// Bytes of the buffer that `raw_memory` programs get
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub memory: u32,

    /// Where to write the result; text goes to standard output by default
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// What to make
    #[arg(long, value_enum, default_value_t = Emit::Obj)]
    pub emit: Emit,

    /// For which machine: `host`, or a triple such as aarch64-unknown-linux-gnu
    #[arg(long, value_name = "TRIPLE", default_value = "host")]
    pub target: String,

    /// CPU features that the code may use
    #[arg(long, value_enum, default_value_t = Cpu::Baseline)]
    pub cpu: Cpu,

    /// Where libbrolga_runtime_c.a and brolga.h are, for executables; by default they are looked
    /// for, or built, in a checkout of Brolga's sources
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,

    /// The C compiler that links shared objects and executables; for another target, one for that target
    #[arg(long, value_name = "COMMAND", default_value = "cc")]
    pub linker: String,

    /// The module's name, part of its symbols; the object's file name by default
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Arguments of `link`.
#[derive(Debug, clap::Args)]
pub struct LinkArgs {
    /// The objects; of symbols that several define weakly, the first one counts
    #[arg(required = true, value_name = "OBJ")]
    pub objects: Vec<PathBuf>,

    /// Where to write the object
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
}

/// How types are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TypesAs {
    /// One a line
    List,
    /// As a C header, with the layout that the BTF says
    C,
}

/// The layout of `inspect`'s JSON, for its help.
const INSPECT_JSON: &str = "\
With --format json, one object. What does not apply is null or empty.
  object license gpl_compatible byte_order                byte_order: little big
  programs[]  name section kind attach target sleepable frags autoload insns
              struct_ops {ops member id index}            the member of a kernel structure that it is
              functions[] {name start insns global}
              references[] {insn to name offset}          to: map data helper function kfunc variable
              core[] {insn kind local original value target {module id spec} poisoned}
              findings[]                                  why it cannot be judged, as text
  maps[]      name kind supported autocreate pinned key_size value_size max_entries
              flags flag_names[] extra numa_node          extra: map_extra
              key value                                   types, as C writes them
              inner                                       a map of maps: what is in it, like a map
              programs[] maps[]                           initial elements: [key, name]
              struct_ops {name members[] {name program value} kernel {module type value_type refused}}
              arena {offset variables[]}
  globals[]   section size readonly
              variables[] {name offset size type initial}
  externs[]   name kind type weak                         kind: config variable symbol function unknown
              resolution                                  value address kernel absent missing
              value address id module reason
  types       number of types in the object's BTF
  btf[]       id kind name size                           with --types";

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = INSPECT_JSON)]
pub struct InspectArgs {
    /// The object, or raw BTF such as /sys/kernel/btf/vmlinux (`-` reads standard input)
    #[arg(value_name = "FILE")]
    pub object: PathBuf,

    #[command(flatten)]
    pub selection: Selection,

    #[command(flatten)]
    pub kernel: KernelArg,

    /// Print the BTF types, too; as C they are all that is printed
    #[arg(
        long, value_enum, value_name = "AS", num_args = 0..=1, require_equals = true,
        default_missing_value = "list"
    )]
    pub types: Option<TypesAs>,

    /// How the object is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Arguments of `disasm`.
#[derive(Debug, clap::Args)]
pub struct DisasmArgs {
    /// The object (`-` reads standard input)
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,

    #[command(flatten)]
    pub selection: Selection,

    #[command(flatten)]
    pub kernel: KernelArg,

    /// How the instructions are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A diagnostic's code, such as null-map-value. Without one, all codes are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,

    /// List all codes
    #[arg(long, conflicts_with = "code")]
    pub list: bool,

    /// How the explanation is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Args::command().debug_assert();
    }
}
