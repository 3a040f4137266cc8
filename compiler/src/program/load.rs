//! Loads an object: bytes in, linked programs and their maps out.

use brolga_abi::ProgramKind;

use super::{LoadError, Object, Problem};

/// What an object does not say itself.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Kind of the programs whose section's name does not say it.
    pub kind: Option<ProgramKind>,
    /// Bytes of the buffer that `raw_memory` programs are verified for.
    pub raw_memory_len: u32,
}

/// Loads an object file as `clang -target bpf` writes it.
///
/// # Errors
///
/// Where the object as a whole is malformed or beyond a limit. What is wrong with or unsupported
/// in one program is a finding of that program.
pub fn load(_bytes: &[u8], _options: &LoadOptions) -> Result<Object, LoadError> {
    Err(Problem::Unsupported { what: "loading objects".to_owned() }.somewhere())
}
