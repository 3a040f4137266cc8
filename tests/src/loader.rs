//! Loaders of less privilege: what Linux says of a program when somebody else than root loads it.
//!
//! A loader without capabilities is this very thread for as long as a question takes: its effective capabilities
//! are lowered and raised again, which other threads do not see. Linux refuses all programs of such loaders where
//! `kernel.unprivileged_bpf_disabled` says so; [`Open`] changes that while it lives, where it may be changed.
//! Nothing is attached or run.
#![expect(unsafe_code, reason = "raw system calls that read and set a thread's capabilities")]

use std::fs;
use std::io;

use brolga_compiler::verify::Privilege;

const VERSION_3: u32 = 0x2008_0522;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Words {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn get() -> io::Result<[Words; 2]> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut words = [Words::default(); 2];
    // SAFETY: both structures live and are laid out as the third version of the call wants them.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) };
    if result == 0 { Ok(words) } else { Err(io::Error::last_os_error()) }
}

fn set(words: &[Words; 2]) -> io::Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    // SAFETY: as above; the call reads both words.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Does something with the capabilities of a loader.
///
/// # Errors
///
/// Why the capabilities cannot be set.
///
/// # Panics
///
/// Where they cannot be set back: what came after would ask the wrong question.
pub fn with_privilege<T>(privilege: Privilege, work: impl FnOnce() -> T) -> io::Result<T> {
    let before = get()?;
    let without = match privilege {
        Privilege::Full => 0,
        Privilege::Bpf => SYS_ADMIN | PERFMON,
        Privilege::Unprivileged => SYS_ADMIN | PERFMON | BPF | NET_ADMIN,
    };
    let mut words = before;
    words[0].effective &= !((without & u64::from(u32::MAX)) as u32);
    words[1].effective &= !((without >> 32) as u32);
    set(&words)?;
    let result = work();
    set(&before).expect("capabilities that are permitted can be raised again");
    Ok(result)
}

const SETTING: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";

/// Lets everybody load programs while it lives. Only one lives at a time on a machine.
#[derive(Debug)]
pub struct Open {
    before: String,
    _lock: fs::File,
}

impl Open {
    /// Opens bpf(2) for loaders without privileges.
    ///
    /// # Errors
    ///
    /// Why that cannot be done here: it was disabled for good, or this is not root.
    pub fn new() -> io::Result<Self> {
        let lock = fs::File::open(SETTING)?;
        lock.lock()?;
        let before = fs::read_to_string(SETTING)?.trim().to_owned();
        if before != "0" {
            fs::write(SETTING, "0")?;
        }
        Ok(Self { before, _lock: lock })
    }
}

impl Open {
    /// The same; `None`, and a line on standard error that says why, where it cannot be done.
    ///
    /// # Panics
    ///
    /// Under `CI=true`, where everything must be there.
    #[must_use]
    pub fn or_skip() -> Option<Self> {
        match Self::new() {
            Ok(open) => Some(open),
            Err(why) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs the kernel: {why}");
                eprintln!("loaders without privileges are skipped: {why}");
                None
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.before != "0"
            && let Err(error) = fs::write(SETTING, &self.before)
        {
            eprintln!("{SETTING} was {}, and cannot be set back: {error}", self.before);
        }
    }
}
