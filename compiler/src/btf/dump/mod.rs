//! Prints BTF as C declarations, as `bpftool btf dump format c` does: a `vmlinux.h`.
//!
//! Every named type comes out once, after those that it needs complete (`order`). Names that C
//! would take for the same get a suffix (`names`), which CO-RE takes for a flavour. Structures are
//! laid out by the rules of C for BPF, and whatever these would place elsewhere than BTF says is
//! mended with padding and `packed` (`layout`), so that offsets and sizes are exactly those of
//! BTF; a structure for which C has no way (members that overlap) becomes bytes.
//!
//! Variables, sections and functions are not printed, but for kernel functions that programs may call.
//!
//! BTF can be small and mean much text, since what has no name is printed wherever it is used. Steps
//! and text are bounded by the size of the input, and an error says so.

mod decl;
mod define;
mod layout;
mod names;
mod order;
#[cfg(test)]
mod tests;

use std::fmt;

use super::{Btf, BtfError, Kind, TypeId};
use layout::Layouts;
use names::Names;
use order::Order;

/// Text that may come of each byte of BTF, beside [`TEXT`]. What is nested is counted at each level.
const TEXT_PER_BYTE: usize = 3;
/// Bytes of text that any BTF may become.
const TEXT: usize = 8 << 20;
/// Steps for each byte of BTF, beside [`STEPS`].
const STEPS_PER_BYTE: usize = 2;
/// Steps that any BTF may take.
const STEPS: usize = 1 << 17;
/// Deepest nesting of types without name, parameters included.
const MAX_NESTING: usize = 200;

/// Why types could not be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpError {
    /// The BTF is invalid.
    Btf(BtfError),
    /// A type would have to be complete before itself, which no C can say.
    Cycle {
        /// The type.
        id: TypeId,
    },
    /// The text would be many times longer than its BTF.
    TooLong {
        /// The type at which the bound was reached.
        id: TypeId,
    },
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Btf(error) => error.fmt(f),
            Self::Cycle { id } => write!(f, "type {} would have to be complete before itself", id.0),
            Self::TooLong { id } => write!(f, "the text grows out of proportion at type {}", id.0),
        }
    }
}

impl std::error::Error for DumpError {}

impl From<BtfError> for DumpError {
    fn from(error: BtfError) -> Self {
        Self::Btf(error)
    }
}

/// The types as a C header. Of a split BTF its own types, and those of the base that they need.
///
/// # Errors
///
/// Where a reference leads nowhere, or C has no way to say it.
pub fn c(btf: &Btf) -> Result<String, DumpError> {
    let mut dump = Dump::new(btf)?;
    dump.out.push_str(HEAD);
    for id in btf.ids() {
        dump.at = id;
        dump.top_level(id)?;
    }
    dump.out.push_str(FOOT);
    dump.kernel_functions()?;
    dump.out.push_str("\n#endif\n");
    Ok(dump.out)
}

/// Nothing may be relocated where the user says so.
const HEAD: &str = "\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

";

const FOOT: &str = "\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif
";

const KFUNC_HEAD: &str = "
#ifndef BPF_NO_KFUNC_PROTOTYPES
#ifndef __ksym
#define __ksym __attribute__((section(\".ksyms\")))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif

";

/// What is done so far.
struct Dump<'a> {
    btf: &'a Btf,
    names: Names<'a>,
    layouts: Layouts,
    order: Order,
    out: String,
    /// Text that may still be written.
    room: usize,
    /// Steps that are left.
    steps: usize,
    /// The type that is being printed, for errors.
    at: TypeId,
}

impl<'a> Dump<'a> {
    fn new(btf: &'a Btf) -> Result<Self, DumpError> {
        let bytes = btf.len_with_base();
        let types = btf.next_id() as usize;
        let room = bytes.saturating_mul(TEXT_PER_BYTE).saturating_add(TEXT);
        Ok(Self {
            btf,
            names: Names::new(btf, room)?,
            layouts: Layouts::new(types),
            order: Order::new(btf),
            out: String::new(),
            room,
            steps: bytes.saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS),
            at: TypeId::VOID,
        })
    }

    /// Counts a step.
    fn step(&mut self) -> Result<(), DumpError> {
        self.steps = self.steps.checked_sub(1).ok_or(DumpError::TooLong { id: self.at })?;
        Ok(())
    }

    /// Counts text.
    fn count(&mut self, text: &str) -> Result<(), DumpError> {
        self.room = self.room.checked_sub(text.len()).ok_or(DumpError::TooLong { id: self.at })?;
        self.step()
    }

    /// Prints a type with what it needs, where types of its kind stand on their own.
    fn top_level(&mut self, id: TypeId) -> Result<(), DumpError> {
        let ty = self.btf.get(id)?;
        let named = !ty.name()?.is_empty();
        match ty.kind() {
            Kind::Struct | Kind::Union | Kind::Typedef if named => self.require(id),
            Kind::Enum | Kind::Enum64 if named || !self.order.is_referenced(id) => self.require(id),
            Kind::Fwd if named => self.declare(id),
            Kind::Struct
            | Kind::Union
            | Kind::Typedef
            | Kind::Enum
            | Kind::Enum64
            | Kind::Fwd
            | Kind::Void
            | Kind::Int
            | Kind::Ptr
            | Kind::Array
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag => Ok(()),
        }
    }

    /// Declares the functions that the kernel marks for programs to call.
    fn kernel_functions(&mut self) -> Result<(), DumpError> {
        let mut begun = false;
        for id in self.btf.ids() {
            let tag = self.btf.get(id)?;
            if tag.component() != Some(-1) || tag.name()? != "bpf_kfunc" {
                continue;
            }
            let func = self.btf.get(tag.referenced())?;
            if func.kind() != Kind::Func {
                continue;
            }
            self.at = func.id();
            self.require_parts(func.referenced())?;
            if !std::mem::replace(&mut begun, true) {
                self.out.push_str(KFUNC_HEAD);
            }
            let name = names::identifier(func.name()?).into_owned();
            let text = self.declaration(func.referenced(), &name, 0, 0)?;
            self.count(&text)?;
            self.out.push_str("extern ");
            self.out.push_str(&text);
            self.out.push_str(" __weak __ksym;\n");
        }
        if begun {
            self.out.push_str("#endif\n");
        }
        Ok(())
    }
}
