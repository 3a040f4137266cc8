//! Functions of the host, as the interpreter calls them: on copies of the memory that they are handed.
//!
//! Written apart from the compiler's: arguments are cut and memory is checked here again, so that a
//! call that the verifier should have refused is a fault.

use brolga_compiler::isa::Size;
use brolga_compiler::program::{HostAccess, HostFunction, HostParam};

use super::Machine;
use super::fault::Cause;

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostValue {
    /// An integer, as wide as its type, or the context's address.
    Word(u64),
    /// The bytes of memory. What is changed in memory that may be written is written back.
    Memory(Vec<u8>),
}

/// What stands for a native function.
pub type HostCode = fn(&mut [HostValue]) -> u64;

/// Calls the function that a program knows by an index.
pub(super) fn call(
    machine: &mut Machine,
    function: &HostFunction,
    args: [Option<u64>; 5],
) -> Result<Option<u64>, Cause> {
    let wrong = |expected| Cause::WrongArgument { helper: "a host function", expected };
    let (_, code) = *machine
        .hosts
        .iter()
        .find(|(name, _)| *name == function.name)
        .ok_or_else(|| Cause::Unsupported(format!("the host function `{function}`")))?;
    let word = |at: usize| args[at].ok_or(wrong("an initialised argument register"));
    let mut values = Vec::new();
    let mut written = Vec::new();
    for (at, param) in function.params.iter().enumerate() {
        let (size, access) = match *param {
            HostParam::Scalar(scalar) => {
                values.push(HostValue::Word(cut(word(at)?, scalar.size, scalar.signed)));
                continue;
            }
            HostParam::Context => {
                let context = machine.context.map(|context| machine.memory.address(context, 0));
                if Some(word(at)?) != context {
                    return Err(wrong("the context"));
                }
                values.push(HostValue::Word(word(at)?));
                continue;
            }
            HostParam::Memory { size, access } => (size as usize, access),
            HostParam::Buffer { access } => {
                let len = usize::try_from(word(at + 1)?).map_err(|_| wrong("a length"))?;
                (len, access)
            }
        };
        values.push(HostValue::Memory(machine.memory.read(word(at)?, size)?));
        if access == HostAccess::ReadWrite {
            written.push((at, word(at)?));
        }
    }
    let result = code(&mut values);
    for (at, address) in written {
        if let HostValue::Memory(bytes) = &values[at] {
            machine.memory.write(address, bytes)?;
        }
    }
    Ok(function.returns.map(|scalar| cut(result, scalar.size, scalar.signed)))
}

/// The low bits of a word, extended to 64.
fn cut(word: u64, size: Size, signed: bool) -> u64 {
    let shift = 64 - 8 * size.bytes();
    let high = word << shift;
    if signed { (high.cast_signed() >> shift).cast_unsigned() } else { high >> shift }
}
