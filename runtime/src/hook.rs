//! Hooks: the only way by which events reach programs.
//!
//! A hook owns a source of events: a capture, recorded events, a point in the host's own code. It
//! lends one event at a time to a program and takes the result. It does not know which program
//! runs, and a program does not know which hook called it.

use crate::contexts::{Event, Packet, XdpVerdict};
use crate::error::RunError;
use crate::instance::ProgramHandle;
use crate::worker::Worker;

/// A source of events.
pub trait Hook {
    /// What programs run on.
    type Event: Event;

    /// The next event, or `None` where there are no more.
    fn next(&mut self) -> Option<&mut Self::Event>;

    /// Takes what the program returned for the event that [`Hook::next`] gave last. The event is as the program left it.
    fn done(&mut self, result: u64);
}

impl ProgramHandle {
    /// Runs the program on every event of a hook and returns how many there were.
    ///
    /// # Errors
    ///
    /// The first run that fails ends the series: see [`RunError`].
    pub fn attach<H: Hook>(&self, worker: &mut Worker, hook: &mut H) -> Result<u64, RunError> {
        let mut session = self.session(worker)?;
        let mut runs = 0;
        while let Some(event) = hook.next() {
            let result = session.run(event)?;
            hook.done(result);
            runs += 1;
        }
        Ok(runs)
    }
}

/// What became of a packet that [`Packets`] replayed.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// The packet as the program left it.
    pub packet: &'a mut Packet,
    /// The program's verdict.
    pub verdict: XdpVerdict,
}

/// A hook that replays packets from an iterator and hands each on after its run.
#[derive(Debug)]
pub struct Packets<I, F> {
    source: I,
    packet: Packet,
    done: F,
}

impl<I, B, F> Packets<I, F>
where
    I: Iterator<Item = B>,
    B: AsRef<[u8]>,
    F: FnMut(Replayed<'_>),
{
    /// Replays what `source` yields; `done` sees each packet afterwards.
    pub fn new(source: impl IntoIterator<IntoIter = I>, done: F) -> Self {
        Self { source: source.into_iter(), packet: Packet::default(), done }
    }
}

impl<I, B, F> Hook for Packets<I, F>
where
    I: Iterator<Item = B>,
    B: AsRef<[u8]>,
    F: FnMut(Replayed<'_>),
{
    type Event = Packet;

    fn next(&mut self) -> Option<&mut Packet> {
        self.packet.set(self.source.next()?.as_ref());
        Some(&mut self.packet)
    }

    fn done(&mut self, result: u64) {
        (self.done)(Replayed { packet: &mut self.packet, verdict: XdpVerdict::from_result(result) });
    }
}
