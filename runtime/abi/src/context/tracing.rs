//! Contexts of programs that trace the kernel, and of other kinds whose context is no packet or socket.
//!
//! Registers are those of x86-64, on which Linux's own verifier was asked.

use super::{Access, ContextInfo, ContextShape, Field, FieldValue, pointer, word};

/// Memory of which any part may be read.
const fn memory(name: &'static str, offset: u32, width: u32) -> Field {
    Field::new(name, offset, width).read(Access::ANY)
}

/// `struct pt_regs`.
pub const PT_REGS: ContextInfo = ContextInfo::new("pt_regs", 168, &[memory("regs", 0, 168)]);

/// A tracepoint's record: whatever comes after its first 8 bytes. Which offsets exist is found out when the
/// program is attached.
pub const TRACEPOINT: ContextInfo = ContextInfo::new("tracepoint record", 8192, &[memory("record", 8, 8184)]);

/// `struct bpf_raw_tracepoint_args`: twelve arguments, of which a tracepoint has as many as it has.
pub const RAW_TRACEPOINT: ContextInfo =
    ContextInfo::new("bpf_raw_tracepoint_args", 96, &[memory("args", 0, 96)]);

/// `struct bpf_raw_tracepoint_args`, whose first argument is a buffer that the program may write to.
pub const RAW_TRACEPOINT_WRITABLE: ContextInfo = ContextInfo::new(
    "bpf_raw_tracepoint_args",
    96,
    &[
        Field::new("buffer", 0, 8)
            .read(Access { inside: 1 | 2 | 4, ..Access::DOUBLE })
            .yields(FieldValue::TracepointBuffer),
        memory("args", 8, 88),
    ],
);

/// `struct bpf_perf_event_data`.
pub const BPF_PERF_EVENT_DATA: ContextInfo = ContextInfo::new(
    "bpf_perf_event_data",
    184,
    &[
        Field::new("regs", 0, 168).read(Access { inside: 8, ..Access::DOUBLE }),
        memory("sample_period", 168, 8),
        memory("addr", 176, 8),
    ],
);

/// `struct bpf_nf_ctx`.
pub const BPF_NF_CTX: ContextInfo = ContextInfo::new(
    "bpf_nf_ctx",
    16,
    &[pointer("state", 0, FieldValue::Btf("nf_hook_state")), pointer("skb", 8, FieldValue::Btf("sk_buff"))],
);

/// What user space hands to a `syscall` program: as long as the program's accesses say.
pub const SYSCALL: ContextInfo =
    ContextInfo::new("syscall arguments", 65535, &[memory("args", 0, 65535).write(Access::ANY)]);

/// `lirc_mode2`: one signal.
pub const LIRC_MODE2: ContextInfo = ContextInfo::new("unsigned int", 4, &[word("sample", 0)]);

/// The arguments of a kernel function.
pub const BTF_ARGS: ContextInfo = ContextInfo { name: "arguments", size: 96, shape: ContextShape::BtfArgs };
