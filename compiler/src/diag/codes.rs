//! The diagnostics table: one row a code.
//!
//! A code is stable: scripts and readers search for it. `brolga explain CODE` prints its row.

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
    /// What it means and what to do, in a paragraph.
    pub explain: &'static str,
    /// A minimal example that triggers it and its repair, in C or in assembly.
    pub example: &'static str,
}

/// The diagnostics table, in the order of [`Code`].
pub const CODES: &[CodeInfo] = &[
    CodeInfo {
        code: Code::NullMapValue,
        name: "null-map-value",
        severity: Severity::Reject,
        explain: "A lookup returns null where the map has no such key. The result must be compared with \
                  null before anything is read or written through it.",
        example: "long *v = bpf_map_lookup_elem(&counts, &key);\nif (!v)\n\treturn XDP_PASS;   // without this: refused\n*v += 1;",
    },
    CodeInfo {
        code: Code::UnsupportedFeature,
        name: "unsupported-feature",
        severity: Severity::Unsupported,
        explain: "Linux may accept this program; Brolga cannot judge or run what it uses yet, and says which.",
        example: "",
    },
    CodeInfo {
        code: Code::UnsupportedProgramKind,
        name: "unsupported-program-kind",
        severity: Severity::Unsupported,
        explain: "The program's section name stands for a kind of program that Brolga does not support yet, or for \
                  none. Where the name says nothing, `--kind` gives the kind.",
        example: "SEC(\"my_section\")          // none of libbpf's names: give `--kind xdp`\n\
                  int prog(struct xdp_md *ctx)",
    },
    CodeInfo {
        code: Code::UnsupportedMapKind,
        name: "unsupported-map-kind",
        severity: Severity::Unsupported,
        explain: "The program refers to a map of a kind that Brolga cannot make yet. Other programs of the object \
                  are not concerned.",
        example: "",
    },
    CodeInfo {
        code: Code::UnsupportedRelocation,
        name: "unsupported-relocation",
        severity: Severity::Unsupported,
        explain: "The program needs a value that nobody gave: a kernel's configuration (`--kconfig`), variable or \
                  function (`--btf`), or a function of the host; or an address that Brolga cannot fill in yet.",
        example: "",
    },
    CodeInfo {
        code: Code::InvalidInstruction,
        name: "invalid-instruction",
        severity: Severity::Reject,
        explain: "Eight bytes of the program are no instruction: an unknown opcode, a reserved field that is not \
                  zero, a register above r10, or half of a 16-byte instruction.",
        example: "",
    },
    CodeInfo {
        code: Code::UnresolvedCall,
        name: "unresolved-call",
        severity: Severity::Reject,
        explain: "The program calls, or takes the address of, a function that the object does not define where it \
                  may be called: subprograms are in `.text` or in the program's own section.",
        example: "int other(void);                 // declared, defined nowhere\n\
                  SEC(\"xdp\") int prog(struct xdp_md *ctx) { return other(); }",
    },
    CodeInfo {
        code: Code::CoreMissing,
        name: "core-missing",
        severity: Severity::Reject,
        explain: "The program uses a field, type or enumerator that the kernel's BTF does not have, or has with a type \
                  that does not fit, and a path leads there. Where kernels differ, ask first with \
                  bpf_core_field_exists() or its siblings: then the use is dead code where the answer is no. \
                  The kernel's types come from `--btf`; without one, the object's own stand for them.",
        example: "struct task_struct___old { long state; } __attribute__((preserve_access_index));\n\
                  struct task_struct___old *old = (void *)task;\n\
                  if (bpf_core_field_exists(old->state))   // without this: refused on kernels that lack it\n\
                  \tstate = BPF_CORE_READ(old, state);",
    },
    CodeInfo {
        code: Code::CoreRelocation,
        name: "core-relocation",
        severity: Severity::Reject,
        explain: "A CO-RE relocation cannot be applied: several types of the kernel match and disagree, a bit field \
                  does not fit a load, or the record contradicts the instruction. libbpf refuses such an object.",
        example: "bpf_core_type_size(struct foo)   // refused where the kernel has two `struct foo` of two sizes",
    },
    CodeInfo {
        code: Code::UnresolvedExtern,
        name: "unresolved-extern",
        severity: Severity::Reject,
        explain: "The program uses a variable or function that the object leaves to the kernel to define, and the \
                  kernel for which it was loaded does not define it, or with another type. libbpf does not load the \
                  object. What a program can do without is declared weak, and asked for before it is used.",
        example: "extern int bpf_new_function(int) __ksym __weak;\n\
                  if (bpf_ksym_exists(bpf_new_function))\n\
                  \treturn bpf_new_function(1);",
    },
    CodeInfo {
        code: Code::EmptyProgram,
        name: "empty-program",
        severity: Severity::Reject,
        explain: "A program needs at least one instruction.",
        example: "r0 = 0\n\
                  exit                 // the shortest program",
    },
    CodeInfo {
        code: Code::ProgramTooLarge,
        name: "program-too-large",
        severity: Severity::Reject,
        explain: "Linux takes at most 1,000,000 instruction slots, and so does Brolga.",
        example: "",
    },
    CodeInfo {
        code: Code::UnreachableInsn,
        name: "unreachable-insn",
        severity: Severity::Reject,
        explain: "No path of the code leads to this instruction. Compilers drop such code; assembly \
                  written by hand has to drop it itself.",
        example: "r0 = 0\n\
                  exit\n\
                  r0 = 1               // refused: nothing jumps here\n\
                  exit",
    },
    CodeInfo {
        code: Code::JumpOutOfRange,
        name: "jump-out-of-range",
        severity: Severity::Reject,
        explain: "A jump leads out of its function: before its first instruction, past its last, or into \
                  another function.",
        example: "goto +100            // refused where the function is shorter",
    },
    CodeInfo {
        code: Code::JumpIntoSecondSlot,
        name: "jump-into-second-slot",
        severity: Severity::Reject,
        explain: "A 64-bit immediate takes two slots. A jump must not lead to the second.",
        example: "goto +1\n\
                  r1 = 7 ll            // the jump leads into the middle of this\n\
                  exit",
    },
    CodeInfo {
        code: Code::FallsOffEnd,
        name: "falls-off-end",
        severity: Severity::Reject,
        explain: "The last instruction of a function must be `exit` or a jump that is always taken, else \
                  control would run into whatever follows.",
        example: "r0 = 0               // refused: no exit",
    },
    CodeInfo {
        code: Code::TooManySubprogs,
        name: "too-many-subprogs",
        severity: Severity::Reject,
        explain: "A program may hold at most 256 functions.",
        example: "",
    },
    CodeInfo {
        code: Code::CallTarget,
        name: "call-target",
        severity: Severity::Reject,
        explain: "A call leads to an instruction that is not the start of a function.",
        example: "call +100            // refused where the program is shorter",
    },
    CodeInfo {
        code: Code::CallDepth,
        name: "call-depth",
        severity: Severity::Reject,
        explain: "At most 8 functions may be active at a time, and no function may call itself, directly \
                  or through others.",
        example: "static __noinline int f(int n) { return n ? f(n - 1) : 0; }   // refused",
    },
    CodeInfo {
        code: Code::StackTooDeep,
        name: "stack-too-deep",
        severity: Severity::Reject,
        explain: "The frames of all active functions must fit in 512 bytes together, each rounded up to \
                  16; before a function that makes tail calls at most 256 bytes may be in use.",
        example: "char big[600];       // refused: use a per-CPU array map instead",
    },
    CodeInfo {
        code: Code::ReservedForm,
        name: "reserved-form",
        severity: Severity::Reject,
        explain: "The instruction has a form that the instruction set reserves.",
        example: "w1 = (s32)w2         // refused: sign extension from 32 bits exists in 64 bits only",
    },
    CodeInfo {
        code: Code::InvalidShift,
        name: "invalid-shift",
        severity: Severity::Reject,
        explain: "A constant shift must be less than the width of the operand.",
        example: "w1 <<= 32            // refused: 0 to 31",
    },
    CodeInfo {
        code: Code::DivisionByZero,
        name: "division-by-zero",
        severity: Severity::Reject,
        explain: "Division or remainder by the constant 0.",
        example: "r1 /= 0              // refused; by a register, division by 0 yields 0",
    },
    CodeInfo {
        code: Code::FramePointerWrite,
        name: "frame-pointer-write",
        severity: Severity::Reject,
        explain: "`r10` is the frame pointer, which cannot be changed.",
        example: "r10 += -8            // refused: copy it first, `r2 = r10`",
    },
    CodeInfo {
        code: Code::UninitRegister,
        name: "uninit-register",
        severity: Severity::Reject,
        explain: "A register is read before anything was written to it on some path, or after a call \
                  destroyed it: calls keep `r6` to `r9` only.",
        example: "call bpf_ktime_get_ns\n\
                  r0 = r1              // refused: calls destroy r1 to r5",
    },
    CodeInfo {
        code: Code::InvalidMemAccess,
        name: "invalid-mem-access",
        severity: Severity::Reject,
        explain: "Memory is accessed through a value that is not a pointer to memory: a number, the end of \
                  the packet, or a map itself.",
        example: "r1 = 0\n\
                  r0 = *(u64 *)(r1 + 0)    // refused",
    },
    CodeInfo {
        code: Code::PacketBounds,
        name: "packet-bounds",
        severity: Severity::Reject,
        explain: "An access to the packet is not proven to lie before `data_end`. Compare the pointer plus \
                  the length of the access with `data_end`, and use that same pointer afterwards.",
        example: "struct ethhdr *eth = data;\n\
                  if ((void *)(eth + 1) > data_end)\n\
                  \treturn XDP_DROP;     // without this: refused\n\
                  return eth->h_proto;",
    },
    CodeInfo {
        code: Code::MapValueBounds,
        name: "map-value-bounds",
        severity: Severity::Reject,
        explain: "An access to a map's value is not proven to lie within the value's size.",
        example: "if (i >= MAX)\n\
                  \treturn 0;           // without this: refused\n\
                  value->slots[i]++;",
    },
    CodeInfo {
        code: Code::MemoryBounds,
        name: "memory-bounds",
        severity: Severity::Reject,
        explain: "An access to memory of known size is not proven to lie within it.",
        example: "",
    },
    CodeInfo {
        code: Code::StackBounds,
        name: "stack-bounds",
        severity: Severity::Reject,
        explain: "An access to the stack lies outside the 512 bytes below the frame pointer.",
        example: "*(u64 *)(r10 + 0) = 0    // refused: the stack lies below r10",
    },
    CodeInfo {
        code: Code::NegativeOffset,
        name: "negative-offset",
        severity: Severity::Reject,
        explain: "The variable part of the address may be negative. Use an unsigned index, or check that \
                  it is not below zero.",
        example: "if (i >= 0 && i < MAX)   // a signed index needs both\n\
                  \tvalue->slots[i]++;",
    },
    CodeInfo {
        code: Code::UnboundedAccess,
        name: "unbounded-access",
        severity: Severity::Reject,
        explain: "The variable part of the address or of the length has no upper bound.",
        example: "len &= 0xff;         // or: if (len > 255) return 0;\n\
                  bpf_xdp_load_bytes(ctx, 0, buf, len);",
    },
    CodeInfo {
        code: Code::MisalignedAccess,
        name: "misaligned-access",
        severity: Severity::Reject,
        explain: "Stack accesses and atomic operations must be aligned to their size.",
        example: "*(u64 *)(r10 - 12) = 0   // refused: -8, -16, ...",
    },
    CodeInfo {
        code: Code::ContextAccess,
        name: "context-access",
        severity: Severity::Reject,
        explain: "The context has no such field, or the field cannot be accessed in this width or \
                  direction.",
        example: "*(u32 *)(r1 + 0) = 0     // refused: `data` of xdp_md cannot be written",
    },
    CodeInfo {
        code: Code::ModifiedContext,
        name: "modified-context",
        severity: Severity::Reject,
        explain: "The context must be accessed through a pointer to its start, with a constant \
                  displacement.",
        example: "r1 += 4\n\
                  r0 = *(u32 *)(r1 + 0)    // write *(u32 *)(r1 + 4) instead",
    },
    CodeInfo {
        code: Code::ReadOnlyMap,
        name: "read-only-map",
        severity: Severity::Reject,
        explain: "The map's flags let programs only read it; `.rodata` is such a map.",
        example: "const volatile int limit = 5;\n\
                  limit = 6;               // refused",
    },
    CodeInfo {
        code: Code::WriteOnlyMap,
        name: "write-only-map",
        severity: Severity::Reject,
        explain: "The map's flags let programs only write it.",
        example: "",
    },
    CodeInfo {
        code: Code::ReadOnlyPacket,
        name: "read-only-packet",
        severity: Severity::Reject,
        explain: "Programs of this kind may not write to the packet.",
        example: "",
    },
    CodeInfo {
        code: Code::PointerArithmetic,
        name: "pointer-arithmetic",
        severity: Severity::Reject,
        explain: "The operation is not allowed on this kind of pointer. Addition and subtraction of \
                  numbers are, on most; check pointers that may be null first.",
        example: "r1 = r10\n\
                  r1 *= 2              // refused",
    },
    CodeInfo {
        code: Code::PointerOffset,
        name: "pointer-offset",
        severity: Severity::Reject,
        explain: "The offset that is added to a pointer has no bound, or exceeds 2^29.",
        example: "r1 = r10\n\
                  r1 += r0             // refused where r0 may be anything",
    },
    CodeInfo {
        code: Code::PartialSpill,
        name: "partial-spill",
        severity: Severity::Reject,
        explain: "A pointer is stored to or loaded from the stack in part. All 8 bytes must be moved at \
                  once, to an aligned slot.",
        example: "*(u32 *)(r10 - 8) = r1   // refused where r1 is a pointer",
    },
    CodeInfo {
        code: Code::StackPointerEscape,
        name: "stack-pointer-escape",
        severity: Severity::Reject,
        explain: "A pointer into a function's own stack frame would outlive the function.",
        example: "return &local;           // refused",
    },
    CodeInfo {
        code: Code::AtomicTarget,
        name: "atomic-target",
        severity: Severity::Reject,
        explain: "Atomic operations work on the stack and on map values, not on this memory.",
        example: "",
    },
    CodeInfo {
        code: Code::ArgumentType,
        name: "argument-type",
        severity: Severity::Reject,
        explain: "A helper's argument is not of the kind that the helper demands.",
        example: "bpf_map_lookup_elem(&m, 0)   // refused: the key is a pointer to initialised memory",
    },
    CodeInfo {
        code: Code::ArgumentSize,
        name: "argument-size",
        severity: Severity::Reject,
        explain: "The length given to a helper may be negative, zero where that is not allowed, or too \
                  large.",
        example: "if (len == 0 || len > 64)\n\
                  \treturn 0;            // without this: refused\n\
                  bpf_xdp_load_bytes(ctx, 0, buf, len);",
    },
    CodeInfo {
        code: Code::MapHelper,
        name: "map-helper",
        severity: Severity::Reject,
        explain: "The helper does not work on maps of this kind.",
        example: "bpf_map_update_elem(&prog_array, ...)   // refused: only tail_call may use it",
    },
    CodeInfo {
        code: Code::MapReference,
        name: "map-reference",
        severity: Severity::Reject,
        explain: "An instruction refers to a map, or to an offset in a map, that does not exist or has no \
                  address.",
        example: "",
    },
    CodeInfo {
        code: Code::MapDefinition,
        name: "map-definition",
        severity: Severity::Reject,
        explain: "The program uses a map that cannot be made: every map has room for an element, values have at \
                  least a byte, and keys of arrays have 4 bytes.",
        example: "struct {\n\
                  \t__uint(type, BPF_MAP_TYPE_ARRAY);\n\
                  \t__uint(max_entries, 16);         // without this: refused\n\
                  \t__type(key, __u32);              // __u64: refused\n\
                  \t__type(value, __u64);\n\
                  } counts SEC(\".maps\");",
    },
    CodeInfo {
        code: Code::UnknownHelper,
        name: "unknown-helper",
        severity: Severity::Reject,
        explain: "Linux has no helper of this number.",
        example: "",
    },
    CodeInfo {
        code: Code::HelperNotAllowed,
        name: "helper-not-allowed",
        severity: Severity::Reject,
        explain: "Programs of this kind cannot call this helper.",
        example: "",
    },
    CodeInfo {
        code: Code::GplOnlyHelper,
        name: "gpl-only-helper",
        severity: Severity::Reject,
        explain: "The helper may be called only by programs under a licence that is compatible with the \
                  GPL.",
        example: "char LICENSE[] SEC(\"license\") = \"GPL\";",
    },
    CodeInfo {
        code: Code::UnsupportedHelper,
        name: "unsupported-helper",
        severity: Severity::Unsupported,
        explain: "Linux has this helper; Brolga does not have it yet.",
        example: "",
    },
    CodeInfo {
        code: Code::UnsupportedKfunc,
        name: "unsupported-kfunc",
        severity: Severity::Unsupported,
        explain: "The program calls a kernel function; Brolga has none yet.",
        example: "",
    },
    CodeInfo {
        code: Code::LegacyPacketLoad,
        name: "legacy-packet-load",
        severity: Severity::Reject,
        explain: "Legacy packet loads exist in socket filters and traffic-control programs only, and take \
                  the context in `r6`.",
        example: "r6 = r1\n\
                  r0 = *(u16 *)skb[12]",
    },
    CodeInfo {
        code: Code::GlobalFunction,
        name: "global-function",
        severity: Severity::Reject,
        explain: "A global function is verified apart from its callers, by its parameter types alone. \
                  They, its return type or an argument of this call are not such that this can be done.",
        example: "static __noinline int f(void *p)   // static functions take anything",
    },
    CodeInfo {
        code: Code::ReturnValue,
        name: "return-value",
        severity: Severity::Reject,
        explain: "The value that the program returns is not one that its kind allows.",
        example: "",
    },
    CodeInfo {
        code: Code::MixedPointers,
        name: "mixed-pointers",
        severity: Severity::Reject,
        explain: "One path reaches this instruction with a pointer to the context and another with a \
                  pointer to something else. Accesses to the context are rewritten, so the instruction can \
                  serve only one of them.",
        example: "",
    },
    CodeInfo {
        code: Code::InfiniteLoop,
        name: "infinite-loop",
        severity: Severity::Reject,
        explain: "A loop comes back to where it was with nothing changed, so it may never end.",
        example: "while (1)\n\
                  \t;                    // refused; count up to a constant bound",
    },
    CodeInfo {
        code: Code::TooComplex,
        name: "too-complex",
        severity: Severity::Reject,
        explain: "Verification took more than its budget of instructions (1,000,000 by default, as in \
                  Linux) over all paths. Usually a loop has too many iterations, or each adds a path.",
        example: "for (i = 0; i < 64; i++)     // bound loops tightly",
    },
    CodeInfo {
        code: Code::NullPointer,
        name: "null-pointer",
        severity: Severity::Reject,
        explain: "What a helper or a kernel function returns may be null, and must be compared with null before it \
                  is used.",
        example: "struct bpf_sock *sk = skb->sk;\nif (!sk)\n\treturn 0;          // without this: refused\nreturn sk->family;",
    },
    CodeInfo {
        code: Code::StructureAccess,
        name: "structure-access",
        severity: Severity::Reject,
        explain: "A structure that the kernel's types describe is read one whole member at a time, within its bounds, \
                  and never written.",
        example: "pid_t pid = task->pid;           // task->pid = 0: refused",
    },
    CodeInfo {
        code: Code::SpecialField,
        name: "special-field",
        severity: Severity::Reject,
        explain: "Locks, timers, kernel pointers, lists and trees in a map's value are touched by the functions that \
                  are for them only, at their exact offset.",
        example: "struct value {\n\tstruct bpf_spin_lock lock;   // bpf_spin_lock(&v->lock), never v->lock.val\n\tint count;\n};",
    },
    CodeInfo {
        code: Code::Reference,
        name: "reference",
        severity: Severity::Reject,
        explain: "What a program acquires it must give back, on every path and once: a socket that was looked up, a \
                  record of a ring buffer that was reserved, a task that was acquired.",
        example: "struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple), BPF_F_CURRENT_NETNS, 0);\n\
                  if (sk)\n\tbpf_sk_release(sk);   // without this: refused",
    },
    CodeInfo {
        code: Code::Lock,
        name: "lock",
        severity: Severity::Reject,
        explain: "A spin lock is taken once, given back in the same program by the same pointer, and in between \
                  nothing is called that may take long.",
        example: "bpf_spin_lock(&v->lock);\nv->count += 1;\nbpf_spin_unlock(&v->lock);",
    },
    CodeInfo {
        code: Code::Section,
        name: "section",
        severity: Severity::Reject,
        explain: "A section (RCU, without preemption, without interrupts) is left on every path, and what may sleep \
                  is not called within it.",
        example: "bpf_rcu_read_lock();\np = task->real_parent;\nbpf_rcu_read_unlock();",
    },
    CodeInfo {
        code: Code::Callback,
        name: "callback",
        severity: Severity::Reject,
        explain: "A function that a helper calls must be a static function of the program, take what the helper \
                  hands over, and return what the helper understands.",
        example: "static int step(__u32 i, void *ctx)\n{\n\treturn 0;               // 0: go on, 1: stop\n}\n\
                  bpf_loop(10, step, &ctx, 0);",
    },
    CodeInfo {
        code: Code::Dynptr,
        name: "dynptr",
        severity: Severity::Reject,
        explain: "A dynptr lives on the stack, is made by one of the functions that make dynptrs, used only through \
                  functions, and not overwritten while something refers to it.",
        example: "struct bpf_dynptr ptr;\nbpf_dynptr_from_mem(value, 16, 0, &ptr);\nbpf_dynptr_read(buf, 8, &ptr, 0, 0);",
    },
    CodeInfo {
        code: Code::Iterator,
        name: "iterator",
        severity: Severity::Reject,
        explain: "An iterator lives on the stack, is made by its `new`, asked by its `next`, and ended by its \
                  `destroy` on every path.",
        example: "bpf_for(i, 0, 10)         // makes, asks and ends a `struct bpf_iter_num`\n\tsum += i;",
    },
    CodeInfo {
        code: Code::KernelFunction,
        name: "kernel-function",
        severity: Severity::Reject,
        explain: "The kernel function cannot be called like this: not by this kind of program, not here, or not with \
                  this argument.",
        example: "",
    },
    CodeInfo {
        code: Code::AttachTarget,
        name: "attach-target",
        severity: Severity::Reject,
        explain: "The kernel has no function, tracepoint, hook or callback of the name that the program's section gives, or \
                  programs cannot be attached to it.",
        example: "SEC(\"fentry/no_such_function\")   // refused: the kernel's types have no such function\n\
                  int BPF_PROG(on_call)",
    },
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
