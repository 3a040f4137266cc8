//! Every knob of a runtime, its default and the reason for it.
//!
//! Time, randomness and traces enter here and nowhere else, so that a test can fix them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

/// How a [`crate::Runtime`] is made.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// CPU slots: how many workers may exist at a time, and how many values an element of a
    /// per-CPU map has. One by default.
    pub cpus: NonZeroU32,
    /// What `bpf_ktime_get_ns` reads.
    pub clock: Clock,
    /// Where `bpf_get_prandom_u32` and the hashes of hash maps start.
    pub seed: Seed,
    /// Where `bpf_trace_printk` writes.
    pub trace: Trace,
    /// Bytes that all maps of all instances may take together. 4 GiB by default; pages that are
    /// never touched count too, although the system does not provide them.
    pub map_memory: u64,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            cpus: NonZeroU32::MIN,
            clock: Clock::Monotonic,
            seed: Seed::Random,
            trace: Trace::Discard,
            map_memory: 4 << 30,
        }
    }
}

impl RuntimeOptions {
    /// The defaults with a number of CPU slots.
    ///
    /// # Panics
    ///
    /// Where `cpus` is zero.
    #[must_use]
    pub fn with_cpus(cpus: u32) -> Self {
        let cpus = NonZeroU32::new(cpus).expect("a runtime has at least one CPU slot");
        Self { cpus, ..Self::default() }
    }
}

/// What `bpf_ktime_get_ns` reads.
#[derive(Clone, Default)]
pub enum Clock {
    /// The system's monotonic clock, as on Linux.
    #[default]
    Monotonic,
    /// Always the same number of nanoseconds.
    Fixed(u64),
    /// A clock of the host's own, in nanoseconds.
    Custom(Arc<dyn Fn() -> u64 + Send + Sync>),
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Monotonic => f.write_str("Monotonic"),
            Self::Fixed(ns) => write!(f, "Fixed({ns})"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// Where pseudo-random numbers start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seed {
    /// At a number that differs between runtimes: hash maps do not put the keys that a stranger
    /// chose into one bucket.
    #[default]
    Random,
    /// At a given number, so that runs can be repeated.
    Fixed(u64),
}

/// Where `bpf_trace_printk` writes.
#[derive(Clone, Default)]
pub enum Trace {
    /// Nowhere. The format is still checked and the helper returns the length.
    #[default]
    Discard,
    /// To a function that takes each message as it was printed. It runs inside the program's run.
    Callback(Arc<dyn Fn(&str) + Send + Sync>),
}

impl Trace {
    /// A trace that keeps every message, and the list in which it keeps them.
    #[must_use]
    pub fn capture() -> (Self, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let callback = move |line: &str| {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        };
        (Self::Callback(Arc::new(callback)), lines)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discard => "Discard",
            Self::Callback(_) => "Callback",
        })
    }
}
