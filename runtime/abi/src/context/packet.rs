//! Contexts of programs that see packets: `struct xdp_md`, the views of `struct __sk_buff`, `struct sk_msg_md`.
//!
//! Linux has one `struct __sk_buff` for many kinds, each of which sees another part of it.

use core::mem::offset_of;

use super::{Access, ContextInfo, Field, FieldValue, SkbContext, XdpContext, narrow, pointer, word, words};
use crate::kinds::AttachType;

const fn xdp(field: Field, native: usize, width: u32) -> Field {
    field.native(native, width)
}

/// `struct xdp_md`.
pub const XDP_MD: ContextInfo = ContextInfo::new(
    "xdp_md",
    24,
    &[
        xdp(word("data", 0).yields(FieldValue::Packet), offset_of!(XdpContext, data), 8),
        xdp(word("data_end", 4).yields(FieldValue::PacketEnd), offset_of!(XdpContext, data_end), 8),
        xdp(word("data_meta", 8).yields(FieldValue::PacketMeta), offset_of!(XdpContext, data_meta), 8),
        xdp(word("ingress_ifindex", 12), offset_of!(XdpContext, ingress_ifindex), 4),
        xdp(word("rx_queue_index", 16), offset_of!(XdpContext, rx_queue_index), 4),
        xdp(
            word("egress_ifindex", 20).read(Access::WORD.only(&[AttachType::XdpDevmap])),
            offset_of!(XdpContext, egress_ifindex),
            4,
        ),
    ],
);

const SKB_SIZE: u32 = 192;

/// All fields of `struct __sk_buff` as they may be read where a kind does not hide them.
const SKB: [Field; 34] = [
    narrow("len", 0),
    narrow("pkt_type", 4),
    narrow("mark", 8),
    narrow("queue_mapping", 12),
    narrow("protocol", 16),
    narrow("vlan_present", 20),
    narrow("vlan_tci", 24),
    narrow("vlan_proto", 28),
    narrow("priority", 32),
    narrow("ingress_ifindex", 36),
    narrow("ifindex", 40),
    narrow("tc_index", 44),
    Field::new("cb", 48, 20).read(Access::ANY),
    narrow("hash", 68),
    narrow("tc_classid", 72),
    word("data", 76).yields(FieldValue::Packet),
    word("data_end", 80).yields(FieldValue::PacketEnd),
    narrow("napi_id", 84),
    narrow("family", 88),
    word("remote_ip4", 92),
    word("local_ip4", 96),
    words("remote_ip6", 100, 16),
    words("local_ip6", 116, 16),
    narrow("remote_port", 132),
    narrow("local_port", 136),
    word("data_meta", 140).yields(FieldValue::PacketMeta),
    Field::new("flow_keys", 144, 8),
    Field::new("tstamp", 152, 8).read(Access::DOUBLE),
    narrow("wire_len", 160),
    narrow("gso_segs", 164),
    pointer("sk", 168, FieldValue::SockCommonOrNull),
    narrow("gso_size", 176),
    Field::new("tstamp_type", 180, 1),
    Field::new("hwtstamp", 184, 8).read(Access::DOUBLE),
];

/// Names of the fields from `family` to `local_port`.
const SOCKET_FIELDS: &[u32] = &[88, 92, 96, 100, 116, 132, 136];

const MARK: u32 = 8;
const QUEUE_MAPPING: u32 = 12;
const PRIORITY: u32 = 32;
const TC_INDEX: u32 = 44;
const CB: u32 = 48;
const TC_CLASSID: u32 = 72;
const DATA: u32 = 76;
const DATA_END: u32 = 80;
const DATA_META: u32 = 140;
const FLOW_KEYS: u32 = 144;
const TSTAMP: u32 = 152;
const WIRE_LEN: u32 = 160;
const TSTAMP_TYPE: u32 = 180;
const HWTSTAMP: u32 = 184;

const fn contains(list: &[u32], offset: u32) -> bool {
    let mut i = 0;
    while i < list.len() {
        if list[i] == offset {
            return true;
        }
        i += 1;
    }
    false
}

/// `struct __sk_buff` without the fields at some offsets, and with those at others writable.
const fn view(mut fields: [Field; 34], hidden: &[&[u32]], writable: &[u32]) -> [Field; 34] {
    let mut i = 0;
    while i < fields.len() {
        let field = fields[i];
        let mut list = 0;
        while list < hidden.len() {
            if contains(hidden[list], field.offset) {
                fields[i].read = Access::NONE;
            }
            list += 1;
        }
        if contains(writable, field.offset) {
            fields[i].write = match field.offset {
                CB => Access::ANY,
                TSTAMP => Access::DOUBLE,
                _ => Access::WORD,
            };
        }
        i += 1;
    }
    fields
}

/// With the one field that `sched_cls` reads by a byte.
const fn with_tstamp_type(mut fields: [Field; 34]) -> [Field; 34] {
    fields[32].read = Access::first(1);
    assert!(fields[32].offset == TSTAMP_TYPE, "rows must be sorted");
    fields
}

/// With the native fields that the runtime has for socket filters.
const fn with_native(mut fields: [Field; 34]) -> [Field; 34] {
    let native = [
        (0, offset_of!(SkbContext, len)),
        (1, offset_of!(SkbContext, pkt_type)),
        (2, offset_of!(SkbContext, mark)),
        (3, offset_of!(SkbContext, queue_mapping)),
        (4, offset_of!(SkbContext, protocol)),
        (5, offset_of!(SkbContext, vlan_present)),
        (6, offset_of!(SkbContext, vlan_tci)),
        (7, offset_of!(SkbContext, vlan_proto)),
        (8, offset_of!(SkbContext, priority)),
        (9, offset_of!(SkbContext, ingress_ifindex)),
        (10, offset_of!(SkbContext, ifindex)),
        (11, offset_of!(SkbContext, tc_index)),
        (12, offset_of!(SkbContext, cb)),
        (13, offset_of!(SkbContext, hash)),
    ];
    let mut i = 0;
    while i < native.len() {
        let (row, offset) = native[i];
        fields[row] = fields[row].native(offset, fields[row].width);
        i += 1;
    }
    fields
}

const fn skb(fields: &'static [Field; 34]) -> ContextInfo {
    ContextInfo::new("__sk_buff", SKB_SIZE, fields)
}

/// `struct __sk_buff` as a socket filter may see it.
pub const SOCKET_FILTER: ContextInfo = skb(&SOCKET_FILTER_FIELDS);
static SOCKET_FILTER_FIELDS: [Field; 34] = with_native(view(
    SKB,
    &[SOCKET_FIELDS, &[TC_CLASSID, DATA, DATA_END, DATA_META, TSTAMP, WIRE_LEN, HWTSTAMP]],
    &[CB],
));

/// `struct __sk_buff` as traffic control's programs may see it.
pub const SCHED: ContextInfo = skb(&SCHED_FIELDS);
static SCHED_FIELDS: [Field; 34] = with_tstamp_type(view(
    SKB,
    &[SOCKET_FIELDS],
    &[MARK, QUEUE_MAPPING, PRIORITY, TC_INDEX, CB, TC_CLASSID, TSTAMP],
));

/// `struct __sk_buff` as programs of a cgroup's sockets may see it.
pub const CGROUP_SKB: ContextInfo = skb(&CGROUP_SKB_FIELDS);
static CGROUP_SKB_FIELDS: [Field; 34] =
    view(SKB, &[&[TC_CLASSID, DATA_META, WIRE_LEN]], &[MARK, PRIORITY, CB, TSTAMP]);

/// `struct __sk_buff` as light-weight tunnels may see it.
pub const LWT: ContextInfo = skb(&LWT_FIELDS);
static LWT_FIELDS: [Field; 34] =
    view(SKB, &[SOCKET_FIELDS, &[TC_CLASSID, DATA_META, TSTAMP, WIRE_LEN, HWTSTAMP]], &[MARK, PRIORITY, CB]);

/// `struct __sk_buff` as parsers and verdicts of sockets in maps may see it.
pub const SK_SKB: ContextInfo = skb(&SK_SKB_FIELDS);
static SK_SKB_FIELDS: [Field; 34] =
    view(SKB, &[&[MARK, TC_CLASSID, DATA_META, TSTAMP, WIRE_LEN, HWTSTAMP]], &[PRIORITY, TC_INDEX]);

/// `struct __sk_buff` as flow dissectors may see it.
pub const FLOW_DISSECTOR: ContextInfo = skb_of(&[
    word("data", DATA).yields(FieldValue::Packet),
    word("data_end", DATA_END).yields(FieldValue::PacketEnd),
    pointer("flow_keys", FLOW_KEYS, FieldValue::FlowKeys),
]);

const fn skb_of(fields: &'static [Field]) -> ContextInfo {
    ContextInfo::new("__sk_buff", SKB_SIZE, fields)
}

/// `struct sk_msg_md`.
pub const SK_MSG_MD: ContextInfo = ContextInfo::new(
    "sk_msg_md",
    80,
    &[
        pointer("data", 0, FieldValue::Packet),
        pointer("data_end", 8, FieldValue::PacketEnd),
        word("family", 16),
        word("remote_ip4", 20),
        word("local_ip4", 24),
        words("remote_ip6", 28, 16),
        words("local_ip6", 44, 16),
        word("remote_port", 60),
        word("local_port", 64),
        word("size", 68),
        pointer("sk", 72, FieldValue::Socket),
    ],
);
