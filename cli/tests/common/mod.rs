//! Runs the command that was built, from the root of the repository.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The root of the repository: paths in arguments and in output are relative to it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command printed and returned.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `brolga` with arguments.
pub fn brolga<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Run {
    let output = command(args).output().expect("the command starts");
    Run::of(output)
}

/// The command, to be started otherwise.
pub fn command<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brolga"));
    command.args(args).current_dir(root());
    command
}

impl Run {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Checks the exit code; returns standard output.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        &self.stdout
    }

    /// Checks that the command failed with one line that says this.
    #[track_caller]
    pub fn fails(&self, message: &str) {
        self.exits(2);
        assert_eq!(self.stdout, "");
        let line = self.stderr.strip_prefix("error: ").expect("an error").trim_end();
        assert!(!line.contains('\n'), "more than one line: {line}");
        assert!(line.contains(message), "{line}\ndoes not say\n{message}");
    }

    /// The lines of standard output as JSON.
    pub fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}
