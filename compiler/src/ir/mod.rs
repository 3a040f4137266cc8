//! The intermediate form: SSA, made from a verified program and its facts.
//!
//! One [`Function`] a called subprogram. Blocks have parameters instead of phis. Each instruction
//! keeps the bytecode instruction from which it came and, where it touches memory, what the verifier
//! proved of the access. All operations are total: division by zero, shifts by the width or more and
//! the like have the ISA's meaning, so any instruction without effects may be moved, folded or removed.
//!
//! Nothing here is checked at run time. What `build` takes from the facts (regions, dead code, the
//! directions of branches) is wrong exactly where the facts are.
//!
//! How a pass is written: walk [`Function::blocks`], look at [`Function::insts`], make new
//! instructions with [`Function::make`] and put them into a block's list; to replace a value by
//! another call [`Function::replace`], and [`Function::apply_replacements`] once at the end of the
//! pass. [`Uses`] counts and lists users, [`Dominators`] orders blocks. [`check::check`] holds what
//! every pass must leave true.

mod build;
pub mod check;
mod dominators;
mod function;
mod ops;
mod print;
mod uses;

pub use build::build;
pub use dominators::Dominators;
pub use function::{Block, BlockData, Function, Inst, InstData, Type, Unit, Value, ValueDef};
pub use ops::{Args, Binary, Compare, Edge, ExtendKind, Mem, Op, Rmw, TailCalls, Terminator, Unary};
pub use uses::{User, Uses};
