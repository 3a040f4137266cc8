//! Brolga's verdicts beside the running kernel's, program by program.
//!
//! Each program is loaded alone, by libbpf, into the running kernel, and verified here for that kernel's types. What the
//! kernel does not judge says nothing about Brolga. Differences with known reasons are listed in
//! `tests/parity/known.txt`, for Linux 6.18.

use std::collections::BTreeMap;
use std::fmt;

use brolga_compiler::program::{LoadOptions, Object, Target, load};
use brolga_compiler::verify::{Options, verify};

use super::verdict::{Judge, Verdict};
use crate::objects::ObjectFile;
use crate::repo;

/// What one side says of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// It is safe.
    Accepted,
    /// It is not: why.
    Refused(String),
    /// Nothing: why.
    NotJudged(String),
}

/// A program, and what both sides say.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Object and program: `object: program`.
    pub program: String,
    /// The program's kind.
    pub kind: String,
    /// Linux's verdict.
    pub linux: Says,
    /// Brolga's.
    pub brolga: Says,
    /// Why they differ, where that is known.
    pub known: Option<String>,
}

/// How two verdicts relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Agree,
    /// They differ, for a known reason.
    Known,
    /// Brolga accepts what Linux refuses.
    OnlyBrolga,
    /// Brolga refuses what Linux accepts.
    OnlyLinux,
    /// Brolga cannot judge what Linux can.
    Unsupported,
    /// Linux did not judge it, and Brolga accepts it.
    OnlyBrolgaJudges,
    /// Linux did not judge it, and Brolga does not accept it.
    Neither,
}

impl Judged {
    /// How the verdicts relate.
    #[must_use]
    pub fn relation(&self) -> Relation {
        let relation = match (&self.linux, &self.brolga) {
            (Says::NotJudged(_), Says::Accepted) => return Relation::OnlyBrolgaJudges,
            (Says::NotJudged(_), Says::Refused(_) | Says::NotJudged(_)) => return Relation::Neither,
            (Says::Accepted, Says::Accepted) | (Says::Refused(_), Says::Refused(_)) => {
                return Relation::Agree;
            }
            (Says::Refused(_), Says::Accepted) => Relation::OnlyBrolga,
            (Says::Accepted, Says::Refused(_)) => Relation::OnlyLinux,
            (Says::Accepted | Says::Refused(_), Says::NotJudged(_)) => Relation::Unsupported,
        };
        if self.known.is_some() { Relation::Known } else { relation }
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.program)?;
        if let Some(reason) = &self.known {
            write!(f, "known: {reason}; ")?;
        }
        write!(f, "Linux ")?;
        self.linux.write(f)?;
        write!(f, "; Brolga ")?;
        self.brolga.write(f)
    }
}

impl Says {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => write!(f, "accepts it"),
            Self::Refused(why) => write!(f, "refuses it: {}", end_of(why)),
            Self::NotJudged(why) => write!(f, "does not judge it: {}", end_of(why)),
        }
    }
}

/// The last lines that say something.
fn end_of(log: &str) -> String {
    let statistics = |line: &&str| {
        !["verification time ", "stack depth ", "processed "].iter().any(|start| line.starts_with(start))
    };
    let lines: Vec<&str> = log.lines().filter(statistics).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(2)..].join(" / ")
}

/// How many programs relate in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of relations")]
pub struct Counts {
    pub agree: usize,
    pub known: usize,
    pub only_brolga: usize,
    pub only_linux: usize,
    pub unsupported: usize,
    pub only_brolga_judges: usize,
    pub neither: usize,
}

impl Counts {
    /// Counts them.
    #[must_use]
    pub fn of(judged: &[Judged]) -> Self {
        let mut counts = Self::default();
        for program in judged {
            *match program.relation() {
                Relation::Agree => &mut counts.agree,
                Relation::Known => &mut counts.known,
                Relation::OnlyBrolga => &mut counts.only_brolga,
                Relation::OnlyLinux => &mut counts.only_linux,
                Relation::Unsupported => &mut counts.unsupported,
                Relation::OnlyBrolgaJudges => &mut counts.only_brolga_judges,
                Relation::Neither => &mut counts.neither,
            } += 1;
        }
        counts
    }

    /// Programs that Linux judged.
    #[must_use]
    pub const fn judged(&self) -> usize {
        self.agree + self.known + self.only_brolga + self.only_linux + self.unsupported
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judged = self.judged();
        // In hundredths of a percent.
        let share = self.agree * 10_000 / judged.max(1);
        writeln!(f, "{self:?}")?;
        write!(f, "{}.{:02}% of {judged} programs that Linux judges agree", share / 100, share % 100)
    }
}

/// Differences that are known, with the reasons, by `object: program`.
#[must_use]
pub fn known() -> BTreeMap<String, String> {
    repo::reasons("tests/parity/known.txt")
}

/// Has both sides judge every program of an object.
///
/// # Errors
///
/// Where one of them does not open it.
pub fn compare(
    file: &ObjectFile,
    target: &Target,
    known: &BTreeMap<String, String>,
) -> Result<Vec<Judged>, String> {
    let stem = file.name.rsplit('/').next().unwrap_or(&file.name).trim_end_matches(".o");
    let mut judge = Judge::open(&file.bytes)?;
    let options = LoadOptions { target: target.clone(), ..LoadOptions::default() };
    let mut object = load(&file.bytes, &options).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for at in 0..judge.programs.len() {
        let linux = match judge.judge(at) {
            Verdict::Accepted(_) => Says::Accepted,
            Verdict::Refused(log) => Says::Refused(log),
            Verdict::NotJudged(why) => Says::NotJudged(why),
        };
        for map in &judge.sized {
            object.set_max_entries(map, 1).map_err(|error| error.to_string())?;
        }
        let name = &judge.programs[at];
        let position = judge.programs[..at].iter().filter(|n| *n == name).count();
        let (kind, brolga) = ours(&object, name, position);
        let program = format!("{stem}: {name}");
        let known = known.get(&program).cloned();
        all.push(Judged { program, kind, linux, brolga, known });
    }
    Ok(all)
}

/// A program's kind, and what Brolga says of it.
fn ours(object: &Object, name: &str, position: usize) -> (String, Says) {
    let Some(program) = object.programs.iter().filter(|p| p.name == name).nth(position) else {
        return ("?".to_owned(), Says::NotJudged("no such program".to_owned()));
    };
    let kind = program.kind.map_or_else(|| "?".to_owned(), |kind| format!("{kind:?}"));
    let says = match verify(program, &Options::default()) {
        Ok(_) => Says::Accepted,
        Err(rejection) => {
            let unsupported = rejection.unsupported();
            let first = unsupported.unwrap_or(&rejection.diagnostics[0]);
            let at = first.insn.map_or_else(String::new, |insn| format!("insn {}: ", insn.0));
            match unsupported {
                Some(_) => Says::NotJudged(first.message.clone()),
                None => Says::Refused(format!("{at}{}", first.message)),
            }
        }
    };
    (kind, says)
}
