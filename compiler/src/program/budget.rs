//! Bounds what is copied out of an object.
//!
//! A file can share what loading copies: many symbols may have one long name, many programs call one
//! function. Whoever copies such things pays for them, so that a small file cannot ask for much memory.

use super::{LoadError, Problem};
use crate::diag::Diagnostic;

/// Bytes that may be copied, and that were.
pub(super) struct Budget {
    what: &'static str,
    limit: u64,
    spent: u64,
}

impl Budget {
    pub(super) fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit, spent: 0 }
    }

    /// For names: 4 MiB of them.
    pub(super) fn of_names(what: &'static str) -> Self {
        Self::new(what, 4 << 20)
    }

    /// Pays for bytes that are copied for the thing of a name.
    pub(super) fn spend(&mut self, bytes: usize, name: &str) -> Result<(), LoadError> {
        self.spent = self.spent.saturating_add(bytes as u64);
        if self.spent > self.limit {
            let (what, found, limit) = (self.what, self.spent, self.limit);
            return Err(Problem::Limit { what, found, limit }.somewhere().of(name));
        }
        Ok(())
    }

    /// A name's copy.
    pub(super) fn copy(&mut self, name: &str) -> Result<String, LoadError> {
        self.spend(name.len(), name)?;
        Ok(name.to_owned())
    }

    /// Pays for findings of the thing of a name.
    pub(super) fn spend_findings(&mut self, findings: &[Diagnostic], name: &str) -> Result<(), LoadError> {
        let size = |finding: &Diagnostic| size_of::<Diagnostic>() + finding.message.len();
        self.spend(findings.iter().map(size).sum(), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_gone() {
        let mut budget = Budget::new("bytes of names", 10);
        assert_eq!(budget.copy("seven b"), Ok("seven b".to_owned()));
        budget.spend(3, "").expect("just enough");
        let error = budget.spend(1, "last").expect_err("nothing is left");
        assert_eq!(error.to_string(), "`last`: bytes of names: 11 is above the limit of 10");
    }
}
