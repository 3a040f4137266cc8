//! What tests need: engines that run the same program in four ways, case files, generators.

pub mod capture;
pub mod engines;
pub mod oracle;
