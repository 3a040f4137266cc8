//! What tests need: engines that run the same program in four ways, case files, generators.

pub mod ask;
pub mod bpf_syscall;
pub mod capture;
pub mod case;
pub mod differential;
pub mod edges;
pub mod engines;
pub mod facts;
pub mod generate;
pub mod labels;
#[cfg(feature = "libbpf")]
pub mod libbpf;
pub mod linked;
pub mod loader;
pub mod minimise;
pub mod mutate;
pub mod objects;
pub mod oracle;
pub mod rebuild;
pub mod repo;
pub mod runner;
pub mod running;
pub mod sections;
pub mod selftests;
pub mod soundness;
pub mod tagged;
