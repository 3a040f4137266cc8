//! The vocabulary of the helper table: what an argument must be and what a call returns.
//!
//! The words are those of the kernel's `enum bpf_arg_type` and `enum bpf_return_type`, one for each combination with
//! flags that Linux's helpers use.

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
    /// As [`Arg::Context`], or null (`ARG_PTR_TO_CTX_OR_NULL`).
    ContextOrNull,
    /// A map itself (`ARG_CONST_MAP_PTR`).
    Map,
    /// Initialised memory of the key size of the call's map (`ARG_PTR_TO_MAP_KEY`).
    MapKey,
    /// Initialised memory of the value size of the call's map (`ARG_PTR_TO_MAP_VALUE`).
    MapValue,
    /// As [`Arg::MapValue`], or null (`ARG_PTR_TO_MAP_VALUE_OR_NULL`).
    MapValueOrNull,
    /// Memory of the value size of the call's map that the helper fills (`ARG_PTR_TO_MAP_VALUE | MEM_UNINIT`).
    WriteMapValue,
    /// Memory that the helper reads; its length is the argument that follows (`ARG_PTR_TO_MEM | MEM_RDONLY`).
    ReadMem,
    /// As [`Arg::ReadMem`], and null is allowed where the length is zero (`PTR_MAYBE_NULL`).
    ReadMemOrNull,
    /// Memory that the helper fills, which need not be initialised (`ARG_PTR_TO_UNINIT_MEM`).
    WriteMem,
    /// As [`Arg::WriteMem`], and null is allowed where the length is zero.
    WriteMemOrNull,
    /// Initialised memory that the helper reads and writes (`ARG_PTR_TO_MEM | MEM_WRITE`).
    UpdateMem,
    /// Memory of this many bytes that the helper reads (`ARG_PTR_TO_FIXED_SIZE_MEM`).
    FixedMem(u32),
    /// Memory of this many bytes, aligned to them, that the helper fills
    /// (`ARG_PTR_TO_FIXED_SIZE_MEM | MEM_UNINIT | MEM_WRITE | MEM_ALIGNED`).
    WriteFixedMem(u32),
    /// Memory of this many bytes, aligned to them, that the helper reads and writes
    /// (`ARG_PTR_TO_FIXED_SIZE_MEM | MEM_WRITE | MEM_ALIGNED`).
    UpdateFixedMem(u32),
    /// The length of the memory before it, at least 1 (`ARG_CONST_SIZE`).
    Size,
    /// The length of the memory before it, 0 allowed (`ARG_CONST_SIZE_OR_ZERO`).
    SizeOrZero,
    /// A known number: how many bytes the result has (`ARG_CONST_ALLOC_SIZE_OR_ZERO`).
    AllocSize,
    /// The `bpf_spin_lock` of a map's value or of an allocated object (`ARG_PTR_TO_SPIN_LOCK`).
    SpinLock,
    /// The `bpf_timer` of a map's value (`ARG_PTR_TO_TIMER`).
    Timer,
    /// A socket of any layout (`ARG_PTR_TO_SOCK_COMMON`).
    SockCommon,
    /// A full socket, or null (`ARG_PTR_TO_SOCKET_OR_NULL`).
    SocketOrNull,
    /// A socket of any layout, or a kernel's `struct sock` or one of its kin (`ARG_PTR_TO_BTF_ID_SOCK_COMMON`).
    BtfSockCommon,
    /// As [`Arg::BtfSockCommon`], or null.
    BtfSockCommonOrNull,
    /// As [`Arg::BtfSockCommon`]; the program must own a reference to it and no longer does afterwards (`OBJ_RELEASE`).
    ReleaseSock,
    /// A pointer to a kernel structure of this name (`ARG_PTR_TO_BTF_ID`).
    Btf(&'static str),
    /// As [`Arg::Btf`], or null (`ARG_PTR_TO_BTF_ID_OR_NULL`).
    BtfOrNull(&'static str),
    /// A pointer to a per-CPU variable of the kernel (`ARG_PTR_TO_PERCPU_BTF_ID`).
    PercpuBtf,
    /// Memory that `bpf_ringbuf_reserve` gave; it is given back (`ARG_PTR_TO_RINGBUF_MEM | OBJ_RELEASE`).
    ReleaseRingbufMem,
    /// A function of the program, which the helper calls (`ARG_PTR_TO_FUNC`).
    Func,
    /// A pointer to the stack, or null: what the helper hands to its callback (`ARG_PTR_TO_STACK_OR_NULL`).
    StackOrNull,
    /// A string that ends in a zero byte, in a read-only map (`ARG_PTR_TO_CONST_STR`).
    ConstStr,
    /// A field of a map's value or of an allocated object that holds a kernel pointer (`ARG_KPTR_XCHG_DEST`).
    KptrDest,
    /// What is put into the field that [`Arg::KptrDest`] names, or null
    /// (`ARG_PTR_TO_BTF_ID_OR_NULL | OBJ_RELEASE`).
    ReleaseKptrOrNull,
    /// A dynptr (`ARG_PTR_TO_DYNPTR | MEM_RDONLY`).
    Dynptr,
    /// Stack that becomes a dynptr to memory of the program (`DYNPTR_TYPE_LOCAL | MEM_UNINIT`).
    WriteLocalDynptr,
    /// Stack that becomes a dynptr to a record of a ring buffer (`DYNPTR_TYPE_RINGBUF | MEM_UNINIT`).
    WriteRingbufDynptr,
    /// A dynptr to a record of a ring buffer; it is given back (`DYNPTR_TYPE_RINGBUF | OBJ_RELEASE`).
    ReleaseRingbufDynptr,
}

/// What `r0` holds after a helper call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// A scalar of any value (`RET_INTEGER`).
    Integer,
    /// Nothing that may be read (`RET_VOID`).
    Void,
    /// A pointer to a value of the call's map (`RET_PTR_TO_MAP_VALUE`).
    MapValue,
    /// A pointer to a value of the call's map, or null (`RET_PTR_TO_MAP_VALUE_OR_NULL`).
    MapValueOrNull,
    /// A full socket, or null (`RET_PTR_TO_SOCKET_OR_NULL`).
    SocketOrNull,
    /// A socket of which only the common fields are known, or null (`RET_PTR_TO_SOCK_COMMON_OR_NULL`).
    SockCommonOrNull,
    /// A TCP socket, or null (`RET_PTR_TO_TCP_SOCK_OR_NULL`).
    TcpSockOrNull,
    /// Memory of the size that [`Arg::AllocSize`] said, which must be given back, or null
    /// (`RET_PTR_TO_RINGBUF_MEM_OR_NULL`).
    RingbufMemOrNull,
    /// Memory of the size that [`Arg::AllocSize`] said, within a dynptr, or null (`RET_PTR_TO_DYNPTR_MEM_OR_NULL`).
    DynptrMemOrNull,
    /// A pointer to a kernel structure of this name that is trusted (`RET_PTR_TO_BTF_ID_TRUSTED`).
    Btf(&'static str),
    /// A pointer to a kernel structure of this name, or null (`RET_PTR_TO_BTF_ID_OR_NULL`).
    BtfOrNull(&'static str),
    /// What [`Arg::KptrDest`]'s field held, or null (`RET_PTR_TO_BTF_ID_OR_NULL` of a type that the field says).
    KptrOrNull,
    /// The variable of the kernel that [`Arg::PercpuBtf`] names, read-only (`RET_PTR_TO_MEM_OR_BTF_ID`).
    MemOrBtf,
    /// As [`Ret::MemOrBtf`], or null.
    MemOrBtfOrNull,
}

/// How many bytes of memory an argument refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgLength {
    /// Those of a key of the call's map.
    Key,
    /// Those of a value of the call's map.
    Value,
    /// As many as the argument after it says.
    Next,
    /// This many.
    Fixed(u32),
    /// As many as the helper likes.
    Unknown,
}

impl Arg {
    /// How many bytes of the program's memory it refers to; `None` where it refers to none that the stack may hold.
    #[must_use]
    pub const fn length(self) -> Option<ArgLength> {
        match self {
            Self::MapKey => Some(ArgLength::Key),
            Self::MapValue | Self::MapValueOrNull | Self::WriteMapValue => Some(ArgLength::Value),
            Self::ReadMem | Self::ReadMemOrNull | Self::WriteMem | Self::WriteMemOrNull | Self::UpdateMem => {
                Some(ArgLength::Next)
            }
            Self::FixedMem(size) | Self::WriteFixedMem(size) | Self::UpdateFixedMem(size) => {
                Some(ArgLength::Fixed(size))
            }
            Self::WriteLocalDynptr | Self::WriteRingbufDynptr | Self::ReleaseRingbufDynptr | Self::Dynptr => {
                Some(ArgLength::Fixed(16))
            }
            // The rest of a message's arguments, and what is handed to callbacks.
            Self::Unchecked | Self::StackOrNull => Some(ArgLength::Unknown),
            Self::Anything
            | Self::Context
            | Self::ContextOrNull
            | Self::Map
            | Self::Size
            | Self::SizeOrZero
            | Self::AllocSize
            | Self::SpinLock
            | Self::Timer
            | Self::SockCommon
            | Self::SocketOrNull
            | Self::BtfSockCommon
            | Self::BtfSockCommonOrNull
            | Self::ReleaseSock
            | Self::Btf(_)
            | Self::BtfOrNull(_)
            | Self::PercpuBtf
            | Self::ReleaseRingbufMem
            | Self::Func
            | Self::ConstStr
            | Self::KptrDest
            | Self::ReleaseKptrOrNull => None,
        }
    }

    /// Whether the helper may write to memory through it.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::WriteMapValue
            | Self::WriteMem
            | Self::WriteMemOrNull
            | Self::UpdateMem
            | Self::WriteFixedMem(_)
            | Self::UpdateFixedMem(_)
            | Self::SpinLock
            | Self::Timer
            | Self::KptrDest
            | Self::Func
            | Self::StackOrNull
            | Self::Dynptr
            | Self::WriteLocalDynptr
            | Self::WriteRingbufDynptr
            | Self::ReleaseRingbufDynptr => true,
            Self::Anything
            | Self::Unchecked
            | Self::Context
            | Self::ContextOrNull
            | Self::Map
            | Self::MapKey
            | Self::MapValue
            | Self::MapValueOrNull
            | Self::ReadMem
            | Self::ReadMemOrNull
            | Self::FixedMem(_)
            | Self::Size
            | Self::SizeOrZero
            | Self::AllocSize
            | Self::SockCommon
            | Self::SocketOrNull
            | Self::BtfSockCommon
            | Self::BtfSockCommonOrNull
            | Self::ReleaseSock
            | Self::Btf(_)
            | Self::BtfOrNull(_)
            | Self::PercpuBtf
            | Self::ReleaseRingbufMem
            | Self::ConstStr
            | Self::ReleaseKptrOrNull => false,
        }
    }
}
