//! Linux as an engine: loads programs with bpf(2) and runs them with `BPF_PROG_TEST_RUN`.
//!
//! The kernel reports 32 bits of `r0` and has no `raw_memory` programs. So every program gets a few
//! instructions in front of it: they turn each `exit` of the main function into a store of all of
//! `r0` to a map, and put a map's value where a `raw_memory` program expects its buffer.

use std::rc::Rc;

use brolga_abi::{HelperId, MapKind, NativeKind, ProgramKind};
use brolga_compiler::isa::{
    AluOp, CallTarget, Endianness, Imm64, Insn, Operand, Reg, Size, Width, encode_all,
};
use brolga_compiler::program::{MapId, Program, SubprogId};

use super::{Contents, Engine, Error, Input, Instance, Module, Output};
use crate::bpf_syscall::{KernelMap, KernelProgram, stay_on_first_cpu};

const XDP: u32 = 6;
const SOCKET_FILTER: u32 = 1;
const ARRAY: u32 = 2;
const ETHERNET: usize = 14;
/// Slots before a program: a jump and the way out.
const FRONT: usize = 5;
/// Longest packet that the kernel keeps in one piece.
const LONGEST: usize = crate::oracle::XDP_ROOM - crate::oracle::HEADROOM;

/// Linux, where it lets us load programs.
#[derive(Clone, Debug)]
pub struct Kernel {
    cpus: usize,
    log: bool,
}

impl Kernel {
    /// The kernel, or why it cannot be used.
    pub fn new() -> Result<Self, String> {
        let insns =
            [Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) }, Insn::Exit];
        let bytes = encode_all(&insns, Endianness::Little);
        let program = KernelProgram::load(SOCKET_FILTER, &bytes, false)
            .map_err(|failure| format!("bpf(2) does not load programs here: {}", failure.error))?;
        program
            .test_run(&[0; 64], None, 1)
            .map_err(|error| format!("bpf(2) does not run programs here: {error}"))?;
        Ok(Self { cpus: possible_cpus(), log: true })
    }

    /// The kernel; `None`, and a line on standard error that says why, where it cannot be used.
    ///
    /// # Panics
    ///
    /// Under `CI=true`, where everything must be there.
    #[must_use]
    pub fn or_skip() -> Option<Self> {
        match Self::new() {
            Ok(kernel) => Some(kernel),
            Err(why) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs the kernel: {why}");
                eprintln!("the kernel is skipped: {why}");
                None
            }
        }
    }

    /// The same without the verifier's reasons, which take long to write for large programs.
    #[must_use]
    pub fn without_log(self) -> Self {
        Self { log: false, ..self }
    }

    /// How many CPUs the kernel's per-CPU maps have values for.
    #[must_use]
    pub const fn cpus(&self) -> usize {
        self.cpus
    }
}

fn possible_cpus() -> usize {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = list.trim().rsplit(['-', ',']).next().and_then(|n| n.parse::<usize>().ok());
    last.map_or(1, |n| n + 1)
}

impl Engine for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn load(&self, module: &Module) -> Result<Box<dyn Instance>, Error> {
        let mut maps = Vec::with_capacity(module.maps.len());
        for def in module.maps.iter() {
            let cpus = is_per_cpu(def.kind.known()).then_some(self.cpus);
            let number = def.kind.number();
            let map =
                KernelMap::create(number, def.key_size, def.value_size, def.max_entries, def.flags, cpus)
                    .map_err(|e| Error::Failed(format!("map {}: {e}", def.name)))?;
            if let Some(global) = &def.global {
                map.update(&[0; 4], &global.initial)
                    .and_then(|()| if global.readonly { map.freeze() } else { Ok(()) })
                    .map_err(|e| Error::Failed(format!("global data {}: {e}", def.name)))?;
            }
            maps.push(map);
        }
        let result = array(8)?;
        let mut programs = Vec::with_capacity(module.programs.len());
        for program in &module.programs {
            programs.push(load_program(program, &maps, &result, self.log)?);
        }
        for (map, def) in maps.iter().zip(module.maps.iter()) {
            for (index, name) in &def.initial_programs {
                let target = module.programs.iter().position(|p| p.name == *name);
                let target = target.ok_or_else(|| Error::Failed(format!("no program {name}")))?;
                map.update(&index.to_le_bytes(), &programs[target].program.fd().to_le_bytes())
                    .map_err(|e| Error::Failed(format!("entry {name}: {e}")))?;
            }
        }
        let counts_cpus = module.maps.iter().any(|d| is_per_cpu(d.kind.known()))
            || module.programs.iter().any(asks_for_cpu);
        if counts_cpus {
            stay_on_first_cpu().map_err(|e| Error::Failed(format!("pinning: {e}")))?;
        }
        Ok(Box::new(Loaded { module: module.clone(), maps, programs, result, cpus: self.cpus }))
    }
}

fn is_per_cpu(kind: Option<MapKind>) -> bool {
    kind.is_some_and(|k| k.info().per_cpu)
}

fn asks_for_cpu(program: &Program) -> bool {
    let number = HelperId::GetSmpProcessorId.info().number;
    program.insns.contains(&Insn::Call(CallTarget::Helper(number)))
}

fn array(value_size: u32) -> Result<KernelMap, Error> {
    KernelMap::create(ARRAY, 4, value_size, 1, 0, None).map_err(|e| Error::Failed(format!("map: {e}")))
}

fn load_program(
    program: &Program,
    maps: &[KernelMap],
    result: &KernelMap,
    log: bool,
) -> Result<Wrapped, Error> {
    let (number, memory) = match program.kind.and_then(ProgramKind::native) {
        Some(NativeKind::Xdp) => (XDP, None),
        Some(NativeKind::SocketFilter) => (SOCKET_FILTER, None),
        Some(NativeKind::RawMemory) => (XDP, Some(array(program.raw_memory_len.max(1))?)),
        None => return Err(Error::Unsupported("a program of a kind that is not run".to_owned())),
    };
    let insns = wrap(program, maps, result, memory.as_ref())?;
    let program = KernelProgram::load(number, &encode_all(&insns, Endianness::Little), log);
    match program {
        Ok(program) => Ok(Wrapped { program: Rc::new(program), memory }),
        Err(failure) => match failure.error.raw_os_error() {
            Some(libc::EPERM | libc::ENOMEM | libc::EFAULT) => Err(Error::Failed(failure.error.to_string())),
            Some(_) | None => Err(Error::Rejected(format!("{}\n{}", failure.error, failure.log))),
        },
    }
}

/// The program as the kernel gets it.
fn wrap(
    program: &Program,
    maps: &[KernelMap],
    result: &KernelMap,
    memory: Option<&KernelMap>,
) -> Result<Vec<Insn>, Error> {
    let value = |dst, map: &KernelMap| {
        [Insn::LoadImm64 { dst, imm: Imm64::MapFdValue { fd: map.fd(), off: 0 } }, Insn::SecondSlot]
    };
    let mut insns = vec![Insn::Ja { off: FRONT as i16 - 1 }];
    insns.extend(value(Reg::R1, result));
    insns.push(Insn::Store { size: Size::DW, base: Reg::R1, off: 0, src: Operand::Reg(Reg::R0) });
    insns.push(Insn::Exit);
    assert_eq!(insns.len(), FRONT, "the jump skips the way out");
    if let Some(memory) = memory {
        insns.extend(value(Reg::R1, memory));
        let len = Operand::Imm(program.raw_memory_len.cast_signed());
        insns.push(Insn::Alu { op: AluOp::Mov, width: Width::W64, dst: Reg::R2, src: len });
    }
    let main = program.subprog_range(SubprogId::MAIN);
    for (at, insn) in program.insns.iter().enumerate() {
        insns.push(match insn {
            Insn::Exit if main.contains(&at) => {
                let back = -(insns.len() as i64);
                match i16::try_from(back) {
                    Ok(off) => Insn::Ja { off },
                    Err(_) => Insn::Gotol { off: back as i32 },
                }
            }
            Insn::LoadImm64 { dst, imm } => Insn::LoadImm64 { dst: *dst, imm: with_fds(*imm, maps)? },
            other => *other,
        });
    }
    Ok(insns)
}

fn with_fds(imm: Imm64, maps: &[KernelMap]) -> Result<Imm64, Error> {
    let fd = |index: u32| {
        let map = maps.get(index as usize);
        map.map(KernelMap::fd).ok_or_else(|| Error::Rejected(format!("there is no map {index}")))
    };
    Ok(match imm {
        Imm64::MapIdx(index) => Imm64::MapFd(fd(index)?),
        Imm64::MapIdxValue { index, off } => Imm64::MapFdValue { fd: fd(index)?, off },
        Imm64::Value(_)
        | Imm64::MapFd(_)
        | Imm64::MapFdValue { .. }
        | Imm64::BtfId { .. }
        | Imm64::Func(_) => imm,
    })
}

struct Wrapped {
    program: Rc<KernelProgram>,
    /// Where a `raw_memory` program finds its buffer.
    memory: Option<KernelMap>,
}

struct Loaded {
    module: Module,
    maps: Vec<KernelMap>,
    programs: Vec<Wrapped>,
    result: KernelMap,
    cpus: usize,
}

impl Loaded {
    fn run_wrapped(&self, index: usize, input: &Input) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let wrapped = &self.programs[index];
        let failed = |error: std::io::Error| Error::Failed(format!("BPF_PROG_TEST_RUN: {error}"));
        if let Some(memory) = &wrapped.memory {
            let mut buffer = input.data.clone();
            buffer.resize(memory.transfer(), 0);
            memory.update(&[0; 4], &buffer).map_err(failed)?;
            wrapped.program.test_run(&[0; 64], None, 1).map_err(failed)?;
            let mut data = memory.lookup(&[0; 4]).map_err(failed)?;
            data.truncate(input.data.len());
            return Ok((data, Vec::new()));
        }
        let len = input.data.len();
        if !(ETHERNET..=LONGEST).contains(&len) {
            return Err(Error::Unsupported(format!("packets of {len} bytes")));
        }
        if self.module.programs[index].kind == Some(ProgramKind::SocketFilter) {
            wrapped.program.test_run(&input.data, None, 1).map_err(failed)?;
            return Ok((input.data.clone(), Vec::new()));
        }
        // `struct xdp_md`: on the way in `data_end` is the length, on the way out the three
        // addresses are relative to the metadata.
        let mut context = [0u8; 24];
        context[4..8].copy_from_slice(&len32(len).to_le_bytes());
        let run = wrapped.program.test_run(&input.data, Some(&mut context), 1).map_err(failed)?;
        let data = u32::from_le_bytes(context[..4].try_into().expect("four bytes")) as usize;
        let meta = run.data[..data].to_vec();
        Ok((run.data[data..].to_vec(), meta))
    }
}

fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("packets have less than 4 GiB")
}

impl Instance for Loaded {
    fn run(&mut self, program: usize, input: &Input) -> Result<Output, Error> {
        let (data, meta) = self.run_wrapped(program, input)?;
        let ret = self.result.lookup(&[0; 4]).map_err(|e| Error::Failed(e.to_string()))?;
        Ok(Output { ret: u64::from_le_bytes(ret.try_into().expect("eight bytes")), data, meta })
    }

    fn update(&mut self, map: MapId, key: &[u8], values: &[Vec<u8>]) -> Result<(), Error> {
        let kernel_map = &self.maps[map.index()];
        let per_cpu = is_per_cpu(self.module.maps[map.index()].kind.known());
        let mut all = Vec::with_capacity(kernel_map.transfer());
        for value in values {
            all.extend_from_slice(value);
            if per_cpu {
                all.resize(all.len().next_multiple_of(8), 0);
            }
        }
        all.resize(kernel_map.transfer(), 0);
        kernel_map.update(key, &all).map_err(|e| Error::Failed(format!("map update: {e}")))
    }

    fn contents(&mut self, map: MapId) -> Result<Contents, Error> {
        let (kernel_map, def) = (&self.maps[map.index()], &self.module.maps[map.index()]);
        let mut contents = Contents::new();
        let Some(kind) = def.kind.known().filter(|k| k.info().element_access) else { return Ok(contents) };
        let size = def.value_size as usize;
        let mut next = kernel_map.next_key(None);
        while let Some(key) = next {
            let bytes = kernel_map.lookup(&key).map_err(|e| Error::Failed(format!("map lookup: {e}")))?;
            let (copies, step) =
                if kind.info().per_cpu { (self.cpus, size.next_multiple_of(8)) } else { (1, size) };
            let mut values: Vec<_> = (0..copies).map(|c| bytes[c * step..c * step + size].to_vec()).collect();
            if kind.info().per_cpu {
                // Runs stay on the first CPU: the others' values are zero, however many there are.
                values.resize(crate::oracle::Hooks::default().cpus as usize, vec![0; size]);
            }
            next = kernel_map.next_key(Some(&key));
            if !kind.info().array_keys || values.iter().flatten().any(|b| *b != 0) {
                contents.insert(key, values);
            }
        }
        Ok(contents)
    }
}
