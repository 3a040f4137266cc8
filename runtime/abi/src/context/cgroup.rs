//! Contexts of the kinds that guard a cgroup's devices, sysctls and socket options.

use super::{Access, ContextInfo, FieldValue, narrow, pointer, word};
use crate::kinds::AttachType;

/// `struct bpf_cgroup_dev_ctx`.
pub const BPF_CGROUP_DEV_CTX: ContextInfo = ContextInfo::new(
    "bpf_cgroup_dev_ctx",
    12,
    &[narrow("access_type", 0), word("major", 4), word("minor", 8)],
);

/// `struct bpf_sysctl`.
pub const BPF_SYSCTL: ContextInfo =
    ContextInfo::new("bpf_sysctl", 8, &[narrow("write", 0), narrow("file_pos", 4).write(Access::WORD)]);

const GET: Access = Access::WORD.only(&[AttachType::CgroupGetsockopt]);
const SET: Access = Access::WORD.only(&[AttachType::CgroupSetsockopt]);

/// `struct bpf_sockopt`.
pub const BPF_SOCKOPT: ContextInfo = ContextInfo::new(
    "bpf_sockopt",
    40,
    &[
        pointer("sk", 0, FieldValue::Socket),
        pointer("optval", 8, FieldValue::Packet),
        pointer("optval_end", 16, FieldValue::PacketEnd),
        word("level", 24).write(SET),
        word("optname", 28).write(SET),
        word("optlen", 32).write(Access::WORD),
        word("retval", 36).read(GET).write(GET),
    ],
);
