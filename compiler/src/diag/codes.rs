//! The diagnostics table: one row a code.
//!
//! A code is stable: scripts and readers search for it. Its page is a file of its name in `pages/`: what `brolga explain
//! CODE` prints, what SARIF shows as help, and what tests compile.

use super::Severity;

/// A diagnostic code. The order is that of [`CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs, reason = "the table explains each")]
pub enum Code {
    NullMapValue,
    UnsupportedFeature,
    UnsupportedProgramKind,
    UnsupportedMapKind,
    UnsupportedRelocation,
    InvalidInstruction,
    UnresolvedCall,
    CoreMissing,
    CoreRelocation,
    UnresolvedExtern,
    EmptyProgram,
    ProgramTooLarge,
    UnreachableInsn,
    JumpOutOfRange,
    JumpIntoSecondSlot,
    FallsOffEnd,
    TooManySubprogs,
    CallTarget,
    CallDepth,
    StackTooDeep,
    ReservedForm,
    InvalidShift,
    DivisionByZero,
    FramePointerWrite,
    UninitRegister,
    InvalidMemAccess,
    PacketBounds,
    MapValueBounds,
    MemoryBounds,
    StackBounds,
    NegativeOffset,
    UnboundedAccess,
    MisalignedAccess,
    ContextAccess,
    ModifiedContext,
    ReadOnlyMap,
    WriteOnlyMap,
    ReadOnlyPacket,
    PointerArithmetic,
    PointerOffset,
    PartialSpill,
    StackPointerEscape,
    AtomicTarget,
    ArgumentType,
    ArgumentSize,
    MapHelper,
    MapReference,
    MapDefinition,
    UnknownHelper,
    HelperNotAllowed,
    GplOnlyHelper,
    UnsupportedHelper,
    UnsupportedKfunc,
    LegacyPacketLoad,
    GlobalFunction,
    ReturnValue,
    MixedPointers,
    InfiniteLoop,
    TooComplex,
    NullPointer,
    StructureAccess,
    SpecialField,
    Reference,
    Lock,
    Section,
    Callback,
    Dynptr,
    Iterator,
    KernelFunction,
    AttachTarget,
    PointerLeak,
    UninitStack,
    NeedsPrivilege,
}

/// One row of the diagnostics table.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The code that the row describes.
    pub code: Code,
    /// The stable name, in kebab case.
    pub name: &'static str,
    /// How it counts.
    pub severity: Severity,
    /// What it means, why Linux refuses it, a program in C that is refused and its repair; in Markdown.
    pub page: &'static str,
}

impl CodeInfo {
    /// The page's text before the sentence that leads to the first example, without its heading.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        let text = self.page.split_once('\n').map_or("", |(_, rest)| rest);
        let text = text.split("\n```").next().unwrap_or_default().trim();
        text.rsplit_once("\n\n").map_or(text, |(text, _)| text)
    }

    /// The first sentence of the page, without its full stop.
    #[must_use]
    pub fn summary(&self) -> String {
        let paragraph = self.meaning().split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let first = paragraph.split_once(". ").map_or(paragraph.as_str(), |(first, _)| first);
        first.trim_end_matches(['.', ':']).to_owned()
    }
}

const fn row(code: Code, name: &'static str, severity: Severity, page: &'static str) -> CodeInfo {
    CodeInfo { code, name, severity, page }
}

/// The diagnostics table, in the order of [`Code`].
pub const CODES: &[CodeInfo] = &[
    row(Code::NullMapValue, "null-map-value", Severity::Reject, include_str!("pages/null-map-value.md")),
    row(
        Code::UnsupportedFeature,
        "unsupported-feature",
        Severity::Unsupported,
        include_str!("pages/unsupported-feature.md"),
    ),
    row(
        Code::UnsupportedProgramKind,
        "unsupported-program-kind",
        Severity::Unsupported,
        include_str!("pages/unsupported-program-kind.md"),
    ),
    row(
        Code::UnsupportedMapKind,
        "unsupported-map-kind",
        Severity::Unsupported,
        include_str!("pages/unsupported-map-kind.md"),
    ),
    row(
        Code::UnsupportedRelocation,
        "unsupported-relocation",
        Severity::Unsupported,
        include_str!("pages/unsupported-relocation.md"),
    ),
    row(
        Code::InvalidInstruction,
        "invalid-instruction",
        Severity::Reject,
        include_str!("pages/invalid-instruction.md"),
    ),
    row(Code::UnresolvedCall, "unresolved-call", Severity::Reject, include_str!("pages/unresolved-call.md")),
    row(Code::CoreMissing, "core-missing", Severity::Reject, include_str!("pages/core-missing.md")),
    row(Code::CoreRelocation, "core-relocation", Severity::Reject, include_str!("pages/core-relocation.md")),
    row(
        Code::UnresolvedExtern,
        "unresolved-extern",
        Severity::Reject,
        include_str!("pages/unresolved-extern.md"),
    ),
    row(Code::EmptyProgram, "empty-program", Severity::Reject, include_str!("pages/empty-program.md")),
    row(
        Code::ProgramTooLarge,
        "program-too-large",
        Severity::Reject,
        include_str!("pages/program-too-large.md"),
    ),
    row(
        Code::UnreachableInsn,
        "unreachable-insn",
        Severity::Reject,
        include_str!("pages/unreachable-insn.md"),
    ),
    row(
        Code::JumpOutOfRange,
        "jump-out-of-range",
        Severity::Reject,
        include_str!("pages/jump-out-of-range.md"),
    ),
    row(
        Code::JumpIntoSecondSlot,
        "jump-into-second-slot",
        Severity::Reject,
        include_str!("pages/jump-into-second-slot.md"),
    ),
    row(Code::FallsOffEnd, "falls-off-end", Severity::Reject, include_str!("pages/falls-off-end.md")),
    row(
        Code::TooManySubprogs,
        "too-many-subprogs",
        Severity::Reject,
        include_str!("pages/too-many-subprogs.md"),
    ),
    row(Code::CallTarget, "call-target", Severity::Reject, include_str!("pages/call-target.md")),
    row(Code::CallDepth, "call-depth", Severity::Reject, include_str!("pages/call-depth.md")),
    row(Code::StackTooDeep, "stack-too-deep", Severity::Reject, include_str!("pages/stack-too-deep.md")),
    row(Code::ReservedForm, "reserved-form", Severity::Reject, include_str!("pages/reserved-form.md")),
    row(Code::InvalidShift, "invalid-shift", Severity::Reject, include_str!("pages/invalid-shift.md")),
    row(
        Code::DivisionByZero,
        "division-by-zero",
        Severity::Reject,
        include_str!("pages/division-by-zero.md"),
    ),
    row(
        Code::FramePointerWrite,
        "frame-pointer-write",
        Severity::Reject,
        include_str!("pages/frame-pointer-write.md"),
    ),
    row(Code::UninitRegister, "uninit-register", Severity::Reject, include_str!("pages/uninit-register.md")),
    row(
        Code::InvalidMemAccess,
        "invalid-mem-access",
        Severity::Reject,
        include_str!("pages/invalid-mem-access.md"),
    ),
    row(Code::PacketBounds, "packet-bounds", Severity::Reject, include_str!("pages/packet-bounds.md")),
    row(
        Code::MapValueBounds,
        "map-value-bounds",
        Severity::Reject,
        include_str!("pages/map-value-bounds.md"),
    ),
    row(Code::MemoryBounds, "memory-bounds", Severity::Reject, include_str!("pages/memory-bounds.md")),
    row(Code::StackBounds, "stack-bounds", Severity::Reject, include_str!("pages/stack-bounds.md")),
    row(Code::NegativeOffset, "negative-offset", Severity::Reject, include_str!("pages/negative-offset.md")),
    row(
        Code::UnboundedAccess,
        "unbounded-access",
        Severity::Reject,
        include_str!("pages/unbounded-access.md"),
    ),
    row(
        Code::MisalignedAccess,
        "misaligned-access",
        Severity::Reject,
        include_str!("pages/misaligned-access.md"),
    ),
    row(Code::ContextAccess, "context-access", Severity::Reject, include_str!("pages/context-access.md")),
    row(
        Code::ModifiedContext,
        "modified-context",
        Severity::Reject,
        include_str!("pages/modified-context.md"),
    ),
    row(Code::ReadOnlyMap, "read-only-map", Severity::Reject, include_str!("pages/read-only-map.md")),
    row(Code::WriteOnlyMap, "write-only-map", Severity::Reject, include_str!("pages/write-only-map.md")),
    row(
        Code::ReadOnlyPacket,
        "read-only-packet",
        Severity::Reject,
        include_str!("pages/read-only-packet.md"),
    ),
    row(
        Code::PointerArithmetic,
        "pointer-arithmetic",
        Severity::Reject,
        include_str!("pages/pointer-arithmetic.md"),
    ),
    row(Code::PointerOffset, "pointer-offset", Severity::Reject, include_str!("pages/pointer-offset.md")),
    row(Code::PartialSpill, "partial-spill", Severity::Reject, include_str!("pages/partial-spill.md")),
    row(
        Code::StackPointerEscape,
        "stack-pointer-escape",
        Severity::Reject,
        include_str!("pages/stack-pointer-escape.md"),
    ),
    row(Code::AtomicTarget, "atomic-target", Severity::Reject, include_str!("pages/atomic-target.md")),
    row(Code::ArgumentType, "argument-type", Severity::Reject, include_str!("pages/argument-type.md")),
    row(Code::ArgumentSize, "argument-size", Severity::Reject, include_str!("pages/argument-size.md")),
    row(Code::MapHelper, "map-helper", Severity::Reject, include_str!("pages/map-helper.md")),
    row(Code::MapReference, "map-reference", Severity::Reject, include_str!("pages/map-reference.md")),
    row(Code::MapDefinition, "map-definition", Severity::Reject, include_str!("pages/map-definition.md")),
    row(Code::UnknownHelper, "unknown-helper", Severity::Reject, include_str!("pages/unknown-helper.md")),
    row(
        Code::HelperNotAllowed,
        "helper-not-allowed",
        Severity::Reject,
        include_str!("pages/helper-not-allowed.md"),
    ),
    row(Code::GplOnlyHelper, "gpl-only-helper", Severity::Reject, include_str!("pages/gpl-only-helper.md")),
    row(
        Code::UnsupportedHelper,
        "unsupported-helper",
        Severity::Unsupported,
        include_str!("pages/unsupported-helper.md"),
    ),
    row(
        Code::UnsupportedKfunc,
        "unsupported-kfunc",
        Severity::Unsupported,
        include_str!("pages/unsupported-kfunc.md"),
    ),
    row(
        Code::LegacyPacketLoad,
        "legacy-packet-load",
        Severity::Reject,
        include_str!("pages/legacy-packet-load.md"),
    ),
    row(Code::GlobalFunction, "global-function", Severity::Reject, include_str!("pages/global-function.md")),
    row(Code::ReturnValue, "return-value", Severity::Reject, include_str!("pages/return-value.md")),
    row(Code::MixedPointers, "mixed-pointers", Severity::Reject, include_str!("pages/mixed-pointers.md")),
    row(Code::InfiniteLoop, "infinite-loop", Severity::Reject, include_str!("pages/infinite-loop.md")),
    row(Code::TooComplex, "too-complex", Severity::Reject, include_str!("pages/too-complex.md")),
    row(Code::NullPointer, "null-pointer", Severity::Reject, include_str!("pages/null-pointer.md")),
    row(
        Code::StructureAccess,
        "structure-access",
        Severity::Reject,
        include_str!("pages/structure-access.md"),
    ),
    row(Code::SpecialField, "special-field", Severity::Reject, include_str!("pages/special-field.md")),
    row(Code::Reference, "reference", Severity::Reject, include_str!("pages/reference.md")),
    row(Code::Lock, "lock", Severity::Reject, include_str!("pages/lock.md")),
    row(Code::Section, "section", Severity::Reject, include_str!("pages/section.md")),
    row(Code::Callback, "callback", Severity::Reject, include_str!("pages/callback.md")),
    row(Code::Dynptr, "dynptr", Severity::Reject, include_str!("pages/dynptr.md")),
    row(Code::Iterator, "iterator", Severity::Reject, include_str!("pages/iterator.md")),
    row(Code::KernelFunction, "kernel-function", Severity::Reject, include_str!("pages/kernel-function.md")),
    row(Code::AttachTarget, "attach-target", Severity::Reject, include_str!("pages/attach-target.md")),
    row(Code::PointerLeak, "pointer-leak", Severity::Reject, include_str!("pages/pointer-leak.md")),
    row(Code::UninitStack, "uninit-stack", Severity::Reject, include_str!("pages/uninit-stack.md")),
    row(Code::NeedsPrivilege, "needs-privilege", Severity::Reject, include_str!("pages/needs-privilege.md")),
];

const _: () = {
    let mut i = 0;
    while i < CODES.len() {
        assert!(CODES[i].code as usize == i, "rows must follow the order of `Code`");
        i += 1;
    }
};

impl Code {
    /// This code's row.
    #[must_use]
    pub const fn info(self) -> &'static CodeInfo {
        &CODES[self as usize]
    }

    /// The code with a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        CODES.iter().find(|row| row.name == name).map(|row| row.code)
    }
}
