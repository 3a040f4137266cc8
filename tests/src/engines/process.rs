//! A driver's process: the executable that runs native code, and the pipes to it.
//!
//! Says nothing of what goes through the pipes; each driver has its own protocol.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use super::Error;

/// The running executable.
pub(super) struct Process {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    /// Where the executable is, for as long as it runs.
    _folder: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input is the end of it.
        self.to = None;
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a command whose executable is in a folder.
    pub(super) fn start(command: &mut Command, folder: TempDir) -> Result<Self, Error> {
        let name = command.get_program().to_string_lossy().into_owned();
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().map_err(|error| failed(&name, error))?;
        let to = child.stdin.take().expect("it is piped");
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Self { child, to: Some(to), from, _folder: folder })
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let to = self.to.as_mut().expect("it is open until the process is dropped");
        to.write_all(bytes).and_then(|()| to.flush()).map_err(|error| failed("the executable", error))
    }

    pub(super) fn take(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; len];
        self.from.read_exact(&mut bytes).map_err(|error| failed("the executable's answer", error))?;
        Ok(bytes)
    }

    pub(super) fn take_number(&mut self) -> Result<usize, Error> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")) as usize)
    }
}

pub(super) fn failed(what: &str, error: std::io::Error) -> Error {
    Error::Failed(format!("{what}: {error}"))
}
