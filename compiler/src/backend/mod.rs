//! Turns Cranelift IR into code: in memory ([`jit`]) or in an object file.

pub mod jit;
