//! What libbpf 1.7 makes of an object, beside what Brolga's loader makes of it.
//!
//! libbpf needs the running kernel: it makes maps and looks into its types. Where something that only the
//! kernel lacks (a module, a kind of map) keeps an object from being prepared, as little as possible of
//! it is changed or left out, and that is listed: see [`prepare()`].

mod compare;
mod maps;
pub mod parity;
mod prepare;
pub mod sys;
mod time;
mod verdict;

pub use compare::{Comparison, Difference, Report, compare_all, compare_core, compare_programs};
pub use maps::differing_maps;
pub use prepare::{LeftOut, Outcome, Prepared, prepare};
pub use time::{Times, time};
pub use verdict::{Cost, Judge, Verdict, cost};
