//! Contexts of programs that see sockets, and what pointers to sockets may read.

use super::{Access, ContextInfo, Field, FieldValue, narrow, pointer, word, words};
use crate::kinds::AttachType as At;

/// A field of which the first 1, 2 or 4 bytes are read.
const fn first(name: &'static str, offset: u32) -> Field {
    Field::new(name, offset, 4).read(Access::NARROW_FIRST)
}

/// Words of one name, read as words or in parts.
const fn narrow_words(name: &'static str, offset: u32) -> Field {
    Field::new(name, offset, 16).read(Access::NARROW)
}

/// `dst_port` has 2 bytes; programs written when it had 4 may read those, padding included.
const DST_PORT: Field = Field::new("dst_port", 48, 2).read(Access { inside: 1, ..Access::NARROW_FIRST });

/// `struct bpf_sock` as `cgroup_sock` programs may see and change it.
pub const BPF_SOCK: ContextInfo = ContextInfo::new(
    "bpf_sock",
    80,
    &[
        word("bound_dev_if", 0).read(Access::WORD.only(CREATED)).write(Access::WORD.only(CREATED)),
        first("family", 4),
        first("type", 8),
        first("protocol", 12),
        word("mark", 16).read(Access::WORD.only(CREATED)).write(Access::WORD.only(CREATED)),
        word("priority", 20).read(Access::WORD.only(CREATED)).write(Access::WORD.only(CREATED)),
        narrow("src_ip4", 24).read(Access::NARROW.only(&[At::CgroupInet4PostBind])),
        narrow_words("src_ip6", 28).read(Access::NARROW.only(&[At::CgroupInet6PostBind])),
        first("src_port", 44).read(Access::NARROW_FIRST.only(BOUND)),
        DST_PORT,
        narrow("dst_ip4", 52),
        narrow_words("dst_ip6", 56),
        first("state", 72),
        first("rx_queue_mapping", 76),
    ],
);

const CREATED: &[At] = &[At::CgroupInetSockCreate, At::CgroupInetSockRelease];
const BOUND: &[At] = &[At::CgroupInet4PostBind, At::CgroupInet6PostBind];

/// `struct bpf_sock` behind a pointer to a full socket (`PTR_TO_SOCKET`).
pub const SOCKET: ContextInfo = ContextInfo::new(
    "bpf_sock",
    80,
    &[
        word("bound_dev_if", 0),
        first("family", 4),
        first("type", 8),
        first("protocol", 12),
        word("mark", 16),
        word("priority", 20),
        narrow("src_ip4", 24),
        narrow_words("src_ip6", 28),
        first("src_port", 44),
        DST_PORT,
        narrow("dst_ip4", 52),
        narrow_words("dst_ip6", 56),
        first("state", 72),
        first("rx_queue_mapping", 76),
    ],
);

/// `struct bpf_sock` behind a pointer to a socket that may be a request (`PTR_TO_SOCK_COMMON`).
pub const SOCK_COMMON: ContextInfo = ContextInfo::new(
    "bpf_sock",
    80,
    &[
        word("bound_dev_if", 0),
        first("family", 4),
        narrow("src_ip4", 24),
        narrow_words("src_ip6", 28),
        first("src_port", 44),
        DST_PORT,
        narrow("dst_ip4", 52),
        narrow_words("dst_ip6", 56),
        first("state", 72),
        first("rx_queue_mapping", 76),
    ],
);

/// `struct bpf_tcp_sock` (`PTR_TO_TCP_SOCK`).
pub const TCP_SOCK: ContextInfo = ContextInfo::new(
    "bpf_tcp_sock",
    112,
    &[
        words("snd_cwnd", 0, 80),
        Field::new("bytes_received", 80, 8).read(Access::DOUBLE),
        Field::new("bytes_acked", 88, 8).read(Access::DOUBLE),
        words("dsack_dups", 96, 16),
    ],
);

/// `struct bpf_xdp_sock` (`PTR_TO_XDP_SOCK`).
pub const XDP_SOCK: ContextInfo = ContextInfo::new("bpf_xdp_sock", 4, &[word("queue_id", 0)]);

const IP4: &[At] = &[
    At::CgroupInet4Bind,
    At::CgroupInet4Connect,
    At::CgroupInet4Getpeername,
    At::CgroupInet4Getsockname,
    At::CgroupUdp4Sendmsg,
    At::CgroupUdp4Recvmsg,
];
const IP6: &[At] = &[
    At::CgroupInet6Bind,
    At::CgroupInet6Connect,
    At::CgroupInet6Getpeername,
    At::CgroupInet6Getsockname,
    At::CgroupUdp6Sendmsg,
    At::CgroupUdp6Recvmsg,
];

/// Words that are read in parts, and read and written singly or two at once.
const fn address(name: &'static str, offset: u32, only: &'static [At]) -> Field {
    Field::new(name, offset, 16)
        .read(Access::ANY.only(only))
        .write(Access { inside: 4 | 8, ..Access::first(4 | 8) }.only(only))
}

/// `struct bpf_sock_addr`.
pub const BPF_SOCK_ADDR: ContextInfo = ContextInfo::new(
    "bpf_sock_addr",
    72,
    &[
        word("user_family", 0),
        narrow("user_ip4", 4).read(Access::NARROW.only(IP4)).write(Access::WORD.only(IP4)),
        address("user_ip6", 8, IP6),
        narrow("user_port", 24).write(Access::WORD),
        word("family", 28),
        word("type", 32),
        word("protocol", 36),
        narrow("msg_src_ip4", 40)
            .read(Access::NARROW.only(&[At::CgroupUdp4Sendmsg]))
            .write(Access::WORD.only(&[At::CgroupUdp4Sendmsg])),
        address("msg_src_ip6", 44, &[At::CgroupUdp6Sendmsg]),
        pointer("sk", 64, FieldValue::Socket),
    ],
);

/// `struct bpf_sock_ops`.
pub const BPF_SOCK_OPS: ContextInfo = ContextInfo::new(
    "bpf_sock_ops",
    224,
    &[
        word("op", 0),
        word("reply", 4).write(Access::WORD),
        words("replylong", 8, 12),
        word("family", 20),
        word("remote_ip4", 24),
        word("local_ip4", 28),
        words("remote_ip6", 32, 16),
        words("local_ip6", 48, 16),
        word("remote_port", 64),
        word("local_port", 68),
        word("is_fullsock", 72),
        word("snd_cwnd", 76),
        word("srtt_us", 80),
        word("bpf_sock_ops_cb_flags", 84),
        word("state", 88),
        word("rtt_min", 92),
        word("snd_ssthresh", 96),
        word("rcv_nxt", 100),
        word("snd_nxt", 104),
        word("snd_una", 108),
        word("mss_cache", 112),
        word("ecn_flags", 116),
        word("rate_delivered", 120),
        word("rate_interval_us", 124),
        word("packets_out", 128),
        word("retrans_out", 132),
        word("total_retrans", 136),
        word("segs_in", 140),
        word("data_segs_in", 144),
        word("segs_out", 148),
        word("data_segs_out", 152),
        word("lost_out", 156),
        word("sacked_out", 160),
        word("sk_txhash", 164).write(Access::WORD),
        Field::new("bytes_received", 168, 8).read(Access::DOUBLE),
        Field::new("bytes_acked", 176, 8).read(Access::DOUBLE),
        pointer("sk", 184, FieldValue::SocketOrNull),
        pointer("skb_data", 192, FieldValue::Packet),
        pointer("skb_data_end", 200, FieldValue::PacketEnd),
        word("skb_len", 208),
        first("skb_tcp_flags", 212),
        Field::new("skb_hwtstamp", 216, 8).read(Access::DOUBLE),
    ],
);

/// `struct bpf_sk_lookup`.
pub const BPF_SK_LOOKUP: ContextInfo = ContextInfo::new(
    "bpf_sk_lookup",
    72,
    &[
        pointer("sk", 0, FieldValue::SocketOrNull),
        narrow("family", 8),
        narrow("protocol", 12),
        narrow("remote_ip4", 16),
        narrow_words("remote_ip6", 20),
        // Two bytes and padding, which may be read too.
        narrow("remote_port", 36),
        narrow("local_ip4", 40),
        narrow_words("local_ip6", 44),
        narrow("local_port", 60),
        narrow("ingress_ifindex", 64),
    ],
);

/// `struct sk_reuseport_md`.
pub const SK_REUSEPORT_MD: ContextInfo = ContextInfo::new(
    "sk_reuseport_md",
    56,
    &[
        pointer("data", 0, FieldValue::Packet),
        pointer("data_end", 8, FieldValue::PacketEnd),
        narrow("len", 16),
        narrow("eth_protocol", 20).read(Access { inside: 2, ..Access::first(2 | 4) }),
        narrow("ip_protocol", 24),
        narrow("bind_inany", 28),
        word("hash", 32),
        pointer("sk", 40, FieldValue::Socket),
        pointer("migrating_sk", 48, FieldValue::SockCommonOrNull),
    ],
);
