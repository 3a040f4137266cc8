//! The kernel's side of a measurement: the same object, loaded with bpf(2), without any wrapping.

use brolga_abi::ProgramKind;
use brolga_compiler::isa::{Endianness, Imm64, Insn, encode_all};
use brolga_compiler::program::{Object, Program};
use brolga_tests::bpf_syscall::{KernelMap, KernelProgram, TestRun};
use brolga_tests::engines::kernel::Kernel;

/// A program in the kernel and its maps.
#[derive(Debug)]
pub struct Loaded {
    program: KernelProgram,
    /// Keeps the maps open.
    _maps: Vec<KernelMap>,
}

impl Loaded {
    /// Creates the object's maps and loads one of its programs.
    pub fn new(object: &Object, program: &Program) -> Result<Self, String> {
        let linux = Kernel::new()?;
        let mut maps = Vec::with_capacity(object.maps.len());
        for def in object.maps.iter() {
            let per_cpu = def.kind.known().is_some_and(|kind| kind.info().per_cpu);
            let cpus = per_cpu.then_some(linux.cpus());
            let number = def.kind.number();
            let map =
                KernelMap::create(number, def.key_size, def.value_size, def.max_entries, def.flags, cpus)
                    .map_err(|error| format!("map {}: {error}", def.name))?;
            if let Some(global) = &def.global {
                map.update(&[0; 4], &global.initial).map_err(|error| format!("map {}: {error}", def.name))?;
                if global.readonly {
                    map.freeze().map_err(|error| format!("map {}: {error}", def.name))?;
                }
            }
            maps.push(map);
        }
        let insns: Vec<Insn> = program.insns.iter().map(|insn| with_descriptors(*insn, &maps)).collect();
        let number = program.kind.and_then(ProgramKind::number);
        let number = number.ok_or("the kernel has no such kind of program")?;
        let program = KernelProgram::load(number, &encode_all(&insns, Endianness::Little), true)
            .map_err(|failure| format!("{}\n{}", failure.error, failure.log))?;
        Ok(Self { program, _maps: maps })
    }

    /// Runs the program `repeat` times on one packet; the kernel times it itself.
    pub fn run(&self, packet: &[u8], repeat: u32) -> Result<TestRun, String> {
        self.program.test_run(packet, None, repeat).map_err(|error| format!("BPF_PROG_TEST_RUN: {error}"))
    }
}

fn with_descriptors(insn: Insn, maps: &[KernelMap]) -> Insn {
    match insn {
        Insn::LoadImm64 { dst, imm: Imm64::MapIdx(index) } => {
            Insn::LoadImm64 { dst, imm: Imm64::MapFd(maps[index as usize].fd()) }
        }
        Insn::LoadImm64 { dst, imm: Imm64::MapIdxValue { index, off } } => {
            Insn::LoadImm64 { dst, imm: Imm64::MapFdValue { fd: maps[index as usize].fd(), off } }
        }
        other => other,
    }
}
