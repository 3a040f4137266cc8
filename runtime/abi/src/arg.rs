//! The vocabulary of the helper table: what an argument must be and what a call returns.
//!
//! The words are those of the kernel's `enum bpf_arg_type` and `enum bpf_return_type`.

/// What a helper demands of one argument register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arg {
    /// Any initialised value, pointers included (`ARG_ANYTHING`).
    Anything,
    /// Not looked at, so that it may hold nothing: the rest of a helper that takes as many arguments as
    /// its text asks for (`ARG_DONTCARE`).
    Unchecked,
    /// The program's context, unmodified (`ARG_PTR_TO_CTX`).
    Context,
    /// A map itself (`ARG_CONST_MAP_PTR`).
    Map,
    /// Initialised memory of the key size of the call's map (`ARG_PTR_TO_MAP_KEY`).
    MapKey,
    /// Initialised memory of the value size of the call's map (`ARG_PTR_TO_MAP_VALUE`).
    MapValue,
    /// Memory that the helper reads; its length is the argument that follows (`ARG_PTR_TO_MEM | MEM_RDONLY`).
    ReadMem,
    /// As [`Arg::ReadMem`], and null is allowed where the length is zero (`PTR_MAYBE_NULL`).
    ReadMemOrNull,
    /// Memory that the helper fills, which need not be initialised (`ARG_PTR_TO_UNINIT_MEM`).
    WriteMem,
    /// The length of the memory before it, at least 1 (`ARG_CONST_SIZE`).
    Size,
    /// The length of the memory before it, 0 allowed (`ARG_CONST_SIZE_OR_ZERO`).
    SizeOrZero,
}

/// What `r0` holds after a helper call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// A scalar of any value (`RET_INTEGER`).
    Integer,
    /// Nothing that may be read (`RET_VOID`).
    Void,
    /// A pointer to a value of the call's map, or null (`RET_PTR_TO_MAP_VALUE_OR_NULL`).
    MapValueOrNull,
}
