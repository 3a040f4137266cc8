//! Placeholder.

pub mod capture;
