//! The in-process API: object bytes in, a module out.
//!
//! Reads, verifies and compiles; nothing that was refused is ever run. What each stage found is handed on as it
//! is: diagnostics are data, rendered by `brolga_compiler::diag::render`.

pub use brolga_compiler as compiler;
