//! What a program runs on: a packet or memory, put back before every run.

use std::time::{Duration, Instant};

use brolga_abi::NativeKind;
use brolga_runtime::{Event, Packet, RawMemory, RunError, Session, SocketPacket};

use super::measure::Times;
use crate::io::Progress;

/// Runs between two readings of the clock. Each has a packet of its own, made ready before.
const BATCH: u32 = 16;

/// Packets or buffers that are used over and over.
pub enum Subject {
    /// `xdp`
    Xdp(Vec<Packet>),
    /// `socket_filter`
    Socket,
    /// `raw_memory`
    Raw(Vec<Vec<u8>>),
}

/// What a run returned and left behind.
pub struct Outcome<'a> {
    /// `r0`
    pub result: u64,
    /// The packet or memory afterwards.
    pub bytes: &'a [u8],
}

impl Subject {
    /// What programs of a kind run on.
    pub fn of(kind: NativeKind, repeat: u32) -> Self {
        let count = if repeat == 1 { 1 } else { BATCH as usize + 1 };
        match kind {
            NativeKind::Xdp => Self::Xdp((0..count).map(|_| Packet::default()).collect()),
            NativeKind::SocketFilter => Self::Socket,
            NativeKind::RawMemory => Self::Raw(vec![Vec::new(); count]),
        }
    }

    /// Runs the program `repeat` times on `input`. The outcome is the first run's. With more than
    /// one run, the first is not timed: it is the one that warms up.
    pub fn run<'a>(
        &'a mut self,
        session: &mut Session<'_>,
        input: &'a [u8],
        repeat: u32,
        times: &mut Times,
        progress: &Progress,
    ) -> Result<Outcome<'a>, RunError> {
        match self {
            Self::Xdp(packets) => {
                let (first, rest) = packets.split_first_mut().expect("there is one");
                first.set(input);
                let result = one(session, first, repeat, times)?;
                batches(
                    repeat,
                    |count| {
                        let batch = &mut rest[..count];
                        batch.iter_mut().for_each(|packet| packet.set(input));
                        timed(session, batch)
                    },
                    times,
                    progress,
                )?;
                Ok(Outcome { result, bytes: first.data() })
            }
            Self::Socket => {
                let result = one(session, &mut SocketPacket::new(input), repeat, times)?;
                batches(
                    repeat,
                    |count| {
                        let mut batch: Vec<_> = (0..count).map(|_| SocketPacket::new(input)).collect();
                        timed(session, &mut batch)
                    },
                    times,
                    progress,
                )?;
                Ok(Outcome { result, bytes: input })
            }
            Self::Raw(buffers) => {
                let (first, rest) = buffers.split_first_mut().expect("there is one");
                input.clone_into(first);
                let result = one(session, &mut RawMemory::new(first), repeat, times)?;
                batches(
                    repeat,
                    |count| {
                        let batch = &mut rest[..count];
                        batch.iter_mut().for_each(|buffer| input.clone_into(buffer));
                        let mut batch: Vec<_> =
                            batch.iter_mut().map(|buffer| RawMemory::new(buffer)).collect();
                        timed(session, &mut batch)
                    },
                    times,
                    progress,
                )?;
                Ok(Outcome { result, bytes: first })
            }
        }
    }
}

/// The first run, timed where it is the only one.
fn one<E: Event>(
    session: &mut Session<'_>,
    event: &mut E,
    repeat: u32,
    times: &mut Times,
) -> Result<u64, RunError> {
    let start = Instant::now();
    let result = session.run(event)?;
    let elapsed = start.elapsed();
    if repeat == 1 {
        times.record(1, elapsed);
    }
    Ok(result)
}

/// The other runs, in batches.
fn batches(
    repeat: u32,
    mut batch: impl FnMut(usize) -> Result<Duration, RunError>,
    times: &mut Times,
    progress: &Progress,
) -> Result<(), RunError> {
    let mut left = repeat - 1;
    while left > 0 {
        let count = left.min(BATCH);
        times.record(count, batch(count as usize)?);
        left -= count;
        progress.inc(count.into());
    }
    Ok(())
}

fn timed<E: Event>(session: &mut Session<'_>, events: &mut [E]) -> Result<Duration, RunError> {
    let start = Instant::now();
    for event in events {
        session.run(event)?;
    }
    Ok(start.elapsed())
}
