//! Linux's bpf(2), as far as tests need it: make maps, load programs, run them on given input.
//!
//! Nothing here attaches a program to anything. Each call passes a structure laid out as the
//! command's part of `union bpf_attr`, and pointers to buffers whose lengths were checked against
//! what the kernel reads or writes through them.
#![expect(unsafe_code, reason = "a raw system call that takes pointers")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const MAP_CREATE: u32 = 0;
const MAP_LOOKUP_ELEM: u32 = 1;
const MAP_UPDATE_ELEM: u32 = 2;
const MAP_GET_NEXT_KEY: u32 = 4;
const PROG_LOAD: u32 = 5;
const PROG_TEST_RUN: u32 = 10;
const BTF_LOAD: u32 = 18;
const MAP_FREEZE: u32 = 22;

#[derive(Default)]
#[repr(C)]
struct MapCreateAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

#[derive(Default)]
#[repr(C)]
struct MapElemAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[derive(Default)]
#[repr(C)]
struct ProgLoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// What the kernel is told of a program besides its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadAs {
    /// A number of `enum bpf_prog_type`.
    pub kind: u32,
    /// A number of `enum bpf_attach_type`, 0 for none.
    pub attach: u32,
    /// `BPF_F_*` of programs.
    pub flags: u32,
    /// The kernel's BTF type that the program is attached to, 0 for none.
    pub attach_btf_id: u32,
    /// How much the verifier writes to its log: 0, 1 or 2.
    pub log_level: u32,
    /// Whether the licence is compatible with the GPL.
    pub gpl: bool,
}

impl LoadAs {
    /// A program of a kind, under a GPL-compatible licence, without a log.
    #[must_use]
    pub const fn kind(kind: u32) -> Self {
        Self { kind, attach: 0, flags: 0, attach_btf_id: 0, log_level: 0, gpl: true }
    }
}

/// `BPF_F_SLEEPABLE`: the program may sleep.
pub const F_SLEEPABLE: u32 = 1 << 4;

#[derive(Default)]
#[repr(C)]
struct BtfLoadAttr {
    btf: u64,
    btf_log_buf: u64,
    btf_size: u32,
    btf_log_size: u32,
    btf_log_level: u32,
}

/// Types that were loaded into the kernel.
#[derive(Debug)]
pub struct KernelTypes(OwnedFd);

impl KernelTypes {
    /// Loads BTF.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn load(btf: &[u8]) -> io::Result<Self> {
        let mut attr =
            BtfLoadAttr { btf: btf.as_ptr() as u64, btf_size: len32(btf), ..BtfLoadAttr::default() };
        // SAFETY: the types live and have the stated length; there is no log buffer.
        Ok(Self(owned(unsafe { bpf(BTF_LOAD, &mut attr) }?)))
    }
}

/// The types of a program's functions.
#[derive(Clone, Copy, Debug)]
pub struct FuncInfo<'a> {
    /// Where they are described.
    pub types: &'a KernelTypes,
    /// Of each function, in order, its first instruction and its type.
    pub records: &'a [[u32; 2]],
}

#[derive(Default)]
#[repr(C)]
struct TestRunAttr {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// One bpf(2) call.
///
/// # Safety
///
/// `attr` must be laid out as the command wants it, and every pointer in it must be valid for as
/// many bytes as the kernel reads or writes through it.
unsafe fn bpf<T>(command: u32, attr: &mut T) -> io::Result<i32> {
    // SAFETY: the caller's promise; `attr` is a live structure of the given size.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>() as u32) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("buffers given to the kernel have less than 4 GiB")
}

/// A map of the kernel and the sizes that its buffers must have.
#[derive(Debug)]
pub struct KernelMap {
    fd: OwnedFd,
    key_size: usize,
    /// Bytes that lookups and updates transfer: a per-CPU map's value once for every possible CPU.
    transfer: usize,
}

impl KernelMap {
    /// Makes a map; `kind` is a number of `enum bpf_map_type`, `cpus` the number of possible CPUs
    /// where the kind has a value for each.
    pub fn create(
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        cpus: Option<usize>,
    ) -> io::Result<Self> {
        let mut attr = MapCreateAttr { map_type: kind, key_size, value_size, max_entries, map_flags };
        // SAFETY: the attribute holds no pointer.
        let fd = owned(unsafe { bpf(MAP_CREATE, &mut attr) }?);
        let value = value_size as usize;
        let transfer = cpus.map_or(value, |cpus| value.next_multiple_of(8) * cpus);
        Ok(Self { fd, key_size: key_size as usize, transfer })
    }

    /// The descriptor's number, for instructions that name the map.
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Bytes of a value as lookups and updates transfer it.
    #[must_use]
    pub const fn transfer(&self) -> usize {
        self.transfer
    }

    fn elem(&self, key: u64, value: u64) -> MapElemAttr {
        MapElemAttr { map_fd: self.fd().cast_unsigned(), key, value, ..MapElemAttr::default() }
    }

    /// Sets an element, made where it is missing.
    pub fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert_eq!((key.len(), value.len()), (self.key_size, self.transfer), "sizes are the map's");
        let mut attr = self.elem(key.as_ptr() as u64, value.as_ptr() as u64);
        // SAFETY: both buffers live and have the lengths that the kernel reads, as just asserted.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }

    /// An element's value.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Vec<u8>> {
        assert_eq!(key.len(), self.key_size, "the key's size is the map's");
        let mut value = vec![0u8; self.transfer];
        let mut attr = self.elem(key.as_ptr() as u64, value.as_mut_ptr() as u64);
        // SAFETY: both buffers live and have the lengths that the kernel reads and writes.
        unsafe { bpf(MAP_LOOKUP_ELEM, &mut attr) }?;
        Ok(value)
    }

    /// The key after this one, or the first.
    pub fn next_key(&self, key: Option<&[u8]>) -> Option<Vec<u8>> {
        if let Some(key) = key {
            assert_eq!(key.len(), self.key_size, "the key's size is the map's");
        }
        let mut next = vec![0u8; self.key_size];
        let before = key.map_or(0, |k| k.as_ptr() as u64);
        let mut attr = self.elem(before, next.as_mut_ptr() as u64);
        // SAFETY: `before` is null or has the key's length, and so has `next`.
        unsafe { bpf(MAP_GET_NEXT_KEY, &mut attr) }.ok()?;
        Some(next)
    }

    /// Makes the map unchangeable from user space.
    pub fn freeze(&self) -> io::Result<()> {
        let mut attr = self.elem(0, 0);
        // SAFETY: the command reads only the descriptor; the rest must be zero and is.
        unsafe { bpf(MAP_FREEZE, &mut attr.map_fd) }.map(drop)
    }
}

/// Why the kernel did not load a program.
#[derive(Debug)]
pub struct LoadFailure {
    /// The system call's error.
    pub error: io::Error,
    /// The verifier's log; may be empty.
    pub log: String,
}

/// A program of the kernel.
#[derive(Debug)]
pub struct KernelProgram(OwnedFd);

impl KernelProgram {
    /// Loads encoded instructions under a GPL-compatible licence; `kind` is a number of
    /// `enum bpf_prog_type`. Where the kernel refuses, it is asked once more for its `log`.
    pub fn load(kind: u32, insns: &[u8], log: bool) -> Result<Self, LoadFailure> {
        let mut attr = ProgLoadAttr {
            prog_type: kind,
            insn_cnt: len32(insns) / 8,
            insns: insns.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            ..ProgLoadAttr::default()
        };
        // SAFETY: the instructions live and are as many as stated, the licence is a C string, and
        // there is no log buffer.
        let error = match unsafe { bpf(PROG_LOAD, &mut attr) } {
            Ok(fd) => return Ok(Self(owned(fd))),
            Err(error) => error,
        };
        if !log {
            return Err(LoadFailure { error, log: String::new() });
        }
        let mut log = vec![0u8; 1 << 20];
        attr.log_level = 1;
        attr.log_size = len32(&log);
        attr.log_buf = log.as_mut_ptr() as u64;
        // SAFETY: as above; the log buffer lives and has the stated length.
        match unsafe { bpf(PROG_LOAD, &mut attr) } {
            Ok(fd) => Ok(Self(owned(fd))),
            Err(_) => {
                let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
                let log = String::from_utf8_lossy(&log[..end]).into_owned();
                Err(LoadFailure { error, log })
            }
        }
    }

    /// Asks the kernel for its verdict on a program, and for its log up to 64 KiB.
    ///
    /// # Errors
    ///
    /// The refusal, with the log.
    pub fn judge(load: LoadAs, insns: &[u8]) -> Result<String, LoadFailure> {
        Self::judge_typed(load, insns, None)
    }

    /// The same of a program whose functions have types.
    ///
    /// # Errors
    ///
    /// The refusal, with the log.
    pub fn judge_typed(
        load: LoadAs,
        insns: &[u8],
        info: Option<FuncInfo<'_>>,
    ) -> Result<String, LoadFailure> {
        let mut log = vec![0u8; if load.log_level == 0 { 0 } else { 1 << 16 }];
        let mut attr = ProgLoadAttr {
            prog_type: load.kind,
            insn_cnt: len32(insns) / 8,
            insns: insns.as_ptr() as u64,
            license: if load.gpl { c"GPL" } else { c"MIT" }.as_ptr() as u64,
            log_level: load.log_level,
            log_size: len32(&log),
            log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
            prog_flags: load.flags,
            expected_attach_type: load.attach,
            attach_btf_id: load.attach_btf_id,
            ..ProgLoadAttr::default()
        };
        if let Some(info) = info {
            attr.prog_btf_fd = info.types.0.as_raw_fd().cast_unsigned();
            attr.func_info_rec_size = 8;
            attr.func_info = info.records.as_ptr() as u64;
            attr.func_info_cnt = u32::try_from(info.records.len()).expect("programs have few functions");
        }
        // SAFETY: the instructions live and are as many as stated, the licence is a C string, the records
        // live and are as many as stated, and the log buffer lives and has the stated length, or is null and has none.
        let result = unsafe { bpf(PROG_LOAD, &mut attr) };
        let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
        let log = String::from_utf8_lossy(&log[..end]).into_owned();
        match result {
            Ok(fd) => {
                drop(owned(fd));
                Ok(log)
            }
            Err(error) => Err(LoadFailure { error, log }),
        }
    }

    /// The descriptor's number, for entries of a `prog_array`.
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Runs the program on a packet, and where `context` is given on that context, which is
    /// replaced by what the program leaves.
    pub fn test_run(&self, data: &[u8], context: Option<&mut [u8]>, repeat: u32) -> io::Result<TestRun> {
        let mut out = vec![0u8; data.len() + 4096];
        let mut attr = TestRunAttr {
            prog_fd: self.fd().cast_unsigned(),
            data_size_in: len32(data),
            data_size_out: len32(&out),
            data_in: data.as_ptr() as u64,
            data_out: out.as_mut_ptr() as u64,
            repeat,
            ..TestRunAttr::default()
        };
        if let Some(context) = context {
            attr.ctx_size_in = len32(context);
            attr.ctx_size_out = attr.ctx_size_in;
            attr.ctx_in = context.as_ptr() as u64;
            attr.ctx_out = context.as_mut_ptr() as u64;
        }
        // SAFETY: all buffers live and have the stated lengths. The kernel copies the context in
        // before it copies it out, so one buffer may be both.
        unsafe { bpf(PROG_TEST_RUN, &mut attr) }?;
        out.truncate(attr.data_size_out as usize);
        Ok(TestRun { retval: attr.retval, data: out, nanoseconds: attr.duration })
    }
}

/// What `BPF_PROG_TEST_RUN` returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// The low half of `r0`.
    pub retval: u32,
    /// The packet afterwards, from its metadata on.
    pub data: Vec<u8>,
    /// Mean time of a repetition.
    pub nanoseconds: u32,
}

/// Keeps the calling thread on the first CPU, so that per-CPU values land in the first slot.
pub fn stay_on_first_cpu() -> io::Result<()> {
    // SAFETY: the set is plain data, for which zero is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the index is within the set.
    unsafe { libc::CPU_SET(0, &mut set) };
    // SAFETY: the set lives and has the stated size; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
