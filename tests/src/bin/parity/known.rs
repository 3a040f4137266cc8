//! Programs that Brolga judges otherwise than the running kernel, and why.

/// Object and program, and the reason.
pub const KNOWN: &[(&str, &str)] = &[];
